//! Shapes as values, and values under other shapes.
//!
//! # Semantics
//!
//! Shapes are returned as `int32` or `int64`, according to `out_type`; a size that does not fit an `int32` is
//! an error. `Reshape`, `ExpandDims` and `Squeeze` share the memory of their input. One size of `Reshape` may
//! be -1, which is computed from the others; it is an error if they are all 0 or do not divide the number of
//! elements.
//!
//! `BroadcastGradientArgs` returns the axes over which the gradients of two broadcast operands are summed. It
//! is the run-time form of what the gradient functions in `ops` compute while the graph is built if shapes
//! are known.
//!
//! Details:
//!
//! - `Shape`, `ShapeN`, `Size` and `Rank` also work for tensors of variants, whose shape is that of the
//!   variants. `Rank` is always an `int32`.
//! - `Squeeze` without axes removes all axes of size 1; a listed axis of another size is an error. The
//!   attribute is `squeeze_dims`, or `axis` in graphs that use its newer name.
//! - `EnsureShape` returns its input if its shape is compatible with the attribute, and fails with
//!   `InvalidArgument` otherwise.
//! - `Identity` and the other forwarding op types usually need no step: the compiler connects their consumers
//!   to their inputs. Their kernels run only for an operation with control inputs, or for one that others
//!   wait for in a branch that may not be taken.
//! - `Fill` and `BroadcastTo` take the shape as an input; a negative size is an error.
//! - `ZerosLike` of a variant is the zero of its kind, such as an empty list. `OnesLike` converts 1 to the
//!   dtype and has no strings.
//!
//! Filling and broadcasting use the thread pool; everything else takes constant time, apart from the size of
//! the shapes.

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::math::{axis, boxed, incompatible};
use crate::kernels::random::shape as shape_input;
use crate::kernels::variant_batch::{reshaped, shape_of};
use crate::registry::{Registry, Role, Shares};
use compute::elementwise::{self, BroadcastError};
use session_core::{AttrValue, Error, PartialShape, Result};
use tensor::{DType, Element, Shape, Tensor, memory};

/// Registers the op types with the roles that the compiler acts on: constants and known shapes are folded,
/// and views are recognized as such.
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
            // The cast is exact: no shape has more dimensions than an `i32` counts.
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
            let plan = plan.map_err(|error| incompatible(&error))?;
            let shape = shape_tensor(&Shape::new(plan.output_shape()), dtype)?;
            context.set(0, shape);
            Ok(())
        }))
    });
}

/// Returns the kernel that delivers input `i` as output `i`. At its last use the value is moved, otherwise
/// shared; nothing is copied.
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
///
/// Every other dtype than `int64` counts as `int32`; definitions allow those two. A dimension that does not
/// fit an `int32` is `InvalidArgument`.
pub(crate) fn shape_tensor(shape: &Shape, dtype: DType) -> Result<Tensor> {
    if dtype == DType::Int64 {
        return Ok(Tensor::from(memory::collected(shape.iter().map(|&dim| dim as i64))?));
    }
    let narrow = |&dim: &usize| {
        i32::try_from(dim).map_err(|_| Error::invalid_argument(format!("{dim} does not fit an int32")))
    };
    Ok(Tensor::from(memory::try_collected(shape.iter().map(narrow))?))
}

/// Returns one size as a scalar; as in `shape_tensor`, a value that does not fit is an error.
fn integer(value: usize, dtype: DType) -> Result<Tensor> {
    if dtype == DType::Int64 {
        return Ok(Tensor::from(value as i64));
    }
    let value = i32::try_from(value)
        .map_err(|_| Error::invalid_argument(format!("{value} does not fit an int32")))?;
    Ok(Tensor::from(value))
}

/// Reshapes input 0 to the shape in input 1, in which one size may be -1.
///
/// Elements and their order do not change, so the result is another view of the same memory. `[2, 6]` to
/// `[3, -1]` is `[3, 4]`.
///
/// An open size is the quotient of the number of elements and the other sizes. If the tensor has no elements
/// and one of the given sizes is 0, the quotient of the sizes that are not 0 is taken, which is what
/// TensorFlow does: `[2, 0, 3]` to `[-1, 0]` is `[6, 0]`.
///
/// # Errors
/// `InvalidArgument` if more than one size is -1, if one is less, or if the elements do not fit.
pub(crate) fn reshape(context: &mut KernelContext<'_>) -> Result<()> {
    let sizes = context.ints(1)?;
    let value = context.take(0);
    let own = shape_of(&value);
    let elements = own.elements();
    // The text is TensorFlow's, for programs that look for it.
    let mismatch = || {
        let text = format!(
            "Input to reshape is a tensor with {elements} values, but the requested shape is {sizes:?}"
        );
        Error::invalid_argument(text)
    };
    if sizes.iter().filter(|&&size| size == -1).count() > 1 || sizes.iter().any(|&size| size < -1) {
        return Err(Error::invalid_argument(format!("at most one size may be -1, and none less: {sizes:?}")));
    }
    // The size that is left open follows from the others; where one of those is 0, from the sizes that are
    // not.
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

/// Delivers input 0 with a new axis of size 1 before axis `dim` (input 1), which counts among the axes of the
/// result if it is negative.
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

/// Delivers input 0 without the given axes of size 1, or without all of them if `axes` is empty.
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

/// Delivers a tensor of the shape in input 0 whose elements are the scalar in input 1, of any dtype.
fn fill<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(1).dtype();
    let shape = shape_input(context, 0)?;
    let value = context.moved_value::<T>(1)?;
    context.produce_moved::<T>(0, dtype, shape, |context, output| {
        elementwise::fill(context.pool(), output, value);
        Ok(())
    })
}

/// Delivers a tensor of the shape of input 0 that is `value` everywhere.
fn like<T: Element>(context: &mut KernelContext<'_>, value: T) -> Result<()> {
    let shape = context.input(0).shape().clone();
    context.produce::<T>(0, shape, |context, output| {
        elementwise::fill(context.pool(), output, value);
        Ok(())
    })
}

/// Delivers input 0 repeated to the shape in input 1. Dimensions are aligned at the end; each must be equal,
/// or 1 in the input.
fn broadcast_to<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(0).dtype();
    let target = shape_input(context, 1)?;
    let shape = context.input(0).shape().clone();
    context.produce_moved::<T>(0, dtype, target.clone(), |context, output| {
        let input = context.moved::<T>(0)?;
        elementwise::layout::broadcast_to(context.pool(), &shape, &target, input, output)
            .map_err(|error| incompatible(&error))
    })
}

/// Returns a tensor with its elements repeated to fill a shape; the tensor itself if it has that shape.
///
/// `refused` makes the error for a shape to which it is not broadcast.
pub(crate) fn spread(
    context: &KernelContext<'_>,
    tensor: &Tensor,
    shape: &Shape,
    refused: impl FnOnce(&BroadcastError) -> Error,
) -> Result<Tensor> {
    if tensor.shape() == shape {
        return Ok(tensor.clone());
    }
    for_dtype!(moved tensor.dtype(), T => T::made(context, tensor.dtype(), shape.clone(), |output| {
        let elements = T::elements(tensor)?;
        elementwise::layout::broadcast_to(context.pool(), tensor.shape(), shape, elements, output)
            .map_err(|error| refused(&error))
    }))
}

/// Computes the axes over which the gradients of two broadcast operands are summed.
///
/// Inputs are the two shapes; the outputs are vectors of axes of the broadcast shape, ascending. For `[2, 3]`
/// and `[3]` they are `[]` and `[0]`.
///
/// An axis is listed for an operand that has size 1 there or lacks it. Of equal shapes no axis is listed. Fails
/// with `InvalidArgument` if the shapes cannot be broadcast.
fn broadcast_gradient_args<T: Element + TryFrom<i64>>(context: &mut KernelContext<'_>) -> Result<()> {
    let shapes = [shape_input(context, 0)?, shape_input(context, 1)?];
    let rank = shapes[0].rank().max(shapes[1].rank());
    let dim = |operand: usize, axis: usize| {
        // Shapes are aligned at their last dimension; missing ones count as 1.
        let missing = rank - shapes[operand].rank();
        if axis < missing { 1 } else { shapes[operand][axis - missing] }
    };
    let differ = |axis: usize| {
        let [a, b] = [dim(0, axis), dim(1, axis)];
        a != b && a != 1 && b != 1
    };
    if (0..rank).any(differ) {
        let text = format!("Incompatible shapes: {} vs. {}", shapes[0], shapes[1]);
        return Err(Error::invalid_argument(text));
    }
    if shapes[0] == shapes[1] {
        context.set(0, Tensor::from(Vec::<T>::new()));
        context.set(1, Tensor::from(Vec::<T>::new()));
        return Ok(());
    }
    for operand in 0..2 {
        // Where both are 1, summing over one element changes nothing; it is done in both, as in TensorFlow,
        // so that dimensions that one operand lacks are counted.
        let summed = (0..rank).filter(|&axis| dim(operand, axis) == 1);
        let axes: Option<Vec<T>> = summed.map(|axis| T::try_from(axis as i64).ok()).collect();
        let axes = axes.ok_or_else(|| Error::invalid_argument("too many axes"))?;
        context.set(operand, Tensor::from(axes));
    }
    Ok(())
}
