//! Shapes as values, and values under other shapes.
//!
//! # Semantics
//!
//! Shapes are returned as `int32` or `int64`, according to `out_type`; a size that does not fit an `int32` is an
//! error. `Reshape`, `ExpandDims` and `Squeeze` share the memory of their input. One size of `Reshape` may be -1,
//! which is computed from the others; it is an error if they are all 0 or do not divide the number of elements.
//!
//! `BroadcastGradientArgs` returns the axes over which the gradients of two broadcast operands are summed. It is the
//! run-time form of what the gradient functions in `ops` compute while the graph is built if shapes are known.

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::math::{axis, boxed};
use crate::kernels::random::shape as shape_input;
use crate::kernels::variant_batch::{reshaped, shape_of};
use crate::registry::{Registry, Role, Shares};
use compute::elementwise;
use session_core::{AttrValue, Error, PartialShape, Result};
use tensor::{DType, Element, Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry
        .add("Shape", |spec| {
            let dtype = spec.dtype("out_type").unwrap_or(DType::Int32);
            Ok(boxed(move |context| {
                let shape = shape_tensor(shape_of(context.input(0)), dtype)?;
                context.set(0, shape);
                Ok(())
            }))
        })
        .role(Role::Shape);
    registry.add("ShapeN", |spec| {
        let dtype = spec.dtype("out_type").unwrap_or(DType::Int32);
        Ok(boxed(move |context| {
            for i in 0..context.num_inputs() {
                let shape = shape_tensor(shape_of(context.input(i)), dtype)?;
                context.set(i, shape);
            }
            Ok(())
        }))
    });
    registry.add("Size", |spec| {
        let dtype = spec.dtype("out_type").unwrap_or(DType::Int32);
        Ok(boxed(move |context| {
            let size = integer(shape_of(context.input(0)).elements(), dtype)?;
            context.set(0, size);
            Ok(())
        }))
    });
    registry.add("Rank", |_| {
        Ok(boxed(|context| {
            let rank = Tensor::from(shape_of(context.input(0)).rank() as i32);
            context.set(0, rank);
            Ok(())
        }))
    });
    registry.add("Reshape", |_| Ok(boxed(reshape))).shares(Shares::View);
    registry.add("ExpandDims", |_| Ok(boxed(expand_dims))).shares(Shares::View);
    registry
        .add("Squeeze", |spec| {
            let axes = spec.ints("squeeze_dims").or_else(|_| spec.ints("axis")).unwrap_or_default();
            Ok(boxed(move |context| squeeze(context, &axes)))
        })
        .shares(Shares::View);
    registry
        .add("EnsureShape", |spec| {
            let shape = match spec.attr("shape")? {
                AttrValue::Shape(shape) => shape.clone(),
                _ => PartialShape::unknown(),
            };
            Ok(boxed(move |context| {
                let value = context.take(0);
                if !shape.is_compatible_with(value.shape()) {
                    let text = format!("a tensor of shape {} where {shape} was promised", value.shape());
                    return Err(Error::invalid_argument(text));
                }
                context.set(0, value);
                Ok(())
            }))
        })
        .shares(Shares::Inputs);
    let passing = ["Identity", "StopGradient", "PreventGradient", "IdentityN", "PlaceholderWithDefault"];
    registry.add_all(passing, pass_on).role(Role::PassOn).shares(Shares::Inputs);
    // The original copies here.
    registry.add("Snapshot", pass_on).role(Role::PassOn);
    registry.add("LoopCond", pass_on).role(Role::PassOn);
    registry
        .add("Const", |spec| {
            let value = spec
                .attr("value")?
                .as_tensor()
                .cloned()
                .ok_or_else(|| Error::value("a constant without value"))?;
            Ok(boxed(move |context| {
                context.set(0, value.clone());
                Ok(())
            }))
        })
        .role(Role::Constant);
    registry.add("Fill", |spec| for_dtype!(moved spec.input_dtype(1), T => Ok(boxed(fill::<T>))));
    registry.add("ZerosLike", |spec| match spec.input_dtype(0) {
        DType::Variant => Ok(boxed(crate::kernels::variants::zeros_like)),
        dtype => for_dtype!(moved dtype, T => Ok(boxed(|context| {
            let (dtype, shape) = (context.input(0).dtype(), context.input(0).shape().clone());
            context.produce_moved::<T>(0, dtype, shape, |context, output| {
                elementwise::fill(context.pool(), output, T::default());
                Ok(())
            })
        }))),
    });
    registry.add("OnesLike", |spec| match spec.input_dtype(0) {
        DType::Bool => Ok(boxed(|context| like::<bool>(context, true))),
        dtype => for_dtype!(all dtype, T => {
            let one: T = elementwise::CastTo::cast(1u8);
            Ok(boxed(move |context| like::<T>(context, one)))
        }),
    });
    registry
        .add("BroadcastTo", |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(broadcast_to::<T>))));
    registry.add(
        "BroadcastGradientArgs",
        |spec| for_dtype!(index spec.input_dtype(0), T => Ok(boxed(broadcast_gradient_args::<T>))),
    );
    registry.add("BroadcastArgs", |spec| {
        let dtype = spec.input_dtype(0);
        Ok(boxed(move |context| {
            let (a, b) = (shape_input(context, 0)?, shape_input(context, 1)?);
            let plan = elementwise::Broadcast::new([a.dims(), b.dims()]);
            let plan = plan.map_err(|error| Error::invalid_argument(error.to_string()))?;
            let shape = shape_tensor(&Shape::new(plan.output_shape()), dtype)?;
            context.set(0, shape);
            Ok(())
        }))
    });
}

/// Outputs that are the inputs.
fn pass_on(_: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    Ok(boxed(|context| {
        for i in 0..context.num_inputs() {
            let value = context.take(i);
            context.set(i, value);
        }
        Ok(())
    }))
}

/// Returns a shape as a vector of `int32` or `int64`.
pub(crate) fn shape_tensor(shape: &Shape, dtype: DType) -> Result<Tensor> {
    if dtype == DType::Int64 {
        return Ok(Tensor::from(memory::collected(shape.iter().map(|&dim| dim as i64))?));
    }
    let narrow = |&dim: &usize| {
        i32::try_from(dim).map_err(|_| Error::invalid_argument(format!("{dim} does not fit an int32")))
    };
    Ok(Tensor::from(memory::try_collected(shape.iter().map(narrow))?))
}

fn integer(value: usize, dtype: DType) -> Result<Tensor> {
    if dtype == DType::Int64 {
        return Ok(Tensor::from(value as i64));
    }
    let value = i32::try_from(value)
        .map_err(|_| Error::invalid_argument(format!("{value} does not fit an int32")))?;
    Ok(Tensor::from(value))
}

/// Reshapes input 0 to the shape in input 1, in which one size may be -1.
pub(crate) fn reshape(context: &mut KernelContext<'_>) -> Result<()> {
    let sizes = context.ints(1)?;
    let value = context.take(0);
    let own = shape_of(&value);
    let elements = own.elements();
    let mismatch = || {
        let text = format!(
            "Input to reshape is a tensor with {elements} values, but the requested shape is {sizes:?}"
        );
        Error::invalid_argument(text)
    };
    if sizes.iter().filter(|&&size| size == -1).count() > 1 || sizes.iter().any(|&size| size < -1) {
        return Err(Error::invalid_argument(format!("at most one size may be -1, and none less: {sizes:?}")));
    }
    // The size that is left open follows from the others; where one of those is 0, from the sizes that are not.
    let known = sizes.iter().filter(|&&size| size > 0);
    let known = known.map(|&size| size as usize).collect::<Shape>().elements();
    let empty = elements == 0 && sizes.contains(&0);
    let held = if empty { own.iter().filter(|&&size| size > 0).product() } else { elements };
    let fitted = |&size: &i64| match usize::try_from(size) {
        Ok(size) => Some(size),
        Err(_) => (empty || held.is_multiple_of(known)).then(|| held / known),
    };
    let shape: Option<Shape> = sizes.iter().map(fitted).collect();
    let value = shape.and_then(|shape| reshaped(value, shape).ok()).ok_or_else(mismatch)?;
    context.set(0, value);
    Ok(())
}

fn expand_dims(context: &mut KernelContext<'_>) -> Result<()> {
    let at = context.int(1)?;
    let value = context.take(0);
    let mut dims = shape_of(&value).to_vec();
    let at = axis(at, dims.len() + 1)?;
    dims.insert(at, 1);
    let value = reshaped(value, dims.into())?;
    context.set(0, value);
    Ok(())
}

fn squeeze(context: &mut KernelContext<'_>, axes: &[i64]) -> Result<()> {
    let value = context.take(0);
    let shape = shape_of(&value).clone();
    let axes = axes.iter().map(|&at| axis(at, shape.rank())).collect::<Result<Vec<_>>>()?;
    if let Some(&wrong) = axes.iter().find(|&&at| shape[at] != 1) {
        let text = format!("Can not squeeze dim[{wrong}], expected a dimension of 1, got {}", shape[wrong]);
        return Err(Error::invalid_argument(text));
    }
    let gone = |i: usize| if axes.is_empty() { shape[i] == 1 } else { axes.contains(&i) };
    let dims: Shape = (0..shape.rank()).filter(|&i| !gone(i)).map(|i| shape[i]).collect();
    let value = reshaped(value, dims)?;
    context.set(0, value);
    Ok(())
}

fn fill<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(1).dtype();
    let shape = shape_input(context, 0)?;
    let value = context.moved_value::<T>(1)?;
    context.produce_moved::<T>(0, dtype, shape, |context, output| {
        elementwise::fill(context.pool(), output, value);
        Ok(())
    })
}

fn like<T: Element>(context: &mut KernelContext<'_>, value: T) -> Result<()> {
    let shape = context.input(0).shape().clone();
    context.produce::<T>(0, shape, |context, output| {
        elementwise::fill(context.pool(), output, value);
        Ok(())
    })
}

fn broadcast_to<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(0).dtype();
    let target = shape_input(context, 1)?;
    let shape = context.input(0).shape().clone();
    context.produce_moved::<T>(0, dtype, target.clone(), |context, output| {
        let input = context.moved::<T>(0)?;
        elementwise::layout::broadcast_to(context.pool(), &shape, &target, input, output)
            .map_err(|error| Error::invalid_argument(format!("Incompatible shapes: {error}")))
    })
}

/// Computes the axes over which the gradients of two broadcast operands are summed.
fn broadcast_gradient_args<T: Element + TryFrom<i64>>(context: &mut KernelContext<'_>) -> Result<()> {
    let shapes = [shape_input(context, 0)?, shape_input(context, 1)?];
    let rank = shapes[0].rank().max(shapes[1].rank());
    let dim = |operand: usize, axis: usize| {
        let missing = rank - shapes[operand].rank();
        if axis < missing { 1 } else { shapes[operand][axis - missing] }
    };
    for operand in 0..2 {
        // Where both are 1, summing over one element changes nothing; it is done in both, as in TensorFlow, so that
        // dimensions that one operand lacks are counted.
        let summed = (0..rank).filter(|&axis| dim(operand, axis) == 1);
        let axes: Option<Vec<T>> = summed.map(|axis| T::try_from(axis as i64).ok()).collect();
        let axes = axes.ok_or_else(|| Error::invalid_argument("too many axes"))?;
        context.set(operand, Tensor::from(axes));
    }
    Ok(())
}
