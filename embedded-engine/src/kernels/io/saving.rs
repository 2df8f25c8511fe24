//! Saving and restoring tensors by operations, in TensorFlow's checkpoint format.
//!
//! # Semantics
//!
//! - `SaveV2` takes a prefix, names, slice specifications, and the tensors; it writes `<prefix>.index` and
//!   one data file. `RestoreV2` takes a prefix, names and slice specifications, and returns tensors of the
//!   dtypes in `dtypes`; it reads the V1 format, too.
//! - `Save`, `SaveSlices`, `Restore` and `RestoreSlice` are the op types of the V1 format: one table per
//!   file. What the last two take may be a pattern that matches the tables of several shards.
//! - `MergeV2Checkpoints` joins the checkpoints with the prefixes in input 0 into one with the prefix in
//!   input 1, by moving their data files. `delete_old_dirs` then removes the folders that are empty;
//!   `allow_missing_files` skips prefixes without an index. A checkpoint that has the target's prefix is
//!   removed first.
//! - `ShardedFilename` and `ShardedFilespec` are pure text: `name-00001-of-00003` and `name-?????-of-00003`.
//!
//! A slice specification is empty for a whole tensor, or has the full shape and the part: `4 8 0,2:-` is rows
//! 0 and 1 of a `[4, 8]` tensor. All names must be UTF-8.
//!
//! Errors: `NotFound` for a missing checkpoint or name, `InvalidArgument` for a stored dtype or shape other
//! than the requested one, `DataLoss` for a failed checksum. Folders of saved files are created. The formats
//! are in the crate `checkpoint`; this file reads inputs, checks access and converts errors.

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

/// Registers the op types. None is registered as changing, because the definitions of those that read are
/// stateful.
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

/// Returns the first string of an input as text; an empty input is `InvalidArgument`.
fn text(context: &KernelContext<'_>, input: usize) -> Result<String> {
    texts(context, input)?
        .into_iter()
        .next()
        .ok_or_else(|| Error::invalid_argument(format!("input {input} is empty")))
}

/// Returns the strings of an input as text, in row-major order. Names that are not UTF-8 are
/// `InvalidArgument`.
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
///
/// Names are input 1, specifications input 2. Fails unless both have `count` elements.
fn named(context: &KernelContext<'_>, count: usize) -> Result<Vec<Named>> {
    let (names, parts) = (texts(context, 1)?, texts(context, 2)?);
    if names.len() != count || parts.len() != count {
        let text = format!("{} names and {} slices for {count} tensors", names.len(), parts.len());
        return Err(Error::invalid_argument(text));
    }
    names.into_iter().zip(parts).map(|(name, part)| Ok((name, part_of(&part)?))).collect()
}

/// Returns the full shape and the part, as `4 8 0,2:-`; nothing for a whole tensor.
///
/// The part is the last word, with one range for each dimension, separated by colons: `start,length`, or `-`
/// for the whole dimension.
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
///
/// Creates the folder. Fails if the session's file access does not allow the path; the files that are written
/// begin with it.
fn writable(context: &KernelContext<'_>) -> Result<PathBuf> {
    let path = PathBuf::from(text(context, 0)?);
    context.files().check_write(&path)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| of_file(error, folder))?;
    }
    Ok(path)
}

/// Writes the tensors from input 3 on as a checkpoint of the V2 format.
///
/// Names and tensors are matched by position. Files get their names when all are complete, so a reader sees
/// an older checkpoint of this prefix or the whole new one.
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
///
/// Writes the tensors as one V1 table. `sliced` is true for `SaveSlices`, whose input 2 holds specifications,
/// so that the tensors begin one input later.
fn save_v1(context: &mut KernelContext<'_>, sliced: bool) -> Result<()> {
    let path = writable(context)?;
    // Without specifications, the tensors begin right after the names.
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

/// Returns the error for a folder that cannot be created.
fn of_file(error: std::io::Error, path: &Path) -> Error {
    let code = if error.kind() == std::io::ErrorKind::NotFound { Code::NotFound } else { Code::Unknown };
    Error::new(code, format!("cannot use {}", path.display())).with_source(error)
}

/// Returns the kernel of `RestoreV2` for the attribute `dtypes`, with one output for each.
fn make_restore(spec: &NodeSpec<'_>) -> Result<Box<dyn crate::kernel::Kernel>> {
    let dtypes =
        spec.attr("dtypes")?.as_types().ok_or_else(|| Error::value("attribute 'dtypes' is not a list"))?;
    Ok(boxed(move |context| restore(context, &dtypes)))
}

/// Delivers the named tensors, or slices of them, as outputs of the same number.
fn restore(context: &mut KernelContext<'_>, dtypes: &[DType]) -> Result<()> {
    let prefix = text(context, 0)?;
    let source = Source::open(&prefix, context.files())?;
    let named = named(context, dtypes.len())?;
    // Whole tensors are read together, by several threads.
    let whole: Vec<&str> =
        named.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| name.as_str()).collect();
    // In the order of their names, which is that of the loop below.
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
///
/// Input 0 is the path or pattern of the files, input 1 the name; `part` is the specification, empty for
/// `Restore`.
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

/// Returns the tensor if it has the expected dtype. Nothing is converted: a variable that changed its dtype
/// does not fit its old checkpoint.
fn checked(tensor: Tensor, path: &str, name: &str, expected: DType) -> Result<Tensor> {
    if tensor.dtype() == expected {
        return Ok(tensor);
    }
    let found = tensor.dtype();
    Err(Error::invalid_argument(format!("'{name}' is {found} in {path}, not {expected}")))
}

/// Checks that the index of a checkpoint may be written.
///
/// `prefix` is that of a part or of the merged checkpoint. The path itself is checked as well, since other
/// files begin with it.
fn check_index(prefix: &str, files: &FileAccess) -> Result<()> {
    files.check_write(Path::new(prefix))?;
    files.check_write(&checkpoint::index_path(prefix))
}

/// Checks that the data files of a checkpoint may be moved.
///
/// The index names the data files, so it is read first, unless every file is allowed. A part without an index
/// has no data files to check.
fn check_data(prefix: &str, files: &FileAccess) -> Result<()> {
    if files.is_everything() || !checkpoint::index_path(prefix).exists() {
        return Ok(());
    }
    BundleReader::open(prefix)?.data_files().iter().try_for_each(|file| files.check_write(file))
}

/// An open checkpoint of either format.
enum Source {
    /// Tables of the V1 format, of one or several shards.
    V1(V1Reader),
    /// A checkpoint of the V2 format: an index and its data files.
    V2(BundleReader),
}

impl Source {
    /// Opens a checkpoint all of whose files may be read: one of the V2 format, or else one of the V1 format,
    /// whose files the path may be a pattern of.
    ///
    /// A missing checkpoint is reported as one of the V2 format, which is what a new program expects.
    fn open(path: &str, files: &FileAccess) -> Result<Source> {
        let prefix = Path::new(path);
        files.check_read(&checkpoint::index_path(prefix))?;
        if !checkpoint::index_path(prefix).exists() {
            let mut tables = Vec::new();
            super::files::matching(prefix, files, &mut tables)?;
            // A folder with the name of the prefix is no table.
            tables.retain(|table| table.is_file());
            tables.sort();
            if !tables.is_empty() {
                return Ok(Source::V1(V1Reader::open_files(&tables)?));
            }
        }
        Ok(Source::V2(BundleReader::open_allowed(prefix, files)?))
    }

    /// Returns whole tensors in the order of their names. Fails at the first that is missing or damaged.
    fn read_many(&self, names: &[&str]) -> Result<Vec<Tensor>> {
        match self {
            Source::V1(reader) => names.iter().map(|name| Ok(reader.read(name)?)).collect(),
            Source::V2(reader) => Ok(reader.read_many(names)?),
        }
    }

    /// Returns a part of a stored tensor, whose shape must be `full`. `path` is for the message.
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

/// Moves the parts into one checkpoint. All access checks come before the first change, so a forbidden file
/// leaves every part as it is.
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
