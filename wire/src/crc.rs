//! CRC-32C and the masked form in which TensorFlow stores it: checkpoints, records, and event files contain the checksums of their own
//! blocks, and the mask keeps a checksum of data that contains checksums from being degenerate.

// Each function is compiled here and nowhere else: inlined, it would bring a copy of all loops of `crc_fast` into every
// part of every crate that calls it, a fifth of the code of `checkpoint`.

use crc_fast::CrcAlgorithm::Crc32Iscsi;

// Any constant works as long as readers and writers agree; this one is TensorFlow's.
const MASK_DELTA: u32 = 0xa282_ead8;

/// Computes the CRC-32C checksum of bytes.
///
/// ```
/// assert_eq!(wire::crc::crc32c(b"123456789"), 0xe306_9283);
/// ```
#[must_use]
#[inline(never)]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(Crc32Iscsi, bytes) as u32
}

/// Masks a checksum for storage. A CRC over data that itself contains CRCs is weak, so files never store the
/// bare value.
///
/// ```
/// use wire::crc::{crc32c, mask, masked};
/// assert_eq!(mask(crc32c(b"record")), masked(b"record"));
/// ```
#[must_use]
#[inline]
pub fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK_DELTA)
}

/// Computes the masked checksum of bytes.
#[must_use]
pub fn masked(bytes: &[u8]) -> u32 {
    mask(crc32c(bytes))
}

/// Combines the checksums of two adjacent pieces, the second of which is `second_len` bytes long.
///
/// ```
/// use wire::crc::{combine, crc32c};
/// assert_eq!(combine(crc32c(b"mul"), crc32c(b"tiple"), 5), crc32c(b"multiple"));
/// ```
#[must_use]
#[inline(never)]
pub fn combine(first: u32, second: u32, second_len: u64) -> u32 {
    crc_fast::checksum_combine(Crc32Iscsi, u64::from(first), u64::from(second), second_len) as u32
}

/// Computes a checksum incrementally.
///
/// ```
/// use wire::crc::{Running, crc32c};
/// let mut running = Running::new();
/// running.update(b"mul");
/// running.update(b"tiple");
/// assert_eq!(running.finish(), crc32c(b"multiple"));
/// ```
#[derive(Clone, Debug)]
pub struct Running(crc_fast::Digest);

impl Default for Running {
    fn default() -> Running {
        Running::new()
    }
}

impl Running {
    /// Starts with the checksum of zero bytes.
    #[must_use]
    #[inline(never)]
    pub fn new() -> Running {
        Running(crc_fast::Digest::new(Crc32Iscsi))
    }

    /// Appends bytes. The pieces may have any lengths, also zero: the checksum is that of all bytes in their order.
    ///
    /// ```
    /// use wire::crc::{Running, crc32c};
    /// let mut running = Running::new();
    /// running.update(b"");
    /// assert_eq!(running.finish(), crc32c(b""));
    /// ```
    #[inline(never)]
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the checksum of all bytes so far.
    #[must_use]
    #[inline(never)]
    pub fn finish(&self) -> u32 {
        self.0.finalize() as u32
    }

    /// Returns the masked checksum of all bytes so far.
    #[must_use]
    pub fn masked(&self) -> u32 {
        mask(self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_have_known_values() {
        for (data, crc, stored) in [
            (&b""[..], 0, 0xa282_ead8),
            (b"123456789", 0xe306_9283, 0xc78a_b0e5),
            (&[0; 32], 0x8a91_36aa, 0x0fd7_fffa),
            (&[0xff; 32], 0x62a8_ab43, 0xf909_b029),
        ] {
            assert_eq!(crc32c(data), crc);
            assert_eq!(masked(data), stored);
        }
    }

    #[test]
    fn the_checksum_of_pieces_is_that_of_the_whole() {
        let data: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 8, 500, 999, 1000] {
            let (a, b) = data.split_at(cut);
            let mut running = Running::new();
            running.update(a);
            running.update(b);
            assert_eq!(running.finish(), crc32c(&data));
            assert_eq!(combine(crc32c(a), crc32c(b), b.len() as u64), crc32c(&data));
        }
    }
}
