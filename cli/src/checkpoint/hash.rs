//! SHA-256 of the elements of a tensor, for comparisons across formats.
//!
//! The hash does not depend on the format, the order of tensors in files, or the byte order of the machine. Python
//! computes the same with `hashlib.sha256(array.tobytes())`.
//!
//! A length precedes each string, so that `["ab", "c"]` and `["a", "bc"]` have different hashes. Two tensors of
//! different dtypes or shapes may have the same hash, because only the elements are hashed.

use sha2::{Digest, Sha256};
use tensor::Tensor;

/// Returns the SHA-256 of the elements, row-major and little-endian; for strings, of an 8-byte little-endian length and the bytes
/// of each. `None` for handles, which have no bytes.
pub(super) fn sha256(tensor: &Tensor) -> Option<String> {
    let mut hash = Sha256::new();
    if let Ok(strings) = tensor.as_strings() {
        for string in strings {
            // A fixed width and order, so that the hash is the same on every machine.
            hash.update((string.len() as u64).to_le_bytes());
            hash.update(string);
        }
    } else {
        hash.update(little_endian(tensor)?);
    }
    Some(hexadecimal(&hash.finalize()))
}

/// Returns the SHA-256 of bytes with an unknown dtype.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Formats a digest as lower-case hexadecimal digits.
fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the elements in little-endian order, which is the order in memory here.
#[cfg(target_endian = "little")]
fn little_endian(tensor: &Tensor) -> Option<&[u8]> {
    tensor.as_bytes().ok()
}

/// Returns the elements in little-endian order. The two parts of complex numbers are swapped separately.
#[cfg(target_endian = "big")]
fn little_endian(tensor: &Tensor) -> Option<Vec<u8>> {
    let dtype = tensor.dtype();
    let width = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
    let mut bytes = tensor.as_bytes().ok()?.to_vec();
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    Some(bytes)
}
