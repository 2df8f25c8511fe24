//! Locks on files that other processes respect, shared within this one.

use super::Lock;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// Returns the locks that this process has, by the canonical path of their file. The system's locks belong to
/// an open file, so that without this two users in one process would shut each other out. Guarded while
/// a lock is looked up and taken, so that two threads cannot both be the first.
fn held() -> std::sync::MutexGuard<'static, HashMap<PathBuf, Weak<File>>> {
    static HELD: OnceLock<Mutex<HashMap<PathBuf, Weak<File>>>> = OnceLock::new();
    HELD.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn lock(path: &Path, owner: &str) -> io::Result<Lock> {
    let mut held = held();
    // Not truncated: if the lock is busy, the content describes its holder.
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let canonical = path.canonicalize()?;
    if let Some(known) = held.get(&canonical).and_then(Weak::upgrade)
        && same_file(&known, &file)?
    {
        return Ok(Lock::Held { guard: known, first: false });
    }
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.write_all(owner.as_bytes())?;
            let file = Arc::new(file);
            held.retain(|_, known| known.strong_count() > 0);
            held.insert(canonical, Arc::downgrade(&file));
            Ok(Lock::Held { guard: file, first: true })
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.rewind()?;
            // The file may be anything that has this name; a message needs no more.
            file.take(1000).read_to_string(&mut text)?;
            Ok(Lock::Busy(text.trim().to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns true if both are the same file. A folder may have been deleted and recreated; its old lock then
/// guards nothing.
#[cfg(unix)]
fn same_file(a: &File, b: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

// Elsewhere a folder with an open file cannot be deleted.
#[cfg(not(unix))]
fn same_file(_: &File, _: &File) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_shares_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path, "me").unwrap();
        assert!(matches!(first, Lock::Held { first: true, .. }));
        let second = lock(&path, "me").unwrap();
        assert!(matches!(second, Lock::Held { first: false, .. }));
        drop(first);
        assert!(matches!(lock(&path, "me").unwrap(), Lock::Held { first: false, .. }));
        drop(second);
        assert!(matches!(lock(&path, "me").unwrap(), Lock::Held { first: true, .. }));
    }

    #[test]
    fn a_lock_elsewhere_is_respected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        // Another open file behaves as another process would.
        std::fs::write(&path, "process 7").unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        assert!(matches!(lock(&path, "me").unwrap(), Lock::Busy(owner) if owner == "process 7"));
        other.unlock().unwrap();
        assert!(matches!(lock(&path, "me").unwrap(), Lock::Held { first: true, .. }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "me");
    }
}
