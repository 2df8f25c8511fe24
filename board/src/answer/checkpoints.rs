//! The checkpoints of a run.
//!
//! Checkpoints are read from the run's folder at each request, because trainings save and delete them while the page
//! is open. A checkpoint that is deleted while it is read is an error of that request only.
//!
//! # Access
//!
//! A request names a run and a checkpoint, never a path. Both must be among those that the board lists itself, and no
//! file may be a link out of the folder.
//!
//! # Costs
//!
//! `/api/checkpoints` opens the index of each checkpoint. `/api/verify` reads all data, and `/api/tensor` one tensor
//! of at most 256 MiB.

use super::{Answer, Query};
use crate::Error;
use crate::board::{Board, Shown};
use crate::histogram::Buckets;
use crate::run::is_inside;
use crate::series::number;
use checkpoint::{
    CheckpointReader, CheckpointState, STATE_FILE, checkpoints_in, get_checkpoint_state, read_session_state,
};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tensor::Tensor;

/// The maximum number of bytes of a tensor whose distribution is shown. Larger ones would have to be read from disk
/// for seconds.
const MAX_TENSOR: u64 = 256 << 20;
/// The number of bins of a tensor's distribution.
const BINS: usize = 60;
/// The maximum number of tensors of a checkpoint that are listed. `count` in the answer is the number of all.
const MAX_TENSORS: usize = 10_000;

impl Board {
    /// Answers `/api/checkpoints`: the checkpoints in a `run`'s folder, in the order of their steps, and the names
    /// that the state file lists although their files are gone.
    pub(super) fn checkpoints(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let shown = self.named(query.need("run")?)?;
        let folder = folder(&shown)?;
        let state_file = folder.join(STATE_FILE);
        let state = match state_file.exists() && !is_inside(&state_file, &shown.root) {
            true => Err(outside(&state_file).to_string()),
            false => get_checkpoint_state(folder, None).map_err(|error| error.to_string()),
        };
        let (state, problem) = match state {
            // A state file that is damaged hides the roles of the checkpoints, and not the checkpoints.
            Ok(state) => (state.unwrap_or_default(), None),
            Err(problem) => (CheckpointState::default(), Some(problem)),
        };
        let mut found = checkpoints_in(folder).map_err(|error| Error::NotFound(error.to_string()))?;
        let mut rows: Vec<Json> = Vec::new();
        found.retain(|prefix| {
            let files = files(prefix);
            let is_shown = leads_out(&files, &shown).is_none();
            rows.extend(is_shown.then(|| row(prefix, &files, &state)));
            is_shown
        });
        // Checkpoints that the state file lists though they are gone.
        let gone = state.all_model_checkpoint_paths.iter();
        let gone = gone.filter(|path| !found.iter().any(|prefix| same_name(prefix, path))).map(name);
        let gone: Vec<String> = gone.collect();
        Answer::json(&json!({"checkpoints": rows, "gone": gone, "problem": problem}))
    }

    /// Answers `/api/checkpoint`: the tensors of the checkpoint `name`, sorted by name.
    pub(super) fn checkpoint(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let reader = self.reader(query)?;
        let known = reader.variables().into_iter().map(|info| {
            let dtype = info.dtype.name().to_owned();
            (info.name, dtype, info.shape.to_vec(), info.bytes, true)
        });
        // Of a dtype that this program does not know: without values, but no error.
        let unknown = reader
            .unsupported_tensors()
            .into_iter()
            .map(|info| (info.name, format!("dtype {}", info.dtype), info.shape.to_vec(), info.bytes, false));
        let mut tensors: Vec<_> = known.chain(unknown).collect();
        // Sorted after both kinds are together, so that the limit cuts off the end of one list.
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let rows = tensors.iter().take(MAX_TENSORS).map(|(name, dtype, shape, bytes, known)| {
            json!({"name": name, "dtype": dtype, "shape": shape, "bytes": bytes, "known": known})
        });
        let rows: Vec<Json> = rows.collect();
        Answer::json(&json!({
            "tensors": rows, "count": tensors.len(), "bytes": tensors.iter().map(|row| row.3).sum::<u64>(),
        }))
    }

    /// Answers `/api/verify`: reads the whole checkpoint `name` and compares all checksums, including that of its
    /// session state.
    pub(super) fn verify(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let reader = self.reader(query)?;
        let mut problems: Vec<Json> = reader
            .verify()
            .iter()
            .map(|problem| json!({"tensor": problem.name, "error": problem.error.to_string()}))
            .collect();
        if let CheckpointReader::Bundle(bundle) = &reader
            && let Err(error) = read_session_state(bundle.prefix())
        {
            problems.push(json!({"tensor": "(the session's state)", "error": error.to_string()}));
        }
        let (tensors, unknown) = (reader.variables().len(), reader.unsupported_tensors().len());
        Answer::json(&json!({"tensors": tensors, "unknown": unknown, "problems": problems}))
    }

    /// Answers `/api/tensor`: the distribution of the elements of one `tensor` of the checkpoint `name`, or its text
    /// if it has no numbers.
    pub(super) fn tensor(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let (reader, name) = (self.reader(query)?, query.need("tensor")?);
        let info = reader.variables().into_iter().find(|info| info.name == name);
        if let Some(unknown) = reader.unsupported_tensors().into_iter().find(|info| info.name == name) {
            let text = format!("{} bytes of dtype {}, which is not known here", unknown.bytes, unknown.dtype);
            return Answer::json(&json!({"text": text}));
        }
        let info = info.ok_or_else(|| Error::NotFound(format!("the checkpoint has no tensor '{name}'")))?;
        // Before the tensor is read, which is when the time is spent.
        if info.bytes > MAX_TENSOR {
            let (bytes, limit) = (info.bytes, MAX_TENSOR >> 20);
            return Err(Error::Request(format!(
                "'{name}' has {bytes} bytes; only tensors up to {limit} MiB are shown"
            )));
        }
        let tensor = reader.read(name).map_err(|error| Error::NotFound(error.to_string()))?;
        Answer::json(&distribution(&tensor))
    }

    /// Opens the checkpoint that a request names. The name has to be that of a checkpoint in the folder, and no file
    /// of it may be a link that leads out of the board's folder.
    fn reader(&self, query: &Query<'_>) -> Result<CheckpointReader, Error> {
        let shown = self.named(query.need("run")?)?;
        let (folder, name) = (folder(&shown)?, query.need("name")?);
        // Only what is listed can be requested.
        let found = checkpoints_in(folder).map_err(|error| Error::NotFound(error.to_string()))?;
        let prefix = found.into_iter().find(|prefix| same_name(prefix, name));
        let prefix = prefix.ok_or_else(|| Error::NotFound(format!("there is no checkpoint '{name}'")))?;
        if let Some(path) = leads_out(&files(&prefix), &shown) {
            return Err(outside(path));
        }
        CheckpointReader::open(&prefix).map_err(|error| Error::NotFound(error.to_string()))
    }
}

/// Returns the first file of a checkpoint that is a link out of the board's folder. Each of its files may be one.
fn leads_out<'f>(files: &'f [(PathBuf, u64)], shown: &Shown) -> Option<&'f Path> {
    files.iter().map(|(path, _)| path.as_path()).find(|path| !is_inside(path, &shown.root))
}

/// Returns the error of a link out of the board's folder.
fn outside(path: &Path) -> Error {
    Error::NotFound(format!("{} leads out of the folder", path.display()))
}

/// Returns the folder of a run, which may also be a single event file.
fn folder(shown: &Shown) -> Result<&Path, Error> {
    let path = &shown.found.path;
    if path.is_dir() {
        return Ok(path);
    }
    Err(Error::NotFound(format!("{} is not a folder", path.display())))
}

/// Returns the last component of a prefix or path, under which the page knows a checkpoint.
fn name(path: impl AsRef<Path>) -> String {
    path.as_ref().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Compares by the last component, because state files may contain absolute paths of the machine that wrote them.
fn same_name(prefix: &Path, path: &str) -> bool {
    prefix.file_name() == Path::new(path).file_name()
}

/// Returns the files of a checkpoint with their sizes.
///
/// All files count that begin with the prefix and a dot: index, data, meta graph, and session state. A file that is
/// deleted meanwhile is left out.
fn files(prefix: &Path) -> Vec<(PathBuf, u64)> {
    let stem = format!("{}.", name(prefix));
    let folder = prefix.parent().unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&stem));
    ours.filter_map(|entry| Some((entry.path(), fs::metadata(entry.path()).ok()?.len()))).collect()
}

/// Describes a checkpoint: its step, size and time, and its role for the saver, which the state file and its notes
/// record. A checkpoint that cannot be opened has the field `error`.
fn row(prefix: &Path, files: &[(PathBuf, u64)], state: &CheckpointState) -> Json {
    let index = checkpoint::index_path(prefix);
    let modified = fs::metadata(&index).and_then(|info| info.modified()).ok();
    let modified = modified.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64()));
    let note = state.notes.iter().find(|note| same_name(prefix, &note.path));
    let listed = state.all_model_checkpoint_paths.iter().position(|path| same_name(prefix, path));
    // The time in the state file survives a copy of the folder, which changes those of the files.
    let saved = listed.and_then(|index| state.all_model_checkpoint_timestamps.get(index).copied());
    let reader = CheckpointReader::open(prefix);
    let has = |ending: &str| files.iter().any(|(path, _)| path.to_string_lossy().ends_with(ending));
    json!({
        "name": name(prefix), "wall": saved.or(modified),
        "step": reader.as_ref().ok().and_then(CheckpointReader::step),
        "bytes": files.iter().map(|(_, bytes)| bytes).sum::<u64>(),
        "newest": same_name(prefix, &state.model_checkpoint_path), "kept": listed.is_some(),
        "pinned": note.is_some_and(|note| note.pinned), "metric": note.and_then(|note| note.metric).map(number),
        "best": name(prefix).starts_with("best.ckpt"),
        "meta_graph": has(".meta"), "session_state": has(".session") || has(".session-2"),
        "tensors": reader.as_ref().ok().map(|reader| reader.variables().len() + reader.unsupported_tensors().len()),
        "error": reader.err().map(|error| error.to_string()),
    })
}

/// Returns a histogram of the finite elements, with their mean and standard deviation, and the
/// numbers of zeros, NaN and infinities.
///
/// The standard deviation is computed in a second pass from the mean: a sum of squares in one pass would lose all
/// digits for weights whose mean is large compared with their spread.
fn distribution(tensor: &Tensor) -> Json {
    let Some(numbers) = tensor.iter_f64() else {
        let text = tensor.to_string();
        return json!({"text": crate::run::cut(&text, 4096)});
    };
    let numbers: Vec<f64> = numbers.collect();
    // The limits of the bins come from the finite numbers, so one infinity does not squeeze all others into a
    // bin.
    let buckets = Buckets::of_numbers(numbers.iter().copied(), BINS);
    let mean = buckets.mean.unwrap_or(0.0);
    let finite = numbers.iter().filter(|value| value.is_finite());
    let squares: f64 = finite.map(|value| (value - mean).powi(2)).sum();
    let count = |test: fn(f64) -> bool| numbers.iter().filter(|value| test(**value)).count();
    json!({
        "from": buckets.min, "to": buckets.max,
        "counts": buckets.buckets.iter().map(|bucket| bucket.2).collect::<Vec<_>>(),
        // Without a finite number the count is 0, and so is the deviation.
        "elements": numbers.len(), "mean": mean, "std": (squares / buckets.count.max(1.0)).sqrt(),
        "zeros": count(|value| value == 0.0), "nan": count(f64::is_nan), "infinite": count(f64::is_infinite),
    })
}
