//! Images under projective transformations.
//!
//! # Semantics
//!
//! `ImageProjectiveTransformV2` takes `images` `[n, h, w, c]` of real numbers, `transforms` `[1 or n, 8]`
//! (`float32`) and `output_shape` `[2]`; V3 has the scalar `fill_value`, too. The result has the dtype of the
//! images.
//!
//! A transformation has eight numbers: the result pixel `(x, y)` is read at
//! `((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k)` with `k = c0 x + c1 y + 1`. So it maps the result to
//! the image, and `[1, 0, 1, 0, 1, 0, 0, 0]` moves the image to the left by one pixel. Pixels with `k = 0`
//! have the fill value. `interpolation` is `NEAREST` or `BILINEAR`. Places outside of the image are filled
//! according to `fill_mode` (default `CONSTANT`):
//!
//! | mode | `[a b c d]` continues as |
//! | --- | --- |
//! | `CONSTANT` | `fill_value`, which is 0 in V2 |
//! | `NEAREST` | `a a a`, `d d d` |
//! | `REFLECT` | `c b a`, `d c b` |
//! | `WRAP` | `b c d`, `a b c` |
//!
//! Shapes that do not fit and unknown modes are `InvalidArgument`. Computed in `float32` in one thread;
//! integers are truncated toward zero.
//!
//! ```text
//! images [1, 2, 3], read at x - 3, nine pixels
//!
//! CONSTANT, fill_value 9   9 9 9 | 1 2 3 | 9 9 9
//! NEAREST                  1 1 1 | 1 2 3 | 3 3 3
//! REFLECT                  3 2 1 | 1 2 3 | 3 2 1
//! WRAP                     3 3 3 | 1 2 3 | 1 1 1
//! ```
//!
//! `WRAP` repeats the image exactly only next to its edges; farther outside it follows TensorFlow's formula.

use crate::dispatch::check_real;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::nn::{image_dims, new_size};
use crate::registry::Registry;
use compute::elementwise;
use session_core::{Error, Result};
use tensor::{Shape, memory};

/// Registers both versions, which differ in the input with the fill value.
pub(super) fn register(registry: &mut Registry) {
    for op_type in ["ImageProjectiveTransformV2", "ImageProjectiveTransformV3"] {
        registry.add(op_type, |spec| {
            check_real(spec.input_dtype(0))?;
            let (nearest, edge) = (is_nearest(spec)?, Edge::of(spec.str("fill_mode")?)?);
            Ok(boxed(move |context| transform(context, nearest, edge)))
        });
    }
}

/// Returns true for the interpolation `NEAREST`. Fails for an unknown one.
fn is_nearest(spec: &NodeSpec<'_>) -> Result<bool> {
    match spec.str("interpolation")? {
        "NEAREST" => Ok(true),
        "BILINEAR" => Ok(false),
        other => {
            Err(Error::invalid_argument(format!("interpolation must be NEAREST or BILINEAR, not '{other}'")))
        }
    }
}

/// The continuation of an image over its edge.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    /// Pixels outside have a value of their own.
    Constant,
    /// The pixel at the edge is repeated.
    Nearest,
    /// The image is mirrored at its edges, the last pixel twice.
    Reflect,
    /// The image is repeated.
    Wrap,
}

impl Edge {
    /// Returns the continuation of this name, or an error.
    fn of(name: &str) -> Result<Edge> {
        Ok(match name {
            "CONSTANT" => Edge::Constant,
            "NEAREST" => Edge::Nearest,
            "REFLECT" => Edge::Reflect,
            "WRAP" => Edge::Wrap,
            other => {
                let text = format!("fill_mode must be CONSTANT, NEAREST, REFLECT, or WRAP, not '{other}'");
                return Err(Error::invalid_argument(text));
            }
        })
    }

    /// Returns the place in an image of this size that stands for a place anywhere. `Constant` leaves it
    /// where it is. The formulas are TensorFlow's, including that of `Wrap`, which counts periods of `last`,
    /// moves by the length, and is then clamped.
    fn place(self, place: f32, size: usize) -> f32 {
        let (length, last) = (size as f32, (size - 1) as f32);
        let moved = match self {
            Edge::Constant => return place,
            _ if (0.0..=last).contains(&place) => return place,
            Edge::Nearest => place,
            _ if size <= 1 => 0.0,
            Edge::Reflect if place < 0.0 => {
                let period = 2.0 * length;
                let place = if place < period { period * (-place / period).trunc() + place } else { place };
                if place < -length { place + period } else { -place - 1.0 }
            }
            Edge::Reflect => {
                let period = 2.0 * length;
                let place = place - period * (place / period).trunc();
                if place >= length { period - place - 1.0 } else { place }
            }
            Edge::Wrap if place < 0.0 => place + length * ((-place / last).trunc() + 1.0),
            Edge::Wrap => place - length * (place / last).trunc(),
        };
        moved.clamp(0.0, last)
    }
}

/// Delivers the transformed images.
fn transform(context: &mut KernelContext<'_>, nearest: bool, edge: Edge) -> Result<()> {
    let [batch, height, width, depth] = image_dims(context.input(0).shape())?;
    let [new_height, new_width] = new_size(context, 2)?;
    // Copied, as the output is produced while they are read; there are eight numbers for each image.
    let transforms = match context.input(1).shape().dims() {
        &[count, 8] if count == 1 || count == batch => context.slice::<f32>(1)?.to_vec(),
        _ => {
            let text = format!("transforms of shape {} do not fit {batch} images", context.input(1).shape());
            return Err(Error::invalid_argument(text));
        }
    };
    let fill = if context.num_inputs() > 3 { context.input(3).value::<f32>()? } else { 0.0 };
    let dtype = context.input(0).dtype();
    let mut values = memory::filled(0f32, context.input(0).elements())?;
    elementwise::cast_values(context.pool(), context.values(0)?, values.as_mut_slice().into());
    let shape = Shape::from([batch, new_height, new_width, depth]);
    let mut output = memory::filled(0f32, shape.elements())?;
    for (at, out) in output.chunks_exact_mut(depth.max(1)).enumerate() {
        let (n, y, x) =
            (at / new_width / new_height, (at / new_width % new_height) as f32, (at % new_width) as f32);
        let t = &transforms[if transforms.len() > 8 { 8 * n } else { 0 }..][..8];
        // A point at infinity has no place; dividing would make an infinity or NaN of it.
        let projection = t[6] * x + t[7] * y + 1.0;
        if projection == 0.0 {
            out.fill(fill);
            continue;
        }
        let from_x = edge.place((t[0] * x + t[1] * y + t[2]) / projection, width);
        let from_y = edge.place((t[3] * x + t[4] * y + t[5]) / projection, height);
        // Each of the four pixels may be outside on its own, so the edge of a constant continuation is
        // blended with the fill value.
        let read = |y: f32, x: f32, c: usize| {
            // NaN is in no range, so a transformation with NaN gives the fill value.
            let inside = (0.0..height as f32).contains(&y) && (0.0..width as f32).contains(&x);
            if inside { values[((n * height + y as usize) * width + x as usize) * depth + c] } else { fill }
        };
        let (top, left) = (from_y.floor(), from_x.floor());
        let (share_y, share_x) = (from_y - top, from_x - left);
        for (c, out) in out.iter_mut().enumerate() {
            *out = if nearest {
                read(from_y.round(), from_x.round(), c)
            } else {
                let along = |y: f32| (1.0 - share_x) * read(y, left, c) + share_x * read(y, left + 1.0, c);
                (1.0 - share_y) * along(top) + share_y * along(top + 1.0)
            };
        }
    }
    context.produce_values(0, dtype, shape, &|context, to| {
        elementwise::cast_values(context.pool(), output.as_slice().into(), to);
        Ok(())
    })
}
