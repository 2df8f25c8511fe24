//! Tensors as values of summaries.

use crate::proto::{Dimension, TensorProto, TensorShape};
use crate::{DecodeError, SummaryError, numbers};
use bytes::Bytes;
use prost::Message;
use tensor::{Complex, DType, Shape, Tensor, bf16, f16};

/// A tensor in its serialized form (TensorFlow's `TensorProto`), which is decoded on demand: an event
/// with an unreadable tensor is still an event, and is written back as it was.
///
/// ```
/// use summary::StoredTensor;
/// use tensor::Tensor;
/// let stored = StoredTensor::new(&Tensor::from([1.0f32, 2.0]))?;
/// assert_eq!(stored.to_tensor()?, Tensor::from([1.0f32, 2.0]));
/// # Ok::<(), summary::SummaryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor(Bytes);

/// Memory that a stored tensor may take which has fewer values than elements, the last being repeated.
const MAX_FILLED: usize = 256 << 20;

impl StoredTensor {
    /// Serializes a tensor.
    ///
    /// # Errors
    /// [`SummaryError::DType`] for resources and variants.
    pub fn new(tensor: &Tensor) -> Result<StoredTensor, SummaryError> {
        let dtype = tensor.dtype();
        let dim = tensor.shape().iter().map(|&size| Dimension { size: size as i64 }).collect();
        let mut message = TensorProto {
            dtype: dtype.number(),
            tensor_shape: Some(TensorShape { dim, unknown_rank: false }),
            ..TensorProto::default()
        };
        if dtype == DType::String {
            message.string_val = tensor.as_strings()?.to_vec();
        } else if dtype.is_plain() {
            // All elements as bytes: the typed fields would store integers as varints, and each reader has
            // both forms.
            message.tensor_content = Bytes::copy_from_slice(&tensor.to_le_bytes()?);
        } else {
            return Err(SummaryError::DType { what: "tensor value", dtype });
        }
        Ok(StoredTensor(message.encode_to_vec().into()))
    }

    /// Takes a serialized `TensorProto`, which is checked when it is decoded.
    ///
    /// ```
    /// use summary::StoredTensor;
    /// assert!(StoredTensor::from_encoded(&b"\xff"[..]).to_tensor().is_err());
    /// ```
    #[must_use]
    pub fn from_encoded(bytes: impl Into<Bytes>) -> StoredTensor {
        StoredTensor(bytes.into())
    }

    /// Returns the serialized `TensorProto`.
    #[must_use]
    pub fn as_encoded(&self) -> &Bytes {
        &self.0
    }

    /// Decodes the tensor. As the format requires, missing values repeat the last one, or are zeros if there is none.
    ///
    /// ```
    /// use summary::StoredTensor;
    /// use tensor::Tensor;
    /// let stored = StoredTensor::new(&Tensor::from("text"))?;
    /// assert_eq!(stored.to_tensor()?, Tensor::from("text"));
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    ///
    /// # Errors
    /// [`SummaryError::Decode`], [`SummaryError::UnknownDType`], [`SummaryError::DType`] for resources
    /// and variants, [`SummaryError::StoredShape`] (also where more than 256 MiB would be filled up) and
    /// [`SummaryError::Tensor`] when elements are left over, missing or no bools.
    pub fn to_tensor(&self) -> Result<Tensor, SummaryError> {
        let message = TensorProto::decode(self.0.clone()).map_err(DecodeError)?;
        let dtype = DType::from_number(message.dtype);
        let dtype = dtype.ok_or(SummaryError::UnknownDType { number: message.dtype })?;
        let shape = shape_of(message.tensor_shape.as_ref())?;
        if !message.tensor_content.is_empty() && dtype.is_plain() {
            return Ok(Tensor::from_le_bytes(dtype, shape, message.tensor_content)?);
        }
        from_values(dtype, shape, message)
    }

    /// Returns the number of a tensor of one number; `None` for any other. Bools are 0 and 1.
    ///
    /// ```
    /// use summary::StoredTensor;
    /// use tensor::Tensor;
    /// assert_eq!(StoredTensor::new(&Tensor::scalar(2.5f32))?.number(), Some(2.5));
    /// assert_eq!(StoredTensor::new(&Tensor::from([1, 2]))?.number(), None);
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        if let Some(number) = numbers::tensor_number(&self.0) {
            return Some(number);
        }
        let message = TensorProto::decode(self.0.clone()).ok()?;
        // A few bytes may stand for any number of equal elements, which are not worth their memory.
        if shape_of(message.tensor_shape.as_ref()).ok()?.elements() != 1 {
            return None;
        }
        let tensor = self.to_tensor().ok()?;
        let single = || {
            let mut elements = tensor.iter_f64()?;
            // A complex number is two.
            elements.next().filter(|_| elements.next().is_none())
        };
        tensor.as_scalar_f64().ok().or_else(single)
    }
}

fn shape_of(shape: Option<&TensorShape>) -> Result<Shape, SummaryError> {
    let wrong = |reason: String| SummaryError::StoredShape { reason };
    // In protobuf, a message that is absent equals an empty one, which is a scalar's shape.
    let Some(shape) = shape else { return Ok(Shape::scalar()) };
    if shape.unknown_rank {
        return Err(wrong("its rank is unknown".to_owned()));
    }
    let size = |dim: &Dimension| usize::try_from(dim.size).map_err(|_| wrong(format!("size {}", dim.size)));
    shape.dim.iter().map(size).collect()
}

/// Makes the tensor of a message's typed values.
fn from_values(dtype: DType, shape: Shape, message: TensorProto) -> Result<Tensor, SummaryError> {
    macro_rules! filled {
        ($values:expr) => {{
            let values = filled($values, dtype, &shape)?;
            Ok(Tensor::from_vec(values, shape)?)
        }};
    }
    let TensorProto { int_val, half_val, .. } = message;
    let halves = || half_val.iter().map(|&bits| bits as u16);
    match dtype {
        DType::Float32 => filled!(message.float_val),
        DType::Float64 => filled!(message.double_val),
        DType::Float16 => filled!(halves().map(f16::from_bits).collect()),
        DType::BFloat16 => filled!(halves().map(bf16::from_bits).collect()),
        DType::Int32 => filled!(int_val),
        // Small integers are stored as int32; TensorFlow casts, too.
        DType::Int16 => filled!(int_val.iter().map(|&value| value as i16).collect()),
        DType::Int8 => filled!(int_val.iter().map(|&value| value as i8).collect()),
        DType::UInt16 => filled!(int_val.iter().map(|&value| value as u16).collect()),
        DType::UInt8 => filled!(int_val.iter().map(|&value| value as u8).collect()),
        DType::Int64 => filled!(message.int64_val),
        DType::UInt32 => filled!(message.uint32_val),
        DType::UInt64 => filled!(message.uint64_val),
        DType::Bool => filled!(message.bool_val),
        DType::Complex64 => filled!(pairs(&message.scomplex_val)),
        DType::Complex128 => filled!(pairs(&message.dcomplex_val)),
        DType::String => Ok(Tensor::from_strings(filled(message.string_val, dtype, &shape)?, shape)?),
        DType::Resource | DType::Variant => Err(SummaryError::DType { what: "tensor value", dtype }),
        DType::QInt32 => from_numbers(dtype, shape, int_val, |value| value.to_le_bytes()),
        DType::QInt16 | DType::QUInt16 => {
            from_numbers(dtype, shape, int_val, |value| (value as u16).to_le_bytes())
        }
        DType::QInt8 | DType::QUInt8 | DType::Int4 | DType::UInt4 => {
            from_numbers(dtype, shape, int_val, |value| [value as u8])
        }
        // Only the eight-bit floats are left.
        _ => {
            from_numbers(dtype, shape, message.float8_val.iter().map(|&b| i32::from(b)).collect(), |value| {
                [value as u8]
            })
        }
    }
}

/// Makes a tensor of a dtype without a Rust type.
fn from_numbers<const N: usize>(
    dtype: DType,
    shape: Shape,
    values: Vec<i32>,
    bytes: impl Fn(i32) -> [u8; N],
) -> Result<Tensor, SummaryError> {
    let values = filled(values, dtype, &shape)?;
    let bytes: Vec<u8> = values.into_iter().flat_map(bytes).collect();
    Ok(Tensor::from_le_bytes(dtype, shape, bytes)?)
}

/// Returns as many values as the shape needs, the last one repeated. Surplus values are left for the tensor's
/// own check to refuse.
fn filled<T: Clone + Default>(
    mut values: Vec<T>,
    dtype: DType,
    shape: &Shape,
) -> Result<Vec<T>, SummaryError> {
    let elements = shape.elements();
    if values.len() < elements {
        // A few bytes can claim any shape, so the part that is filled up is bounded.
        if elements.saturating_mul(size_of::<T>()) > MAX_FILLED {
            let reason = format!("{shape} of {dtype} is too large to fill up {} values", values.len());
            return Err(SummaryError::StoredShape { reason });
        }
        // TensorFlow's rule for a shape with more elements than values: the last one repeats, and without any
        // it is zero.
        let last = values.last().cloned().unwrap_or_default();
        values.resize(elements, last);
    }
    Ok(values)
}

/// Makes complex numbers of their parts in turn.
fn pairs<T: Copy>(parts: &[T]) -> Vec<Complex<T>> {
    parts.chunks_exact(2).map(|part| Complex::new(part[0], part[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(message: &TensorProto) -> Result<Tensor, SummaryError> {
        StoredTensor::from_encoded(message.encode_to_vec()).to_tensor()
    }

    fn message(dtype: DType, dims: &[i64]) -> TensorProto {
        let dim = dims.iter().map(|&size| Dimension { size }).collect();
        let tensor_shape = Some(TensorShape { dim, unknown_rank: false });
        TensorProto { dtype: dtype.number(), tensor_shape, ..TensorProto::default() }
    }

    #[test]
    fn every_dtype_is_stored_and_read_back() {
        for dtype in DType::all() {
            let Ok(tensor) = Tensor::zeros(dtype, [2, 3]) else { continue };
            assert_eq!(StoredTensor::new(&tensor).unwrap().to_tensor().unwrap(), tensor, "{dtype}");
            // Without a value, all are zeros.
            assert_eq!(decoded(&message(dtype, &[2, 3])).unwrap(), tensor, "{dtype}");
        }
        let strings = Tensor::from(["a", ""]);
        assert_eq!(StoredTensor::new(&strings).unwrap().to_tensor().unwrap(), strings);
        let handle = Tensor::from_handle(DType::Resource, std::sync::Arc::new(1));
        assert!(matches!(StoredTensor::new(&handle), Err(SummaryError::DType { .. })));
    }

    #[test]
    fn the_last_value_fills_the_rest() {
        let mut floats = message(DType::Float32, &[4]);
        floats.float_val = vec![1.0, 2.0];
        assert_eq!(decoded(&floats).unwrap(), Tensor::from([1.0f32, 2.0, 2.0, 2.0]));
        let mut halves = message(DType::Float16, &[2]);
        halves.half_val = vec![0x3c00];
        assert_eq!(decoded(&halves).unwrap(), Tensor::from([f16::ONE, f16::ONE]));
        let mut complex = message(DType::Complex64, &[2]);
        complex.scomplex_val = vec![1.0, 2.0];
        assert_eq!(decoded(&complex).unwrap(), Tensor::from([Complex::new(1.0f32, 2.0); 2]));
        let mut quantized = message(DType::QInt32, &[2]);
        quantized.int_val = vec![-7];
        assert_eq!(decoded(&quantized).unwrap().to_string(), "[-7 -7]");
        let mut eight = message(DType::Float8E5M2, &[2]);
        eight.float8_val = Bytes::from_static(&[0x3c]);
        assert_eq!(decoded(&eight).unwrap().as_bytes().unwrap(), [0x3c, 0x3c]);
    }

    #[test]
    fn one_element_is_a_number() {
        let number = |tensor: Tensor| StoredTensor::new(&tensor).unwrap().number();
        assert_eq!(number(Tensor::scalar(7i64)), Some(7.0));
        assert_eq!(number(Tensor::from([1.5f32])), Some(1.5));
        assert_eq!(number(Tensor::scalar(f16::from_f64(1.5))), Some(1.5));
        assert_eq!(number(Tensor::scalar(true)), Some(1.0));
        assert_eq!(number(Tensor::scalar(Complex::new(1.0f32, 2.0))), None);
        assert_eq!(number(Tensor::from("1.5")), None);
        assert_eq!(number(Tensor::from([1.0f32, 2.0])), None);
        // The format fills up a missing value with zero.
        assert_eq!(
            StoredTensor::from_encoded(message(DType::Float32, &[]).encode_to_vec()).number(),
            Some(0.0)
        );
        let huge = message(DType::Int64, &[1 << 24]);
        assert_eq!(StoredTensor::from_encoded(huge.encode_to_vec()).number(), None);
    }

    #[test]
    fn bad_messages_are_errors() {
        let mut surplus = message(DType::Int64, &[1]);
        surplus.int64_val = vec![1, 2];
        assert!(matches!(decoded(&surplus), Err(SummaryError::Tensor(_))));
        let mut short = message(DType::Int64, &[2]);
        short.tensor_content = Bytes::from_static(&[0; 9]);
        assert!(matches!(decoded(&short), Err(SummaryError::Tensor(_))));
        let mut no_bool = message(DType::Bool, &[1]);
        no_bool.tensor_content = Bytes::from_static(&[2]);
        assert!(matches!(decoded(&no_bool), Err(SummaryError::Tensor(_))));
        let huge = message(DType::Int64, &[i64::MAX, i64::MAX]);
        assert!(matches!(decoded(&huge), Err(SummaryError::StoredShape { .. })));
        assert!(matches!(
            decoded(&message(DType::String, &[1 << 40])),
            Err(SummaryError::StoredShape { .. })
        ));
        assert!(matches!(decoded(&message(DType::Int8, &[-1])), Err(SummaryError::StoredShape { .. })));
        assert!(matches!(decoded(&message(DType::Variant, &[])), Err(SummaryError::DType { .. })));
        let mut unknown = message(DType::Int8, &[]);
        unknown.dtype = 99;
        assert!(matches!(decoded(&unknown), Err(SummaryError::UnknownDType { number: 99 })));
        let mut rank = message(DType::Int8, &[]);
        rank.tensor_shape = Some(TensorShape { dim: vec![], unknown_rank: true });
        assert!(matches!(decoded(&rank), Err(SummaryError::StoredShape { .. })));
        assert!(matches!(StoredTensor::from_encoded(&b"\x12"[..]).to_tensor(), Err(SummaryError::Decode(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_tensor_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = StoredTensor::from_encoded(bytes).to_tensor();
        }
    }
}
