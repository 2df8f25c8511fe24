//! The places of a shuffle's buffer.
//!
//! A pipeline that works ahead notes a position after every element, and a position contains the whole
//! buffer. Copying it each time would cost its size per element; the ring records the two places that an
//! element changes instead, and rebuilds the buffer of a position only when a checkpoint requests it.

use super::position::damaged;
use session_core::Result;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tensor::memory;

/// Places that are used again and again. As long as there is a [`View`] of what was in them, changes are
/// recorded, so a view costs as much as what changes after it and not as much as the whole buffer.
///
/// Numbers of places grow without limit; place `n` is at index `n mod capacity`. Memory grows with the places
/// that were really used, so a capacity of `u64::MAX` (the whole input) reserves nothing.
pub(super) struct Ring<T> {
    /// The number of places; at least 1.
    capacity: u64,
    /// The places and their history, which views share. Guarded, because a checkpoint reads a view in another
    /// thread.
    shared: Arc<Mutex<Places<T>>>,
}

/// The values and the recorded changes.
struct Places<T> {
    /// The value of each place; `None` for an empty one. Grows by one place at a time.
    values: Vec<Option<T>>,
    /// The recorded changes, oldest first.
    changes: VecDeque<Change<T>>,
    /// The number of changes before the recorded ones, so that views have absolute numbers.
    before: u64,
    /// For each view that may still be requested, the number of changes before it.
    views: VecDeque<(u64, Weak<()>)>,
}

/// A change, with what is needed to undo it.
enum Change<T> {
    /// A value came to a place, which held this one.
    Put(usize, Option<T>),
    /// A value was taken out of a place, into which the one at the start moved.
    Taken { place: usize, start: usize, value: T },
}

impl<T> Ring<T> {
    /// Makes a ring without values.
    pub(super) fn new(capacity: u64) -> Ring<T> {
        let (values, changes, before, views) = (Vec::new(), VecDeque::new(), 0, VecDeque::new());
        Ring { capacity, shared: Arc::new(Mutex::new(Places { values, changes, before, views })) }
    }

    /// Locks the places for a moment.
    fn lock(&self) -> MutexGuard<'_, Places<T>> {
        // Nothing that runs under the lock leaves it half done.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the index of the place with a number.
    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.capacity).unwrap_or(usize::MAX)
    }

    /// Returns the present items, to be read later. Costs no copy; changes are recorded from now until the
    /// view is dropped.
    pub(super) fn view(&self) -> View<T> {
        let mut places = self.lock();
        let (at, token) = (places.before + places.changes.len() as u64, Arc::new(()));
        places.views.push_back((at, Arc::downgrade(&token)));
        View { capacity: self.capacity, at, shared: self.shared.clone(), _token: token }
    }
}

impl<T: Clone> Ring<T> {
    /// Puts a value at the place with a number. The ring must have been filled without gaps up to it;
    /// otherwise the error is [`damaged`].
    pub(super) fn put(&mut self, number: u64, value: T) -> Result<()> {
        let place = self.place(number);
        let mut places = self.lock();
        if place == places.values.len() {
            memory::grow(&mut places.values, 1)?;
            places.values.push(None);
        }
        let before = places.values.get_mut(place).ok_or_else(damaged)?.replace(value);
        places.record(|| Change::Put(place, before));
        Ok(())
    }

    /// Takes the value at a place, and moves the one at the start into the hole.
    ///
    /// ```text
    /// start = 0, take(2, 0) of [a, b, c, d]  gives c and leaves [_, b, a, d]
    /// ```
    pub(super) fn take(&mut self, number: u64, start: u64) -> Result<T> {
        let (place, start) = (self.place(number), self.place(start));
        let mut places = self.lock();
        if place.max(start) >= places.values.len() {
            return Err(damaged());
        }
        places.values.swap(place, start);
        let value = places.values[start].take().ok_or_else(damaged)?;
        places.record(|| Change::Taken { place, start, value: value.clone() });
        Ok(value)
    }
}

impl<T> Places<T> {
    /// Records a change, if a view needs it, and forgets those that none needs any more. `change` is not
    /// called without a view, so a pipeline whose elements are made in the steps clones nothing.
    fn record(&mut self, change: impl FnOnce() -> Change<T>) {
        // Views are created in order, and the oldest is nearly always dropped first: only the front is
        // examined.
        while self.views.front().is_some_and(|(_, view)| view.strong_count() == 0) {
            self.views.pop_front();
        }
        let Some(&(oldest, _)) = self.views.front() else {
            // The change that is not recorded counts as well, so that later views have the right number.
            self.before += self.changes.len() as u64 + 1;
            self.changes.clear();
            return;
        };
        while self.before < oldest && self.changes.pop_front().is_some() {
            self.before += 1;
        }
        self.changes.push_back(change());
    }
}

/// The values of a ring at some moment. May be read in another thread, and outlive the ring's iterator.
pub(super) struct View<T> {
    /// The capacity of the ring.
    capacity: u64,
    /// The number of changes before it.
    at: u64,
    /// The places of the ring.
    shared: Arc<Mutex<Places<T>>>,
    /// Keeps the changes since then.
    _token: Arc<()>,
}

impl<T: Clone> View<T> {
    /// Returns the values of these numbers, in their order, as they were when the view was made.
    ///
    /// Costs one copy of the ring, and a step back for each change since then. The lock is held meanwhile, so
    /// the pipeline waits.
    ///
    /// # Errors
    ///
    /// [`damaged`] for a place that was empty.
    pub(super) fn values(&self, numbers: impl Iterator<Item = u64>) -> Result<Vec<T>> {
        let places = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = places.values.clone();
        let since = usize::try_from(self.at.checked_sub(places.before).ok_or_else(damaged)?);
        // From the youngest change to the oldest, each undone exactly as it was made.
        for change in places.changes.iter().skip(since.map_err(|_| damaged())?).rev() {
            match change {
                Change::Put(place, before) => values[*place].clone_from(before),
                Change::Taken { place, start, value } => {
                    values[*start] = Some(value.clone());
                    // With the drawn value at the start, one place is emptied and the rest of the slice stays
                    // without holes.
                    values.swap(*place, *start);
                }
            }
        }
        drop(places);
        let value = |number: u64| {
            let place = usize::try_from(number % self.capacity).ok()?;
            values.get(place)?.clone()
        };
        numbers.map(|number| value(number).ok_or_else(damaged)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_a_snapshot() {
        let mut ring = Ring::new(3);
        (0..3).for_each(|number| ring.put(number, number).unwrap());
        let first = ring.view();
        assert_eq!(ring.take(1, 0).unwrap(), 1);
        let second = ring.view();
        ring.put(3, 30).unwrap();
        assert_eq!(ring.take(3, 1).unwrap(), 30);
        ring.put(4, 40).unwrap();
        assert_eq!(first.values(0..3).unwrap(), [0, 1, 2]);
        assert_eq!(second.values(1..3).unwrap(), [0, 2]);
        assert_eq!(ring.view().values(2..5).unwrap(), [2, 0, 40]);
        drop(first);
        assert_eq!(second.values(1..3).unwrap(), [0, 2], "the younger view keeps what it needs");
    }

    #[test]
    fn changes_are_forgotten_when_no_view_needs_them() {
        let mut ring = Ring::new(2);
        let mut view = ring.view();
        for number in 0..1000 {
            ring.put(number, number).unwrap();
            assert_eq!(ring.take(number, number).unwrap(), number);
            view = ring.view();
            assert!(ring.lock().changes.len() <= 4);
        }
        drop(view);
        ring.put(0, 0).unwrap();
        assert!(ring.lock().changes.is_empty() && ring.lock().views.is_empty());
    }
}
