//! Sizes that overflow, and long shapes without elements: a result at once or an error, never a panic or endless work.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::placeholder;
use ops::library;
use session_core::{
    AttrValue, Code, DType, Engine, Error, Graph, OpBuilder, OpLibrary as _, Output, PartialShape,
    RunOptions, SessionConfig, SessionExt, Tensor,
};
use std::time::Duration;

/// Adds the inputs and attributes of an operation.
type Build<'a> = &'a dyn Fn(OpBuilder, &[Output]) -> OpBuilder;

const LONG: usize = 1 << 40;

fn of(dtype: DType, shape: &[usize]) -> Tensor {
    Tensor::zeros(dtype, shape).unwrap()
}

fn floats(shape: &[usize]) -> Tensor {
    of(DType::Float32, shape)
}

/// Runs one operation on tensors whose shapes its graph does not know.
fn run(op_type: &str, inputs: &[Tensor], build: Build<'_>) -> Result<Vec<Tensor>, Error> {
    let graph = Graph::new();
    let of_input = |input: &Tensor| placeholder(&graph, input.dtype(), PartialShape::unknown());
    let fed: Vec<Output> = inputs.iter().map(of_input).collect();
    let operation = build(graph.op(library().find(op_type).unwrap()), &fed).finish();
    graph.check()?;
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1))?;
    let outputs: Vec<Output> = (0..operation.num_outputs()).map(|index| operation.output(index)).collect();
    let feeds: Vec<(&Output, Tensor)> = fed.iter().zip(inputs.iter().cloned()).collect();
    session.run_with(&outputs, feeds, &RunOptions::with_timeout(Duration::from_secs(60)), None)
}

fn plain(builder: OpBuilder, inputs: &[Output]) -> OpBuilder {
    inputs.iter().fold(builder, OpBuilder::input)
}

/// The inputs as a list, then those that stand alone.
fn listed(builder: OpBuilder, inputs: &[Output], count: usize) -> OpBuilder {
    plain(builder.input_list(&inputs[..count]), &inputs[count..])
}

fn gives(op_type: &str, inputs: &[Tensor], build: Build<'_>, shapes: &[&[usize]]) {
    let found = run(op_type, inputs, build).unwrap_or_else(|error| panic!("{op_type}: {error}"));
    let found: Vec<&[usize]> = found.iter().map(|tensor| tensor.shape().dims()).collect();
    assert_eq!(found, shapes, "{op_type}");
}

fn fails(op_type: &str, inputs: &[Tensor], build: Build<'_>, words: &str) {
    let error = run(op_type, inputs, build).unwrap_err();
    assert!(matches!(error.code(), Code::InvalidArgument | Code::ResourceExhausted), "{op_type}: {error}");
    assert!(error.to_string().contains(words), "{op_type}: {error}");
}

#[test]
fn stacks_of_matrices_without_elements_are_no_work() {
    let none = |dtype| [of(dtype, &[LONG, 0, 0])];
    let (stack, row): (&[usize], &[usize]) = (&[LONG, 0, 0], &[LONG, 0]);
    for dtype in [DType::Float32, DType::Float64, DType::Complex64] {
        gives("Qr", &none(dtype), &plain, &[stack, stack]);
        gives("MatrixInverse", &none(dtype), &plain, &[stack]);
        gives("Cholesky", &none(dtype), &plain, &[stack]);
    }
    gives("Qr", &[floats(&[LONG, 3, 0])], &plain, &[&[LONG, 3, 0], &[LONG, 0, 0]]);
    gives("SelfAdjointEigV2", &none(DType::Float32), &plain, &[row, stack]);
    gives("SelfAdjointEig", &none(DType::Float32), &plain, &[&[LONG, 1, 0]]);
    gives("Svd", &none(DType::Float32), &plain, &[row, stack, stack]);
    gives("MatrixSolve", &[floats(stack), floats(&[LONG, 0, 5])], &plain, &[&[LONG, 0, 5]]);
    // All columns of a square factor are asked for, which has more elements than memory can hold.
    let full = |op: OpBuilder, x: &[Output]| plain(op, x).attr("full_matrices", true);
    fails("Qr", &[floats(&[LONG, 0])], &full, "");
    fails("Svd", &[floats(&[LONG, 0])], &full, "");
    gives("Qr", &[floats(&[2, 3, 0])], &full, &[&[2, 3, 3], &[2, 3, 0]]);
    gives("Svd", &[floats(&[2, 3, 0])], &full, &[&[2, 0], &[2, 3, 3], &[2, 0, 0]]);
    let values = |op: OpBuilder, x: &[Output]| full(op, x).attr("compute_uv", false);
    gives("Svd", &[floats(&[LONG, 0])], &values, &[&[0], &[0], &[0]]);
}

#[test]
fn lengths_that_do_not_add_up_are_refused() {
    let axis = Tensor::from(0i32);
    let parts = |rows: usize, count: usize| {
        let mut inputs = vec![of(DType::UInt8, &[rows, 0]); count];
        inputs.push(axis.clone());
        inputs
    };
    gives("ConcatV2", &parts(1 << 61, 2), &|op, x| listed(op, x, 2), &[&[1 << 62, 0]]);
    for (rows, count) in [(1 << 62, 2), (isize::MAX as usize, 3)] {
        fails("ConcatV2", &parts(rows, count), &|op, x| listed(op, x, count), "");
        fails("Pack", &vec![of(DType::UInt8, &[rows, 0]); 3], &|op, x| listed(op, x, 3), "");
        let quantized = |op: OpBuilder, x: &[Output]| {
            let (values, ranges) = x[1..].split_at(count);
            let (least, most) = ranges.split_at(count);
            op.input(&x[0]).input_list(values).input_list(least).input_list(most)
        };
        let mut inputs = vec![axis.clone()];
        inputs.extend(vec![of(DType::QUInt8, &[rows, 0]); count]);
        inputs.extend(vec![Tensor::from(0f32); count]);
        inputs.extend(vec![Tensor::from(1f32); count]);
        fails("QuantizedConcat", &inputs, &quantized, "");
    }
}

#[test]
fn nothing_is_selected_from_shapes_without_elements() {
    let coordinates = |shape: &[usize]| of(DType::Int64, shape);
    let empty = [floats(&[LONG, 0]), coordinates(&[0, 1])];
    gives("GatherNd", &empty, &plain, &[&[0, 0]]);
    for indices in [&[5, 0][..], &[LONG, 0], &[1, 1]] {
        fails("GatherNd", &[floats(&[LONG, 0]), coordinates(indices)], &plain, "no elements");
    }
    gives("TensorScatterUpdate", &[&empty[..], &[floats(&[0, 0])]].concat(), &plain, &[&[LONG, 0]]);
    let scatter = |indices: &[usize], updates: &[usize], shape: [i64; 3]| {
        [coordinates(indices), floats(updates), Tensor::from(shape)]
    };
    let long = LONG as i64;
    gives("ScatterNd", &scatter(&[0, 1], &[0, 2, 0], [long, 2, 0]), &plain, &[&[LONG, 2, 0]]);
    gives("ScatterNd", &scatter(&[LONG, 0], &[LONG, 3, 2, 0], [3, 2, 0]), &plain, &[&[3, 2, 0]]);
    fails("ScatterNd", &scatter(&[1, 1], &[1, 2, 0], [long, 2, 0]), &plain, "no elements");
    fails("ScatterNd", &scatter(&[1, 1], &[1, 0], [long, long, 0]), &plain, "no tensor is as large");
    fails("ScatterNd", &scatter(&[1, 1], &[1, 0], [long, long, long]), &plain, "no tensor is as large");
}

#[test]
fn equal_rows_without_elements_are_counted_within_memory() {
    let axis = |at: i64| Tensor::from([at]);
    fails("UniqueV2", &[floats(&[LONG, 0]), axis(0)], &plain, "memory");
    gives("UniqueV2", &[floats(&[LONG, 0]), axis(1)], &plain, &[&[LONG, 0], &[0]]);
    gives("UniqueV2", &[floats(&[5, 0]), axis(0)], &plain, &[&[1, 0], &[5]]);
}

fn int_list(values: [usize; 3]) -> AttrValue {
    AttrValue::from([1, values[0] as i64, values[1] as i64, values[2] as i64, 1])
}

#[test]
fn windows_larger_than_their_volumes_cost_no_more_than_the_volumes() {
    let (wide, narrow) = ([1 << 30; 3], [1; 3]);
    let slide = |size: [usize; 3], padding: &'static str| {
        move |op: OpBuilder, x: &[Output]| {
            plain(op, x)
                .attr("ksize", int_list(size))
                .attr("strides", int_list(narrow))
                .attr("padding", padding)
        }
    };
    let numbers: Vec<f32> = (1..=8).map(|x| x as f32).collect();
    let volume = [Tensor::from_vec(numbers, [1, 2, 2, 2, 1]).unwrap()];
    let same = |op_type| run(op_type, &volume, &slide(wide, "SAME")).unwrap().remove(0);
    assert_eq!(same("AvgPool3D").as_slice::<f32>().unwrap(), [4.5; 8]);
    assert_eq!(same("MaxPool3D").as_slice::<f32>().unwrap(), [8.0; 8]);
    fails("MaxPool3D", &volume, &slide(wide, "VALID"), "does not fit");
    let empty: &[usize] = &[LONG, 2, 2, 2, 0];
    for op_type in ["MaxPool3D", "AvgPool3D"] {
        gives(op_type, &[floats(empty)], &slide([2; 3], "SAME"), &[empty]);
    }
    let gradient = [floats(empty), floats(empty), floats(empty)];
    gives("MaxPool3DGrad", &gradient, &slide([2; 3], "SAME"), &[empty]);
    let patches = |op: OpBuilder, x: &[Output]| {
        plain(op, x).attr("ksizes", int_list(wide)).attr("strides", int_list(narrow)).attr("padding", "SAME")
    };
    fails("ExtractVolumePatches", &volume, &patches, "");
}

#[test]
fn filters_without_elements_may_reach_beyond_every_size() {
    let far = i64::from(i32::MAX);
    let planes = |padding: &'static str| {
        move |op: OpBuilder, x: &[Output]| {
            let op = plain(op, x).attr("strides", AttrValue::from([1i64; 4])).attr("padding", padding);
            op.attr("dilations", AttrValue::from([1, far, far, 1]))
        }
    };
    let inputs = [floats(&[1, 4, 4, 0]), floats(&[LONG, 1, 0, 0])];
    gives("Conv2D", &inputs, &planes("SAME"), &[&[1, 4, 4, 0]]);
    fails("Conv2D", &inputs, &planes("VALID"), "does not fit");
    let volumes = |padding: &'static str| {
        move |op: OpBuilder, x: &[Output]| {
            let op = plain(op, x).attr("strides", AttrValue::from([1i64; 5])).attr("padding", padding);
            op.attr("dilations", AttrValue::from([1, far, far, far, 1]))
        }
    };
    let inputs = [floats(&[1, 4, 4, 4, 0]), floats(&[LONG, 1, 1, 0, 2])];
    gives("Conv3D", &inputs, &volumes("SAME"), &[&[1, 4, 4, 4, 2]]);
    fails("Conv3D", &inputs, &volumes("VALID"), "does not fit");
    let sizes = Tensor::from([1 << 30, 1 << 30, 1 << 30, 1, 1]);
    let inputs = [floats(&[1, 2, 2, 2, 1]), sizes, floats(&[1, 2, 2, 2, 1])];
    fails("Conv3DBackpropFilterV2", &inputs, &volumes("SAME"), "");
    let dilation = |op: OpBuilder, x: &[Output]| {
        let op = plain(op, x).attr("strides", AttrValue::from([1i64; 4])).attr("padding", "SAME");
        op.attr("rates", AttrValue::from([1, far, far, 1]))
    };
    let images: &[usize] = &[1, 1 << 31, 1 << 20, 0];
    gives("Dilation2D", &[floats(images), floats(&[LONG, 3, 0])], &dilation, &[images]);
}

#[test]
fn blocks_that_make_a_side_too_long_are_refused() {
    let block = |op: OpBuilder, x: &[Output]| plain(op, x).attr("block_size", 2i64);
    gives("SpaceToDepth", &[floats(&[0, 2, 2, LONG])], &block, &[&[0, 1, 1, 4 * LONG]]);
    fails("SpaceToDepth", &[floats(&[0, 0, 2, 1 << 61])], &block, "");
    fails(
        "DepthToSpace",
        &[floats(&[0, 1 << 60, 2, 0])],
        &|op, x| plain(op, x).attr("block_size", 1i64 << 30),
        "",
    );
    let patches = |op: OpBuilder, x: &[Output]| {
        let wide = AttrValue::from([1, 1i64 << 30, 1 << 30, 1]);
        let op = plain(op, x).attr("ksizes", wide).attr("strides", AttrValue::from([1i64; 4]));
        op.attr("rates", AttrValue::from([1i64; 4])).attr("padding", "SAME")
    };
    fails("ExtractImagePatches", &[floats(&[0, 2, 2, 1 << 20])], &patches, "");
}

#[test]
fn sparse_tensors_that_memory_cannot_hold_are_refused() {
    let rows = |count: i64| [of(DType::Int64, &[0, 2]), floats(&[0]), Tensor::from([count, 2])];
    gives("AddManySparseToTensorsMap", &rows(1000), &plain, &[&[1000]]);
    for count in [1 << 40, i64::MAX] {
        fails("AddManySparseToTensorsMap", &rows(count), &plain, "memory");
    }
}
