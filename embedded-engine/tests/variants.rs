//! Zeros like optional values and lists, and sums of them: the values are TensorFlow's.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::constant;
use ops::library;
use session_core::{
    AttrValue, Code, DType, Engine, Graph, OpBuilder, OpLibrary, Output, PartialShape, Result, Session,
    SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn types(dtypes: &[DType]) -> AttrValue {
    AttrValue::List(dtypes.iter().copied().map(AttrValue::Type).collect())
}

/// An optional value with these components.
fn some(graph: &Graph, components: &[Tensor]) -> Output {
    let inputs: Vec<Output> = components.iter().map(|value| constant(graph, value.clone())).collect();
    let dtypes: Vec<DType> = components.iter().map(Tensor::dtype).collect();
    op(graph, "OptionalFromValue").input_list(inputs).attr("Toutput_types", types(&dtypes)).finish_output()
}

fn none(graph: &Graph) -> Output {
    op(graph, "OptionalNone").finish_output()
}

fn zeros_like(value: &Output) -> Output {
    op(&value.graph(), "ZerosLike").input(value).finish_output()
}

fn add_n(values: &[Output]) -> Output {
    op(&values[0].graph(), "AddN").input_list(values).finish_output()
}

fn components(optional: &Output, dtypes: &[DType]) -> Result<Vec<Tensor>> {
    let shapes = AttrValue::List(dtypes.iter().map(|_| AttrValue::Shape(PartialShape::unknown())).collect());
    let get = op(&optional.graph(), "OptionalGetValue").input(optional);
    let get = get.attr("output_types", types(dtypes)).attr("output_shapes", shapes).finish();
    session(&optional.graph()).run(get.outputs(), ())
}

fn has_value(optional: &Output) -> Result<bool> {
    let has = op(&optional.graph(), "OptionalHasValue").input(optional).finish_output();
    Ok(session(&optional.graph()).run(&has, ())?.value().unwrap())
}

#[test]
fn optional_values_have_zeros_and_sums() {
    let graph = Graph::new();
    let [a, b] = [[1f32, 2.0], [10.0, 20.0]].map(Tensor::from);
    let (a, b) = (some(&graph, &[a, Tensor::from(3i32)]), some(&graph, &[b, Tensor::from(4i32)]));
    let both = [DType::Float32, DType::Int32];
    let of = |floats: [f32; 2], integer: i32| vec![Tensor::from(floats), Tensor::from(integer)];
    assert_eq!(components(&zeros_like(&a), &both).unwrap(), of([0.0, 0.0], 0));
    assert_eq!(components(&add_n(&[a.clone(), b.clone()]), &both).unwrap(), of([11.0, 22.0], 7));
    assert_eq!(components(&add_n(&[a.clone(), b.clone(), b]), &both).unwrap(), of([21.0, 42.0], 11));
    assert!(!has_value(&zeros_like(&none(&graph))).unwrap());
    assert!(!has_value(&add_n(&[none(&graph), none(&graph)])).unwrap());
    let error = has_value(&add_n(&[a, none(&graph)])).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(error.message().contains("one has a value and the other doesn't"), "{error}");
}

#[test]
fn components_that_cannot_be_added_are_an_error() {
    let graph = Graph::new();
    let one = |values: &[f32]| some(&graph, &[Tensor::from(values.to_vec())]);
    let two = some(&graph, &[Tensor::from([1f32, 2.0]), Tensor::from(1f32)]);
    for sum in [add_n(&[one(&[1.0, 2.0]), one(&[1.0])]), add_n(&[one(&[1.0, 2.0]), two])] {
        assert_eq!(has_value(&sum).unwrap_err().code(), Code::InvalidArgument);
    }
}

fn list(graph: &Graph, values: Tensor) -> Output {
    let dtype = values.dtype();
    let builder = op(graph, "TensorListFromTensor").input(constant(graph, values));
    let builder = builder.input(constant(graph, Tensor::from(Vec::<i32>::new())));
    builder.attr("element_dtype", dtype).attr("shape_type", DType::Int32).finish_output()
}

fn stacked(list: &Output, dtype: DType) -> Result<Tensor> {
    let graph = list.graph();
    let builder =
        op(&graph, "TensorListStack").input(list).input(constant(&graph, Tensor::from(Vec::<i32>::new())));
    session(&graph).run(&builder.attr("element_dtype", dtype).finish_output(), ())
}

#[test]
fn lists_of_all_numbers_have_zeros_and_sums() {
    let graph = Graph::new();
    let check = |[a, b, sum]: [Tensor; 3]| {
        let (dtype, zeros) = (a.dtype(), Tensor::zeros(a.dtype(), [3]).unwrap());
        let (a, b) = (list(&graph, a), list(&graph, b));
        assert_eq!(stacked(&zeros_like(&a), dtype).unwrap(), zeros);
        assert_eq!(stacked(&add_n(&[a.clone(), b.clone()]), dtype).unwrap(), sum);
        let twice = add_n(&[a.clone(), b.clone(), zeros_like(&a)]);
        assert_eq!(stacked(&twice, dtype).unwrap(), sum);
        // The added tensor is unchanged.
        assert_eq!(
            stacked(&add_n(&[b.clone(), zeros_like(&b)]), dtype).unwrap(),
            stacked(&b, dtype).unwrap()
        );
    };
    check([[1i32, 0, 1], [1, 2, 3], [2, 2, 4]].map(Tensor::from));
    check([[1i64, 0, 1], [1, 2, i64::MAX - 1], [2, 2, i64::MAX]].map(Tensor::from));
    check([[1i8, 0, 1], [1, 2, -3], [2, 2, -2]].map(Tensor::from));
    check([[1u8, 0, 1], [1, 2, 254], [2, 2, 255]].map(Tensor::from));
    check([[1f32, 0.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 4.0]].map(Tensor::from));
    check([[1f64, 0.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 4.0]].map(Tensor::from));
}

#[test]
fn lists_that_cannot_be_added_are_an_error() {
    let graph = Graph::new();
    let [two, one] = [vec![1i32, 2], vec![1]].map(|values| list(&graph, Tensor::from(values)));
    let optional = some(&graph, &[Tensor::from(1i32)]);
    for sum in [add_n(&[two.clone(), one]), add_n(&[two, optional])] {
        assert_eq!(stacked(&sum, DType::Int32).unwrap_err().code(), Code::InvalidArgument);
    }
}
