//! The folder of an exporter: its numbered exports, and the journal of them.

use crate::exporter::Candidate;
use checkpoint::storage::{LocalStorage, check_future_folder, replace_file};
use session_core::{Code, Error, Phase, Result};
use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file that lists the exports: a line each, with its number, its step, and the value of the metric or `-`. Another line has the
/// number of the export that is being written: what is in the folder and not listed belongs to somebody else.
const JOURNAL: &str = "exports.journal";
/// The first line of the journal.
const HEADER: &str = "exports 1";
/// The beginning of the line about an export that is being written.
const WRITING: &str = "writing ";
/// The beginning of the name of its folder.
const UNFINISHED: &str = "temp-";

type WriteModel = Box<dyn FnMut(&Path, &Path) -> Result<()> + Send>;

/// The exports of one exporter.
pub(crate) struct Exports {
    pub(crate) name: String,
    /// The number of exports that are kept; `None` for all.
    pub(crate) keep: Option<usize>,
    write: WriteModel,
    /// The contents of the folder's journal, once it was read.
    known: Option<Journal>,
}

/// The contents of the journal.
#[derive(Clone, Debug, Default, PartialEq)]
struct Journal {
    /// The exports, the newest last.
    exports: Vec<Export>,
    /// The number of an export that is being written, or whose writing was interrupted.
    writing: Option<u64>,
}

/// An export that was written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Export {
    number: u64,
    step: i64,
    value: Option<f64>,
}

impl Exports {
    pub(crate) fn new(name: String, write: WriteModel) -> Exports {
        Exports { name, keep: Some(5), write, known: None }
    }

    /// Reads the journal, and checks that exports can be written, so that a damaged journal and an obstacle are reported before
    /// anything is trained.
    pub(crate) fn begin(&mut self, folder: &Path) -> Result<()> {
        // An obstacle, such as a file in place of the folder, is found now and not after the first
        // evaluation.
        check_future_folder(&LocalStorage, folder, |name| name == JOURNAL).map_err(|error| {
            let error = Error::from(error).with_phase(Phase::Build);
            error.context(format!("the exporter '{}' cannot write into '{}'", self.name, folder.display()))
        })?;
        self.known = Some(read(&folder.join(JOURNAL))?);
        Ok(())
    }

    /// Returns the value of the metric of the newest export.
    pub(crate) fn last_value(&self) -> Option<f64> {
        self.known.as_ref()?.exports.last()?.value
    }

    /// Writes an export, unless the newest is of the same step. Removes those that are not kept any more.
    pub(crate) fn export(
        &mut self,
        folder: &Path,
        candidate: &Candidate<'_>,
        value: Option<f64>,
    ) -> Result<Option<PathBuf>> {
        if self.known.is_none() {
            self.begin(folder)?;
        }
        let Journal { mut exports, writing } = self.known.clone().unwrap_or_default();
        // A resumed training evaluates the checkpoint that it restored; exporting it again would only add a
        // copy.
        if exports.last().is_some_and(|last| last.step == candidate.step && last.value == value) {
            return Ok(None);
        }
        let place = |error: Error| {
            let text = format!("the exporter '{}' cannot export the checkpoint of step", self.name);
            error.context(format!("{text} {}", candidate.step)).with_phase(Phase::Save)
        };
        let save = |exports: &[Export], writing: Option<u64>| {
            let journal = Journal { exports: exports.to_vec(), writing };
            replace_file(folder.join(JOURNAL), text(&journal).as_bytes()).map_err(Error::from)?;
            Ok(journal)
        };
        // What an interrupted export left is removed first: its number is known from the journal, so nothing
        // else is touched.
        let begun = clear(folder, writing).and_then(|()| number(folder, exports.last()));
        // The journal names the export before anything is written, so that a crash leaves a folder that the
        // next run recognizes as its own.
        let number = begun.and_then(|number| save(&exports, Some(number)).map(|_| number)).map_err(place)?;
        let (unfinished, made) =
            (folder.join(format!("{UNFINISHED}{number}")), folder.join(number.to_string()));
        let written = (self.write)(candidate.checkpoint, &unfinished)
            // The rename makes the export appear completely or not at all to serving systems that watch the
            // folder.
            .and_then(|()| fs::rename(&unfinished, &made).map_err(Error::from));
        if let Err(error) = written {
            // The first error is the one to report.
            let _ = clear(folder, Some(number)).and_then(|()| save(&exports, None));
            return Err(place(error));
        }
        exports.push(Export { number, step: candidate.step, value });
        // At least one is kept, because the newest also holds the best value.
        let surplus = exports.len() - self.keep.map_or(exports.len(), |keep| keep.max(1).min(exports.len()));
        let removed: Vec<Export> = exports.drain(..surplus).collect();
        // The journal first, the removal after it: a crash in between leaves a folder too many, and never
        // lists one that is gone.
        self.known = Some(save(&exports, None).map_err(place)?);
        for export in removed {
            let old = folder.join(export.number.to_string());
            match fs::remove_dir_all(&old) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    log::warn!("the old export '{}' cannot be removed: {error}", old.display());
                }
                _ => {}
            }
        }
        log::info!("exported the checkpoint of step {} to {}", candidate.step, made.display());
        Ok(Some(made))
    }
}

/// Creates the folder of the exports, and removes what an interrupted export left there.
fn clear(folder: &Path, writing: Option<u64>) -> Result<()> {
    fs::create_dir_all(folder)?;
    let Some(number) = writing else { return Ok(()) };
    match fs::remove_dir_all(folder.join(format!("{UNFINISHED}{number}"))) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Returns the number of a new export: the time in seconds, but above all that exist, so that the newest has the highest.
fn number(folder: &Path, last: Option<&Export>) -> Result<u64> {
    // A clock before 1970 counts as 1970.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut highest = last.map_or(0, |last| last.number);
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        // Folders of others count as well: a new export must not collide with any of them.
        if let Ok(number) = name.strip_prefix(UNFINISHED).unwrap_or(name).parse::<u64>() {
            highest = highest.max(number);
        }
    }
    Ok(now.max(highest.saturating_add(1)))
}

fn text(Journal { exports, writing }: &Journal) -> String {
    let mut text = format!("{HEADER}\n");
    for Export { number, step, value } in exports {
        let value = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let _ = writeln!(text, "{number} {step} {value}");
    }
    if let Some(number) = writing {
        let _ = writeln!(text, "{WRITING}{number}");
    }
    text
}

fn read(journal: &Path) -> Result<Journal> {
    let text = match fs::read_to_string(journal) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Journal::default()),
        Err(error) => {
            return Err(Error::from(error).context(format!("cannot read '{}'", journal.display())));
        }
    };
    parse(&text).ok_or_else(|| {
        let text = format!(
            "'{}' is not the list of exports that an exporter wrote; move it away to begin a new list",
            journal.display()
        );
        Error::new(Code::DataLoss, text)
    })
}

fn parse(text: &str) -> Option<Journal> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    let mut journal = Journal::default();
    for text in lines {
        match text.strip_prefix(WRITING) {
            Some(number) => journal.writing = Some(number.parse().ok()?),
            None => journal.exports.push(line(text)?),
        }
    }
    Some(journal)
}

fn line(line: &str) -> Option<Export> {
    let mut words = line.split(' ');
    let (number, step) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let value = match words.next()? {
        "-" => None,
        value => Some(value.parse().ok()?),
    };
    words.next().is_none().then_some(Export { number, step, value })
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exports")
            .field("name", &self.name)
            .field("keep", &self.keep)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let exports = vec![
            Export { number: 3, step: -1, value: Some(0.1) },
            Export { number: u64::MAX, step: i64::MAX, value: Some(f64::NEG_INFINITY) },
            Export { number: 7, step: 0, value: None },
        ];
        for writing in [None, Some(8)] {
            let journal = Journal { exports: exports.clone(), writing };
            assert_eq!(parse(&text(&journal)), Some(journal));
        }
        for damaged in [
            "",
            "exports 2\n",
            "exports 1\n3 4",
            "exports 1\n3 4 x",
            "exports 1\n3 4 - 5",
            "exports 1\nwriting",
        ] {
            assert_eq!(parse(damaged), None, "{damaged}");
        }
    }
}
