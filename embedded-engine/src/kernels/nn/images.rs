//! Images in other sizes, NHWC.
//!
//! # Semantics
//!
//! | op type | inputs | result |
//! | --- | --- | --- |
//! | `ResizeBilinear` | `images` `[n, h, w, c]` of real numbers, `size` `[2]` | `float32`, `[n, size, c]` |
//! | `ResizeNearestNeighbor` | `images` of any dtype, `size` | that dtype |
//! | `ResizeBilinearGrad` | `grads` (`float32`), `original_image` | dtype and shape of the image |
//! | `ResizeNearestNeighborGrad` | `grads`, `size` of the original image | the dtype of `grads` |
//!
//! A pixel of the new image has a place in the old one. `align_corners` maps the corner pixels onto each
//! other; `half_pixel_centers` treats pixels as areas with a center at 0.5. Without either, TensorFlow 1's
//! mapping `x * old / new` is used. Both are false by default. `ResizeBilinear` weighs the four pixels around
//! the place, with the border pixels repeated outward. `ResizeNearestNeighbor` rounds half away from zero
//! with `align_corners` and down otherwise. Gradients distribute each value in the same proportions.
//!
//! Images without pixels or channels, new sizes that are not positive, and a rank other than 4 are
//! `InvalidArgument`; gradients may lack channels. All places are computed in `float32`, as TensorFlow does:
//! those at the edge of a pixel depend on it. A few operations for each element; the gradient of the nearest
//! neighbor adds in the order of `grads`. All run in one thread.
//!
//! ```text
//! [0, 4] becomes four pixels       places               ResizeBilinear        ResizeNearestNeighbor
//!
//! neither                          0, 0.5, 1, 1.5       [0, 2, 4, 4]          [0, 0, 4, 4]
//! align_corners                    0, 1/3, 2/3, 1       [0, 4/3, 8/3, 4]      [0, 0, 4, 4]
//! half_pixel_centers               -0.25, 0.25, ...     [0, 1, 3, 4]          [0, 0, 4, 4]
//! ```

use crate::dispatch::check_real;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::array::{arrange, outside};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::{self, layout};
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{Element, Shape, memory};

/// Registers the op types. Gradients differ in what they read: an image for its dtype and shape, or a size.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("ResizeBilinear", |spec| {
        let scaler = Scaler::of(spec)?;
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| bilinear(context, scaler)))
    });
    registry.add("ResizeBilinearGrad", |spec| {
        let scaler = Scaler::of(spec)?;
        for_dtype!(widened spec, spec.input_dtype(1), T => Ok(boxed(move |context| bilinear_gradient::<T>(context, scaler))))
    });
    registry.add("ResizeNearestNeighbor", |spec| {
        let scaler = Scaler::of(spec)?;
        Ok(boxed(move |context| nearest(context, scaler)))
    });
    registry.add("ResizeNearestNeighborGrad", |spec| {
        let scaler = Scaler::of(spec)?;
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| nearest_gradient(context, scaler)))
    });
}

/// The mapping from positions of the new image to those of the old one.
#[derive(Clone, Copy)]
pub(crate) struct Scaler {
    /// True if the centers of the corner pixels of both images coincide.
    pub(crate) align_corners: bool,
    /// True if a pixel is an area, and its center is half a pixel from its edge.
    pub(crate) half_pixel_centers: bool,
}

/// A place between two pixels of the old image, and the share of the upper one.
pub(crate) struct Between {
    /// The pixel before the place; 0 if the place is before the first pixel.
    pub(crate) lower: usize,
    /// The pixel after the place; the last one if the place is beyond it.
    pub(crate) upper: usize,
    /// The weight of `upper`, from 0 up to 1. That of `lower` is the rest.
    pub(crate) share: f32,
}

impl Scaler {
    /// Reads the attributes; one that the op type lacks is false. Both together are `InvalidArgument`.
    pub(crate) fn of(spec: &NodeSpec<'_>) -> Result<Scaler> {
        let [align_corners, half_pixel_centers] =
            ["align_corners", "half_pixel_centers"].map(|name| spec.bool(name).unwrap_or(false));
        if align_corners && half_pixel_centers {
            return Err(Error::invalid_argument("align_corners must be false if half_pixel_centers is true"));
        }
        Ok(Scaler { align_corners, half_pixel_centers })
    }

    /// Returns the ratio of an old size to a new one, neither of which is 0, in single precision. With
    /// `align_corners` it is the ratio of the distances between the corners, except for a single new pixel.
    pub(crate) fn scale(self, old: usize, new: usize) -> f32 {
        if self.align_corners && new > 1 {
            (old - 1) as f32 / (new - 1) as f32
        } else {
            old as f32 / new as f32
        }
    }

    /// Returns the place in the old image that a pixel of the new one comes from. `scale` is the result of
    /// [`scale`](Self::scale). It may be outside of the image by less than a pixel.
    pub(crate) fn place(self, pixel: usize, scale: f32) -> f32 {
        if self.half_pixel_centers { (pixel as f32 + 0.5) * scale - 0.5 } else { pixel as f32 * scale }
    }

    /// Returns, for each of `new` pixels along an axis, the pixels of the old image around its place.
    pub(crate) fn between(self, old: usize, new: usize) -> Result<Vec<Between>> {
        let scale = self.scale(old, new);
        let between = |i: usize| {
            let place = self.place(i, scale);
            Between {
                lower: place.floor().max(0.0) as usize,
                upper: (place.ceil().max(0.0) as usize).min(old - 1),
                // Before the first pixel both indices are 0, so the share, which comes from the unlimited
                // place, has no effect.
                share: place - place.floor(),
            }
        };
        Ok(memory::collected((0..new).map(between))?)
    }

    /// Returns, for each of `new` pixels along an axis, the nearest pixel of the old image.
    fn nearest(self, old: usize, new: usize) -> Result<Vec<usize>> {
        let scale = self.scale(old, new);
        let place = |i: usize| {
            // Not `place`: the half pixel that it subtracts is what rounding down to the pixel's area needs.
            let place = if self.half_pixel_centers { (i as f32 + 0.5) * scale } else { i as f32 * scale };
            let place = if self.align_corners { place.round() } else { place.floor() };
            (place.max(0.0) as usize).min(old - 1)
        };
        Ok(memory::collected((0..new).map(place))?)
    }
}

/// Returns the dimensions of the images of input 1, and height and width of the gradients of input 0. Fails
/// unless batch and channels of both are equal.
pub(crate) fn gradient_dims(context: &KernelContext<'_>) -> Result<([usize; 4], [usize; 2])> {
    let (shape, gradients) = (context.input(1).shape(), context.input(0).shape());
    let images = image_dims(shape)?;
    let [batch, height, width, depth] = image_dims(gradients)?;
    if [batch, depth] != [images[0], images[3]] {
        let text = format!("gradients of shape {gradients} do not fit images of {shape}");
        return Err(Error::invalid_argument(text));
    }
    Ok((images, [height, width]))
}

/// Returns batch, height, width and channels of images that are not empty. Fails for another rank than 4, and
/// for images without rows or columns; the batch and the channels may be 0.
pub(crate) fn image_dims(shape: &Shape) -> Result<[usize; 4]> {
    let dims = shape.dims().try_into();
    let dims: [usize; 4] =
        dims.map_err(|_| Error::invalid_argument(format!("images must be 4-dimensional: {shape}")))?;
    if dims[1] == 0 || dims[2] == 0 {
        return Err(Error::invalid_argument(format!("image must be of non-zero size: {shape}")));
    }
    Ok(dims)
}

/// Returns batch, height, width and channels of images to be resized. Fails as [`image_dims`] does, and for
/// images without channels.
pub(crate) fn resized_dims(shape: &Shape) -> Result<[usize; 4]> {
    match image_dims(shape)? {
        [.., 0] => Err(Error::invalid_argument(format!("images must have channels: {shape}"))),
        dims => Ok(dims),
    }
}

/// Returns height and width from an input, either of which may be 0. Fails for negative numbers and for other
/// than two.
pub(crate) fn new_size_or_none(context: &KernelContext<'_>, input: usize) -> Result<[usize; 2]> {
    let size = context.ints(input)?;
    let &[height, width] = size.as_slice() else {
        return Err(Error::invalid_argument(format!(
            "input must be a vector of size 2 (height, width): {size:?}"
        )));
    };
    let number = |size: i64| usize::try_from(size).ok();
    let size = number(height).zip(number(width));
    let (height, width) = size.ok_or_else(|| {
        Error::invalid_argument(format!("sizes must not be negative: {height} and {width}"))
    })?;
    Ok([height, width])
}

/// Returns height and width from an input. Fails unless both are positive.
pub(crate) fn new_size(context: &KernelContext<'_>, input: usize) -> Result<[usize; 2]> {
    let size = context.ints(input)?;
    let positive = |size: i64| usize::try_from(size).ok().filter(|&size| size > 0);
    match size.as_slice() {
        &[height, width] => positive(height).zip(positive(width)).map(|(height, width)| [height, width]),
        _ => None,
    }
    .ok_or_else(|| Error::invalid_argument(format!("output dimensions must be positive: {size:?}")))
}

/// Delivers the images of input 0 in the size of input 1, as `float32` for every dtype. Also runs inside
/// `FusedResizeAndPadConv2D`.
pub(crate) fn bilinear(context: &mut KernelContext<'_>, scaler: Scaler) -> Result<()> {
    let [batch, height, width, depth] = resized_dims(context.input(0).shape())?;
    let [new_height, new_width] = new_size(context, 1)?;
    let mut input = memory::filled(0f32, context.input(0).elements())?;
    elementwise::cast_values(context.pool(), context.values(0)?, input.as_mut_slice().into());
    let (rows, columns) = (scaler.between(height, new_height)?, scaler.between(width, new_width)?);
    context.produce::<f32>(0, [batch, new_height, new_width, depth], |_, output| {
        for (i, out) in output.chunks_exact_mut(depth.max(1)).enumerate() {
            let (n, y, x) =
                (i / new_width / new_height, &rows[i / new_width % new_height], &columns[i % new_width]);
            let pixel = |y: usize, x: usize| &input[((n * height + y) * width + x) * depth..][..depth];
            let (top, bottom) = (
                [pixel(y.lower, x.lower), pixel(y.lower, x.upper)],
                [pixel(y.upper, x.lower), pixel(y.upper, x.upper)],
            );
            for (c, out) in out.iter_mut().enumerate() {
                // In this form equal pixels give exactly their value, whatever the share.
                let along = |[left, right]: [&[f32]; 2]| left[c] + (right[c] - left[c]) * x.share;
                let (top, bottom) = (along(top), along(bottom));
                *out = top + (bottom - top) * y.share;
            }
        }
        Ok(())
    })
}

/// Delivers the gradient of `ResizeBilinear`: each gradient is added to the four pixels around its place, by
/// their weights, in the dtype of the image.
fn bilinear_gradient<T: Element + Real>(context: &mut KernelContext<'_>, scaler: Scaler) -> Result<()> {
    let shape = context.input(1).shape().clone();
    let ([_, height, width, depth], [new_height, new_width]) = gradient_dims(context)?;
    let (rows, columns) = (scaler.between(height, new_height)?, scaler.between(width, new_width)?);
    context.produce::<T>(0, shape, |context, output| {
        output.fill(T::default());
        let gradients = context.slice::<f32>(0)?;
        for (i, gradient) in gradients.chunks_exact(depth.max(1)).enumerate() {
            let (n, y, x) =
                (i / new_width / new_height, &rows[i / new_width % new_height], &columns[i % new_width]);
            // The transposed operation: the weights of the four pixels are products of those along both axes.
            for (to_y, share_y) in [(y.lower, 1.0 - y.share), (y.upper, y.share)] {
                for (to_x, share_x) in [(x.lower, 1.0 - x.share), (x.upper, x.share)] {
                    let pixel = &mut output[((n * height + to_y) * width + to_x) * depth..][..depth];
                    for (out, gradient) in pixel.iter_mut().zip(gradient) {
                        *out = *out + T::of(f64::from(gradient * share_y * share_x));
                    }
                }
            }
        }
        Ok(())
    })
}

/// Delivers the images of input 0 in the size of input 1. Pixels are moved as they are, whatever their dtype.
fn nearest(context: &mut KernelContext<'_>, scaler: Scaler) -> Result<()> {
    let [batch, height, width, depth] = resized_dims(context.input(0).shape())?;
    let [new_height, new_width] = new_size(context, 1)?;
    let (rows, columns) = (scaler.nearest(height, new_height)?, scaler.nearest(width, new_width)?);
    let place = |i: usize| {
        let (n, y) = (i / new_width / new_height, rows[i / new_width % new_height]);
        Some((0, (n * height + y) * width + columns[i % new_width]))
    };
    let dims = Shape::from([batch, new_height, new_width, depth]);
    let resized = arrange(context, &[context.input(0)], dims, depth, &place, None)?;
    context.set(0, resized);
    Ok(())
}

/// Delivers the gradient of `ResizeNearestNeighbor`: each pixel gets the sum of the gradients of its copies.
/// Integers wrap.
fn nearest_gradient(context: &mut KernelContext<'_>, scaler: Scaler) -> Result<()> {
    let dtype = context.input(0).dtype();
    let [batch, new_height, new_width, depth] = image_dims(context.input(0).shape())?;
    let [height, width] = new_size(context, 1)?;
    let (rows, columns) = (scaler.nearest(height, new_height)?, scaler.nearest(width, new_width)?);
    let mut places = memory::reserve(batch * new_height * new_width)?;
    for n in 0..batch {
        for y in &rows {
            places.extend(columns.iter().map(|x| ((n * height + y) * width + x) as i64));
        }
    }
    let shape = Shape::from([batch, height, width, depth]);
    context.produce_values(0, dtype, shape, &|context, output| {
        layout::scatter_values(batch * height * width, depth, output, &places, context.values(0)?)
            .map_err(outside)
    })
}
