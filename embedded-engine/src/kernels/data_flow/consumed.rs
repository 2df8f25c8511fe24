//! The number of elements that steps have consumed from a queue whose pipeline restarts after a restore.

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
    let lists = graph.operations();
    let lists = lists.iter().filter_map(|operation| operation.attr(ATTRIBUTE).and_then(AttrValue::as_list));
    lists.flatten().filter_map(AttrValue::as_str).map(str::to_owned).collect()
}

/// The state of one dequeue operation.
pub(super) struct Consumed {
    /// The operation's.
    name: String,
    /// Held for a moment; while elements are left out the steps that take elements wait for it.
    count: Mutex<Count>,
}

#[derive(Default)]
struct Count {
    /// Elements that steps took, those before a restore included.
    taken: u64,
    /// The number of these elements that are still to be skipped.
    missing: u64,
}

impl Consumed {
    /// Returns the state of an operation that counts.
    pub(super) fn of(spec: &NodeSpec<'_>) -> Result<Option<Arc<Consumed>>> {
        if spec.operation.attr(ATTRIBUTE).is_none() {
            return Ok(None);
        }
        let name = spec.operation.name().to_owned();
        spec.state(|| Consumed { name, count: Mutex::default() }).map(Some)
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Skips the elements consumed before a restore. `leave_out` receives the number of missing elements and
    /// returns the number it skipped.
    pub(super) fn catch_up(&self, mut leave_out: impl FnMut(usize) -> Result<usize>) -> Result<()> {
        let mut count = self.lock();
        while count.missing > 0 {
            let taken = leave_out(usize::try_from(count.missing).unwrap_or(usize::MAX))?;
            count.missing = count.missing.saturating_sub(taken as u64);
        }
        Ok(())
    }

    /// Counts what a step took.
    pub(super) fn note<E>(consumed: Option<&Arc<Consumed>>, outcome: &Outcome<E>) {
        if let (Some(consumed), Ok(taken)) = (consumed, outcome) {
            let taken: &Taken<E> = taken;
            consumed.lock().taken += taken.len() as u64;
        }
    }
}

impl OpState for Consumed {
    fn export(&self) -> Vec<u8> {
        self.lock().taken.to_le_bytes().to_vec()
    }

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
        *count = Count { taken: position, missing };
        Ok(())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
