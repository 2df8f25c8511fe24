//! A signal in any phase ends a training with a published checkpoint and the matching exit code. The training is a child process
//! that runs this test binary, controlled by its environment.
#![cfg(all(unix, feature = "embedded", feature = "signals"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report; parent and child talk through stdout

use monitored_session::checkpoint::{CheckpointReader, latest_checkpoint};
use monitored_session::hooks::{CheckpointSaverListener, SavePoint};
use monitored_session::ops::variables::VariableExt as _;
use monitored_session::ops::{array, data_flow, global_step, math, random};
use monitored_session::prelude::*;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PHASE: &str = "MONITORED_SESSION_TEST_PHASE";
const FOLDER: &str = "MONITORED_SESSION_TEST_FOLDER";

// ---- the child ------------------------------------------------------------------------------------------

/// Reports to the parent that the phase was reached.
#[derive(Clone)]
struct Gate {
    phase: String,
    signalled: Arc<Mutex<Receiver<()>>>,
}

impl Gate {
    /// Reports that the phase was reached, and continues after the signal was received.
    fn pass(&self, phase: &str) {
        if self.announce(phase) {
            self.signalled.lock().unwrap().recv().unwrap();
        }
    }

    /// Does the same as [`pass`](Gate::pass), but continues at once.
    fn announce(&self, phase: &str) -> bool {
        if self.phase == phase {
            println!("\nat {phase}");
            std::io::stdout().flush().unwrap();
        }
        self.phase == phase
    }
}

impl SessionRunHook for Gate {
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        for phase in ["compile", "run", "input wait"] {
            self.announce(phase);
        }
        Ok(None)
    }
    fn after_run(&mut self, _: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.pass("hook");
        Ok(())
    }
    fn at_save_point(&mut self, _: &mut SavePoint<'_>) -> Result<()> {
        self.pass("save point");
        Ok(())
    }
    fn end(&mut self, _: &dyn Session) -> Result<()> {
        self.pass("close");
        Ok(())
    }
    fn save_state(&self) -> Option<Vec<u8>> {
        Some(Vec::new())
    }
    fn load_state(&mut self, _: &[u8]) -> Result<()> {
        self.pass("restore");
        Ok(())
    }
}

impl CheckpointSaverListener for Gate {
    fn before_save(&mut self, _: &dyn Session, step: i64) -> Result<()> {
        if step > 0 {
            self.pass("save");
        }
        Ok(())
    }
    fn after_save(&mut self, _: &dyn Session, step: i64) -> Result<bool> {
        if step > 0 {
            self.pass("saved");
        }
        Ok(false)
    }
}

/// A model that counts its steps, with an input that never arrives, or a slow step.
fn model(graph: &Graph, phase: &str) -> (Variable, Operation) {
    let step = global_step::get_or_create_global_step(graph);
    let before = match phase {
        "input wait" => {
            vec![data_flow::FifoQueue::new(graph, 1, DType::Float32).build().dequeue().operation().clone()]
        }
        "run" => {
            let square =
                random::random_uniform(graph, &[300usize, 300][..], 0f32, 0.005f32, DType::Float32, Some(1));
            let product = (0..300).fold(square.clone(), |product, _| math::matmul(&product, &square));
            vec![product.operation().clone()]
        }
        _ => Vec::new(),
    };
    let add = step.assign_add(array::constant(&graph.control_dependencies(&before), 1i64));
    (step, add)
}

/// Trains until a stop, and returns the exit code.
fn train(phase: &str, folder: &Path) -> i32 {
    let (sender, signalled) = channel();
    let gate = Gate { phase: phase.to_owned(), signalled: Arc::new(Mutex::new(signalled)) };
    let graph = Graph::new();
    let (step, train_op) = model(&graph, phase);
    let signals = SignalHook::new()
        .patience(Duration::from_millis(200))
        .message(move |_| sender.send(()).unwrap_or(()));
    let receipt = signals.receipt();
    let init = gate.clone();
    let scaffold = Scaffold::builder().init_fn(move |_, _| {
        init.pass("init");
        Ok(())
    });
    let last = if phase == "none" { 5 } else { 10_000_000 };
    let finished = SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(folder)
        .scaffold(scaffold)
        .hook(signals)
        .hook(gate.clone())
        .hook(CheckpointSaverHook::every_steps(folder, 3).listener(gate.clone()))
        .hook(StopAtStepHook::last_step(if phase == "close" { 2 } else { last }))
        .hook(FinalOpsHook::new(step.clone()))
        .scoped(|session| {
            while !session.should_stop() {
                session.run(&train_op, ())?;
            }
            Ok(())
        });
    match finished {
        Ok(_) => receipt.exit_code().unwrap_or(0),
        Err(error) => {
            println!("\nfailed: {}", error.chain());
            1
        }
    }
}

#[test]
fn child() {
    let (Ok(phase), Some(folder)) = (std::env::var(PHASE), std::env::var_os(FOLDER)) else { return };
    let code = train(&phase, Path::new(&folder));
    std::process::exit(code);
}

// ---- the parent -----------------------------------------------------------------------------------------

fn start(phase: &str, folder: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads", "1"]);
    command.env(PHASE, phase).env(FOLDER, folder).stdout(Stdio::piped()).spawn().unwrap()
}

/// Trains five steps in a folder, without any signal.
fn prepare(folder: &Path) {
    let output = start("none", folder).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Sends a signal in a phase; returns the exit code and the step of the newest checkpoint.
fn signal_in(phase: &str, signal: &str, folder: &Path) -> (i32, i64) {
    let mut child = start(phase, folder);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let wanted = format!("at {phase}");
    let found = lines.by_ref().map(|line| line.unwrap()).find(|line| *line == wanted);
    assert!(found.is_some(), "{phase} was not reached");
    let kill = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    // The child's output must be read, or the child would block.
    let rest = std::thread::spawn(move || lines.map(|line| line.unwrap()).collect::<Vec<_>>());
    let (done, ended) = channel();
    let waiting = std::thread::spawn(move || done.send(child.wait().unwrap()).unwrap());
    let status = ended.recv_timeout(Duration::from_secs(30)).expect("it ends within the deadline");
    waiting.join().unwrap();
    let code = status.code().unwrap_or_else(|| panic!("{phase}: {status}, {:?}", rest.join().unwrap()));
    let newest = latest_checkpoint(folder).unwrap().expect("a checkpoint is published");
    let reader = CheckpointReader::open(&newest).unwrap();
    assert!(reader.verify().is_empty(), "{phase}: {:?}", reader.verify());
    let step = reader.read("global_step").unwrap().value::<i64>().unwrap();
    assert_eq!(reader.step(), Some(step), "{phase}: name and contents agree");
    (code, step)
}

/// Does the same as [`signal_in`], in a new folder.
fn terminated_in(phase: &str) -> (i32, i64) {
    let folder = tempfile::tempdir().unwrap();
    signal_in(phase, "TERM", folder.path())
}

#[test]
fn in_init_the_initialized_model_is_saved() {
    assert_eq!(terminated_in("init"), (143, 0));
}

#[test]
fn in_restore_the_restored_checkpoint_stays_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    assert_eq!(signal_in("restore", "TERM", folder.path()), (143, 5));
}

#[test]
fn at_a_save_point_before_the_first_step() {
    assert_eq!(terminated_in("save point"), (143, 0));
}

#[test]
fn in_the_first_run_which_is_compiled_then() {
    let (code, step) = terminated_in("compile");
    assert_eq!(code, 143);
    assert!(step >= 1, "the step in flight ends and is saved: {step}");
}

#[test]
fn in_a_long_run() {
    let (code, step) = terminated_in("run");
    assert_eq!(code, 143);
    assert!(step <= 100, "it did not go on for long: {step}");
}

#[test]
fn while_waiting_for_input_the_run_is_cancelled() {
    assert_eq!(terminated_in("input wait"), (143, 0));
}

#[test]
fn in_a_hook_the_step_is_saved() {
    assert_eq!(terminated_in("hook"), (143, 1));
}

#[test]
fn in_a_save_that_save_is_completed() {
    assert_eq!(terminated_in("save"), (143, 3));
    assert_eq!(terminated_in("saved"), (143, 3));
}

#[test]
fn in_close_it_is_saved_already() {
    assert_eq!(terminated_in("close"), (143, 2));
}

#[test]
fn ctrl_c_has_its_own_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(signal_in("hook", "INT", folder.path()), (130, 1));
}
