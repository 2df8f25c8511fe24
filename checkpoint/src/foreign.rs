//! Files that are something else than the part of a checkpoint that they are taken for.

use crate::listing::checkpoints_by_step;
use crate::prefix::{self, Part};
use crate::storage::{ReadFile, Storage};
use crate::{Error, index_path};
use std::path::{Path, PathBuf};
use tensor::FileKind;

/// Returns the kind of a file that is not part of a checkpoint, if its first bytes reveal it.
fn kind_of(path: &Path, start: &[u8]) -> Option<FileKind> {
    // A guess would replace the exact description of the damage by something that may be wrong.
    FileKind::of(path, start).filter(|kind| kind.is_certain() && *kind != FileKind::Safetensors)
}

/// Returns an error of a damaged file, or what the file is instead.
pub(crate) fn explained(file: &dyn ReadFile, path: &Path, error: Error) -> Error {
    if !matches!(error, Error::Corrupt { .. }) {
        return error;
    }
    match start(file).and_then(|start| kind_of(path, &start)) {
        Some(kind) => Error::corrupt(path, format!("it is {kind}")),
        None => error,
    }
}

fn start(file: &dyn ReadFile) -> Option<Vec<u8>> {
    let len = file.len().ok()?.min(FileKind::START as u64);
    let mut start = vec![0; usize::try_from(len).ok()?];
    file.read_exact_at(&mut start, 0).ok()?;
    Some(start)
}

/// Returns the error for a path at which there is no checkpoint. It names what is there instead and which
/// prefix was probably meant.
pub(crate) fn no_checkpoint(storage: &dyn Storage, path: &Path) -> Error {
    let unsupported = |what: String| Error::Unsupported { path: path.to_path_buf(), what };
    match storage.metadata(path) {
        Ok(info) if info.is_dir => {
            let found = in_folder(storage, path).map(unsupported);
            return found.unwrap_or_else(|| Error::NotFound { path: path.to_path_buf() });
        }
        Ok(_) => {}
        Err(_) => return Error::NotFound { path: path.to_path_buf() },
    }
    // The most frequent error: a shell completes the name of a file, and not the prefix, which is no file.
    if let Some((stem, part)) = path.file_name().and_then(|name| name.to_str()).and_then(prefix::parse) {
        let meant = path.with_file_name(stem);
        if storage.metadata(&index_path(&meant)).is_ok() {
            let what = match part {
                Part::Index => "the index",
                Part::Data { .. } => "a data file",
                Part::Sidecar => "the session state",
                Part::Meta => "the meta graph",
            };
            return unsupported(format!(
                "it is {what} of a checkpoint: pass its prefix, {}",
                meant.display()
            ));
        }
    }
    let found = storage.open(path).ok().and_then(|file| start(file.as_ref()));
    match found.and_then(|start| FileKind::of(path, &start)) {
        Some(kind) => unsupported(format!("it is {kind}")),
        None => unsupported("it is neither a bundle's prefix nor a safetensors file".to_owned()),
    }
}

/// The number of folders that a message names.
const SHOWN: usize = 5;

/// Returns the place of the checkpoints of a folder that is not a checkpoint itself, if there are any in it or below it.
fn in_folder(storage: &dyn Storage, folder: &Path) -> Option<String> {
    let variables = folder.join("variables").join("variables");
    if storage.metadata(&index_path(&variables)).is_ok() {
        let variables = variables.display();
        return Some(format!(
            "it is the folder of a SavedModel: its variables are the checkpoint {variables}"
        ));
    }
    if let Some(newest) = checkpoints_by_step(storage, folder).ok().and_then(|mut found| found.pop()) {
        return Some(format!(
            "it is a folder: pass the prefix of a checkpoint in it, such as {}",
            newest.display()
        ));
    }
    let inner = storage.list(folder).ok()?.into_iter().map(|name| folder.join(name));
    let is_run = |inner: &PathBuf| checkpoints_by_step(storage, inner).is_ok_and(|found| !found.is_empty());
    let mut runs: Vec<String> = inner.filter(is_run).map(|run| run.display().to_string()).collect();
    runs.sort();
    let more = if runs.len() > SHOWN { ", ..." } else { "" };
    runs.truncate(SHOWN);
    let runs = runs.join(", ");
    (!runs.is_empty()).then(|| format!("it is a folder without checkpoints, which are in {runs}{more}"))
}
