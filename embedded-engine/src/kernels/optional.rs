//! Values that may be missing.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// Several values, or none.
pub(super) struct Optional(pub(super) Option<Vec<Tensor>>);

pub(crate) fn register(registry: &mut Registry) {
    registry.add("OptionalFromValue", |_| {
        Ok(boxed(|context| {
            let values = (0..context.num_inputs()).map(|input| context.take(input)).collect();
            give(context, Some(values));
            Ok(())
        }))
    });
    registry.add("OptionalNone", |_| {
        Ok(boxed(|context| {
            give(context, None);
            Ok(())
        }))
    });
    registry.add("OptionalHasValue", |_| {
        Ok(boxed(|context| {
            let has_value = optional(context)?.0.is_some();
            context.set(0, Tensor::from(has_value));
            Ok(())
        }))
    });
    registry.add("OptionalGetValue", |_| {
        Ok(boxed(|context| {
            let values = optional(context)?.0.clone();
            let values =
                values.ok_or_else(|| Error::invalid_argument("The given optional does not have a value."))?;
            if values.len() != context.outputs.len() {
                let text =
                    format!("an optional of {} values asked for {}", values.len(), context.outputs.len());
                return Err(Error::invalid_argument(text));
            }
            values.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
            Ok(())
        }))
    });
}

fn give(context: &mut KernelContext<'_>, values: Option<Vec<Tensor>>) {
    context.set(0, Tensor::from_handle(DType::Variant, Arc::new(Optional(values))));
}

fn optional<'c>(context: &'c KernelContext<'_>) -> Result<&'c Optional> {
    context.input(0).as_handle().ok_or_else(|| Error::invalid_argument("input 0 is not an optional value"))
}
