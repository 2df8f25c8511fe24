//! String and parsing operations return TensorFlow's results, which `golden/make_input_golden.py` recorded.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::EmbeddedEngine;
use ops::LIBRARY;
use ops::array::placeholder;
use serde_json::Value as Json;
use session_core::{
    AttrValue, DType, Engine, Error, Graph, OpLibrary, Output, PartialShape, Result, SessionConfig,
    SessionExt, Shape, Tensor,
};

fn bytes(hex: &Json) -> Vec<u8> {
    let text = hex.as_str().unwrap().as_bytes();
    text.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn dtype(number: &Json) -> DType {
    DType::from_number(number.as_i64().unwrap().try_into().unwrap()).unwrap()
}

fn tensor(json: &Json) -> Tensor {
    let shape: Shape =
        json["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
    match json.get("strings") {
        Some(strings) => Tensor::from_strings(strings.as_array().unwrap().iter().map(bytes), shape).unwrap(),
        None => Tensor::from_le_bytes(dtype(&json["dtype"]), shape, bytes(&json["bytes"])).unwrap(),
    }
}

fn attr(json: &Json) -> AttrValue {
    let value = &json[1];
    match json[0].as_str().unwrap() {
        "int" => AttrValue::Int(value.as_i64().unwrap()),
        "bool" => AttrValue::Bool(value.as_bool().unwrap()),
        "string" => AttrValue::from(value.as_str().unwrap()),
        "type" => AttrValue::Type(dtype(value)),
        "shape" => {
            let sizes = value.as_array().unwrap().iter().map(|size| size.as_i64().unwrap());
            AttrValue::Shape(PartialShape::from_sizes(sizes))
        }
        "list" => AttrValue::List(value.as_array().unwrap().iter().map(attr).collect()),
        other => panic!("{other}"),
    }
}

/// Runs one case on placeholders whose shapes are known or not.
fn run(case: &Json, known: bool) -> Result<Vec<Tensor>> {
    let graph = Graph::new();
    let mut feeds: Vec<(Output, Tensor)> = Vec::new();
    let mut input = |json: &Json| {
        let value = tensor(json);
        let shape = if known { value.shape().into() } else { PartialShape::unknown() };
        let output = placeholder(&graph, value.dtype(), shape);
        feeds.push((output.clone(), value));
        output
    };
    let mut builder = graph.op(LIBRARY.find(case["op"].as_str().unwrap()).unwrap());
    for json in case["inputs"].as_array().unwrap() {
        builder = match json.as_array() {
            Some(list) => builder.input_list(list.iter().map(&mut input).collect::<Vec<_>>()),
            None => builder.input(input(json)),
        };
    }
    for (name, json) in case["attrs"].as_object().unwrap() {
        builder = builder.attr(name, attr(json));
    }
    let operation = builder.finish();
    graph.finalize()?;
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
    let results = session.run(operation.outputs(), feeds)?;
    for (output, result) in operation.outputs().iter().zip(&results) {
        assert!(output.shape().is_compatible_with(result.shape().dims()), "{} {case}", output.shape());
    }
    Ok(results)
}

fn show(result: &Result<Vec<Tensor>, Error>) -> String {
    match result {
        Ok(tensors) => {
            tensors.iter().map(|t| format!("{} {} {t}", t.dtype(), t.shape())).collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.chain().to_string(),
    }
}

fn equal(a: &Tensor, b: &Tensor) -> bool {
    let same_values = match a.dtype() {
        DType::String => a.as_strings().unwrap() == b.as_strings().unwrap(),
        // The bits of NaN differ between libraries.
        DType::Float32 if a.elements() == 1 && a.value::<f32>().unwrap().is_nan() => {
            b.value::<f32>().unwrap().is_nan()
        }
        DType::Float64 if a.elements() == 1 && a.value::<f64>().unwrap().is_nan() => {
            b.value::<f64>().unwrap().is_nan()
        }
        _ => a.as_bytes().unwrap() == b.as_bytes().unwrap(),
    };
    a.shape() == b.shape() && same_values
}

#[test]
fn operations_equal_tensorflow() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("golden/input.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        for known in [false, true] {
            let found = run(case, known);
            let (same, expected) = match case.get("outputs") {
                Some(outputs) => {
                    let outputs: Vec<Tensor> = outputs.as_array().unwrap().iter().map(tensor).collect();
                    let same = found.as_ref().is_ok_and(|found| {
                        found.len() == outputs.len()
                            && found.iter().zip(&outputs).all(|(a, b)| a.dtype() == b.dtype() && equal(a, b))
                    });
                    (same, show(&Ok(outputs)))
                }
                None => {
                    let code = case["error"].as_i64().unwrap();
                    (found.as_ref().is_err_and(|error| error.code() as i64 == code), format!("error {code}"))
                }
            };
            if !same {
                let inputs: Vec<String> = case["inputs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|i| match i.as_array() {
                        Some(list) => format!("{:?}", list.iter().map(tensor).collect::<Vec<_>>()),
                        None => format!("{:?}", tensor(i)),
                    })
                    .collect();
                wrong.push(format!(
                    "{} {}\n  of {}\n  here  {}\n  there {expected}",
                    case["op"],
                    case["attrs"],
                    inputs.join(" | "),
                    show(&found)
                ));
            }
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
