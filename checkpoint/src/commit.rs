//! Files that are written under a temporary name and then appear at once.

use crate::prefix;
use crate::storage::{Storage, WriteHint};
use crate::{Error, Result};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The text between the final name of an unfinished file and its [`Mark`].
const UNFINISHED: &str = ".tempstate";

/// The mark by which unfinished files are recognized as a saver's own: a unique number. A file
/// that only has a similar name belongs to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u64);

impl Mark {
    /// Creates a number that no other process, and no other call, has.
    pub(crate) fn new() -> Mark {
        // The standard library's hashers are keyed with random numbers of the system.
        let mut random = RandomState::new().build_hasher();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        random.write_u128(time.as_nanos());
        random.write_u32(std::process::id());
        Mark(random.finish())
    }

    /// Returns the name of an unfinished file, in the folder where it will be.
    pub(crate) fn temporary(self, target: &Path) -> PathBuf {
        prefix::with_suffix(target, &self.suffix())
    }

    /// Returns the final name of an unfinished file with this mark; `None` for any other.
    pub(crate) fn target_of(self, name: &str) -> Option<&str> {
        name.strip_suffix(self.suffix().as_str()).filter(|target| !target.is_empty())
    }

    fn suffix(self) -> String {
        format!("{UNFINISHED}{:020}", self.0)
    }
}

/// A file under its temporary name. Dropped before it is published, it is removed again.
#[derive(Debug)]
pub(crate) struct Unfinished {
    storage: Arc<dyn Storage>,
    temporary: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Unfinished {
    /// Chooses a temporary name; the caller creates the file.
    pub(crate) fn new(storage: &Arc<dyn Storage>, target: &Path, mark: Mark) -> Unfinished {
        let temporary = mark.temporary(target);
        Unfinished { storage: Arc::clone(storage), temporary, target: target.to_path_buf(), published: false }
    }

    /// Returns the temporary path.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Returns the final path.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Renames the finished file to its final name, replacing an older file.
    pub(crate) fn publish(mut self) -> Result<()> {
        // A rename within one folder is atomic, and replaces what has the name: a reader sees the old file or the new one, never a part.
        self.storage.rename(&self.temporary, &self.target).map_err(Error::io("rename to", &self.target))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: what a saver leaves behind is removed by the next one.
            let _ = self.storage.remove(&self.temporary);
        }
    }
}

/// Writes a whole file under a temporary name, and syncs it if it is to be durable.
pub(crate) fn write_unfinished(
    storage: &Arc<dyn Storage>,
    target: &Path,
    content: &[u8],
    durable: bool,
    mark: Mark,
) -> Result<Unfinished> {
    let unfinished = Unfinished::new(storage, target, mark);
    // Not direct: these files are small, and readers open them first.
    let hint = WriteHint::len(content.len() as u64);
    // Errors name the file that people know.
    let mut file = storage.create(unfinished.path(), hint).map_err(Error::io("create", target))?;
    file.write(content).map_err(Error::io("write", target))?;
    if durable {
        file.sync().map_err(Error::io("write", target))?;
    }
    Ok(unfinished)
}

/// Replaces a file at once: a reader sees the old content or the new.
pub(crate) fn replace(
    storage: &Arc<dyn Storage>,
    target: &Path,
    content: &[u8],
    durable: bool,
    mark: Mark,
) -> Result<()> {
    // The content must be on disk before the name is: file systems that delay allocation may otherwise leave
    // an empty file under the new name after a loss of power.
    write_unfinished(storage, target, content, durable, mark)?.publish()?;
    // Without this the rename itself may be lost, which leaves the old content: intact, but not what the
    // caller was promised.
    if durable {
        let directory = prefix::directory(target);
        storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_with_the_mark_are_ours() {
        let (mark, other) = (Mark::new(), Mark::new());
        assert_ne!(mark, other);
        let temporary = mark.temporary(Path::new("d/m.index"));
        let name = temporary.file_name().unwrap().to_str().unwrap();
        assert_eq!((mark.target_of(name), other.target_of(name)), (Some("m.index"), None));
        assert_eq!(prefix::parse(name), None, "an unfinished file is not part of a checkpoint");
        for name in ["m.index.tempstate5", "m.index.tempstate", "m.index"] {
            assert_eq!(mark.target_of(name), None, "{name}");
        }
    }
}
