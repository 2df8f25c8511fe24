//! Values that may be missing.
//!
//! # Semantics
//!
//! `OptionalFromValue` packs its inputs into one variant, `OptionalNone` makes an empty one.
//! `OptionalHasValue` returns a `bool`, and `OptionalGetValue` the components: `InvalidArgument` if there are
//! none, or if number, dtypes or shapes differ from the attributes (D-26). Components have any dtype and are
//! shared, not copied. Sums and zeros of optional values are in `variants.rs`.

use crate::kernel::KernelContext;
use crate::kernels::data::name;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, PartialShape, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// The components of a value, or `None`. It is what the variant's handle refers to.
pub(super) struct Optional(pub(super) Option<Vec<Tensor>>);

/// Registers the op types.
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
    registry.add("OptionalGetValue", |spec| {
        let types = spec.attr("output_types")?.as_types().unwrap_or_default();
        let shapes = spec.attr("output_shapes")?.as_shapes().unwrap_or_default();
        Ok(boxed(move |context| {
            // The components are cloned handles: the optional value may be read again.
            let values = optional(context)?.0.clone();
            let values =
                values.ok_or_else(|| Error::invalid_argument("The given optional does not have a value."))?;
            check(&values, &types, &shapes)?;
            values.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
            Ok(())
        }))
    });
}

/// Returns an error, in TensorFlow's words, if the components differ from those that the attributes declare
/// (D-26).
fn check(values: &[Tensor], types: &[DType], shapes: &[PartialShape]) -> Result<()> {
    if values.len() != types.len() {
        let text = format!("The given optional has {} components, expected {}", values.len(), types.len());
        return Err(Error::invalid_argument(text));
    }
    for (place, ((value, dtype), shape)) in values.iter().zip(types).zip(shapes).enumerate() {
        if value.dtype() != *dtype {
            let text = format!(
                "The given optional does not match the expected type for component {place}. Expected: {}. Actual: {}.",
                name(*dtype),
                name(value.dtype())
            );
            return Err(Error::invalid_argument(text));
        }
        // Variants and handles have a shape of their own only inside; the attribute says nothing about that.
        let has_shape = dtype.is_plain() || *dtype == DType::String;
        if has_shape && !shape.is_compatible_with(value.shape().dims()) {
            let text = format!(
                "The given optional does not match the expected shape for component {place}. Expected: {shape}. Actual: {}.",
                value.shape()
            );
            return Err(Error::invalid_argument(text));
        }
    }
    Ok(())
}

/// Delivers an optional value as output 0.
fn give(context: &mut KernelContext<'_>, values: Option<Vec<Tensor>>) {
    context.set(0, Tensor::from_handle(DType::Variant, Arc::new(Optional(values))));
}

/// Returns the optional value of input 0.
fn optional<'c>(context: &'c KernelContext<'_>) -> Result<&'c Optional> {
    context.input(0).as_handle().ok_or_else(|| Error::invalid_argument("input 0 is not an optional value"))
}
