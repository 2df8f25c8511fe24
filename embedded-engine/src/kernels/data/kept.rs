//! The state that iterators leave for later ones over the same dataset: the seeds of the next epoch, the
//! elements of a cache.
//!
//! The operation that made a dataset holds an *origin* of such state. It is never changed: each iterator of
//! the session forks its own state from the origin at the first use. Two iterators that one initialized
//! dataset serves thus see the same epochs, and a position contains all state that its elements depend on.
//!
//! A function may make datasets in each call, each with an origin of its own. Entries whose dataset is gone
//! are removed from time to time, so the table has at most 32 entries, or about twice as many as there are
//! live datasets.

use super::dataset::Dataset;
use super::position::{Reader, Writer};
use rustc_hash::FxHashMap;
use session_core::Result;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The state that belongs to one iterator of the session and to the iterators inside it. Two iterators over one dataset share
/// none of it, so neither sees how far the other one is.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// Guards the table, not the states.
    table: Arc<Mutex<Table>>,
}

/// The states of one iterator of the session.
#[derive(Default)]
struct Table {
    /// The entries by the address of the dataset's own state, which stays taken as long as an entry refers to it.
    entries: FxHashMap<usize, Entry>,
    /// Entries of datasets that are gone are removed when there are as many entries.
    limit: usize,
}

/// A state, and the origin from which it was forked.
struct Entry {
    /// Keeps the address taken, and tells whether the dataset still exists.
    origin: Weak<dyn Any + Send + Sync>,
    /// The iterator's own state, of the type of the origin.
    state: Arc<dyn Any + Send + Sync>,
}

/// The fewest entries at which a table is searched for those of datasets that are gone.
const LIMIT: usize = 32;

impl Kept {
    /// Returns the iterator's own state in place of a dataset's, made from it with `fork` at the first use.
    /// Later calls with the same origin return the same state.
    pub(super) fn of<T: Any + Send + Sync>(&self, origin: &Arc<T>, fork: impl FnOnce(&T) -> T) -> Arc<T> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // The address identifies the origin: a weak reference keeps the allocation, so no other dataset can
        // get it.
        let key = Arc::as_ptr(origin).addr();
        // A state has the type of its origin, so the downcast does not fail for an address in the table.
        let found = table.entries.get(&key).and_then(|entry| entry.state.clone().downcast().ok());
        if let Some(state) = found {
            return state;
        }
        // Functions make datasets without end.
        if table.entries.len() >= table.limit.max(LIMIT) {
            // Doubling the limit keeps the cost of the sweeps constant for each new entry.
            table.entries.retain(|_, entry| entry.origin.strong_count() > 0);
            table.limit = 2 * table.entries.len();
        }
        let state = Arc::new(fork(origin));
        let origin: Arc<dyn Any + Send + Sync> = origin.clone();
        table.entries.insert(key, Entry { origin: Arc::downgrade(&origin), state: state.clone() });
        state
    }

    /// Writes the state of a dataset and its inputs, the dataset first, then each input with its own inputs,
    /// in order.
    ///
    /// A dataset that occurs twice in a pipeline is written twice, with the same content.
    pub(super) fn save(&self, dataset: &dyn Dataset, to: &mut Writer) -> Result<()> {
        dataset.save(self, to)?;
        dataset.inputs().into_iter().try_for_each(|input| self.save(input.as_ref(), to))
    }

    /// Reads what [`save`](Self::save) wrote, for an equal pipeline.
    pub(super) fn restore(&self, dataset: &dyn Dataset, from: &mut Reader<'_>) -> Result<()> {
        dataset.restore(self, from)?;
        dataset.inputs().into_iter().try_for_each(|input| self.restore(input.as_ref(), from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_iterator_has_one_state_of_a_dataset_and_none_of_those_that_are_gone() {
        let (first, second, origin) = (Kept::default(), Kept::default(), Arc::new(Mutex::new(5)));
        let fork = |origin: &Mutex<i32>| Mutex::new(*origin.lock().unwrap());
        *first.of(&origin, fork).lock().unwrap() += 1;
        assert_eq!(*first.of(&origin, fork).lock().unwrap(), 6);
        assert_eq!(*second.of(&origin, fork).lock().unwrap(), 5);
        for number in 0..1000 {
            assert_eq!(*first.of(&Arc::new(Mutex::new(number)), fork).lock().unwrap(), number);
        }
        assert!(first.table.lock().unwrap().entries.len() <= LIMIT);
        assert_eq!(*first.of(&origin, fork).lock().unwrap(), 6);
    }
}
