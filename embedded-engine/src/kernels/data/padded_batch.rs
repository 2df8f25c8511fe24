//! `PaddedBatchDataset` (D-62).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `batch_size` (greater than zero), `padded_shapes` (a list of integer vectors, one
//! for each component), `padding_values` (a list of scalars of the components' dtypes), in `V2` also
//! `drop_remainder`.
//!
//! Each component of a batch has the shape `[n, padded shape]`, where a size of -1 stands for the largest of
//! the batch. Elements lie at the beginning of each dimension, and the padding value fills the rest:
//!
//! ```text
//! [1, 2], [3] with padded shape [-1], padding 0:   [[1, 2], [3, 0]]
//! ```
//!
//! # Errors
//!
//! - A padding value of another dtype, or more than one value, or lists of different lengths:
//!   `InvalidArgument` from the initializer.
//! - An element of another rank than the padded shape: `InvalidArgument`.
//! - An element that is larger than a given size: `DataLoss`. The batch is lost, as with every error; the
//!   next one begins after it.
//!
//! Batches, remainders and ends are those of `batch.rs`; there is no fused form. Position: the input's. The
//! cost is two writes for each element of the batch: the padding, then the values over it.

use super::batch::{batches, size};
use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::{Element, Filled};
use super::position::{Reader, Writer};
use crate::kernel::{Environment, integers};
use crate::kernels::Moved;
use crate::kernels::chunks::place;
use session_core::{Code, Error, Result};
use std::sync::Arc;
use tensor::{Shape, Tensor};

/// The op types. Those before about TensorFlow 1.12 have no `drop_remainder` (D-4).
pub(super) const OPS: &[Op] =
    &[Op { types: &["PaddedBatchDataset", "PaddedBatchDatasetV2"], functions: &[], make }];

/// Makes the dataset, after the checks of shapes and padding values.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let size = size(build, "Batch size must be greater than zero.")?;
    let shapes = build.tensors("padded_shapes").iter().map(integers).collect::<Result<Vec<_>>>()?;
    let padding = build.tensors("padding_values");
    for (place, (value, dtype)) in padding.iter().zip(&build.node.types).enumerate() {
        // A tensor of one element passes, whatever its rank is.
        if value.elements() != 1 || value.dtype() != *dtype {
            let text =
                format!("All padding values must be scalars of the component's type; number {place} is not");
            return Err(Error::invalid_argument(text));
        }
    }
    if shapes.len() != padding.len() {
        let text = format!("{} shapes and {} padding values", shapes.len(), padding.len());
        return Err(Error::invalid_argument(text));
    }
    let drop_remainder = build.bool_or("drop_remainder", false)?;
    let rules = Arc::new(Rules { size, drop_remainder, shapes, padding });
    Ok(Arc::new(PaddedBatch { input: build.input()?, rules }))
}

/// The inputs of the operation, shared by its iterators.
struct Rules {
    /// The number of elements of a batch.
    size: u64,
    /// True if a last batch of fewer elements is left out.
    drop_remainder: bool,
    /// The shape to pad each component to; a negative size stands for the largest in the batch.
    shapes: Vec<Vec<i64>>,
    /// The padding value of each component, a tensor with one element.
    padding: Element,
}

/// The dataset.
struct PaddedBatch {
    /// The dataset whose elements are batched.
    input: Shared,
    /// The sizes and padding values.
    rules: Arc<Rules>,
}

impl Dataset for PaddedBatch {
    fn name(&self) -> &'static str {
        "PaddedBatch"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        batches(self.input.cardinality(), self.rules.size, self.rules.drop_remainder)
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(PaddedBatches { input: self.input.iterate(run)?, rules: self.rules.clone() }))
    }
}

/// An iterator.
struct PaddedBatches {
    /// The iterator over the input.
    input: Source,
    /// The sizes and padding values.
    rules: Arc<Rules>,
}

impl Iterate for PaddedBatches {
    /// Collects elements as [`batch`](super::batch) does; ranks and sizes are compared when all of them are
    /// there.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let mut elements = Vec::new();
        while (elements.len() as u64) < self.rules.size {
            run.check_at(elements.len() as u64)?;
            match self.input.next(run)? {
                Some(element) => elements.push(element),
                None if elements.is_empty() || self.rules.drop_remainder => return Ok(None),
                None => break,
            }
        }
        self.rules.batch(&elements, run.environment).map(Some)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.input.restore(from, run)
    }
}

impl Rules {
    /// Returns the elements, at least one, as one padded batch.
    fn batch(&self, elements: &[Element], environment: &Environment) -> Result<Element> {
        let component = |component: usize| {
            let parts: Vec<&Tensor> = elements.iter().filter_map(|element| element.get(component)).collect();
            let missing =
                || Error::invalid_argument(format!("an element has no component {component} to pad"));
            let first = *parts.first().ok_or_else(missing)?;
            let inner = self.inner(component, &parts)?;
            let shape: Shape = [parts.len()].into_iter().chain(inner.iter().copied()).collect();
            // The sizes are numbers of the graph, so they need not be those of any tensor.
            let size = Shape::from(inner.as_slice()).checked_elements().ok_or_else(|| {
                let text =
                    format!("no tensor is as large as the padded shape {inner:?} of component {component}");
                Error::new(Code::ResourceExhausted, text)
            })?;
            let (dtype, padding) = (first.dtype(), &self.padding[component]);
            for_dtype!(moved dtype, T => <T as Filled>::filled(&environment.buffers, dtype, shape, |target| {
                let padding = <T as Moved>::elements(padding)?.first().cloned();
                // Memory of the pool holds older values, so all of it is filled.
                target.fill(padding.unwrap_or_default());
                for (number, part) in parts.iter().enumerate() {
                    let target = &mut target[number * size..(number + 1) * size];
                    // Runs of the innermost dimension are contiguous in both, so whole runs are copied.
                    place(<T as Moved>::elements(part)?, part.shape().dims(), &inner, &mut |at, run| {
                        target[at..at + run.len()].clone_from_slice(run);
                    });
                }
                Ok(())
            }))
        };
        (0..self.shapes.len()).map(component).collect()
    }

    /// Returns the shape that the parts of a component are padded to: the given sizes, and the largest ones
    /// where a size is negative.
    fn inner(&self, component: usize, parts: &[&Tensor]) -> Result<Vec<usize>> {
        let wanted = &self.shapes[component];
        if let Some(part) = parts.iter().find(|part| part.shape().rank() != wanted.len()) {
            let text = format!(
                "All elements in a batch must have the same rank as the padded shape for component{component}: expected rank \
                 {} but got element with rank {}",
                wanted.len(),
                part.shape().rank()
            );
            return Err(Error::invalid_argument(text));
        }
        wanted
            .iter()
            .enumerate()
            .map(|(axis, &size)| {
                let longest = parts.iter().map(|part| part.shape().dims()[axis]).max().unwrap_or(0);
                match usize::try_from(size) {
                    Err(_) => Ok(longest),
                    Ok(size) if size >= longest => Ok(size),
                    Ok(size) => {
                        let text = format!(
                            "Attempted to pad to a smaller size than the input element. Component {component} has size \
                             {longest} in dimension {axis} where {size} was requested."
                        );
                        Err(Error::new(Code::DataLoss, text))
                    }
                }
            })
            .collect()
    }
}
