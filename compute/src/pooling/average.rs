//! The kernels of average pooling.
//!
//! The mean is over the cells of the window inside of the image, so padding does not count. The lanes of a vector are
//! channels, as in maximum pooling. The sum is in the order of rows and columns, and is divided once.

use std::ops::Range;

use super::{AverageElement, PoolShape, by_lanes, lanes};

dispatch! {
    /// The means of some rows of the output.
    pub(super) fn rows<T: AverageElement>(shape: &PoolShape, input: &[T], rows: Range<usize>, output: &mut [T]) {
        let channels = shape.channels;
        let cells = &mut Vec::with_capacity(shape.window_h.min(shape.in_h) * shape.window_w.min(shape.in_w));
        for (row, output) in rows.zip(output.chunks_exact_mut(shape.out_w * channels)) {
            let (image, y) = (row / shape.out_h, row % shape.out_h);
            let input = &input[image * shape.input_image()..][..shape.input_image()];
            for (x, output) in output.chunks_exact_mut(channels).enumerate() {
                shape.cells(y, x, cells);
                by_lanes!(channels, means, input, cells, output);
            }
        }
    }
}

/// The means of `L` channels.
/// `cells` are the places of the window in `input`, each of them that of channel 0.
#[inline(always)]
fn means<T: AverageElement, const L: usize>(channel: usize, input: &[T], cells: &[usize], output: &mut [T]) {
    let plus = |sum: [T; L], cell: usize| {
        let x = lanes::<T, L>(input, cell + channel);
        std::array::from_fn(|l| sum[l].plus(x[l]))
    };
    let sum = match *cells {
        // The commonest window, without a loop.
        [a, b, c, d] => plus(plus(plus(plus([T::ZERO; L], a), b), c), d),
        _ => cells.iter().fold([T::ZERO; L], |sum, &cell| plus(sum, cell)),
    };
    // A window in the padding has no cells, and its sum of 0 is its mean.
    let count = cells.len().max(1);
    output[channel..channel + L].copy_from_slice(&sum.map(|x| x.over(count)));
}

dispatch! {
    /// The gradient with respect to one image.
    pub(super) fn gradient<T: AverageElement>(shape: &PoolShape, gradient: &[T], to: &mut [T]) {
        let channels = shape.channels;
        let cells = &mut Vec::with_capacity(shape.window_h.min(shape.in_h) * shape.window_w.min(shape.in_w));
        // Windows may overlap, so shares are added.
        to.fill(T::ZERO);
        for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
            shape.cells(pixel / shape.out_w, pixel % shape.out_w, cells);
            by_lanes!(channels, share_out, cells, gradient, to);
        }
    }
}

/// Adds an equal share of the gradient of `L` channels to each cell.
#[inline(always)]
fn share_out<T: AverageElement, const L: usize>(
    channel: usize,
    cells: &[usize],
    gradient: &[T],
    to: &mut [T],
) {
    let share = lanes::<T, L>(gradient, channel).map(|x| x.over(cells.len().max(1)));
    for &cell in cells {
        let to = &mut to[cell + channel..][..L];
        for l in 0..L {
            to[l] = to[l].plus(share[l]);
        }
    }
}
