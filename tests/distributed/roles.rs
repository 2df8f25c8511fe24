//! The work of the processes of a cluster.

use crate::parts::model;
use monitored_session::checkpoint::CheckpointReader;
use monitored_session::monitored::{MonitoredSession, RecoveryPolicy};
use monitored_session::ops::{array, global_step, math, nn, optimizers::*, variables};
use monitored_session::prelude::*;
use monitored_session::scaffold::{ChiefSessionCreator, WorkerSessionCreator};
use monitored_session::tensorflow_engine::{ClusterSpec, Library, ReplicaDeviceSetter, Server};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The number of steps between the chief's checkpoints.
pub(crate) const SAVE_STEPS: u64 = 10;

/// Sends a line to the test.
fn say(what: impl std::fmt::Display) {
    println!("@@{what}");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

struct Task {
    cluster: ClusterSpec,
    job: String,
    index: usize,
    folder: PathBuf,
}

/// Plays the role that the environment sets; does nothing without a role.
pub(crate) fn run() {
    let Ok(role) = std::env::var("DISTRIBUTED_ROLE") else { return };
    let task = Task {
        cluster: variable("DISTRIBUTED_CLUSTER").parse().unwrap(),
        job: variable("DISTRIBUTED_JOB"),
        index: variable("DISTRIBUTED_INDEX").parse().unwrap(),
        folder: variable("DISTRIBUTED_FOLDER").into(),
    };
    log_to_stderr(format!("{role} {}/{}", task.job, task.index));
    match role.as_str() {
        "server" => serve(&task),
        "train" => train(&task),
        "slots" => slots(&task),
        "replica" => replica(&task),
        other => panic!("no role {other}"),
    }
}

/// Prints the actions of a process, for the analysis of a failure.
fn log_to_stderr(name: String) {
    let began = std::time::Instant::now();
    let mut builder = env_logger::builder();
    builder.filter_level(log::LevelFilter::Info).format(move |out, record| {
        writeln!(out, "{name} {:.3}s {} {}", began.elapsed().as_secs_f64(), record.level(), record.args())
    });
    builder.init();
}

fn start_server(task: &Task) -> (Library, Server) {
    let library = Library::find().unwrap();
    let server =
        Server::start(&library, &task.cluster, &task.job, task.index, &SessionConfig::default()).unwrap();
    (library, server)
}

fn serve(task: &Task) {
    let (_, server) = start_server(task);
    say("ready");
    server.join().unwrap();
}

/// Returns a session of a task that does not connect to the other workers, so that their failures do not affect it.
pub(crate) fn config(index: usize) -> SessionConfig {
    SessionConfig::default()
        .device_filters(vec!["/job:ps".to_owned(), format!("/job:worker/task:{index}")])
        .operation_timeout(Duration::from_secs(10))
}

/// Runs one step of training for each line of input, and answers with the step and the number of recoveries.
fn train(task: &Task) {
    let (library, server) = start_server(task);
    let device = format!("/job:worker/task:{}", task.index);
    let setter = ReplicaDeviceSetter::new(&task.cluster).worker_device(device);
    let engine: Arc<dyn Engine> = Arc::new(TensorFlowEngine::with_library(library).device_setter(setter));

    let graph = Graph::new();
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
    let w = variables::variable(&graph.named("w"), 0.0f32);
    let b = variables::variable(&graph.named("b"), 0.0f32);
    let loss = math::reduce_mean(math::square(&x * &w + &b - (&x * 3.0 + 1.0)), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = GradientDescentOptimizer::new(0.1).minimize(&loss, Some(&step));

    let policy =
        RecoveryPolicy::new().max_attempts(60).pause(Duration::from_millis(200), Duration::from_secs(1));
    let mut builder = MonitoredSession::builder(&graph).recovery(policy);
    let wait = Duration::from_millis(200);
    builder = if task.index == 0 {
        let creator = ChiefSessionCreator::new(engine, &graph).master(server.target()).config(config(0));
        let creator = creator.checkpoint_dir(&task.folder).recovery_wait(wait);
        builder.session_creator(creator).hook(CheckpointSaverHook::every_steps(&task.folder, SAVE_STEPS))
    } else {
        let creator = WorkerSessionCreator::new(engine, &graph).master(server.target());
        builder.session_creator(creator.config(config(task.index)).recovery_wait(wait))
    };
    let mut session = builder.build().unwrap();
    say("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "step" => {
                let fed = Tensor::from([0.5f32, 1.0, -1.0]);
                let (_, ()) = session.run((&loss, &train_op), [(&x, fed)]).unwrap();
                let now = session.run_without_hooks(&step, ()).unwrap();
                say(format!("{} {}", now.value::<i64>().unwrap(), session.recoveries().len()));
            }
            "lost" => {
                say(session.recoveries().iter().filter_map(|recovery| recovery.lost_steps()).sum::<i64>())
            }
            "close" => break,
            other => panic!("what is {other}?"),
        }
    }
    session.close().unwrap();
    say("closed");
}

/// Takes part in a synchronous training: one step for each line of input, with an example that is the number of the worker plus
/// one. Answers with the values of the variables and the step. `replica.py` does the same.
fn replica(task: &Task) {
    let (library, server) = start_server(task);
    let device = format!("/job:worker/task:{}", task.index);
    let setter = ReplicaDeviceSetter::new(&task.cluster).worker_device(device);
    let engine: Arc<dyn Engine> = Arc::new(TensorFlowEngine::with_library(library).device_setter(setter));

    let graph = Graph::new();
    let step = global_step::get_or_create_global_step(&graph);
    let x = array::placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
    let w = variables::variable(&graph.named("w"), 0.0f32);
    let table = variables::variable(&graph.named("table"), [[1.0f32], [2.0]]);
    let row = math::reduce_sum(nn::embedding_lookup(&table, array::constant(&graph, [1i32])), ..);
    let optimizer = SyncReplicasOptimizer::new(MomentumOptimizer::new(1.0, 0.9), 2);
    let train_op = optimizer.minimize(&(&w * &x + &row * &x), Some(&step));

    let is_chief = task.index == 0;
    let hook = optimizer.make_session_run_hook().is_chief(is_chief).num_tokens(0);
    let (builder, wait) = (MonitoredSession::builder(&graph).hook(hook), Duration::from_millis(200));
    let builder = if is_chief {
        let creator = ChiefSessionCreator::new(engine, &graph).master(server.target()).config(config(0));
        builder.session_creator(creator.recovery_wait(wait))
    } else {
        let creator = WorkerSessionCreator::new(engine, &graph).master(server.target());
        builder.session_creator(creator.config(config(task.index)).recovery_wait(wait))
    };
    let mut session = builder.build().unwrap();
    say("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "step" => {
                session.run(&train_op, [(&x, (task.index + 1) as f32)]).unwrap();
                let (w, table, step) = session.run_without_hooks((&w, &table, &step), ()).unwrap();
                let (w, table) = (w.value::<f32>().unwrap(), table.to_vec::<f32>().unwrap());
                say(format!("{w} {} {} {}", table[0], table[1], step.value::<i64>().unwrap()));
            }
            "close" => break,
            other => panic!("what is {other}?"),
        }
    }
    session.close().unwrap();
    say("closed");
}

/// Trains variables, whole and partitioned, with optimizers that have slots, and prints their values after a few steps.
fn slots(task: &Task) {
    let (library, server) = start_server(task);
    say("ready");
    for rows in [4, 2] {
        let optimizers: [Box<dyn Optimizer>; 2] =
            [Box::new(AdamOptimizer::new(0.1)), Box::new(MomentumOptimizer::new(0.1, 0.9))];
        for optimizer in optimizers {
            let model = model(rows, optimizer);
            let setter = ReplicaDeviceSetter::new(&task.cluster).worker_device("/job:worker/task:0");
            let engine = TensorFlowEngine::with_library(library.clone()).device_setter(setter);
            let session = engine.new_session(&model.graph, server.target(), &config(0)).unwrap();
            say(format!("{:?}", model.trained(&*session)));
            session.close().unwrap();
        }
    }
}

/// Returns the step of the newest checkpoint of a folder.
pub(crate) fn saved_step(folder: &std::path::Path) -> i64 {
    let newest = monitored_session::checkpoint::latest_checkpoint(folder).unwrap().unwrap();
    CheckpointReader::open(newest).unwrap().step().unwrap()
}
