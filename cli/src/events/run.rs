//! The events of a run, read once from the beginning to the end.
//!
//! Files are visited in the order of their names, which begin with the time of their creation. Events are handed over
//! one at a time, so the memory does not depend on the size of the files.
//!
//! # Parts that cannot be read
//!
//! | found | consequence |
//! |---|---|
//! | a file ends within an event | reported with its offset; not damage, since its training may still be running |
//! | an event that cannot be decoded | damage; the next event is read |
//! | a record with a wrong checksum | damage; the rest of the file is not read, because lengths are not reliable any more |
//! | a file that cannot be opened | damage; the other files are read |

use crate::output::{Outcome, chain};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use summary::{Event, EventError, EventReader, run_files};
use tensor::text::escaped;

/// The parts of a run that cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    /// The damage, with file and offset.
    pub(crate) damage: Vec<String>,
    /// The files that end within an event, which is not damage, with the offset.
    pub(crate) unfinished: Vec<(PathBuf, u64)>,
}

/// Calls `visit` with every event of a run and its file, and returns the parts that cannot be read.
pub(crate) fn each_event(
    path: &Path,
    mut visit: impl FnMut(&Path, Event),
) -> std::result::Result<Unreadable, EventError> {
    let mut unreadable = Unreadable::default();
    for file in run_files(path)? {
        // A damaged file does not hide the others, whose events are still worth showing.
        if let Err(error) = each_of_file(&file, &mut unreadable, &mut visit) {
            unreadable.damage.push(chain(&error));
        }
    }
    Ok(unreadable)
}

/// Visits the events of one file. A file that ends within an event is complete up to there: its training runs, or was
/// killed.
fn each_of_file(
    file: &Path,
    unreadable: &mut Unreadable,
    visit: &mut impl FnMut(&Path, Event),
) -> std::result::Result<(), EventError> {
    let mut reader = EventReader::open(file)?;
    loop {
        match reader.next_event() {
            Ok(Some(event)) => visit(file, event),
            Ok(None) => return Ok(()),
            // The most common end of a file: its writer is still running.
            Err(EventError::Record(error)) if error.is_truncated() => {
                unreadable.unfinished.push((file.to_path_buf(), reader.offset()));
                return Ok(());
            }
            // One bad event does not make the next ones unreadable.
            Err(error @ EventError::Decode { .. }) => unreadable.damage.push(chain(&error)),
            Err(error) => return Err(error),
        }
    }
}

impl Unreadable {
    /// Returns `Bad` if the run is damaged.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.damage.is_empty() { Outcome::Good } else { Outcome::Bad }
    }

    /// Reports it on the error stream, apart from the output.
    pub(crate) fn report(&self) {
        let mut errors = io::stderr().lock();
        // Nothing is left to report to if this fails.
        for (file, offset) in &self.unfinished {
            let _ = writeln!(
                errors,
                "monitored: {} ends within an event at offset {offset}",
                escaped(file.display())
            );
        }
        for damage in &self.damage {
            let _ = writeln!(errors, "monitored: damaged: {}", escaped(damage));
        }
    }
}
