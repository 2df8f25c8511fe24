//! Saving and restoring through a session, which is scripted.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

use checkpoint::{Code, Error, Saver, SessionVariables};
use session_core::mock::MockSession;
use session_core::{DType, Graph, OutputInfo, PartialShape, SliceInfo, Tensor, Variable, VariableParts};

fn variable(graph: &Graph, name: &str, shape: PartialShape, slice: Option<SliceInfo>) -> Variable {
    let info = || OutputInfo { dtype: DType::Float32, shape: shape.clone(), is_ref: false };
    let op = |name: &str, kind: &str| graph.undefined_op(kind).absolute_name(name).described_output(info());
    Variable::new(VariableParts {
        handle: op(name, "VariableV2").finish_output(),
        initial_value: op(&format!("{name}/initial_value"), "Const").finish_output(),
        snapshot: op(&format!("{name}/read"), "Identity").finish_output(),
        initializer: graph.undefined_op("Assign").absolute_name(format!("{name}/Assign")).finish(),
        trainable: true,
        slice,
    })
}

fn part(row: usize) -> Option<SliceInfo> {
    let (full_name, full_shape) = ("p".to_owned(), vec![2, 2]);
    Some(SliceInfo { full_name, full_shape, offset: vec![row, 0], shape: vec![1, 2] })
}

fn variables(graph: &Graph) -> Vec<Variable> {
    vec![
        variable(graph, "w", [2].into(), None),
        variable(graph, "p/part_0", [1, 2].into(), part(0)),
        variable(graph, "p/part_1", [1, 2].into(), part(1)),
        variable(graph, "any", [None].into(), None),
    ]
}

fn values() -> Vec<Tensor> {
    vec![
        Tensor::from([1.0f32, 2.0]),
        Tensor::from([[3.0f32, 4.0]]),
        Tensor::from([[5.0f32, 6.0]]),
        Tensor::from([7.0f32]),
    ]
}

#[test]
fn one_run_reads_all_and_one_run_assigns_all() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let session = MockSession::new(&graph);
    let mut live = SessionVariables::new(&session, variables(&graph));
    session.expect(|_| Ok(values()));
    let saver = Saver::default();
    let prefix = saver.save(&live, folder.path().join("m"), Some(3)).unwrap();
    let whole = checkpoint::read_all(&prefix).unwrap();
    assert_eq!(whole["p"], Tensor::from([[3.0f32, 4.0], [5.0, 6.0]]));

    session.expect(|_| Ok(Vec::new()));
    saver.restore(&mut live, &prefix).unwrap();
    let runs = session.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].fetches, ["w/read:0", "p/part_0/read:0", "p/part_1/read:0", "any/read:0"]);
    let mut fed = runs[1].feeds.clone();
    fed.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<_> = fed.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["any/initial_value:0", "p/part_0/initial_value:0", "p/part_1/initial_value:0", "w/initial_value:0"];
    assert_eq!(names, expected);
    assert_eq!(fed[2].1, values()[2]);
    assert_eq!(runs[1].targets.len(), 4);
}

#[test]
fn an_error_of_the_session_is_returned_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let session = MockSession::new(&graph);
    let live = SessionVariables::new(&session, variables(&graph));
    session.expect_error(session_core::Error::new(session_core::Code::Aborted, "worker restarted"));
    let error = Saver::default().save(&live, folder.path().join("m"), None).unwrap_err();
    assert_eq!(error.code(), Code::Aborted);
    assert!(session_core::Error::from(error).is_recoverable());
    let missing = Error::NotFound { path: "m".into() };
    assert_eq!(session_core::Error::from(missing).code(), session_core::Code::NotFound);
}

#[test]
fn a_shape_known_in_part_is_checked_before_anything_is_assigned() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let session = MockSession::new(&graph);
    let mut live = SessionVariables::new(&session, [variable(&graph, "any", [None].into(), None)]);
    let stored = vec![("any".to_owned(), Tensor::from([[1.0f32]]))];
    let saver = Saver::default();
    let prefix = saver.save(&stored, folder.path().join("m"), None).unwrap();
    let error = saver.restore(&mut live, prefix).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(session.runs().is_empty());
}

#[test]
fn variables_that_begin_alike_are_assigned_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let session = MockSession::new(&graph);
    let first = variable(&graph, "a", [1].into(), None);
    let second = variable(&graph, "b", [1].into(), None);
    // As programs do that make two variables of one tensor of zeros.
    let second = Variable::new(VariableParts {
        handle: second.handle().clone(),
        initializer: second.initializer().clone(),
        initial_value: first.initial_value().clone(),
        snapshot: second.snapshot().clone(),
        trainable: true,
        slice: None,
    });
    let mut live = SessionVariables::new(&session, [first, second]);
    let stored = vec![("a".to_owned(), Tensor::from([1.0f32])), ("b".to_owned(), Tensor::from([2.0f32]))];
    let saver = Saver::default();
    let prefix = saver.save(&stored, folder.path().join("m"), None).unwrap();
    session.expect(|_| Ok(Vec::new()));
    session.expect(|_| Ok(Vec::new()));
    saver.restore(&mut live, prefix).unwrap();
    let runs = session.runs();
    let made: Vec<_> = runs.iter().map(|run| (run.targets.clone(), run.feeds.clone())).collect();
    let feed = |value: f32| vec![("a/initial_value:0".to_owned(), Tensor::from([value]))];
    assert_eq!(made, [(vec!["a/Assign".to_owned()], feed(1.0)), (vec!["b/Assign".to_owned()], feed(2.0))]);
}
