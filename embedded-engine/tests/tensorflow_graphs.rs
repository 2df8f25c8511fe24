//! Graphs that TensorFlow 1 programs exported return the values that TensorFlow computed (`graphs/make_graphs.py` and
//! `graphs/make_programs.py`).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::EmbeddedEngine;
use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
use prost::Message;
use serde_json::Value;
use session_core::{
    DType, Engine, Graph, Operation, Output, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tolerance for sums in another order.
const TOLERANCE: f64 = 2e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs")
}

fn numbers(values: &Value) -> Vec<f64> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().unwrap(),
        Value::Bool(value) => f64::from(u8::from(*value)),
        number => number.as_f64().unwrap(),
    };
    values.as_array().unwrap().iter().map(number).collect()
}

fn tensor(recorded: &Value) -> Tensor {
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
fn difference(found: &Tensor, expected: &Tensor) -> Option<String> {
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

struct Recorded {
    graph: Graph,
    session: Arc<dyn Session>,
    steps: Value,
    /// Where it saves; what is fed as the name of a checkpoint lies in there.
    folder: tempfile::TempDir,
}

impl Recorded {
    fn load(name: &str, optimize: bool) -> Result<Recorded> {
        let message =
            GraphDef::decode(std::fs::read(folder().join(format!("{name}.pb"))).unwrap().as_slice());
        let recorded = std::fs::read(folder().join(format!("{name}.json"))).unwrap();
        let recorded: Value = serde_json::from_slice(&recorded).unwrap();
        let graph = Graph::new();
        import_graph_def(&graph, &message.unwrap(), &ImportOptions::new())?;
        let mut config = SessionConfig::with_threads(1);
        config.optimize = optimize;
        let session = EmbeddedEngine::new().new_session(&graph, "", &config)?;
        session.run(&graph.operation(recorded["init"].as_str().unwrap())?, ())?;
        let folder = tempfile::tempdir().unwrap();
        Ok(Recorded { graph, session, steps: recorded["steps"].clone(), folder })
    }

    fn fed(&self, value: &Value) -> Tensor {
        match value["values"][0].as_str() {
            Some(name) if name.ends_with(".ckpt") => {
                Tensor::string(self.folder.path().join(name).to_str().unwrap().to_owned())
            }
            _ => tensor(value),
        }
    }

    fn run(&self, step: &Value) -> Result<Option<String>> {
        let named = |name: &str| -> Result<Output> { self.graph.output(name) };
        let list = |key: &str| step[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let feeds = step["feeds"].as_object().unwrap().iter();
        let feeds: Vec<(Output, Tensor)> =
            feeds.map(|(name, value)| Ok((named(name)?, self.fed(value)))).collect::<Result<_>>()?;
        let fetches: Vec<Output> = list("fetches").map(named).collect::<Result<_>>()?;
        let targets: Vec<Operation> =
            list("targets").map(|name| self.graph.operation(name)).collect::<Result<_>>()?;
        let ran = self.session.run((&fetches, &targets), feeds);
        if let Some(code) = step["error"].as_i64() {
            let found = ran.err().map(|error| error.code() as i64);
            return Ok((found != Some(code)).then(|| format!("ended with {found:?} instead of code {code}")));
        }
        let (values, _) = ran?;
        let expected = step["values"].as_array().unwrap();
        let differences =
            values.iter().zip(expected).zip(list("fetches")).filter_map(|((found, value), name)| {
                difference(found, &tensor(value)).map(|text| format!("{name}: {text}"))
            });
        let text = differences.collect::<Vec<_>>().join("; ");
        Ok((!text.is_empty()).then_some(text))
    }
}

fn check(name: &str, optimize: bool) -> Result<Option<String>> {
    let recorded = Recorded::load(name, optimize)?;
    for (index, step) in recorded.steps.as_array().unwrap().iter().enumerate() {
        if let Some(text) = recorded.run(step)? {
            return Ok(Some(format!("step {index}: {text}")));
        }
    }
    Ok(None)
}

#[test]
fn exported_graphs_give_tensorflows_values() {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "pb"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    let mut wrong = Vec::new();
    for name in &names {
        for optimize in [true, false] {
            match check(name, optimize) {
                Ok(None) => {}
                Ok(Some(text)) => wrong.push(format!("{name} (optimize {optimize}): {text}")),
                Err(error) => wrong.push(format!("{name} (optimize {optimize}): {error}")),
            }
        }
    }
    println!("{} graphs", names.len());
    assert!(!names.is_empty() && wrong.is_empty(), "{}", wrong.join("\n"));
}
