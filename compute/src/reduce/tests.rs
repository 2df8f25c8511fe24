use super::*;
use crate::Pool;
use crate::elementwise::tests::{Numbers, pools};
use crate::elementwise::{ChannelLayout, Element};
use half::{bf16, f16};
use num_complex::Complex;

/// Returns the index of the result for each element of an array of `shape`.
fn groups(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let len = shape.iter().product();
    (0..len)
        .map(|flat| {
            let (mut rest, mut at, mut stride) = (flat, 0, 1);
            for i in (0..shape.len()).rev() {
                if !axes.contains(&i) {
                    at += rest % shape[i] * stride;
                    stride *= shape[i];
                }
                rest /= shape[i];
            }
            at
        })
        .collect()
}

fn members<T: Copy>(input: &[T], groups: &[usize], count: usize) -> Vec<Vec<T>> {
    let mut members = vec![Vec::new(); count];
    input.iter().zip(groups).for_each(|(&x, &group)| members[group].push(x));
    members
}

fn cases(numbers: &mut Numbers) -> Vec<(Vec<usize>, Vec<usize>)> {
    let mut cases: Vec<(Vec<usize>, Vec<usize>)> = vec![
        (vec![], vec![]),
        (vec![1], vec![0]),
        (vec![100_000], vec![0]),
        (vec![3, 20_000], vec![1]),
        (vec![20_000, 3], vec![0]),
        (vec![2000, 70], vec![0]),
        (vec![5, 700], vec![0]),
        (vec![40, 30, 50], vec![0, 2]),
        (vec![3, 600, 40, 2], vec![0, 2]),
        (vec![2, 3, 600, 4], vec![0, 2]),
        (vec![600, 4, 3, 5], vec![0, 2]),
        (vec![4, 1, 5], vec![1]),
        (vec![2; 12], evens(12)),
        (vec![2; 11], (3..11).collect()),
    ];
    for _ in 0..100 {
        let rank = 1 + numbers.below(6);
        let shape = numbers.shape(rank, 6);
        let axes = (0..rank).filter(|_| numbers.below(2) == 0).collect();
        cases.push((shape, axes));
    }
    cases
}

fn run<T: Element>(pool: &Pool, op: ReduceOp, plan: &ReducePlan, input: &[T]) -> Vec<T> {
    let mut output = vec![T::default(); plan.output_len()];
    T::reduce(op).unwrap().run(pool, plan, input, &mut output);
    output
}

#[test]
fn float_reductions_agree_with_exact_ones() {
    let mut numbers = Numbers::new(31);
    for (shape, axes) in cases(&mut numbers) {
        let plan = ReducePlan::new(&shape, &axes).unwrap();
        let input = numbers.floats(plan.input_len());
        let members = members(&input, &groups(&shape, &axes), plan.output_len());
        let exact = |f: fn(&[f32]) -> f64| members.iter().map(|x| f(x)).collect::<Vec<f64>>();
        let sums = exact(|x| x.iter().map(|&x| f64::from(x)).sum());
        let sizes = exact(|x| x.iter().map(|&x| f64::from(x.abs())).sum());
        let squares = exact(|x| x.iter().map(|&x| f64::from(x).powi(2)).sum());
        for pool in pools() {
            let near = |found: &[f32], exact: &[f64], scale: &dyn Fn(usize) -> f64| {
                for (i, (&found, exact)) in found.iter().zip(exact).enumerate() {
                    let off = (f64::from(found) - exact).abs();
                    assert!(off <= 1e-6 * scale(i) + 1e-12, "{shape:?} {axes:?}: {found} for {exact}");
                }
            };
            near(&run(&pool, ReduceOp::Sum, &plan, &input), &sums, &|i| sizes[i]);
            let means: Vec<f64> = sums.iter().map(|sum| sum / plan.count() as f64).collect();
            near(&run(&pool, ReduceOp::Mean, &plan, &input), &means, &|i| sizes[i] / plan.count() as f64);
            let norms: Vec<f64> = squares.iter().map(|sum| sum.sqrt()).collect();
            near(&run(&pool, ReduceOp::EuclideanNorm, &plan, &input), &norms, &|i| norms[i]);
            let halves: Vec<f64> = squares.iter().map(|sum| sum / 2.0).collect();
            near(&run(&pool, ReduceOp::L2Loss, &plan, &input), &halves, &|i| squares[i]);
            let max = exact(|x| x.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b.into())));
            near(&run(&pool, ReduceOp::Max, &plan, &input), &max, &|_| 0.0);
            let min = exact(|x| x.iter().fold(f64::INFINITY, |a, &b| a.min(b.into())));
            near(&run(&pool, ReduceOp::Min, &plan, &input), &min, &|_| 0.0);
        }
    }
}

#[test]
fn integer_reductions_are_exact() {
    let mut numbers = Numbers::new(32);
    for (shape, axes) in cases(&mut numbers) {
        let plan = ReducePlan::new(&shape, &axes).unwrap();
        let input: Vec<i32> = (0..plan.input_len()).map(|_| numbers.below(1000) as i32 - 500).collect();
        let groups = groups(&shape, &axes);
        let expected = |f: fn(&[i32]) -> i32| {
            members(&input, &groups, plan.output_len()).iter().map(|x| f(x)).collect::<Vec<i32>>()
        };
        for pool in pools() {
            assert_eq!(run(&pool, ReduceOp::Sum, &plan, &input), expected(|x| x.iter().sum()), "{shape:?}");
            assert_eq!(run(&pool, ReduceOp::Max, &plan, &input), expected(|x| *x.iter().max().unwrap()));
            assert_eq!(run(&pool, ReduceOp::Min, &plan, &input), expected(|x| *x.iter().min().unwrap()));
            let product = expected(|x| x.iter().fold(1, |a: i32, &b| a.wrapping_mul(b)));
            assert_eq!(run(&pool, ReduceOp::Prod, &plan, &input), product);
            let mean = expected(|x| x.iter().sum::<i32>() / x.len() as i32);
            assert_eq!(run(&pool, ReduceOp::Mean, &plan, &input), mean);
            let flags: Vec<bool> = input.iter().map(|&x| x > -495).collect();
            let all = members(&flags, &groups, plan.output_len());
            assert_eq!(
                run(&pool, ReduceOp::All, &plan, &flags),
                all.iter().map(|x| x.iter().all(|&x| x)).collect::<Vec<_>>()
            );
            let flags: Vec<bool> = flags.iter().map(|x| !x).collect();
            assert_eq!(
                run(&pool, ReduceOp::Any, &plan, &flags),
                all.iter().map(|x| !x.iter().all(|&x| x)).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut numbers = Numbers::new(33);
    for (shape, axes) in [
        (vec![1_000_003], vec![0]),
        (vec![50_000, 20], vec![0]),
        (vec![9, 1000, 70], vec![0, 1]),
        (vec![7, 90_001], vec![1]),
    ] {
        let plan = ReducePlan::new(&shape, &axes).unwrap();
        let input = numbers.floats(plan.input_len());
        let [one, two, three]: [Vec<f32>; 3] =
            std::array::from_fn(|i| run(&pools()[i], ReduceOp::Sum, &plan, &input));
        assert!(one == two && two == three, "{shape:?}");
    }
}

#[test]
fn long_sums_stay_accurate() {
    // One chain of additions would be off by about 1e-3 here.
    let input = vec![0.1f32; 10_000_000];
    let plan = ReducePlan::new(&[input.len()], &[0]).unwrap();
    let sum = f64::from(run(&Pool::new(2).unwrap(), ReduceOp::Sum, &plan, &input)[0]);
    assert!((sum / (f64::from(0.1f32) * 1e7) - 1.0).abs() < 2e-6, "{sum}");
    let plan = ReducePlan::new(&[1_000_000, 10], &[0]).unwrap();
    let sum = f64::from(run(&Pool::new(2).unwrap(), ReduceOp::Sum, &plan, &input)[0]);
    assert!((sum / (f64::from(0.1f32) * 1e6) - 1.0).abs() < 2e-6, "{sum}");
}

#[test]
fn narrow_sums_are_kept_wide() {
    let plan = ReducePlan::new(&[5000], &[0]).unwrap();
    let ones = vec![f16::ONE; 5000];
    assert_eq!(run(&Pool::single(), ReduceOp::Sum, &plan, &ones), [f16::from_f32(5000.0)]);
    let large = vec![bf16::from_f32(300.0); 5000];
    assert_eq!(run(&Pool::single(), ReduceOp::Mean, &plan, &large), [bf16::from_f32(300.0)]);
}

#[test]
fn empty_reductions_return_the_identity() {
    let pool = Pool::single();
    let plan = ReducePlan::new(&[2, 0], &[1]).unwrap();
    assert_eq!(run::<f32>(&pool, ReduceOp::Sum, &plan, &[]), [0.0; 2]);
    assert_eq!(run::<f32>(&pool, ReduceOp::Prod, &plan, &[]), [1.0; 2]);
    assert_eq!(run::<f16>(&pool, ReduceOp::Max, &plan, &[]), [f16::NEG_INFINITY; 2]);
    assert_eq!(run::<i8>(&pool, ReduceOp::Max, &plan, &[]), [i8::MIN; 2]);
    assert_eq!(run::<u8>(&pool, ReduceOp::Min, &plan, &[]), [255; 2]);
    assert!(run::<f32>(&pool, ReduceOp::Mean, &plan, &[]).iter().all(|x| x.is_nan()));
    assert_eq!(run::<i32>(&pool, ReduceOp::Mean, &plan, &[]), [0; 2]);
    assert_eq!(run::<bool>(&pool, ReduceOp::All, &plan, &[]), [true; 2]);
    assert_eq!(run::<Complex<f32>>(&pool, ReduceOp::Prod, &plan, &[]), [Complex::new(1.0, 0.0); 2]);
    let plan = ReducePlan::new(&[0, 3], &[1]).unwrap();
    assert!(run::<f32>(&pool, ReduceOp::Sum, &plan, &[]).is_empty());
}

#[test]
fn nan_is_the_largest_and_the_smallest() {
    for len in [3, 40, 1000] {
        for at in [0, len / 2, len - 1] {
            let mut input = vec![1.0f32; len];
            input[at] = f32::NAN;
            let plan = ReducePlan::new(&[len], &[0]).unwrap();
            assert!(run(&Pool::single(), ReduceOp::Max, &plan, &input)[0].is_nan());
            assert!(run(&Pool::single(), ReduceOp::Min, &plan, &input)[0].is_nan());
            let plan = ReducePlan::new(&[len, 1, 1], &[0, 1]).unwrap();
            assert!(run(&Pool::single(), ReduceOp::Max, &plan, &input)[0].is_nan());
        }
    }
}

#[test]
fn means_of_integers_do_not_overflow() {
    let plan = ReducePlan::new(&[2], &[0]).unwrap();
    assert_eq!(run(&Pool::single(), ReduceOp::Mean, &plan, &[255u8, 255]), [255]);
    assert_eq!(run(&Pool::single(), ReduceOp::Mean, &plan, &[i32::MIN, i32::MIN]), [i32::MIN]);
    assert_eq!(run(&Pool::single(), ReduceOp::Mean, &plan, &[u32::MAX, u32::MAX]), [u32::MAX]);
}

#[test]
fn complex_numbers_are_reduced() {
    let plan = ReducePlan::new(&[2, 2], &[0]).unwrap();
    let i = Complex::new(0.0f64, 1.0);
    let input = [i, i * 2.0, i, i * 4.0];
    assert_eq!(run(&Pool::single(), ReduceOp::Sum, &plan, &input), [i * 2.0, i * 6.0]);
    assert_eq!(run(&Pool::single(), ReduceOp::Mean, &plan, &input), [i, i * 3.0]);
    assert_eq!(run(&Pool::single(), ReduceOp::Prod, &plan, &input)[0], Complex::new(-1.0, 0.0));
}

/// The axes 0, 2, 4, ... of a tensor.
fn evens(rank: usize) -> Vec<usize> {
    (0..rank).step_by(2).collect()
}

#[test]
fn plans_know_their_shapes_and_refuse_bad_axes() {
    let plan = ReducePlan::new(&[2, 3, 4], &[0, 2]).unwrap();
    assert_eq!(plan.output_shape(false).collect::<Vec<_>>(), [3]);
    assert_eq!(plan.output_shape(true).collect::<Vec<_>>(), [1, 3, 1]);
    assert_eq!((plan.input_len(), plan.output_len(), plan.count()), (24, 3, 8));
    assert_eq!(ReducePlan::new(&[2], &[1]).unwrap_err(), ReduceError::Axis { axis: 1, rank: 1 });
    assert_eq!(ReducePlan::new(&[2; 18], &evens(18)).unwrap_err(), ReduceError::RankTooHigh { rank: 18 });
}

#[test]
fn arguments_are_the_first_and_pass_over_nan() {
    let find = |input: &[f32]| {
        let shape = ArgShape { outer: 1, axis: input.len(), inner: 1 };
        let (mut max, mut min) = ([0i64], [0i32]);
        arg_max(&Pool::single(), shape, input, &mut max).unwrap();
        arg_min(&Pool::single(), shape, input, &mut min).unwrap();
        (max[0], min[0])
    };
    let nan = f32::NAN;
    assert_eq!(find(&[1.0, nan, 3.0]), (2, 0));
    assert_eq!(find(&[nan, 1.0, 3.0]), (2, 1));
    assert_eq!(find(&[3.0, nan, 1.0]), (0, 2));
    assert_eq!(find(&[nan, nan, 1.0]), (2, 2));
    assert_eq!(find(&[nan, nan]), (0, 0));
    assert_eq!(find(&[1.0, 3.0, 3.0, 1.0]), (1, 0));
    assert_eq!(find(&[f32::NEG_INFINITY, f32::NEG_INFINITY]), (0, 0));
    let shape = ArgShape { outer: 2, axis: 0, inner: 1 };
    assert_eq!(arg_max::<f32, i64>(&Pool::single(), shape, &[], &mut [0; 2]), Err(ArgError));
}

#[test]
fn arguments_are_found_along_any_dimension() {
    let mut numbers = Numbers::new(34);
    for (outer, axis, inner) in
        [(4, 7, 5), (128, 10, 1), (1, 1000, 3), (3, 1, 2), (300, 100, 4), (20, 4000, 1), (0, 3, 2)]
    {
        let input: Vec<i16> = (0..outer * axis * inner).map(|_| numbers.below(50) as i16).collect();
        for pool in pools() {
            let mut found = vec![0i32; outer * inner];
            arg_max(&pool, ArgShape { outer, axis, inner }, &input, &mut found).unwrap();
            for (at, &place) in found.iter().enumerate() {
                let element = |i: usize| input[(at / inner * axis + i) * inner + at % inner];
                let best = (0..axis).map(element).max().unwrap();
                assert_eq!((0..axis).position(|i| element(i) == best), Some(place as usize));
            }
            let floats: Vec<f32> = input.iter().map(|&x| f32::from(x)).collect();
            let mut least = vec![0i64; outer * inner];
            arg_min(&pool, ArgShape { outer, axis, inner }, &floats, &mut least).unwrap();
            for (at, &place) in least.iter().enumerate() {
                let element = |i: usize| input[(at / inner * axis + i) * inner + at % inner];
                let best = (0..axis).map(element).min().unwrap();
                assert_eq!((0..axis).position(|i| element(i) == best), Some(place as usize));
            }
        }
    }
}

#[test]
fn running_sums_and_products_agree_with_their_definition() {
    let mut numbers = Numbers::new(35);
    for (outer, axis, inner) in [(2, 5, 3), (1, 9, 1), (3, 4, 100), (0, 2, 2), (2, 0, 2), (50, 300, 7)] {
        let input: Vec<i64> = (0..outer * axis * inner).map(|_| numbers.below(9) as i64 - 4).collect();
        for (exclusive, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
            let shape = CumulativeShape { outer, axis, inner, exclusive, reverse };
            for pool in pools() {
                let (mut sums, mut products) = (vec![0; input.len()], vec![0; input.len()]);
                cumulative_sum(&pool, shape, &input, &mut sums);
                cumulative_product(&pool, shape, &input, &mut products);
                for at in 0..input.len() {
                    let (o, i, j) = (at / (axis * inner), at / inner % axis, at % inner);
                    let range = match (exclusive, reverse) {
                        (false, false) => 0..i + 1,
                        (true, false) => 0..i,
                        (false, true) => i..axis,
                        (true, true) => i + 1..axis,
                    };
                    let terms = range.map(|k| input[(o * axis + k) * inner + j]);
                    assert_eq!(sums[at], terms.clone().sum::<i64>());
                    assert_eq!(products[at], terms.fold(1i64, i64::wrapping_mul));
                }
            }
        }
    }
    let shape = CumulativeShape { outer: 1, axis: 4096, inner: 1, exclusive: false, reverse: false };
    let mut sums = vec![f16::ZERO; 4096];
    cumulative_sum(&Pool::single(), shape, &vec![f16::ONE; 4096], &mut sums);
    assert_eq!(sums[4095], f16::from_f32(4096.0));
}

#[test]
fn gradients_of_biases_are_sums_of_channels() {
    let layout = ChannelLayout { batch: 2, channels: 2, positions: 3 };
    let gradient: Vec<f32> = (0..12).map(|x| x as f32).collect();
    let mut sums = [0.0; 2];
    bias_add_grad(&Pool::single(), layout, &gradient, &mut sums);
    assert_eq!(sums, [24.0, 42.0]);
    let layout = ChannelLayout { batch: 6, channels: 2, positions: 1 };
    bias_add_grad(&Pool::single(), layout, &gradient, &mut sums);
    assert_eq!(sums, [30.0, 36.0]);
}
