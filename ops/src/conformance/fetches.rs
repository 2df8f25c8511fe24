//! Fetches: allowed values and their results.

use super::{fails, list, open};
use crate::array::constant;
use crate::control_flow::no_op;
use crate::variables::{VariableExt, global_variables_initializer, variable};
use session_core::{Engine, ErrorKind, Graph, SessionExt, Tensor};
use std::collections::{BTreeMap, HashMap};

list! {
    s_30_every_kind_of_leaf s_31_s_32_containers_nest s_33_a_leaf_is_evaluated_once s_36_wrong_fetches_run_nothing
    s_37_unfetchable_outputs_are_refused
}

/// S-30: a tensor and a variable return values, an operation returns nothing, a name stands for any of them.
pub fn s_30_every_kind_of_leaf(engine: &dyn Engine) {
    let graph = Graph::new();
    let c = constant(&graph.named("c"), [1.0f32, 2.0]);
    let v = variable(&graph.named("v"), 3i64);
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    let (tensor, value, (), by_name, nothing) = session.run((&c, &v, &init, "c:0", "c"), ()).unwrap();
    assert_eq!((tensor, value), (Tensor::from([1.0f32, 2.0]), Tensor::from(3i64)));
    assert_eq!((by_name, nothing), (Some(Tensor::from([1.0f32, 2.0])), None));
}

/// S-31, S-32: containers nest, keep their shape, and may be empty.
pub fn s_31_s_32_containers_nest(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = constant(&graph, 1i32);
    let b = constant(&graph, 2i32);
    let session = open(engine, &graph);
    let (one, two) = (Tensor::from(1i32), Tensor::from(2i32));

    let fetch = (vec![&a, &b, &a], [&b], Some(&a), None::<&session_core::Output>);
    let found = session.run(fetch, ()).unwrap();
    assert_eq!(found, (vec![one.clone(), two.clone(), one.clone()], [two.clone()], Some(one.clone()), None));

    let map = BTreeMap::from([("b", vec![&b]), ("a", vec![])]);
    let found = session.run(&map, ()).unwrap();
    assert_eq!(found, BTreeMap::from([("b", vec![two.clone()]), ("a", vec![])]));
    let found = session.run(HashMap::from([(1, &a), (2, &b)]), ()).unwrap();
    assert_eq!(found, HashMap::from([(1, one), (2, two)]));

    let nothing: Vec<session_core::Output> = Vec::new();
    assert_eq!(session.run(&nothing, ()).unwrap(), []);
}

/// S-33: a leaf that appears twice is evaluated once.
pub fn s_33_a_leaf_is_evaluated_once(engine: &dyn Engine) {
    let graph = Graph::new();
    let count = variable(&graph.named("count"), 0i64);
    let increment = count.assign_add(1);
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    session.run([&increment, &increment], ()).unwrap();
    assert_eq!(session.run(&count, ()).unwrap(), Tensor::from(1i64));
}

/// S-36: what cannot be fetched is an error before anything runs.
pub fn s_36_wrong_fetches_run_nothing(engine: &dyn Engine) {
    let graph = Graph::new();
    let count = variable(&graph.named("count"), 0i64);
    let increment = count.assign_add(1);
    let init = global_variables_initializer(&graph);
    let foreign = constant(&Graph::new(), 1i32);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    for name in ["nowhere:0", "nowhere", "count:7"] {
        let error = fails(session.run((&increment, name), ()), "cannot be interpreted as a Tensor");
        assert_eq!(error.kind(), ErrorKind::Value, "{name}");
    }
    fails(session.run((&increment, &foreign), ()), "cannot be interpreted as a Tensor");
    assert_eq!(session.run(&count, ()).unwrap(), Tensor::from(0i64));
}

/// S-37: an operation can be marked as one that may not be fetched.
pub fn s_37_unfetchable_outputs_are_refused(engine: &dyn Engine) {
    let graph = Graph::new();
    let hidden = no_op(&graph.named("hidden"));
    graph.prevent_fetching(&hidden);
    let session = open(engine, &graph);
    assert_eq!(fails(session.run(&hidden, ()), "not fetchable").kind(), ErrorKind::Value);
}
