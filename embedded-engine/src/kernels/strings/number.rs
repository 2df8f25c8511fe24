//! Text as numbers.
//!
//! Blanks around a number are allowed. Text that is not a number of the dtype is an `InvalidArgument` error
//! that quotes it.
//!
//! # Semantics
//!
//! `StringToNumber` converts strings of any shape to `out_type`: `float32`, `float64`, `int32`, `int64`,
//! `uint32` or `uint64`. Integers are decimal with an optional sign and must fit; floats may be decimal,
//! hexadecimal (`0x1.8p3`), `inf`, `infinity` or `nan` in any case. `DecodeCSV` reads its fields by the same
//! functions.

use super::trimmed;
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::str::FromStr;
use tensor::{DType, Element, Tensor, memory};

/// Registers `StringToNumber`. Other dtypes are `Unimplemented`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("StringToNumber", |spec| match spec.dtype("out_type")? {
        DType::Float32 => Ok(boxed(|context| numbers::<f32>(context, float))),
        DType::Float64 => Ok(boxed(|context| numbers::<f64>(context, float))),
        DType::Int32 => Ok(boxed(|context| numbers::<i32>(context, integer))),
        DType::Int64 => Ok(boxed(|context| numbers::<i64>(context, integer))),
        DType::UInt32 => Ok(boxed(|context| numbers::<u32>(context, integer))),
        DType::UInt64 => Ok(boxed(|context| numbers::<u64>(context, integer))),
        other => Err(super::unsupported("numbers from text", other)),
    });
}

/// Delivers the numbers; the first string that is none ends the operation.
fn numbers<T: Element>(context: &mut KernelContext<'_>, read: fn(&[u8]) -> Option<T>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let numbers = context.input(0).as_strings()?.iter().map(|text| {
        read(text).ok_or_else(|| {
            let text = String::from_utf8_lossy(text);
            Error::invalid_argument(format!("StringToNumberOp could not correctly convert string: {text}"))
        })
    });
    let numbers: Vec<T> = memory::try_collected(numbers)?;
    context.set(0, Tensor::from_vec(numbers, shape)?);
    Ok(())
}

/// A number that [`float`] reads.
///
/// Decimal text is rounded once, to the type itself; hexadecimal text goes through `f64`.
pub(in crate::kernels) trait Float: FromStr {
    /// Rounds to the type.
    fn from_f64(value: f64) -> Self;
}

impl Float for f32 {
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
}

impl Float for f64 {
    fn from_f64(value: f64) -> f64 {
        value
    }
}

/// Returns an integer with white space around it, or nothing for another text or one that does not fit.
///
/// Unsigned types accept a plus sign but no minus sign.
pub(in crate::kernels) fn integer<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(trimmed(text)).ok()?.parse().ok()
}

/// Returns a decimal or hexadecimal number, an infinity or not a number, with white space around it. Those
/// too large are infinite.
///
/// Text that is not UTF-8 is none of these.
pub(in crate::kernels) fn float<T: Float>(text: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(trimmed(text)).ok()?;
    text.parse().ok().or_else(|| hexadecimal(text).or_else(|| payload(text)).map(T::from_f64))
}

/// Returns a number like `0x1.8p3`, with an optional sign: the hexadecimal digits times a power of two.
///
/// The exponent may be absent. `None` for any other text, and for a number without digits.
fn hexadecimal(text: &str) -> Option<f64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let (digits, exponent) = match digits.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, clamped(exponent)?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    // Each digit after the point was read as one in front of it.
    let scale = exponent.saturating_sub(4 * i32::try_from(fraction.len()).ok()?);
    // Times a power of two that is infinite, this would be NaN.
    if value == 0.0 {
        return Some(if negative { -value } else { value });
    }
    // In two factors: one alone may be too small for a number that is not.
    let value = value * 2f64.powi(scale / 2) * 2f64.powi(scale - scale / 2);
    Some(if negative { -value } else { value })
}

/// Returns a decimal exponent, clamped to one beyond the range of all floats.
fn clamped(exponent: &str) -> Option<i32> {
    const BEYOND: i64 = 1 << 20;
    match exponent.parse::<i64>() {
        Ok(exponent) => Some(exponent.clamp(-BEYOND, BEYOND) as i32),
        Err(error) => match error.kind() {
            std::num::IntErrorKind::PosOverflow => Some(BEYOND as i32),
            std::num::IntErrorKind::NegOverflow => Some(-BEYOND as i32),
            _ => None,
        },
    }
}

/// Returns not a number for text like `nan(1)`, whose payload of letters, digits and underscores is ignored.
fn payload(text: &str) -> Option<f64> {
    let (name, payload) = text.strip_suffix(')')?.split_once('(')?;
    let is_plain = payload.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    name.parse::<f64>().ok().filter(|name| name.is_nan() && is_plain)
}
