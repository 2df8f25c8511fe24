//! Two-dimensional convolutions and pooling, NHWC.
//!
//! # Semantics
//!
//! - `Conv2D` takes `input` `[n, h, w, c]` and `filter` `[rows, columns, c / groups, out]` and returns
//!   `[n, oh, ow, out]`.
//! - `Conv2DBackpropInput` takes `input_sizes`, `filter` and `out_backprop` and returns the shape of the
//!   input.
//! - `Conv2DBackpropFilter` takes `input`, `filter_sizes` and `out_backprop` and returns the shape of the
//!   filter.
//! - `MaxPool` and `AvgPool` take `input` `[n, h, w, c]` and return `[n, oh, ow, c]`; `MaxPoolV2` has `ksize`
//!   and `strides` as inputs.
//! - `MaxPoolGrad` takes `orig_input`, `orig_output` and `grad` and returns the shape of the input; V2 has
//!   the same two inputs more.
//! - `AvgPoolGrad` takes `orig_input_shape` and `grad` and returns that shape.
//!
//! `SAME` pads so that the output has `ceil(size / stride)` elements, with the odd zero at the end; `VALID`
//! does not pad; `EXPLICIT` takes the numbers of the attribute. A filter with fewer input channels than the
//! image makes a grouped convolution. `input_sizes` may be the whole shape or only rows and columns. NCHW is
//! `Unimplemented`. Shapes that do not fit, and a window that is larger than its padded input, are
//! `InvalidArgument`; `window.rs` has the details.
//!
//! Maximum pooling passes over NaN and gives the gradient to the first of equal elements; average pooling
//! divides by the number of elements that are not padding. Both are TensorFlow's rules. `orig_output` is
//! neither checked nor read.
//!
//! # Algorithm
//!
//! All three convolutions are products of matrices whose rows are read from the images where they lie (see
//! `compute::conv`), so no image of columns is built: `2 n oh ow rows columns c out / groups` operations.
//! Convolutions and `AvgPool` compute 16-bit floats in `float32`; `MaxPool` takes all real dtypes. Parallel,
//! with bits that do not depend on the number of threads. A bias and an activation that follow a convolution
//! are fused by the compiler.
//!
//! ```text
//! input 3 x 3 [[1, 2, 3], [4, 5, 6], [7, 8, 9]], window 2 x 2, stride 2
//!
//! MaxPool  VALID   [[5]]
//! MaxPool  SAME    [[5, 6], [8, 9]]        one zero of padding at the end of each axis
//! AvgPool  SAME    [[3, 4.5], [7.5, 9]]    divided by 4, 2, 2 and 1 elements
//! ```

use super::groups::by_groups;
use super::window::{Window, sizes};
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::{Fusion, Registry, Then};
use compute::conv::{self, ConvShape};
use compute::matmul::{Epilogue, Real};
use compute::pooling::{self, AverageElement, PoolElement, PoolShape};
use session_core::{Error, Result};
use tensor::{DType, Element, Shape, Tensor};

/// Registers convolutions and pooling. The window comes from attributes, or from inputs in the V2 forms of
/// pooling.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Conv2D", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| forward::<T>(context, &window, None))))
    }).fuses(Fusion::Product(fused));
    registry.add("Conv2DBackpropInput", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(widened spec, spec.input_dtype(1), T => Ok(boxed(move |context| input_gradient::<T>(context, &window))))
    });
    registry.add("Conv2DBackpropFilter", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| filter_gradient::<T>(context, &window))))
    });
    registry.add("MaxPool", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| max_pool::<T>(context, &window))))
    });
    registry.add("MaxPoolGrad", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| max_pool_gradient::<T>(context, &window))))
    });
    registry.add("MaxPoolV2", |spec| {
        let padding = Window::padding_of(spec)?;
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| {
            let window = Window::of_inputs(context, 1, &padding)?;
            max_pool::<T>(context, &window)
        })))
    });
    registry.add("MaxPoolGradV2", |spec| {
        let padding = Window::padding_of(spec)?;
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| {
            let window = Window::of_inputs(context, 3, &padding)?;
            max_pool_gradient::<T>(context, &window)
        })))
    });
    registry.add("AvgPool", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| average_pool::<T>(context, &window))))
    });
    registry.add("AvgPoolGrad", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(widened spec, spec.input_dtype(1), T => {
            Ok(boxed(move |context| average_pool_gradient::<T>(context, &window)))
        })
    });
}

/// Returns the kernel that a `Conv2D` with the `BiasAdd` after it, and possibly the `Relu` after that, is
/// replaced by. `None` for dtypes without a fused loop, and for sums.
fn fused(spec: &NodeSpec<'_>, then: Then) -> Option<Result<Box<dyn Kernel>>> {
    let relu = match then {
        Then::Bias => false,
        Then::BiasRelu => true,
        Then::Sum(_) => return None,
    };
    match spec.input_dtype(0) {
        DType::Float32 => Some(conv2d_fused::<f32>(spec, relu)),
        DType::Float64 => Some(conv2d_fused::<f64>(spec, relu)),
        _ => None,
    }
}

/// Returns a convolution with its bias and ReLU. Inputs: input, filter, bias.
fn conv2d_fused<T: Element + Real>(spec: &NodeSpec<'_>, relu: bool) -> Result<Box<dyn Kernel>> {
    let window = Window::of_convolution(spec)?;
    Ok(boxed(move |context| forward::<T>(context, &window, Some(relu))))
}

/// Delivers the convolution of inputs 0 and 1. With `fused` it adds the bias in input 2, of one number for
/// each output channel, and applies ReLU if `fused` holds true.
pub(super) fn forward<T: Element + Real>(
    context: &mut KernelContext<'_>,
    window: &Window,
    fused: Option<bool>,
) -> Result<()> {
    let (shape, groups) = window.convolution(context.input(0).shape(), context.input(1).shape())?;
    let channels = shape.out_c * groups;
    let mut output = context.allocate::<T>([shape.batch, shape.out_h, shape.out_w, channels])?;
    if fused.is_some() && context.input(2).shape().dims() != [channels] {
        let text = format!("a bias of shape {} does not fit {channels} channels", context.input(2).shape());
        return Err(Error::invalid_argument(text));
    }
    // A clone, which shares the elements: the inputs are borrowed again below.
    let bias = fused.is_some().then(|| context.input(2).clone());
    let bias = bias.as_ref().map(Tensor::as_slice::<T>).transpose()?;
    let out = output.as_mut_slice::<T>().expect("new memory has one owner");
    by_groups(context, groups, [0, 1], (out, channels), |pool, scratch, group, [input, filter], out| {
        // Each group has its own output channels, and so its own part of the bias.
        let bias = bias.map(|bias| &bias[group * shape.out_c..][..shape.out_c]);
        let epilogue = Epilogue { bias, relu: fused == Some(true) };
        conv::forward(pool, scratch, &shape, input, filter, epilogue, out)
    })?;
    context.set(0, output);
    Ok(())
}

/// Checks that a gradient has the shape of the convolution's result.
fn check_gradient((shape, groups): &(ConvShape, usize), found: &Shape) -> Result<()> {
    let expected = [shape.batch, shape.out_h, shape.out_w, shape.out_c * groups];
    if found.dims() == expected {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("the gradient has shape {found}, not {expected:?}")))
}

/// Delivers the gradient with respect to the input: sizes in input 0, filter in 1, gradient of the result in
/// 2.
fn input_gradient<T: Element + Real>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let (filter, gradient) = (context.input(1).shape(), context.input(2).shape());
    let dims = match (sizes(context, 0)?.as_slice(), filter.dims(), gradient.dims()) {
        // The sizes of rows and columns alone.
        (&[rows, columns], &[_, _, depth, _], &[batch, ..]) => vec![batch, rows, columns, depth],
        (sizes, ..) => sizes.to_vec(),
    };
    let geometry = window.convolution(&dims, filter)?;
    check_gradient(&geometry, gradient)?;
    let (shape, groups) = geometry;
    let mut output = context.allocate::<T>(dims)?;
    let out = output.as_mut_slice::<T>().expect("new memory has one owner");
    by_groups(
        context,
        groups,
        [1, 2],
        (out, shape.in_c * groups),
        |pool, scratch, _, [filter, gradient], out| {
            conv::input_gradient(pool, scratch, &shape, filter, gradient, out)
        },
    )?;
    context.set(0, output);
    Ok(())
}

/// Delivers the gradient with respect to the filter: images in input 0, sizes in 1, gradient of the result in
/// 2.
fn filter_gradient<T: Element + Real>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let dims = sizes(context, 1)?;
    let geometry = window.convolution(context.input(0).shape(), &dims)?;
    check_gradient(&geometry, context.input(2).shape())?;
    let (shape, groups) = geometry;
    let mut output = context.allocate::<T>(dims)?;
    let out = output.as_mut_slice::<T>().expect("new memory has one owner");
    by_groups(
        context,
        groups,
        [0, 2],
        (out, shape.out_c * groups),
        |pool, scratch, _, [input, gradient], out| {
            conv::filter_gradient(pool, scratch, &shape, input, gradient, out)
        },
    )?;
    context.set(0, output);
    Ok(())
}

/// Returns the shape of the result of a pooling.
pub(super) fn pooled(shape: &PoolShape) -> Shape {
    Shape::from([shape.batch, shape.out_h, shape.out_w, shape.channels])
}

/// Checks that a gradient has the shape of the result of a pooling.
pub(super) fn check_pooled(shape: &PoolShape, found: &Shape) -> Result<()> {
    if *found == pooled(shape) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("the gradient has shape {found}, not {}", pooled(shape))))
}

/// Delivers the largest element of each window of input 0.
fn max_pool<T: Element + PoolElement>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let shape = window.pooling(context.input(0).shape())?;
    context.produce::<T>(0, pooled(&shape), |context, output| {
        pooling::max_pool(context.pool(), &shape, context.slice(0)?, output);
        Ok(())
    })
}

/// Delivers the gradient of maximum pooling. It finds the maxima in input 0 again, as the forward op does not
/// return their positions.
fn max_pool_gradient<T: Element + PoolElement>(
    context: &mut KernelContext<'_>,
    window: &Window,
) -> Result<()> {
    let dims = context.input(0).shape().clone();
    let shape = window.pooling(&dims)?;
    check_pooled(&shape, context.input(2).shape())?;
    context.produce::<T>(0, dims, |context, output| {
        pooling::max_pool_gradient(context.pool(), &shape, context.slice(0)?, context.slice(2)?, output);
        Ok(())
    })
}

/// Delivers the mean of each window of input 0.
fn average_pool<T: Element + Real + AverageElement>(
    context: &mut KernelContext<'_>,
    window: &Window,
) -> Result<()> {
    let shape = window.pooling(context.input(0).shape())?;
    context.produce::<T>(0, pooled(&shape), |context, output| {
        pooling::average_pool(context.pool(), &shape, context.slice(0)?, output);
        Ok(())
    })
}

/// Delivers the gradient of average pooling: each window's gradient, divided by its number of elements, goes
/// to all of them.
fn average_pool_gradient<T: Element + Real + AverageElement>(
    context: &mut KernelContext<'_>,
    window: &Window,
) -> Result<()> {
    let dims = sizes(context, 0)?;
    let shape = window.pooling(&dims)?;
    check_pooled(&shape, context.input(1).shape())?;
    context.produce::<T>(0, dims, |context, output| {
        pooling::average_pool_gradient(context.pool(), &shape, context.slice(1)?, output);
        Ok(())
    })
}
