//! Boxes cut out of images and resized, NHWC.
//!
//! # Semantics
//!
//! - `CropAndResize` takes `image` `[n, h, w, c]` of real numbers, `boxes` `[k, 4]`, `box_ind` `[k]` and
//!   `crop_size` `[2]` and returns `float32`, `[k, crop_size, c]`.
//! - `CropAndResizeGradImage` takes `grads`, `boxes`, `box_ind` and `image_size` `[4]` and returns dtype `T`
//!   and that shape.
//! - `CropAndResizeGradBoxes` takes `grads`, `image`, `boxes` and `box_ind` and returns `float32`, `[k, 4]`.
//!
//! Boxes are `[y1, x1, y2, x2]` in fractions of the image, where 1 is the last pixel (`size - 1`) and not the
//! edge behind it; `box_ind` has the image of each. `y1 > y2` flips the crop. Places outside of the image
//! have the value `extrapolation_value` (default 0) and no gradient, and so have places that are NaN. A crop
//! of one row or column is taken from the middle of its box. `method` is `bilinear` (default), which weighs
//! the four pixels around a place, or `nearest`. The gradient of the boxes is that of `bilinear`.
//!
//! `box_ind` out of range is `OutOfRange`; shapes that do not fit, sizes that are not positive, and for
//! `CropAndResize` boxes that are not finite are `InvalidArgument`.
//!
//! Crops are computed in parallel, one box in a thread; the gradients add in the order of the boxes in one
//! thread, in `float32`.
//!
//! ```text
//! image [[1, 2, 3], [4, 5, 6], [7, 8, 9]], crop_size [2, 2], extrapolation_value -1
//!
//! box [0, 0, 0.5, 0.5]       [[1, 2], [4, 5]]       the last pixel is at 0.5 * (3 - 1) = 1
//! box [0.5, 0.5, 1.5, 1.5]   [[5, -1], [-1, -1]]    places beyond 2 are outside
//! box [1, 1, 0, 0]           [[9, 7], [3, 1]]       flipped in both directions
//! ```

use crate::dispatch::check_real;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::chunks::for_chunks;
use crate::kernels::math::boxed;
use crate::kernels::nn::{image_dims, new_size};
use crate::registry::Registry;
use compute::elementwise;
use session_core::{Code, Error, Result};
use tensor::{DType, Shape, memory};

/// Registers the op types. Images are read as `float32` whatever their dtype, so there is one kernel for each
/// op.
pub(super) fn register(registry: &mut Registry) {
    registry.add("CropAndResize", |spec| {
        check_real(spec.input_dtype(0))?;
        let (nearest, outside) = (is_nearest(spec)?, spec.float("extrapolation_value")?);
        Ok(boxed(move |context| crop(context, nearest, outside)))
    });
    registry.add("CropAndResizeGradImage", |spec| {
        let (nearest, dtype) = (is_nearest(spec)?, spec.dtype("T")?);
        match dtype {
            DType::Float16 | DType::Float32 | DType::Float64 => {
                Ok(boxed(move |context| gradient_of_images(context, nearest, dtype)))
            }
            other => Err(crate::dispatch::unsupported(other)),
        }
    });
    registry.add("CropAndResizeGradBoxes", |spec| {
        check_real(spec.input_dtype(1))?;
        Ok(boxed(gradient_of_boxes))
    });
    // A box of an image that does not exist is `OutOfRange`.
    registry.of(["CropAndResize", "CropAndResizeGradImage", "CropAndResizeGradBoxes"]).ends();
}

/// Returns true for the method `nearest`. Fails for an unknown one.
fn is_nearest(spec: &NodeSpec<'_>) -> Result<bool> {
    match spec.str("method")? {
        "bilinear" => Ok(false),
        "nearest" => Ok(true),
        other => {
            Err(Error::invalid_argument(format!("method must be 'bilinear' or 'nearest', not '{other}'")))
        }
    }
}

/// The boxes of an operation: `[y1, x1, y2, x2]` each, and the image that each is in. All images exist.
struct Boxes<'a> {
    /// The corners of the boxes, four numbers for each.
    corners: &'a [f32],
    /// The image of each box.
    images: &'a [i32],
}

impl<'a> Boxes<'a> {
    /// Reads boxes from input `input` and their images from the next one. Fails if their shapes do not fit,
    /// and for an image that is not one of `batch`.
    fn of(context: &'a KernelContext<'_>, input: usize, batch: usize) -> Result<Boxes<'a>> {
        let (boxes, images) = (context.input(input).shape(), context.input(input + 1).shape());
        match (boxes.dims(), images.dims()) {
            (&[count, 4], &[other]) if count == other => {}
            _ => {
                let text =
                    format!("boxes must have shape [n,4] and their images [n], not {boxes} and {images}");
                return Err(Error::invalid_argument(text));
            }
        }
        let boxes = Boxes { corners: context.slice::<f32>(input)?, images: context.slice::<i32>(input + 1)? };
        let outside =
            boxes.images.iter().find(|&&image| usize::try_from(image).map_or(true, |image| image >= batch));
        match outside {
            Some(image) => {
                let text =
                    format!("box_index has values outside [0, batch_size): {image}, of {batch} images");
                Err(Error::new(Code::OutOfRange, text))
            }
            None => Ok(boxes),
        }
    }

    /// Fails for a corner that is NaN or infinite. Gradients need no such check: their places outside of the
    /// image get none.
    fn check_finite(&self) -> Result<()> {
        match self.corners.iter().position(|corner| !corner.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let text = format!("box {} must be finite, has a corner at {}", at / 4, self.corners[at]);
                Err(Error::invalid_argument(text))
            }
        }
    }

    /// Returns the image of a box.
    fn image(&self, index: usize) -> usize {
        self.images[index] as usize
    }

    /// Returns the places along one axis of an image (0 for rows) of a box's pixels. `axis` is 0 for rows and
    /// 1 for columns, `image` the size of the image and `crop` that of the crop. A crop of one pixel is at
    /// the middle of the box, without a step.
    fn axis(&self, index: usize, axis: usize, image: usize, crop: usize) -> Axis {
        let (from, to) = (self.corners[4 * index + axis], self.corners[4 * index + 2 + axis]);
        let last = (image - 1) as f32;
        match crop {
            1 => Axis { start: 0.5 * (from + to) * last, step: 0.0, last },
            _ => Axis { start: from * last, step: (to - from) * last / (crop - 1) as f32, last },
        }
    }
}

/// The places of a crop's pixels along one axis of an image. Pixel `i` of the crop is at `start + i * step`,
/// in pixels of the image.
#[derive(Clone, Copy)]
struct Axis {
    /// The place of the first pixel.
    start: f32,
    /// The distance of two pixels, negative for a flipped box.
    step: f32,
    /// The last place that is in the image.
    last: f32,
}

impl Axis {
    /// Returns the place of a pixel, if it is in the image. A place that is NaN is not.
    fn place(self, pixel: usize) -> Option<f32> {
        Some(self.start + pixel as f32 * self.step).filter(|place| (0.0..=self.last).contains(place))
    }
}

/// Returns the two pixels around a place in the image, and the share of the second. At a pixel both are the
/// same one.
fn around(place: f32) -> (usize, usize, f32) {
    (place.floor() as usize, place.ceil() as usize, place - place.floor())
}

/// Returns the images of an input as single-precision numbers. The copy costs as much as one crop of a whole
/// image.
fn singles(context: &KernelContext<'_>, input: usize) -> Result<Vec<f32>> {
    let mut values = memory::filled(0f32, context.input(input).elements())?;
    elementwise::cast_values(context.pool(), context.values(input)?, values.as_mut_slice().into());
    Ok(values)
}

/// Delivers the crops.
///
/// Each box is one part of the output. A pixel is outside if its row or its column is.
fn crop(context: &mut KernelContext<'_>, nearest: bool, outside: f32) -> Result<()> {
    let [batch, height, width, depth] = image_dims(context.input(0).shape())?;
    let [crop_height, crop_width] = new_size(context, 3)?;
    let values = singles(context, 0)?;
    let boxes = Boxes::of(context, 1, batch)?;
    boxes.check_finite()?;
    let count = boxes.images.len();
    context.produce::<f32>(0, [count, crop_height, crop_width, depth], |context, output| {
        let boxes = Boxes::of(context, 1, batch)?;
        for_chunks(context.pool(), output, crop_height * crop_width * depth, |index, output| {
            let image = &values[boxes.image(index) * height * width * depth..][..height * width * depth];
            let pixel = |y: usize, x: usize| &image[(y * width + x) * depth..][..depth];
            let (rows, columns) =
                (boxes.axis(index, 0, height, crop_height), boxes.axis(index, 1, width, crop_width));
            for (at, out) in output.chunks_exact_mut(depth.max(1)).enumerate() {
                let (Some(y), Some(x)) = (rows.place(at / crop_width), columns.place(at % crop_width)) else {
                    out.fill(outside);
                    continue;
                };
                // The rounding never leaves the image, as the place is at most its last pixel.
                if nearest {
                    out.copy_from_slice(pixel(y.round() as usize, x.round() as usize));
                    continue;
                }
                let ((top, bottom, share_y), (left, right, share_x)) = (around(y), around(x));
                let (top, bottom) =
                    ([pixel(top, left), pixel(top, right)], [pixel(bottom, left), pixel(bottom, right)]);
                for (c, out) in out.iter_mut().enumerate() {
                    let along = |[left, right]: [&[f32]; 2]| left[c] + (right[c] - left[c]) * share_x;
                    let (top, bottom) = (along(top), along(bottom));
                    *out = top + (bottom - top) * share_y;
                }
            }
        });
        Ok(())
    })
}

/// Returns the sizes of gradients that fit boxes: of a crop, and of the channels. They are those of input 0.
/// Fails unless there is one gradient for each box, with `depth` channels.
fn gradient_dims(context: &KernelContext<'_>, boxes: &Boxes<'_>, depth: usize) -> Result<[usize; 2]> {
    match context.input(0).shape().dims() {
        &[count, height, width, channels]
            if count == boxes.images.len() && channels == depth && height > 0 && width > 0 =>
        {
            Ok([height, width])
        }
        _ => {
            let text = format!(
                "gradients of shape {} do not fit {} boxes of images of {depth} channels",
                context.input(0).shape(),
                boxes.images.len()
            );
            Err(Error::invalid_argument(text))
        }
    }
}

/// Delivers the gradient with respect to the images: each element goes to the pixels that its place was made
/// of, by their shares.
fn gradient_of_images(context: &mut KernelContext<'_>, nearest: bool, dtype: DType) -> Result<()> {
    let sizes = context.ints(3)?;
    let sizes: Option<Vec<usize>> =
        sizes.iter().map(|&size| usize::try_from(size).ok().filter(|&size| size > 0)).collect();
    let Some(&[batch, height, width, depth]) = sizes.as_deref() else {
        return Err(Error::invalid_argument("image_size must be 4 positive numbers"));
    };
    let shape = Shape::from([batch, height, width, depth]);
    let mut spread = memory::filled(0f32, shape.elements())?;
    let boxes = Boxes::of(context, 1, batch)?;
    let [crop_height, crop_width] = gradient_dims(context, &boxes, depth)?;
    let gradients = context.slice::<f32>(0)?;
    for (at, gradient) in gradients.chunks_exact(depth).enumerate() {
        let index = at / crop_width / crop_height;
        let image = &mut spread[boxes.image(index) * height * width * depth..][..height * width * depth];
        let mut add = |y: usize, x: usize, share: f32| {
            let pixel = &mut image[(y * width + x) * depth..][..depth];
            pixel.iter_mut().zip(gradient).for_each(|(to, from)| *to += share * from);
        };
        let (rows, columns) =
            (boxes.axis(index, 0, height, crop_height), boxes.axis(index, 1, width, crop_width));
        let place = (rows.place(at / crop_width % crop_height), columns.place(at % crop_width));
        let (Some(y), Some(x)) = place else { continue };
        if nearest {
            add(y.round() as usize, x.round() as usize, 1.0);
            continue;
        }
        let ((top, bottom, share_y), (left, right, share_x)) = (around(y), around(x));
        for (y, share_y) in [(top, 1.0 - share_y), (bottom, share_y)] {
            add(y, left, share_y * (1.0 - share_x));
            add(y, right, share_y * share_x);
        }
    }
    context.produce_values(0, dtype, shape, &|context, output| {
        elementwise::cast_values(context.pool(), spread.as_slice().into(), output);
        Ok(())
    })
}

/// Delivers the gradient with respect to the corners: the slope of the image at each place, times the
/// derivative of the place with respect to the corners.
///
/// ```text
/// y(row) = y1 last + row (y2 - y1) last / (crop - 1)      dy/dy1 = last - row last / (crop - 1)
///                                                         dy/dy2 = row last / (crop - 1)
/// ```
///
/// Both are half of `last` for a crop of one row.
fn gradient_of_boxes(context: &mut KernelContext<'_>) -> Result<()> {
    let [batch, height, width, depth] = image_dims(context.input(1).shape())?;
    let values = singles(context, 1)?;
    let count = Boxes::of(context, 2, batch)?.images.len();
    context.produce::<f32>(0, [count, 4], |context, output| {
        let boxes = Boxes::of(context, 2, batch)?;
        let [crop_height, crop_width] = gradient_dims(context, &boxes, depth)?;
        output.fill(0.0);
        // The derivatives of a place along an axis with respect to the first and the second corner.
        let moves = |pixel: usize, image: usize, crop: usize| {
            let last = (image - 1) as f32;
            match crop {
                1 => [0.5 * last, 0.5 * last],
                _ => {
                    let second = pixel as f32 * (last / (crop - 1) as f32);
                    [last - second, second]
                }
            }
        };
        for (at, gradient) in context.slice::<f32>(0)?.chunks_exact(depth.max(1)).enumerate() {
            let (index, row, column) =
                (at / crop_width / crop_height, at / crop_width % crop_height, at % crop_width);
            let (rows, columns) =
                (boxes.axis(index, 0, height, crop_height), boxes.axis(index, 1, width, crop_width));
            let (Some(y), Some(x)) = (rows.place(row), columns.place(column)) else { continue };
            let ((top, bottom, share_y), (left, right, share_x)) = (around(y), around(x));
            let image = &values[boxes.image(index) * height * width * depth..][..height * width * depth];
            let (mut along_y, mut along_x) = (0.0, 0.0);
            for (c, gradient) in gradient.iter().enumerate() {
                let pixel = |y: usize, x: usize| image[(y * width + x) * depth + c];
                // The four pixels around: `a` and `b` above, `c` and `d` below.
                let (a, b, c, d) =
                    (pixel(top, left), pixel(top, right), pixel(bottom, left), pixel(bottom, right));
                along_y += ((1.0 - share_x) * (c - a) + share_x * (d - b)) * gradient;
                along_x += ((1.0 - share_y) * (b - a) + share_y * (d - c)) * gradient;
            }
            let (by_y, by_x) = (moves(row, height, crop_height), moves(column, width, crop_width));
            let corners = &mut output[4 * index..][..4];
            for (corner, by) in corners.iter_mut().zip([
                along_y * by_y[0],
                along_x * by_x[0],
                along_y * by_y[1],
                along_x * by_x[1],
            ]) {
                *corner += by;
            }
        }
        Ok(())
    })
}
