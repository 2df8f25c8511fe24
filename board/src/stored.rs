//! Tensors of event files, decoded up to the number of elements that is shown.
//!
//! A serialized tensor can state a shape of any size in a few bytes, because trailing equal elements are not stored.
//! The shape is therefore read on its own, before anything is allocated.

use graph_def::proto::TensorShape;
use prost::Message;
use summary::StoredTensor;
use tensor::Tensor;

/// The maximum number of elements of a tensor that is decoded, 2^20.
const MAX_ELEMENTS: i64 = 1 << 20;

/// The part of a serialized `TensorProto` that states its size.
#[derive(Clone, PartialEq, Message)]
struct Head {
    /// The declared shape; absent for a scalar.
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
}

/// Returns the number of elements in the declared shape of a stored tensor.
///
/// # Errors
/// A sentence for the page if the message cannot be parsed.
pub(crate) fn elements(stored: &StoredTensor) -> Result<i64, String> {
    let head = Head::decode(stored.as_encoded().clone()).map_err(|error| error.to_string())?;
    let sizes = head.shape.unwrap_or_default().dim.into_iter().map(|dim| dim.size);
    // Saturating: a product that overflows is too large in any case.
    Ok(sizes.fold(1, i64::saturating_mul))
}

/// Decodes a stored tensor.
///
/// # Errors
/// A sentence for the page: the tensor is too large, or its message is malformed.
pub(crate) fn decode(stored: &StoredTensor) -> Result<Tensor, String> {
    match elements(stored)? {
        count if count > MAX_ELEMENTS => {
            Err(format!("it has {count} elements, which are too many to be shown"))
        }
        _ => stored.to_tensor().map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor of this dtype and these sizes without values.
    fn promising(dtype: u8, sizes: &[i64]) -> StoredTensor {
        let dim = |&size: &i64| graph_def::proto::Dim { size, name: String::new() };
        let shape = TensorShape { dim: sizes.iter().map(dim).collect(), unknown_rank: false };
        let mut bytes = vec![0x08, dtype];
        bytes.extend(Head { shape: Some(shape) }.encode_to_vec());
        StoredTensor::from_encoded(bytes)
    }

    #[test]
    fn oversized_images_are_not_decoded() {
        assert_eq!(decode(&StoredTensor::new(&Tensor::from([1.0f32, 2.0])).unwrap()).unwrap().elements(), 2);
        assert_eq!(decode(&promising(1, &[4])).unwrap().elements(), 4);
        for sizes in [&[1 << 26][..], &[i64::MAX, i64::MAX]] {
            assert!(decode(&promising(7, sizes)).unwrap_err().contains("too many"), "{sizes:?}");
        }
        assert!(decode(&StoredTensor::from_encoded(&b"\x12"[..])).is_err());
    }
}
