//! The operations that constructors build, and the errors that they record.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::OutputExt;
use ops::array::*;
use ops::control_flow::{assert_equal, group, no_op, with_dependencies};
use ops::math::*;
use ops::nn::*;
use session_core::{AttrValue, Code, DType, ErrorKind, Graph, OpLibrary, Output, PartialShape, Tensor};

fn float(graph: &Graph, shape: &[usize]) -> Output {
    placeholder(graph, DType::Float32, shape)
}

/// Returns the error that the graph reports for an invalid construction.
fn build_error(make: impl FnOnce(&Graph)) -> String {
    let graph = Graph::new();
    make(&graph);
    let error = graph.finalize().expect_err("the build error must be reported");
    let place = error.location().unwrap_or_else(|| panic!("no place in {error}"));
    assert!(place.file().ends_with("construction.rs"), "{error}: {place}");
    error.to_string()
}

macro_rules! build_errors {
    ($($name:ident: |$g:ident| $make:expr => $($part:literal),+;)*) => {$(
        #[test]
        fn $name() {
            let text = build_error(|$g| drop($make));
            for part in [$($part),+] {
                assert!(text.contains(part), "'{part}' is missing in: {text}");
            }
        }
    )*};
}

build_errors! {
    shapes_that_do_not_broadcast: |g| float(g, &[2, 3]) + float(g, &[4]) => "[2,3]", "[4]", "AddV2";
    inner_sizes_of_a_product: |g| matmul(float(g, &[2, 3]), float(g, &[4, 5])) => "[2,3]", "[4,5]", "3 is not 4";
    a_product_of_vectors: |g| matmul(float(g, &[3]), float(g, &[3])) => "rank 2", "[3]";
    elements_of_a_reshape: |g| reshape(float(g, &[2, 3]), [4, 2]) => "[2,3]", "[4,2]";
    a_reshape_without_remainder: |g| reshape(float(g, &[2, 3]), [4, -1]) => "[2,3]", "[4,?]";
    two_open_sizes: |g| reshape(float(g, &[2, 3]), [-1, -1]) => "only one";
    an_axis_outside: |g| reduce_sum(float(g, &[2, 3]), 2) => "axis 2";
    a_permutation_of_other_axes: |g| transpose(float(g, &[2, 3]), [0, 0]) => "[0, 0]", "[2,3]";
    joined_shapes_that_differ: |g| concat(&[float(g, &[2, 3]), float(g, &[3, 4])], 0) => "[2,3]", "[3,4]", "axis 0";
    an_uneven_split: |g| split(float(g, &[2, 5]), 3, 1) => "[2,5]", "3 equal parts";
    stacked_shapes_that_differ: |g| stack(&[float(g, &[2]), float(g, &[3])], 0) => "[2]", "[3]";
    a_part_outside: |g| slice(float(g, &[4]), [2], [3]) => "from 2 of size 3", "[4]";
    too_many_indices: |g| strided_slice(float(g, &[4]), &[Index::At(0), Index::At(0)]) => "too many", "[4]";
    an_index_outside: |g| strided_slice(float(g, &[4]), &[Index::At(4)]) => "index 4", "[4]";
    a_squeezed_axis_that_is_not_one: |g| squeeze(float(g, &[2, 1]), [0]) => "axis 0", "[2,1]";
    a_bias_of_another_size: |g| bias_add(float(g, &[2, 3]), float(g, &[4])) => "[4]", "[2,3]";
    channels_of_a_filter: |g| conv2d(float(g, &[1, 8, 8, 3]), float(g, &[3, 3, 4, 8]), [1, 1], Padding::Same) => "[1,8,8,3]", "[3,3,4,8]";
    a_window_larger_than_the_image: |g| max_pool(float(g, &[1, 2, 2, 1]), [3, 3], [1, 1], Padding::Valid) => "size 3", "[1,2,2,1]";
    logits_and_labels: |g| sparse_softmax_cross_entropy_with_logits(placeholder(g, DType::Int32, [3]), float(g, &[2, 5])) => "2 and 3";
    probabilities_of_other_classes: |g| softmax_cross_entropy_with_logits(float(g, &[2, 4]), float(g, &[2, 5])) => "[2,5]", "[2,4]";
    sigmoid_labels_of_another_shape: |g| sigmoid_cross_entropy_with_logits(float(g, &[2]), float(g, &[2, 1])) => "[2]", "[2,1]";
    dtypes_that_differ: |g| add(float(g, &[2]), placeholder(g, DType::Int32, [2])) => "does not agree", "int32", "float32";
    a_dtype_that_is_not_supported: |g| relu(placeholder(g, DType::Bool, [2])) => "bool", "not supported";
    a_condition_that_is_no_bool: |g| select(float(g, &[2]), float(g, &[2]), float(g, &[2])) => "condition", "bool";
    updates_that_do_not_fit: |g| scatter_nd(constant(g, [[0i32]]), float(g, &[2, 3]), constant(g, [4i32, 3])) => "[2,3]", "[1,1]", "[4,3]";
    segment_numbers_of_other_rows: |g| segment_sum(float(g, &[4, 2]), placeholder(g, DType::Int32, [3])) => "4 and 3";
    a_range_that_never_ends: |g| range(constant(g, 0i32), constant(g, 5i32), constant(g, -1i32)) => "-1", "0 to 5";
    a_dropout_rate_of_one: |g| dropout(float(g, &[2]), 1.0, None) => "rate", "1";
    a_broadcast_to_less: |g| broadcast_to(float(g, &[2, 3]), [3]) => "[2,3]", "[3]";
    more_than_there_are: |g| top_k(float(g, &[2, 3]), 4) => "[2,3]", "4";
    a_table_index_too_long: |g| gather_nd(float(g, &[2]), constant(g, [[0i32, 0]])) => "[2]";
    paddings_of_another_rank: |g| pad(float(g, &[2, 3]), [[1, 1]]) => "2 and 1";
    a_name_with_a_space: |g| reshape(float(g, &[2]).named("a b"), [1, 2]) => "'a b";
}

#[test]
fn building_continues_after_an_error_and_the_first_is_reported() {
    let graph = Graph::new();
    let wrong = matmul(float(&graph, &[2, 3]), float(&graph, &[4, 5]));
    let built_on_it = relu(&wrong).reduce_mean(..);
    assert!(built_on_it.operation().error().is_some());
    let error = graph.finalize().unwrap_err();
    assert_eq!((error.kind(), error.op_type()), (ErrorKind::Value, Some("MatMul")));
    assert!(ops::gradients(&[&built_on_it], &[&wrong]).is_err());
}

#[test]
fn names_are_tensorflows() {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(6)]);
    let y = x.reshape([-1, 2, 3]).transpose([1, 0, 2]);
    let z = concat(&[&y, &y], 0).reduce_sum([0, 1]);
    let w = strided_slice(&z, &[Index::At(0)]).named("w").expand_dims(0);
    let names: Vec<String> = graph.operations().iter().map(|operation| operation.name().to_owned()).collect();
    assert_eq!(
        names,
        [
            "x",
            "Reshape/shape",
            "Reshape",
            "transpose/perm",
            "transpose",
            "concat/axis",
            "concat",
            "Sum/reduction_indices",
            "Sum",
            "strided_slice/begin",
            "strided_slice/end",
            "strided_slice/strides",
            "strided_slice",
            "w/dim",
            "w",
        ]
    );
    assert_eq!(w.shape(), &PartialShape::from([1]));
}

#[test]
fn functions_of_several_operations_keep_to_their_scope() {
    let graph = Graph::new();
    let layer = graph.scope("layer");
    let x = float(&graph, &[4, 3]).within(&layer);
    let (mean, _) = moments(&x, 0);
    assert!(mean.name().starts_with("layer/moments/"), "{}", mean.name());
    assert_eq!(relu(&mean).name(), "layer/Relu:0");
    let dropped = dropout(x.named("drop"), 0.5, Some(1));
    assert!(dropped.name().starts_with("layer/drop/"), "{}", dropped.name());
    assert_eq!(relu(&dropped).name(), "layer/Relu_1:0");
    assert_eq!(
        clip_by_value(&x, constant(&graph, 0f32), constant(&graph, 1f32)).name(),
        "layer/clip_by_value:0"
    );
    graph.finalize().unwrap();
}

#[test]
fn shapes_follow_from_computed_sizes() {
    let graph = Graph::new();
    let x = placeholder(&graph, DType::Float32, [None, Some(4), Some(3)]);
    let sizes = shape(&x);
    let (batch, columns) = (strided_slice(&sizes, &[Index::At(0)]), strided_slice(&sizes, &[Index::At(-1)]));
    let joined = reshape(&x, stack(&[&batch, &mul(columns, constant(&graph, 4i32))], 0));
    assert_eq!(joined.shape().to_string(), "[?,12]");
    let zeros = zeros(&graph, DType::Float32, concat(&[expand_dims(batch, 0), constant(&graph, [7i32])], 0));
    assert_eq!(zeros.shape().to_string(), "[?,7]");
    let all = reshape(&joined, [-1]);
    assert_eq!(all.shape().to_string(), "[?]");
    graph.finalize().unwrap();
}

#[test]
fn constants_given_as_numbers_wait_for_nothing() {
    let graph = Graph::new();
    let first = no_op(&graph);
    let x = float(&graph, &[2, 3]).within(&graph.control_dependencies([&first]));
    let y = reshape(x, [3, 2]);
    assert_eq!(y.operation().control_inputs(), [first]);
    assert!(y.operation().input(1).operation().control_inputs().is_empty());
}

#[test]
fn dependencies_become_control_inputs() {
    let graph = Graph::new();
    let x = float(&graph, &[2]);
    let check = assert_equal(&x, constant(&graph, [1f32, 2.0]));
    let after = with_dependencies([&check], &x);
    assert_eq!(after.operation().control_inputs(), std::slice::from_ref(&check));
    assert!(square(&after).operation().control_inputs().is_empty());
    let all = group(&graph.named("all"), [&check, after.operation()]);
    assert_eq!((all.name(), all.control_inputs().len()), ("all", 2));
    graph.finalize().unwrap();
}

#[test]
fn attributes_beyond_their_definition_are_build_errors() {
    let refused = |op_type: &str, inputs: usize, list: bool, attr: (&str, AttrValue), why: &str| {
        let graph = Graph::new();
        let x = constant(&graph, Tensor::full(0f32, [1, 2, 2, 4]));
        let builder = graph.op(ops::library().find(op_type).unwrap()).attr(attr.0, attr.1);
        let builder = if list { builder.input_list(vec![x; inputs]) } else { builder.input(x) };
        let error = builder.try_finish().unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains(why), "{op_type}: {error}");
    };
    let float = || ("T", AttrValue::Type(DType::Float32));
    for op_type in ["AddN", "Pack"] {
        refused(op_type, 0, true, float(), "'N' is 0, less than the minimum value 1");
    }
    for block in [1 << 62, i64::MIN, 1, 1 << 31] {
        refused("DepthToSpace", 1, false, ("block_size", block.into()), "'block_size'");
    }
    refused("AvgPool", 1, false, ("ksize", [1i64, 2].into()), "a list of 2, which needs at least 4");
    refused("Unpack", 1, false, ("num", (1i64 << 40).into()), "not a valid number of outputs");
}
