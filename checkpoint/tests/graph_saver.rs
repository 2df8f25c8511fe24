//! Saving a session as a whole.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![cfg(all(feature = "session", feature = "sidecar"))]
#![allow(clippy::unwrap_used)] // a test may

use checkpoint::{GraphSaver, RestoreOptions, SAVERS, SaveOptions, SaverOptions};
use session_core::mock::MockSession;
use session_core::{DType, Graph, OutputInfo, PartialShape, Phase, Tensor, Variable, VariableParts, keys};

fn variable(graph: &Graph, name: &str) -> Variable {
    let info = || OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    let op = |name: &str, kind: &str| graph.undefined_op(kind).absolute_name(name).described_output(info());
    let variable = Variable::new(VariableParts {
        handle: op(name, "VariableV2").finish_output(),
        initial_value: op(&format!("{name}/initial_value"), "Const").finish_output(),
        snapshot: op(&format!("{name}/read"), "Identity").finish_output(),
        initializer: graph.undefined_op("Assign").absolute_name(format!("{name}/Assign")).finish(),
        trainable: true,
        slice: None,
    });
    graph.add_to_collection(&keys::VARIABLES, variable.clone()).unwrap();
    variable
}

#[test]
fn s_274_all_variables_of_the_graph_with_the_states_of_hooks() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let saver = GraphSaver::new(SaverOptions::new());
    graph.add_to_collection(&SAVERS, saver.clone()).unwrap();
    variable(&graph, "w"); // S-86: made after the saver, and saved all the same
    let session = MockSession::new(&graph);
    session.expect(|_| Ok(vec![Tensor::from(2f32)]));
    let hooks = vec![("EarlyStopping".to_owned(), vec![1, 2, 3])];
    let path = folder.path().join("model.ckpt");
    let prefix = saver.save(&session, path, Some(7), hooks.clone(), SaveOptions::new()).unwrap();

    session.expect(|_| Ok(Vec::new()));
    let restored = saver.restore_latest(&session, folder.path(), &RestoreOptions::new()).unwrap().unwrap();
    assert_eq!(restored.report.prefix, prefix);
    assert_eq!(restored.report.restored, ["w"]);
    assert_eq!(restored.state.step, Some(7));
    assert_eq!(restored.state.hook("EarlyStopping"), Some(&[1u8, 2, 3][..]));
    assert_eq!(restored.state.hook("Other"), None);
    let assigned = session.runs().pop().unwrap();
    assert_eq!(assigned.targets, ["w/Assign"]);
    assert_eq!(assigned.feeds, [("w/initial_value:0".to_owned(), Tensor::from(2f32))]);
}

#[test]
fn s_290_nothing_to_save_is_no_error_for_the_default_saver_only() {
    let folder = tempfile::tempdir().unwrap();
    let session = MockSession::new(&Graph::new());
    let saver = GraphSaver::new(SaverOptions::new());
    saver.save(&session, folder.path().join("m"), None, Vec::new(), SaveOptions::new()).unwrap();
    let error = GraphSaver::of(Vec::new(), SaverOptions::new()).unwrap_err();
    assert!(error.message().starts_with("No variables to save"), "{error}");
}

#[test]
fn s_276_two_variables_of_one_name() {
    let graph = Graph::new();
    let w = variable(&graph, "w");
    let error = GraphSaver::of(vec![w.clone(), w], SaverOptions::new()).unwrap_err();
    assert!(error.message().contains("same name: w"), "{error}");
}

#[test]
fn errors_say_the_phase_and_the_cause() {
    let graph = Graph::new();
    variable(&graph, "w");
    let session = MockSession::new(&graph);
    let saver = GraphSaver::new(SaverOptions::new());
    let error = saver.save(&session, "/nowhere/at/all/m", None, Vec::new(), SaveOptions::new()).unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Save));
    assert!(error.message().contains("parent directory of /nowhere/at/all/m"), "{error}");
    let error = saver.restore(&session, "/nowhere/at/all/m", &RestoreOptions::new()).unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Restore));
}
