//! `ShardDataset` (D-60).
//!
//! # Semantics
//!
//! - `ShardDataset`: inputs `input_dataset`, `num_shards` (greater than zero), `index` (0 to `num_shards` -
//!   1); attribute `require_non_empty` (false). Passes on the elements `index`, `index + num_shards` and so on:
//!   `range(7)`, 3 shards, index 1 gives `[1, 4]`. With `require_non_empty`, a shard that has an element fails
//!   with `InvalidArgument` before it returns the first one if a later shard would have none, and ends with
//!   the next request: `range(2)`, 4 shards, index 0. A shard without elements only ends.
//! - `AutoShardDataset`: inputs `input_dataset`, `num_workers`, `index`. TensorFlow may distribute files
//!   instead of elements; elements are distributed here under each policy, so that the shards of all workers
//!   together are the input.
//!
//! Elements of other shards are skipped without being made where the input allows it ([`Iterate::skip`]). The
//! error of a skipped element is returned, and the next request skips the full number again after it, as in
//! TensorFlow: `range(10)` with an error at 1, 3 shards, index 0 gives 0, error, 4, 7.
//!
//! Cardinality: known if the input's is. Random access: element `n` is the input's `n * num_shards + index`.
//! Position: the elements to skip before the next one, with a flag in the highest bit while the first element
//! of a `require_non_empty` is still to be checked, then the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::{Code, Error, Result};
use std::sync::Arc;

/// The op types. TensorFlow's distribution strategies insert the second one.
pub(super) const OPS: &[Op] = &[
    Op { types: &["ShardDataset"], functions: &[], make },
    Op { types: &["AutoShardDataset", "ExperimentalAutoShardDataset"], functions: &[], make: auto },
];

/// Makes the dataset of `ShardDataset`.
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
    of(build, shards, index, build.is_set("require_non_empty"))
}

/// The number of shards that stands for that of a strategy.
const SHARD_HINT: i64 = -1;

/// Makes the dataset of `AutoShardDataset`; one worker gets the input itself.
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
    if workers == 1 { build.input() } else { of(build, workers, index, false) }
}

/// Makes the dataset; the numbers were checked.
fn of(build: &Build<'_, '_>, shards: i64, index: i64, needs_all: bool) -> Result<Shared> {
    let (shards, index) = (shards.cast_unsigned(), index.cast_unsigned());
    Ok(Arc::new(Shard { input: build.input()?, shards, index, needs_all }))
}

/// The dataset.
struct Shard {
    /// The dataset that is divided.
    input: Shared,
    /// The number of shards; at least 1.
    shards: u64,
    /// The number of this shard, below that of the shards.
    index: u64,
    /// True if each of the shards must have an element.
    needs_all: bool,
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
        let (input, shards, index) = (self.input.iterate(run)?, self.shards, self.index);
        Ok(Box::new(Part { input, shards, index, before: index, is_unchecked: self.needs_all }))
    }

    /// Allows access by index only where no shard is empty, since that would be an error of the first element.
    fn rows(&self) -> Option<u64> {
        let all = self.input.rows().filter(|&all| !self.needs_all || all >= self.shards)?;
        Some(part(all, self.shards, self.index))
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        self.input.row(run, number.saturating_mul(self.shards).saturating_add(self.index))
    }
}

/// Returns the number of elements, out of `all`, that belong to a shard.
fn part(all: u64, shards: u64, index: u64) -> u64 {
    all / shards + u64::from(all % shards > index)
}

/// An iterator.
struct Part {
    /// The iterator over the input.
    input: Source,
    /// The number of shards.
    shards: u64,
    /// The number of this shard.
    index: u64,
    /// The elements of other shards before the next one.
    before: u64,
    /// True until the first element, if the shards after this one must have an element as well.
    is_unchecked: bool,
}

/// The flag of a position whose first element is still to be checked. Counts of elements are below it, so a
/// position without the flag reads as it always did.
const UNCHECKED: u64 = 1 << 63;

impl Iterate for Part {
    /// Skips the elements of the other shards, then returns the next one.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if self.before > 0 {
            let passed = self.input.skip(run, self.before)?;
            // The count is not reduced: after the end every request finds too few again.
            if passed < self.before {
                return Ok(None);
            }
            self.before = 0;
        }
        let element = self.input.next(run)?;
        // Elements after this one are skipped by the next request only: nothing is read before it is needed.
        if element.is_some() {
            self.before = self.shards - 1;
            if std::mem::take(&mut self.is_unchecked) {
                // After an error the first element is lost, and the full number is skipped again.
                let others = self.shards - 1 - self.index;
                if self.input.skip(run, others)? < others {
                    let text = format!(
                        "a dataset of fewer than {} elements leaves some of its {} shards empty: use fewer shards, or shard elements \
                         rather than files",
                        self.shards, self.shards
                    );
                    return Err(Error::invalid_argument(text));
                }
                self.before = self.index;
            }
        }
        Ok(element)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.before | if self.is_unchecked { UNCHECKED } else { 0 });
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let before = from.number()?;
        (self.before, self.is_unchecked) = (before & !UNCHECKED, before & UNCHECKED != 0);
        self.input.restore(from, run)
    }
}
