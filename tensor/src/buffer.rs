//! The memory behind plain tensors, and the pool that reuses it.
//!
//! This module and `arena` are the only ones in the crate with unsafe code. The invariant: a `Buffer` owns
//! `len` initialized bytes at `start`, or at most `INLINE` bytes within itself, for as long as it exists. They
//! are written only through `&mut Buffer`, which `Arc::get_mut` grants to a sole owner. Memory that must not
//! be written is marked as such by its owner.
#![allow(unsafe_code)]

use crate::arena::{ALIGN, Arena, allocate, release};
use crate::{Element, TensorError};
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Pool blocks of at least this size are parts of arenas.
const PART: usize = 64 << 10;
/// The size of those arenas. Only the touched part of an arena occupies memory. Larger blocks get an arena of
/// their own.
const ARENA: usize = 32 << 20;

/// The number of bytes that fit in the buffer itself: as many as need no more room than the other owners.
const INLINE: usize = 32;

/// Initialized, aligned bytes that one or more tensors share.
pub(crate) struct Buffer {
    /// Dangling if the bytes are stored in the owner.
    start: NonNull<u8>,
    len: usize,
    owner: Owner,
}

enum Owner {
    /// The bytes themselves, so that a scalar is a single allocation that needs no synchronization between
    /// threads.
    Inline([u64; INLINE / 8]),
    /// A block that returns to the pool it came from, if that pool still exists.
    Block { block: Block, pool: Weak<Shelves> },
    /// A part of an arena that no other buffer uses.
    Part(#[allow(dead_code)] Arc<Arena>),
    /// The allocation of a `Vec<T>`, with its capacity and the function that frees it.
    Vec { capacity: usize, free: unsafe fn(NonNull<u8>, usize) },
    /// Bytes that another value owns, such as a mapped file. They are never written.
    Foreign(#[allow(dead_code)] Box<dyn Send + Sync>),
}

// SAFETY: a buffer owns its bytes (or a `Send + Sync` owner of them) and shares them read-only.
unsafe impl Send for Buffer {}
// SAFETY: as above; writes require `&mut Buffer`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Returns zeroed bytes stored in the buffer itself, if they fit.
    #[inline]
    fn inline(len: usize) -> Option<Buffer> {
        let owner = Owner::Inline([0; INLINE / 8]);
        (len <= INLINE).then_some(Buffer { start: NonNull::dangling(), len, owner })
    }

    /// Allocates zeroed bytes.
    pub(crate) fn zeroed(len: usize) -> Result<Buffer, TensorError> {
        match Buffer::inline(len) {
            Some(buffer) => Ok(buffer),
            None => Ok(Buffer::part(&Arc::new(Arena::zeroed(len)?), 0..len)),
        }
    }

    /// Stores a single element.
    #[inline]
    pub(crate) fn of<T: Element>(value: T) -> Buffer {
        const { assert!(size_of::<T>() <= INLINE, "an element lies in the buffer itself") }
        let owner = Owner::Inline([0; INLINE / 8]);
        let mut buffer = Buffer { start: NonNull::dangling(), len: size_of::<T>(), owner };
        if let Some(bytes) = buffer.bytes_mut() {
            elements_mut(bytes)[0] = value;
        }
        buffer
    }

    /// Wraps a part of an arena. The caller ensures that no other buffer overlaps it and that it lies within
    /// the arena.
    pub(crate) fn part(arena: &Arc<Arena>, range: Range<usize>) -> Buffer {
        assert!(range.start <= range.end && range.end <= arena.len(), "a part lies inside its arena");
        // SAFETY: within the arena, as just checked.
        let start = unsafe { arena.start().add(range.start) };
        Buffer { start, len: range.len(), owner: Owner::Part(arena.clone()) }
    }

    /// Takes over the elements of a vector without copying them.
    pub(crate) fn from_vec<T: Element>(vec: Vec<T>) -> Buffer {
        let mut vec = std::mem::ManuallyDrop::new(vec);
        Buffer {
            // The pointer of a `Vec` is never null, even if it is empty.
            start: NonNull::new(vec.as_mut_ptr().cast()).unwrap_or(NonNull::dangling()),
            len: size_of::<T>() * vec.len(),
            owner: Owner::Vec { capacity: vec.capacity(), free: free_vec::<T> },
        }
    }

    /// Wraps bytes that another value owns and keeps unchanged and in place while it exists.
    pub(crate) fn foreign<O: AsRef<[u8]> + Send + Sync + 'static>(owner: O) -> Buffer {
        // Boxed first: the bytes of an owner that stores them inline must not move afterward.
        let owner = Box::new(owner);
        let bytes: &[u8] = (*owner).as_ref();
        let (start, len) = (NonNull::from(bytes).cast(), bytes.len());
        Buffer { start, len, owner: Owner::Foreign(owner) }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let start = match &self.owner {
            Owner::Inline(words) => words.as_ptr().cast(),
            _ => self.start.as_ptr().cast_const(),
        };
        // SAFETY: `len` initialized bytes at `start`, or in the words, by the invariant of the module.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }

    /// Returns the bytes for writing, or `None` if they must not be written.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let start = match &mut self.owner {
            Owner::Foreign(_) => return None,
            Owner::Inline(words) => words.as_mut_ptr().cast(),
            _ => self.start.as_ptr(),
        };
        // SAFETY: as in `bytes`; `&mut self` excludes every other access.
        Some(unsafe { std::slice::from_raw_parts_mut(start, self.len) })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        match &mut self.owner {
            Owner::Block { block, pool } => {
                if let Some(shelves) = pool.upgrade() {
                    shelves.put(block.take());
                }
            }
            // SAFETY: pointer and capacity are those of the `Vec<T>` that `free` was made for.
            Owner::Vec { capacity, free } => unsafe { free(self.start, *capacity) },
            Owner::Inline(_) | Owner::Part(_) | Owner::Foreign(_) => {}
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Reinterprets bytes as elements.
///
/// The caller guarantees that the dtype of the tensor is that of `T` (so bools are 0 or 1) and that the bytes
/// are aligned for it. Both are checked when a tensor is created.
#[inline]
pub(crate) fn elements<T: Element>(bytes: &[u8]) -> &[T] {
    if bytes.is_empty() {
        return &[]; // an empty slice may have any address
    }
    debug_assert_eq!(bytes.as_ptr() as usize % align_of::<T>(), 0);
    // SAFETY: the caller guarantees the alignment; every bit pattern is a valid `Element` except for bools,
    // whose bytes are checked where raw bytes come in; the length is rounded down.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// Reinterprets bytes as elements for writing. See [`elements`].
#[inline]
pub(crate) fn elements_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() {
        return &mut [];
    }
    debug_assert_eq!(bytes.as_ptr() as usize % align_of::<T>(), 0);
    // SAFETY: as in `elements`; exclusive through `&mut`.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// # Safety
/// `start` and `capacity` are those of a leaked `Vec<T>`.
unsafe fn free_vec<T: Element>(start: NonNull<u8>, capacity: usize) {
    // SAFETY: by the contract. Elements are `Copy`, so none needs dropping: length 0.
    drop(unsafe { Vec::<T>::from_raw_parts(start.as_ptr().cast(), 0, capacity) });
}

/// A pool that reuses the memory of dropped tensors for new ones. A training loop in its steady state then
/// allocates nothing and causes no page faults. Each user, such as a session, has its own pool.
///
/// Clones are cheap and share the memory. Tensors may outlive the pool; their memory is then freed.
///
/// ```
/// use tensor::{BufferPool, Tensor};
/// let pool = BufferPool::new();
/// let tensor = Tensor::from_pool::<f32>(&pool, [1000])?;
/// drop(tensor);
/// assert_eq!(pool.unused_bytes(), 4096); // kept for the next tensor of a similar size
/// # Ok::<(), tensor::TensorError>(())
/// ```
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Shelves>);

/// Memory of one size class, in use or idle. Dropping it frees the memory, or for a part of an arena, with
/// the arena's last part.
struct Block {
    start: NonNull<u8>,
    /// 0 for a block that was moved out.
    capacity: usize,
    arena: Option<Arc<Arena>>,
}

// SAFETY: a block is owned memory that is not bound to a thread.
unsafe impl Send for Block {}

impl Block {
    fn alone(capacity: usize) -> Result<Block, TensorError> {
        Ok(Block { start: allocate(capacity)?, capacity, arena: None })
    }

    /// Moves the block out and leaves an empty one behind.
    fn take(&mut self) -> Block {
        std::mem::replace(self, Block { start: NonNull::dangling(), capacity: 0, arena: None })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.arena.is_none() {
            release(self.start, self.capacity);
        }
    }
}

/// Idle blocks by size class. Each lock guards the list of one class, and nothing is called under it except
/// the methods of the list.
struct Shelves {
    classes: [Mutex<Vec<Block>>; CLASSES],
    /// The arena that currently supplies blocks, and the number of its bytes in use. The lock guards both.
    current: Mutex<Option<(Arc<Arena>, usize)>>,
    /// The size of all blocks in bytes, in use or idle. The number stands alone, so the ordering is relaxed.
    held: AtomicUsize,
    /// The maximum of `held`.
    limit: usize,
}

/// Four classes for each power of two from 64 bytes up, so at most a quarter of a block is unused.
const CLASSES: usize = 4 * 42;

/// Returns the class of a length and the capacity of its blocks. Lengths beyond the last class exceed the
/// address space.
fn class(len: usize) -> (usize, usize) {
    let len = len.max(ALIGN);
    let power = len.ilog2();
    let step = 1usize << (power - 2);
    let quarter = (len - (1 << power)).div_ceil(step);
    let capacity = (1usize << power).saturating_add(quarter * step);
    ((power as usize - 6) * 4 + quarter, capacity)
}

impl Default for Shelves {
    fn default() -> Self {
        Shelves::with_limit(usize::MAX)
    }
}

impl Shelves {
    fn with_limit(limit: usize) -> Shelves {
        let classes = std::array::from_fn(|_| Mutex::default());
        Shelves { classes, current: Mutex::default(), held: AtomicUsize::new(0), limit }
    }

    fn list(&self, class: usize) -> std::sync::MutexGuard<'_, Vec<Block>> {
        // The list is consistent at every point where a panic could occur.
        self.classes[class].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, len: usize) -> Result<Block, TensorError> {
        let (class, capacity) = class(len);
        if class >= CLASSES {
            // No system has this much memory; the allocator reports the failure.
            return Block::alone(len);
        }
        // The last one that was returned is the most likely to be in the cache still. The lock is released
        // before memory is made.
        let reused = self.list(class).pop();
        if let Some(block) = reused {
            return Ok(block);
        }
        self.make(capacity).or_else(|error| {
            // Freeing idle memory of other sizes may make room.
            if self.unused_bytes() == 0 {
                return Err(error);
            }
            self.clear();
            self.make(capacity)
        })
    }

    fn make(&self, capacity: usize) -> Result<Block, TensorError> {
        let more = |held: usize| held.checked_add(capacity).filter(|&held| held <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map_err(|held| {
            TensorError::out_of_limit(capacity, self.limit.saturating_sub(held), self.limit)
        })?;
        // Counted before it exists, so that threads which allocate at the same time cannot exceed the limit
        // together.
        self.allocate(capacity).inspect_err(|_| self.forget(capacity))
    }

    /// Stops counting the bytes of a block.
    fn forget(&self, capacity: usize) {
        self.held.fetch_sub(capacity, Ordering::Relaxed);
    }

    fn allocate(&self, capacity: usize) -> Result<Block, TensorError> {
        // Smaller blocks would keep a whole arena alive for little, and larger ones would waste up to their
        // size at its end.
        if !(PART..=ARENA / 4).contains(&capacity) {
            return Block::alone(capacity);
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (arena, taken) = match current.take() {
            Some((arena, taken)) if taken + capacity <= arena.len() => (arena, taken),
            // The rest of the old arena is given up. It was never touched, so it takes address space and no
            // memory.
            _ => (Arc::new(Arena::zeroed(ARENA)?), 0),
        };
        // SAFETY: within the arena, as just checked.
        let start = unsafe { arena.start().add(taken) };
        *current = Some((arena.clone(), taken + capacity));
        Ok(Block { start, capacity, arena: Some(arena) })
    }

    fn unused_bytes(&self) -> usize {
        (0..CLASSES).map(|class| self.list(class).iter().map(|block| block.capacity).sum::<usize>()).sum()
    }

    fn put(&self, block: Block) {
        match class(block.capacity) {
            // A block of another size (beyond the last class, or moved out) would be found under a class that
            // promises more.
            (class, capacity) if capacity == block.capacity && class < CLASSES => {
                self.list(class).push(block);
            }
            _ => drop(block),
        }
    }

    fn clear(&self) {
        // Without this, the pool's own reference would keep the arena of the freed blocks alive.
        drop(self.current.lock().unwrap_or_else(PoisonError::into_inner).take());
        for class in 0..CLASSES {
            // Dropped after the lock: returning memory to the system takes long.
            let blocks = std::mem::take(&mut *self.list(class));
            self.forget(blocks.iter().map(|block| block.capacity).sum());
        }
    }
}

impl BufferPool {
    /// Creates an empty pool.
    #[must_use]
    pub fn new() -> BufferPool {
        BufferPool::default()
    }

    /// Makes an empty pool that never holds more than this many bytes, in tensors and idle. Tensors of up to 32 bytes do
    /// not count.
    ///
    /// ```
    /// use tensor::{BufferPool, Tensor};
    /// let pool = BufferPool::with_limit(8192);
    /// let tensor = Tensor::from_pool::<f32>(&pool, [1500])?;
    /// let error = Tensor::from_pool::<f32>(&pool, [1500]).unwrap_err();
    /// assert!(error.to_string().contains("of the limit of 8.0 KiB"), "{error}");
    /// drop(tensor);
    /// assert!(Tensor::from_pool::<f64>(&pool, [1000]).is_ok());
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    #[must_use]
    pub fn with_limit(bytes: usize) -> BufferPool {
        BufferPool(Arc::new(Shelves::with_limit(bytes)))
    }

    /// Returns memory of at least this length with arbitrary content.
    #[inline]
    pub(crate) fn buffer(&self, len: usize) -> Result<Buffer, TensorError> {
        match Buffer::inline(len) {
            Some(buffer) => Ok(buffer),
            None => self.block(len),
        }
    }

    fn block(&self, len: usize) -> Result<Buffer, TensorError> {
        let block = self.0.take(len)?;
        Ok(Buffer { start: block.start, len, owner: Owner::Block { block, pool: Arc::downgrade(&self.0) } })
    }

    /// Returns the number of bytes that the pool keeps and no tensor uses.
    #[must_use]
    pub fn unused_bytes(&self) -> usize {
        self.0.unused_bytes()
    }

    /// Returns the number of bytes that the pool holds, in tensors and idle.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Frees the memory that no tensor uses.
    ///
    /// ```
    /// use tensor::{BufferPool, Tensor};
    /// let pool = BufferPool::new();
    /// drop(Tensor::from_pool::<f32>(&pool, [1000])?);
    /// pool.trim();
    /// assert_eq!(pool.unused_bytes(), 0);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    pub fn trim(&self) {
        self.0.clear();
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").field("unused_bytes", &self.unused_bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_lengths_and_waste_little() {
        let mut last = (0, 0);
        for len in (0..10_000).chain((1..40).map(|p| (1usize << p) + 1)) {
            let (index, capacity) = class(len);
            assert!(capacity >= len.max(ALIGN));
            assert!(len <= 128 || capacity * 4 <= len * 5 + 4, "{len} in {capacity}");
            assert!(index < CLASSES);
            assert_eq!(class(capacity), (index, capacity), "a block returns to its own class");
            if len >= last.0 {
                assert!(index >= last.1);
            }
            last = (len, index);
        }
        assert!(class(usize::MAX).0 >= CLASSES - 5);
    }

    #[test]
    fn memory_comes_back_to_its_pool_and_outlives_it() {
        let pool = BufferPool::new();
        let buffer = pool.buffer(1000).unwrap();
        let start = buffer.start;
        drop(buffer);
        let again = pool.buffer(1010).unwrap();
        assert_eq!(again.start, start);
        drop(pool);
        assert_eq!(again.bytes().len(), 1010);
    }

    #[test]
    fn short_buffers_are_stored_inline() {
        let pool = BufferPool::new();
        for len in [0, 1, 8, INLINE, INLINE + 1] {
            let mut buffer = pool.buffer(len).unwrap();
            buffer.bytes_mut().unwrap().fill(7);
            let moved = Arc::new(buffer);
            assert_eq!(moved.bytes(), vec![7; len]);
            let inside = (moved.bytes().as_ptr() as usize).wrapping_sub(Arc::as_ptr(&moved) as usize);
            assert_eq!(inside < size_of::<Buffer>(), len <= INLINE);
            drop(moved);
            assert_eq!(pool.unused_bytes() > 0, len > INLINE);
        }
        assert_eq!(elements::<f64>(Buffer::of(1.5).bytes()), [1.5]);
        assert!(size_of::<Buffer>() <= 56, "an inline buffer is no larger than the others");
    }

    #[test]
    fn foreign_bytes_are_read_and_never_written() {
        let mut buffer = Buffer::foreign(*b"inline");
        assert_eq!(buffer.bytes(), b"inline");
        assert!(buffer.bytes_mut().is_none());
    }

    #[test]
    fn vectors_are_taken_without_a_copy() {
        let mut vec = Vec::with_capacity(10);
        vec.extend([1.0f32, 2.0]);
        let place = vec.as_ptr() as usize;
        let mut buffer = Buffer::from_vec(vec);
        assert_eq!(buffer.bytes().as_ptr() as usize, place);
        elements_mut::<f32>(buffer.bytes_mut().unwrap())[1] = 5.0;
        assert_eq!(elements::<f32>(buffer.bytes()), [1.0, 5.0]);
        assert!(Buffer::from_vec(Vec::<f64>::new()).bytes().is_empty());
    }

    #[test]
    fn blocks_of_an_arena_lie_side_by_side_and_outlive_the_pool() {
        let pool = BufferPool::new();
        let [mut first, mut second] = [1, 2].map(|_| pool.buffer(PART).unwrap());
        assert_eq!(second.start.as_ptr() as usize - first.start.as_ptr() as usize, PART);
        first.bytes_mut().unwrap().fill(1);
        second.bytes_mut().unwrap().fill(2);
        let place = first.start;
        drop(first);
        assert_eq!(pool.unused_bytes(), PART);
        assert_eq!(pool.buffer(PART).unwrap().start, place);
        pool.trim();
        drop(pool);
        assert!(second.bytes().iter().all(|&byte| byte == 2));
    }

    #[test]
    fn blocks_larger_than_an_arena_have_separate_allocations() {
        let pool = BufferPool::new();
        let buffer = pool.buffer(ARENA + 1).unwrap();
        assert_eq!(buffer.bytes().len(), ARENA + 1);
        drop(buffer);
        assert!(pool.unused_bytes() > ARENA);
    }
}
