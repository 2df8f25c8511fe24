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

use crate::TensorError;
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
    reserved.map_err(|_| TensorError::OutOfMemory { bytes, free: free() })
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
    let largest = LARGEST.load(Ordering::Relaxed);
    if bytes > largest {
        return Err(TensorError::OutOfMemory { bytes, free: Some(largest) });
    }
    if bytes < TRUSTED && TAKEN.fetch_add(bytes, Ordering::Relaxed) < TRUSTED {
        return Ok(());
    }
    TAKEN.store(0, Ordering::Relaxed);
    let free = free();
    // A sixteenth is kept for everything that is not counted here.
    let most = free.map_or(MOST, |free| free - free / 16);
    if bytes > most { Err(TensorError::OutOfMemory { bytes, free }) } else { Ok(()) }
}

/// Returns the number of bytes that the machine and the control groups have available, if known.
fn free() -> Option<usize> {
    #[cfg(target_os = "linux")]
    return linux::free();
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::read_to_string;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    pub(super) fn free() -> Option<usize> {
        let machine = machine(&read_to_string("/proc/meminfo").ok()?);
        let groups = groups().iter().filter_map(Group::free);
        machine.into_iter().chain(groups).min()
    }

    /// Returns the memory available without evicting other programs, plus the unused swap space.
    fn machine(meminfo: &str) -> Option<usize> {
        let kilobytes = |name: &str| number_after(meminfo, name);
        let bytes = kilobytes("MemAvailable:")?.saturating_add(kilobytes("SwapFree:").unwrap_or(0));
        bytes.checked_mul(1024)
    }

    /// Returns the number that follows a word at the start of a line.
    fn number_after(text: &str, word: &str) -> Option<usize> {
        let line = text.lines().find_map(|line| line.strip_prefix(word))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// A control group that may limit the process, described by its files.
    struct Group {
        folder: PathBuf,
        limit: &'static str,
        used: &'static str,
        /// The statistics entry for cached files, whose memory the system reclaims on demand.
        cached: &'static str,
    }

    impl Group {
        fn new(folder: &Path) -> Group {
            let folder = folder.to_owned();
            if folder.join("memory.max").exists() {
                Group { folder, limit: "memory.max", used: "memory.current", cached: "inactive_file " }
            } else {
                let (limit, used) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
                Group { folder, limit, used, cached: "total_inactive_file " }
            }
        }

        /// Returns the bytes available in the group, or `None` if it sets no limit.
        fn free(&self) -> Option<usize> {
            let number = |file: &str| read_to_string(self.folder.join(file)).ok()?.trim().parse().ok();
            let limit: usize = number(self.limit)?; // the word `max` is not a number
            let stat = read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
            let cached = number_after(&stat, self.cached).unwrap_or(0);
            Some(limit.saturating_sub(number(self.used)?.saturating_sub(cached)))
        }
    }

    /// Returns the control groups of the process and their parents.
    fn groups() -> &'static [Group] {
        static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
        GROUPS.get_or_init(|| {
            let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
            folders(&own).iter().map(|folder| Group::new(folder)).collect()
        })
    }

    /// Returns the folders of the control groups that the membership list of a process names, and of their
    /// parents.
    fn folders(own: &str) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let root = match parts.next() {
                Some("") => "/sys/fs/cgroup",
                Some(kinds) if kinds.split(',').any(|kind| kind == "memory") => "/sys/fs/cgroup/memory",
                _ => continue,
            };
            let path = parts.next().unwrap_or_default().trim_matches('/');
            let inner = Path::new(root).join(path);
            folders
                .extend(inner.ancestors().take_while(|folder| folder.starts_with(root)).map(PathBuf::from));
        }
        folders
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_system_says_what_it_has() {
            let text = "MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable:   70 kB\nSwapFree: 5 kB\n";
            assert_eq!(machine(text), Some(75 << 10));
            assert_eq!(machine("MemTotal: 100 kB"), None);
            assert!(free().is_some_and(|free| free > 1 << 20));
        }

        #[test]
        fn a_group_and_those_around_it_are_asked() {
            let found = folders("12:cpu,memory:/a\n3:cpu:/x\n0::/b/c\n");
            let expected =
                ["memory/a", "memory", "b/c", "b", ""].map(|path| Path::new("/sys/fs/cgroup").join(path));
            assert_eq!(found, expected);
        }

        #[test]
        fn a_group_has_its_limit_less_what_it_cannot_give_back() {
            let folder = std::env::temp_dir().join(format!("tensor-group-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
            write("memory.max", "1000\n");
            write("memory.current", "700\n");
            write("memory.stat", "anon 500\ninactive_file 150\n");
            assert_eq!(Group::new(&folder).free(), Some(450));
            write("memory.max", "max\n");
            assert_eq!(Group::new(&folder).free(), None);
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }
}

/// Formats a number of bytes for people.
pub(crate) struct Size(pub(crate) usize);

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
    fn sizes_are_read_by_people() {
        let shown = [0, 1023, 1536, 24 << 30, usize::MAX].map(|bytes| Size(bytes).to_string());
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.5 KiB", "24.0 GiB", "16.0 EiB"]);
    }
}
