//! Summaries: what is seen of a step, serialized for event files.
//!
//! The messages are those of TensorFlow, byte for byte: histograms with its bucket limits, images as PNG,
//! audio as WAV of 16 bits. Tags of batches are numbered, such as `image/0`.
//!
//! # Semantics
//!
//! | op | inputs | values in the summary |
//! | --- | --- | --- |
//! | `ScalarSummary` | tags, values of the same shape | one scalar per tag, as `float32` |
//! | `HistogramSummary` | tag, values | one histogram; NaN and infinities are an error |
//! | `ImageSummary` | tag, images `[batch, height, width, channels]` | up to `max_images` PNGs |
//! | `AudioSummary`, `AudioSummaryV2` | tag, audio `[batch, frames, channels]`, (rate) | up to `max_outputs` WAVs |
//! | `MergeSummary` | serialized summaries | all of their values; one tag twice is an error |
//!
//! The output is one string, a serialized `Summary`. Errors are `InvalidArgument` and name the tag. NaN is a
//! legal scalar.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use summary::{Histogram, Summary, SummaryError, Value};
use tensor::{Bytes, DType, Tensor};

/// Registers the op types; attributes that limit counts are read when the kernel is made.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("ScalarSummary", |_| Ok(boxed(scalar)));
    registry.add("HistogramSummary", |_| Ok(boxed(histogram)));
    registry.add("MergeSummary", |_| Ok(boxed(merge)));
    registry.add("ImageSummary", |spec| {
        let max = usize::try_from(spec.int("max_images")?).unwrap_or(1);
        Ok(boxed(move |context| {
            let tag = text(context.input(0))?;
            let images =
                Summary::images(&tag, context.input(1), max).map_err(|error| refused(&tag, error))?;
            context.set(0, Tensor::string(images.encode()));
            Ok(())
        }))
    });
    registry.add("AudioSummaryV2", |spec| {
        let max = usize::try_from(spec.int("max_outputs")?).unwrap_or(1);
        Ok(boxed(move |context| {
            let tag = text(context.input(0))?;
            let rate = context.input(2).value::<f32>()?;
            let audio =
                Summary::audio(&tag, context.input(1), rate, max).map_err(|error| refused(&tag, error))?;
            context.set(0, Tensor::string(audio.encode()));
            Ok(())
        }))
    });
    registry.add("AudioSummary", |spec| {
        let max = usize::try_from(spec.int("max_outputs")?).unwrap_or(1);
        let rate = spec.float("sample_rate")?;
        Ok(boxed(move |context| {
            let tag = text(context.input(0))?;
            let audio =
                Summary::audio(&tag, context.input(1), rate, max).map_err(|error| refused(&tag, error))?;
            context.set(0, Tensor::string(audio.encode()));
            Ok(())
        }))
    });
}

/// Returns the error for a value that cannot be summarized, with the tag.
fn refused(tag: &str, error: SummaryError) -> Error {
    Error::invalid_argument(format!("summary '{tag}': {error}")).with_source(error)
}

/// Returns the tag in a scalar string. Bytes that are not UTF-8 are replaced, because an event file must be
/// readable.
///
/// # Errors
/// `InvalidArgument` for a tensor that is not a scalar.
fn text(tensor: &Tensor) -> Result<String> {
    match tensor.as_strings()? {
        [text] if tensor.shape().rank() == 0 => Ok(String::from_utf8_lossy(text).into_owned()),
        _ => Err(Error::invalid_argument(format!("a tag must be a scalar, not of shape {}", tensor.shape()))),
    }
}

/// Delivers a summary with one value for each tag. Tags and values have the same shape, which may be any, and
/// are paired in row-major order.
///
/// # Errors
/// `InvalidArgument` for different shapes.
fn scalar(context: &mut KernelContext<'_>) -> Result<()> {
    let (tags, values) = (context.input(0), context.input(1));
    if tags.shape() != values.shape() {
        let text = format!("tags and values are not the same shape: {} and {}", tags.shape(), values.shape());
        return Err(Error::invalid_argument(text));
    }
    let mut summary = Summary::default();
    // Through `f64`, which holds every dtype but the largest integers; the message has an `f32`.
    for (tag, value) in tags.as_strings()?.iter().zip(numbers(values)?) {
        summary = summary.with(Value::scalar(String::from_utf8_lossy(tag), value as f32));
    }
    context.set(0, Tensor::string(summary.encode()));
    Ok(())
}

/// Returns the elements of a real dtype as `f64`. 64-bit integers may be rounded; a summary has only `f32`
/// anyway.
///
/// # Errors
/// `Unimplemented` for other dtypes.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    macro_rules! widen {
        ($($dtype:ident: $type:ty, |$x:ident| $wide:expr;)*) => {
            match tensor.dtype() {
                $(DType::$dtype => Ok(tensor.as_slice::<$type>()?.iter().map(|&$x| $wide).collect()),)*
                other => Err(Error::new(Code::Unimplemented, format!("no scalar summary of {other}"))),
            }
        };
    }
    widen! {
        Float32: f32, |x| x.into();
        Float64: f64, |x| x;
        Float16: tensor::f16, |x| x.to_f64();
        BFloat16: tensor::bf16, |x| x.to_f64();
        Int8: i8, |x| x.into();
        Int16: i16, |x| x.into();
        Int32: i32, |x| x.into();
        Int64: i64, |x| x as f64;
        UInt8: u8, |x| x.into();
        UInt16: u16, |x| x.into();
        UInt32: u32, |x| x.into();
        UInt64: u64, |x| x as f64;
    }
}

/// Delivers a summary with a histogram of all elements of input 1.
fn histogram(context: &mut KernelContext<'_>) -> Result<()> {
    let tag = text(context.input(0))?;
    let histogram = Histogram::of_tensor(context.input(1)).map_err(|error| refused(&tag, error))?;
    let summary = Summary::default().with(Value::histogram(tag, histogram));
    context.set(0, Tensor::string(summary.encode()));
    Ok(())
}

/// Delivers a summary with the values of all summaries in all inputs, in their order.
///
/// # Errors
/// `InvalidArgument` for bytes that are no summary, and for a tag that occurs twice.
fn merge(context: &mut KernelContext<'_>) -> Result<()> {
    let mut parts = Vec::new();
    for i in 0..context.num_inputs() {
        for part in context.input(i).as_strings()? {
            let decoded = Summary::decode(Bytes::clone(part));
            parts.push(decoded.map_err(|error| {
                Error::invalid_argument(format!("input {i} is not a serialized summary")).with_source(error)
            })?);
        }
    }
    let merged = Summary::merge(parts).map_err(|error| Error::invalid_argument(error.to_string()))?;
    context.set(0, Tensor::string(merged.encode()));
    Ok(())
}
