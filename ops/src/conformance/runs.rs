//! Options, metadata, callables, threads, order and errors of runs.

use super::{fails, list, open};
use crate::array::{constant, gather, identity, placeholder};
use crate::control_flow::group;
use crate::math::matmul;
use crate::variables::{VariableExt, global_variables_initializer, variable};
use session_core::{
    CancellationToken, Code, DType, Engine, Graph, Output, PartialShape, RunMetadata, RunOptions, SessionExt,
    Tensor,
};
use std::time::Duration;

list! {
    s_63_runs_can_time_out a_run_can_be_cancelled s_64_metadata_is_overwritten
    s_66_callables_take_values_by_position s_56_threads_share_a_session control_inputs_come_first
    errors_name_the_operation
}

/// Some seconds of work that no engine can leave out: its operand is fed.
fn endless(graph: &Graph) -> (Output, Output) {
    let x = placeholder(&graph.named("x"), DType::Float32, [512, 512]);
    let mut y = x.clone();
    for _ in 0..3000 {
        y = matmul(&y, &x);
    }
    (x, y)
}

/// S-63: a run that takes too long ends with `DeadlineExceeded`; the session stays usable.
pub fn s_63_runs_can_time_out(engine: &dyn Engine) {
    let graph = Graph::new();
    let (x, y) = endless(&graph);
    let small = constant(&graph, 1i32);
    let session = open(engine, &graph);
    let options = RunOptions::with_timeout(Duration::from_millis(1));
    let feed = Tensor::zeros(DType::Float32, [512, 512]).unwrap();
    let result = session.run_with(&y, [(&x, feed)], &options, None);
    assert_eq!(fails(result.map(drop), "").code(), Code::DeadlineExceeded);
    assert_eq!(session.run(&small, ()).unwrap(), Tensor::from(1i32));
}

/// A run is stopped from outside by its token, with `Cancelled`; the session stays usable.
pub fn a_run_can_be_cancelled(engine: &dyn Engine) {
    let graph = Graph::new();
    let (x, y) = endless(&graph);
    let small = constant(&graph, 1i32);
    let session = open(engine, &graph);
    let token = CancellationToken::new();
    let options = RunOptions::default().cancellation(token.clone());
    let feed = Tensor::zeros(DType::Float32, [512, 512]).unwrap();
    let result = std::thread::scope(|scope| {
        let run = scope.spawn(|| session.run_with(&y, [(&x, feed)], &options, None).map(drop));
        // Before, during or just after the run began: it must end with the same error.
        token.cancel();
        run.join().unwrap()
    });
    assert_eq!(fails(result, "").code(), Code::Cancelled);
    assert_eq!(session.run(&small, ()).unwrap(), Tensor::from(1i32));
}

/// S-64: metadata is overwritten by each run, and holds step statistics only with a trace.
pub fn s_64_metadata_is_overwritten(engine: &dyn Engine) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
    let y = (x.named("product") * 2.0) + 1.0;
    let session = open(engine, &graph);
    let mut metadata = RunMetadata::default();
    let mut run = |options: &RunOptions| {
        let y = session.run_with(&y, [(&x, 3.0f32)], options, Some(&mut metadata)).unwrap();
        assert_eq!(y, Tensor::from(7.0f32));
        metadata.step_stats.clone()
    };
    let traced = run(&RunOptions::with_full_trace());
    assert!(traced.iter().any(|stats| stats.node.contains("product")), "{traced:?}");
    assert_eq!(run(&RunOptions::default()), []);
}

/// S-66: callables take values by position; a missing one shows as an unfed placeholder, surplus ones are ignored.
pub fn s_66_callables_take_values_by_position(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = placeholder(&graph.named("a"), DType::Float32, PartialShape::scalar());
    let b = placeholder(&graph.named("b"), DType::Float32, PartialShape::scalar());
    let (difference, sum) = (&a - &b, &a + &b);
    let session = open(engine, &graph);
    let callable = session.make_callable((&difference, &sum), &[&a, &b]).unwrap();
    let (five, three) = (Tensor::from(5.0f32), Tensor::from(3.0f32));
    for _ in 0..3 {
        let found = callable.call(&[five.clone(), three.clone()]).unwrap();
        assert_eq!(found, [Tensor::from(2.0f32), Tensor::from(8.0f32)]);
    }
    let surplus = callable.call(&[five.clone(), three.clone(), three.clone()]).unwrap();
    assert_eq!(surplus[0], Tensor::from(2.0f32));
    assert_eq!(fails(callable.call(std::slice::from_ref(&five)), "'b'").code(), Code::InvalidArgument);
    fails(callable.call(&[five, Tensor::from(3i32)]), "'b:0'");
}

/// S-56: many threads run one session at once.
pub fn s_56_threads_share_a_session(engine: &dyn Engine) {
    const THREADS: usize = 8;
    const RUNS: usize = 50;
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(4)]);
    let weights = constant(&graph, Tensor::full(1.0f32, [4, 4]));
    let y = matmul(&x, &weights);
    let count = variable(&graph.named("count"), 0i64);
    let increment = count.assign_add(1);
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (session, x, y, increment) = (&session, &x, &y, &increment);
            scope.spawn(move || {
                for run in 0..RUNS {
                    // Batch sizes differ, so that one plan serves several shapes at once.
                    let rows = 1 + (thread + run) % 5;
                    let fed = Tensor::full(thread as f32, [rows, 4]);
                    let ((), found) = session.run((increment, y), [(x, fed)]).unwrap();
                    assert_eq!(found, Tensor::full(4.0 * thread as f32, [rows, 4]));
                }
            });
        }
    });
    assert_eq!(session.run(&count, ()).unwrap(), Tensor::from((THREADS * RUNS) as i64));
}

/// Control inputs run before what waits for them, and only then.
pub fn control_inputs_come_first(engine: &dyn Engine) {
    let graph = Graph::new();
    let v = variable(&graph.named("v"), 1.0f32);
    let doubled = v.assign(v.read(&graph) * 2.0);
    let then = graph.control_dependencies([&doubled]);
    let increased = v.assign_add(constant(&then, 1.0f32));
    let after = v.read(&graph.control_dependencies([&increased]));
    let both = group(&graph, [&doubled, &increased]);
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    for _ in 0..20 {
        session.run(&init, ()).unwrap();
        assert_eq!(session.run(&after, ()).unwrap(), Tensor::from(3.0f32));
        session.run(&both, ()).unwrap();
        assert_eq!(session.run(&v, ()).unwrap(), Tensor::from(7.0f32));
    }
}

/// An error of a running operation names it and where it was made; the session stays usable.
pub fn errors_name_the_operation(engine: &dyn Engine) {
    let graph = Graph::new();
    let indices = placeholder(&graph.named("indices"), DType::Int32, [None]);
    let table = constant(&graph, [10.0f32, 20.0, 30.0]);
    let rows = gather(table.within(&graph.named("pick")), &indices);
    let result = identity(&rows);
    let session = open(engine, &graph);
    assert_eq!(session.run(&result, [(&indices, [2i32, 0])]).unwrap(), Tensor::from([30.0f32, 10.0]));
    let error = fails(session.run(&result, [(&indices, [0i32, 3])]), "");
    assert_eq!((error.code(), error.node()), (Code::InvalidArgument, Some("pick")));
    assert_eq!(error.location().map(|place| place.file()), Some(file!()));
    assert_eq!(session.run(&result, [(&indices, [1i32])]).unwrap(), Tensor::from([20.0f32]));
}
