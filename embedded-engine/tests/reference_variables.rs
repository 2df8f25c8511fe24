//! Reference variables: `VariableV2`, and what reads and updates it.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::library;
use session_core::{
    AttrValue, Code, DType, Engine, Function, Graph, OpBuilder, OpLibrary, Operation, Output, OutputInfo,
    PartialShape, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn constant(graph: &Graph, value: impl Into<Tensor>) -> Output {
    ops::array::constant(graph, value)
}

fn variable(graph: &Graph, name: &str, shape: &[usize]) -> Output {
    let shape = PartialShape::from(shape);
    op(graph, "VariableV2").name(name).attr("shape", shape).attr("dtype", DType::Float32).finish_output()
}

fn assign(reference: &Output, value: &Output) -> Output {
    op(&reference.graph(), "Assign").input(reference).input(value).finish_output()
}

fn identity(graph: &Graph, input: &Output) -> Output {
    op(graph, "Identity").input(input).finish_output()
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn value(session: &Arc<dyn Session>, output: &Output) -> Result<Vec<f32>> {
    Ok(session.run(output, ())?.to_vec()?)
}

fn control(graph: &Graph, after: &Operation) -> Graph {
    graph.control_dependencies([after])
}

#[test]
fn s_28_reading_before_assigning_names_the_variable() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let known = op(&graph, "IsVariableInitialized").input(&v).finish_output();
    let session = session(&graph);
    assert!(!session.run(&known, ()).unwrap().value::<bool>().unwrap());
    let error = session.run(&v, ()).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("Attempting to use uninitialized value v"), "{error}");
    assert_eq!(value(&session, &init).unwrap(), [1.0, 2.0]);
    assert_eq!(value(&session, &v).unwrap(), [1.0, 2.0]);
    assert!(session.run(&known, ()).unwrap().value::<bool>().unwrap());
}

#[test]
fn reads_follow_the_edges_of_the_graph() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let before = identity(&graph, &v);
    let one = constant(&graph, [1f32, 1.0]);
    let added = op(&graph, "AssignAdd").input(&v).input(&one).finish_output();
    let through = &added * &constant(&graph, 10f32);
    let after = identity(&control(&graph, added.operation()), &v);
    let twice = op(&graph, "AssignAdd").input(&added).input(&one).finish_output();
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    let (before_value, through_value, after_value) = session.run((&before, &through, &after), ()).unwrap();
    // A fetch of a reference returns the variable's value at the end of the step.
    assert_eq!(before_value.to_vec::<f32>().unwrap(), [2.0, 3.0]);
    assert_eq!(through_value.to_vec::<f32>().unwrap(), [20.0, 30.0]);
    assert_eq!(after_value.to_vec::<f32>().unwrap(), [2.0, 3.0]);
    assert_eq!(value(&session, &twice).unwrap(), [4.0, 5.0]);
    assert_eq!(value(&session, &v).unwrap(), [4.0, 5.0]);
}

/// An operation that fuses with others reads both operands after two updates, for which one node stands.
#[test]
fn operations_that_fuse_wait_for_several_updates() {
    let one = |graph: &Graph, name: &str, shape: &[usize], value: Tensor| {
        let v = variable(graph, name, shape);
        let assigned = assign(&v, &constant(graph, value));
        (v, assigned.operation().clone())
    };
    let graph = Graph::new();
    let (a, first) = one(&graph, "a", &[1, 2], Tensor::from([[1f32, 2.0]]));
    let (b, second) = one(&graph, "b", &[2], Tensor::from([10f32, 20.0]));
    let after = graph.control_dependencies([&first, &second]);
    for (op_type, expected) in
        [("AddV2", [11.0, 22.0]), ("Add", [11.0, 22.0]), ("BiasAdd", [11.0, 22.0]), ("Mul", [10.0, 40.0])]
    {
        let sum = op(&after, op_type).input(&a).input(&b).finish_output();
        let relu = op(&graph, "Relu").input(&sum).finish_output();
        let session = session(&graph);
        assert_eq!(value(&session, &sum).unwrap(), expected, "{op_type}");
        assert_eq!(value(&session, &relu).unwrap(), expected, "{op_type}");
    }
    // The product reads its operands behind such a node, and is fused all the same.
    let (w, third) = one(&graph, "w", &[2, 2], Tensor::from([[1f32, -1.0], [0.0, 3.0]]));
    let after = graph.control_dependencies([&first, &second, &third]);
    let product = op(&after, "MatMul").input(&a).input(&w).finish_output();
    let sum = op(&after, "BiasAdd").input(&product).input(&b).finish_output();
    let relu = op(&after, "Relu").input(&sum).finish_output();
    assert_eq!(value(&session(&graph), &relu).unwrap(), [11.0, 25.0]);
}

#[test]
fn an_update_of_constants_is_not_done_while_compiling() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[]);
    let init = assign(&v, &constant(&graph, 0f32));
    let one = constant(&graph, 1f32);
    let add = op(&graph, "AssignAdd").input(&v).input(&one).finish();
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    for _ in 0..3 {
        session.run(&add, ()).unwrap();
    }
    assert_eq!(value(&session, &v).unwrap(), [3.0]);
}

#[test]
fn shapes_are_checked_unless_disabled() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let x = ops::array::placeholder(&graph, DType::Float32, PartialShape::unknown());
    let strict = assign(&v, &x);
    let free = op(&graph, "Assign").input(&v).input(&x).attr("validate_shape", false).finish_output();
    let session = session(&graph);
    let error = session.run(&strict, [(&x, Tensor::from([1f32, 2.0, 3.0]))]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let assigned = session.run(&free, [(&x, Tensor::from([1f32, 2.0, 3.0]))]).unwrap();
    assert_eq!(assigned.shape().to_vec(), [3]);
}

#[test]
fn a_fed_reference_is_a_value() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let double = &v + &v;
    let session = session(&graph);
    let fed = session.run(&double, [(&v, Tensor::from([1f32, 2.0]))]).unwrap();
    assert_eq!(fed.to_vec::<f32>().unwrap(), [2.0, 4.0]);
}

#[test]
fn scatter_updates_and_counting_are_supported() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[3]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0, 3.0]));
    let (indices, updates) = (constant(&graph, [0i32, 2]), constant(&graph, [10f32, 20.0]));
    let scatter = |op_type: &str, to: &Output| {
        op(&graph, op_type).input(to).input(&indices).input(&updates).finish_output()
    };
    let sub = scatter("ScatterSub", &scatter("ScatterAdd", &init));
    let update = scatter("ScatterUpdate", &v);
    let count = op(&graph, "VariableV2").name("n").attr("shape", PartialShape::scalar());
    let count = count.attr("dtype", DType::Int64).finish_output();
    let zero = assign(&count, &constant(&graph, 0i64));
    let counted = op(&graph, "CountUpTo").input(&count).attr("limit", 2i64).finish_output();
    let session = session(&graph);
    assert_eq!(value(&session, &sub).unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(value(&session, &update).unwrap(), [10.0, 2.0, 20.0]);
    session.run(&zero, ()).unwrap();
    for expected in 0..2 {
        assert_eq!(session.run(&counted, ()).unwrap().value::<i64>().unwrap(), expected);
    }
    assert_eq!(session.run(&counted, ()).unwrap_err().code(), Code::OutOfRange);
}

#[test]
fn extremes_keep_elements_whose_update_is_nan() {
    let graph = Graph::new();
    let indices = constant(&graph, [0i32, 1, 2, 3, 3]);
    let updates = constant(&graph, [f32::NAN, 0.0, f32::NAN, f32::NAN, 5.0]);
    for (op_type, last) in [("ScatterMin", 4.0), ("ScatterMax", 5.0)] {
        let v = variable(&graph, op_type, &[4]);
        let init = assign(&v, &constant(&graph, [1f32, f32::NAN, f32::INFINITY, 4.0]));
        let update = op(&graph, op_type).input(&init).input(&indices).input(&updates).finish_output();
        let found = value(&session(&graph), &update).unwrap();
        assert_eq!((found[0], found[2], found[3]), (1.0, f32::INFINITY, last), "{op_type}");
        assert!(found[1].is_nan(), "{op_type}");
    }
}

#[test]
fn training_updates_are_those_of_resource_variables() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let m = variable(&graph, "m", &[2]);
    let init = [assign(&v, &constant(&graph, [1f32, 2.0])), assign(&m, &constant(&graph, [0f32, 0.0]))];
    let [rate, momentum] = [0.5f32, 0.9].map(|x| constant(&graph, x));
    let gradient = constant(&graph, [1f32, -1.0]);
    let train =
        op(&graph, "ApplyMomentum").input(&v).input(&m).input(&rate).input(&gradient).input(&momentum);
    let train = train.finish_output();
    let session = session(&graph);
    session.run((init[0].operation(), init[1].operation()), ()).unwrap();
    assert_eq!(value(&session, &train).unwrap(), [0.5, 2.5]);
    let second = value(&session, &train).unwrap();
    assert_eq!(second, [0.5 - 0.5 * 1.9, 2.5 + 0.5 * 1.9]);
}

/// The number that is added to the variable of [`read_late`].
fn bump(v: &Output) -> Output {
    let ten = constant(&v.graph(), [10f32, 10.0]);
    op(&v.graph(), "AssignAdd").input(v).input(&ten).finish_output()
}

/// Returns the value of `x + 0` after an update of the variable `v`, where `x` is made of `v` before the update and is fetched
/// nowhere. All values are TensorFlow's.
fn read_late(path: impl FnOnce(&Graph, &Output) -> Output) -> Vec<f32> {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let x = path(&graph, &v);
    let updated = op(&control(&graph, x.operation()), "AssignAdd").input(&v);
    let updated = updated.input(constant(&graph, [10f32, 10.0])).finish_output();
    let late = control(&graph, updated.operation());
    let late = op(&late, "AddV2").input(&x).input(constant(&graph, 0f32)).finish_output();
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    value(&session, &late).unwrap()
}

fn pass(graph: &Graph, op_type: &str, input: &Output) -> Output {
    op(graph, op_type).input(input).finish_output()
}

/// A condition that is not known before the step runs.
fn truth(graph: &Graph, value: bool) -> Output {
    let shape = PartialShape::scalar();
    let builder = op(graph, "PlaceholderWithDefault").input(constant(graph, value)).attr("shape", shape);
    identity(graph, &builder.finish_output())
}

fn branch(graph: &Graph, op_type: &str, input: &Output, taken: bool) -> Output {
    let switch = op(graph, op_type).input(input).input(truth(graph, taken)).finish();
    switch.output(usize::from(taken))
}

#[test]
fn forwarding_a_reference_does_not_copy_its_value() {
    const NEW: [f32; 2] = [11.0, 12.0];
    for op_type in ["Identity", "StopGradient", "PreventGradient", "RefIdentity"] {
        assert_eq!(read_late(|graph, v| pass(graph, op_type, v)), NEW, "{op_type}");
        assert_eq!(read_late(|graph, v| identity(graph, &pass(graph, op_type, v))), NEW, "{op_type}");
    }
    let with_default = |graph: &Graph, v: &Output| {
        op(graph, "PlaceholderWithDefault")
            .input(v)
            .attr("shape", PartialShape::from(&[2usize][..]))
            .finish_output()
    };
    assert_eq!(read_late(with_default), NEW);
    let list = |graph: &Graph, v: &Output| op(graph, "IdentityN").input_list([v]).finish().output(0);
    assert_eq!(read_late(list), NEW);
    // These look at the value, and pass on what it is of.
    let check =
        |graph: &Graph, v: &Output| op(graph, "CheckNumerics").input(v).attr("message", "").finish_output();
    assert_eq!(read_late(check), NEW);
    let ensure = |graph: &Graph, v: &Output| {
        op(graph, "EnsureShape").input(v).attr("shape", PartialShape::from(&[2usize][..])).finish_output()
    };
    assert_eq!(read_late(ensure), NEW);
    // Another form of the same memory.
    let column = |graph: &Graph, v: &Output| {
        let shape = constant(graph, [2i32, 1]);
        let column = op(graph, "Reshape").input(v).input(&shape).finish_output();
        op(graph, "Squeeze").input(&column).finish_output()
    };
    assert_eq!(read_late(column), NEW);
}

#[test]
fn computing_from_a_reference_yields_a_value() {
    const OLD: [f32; 2] = [1.0, 2.0];
    assert_eq!(read_late(|graph, v| pass(graph, "Snapshot", v)), OLD);
    assert_eq!(read_late(|graph, v| v * &constant(graph, 1f32)), OLD);
    let select = |graph: &Graph, v: &Output| {
        let mask = constant(graph, [true, true]);
        op(graph, "Select").input(&mask).input(v).input(constant(graph, [0f32, 0.0])).finish_output()
    };
    assert_eq!(read_late(select), OLD);
}

#[test]
fn references_go_through_branches() {
    const NEW: [f32; 2] = [11.0, 12.0];
    for op_type in ["Switch", "RefSwitch"] {
        assert_eq!(read_late(|graph, v| branch(graph, op_type, v, true)), NEW, "{op_type}");
        let read = |graph: &Graph, v: &Output| identity(graph, &branch(graph, op_type, v, false));
        assert_eq!(read_late(read), NEW, "{op_type}");
    }
    let merge = |taken: bool| {
        move |graph: &Graph, v: &Output| {
            let switch = op(graph, "Switch").input(v).input(truth(graph, taken)).finish();
            let computed = &switch.output(0) * &constant(graph, 1f32);
            op(graph, "Merge").input_list([&switch.output(1), &computed]).finish().output(0)
        }
    };
    assert_eq!(read_late(merge(true)), NEW);
    assert_eq!(read_late(merge(false)), [1.0, 2.0], "a branch that computes returns a value");
    let ref_merge = |graph: &Graph, v: &Output| {
        let switch = op(graph, "RefSwitch").input(v).input(truth(graph, true)).finish();
        op(graph, "RefMerge").input_list([&switch.output(1), &switch.output(0)]).finish().output(0)
    };
    assert_eq!(read_late(ref_merge), NEW);
    let select = |graph: &Graph, v: &Output| {
        let other = variable(graph, "other", &[2]);
        op(graph, "RefSelect").input(constant(graph, 0i32)).input_list([v, &other]).finish_output()
    };
    assert_eq!(read_late(select), NEW);
    assert_eq!(read_late(|graph, v| identity(graph, &select(graph, v))), NEW);
}

#[test]
fn references_go_through_loops() {
    const NEW: [f32; 2] = [11.0, 12.0];
    for [enter, exit] in [["Enter", "Exit"], ["RefEnter", "RefExit"]] {
        let through = |graph: &Graph, v: &Output| {
            let inside = op(graph, enter).input(v).attr("frame_name", "f").finish_output();
            pass(graph, exit, &inside)
        };
        assert_eq!(read_late(through), NEW, "{enter}");
    }
}

/// A merge of a loop, whose second input is given later.
fn head(graph: &Graph, dtype: DType, shape: PartialShape) -> Operation {
    let value = OutputInfo { dtype, shape, is_ref: false };
    let index = OutputInfo { dtype: DType::Int32, shape: PartialShape::scalar(), is_ref: false };
    let builder = op(graph, "Merge").open_inputs().attr("N", 2i64).attr("T", dtype);
    builder.described_output(value).described_output(index).finish()
}

#[test]
fn each_iteration_reads_its_own_updates() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let enter = |op_type: &str, input: &Output, is_constant: bool| {
        let builder = op(&graph, op_type).input(input).attr("frame_name", "loop");
        builder.attr("is_constant", is_constant).finish_output()
    };
    let inside = |value: Tensor| enter("Enter", &constant(&graph, value), true);
    let read = enter("Enter", &identity(&graph, &v), true);
    let reference = enter("RefEnter", &v, true);
    let first = enter("Enter", &constant(&graph, 0i32), false);
    let nothing = enter("Enter", &constant(&graph, [0f32, 0.0]), false);
    let number = head(&graph, DType::Int32, PartialShape::scalar());
    let sum = head(&graph, DType::Float32, PartialShape::from(&[2usize][..]));
    let more = op(&graph, "Less").input(number.output(0)).input(inside(Tensor::from(3i32))).finish_output();
    let more = pass(&graph, "LoopCond", &more);
    let switch = |value: Output| op(&graph, "Switch").input(value).input(&more).finish();
    let (number_there, sum_there) = (switch(number.output(0)), switch(sum.output(0)));
    let round = identity(&graph, &number_there.output(1));
    let updated = op(&control(&graph, round.operation()), "AssignAdd").input(&reference);
    let updated = updated.input(inside(Tensor::from([10f32, 10.0]))).finish();
    let added =
        op(&control(&graph, &updated), "AddV2").input(sum_there.output(1)).input(&read).finish_output();
    let next = op(&graph, "AddV2").input(&round).input(inside(Tensor::from(1i32))).finish_output();
    number.set_inputs(&[first, pass(&graph, "NextIteration", &next)]).unwrap();
    sum.set_inputs(&[nothing, pass(&graph, "NextIteration", &added)]).unwrap();
    let result = pass(&graph, "Exit", &sum_there.output(0));
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    assert_eq!(value(&session, &result).unwrap(), [63.0, 66.0]);
}

#[test]
fn an_update_and_a_read_in_a_branch_see_one_variable() {
    let graph = Graph::new();
    let (v, w) = (variable(&graph, "v", &[2]), variable(&graph, "w", &[2]));
    let init = [assign(&v, &constant(&graph, [1f32, 2.0])), assign(&w, &constant(&graph, [5f32, 5.0]))];
    let read = identity(&graph, &v);
    let updated = bump(&branch(&graph, "RefSwitch", &v, true));
    let behind = control(&graph, updated.operation());
    let late = op(&behind, "AddV2").input(&read).input(constant(&graph, 0f32)).finish_output();
    let merged = {
        let (t, f) = (branch(&graph, "RefSwitch", &v, true), branch(&graph, "RefSwitch", &w, true));
        let f = op(&graph, "RefSwitch").input(&f).input(truth(&graph, true)).finish().output(0);
        op(&graph, "RefMerge").input_list([&t, &f]).finish().output(0)
    };
    let through = bump(&merged);
    let session = session(&graph);
    session.run((init[0].operation(), init[1].operation()), ()).unwrap();
    assert_eq!(value(&session, &late).unwrap(), [11.0, 12.0]);
    assert_eq!(value(&session, &through).unwrap(), [21.0, 22.0]);
    assert_eq!(value(&session, &w).unwrap(), [5.0, 5.0]);
}

#[test]
fn reads_see_the_updates_that_their_users_wait_for() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let read = identity(&graph, &identity(&graph, &v));
    let updated = bump(&v);
    // By the data of another input, near or far.
    let near = op(&graph, "AddV2").input(&read).input(&updated).finish_output();
    let far = &updated * &constant(&graph, 1f32);
    let far = op(&graph, "AddV2").input(&read).input(&far).finish_output();
    // By what another input waits for.
    let five = op(&control(&graph, updated.operation()), "Mul");
    let five = five.input(truth_number(&graph, 5.0)).input(constant(&graph, 1f32)).finish_output();
    let indirect = op(&graph, "AddV2").input(&read).input(&five).finish_output();
    // Between two updates.
    let between = op(&control(&graph, updated.operation()), "AddV2").input(&read);
    let between = between.input(constant(&graph, 0f32)).finish_output();
    let ten = constant(&graph, [10f32, 10.0]);
    let again = op(&control(&graph, between.operation()), "AssignAdd").input(&v).input(&ten).finish();
    let last =
        op(&control(&graph, &again), "AddV2").input(&read).input(constant(&graph, 0f32)).finish_output();
    let session = session(&graph);
    let run = |what: &Output| {
        session.run(init.operation(), ()).unwrap();
        value(&session, what).unwrap()
    };
    assert_eq!(run(&near), [22.0, 24.0]);
    assert_eq!(run(&far), [22.0, 24.0]);
    assert_eq!(run(&indirect), [16.0, 17.0]);
    session.run(init.operation(), ()).unwrap();
    let (between, last) = session.run((&between, &last), ()).unwrap();
    assert_eq!(between.to_vec::<f32>().unwrap(), [11.0, 12.0]);
    assert_eq!(last.to_vec::<f32>().unwrap(), [21.0, 22.0]);
}

fn truth_number(graph: &Graph, value: f32) -> Output {
    let builder = op(graph, "PlaceholderWithDefault").input(constant(graph, value));
    builder.attr("shape", PartialShape::scalar()).finish_output()
}

#[test]
fn functions_take_values_and_return_references_unchanged() {
    let function = |name: &str, computes: bool| {
        let body = Graph::new();
        let x = ops::array::placeholder(&body, DType::Float32, [2]);
        let y = if computes { &x + &constant(&body, 0f32) } else { identity(&body, &identity(&body, &x)) };
        Function::new(name, &body, [x], [("y".to_owned(), y)]).unwrap()
    };
    let call = |graph: &Graph, name: &str, computes: bool, v: &Output| {
        graph.add_function(function(name, computes)).unwrap();
        let types = AttrValue::List(vec![AttrValue::Type(DType::Float32)]);
        let builder = op(graph, "PartitionedCall").input_list([v]);
        let builder = builder.attr("Tin", types.clone()).attr("Tout", types);
        builder.attr("f", AttrValue::Func(name.to_owned(), Default::default())).finish().output(0)
    };
    assert_eq!(read_late(|graph, v| call(graph, "same", false, v)), [11.0, 12.0]);
    assert_eq!(read_late(|graph, v| call(graph, "sum", true, v)), [1.0, 2.0]);
    // Called after the update.
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let read = identity(&graph, &v);
    let updated = bump(&v);
    let called = call(&control(&graph, updated.operation()), "sum", true, &read);
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    assert_eq!(value(&session, &called).unwrap(), [11.0, 12.0]);
}

/// The function that returns its one argument, or computes from it.
fn given_or_computed(graph: &Graph, name: &str, computes: bool) -> AttrValue {
    let body = Graph::new();
    let x = ops::array::placeholder(&body, DType::Float32, [2]);
    let y = if computes { &x * &constant(&body, 1f32) } else { identity(&body, &x) };
    graph.add_function(Function::new(name, &body, [x], [("y".to_owned(), y)]).unwrap()).unwrap();
    AttrValue::Func(name.to_owned(), Default::default())
}

/// A call of one of several functions of a tensor, of which this one only returns it.
fn choice(graph: &Graph, op_type: &str, chosen: usize, given: &[usize], v: &Output) -> Output {
    let functions: Vec<AttrValue> = (0..if op_type == "Case" { 3 } else { 2 })
        .map(|branch| given_or_computed(graph, &format!("f{branch}"), !given.contains(&branch)))
        .collect();
    let types = AttrValue::List(vec![AttrValue::Type(DType::Float32)]);
    let builder = match op_type {
        "Case" => {
            let number = op(graph, "PlaceholderWithDefault").input(constant(graph, chosen as i32));
            let number = number.attr("shape", PartialShape::scalar()).finish_output();
            op(graph, "Case").input(&number).attr("branches", AttrValue::List(functions))
        }
        _ => {
            let [then, otherwise] = functions.try_into().unwrap();
            let builder = op(graph, op_type).input(truth(graph, chosen == 0));
            builder.attr("then_branch", then).attr("else_branch", otherwise)
        }
    };
    builder.input_list([v]).attr("Tin", types.clone()).attr("Tout", types).finish().output(0)
}

#[test]
fn branches_return_references_unchanged() {
    const OLD: [f32; 2] = [1.0, 2.0];
    const NEW: [f32; 2] = [11.0, 12.0];
    for op_type in ["If", "StatelessIf", "Case"] {
        for (given, chosen, expected) in [
            (&[0][..], 0, NEW),
            (&[0], 1, OLD),
            (&[1], 0, OLD),
            (&[1], 1, NEW),
            (&[0, 1, 2], 1, NEW),
            (&[], 0, OLD),
        ] {
            let late = read_late(|graph, v| choice(graph, op_type, chosen, given, v));
            assert_eq!(late, expected, "{op_type} {chosen} of {given:?}");
        }
    }
}

#[test]
fn a_functional_loop_returns_loop_carried_references() {
    for (op_type, computes, expected) in [
        ("While", false, [11f32, 12.0]),
        ("StatelessWhile", false, [11.0, 12.0]),
        ("While", true, [1.0, 2.0]),
    ] {
        let turn = |graph: &Graph, v: &Output| {
            let condition = Graph::new();
            let [i, _] = arguments(&condition);
            let less = op(&condition, "Less").input(&i).input(constant(&condition, 3i32)).finish_output();
            let inputs = arguments_of(&condition);
            graph
                .add_function(Function::new("c", &condition, inputs, [("y".to_owned(), less)]).unwrap())
                .unwrap();
            let body = Graph::new();
            let [i, x] = arguments(&body);
            let next = &i + &constant(&body, 1i32);
            let y = if computes { &x * &constant(&body, 1f32) } else { identity(&body, &x) };
            let results = [("i".to_owned(), next), ("x".to_owned(), y)];
            graph.add_function(Function::new("b", &body, arguments_of(&body), results).unwrap()).unwrap();
            let types = AttrValue::List([DType::Int32, DType::Float32].map(AttrValue::Type).to_vec());
            let func = |name: &str| AttrValue::Func(name.to_owned(), Default::default());
            let builder = op(graph, op_type).input_list([&constant(graph, 0i32), v]).attr("T", types);
            builder.attr("cond", func("c")).attr("body", func("b")).finish().output(1)
        };
        assert_eq!(read_late(turn), expected, "{op_type} {computes}");
    }
}

/// The arguments of a loop's functions: a number and the tensor.
fn arguments(body: &Graph) -> [Output; 2] {
    let i = ops::array::placeholder(&body.named("i"), DType::Int32, PartialShape::scalar());
    [i, ops::array::placeholder(&body.named("x"), DType::Float32, [2])]
}

fn arguments_of(body: &Graph) -> [Output; 2] {
    ["i", "x"].map(|name| body.operation(name).unwrap().output(0))
}

/// The results of TensorFlow, whose fetches of references share the memory of their variables.
#[test]
fn a_fetched_reference_is_the_variable_when_the_step_is_over() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let read = identity(&graph, &v);
    let product = &v * &constant(&graph, 1f32);
    let late = control(&graph, read.operation()).control_dependencies([product.operation()]);
    let added = op(&late, "AssignAdd").input(&v).input(constant(&graph, [10f32, 10.0])).finish_output();
    let twice = bump(&added);
    let checked = identity(&control(&graph, twice.operation()), &read);
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    let all = session.run((&v, &read, &product, &added, &twice), ()).unwrap();
    assert_eq!(all.2.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    for fetched in [all.0, all.1, all.3, all.4] {
        assert_eq!(fetched.to_vec::<f32>().unwrap(), [21.0, 22.0]);
    }
    // The operations that a fetch waits for have run, although the reference is known before.
    assert_eq!(value(&session, &checked).unwrap(), [41.0, 42.0]);
    assert_eq!(value(&session, &read).unwrap(), [41.0, 42.0]);
    // A fetched tensor keeps its value.
    let kept = session.run(&v, ()).unwrap();
    session.run(twice.operation(), ()).unwrap();
    assert_eq!(kept.to_vec::<f32>().unwrap(), [41.0, 42.0]);
    let missing = variable(&graph, "missing", &[2]);
    let error = session.run(&missing, ()).unwrap_err();
    assert!(error.message().contains("uninitialized value missing"), "{error}");
}
