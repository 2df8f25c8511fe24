//! A saver's hold on a folder: the lock, and tidying up after a save that was killed.

use crate::bundle::{BundleReader, ReadOptions};
use crate::prefix::{self, Part};
use crate::storage::{Lock, Storage};
use crate::{Error, Result};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that is locked. It stays behind: removing it would let two processes lock two files.
const LOCK_FILE: &str = "checkpoint.lock";

/// The lock on a folder, given back when this is dropped.
pub(super) struct Hold {
    _lock: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

/// Locks a folder. If nobody in this process had locked it before, removes what a killed save left.
pub(super) fn hold(
    storage: &Arc<dyn Storage>,
    directory: &Path,
    lock: bool,
    state_file: &str,
    now: f64,
) -> Result<Hold> {
    if !lock {
        return Ok(Hold { _lock: None });
    }
    let path = directory.join(LOCK_FILE);
    let owner = format!("process {} since {now:.0}\n", std::process::id());
    match storage.lock(&path, &owner) {
        Ok(Lock::Held { guard, first }) => {
            if first {
                remove_leftovers(storage, directory, state_file);
            }
            Ok(Hold { _lock: Some(guard) })
        }
        Ok(Lock::Busy(holder)) => Err(Error::Locked { directory: directory.to_path_buf(), holder }),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            log::warn!("no lock on {}: {error}", directory.display());
            Ok(Hold { _lock: None })
        }
        Err(error) => Err(Error::io("lock", &path)(error)),
    }
}

/// Removes what a killed save left. Only called under the lock. What cannot be removed is logged.
fn remove_leftovers(storage: &Arc<dyn Storage>, directory: &Path, state_file: &str) {
    let names = match prefix::file_names(storage.as_ref(), directory) {
        Ok(names) => names,
        Err(error) => {
            log::warn!("cannot list {}: {error}", directory.display());
            return;
        }
    };
    for name in leftovers(storage, directory, state_file, &names) {
        match storage.remove(&directory.join(name)) {
            Ok(()) => log::info!("removed {name}, left by an interrupted save"),
            Err(error) => log::warn!("cannot remove {name}, left by an interrupted save: {error}"),
        }
    }
}

/// The files that no finished checkpoint has: unfinished ones by their names; data and session states
/// without an index; data that the index of their prefix does not count.
fn leftovers<'n>(
    storage: &Arc<dyn Storage>,
    directory: &Path,
    state_file: &str,
    names: &'n [String],
) -> Vec<&'n str> {
    let unfinished = |name: &&str| {
        prefix::of_temporary(name)
            .is_some_and(|target| target == state_file || prefix::parse(target).is_some())
    };
    let mut found: Vec<&str> = names.iter().map(String::as_str).filter(unfinished).collect();
    let mut stems: BTreeMap<&str, Vec<(&str, Part)>> = BTreeMap::new();
    for name in names {
        if let Some((stem, part)) = prefix::parse(name) {
            stems.entry(stem).or_default().push((name, part));
        }
    }
    for (stem, files) in stems {
        if files.iter().any(|(_, part)| *part == Part::Index) {
            found.extend(uncounted(storage, &directory.join(stem), &files));
        } else if files.iter().any(|(_, part)| matches!(part, Part::Data { .. })) {
            found.extend(files.iter().map(|(name, _)| name));
        } else {
            found.extend(files.iter().filter(|(_, part)| *part == Part::Sidecar).map(|(name, _)| name));
        }
    }
    found
}

/// Data files of a replaced checkpoint: their names count other shards than the index does. Looked at
/// only where names disagree, so that a folder with many checkpoints costs nothing.
fn uncounted<'n>(storage: &Arc<dyn Storage>, prefix: &PathBuf, files: &[(&'n str, Part)]) -> Vec<&'n str> {
    let count = |part: &Part| match part {
        Part::Data { num_shards, .. } => Some(*num_shards),
        _ => None,
    };
    let mut counts = files.iter().filter_map(|(_, part)| count(part));
    let first = counts.next();
    if counts.all(|count| Some(count) == first) {
        return Vec::new();
    }
    // A damaged index tells nothing; then all files stay.
    let options = ReadOptions::new().storage(Arc::clone(storage));
    let Ok(reader) = BundleReader::open_with(prefix, options) else { return Vec::new() };
    let superseded = |part: &Part| count(part).is_some_and(|count| count != reader.num_shards());
    files.iter().filter(|(_, part)| superseded(part)).map(|(name, _)| *name).collect()
}
