//! The `checkpoint` state file: which checkpoint is the newest, and which others are kept.

mod text;

use crate::commit::{self, Mark};
use crate::prefix::{self, Part};
use crate::sidecar;
use crate::storage::{FileInfo, LocalStorage, Storage};
use crate::v1::V1Reader;
use crate::{Error, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tensor::text::escaped;

/// The state file's usual name.
pub const STATE_FILE: &str = "checkpoint";

/// The longest state file that is read. A million checkpoints take less.
const MAX_LEN: u64 = 256 << 20;

/// The content of a state file (S-307). Paths are as written in the file, or resolved against its
/// folder, depending on where the value comes from.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// let state = checkpoint::get_checkpoint_state(folder.path(), None)?.unwrap();
/// assert_eq!(state.all_model_checkpoint_paths.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointState {
    /// Prefix of the newest checkpoint.
    pub model_checkpoint_path: String,
    /// Prefixes of all that are kept, oldest first; the newest is the last.
    pub all_model_checkpoint_paths: Vec<String>,
    /// The time of each save, in seconds since 1970. Either empty or as long as the list of paths.
    pub all_model_checkpoint_timestamps: Vec<f64>,
    /// The time of the last checkpoint that is kept forever, in seconds since 1970.
    pub last_preserved_timestamp: Option<f64>,
    /// Facts about single checkpoints beyond TensorFlow's fields. They are stored in comment lines, which
    /// TensorFlow skips.
    pub notes: Vec<Note>,
}

/// A saver's notes on one checkpoint, in addition to its path and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The prefix, as in the list of paths.
    pub path: String,
    /// The value by which the best checkpoints are chosen.
    pub metric: Option<f64>,
    /// True if it is never deleted.
    pub pinned: bool,
    /// True if it is no longer listed and about to be deleted.
    pub doomed: bool,
}

impl CheckpointState {
    /// Reads the text form.
    ///
    /// ```
    /// use checkpoint::CheckpointState;
    /// let state = CheckpointState::parse("model_checkpoint_path: \"model.ckpt-5\"")?;
    /// assert_eq!(state.model_checkpoint_path, "model.ckpt-5");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A description of the first thing that does not parse; an unknown field is one. Content without
    /// [`model_checkpoint_path`](CheckpointState::model_checkpoint_path) does parse.
    pub fn parse(text: &str) -> Result<CheckpointState, String> {
        text::parse(text)
    }

    /// Returns the text form, as TensorFlow writes it, followed by the notes.
    ///
    /// ```
    /// use checkpoint::CheckpointState;
    /// let state = CheckpointState { model_checkpoint_path: "m-5".to_string(), ..Default::default() };
    /// assert!(state.to_text().starts_with("model_checkpoint_path: \"m-5\""));
    /// ```
    #[must_use]
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// Returns the same with every relative path joined to a folder.
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

/// Reads the state file of a folder, with paths as they are found from here (S-308): relative ones are
/// joined to the folder; one that leads nowhere, or out of the folder, gives way to a checkpoint of the
/// same name in the folder, since folders are moved and copied with the paths that were right before. No
/// file gives `None`; so does one that names no checkpoint, such as an empty file (unlike S-308), and, with
/// a warning in the log, one that cannot be parsed.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// assert!(checkpoint::get_checkpoint_state(folder.path(), None)?.is_some());
/// assert!(checkpoint::get_checkpoint_state("no/such/folder", None)?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when the system does not let the file be read: it may name checkpoints.
pub fn get_checkpoint_state(
    directory: impl AsRef<Path>,
    state_file: Option<&str>,
) -> Result<Option<CheckpointState>> {
    get_checkpoint_state_with(&LocalStorage, directory, state_file)
}

/// Works as [`get_checkpoint_state`], through another storage.
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
        Err(error) => match Error::io("read", &path)(error) {
            damage if damage.is_damage() => Err("it cannot be read as text".to_owned()),
            other => return Err(other),
        },
    };
    match parsed {
        Ok(state) if state.model_checkpoint_path.is_empty() => {
            log::warn!("checkpoint ignored: {} names no checkpoint", escaped(path.display()));
            Ok(None)
        }
        Ok(state) => located(state, storage, directory).map(Some),
        Err(what) => {
            log::warn!("checkpoint ignored: {}: {}", escaped(path.display()), escaped(what));
            Ok(None)
        }
    }
}

/// Returns the state with paths as they are found from here.
fn located(mut state: CheckpointState, storage: &dyn Storage, directory: &Path) -> Result<CheckpointState> {
    let locate = |path: &mut String| -> Result<()> {
        *path = locate(storage, directory, path)?.to_string_lossy().into_owned();
        Ok(())
    };
    locate(&mut state.model_checkpoint_path)?;
    state.all_model_checkpoint_paths.iter_mut().try_for_each(locate)?;
    state.notes.iter_mut().try_for_each(|note| locate(&mut note.path))?;
    Ok(state)
}

/// Returns where a checkpoint is that the state file of a folder lists: where the path leads below the folder; else
/// under its last component in the folder, however it was written and by whichever system; else where it
/// leads elsewhere.
fn locate(storage: &dyn Storage, directory: &Path, listed: &str) -> Result<PathBuf> {
    let joined = directory.join(listed);
    let name = prefix::last_component(listed);
    if name == listed || name.is_empty() {
        return Ok(joined);
    }
    let inside = directory.join(name);
    // An absolute path is never believed over a file in the folder: in a copy of a run it still leads to the
    // original.
    let below = Path::new(listed).is_relative() && exists(storage, &joined)?;
    Ok(if !below && exists(storage, &inside)? { inside } else { joined })
}

/// Returns true if there is a checkpoint with this prefix, in the present format or in the old one.
fn exists(storage: &dyn Storage, prefix: &Path) -> Result<bool> {
    let found = modified(storage, prefix)?.is_some() || file_info(storage, prefix)?.is_some();
    Ok(found || V1Reader::is_at(storage, prefix))
}

/// Returns the time at which a checkpoint was written, according to its index file, or `None` if there is
/// none.
pub(crate) fn modified(storage: &dyn Storage, prefix: &Path) -> Result<Option<SystemTime>> {
    Ok(file_info(storage, &prefix::index_path(prefix))?.map(|info| info.modified))
}

fn file_info(storage: &dyn Storage, path: &Path) -> Result<Option<FileInfo>> {
    match storage.metadata(path) {
        Ok(info) => Ok(Some(info).filter(|info| !info.is_dir)),
        Err(error) => match Error::io("look at", path)(error) {
            missing if missing.is_damage() => Ok(None),
            other => Err(other),
        },
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
/// relative to it if `relative` is set, so that the folder can be moved; or if they are relative
/// themselves, since readers join them to the folder. The newest path is appended to
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
    write(storage, directory.as_ref(), state_file, state, relative, true, Mark::new())
}

/// [`update_checkpoint_state`], synced to disk or not.
pub(crate) fn write(
    storage: &Arc<dyn Storage>,
    directory: &Path,
    state_file: &str,
    state: CheckpointState,
    relative: bool,
    durable: bool,
    mark: Mark,
) -> Result<()> {
    let path = directory.join(state_file);
    let state = completed(state, &path)?;
    let state = relocated(state, storage.as_ref(), directory, relative);
    commit::replace(storage, &path, state.to_text().as_bytes(), durable, mark)
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

/// Returns the state with paths as they go into the file.
fn relocated(
    mut state: CheckpointState,
    storage: &dyn Storage,
    directory: &Path,
    relative: bool,
) -> CheckpointState {
    let change = |path: &mut String| {
        if (relative || Path::new(path.as_str()).is_relative())
            && let Some(inner) = inside(storage, directory, Path::new(path.as_str()))
        {
            *path = inner;
        }
    };
    change(&mut state.model_checkpoint_path);
    state.all_model_checkpoint_paths.iter_mut().for_each(change);
    state.notes.iter_mut().for_each(|note| change(&mut note.path));
    state
}

/// Returns a path as it is seen from a folder; `None` if it does not lie there, by whichever name the folder goes.
fn inside(storage: &dyn Storage, directory: &Path, path: &Path) -> Option<String> {
    let inner = match path.strip_prefix(directory) {
        Ok(inner) => inner,
        Err(_) => {
            let name = Path::new(path.file_name()?);
            prefix::same_checkpoint(storage, path, &directory.join(name)).then_some(name)?
        }
    };
    inner.to_str().filter(|inner| !inner.is_empty()).map(str::to_owned)
}

/// Returns the prefix of the newest checkpoint of a folder: the one its state file names, if that is still
/// there; `None` otherwise, with an error in the log if it is gone. Other files of the folder are not
/// looked at (S-310); [`restore_latest`](crate::Saver::restore_latest) does.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// assert_eq!(checkpoint::latest_checkpoint(folder.path())?, Some(prefix));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`get_checkpoint_state`].
pub fn latest_checkpoint(directory: impl AsRef<Path>) -> Result<Option<PathBuf>> {
    latest_checkpoint_with(&LocalStorage, directory, None)
}

/// Works as [`latest_checkpoint`], with a storage and the name of the state file.
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
    if exists(storage, &newest)? {
        return Ok(Some(newest));
    }
    log::error!("couldn't match files for checkpoint {}", escaped(newest.display()));
    Ok(None)
}

/// Returns true if there is a checkpoint with this prefix: its index file, or a table of the [V1 format](crate::v1) or
/// the shards of one. Files that are something else do not count (unlike S-311).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// assert!(checkpoint::checkpoint_exists(&prefix));
/// assert!(!checkpoint::checkpoint_exists(&path));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn checkpoint_exists(prefix: impl AsRef<Path>) -> bool {
    checkpoint_exists_with(&LocalStorage, prefix.as_ref())
}

/// Works as [`checkpoint_exists`], through another storage.
#[must_use]
pub fn checkpoint_exists_with(storage: &dyn Storage, prefix: &Path) -> bool {
    storage.metadata(&prefix::index_path(prefix)).is_ok_and(|info| !info.is_dir)
        || V1Reader::is_at(storage, prefix)
}

/// Returns the time at which each checkpoint was written, according to its index file or, in the V1 format, its first
/// file. Missing checkpoints yield `None`, so that positions correspond (unlike S-312).
#[must_use]
pub fn checkpoint_mtimes<P: AsRef<Path>>(
    storage: &dyn Storage,
    prefixes: &[P],
) -> Vec<Option<std::time::SystemTime>> {
    let modified = |prefix: &P| match storage.metadata(&prefix::index_path(prefix)) {
        Ok(info) => Some(info.modified),
        Err(_) => V1Reader::modified(storage, prefix.as_ref()),
    };
    prefixes.iter().map(modified).collect()
}

/// Removes all files of a checkpoint: index first, so that it ceases to exist at once, then data,
/// session state and meta graph (S-313). Files that are already gone are not an error.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// checkpoint::remove_checkpoint(&prefix)?;
/// assert!(!checkpoint::checkpoint_exists(&prefix));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] for the first file that cannot be removed, after all were tried.
pub fn remove_checkpoint(prefix: impl AsRef<Path>) -> Result<()> {
    remove_checkpoint_with(&LocalStorage, prefix.as_ref())
}

/// Works as [`remove_checkpoint`], through another storage.
///
/// # Errors
/// As [`remove_checkpoint`].
pub fn remove_checkpoint_with(storage: &dyn Storage, prefix: &Path) -> Result<()> {
    remove_files(storage, prefix, None, Some(&prefix::meta_graph_path(prefix, "meta")))
}

/// Removes the files of a checkpoint: of the data only those of this number of shards, if it is known;
/// session states; and the meta graph, if it has one.
pub(crate) fn remove_files(
    storage: &dyn Storage,
    prefix: &Path,
    num_shards: Option<u32>,
    meta: Option<&Path>,
) -> Result<()> {
    let directory = prefix::directory(prefix);
    let mut files = prefix::files_of(storage, prefix).map_err(Error::io("list", directory))?;
    files.retain(|(path, part)| match part {
        Part::Index => true,
        Part::Data { num_shards: count, .. } => num_shards.is_none_or(|known| known == *count),
        Part::Sidecar => sidecar::is_session_state(storage, path),
        Part::Meta => false,
    });
    files.extend(meta.map(|meta| (meta.to_path_buf(), Part::Meta)));
    // Without its index a checkpoint does not exist, so an interruption leaves stray files and never half a
    // checkpoint.
    files.sort_by_key(|(path, part)| (*part != Part::Index, path.clone()));
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
