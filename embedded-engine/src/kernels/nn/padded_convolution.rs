//! Convolutions with mirrored borders.
//!
//! # Semantics
//!
//! `FusedPadConv2D` takes `input` `[n, h, w, c]`, `paddings` `[4, 2]` and `filter`, and convolves the images
//! that `MirrorPad` of the attribute `mode` makes of the input. `FusedResizeAndPadConv2D` resizes bilinearly
//! first, to the input `size`, with `resize_align_corners`, and takes floats only. Attributes and errors are
//! those of `Conv2D`, `MirrorPad` and `ResizeBilinear`, whose kernels run one after the other: the fusion
//! saves an operation, not memory. 16-bit floats stay in `float32` from the first step to the last.

use super::convolution::forward;
use super::images::{Scaler, bilinear};
use super::window::Window;
use crate::kernels::array::{edge, mirror_pad};
use crate::kernels::math::boxed;
use crate::kernels::widened::single;
use crate::registry::Registry;

/// Registers the op types, each a sequence of kernels that run nested.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("FusedPadConv2D", |spec| {
        let (window, edge) = (Window::of_convolution(spec)?, edge(spec)?);
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| {
            let [images, paddings, filter] = [0, 1, 2].map(|input| context.take(input));
            // Moved into the nested kernel, which may write over images that nothing else holds.
            let padded = context.nested(vec![images, paddings], &|context| mirror_pad(context, edge))?;
            let output =
                context.nested(vec![padded, filter], &|context| forward::<T>(context, &window, None))?;
            context.set(0, output);
            Ok(())
        })))
    });
    registry.add("FusedResizeAndPadConv2D", |spec| {
        let (window, edge) = (Window::of_convolution(spec)?, edge(spec)?);
        let scaler = Scaler { align_corners: spec.bool("resize_align_corners")?, half_pixel_centers: false };
        let kernel = boxed(move |context| {
            let [images, size, paddings, filter] = [0, 1, 2, 3].map(|input| context.take(input));
            let resized = context.nested(vec![images, size], &|context| bilinear(context, scaler))?;
            let padded = context.nested(vec![resized, paddings], &|context| mirror_pad(context, edge))?;
            let output =
                context.nested(vec![padded, filter], &|context| forward::<f32>(context, &window, None))?;
            context.set(0, output);
            Ok(())
        });
        single(spec, kernel)
    });
}
