//! Reads the graphs of this folder, which TensorFlow exported, and the values that it computed from them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test uses its own part, and may unwrap

use flate2::read::GzDecoder;
use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
use prost::Message;
use serde_json::Value;
use session_core::{DType, Graph, Result, Tensor};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The tolerance for sums in another order.
pub const TOLERANCE: f64 = 2e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs")
}

/// The names of all graphs, sorted.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        entries.filter_map(|file| Some(file.to_str()?.strip_suffix(".json")?.to_owned())).collect();
    names.sort();
    names
}

/// The file of a graph; large ones are compressed.
fn message(name: &str) -> GraphDef {
    let plain = folder().join(format!("{name}.pb"));
    let bytes = std::fs::read(plain).unwrap_or_else(|_| {
        let compressed = std::fs::File::open(folder().join(format!("{name}.pb.gz"))).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(compressed).read_to_end(&mut bytes).unwrap();
        bytes
    });
    GraphDef::decode(bytes.as_slice()).unwrap()
}

pub fn import(name: &str) -> Result<Graph> {
    let graph = Graph::new();
    import_graph_def(&graph, &message(name), &ImportOptions::new())?;
    Ok(graph)
}

/// The initializer of a graph and the steps that TensorFlow ran, each with feeds, fetches, targets and values.
pub fn recorded(name: &str) -> Value {
    let file = std::fs::File::open(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_reader(std::io::BufReader::new(file)).unwrap()
}

fn numbers(values: &Value) -> Vec<f64> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().unwrap(),
        Value::Bool(value) => f64::from(u8::from(*value)),
        number => number.as_f64().unwrap(),
    };
    values.as_array().unwrap().iter().map(number).collect()
}

pub fn tensor(recorded: &Value) -> Tensor {
    let shape: Vec<usize> =
        recorded["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
    let values = &recorded["values"];
    match DType::from_name(recorded["dtype"].as_str().unwrap()).unwrap() {
        DType::Float32 => Tensor::from_vec(numbers(values).into_iter().map(|x| x as f32).collect(), shape),
        DType::Float64 => Tensor::from_vec(numbers(values), shape),
        DType::Int32 => Tensor::from_vec(numbers(values).into_iter().map(|x| x as i32).collect(), shape),
        DType::Int64 => Tensor::from_vec(numbers(values).into_iter().map(|x| x as i64).collect(), shape),
        DType::Bool => Tensor::from_vec(numbers(values).into_iter().map(|x| x != 0.0).collect(), shape),
        DType::String => {
            let texts = values.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
            Tensor::from_strings(texts.collect::<Vec<_>>(), shape)
        }
        other => panic!("values of {other}"),
    }
    .unwrap()
}

fn as_numbers(tensor: &Tensor) -> Vec<f64> {
    match tensor.dtype() {
        DType::Float32 => tensor.as_slice::<f32>().unwrap().iter().map(|&x| x.into()).collect(),
        DType::Float64 => tensor.to_vec().unwrap(),
        DType::Int32 => tensor.as_slice::<i32>().unwrap().iter().map(|&x| x.into()).collect(),
        DType::Int64 => tensor.as_slice::<i64>().unwrap().iter().map(|&x| x as f64).collect(),
        DType::Bool => tensor.as_slice::<bool>().unwrap().iter().map(|&x| u8::from(x).into()).collect(),
        other => panic!("values of {other}"),
    }
}

/// Describes the difference of a value from the expected one, if there is any.
pub fn difference(found: &Tensor, expected: &Tensor) -> Option<String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        let (dtype, shape) = (found.dtype(), found.shape());
        return Some(format!("{dtype} {shape} instead of {} {}", expected.dtype(), expected.shape()));
    }
    if found.dtype() == DType::String {
        return (found != expected).then(|| format!("{found} instead of {expected}"));
    }
    let (found, expected) = (as_numbers(found), as_numbers(expected));
    let wrong = |(a, b): (&f64, &f64)| {
        !(a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= TOLERANCE * b.abs().max(1.0))
    };
    let place = found.iter().zip(&expected).position(wrong)?;
    Some(format!("{found:?} instead of {expected:?} (first at {place})"))
}
