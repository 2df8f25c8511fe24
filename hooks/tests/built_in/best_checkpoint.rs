//! BestCheckpointHook.

use crate::support::{Program, borrowed};
use checkpoint::{Better, checkpoints_in, latest_checkpoint};
use hooks::BestCheckpointHook;
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
