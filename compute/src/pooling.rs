//! Maximum and average pooling of NHWC images, and their gradients.
//!
//! Padding never takes part: a window counts the cells inside the image only. Ties, NaN and infinities
//! are treated as TensorFlow's CPU kernels treat them; see [`max_pool`] and [`max_pool_gradient`].

use crate::Pool;
use crate::matmul::Real;
use crate::parallel::SharedSlice;

/// The geometry of one pooling; sizes in elements. What lies beyond the bottom and the right edge
/// follows from `out_h` and `out_w`.
///
/// Output pixel `(y, x)` sees the `window_h` by `window_w` input pixels whose first is
/// `(y * stride_h - pad_top, x * stride_w - pad_left)`, as far as they exist.
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
    /// Elements of the input, `[batch, in_h, in_w, channels]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.in_h * self.in_w * self.channels
    }

    /// Elements of the output, `[batch, out_h, out_w, channels]`.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.out_h * self.out_w * self.channels
    }

    fn check(&self, input: usize, output: usize) {
        assert_eq!(input, self.input_len(), "elements of the input of {self:?}");
        assert_eq!(output, self.output_len(), "elements of the output of {self:?}");
        assert!(self.stride_h > 0 && self.stride_w > 0, "strides of {self:?} must not be 0");
    }

    /// Input rows that the windows of output row `oy` cover.
    #[inline(always)]
    fn rows(&self, oy: usize) -> (usize, usize) {
        clip(oy * self.stride_h, self.window_h, self.pad_top, self.in_h)
    }

    /// Input columns that the windows of output column `ox` cover.
    #[inline(always)]
    fn columns(&self, ox: usize) -> (usize, usize) {
        clip(ox * self.stride_w, self.window_w, self.pad_left, self.in_w)
    }
}

/// The part of `start - pad .. start - pad + window` that lies in `0..size`.
#[inline(always)]
fn clip(start: usize, window: usize, pad: usize, size: usize) -> (usize, usize) {
    let first = start.saturating_sub(pad).min(size);
    let end = (start + window).saturating_sub(pad).min(size);
    (first, end.max(first))
}

/// A type that windows can be maximised over: floating-point numbers and integers. Sealed.
pub trait PoolElement: Copy + PartialOrd + Send + Sync + sealed::Lowest + 'static {}
impl<T: Copy + PartialOrd + Send + Sync + sealed::Lowest + 'static> PoolElement for T {}

mod sealed {
    /// The least finite value and the arithmetic that a gradient needs.
    pub trait Lowest {
        const LOWEST: Self;
        const ZERO: Self;
        fn plus(self, other: Self) -> Self;
    }
    macro_rules! float {
        ($($type:ty),*) => {$(
            impl Lowest for $type {
                const LOWEST: Self = <$type>::MIN;
                const ZERO: Self = 0.0;
                #[inline(always)]
                fn plus(self, other: Self) -> Self {
                    self + other
                }
            }
        )*};
    }
    macro_rules! integer {
        ($($type:ty),*) => {$(
            impl Lowest for $type {
                const LOWEST: Self = <$type>::MIN;
                const ZERO: Self = 0;
                #[inline(always)]
                fn plus(self, other: Self) -> Self {
                    self.wrapping_add(other)
                }
            }
        )*};
    }
    float!(f32, f64);
    integer!(i8, i16, i32, i64, u8, u16, u32, u64);
    impl Lowest for half::f16 {
        const LOWEST: Self = half::f16::MIN;
        const ZERO: Self = half::f16::ZERO;
        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            self + other
        }
    }
    impl Lowest for half::bf16 {
        const LOWEST: Self = half::bf16::MIN;
        const ZERO: Self = half::bf16::ZERO;
        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            self + other
        }
    }
}

/// Channels handled at once: one AVX-512 register of `f32`.
const LANES: usize = 16;

/// The maximum of every window.
///
/// NaN is never greater than anything, so it is passed over; a window of nothing but NaN and negative
/// infinities, or without any cell, gives the type's least finite value (TensorFlow does the same).
///
/// # Panics
/// When a slice has not the length that `shape` gives it, or a stride is 0.
pub fn max_pool<T: PoolElement>(pool: &Pool, shape: &PoolShape, input: &[T], output: &mut [T]) {
    shape.check(input.len(), output.len());
    per_image(pool, shape, input, output, shape.out_h * shape.out_w, max_image);
}

/// The gradient of [`max_pool`] with respect to its input: every window's gradient goes to its first
/// maximum in row-major order. A NaN is replaced by no later cell and replaces no earlier one, so that
/// it receives the gradient only when it is the window's first cell. What the forward pass gave is not
/// looked at (TensorFlow takes it and ignores it, too).
///
/// # Panics
/// When a slice has not the length that `shape` gives it, or a stride is 0.
pub fn max_pool_gradient<T: PoolElement>(
    pool: &Pool,
    shape: &PoolShape,
    input: &[T],
    output_gradient: &[T],
    input_gradient: &mut [T],
) {
    shape.check(input.len(), output_gradient.len());
    shape.check(input_gradient.len(), output_gradient.len());
    let (pixels, outputs) =
        (shape.in_h * shape.in_w * shape.channels, shape.out_h * shape.out_w * shape.channels);
    let shared = SharedSlice::new(input_gradient);
    pool.run(if pixels == 0 { 0 } else { shape.batch }, |n| {
        #[allow(unsafe_code)]
        // SAFETY: every image is one item.
        let gradient = unsafe { shared.part(n * pixels, (n + 1) * pixels) };
        max_gradient_image(
            shape,
            &input[n * pixels..][..pixels],
            &output_gradient[n * outputs..][..outputs],
            gradient,
        );
    });
}

/// The mean over the cells of every window that lie inside the image; 0 where there are none.
///
/// # Panics
/// When a slice has not the length that `shape` gives it, or a stride is 0.
pub fn average_pool<T: Real + AverageElement>(pool: &Pool, shape: &PoolShape, input: &[T], output: &mut [T]) {
    shape.check(input.len(), output.len());
    per_image(pool, shape, input, output, shape.out_h * shape.out_w, average_image);
}

/// The gradient of [`average_pool`]: every window's gradient is shared out equally among its cells.
///
/// # Panics
/// When a slice has not the length that `shape` gives it, or a stride is 0.
pub fn average_pool_gradient<T: Real + AverageElement>(
    pool: &Pool,
    shape: &PoolShape,
    output_gradient: &[T],
    input_gradient: &mut [T],
) {
    shape.check(input_gradient.len(), output_gradient.len());
    per_image(pool, shape, output_gradient, input_gradient, shape.in_h * shape.in_w, average_gradient_image);
}

/// A type that can be averaged: `f32` and `f64`. Sealed.
pub trait AverageElement: PoolElement + std::ops::Mul<Output = Self> + sealed_average::Reciprocal {}
impl AverageElement for f32 {}
impl AverageElement for f64 {}

mod sealed_average {
    /// `1 / n` of a count.
    pub trait Reciprocal {
        fn reciprocal(count: usize) -> Self;
    }
    impl Reciprocal for f32 {
        #[inline(always)]
        fn reciprocal(count: usize) -> f32 {
            1.0 / count as f32
        }
    }
    impl Reciprocal for f64 {
        #[inline(always)]
        fn reciprocal(count: usize) -> f64 {
            1.0 / count as f64
        }
    }
}

/// Runs `work` on every image; `to` has `pixels` pixels for each.
fn per_image<T: PoolElement>(
    pool: &Pool,
    shape: &PoolShape,
    from: &[T],
    to: &mut [T],
    pixels: usize,
    work: fn(&PoolShape, &[T], &mut [T]),
) {
    let len = pixels * shape.channels;
    if len == 0 || shape.batch == 0 {
        return;
    }
    let from_len = from.len() / shape.batch;
    let shared = SharedSlice::new(to);
    pool.run(shape.batch, |n| {
        #[allow(unsafe_code)]
        // SAFETY: every image is one item.
        let to = unsafe { shared.part(n * len, (n + 1) * len) };
        work(shape, &from[n * from_len..][..from_len], to);
    });
}

dispatch! {
    /// [`max_pool`] of one image.
    fn max_image<T: PoolElement>(shape: &PoolShape, input: &[T], output: &mut [T]) {
        let channels = shape.channels;
        for oy in 0..shape.out_h {
            let rows = shape.rows(oy);
            for ox in 0..shape.out_w {
                let columns = shape.columns(ox);
                let to = &mut output[(oy * shape.out_w + ox) * channels..][..channels];
                let mut parts = to.chunks_exact_mut(LANES);
                let mut c = 0;
                for part in &mut parts {
                    let mut best = [T::LOWEST; LANES];
                    for y in rows.0..rows.1 {
                        for x in columns.0..columns.1 {
                            let cell = &input[(y * shape.in_w + x) * channels + c..][..LANES];
                            for l in 0..LANES {
                                best[l] = if cell[l] > best[l] { cell[l] } else { best[l] };
                            }
                        }
                    }
                    part.copy_from_slice(&best);
                    c += LANES;
                }
                for (l, out) in parts.into_remainder().iter_mut().enumerate() {
                    let mut best = T::LOWEST;
                    for y in rows.0..rows.1 {
                        for x in columns.0..columns.1 {
                            let cell = input[(y * shape.in_w + x) * channels + c + l];
                            best = if cell > best { cell } else { best };
                        }
                    }
                    *out = best;
                }
            }
        }
    }
}

dispatch! {
    /// [`max_pool_gradient`] of one image.
    fn max_gradient_image<T: PoolElement>(shape: &PoolShape, input: &[T], gradient: &[T], to: &mut [T]) {
        let channels = shape.channels;
        to.fill(T::ZERO);
        for oy in 0..shape.out_h {
            let rows = shape.rows(oy);
            for ox in 0..shape.out_w {
                let columns = shape.columns(ox);
                if rows.0 == rows.1 || columns.0 == columns.1 {
                    continue;
                }
                let gradient = &gradient[(oy * shape.out_w + ox) * channels..][..channels];
                for (c, &gradient) in gradient.iter().enumerate() {
                    let mut first = (rows.0 * shape.in_w + columns.0) * channels + c;
                    for y in rows.0..rows.1 {
                        for x in columns.0..columns.1 {
                            let cell = (y * shape.in_w + x) * channels + c;
                            if input[cell] > input[first] {
                                first = cell;
                            }
                        }
                    }
                    to[first] = to[first].plus(gradient);
                }
            }
        }
    }
}

dispatch! {
    /// [`average_pool`] of one image.
    fn average_image<T: AverageElement>(shape: &PoolShape, input: &[T], output: &mut [T]) {
        let channels = shape.channels;
        for oy in 0..shape.out_h {
            let rows = shape.rows(oy);
            for ox in 0..shape.out_w {
                let columns = shape.columns(ox);
                let to = &mut output[(oy * shape.out_w + ox) * channels..][..channels];
                to.fill(T::ZERO);
                let cells = (rows.1 - rows.0) * (columns.1 - columns.0);
                if cells == 0 {
                    continue;
                }
                for y in rows.0..rows.1 {
                    for x in columns.0..columns.1 {
                        let cell = &input[(y * shape.in_w + x) * channels..][..channels];
                        to.iter_mut().zip(cell).for_each(|(to, &cell)| *to = to.plus(cell));
                    }
                }
                let share = T::reciprocal(cells);
                to.iter_mut().for_each(|to| *to = *to * share);
            }
        }
    }
}

dispatch! {
    /// [`average_pool_gradient`] of one image.
    fn average_gradient_image<T: AverageElement>(shape: &PoolShape, gradient: &[T], to: &mut [T]) {
        let channels = shape.channels;
        to.fill(T::ZERO);
        for oy in 0..shape.out_h {
            let rows = shape.rows(oy);
            for ox in 0..shape.out_w {
                let columns = shape.columns(ox);
                let cells = (rows.1 - rows.0) * (columns.1 - columns.0);
                if cells == 0 {
                    continue;
                }
                let share = T::reciprocal(cells);
                let gradient = &gradient[(oy * shape.out_w + ox) * channels..][..channels];
                for y in rows.0..rows.1 {
                    for x in columns.0..columns.1 {
                        let cell = &mut to[(y * shape.in_w + x) * channels..][..channels];
                        cell.iter_mut().zip(gradient).for_each(|(to, &g)| *to = to.plus(g * share));
                    }
                }
            }
        }
    }
}
