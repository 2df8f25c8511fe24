//! Scaffolds (S-70 to S-87).

use crate::support::{missing, op, open, output};
use checkpoint::{GraphSaver, SAVERS, SaverOptions};
use ops::variables::{local_variable, variable};
use scaffold::{Scaffold, ScaffoldBuilder, default_local_init_op};
use session_core::keys::{
    INIT_OP, LOCAL_INIT_OP, READY_FOR_LOCAL_INIT_OP, READY_OP, SAVED_MODEL_INITIALIZERS, SUMMARY_OP,
};
use session_core::{DType, Graph, Operation, Output, Session, SessionExt as _, Tensor};
use std::sync::{Arc, Mutex};

fn names(tensor: &Tensor) -> Vec<String> {
    tensor.as_strings().unwrap().iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[test]
fn s_70_s_71_s_72_nothing_is_created_before_finalize() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), 1f32);
    let before = graph.len();
    let empty = Scaffold::builder();
    let pieces = empty.pieces();
    assert!(pieces.init_op().is_none() && pieces.ready_op().is_none() && pieces.saver().is_none());
    assert!(pieces.ready_for_local_init_op().is_none() && pieces.local_init_op().is_none());
    assert!(pieces.summary_op().is_none() && !pieces.has_init_fn() && pieces.init_feed().is_empty());
    assert!(pieces.local_init_feed().is_empty());
    assert_eq!(graph.len(), before);
    let init = op(&graph, "mine");
    let given = Scaffold::builder().init_op(&init);
    assert_eq!(given.pieces().init_op(), Some(&init), "what was given is what is seen");
}

#[test]
fn s_73_init_fn_gets_the_scaffold_and_the_session() {
    let graph = Graph::new();
    let seen: Arc<Mutex<Option<Operation>>> = Arc::default();
    let kept = seen.clone();
    let scaffold = Scaffold::builder()
        .init_fn(move |scaffold, session| {
            assert!(session.graph().is_finalized());
            *kept.lock().unwrap() = Some(scaffold.init_op().clone());
            Ok(())
        })
        .finalize(&graph)
        .unwrap();
    scaffold.run_init_fn(&*open(&graph)).unwrap();
    assert_eq!(seen.lock().unwrap().as_ref(), Some(scaffold.init_op()));
}

#[test]
fn s_74_pieces_are_copied_from_another_scaffold() {
    let graph = Graph::new();
    let [first, second, local] = ["first", "second", "local"].map(|name| op(&graph, name));
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = seen.clone();
    let other = Scaffold::builder().init_op(&first).local_init_op(&local).init_fn(move |scaffold, _| {
        kept.lock().unwrap().push(scaffold.init_op().name().to_owned());
        Ok(())
    });
    let copy = Scaffold::builder().init_op(&second).copy_from(&other);
    assert_eq!(copy.pieces().init_op(), Some(&second), "what was given stays");
    assert_eq!(copy.pieces().local_init_op(), Some(&local), "the rest is the other's");
    let copy = copy.finalize(&graph).unwrap();
    copy.run_init_fn(&*open(&graph)).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["second"], "the function is bound to the new scaffold");
    // A finalized scaffold can be copied, too.
    let again = Scaffold::builder().copy_from(&copy);
    assert_eq!(again.pieces().init_op(), Some(&second));
    assert_eq!(again.pieces().ready_op(), Some(copy.ready_op()));
}

#[test]
fn s_75_pieces_are_settled_in_order_and_the_graph_is_frozen() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), 1f32);
    ops::summary::scalar("loss", ops::array::constant(&graph, 1f32));
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    assert!(graph.is_finalized());
    let made = [
        scaffold.init_op().id(),
        scaffold.ready_op().operation().id(),
        scaffold.ready_for_local_init_op().operation().id(),
        scaffold.local_init_op().id(),
        scaffold.summary_op().unwrap().operation().id(),
    ];
    assert!(made.is_sorted(), "{made:?}");
    assert!(scaffold.graph().is_same(&graph));
}

#[test]
fn s_76_pieces_are_given_or_found_or_created() {
    let graph = Graph::new();
    let [given, found] = ["given", "found"].map(|name| op(&graph, name));
    graph.add_to_collection(&LOCAL_INIT_OP, found.clone()).unwrap();
    let scaffold = Scaffold::builder().init_op(&given).finalize(&graph).unwrap();
    assert_eq!(scaffold.init_op(), &given);
    assert!(graph.collection(&INIT_OP).is_empty(), "what was given goes into no collection");
    assert_eq!(scaffold.local_init_op(), &found);
    assert_eq!(graph.collection(&READY_OP), [scaffold.ready_op().clone()], "what was made does");
    assert_eq!(graph.collection(&READY_FOR_LOCAL_INIT_OP), [scaffold.ready_for_local_init_op().clone()]);
    assert!(graph.collection(&SUMMARY_OP).is_empty() && scaffold.summary_op().is_none());
}

#[test]
fn s_77_more_than_one_item_in_a_collection_is_an_error() {
    let graph = Graph::new();
    let [first, second] = ["first", "second"].map(|name| op(&graph, name));
    graph.add_to_collection(&LOCAL_INIT_OP, first.clone()).unwrap();
    graph.add_to_collection(&LOCAL_INIT_OP, second).unwrap();
    let error = Scaffold::builder().finalize(&graph).unwrap_err();
    // with name and number.
    assert!(error.message().contains("More than one item in the collection 'local_init_op': 2"), "{error}");
    assert_eq!(graph.collection(&INIT_OP).len(), 1, "pieces settled before are made");
    assert!(!graph.is_finalized());
    Scaffold::builder()
        .local_init_op(&first)
        .finalize(&graph)
        .expect("a piece that is given is not looked up");
}

#[test]
fn s_77_more_than_one_saver_is_an_error() {
    let graph = Graph::new();
    for _ in 0..2 {
        graph.add_to_collection(&SAVERS, GraphSaver::new(SaverOptions::new())).unwrap();
    }
    let error = Scaffold::builder().finalize(&graph).unwrap_err();
    assert!(error.message().contains("More than one item in the collection 'savers'"), "{error}");
}

#[test]
fn s_78_the_default_init_op_initializes_global_variables_and_saved_models() {
    let graph = Graph::new();
    let weights = variable(&graph.named("weights"), vec![1f32, 2.0]);
    let _local = local_variable(&graph.named("local"), 1f32);
    let restored = variable(&graph.named("restored"), 1i64);
    graph
        .add_to_collection(&SAVED_MODEL_INITIALIZERS, ops::variables::VariableExt::assign(&restored, 7i64))
        .unwrap();
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    let session = open(&graph);
    session.run(scaffold.init_op(), ()).unwrap();
    assert_eq!(session.run(&weights, ()).unwrap(), Tensor::from(vec![1f32, 2.0]));
    let value = session.run(&restored, ()).unwrap().value::<i64>().unwrap();
    assert!(value == 7 || value == 1, "both run, in no order");
    assert_eq!(names(&session.run(scaffold.ready_op(), ()).unwrap()), ["local"], "local ones do not");
}

#[test]
fn s_79_s_80_the_default_ready_ops_name_missing_variables() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), 1f32);
    let _local = local_variable(&graph.named("local"), 1f32);
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    let session = open(&graph);
    let missing = |output: &Output| names(&session.run(output, ()).unwrap());
    assert_eq!(missing(scaffold.ready_op()), ["weights", "local"]);
    assert_eq!(missing(scaffold.ready_for_local_init_op()), ["weights"]);
    session.run(scaffold.init_op(), ()).unwrap();
    assert_eq!(missing(scaffold.ready_op()), ["local"]);
    assert!(missing(scaffold.ready_for_local_init_op()).is_empty());
    session.run(scaffold.local_init_op(), ()).unwrap();
    assert!(missing(scaffold.ready_op()).is_empty());
}

#[test]
fn s_81_the_default_local_init_op_can_be_extended() {
    let graph = Graph::new();
    let local = local_variable(&graph.named("local"), 3f32);
    let counter = local_variable(&graph.named("counter"), 0i64);
    let mine = ops::variables::VariableExt::assign(&counter, 5i64);
    let init = ops::control_flow::group(&graph, [&default_local_init_op(&graph), &mine]);
    let scaffold = Scaffold::builder().local_init_op(&init).finalize(&graph).unwrap();
    let session = open(&graph);
    session.run(scaffold.local_init_op(), ()).unwrap();
    assert_eq!(session.run(&local, ()).unwrap(), Tensor::from(3f32));
    assert!(session.run(scaffold.ready_op(), ()).unwrap().elements() == 0);
}

#[test]
fn s_82_the_default_summary_op_merges_all() {
    let graph = Graph::new();
    for tag in ["loss", "accuracy"] {
        ops::summary::scalar(tag, ops::array::constant(&graph, 0.5f32));
    }
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    let bytes = open(&graph).run(scaffold.summary_op().unwrap(), ()).unwrap();
    let text = String::from_utf8_lossy(&bytes.as_strings().unwrap()[0]).into_owned();
    assert!(text.contains("loss") && text.contains("accuracy"));
    assert_eq!(graph.collection(&SUMMARY_OP).len(), 1);
}

#[test]
fn s_83_the_default_saver_is_that_of_the_collection_or_of_all_variables() {
    let graph = Graph::new();
    let weights = variable(&graph.named("weights"), 1f32);
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    assert_eq!(graph.collection(&SAVERS).len(), 1);
    assert_eq!(scaffold.saver().variables(&graph), [weights]);
    // The single item of the collection, if there is one.
    let graph = Graph::new();
    let weights = variable(&graph.named("weights"), 1f32);
    let _other = variable(&graph.named("other"), 1f32);
    let mine = GraphSaver::of(vec![weights.clone()], SaverOptions::new()).unwrap();
    graph.add_to_collection(&SAVERS, mine).unwrap();
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    assert_eq!(scaffold.saver().variables(&graph), [weights]);
}

#[test]
fn s_84_a_frozen_graph_is_accepted_if_nothing_has_to_be_created() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), 1f32);
    Scaffold::builder().finalize(&graph).unwrap();
    assert!(graph.is_finalized());
    Scaffold::builder().finalize(&graph).expect("every default is in its collection");

    let graph = Graph::new();
    let mine = op(&graph, "mine");
    Scaffold::builder().init_op(&mine).finalize(&graph).unwrap();
    let error = Scaffold::builder().finalize(&graph).unwrap_err();
    assert!(error.message().contains("finalized"), "the init op would have to be made: {error}");
}

#[test]
fn s_85_finalize_can_be_called_twice() {
    let graph = Graph::new();
    let builder = Scaffold::builder();
    let first = builder.clone().finalize(&graph).unwrap();
    let second = builder.finalize(&graph).unwrap();
    assert_eq!(first.init_op(), second.init_op());
    assert_eq!(first.ready_op(), second.ready_op());
}

#[test]
fn s_86_q_26_variables_added_since_are_in_the_defaults() {
    let graph = Graph::new();
    let _first = variable(&graph.named("first"), 1f32);
    Scaffold::builder().finalize(&graph).unwrap();
    graph.unfinalize();
    let later = variable(&graph.named("later"), 2f32);
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    let session = open(&graph);
    assert_eq!(session.run(scaffold.ready_op(), ()).unwrap(), missing(&["first", "later"]));
    session.run(scaffold.init_op(), ()).unwrap();
    assert_eq!(session.run(&later, ()).unwrap(), Tensor::from(2f32));
    assert_eq!(scaffold.saver().variables(&graph).len(), 2);
}

#[test]
fn s_87_an_empty_graph_can_be_finalized() {
    let graph = Graph::new();
    let scaffold = Scaffold::builder().finalize(&graph).unwrap();
    assert!(scaffold.summary_op().is_none() && scaffold.saver().variables(&graph).is_empty());
    let session = open(&graph);
    session.run(scaffold.init_op(), ()).unwrap();
    session.run(scaffold.local_init_op(), ()).unwrap();
    assert_eq!(session.run(scaffold.ready_op(), ()).unwrap().elements(), 0);
}

#[test]
fn a_piece_of_another_graph_is_rejected() {
    let (graph, other) = (Graph::new(), Graph::new());
    let error = Scaffold::builder().init_op(&op(&other, "foreign")).finalize(&graph).unwrap_err();
    assert!(error.message().contains("'foreign'"), "{error}");
    let ready = output(&other, "ready", DType::String);
    assert!(Scaffold::builder().ready_op(&ready).finalize(&graph).is_err());
    assert!(!graph.is_finalized());
}

#[test]
fn feeds_are_checked_when_the_scaffold_is_settled() {
    let graph = Graph::new();
    let fed = output(&graph, "fed", DType::Float32);
    let error = Scaffold::builder().init_feed(&fed, 1i64).finalize(&graph).unwrap_err();
    assert!(error.message().contains("fed"), "{error}");
    let session: Arc<dyn Session> = open(&graph);
    session.close().unwrap();
}

#[test]
fn a_finalized_scaffold_can_be_finalized_again_when_the_graph_has_grown() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), 1f32);
    let given = op(&graph, "given");
    let first = Scaffold::builder().local_init_op(&given).finalize(&graph).unwrap();
    graph.unfinalize();
    // Adds to the graph, as a hook does.
    let later = variable(&graph.named("later"), 2f32);
    let second = ScaffoldBuilder::from(&first).finalize(&graph).unwrap();
    assert_eq!(second.local_init_op(), &given, "what was given stays");
    let session = open(&graph);
    session.run(second.init_op(), ()).unwrap();
    assert_eq!(session.run(&later, ()).unwrap(), Tensor::from(2f32), "what was made is made again");
    assert!(names(&session.run(second.ready_op(), ()).unwrap()).is_empty());
    // A frozen graph that has not grown needs no recreated operations.
    let third = ScaffoldBuilder::from(second.clone()).finalize(&graph).unwrap();
    assert_eq!(third.init_op(), second.init_op());

    let error = ScaffoldBuilder::from(first).finalize(&Graph::new()).unwrap_err();
    assert!(error.message().contains("another graph"), "{error}");
}
