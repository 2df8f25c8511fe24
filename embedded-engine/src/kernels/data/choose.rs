//! `DirectedInterleaveDataset`, of which choosing and sampling are made (D-51); `ChooseFastestDataset`.
//!
//! # Semantics
//!
//! - `DirectedInterleaveDataset`: inputs `selector_input_dataset`, `data_input_datasets` (a list); attribute
//!   `stop_on_empty_dataset` (false). Each element of the selector, one integer, names the input that gives
//!   the next element. If that input is at its end the choice is skipped and the next one drawn; with
//!   `stop_on_empty_dataset` it is the end. The end also comes with that of the selector or of all inputs. A
//!   choice outside the inputs is `InvalidArgument` for that request; the next one draws again.
//! - `ChooseFastestDataset`: input `input_datasets`, a list. TensorFlow measures which is fastest; all of
//!   them yield the same elements, so the first one is taken here.
//!
//! Cardinality: infinite if an input other than the selector is, else unknown. Position: for each input, the
//! selector first, whether it is open, and its position.

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::Element;
use super::position::{Reader, Writer, damaged};
use session_core::{Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[
    Op {
        types: &["DirectedInterleaveDataset", "ExperimentalDirectedInterleaveDataset"],
        functions: &[],
        make,
    },
    Op { types: &["ChooseFastestDataset", "ExperimentalChooseFastestDataset"], functions: &[], make: first },
];

/// Makes the dataset that a selector directs.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let mut inputs = vec![build.dataset("selector_input_dataset")?];
    inputs.extend(build.datasets("data_input_datasets")?);
    Ok(Arc::new(Choose { inputs, stops: build.is_set("stop_on_empty_dataset") }))
}

/// Returns the first of the inputs.
fn first(build: &Build<'_, '_>) -> Result<Shared> {
    let first = build.datasets("input_datasets")?.into_iter().next();
    first.ok_or_else(|| Error::invalid_argument("there is no dataset to choose"))
}

/// The dataset.
struct Choose {
    /// The selector, then the inputs among which it chooses.
    inputs: Vec<Shared>,
    /// True if the dataset ends when the selector chooses an input that has ended.
    stops: bool,
}

impl Dataset for Choose {
    fn name(&self) -> &'static str {
        "DirectedInterleave"
    }

    fn inputs(&self) -> Vec<&Shared> {
        self.inputs.iter().collect()
    }

    /// Returns TensorFlow's answer, which does not ask the selector.
    fn cardinality(&self) -> i64 {
        let is_endless = self.inputs.iter().skip(1).any(|input| input.cardinality() == INFINITE);
        if is_endless { INFINITE } else { UNKNOWN }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let inputs = self.inputs.iter().map(|input| input.iterate(run).map(Some)).collect::<Result<_>>()?;
        Ok(Box::new(Chosen { inputs, stops: self.stops }))
    }
}

/// An iterator. All inputs are opened at the beginning, as in TensorFlow.
struct Chosen {
    /// The selector, then the inputs, each `None` after its end; empty when the dataset has ended.
    inputs: Vec<Option<Source>>,
    /// True if a choice of an ended input is the end.
    stops: bool,
}

impl Iterate for Chosen {
    /// Draws choices until an input gives an element. An error of the selector or of the chosen input is
    /// returned, and the choice is used up.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            let Some((Some(selector), inputs)) = self.inputs.split_first_mut() else { return Ok(None) };
            // An endless selector would otherwise be drawn forever.
            if inputs.iter().all(Option::is_none) {
                self.inputs.clear();
                return Ok(None);
            }
            let Some(selected) = selector.next(run)? else {
                self.inputs.clear();
                return Ok(None);
            };
            let [selected] = selected.as_slice() else {
                return Err(Error::invalid_argument("a selector must yield one number at a time"));
            };
            let (selected, count) = (selected.as_scalar_i64()?, inputs.len());
            let chosen = usize::try_from(selected).ok().and_then(|place| inputs.get_mut(place));
            let chosen = chosen.ok_or_else(|| {
                Error::invalid_argument(format!("Selector index out of range: {selected} >= {count}"))
            })?;
            if let Some(input) = chosen {
                if let Some(element) = input.next(run)? {
                    return Ok(Some(element));
                }
                // Dropped at once, which closes the files of an input long before the others end.
                *chosen = None;
            }
            if self.stops {
                self.inputs.clear();
            }
            run.limits.check()?;
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.list(self.inputs.iter(), |to, input| to.option(input.as_ref(), |to, input| input.save(to)))
    }

    /// Restores the inputs that were open. After the end the list is empty, and all inputs are dropped.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let mut inputs = std::mem::take(&mut self.inputs).into_iter();
        self.inputs = from.list(|from| {
            // A new iterator has all inputs open; those that had ended by the position are dropped here.
            let input = inputs.next().flatten();
            from.option(|from| {
                let mut input = input.ok_or_else(damaged)?;
                input.restore(from, run)?;
                Ok(input)
            })
        })?;
        if !self.inputs.is_empty() && inputs.next().is_some() {
            return Err(damaged());
        }
        Ok(())
    }
}
