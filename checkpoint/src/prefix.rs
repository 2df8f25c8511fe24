//! The names of a checkpoint's files.

use crate::storage::Storage;
use crate::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// Creates a path with more text at its end. Not `with_extension`: a prefix may hold dots.
pub(crate) fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(prefix);
    path.push(suffix);
    path.into()
}

/// Returns the table of contents of a checkpoint; the checkpoint exists exactly if this file does.
///
/// ```
/// assert_eq!(checkpoint::index_path("run/model.ckpt-5").to_str(), Some("run/model.ckpt-5.index"));
/// ```
#[must_use]
pub fn index_path(prefix: impl AsRef<Path>) -> PathBuf {
    with_suffix(prefix.as_ref(), ".index")
}

/// Returns one of a checkpoint's data files.
///
/// ```
/// let path = checkpoint::data_path("m", 0, 2);
/// assert_eq!(path.to_str(), Some("m.data-00000-of-00002"));
/// ```
#[must_use]
pub fn data_path(prefix: impl AsRef<Path>, shard: u32, num_shards: u32) -> PathBuf {
    with_suffix(prefix.as_ref(), &format!(".data-{shard:05}-of-{num_shards:05}"))
}

/// Returns the path of the session state of a checkpoint.
///
/// ```
/// assert_eq!(checkpoint::sidecar_path("m").to_str(), Some("m.session"));
/// ```
#[must_use]
pub fn sidecar_path(prefix: impl AsRef<Path>) -> PathBuf {
    with_suffix(prefix.as_ref(), ".session")
}

/// Returns the path of the meta graph of a checkpoint. A shard suffix such as `-5-of-7` is removed first, as
/// in TensorFlow (S-314).
///
/// ```
/// assert_eq!(checkpoint::meta_graph_path("m-5", "meta").to_str(), Some("m-5.meta"));
/// ```
#[must_use]
pub fn meta_graph_path(prefix: impl AsRef<Path>, suffix: &str) -> PathBuf {
    let prefix = prefix.as_ref();
    let text = prefix.to_string_lossy();
    // The original path where nothing is removed: the text is lossy for a path that is not UTF-8.
    let stem = without_shard_suffix(&text).map_or_else(|| prefix.to_path_buf(), PathBuf::from);
    with_suffix(&stem, &format!(".{suffix}"))
}

/// `m` from `m-5-of-7` or `m-?????-of-00007`.
fn without_shard_suffix(text: &str) -> Option<&str> {
    let (rest, count) = text.rsplit_once("-of-")?;
    let (stem, shard) = rest.rsplit_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_shard = is_number(shard) || (!shard.is_empty() && shard.bytes().all(|byte| byte == b'?'));
    (is_shard && is_number(count)).then_some(stem)
}

/// Returns the folder that holds a checkpoint's files.
pub(crate) fn directory(prefix: &Path) -> &Path {
    prefix.parent().unwrap_or(Path::new(""))
}

/// Returns the last component of a prefix, by which a checkpoint is known within its folder.
///
/// # Errors
/// [`Error::Invalid`] for a prefix that names no file: that ends in a separator, a dot, or `..`; and for
/// one that is not UTF-8, since it goes into a text file.
pub(crate) fn name(prefix: &Path) -> Result<&str> {
    let text =
        prefix.to_str().ok_or_else(|| Error::Invalid(format!("path {} is not UTF-8", prefix.display())))?;
    let last = text.rsplit(std::path::is_separator).next().unwrap_or(text);
    if last.is_empty() || last == "." || last == ".." {
        return Err(Error::Invalid(format!(
            "path {text:?} names no checkpoint: pass the folder, followed by the beginning of the files' names, \
             such as {:?}",
            Path::new(text).join("model.ckpt").display().to_string()
        )));
    }
    Ok(last)
}

/// Returns the last component of a path that any system may have written.
pub(crate) fn last_component(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Returns true if two prefixes are of one and the same checkpoint, however their folder is spelled.
#[must_use]
pub fn same_checkpoint(storage: &dyn Storage, a: &Path, b: &Path) -> bool {
    if a == b {
        return true;
    }
    let folder = |prefix: &Path| storage.canonical(directory(prefix)).ok();
    a.file_name() == b.file_name() && folder(a).is_some_and(|folder_of_a| Some(folder_of_a) == folder(b))
}

/// The role of a file, determined by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Index,
    Data { shard: u32, num_shards: u32 },
    Sidecar,
    Meta,
}

/// Splits a file name into the prefix's last component and the part.
pub(crate) fn parse(name: &str) -> Option<(&str, Part)> {
    if let Some(stem) = name.strip_suffix(".index") {
        return Some((stem, Part::Index));
    }
    if let Some(stem) = name.strip_suffix(".meta") {
        return Some((stem, Part::Meta));
    }
    if let Some(stem) = name.strip_suffix(".session").or_else(|| name.strip_suffix(SIDECAR_ALTERNATE)) {
        return Some((stem, Part::Sidecar));
    }
    let (stem, numbers) = name.rsplit_once(".data-")?;
    let (shard, num_shards) = numbers.split_once("-of-")?;
    let number = |text: &str| -> Option<u32> {
        // Five digits at least, as TensorFlow pads them; a count above 99,999 has more.
        (text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    Some((stem, Part::Data { shard: number(shard)?, num_shards: number(num_shards)? }))
}

/// The second name for a sidecar, see `sidecar`.
pub(crate) const SIDECAR_ALTERNATE: &str = ".session-2";

/// Returns every file of a folder whose name is text; other names are not ours. A folder that is not there
/// has none.
pub(crate) fn file_names(storage: &dyn Storage, directory: &Path) -> io::Result<Vec<String>> {
    match storage.list(directory) {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Returns the files that belong to a prefix, by part.
pub(crate) fn files_of(storage: &dyn Storage, prefix: &Path) -> io::Result<Vec<(PathBuf, Part)>> {
    let directory = directory(prefix);
    let Some(stem) = prefix.file_name().and_then(OsStr::to_str) else { return Ok(Vec::new()) };
    let names = file_names(storage, directory)?;
    let ours = names.iter().filter_map(|name| match parse(name) {
        Some((found, part)) if found == stem => Some((directory.join(name), part)),
        _ => None,
    });
    Ok(ours.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_reveal_the_part() {
        assert_eq!(parse("m.ckpt-5.index"), Some(("m.ckpt-5", Part::Index)));
        assert_eq!(
            parse("m.ckpt-5.data-00000-of-00002"),
            Some(("m.ckpt-5", Part::Data { shard: 0, num_shards: 2 }))
        );
        assert_eq!(parse("m.session"), Some(("m", Part::Sidecar)));
        assert_eq!(parse("m.data-0-of-1"), None);
        assert_eq!(parse("checkpoint"), None);
    }

    #[test]
    fn prefixes_that_name_no_checkpoint_are_refused() {
        for (path, found) in [("a/m", Some("m")), ("m.ckpt-5", Some("m.ckpt-5")), ("a\\b", Some("a\\b"))] {
            assert_eq!(name(Path::new(path)).ok(), found.filter(|_| cfg!(unix)), "{path}");
        }
        for path in ["", "/", "a/", "a//", "a/.", "a/..", ".", ".."] {
            assert!(name(Path::new(path)).unwrap_err().to_string().contains("names no checkpoint"), "{path}");
        }
    }

    #[test]
    fn last_components_of_all_systems() {
        for path in ["m-5", "/home/a/m-5", "run/m-5", r"C:\Users\me\m-5", r"..\m-5"] {
            assert_eq!(last_component(path), "m-5", "{path}");
        }
    }

    #[test]
    fn s_314_the_meta_file_drops_a_shard_suffix() {
        assert_eq!(meta_graph_path("m-5-of-7", "meta"), Path::new("m.meta"));
        assert_eq!(meta_graph_path("d/m-?????-of-00002", "meta"), Path::new("d/m.meta"));
        assert_eq!(meta_graph_path("m-5", "meta"), Path::new("m-5.meta"));
    }
}
