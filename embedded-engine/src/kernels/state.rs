//! Variables: handles, reads, and assignments.
//!
//! A read shares the tensor of the variable. An assignment replaces it; an update writes in place if nothing
//! else holds the tensor, and copies it otherwise (copy on write). This makes snapshots for fetches and
//! checkpoints free.
//!
//! # Semantics
//!
//! | op | inputs | result |
//! | --- | --- | --- |
//! | `VarHandleOp` | | the handle of the variable of a name, created without a value |
//! | `ReadVariableOp` | handle | the value, shared; `FailedPrecondition` before the first assignment (S-28) |
//! | `VarIsInitializedOp` | handle | `bool` |
//! | `AssignVariableOp`, `Assign` | handle, value | replaces the value; the shape must fit the declared one, the dtype that of the value |
//! | `AssignAddVariableOp`, `AssignSubVariableOp` | handle, delta | adds or subtracts elementwise; shapes must be equal |
//! | `VariableShape` | handle | the shape of the value, `int32` or `int64` |
//! | `DestroyResourceOp` | handle | the variable loses its value; `NotFound` without one, unless that is ignored |
//! | `DisableCopyOnRead` | handle | nothing; reads never copy here |
//!
//! Names without `Resource` or `Variable` take a reference, which is the same handle. Integers wrap around.
//! Sums run on the calling thread under the variable's lock, so concurrent updates are never lost; their
//! order is that of arrival.
//!
//! # Errors
//!
//! - `FailedPrecondition` for a variable without a value, with its name.
//! - `InvalidArgument` for a value of another shape than the declared one, or, with `validate_shape`, than the value
//!   has; for a value of another dtype than the variable holds, which several handles of one shared name may
//!   declare; for a delta of another shape or of a dtype that is not numeric.
//! - `NotFound` for destroying a variable without a value, unless `ignore_lookup_error` is set.
//!
//! A step that fails leaves the variable as it was: everything is checked before the first element changes.

mod reference;
mod scatter;

use crate::kernel::{Kernel, KernelContext, NodeSpec, gives};
use crate::registry::Registry;
use crate::resources::{Resources, Variable};
use session_core::{AttrValue, Code, Error, PartialShape, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// The kind under which a session keeps resource variables.
const VARIABLE: &str = "variable";

/// Registers the op types of this file and of the folder.
pub(crate) fn register(registry: &mut Registry) {
    reference::register(registry);
    scatter::register(registry);
    registry.add_handle("VarHandleOp", |spec| {
        let name = resource_name(spec);
        let container = spec.str("container").unwrap_or_default();
        let handle = spec.resources.handle(VARIABLE, container, name, || Variable::new(name));
        Ok(gives(handle))
    });
    registry
        .add("ReadVariableOp", |spec| {
            let dtype = spec.dtype("dtype")?;
            Ok(Box::new(move |context: &mut KernelContext<'_>| read_variable(context, dtype)))
        })
        .reads();
    registry
        .add_both(["VarIsInitializedOp", "IsVariableInitialized"], |_| Ok(Box::new(is_initialized)))
        .reads();
    registry.add("DestroyResourceOp", |spec| {
        let ignores_missing = spec.bool("ignore_lookup_error")?;
        Ok(Box::new(move |context: &mut KernelContext<'_>| destroy(context, ignores_missing)))
    });
    registry.add("DisableCopyOnRead", |_| Ok(Box::new(|_: &mut KernelContext<'_>| Ok(()))));
    registry.add_both(["AssignVariableOp", "Assign"], make_assign);
    registry.add_both(["AssignAddVariableOp", "AssignAdd"], |_| {
        Ok(Box::new(|context: &mut KernelContext<'_>| update(context, true)))
    });
    registry.add_both(["AssignSubVariableOp", "AssignSub"], |_| {
        Ok(Box::new(|context: &mut KernelContext<'_>| update(context, false)))
    });
    registry
        .add("VariableShape", |spec| {
            let dtype = spec.dtype("out_type").unwrap_or(DType::Int32);
            Ok(Box::new(move |context: &mut KernelContext<'_>| {
                let value = variable(context, 0)?.read()?;
                let shape = super::array::shape_tensor(value.shape(), dtype)?;
                context.set(0, shape);
                Ok(())
            }))
        })
        .reads();
}

/// The shared name by which TensorFlow asks for a resource that nothing shares.
const ANONYMOUS: &str = "cd2c89b7-88b7-44c8-ad83-06c2a9158347";

/// Returns the name under which a session keeps a resource: the shared one, or the operation's.
///
/// Two operations of one shared name use one resource.
pub(crate) fn resource_name<'s>(spec: &'s NodeSpec<'_>) -> &'s str {
    match spec.str("shared_name") {
        Ok(name) if !name.is_empty() && name != ANONYMOUS => name,
        _ => spec.operation.name(),
    }
}

/// Returns the variable of a handle input.
///
/// # Errors
/// `InvalidArgument` if the input is not the handle of a variable.
pub(crate) fn variable<'c>(context: &'c KernelContext<'_>, input: usize) -> Result<&'c Variable> {
    context.handle(input, "a variable")
}

/// Returns the variable of a handle input, to be kept while the context is written to.
pub(crate) fn shared_variable(context: &KernelContext<'_>, input: usize) -> Result<Arc<Variable>> {
    context.shared_handle(input, "a variable")
}

/// Returns the value of the variable of input 0. The tensor is shared: a later update copies it if it is
/// still in use.
///
/// Two handles of one shared name may declare different dtypes, so the value is compared with `dtype`.
fn read_variable(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let variable = variable(context, 0)?;
    let value = variable.read()?;
    if value.dtype() != dtype {
        return Err(other_dtype("read", variable, value.dtype(), dtype));
    }
    context.set(0, value);
    Ok(())
}

/// Returns the error for a variable that holds another dtype than an operation is for.
fn other_dtype(verb: &str, variable: &Variable, held: DType, wanted: DType) -> Error {
    Error::invalid_argument(format!("cannot {verb} variable '{}' of {held} as {wanted}", variable.name()))
}

/// Returns the value of input 0 for the reads that the compiler inserts: that of the variable, or the input
/// itself if it is not a reference. A `Merge` may output either.
pub(crate) fn read_reference(context: &mut KernelContext<'_>) -> Result<()> {
    let value = context.take(0);
    context.set(0, referenced(value)?);
    Ok(())
}

/// Returns the names of the session's variables that have values, resource and reference variables, with the
/// bytes of these, for reports of memory use.
pub(crate) fn variable_sizes(resources: &Resources) -> Vec<(String, usize)> {
    let handles = [VARIABLE, reference::REFERENCE].map(|kind| resources.of_kind(kind)).concat();
    let variables = handles.iter().filter_map(|handle| handle.as_handle::<Variable>());
    variables
        .filter_map(|variable| Some((variable.name().to_owned(), variable.lock().as_ref()?.byte_len())))
        .collect()
}

/// Returns the value that a reference refers to. A tensor that may be a reference and is a plain value is
/// returned as it is.
///
/// # Errors
/// `FailedPrecondition` for a variable without a value.
pub(crate) fn referenced(value: Tensor) -> Result<Tensor> {
    match value.as_handle::<Variable>() {
        Some(variable) => variable.read(),
        None => Ok(value),
    }
}

/// Returns true if the variable of input 0 has a value.
fn is_initialized(context: &mut KernelContext<'_>) -> Result<()> {
    let initialized = variable(context, 0)?.lock().is_some();
    context.set(0, Tensor::from(initialized));
    Ok(())
}

/// Takes the value away. The variable stays in the session, so that handles remain valid and an initializer
/// can set it again.
///
/// # Errors
/// `NotFound` for a variable without a value, unless `ignores_missing`.
fn destroy(context: &mut KernelContext<'_>, ignores_missing: bool) -> Result<()> {
    let variable = variable(context, 0)?;
    let old = variable.lock().take();
    if old.is_none() && !ignores_missing {
        return Err(Error::new(Code::NotFound, format!("variable '{}' has no value", variable.name())));
    }
    // Outside the lock, as everywhere: freeing a large value takes time.
    drop(old);
    Ok(())
}

/// Makes the kernel of an assignment. The declared shape is checked also for resource variables, unlike in
/// TensorFlow.
///
/// A reference is assigned without a check if `validate_shape` is false; a resource variable with a value keeps
/// its shape if it is true. The dtype was checked when the graph was built, as far as one handle tells; another
/// of the same shared name may have given the variable a value of another dtype, which is refused.
fn make_assign(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let target = spec.operation.input(0);
    // A handle that comes through a function or a branch has no declaration to look at; its assignment is not
    // checked.
    let declared = match target.operation().attr("shape") {
        _ if target.is_ref() && !spec.bool("validate_shape")? => PartialShape::unknown(),
        _ if target.is_ref() => target.shape().clone(),
        Some(AttrValue::Shape(shape)) if target.operation().op_type() == "VarHandleOp" => shape.clone(),
        _ => PartialShape::unknown(),
    };
    let keeps_shape = !target.is_ref() && spec.bool("validate_shape")?;
    Ok(Box::new(move |context: &mut KernelContext<'_>| {
        let value = context.take(1);
        let variable = variable(context, 0)?;
        if !declared.is_compatible_with(value.shape()) {
            let text = format!(
                "cannot assign a value of shape {} to variable '{}' of shape {declared}",
                value.shape(),
                variable.name()
            );
            return Err(Error::invalid_argument(text));
        }
        let mut held = variable.lock();
        if let Some(old) = held.as_ref() {
            if old.dtype() != value.dtype() {
                return Err(other_dtype("assign to", variable, old.dtype(), value.dtype()));
            }
            if keeps_shape && old.shape() != value.shape() {
                return Err(Error::invalid_argument(format!(
                    "cannot assign a value of shape {} to variable '{}', which has shape {} and validates it",
                    value.shape(),
                    variable.name(),
                    old.shape()
                )));
            }
        }
        let old = held.replace(value);
        drop(held);
        drop(old); // outside the lock
        Ok(())
    }))
}

/// Adds to or subtracts from a variable, in place if nothing shares its value.
///
/// # Errors
/// `FailedPrecondition` for a variable without a value, and `InvalidArgument` for another shape or a dtype
/// that is not numeric.
fn update(context: &mut KernelContext<'_>, add: bool) -> Result<()> {
    // Before the lock, and as the last use if it is: `w += w_read` must not keep the old value shared during
    // the update.
    let delta = context.take(1);
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    if value.shape() != delta.shape() {
        let text = format!("shapes differ: {} of '{}' and {}", value.shape(), variable.name(), delta.shape());
        return Err(Error::invalid_argument(text));
    }
    macro_rules! add_to {
        ($($dtype:ident: $type:ty, $plus:expr, $minus:expr;)*) => {
            match value.dtype() {
                $(DType::$dtype => {
                    let delta = delta.as_slice::<$type>()?;
                    let target = value.make_mut::<$type>(context.buffers())?;
                    if add {
                        target.iter_mut().zip(delta).for_each(|(a, b)| *a = $plus(*a, *b));
                    } else {
                        target.iter_mut().zip(delta).for_each(|(a, b)| *a = $minus(*a, *b));
                    }
                    Ok(())
                })*
                other => Err(Error::invalid_argument(format!("cannot add to a variable of dtype {other}"))),
            }
        };
    }
    use std::ops::{Add, Sub};
    add_to! {
        Float32: f32, f32::add, f32::sub;
        Float64: f64, f64::add, f64::sub;
        Float16: tensor::f16, tensor::f16::add, tensor::f16::sub;
        BFloat16: tensor::bf16, tensor::bf16::add, tensor::bf16::sub;
        Int64: i64, i64::wrapping_add, i64::wrapping_sub;
        Int32: i32, i32::wrapping_add, i32::wrapping_sub;
        Int16: i16, i16::wrapping_add, i16::wrapping_sub;
        Int8: i8, i8::wrapping_add, i8::wrapping_sub;
        UInt64: u64, u64::wrapping_add, u64::wrapping_sub;
        UInt32: u32, u32::wrapping_add, u32::wrapping_sub;
        UInt16: u16, u16::wrapping_add, u16::wrapping_sub;
        UInt8: u8, u8::wrapping_add, u8::wrapping_sub;
        Complex64: tensor::Complex<f32>, |a, b| a + b, |a, b| a - b;
        Complex128: tensor::Complex<f64>, |a, b| a + b, |a, b| a - b;
    }
}
