//! The positions of keys in a list, so that lists without duplicates are built in linear time.

use rustc_hash::FxHashMap;
use std::hash::Hash;

/// The number of keys up to which the list is scanned.
const SCAN: usize = 16;

/// The positions of the keys of a list without duplicates, such as the fetches of a run.
///
/// ```
/// use session_core::PositionIndex;
///
/// let (mut list, mut places) = (Vec::new(), PositionIndex::default());
/// for number in [3u32, 5, 3] {
///     if places.find(number, list.iter().copied()).is_none() {
///         list.push(number);
///     }
/// }
/// assert_eq!(list, [3, 5]);
/// ```
#[derive(Clone, Debug)]
pub struct PositionIndex<K> {
    /// Built once the list is too long to scan. Boxed, because most lists are short and exist for a single
    /// run.
    index: Option<Box<FxHashMap<K, usize>>>,
}

impl<K> Default for PositionIndex<K> {
    fn default() -> PositionIndex<K> {
        PositionIndex { index: None }
    }
}

impl<K: Copy + Eq + Hash> PositionIndex<K> {
    /// Returns the position of a key in the current list. If the key is absent, the caller must append it.
    #[inline]
    pub fn find(&mut self, key: K, mut list: impl ExactSizeIterator<Item = K>) -> Option<usize> {
        // For so few keys a scan is faster than hashing, and allocates nothing.
        if list.len() <= SCAN {
            return list.position(|known| known == key);
        }
        self.look_up(key, list)
    }

    #[inline(never)]
    fn look_up(&mut self, key: K, list: impl ExactSizeIterator<Item = K>) -> Option<usize> {
        let next = list.len();
        let index = self.index.get_or_insert_default();
        // The list has grown, or is another one, since the index was built.
        if index.len() != next {
            index.clear();
            index.extend(list.enumerate().map(|(place, key)| (key, place)));
        }
        // Inserted at once: the caller appends the key, so the index stays current.
        let place = *index.entry(key).or_insert(next);
        (place < next).then_some(place)
    }

    /// Forgets the list to start another one.
    #[inline]
    pub fn clear(&mut self) {
        self.index = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_short_and_long_lists() {
        let (mut list, mut places) = (Vec::new(), PositionIndex::default());
        for round in 0..2 {
            for key in 0..100u32 {
                let place = places.find(key, list.iter().copied());
                assert_eq!(place, (round > 0).then_some(key as usize));
                if place.is_none() {
                    list.push(key);
                }
            }
        }
        list.clear();
        places.clear();
        for key in (0..100u32).rev() {
            assert_eq!(places.find(key, list.iter().copied()), None);
            list.push(key);
        }
        assert_eq!(places.find(99, list.iter().copied()), Some(0));
    }
}
