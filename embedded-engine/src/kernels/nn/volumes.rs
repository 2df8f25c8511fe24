//! Convolutions and pooling over volumes: images with a depth.
//!
//! # Semantics
//!
//! Volumes are `[batch, depth, rows, columns, channels]`, filters `[depth, rows, columns, in, out]`.
//!
//! | op types | inputs | result |
//! | --- | --- | --- |
//! | `Conv3D` | `input`, `filter` | `[batch, od, oh, ow, out]` |
//! | `Conv3DBackpropInputV2` | `input_sizes`, `filter`, `out_backprop` | the shape of the input |
//! | `Conv3DBackpropFilterV2` | `input`, `filter_sizes`, `out_backprop` | the shape of the filter |
//! | `MaxPool3D`, `AvgPool3D` | `input` | `[batch, od, oh, ow, channels]` |
//! | `MaxPool3DGrad` | `orig_input`, `orig_output`, `grad` | the shape of the input |
//! | `MaxPool3DGradGrad` | the same, `grad` of the shape of the input | the shape of the output |
//! | `AvgPool3DGrad` | `orig_input_shape`, `grad` | that shape |
//! | `ExtractVolumePatches` | `input` | `[batch, od, oh, ow, points of a window * channels]` |
//!
//! Padding, strides and dilations have the meaning of two dimensions, without `EXPLICIT`. Layouts with the
//! channels first are `Unimplemented`, and so are strides or windows over batch or channels. Shapes that do
//! not fit, and windows that are larger than the volume without padding, are `InvalidArgument`. Means divide
//! by the number of elements that are not padding. Each of equal maxima has the whole gradient of its window; that of
//! the gradient is taken from the first. Maxima pass
//! over NaN. A window of which all elements are NaN or minus infinity has the least finite number as its
//! maximum, and no gradient, as in TensorFlow with oneDNN.
//!
//! # Algorithm
//!
//! Each volume becomes a matrix whose rows are its windows, which is multiplied with the filter. That takes
//! memory for one such matrix, and the product dominates the time: `2 * windows * points * channels * out`
//! operations, in parallel. Gradients are the transposed products; that of the input adds the rows of the
//! product into the volume. Pooling visits the elements of the windows in one thread. Bits do not depend on
//! the number of threads.
//!
//! ```text
//! ExtractVolumePatches  [1, 2, 3] along the columns, windows of 2, VALID       -> [[1, 2], [2, 3]]
//! Conv3D                the same windows times a filter [10, 1]                -> [12, 23]
//! ```
//!
//! ```text
//! one row [1, 2, 3] along the columns, windows of 2 with a stride of 2, SAME
//!
//! MaxPool3D      [2, 3]               gradient of [10, 20]   [0, 10, 20]
//! AvgPool3D      [1.5, 3]             gradient of [10, 20]   [5, 5, 20]
//! ```
//!
//! # Memory
//!
//! The matrix of windows has `places * points * channels` elements. It is reserved with an error if memory is
//! refused, one volume at a time.

use crate::dispatch::unsupported;
use crate::kernel::{Kernel, KernelContext, NodeSpec, no_room};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::matmul::{self, Product};
use session_core::{Code, Error, Result};
use std::ops::{Add, Div, Range};
use tensor::{Element, Shape, memory};

/// Registers the op types. 16-bit floats are computed in `float32`, except by `ExtractVolumePatches`, which
/// only moves elements.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Conv3D", |spec| {
        let slide = Slide::of(spec, "dilations")?;
        for_dtype!(widened spec, spec.input_dtype(0), T => {
            let slide = slide.clone();
            Ok(boxed(move |context| forward::<T>(context, &slide)))
        })
    });
    registry.add("Conv3DBackpropInputV2", |spec| {
        let slide = Slide::of(spec, "dilations")?;
        for_dtype!(widened spec, spec.input_dtype(1), T => {
            let slide = slide.clone();
            Ok(boxed(move |context| to_input::<T>(context, &slide)))
        })
    });
    registry.add("Conv3DBackpropFilterV2", |spec| {
        let slide = Slide::of(spec, "dilations")?;
        for_dtype!(widened spec, spec.input_dtype(0), T => {
            let slide = slide.clone();
            Ok(boxed(move |context| to_filter::<T>(context, &slide)))
        })
    });
    registry.add("MaxPool3D", |spec| make_pool(spec, 0, Pool::Max));
    registry.add("AvgPool3D", |spec| make_pool(spec, 0, Pool::Average));
    registry.add("MaxPool3DGrad", |spec| make_pool(spec, 2, Pool::MaxGradient));
    registry.add("MaxPool3DGradGrad", |spec| make_pool(spec, 0, Pool::MaxSecondGradient));
    registry.add("ExtractVolumePatches", |spec| {
        let slide = Slide::of_patches(spec)?;
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| patches::<T>(context, &slide))))
    });
    registry.add("AvgPool3DGrad", |spec| make_pool(spec, 1, Pool::AverageGradient));
}

/// The movement of a window over a volume: `[depth, height, width]` each. It follows from the attributes
/// alone; a [`Grid`] adds the sizes of a volume.
#[derive(Clone, Debug)]
struct Slide {
    /// The sizes of the window of a pooling or of patches; 0 for a convolution, which takes those of its
    /// filter.
    size: [usize; 3],
    /// The strides along depth, height and width.
    strides: [usize; 3],
    /// The dilations along depth, height and width.
    dilations: [usize; 3],
    /// True for the padding `SAME`, false for `VALID`. Both are computed along each axis on its own.
    same: bool,
}

impl Slide {
    /// Reads the attributes of a convolution or pooling. `dilations` is the name of that attribute, or empty
    /// for op types without it.
    fn of(spec: &NodeSpec<'_>, dilations: &str) -> Result<Slide> {
        if spec.str("data_format")? != "NDHWC" {
            return Err(Error::new(Code::Unimplemented, "no volumes with the channels first"));
        }
        let spatial = |name: &str| spatial(spec, name);
        Ok(Slide {
            size: if spec.attr("ksize").is_ok() { spatial("ksize")? } else { [0; 3] },
            strides: spatial("strides")?,
            dilations: if !dilations.is_empty() && spec.attr(dilations).is_ok() {
                spatial(dilations)?
            } else {
                [1; 3]
            },
            same: spec.str("padding")? == "SAME",
        })
    }

    /// Reads the attributes of an extraction of patches. The op has neither dilations nor a layout.
    fn of_patches(spec: &NodeSpec<'_>) -> Result<Slide> {
        Ok(Slide {
            size: spatial(spec, "ksizes")?,
            strides: spatial(spec, "strides")?,
            dilations: [1; 3],
            same: spec.str("padding")? == "SAME",
        })
    }

    /// Returns the positions of windows of these sizes in a volume. `volume` is the shape of a batch,
    /// `window` the sizes along depth, rows and columns. Fails for another rank than 5, and for windows that
    /// do not fit.
    ///
    /// ```text
    /// SAME    out = ceil(size / stride),  pad = max(0, (out - 1) stride + reach - size) / 2
    /// VALID   out = (size - reach) / stride + 1,  pad = 0
    /// ```
    fn over(&self, volume: &[usize], window: [usize; 3]) -> Result<Grid> {
        let &[batch, d, h, w, channels] = volume else {
            return Err(Error::invalid_argument(format!("a volume must be 5-dimensional, not {volume:?}")));
        };
        let mut grid = Grid {
            batch,
            channels,
            volume: [d, h, w],
            window,
            out: [0; 3],
            pad: [0; 3],
            slide: self.clone(),
        };
        for axis in 0..3 {
            let (size, stride) = (grid.volume[axis], self.strides[axis]);
            // A window whose reach overflows is larger than any volume.
            let reach = window[axis].saturating_sub(1).saturating_mul(self.dilations[axis]).saturating_add(1);
            if self.same {
                grid.out[axis] = size.div_ceil(stride);
                let reached = (grid.out[axis].saturating_sub(1) * stride).saturating_add(reach);
                // The odd element of the padding is at the end.
                grid.pad[axis] = reached.saturating_sub(size) / 2;
            } else {
                let rest = size.checked_sub(reach);
                let text = || format!("a window of {reach} does not fit a volume of {size}");
                grid.out[axis] = rest.ok_or_else(|| Error::invalid_argument(text()))? / stride + 1;
            }
        }
        Ok(grid)
    }
}

/// Returns the three numbers of an attribute that concern depth, height and width. All must be positive, and
/// 1 for batch and channels.
fn spatial(spec: &NodeSpec<'_>, name: &str) -> Result<[usize; 3]> {
    let all = spec.ints(name)?;
    let sizes: Option<Vec<usize>> =
        all.iter().map(|&size| usize::try_from(size).ok().filter(|&s| s > 0)).collect();
    match sizes.as_deref() {
        Some(&[1, d, h, w, 1]) => Ok([d, h, w]),
        _ => Err(Error::new(Code::Unimplemented, format!("{name} {all:?} must be 1 for batch and channels"))),
    }
}

/// The windows of one operation.
///
/// Window `i` along an axis begins at `i * stride - pad`; its points that lie outside of the volume do not
/// exist.
#[derive(Clone, Debug)]
struct Grid {
    /// The number of volumes.
    batch: usize,
    /// The number of channels.
    channels: usize,
    /// The sizes of a volume of the input.
    volume: [usize; 3],
    /// The sizes of the window.
    window: [usize; 3],
    /// The sizes of a volume of the output.
    out: [usize; 3],
    /// The padding before the first place along each axis.
    pad: [usize; 3],
    /// The steps of the window.
    slide: Slide,
}

impl Grid {
    /// Returns the number of places of a window in one volume. It is 0 if one size of the output is.
    fn places(&self) -> usize {
        self.out.iter().product()
    }

    /// Returns the points of a window, saturated: those of pooling come from attributes. A convolution's
    /// points are bounded by the elements of its filter.
    fn points(&self) -> usize {
        self.window.iter().fold(1, |points, &size| points.saturating_mul(size))
    }

    /// Returns the number of a point within its window. In row-major order.
    fn point(&self, within: [usize; 3]) -> usize {
        (within[0] * self.window[1] + within[1]) * self.window[2] + within[2]
    }

    /// Returns the points along an axis of the window at a place that lie in the volume. `place` is a
    /// coordinate of the output along the axis. The range is empty for a window that lies in the padding.
    fn inside(&self, axis: usize, place: usize) -> Range<usize> {
        let (start, dilation) = (place * self.slide.strides[axis], self.slide.dilations[axis]);
        // The first point at or after a position; dilated points may step over it.
        let before = |position: usize| position.saturating_sub(start).div_ceil(dilation);
        before(self.pad[axis])..before(self.pad[axis] + self.volume[axis]).min(self.window[axis])
    }

    /// Returns the elements of one volume. With all its channels.
    fn len(&self) -> usize {
        self.volume.iter().product::<usize>() * self.channels
    }

    /// Visits each point of each window that lies in the volume: its place, where in the window it is, and
    /// where its channels begin. Places come in row-major order, and the points of each in row-major order.
    /// The last argument is an offset into one volume.
    fn visit(&self, mut visit: impl FnMut(usize, [usize; 3], usize)) {
        // Without elements there is nothing to visit, but there may be very many places.
        if self.len() == 0 {
            return;
        }
        for place in 0..self.places() {
            let at = unravel(place, self.out);
            let position = |axis: usize, within: usize| {
                at[axis] * self.slide.strides[axis] + within * self.slide.dilations[axis] - self.pad[axis]
            };
            for d in self.inside(0, at[0]) {
                let plane = position(0, d) * self.volume[1];
                for h in self.inside(1, at[1]) {
                    let row = (plane + position(1, h)) * self.volume[2];
                    for w in self.inside(2, at[2]) {
                        visit(place, [d, h, w], (row + position(2, w)) * self.channels);
                    }
                }
            }
        }
    }

    /// Returns the windows of one volume as the rows of a matrix. The matrix is
    /// `[places, points * channels]`; what lies in the padding is zero.
    ///
    /// Row `p` holds the points of the window at place `p`, each with its channels, in the order of the
    /// filter's elements: the product with the filter as `[points * channels, out]` is the convolution.
    fn rows<T: Copy + Default>(&self, volume: &[T]) -> Result<Vec<T>> {
        let (points, channels) = (self.points(), self.channels);
        let size = self.places().checked_mul(points).and_then(|size| size.checked_mul(channels));
        let mut rows = memory::filled(T::default(), size.unwrap_or(usize::MAX))?;
        self.visit(|place, within, start| {
            let row = (place * points + self.point(within)) * channels;
            rows[row..row + channels].copy_from_slice(&volume[start..start + channels]);
        });
        Ok(rows)
    }
}

/// Returns the volumes that are work: none without elements in what is computed or read, however many they
/// are. A batch may be huge if another size is 0.
fn work<T>(batch: usize, elements: &[T]) -> Range<usize> {
    if elements.is_empty() { 0..0 } else { 0..batch }
}

/// Splits an index in row-major order into coordinates. Index 5 in `[2, 2, 3]` is `[0, 1, 2]`.
fn unravel(index: usize, dims: [usize; 3]) -> [usize; 3] {
    [index / (dims[1] * dims[2]), index / dims[2] % dims[1], index % dims[2]]
}

/// Returns the window of a filter, and its channels in and out. Fails unless the filter has rank 5 and takes
/// `channels` channels: there are no groups.
fn filter(shape: &[usize], channels: usize) -> Result<([usize; 3], usize)> {
    match shape {
        &[d, h, w, depth, out] if depth == channels => Ok(([d, h, w], out)),
        _ => Err(Error::invalid_argument(format!(
            "a filter of shape {shape:?} does not fit {channels} channels"
        ))),
    }
}

/// Delivers the convolution of inputs 0 and 1, one product of matrices for each volume.
fn forward<T: Element + matmul::Element>(context: &mut KernelContext<'_>, slide: &Slide) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let channels = shape.last().copied().unwrap_or_default();
    let (window, out) = filter(context.input(1).shape(), channels)?;
    let grid = slide.over(&shape, window)?;
    let [d, h, w] = grid.out;
    let product = Product::new(grid.places(), grid.points() * channels, out);
    let mut output = context.allocate::<T>(Shape::from([grid.batch, d, h, w, out]))?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let (volumes, filter) = (inputs.slice::<T>(0)?, inputs.slice::<T>(1)?);
    let results = output.as_mut_slice::<T>().expect("new memory has one owner");
    for batch in work(grid.batch, results) {
        let rows = grid.rows(&volumes[batch * grid.len()..][..grid.len()])?;
        let size = product.m * product.n;
        matmul::matmul(pool, scratch, &product, &rows, filter, &mut results[batch * size..][..size])
            .map_err(no_room)?;
    }
    context.set(0, output);
    Ok(())
}

/// Returns an input that is a shape of five dimensions. Fails for negative numbers; the rank is checked by
/// [`Slide::over`].
fn sizes(context: &KernelContext<'_>, input: usize) -> Result<Vec<usize>> {
    let sizes = context.ints(input)?;
    let sizes: Option<Vec<usize>> = sizes.into_iter().map(|size| usize::try_from(size).ok()).collect();
    sizes.ok_or_else(|| Error::invalid_argument("sizes must not be negative"))
}

/// Checks that a gradient has the shape of the output. `out` is the number of its channels. `grid` has the
/// sizes of the windows, and `gradient` is the shape that was found.
fn check_gradient(grid: &Grid, out: usize, gradient: &Shape) -> Result<()> {
    let [d, h, w] = grid.out;
    if gradient[..] == [grid.batch, d, h, w, out] {
        return Ok(());
    }
    let text = format!("a gradient of shape {gradient} instead of [{}, {d}, {h}, {w}, {out}]", grid.batch);
    Err(Error::invalid_argument(text))
}

/// Computes the gradient with respect to the input. Inputs are sizes, filter and gradient.
///
/// The product of gradient and transposed filter is the gradient of the matrix of windows; elements that
/// several windows have in common add up.
fn to_input<T: Element + matmul::Element + Add<Output = T>>(
    context: &mut KernelContext<'_>,
    slide: &Slide,
) -> Result<()> {
    let shape = sizes(context, 0)?;
    let channels = shape.last().copied().unwrap_or_default();
    let (window, out) = filter(context.input(1).shape(), channels)?;
    let grid = slide.over(&shape, window)?;
    check_gradient(&grid, out, context.input(2).shape())?;
    let width = grid.points() * channels;
    let product = Product { transpose_b: true, ..Product::new(grid.places(), out, width) };
    let mut output = context.allocate::<T>(Shape::from(shape.as_slice()))?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let (filter, gradient) = (inputs.slice::<T>(1)?, inputs.slice::<T>(2)?);
    let results = output.as_mut_slice::<T>().expect("new memory has one owner");
    results.fill(T::default());
    let size = product.m.checked_mul(product.n);
    let batches = work(grid.batch, results);
    // Without work no matrix is needed, and its size may have overflowed.
    let size = if batches.is_empty() { 0 } else { size.unwrap_or(usize::MAX) };
    let mut rows = memory::filled(T::default(), size)?;
    for batch in batches {
        let size = product.m * out;
        matmul::matmul(pool, scratch, &product, &gradient[batch * size..][..size], filter, &mut rows)
            .map_err(no_room)?;
        let volume = &mut results[batch * grid.len()..][..grid.len()];
        grid.visit(|place, within, start| {
            let row = place * width + grid.point(within) * channels;
            let pairs = volume[start..start + channels].iter_mut().zip(&rows[row..row + channels]);
            pairs.for_each(|(to, &from)| *to = *to + from);
        });
    }
    context.set(0, output);
    Ok(())
}

/// Computes the gradient with respect to the filter. Inputs are volumes, sizes of the filter and gradient.
/// The products of the volumes are added in their order.
///
/// The product of the transposed matrix of windows and the gradient has the shape of the filter.
fn to_filter<T: Element + matmul::Element + Add<Output = T>>(
    context: &mut KernelContext<'_>,
    slide: &Slide,
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (channels, filter_shape) = (shape.last().copied().unwrap_or_default(), sizes(context, 1)?);
    let (window, out) = filter(&filter_shape, channels)?;
    let grid = slide.over(&shape, window)?;
    check_gradient(&grid, out, context.input(2).shape())?;
    let mut output = context.allocate::<T>(Shape::from(filter_shape.as_slice()))?;
    let product = Product { transpose_a: true, ..Product::new(grid.points() * channels, grid.places(), out) };
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let (volumes, gradient) = (inputs.slice::<T>(0)?, inputs.slice::<T>(2)?);
    let results = output.as_mut_slice::<T>().expect("new memory has one owner");
    results.fill(T::default());
    let mut one = memory::filled(T::default(), results.len())?;
    for batch in if results.is_empty() { 0..0 } else { work(grid.batch, volumes) } {
        let rows = grid.rows(&volumes[batch * grid.len()..][..grid.len()])?;
        let size = product.k * out;
        matmul::matmul(pool, scratch, &product, &rows, &gradient[batch * size..][..size], &mut one)
            .map_err(no_room)?;
        results.iter_mut().zip(&one).for_each(|(to, &from)| *to = *to + from);
    }
    context.set(0, output);
    Ok(())
}

/// The operations of pooling. Each op type is one of them.
#[derive(Clone, Copy)]
enum Pool {
    /// The largest element of each window. `MaxPool3D`.
    Max,
    /// The mean of each window. `AvgPool3D`.
    Average,
    /// The gradient of the largest elements. `MaxPool3DGrad`; it has the maxima found again.
    MaxGradient,
    /// The gradient of that gradient. `MaxPool3DGradGrad`.
    MaxSecondGradient,
    /// The gradient of the means. `AvgPool3DGrad`, whose input is a shape instead of the volumes.
    AverageGradient,
}

/// Makes the kernel of an operation of pooling. `values` is the input whose dtype is that of the result.
/// Fails as `Unimplemented` if the dtypes of inputs and result differ, which the definition of
/// `MaxPool3DGrad` allows.
fn make_pool(spec: &NodeSpec<'_>, values: usize, pool: Pool) -> Result<Box<dyn Kernel>> {
    let slide = Slide::of(spec, "")?;
    if spec.input_dtype(values) != spec.operation.output(0).dtype()
        || matches!(pool, Pool::MaxGradient) && spec.input_dtype(0) != spec.input_dtype(values)
    {
        return Err(unsupported(spec.input_dtype(0)));
    }
    for_dtype!(widened spec, spec.input_dtype(values), T => {
        let slide = slide.clone();
        Ok(boxed(move |context| match pool {
            Pool::Max | Pool::Average => pooled::<T>(context, &slide, matches!(pool, Pool::Max)),
            Pool::MaxGradient => max_gradient::<T>(context, &slide),
            Pool::MaxSecondGradient => max_second_gradient::<T>(context, &slide),
            Pool::AverageGradient => average_gradient::<T>(context, &slide),
        }))
    })
}

/// The number type of pooling. Implemented for `f32` and `f64`; 16-bit floats are widened before.
trait Pooled: Element + Copy + PartialOrd + Add<Output = Self> + Div<Output = Self> {
    /// The least finite number, the maximum of a window without a larger number.
    const LOWEST: Self;
    /// Converts the number of elements of a window.
    fn count(count: usize) -> Self;
}

impl Pooled for f32 {
    const LOWEST: f32 = f32::MIN;
    fn count(count: usize) -> f32 {
        count as f32
    }
}

impl Pooled for f64 {
    const LOWEST: f64 = f64::MIN;
    fn count(count: usize) -> f64 {
        count as f64
    }
}

/// Delivers the largest elements of the windows, or their means unless `max`.
fn pooled<T: Pooled>(context: &mut KernelContext<'_>, slide: &Slide, max: bool) -> Result<()> {
    let grid = slide.over(context.input(0).shape(), slide.size)?;
    let ([d, h, w], channels, size) = (grid.out, grid.channels, grid.places() * grid.channels);
    context.produce::<T>(0, [grid.batch, d, h, w, channels], |context, output| {
        output.fill(if max { T::LOWEST } else { T::default() });
        let batches = work(grid.batch, output);
        if batches.is_empty() {
            return Ok(());
        }
        let (volumes, counts) = (context.slice::<T>(0)?, counts(&grid)?);
        for batch in batches {
            let volume = &volumes[batch * grid.len()..][..grid.len()];
            let out = &mut output[batch * size..][..size];
            grid.visit(|place, _, start| {
                let pairs = out[place * channels..][..channels].iter_mut().zip(&volume[start..]);
                pairs.for_each(|(to, &from)| {
                    // No comparison with NaN is true, so it never becomes the maximum.
                    *to = if !max {
                        *to + from
                    } else if from > *to {
                        from
                    } else {
                        *to
                    }
                });
            });
            if !max {
                for (place, row) in out.chunks_exact_mut(channels.max(1)).enumerate() {
                    row.iter_mut().for_each(|to| *to = *to / T::count(counts[place]));
                }
            }
        }
        Ok(())
    })
}

/// Returns, for each window, the number of its points that lie in the volume, which a mean is divided by.
fn counts(grid: &Grid) -> Result<Vec<usize>> {
    let mut counts = memory::filled(0, grid.places())?;
    grid.visit(|place, _, _| counts[place] += 1);
    Ok(counts)
}

/// Returns the place of the first largest element of each window and channel in one volume; none of windows
/// without an element above the least finite number, such as those of NaN alone. Positions are offsets into
/// the volume.
fn largest<T: Pooled>(grid: &Grid, volume: &[T]) -> Result<Vec<Option<usize>>> {
    let channels = grid.channels;
    let mut best: Vec<Option<usize>> = memory::filled(None, grid.places() * channels)?;
    grid.visit(|place, _, start| {
        for channel in 0..channels {
            let best = &mut best[place * channels + channel];
            if volume[start + channel] > best.map_or(T::LOWEST, |known| volume[known]) {
                *best = Some(start + channel);
            }
        }
    });
    Ok(best)
}

/// Computes the gradient, which goes to every element of a window that equals its maximum, as in TensorFlow.
/// Inputs are volumes, pooled volumes, and the gradient. Windows that overlap may give their gradients to the
/// same element.
fn max_gradient<T: Pooled>(context: &mut KernelContext<'_>, slide: &Slide) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let grid = slide.over(&shape, slide.size)?;
    for input in [1, 2] {
        check_gradient(&grid, grid.channels, context.input(input).shape())?;
    }
    let (channels, size) = (grid.channels, grid.places() * grid.channels);
    context.produce::<T>(0, shape, |context, output| {
        output.fill(T::default());
        let (volumes, gradient) = (context.slice::<T>(0)?, context.slice::<T>(2)?);
        let pooled = context.slice::<T>(1)?;
        for batch in work(grid.batch, output) {
            let volume = &volumes[batch * grid.len()..][..grid.len()];
            let out = &mut output[batch * grid.len()..][..grid.len()];
            let part = batch * size..(batch + 1) * size;
            let (pooled, gradient) = (&pooled[part.clone()], &gradient[part]);
            grid.visit(|place, _, start| {
                for channel in 0..channels {
                    let of_window = place * channels + channel;
                    if volume[start + channel] == pooled[of_window] {
                        out[start + channel] = out[start + channel] + gradient[of_window];
                    }
                }
            });
        }
        Ok(())
    })
}

/// Computes the gradient of that gradient: its elements at the places of the largest elements. Input 2 has
/// the shape of the volumes.
fn max_second_gradient<T: Pooled>(context: &mut KernelContext<'_>, slide: &Slide) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let grid = slide.over(&shape, slide.size)?;
    if *context.input(2).shape() != shape {
        let text = format!("gradient and input differ in shape: {} and {shape}", context.input(2).shape());
        return Err(Error::invalid_argument(text));
    }
    let ([d, h, w], size) = (grid.out, grid.places() * grid.channels);
    context.produce::<T>(0, [grid.batch, d, h, w, grid.channels], |context, output| {
        let (volumes, gradient) = (context.slice::<T>(0)?, context.slice::<T>(2)?);
        for batch in work(grid.batch, output) {
            let part = batch * grid.len()..(batch + 1) * grid.len();
            let best = largest(&grid, &volumes[part.clone()])?;
            let gradient = &gradient[part];
            let out = output[batch * size..][..size].iter_mut().zip(best);
            out.for_each(|(to, best)| *to = best.map_or_else(T::default, |best| gradient[best]));
        }
        Ok(())
    })
}

/// Distributes the gradient of each mean over the elements of its window. Inputs are the shape of the volumes
/// and the gradient.
fn average_gradient<T: Pooled>(context: &mut KernelContext<'_>, slide: &Slide) -> Result<()> {
    let shape = sizes(context, 0)?;
    let grid = slide.over(&shape, slide.size)?;
    check_gradient(&grid, grid.channels, context.input(1).shape())?;
    let (channels, size) = (grid.channels, grid.places() * grid.channels);
    context.produce::<T>(0, Shape::from(shape.as_slice()), |context, output| {
        output.fill(T::default());
        let batches = work(grid.batch, output);
        if batches.is_empty() {
            return Ok(());
        }
        let (gradient, counts) = (context.slice::<T>(1)?, counts(&grid)?);
        for batch in batches {
            let gradient = &gradient[batch * size..][..size];
            let out = &mut output[batch * grid.len()..][..grid.len()];
            grid.visit(|place, _, start| {
                let share = T::count(counts[place]);
                let pairs = out[start..start + channels].iter_mut().zip(&gradient[place * channels..]);
                pairs.for_each(|(to, &from)| *to = *to + from / share);
            });
        }
        Ok(())
    })
}

/// Delivers the windows of all volumes, each as a row of points times channels; what lies in the padding is
/// zero.
fn patches<T: Element>(context: &mut KernelContext<'_>, slide: &Slide) -> Result<()> {
    let grid = slide.over(context.input(0).shape(), slide.size)?;
    let [d, h, w] = grid.out;
    let shape = Shape::from([grid.batch, d, h, w, grid.points().saturating_mul(grid.channels)]);
    context.produce::<T>(0, shape, |context, output| {
        let volumes = context.slice::<T>(0)?;
        let row = output.len().checked_div(grid.batch).unwrap_or(0);
        if row > 0 && grid.len() > 0 {
            let mut watch = context.watch();
            for (volume, out) in volumes.chunks_exact(grid.len()).zip(output.chunks_exact_mut(row)) {
                watch.tick(row)?;
                out.copy_from_slice(&grid.rows(volume)?);
            }
        } else {
            output.fill(T::default());
        }
        Ok(())
    })
}
