//! Files that are written under a temporary name and then appear at once.

use crate::prefix;
use crate::storage::{Storage, WriteHint};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    pub(crate) fn new(storage: &Arc<dyn Storage>, target: &Path) -> Unfinished {
        let temporary = prefix::temporary(target);
        Unfinished { storage: Arc::clone(storage), temporary, target: target.to_path_buf(), published: false }
    }

    /// Where it is now.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives the file its name, in place of an older one.
    pub(crate) fn publish(mut self) -> Result<()> {
        self.storage.rename(&self.temporary, &self.target).map_err(Error::io("rename to", &self.target))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: what stays behind is removed at the next start.
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
) -> Result<Unfinished> {
    let unfinished = Unfinished::new(storage, target);
    let hint = WriteHint::len(content.len() as u64);
    let mut file = storage.create(unfinished.path(), hint).map_err(Error::io("create", unfinished.path()))?;
    file.write(content).map_err(Error::io("write", unfinished.path()))?;
    if durable {
        file.sync().map_err(Error::io("write", unfinished.path()))?;
    }
    Ok(unfinished)
}

/// Replaces a file at once: a reader sees the old content or the new.
pub(crate) fn replace(
    storage: &Arc<dyn Storage>,
    target: &Path,
    content: &[u8],
    durable: bool,
) -> Result<()> {
    write_unfinished(storage, target, content, durable)?.publish()?;
    if durable {
        let directory = prefix::directory(target);
        storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
    }
    Ok(())
}
