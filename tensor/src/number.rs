//! Numbers whose dtype is not known yet.

use crate::{Complex, DType, Tensor, TensorError, bf16, f16};
use std::fmt;

/// A number of any type, kept exactly until its dtype is known, such as a literal next to a tensor.
///
/// ```
/// use tensor::{DType, Number, Tensor};
/// assert_eq!(Tensor::try_of_number(DType::Int64, i64::MAX), Ok(Tensor::scalar(i64::MAX)));
/// assert_eq!(Tensor::try_of_number(DType::UInt8, 2.0), Ok(Tensor::scalar(2u8)));
/// assert!(Tensor::try_of_number(DType::UInt8, 300).is_err());
/// assert!(Tensor::try_of_number(DType::Int32, 0.5).is_err());
/// assert_eq!(Number::from(7u8), Number::Int(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i128),
    /// A real number.
    Float(f64),
    /// A complex number.
    Complex(Complex<f64>),
}

impl Number {
    /// Returns the number as an integer, if it is integral.
    fn integer(self) -> Option<i128> {
        match self {
            Number::Int(value) => Some(value),
            // No integer dtype exceeds 2^127.
            Number::Float(value) if value.fract() == 0.0 && value.abs() < 2f64.powi(127) => {
                Some(value as i128)
            }
            Number::Float(_) => None,
            Number::Complex(value) if value.im == 0.0 => Number::Float(value.re).integer(),
            Number::Complex(_) => None,
        }
    }

    /// Returns the nearest real number, unless the number has an imaginary part.
    fn real(self) -> Option<f64> {
        match self {
            Number::Int(value) => Some(value as f64),
            Number::Float(value) => Some(value),
            Number::Complex(value) => (value.im == 0.0).then_some(value.re),
        }
    }

    fn complex(self) -> Complex<f64> {
        match self {
            Number::Complex(value) => value,
            Number::Int(value) => Complex::new(value as f64, 0.0),
            Number::Float(value) => Complex::new(value, 0.0),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(value) => write!(f, "{value}"),
            Number::Float(value) => write!(f, "{value:?}"),
            Number::Complex(value) => write!(f, "{value}"),
        }
    }
}

macro_rules! from_numbers {
    ($($type:ty => |$value:ident| $number:expr;)*) => {$(
        impl From<$type> for Number {
            fn from($value: $type) -> Number {
                $number
            }
        }
    )*};
}

from_numbers! {
    i8 => |value| Number::Int(value.into());
    i16 => |value| Number::Int(value.into());
    i32 => |value| Number::Int(value.into());
    i64 => |value| Number::Int(value.into());
    u8 => |value| Number::Int(value.into());
    u16 => |value| Number::Int(value.into());
    u32 => |value| Number::Int(value.into());
    u64 => |value| Number::Int(value.into());
    isize => |value| Number::Int(value as i128);
    usize => |value| Number::Int(value as i128);
    f16 => |value| Number::Float(value.into());
    bf16 => |value| Number::Float(value.into());
    f32 => |value| Number::Float(value.into());
    f64 => |value| Number::Float(value);
    Complex<f32> => |value| Number::Complex(Complex::new(value.re.into(), value.im.into()));
    Complex<f64> => |value| Number::Complex(value);
}

impl Tensor {
    /// Creates a scalar of a dtype and value. Floating-point dtypes round the value.
    ///
    /// ```
    /// use tensor::{DType, Tensor};
    /// assert_eq!(Tensor::try_of_number(DType::Float32, 1), Ok(Tensor::scalar(1.0f32)));
    /// assert!(Tensor::try_of_number(DType::Int8, 200).is_err());
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Number`] if the dtype cannot hold the number: a fraction or an out-of-range number for
    /// an integer dtype, a finite number that would become infinite, an imaginary part for a real dtype, or a
    /// dtype that is not numeric.
    pub fn try_of_number(dtype: DType, number: impl Into<Number>) -> Result<Tensor, TensorError> {
        let number = number.into();
        held(dtype, number).ok_or_else(|| TensorError::Number { dtype, number: number.to_string() })
    }

    /// Converts all elements to another numeric dtype, as [`try_of_number`](Tensor::try_of_number) converts a
    /// single number.
    ///
    /// ```
    /// use tensor::{DType, Tensor};
    /// assert_eq!(Tensor::from([1, 2]).try_convert(DType::Float32), Ok(Tensor::from([1f32, 2.0])));
    /// assert!(Tensor::from([1, 300]).try_convert(DType::UInt8).is_err());
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Number`] for the first element that the dtype cannot hold; [`TensorError::DType`] if
    /// the tensor is not numeric.
    pub fn try_convert(&self, dtype: DType) -> Result<Tensor, TensorError> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        let mut bytes = Vec::new();
        for number in self.numbers()? {
            bytes.extend_from_slice(Tensor::try_of_number(dtype, number)?.as_bytes()?);
        }
        Tensor::from_bytes(dtype, self.shape(), bytes)
    }

    fn numbers(&self) -> Result<Vec<Number>, TensorError> {
        macro_rules! each {
            ($($dtype:ident: $type:ty),*) => {
                match self.dtype() {
                    $(DType::$dtype => self.as_slice::<$type>()?.iter().map(|&value| Number::from(value)).collect(),)*
                    found => return Err(TensorError::DType { expected: DType::Float64, found }),
                }
            };
        }
        Ok(each!(
            Int8: i8, Int16: i16, Int32: i32, Int64: i64, UInt8: u8, UInt16: u16, UInt32: u32, UInt64: u64,
            Float16: f16, BFloat16: bf16, Float32: f32, Float64: f64, Complex64: Complex<f32>,
            Complex128: Complex<f64>
        ))
    }
}

fn held(dtype: DType, number: Number) -> Option<Tensor> {
    macro_rules! integer {
        ($type:ty) => {
            // Through an `i128`, which holds every integer dtype: one comparison, and no cast that could
            // wrap.
            <$type>::try_from(number.integer()?).ok().map(Tensor::from)
        };
    }
    match dtype {
        DType::Int8 => integer!(i8),
        DType::Int16 => integer!(i16),
        DType::Int32 => integer!(i32),
        DType::Int64 => integer!(i64),
        DType::UInt8 => integer!(u8),
        DType::UInt16 => integer!(u16),
        DType::UInt32 => integer!(u32),
        DType::UInt64 => integer!(u64),
        DType::Float16 => {
            let value = number.real()?;
            let rounded = f16::from_f64(value);
            (rounded.is_finite() || !value.is_finite()).then(|| Tensor::from(rounded))
        }
        DType::BFloat16 => {
            let value = number.real()?;
            let rounded = bf16::from_f64(value);
            (rounded.is_finite() || !value.is_finite()).then(|| Tensor::from(rounded))
        }
        DType::Float32 => single(number.real()?).map(Tensor::from),
        DType::Float64 => number.real().map(Tensor::from),
        DType::Complex64 => {
            let value = number.complex();
            Some(Tensor::from(Complex::new(single(value.re)?, single(value.im)?)))
        }
        DType::Complex128 => Some(Tensor::from(number.complex())),
        _ => None,
    }
}

/// Rounds to `f32`, unless a finite number would become infinite.
fn single(value: f64) -> Option<f32> {
    let rounded = value as f32;
    (rounded.is_finite() || !value.is_finite()).then_some(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dtype_takes_what_it_can_hold() {
        use DType::*;
        let holds = |dtype, number: Number| Tensor::try_of_number(dtype, number).is_ok();
        let rows: [(DType, Number, bool); 22] = [
            (Int32, 0.5.into(), false),
            (Int32, 2.0.into(), true),
            (Int32, f64::NAN.into(), false),
            (Int32, f64::INFINITY.into(), false),
            (Int32, i32::MIN.into(), true),
            (Int32, (i64::from(i32::MIN) - 1).into(), false),
            (Int64, i64::MAX.into(), true),
            (Int64, u64::MAX.into(), false),
            (Int64, 9_223_372_036_854_775_808.0.into(), false),
            (UInt64, u64::MAX.into(), true),
            (UInt64, (-1).into(), false),
            (UInt8, 255.into(), true),
            (UInt8, 256.into(), false),
            (Float16, 65504.into(), true),
            (Float16, 1e6.into(), false),
            (Float16, f64::INFINITY.into(), true),
            (BFloat16, 1e39.into(), false),
            (Float32, 1e39.into(), false),
            (Float32, 1e-60.into(), true),
            (Float32, Complex::new(1.0, 2.0).into(), false),
            (Complex64, Complex::new(1.0, 2.0).into(), true),
            (String, 1.into(), false),
        ];
        for (dtype, number, expected) in rows {
            assert_eq!(holds(dtype, number), expected, "{number} as {dtype}");
        }
        let error = Tensor::try_of_number(Int32, 0.5).unwrap_err();
        assert_eq!(error.to_string(), "int32 cannot hold 0.5");
    }

    #[test]
    fn integers_are_exact() {
        let exact = (1i64 << 53) + 1;
        assert_eq!(Tensor::try_of_number(DType::Int64, exact), Ok(Tensor::scalar(exact)));
        assert_eq!(Tensor::from([exact]).try_convert(DType::UInt64), Ok(Tensor::from([exact as u64])));
    }
}
