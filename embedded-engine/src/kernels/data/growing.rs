//! Lists that only grow.

use super::position::Writer;
use session_core::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A shared list that only grows, so a position that refers to its items now finds them later.
pub(super) struct Growing<T>(Arc<Mutex<Vec<T>>>);

impl<T> Growing<T> {
    pub(super) fn new(items: Vec<T>) -> Growing<T> {
        Growing(Arc::new(Mutex::new(items)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing that runs under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, item: T) {
        self.lock().push(item);
    }
}

impl<T: Clone> Growing<T> {
    pub(super) fn get(&self, place: usize) -> Option<T> {
        self.lock().get(place).cloned()
    }
}

impl<T: Send + 'static> Growing<T> {
    /// Writes the present items, as [`Writer::list`] does.
    pub(super) fn save(
        &self,
        to: &mut Writer,
        write: impl Fn(&mut Writer, &T) -> Result<()> + Send + Sync + 'static,
    ) {
        let (list, count) = (self.clone(), self.lock().len());
        to.later(move |to| to.list(list.lock()[..count].iter(), &write));
    }
}

impl<T> Clone for Growing<T> {
    fn clone(&self) -> Growing<T> {
        Growing(self.0.clone())
    }
}

impl<T> Default for Growing<T> {
    fn default() -> Growing<T> {
        Growing::new(Vec::new())
    }
}
