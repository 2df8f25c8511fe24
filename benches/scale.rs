//! The growth of costs with the size of a graph: each case at three sizes, with the exponent from the middle one to the largest. An
//! exponent near 1 means that the cost grows with the work; the program fails if one exceeds [`LIMIT`].
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

use monitored_session::checkpoint::{GraphSaver, RestoreOptions, SaverOptions};
use monitored_session::ops::variables::{self, VariableBuilder, VariableExt as _};
use monitored_session::ops::{array, control_flow, data_flow, math};
use monitored_session::prelude::*;
use monitored_session::session_core::{AttrValue, Function, OpLibrary as _, Operation, PartialShape, Reuse};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// The variable of the environment with the case and the size that a process is to measure.
const ONE: &str = "SCALE_ONE";

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// The largest exponent of a case. Caches and sorting add up to 0.35 to that of the work; a cost that is quadratic at this size has 2.
const LIMIT: f64 = 1.7;

/// The exponent above which a case is measured again: a machine that was busy with something else during one of the runs is not
/// a cost of the graph.
const DOUBTFUL: f64 = 1.4;

/// The number of times that a doubtful case is measured again.
const REPEATS: usize = 3;

/// One case: prepares a graph of a size, and returns the function to time.
type Case = (&'static str, fn(usize) -> Box<dyn FnMut()>);

const CASES: &[Case] = &[
    ("build variables, shared by name, and updates", |n| {
        Box::new(move || {
            let graph = Graph::new();
            let shared = graph.variable_scope("model", Reuse::Auto);
            for i in 0..n {
                let start = array::zeros(&shared, DType::Float32, [2]);
                let built =
                    VariableBuilder::new(&shared).scoped_name(format!("v{i}")).initial_value(start).build();
                let _ = built.assign_add(built.read(&graph));
            }
        })
    }),
    ("initialize variables", |n| {
        let (graph, _) = with_variables(n);
        let init = variables::global_variables_initializer(&graph);
        let session = session(&graph);
        Box::new(move || session.run(&init, ()).unwrap())
    }),
    ("first step: update all variables", |n| {
        let (graph, variables) = with_variables(n);
        let session = initialized(&graph);
        let updates: Vec<Operation> = variables.iter().map(|variable| variable.assign_add(1f32)).collect();
        let step = control_flow::group(&graph, &updates);
        Box::new(move || session.run(&step, ()).unwrap())
    }),
    ("first step: read, update and read again", |n| {
        let (graph, variables) = with_variables(n);
        let session = initialized(&graph);
        let before: Vec<Output> = variables.iter().map(|variable| variable.read(&graph)).collect();
        let updates: Vec<Operation> = variables.iter().map(|variable| variable.assign_add(1f32)).collect();
        let step = control_flow::group(&graph, &updates);
        let behind = graph.control_dependencies([&step]);
        let after: Vec<Output> = variables.iter().map(|variable| variable.read(&behind)).collect();
        let (before, after) = (math::add_n(&before), math::add_n(&after));
        Box::new(move || drop(session.run((&before, &after), ()).unwrap()))
    }),
    ("save variables", |n| {
        let (graph, _) = with_variables(n);
        let session = initialized(&graph);
        let folder = tempfile::tempdir().unwrap();
        let saver = GraphSaver::new(SaverOptions::new());
        Box::new(move || drop(save(&saver, &session, &folder)))
    }),
    ("restore variables", |n| {
        let (graph, _) = with_variables(n);
        let folder = tempfile::tempdir().unwrap();
        let saver = GraphSaver::new(SaverOptions::new());
        let prefix = save(&saver, &initialized(&graph), &folder);
        let session = session(&graph);
        Box::new(move || {
            saver.restore(&*session, &prefix, &RestoreOptions::new()).unwrap();
            // The folder exists until the case is dropped.
            let _ = &folder;
        })
    }),
    ("updates of one variable, in a row", |n| {
        let graph = Graph::new();
        let variable = variables::variable(&graph.named("v"), 0f32);
        let session = initialized(&graph);
        let mut last = variable.assign_add(1f32);
        for _ in 1..n {
            let behind = variable.after(&last);
            let next = &behind + 1f32;
            last = variable.assign(next);
        }
        Box::new(move || session.run(&last, ()).unwrap())
    }),
    ("updates of one variable, side by side, and reads of it", |n| {
        let graph = Graph::new();
        let variable = variables::variable(&graph.named("v"), 0f32);
        let session = initialized(&graph);
        let reads: Vec<Output> = (0..n).map(|_| variable.read(&graph)).collect();
        let updates: Vec<Operation> = (0..n).map(|_| variable.assign_add(1f32)).collect();
        let (sum, step) = (math::add_n(&reads), control_flow::group(&graph, &updates));
        Box::new(move || drop(session.run((&sum, &step), ()).unwrap()))
    }),
    ("feeds", |n| {
        let graph = Graph::new();
        let places: Vec<Output> =
            (0..n).map(|_| array::placeholder(&graph, DType::Float32, PartialShape::scalar())).collect();
        let sum = math::add_n(&places);
        let session = session(&graph);
        Box::new(move || {
            let feeds: Vec<(&Output, f32)> = places.iter().map(|place| (place, 1f32)).collect();
            drop(session.run(&sum, feeds).unwrap());
        })
    }),
    ("fetches", |n| {
        let (graph, outputs) = with_outputs(n);
        let session = initialized(&graph);
        Box::new(move || drop(session.run(&outputs, ()).unwrap()))
    }),
    ("targets", |n| {
        let (graph, outputs) = with_outputs(n);
        let session = initialized(&graph);
        let targets: Vec<Operation> = outputs.iter().map(|output| output.operation().clone()).collect();
        Box::new(move || drop(session.run(&targets, ()).unwrap()))
    }),
    ("requests of a hook", |n| {
        let (graph, outputs) = with_outputs(n);
        let step = outputs[0].clone();
        let hook = Asks(outputs);
        let mut session = SingularMonitoredSession::builder(&graph).hook(hook).build().unwrap();
        Box::new(move || {
            session.run(&step, ()).unwrap();
            session.close().unwrap();
        })
    }),
    ("one operation of many inputs", |n| {
        let graph = Graph::new();
        let x = array::placeholder(&graph, DType::Float32, PartialShape::scalar());
        let inputs: Vec<Output> = (0..n).map(|_| x.clone()).collect();
        let packed = array::stack(&inputs, 0);
        let session = session(&graph);
        Box::new(move || drop(session.run(&packed, [(&x, 1f32)]).unwrap()))
    }),
    ("a step that waits, and what depends on it", |n| {
        let graph = Graph::new();
        let queue =
            data_flow::FifoQueue::new(&graph, 2, DType::Float32).shapes([PartialShape::scalar()]).build();
        let taken = queue.dequeue().output();
        let mut outputs = vec![taken.clone()];
        outputs.extend((1..n).map(|_| &taken + 1f32));
        let sum = math::add_n(&outputs);
        let put = queue.enqueue([array::constant(&graph, 1f32)]);
        let session = session(&graph);
        // The graph was created before; only the deferred operations are timed.
        let step = session.make_callable((&sum, &put), &[]).unwrap();
        Box::new(move || drop(step.call(&[]).unwrap()))
    }),
    ("calls of one function", |n| {
        let graph = Graph::new();
        let body = Graph::new();
        let x = array::placeholder(&body, DType::Float32, PartialShape::scalar());
        let mut y = x.clone();
        for _ in 0..100 {
            y = &y + 1f32;
        }
        graph.add_function(Function::new("f", &body, [x], [("y".to_owned(), y)]).unwrap()).unwrap();
        let start = array::placeholder(&graph, DType::Float32, PartialShape::scalar());
        let types = AttrValue::List(vec![AttrValue::Type(DType::Float32)]);
        let call = |input: &Output| {
            let builder = graph.op(monitored_session::ops::library().find("PartitionedCall").unwrap());
            let builder = builder.input_list([input]).attr("Tin", types.clone()).attr("Tout", types.clone());
            builder.attr("f", AttrValue::Func("f".to_owned(), Default::default())).finish().output(0)
        };
        let results: Vec<Output> = (0..n / 10).map(|_| call(&start)).collect();
        let sum = math::add_n(&results);
        let session = session(&graph);
        Box::new(move || drop(session.run(&sum, [(&start, 1f32)]).unwrap()))
    }),
];

/// A hook with many requests.
struct Asks(Vec<Output>);

impl SessionRunHook for Asks {
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(Some(SessionRunArgs::new().fetch_all(&self.0)))
    }
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn initialized(graph: &Graph) -> Arc<dyn Session> {
    let init = variables::global_variables_initializer(graph);
    let session = session(graph);
    session.run(&init, ()).unwrap();
    session
}

fn with_variables(n: usize) -> (Graph, Vec<Variable>) {
    let graph = Graph::new();
    let variables = (0..n).map(|i| variables::variable(&graph.named(&format!("v{i}")), 1f32)).collect();
    (graph, variables)
}

fn with_outputs(n: usize) -> (Graph, Vec<Output>) {
    let graph = Graph::new();
    let x = variables::variable(&graph.named("v"), 1f32).read(&graph);
    let outputs = (0..n).map(|_| &x + 1f32).collect();
    (graph, outputs)
}

fn save(saver: &GraphSaver, session: &Arc<dyn Session>, folder: &tempfile::TempDir) -> std::path::PathBuf {
    saver.save(&**session, folder.path().join("model"), None).unwrap()
}

/// Returns the shortest time of several runs, each in a process of its own: what a program does with its memory before would
/// change the cost of the rest by up to a factor of two.
fn seconds(case: usize, size: usize) -> f64 {
    let runs = if size > 10_000 { 1 } else { 3 };
    let run = |_| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.env(ONE, format!("{case} {size}")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    };
    (0..runs).map(run).fold(f64::INFINITY, f64::min)
}

/// Prints the seconds that a case takes in this process.
fn one(case: usize, size: usize) {
    let mut timed = CASES[case].1(size);
    let start = Instant::now();
    timed();
    // What the case holds is dropped afterwards.
    println!("{}", start.elapsed().as_secs_f64());
}

fn main() {
    if let Ok(one_of) = std::env::var(ONE) {
        let mut numbers = one_of.split(' ').map(|number| number.parse().unwrap());
        return one(numbers.next().unwrap(), numbers.next().unwrap());
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let mut beyond = Vec::new();
    println!("{:56} {:>10} {:>10} {:>10} {:>9}", "milliseconds at", SIZES[0], SIZES[1], SIZES[2], "exponent");
    for (number, (name, _)) in CASES.iter().enumerate() {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let mut times = SIZES.map(|size| seconds(number, size) * 1e3);
        // From the middle size on, because fixed costs dominate the smallest one.
        let exponent = |[_, middle, large]: [f64; 3]| (large / middle).log10();
        for _ in 0..REPEATS {
            if exponent(times) > DOUBTFUL {
                times = [0, 1, 2].map(|i| times[i].min(seconds(number, SIZES[i]) * 1e3));
            }
        }
        let ([small, middle, large], exponent) = (times, exponent(times));
        println!("{name:56} {small:10.3} {middle:10.3} {large:10.3} {exponent:9.2}");
        if exponent > LIMIT {
            beyond.push(*name);
        }
    }
    if !beyond.is_empty() {
        println!("beyond an exponent of {LIMIT}: {}", beyond.join(", "));
        std::process::exit(1);
    }
}
