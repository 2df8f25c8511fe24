//! The positions of values in event files. Images, audio, and texts stay in the files and are read when they are shown.

use crate::Error;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::Path;
use summary::record::RecordReader;
use summary::{Event, EventReader};

/// The longest record that is read. It bounds the memory that one event takes.
pub(crate) const MAX_RECORD: u64 = 64 << 20;

/// A value, or an event without one, in a run's files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// The step of the event.
    pub(crate) step: i64,
    /// The time of the event, in seconds since 1970.
    pub(crate) wall: f64,
    /// The index of the run's file.
    pub(crate) file: u32,
    /// The offset of the event's record.
    pub(crate) offset: u64,
    /// The index of the value in the event's summary.
    pub(crate) value: u32,
}

impl Place {
    /// The place as a word by which the page names it.
    ///
    /// Requests name a sample in this way. The word is only compared with those of known places, never parsed, so a
    /// request cannot point to any other bytes of a file.
    pub(crate) fn word(&self) -> String {
        format!("{}-{}-{}", self.file, self.offset, self.value)
    }
}

/// The places of one tag, in bounded memory: beyond a limit every second one is dropped and only every n-th of the following ones is kept,
/// so that the kept ones stay evenly spread. The last one is always kept.
#[derive(Debug)]
pub(crate) struct Places {
    /// The kept places, in the order of the files.
    places: Vec<Place>,
    /// The last place, unless it is in the list.
    last: Option<Place>,
    /// One of this number of places is kept, a power of two.
    every: u64,
    /// The number of all places, kept or not.
    total: u64,
}

/// The most places of a tag that are kept.
const KEPT: usize = 1024;

impl Default for Places {
    /// Returns an empty list, which keeps every place until it is halved for the first time.
    fn default() -> Places {
        Places { places: Vec::new(), last: None, every: 1, total: 0 }
    }
}

impl Places {
    /// Adds the place of a new value.
    pub(crate) fn push(&mut self, place: Place) {
        if self.total.is_multiple_of(self.every) {
            self.places.push(place);
            self.last = None;
        } else {
            self.last = Some(place);
        }
        self.total += 1;
        if self.places.len() > KEPT {
            self.halve();
        }
    }

    /// Drops every second place.
    pub(crate) fn halve(&mut self) {
        // The last place of all may be among those that are dropped, and must be kept.
        self.last = self.last.or_else(|| self.places.last().copied());
        let mut index = 0;
        self.places.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.places.shrink_to_fit();
        self.every *= 2;
        // The last one may have stayed.
        self.last = self.last.filter(|last| self.places.last() != Some(last));
    }

    /// Drops the places of a step and all later ones, which a restart has made void. The total is then an estimate: each kept place stands
    /// for `every` ones.
    pub(crate) fn drop_from(&mut self, first: i64) {
        let before = self.kept();
        self.places.retain(|place| place.step < first);
        self.last = self.last.filter(|place| place.step < first);
        let dropped = (before - self.kept()) as u64 * self.every;
        self.total = self.total.saturating_sub(dropped).max(self.kept() as u64);
    }

    /// Returns the number of places in memory.
    pub(crate) fn kept(&self) -> usize {
        self.places.len() + usize::from(self.last.is_some())
    }

    /// Returns the number of values in the files.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Iterates over the kept places in the order of the files.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Place> {
        self.places.iter().chain(&self.last)
    }

    /// Returns the first kept place.
    pub(crate) fn first(&self) -> Option<&Place> {
        self.iter().next()
    }

    /// Returns the place of the last value.
    pub(crate) fn last(&self) -> Option<&Place> {
        self.iter().next_back()
    }

    /// Returns at most this many, evenly spread, with the last one.
    pub(crate) fn spread(&self, limit: usize) -> Vec<Place> {
        let count = self.kept();
        let wanted = count.min(limit.max(1));
        let places: Vec<&Place> = self.iter().collect();
        let pick = |index: usize| match wanted {
            0 | 1 => count.saturating_sub(1),
            // Evenly over the indices, with the first and the last one.
            _ => index * (count - 1) / (wanted - 1),
        };
        (0..wanted).map(|index| *places[pick(index)]).collect()
    }
}

/// Opens an event file from an offset on.
///
/// # Errors
/// [`Error::NotFound`] if the file cannot be opened.
pub(crate) fn open(path: &Path, offset: u64) -> Result<EventReader, Error> {
    let broken = |error: std::io::Error| Error::NotFound(format!("cannot read {}: {error}", path.display()));
    let mut file = File::open(path).map_err(broken)?;
    file.seek(SeekFrom::Start(offset)).map_err(broken)?;
    let records = RecordReader::new(BufReader::with_capacity(1 << 16, file)).with_max_len(MAX_RECORD);
    Ok(EventReader::new(records))
}

/// Reads the event at an offset again.
///
/// # Errors
/// [`Error::NotFound`] if the file is gone, shorter than before, or damaged at the offset.
pub(crate) fn read(path: &Path, offset: u64) -> Result<Event, Error> {
    let gone =
        |why: &str| Error::NotFound(format!("the event at offset {offset} of {} {why}", path.display()));
    match open(path, offset)?.next_event() {
        Ok(Some(event)) => Ok(event),
        Ok(None) => Err(gone("is gone")),
        Err(error) => Err(gone(&format!("cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: u64) -> Places {
        let mut places = Places::default();
        for step in 0..count {
            places.push(Place { step: step as i64, wall: 0.0, file: 0, offset: step, value: 0 });
        }
        places
    }

    #[test]
    fn some_of_many_places_and_the_last_are_kept() {
        for count in [0, 1, 2, 1023, 1024, 1025, 5000, 100_001] {
            let places = places(count);
            assert!(places.kept() <= KEPT + 1, "{count}: {}", places.kept());
            assert_eq!(places.total(), count);
            assert_eq!(places.last().map(|place| place.offset + 1).unwrap_or(0), count);
            let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
            assert!(offsets.is_sorted_by(|a, b| a < b), "{count}: each once and in order");
        }
    }

    #[test]
    fn a_sample_is_spread_evenly() {
        let steps = |count, limit| -> Vec<i64> {
            places(count).spread(limit).iter().map(|place| place.step).collect()
        };
        assert_eq!(steps(5, 10), [0, 1, 2, 3, 4]);
        assert_eq!(steps(101, 3), [0, 50, 100]);
        assert_eq!(steps(7, 1), [6]);
        assert!(steps(0, 3).is_empty());
    }
}
