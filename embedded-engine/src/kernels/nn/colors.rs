//! Colors of images, pixel by pixel.
//!
//! # Semantics
//!
//! Images have any number of axes before the last, which holds the channels.
//!
//! - `RGBToHSV` and `HSVToRGB` take floats `[..., 3]` and return hue, saturation and value, or red, green and
//!   blue.
//! - `AdjustHue` takes floats `[..., 3]` and the scalar `delta` and turns the hue by this fraction of the
//!   circle.
//! - `AdjustSaturation` takes floats `[..., 3]` and the scalar `scale`, multiplies the saturation and keeps
//!   it in \[0, 1\].
//! - `AdjustContrastv2` takes floats `[..., rows, columns, channels]` and the scalar `contrast_factor` and
//!   returns `(x - mean) * factor + mean`.
//! - `AdjustContrast` takes real numbers, the factor and two bounds, and returns the same as `float32`, kept
//!   within the bounds.
//!
//! Hue, saturation and value are in \[0, 1\] for colors in that range; other numbers are not clipped. Black
//! has hue and saturation 0, and all grays have hue 0. The mean of the contrast is that of each channel of
//! each image. A last axis other than 3, or too few axes, are `InvalidArgument`. NaN components do not take
//! part in the least and the largest one.
//!
//! 16-bit floats are computed in `float32`. Threads share pixels or, for the contrast, images; each result
//! depends on one of them only.
//!
//! ```text
//! RGBToHSV          [1, 0.5, 0]                         [1/12, 1, 1]
//! AdjustHue         [1, 0.5, 0], delta 1/3              [0, 1, 0.5]
//! AdjustSaturation  [1, 0.5, 0], scale 0.5              [1, 0.75, 0.5]
//! AdjustContrastv2  [1, 3] in one channel, factor 2     [0, 4]
//! ```

use crate::kernel::KernelContext;
use crate::kernels::chunks::for_chunks;
use crate::kernels::math::{boxed, greater, lesser};
use crate::kernels::widened::single;
use crate::registry::Registry;
use compute::elementwise::{self, CastTo};
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{Element, Shape};

/// Registers the op types. The first version of the contrast takes all real dtypes, later ones floats.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("AdjustContrast", |spec| {
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(|context| {
            let bounds = [context.input(2).value::<f32>()?, context.input(3).value::<f32>()?];
            adjust_contrast::<T>(context, bounds)
        })))
    });
    registry.add("AdjustContrastv2", |spec| {
        single(spec, boxed(|context| adjust_contrast::<f32>(context, [f32::NEG_INFINITY, f32::INFINITY])))
    });
    registry.add("AdjustHue", |spec| single(spec, boxed(|context| adjusted(context, with_hue))));
    registry
        .add("AdjustSaturation", |spec| single(spec, boxed(|context| adjusted(context, with_saturation))));
    registry.add("RGBToHSV", |spec| {
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(|context| converted::<T>(context, to_hsv))))
    });
    registry.add("HSVToRGB", |spec| {
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(|context| converted::<T>(context, to_rgb))))
    });
}

/// Pixels that one thread works on at a time. Large enough that handing out a part costs nothing in
/// comparison.
const PIXELS: usize = 4096;

/// Moves each channel of each image away from its mean, within bounds, and delivers the result as `float32`.
/// The sums are in double precision, in the order of the pixels.
fn adjust_contrast<T: Element + CastTo<f32>>(
    context: &mut KernelContext<'_>,
    [least, most]: [f32; 2],
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let &[.., height, width, channels] = shape.dims() else {
        return Err(Error::invalid_argument(format!("input must be at least 3-D, got shape {shape}")));
    };
    let factor = context.input(1).value::<f32>()?;
    let pixels = height * width;
    context.produce::<f32>(0, shape, |context, output| {
        elementwise::cast(context.pool(), context.slice::<T>(0)?, output);
        for_chunks(context.pool(), output, (pixels * channels).max(1), |_, image| {
            let mut means = vec![0f64; channels];
            for pixel in image.chunks_exact(channels) {
                means.iter_mut().zip(pixel).for_each(|(mean, &x)| *mean += f64::from(x));
            }
            let means: Vec<f32> = means.into_iter().map(|sum| (sum / pixels as f64) as f32).collect();
            for pixel in image.chunks_exact_mut(channels) {
                for (x, mean) in pixel.iter_mut().zip(&means) {
                    // Not `min` and `max`, which would turn NaN into a bound.
                    *x = greater(lesser((*x - mean) * factor + mean, most), least);
                }
            }
        });
        Ok(())
    })
}

/// Returns the shape of an input whose last axis holds colors. Fails unless there are three of them.
fn colors(context: &KernelContext<'_>) -> Result<Shape> {
    let shape = context.input(0).shape();
    if shape.last() == Some(&3) {
        return Ok(shape.clone());
    }
    Err(Error::invalid_argument(format!("input must have 3 channels, got shape {shape}")))
}

/// Replaces each color by a function of it and the number in input 1.
fn adjusted(context: &mut KernelContext<'_>, adjust: fn([f32; 3], f32) -> [f32; 3]) -> Result<()> {
    let by = context.input(1).value::<f32>()?;
    each_color(context, |color| adjust(color, by))
}

/// Replaces each color by a function of it.
fn converted<T: Element + Real>(
    context: &mut KernelContext<'_>,
    convert: fn([T; 3]) -> [T; 3],
) -> Result<()> {
    each_color(context, convert)
}

/// Delivers input 0 with a function applied to each color. A part of `3 * PIXELS` elements never splits a
/// color.
fn each_color<T: Element + Real>(
    context: &mut KernelContext<'_>,
    convert: impl Fn([T; 3]) -> [T; 3] + Sync,
) -> Result<()> {
    let shape = colors(context)?;
    context.produce::<T>(0, shape, |context, output| {
        let input = context.slice::<T>(0)?;
        for_chunks(context.pool(), output, 3 * PIXELS, |chunk, output| {
            let input = &input[chunk * 3 * PIXELS..][..output.len()];
            for (to, from) in output.chunks_exact_mut(3).zip(input.chunks_exact(3)) {
                to.copy_from_slice(&convert([from[0], from[1], from[2]]));
            }
        });
        Ok(())
    })
}

/// Returns the larger number; the other where one is NaN.
fn larger<T: Real>(a: T, b: T) -> T {
    if a > b || b.is_nan() { a } else { b }
}

/// Returns the smaller number; the other where one is NaN.
fn smaller<T: Real>(a: T, b: T) -> T {
    if a < b || b.is_nan() { a } else { b }
}

/// Returns the least and the largest component.
fn range<T: Real>([r, g, b]: [T; 3]) -> [T; 2] {
    [smaller(smaller(r, g), b), larger(larger(r, g), b)]
}

/// Returns the hue in sixths of the color wheel, from 0 up to 6.
fn hue<T: Real>([r, g, b]: [T; 3]) -> T {
    let [least, most] = range([r, g, b]);
    let size = most - least;
    if size <= T::default() || size.is_nan() {
        return T::default();
    }
    let hue = if r == most {
        (g - b) / size
    } else if g == most {
        (b - r) / size + T::of(2.0)
    } else {
        (r - g) / size + T::of(4.0)
    };
    if hue < T::default() { hue + T::of(6.0) } else { hue }
}

/// Returns the saturation, the share of the largest component that is above the least; 0 for black.
fn saturation<T: Real>(color: [T; 3]) -> T {
    let [least, most] = range(color);
    if most > T::default() { (most - least) / most } else { T::default() }
}

/// Returns hue, saturation and value of a color: orange `[1, 0.5, 0]` is `[1 / 12, 1, 1]`.
fn to_hsv<T: Real>(color: [T; 3]) -> [T; 3] {
    [hue(color) / T::of(6.0), saturation(color), range(color)[1]]
}

/// Returns the color of a hue, saturation and value. Each component is a trapezoid over the hue, with a
/// plateau of a third of the circle around its own; less saturation mixes it with white.
fn to_rgb<T: Real>([hue, saturation, value]: [T; 3]) -> [T; 3] {
    let (zero, one, two) = (T::default(), T::of(1.0), T::of(2.0));
    let hue = hue * T::of(6.0);
    let within = |x: T| {
        if x < zero {
            zero
        } else if x > one {
            one
        } else {
            x
        }
    };
    // Red by its distance from cyan, green and blue by the distances from their own hues, in sixths of the
    // circle.
    let shares = [
        within((hue - T::of(3.0)).abs() - one),
        within(two - (hue - two).abs()),
        within(two - (hue - T::of(4.0)).abs()),
    ];
    shares.map(|share| (one - saturation + saturation * share) * value)
}

/// Returns the color with its hue rotated by this fraction of the color wheel. The minimum and maximum
/// components keep their values. The way over saturation and value would round them; here these components
/// only change places.
fn with_hue(color: [f32; 3], delta: f32) -> [f32; 3] {
    let [least, most] = range(color);
    let hue = (hue(color) + delta * 6.0).rem_euclid(6.0);
    // The remainder of a tiny negative number is rounded up to 6, which is the hue 0 again.
    let hue = if hue == 6.0 { 0.0 } else { hue };
    let sector = hue.floor();
    let share = hue - sector;
    let rising = least + share * (most - least);
    let falling = most - share * (most - least);
    match sector as u8 {
        0 => [most, rising, least],
        1 => [falling, most, least],
        2 => [least, most, rising],
        3 => [least, falling, most],
        4 => [rising, least, most],
        _ => [most, least, falling],
    }
}

/// Returns the color with its saturation multiplied, and kept between 0 and 1; a product of NaN counts as 0.
fn with_saturation(color: [f32; 3], scale: f32) -> [f32; 3] {
    let [hue, saturation, value] = to_hsv(color);
    let scaled = saturation * scale;
    let saturation = if scaled.is_nan() { 0.0 } else { scaled.clamp(0.0, 1.0) };
    to_rgb([hue, saturation, value])
}
