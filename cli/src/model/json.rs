//! Tensors as JSON: nested arrays of numbers, truth values or strings.
//!
//! Bytes that are not UTF-8 are written as `{"b64": "..."}`, numbers that JSON does not have by their names, complex numbers as
//! arrays of two parts.
//!
//! # Forms of elements
//!
//! | dtype | written | read |
//! |---|---|---|
//! | floats | a number; NaN and infinities as `"NaN"`, `"inf"`, `"-inf"` | the same; a number beyond the range is an error |
//! | integers | a number | a number without a fraction, within the range |
//! | `bool` | `true` or `false` | the same |
//! | `string` | a string, or `{"b64": ...}` if it is not UTF-8 | the same |
//! | complex | an array of two numbers | refused: pass a `.npy` file |
//! | others | the text that a print shows | refused |
//!
//! A `float32` is written as the `float64` of the same value, whose decimal form is longer than needed but exact: a
//! program that reads it into `float32` gets the same bits.
//!
//! The dtype is not part of the JSON. A reader gets it from the model, so one file serves models with `float32` and
//! `float64` inputs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use monitored_session::session_core::{DType, Error, Result, Tensor};
use monitored_session::tensor::{Bytes, Element, bf16, f16, memory};
use serde_json::{Map, Value as Json, json};

/// Converts named tensors to a JSON object.
///
/// # Errors
/// [`from_tensor`]'s.
pub(crate) fn from_tensors<'t>(
    tensors: impl IntoIterator<Item = (&'t String, &'t Tensor)>,
) -> Result<Map<String, Json>> {
    tensors.into_iter().map(|(name, tensor)| Ok((name.clone(), from_tensor(tensor)?))).collect()
}

/// Converts a tensor to JSON.
///
/// # Errors
/// `ResourceExhausted` where the JSON, many times as large as the tensor, does not fit into the available memory.
pub(crate) fn from_tensor(tensor: &Tensor) -> Result<Json> {
    // The values of all elements, and again in nested arrays.
    memory::check(tensor.elements().saturating_mul(2 * size_of::<Json>()))?;
    fn plain<T: Element + Copy + Into<Json>>(tensor: &Tensor) -> Vec<Json> {
        let values = tensor.as_slice::<T>().unwrap_or_default();
        values.iter().map(|&value| value.into()).collect()
    }
    let flat: Vec<Json> = match tensor.dtype() {
        DType::Float32 => {
            let values = tensor.as_slice::<f32>().unwrap_or_default();
            // Through `f64`, which is exact; a shorter form would need a reader that rounds the same way.
            values.iter().map(|&value| number(f64::from(value))).collect()
        }
        DType::Float64 => {
            let values = tensor.as_slice::<f64>().unwrap_or_default();
            values.iter().map(|&value| number(value)).collect()
        }
        DType::Int64 => plain::<i64>(tensor),
        DType::Int32 => plain::<i32>(tensor),
        DType::Int16 => plain::<i16>(tensor),
        DType::Int8 => plain::<i8>(tensor),
        DType::UInt8 => plain::<u8>(tensor),
        DType::UInt16 => plain::<u16>(tensor),
        DType::UInt32 => plain::<u32>(tensor),
        DType::UInt64 => plain::<u64>(tensor),
        DType::Bool => plain::<bool>(tensor),
        DType::String => tensor.as_strings().unwrap_or_default().iter().map(string).collect(),
        dtype => {
            // Handles and variants have no numbers, but a text that describes them.
            let Some(numbers) = tensor.iter_f64() else { return Ok(tensor.to_string().into()) };
            let numbers: Vec<Json> = numbers.map(number).collect();
            // A complex number is an array of its two parts.
            match dtype.is_complex() {
                true => numbers.chunks(2).map(|parts| Json::Array(parts.to_vec())).collect(),
                false => numbers,
            }
        }
    };
    Ok(nested(&mut flat.into_iter(), tensor.shape().dims()))
}

/// Converts a number; NaN and infinities have names.
pub(super) fn number(value: f64) -> Json {
    // JSON has no NaN and no infinities, and `null` would not tell them apart.
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Json::Number)
}

/// Converts a string: to text if it is UTF-8, otherwise to an object with its base64 form.
fn string(bytes: &Bytes) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"b64": BASE64_STANDARD.encode(bytes)}),
    }
}

/// Arranges elements in row-major order as nested arrays.
fn nested(flat: &mut impl Iterator<Item = Json>, dims: &[usize]) -> Json {
    match dims.split_first() {
        None => flat.next().unwrap_or(Json::Null),
        Some((&size, rest)) => Json::Array((0..size).map(|_| nested(flat, rest)).collect()),
    }
}

/// Converts JSON to a tensor of a dtype.
///
/// The shape is that of the first items; all other arrays must have the same lengths. An empty array has size 0 along
/// its dimension, and no further dimensions.
///
/// # Errors
/// A value error if arrays have different lengths; a type error for an item that the dtype cannot represent exactly,
/// and for dtypes without a JSON form.
pub(crate) fn to_tensor(value: &Json, dtype: DType) -> Result<Tensor> {
    let mut shape = Vec::new();
    let mut first = value;
    while let Json::Array(items) = first {
        shape.push(items.len());
        match items.first() {
            Some(item) => first = item,
            // An empty array ends the shape, since there is no item that could have a size.
            None => break,
        }
    }
    let mut flat = Vec::new();
    flatten(value, &shape, &mut flat)?;
    macro_rules! integers {
        ($type:ty) => {{
            let values: Result<Vec<$type>> = flat.iter().map(|item| integer(item)).collect();
            Tensor::from_vec(values?, shape)?
        }};
    }
    macro_rules! floats {
        ($narrow:expr) => {{
            let values: Result<Vec<_>> = flat.iter().map(|item| narrowed(item, dtype, $narrow)).collect();
            Tensor::from_vec(values?, shape)?
        }};
    }
    Ok(match dtype {
        DType::Float32 => floats!(|wide| wide as f32),
        DType::Float64 => floats!(|wide| wide),
        DType::Float16 => floats!(f16::from_f64),
        DType::BFloat16 => floats!(bf16::from_f64),
        DType::Int64 => integers!(i64),
        DType::Int32 => integers!(i32),
        DType::Int16 => integers!(i16),
        DType::Int8 => integers!(i8),
        DType::UInt8 => integers!(u8),
        DType::UInt16 => integers!(u16),
        DType::UInt32 => integers!(u32),
        DType::UInt64 => integers!(u64),
        DType::Bool => {
            let values: Result<Vec<bool>> =
                flat.iter().map(|item| item.as_bool().ok_or_else(|| unfit(item, dtype))).collect();
            Tensor::from_vec(values?, shape)?
        }
        DType::String => {
            let values: Result<Vec<Vec<u8>>> = flat.iter().map(|item| bytes(item)).collect();
            Tensor::from_strings(values?, shape)?
        }
        other => {
            return Err(Error::type_mismatch(format!("{other} cannot be given as JSON; pass a .npy file")));
        }
    })
}

/// Appends the items of nested arrays of this shape.
fn flatten<'j>(value: &'j Json, shape: &[usize], flat: &mut Vec<&'j Json>) -> Result<()> {
    match (value, shape.split_first()) {
        (Json::Array(items), Some((&size, rest))) if items.len() == size => {
            items.iter().try_for_each(|item| flatten(item, rest, flat))
        }
        (Json::Array(_), _) | (_, Some(_)) => {
            Err(Error::value("the JSON is not a rectangular array: its rows have different lengths"))
        }
        (item, None) => {
            flat.push(item);
            Ok(())
        }
    }
}

/// Returns the error for an item that the dtype cannot represent.
fn unfit(item: &Json, dtype: DType) -> Error {
    Error::type_mismatch(format!("{item} is not a {dtype}"))
}

/// Converts an item to a double. NaN and infinities are accepted as strings.
fn float(item: &Json) -> Result<f64> {
    // NaN and infinities have names in JSON that was written here.
    let named = || item.as_str().and_then(|text| text.parse().ok());
    item.as_f64().or_else(named).ok_or_else(|| unfit(item, DType::Float64))
}

/// Converts a number to a floating dtype. A number beyond its range is an error.
fn narrowed<T: Copy + Into<f64>>(item: &Json, dtype: DType, narrow: impl Fn(f64) -> T) -> Result<T> {
    let wide = float(item).map_err(|_| unfit(item, dtype))?;
    let narrow = narrow(wide);
    let held: f64 = narrow.into();
    // A finite number that becomes infinite is out of range; infinity itself was meant.
    if held.is_infinite() && wide.is_finite() { Err(unfit(item, dtype)) } else { Ok(narrow) }
}

/// Converts an item to an integer, and refuses fractions and numbers out of range.
fn integer<T: TryFrom<i128>>(item: &Json) -> Result<T> {
    // In 128 bits, which hold both the signed and the unsigned range.
    let whole = item.as_i64().map(i128::from).or_else(|| item.as_u64().map(i128::from));
    let fits = whole.and_then(|whole| T::try_from(whole).ok());
    fits.ok_or_else(|| Error::type_mismatch(format!("{item} is not an integer of the input's dtype")))
}

/// Converts a string, or an object with a base64 form.
fn bytes(item: &Json) -> Result<Vec<u8>> {
    if let Some(text) = item.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let encoded = item.get("b64").and_then(Json::as_str).ok_or_else(|| unfit(item, DType::String))?;
    BASE64_STANDARD
        .decode(encoded)
        .map_err(|error| Error::value("the text of 'b64' cannot be decoded").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitored_session::tensor::Complex;

    #[test]
    fn tensors_come_back_as_they_were() {
        let tensors = [
            Tensor::from([[1.5f32, f32::NEG_INFINITY], [0.0, -2.0]]),
            Tensor::scalar(0.1f64),
            Tensor::from([i64::MAX, i64::MIN]),
            Tensor::from([u64::MAX]),
            Tensor::from([true, false]),
            Tensor::from_strings([&b"a"[..], b"\xff\0"], [2, 1]).unwrap(),
            Tensor::from_vec(Vec::<i32>::new(), [0]).unwrap(),
            Tensor::from([f16::from_f64(1.5), f16::INFINITY]),
            Tensor::from([[bf16::from_f64(-2.0)]]),
        ];
        for tensor in tensors {
            assert_eq!(to_tensor(&from_tensor(&tensor).unwrap(), tensor.dtype()).unwrap(), tensor);
        }
        let nan = to_tensor(&from_tensor(&Tensor::scalar(f32::NAN)).unwrap(), DType::Float32).unwrap();
        assert!(nan.value::<f32>().unwrap().is_nan());
        let complex = Tensor::from([Complex::new(1.0f32, -2.0), Complex::new(0.5, 0.0)]);
        assert_eq!(from_tensor(&complex).unwrap(), json!([[1.0, -2.0], [0.5, 0.0]]));
    }

    #[test]
    fn incompatible_arguments_are_errors() {
        for (text, dtype) in [
            ("[[1], [1, 2]]", DType::Float32),
            ("[1, [2]]", DType::Float32),
            ("[[1], 2]", DType::Float32),
            ("300", DType::UInt8),
            ("1.5", DType::Int32),
            ("\"a\"", DType::Float32),
            ("1", DType::Bool),
            ("1", DType::String),
            ("{\"b64\": \"?\"}", DType::String),
            ("null", DType::Float64),
            ("1", DType::Complex64),
            ("1e39", DType::Float32),
            ("-1e6", DType::Float16),
        ] {
            let value: Json = serde_json::from_str(text).unwrap();
            assert!(to_tensor(&value, dtype).is_err(), "{text}");
        }
    }
}
