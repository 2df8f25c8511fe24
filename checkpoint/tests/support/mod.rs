//! Shared code of several tests.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test uses its own part, and may unwrap

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tensor::{DType, Tensor};

pub fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder)
}

/// The folders below a fixture folder, sorted.
pub fn folders(of: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures(of)).unwrap();
    let mut folders: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

pub fn json(path: impl AsRef<Path>) -> serde_json::Value {
    let text = std::fs::read_to_string(path.as_ref()).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Elements as the fixtures sum them: plain bytes, or each string after its length in 8 bytes.
pub fn raw(tensor: &Tensor) -> Vec<u8> {
    if tensor.dtype() == DType::String {
        let strings = tensor.as_strings().unwrap().iter();
        strings.flat_map(|s| [&(s.len() as u64).to_le_bytes()[..], s].concat()).collect()
    } else {
        tensor.as_bytes().unwrap().to_vec()
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

/// The dtype of a name such as `DT_FLOAT`.
pub fn dtype(name: &str) -> DType {
    let name = name.strip_prefix("DT_").unwrap().to_lowercase();
    let name = match name.as_str() {
        "float" => "float32",
        "double" => "float64",
        "half" => "float16",
        other => other,
    };
    DType::from_name(name).unwrap_or_else(|| panic!("no dtype {name}"))
}

pub fn shape(json: &serde_json::Value) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap() as usize).collect()
}

/// Checks a list of tensors as `expected.json` has it against a reader.
pub fn check_tensors(expected: &serde_json::Value, reader: &checkpoint::bundle::BundleReader) {
    let expected = expected.as_array().unwrap();
    let listed: Vec<_> = reader.entries().collect();
    let names: Vec<_> = expected.iter().map(|tensor| tensor["name"].as_str().unwrap()).collect();
    assert_eq!(listed.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), names);
    let all = reader.read_all().unwrap();
    for ((info, expected), (name, together)) in listed.iter().zip(expected).zip(all) {
        assert_eq!(info.dtype, dtype(expected["dtype"].as_str().unwrap()), "{}", info.name);
        assert_eq!(info.shape.dims(), shape(&expected["shape"]), "{}", info.name);
        let tensor = reader.read(&info.name).unwrap();
        assert_eq!(sha256(&raw(&tensor)), expected["sha256"].as_str().unwrap(), "{}", info.name);
        assert_eq!(info.name, name);
        assert_eq!(raw(&tensor), raw(&together), "{name}");
        assert_eq!((tensor.dtype(), tensor.shape()), (info.dtype, &info.shape));
    }
}
