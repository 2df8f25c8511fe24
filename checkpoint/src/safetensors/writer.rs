//! Writing a safetensors file.

use super::{FORMAT, name_of};
use crate::commit::{Mark, Unfinished};
use crate::prefix;
use crate::storage::{LocalStorage, Storage, WriteHint};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tensor::{DType, Tensor};

/// Bytes are handed on in pieces of at most this size.
const BLOCK: usize = 1 << 20;

/// Options for writing a safetensors file.
///
/// ```
/// use checkpoint::safetensors::SafetensorsOptions;
/// let options = SafetensorsOptions::new().metadata("format", "pt").durable(false);
/// assert!(options.supports(tensor::DType::Float32));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SafetensorsOptions {
    metadata: BTreeMap<String, String>,
    widen_int4: bool,
    storage: Arc<dyn Storage>,
    durable: bool,
}

impl Default for SafetensorsOptions {
    fn default() -> Self {
        SafetensorsOptions {
            metadata: BTreeMap::new(),
            widen_int4: false,
            storage: LocalStorage::shared(),
            durable: true,
        }
    }
}

impl SafetensorsOptions {
    /// Returns the defaults: no metadata, synced to disk.
    pub fn new() -> SafetensorsOptions {
        SafetensorsOptions::default()
    }

    /// Adds a text to the file.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets whether int4 and uint4 tensors, which take a byte per element here too, are stored as I8 and U8.
    /// Otherwise they are refused. Default: `false`.
    pub fn widen_int4(mut self, widen: bool) -> Self {
        self.widen_int4 = widen;
        self
    }

    /// Writes through another storage. Default: [`LocalStorage`].
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Sets whether file and folder are synced to disk. Default: `true`.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Returns true if tensors of a dtype can be stored.
    ///
    /// ```
    /// use checkpoint::safetensors::SafetensorsOptions;
    /// assert!(!SafetensorsOptions::new().supports(tensor::DType::String));
    /// ```
    #[must_use]
    pub fn supports(&self, dtype: DType) -> bool {
        self.dtype_name(dtype).is_some()
    }

    /// Returns the format's name for a dtype, if tensors of it can be stored.
    fn dtype_name(&self, dtype: DType) -> Option<&'static str> {
        name_of(match dtype {
            DType::Int4 if self.widen_int4 => DType::Int8,
            DType::UInt4 if self.widen_int4 => DType::UInt8,
            other => other,
        })
    }
}

/// Writes tensors into one file, which appears at once and replaces an older one.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use checkpoint::safetensors::{SafetensorsOptions, write_safetensors};
/// let path = folder.path().join("m.safetensors");
/// let tensors = [("w".to_string(), tensor::Tensor::scalar(1.0f32))];
/// write_safetensors(&path, &tensors, &SafetensorsOptions::new())?;
/// assert_eq!(checkpoint::load_variable(&path, "w")?, tensors[0].1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::UnsupportedDType`] for strings, complex128, quantized types and handles;
/// [`Error::Invalid`] for a name given twice, or `__metadata__`; [`Error::ParentMissing`];
/// [`Error::Io`].
pub fn write_safetensors(
    path: impl AsRef<Path>,
    tensors: &[(String, Tensor)],
    options: &SafetensorsOptions,
) -> Result<()> {
    let path = path.as_ref();
    let ordered = ordered(tensors, options)?;
    let header = header(&ordered, options)?;
    let unfinished = Unfinished::new(&options.storage, path, Mark::new());
    let data: u64 = ordered.iter().map(|item| item.bytes.len() as u64).sum();
    let hint = WriteHint::len(header.len() as u64 + data);
    let mut file = options.storage.create(unfinished.path(), hint).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::ParentMissing { path: path.to_path_buf() },
        _ => Error::io("create", path)(error),
    })?;
    let failed = |error| Error::io("write", path)(error);
    file.write(&header).map_err(failed)?;
    for item in &ordered {
        #[cfg(target_endian = "big")]
        let bytes = &little_endian(item)[..];
        #[cfg(target_endian = "little")]
        let bytes = item.bytes;
        bytes.chunks(BLOCK).try_for_each(|block| file.write(block)).map_err(failed)?;
    }
    if options.durable {
        file.sync().map_err(failed)?;
    }
    drop(file);
    // Synced before it gets its name, and the folder after it: a crash leaves the old file or the new one.
    unfinished.publish()?;
    if options.durable {
        let directory = prefix::directory(path);
        options.storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
    }
    Ok(())
}

struct Item<'a> {
    name: &'a str,
    dtype_name: &'static str,
    tensor: &'a Tensor,
    bytes: &'a [u8],
}

#[cfg(target_endian = "big")]
fn little_endian(item: &Item<'_>) -> Vec<u8> {
    let dtype = item.tensor.dtype();
    let width = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
    let mut bytes = item.bytes.to_vec();
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    bytes
}

/// Sorts tensors by decreasing size of elements, then by name. Every tensor is then aligned for its type.
fn ordered<'a>(tensors: &'a [(String, Tensor)], options: &SafetensorsOptions) -> Result<Vec<Item<'a>>> {
    let mut seen = HashSet::new();
    let mut items = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        if name == "__metadata__" || !seen.insert(name) {
            return Err(Error::Invalid(format!("the name {name:?} of a tensor is reserved or used twice")));
        }
        let dtype = tensor.dtype();
        let (Some(dtype_name), Ok(bytes)) = (options.dtype_name(dtype), tensor.as_bytes()) else {
            return Err(Error::UnsupportedDType { name: name.clone(), dtype, format: FORMAT });
        };
        items.push(Item { name, dtype_name, tensor, bytes });
    }
    items.sort_by(|a, b| b.tensor.dtype().size().cmp(&a.tensor.dtype().size()).then(a.name.cmp(b.name)));
    Ok(items)
}

/// Length and JSON, padded so that the data begin at a multiple of 8.
fn header(items: &[Item<'_>], options: &SafetensorsOptions) -> Result<Vec<u8>> {
    let text = |text: &str| serde_json::to_string(text).map_err(|error| Error::Invalid(error.to_string()));
    let mut parts = Vec::with_capacity(items.len() + 1);
    if !options.metadata.is_empty() {
        let metadata = serde_json::to_string(&options.metadata);
        parts.push(format!(
            "\"__metadata__\":{}",
            metadata.map_err(|error| Error::Invalid(error.to_string()))?
        ));
    }
    let mut position = 0;
    for item in items {
        let end = position + item.bytes.len();
        let (name, dtype) = (text(item.name)?, item.dtype_name);
        let shape = item.tensor.shape();
        parts.push(format!(
            "{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{position},{end}]}}"
        ));
        position = end;
    }
    let mut json = format!("{{{}}}", parts.join(","));
    json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(8) - json.len()));
    Ok([&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat())
}
