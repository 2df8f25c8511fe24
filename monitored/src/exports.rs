//! The folder of an exporter: its numbered exports, and the journal of them.

use crate::exporter::Candidate;
use checkpoint::storage::replace_file;
use session_core::{Code, Error, Phase, Result};
use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file that lists the exports: a line each, with its number, its step, and the value of the metric or `-`.
const JOURNAL: &str = "exports.journal";
/// The first line of the journal.
const HEADER: &str = "exports 1";
/// The beginning of the name of an export that is being written.
const UNFINISHED: &str = "temp-";

type WriteModel = Box<dyn FnMut(&Path, &Path) -> Result<()> + Send>;

/// The exports of one exporter.
pub(crate) struct Exports {
    pub(crate) name: String,
    /// The number of exports that are kept; `None` for all.
    pub(crate) keep: Option<usize>,
    write: WriteModel,
    /// The exports of the folder, the newest last, once they were read.
    known: Option<Vec<Export>>,
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

    /// Reads the journal, so that a damaged one is reported before anything is trained.
    pub(crate) fn begin(&mut self, folder: &Path) -> Result<()> {
        self.known = Some(read(&folder.join(JOURNAL))?);
        Ok(())
    }

    /// Returns the value of the metric of the newest export.
    pub(crate) fn last_value(&self) -> Option<f64> {
        self.known.as_ref()?.last()?.value
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
        let mut exports = self.known.clone().unwrap_or_default();
        if exports.last().is_some_and(|last| last.step == candidate.step && last.value == value) {
            return Ok(None);
        }
        let place = |error: Error| {
            let text = format!("the exporter '{}' cannot export the checkpoint of step", self.name);
            error.context(format!("{text} {}", candidate.step)).with_phase(Phase::Save)
        };
        let number = number(folder, exports.last()).map_err(place)?;
        let (unfinished, made) =
            (folder.join(format!("{UNFINISHED}{number}")), folder.join(number.to_string()));
        let written = (self.write)(candidate.checkpoint, &unfinished)
            .and_then(|()| fs::rename(&unfinished, &made).map_err(Error::from));
        if let Err(error) = written {
            // The first error is the one to report.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(place(error));
        }
        exports.push(Export { number, step: candidate.step, value });
        let surplus = exports.len() - self.keep.map_or(exports.len(), |keep| keep.max(1).min(exports.len()));
        let removed: Vec<Export> = exports.drain(..surplus).collect();
        replace_file(folder.join(JOURNAL), text(&exports).as_bytes()).map_err(|error| place(error.into()))?;
        self.known = Some(exports);
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

/// Returns the number of a new export: the time in seconds, but above all that exist, so that the newest has the highest. Removes
/// what an interrupted export left.
fn number(folder: &Path, last: Option<&Export>) -> Result<u64> {
    fs::create_dir_all(folder)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut highest = last.map_or(0, |last| last.number);
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Ok(number) = name.parse::<u64>() {
            highest = highest.max(number);
        }
        if name.strip_prefix(UNFINISHED).is_some_and(|rest| rest.parse::<u64>().is_ok()) {
            fs::remove_dir_all(folder.join(name))?;
        }
    }
    Ok(now.max(highest.saturating_add(1)))
}

fn text(exports: &[Export]) -> String {
    let mut text = format!("{HEADER}\n");
    for Export { number, step, value } in exports {
        let value = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let _ = writeln!(text, "{number} {step} {value}");
    }
    text
}

fn read(journal: &Path) -> Result<Vec<Export>> {
    let text = match fs::read_to_string(journal) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
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

fn parse(text: &str) -> Option<Vec<Export>> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    lines.map(line).collect()
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
        assert_eq!(parse(&text(&exports)), Some(exports));
        for damaged in ["", "exports 2\n", "exports 1\n3 4", "exports 1\n3 4 x", "exports 1\n3 4 - 5"] {
            assert_eq!(parse(damaged), None, "{damaged}");
        }
    }
}
