//! Lists that only grow.

use super::position::Writer;
use session_core::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A shared list that only grows, so a position that refers to its items now finds them later: the first `n`
/// items of then are the first `n` items of now. Used for what an epoch adds element by element, such as a
/// cache.
///
/// Clones are the same list.
pub(super) struct Growing<T>(Arc<Mutex<Vec<T>>>);

impl<T> Growing<T> {
    /// Makes a list of these items.
    pub(super) fn new(items: Vec<T>) -> Growing<T> {
        Growing(Arc::new(Mutex::new(items)))
    }

    /// Locks the items for a moment.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing that runs under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item at the end.
    pub(super) fn push(&self, item: T) {
        self.lock().push(item);
    }
}

impl<T: Clone> Growing<T> {
    /// Returns a clone of the item at an index, or `None` beyond the end.
    pub(super) fn get(&self, place: usize) -> Option<T> {
        self.lock().get(place).cloned()
    }
}

impl<T: Send + 'static> Growing<T> {
    /// Writes the present items, as [`Writer::list`] does: the number of items, then each of them with
    /// `write`.
    ///
    /// Only the length is noted now; items are written when the bytes are requested.
    pub(super) fn save(
        &self,
        to: &mut Writer,
        write: impl Fn(&mut Writer, &T) -> Result<()> + Send + Sync + 'static,
    ) {
        // The closure keeps the list itself alive, also after its iterator is gone.
        let (list, count) = (self.clone(), self.lock().len());
        // Items up to the count never change, so the lock is needed for the vector's memory only.
        to.later(move |to| to.list(list.lock()[..count].iter(), &write));
    }
}

impl<T> Clone for Growing<T> {
    /// Returns the same list, not a copy of it.
    fn clone(&self) -> Growing<T> {
        Growing(self.0.clone())
    }
}

impl<T> Default for Growing<T> {
    fn default() -> Growing<T> {
        Growing::new(Vec::new())
    }
}
