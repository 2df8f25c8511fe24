//! Feeds: allowed values and their effect.

use super::{fails, list, open};
use crate::array::{constant, identity, placeholder, placeholder_with_default};
use crate::variables::{VariableExt, global_variables_initializer, variable};
use session_core::{Code, DType, Engine, ErrorKind, Graph, PartialShape, SessionExt, Tensor};

list! {
    s_39_any_tensor_can_be_fed s_40_unknown_keys s_43_shapes_and_dtypes_are_checked s_45_unfeedable_outputs_are_refused
    s_46_the_later_feed_wins s_47_a_fetched_feed_is_the_fed_value s_48_feeding_cuts_the_graph
    s_49_placeholders_need_a_value
}

/// S-39: not only placeholders can be fed, and by output or name.
pub fn s_39_any_tensor_can_be_fed(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = constant(&graph.named("a"), 2.0f32);
    let b = (&a * 3.0).within(&graph.named("b"));
    let c = &b + 1.0;
    let session = open(engine, &graph);
    assert_eq!(session.run(&c, ()).unwrap(), Tensor::from(7.0f32));
    assert_eq!(session.run(&c, [(&b, 10.0f32)]).unwrap(), Tensor::from(11.0f32));
    assert_eq!(session.run(&c, [("a:0", 4.0f32)]).unwrap(), Tensor::from(13.0f32));
    let two: Vec<(&str, Tensor)> = vec![("a:0", Tensor::from(4.0f32))];
    assert_eq!(session.run(&c, two).unwrap(), Tensor::from(13.0f32));
    assert_eq!(session.run(&c, ()).unwrap(), Tensor::from(7.0f32), "a feed lasts for one run");
}

/// S-40: keys that mean no tensor of this graph.
pub fn s_40_unknown_keys(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = constant(&graph.named("a"), 2.0f32);
    let foreign = constant(&Graph::new().named("a"), 2.0f32);
    let session = open(engine, &graph);
    for name in ["a", "b:0", "a:1", "a:x"] {
        let error = fails(session.run(&a, [(name, 1.0f32)]), "as Tensor");
        assert_eq!(error.kind(), ErrorKind::Type, "{name}");
    }
    assert_eq!(fails(session.run(&a, [(&foreign, 1.0f32)]), "as Tensor").kind(), ErrorKind::Type);
}

/// S-43: shapes are checked as far as they are known, dtypes always; the error names the tensor.
pub fn s_43_shapes_and_dtypes_are_checked(engine: &dyn Engine) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(2)]);
    let y = identity(&x);
    let session = open(engine, &graph);
    for rows in [0usize, 1, 5] {
        let fed = Tensor::zeros(DType::Float32, [rows, 2]).unwrap();
        assert_eq!(session.run(&y, [(&x, fed.clone())]).unwrap(), fed);
    }
    let error = fails(session.run(&y, [(&x, [1.0f32, 2.0])]), "Cannot feed value of shape");
    assert_eq!(error.kind(), ErrorKind::Value);
    assert!(error.message().contains("'x:0'"), "{error}");
    fails(session.run(&y, [(&x, [[1.0f32, 2.0, 3.0]])]), "Cannot feed value of shape");
    let error = fails(session.run(&y, [(&x, [[1.0f64, 2.0]])]), "'x:0'");
    assert_eq!(error.kind(), ErrorKind::Type);
}

/// S-45: a tensor can be marked as one that may not be fed.
pub fn s_45_unfeedable_outputs_are_refused(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = constant(&graph.named("a"), 2.0f32);
    graph.prevent_feeding(&a);
    let session = open(engine, &graph);
    assert_eq!(fails(session.run(&a, [(&a, 1.0f32)]), "may not be fed").kind(), ErrorKind::Value);
}

/// S-46: of two values for one tensor the later wins.
pub fn s_46_the_later_feed_wins(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = constant(&graph.named("a"), 2.0f32);
    let b = &a * 10.0;
    let session = open(engine, &graph);
    assert_eq!(session.run(&b, ((&a, 3.0f32), ("a:0", 4.0f32))).unwrap(), Tensor::from(40.0f32));
}

/// S-47: a fed tensor that is fetched is what was fed; its operation does not run.
pub fn s_47_a_fetched_feed_is_the_fed_value(engine: &dyn Engine) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
    let y = &x * 2.0;
    let session = open(engine, &graph);
    let (x_value, y_value) = session.run((&x, &y), [(&x, 3.0f32)]).unwrap();
    assert_eq!((x_value, y_value), (Tensor::from(3.0f32), Tensor::from(6.0f32)));
    // Nothing executes: the placeholder beneath has no value.
    assert_eq!(session.run(&y, [(&y, 5.0f32)]).unwrap(), Tensor::from(5.0f32));
}

/// S-48: what is upstream of a fed tensor does not run on its account.
pub fn s_48_feeding_cuts_the_graph(engine: &dyn Engine) {
    let graph = Graph::new();
    let count = variable(&graph.named("count"), 0i64);
    let after = graph.control_dependencies([&count.assign_add(1)]);
    let read = count.read(&after);
    let result = identity(identity(&read));
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    assert_eq!(session.run(&result, [(&read, 9i64)]).unwrap(), Tensor::from(9i64));
    assert_eq!(session.run(&count, ()).unwrap(), Tensor::from(0i64));
    assert_eq!(session.run(&result, ()).unwrap(), Tensor::from(1i64));
}

/// S-49: a placeholder that is needed must be fed; one with a default need not.
pub fn s_49_placeholders_need_a_value(engine: &dyn Engine) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
    let unused = placeholder(&graph.named("unused"), DType::Float32, PartialShape::scalar());
    let y = &x * 2.0;
    let optional = placeholder_with_default(constant(&graph, 5.0f32), PartialShape::scalar());
    let session = open(engine, &graph);
    let error = fails(session.run(&y, ()), "'x'");
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(session.run(&y, [(&x, 1.0f32)]).unwrap(), Tensor::from(2.0f32));
    assert_eq!(session.run(&optional, ()).unwrap(), Tensor::from(5.0f32));
    assert_eq!(session.run(&optional, [(&optional, 6.0f32)]).unwrap(), Tensor::from(6.0f32));
    drop(unused);
}
