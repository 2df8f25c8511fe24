//! Saving and restoring tensors by operations, in TensorFlow's checkpoint format.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use checkpoint::bundle::{BundleReader, BundleWriter, TensorSlice, merge_bundles};
use checkpoint::storage::LocalStorage;
use checkpoint::v1::{V1Reader, V1Writer};
use session_core::{Code, Error, FileAccess, Result};
use std::fs;
use std::path::{Path, PathBuf};
use tensor::{DType, Shape, Tensor};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("SaveV2", |_| Ok(boxed(save))).accesses_files();
    registry.add("RestoreV2", make_restore).accesses_files();
    registry.add("Save", |_| Ok(boxed(|context| save_v1(context, false)))).accesses_files();
    registry.add("SaveSlices", |_| Ok(boxed(|context| save_v1(context, true)))).accesses_files();
    registry.add("Restore", |spec| {
        let dtype = spec.dtype("dt")?;
        Ok(boxed(move |context| restore_one(context, dtype, String::new())))
    });
    registry.add("RestoreSlice", |spec| {
        let dtype = spec.dtype("dt")?;
        Ok(boxed(move |context| {
            let part = text(context, 2)?;
            restore_one(context, dtype, part)
        }))
    });
    registry.add("MergeV2Checkpoints", |spec| {
        let delete = spec.bool("delete_old_dirs")?;
        let lenient = spec.bool("allow_missing_files").unwrap_or(false);
        Ok(boxed(move |context| merge(context, delete, lenient)))
    });
    registry.of(["Restore", "RestoreSlice", "MergeV2Checkpoints"]).accesses_files();
    registry.add("ShardedFilename", |_| {
        Ok(boxed(|context| {
            let (name, shard, count) = (text(context, 0)?, context.int(1)?, context.int(2)?);
            context.set(0, Tensor::string(format!("{name}-{shard:05}-of-{count:05}")));
            Ok(())
        }))
    });
    registry.add("ShardedFilespec", |_| {
        Ok(boxed(|context| {
            let (name, count) = (text(context, 0)?, context.int(1)?);
            context.set(0, Tensor::string(format!("{name}-?????-of-{count:05}")));
            Ok(())
        }))
    });
}

fn text(context: &KernelContext<'_>, input: usize) -> Result<String> {
    texts(context, input)?
        .into_iter()
        .next()
        .ok_or_else(|| Error::invalid_argument(format!("input {input} is empty")))
}

fn texts(context: &KernelContext<'_>, input: usize) -> Result<Vec<String>> {
    let text = |bytes: &tensor::Bytes| {
        let text = String::from_utf8(bytes.to_vec());
        text.map_err(|_| Error::invalid_argument(format!("input {input} holds a name that is not UTF-8")))
    };
    context.input(input).as_strings()?.iter().map(text).collect()
}

/// A name, and for a part of a tensor its full shape and the part.
type Named = (String, Option<(Shape, TensorSlice)>);

/// Returns the names with the slices that the specifications declare, one for each tensor.
fn named(context: &KernelContext<'_>, count: usize) -> Result<Vec<Named>> {
    let (names, parts) = (texts(context, 1)?, texts(context, 2)?);
    if names.len() != count || parts.len() != count {
        let text = format!("{} names and {} slices for {count} tensors", names.len(), parts.len());
        return Err(Error::invalid_argument(text));
    }
    names.into_iter().zip(parts).map(|(name, part)| Ok((name, part_of(&part)?))).collect()
}

/// Returns the full shape and the part, as `4 8 0,2:-`; nothing for a whole tensor.
fn part_of(text: &str) -> Result<Option<(Shape, TensorSlice)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Error::invalid_argument(format!("'{text}' is not a shape followed by a slice"));
    let (sizes, part) = text.rsplit_once(' ').ok_or_else(wrong)?;
    let sizes: Option<Shape> = sizes.split_whitespace().map(|size| size.parse().ok()).collect();
    Ok(Some((sizes.ok_or_else(wrong)?, TensorSlice::parse(part).ok_or_else(wrong)?)))
}

/// Returns the path in input 0, whose folder is there.
fn writable(context: &KernelContext<'_>) -> Result<PathBuf> {
    let path = PathBuf::from(text(context, 0)?);
    context.files().check_write(&path)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| of_file(error, folder))?;
    }
    Ok(path)
}

fn save(context: &mut KernelContext<'_>) -> Result<()> {
    let prefix = writable(context)?;
    let mut writer = BundleWriter::create(&prefix)?;
    for (index, (name, part)) in named(context, context.num_inputs() - 3)?.into_iter().enumerate() {
        let tensor = context.input(3 + index);
        match part {
            None => writer.add(&name, tensor)?,
            Some((full, part)) => writer.add_slice(&name, &full, &part, tensor)?,
        }
    }
    Ok(writer.finish()?)
}

/// Saves in the V1 format.
fn save_v1(context: &mut KernelContext<'_>, sliced: bool) -> Result<()> {
    let path = writable(context)?;
    let first = if sliced { 3 } else { 2 };
    let count = context.num_inputs() - first;
    let named: Vec<Named> = if sliced {
        named(context, count)?
    } else {
        let names = texts(context, 1)?;
        if names.len() != count {
            let text = format!("{} names for {count} tensors", names.len());
            return Err(Error::invalid_argument(text));
        }
        names.into_iter().map(|name| (name, None)).collect()
    };
    let mut writer = V1Writer::create(&path);
    for (index, (name, part)) in named.into_iter().enumerate() {
        let tensor = context.input(first + index);
        match part {
            None => writer.add(&name, tensor)?,
            Some((full, part)) => writer.add_slice(&name, &full, &part, tensor)?,
        }
    }
    Ok(writer.finish()?)
}

fn of_file(error: std::io::Error, path: &Path) -> Error {
    let code = if error.kind() == std::io::ErrorKind::NotFound { Code::NotFound } else { Code::Unknown };
    Error::new(code, format!("cannot use {}", path.display())).with_source(error)
}

fn make_restore(spec: &NodeSpec<'_>) -> Result<Box<dyn crate::kernel::Kernel>> {
    let dtypes =
        spec.attr("dtypes")?.as_types().ok_or_else(|| Error::value("attribute 'dtypes' is not a list"))?;
    Ok(boxed(move |context| restore(context, &dtypes)))
}

fn restore(context: &mut KernelContext<'_>, dtypes: &[DType]) -> Result<()> {
    let prefix = text(context, 0)?;
    let source = Source::open(&prefix, context.files())?;
    let named = named(context, dtypes.len())?;
    // Whole tensors are read together, by several threads.
    let whole: Vec<&str> =
        named.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| name.as_str()).collect();
    let mut whole = source.read_many(&whole)?.into_iter();
    for (index, (name, part)) in named.into_iter().enumerate() {
        let tensor = match part {
            None => whole.next().ok_or_else(|| Error::invalid_argument(format!("'{name}' was not read")))?,
            Some((full, part)) => source.read_slice(&prefix, &name, &full, &part)?,
        };
        context.set(index, checked(tensor, &prefix, &name, dtypes[index])?);
    }
    Ok(())
}

/// Restores the tensor of one name.
fn restore_one(context: &mut KernelContext<'_>, dtype: DType, part: String) -> Result<()> {
    let (pattern, name) = (text(context, 0)?, text(context, 1)?);
    let source = Source::open(&pattern, context.files())?;
    let tensor = match part_of(&part)? {
        None => source.read_many(&[name.as_str()])?.remove(0),
        Some((full, part)) => source.read_slice(&pattern, &name, &full, &part)?,
    };
    context.set(0, checked(tensor, &pattern, &name, dtype)?);
    Ok(())
}

fn checked(tensor: Tensor, path: &str, name: &str, expected: DType) -> Result<Tensor> {
    if tensor.dtype() == expected {
        return Ok(tensor);
    }
    let found = tensor.dtype();
    Err(Error::invalid_argument(format!("'{name}' is {found} in {path}, not {expected}")))
}

/// Checks that the index of a checkpoint may be written.
fn check_index(prefix: &str, files: &FileAccess) -> Result<()> {
    files.check_write(Path::new(prefix))?;
    files.check_write(&checkpoint::index_path(prefix))
}

/// Checks that the data files of a checkpoint may be moved.
fn check_data(prefix: &str, files: &FileAccess) -> Result<()> {
    if files.is_everything() || !checkpoint::index_path(prefix).exists() {
        return Ok(());
    }
    BundleReader::open(prefix)?.data_files().iter().try_for_each(|file| files.check_write(file))
}

/// An open checkpoint of either format.
enum Source {
    V1(V1Reader),
    V2(BundleReader),
}

impl Source {
    /// Opens a checkpoint all of whose files may be read: one of the V2 format, or else one of the V1 format, whose files
    /// the path may be a pattern of.
    fn open(path: &str, files: &FileAccess) -> Result<Source> {
        let prefix = Path::new(path);
        files.check_read(&checkpoint::index_path(prefix))?;
        if !checkpoint::index_path(prefix).exists() {
            let mut tables = Vec::new();
            super::files::matching(prefix, files, &mut tables)?;
            tables.retain(|table| table.is_file());
            tables.sort();
            if !tables.is_empty() {
                return Ok(Source::V1(V1Reader::open_files(&tables)?));
            }
        }
        Ok(Source::V2(BundleReader::open_allowed(prefix, files)?))
    }

    fn read_many(&self, names: &[&str]) -> Result<Vec<Tensor>> {
        match self {
            Source::V1(reader) => names.iter().map(|name| Ok(reader.read(name)?)).collect(),
            Source::V2(reader) => Ok(reader.read_many(names)?),
        }
    }

    fn read_slice(&self, path: &str, name: &str, full: &Shape, part: &TensorSlice) -> Result<Tensor> {
        let stored = match self {
            Source::V1(reader) => reader.info(name)?,
            Source::V2(reader) => reader.info(name)?,
        };
        if stored.shape != *full {
            let text = format!("'{name}' has shape {} in {path}, not {full}", stored.shape);
            return Err(Error::invalid_argument(text));
        }
        Ok(match self {
            Source::V1(reader) => reader.read_slice(name, part)?,
            Source::V2(reader) => reader.read_slice(name, part)?,
        })
    }
}

fn merge(context: &mut KernelContext<'_>, delete: bool, lenient: bool) -> Result<()> {
    let (mut parts, into) = (texts(context, 0)?, text(context, 1)?);
    // The parts are moved, not copied.
    let files = context.files();
    parts.iter().chain([&into]).try_for_each(|prefix| check_index(prefix, files))?;
    parts.iter().try_for_each(|part| check_data(part, files))?;
    let storage = LocalStorage::shared();
    if lenient {
        parts.retain(|part| checkpoint::index_path(part).exists());
    }
    if checkpoint::index_path(&into).exists() {
        checkpoint::remove_checkpoint(&into)?;
    }
    merge_bundles(&storage, &parts, &into)?;
    if delete {
        for folder in parts.iter().filter_map(|part| Path::new(part).parent()) {
            // Only what is empty goes: another part, or something else, may still be there.
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(())
}
