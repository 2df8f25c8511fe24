//! `IndexBatch`: the numbers of the next examples, and the position that checkpoints keep.
//!
//! # Semantics
//!
//! `IndexBatch` is an op type of this library: an input pipeline over examples in memory that needs neither
//! queues nor threads. Input 0 is the number of examples, an `int64`; the output is the vector of the next
//! `batch_size` numbers below it.
//!
//! - Without `shuffle` the numbers ascend in each epoch; with it, each epoch has its own order, which depends
//!   on `seed`, `seed2` and the epoch alone. Batches run across the ends of epochs.
//! - `num_epochs` ends the input with `OutOfRange` after that many epochs; a negative number means no end.
//!   The last batch may be smaller only with `allow_smaller_final_batch`; otherwise the examples that do not
//!   fill a batch are left out.
//! - The number of examples may change only at position 0. Later it is `FailedPrecondition`, since the
//!   position would mean another example.
//! - Two seeds of 0 stand for seeds of the operating system's randomness. They are exported with the
//!   position, so a resumed run continues in the same order.
//!
//! The position belongs to the session and is part of its exported state. A batch takes its numbers under a
//! lock, so concurrent steps get distinct numbers. A step that fails later has consumed its batch.

use super::permutation::Permutation;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use crate::resources::OpState;
use session_core::{Code, Error, Result};
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Registers `IndexBatch`. The state is looked up when the kernel is created, not in each run; plans with the
/// same operation share it.
pub(super) fn register(registry: &mut Registry) {
    registry.add("IndexBatch", |spec| {
        let order = Order::new(spec)?;
        let state = spec.state(|| IndexState {
            name: spec.operation.name().to_owned(),
            place: Mutex::new(Place { position: 0, limit: None, seeds: order.seeds, permutation: None }),
        })?;
        Ok(boxed(move |context| batch(context, &order, &state)))
    });
}

/// The attributes of the operation.
struct Order {
    /// The number of examples in a batch, at least 1.
    batch_size: u64,
    /// The number of epochs; `None` for an input without end.
    num_epochs: Option<u64>,
    /// True for an order of its own in each epoch.
    shuffle: bool,
    /// True if the last batch may have fewer examples than `batch_size`.
    allow_smaller_final_batch: bool,
    /// The initial seeds. An imported state replaces them.
    seeds: [i64; 2],
}

impl Order {
    /// Reads the attributes. A batch size below 1 is a build error.
    fn new(spec: &NodeSpec<'_>) -> Result<Order> {
        let batch_size = spec.int("batch_size")?;
        let batch_size = u64::try_from(batch_size).ok().filter(|&size| size > 0);
        let seeds = match (spec.int("seed")?, spec.int("seed2")?) {
            (0, 0) => compute::random::seeds_from_entropy(),
            seeds => seeds,
        };
        Ok(Order {
            batch_size: batch_size.ok_or_else(|| Error::value("a batch needs at least one example"))?,
            num_epochs: u64::try_from(spec.int("num_epochs")?).ok(),
            shuffle: spec.bool("shuffle")?,
            allow_smaller_final_batch: spec.bool("allow_smaller_final_batch")?,
            seeds: [seeds.0, seeds.1],
        })
    }
}

/// The progress of the steps.
struct IndexState {
    /// The name of the operation.
    name: String,
    /// A step takes its numbers under the lock, and calls nothing else.
    place: Mutex<Place>,
}

/// The position, and what the numbers at it depend on. All of it is replaced when a state is imported.
struct Place {
    /// The number of examples produced, over all epochs. `position / limit` is the epoch, `position % limit`
    /// the place in it.
    position: u64,
    /// The number of examples in an epoch. Unknown before the first step.
    limit: Option<u64>,
    /// Stored along with the position, so that a run without given seeds can be resumed as well.
    seeds: [i64; 2],
    /// The order of the epoch that it was made for. Built when a step first needs it; `None` after an import.
    permutation: Option<(u64, Permutation)>,
}

/// Version, position, limit (all bits set for none), seeds.
///
/// The layout of an exported state: little-endian words of 8 bytes after the version.
const STATE_BYTES: usize = 1 + 4 * 8;
/// The version of that layout. States of other versions are refused.
const VERSION: u8 = 1;

impl IndexState {
    /// Locks the place. A panic under the lock cannot leave the position half advanced, so poisoning is
    /// ignored.
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the error for a state that cannot be imported, with the name of the operation.
    fn unreadable(&self, why: &str) -> Error {
        Error::new(Code::DataLoss, format!("the position of input '{}' cannot be read: {why}", self.name))
    }
}

impl OpState for IndexState {
    fn export(&self) -> Vec<u8> {
        let place = self.lock();
        let words = [place.position, place.limit.unwrap_or(u64::MAX)];
        let words = words.into_iter().chain(place.seeds.map(i64::cast_unsigned));
        std::iter::once(VERSION).chain(words.flat_map(u64::to_le_bytes)).collect()
    }

    fn import(&self, bytes: &[u8]) -> Result<()> {
        let bytes: &[u8; STATE_BYTES] = bytes
            .try_into()
            .map_err(|_| self.unreadable(&format!("{} bytes, not {STATE_BYTES}", bytes.len())))?;
        if bytes[0] != VERSION {
            return Err(self.unreadable(&format!("version {}, not {VERSION}", bytes[0])));
        }
        let word = |index: usize| {
            let word: [u8; 8] = std::array::from_fn(|byte| bytes[1 + 8 * index + byte]);
            u64::from_le_bytes(word)
        };
        *self.lock() = Place {
            position: word(0),
            // All bits set means that no step had run; no limit is as large, since limits come from an `i64`.
            limit: Some(word(1)).filter(|&limit| limit != u64::MAX),
            seeds: [word(2).cast_signed(), word(3).cast_signed()],
            permutation: None,
        };
        Ok(())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// Delivers the numbers of the next batch and advances the position. If the output cannot be allocated, the
/// position stays.
fn batch(context: &mut KernelContext<'_>, order: &Order, state: &IndexState) -> Result<()> {
    let limit = context.int(0)?;
    let limit = u64::try_from(limit).ok().filter(|&limit| limit > 0).ok_or_else(|| {
        Error::invalid_argument(format!("input '{}' needs at least one example, not {limit}", state.name))
    })?;
    let mut place = state.lock();
    place.accept(limit, &state.name)?;
    let count = place.available(order, limit, &state.name)?;
    context.produce::<i64>(0, [count as usize], |_, indices| {
        place.fill(order, limit, indices);
        Ok(())
    })?;
    // Only after the output exists: a batch that cannot be allocated is not consumed.
    place.position += count;
    Ok(())
}

impl Place {
    /// Requires that the length of an epoch stays the same, because the position counts epochs of one length.
    ///
    /// Fails with `FailedPrecondition` if steps have already been counted in another length.
    fn accept(&mut self, limit: u64, name: &str) -> Result<()> {
        let known = *self.limit.get_or_insert(limit);
        if known == limit {
            return Ok(());
        }
        if self.position == 0 {
            (self.limit, self.permutation) = (Some(limit), None);
            return Ok(());
        }
        let text = format!(
            "input '{name}' has {limit} examples, but its position of {} was reached in {known} examples",
            self.position
        );
        Err(Error::new(Code::FailedPrecondition, text))
    }

    /// Returns the number of examples that the next batch has.
    ///
    /// It is `batch_size`, or what is left for the last batch if that may be smaller. Fails with `OutOfRange`
    /// if there is no further batch.
    fn available(&self, order: &Order, limit: u64, name: &str) -> Result<u64> {
        let Some(epochs) = order.num_epochs else { return Ok(order.batch_size) };
        // Saturating: that many examples are never reached.
        let left = limit.saturating_mul(epochs).saturating_sub(self.position);
        if left >= order.batch_size {
            return Ok(order.batch_size);
        }
        if left > 0 && order.allow_smaller_final_batch {
            return Ok(left);
        }
        let text = format!(
            "input '{name}' has reached its limit of {epochs} epochs of {limit} examples (requested {}, {left} left)",
            order.batch_size
        );
        Err(Error::new(Code::OutOfRange, text))
    }

    /// Writes the numbers of the next `indices.len()` examples without advancing the position.
    fn fill(&mut self, order: &Order, limit: u64, indices: &mut [i64]) {
        let start = self.position;
        for (index, position) in indices.iter_mut().zip(start..) {
            let (epoch, offset) = (position / limit, position % limit);
            let number = if order.shuffle { self.permutation(epoch, limit).get(offset) } else { offset };
            // Below the limit, which came from an `i64`.
            *index = number.cast_signed();
        }
    }

    /// Returns the order of an epoch, which is kept until another epoch is asked for. A batch across the end
    /// of an epoch builds one new order.
    fn permutation(&mut self, epoch: u64, limit: u64) -> &Permutation {
        let seeds = self.seeds;
        if self.permutation.as_ref().is_none_or(|(known, _)| *known != epoch) {
            self.permutation = Some((epoch, Permutation::new(seeds, epoch, limit)));
        }
        &self.permutation.as_ref().expect("just made").1
    }
}
