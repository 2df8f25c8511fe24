//! Shapes that no tensor has: every shape function and gradient gives a shape or a build error, and none panics.
#![allow(clippy::unwrap_used)] // helpers of tests

use ops::array::{self, constant, placeholder};
use ops::initializers::{Initializer as _, orthogonal_initializer};
use ops::nn::{ConvOptions, Padding};
use ops::{gradients, layers, library, math};
use session_core::{DType, Graph, OpLibrary as _, Output, PartialShape, Shape, Tensor};

const MOST: i64 = i64::MAX;
const LONG: i64 = 1 << 40;

fn of(graph: &Graph, sizes: &[i64]) -> Output {
    placeholder(graph, DType::Float32, PartialShape::from_sizes(sizes.to_vec()))
}

/// Builds in a new graph, and returns what is wrong with it.
fn problem(build: impl FnOnce(&Graph)) -> Option<String> {
    let graph = Graph::new();
    build(&graph);
    graph.check().err().map(|error| error.to_string())
}

#[test]
fn sizes_that_overflow_are_build_errors() {
    type Case = (&'static str, fn(&Graph));
    let cases: [Case; 15] = [
        ("concat", |graph| drop(array::concat(&[of(graph, &[MOST, 0]), of(graph, &[1, 0])], 0))),
        ("space_to_depth", |graph| drop(array::space_to_depth(of(graph, &[1, 2, 2, MOST]), 2))),
        ("depth_to_space", |graph| drop(array::depth_to_space(of(graph, &[1, MOST, 2, 4]), 2))),
        ("space_to_batch_nd", |graph| {
            drop(array::space_to_batch_nd(of(graph, &[MOST, 2, 2, 1]), [2, 2], [[0, 0], [0, 0]]));
        }),
        ("blocks", |graph| {
            let blocks = [LONG, LONG];
            drop(array::space_to_batch_nd(of(graph, &[1, LONG, LONG, 1]), blocks, [[0, 0], [0, 0]]));
        }),
        ("paddings of blocks", |graph| {
            drop(array::space_to_batch_nd(of(graph, &[1, 2, 1]), [2], [[MOST, MOST]]));
        }),
        ("batch_to_space_nd", |graph| {
            drop(array::batch_to_space_nd(of(graph, &[4, MOST, 2, 1]), [2, 2], [[0, 0], [0, 0]]));
        }),
        ("image patches", |graph| {
            let images = of(graph, &[1, 2, 2, LONG]);
            drop(array::extract_image_patches(images, [1 << 30; 2], [1; 2], [1; 2], Padding::Same));
        }),
        ("volume patches", |graph| {
            let volumes = of(graph, &[1, 2, 2, 2, 1]);
            drop(array::extract_volume_patches(volumes, [1 << 30; 3], [1; 3], Padding::Same));
        }),
        ("pad", |graph| drop(array::pad(of(graph, &[2]), [[MOST, MOST]]))),
        ("tile", |graph| drop(array::tile(of(graph, &[LONG]), [LONG]))),
        ("split", |graph| drop(array::split_sizes(of(graph, &[4]), &[MOST, MOST, MOST], 0))),
        ("convolution", |graph| {
            let filter = of(graph, &[MOST, 1, 1, 1]);
            drop(ops::nn::conv2d(of(graph, &[1, 4, 4, 1]), filter, [1, 1], Padding::Valid));
        }),
        ("depthwise", |graph| {
            let filter = of(graph, &[1, 1, LONG, LONG]);
            drop(ops::nn::depthwise_conv2d(of(graph, &[1, 1, 1, LONG]), filter, ConvOptions::default()));
        }),
        ("orthogonal", |graph| {
            let shape = Shape::from([1 << 40, 1 << 40, 2]);
            drop(orthogonal_initializer().initial_value(graph, &shape, DType::Float32));
        }),
    ];
    for (name, build) in cases {
        let found = problem(build);
        assert!(found.is_some(), "{name} has no build error");
    }
}

#[test]
fn sizes_at_the_limit_keep_their_shapes() {
    let graph = Graph::new();
    let (two, wide) = (of(&graph, &[MOST]), of(&graph, &[MOST, MOST]));
    let shape = |output: &Output| output.shape().to_string();
    let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
    let number = |value: i32| constant(&graph, [value]);
    let by = |stride: i32, mask: i64| {
        let slice = op("StridedSlice").input(&two).input(number(0)).input(number(0)).input(number(stride));
        slice.attr("begin_mask", mask).attr("end_mask", mask).finish_output()
    };
    assert_eq!(shape(&by(i32::MAX, 1)), format!("[{}]", (MOST as u64).div_ceil(i32::MAX as u64)));
    assert_eq!(shape(&by(-1, 1)), format!("[{MOST}]"));
    assert_eq!(shape(&by(i32::MIN, 1)), format!("[{}]", (MOST as u64).div_ceil(1 << 31)));
    // The number of elements that are averaged overflows, so it is computed when the graph runs.
    let mean = math::reduce_mean(&wide, ..);
    let found = gradients(&[mean], &[&wide]).unwrap().remove(0).unwrap();
    assert_eq!(found.shape(), wide.shape());
    let product = math::reduce_prod(&wide, ..);
    gradients(&[product], &[&wide]).unwrap();
    graph.check().unwrap();
}

#[test]
fn lists_of_axes_longer_than_any_shape_are_build_errors() {
    // The number of the lists that an operation takes after its first input.
    for (op_type, lists) in [("Tile", 1), ("Transpose", 1), ("Slice", 2), ("StridedSlice", 3)] {
        let found = problem(|graph| {
            let x = placeholder(graph, DType::Float32, PartialShape::unknown());
            let list = placeholder(graph, DType::Int32, PartialShape::from_sizes([1 << 33]));
            let builder = graph.op(library().find(op_type).unwrap()).input(&x);
            let _ = (0..lists).fold(builder, |builder, _| builder.input(&list)).finish();
        });
        assert!(found.is_some_and(|found| found.contains("at most 254 dimensions")), "{op_type}");
    }
    // Nothing is known of such a list, but that is no error where it is no list of axes.
    let found = problem(|graph| {
        let axes = placeholder(graph, DType::Int32, PartialShape::from_sizes([1 << 33]));
        let _ = graph.op(library().find("ReverseV2").unwrap()).input(of(graph, &[2])).input(&axes).finish();
    });
    assert_eq!(found, None);
}

#[test]
fn borders_of_blocks_are_pairs() {
    let graph = Graph::new();
    let images = of(&graph, &[1, 4, 1]);
    let builder = graph.op(library().find("SpaceToBatchND").unwrap()).input(&images);
    let borders = Tensor::from_vec(vec![0i32], [1, 1]).unwrap();
    let _ = builder.constant(Tensor::from([2i32])).constant(borders).finish();
    let error = graph.check().unwrap_err();
    assert!(error.to_string().contains("ends of an axis"), "{error}");
}

#[test]
fn layers_of_overflowing_sizes_are_build_errors() {
    let found = problem(|graph| {
        let x = placeholder(graph, DType::Float32, [None, Some(4), Some(8)]);
        let options = layers::AttentionOptions::default();
        drop(layers::multi_head_attention(&x, &x, usize::MAX, 2, &options));
    });
    assert!(found.is_some(), "attention");
    let found = problem(|graph| {
        let x = placeholder(graph, DType::Float32, [None, Some(4), Some(4), Some(8)]);
        let (convolution, options) = (ConvOptions::default(), layers::LayerOptions::default());
        drop(layers::separable_conv2d(&x, 2, [1, 1], usize::MAX, convolution, &options));
    });
    assert!(found.is_some(), "separable convolution");
}
