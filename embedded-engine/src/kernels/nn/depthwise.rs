//! Convolutions of each channel by itself, NHWC.
//!
//! # Semantics
//!
//! `DepthwiseConv2dNative` takes `input` `[n, h, w, c]` and `filter` `[rows, columns, c, multiplier]` and
//! returns `[n, oh, ow, c * multiplier]`: channel `i` of the input with multiplier `q` becomes channel
//! `i * multiplier + q`. Strides, dilations and paddings are those of `window.rs`.
//! `DepthwiseConv2dNativeBackpropInput` and `BackpropFilter` take the sizes as a vector in place of the
//! tensor whose gradient they return. Shapes that do not fit are `InvalidArgument`. Floats only, those of 16
//! bits computed in `float32`.
//!
//! # Algorithm
//!
//! There are too few multiplications per pixel for a product of matrices, so the loops run along the
//! channels, which are contiguous in images and filters: `2 n oh ow rows columns c multiplier` operations.
//! Threads share rows of the result, or images for the gradients; the filter's gradient adds the sums of the
//! images in their order, so bits do not depend on the number of threads.
//!
//! ```text
//! one pixel with channels [1, 10], filter [[1, 2], [3, 4]] (2 channels, multiplier 2)  ->  [1, 2, 30, 40]
//! ```

use super::window::{Window, sizes};
use crate::kernel::KernelContext;
use crate::kernels::chunks::{for_chunks, for_parts};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::conv::ConvShape;
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{Element, Shape};

/// Registers the op types. The dtype is that of the images or, where input 0 is a vector of sizes, that of
/// the filter.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("DepthwiseConv2dNative", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| forward::<T>(context, &window))))
    });
    registry.add("DepthwiseConv2dNativeBackpropInput", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(widened spec, spec.input_dtype(1), T => Ok(boxed(move |context| input_gradient::<T>(context, &window))))
    });
    registry.add("DepthwiseConv2dNativeBackpropFilter", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| filter_gradient::<T>(context, &window))))
    });
}

/// The sizes of a depthwise convolution. Derived from the shapes in each step.
struct Depthwise {
    /// The shape of a convolution whose filters have one channel each; `out_c` counts all of them.
    shape: ConvShape,
    /// Filters for each channel.
    multiplier: usize,
}

impl Depthwise {
    /// Returns the sizes for these shapes of image and filter. Fails if they do not fit.
    ///
    /// `window` has the strides, `input` is the shape of the images and `filter` that of the filter.
    fn new(window: &Window, input: &[usize], filter: &[usize]) -> Result<Depthwise> {
        let &[filter_h, filter_w, channels, multiplier] = filter else {
            return Err(Error::invalid_argument(format!("filter must be 4-dimensional: {filter:?}")));
        };
        let outputs = channels.checked_mul(multiplier);
        let outputs = outputs.ok_or_else(|| Error::invalid_argument("the filter is too large"))?;
        // A full convolution with as many filters has the same geometry; the groups show whether the channels
        // are equal.
        let (shape, groups) = window.convolution(input, &[filter_h, filter_w, channels, outputs])?;
        if groups != 1 {
            let text = format!("a filter of {channels} channels does not fit an input of shape {input:?}");
            return Err(Error::invalid_argument(text));
        }
        Ok(Depthwise { shape, multiplier })
    }

    /// Returns the shape of the result.
    fn output(&self) -> Shape {
        Shape::from([self.shape.batch, self.shape.out_h, self.shape.out_w, self.shape.out_c])
    }

    /// Checks that a gradient has the shape of the result.
    fn check_gradient(&self, found: &Shape) -> Result<()> {
        if *found == self.output() {
            return Ok(());
        }
        Err(Error::invalid_argument(format!("the gradient has shape {found}, not {}", self.output())))
    }

    /// Calls `visit(output pixel, input pixel, filter place)` for all places of the filter that lie inside
    /// the image for row `oy` of the result; pixels are counted within their image. Padding is left out:
    /// there is no visit for it.
    fn row(&self, oy: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let s = &self.shape;
        for fy in 0..s.filter_h {
            // Above the image the subtraction fails, below it the filter does.
            let y = (oy * s.stride_h + fy * s.dilation_h).checked_sub(s.pad_top).filter(|&y| y < s.in_h);
            let Some(y) = y else { continue };
            for ox in 0..s.out_w {
                for fx in 0..s.filter_w {
                    let x = (ox * s.stride_w + fx * s.dilation_w).checked_sub(s.pad_left);
                    if let Some(x) = x.filter(|&x| x < s.in_w) {
                        visit(oy * s.out_w + ox, y * s.in_w + x, fy * s.filter_w + fx);
                    }
                }
            }
        }
    }
}

/// Adds products for all channels of one pixel:
/// `output[c * multiplier + m] += input[c] * filter[c * multiplier + m]`.
#[inline(always)]
fn multiply_add<T: Real>(output: &mut [T], input: &[T], filter: &[T], multiplier: usize) {
    // The common case as one loop without an inner one, which vectorizes.
    if multiplier == 1 {
        for ((output, &input), &filter) in output.iter_mut().zip(input).zip(filter) {
            *output = *output + input * filter;
        }
        return;
    }
    let rows = output.chunks_exact_mut(multiplier).zip(filter.chunks_exact(multiplier));
    for ((output, filter), &input) in rows.zip(input) {
        for (output, &filter) in output.iter_mut().zip(filter) {
            *output = *output + input * filter;
        }
    }
}

/// Adds, for all channels of one pixel,
/// `output[c] += sum over m of a[c * multiplier + m] * b[c * multiplier + m]`, in ascending order of `m`.
#[inline(always)]
fn dot_add<T: Real>(output: &mut [T], a: &[T], b: &[T], multiplier: usize) {
    let rows = a.chunks_exact(multiplier).zip(b.chunks_exact(multiplier));
    for (output, (a, b)) in output.iter_mut().zip(rows) {
        *output = a.iter().zip(b).fold(*output, |sum, (&a, &b)| sum + a * b);
    }
}

/// Delivers the convolution. Each row of pixels of the result is summed by one thread, filter place by filter
/// place.
fn forward<T: Element + Real>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let sizes = Depthwise::new(window, context.input(0).shape(), context.input(1).shape())?;
    context.produce::<T>(0, sizes.output(), |context, output| {
        let (input, filter) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
        let (s, channels) = (&sizes.shape, sizes.shape.in_c);
        for_chunks(context.pool(), output, s.out_w * s.out_c, |row, output| {
            output.fill(T::default());
            let (n, oy) = (row / s.out_h, row % s.out_h);
            let image = &input[n * s.in_h * s.in_w * channels..];
            sizes.row(oy, |to, from, place| {
                // `row` counts pixels of the image; this thread has one row of them.
                let to = to - oy * s.out_w;
                let output = &mut output[to * s.out_c..][..s.out_c];
                let (input, filter) =
                    (&image[from * channels..][..channels], &filter[place * s.out_c..][..s.out_c]);
                multiply_add(output, input, filter, sizes.multiplier);
            });
        });
        Ok(())
    })
}

/// Delivers the gradient with respect to the images. Windows overlap, so a whole image is summed by one
/// thread.
fn input_gradient<T: Element + Real>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let dims = sizes(context, 0)?;
    let sizes = Depthwise::new(window, &dims, context.input(1).shape())?;
    sizes.check_gradient(context.input(2).shape())?;
    context.produce::<T>(0, dims, |context, output| {
        let (filter, gradient) = (context.slice::<T>(1)?, context.slice::<T>(2)?);
        let (s, channels) = (&sizes.shape, sizes.shape.in_c);
        for_chunks(context.pool(), output, s.in_h * s.in_w * channels, |n, image| {
            image.fill(T::default());
            let gradient = &gradient[n * s.out_h * s.out_w * s.out_c..];
            for oy in 0..s.out_h {
                sizes.row(oy, |to, from, place| {
                    let gradient = &gradient[to * s.out_c..][..s.out_c];
                    let filter = &filter[place * s.out_c..][..s.out_c];
                    let image = &mut image[from * channels..][..channels];
                    dot_add(image, gradient, filter, sizes.multiplier.max(1));
                });
            }
        });
        Ok(())
    })
}

/// Delivers the gradient with respect to the filter.
///
/// The sums of each image take memory of the size of the filter, for all images at the same time.
fn filter_gradient<T: Element + Real>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let dims = sizes(context, 1)?;
    let sizes = Depthwise::new(window, context.input(0).shape(), &dims)?;
    sizes.check_gradient(context.input(2).shape())?;
    let dims = Shape::from(dims);
    let length = dims.elements();
    context.produce::<T>(0, dims, |context, output| {
        let (input, gradient) = (context.slice::<T>(0)?, context.slice::<T>(2)?);
        let (s, channels) = (&sizes.shape, sizes.shape.in_c);
        output.fill(T::default());
        // Each image has its own sums, so that the result does not depend on the threads.
        let images = for_parts(context.pool(), s.batch, |n| {
            let mut sums = vec![T::default(); length];
            let image = &input[n * s.in_h * s.in_w * channels..];
            let gradient = &gradient[n * s.out_h * s.out_w * s.out_c..];
            for oy in 0..s.out_h {
                sizes.row(oy, |to, from, place| {
                    let sums = &mut sums[place * s.out_c..][..s.out_c];
                    let (input, gradient) =
                        (&image[from * channels..][..channels], &gradient[to * s.out_c..][..s.out_c]);
                    multiply_add(sums, input, gradient, sizes.multiplier.max(1));
                });
            }
            sums
        });
        for sums in images {
            output.iter_mut().zip(sums).for_each(|(total, sum)| *total = *total + sum);
        }
        Ok(())
    })
}
