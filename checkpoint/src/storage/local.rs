//! Files of the local system.

use super::destination::SPECIAL;
use super::locks;
use super::{FileInfo, Lock, ReadFile, Storage, WriteFile, WriteHint};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file system of this machine, which is the default storage everywhere.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use checkpoint::storage::{LocalStorage, Storage};
/// assert!(LocalStorage.list(folder.path())?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalStorage;

impl LocalStorage {
    /// Returns the default storage, ready to be shared.
    #[must_use]
    pub fn shared() -> Arc<dyn Storage> {
        Arc::new(LocalStorage)
    }
}

impl Storage for LocalStorage {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        // Before it is opened: opening a pipe waits for a writer.
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            let text = format!("it is {SPECIAL}, but a file is needed");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Arc::new(LocalFile { file: File::open(path)? }))
    }

    fn create(&self, path: &Path, hint: WriteHint) -> io::Result<Box<dyn WriteFile>> {
        if hint.direct
            && let Some(file) = direct(path)?
        {
            return Ok(file);
        }
        Ok(Box::new(Buffered { file: File::create(path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(or_here(path))
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(or_here(path))?.sync_all()
    }

    // Other systems cannot open a folder for syncing; their file systems journal names themselves.
    #[cfg(not(unix))]
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(or_here(path))?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        let metadata = fs::metadata(or_here(path))?;
        let (len, modified) = (metadata.len(), metadata.modified()?);
        Ok(match metadata.file_type() {
            kind if kind.is_dir() => FileInfo { len, ..FileInfo::dir(modified) },
            kind if kind.is_file() => FileInfo::file(len, modified),
            _ => FileInfo::special(modified),
        })
    }

    fn canonical(&self, directory: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(or_here(directory))
    }

    fn lock(&self, path: &Path, owner: &str) -> io::Result<Lock> {
        locks::lock(path, owner)
    }
}

/// Opens a file without the page cache. Returns `None` where the system does not support that.
#[cfg(all(target_os = "linux", feature = "mmap"))]
fn direct(path: &Path) -> io::Result<Option<Box<dyn WriteFile>>> {
    match super::direct::DirectFile::create(path) {
        Ok(file) => Ok(Some(Box::new(file))),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(all(target_os = "linux", feature = "mmap")))]
fn direct(_: &Path) -> io::Result<Option<Box<dyn WriteFile>>> {
    Ok(None)
}

/// Returns the folder to open: the current one for the empty path, which is the parent of a bare file name.
fn or_here(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_path_buf() }
}

#[derive(Debug)]
struct LocalFile {
    file: File,
}

impl ReadFile for LocalFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    buffer = &mut buffer[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }

    #[cfg(feature = "mmap")]
    fn map(&self) -> io::Result<tensor::Bytes> {
        super::mapping::file(&self.file)
    }
}

#[derive(Debug)]
struct Buffered {
    file: File,
}

impl WriteFile for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}
