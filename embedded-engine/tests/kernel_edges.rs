//! Strings, sparse and ragged tensors, and containers of tensors at the edges of what they accept. The expected
//! outcomes are TensorFlow's.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use crate::support::{op, session};
use ops::array::{constant, placeholder};
use ops::data_flow::FifoQueue;
use ops::gradients;
use ops::io::{Reader, matching_files};
use session_core::{Code, DType, Graph, OpBuilder, Output, PartialShape, SessionExt, Tensor};

/// Inputs whose shapes the graph does not know.
#[derive(Default)]
struct Feeds(Vec<(Output, Tensor)>);

impl Feeds {
    fn fed(&mut self, graph: &Graph, value: impl Into<Tensor>) -> Output {
        let value = value.into();
        let input = placeholder(&graph.named("fed"), value.dtype(), PartialShape::unknown());
        self.0.push((input.clone(), value));
        input
    }

    /// The value of an output.
    fn value(&self, graph: &Graph, output: &Output) -> Tensor {
        session(graph).run(output, self.0.clone()).unwrap()
    }

    /// The message of a run that must fail with `InvalidArgument`.
    fn refused(&self, graph: &Graph, output: &Output) -> String {
        let error = session(graph).run(output, self.0.clone()).map(|_: Tensor| ()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        error.to_string()
    }
}

/// A list of one element, `[1.5]`.
fn list(graph: &Graph) -> Output {
    let tensor = constant(graph, [[1.5f32]]);
    op(graph, "TensorListFromTensor").input(tensor).constant([1i32]).finish_output()
}

#[test]
fn lists_give_elements_of_their_dtype_only() {
    let reads: [(&str, fn(OpBuilder) -> OpBuilder); 6] = [
        ("TensorListGetItem", |op| op.constant(0i32).constant([1i32])),
        ("TensorListStack", |op| op.constant([1i32])),
        ("TensorListGather", |op| op.constant([0i32]).constant([1i32])),
        ("TensorListPopBack", |op| op.constant([1i32])),
        ("TensorListConcat", |op| op),
        ("TensorListConcatV2", |op| op.constant([1i32]).constant(Vec::<i64>::new())),
    ];
    for (op_type, inputs) in reads {
        let graph = Graph::new();
        let read =
            inputs(op(&graph, op_type).input(list(&graph))).attr("element_dtype", DType::Int32).finish();
        let output = read.outputs().into_iter().find(|output| output.dtype() == DType::Int32).unwrap();
        let message = Feeds::default().refused(&graph, &output);
        assert!(message.contains("int32, the list has float32"), "{op_type}: {message}");
    }
    let graph = Graph::new();
    let (a, b) = (list(&graph), list(&graph));
    let joined = op(&graph, "TensorListConcatLists").input(a).input(b).attr("element_dtype", DType::Int32);
    let length = op(&graph, "TensorListLength").input(joined.finish_output()).finish_output();
    Feeds::default().refused(&graph, &length);
}

#[test]
fn arrays_give_elements_of_their_dtype_only() {
    for op_type in ["TensorArrayReadV3", "TensorArrayGatherV3", "TensorArrayConcatV3"] {
        let graph = Graph::new();
        let array = op(&graph, "TensorArrayV3").constant(1i32).attr("dtype", DType::Float32).finish();
        let write = op(&graph, "TensorArrayWriteV3").input(array.output(0)).constant(0i32);
        let flow = write.constant([1f32]).input(array.output(1)).finish_output();
        let read = op(&graph, op_type).input(array.output(0));
        let read = match op_type {
            "TensorArrayReadV3" => read.constant(0i32),
            "TensorArrayGatherV3" => read.constant([0i32]),
            _ => read,
        };
        let output = read.input(flow).attr("dtype", DType::Int32).finish().output(0);
        let message = Feeds::default().refused(&graph, &output);
        assert!(message.contains("a read of int32 from an array of float32"), "{message}");
    }
}

#[test]
fn stacks_hold_values_of_their_dtype_only() {
    for (pushed, popped) in [(Tensor::from(1f32), DType::Int32), (Tensor::from(1i32), DType::Float32)] {
        let graph = Graph::new();
        let stack = op(&graph, "StackV2").constant(5i32).attr("elem_type", DType::Float32).finish_output();
        let push = op(&graph, "StackPushV2").input(&stack).input(constant(&graph, pushed)).finish();
        let pop = op(&graph, "StackPopV2").control_input(&push).input(&stack).attr("elem_type", popped);
        let message = Feeds::default().refused(&graph, &pop.finish_output());
        assert!(message.contains("a value of int32 on a stack of float32"), "{message}");
    }
}

#[test]
fn tables_export_and_remove_keys_of_their_dtype_only() {
    let table = |graph: &Graph| {
        let table = op(graph, "MutableHashTableV2").attr("key_dtype", DType::Int64);
        table.attr("value_dtype", DType::Float32).finish_output()
    };
    for (keys, values) in [(DType::Int32, DType::Float32), (DType::Int64, DType::Int64)] {
        let graph = Graph::new();
        let export = op(&graph, "LookupTableExportV2").input(table(&graph));
        let export = export.attr("Tkeys", keys).attr("Tvalues", values).finish();
        Feeds::default().refused(&graph, &export.output(0));
    }
    let graph = Graph::new();
    let remove = op(&graph, "LookupTableRemoveV2").input(table(&graph)).constant([1i32]).finish();
    let error = session(&graph).run(&remove, ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
}

#[test]
fn keys_of_several_strings_are_exported_as_they_were_inserted() {
    let graph = Graph::new();
    let table = op(&graph, "MutableDenseHashTableV2").constant(vec!["", ""]).constant(vec!["x", ""]);
    let table = table.attr("value_dtype", DType::Int64).finish_output();
    let keys = Tensor::from_strings(["a", "bc", "ab", "c"], [2, 2]).unwrap();
    let insert = op(&graph, "LookupTableInsertV2").input(&table).input(constant(&graph, keys));
    let insert = insert.constant([5i64, 6]).finish();
    let export = op(&graph, "LookupTableExportV2").control_input(&insert).input(&table);
    let export = export.attr("Tkeys", DType::String).attr("Tvalues", DType::Int64).finish();
    let (keys, values): (Tensor, Tensor) =
        session(&graph).run((&export.output(0), &export.output(1)), ()).unwrap();
    assert_eq!(keys.shape()[..], [2, 2]);
    assert_eq!(keys.as_strings().unwrap(), ["a", "bc", "ab", "c"]);
    assert_eq!(values.to_vec::<i64>().unwrap(), [5, 6]);
}

#[test]
fn a_piece_that_is_not_used_has_zeros_of_its_length_as_gradient() {
    let graph = Graph::new();
    let x = constant(&graph, Tensor::full(1f32, [10, 1]));
    let split = op(&graph, "TensorListSplit").input(&x).constant([-1i32, 1]).constant([5i64, 2, 3]);
    let get = op(&graph, "TensorListGetItem").input(split.finish_output()).constant(1i32);
    let y = get.constant([-1i32, 1]).attr("element_dtype", DType::Float32).finish_output();
    let found = gradients(&[y], &[&x]).unwrap().remove(0).unwrap();
    let value = Feeds::default().value(&graph, &found);
    assert_eq!(value.to_vec::<f32>().unwrap(), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
}

fn ragged_gather(graph: &Graph, values: &Output, index: i32, rank: i64) -> Output {
    let splits = constant(graph, [0i64, 2, 3]);
    let gather = op(graph, "RaggedGather").input_list([splits]).input(values).constant(index);
    let gather = gather.attr("OUTPUT_RAGGED_RANK", rank).finish();
    gather.output(gather.num_outputs() - 1)
}

#[test]
fn one_row_of_a_ragged_tensor_has_no_splits() {
    let graph = Graph::new();
    let values = constant(&graph, [1f32, 2.0, 3.0]);
    let row = ragged_gather(&graph, &values, 0, 0);
    let gradient = gradients(&[&row], &[&values]).unwrap().remove(0).unwrap();
    assert_eq!(Feeds::default().value(&graph, &row).to_vec::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(Feeds::default().value(&graph, &gradient).to_vec::<f32>().unwrap(), [1.0, 1.0, 0.0]);
    // TensorFlow returns splits that belong to nothing.
    let more = ragged_gather(&graph, &values, 0, 1);
    let message = Feeds::default().refused(&graph, &more);
    assert!(message.contains("1 is not 1 + 0 - 1"), "{message}");
}

#[test]
fn a_scalar_passes_through_a_variant() {
    let (graph, mut feeds) = (Graph::new(), Feeds::default());
    let value = feeds.fed(&graph, 5i64);
    let none: [Output; 0] = [];
    let variant = op(&graph, "RaggedTensorToVariant").input_list(none).input(value);
    let variant = variant.attr("batched_input", false).finish_output();
    let back = op(&graph, "RaggedTensorFromVariant").input(variant).attr("Tvalues", DType::Int64);
    let back = back.attr("input_ragged_rank", 0i64).attr("output_ragged_rank", 0i64).finish_output();
    let found = feeds.value(&graph, &back);
    assert_eq!((found.shape().rank(), found.value::<i64>().unwrap()), (0, 5));
}

#[test]
fn coordinates_have_a_number_for_each_axis() {
    let (graph, mut feeds) = (Graph::new(), Feeds::default());
    let indices = feeds.fed(&graph, [[0i64, 1, 1]]);
    let reshape = op(&graph, "SparseReshape").input(indices).constant([2i64, 3]).constant([6i64]);
    let message = feeds.refused(&graph, &reshape.finish().output(0));
    assert!(message.contains("coordinates of 3 numbers for a tensor of shape [2, 3]"), "{message}");
    let graph = Graph::new();
    _ = op(&graph, "SparseReshape").constant([[0i64, 1, 1]]).constant([2i64, 3]).constant([6i64]).finish();
    graph.check().unwrap_err();
    let (graph, mut feeds) = (Graph::new(), Feeds::default());
    let indices = feeds.fed(&graph, Tensor::full(0i64, [1, 1, 1]));
    let dense = op(&graph, "SparseToDense").input(indices).constant([3i64]).constant([1f32]).constant(0f32);
    let message = feeds.refused(&graph, &dense.finish_output());
    assert!(message.contains("should be a scalar, vector, or matrix"), "{message}");
}

#[test]
fn patterns_are_those_of_re2() {
    let replaced = |text: &str, pattern: &str, rewrite: &str, all: bool| {
        let graph = Graph::new();
        let replace = op(&graph, "RegexReplace").constant(text).constant(pattern).constant(rewrite);
        let replace = replace.attr("replace_global", all).finish_output();
        Feeds::default().value(&graph, &replace).value_string()
    };
    for (text, pattern, expected) in [
        ("é1a", r"\w", "éxx"),
        ("é1a", r"\W", "x1a"),
        ("٣4", r"\d", "٣x"),
        ("éa", r"\ba", "éx"),
        ("a<br>c", r"\<br\>", "axc"),
        ("abc&", "[a-c&&b]", "xxxx"),
        ("ab-c", "[+--]", "abxc"),
        ("a.b+c", r"\Q.b+", "axc"),
        ("aSb", r"\123", "axb"),
        ("a{b", "a{b", "x"),
        ("日", "", "x日x"),
        ("aÉb", "(?i)é", "axb"),
    ] {
        assert_eq!(replaced(text, pattern, "x", true), expected, "{pattern}");
    }
    for (rewrite, all, expected) in [
        (r"[\1]", true, "abc"),
        (r"[\n]", true, "a[c"),
        (r"[\n]", false, "abc"),
        (r"x\", true, "axc"),
        (r"x\\", true, r"ax\c"),
        (r"[\0]", false, "a[b]c"),
    ] {
        assert_eq!(replaced("abc", "b", rewrite, all), expected, "{rewrite}");
    }
}

#[test]
fn a_carriage_return_ends_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    for (content, expected) in [
        (&b"a\r\nb\r"[..], vec!["a", "b"]),
        (b"a\n\r", vec!["a"]),
        (b"\r", vec![]),
        (b"\r\r", vec!["\r"]),
        (b"\r\n\r", vec![""]),
        (b"a\rb\r", vec!["a\rb"]),
        (b"a\r\r\nb", vec!["a\r", "b"]),
    ] {
        let path = folder.path().join("lines");
        std::fs::write(&path, content).unwrap();
        let graph = Graph::new();
        let queue =
            FifoQueue::new(&graph.named("files"), 2, DType::String).shapes([PartialShape::scalar()]).build();
        let fill = queue.enqueue_many(Tensor::from(vec![path.to_str().unwrap()]));
        let close = queue.close();
        let (_, line) = Reader::text_line(&graph, 0).read(&queue);
        let session = session(&graph);
        session.run(&fill, ()).unwrap();
        session.run(&close, ()).unwrap();
        let lines =
            std::iter::from_fn(|| session.run(&line, ()).ok().map(|line: Tensor| line.value_string()));
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{content:?}");
    }
}

#[test]
fn names_of_files_begin_as_their_pattern() {
    // The tests run in the folder of the package.
    for (pattern, expected) in [
        ("Cargo.tom*", vec!["./Cargo.toml"]),
        ("*/lib.rs", vec!["./src/lib.rs"]),
        ("./Cargo.tom?", vec!["./Cargo.toml"]),
        ("src/./lib.r*", vec!["src/./lib.rs"]),
        ("src/../Cargo.to[m]l", vec!["src/../Cargo.toml"]),
        (r"src/li\b.rs", vec!["src/lib.rs"]),
        ("Cargo.toml", vec!["Cargo.toml"]),
        ("src/lib*/", vec!["src/lib.rs"]),
        ("src/l*/..", vec![]),
    ] {
        let graph = Graph::new();
        let found = matching_files(constant(&graph, pattern));
        let found = Feeds::default().value(&graph, &found);
        assert_eq!(found.as_strings().unwrap(), expected, "{pattern}");
    }
}

/// Strings of tensors.
trait Text {
    fn value_string(&self) -> String;
}

impl Text for Tensor {
    fn value_string(&self) -> String {
        String::from_utf8(self.as_strings().unwrap()[0].to_vec()).unwrap()
    }
}
