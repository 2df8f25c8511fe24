//! The kernels of maximum pooling.
//!
//! # Ties and NaN
//!
//! The gradient goes to the first of the largest elements of a window, in the order of rows and columns, as in
//! TensorFlow. A NaN is never greater than another number, so maxima ignore it.
//!
//! # Loops
//!
//! The channels of a pixel lie next to each other, so the lanes of a vector are channels, and all lanes have the same
//! window. Windows that do not overlap and leave no gap (`tiles`) assign their gradients; other windows add them to
//! an image that was cleared before.

use std::ops::Range;

use super::{PoolElement, PoolShape, by_lanes, lanes};

/// The maxima of some rows of the output.
pub(super) fn rows<T: PoolElement>(shape: &PoolShape, input: &[T], rows: Range<usize>, output: &mut [T]) {
    if const { T::HOT } {
        rows_vector(shape, input, rows, output);
    } else {
        rows_body(shape, input, rows, output);
    }
}

dispatch! {
    /// Computes some output rows with the vectors of the CPU.
    fn rows_vector<T: PoolElement>(shape: &PoolShape, input: &[T], rows: Range<usize>, output: &mut [T]) {
        rows_body(shape, input, rows, output);
    }
}

/// Computes some output rows, as it is compiled for each instruction set.
#[inline(always)]
fn rows_body<T: PoolElement>(shape: &PoolShape, input: &[T], rows: Range<usize>, output: &mut [T]) {
    let channels = shape.channels;
    let cells = &mut Vec::with_capacity(shape.window_h.min(shape.in_h) * shape.window_w.min(shape.in_w));
    for (row, output) in rows.zip(output.chunks_exact_mut(shape.out_w * channels)) {
        let (image, y) = (row / shape.out_h, row % shape.out_h);
        let input = &input[image * shape.input_image()..][..shape.input_image()];
        for (x, output) in output.chunks_exact_mut(channels).enumerate() {
            shape.cells(y, x, cells);
            by_lanes!(channels, maxima, input, cells, output);
        }
    }
}

/// The maxima of `L` channels.
#[inline(always)]
fn maxima<T: PoolElement, const L: usize>(channel: usize, input: &[T], cells: &[usize], output: &mut [T]) {
    // A comparison rather than `max`: it is false for NaN, which therefore replaces nothing.
    let greater = |best: [T; L], cell: usize| {
        let x = lanes::<T, L>(input, cell + channel);
        std::array::from_fn(|l| if x[l] > best[l] { x[l] } else { best[l] })
    };
    let best = match *cells {
        // The commonest window, without a loop.
        [a, b, c, d] => greater(greater(greater(greater([T::LOWEST; L], a), b), c), d),
        _ => cells.iter().fold([T::LOWEST; L], |best, &cell| greater(best, cell)),
    };
    output[channel..channel + L].copy_from_slice(&best);
}

/// The gradient with respect to one image.
pub(super) fn gradient<T: PoolElement>(shape: &PoolShape, input: &[T], gradient: &[T], to: &mut [T]) {
    if const { T::HOT } {
        gradient_vector(shape, input, gradient, to);
    } else {
        gradient_body(shape, input, gradient, to);
    }
}

dispatch! {
    /// Computes the gradient of an image with the vectors of the CPU.
    fn gradient_vector<T: PoolElement>(shape: &PoolShape, input: &[T], gradient: &[T], to: &mut [T]) {
        gradient_body(shape, input, gradient, to);
    }
}

/// Adds the gradient of each output to the first of the largest inputs, as TensorFlow's CPU kernels do.
#[inline(always)]
fn gradient_body<T: PoolElement>(shape: &PoolShape, input: &[T], gradient: &[T], to: &mut [T]) {
    let channels = shape.channels;
    let cells = &mut Vec::with_capacity(shape.window_h.min(shape.in_h) * shape.window_w.min(shape.in_w));
    let tiles = shape.tiles();
    // Windows that tile the image assign every cell; clearing it first would be a second pass over memory.
    if !tiles {
        to.fill(T::ZERO);
    }
    for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
        shape.cells(pixel / shape.out_w, pixel % shape.out_w, cells);
        if tiles {
            by_lanes!(channels, give_first, input, cells, gradient, to);
        } else {
            by_lanes!(channels, add_to_first, input, cells, gradient, to);
        }
    }
}

/// Returns, for each of `L` channels, the cell of the window that holds the first maximum.
/// The result is a number within `cells`; without cells it is 0.
#[inline(always)]
fn firsts<T: PoolElement, const L: usize>(channel: usize, input: &[T], cells: &[usize]) -> [u32; L] {
    let Some((&first, rest)) = cells.split_first() else { return [0; L] };
    let mut best = lanes::<T, L>(input, first + channel);
    // Numbers within the window instead of places in the image, so that 32 bits suffice and a vector holds as
    // many as of `f32`.
    let mut place = [0; L];
    for (n, &cell) in (1..).zip(rest) {
        let x = lanes::<T, L>(input, cell + channel);
        for l in 0..L {
            // Not `>=`: the first of equal cells stays.
            let greater = x[l] > best[l];
            best[l] = if greater { x[l] } else { best[l] };
            place[l] = if greater { n } else { place[l] };
        }
    }
    place
}

/// Sets the cells of a window that overlaps no other.
/// The first maximum gets the gradient, and all other cells get 0.
#[inline(always)]
fn give_first<T: PoolElement, const L: usize>(
    channel: usize,
    input: &[T],
    cells: &[usize],
    gradient: &[T],
    to: &mut [T],
) {
    let place = firsts::<T, L>(channel, input, cells);
    let gradient = lanes::<T, L>(gradient, channel);
    for (n, &cell) in (0..).zip(cells) {
        let to = &mut to[cell + channel..][..L];
        for l in 0..L {
            to[l] = if place[l] == n { gradient[l] } else { T::ZERO };
        }
    }
}

/// Adds to the cells of a window.
/// The gradient is added to the first maximum; other cells stay as they are.
#[inline(always)]
fn add_to_first<T: PoolElement, const L: usize>(
    channel: usize,
    input: &[T],
    cells: &[usize],
    gradient: &[T],
    to: &mut [T],
) {
    let place = firsts::<T, L>(channel, input, cells);
    let gradient = lanes::<T, L>(gradient, channel);
    for (n, &cell) in (0..).zip(cells) {
        let to = &mut to[cell + channel..][..L];
        for l in 0..L {
            to[l] = if place[l] == n { to[l].plus(gradient[l]) } else { to[l] };
        }
    }
}
