//! Large pieces of memory that are in use, and how much of them the system does not count yet.
//!
//! A system counts memory when it is touched first. Between the grant of a piece and that moment it says that more is left
//! than there will be, so that two pieces that each just fit would both be granted, and the process be ended when both are
//! touched. So what is promised and not yet touched is subtracted from what the system says.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pieces from this size on are counted. Smaller ones, untouched, fit what is left to everything that is not counted.
pub(super) const LARGE: usize = 16 << 20;

/// Guards the list of large pieces. Nothing but the system is called under it.
static PIECES: Mutex<Pieces> = Mutex::new(Pieces { bytes: 0, fresh: Vec::new() });

/// The large pieces of the process.
pub(crate) struct Pieces {
    /// The bytes of all of them.
    bytes: usize,
    /// Start and length of those that may have untouched pages.
    fresh: Vec<(usize, usize)>,
}

/// The large pieces of the process, locked.
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
        self.fresh.retain(|&(fresh, _)| fresh != start.as_ptr() as usize);
    }

    /// The bytes of all pieces.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes that were granted and are still untouched. A piece that was touched all over is not looked at again: what
    /// the system moves to its swap space it has counted.
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

/// The bytes of untouched pages of a piece; 0 where the system does not say.
#[cfg(target_os = "linux")]
fn untouched(start: usize, len: usize) -> usize {
    /// Pages that are asked about at once.
    const PAGES: usize = 16 << 10;
    // SAFETY: asks for a number.
    let page = match usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) {
        Ok(page) if page > 0 => page,
        _ => return 0,
    };
    let mut resident = [0u8; PAGES];
    let (mut place, end) = (start, start + len);
    let mut untouched = 0;
    while place < end {
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
    fn what_is_promised_counts_until_it_is_touched() {
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
