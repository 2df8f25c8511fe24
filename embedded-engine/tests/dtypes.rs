//! Every dtype that an op definition allows: the engine says before the first step that it does not do it, or does it.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::{EmbeddedEngine, missing_kernels, missing_kernels_for};
use ops::samples::{Known, samples};
use ops::{array, math};
use session_core::{
    ArgDef, ArgType, AttrKind, Code, DType, Engine, Error, Function, Graph, OpDef, Operation, Output,
    PartialShape, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What attributes without a list of dtypes may be, as far as tensors of it can be written down.
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
    /// The operation in a graph of its own, with another dtype for an attribute, and what to feed. None where the definition
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

/// An operation of each op type in the samples, with what its inputs are there.
fn cases() -> Vec<Case> {
    let (mut seen, mut cases) = (BTreeSet::new(), Vec::new());
    for sample in samples() {
        let graph = Graph::new();
        let built = sample.build(&graph, Known::Shapes);
        let feeds: Vec<(Output, Tensor)> = built.inputs.iter().chain(&built.others).cloned().collect();
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

/// Whether an error says that a kernel met a dtype that it does not take.
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
fn what_a_dtype_lacks_is_listed_with_the_others_also_in_functions() {
    let body = Graph::new();
    let x = array::placeholder(&body, DType::Complex64, [2, 2]);
    let (q, _) = math::qr(&x, false);
    let function = Function::new("f", &body, [x], [("q".to_owned(), q)]).unwrap();
    let graph = Graph::new();
    graph.add_function(function).unwrap();
    let x = array::placeholder(&graph.named("x"), DType::Float16, [2, 2]);
    let (y, _) = math::qr(&x, false);
    let missing = missing_kernels(&graph);
    let expected = "Qr (f/Qr): dtype complex64 is not supported; Qr (Qr): dtype float16 is not supported";
    assert_eq!(missing.to_string(), expected);
    let error = session(&graph).run(&y, [(&x, Tensor::zeros(DType::Float16, [2, 2]).unwrap())]).unwrap_err();
    let expected = "the embedded engine has no kernel for: Qr (Qr): dtype float16 is not supported";
    assert_eq!((error.code(), error.message()), (Code::Unimplemented, expected));
    // What is fed need not be computed.
    assert!(missing_kernels_for([math::neg(&y).operation()], &[y]).is_empty());
}
