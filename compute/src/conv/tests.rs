//! All three products against plain loops, over geometries of every kind.

use super::*;
use crate::matmul::tests::{Casts, Numbers, all_isas, assert_close};

/// Calls `work(output pixel, input pixel, filter cell)` for every pair that meets.
fn pairs(shape: &ConvShape, mut work: impl FnMut(usize, usize, usize)) {
    for n in 0..shape.batch {
        for oy in 0..shape.out_h {
            for ox in 0..shape.out_w {
                for fy in 0..shape.filter_h {
                    for fx in 0..shape.filter_w {
                        let y = (oy * shape.stride_h + fy * shape.dilation_h).wrapping_sub(shape.pad_top);
                        let x = (ox * shape.stride_w + fx * shape.dilation_w).wrapping_sub(shape.pad_left);
                        if y < shape.in_h && x < shape.in_w {
                            work(
                                (n * shape.out_h + oy) * shape.out_w + ox,
                                (n * shape.in_h + y) * shape.in_w + x,
                                fy * shape.filter_w + fx,
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Output, input gradient and filter gradient by definition.
fn by_definition(shape: &ConvShape, input: &[f64], filter: &[f64], gradient: &[f64]) -> [Vec<f64>; 3] {
    let mut results = [shape.output_len(), shape.input_len(), shape.filter_len()].map(|len| vec![0.0; len]);
    let [output, to_input, to_filter] = &mut results;
    let (ic, oc) = (shape.in_c, shape.out_c);
    pairs(shape, |o, i, f| {
        for c in 0..ic {
            for k in 0..oc {
                let w = (f * ic + c) * oc + k;
                output[o * oc + k] += input[i * ic + c] * filter[w];
                to_input[i * ic + c] += gradient[o * oc + k] * filter[w];
                to_filter[w] += input[i * ic + c] * gradient[o * oc + k];
            }
        }
    });
    results
}

/// Checks one geometry for one type, instruction set and number of threads; returns the three results.
fn check<T: Real>(shape: &ConvShape, isa: Isa, threads: usize, (from, to): Casts<T>) -> [Vec<f64>; 3] {
    let mut numbers = Numbers::new(shape.input_len() + 31 * shape.output_len());
    let input = numbers.take(shape.input_len());
    let filter = numbers.take(shape.filter_len());
    let gradient = numbers.take(shape.output_len());
    let bias = numbers.take(shape.out_c);
    let mut expected = by_definition(shape, &input, &filter, &gradient);
    for row in expected[0].chunks_exact_mut(shape.out_c.max(1)) {
        row.iter_mut().zip(&bias).for_each(|(x, &b)| *x = (*x + b).max(0.0));
    }
    let cast = |values: &[f64]| values.iter().map(|&x| from(x)).collect::<Vec<T>>();
    let (input, filter, gradient, bias) = (cast(&input), cast(&filter), cast(&gradient), cast(&bias));
    let (pool, scratch) = (Pool::new(threads).unwrap(), &mut Scratch::new());
    let stale = |len| vec![from(f64::NAN); len];
    let (mut output, mut to_input, mut to_filter) =
        (stale(shape.output_len()), stale(shape.input_len()), stale(shape.filter_len()));
    let epilogue = Epilogue { bias: Some(&bias), relu: true };
    // Twice, for the second time finds the first one's scratch.
    for _ in 0..2 {
        forward_with(isa, &pool, scratch, shape, &input, &filter, epilogue, &mut output).unwrap();
        input_gradient_with(isa, &pool, scratch, shape, &filter, &gradient, &mut to_input).unwrap();
        filter_gradient_with(isa, &pool, scratch, shape, &input, &gradient, &mut to_filter).unwrap();
    }
    let results = [output, to_input, to_filter].map(|r| r.into_iter().map(to).collect::<Vec<f64>>());
    let tolerance = if size_of::<T>() == 4 { 1e-5 } else { 1e-13 };
    for (what, (result, expected)) in ["output", "input", "filter"].iter().zip(results.iter().zip(&expected))
    {
        assert_close(
            result,
            expected,
            tolerance,
            &format!("{what} of {shape:?}, {isa:?}, {threads} threads"),
        );
    }
    results
}

fn check_all(shape: &ConvShape) {
    for isa in all_isas() {
        let single = check::<f32>(shape, isa, 1, (|x| x as f32, f64::from));
        for threads in [2, 3] {
            let several = check::<f32>(shape, isa, threads, (|x| x as f32, f64::from));
            assert_eq!(several, single, "bits with {threads} threads, {shape:?}, {isa:?}");
        }
        check::<f64>(shape, isa, 2, (|x| x, |x| x));
    }
}

fn shape(
    batch: usize,
    (in_h, in_w): (usize, usize),
    in_c: usize,
    filter: (usize, usize),
    out_c: usize,
) -> ConvShape {
    ConvShape {
        batch,
        in_h,
        in_w,
        in_c,
        filter_h: filter.0,
        filter_w: filter.1,
        out_c,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: filter.0 / 2,
        pad_left: filter.1 / 2,
        out_h: in_h,
        out_w: in_w,
    }
}

#[test]
fn usual_shapes_match_the_plain_loops() {
    check_all(&shape(3, (28, 28), 1, (5, 5), 32));
    check_all(&shape(15, (14, 14), 8, (5, 5), 40));
    check_all(&shape(2, (9, 31), 7, (3, 3), 16));
    check_all(&shape(30, (3, 3), 33, (3, 3), 65));
    check_all(&shape(2, (8, 9), 20, (1, 1), 35));
}

#[test]
fn several_groups_of_images_and_several_chunks_match() {
    check_all(&shape(5, (32, 32), 17, (3, 3), 30));
    check_all(&shape(9, (40, 30), 3, (3, 3), 9));
}

#[test]
fn random_geometries_match_the_plain_loops() {
    let mut numbers = Numbers::new(7);
    for _ in 0..250 {
        let filter = (numbers.below(4) + 1, numbers.below(5) + 1);
        let channels = [1, 2, 3, 5, 6, 7, 16, 19, 33];
        let mut shape = shape(
            numbers.below(16) + 1,
            (numbers.below(12) + 1, numbers.below(12) + 1),
            channels[numbers.below(channels.len())],
            filter,
            channels[numbers.below(channels.len())],
        );
        (shape.stride_h, shape.stride_w) = (numbers.below(3) + 1, numbers.below(3) + 1);
        (shape.dilation_h, shape.dilation_w) = (numbers.below(2) + 1, numbers.below(2) + 1);
        (shape.pad_top, shape.pad_left) = (numbers.below(5), numbers.below(5));
        (shape.out_h, shape.out_w) = (numbers.below(9) + 1, numbers.below(9) + 1);
        check_all(&shape);
    }
}

#[test]
fn sizes_of_zero_are_allowed() {
    for zero in 0..8 {
        let mut shape = shape(2, (5, 4), 3, (3, 2), 4);
        let sizes = [
            &mut shape.batch,
            &mut shape.in_h,
            &mut shape.in_w,
            &mut shape.in_c,
            &mut shape.filter_h,
            &mut shape.filter_w,
            &mut shape.out_c,
            &mut shape.out_h,
        ];
        *sizes.into_iter().nth(zero).unwrap() = 0;
        check_all(&shape);
    }
}

#[test]
fn taps_that_only_cover_padding() {
    let mut shape = shape(2, (3, 3), 7, (3, 3), 4);
    (shape.pad_top, shape.pad_left) = (20, 30);
    check_all(&shape);
    shape.in_c = 2;
    check_all(&shape);
    (shape.stride_h, shape.stride_w, shape.pad_top, shape.pad_left) = (5, 4, 0, 0);
    check_all(&shape);
}

#[test]
fn relu_keeps_nan() {
    let shape = shape(1, (1, 20), 1, (1, 3), 3);
    for isa in all_isas() {
        let (input, filter) = (vec![f32::NAN; 20], vec![1.0; 9]);
        let mut output = vec![0.0; 60];
        let epilogue = Epilogue { bias: None, relu: true };
        let scratch = &mut Scratch::new();
        forward_with(isa, &Pool::single(), scratch, &shape, &input, &filter, epilogue, &mut output).unwrap();
        assert!(output.iter().all(|x| x.is_nan()), "{isa:?}");
    }
}

#[test]
#[should_panic(expected = "strides and dilations")]
fn a_stride_of_zero_is_refused() {
    let shape = ConvShape { stride_h: 0, ..shape(1, (1, 1), 1, (1, 1), 1) };
    let epilogue = Epilogue::default();
    let refused =
        forward(&Pool::single(), &mut Scratch::new(), &shape, &[1.0f32], &[1.0], epilogue, &mut [0.0]);
    refused.unwrap();
}
