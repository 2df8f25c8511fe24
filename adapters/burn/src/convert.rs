//! Tensors of one library as those of the other.

use burn_pack::{Bytes, DType as BurnType, Shape};
use tensor::{DType, Tensor};

/// Returns the dtype of checkpoints for one of burn's.
///
/// # Errors
/// An error for dtypes that checkpoints do not have, which are the quantized ones.
pub(crate) fn dtype(dtype: BurnType) -> Result<DType, String> {
    Ok(match dtype {
        BurnType::F64 => DType::Float64,
        BurnType::F32 | BurnType::Flex32 => DType::Float32,
        BurnType::F16 => DType::Float16,
        BurnType::BF16 => DType::BFloat16,
        BurnType::I64 => DType::Int64,
        BurnType::I32 => DType::Int32,
        BurnType::I16 => DType::Int16,
        BurnType::I8 => DType::Int8,
        BurnType::U64 => DType::UInt64,
        BurnType::U32 => DType::UInt32,
        BurnType::U16 => DType::UInt16,
        BurnType::U8 => DType::UInt8,
        // One byte or four for each value, according to the backend.
        BurnType::Bool(_) if dtype.size() == 4 => DType::UInt32,
        BurnType::Bool(_) => DType::UInt8,
        BurnType::QFloat(_) => return Err(format!("checkpoints have no dtype {dtype:?}")),
    })
}

/// Makes a tensor of a checkpoint.
///
/// # Errors
/// The errors of [`dtype`]; an error if the number of bytes does not match the shape.
pub(crate) fn from_burn(kind: BurnType, shape: &Shape, bytes: &[u8]) -> Result<Tensor, String> {
    let dims: Vec<usize> = shape.iter().copied().collect();
    Tensor::from_le_bytes(dtype(kind)?, dims, bytes.to_vec()).map_err(|error| error.to_string())
}

/// Makes a tensor of burn, of this dtype, parameter and key.
///
/// # Errors
/// An error for a tensor whose elements are not plain numbers.
pub(crate) fn to_burn(
    key: String,
    kind: BurnType,
    parameter: u64,
    value: &Tensor,
) -> Result<burn_pack::Tensor, String> {
    let bytes = value.to_le_bytes().map_err(|error| error.to_string())?;
    let shape = Shape::from(value.shape().dims().to_vec());
    Ok(burn_pack::Tensor::new(key, kind, shape, Some(parameter), Bytes::from_bytes_vec(bytes.to_vec())))
}
