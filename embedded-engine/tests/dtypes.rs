//! Every dtype that an op definition allows: the engine reports before the first step that it lacks the dtype, or runs it.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::{EmbeddedEngine, missing_kernels, missing_kernels_for};
use ops::samples::{Known, samples};
use ops::{array, library, math};
use session_core::{
    ArgDef, ArgType, AttrKind, AttrValue, Code, DType, Engine, Error, Function, Graph, OpDef, OpLibrary,
    Operation, Output, PartialShape, Result, RunOptions, Session, SessionConfig, SessionExt, Tensor,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The dtypes of attributes without a list of dtypes, as far as the test can write tensors of them.
const ALL: [DType; 16] = [
    DType::Float32,
    DType::Float64,
    DType::Float16,
    DType::BFloat16,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::UInt8,
    DType::UInt16,
    DType::UInt32,
    DType::UInt64,
    DType::Bool,
    DType::Complex64,
    DType::Complex128,
    DType::String,
];

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

/// The same numbers in another dtype.
fn converted(tensor: &Tensor, dtype: DType) -> Tensor {
    if dtype == tensor.dtype() {
        return tensor.clone();
    }
    if dtype == DType::String {
        let strings = (0..tensor.elements()).map(|i| format!("s{i}"));
        return Tensor::from_strings(strings, tensor.shape()).unwrap();
    }
    let graph = Graph::new();
    let value = if tensor.dtype() == DType::String {
        Tensor::zeros(dtype, tensor.shape()).unwrap()
    } else {
        tensor.clone()
    };
    let cast = math::cast(array::constant(&graph, value), dtype);
    session(&graph).run(&cast, ()).unwrap()
}

/// Whether an argument has the dtype of this attribute.
fn has_type(arg: &ArgDef, attr: &str) -> bool {
    match &arg.arg_type {
        ArgType::Attr(name) => name == attr,
        ArgType::Repeated(_, each) => matches!(&**each, ArgType::Attr(name) if name == attr),
        ArgType::Fixed(_) | ArgType::List(_) => false,
    }
}

/// One operation of a sample with the values of its inputs.
struct Case {
    def: &'static OpDef,
    operation: Operation,
    inputs: Vec<Tensor>,
}

impl Case {
    /// The operation in a separate graph, with another dtype for an attribute, and what to feed. None where the definition
    /// does not allow it.
    fn with(&self, attr: &str, dtype: DType) -> Option<(Graph, Operation, Vec<(Output, Tensor)>)> {
        let graph = Graph::new();
        let (mut feeds, mut values) = (Vec::new(), self.inputs.iter());
        let mut builder = graph.op(self.def);
        let args = &self.def.signature().inputs;
        let counts = self.operation.attrs();
        for arg in args {
            let count = match &arg.arg_type {
                ArgType::Fixed(_) | ArgType::Attr(_) => None,
                ArgType::Repeated(count, _) => counts.get(count)?.as_int(),
                ArgType::List(types) => Some(counts.get(types)?.as_types()?.len() as i64),
            };
            let mut next = || {
                let value = values.next()?;
                let value = if has_type(arg, attr) { converted(value, dtype) } else { value.clone() };
                let input = array::placeholder(&graph, value.dtype(), PartialShape::from(value.shape()));
                feeds.push((input.clone(), value));
                Some(input)
            };
            builder = match count {
                None => builder.input(next()?),
                Some(count) => builder.input_list((0..count).map(|_| next()).collect::<Option<Vec<_>>>()?),
            };
        }
        let follows = |name: &str| {
            args.iter().any(|arg| match &arg.arg_type {
                ArgType::Repeated(count, _) => count == name || has_type(arg, name),
                ArgType::List(types) => types == name,
                _ => has_type(arg, name),
            })
        };
        for (name, value) in self.operation.attrs() {
            if name == attr && !follows(name) {
                builder = builder.attr(name, dtype);
            } else if !follows(name) {
                builder = builder.attr(name, value.clone());
            }
        }
        let operation = builder.finish();
        graph.check().is_ok().then_some((graph, operation, feeds))
    }
}

/// An operation of each op type in the samples, with the values of its inputs.
fn cases() -> Vec<Case> {
    let (mut seen, mut cases) = (BTreeSet::new(), Vec::new());
    let more = Graph::new();
    more_cases(&more);
    let sampled = samples().into_iter().map(|sample| {
        let graph = Graph::new();
        let built = sample.build(&graph, Known::Shapes);
        let feeds: Vec<(Output, Tensor)> = built.inputs.iter().chain(&built.others).cloned().collect();
        (graph, feeds)
    });
    for (graph, feeds) in sampled.chain([(more, Vec::new())]) {
        for operation in graph.operations() {
            let Some(def) = operation.def() else { continue };
            let plain = operation
                .inputs()
                .iter()
                .all(|input| input.dtype().is_plain() || input.dtype() == DType::String);
            if !plain || operation.num_outputs() == 0 || !seen.insert(def.name()) {
                continue;
            }
            if let Ok(inputs) = session(&graph).run(&operation.inputs(), feeds.clone()) {
                cases.push(Case { def, operation, inputs });
            }
        }
    }
    cases
}

/// Returns true if an error reports that a kernel received a dtype that it does not support.
fn is_surprise(error: &Error) -> bool {
    let met = error.code() == Code::Unimplemented || error.code() == Code::Internal;
    met || error.message().starts_with("elements are ")
        || error.message().ends_with("elements are not plain bytes")
}

#[test]
fn a_dtype_is_listed_before_the_first_step_or_runs() {
    let (mut runs, mut listed, mut surprises) = (0, BTreeSet::new(), Vec::new());
    for case in cases() {
        for attr in case.def.signature().attrs.iter().filter(|attr| attr.kind == AttrKind::Type) {
            let allowed = if attr.allowed_types.is_empty() { &ALL[..] } else { &attr.allowed_types };
            for &dtype in allowed.iter().filter(|dtype| ALL.contains(dtype)) {
                let Some((graph, operation, feeds)) = case.with(&attr.name, dtype) else { continue };
                let name = format!("{} {}={dtype}", case.def.name(), attr.name);
                let missing = missing_kernels_for([&operation], &[]);
                let outcome: Result<Vec<Tensor>> = session(&graph).run(&operation.outputs(), feeds);
                match outcome {
                    Err(error) if !missing.is_empty() => {
                        assert_eq!(error.code(), Code::Unimplemented, "{name}: {error}");
                        assert!(error.message().contains(&missing.to_string()), "{name}: {error}");
                        listed.insert(name);
                    }
                    Ok(_) if !missing.is_empty() => {
                        surprises.push(format!("{name} runs, though listed: {missing}"))
                    }
                    Err(error) if is_surprise(&error) => surprises.push(format!("{name}: {error}")),
                    _ => runs += 1,
                }
            }
        }
    }
    println!(
        "{runs} run; {} are listed: {}",
        listed.len(),
        listed.into_iter().collect::<Vec<_>>().join(", ")
    );
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
}

#[test]
fn kernels_missing_for_a_dtype_are_listed_including_functions() {
    let body = Graph::new();
    let x = array::placeholder(&body, DType::Float16, [2, 2]);
    let factor = math::cholesky(&x);
    let function = Function::new("f", &body, [x], [("factor".to_owned(), factor)]).unwrap();
    let graph = Graph::new();
    graph.add_function(function).unwrap();
    let x = array::placeholder(&graph.named("x"), DType::Float16, [2, 2]);
    let (y, _) = math::qr(&x);
    let missing = missing_kernels(&graph);
    let expected =
        "Cholesky (f/Cholesky): dtype float16 is not supported; Qr (Qr): dtype float16 is not supported";
    assert_eq!(missing.to_string(), expected);
    let error = session(&graph).run(&y, [(&x, Tensor::zeros(DType::Float16, [2, 2]).unwrap())]).unwrap_err();
    let expected = "the embedded engine has no kernel for: Qr (Qr): dtype float16 is not supported";
    assert_eq!((error.code(), error.message()), (Code::Unimplemented, expected));
    // A fed output need not be computed.
    assert!(missing_kernels_for([math::neg(&y).operation()], &[y]).is_empty());
}

/// Operations on strings, of parsing and of data flow that have an attribute for a dtype, which no sample has.
fn more_cases(graph: &Graph) {
    let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
    let numbers = || array::constant(graph, [1.0f32, 2.0]);
    let texts = |texts: [&str; 2]| array::constant(graph, texts);
    let raw = || array::constant(graph, Tensor::from_strings([vec![0u8; 16], vec![1; 16]], [2]).unwrap());
    op("AsString").input(numbers()).finish();
    op("StringToNumber").input(texts(["1", "0"])).finish();
    op("DecodeRaw").input(raw()).attr("out_type", DType::Float32).finish();
    let length = array::constant(graph, 16i32);
    op("DecodePaddedRaw").input(raw()).input(length).attr("out_type", DType::UInt8).finish();
    let parts = array::constant(graph, [0i32, 1]);
    op("DynamicPartition").input(numbers()).input(parts).attr("num_partitions", 2i64).finish();
    graph.check().unwrap();
}

/// The rows of a table: what puts a tensor somewhere, and what takes it out again.
type RoundTrip = fn(&Graph, &Output) -> (Operation, Output);

fn list_of(dtype: DType) -> AttrValue {
    AttrValue::List(vec![AttrValue::Type(dtype)])
}

const ROUND_TRIPS: &[(&str, RoundTrip)] = &[
    ("FIFOQueueV2", |graph, x| queue_of(graph, x, "FIFOQueueV2")),
    ("PaddingFIFOQueueV2", |graph, x| queue_of(graph, x, "PaddingFIFOQueueV2")),
    ("RandomShuffleQueueV2", |graph, x| queue_of(graph, x, "RandomShuffleQueueV2")),
    ("StackV2", |graph, x| {
        let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
        let size = array::constant(graph, 10i32);
        let stack =
            op("StackV2").input(&size).attr("elem_type", x.dtype()).attr("stack_name", "s").finish_output();
        let push = op("StackPushV2").input(&stack).input(x).finish();
        let after = graph.control_dependencies([&push]);
        let pop = after.op(library().find("StackPopV2").unwrap()).input(&stack).attr("elem_type", x.dtype());
        (push, pop.finish_output())
    }),
    ("Stage", |graph, x| {
        let stage =
            graph.op(library().find("Stage").unwrap()).input_list([x]).attr("shared_name", "s").finish();
        let after = graph.control_dependencies([&stage]).op(library().find("Unstage").unwrap());
        (stage, after.attr("dtypes", list_of(x.dtype())).attr("shared_name", "s").finish_output())
    }),
    ("MapStage", |graph, x| {
        let key = array::constant(graph, 1i64);
        let indices = array::constant(graph, [0i32]);
        let types = list_of(x.dtype());
        let stage = graph.op(library().find("MapStage").unwrap()).input(&key).input(&indices).input_list([x]);
        let stage = stage.attr("dtypes", types.clone()).attr("shared_name", "m").finish();
        let after = graph.control_dependencies([&stage]).op(library().find("MapUnstage").unwrap());
        let after = after.input(&key).input(&indices).attr("dtypes", types);
        (stage, after.attr("shared_name", "m").finish_output())
    }),
    ("TensorArrayV3", |graph, x| {
        let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
        let (size, at) = (array::constant(graph, 1i32), array::constant(graph, 0i32));
        let made = op("TensorArrayV3").input(&size).attr("dtype", x.dtype()).finish();
        let write =
            op("TensorArrayWriteV3").input(made.output(0)).input(&at).input(x).input(made.output(1)).finish();
        let read = op("TensorArrayReadV3").input(made.output(0)).input(&at).input(write.output(0));
        (write, read.attr("dtype", x.dtype()).finish_output())
    }),
    ("TensorListSetItem", |graph, x| {
        let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
        let (size, at) = (array::constant(graph, 1i32), array::constant(graph, 0i32));
        let shape = array::constant(graph, -1i32);
        let list = op("TensorListReserve").input(&shape).input(&size);
        let list = list.attr("element_dtype", x.dtype()).attr("shape_type", DType::Int32).finish_output();
        let set = op("TensorListSetItem").input(&list).input(&at).input(x).finish();
        let get = op("TensorListGetItem").input(set.output(0)).input(&at).input(&shape);
        (set, get.attr("element_dtype", x.dtype()).finish_output())
    }),
    ("OptionalFromValue", |graph, x| {
        let made = graph.op(library().find("OptionalFromValue").unwrap()).input_list([x]);
        let made = made.attr("Toutput_types", list_of(x.dtype())).finish();
        let shapes = AttrValue::List(vec![AttrValue::Shape(PartialShape::unknown())]);
        let get = graph.op(library().find("OptionalGetValue").unwrap()).input(made.output(0));
        (made, get.attr("output_types", list_of(x.dtype())).attr("output_shapes", shapes).finish_output())
    }),
    ("Variable", |graph, x| {
        let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
        let handle =
            op("VarHandleOp").attr("dtype", x.dtype()).attr("shape", PartialShape::unknown()).finish_output();
        let assign = op("AssignVariableOp").input(&handle).input(x).finish();
        let after = graph.control_dependencies([&assign]).op(library().find("ReadVariableOp").unwrap());
        (assign, after.input(&handle).attr("dtype", x.dtype()).finish_output())
    }),
];

fn queue_of(graph: &Graph, x: &Output, op_type: &str) -> (Operation, Output) {
    let shapes = AttrValue::List(vec![AttrValue::Shape(x.shape().clone())]);
    let queue = graph.op(library().find(op_type).unwrap()).attr("component_types", list_of(x.dtype()));
    let queue = queue.attr("shapes", shapes).finish_output();
    let put = graph.op(library().find("QueueEnqueueV2").unwrap()).input(&queue).input_list([x]).finish();
    let after = graph.control_dependencies([&put]).op(library().find("QueueDequeueV2").unwrap());
    (put, after.input(&queue).attr("component_types", list_of(x.dtype())).finish_output())
}

/// Kernels that keep values for other operations accept every dtype, or are listed before the first step.
#[test]
fn containers_of_tensors_take_every_dtype_or_are_listed() {
    let (mut kept, mut listed) = (0, Vec::new());
    for (name, round_trip) in ROUND_TRIPS {
        for dtype in ALL {
            let graph = Graph::new();
            let value = converted(&Tensor::from([1.0f32, 0.0]), dtype);
            let (put, taken) = round_trip(&graph, &array::constant(&graph, value.clone()));
            graph.check().unwrap_or_else(|error| panic!("{name} of {dtype}: {error}"));
            let missing = missing_kernels_for([&put, taken.operation()], &[]);
            let options = RunOptions::with_timeout(Duration::from_secs(30));
            match session(&graph).run_with(&taken, (), &options, None) {
                Ok(found) if missing.is_empty() => {
                    assert_eq!(found, value, "{name} of {dtype}");
                    kept += 1;
                }
                Err(error) if !missing.is_empty() => {
                    assert_eq!(error.code(), Code::Unimplemented, "{name} of {dtype}: {error}");
                    listed.push(format!("{name} of {dtype}"));
                }
                outcome => panic!("{name} of {dtype}: {outcome:?}, listed: {missing}"),
            }
        }
    }
    println!("{kept} kept; {} are listed: {}", listed.len(), listed.join(", "));
}
