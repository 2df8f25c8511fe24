//! The session state: what a training run needs, besides the tensors, to resume exactly.
//!
//! Random state, the position in the input, what hooks remember: all of it lies in `<prefix>.session`,
//! written and replaced together with the checkpoint. Tensors do not go here.
//!
//! # On disk
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `MSESSION` |
//! | 8..12 | version of this layout, 1 |
//! | 12..16 | masked CRC-32C of bytes 16 to the end |
//! | 16..24 | length of the payload |
//! | 24..28 | CRC-32C of the index file of the checkpoint to which it belongs |
//! | 28..36 | length of that index file |
//! | 36..44 | generation: counts up each time the same prefix is saved again |
//! | 44.. | payload |
//!
//! All numbers are little-endian. When a prefix is saved again, the new state goes to
//! `<prefix>.session-2` and the old file is removed after the new index is in place (next time the other
//! way round). A reader takes the file that belongs to the index it sees, so tensors and state are
//! always of the same save.

use crate::bundle::{Identity, ReadOptions, index_identity};
use crate::prefix::{SIDECAR_ALTERNATE, sidecar_path, with_suffix};
use crate::storage::{LocalStorage, Storage};
use crate::{CheckpointReader, Error, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::Bytes;
use tensor::text::escaped;
use wire::crc;

#[cfg(feature = "sidecar")]
mod codec;

#[cfg(feature = "sidecar")]
pub use codec::{decode, encode, load};

const MAGIC: &[u8; 8] = b"MSESSION";
const VERSION: u32 = 1;
const HEADER: usize = 44;

/// The location of the next session state of a prefix.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) generation: u64,
    /// The files that may exist for this prefix.
    candidates: [PathBuf; 2],
}

fn candidates(prefix: &Path) -> [PathBuf; 2] {
    [sidecar_path(prefix), with_suffix(prefix, SIDECAR_ALTERNATE)]
}

/// Chooses a file that the current checkpoint does not need, and that does not belong to another program.
///
/// # Errors
/// [`Error::Invalid`] when both names are taken by other programs' files; [`Error::Io`].
pub(crate) fn place(storage: &dyn Storage, prefix: &Path) -> Result<Place> {
    let candidates = candidates(prefix);
    let mut found = [None, None];
    let mut foreign = [false, false];
    for (i, path) in candidates.iter().enumerate() {
        if let Some(file) = read(storage, path)? {
            foreign[i] = !is_ours(&file);
            found[i] = open(path, &file).ok();
        }
    }
    let newest = found.iter().flatten().map(|opened: &Opened| opened.generation).max();
    let chosen = match (&found, foreign) {
        (_, [true, true]) => {
            let [first, second] = &candidates;
            return Err(Error::Invalid(format!(
                "there is no name for the session state: {} and {} are files of another program",
                first.display(),
                second.display()
            )));
        }
        (_, [true, false]) => 1,
        (_, [false, true]) => 0,
        ([None, _], _) => 0,
        ([_, None], _) => 1,
        // Both are there after an interrupted save. The one in use is the one that belongs to the
        // index, and of two such the one that readers take: the younger.
        ([Some(first), Some(second)], _) => {
            let index = index_identity(storage, prefix).ok();
            let rank = |opened: &Opened| (Some(opened.index) == index, opened.generation);
            usize::from(rank(first) > rank(second))
        }
    };
    Ok(Place {
        path: candidates[chosen].clone(),
        generation: newest.map_or(0, |newest| newest.saturating_add(1)),
        candidates,
    })
}

/// Returns the session states that belong to one save of a prefix, whether or not that save is the current one.
pub(crate) fn of_save(storage: &dyn Storage, prefix: &Path, save: Identity) -> Vec<PathBuf> {
    let belongs = |path: &PathBuf| {
        let file = read(storage, path).ok().flatten();
        file.and_then(|file| open(path, &file).ok()).is_some_and(|opened| opened.index == save)
    };
    candidates(prefix).into_iter().filter(belongs).collect()
}

/// Returns true if a file was written by this crate as a session state, be it damaged since.
fn is_ours(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// Works as [`is_ours`], for a file by its path.
pub(crate) fn is_session_state(storage: &dyn Storage, path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    storage.open(path).and_then(|file| file.read_exact_at(&mut start, 0)).is_ok() && is_ours(&start)
}

/// After a save, removes states of earlier saves of the prefix. A file that cannot be removed is logged: it
/// belongs to no index and is never read.
pub(crate) fn remove_superseded(storage: &dyn Storage, place: &Place, written: bool) {
    for path in &place.candidates {
        if !is_session_state(storage, path) || (written && *path == place.path) {
            continue;
        }
        match storage.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot remove {}: {error}", escaped(path.display()));
            }
            _ => {}
        }
    }
}

/// Returns the whole file for a payload.
pub(crate) fn envelope(payload: &[u8], (index_crc, index_len): Identity, generation: u64) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + payload.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    // The place of the checksum, which covers everything after it and is known at the end.
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    file.extend_from_slice(&index_crc.to_le_bytes());
    file.extend_from_slice(&index_len.to_le_bytes());
    file.extend_from_slice(&generation.to_le_bytes());
    file.extend_from_slice(payload);
    let checksum = crc::masked(&file[16..]);
    file[12..16].copy_from_slice(&checksum.to_le_bytes());
    file
}

/// The parts of an intact file.
struct Opened {
    index: Identity,
    generation: u64,
    payload: Bytes,
}

fn number<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at + N)?.try_into().ok()
}

fn open(path: &Path, file: &Bytes) -> Result<Opened> {
    let damaged = |what: &str| Error::corrupt(path, what);
    if !is_ours(file) {
        return Err(damaged("it is not a session state"));
    }
    // Before the checksum: a later version may compute that differently, and is not damage.
    let version = number(file, 8).map(u32::from_le_bytes).ok_or_else(|| damaged("it is cut short"))?;
    if version != VERSION {
        return Err(Error::Unsupported {
            path: path.into(),
            what: format!("its layout has version {version}"),
        });
    }
    let fields = || {
        let checksum = u32::from_le_bytes(number(file, 12)?);
        let len = u64::from_le_bytes(number(file, 16)?);
        let index = (u32::from_le_bytes(number(file, 24)?), u64::from_le_bytes(number(file, 28)?));
        let generation = u64::from_le_bytes(number(file, 36)?);
        Some((checksum, len, index, generation))
    };
    let (checksum, len, index, generation) = fields().ok_or_else(|| damaged("it is cut short"))?;
    if len != (file.len() - HEADER) as u64 {
        return Err(damaged("its length is wrong"));
    }
    if crc::masked(&file[16..]) != checksum {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(Opened { index, generation, payload: file.slice(HEADER..) })
}

fn read(storage: &dyn Storage, path: &Path) -> Result<Option<Bytes>> {
    let file = match storage.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let len = file.len().map_err(Error::io("open", path))?;
    let len = usize::try_from(len).map_err(|_| Error::corrupt(path, "it is too large for memory"))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    Ok(Some(bytes.into()))
}

/// Returns the session state of a checkpoint; `None` when it has none. A state that belongs to another save of
/// the prefix is not this checkpoint's.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// assert_eq!(checkpoint::sidecar::read_session_state(&prefix)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Unsupported`] when the state is there but cannot be used;
/// [`Error::Io`]; those of [`CheckpointReader::open`].
pub fn read_session_state(prefix: impl AsRef<Path>) -> Result<Option<Bytes>> {
    read_session_state_with(&LocalStorage::shared(), prefix)
}

/// Works as [`read_session_state`], through another storage.
///
/// # Errors
/// As [`read_session_state`].
pub fn read_session_state_with(
    storage: &Arc<dyn Storage>,
    prefix: impl AsRef<Path>,
) -> Result<Option<Bytes>> {
    let options = ReadOptions::new().storage(Arc::clone(storage));
    of_reader(storage.as_ref(), &CheckpointReader::open_prefix(prefix.as_ref(), options)?)
}

/// Returns the session state that belongs to an open checkpoint. Only bundles have one.
pub(crate) fn of_reader(storage: &dyn Storage, reader: &CheckpointReader) -> Result<Option<Bytes>> {
    let CheckpointReader::Bundle(reader) = reader else { return Ok(None) };
    let mut damage = None;
    let mut found: Option<Opened> = None;
    for path in candidates(reader.prefix()) {
        let Some(file) = read(storage, &path)? else { continue };
        match open(&path, &file) {
            // Tensors of one save with the state of another would resume at a position that never existed.
            Ok(opened) if opened.index != reader.identity() => {
                log::warn!(
                    "{} belongs to another save of its checkpoint and is ignored",
                    escaped(path.display())
                );
            }
            Ok(opened) if found.as_ref().is_none_or(|found| found.generation < opened.generation) => {
                found = Some(opened);
            }
            Ok(_) => {}
            Err(error) => damage = Some(error),
        }
    }
    match (found, damage) {
        (Some(found), _) => Ok(Some(found.payload)),
        (None, Some(damage)) => Err(damage),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let file = Bytes::from(envelope(b"payload", (7, 8), 9));
        let opened = open(Path::new("m.session"), &file).unwrap();
        assert_eq!((opened.index, opened.generation, &*opened.payload), ((7, 8), 9, &b"payload"[..]));
        for i in 0..file.len() {
            assert!(open(Path::new("m.session"), &file.slice(..i)).is_err(), "cut to {i}");
            for bit in 0..8 {
                let mut damaged = file.to_vec();
                damaged[i] ^= 1 << bit;
                assert!(open(Path::new("m.session"), &damaged.into()).is_err(), "bit {bit} of {i}");
            }
        }
    }
}
