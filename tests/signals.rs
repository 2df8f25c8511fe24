//! A signal in any phase ends a training with a published checkpoint and the matching exit code, whether it trains a graph or is a
//! plain loop. The training is a child process that runs this test binary, controlled by its environment.
#![cfg(all(unix, feature = "embedded", feature = "signals"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report; parent and child talk through stdout

use monitored_session::checkpoint::{CheckpointReader, latest_checkpoint};
use monitored_session::hooks::{CheckpointSaverListener, SavePoint};
use monitored_session::ops::variables::VariableExt as _;
use monitored_session::ops::{array, data_flow, global_step, math, random};
use monitored_session::prelude::*;
use monitored_session::scaffold::ScaffoldBuilder;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PHASE: &str = "MONITORED_SESSION_TEST_PHASE";
const FOLDER: &str = "MONITORED_SESSION_TEST_FOLDER";
const LOOP: &str = "MONITORED_SESSION_TEST_LOOP";

/// The kinds of trainings: a graph, and a loop in plain Rust.
const LOOPS: [&str; 2] = ["graph", "host"];

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

    /// Announces a phase as [`pass`](Gate::pass) does, but continues at once.
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
        for phase in ["compile", "run", "input wait", "second"] {
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
        "input wait" | "second" => {
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

/// The hooks and settings that both kinds of trainings have.
struct Setup {
    folder: PathBuf,
    gate: Gate,
    signals: SignalHook,
    scaffold: ScaffoldBuilder,
    last: i64,
}

impl Setup {
    fn saver(&self) -> CheckpointSaverHook {
        CheckpointSaverHook::every_steps(&self.folder, 3).listener(self.gate.clone())
    }

    fn train_graph(self) -> Result<()> {
        let graph = Graph::new();
        let (step, train_op) = model(&graph, &self.gate.phase);
        let saver = self.saver();
        let builder = SingularMonitoredSession::builder(&graph)
            .checkpoint_dir(&self.folder)
            .scaffold(self.scaffold)
            .hook(self.signals)
            .hook(self.gate)
            .hook(saver)
            .hook(StopAtStepHook::last_step(self.last))
            .hook(FinalOpsHook::new(step));
        let finished = builder.scoped(|session| {
            while !session.should_stop() {
                session.run(&train_op, ())?;
            }
            Ok(())
        });
        finished.map(drop)
    }

    fn train_host(self) -> Result<()> {
        let model = Arc::new(Mutex::new(BTreeMap::from([("w".to_owned(), Tensor::from(0.0f32))])));
        let (saver, gate, scaffold) = (self.saver(), self.gate.clone(), self.scaffold);
        let training = HostTraining::new()
            .saved_object("model", &model)
            .checkpoint_dir(&self.folder)
            .save_checkpoint_steps(None)
            .save_checkpoint_secs(None)
            .configure(|session| session.scaffold(scaffold))
            .hook(self.signals)
            .hook(self.gate)
            .hook(saver)
            .hook(StopAtStepHook::last_step(self.last));
        let finished = training.run(move |step| {
            match gate.phase.as_str() {
                // An input that never arrives: only the cancellation ends the wait.
                "input wait" | "second" => {
                    let (wake, woken) = channel();
                    let guards = step.on_cancel(move || wake.send(()).unwrap_or(()));
                    woken.recv().map_err(Error::other)?;
                    drop(guards);
                    step.check()?;
                }
                // A long step, which a signal does not interrupt.
                "run" => gate.signalled.lock().unwrap().recv().unwrap(),
                _ => {}
            }
            model.lock().unwrap().insert("w".to_owned(), Tensor::from(step.number() as f32));
            Ok(())
        });
        finished.map(drop)
    }
}

/// Trains until a stop, and returns the exit code.
fn train(kind: &str, phase: &str, folder: &Path) -> i32 {
    let (sender, signalled) = channel();
    let gate = Gate { phase: phase.to_owned(), signalled: Arc::new(Mutex::new(signalled)) };
    let patience = if phase == "second" { Duration::MAX } else { Duration::from_millis(200) };
    let signals = SignalHook::new().patience(patience).message(move |line| {
        println!("\nmessage: {line}");
        std::io::stdout().flush().unwrap();
        sender.send(()).unwrap_or(());
    });
    let receipt = signals.receipt();
    let init = gate.clone();
    let scaffold = Scaffold::builder().init_fn(move |_, _| {
        init.pass("init");
        Ok(())
    });
    let last = match phase {
        "none" => 5,
        "close" => 2,
        _ => 10_000_000,
    };
    let setup = Setup { folder: folder.to_owned(), gate, signals, scaffold, last };
    let finished = if kind == "host" { setup.train_host() } else { setup.train_graph() };
    match finished {
        Ok(()) => receipt.exit_code().unwrap_or(0),
        Err(error) => {
            println!("\nfailed: {}", error.chain());
            1
        }
    }
}

#[test]
fn child() {
    let (Ok(phase), Some(folder)) = (std::env::var(PHASE), std::env::var_os(FOLDER)) else { return };
    let code = train(&std::env::var(LOOP).unwrap(), &phase, Path::new(&folder));
    std::process::exit(code);
}

// ---- the parent -----------------------------------------------------------------------------------------

fn start(kind: &str, phase: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "signals::child", "--nocapture", "--test-threads", "1"]);
    command.env(LOOP, kind).env(PHASE, phase).env(FOLDER, folder).stdout(Stdio::piped()).spawn().unwrap()
}

/// Trains five steps in a folder, without any signal.
fn prepare(kind: &str, folder: &Path) {
    let output = start(kind, "none", folder).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Waits until a child prints a line that begins like this.
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, beginning: &str) -> String {
    let found = lines.map(|line| line.unwrap()).find(|line| line.starts_with(beginning));
    found.unwrap_or_else(|| panic!("the child did not print '{beginning}'"))
}

fn send(signal: &str, child: &Child) {
    let kill = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
}

/// Waits for the end of a child, and returns its exit code.
fn end_of(
    mut child: Child,
    lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static,
    context: &str,
) -> i32 {
    // The child's output must be read, or the child would block.
    let rest = std::thread::spawn(move || lines.map(|line| line.unwrap()).collect::<Vec<_>>());
    let (done, ended) = channel();
    let waiting = std::thread::spawn(move || done.send(child.wait().unwrap()).unwrap());
    let status = ended.recv_timeout(Duration::from_secs(30)).expect("it ends within the deadline");
    waiting.join().unwrap();
    status.code().unwrap_or_else(|| panic!("{context}: {status}, {:?}", rest.join().unwrap()))
}

/// Sends a signal in a phase; returns the exit code and the step of the newest checkpoint.
fn signal_in(kind: &str, phase: &str, signal: &str, folder: &Path) -> (i32, i64) {
    let mut child = start(kind, phase, folder);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    wait_for(&mut lines, &format!("at {phase}"));
    send(signal, &child);
    let context = format!("{kind}, {phase}");
    let code = end_of(child, lines, &context);
    (code, newest_step(folder, &context))
}

/// Returns the step of the newest checkpoint, which must be intact.
fn newest_step(folder: &Path, context: &str) -> i64 {
    let newest = latest_checkpoint(folder).unwrap().expect("a checkpoint is published");
    let reader = CheckpointReader::open(&newest).unwrap();
    assert!(reader.verify().is_empty(), "{context}: {:?}", reader.verify());
    let step = reader.read("global_step").unwrap().value::<i64>().unwrap();
    assert_eq!(reader.step(), Some(step), "{context}: name and contents agree");
    step
}

/// Sends SIGTERM in a phase of both kinds of trainings, each in a new folder.
fn terminated_in(phase: &str, check: impl Fn(i32, i64, &str)) {
    for kind in LOOPS {
        let folder = tempfile::tempdir().unwrap();
        let (code, step) = signal_in(kind, phase, "TERM", folder.path());
        check(code, step, kind);
    }
}

/// Asserts the exit code and the step of the newest checkpoint.
fn ends_with(code: i32, step: i64) -> impl Fn(i32, i64, &str) {
    move |found, newest, kind| assert_eq!((found, newest), (code, step), "{kind}")
}

#[test]
fn in_init_the_initialized_model_is_saved() {
    terminated_in("init", ends_with(143, 0));
}

#[test]
fn in_restore_the_restored_checkpoint_stays_the_newest() {
    for kind in LOOPS {
        let folder = tempfile::tempdir().unwrap();
        prepare(kind, folder.path());
        assert_eq!(signal_in(kind, "restore", "TERM", folder.path()), (143, 5), "{kind}");
    }
}

#[test]
fn a_signal_at_a_save_point_before_the_first_step_stops_the_training() {
    terminated_in("save point", ends_with(143, 0));
}

#[test]
fn in_the_first_run_which_is_compiled_then() {
    terminated_in("compile", |code, step, kind| {
        assert_eq!(code, 143, "{kind}");
        assert!(step >= 1, "{kind}: the step in flight ends and is saved: {step}");
    });
}

#[test]
fn a_signal_in_a_long_run_stops_the_training() {
    terminated_in("run", |code, step, kind| {
        assert_eq!(code, 143, "{kind}");
        assert!(step <= 100, "{kind}: it did not continue for long: {step}");
    });
}

#[test]
fn while_waiting_for_input_the_run_is_cancelled() {
    terminated_in("input wait", ends_with(143, 0));
}

#[test]
fn in_a_hook_the_step_is_saved() {
    terminated_in("hook", ends_with(143, 1));
}

#[test]
fn in_a_save_that_save_is_completed() {
    terminated_in("save", ends_with(143, 3));
    terminated_in("saved", ends_with(143, 3));
}

#[test]
fn in_close_it_is_saved_already() {
    terminated_in("close", ends_with(143, 2));
}

#[test]
fn ctrl_c_has_its_own_exit_code() {
    for kind in LOOPS {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(signal_in(kind, "hook", "INT", folder.path()), (130, 1), "{kind}");
    }
}

#[test]
fn a_second_ctrl_c_ends_a_blocked_step_at_once() {
    let said = LOOPS.map(|kind| {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start(kind, "second", folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        wait_for(&mut lines, "at second");
        send("INT", &child);
        let said = wait_for(&mut lines, "message: ");
        send("INT", &child);
        assert_eq!(end_of(child, lines, kind), 130);
        assert_eq!(newest_step(folder.path(), kind), 0, "{kind}: checkpoints are complete or absent");
        said
    });
    assert!(said[0].contains("SIGINT was received") && said[0].contains("a second signal ends"), "{said:?}");
    assert_eq!(said[0], said[1], "both kinds of trainings print the same");
}
