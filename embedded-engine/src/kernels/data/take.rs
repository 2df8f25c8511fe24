//! `TakeDataset` (D-60).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `count` (`int64`): the number of elements to pass on, negative for all. Errors
//! are not counted: `range(10)` with an error at 1 and a count of 3 gives 0, error, 2, 3. After the last
//! element the input is asked no more, so a cache in it stays unfinished. The request that finds the end drops
//! the input, which closes its files and calls `finalize_func` of generators.
//!
//! Cardinality: known if the input's is; `count` of an infinite input. Random access as the input. Position:
//! the elements left, -1 for no limit, then the input's; -2 alone after the end.

use super::build::{Build, Op};
use super::dataset::{Dataset, Drawn, INFINITE, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;
use tensor::Tensor;

pub(super) const OPS: &[Op] = &[Op { types: &["TakeDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    // A negative count takes all.
    let count = u64::try_from(build.int("count")?).ok();
    Ok(Arc::new(Take { input: build.input()?, count }))
}

/// The dataset.
struct Take {
    /// The dataset whose first elements are passed on.
    input: Shared,
    /// The number of elements; `None` for all.
    count: Option<u64>,
}

impl Dataset for Take {
    fn name(&self) -> &'static str {
        "Take"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        match (self.input.cardinality(), self.count) {
            (all, None) => all,
            (_, Some(0)) => 0,
            (INFINITE, Some(count)) => count.cast_signed(),
            (all, Some(_)) if all < 0 => all,
            (all, Some(count)) => all.min(count.cast_signed()),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Taken { input: Some(self.input.iterate(run)?), left: self.count }))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.input.rows()?.min(self.count.unwrap_or(u64::MAX)))
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        self.input.row(run, number)
    }

    /// Returns the input's tensors, which may have more rows than this dataset; users compare with
    /// [`rows`](Dataset::rows).
    fn components(&self) -> Option<&[Tensor]> {
        self.input.components()
    }
}

/// An iterator.
struct Taken {
    /// The iterator over the input; `None` after the end, which closes its files and ends its generators.
    input: Option<Source>,
    /// The number of elements still to pass on; `None` for no limit, 0 after the end.
    left: Option<u64>,
}

/// The number in a position after the end, which no position of an input follows.
const OVER: i64 = -2;

impl Iterate for Taken {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        self.draw(run)?.map_or(Ok(None), |drawn| drawn.finish(run))
    }

    /// Draws from the input while elements are left to take. An error is returned without being counted.
    fn draw(&mut self, run: &Run<'_>) -> Result<Option<Drawn>> {
        let open = self.input.as_mut().filter(|_| self.left != Some(0));
        let drawn = open.map_or(Ok(None), |input| input.draw(run))?;
        if drawn.is_some() {
            self.left = self.left.map(|left| left - 1);
        } else {
            (self.input, self.left) = (None, Some(0));
        }
        Ok(drawn)
    }

    /// Skips at most the elements that are left to take.
    fn skip(&mut self, run: &Run<'_>, count: u64) -> Result<u64> {
        let Some(input) = &mut self.input else { return Ok(0) };
        let passed = input.skip(run, count.min(self.left.unwrap_or(u64::MAX)))?;
        if let Some(left) = &mut self.left {
            *left -= passed.min(*left);
        }
        Ok(passed)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        match &self.input {
            Some(input) => {
                to.integer(self.left.map_or(-1, u64::cast_signed));
                input.save(to)
            }
            None => {
                to.integer(OVER);
                Ok(())
            }
        }
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let left = from.integer()?;
        if left == OVER {
            (self.input, self.left) = (None, Some(0));
            return Ok(());
        }
        self.left = u64::try_from(left).ok();
        self.input.as_mut().map_or(Ok(()), |input| input.restore(from, run))
    }
}
