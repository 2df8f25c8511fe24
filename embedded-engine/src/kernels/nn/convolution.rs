//! Two-dimensional convolutions and pooling, NHWC.

use super::bias::channels_first;
use crate::kernel::{Kernel, KernelContext, NodeSpec, Registry};
use crate::kernels::math::boxed;
use compute::conv::{self, ConvShape};
use compute::matmul::{Epilogue, Real};
use compute::pooling::{self, AverageElement, PoolElement, PoolShape};
use session_core::{Code, Error, Result};
use tensor::{Element, Shape};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Conv2D", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(move |context| forward::<T>(context, &window, None))))
    });
    registry.add("Conv2DBackpropInput", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(wide spec.input_dtype(1), T => Ok(boxed(move |context| input_gradient::<T>(context, &window))))
    });
    registry.add("Conv2DBackpropFilter", |spec| {
        let window = Window::of_convolution(spec)?;
        for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(move |context| filter_gradient::<T>(context, &window))))
    });
    registry.add("MaxPool", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(move |context| max_pool::<T>(context, &window))))
    });
    registry.add("MaxPoolGrad", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(move |context| max_pool_gradient::<T>(context, &window))))
    });
    registry.add("AvgPool", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(move |context| average_pool::<T>(context, &window))))
    });
    registry.add("AvgPoolGrad", |spec| {
        let window = Window::of_pooling(spec)?;
        for_dtype!(wide spec.input_dtype(1), T => {
            Ok(boxed(move |context| average_pool_gradient::<T>(context, &window)))
        })
    });
}

/// A convolution with its bias and ReLU. Inputs: input, filter, bias.
pub(crate) fn conv2d_fused<T: Element + Real>(spec: &NodeSpec<'_>, relu: bool) -> Result<Box<dyn Kernel>> {
    let window = Window::of_convolution(spec)?;
    Ok(boxed(move |context| forward::<T>(context, &window, Some(relu))))
}

/// How a window slides over an image: `[height, width]` each.
#[derive(Clone, Debug)]
struct Window {
    /// Given for pooling; a convolution's follows from its filter.
    size: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    padding: Padding,
}

#[derive(Clone, Debug)]
enum Padding {
    Valid,
    Same,
    /// `[before, after]` for height and width.
    Explicit([[usize; 2]; 2]),
}

impl Window {
    fn of_convolution(spec: &NodeSpec<'_>) -> Result<Window> {
        let explicit = spec.ints("explicit_paddings").unwrap_or_default();
        Ok(Window {
            size: [0, 0],
            strides: spatial(spec, "strides")?,
            dilations: if spec.attr("dilations").is_ok() { spatial(spec, "dilations")? } else { [1, 1] },
            padding: padding(spec, &explicit)?,
        })
    }

    fn of_pooling(spec: &NodeSpec<'_>) -> Result<Window> {
        let explicit = spec.ints("explicit_paddings").unwrap_or_default();
        Ok(Window {
            size: spatial(spec, "ksize")?,
            strides: spatial(spec, "strides")?,
            dilations: [1, 1],
            padding: padding(spec, &explicit)?,
        })
    }

    /// The output size and the padding before, along one axis.
    fn along(&self, axis: usize, input: usize, window: usize) -> Result<(usize, usize)> {
        let (stride, dilation) = (self.strides[axis], self.dilations[axis]);
        let reach = if window == 0 { 0 } else { (window - 1) * dilation + 1 };
        let sized = |padded: usize| match padded.checked_sub(reach) {
            Some(rest) => Ok(rest / stride + 1),
            None => {
                Err(Error::invalid_argument(format!("a window of {reach} does not fit an input of {padded}")))
            }
        };
        match &self.padding {
            Padding::Valid if input + 1 == reach => Ok((0, 0)),
            Padding::Valid => Ok((sized(input)?, 0)),
            Padding::Explicit(pads) => Ok((sized(input + pads[axis][0] + pads[axis][1])?, pads[axis][0])),
            Padding::Same => {
                let output = input.div_ceil(stride);
                let needed = (output.saturating_sub(1) * stride + reach).saturating_sub(input);
                Ok((output, needed / 2))
            }
        }
    }

    fn convolution(&self, input: &[usize], filter: &[usize]) -> Result<ConvShape> {
        let (&[batch, in_h, in_w, in_c], &[filter_h, filter_w, depth, out_c]) = (input, filter) else {
            let text = format!("input and filter must be 4-dimensional: {input:?} and {filter:?}");
            return Err(Error::invalid_argument(text));
        };
        if in_c != depth {
            let text =
                format!("input depth {in_c} is not the filter's {depth} (grouped convolutions are not done)");
            return Err(Error::invalid_argument(text));
        }
        let (out_h, pad_top) = self.along(0, in_h, filter_h)?;
        let (out_w, pad_left) = self.along(1, in_w, filter_w)?;
        let [stride_h, stride_w] = self.strides;
        let [dilation_h, dilation_w] = self.dilations;
        Ok(ConvShape {
            batch,
            in_h,
            in_w,
            in_c,
            filter_h,
            filter_w,
            out_c,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
            out_h,
            out_w,
        })
    }

    fn pooling(&self, input: &[usize]) -> Result<PoolShape> {
        let &[batch, in_h, in_w, channels] = input else {
            return Err(Error::invalid_argument(format!("images to pool must be 4-dimensional: {input:?}")));
        };
        let [window_h, window_w] = self.size;
        let [stride_h, stride_w] = self.strides;
        let (out_h, pad_top) = self.along(0, in_h, window_h)?;
        let (out_w, pad_left) = self.along(1, in_w, window_w)?;
        Ok(PoolShape {
            batch,
            in_h,
            in_w,
            channels,
            window_h,
            window_w,
            stride_h,
            stride_w,
            pad_top,
            pad_left,
            out_h,
            out_w,
        })
    }
}

/// The two numbers of an attribute that concern height and width.
fn spatial(spec: &NodeSpec<'_>, name: &str) -> Result<[usize; 2]> {
    if channels_first(spec) {
        return Err(Error::new(Code::Unimplemented, "the embedded engine wants images as NHWC, not NCHW"));
    }
    let values = spec.ints(name)?;
    let positive = |value: i64| usize::try_from(value).ok().filter(|&value| value > 0);
    match values.as_slice() {
        &[1, h, w, 1] => positive(h).zip(positive(w)).map(|(h, w)| [h, w]),
        _ => None,
    }
    .ok_or_else(|| {
        Error::invalid_argument(format!("{name} must be [1, h, w, 1] with positive h and w: {values:?}"))
    })
}

fn padding(spec: &NodeSpec<'_>, explicit: &[i64]) -> Result<Padding> {
    match spec.str("padding")? {
        "VALID" => Ok(Padding::Valid),
        "SAME" => Ok(Padding::Same),
        "EXPLICIT" => {
            let pads: Option<Vec<usize>> = explicit.iter().map(|&pad| usize::try_from(pad).ok()).collect();
            match pads.as_deref() {
                Some(&[0, 0, top, bottom, left, right, 0, 0]) => {
                    Ok(Padding::Explicit([[top, bottom], [left, right]]))
                }
                _ => {
                    Err(Error::invalid_argument(format!("explicit paddings {explicit:?} are not supported")))
                }
            }
        }
        other => Err(Error::invalid_argument(format!("unknown padding '{other}'"))),
    }
}

fn forward<T: Element + Real>(
    context: &mut KernelContext<'_>,
    window: &Window,
    fused: Option<bool>,
) -> Result<()> {
    let shape = window.convolution(context.input(0).shape(), context.input(1).shape())?;
    let dims = Shape::from([shape.batch, shape.out_h, shape.out_w, shape.out_c]);
    let mut output = context.allocate::<T>(crate::kernel::checked(dims, T::DTYPE)?);
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

/// The dimensions in an input that holds a shape.
fn sizes(context: &KernelContext<'_>, input: usize) -> Result<Vec<usize>> {
    let sizes = context.ints(input)?;
    let sizes: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    sizes.ok_or_else(|| Error::invalid_argument("a negative dimension"))
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
    let mut output = context.allocate::<T>(crate::kernel::checked(dims.into(), T::DTYPE)?);
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
    let mut output = context.allocate::<T>(crate::kernel::checked(dims.into(), T::DTYPE)?);
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let out = output.as_mut_slice().expect("new memory has one owner");
    conv::filter_gradient(pool, scratch, &shape, inputs.slice::<T>(0)?, inputs.slice(2)?, out);
    context.set(0, output);
    Ok(())
}

fn pooled(shape: &PoolShape) -> Shape {
    Shape::from([shape.batch, shape.out_h, shape.out_w, shape.channels])
}

fn check_pooled(shape: &PoolShape, found: &Shape) -> Result<()> {
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
