//! Large pieces of system memory that are divided into buffers.
//!
//! The first touch of a fresh page costs a page fault. With huge pages, that is one fault per 2 MiB instead
//! of 512, but only memory that is requested in large pieces gets them: hence arenas. Unlike zeroed and
//! aligned memory from the allocator, an arena is not touched before its first use.
#![allow(unsafe_code)] // memory from the system, as bytes

mod pieces;

use crate::{TensorError, memory};
pub(crate) use pieces::{Pieces, pieces};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// The alignment of memory that buffers allocate themselves: a cache line and the widest vector register.
pub(crate) const ALIGN: usize = 64;
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;
/// Requests of at least this size go directly to the operating system.
#[cfg(target_os = "linux")]
const LARGE: usize = 1 << 20;

/// A fixed-size piece of memory, initially zero, that is released when the arena is dropped.
#[derive(Debug)]
pub(crate) struct Arena {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory of an arena is not bound to a thread; the buffers in it decide who may access which
// part.
unsafe impl Send for Arena {}
// SAFETY: as above; the arena itself only hands out addresses.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn zeroed(len: usize) -> Result<Arena, TensorError> {
        Ok(Arena { start: allocate(len)?, len })
    }

    #[inline]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` initialized bytes; no part has been handed out as long as the owner can call this.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, exclusive through `&mut`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        release(self.start, self.len);
    }
}

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len, ALIGN).ok()
}

/// Allocates zeroed memory to be freed with [`release`]. A length of 0 returns an aligned pointer that is
/// never dereferenced.
pub(crate) fn allocate(len: usize) -> Result<NonNull<u8>, TensorError> {
    let missing = || TensorError::out_of_memory(len, None);
    if len < pieces::LARGE {
        memory::check(len)?;
        return get(len).ok_or_else(missing);
    }
    memory::check_piece(len)?;
    // Locked from the look at what is left until the piece counts, so that no other thread is given the same memory.
    let mut pieces = pieces();
    memory::check_left(len, &mut pieces)?;
    let start = get(len).ok_or_else(missing)?;
    pieces.add(start, len);
    Ok(start)
}

fn get(len: usize) -> Option<NonNull<u8>> {
    #[cfg(target_os = "linux")]
    if len >= LARGE {
        return map(len);
    }
    if len == 0 {
        // Dangling for a type of that alignment, because slices of any element are made from it: they must be
        // aligned even if empty.
        return Some(NonNull::<Aligned>::dangling().cast());
    }
    // SAFETY: the layout's size is not 0.
    NonNull::new(unsafe { alloc_zeroed(layout(len)?) })
}

#[repr(align(64))]
struct Aligned;

/// Frees memory that [`allocate`] returned for the same length.
pub(crate) fn release(start: NonNull<u8>, len: usize) {
    if len >= pieces::LARGE {
        // Before the system may give the address to others.
        pieces().remove(start, len);
    }
    #[cfg(target_os = "linux")]
    if len >= LARGE {
        // SAFETY: mapped by `map` with the same length, to which it was trimmed.
        unsafe { libc::munmap(start.as_ptr().cast(), len.next_multiple_of(PAGE)) };
        return;
    }
    if let Some(layout) = layout(len).filter(|layout| layout.size() > 0) {
        // SAFETY: came from `alloc_zeroed` with the same layout.
        unsafe { dealloc(start.as_ptr(), layout) }
    }
}

/// The largest regular page size of any Linux system, huge pages aside.
#[cfg(target_os = "linux")]
const PAGE: usize = 1 << 16;

/// Maps memory that starts at a huge-page boundary and advises the kernel to use huge pages.
#[cfg(target_os = "linux")]
fn map(len: usize) -> Option<NonNull<u8>> {
    let len = len.checked_next_multiple_of(PAGE)?;
    // The system aligns mappings to small pages only. With room for one huge page more, an aligned start is
    // inside for sure.
    let room = len.checked_add(HUGE_PAGE)?;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address that the system chooses does not affect existing memory.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), room, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return None;
    }
    let base = base.cast::<u8>();
    let before = base.align_offset(HUGE_PAGE);
    let start = base.wrapping_add(before);
    // SAFETY: both ranges are whole pages at the ends of the new mapping, which nothing else references yet,
    // and the advice does not change contents. If any of these calls fails, it only costs address space or
    // speed.
    unsafe {
        if before > 0 {
            libc::munmap(base.cast(), before);
        }
        libc::munmap(start.wrapping_add(len).cast(), HUGE_PAGE - before);
        libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE);
    }
    NonNull::new(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_memory_is_zero_and_begins_at_a_huge_page() {
        for len in [0, 1, 4096, (1 << 20) - 1, 1 << 20, (5 << 20) + 3] {
            let mut arena = Arena::zeroed(len).unwrap();
            assert_eq!(arena.start().as_ptr() as usize % ALIGN, 0);
            assert!(arena.bytes().iter().all(|&byte| byte == 0));
            arena.bytes_mut().fill(1);
            #[cfg(target_os = "linux")]
            assert!(len < LARGE || (arena.start().as_ptr() as usize).is_multiple_of(HUGE_PAGE));
        }
    }
}
