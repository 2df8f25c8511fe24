//! Raw numbers, compressed strings, sparse tensors made dense.
//!
//! - `DecodeRaw` reinterprets the bytes of strings of equal length as numbers, in little-endian order unless
//!   stated otherwise. `DecodePaddedRaw` accepts different lengths, and pads with zeros or truncates to
//!   `fixed_length`.
//! - `DecodeCompressed` inflates ZLIB or GZIP.
//! - `SparseToDense` checks that indices are sorted and unique unless `validate_indices` is false.
//!
//! # Semantics
//!
//! - `DecodeRaw` of strings of shape `s`, each of `n` bytes, returns numbers of shape `s + [n / size]`. No
//!   strings at all give a last dimension of 0. `out_type` may be complex, whose two parts are swapped
//!   separately, or `bool`, where every byte that is not 0 is true.
//! - `DecodePaddedRaw` takes `fixed_length` in bytes as input 1; it must be positive.
//! - Lengths that differ (without padding) or are not a multiple of the size of an element are
//!   `InvalidArgument`.
//! - `DecodeCompressed` inflates each string by itself; bytes that are not of the format are `DataLoss`.
//! - `SparseToDense` takes indices (a scalar, a vector or a matrix), the dense shape, values (a scalar or one
//!   for each index) and a default. Indices out of range are always an error. Without validation a later
//!   value overwrites an earlier one of the same index.
//!
//! All are copies of memory on the calling thread.
//!
//! ```text
//! DecodeRaw of "\x01\x02" as int16                  ->   [513], with little_endian false [258]
//! DecodePaddedRaw of "\x01", "\x02\x03\x04" as uint8, fixed_length 2   ->   [[1, 0], [2, 3]]
//! SparseToDense of 5 at [0, 1], 6 at [1, 0], default -1   ->   [[-1, 5], [6, -1]]
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::io::Compression;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Registers the op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("DecodeRaw", |spec| decoder(spec, false));
    registry.add("DecodePaddedRaw", |spec| decoder(spec, true));
    registry.add("DecodeCompressed", |spec| {
        let compression = Compression::of(spec.str("compression_type")?)?;
        Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let inflate = |text: &Bytes| -> Result<Bytes> {
                compression.inflate(text).map(Bytes::from).map_err(|error| {
                    let text = "a string is not compressed as it should be";
                    Error::new(Code::DataLoss, text).with_source(error)
                })
            };
            let texts = memory::try_collected(context.input(0).as_strings()?.iter().map(inflate))?;
            context.set(0, Tensor::from_strings(texts, shape)?);
            Ok(())
        }))
    });
    registry.add("SparseToDense", |spec| {
        let validate = spec.bool("validate_indices")?;
        for_dtype!(moved spec.input_dtype(2), T => Ok(boxed(move |context| dense::<T>(context, validate))))
    });
}

/// Returns the kernel of `DecodeRaw`, or of `DecodePaddedRaw` if `padded` is true.
fn decoder(spec: &NodeSpec<'_>, padded: bool) -> Result<Box<dyn Kernel>> {
    let dtype = spec.dtype("out_type")?;
    // Bytes are swapped only if the attribute and the machine disagree.
    let swapped = spec.bool("little_endian")? != cfg!(target_endian = "little");
    Ok(boxed(move |context| {
        let length = if padded { Some(context.int(1)?) } else { None };
        decode(context, dtype, swapped, length)
    }))
}

/// Delivers the numbers in the bytes of each string. `length` is `fixed_length`, or `None` if all strings
/// must have the length of the first.
///
/// The bytes of all strings are collected in one buffer, which becomes the tensor, so no element is copied
/// twice.
fn decode(context: &mut KernelContext<'_>, dtype: DType, swapped: bool, length: Option<i64>) -> Result<()> {
    let input = context.input(0).clone();
    let strings = input.as_strings()?;
    let size = dtype.size();
    let len = match length {
        None => strings.first().map_or(0, Bytes::len),
        Some(length) => usize::try_from(length).ok().filter(|&length| length > 0).ok_or_else(|| {
            Error::invalid_argument(format!("fixed_length must be greater than zero, not {length}"))
        })?,
    };
    if !len.is_multiple_of(size) {
        let text = format!("Input length {len} is not a multiple of {size}, the size of {dtype}");
        return Err(Error::invalid_argument(text));
    }
    if length.is_none()
        && let Some(other) = strings.iter().find(|text| text.len() != len)
    {
        let text = format!(
            "DecodeRaw requires input strings to all be the same size, but one has size {len} and another {}",
            other.len()
        );
        return Err(Error::invalid_argument(text));
    }
    let shape: Shape = input.shape().iter().copied().chain([len / size]).collect();
    let mut bytes = memory::filled(0u8, len.saturating_mul(strings.len()))?;
    for (row, text) in bytes.chunks_exact_mut(len.max(1)).zip(strings) {
        // What is longer is cut off; what is shorter leaves the zeros that the buffer begins with.
        let kept = text.len().min(len);
        row[..kept].copy_from_slice(&text[..kept]);
    }
    if swapped {
        let part = if dtype.is_complex() { size / 2 } else { size };
        bytes.chunks_exact_mut(part).for_each(<[u8]>::reverse);
    }
    // A `bool` other than 0 or 1 is not a valid value of the type.
    if dtype == DType::Bool {
        bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
    context.set(0, Tensor::from_bytes(dtype, shape, bytes)?);
    Ok(())
}

/// Returns the dense shape, and for each value its place in it.
///
/// A place is a row-major index. Input 0 holds the indices, input 1 the shape, input 2 the values. With
/// `validate`, places must ascend strictly.
///
/// Fails with `InvalidArgument` for indices of a higher rank than 2 and inputs of another rank than the
/// definition has, if the width of the indices is not the rank of the shape, if the values are neither a scalar
/// nor one for each index, or if an index is out of range, repeated or out of order.
fn places(context: &KernelContext<'_>, validate: bool) -> Result<(Shape, Vec<usize>)> {
    let shape: Shape = context
        .ints(1)?
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| Error::invalid_argument("a negative size")))
        .collect::<Result<_>>()?;
    let (indices, given) = (context.ints(0)?, context.input(0).shape());
    if given.rank() > 2 {
        let text = format!("sparse_indices should be a scalar, vector, or matrix, got shape {given}");
        return Err(Error::invalid_argument(text));
    }
    for (input, name, rank) in [(1, "output_shape", 1), (3, "default_value", 0)] {
        if context.input(input).shape().rank() != rank {
            let found = context.input(input).shape();
            return Err(Error::invalid_argument(format!(
                "{name} must be of rank {rank}, not of shape {found}"
            )));
        }
    }
    // Scalars and vectors are coordinates of a one-dimensional tensor.
    let width = if given.rank() == 2 { given[1] } else { 1 };
    let rows = given.first().copied().unwrap_or(1);
    let values = context.input(2);
    if width != shape.rank() || values.shape().rank() > 0 && values.shape()[..] != [rows] {
        let text = format!(
            "indices of shape {given} and values of shape {} for an output of shape {shape}",
            values.shape()
        );
        return Err(Error::invalid_argument(text));
    }
    let mut places = memory::reserve(rows)?;
    for (row, index) in indices.chunks_exact(width.max(1)).enumerate() {
        let mut place = 0;
        for (&at, &size) in index.iter().zip(shape.iter()) {
            let at = usize::try_from(at).ok().filter(|&at| at < size).ok_or_else(|| {
                let text = format!("indices[{row}] = {index:?} is out of bounds: need 0 <= index < {shape}");
                Error::invalid_argument(text)
            })?;
            place = place * size + at;
        }
        if validate && places.last().is_some_and(|&last| last >= place) {
            let what = if places.last() == Some(&place) { "repeated" } else { "out of order" };
            return Err(Error::invalid_argument(format!("indices[{row}] = {index:?} is {what}")));
        }
        places.push(place);
    }
    Ok((shape, places))
}

/// Delivers a tensor of the default (input 3) with the values at their places.
fn dense<T: Moved>(context: &mut KernelContext<'_>, validate: bool) -> Result<()> {
    let (shape, places) = places(context, validate)?;
    let dtype = context.input(2).dtype();
    context.produce_moved::<T>(0, dtype, shape, |context, output| {
        // The default first, since the indices need not cover the result.
        output.fill(context.moved_value(3)?);
        let values = context.moved::<T>(2)?;
        for (index, &place) in places.iter().enumerate() {
            output[place].clone_from(&values[if values.len() == 1 { 0 } else { index }]);
        }
        Ok(())
    })
}
