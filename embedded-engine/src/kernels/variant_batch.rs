//! Tensors of several variants, such as batches of sparse and ragged tensors.
//!
//! A `Tensor` of dtype `Variant` is one handle. What other tensors express by a shape, a batch of variants
//! expresses by the type behind the handle:
//!
//! | value | handle of |
//! | --- | --- |
//! | one list, optional, sparse or ragged tensor | that type itself |
//! | a tensor of these with at least one dimension | [`Variants`] |
//!
//! Functions that look at shapes must therefore ask [`shape_of`], not the tensor.

use session_core::{Error, Result};
use std::any::Any;
use std::sync::Arc;
use tensor::{DType, Shape, Tensor, memory};

/// Variants in the shape of a tensor. A single variant is a handle of its value, and has no such wrapper.
pub(in crate::kernels) struct Variants {
    /// The variants in row-major order, each a scalar.
    items: Vec<Tensor>,
    /// The dimensions, of which there is at least one. Their product is the number of items.
    dims: Shape,
}

impl Variants {
    /// Returns a tensor of variants of this shape. A single one of rank 0 is returned as it is.
    ///
    /// The caller guarantees that the shape has as many elements as there are items.
    pub(in crate::kernels) fn tensor(mut items: Vec<Tensor>, dims: impl Into<Shape>) -> Tensor {
        let dims = dims.into();
        // So that a scalar variant has one form only, and a handle can be asked for its type at once.
        if dims.is_empty() && items.len() == 1 {
            return items.remove(0);
        }
        Tensor::from_handle(DType::Variant, Arc::new(Variants { items, dims }))
    }

    /// Returns the variants of a tensor with at least one dimension; `None` for a single variant and for
    /// other dtypes.
    pub(in crate::kernels) fn of(tensor: &Tensor) -> Option<&Variants> {
        tensor.as_handle()
    }

    /// Returns the variants in row-major order.
    pub(in crate::kernels) fn items(&self) -> &[Tensor] {
        &self.items
    }

    /// Returns the dimensions.
    pub(in crate::kernels) fn dims(&self) -> &Shape {
        &self.dims
    }

    /// Returns the size of the first dimension.
    pub(in crate::kernels) fn rows(&self) -> Option<usize> {
        self.dims.first().copied()
    }

    /// Returns a tensor of one dimension less.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such row.
    pub(in crate::kernels) fn row(&self, number: usize) -> Result<Tensor> {
        let rows = self.rows().unwrap_or(0);
        let size = self.items.len().checked_div(rows).unwrap_or(0);
        let items = self.items.get(number * size..(number + 1) * size).filter(|_| number < rows);
        let items = items
            .ok_or_else(|| Error::invalid_argument(format!("there is no row {number} in {rows} variants")))?;
        Ok(Variants::tensor(items.to_vec(), &self.dims[1..]))
    }
}

/// Returns the shape of a tensor of any dtype; for several variants, the dimensions of their batch.
pub(in crate::kernels) fn shape_of(tensor: &Tensor) -> &Shape {
    Variants::of(tensor).map_or_else(|| tensor.shape(), |variants| &variants.dims)
}

/// Returns a tensor of any dtype in another shape of as many elements. Nothing is copied but handles.
///
/// # Errors
/// `InvalidArgument` for another number of elements.
pub(in crate::kernels) fn reshaped(tensor: Tensor, shape: Shape) -> Result<Tensor> {
    if tensor.dtype() != DType::Variant {
        return Ok(tensor.reshaped(shape)?);
    }
    let items = Variants::of(&tensor).map_or_else(|| vec![tensor.clone()], |variants| variants.items.clone());
    if shape.checked_elements() != Some(items.len()) {
        let text = format!("{} variants cannot have the shape {shape}", items.len());
        return Err(Error::invalid_argument(text));
    }
    Ok(Variants::tensor(items, shape))
}

/// Returns tensors of variants of one shape under a new first dimension.
///
/// Two batches of shape `[3]` give one of `[2, 3]`, and two single variants one of `[2]`. No parts give a
/// batch of shape `[0]`.
///
/// # Errors
/// `InvalidArgument` for parts of different shapes.
pub(in crate::kernels) fn stack(parts: &[&Tensor]) -> Result<Tensor> {
    let mut items = Vec::with_capacity(parts.len());
    let scalar = Shape::scalar();
    let inner = parts.first().map_or(&scalar, |part| shape_of(part));
    for part in parts {
        if shape_of(part) != inner {
            let text = format!("variants of shapes {inner} and {} cannot be stacked", shape_of(part));
            return Err(Error::invalid_argument(text));
        }
        match Variants::of(part) {
            Some(variants) => items.extend_from_slice(&variants.items),
            None => items.push((*part).clone()),
        }
    }
    Ok(Variants::tensor(items, [parts.len()].into_iter().chain(inner.iter().copied()).collect::<Shape>()))
}

/// Returns the rows of a batch of variants, each of one dimension less.
///
/// # Errors
/// `InvalidArgument` for a single variant.
pub(in crate::kernels) fn unstack(tensor: &Tensor) -> Result<Vec<Tensor>> {
    let variants = Variants::of(tensor).ok_or_else(|| Error::invalid_argument("a scalar has no rows"))?;
    memory::try_collected((0..variants.rows().unwrap_or(0)).map(|row| variants.row(row)))
}

/// Returns the values in a tensor of variants, which are all of one type, and its dimensions.
///
/// `what` names the type in the error, in the plural.
///
/// # Errors
/// `InvalidArgument` if one of the variants is of another type.
pub(in crate::kernels) fn parts<'a, V: Any + Send + Sync>(
    tensor: &'a Tensor,
    what: &str,
) -> Result<(Vec<&'a V>, &'a [usize])> {
    let (items, dims): (&[Tensor], &[usize]) = match Variants::of(tensor) {
        Some(variants) => (&variants.items, &variants.dims),
        None => (std::slice::from_ref(tensor), &[]),
    };
    let values: Option<Vec<&V>> = items.iter().map(Tensor::as_handle).collect();
    let wrong = || Error::invalid_argument(format!("input 0 does not hold {what}, but another variant"));
    Ok((values.ok_or_else(wrong)?, dims))
}
