//! Variables that several handles name, and values of parts of them. The expected outcomes are TensorFlow's.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use crate::support::{constant, op, session};
use ops::{array, gradients, math};
use session_core::{Code, DType, Graph, OpBuilder, Output, PartialShape, SessionExt, Tensor};

fn handle(graph: &Graph, dtype: DType, shared_name: &str) -> Output {
    let builder = op(graph, "VarHandleOp").attr("dtype", dtype).attr("shape", PartialShape::unknown());
    builder.attr("shared_name", shared_name).finish_output()
}

#[test]
fn a_variable_has_the_dtype_of_its_value_for_every_handle() {
    let graph = Graph::new();
    let (floats, ints) = (handle(&graph, DType::Float32, "v"), handle(&graph, DType::Int32, "v"));
    let set = op(&graph, "AssignVariableOp").input(&floats).input(constant(&graph, [1.5f32])).finish();
    let other = op(&graph, "AssignVariableOp").input(&ints).input(constant(&graph, [7i32])).finish();
    let read = op(&graph, "ReadVariableOp").input(&ints).attr("dtype", DType::Int32).finish_output();
    let right = op(&graph, "ReadVariableOp").input(&floats).attr("dtype", DType::Float32).finish_output();
    let session = session(&graph);
    session.run(&set, ()).unwrap();
    for result in [session.run(&read, ()).map(drop), session.run(&other, ())] {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains("variable 'v' of float32 as int32"), "{error}");
    }
    let value: Tensor = session.run(&right, ()).unwrap();
    assert_eq!(value.to_vec::<f32>().unwrap(), [1.5]);
}

#[test]
fn an_assignment_that_validates_the_shape_keeps_it() {
    let graph = Graph::new();
    let v = handle(&graph, DType::Float32, "v");
    let assign = |value: Tensor, validates: bool| {
        let builder = op(&graph, "AssignVariableOp").input(&v).input(constant(&graph, value));
        builder.attr("validate_shape", validates).finish()
    };
    let first = assign([1.0f32, 2.0].into(), true);
    let shorter = assign([3.0f32].into(), true);
    let unchecked = assign([3.0f32].into(), false);
    let session = session(&graph);
    session.run(&first, ()).unwrap();
    let error = session.run(&shorter, ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.to_string().contains("shape [1] to variable 'v', which has shape [2]"), "{error}");
    session.run(&unchecked, ()).unwrap();
}

#[test]
fn anonymous_handles_are_variables_of_their_own() {
    let graph = Graph::new();
    let anonymous = "cd2c89b7-88b7-44c8-ad83-06c2a9158347";
    let [a, b] = [(); 2].map(|()| handle(&graph, DType::Float32, anonymous));
    let set = op(&graph, "AssignVariableOp").input(&a).input(constant(&graph, 1.0f32)).finish();
    let [has_a, has_b] =
        [&a, &b].map(|handle| op(&graph, "VarIsInitializedOp").input(handle).finish_output());
    let session = session(&graph);
    session.run(&set, ()).unwrap();
    let (a, b): (Tensor, Tensor) = session.run((&has_a, &has_b), ()).unwrap();
    assert_eq!((a.value::<bool>().unwrap(), b.value::<bool>().unwrap()), (true, false));
}

#[test]
fn a_variable_is_destroyed_once() {
    let graph = Graph::new();
    let v = handle(&graph, DType::Float32, "v");
    let set = op(&graph, "AssignVariableOp").input(&v).input(constant(&graph, 1.0f32)).finish();
    let destroy = |ignores: bool| {
        op(&graph, "DestroyResourceOp").input(&v).attr("ignore_lookup_error", ignores).finish()
    };
    let (lenient, strict) = (destroy(true), destroy(false));
    let session = session(&graph);
    session.run(&set, ()).unwrap();
    session.run(&strict, ()).unwrap();
    assert_eq!(session.run(&strict, ()).unwrap_err().code(), Code::NotFound);
    session.run(&lenient, ()).unwrap();
}

/// Inputs 1 to 3 of an operation on a part: these bounds with strides of 1.
fn part(builder: OpBuilder, graph: &Graph, begin: &[i32], end: &[i32]) -> OpBuilder {
    let [begin, end] = [begin, end].map(|bounds| constant(graph, bounds.to_vec()));
    let strides = vec![1i32; begin.shape().dim(0).unwrap()];
    builder.input(begin).input(end).input(constant(graph, strides))
}

#[test]
fn values_are_broadcast_to_the_part_of_a_variable() {
    let graph = Graph::new();
    let v = handle(&graph, DType::Float32, "v");
    let set = op(&graph, "AssignVariableOp")
        .input(&v)
        .input(constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]))
        .finish();
    let read = op(&graph, "ReadVariableOp").input(&v).attr("dtype", DType::Float32).finish_output();
    let assign = |value: Tensor| {
        let builder = op(&graph, "ResourceStridedSliceAssign").input(&v);
        part(builder, &graph, &[0, 0], &[2, 2]).input(constant(&graph, value)).finish()
    };
    let cases = [
        (Tensor::from(9.0f32), vec![9.0f32; 4]),
        (Tensor::from([8.0f32, 9.0]), vec![8.0, 9.0, 8.0, 9.0]),
        (Tensor::from([[8.0f32], [9.0]]), vec![8.0, 8.0, 9.0, 9.0]),
    ]
    .map(|(value, expected)| (assign(value), expected));
    let misfit = assign([1.0f32, 2.0, 3.0].into());
    let session = session(&graph);
    for (assign, expected) in cases {
        session.run(&set, ()).unwrap();
        session.run(&assign, ()).unwrap();
        let value: Tensor = session.run(&read, ()).unwrap();
        assert_eq!(value.to_vec::<f32>().unwrap(), expected);
    }
    let error = session.run(&misfit, ()).unwrap_err();
    assert!(error.to_string().contains("does not fit the part [2,2] of 'v'"), "{error}");
}

#[test]
fn a_replaced_part_passes_gradients_to_the_rest_and_to_what_was_broadcast() {
    let graph = Graph::new();
    let x = constant(&graph, [[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let sums = [
        (constant(&graph, [7.0f32, 8.0]), vec![1001.0f32, 10010.0]),
        (constant(&graph, [[7.0f32], [8.0]]), vec![11.0, 11000.0]),
        // TensorFlow computes the value of such a shape and fails in its gradient.
        (array::expand_dims(constant(&graph, [[7.0f32], [8.0]]), 0), vec![11.0, 11000.0]),
    ];
    for (value, expected) in sums {
        let builder = op(&graph, "TensorStridedSliceUpdate").input(&x);
        let y = part(builder, &graph, &[0, 0], &[2, 2]).input(&value).finish_output();
        let y = math::mul(y, constant(&graph, [[1.0f32, 10.0, 100.0], [1e3, 1e4, 1e5]]));
        let found = gradients(&[y], &[&x, &value]).unwrap();
        let (of_x, of_value): (Tensor, Tensor) =
            session(&graph).run((found[0].as_ref().unwrap(), found[1].as_ref().unwrap()), ()).unwrap();
        assert_eq!(of_x.to_vec::<f32>().unwrap(), [0.0, 0.0, 100.0, 0.0, 0.0, 1e5]);
        assert_eq!(of_value.to_vec::<f32>().unwrap(), expected);
        assert_eq!(of_value.shape(), &value.shape().to_shape().unwrap());
    }
}
