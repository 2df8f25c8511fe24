//! Memory maps of files.
//!
//! The only module of this crate with unsafe code.
#![allow(unsafe_code)]

use memmap2::Mmap;
use std::fs::File;
use std::io;
use tensor::Bytes;

/// Returns a whole file as memory.
///
/// The file must not be changed while the map exists. Nothing in this crate changes a finished checkpoint
/// file in place: files are replaced by renaming and removed by unlinking, and both leave the map its
/// old content. A foreign program that truncates a mapped file ends this one with SIGBUS, as it does
/// with every program that maps files; reading with copies is the default for that reason.
pub(super) fn file(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is only read. That nothing else writes to the file is the documented contract of
    // mapped reading, as it is for every user of memory maps.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
