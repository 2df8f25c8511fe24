//! The search for runs: folders with event files or checkpoints.
//!
//! Symbolic links are followed only within the given folders. The depth and the number of folders are limited, in case a whole disk is given.
//!
//! A folder is a run if it contains a file with `tfevents` in its name, TensorFlow's convention, or a checkpoint.
//! Runs are named by their path below the given folder, so that the same run has the same name wherever the board is
//! started from.

use crate::Error;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The depth to which folders are searched, counted from the given folder.
const MAX_DEPTH: usize = 16;
/// The maximum number of folders that are searched below one given folder. More are a sign that a whole disk was
/// given.
const MAX_FOLDERS: usize = 50_000;

/// A folder of which the board shows something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// The path from the folder that was given, `.` for that one itself; with several given folders its name before it.
    pub(crate) name: String,
    /// The folder, or the one event file that was given.
    pub(crate) path: PathBuf,
    /// True if the folder contains event files.
    pub(crate) has_events: bool,
    /// True if the folder contains a state file or the index of a checkpoint.
    pub(crate) has_checkpoints: bool,
}

/// A folder that was given, by its canonical path.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// The canonical path, without links and `..`.
    pub(crate) path: PathBuf,
    /// The prefix of the names of its runs, if there are several roots.
    prefix: Option<String>,
}

/// Resolves the given folders or event files. A path that is given twice, also under two names, counts once.
///
/// # Errors
/// [`Error::NotFound`] for a path that does not exist or may not be read.
pub(crate) fn roots(paths: &[PathBuf]) -> Result<Vec<Root>, Error> {
    let mut roots: Vec<Root> = Vec::new();
    for given in paths {
        // Canonical, because links are later compared with it.
        let path = given
            .canonicalize()
            .map_err(|error| Error::NotFound(format!("cannot open {}: {error}", given.display())))?;
        if roots.iter().any(|root| root.path == path) {
            continue;
        }
        let prefix = (paths.len() > 1).then(|| {
            let name = path.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy());
            let taken = roots.iter().filter(|root| root.path.file_name() == path.file_name()).count();
            // Two folders of one name get numbers, in the order in which they were given.
            if taken == 0 { name.into_owned() } else { format!("{name}-{}", taken + 1) }
        });
        roots.push(Root { path, prefix });
    }
    Ok(roots)
}

/// Returns all runs below the roots, sorted by name, and notes on folders that could not be searched.
pub(crate) fn runs(roots: &[Root]) -> (Vec<Found>, Vec<String>) {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for root in roots {
        let mut search = Search { root, seen: HashSet::new(), found: &mut found, notes: &mut notes };
        if root.path.is_file() {
            let name = root.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = root.prefix.clone().unwrap_or(name);
            let path = root.path.clone();
            search.found.push(Found { name, path, has_events: true, has_checkpoints: false });
        } else {
            search.folder(&root.path, 0);
        }
    }
    found.sort();
    (found, notes)
}

/// A search below one root.
struct Search<'a> {
    /// The root that the search must not leave.
    root: &'a Root,
    /// Canonical paths, so that links in a circle end.
    seen: HashSet<PathBuf>,
    /// The runs so far.
    found: &'a mut Vec<Found>,
    /// The notes for the page so far.
    notes: &'a mut Vec<String>,
}

impl Search<'_> {
    /// Adds the folder if it is a run, and searches the folders in it.
    fn folder(&mut self, path: &Path, depth: usize) {
        // Deleted between the listing and now; it is no run any more.
        let Ok(real) = path.canonicalize() else { return };
        if !real.starts_with(&self.root.path) {
            self.notes.push(format!("{} leads out of {}", path.display(), self.root.path.display()));
            return;
        }
        if depth > MAX_DEPTH || self.seen.len() >= MAX_FOLDERS || !self.seen.insert(real) {
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.notes.push(format!("cannot list {}: {error}", path.display())),
        };
        let (mut has_events, mut has_checkpoints, mut folders) = (false, false, Vec::new());
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = name.as_encoded_bytes();
            // The name contains more than this, such as the time and the host.
            has_events |= name.windows(8).any(|part| part == b"tfevents");
            has_checkpoints |= name == b"checkpoint" || name.ends_with(b".index");
        }
        if has_events || has_checkpoints {
            let (name, path) = (self.name(path), path.to_path_buf());
            self.found.push(Found { name, path, has_events, has_checkpoints });
        }
        // Sorted, because the order of a file system is arbitrary and the limit cuts off the end.
        folders.sort();
        folders.iter().for_each(|folder| self.folder(folder, depth + 1));
    }

    /// Returns the name of a run: its path below the root, with the prefix of the root if there are several.
    fn name(&self, path: &Path) -> String {
        let inner = path.strip_prefix(&self.root.path).unwrap_or(path).to_string_lossy();
        match (&self.root.prefix, &*inner) {
            (None, "") => ".".to_owned(),
            (None, inner) => inner.to_owned(),
            (Some(prefix), "") => prefix.clone(),
            (Some(prefix), inner) => format!("{prefix}/{inner}"),
        }
    }
}
