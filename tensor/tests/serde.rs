//! Tensors pass through serde formats unchanged, and damaged data is rejected.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use tensor::{Bytes, DType, Shape, Tensor};

fn plain_dtypes() -> Vec<DType> {
    DType::all().filter(|dtype| dtype.is_plain()).collect()
}

fn tensors() -> impl Strategy<Value = Tensor> {
    let shapes = || proptest::collection::vec(0usize..4, 0..4);
    let plain = (proptest::sample::select(plain_dtypes()), shapes()).prop_flat_map(|(dtype, dims)| {
        let len = Shape::new(&dims).elements() * dtype.size();
        let top = if dtype == DType::Bool { 1 } else { u8::MAX };
        proptest::collection::vec(0..=top, len)
            .prop_map(move |bytes| Tensor::from_bytes(dtype, &dims[..], bytes).unwrap())
    });
    let strings = shapes().prop_flat_map(|dims| {
        let count = Shape::new(&dims).elements();
        let string = proptest::collection::vec(any::<u8>(), 0..9);
        proptest::collection::vec(string, count)
            .prop_map(move |strings| Tensor::from_strings(strings, &dims[..]).unwrap())
    });
    prop_oneof![4 => plain, 1 => strings]
}

/// Asserts that two tensors are equal bit for bit, NaN included.
fn assert_same(a: &Tensor, b: &Tensor) {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    match a.dtype() {
        DType::String => assert_eq!(a.as_strings(), b.as_strings()),
        _ => assert_eq!(a.as_bytes(), b.as_bytes()),
    }
}

proptest! {
    #[test]
    fn json_round_trip(tensor in tensors()) {
        let text = serde_json::to_string(&tensor).unwrap();
        assert_same(&serde_json::from_str(&text).unwrap(), &tensor);
        // A JSON value sorts its keys, so the data comes before the dtype.
        let value = serde_json::to_value(&tensor).unwrap();
        assert_same(&serde_json::from_value(value.clone()).unwrap(), &tensor);
        assert_same(&serde_json::from_str(&value.to_string()).unwrap(), &tensor);
    }

    #[test]
    fn binary_round_trip(tensor in tensors()) {
        let bytes = bincode::serialize(&tensor).unwrap();
        assert_same(&bincode::deserialize(&bytes).unwrap(), &tensor);
        for cut in 0..bytes.len() {
            prop_assert!(bincode::deserialize::<Tensor>(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn damage_never_panics(tensor in tensors(), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let mut bytes = bincode::serialize(&tensor).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(read) = bincode::deserialize::<Tensor>(&bytes) {
            let _ = read.to_string();
        }
    }

    #[test]
    fn anything_is_printed(tensor in tensors()) {
        let text = tensor.to_string();
        // Strings may hold brackets of their own.
        if tensor.dtype() != DType::String {
            let count = |bracket| text.matches(bracket).count();
            prop_assert_eq!(count('['), count(']'));
            prop_assert_eq!(text.starts_with('['), tensor.shape().rank() > 0 || tensor.elements() == 0);
        }
    }
}

#[test]
fn the_form_is_as_documented() {
    let tensor = Tensor::from([[1i16, -2]]);
    let value = serde_json::to_value(&tensor).unwrap();
    assert_eq!(value, json!({"dtype": "int16", "shape": [1, 2], "data": [1, 0, 254, 255]}));
    let strings = Tensor::from_strings([Bytes::from("a"), Bytes::from(vec![0, 255])], [2]).unwrap();
    let value = serde_json::to_value(&strings).unwrap();
    assert_eq!(value, json!({"dtype": "string", "shape": [2], "data": [[97], [0, 255]]}));
    assert_eq!(serde_json::to_value(DType::BFloat16).unwrap(), json!("bfloat16"));
    assert_eq!(serde_json::to_value(Shape::from([2, 3])).unwrap(), json!([2, 3]));
}

#[test]
fn hand_written_json_is_read() {
    let read = |value| serde_json::from_value::<Tensor>(value).unwrap();
    assert_eq!(
        read(json!({"shape": [2], "dtype": "string", "data": ["a", "bc"]})),
        Tensor::from(["a", "bc"])
    );
    assert_eq!(
        read(json!({"data": ["a", "bc"], "shape": [2], "dtype": "string", "note": {"x": [1]}})),
        Tensor::from(["a", "bc"])
    );
    assert_eq!(read(json!(["uint8", [2], [7, 8]])), Tensor::from([7u8, 8]));
    assert_eq!(read(json!({"data": [], "dtype": "string", "shape": [0]})).dtype(), DType::String);
}

#[test]
fn wrong_lengths_and_types_are_refused() {
    for value in [
        json!({"dtype": "float32", "shape": [2], "data": [0, 0, 0, 0]}),
        json!({"dtype": "float32", "shape": [1_u64 << 60, 1_u64 << 60], "data": [0, 0, 0, 0]}),
        json!({"dtype": "float32", "shape": [1_u64 << 60], "data": []}),
        json!({"dtype": "string", "shape": [u64::MAX], "data": []}),
        json!({"dtype": "string", "shape": [1], "data": [1]}),
        json!({"dtype": "string", "shape": [2], "data": [[1], 2]}),
        json!({"data": [1, [2]], "dtype": "uint8", "shape": [2]}),
        json!({"data": [[1], 2], "dtype": "string", "shape": [2]}),
        json!({"data": [[1]], "dtype": "uint8", "shape": [1]}),
        json!({"dtype": "uint8", "shape": [1], "data": [256]}),
        json!({"dtype": "bool", "shape": [1], "data": [2]}),
        json!({"dtype": "resource", "shape": [], "data": []}),
        json!({"dtype": "float33", "shape": [], "data": []}),
        json!({"dtype": "uint8", "shape": [-1], "data": []}),
        json!({"dtype": "uint8", "shape": [0]}),
        json!({"dtype": "uint8", "data": []}),
        json!({"shape": [0], "data": []}),
        json!(["uint8", [0]]),
    ] {
        assert!(serde_json::from_value::<Tensor>(value.clone()).is_err(), "{value}");
    }
    let handle = Tensor::from_handle(DType::Variant, Arc::new(1));
    assert!(serde_json::to_string(&handle).is_err());
}

#[test]
fn lengths_in_binary_input_are_not_trusted() {
    let mut bytes = bincode::serialize(&Tensor::from([1u8, 2])).unwrap();
    let at = bytes.len() - 2 - 8;
    bytes[at..at + 8].copy_from_slice(&(1u64 << 62).to_le_bytes());
    assert!(bincode::deserialize::<Tensor>(&bytes).is_err());
    let mut bytes = bincode::serialize(&Tensor::from(["a"])).unwrap();
    let at = bytes.len() - 1 - 8 - 8;
    bytes[at..at + 8].copy_from_slice(&(1u64 << 62).to_le_bytes());
    assert!(bincode::deserialize::<Tensor>(&bytes).is_err());
}
