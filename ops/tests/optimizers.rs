//! Optimizers: order, slots, and errors. That names are TensorFlow's is checked in `oracle.rs`.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::array::{constant, placeholder};
use ops::control_flow::no_op;
use ops::global_step::{create_global_step, global_step_read};
use ops::initializers::zeros;
use ops::learning_rate::{Decay, exponential_decay};
use ops::math::{reduce_sum, square};
use ops::optimizers::*;
use ops::variables::{VariableBuilder, get_variable, global_variables, variable};
use session_core::{DType, Graph, Operation, Output, PartialShape, Variable, keys};

fn names(operations: &[Operation]) -> Vec<&str> {
    operations.iter().map(Operation::name).collect()
}

/// Two variables and a loss of both.
fn model(graph: &Graph) -> (Vec<Variable>, Output) {
    let make = |name: &str| get_variable(graph, name, [2], DType::Float32, &zeros());
    let variables = vec![make("a"), make("b")];
    let loss = reduce_sum(square(&variables[0]), ..) + reduce_sum(square(&variables[1]), ..);
    (variables, loss)
}

#[test]
fn updates_come_first_then_the_powers_then_the_global_step() {
    let graph = Graph::new();
    let step = create_global_step(&graph);
    let (_, loss) = model(&graph);
    let train_op = AdamOptimizer::new(0.1).minimize(&loss, Some(&step));
    graph.check().unwrap();

    assert_eq!((train_op.name(), train_op.op_type()), ("Adam", "AssignAddVariableOp"));
    assert_eq!(train_op.input(0), *step.handle());
    let read = global_step_read(&graph).unwrap().unwrap();
    assert_eq!(names(&train_op.control_inputs()), ["Adam/update", read.operation().name()]);
    let updates = ["Adam/update_a/ResourceApplyAdam", "Adam/update_b/ResourceApplyAdam"];
    let all = graph.operation("Adam/update").unwrap().control_inputs();
    assert_eq!(names(&all)[..2], updates);
    for assign in &all[2..] {
        assert_eq!(assign.op_type(), "AssignVariableOp");
        assert_eq!(names(&assign.control_inputs()), updates);
    }
    assert_eq!(graph.collection(&keys::TRAIN_OP), [train_op]);
}

#[test]
fn without_a_global_step_the_updates_are_grouped() {
    let graph = Graph::new();
    let (_, loss) = model(&graph);
    let train_op = GradientDescentOptimizer::new(0.1).minimize(&loss, None);
    graph.check().unwrap();
    assert_eq!((train_op.name(), train_op.op_type()), ("GradientDescent", "NoOp"));
    let updates =
        ["a", "b"].map(|name| format!("GradientDescent/update_{name}/ResourceApplyGradientDescent"));
    assert_eq!(names(&train_op.control_inputs()), updates);
}

#[test]
fn variables_without_gradient_are_left_alone() {
    let graph = Graph::new();
    let (variables, _) = model(&graph);
    let loss = reduce_sum(square(&variables[0]), ..);
    let optimizer = MomentumOptimizer::new(0.1, 0.9);
    let gradients = optimizer.compute_gradients(&loss, &variables);
    assert!(gradients[0].0.is_some() && gradients[1].0.is_none());
    let train_op = optimizer.apply_gradients(&gradients, None);
    graph.check().unwrap();
    assert_eq!(train_op.control_inputs().len(), 1);
    assert_eq!(optimizer.slot(&variables[0], "momentum").unwrap().name(), "a/Momentum");
    assert_eq!(optimizer.slot(&variables[1], "momentum"), None);
}

#[test]
fn no_gradient_at_all_is_an_error_that_names_the_variables() {
    let graph = Graph::new();
    let (_, _) = model(&graph);
    let loss = placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
    GradientDescentOptimizer::new(0.1).minimize(&loss, None);
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("no gradients provided for any variable: a, b"), "{error}");
    assert!(error.location().unwrap().file().ends_with("optimizers.rs"), "{error}");
}

#[test]
fn errors_are_recorded() {
    let check = |make: fn(&Graph) -> Output, expected: &str| {
        let graph = Graph::new();
        let loss = make(&graph);
        AdamOptimizer::new(0.1).minimize(&loss, None);
        let error = graph.check().unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    };
    check(|graph| constant(graph, 1.0f32), "no variables to optimize");
    check(
        |graph| {
            let _ = variable(graph, 1.0f32);
            constant(graph, 1i32)
        },
        "no floating type",
    );
}

#[test]
fn one_optimizer_has_one_set_of_slots() {
    let graph = Graph::new();
    let (variables, loss) = model(&graph);
    let optimizer = AdamOptimizer::new(0.1);
    optimizer.minimize(&loss, None);
    let made = global_variables(&graph).len();
    optimizer.minimize(&loss, None);
    assert_eq!(global_variables(&graph).len(), made);
    AdamOptimizer::new(0.1).minimize(&loss, None);
    graph.check().unwrap();
    let added: Vec<String> =
        global_variables(&graph)[made..].iter().map(|variable| variable.name().to_owned()).collect();
    assert_eq!(added, ["beta1_power_1", "beta2_power_1", "a/Adam_2", "a/Adam_3", "b/Adam_2", "b/Adam_3"]);
    assert_eq!(optimizer.variables().len(), 6);
    assert_eq!(optimizer.slot(&variables[1], "v").unwrap().name(), "b/Adam_1");
}

#[test]
fn a_place_gives_scope_and_control_inputs_but_slots_stay_with_their_variables() {
    let graph = Graph::new();
    let (_, loss) = model(&graph);
    let before = no_op(&graph.named("before"));
    let place = graph.scope("train").control_dependencies([&before]);
    let train_op = AdamOptimizer::new(0.1).named("Foo").within(&place).minimize(&loss, None);
    graph.check().unwrap();
    assert_eq!(train_op.name(), "train/Foo");
    let update = graph.operation("train/Foo/update_a/ResourceApplyAdam").unwrap();
    assert_eq!(names(&update.control_inputs()), ["before"]);
    let slots: Vec<String> =
        global_variables(&graph)[2..].iter().map(|variable| variable.name().to_owned()).collect();
    let expected = ["train/beta1_power", "train/beta2_power", "a/Foo", "a/Foo_1", "b/Foo", "b/Foo_1"];
    assert_eq!(slots, expected);
    let initializers = global_variables(&graph).into_iter().map(|variable| variable.initializer().clone());
    assert!(initializers.into_iter().all(|operation| operation.control_inputs().is_empty()));
}

#[test]
fn learning_rates_can_follow_the_global_step() {
    let graph = Graph::new();
    let step = create_global_step(&graph);
    let (_, loss) = model(&graph);
    let rate = exponential_decay(0.1, &step, 10, 0.5, Decay::Smooth);
    GradientDescentOptimizer::new(&rate).minimize(&loss, Some(&step));
    graph.check().unwrap();
    let update = graph.operation("GradientDescent/update_a/ResourceApplyGradientDescent").unwrap();
    assert_eq!(update.input(1), rate);
    assert_eq!(rate.name(), "ExponentialDecay:0");
}

#[test]
fn slots_and_updates_are_on_the_device_of_the_variable() {
    let graph = Graph::new();
    let v = get_variable(&graph.device("/job:ps/task:1"), "v", [2], DType::Float32, &zeros());
    let loss = reduce_sum(square(v.snapshot().within(&graph)), ..);
    AdagradOptimizer::new(0.1).minimize(&loss, None);
    graph.check().unwrap();
    for name in ["v/Adagrad", "v/Adagrad/Assign", "Adagrad/update_v/ResourceApplyAdagrad"] {
        assert_eq!(graph.operation(name).unwrap().device(), "/job:ps/task:1", "{name}");
    }
}

#[test]
fn doubles_are_trained_with_doubles() {
    let graph = Graph::new();
    let v = variable(&graph.named("v"), [1.0f64, 2.0]);
    let optimizer = AdamOptimizer::new(0.1);
    optimizer.minimize(&reduce_sum(square(&v), ..), None);
    graph.check().unwrap();
    assert_eq!(optimizer.slot(&v, "m").unwrap().dtype(), DType::Float64);
    let update = graph.operation("Adam/update_v/ResourceApplyAdam").unwrap();
    assert_eq!(update.input(5).constant_value().unwrap().value::<f64>().unwrap(), 0.1);
    assert_eq!(
        update.input(3).operation().op_type(),
        "Cast",
        "the powers are 32-bit floats, as in TensorFlow"
    );
}

#[test]
fn reference_variables_have_updates_of_their_own() {
    let graph = Graph::new();
    let builder = VariableBuilder::new(&graph.named("r")).initial_value([1.0f32, 2.0]).use_resource(false);
    let reference = builder.build();
    let optimizer = AdamOptimizer::new(0.1);
    optimizer.minimize(&reduce_sum(square(&reference), ..), None);
    graph.check().unwrap();
    let update = graph.operation("Adam/update_r/ApplyAdam").unwrap();
    assert_eq!(update.input(0), *reference.handle());
    let types = optimizer.variables().into_iter().map(|slot| slot.handle().operation().op_type().to_owned());
    assert_eq!(types.collect::<Vec<_>>(), ["VariableV2"; 4]);
    let parts = ["r", "r/Assign", "r/read"].map(|name| graph.operation(name).unwrap().op_type().to_owned());
    assert_eq!(parts, ["VariableV2", "Assign", "Identity"]);
}

#[test]
fn gradients_can_be_clipped_together() {
    let graph = Graph::new();
    let (variables, loss) = model(&graph);
    let optimizer = GradientDescentOptimizer::new(0.1);
    let (gradients, variables): (Vec<_>, Vec<_>) =
        optimizer.compute_gradients(&loss, &variables).into_iter().unzip();
    let (clipped, norm) = clip_by_global_norm(&gradients, 5.0).unwrap();
    let pairs: Vec<GradientAndVariable> = clipped.into_iter().zip(variables).collect();
    optimizer.apply_gradients(&pairs, None);
    graph.check().unwrap();
    assert_eq!(norm.operation().name(), "global_norm/global_norm");
    assert!(clip_by_global_norm(&[None], 5.0).is_none());
    assert!(global_norm(&[]).is_none());
}

#[test]
fn a_moving_average_begins_with_the_initial_value() {
    let graph = Graph::new();
    let (variables, _) = model(&graph);
    let average = ExponentialMovingAverage::new(0.99);
    let update = average.apply(&graph, &variables);
    graph.check().unwrap();
    assert_eq!(update.control_inputs().len(), 2);
    let shadow = average.average(&variables[0]).unwrap();
    assert_eq!(shadow.name(), "a/ExponentialMovingAverage");
    assert_eq!(shadow.initial_value(), variables[0].initial_value());
    assert_eq!(average.average_name(&variables[1]), "b/ExponentialMovingAverage");
    let restored = average.variables_to_restore(&variables[..1], &variables);
    let pairs: Vec<(&str, &str)> = restored.iter().map(|(name, v)| (name.as_str(), v.name())).collect();
    assert_eq!(pairs, [("a/ExponentialMovingAverage", "a"), ("b", "b")]);
}
