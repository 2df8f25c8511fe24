//! Reading a bundle: the whole index at once, tensors one by one when they are requested.

use super::entry::{Entry, Flaw, Header, HeaderError};
use super::slice::{self, TensorSlice};
use super::{Identity, assemble, fetch, table, unknown};
use crate::foreign;
use crate::prefix;
use crate::storage::{LocalStorage, ReadFile, Storage};
use crate::{Error, Problem, Result, TensorInfo};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::{DType, Tensor};
use wire::crc;

/// Options for reading a bundle.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// use checkpoint::bundle::{BundleReader, ReadOptions};
/// let options = ReadOptions::new().verify(false).threads(1);
/// assert!(BundleReader::open_with(&prefix, options)?.contains("w"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ReadOptions {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) verify: bool,
    pub(crate) map: bool,
    pub(crate) threads: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { storage: LocalStorage::shared(), verify: true, map: false, threads: 0 }
    }
}

impl ReadOptions {
    /// Returns the defaults: local files, checksums verified, bytes copied, as many threads as help.
    pub fn new() -> ReadOptions {
        ReadOptions::default()
    }

    /// Reads through another storage. Default: [`LocalStorage`].
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Sets whether each tensor's checksum is compared when it is read. Default: `true`.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Sets whether tensors show the mapped file instead of a copy of its bytes. Nothing is read from disk
    /// before it is used (verification reads all of it). Default: `false`.
    ///
    /// The files must then not be changed while a tensor exists; renaming and deleting them is safe,
    /// and nothing else is ever done by this crate. Where a tensor's bytes do not lie aligned in the
    /// file, or the storage cannot map files, they are copied all the same.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// use checkpoint::bundle::{BundleReader, ReadOptions};
    /// let reader = BundleReader::open_with(&prefix, ReadOptions::new().map(true))?;
    /// assert_eq!(reader.read("w")?, tensor::Tensor::from([1.0f32, 2.0]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map(mut self, map: bool) -> Self {
        self.map = map;
        self
    }

    /// Sets the number of threads that read at once when much is read. 0, the default, means up to four, and one
    /// where little is read.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

/// An open V2 checkpoint.
///
/// Opening reads the index only. Tensors are read when requested, and only their own bytes.
///
/// ```
/// use checkpoint::bundle::{BundleReader, BundleWriter};
/// use tensor::Tensor;
/// # let folder = tempfile::tempdir()?;
/// let prefix = folder.path().join("model.ckpt");
/// let mut writer = BundleWriter::create(&prefix)?;
/// writer.add("weights", &Tensor::from([1.0f32, 2.0]))?;
/// writer.finish()?;
///
/// let reader = BundleReader::open(&prefix)?;
/// assert_eq!(reader.entries().next().unwrap().name, "weights");
/// assert_eq!(reader.read("weights")?, Tensor::from([1.0f32, 2.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BundleReader {
    pub(super) prefix: PathBuf,
    pub(super) header: Header,
    pub(super) options: ReadOptions,
    index_crc: u32,
    index_len: u64,
    /// The records in the order of their keys.
    pub(super) records: Vec<Record>,
    /// Opened data files. Locked for the look-up and the opening of a file only.
    shards: Mutex<HashMap<u32, Arc<dyn ReadFile>>>,
}

/// One key of the index.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: Box<[u8]>,
    /// Or what is wrong with it.
    pub(super) entry: Result<Entry, Flaw>,
    /// A part of a partitioned tensor, which is not listed by itself.
    pub(super) hidden: bool,
}

impl Record {
    /// Returns the key as text. Bytes that are not UTF-8 are shown as `\xNN`.
    pub(super) fn name(&self) -> Cow<'_, str> {
        printable(&self.key)
    }

    /// Returns the parts of a partitioned tensor, of any dtype.
    fn slices(&self) -> &[TensorSlice] {
        match &self.entry {
            Ok(entry) => &entry.slices,
            Err(Flaw::UnknownDType(entry)) => &entry.slices,
            Err(Flaw::Damaged(_)) => &[],
        }
    }

    /// Returns the data file and the end of the bytes in it.
    fn end(&self) -> Option<(u32, u64)> {
        let (shard, offset, size) = match &self.entry {
            Ok(entry) => (entry.shard, entry.offset, entry.size),
            Err(Flaw::UnknownDType(entry)) => (entry.shard, entry.offset, entry.size),
            Err(Flaw::Damaged(_)) => return None,
        };
        Some((shard, offset.saturating_add(size)))
    }
}

fn printable(key: &[u8]) -> Cow<'_, str> {
    if let Ok(name) = std::str::from_utf8(key) {
        return Cow::Borrowed(name);
    }
    let mut name = String::new();
    for chunk in key.utf8_chunks() {
        name.push_str(chunk.valid());
        for byte in chunk.invalid() {
            name.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(name)
}

impl BundleReader {
    /// Opens the checkpoint with this prefix, such as `train/model.ckpt-500`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// use checkpoint::bundle::BundleReader;
    /// assert!(BundleReader::open(&prefix).is_ok());
    /// assert!(BundleReader::open("no/such/checkpoint").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] without an index file; [`Error::Corrupt`] when it is damaged as a whole;
    /// [`Error::Unsupported`] for a newer format; [`Error::Io`]. Damage to single entries shows in
    /// [`problems`](BundleReader::problems) and when such a tensor is read.
    pub fn open(prefix: impl AsRef<Path>) -> Result<BundleReader> {
        BundleReader::open_with(prefix, ReadOptions::default())
    }

    /// Works as [`open`](BundleReader::open), with options.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// use checkpoint::bundle::{BundleReader, ReadOptions};
    /// assert!(BundleReader::open_with(&prefix, ReadOptions::new().threads(2)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](BundleReader::open).
    pub fn open_with(prefix: impl AsRef<Path>, options: ReadOptions) -> Result<BundleReader> {
        let prefix = prefix.as_ref();
        let path = prefix::index_path(prefix);
        let storage = options.storage.as_ref();
        let file = open_index(storage, prefix, &path).map_err(|error| match error {
            Error::NotFound { .. } => foreign::no_checkpoint(storage, prefix),
            other => other,
        })?;
        // The whole index, not only its blocks: its checksum is the identity by which a later save of the
        // prefix is noticed.
        let index = read_table(file.as_ref(), &path)?;
        let (header, records) = parse_index(&index, &path)?;
        let mut reader = BundleReader {
            prefix: prefix.to_path_buf(),
            header,
            options,
            index_crc: crc::crc32c(&index),
            index_len: index.len() as u64,
            records,
            shards: Mutex::default(),
        };
        // Slices are found through the lists of the whole tensors, not by decoding every key that begins with
        // a zero byte: a name may begin with one as well.
        reader.hide_slices();
        Ok(reader)
    }

    /// Returns the prefix under which it was opened.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::bundle::BundleReader::open(&prefix)?.prefix(), prefix);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Returns the number of data files that the checkpoint has.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::bundle::BundleReader::open(&prefix)?.num_shards(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn num_shards(&self) -> u32 {
        self.header.num_shards
    }

    /// Returns the data files that hold the tensors, in the order of their numbers. Files that hold none are left out, so
    /// the list is no longer than that of the tensors, whatever number of files a damaged index states.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let reader = checkpoint::bundle::BundleReader::open(&prefix)?;
    /// assert_eq!(reader.data_files(), [checkpoint::data_path(&prefix, 0, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn data_files(&self) -> Vec<PathBuf> {
        let shards: BTreeSet<u32> =
            self.records.iter().filter_map(Record::end).map(|(shard, _)| shard).collect();
        shards.into_iter().map(|shard| self.data_path(shard)).collect()
    }

    /// Returns the identity of this save among those of its prefix.
    pub(crate) fn identity(&self) -> Identity {
        (self.index_crc, self.index_len)
    }

    /// Returns true if the prefix was saved again since this was opened.
    pub(crate) fn is_replaced(&self) -> bool {
        let now = index_identity(self.options.storage.as_ref(), &self.prefix);
        now.is_ok_and(|now| now != self.identity())
    }

    /// Replaces an error by [`Error::Replaced`] if a later save has replaced the files of this reader, which looks
    /// like damage.
    fn unless_replaced<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            // Asked only after an error, since it reads the index again.
            Err(error) if error.is_damage() && self.is_replaced() => {
                Err(Error::Replaced { path: self.prefix.clone() })
            }
            other => other,
        }
    }

    /// Returns every tensor that can be read, in bytewise order of names. Parts of partitioned tensors are not
    /// listed; the whole is.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let reader = checkpoint::bundle::BundleReader::open(&prefix)?;
    /// let names: Vec<String> = reader.entries().map(|info| info.name).collect();
    /// assert_eq!(names, ["w"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&self) -> impl Iterator<Item = TensorInfo> + '_ {
        self.records.iter().filter(|record| !record.hidden).filter_map(|record| {
            let entry = record.entry.as_ref().ok()?;
            Some(TensorInfo {
                name: record.name().into_owned(),
                dtype: entry.dtype,
                shape: entry.shape.clone(),
                bytes: self.stored_bytes(record, entry),
            })
        })
    }

    /// Entries that cannot be read, with the reason. Nothing is read for this but the index.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let reader = checkpoint::bundle::BundleReader::open(&prefix)?;
    /// assert_eq!(reader.problems().count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        self.records.iter().filter_map(|record| {
            let Err(Flaw::Damaged(what)) = &record.entry else { return None };
            let error = Error::corrupt_tensor(prefix::index_path(&self.prefix), record.name(), what.as_str());
            Some(Problem { name: Some(record.name().into_owned()), error })
        })
    }

    /// Returns true if a tensor of this name is stored (it may still be damaged).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert!(checkpoint::bundle::BundleReader::open(&prefix)?.contains("w"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Dtype, shape and stored bytes of a tensor.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let reader = checkpoint::bundle::BundleReader::open(&prefix)?;
    /// assert_eq!(reader.info("w")?.bytes, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorMissing`]; [`Error::Corrupt`] when its entry is damaged.
    pub fn info(&self, name: &str) -> Result<TensorInfo> {
        let (record, entry) = self.entry(name)?;
        let bytes = self.stored_bytes(record, entry);
        Ok(TensorInfo { name: name.to_owned(), dtype: entry.dtype, shape: entry.shape.clone(), bytes })
    }

    /// Returns the slices of a partitioned tensor as they are stored; none for a tensor that is stored whole.
    ///
    /// # Errors
    /// As [`info`](BundleReader::info).
    pub fn slices(&self, name: &str) -> Result<&[TensorSlice]> {
        Ok(&self.entry(name)?.1.slices)
    }

    /// Reads one tensor.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let reader = checkpoint::bundle::BundleReader::open(&prefix)?;
    /// assert_eq!(reader.read("w")?.as_slice::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorMissing`]; [`Error::Corrupt`] with the file's and the tensor's name;
    /// [`Error::UnsupportedDType`] for variants; [`Error::Unsupported`] for a dtype that is not known here;
    /// [`Error::NotFound`] when its data file is missing;
    /// [`Error::Replaced`] when the prefix was saved again since it was opened; [`Error::Io`].
    pub fn read(&self, name: &str) -> Result<Tensor> {
        let (record, entry) = self.entry(name)?;
        self.unless_replaced(if entry.slices.is_empty() {
            fetch::one(self, record, entry)
        } else {
            let whole = TensorSlice::whole(entry.shape.rank());
            assemble::slice(self, record, entry, &whole)
        })
    }

    /// Reads a part of a tensor, which may be stored whole or in other parts.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// use checkpoint::bundle::{BundleReader, TensorSlice};
    /// let second = TensorSlice::new([(1, Some(1))]);
    /// assert_eq!(BundleReader::open(&prefix)?.read_slice("w", &second)?, tensor::Tensor::from([2.0f32]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](BundleReader::read); [`Error::Invalid`] when the part does not lie in the tensor, or
    /// the stored slices do not cover it.
    pub fn read_slice(&self, name: &str, part: &TensorSlice) -> Result<Tensor> {
        let (record, entry) = self.entry(name)?;
        self.unless_replaced(assemble::slice(self, record, entry, part))
    }

    /// Reads many tensors, in the order of the names. Tensors that lie close together are read at once
    /// and share memory; large amounts are read by several threads.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let reader = checkpoint::bundle::BundleReader::open(&prefix)?;
    /// assert_eq!(reader.read_many(&["w"])?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](BundleReader::read), for the first tensor that cannot be read;
    /// [`Error::TensorMissing`] names all that are missing.
    pub fn read_many<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<Tensor>> {
        let found: Vec<_> = names.iter().map(|name| self.find(name.as_ref())).collect();
        let missing = found.iter().zip(names).filter(|(record, _)| record.is_none());
        let missing: Vec<_> = missing.map(|(_, name)| name.as_ref().to_owned()).collect();
        if !missing.is_empty() {
            return Err(Error::TensorMissing { path: self.prefix.clone(), names: missing });
        }
        self.unless_replaced(fetch::many(self, &found.into_iter().flatten().collect::<Vec<_>>()))
    }

    /// Reads every tensor, in the order of [`entries`](BundleReader::entries).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let all = checkpoint::bundle::BundleReader::open(&prefix)?.read_all()?;
    /// assert_eq!(all[0].0, "w");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read_many`](BundleReader::read_many); also when an entry of the index is damaged.
    pub fn read_all(&self) -> Result<Vec<(String, Tensor)>> {
        let listed: Vec<&Record> = self.records.iter().filter(|record| !record.hidden).collect();
        let tensors = self.unless_replaced(fetch::many(self, &listed))?;
        Ok(listed.iter().map(|record| record.name().into_owned()).zip(tensors).collect())
    }

    /// Reads every stored byte, compares all checksums, and reports what is damaged. Needs little memory.
    /// Of a tensor of [`unknown`](BundleReader::unsupported_tensors) dtype only the presence of its bytes is checked, since
    /// the coverage of a checksum depends on the dtype.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert!(checkpoint::bundle::BundleReader::open(&prefix)?.verify().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn verify(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.problems().collect();
        fetch::verify(self, &mut problems);
        unknown::verify(self, &mut problems);
        for record in self.records.iter().filter(|record| !record.hidden) {
            if let Ok(entry) = &record.entry
                && !entry.slices.is_empty()
                && let Err(error) = assemble::check(self, record, entry)
            {
                problems.push(Problem { name: Some(record.name().into_owned()), error });
            }
        }
        // Files of two saves were read. Nothing is known about either, so no single problem is reported.
        if !problems.is_empty() && self.is_replaced() {
            return vec![Problem { name: None, error: Error::Replaced { path: self.prefix.clone() } }];
        }
        problems
    }

    /// Returns the entry of a tensor that is stored under this name.
    fn entry(&self, name: &str) -> Result<(&Record, &Entry)> {
        let Some(record) = self.find(name) else {
            return Err(Error::TensorMissing { path: self.prefix.clone(), names: vec![name.to_owned()] });
        };
        Ok((record, self.intact(record)?))
    }

    pub(super) fn intact<'a>(&self, record: &'a Record) -> Result<&'a Entry> {
        record.entry.as_ref().map_err(|flaw| {
            let path = prefix::index_path(&self.prefix);
            match flaw {
                Flaw::Damaged(what) => Error::corrupt_tensor(path, record.name(), what.as_str()),
                Flaw::UnknownDType(entry) => unknown::unsupported(path, record, entry),
            }
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Record> {
        let found = self.find_key(name.as_bytes()).filter(|record| !record.hidden);
        // A name with an escape in it may stand for a key that is not UTF-8.
        found.or_else(|| {
            let mut escaped = self.records.iter().filter(|_| name.contains("\\x"));
            escaped.find(|record| !record.hidden && record.name() == name)
        })
    }

    pub(super) fn find_key(&self, key: &[u8]) -> Option<&Record> {
        let position = self.records.binary_search_by(|record| record.key.as_ref().cmp(key)).ok()?;
        Some(&self.records[position])
    }

    fn stored_bytes(&self, record: &Record, entry: &Entry) -> u64 {
        if entry.slices.is_empty() {
            return entry.size;
        }
        let parts = assemble::parts(self, record, entry).into_iter();
        parts.filter_map(|(_, part)| part.ok()).map(|(_, part)| part.size).sum()
    }

    /// Hides the keys that are slices of a listed tensor.
    fn hide_slices(&mut self) {
        let mut hidden = Vec::new();
        for record in &self.records {
            for part in record.slices() {
                let key = slice::encode_key(&record.key, part);
                hidden.extend(self.records.binary_search_by(|record| record.key.as_ref().cmp(&key)));
            }
        }
        for position in hidden {
            self.records[position].hidden = true;
        }
    }

    pub(super) fn data_path(&self, shard: u32) -> PathBuf {
        prefix::data_path(&self.prefix, shard, self.header.num_shards)
    }

    /// Returns a data file, opened at its first use: a missing one affects only its own tensors.
    pub(super) fn shard(&self, shard: u32) -> Result<Arc<dyn ReadFile>> {
        // The map holds nothing but open files and is consistent after any panic, so a poisoned lock is used
        // as it is.
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = shards.get(&shard) {
            return Ok(Arc::clone(file));
        }
        let path = self.data_path(shard);
        let file = self.options.storage.open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path: path.clone() },
            _ => Error::io("open", &path)(error),
        })?;
        shards.insert(shard, Arc::clone(&file));
        Ok(file)
    }

    /// Fails if tensors of this dtype cannot be read.
    pub(super) fn check_dtype(record: &Record, dtype: DType) -> Result<()> {
        match dtype {
            DType::Resource | DType::Variant => {
                Err(Error::UnsupportedDType { name: record.name().into_owned(), dtype, format: "a bundle" })
            }
            _ => Ok(()),
        }
    }
}

fn open_index(storage: &dyn Storage, prefix: &Path, path: &Path) -> Result<Arc<dyn ReadFile>> {
    storage.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotFound { path: prefix.into() },
        _ => Error::io("open", path)(error),
    })
}

/// Returns a whole index file, after a look at its end: what is not an index must not cost memory.
fn read_table(file: &dyn ReadFile, path: &Path) -> Result<Vec<u8>> {
    let len = file.len().map_err(Error::io("open", path))?;
    let footer = read_footer(file, len).map_err(Error::io("read", path))?;
    let damage = match footer {
        None => Some(format!("{len} bytes are too few for an index")),
        Some(footer) if !table::is_footer(&footer) => Some("the magic number at its end is wrong".to_owned()),
        Some(_) => None,
    };
    if let Some(damage) = damage {
        return Err(foreign::explained(file, path, Error::corrupt(path, damage)));
    }
    let mut bytes = Vec::new();
    // The length is that of a file, which may be sparse and larger than all memory: an allocation that fails
    // must not abort.
    let fits = usize::try_from(len).ok().and_then(|len| bytes.try_reserve_exact(len).ok().map(|()| len));
    let len = fits.ok_or_else(|| Error::io("read", path)(io::ErrorKind::OutOfMemory.into()))?;
    bytes.resize(len, 0);
    file.read_exact_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// Returns the end of a file; `None` for a file that is too short to have one.
fn read_footer(file: &dyn ReadFile, len: u64) -> io::Result<Option<[u8; table::FOOTER]>> {
    let mut footer = [0; table::FOOTER];
    let Some(start) = len.checked_sub(table::FOOTER as u64) else { return Ok(None) };
    file.read_exact_at(&mut footer, start)?;
    Ok(Some(footer))
}

/// Returns true if this file is the index of a checkpoint, by its end. A file that is not there is none.
pub(crate) fn is_index(storage: &dyn Storage, path: &Path) -> Result<bool> {
    let found = storage.open(path).and_then(|file| read_footer(file.as_ref(), file.len()?));
    match found {
        Ok(footer) => Ok(footer.is_some_and(|footer| table::is_footer(&footer))),
        Err(error) => match Error::io("read", path)(error) {
            damage if damage.is_damage() => Ok(false),
            other => Err(other),
        },
    }
}

/// Returns the identity of the current save of a prefix.
pub(crate) fn index_identity(storage: &dyn Storage, prefix: &Path) -> Result<Identity> {
    let path = prefix::index_path(prefix);
    let index = read_table(open_index(storage, prefix, &path)?.as_ref(), &path)?;
    Ok((crc::crc32c(&index), index.len() as u64))
}

/// The data layout of a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) identity: Identity,
    pub(crate) num_shards: u32,
    /// The length of each data file that holds anything.
    pub(crate) lengths: BTreeMap<u32, u64>,
}

/// Reads the data layout from an index file at any path.
pub(crate) fn layout(storage: &dyn Storage, path: &Path) -> Result<Layout> {
    let file = open_index(storage, path, path)?;
    let index = read_table(file.as_ref(), path)?;
    let (header, records) = parse_index(&index, path)?;
    let mut lengths = BTreeMap::new();
    for (shard, end) in records.iter().filter_map(Record::end) {
        // The largest end of any tensor: a saver's data file ends with its last tensor.
        let length = lengths.entry(shard).or_insert(0);
        *length = end.max(*length);
    }
    let identity = (crc::crc32c(&index), index.len() as u64);
    Ok(Layout { identity, num_shards: header.num_shards, lengths })
}

/// The reason why the traversal of an index stopped.
enum Stop {
    Table(table::TableError),
    Header(HeaderError),
}

impl From<table::TableError> for Stop {
    fn from(error: table::TableError) -> Self {
        Stop::Table(error)
    }
}

fn parse_index(index: &[u8], path: &Path) -> Result<(Header, Vec<Record>)> {
    let mut header = None;
    let mut records = Vec::new();
    let walked = table::read(index, |key, value| {
        match header {
            // The empty key is the smallest one, so the header comes first or is missing.
            None if key.is_empty() => header = Some(Header::decode(value).map_err(Stop::Header)?),
            None => return Err(Stop::Header(HeaderError::Malformed)),
            Some(Header { num_shards, .. }) => {
                records.push(Record {
                    key: key.into(),
                    entry: Entry::decode(value, num_shards),
                    hidden: false,
                });
            }
        }
        Ok(())
    });
    let header = walked.and_then(|()| header.ok_or(Stop::Header(HeaderError::Malformed)));
    match header {
        Ok(header) => Ok((header, records)),
        Err(Stop::Table(table::TableError::Damaged(what))) => Err(Error::corrupt(path, what)),
        Err(Stop::Header(HeaderError::Malformed)) => Err(Error::corrupt(path, "it has no valid header")),
        Err(Stop::Table(table::TableError::Unsupported(what)) | Stop::Header(HeaderError::Version(what))) => {
            Err(Error::Unsupported { path: path.into(), what })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_with_a_huge_shard_count_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("m");
        let header = Header { num_shards: i32::MAX as u32, big_endian: false };
        let none: [(&Vec<u8>, &Entry); 0] = [];
        std::fs::write(prefix::index_path(&prefix), header.index_of(none)).unwrap();
        let found = layout(&LocalStorage, &prefix::index_path(&prefix)).unwrap();
        assert_eq!((found.num_shards, found.lengths.len()), (i32::MAX as u32, 0));
        let model = vec![("w".to_owned(), Tensor::from([1.0f32]))];
        crate::Saver::default().save(&model, &prefix, None).unwrap();
        assert_eq!(BundleReader::open(&prefix).unwrap().num_shards(), 1);
    }
}
