//! Saving and restoring tensors by operations, in TensorFlow's checkpoint format.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use checkpoint::bundle::{BundleReader, BundleWriter, TensorSlice, merge_bundles};
use checkpoint::storage::LocalStorage;
use session_core::{Code, Error, FileAccess, Result};
use std::fs;
use std::path::{Path, PathBuf};
use tensor::{DType, Shape, Tensor};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("SaveV2", |_| Ok(boxed(save)));
    registry.add("RestoreV2", make_restore);
    registry.add("MergeV2Checkpoints", |spec| {
        let delete = spec.bool("delete_old_dirs")?;
        let lenient = spec.bool("allow_missing_files").unwrap_or(false);
        Ok(boxed(move |context| merge(context, delete, lenient)))
    });
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

/// Names with what is said of their parts; as many as there are tensors.
fn named(context: &KernelContext<'_>, count: usize) -> Result<Vec<(String, Option<(Shape, TensorSlice)>)>> {
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

fn save(context: &mut KernelContext<'_>) -> Result<()> {
    let prefix = PathBuf::from(text(context, 0)?);
    context.files().check_write(&prefix)?;
    if let Some(folder) = prefix.parent() {
        fs::create_dir_all(folder).map_err(|error| of_file(error, folder))?;
    }
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
    let reader = open(Path::new(&prefix), context.files())?;
    let named = named(context, dtypes.len())?;
    // Whole tensors are read together, by several threads.
    let whole: Vec<&str> =
        named.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| name.as_str()).collect();
    let mut whole = reader.read_many(&whole)?.into_iter();
    for (index, (name, part)) in named.into_iter().enumerate() {
        let tensor = match part {
            None => whole.next().ok_or_else(|| Error::invalid_argument(format!("'{name}' was not read")))?,
            Some((full, part)) => {
                let stored = reader.info(&name)?;
                if stored.shape != full {
                    let text = format!("'{name}' has shape {} in {prefix}, not {full}", stored.shape);
                    return Err(Error::invalid_argument(text));
                }
                reader.read_slice(&name, &part)?
            }
        };
        if tensor.dtype() != dtypes[index] {
            let (found, expected) = (tensor.dtype(), dtypes[index]);
            return Err(Error::invalid_argument(format!("'{name}' is {found} in {prefix}, not {expected}")));
        }
        context.set(index, tensor);
    }
    Ok(())
}

/// Opens a checkpoint all of whose files may be read.
fn open(prefix: &Path, files: &FileAccess) -> Result<BundleReader> {
    files.check_read(&checkpoint::index_path(prefix))?;
    let reader = BundleReader::open(prefix)?;
    if !files.is_everything() {
        let shards = reader.num_shards();
        (0..shards).try_for_each(|shard| files.check_read(&checkpoint::data_path(prefix, shard, shards)))?;
    }
    Ok(reader)
}

fn merge(context: &mut KernelContext<'_>, delete: bool, lenient: bool) -> Result<()> {
    let (mut parts, into) = (texts(context, 0)?, text(context, 1)?);
    // The parts are moved, not copied.
    for path in parts.iter().chain([&into]) {
        context.files().check_write(Path::new(path))?;
    }
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
