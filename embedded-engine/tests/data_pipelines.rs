//! Pipelines yield TensorFlow's elements, ends and errors (`data/README.md`).
//!
//! Other folders of the same form are played with `MONITORED_SESSION_DATA_CASES`.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::EmbeddedEngine;
use graph_def::import_meta_graph;
use serde_json::{Map, Value, json};
use session_core::{
    DType, Engine, Error, Graph, Operation, Output, Result, Session, SessionConfig, SessionExt, Tensor, keys,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a folder, which may be compressed.
const PARTS: [&str; 2] = ["pipeline.meta", "expected.json"];

fn folders() -> (PathBuf, Vec<PathBuf>) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let root = std::env::var_os("MONITORED_SESSION_DATA_CASES").map_or(own, PathBuf::from);
    let root = fs::canonicalize(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join(PARTS[0]).exists() || path.join(format!("{}.gz", PARTS[0])).exists())
        .collect();
    folders.sort();
    (root, folders)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            let _ = fs::copy(&path, &target).unwrap();
        }
    }
}

fn inflate_parts(folder: &Path) {
    for part in PARTS {
        let Ok(file) = fs::File::open(folder.join(format!("{part}.gz"))) else { continue };
        let mut inflated = fs::File::create(folder.join(part)).unwrap();
        std::io::copy(&mut flate2::read::GzDecoder::new(file), &mut inflated).unwrap();
    }
}

/// A value as the fixtures write it.
fn described(tensor: &Tensor) -> Value {
    let float = |value: f64| match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        value => json!(value),
    };
    let text = |text: &[u8]| match std::str::from_utf8(text) {
        Ok(text) if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => json!(text),
        _ => json!({ "hex": text.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    };
    macro_rules! list {
        ($type:ty, $make:expr) => {
            tensor.as_slice::<$type>().unwrap().iter().map($make).collect()
        };
    }
    let values: Vec<Value> = match tensor.dtype() {
        DType::Float32 => list!(f32, |&x| float(x.into())),
        DType::Float64 => list!(f64, |&x| float(x)),
        DType::Float16 => list!(tensor::f16, |&x| float(x.into())),
        DType::BFloat16 => list!(tensor::bf16, |&x| float(x.into())),
        DType::Int8 => list!(i8, |&x| json!(x)),
        DType::Int16 => list!(i16, |&x| json!(x)),
        DType::Int32 => list!(i32, |&x| json!(x)),
        DType::Int64 => list!(i64, |&x| json!(x)),
        DType::UInt8 => list!(u8, |&x| json!(x)),
        DType::UInt16 => list!(u16, |&x| json!(x)),
        DType::UInt32 => list!(u32, |&x| json!(x)),
        DType::UInt64 => list!(u64, |&x| json!(x)),
        DType::Bool => list!(bool, |&x| json!(x)),
        DType::Complex64 => list!(tensor::Complex<f32>, |x| json!([f64::from(x.re), f64::from(x.im)])),
        DType::Complex128 => list!(tensor::Complex<f64>, |x| json!([x.re, x.im])),
        DType::String => tensor.as_strings().unwrap().iter().map(|bytes| text(bytes)).collect(),
        other => return json!({ "dtype": other.name() }),
    };
    fn nested(values: &mut impl Iterator<Item = Value>, shape: &[usize]) -> Value {
        match shape.split_first() {
            None => values.next().unwrap(),
            Some((&count, rest)) => (0..count).map(|_| nested(values, rest)).collect::<Vec<_>>().into(),
        }
    }
    let shape = tensor.shape().dims();
    let values = nested(&mut values.into_iter(), shape);
    if shape.is_empty() { values } else { json!({ "shape": shape, "values": values }) }
}

/// Equal, numbers by their values, which sums in another order may change by a part.
fn close(found: &Value, expected: &Value, tolerance: f64) -> bool {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => {
            let (a_value, b_value) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let differs = (a_value - b_value).abs();
            let is_close = tolerance > 0.0 && differs <= tolerance * b_value.abs().max(1.0);
            a == b || a_value == b_value && a.is_f64() != b.is_f64() || is_close
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b, tolerance))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| close(a, b, tolerance)))
        }
        (a, b) => a == b,
    }
}

fn same(found: &Value, expected: &Value) -> bool {
    close(found, expected, 0.0)
}

/// Describes the difference between an error and the expected one, if there is any.
fn unlike(found: &Error, expected: &Value) -> Option<String> {
    let (code, text) = (expected["code"].as_i64().unwrap(), expected["text"].as_str().unwrap_or_default());
    let found_text = found.chain();
    if found.code() as i64 != code {
        return Some(format!("code {:?} instead of {}: {found_text}", found.code(), expected["name"]));
    }
    (!found_text.contains(text)).then(|| format!("'{found_text}' does not contain '{text}'"))
}

struct Play {
    graph: Graph,
    expected: Value,
}

impl Play {
    fn load() -> Result<Play> {
        let graph = import_meta_graph("pipeline.meta")?.graph;
        let expected = serde_json::from_slice(&fs::read("expected.json").unwrap()).unwrap();
        Ok(Play { graph, expected })
    }

    fn session(&self) -> Result<Arc<dyn Session>> {
        let session = EmbeddedEngine::new().new_session(&self.graph, "", &SessionConfig::with_threads(2))?;
        let initializers = variables(&self.graph);
        let tables = self.expected["table_initializers"].as_array().into_iter().flatten();
        let tables = tables.map(|name| self.graph.operation(name.as_str().unwrap()));
        let all = initializers.into_iter().map(Ok).chain(tables).collect::<Result<Vec<Operation>>>()?;
        if !all.is_empty() {
            session.run(((), &all), ())?;
        }
        Ok(session)
    }

    /// Returns the differences of one program.
    fn program(&self, iterator: &Value, steps: &[Value]) -> Result<Vec<String>> {
        let session = self.session()?;
        let tolerance = self.expected["tolerance"].as_f64().unwrap_or(0.0);
        let mut handles: BTreeMap<String, Tensor> = BTreeMap::new();
        let mut wrong = Vec::new();
        let outputs: Vec<Output> = iterator["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|output| self.graph.output(output["tensor"].as_str().unwrap()))
            .collect::<Result<_>>()?;
        for (number, step) in steps.iter().enumerate() {
            let mut say = |text: String| wrong.push(format!("step {number}: {text}"));
            let feeds = self.feeds(step, &handles)?;
            let error = step.get("error");
            let (ran, values) = if let Some(name) = step["run"].as_str() {
                let target = self.graph.operation(name)?;
                (session.run(((), &target), feeds).map(|_| Vec::new()), None)
            } else if let Some(next) = step.get("next") {
                (session.run(&outputs, feeds), next.as_array())
            } else if let Some(key) = step["handle"].as_str() {
                let value = session.run(&self.graph.output(step["tensor"].as_str().unwrap())?, feeds)?;
                handles.insert(key.to_owned(), value);
                continue;
            } else {
                let fetches: Vec<Output> = step["fetch"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| self.graph.output(name.as_str().unwrap()))
                    .collect::<Result<_>>()?;
                let targets: Vec<Operation> = step["targets"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|name| self.graph.operation(name.as_str().unwrap()))
                    .collect::<Result<_>>()?;
                let ran = session.run((&fetches, &targets), feeds).map(|(values, _)| values);
                (ran, step["values"].as_array())
            };
            match (ran, error) {
                (Err(error), Some(expected)) => unlike(&error, expected).into_iter().for_each(say),
                (Err(error), None) => say(format!("failed: {}", error.chain())),
                (Ok(_), Some(expected)) => say(format!("did not fail with {expected}")),
                (Ok(found), None) => {
                    let found: Vec<Value> = found.iter().map(described).collect();
                    let differs = |values: &&Vec<Value>| !close(&json!(found), &json!(values), tolerance);
                    if let Some(expected) = values.filter(differs) {
                        say(format!("{} instead of {}", json!(found), json!(expected)));
                    }
                }
            }
        }
        Ok(wrong)
    }

    /// Returns the differences if the program is cut after some elements and continues in another session.
    fn cut(&self, iterator: &Value, steps: &[Value], at: usize) -> Result<Vec<String>> {
        let outputs: Vec<Output> = iterator["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|output| self.graph.output(output["tensor"].as_str().unwrap()))
            .collect::<Result<_>>()?;
        let run = |session: &dyn Session, step: &Value| -> Result<Value> {
            match step["run"].as_str() {
                Some(name) => {
                    session.run(((), &self.graph.operation(name)?), ())?;
                    Ok(Value::Null)
                }
                None => {
                    let found = session.run(&outputs, ());
                    Ok(found.map_or_else(
                        |error| json!(error.code() as i64),
                        |values| values.iter().map(described).collect::<Vec<_>>().into(),
                    ))
                }
            }
        };
        let first = self.session()?;
        for step in &steps[..at] {
            run(first.as_ref(), step)?;
        }
        let state = first.export_state()?;
        let second = self.session()?;
        // The state comes before the initializer or after it.
        if at.is_multiple_of(2) {
            second.import_state(&state)?;
        }
        if let Some(initializer) = steps[..at].iter().rev().find(|step| step.get("run").is_some()) {
            run(second.as_ref(), initializer)?;
        }
        if !at.is_multiple_of(2) {
            second.import_state(&state)?;
        }
        let mut wrong = Vec::new();
        for (number, step) in steps.iter().enumerate().skip(at) {
            if step.get("run").is_some() {
                break;
            }
            let found = run(second.as_ref(), step)?;
            let expected = step.get("error").map_or(&step["next"], |error| &error["code"]);
            if !same(&found, expected) {
                wrong.push(format!("cut at {at}, step {number}: {found} instead of {expected}"));
            }
        }
        Ok(wrong)
    }

    /// Returns the differences of all resumed programs.
    fn resume(&self) -> (usize, Vec<String>) {
        let (mut cuts, mut wrong) = (0, Vec::new());
        for iterator in self.expected["iterators"].as_array().unwrap() {
            let simple = |step: &Value| {
                step.get("feed").is_none()
                    && (step.get("next").is_some()
                        || step.get("run").is_some() && step.get("error").is_none())
            };
            for steps in iterator["sessions"].as_array().unwrap() {
                let steps = steps.as_array().unwrap();
                let name = iterator["name"].as_str().unwrap();
                // Operations outside of functions draw again for a dataset when its initializer runs.
                if !steps.iter().all(simple) || files_of(&self.graph) || name == "outside" {
                    continue;
                }
                let places = (1..steps.len()).filter(|&at| steps.len() < 12 || at % 5 == 2);
                for at in places {
                    cuts += 1;
                    match self.cut(iterator, steps, at) {
                        Ok(differences) => {
                            wrong.extend(differences.into_iter().map(|text| format!("{name}: {text}")))
                        }
                        Err(error) => wrong.push(format!("{name}: cut at {at}: {}", error.chain())),
                    }
                }
            }
        }
        (cuts, wrong)
    }

    fn feeds(&self, step: &Value, handles: &BTreeMap<String, Tensor>) -> Result<Vec<(Output, Tensor)>> {
        let empty = Map::new();
        let feeds = step["feed"].as_object().unwrap_or(&empty);
        feeds
            .iter()
            .map(|(name, value)| {
                let output = self.graph.output(name)?;
                let handle = value.as_str().and_then(|text| handles.get(text.strip_prefix("handle ")?));
                let tensor = handle.cloned().unwrap_or_else(|| fed(value, output.dtype()));
                Ok((output, tensor))
            })
            .collect()
    }

    fn play(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for iterator in self.expected["iterators"].as_array().unwrap() {
            for (number, steps) in iterator["sessions"].as_array().unwrap().iter().enumerate() {
                let place = format!("{} (session {number})", iterator["name"].as_str().unwrap());
                match self.program(iterator, steps.as_array().unwrap()) {
                    Ok(differences) => {
                        wrong.extend(differences.into_iter().map(|text| format!("{place}: {text}")))
                    }
                    Err(error) => wrong.push(format!("{place}: {}", error.chain())),
                }
            }
        }
        wrong
    }
}

/// A value that is fed.
fn fed(value: &Value, dtype: DType) -> Tensor {
    let (shape, values) = match value.get("shape") {
        Some(shape) => {
            let sizes = shape.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize);
            (sizes.collect::<Vec<_>>(), &value["values"])
        }
        None => (Vec::new(), value),
    };
    fn flat<'v>(value: &'v Value, into: &mut Vec<&'v Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| flat(item, into)),
            other => into.push(other),
        }
    }
    let mut items = Vec::new();
    flat(values, &mut items);
    if dtype == DType::String {
        let texts: Vec<String> = items.iter().map(|item| item.as_str().unwrap().to_owned()).collect();
        return Tensor::from_strings(texts, shape).unwrap();
    }
    let numbers: Vec<f64> = items
        .iter()
        .map(|item| item.as_f64().unwrap_or(f64::from(u8::from(**item == json!(true)))))
        .collect();
    Tensor::from_vec(numbers, shape).unwrap().try_convert(dtype).unwrap()
}

/// The initializers of the variables.
fn variables(graph: &Graph) -> Vec<Operation> {
    let collected = [keys::VARIABLES, keys::LOCAL_VARIABLES];
    let mut seen = BTreeSet::new();
    let all = collected.iter().flat_map(|key| graph.collection(key));
    let initializers = all.map(|variable| variable.initializer().clone());
    initializers.filter(|operation| seen.insert(operation.name().to_owned())).collect()
}

/// Whether a graph has a cache in files, which one session leaves to the next.
fn files_of(graph: &Graph) -> bool {
    let name = |operation: &Operation| {
        let value = operation.input(1).operation().attr("value").and_then(|value| value.as_tensor()).cloned();
        value.and_then(|value| Some(!value.as_strings().ok()?.first()?.is_empty()))
    };
    graph
        .operations()
        .iter()
        .any(|operation| operation.op_type().starts_with("Cache") && name(operation) == Some(true))
}

/// One test, since the names of files are relative and a process has one working directory.
#[test]
fn pipelines_give_tensorflows_elements() {
    let (root, folders) = folders();
    let (mut wrong, mut op_types, mut iterators, mut cuts) = (Vec::new(), BTreeSet::new(), 0, 0);
    for folder in &folders {
        let name = folder.strip_prefix(&root).unwrap().display().to_string();
        let scratch = tempfile::tempdir().unwrap();
        copy(folder, scratch.path());
        inflate_parts(scratch.path());
        std::env::set_current_dir(scratch.path()).unwrap();
        match Play::load() {
            Ok(play) => {
                for group in ["ops", "function_ops"] {
                    op_types.extend(play.expected[group].as_object().unwrap().keys().cloned());
                }
                let refused: BTreeSet<String> = play.expected["must_be_refused"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|op| op.as_str().unwrap().to_owned())
                    .collect();
                let missing = embedded_engine::missing_kernels(&play.graph);
                let missing: BTreeSet<String> = missing.iter().map(|lack| lack.op_type.to_owned()).collect();
                if !refused.is_empty() {
                    if !refused.is_subset(&missing) {
                        wrong.push(format!("{name}: {refused:?} are not named as missing, but {missing:?}"));
                    }
                    continue;
                }
                iterators += play.expected["iterators"].as_array().unwrap().len();
                wrong.extend(play.play().into_iter().map(|text| format!("{name}: {text}")));
                let (count, differences) = play.resume();
                cuts += count;
                wrong.extend(differences.into_iter().map(|text| format!("{name}: {text}")));
            }
            Err(error) => wrong.push(format!("{name}: {}", error.chain())),
        }
        std::env::set_current_dir(&root).unwrap();
    }
    let belongs = |op: &str| ["Dataset", "Iterator", "Optional"].iter().any(|part| op.contains(part));
    let count = op_types.iter().filter(|op| belongs(op)).count();
    println!(
        "{} folders, {iterators} iterators, {cuts} cuts, {count} op types of datasets and iterators",
        folders.len()
    );
    let supported = ops::library().iter().map(|def| def.name());
    let supported = supported.filter(|op| belongs(op) && embedded_engine::supports(op));
    let absent: Vec<&str> = supported.filter(|op| !op_types.contains(*op)).collect();
    println!("{} op types are in no folder: {}", absent.len(), absent.join(" "));
    assert!(!folders.is_empty() && wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}
