//! The file operations that checkpoints need, behind a trait.
//!
//! A program uses [`LocalStorage`]. Tests put a storage in its place that fails, or stops, at the n-th
//! operation, and so prove that no moment exists at which a crash loses a finished checkpoint.

mod destination;
#[cfg(all(target_os = "linux", feature = "mmap"))]
mod direct;
mod local;
mod locks;
#[cfg(feature = "mmap")]
mod mapping;

pub(crate) use destination::create_folder;
pub use destination::{check_file, check_folder, check_future_folder};
pub use local::LocalStorage;

use crate::commit::{self, Mark};
use std::any::Any;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tensor::Bytes;

/// A place in which checkpoints are read and written.
///
/// Paths are those that the caller of this crate gave, with suffixes appended. Implementations may be
/// used from several threads at once.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// As reported by the system; `NotFound` when the file is not there.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;

    /// Creates a file for writing from its beginning. A file of that name is emptied.
    ///
    /// # Errors
    /// As reported by the system; `NotFound` when the folder is not there.
    fn create(&self, path: &Path, hint: WriteHint) -> io::Result<Box<dyn WriteFile>>;

    /// Renames a file within its folder atomically, replacing a file with the new name.
    ///
    /// # Errors
    /// As reported by the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// As reported by the system; `NotFound` when the file is not there.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder, and those above it that are missing.
    ///
    /// # Errors
    /// As reported by the system.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in this folder are on disk: files created, renamed, and removed before stay
    /// so even if the machine loses power.
    ///
    /// # Errors
    /// As reported by the system.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Returns the names of the files in a folder, in no order.
    ///
    /// # Errors
    /// As reported by the system; `NotFound` when the folder is not there.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Returns the metadata of a file or folder.
    ///
    /// # Errors
    /// As reported by the system; `NotFound` when there is none.
    fn metadata(&self, path: &Path) -> io::Result<FileInfo>;

    /// Returns the one spelling of a path to a folder: two paths lead to the same folder exactly if
    /// theirs are equal. The default does what can be done with the text alone.
    ///
    /// # Errors
    /// As reported by the system; `NotFound` when the folder is not there.
    fn canonical(&self, directory: &Path) -> io::Result<PathBuf> {
        Ok(lexically_normal(directory))
    }

    /// Tries to take a lock that only one process can have, and that ends with it at the latest.
    /// Several users within the process share it: they get the same guard. `owner` is written into the
    /// lock file, for other processes to read.
    ///
    /// # Errors
    /// As reported by the system; `Unsupported` when this storage has no locks.
    fn lock(&self, path: &Path, owner: &str) -> io::Result<Lock>;
}

/// A file open for reading at any position.
pub trait ReadFile: fmt::Debug + Send + Sync {
    /// Returns its length in bytes.
    ///
    /// # Errors
    /// As reported by the system.
    fn len(&self) -> io::Result<u64>;

    /// Returns true if the file is empty.
    ///
    /// # Errors
    /// As reported by the system.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills the buffer with the bytes from `offset` on.
    ///
    /// # Errors
    /// As reported by the system; `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Returns the whole file as memory, read from disk only where it is accessed.
    ///
    /// # Errors
    /// As reported by the system; `Unsupported` when this storage cannot do it.
    fn map(&self) -> io::Result<Bytes> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A file that is being written from its beginning to its end.
pub trait WriteFile: fmt::Debug + Send {
    /// Appends bytes. They are in the file, for other readers too, once this returns, unless the file was created with
    /// [`WriteHint::direct`]: then it is complete only after [`sync`](WriteFile::sync).
    ///
    /// # Errors
    /// As reported by the system. After an error the file is of no use.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until all written bytes are on disk. Nothing may be written after that.
    ///
    /// # Errors
    /// As reported by the system.
    fn sync(&mut self) -> io::Result<()>;
}

/// The expected properties of a new file. Only advice.
///
/// ```
/// use checkpoint::storage::WriteHint;
/// assert_eq!(WriteHint::len(1 << 20).expected_len, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteHint {
    /// About how long it will become, in bytes; 0 if unknown.
    pub expected_len: u64,
    /// True if the bytes may go past the system's page cache: durable sooner, but the next reader has
    /// to fetch them from disk.
    pub direct: bool,
}

impl WriteHint {
    /// Returns a hint with the expected length only.
    #[must_use]
    pub fn len(expected_len: u64) -> WriteHint {
        WriteHint { expected_len, direct: false }
    }
}

/// File system metadata.
///
/// ```
/// use checkpoint::storage::FileInfo;
/// let info = FileInfo::file(12, std::time::SystemTime::now());
/// assert!(info.len == 12 && !info.is_dir);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FileInfo {
    /// The length of the file in bytes.
    pub len: u64,
    /// The time of the last write.
    pub modified: SystemTime,
    /// True if it is a folder.
    pub is_dir: bool,
    /// True if it is neither a file nor a folder, but a pipe, a socket or a device.
    pub is_special: bool,
}

impl FileInfo {
    /// Facts about a plain file.
    #[must_use]
    pub fn file(len: u64, modified: SystemTime) -> FileInfo {
        FileInfo { len, modified, is_dir: false, is_special: false }
    }

    /// Facts about a pipe, a socket or a device.
    #[must_use]
    pub fn special(modified: SystemTime) -> FileInfo {
        FileInfo { len: 0, modified, is_dir: false, is_special: true }
    }

    /// Facts about a folder.
    #[must_use]
    pub fn dir(modified: SystemTime) -> FileInfo {
        FileInfo { len: 0, modified, is_dir: true, is_special: false }
    }
}

/// Returns a path without `.`, and without `..` where a name precedes it.
fn lexically_normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// Replaces a local file atomically: readers, even after a crash, see either the old or the new content. The
/// new content is written to a temporary file with a unique name in the same folder, synced, and then
/// renamed. If that fails, nothing is left behind.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("graph.pbtxt");
/// checkpoint::storage::replace_file(&path, b"node {}")?;
/// assert_eq!(std::fs::read(&path)?, b"node {}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), with the file's name.
pub fn replace_file(path: impl AsRef<Path>, content: &[u8]) -> crate::Result<()> {
    commit::replace(&LocalStorage::shared(), path.as_ref(), content, true, Mark::new())
}

/// The outcome of [`Storage::lock`].
pub enum Lock {
    /// The lock is this process's until the guard, and every other guard of it, is dropped.
    Held {
        /// Keeps the lock.
        guard: Arc<dyn Any + Send + Sync>,
        /// True if nothing else in this process had the lock already.
        first: bool,
    },
    /// Another process holds it; the text is the content of the lock file.
    Busy(String),
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lock::Held { first, .. } => f.debug_struct("Held").field("first", first).finish_non_exhaustive(),
            Lock::Busy(owner) => f.debug_tuple("Busy").field(owner).finish(),
        }
    }
}
