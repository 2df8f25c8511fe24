//! Outputs that no memory holds are errors, and the session continues.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::library;
use session_core::{
    AttrValue, Code, DType, Engine, Graph, OpLibrary, Operation, Output, PartialShape, RunOptions, Session,
    SessionConfig, Step,
};
use std::sync::Arc;
use tensor::{Bytes, Element, Shape, Tensor};

/// Elements of 16 TiB and more, beyond any machine that runs this.
const HUGE: i64 = 1 << 44;
/// Factors of as many elements that fit an `int32`.
const FACTORS: [i32; 2] = [1 << 30, 1 << 14];
/// A side of a square of as many bytes.
const SIDE: usize = 1 << 21;

enum Input {
    One(Tensor),
    List(Vec<Tensor>),
    /// The output of an operation that has its own attributes and inputs.
    Made(Box<Row>),
}

/// An operation: its type, attributes and inputs.
struct Row {
    op_type: &'static str,
    attrs: Vec<(&'static str, AttrValue)>,
    inputs: Vec<Input>,
}

fn row(op_type: &'static str, inputs: Vec<Input>) -> Row {
    Row { op_type, attrs: Vec::new(), inputs }
}

impl Row {
    fn attr(mut self, name: &'static str, value: impl Into<AttrValue>) -> Row {
        self.attrs.push((name, value.into()));
        self
    }
}

fn one(value: impl Into<Tensor>) -> Input {
    Input::One(value.into())
}

fn zeros<T: Element>(shape: &[usize]) -> Input {
    one(Tensor::full(T::default(), shape))
}

fn sizes(shape: PartialShape) -> AttrValue {
    AttrValue::Shape(shape)
}

fn huge_shape() -> PartialShape {
    PartialShape::from_sizes([HUGE])
}

fn made_of_shapes() -> Vec<Row> {
    let seeds = || one([1i64, 2]);
    let float = DType::Float32;
    let mut rows = vec![
        row("Fill", vec![one([HUGE]), one(1.5f32)]),
        row("Fill", vec![one(FACTORS), one("text")]),
        row("BroadcastTo", vec![one([1.0f64]), one([HUGE])]),
        row("Empty", vec![one(FACTORS)]).attr("dtype", float),
        row("Range", vec![one(0i64), one(HUGE), one(1i64)]),
        row("Range", vec![one(0.0f32), one(2e13f32), one(1.0f32)]),
        row("LinSpace", vec![one(0.0f32), one(1.0f32), one(HUGE)]),
        row("RandomUniform", vec![one([HUGE])]).attr("dtype", float),
        row("RandomStandardNormal", vec![one(FACTORS)]).attr("dtype", float),
        row("TruncatedNormal", vec![one([HUGE])]).attr("dtype", float),
        row("RandomUniformInt", vec![one([HUGE]), one(0i32), one(9i32)]),
        row("RandomGamma", vec![one([HUGE]), one([1.0f32])]),
        row("RandomPoissonV2", vec![one([HUGE]), one([1.0f64])]),
        row("StatelessRandomUniform", vec![one([HUGE]), seeds()]).attr("dtype", float),
        row("StatelessRandomNormal", vec![one(FACTORS), seeds()]).attr("dtype", float),
        row("StatelessTruncatedNormal", vec![one([HUGE]), seeds()]).attr("dtype", float),
        row("StatelessRandomUniformInt", vec![one([HUGE]), seeds(), one(0i64), one(9i64)]),
        row("StridedSliceGrad", vec![one([HUGE]), one([0i64]), one([1i64]), one([1i64]), one([1.0f32])]),
        row("ScatterNd", vec![one([[3i64], [1]]), one([1.0f32, 2.0]), one([HUGE])]),
        row("SparseToDense", vec![one([[3i64]]), one([HUGE]), one([1.0f32]), one(0.0f32)]),
        row("SparseToDense", vec![one([[3i64]]), one([HUGE]), one(["a"]), one("")]),
    ];
    let temporary = row("TemporaryVariable", vec![]).attr("shape", sizes(huge_shape())).attr("dtype", float);
    rows.push(temporary);
    rows
}

fn made_of_counts() -> Vec<Row> {
    let many = 1 << 14;
    vec![
        row("Tile", vec![one([1.0f32, 2.0]), one([HUGE])]),
        row("Pad", vec![one([1.0f32]), one([[0i64, HUGE]])]),
        row("PadV2", vec![one([1.0f32]), one([[HUGE, 0]]), one(2.0f32)]),
        row("OneHot", vec![zeros::<i32>(&[many]), one(1i32 << 30), one(1.0f64), one(0.0f64)]),
        row("Multinomial", vec![zeros::<f32>(&[many, 2]), one(1i32 << 30)]),
        row("StatelessMultinomial", vec![zeros::<f32>(&[many, 2]), one(1i32 << 30), one([1i64, 2])]),
        row("UnsortedSegmentSum", vec![one([1.0f32]), one([0i64]), one(HUGE)]),
        row("UnsortedSegmentMax", vec![one([1.0f32]), one([0i64]), one(HUGE)]),
        row("SegmentSum", vec![one([1.0f32]), one([HUGE])]),
        row("SegmentMean", vec![one([1.0f32]), one([HUGE])]),
        row("SegmentProd", vec![one([1.0f32]), one([i64::MAX])]),
        row("SparseSegmentSum", vec![one([1.0f32]), one([0i64]), one([HUGE])]),
        row(
            "DynamicStitch",
            vec![
                Input::List(vec![Tensor::from([i32::MAX])]),
                Input::List(vec![Tensor::full(0u8, [1, many])]),
            ],
        ),
        row("SpaceToBatchND", vec![zeros::<f32>(&[1, 1, 1]), one([2i64]), one([[0, (1i64 << 45) - 1]])]),
        row("DecodePaddedRaw", vec![one(Tensor::full_string("a", [many]).unwrap()), one(1i32 << 30)])
            .attr("out_type", DType::UInt8),
        row("ResizeBilinear", vec![zeros::<f32>(&[1, 2, 2, 8]), one([1i32 << 21, 1 << 21])]),
        row("ResizeNearestNeighbor", vec![zeros::<f32>(&[1, 2, 2, 8]), one([1i32 << 21, 1 << 21])]),
        row("AsString", vec![zeros::<i32>(&[many])]).attr("width", 1i64 << 30),
        row("AsString", vec![zeros::<f32>(&[many])]).attr("precision", 1i64 << 30),
        row("SparseFillEmptyRows", vec![one([[0i64]]), one([1.0f32]), one([HUGE]), one(0.0f32)]),
        row("SparseReduceSum", vec![one([[0i64, 0]]), one([1.0f32]), one([HUGE, 2]), one([1i32])]),
        row(
            "SparseTensorDenseMatMul",
            vec![one([[0i64, 0]]), one([1.0f32]), one([HUGE, 1]), one([[1.0f32]])],
        ),
        row(
            "TensorListGetItem",
            vec![
                Input::Made(Box::new(
                    row("TensorListReserve", vec![one([HUGE]), one(1i32)])
                        .attr("element_dtype", DType::Float32)
                        .attr("shape_type", DType::Int64),
                )),
                one(0i32),
                one(-1i32),
            ],
        )
        .attr("element_dtype", DType::Float32),
        row(
            "TensorListStack",
            vec![
                Input::Made(Box::new(
                    row("TensorListReserve", vec![one([HUGE >> 10]), one(1i32 << 10)])
                        .attr("element_dtype", DType::Float32)
                        .attr("shape_type", DType::Int64),
                )),
                one(-1i32),
            ],
        )
        .attr("element_dtype", DType::Float32),
        row(
            "TensorArrayReadV3",
            vec![
                Input::Made(Box::new(
                    row("TensorArrayV3", vec![one(1i32)])
                        .attr("dtype", DType::Float32)
                        .attr("element_shape", sizes(huge_shape())),
                )),
                one(0i32),
                one(0.0f32),
            ],
        )
        .attr("dtype", DType::Float32),
    ]
}

fn made_of_products() -> Vec<Row> {
    let (column, line) = (|| zeros::<f32>(&[SIDE, 1]), || zeros::<f32>(&[1, SIDE]));
    let vector = || zeros::<f32>(&[SIDE]);
    vec![
        row("AddV2", vec![column(), line()]),
        row("Less", vec![zeros::<f32>(&[1 << 22, 1]), zeros::<f32>(&[1, 1 << 22])]),
        row("SelectV2", vec![one(true), column(), line()]),
        row("SquaredDifference", vec![column(), line()]),
        row("MatMul", vec![column(), line()]),
        row("BatchMatMulV2", vec![zeros::<f32>(&[2, SIDE, 1]), zeros::<f32>(&[1, 1, SIDE])]),
        row("Einsum", vec![Input::List(vec![Tensor::full(0.0f32, [SIDE]), Tensor::full(0.0f32, [SIDE])])])
            .attr("equation", "i,j->ij"),
        row("Diag", vec![vector()]),
        row("MatrixDiag", vec![vector()]),
        row("GatherV2", vec![line(), zeros::<i32>(&[SIDE]), one(0i32)]),
        row(
            "StringJoin",
            vec![Input::List(vec![
                Tensor::full_string("", [SIDE]).unwrap(),
                Tensor::string(Bytes::from(vec![b'a'; 1 << 24])),
            ])],
        ),
    ]
}

/// Builds the operation, its inputs constants, or placeholders that are fed.
fn build(graph: &Graph, row: &Row, feeds: &mut Option<Vec<(Output, Tensor)>>) -> Operation {
    let find = |name: &str| library().find(name).unwrap_or_else(|| panic!("{name} is defined"));
    let mut value = |tensor: &Tensor| match feeds {
        Some(feeds) => {
            let builder = graph.op(find("Placeholder")).attr("dtype", tensor.dtype());
            let placeholder = builder.attr("shape", PartialShape::unknown()).finish_output();
            feeds.push((placeholder.clone(), tensor.clone()));
            placeholder
        }
        None => {
            let constant = graph.op(find("Const")).attr("value", tensor.clone());
            constant.attr("dtype", tensor.dtype()).finish_output()
        }
    };
    let mut inputs: Vec<Vec<Output>> = Vec::new();
    for input in &row.inputs {
        inputs.push(match input {
            Input::One(tensor) => vec![value(tensor)],
            Input::List(tensors) => tensors.iter().map(&mut value).collect(),
            Input::Made(_) => Vec::new(),
        });
    }
    let mut builder = graph.op(find(row.op_type));
    for (input, outputs) in row.inputs.iter().zip(inputs) {
        builder = match input {
            Input::One(_) => builder.input(&outputs[0]),
            Input::List(_) => builder.input_list(outputs),
            Input::Made(made) => builder.input(build(graph, made, feeds).output(0)),
        };
    }
    for (name, value) in &row.attrs {
        builder = builder.attr(name, value.clone());
    }
    builder.finish()
}

fn run(
    session: &Arc<dyn Session>,
    operation: &Operation,
    feeds: &[(Output, Tensor)],
) -> session_core::Result<Vec<Tensor>> {
    let fetches: Vec<_> =
        (0..operation.num_outputs()).map(|index| operation.output(index).endpoint()).collect();
    let feeds: Vec<_> = feeds.iter().map(|(output, value)| (output.endpoint(), value.clone())).collect();
    let step = Step { fetches: &fetches, targets: &[], feeds: &feeds, options: &RunOptions::default() };
    session.execute(&step, None)
}

fn refused(rows: Vec<Row>) {
    for row in &rows {
        for fed in [false, true] {
            let graph = Graph::new();
            let mut feeds = fed.then(Vec::new);
            let operation = build(&graph, row, &mut feeds);
            let after = ops::array::constant(&graph.named("after"), [1i32, 2]);
            let after = (&after + &after).operation().clone();
            graph.check().unwrap_or_else(|error| panic!("{}: {error}", row.op_type));
            let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
            let error = run(&session, &operation, &feeds.unwrap_or_default()).expect_err(row.op_type);
            assert_eq!(error.code(), Code::ResourceExhausted, "{}: {error}", row.op_type);
            assert!(
                error.op_type().is_some() && error.message().contains("memory"),
                "{}: {error}",
                row.op_type
            );
            assert_eq!(run(&session, &after, &[]).unwrap(), [Tensor::from([2i32, 4])], "{}", row.op_type);
        }
    }
}

#[test]
fn shapes_that_no_memory_holds_are_refused() {
    refused(made_of_shapes());
}

#[test]
fn counts_that_no_memory_holds_are_refused() {
    refused(made_of_counts());
}

#[test]
fn sizes_beyond_memory_are_refused() {
    refused(made_of_products());
}

#[test]
fn a_shape_beyond_the_address_space_is_refused() {
    let graph = Graph::new();
    let fill =
        Row { op_type: "Fill", attrs: Vec::new(), inputs: vec![one([i64::MAX, i64::MAX]), one(1.0f32)] };
    let mut feeds = Some(Vec::new());
    let operation = build(&graph, &fill, &mut feeds);
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
    let error = run(&session, &operation, &feeds.unwrap()).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert!(error.message().contains(&Shape::from([i64::MAX as usize; 2]).to_string()), "{error}");
}
