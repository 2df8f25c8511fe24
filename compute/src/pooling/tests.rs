//! Pooling against plain loops and against what TensorFlow answers.

use super::*;
use crate::matmul::tests::Numbers;

fn shape(
    batch: usize,
    (in_h, in_w): (usize, usize),
    channels: usize,
    window: usize,
    stride: usize,
) -> PoolShape {
    PoolShape {
        batch,
        in_h,
        in_w,
        channels,
        window_h: window,
        window_w: window,
        stride_h: stride,
        stride_w: stride,
        pad_top: 0,
        pad_left: 0,
        out_h: (in_h - window) / stride + 1,
        out_w: (in_w - window) / stride + 1,
    }
}

/// Returns the elements of the input in the window of each element of the output, in row-major order.
fn windows(shape: &PoolShape) -> Vec<Vec<usize>> {
    let mut windows = Vec::new();
    for n in 0..shape.batch {
        for oy in 0..shape.out_h {
            for ox in 0..shape.out_w {
                for c in 0..shape.channels {
                    let mut window = Vec::new();
                    for i in 0..shape.window_h {
                        for j in 0..shape.window_w {
                            let y = (oy * shape.stride_h + i).wrapping_sub(shape.pad_top);
                            let x = (ox * shape.stride_w + j).wrapping_sub(shape.pad_left);
                            if y < shape.in_h && x < shape.in_w {
                                window.push(((n * shape.in_h + y) * shape.in_w + x) * shape.channels + c);
                            }
                        }
                    }
                    windows.push(window);
                }
            }
        }
    }
    windows
}

fn check<T: AverageElement + std::fmt::Debug>(shape: &PoolShape, from: fn(f64) -> T, to: fn(T) -> f64) {
    let mut numbers = Numbers::new(shape.input_len());
    // Few different values: ties are the rule.
    let input: Vec<f64> = numbers.take(shape.input_len()).iter().map(|x| (x * 3.0).round()).collect();
    let gradient: Vec<f64> = numbers.take(shape.output_len());
    let mut expected = [shape.output_len(), shape.input_len(), shape.output_len(), shape.input_len()]
        .map(|len| vec![0.0; len]);
    for (o, window) in windows(shape).iter().enumerate() {
        let mut best = None;
        for &i in window {
            if best.is_none_or(|best: usize| input[i] > input[best]) {
                best = Some(i);
            }
            expected[2][o] += input[i] / window.len() as f64;
            expected[3][i] += gradient[o] / window.len() as f64;
        }
        expected[0][o] = best.map_or(to(T::LOWEST), |best| input[best]);
        if let Some(best) = best {
            expected[1][best] += gradient[o];
        }
    }
    let cast = |values: &[f64]| values.iter().map(|&x| from(x)).collect::<Vec<T>>();
    let (input, gradient) = (cast(&input), cast(&gradient));
    for threads in [1, 3] {
        let pool = Pool::new(threads).unwrap();
        let mut results = [0, 1, 2, 3].map(|i| cast(&vec![f64::NAN; expected[i].len()]));
        let [max, max_gradient, average, average_gradient] = &mut results;
        max_pool(&pool, shape, &input, max);
        max_pool_gradient(&pool, shape, &input, &gradient, max_gradient);
        average_pool(&pool, shape, &input, average);
        super::average_pool_gradient(&pool, shape, &gradient, average_gradient);
        for (i, (result, expected)) in results.iter().zip(&expected).enumerate() {
            for (r, e) in result.iter().zip(expected) {
                assert!(
                    (to(*r) - e).abs() <= 1e-5 * e.abs().max(1.0),
                    "result {i}: {r:?} for {e}, {shape:?}"
                );
            }
        }
    }
}

#[test]
fn usual_and_random_shapes_match_the_plain_loops() {
    check::<f32>(&shape(3, (28, 28), 32, 2, 2), |x| x as f32, f64::from);
    check::<f32>(&shape(40, (28, 28), 32, 2, 2), |x| x as f32, f64::from);
    check::<f64>(&shape(2, (13, 15), 21, 3, 2), |x| x, |x| x);
    let mut numbers = Numbers::new(5);
    for _ in 0..300 {
        let mut shape = shape(
            numbers.below(4) + 1,
            (numbers.below(9) + 5, numbers.below(9) + 5),
            numbers.below(40) + 1,
            1,
            1,
        );
        (shape.window_h, shape.window_w) = (numbers.below(5) + 1, numbers.below(5) + 1);
        (shape.stride_h, shape.stride_w) = (numbers.below(4) + 1, numbers.below(4) + 1);
        (shape.pad_top, shape.pad_left) = (numbers.below(3), numbers.below(3));
        (shape.out_h, shape.out_w) = (numbers.below(8) + 1, numbers.below(8) + 1);
        check::<f32>(&shape, |x| x as f32, f64::from);
        check::<f64>(&shape, |x| x, |x| x);
    }
}

#[test]
fn sizes_of_zero_are_allowed() {
    for zero in 0..6 {
        let mut shape = shape(2, (4, 5), 3, 2, 2);
        let sizes = [
            &mut shape.batch,
            &mut shape.in_h,
            &mut shape.in_w,
            &mut shape.channels,
            &mut shape.out_h,
            &mut shape.window_w,
        ];
        *sizes.into_iter().nth(zero).unwrap() = 0;
        check::<f32>(&shape, |x| x as f32, f64::from);
    }
}

/// Output and gradient of one window of 2 x 2 in every channel of a pixel, which must agree.
fn one_window<T: PoolElement + std::fmt::Debug>(cells: [T; 4], one: T) -> (T, [T; 4]) {
    let shape = shape(1, (2, 2), 21, 2, 2);
    let input: Vec<T> = cells.iter().flat_map(|&x| [x; 21]).collect();
    let (mut output, mut gradient) = (vec![T::ZERO; 21], vec![T::ZERO; 84]);
    max_pool(&Pool::single(), &shape, &input, &mut output);
    max_pool_gradient(&Pool::single(), &shape, &input, &[one; 21], &mut gradient);
    assert!(output.iter().all(|&x| x == output[0]), "{output:?}");
    let gradient = std::array::from_fn(|cell| {
        let channels = &gradient[cell * 21..][..21];
        assert!(channels.iter().all(|&x| x == channels[0]), "{gradient:?}");
        channels[0]
    });
    (output[0], gradient)
}

// The expected values below were read off TensorFlow 2.21's CPU kernels, for 1 to 32 channels.

#[test]
fn the_first_of_equal_values_has_the_gradient() {
    assert_eq!(one_window([3.0f32, 3.0, 3.0, 3.0], 5.0), (3.0, [5.0, 0.0, 0.0, 0.0]));
    assert_eq!(one_window([1.0f32, 3.0, 3.0, 3.0], 5.0), (3.0, [0.0, 5.0, 0.0, 0.0]));
    assert_eq!(one_window([1.0f64, 1.0, 3.0, 3.0], 5.0), (3.0, [0.0, 0.0, 5.0, 0.0]));
    assert_eq!(one_window([1, 1, 1, 3i32], 5), (3, [0, 0, 0, 5]));
    assert_eq!(one_window([200, 1, 1, 3u8], 5), (200, [5, 0, 0, 0]));
}

#[test]
fn nan_and_infinities_are_as_in_tensorflow() {
    let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
    assert_eq!(one_window([1.0, 2.0, 3.0, nan], 5.0), (3.0, [0.0, 0.0, 5.0, 0.0]));
    assert_eq!(one_window([nan, 2.0, 3.0, 4.0], 5.0), (4.0, [5.0, 0.0, 0.0, 0.0]));
    assert_eq!(one_window([1.0, nan, 3.0, 4.0], 5.0), (4.0, [0.0, 0.0, 0.0, 5.0]));
    assert_eq!(one_window([nan; 4], 5.0), (f32::MIN, [5.0, 0.0, 0.0, 0.0]));
    assert_eq!(one_window([low; 4], 5.0), (f32::MIN, [5.0, 0.0, 0.0, 0.0]));
    assert_eq!(one_window([low, nan, low, nan], 5.0), (f32::MIN, [5.0, 0.0, 0.0, 0.0]));
}

#[test]
fn overlapping_windows_add_up() {
    // SAME padding of a 3 x 3 image, windows of 2 x 2 at stride 1.
    let shape = PoolShape { out_h: 3, out_w: 3, ..shape(1, (3, 3), 1, 2, 1) };
    let input = [1.0, 5.0, 2.0, 5.0, 5.0, 1.0, 0.0, 5.0, 0.0];
    let gradient: Vec<f32> = (1..=9u8).map(f32::from).collect();
    let mut to = [0.0; 9];
    max_pool_gradient(&Pool::single(), &shape, &input, &gradient, &mut to);
    assert_eq!(to, [0.0, 3.0, 3.0, 4.0, 5.0, 6.0, 0.0, 15.0, 9.0]);
    let mut means = [0.0; 9];
    average_pool(&Pool::single(), &shape, &input, &mut means);
    assert_eq!(means, [4.0, 3.25, 1.5, 3.75, 2.75, 0.5, 2.5, 2.5, 0.0]);
    super::average_pool_gradient(&Pool::single(), &shape, &[1.0; 9], &mut to);
    assert_eq!(to, [0.25, 0.5, 0.75, 0.5, 1.0, 1.5, 0.75, 1.5, 2.25]);
}

#[test]
#[should_panic(expected = "elements of the output")]
fn a_wrong_length_is_refused() {
    max_pool(&Pool::single(), &shape(1, (2, 2), 1, 2, 2), &[1.0f32; 4], &mut [0.0; 2]);
}
