//! The checksum of TFRecord files: CRC-32C, masked.

use crc_fast::CrcAlgorithm;

/// CRC-32C of the bytes, rotated and shifted so that a checksum over data that holds checksums stays a
/// good one.
pub(crate) fn masked(bytes: &[u8]) -> u32 {
    // The algorithm's result has 32 bits in a wider integer.
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        assert_eq!(masked(b""), 0xa282_ead8);
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5);
        assert_eq!(masked(&[0; 32]), 0x0fd7_fffa);
        assert_eq!(masked(&[0xff; 32]), 0xf909_b029);
    }
}
