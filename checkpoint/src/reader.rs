//! Reading a checkpoint of any format, wherever it is.

use crate::bundle::{BundleReader, ReadOptions, TensorSlice};
use crate::foreign;
use crate::listing::{checkpoints_by_step, step_of};
#[cfg(feature = "safetensors")]
use crate::safetensors::SafetensorsReader;
use crate::state;
use crate::v1::V1Reader;
use crate::{Error, Problem, Result, TensorInfo, UnknownTensor};
use std::path::Path;
use tensor::{Bytes, Tensor};

/// An open checkpoint: a bundle, a safetensors file, or one of TensorFlow's old V1 format.
///
/// ```
/// # use std::collections::BTreeMap;
/// # use tensor::Tensor;
/// # let folder = tempfile::tempdir()?;
/// # let model = BTreeMap::from([("w".to_string(), Tensor::from([1.0f32]))]);
/// # checkpoint::Saver::default().save(&model, folder.path().join("m"), Some(7))?;
/// let reader = checkpoint::CheckpointReader::open(folder.path())?; // the folder's newest
/// assert_eq!(reader.step(), Some(7));
/// for info in reader.variables() {
///     println!("{} {} {}", info.name, info.dtype, info.shape);
/// }
/// assert_eq!(reader.read("w:0")?, Tensor::from([1.0f32]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointReader {
    /// TensorFlow's V2 format.
    Bundle(BundleReader),
    /// TensorFlow's V1 format, of 2015 and 2016.
    V1(V1Reader),
    /// A safetensors file.
    #[cfg(feature = "safetensors")]
    Safetensors(SafetensorsReader),
}

impl CheckpointReader {
    /// Opens what the path names: a prefix; a folder, which stands for its newest checkpoint (S-317), that
    /// of its state file or else the one with the highest step; a file `….safetensors`; or one of a
    /// bundle's own files `….index`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// use checkpoint::CheckpointReader;
    /// assert_eq!(CheckpointReader::open(folder.path())?.path(), prefix); // the newest in a folder
    /// assert!(CheckpointReader::open(&prefix)?.has_tensor("w"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is nothing, or the folder has no checkpoint; [`Error::Unsupported`]
    /// for a file that is something else, which says what; and those of the formats.
    pub fn open(path: impl AsRef<Path>) -> Result<CheckpointReader> {
        CheckpointReader::open_with(path, ReadOptions::new())
    }

    /// Works as [`open`](CheckpointReader::open), with options.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// use checkpoint::{CheckpointReader, bundle::ReadOptions};
    /// assert!(CheckpointReader::open_with(&prefix, ReadOptions::new().verify(false))?.has_tensor("w"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](CheckpointReader::open).
    pub fn open_with(path: impl AsRef<Path>, options: ReadOptions) -> Result<CheckpointReader> {
        let path = path.as_ref();
        let storage = options.storage.as_ref();
        let info = storage.metadata(path);
        if info.as_ref().is_ok_and(|info| info.is_dir) {
            return newest(path, &options);
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("index") if info.is_ok() => {
                BundleReader::open_with(path.with_extension(""), options).map(CheckpointReader::Bundle)
            }
            _ => CheckpointReader::open_prefix(path, options),
        }
    }

    /// Opens the checkpoint of exactly this prefix, or the safetensors file of this name.
    pub(crate) fn open_prefix(prefix: &Path, options: ReadOptions) -> Result<CheckpointReader> {
        let storage = options.storage.as_ref();
        #[cfg(feature = "safetensors")]
        if prefix.extension().is_some_and(|extension| extension == "safetensors")
            && storage.metadata(prefix).is_ok_and(|info| !info.is_dir)
        {
            return SafetensorsReader::open_with(prefix, options).map(CheckpointReader::Safetensors);
        }
        // Before the bundle: a V1 checkpoint is a file of exactly this name, which a bundle's prefix never
        // is.
        if let Some(reader) = V1Reader::open_if_v1(storage, prefix)? {
            return Ok(CheckpointReader::V1(reader));
        }
        BundleReader::open_with(prefix, options).map(CheckpointReader::Bundle)
    }

    /// `bundle`, `v1` or `safetensors`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::CheckpointReader::open(&prefix)?.format(), "bundle");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn format(&self) -> &'static str {
        match self {
            CheckpointReader::Bundle(_) => "bundle",
            CheckpointReader::V1(_) => "v1",
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(_) => "safetensors",
        }
    }

    /// Returns the prefix, or the path of the file.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::CheckpointReader::open(&prefix)?.path(), prefix);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            CheckpointReader::Bundle(reader) => reader.prefix(),
            CheckpointReader::V1(reader) => reader.path(),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.path(),
        }
    }

    /// Returns the step at the end of the name, if there is one: 500 for `model.ckpt-500`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::CheckpointReader::open(&prefix)?.step(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn step(&self) -> Option<i64> {
        let name = match self {
            CheckpointReader::Bundle(reader) => reader.prefix().file_name(),
            CheckpointReader::V1(reader) => reader.path().file_name(),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.path().file_stem(),
        };
        step_of(name?.to_str()?)
    }

    /// Returns all tensors by name (S-318), but for those whose dtype is [not known](CheckpointReader::unsupported_tensors).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::CheckpointReader::open(&prefix)?.variables()[0].name, "w");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn variables(&self) -> Vec<TensorInfo> {
        match self {
            CheckpointReader::Bundle(reader) => reader.entries().collect(),
            CheckpointReader::V1(reader) => reader.entries().collect(),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.entries().collect(),
        }
    }

    /// Tensors that exist but cannot be read, because this program does not know their dtype: in newer
    /// safetensors files, for instance `F4` and `F8_E8M0`, or, in a bundle, with numbers of a later version.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert!(checkpoint::CheckpointReader::open(&prefix)?.unsupported_tensors().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn unsupported_tensors(&self) -> Vec<UnknownTensor> {
        match self {
            CheckpointReader::Bundle(reader) => reader.unsupported_tensors().collect(),
            CheckpointReader::V1(_) => Vec::new(),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.unsupported_tensors().collect(),
        }
    }

    /// Returns true if there is a tensor of this name.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert!(!checkpoint::CheckpointReader::open(&prefix)?.has_tensor("missing"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn has_tensor(&self, name: &str) -> bool {
        match self {
            CheckpointReader::Bundle(reader) => reader.contains(name),
            CheckpointReader::V1(reader) => reader.contains(name),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.contains(name),
        }
    }

    /// Reads a tensor. A trailing `:0` of the name is dropped if there is no tensor with it (S-318).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let reader = checkpoint::CheckpointReader::open(&prefix)?;
    /// assert_eq!(reader.read("w:0")?, reader.read("w")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorMissing`], and those of the formats.
    pub fn read(&self, name: &str) -> Result<Tensor> {
        // The exact name first, since a stored name may end in `:0` itself.
        let plain = name.strip_suffix(":0").filter(|_| !self.has_tensor(name)).unwrap_or(name);
        match self {
            CheckpointReader::Bundle(reader) => reader.read(plain),
            CheckpointReader::V1(reader) => reader.read(plain),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.read(plain),
        }
    }

    /// Returns dtype, shape and stored bytes of a tensor.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::CheckpointReader::open(&prefix)?.info("w")?.bytes, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorMissing`]; [`Error::Corrupt`] when its entry is damaged.
    pub fn info(&self, name: &str) -> Result<TensorInfo> {
        match self {
            CheckpointReader::Bundle(reader) => reader.info(name),
            CheckpointReader::V1(reader) => reader.info(name),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.info(name),
        }
    }

    /// Reads a part of a tensor, which may be stored whole or in other parts.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// use checkpoint::{CheckpointReader, bundle::TensorSlice};
    /// let second = TensorSlice::new([(1, Some(1))]);
    /// assert_eq!(CheckpointReader::open(&prefix)?.read_slice("w", &second)?, tensor::Tensor::from([2.0f32]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](CheckpointReader::read); [`Error::Invalid`] when the part does not lie in the tensor.
    pub fn read_slice(&self, name: &str, part: &TensorSlice) -> Result<Tensor> {
        match self {
            CheckpointReader::Bundle(reader) => reader.read_slice(name, part),
            CheckpointReader::V1(reader) => reader.read_slice(name, part),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.read_slice(name, part),
        }
    }

    /// Reads many tensors, in the order of the names, which are those of the file.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert_eq!(checkpoint::CheckpointReader::open(&prefix)?.read_many(&["w"])?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](CheckpointReader::read), for the first tensor that cannot be read; [`Error::TensorMissing`] names all
    /// that are missing.
    pub fn read_many<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<Tensor>> {
        if let CheckpointReader::Bundle(reader) = self {
            return reader.read_many(names);
        }
        let names = || names.iter().map(AsRef::as_ref);
        let missing: Vec<String> = names().filter(|name| !self.has_tensor(name)).map(str::to_owned).collect();
        if !missing.is_empty() {
            return Err(Error::TensorMissing { path: self.path().to_path_buf(), names: missing });
        }
        names().map(|name| self.read(name)).collect()
    }

    /// Reads every tensor, in the order of [`variables`](CheckpointReader::variables).
    ///
    /// # Errors
    /// As [`read_many`](CheckpointReader::read_many); also when an entry of a bundle's index is damaged, or a tensor of a
    /// safetensors file is of [unknown](CheckpointReader::unsupported_tensors) dtype.
    pub fn read_all(&self) -> Result<Vec<(String, Tensor)>> {
        match self {
            CheckpointReader::Bundle(reader) => reader.read_all(),
            CheckpointReader::V1(reader) => {
                reader.entries().map(|info| Ok((info.name.clone(), reader.read(&info.name)?))).collect()
            }
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.read_all(),
        }
    }

    /// Returns true if the prefix of a bundle was saved again since it was opened. The other formats are read from files
    /// that are opened once.
    pub(crate) fn is_replaced(&self) -> bool {
        matches!(self, CheckpointReader::Bundle(reader) if reader.is_replaced())
    }

    /// Reads the bytes of a tensor of [unknown](CheckpointReader::unsupported_tensors) dtype.
    ///
    /// # Errors
    /// Those of [`BundleReader::read_bytes`] and, for a safetensors file, [`Error::TensorMissing`] and
    /// [`Error::Io`].
    pub fn read_bytes(&self, name: &str) -> Result<Bytes> {
        match self {
            CheckpointReader::Bundle(reader) => reader.read_bytes(name),
            CheckpointReader::V1(reader) => {
                Err(Error::TensorMissing { path: reader.path().to_path_buf(), names: vec![name.to_owned()] })
            }
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => reader.read_bytes(name),
        }
    }

    /// Reads everything that can be checked and returns the damage that it finds. A safetensors file has no
    /// checksums; of it only the structure is checked, and that tensors can be read. Of tensors of
    /// [`unknown`](CheckpointReader::unsupported_tensors) dtypes only the presence of their bytes is checked.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// assert!(checkpoint::CheckpointReader::open(&prefix)?.verify().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn verify(&self) -> Vec<Problem> {
        match self {
            CheckpointReader::Bundle(reader) => reader.verify(),
            CheckpointReader::V1(reader) => reader.verify(),
            #[cfg(feature = "safetensors")]
            CheckpointReader::Safetensors(reader) => {
                let known = reader.entries().map(|info| (reader.read(&info.name).err(), info.name));
                let unknown =
                    reader.unsupported_tensors().map(|info| (reader.read_bytes(&info.name).err(), info.name));
                let problem = |(error, name): (Option<Error>, String)| {
                    Some(Problem { name: Some(name), error: error? })
                };
                known.chain(unknown).filter_map(problem).collect()
            }
        }
    }
}

/// The number of attempts to read a checkpoint that a saver replaces or deletes during the read.
pub(crate) const ATTEMPTS: usize = 10;

/// Reads again what was replaced while it was being read.
pub(crate) fn unless_replaced<T>(read: impl Fn() -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        match read() {
            Err(Error::Replaced { .. }) if attempt < ATTEMPTS => attempt += 1,
            other => return other,
        }
    }
}

/// Opens the newest checkpoint of a folder.
fn newest(directory: &Path, options: &ReadOptions) -> Result<CheckpointReader> {
    let storage = options.storage.as_ref();
    let find = || {
        let named = state::latest_checkpoint_with(storage, directory, None)?;
        let found = match named {
            Some(prefix) => Some(prefix),
            None => checkpoints_by_step(storage, directory)?.pop(),
        };
        found.ok_or_else(|| foreign::no_checkpoint(storage, directory))
    };
    let mut prefix = find()?;
    for _ in 1..ATTEMPTS {
        match CheckpointReader::open_prefix(&prefix, options.clone()) {
            // A saver at work deletes old checkpoints: perhaps there is a newer one by now.
            Err(error @ Error::NotFound { .. }) => {
                let now = find()?;
                if now == prefix {
                    return Err(error);
                }
                prefix = now;
            }
            other => return other,
        }
    }
    CheckpointReader::open_prefix(&prefix, options.clone())
}

/// Name, dtype and shape of every tensor of a checkpoint, by name (S-318). Takes what
/// [`CheckpointReader::open`] takes.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// for info in checkpoint::list_variables(folder.path())? {
///     println!("{} {} {}", info.name, info.dtype, info.shape);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`CheckpointReader::open`].
pub fn list_variables(path: impl AsRef<Path>) -> Result<Vec<TensorInfo>> {
    Ok(CheckpointReader::open(path)?.variables())
}

/// Reads one tensor of a checkpoint (S-318).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// let w = checkpoint::load_variable(&prefix, "w")?;
/// assert_eq!(w.as_slice::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`CheckpointReader::open`] and [`CheckpointReader::read`].
pub fn load_variable(path: impl AsRef<Path>, name: &str) -> Result<Tensor> {
    unless_replaced(|| CheckpointReader::open(&path)?.read(name))
}
