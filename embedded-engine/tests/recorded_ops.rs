//! Single operations return TensorFlow's outputs, or fail with its code: `recorded/*.json.gz`, one case a line.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::EmbeddedEngine;
use ops::{array, library};
use serde_json::Value;
use session_core::{
    ArgType, AttrKind, AttrValue, DType, Engine, Error, Graph, OpLibrary as _, Output, PartialShape, Result,
    SessionConfig, SessionExt, Tensor,
};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap();
    (0..hexadecimal.len()).step_by(2).map(digits).collect()
}

fn tensor(recorded: &Value) -> Tensor {
    let shape: Vec<usize> =
        recorded["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
    match recorded["strings"].as_array() {
        Some(strings) => {
            Tensor::from_strings(strings.iter().map(|text| bytes(text.as_str().unwrap())), shape).unwrap()
        }
        None => {
            let dtype = DType::from_name(recorded["dtype"].as_str().unwrap()).unwrap();
            Tensor::from_le_bytes(dtype, shape, bytes(recorded["bytes"].as_str().unwrap())).unwrap()
        }
    }
}

fn attribute(value: &Value, kind: AttrKind) -> AttrValue {
    match value {
        Value::Bool(value) => AttrValue::Bool(*value),
        Value::Number(number) if kind == AttrKind::Float || number.is_f64() => {
            AttrValue::Float(number.as_f64().unwrap() as f32)
        }
        Value::Number(number) => AttrValue::Int(number.as_i64().unwrap()),
        Value::String(text) => AttrValue::from(text.as_str()),
        Value::Array(values) => AttrValue::List(values.iter().map(|value| attribute(value, kind)).collect()),
        other if other["shape"].is_array() => {
            let sizes =
                other["shape"].as_array().unwrap().iter().map(|size| size.as_u64().map(|size| size as usize));
            AttrValue::Shape(PartialShape::from(sizes.collect::<Vec<_>>()))
        }
        other => AttrValue::Type(DType::from_name(other["type"].as_str().unwrap()).unwrap()),
    }
}

/// The operation of a case, and what to feed.
fn build(graph: &Graph, case: &Value) -> Result<(Vec<Output>, Vec<(Output, Tensor)>)> {
    let op_type = case["op"].as_str().unwrap();
    let def = library().find(op_type).ok_or_else(|| Error::value(format!("{op_type} is not defined")))?;
    let mut feeds = Vec::new();
    let mut placeholder = |recorded: &Value| {
        let value = tensor(recorded);
        let output = array::placeholder(graph, value.dtype(), PartialShape::unknown());
        feeds.push((output.clone(), value));
        output
    };
    let mut builder = graph.op(def);
    for (input, arg) in case["inputs"].as_array().unwrap().iter().zip(&def.signature().inputs) {
        builder = match (input.as_array(), &arg.arg_type) {
            (Some(list), _) => builder.input_list(list.iter().map(&mut placeholder).collect::<Vec<_>>()),
            (None, ArgType::Repeated(..) | ArgType::List(_)) => builder.input_list([placeholder(input)]),
            (None, _) => builder.input(placeholder(input)),
        };
    }
    for (name, value) in case["attrs"].as_object().unwrap() {
        let kind = def.signature().attrs.iter().find(|attr| attr.name == *name).unwrap().kind;
        builder = builder.attr(name, attribute(value, kind));
    }
    let operation = builder.finish();
    graph.check()?;
    Ok((operation.outputs(), feeds))
}

fn run(case: &Value) -> Result<Vec<Tensor>> {
    let graph = Graph::new();
    let (outputs, feeds) = build(&graph, case)?;
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1))?;
    session.run(&outputs, feeds)
}

/// Elements as numbers: complex ones as two, quantized ones as the integers that they are stored as.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    fn all<const N: usize>(tensor: &Tensor, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let chunks = tensor.as_bytes().unwrap().chunks_exact(N);
        chunks.map(|chunk| number(chunk.try_into().unwrap())).collect()
    }
    match tensor.dtype() {
        DType::Float32 | DType::Complex64 => all(tensor, |b| f32::from_ne_bytes(b).into()),
        DType::Float64 | DType::Complex128 => all(tensor, f64::from_ne_bytes),
        DType::Float16 => all(tensor, |b| tensor::f16::from_ne_bytes(b).to_f64()),
        DType::BFloat16 => all(tensor, |b| tensor::bf16::from_ne_bytes(b).to_f64()),
        DType::Int8 | DType::QInt8 => all(tensor, |b| i8::from_ne_bytes(b).into()),
        DType::UInt8 | DType::QUInt8 | DType::Bool => all(tensor, |[b]| b.into()),
        DType::Int16 | DType::QInt16 => all(tensor, |b| i16::from_ne_bytes(b).into()),
        DType::UInt16 | DType::QUInt16 => all(tensor, |b| u16::from_ne_bytes(b).into()),
        DType::Int32 | DType::QInt32 => all(tensor, |b| i32::from_ne_bytes(b).into()),
        DType::UInt32 => all(tensor, |b| u32::from_ne_bytes(b).into()),
        DType::Int64 => all(tensor, |b| i64::from_ne_bytes(b) as f64),
        DType::UInt64 => all(tensor, |b| u64::from_ne_bytes(b) as f64),
        other => panic!("numbers of {other}"),
    }
}

/// Returns the difference of an output from the recorded one, if there is one.
fn difference(found: &Tensor, expected: &Tensor, tolerance: f64) -> Option<String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        let (dtype, shape) = (found.dtype(), found.shape());
        return Some(format!("{dtype} {shape} instead of {} {}", expected.dtype(), expected.shape()));
    }
    if found.dtype() == DType::String {
        return (found != expected).then(|| format!("{found} instead of {expected}"));
    }
    let (found, expected) = (numbers(found), numbers(expected));
    let off = |(a, b): (&f64, &f64)| if a == b || a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    let wrong = |pair: (&f64, &f64)| {
        let off = off(pair);
        off.is_nan() || off > tolerance
    };
    let place = found.iter().zip(&expected).position(wrong)?;
    let count = found.iter().zip(&expected).filter(|pair| wrong(*pair)).count();
    let most = found.iter().zip(&expected).map(off).fold(0.0, f64::max);
    let (a, b) = (found[place], expected[place]);
    Some(format!("{a} instead of {b} at {place}; {count} of {} differ, by up to {most}", found.len()))
}

fn check(case: &Value) -> Option<String> {
    let outcome = run(case);
    if let Some(code) = case["error"].as_i64() {
        return match outcome {
            Ok(_) => Some(format!("ran instead of ending with code {code}")),
            Err(error) if error.code() as i64 == code => None,
            Err(error) => Some(format!("ended with {error:?} instead of code {code}")),
        };
    }
    let values = match outcome {
        Ok(values) => values,
        Err(error) => return Some(format!("{error:?}")),
    };
    let tolerance = case["tolerance"].as_f64().unwrap();
    let expected = case["outputs"].as_array().unwrap();
    let outputs = values.iter().zip(expected).enumerate().filter(|(_, (_, expected))| !expected.is_null());
    let differences = outputs.filter_map(|(at, (found, expected))| {
        difference(found, &tensor(expected), tolerance).map(|text| format!("output {at}: {text}"))
    });
    let text = differences.collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(text)
}

/// The cases of a file.
fn cases(name: &str) -> Vec<Value> {
    let file = std::fs::File::open(folder().join(format!("{name}.json.gz"))).unwrap();
    let cases: Value = serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap();
    cases.as_array().unwrap().clone()
}

/// Plays a file of cases.
fn play(name: &str) {
    let cases = cases(name);
    let wrong: Vec<String> = cases
        .iter()
        .enumerate()
        .filter_map(|(at, case)| {
            let (op_type, attrs) = (case["op"].as_str().unwrap(), &case["attrs"]);
            check(case).map(|text| format!("{at} {op_type} {attrs}: {text}"))
        })
        .collect();
    println!("{name}: {} cases", cases.len());
    assert!(!cases.is_empty() && wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn images_are_tensorflows() {
    play("images");
}

/// The decoder is another one than TensorFlow's (libjpeg-turbo). By default that takes a fast transform of low precision; with
/// `INTEGER_ACCURATE` the two only round at other places.
#[test]
fn decoded_jpegs_differ_from_tensorflows_within_bounds() {
    let cases = cases("images");
    for (method, most_beyond_one, mean_bound, bound) in
        [(None, 0.25, 1.0, 6.0), (Some("INTEGER_ACCURATE"), 0.03, 0.3, 3.0)]
    {
        let mut differences = Vec::new();
        for case in cases.iter().filter(|case| case["op"] == "DecodeJpeg" && !case["outputs"].is_null()) {
            let attrs = case["attrs"].as_object().unwrap();
            // Plain enlargement and smaller images are other options.
            let is_plain = attrs.keys().all(|name| name == "channels" || name == "dct_method");
            if is_plain && attrs.get("dct_method").and_then(Value::as_str) == method {
                let (found, expected) = (run(case).unwrap().remove(0), tensor(&case["outputs"][0]));
                let pairs = numbers(&found).into_iter().zip(numbers(&expected));
                differences.extend(pairs.map(|(a, b)| (a - b).abs()));
            }
        }
        let count = differences.len();
        let share = differences.iter().filter(|&&off| off > 1.0).count() as f64 / count as f64;
        let mean = differences.iter().sum::<f64>() / count as f64;
        let most = differences.iter().copied().fold(0.0, f64::max);
        println!(
            "{method:?}: {share:.4} of {count} values differ by more than 1; {mean:.3} in the mean, {most} at most"
        );
        assert!(count > 5000, "{count}");
        assert!(
            share < most_beyond_one && mean < mean_bound && most <= bound,
            "{method:?}: {share} {mean} {most}"
        );
    }
}

#[test]
fn boxes_are_tensorflows() {
    play("boxes");
}

#[test]
fn signals_are_tensorflows() {
    play("signals");
}

#[test]
fn quantized_numbers_are_tensorflows() {
    play("quantized");
}

#[test]
fn decompositions_are_tensorflows() {
    play("spectral");
}

#[test]
fn random_numbers_of_keys_are_tensorflows() {
    play("keyed");
}

#[test]
fn sequence_examples_are_tensorflows() {
    play("sequences");
}

#[test]
fn linear_algebra_is_tensorflows() {
    play("linear");
}

#[test]
fn texts_are_tensorflows() {
    play("texts");
}

#[test]
fn counts_and_crosses_are_tensorflows() {
    play("counts");
}

#[test]
fn boundaries_are_tensorflows() {
    play("boundaries");
}

#[test]
fn arguments_at_their_edges_are_tensorflows() {
    play("arguments");
}

#[test]
fn operations_of_frozen_graphs_are_tensorflows() {
    play("frozen");
}

#[test]
fn edges_are_tensorflows() {
    play("edges");
}
