//! Finding the checkpoints of a folder.

use crate::bundle::is_index;
use crate::prefix::{self, Part};
use crate::storage::{LocalStorage, Storage};
use crate::v1::V1Reader;
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Prefixes of all checkpoints in a folder, listed or not, in the order of their steps; those without a
/// step come first, by name. A checkpoint is an index, known by the bytes at its end, with data files of
/// its name, or a table of the [V1 format](crate::v1) with a meta graph of its name; other files are none.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// assert_eq!(checkpoint::checkpoints_in(folder.path())?, [prefix]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`].
pub fn checkpoints_in(directory: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    checkpoints_by_step(&LocalStorage, directory.as_ref())
}

pub(crate) fn checkpoints_by_step(storage: &dyn Storage, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut prefixes = Vec::new();
    for FoundIn { prefix, is_v1, .. } in found_in(storage, directory)? {
        if is_v1 || is_index(storage, &prefix::index_path(&prefix))? {
            prefixes.push(prefix);
        }
    }
    Ok(prefixes)
}

/// A likely checkpoint.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundIn {
    step: Option<i64>,
    pub(crate) prefix: PathBuf,
    is_v1: bool,
}

/// Returns the likely checkpoints in a folder, in the order of steps: each index with data files of its name, judged by
/// names alone, so the index may be damaged; and each meta graph without an index whose name is that of a V1 table.
pub(crate) fn found_in(storage: &dyn Storage, directory: &Path) -> Result<Vec<FoundIn>> {
    let names = prefix::file_names(storage, directory).map_err(Error::io("list", directory))?;
    let parts: Vec<(&str, Part)> = names.iter().filter_map(|name| prefix::parse(name)).collect();
    let stems = |wanted: fn(&Part) -> bool| -> HashSet<&str> {
        parts.iter().filter(|(_, part)| wanted(part)).map(|(stem, _)| *stem).collect()
    };
    let with_data = stems(|part| matches!(part, Part::Data { .. }));
    let with_index = stems(|part| *part == Part::Index);
    let found = |stem: &str, is_v1| FoundIn { step: step_of(stem), prefix: directory.join(stem), is_v1 };
    // An index alone is not enough, since other programs use the suffix, too.
    let bundles = with_index.intersection(&with_data).map(|stem| found(stem, false));
    let tables = stems(|part| *part == Part::Meta);
    let tables = tables.difference(&with_index).map(|stem| found(stem, true));
    let mut found: Vec<FoundIn> =
        // Only names with a meta graph are opened and looked at, so that a folder of many other files is not
        // read.
        bundles.chain(tables.filter(|found| V1Reader::is_at(storage, &found.prefix))).collect();
    found.sort_unstable();
    Ok(found)
}

/// Returns the number after the last dash; a second dash is its sign.
pub(crate) fn step_of(name: &str) -> Option<i64> {
    Some(numbered(name)?.1)
}

/// Splits the name of a checkpoint into the text before its number, and the number.
pub(crate) fn numbered(name: &str) -> Option<(&str, i64)> {
    let (stem, digits) = name.rsplit_once('-')?;
    // `parse` accepts a plus sign, which no saver writes.
    let step: i64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(match stem.strip_suffix('-') {
        Some(base) => (base, -step),
        None => (stem, step),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_from_names() {
        for (name, step) in [
            ("model.ckpt-500", Some(500)),
            ("m-00000007", Some(7)),
            ("m--3", Some(-3)),
            ("m", None),
            ("m-x", None),
            ("m-+5", None),
            ("m-", None),
        ] {
            assert_eq!(step_of(name), step, "{name}");
        }
    }
}
