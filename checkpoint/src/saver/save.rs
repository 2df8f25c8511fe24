//! One save from beginning to end.

use super::options::{SaveOptions, SaverOptions};
use super::place::{Place, Places};
use super::retention::Kept;
use super::source::{SaveSource, Slice, Snapshot};
use crate::bundle::{BundleOptions, BundleWriter, SealedBundle};
use crate::clock::seconds;
use crate::commit::{self, Mark, Unfinished};
use crate::folder::{Folder, LOCK_FILE, Writing};
use crate::journal::{JOURNAL, Publishing, Written};
use crate::listing::numbered;
use crate::prefix;
use crate::sidecar;
use crate::storage::{WriteHint, check_folder, create_folder};
use crate::{Error, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{BufferPool, Tensor};

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

    /// Copies what the caller may want to write to, so that it need not: as long as a snapshot shares a variable's memory, its
    /// next update makes a copy first, in the middle of a step. The copies lie in memory of their own, which goes back to
    /// the system with them.
    pub(super) fn detach(&mut self) {
        let memory = BufferPool::new();
        let tensors = self.tensors.iter_mut().map(|(_, tensor)| tensor);
        for tensor in tensors.chain(self.slices.iter_mut().map(|(_, tensor)| tensor)) {
            // Memory that nothing else shares cannot change during the save.
            if tensor.is_writable() {
                continue;
            }
            // Without enough memory for it, the rest stays shared.
            let Ok(copy) = tensor.copied(&memory) else { return };
            *tensor = copy;
        }
    }

    fn bytes(&self) -> u64 {
        let tensors = self.tensors.iter().map(|(_, tensor)| tensor);
        tensors
            .chain(self.slices.iter().map(|(_, tensor)| tensor))
            .map(|tensor| tensor.byte_len() as u64)
            .sum()
    }
}

/// `path`, or `path-step`; after checking that it names a checkpoint and is not the state file.
pub(super) fn prefix_of(saver: &SaverOptions, path: &Path, step: Option<i64>) -> Result<PathBuf> {
    let state_file = &saver.state_file;
    if Path::new(state_file).file_name().is_none_or(|name| name != state_file.as_str()) {
        return Err(Error::Invalid(format!(
            "state file name {state_file:?} must not contain path components"
        )));
    }
    if prefix::parse(state_file).is_some() || [LOCK_FILE, JOURNAL].contains(&state_file.as_str()) {
        return Err(Error::Invalid(format!(
            "state file name {state_file:?} is that of another file of a saver"
        )));
    }
    let name = prefix::name(path)?;
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

/// The state that a saver and its background thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: SaverOptions,
    /// Guards the lists of checkpoints and the holds on folders. Held for the whole of a save: the files
    /// must change in step with the lists.
    places: Mutex<Places>,
}

impl Shared {
    pub(super) fn new(options: SaverOptions) -> Shared {
        let places = Mutex::new(Places::new(seconds(options.clock.now())));
        Shared { options, places }
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        // A save that panicked has at worst left the list as it was before.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn save(&self, request: Request) -> Result<PathBuf> {
        let mut places = self.places();
        let directory = prefix::directory(&request.prefix);
        let is_new = self.make_directory(directory, &request.prefix)?;
        let place = places.at(self.options.storage.as_ref(), directory)?;
        if is_new {
            // The earlier file is gone, and its lock guards an unlinked file.
            place.clear();
        }
        let folder = self.enter(place)?;
        let mut writing = folder.writing(&self.options.storage, self.options.durable)?;
        self.adopt_once(place, &mut writing)?;
        if let Err(error) = self.write(&request, &mut writing) {
            // The error of the save is the one to report. What `undo` cannot remove, the next saver does.
            writing.undo();
            return Err(error);
        }
        if request.options.write_state {
            self.record(place, &mut writing, &request)?;
        }
        Ok(request.prefix)
    }

    /// Locks a folder, unless this saver has it.
    pub(super) fn enter(&self, place: &mut Place) -> Result<Arc<Folder>> {
        if let Some(folder) = &place.folder {
            return Ok(Arc::clone(folder));
        }
        let SaverOptions { storage, lock, clock, .. } = &self.options;
        let folder = Folder::hold(storage, &place.directory, *lock, clock.now())?;
        Ok(Arc::clone(place.folder.insert(folder)))
    }

    /// Checks that nothing is in the way of saves with this prefix.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        prefix_of(&self.options, path, Some(0))?;
        let (storage, base) = (self.options.storage.as_ref(), prefix::name(path)?);
        let directory = prefix::directory(path);
        if storage.metadata(directory).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let missing = || Error::ParentMissing { path: path.to_path_buf() };
            return self.options.create_directory.then_some(()).ok_or_else(missing);
        }
        let is_step = |rest: &str| rest.is_empty() || numbered(rest).is_some_and(|(name, _)| name.is_empty());
        check_folder(storage, directory, |name| {
            let of_saver = [self.options.state_file.as_str(), LOCK_FILE, JOURNAL].contains(&name);
            let after_base = prefix::parse(name).and_then(|(stem, _)| stem.strip_prefix(base));
            of_saver || after_base.is_some_and(is_step)
        })
    }

    /// Returns true if the folder had to be made.
    fn make_directory(&self, directory: &Path, prefix: &Path) -> Result<bool> {
        let storage = &self.options.storage;
        let is_there = storage.metadata(directory).is_ok_and(|info| info.is_dir);
        if is_there {
            return Ok(false);
        }
        if !self.options.create_directory {
            return Err(Error::ParentMissing { path: prefix.to_path_buf() });
        }
        create_folder(storage.as_ref(), directory)?;
        Ok(true)
    }

    /// Writes all files of a checkpoint in the order in which a crash does no harm.
    fn write(&self, request: &Request, writing: &mut Writing<'_>) -> Result<()> {
        let options = &self.options;
        let mark = writing.mark();
        let unfinished = |path: &Path, content: &[u8]| {
            commit::write_unfinished(&options.storage, path, content, options.durable, mark)
        };
        let sealed = self.write_tensors(request, mark)?;
        let storage = options.storage.as_ref();
        let mut others: Vec<Unfinished> = Vec::new();
        // Chosen even without a state to write: states of earlier saves of the prefix must go in any case.
        let sidecar = sidecar::place(storage, &request.prefix)?;
        if let Some(payload) = &request.options.session_state {
            let content = sidecar::envelope(payload, sealed.identity(), sidecar.generation);
            others.push(unfinished(&sidecar.path, &content)?);
        }
        let meta = request.options.meta_graph.as_deref();
        let mut meta_name = None;
        if let Some(meta) = meta {
            let path = prefix::meta_graph_path(&request.prefix, &request.options.meta_graph_suffix);
            others.push(unfinished(&path, meta)?);
            meta_name = prefix::name(&path).ok().map(str::to_owned);
        }
        let written = Written {
            name: prefix::name(&request.prefix)?.to_owned(),
            save: sealed.identity(),
            num_shards: sealed.num_shards(),
            meta: meta_name,
        };
        let publishing = Publishing::new(written, meta, sealed.replaces());
        sealed.commit_with(others, || writing.announce(publishing))?;
        // In memory only. The journal on disk is rewritten by the next save; until then a restart finds the
        // index in place and completes the entry itself (`Folder::tidy`).
        writing.journal().complete();
        sidecar::remove_superseded(storage, &sidecar, request.options.session_state.is_some());
        Ok(())
    }

    fn write_tensors(&self, request: &Request, mark: Mark) -> Result<SealedBundle> {
        let options = &self.options;
        let total = request.bytes();
        let per_shard = total / u64::from(options.shards);
        // Never without durability: a direct file writes its last, partial block in `sync`.
        let direct = options.direct && options.durable && per_shard >= DIRECT;
        let hint = WriteHint { expected_len: per_shard, direct };
        let bundle = BundleOptions::new().storage(options.storage.clone()).shards(options.shards);
        let bundle = bundle.hint(hint).durable(options.durable).mark(mark);
        let mut writer = BundleWriter::create_with(&request.prefix, bundle)?;
        let mut written = 0u64;
        for item in sorted(request) {
            // By the bytes before this tensor, so that shards get about equal shares without a plan. Source
            // order is kept within each.
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
    fn record(&self, place: &mut Place, writing: &mut Writing<'_>, request: &Request) -> Result<()> {
        let now = seconds(self.options.clock.now());
        place.cap_times(now);
        let SaveOptions { metric, pinned, .. } = request.options;
        let name = prefix::name(&request.prefix)?.to_owned();
        place.drop_name(&name);
        place.kept.push(Kept { metric, pinned, ..Kept::new(name, now) });
        self.let_go(place, writing)
    }
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

/// Sorts the tensors by name, as TensorFlow's saver writes them; parts of one variable stay in the given order.
fn sorted(request: &Request) -> Vec<Item<'_>> {
    let whole = request.tensors.iter().map(|(name, tensor)| Item::Whole(name, tensor));
    let parts = request.slices.iter().map(|(slice, tensor)| Item::Part(slice, tensor));
    let mut items: Vec<Item<'_>> = whole.chain(parts).collect();
    if !items.is_sorted_by_key(|item| item.name()) {
        items.sort_by_key(|item| item.name());
    }
    items
}
