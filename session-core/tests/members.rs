//! Elements of another graph are rejected wherever they are passed in.
#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used)] // helpers of tests

use session_core::mock::MockSession;
use session_core::{
    Code, CollectionKey, DType, ErrorKind, Graph, Operation, Output, OutputInfo, PartialShape, SavedTable,
    SessionExt, Variable, VariableParts, keys,
};
use tensor::Tensor;

fn operation(graph: &Graph, name: &str) -> Operation {
    graph.undefined_op("NoOp").name(name).finish()
}

fn output(graph: &Graph, name: &str) -> Output {
    let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::unknown(), is_ref: false };
    graph.undefined_op("Scripted").name(name).described_output(info).finish_output()
}

fn variable(graph: &Graph) -> Variable {
    let handle = output(graph, "w");
    Variable::new(VariableParts {
        initializer: handle.operation().clone(),
        initial_value: output(graph, "initial"),
        snapshot: output(graph, "read"),
        trainable: true,
        slice: None,
        handle,
    })
}

#[test]
fn an_error_of_two_graphs_leaves_finalized_ones_alone() {
    let (graph, other) = graphs();
    other.finalize().unwrap();
    let x = other.output("x:0").unwrap();
    assert!(graph.undefined_op("Scripted").input(&x).finish().error().is_some());
    assert!(graph.check().is_err() && other.check().is_ok());
}

/// Creates two graphs whose operations have the same ids.
fn graphs() -> (Graph, Graph) {
    let pair = (Graph::new(), Graph::new());
    for graph in [&pair.0, &pair.1] {
        output(graph, "x");
        operation(graph, "update");
    }
    pair
}

#[test]
fn inputs_of_another_graph_are_a_build_error_with_its_place() {
    let check = |misuse: fn(&Graph, &Graph), who: &str| {
        let (graph, other) = graphs();
        misuse(&graph, &other);
        // Either may be the one that the caller builds.
        for graph in [graph, other] {
            let error = graph.finalize().unwrap_err();
            assert!(error.message().contains(who), "{error}");
            assert!(error.message().contains("another graph"), "{error}");
            assert_eq!(error.kind(), ErrorKind::Value);
            assert!(error.location().is_some_and(|place| place.file() == file!()), "{error}");
        }
    };
    check(
        |graph, other| {
            let after = graph.control_dependencies([&other.operation("update").unwrap()]);
            assert!(operation(&after, "step").control_inputs().is_empty());
        },
        "operation 'update'",
    );
    check(
        |graph, other| {
            let update = other.operation("update").unwrap();
            let step = graph.undefined_op("NoOp").name("step").control_input(&update).finish();
            assert!(step.error().is_some() && graph.operation("step").is_err());
        },
        "operation 'update'",
    );
    check(
        |graph, other| {
            // The control inputs of the handle are ids of the other graph.
            let after = other.control_dependencies([&other.operation("update").unwrap()]).scope("s");
            let x = graph.output("x:0").unwrap().within(&after);
            assert_eq!(x.graph().scope_name(), "");
        },
        "'x:0'",
    );
    check(
        |graph, other| {
            let x = other.output("x:0").unwrap();
            let y = graph.undefined_op("Scripted").name("y").input(&x).finish();
            assert!(y.error().is_some() && graph.operation("y").is_err());
        },
        "tensor 'x:0'",
    );
    check(
        |graph, other| {
            let w = variable(graph);
            let initial = other.output("x:0").unwrap();
            w.replace_initializer(&other.operation("update").unwrap(), &initial);
            assert!(w.initializer().error().is_some(), "what runs it fails, too");
        },
        "the initializer of 'w': operation 'update' belongs",
    );
    check(|graph, other| graph.prevent_feeding(&other.output("x:0").unwrap()), "tensor 'x:0'");
    check(|graph, other| graph.prevent_fetching(&other.operation("update").unwrap()), "operation 'update'");
}

#[test]
fn marks_of_one_graph_have_no_effect_on_another() {
    let (graph, other) = graphs();
    let (x, update) = (graph.output("x:0").unwrap(), graph.operation("update").unwrap());
    graph.prevent_feeding(&x);
    graph.prevent_fetching(&update);
    assert!(!graph.is_feedable(&x) && !graph.is_fetchable(&update));
    let (x, update) = (other.output("x:0").unwrap(), other.operation("update").unwrap());
    assert!(other.is_feedable(&x) && other.is_fetchable(&update));
    assert!(!graph.is_feedable(&x) && !graph.is_fetchable(&update));
}

#[test]
fn collections_take_elements_of_their_graph_only() {
    let (graph, other) = graphs();
    let (x, update) = (other.output("x:0").unwrap(), other.operation("update").unwrap());
    let error = graph.add_to_collection(&keys::LOSSES, x.clone()).unwrap_err();
    assert!(error.message().contains("tensor 'x:0' belongs to another graph"), "{error}");
    let error = graph.add_to_collections([&keys::TRAIN_OP, &keys::INIT_OP], update).unwrap_err();
    assert!(error.message().contains("operation 'update' belongs to another graph"), "{error}");
    assert!(graph.collection_names().is_empty());
    other.add_to_collection(&keys::LOSSES, x).unwrap();
    const NOTES: CollectionKey<String> = CollectionKey::new("notes");
    graph.add_to_collection(&NOTES, "others are not checked".to_owned()).unwrap();

    let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::unknown(), is_ref: false };
    let export = |graph: &Graph| {
        let builder = graph.undefined_op("Export").described_output(info.clone());
        builder.described_output(info.clone()).finish()
    };
    let import = |graph: &Graph| {
        let x = graph.output("x:0").unwrap();
        graph.undefined_op("Import").input_list([&x, &x, &x]).finish()
    };
    assert!(SavedTable::new("t", &export(&graph), &import(&graph)).is_some());
    assert!(SavedTable::new("t", &export(&graph), &import(&other)).is_none());
}

#[test]
fn s_36_s_40_s_45_callables_check_what_they_fetch_and_what_is_fed() {
    let (graph, other) = graphs();
    let session = MockSession::new(&graph);
    let (x, foreign) = (graph.output("x:0").unwrap(), other.output("x:0").unwrap());
    let y = output(&graph, "y");
    let fetched = session.make_callable(&foreign, &[]).unwrap_err();
    assert!(fetched.message().contains("cannot be interpreted as a Tensor or Operation"), "{fetched}");
    let fed = session.make_callable(&y, &[&x, &foreign]).unwrap_err();
    assert_eq!(fed.kind(), ErrorKind::Type);
    assert!(fed.message().contains("'x:0' belongs to another graph"), "{fed}");
    let twice = session.make_callable(&y, &[&x, &x]).unwrap_err();
    assert!(twice.message().contains("'x:0' is fed twice"), "{twice}");
    graph.prevent_feeding(&x);
    let prevented = session.make_callable(&y, &[&x]).unwrap_err();
    assert!(prevented.message().contains("'x:0' may not be fed"), "{prevented}");
    let run = session.run(&y, [(&foreign, Tensor::from(1f32))]).unwrap_err();
    assert!(run.message().contains("cannot interpret feed key 'x:0'"), "{run}");
    assert!(session.runs().is_empty());
}

#[test]
fn a_dictionary_feeds_values_of_different_types() {
    use session_core::FeedDict;
    let graph = Graph::new();
    let x = output(&graph, "x");
    let info = OutputInfo { dtype: DType::Int64, shape: PartialShape::unknown(), is_ref: false };
    let labels = graph.undefined_op("Scripted").name("labels").described_output(info).finish_output();
    let session = MockSession::new(&graph);
    session.otherwise(|run| Ok(vec![Tensor::from(0f32); run.fetches.len()]));
    let mut feeds: FeedDict = [(&x, 1f32)].into_iter().collect();
    feeds.insert("labels:0", [1i64, 2]);
    feeds.insert(&labels, [3i64]); // the later value counts (S-46)
    session.run((), &feeds).unwrap();
    let expected = [("x:0".to_owned(), Tensor::from(1f32)), ("labels:0".to_owned(), Tensor::from([3i64]))];
    assert_eq!(session.runs()[0].feeds, expected);
    let error = session.run((), feeds.feed("nobody:0", 1f32)).unwrap_err();
    assert!(error.message().contains("cannot interpret feed key 'nobody:0'"), "{error}");
    assert_eq!(error.code(), Code::InvalidArgument);
}
