//! Large pieces of memory in use, and the part of them that the system does not count yet.
//!
//! A system counts memory when it is touched for the first time. Until then it reports too much available memory: two
//! pieces that each just fit would both be granted, and the system would kill the process when both are touched. Granted,
//! untouched bytes are therefore subtracted from the available memory that the system reports.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pieces of at least this size are counted. Smaller ones fit into the share that is kept for everything else.
pub(super) const LARGE: usize = 16 << 20;

/// Guards the list of large pieces. Nothing but the system is called under it.
static PIECES: Mutex<Pieces> = Mutex::new(Pieces { bytes: 0, fresh: Vec::new() });

/// The large pieces of the process.
pub(crate) struct Pieces {
    /// The size of all pieces in bytes.
    bytes: usize,
    /// The start and length of the pieces that may have untouched pages.
    fresh: Vec<(usize, usize)>,
}

/// Locks the large pieces of the process.
pub(crate) fn pieces() -> MutexGuard<'static, Pieces> {
    // The list is whole at every point where a panic could happen.
    PIECES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pieces {
    pub(super) fn add(&mut self, start: NonNull<u8>, len: usize) {
        self.bytes += len;
        self.fresh.push((start.as_ptr() as usize, len));
    }

    pub(super) fn remove(&mut self, start: NonNull<u8>, len: usize) {
        self.bytes -= len;
        // By address alone: pieces in use do not overlap, so no two begin at the same place.
        self.fresh.retain(|&(fresh, _)| fresh != start.as_ptr() as usize);
    }

    /// Returns the size of all pieces in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of granted, untouched bytes. A piece without untouched pages is not examined again, because the
    /// system has counted all of it, even what it moves to its swap space later.
    pub(crate) fn untouched(&mut self) -> usize {
        let mut total = 0;
        self.fresh.retain(|&(start, len)| {
            let untouched = untouched(start, len);
            total += untouched;
            untouched > 0
        });
        total
    }
}

/// Returns the size of the untouched pages of a piece, 0 if the system does not report it.
#[cfg(target_os = "linux")]
fn untouched(start: usize, len: usize) -> usize {
    /// The number of pages in one request.
    const PAGES: usize = 16 << 10;
    // SAFETY: only queries a number.
    let page = match usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) {
        Ok(page) if page > 0 => page,
        _ => return 0,
    };
    let mut resident = [0u8; PAGES];
    let (mut place, end) = (start, start + len);
    let mut untouched = 0;
    while place < end {
        // In parts, so that the answers fit on the stack: a piece may have millions of pages, and this runs
        // when memory is short.
        let part = (end - place).min(PAGES * page);
        // SAFETY: the piece is a mapping, which begins at a page, until it is removed under the lock that is held; there is
        // room for a byte for each of its pages. Its content is neither read nor written.
        let failed = unsafe { libc::mincore(place as *mut libc::c_void, part, resident.as_mut_ptr()) } != 0;
        if failed {
            return 0;
        }
        untouched += resident[..part.div_ceil(page)].iter().filter(|&&flags| flags & 1 == 0).count() * page;
        place += part;
    }
    untouched
}

#[cfg(not(target_os = "linux"))]
fn untouched(_start: usize, _len: usize) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;

    #[test]
    #[cfg(target_os = "linux")]
    fn reserved_memory_counts_until_it_is_touched() {
        // Other tests of the process may have pieces of their own.
        let of = |arena: &Arena| untouched(arena.start().as_ptr() as usize, arena.len());
        let mut arena = Arena::zeroed(LARGE).unwrap();
        assert_eq!(of(&arena), LARGE);
        assert!(pieces().untouched() >= LARGE && pieces().bytes() >= LARGE);
        arena.bytes_mut()[..LARGE / 2].fill(1);
        assert_eq!(of(&arena), LARGE / 2);
        arena.bytes_mut().fill(1);
        assert_eq!(of(&arena), 0);
        let start = arena.start().as_ptr() as usize;
        pieces().untouched();
        assert!(pieces().fresh.iter().all(|&(fresh, _)| fresh != start));
    }
}
