//! Operations on the values inside variants: lists of tensors, optional values and ragged tensors.
//!
//! # Semantics
//!
//! These are `ZerosLike` and `AddN` for the dtype `variant`, which gradients of loops and conditionals need.
//! Both go into lists, optional values, ragged tensors and batches, down to tensors of numbers. Zeros have
//! the same structure. Summands must have the same structure: lists of one length, optional values that both
//! have values or both have none. An unset element of a list counts as zero. Other variants, and structures
//! that differ, are `InvalidArgument`. Additions are made in place where nothing else holds the first
//! summand.

use super::optional::Optional;
use super::ragged::{self, Ragged};
use super::tensor_list::TensorList;
use super::variant_batch::Variants;
use crate::kernel::KernelContext;
use crate::kernels::elements::sum;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// Returns a scalar variant that is a handle of a value.
fn variant<V: std::any::Any + Send + Sync>(value: V) -> Tensor {
    Tensor::from_handle(DType::Variant, Arc::new(value))
}

/// Delivers a variant of the same form with zeros inside.
///
/// # Errors
/// `InvalidArgument` for a variant of another type.
pub(crate) fn zeros_like(context: &mut KernelContext<'_>) -> Result<()> {
    let zeros = zeros(&context.take(0))?;
    context.set(0, zeros);
    Ok(())
}

/// Returns zeros in the structure of a value, recursively. Unset elements stay unset.
fn zeros(value: &Tensor) -> Result<Tensor> {
    if value.dtype() != DType::Variant {
        return Ok(Tensor::zeros(value.dtype(), value.shape().clone())?);
    }
    if let Some(list) = value.as_handle::<TensorList>() {
        let mut list = list.clone();
        for element in list.elements.iter_mut().flatten() {
            *element = zeros(element)?;
        }
        return Ok(variant(list));
    }
    if let Some(Optional(values)) = value.as_handle() {
        let zeros = values.as_ref().map(|values| values.iter().map(zeros).collect::<Result<_>>());
        return Ok(variant(Optional(zeros.transpose()?)));
    }
    if let Some(ragged) = value.as_handle::<Ragged>() {
        return Ok(variant(ragged::zeros(ragged)?));
    }
    if let Some(variants) = Variants::of(value) {
        let items = variants.items().iter().map(zeros).collect::<Result<_>>()?;
        return Ok(Variants::tensor(items, variants.dims()));
    }
    Err(Error::invalid_argument(
        "a variant has zeros only if it is a list, an optional value or a ragged tensor",
    ))
}

/// Delivers the sum of all inputs, added from the left.
pub(crate) fn add(context: &mut KernelContext<'_>) -> Result<()> {
    let mut total = context.take(0);
    for input in 1..context.num_inputs() {
        let more = context.take(input);
        total = added(context, total, &more)?;
    }
    context.set(0, total);
    Ok(())
}

/// Returns the sum of two values of one structure, recursively.
fn added(context: &KernelContext<'_>, to: Tensor, more: &Tensor) -> Result<Tensor> {
    if to.dtype() != DType::Variant {
        return sum(context, to, more);
    }
    if let (Some(list), Some(more)) = (to.to_handle::<TensorList>(), more.as_handle::<TensorList>()) {
        // Otherwise the tensor's own reference would make `unwrap_or_clone` copy the list.
        drop(to);
        return Ok(variant(added_lists(context, Arc::unwrap_or_clone(list), more)?));
    }
    if let (Some(Optional(values)), Some(Optional(more))) = (to.as_handle(), more.as_handle()) {
        return Ok(variant(Optional(added_optionals(context, values.clone(), more.as_deref())?)));
    }
    if let (Some(ragged), Some(more)) = (to.as_handle::<Ragged>(), more.as_handle::<Ragged>()) {
        return Ok(variant(ragged::added(context, ragged, more)?));
    }
    if let (Some(variants), Some(more)) = (Variants::of(&to), Variants::of(more))
        && variants.dims() == more.dims()
    {
        let pairs = variants.items().iter().cloned().zip(more.items());
        let items = pairs.map(|(item, more)| added(context, item, more)).collect::<Result<_>>()?;
        return Ok(Variants::tensor(items, variants.dims()));
    }
    Err(Error::invalid_argument(
        "among variants, only two lists, two optional values or two ragged tensors can be added",
    ))
}

/// Returns the sum of two lists, element by element. Where only one has an element, that is the sum.
fn added_lists(context: &KernelContext<'_>, mut list: TensorList, more: &TensorList) -> Result<TensorList> {
    if list.elements.len() != more.elements.len() {
        let text = format!(
            "Trying to add two lists of tensors of different lengths: {} and {}",
            list.elements.len(),
            more.elements.len()
        );
        return Err(Error::invalid_argument(text));
    }
    for (element, more) in list.elements.iter_mut().zip(&more.elements) {
        // An element that was never set has no gradient yet: the other one is the sum.
        let Some(more) = more else { continue };
        *element = Some(match element.take() {
            None => more.clone(),
            Some(element) => added(context, element, more)?,
        });
    }
    Ok(list)
}

/// Returns the sum of two optional values, component by component; none for two without value.
fn added_optionals(
    context: &KernelContext<'_>,
    values: Option<Vec<Tensor>>,
    more: Option<&[Tensor]>,
) -> Result<Option<Vec<Tensor>>> {
    match (values, more) {
        (None, None) => Ok(None),
        (Some(values), Some(more)) if values.len() == more.len() => {
            let pairs = values.into_iter().zip(more);
            pairs.map(|(value, more)| added(context, value, more)).collect::<Result<_>>().map(Some)
        }
        _ => Err(Error::invalid_argument(
            "Cannot add optionals because one has a value and the other doesn't.",
        )),
    }
}
