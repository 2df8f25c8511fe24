//! `UniqueDataset` (D-65).
//!
//! # Semantics
//!
//! Input: `input_dataset`, elements of one component of `int32`, `int64` or `string`, else `InvalidArgument`
//! from the initializer. Passes on the first element of each value; tensors are equal if shapes and values
//! are. Memory and position grow with the number of different elements: each is kept in the form in which
//! positions hold it.
//!
//! Cardinality: unknown. Position: the elements seen, in the order in which they came, then the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::growing::Growing;
use super::position::{Reader, Writer};
use rustc_hash::FxHashSet;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::DType;

pub(super) const OPS: &[Op] =
    &[Op { types: &["UniqueDataset", "ExperimentalUniqueDataset"], functions: &[], make }];

/// Makes the dataset, if the declared dtype is supported.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let [DType::Int32 | DType::Int64 | DType::String] = build.node.types[..] else {
        let text =
            format!("unique elements have one component, int32, int64 or string, not {:?}", build.node.types);
        return Err(Error::invalid_argument(text));
    };
    Ok(Arc::new(Unique { input: build.input()? }))
}

/// The dataset.
struct Unique {
    /// The dataset whose elements are compared.
    input: Shared,
}

impl Dataset for Unique {
    fn name(&self) -> &'static str {
        "Unique"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Distinct {
            input: self.input.iterate(run)?,
            seen: FxHashSet::default(),
            order: Growing::default(),
        }))
    }
}

/// An iterator.
struct Distinct {
    /// The iterator over the input.
    input: Source,
    /// The elements that were seen, as bytes; shared with `order`.
    seen: FxHashSet<Arc<[u8]>>,
    /// The elements that were seen, in the order in which they came.
    order: Growing<Arc<[u8]>>,
}

impl Iterate for Distinct {
    /// Takes elements until one was not seen before. One lookup in a hash table for each.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(element) = self.input.next(run)? {
            // Written as for a position, with dtype and shape.
            let mut key = Writer::default();
            key.element(&element)?;
            // One allocation serves the set and the list.
            let key: Arc<[u8]> = key.bytes()?.into();
            if self.seen.insert(key.clone()) {
                self.order.push(key);
                return Ok(Some(element));
            }
            run.limits.check()?;
        }
        Ok(None)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        self.order.save(to, |to, key| {
            to.text(key);
            Ok(())
        });
        self.input.save(to)
    }

    /// Restores the list and, from it, the table.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let seen: Vec<Arc<[u8]>> = from.list(|from| Ok(from.bytes()?.into()))?;
        (self.seen, self.order) = (seen.iter().cloned().collect(), Growing::new(seen));
        self.input.restore(from, run)
    }
}
