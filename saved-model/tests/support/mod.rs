//! Shared code of several test files: the recorded cases, and reading them.
#![allow(clippy::unwrap_used)] // a test may
#![allow(dead_code, unused_imports)] // each test file uses its part

#[path = "../../../tests/support/python.rs"]
mod python;

pub(crate) use python::{python, skipped};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use tensor::{DType, Tensor};

/// The folder of recorded cases.
pub(crate) fn cases() -> PathBuf {
    match std::env::var_os("MONITORED_SESSION_SAVED_MODEL_CASES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
    }
}

/// A recorded case of the crate's own.
pub(crate) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).unwrap(),
        }
    }
}

pub(crate) fn json(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn strings(value: &Json) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// A recorded array of a case.
pub(crate) fn array(folder: &Path, recorded: &Json) -> Tensor {
    let shape: Vec<usize> =
        recorded["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
    if let Some(values) = recorded["values"].as_array() {
        let texts = values.iter().map(|value| value.as_str().unwrap().as_bytes().to_vec());
        return Tensor::from_strings(texts.collect::<Vec<_>>(), shape).unwrap();
    }
    if let Some(values) = recorded["values_hex"].as_array() {
        let texts = values.iter().map(|value| unhex(value.as_str().unwrap()));
        return Tensor::from_strings(texts.collect::<Vec<_>>(), shape).unwrap();
    }
    let dtype = recorded["dtype"].as_str().unwrap();
    let file = folder.join(recorded["file"].as_str().unwrap());
    let array = read_npy(&file);
    match dtype {
        // NumPy has no such type: the file holds its bits.
        "bfloat16" => {
            Tensor::from_le_bytes(DType::BFloat16, array.shape().clone(), array.as_bytes().unwrap().to_vec())
                .unwrap()
        }
        _ => array,
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// An array of numbers as NumPy writes it by rows on a little-endian machine.
pub(crate) fn read_npy(path: &Path) -> Tensor {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
    let between = |from: &str, to: char| {
        let rest = &header[header.find(from).unwrap() + from.len()..];
        rest[..rest.find(to).unwrap()].to_owned()
    };
    assert!(header.contains("'fortran_order': False"), "{header}");
    let dtype = match between("'descr': '", '\'').as_str() {
        "<f2" => DType::Float16,
        "<f4" => DType::Float32,
        "<f8" => DType::Float64,
        "|i1" => DType::Int8,
        "<i2" => DType::Int16,
        "<i4" => DType::Int32,
        "<i8" => DType::Int64,
        "|u1" => DType::UInt8,
        "<u2" => DType::UInt16,
        "<u4" => DType::UInt32,
        "<u8" => DType::UInt64,
        "|b1" => DType::Bool,
        "<c8" => DType::Complex64,
        "<c16" => DType::Complex128,
        other => panic!("{other}"),
    };
    let sizes = between("'shape': (", ')');
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(|size| size.parse().unwrap()).collect();
    Tensor::from_le_bytes(dtype, shape, bytes[10 + length..].to_vec()).unwrap()
}

/// Describes the difference of a value from the expected one; floats may differ by 1e-5 relative to the larger of 1 and what is expected.
pub(crate) fn difference(found: &Tensor, expected: &Tensor) -> Option<String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        let of = |tensor: &Tensor| format!("{} {}", tensor.dtype(), tensor.shape());
        return Some(format!("{} instead of {}", of(found), of(expected)));
    }
    let near = |found: f64, expected: f64| {
        found == expected
            || (found.is_nan() && expected.is_nan())
            || (found - expected).abs() <= 1e-5 * expected.abs().max(1.0)
    };
    let numbers = |tensor: &Tensor| -> Option<Vec<f64>> {
        match tensor.dtype() {
            DType::Float32 => Some(tensor.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()),
            DType::Float64 => Some(tensor.to_vec::<f64>().unwrap()),
            DType::Complex64 => {
                let parts = tensor.to_vec::<tensor::Complex<f32>>().unwrap();
                Some(parts.into_iter().flat_map(|z| [f64::from(z.re), f64::from(z.im)]).collect())
            }
            _ => None,
        }
    };
    let equal = match (numbers(found), numbers(expected)) {
        (Some(found), Some(expected)) => {
            found.iter().zip(&expected).all(|(&found, &expected)| near(found, expected))
        }
        _ => found == expected,
    };
    (!equal).then(|| format!("{found} instead of {expected}"))
}
