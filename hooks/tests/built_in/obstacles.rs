//! Obstacles to saving or evaluating are reported when the training begins, not after hours of work.

use crate::support::Program;
use checkpoint::{Better, GraphSaver, SaverOptions};
use hooks::{
    BestCheckpointHook, CheckpointSaverHook, EvaluatorHook, MetricsFileHook, ProfilerHook, SessionRunHook,
};
use session_core::Code;
use std::fs;
use std::path::Path;

/// Begins a hook in a folder where another folder has the name of a file.
#[track_caller]
fn refused(name: &str, make: &dyn Fn(&Program, &Path) -> Box<dyn SessionRunHook>) {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    make(&program, folder.path()).begin(&program.graph).unwrap();
    // The lock is there by now.
    let _ = fs::remove_file(folder.path().join(name));
    fs::create_dir(folder.path().join(name)).unwrap();
    let error = make(&program, folder.path()).begin(&program.graph).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("{name} is a folder, but a file is to be written there")), "{text}");
    assert!(text.contains("move it away, or choose another folder"), "{text}");
    // Nothing holds the folder any more.
    fs::remove_dir(folder.path().join(name)).unwrap();
    make(&program, folder.path()).begin(&program.graph).unwrap();
}

#[test]
fn folders_in_place_of_files_are_errors() {
    let saver = |_: &Program, folder: &Path| -> Box<dyn SessionRunHook> {
        Box::new(CheckpointSaverHook::every_steps(folder, 1))
    };
    for name in ["checkpoint", "checkpoint.lock", "checkpoint.journal", "graph.pbtxt", "model.ckpt-50.index"]
    {
        refused(name, &saver);
    }
    refused("digits.ckpt-7.data-00000-of-00001", &|_, folder| {
        Box::new(CheckpointSaverHook::every_steps(folder, 1).basename("digits.ckpt"))
    });
    refused("state", &|_, folder| {
        let saver = GraphSaver::new(SaverOptions::new().state_file("state"));
        Box::new(CheckpointSaverHook::every_steps(folder, 1).saver(saver))
    });
    refused("best.ckpt-3.index", &|_, folder| {
        Box::new(BestCheckpointHook::new(folder, "loss", Better::Higher))
    });
    refused("metrics.csv", &|_, folder| {
        Box::new(MetricsFileHook::csv(folder.join("metrics.csv"), 1).tensor("loss", "loss"))
    });
    refused("timeline-9.json", &|_, folder| Box::new(ProfilerHook::every_steps(folder, 1)));
    #[cfg(feature = "prometheus")]
    refused("training.prom", &|_, folder| {
        Box::new(hooks::PrometheusHook::file(folder.join("training.prom")))
    });
}

#[test]
fn a_graph_that_is_not_written_needs_no_folder() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("graph.pbtxt")).unwrap();
    let mut hook = CheckpointSaverHook::every_steps(folder.path(), 1).save_graph_def(false);
    hook.begin(&program.graph).unwrap();
}

#[test]
fn a_file_instead_of_the_folder_is_an_error() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let run = folder.path().join("run");
    fs::write(&run, "").unwrap();
    let error = CheckpointSaverHook::every_steps(&run, 1).begin(&program.graph).unwrap_err();
    assert!(error.to_string().contains("run is a file, but a folder is needed"), "{error}");
}

#[test]
fn savers_and_weights_of_another_graph_are_errors() {
    let (program, other, folder) = (Program::new(), Program::new(), tempfile::tempdir().unwrap());
    let foreign = || GraphSaver::of(vec![other.step.clone()], SaverOptions::new()).unwrap();
    let pairs = [(program.step.clone(), other.step.clone())];
    let hooks: [Box<dyn SessionRunHook>; 3] = [
        Box::new(CheckpointSaverHook::every_steps(folder.path(), 1).saver(foreign())),
        Box::new(BestCheckpointHook::new(folder.path(), "loss", Better::Lower).saver(foreign())),
        Box::new(EvaluatorHook::every_steps(1, |_| Ok(Vec::new())).weights(pairs)),
    ];
    for mut hook in hooks {
        let error = hook.begin(&program.graph).unwrap_err();
        assert!(error.message().contains("variable 'global_step' belongs to another graph"), "{error}");
    }
}
