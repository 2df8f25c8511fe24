//! Sparse tensors kept aside while their numbers go through a queue (S-267).
//!
//! A queue stacks dense elements of one shape. A sparse tensor has no fixed shape, so a map keeps it under a
//! number, the number goes through the queue as an `int64` scalar, and a batch of numbers becomes one sparse
//! tensor of one more dimension:
//!
//! ```text
//!  sparse ──Add──► 7 ──enqueue──► queue ──dequeue_many──► [7, 8] ──TakeMany──► sparse of shape [2, ...]
//! ```
//!
//! # Semantics
//!
//! Each op has the attributes `container` and `shared_name`, which name the map; without the latter the
//! operation's name does.
//!
//! - `AddSparseToTensorsMap`: inputs `sparse_indices` `[n, rank]`, `sparse_values` `[n]`, `sparse_shape`
//!   `[rank]`. Keeps the sparse tensor, and outputs its number, an `int64` scalar.
//! - `AddManySparseToTensorsMap`: the same inputs, of rank 2 at least. Keeps each entry of the first
//!   dimension, and outputs their numbers. Coordinates must lie inside the shape and be in ascending
//!   order, each once.
//! - `TakeManySparseFromTensorsMap`: input `sparse_handles`, a vector of at least one number; attribute
//!   `dtype`. Removes the sparse tensors and outputs them as one, with the place in the vector as the first
//!   dimension; sizes are the largest of all parts.
//!
//! # Errors
//!
//! A number that is not in the map, or twice in the vector, another dtype, and different ranks are
//! `InvalidArgument`, and nothing is removed then. More entries of a first dimension than memory can hold are
//! `ResourceExhausted`.
//!
//! Numbers count from 0 in each map and are not used again. What is never taken stays until the session ends;
//! nothing is part of checkpoints.

use crate::kernel::KernelContext;
use crate::kernels::array::arrange;
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use rustc_hash::FxHashSet;
use session_core::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tensor::{DType, Shape, Tensor, memory};

/// Registers the op types. None of them waits: the numbers come through a queue that does.
pub(super) fn register(registry: &mut Registry) {
    registry.add("AddSparseToTensorsMap", |spec| {
        let map = SparseMap::of(spec)?;
        Ok(boxed(move |context| {
            let whole = Sparse::given(context)?;
            let handle = map.add([whole])[0];
            context.set(0, Tensor::scalar(handle));
            Ok(())
        }))
    });
    registry.add("AddManySparseToTensorsMap", |spec| {
        let map = SparseMap::of(spec)?;
        Ok(boxed(move |context| {
            let rows = Sparse::given(context)?.into_rows(context)?;
            let handles = map.add_rows(rows);
            context.set(0, Tensor::from(handles));
            Ok(())
        }))
    });
    registry.add("TakeManySparseFromTensorsMap", |spec| {
        let (map, dtype) = (SparseMap::of(spec)?, spec.dtype("dtype")?);
        Ok(boxed(move |context| {
            let shape = context.input(0).shape();
            if shape.rank() != 1 {
                let text = format!("sparse_handles should be a vector but received shape {shape}");
                return Err(Error::invalid_argument(text));
            }
            let handles = context.ints(0)?;
            if handles.is_empty() {
                let text = "sparse_handles must name at least 1 sparse tensor but has 0 entries";
                return Err(Error::invalid_argument(text));
            }
            let parts = map.take(&handles, dtype)?;
            deliver(context, &parts)
        }))
    });
}

/// One sparse tensor. Tensors are shared with the step that added it.
#[derive(Clone)]
struct Sparse {
    /// One row of coordinates for each value.
    indices: Tensor,
    /// The values, in the order of the coordinates.
    values: Tensor,
    /// The dense shape.
    dims: Arc<[i64]>,
}

impl Sparse {
    /// Returns the sparse tensor in the first three inputs, after a check of ranks and sizes; coordinates are
    /// not checked.
    fn given(context: &KernelContext<'_>) -> Result<Sparse> {
        let [indices, values, shape] = [0, 1, 2].map(|index| context.input(index));
        let wrong = |text: String| Err(Error::invalid_argument(text));
        if indices.shape().rank() != 2 {
            return wrong(format!("Input indices should be a matrix but received shape {}", indices.shape()));
        }
        if values.shape().rank() != 1 {
            return wrong(format!("Input values should be a vector but received shape {}", values.shape()));
        }
        if shape.shape().rank() != 1 {
            return wrong(format!("Input shape should be a vector but received shape {}", shape.shape()));
        }
        let ([rows, rank], [count]) = ([indices.shape()[0], indices.shape()[1]], [values.shape()[0]]);
        if rows != count {
            return wrong(format!("{rows} rows of indices for {count} values"));
        }
        let dims = context.ints(2)?;
        if dims.len() != rank {
            return wrong(format!("indices of rank {rank} for a shape of rank {}", dims.len()));
        }
        Ok(Sparse { indices: indices.clone(), values: values.clone(), dims: dims.into() })
    }

    /// Returns one sparse tensor for each entry of the first dimension, without that dimension. Entries
    /// without values are one empty tensor, so that each costs a few numbers.
    fn into_rows(self, context: &KernelContext<'_>) -> Result<Vec<Sparse>> {
        let rank = self.dims.len();
        if rank <= 1 {
            let text = format!("Rank of input SparseTensor should be > 1, but saw rank: {rank}");
            return Err(Error::invalid_argument(text));
        }
        let indices = self.indices.as_slice::<i64>()?;
        let count = usize::try_from(self.dims[0])
            .map_err(|_| Error::invalid_argument(format!("a shape with negative sizes: {:?}", self.dims)))?;
        // Rows without values have no entry, however many the shape claims.
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, row) in indices.chunks_exact(rank).enumerate() {
            self.check_row(place, indices)?;
            places.entry(row[0] as usize).or_default().push(place);
        }
        // The shape is a claim of the input; without this check it would decide about memory. An entry is in this
        // list, in another one while it gets its number, and in the map.
        memory::check(count.saturating_mul(3 * size_of::<(usize, Sparse)>()))?;
        let dims: Arc<[i64]> = self.dims[1..].into();
        let one = |chosen: &[usize]| -> Result<Sparse> {
            let part: Vec<i64> = chosen
                .iter()
                .flat_map(|&place| &indices[place * rank + 1..(place + 1) * rank])
                .copied()
                .collect();
            let values = arrange(
                context,
                &[&self.values],
                Shape::from([chosen.len()]),
                1,
                &|value| Some((0, chosen[value])),
                None,
            )?;
            let indices = Tensor::from_vec(part, [chosen.len(), rank - 1])?;
            Ok(Sparse { indices, values, dims: dims.clone() })
        };
        let (empty, mut rows) = (one(&[])?, memory::reserve(count)?);
        for row in 0..count {
            if row.is_multiple_of(1024) {
                context.limits.check()?;
            }
            rows.push(places.get(&row).map_or_else(|| Ok(empty.clone()), |chosen| one(chosen))?);
        }
        Ok(rows)
    }

    /// Checks that the coordinates of a value lie within the shape and after those of the value before it.
    fn check_row(&self, place: usize, indices: &[i64]) -> Result<()> {
        let rank = self.dims.len();
        let row = &indices[place * rank..(place + 1) * rank];
        if row.iter().zip(self.dims.iter()).any(|(&index, &size)| index < 0 || index >= size) {
            let text =
                format!("indices[{place}] = {row:?} is out of bounds: need 0 <= index < {:?}", self.dims);
            return Err(Error::invalid_argument(text));
        }
        let before = place.checked_sub(1).map(|before| &indices[before * rank..(before + 1) * rank]);
        if before.is_some_and(|before| before >= row) {
            let what = if before == Some(row) { "is repeated" } else { "is out of order" };
            return Err(Error::invalid_argument(format!("indices[{place}] = {row:?} {what}")));
        }
        Ok(())
    }
}

/// The map that is kept under one name.
struct SparseMap {
    /// The name, for messages.
    name: String,
    /// Guards the table; nothing is computed under it.
    kept: Mutex<Kept>,
}

/// The sparse tensors of a map.
#[derive(Default)]
struct Kept {
    /// The number of the next sparse tensor.
    next: i64,
    /// The sparse tensors that were not taken, by number.
    by_handle: BTreeMap<i64, Sparse>,
}

impl SparseMap {
    /// Returns the map under the name given by the operation or its attribute, made by whichever operation
    /// comes first.
    fn of(spec: &crate::kernel::NodeSpec<'_>) -> Result<Arc<SparseMap>> {
        let name = resource_name(spec);
        let container = spec.str("container").unwrap_or_default();
        let make = || SparseMap { name: name.to_owned(), kept: Mutex::default() };
        let handle = spec.resources.handle("sparse tensors", container, name, make);
        handle
            .to_handle()
            .ok_or_else(|| Error::invalid_argument(format!("'{name}' is not a map of sparse tensors")))
    }

    /// Locks the table for a moment.
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds sparse tensors, and returns their numbers in order.
    fn add(&self, parts: impl IntoIterator<Item = Sparse>) -> Vec<i64> {
        let mut kept = self.lock();
        let mut add = |part: Sparse| {
            let handle = kept.next;
            kept.next += 1;
            kept.by_handle.insert(handle, part);
            handle
        };
        parts.into_iter().map(&mut add).collect()
    }

    /// Adds several sparse tensors, and returns their numbers in the order of the rows. Those without values
    /// get their numbers after the others, as in TensorFlow: of three rows whose second one is empty, the
    /// numbers are 0, 2, 1.
    fn add_rows(&self, rows: Vec<Sparse>) -> Vec<i64> {
        let mut handles = vec![0; rows.len()];
        let (empty, filled): (Vec<_>, Vec<_>) =
            rows.into_iter().enumerate().partition(|(_, row)| row.values.elements() == 0);
        for rows in [filled, empty] {
            let (places, rows): (Vec<usize>, Vec<Sparse>) = rows.into_iter().unzip();
            for (place, handle) in places.into_iter().zip(self.add(rows)) {
                handles[place] = handle;
            }
        }
        handles
    }

    /// Removes and returns all of these sparse tensors, or none: the first one that is missing, of another
    /// dtype or of another rank is an error, and the map stays as it was.
    fn take(&self, handles: &[i64], dtype: DType) -> Result<Vec<Sparse>> {
        let mut kept = self.lock();
        // All of them are checked before the first one is removed.
        let (mut rank, mut seen) = (None, FxHashSet::default());
        for (place, handle) in handles.iter().enumerate() {
            let found = kept.by_handle.get(handle).filter(|_| seen.insert(handle));
            let found = found.ok_or_else(|| {
                Error::invalid_argument(format!(
                    "Unable to find SparseTensor: {handle} in map: {}",
                    self.name
                ))
            })?;
            if found.values.dtype() != dtype {
                let text = format!(
                    "Requested SparseTensor of type {dtype} but SparseTensor[{place}].values.dtype() == {}",
                    found.values.dtype()
                );
                return Err(Error::invalid_argument(text));
            }
            let own = found.dims.len();
            let before = *rank.get_or_insert(own);
            if own != before {
                let text = format!(
                    "Inconsistent rank across SparseTensors: rank prior to SparseTensor[{place}] was: {before} but \
                     rank of SparseTensor[{place}] is: {own}"
                );
                return Err(Error::invalid_argument(text));
            }
        }
        Ok(handles.iter().filter_map(|handle| kept.by_handle.remove(handle)).collect())
    }
}

/// Sets the outputs to one sparse tensor of one more dimension, as large as its largest part. `parts` have
/// one rank and dtype.
fn deliver(context: &mut KernelContext<'_>, parts: &[Sparse]) -> Result<()> {
    let rank = parts.first().map_or(0, |part| part.dims.len());
    let mut dims = vec![0i64; rank];
    let (mut indices, mut places) = (Vec::new(), Vec::new());
    for (number, part) in parts.iter().enumerate() {
        dims.iter_mut().zip(part.dims.iter()).for_each(|(size, own)| *size = (*size).max(*own));
        let own = part.indices.as_slice::<i64>()?;
        for value in 0..part.values.elements() {
            indices.push(number as i64);
            indices.extend_from_slice(&own[value * rank..(value + 1) * rank]);
            places.push((number, value));
        }
    }
    let sources: Vec<&Tensor> = parts.iter().map(|part| &part.values).collect();
    let count = places.len();
    let values = arrange(context, &sources, Shape::from([count]), 1, &|value| Some(places[value]), None)?;
    context.set(0, Tensor::from_vec(indices, [count, rank + 1])?);
    context.set(1, values);
    dims.insert(0, parts.len() as i64);
    context.set(2, Tensor::from(dims));
    Ok(())
}
