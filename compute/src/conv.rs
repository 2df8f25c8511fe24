//! Two-dimensional convolutions and their gradients. Images are NHWC, filters HWIO.
//!
//! A convolution is computed as products of matrices without forming the matrix of all patches: each tap of the filter multiplies a shifted
//! view of the input, and the kernel reads the rows in place. The gradients are the same products with exchanged roles.

mod axis;
mod direct;
mod filter;
#[cfg(test)]
mod tests;

use crate::matmul::{Epilogue, Product, Real, multiply};
use crate::{Isa, OutOfMemory, Pool, Scratch};
pub(crate) use axis::Span;

/// The geometry of a convolution. All sizes are in elements. The padding at the bottom and the right follows from `out_h` and `out_w`.
///
/// Output pixel `(y, x)` and filter cell `(i, j)` read input pixel
/// `(y * stride_h + i * dilation_h - pad_top, x * stride_w + j * dilation_w - pad_left)`, or zero if it lies outside of the input.
///
/// ```
/// use compute::conv::ConvShape;
/// // A 3 x 3 filter with `SAME` padding: the output has the size of the input.
/// let shape = ConvShape {
///     batch: 1, in_h: 8, in_w: 8, in_c: 3, filter_h: 3, filter_w: 3, out_c: 16,
///     stride_h: 1, stride_w: 1, dilation_h: 1, dilation_w: 1, pad_top: 1, pad_left: 1, out_h: 8, out_w: 8,
/// };
/// assert_eq!((shape.input_len(), shape.filter_len(), shape.output_len()), (192, 432, 1024));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input height.
    pub in_h: usize,
    /// Input width.
    pub in_w: usize,
    /// Input channels.
    pub in_c: usize,
    /// Filter height.
    pub filter_h: usize,
    /// Filter width.
    pub filter_w: usize,
    /// Output channels.
    pub out_c: usize,
    /// Rows from one output pixel to the next; not 0.
    pub stride_h: usize,
    /// Columns from one output pixel to the next; not 0.
    pub stride_w: usize,
    /// Rows from one filter cell to the next; not 0.
    pub dilation_h: usize,
    /// Columns from one filter cell to the next; not 0.
    pub dilation_w: usize,
    /// Rows of zeros above the input.
    pub pad_top: usize,
    /// Columns of zeros left of the input.
    pub pad_left: usize,
    /// Output height.
    pub out_h: usize,
    /// Output width.
    pub out_w: usize,
}

impl ConvShape {
    /// Returns the number of elements of the input, `[batch, in_h, in_w, in_c]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.in_h * self.in_w * self.in_c
    }

    /// Returns the number of elements of the filter, `[filter_h, filter_w, in_c, out_c]`.
    #[must_use]
    pub const fn filter_len(&self) -> usize {
        self.filter_h * self.filter_w * self.in_c * self.out_c
    }

    /// Returns the number of elements of the output, `[batch, out_h, out_w, out_c]`.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.out_h * self.out_w * self.out_c
    }

    fn check(&self, input: usize, filter: usize, output: usize) {
        assert_eq!(input, self.input_len(), "elements of the input of {self:?}");
        assert_eq!(filter, self.filter_len(), "elements of the filter of {self:?}");
        assert_eq!(output, self.output_len(), "elements of the output of {self:?}");
        let steps = [self.stride_h, self.stride_w, self.dilation_h, self.dilation_w];
        // The axes divide by the strides, and a dilation of 0 would put all taps on one pixel.
        assert!(!steps.contains(&0), "strides and dilations of {self:?} must not be 0");
    }

    /// Returns true if output pixels are input pixels, each with its own product of channels.
    fn is_product(&self) -> bool {
        let ConvShape { filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, .. } = *self;
        (filter_h, filter_w, stride_h, stride_w, pad_top, pad_left) == (1, 1, 1, 1, 0, 0)
            && (self.in_h, self.in_w) == (self.out_h, self.out_w)
    }

    /// Output pixels of all images.
    fn pixels(&self) -> usize {
        self.batch * self.out_h * self.out_w
    }
}

/// Computes a convolution, `output = relu(input * filter + bias)`. Bias and ReLU are optional; see [`Epilogue`].
///
/// ```
/// use compute::conv::{ConvShape, forward};
/// use compute::{Pool, Scratch, matmul::Epilogue};
/// let shape = ConvShape {
///     batch: 1, in_h: 1, in_w: 3, in_c: 1, filter_h: 1, filter_w: 2, out_c: 1,
///     stride_h: 1, stride_w: 1, dilation_h: 1, dilation_w: 1, pad_top: 0, pad_left: 0, out_h: 1, out_w: 2,
/// };
/// let mut output = [0.0f32; 2];
/// let epilogue = Epilogue { bias: Some(&[0.5]), relu: false };
/// forward(&Pool::single(), &mut Scratch::new(), &shape, &[1.0, 2.0, 4.0], &[-1.0, 1.0], epilogue, &mut output)?;
/// assert_eq!(output, [1.5, 2.5]); // differences of neighbors, plus the bias
/// # Ok::<(), compute::OutOfMemory>(())
/// ```
///
/// # Errors
/// [`OutOfMemory`] if `scratch` cannot grow.
///
/// # Panics
/// Panics if the length of a slice contradicts `shape` (the bias has `out_c` elements), or if a stride or dilation is 0.
pub fn forward<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    filter: &[T],
    epilogue: Epilogue<'_, T>,
    output: &mut [T],
) -> Result<(), OutOfMemory> {
    shape.check(input.len(), filter.len(), output.len());
    epilogue.check(shape.out_c);
    forward_with(Isa::current(), pool, scratch, shape, input, filter, epilogue, output)
}

/// [`forward`] with the kernels of `isa`.
#[allow(clippy::too_many_arguments)] // those of the public function and the set to test
fn forward_with<T: Real>(
    isa: Isa,
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    filter: &[T],
    epilogue: Epilogue<'_, T>,
    output: &mut [T],
) -> Result<(), OutOfMemory> {
    let kernels = T::kernels(isa);
    // A filter of one cell needs no taps: the images are the rows of one large matrix, which fills tiles
    // better than rows of pixels.
    if shape.is_product() {
        let product = Product::new(shape.pixels(), shape.in_c, shape.out_c);
        multiply(kernels, pool, scratch, &product, input, filter, epilogue, output)
    } else {
        direct::forward(kernels, pool, scratch, shape, input, filter, epilogue, output)
    }
}

/// The gradient of the loss with respect to the input, from the one with respect to the output.
///
/// # Errors
/// [`OutOfMemory`] when `scratch` is refused what it has to grow by.
///
/// # Panics
/// When the length of a slice differs from `shape`, or a stride or dilation is 0.
pub fn input_gradient<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    filter: &[T],
    output_gradient: &[T],
    input_gradient: &mut [T],
) -> Result<(), OutOfMemory> {
    shape.check(input_gradient.len(), filter.len(), output_gradient.len());
    input_gradient_with(Isa::current(), pool, scratch, shape, filter, output_gradient, input_gradient)
}

/// [`input_gradient`] with the kernels of `isa`.
fn input_gradient_with<T: Real>(
    isa: Isa,
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    filter: &[T],
    output_gradient: &[T],
    input_gradient: &mut [T],
) -> Result<(), OutOfMemory> {
    let kernels = T::kernels(isa);
    if shape.is_product() {
        let product = Product::new(shape.pixels(), shape.out_c, shape.in_c).transpose_b();
        let epilogue = Epilogue::default();
        multiply(kernels, pool, scratch, &product, output_gradient, filter, epilogue, input_gradient)
    } else {
        direct::input_gradient(kernels, pool, scratch, shape, filter, output_gradient, input_gradient)
    }
}

/// The gradient of the loss with respect to the filter, from the one with respect to the output.
///
/// # Errors
/// [`OutOfMemory`] when `scratch` is refused what it has to grow by.
///
/// # Panics
/// When the length of a slice differs from `shape`, or a stride or dilation is 0.
pub fn filter_gradient<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    output_gradient: &[T],
    filter_gradient: &mut [T],
) -> Result<(), OutOfMemory> {
    shape.check(input.len(), filter_gradient.len(), output_gradient.len());
    filter_gradient_with(Isa::current(), pool, scratch, shape, input, output_gradient, filter_gradient)
}

/// [`filter_gradient`] with the kernels of `isa`.
fn filter_gradient_with<T: Real>(
    isa: Isa,
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    output_gradient: &[T],
    filter_gradient: &mut [T],
) -> Result<(), OutOfMemory> {
    let kernels = T::kernels(isa);
    if shape.is_product() {
        // The sum runs over all pixels, in stretches of fixed length, so the bits do not depend on the number
        // of threads.
        let product = Product::new(shape.in_c, shape.pixels(), shape.out_c).transpose_a();
        let epilogue = Epilogue::default();
        multiply(kernels, pool, scratch, &product, input, output_gradient, epilogue, filter_gradient)
    } else {
        filter::gradient(kernels, pool, scratch, shape, input, output_gradient, filter_gradient)
    }
}
