//! NumPy's files: `.npy` contains an array, `.npz` is an archive of arrays.
//!
//! All versions of the format are read, in both byte orders and both memory orders. Python objects are refused,
//! because only Python can decode them.
//!
//! # Conversions
//!
//! - Elements in big-endian order are reversed in units: a complex number consists of two, a text of one for each
//!   character.
//! - Arrays in column-major order (`fortran_order`) are rearranged, since tensors are row-major.
//! - Byte strings and texts have a fixed width in the file. The zeros at their ends are padding and are removed;
//!   texts become UTF-8.
//!
//! # Damage
//!
//! The header is text that Python would evaluate. Only the three keys that NumPy writes are searched, and nothing is
//! evaluated. The length of the data must be that of the shape exactly, and it is compared before memory is
//! allocated.
//!
//! A `.npz` archive is searched by name, and only the requested arrays are read.
//!
//! # Layout of a `.npy` file
//!
//! | bytes | content |
//! |---|---|
//! | 6 | `\x93NUMPY` |
//! | 2 | the major version, 1 to 3, and the minor version |
//! | 2 or 4 | the length of the header, little-endian: 2 bytes in version 1, 4 in the others |
//! | length | a Python dictionary with `descr` (the kind of elements), `fortran_order` and `shape` |
//! | the rest | the elements |
//!
//! Versions differ in that length, and in version 3 the header is UTF-8.

use monitored_session::session_core::{Code, Error};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use tensor::{DType, FileKind, Tensor, TensorError, memory};

/// The reason why an array cannot be read.
#[derive(Debug)]
pub(crate) enum ArrayError {
    /// The file cannot be read.
    Io(io::Error),
    /// The archive is damaged.
    Archive(zip::result::ZipError),
    /// The file is not an array, or one that tensors cannot represent.
    Format(String),
    /// The array does not fit into memory.
    Tensor(TensorError),
}

impl fmt::Display for ArrayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArrayError::Io(error) => error.fmt(f),
            ArrayError::Archive(error) => error.fmt(f),
            ArrayError::Format(text) => f.write_str(text),
            ArrayError::Tensor(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ArrayError {}

impl From<io::Error> for ArrayError {
    fn from(error: io::Error) -> ArrayError {
        ArrayError::Io(error)
    }
}

impl From<zip::result::ZipError> for ArrayError {
    fn from(error: zip::result::ZipError) -> ArrayError {
        ArrayError::Archive(error)
    }
}

impl From<TensorError> for ArrayError {
    fn from(error: TensorError) -> ArrayError {
        ArrayError::Tensor(error)
    }
}

impl From<ArrayError> for Error {
    fn from(error: ArrayError) -> Error {
        match error {
            ArrayError::Io(error) => Error::from(error),
            ArrayError::Tensor(error) => Error::from(error),
            other => Error::new(Code::DataLoss, other.to_string()),
        }
    }
}

/// Creates an error of the format.
fn format_error(text: impl Into<String>) -> ArrayError {
    ArrayError::Format(text.into())
}

/// Returns the description of a file of another kind, if its first bytes identify it.
pub(crate) fn other_kind(content: &[u8]) -> Option<String> {
    let kind = FileKind::of("", &content[..content.len().min(FileKind::START)])?;
    Some(format!("it is {kind}"))
}

/// Reads the array of a `.npy` file.
pub(crate) fn read_npy(path: &Path) -> Result<Tensor, ArrayError> {
    parse(&std::fs::read(path)?)
}

/// Returns the names of the arrays of a `.npz` file.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>, ArrayError> {
    let archive = open_npz(path)?;
    let plain = |name: &str| name.strip_suffix(".npy").unwrap_or(name).to_owned();
    archive.file_names().map(|name| Ok(plain(&name?))).collect()
}

/// Opens an archive. The error for a file of another kind names that kind.
fn open_npz(path: &Path) -> Result<zip::ZipArchive<File>, ArrayError> {
    zip::ZipArchive::new(File::open(path)?).map_err(|error| {
        let mut start = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(FileKind::START as u64).read_to_end(&mut start));
        // The error of the archive names its problem; for another kind of file, the kind is the better
        // message.
        let other = read.ok().filter(|_| !start.starts_with(b"PK")).and_then(|_| other_kind(&start));
        other.map_or(ArrayError::Archive(error), ArrayError::Format)
    })
}

/// Reads one array of a `.npz` file.
pub(crate) fn read_npz(path: &Path, name: &str) -> Result<Tensor, ArrayError> {
    let mut archive = open_npz(path)?;
    let entry = format!("{name}.npy");
    // The names of the arrays are the help that a mistyped one needs.
    if archive.index_for_name(&entry).is_none() {
        let names = names_in(path)?.join(", ");
        return Err(format_error(format!("it has no array '{name}'; its arrays are {names}")));
    }
    let mut bytes = Vec::new();
    archive.by_name(&entry)?.read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// The first bytes of a `.npy` file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Parses the content of a `.npy` file.
///
/// # Errors
/// [`ArrayError::Format`] if it is not such a file, ends early, or has elements that tensors cannot represent.
pub(crate) fn parse(bytes: &[u8]) -> Result<Tensor, ArrayError> {
    let short = || format_error("it ends within its header");
    let no_array = || other_kind(bytes).unwrap_or_else(|| "it is not a NumPy array".to_owned());
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| format_error(no_array()))?;
    let (&version, rest) = rest.split_first().ok_or_else(short)?;
    // The minor version has no meaning so far.
    let rest = rest.get(1..).ok_or_else(short)?;
    let (length, rest) = match version {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
            (usize::try_from(u32::from_le_bytes(*length)).map_err(|_| short())?, rest)
        }
        version => return Err(format_error(format!("version {version} of the format is not supported"))),
    };
    let header = rest.get(..length).ok_or_else(short)?;
    let header = Header::parse(&String::from_utf8_lossy(header))?;
    header.tensor(&rest[length..])
}

/// The numbers that both NumPy and tensors have, under NumPy's names without the byte order.
pub(crate) const NUMBERS: [(&str, DType); 14] = [
    ("f2", DType::Float16),
    ("f4", DType::Float32),
    ("f8", DType::Float64),
    ("i1", DType::Int8),
    ("i2", DType::Int16),
    ("i4", DType::Int32),
    ("i8", DType::Int64),
    ("u1", DType::UInt8),
    ("u2", DType::UInt16),
    ("u4", DType::UInt32),
    ("u8", DType::UInt64),
    ("b1", DType::Bool),
    ("c8", DType::Complex64),
    ("c16", DType::Complex128),
];

/// The kinds of elements of an array.
#[derive(Clone, Copy)]
enum Elements {
    /// Numbers of a dtype.
    Numbers(DType),
    /// Byte strings of a fixed width; shorter ones are padded with zeros.
    Bytes(usize),
    /// Strings of a fixed number of 32-bit code points, padded with zeros.
    Text(usize),
}

impl Elements {
    /// Parses a kind as NumPy writes it after the byte order: `f4`, `S12`.
    fn parse(kind: &str) -> Option<Elements> {
        if let Some(&(_, dtype)) = NUMBERS.iter().find(|(name, _)| *name == kind) {
            return Some(Elements::Numbers(dtype));
        }
        let (kind, width) = kind.split_at_checked(1)?;
        let width: usize = width.parse().ok()?;
        match kind {
            "S" => Some(Elements::Bytes(width)),
            "U" => width.checked_mul(4).map(|_| Elements::Text(width)),
            _ => None,
        }
    }

    /// Returns the size of one element in the file, in bytes.
    fn size(self) -> usize {
        match self {
            Elements::Numbers(dtype) => dtype.size(),
            Elements::Bytes(width) => width,
            Elements::Text(width) => 4 * width,
        }
    }

    /// Returns the size of the unit whose byte order depends on the writing machine: a complex number has two units.
    fn word(self) -> usize {
        match self {
            Elements::Numbers(dtype) if dtype.is_complex() => dtype.size() / 2,
            Elements::Numbers(dtype) => dtype.size(),
            Elements::Bytes(_) => 1,
            Elements::Text(_) => 4,
        }
    }
}

/// The header of an array.
struct Header {
    /// The kind of the elements.
    elements: Elements,
    /// True if the elements are in big-endian order.
    big_endian: bool,
    /// True if the first index varies fastest (`fortran_order`).
    by_columns: bool,
    /// The sizes of the dimensions.
    shape: Vec<usize>,
}

impl Header {
    /// Parses a Python dictionary: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
    fn parse(text: &str) -> Result<Header, ArrayError> {
        // Searched by key, since NumPy's order of the keys is not part of the format.
        let missing = |key: &str| format_error(format!("its header has no '{key}'"));
        let after = |key: &str| {
            let quoted = format!("'{key}':");
            text.find(&quoted).map(|at| text[at + quoted.len()..].trim_start()).ok_or_else(|| missing(key))
        };
        let descr = after("descr")?.strip_prefix('\'').and_then(|rest| rest.split('\'').next());
        let descr = descr.ok_or_else(|| format_error("it contains records instead of numbers"))?;
        let shape = after("shape")?.strip_prefix('(').and_then(|rest| rest.split(')').next());
        let sizes = shape.ok_or_else(|| missing("shape"))?.split(',').map(str::trim);
        let sizes = sizes.filter(|size| !size.is_empty()).map(str::parse);
        let shape = sizes.collect::<Result<Vec<usize>, _>>().map_err(|_| missing("shape"))?;
        let (order, kind) = descr.split_at_checked(1).ok_or_else(|| missing("descr"))?;
        let elements = Elements::parse(kind).ok_or_else(|| {
            let why = match kind {
                "O" => "are Python objects, which only Python can read: save strings with a fixed width, as array.astype('S')",
                _ => "have a kind that tensors cannot represent",
            };
            format_error(format!("its elements '{descr}' {why}"))
        })?;
        // NumPy writes `True` or `False`; anything else counts as the usual order.
        let by_columns = after("fortran_order")?.starts_with("True");
        Ok(Header { elements, big_endian: order == ">", by_columns, shape })
    }

    /// Creates the tensor of the elements, converted to the byte order of the machine and to row-major order.
    fn tensor(&self, data: &[u8]) -> Result<Tensor, ArrayError> {
        let count = self.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let length = count.and_then(|count| count.checked_mul(self.elements.size()));
        // Compared before memory is allocated: a damaged header may state any size.
        if length != Some(data.len()) {
            let text = format!(
                "it has {} bytes of data, which does not match the shape {:?}",
                data.len(),
                self.shape
            );
            return Err(format_error(text));
        }
        let mut data = data.to_vec();
        if self.big_endian {
            data.chunks_exact_mut(self.elements.word()).for_each(<[u8]>::reverse);
        }
        if self.by_columns {
            data = self.by_rows(&data);
        }
        let strings = match self.elements {
            Elements::Numbers(dtype) => return Ok(Tensor::from_le_bytes(dtype, self.shape.clone(), data)?),
            // Strings of width 0 have no bytes to cut into pieces, so the data does not bound their number.
            _ if data.is_empty() => memory::filled(Vec::new(), count.unwrap_or(0))?,
            Elements::Bytes(width) => data.chunks_exact(width).map(|bytes| filled(bytes).to_vec()).collect(),
            Elements::Text(width) => data.chunks_exact(4 * width).map(text).collect::<Result<_, _>>()?,
        };
        Ok(Tensor::from_strings(strings, self.shape.clone())?)
    }

    /// Returns column-major data in row-major order.
    fn by_rows(&self, data: &[u8]) -> Vec<u8> {
        // Strings of width 0 take no bytes, and a division by their size would panic.
        let size = self.elements.size().max(1);
        let mut strides = Vec::with_capacity(self.shape.len());
        let mut stride = 1;
        for &dim in &self.shape {
            strides.push(stride);
            stride *= dim;
        }
        let mut index = vec![0usize; self.shape.len()];
        let mut ordered = Vec::with_capacity(data.len());
        for _ in 0..data.len() / size {
            let at: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
            ordered.extend_from_slice(&data[at * size..(at + 1) * size]);
            for (i, &dim) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < dim {
                    break;
                }
                *i = 0;
            }
        }
        ordered
    }
}

/// Returns the part of a padded string before its zeros.
fn filled(bytes: &[u8]) -> &[u8] {
    // Only the zeros at the end are padding; one in the middle belongs to the string.
    &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
}

/// Converts a string of 32-bit code points to UTF-8, as TensorFlow does.
fn text(words: &[u8]) -> Result<Vec<u8>, ArrayError> {
    let points = words.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let text: Option<String> = points.map(char::from_u32).collect();
    let text = text.ok_or_else(|| format_error("its text contains a number that is not a character"))?;
    Ok(filled(text.as_bytes()).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[1, 0]].concat();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_of_both_memory_orders_are_read() {
        let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }\n";
        let data: Vec<u8> = (1..=6i16).flat_map(i16::to_le_bytes).collect();
        let wanted = Tensor::from_vec(vec![1i16, 2, 3, 4, 5, 6], [2, 3]).unwrap();
        assert_eq!(parse(&npy(header, &data)).unwrap(), wanted);

        let data: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|i| i.to_be_bytes()).collect();
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        assert_eq!(parse(&npy(header, &data)).unwrap(), wanted);

        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n";
        assert_eq!(parse(&npy(header, &1.5f64.to_le_bytes())).unwrap(), Tensor::from(1.5f64));
        let header = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }\n";
        assert_eq!(parse(&npy(header, &[0, 1])).unwrap(), Tensor::from([false, true]));
    }

    #[test]
    fn strings_of_fixed_width_lose_their_padding() {
        let header = "{'descr': '|S3', 'fortran_order': False, 'shape': (2, 2), }\n";
        let wanted = Tensor::from_strings(["a", "bcd", "", "x\0y"], [2, 2]).unwrap();
        assert_eq!(parse(&npy(header, b"a\0\0bcd\0\0\0x\0y")).unwrap(), wanted);
        let header = "{'descr': '|S3', 'fortran_order': True, 'shape': (2, 2), }\n";
        assert_eq!(parse(&npy(header, b"a\0\0\0\0\0bcdx\0y")).unwrap(), wanted);

        let header = "{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }\n";
        let data: Vec<u8> =
            ['\u{e9}', '\0', '\u{1f600}', 'z'].iter().flat_map(|&c| u32::from(c).to_le_bytes()).collect();
        let wanted = Tensor::from_strings(["\u{e9}", "\u{1f600}z"], [2]).unwrap();
        assert_eq!(parse(&npy(header, &data)).unwrap(), wanted);
        let swapped: Vec<u8> = data.chunks_exact(4).flat_map(|word| word.iter().rev().copied()).collect();
        assert_eq!(parse(&npy(&header.replace('<', ">"), &swapped)).unwrap(), wanted);
        assert!(parse(&npy(header, &[0xff; 16])).is_err());

        let header = "{'descr': '|S0', 'fortran_order': False, 'shape': (2,), }\n";
        assert_eq!(parse(&npy(header, &[])).unwrap(), Tensor::from_strings(["", ""], [2]).unwrap());
    }

    #[test]
    fn other_files_are_errors() {
        let whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", &[0; 8]);
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "{cut}");
        }
        for header in [
            "{}",
            "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<U99999999999999999999', 'fortran_order': False, 'shape': (0,), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
            "{'descr': '', 'fortran_order': False, 'shape': (-1,), }",
        ] {
            assert!(parse(&npy(header, &[0; 8])).is_err(), "{header}");
        }
    }
}
