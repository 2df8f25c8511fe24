//! From training to use and back: a model is trained, killed, resumed, evaluated and exported in Rust, called by the program, loaded
//! and trained further by TensorFlow, and trained again in Rust. The page `from-training-to-use.md` describes it.
#![allow(clippy::unwrap_used)] // a test may

#[path = "../../examples/train_and_evaluate.rs"]
mod program;
mod support;

use monitored_session::checkpoint::{CheckpointReader, latest_checkpoint};
use monitored_session::hooks::ClosureHook;
use monitored_session::ops::global_step::global_step;
use monitored_session::prelude::*;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use support::{ask, run_in};

/// Names the folder of the training that is to be killed.
const KILLED: &str = "MONITORED_SESSION_STORY";

/// Notes the step at which the session begins.
struct Begins(Arc<Mutex<Option<i64>>>);

impl SessionRunHook for Begins {
    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        let step = global_step(session.graph())?.ok_or_else(|| Error::value("no global step"))?;
        *self.0.lock().unwrap() = Some(session.run(&step, ())?.as_scalar_i64()?);
        Ok(())
    }
}

/// The training that is killed in its 51st run. It does nothing unless the story starts it.
#[test]
fn a_training_is_killed() {
    let Some(folder) = std::env::var_os(KILLED) else { return };
    let mut runs = 0;
    let kill = ClosureHook::new("kill").before_run(move |_| {
        runs += 1;
        if runs == 51 {
            Command::new("kill").args(["-s", "KILL", &std::process::id().to_string()]).status()?;
            // Until the signal arrives.
            std::thread::park();
        }
        Ok(None)
    });
    program::train(Path::new(&folder), 80, kill).unwrap();
}

/// Returns the only export of an exporter.
fn export(folder: &Path, exporter: &str) -> PathBuf {
    let exports = std::fs::read_dir(folder.join("export").join(exporter)).unwrap();
    let mut exports: Vec<PathBuf> =
        exports.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert_eq!(exports.len(), 1, "{exports:?}");
    exports.remove(0)
}

fn flat(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

#[cfg(unix)]
#[test]
fn a_model_goes_from_training_to_use_and_back() {
    use std::os::unix::process::ExitStatusExt as _;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("run");
    std::fs::create_dir(&folder).unwrap();

    // Trained and killed between two checkpoints.
    let mut killed = Command::new(std::env::current_exe().unwrap());
    killed.args(["--exact", "a_training_is_killed", "--nocapture"]).env(KILLED, &folder);
    let output = killed.output().unwrap();
    assert_eq!(output.status.signal(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
    let best_of_killed = export(&folder, "best");

    // Resumed: it continues at step 41, and compares with the best export of the killed process.
    let begin = Arc::default();
    let done = program::train(&folder, 80, Begins(Arc::clone(&begin))).unwrap();
    assert_eq!(*begin.lock().unwrap(), Some(40));
    let evaluated = done.evaluated.unwrap();
    assert_eq!(evaluated.step, Some(80));
    assert!(evaluated.values["accuracy"] > 0.7, "{:?}", evaluated.values);
    assert!(!best_of_killed.exists(), "a later one is better, and one is kept");
    let best = export(&folder, "best");

    // Called by the program.
    let points = "points=[[0.1, 0.2], [0.95, -0.9], [-0.3, 0.5]]";
    let answer = run_in(&folder, &[&"run", &best, &"--input", &points, &"--json"]);
    assert_eq!((answer.code, answer.errors.as_str()), (0, ""));
    let ours: Json = serde_json::from_str(&answer.out).unwrap();
    let ours = flat(&ours["probabilities"]);
    assert!(ours[1] > 0.5 && ours[2] > 0.5, "the point is in the circle and the other is not: {ours:?}");

    // Loaded and trained further by TensorFlow.
    let Some(python) = support::python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/story.py");
    let theirs = ask(&python, &script, &[&best, &folder]);
    for loader in ["v1", "v2"] {
        let probabilities = flat(&theirs[loader]);
        assert_eq!(probabilities.len(), ours.len());
        for (theirs, ours) in probabilities.iter().zip(&ours) {
            assert!((theirs - ours).abs() < 1e-5, "{loader}: {theirs} instead of {ours}");
        }
    }
    assert_eq!(theirs["step"], 100);
    assert!(theirs["last_loss"].as_f64() < theirs["first_loss"].as_f64(), "{theirs}");

    // Back again: the training continues from TensorFlow's checkpoint.
    let newest = latest_checkpoint(&folder).unwrap().unwrap();
    assert!(newest.ends_with("model.ckpt-100"), "{}", newest.display());
    let kernel = CheckpointReader::open(&newest).unwrap().read("hidden1/kernel").unwrap();
    assert_eq!(f64::from(kernel.to_vec::<f32>().unwrap()[0]), theirs["kernel"].as_f64().unwrap());
    let begin = Arc::default();
    let done = program::train(&folder, 140, Begins(Arc::clone(&begin))).unwrap();
    assert_eq!(*begin.lock().unwrap(), Some(100));
    let last = done.evaluated.unwrap();
    assert_eq!(last.step, Some(140));
    assert!(last.values["loss"] < evaluated.values["loss"], "{:?}", last.values);
}
