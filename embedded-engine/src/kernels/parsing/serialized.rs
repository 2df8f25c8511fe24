//! Tensors as serialized `TensorProto`s.
//!
//! The message is TensorFlow's `TensorProto`. `ParseTensor` requires the dtype of the attribute. Lengths in
//! the message are checked before memory is reserved.
//!
//! `SerializeTensor` takes a tensor of any shape and of any dtype with elements of one size, or strings, and
//! returns a scalar string. `ParseTensor` is its inverse: it takes a scalar string and returns a tensor of
//! the dtype `out_type`, in the shape that the message has. Bytes that are not such a message, and another
//! dtype, are `InvalidArgument`; handles and variants are `Unimplemented`.

use crate::dispatch::unsupported;
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use summary::{StoredTensor, SummaryError};
use tensor::{DType, Tensor, memory};

/// Registers the two op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("SerializeTensor", |spec| {
        check(spec.input_dtype(0))?;
        Ok(boxed(serialize))
    });
    registry.add("ParseTensor", |spec| {
        let dtype = spec.dtype("out_type")?;
        check(dtype)?;
        Ok(boxed(move |context| parse(context, dtype)))
    });
}

/// Refuses handles and variants, which belong to a session.
fn check(dtype: DType) -> Result<()> {
    if dtype.is_plain() || dtype == DType::String { Ok(()) } else { Err(unsupported(dtype)) }
}

/// Delivers the message of input 0. The memory limit is checked for the peak before anything is allocated.
fn serialize(context: &mut KernelContext<'_>) -> Result<()> {
    let tensor = context.input(0);
    // A string in a message takes its bytes and a header, for which 8 bytes are enough.
    let bytes = match tensor.as_strings() {
        Ok(strings) => strings.iter().map(|text| text.len().saturating_add(8)).fold(0, usize::saturating_add),
        Err(_) => tensor.elements().saturating_mul(tensor.dtype().size()),
    };
    // The elements are copied into the message, and the message into the string.
    memory::check(bytes.saturating_mul(3))?;
    let stored = StoredTensor::new(tensor).map_err(malformed)?;
    let serialized = Tensor::string(stored.as_encoded().clone());
    context.set(0, serialized);
    Ok(())
}

/// Delivers the tensor in the string of input 0, which must be a scalar.
///
/// The string is shared with the decoder, not copied. The shape is that of the message; the definition cannot
/// know it.
fn parse(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let input = context.input(0);
    let [bytes] = input.as_strings()? else { return Err(not_scalar(input)) };
    if input.shape().rank() != 0 {
        return Err(not_scalar(input));
    }
    let tensor = StoredTensor::from_encoded(bytes.clone()).to_tensor().map_err(malformed)?;
    if tensor.dtype() != dtype {
        let text = format!("the string holds a tensor of dtype {}, not {dtype}", tensor.dtype());
        return Err(Error::invalid_argument(text));
    }
    context.set(0, tensor);
    Ok(())
}

/// Returns the error for an input of another shape.
fn not_scalar(input: &Tensor) -> Error {
    Error::invalid_argument(format!("a serialized tensor must be a scalar, not of shape {}", input.shape()))
}

/// Converts an error of the message. Exhausted memory keeps its own code; it says nothing about the string.
fn malformed(error: SummaryError) -> Error {
    match error {
        SummaryError::Tensor(error) if error.is_out_of_memory() => Error::from(error),
        error => Error::invalid_argument(format!("the string is not a serialized tensor: {error}")),
    }
}
