//! Operations whose inputs and attributes contradict each other: each is an error that names the contradiction, and the session continues.
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::support::op;
use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use session_core::{
    AttrValue, Code, DType, Engine, Graph, Output, PartialShape, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

#[test]
fn a_split_needs_a_size_for_each_output() {
    let graph = Graph::new();
    let sizes = placeholder(&graph, DType::Int64, PartialShape::unknown());
    let value = constant(&graph, [1f32, 2.0, 3.0]);
    let split = op(&graph, "SplitV").input(&value).input(&sizes).input(constant(&graph, 0i32));
    let split = split.attr("num_split", 2i64).finish();
    let session = session(&graph);
    let run =
        |given: Vec<i64>| session.run((&split.output(0), &split.output(1)), [(&sizes, Tensor::from(given))]);
    for (given, words) in [
        (vec![1, 1, 1], "3 sizes for 2 outputs"),
        (vec![3], "1 sizes for 2 outputs"),
        (vec![i64::MAX, i64::MAX], "do not add up"),
    ] {
        let error = run(given).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let (first, second) = run(vec![1, -1]).unwrap();
    assert_eq!((first, second), (Tensor::from([1f32]), Tensor::from([2f32, 3.0])));
}

#[test]
fn examples_need_a_key_for_each_feature() {
    let graph = Graph::new();
    let texts = |given: Vec<String>| constant(&graph, Tensor::from(given));
    let none: [Output; 0] = [];
    let dtypes =
        |dtypes: &[DType]| AttrValue::List(dtypes.iter().map(|&dtype| AttrValue::Type(dtype)).collect());
    let parsed = op(&graph, "ParseExample").input(texts(vec![String::new()])).input(texts(Vec::new()));
    let parsed = parsed.input_list(&none).input_list(&none).input_list(&none);
    let parsed = parsed.attr("sparse_types", dtypes(&[DType::Int64])).attr("Tdense", dtypes(&[]));
    let parsed = parsed.attr("dense_shapes", AttrValue::List(Vec::new())).finish();
    let error = session(&graph).run(&parsed, ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(error.to_string().contains("2 inputs, but the types of the features need 3"), "{error}");
}

#[test]
fn sequences_need_a_dtype_for_each_key() {
    let graph = Graph::new();
    let text = |given: &str| constant(&graph, Tensor::from(given));
    let none: [Output; 0] = [];
    let dtypes =
        |dtypes: &[DType]| AttrValue::List(dtypes.iter().map(|&dtype| AttrValue::Type(dtype)).collect());
    // One key and one dtype, but of different lists.
    let parsed = op(&graph, "ParseSingleSequenceExample").input(text(""));
    let parsed = parsed.input(constant(&graph, Tensor::from(Vec::<String>::new())));
    let parsed = parsed.input_list([text("a")]).input_list(&none).input_list(&none).input_list(&none);
    let parsed = parsed.input_list(&none).input(text(""));
    let parsed =
        parsed.attr("Ncontext_sparse", 1i64).attr("feature_list_sparse_types", dtypes(&[DType::Int64]));
    let error = session(&graph).run(&parsed.finish(), ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(error.to_string().contains("'Ncontext_sparse' is 1, but there are 0 dtypes"), "{error}");
}
