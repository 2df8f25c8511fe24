//! Images in other sizes, by kernels that are wider than two pixels, NHWC.
//!
//! # Semantics
//!
//! - `ResizeArea` and `ResizeBicubic` take `images` `[n, h, w, c]` of real numbers and `size` `[2]` and
//!   return `float32`, `[n, size, c]`.
//! - `ResizeBicubicGrad` takes `grads` (`float32`) and `original_image` (`float32`, `float64`) and returns
//!   dtype and shape of the image.
//! - `ScaleAndTranslate` takes `images`, `size`, `scale` `[2]` and `translation` `[2]` and returns `float32`,
//!   `[n, size, c]`.
//! - `ScaleAndTranslateGrad` takes `grads`, `original_image`, `scale` and `translation` and returns `float32`
//!   in the shape of the image.
//!
//! `ResizeArea` averages the pixels that a result pixel covers. `ResizeBicubic` has TensorFlow's two variants
//! of centers (`half_pixel_centers`), which differ in the parameter of the cubic as well: -0.75 without and
//! -0.5 with half-pixel centers. `ScaleAndTranslate` takes scale and shift of each axis and one of several
//! kernels (`kernel_type`, default `lanczos3`); with `antialias` (default true) the kernel is widened when
//! the image shrinks. Result pixels that come from outside of the image are 0.
//!
//! Images without pixels or channels, sizes and scales that are not positive, and unknown kernels are
//! `InvalidArgument`.
//!
//! # Algorithm
//!
//! All of them are separable: `spans.rs` computes for each axis the source pixels of each result pixel with
//! their weights. The images are `float32` throughout. Rows are combined first, then columns; threads share
//! the rows of the result. Gradients are summed in double precision in one thread, in the order of `grads`.
//! Bits do not depend on the number of threads.
//!
//! ```text
//! ResizeArea         [0, 3, 6]   2 pixels                    [1, 5]
//! ResizeBicubic      [0, 4]      4 pixels                    [0, 2, 4, 4.375]
//! ScaleAndTranslate  [1, 3]      4 pixels, scale 2, box      [1, 1, 3, 3]
//! ```

use super::spans::{Filter, Spans};
use crate::dispatch::check_real;
use crate::kernel::{KernelContext, NodeSpec, Watch};
use crate::kernels::chunks::for_chunks;
use crate::kernels::math::boxed;
use crate::kernels::nn::{Scaler, gradient_dims, image_dims, new_size, resized_dims};
use crate::registry::Registry;
use compute::elementwise;
use session_core::{Error, Result};
use tensor::{DType, memory};

/// Registers the op types. The spans of the first three follow from the sizes; those of the others from
/// inputs of each step.
pub(super) fn register(registry: &mut Registry) {
    registry.add("ResizeArea", |spec| {
        check_real(spec.input_dtype(0))?;
        resized(spec, |watch, scaler, old, new| Spans::area(watch, scaler.scale(old, new), old, new))
    });
    registry.add("ResizeBicubic", |spec| {
        check_real(spec.input_dtype(0))?;
        resized(spec, Spans::bicubic)
    });
    registry.add("ResizeBicubicGrad", |spec| {
        let scaler = Scaler::of(spec)?;
        match spec.input_dtype(1) {
            dtype @ (DType::Float32 | DType::Float64) => Ok(boxed(move |context| {
                let ([_, height, width, _], [_, new_height, new_width, _]) =
                    (image_dims(context.input(1).shape())?, image_dims(context.input(0).shape())?);
                let mut watch = context.watch();
                let mut spans = |old, new| Spans::bicubic(&mut watch, scaler, old, new);
                let spans = [spans(height, new_height)?, spans(width, new_width)?];
                spread(context, &spans, dtype)
            })),
            other => Err(crate::dispatch::unsupported(other)),
        }
    });
    registry.add("ScaleAndTranslate", |spec| {
        check_real(spec.input_dtype(0))?;
        let (filter, antialias) = (Filter::of(spec.str("kernel_type")?)?, spec.bool("antialias")?);
        Ok(boxed(move |context| {
            let [_, height, width, _] = resized_dims(context.input(0).shape())?;
            let new = new_size(context, 1)?;
            let spans = translated(context, filter, antialias, [height, width], new)?;
            gather(context, &spans)
        }))
    });
    registry.add("ScaleAndTranslateGrad", |spec| {
        let (filter, antialias) = (Filter::of(spec.str("kernel_type")?)?, spec.bool("antialias")?);
        Ok(boxed(move |context| {
            let ([_, height, width, _], [_, new_height, new_width, _]) =
                (image_dims(context.input(1).shape())?, image_dims(context.input(0).shape())?);
            let spans = translated(context, filter, antialias, [height, width], [new_height, new_width])?;
            spread(context, &spans, DType::Float32)
        }))
    });
}

/// Returns the kernel of an operation whose spans follow from the sizes alone. `spans` gets the old and the
/// new size of an axis.
fn resized(
    spec: &NodeSpec<'_>,
    spans: fn(&mut Watch<'_>, Scaler, usize, usize) -> Result<Spans>,
) -> Result<Box<dyn crate::kernel::Kernel>> {
    let scaler = Scaler::of(spec)?;
    Ok(boxed(move |context| {
        let [batch, height, width, depth] = resized_dims(context.input(0).shape())?;
        let [new_height, new_width] = new_size(context, 1)?;
        if batch == 0 {
            // No images of any size need no weights.
            return context.produce::<f32>(0, [batch, new_height, new_width, depth], |_, _| Ok(()));
        }
        let mut watch = context.watch();
        let mut spans = |old, new| spans(&mut watch, scaler, old, new);
        gather(context, &[spans(height, new_height)?, spans(width, new_width)?])
    }))
}

/// Returns the spans of `ScaleAndTranslate` along both axes. `old` and `new` are heights and widths; scale
/// and translation are inputs 2 and 3. Fails for a scale that is not positive, NaN included.
///
/// Translations are in pixels of the result, scales in pixels of the result for each pixel of the image.
fn translated(
    context: &KernelContext<'_>,
    filter: Filter,
    antialias: bool,
    old: [usize; 2],
    new: [usize; 2],
) -> Result<[Spans; 2]> {
    let (&[scale_y, scale_x], &[by_y, by_x]) = (context.slice::<f32>(2)?, context.slice::<f32>(3)?) else {
        return Err(Error::invalid_argument(
            "scale and translation must each be 2 numbers, for rows and columns",
        ));
    };
    if !(scale_y > 0.0 && scale_x > 0.0) {
        return Err(Error::invalid_argument(format!("scales must be above 0, got {scale_y} and {scale_x}")));
    }
    let mut watch = context.watch();
    Ok([
        Spans::translated(&mut watch, filter, antialias, old[0], new[0], scale_y, by_y)?,
        Spans::translated(&mut watch, filter, antialias, old[1], new[1], scale_x, by_x)?,
    ])
}

/// Delivers each pixel of the result as a sum of those of input 0 that its spans name, rows first.
///
/// The cost is `new_height * (width * rows + new_width * columns) * channels` per image, with `rows` and
/// `columns` as the sources of a pixel along each axis.
fn gather(context: &mut KernelContext<'_>, [rows, columns]: &[Spans; 2]) -> Result<()> {
    let [batch, height, width, depth] = image_dims(context.input(0).shape())?;
    let (new_height, new_width) = (rows.len(), columns.len());
    let mut input = memory::filled(0f32, context.input(0).elements())?;
    elementwise::cast_values(context.pool(), context.values(0)?, input.as_mut_slice().into());
    context.produce::<f32>(0, [batch, new_height, new_width, depth], |context, output| {
        // Elements of a row of the old image.
        let row = width * depth;
        for_chunks(context.pool(), output, new_width * depth, |at, output| {
            let (image, y) = (&input[at / new_height * height * row..][..height * row], at % new_height);
            // One row of the image, combined from several: the columns below read it `len` times.
            let mut mixed = vec![0f32; row];
            for (source, weight) in rows.at(y) {
                let source = &image[source * row..][..row];
                mixed.iter_mut().zip(source).for_each(|(to, &from)| *to += weight * from);
            }
            output.fill(0.0);
            for (x, pixel) in output.chunks_exact_mut(depth.max(1)).enumerate() {
                for (source, weight) in columns.at(x) {
                    let source = &mixed[source * depth..][..depth];
                    pixel.iter_mut().zip(source).for_each(|(to, &from)| *to += weight * from);
                }
            }
        });
        Ok(())
    })
}

/// Delivers the gradient: each one of input 0 goes to the pixels of input 1 that its spans name, by the
/// products of their weights.
fn spread(context: &mut KernelContext<'_>, [rows, columns]: &[Spans; 2], dtype: DType) -> Result<()> {
    let shape = context.input(1).shape().clone();
    let ([batch, height, width, depth], [new_height, new_width]) = gradient_dims(context)?;
    let gradients = context.slice::<f32>(0)?;
    // In double precision: many gradients may go to one pixel of an image that was enlarged.
    let mut spread = memory::filled(0f64, batch * height * width * depth)?;
    for (at, gradient) in gradients.chunks_exact(depth.max(1)).enumerate() {
        let (n, y, x) = (at / new_width / new_height, at / new_width % new_height, at % new_width);
        for (to_y, weight_y) in rows.at(y) {
            for (to_x, weight_x) in columns.at(x) {
                let weight = f64::from(weight_y) * f64::from(weight_x);
                let pixel = &mut spread[((n * height + to_y) * width + to_x) * depth..][..depth];
                pixel.iter_mut().zip(gradient).for_each(|(to, &from)| *to += weight * f64::from(from));
            }
        }
    }
    context.produce_values(0, dtype, shape, &|context, output| {
        elementwise::cast_values(context.pool(), spread.as_slice().into(), output);
        Ok(())
    })
}
