//! Fallible allocation for sizes that data or a file controls, so that excessive requests are errors.
//!
//! A standard collection aborts the process when the allocator fails, and a system that overcommits kills it
//! later, when the memory is touched. The functions of this module check first: small pieces are simply
//! allocated, and for large pieces, or many small ones, they look up how much memory the machine and the
//! control groups of the process have available.
//!
//! ```
//! use tensor::{TensorError, memory};
//! let zeros = memory::filled(0u8, 1000)?;
//! assert_eq!(zeros.len(), 1000);
//! let error = memory::reserve::<u64>(1 << 50).unwrap_err();
//! assert!(matches!(error, TensorError::OutOfMemory { .. }), "{error}");
//! # Ok::<(), TensorError>(())
//! ```

#[cfg(target_os = "linux")]
mod linux;

use crate::{TensorError, arena};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pieces below this size are not counted.
const SMALL: usize = 64 << 10;
/// The number of bytes that may be allocated between two lookups of the available memory.
const TRUSTED: usize = 64 << 20;
/// The largest piece if the system does not report its memory: 1 TiB, more than any supported machine has.
const MOST: usize = 1 << 40;

/// The number of bytes allocated since the last lookup. Only its approximate size matters, so the ordering is
/// relaxed.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// The largest piece that the process allocates. The number stands alone, so the ordering is relaxed.
static LARGEST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The number of bytes that the program assumes to be available. No other value depends on it, so the ordering is relaxed.
static ASSUMED: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Limits each single allocation in the whole process to this many bytes, regardless of the available memory.
/// Programs that run untrusted graphs on a shared machine use it. By default, only the machine limits
/// allocations.
///
/// ```
/// use tensor::memory;
/// memory::limit_pieces(1 << 30);
/// assert!(memory::check(2 << 30).is_err());
/// ```
pub fn limit_pieces(bytes: usize) {
    LARGEST.store(bytes, Ordering::Relaxed);
}

/// Limits the large pieces of memory of the process (of 16 MiB and more) to this many bytes together, instead of asking the
/// machine and its control groups what is available. Use it where the process cannot see the limits that apply to it.
///
/// ```
/// use tensor::{Slab, memory};
/// memory::assume_available(100 << 20);
/// let first = Slab::zeroed(60 << 20)?;
/// assert!(Slab::zeroed(60 << 20).is_err(), "40 MiB are left, touched or not");
/// drop(first);
/// assert!(Slab::zeroed(60 << 20).is_ok());
/// # Ok::<(), tensor::TensorError>(())
/// ```
pub fn assume_available(bytes: usize) {
    ASSUMED.store(bytes, Ordering::Relaxed);
}

/// Allocates an empty vector with room for exactly this many elements.
///
/// ```
/// let values: Vec<u8> = tensor::memory::reserve(100)?;
/// assert!(values.is_empty() && values.capacity() >= 100);
/// # Ok::<(), tensor::TensorError>(())
/// ```
///
/// # Errors
/// [`TensorError::OutOfMemory`].
pub fn reserve<T>(capacity: usize) -> Result<Vec<T>, TensorError> {
    let mut vec = Vec::new();
    grow(&mut vec, capacity)?;
    Ok(vec)
}

/// Reserves room for this many additional elements, so that pushing them does not allocate.
///
/// ```
/// let mut values = vec![1u8];
/// tensor::memory::grow(&mut values, 100)?;
/// assert!(values.capacity() >= 101);
/// # Ok::<(), tensor::TensorError>(())
/// ```
///
/// # Errors
/// [`TensorError::OutOfMemory`]; the vector is then unchanged.
pub fn grow<T>(vec: &mut Vec<T>, more: usize) -> Result<(), TensorError> {
    let room = vec.capacity() - vec.len();
    if more <= room {
        return Ok(());
    }
    let bytes = more.saturating_sub(room).saturating_mul(size_of::<T>());
    check(bytes)?;
    // A vector that grows step by step doubles its capacity; one of known length gets the exact capacity.
    let reserved = if vec.is_empty() { vec.try_reserve_exact(more) } else { vec.try_reserve(more) };
    reserved.map_err(|_| TensorError::out_of_memory(bytes, free()))
}

/// Resizes a vector to a length. New elements are clones of `value`.
///
/// ```
/// let mut values = vec![1u8];
/// tensor::memory::resize(&mut values, 3, 7)?;
/// assert_eq!(values, [1, 7, 7]);
/// # Ok::<(), tensor::TensorError>(())
/// ```
///
/// # Errors
/// [`TensorError::OutOfMemory`]; the vector is then unchanged.
pub fn resize<T: Clone>(vec: &mut Vec<T>, len: usize, value: T) -> Result<(), TensorError> {
    grow(vec, len.saturating_sub(vec.len()))?;
    vec.resize(len, value);
    Ok(())
}

/// Creates a vector of `count` clones of a value.
///
/// ```
/// assert_eq!(tensor::memory::filled(7u8, 3)?, [7, 7, 7]);
/// # Ok::<(), tensor::TensorError>(())
/// ```
///
/// # Errors
/// [`TensorError::OutOfMemory`].
pub fn filled<T: Clone>(value: T, count: usize) -> Result<Vec<T>, TensorError> {
    let mut vec = Vec::new();
    resize(&mut vec, count, value)?;
    Ok(vec)
}

/// Collects an iterator of known length into a vector.
///
/// ```
/// assert_eq!(tensor::memory::collected((0..3).map(|i| i * i))?, [0, 1, 4]);
/// # Ok::<(), tensor::TensorError>(())
/// ```
///
/// # Errors
/// [`TensorError::OutOfMemory`].
pub fn collected<I>(items: I) -> Result<Vec<I::Item>, TensorError>
where
    I: IntoIterator<IntoIter: ExactSizeIterator>,
{
    let items = items.into_iter();
    let mut vec = reserve(items.len())?;
    vec.extend(items);
    Ok(vec)
}

/// Collects an iterator of fallible items into a vector. Stops at the first error.
///
/// # Errors
/// The first error of an item; [`TensorError::OutOfMemory`], converted to the error type of the items.
pub fn try_collected<T, E: From<TensorError>>(
    items: impl IntoIterator<Item = Result<T, E>>,
) -> Result<Vec<T>, E> {
    let items = items.into_iter();
    let mut vec = reserve(items.size_hint().0)?;
    for item in items {
        grow(&mut vec, 1)?;
        vec.push(item?);
    }
    Ok(vec)
}

/// Fails if more memory is requested than is available: for one large piece, or before many pieces that are
/// needed together.
///
/// ```
/// use tensor::memory;
/// assert!(memory::check(1 << 10).is_ok());
/// assert!(memory::check(1 << 60).is_err());
/// ```
///
/// # Errors
/// [`TensorError::OutOfMemory`].
pub fn check(bytes: usize) -> Result<(), TensorError> {
    if bytes < SMALL {
        return Ok(());
    }
    check_piece(bytes)?;
    if bytes < TRUSTED && TAKEN.fetch_add(bytes, Ordering::Relaxed) < TRUSTED {
        return Ok(());
    }
    TAKEN.store(0, Ordering::Relaxed);
    check_left(bytes, &mut arena::pieces())
}

/// Refuses a piece beyond the limit of single pieces.
pub(crate) fn check_piece(bytes: usize) -> Result<(), TensorError> {
    match LARGEST.load(Ordering::Relaxed) {
        largest if bytes > largest => Err(TensorError::out_of_limit(bytes, largest, largest)),
        _ => Ok(()),
    }
}

/// Refuses more bytes than are available, less those that were promised to these pieces.
pub(crate) fn check_left(bytes: usize, pieces: &mut arena::Pieces) -> Result<(), TensorError> {
    let assumed = ASSUMED.load(Ordering::Relaxed);
    if assumed != usize::MAX {
        let free = assumed.saturating_sub(pieces.bytes());
        return if bytes > free { Err(TensorError::out_of_limit(bytes, free, assumed)) } else { Ok(()) };
    }
    let free = free().map(|free| free.saturating_sub(pieces.untouched()));
    // A sixteenth is kept for everything that is not counted here.
    let most = free.map_or(MOST, |free| free - free / 16);
    if bytes > most { Err(TensorError::out_of_memory(bytes, free)) } else { Ok(()) }
}

/// Returns the number of bytes that the machine and the control groups have available, if known.
fn free() -> Option<usize> {
    #[cfg(target_os = "linux")]
    return linux::free();
    #[cfg(not(target_os = "linux"))]
    None
}

/// Formats a number of bytes for people.
///
/// ```
/// assert_eq!(tensor::memory::Size(1536).to_string(), "1.5 KiB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let power = (self.0.max(1).ilog2() / 10) as usize;
        match power.checked_sub(1) {
            None => write!(f, "{} bytes", self.0),
            Some(unit) => write!(f, "{:.1} {}", self.0 as f64 / 2f64.powi(10 * power as i32), UNITS[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_available_memory_fail() {
        assert_eq!(filled(7u16, 3).unwrap(), [7; 3]);
        assert_eq!(collected([1, 2].iter().map(|i| i * 2)).unwrap(), [2, 4]);
        for count in [1 << 45, usize::MAX / 8, usize::MAX] {
            assert!(matches!(reserve::<u64>(count), Err(TensorError::OutOfMemory { .. })));
        }
        let mut vec = vec![1u8];
        assert!(grow(&mut vec, usize::MAX).is_err());
        assert_eq!(vec, [1]);
    }

    #[test]
    fn sizes_are_formatted_for_people() {
        let shown = [0, 1023, 1536, 24 << 30, usize::MAX].map(|bytes| Size(bytes).to_string());
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.5 KiB", "24.0 GiB", "16.0 EiB"]);
    }
}
