//! Variables of a session: initializing, reading, assigning.

use super::{fails, list, open};
use crate::array::{constant, placeholder};
use crate::global_step::{create_global_step, global_step_read, increment_global_step};
use crate::initializers::random_normal;
use crate::math::{reduce_sum, square};
use crate::optimizers::{GradientDescentOptimizer, Optimizer};
use crate::variables::{
    VariableExt, get_variable, global_variables_initializer, local_variable, local_variables_initializer,
    report_uninitialized_variables, variable, variables_initializer,
};
use session_core::{Code, DType, Engine, Graph, SessionExt, Tensor};

list! {
    s_28_variables_need_a_value s_25_s_27_initializing_and_reporting s_26_values_of_other_variables
    assignments_change_the_value fetched_values_do_not_change initial_values_can_be_fed rows_can_be_changed
    s_330_s_380_the_step_is_read_before_it_is_incremented
}

/// S-28: reading a variable without value.
pub fn s_28_variables_need_a_value(engine: &dyn Engine) {
    let graph = Graph::new();
    let v = variable(&graph.named("v"), 1.0f32);
    let w = &v * 2.0;
    let initialized = v.is_initialized(&graph);
    let increment = v.assign_add(1.0);
    let session = open(engine, &graph);
    assert_eq!(session.run(&initialized, ()).unwrap(), Tensor::from(false));
    let error = fails(session.run(&w, ()), "v");
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(fails(session.run(&increment, ()), "v").code(), Code::FailedPrecondition);
    session.run(v.initializer(), ()).unwrap();
    assert_eq!(session.run((&w, &initialized), ()).unwrap(), (Tensor::from(2.0f32), Tensor::from(true)));
}

/// S-25, S-27: initializing all variables of a kind, and the names of those without value.
pub fn s_25_s_27_initializing_and_reporting(engine: &dyn Engine) {
    let graph = Graph::new();
    let early = report_uninitialized_variables(&graph.named("early"));
    let nothing = global_variables_initializer(&graph);
    let local = local_variable(&graph.named("local"), 1i32);
    let a = variable(&graph.named("a"), 1i32);
    let b = variable(&graph.named("b"), 1i32);
    let report = report_uninitialized_variables(&graph);
    let only_b = variables_initializer(&graph, std::slice::from_ref(&b));
    let (init, local_init) = (global_variables_initializer(&graph), local_variables_initializer(&graph));
    let session = open(engine, &graph);
    let reported = || session.run(&report, ()).unwrap();
    session.run(&nothing, ()).unwrap();
    assert_eq!(session.run(&early, ()).unwrap().shape().dims(), [0]);
    assert_eq!(reported(), Tensor::from(["a", "b", "local"]));
    session.run(&only_b, ()).unwrap();
    assert_eq!(reported(), Tensor::from(["a", "local"]));
    session.run(&init, ()).unwrap();
    assert_eq!(reported(), Tensor::from(["local"]));
    session.run(&local_init, ()).unwrap();
    assert_eq!(reported().shape().dims(), [0]);
    assert_eq!(session.run((&a, &local), ()).unwrap(), (Tensor::from(1i32), Tensor::from(1i32)));
}

/// S-26: an initial value may depend on another variable that has none yet, also a random one.
pub fn s_26_values_of_other_variables(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = variable(&graph.named("a"), 3.0f32);
    let b = variable(&graph.named("b"), 2.0 * &a + 1.0);
    let noise = get_variable(&graph, "noise", [4], DType::Float32, &random_normal(0.0, 1.0));
    let copy = variable(&graph.named("copy"), &noise);
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(b.initializer(), ()).unwrap();
    assert_eq!(session.run(&b, ()).unwrap(), Tensor::from(7.0f32), "b alone, a has no value");
    session.run(&init, ()).unwrap();
    let (noise, copy) = session.run((&noise, &copy), ()).unwrap();
    assert_eq!(noise, copy);
}

/// Assignments, increments and decrements.
pub fn assignments_change_the_value(engine: &dyn Engine) {
    let graph = Graph::new();
    let v = variable(&graph.named("v"), [1.0f32, 2.0]);
    let x = placeholder(&graph.named("x"), DType::Float32, [2]);
    let (assign, add, sub) = (v.assign(&x), v.assign_add(&x), v.assign_sub(&x));
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    session.run(&add, [(&x, [10.0f32, 20.0])]).unwrap();
    assert_eq!(session.run(&v, ()).unwrap(), Tensor::from([11.0f32, 22.0]));
    session.run(&sub, [(&x, [1.0f32, 2.0])]).unwrap();
    assert_eq!(session.run(&v, ()).unwrap(), Tensor::from([10.0f32, 20.0]));
    session.run(&assign, [(&x, [5.0f32, 6.0])]).unwrap();
    assert_eq!(session.run(&v, ()).unwrap(), Tensor::from([5.0f32, 6.0]));
}

/// A fetched, or fed and assigned, value does not change when the variable does.
pub fn fetched_values_do_not_change(engine: &dyn Engine) {
    let graph = Graph::new();
    let v = variable(&graph.named("v"), Tensor::full(1.0f32, [64]));
    let x = placeholder(&graph.named("x"), DType::Float32, [64]);
    let assign = v.assign(&x);
    let increment = v.assign_add(Tensor::full(1.0f32, [64]));
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    let before = session.run(&v, ()).unwrap();
    session.run(&increment, ()).unwrap();
    let after = session.run(&v, ()).unwrap();
    let fed = Tensor::full(7.0f32, [64]);
    session.run(&assign, [(&x, fed.clone())]).unwrap();
    session.run(&increment, ()).unwrap();
    assert_eq!(before, Tensor::full(1.0f32, [64]));
    assert_eq!(after, Tensor::full(2.0f32, [64]));
    assert_eq!(fed, Tensor::full(7.0f32, [64]));
    assert_eq!(session.run(&v, ()).unwrap(), Tensor::full(8.0f32, [64]));
    // The constant that it began with is as it was, too.
    session.run(&init, ()).unwrap();
    assert_eq!(session.run(&v, ()).unwrap(), before);
}

/// Feeding the initial value sets a variable to any value.
pub fn initial_values_can_be_fed(engine: &dyn Engine) {
    let graph = Graph::new();
    let v = get_variable(&graph, "v", [2], DType::Float32, &random_normal(0.0, 1.0));
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, [(v.initial_value(), [1.0f32, 2.0])]).unwrap();
    assert_eq!(session.run(&v, ()).unwrap(), Tensor::from([1.0f32, 2.0]));
}

/// Rows of a variable can be added to and replaced; an index that comes again counts again.
pub fn rows_can_be_changed(engine: &dyn Engine) {
    let graph = Graph::new();
    let v = variable(&graph.named("v"), [[1.0f32, 1.0], [2.0, 2.0], [3.0, 3.0]]);
    let rows = constant(&graph, [2i32, 0, 2]);
    let updates = constant(&graph, [[1.0f32, 2.0], [10.0, 20.0], [100.0, 200.0]]);
    let add = v.scatter_add(&rows, &updates);
    let replace = v.scatter_update(constant(&graph, [1i32]), constant(&graph, [[7.0f32, 8.0]]));
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    session.run(&add, ()).unwrap();
    session.run(&replace, ()).unwrap();
    assert_eq!(session.run(&v, ()).unwrap(), Tensor::from([[11.0f32, 21.0], [7.0, 8.0], [104.0, 205.0]]));
}

/// S-330, S-380: the read that hooks share returns the step before the run, whichever operation increments it.
pub fn s_330_s_380_the_step_is_read_before_it_is_incremented(engine: &dyn Engine) {
    let graph = Graph::new();
    let step = create_global_step(&graph);
    let w = variable(&graph.named("w"), [1.0f32, 2.0]);
    let loss = reduce_sum(square(&w), ..);
    let train_op = GradientDescentOptimizer::new(0.0).minimize(&loss, Some(&step));
    let increment = increment_global_step(&graph, 1);
    let read = global_step_read(&graph).unwrap().unwrap();
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    for expected in 0..200i64 {
        let operation = if expected % 2 == 0 { &train_op } else { &increment };
        let ((), before) = session.run((operation, &read), ()).unwrap();
        assert_eq!(before, Tensor::from(expected));
    }
    assert_eq!(session.run(&step, ()).unwrap(), Tensor::from(200i64));
}
