//! The cost of the built-in hooks on steps on which nothing is due: `cargo bench -p monitored-hooks`.
//!
//! Prints nanoseconds per step for each hook: its `before_run`, `after_run` and `at_save_point`, without the run itself.
#![allow(clippy::unwrap_used)] // a panic reports the failure, and the output is meant to be read
#![allow(clippy::print_stdout)] // that is what it is for

use hooks::{
    CheckpointSaverHook, LoggingTensorHook, Moment, NanTensorHook, OriginalArgs, SavePoint,
    SessionRunContext, SessionRunHook, SessionRunValues, StepCounterHook, StopAtStepHook,
};
use ops::global_step::create_global_step;
use queue_runner::Coordinator;
use session_core::mock::MockSession;
use session_core::{DType, Graph, Output, OutputInfo, PartialShape, Result, RunMetadata, RunOptions, Tensor};
use std::hint::black_box;
use std::time::{Duration, Instant};

const STEPS: i64 = 1_000_000;

fn main() -> Result<()> {
    let graph = Graph::new();
    create_global_step(&graph);
    let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    let loss = graph.undefined_op("Loss").name("loss").described_output(info).finish_output();
    let folder = tempfile::tempdir().map_err(|error| session_core::Error::value(error.to_string()))?;
    let hooks: [Box<dyn SessionRunHook>; 5] = [
        Box::new(CheckpointSaverHook::every_secs(&folder, Duration::from_secs(600))),
        Box::new(StopAtStepHook::last_step(1 << 40)),
        Box::new(StepCounterHook::every_n_steps(1 << 40)),
        Box::new(LoggingTensorHook::every_n_iter(1 << 40).tensor("loss", &loss)),
        Box::new(NanTensorHook::new(&loss)),
    ];
    let mut sum = 0.0;
    for mut hook in hooks {
        let time = time(hook.as_mut(), &graph, &loss)?;
        println!("{:>24} {time:7.1} ns", hook.name());
        sum += time;
    }
    println!("{:>24} {sum:7.1} ns", "all five");
    Ok(())
}

/// Nanoseconds per step.
fn time(hook: &mut dyn SessionRunHook, graph: &Graph, loss: &Output) -> Result<f64> {
    let session = MockSession::new(graph);
    session.otherwise(|run| Ok(vec![Tensor::from(0i64); run.fetches.len()]));
    hook.begin(graph)?;
    hook.after_create_session(&session, &Coordinator::new())?;
    let name = hook.name().into_owned();
    let none = Vec::new;
    hook.at_save_point(&mut SavePoint::new(&session, Moment::Created, &name, &none))?;
    let (options, metadata) = (RunOptions::default(), RunMetadata::default());
    let step = |hook: &mut dyn SessionRunHook, number: i64| {
        let mut context = SessionRunContext::new(&session, OriginalArgs::default());
        context.enter(&name);
        let args = hook.before_run(&mut context)?;
        let is_loss = args.as_ref().is_some_and(|args| args.fetches() == [loss.endpoint()]);
        let value = [if is_loss { Tensor::from(0.5f32) } else { Tensor::from(number) }];
        let fetched = if args.is_some() { &value[..] } else { &[] };
        let started = Instant::now();
        black_box(hook.after_run(&mut context, &SessionRunValues::all(fetched, &options, &metadata)))?;
        let mut point = SavePoint::new(&session, Moment::Step, &name, &none);
        black_box(hook.at_save_point(&mut point))?;
        drop(black_box(hook.before_run(&mut context)?));
        Result::Ok(started.elapsed())
    };
    for number in 0..1000 {
        step(hook, number)?;
    }
    // The measurement includes the cost of the clock itself.
    let clock = (0..STEPS).map(|_| black_box(Instant::now()).elapsed()).sum::<Duration>();
    let total: Duration = (1000..1000 + STEPS).map(|number| step(hook, number)).sum::<Result<Duration>>()?;
    Ok(total.saturating_sub(clock).as_secs_f64() * 1e9 / STEPS as f64)
}
