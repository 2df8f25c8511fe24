//! The number of elements that steps have consumed from a queue whose pipeline restarts after a restore.
//!
//! Queue runners fill queues from their own threads, ahead of the steps, so the content of a queue at a
//! checkpoint is not what a resumed run needs. Instead the dequeue counts what its steps took. After a
//! restore the pipeline starts from its beginning, with the same seeds, and the first dequeue drops as many
//! elements: the next one is the one that the interrupted run would have taken.
//!
//! This works for pipelines whose order is the same in each run: one thread for each queue, and shuffling
//! queues that draw from a fixed number of elements (`store.rs`). The library of input pipelines marks them
//! with the attributes `_replayed` and `_replayable`.

use super::bounded::{Outcome, Taken};
use crate::kernel::NodeSpec;
use crate::resources::OpState;
use rustc_hash::FxHashSet;
use session_core::{AttrValue, Code, Error, Graph, Result};
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The attribute of the dequeue: the names of the operations of the pipeline that keep no state in checkpoints.
const ATTRIBUTE: &str = "_replayed";

/// Returns the operations of a graph whose state is reset after a restore. Their threads have run ahead of
/// the steps, so their state does not match the consumed elements.
pub(crate) fn replayed(graph: &Graph) -> FxHashSet<String> {
    let mut dequeues = graph.operations();
    dequeues.retain(|operation| operation.op_type().starts_with("QueueDequeue"));
    let lists =
        dequeues.iter().filter_map(|operation| operation.attr(ATTRIBUTE).and_then(AttrValue::as_list));
    lists.flatten().filter_map(AttrValue::as_str).map(str::to_owned).collect()
}

/// The state of one dequeue operation, under the operation's name in the checkpoint.
pub(super) struct Consumed {
    /// The operation's name, for messages.
    name: String,
    /// The numbers. Held for a moment; while elements are left out the steps that take elements wait for it.
    count: Mutex<Count>,
}

/// Two numbers of elements; the pipeline stands at `taken - missing`.
#[derive(Default)]
struct Count {
    /// The elements that steps took, those before a restore included.
    taken: u64,
    /// The number of these elements that are still to be skipped.
    missing: u64,
}

impl Consumed {
    /// Returns the state of an operation that counts, or `None` for one without the attribute.
    pub(super) fn of(spec: &NodeSpec<'_>) -> Result<Option<Arc<Consumed>>> {
        if spec.operation.attr(ATTRIBUTE).is_none() {
            return Ok(None);
        }
        let name = spec.operation.name().to_owned();
        spec.state(|| Consumed { name, count: Mutex::default() }).map(Some)
    }

    /// Locks the numbers.
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Skips the elements consumed before a restore. `leave_out` receives the number of missing elements and
    /// returns the number it skipped.
    ///
    /// An error leaves the rest missing, and the next dequeue goes on.
    pub(super) fn catch_up(&self, mut leave_out: impl FnMut(usize) -> Result<usize>) -> Result<()> {
        // The lock is held throughout: another step must not take an element that is to be skipped.
        let mut count = self.lock();
        while count.missing > 0 {
            let taken = leave_out(usize::try_from(count.missing).unwrap_or(usize::MAX))?;
            count.missing = count.missing.saturating_sub(taken as u64);
        }
        Ok(())
    }

    /// Counts what a step took; nothing where the operation does not count, or the dequeue failed.
    pub(super) fn note<E>(consumed: Option<&Arc<Consumed>>, outcome: &Outcome<E>) {
        if let (Some(consumed), Ok(taken)) = (consumed, outcome) {
            let taken: &Taken<E> = taken;
            consumed.lock().taken += taken.len() as u64;
        }
    }
}

impl OpState for Consumed {
    /// Returns the number of elements taken, in 8 bytes, little-endian.
    fn export(&self) -> Vec<u8> {
        self.lock().taken.to_le_bytes().to_vec()
    }

    /// Sets the number of elements to skip: those of the position beyond what the pipeline has given in this
    /// session.
    ///
    /// # Errors
    ///
    /// `DataLoss` for another number of bytes, `FailedPrecondition` for a position that the pipeline has
    /// passed already.
    fn import(&self, bytes: &[u8]) -> Result<()> {
        let bytes = bytes.try_into().map_err(|_| {
            let text = format!("the position of input '{}' has {} bytes, not 8", self.name, bytes.len());
            Error::new(Code::DataLoss, text)
        })?;
        let position = u64::from_le_bytes(bytes);
        let mut count = self.lock();
        // In a session that has run, the pipeline is where the last step left it.
        let reached = count.taken - count.missing;
        let Some(missing) = position.checked_sub(reached) else {
            let text = format!(
                "input '{}' has given {reached} elements in this session and cannot go back to the {position} of the checkpoint",
                self.name
            );
            return Err(Error::new(Code::FailedPrecondition, text));
        };
        // Taken counts from the beginning of the pipeline, so a further checkpoint is right at once.
        *count = Count { taken: position, missing };
        Ok(())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
