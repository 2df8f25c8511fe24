//! The pixels along one axis that each pixel of a resized image is made of, with their weights.
//!
//! Places are computed in `float32`, as in TensorFlow: at the edge of a pixel the result depends on their
//! rounding. The cost is one evaluation of the filter for each source pixel of each result pixel along the
//! axis, which is little next to the images.
//!
//! ```text
//! bicubic, 2 pixels become 4 (scale 0.5), pixel 1 is at 0.5:
//!
//! source   -1 -> 0     0         1         2 -> 1       outside pixels are those at the edge
//! weight   -0.09375    0.59375   0.59375   -0.09375
//! ```
//!
//! # Adding a filter
//!
//! A kernel of `ScaleAndTranslate` is a variant of [`Filter`] with its name in [`Filter::of`], its reach in
//! `radius` and its values in `weight`; nothing else depends on it.

use crate::kernel::Watch;
use crate::kernels::nn::Scaler;
use session_core::{Error, Result};
use std::f32::consts::PI;
use tensor::memory;

/// For each pixel of the result, a run of source pixels. A pixel may occur several times. Weights need not
/// add up to 1. A pixel of the result without parts is 0.
pub(super) struct Spans {
    /// The sources and weights of all pixels, one after the other.
    ///
    /// One list for all pixels instead of a vector for each: images have thousands of rows.
    parts: Vec<(usize, f32)>,
    /// The end of each pixel's parts. They rise; the parts of pixel `i` begin where those of `i - 1` end.
    ends: Vec<usize>,
}

impl Spans {
    /// Returns the spans of `count` pixels. `write(pixel, parts)` adds the parts of one pixel to an empty
    /// list. Fails if the run is ended or memory is refused.
    fn of(
        watch: &mut Watch<'_>,
        count: usize,
        mut write: impl FnMut(usize, &mut Vec<(usize, f32)>),
    ) -> Result<Spans> {
        let (mut parts, mut ends, mut own) = (Vec::new(), memory::reserve(count)?, Vec::new());
        for at in 0..count {
            own.clear();
            write(at, &mut own);
            watch.tick(own.len())?;
            memory::grow(&mut parts, own.len())?;
            parts.extend_from_slice(&own);
            ends.push(parts.len());
        }
        Ok(Spans { parts, ends })
    }

    /// Returns the number of pixels of the result.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the sources of a pixel with their weights, from the first to the last.
    pub(super) fn at(&self, pixel: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let start = if pixel == 0 { 0 } else { self.ends[pixel - 1] };
        self.parts[start..self.ends[pixel]].iter().copied()
    }

    /// Returns the mean over the pixels that each pixel of the result covers, each weighed by the part that
    /// is covered. Pixel `i` covers `scale * i` to `scale * (i + 1)`: 3 pixels that become 2 have the weights
    /// `[2/3, 1/3]` and `[1/3, 2/3]`.
    ///
    /// `scale` is `old` over `new`, or the ratio of the distances between the corners.
    pub(super) fn area(watch: &mut Watch<'_>, scale: f32, old: usize, new: usize) -> Result<Spans> {
        Spans::of(watch, new, |at, parts| {
            let (from, to) = (at as f32 * scale, (at + 1) as f32 * scale);
            for source in from.floor() as i64..to.ceil() as i64 {
                // The part of the source pixel within the result pixel; at the ends only a part of it counts.
                let (start, end) = (source as f32, (source + 1) as f32);
                let covered = if start < from {
                    if end > to { scale } else { end - from }
                } else if end > to {
                    to - start
                } else {
                    1.0
                };
                parts.push((inside(source, old), covered / scale));
            }
            // Rounding of a tiny scale may leave no pixel between both ends.
            if parts.is_empty() {
                parts.push((inside(from.floor() as i64, old), 1.0));
            }
        })
    }

    /// Returns four pixels around each place, weighed by a cubic polynomial, which is looked up in a table of
    /// 1024 steps as in the original. With centers at half pixels the polynomial is Keys', and pixels outside
    /// do not count; else the pixel at the edge is repeated.
    ///
    /// `scaler` has the attributes, `old` and `new` are the sizes of the axis.
    pub(super) fn bicubic(watch: &mut Watch<'_>, scaler: Scaler, old: usize, new: usize) -> Result<Spans> {
        const STEPS: f32 = 1024.0;
        let keys = scaler.half_pixel_centers;
        let a = if keys { -0.5 } else { -0.75 };
        // Weights for distances below 1 and, in `far`, below 2. Evaluated in double precision and rounded
        // once, as the entries of the table are.
        let near = |step: f32| {
            let x = f64::from(step / STEPS);
            (((a + 2.0) * x - (a + 3.0)) * x * x + 1.0) as f32
        };
        let far = |step: f32| {
            let x = f64::from(step / STEPS + 1.0);
            (((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a) as f32
        };
        let scale = scaler.scale(old, new);
        Spans::of(watch, new, |at, parts| {
            let place = scaler.place(at, scale);
            // The index into the table of the original, which rounds half to even.
            let step = ((place - place.floor()) * STEPS).round_ties_even();
            let first = place.floor() as i64 - 1;
            let weights = [far(step), near(step), near(STEPS - step), far(STEPS - step)];
            for (source, weight) in (first..).zip(weights) {
                let kept = inside(source, old);
                if !keys || kept as i64 == source {
                    parts.push((kept, weight));
                }
            }
            if keys {
                normalize(parts);
            }
        })
    }

    /// Returns the pixels under a filter around the place that the pixel at `p` comes from,
    /// `(p - by) / scale`, with weights that add up to 1. With `antialias` and a scale below 1 the filter is
    /// as wide as the result's pixels, otherwise as those of the image.
    ///
    /// `old` and `new` are the sizes of the axis; `scale` is positive.
    pub(super) fn translated(
        watch: &mut Watch<'_>,
        filter: Filter,
        antialias: bool,
        old: usize,
        new: usize,
        scale: f32,
        by: f32,
    ) -> Result<Spans> {
        let inverse = 1.0 / scale;
        let width = if antialias { inverse.max(1.0) } else { 1.0 };
        let reach = filter.radius() * width;
        Spans::of(watch, new, |at, parts| {
            let sample = (at as f32 + 0.5) * inverse - inverse * by;
            // The pixel comes from outside of the image and stays without parts.
            if !(0.0..=old as f32).contains(&sample) {
                return;
            }
            // Centers of pixels are at halves.
            let first = inside((sample - reach - 0.5).ceil() as i64, old);
            let last = inside((sample + reach - 0.5).floor() as i64, old);
            let weight = |source: usize| filter.weight((source as f32 + 0.5 - sample) * (1.0 / width));
            parts.extend((first..=last).map(|source| (source, weight(source))));
            normalize(parts);
        })
    }
}

/// Returns the pixel of an image of this size that is nearest to a place.
fn inside(place: i64, size: usize) -> usize {
    place.clamp(0, size as i64 - 1) as usize
}

/// Divides weights by their sum; where that is 0 nothing remains. The bound keeps the quotients finite.
fn normalize(parts: &mut Vec<(usize, f32)>) {
    let sum: f32 = parts.iter().map(|(_, weight)| weight).sum();
    if sum.abs() >= 1000.0 * f32::MIN_POSITIVE {
        parts.iter_mut().for_each(|(_, weight)| *weight *= 1.0 / sum);
    } else {
        parts.clear();
    }
}

/// A function of the distance of a source pixel. Distances are in pixels, times the width of the filter. All
/// are symmetric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Filter {
    /// A sinc in the window of a wider sinc, of this radius.
    Lanczos(f32),
    /// A Gaussian of the deviation 0.5, cut off at 1.5.
    Gaussian,
    /// The pixel within a half; two of them count half each where the place is on their border.
    Box,
    /// Linear interpolation.
    Triangle,
    /// The cubic of Keys, which interpolates.
    KeysCubic,
    /// The cubic of Mitchell and Netravali, which blurs a little and rings less.
    MitchellCubic,
}

impl Filter {
    /// Returns the filter of a `kernel_type`, or an error.
    pub(super) fn of(name: &str) -> Result<Filter> {
        Ok(match name {
            "lanczos1" => Filter::Lanczos(1.0),
            "lanczos3" => Filter::Lanczos(3.0),
            "lanczos5" => Filter::Lanczos(5.0),
            "gaussian" => Filter::Gaussian,
            "box" => Filter::Box,
            "triangle" => Filter::Triangle,
            "keyscubic" => Filter::KeysCubic,
            "mitchellcubic" => Filter::MitchellCubic,
            _ => return Err(Error::invalid_argument(format!("Unrecognized kernel type: {name}"))),
        })
    }

    /// Returns the distance from which on the weight is 0. That of the box is larger than needed, as in
    /// TensorFlow.
    fn radius(self) -> f32 {
        match self {
            Filter::Lanczos(radius) => radius,
            Filter::Gaussian => 1.5,
            Filter::Box | Filter::Triangle => 1.0,
            Filter::KeysCubic | Filter::MitchellCubic => 2.0,
        }
    }

    /// Returns the weight of a pixel at this distance.
    ///
    /// ```text
    /// Lanczos r       r sin(pi x) sin(pi x / r) / (pi x)^2       0 <= x <= r
    /// Gaussian        e^(-2 x^2)                                 x < 1.5
    /// Box             1, at 0.5 one half                         x <= 0.5
    /// Triangle        1 - x                                      x <= 1
    /// KeysCubic       1.5 x^3 - 2.5 x^2 + 1                      x < 1
    ///                 -0.5 x^3 + 2.5 x^2 - 4 x + 2               x < 2
    /// MitchellCubic   7/6 x^3 - 2 x^2 + 8/9                      x < 1
    ///                 -7/18 x^3 + 2 x^2 - 10/3 x + 16/9          x < 2
    /// ```
    fn weight(self, distance: f32) -> f32 {
        let x = distance.abs();
        match self {
            Filter::Lanczos(radius) if x > radius => 0.0,
            Filter::Lanczos(_) if x <= 1e-3 => 1.0,
            Filter::Lanczos(radius) => radius * (PI * x).sin() * (PI * x / radius).sin() / (PI * PI * x * x),
            Filter::Gaussian if x >= 1.5 => 0.0,
            Filter::Gaussian => (-x * x / (2.0 * 0.5 * 0.5)).exp(),
            Filter::Box if x < 0.5 => 1.0,
            Filter::Box if x == 0.5 => 0.5,
            Filter::Box => 0.0,
            Filter::Triangle => (1.0 - x).max(0.0),
            Filter::KeysCubic | Filter::MitchellCubic if x >= 2.0 => 0.0,
            Filter::KeysCubic if x >= 1.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Filter::KeysCubic => (1.5 * x - 2.5) * x * x + 1.0,
            Filter::MitchellCubic if x >= 1.0 => ((-7.0 / 18.0 * x + 2.0) * x - 10.0 / 3.0) * x + 16.0 / 9.0,
            Filter::MitchellCubic => (7.0 / 6.0 * x - 2.0) * x * x + 8.0 / 9.0,
        }
    }
}
