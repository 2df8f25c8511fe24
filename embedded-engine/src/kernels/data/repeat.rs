//! `RepeatDataset` (D-60).

use super::build::{Build, Op};
use super::dataset::{Dataset, Drawn, INFINITE, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["RepeatDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    // A negative count has no end.
    let count = u64::try_from(build.int("count")?).ok();
    Ok(Arc::new(Repeat { input: build.input()?, count }))
}

struct Repeat {
    input: Shared,
    count: Option<u64>,
}

impl Dataset for Repeat {
    fn name(&self) -> &'static str {
        "Repeat"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        match (self.input.cardinality(), self.count) {
            (0, _) | (_, Some(0)) => 0,
            (_, None) => INFINITE,
            (all, Some(_)) if all < 0 => all,
            (all, Some(count)) => all.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
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

struct Repeated {
    dataset: Shared,
    count: Option<u64>,
    /// The epoch of `input`, counted from 0.
    epoch: u64,
    /// Stays at its end until the next element is requested.
    input: Option<Source>,
    /// True if this epoch has returned an element.
    given: bool,
}

impl Repeated {
    fn is_over(&self) -> bool {
        self.count.is_some_and(|count| self.epoch >= count)
    }
}

impl Iterate for Repeated {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        self.draw(run)?.map_or(Ok(None), |drawn| drawn.finish(run))
    }

    fn draw(&mut self, run: &Run<'_>) -> Result<Option<Drawn>> {
        while !self.is_over() {
            let input = match &mut self.input {
                Some(input) => input,
                none => none.insert(self.dataset.iterate(run)?),
            };
            match input.draw(run) {
                Ok(None) => {
                    // An endless one over nothing is at its end.
                    if self.count.is_none() && !self.given {
                        return Ok(None);
                    }
                    (self.epoch, self.given) = (self.epoch + 1, false);
                    self.input = if self.is_over() { None } else { Some(self.dataset.iterate(run)?) };
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
