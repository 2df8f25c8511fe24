//! Pooling of regions whose sizes are drawn at random.
//!
//! # Semantics
//!
//! `FractionalMaxPool` and `FractionalAvgPool` take `value` `[n, h, w, c]` of `float32`, `float64`, `int32`
//! or `int64` and return the pooled images and, as `int64`, the borders of the regions along rows and along
//! columns: `k` regions have `k + 1` borders, from 0 to the size. The attribute `pooling_ratio` is
//! `[1, rows, columns, 1]`.
//!
//! An axis of `n` elements is divided into `floor(n / ratio)` regions, whose sizes are `n / count` and one
//! more, shuffled; with `pseudo_random` they follow from one random number. `overlapping` regions share their
//! border: each takes the first element of the next one as well. With `deterministic` each run divides in the
//! same way; otherwise seeds must be 0, the random stream of the operation goes on, and is part of the
//! session's state. A ratio above the size of the axis is `InvalidArgument`.
//!
//! The gradients take the borders as inputs, `FractionalAvgPoolGrad` with the shape of the images,
//! `FractionalMaxPoolGrad` with the images. Of equal maxima, the first one has the gradient; means spread
//! theirs evenly. Borders that do not rise or lie outside of the images are `InvalidArgument`. Maxima pass
//! over NaN; a region without an element above the least finite number has that number as its maximum, and
//! its first element has the gradient.
//!
//! Each element is read once, or twice where regions overlap, in one thread.
//!
//! ```text
//! five elements [0, 1, 2, 3, 4], ratio 2: floor(5 / 2) = 2 regions of 2 and 3 elements, in random order
//!
//! borders [0, 3, 5]                  means [1, 3.5]      maxima [2, 4]
//! the same, overlapping              means [1.5, 3.5]    maxima [3, 4]
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::random;
use crate::registry::Registry;
use compute::random::{Generator, Words, shuffle};
use session_core::{AttrValue, Error, Result};
use std::ops::Range;
use tensor::{Element, Shape, Tensor, memory};

/// Registers the op types, for the dtypes that TensorFlow's definitions allow.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("FractionalAvgPool", |spec| pooling(spec, false));
    registry.add("FractionalMaxPool", |spec| pooling(spec, true));
    registry.add("FractionalAvgPoolGrad", |spec| {
        let overlapping = spec.bool("overlapping")?;
        for_dtype!(plain spec.input_dtype(1), T => {
            Ok(boxed(move |context| mean_gradient::<T>(context, overlapping)))
        })
    });
    registry.add("FractionalMaxPoolGrad", |spec| {
        let overlapping = spec.bool("overlapping")?;
        for_dtype!(plain spec.input_dtype(0), T => {
            Ok(boxed(move |context| maximum_gradient::<T>(context, overlapping)))
        })
    });
}

/// A number that is pooled; means are computed in double precision.
trait Number: Element + Copy + PartialOrd {
    /// The least finite number, the maximum of a region without a larger one.
    const LOWEST: Self;
    /// Returns the number in double precision; large `int64` numbers are rounded.
    fn to_double(self) -> f64;
    /// Returns the number of the type; of an integer type, the one toward 0.
    fn of_double(number: f64) -> Self;
    /// Returns the sum; integers wrap.
    fn plus(self, other: Self) -> Self;
}

macro_rules! numbers {
    ($($type:ty: $plus:expr),*) => {$(
        impl Number for $type {
            const LOWEST: $type = <$type>::MIN;

            fn to_double(self) -> f64 {
                self as f64
            }

            fn of_double(number: f64) -> $type {
                number as $type
            }

            fn plus(self, other: $type) -> $type {
                $plus(self, other)
            }
        }
    )*};
}
numbers!(f32: |a, b| a + b, f64: |a, b| a + b, i32: i32::wrapping_add, i64: i64::wrapping_add);

/// Returns the kernel of the maximum or the mean of random regions. Reads and checks all attributes.
fn pooling(spec: &NodeSpec<'_>, maximum: bool) -> Result<Box<dyn Kernel>> {
    let wrong = || Error::invalid_argument("attribute 'pooling_ratio' is not a list of four numbers");
    let list = spec.attr("pooling_ratio")?.as_list().ok_or_else(wrong)?;
    let ratios: Vec<f32> = list.iter().filter_map(AttrValue::as_float).collect();
    let [1.0, rows, columns, 1.0] = ratios[..] else { return Err(wrong()) };
    let (deterministic, seeds) = (spec.bool("deterministic")?, (spec.int("seed")?, spec.int("seed2")?));
    // TensorFlow's rule: seeds would promise a sequence that the attribute does not keep.
    if !deterministic && seeds != (0, 0) {
        return Err(Error::invalid_argument("Both seed and seed2 should be 0 if deterministic is false."));
    }
    let state = random::state(spec)?;
    let (pseudo_random, overlapping) = (spec.bool("pseudo_random")?, spec.bool("overlapping")?);
    for_dtype!(plain spec.input_dtype(0), T => Ok(boxed(move |context| {
        let state = state.of(context)?;
        // Held until the images are pooled: two executions at the same time draw one after the other.
        let mut state = state.lock();
        // A deterministic operation draws the same numbers each time.
        let mut own = *state;
        let generator = if deterministic { &mut own } else { &mut *state };
        let images = Images::of(context.input(0).shape())?;
        let rows = borders(generator, images.height, rows, pseudo_random)?;
        let columns = borders(generator, images.width, columns, pseudo_random)?;
        pool::<T>(context, images, Grid { rows, columns, overlapping }, maximum)
    })))
}

/// Returns the error for a shape that is not one of images.
fn unfit(shape: &Shape) -> Error {
    Error::invalid_argument(format!("images have shape [batch, rows, columns, channels], not {shape}"))
}

/// Returns the borders of a random division of an axis of `size` elements: 0, the ends of all regions but the
/// last, and `size`. Without a remainder all regions are equal and no random number is drawn. The ratio is
/// divided in `float32`, as it is an attribute of that precision.
///
/// `generator` advances by one block for `pseudo_random` sizes, and by one for four regions otherwise.
fn borders(generator: &mut Generator, size: usize, ratio: f32, pseudo_random: bool) -> Result<Vec<i64>> {
    let count = (size as f32 / ratio).floor() as usize;
    if count == 0 {
        let text = format!("the pooling ratio {ratio} is higher than the size {size} of the dimension");
        return Err(Error::invalid_argument(text));
    }
    let mut sizes = memory::filled(size / count, count)?;
    if !size.is_multiple_of(count) {
        match pseudo_random {
            true => alternating(&mut sizes, size, generator),
            false => {
                sizes.iter_mut().take(size % count).for_each(|size| *size += 1);
                // One block has four numbers, and each size but one needs a number.
                shuffle(&mut generator.reserve(count.div_ceil(4) as u64), &mut sizes);
            }
        }
    }
    let mut borders = memory::reserve(count + 1)?;
    borders.push(0);
    for size in sizes {
        borders.push(borders[borders.len() - 1] + size as i64);
    }
    Ok(borders)
}

/// Fills in sizes that follow from one random number `u` for all regions: region `i` ends before the first
/// whole number from `a (i + u)` on, for the ratio `a`. The number is limited so that the first and the last
/// region are at most one larger than the others.
///
/// `sizes` has an element for each region and holds the smaller size of all; `size` is that of the axis. One
/// number is drawn from `generator`.
fn alternating(sizes: &mut [usize], size: usize, generator: &mut Generator) {
    let count = sizes.len();
    let (smallest, ratio) = (size / count, size as f64 / count as f64);
    // The largest number for which the first and the last region are not too large.
    let first = (smallest + 2) as f64 / ratio - 1.0;
    let last = (size + 1 - smallest) as f64 / ratio - (count - 1) as f64;
    let start = Words::new(generator.reserve(1)).next_f64() * first.min(last);
    let mut before = 1;
    for (i, region) in sizes.iter_mut().enumerate() {
        let end = if i + 1 == count { size + 1 } else { (ratio * ((i + 1) as f64 + start)).ceil() as usize };
        *region = end.saturating_sub(before);
        before = end;
    }
}

/// The regions of an image. Regions along both axes, of which every pair is a pooled element.
struct Grid {
    /// The borders along the rows; one more than there are regions.
    rows: Vec<i64>,
    /// The borders along the columns.
    columns: Vec<i64>,
    /// True if each region also takes the element at its end border.
    overlapping: bool,
}

/// The sizes of images.
#[derive(Clone, Copy)]
struct Images {
    /// The number of images.
    batch: usize,
    /// The number of rows of pixels.
    height: usize,
    /// The number of columns of pixels.
    width: usize,
    /// The number of channels of a pixel.
    channels: usize,
}

impl Images {
    /// Reads the sizes. Fails for another rank than 4.
    fn of(shape: &Shape) -> Result<Images> {
        let [batch, height, width, channels] = *shape.dims() else { return Err(unfit(shape)) };
        Ok(Images { batch, height, width, channels })
    }

    /// Returns the shape `[batch, height, width, channels]`.
    fn shape(self) -> Shape {
        Shape::from([self.batch, self.height, self.width, self.channels])
    }
}

impl Grid {
    /// Reads the borders from input `first` and the next one. They may be anything: `region` checks them.
    fn of_inputs(context: &KernelContext<'_>, first: usize, overlapping: bool) -> Result<Grid> {
        let (rows, columns) = (context.ints(first)?, context.ints(first + 1)?);
        Ok(Grid { rows, columns, overlapping })
    }

    /// Returns the sizes of the pooled images.
    fn pooled(&self, images: Images) -> Images {
        let count = |borders: &[i64]| borders.len().saturating_sub(1);
        Images { height: count(&self.rows), width: count(&self.columns), ..images }
    }

    /// Returns the region between two borders of an axis of this size. The end is cut off at the size, as the
    /// last region has no element to share. Fails for a region that is empty or begins before 0.
    ///
    /// `at` is the number of the region, `borders` are those along the axis, and `size` is the number of its
    /// elements.
    fn region(&self, borders: &[i64], at: usize, size: usize) -> Result<Range<usize>> {
        // Saturated, as borders come from an input.
        let end = borders[at + 1].saturating_add(i64::from(self.overlapping));
        let range = usize::try_from(borders[at]).ok().zip(usize::try_from(end).ok());
        let range = range.map(|(start, end)| start..end.min(size)).filter(|range| !range.is_empty());
        range.ok_or_else(|| {
            let (start, end) = (borders[at], borders[at + 1]);
            let text = format!("a region from {start} to {end} does not fit an axis of size {size}");
            Error::invalid_argument(text)
        })
    }

    /// Calls a function for each pooled element, in row-major order: with its place, and the places of the
    /// elements of its region. All regions are checked before the first call.
    fn visit(
        &self,
        images: Images,
        mut visit: impl FnMut(usize, &mut dyn Iterator<Item = usize>),
    ) -> Result<()> {
        let pooled = self.pooled(images);
        let regions = |count: usize, borders: &[i64], size: usize| {
            memory::try_collected((0..count).map(|at| self.region(borders, at, size)))
        };
        let rows = regions(pooled.height, &self.rows, images.height)?;
        let columns = regions(pooled.width, &self.columns, images.width)?;
        let mut place = 0;
        for n in 0..images.batch {
            for rows in &rows {
                for columns in &columns {
                    for channel in 0..images.channels {
                        let mut region = rows.clone().flat_map(|row| {
                            let start = (n * images.height + row) * images.width;
                            columns.clone().map(move |column| (start + column) * images.channels + channel)
                        });
                        visit(place, &mut region);
                        place += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the place and the value of the first of the largest elements. They are the first place and the
/// least finite number if no element is larger. Returns the place 0 for an empty region, which `region` has
/// excluded.
fn largest<T: Number>(values: &[T], region: &mut dyn Iterator<Item = usize>) -> (usize, T) {
    let mut region = region.peekable();
    let first = region.peek().copied().unwrap_or_default();
    region.fold((first, T::LOWEST), |(best, most), place| match values[place] > most {
        true => (place, values[place]),
        false => (best, most),
    })
}

/// Delivers the pooled images and the borders. `grid` divides images of the sizes `images`; `maximum` selects
/// maxima or means.
fn pool<T: Number>(context: &mut KernelContext<'_>, images: Images, grid: Grid, maximum: bool) -> Result<()> {
    context.produce::<T>(0, grid.pooled(images).shape(), |context, output| {
        let values = context.slice::<T>(0)?;
        grid.visit(images, |place, region| {
            output[place] = match maximum {
                true => largest(values, region).1,
                false => {
                    let (sum, count) = region
                        .fold((0.0, 0.0), |(sum, count), at| (sum + values[at].to_double(), count + 1.0));
                    T::of_double(sum / count)
                }
            };
        })
    })?;
    context.set(1, Tensor::from(grid.rows));
    context.set(2, Tensor::from(grid.columns));
    Ok(())
}

/// Checks the shape of what belongs to the pooled images. `pooled` are the sizes by the borders.
fn check_pooled(pooled: Images, found: &Shape) -> Result<()> {
    let expected = pooled.shape();
    if *found == expected {
        return Ok(());
    }
    let text = format!("the pooling sequences divide images into {expected}, but the gradient is {found}");
    Err(Error::invalid_argument(text))
}

/// Delivers the gradient of the means. It is summed in double precision, as an element of overlapping regions
/// has up to four shares.
fn mean_gradient<T: Number>(context: &mut KernelContext<'_>, overlapping: bool) -> Result<()> {
    let images = Images::of(&random::shape(context, 0)?)?;
    let grid = Grid::of_inputs(context, 2, overlapping)?;
    check_pooled(grid.pooled(images), context.input(1).shape())?;
    let grads = context.slice::<T>(1)?;
    let mut sums = memory::filled(0f64, images.shape().elements())?;
    grid.visit(images, |place, region| {
        let region: Vec<usize> = region.collect();
        let share = grads[place].to_double() / region.len() as f64;
        region.into_iter().for_each(|at| sums[at] += share);
    })?;
    let found = memory::collected(sums.into_iter().map(T::of_double))?;
    context.set(0, Tensor::from_vec(found, images.shape())?);
    Ok(())
}

/// Delivers the gradient of the maxima, which are found again in input 0. The pooled images in input 1 serve
/// as a check of the shape only.
fn maximum_gradient<T: Number>(context: &mut KernelContext<'_>, overlapping: bool) -> Result<()> {
    let images = Images::of(context.input(0).shape())?;
    let grid = Grid::of_inputs(context, 3, overlapping)?;
    let pooled = grid.pooled(images);
    check_pooled(pooled, context.input(1).shape())?;
    check_pooled(pooled, context.input(2).shape())?;
    context.produce::<T>(0, images.shape(), |context, output| {
        let (values, grads) = (context.slice::<T>(0)?, context.slice::<T>(2)?);
        output.fill(T::default());
        grid.visit(images, |place, region| {
            let (at, _) = largest(values, region);
            output[at] = output[at].plus(grads[place]);
        })
    })
}
