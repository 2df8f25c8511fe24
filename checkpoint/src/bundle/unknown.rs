//! Tensors whose dtypes have numbers that are not known here, as in checkpoints of later versions.

use super::entry::{Entry, Flaw};
use super::reader::{BundleReader, Record};
use super::slice;
use crate::prefix;
use crate::storage::ReadFile;
use crate::{Error, Problem, Result, UnknownTensor};
use std::path::PathBuf;
use std::sync::Arc;
use tensor::Bytes;

impl BundleReader {
    /// Returns the tensors of dtypes that are not known here, in bytewise order of names. The others are
    /// [`entries`](BundleReader::entries).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::bundle::BundleReader::open(&prefix)?.unsupported_tensors().count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unsupported_tensors(&self) -> impl Iterator<Item = UnknownTensor> + '_ {
        self.records.iter().filter(|record| !record.hidden).filter_map(|record| {
            let entry = entry(record)?;
            Some(UnknownTensor {
                name: record.name().into_owned(),
                dtype: entry.dtype.to_string(),
                shape: entry.shape.clone(),
                bytes: self.bytes_of_unknown(record, entry),
            })
        })
    }

    /// Reads the bytes of a tensor of [`unknown`](BundleReader::unsupported_tensors) dtype as they are in the data file,
    /// without a comparison of checksums.
    ///
    /// # Errors
    /// [`Error::TensorMissing`], also for a tensor of a known dtype; [`Error::Unsupported`] for one that is stored in
    /// slices; [`Error::NotFound`] when its data file is missing; [`Error::Corrupt`] when that ends too early;
    /// [`Error::Io`].
    pub fn read_bytes(&self, name: &str) -> Result<Bytes> {
        let found = self.find(name).and_then(|record| Some((record, entry(record)?)));
        let Some((record, entry)) = found else {
            return Err(Error::TensorMissing { path: self.prefix.clone(), names: vec![name.to_owned()] });
        };
        if !entry.slices.is_empty() {
            return Err(unsupported(prefix::index_path(&self.prefix), record, entry));
        }
        let file = self.file_of_unknown(record, entry)?;
        let mut bytes = vec![0; entry.size as usize];
        let read = file.read_exact_at(&mut bytes, entry.offset);
        read.map_err(Error::io("read", &self.data_path(entry.shard)))?;
        Ok(bytes.into())
    }

    fn bytes_of_unknown(&self, record: &Record, whole: &Entry<i32>) -> u64 {
        if whole.slices.is_empty() {
            return whole.size;
        }
        let parts = whole.slices.iter().map(|part| slice::encode_key(&record.key, part));
        parts.filter_map(|key| Some(entry(self.find_key(&key)?)?.size)).sum()
    }

    /// Returns the data file of a tensor, in which its bytes lie.
    fn file_of_unknown(&self, record: &Record, entry: &Entry<i32>) -> Result<Arc<dyn ReadFile>> {
        let path = self.data_path(entry.shard);
        let file = self.shard(entry.shard)?;
        let len = file.len().map_err(Error::io("open", &path))?;
        let Entry { offset, size, .. } = *entry;
        if offset.checked_add(size).is_some_and(|end| end <= len) {
            return Ok(file);
        }
        let what = format!("its {size} bytes at {offset} are not within the {len} bytes of the file");
        Err(Error::corrupt_tensor(path, record.name(), what))
    }
}

/// Returns the entry of a tensor of unknown dtype.
fn entry(record: &Record) -> Option<&Entry<i32>> {
    match &record.entry {
        Err(Flaw::UnknownDType(entry)) => Some(entry),
        _ => None,
    }
}

/// Returns the error for the use of the elements.
pub(super) fn unsupported(path: PathBuf, record: &Record, entry: &Entry<i32>) -> Error {
    let what = format!("tensor {:?} has dtype {}, which is not known here", record.name(), entry.dtype);
    Error::Unsupported { path, what }
}

/// Checks that the bytes of tensors of unknown dtypes are there.
pub(super) fn verify(reader: &BundleReader, problems: &mut Vec<Problem>) {
    for record in &reader.records {
        if let Some(entry) = entry(record)
            && entry.slices.is_empty()
            && let Err(error) = reader.file_of_unknown(record, entry)
        {
            problems.push(Problem { name: Some(record.name().into_owned()), error });
        }
    }
}
