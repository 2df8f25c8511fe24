//! Boxes drawn into images.
//!
//! # Semantics
//!
//! `DrawBoundingBoxes` takes `images` `[n, h, w, c]` of `float32` or `float16` with 1, 3 or 4 channels, and
//! `boxes` `[n, k, 4]`, each `[y1, x1, y2, x2]` in fractions of the last row and column. It returns the
//! images with the outlines of the boxes, one pixel wide. V2 has a third input, `colors` `[m, c or more]`,
//! which are used in turn; an empty one stands for the table of ten colors. Later boxes cover earlier ones.
//!
//! The part of a box outside of the image is not drawn, nor is one whose first corner is behind the second.
//! Shapes that do not fit are `InvalidArgument`. The images are copied, and the outlines painted in one
//! thread.
//!
//! ```text
//! image 4 x 4 of zeros, box [0, 0, 0.7, 0.7]    1 1 1 0      0.7 * (4 - 1) = 2.1, so rows and columns 0 to 2
//!                                               1 0 1 0
//!                                               1 1 1 0
//!                                               0 0 0 0
//! ```

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::kernels::nn::image_dims;
use crate::kernels::widened::single;
use crate::registry::Registry;
use session_core::{Error, Result};

/// Registers both versions, which differ in the input with the colors.
pub(super) fn register(registry: &mut Registry) {
    for op_type in ["DrawBoundingBoxes", "DrawBoundingBoxesV2"] {
        registry.add(op_type, |spec| single(spec, boxed(draw)));
    }
}

/// The colors of boxes without others: red, green, blue, and alpha. Ten of them, which are TensorFlow's.
const COLORS: [f32; 40] = [
    1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.5, 1.0, 0.5,
    0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0,
];

/// Delivers the images with the boxes.
fn draw(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let [batch, height, width, depth] = image_dims(&shape)?;
    if ![1, 3, 4].contains(&depth) {
        return Err(Error::invalid_argument(format!(
            "Channel depth should be either 1 (GRY), 3 (RGB), or 4 (RGBA), not {depth}"
        )));
    }
    let boxes = match context.input(1).shape().dims() {
        &[images, boxes, 4] if images == batch => boxes,
        _ => {
            let text = format!("boxes of shape {} do not fit images of {shape}", context.input(1).shape());
            return Err(Error::invalid_argument(text));
        }
    };
    let (mut colors, mut stride) = (COLORS.to_vec(), 4);
    if depth == 1 {
        // Gray images are painted white, in the first component, whatever the color.
        colors.chunks_exact_mut(stride).for_each(|color| color[0] = 1.0);
    }
    if context.num_inputs() > 2 {
        match context.input(2).shape().dims() {
            &[count, channels] if channels >= depth => {
                if count > 0 {
                    (colors, stride) = (context.slice::<f32>(2)?.to_vec(), channels);
                }
            }
            _ => {
                let text =
                    format!("colors of shape {} do not fit {depth} channels", context.input(2).shape());
                return Err(Error::invalid_argument(text));
            }
        }
    }
    context.produce::<f32>(0, shape, |context, output| {
        output.copy_from_slice(context.slice::<f32>(0)?);
        let corners = context.slice::<f32>(1)?;
        for (at, corner) in corners.chunks_exact(4).enumerate() {
            let color = &colors[at % boxes % (colors.len() / stride) * stride..][..depth];
            let image = &mut output[at / boxes * height * width * depth..][..height * width * depth];
            // Truncated toward zero, so a place less than one pixel before the image counts as in it.
            let place = |fraction: f32, size: usize| (fraction * (size - 1) as f32) as i64;
            let (top, left) = (place(corner[0], height), place(corner[1], width));
            let (bottom, right) = (place(corner[2], height), place(corner[3], width));
            let (rows, columns) = (height as i64, width as i64);
            let nowhere = top > bottom || left > right;
            if nowhere || top >= rows || bottom < 0 || left >= columns || right < 0 {
                continue;
            }
            let mut paint = |y: i64, x: i64| {
                image[(y as usize * width + x as usize) * depth..][..depth].copy_from_slice(color);
            };
            let (ys, xs) = (top.max(0)..=bottom.min(rows - 1), left.max(0)..=right.min(columns - 1));
            for y in [top, bottom].into_iter().filter(|y| (0..rows).contains(y)) {
                xs.clone().for_each(|x| paint(y, x));
            }
            for x in [left, right].into_iter().filter(|x| (0..columns).contains(x)) {
                ys.clone().for_each(|y| paint(y, x));
            }
        }
        Ok(())
    })
}
