//! NumPy's files: `.npy` holds an array, `.npz` is an archive of them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use tensor::{DType, Tensor, TensorError};

/// Why an array cannot be read.
#[derive(Debug)]
pub(crate) enum ArrayError {
    Io(io::Error),
    Archive(zip::result::ZipError),
    /// It is no array, or one of a kind that tensors are not.
    Format(String),
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

fn format_error(text: impl Into<String>) -> ArrayError {
    ArrayError::Format(text.into())
}

/// The array of a `.npy` file.
pub(crate) fn read_npy(path: &Path) -> Result<Tensor, ArrayError> {
    parse(&std::fs::read(path)?)
}

/// The names of the arrays of a `.npz` file.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>, ArrayError> {
    let archive = zip::ZipArchive::new(File::open(path)?)?;
    let plain = |name: &str| name.strip_suffix(".npy").unwrap_or(name).to_owned();
    archive.file_names().map(|name| Ok(plain(&name?))).collect()
}

/// One array of a `.npz` file.
pub(crate) fn read_npz(path: &Path, name: &str) -> Result<Tensor, ArrayError> {
    let mut archive = zip::ZipArchive::new(File::open(path)?)?;
    let entry = format!("{name}.npy");
    if archive.index_for_name(&entry).is_none() {
        let names = names_in(path)?.join(", ");
        return Err(format_error(format!("it has no array '{name}', but {names}")));
    }
    let mut bytes = Vec::new();
    archive.by_name(&entry)?.read_to_end(&mut bytes)?;
    parse(&bytes)
}

const MAGIC: &[u8] = b"\x93NUMPY";

fn parse(bytes: &[u8]) -> Result<Tensor, ArrayError> {
    let short = || format_error("it ends within its header");
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| format_error("it is no NumPy array"))?;
    let (&version, rest) = rest.split_first().ok_or_else(short)?;
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
        version => return Err(format_error(format!("version {version} of the format is not known"))),
    };
    let header = rest.get(..length).ok_or_else(short)?;
    let header = Header::parse(&String::from_utf8_lossy(header))?;
    header.tensor(&rest[length..])
}

struct Header {
    dtype: DType,
    big_endian: bool,
    by_columns: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads what is written as a Python dictionary: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
    fn parse(text: &str) -> Result<Header, ArrayError> {
        let missing = |key: &str| format_error(format!("its header does not say '{key}'"));
        let after = |key: &str| {
            let quoted = format!("'{key}':");
            text.find(&quoted).map(|at| text[at + quoted.len()..].trim_start()).ok_or_else(|| missing(key))
        };
        let descr = after("descr")?.strip_prefix('\'').and_then(|rest| rest.split('\'').next());
        let descr = descr.ok_or_else(|| format_error("it holds records, not numbers"))?;
        let shape = after("shape")?.strip_prefix('(').and_then(|rest| rest.split(')').next());
        let sizes = shape.ok_or_else(|| missing("shape"))?.split(',').map(str::trim);
        let sizes = sizes.filter(|size| !size.is_empty()).map(str::parse);
        let shape = sizes.collect::<Result<Vec<usize>, _>>().map_err(|_| missing("shape"))?;
        let (order, kind) = descr.split_at_checked(1).ok_or_else(|| missing("descr"))?;
        let dtype = match kind {
            "f2" => DType::Float16,
            "f4" => DType::Float32,
            "f8" => DType::Float64,
            "i1" => DType::Int8,
            "i2" => DType::Int16,
            "i4" => DType::Int32,
            "i8" => DType::Int64,
            "u1" => DType::UInt8,
            "u2" => DType::UInt16,
            "u4" => DType::UInt32,
            "u8" => DType::UInt64,
            "b1" => DType::Bool,
            "c8" => DType::Complex64,
            "c16" => DType::Complex128,
            _ => {
                return Err(format_error(format!("its elements '{descr}' are of no kind that tensors have")));
            }
        };
        let by_columns = after("fortran_order")?.starts_with("True");
        Ok(Header { dtype, big_endian: order == ">", by_columns, shape })
    }

    fn tensor(&self, data: &[u8]) -> Result<Tensor, ArrayError> {
        let elements = self.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let length = elements.and_then(|elements| elements.checked_mul(self.dtype.size()));
        if length != Some(data.len()) {
            let text = format!("it has {} bytes of data, which {:?} does not need", data.len(), self.shape);
            return Err(format_error(text));
        }
        let mut data = data.to_vec();
        if self.big_endian {
            // A complex number is two numbers.
            let each = if self.dtype.is_complex() { self.dtype.size() / 2 } else { self.dtype.size() };
            data.chunks_exact_mut(each).for_each(<[u8]>::reverse);
        }
        if self.by_columns {
            data = self.by_rows(&data);
        }
        Ok(Tensor::from_le_bytes(self.dtype, self.shape.clone(), data)?)
    }

    /// Data that were written column by column, row by row.
    fn by_rows(&self, data: &[u8]) -> Vec<u8> {
        let size = self.dtype.size();
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
    fn arrays_of_all_orders() {
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
    fn other_files_are_errors() {
        let whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", &[0; 8]);
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "{cut}");
        }
        for header in [
            "{}",
            "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
            "{'descr': '', 'fortran_order': False, 'shape': (-1,), }",
        ] {
            assert!(parse(&npy(header, &[0; 8])).is_err(), "{header}");
        }
    }
}
