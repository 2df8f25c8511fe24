//! `RepeatDataset` (D-60).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `count` (`int64`): the number of epochs, 0 for no element, negative for no end.
//! Each epoch has a new iterator over the same dataset, so a shuffle in it has other seeds (D-32), and a
//! cache is read from the second epoch on. An endless repeat ends after an epoch without elements. Errors
//! count as elements: they come again in each epoch (D-10).
//!
//! Directly after a shuffle it becomes one shuffled and repeated dataset outside functions (D-15, D-34).
//!
//! Cardinality: the product; 0 if the input is known to be empty. Position: the number of the epoch, whether
//! it has given an element, then, if an epoch has begun, the position of its iterator.

use super::build::{Build, Op};
use super::dataset::{Dataset, Drawn, INFINITE, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["RepeatDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    // A negative count has no end.
    let count = u64::try_from(build.int("count")?).ok();
    Ok(Arc::new(Repeat { input: build.input()?, count }))
}

/// The dataset.
struct Repeat {
    /// The dataset that is repeated.
    input: Shared,
    /// The number of epochs; `None` for no limit.
    count: Option<u64>,
}

impl Dataset for Repeat {
    fn name(&self) -> &'static str {
        "Repeat"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    /// Returns `epochs * elements`; unknown numbers stay unknown, and too large ones are the largest `int64`.
    fn cardinality(&self) -> i64 {
        match (self.input.cardinality(), self.count) {
            (0, _) | (_, Some(0)) => 0,
            (_, None) => INFINITE,
            (all, Some(_)) if all < 0 => all,
            (all, Some(count)) => all.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        // A count of 0 has no element, and so no use for seeds.
        let is_rewritten = run.rewrites && self.count != Some(0);
        if is_rewritten && let Some(repeated) = self.input.iterate_repeated(run, self.count) {
            return repeated;
        }
        Ok(Box::new(Repeated {
            dataset: self.input.clone(),
            count: self.count,
            epoch: 0,
            input: None,
            given: false,
        }))
    }
}

/// An iterator.
struct Repeated {
    /// The dataset that is repeated, of which each epoch makes an iterator.
    dataset: Shared,
    /// The number of epochs; `None` for no limit.
    count: Option<u64>,
    /// The epoch of `input`, counted from 0.
    epoch: u64,
    /// The iterator over the present epoch; `None` before the first request and after the last epoch.
    input: Option<Source>,
    /// True if this epoch has returned an element or an error.
    given: bool,
}

impl Repeated {
    /// Returns true if all epochs have been read.
    fn is_over(&self) -> bool {
        self.count.is_some_and(|count| self.epoch >= count)
    }
}

impl Iterate for Repeated {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        self.draw(run)?.map_or(Ok(None), |drawn| drawn.finish(run))
    }

    /// Draws from the present epoch, and begins the next one at its end. Calls of maps in the input are
    /// passed on, so that they still run in parallel.
    fn draw(&mut self, run: &Run<'_>) -> Result<Option<Drawn>> {
        while !self.is_over() {
            let input = match &mut self.input {
                Some(input) => input,
                none => none.insert(self.dataset.iterate(run)?),
            };
            match input.draw(run) {
                Ok(None) => {
                    // An endless one over nothing is at its end; a further request looks again from the beginning.
                    if self.count.is_none() && !self.given {
                        self.input = None;
                        return Ok(None);
                    }
                    // The iterator has ended also if the next one cannot be made: the next request tries again.
                    (self.epoch, self.given, self.input) = (self.epoch + 1, false, None);
                    // The next epoch begins at once: the seeds that it draws are then part of the position.
                    if !self.is_over() {
                        self.input = Some(self.dataset.iterate(run)?);
                    }
                    run.limits.check()?;
                }
                other => {
                    self.given = true;
                    return other;
                }
            }
        }
        Ok(None)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.epoch);
        to.flag(self.given);
        to.option(self.input.as_ref(), |to, input| input.save(to))
    }

    /// Makes a new iterator for the present epoch and moves it to its position; earlier epochs are not read
    /// again.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        (self.epoch, self.given) = (from.number()?, from.flag()?);
        self.input = from.option(|from| {
            let mut input = self.dataset.iterate(run)?;
            input.restore(from, run)?;
            Ok(input)
        })?;
        Ok(())
    }
}
