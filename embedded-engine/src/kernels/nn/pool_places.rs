//! Maximum pooling with the positions of the maxima, and the operations that use these positions.
//!
//! # Semantics
//!
//! - `MaxPoolWithArgmax` takes `input` `[n, h, w, c]` and returns `output` and `argmax`, `[n, oh, ow, c]`.
//! - `MaxPoolGradWithArgmax` takes `input`, `grad` and `argmax` and returns the shape of the input.
//! - `MaxPoolGradGrad` takes `orig_input`, `orig_output` and `grad` of the shape of the input and returns
//!   `[n, oh, ow, c]`; V2 has `ksize` and `strides` as inputs.
//!
//! Positions are flat indices into one image, `(y * width + x) * channels + c`, or into the whole batch with
//! `include_batch_in_index` (default false), of dtype `Targmax`. Of equal elements the first in row-major
//! order counts. A window whose first element is NaN has that as its maximum; other NaN are passed over.
//! `MaxPoolGradGrad` reads the second gradient at the position of each maximum.
//!
//! All real dtypes are accepted. Positions outside of the images, shapes that do not fit, and an empty input
//! of `MaxPoolWithArgmax` are `InvalidArgument`. One pass over the windows in one thread, and another one
//! over their maxima.
//!
//! ```text
//! [[1, 2, 3], [4, 5, 6], [7, 8, 9]], window 2 x 2, stride 1, VALID  ->  [[5, 6], [8, 9]] at [[4, 5], [7, 8]]
//! ```

use super::convolution::{check_pooled, pooled};
use super::window::Window;
use crate::dispatch::check_real;
use crate::kernel::KernelContext;
use crate::kernels::array::arrange;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::layout;
use compute::pooling::PoolShape;
use session_core::{Error, Result};
use tensor::{DType, Shape, Tensor, memory};

/// Registers the op types. The window comes from attributes, or from inputs in the V2 form.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("MaxPoolWithArgmax", |spec| {
        let window = Window::of_pooling(spec)?;
        let (with_batch, dtype) =
            (spec.bool("include_batch_in_index").unwrap_or(false), spec.dtype("Targmax")?);
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| with_argmax(context, &window, with_batch, dtype)))
    });
    registry.add("MaxPoolGradWithArgmax", |spec| {
        let window = Window::of_pooling(spec)?;
        let with_batch = spec.bool("include_batch_in_index").unwrap_or(false);
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| gradient_with_argmax(context, &window, with_batch)))
    });
    registry.add("MaxPoolGradGrad", |spec| {
        let window = Window::of_pooling(spec)?;
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| second_gradient(context, &window)))
    });
    registry.add("MaxPoolGradGradV2", |spec| {
        let padding = Window::padding_of(spec)?;
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| {
            let window = Window::of_inputs(context, 3, &padding)?;
            second_gradient(context, &window)
        }))
    });
}

/// Returns the position of the first maximum of each window in the whole input. Fails if memory is refused or
/// the dtype is not real.
fn places(shape: &PoolShape, input: &Tensor) -> Result<Vec<usize>> {
    for_dtype!(real input.dtype(), T => {
        let values = input.as_slice::<T>()?;
        places_by(shape, &|a, b| values[a] > values[b])
    })
}

/// Works as [`places`], compiled for no dtype: `greater` compares the elements at two positions. The search
/// compares at most as often as elements are read, so the call through a pointer is bearable and saves a copy
/// of the code for each dtype.
///
/// Positions are in the order of the result: image, row, column, channel.
fn places_by(shape: &PoolShape, greater: &dyn Fn(usize, usize) -> bool) -> Result<Vec<usize>> {
    let s = shape;
    let mut places = memory::reserve(s.batch * s.out_h * s.out_w * s.channels)?;
    // The part of a window that lies in the image; padding never counts.
    let clip = |start: usize, window: usize, pad: usize, size: usize| {
        start.saturating_sub(pad)..(start + window).saturating_sub(pad).min(size)
    };
    for (n, oy, ox) in
        (0..s.batch).flat_map(|n| (0..s.out_h).flat_map(move |oy| (0..s.out_w).map(move |ox| (n, oy, ox))))
    {
        let rows = clip(oy * s.stride_h, s.window_h, s.pad_top, s.in_h);
        let columns = clip(ox * s.stride_w, s.window_w, s.pad_left, s.in_w);
        let first = places.len();
        let pixel = |y: usize, x: usize| ((n * s.in_h + y) * s.in_w + x) * s.channels;
        // The first element of the window is the maximum so far, also if it is NaN.
        places.extend((0..s.channels).map(|c| pixel(rows.start, columns.start) + c));
        for (y, x) in rows.flat_map(|y| columns.clone().map(move |x| (y, x))) {
            for (c, place) in places[first..].iter_mut().enumerate() {
                let at = pixel(y, x) + c;
                if greater(at, *place) {
                    *place = at;
                }
            }
        }
    }
    Ok(places)
}

/// Returns the elements at the given positions. `places` has one position for each element of `shape`.
fn at_places(context: &KernelContext<'_>, values: &Tensor, places: &[usize], shape: Shape) -> Result<Tensor> {
    arrange(context, &[values], shape, 1, &|row| Some((0, places[row])), None)
}

/// Delivers the maxima, copied from their positions, and the positions. With `with_batch` positions count
/// through the whole batch; `dtype` is theirs.
fn with_argmax(
    context: &mut KernelContext<'_>,
    window: &Window,
    with_batch: bool,
    dtype: DType,
) -> Result<()> {
    let input = context.input(0).clone();
    if input.elements() == 0 {
        let text = format!("input must not be empty, got shape {}", input.shape());
        return Err(Error::invalid_argument(text));
    }
    let shape = window.pooling(input.shape())?;
    let places = places(&shape, &input)?;
    let largest = at_places(context, &input, &places, pooled(&shape))?;
    context.set(0, largest);
    let image = (shape.in_h * shape.in_w * shape.channels).max(1);
    let number = |&place: &usize| if with_batch { place } else { place % image };
    let numbers = memory::collected(places.iter().map(number))?;
    let numbers = crate::kernels::array::shape_tensor(&Shape::new(&numbers), dtype)?;
    context.set(1, numbers.reshaped(pooled(&shape))?);
    Ok(())
}

/// Delivers the gradient of the maxima: each element of the gradient is added at its position. Windows that
/// overlap may share one.
fn gradient_with_argmax(context: &mut KernelContext<'_>, window: &Window, with_batch: bool) -> Result<()> {
    let dims = context.input(0).shape().clone();
    let shape = window.pooling(&dims)?;
    check_pooled(&shape, context.input(1).shape())?;
    check_pooled(&shape, context.input(2).shape())?;
    let mut places = context.ints(2)?;
    if !with_batch {
        let image = (shape.in_h * shape.in_w * shape.channels) as i64;
        let per_image = (shape.out_h * shape.out_w * shape.channels).max(1);
        for (i, place) in places.iter_mut().enumerate() {
            // Positions come from a graph, which may have computed them in any way.
            if !(0..image).contains(place) {
                let text = format!("argmax[{i}] = {place} is not in an image of {image} elements");
                return Err(Error::invalid_argument(text));
            }
            // From the image to the batch, as the sums below are made in the whole tensor.
            *place += (i / per_image) as i64 * image;
        }
    }
    let (count, dtype) = (dims.elements(), context.input(0).dtype());
    context.produce_values(0, dtype, dims, &|context, output| {
        layout::scatter_values(count, 1, output, &places, context.values(1)?)
            .map_err(crate::kernels::array::outside)
    })
}

/// Computes the gradient of the gradient: the elements at the positions of the maxima. `orig_output` in input
/// 1 is not read.
///
/// The window must be that of the forward op. Input 2 is the gradient with respect to the first gradient.
fn second_gradient(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let (input, gradient): (Tensor, Tensor) = (context.input(0).clone(), context.input(2).clone());
    let shape = window.pooling(input.shape())?;
    if gradient.shape() != input.shape() {
        let text = format!("gradient and input differ in shape: {} and {}", gradient.shape(), input.shape());
        return Err(Error::invalid_argument(text));
    }
    let places = places(&shape, &input)?;
    let found = at_places(context, &gradient, &places, pooled(&shape))?;
    context.set(0, found);
    Ok(())
}
