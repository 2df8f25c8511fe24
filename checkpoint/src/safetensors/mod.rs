//! safetensors files, in and out.
//!
//! # On disk
//!
//! ```text
//! u64 N | N bytes of JSON, padded with spaces | tensor bytes
//! ```
//! The JSON maps each name to `{"dtype", "shape", "data_offsets": [begin, end]}`; offsets count from the
//! end of the JSON. `__metadata__` maps strings to strings. Tensors cover the data exactly, without holes
//! or overlaps. Writers order them by decreasing alignment, then by name.
//!
//! The format has no checksums, so damage to the data goes unseen; a bundle is the safer place. It has no
//! strings, no complex128 and no quantized types either.

mod header;
mod reader;
mod writer;

pub use reader::SafetensorsReader;
pub use writer::{SafetensorsOptions, write_safetensors};

use tensor::DType;

/// The format's name in errors.
const FORMAT: &str = "safetensors";

/// The dtypes that both sides know, with the format's names.
const DTYPES: [(DType, &str); 18] = [
    (DType::Bool, "BOOL"),
    (DType::UInt8, "U8"),
    (DType::Int8, "I8"),
    (DType::Float8E5M2, "F8_E5M2"),
    (DType::Float8E4M3FN, "F8_E4M3"),
    (DType::Float8E4M3FNUZ, "F8_E4M3FNUZ"),
    (DType::Float8E5M2FNUZ, "F8_E5M2FNUZ"),
    (DType::Int16, "I16"),
    (DType::UInt16, "U16"),
    (DType::Float16, "F16"),
    (DType::BFloat16, "BF16"),
    (DType::Int32, "I32"),
    (DType::UInt32, "U32"),
    (DType::Float32, "F32"),
    (DType::Int64, "I64"),
    (DType::UInt64, "U64"),
    (DType::Float64, "F64"),
    (DType::Complex64, "C64"),
];

fn name_of(dtype: DType) -> Option<&'static str> {
    DTYPES.iter().find(|row| row.0 == dtype).map(|row| row.1)
}

fn dtype_of(name: &str) -> Option<DType> {
    DTYPES.iter().find(|row| row.1 == name).map(|row| row.0)
}
