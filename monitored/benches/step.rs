//! The cost that monitoring adds to a step: a monitored run over a session that does nothing, with hooks that do nothing and with
//! hooks that fetch. Nanoseconds per step, the median of several rounds.
//!
//! `cargo bench -p monitored --bench step`

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark reports

use hooks::{SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use monitored::SingularMonitoredSession;
use scaffold::Scaffold;
use session_core::{
    Callable, DType, Engine, Graph, OpId, Operation, Output, OutputInfo, PartialShape, Result, RunMetadata,
    Session, SessionConfig, SessionExt, Step, StepSignature, Tensor, closed,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const STEPS: u32 = 200_000;
const ROUNDS: usize = 9;

/// Answers every fetch with the same tensor.
struct Noop {
    graph: Graph,
    value: Tensor,
    names: Tensor,
    ready: OpId,
}

impl Session for Noop {
    fn graph(&self) -> &Graph {
        &self.graph
    }
    fn execute(&self, step: &Step<'_>, _: Option<&mut RunMetadata>) -> Result<Vec<Tensor>> {
        if step.fetches.first().is_some_and(|fetch| fetch.op == self.ready) {
            return Ok(vec![self.names.clone()]);
        }
        Ok(vec![self.value.clone(); step.fetches.len()])
    }
    fn prepare(&self, _: &StepSignature) -> Result<Callable> {
        Err(closed())
    }
    fn close(&self) -> Result<()> {
        Ok(())
    }
    fn is_closed(&self) -> bool {
        false
    }
}

struct NoopEngine(OpId);

impl Engine for NoopEngine {
    fn new_session(&self, graph: &Graph, _: &str, _: &SessionConfig) -> Result<Arc<dyn Session>> {
        let (value, names) = (Tensor::from(1f32), Tensor::from(Vec::<String>::new()));
        Ok(Arc::new(Noop { graph: graph.clone(), value, names, ready: self.0 }))
    }
    fn name(&self) -> &str {
        "noop"
    }
}

struct Idle;

impl SessionRunHook for Idle {}

/// Works as a logging or NaN hook on a step where nothing is due: fetches, and inspects the value.
struct Fetching(Output);

impl SessionRunHook for Fetching {
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(Some(SessionRunArgs::new().fetch(&self.0)))
    }
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        if values[0].value::<f32>()?.is_nan() {
            context.request_stop("NaN");
        }
        Ok(())
    }
}

struct Model {
    graph: Graph,
    loss: Output,
    train_op: Operation,
    ready: Output,
}

fn model() -> Model {
    let graph = Graph::new();
    let output = |name: &str, dtype: DType| {
        let info = OutputInfo { dtype, shape: PartialShape::scalar(), is_ref: false };
        graph.undefined_op("Noop").name(name).described_output(info).finish_output()
    };
    let (loss, ready) = (output("loss", DType::Float32), output("ready", DType::String));
    let train_op = graph.undefined_op("NoOp").name("train").finish();
    Model { graph, loss, train_op, ready }
}

fn session(model: &Model, hooks: Vec<Box<dyn SessionRunHook>>) -> SingularMonitoredSession {
    let scaffold = Scaffold::builder().ready_op(&model.ready).ready_for_local_init_op(&model.ready);
    SingularMonitoredSession::builder(&model.graph)
        .engine(Arc::new(NoopEngine(model.ready.operation().id())))
        .scaffold(scaffold)
        .hooks(hooks)
        .build()
        .unwrap()
}

fn median(mut step: impl FnMut()) -> f64 {
    (0..STEPS).for_each(|_| step());
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            (0..STEPS).for_each(|_| step());
            begun.elapsed().as_nanos() as f64 / f64::from(STEPS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let raw = {
        let model = model();
        let session = NoopEngine(model.ready.operation().id());
        let session = session.new_session(&model.graph, "", &SessionConfig::default()).unwrap();
        median(|| drop(black_box(session.run((&model.train_op, &model.loss), ()).unwrap())))
    };
    println!("{:<34} {raw:>8.1} ns", "raw session");
    type Hooks = fn(&Model) -> Vec<Box<dyn SessionRunHook>>;
    let cases: [(&str, Hooks); 3] = [
        ("monitored, no hooks", |_| Vec::new()),
        ("monitored, 5 hooks that do nothing", |_| (0..5).map(|_| Box::new(Idle) as _).collect()),
        ("monitored, 5 hooks that fetch", |model| {
            (0..5).map(|_| Box::new(Fetching(model.loss.clone())) as _).collect()
        }),
    ];
    for (name, hooks) in cases {
        let model = model();
        let mut session = session(&model, hooks(&model));
        let time = median(|| drop(black_box(session.run((&model.train_op, &model.loss), ()).unwrap())));
        println!("{name:<34} {time:>8.1} ns  ({:+.1} over raw)", time - raw);
        session.close().unwrap();
    }
}
