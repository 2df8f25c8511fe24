//! Writing a bundle: tensors stream into the data files; the index is written last.

use super::entry::{Entry, Header};
use super::reader::layout;
use super::slice::{self, TensorSlice};
use super::{Identity, strings};
use crate::commit::{self, Mark, Unfinished};
use crate::prefix::{self, Part};
use crate::storage::{LocalStorage, Storage, WriteFile, WriteHint};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::text::escaped;
use tensor::{DType, Shape, Tensor};
use wire::crc::{self, Running};

/// Bytes are summed in pieces of this size just before they are handed on, so that they are in the
/// cache both times.
const BLOCK: usize = 256 << 10;

/// Options for writing a bundle.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use checkpoint::bundle::{BundleOptions, BundleWriter};
/// let options = BundleOptions::new().shards(2).durable(false);
/// let mut writer = BundleWriter::create_with(folder.path().join("m"), options)?;
/// writer.select_shard(1)?;
/// writer.add("w", &tensor::Tensor::scalar(1.0f32))?;
/// writer.finish()?;
/// assert!(folder.path().join("m.data-00001-of-00002").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BundleOptions {
    storage: Arc<dyn Storage>,
    shards: u32,
    hint: WriteHint,
    durable: bool,
    mark: Mark,
}

impl Default for BundleOptions {
    fn default() -> Self {
        BundleOptions {
            storage: LocalStorage::shared(),
            shards: 1,
            hint: WriteHint::default(),
            durable: true,
            mark: Mark::new(),
        }
    }
}

impl BundleOptions {
    /// Returns the defaults: local files, one shard, synced to disk.
    pub fn new() -> BundleOptions {
        BundleOptions::default()
    }

    /// Writes through another storage. Default: [`LocalStorage`].
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Sets the number of data files to write, at least 1. Tensors go to the one that
    /// [`select_shard`](BundleWriter::select_shard) chose last. Default: 1.
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards;
        self
    }

    /// Sets a hint about the data: the approximate number of bytes of a shard, and whether they may go
    /// past the page cache. Default: nothing is known.
    pub fn hint(mut self, hint: WriteHint) -> Self {
        self.hint = hint;
        self
    }

    /// Sets whether files and folder are synced to disk before the next step of a commit. Without it a
    /// crash of the program is survived all the same, a crash of the machine may not be.
    /// Default: `true`.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets the mark by which unfinished files are recognized.
    pub(crate) fn mark(mut self, mark: Mark) -> Self {
        self.mark = mark;
        self
    }
}

/// Writes a V2 checkpoint.
///
/// Tensors are written as they are added; nothing of them is kept in memory but their entries.
/// A reader sees nothing until [`finish`](BundleWriter::finish), and then all. Dropping the writer
/// before that removes what was written.
///
/// A checkpoint that exists under the same prefix stays whole and readable until the new one takes its
/// place at once: the new data then go into files with another shard count in their names. So they do
/// where files with such names lie without an index: whatever they are, they are not overwritten.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use checkpoint::bundle::{BundleReader, BundleWriter};
/// let prefix = folder.path().join("model.ckpt");
/// let mut writer = BundleWriter::create(&prefix)?;
/// writer.add("step", &tensor::Tensor::scalar(7i64))?;
/// assert!(BundleReader::open(&prefix).is_err()); // not finished yet
/// writer.finish()?;
/// assert_eq!(BundleReader::open(&prefix)?.read("step")?.value::<i64>()?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BundleWriter {
    prefix: PathBuf,
    options: BundleOptions,
    /// The number in the files' names; more than were requested when it replaces a checkpoint.
    num_shards: u32,
    /// The checkpoint that it replaces.
    replaces: Option<Replaced>,
    shards: Vec<Shard>,
    selected: usize,
    entries: Vec<(Vec<u8>, Entry)>,
    /// The positions of the entries of partitioned tensors.
    partitioned: HashMap<Vec<u8>, usize>,
}

#[derive(Debug)]
struct Shard {
    path: Unfinished,
    file: Box<dyn WriteFile>,
    /// Small tensors are collected here, to be written together.
    pending: Vec<u8>,
    written: u64,
}

impl BundleWriter {
    /// Begins a checkpoint with this prefix, such as `train/model.ckpt-500`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// assert!(checkpoint::bundle::BundleWriter::create(folder.path().join("m")).is_ok());
    /// assert!(checkpoint::bundle::BundleWriter::create("no/such/folder/m").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ParentMissing`] when the folder does not exist; [`Error::Invalid`] for a prefix that ends
    /// with a separator; [`Error::Io`].
    pub fn create(prefix: impl AsRef<Path>) -> Result<BundleWriter> {
        BundleWriter::create_with(prefix, BundleOptions::default())
    }

    /// Works as [`create`](BundleWriter::create), with options.
    ///
    /// # Errors
    /// As [`create`](BundleWriter::create); [`Error::Invalid`] for 0 shards.
    pub fn create_with(prefix: impl AsRef<Path>, options: BundleOptions) -> Result<BundleWriter> {
        let prefix = prefix.as_ref();
        if options.shards == 0 {
            return Err(Error::Invalid("a bundle needs at least one shard".to_owned()));
        }
        // Only for its error: a prefix that ends in a separator would create files that begin with a dot.
        prefix::name(prefix)?;
        let storage = options.storage.as_ref();
        // Data files of an older save are never opened for writing: until the new index is in place, they are
        // the checkpoint.
        let num_shards = free_shard_count(storage, prefix, options.shards)?;
        // A damaged old index is replaced like a missing one. Its data files stay, since their count is not
        // known for sure.
        let replaces = layout(storage, &prefix::index_path(prefix)).ok();
        let replaces =
            replaces.map(|layout| Replaced { identity: layout.identity, num_shards: layout.num_shards });
        let mut shards = Vec::new();
        // A folder that cannot be written to is reported here, before the first tensor is given.
        for shard in 0..num_shards {
            shards.push(Shard::create(&options, prefix, &prefix::data_path(prefix, shard, num_shards))?);
        }
        Ok(BundleWriter {
            prefix: prefix.to_path_buf(),
            options,
            num_shards,
            replaces,
            shards,
            selected: 0,
            entries: Vec::new(),
            partitioned: HashMap::new(),
        })
    }

    /// Makes the tensors that follow go to this data file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not below the number of shards requested.
    pub fn select_shard(&mut self, shard: u32) -> Result<()> {
        if shard >= self.options.shards {
            return Err(Error::Invalid(format!("shard {shard} of {} does not exist", self.options.shards)));
        }
        self.selected = shard as usize;
        Ok(())
    }

    /// Appends a tensor.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use checkpoint::bundle::BundleWriter;
    /// let mut writer = BundleWriter::create(folder.path().join("m"))?;
    /// writer.add("w", &tensor::Tensor::scalar(1.0f32))?;
    /// assert!(writer.add("", &tensor::Tensor::scalar(1.0f32)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty name; [`Error::UnsupportedDType`] for resources and variants;
    /// [`Error::Io`]. A name given twice is reported by [`seal`](BundleWriter::seal).
    pub fn add(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        if name.is_empty() {
            return Err(Error::Invalid("a tensor without a name cannot be stored".to_owned()));
        }
        let entry = self.write(name, tensor)?;
        self.entries.push((name.as_bytes().to_vec(), entry));
        Ok(())
    }

    /// Appends a part of a partitioned tensor, whose full shape is given. All parts have to be added
    /// before the bundle is finished. A part that is the whole tensor is stored like any tensor.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use checkpoint::bundle::{BundleReader, BundleWriter, TensorSlice};
    /// let prefix = folder.path().join("model.ckpt");
    /// let mut writer = BundleWriter::create(&prefix)?;
    /// for (start, value) in [(0, 1.0f32), (1, 2.0)] {
    ///     let slice = TensorSlice::new([(start, Some(1))]);
    ///     writer.add_slice("w", &[2].into(), &slice, &tensor::Tensor::from([value]))?;
    /// }
    /// writer.finish()?;
    /// assert_eq!(BundleReader::open(&prefix)?.read("w")?, tensor::Tensor::from([1.0f32, 2.0]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](BundleWriter::add); [`Error::Invalid`] when the slice does not lie in the shape, the
    /// tensor has not the slice's shape, or earlier parts had another dtype or full shape.
    pub fn add_slice(&mut self, name: &str, full: &Shape, part: &TensorSlice, tensor: &Tensor) -> Result<()> {
        if part.shape_within(full).as_ref() != Some(tensor.shape()) {
            let found = tensor.shape();
            return Err(Error::Invalid(format!("slice {part} of {name:?} {full} given as a tensor {found}")));
        }
        // TensorFlow stores such a part under the plain name.
        if part.is_whole(full) {
            return self.add(name, tensor);
        }
        let whole = self.partitioned_entry(name, full, tensor.dtype())?;
        let entry = self.write(name, tensor)?;
        self.entries[whole].1.slices.push(part.clone());
        self.entries.push((slice::encode_key(name.as_bytes(), part), entry));
        Ok(())
    }

    fn partitioned_entry(&mut self, name: &str, full: &Shape, dtype: DType) -> Result<usize> {
        if let Some(&position) = self.partitioned.get(name.as_bytes()) {
            let entry = &self.entries[position].1;
            if (entry.dtype, &entry.shape) != (dtype, full) {
                return Err(Error::Invalid(format!("the parts of {name:?} differ in dtype or full shape")));
            }
            return Ok(position);
        }
        let entry =
            Entry { dtype, shape: full.clone(), shard: 0, offset: 0, size: 0, crc: 0, slices: vec![] };
        self.partitioned.insert(name.as_bytes().to_vec(), self.entries.len());
        self.entries.push((name.as_bytes().to_vec(), entry));
        Ok(self.entries.len() - 1)
    }

    /// Writes a tensor's bytes and returns their place.
    fn write(&mut self, name: &str, tensor: &Tensor) -> Result<Entry> {
        let shard = &mut self.shards[self.selected];
        let offset = shard.written;
        let crc = match tensor.dtype() {
            DType::String => shard.write_strings(tensor)?,
            _ => shard.write_plain(name, tensor)?,
        };
        Ok(Entry {
            dtype: tensor.dtype(),
            shape: tensor.shape().clone(),
            shard: self.selected as u32,
            offset,
            size: shard.written - offset,
            crc: crc::mask(crc),
            slices: Vec::new(),
        })
    }

    /// Completes the checkpoint: [`seal`](BundleWriter::seal), then
    /// [`commit`](SealedBundle::commit).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let prefix = folder.path().join("m");
    /// checkpoint::bundle::BundleWriter::create(&prefix)?.finish()?;
    /// assert!(checkpoint::checkpoint_exists(&prefix));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As these two.
    pub fn finish(self) -> Result<()> {
        self.seal()?.commit()
    }

    /// Brings the data and the finished index to disk, still under temporary names.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use checkpoint::bundle::{BundleReader, BundleWriter};
    /// let prefix = folder.path().join("m");
    /// let mut writer = BundleWriter::create(&prefix)?;
    /// writer.add("w", &tensor::Tensor::scalar(1.0f32))?;
    /// let sealed = writer.seal()?; // on disk, under temporary names
    /// assert!(BundleReader::open(&prefix).is_err());
    /// sealed.commit()?;
    /// assert!(BundleReader::open(&prefix).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when two tensors have one name, and [`Error::Io`].
    pub fn seal(mut self) -> Result<SealedBundle> {
        let index = self.index()?;
        let mut data = Vec::new();
        for shard in &mut self.shards {
            // Everything is in the file before the sync, which is the last call that a `WriteFile` allows.
            shard.flush()?;
            // A file that is written past the page cache has its last block and its length only after a sync.
            if self.options.durable || self.options.hint.direct {
                shard.file.sync().map_err(Error::io("write", shard.path.target()))?;
            }
        }
        for shard in self.shards {
            data.push(shard.path);
        }
        Ok(SealedBundle {
            prefix: self.prefix,
            storage: self.options.storage,
            durable: self.options.durable,
            mark: self.options.mark,
            num_shards: self.num_shards,
            replaces: self.replaces,
            data,
            index,
        })
    }

    fn index(&mut self) -> Result<Vec<u8>> {
        let by_key = |a: &(Vec<u8>, Entry), b: &(Vec<u8>, Entry)| a.0.cmp(&b.0);
        // Savers add in the order of names; only slices, whose keys begin with a zero byte, make a sort
        // necessary.
        if !self.entries.is_sorted_by(|a, b| a.0 <= b.0) {
            self.entries.sort_by(by_key);
        }
        // Found here rather than in `add`, where a set of all names would be needed next to the entries.
        if let Some(pair) = self.entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let name = String::from_utf8_lossy(&pair[0].0);
            return Err(Error::Invalid(format!("two tensors have the same name {name:?}")));
        }
        let header = Header { num_shards: self.num_shards, big_endian: false };
        Ok(header.index_of(self.entries.iter().map(|(key, entry)| (key, entry))))
    }
}

/// Returns the shard count for a new checkpoint: the one requested; but if there are data files of that count,
/// the next one whose file names are all free. So an old checkpoint stays whole until its index is
/// replaced, and data without an index, such as those of a copy under way, stay for good.
fn free_shard_count(storage: &dyn Storage, prefix: &Path, asked: u32) -> Result<u32> {
    let files = prefix::files_of(storage, prefix).map_err(Error::io("list", prefix::directory(prefix)))?;
    let taken = |count: u32| {
        files.iter().any(|(_, part)| matches!(part, Part::Data { num_shards, .. } if *num_shards == count))
    };
    // n files take at most n counts, so one of these n + 1 is free.
    let free = (asked..=asked.saturating_add(files.len() as u32)).find(|&count| !taken(count));
    free.ok_or_else(|| Error::Invalid(format!("no free data file name for {}", prefix.display())))
}

impl Shard {
    fn create(options: &BundleOptions, prefix: &Path, path: &Path) -> Result<Shard> {
        let path = Unfinished::new(&options.storage, path, options.mark);
        let file = options.storage.create(path.path(), options.hint).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::ParentMissing { path: prefix.to_path_buf() },
            _ => Error::io("create", path.target())(error),
        })?;
        Ok(Shard { path, file, pending: Vec::new(), written: 0 })
    }

    /// Writes the bytes of a numeric tensor; returns their checksum.
    fn write_plain(&mut self, name: &str, tensor: &Tensor) -> Result<u32> {
        let Ok(bytes) = tensor.as_bytes() else {
            let (name, dtype) = (name.to_owned(), tensor.dtype());
            return Err(Error::UnsupportedDType { name, dtype, format: "a bundle" });
        };
        #[cfg(target_endian = "big")]
        let bytes = &little_endian(tensor.dtype(), bytes)[..];
        // The whole of a small tensor is summed at once, since it is in the cache anyway. A quarter of a
        // block keeps the buffer from growing much beyond a block.
        if bytes.len() <= BLOCK / 4 {
            self.append_small(bytes)?;
            return Ok(crc::crc32c(bytes));
        }
        let mut crc = Running::new();
        for block in bytes.chunks(BLOCK) {
            crc.update(block);
            self.append(block)?;
        }
        Ok(crc.finish())
    }

    fn write_strings(&mut self, tensor: &Tensor) -> Result<u32> {
        let strings = tensor.as_strings().map_err(|error| Error::Invalid(error.to_string()))?;
        let (head, mut crc) = strings::encode_head(strings);
        self.append(&head)?;
        for string in strings {
            crc.update(string);
            self.append(string)?;
        }
        Ok(crc.finish())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() <= BLOCK / 4 {
            return self.append_small(bytes);
        }
        // Bytes in the buffer come before these in the file.
        self.flush()?;
        self.file.write(bytes).map_err(Error::io("write", self.path.target()))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn append_small(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
        if self.pending.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.file.write(&self.pending).map_err(Error::io("write", self.path.target()))?;
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(target_endian = "big")]
fn little_endian(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    let width = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
    let mut bytes = bytes.to_vec();
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    bytes
}

/// A checkpoint whose data are on disk under temporary names, one step before it exists.
///
/// Other files that belong to the checkpoint can be written next to it at this point.
/// [`commit`](SealedBundle::commit) then makes it visible; dropping it removes the data.
#[derive(Debug)]
pub struct SealedBundle {
    prefix: PathBuf,
    storage: Arc<dyn Storage>,
    durable: bool,
    mark: Mark,
    num_shards: u32,
    replaces: Option<Replaced>,
    data: Vec<Unfinished>,
    index: Vec<u8>,
}

/// A checkpoint that another one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) identity: Identity,
    pub(crate) num_shards: u32,
}

impl SealedBundle {
    /// Returns the identity of this save among those of its prefix.
    pub(crate) fn identity(&self) -> Identity {
        (crc::crc32c(&self.index), self.index.len() as u64)
    }

    pub(crate) fn num_shards(&self) -> u32 {
        self.num_shards
    }

    pub(crate) fn replaces(&self) -> Option<Replaced> {
        self.replaces
    }

    /// Makes the checkpoint visible: data files get their names, the folder is synced, and the index
    /// is written, synced and renamed, which replaces an older checkpoint of this prefix at once.
    ///
    /// # Errors
    /// [`Error::Io`]. Unless it was the very last step that failed, an older checkpoint of this
    /// prefix is still there.
    pub fn commit(self) -> Result<()> {
        self.commit_with(Vec::new(), || Ok(()))
    }

    /// Works as [`commit`](SealedBundle::commit), with other finished files that get their names together
    /// with the data. `announce` is called when all files are complete and none has its name: what it
    /// writes is on disk together with their temporary names before the first is renamed.
    pub(crate) fn commit_with(
        self,
        others: Vec<Unfinished>,
        announce: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let directory = prefix::directory(&self.prefix);
        let storage = self.storage.as_ref();
        let index = prefix::index_path(&self.prefix);
        let index = commit::write_unfinished(&self.storage, &index, &self.index, self.durable, self.mark)?;
        // The announcement (the journal of the saver) must be on disk before the first rename: after a crash, it is what tells the files of
        // this save from files of others.
        announce()?;
        if self.durable {
            storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
        }
        let is_new = self.replaces.is_none();
        let data = self.data.into_iter().map(|file| (file, true));
        // Data first, then the others, the index last: a reader finds a checkpoint by its index, so everything that the index refers to must
        // already have its name.
        let files = data.chain(others.into_iter().map(|file| (file, is_new)));
        let mut undo = Vec::new();
        let publish = || {
            for (file, is_new) in files {
                // A file that replaced one of an older save cannot be taken back, and does not harm that save.
                let target = is_new.then(|| file.target().to_path_buf());
                file.publish()?;
                undo.extend(target);
            }
            // Without this sync the disk may keep the rename of the index and lose those of the data, since renames in one folder are not
            // ordered.
            if self.durable {
                storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
            }
            index.publish()
        };
        if let Err(error) = publish() {
            // Best effort: what cannot be removed now is removed by the next saver.
            undo.iter().for_each(|path| drop(storage.remove(path)));
            return Err(error);
        }
        // Only now may the data of the replaced checkpoint go: until the rename of the index is on disk, a crash returns to it.
        if self.durable {
            storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
        }
        if let Some(old) = self.replaces.filter(|old| old.num_shards != self.num_shards) {
            remove_data(storage, &self.prefix, old.num_shards);
        }
        Ok(())
    }
}

/// Removes the data files of a checkpoint that was replaced. The new one is complete without this, so a
/// failure is only logged.
pub(crate) fn remove_data(storage: &dyn Storage, prefix: &Path, num_shards: u32) {
    let files = match prefix::files_of(storage, prefix) {
        Ok(files) => files,
        Err(error) => {
            log::warn!("cannot list {}: {error}", escaped(prefix::directory(prefix).display()));
            return;
        }
    };
    for (path, part) in files {
        if matches!(part, Part::Data { num_shards: count, .. } if count == num_shards)
            && let Err(error) = storage.remove(&path)
        {
            log::warn!("cannot remove {}: {error}", escaped(path.display()));
        }
    }
}
