//! BestCheckpointHook.

use crate::support::{Program, borrowed};
use checkpoint::{Better, SessionState, checkpoints_in, latest_checkpoint, sidecar};
use hooks::{
    BestCheckpointHook, CheckpointSaverHook, Moment, SessionRunContext, SessionRunHook, SessionRunValues,
};
use session_core::{Error, Result};
use std::path::Path;

fn newest(directory: &Path) -> Option<String> {
    let prefix = latest_checkpoint(directory).unwrap()?;
    Some(prefix.file_name().unwrap().to_str().unwrap().to_owned())
}

#[test]
fn saves_whenever_the_metric_reaches_a_new_best() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let directory = folder.path().join("best");
    let mut driver = program.start(BestCheckpointHook::new(&directory, &program.loss, Better::Lower));
    for (loss, best) in [(3.0, 1), (4.0, 1), (2.0, 3), (f32::NAN, 3), (2.0, 3), (1.0, 6)] {
        program.set(&program.loss, loss);
        driver.run().unwrap();
        assert_eq!(newest(&directory).unwrap(), format!("best.ckpt-{best}"));
    }
    assert_eq!(checkpoints_in(&directory).unwrap().len(), 1, "only the best is kept");
}

#[test]
fn a_recovery_without_a_checkpoint_forgets_the_best_value() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(BestCheckpointHook::new(folder.path(), &program.loss, Better::Lower));
    program.set(&program.loss, 1f32);
    driver.runs(2);
    program.set_step(0);
    driver.create(&[]).unwrap();
    program.set(&program.loss, 5f32);
    driver.run().unwrap();
    program.set(&program.loss, 4f32);
    driver.run().unwrap();
    assert_eq!(newest(folder.path()).unwrap(), "best.ckpt-2");
}

#[test]
fn a_resumed_training_keeps_the_best_value() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let hook = |program: &Program| {
        BestCheckpointHook::new(folder.path(), &program.loss, Better::Higher).check_every(2).keep(0)
    };
    let mut driver = program.start(hook(&program));
    program.set(&program.loss, 0.9f32);
    driver.runs(2);
    let states = driver.states();
    drop(driver);
    let second = Program::new().at(2);
    let mut driver = second.drive(vec![Box::new(hook(&second))]);
    driver.begin().unwrap();
    driver.create(&borrowed(&states)).unwrap();
    second.set(&second.loss, 0.8f32);
    driver.runs(2);
    assert_eq!(newest(folder.path()).unwrap(), "best.ckpt-2");
    second.set(&second.loss, 0.95f32);
    driver.runs(2);
    assert_eq!(newest(folder.path()).unwrap(), "best.ckpt-6");
    let state = checkpoint::sidecar::load::<checkpoint::SessionState>(folder.path().join("best.ckpt-6"));
    assert!(state.unwrap().unwrap().hook("BestCheckpointHook").is_some());
}

/// Fails in its first `after_run`.
#[derive(Default)]
struct FailsOnce(bool);

impl SessionRunHook for FailsOnce {
    fn after_run(&mut self, _: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        if std::mem::replace(&mut self.0, true) { Ok(()) } else { Err(Error::value("the first run")) }
    }
}

#[test]
fn a_value_of_a_run_that_failed_is_not_saved_by_the_next_one() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let hook = BestCheckpointHook::new(folder.path(), &program.loss, Better::Lower);
    let mut driver = program.drive(vec![Box::new(hook), Box::new(FailsOnce::default())]);
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    program.set(&program.loss, 1f32);
    driver.run().unwrap_err();
    program.set(&program.loss, f32::NAN);
    driver.run().unwrap();
    assert_eq!(newest(folder.path()), None, "its variables are those of another step");
    program.set(&program.loss, 5f32);
    driver.run().unwrap();
    assert_eq!(newest(folder.path()).unwrap(), "best.ckpt-3", "nothing better was saved");
}

#[test]
fn a_value_whose_save_failed_is_not_the_best() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(BestCheckpointHook::new(folder.path(), &program.loss, Better::Lower));
    std::fs::create_dir(folder.path().join("best.ckpt-1.index")).unwrap();
    std::fs::write(folder.path().join("best.ckpt-1.index/x"), "x").unwrap();
    program.set(&program.loss, 1f32);
    driver.run().unwrap_err();
    program.set(&program.loss, 2f32);
    driver.run().unwrap();
    assert_eq!(newest(folder.path()).unwrap(), "best.ckpt-2");
}

/// Returns the state of the hook in a checkpoint.
fn state(prefix: &Path) -> Vec<u8> {
    let state: SessionState = sidecar::load(prefix).unwrap().unwrap();
    state.hook("BestCheckpointHook").unwrap().to_vec()
}

/// Returns the newest best checkpoint after a run from step 1 on with this loss, in a session with this state.
fn resumed(directory: &Path, state: &[u8], loss: f32) -> Option<String> {
    let program = Program::new().at(1);
    let hook = BestCheckpointHook::new(directory, &program.loss, Better::Lower);
    let mut driver = program.drive(vec![Box::new(hook)]);
    driver.begin().unwrap();
    driver.create(&[("BestCheckpointHook", state.to_vec())]).unwrap();
    program.set(&program.loss, loss);
    driver.run().unwrap();
    newest(directory)
}

#[test]
fn a_checkpoint_before_the_best_one_of_its_step_knows_it_only_if_it_was_written() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let (run, best) = (folder.path().join("run"), folder.path().join("best"));
    let hook = BestCheckpointHook::new(&best, &program.loss, Better::Lower);
    let mut driver = program.drive(vec![Box::new(CheckpointSaverHook::every_steps(&run, 1)), Box::new(hook)]);
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    program.set(&program.loss, 1f32);
    driver.run().unwrap();
    drop(driver);
    let state = state(&run.join("model.ckpt-1"));
    assert_eq!(resumed(&best, &state, 2.0).unwrap(), "best.ckpt-1", "no worse model replaces it");
    assert_eq!(resumed(&folder.path().join("empty"), &state, 2.0).unwrap(), "best.ckpt-2");
}

#[test]
fn a_best_checkpoint_holds_its_own_value() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(BestCheckpointHook::new(folder.path(), &program.loss, Better::Lower));
    program.set(&program.loss, 1f32);
    driver.run().unwrap();
    drop(driver);
    let state = state(&folder.path().join("best.ckpt-1"));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(resumed(empty.path(), &state, 2.0), None, "also where the checkpoint was moved");
    assert_eq!(resumed(empty.path(), &state, 0.5).unwrap(), "best.ckpt-2");
}

#[test]
fn a_save_after_an_error_does_not_hold_a_value_that_was_not_saved() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let (run, best) = (folder.path().join("run"), folder.path().join("best"));
    let hook = BestCheckpointHook::new(&best, &program.loss, Better::Lower);
    let saver = CheckpointSaverHook::every_steps(&run, 10).save_on_error(true);
    let mut driver = program.drive(vec![Box::new(saver), Box::new(hook), Box::new(FailsOnce::default())]);
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    program.set(&program.loss, 1f32);
    let error = driver.run().unwrap_err();
    driver.hooks.iter_mut().for_each(|hook| hook.on_error(&error));
    driver.save_points(Moment::Failed).unwrap();
    drop(driver);
    let (best, last, found): (Option<f64>, Option<i64>, Option<(i64, f64)>) =
        sidecar::decode(&state(&run.join("model.ckpt-1"))).unwrap();
    assert_eq!((best, last, found), (None, Some(1), None));
}

#[test]
fn states_of_earlier_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let state = sidecar::encode(&(Some(0.5f64), Some(1i64))).unwrap();
    assert_eq!(resumed(folder.path(), &state, 0.75), None);
    assert_eq!(resumed(folder.path(), &state, 0.25).unwrap(), "best.ckpt-2");
}
