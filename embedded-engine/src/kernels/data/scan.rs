//! `ScanDataset` (D-65).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `initial_state` (a list), `other_arguments`; attributes `f`,
//! `preserve_cardinality` (false). Calls `f(state, element, captured)` for each element, in order; the first
//! results are the next state, the others the element. `[1, 2, 3]` with `f(s, x) = (s + x, s + x)` from 0
//! gives `[1, 3, 6]`.
//!
//! An element that fails leaves the state as it was (D-10). An `OutOfRange` of the function is an end, or
//! `InvalidArgument` with `preserve_cardinality`. Fewer results than the state has components are `InvalidArgument`. Calls
//! are never made in parallel, since each needs the state before it.
//!
//! Cardinality: the input's with `preserve_cardinality`, else unknown, but infinite stays infinite. Position:
//! the state, then the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::map::{or_end, preserved};
use super::position::{Reader, Writer};
use session_core::{Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] =
    &[Op { types: &["ScanDataset", "ExperimentalScanDataset"], functions: &["f"], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let function = build.function("f", "other_arguments")?;
    let keeps_count = build.is_set("preserve_cardinality");
    Ok(Arc::new(Scan {
        input: build.input()?,
        initial: build.tensors("initial_state"),
        function,
        keeps_count,
    }))
}

/// The dataset.
struct Scan {
    /// The dataset whose elements are the arguments.
    input: Shared,
    /// The state before the first element.
    initial: Element,
    /// The function.
    function: Function,
    /// True if an end reported by the function is an error.
    keeps_count: bool,
}

impl Dataset for Scan {
    fn name(&self) -> &'static str {
        "Scan"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        preserved(self.input.cardinality(), self.keeps_count)
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Scanned {
            input: self.input.iterate(run)?,
            state: self.initial.clone(),
            function: self.function.clone(),
            keeps_count: self.keeps_count,
        }))
    }
}

/// An iterator.
struct Scanned {
    /// The iterator over the input.
    input: Source,
    /// The state after the last element that did not fail.
    state: Element,
    /// The function.
    function: Function,
    /// True if an end reported by the function is an error.
    keeps_count: bool,
}

impl Iterate for Scanned {
    /// Calls the function with the state and the next element, and splits its results into the next state and
    /// the output.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let Some(element) = self.input.next(run)? else { return Ok(None) };
        let mut arguments = self.state.clone();
        arguments.extend(element);
        let results = or_end(self.function.call(run, arguments), self.keeps_count)?;
        let Some(mut results) = results else { return Ok(None) };
        if results.len() < self.state.len() {
            let text = format!("a scan with a state of {} gave {} results", self.state.len(), results.len());
            return Err(Error::invalid_argument(text));
        }
        let outputs = results.split_off(self.state.len());
        // Only now: every error before leaves the old state (D-10).
        self.state = results;
        Ok(Some(outputs))
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.element(&self.state)?;
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.state = from.element()?;
        self.input.restore(from, run)
    }
}
