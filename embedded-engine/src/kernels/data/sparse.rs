//! Sparse tensors as components: one value in an element, split again after the iterator (D-8).

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
    pub(super) indices: Tensor,
    pub(super) values: Tensor,
    pub(super) shape: Vec<i64>,
}

/// Dense rows as one sparse tensor, each row filled up to a common shape.
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

/// One sparse tensor as a value of the graph.
pub(super) fn single(sparse: Sparse) -> Tensor {
    Tensor::from_handle(DType::Variant, Arc::new(sparse))
}

/// The sparse tensor of three inputs.
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

    /// The tensors of one less dimension, in the order of the first one.
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
            let coordinates =
                (first..next).flat_map(|place| indices[place * rank + 1..(place + 1) * rank].to_vec());
            rows.push(Sparse {
                indices: Tensor::from_vec(coordinates.collect::<Vec<i64>>(), [next - first, rank - 1])?,
                values: self.values.rows(first, next)?,
                shape: shape.to_vec(),
            });
        }
        if next < all {
            let text = format!(
                "the rows of a sparse tensor are out of order, or outside of its {count}, at value {next}"
            );
            return Err(Error::invalid_argument(text));
        }
        Ok(rows)
    }
}

/// All tensors of a batch as one with the dimensions of the batch in front.
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

fn slices(build: &Build<'_, '_>) -> Result<Shared> {
    let sparse = Sparse {
        indices: build.tensor("indices")?,
        values: build.tensor("values")?,
        shape: integers(&build.tensor("dense_shape")?)?,
    };
    sparse.check()?;
    Ok(Arc::new(Slices(sparse.rows()?.into())))
}

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
