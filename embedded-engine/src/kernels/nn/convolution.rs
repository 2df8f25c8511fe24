//! Two-dimensional convolutions and pooling, NHWC.

use super::window::{Window, sizes};
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::{Fusion, Registry};
use compute::conv::{self, ConvShape};
use compute::matmul::{Epilogue, Real};
use compute::pooling::{self, AverageElement, PoolElement, PoolShape};
use session_core::{Error, Result};
use tensor::{DType, Element, Shape};

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

/// Returns the kernel that adds a bias, and cuts off what is negative where asked to.
fn fused(spec: &NodeSpec<'_>, relu: bool) -> Option<Result<Box<dyn Kernel>>> {
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

fn forward<T: Element + Real>(
    context: &mut KernelContext<'_>,
    window: &Window,
    fused: Option<bool>,
) -> Result<()> {
    let shape = window.convolution(context.input(0).shape(), context.input(1).shape())?;
    let dims = Shape::from([shape.batch, shape.out_h, shape.out_w, shape.out_c]);
    let mut output = context.allocate::<T>(dims)?;
    if fused.is_some() && context.input(2).shape().dims() != [shape.out_c] {
        let text =
            format!("a bias of shape {} does not fit {} channels", context.input(2).shape(), shape.out_c);
        return Err(Error::invalid_argument(text));
    }
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let bias = fused.map(|_| inputs.slice(2)).transpose()?;
    let epilogue = Epilogue { bias, relu: fused == Some(true) };
    let out = output.as_mut_slice().expect("new memory has one owner");
    conv::forward(pool, scratch, &shape, inputs.slice::<T>(0)?, inputs.slice(1)?, epilogue, out);
    context.set(0, output);
    Ok(())
}

fn check_gradient(shape: &ConvShape, found: &Shape) -> Result<()> {
    let expected = [shape.batch, shape.out_h, shape.out_w, shape.out_c];
    if found.dims() == expected {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("the gradient has shape {found}, not {expected:?}")))
}

fn input_gradient<T: Element + Real>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let dims = sizes(context, 0)?;
    let shape = window.convolution(&dims, context.input(1).shape())?;
    check_gradient(&shape, context.input(2).shape())?;
    let mut output = context.allocate::<T>(dims)?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let out = output.as_mut_slice().expect("new memory has one owner");
    conv::input_gradient(pool, scratch, &shape, inputs.slice::<T>(1)?, inputs.slice(2)?, out);
    context.set(0, output);
    Ok(())
}

fn filter_gradient<T: Element + Real>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let dims = sizes(context, 1)?;
    let shape = window.convolution(context.input(0).shape(), &dims)?;
    check_gradient(&shape, context.input(2).shape())?;
    let mut output = context.allocate::<T>(dims)?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let out = output.as_mut_slice().expect("new memory has one owner");
    conv::filter_gradient(pool, scratch, &shape, inputs.slice::<T>(0)?, inputs.slice(2)?, out);
    context.set(0, output);
    Ok(())
}

pub(super) fn pooled(shape: &PoolShape) -> Shape {
    Shape::from([shape.batch, shape.out_h, shape.out_w, shape.channels])
}

pub(super) fn check_pooled(shape: &PoolShape, found: &Shape) -> Result<()> {
    if *found == pooled(shape) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("the gradient has shape {found}, not {}", pooled(shape))))
}

fn max_pool<T: Element + PoolElement>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let shape = window.pooling(context.input(0).shape())?;
    context.produce::<T>(0, pooled(&shape), |context, output| {
        pooling::max_pool(context.pool(), &shape, context.slice(0)?, output);
        Ok(())
    })
}

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
