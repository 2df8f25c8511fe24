//! `CacheDataset` (D-66).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `filename` (a string scalar; empty for memory), in `CacheDatasetV2` also `cache`,
//! a resource. The first iterator that reaches the end fills the cache; later ones read from it. Whether an
//! iterator reads or fills is decided at its first element. An epoch that is cut short leaves nothing behind.
//! Of an input that fails for an element, the error is passed on, and the cache has the others. An input
//! without end never fills it: its elements are passed on, and all of them are kept until the iterator ends;
//! a warning is logged.
//!
//! - *In memory*: elements are kept as they are, without a copy. The cache belongs to one initialization of
//!   an iterator: the next one fills it again. Its content is part of the position, so a checkpoint contains
//!   it.
//! - *In files*: a checkpoint of TensorFlow's format, which TensorFlow reads; the key of component `c` of
//!   element `e` is `e`, right-aligned in 7 places, `_`, and `c`. It is finished at the end of the input
//!   only. A finished cache is used whatever the input is now. No position can be saved while it is written,
//!   because a resumed run could not continue the files.
//!
//! # Errors
//!
//! - `AlreadyExists` if another iterator writes the same files, `NotFound` for a missing folder, with the
//!   first element.
//! - The error of the session's policy for files, if it refuses the path.
//!
//! `DummyMemoryCache`, `AnonymousMemoryCache` output the resource for `cache`; `DeleteMemoryCache` does
//! nothing.

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source};
use super::element::Element;
use super::growing::Growing;
use super::kept::Kept;
use super::position::{Reader, Writer, damaged, unsavable};
use crate::kernels::io::path;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use checkpoint::bundle::{BundleReader, BundleWriter};
use session_core::{Code, Error, FileAccess, Result};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::text::escaped;
use tensor::{DType, Tensor};

/// The op types. `CacheDatasetV2` has the resource `cache`, and is what functions of TensorFlow 2 contain
/// (D-3).
pub(super) const OPS: &[Op] = &[Op { types: &["CacheDataset", "CacheDatasetV2"], functions: &[], make }];

/// Registers the ops that create and delete caches in memory.
pub(super) fn register(registry: &mut Registry) {
    let dummy = registry.add("DummyMemoryCache", |_| {
        Ok(boxed(|context| {
            context.set(0, Tensor::from_handle(DType::Resource, Arc::new(())));
            Ok(())
        }))
    });
    dummy.describes();
    registry.add("AnonymousMemoryCache", |_| {
        Ok(boxed(|context| {
            context.set(0, Tensor::from_handle(DType::Resource, Arc::new(Memory::default())));
            context.set(1, Tensor::from_handle(DType::Variant, Arc::new(())));
            Ok(())
        }))
    });
    registry.add("DeleteMemoryCache", |_| Ok(boxed(|_| Ok(()))));
}

/// Makes the dataset, with a new cache if it is one in memory.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let (name, input) = (build.string("filename")?, build.input()?);
    if input.cardinality() == INFINITE {
        log::warn!(
            "the input of {} has no end: its elements are kept and never read again; take a part of it before the cache, or cache \
             before the repeat",
            build.owner()
        );
    }
    // A name wins over a resource in memory, as in TensorFlow.
    let place = if !name.is_empty() {
        Place::File(path(&name))
    } else if build.has("cache") {
        Place::Memory(build.tensor("cache")?.to_handle::<Memory>().unwrap_or_default())
    } else {
        Place::Memory(Arc::default())
    };
    Ok(Arc::new(Cache { input, place }))
}

/// The elements of a whole epoch, once an iterator has reached the end.
#[derive(Default)]
pub(super) struct Memory {
    /// Guards the list, which is set once and then does not grow any more. `None` before the first complete
    /// epoch.
    elements: Mutex<Option<Growing<Element>>>,
}

impl Memory {
    /// Locks the list. A panic of another thread cannot leave it half changed, because it is only assigned as a
    /// whole.
    fn lock(&self) -> MutexGuard<'_, Option<Growing<Element>>> {
        self.elements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a cache.
#[derive(Clone)]
enum Place {
    /// In memory. The value in a dataset only identifies the cache; each session iterator has its own (see
    /// [`Kept`]).
    Memory(Arc<Memory>),
    /// The prefix of the files, shared by whoever names it, in this process or another one.
    File(PathBuf),
}

impl Place {
    /// Returns the place that one iterator of the session and those inside it use.
    fn of_iterator(&self, kept: &Kept) -> Place {
        match self {
            Place::Memory(memory) => Place::Memory(kept.of(memory, |_| Memory::default())),
            Place::File(prefix) => Place::File(prefix.clone()),
        }
    }
}

/// The dataset.
struct Cache {
    /// The dataset whose elements are cached.
    input: Shared,
    /// The place of the cache.
    place: Place,
}

impl Dataset for Cache {
    fn name(&self) -> &'static str {
        "Cache"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        self.input.cardinality()
    }

    /// Makes an iterator that neither opens the input nor looks at the cache before its first element: which
    /// of the two it needs may depend on an epoch that is still running.
    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let (dataset, place) = (self.input.clone(), self.place.of_iterator(run.kept));
        Ok(Box::new(Cached { dataset, place, mode: Mode::Undecided }))
    }

    /// Writes the elements of a finished cache in memory: an option with the list. Files keep themselves.
    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        let Place::Memory(memory) = self.place.of_iterator(kept) else { return Ok(()) };
        let elements = memory.lock().clone();
        to.option(elements, |to, elements| {
            // A finished list does not grow, so the bytes do not depend on when they are written.
            elements.save(to, |to, element| to.element(element));
            Ok(())
        })
    }

    /// Reads the elements of a finished cache in memory; memory for them is taken at once.
    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        let Place::Memory(memory) = self.place.of_iterator(kept) else { return Ok(()) };
        *memory.lock() = from.option(|from| from.list(Reader::element))?.map(Growing::new);
        Ok(())
    }
}

/// An iterator, which either fills the cache or reads it.
struct Cached {
    /// The dataset whose elements are cached.
    dataset: Shared,
    /// The place of the cache of this iterator.
    place: Place,
    /// The way in which elements are made at present; changes only forward, from undecided to over.
    mode: Mode,
}

/// The way in which an iterator gets its elements.
enum Mode {
    /// No element was requested yet.
    Undecided,
    /// Elements come from memory; the next one.
    Read(usize),
    /// Elements come from the input and are kept. The list becomes the cache at the end.
    Keep(Source, Growing<Element>),
    /// Elements come from a file.
    FromFile(FromFile),
    /// Elements come from the input and are written to a file, which becomes visible at the end.
    ToFile(Source, ToFile),
    /// The end was reached.
    Over,
}

impl Cached {
    /// Chooses between reading and filling, when the first element is requested.
    fn decide(&self, run: &Run<'_>) -> Result<Mode> {
        Ok(match &self.place {
            Place::Memory(memory) if memory.lock().is_some() => Mode::Read(0),
            // The list becomes the cache only at the end, so two iterators may fill their own lists at the
            // same time.
            Place::Memory(_) => Mode::Keep(self.dataset.iterate(run)?, Growing::default()),
            Place::File(prefix) if index_of(prefix).exists() => {
                Mode::FromFile(FromFile::open(prefix, &run.environment.files)?)
            }
            Place::File(prefix) => {
                Mode::ToFile(self.dataset.iterate(run)?, ToFile::create(prefix, &run.environment.files)?)
            }
        })
    }
}

impl Iterate for Cached {
    /// Returns the next element in the mode that the first request has chosen. An error of the input leaves
    /// the mode, so the next request continues with the element after it; the cache then lacks one.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if matches!(self.mode, Mode::Undecided) {
            self.mode = self.decide(run)?;
        }
        let element = match &mut self.mode {
            Mode::Undecided | Mode::Over => None,
            Mode::Read(next) => {
                // Once complete, a cache in memory stays until the iterator of the session is initialized
                // again.
                let Place::Memory(memory) = &self.place else { return Err(damaged()) };
                let element = memory.lock().as_ref().and_then(|elements| elements.get(*next));
                *next += usize::from(element.is_some());
                return Ok(element);
            }
            Mode::Keep(input, kept) => {
                let element = input.next(run)?;
                match &element {
                    Some(element) => kept.push(element.clone()),
                    None => {
                        if let Place::Memory(memory) = &self.place {
                            // Of two iterators of one epoch, as with a zip of the cache with itself, the
                            // first to end counts.
                            memory.lock().get_or_insert_with(|| kept.clone());
                        }
                    }
                }
                element
            }
            Mode::FromFile(file) => file.next()?,
            Mode::ToFile(input, file) => {
                let element = input.next(run)?;
                match &element {
                    Some(element) => file.add(element)?,
                    None => file.finish()?,
                }
                element
            }
        };
        if element.is_none() {
            self.mode = Mode::Over;
        }
        Ok(element)
    }

    /// Writes the mode and what it needs:
    ///
    /// | number | mode | then |
    /// | --- | --- | --- |
    /// | 0 | undecided | |
    /// | 1 | over | |
    /// | 2 | reading memory | the index of the next element |
    /// | 3 | filling memory | the elements so far, the position of the input |
    /// | 4 | reading files | the number of the next element |
    ///
    /// # Errors
    ///
    /// `Unimplemented` while files are written.
    fn save(&self, to: &mut Writer) -> Result<()> {
        match &self.mode {
            Mode::Undecided => to.number(0),
            Mode::Over => to.number(1),
            Mode::Read(next) => {
                to.number(2);
                to.number(*next as u64);
            }
            Mode::Keep(input, kept) => {
                to.number(3);
                kept.save(to, |to, element| to.element(element));
                input.save(to)?;
            }
            Mode::FromFile(file) => {
                to.number(4);
                to.number(file.next);
            }
            Mode::ToFile(..) => return Err(unsavable("file that is being written")),
        }
        Ok(())
    }

    /// Restores the mode. Files of a finished cache are opened again, and must still exist.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.mode = match from.number()? {
            0 => Mode::Undecided,
            1 => Mode::Over,
            2 => Mode::Read(from.size()?),
            3 => {
                let kept = Growing::new(from.list(Reader::element)?);
                // The elements so far are in the position, so the input goes on and is not read again.
                let mut input = self.dataset.iterate(run)?;
                input.restore(from, run)?;
                Mode::Keep(input, kept)
            }
            _ => {
                let Place::File(prefix) = &self.place else { return Err(damaged()) };
                let mut file = FromFile::open(prefix, &run.environment.files)?;
                file.next = from.number()?;
                Mode::FromFile(file)
            }
        };
        Ok(())
    }
}

/// Returns `<prefix><end>`.
fn with_suffix(prefix: &Path, end: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Returns the path of the index, which exists only for a finished cache: it is written last.
fn index_of(prefix: &Path) -> PathBuf {
    with_suffix(prefix, ".index")
}

/// Returns the key of a component of an element: padded as TensorFlow pads it, so that keys are sorted by the
/// number of the element. `key(12, 3, 4)` is `"     12_3"`; with more than ten components, the component has
/// two digits.
fn key(element: u64, component: usize, components: usize) -> String {
    let width = components.saturating_sub(1).to_string().len();
    format!("{element:>7}_{component:0>width$}")
}

/// A finished cache that is read.
struct FromFile {
    /// The checkpoint that holds the elements.
    bundle: BundleReader,
    /// The number of components of each element.
    components: usize,
    /// The number of elements.
    count: u64,
    /// The number of the next element.
    next: u64,
}

impl FromFile {
    /// Opens a cache, and derives the numbers of components and elements from the keys: those of element 0
    /// are its components. Types and shapes are not compared with the dataset's; get-next does that (D-22,
    /// D-66).
    fn open(prefix: &Path, access: &FileAccess) -> Result<FromFile> {
        let bundle = BundleReader::open_allowed(prefix, access)?;
        let (mut components, mut entries) = (0, 0u64);
        for entry in bundle.entries() {
            entries += 1;
            // The keys of element 0 are the only ones that begin so: others have a digit in front of the
            // zero.
            components += usize::from(entry.name.trim_start().starts_with("0_"));
        }
        let count = entries.checked_div(components as u64).unwrap_or(0);
        Ok(FromFile { bundle, components, count, next: 0 })
    }

    /// Reads the next element, or returns `None` at the end. After an error the same element is read again.
    fn next(&mut self) -> Result<Option<Element>> {
        if self.next >= self.count {
            return Ok(None);
        }
        let component = |component| Ok(self.bundle.read(&key(self.next, component, self.components))?);
        let element = (0..self.components).map(component).collect::<Result<Element>>()?;
        self.next += 1;
        Ok(Some(element))
    }
}

/// A cache file that is being written. The lock file keeps other iterators, of this and other processes, from
/// writing the same files. Dropped before [`finish`](Self::finish), it leaves no files.
struct ToFile {
    /// The writer of the checkpoint; `None` once it is finished.
    writer: Option<BundleWriter>,
    /// The lock file, which is removed when the value is dropped.
    lock: PathBuf,
    /// The number of elements so far.
    count: u64,
}

impl ToFile {
    /// Creates the lock file, then begins the checkpoint.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` for a lock of another writer, which may also be left of a process that was killed;
    /// `NotFound` for a missing folder; what the session's policy for files refuses.
    fn create(prefix: &Path, access: &FileAccess) -> Result<ToFile> {
        access.check_write(prefix)?;
        let lock = with_suffix(prefix, "_0.lockfile");
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::new(
                Code::AlreadyExists,
                format!(
                    "There appears to be a concurrent caching iterator running - cache lockfile already exists ('{}'). If you are \
                     sure no other running computation is using this cache prefix, delete the lockfile and re-initialize the iterator.",
                    lock.display()
                ),
            ),
            io::ErrorKind::NotFound => {
                Error::new(Code::NotFound, format!("{}; No such file or directory", lock.display()))
            }
            _ => Error::new(Code::Unknown, format!("could not write '{}': {error}", lock.display())),
        };
        // Creating is atomic in the file system, so of two processes one fails here.
        OpenOptions::new().write(true).create_new(true).open(&lock).map_err(failed)?;
        // From here on, dropping the value removes the lock, also when an error follows.
        let mut file = ToFile { writer: None, lock: lock.clone(), count: 0 };
        file.writer = Some(BundleWriter::create(prefix)?);
        Ok(file)
    }

    /// Writes an element, one entry for each component.
    fn add(&mut self, element: &[Tensor]) -> Result<()> {
        // The writer is gone after the end only, when no element follows.
        let Some(writer) = &mut self.writer else { return Err(damaged()) };
        for (component, value) in element.iter().enumerate() {
            writer.add(&key(self.count, component, element.len()), value)?;
        }
        self.count += 1;
        Ok(())
    }

    /// Finishes the checkpoint, which makes the cache visible to other iterators.
    fn finish(&mut self) -> Result<()> {
        match self.writer.take() {
            Some(writer) => Ok(writer.finish()?),
            None => Ok(()),
        }
    }
}

impl Drop for ToFile {
    /// Removes the lock file, and before it the files of a cache that was not finished.
    fn drop(&mut self) {
        // Removes its unfinished files, before another iterator may begin.
        self.writer = None;
        if let Err(error) = fs::remove_file(&self.lock) {
            log::warn!("could not remove '{}': {error}", escaped(self.lock.display()));
        }
    }
}
