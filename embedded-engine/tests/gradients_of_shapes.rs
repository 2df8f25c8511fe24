//! Gradients where the graph does not tell the shapes, ranks or axes, and others that the table of samples has no place for;
//! what they must be was computed with TensorFlow 2.21 in graph mode.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::{GradientOptions, array, gradients, gradients_with, library, math};
use session_core::{
    DType, Engine, Graph, OpLibrary as _, Output, PartialShape, SessionConfig, SessionExt, Tensor,
};
use tensor::Complex;

/// The numbers from 0 in this shape.
fn counted(graph: &Graph, shape: &[usize]) -> Output {
    numbered(graph, shape, 0)
}

/// The numbers from `first` in this shape.
fn numbered(graph: &Graph, shape: &[usize], first: u32) -> Output {
    let count = u32::try_from(shape.iter().product::<usize>()).unwrap();
    let values: Vec<f64> = (first..first + count).map(f64::from).collect();
    array::constant(graph, Tensor::from_vec(values, shape).unwrap())
}

/// The same tensor, of which the graph does not even know the rank.
fn unknown(value: &Output) -> Output {
    array::placeholder_with_default(value, PartialShape::unknown())
}

/// The same integers, which are not known before the graph runs.
fn computed(graph: &Graph, value: impl Into<Tensor>) -> Output {
    unknown(&array::constant(graph, value))
}

/// Runs and returns a tensor.
fn value(output: &Output) -> Tensor {
    let graph = output.graph();
    graph.check().unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(output, ()).unwrap()
}

/// Checks a gradient's shape and numbers.
fn check(gradient: Option<&Output>, shape: &[usize], expected: &[f64]) {
    let found = value(gradient.expect("there is a gradient"));
    assert_eq!(found.shape(), shape);
    let numbers = found.to_vec::<f64>().unwrap();
    assert_eq!(numbers.len(), expected.len());
    for (number, expected) in numbers.iter().zip(expected) {
        assert!((number - expected).abs() < 1e-9 * expected.abs().max(1.0), "{numbers:?}");
    }
}

/// Checks the gradients of the sum of squares of `y`.
fn check_squares(y: &Output, xs: &[(&Output, &[usize], &[f64])]) {
    let inputs: Vec<&Output> = xs.iter().map(|(x, ..)| *x).collect();
    let found = gradients(&[math::reduce_sum(math::square(y), ..)], &inputs).unwrap();
    for (gradient, (_, shape, expected)) in found.iter().zip(xs) {
        check(gradient.as_ref(), shape, expected);
    }
}

/// Checks the gradient of a sum that takes the elements of `y`, row by row, 1, 2, 3 and so on times.
fn check_counted(y: &Output, x: &Output, count: usize, shape: &[usize], expected: &[f64]) {
    let weights = numbered(&y.graph(), &[count], 1);
    let sum = math::reduce_sum(math::mul(array::reshape(y, [-1]), weights), ..);
    check(gradients(&[sum], &[x]).unwrap()[0].as_ref(), shape, expected);
}

#[test]
fn a_gradient_of_unknown_rank_is_summed_to_the_shape_of_what_was_broadcast() {
    let graph = Graph::new();
    let (bias, scale) = (numbered(&graph, &[3], 1), array::constant(&graph, 5.0f64));
    let ones = array::ones(&graph, DType::Float64, [2, 3]);
    let z = unknown(&math::add(math::mul(&ones, &scale), &bias));
    check_squares(&z, &[(&bias, &[3], &[24.0, 28.0, 32.0]), (&scale, &[], &[84.0])]);
    let found = gradients(&[&z], &[&bias, &scale]).unwrap();
    let shapes: Vec<String> = found.iter().flatten().map(|found| found.shape().to_string()).collect();
    assert_eq!(shapes, ["[3]", "[]"]);
}

#[test]
fn a_gradient_of_unknown_rank_keeps_axes_of_size_one() {
    let graph = Graph::new();
    let (column, row) = (numbered(&graph, &[2, 1], 1), numbered(&graph, &[3], 1));
    let ones = array::ones(&graph, DType::Float64, [4, 2, 3]);
    let z = unknown(&math::mul(ones, math::mul(&column, &row)));
    check_squares(&z, &[(&column, &[2, 1], &[112.0, 224.0]), (&row, &[3], &[40.0, 80.0, 120.0])]);
}

#[test]
fn products_whose_gradient_has_an_unknown_rank_sum_their_batches() {
    let graph = Graph::new();
    let (x, y) = (counted(&graph, &[2, 2, 3]), counted(&graph, &[3, 2]));
    let of_x: &[f64] = &[26.0, 118.0, 210.0, 80.0, 352.0, 624.0, 134.0, 586.0, 1038.0, 188.0, 820.0, 1452.0];
    let of_y: &[f64] = &[1872.0, 2736.0, 2168.0, 3164.0, 2464.0, 3592.0];
    let third = graph.op(library().find("BatchMatMulV3").unwrap()).input(&x).input(&y);
    for product in [math::matmul(&x, &y), third.attr("Tout", DType::Float64).finish_output()] {
        check_squares(&unknown(&product), &[(&x, &[2, 2, 3], of_x), (&y, &[3, 2], of_y)]);
    }
}

#[test]
fn solutions_whose_gradient_has_an_unknown_rank_sum_their_batches() {
    let graph = Graph::new();
    let sides = numbered(&graph, &[2, 2, 2], 1);
    let of_sides: &[f64] = &[0.34375, 0.8125, 0.3125, 0.375, 2.21875, 2.6875, 0.5625, 0.625];
    for (name, matrix, of_matrix) in [
        ("MatrixTriangularSolve", [[2.0f64, 0.0], [1.0, 4.0]], [-14.59375, 0.0, -3.8125, -1.890625]),
        ("BandedTriangularSolve", [[2.0, 4.0], [0.0, 1.0]], [-14.59375, -1.890625, 0.0, -3.8125]),
    ] {
        let matrix = array::constant(&graph, matrix);
        let builder = graph.op(library().find(name).unwrap()).input(&matrix).input(&sides);
        let solution = unknown(&builder.finish_output());
        check_squares(&solution, &[(&matrix, &[2, 2], &of_matrix), (&sides, &[2, 2, 2], of_sides)]);
    }
}

/// A complex number.
fn complex(re: f64, im: f64) -> Complex<f64> {
    Complex::new(re, im)
}

/// Checks the gradients of complex numbers for a gradient of 1 of each element of `y`.
fn check_complex(y: &Output, xs: &[(&Output, &[Complex<f64>])]) {
    let inputs: Vec<&Output> = xs.iter().map(|(x, _)| *x).collect();
    let options = GradientOptions::default().grad_ys([Some(array::ones_like(y))]);
    let found = gradients_with(&[y], &inputs, &options).unwrap();
    for (gradient, (_, expected)) in found.iter().zip(xs) {
        assert_eq!(value(gradient.as_ref().unwrap()).to_vec::<Complex<f64>>().unwrap(), *expected);
    }
}

#[test]
fn squared_differences_of_complex_numbers_have_the_difference_as_gradient() {
    let graph = Graph::new();
    let x = array::constant(&graph, [complex(1.0, 2.0), complex(3.0, -1.0)]);
    let y = array::constant(&graph, [complex(0.0, 0.0), complex(1.0, 1.0)]);
    check_complex(
        &math::squared_difference(&x, &y),
        &[(&x, &[complex(2.0, 4.0), complex(4.0, -4.0)]), (&y, &[complex(-2.0, -4.0), complex(-4.0, 4.0)])],
    );
}

#[test]
fn products_of_complex_numbers_have_conjugate_gradients() {
    let graph = Graph::new();
    let x = array::constant(&graph, [complex(1.0, 2.0), complex(3.0, -1.0), complex(0.0, 2.0)]);
    let expected = [complex(2.0, -6.0), complex(-4.0, -2.0), complex(5.0, -5.0)];
    check_complex(&math::reduce_prod(&x, ..), &[(&x, &expected)]);
    check_complex(&math::reduce_prod(unknown(&x), ..), &[(&x, &expected)]);
}

#[test]
fn the_incomplete_beta_function_has_a_slope_at_the_ends() {
    let graph = Graph::new();
    for (a, b, x, expected) in [
        (2.0f64, 1.0f64, 1.0f64, 2.0),
        (1.0, 2.0, 0.0, 2.0),
        (1.0, 1.0, 0.0, 1.0),
        (1.0, 1.0, 1.0, 1.0),
        (2.0, 3.0, 0.25, 1.6875),
    ] {
        let [a, b, x] = [a, b, x].map(|number| array::constant(&graph, number));
        let found = gradients(&[math::betainc(a, b, &x)], &[&x]).unwrap();
        check(found[0].as_ref(), &[], &[expected]);
    }
}

#[test]
fn a_shape_that_is_computed_from_a_column_and_a_row_is_not_mistaken_for_a_list() {
    let graph = Graph::new();
    let column = array::constant(&graph, [[1i32], [2]]);
    let row = array::constant(&graph, [[1i32, 2]]);
    let sizes = array::reshape(math::add(column, row), [-1]);
    let zeros = array::zeros(&graph, DType::Float32, &sizes);
    assert!(
        ["<unknown>", "[2,3,3,4]", "[?,?,?,?]"].contains(&zeros.shape().to_string().as_str()),
        "{zeros:?}"
    );
    assert_eq!(value(&zeros).shape().dims(), [2, 3, 3, 4]);
    let whole = counted(&graph, &[2, 3, 4, 5]);
    // As many numbers as there are axes are asked for, whatever the graph could tell of them.
    let part = array::slice(&whole, [0, 0, 0, 0], &sizes);
    assert_eq!(value(&part).shape().dims(), [2, 3, 3, 4]);
    let one = array::ones(&graph, DType::Int32, [4]);
    let part = graph.op(library().find("StridedSlice").unwrap()).input(whole).constant([0i32, 0, 0, 0]);
    assert_eq!(value(&part.input(&sizes).input(one).finish_output()).shape().dims(), [2, 3, 3, 4]);
}

#[test]
fn too_few_numbers_in_a_shape_that_is_computed_fail_when_the_graph_runs() {
    let graph = Graph::new();
    let whole = counted(&graph, &[2, 3, 4]);
    let hidden = |numbers: Tensor, sizes: Tensor| {
        array::reshape(array::constant(&graph, numbers), computed(&graph, sizes))
    };
    let two = || hidden(Tensor::from([0i32, 0]), Tensor::from([2i32]));
    let paddings = hidden(Tensor::from([0i32, 0]), Tensor::from([1i32, 2]));
    let one = array::ones(&graph, DType::Int32, [3]);
    let strided = graph.op(library().find("StridedSlice").unwrap()).input(&whole);
    let parts = [
        array::slice(&whole, two(), [1, 1, 1]),
        strided.input(two()).input(&one).input(&one).finish_output(),
        array::pad(&whole, array::Paddings::Computed(paddings)),
    ];
    graph.check().unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    for part in parts {
        assert!(session.run(&part, ()).is_err());
    }
}

#[test]
fn sizes_that_overflow_their_dtype_are_not_known() {
    let graph = Graph::new();
    let large = array::constant(&graph, [i32::MAX, 3]);
    let sizes =
        math::maximum(math::add(&large, array::constant(&graph, [1i32, 0])), array::constant(&graph, 2));
    // The sum wraps around to the least number.
    let zeros = array::zeros(&graph, DType::Float32, sizes);
    assert_eq!(zeros.shape().dim(0), None);
    assert_eq!(value(&zeros).shape().dims(), [2, 3]);
}

#[test]
fn evenly_spaced_numbers_pass_gradients_to_their_ends() {
    let graph = Graph::new();
    let a = array::constant(&graph, 2.0f64);
    // As through `tf.linspace`.
    let spaced = array::linspace(&a, math::add(&a, &a), 3);
    let y = math::add(math::reduce_sum(&spaced, ..), &a);
    check(gradients(&[y], &[&a]).unwrap()[0].as_ref(), &[], &[5.5]);
    // A list of one number has its start alone.
    let (start, stop) = (array::constant(&graph, 1.0f64), array::constant(&graph, 7.0f64));
    let found = gradients(&[array::linspace(&start, &stop, 1)], &[&start, &stop]).unwrap();
    check(found[0].as_ref(), &[], &[1.0]);
    check(found[1].as_ref(), &[], &[0.0]);
}

#[test]
fn a_tensor_that_is_passed_on_next_to_a_used_one_has_zeros_as_gradient() {
    let graph = Graph::new();
    let (a, b) = (numbered(&graph, &[2], 1), numbered(&graph, &[3], 3));
    let number = array::constant(&graph, [1i32]);
    let passed = array::identity_n(&[&a, &b, &number]);
    let found = gradients(&[math::square(&passed[0])], &[&a, &b, &number]).unwrap();
    check(found[0].as_ref(), &[2], &[2.0, 4.0]);
    check(found[1].as_ref(), &[3], &[0.0; 3]);
    assert!(found[2].is_none());
}

#[test]
fn the_sign_of_a_determinant_has_zeros_as_gradient() {
    let graph = Graph::new();
    let x = array::expand_dims(array::constant(&graph, [[2.0f64, 1.0], [1.0, 3.0]]), 0);
    let operation = graph.op(library().find("LogMatrixDeterminant").unwrap()).input(&x).finish();
    for (output, expected) in [[0.0; 4], [0.6, -0.2, -0.2, 0.4]].iter().enumerate() {
        let found = gradients(&[operation.output(output)], &[&x]).unwrap();
        check(found[0].as_ref(), &[1, 2, 2], expected);
    }
}

#[test]
fn einsum_sums_a_broadcast_ellipsis_next_to_an_axis_that_only_one_operand_has() {
    let graph = Graph::new();
    let known = |x: &Output| x.clone();
    for hide in [known, unknown] {
        let (x, y) = (numbered(&graph, &[1, 3], 1), numbered(&graph, &[4], 1));
        let sums = math::einsum("...i,...->...", &[hide(&x), hide(&y)]);
        let found = gradients(&[sums], &[&x, &y]).unwrap();
        check(found[0].as_ref(), &[1, 3], &[10.0; 3]);
        check(found[1].as_ref(), &[4], &[6.0; 4]);
        let (x, y) = (numbered(&graph, &[1, 2, 3], 1), numbered(&graph, &[4, 2], 1));
        let sums = math::einsum("...ij,...i->...", &[hide(&x), hide(&y)]);
        let found = gradients(&[sums], &[&x, &y]).unwrap();
        check(found[0].as_ref(), &[1, 2, 3], &[16.0, 16.0, 16.0, 20.0, 20.0, 20.0]);
        check(found[1].as_ref(), &[4, 2], &[6.0, 15.0, 6.0, 15.0, 6.0, 15.0, 6.0, 15.0]);
    }
}

#[test]
fn copies_of_a_tensor_of_unknown_rank_are_summed() {
    let graph = Graph::new();
    let x = numbered(&graph, &[2, 2], 1);
    let copies = array::tile(unknown(&x), computed(&graph, [2i32, 3]));
    check_counted(&copies, &x, 24, &[2, 2], &[54.0, 60.0, 90.0, 96.0]);
    let found = gradients(&[&copies], &[&x]).unwrap();
    check(found[0].as_ref(), &[2, 2], &[6.0; 4]);
}

#[test]
fn products_over_computed_axes_have_gradients() {
    let graph = Graph::new();
    let x = array::constant(&graph, [[1.0f64, 2.0, 0.0], [4.0, 0.0, 0.5], [7.0, 8.0, 9.0]]);
    let weights = array::constant(&graph, [1.0f64, 10.0, 100.0]);
    let rows = [0.0, 0.0, 2.0, 0.0, 20.0, 0.0, 7200.0, 6300.0, 5600.0];
    let columns = [28.0, 0.0, 450.0, 7.0, 160.0, 0.0, 4.0, 0.0, 0.0];
    let keep = ops::keep_dims(computed(&graph, 0i32));
    for (product, expected) in [
        (math::reduce_prod(&x, computed(&graph, [1i32])), rows),
        (math::reduce_prod(unknown(&x), [-1]), rows),
        (math::reduce_prod(unknown(&x), computed(&graph, -1i32)), rows),
        (math::reduce_prod(unknown(&x), keep), columns),
    ] {
        let sum = math::reduce_sum(math::mul(product, &weights), ..);
        check(gradients(&[sum], &[&x]).unwrap()[0].as_ref(), &[3, 3], &expected);
    }
    let x = numbered(&graph, &[2, 3, 2], 1);
    let product = math::mul(math::reduce_prod(&x, computed(&graph, [-1i32, 0])), &weights);
    let expected =
        [112.0, 56.0, 3600.0, 2700.0, 79200.0, 66000.0, 16.0, 14.0, 1200.0, 1080.0, 36000.0, 33000.0];
    check(gradients(&[product], &[&x]).unwrap()[0].as_ref(), &[2, 3, 2], &expected);
}

#[test]
fn gathers_along_an_axis_behind_the_batch_axes_have_gradients() {
    let graph = Graph::new();
    let x = counted(&graph, &[2, 3, 4]);
    let indices = array::constant(&graph, [[0i32, 3], [1, 1]]);
    let mut expected = [0.0; 24];
    for (at, number) in
        [(0, 1.0), (3, 2.0), (4, 3.0), (7, 4.0), (8, 5.0), (11, 6.0), (13, 15.0), (17, 19.0), (21, 23.0)]
    {
        expected[at] = number;
    }
    for (x, of) in [(&x, x.clone()), (&x, unknown(&x))] {
        for (axis, batch) in [(2i64, 1i64), (-1, 1), (2, -1)] {
            let picked = array::gather_batches(&of, &indices, axis, batch);
            check_counted(&picked, x, 12, &[2, 3, 4], &expected);
        }
    }
}

#[test]
fn gathers_of_unknown_rank_have_gradients() {
    let graph = Graph::new();
    let x = counted(&graph, &[2, 3, 4]);
    let indices = array::constant(&graph, [[0i32, 2], [1, 2]]);
    let second = [
        1.0, 2.0, 3.0, 4.0, 9.0, 10.0, 11.0, 12.0, 18.0, 20.0, 22.0, 24.0, 17.0, 18.0, 19.0, 20.0, 25.0,
        26.0, 27.0, 28.0, 50.0, 52.0, 54.0, 56.0,
    ];
    let last = [
        1.0, 3.0, 6.0, 0.0, 5.0, 7.0, 14.0, 0.0, 9.0, 11.0, 22.0, 0.0, 13.0, 15.0, 30.0, 0.0, 17.0, 19.0,
        38.0, 0.0, 21.0, 23.0, 46.0, 0.0,
    ];
    let hidden = array::gather_along(unknown(&x), unknown(&indices), 1);
    check_counted(&hidden, &x, 32, &[2, 3, 4], &second);
    let from_end = array::gather_along(unknown(&x), unknown(&indices), -1);
    check_counted(&from_end, &x, 24, &[2, 3, 4], &last);
    let within = array::gather_batches(unknown(&x), unknown(&indices), 1, 1);
    let mut expected = [0.0; 24];
    for (at, first) in [(0, 1.0), (8, 5.0), (16, 9.0), (20, 13.0)] {
        for step in 0..4 {
            expected[at + step] = first + f64::from(u8::try_from(step).unwrap());
        }
    }
    check_counted(&within, &x, 16, &[2, 3, 4], &expected);
    let axis = computed(&graph, 1i32);
    check_counted(&array::gather_along(&x, &indices, axis), &x, 32, &[2, 3, 4], &second);
    let first = array::gather_along(&x, array::constant(&graph, [1i32, 1]), computed(&graph, 0i32));
    let mut expected = [0.0; 24];
    for (at, number) in expected.iter_mut().enumerate().skip(12) {
        *number = 2.0 * f64::from(u8::try_from(at - 12).unwrap()) + 14.0;
    }
    check_counted(&first, &x, 24, &[2, 3, 4], &expected);
}

#[test]
fn gathers_of_nothing_have_gradients_of_zeros() {
    let graph = Graph::new();
    let x = counted(&graph, &[2, 3, 4]);
    let none = array::zeros(&graph, DType::Int32, [2, 0]);
    let picked = array::gather_batches(unknown(&x), none, -1, 1);
    check(gradients(&[picked], &[&x]).unwrap()[0].as_ref(), &[2, 3, 4], &[0.0; 24]);
}
