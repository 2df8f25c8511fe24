//! Checks of places that files will be written to, before there is something to lose.

use super::{Storage, WriteHint};
use crate::commit::Mark;
use crate::{Error, Result};
use std::io;
use std::path::Path;

/// The description of a path with [`FileInfo::is_special`](super::FileInfo::is_special).
pub(super) const SPECIAL: &str = "a pipe, a socket or a device";

/// Checks that a program can write files into a folder, without leaving anything there. A program that writes its first file
/// after hours of work calls it before that.
///
/// `writes` returns true for the names that the program will write; nothing but a file may have such a name.
///
/// ```
/// use checkpoint::storage::{LocalStorage, check_folder};
/// let folder = tempfile::tempdir()?;
/// check_folder(&LocalStorage, folder.path(), |name| name == "report.txt")?;
/// std::fs::create_dir(folder.path().join("report.txt"))?;
/// let error = check_folder(&LocalStorage, folder.path(), |name| name == "report.txt").unwrap_err();
/// assert!(error.to_string().contains("report.txt is a folder, but a file is to be written there"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Obstructed`] for a path that is not a folder, and for a name that something other than a file has;
/// [`Error::Io`] for a folder that is missing, or that the program may not write to.
pub fn check_folder(
    storage: &dyn Storage,
    directory: impl AsRef<Path>,
    writes: impl Fn(&str) -> bool,
) -> Result<()> {
    let directory = directory.as_ref();
    let info = storage.metadata(directory).map_err(Error::io("find", directory))?;
    if !info.is_dir {
        let found = if info.is_special { SPECIAL } else { "a file" };
        return Err(Error::Obstructed { path: directory.to_path_buf(), found, needed: "a folder is needed" });
    }
    let names = storage.list(directory).map_err(Error::io("list", directory))?;
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| writes(name)) {
        check_file(storage, directory.join(name))?;
    }
    // Permission bits are not enough: the file system may be read-only or have no free inode. Only a file
    // that is created proves that one can be.
    let probe = Mark::new().temporary(&directory.join("probe"));
    drop(storage.create(&probe, WriteHint::default()).map_err(Error::io("write into", directory))?);
    storage.remove(&probe).map_err(Error::io("remove a file from", directory))
}

/// Checks as [`check_folder`] does, for a folder that the program creates before its first file. If the folder is missing, the
/// program must be able to create it in the nearest folder above that exists.
///
/// ```
/// use checkpoint::storage::{LocalStorage, check_future_folder};
/// let folder = tempfile::tempdir()?;
/// check_future_folder(&LocalStorage, folder.path().join("runs/first"), |_| true)?;
/// std::fs::write(folder.path().join("runs"), "")?;
/// let error = check_future_folder(&LocalStorage, folder.path().join("runs/first"), |_| true).unwrap_err();
/// assert!(error.to_string().contains("runs is a file, but a folder is needed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`check_folder`], about the folder, or the one that it is created in.
pub fn check_future_folder(
    storage: &dyn Storage,
    directory: impl AsRef<Path>,
    writes: impl Fn(&str) -> bool,
) -> Result<()> {
    let directory = directory.as_ref();
    let mut missing: Option<&Path> = None;
    for above in directory.ancestors() {
        match storage.metadata(above) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                missing = Some(above);
            }
            // An error of another kind is found and described again.
            _ => {
                let Some(missing) = missing else { return check_folder(storage, directory, writes) };
                check_folder(storage, above, |_| false)?;
                let names = storage.list(above).map_err(Error::io("list", above))?;
                let taken = names.iter().any(|name| Some(name.as_os_str()) == missing.file_name());
                return if taken { Err(dangling(missing)) } else { Ok(()) };
            }
        }
    }
    check_folder(storage, directory, writes)
}

/// Returns the error for a link that leads nowhere, where a folder is needed.
fn dangling(path: &Path) -> Error {
    Error::Obstructed {
        path: path.to_path_buf(),
        found: "a link that leads nowhere",
        needed: "a folder is needed",
    }
}

/// Checks that nothing but a file has this path, as [`check_folder`] does for the names in a folder. A path that leads nowhere is
/// free.
///
/// # Errors
/// [`Error::Obstructed`]; [`Error::Io`] when the system cannot determine what the path is.
pub fn check_file(storage: &dyn Storage, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let found = match storage.metadata(path) {
        Ok(info) if info.is_dir => "a folder",
        Ok(info) if info.is_special => SPECIAL,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("find", path)(error)),
    };
    Err(Error::Obstructed { path: path.to_path_buf(), found, needed: "a file is to be written there" })
}

/// Creates a folder if it is missing.
pub(crate) fn create_folder(storage: &dyn Storage, directory: &Path) -> Result<()> {
    match storage.metadata(directory) {
        Ok(info) if info.is_dir => return Ok(()),
        // `check_folder` describes the file or folder that exists there.
        Ok(_) => return check_folder(storage, directory, |_| false),
        Err(_) => {}
    }
    storage.create_dir(directory).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => dangling(directory),
        _ => Error::io("create", directory)(error),
    })
}
