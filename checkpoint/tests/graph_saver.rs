//! Saving a session as a whole.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![cfg(all(feature = "session", feature = "sidecar"))]
#![allow(clippy::unwrap_used)] // a test may

use checkpoint::{GraphSaver, RestoreOptions, SAVERS, SaveOptions, SaverOptions};
use session_core::mock::MockSession;
use session_core::{
    DType, Graph, OutputInfo, PartialShape, Phase, SliceInfo, Tensor, Variable, VariableParts, keys,
};

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
fn s_274_all_variables_of_the_graph_are_saved_with_the_states_of_hooks() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let saver = GraphSaver::new(SaverOptions::new());
    graph.add_to_collection(&SAVERS, saver.clone()).unwrap();
    variable(&graph, "w"); // S-86: made after the saver, and saved all the same
    let session = MockSession::new(&graph);
    session.expect(|_| Ok(vec![Tensor::from(2f32)]));
    let hooks = vec![("EarlyStopping".to_owned(), vec![1, 2, 3])];
    let path = folder.path().join("model.ckpt");
    let prefix = saver.save_with(&session, path, Some(7), hooks.clone(), SaveOptions::new()).unwrap();

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
fn s_290_only_the_default_saver_accepts_a_graph_without_variables() {
    let folder = tempfile::tempdir().unwrap();
    let session = MockSession::new(&Graph::new());
    let saver = GraphSaver::new(SaverOptions::new());
    saver.save(&session, folder.path().join("m"), None).unwrap();
    let error = GraphSaver::of(Vec::new(), SaverOptions::new()).unwrap_err();
    assert!(error.message().starts_with("No variables to save"), "{error}");
}

#[test]
fn s_276_two_variables_of_one_name_are_an_error() {
    let graph = Graph::new();
    let w = variable(&graph, "w");
    let error = GraphSaver::of(vec![w.clone(), w], SaverOptions::new()).unwrap_err();
    assert!(error.message().contains("same name: w"), "{error}");
}

#[test]
fn errors_state_the_phase_and_the_cause() {
    let graph = Graph::new();
    variable(&graph, "w");
    let session = MockSession::new(&graph);
    let saver = GraphSaver::new(SaverOptions::new());
    let error = saver.save(&session, "/nowhere/at/all/m", None).unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Save));
    assert!(error.message().contains("parent directory of /nowhere/at/all/m"), "{error}");
    let error = saver.restore(&session, "/nowhere/at/all/m", &RestoreOptions::new()).unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Restore));
}

/// The rows of `w`, of shape `[2, 3]`, from this one on.
fn row(graph: &Graph, first: usize) -> Variable {
    let info = || OutputInfo { dtype: DType::Float32, shape: PartialShape::from([1, 3]), is_ref: false };
    let name = format!("w/part_{first}");
    let op = |name: &str, kind: &str| graph.undefined_op(kind).absolute_name(name).described_output(info());
    let slice = SliceInfo {
        full_name: "w".to_owned(),
        full_shape: vec![2, 3],
        offset: vec![first, 0],
        shape: vec![1, 3],
    };
    Variable::new(VariableParts {
        handle: op(&name, "VariableV2").finish_output(),
        initial_value: op(&format!("{name}/initial_value"), "Const").finish_output(),
        snapshot: op(&format!("{name}/read"), "Identity").finish_output(),
        initializer: graph.undefined_op("Assign").absolute_name(format!("{name}/Assign")).finish(),
        trainable: true,
        slice: Some(slice),
    })
}

#[test]
fn a_saver_of_another_graph_is_refused_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (graph, other) = (Graph::new(), Graph::new());
    let saver = GraphSaver::of(vec![variable(&other, "w")], SaverOptions::new()).unwrap();
    variable(&graph, "b"); // the same numbers in its graph
    let session = MockSession::new(&graph);
    let path = folder.path().join("model.ckpt");
    let save = saver.save(&session, &path, None).unwrap_err();
    let restore = saver.restore(&session, &path, &RestoreOptions::new()).unwrap_err();
    let plan = saver.restore_plan(&session, &path, &RestoreOptions::new()).unwrap_err();
    for error in [save, restore, plan] {
        assert!(error.message().contains("variable 'w' belongs to another graph"), "{error}");
    }
    assert!(session.runs().is_empty());
    let mixed = vec![variable(&graph, "one"), variable(&other, "two")];
    let error = GraphSaver::of(mixed, SaverOptions::new()).unwrap_err();
    assert!(error.message().contains("variable 'two' belongs to another graph"), "{error}");
}

#[test]
fn s_276_one_variable_has_one_key_and_one_key_one_variable() {
    let graph = Graph::new();
    let (v, w) = (variable(&graph, "v"), variable(&graph, "x"));
    let refused = |variables: Vec<Variable>| {
        GraphSaver::of(variables, SaverOptions::new()).unwrap_err().message().to_owned()
    };
    assert_eq!(
        refused(vec![v.clone().saved_as("a"), v.clone().saved_as("b")]),
        "the variable 'v' would be saved under two names: 'a' and 'b'"
    );
    let same = "at least two variables have the same name: ";
    assert_eq!(refused(vec![v.clone(), v.clone()]), format!("{same}v"));
    assert_eq!(refused(vec![v.clone().saved_as("a"), w.clone().saved_as("a")]), format!("{same}a"));
    let nameless = refused(vec![v.clone(), w.clone().saved_as("")]);
    assert!(nameless.starts_with("the variable 'x' would be saved without a name"), "{nameless}");
    // A whole variable and parts of one, and twice the same part.
    let (first, second) = (row(&graph, 0), row(&graph, 1));
    assert_eq!(refused(vec![first.clone(), v.clone().saved_as("w")]), format!("{same}w"));
    assert_eq!(refused(vec![v.clone().saved_as("w"), first.clone()]), format!("{same}w"));
    assert_eq!(
        refused(vec![first.clone(), second.clone(), first.clone().saved_as("x")]),
        "the variable 'w/part_0' would be saved under two names: 'w' and 'x'"
    );
    GraphSaver::of(vec![first, second, v, w], SaverOptions::new()).unwrap();
}

#[test]
fn parts_of_a_partitioned_variable_go_under_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let parts = [row(&graph, 0).saved_as("moved"), row(&graph, 1).saved_as("moved")];
    let saver = GraphSaver::of(parts.to_vec(), SaverOptions::new()).unwrap();
    let session = MockSession::new(&graph);
    let values = [[[1f32, 2.0, 3.0]], [[4.0, 5.0, 6.0]]].map(Tensor::from);
    let stored = values.to_vec();
    session.expect(move |_| Ok(stored.clone()));
    let prefix = saver.save(&session, folder.path().join("model.ckpt"), None).unwrap();
    let reader = checkpoint::CheckpointReader::open(&prefix).unwrap();
    let whole = Tensor::from([[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    assert_eq!(reader.read("moved").unwrap(), whole);

    session.expect(|_| Ok(Vec::new()));
    saver.restore(&session, &prefix, &RestoreOptions::new()).unwrap();
    let assigned = session.runs().pop().unwrap();
    let fed: Vec<Tensor> = assigned.feeds.into_iter().map(|(_, value)| value).collect();
    assert_eq!(fed, values);
}
