//! Runs operations with attributes, shapes, dtypes and values by chance for a while.
//!
//! `cargo run --release -p embedded-engine --all-features --example fuzz_ops -- [--seconds N] [--seed S] [--from CASE]
//! [--slow N] [--trace] [TARGET ...]`, where TARGET is `ops` (operations made from their definitions) or `samples` (samples of
//! operations, changed); both in turn without one.
//!
//! A finding is a panic, an abort, or a run that its time limit does not end (`--slow N`: within N milliseconds more).
//! Findings are printed with their case; one that ends the program is the last that `--trace` shows, and panics show their
//! backtrace there.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

#[path = "../../../checkpoint/tests/support/random.rs"]
mod random;
mod values;

use embedded_engine::EmbeddedEngine;
use graph_def::proto::Value as Proto;
use graph_def::{ImportOptions, import_graph_def, to_graph_def};
use ops::samples::{Known, Sample, samples};
use random::Random;
use session_core::{
    ArgDef, ArgType, Attrs, DType, Engine, Error, ErrorKind, Graph, OpDef, OpLibrary, Operation, Output,
    PartialShape, RunOptions, SessionConfig, Step,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tensor::{Bytes, Tensor};
use values::{Mood, NUMBERS, TEXTS, attr_value, pick, value};

/// Operations that touch files, print, or end the process as they should.
const LEFT_OUT: [&str; 13] = [
    "Abort",
    "MatchingFiles",
    "MergeV2Checkpoints",
    "Print",
    "PrintV2",
    "ReadFile",
    "Restore",
    "RestoreSlice",
    "RestoreV2",
    "Save",
    "SaveSlices",
    "SaveV2",
    "WriteFile",
];

/// A case: a graph, its feeds, and the operations that must have run before.
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
    mood: Mood,
}

/// The operations that make the handles which operations with such names take.
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
        let value = value(self.random, &self.mood, dtype)?;
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
        if self.random.below(16) == 0 {
            // Whatever is fed does not fit most of these shapes: they are for shape functions and gradients.
            let shape = values::partial_shape(self.random);
            let unfed = self.graph.op(self.find("Placeholder")?).attr("dtype", dtype).attr("shape", shape);
            return Some(unfed.finish_output());
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
            let value = value(self.random, &self.mood, of)?;
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
    let (constants, mood) = (random.below(2) == 0, Mood::of(random));
    let (feeds, first) = (Vec::new(), Vec::new());
    let mut maker = Maker { random, graph: Graph::new(), feeds, first, constants, mood };
    let operation = maker.operation(def, 0)?;
    if maker.random.below(4) == 0 {
        let results = (0..operation.num_outputs()).map(|index| operation.output(index));
        let results: Vec<Output> = results.filter(|result| result.dtype().is_floating()).collect();
        // Only a panic is wrong here: many operations have no gradient.
        drop(ops::gradients(&results, &operation.inputs()));
    }
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
        let mood = Mood { shape: Some(kept.shape().to_vec()), small: random.below(2) == 0 };
        let changed = if random.below(2) == 0 { value(random, &mood, kept.dtype()) } else { None };
        feeds.push((output, changed.unwrap_or_else(|| kept.clone())));
    }
    let last = built.outputs.iter().map(|output| imported.operation(output.operation().name()).cloned());
    let last = last.collect::<Result<Vec<_>, Error>>().ok()?;
    Some(Case { graph: again, feeds, first: Vec::new(), last })
}

impl Case {
    /// Runs it. Returns true if it completed, and the message of a kernel that panicked.
    fn run(&self) -> (bool, Option<Error>) {
        let config = SessionConfig::with_threads(1);
        let Ok(session) = EmbeddedEngine::new().new_session(&self.graph, "", &config) else {
            return (false, None);
        };
        let options = RunOptions::with_timeout(TIME_LIMIT);
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
            return (false, panicked(error));
        }
        let found = match step(&self.last, true) {
            Ok(values) => {
                values.iter().for_each(|value| drop(value.to_string()));
                (true, None)
            }
            Err(error) => (false, panicked(error)),
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

/// The time limit of each run.
const TIME_LIMIT: Duration = Duration::from_millis(200);

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
    let (mut seconds, mut seed, mut from, mut slow) = (10u64, 1u64, 0u64, 45_000u64);
    let (mut trace, mut targets) = (false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number follows");
        match argument.as_str() {
            "--seconds" => seconds = number(),
            "--seed" => seed = number(),
            "--from" => from = number(),
            "--slow" => slow = number(),
            "--trace" => trace = true,
            target => targets.push(target.to_owned()),
        }
    }
    std::panic::set_hook(Box::new(move |info| {
        if trace {
            println!("{info}\n{}", std::backtrace::Backtrace::force_capture());
        }
    }));
    // Tensors that just fit into the machine are touched one after the other until the system ends the process.
    tensor::memory::limit_pieces(256 << 20);
    let program = Instant::now();
    watch(program);
    let all: [Target; 2] = [("ops", from_definition), ("samples", from_sample)];
    let mut bad = false;
    for (name, make) in all.iter().filter(|row| targets.is_empty() || targets.iter().any(|t| t == row.0)) {
        let start = Instant::now();
        let (mut case, mut ran, mut ended) = (from, 0u64, 0u64);
        let mut findings = BTreeMap::<String, u64>::new();
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
                    let began = Instant::now();
                    match catch_unwind(AssertUnwindSafe(|| made.run())) {
                        Ok((well, found)) => {
                            ended += u64::from(well);
                            let took = began.elapsed();
                            let late = took > TIME_LIMIT + Duration::from_millis(slow);
                            let late =
                                late.then(|| format!("{}takes {} s", made.described(), took.as_secs()));
                            found.map(|error| error.to_string()).or(late)
                        }
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
        println!(
            "{name}: {} cases, of which {ran} could be built and {ended} ran to their end, {} findings",
            case - from,
            findings.len()
        );
        bad |= !findings.is_empty();
    }
    std::process::exit(i32::from(bad));
}
