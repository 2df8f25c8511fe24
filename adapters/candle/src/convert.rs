//! Tensors of one library as those of the other.

use candle_core::{CpuStorage, Device, Storage};
use tensor::{BufferPool, DType, Element};

/// Returns the dtype of checkpoints for one of candle's.
///
/// # Errors
/// An error for dtypes that checkpoints do not have, such as 8-bit floats.
pub(crate) fn dtype(dtype: candle_core::DType) -> candle_core::Result<DType> {
    use candle_core::DType as Of;
    Ok(match dtype {
        Of::U8 => DType::UInt8,
        Of::U32 => DType::UInt32,
        Of::I16 => DType::Int16,
        Of::I32 => DType::Int32,
        Of::I64 => DType::Int64,
        Of::BF16 => DType::BFloat16,
        Of::F16 => DType::Float16,
        Of::F32 => DType::Float32,
        Of::F64 => DType::Float64,
        other => candle_core::bail!("checkpoints have no dtype {other:?}"),
    })
}

/// Copies a tensor of candle from any device into memory of the pool. candle writes to a `Var`'s memory in place, so a shared
/// tensor would not be a snapshot.
///
/// # Errors
/// An error for a dtype that checkpoints do not have; the errors of the device.
pub fn from_candle(source: &candle_core::Tensor, pool: &BufferPool) -> candle_core::Result<tensor::Tensor> {
    dtype(source.dtype())?;
    let here = source.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = here.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a contiguous tensor has no offsets")
    };
    let (dims, range) = (here.dims(), start..end);
    let Storage::Cpu(storage) = &*storage else {
        candle_core::bail!("the tensor did not come from its device")
    };
    match storage {
        CpuStorage::U8(values) => copied(&values[range], dims, pool),
        CpuStorage::U32(values) => copied(&values[range], dims, pool),
        CpuStorage::I16(values) => copied(&values[range], dims, pool),
        CpuStorage::I32(values) => copied(&values[range], dims, pool),
        CpuStorage::I64(values) => copied(&values[range], dims, pool),
        CpuStorage::BF16(values) => copied(&values[range], dims, pool),
        CpuStorage::F16(values) => copied(&values[range], dims, pool),
        CpuStorage::F32(values) => copied(&values[range], dims, pool),
        CpuStorage::F64(values) => copied(&values[range], dims, pool),
        _ => candle_core::bail!("checkpoints have no dtype {:?}", source.dtype()),
    }
}

fn copied<T: Element>(
    values: &[T],
    dims: &[usize],
    pool: &BufferPool,
) -> candle_core::Result<tensor::Tensor> {
    let mut copy = tensor::Tensor::from_pool::<T>(pool, dims).map_err(candle_core::Error::wrap)?;
    match copy.as_mut_slice::<T>() {
        Some(elements) => elements.copy_from_slice(values),
        None => candle_core::bail!("a new tensor is shared"),
    }
    Ok(copy)
}

/// Copies a tensor to a device of candle.
///
/// # Errors
/// An error for a dtype that candle does not have; the errors of the device.
pub fn to_candle(source: &tensor::Tensor, device: &Device) -> candle_core::Result<candle_core::Tensor> {
    fn made<T: Element + candle_core::WithDType>(
        source: &tensor::Tensor,
        device: &Device,
    ) -> candle_core::Result<candle_core::Tensor> {
        let values = source.as_slice::<T>().map_err(candle_core::Error::wrap)?;
        candle_core::Tensor::from_slice(values, source.shape().dims(), device)
    }
    match source.dtype() {
        DType::UInt8 => made::<u8>(source, device),
        DType::UInt32 => made::<u32>(source, device),
        DType::Int16 => made::<i16>(source, device),
        DType::Int32 => made::<i32>(source, device),
        DType::Int64 => made::<i64>(source, device),
        DType::BFloat16 => made::<tensor::bf16>(source, device),
        DType::Float16 => made::<tensor::f16>(source, device),
        DType::Float32 => made::<f32>(source, device),
        DType::Float64 => made::<f64>(source, device),
        other => candle_core::bail!("candle has no dtype {other}"),
    }
}
