//! Reading a V1 checkpoint.

use super::values::{self, ValuesError};
use super::writer::slice_key;
use super::{Listed, message};
use crate::bundle::{TensorSlice, assemble, table};
use crate::prefix::{self, Part};
use crate::storage::{LocalStorage, Storage};
use crate::{Error, Problem, Result, TensorInfo, foreign};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tensor::{Tensor, memory};

/// An open V1 checkpoint.
///
/// Opening reads the files; tensors are decoded when they are requested.
#[derive(Debug)]
pub struct V1Reader {
    path: PathBuf,
    tables: Vec<Table>,
    tensors: BTreeMap<String, Tensors>,
}

/// A tensor, and the table of each of its slices.
#[derive(Debug)]
struct Tensors {
    listed: Listed,
    tables: Vec<usize>,
}

/// One file.
#[derive(Debug)]
struct Table {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The block of each key.
    blocks: HashMap<Vec<u8>, table::Handle>,
    /// The list in the value of the empty key.
    listed: Vec<(String, Listed)>,
}

fn at(path: &Path, error: table::TableError) -> Error {
    match error {
        table::TableError::Damaged(what) => Error::corrupt(path, what),
        table::TableError::Unsupported(what) => Error::Unsupported { path: path.to_path_buf(), what },
    }
}

impl Table {
    fn open(storage: &dyn Storage, path: &Path) -> Result<Table> {
        let bytes = read_file(storage, path)?;
        let (mut blocks, mut listed) = (HashMap::new(), None);
        for block in table::data_blocks(&bytes).map_err(|error| at(path, error))? {
            table::visit_block(&bytes, block, |key, value| {
                if key.is_empty() {
                    listed = Some(message::listed(value));
                } else {
                    // Only the block is remembered. Values are protobuf messages of up to the tensor's size
                    // and are decoded on request.
                    blocks.insert(key.to_vec(), block);
                }
                Ok::<(), table::TableError>(())
            })
            .map_err(|error| at(path, error))?;
        }
        match listed {
            Some(Ok(listed)) => Ok(Table { path: path.to_path_buf(), bytes, blocks, listed }),
            Some(Err(_)) => Err(Error::corrupt(path, "its list of tensors cannot be parsed")),
            None => Err(Error::corrupt(path, "it has no list of tensors")),
        }
    }

    /// Decodes a slice.
    fn read(&self, name: &str, listed: &Listed, slice: &TensorSlice) -> Result<Tensor> {
        let damaged = |what: &str| Error::corrupt_tensor(&self.path, name, what);
        let shape =
            slice.shape_within(&listed.shape).ok_or_else(|| damaged("a slice lies outside of its shape"))?;
        let key = slice_key(name, slice);
        let block = self.blocks.get(&key).ok_or_else(|| damaged("a slice of it is not stored"))?;
        let mut found = None;
        let visited = table::visit_block(&self.bytes, *block, |entry, value| {
            if entry == key {
                found = Some(match message::stored(value) {
                    // The key was computed from the name and the slice, but the value states its name as
                    // well; both must agree.
                    Ok(stored) if stored.name == name.as_bytes() => {
                        values::decoded(listed.dtype, shape.clone(), stored.values)
                    }
                    _ => Err(ValuesError::Malformed),
                });
            }
            Ok::<(), table::TableError>(())
        });
        visited.map_err(|error| at(&self.path, error))?;
        match found {
            Some(Ok(tensor)) => Ok(tensor),
            Some(Err(ValuesError::Unsupported)) => Err(Error::UnsupportedDType {
                name: name.to_owned(),
                dtype: listed.dtype,
                format: "a V1 checkpoint",
            }),
            Some(Err(ValuesError::Tensor(error))) if error.is_out_of_memory() => Err(error.into()),
            Some(Err(_)) => {
                Err(damaged("its values cannot be parsed, or their number contradicts its shape"))
            }
            None => Err(damaged("a slice of it is not stored")),
        }
    }
}

/// Reads a whole file, after a look at its end: what is not a table must not cost memory.
fn read_file(storage: &dyn Storage, path: &Path) -> Result<Vec<u8>> {
    let file = storage.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound { path: path.to_path_buf() },
        _ => Error::io("open", path)(error),
    })?;
    let length = file.len().map_err(Error::io("open", path))?;
    let mut footer = [0; table::FOOTER];
    let is_table = match length.checked_sub(table::FOOTER as u64) {
        Some(start) => {
            file.read_exact_at(&mut footer, start).map_err(Error::io("read", path))?;
            table::is_footer(&footer)
        }
        None => false,
    };
    if !is_table {
        let error = Error::corrupt(path, "the magic number at its end is wrong");
        return Err(foreign::explained(file.as_ref(), path, error));
    }
    let mut bytes = memory::filled(0u8, usize::try_from(length).unwrap_or(usize::MAX))?;
    file.read_exact_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    Ok(bytes)
}

impl V1Reader {
    /// Opens the checkpoint at this path: a file; a pattern of shards such as `model.ckpt-?????-of-00002`; or what comes
    /// before `-?????-of-00002`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Corrupt`] for a file that is not a table, or a damaged one; [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<V1Reader> {
        let path = path.as_ref();
        V1Reader::of_files(&LocalStorage, path.to_path_buf(), &files_of(&LocalStorage, path)?)
    }

    /// Opens these files as the shards of one checkpoint.
    ///
    /// # Errors
    /// As [`open`](V1Reader::open); [`Error::Invalid`] without a file.
    pub fn open_files<P: AsRef<Path>>(files: &[P]) -> Result<V1Reader> {
        let files: Vec<PathBuf> = files.iter().map(|file| file.as_ref().to_path_buf()).collect();
        let first = files
            .first()
            .cloned()
            .ok_or_else(|| Error::Invalid("no file of a checkpoint is given".to_owned()))?;
        V1Reader::of_files(&LocalStorage, first, &files)
    }

    fn of_files(storage: &dyn Storage, path: PathBuf, files: &[PathBuf]) -> Result<V1Reader> {
        let tables = files.iter().map(|file| Table::open(storage, file)).collect::<Result<Vec<_>>>()?;
        let mut tensors: BTreeMap<String, Tensors> = BTreeMap::new();
        for (number, table) in tables.iter().enumerate() {
            for (name, listed) in &table.listed {
                let entry = tensors.entry(name.clone()).or_insert_with(|| Tensors {
                    listed: Listed { slices: Vec::new(), ..listed.clone() },
                    tables: Vec::new(),
                });
                if entry.listed.dtype != listed.dtype || entry.listed.shape != listed.shape {
                    let what = "it is listed with different dtypes or shapes";
                    return Err(Error::corrupt_tensor(&table.path, name, what));
                }
                entry.listed.slices.extend(listed.slices.iter().cloned());
                // One entry per slice, so that slices and tables can be walked together.
                entry.tables.resize(entry.listed.slices.len(), number);
            }
        }
        Ok(V1Reader { path, tables, tensors })
    }

    /// Returns the files of the V1 checkpoint at this path if there is one, judged by the end of its first file. The index of a bundle
    /// ends in the same way, and is none. Where both formats are, the newer one counts, as in TensorFlow.
    fn tables_at(storage: &dyn Storage, path: &Path) -> Option<Vec<PathBuf>> {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.and_then(prefix::parse).is_some_and(|(_, part)| part == Part::Index)
            || storage.metadata(&prefix::index_path(path)).is_ok()
        {
            return None;
        }
        let is_table = |file: &PathBuf| {
            let file = storage.open(file).ok()?;
            let start = file.len().ok()?.checked_sub(table::FOOTER as u64)?;
            let mut footer = [0; table::FOOTER];
            file.read_exact_at(&mut footer, start).ok()?;
            Some(table::is_footer(&footer))
        };
        files_of(storage, path).ok().filter(|files| files.first().and_then(is_table) == Some(true))
    }

    /// Returns true if there is a V1 checkpoint at this path.
    pub(crate) fn is_at(storage: &dyn Storage, path: &Path) -> bool {
        V1Reader::tables_at(storage, path).is_some()
    }

    /// Opens the checkpoint at a path if it is of this format.
    pub(crate) fn open_if_v1(storage: &dyn Storage, path: &Path) -> Result<Option<V1Reader>> {
        let tables = V1Reader::tables_at(storage, path);
        tables.map(|files| V1Reader::of_files(storage, path.to_path_buf(), &files)).transpose()
    }

    /// Returns the time at which the first file of the checkpoint at this path was written, if there is one.
    pub(crate) fn modified(storage: &dyn Storage, path: &Path) -> Option<SystemTime> {
        let files = V1Reader::tables_at(storage, path)?;
        Some(storage.metadata(files.first()?).ok()?.modified)
    }

    /// Returns the path under which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns every tensor by name.
    pub fn entries(&self) -> impl Iterator<Item = TensorInfo> + '_ {
        self.tensors.iter().map(|(name, tensor)| info(name, tensor))
    }

    /// Returns true if a tensor of this name is stored.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Returns dtype, shape and size of a tensor.
    ///
    /// # Errors
    /// [`Error::TensorMissing`].
    pub fn info(&self, name: &str) -> Result<TensorInfo> {
        Ok(info(name, self.find(name)?))
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// [`Error::TensorMissing`]; [`Error::Corrupt`] with the names of the file and the tensor;
    /// [`Error::UnsupportedDType`].
    pub fn read(&self, name: &str) -> Result<Tensor> {
        let tensor = self.find(name)?;
        match (tensor.listed.slices.as_slice(), tensor.tables.as_slice()) {
            ([slice], [table]) if slice.is_whole(&tensor.listed.shape) => {
                self.tables[*table].read(name, &tensor.listed, slice)
            }
            _ => self.read_slice(name, &TensorSlice::whole(tensor.listed.shape.rank())),
        }
    }

    /// Reads a part of a tensor, which may be stored whole or in other parts.
    ///
    /// # Errors
    /// As [`read`](V1Reader::read); [`Error::Invalid`] when the part does not lie in the tensor.
    pub fn read_slice(&self, name: &str, part: &TensorSlice) -> Result<Tensor> {
        let Tensors { listed, tables } = self.find(name)?;
        let wanted = part.ranges_within(&listed.shape);
        let wanted = wanted.ok_or_else(|| {
            Error::Invalid(format!("slice {part} of tensor '{name}' of shape {}", listed.shape))
        })?;
        let mut placed = Vec::new();
        for (slice, &table) in listed.slices.iter().zip(tables) {
            let outside = || Error::corrupt_tensor(&self.path, name, "a slice lies outside of its shape");
            let place = slice.ranges_within(&listed.shape).ok_or_else(outside)?;
            if assemble::intersection(&place, &wanted).is_some() {
                placed.push((place, self.tables[table].read(name, listed, slice)?));
            }
        }
        let stored: usize = placed.iter().map(|(_, tensor)| tensor.elements()).sum();
        let needed = wanted.iter().map(|range| range.1).try_fold(1usize, usize::checked_mul);
        // Parts that the slices do not cover must not cost memory.
        let covered = needed.is_some_and(|needed| needed <= stored);
        let joined = if covered { assemble::join(listed.dtype, &wanted, &placed) } else { None };
        joined.ok_or_else(|| {
            let what = format!("its slices do not fill {part} of its shape {}", listed.shape);
            Error::corrupt_tensor(&self.path, name, what)
        })
    }

    /// Decodes every tensor, and lists those that are damaged.
    #[must_use]
    pub fn verify(&self) -> Vec<Problem> {
        let check = |name: &String| {
            let error = self.read(name).err()?;
            Some(Problem { name: Some(name.clone()), error })
        };
        self.tensors.keys().filter_map(check).collect()
    }

    fn find(&self, name: &str) -> Result<&Tensors> {
        let missing = || Error::TensorMissing { path: self.path.clone(), names: vec![name.to_owned()] };
        self.tensors.get(name).ok_or_else(missing)
    }
}

fn info(name: &str, Tensors { listed, .. }: &Tensors) -> TensorInfo {
    let bytes =
        listed.shape.iter().try_fold(listed.dtype.size() as u64, |all, &size| all.checked_mul(size as u64));
    TensorInfo {
        name: name.to_owned(),
        dtype: listed.dtype,
        shape: listed.shape.clone(),
        bytes: bytes.unwrap_or(u64::MAX),
    }
}

/// Returns the files of the checkpoint at a path.
fn files_of(storage: &dyn Storage, path: &Path) -> Result<Vec<PathBuf>> {
    if storage.metadata(path).is_ok_and(|info| !info.is_dir) {
        return Ok(vec![path.to_path_buf()]);
    }
    let not_found = || Error::NotFound { path: path.to_path_buf() };
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(not_found)?;
    let (stem, count) = match name.split_once("-?????-of-") {
        Some((stem, count)) => (stem, Some(count)),
        None => (name, None),
    };
    let folder = prefix::directory(path);
    let names = prefix::file_names(storage, folder).map_err(Error::io("list", folder))?;
    let shard = |name: &String| {
        let (number, of) = name.strip_prefix(stem)?.strip_prefix('-')?.split_once("-of-")?;
        let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(number) && digits(of) && count.is_none_or(|count| count == of)).then(|| folder.join(name))
    };
    let mut files: Vec<PathBuf> = names.iter().filter_map(shard).collect();
    files.sort();
    if files.is_empty() { Err(not_found()) } else { Ok(files) }
}
