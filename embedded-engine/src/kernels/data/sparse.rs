//! Sparse tensors as components: one value in an element, split again after the iterator (D-8).
//!
//! # Semantics
//!
//! - `SerializeSparse`: inputs `sparse_indices` `[n, rank]`, `sparse_values` `[n]`, `sparse_shape` `[rank]`.
//!   Outputs the sparse tensor as one variant.
//! - `SerializeManySparse`: the same inputs; outputs one variant for each entry of the first dimension.
//!   Values must be sorted by that dimension.
//! - `DeserializeSparse`: input `serialized_sparse`, one variant or a tensor of them; attribute `dtype`.
//!   Outputs indices, values and shape; the dimensions of the input come in front, and sizes are the largest
//!   of all parts.
//! - `SparseTensorSliceDataset`: inputs `indices`, `values`, `dense_shape`. Yields indices, values and shape
//!   of each entry of the first dimension, empty ones included. Random access; position: the number of the
//!   next entry.
//!
//! The attributes `out_type` and `Tserialized` must be `variant`. Their string form passes sparse tensors
//! between programs, and is `Unimplemented` here. Shapes that do not fit each other, and another dtype than
//! requested, are `InvalidArgument`. Coordinates are not compared with the shape.

use super::build::{Build, Op};
use super::dataset::{Dataset, Run, Shared, Source};
use super::element::Element;
use super::tensors::ByNumber;
use crate::kernel::{KernelContext, NodeSpec, integers};
use crate::kernels::math::boxed;
use crate::kernels::variant_batch::{self, Variants};
use crate::registry::Registry;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor, memory};

pub(super) const OPS: &[Op] = &[Op { types: &["SparseTensorSliceDataset"], functions: &[], make: slices }];

/// Registers the op types that are not datasets. Serialized sparse tensors are refused when the kernel is
/// made, before any step.
pub(super) fn register(registry: &mut Registry) {
    registry.add("SerializeSparse", |spec| {
        only_variants(spec, "out_type")?;
        Ok(boxed(|context| {
            let sparse = given(context)?;
            context.set(0, single(sparse));
            Ok(())
        }))
    });
    registry.add("SerializeManySparse", |spec| {
        only_variants(spec, "out_type")?;
        Ok(boxed(|context| {
            let items: Vec<Tensor> = given(context)?.rows()?.into_iter().map(single).collect();
            let dims = [items.len()];
            context.set(0, Variants::tensor(items, dims));
            Ok(())
        }))
    });
    registry.add("DeserializeSparse", |spec| {
        only_variants(spec, "Tserialized")?;
        let dtype = spec.dtype("dtype")?;
        Ok(boxed(move |context| {
            let (items, dims) = variant_batch::parts::<Sparse>(context.input(0), "sparse tensors")?;
            let Sparse { indices, values, shape } = joined(&items, dims, dtype)?;
            if values.dtype() != dtype {
                let text = format!(
                    "Requested SparseTensor of type {dtype} but SparseTensor is of type {}",
                    values.dtype()
                );
                return Err(Error::invalid_argument(text));
            }
            context.set(0, indices);
            context.set(1, values);
            context.set(2, Tensor::from(shape));
            Ok(())
        }))
    });
}

/// Refuses sparse tensors in serialized form, which only serves to pass them between programs.
fn only_variants(spec: &NodeSpec<'_>, attr: &str) -> Result<()> {
    match spec.dtype(attr)? {
        DType::Variant => Ok(()),
        other => Err(crate::dispatch::unsupported(other)),
    }
}

/// A sparse tensor: coordinates, one row for each value; values; the dense shape.
#[derive(Clone)]
pub(super) struct Sparse {
    /// The coordinates, `int64` of shape `[values, rank]`.
    pub(super) indices: Tensor,
    /// The values, in the order of the coordinates.
    pub(super) values: Tensor,
    /// The dense shape; its length is the rank.
    pub(super) shape: Vec<i64>,
}

/// Returns dense rows as one sparse tensor, each row filled up to a common shape, as one variant.
///
/// All elements of the rows become values, zeros too. A negative size of `row_shape` stands for the largest
/// of the rows.
///
/// ```text
/// [5, 6], [7] with row_shape [-1]:   indices [0 0], [0 1], [1 0]; values 5 6 7; shape [2, 2]
/// ```
///
/// # Errors
///
/// `InvalidArgument` for a row of another rank, `DataLoss` for one that is larger than a given size.
pub(super) fn of_rows(rows: &[Tensor], row_shape: &[i64]) -> Result<Tensor> {
    let mut shape = row_shape.to_vec();
    let mut indices: Vec<i64> = Vec::new();
    let mut values = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let dims = row.shape().dims();
        if dims.len() != row_shape.len() {
            let text = format!(
                "All elements in a batch must have the same rank as `row_shape` ({}): one has shape {}",
                row_shape.len(),
                row.shape()
            );
            return Err(Error::invalid_argument(text));
        }
        for ((size, wanted), &dim) in shape.iter_mut().zip(row_shape).zip(dims) {
            let dim = dim as i64;
            if *wanted >= 0 && dim > *wanted {
                let text = format!(
                    "Input element had shape ({}) that is larger than the row shape ({row_shape:?}).",
                    row.shape()
                );
                return Err(Error::new(session_core::Code::DataLoss, text));
            }
            if *wanted < 0 {
                *size = dim.max(*size);
            }
        }
        let elements = row.elements();
        // Checked before the loop: coordinates take more memory than the values.
        memory::grow(&mut indices, elements.saturating_mul(dims.len() + 1))?;
        for place in 0..elements {
            indices.push(number as i64);
            let (first, mut rest) = (indices.len(), place);
            indices.resize(first + dims.len(), 0);
            for axis in (0..dims.len()).rev() {
                indices[first + axis] = (rest % dims[axis]) as i64;
                rest /= dims[axis];
            }
        }
        values.push(row.clone().reshaped([elements])?);
    }
    let values = Tensor::concat_rows(&values)?;
    let indices = Tensor::from_vec(indices, [values.elements(), row_shape.len() + 1])?;
    shape.insert(0, rows.len() as i64);
    Ok(single(Sparse { indices, values, shape: shape.into_iter().map(|size| size.max(0)).collect() }))
}

/// Returns one sparse tensor as a value of the graph.
pub(super) fn single(sparse: Sparse) -> Tensor {
    Tensor::from_handle(DType::Variant, Arc::new(sparse))
}

/// Returns the sparse tensor of the first three inputs, after a check of its shapes.
fn given(context: &KernelContext<'_>) -> Result<Sparse> {
    let sparse = Sparse {
        indices: context.input(0).clone(),
        values: context.input(1).clone(),
        shape: context.ints(2)?,
    };
    sparse.check()?;
    Ok(sparse)
}

impl Sparse {
    /// Checks that there is one row of coordinates for each value, as long as the shape. The coordinates
    /// themselves are not compared with the shape.
    fn check(&self) -> Result<()> {
        let (count, rank) = (self.values.elements(), self.shape.len());
        if self.values.shape().rank() != 1 || self.indices.shape()[..] != [count, rank] {
            let text = format!(
                "indices of shape {} for values of shape {} of a sparse tensor of rank {rank}",
                self.indices.shape(),
                self.values.shape()
            );
            return Err(Error::invalid_argument(text));
        }
        Ok(())
    }

    /// Returns the tensors of one less dimension, in the order of the first one. Values are shared,
    /// coordinates copied.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a scalar, a negative size, or values that are not sorted by the first dimension.
    fn rows(&self) -> Result<Vec<Sparse>> {
        let indices = self.indices.as_slice::<i64>()?;
        let rank = self.shape.len();
        let Some((&count, shape)) = self.shape.split_first() else {
            return Err(Error::invalid_argument("a sparse scalar has no slices"));
        };
        let count = usize::try_from(count)
            .map_err(|_| Error::invalid_argument("a sparse tensor of negative size"))?;
        let (mut rows, mut next) = (Vec::new(), 0);
        memory::grow(&mut rows, count)?;
        let all = self.values.elements();
        for row in 0..count {
            let first = next;
            while next < all && indices[next * rank] == row as i64 {
                next += 1;
            }
            // The first coordinate is the number of the row, which the row itself does not have.
            let coordinates =
                (first..next).flat_map(|place| indices[place * rank + 1..(place + 1) * rank].to_vec());
            rows.push(Sparse {
                indices: Tensor::from_vec(coordinates.collect::<Vec<i64>>(), [next - first, rank - 1])?,
                values: self.values.rows(first, next)?,
                shape: shape.to_vec(),
            });
        }
        // Sorted values are all consumed by the loop; any other order leaves some.
        if next < all {
            let text = format!(
                "the rows of a sparse tensor are out of order, or outside of its {count}, at value {next}"
            );
            return Err(Error::invalid_argument(text));
        }
        Ok(rows)
    }
}

/// Returns all tensors of a batch as one with the dimensions of the batch in front. `items` are the batch's
/// elements in row-major order of `dims`; `dtype` is that of the values of a batch without elements.
///
/// ```text
/// values at [0], [2] of shape [3]  and  [1] of shape [4]  in a batch of [2]:   [0 0], [0 2], [1 1] of shape [2, 4]
/// ```
///
/// # Errors
///
/// `InvalidArgument` for different ranks.
fn joined(items: &[&Sparse], dims: &[usize], dtype: DType) -> Result<Sparse> {
    if let ([one], []) = (items, dims) {
        return Ok((*one).clone());
    }
    let depth = dims.len();
    let rank = items.first().map_or(0, |item| item.shape.len());
    let mut shape: Vec<i64> = dims.iter().map(|&dim| dim as i64).collect();
    shape.resize(depth + rank, 0);
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for (number, item) in items.iter().enumerate() {
        if item.shape.len() != rank {
            let text = format!("sparse tensors of rank {rank} and {} in one batch", item.shape.len());
            return Err(Error::invalid_argument(text));
        }
        for (size, &other) in shape[depth..].iter_mut().zip(&item.shape) {
            *size = other.max(*size);
        }
        // The coordinates of the item within the batch, from its number.
        let (mut prefix, mut rest) = (vec![0i64; depth], number);
        for axis in (0..depth).rev() {
            prefix[axis] = (rest % dims[axis]) as i64;
            rest /= dims[axis];
        }
        let coordinates = item.indices.as_slice::<i64>()?;
        for place in 0..item.values.elements() {
            indices.extend_from_slice(&prefix);
            indices.extend_from_slice(&coordinates[place * rank..(place + 1) * rank]);
        }
        values.push(item.values.clone());
    }
    let values = if values.is_empty() { Tensor::zeros(dtype, [0])? } else { Tensor::concat_rows(&values)? };
    let indices = Tensor::from_vec(indices, [values.elements(), depth + rank])?;
    Ok(Sparse { indices, values, shape })
}

/// Makes the dataset of `SparseTensorSliceDataset`; all entries are cut out at once.
fn slices(build: &Build<'_, '_>) -> Result<Shared> {
    let sparse = Sparse {
        indices: build.tensor("indices")?,
        values: build.tensor("values")?,
        shape: integers(&build.tensor("dense_shape")?)?,
    };
    sparse.check()?;
    Ok(Arc::new(Slices(sparse.rows()?.into())))
}

/// The dataset: the entries of the first dimension.
#[derive(Clone)]
struct Slices(Arc<[Sparse]>);

impl Dataset for Slices {
    fn name(&self) -> &'static str {
        "SparseTensorSlice"
    }

    fn cardinality(&self) -> i64 {
        self.0.len() as i64
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        Ok(Box::new(ByNumber { dataset: self.clone(), next: 0 }))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn row(&self, _: &Run<'_>, number: u64) -> Result<Element> {
        let row = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        let Sparse { indices, values, shape } =
            row.cloned().ok_or_else(|| Error::invalid_argument("there is no such slice"))?;
        Ok(vec![indices, values, Tensor::from(shape)])
    }
}
