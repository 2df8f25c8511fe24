//! Single values of any numeric type.

use crate::{Complex, DType, Tensor, TensorError, bf16, f16};

impl Tensor {
    /// Creates a scalar of a dtype from a number, which is rounded to the dtype. For dtypes that are not
    /// numeric: `false` for 0 and `true` otherwise, and the empty string. Other dtypes, such as quantized
    /// ones, yield `float32`.
    ///
    /// ```
    /// # use tensor::{DType, Tensor};
    /// assert_eq!(Tensor::of_number(DType::Int32, 7.0), Tensor::scalar(7i32));
    /// assert_eq!(Tensor::of_number(DType::Bool, 7.0), Tensor::scalar(true));
    /// ```
    #[must_use]
    pub fn of_number(dtype: DType, value: f64) -> Tensor {
        match dtype {
            DType::Float64 => Tensor::from(value),
            DType::Float16 => Tensor::from(f16::from_f64(value)),
            DType::BFloat16 => Tensor::from(bf16::from_f64(value)),
            // Rust's casts saturate and turn NaN into 0, so every number gives a defined value.
            DType::Int8 => Tensor::from(value as i8),
            DType::Int16 => Tensor::from(value as i16),
            DType::Int32 => Tensor::from(value as i32),
            DType::Int64 => Tensor::from(value as i64),
            DType::UInt8 => Tensor::from(value as u8),
            DType::UInt16 => Tensor::from(value as u16),
            DType::UInt32 => Tensor::from(value as u32),
            DType::UInt64 => Tensor::from(value as u64),
            DType::Bool => Tensor::from(value != 0.0),
            DType::Complex64 => Tensor::from(Complex::new(value as f32, 0.0)),
            DType::Complex128 => Tensor::from(Complex::new(value, 0.0)),
            DType::String => Tensor::from(""),
            _ => Tensor::from(value as f32),
        }
    }

    /// Returns the only element of a tensor of any integer dtype, such as a global step.
    ///
    /// ```
    /// # use tensor::Tensor;
    /// assert_eq!(Tensor::scalar(7u8).as_scalar_i64(), Ok(7));
    /// assert!(Tensor::scalar(7.0f32).as_scalar_i64().is_err());
    /// ```
    ///
    /// # Errors
    /// [`TensorError::NotSingle`]; [`TensorError::DType`] (expecting `int64`) for other dtypes; and
    /// [`TensorError::Range`] for a `uint64` over `i64::MAX`.
    pub fn as_scalar_i64(&self) -> Result<i64, TensorError> {
        match self.dtype() {
            DType::Int8 => self.value::<i8>().map(i64::from),
            DType::Int16 => self.value::<i16>().map(i64::from),
            DType::Int32 => self.value::<i32>().map(i64::from),
            DType::Int64 => self.value::<i64>(),
            DType::UInt8 => self.value::<u8>().map(i64::from),
            DType::UInt16 => self.value::<u16>().map(i64::from),
            DType::UInt32 => self.value::<u32>().map(i64::from),
            DType::UInt64 => {
                let value = self.value::<u64>()?;
                i64::try_from(value).map_err(|_| TensorError::Range { value })
            }
            DType::Int4 => self.single_byte().map(|byte| i64::from(byte.cast_signed())),
            DType::UInt4 => self.single_byte().map(i64::from),
            found => Err(TensorError::DType { expected: DType::Int64, found }),
        }
    }

    /// Returns the only element of a tensor of any floating-point dtype, such as a loss. Every value fits a
    /// double exactly.
    ///
    /// ```
    /// # use tensor::{Tensor, bf16};
    /// assert_eq!(Tensor::scalar(bf16::from_f32(0.5)).as_scalar_f64(), Ok(0.5));
    /// ```
    ///
    /// # Errors
    /// [`TensorError::NotSingle`], and [`TensorError::DType`] (expecting `float64`) for other dtypes.
    pub fn as_scalar_f64(&self) -> Result<f64, TensorError> {
        match self.dtype() {
            DType::Float64 => self.value::<f64>(),
            DType::Float32 => self.value::<f32>().map(f64::from),
            DType::Float16 => self.value::<f16>().map(f64::from),
            DType::BFloat16 => self.value::<bf16>().map(f64::from),
            DType::Float8E5M2 => self.single_byte().map(|byte| E5M2.decode(byte)),
            DType::Float8E4M3FN => self.single_byte().map(|byte| E4M3FN.decode(byte)),
            DType::Float8E4M3FNUZ => self.single_byte().map(|byte| E4M3FNUZ.decode(byte)),
            DType::Float8E4M3B11FNUZ => self.single_byte().map(|byte| E4M3B11FNUZ.decode(byte)),
            DType::Float8E5M2FNUZ => self.single_byte().map(|byte| E5M2FNUZ.decode(byte)),
            found => Err(TensorError::DType { expected: DType::Float64, found }),
        }
    }

    /// Returns the text of a string tensor with one element. Invalid UTF-8 becomes U+FFFD.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from("step").to_string_lossy()?, "step");
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::DType`] and [`TensorError::NotSingle`].
    pub fn to_string_lossy(&self) -> Result<String, TensorError> {
        match self.as_strings()? {
            [text] => Ok(String::from_utf8_lossy(text).into_owned()),
            _ => Err(TensorError::NotSingle { shape: self.shape().clone() }),
        }
    }

    fn single_byte(&self) -> Result<u8, TensorError> {
        match self.as_bytes()? {
            [byte] => Ok(*byte),
            _ => Err(TensorError::NotSingle { shape: self.shape().clone() }),
        }
    }
}

/// The meaning of the bits of an eight-bit float, after the sign.
struct Float8 {
    mantissa_bits: u32,
    bias: i32,
    specials: Specials,
}

/// The bit patterns that are not finite numbers.
#[derive(PartialEq)]
enum Specials {
    /// The special values of IEEE 754: the highest exponent is infinity and NaN.
    Ieee,
    /// All bits set is NaN, with either sign. There is no infinity.
    AllOnes,
    /// The pattern of negative zero is NaN. There is no infinity.
    MinusZero,
}

const E5M2: Float8 = Float8 { mantissa_bits: 2, bias: 15, specials: Specials::Ieee };
const E4M3FN: Float8 = Float8 { mantissa_bits: 3, bias: 7, specials: Specials::AllOnes };
const E4M3FNUZ: Float8 = Float8 { mantissa_bits: 3, bias: 8, specials: Specials::MinusZero };
const E4M3B11FNUZ: Float8 = Float8 { mantissa_bits: 3, bias: 11, specials: Specials::MinusZero };
const E5M2FNUZ: Float8 = Float8 { mantissa_bits: 2, bias: 16, specials: Specials::MinusZero };

impl Float8 {
    fn decode(&self, byte: u8) -> f64 {
        let one = 1u8 << self.mantissa_bits;
        let (exponent, mantissa) = ((byte & 0x7f) >> self.mantissa_bits, byte & (one - 1));
        let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
        match self.specials {
            Specials::MinusZero if byte == 0x80 => return f64::NAN,
            Specials::AllOnes if byte & 0x7f == 0x7f => return f64::NAN,
            Specials::Ieee if exponent == 0x7f >> self.mantissa_bits => {
                return if mantissa == 0 { sign * f64::INFINITY } else { f64::NAN };
            }
            _ => {}
        }
        // An exponent of 0 has the same power as 1, but no implicit leading one (subnormal).
        let digits = if exponent == 0 { mantissa } else { mantissa + one };
        let power = i32::from(exponent.max(1)) - self.bias - self.mantissa_bits as i32;
        sign * f64::from(digits) * 2f64.powi(power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(dtype: DType, byte: u8) -> Tensor {
        Tensor::from_bytes(dtype, [], vec![byte]).unwrap()
    }

    #[test]
    fn integers_of_every_type_are_read() {
        for tensor in [
            Tensor::scalar(-3i8),
            Tensor::scalar(-3i16),
            Tensor::from([-3i32]),
            Tensor::from([[-3i64]]),
            byte(DType::Int4, 0xfd),
        ] {
            assert_eq!(tensor.as_scalar_i64(), Ok(-3), "{tensor:?}");
        }
        for tensor in [
            Tensor::scalar(3u8),
            Tensor::scalar(3u16),
            Tensor::scalar(3u32),
            Tensor::scalar(3u64),
            byte(DType::UInt4, 3),
        ] {
            assert_eq!(tensor.as_scalar_i64(), Ok(3), "{tensor:?}");
        }
        assert_eq!(Tensor::scalar(u64::MAX).as_scalar_i64(), Err(TensorError::Range { value: u64::MAX }));
        assert!(matches!(Tensor::scalar(true).as_scalar_i64(), Err(TensorError::DType { .. })));
        assert!(matches!(Tensor::from([1i64, 2]).as_scalar_i64(), Err(TensorError::NotSingle { .. })));
    }

    #[test]
    fn floats_of_every_type_are_read() {
        for tensor in [
            Tensor::scalar(-1.5f64),
            Tensor::scalar(-1.5f32),
            Tensor::scalar(f16::from_f32(-1.5)),
            Tensor::scalar(bf16::from_f32(-1.5)),
            byte(DType::Float8E5M2, 0xbe),
            byte(DType::Float8E4M3FN, 0xbc),
            byte(DType::Float8E4M3FNUZ, 0xc4),
            byte(DType::Float8E4M3B11FNUZ, 0xdc),
            byte(DType::Float8E5M2FNUZ, 0xc2),
        ] {
            assert_eq!(tensor.as_scalar_f64(), Ok(-1.5), "{tensor:?}");
        }
        assert_eq!(byte(DType::Float8E4M3FN, 0x7e).as_scalar_f64(), Ok(448.0));
        assert_eq!(byte(DType::Float8E5M2, 1).as_scalar_f64(), Ok(2f64.powi(-16)));
        assert_eq!(byte(DType::Float8E5M2, 0xfc).as_scalar_f64(), Ok(f64::NEG_INFINITY));
        for nan in [byte(DType::Float8E4M3FN, 0xff), byte(DType::Float8E5M2FNUZ, 0x80)] {
            assert!(nan.as_scalar_f64().unwrap().is_nan());
        }
        assert!(Tensor::scalar(1i32).as_scalar_f64().is_err());
    }

    #[test]
    fn strings_are_read_as_text() {
        assert_eq!(Tensor::string(&b"a\xffb"[..]).to_string_lossy(), Ok("a\u{fffd}b".to_owned()));
        assert!(Tensor::from(&["a", "b"][..]).to_string_lossy().is_err());
        assert!(Tensor::scalar(1u8).to_string_lossy().is_err());
    }
}
