//! Runs operations with attributes, shapes, dtypes and values by chance for a while.
//!
//! `cargo run --release -p embedded-engine --all-features --example fuzz_ops -- [--seconds N] [--seed S] [--from CASE]
//! [--trace] [TARGET ...]`, where TARGET is `ops` (operations made from their definitions) or `samples` (samples of
//! operations, changed); both in turn without one.
//!
//! What must hold: no panic, no abort, no run that its time limit does not end. Findings are printed with their case; one that
//! ends the program is the last that `--trace` shows.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

#[path = "../../checkpoint/tests/support/random.rs"]
mod random;

use embedded_engine::EmbeddedEngine;
use graph_def::proto::Value as Proto;
use graph_def::{ImportOptions, import_graph_def, to_graph_def};
use ops::samples::{Known, Sample, samples};
use random::Random;
use session_core::{
    ArgDef, ArgType, AttrDef, AttrKind, AttrValue, Attrs, DType, Engine, Error, ErrorKind, Graph, OpDef,
    OpLibrary, Operation, Output, PartialShape, RunOptions, SessionConfig, Step,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tensor::{Bytes, Shape, Tensor};

/// Operations that touch files, print, or end the process as they should.
const LEFT_OUT: [&str; 9] = [
    "Abort",
    "MatchingFiles",
    "MergeV2Checkpoints",
    "Print",
    "PrintV2",
    "ReadFile",
    "RestoreV2",
    "SaveV2",
    "WriteFile",
];

/// What sizes and numbers are: mostly small; some beyond every memory or the end of their type. None in between, which
/// would only take long.
const NUMBERS: [i64; 24] = [
    0,
    1,
    2,
    3,
    4,
    1,
    2,
    3,
    2,
    1,
    0,
    -1,
    -1,
    -2,
    5,
    7,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MIN,
    1 << 33,
    -1 << 40,
    2,
    1,
];

const DTYPES: [DType; 16] = [
    DType::Float32,
    DType::Int32,
    DType::Int64,
    DType::Float64,
    DType::String,
    DType::Float32,
    DType::Int32,
    DType::Float32,
    DType::Bool,
    DType::UInt8,
    DType::Float16,
    DType::BFloat16,
    DType::Complex64,
    DType::Variant,
    DType::Resource,
    DType::Int8,
];

const TEXTS: [&str; 12] =
    ["", "a", "b", "ab,c", "1", "-1.5e3", "0", "(a", "\u{1f600}", "%d", "ij,jk->ik", "GZIP"];

fn pick<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())].clone()
}

fn dims(random: &mut Random) -> Vec<usize> {
    let rank = pick(random, &[0, 1, 1, 1, 2, 2, 2, 3, 4, 4, 5]);
    (0..rank).map(|_| pick(random, &[0, 1, 2, 2, 3, 4])).collect()
}

/// A tensor by chance; nothing for dtypes of handles.
fn value(random: &mut Random, dtype: DType) -> Option<Tensor> {
    let shape = Shape::from(dims(random));
    let count = shape.elements();
    macro_rules! plain {
        ($type:ty, $make:expr) => {
            Tensor::from_vec((0..count).map(|_| $make).collect::<Vec<$type>>(), shape).ok()
        };
    }
    let int = |random: &mut Random| pick(random, &NUMBERS);
    let float = |random: &mut Random| {
        pick(random, &[0.0, 1.0, -1.0, 0.5, 2.0, f64::NAN, f64::INFINITY, -1e300, 1e300, 1e-320, 3.7])
    };
    match dtype {
        DType::Float32 => plain!(f32, float(random) as f32),
        DType::Float64 => plain!(f64, float(random)),
        DType::Float16 => plain!(tensor::f16, tensor::f16::from_f64(float(random))),
        DType::BFloat16 => plain!(tensor::bf16, tensor::bf16::from_f64(float(random))),
        DType::Complex64 => plain!(tensor::Complex<f32>, tensor::Complex::new(float(random) as f32, 1.0)),
        DType::Complex128 => plain!(tensor::Complex<f64>, tensor::Complex::new(float(random), -1.0)),
        DType::Int8 => plain!(i8, int(random).clamp(-128, 127) as i8),
        DType::Int16 => plain!(i16, int(random).clamp(-32768, 32767) as i16),
        DType::Int32 => {
            let narrow = |value: i64| match i32::try_from(value) {
                Ok(value) => value,
                Err(_) => [i32::MIN, -1][usize::from(value > 0)],
            };
            plain!(i32, narrow(int(random)))
        }
        DType::Int64 => plain!(i64, int(random)),
        DType::UInt8 => plain!(u8, int(random) as u8),
        DType::UInt16 => plain!(u16, int(random) as u16),
        DType::UInt32 => plain!(u32, int(random).clamp(0, 9) as u32),
        DType::UInt64 => plain!(u64, int(random) as u64),
        DType::Bool => plain!(bool, random.below(2) == 1),
        DType::String => {
            let texts: Vec<Bytes> = (0..count).map(|_| Bytes::from(pick(random, &TEXTS))).collect();
            Tensor::from_strings(texts, shape).ok()
        }
        _ => None,
    }
}

fn partial_shape(random: &mut Random) -> PartialShape {
    match random.below(4) {
        0 => PartialShape::unknown(),
        1 => PartialShape::from_sizes((0..random.below(3)).map(|_| pick(random, &NUMBERS).max(-1))),
        _ => PartialShape::from_sizes(dims(random).into_iter().map(|dim| dim as i64)),
    }
}

fn attr_value(random: &mut Random, def: &AttrDef, kind: AttrKind) -> Option<AttrValue> {
    Some(match kind {
        AttrKind::Int => {
            let least = def.minimum.unwrap_or(0);
            AttrValue::Int(if random.below(3) > 0 {
                least.saturating_add(random.below(3) as i64)
            } else {
                pick(random, &NUMBERS)
            })
        }
        AttrKind::Float => {
            AttrValue::Float(pick(random, &[0.0, 1.0, -1.0, 0.1, f32::NAN, f32::INFINITY, f32::MIN]))
        }
        AttrKind::Bool => AttrValue::Bool(random.below(2) == 1),
        AttrKind::String if !def.allowed_strings.is_empty() => {
            AttrValue::from(pick(random, &def.allowed_strings))
        }
        AttrKind::String => AttrValue::from(pick(random, &TEXTS)),
        AttrKind::Type if def.allowed_types.is_empty() => AttrValue::Type(pick(random, &DTYPES)),
        AttrKind::Type => AttrValue::Type(pick(random, &def.allowed_types)),
        AttrKind::Shape => AttrValue::Shape(partial_shape(random)),
        AttrKind::Tensor => {
            let dtype = pick(random, &DTYPES);
            AttrValue::Tensor(value(random, dtype)?)
        }
        AttrKind::Func => AttrValue::Func("f".to_owned(), Attrs::new()),
        AttrKind::List => {
            let least = usize::try_from(def.minimum.unwrap_or(0)).unwrap_or(0);
            let length = if random.below(4) > 0 { least.max(1) + random.below(2) } else { random.below(6) };
            let items: Option<Vec<AttrValue>> =
                (0..length).map(|_| attr_value(random, def, def.items)).collect();
            AttrValue::List(items?)
        }
    })
}

/// What is run: a graph, what of it is fed, and what must have run before.
struct Case {
    graph: Graph,
    feeds: Vec<(Output, Tensor)>,
    first: Vec<Operation>,
    last: Vec<Operation>,
}

struct Maker<'r> {
    random: &'r mut Random,
    graph: Graph,
    feeds: Vec<(Output, Tensor)>,
    first: Vec<Operation>,
    constants: bool,
}

/// What makes the handles that operations with such names take.
const PRODUCERS: [(&str, &[&str]); 14] = [
    ("Queue", &["FIFOQueueV2", "RandomShuffleQueueV2", "PaddingFIFOQueueV2", "PriorityQueueV2"]),
    ("TensorArray", &["TensorArrayV3"]),
    ("LookupTable", &["HashTableV2", "MutableHashTableV2"]),
    ("InitializeTable", &["HashTableV2"]),
    ("Reader", &["TextLineReaderV2", "WholeFileReaderV2", "IdentityReaderV2"]),
    ("Stack", &["StackV2"]),
    ("TensorList", &["TensorListReserve", "EmptyTensorList", "TensorListFromTensor"]),
    ("Optional", &["OptionalFromValue", "OptionalNone"]),
    ("Barrier", &["Barrier"]),
    ("AccumulatorT", &["ConditionalAccumulator"]),
    ("AccumulatorA", &["ConditionalAccumulator"]),
    ("AccumulatorN", &["ConditionalAccumulator"]),
    ("AccumulatorS", &["ConditionalAccumulator"]),
    ("SparseAccumulator", &["SparseConditionalAccumulator"]),
];

impl Maker<'_> {
    fn find(&self, op_type: &str) -> Option<&'static OpDef> {
        ops::library().find(op_type)
    }

    /// An input of a dtype.
    fn input(&mut self, dtype: DType, is_ref: bool, user: &str, depth: usize) -> Option<Output> {
        if matches!(dtype, DType::Resource | DType::Variant) || is_ref && dtype == DType::String {
            return self.handle(dtype, user, depth);
        }
        let value = value(self.random, dtype)?;
        if is_ref {
            let variable = self.graph.op(self.find("VariableV2")?);
            let shape = PartialShape::from(value.shape());
            let variable = variable.attr("shape", shape).attr("dtype", dtype).finish_output();
            let initial = self.constant(value)?;
            if self.random.below(8) > 0 {
                self.first.push(self.graph.op(self.find("Assign")?).input(&variable).input(initial).finish());
            }
            return Some(variable);
        }
        if self.constants {
            return self.constant(value);
        }
        let placeholder = self.graph.op(self.find("Placeholder")?).attr("dtype", dtype);
        let known = if self.random.below(2) == 0 { PartialShape::unknown() } else { value.shape().into() };
        let placeholder = placeholder.attr("shape", known).finish_output();
        self.feeds.push((placeholder.clone(), value));
        Some(placeholder)
    }

    fn constant(&mut self, value: Tensor) -> Option<Output> {
        let dtype = value.dtype();
        Some(self.graph.op(self.find("Const")?).attr("value", value).attr("dtype", dtype).finish_output())
    }

    fn handle(&mut self, dtype: DType, user: &str, depth: usize) -> Option<Output> {
        if depth > 2 {
            return None;
        }
        let named = PRODUCERS.iter().find(|(part, _)| user.contains(part)).map(|(_, producers)| *producers);
        if dtype == DType::Resource && (named.is_none() || self.random.below(16) == 0) {
            let of = pick(
                self.random,
                &[DType::Float32, DType::Float32, DType::Int32, DType::Int64, DType::String],
            );
            let value = value(self.random, of)?;
            let handle = self.graph.op(self.find("VarHandleOp")?).attr("dtype", of);
            let handle = handle.attr("shape", PartialShape::from(value.shape())).finish_output();
            let initial = self.constant(value)?;
            if self.random.below(8) > 0 {
                let assign = self.graph.op(self.find("AssignVariableOp")?).input(&handle).input(initial);
                self.first.push(assign.finish());
            }
            return Some(handle);
        }
        let producer = pick(self.random, named.unwrap_or(&["TensorListReserve", "OptionalFromValue"]));
        let operation = self.operation(self.find(producer)?, depth + 1)?;
        (operation.num_outputs() > 0).then(|| operation.output(0))
    }

    fn dtypes(&self, arg: &ArgType, attrs: &Attrs) -> Option<Vec<DType>> {
        Some(match arg {
            ArgType::Fixed(dtype) => vec![*dtype],
            ArgType::Attr(name) => vec![attrs.get(name)?.as_type()?],
            ArgType::Repeated(count, each) => {
                let count = usize::try_from(attrs.get(count)?.as_int()?).ok().filter(|&count| count < 9)?;
                self.dtypes(each, attrs)?.repeat(count)
            }
            ArgType::List(name) => attrs.get(name)?.as_types()?,
        })
    }

    /// An operation by chance; nothing where its inputs cannot be made.
    fn operation(&mut self, def: &'static OpDef, depth: usize) -> Option<Operation> {
        let signature = def.signature();
        let mut attrs = Attrs::new();
        for attr in &signature.attrs {
            let plain = attr.default.clone().filter(|_| self.random.below(4) > 0);
            let value = match plain {
                Some(default) => default,
                None => attr_value(self.random, attr, attr.kind)?,
            };
            attrs.insert(attr.name.clone(), value);
        }
        let mut builder = self.graph.op(def).attrs(attrs.clone());
        for ArgDef { arg_type, is_ref, .. } in &signature.inputs {
            let dtypes = self.dtypes(arg_type, &attrs)?;
            let inputs: Option<Vec<Output>> =
                dtypes.into_iter().map(|dtype| self.input(dtype, *is_ref, def.name(), depth)).collect();
            let inputs = inputs?;
            builder = match arg_type {
                ArgType::Fixed(_) | ArgType::Attr(_) => builder.input(inputs.first()?),
                ArgType::Repeated(..) | ArgType::List(_) => builder.input_list(inputs),
            };
        }
        builder.try_finish().ok()
    }
}

fn from_definition(random: &mut Random) -> Option<Case> {
    let defs: Vec<&'static OpDef> = ops::library().iter().collect();
    let def = pick(random, &defs);
    if LEFT_OUT.contains(&def.name()) {
        return None;
    }
    let constants = random.below(2) == 0;
    let mut maker = Maker { random, graph: Graph::new(), feeds: Vec::new(), first: Vec::new(), constants };
    let operation = maker.operation(def, 0)?;
    Some(Case { graph: maker.graph, feeds: maker.feeds, first: maker.first, last: vec![operation] })
}

/// A sample with other numbers in one of its attributes, constants or feeds.
fn from_sample(random: &mut Random) -> Option<Case> {
    let all: Vec<Sample> = samples();
    let sample = pick(random, &all);
    let graph = Graph::new();
    let known = pick(random, &[Known::Nothing, Known::Ranks, Known::Shapes]);
    if !sample.builds_with(known) {
        return None;
    }
    let built = sample.build(&graph, known);
    let mut message = to_graph_def(&graph).ok()?;
    let mutant = random.below(message.node.len());
    let node = &mut message.node[mutant];
    let names: Vec<String> = node.attr.keys().cloned().collect();
    if let Some(name) = names.get(random.below(names.len() + 1)) {
        match node.attr.get_mut(name).and_then(|attr| attr.value.as_mut()) {
            Some(Proto::Int(value)) => *value = pick(random, &NUMBERS),
            Some(Proto::List(list)) if !list.i.is_empty() => {
                let at = random.below(list.i.len());
                list.i[at] = pick(random, &NUMBERS);
                if random.below(8) == 0 {
                    list.i.pop();
                }
            }
            Some(Proto::String(text)) => *text = Bytes::from(pick(random, &TEXTS)),
            Some(Proto::Bool(value)) => *value = !*value,
            Some(Proto::Float(value)) => *value = pick(random, &[0.0, -1.0, f32::NAN, f32::INFINITY]),
            _ => {}
        }
    }
    let again = Graph::new();
    let imported = import_graph_def(&again, &message, &ImportOptions::new()).ok()?;
    let mut feeds = Vec::new();
    for (output, kept) in built.inputs.iter().chain(&built.others) {
        let output = imported.output(&output.name()).ok()?;
        let changed = if random.below(3) == 0 { value(random, kept.dtype()) } else { None };
        feeds.push((output, changed.unwrap_or_else(|| kept.clone())));
    }
    let last = built.outputs.iter().map(|output| imported.operation(output.operation().name()).cloned());
    let last = last.collect::<Result<Vec<_>, Error>>().ok()?;
    Some(Case { graph: again, feeds, first: Vec::new(), last })
}

impl Case {
    /// Runs it; gives what a kernel that panicked said.
    fn run(&self) -> Option<Error> {
        let config = SessionConfig::with_threads(1);
        let session = EmbeddedEngine::new().new_session(&self.graph, "", &config).ok()?;
        let options = RunOptions::with_timeout(Duration::from_millis(200));
        let panicked = |error: Error| (error.kind() == ErrorKind::Panic).then_some(error);
        let step = |operations: &[Operation], fetch: bool| {
            let feeds: Vec<_> =
                self.feeds.iter().map(|(output, value)| (output.endpoint(), value.clone())).collect();
            let targets: Vec<_> = operations.iter().map(Operation::id).collect();
            let fetches: Vec<_> = operations
                .iter()
                .filter(|_| fetch)
                .flat_map(|operation| {
                    (0..operation.num_outputs()).map(|index| operation.output(index).endpoint())
                })
                .collect();
            session.execute(
                &Step { fetches: &fetches, targets: &targets, feeds: &feeds, options: &options },
                None,
            )
        };
        if let Err(error) = step(&self.first, false) {
            return panicked(error);
        }
        let found = match step(&self.last, true) {
            Ok(values) => {
                values.iter().for_each(|value| drop(value.to_string()));
                None
            }
            Err(error) => panicked(error),
        };
        let _ = session.close();
        found
    }

    fn described(&self) -> String {
        self.last.iter().map(|operation| format!("{} ", operation.op_type())).collect()
    }
}

/// When the case that runs now began, in milliseconds of the program, and its number.
static STARTED: AtomicU64 = AtomicU64::new(0);
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// After this long without an end a case counts as one that does not end.
const PATIENCE: Duration = Duration::from_secs(60);

fn watch(start: Instant) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let began = Duration::from_millis(STARTED.load(Ordering::Relaxed));
            if start.elapsed().saturating_sub(began) > PATIENCE {
                println!("case {} does not end", NUMBER.load(Ordering::Relaxed));
                std::process::exit(1);
            }
        }
    });
}

type Target = (&'static str, fn(&mut Random) -> Option<Case>);

fn main() {
    let (mut seconds, mut seed, mut from, mut trace, mut targets) = (10u64, 1u64, 0u64, false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number follows");
        match argument.as_str() {
            "--seconds" => seconds = number(),
            "--seed" => seed = number(),
            "--from" => from = number(),
            "--trace" => trace = true,
            target => targets.push(target.to_owned()),
        }
    }
    std::panic::set_hook(Box::new(|_| {}));
    let program = Instant::now();
    watch(program);
    let all: [Target; 2] = [("ops", from_definition), ("samples", from_sample)];
    let mut bad = false;
    for (name, make) in all.iter().filter(|row| targets.is_empty() || targets.iter().any(|t| t == row.0)) {
        let start = Instant::now();
        let (mut case, mut ran, mut findings) = (from, 0u64, BTreeMap::<String, u64>::new());
        while start.elapsed() < Duration::from_secs(seconds) {
            NUMBER.store(case, Ordering::Relaxed);
            STARTED.store(program.elapsed().as_millis() as u64, Ordering::Relaxed);
            let mut random = Random(seed ^ (case << 8));
            let made = catch_unwind(AssertUnwindSafe(|| make(&mut random)));
            let found = match made {
                Ok(None) => None,
                Ok(Some(made)) => {
                    ran += 1;
                    if trace {
                        println!("{name} {case}: {}", made.described());
                    }
                    match catch_unwind(AssertUnwindSafe(|| made.run())) {
                        Ok(found) => found.map(|error| error.to_string()),
                        Err(payload) => {
                            Some(format!("{}: {}", made.described(), Error::from_panic("the run", &*payload)))
                        }
                    }
                }
                Err(payload) => Some(Error::from_panic("making the graph", &*payload).to_string()),
            };
            if let Some(found) = found {
                findings.entry(found).or_insert(case);
            }
            case += 1;
        }
        for (finding, case) in &findings {
            println!("{name}, --seed {seed} --from {case}: {finding}");
        }
        println!("{name}: {} cases, {ran} of them ran, {} findings", case - from, findings.len());
        bad |= !findings.is_empty();
    }
    std::process::exit(i32::from(bad));
}
