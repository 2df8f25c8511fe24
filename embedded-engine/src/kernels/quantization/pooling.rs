//! Pooling of integers that represent numbers. The range does not change.
//!
//! # Semantics
//!
//! `QuantizedMaxPool` and `QuantizedAvgPool` take images in NHWC and the two ends of their range, and return
//! the same three. Since the mapping from integers to numbers is increasing and linear, maximum and mean of
//! the integers stand for those of the numbers. Padding does not take part: the mean is over the pixels
//! inside the image. The mean is truncated to an integer, as by TensorFlow's portable kernel; its oneDNN kernel
//! rounds to the nearest, halves to even.

use super::ranges::{Integers, Range};
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::nn::Window;
use crate::registry::Registry;
use session_core::Result;
use tensor::{Shape, memory};

/// Registers the two op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("QuantizedMaxPool", |spec| pooled(spec, true));
    registry.add("QuantizedAvgPool", |spec| pooled(spec, false));
}

/// Returns the kernel; `largest` selects the maximum instead of the mean.
fn pooled(spec: &NodeSpec<'_>, largest: bool) -> Result<Box<dyn Kernel>> {
    let (kind, window) = (Integers::of(spec.dtype("T")?)?, Window::of_pooling(spec)?);
    Ok(boxed(move |context| pool(context, kind, &window, largest)))
}

/// Delivers one window after another. The limits of the run are checked in between, because large windows
/// make few results expensive.
///
/// The inputs are the images and the two ends of the range. Rows and columns of a window are cut off at the
/// borders of the image, so a window never counts padding; `cells` is the number of pixels that remain.
fn pool(context: &mut KernelContext<'_>, kind: Integers, window: &Window, largest: bool) -> Result<()> {
    let range = Range::of_inputs(context, 1)?;
    let shape = window.pooling(context.input(0).shape())?;
    let values = kind.read(context.input(0))?;
    let count = [shape.batch, shape.out_h, shape.out_w, shape.channels].iter().product::<usize>();
    let mut output = memory::reserve(count)?;
    let mut watch = context.watch();
    for at in 0..count {
        watch.tick(shape.window_h * shape.window_w)?;
        let (channel, pixel) = (at % shape.channels, at / shape.channels);
        let (x, y, image) =
            (pixel % shape.out_w, pixel / shape.out_w % shape.out_h, pixel / shape.out_w / shape.out_h);
        // The part of a window that is inside the image, along one axis.
        let span = |place: usize, stride: usize, pad: usize, window: usize, size: usize| {
            let start = place * stride;
            start.saturating_sub(pad)..(start + window).saturating_sub(pad).min(size)
        };
        let rows = span(y, shape.stride_h, shape.pad_top, shape.window_h, shape.in_h);
        let columns = span(x, shape.stride_w, shape.pad_left, shape.window_w, shape.in_w);
        // The least integer of the dtype, which every pixel is at least.
        let (mut most, mut sum, mut cells) = (kind.low, 0, 0);
        for y in rows {
            for x in columns.clone() {
                let value = values[((image * shape.in_h + y) * shape.in_w + x) * shape.channels + channel];
                (most, sum, cells) = (most.max(value), sum + value, cells + 1);
            }
        }
        // A window without a pixel has a mean of 0.
        output.push(if largest { most } else { sum / cells.max(1) });
    }
    let dims = Shape::from([shape.batch, shape.out_h, shape.out_w, shape.channels]);
    let output = kind.write(dims, output.into_iter())?;
    context.set(0, output);
    range.deliver(context);
    Ok(())
}
