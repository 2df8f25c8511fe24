//! One save from beginning to end.

use super::directory::{self, Hold};
use super::options::{SaveOptions, SaverOptions};
use super::retention::Kept;
use super::source::{SaveSource, Slice, Snapshot};
use super::utf8;
use crate::bundle::{BundleOptions, BundleWriter, SealedBundle};
use crate::clock::seconds;
use crate::commit::{self, Unfinished};
use crate::prefix;
use crate::sidecar;
use crate::state::{self, CheckpointState, Note, STATE_FILE};
use crate::storage::WriteHint;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tensor::Tensor;

/// Files below this length are not worth going past the page cache.
const DIRECT: u64 = 32 << 20;

/// A snapshot and everything else that one save needs.
#[derive(Debug)]
pub(super) struct Request {
    prefix: PathBuf,
    tensors: Vec<(String, Tensor)>,
    slices: Vec<(Slice, Tensor)>,
    options: SaveOptions,
}

impl Request {
    /// Takes the snapshot, after the checks that need no file (S-286).
    pub(super) fn new(
        saver: &SaverOptions,
        source: &dyn SaveSource,
        path: &Path,
        step: Option<i64>,
        options: SaveOptions,
    ) -> Result<Request> {
        let prefix = prefix_of(saver, path, step)?;
        let Snapshot { tensors, slices } = source.snapshot()?;
        if tensors.is_empty() && slices.is_empty() && !saver.allow_empty {
            return Err(Error::Invalid("no variables to save".to_owned()));
        }
        Ok(Request { prefix, tensors, slices, options })
    }

    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    fn bytes(&self) -> u64 {
        let tensors = self.tensors.iter().map(|(_, tensor)| tensor);
        tensors
            .chain(self.slices.iter().map(|(_, tensor)| tensor))
            .map(|tensor| tensor.byte_len() as u64)
            .sum()
    }
}

/// `path`, or `path-step`; after checking that it can be named in a state file and is not that file.
fn prefix_of(saver: &SaverOptions, path: &Path, step: Option<i64>) -> Result<PathBuf> {
    let state_file = &saver.state_file;
    if Path::new(state_file).file_name().is_none_or(|name| name != state_file.as_str()) {
        return Err(Error::Invalid(format!(
            "state file name {state_file:?} must not contain path components"
        )));
    }
    if prefix::of_temporary(state_file).is_some() || prefix::parse(state_file).is_some() {
        return Err(Error::Invalid(format!("state file name {state_file:?} is that of a checkpoint's file")));
    }
    utf8(path)?;
    let Some(name) = path.file_name() else {
        return Err(Error::Invalid(format!("path {} names no checkpoint", path.display())));
    };
    if step.is_none() && name == state_file.as_str() {
        return Err(Error::Invalid(format!(
            "state file name {state_file:?} collides with the checkpoint's path"
        )));
    }
    Ok(match step {
        None => path.to_path_buf(),
        Some(step) if saver.pad_step_number => prefix::with_suffix(path, &format!("-{step:08}")),
        Some(step) => prefix::with_suffix(path, &format!("-{step}")),
    })
}

/// What a saver and its background thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: SaverOptions,
    /// Guards the list of checkpoints and the holds on folders. Held for the whole of a save: the files
    /// must change in step with the list.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Sorted from old to new.
    pub(super) kept: Vec<Kept>,
    /// Taken off the list but perhaps still on disk.
    doomed: Vec<Kept>,
    last_preserved: f64,
    holds: HashMap<PathBuf, Hold>,
}

impl State {
    pub(super) fn take_over(&mut self, kept: Vec<Kept>) {
        self.kept = kept;
    }
}

impl Shared {
    pub(super) fn new(options: SaverOptions) -> Shared {
        let last_preserved = seconds(options.clock.now());
        Shared { options, state: Mutex::new(State { last_preserved, ..State::default() }) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A save that panicked has at worst left the list as it was before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn save(&self, request: Request) -> Result<PathBuf> {
        let mut state = self.state();
        let directory = prefix::directory(&request.prefix).to_path_buf();
        self.enter(&mut state, &directory, &request.prefix)?;
        self.write(&request)?;
        if request.options.write_state {
            self.record(&mut state, &directory, &request)?;
        }
        Ok(request.prefix)
    }

    /// At the first save into a folder: locks it, tidies it up, and takes over its checkpoints.
    fn enter(&self, state: &mut State, directory: &Path, prefix: &Path) -> Result<()> {
        let options = &self.options;
        if self.make_directory(directory, prefix)? {
            // What was there before is gone, and its lock guards a file that nobody can find.
            state.holds.remove(directory);
            state.kept.retain(|kept| prefix::directory(&kept.prefix) != directory);
        }
        if state.holds.contains_key(directory) {
            return Ok(());
        }
        let now = seconds(options.clock.now());
        let hold = directory::hold(&options.storage, directory, options.lock, &options.state_file, now)?;
        state.holds.insert(directory.to_path_buf(), hold);
        if options.adopt && !state.kept.iter().any(|kept| prefix::directory(&kept.prefix) == directory) {
            self.adopt(state, directory)?;
        }
        Ok(())
    }

    /// Whether the folder had to be made.
    fn make_directory(&self, directory: &Path, prefix: &Path) -> Result<bool> {
        let storage = &self.options.storage;
        let is_there = storage.metadata(directory).is_ok_and(|info| info.is_dir);
        if is_there {
            return Ok(false);
        }
        if !self.options.create_directory {
            return Err(Error::ParentMissing { path: prefix.to_path_buf() });
        }
        storage.create_dir(directory).map_err(Error::io("create", directory))?;
        Ok(true)
    }

    /// Takes over the checkpoints that the state file lists, so that limits outlive a restart,
    /// and finishes deletions that were interrupted.
    fn adopt(&self, state: &mut State, directory: &Path) -> Result<()> {
        let storage = self.options.storage.as_ref();
        let found = match state::get_checkpoint_state_with(storage, directory, Some(&self.options.state_file))
        {
            Ok(found) => found,
            // A state file without content is replaced by the save that follows.
            Err(Error::Invalid(what)) => {
                log::warn!("{what}");
                None
            }
            Err(error) => return Err(error),
        };
        let Some(found) = found else { return Ok(()) };
        let now = seconds(self.options.clock.now());
        if let Some(time) = found.last_preserved_timestamp.filter(|time| time.is_finite()) {
            state.last_preserved = capped(time, now);
        }
        let paths = &found.all_model_checkpoint_paths;
        let times = state::checkpoint_mtimes(storage, paths);
        for (i, (path, modified)) in paths.iter().zip(times).enumerate() {
            let Some(modified) = modified else { continue };
            let time = found.all_model_checkpoint_timestamps.get(i).copied().filter(|time| time.is_finite());
            let mut kept = Kept::new(path.into(), capped(time.unwrap_or_else(|| seconds(modified)), now));
            if let Some(note) = found.notes.iter().find(|note| note.path == *path) {
                (kept.metric, kept.pinned) = (note.metric, note.pinned);
            }
            state.kept.push(kept);
        }
        let doomed = found.notes.iter().filter(|note| note.doomed && !paths.contains(&note.path));
        state.doomed.extend(doomed.map(|note| Kept::new(PathBuf::from(&note.path), now)));
        Ok(())
    }

    /// Writes all files of a checkpoint in the order in which a crash does no harm.
    fn write(&self, request: &Request) -> Result<()> {
        let options = &self.options;
        let sealed = self.write_tensors(request)?;
        let storage = &options.storage;
        let mut others: Vec<Unfinished> = Vec::new();
        let sidecar = sidecar::place(storage.as_ref(), &request.prefix);
        if let Some(payload) = &request.options.session_state {
            let content = sidecar::envelope(payload, sealed.identity(), sidecar.generation);
            others.push(commit::write_unfinished(storage, &sidecar.path, &content, options.durable)?);
        }
        if let Some(meta_graph) = &request.options.meta_graph {
            let path = prefix::meta_graph_path(&request.prefix, &request.options.meta_graph_suffix);
            others.push(commit::write_unfinished(storage, &path, meta_graph, options.durable)?);
        }
        sealed.commit_with(others)?;
        sidecar::remove_superseded(storage.as_ref(), &sidecar, request.options.session_state.is_some());
        Ok(())
    }

    fn write_tensors(&self, request: &Request) -> Result<SealedBundle> {
        let options = &self.options;
        let total = request.bytes();
        let per_shard = total / u64::from(options.shards);
        let direct = options.direct && options.durable && per_shard >= DIRECT;
        let hint = WriteHint { expected_len: per_shard, direct };
        let bundle = BundleOptions::new().storage(options.storage.clone()).shards(options.shards);
        let bundle = bundle.hint(hint).durable(options.durable);
        let mut writer = BundleWriter::create_with(&request.prefix, bundle)?;
        let mut written = 0u64;
        for item in sorted(request) {
            let shard = (written * u64::from(options.shards)).checked_div(total).unwrap_or(0);
            writer.select_shard((shard as u32).min(options.shards - 1))?;
            match item {
                Item::Whole(name, tensor) => writer.add(name, tensor)?,
                Item::Part(slice, tensor) => {
                    writer.add_slice(&slice.name, &slice.full_shape, &slice.part, tensor)?;
                }
            }
            written += item.tensor().byte_len() as u64;
        }
        writer.seal()
    }

    /// Lists the new checkpoint and lets go of those that are not wanted any more.
    fn record(&self, state: &mut State, directory: &Path, request: &Request) -> Result<()> {
        let options = &self.options;
        let now = seconds(options.clock.now());
        let newest = state.kept.last().map_or(now, |kept| kept.time);
        if newest > now {
            log::warn!(
                "the clock went back by {:.0} s; times of checkpoints are capped (S-323)",
                newest - now
            );
            state.kept.iter_mut().for_each(|kept| kept.time = kept.time.min(now));
        }
        state.last_preserved = state.last_preserved.min(now);
        let SaveOptions { metric, pinned, .. } = request.options;
        state.kept.retain(|kept| kept.prefix != request.prefix);
        state.doomed.retain(|kept| kept.prefix != request.prefix);
        state.kept.push(Kept { prefix: request.prefix.clone(), time: now, metric, pinned });
        self.let_go(state, directory)
    }

    /// Takes what is not wanted off the list, writes the list, and deletes.
    fn let_go(&self, state: &mut State, directory: &Path) -> Result<()> {
        let unwanted = self.options.retention.prune(&mut state.kept, &mut state.last_preserved);
        state.doomed.extend(unwanted);
        self.write_state(state, directory)?;
        if !state.doomed.is_empty() {
            self.delete_doomed(state);
            // Says that they are deleted: else a copy that somebody puts back would go, too.
            self.write_state(state, directory)?;
        }
        Ok(())
    }

    pub(super) fn prune(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        let mut state = self.state();
        let not_found = || Error::NotFound { path: directory.to_path_buf() };
        if !self.options.storage.metadata(directory).is_ok_and(|info| info.is_dir) {
            return Err(not_found());
        }
        // Any prefix in the folder will do: it only stands for the folder.
        self.enter(&mut state, directory, &directory.join(STATE_FILE))?;
        if !state.kept.iter().any(|kept| prefix::directory(&kept.prefix) == directory) {
            self.adopt_all(&mut state, directory)?;
        }
        if state.kept.is_empty() {
            return Err(not_found());
        }
        let before = state.kept.clone();
        self.let_go(&mut state, directory)?;
        let storage = self.options.storage.as_ref();
        let gone = before.into_iter().filter(|kept| !state::checkpoint_exists_with(storage, &kept.prefix));
        Ok(gone.map(|kept| kept.prefix).collect())
    }

    /// Takes over whatever lies in a folder.
    fn adopt_all(&self, state: &mut State, directory: &Path) -> Result<()> {
        let storage = self.options.storage.as_ref();
        let prefixes = crate::reader::checkpoints_by_step(storage, directory)?;
        let times = state::checkpoint_mtimes(storage, &prefixes);
        let found = prefixes.into_iter().zip(times);
        state.kept.extend(found.filter_map(|(prefix, time)| Some(Kept::new(prefix, seconds(time?)))));
        Ok(())
    }

    /// Deletes what was taken off the list. What cannot be deleted is logged and tried again later.
    fn delete_doomed(&self, state: &mut State) {
        let storage = self.options.storage.as_ref();
        state.doomed.retain(|kept| match state::remove_checkpoint_with(storage, &kept.prefix) {
            Ok(()) => false,
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                log::warn!("{error}: {reason}");
                true
            }
        });
    }

    fn write_state(&self, state: &State, directory: &Path) -> Result<()> {
        let options = &self.options;
        let Some(newest) = state.kept.last() else { return Ok(()) };
        let path = |kept: &Kept| utf8(&kept.prefix).map(str::to_owned);
        // Only a saver that goes by times needs them in the file; plain ones write what TensorFlow's do.
        let timed = options.retention.keep_every.is_some();
        let times = state.kept.iter().map(|kept| kept.time).filter(|_| timed);
        let listed = state.kept.iter().filter(|kept| kept.metric.is_some() || kept.pinned);
        let note = |kept: &Kept, doomed| {
            path(kept).map(|path| Note { path, metric: kept.metric, pinned: kept.pinned, doomed })
        };
        let listed = listed.map(|kept| note(kept, false));
        let doomed = state.doomed.iter().map(|kept| note(&Kept::new(kept.prefix.clone(), 0.0), true));
        let content = CheckpointState {
            model_checkpoint_path: path(newest)?,
            all_model_checkpoint_paths: state.kept.iter().map(path).collect::<Result<_>>()?,
            all_model_checkpoint_timestamps: times.collect(),
            last_preserved_timestamp: timed.then_some(state.last_preserved),
            notes: listed.chain(doomed).collect::<Result<_>>()?,
        };
        let (storage, name) = (&options.storage, &options.state_file);
        state::write(storage, directory, name, content, options.relative_paths, options.durable)
    }

    pub(super) fn pin(&self, prefix: &Path, pinned: bool) -> Result<bool> {
        let mut state = self.state();
        let Some(kept) = state.kept.iter_mut().find(|kept| kept.prefix == prefix) else { return Ok(false) };
        kept.pinned = pinned;
        self.write_state(&state, prefix::directory(prefix))?;
        Ok(true)
    }
}

fn capped(time: f64, now: f64) -> f64 {
    if time > now {
        log::warn!("a checkpoint's time lies {:.0} s ahead of the clock (S-323)", time - now);
    }
    time.min(now)
}

/// One tensor to be written.
#[derive(Clone, Copy)]
enum Item<'a> {
    Whole(&'a str, &'a Tensor),
    Part(&'a Slice, &'a Tensor),
}

impl<'a> Item<'a> {
    fn name(self) -> &'a str {
        match self {
            Item::Whole(name, _) => name,
            Item::Part(slice, _) => &slice.name,
        }
    }

    fn tensor(self) -> &'a Tensor {
        match self {
            Item::Whole(_, tensor) | Item::Part(_, tensor) => tensor,
        }
    }
}

/// In the order of names, as TensorFlow's saver writes them; parts of one variable in the order given.
fn sorted(request: &Request) -> Vec<Item<'_>> {
    let whole = request.tensors.iter().map(|(name, tensor)| Item::Whole(name, tensor));
    let parts = request.slices.iter().map(|(slice, tensor)| Item::Part(slice, tensor));
    let mut items: Vec<Item<'_>> = whole.chain(parts).collect();
    if !items.is_sorted_by_key(|item| item.name()) {
        items.sort_by_key(|item| item.name());
    }
    items
}
