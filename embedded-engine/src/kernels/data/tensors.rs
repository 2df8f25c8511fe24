//! `TensorDataset`, `TensorSliceDataset`, `ListDataset`; elements that were collected.
//!
//! # Semantics
//!
//! - `TensorDataset`: input `components`, a list. One element with these components.
//! - `TensorSliceDataset`: input `components`, a list of tensors of equal first dimension, else
//!   `InvalidArgument` from the initializer, as for a scalar. Element `n` has row `n` of each, which shares
//!   the tensor's memory.
//! - `ListDataset`: input `tensors`, the components of all elements one after another; there are as many
//!   components as `output_types`.
//!
//! The values are those of this run of the operation (D-6). Cardinality: known. Random access. Position: the
//! number of the next element; the values are not part of it, since the operation runs again.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::{self, Element};
use super::position::{Reader, Writer};
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

pub(super) const OPS: &[Op] = &[
    Op { types: &["TensorDataset"], functions: &[], make: tensors },
    Op { types: &["TensorSliceDataset"], functions: &[], make: slices },
    Op { types: &["ListDataset"], functions: &[], make: list },
];

/// Makes the dataset of one element.
fn tensors(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(Rows { name: "Tensor", elements: vec![build.tensors("components")].into() }))
}

/// Makes the dataset of the rows of tensors.
fn slices(build: &Build<'_, '_>) -> Result<Shared> {
    let components = build.tensors("components");
    let counts: Option<Vec<usize>> = components.iter().map(element::rows).collect();
    let counts = counts.ok_or_else(|| Error::invalid_argument("a scalar cannot be cut into slices"))?;
    let count = counts.first().copied().unwrap_or(0);
    if counts.iter().any(|&other| other != count) {
        return Err(Error::invalid_argument("All components must have the same size in the 0th dimension"));
    }
    Ok(Arc::new(Slices { components, count: count as u64 }))
}

/// Makes the dataset of a list of elements, the components of all in one list.
fn list(build: &Build<'_, '_>) -> Result<Shared> {
    let (tensors, width) = (build.tensors("tensors"), build.node.types.len());
    if width == 0 || tensors.len() % width != 0 {
        let text = format!("{} tensors cannot be divided into elements of {width}", tensors.len());
        return Err(Error::invalid_argument(text));
    }
    let elements: Vec<Element> = tensors.chunks(width).map(<[_]>::to_vec).collect();
    Ok(Arc::new(Rows { name: "List", elements: elements.into() }))
}

/// Elements that are given as tensors. Also the dataset of a window and of a full group.
pub(super) struct Rows {
    /// TensorFlow's name for its iterator.
    pub(super) name: &'static str,
    /// The elements in order.
    pub(super) elements: Arc<[Element]>,
}

impl Dataset for Rows {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cardinality(&self) -> i64 {
        self.elements.len() as i64
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        Ok(Box::new(ByNumber { dataset: Rows { name: self.name, elements: self.elements.clone() }, next: 0 }))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.elements.len() as u64)
    }

    fn row(&self, _: &Run<'_>, number: u64) -> Result<Element> {
        let found = usize::try_from(number).ok().and_then(|number| self.elements.get(number));
        found.cloned().ok_or_else(|| Error::invalid_argument(format!("there is no element number {number}")))
    }
}

/// The rows of tensors.
struct Slices {
    /// The tensors, which all have `count` rows.
    components: Element,
    /// The number of rows.
    count: u64,
}

impl Dataset for Slices {
    fn name(&self) -> &'static str {
        "TensorSlice"
    }

    fn cardinality(&self) -> i64 {
        self.count.cast_signed()
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        let dataset = Slices { components: self.components.clone(), count: self.count };
        Ok(Box::new(ByNumber { dataset, next: 0 }))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.count)
    }

    fn row(&self, _: &Run<'_>, number: u64) -> Result<Element> {
        let number = usize::try_from(number).map_err(|_| Error::invalid_argument("no such slice"))?;
        self.components.iter().map(|component| element::row(component, number)).collect()
    }

    /// Returns the tensors, unless one of them holds variants, whose rows do not lie side by side.
    fn components(&self) -> Option<&[Tensor]> {
        let stacks = |component: &Tensor| component.dtype().is_plain() || component.dtype() == DType::String;
        self.components.iter().all(stacks).then_some(self.components.as_slice())
    }
}

/// Yields the elements of a dataset with random access, in order. Skipping costs nothing.
pub(super) struct ByNumber<D> {
    /// The dataset; [`Dataset::rows`] is known.
    pub(super) dataset: D,
    /// The number of the next element, which is the whole position.
    pub(super) next: u64,
}

impl<D: Dataset> Iterate for ByNumber<D> {
    /// Returns the element with the next number. An element that fails is passed by, as with every dataset.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if self.next >= self.dataset.rows().unwrap_or(0) {
            return Ok(None);
        }
        let number = self.next;
        self.next += 1;
        self.dataset.row(run, number).map(Some)
    }

    /// Neighboring rows share the memory of the tensors, so a batch of them is not copied.
    fn next_batch(&mut self, run: &Run<'_>, size: u64) -> Option<Result<(Element, u64)>> {
        let components = self.dataset.components()?;
        let rows = self.dataset.rows().unwrap_or(0);
        // A position may come from a dataset with more rows.
        let first = self.next.min(rows);
        let end = first.saturating_add(size).min(rows);
        // Moved before the rows are cut: they are below the number of rows, so none of them fails.
        self.next = end;
        let part = |component: &Tensor| Ok(component.rows(first as usize, end as usize)?);
        let batch = run.limits.check().and_then(|()| components.iter().map(part).collect());
        Some(batch.map(|batch| (batch, end - first)))
    }

    fn skip(&mut self, _: &Run<'_>, count: u64) -> Result<u64> {
        let passed = count.min(self.dataset.rows().unwrap_or(0).saturating_sub(self.next));
        self.next += passed;
        Ok(passed)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.next);
        Ok(())
    }

    fn restore(&mut self, from: &mut Reader<'_>, _: &Run<'_>) -> Result<()> {
        self.next = from.number()?;
        Ok(())
    }
}
