//! The result of batching.

use super::elements::{BatchTensor, BatchTensors};
use ops::parsing::SparseTensor;
use session_core::{DType, Error, Fetch, FetchList, FetchValues, Graph, Output, Result};
use std::ops::{Deref, Index};
use tensor::Tensor;

/// The tensors of a batch, in the order of an element's; by name, where they were given by name (S-262).
///
/// It can be handed on as it is: `batch(&graph, &smaller, ..)` batches its tensors again, sparse ones included. As a list it
/// holds outputs. Where a tensor is sparse there is no such output: [`sparse`](Batch::sparse) gives the tensor, and using
/// the place of the list is a build error.
#[derive(Clone, Debug)]
pub struct Batch {
    parts: Vec<BatchTensor>,
    /// One for each part.
    outputs: Vec<Output>,
    names: Vec<String>,
    scope: Graph,
}

impl Batch {
    pub(super) fn new(parts: Vec<BatchTensor>, names: Vec<String>, scope: Graph) -> Batch {
        // An output for each part, also for sparse ones, so that the places of the list are those of the
        // element.
        let output = |(place, part): (usize, &BatchTensor)| match part {
            BatchTensor::Dense(value) => value.to_output(&scope),
            BatchTensor::Sparse(sparse) => {
                let text = format!(
                    "tensor {place} of the batch is sparse: take it with sparse({place}), or pass on the batch itself"
                );
                scope.invalid_output("Batch", sparse.values.dtype(), Error::type_mismatch(text))
            }
        };
        let outputs = parts.iter().enumerate().map(output).collect();
        Batch { parts, outputs, names, scope }
    }

    /// Returns the tensor of an element that has only one. For others it is a build error.
    #[must_use]
    #[track_caller]
    pub fn output(&self) -> Output {
        match self.outputs.as_slice() {
            [output] => output.clone(),
            others => self.missing(format!("the batch has {} tensors, not one", others.len())),
        }
    }

    /// Returns the tensor of a name. That there is none is a build error.
    #[must_use]
    #[track_caller]
    pub fn get(&self, name: &str) -> Output {
        match self.names.iter().position(|known| known == name) {
            Some(place) => self.outputs[place].clone(),
            None => self.missing(format!("the batch has no tensor '{name}' but {:?}", self.names)),
        }
    }

    /// Returns the sparse tensor in this place, counted over all tensors of an element (S-267). That there is
    /// none is a build error.
    #[must_use]
    #[track_caller]
    pub fn sparse(&self, place: usize) -> SparseTensor {
        match self.parts.get(place) {
            Some(BatchTensor::Sparse(sparse)) => sparse.clone(),
            _ => {
                let text =
                    format!("the batch has no sparse tensor in place {place} of {}", self.outputs.len());
                let output = self.missing(text);
                SparseTensor { indices: output.clone(), values: output.clone(), dense_shape: output }
            }
        }
    }

    /// Returns the sparse tensor of a name. That there is none is a build error.
    #[must_use]
    #[track_caller]
    pub fn get_sparse(&self, name: &str) -> SparseTensor {
        // No place has this number, so an unknown name gives the same error as an unknown place.
        self.sparse(self.names.iter().position(|known| known == name).unwrap_or(usize::MAX))
    }

    /// Returns the names, sorted; none when tensors were given as a list.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns an output that carries an error, which the graph reports.
    #[track_caller]
    fn missing(&self, text: String) -> Output {
        let error = Error::value(text);
        self.scope.add_error(error.clone());
        self.scope.invalid_output("Batch", DType::Float32, error)
    }
}

impl Deref for Batch {
    type Target = [Output];

    fn deref(&self) -> &[Output] {
        &self.outputs
    }
}

impl From<Batch> for BatchTensors {
    fn from(batch: Batch) -> BatchTensors {
        if batch.names.is_empty() {
            BatchTensors::Listed(batch.parts)
        } else {
            BatchTensors::Named(batch.names.into_iter().zip(batch.parts).collect())
        }
    }
}

impl From<&Batch> for BatchTensors {
    fn from(batch: &Batch) -> BatchTensors {
        batch.clone().into()
    }
}

/// Fetched as the values of all its tensors.
impl Fetch for Batch {
    type Value = BatchValues;

    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.parts.iter().zip(&self.outputs).try_for_each(|(part, output)| match part {
            BatchTensor::Dense(_) => output.expand(list),
            BatchTensor::Sparse(sparse) => leaves(sparse).expand(list),
        })
    }

    fn collect(&self, values: &mut FetchValues<'_>) -> BatchValues {
        let value = |(part, output): (&BatchTensor, &Output)| match part {
            BatchTensor::Dense(_) => BatchValue::Dense(output.collect(values)),
            BatchTensor::Sparse(sparse) => {
                let [indices, values, dense_shape] = leaves(sparse).collect(values);
                BatchValue::Sparse { indices, values, dense_shape }
            }
        };
        BatchValues(self.parts.iter().zip(&self.outputs).map(value).collect())
    }
}

fn leaves(sparse: &SparseTensor) -> [&Output; 3] {
    [&sparse.indices, &sparse.values, &sparse.dense_shape]
}

/// The values of a [`Batch`] that was fetched: a list of them, of which dense ones can be had by index.
///
/// ```
/// use queue_runner::input::{Batch, BatchValue};
/// use session_core::{Result, Session, SessionExt, Tensor};
///
/// /// Takes the next batch of labels and words, the second of which are sparse.
/// fn next(session: &dyn Session, batch: &Batch) -> Result<(Tensor, Option<BatchValue>)> {
///     let values = session.run(batch, ())?;
///     Ok((values[0].clone(), values.get(1).cloned()))
/// }
/// # let _ = next;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchValues(Vec<BatchValue>);

/// The value of one tensor of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchValue {
    /// The component of a dense tensor.
    Dense(Tensor),
    /// The component of a sparse tensor. See [`SparseTensor`].
    Sparse {
        /// One row for each value.
        indices: Tensor,
        /// The values.
        values: Tensor,
        /// The shape of the whole.
        dense_shape: Tensor,
    },
}

impl BatchValue {
    /// Returns the tensor, if it is dense.
    #[must_use]
    pub fn as_dense(&self) -> Option<&Tensor> {
        match self {
            BatchValue::Dense(tensor) => Some(tensor),
            BatchValue::Sparse { .. } => None,
        }
    }
}

impl Deref for BatchValues {
    type Target = [BatchValue];

    fn deref(&self) -> &[BatchValue] {
        &self.0
    }
}

impl Index<usize> for BatchValues {
    type Output = Tensor;

    /// Returns the value of a dense tensor.
    ///
    /// # Panics
    /// When the batch has fewer tensors, or a sparse one in this place; [`get`](slice::get) does not panic.
    fn index(&self, place: usize) -> &Tensor {
        match &self.0[place] {
            BatchValue::Dense(tensor) => tensor,
            BatchValue::Sparse { .. } => panic!("tensor {place} of the batch is sparse: use get({place})"),
        }
    }
}
