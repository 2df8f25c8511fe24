//! Writing NumPy's `.npy` files.
//!
//! Version 1 of the format: a magic, a header that is a Python dictionary, and the elements in row-major order. The
//! header is padded so that the data are aligned to 64 bytes, as NumPy does it.
//!
//! # Types
//!
//! `bfloat16` has no type in NumPy and is widened to `float32`, which is exact. Strings become byte strings of the
//! length of the longest, which is NumPy's only form without Python objects. NumPy cuts off zero bytes at the end of
//! such strings, so a string with one is refused.

use crate::train::arrays::NUMBERS;
use monitored_session::session_core::{DType, Error, Result, Tensor};
use monitored_session::tensor::Bytes;

/// Returns the content of a `.npy` file with this array, which `numpy.load` reads.
pub(crate) fn write(tensor: &Tensor) -> Result<Vec<u8>> {
    let (kind, data) = match tensor.dtype() {
        DType::String => strings(tensor.as_strings()?)?,
        // NumPy has no such type; each is a float32.
        DType::BFloat16 => ("<f4".to_owned(), widened(tensor.as_bytes()?)),
        dtype => (kind(dtype)?, tensor.as_bytes()?.to_vec()),
    };
    let sizes: Vec<String> = tensor.shape().dims().iter().map(usize::to_string).collect();
    // A tuple of one element needs the comma in Python.
    let comma = if sizes.len() == 1 { "," } else { "" };
    let shape = sizes.join(", ");
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}{comma}), }}");
    /// The magic, the version and the header's length.
    const BEFORE: usize = 10;
    // The data begin at a multiple of 64, after the end of a line.
    let filled = (BEFORE + header.len() + 1).next_multiple_of(64);
    header.push_str(&" ".repeat(filled - BEFORE - header.len() - 1));
    header.push('\n');
    let length =
        u16::try_from(header.len()).map_err(|_| Error::value("the array has too many dimensions"))?;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    Ok(bytes)
}

/// Returns NumPy's name for a dtype, with the byte order, which single bytes do not have.
fn kind(dtype: DType) -> Result<String> {
    // The names are those of the reader, so whatever is written can be read back.
    let known = NUMBERS.iter().find(|(_, known)| *known == dtype);
    let (name, _) = known.ok_or_else(|| Error::type_mismatch(format!("NumPy has no type for {dtype}")))?;
    Ok(format!("{}{name}", if dtype.size() == 1 { '|' } else { '<' }))
}

/// Returns strings of one width; shorter ones are padded with zeros.
fn strings(strings: &[Bytes]) -> Result<(String, Vec<u8>)> {
    if strings.iter().any(|string| string.last() == Some(&0)) {
        let text = "a string ends with a zero byte, which a .npy file would lose: write it as .json";
        return Err(Error::value(text));
    }
    // NumPy has no strings of width 0.
    let width = strings.iter().map(Bytes::len).max().unwrap_or(0).max(1);
    let mut data = Vec::with_capacity(width * strings.len());
    for string in strings {
        data.extend_from_slice(string);
        data.resize(data.len() + width - string.len(), 0);
    }
    Ok((format!("|S{width}"), data))
}

/// Converts bfloat16 numbers to float32.
fn widened(halves: &[u8]) -> Vec<u8> {
    // The upper half of a `float32` is a `bfloat16`; the lower half is zero.
    halves.chunks_exact(2).flat_map(|half| [0, 0, half[0], half[1]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::arrays::parse;

    #[test]
    fn written_values_are_read() {
        for tensor in [
            Tensor::from([[1.5f32, 2.0], [3.0, -4.0]]),
            Tensor::scalar(7i64),
            Tensor::from([true, false]),
            Tensor::from_vec(Vec::<f64>::new(), [0, 3]).unwrap(),
            Tensor::from_strings(["a", "bcd", ""], [3]).unwrap(),
        ] {
            let bytes = write(&tensor).unwrap();
            assert_eq!(bytes.len() % 64, (tensor_bytes(&tensor)) % 64);
            assert_eq!(parse(&bytes).unwrap(), tensor);
        }
        assert!(write(&Tensor::from_strings([&b"a\0"[..]], [1]).unwrap()).is_err());
    }

    fn tensor_bytes(tensor: &Tensor) -> usize {
        match tensor.as_strings() {
            Ok(strings) => strings.len() * strings.iter().map(Bytes::len).max().unwrap_or(0),
            Err(_) => tensor.byte_len(),
        }
    }
}
