//! The comparison of values.

use session_core::{DType, Tensor};

/// The tolerance, relative to the larger of both numbers and to the largest number of the tensor.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::Float64 | DType::Complex128 => 1e-13,
        DType::Float32 | DType::Complex64 => 2e-6,
        DType::Float16 => 2.0 / 1024.0,
        DType::BFloat16 => 2.0 / 128.0,
        _ => 0.0,
    }
}

/// Returns the elements as doubles, real and imaginary parts in turn; `None` for dtypes without numbers.
fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let bytes = tensor.as_bytes().ok()?;
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.chunks_exact(N).map(|chunk| number(chunk.try_into().unwrap())).collect()
    }
    Some(match tensor.dtype() {
        DType::Float32 | DType::Complex64 => each(bytes, |b| f32::from_ne_bytes(b).into()),
        DType::Float64 | DType::Complex128 => each(bytes, f64::from_ne_bytes),
        DType::Float16 => each(bytes, |b| tensor::f16::from_ne_bytes(b).to_f64()),
        DType::BFloat16 => each(bytes, |b| tensor::bf16::from_ne_bytes(b).to_f64()),
        DType::Int32 | DType::QInt32 => each(bytes, |b| i32::from_ne_bytes(b).into()),
        _ => return None,
    })
}

/// Describes the difference between the values of our engine and TensorFlow's; `slack` multiplies the tolerance.
pub(crate) fn difference(ours: &Tensor, theirs: &Tensor, slack: f64) -> Option<String> {
    if ours.dtype() != theirs.dtype() {
        return Some(format!("dtype {}, TensorFlow {}", ours.dtype(), theirs.dtype()));
    }
    if ours.shape() != theirs.shape() {
        return Some(format!("shape {}, TensorFlow {}", ours.shape(), theirs.shape()));
    }
    if matches!(ours.dtype(), DType::Resource | DType::Variant) {
        return None;
    }
    let differing = || Some(format!("{ours:?}, TensorFlow {theirs:?}"));
    let tolerance = tolerance(ours.dtype()) * slack;
    if tolerance == 0.0 {
        return if ours == theirs { None } else { differing() };
    }
    let (found, expected) = (numbers(ours)?, numbers(theirs)?);
    let largest = expected.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()));
    for (i, (&a, &b)) in found.iter().zip(&expected).enumerate() {
        let same = a == b
            || a.is_nan() && b.is_nan()
            || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(largest * 0.25);
        if !same {
            return Some(format!("[{i}] is {a:e}, TensorFlow {b:e}; {ours:?}, TensorFlow {theirs:?}"));
        }
    }
    None
}
