//! W1: the overhead of one step. One int64 `global_step += 1` per step, fetched.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::ops::control_flow::while_loop;
use monitored_session::ops::variables::{self, VariableExt as _};
use monitored_session::ops::{OutputExt as _, array, global_step};
use monitored_session::prelude::*;
use std::time::Duration;
use support::{emit, rounds, threads, timed};

const STEPS: usize = 3000;
const WARMUP: usize = 1500;

struct Model {
    graph: Graph,
    /// The global step.
    step: Output,
    loss: Output,
}

fn model() -> Model {
    let graph = Graph::new();
    let step = global_step::get_or_create_global_step(&graph);
    let add = step.assign_add(1i64);
    let step = step.read(&graph.control_dependencies([&add]));
    let loss = array::constant(&graph.named("loss"), 0.5f32);
    Model { graph, step, loss }
}

/// A hook that does nothing.
struct Nothing;

impl SessionRunHook for Nothing {}

fn microseconds(runs: Vec<f64>) -> Vec<f64> {
    runs.into_iter().map(|run| run * 1e6).collect()
}

fn report(name: &str, runs: Vec<f64>) {
    let threads = if threads() == 0 { "default".to_owned() } else { threads().to_string() };
    emit(&format!("w1/ours/{name}/{threads}t"), "time_per_step", "us", &microseconds(runs), "");
}

fn raw() -> Result<()> {
    let Model { graph, step, loss } = model();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(threads()))?;
    session.run(&variables::global_variables_initializer(&graph), ())?;
    let runs = timed(rounds(7), STEPS, WARMUP, || {
        std::hint::black_box(session.run(&step, ()).expect("runs"));
    });
    report("run_tensor", runs);
    let runs = timed(rounds(7), STEPS, WARMUP, || {
        std::hint::black_box(session.run((&step, &loss), ()).expect("runs"));
    });
    report("run_2_tensors", runs);
    let callable = session.make_callable(&step, &[])?;
    let runs = timed(rounds(7), STEPS, WARMUP, || {
        std::hint::black_box(callable.call(&[]).expect("runs"));
    });
    report("callable_tensor", runs);
    session.close()
}

/// The rounds of the loop of [`empty_loop`].
const LOOP_ROUNDS: i32 = 100_000;

/// The cost of one round of a `while_loop` that does nothing but count.
fn empty_loop() -> Result<()> {
    let graph = Graph::new();
    let last = while_loop(
        &graph,
        |body, i: &Output| i.less(array::constant(body, LOOP_ROUNDS)),
        |_, i| &i + 1,
        array::constant(&graph, 0i32),
    );
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(threads()))?;
    let runs = timed(rounds(7), 5, 2, || {
        std::hint::black_box(session.run(&last, ()).expect("runs"));
    });
    let threads = if threads() == 0 { "default".to_owned() } else { threads().to_string() };
    let per_round: Vec<f64> = runs.into_iter().map(|run| run * 1e6 / f64::from(LOOP_ROUNDS)).collect();
    emit(&format!("w1/ours/while_loop_round/{threads}t"), "time_per_round", "us", &per_round, "");
    session.close()
}

fn singular(
    name: &str,
    hooks: impl FnOnce(&Model, &std::path::Path) -> Vec<Box<dyn SessionRunHook>>,
) -> Result<()> {
    let model = model();
    let directory = tempfile::tempdir().expect("a temporary folder");
    let hooks = hooks(&model, directory.path());
    let builder =
        SingularMonitoredSession::builder(&model.graph).config(SessionConfig::with_threads(threads()));
    let mut session = hooks.into_iter().fold(builder, |builder, hook| builder.hook(hook)).build()?;
    let runs = timed(rounds(7), STEPS, WARMUP, || {
        assert!(!session.should_stop());
        std::hint::black_box(session.run(&model.step, ()).expect("runs"));
    });
    report(&format!("singular_{name}"), runs);
    session.close()
}

/// The smallest step of a plain loop that has state and a metric.
#[derive(Default)]
struct Count(u64);

impl Count {
    fn step(&mut self) -> f64 {
        self.0 = std::hint::black_box(self.0 + 1);
        self.0 as f64
    }
}

/// A loop without a graph: the overhead of a step, next to the same loop without a session.
fn host(name: &str, hooks: impl FnOnce(&std::path::Path) -> Vec<Box<dyn SessionRunHook>>) -> Result<()> {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let hooks = hooks(directory.path());
    let mut count = Count::default();
    let training = HostTraining::new().metrics(["loss"]).configure(|session| session.hooks(hooks));
    let mut session = training.build(move |_| Ok([("loss", count.step())]))?;
    let runs = timed(rounds(7), STEPS, WARMUP, || {
        assert!(!session.should_stop());
        session.step().expect("runs");
    });
    report(&format!("host_{name}"), runs);
    session.close()
}

fn by_hand() {
    let mut count = Count::default();
    report(
        "host_by_hand",
        timed(rounds(7), STEPS, WARMUP, || {
            std::hint::black_box(count.step());
        }),
    );
}

fn main() -> Result<()> {
    raw()?;
    empty_loop()?;
    by_hand();
    host("0_hooks", |_| Vec::new())?;
    host("realistic_5_hooks", |directory| {
        vec![
            Box::new(CheckpointSaverHook::every_secs(directory, Duration::from_secs(600))),
            Box::new(StopAtStepHook::last_step(1 << 40)),
            Box::new(StepCounterHook::every_n_steps(100)),
            Box::new(LoggingTensorHook::every_n_iter(100).tensor("loss", "loss")),
            Box::new(NanTensorHook::new("loss")),
        ]
    })?;
    singular("0_hooks", |_, _| Vec::new())?;
    singular("5_noop_hooks", |_, _| (0..5).map(|_| Box::new(Nothing) as Box<dyn SessionRunHook>).collect())?;
    singular("realistic_5_hooks", |model, directory| {
        vec![
            Box::new(CheckpointSaverHook::every_secs(directory, Duration::from_secs(600))),
            Box::new(StopAtStepHook::last_step(1 << 40)),
            Box::new(StepCounterHook::every_n_steps(100)),
            Box::new(LoggingTensorHook::every_n_iter(100).tensor("loss", &model.loss)),
            Box::new(NanTensorHook::new(&model.loss)),
        ]
    })
}
