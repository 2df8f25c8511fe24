//! The local files, with a function that sees each use of them first.
#![allow(dead_code, unreachable_pub)] // each test uses its own part

use checkpoint::storage::{FileInfo, LocalStorage, Lock, ReadFile, Storage, WriteFile, WriteHint};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

/// A use of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Open,
    Create,
    List,
    Other,
}

/// A storage of local files. The function is called before each use, and may wait, or refuse it.
pub struct Observed<F>(pub F);

impl<F> fmt::Debug for Observed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observed")
    }
}

impl<F: Fn(Use, &Path) -> io::Result<()> + Send + Sync> Storage for Observed<F> {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        self.0(Use::Open, path)?;
        LocalStorage.open(path)
    }

    fn create(&self, path: &Path, hint: WriteHint) -> io::Result<Box<dyn WriteFile>> {
        self.0(Use::Create, path)?;
        LocalStorage.create(path, hint)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0(Use::Other, from)?;
        LocalStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0(Use::Other, path)?;
        LocalStorage.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0(Use::Other, path)?;
        LocalStorage.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0(Use::Other, path)?;
        LocalStorage.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.0(Use::List, path)?;
        LocalStorage.list(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        self.0(Use::Other, path)?;
        LocalStorage.metadata(path)
    }

    fn canonical(&self, directory: &Path) -> io::Result<PathBuf> {
        self.0(Use::Other, directory)?;
        LocalStorage.canonical(directory)
    }

    fn lock(&self, path: &Path, owner: &str) -> io::Result<Lock> {
        self.0(Use::Other, path)?;
        LocalStorage.lock(path, owner)
    }
}
