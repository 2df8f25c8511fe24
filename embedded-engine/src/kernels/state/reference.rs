//! Reference variables: TensorFlow's first kind, whose operations pass on a reference to the variable itself.
//!
//! A reference is the handle of a variable as any other. Where an operation wants its value, the compiler
//! puts a read in between.
//!
//! # Semantics
//!
//! - `VariableV2` and `Variable` return the handle of a variable that the session keeps under its name and
//!   container. It begins without a value.
//! - `TemporaryVariable` makes a new variable in each run. It begins with zeros if the attribute `shape` is
//!   fully known, and without a value otherwise. `DestroyTemporaryVariable` takes its value out.
//! - `RefSelect` forwards the reference that its index names, and fails with `InvalidArgument` for another
//!   number. `RefIdentity` forwards the only one.
//!
//! Reading a variable without a value is `FailedPrecondition`.

use super::{resource_name, variable};
use crate::kernel::{Kernel, NodeSpec, gives};
use crate::kernels::math::boxed;
use crate::registry::{Registry, Shares};
use crate::resources::Variable;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// The kind under which a session keeps reference variables. A resource variable of the same name is another
/// variable.
pub(super) const REFERENCE: &str = "reference";

/// Registers the op types. The assignments to references are registered together with those to resources.
pub(crate) fn register(registry: &mut Registry) {
    for op_type in ["VariableV2", "Variable"] {
        registry.add_handle(op_type, make_variable);
    }
    registry.add("TemporaryVariable", |spec| {
        let (name, dtype) = (resource_name(spec).to_owned(), spec.dtype("dtype")?);
        let shape = spec.operation.output_infos()[0].shape.to_shape();
        Ok(boxed(move |context| {
            // Not one of the session's: the value lives as long as a step holds the handle, so concurrent
            // steps have separate ones.
            let variable = Variable::new(&name);
            if let Some(shape) = &shape {
                *variable.lock() = Some(Tensor::zeros(dtype, shape.clone())?);
            }
            context.set(0, Tensor::from_handle(DType::Resource, Arc::new(variable)));
            Ok(())
        }))
    });
    registry.add("DestroyTemporaryVariable", |_| {
        Ok(boxed(|context| {
            let variable = variable(context, 0)?;
            let value = variable.lock().take().ok_or_else(|| variable.uninitialized())?;
            context.set(0, value);
            Ok(())
        }))
    });
    registry.add("RefSelect", |_| {
        Ok(boxed(|context| {
            let index =
                usize::try_from(context.int(0)?).ok().filter(|&index| index + 1 < context.num_inputs());
            let index = index.ok_or_else(|| Error::invalid_argument("the index names no input"))?;
            let reference = context.take(index + 1);
            context.set(0, reference);
            Ok(())
        }))
    });
    registry
        .add("RefIdentity", |_| {
            Ok(boxed(|context| {
                let reference = context.take(0);
                context.set(0, reference);
                Ok(())
            }))
        })
        .shares(Shares::Inputs);
}

/// Returns the kernel of a variable. It is created or found when the plan is compiled, so that every plan of
/// the session has the same handle.
fn make_variable(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let name = resource_name(spec);
    let container = spec.str("container").unwrap_or_default();
    let handle = spec.resources.handle(REFERENCE, container, name, || Variable::new(name));
    Ok(gives(handle))
}
