//! Memory that tensors are read into.

use tensor::Bytes;

/// From this size on memory comes from the system in huge pages, not from the allocator.
#[cfg(feature = "mmap")]
const MAPPED: usize = 1 << 20;

/// Zeroed bytes to be filled and then shared.
#[derive(Debug)]
pub(crate) enum Memory {
    Allocated(Vec<u8>),
    #[cfg(feature = "mmap")]
    Mapped(memmap2::MmapMut),
}

impl Memory {
    /// New memory. Its pages are not touched yet when it is large.
    pub(crate) fn zeroed(len: usize) -> Memory {
        #[cfg(feature = "mmap")]
        if len >= MAPPED
            && let Ok(map) = crate::storage::anonymous(len)
        {
            return Memory::Mapped(map);
        }
        Memory::Allocated(vec![0; len])
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Allocated(vec) => vec,
            #[cfg(feature = "mmap")]
            Memory::Mapped(map) => map,
        }
    }

    /// The bytes, from now on shared and unchangeable.
    pub(crate) fn freeze(self) -> Bytes {
        match self {
            Memory::Allocated(vec) => vec.into(),
            #[cfg(feature = "mmap")]
            Memory::Mapped(map) => Bytes::from_owner(map),
        }
    }
}
