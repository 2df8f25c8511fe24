//! The files that a graph may reach.

use crate::{Code, Error, Result};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The files that the operations of a session may read and write: all, or those in some folders.
///
/// A graph from elsewhere may hold operations such as `ReadFile` and `WriteFile`; with folders named, it cannot reach
/// anything outside of them, neither through `..` nor through symbolic links. The check considers the file system as it is
/// when an operation runs; it does not defend against other programs that change it at the same moment.
///
/// ```
/// use session_core::{Code, FileAccess};
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let access = FileAccess::nothing().allow_read(folder);
/// access.check_read(&folder.join("vocabulary.txt"))?;
/// assert_eq!(access.check_write(&folder.join("vocabulary.txt")).unwrap_err().code(), Code::PermissionDenied);
/// assert!(access.check_read(&folder.join("../other")).is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileAccess {
    /// `None` for everything.
    folders: Option<Vec<Folder>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    writes: bool,
}

impl FileAccess {
    /// Allows all files.
    ///
    /// ```
    /// assert!(session_core::FileAccess::everything().is_everything());
    /// ```
    #[must_use]
    pub fn everything() -> FileAccess {
        FileAccess::default()
    }

    /// Allows no file; folders are added with [`allow_read`](FileAccess::allow_read) and [`allow_write`](FileAccess::allow_write).
    ///
    /// ```
    /// use std::path::Path;
    /// assert!(session_core::FileAccess::nothing().check_read(Path::new("/etc/hostname")).is_err());
    /// ```
    #[must_use]
    pub fn nothing() -> FileAccess {
        FileAccess { folders: Some(Vec::new()) }
    }

    /// Allows in addition to read the files in a folder and in the folders within. A file counts as a folder that contains only it.
    ///
    /// ```
    /// use session_core::FileAccess;
    /// let access = FileAccess::nothing().allow_read("/data/vocabularies").allow_write("/data/run");
    /// assert!(!access.is_everything());
    /// ```
    #[must_use]
    pub fn allow_read(self, folder: impl Into<PathBuf>) -> FileAccess {
        self.and(folder.into(), false)
    }

    /// Allows in addition to read and write the files in a folder and in the folders within.
    ///
    /// ```
    /// use session_core::FileAccess;
    /// let access = FileAccess::nothing().allow_write("/data/run");
    /// assert!(access.check_write("/data/run/a".as_ref()).is_ok());
    /// assert!(access.check_write("/data/other".as_ref()).is_err());
    /// ```
    #[must_use]
    pub fn allow_write(self, folder: impl Into<PathBuf>) -> FileAccess {
        self.and(folder.into(), true)
    }

    fn and(mut self, path: PathBuf, writes: bool) -> FileAccess {
        // With everything allowed, a further folder changes nothing.
        if let Some(folders) = &mut self.folders {
            folders.push(Folder { path, writes });
        }
        self
    }

    /// Returns true if all files are allowed.
    ///
    /// ```
    /// use session_core::{FileAccess, SessionConfig};
    /// assert!(SessionConfig::default().file_access.is_everything());
    /// assert!(!FileAccess::nothing().is_everything());
    /// ```
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.folders.is_none()
    }

    /// Checks that a path may be read.
    ///
    /// ```
    /// use session_core::FileAccess;
    /// let access = FileAccess::nothing().allow_read("/data");
    /// assert!(access.check_read("/data/words.txt".as_ref()).is_ok());
    /// assert!(access.check_read("/data/../etc/passwd".as_ref()).is_err());
    /// ```
    ///
    /// # Errors
    /// `PermissionDenied` for a path outside of the allowed folders, with the path and where it leads.
    pub fn check_read(&self, path: &Path) -> Result<()> {
        self.check(path, false)
    }

    /// Checks that a path may be written.
    ///
    /// ```
    /// use session_core::FileAccess;
    /// let error = FileAccess::nothing().allow_read("/data").check_write("/data/a".as_ref()).unwrap_err();
    /// assert!(error.message().contains("may not write '/data/a'"));
    /// ```
    ///
    /// # Errors
    /// As [`check_read`](FileAccess::check_read).
    pub fn check_write(&self, path: &Path) -> Result<()> {
        self.check(path, true)
    }

    fn check(&self, path: &Path, writes: bool) -> Result<()> {
        let Some(folders) = &self.folders else { return Ok(()) };
        let verb = if writes { "write" } else { "read" };
        let place = resolved(path).map_err(|error| {
            let text = format!(
                "the graph may not {verb} '{}': the folder that it leads to is unknown, as behind a link to a file that \
                 does not exist",
                path.display()
            );
            Error::new(Code::PermissionDenied, text).with_source(error)
        })?;
        let allows = |folder: &Folder| {
            (folder.writes || !writes)
                // Resolved at every check, because a link in the path of an allowed folder may change during
                // a long run. A folder that cannot be resolved allows nothing.
                && resolved(&folder.path).is_ok_and(|allowed| place.starts_with(allowed))
        };
        if folders.iter().any(allows) {
            return Ok(());
        }
        let leads =
            if place == path { String::new() } else { format!(", which leads to '{}'", place.display()) };
        let allowed: Vec<String> = folders
            .iter()
            .filter(|folder| folder.writes || !writes)
            .map(|folder| format!("'{}'", folder.path.display()))
            .collect();
        let allowed = match allowed.as_slice() {
            [] => format!("no folder is allowed to {verb}"),
            names => format!("allowed to {verb} is {}", names.join(", ")),
        };
        let text = format!(
            "the graph may not {verb} '{}'{leads}: {allowed}; name its folder in SessionConfig::file_access, or with \
             --allow-files, if the model may use it",
            path.display()
        );
        Err(Error::new(Code::PermissionDenied, text))
    }
}

/// Resolves a path for the comparison with the allowed folders.
///
/// The place that a path leads to: without `.`, `..` and symbolic links. The end of it need not exist.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    // Relative paths count from the working directory of the program at this moment.
    let path = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    let mut existing = path.as_path();
    loop {
        match existing.canonicalize() {
            Ok(mut place) => {
                // The missing names were collected from the end of the path.
                place.extend(missing.iter().rev());
                return Ok(place);
            }
            // A link that leads nowhere would be followed when the file is created.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !existing.is_symlink() => {
                // Only plain names are skipped. A `..` behind a missing folder would have no defined place.
                let (Some(Component::Normal(name)), Some(parent)) =
                    (existing.components().next_back(), existing.parent())
                else {
                    return Err(error);
                };
                missing.push(name.to_owned());
                existing = parent;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_are_compared_after_resolving_links() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        fs::create_dir_all(inside.join("deep")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "s").unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        symlink(outside.join("new"), inside.join("dangling")).unwrap();
        symlink(inside.join("deep"), inside.join("near")).unwrap();

        let access = FileAccess::nothing().allow_write(&inside);
        for allowed in ["a", "deep/a", "deep/../a", "near/a", "not/yet/there", "."] {
            access.check_write(&inside.join(allowed)).unwrap();
            access.check_read(&inside.join(allowed)).unwrap();
        }
        for refused in [
            "../out/secret",
            "link/secret",
            "dangling",
            "near/../../out/x",
            "not/../../../out/x",
            "/etc/passwd",
        ] {
            let error = access.check_read(&inside.join(refused)).unwrap_err();
            assert_eq!(error.code(), Code::PermissionDenied, "{refused}");
        }
        // A folder whose name begins the same is another one.
        assert!(access.check_read(&folder.path().join("inner")).is_err());
        let text = access.check_read(&inside.join("link/secret")).unwrap_err().to_string();
        assert!(
            text.contains("link/secret") && text.contains("out/secret") && text.contains("--allow-files"),
            "{text}"
        );
    }

    #[test]
    fn reading_does_not_allow_writing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "a").unwrap();
        let access = FileAccess::nothing().allow_read(&file);
        access.check_read(&file).unwrap();
        assert!(access.check_write(&file).is_err());
        assert!(access.check_read(folder.path()).is_err(), "a file is not its folder");
        assert!(FileAccess::nothing().check_read(&file).is_err());
        FileAccess::everything().check_write(Path::new("/anywhere")).unwrap();
    }
}
