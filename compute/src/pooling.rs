//! Maximum and average pooling of NHWC images, and their gradients.
//!
//! Padding never takes part: a window contains only cells of the image. Ties, NaN, and infinities are treated as by TensorFlow's CPU
//! kernels; see [`max_pool`] and [`max_pool_gradient`].

mod average;
mod max;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::Pool;
use crate::parallel::SharedSlice;

/// The geometry of a pooling. All sizes are in elements. The padding at the bottom and the right follows from `out_h` and `out_w`.
///
/// Output pixel `(y, x)` reads the `window_h` by `window_w` input pixels that begin at `(y * stride_h - pad_top, x * stride_w - pad_left)`, as
/// far as they exist.
///
/// ```
/// use compute::pooling::PoolShape;
/// let shape = PoolShape {
///     batch: 1, in_h: 4, in_w: 4, channels: 3, window_h: 2, window_w: 2, stride_h: 2, stride_w: 2,
///     pad_top: 0, pad_left: 0, out_h: 2, out_w: 2,
/// };
/// assert_eq!((shape.input_len(), shape.output_len()), (48, 12));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolShape {
    /// Images.
    pub batch: usize,
    /// Input height.
    pub in_h: usize,
    /// Input width.
    pub in_w: usize,
    /// Channels of input and output.
    pub channels: usize,
    /// Window height.
    pub window_h: usize,
    /// Window width.
    pub window_w: usize,
    /// Rows from one window to the next; not 0.
    pub stride_h: usize,
    /// Columns from one window to the next; not 0.
    pub stride_w: usize,
    /// Rows of padding above the input.
    pub pad_top: usize,
    /// Columns of padding left of the input.
    pub pad_left: usize,
    /// Output height.
    pub out_h: usize,
    /// Output width.
    pub out_w: usize,
}

impl PoolShape {
    /// Returns the number of elements of the input, `[batch, in_h, in_w, channels]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.in_h * self.in_w * self.channels
    }

    /// Returns the number of elements of the output, `[batch, out_h, out_w, channels]`.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.out_h * self.out_w * self.channels
    }

    /// # Panics
    /// Panics if a number of elements differs from that of the shape, or if a stride is 0.
    fn check(&self, input: usize, output: usize) {
        assert_eq!(input, self.input_len(), "elements of the input of {self:?}");
        assert_eq!(output, self.output_len(), "elements of the output of {self:?}");
        assert!(self.stride_h > 0 && self.stride_w > 0, "strides of {self:?} must not be 0");
    }

    /// Elements of one input image.
    const fn input_image(&self) -> usize {
        self.in_h * self.in_w * self.channels
    }

    /// Elements of one output image.
    const fn output_image(&self) -> usize {
        self.out_h * self.out_w * self.channels
    }

    /// Returns true if every input pixel is in exactly one window.
    /// Then windows neither overlap nor leave a gap, so a gradient can be assigned instead of added.
    const fn tiles(&self) -> bool {
        self.stride_h == self.window_h
            && self.stride_w == self.window_w
            && self.out_h * self.stride_h >= self.in_h + self.pad_top
            && self.out_w * self.stride_w >= self.in_w + self.pad_left
    }

    /// Lists where, in an image, the cells of the window of output pixel `(y, x)` are, row by row.
    #[inline(always)]
    fn cells(&self, y: usize, x: usize, cells: &mut Vec<usize>) {
        let rows = clip(y * self.stride_h, self.window_h, self.pad_top, self.in_h);
        let columns = clip(x * self.stride_w, self.window_w, self.pad_left, self.in_w);
        cells.clear();
        for row in rows {
            cells.extend(columns.clone().map(|column| (row * self.in_w + column) * self.channels));
        }
    }
}

/// Returns the part of `start - pad .. start - pad + window` that lies in `0..size`.
/// `clip(0, 3, 1, 5)` is `0..2`.
#[inline(always)]
fn clip(start: usize, window: usize, pad: usize, size: usize) -> Range<usize> {
    // Saturating, since a window may lie in the padding as a whole: the range is then empty.
    let end = (start + window).saturating_sub(pad).min(size);
    start.saturating_sub(pad).min(end)..end
}

/// A type that can be ordered for maximum pooling: floating-point numbers and integers. Sealed.
pub trait PoolElement: Copy + PartialOrd + Send + Sync + sealed::Element + 'static {}
impl<T: Copy + PartialOrd + Send + Sync + sealed::Element + 'static> PoolElement for T {}

/// A type that can be averaged: `f32` and `f64`. Sealed.
pub trait AverageElement: PoolElement + sealed::Average {}
impl AverageElement for f32 {}
impl AverageElement for f64 {}

mod sealed {
    use crate::elementwise::{self, Loops};
    use half::{bf16, f16};

    /// A number as the kernels of maximum pooling and its gradient need it.
    pub trait Element: Sized {
        /// The least finite value.
        const LOWEST: Self;
        /// The number 0.
        const ZERO: Self;
        /// True for the types whose windows a program waits for: their loops are compiled for every instruction set and
        /// for groups of channels.
        const HOT: bool;
        /// Returns the sum, by which overlapping windows add their gradients; integers wrap.
        fn plus(self, other: Self) -> Self;
    }

    /// Implements the trait by lines of `type: lowest value, zero, |a, b| sum;`.
    macro_rules! element {
        ($($type:ty: $lowest:expr, $zero:expr, |$a:ident, $b:ident| $plus:expr;)*) => {$(
            impl Element for $type {
                const HOT: bool = matches!(<$type as elementwise::Element>::LOOPS, Loops::All);
                const LOWEST: Self = $lowest;
                const ZERO: Self = $zero;
                #[inline(always)]
                fn plus(self, other: Self) -> Self {
                    let ($a, $b) = (self, other);
                    $plus
                }
            }
        )*};
    }
    element! {
        f32: f32::MIN, 0.0, |a, b| a + b;
        f64: f64::MIN, 0.0, |a, b| a + b;
        f16: f16::MIN, f16::ZERO, |a, b| a + b;
        bf16: bf16::MIN, bf16::ZERO, |a, b| a + b;
        i8: i8::MIN, 0, |a, b| a.wrapping_add(b);
        i16: i16::MIN, 0, |a, b| a.wrapping_add(b);
        i32: i32::MIN, 0, |a, b| a.wrapping_add(b);
        i64: i64::MIN, 0, |a, b| a.wrapping_add(b);
        u8: u8::MIN, 0, |a, b| a.wrapping_add(b);
        u16: u16::MIN, 0, |a, b| a.wrapping_add(b);
        u32: u32::MIN, 0, |a, b| a.wrapping_add(b);
        u64: u64::MIN, 0, |a, b| a.wrapping_add(b);
    }

    /// Numbers with a mean.
    pub trait Average: Element {
        /// Returns the number divided by `count`, which is not 0.
        fn over(self, count: usize) -> Self;
    }
    impl Average for f32 {
        #[inline(always)]
        fn over(self, count: usize) -> f32 {
            self / count as f32
        }
    }
    impl Average for f64 {
        #[inline(always)]
        fn over(self, count: usize) -> f64 {
            self / count as f64
        }
    }
}

/// Computes the maximum of each window.
///
/// NaN is not greater than anything, so it is skipped. A window that contains only NaN and negative infinities, or no cell at all, yields the
/// smallest finite value of the type, as in TensorFlow.
///
/// ```
/// use compute::{Pool, pooling::{PoolShape, max_pool}};
/// let shape = PoolShape {
///     batch: 1, in_h: 2, in_w: 4, channels: 1, window_h: 2, window_w: 2, stride_h: 2, stride_w: 2,
///     pad_top: 0, pad_left: 0, out_h: 1, out_w: 2,
/// };
/// let mut output = [0.0f32; 2];
/// max_pool(&Pool::single(), &shape, &[1.0, 2.0, 3.0, 4.0, 8.0, 7.0, 6.0, 5.0], &mut output);
/// assert_eq!(output, [8.0, 6.0]);
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `shape`, or if a stride is 0.
pub fn max_pool<T: PoolElement>(pool: &Pool, shape: &PoolShape, input: &[T], output: &mut [T]) {
    shape.check(input.len(), output.len());
    rows_of_output(pool, shape, output, |rows, output| max::rows(shape, input, rows, output));
}

/// Computes the gradient of [`max_pool`] with respect to its input: the gradient of each window goes to its first maximum in row-major order.
///
/// A later cell does not replace a NaN, and a NaN replaces no earlier cell, so it receives the gradient only as the first cell of its window. The
/// output of the forward pass is not needed. (TensorFlow takes it and ignores it.)
///
/// ```
/// use compute::{Pool, pooling::{PoolShape, max_pool_gradient}};
/// let shape = PoolShape {
///     batch: 1, in_h: 1, in_w: 2, channels: 1, window_h: 1, window_w: 2, stride_h: 1, stride_w: 2,
///     pad_top: 0, pad_left: 0, out_h: 1, out_w: 1,
/// };
/// let mut gradient = [0.0f32; 2];
/// max_pool_gradient(&Pool::single(), &shape, &[1.0, 4.0], &[3.0], &mut gradient);
/// assert_eq!(gradient, [0.0, 3.0]);
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `shape`, or if a stride is 0.
pub fn max_pool_gradient<T: PoolElement>(
    pool: &Pool,
    shape: &PoolShape,
    input: &[T],
    output_gradient: &[T],
    input_gradient: &mut [T],
) {
    shape.check(input.len(), output_gradient.len());
    shape.check(input_gradient.len(), output_gradient.len());
    images_of_input(pool, shape, input_gradient, |image, to| {
        let input = &input[image * to.len()..][..to.len()];
        let gradient = &output_gradient[image * shape.output_image()..][..shape.output_image()];
        max::gradient(shape, input, gradient, to);
    });
}

/// Computes the mean of the cells of each window that lie inside the image; 0 if there are none.
///
/// ```
/// use compute::{Pool, pooling::{PoolShape, average_pool}};
/// let shape = PoolShape {
///     batch: 1, in_h: 1, in_w: 3, channels: 1, window_h: 1, window_w: 2, stride_h: 1, stride_w: 2,
///     pad_top: 0, pad_left: 0, out_h: 1, out_w: 2,
/// };
/// let mut output = [0.0f32; 2];
/// average_pool(&Pool::single(), &shape, &[1.0, 2.0, 7.0], &mut output);
/// assert_eq!(output, [1.5, 7.0]); // the second window has one cell
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `shape`, or if a stride is 0.
pub fn average_pool<T: AverageElement>(pool: &Pool, shape: &PoolShape, input: &[T], output: &mut [T]) {
    shape.check(input.len(), output.len());
    rows_of_output(pool, shape, output, |rows, output| average::rows(shape, input, rows, output));
}

/// Computes the gradient of [`average_pool`]: the gradient of each window is divided equally among its cells.
///
/// ```
/// use compute::{Pool, pooling::{PoolShape, average_pool_gradient}};
/// let shape = PoolShape {
///     batch: 1, in_h: 1, in_w: 2, channels: 1, window_h: 1, window_w: 2, stride_h: 1, stride_w: 2,
///     pad_top: 0, pad_left: 0, out_h: 1, out_w: 1,
/// };
/// let mut gradient = [0.0f32; 2];
/// average_pool_gradient(&Pool::single(), &shape, &[3.0], &mut gradient);
/// assert_eq!(gradient, [1.5, 1.5]);
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `shape`, or if a stride is 0.
pub fn average_pool_gradient<T: AverageElement>(
    pool: &Pool,
    shape: &PoolShape,
    output_gradient: &[T],
    input_gradient: &mut [T],
) {
    shape.check(input_gradient.len(), output_gradient.len());
    images_of_input(pool, shape, input_gradient, |image, to| {
        let gradient = &output_gradient[image * shape.output_image()..][..shape.output_image()];
        average::gradient(shape, gradient, to);
    });
}

/// Input elements that are worth handing to another thread.
const GRAIN: usize = 1 << 15;

/// Shares the output's rows, numbered through all images, out among the threads.
///
/// `work` gets the numbers of some rows and their part of the output. Every row is computed by one thread, so
/// the number of threads has no influence on the bits.
fn rows_of_output<T: Send>(
    pool: &Pool,
    shape: &PoolShape,
    output: &mut [T],
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    let row = shape.out_w * shape.channels;
    if output.is_empty() {
        return;
    }
    // Parts are measured by what they read, which is most of the cost.
    let read = (shape.window_h * shape.window_w * row).max(1);
    let step = GRAIN.div_ceil(read);
    let rows = shape.batch * shape.out_h;
    let output = SharedSlice::new(output);
    pool.run(rows.div_ceil(step), |item| {
        let rows = item * step..((item + 1) * step).min(rows);
        #[allow(unsafe_code)]
        // SAFETY: the ranges of rows are disjoint.
        let output = unsafe { output.part(rows.start * row, rows.end * row) };
        work(rows, output);
    });
}

/// Shares the input's images out among the threads: windows of one image may overlap.
///
/// `work` gets the number of an image and its part of the gradient.
fn images_of_input<T: Send>(
    pool: &Pool,
    shape: &PoolShape,
    input: &mut [T],
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let image = shape.input_image();
    if input.is_empty() {
        return;
    }
    // Whole images: the windows of one image may overlap, those of two never do.
    let step = GRAIN.div_ceil(image);
    let input = SharedSlice::new(input);
    pool.run(shape.batch.div_ceil(step), |item| {
        for n in item * step..((item + 1) * step).min(shape.batch) {
            #[allow(unsafe_code)]
            // SAFETY: every image belongs to one item.
            work(n, unsafe { input.part(n * image, (n + 1) * image) });
        }
    });
}

/// Calls the function for all channels: in groups of sixteen (an AVX-512 register of `f32`, the only hot type), of four, and
/// single ones.
///
/// `by_lanes!(channels, function, arguments...)` calls `function::<T, L>(channel, arguments...)` for `L`
/// channels from `channel` on. With 20 channels of `f32`, the groups begin at channels 0 and 16.
macro_rules! by_lanes {
    ($channels:expr, $function:ident, $($argument:expr),*) => {
        let channels = $channels;
        let mut channel = 0;
        if const { T::HOT } {
            while channel + 16 <= channels {
                $function::<T, 16>(channel, $($argument),*);
                channel += 16;
            }
        }
        while channel + 4 <= channels {
            $function::<T, 4>(channel, $($argument),*);
            channel += 4;
        }
        while channel < channels {
            $function::<T, 1>(channel, $($argument),*);
            channel += 1;
        }
    };
}
use by_lanes;

/// `L` elements from `at` on.
/// As an array, they are a vector for the compiler.
#[inline(always)]
fn lanes<T: Copy, const L: usize>(from: &[T], at: usize) -> [T; L] {
    std::array::from_fn(|l| from[at..at + L][l])
}
