//! Joining bundles, as a sharded save does with the parts of its devices.

use super::entry::{Entry, Header};
use super::reader::{BundleReader, ReadOptions};
use crate::commit::{self, Mark};
use crate::prefix;
use crate::storage::Storage;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Joins several bundles into one with the given prefix. Data files are moved, not copied; the parts
/// cease to exist.
///
/// Parts of one partitioned tensor may come from different bundles. All must lie on one file system.
/// Unlike a save, a merge is not atomic: interrupted half-way, some data files have moved while the
/// parts' own indexes still name them under the old names.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use checkpoint::bundle::{BundleReader, BundleWriter, merge_bundles};
/// use checkpoint::storage::LocalStorage;
/// let parts = ["a", "b"].map(|name| folder.path().join(name));
/// for part in &parts {
///     let mut writer = BundleWriter::create(part)?;
///     writer.add(&part.file_name().unwrap().to_string_lossy(), &tensor::Tensor::scalar(1.0f32))?;
///     writer.finish()?;
/// }
/// let merged = folder.path().join("merged");
/// merge_bundles(&LocalStorage::shared(), &parts, &merged)?;
/// assert_eq!(BundleReader::open(&merged)?.entries().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] when two parts hold the same tensor or disagree about byte order or about a
/// partitioned tensor's dtype or shape, or a checkpoint with the new prefix exists;
/// [`Error::Io`]; and what [`BundleReader::open_with`] reports.
pub fn merge_bundles<P: AsRef<Path>>(
    storage: &Arc<dyn Storage>,
    parts: &[P],
    into: impl AsRef<Path>,
) -> Result<()> {
    let into = into.as_ref();
    // A merge moves files instead of writing new ones, so it could not be undone: what is there must not be
    // replaced.
    if storage.metadata(&prefix::index_path(into)).is_ok() {
        return Err(Error::Invalid(format!("a checkpoint {} exists already", into.display())));
    }
    let mut merged = Merged::default();
    for part in parts {
        let options = ReadOptions::new().storage(Arc::clone(storage));
        merged.add(&BundleReader::open_with(part, options)?)?;
    }
    let index = merged.index()?;
    // The index is complete on disk before the first data file moves: nothing but renames is left that can
    // fail.
    let index = commit::write_unfinished(storage, &prefix::index_path(into), &index, true, Mark::new())?;
    let num_shards = merged.files.len() as u32;
    for shard in 0..num_shards {
        let target = prefix::data_path(into, shard, num_shards);
        if storage.metadata(&target).is_ok() {
            return Err(Error::Invalid(format!("{} is there already", target.display())));
        }
    }
    for (shard, file) in merged.files.iter().enumerate() {
        let target = prefix::data_path(into, shard as u32, num_shards);
        storage.rename(file, &target).map_err(Error::io("rename to", &target))?;
    }
    let directory = prefix::directory(into);
    // Renames in one folder reach the disk in any order. The index must not become visible before its data
    // files.
    storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
    index.publish()?;
    storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
    // The parts' indexes go last: until here, an interrupted merge can be repaired by moving the data files
    // back.
    for part in parts {
        let path = prefix::index_path(part);
        storage.remove(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

#[derive(Default)]
struct Merged {
    big_endian: Option<bool>,
    entries: BTreeMap<Vec<u8>, Entry>,
    /// Data files in the order of their new numbers.
    files: Vec<PathBuf>,
    /// The new number of each data file.
    numbers: HashMap<PathBuf, u32>,
}

impl Merged {
    fn add(&mut self, reader: &BundleReader) -> Result<()> {
        if *self.big_endian.get_or_insert(reader.header.big_endian) != reader.header.big_endian {
            return Err(Error::Invalid("the bundles to merge differ in byte order".to_owned()));
        }
        for record in &reader.records {
            let entry = reader.intact(record)?;
            if entry.slices.is_empty() {
                let entry = Entry { shard: self.number(reader.data_path(entry.shard)), ..entry.clone() };
                if self.entries.insert(record.key.to_vec(), entry).is_some() {
                    return Err(twice(&record.name()));
                }
            } else {
                self.add_partitioned(&record.key, &record.name(), entry)?;
            }
        }
        Ok(())
    }

    fn add_partitioned(&mut self, key: &[u8], name: &str, entry: &Entry) -> Result<()> {
        match self.entries.get_mut(key) {
            None => {
                self.entries.insert(key.to_vec(), entry.clone());
            }
            Some(known) if known.slices.is_empty() => return Err(twice(name)),
            Some(known) if (known.dtype, &known.shape) == (entry.dtype, &entry.shape) => {
                // In the order of the parts, as TensorFlow's merge appends them. The slices themselves have
                // keys of their own.
                known.slices.extend_from_slice(&entry.slices);
            }
            Some(_) => {
                return Err(Error::Invalid(format!("the parts of {name:?} differ in dtype or full shape")));
            }
        }
        Ok(())
    }

    /// Data files are numbered in the order of their first use.
    fn number(&mut self, file: PathBuf) -> u32 {
        let next = self.files.len() as u32;
        *self.numbers.entry(file).or_insert_with_key(|file| {
            self.files.push(file.clone());
            next
        })
    }

    fn index(&self) -> Result<Vec<u8>> {
        if self.files.is_empty() {
            return Err(Error::Invalid("there is nothing to merge".to_owned()));
        }
        let header =
            Header { num_shards: self.files.len() as u32, big_endian: self.big_endian == Some(true) };
        Ok(header.index_of(&self.entries))
    }
}

fn twice(name: &str) -> Error {
    Error::Invalid(format!("two of the bundles to merge hold {name:?}"))
}
