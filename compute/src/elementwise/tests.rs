//! Kernels against plain loops, over shapes, types and numbers of threads.

use super::*;
use crate::Pool;
use half::{bf16, f16};
use num_complex::Complex;

/// Numbers without a pattern, the same on every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Returns a number between -4 and 4.
    pub(crate) fn float(&mut self) -> f32 {
        self.below(1 << 16) as f32 / 8192.0 - 4.0
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }

    pub(crate) fn shape(&mut self, rank: usize, limit: usize) -> Vec<usize> {
        (0..rank).map(|_| 1 + self.below(limit)).collect()
    }
}

pub(crate) fn pools() -> Vec<Pool> {
    (1..=3).map(|threads| Pool::new(threads).unwrap()).collect()
}

/// Two shapes that broadcast, made from one by setting dimensions to 1 and leaving out leading ones.
fn broadcastable(numbers: &mut Numbers, shape: &[usize]) -> Vec<usize> {
    let from = numbers.below(shape.len() + 1);
    shape[from..].iter().map(|&size| if numbers.below(3) == 0 { 1 } else { size }).collect()
}

/// Returns the index in `shape` of the `flat`th element of `output`, by definition.
fn source(flat: usize, output: &[usize], shape: &[usize]) -> usize {
    let (mut rest, mut at, mut stride) = (flat, 0, 1);
    for i in (0..output.len()).rev() {
        let index = rest % output[i];
        rest /= output[i];
        if let Some(own) = (i + shape.len()).checked_sub(output.len()) {
            if shape[own] != 1 {
                at += index * stride;
            }
            stride *= shape[own];
        }
    }
    at
}

#[test]
fn broadcasting_agrees_with_its_definition() {
    let mut numbers = Numbers::new(1);
    let sub = f32::binary(BinaryOp::Sub).unwrap();
    for round in 0..400 {
        let full = if round % 20 == 0 {
            vec![300, 2, 70]
        } else if round % 20 == 1 {
            // Not all dimensions are in place, but few are left when neighbors are merged.
            [[1; 5].as_slice(), &[4, 3, 1, 1, 2], &[1; 2]].concat()
        } else {
            {
                let rank = numbers.below(6);
                numbers.shape(rank, 6)
            }
        };
        let (a_shape, b_shape) = (broadcastable(&mut numbers, &full), broadcastable(&mut numbers, &full));
        let plan = Broadcast::new([&a_shape, &b_shape]).unwrap();
        let (a, b) = (numbers.floats(plan.operand_len(0)), numbers.floats(plan.operand_len(1)));
        let shape = plan.output_shape().to_vec();
        let expected: Vec<f32> = (0..plan.len())
            .map(|i| a[source(i, &shape, &a_shape)] - b[source(i, &shape, &b_shape)])
            .collect();
        for pool in pools() {
            let mut output = vec![0.0; plan.len()];
            sub.run(&pool, &plan, &a, &b, &mut output).unwrap();
            assert_eq!(output, expected, "{a_shape:?} {b_shape:?}");
            if plan.is_full(0) {
                let mut output = a.clone();
                sub.run_in_place_left(&pool, &plan, &mut output, &b).unwrap();
                assert_eq!(output, expected, "left of {a_shape:?} {b_shape:?}");
            }
            if plan.is_full(1) {
                let mut output = b.clone();
                sub.run_in_place_right(&pool, &plan, &a, &mut output).unwrap();
                assert_eq!(output, expected, "right of {a_shape:?} {b_shape:?}");
            }
        }
    }
}

#[test]
fn large_operands_are_divided_without_gaps() {
    let mut numbers = Numbers::new(2);
    let add = f32::binary(BinaryOp::Add).unwrap();
    let shapes: [[&[usize]; 2]; 4] =
        [[&[300_001], &[300_001]], [&[300_001], &[]], [&[30_001, 10], &[10]], [&[3, 100_003], &[3, 1]]];
    for [a_shape, b_shape] in shapes {
        let plan = Broadcast::new([a_shape, b_shape]).unwrap();
        let (a, b) = (numbers.floats(plan.operand_len(0)), numbers.floats(plan.operand_len(1)));
        let shape = plan.output_shape().to_vec();
        let expected: Vec<f32> =
            (0..plan.len()).map(|i| a[source(i, &shape, a_shape)] + b[source(i, &shape, b_shape)]).collect();
        for pool in pools() {
            let mut output = vec![0.0; plan.len()];
            add.run(&pool, &plan, &a, &b, &mut output).unwrap();
            assert!(output == expected, "{a_shape:?} {b_shape:?} {pool:?}");
            let mut output = a.clone();
            add.run_in_place_left(&pool, &plan, &mut output, &b).unwrap();
            assert!(output == expected, "in place of {a_shape:?} {b_shape:?} {pool:?}");
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    assert_eq!(
        Broadcast::new([&[2, 3], &[2, 4]]).unwrap_err(),
        BroadcastError::Incompatible { operand: 1, dimension_from_end: 0, size: 4, expected: 3 }
    );
    let alternating = [2, 1, 2, 1, 2, 1, 2, 1, 2];
    assert_eq!(
        Broadcast::new([&alternating, &[2; 9]]).unwrap_err(),
        BroadcastError::RankTooHigh { operand: 0, rank: 9 }
    );
    let huge = 1 << 40;
    for shapes in [
        [&[huge, huge, 0][..], &[][..]],
        [&[0, huge, huge], &[1]],
        [&[huge, 1, 0], &[1, huge, 0]],
        [&[huge, 1], &[1, huge]],
    ] {
        assert_eq!(Broadcast::new(shapes).unwrap_err(), BroadcastError::TooLarge, "{shapes:?}");
    }
    assert!(Broadcast::new([&[huge, 0][..], &[]]).unwrap().is_empty());
    assert!(Broadcast::new([&[0], &[2]]).is_err());
    assert_eq!(Broadcast::new([&[0], &[1]]).unwrap().output_shape(), [0]);
}

#[test]
fn empty_operands_give_empty_results() {
    let plan = Broadcast::new([&[2, 0, 3], &[3]]).unwrap();
    assert!(plan.is_empty());
    let div = i32::binary(BinaryOp::Div).unwrap();
    // No element is divided, so a divisor of 0 is not an error.
    assert_eq!(div.run(&Pool::single(), &plan, &[], &[0, 0, 0], &mut []), Ok(()));
    f32::unary(UnaryOp::Exp).unwrap().run(&Pool::single(), &[], &mut []);
}

#[test]
fn integer_division_by_zero_is_an_error() {
    let plan = Broadcast::new([&[2], &[2]]).unwrap();
    for op in [BinaryOp::Div, BinaryOp::TruncateDiv, BinaryOp::FloorDiv, BinaryOp::FloorMod, BinaryOp::Mod] {
        let kernel = i64::binary(op).unwrap();
        let mut output = [7, 7];
        let result = kernel.run(&Pool::single(), &plan, &[1, 2], &[1, 0], &mut output);
        assert_eq!(result, Err(ArithmeticError::DivisionByZero), "{op:?}");
        assert_eq!(output, [7, 7]);
    }
    let pow = i32::binary(BinaryOp::Pow).unwrap();
    let mut bases = [2, 2];
    let result = pow.run_in_place_left(&Pool::single(), &plan, &mut bases, &[1, -1]);
    assert_eq!(result, Err(ArithmeticError::NegativeExponent));
}

/// Runs every operation of a type on a few of its numbers: nothing may panic, and the ways to run a kernel
/// must agree.
fn all_operations<T: Element>(values: &[T]) {
    let pool = Pool::single();
    let plan = Broadcast::new([&[values.len()], &[values.len()]]).unwrap();
    let one = Broadcast::new([&[values.len()], &[]]).unwrap();
    #[allow(clippy::eq_op)] // NaN differs from itself
    let same = |a: &[T], b: &[T]| a.iter().zip(b).all(|(x, y)| x == y || (x != x && y != y));
    for kernel in UnaryOp::ALL.iter().filter_map(|&op| T::unary(op)) {
        let mut output = vec![T::default(); values.len()];
        kernel.run(&pool, values, &mut output);
        let mut in_place = values.to_vec();
        kernel.run_in_place(&pool, &mut in_place);
        assert!(same(&output, &in_place));
    }
    for kernel in BinaryOp::ALL.iter().filter_map(|&op| T::binary(op)) {
        let mut output = vec![T::default(); values.len()];
        let mut left = values.to_vec();
        let result = kernel.run(&pool, &plan, values, values, &mut output);
        assert_eq!(result, kernel.run_in_place_left(&pool, &plan, &mut left, values));
        assert!(result.is_err() || same(&output, &left));
        let repeated = vec![values[1]; values.len()];
        let mut repeated_output = output.clone();
        let result = kernel.run(&pool, &plan, values, &repeated, &mut repeated_output);
        assert_eq!(result, kernel.run(&pool, &one, values, &values[1..2], &mut output));
        assert!(result.is_err() || same(&output, &repeated_output));
    }
    for kernel in CompareOp::ALL.iter().filter_map(|&op| T::compare(op)) {
        let (mut output, mut repeated) = (vec![false; values.len()], vec![false; values.len()]);
        kernel.run(&pool, &plan, values, &vec![values[1]; values.len()], &mut output).unwrap();
        kernel.run(&pool, &one, values, &values[1..2], &mut repeated).unwrap();
        assert_eq!(output, repeated);
    }
}

#[test]
fn every_operation_runs_on_every_type() {
    let mut numbers = Numbers::new(3);
    let mut floats = numbers.floats(1500);
    floats[7] = f32::NAN;
    all_operations(&floats);
    all_operations(&floats.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as i8).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as i16).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as i32).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as i64).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as u8 + 1).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as u16 + 1).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as u32 + 1).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x as u64 + 1).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| x > 0.0).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| Complex::new(x, 1.0 - x)).collect::<Vec<_>>());
    all_operations(&floats.iter().map(|&x| Complex::new(f64::from(x), 0.5)).collect::<Vec<_>>());
}

#[test]
fn kernels_exist_where_tensorflow_has_them() {
    assert!(bool::unary(UnaryOp::LogicalNot).is_some() && bool::binary(BinaryOp::Add).is_none());
    assert!(i32::unary(UnaryOp::Invert).is_some() && f32::unary(UnaryOp::Invert).is_none());
    assert!(Complex::<f32>::compare(CompareOp::Less).is_none());
    assert_eq!(UnaryOp::from_name("Inv"), Some(UnaryOp::Reciprocal));
    assert_eq!(BinaryOp::from_name("RealDiv"), Some(BinaryOp::Div));
    assert_eq!(BinaryOp::from_name("MatMul"), None);
    assert_eq!(BinaryOp::Add.name(), "Add");
}

#[test]
fn the_parameter_of_leaky_relu_is_used() {
    let pool = Pool::single();
    let mut values = [-1.0, 2.0];
    f64::unary(UnaryOp::LeakyRelu).unwrap().with_alpha(0.5).run_in_place(&pool, &mut values);
    assert_eq!(values, [-0.5, 2.0]);
    let plan = Broadcast::new([&[2], &[2]]).unwrap();
    let mut gradients = [f16::ONE; 2];
    let features = [f16::NEG_ONE, f16::ONE];
    let kernel = f16::binary(BinaryOp::LeakyReluGrad).unwrap().with_alpha(0.25);
    kernel.run_in_place_left(&pool, &plan, &mut gradients, &features).unwrap();
    assert_eq!(gradients, [f16::from_f32(0.25), f16::ONE]);
}

#[test]
fn select_agrees_with_its_definition() {
    let mut numbers = Numbers::new(4);
    for round in 0..200 {
        let full = if round == 0 {
            vec![200, 300]
        } else {
            {
                let rank = numbers.below(4);
                numbers.shape(rank, 5)
            }
        };
        let shapes: [Vec<usize>; 3] = std::array::from_fn(|_| broadcastable(&mut numbers, &full));
        let plan = Broadcast::new(shapes.each_ref().map(Vec::as_slice)).unwrap();
        let condition: Vec<bool> = (0..plan.operand_len(0)).map(|_| numbers.below(2) == 0).collect();
        let (a, b) = (numbers.floats(plan.operand_len(1)), numbers.floats(plan.operand_len(2)));
        let shape = plan.output_shape().to_vec();
        let expected: Vec<f32> = (0..plan.len())
            .map(|i| {
                let [c, x, y] = shapes.each_ref().map(|own| source(i, &shape, own));
                if condition[c] { a[x] } else { b[y] }
            })
            .collect();
        for pool in pools() {
            let mut output = vec![0.0; plan.len()];
            select(&pool, &plan, &condition, &a, &b, &mut output);
            assert_eq!(output, expected, "{shapes:?}");
        }
    }
}

fn cast_one<S: CastTo<D>, D: Element>(x: S) -> D {
    let mut output = [D::default()];
    cast(&Pool::single(), &[x], &mut output);
    output[0]
}

#[test]
fn casts_follow_the_rules() {
    assert_eq!(cast_one::<f32, i32>(-1.9), -1);
    assert_eq!(cast_one::<f32, i32>(1e10), i32::MAX);
    assert_eq!(cast_one::<f64, u8>(-5.0), 0);
    assert_eq!(cast_one::<f32, i64>(f32::NAN), 0);
    assert_eq!(cast_one::<i32, u8>(-1), 255);
    assert_eq!(cast_one::<i64, i32>(1 << 32 | 5), 5);
    assert_eq!(cast_one::<i64, f32>(16_777_217), 16_777_216.0);
    assert!(cast_one::<f32, bool>(f32::NAN));
    assert!(!cast_one::<f64, bool>(-0.0));
    assert_eq!(cast_one::<bool, f16>(true), f16::ONE);
    assert_eq!(cast_one::<f32, bf16>(1.0 + 1.0 / 256.0), bf16::ONE);
    assert_eq!(cast_one::<f16, f64>(f16::from_f32(0.5)), 0.5);
    assert_eq!(cast_one::<f16, u16>(f16::from_f32(3.7)), 3);
    assert_eq!(cast_one::<Complex<f32>, f64>(Complex::new(2.0, 3.0)), 2.0);
    assert_eq!(cast_one::<i8, Complex<f64>>(-3), Complex::new(-3.0, 0.0));
    // The real part decides.
    assert!(!cast_one::<Complex<f32>, bool>(Complex::new(0.0, 1.0)));
    assert!(cast_one::<Complex<f32>, bool>(Complex::new(1.0, 0.0)));
    assert_eq!(cast_one::<Complex<f64>, Complex<f32>>(Complex::new(0.5, 1.5)), Complex::new(0.5, 1.5));
    let large: Vec<f32> = Numbers::new(5).floats(200_000);
    for pool in pools() {
        let mut output = vec![0i32; large.len()];
        cast(&pool, &large, &mut output);
        assert!(output.iter().zip(&large).all(|(&y, &x)| y == x as i32));
    }
}

#[test]
fn biases_are_added_by_column_and_by_channel() {
    let mut numbers = Numbers::new(6);
    for (rows, columns) in [(1, 1), (7, 3), (100, 10), (0, 4), (3000, 64)] {
        let (data, bias) = (numbers.floats(rows * columns), numbers.floats(columns));
        let sums: Vec<f32> = (0..data.len()).map(|i| data[i] + bias[i % columns]).collect();
        for pool in pools() {
            let mut output = data.clone();
            bias_add(&pool, &mut output, &bias);
            assert_eq!(output, sums);
            let mut output = data.clone();
            bias_add_relu(&pool, &mut output, &bias);
            assert_eq!(output, sums.iter().map(|x| x.max(0.0)).collect::<Vec<_>>());
            let layout = ChannelLayout { batch: rows, channels: columns, positions: 1 };
            let mut output = data.clone();
            bias_add_channels(&pool, layout, &mut output, &bias);
            assert_eq!(output, sums);
        }
    }
    let layout = ChannelLayout { batch: 2, channels: 2, positions: 3 };
    let mut data = [0i32; 12];
    bias_add_channels(&Pool::single(), layout, &mut data, &[1, 2]);
    assert_eq!(data, [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]);
    assert_eq!(layout.len(), 12);
}

#[test]
fn many_arrays_are_added_in_order() {
    let mut numbers = Numbers::new(7);
    for len in [0, 1, 1025, 70_000] {
        let inputs: Vec<Vec<f32>> = (0..4).map(|_| numbers.floats(len)).collect();
        let expected: Vec<f32> = (0..len).map(|i| inputs.iter().map(|input| input[i]).sum()).collect();
        let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        for pool in pools() {
            let mut output = vec![0.0; len];
            add_n(&pool, &slices, &mut output);
            assert_eq!(output, expected);
        }
    }
    let mut flags = vec![false; 100_000];
    fill(&Pool::new(2).unwrap(), &mut flags, true);
    assert!(flags.iter().all(|&flag| flag));
}

#[test]
fn complex_numbers_are_made_and_taken_apart() {
    let pool = Pool::single();
    let plan = Broadcast::new([&[2], &[]]).unwrap();
    let mut numbers = [Complex::default(); 2];
    complex::<f32>().run(&pool, &plan, &[3.0, 0.0], &[4.0], &mut numbers).unwrap();
    let mut part = [0.0; 2];
    complex_part::<f32>(ComplexPart::ComplexAbs).run(&pool, &numbers, &mut part);
    assert_eq!(part, [5.0, 4.0]);
    complex_part::<f32>(ComplexPart::Imag).run(&pool, &numbers, &mut part);
    assert_eq!(part, [4.0, 4.0]);
    complex_part::<f32>(ComplexPart::Real).run(&pool, &numbers, &mut part);
    assert_eq!(part, [3.0, 0.0]);
    complex_part::<f32>(ComplexPart::Angle).run(&pool, &numbers, &mut part);
    assert_eq!(part[1], std::f32::consts::FRAC_PI_2);
}

/// The values are those of TensorFlow.
#[test]
fn complex_functions_equal_tensorflows_at_zeros_and_infinities() {
    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    type Pair = (f64, f64);
    fn check(name: &str, of: &str, found: Complex<f64>, (re, im): Pair) {
        let same = |found: f64, expected: f64| found == expected || found.is_nan() && expected.is_nan();
        assert!(same(found.re, re) && same(found.im, im), "{name} of {of}: {found}, not {re} {im}");
    }
    let both = |op: UnaryOp, (re, im): Pair, expected: Pair| {
        let (mut double, mut single) = ([Complex::default()], [Complex::default()]);
        Complex::<f64>::unary(op).unwrap().run(&Pool::single(), &[Complex::new(re, im)], &mut double);
        let narrow = Complex::new(re as f32, im as f32);
        Complex::<f32>::unary(op).unwrap().run(&Pool::single(), &[narrow], &mut single);
        let of = format!("{re} {im}");
        check(op.name(), &of, double[0], expected);
        check(op.name(), &of, Complex::new(single[0].re.into(), single[0].im.into()), expected);
    };
    let unary: &[(UnaryOp, Pair, Pair)] = &[
        (UnaryOp::Sqrt, (0.0, 0.0), (0.0, 0.0)),
        (UnaryOp::Sqrt, (-4.0, 0.0), (0.0, 2.0)),
        (UnaryOp::Sqrt, (INF, 1.0), (INF, 0.0)),
        (UnaryOp::Sqrt, (INF, NAN), (INF, NAN)),
        (UnaryOp::Sqrt, (-INF, 2.5), (0.0, INF)),
        (UnaryOp::Sqrt, (-INF, -1.0), (0.0, -INF)),
        (UnaryOp::Sqrt, (-INF, NAN), (NAN, INF)),
        (UnaryOp::Sqrt, (NAN, 0.0), (NAN, NAN)),
        (UnaryOp::Sqrt, (NAN, -INF), (INF, -INF)),
        (UnaryOp::Rsqrt, (0.0, 0.0), (INF, NAN)),
        (UnaryOp::Rsqrt, (0.0, -INF), (0.0, 0.0)),
        (UnaryOp::Rsqrt, (INF, NAN), (0.0, 0.0)),
        (UnaryOp::Rsqrt, (-1.0, 0.0), (0.0, -1.0)),
        (UnaryOp::Rsqrt, (-1.0, -0.0), (0.0, -1.0)),
        (UnaryOp::Rsqrt, (NAN, 1.0), (NAN, NAN)),
        (UnaryOp::Log, (0.0, 0.0), (-INF, 0.0)),
        (UnaryOp::Log, (NAN, INF), (INF, NAN)),
        (UnaryOp::Sign, (0.0, 0.0), (0.0, 0.0)),
        (UnaryOp::Sign, (1.0, NAN), (NAN, NAN)),
        (UnaryOp::Reciprocal, (0.0, 0.0), (NAN, NAN)),
        (UnaryOp::Sigmoid, (-INF, 1.0), (0.0, 0.0)),
    ];
    for &(op, x, expected) in unary {
        both(op, x, expected);
    }
    let powers: &[(Pair, Pair, Pair)] = &[
        ((0.0, 0.0), (0.0, 0.0), (NAN, NAN)),
        ((0.0, 0.0), (2.0, 0.0), (0.0, 0.0)),
        ((0.0, 0.0), (1.0, NAN), (0.0, 0.0)),
        ((0.0, 0.0), (-1.0, NAN), (INF, NAN)),
        ((0.0, 0.0), (INF, -INF), (0.0, 0.0)),
        ((0.0, INF), (0.0, 0.0), (NAN, NAN)),
        ((2.5, 0.0), (0.0, 0.0), (1.0, 0.0)),
        ((-1.0, 1.0), (-INF, NAN), (0.0, 0.0)),
    ];
    let plan = Broadcast::new([&[1], &[1]]).unwrap();
    for &(x, y, expected) in powers {
        let mut output = [Complex::default()];
        let [a, b] = [x, y].map(|(re, im)| [Complex::new(re, im)]);
        let pow = Complex::<f64>::binary(BinaryOp::Pow).unwrap();
        pow.run(&Pool::single(), &plan, &a, &b, &mut output).unwrap();
        check("Pow", &format!("{x:?} {y:?}"), output[0], expected);
    }
}
