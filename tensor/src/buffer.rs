//! Memory behind plain tensors, and the pool that takes it back.
//!
//! The only module of this crate with unsafe code. What must hold: a `Buffer` owns `len` initialised
//! bytes at `start` for as long as it lives; they are written only through `&mut Buffer`, which
//! `Arc::get_mut` gives to a sole owner; memory that is not ours to write says so in its owner.
#![allow(unsafe_code)]

use crate::Element;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Alignment of memory that buffers allocate themselves: a cache line, and the widest vector register.
const ALIGN: usize = 64;
/// Blocks from this size on are aligned to, and asked to be made of, huge pages: a first touch is three
/// times as fast and kernels miss the translation cache less.
const HUGE: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// Initialised, aligned bytes that one or more tensors show.
pub(crate) struct Buffer {
    start: NonNull<u8>,
    len: usize,
    owner: Owner,
}

enum Owner {
    /// A block from the global allocator, which goes back to the pool that asked for it, if that still exists.
    Block { capacity: usize, pool: Option<Weak<Shelves>> },
    /// The allocation of a `Vec<T>`, with its capacity and the way to free it.
    Vec { capacity: usize, free: unsafe fn(NonNull<u8>, usize) },
    /// Bytes that somebody else holds, such as a mapped file. Never written.
    Foreign(#[allow(dead_code)] Box<dyn Send + Sync>),
}

// SAFETY: a buffer owns its bytes (or a `Send + Sync` owner of them), and shares them read-only.
unsafe impl Send for Buffer {}
// SAFETY: as above; writes need `&mut Buffer`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// New bytes, all zero.
    pub(crate) fn zeroed(len: usize) -> Buffer {
        Buffer { start: allocate(len), len, owner: Owner::Block { capacity: len, pool: None } }
    }

    /// The elements of a vector, without copying.
    pub(crate) fn from_vec<T: Element>(vec: Vec<T>) -> Buffer {
        let mut vec = std::mem::ManuallyDrop::new(vec);
        Buffer {
            // A `Vec`'s pointer is never null, also when it is empty.
            start: NonNull::new(vec.as_mut_ptr().cast()).unwrap_or(NonNull::dangling()),
            len: size_of::<T>() * vec.len(),
            owner: Owner::Vec { capacity: vec.capacity(), free: free_vec::<T> },
        }
    }

    /// Bytes that another value owns and keeps unchanged and in place while it lives.
    pub(crate) fn foreign<O: AsRef<[u8]> + Send + Sync + 'static>(owner: O) -> Buffer {
        // Boxed first: the bytes of an owner that holds them inline must not move any more.
        let owner = Box::new(owner);
        let bytes: &[u8] = (*owner).as_ref();
        let (start, len) = (NonNull::from(bytes).cast(), bytes.len());
        Buffer { start, len, owner: Owner::Foreign(owner) }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes at `start`, by the module's invariant.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes for writing; `None` if they are not ours to write.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match self.owner {
            Owner::Foreign(_) => None,
            // SAFETY: as in `bytes`; `&mut self` excludes every other access.
            _ => Some(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }),
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        match &self.owner {
            Owner::Block { capacity, pool } => {
                if let Some(shelves) = pool.as_ref().and_then(Weak::upgrade) {
                    shelves.put(Block { start: self.start, capacity: *capacity });
                } else {
                    release(self.start, *capacity);
                }
            }
            // SAFETY: pointer and capacity are those of the `Vec<T>` that `free` was made for.
            Owner::Vec { capacity, free } => unsafe { free(self.start, *capacity) },
            Owner::Foreign(_) => {}
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Shows the bytes as elements.
///
/// The caller guarantees that the tensor's dtype is `T`'s (so that bools are 0 or 1) and that the bytes
/// are aligned for it; both are checked when a tensor is made.
#[inline]
pub(crate) fn elements<T: Element>(bytes: &[u8]) -> &[T] {
    debug_assert_eq!(bytes.as_ptr() as usize % align_of::<T>(), 0);
    // SAFETY: aligned by the caller's promise; every byte pattern is a value of an `Element` but for
    // bools, whose bytes are checked where raw bytes come in; the length is rounded down.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// Shows the bytes as elements for writing. As [`elements`].
#[inline]
pub(crate) fn elements_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
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

fn layout(capacity: usize) -> Layout {
    let align = if capacity >= HUGE { HUGE_PAGE } else { ALIGN };
    Layout::from_size_align(capacity, align).expect("a slice is never longer than isize::MAX")
}

/// Zeroed memory. A length of 0 gives a pointer that is aligned and never followed.
fn allocate(capacity: usize) -> NonNull<u8> {
    let layout = layout(capacity);
    if capacity == 0 {
        return NonNull::<Aligned>::dangling().cast();
    }
    // SAFETY: the layout's size is not 0.
    let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
    advise(start, capacity);
    start
}

#[repr(align(64))]
struct Aligned;

fn release(start: NonNull<u8>, capacity: usize) {
    if capacity > 0 {
        // SAFETY: came from `allocate` with the same capacity, hence the same layout.
        unsafe { dealloc(start.as_ptr(), layout(capacity)) }
    }
}

#[cfg(target_os = "linux")]
fn advise(start: NonNull<u8>, capacity: usize) {
    if capacity >= HUGE {
        // SAFETY: the range is ours, and the advice changes no content. Failure costs only speed.
        unsafe { libc::madvise(start.as_ptr().cast(), capacity, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: NonNull<u8>, _: usize) {}

/// Memory for the tensors of one user, such as a session, that is handed out again when the last tensor
/// that shows it is dropped: a training loop in its stride allocates nothing and takes no page fault.
///
/// Cheap to clone; clones share the memory. Tensors may outlive the pool: their memory is then freed.
///
/// ```
/// use tensor::{BufferPool, Tensor};
/// let pool = BufferPool::new();
/// let tensor = Tensor::from_pool::<f32>(&pool, [1000]);
/// drop(tensor);
/// assert_eq!(pool.idle_bytes(), 4096); // kept for the next tensor of about this size
/// ```
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Shelves>);

/// A block that nobody uses.
struct Block {
    start: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a block is owned memory without an owner's thread.
unsafe impl Send for Block {}

/// Free blocks by size class. A lock guards one class's list only, and nothing is called under it but
/// the list's own methods.
struct Shelves {
    classes: [Mutex<Vec<Block>>; CLASSES],
}

/// Four classes to each power of two from 64 bytes on, so at most a quarter of a block is unused.
const CLASSES: usize = 4 * 42;

/// The class of a length and the capacity of its blocks. Lengths beyond the last class do not fit a
/// machine's address space.
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
        Shelves { classes: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Shelves {
    fn list(&self, class: usize) -> std::sync::MutexGuard<'_, Vec<Block>> {
        // A list is whole at every point where a panic could happen.
        self.classes[class].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, len: usize) -> Block {
        let (class, capacity) = class(len);
        if class >= CLASSES {
            // Nothing this large can be had; let the allocator say so.
            return Block { start: allocate(len), capacity: len };
        }
        let reused = self.list(class).pop();
        reused.unwrap_or_else(|| Block { start: allocate(capacity), capacity })
    }

    fn put(&self, block: Block) {
        match class(block.capacity) {
            (class, capacity) if capacity == block.capacity && class < CLASSES => {
                self.list(class).push(block);
            }
            _ => release(block.start, block.capacity),
        }
    }

    fn clear(&self) {
        for class in 0..CLASSES {
            for block in std::mem::take(&mut *self.list(class)) {
                release(block.start, block.capacity);
            }
        }
    }
}

impl Drop for Shelves {
    fn drop(&mut self) {
        self.clear();
    }
}

impl BufferPool {
    /// An empty pool.
    #[must_use]
    pub fn new() -> BufferPool {
        BufferPool::default()
    }

    /// Memory of at least this length; its content is whatever the last user left.
    pub(crate) fn buffer(&self, len: usize) -> Buffer {
        let block = self.0.take(len);
        let owner = Owner::Block { capacity: block.capacity, pool: Some(Arc::downgrade(&self.0)) };
        Buffer { start: block.start, len, owner }
    }

    /// Bytes that the pool keeps and no tensor uses.
    #[must_use]
    pub fn idle_bytes(&self) -> usize {
        (0..CLASSES).map(|class| self.0.list(class).iter().map(|block| block.capacity).sum::<usize>()).sum()
    }

    /// Frees the memory that no tensor uses.
    pub fn trim(&self) {
        self.0.clear();
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").field("idle_bytes", &self.idle_bytes()).finish()
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
        let buffer = pool.buffer(1000);
        let start = buffer.start;
        drop(buffer);
        let again = pool.buffer(1010);
        assert_eq!(again.start, start);
        drop(pool);
        assert_eq!(again.bytes().len(), 1010);
    }

    #[test]
    fn foreign_bytes_are_shown_and_never_written() {
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
    fn huge_blocks_start_at_huge_pages() {
        let buffer = Buffer::zeroed(HUGE + 5);
        assert_eq!(buffer.start.as_ptr() as usize % HUGE_PAGE, 0);
        assert!(buffer.bytes().iter().all(|&byte| byte == 0));
    }
}
