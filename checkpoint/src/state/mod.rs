//! The `checkpoint` state file: which checkpoint is the newest, and which others are kept.

mod text;

use crate::commit;
use crate::prefix;
use crate::storage::{LocalStorage, Storage};
use crate::{Error, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The state file's usual name.
pub const STATE_FILE: &str = "checkpoint";

/// The longest state file that is read. A million checkpoints take less.
const MAX_LEN: u64 = 256 << 20;

/// The content of a state file (S-307). Paths are as they stand in the file, or resolved against its
/// folder, depending on where the value comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointState {
    /// Prefix of the newest checkpoint.
    pub model_checkpoint_path: String,
    /// Prefixes of all that are kept, oldest first; the newest is the last.
    pub all_model_checkpoint_paths: Vec<String>,
    /// When each was saved, in seconds since 1970; empty or as many as there are paths.
    pub all_model_checkpoint_timestamps: Vec<f64>,
    /// When the last one that is kept for good was saved, in seconds since 1970.
    pub last_preserved_timestamp: Option<f64>,
    /// What is known of single checkpoints beyond TensorFlow's fields. It stands in comment lines,
    /// which TensorFlow skips.
    pub notes: Vec<Note>,
}

/// What a saver remembers of one checkpoint besides its path and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The prefix, as in the list of paths.
    pub path: String,
    /// The value by which the best checkpoints are chosen.
    pub metric: Option<f64>,
    /// Whether it is never deleted.
    pub pinned: bool,
    /// Whether it is no longer listed and about to be deleted.
    pub doomed: bool,
}

impl CheckpointState {
    /// Reads the text form.
    ///
    /// # Errors
    /// A description of the first thing that does not parse; an unknown field is one. Content without
    /// [`model_checkpoint_path`](CheckpointState::model_checkpoint_path) does parse.
    pub fn parse(text: &str) -> Result<CheckpointState, String> {
        text::parse(text)
    }

    /// The text form, as TensorFlow writes it, followed by the notes.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// The same with every relative path joined to a folder.
    #[must_use]
    pub fn resolved(mut self, directory: &Path) -> CheckpointState {
        let resolve = |path: &mut String| {
            if Path::new(path.as_str()).is_relative() && !directory.as_os_str().is_empty() {
                *path = directory.join(path.as_str()).to_string_lossy().into_owned();
            }
        };
        resolve(&mut self.model_checkpoint_path);
        self.all_model_checkpoint_paths.iter_mut().for_each(resolve);
        self.notes.iter_mut().for_each(|note| resolve(&mut note.path));
        self
    }
}

/// Reads the state file of a folder, with relative paths joined to the folder (S-308). No file gives
/// `None`; so does, with a warning in the log, one that cannot be read or parsed.
///
/// # Errors
/// [`Error::Invalid`] when the file parses but names no checkpoint.
pub fn get_checkpoint_state(
    directory: impl AsRef<Path>,
    state_file: Option<&str>,
) -> Result<Option<CheckpointState>> {
    get_checkpoint_state_with(&LocalStorage, directory, state_file)
}

/// As [`get_checkpoint_state`], through another storage.
///
/// # Errors
/// As [`get_checkpoint_state`].
pub fn get_checkpoint_state_with(
    storage: &dyn Storage,
    directory: impl AsRef<Path>,
    state_file: Option<&str>,
) -> Result<Option<CheckpointState>> {
    let directory = directory.as_ref();
    let path = directory.join(state_file.unwrap_or(STATE_FILE));
    let parsed = match read_text(storage, &path) {
        Ok(None) => return Ok(None),
        Ok(Some(text)) => CheckpointState::parse(&text),
        Err(error) => Err(error.to_string()),
    };
    match parsed {
        Ok(state) if state.model_checkpoint_path.is_empty() => {
            Err(Error::Invalid(format!("invalid checkpoint state loaded from {}", path.display())))
        }
        Ok(state) => Ok(Some(state.resolved(directory))),
        Err(what) => {
            log::warn!("checkpoint ignored: {}: {what}", path.display());
            Ok(None)
        }
    }
}

fn read_text(storage: &dyn Storage, path: &Path) -> io::Result<Option<String>> {
    let file = match storage.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > MAX_LEN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long for a state file"));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    String::from_utf8(bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a state file at once (S-309). Paths that lie in the folder of the state file are stored
/// relative to it if `relative` is set, so that the folder can be moved. The newest path is appended to
/// the list of all paths if it is not its last item.
///
/// # Errors
/// [`Error::Invalid`] when the numbers of times and of paths differ, the newest path is empty, or the
/// state file would replace the checkpoint; [`Error::Io`].
pub fn update_checkpoint_state(
    storage: &Arc<dyn Storage>,
    directory: impl AsRef<Path>,
    state_file: &str,
    state: CheckpointState,
    relative: bool,
) -> Result<()> {
    write(storage, directory.as_ref(), state_file, state, relative, true)
}

/// [`update_checkpoint_state`], synced to disk or not.
pub(crate) fn write(
    storage: &Arc<dyn Storage>,
    directory: &Path,
    state_file: &str,
    state: CheckpointState,
    relative: bool,
    durable: bool,
) -> Result<()> {
    let path = directory.join(state_file);
    let state = completed(state, &path)?;
    let state = if relative { relative_to(state, directory) } else { state };
    commit::replace(storage, &path, state.to_text().as_bytes(), durable)
}

fn completed(mut state: CheckpointState, path: &Path) -> Result<CheckpointState> {
    let newest = &state.model_checkpoint_path;
    if newest.is_empty() {
        return Err(Error::Invalid("a checkpoint state needs the newest checkpoint's path".to_owned()));
    }
    if Path::new(newest) == path {
        return Err(Error::Invalid(format!(
            "checkpoint {newest} conflicts with path used for its state file"
        )));
    }
    if state.all_model_checkpoint_paths.last() != Some(newest) {
        state.all_model_checkpoint_paths.push(newest.clone());
    }
    let (times, paths) =
        (state.all_model_checkpoint_timestamps.len(), state.all_model_checkpoint_paths.len());
    if times != 0 && times != paths {
        return Err(Error::Invalid(format!("{times} timestamps were given for {paths} checkpoint paths")));
    }
    Ok(state)
}

fn relative_to(mut state: CheckpointState, directory: &Path) -> CheckpointState {
    let shorten = |path: &mut String| {
        let inner = Path::new(path.as_str()).strip_prefix(directory).ok().and_then(Path::to_str);
        if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
            *path = inner.to_owned();
        }
    };
    shorten(&mut state.model_checkpoint_path);
    state.all_model_checkpoint_paths.iter_mut().for_each(shorten);
    state.notes.iter_mut().for_each(|note| shorten(&mut note.path));
    state
}

/// The prefix of the newest checkpoint of a folder: the one its state file names, if that is still
/// there; `None` otherwise, with an error in the log if it is gone. Other files of the folder are not
/// looked at (S-310); [`restore_latest`](crate::Saver::restore_latest) does.
///
/// # Errors
/// As [`get_checkpoint_state`].
pub fn latest_checkpoint(directory: impl AsRef<Path>) -> Result<Option<PathBuf>> {
    latest_checkpoint_with(&LocalStorage, directory, None)
}

/// As [`latest_checkpoint`], with a storage and the name of the state file.
///
/// # Errors
/// As [`get_checkpoint_state`].
pub fn latest_checkpoint_with(
    storage: &dyn Storage,
    directory: impl AsRef<Path>,
    state_file: Option<&str>,
) -> Result<Option<PathBuf>> {
    let Some(state) = get_checkpoint_state_with(storage, directory, state_file)? else { return Ok(None) };
    let newest = PathBuf::from(state.model_checkpoint_path);
    if checkpoint_exists_with(storage, &newest) || storage.metadata(&newest).is_ok_and(|info| !info.is_dir) {
        return Ok(Some(newest));
    }
    log::error!("couldn't match files for checkpoint {}", newest.display());
    Ok(None)
}

/// Whether there is a checkpoint with this prefix: whether its index file is there. No wildcards are
/// honored, and other files do not count (unlike S-311).
#[must_use]
pub fn checkpoint_exists(prefix: impl AsRef<Path>) -> bool {
    checkpoint_exists_with(&LocalStorage, prefix.as_ref())
}

/// As [`checkpoint_exists`], through another storage.
#[must_use]
pub fn checkpoint_exists_with(storage: &dyn Storage, prefix: &Path) -> bool {
    storage.metadata(&prefix::index_path(prefix)).is_ok_and(|info| !info.is_dir)
}

/// When each of these checkpoints was written, by their index files; `None` for those that are not
/// there, so that positions correspond (unlike S-312).
#[must_use]
pub fn checkpoint_mtimes<P: AsRef<Path>>(
    storage: &dyn Storage,
    prefixes: &[P],
) -> Vec<Option<std::time::SystemTime>> {
    let modified = |prefix: &P| Some(storage.metadata(&prefix::index_path(prefix)).ok()?.modified);
    prefixes.iter().map(modified).collect()
}

/// Removes all files of a checkpoint: index first, so that it ceases to exist at once, then data,
/// session state and meta graph (S-313). Files that are already gone are no error.
///
/// # Errors
/// [`Error::Io`] for the first file that cannot be removed, after all were tried.
pub fn remove_checkpoint(prefix: impl AsRef<Path>) -> Result<()> {
    remove_checkpoint_with(&LocalStorage, prefix.as_ref())
}

/// As [`remove_checkpoint`], through another storage.
///
/// # Errors
/// As [`remove_checkpoint`].
pub fn remove_checkpoint_with(storage: &dyn Storage, prefix: &Path) -> Result<()> {
    let directory = prefix::directory(prefix);
    let mut files = prefix::files_of(storage, prefix).map_err(Error::io("list", directory))?;
    files.sort_by_key(|(path, part)| (*part != prefix::Part::Index, path.clone()));
    let mut result = Ok(());
    for (path, _) in files {
        match storage.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                result = result.and(Err(Error::io("remove", &path)(error)));
            }
            _ => {}
        }
    }
    result
}
