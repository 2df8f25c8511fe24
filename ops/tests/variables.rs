//! Variables: names, collections, initial values, assignments.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::array::{constant, identity, placeholder};
use ops::control_flow::no_op;
use ops::initializers::{glorot_uniform, zeros};
use ops::math::add_n;
use ops::variables::*;
use session_core::{DType, Error, Graph, Operation, Output, PartialShape, Shape, Tensor, Variable, keys};

fn names(variables: &[Variable]) -> Vec<&str> {
    variables.iter().map(Variable::name).collect()
}

fn control_names(operation: &Operation) -> Vec<String> {
    operation.control_inputs().iter().map(|op| op.name().to_owned()).collect()
}

/// The operations an output depends on through data, by name.
fn ancestors(output: &Output) -> Vec<String> {
    let (mut names, mut waiting) = (Vec::new(), vec![output.operation().clone()]);
    while let Some(operation) = waiting.pop() {
        names.push(operation.name().to_owned());
        waiting.extend(operation.inputs().iter().map(|input| input.operation().clone()));
    }
    names
}

#[test]
fn s_24_new_variables_join_their_collections() {
    let graph = Graph::new();
    let _ = variable(&graph.named("trained"), [1.0f32, 2.0]);
    let _ = VariableBuilder::new(&graph.named("fixed")).initial_value(1i64).trainable(false).build();
    let _ = local_variable(&graph.named("local"), 0.0f32);
    assert_eq!(names(&global_variables(&graph)), ["trained", "fixed"]);
    assert_eq!(names(&trainable_variables(&graph)), ["trained"]);
    assert_eq!(names(&local_variables(&graph)), ["local"]);
    assert!(!local_variables(&graph)[0].is_trainable());
    graph.check().unwrap();
}

#[test]
fn s_25_initializing_nothing_is_not_an_error() {
    let graph = Graph::new();
    for operation in [
        global_variables_initializer(&graph),
        local_variables_initializer(&graph),
        tables_initializer(&graph),
    ] {
        assert_eq!((operation.op_type(), operation.control_inputs().len()), ("NoOp", 0));
    }
    let made = ["init", "init_1", "init_all_tables"];
    assert_eq!(graph.operations().iter().map(|op| op.name().to_owned()).collect::<Vec<_>>(), made);
    graph.check().unwrap();
}

#[test]
fn initializers_are_grouped() {
    let graph = Graph::new();
    let _ = variable(&graph.named("a"), 1.0f32);
    let _ = variable(&graph.named("b"), 1.0f32);
    let _ = local_variable(&graph.named("c"), 1.0f32);
    assert_eq!(control_names(&global_variables_initializer(&graph)), ["a/Assign", "b/Assign"]);
    assert_eq!(control_names(&local_variables_initializer(&graph)), ["c/Assign"]);
}

#[test]
fn s_26_an_initial_value_takes_the_initial_value_of_another_variable() {
    let graph = Graph::new();
    let a = variable(&graph.named("a"), 3.0f32);
    let b = variable(&graph.named("b"), 2.0 * &a + 1.0);
    let c = variable(&graph.named("c"), &b);
    graph.check().unwrap();
    assert!(ancestors(b.initial_value()).contains(&"a/Initializer/initial_value".to_owned()));
    assert_eq!(c.initial_value(), b.initial_value());
    for value in [b.initial_value(), c.initial_value()] {
        assert!(
            !ancestors(value).iter().any(|name| name.contains("ReadVariableOp")),
            "{:?}",
            ancestors(value)
        );
        assert!(value.operation().name().starts_with("b/Initializer/"));
    }
    // The value itself still reads the variable.
    assert!(ancestors(&(2.0 * &a)).contains(&"a/Read/ReadVariableOp".to_owned()));
}

#[test]
fn s_26_lists_of_inputs_and_shared_parts_are_copied_once() {
    let graph = Graph::new();
    let a = variable(&graph.named("a"), 3.0f32);
    let shared = identity(&a);
    let free = constant(&graph.named("free"), 1.0f32);
    let b = variable(&graph.named("b"), add_n(&[&shared, &free, &shared]));
    graph.check().unwrap();
    let sum = b.initial_value().operation();
    assert_eq!(sum.op_type(), "AddN");
    assert_eq!(sum.input(0), sum.input(2));
    assert_eq!(sum.input(1), free);
    assert_eq!(sum.input(0).operation().input(0), *a.initial_value());
}

#[test]
fn s_26_local_variables_read_global_ones_which_have_a_value_by_then() {
    let graph = Graph::new();
    let a = variable(&graph.named("a"), 3.0f32);
    let value = 2.0 * &a;
    let b = local_variable(&graph.named("b"), &value);
    let c = local_variable(&graph.named("c"), &b);
    assert_eq!(*b.initial_value(), value);
    assert_eq!(*c.initial_value(), value);
}

#[test]
fn s_27_uninitialized_variables_are_named_globals_first() {
    let graph = Graph::new();
    let empty = report_uninitialized_variables(&graph);
    assert_eq!(empty.constant_value().unwrap().shape().dims(), [0]);
    assert_eq!(empty.dtype(), DType::String);

    let _ = local_variable(&graph.named("l"), 0.0f32);
    let _ = variable(&graph.named("g"), 0.0f32);
    let _ = variable(&graph.named("h"), 0.0f32);
    let report = report_uninitialized_variables(&graph);
    graph.check().unwrap();
    assert_eq!((report.dtype(), report.shape().rank()), (DType::String, Some(1)));
    let constants: Vec<Tensor> = ancestors(&report)
        .iter()
        .filter_map(|name| graph.operation(name).unwrap().output(0).constant_value().cloned())
        .filter(|value| value.dtype() == DType::String)
        .collect();
    assert_eq!(constants, [Tensor::from(["g", "h", "l"])]);
}

#[test]
fn parts_of_a_variable_have_tensorflows_names() {
    let graph = Graph::new();
    let layer = graph.scope("layer");
    let w = get_variable(&layer, "w", [2, 3], DType::Float32, &glorot_uniform());
    graph.check().unwrap();
    assert_eq!(w.handle().name(), "layer/w:0");
    assert_eq!(w.initializer().name(), "layer/w/Assign");
    assert_eq!(w.snapshot().name(), "layer/w/Read/ReadVariableOp:0");
    assert_eq!(w.initial_value().name(), "layer/w/Initializer/random_uniform:0");
    assert_eq!((w.dtype(), w.shape()), (DType::Float32, &PartialShape::from([2, 3])));
    assert!(graph.operation("layer/w/IsInitialized/VarIsInitializedOp").is_ok());
    // Operations built on a variable go next to it, not into its scope.
    assert_eq!((&w * 2.0).name(), "layer/Mul:0");
}

#[test]
fn names_are_made_unique_but_for_exact_ones() {
    let graph = Graph::new();
    assert_eq!(variable(&graph, 0.0f32).name(), "Variable");
    assert_eq!(variable(&graph, 0.0f32).name(), "Variable_1");
    assert_eq!(get_variable(&graph, "w", [1], DType::Float32, &zeros()).name(), "w");
    graph.check().unwrap();

    let again = get_variable(&graph, "w", [1], DType::Float32, &zeros());
    assert_eq!(again.name(), "w_1");
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("'w' cannot be created: the name is taken"), "{error}");
    assert!(error.location().unwrap().file().ends_with("variables.rs"), "{error}");
}

#[test]
fn variables_have_no_control_inputs() {
    let graph = Graph::new();
    let before = no_op(&graph.named("before"));
    let later = graph.control_dependencies([&before]);
    let v = variable(&later.named("v"), 1.0f32);
    let own = graph.operations().into_iter().filter(|op| op.name().starts_with('v'));
    assert!(own.into_iter().all(|op| op.control_inputs().is_empty()));
    assert_eq!(control_names(v.read(&later).operation()), ["before"]);
}

#[test]
fn variables_are_on_the_device_of_the_handle() {
    let graph = Graph::new();
    let v = variable(&graph.device("/job:ps/task:0").named("v"), 1.0f32);
    for operation in graph.operations() {
        assert_eq!(operation.device(), "/job:ps/task:0", "{}", operation.name());
    }
    let elsewhere = constant(&graph.device("/job:worker"), 1.0f32);
    assert_eq!(v.assign_add(&elsewhere).device(), "/job:ps/task:0");
}

#[test]
fn numbers_are_assigned_in_the_variables_dtype() {
    let graph = Graph::new();
    let single = variable(&graph.named("single"), 1.0f32);
    let counted = variable(&graph.named("counted"), 1i64);
    let one = |assigned: Operation| assigned.input(1).constant_value().cloned();
    assert_eq!(one(single.assign_add(1.0)), Some(Tensor::from(1.0f32)));
    assert_eq!(one(single.assign_sub(1)), Some(Tensor::from(1.0f32)));
    assert_eq!(one(counted.assign(i32::MIN)), Some(Tensor::from(i64::from(i32::MIN))));
    assert_eq!(single.assign_add(1.0).op_type(), "AssignAddVariableOp");

    let v = variable(&graph.named("v"), [1.0f32, 2.0]);
    assert_eq!(v.assign([3.0f32, 4.0]).op_type(), "AssignVariableOp");
    assert_eq!(v.assign_sub(&v).op_type(), "AssignSubVariableOp");
    assert_eq!(
        v.scatter_add(constant(&graph, [0i32]), constant(&graph, [1.0f32])).op_type(),
        "ResourceScatterAdd"
    );
    graph.check().unwrap();
}

#[test]
fn incompatible_values_are_errors() {
    let check = |assign: fn(&Variable) -> Operation, expected: &str| {
        let graph = Graph::new();
        let v = variable(&graph.named("v"), [1.0f32, 2.0]);
        assign(&v);
        let error = graph.check().unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        assert!(error.location().is_some_and(|place| place.file().ends_with("variables.rs")), "{error}");
    };
    check(|v| v.assign([1.0f32, 2.0, 3.0]), "a value of shape [3] does not fit a variable of shape [2]");
    check(|v| v.assign_add([1i32, 2]), "float32");
}

#[test]
fn initial_values_need_a_known_shape() {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(2)]);
    let any = VariableBuilder::new(&graph.named("any")).initial_value(&x).validate_shape(false).build();
    assert_eq!(*any.shape(), PartialShape::unknown());
    graph.check().unwrap();
    let _ = variable(&graph.named("v"), &x);
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("[?,2] of the initial value is not fully known"), "{error}");
}

#[test]
fn initializers_must_return_the_declared_dtype_and_shape() {
    let graph = Graph::new();
    let wrong = |graph: &Graph, _: &Shape, _: DType| constant(graph, [1.0f32]);
    let _ = get_variable(&graph, "w", [2], DType::Float32, &wrong);
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("the initializer gave float32 of shape [1]"), "{error}");
}

#[test]
fn default_initializers_follow_the_dtype() {
    let graph = Graph::new();
    let of = |name: &str, dtype: DType| {
        let variable = VariableBuilder::new(&graph.named(name)).shape([2, 2], dtype).build();
        variable.initial_value().operation().name().to_owned()
    };
    assert_eq!(of("a", DType::Float32), "a/Initializer/random_uniform");
    assert_eq!(of("b", DType::Int32), "b/Initializer/zeros");
    assert_eq!(of("c", DType::Bool), "c/Initializer/zeros");
    graph.check().unwrap();
    of("d", DType::String);
    assert!(graph.check().unwrap_err().message().contains("no default initializer for string"));
}

#[test]
fn a_frozen_graph_accepts_no_variables() {
    let graph = Graph::new();
    let _ = variable(&graph.named("v"), 1.0f32);
    graph.finalize().unwrap();
    let late = variable(&graph.named("late"), 1.0f32);
    let error: &Error = late.initializer().error().unwrap();
    assert!(error.message().contains("Graph is finalized"), "{error}");
    assert_eq!(names(&graph.collection(&keys::VARIABLES)), ["v"]);
    graph.check().unwrap();
}

#[test]
fn a_variable_of_another_graph_is_not_a_device() {
    let (graph, other) = (Graph::new(), Graph::new());
    let primary = variable(&other.named("w"), 1.0f32);
    let named = graph.named("v");
    let _ = VariableBuilder::new(&named).initial_value(1.0f32).colocate_with(&primary).build();
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("variable 'w' belongs to another graph"), "{error}");
    assert!(error.location().is_some_and(|place| place.file() == file!()), "{error}");
}
