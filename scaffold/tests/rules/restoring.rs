//! Restoring (S-95, S-100 to S-104), and what TensorFlow lacks there.

use crate::support::{Hand, embedded, open, seconds};
use checkpoint::{GraphSaver, RestoreOptions, SaverOptions};
use ops::variables::{VariableExt as _, global_variables_initializer, variable};
use scaffold::{
    CheckpointSource, ChiefSessionCreator, Preparation, Restoring, Scaffold, SessionCreator, SessionManager,
};
use session_core::keys::SAVED_MODEL_INITIALIZERS;
use session_core::{CancellationToken, Code, Graph, SessionExt as _, Tensor, Variable};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn model(names: &[&str]) -> (Graph, Vec<Variable>) {
    let graph = Graph::new();
    let variables = names.iter().map(|name| variable(&graph.named(name), 1f32)).collect();
    (graph, variables)
}

/// Saves a checkpoint of variables of these names, all with this value.
fn save(folder: &Path, names: &[&str], step: i64, value: f32) {
    let (graph, variables) = model(names);
    let session = open(&graph);
    session.run(&global_variables_initializer(&graph), ()).unwrap();
    for variable in &variables {
        session.run(&variable.assign(value), ()).unwrap();
    }
    let saver = GraphSaver::new(SaverOptions::new().create_directory(true));
    saver.save(&*session, folder.join("model.ckpt"), Some(step)).unwrap();
}

fn chief(graph: &Graph, folder: &Path) -> ChiefSessionCreator {
    ChiefSessionCreator::new(embedded(), graph).checkpoint_dir(folder)
}

fn token() -> CancellationToken {
    CancellationToken::new()
}

#[test]
fn s_94_s_95_after_a_restore_neither_init_op_nor_init_fn_runs() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["w"], 3, 5.0);
    let (graph, variables) = model(&["w"]);
    let builder = Scaffold::builder().init_fn(|_, _| panic!("not after a restore"));
    let created = chief(&graph, folder.path()).scaffold(builder).create_session(&token()).unwrap();
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(5f32));
    let restored = created.restored.unwrap();
    assert_eq!(restored.report.restored, ["w"]);
    assert!(restored.report.prefix.ends_with("model.ckpt-3"));
}

#[test]
fn s_95_the_ready_check_finds_variables_that_the_checkpoint_lacks() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["w"], 3, 5.0);
    let (graph, variables) = model(&["w", "uncovered"]);
    let saver = GraphSaver::of(vec![variables[0].clone()], SaverOptions::new()).unwrap();
    let builder = Scaffold::builder().saver(&saver);
    let error = chief(&graph, folder.path()).scaffold(builder).create_session(&token()).unwrap_err();
    assert!(error.message().contains("uncovered"), "{error}");
}

#[test]
fn s_100_each_source_of_a_restore_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["w"], 3, 5.0);
    save(folder.path(), &["w"], 7, 9.0);
    let value = |creator: &mut dyn FnMut(&Graph) -> ChiefSessionCreator| {
        let (graph, variables) = model(&["w"]);
        let created = creator(&graph).create_session(&token()).unwrap();
        created.session.run(&variables[0], ()).unwrap().value::<f32>().unwrap()
    };
    let at = |step: i64| folder.path().join(format!("model.ckpt-{step}"));
    assert_eq!(value(&mut |graph| ChiefSessionCreator::new(embedded(), graph)), 1.0, "nothing given");
    assert_eq!(value(&mut |graph| chief(graph, folder.path())), 9.0, "the newest of a folder");
    assert_eq!(
        value(&mut |graph| ChiefSessionCreator::new(embedded(), graph).checkpoint_filename_with_path(at(3))),
        5.0,
        "a file"
    );
    let (graph, _) = model(&["w"]);
    let mut missing = ChiefSessionCreator::new(embedded(), &graph).checkpoint_filename_with_path(at(4));
    assert!(missing.create_session(&token()).is_err(), "a file that is given must be there");
    let (graph, variables) = model(&["w"]);
    let manager = SessionManager::builder(embedded(), &graph).build().unwrap();
    let restoring = Restoring::default().source(CheckpointSource::Directory(folder.path().to_owned()));
    let preparation =
        Preparation::default().init_op(global_variables_initializer(&graph)).restoring(restoring);
    let created = manager.prepare_session(&preparation).unwrap();
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(1f32), "no saver, no restore");
}

#[test]
fn s_100_the_wait_for_the_first_checkpoint_has_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (graph, _) = model(&["w"]);
    let hand = Arc::new(Hand::default());
    let manager = SessionManager::builder(embedded(), &graph)
        .recovery_wait(Duration::from_secs(30))
        .waiter(hand.clone())
        .build()
        .unwrap();
    let restoring = Restoring::default()
        .saver(GraphSaver::new(SaverOptions::new()))
        .source(CheckpointSource::Directory(folder.path().to_owned()))
        .wait_for_checkpoint(true)
        .max_wait(Duration::from_secs(70));
    let preparation =
        Preparation::default().init_op(global_variables_initializer(&graph)).restoring(restoring);
    let created = manager.prepare_session(&preparation).unwrap();
    assert!(created.restored.is_none(), "initialized after all");
    assert_eq!(seconds(&hand), [30, 30, 10], "not longer than the limit");
}

#[test]
fn s_101_saved_model_initializers_run_before_the_restore() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["w"], 3, 5.0);
    let (graph, variables) = model(&["w"]);
    let marker = ops::variables::local_variable(&graph.named("marker"), 0i64);
    graph.add_to_collection(&SAVED_MODEL_INITIALIZERS, marker.assign(7i64)).unwrap();
    graph.add_to_collection(&SAVED_MODEL_INITIALIZERS, variables[0].assign(-1f32)).unwrap();
    let keep = Scaffold::builder().local_init_op(&ops::control_flow::no_op(&graph));
    let created = chief(&graph, folder.path()).scaffold(keep).create_session(&token()).unwrap();
    assert_eq!(created.session.run(&marker, ()).unwrap(), Tensor::from(7i64), "it ran");
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(5f32), "before the restore");
}

#[test]
fn s_102_q_25_an_older_checkpoint_replaces_a_deleted_one() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["w"], 3, 5.0);
    save(folder.path(), &["w"], 7, 9.0);
    std::fs::remove_file(folder.path().join("model.ckpt-7.index")).unwrap();
    let (graph, variables) = model(&["w"]);
    let created = chief(&graph, folder.path()).create_session(&token()).unwrap();
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(5f32));
    let (graph, _) = model(&["w"]);
    let strict = RestoreOptions::new().fallback(false);
    let outcome = chief(&graph, folder.path()).restore_options(strict).create_session(&token());
    assert!(outcome.is_err(), "TensorFlow's way");
}

#[test]
fn s_102_a_state_file_that_cannot_be_parsed_does_not_hide_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("checkpoint"), "no state file at all {").unwrap();
    let (graph, variables) = model(&["w"]);
    let created = chief(&graph, folder.path()).create_session(&token()).unwrap();
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(1f32), "as if there were none");
}

#[test]
fn s_103_a_missing_directory_has_no_checkpoint() {
    let (graph, variables) = model(&["w"]);
    let created = chief(&graph, Path::new("no/such/folder")).create_session(&token()).unwrap();
    assert!(created.restored.is_none());
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(1f32));
}

#[test]
fn s_104_q_24_a_variable_missing_in_the_checkpoint_is_an_error_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["w"], 3, 5.0);
    let (graph, _) = model(&["w", "added"]);
    let error = chief(&graph, folder.path()).create_session(&token()).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.chain().to_string().contains("added"), "{}", error.chain());
    let (graph, variables) = model(&["w", "added"]);
    let partly = RestoreOptions::new().allow_missing(true);
    let created = chief(&graph, folder.path()).restore_options(partly).create_session(&token()).unwrap();
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(5f32));
    assert_eq!(created.session.run(&variables[1], ()).unwrap(), Tensor::from(1f32), "initialized");
    let report = created.restored.unwrap().report;
    assert_eq!((report.restored, report.missing), (vec!["w".to_owned()], vec!["added".to_owned()]));
}

#[test]
fn q_24_a_restore_plan_can_be_read_in_advance() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["encoder/w", "old"], 3, 5.0);
    let prefix = folder.path().join("model.ckpt-3");
    let (graph, variables) = model(&["features/w", "head/w"]);
    let session = open(&graph);
    session.run(&global_variables_initializer(&graph), ()).unwrap();
    let saver = GraphSaver::new(SaverOptions::new());
    let options = RestoreOptions::new().rename("features/w", "encoder/w").allow_missing(true);
    let plan = saver.restore_plan(&*session, &prefix, &options).unwrap();
    let lines: Vec<String> = plan.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], format!("from {}", prefix.display()));
    assert_eq!(
        lines[1..],
        [
            "  features/w  <- encoder/w  float32 []",
            "missing, left alone: head/w",
            "in the checkpoint, not wanted: old"
        ]
    );
    assert_eq!(session.run(&variables[0], ()).unwrap(), Tensor::from(1f32), "nothing was done");
    let report = saver.restore(&*session, &prefix, &options).unwrap().report.to_string();
    assert!(
        report.starts_with("restored 1 variable(s) from ") && report.contains("missing: head/w"),
        "{report}"
    );
    let error = saver.restore_plan(&*session, &prefix, &RestoreOptions::new()).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[test]
fn q_24_another_model_can_be_a_warm_start() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["encoder/w", "head/w"], 3, 5.0);
    let prefix = folder.path().join("model.ckpt-3");
    let (graph, variables) = model(&["features/w", "head/w"]);
    let scaffold = Scaffold::builder().init_fn(move |scaffold, session| {
        let options = RestoreOptions::new()
            .rename("features/w", "encoder/w")
            .only(|name| name.starts_with("features/"));
        scaffold.saver().restore(session, &prefix, &options).map(drop)
    });
    let run = tempfile::tempdir().unwrap();
    let created = chief(&graph, run.path()).scaffold(scaffold).create_session(&token()).unwrap();
    assert_eq!(created.session.run(&variables[0], ()).unwrap(), Tensor::from(5f32), "taken over");
    assert_eq!(created.session.run(&variables[1], ()).unwrap(), Tensor::from(1f32), "initialized");
}
