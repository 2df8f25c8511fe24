//! `ShardDataset` (D-60).

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::{Code, Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[
    Op { types: &["ShardDataset"], functions: &[], make },
    Op { types: &["AutoShardDataset", "ExperimentalAutoShardDataset"], functions: &[], make: auto },
];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let (shards, index) = (build.int("num_shards")?, build.int("index")?);
    if shards == SHARD_HINT {
        let text = "`tf.data.Dataset.shard(SHARD_HINT, ...)` can only be used in `tf.distribute.Strategy.experimental_distribute_dataset()` \
                    with `tf.data.experimental.AutoShardPolicy.HINT` policy, or tf.data service with a sharding policy: give the number of \
                    shards";
        return Err(Error::new(Code::FailedPrecondition, text));
    }
    if shards <= 0 {
        let text = format!("Number of shards must be greater than zero (currently num_shards = {shards}).");
        return Err(Error::invalid_argument(text));
    }
    if index < 0 || index >= shards {
        let text = format!("Index must be between 0 and {} (currently index = {index}).", shards - 1);
        return Err(Error::invalid_argument(text));
    }
    of(build, shards, index)
}

/// The number of shards that stands for that of a strategy.
const SHARD_HINT: i64 = -1;

/// Shards by elements under every policy: the result is a part of the same input.
fn auto(build: &Build<'_, '_>) -> Result<Shared> {
    let (workers, index) = (build.int("num_workers")?, build.int("index")?);
    if workers <= 0 {
        return Err(Error::invalid_argument(format!(
            "num_workers must be greater than zero. It is {workers}"
        )));
    }
    if index < 0 || index >= workers {
        let text = format!("index must be between 0 and {}, and is {index}", workers - 1);
        return Err(Error::invalid_argument(text));
    }
    if workers == 1 { build.input() } else { of(build, workers, index) }
}

fn of(build: &Build<'_, '_>, shards: i64, index: i64) -> Result<Shared> {
    let (shards, index) = (shards.cast_unsigned(), index.cast_unsigned());
    Ok(Arc::new(Shard { input: build.input()?, shards, index }))
}

struct Shard {
    input: Shared,
    shards: u64,
    index: u64,
}

impl Dataset for Shard {
    fn name(&self) -> &'static str {
        "Shard"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        match u64::try_from(self.input.cardinality()) {
            Ok(all) => part(all, self.shards, self.index).cast_signed(),
            Err(_) => self.input.cardinality(),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Part { input: self.input.iterate(run)?, shards: self.shards, before: self.index }))
    }

    fn rows(&self) -> Option<u64> {
        Some(part(self.input.rows()?, self.shards, self.index))
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        self.input.row(run, number.saturating_mul(self.shards).saturating_add(self.index))
    }
}

/// Returns the number of elements, out of `all`, that belong to a shard.
fn part(all: u64, shards: u64, index: u64) -> u64 {
    all / shards + u64::from(all % shards > index)
}

struct Part {
    input: Source,
    shards: u64,
    /// The elements of other shards before the next one.
    before: u64,
}

impl Iterate for Part {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if self.before > 0 {
            let passed = self.input.skip(run, self.before)?;
            if passed < self.before {
                return Ok(None);
            }
            self.before = 0;
        }
        let element = self.input.next(run)?;
        if element.is_some() {
            self.before = self.shards - 1;
        }
        Ok(element)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.before);
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.before = from.number()?;
        self.input.restore(from, run)
    }
}
