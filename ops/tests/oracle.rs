//! Definitions and structures are TensorFlow's.
//!
//! Needs a Python with TensorFlow: the one that the environment variable `MONITORED_SESSION_TF_PYTHON` names, or
//! `target/tensorflow/venv/bin/python` below the workspace's root. Without one the tests report that they were skipped.
#![allow(clippy::print_stdout)] // a skipped test says so
#![allow(clippy::unwrap_used)] // in a test a panic is the report

#[path = "../../tests/support/python.rs"]
mod python;

use ops::array::{constant, placeholder};
use ops::global_step::get_or_create_global_step;
use ops::initializers::{self as init, Distribution, Fan, Initializer};
use ops::math::{matmul, reduce_mean, square};
use ops::optimizers::*;
use ops::variables::{VariableBuilder, get_variable, global_variables};
use ops::{EXTENSIONS, library, random, summary};
use python::python;
use serde_json::{Map, Value as Json, json};
use session_core::{
    ArgDef, ArgType, AttrDef, AttrValue, DType, Graph, OpDef, OpLibrary, Operation, Output, Tensor, keys,
};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

// ---- running TensorFlow ----------------------------------------------------------------------------------

/// Returns the output of a script, as JSON; `None` without TensorFlow.
fn ask(script: &str, input: &str) -> Option<Json> {
    let python = python()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(script);
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the script failed: run it by hand");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

// ---- definitions -----------------------------------------------------------------------------------------

fn type_name(arg_type: &ArgType) -> String {
    match arg_type {
        ArgType::Fixed(dtype) => dtype.name().to_owned(),
        ArgType::Attr(name) | ArgType::List(name) => name.clone(),
        ArgType::Repeated(count, each) => format!("{count} * {}", type_name(each)),
    }
}

fn arguments(args: &[ArgDef]) -> Json {
    args.iter().map(|arg| json!([arg.name, type_name(&arg.arg_type), arg.is_ref])).collect()
}

fn attr_value(value: &AttrValue) -> Json {
    match value {
        AttrValue::Int(value) => json!(value),
        AttrValue::Float(value) => json!(f64::from(*value)),
        AttrValue::Bool(value) => json!(value),
        AttrValue::Type(dtype) => json!(dtype.name()),
        AttrValue::Shape(shape) => json!(shape.sizes()),
        AttrValue::Tensor(tensor) => json!(tensor.as_slice::<u8>().unwrap()),
        AttrValue::List(values) => values.iter().map(attr_value).collect(),
        text => json!(text.as_str().unwrap()),
    }
}

fn attribute(attr: &AttrDef) -> Json {
    // Sets differ in quantized types, which are left out on both sides.
    let mut types: Vec<&str> = attr.allowed_types.iter().map(|dtype| dtype.name()).collect();
    types.retain(|name| !name.starts_with('q'));
    let mut strings = attr.allowed_strings.clone();
    types.sort_unstable();
    strings.sort_unstable();
    let default: Vec<Json> = attr.default.iter().map(attr_value).collect();
    let kind = attr.kind.name();
    json!({ "kind": kind, "default": default, "types": types, "strings": strings, "minimum": attr.minimum })
}

fn definition(def: &OpDef) -> Json {
    let signature = def.signature();
    let attrs: Map<String, Json> =
        signature.attrs.iter().map(|attr| (attr.name.clone(), attribute(attr))).collect();
    json!({
        "inputs": arguments(&signature.inputs), "outputs": arguments(&signature.outputs), "attrs": attrs,
        "stateful": def.is_stateful(),
    })
}

#[test]
fn definitions_are_tensorflows() {
    let names: Vec<&str> = library().iter().map(OpDef::name).collect();
    let Some(expected) = ask("definitions.py", &names.join("\n")) else { return };
    let different: Vec<String> = names
        .iter()
        .filter_map(|name| {
            if EXTENSIONS.contains(name) {
                assert!(expected[name].is_null(), "TensorFlow has {name}");
                return None;
            }
            let (here, there) = (definition(library().find(name).unwrap()), &expected[name]);
            (here != *there).then(|| format!("{name}\n  here  {here}\n  there {there}"))
        })
        .collect();
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    println!("{} definitions agree", names.len());
}

// ---- structures ------------------------------------------------------------------------------------------

fn numbers(tensor: &Tensor) -> Json {
    match tensor.dtype() {
        DType::Float32 => tensor.to_vec::<f32>().unwrap().into_iter().map(|x| json!(f64::from(x))).collect(),
        DType::Float64 => json!(tensor.to_vec::<f64>().unwrap()),
        DType::Int32 => json!(tensor.to_vec::<i32>().unwrap()),
        DType::Int64 => json!(tensor.to_vec::<i64>().unwrap()),
        DType::String => {
            tensor.as_strings().unwrap().iter().map(|text| json!(String::from_utf8_lossy(text))).collect()
        }
        other => panic!("{other} constants do not occur"),
    }
}

fn row(operation: &Operation) -> Json {
    let inputs: Vec<String> = operation.inputs().iter().map(Output::name).collect();
    let mut row = vec![json!(operation.name()), json!(operation.op_type()), json!(inputs)];
    let attr = |name: &str| operation.attr(name);
    if operation.op_type() == "Const" {
        row.push(numbers(attr("value").unwrap().as_tensor().unwrap()));
    } else if operation.op_type() == "VarHandleOp" {
        let dtype = attr("dtype").unwrap().as_type().unwrap().name();
        row.push(json!([dtype, attr("shared_name").unwrap().as_str().unwrap()]));
    } else if let Some(seed) = attr("seed") {
        row.push(json!([seed.as_int().unwrap(), attr("seed2").unwrap().as_int().unwrap()]));
    }
    Json::Array(row)
}

fn plain_operations(graph: &Graph) -> Json {
    graph.check().unwrap();
    graph.operations().iter().map(row).collect()
}

fn collections(graph: &Graph) -> Json {
    let names = |key: &str| -> Vec<String> {
        let variables =
            graph.collection(&session_core::CollectionKey::<session_core::Variable>::from_name(key));
        let operations = graph.collection(&session_core::CollectionKey::<Operation>::from_name(key));
        let variables = variables.iter().map(|variable| variable.name().to_owned());
        variables.chain(operations.iter().map(|operation| operation.name().to_owned())).collect()
    };
    let keys = graph.collection_names().into_iter().filter(|key| key != keys::GLOBAL_STEP_READ.name());
    keys.map(|key| (key.clone(), json!(names(&key)))).collect::<Map<_, _>>().into()
}

fn initializers() -> Json {
    let fan_out = init::variance_scaling(3.0, Fan::Out, Distribution::UntruncatedNormal);
    let cases: Vec<(&str, Box<dyn Initializer>, &[usize])> = vec![
        ("zeros", Box::new(init::zeros()), &[4, 3]),
        ("ones", Box::new(init::ones()), &[4, 3]),
        ("random_uniform", Box::new(init::random_uniform(-2.0, 3.0)), &[4, 3]),
        ("random_normal", Box::new(init::random_normal(1.0, 0.5)), &[4, 3]),
        ("truncated_normal", Box::new(init::truncated_normal(0.0, 0.1)), &[4, 3]),
        ("glorot_uniform", Box::new(init::glorot_uniform()), &[4, 3]),
        ("glorot_normal", Box::new(init::glorot_normal()), &[3, 3, 2, 5]),
        ("he_uniform", Box::new(init::he_uniform()), &[4, 3]),
        ("he_normal", Box::new(init::he_normal()), &[7]),
        ("lecun_uniform", Box::new(init::lecun_uniform()), &[4, 3]),
        ("lecun_normal", Box::new(init::lecun_normal()), &[]),
        ("fan_out", Box::new(fan_out), &[4, 3]),
        ("own_seed", Box::new(init::glorot_uniform().seed(11)), &[4, 3]),
    ];
    let built = cases.into_iter().map(|(name, initializer, shape)| {
        let graph = Graph::new();
        graph.set_random_seed(7);
        let _ = get_variable(&graph, "first", [2], DType::Float32, &init::random_normal(0.0, 1.0));
        let _ = get_variable(&graph, "w", shape, DType::Float32, initializer.as_ref());
        (name.to_owned(), plain_operations(&graph))
    });
    built.collect::<Map<_, _>>().into()
}

fn samplers() -> Json {
    let graph = Graph::new();
    graph.set_random_seed(7);
    let _ = random::random_normal(&graph, [2], 0.0, 1.0, DType::Float32, None);
    let _ = random::random_uniform_int(&graph, [2], 0, 10, DType::Int32, None);
    let _ = random::random_uniform(&graph, [2], 2.0, 3.0, DType::Float32, None);
    let _ = random::random_uniform_unit(&graph, [2], DType::Float32, None);
    let _ = random::truncated_normal(&graph, [2], 0.0, 1.0, DType::Float32, Some(3));
    let _ = random::random_shuffle(constant(&graph.named("rows"), [1i32, 2]), None);
    let _ = random::random_normal(&graph, [2], 1.0, 2.0, DType::Float64, None);
    plain_operations(&graph)
}

fn seeds() -> Json {
    let cases = [
        (None, None),
        (None, Some(5)),
        (Some(7), None),
        (Some(7), Some(5)),
        (Some(0), Some(0)),
        (Some(0), None),
        (None, Some(0)),
        (Some(-1), Some(-2)),
        (Some(1 << 31), Some(1 << 31)),
        (Some((1 << 40) + 3), Some((1 << 33) + 1)),
    ];
    let found = cases.into_iter().map(|(of_graph, of_operation)| {
        let graph = Graph::new();
        if let Some(seed) = of_graph {
            graph.set_random_seed(seed);
        }
        let found = [0; 2].map(|_| random::get_seed(&graph, of_operation));
        json!([of_graph, of_operation, found])
    });
    found.collect()
}

fn described(output: &Output) -> Json {
    let operation = output.operation();
    match operation.op_type() {
        "VarHandleOp" => json!(format!("variable {}", operation.name())),
        "VariableV2" => json!(format!("variable {}", operation.name())),
        "ReadVariableOp" => json!(format!("read {}", operation.input(0).operation().name())),
        "Identity" if operation.name().ends_with("/read") => {
            json!(format!("read {}", operation.input(0).operation().name()))
        }
        "Const" => numbers(output.constant_value().unwrap()),
        _ if operation.name().starts_with("gradients") => json!("gradient"),
        _ => json!(output.name()),
    }
}

fn trained(optimizer: &dyn Optimizer, resource: bool) -> Json {
    let graph = Graph::new();
    let step = get_or_create_global_step(&graph);
    let x = placeholder(&graph.named("x"), DType::Float32, [4, 2]);
    let layer = graph.scope("layer");
    let (glorot, zeros) = (init::glorot_uniform(), init::zeros());
    let builder = |name: &str| VariableBuilder::new(&layer).scoped_name(name).use_resource(resource);
    let w = builder("w").initializer([2, 3], DType::Float32, &glorot).build();
    let b = builder("b").initializer([3], DType::Float32, &zeros).build();
    let loss = reduce_mean(square(matmul(&x, &w) + &b), ..);
    optimizer.minimize(&loss, Some(&step));
    graph.check().unwrap();

    let operations = graph.operations();
    let updates: Vec<Json> = operations
        .iter()
        .filter(|op| op.name().contains("/update_") && op.op_type().contains("Apply"))
        .map(|op| json!([op.name(), op.op_type(), op.inputs().iter().map(described).collect::<Json>()]))
        .collect();
    let initial: Map<String, Json> = global_variables(&graph)
        .iter()
        .map(|variable| {
            let initial = variable.initial_value().operation().op_type().to_owned();
            (variable.name().to_owned(), json!([initial, variable.shape().sizes()]))
        })
        .collect();
    let mut nesterov: Vec<bool> =
        operations.iter().filter_map(|op| op.attr("use_nesterov")?.as_bool()).collect();
    nesterov.sort_unstable();
    nesterov.dedup();
    json!({ "collections": collections(&graph), "updates": updates, "initial": initial, "nesterov": nesterov })
}

fn optimizers() -> Json {
    json!([true, false].map(optimizers_of))
}

fn optimizers_of(resource: bool) -> Json {
    let trained = |optimizer: &dyn Optimizer| trained(optimizer, resource);
    json!({
        "gradient_descent": trained(&GradientDescentOptimizer::new(0.1)),
        "momentum": trained(&MomentumOptimizer::new(0.1, 0.9)),
        "nesterov": trained(&MomentumOptimizer::new(0.1, 0.9).use_nesterov(true)),
        "adam": trained(&AdamOptimizer::new(0.01)),
        "rms_prop": trained(&RMSPropOptimizer::new(0.1)),
        "centered_rms_prop": trained(&RMSPropOptimizer::new(0.1).centered(true).momentum(0.5)),
        "adagrad": trained(&AdagradOptimizer::new(0.1)),
        "adadelta": trained(&AdadeltaOptimizer::new(0.001)),
    })
}

fn moving_average() -> Json {
    let graph = Graph::new();
    let w = get_variable(&graph, "w", [2, 3], DType::Float32, &init::glorot_uniform());
    ExponentialMovingAverage::new(0.99).apply(&graph, &[w]);
    graph.check().unwrap();
    collections(&graph)
}

fn summaries() -> Json {
    let graph = Graph::new();
    let value = constant(&graph.named("value"), 1.0f32);
    let outer = value.within(&graph.scope("outer"));
    let family = summary::SummaryOptions::default().family("fam");
    summary::scalar("loss", &outer);
    summary::scalar("loss", &outer);
    summary::scalar("my loss:0/x", &outer);
    summary::histogram_with("h", &outer, &family);
    summary::scalar_with("a", &value, &family);
    summary::image("img", constant(&graph.named("pixels"), Tensor::full(0.5f32, [1, 1, 1, 1])), 1);
    summary::audio_clips("clip", constant(&graph.named("frames"), [[0.5f32]]), 8000.0, 3);
    summary::text("note", constant(&graph.named("words"), "x"));
    let _ = summary::merge_all(&graph);
    let keep = |row: &Json| {
        let name = row[0].as_str().unwrap();
        row[1] != "Const" || name.ends_with("/tags") || name.ends_with("/tag")
    };
    plain_operations(&graph).as_array().unwrap().iter().filter(|row| keep(row)).cloned().collect()
}

/// The first places where two values differ, in words.
fn differences(path: &str, here: &Json, there: &Json, found: &mut Vec<String>) {
    match (here, there) {
        (Json::Object(a), Json::Object(b)) if a.keys().eq(b.keys()) => {
            for (key, value) in a {
                differences(&format!("{path}.{key}"), value, &b[key], found);
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{index}]"), a, b, found);
            }
        }
        // The two sides do not write numbers with the same digits.
        (Json::Number(a), Json::Number(b))
            if a.as_f64().map(|x| x as f32) == b.as_f64().map(|x| x as f32) => {}
        (a, b) if a != b => found.push(format!("{path}\n  here  {a}\n  there {b}")),
        _ => {}
    }
}

#[test]
fn structures_are_tensorflows() {
    let Some(expected) = ask("structure.py", "") else { return };
    let here = json!({
        "initializers": initializers(), "samplers": samplers(), "seeds": seeds(), "optimizers": optimizers(),
        "moving_average": moving_average(), "summaries": summaries(),
    });
    let mut found = Vec::new();
    differences("", &here, &expected, &mut found);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
