//! The journal of a folder: it records which files savers wrote.
//!
//! A name proves nothing: a folder may hold files of other programs, or checkpoints that are being copied
//! in, under any name. So a saver removes only what is written down here:
//!
//! - files that are not finished: their names end in the folder's *mark*, a unique number;
//! - files of a checkpoint whose save was interrupted after the first of them had got its name;
//! - checkpoints that are no longer wanted, if the index of each is still the one that a saver wrote.
//!
//! The journal is a text file. In a copy of the folder it is as true as in the folder itself. Where it is
//! lost, files are left alone that could have been removed, and none is removed that should stay.

use crate::bundle::{Identity, Replaced};
use crate::commit::{self, Mark};
use crate::storage::{Storage, WriteHint};
use crate::text_format::{Lexer, quoted};
use crate::{Error, Result};
use std::fmt::Write;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use tensor::text::escaped;
use wire::crc;

/// The journal's name in its folder.
pub(crate) const JOURNAL: &str = "checkpoint.journal";

/// The first line.
const TITLE: &str = "# Which files in this folder savers wrote; without it none is removed. Version 1";

/// The longest journal that is read: one line for each checkpoint that savers keep.
const MAX_LEN: u64 = 256 << 20;

/// A checkpoint that a saver wrote. Names are those of prefixes, without the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) save: Identity,
    pub(crate) num_shards: u32,
    /// The name of the meta graph's file, if it has one.
    pub(crate) meta: Option<String>,
}

/// The save that was under way when the journal was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publishing {
    pub(crate) written: Written,
    /// Checksum and length of the meta graph's file.
    pub(crate) meta: Option<(u32, u64)>,
    pub(crate) replaces: Option<Replaced>,
}

/// The content of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Journal {
    /// The mark of unfinished files. Absent before a saver has locked the folder.
    pub(crate) mark: Option<Mark>,
    pub(crate) written: Vec<Written>,
    pub(crate) publishing: Option<Publishing>,
    /// The file is another program's, and is left alone.
    foreign: bool,
}

impl Journal {
    /// Reads the journal of a folder; an empty one if there is none.
    pub(crate) fn read(storage: &dyn Storage, directory: &Path) -> Result<Journal> {
        let path = directory.join(JOURNAL);
        let file = match storage.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Journal::default()),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        // What lies beyond the limit is cut off instead of refused: lines that are not read only keep files
        // from being removed.
        let len = file.len().map_err(Error::io("open", &path))?.min(MAX_LEN);
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
        let journal = Journal::parse(&bytes);
        if journal.foreign {
            log::warn!(
                "{} is not a journal of this program: old checkpoints are not deleted",
                escaped(path.display())
            );
        }
        Ok(journal)
    }

    fn parse(bytes: &[u8]) -> Journal {
        // A loss of power may leave this of a file that was never complete.
        if bytes.iter().all(|&byte| byte == 0) {
            return Journal::default();
        }
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        // A journal of a later version has another title. It is neither read nor overwritten. The whole line is
        // compared, because version 10 begins like version 1.
        let (title, lines) = text.split_once('\n').unwrap_or((text, ""));
        if title != TITLE {
            return Journal { foreign: true, ..Journal::default() };
        }
        let mut journal = Journal::default();
        for line in lines.lines() {
            // A line that cannot be read proves nothing.
            let _ = journal.take(line);
        }
        journal
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (what, rest) = line.split_once(' ')?;
        match what {
            "mark" => self.mark = Some(Mark(rest.parse().ok()?)),
            "written" => self.written.push(written(rest)?),
            "saving" => {
                self.publishing = Some(Publishing { written: written(rest)?, meta: None, replaces: None });
            }
            "meta" => {
                // These lines follow the `saving` line that they belong to. Alone they mean nothing and are
                // dropped.
                let [crc, len] = numbers(rest)?;
                self.publishing.as_mut()?.meta = Some((u32::try_from(crc).ok()?, len));
            }
            "replaces" => {
                let [crc, len, shards] = numbers(rest)?;
                let identity = (u32::try_from(crc).ok()?, len);
                let replaced = Replaced { identity, num_shards: u32::try_from(shards).ok()? };
                self.publishing.as_mut()?.replaces = Some(replaced);
            }
            _ => {}
        }
        Some(())
    }

    fn to_text(&self) -> String {
        let mut out = format!("{TITLE}\n");
        let entry = |out: &mut String, what: &str, Written { name, save, num_shards, meta }: &Written| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{what} {} {} {} {num_shards}", quoted(name), save.0, save.1);
            let _ = match meta {
                Some(meta) => writeln!(out, " {}", quoted(meta)),
                None => writeln!(out),
            };
        };
        if let Some(Mark(mark)) = self.mark {
            let _ = writeln!(out, "mark {mark}");
        }
        self.written.iter().for_each(|written| entry(&mut out, "written", written));
        if let Some(Publishing { written, meta, replaces }) = &self.publishing {
            entry(&mut out, "saving", written);
            if let Some((crc, len)) = meta {
                let _ = writeln!(out, "meta {crc} {len}");
            }
            if let Some(Replaced { identity: (crc, len), num_shards }) = replaces {
                let _ = writeln!(out, "replaces {crc} {len} {num_shards}");
            }
        }
        out
    }

    /// Puts the journal in its place; the caller syncs the folder.
    pub(crate) fn write(
        &self,
        storage: &Arc<dyn Storage>,
        directory: &Path,
        mark: Mark,
        durable: bool,
    ) -> Result<()> {
        if self.foreign {
            return Ok(());
        }
        let text = self.to_text();
        commit::write_unfinished(storage, &directory.join(JOURNAL), text.as_bytes(), durable, mark)?.publish()
    }

    /// Creates the journal of a folder that has none, or an empty one. It is written in its final place, because
    /// no mark is on disk yet by which an unfinished file could be known.
    pub(crate) fn begin(&self, storage: &Arc<dyn Storage>, directory: &Path, durable: bool) -> Result<()> {
        if self.foreign {
            return Ok(());
        }
        let (path, text) = (directory.join(JOURNAL), self.to_text());
        let hint = WriteHint::len(text.len() as u64);
        let mut file = storage.create(&path, hint).map_err(Error::io("create", &path))?;
        file.write(text.as_bytes()).map_err(Error::io("write", &path))?;
        if durable {
            file.sync().map_err(Error::io("write", &path))?;
            storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
        }
        Ok(())
    }

    /// The save that was under way has ended well.
    pub(crate) fn complete(&mut self) {
        if let Some(Publishing { written, .. }) = self.publishing.take() {
            // A prefix that was saved again has one entry: the identity of the save before it would match no
            // file any more.
            self.forget(&written.name);
            self.written.push(written);
        }
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.written.retain(|written| written.name != name);
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Written> {
        self.written.iter().find(|written| written.name == name)
    }
}

impl Publishing {
    pub(crate) fn new(written: Written, meta: Option<&[u8]>, replaces: Option<Replaced>) -> Publishing {
        let meta = meta.map(|bytes| (crc::crc32c(bytes), bytes.len() as u64));
        Publishing { written, meta, replaces }
    }
}

fn written(text: &str) -> Option<Written> {
    let mut lexer = Lexer::new(text);
    let name = file_name(&mut lexer)?;
    let (rest, meta) = match lexer.rest().find('"') {
        Some(quote) => {
            let (numbers, meta) = lexer.rest().split_at(quote);
            (numbers, Some(file_name(&mut Lexer::new(meta))?))
        }
        None => (lexer.rest(), None),
    };
    let [crc, len, shards] = numbers(rest)?;
    let (crc, num_shards) = (u32::try_from(crc).ok()?, u32::try_from(shards).ok()?);
    Some(Written { name, save: (crc, len), num_shards, meta })
}

/// Returns a name in quotation marks that leads nowhere but into its folder.
fn file_name(lexer: &mut Lexer<'_>) -> Option<String> {
    let name = String::from_utf8(lexer.string().ok()?).ok()?;
    let mut components = Path::new(&name).components();
    let plain = matches!(components.next(), Some(Component::Normal(first)) if first == name.as_str());
    (plain && components.next().is_none()).then_some(name)
}

fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_files_are_read_back() {
        let written = |name: &str| {
            let meta = (name == "m-1").then(|| "m-1.meta".to_owned());
            Written { name: name.to_owned(), save: (7, 8), num_shards: 2, meta }
        };
        let replaces = Some(Replaced { identity: (1, 2), num_shards: 3 });
        let mut journal = Journal {
            mark: Some(Mark(u64::MAX)),
            written: vec![written("m-1"), written("a \"b\"")],
            publishing: Some(Publishing::new(written("m-1"), Some(b"graph"), replaces)),
            foreign: false,
        };
        assert_eq!(Journal::parse(journal.to_text().as_bytes()), journal);
        journal.complete();
        assert_eq!(journal.written, [written("a \"b\""), written("m-1")]);
        assert_eq!(Journal::parse(journal.to_text().as_bytes()), journal);
    }

    #[test]
    fn names_lead_only_into_the_folder() {
        for name in ["../m", "/etc/m", "a/m", ".", "..", ""] {
            let journal = Journal::parse(format!("{TITLE}\nwritten \"{name}\" 1 2 3\n").as_bytes());
            assert!(journal.written.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_file_of_another_program_is_recognized() {
        assert!(Journal::parse(b"dear diary").foreign);
        assert!(Journal::parse(format!("{TITLE}0\n").as_bytes()).foreign, "a later version");
        assert!(!Journal::parse(&[0; 30]).foreign && !Journal::parse(b"").foreign);
    }
}
