//! Products, convolutions, pools, normalizations, losses and images.

use crate::cases::{Case, FLOATS, allowed, case, fixed, numbers, run, spread};
use crate::engines::{Engines, Report};
use session_core::{AttrValue, DType, Tensor};

/// Rows that differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("Conv2D of no images", "TensorFlow gives the input's depth, which is wrong"),
    (
        "Softmax float32 extreme",
        "next to a NaN, TensorFlow's other elements depend on the vector instructions",
    ),
    (
        "Softmax float16 extreme",
        "next to a NaN, TensorFlow's other elements depend on the vector instructions",
    ),
    (
        "Softmax bfloat16 extreme",
        "next to a NaN, TensorFlow's other elements depend on the vector instructions",
    ),
    ("SparseSoftmaxCrossEntropyWithLogits float16", "TensorFlow rounds every intermediate to 16 bits"),
    ("SparseSoftmaxCrossEntropyWithLogits bfloat16", "TensorFlow rounds every intermediate to 16 bits"),
];

const F: DType = DType::Float32;

fn list(values: &[i64]) -> AttrValue {
    AttrValue::from(values)
}

fn products(cases: &mut Vec<Case>) {
    for dtype in allowed("MatMul", "T") {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a: [usize; 2] = if ta { [4, 3] } else { [3, 4] };
            let b: [usize; 2] = if tb { [5, 4] } else { [4, 5] };
            let row = case("MatMul", format!("{dtype} {ta} {tb}")).slack(8.0);
            let row = row.attr("transpose_a", ta).attr("transpose_b", tb);
            cases.push(row.arg(spread(dtype, &a)).arg(spread(dtype, &b)));
        }
        cases.push(
            case("MatMul", format!("{dtype} of nothing"))
                .arg(spread(dtype, &[3, 0]))
                .arg(spread(dtype, &[0, 2])),
        );
        cases.push(
            case("MatMul", format!("{dtype} to nothing"))
                .arg(spread(dtype, &[0, 3]))
                .arg(spread(dtype, &[3, 2])),
        );
        let row = case("MatMul", format!("{dtype} larger")).slack(16.0);
        cases.push(row.arg(spread(dtype, &[33, 70])).arg(spread(dtype, &[70, 17])));
    }
    for dtype in allowed("BatchMatMulV2", "T") {
        for (a, b) in [
            ([2usize, 3, 4], [2usize, 4, 5]),
            ([1, 3, 4], [2, 4, 5]),
            ([2, 1, 4], [1, 4, 1]),
            ([0, 3, 4], [0, 4, 2]),
        ] {
            let row = case("BatchMatMulV2", format!("{dtype} {a:?} {b:?}")).slack(8.0);
            cases.push(row.arg(spread(dtype, &a)).arg(spread(dtype, &b)));
        }
        let row = case("BatchMatMulV2", format!("{dtype} adjoint"))
            .slack(8.0)
            .attr("adj_x", true)
            .attr("adj_y", true);
        cases.push(row.arg(spread(dtype, &[2, 4, 3])).arg(spread(dtype, &[5, 4])));
    }
    cases.push(case("MatMul", "that does not fit").arg(spread(F, &[2, 3])).arg(spread(F, &[2, 3])));
    cases.push(
        case("MatMul", "with NaN and infinity")
            .arg(numbers(F, &[1.0, f64::INFINITY, 0.0, f64::NAN], &[2, 2]))
            .arg(spread(F, &[2, 3])),
    );
}

fn convolutions(cases: &mut Vec<Case>) {
    for dtype in [DType::Float32, DType::Float64, DType::Float16, DType::BFloat16] {
        for padding in ["SAME", "VALID"] {
            for (strides, dilations) in
                [([1i64, 1], [1i64, 1]), ([2, 2], [1, 1]), ([1, 3], [1, 1]), ([1, 1], [2, 2])]
            {
                let note = format!("{dtype} {padding} {strides:?} {dilations:?}");
                let steps = list(&[1, strides[0], strides[1], 1]);
                let rates = list(&[1, dilations[0], dilations[1], 1]);
                let (x, w) = (spread(dtype, &[2, 7, 8, 3]), spread(dtype, &[3, 2, 3, 4]));
                let row = case("Conv2D", note.clone()).arg(x.clone()).arg(w.clone()).slack(32.0);
                cases.push(
                    row.attr("padding", padding)
                        .attr("strides", steps.clone())
                        .attr("dilations", rates.clone()),
                );
                if strides[0] == strides[1] {
                    let row = case("DepthwiseConv2dNative", note)
                        .arg(x)
                        .arg(spread(dtype, &[3, 2, 3, 2]))
                        .slack(32.0);
                    cases.push(row.attr("padding", padding).attr("strides", steps).attr("dilations", rates));
                }
            }
        }
    }
    for (size, filter) in
        [([1usize, 1], [1usize, 1]), ([1, 1], [3, 3]), ([5, 1], [5, 1]), ([4, 9], [4, 9]), ([2, 2], [1, 1])]
    {
        for padding in ["SAME", "VALID"] {
            let row = case("Conv2D", format!("{size:?} with {filter:?} {padding}")).slack(32.0);
            let row =
                row.arg(spread(F, &[2, size[0], size[1], 2])).arg(spread(F, &[filter[0], filter[1], 2, 3]));
            cases.push(row.attr("padding", padding).attr("strides", list(&[1, 1, 1, 1])));
        }
    }
    let row = case("Conv2D", "of no images").arg(spread(F, &[0, 4, 4, 2])).arg(spread(F, &[3, 3, 2, 3]));
    cases.push(row.attr("padding", "SAME").attr("strides", list(&[1, 1, 1, 1])));
    let row = case("Conv2D", "of other channels").arg(spread(F, &[1, 4, 4, 2])).arg(spread(F, &[3, 3, 3, 3]));
    cases.push(row.attr("padding", "SAME").attr("strides", list(&[1, 1, 1, 1])));
    let row = case("Conv2D", "padded explicitly")
        .arg(spread(F, &[1, 4, 5, 2]))
        .arg(spread(F, &[3, 3, 2, 3]))
        .slack(32.0);
    let row = row.attr("padding", "EXPLICIT").attr("explicit_paddings", list(&[0, 0, 1, 2, 0, 3, 0, 0]));
    cases.push(row.attr("strides", list(&[1, 1, 1, 1])));
    let row =
        case("Conv2D", "in groups").arg(spread(F, &[1, 4, 5, 4])).arg(spread(F, &[3, 3, 2, 6])).slack(32.0);
    cases.push(row.attr("padding", "SAME").attr("strides", list(&[1, 1, 1, 1])));
    backward(cases);
}

fn backward(cases: &mut Vec<Case>) {
    for padding in ["SAME", "VALID"] {
        for stride in [1i64, 2] {
            let out: [usize; 2] = match (padding, stride) {
                ("SAME", 1) => [6, 7],
                ("SAME", _) => [3, 4],
                (_, 1) => [4, 6],
                _ => [2, 3],
            };
            let steps = list(&[1, stride, stride, 1]);
            for dtype in FLOATS {
                let (x, w) = (spread(dtype, &[2, 6, 7, 3]), spread(dtype, &[3, 2, 3, 4]));
                let dy = spread(dtype, &[2, out[0], out[1], 4]);
                let note = format!("{dtype} {padding} {stride}");
                let row =
                    case("Conv2DBackpropInput", note.clone()).arg(fixed([2i32, 6, 7, 3])).arg(w).slack(32.0);
                cases.push(row.arg(dy.clone()).attr("padding", padding).attr("strides", steps.clone()));
                let row = case("Conv2DBackpropFilter", note).arg(x).arg(fixed([3i32, 2, 3, 4])).slack(64.0);
                cases.push(row.arg(dy).attr("padding", padding).attr("strides", steps.clone()));
            }
        }
    }
}

fn pools(cases: &mut Vec<Case>) {
    for op_type in ["MaxPool", "AvgPool"] {
        for dtype in allowed(op_type, "T") {
            for padding in ["SAME", "VALID"] {
                for (size, stride) in
                    [([2i64, 2], [2i64, 2]), ([3, 2], [1, 2]), ([1, 1], [1, 1]), ([2, 2], [3, 3])]
                {
                    let row = case(op_type, format!("{dtype} {padding} {size:?} {stride:?}")).slack(8.0);
                    let row = row.arg(spread(dtype, &[2, 5, 6, 3])).attr("padding", padding);
                    let row = row.attr("ksize", list(&[1, size[0], size[1], 1]));
                    cases.push(row.attr("strides", list(&[1, stride[0], stride[1], 1])));
                }
            }
        }
        let row = case(op_type, "with NaN").arg(numbers(
            F,
            &[1.0, f64::NAN, 2.0, f64::NEG_INFINITY],
            &[1, 2, 2, 1],
        ));
        let row = row.attr("padding", "VALID").attr("ksize", list(&[1, 2, 2, 1]));
        cases.push(row.attr("strides", list(&[1, 2, 2, 1])));
    }
    for targmax in [DType::Int32, DType::Int64] {
        let row = case("MaxPoolWithArgmax", format!("{targmax}")).arg(spread(F, &[2, 4, 5, 3]));
        let row = row.attr("padding", "SAME").attr("ksize", list(&[1, 2, 2, 1])).attr("Targmax", targmax);
        cases.push(row.attr("strides", list(&[1, 2, 2, 1])));
    }
}

fn normalizations(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        for shape in [&[4usize, 5][..], &[2, 3, 4], &[1, 1], &[0, 3], &[7]] {
            for op_type in ["Softmax", "LogSoftmax"] {
                cases.push(case(op_type, format!("{dtype} {shape:?}")).arg(spread(dtype, shape)).slack(4.0));
            }
            cases.push(case("L2Loss", format!("{dtype} {shape:?}")).arg(spread(dtype, shape)).slack(4.0));
        }
        for op_type in ["Softmax", "LogSoftmax"] {
            let values = [1.0, 1000.0, -1000.0, 0.0, f64::NEG_INFINITY, 1.0, f64::NAN, 0.0, 1.0];
            cases.push(
                case(op_type, format!("{dtype} extreme")).arg(numbers(dtype, &values, &[3, 3])).slack(4.0),
            );
        }
        let labels = numbers(dtype, &[0.2, 0.8, 0.0, 0.5, 0.25, 0.25], &[2, 3]);
        let row =
            case("SoftmaxCrossEntropyWithLogits", format!("{dtype}")).arg(spread(dtype, &[2, 3])).slack(4.0);
        cases.push(row.arg(labels));
        for classes in [[0i64, 2], [1, 3], [-1, 0]] {
            let row = case("SparseSoftmaxCrossEntropyWithLogits", format!("{dtype} {classes:?}")).slack(4.0);
            cases.push(row.arg(spread(dtype, &[2, 3])).arg(Tensor::from(classes)));
        }
    }
    for dtype in allowed("BiasAdd", "T") {
        cases.push(
            case("BiasAdd", format!("{dtype}")).arg(spread(dtype, &[2, 3, 4])).arg(spread(dtype, &[4])),
        );
        cases.push(case("BiasAddGrad", format!("{dtype}")).arg(spread(dtype, &[2, 3, 4])).slack(8.0));
    }
    cases.push(case("BiasAdd", "that does not fit").arg(spread(F, &[2, 3])).arg(spread(F, &[2])));
    for (epsilon, training) in [(1e-3f32, true), (0.1, true), (1e-3, false)] {
        let row = case("FusedBatchNormV3", format!("{epsilon} {training}"))
            .arg(spread(F, &[3, 4, 2, 5]))
            .slack(16.0);
        let moments = |values: &[f64]| numbers(F, values, &[values.len()]);
        let (mean, variance): (&[f64], &[f64]) =
            if training { (&[], &[]) } else { (&[0.1, 0.2, 0.3, 0.4, 0.5], &[1.0, 2.0, 0.5, 0.25, 3.0]) };
        let row = row.arg(spread(F, &[5])).arg(spread(F, &[5])).arg(moments(mean)).arg(moments(variance));
        cases.push(row.attr("epsilon", epsilon).attr("is_training", training));
    }
    for radius in [1i64, 2, 5] {
        let row = case("LRN", format!("{radius}"))
            .arg(spread(F, &[1, 2, 2, 7]))
            .attr("depth_radius", radius)
            .slack(8.0);
        cases.push(row.attr("bias", 2.0f32).attr("alpha", 0.5f32).attr("beta", 0.75f32));
    }
}

fn images(cases: &mut Vec<Case>) {
    for op_type in ["ResizeBilinear", "ResizeNearestNeighbor"] {
        for dtype in allowed(op_type, "T") {
            for (align, centers) in [(false, false), (true, false), (false, true)] {
                for size in [[4i32, 5], [1, 1], [2, 7], [9, 2]] {
                    let row = case(op_type, format!("{dtype} {align} {centers} {size:?}")).slack(4.0);
                    let row = row.arg(spread(dtype, &[2, 4, 5, 2])).arg(Tensor::from(size));
                    cases.push(row.attr("align_corners", align).attr("half_pixel_centers", centers));
                }
            }
        }
    }
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    let mut cases = Vec::new();
    products(&mut cases);
    convolutions(&mut cases);
    pools(&mut cases);
    normalizations(&mut cases);
    images(&mut cases);
    run(engines, report, cases, DIFFERENT);
}
