//! Reading one safetensors file.

use super::FORMAT;
use super::header::{Entry, Header, MAX_HEADER};
use crate::bundle::{ReadOptions, TensorSlice, assemble};
use crate::foreign;
use crate::parallel;
use crate::storage::ReadFile;
use crate::{Error, Result, TensorInfo, UnknownTensor};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::text::escaped;
use tensor::{Bytes, DType, Slab, Tensor, TensorError};

/// The amount of data that one thread reads at a time.
const TASK: usize = 8 << 20;

/// An open safetensors file. Opening reads the header only.
///
/// ```
/// use checkpoint::safetensors::{SafetensorsOptions, SafetensorsReader, write_safetensors};
/// use tensor::Tensor;
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// let tensors = [("w".to_string(), Tensor::from([1.0f32, 2.0]))];
/// write_safetensors(&path, &tensors, &SafetensorsOptions::new())?;
///
/// let reader = SafetensorsReader::open(&path)?;
/// assert_eq!(reader.read("w")?, tensors[0].1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SafetensorsReader {
    path: PathBuf,
    file: Arc<dyn ReadFile>,
    header: Header,
    /// The offset of the data in the file.
    data: u64,
    positions: HashMap<String, usize>,
    options: ReadOptions,
}

impl SafetensorsReader {
    /// Opens a file.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// let reader = checkpoint::safetensors::SafetensorsReader::open(&path)?;
    /// assert_eq!(reader.path(), path);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Corrupt`] when the header is damaged or does not fit the file;
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<SafetensorsReader> {
        SafetensorsReader::open_with(path, ReadOptions::new())
    }

    /// Works as [`open`](SafetensorsReader::open), with options. Nothing can be verified: the format has no
    /// checksums.
    ///
    /// # Errors
    /// As [`open`](SafetensorsReader::open).
    pub fn open_with(path: impl AsRef<Path>, options: ReadOptions) -> Result<SafetensorsReader> {
        let path = path.as_ref();
        let file = options.storage.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path: path.to_path_buf() },
            _ => Error::io("open", path)(error),
        })?;
        let read = read_header(file.as_ref(), path);
        let (header, data) = read.map_err(|error| foreign::explained(file.as_ref(), path, error))?;
        let names = header.entries.iter().enumerate();
        let positions = names.map(|(i, entry)| (entry.name.clone(), i)).collect();
        Ok(SafetensorsReader { path: path.to_path_buf(), file, header, data, positions, options })
    }

    /// Returns the path under which it was opened.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// assert_eq!(checkpoint::safetensors::SafetensorsReader::open(&path)?.path(), path);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the metadata that the writer stored alongside the tensors.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use checkpoint::safetensors::{SafetensorsOptions, SafetensorsReader, write_safetensors};
    /// let path = folder.path().join("m.safetensors");
    /// let tensors = [("w".to_string(), tensor::Tensor::scalar(1.0f32))];
    /// write_safetensors(&path, &tensors, &SafetensorsOptions::new().metadata("step", "7"))?;
    /// assert_eq!(SafetensorsReader::open(&path)?.metadata()["step"], "7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// Returns every tensor of a dtype that is known here, in bytewise order of names. The others are
    /// [`unknown`](SafetensorsReader::unsupported_tensors).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// let reader = checkpoint::safetensors::SafetensorsReader::open(&path)?;
    /// assert_eq!(reader.entries().next().unwrap().name, "w");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&self) -> impl Iterator<Item = TensorInfo> + '_ {
        let known = |entry: &Entry| Some(info(entry, entry.dtype.clone().ok()?));
        let mut infos: Vec<TensorInfo> = self.header.entries.iter().filter_map(known).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos.into_iter()
    }

    /// Tensors of dtypes that are not known here, in bytewise order of names.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// assert_eq!(checkpoint::safetensors::SafetensorsReader::open(&path)?.unsupported_tensors().count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unsupported_tensors(&self) -> impl Iterator<Item = UnknownTensor> + '_ {
        let unknown = |entry: &Entry| {
            let dtype = entry.dtype.clone().err()?;
            let bytes = entry.end - entry.begin;
            Some(UnknownTensor { name: entry.name.clone(), dtype, shape: entry.shape.clone(), bytes })
        };
        let mut found: Vec<UnknownTensor> = self.header.entries.iter().filter_map(unknown).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.into_iter()
    }

    /// Returns true if there is a tensor of this name.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// assert!(checkpoint::safetensors::SafetensorsReader::open(&path)?.contains("w"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.positions.contains_key(name)
    }

    /// Reads one tensor.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// let reader = checkpoint::safetensors::SafetensorsReader::open(&path)?;
    /// assert_eq!(reader.read("w")?, tensors[0].1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorMissing`]; [`Error::Unsupported`] for a dtype that is not known here;
    /// [`Error::Corrupt`] for bools that are neither 0 nor 1; [`Error::Io`].
    pub fn read(&self, name: &str) -> Result<Tensor> {
        let (entry, dtype) = self.find(name)?;
        self.tensor(entry, dtype)
    }

    /// Reads the bytes of one tensor as they are in the file: of a dtype that is not known here, nothing else
    /// can be had.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// let reader = checkpoint::safetensors::SafetensorsReader::open(&path)?;
    /// assert_eq!(reader.read_bytes("w")?.len(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorMissing`]; [`Error::Io`].
    pub fn read_bytes(&self, name: &str) -> Result<Bytes> {
        let entry = self.entry(name)?;
        if let Some(bytes) = self.mapped(entry)? {
            return Ok(bytes);
        }
        let mut bytes = vec![0; (entry.end - entry.begin) as usize];
        let read = self.file.read_exact_at(&mut bytes, self.data + entry.begin);
        read.map_err(Error::io("read", &self.path))?;
        Ok(bytes.into())
    }

    /// Returns dtype, shape and stored bytes of a tensor.
    ///
    /// # Errors
    /// [`Error::TensorMissing`]; [`Error::Unsupported`] for a dtype that is not known here.
    pub fn info(&self, name: &str) -> Result<TensorInfo> {
        let (entry, dtype) = self.find(name)?;
        Ok(info(entry, dtype))
    }

    /// Reads a part of a tensor.
    ///
    /// # Errors
    /// As [`read`](SafetensorsReader::read); [`Error::Invalid`] when the part does not lie in the tensor.
    pub fn read_slice(&self, name: &str, part: &TensorSlice) -> Result<Tensor> {
        let tensor = self.read(name)?;
        let whole: Vec<_> = tensor.shape().iter().map(|&size| (0, size)).collect();
        let wanted = part.ranges_within(tensor.shape());
        let joined =
            wanted.and_then(|wanted| assemble::join(tensor.dtype(), &wanted, &[(whole, tensor.clone())]));
        joined.ok_or_else(|| {
            Error::Invalid(format!("slice {part} of tensor '{name}' of shape {}", tensor.shape()))
        })
    }

    /// Reads every tensor, in the order of [`entries`](SafetensorsReader::entries).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let tensors = [("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))];
    /// # checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default())?;
    /// assert_eq!(checkpoint::safetensors::SafetensorsReader::open(&path)?.read_all()?, tensors);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](SafetensorsReader::read); so [`Error::Unsupported`] if one is of a dtype that is not known
    /// here.
    pub fn read_all(&self) -> Result<Vec<(String, Tensor)>> {
        if let Some(unknown) = self.unsupported_tensors().next() {
            return Err(self.unsupported(&unknown.name, &unknown.dtype));
        }
        self.entries().map(|info| Ok((info.name.clone(), self.read(&info.name)?))).collect()
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let Some(&position) = self.positions.get(name) else {
            return Err(Error::TensorMissing { path: self.path.clone(), names: vec![name.to_owned()] });
        };
        Ok(&self.header.entries[position])
    }

    fn find(&self, name: &str) -> Result<(&Entry, DType)> {
        let entry = self.entry(name)?;
        match &entry.dtype {
            Ok(dtype) => Ok((entry, *dtype)),
            Err(unknown) => Err(self.unsupported(name, unknown)),
        }
    }

    fn unsupported(&self, name: &str, dtype: &str) -> Error {
        let what = format!("tensor {name:?} has dtype {}, which is not known here", escaped(dtype));
        Error::Unsupported { path: self.path.clone(), what }
    }

    fn tensor(&self, entry: &Entry, dtype: DType) -> Result<Tensor> {
        let tensor = match self.mapped(entry)? {
            Some(bytes) => made(entry, dtype, bytes),
            None => self.copied(entry, dtype)?,
        };
        tensor.map_err(|error| Error::corrupt_tensor(&self.path, &entry.name, error.to_string()))
    }

    fn mapped(&self, entry: &Entry) -> Result<Option<Bytes>> {
        if !self.options.map {
            return Ok(None);
        }
        match self.file.map() {
            // The header was checked against the length that the file had; it may have shrunk since.
            Ok(map) if map.len() as u64 >= self.data + entry.end => {
                let (begin, end) = (self.data + entry.begin, self.data + entry.end);
                Ok(Some(map.slice(begin as usize..end as usize)))
            }
            Ok(_) => Err(Error::corrupt_tensor(&self.path, &entry.name, "the file became shorter")),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(Error::io("map", &self.path)(error)),
        }
    }

    /// Returns the tensor from memory of its own, which its owner may write.
    fn copied(&self, entry: &Entry, dtype: DType) -> Result<std::result::Result<Tensor, TensorError>> {
        let mut slab = match Slab::zeroed((entry.end - entry.begin) as usize) {
            Ok(slab) => slab,
            Err(error) => {
                let error = io::Error::new(io::ErrorKind::OutOfMemory, error);
                return Err(Error::io("read", &self.path)(error));
            }
        };
        let chunks: Vec<(usize, &mut [u8])> = slab.as_mut().chunks_mut(TASK).enumerate().collect();
        let threads = if chunks.len() < 2 { 1 } else { parallel::threads(self.options.threads) };
        parallel::for_each(threads, chunks, |(i, chunk)| {
            let offset = self.data + entry.begin + (i * TASK) as u64;
            self.file.read_exact_at(chunk, offset)
        })
        .map_err(Error::io("read", &self.path))?;
        Ok(made_from(entry, dtype, slab))
    }
}

fn info(entry: &Entry, dtype: DType) -> TensorInfo {
    let bytes = entry.end - entry.begin;
    TensorInfo { name: entry.name.clone(), dtype, shape: entry.shape.clone(), bytes }
}

fn made(entry: &Entry, dtype: DType, bytes: Bytes) -> std::result::Result<Tensor, TensorError> {
    #[cfg(target_endian = "big")]
    let bytes = swapped(dtype, &bytes);
    Tensor::from_bytes(dtype, &entry.shape, bytes)
}

fn made_from(entry: &Entry, dtype: DType, slab: Slab) -> std::result::Result<Tensor, TensorError> {
    if cfg!(target_endian = "big") {
        return made(entry, dtype, Bytes::from_owner(slab));
    }
    let made = slab.into_tensors([(dtype, entry.shape.clone(), 0)]).pop();
    made.unwrap_or(Err(TensorError::NotPlain { dtype }))
}

#[cfg(target_endian = "big")]
fn swapped(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    let width = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
    let mut bytes = bytes.to_vec();
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    bytes
}

/// Returns the header, and where the data begin.
fn read_header(file: &dyn ReadFile, path: &Path) -> Result<(Header, u64)> {
    let file_len = file.len().map_err(Error::io("open", path))?;
    let mut prefix = [0; 8];
    if file_len < 8 {
        return Err(Error::corrupt(path, format!("{file_len} bytes are too few for a {FORMAT} file")));
    }
    file.read_exact_at(&mut prefix, 0).map_err(Error::io("read", path))?;
    let len = u64::from_le_bytes(prefix);
    // Checked before memory is taken: the first eight bytes of any other file are a random length. The order
    // keeps the sum from overflowing.
    if len > MAX_HEADER || 8 + len > file_len {
        return Err(Error::corrupt(path, format!("a header of {len} bytes does not fit {file_len}")));
    }
    let mut json = vec![0; len as usize];
    file.read_exact_at(&mut json, 8).map_err(Error::io("read", path))?;
    let header = Header::parse(&json, file_len - 8 - len).map_err(|what| Error::corrupt(path, what))?;
    Ok((header, 8 + len))
}
