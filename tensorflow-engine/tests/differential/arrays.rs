//! Operations that arrange elements, with every kind of axis, mask and degenerate size.

use crate::cases::{ALL, Case, allowed, case, fixed, numbers, run, spread};
use crate::engines::{Engines, Report};
use session_core::{AttrValue, DType, Tensor};

/// Rows with known differences, and the reasons.
const DIFFERENT: &[(&str, &str)] = &[];

const F: DType = DType::Float32;

fn ints(values: &[i32]) -> Tensor {
    Tensor::from(values)
}

fn everything() -> impl Iterator<Item = DType> {
    ALL.into_iter().chain([DType::String])
}

fn shaping(cases: &mut Vec<Case>) {
    for dtype in everything() {
        let x = || spread(dtype, &[2, 3, 4]);
        for perm in [[0i32, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1], [2, 0, 1]] {
            let row = case("Transpose", format!("{dtype} {perm:?}"));
            cases.push(row.arg(x()).arg(ints(&perm)));
        }
        cases.push(case("Reshape", format!("{dtype}")).arg(x()).arg(ints(&[4, -1])));
        cases.push(case("ExpandDims", format!("{dtype}")).arg(x()).arg(Tensor::from(-2i32)));
        cases.push(case("Squeeze", format!("{dtype}")).arg(spread(dtype, &[1, 3, 1])));
        cases.push(case("Tile", format!("{dtype}")).arg(spread(dtype, &[2, 3])).arg(ints(&[2, 3])));
        cases.push(case("BroadcastTo", format!("{dtype}")).arg(spread(dtype, &[3, 1])).arg(ints(&[2, 3, 4])));
        cases.push(case("ZerosLike", format!("{dtype}")).arg(x()));
        cases.push(case("Shape", format!("{dtype}")).arg(x()).attr("out_type", DType::Int64));
        cases.push(case("Fill", format!("{dtype}")).arg(ints(&[2, 2])).arg(numbers(dtype, &[1.0], &[])));
        cases.push(case("Identity", format!("{dtype}")).arg(x()));
    }
    for dtype in ALL {
        cases.push(case("OnesLike", format!("{dtype}")).arg(spread(dtype, &[3])));
        for to in ALL {
            let row = case("Bitcast", format!("{dtype} to {to}")).attr("type", to);
            if dtype != DType::Bool && to != DType::Bool {
                cases.push(row.arg(spread(dtype, &[4, 2])));
            }
        }
    }
    let perm = case("Transpose", "of four axes").arg(spread(F, &[2, 3, 4, 5]));
    cases.push(perm.arg(ints(&[3, 0, 2, 1])));
    cases.push(case("Transpose", "empty").arg(spread(F, &[2, 0, 3])).arg(ints(&[2, 0, 1])));
    cases.push(case("Transpose", "axis twice").arg(spread(F, &[2, 3])).arg(ints(&[0, 0])));
    cases.push(case("Transpose", "axis beyond").arg(spread(F, &[2, 3])).arg(ints(&[0, 2])));
    cases.push(case("ConjugateTranspose", "").arg(spread(DType::Complex64, &[2, 3])).arg(ints(&[1, 0])));
    for shape in [&[-1i32][..], &[3, 2], &[0, -1], &[5], &[-1, -1], &[-2, 3]] {
        cases.push(case("Reshape", format!("to {shape:?}")).arg(spread(F, &[2, 3])).arg(ints(shape)));
    }
    cases.push(case("Reshape", "of nothing").arg(spread(F, &[0, 3])).arg(ints(&[3, -1])));
    cases.push(case("Reshape", "of nothing to nothing").arg(spread(F, &[0, 3])).arg(ints(&[0, -1])));
    for axis in [0i32, 1, 2, -1, -3, 3, -4] {
        cases.push(case("ExpandDims", format!("at {axis}")).arg(spread(F, &[2, 3])).arg(Tensor::from(axis)));
    }
    let squeeze = |axes: &[i64]| case("Squeeze", format!("{axes:?}")).attr("squeeze_dims", axes);
    for axes in [&[0i64][..], &[-1], &[0, 2], &[1]] {
        cases.push(squeeze(axes).arg(spread(F, &[1, 3, 1])));
    }
    cases.push(case("BroadcastTo", "to nothing").arg(spread(F, &[1, 3])).arg(ints(&[0, 3])));
    cases.push(case("BroadcastTo", "that does not fit").arg(spread(F, &[2, 3])).arg(ints(&[2, 4])));
    cases.push(case("BroadcastArgs", "").arg(ints(&[2, 1])).arg(ints(&[3])));
    cases.push(case("BroadcastGradientArgs", "").arg(ints(&[2, 1, 3])).arg(ints(&[4, 1])));
    cases.push(case("InvertPermutation", "").arg(ints(&[2, 0, 1])));
    cases.push(case("InvertPermutation", "none").arg(ints(&[2, 0, 0])));
    cases.push(case("ShapeN", "").arg(vec![spread(F, &[2, 3]), spread(F, &[])]));
    for op_type in ["Size", "Rank"] {
        cases.push(case(op_type, "").arg(spread(F, &[2, 0, 3])));
    }
    for dtype in [DType::Int32, DType::Int64, DType::Float32, DType::Float64] {
        for (start, limit, delta) in
            [(0.0, 10.0, 3.0), (5.0, 0.0, -2.0), (0.0, 0.0, 1.0), (1.0, 2.0, -1.0), (0.0, 1.0, 0.0)]
        {
            let number = |x: f64| numbers(dtype, &[x], &[]);
            let row = case("Range", format!("{dtype} {start} {limit} {delta}"));
            cases.push(row.arg(number(start)).arg(number(limit)).arg(number(delta)));
        }
    }
    for dtype in [DType::Float32, DType::Float64] {
        for num in [1i32, 2, 7, 0] {
            let row = case("LinSpace", format!("{dtype} {num}"));
            cases.push(
                row.arg(numbers(dtype, &[-1.0], &[])).arg(numbers(dtype, &[2.5], &[])).arg(Tensor::from(num)),
            );
        }
    }
}

fn joining(cases: &mut Vec<Case>) {
    for dtype in everything() {
        let parts = || vec![spread(dtype, &[2, 3]), spread(dtype, &[2, 1]), spread(dtype, &[2, 0])];
        cases.push(case("ConcatV2", format!("{dtype}")).arg(parts()).arg(fixed(1i32)));
        cases.push(
            case("Pack", format!("{dtype}"))
                .arg(vec![spread(dtype, &[2]), spread(dtype, &[2])])
                .attr("axis", 1i64),
        );
        let row = case("Unpack", format!("{dtype}")).arg(spread(dtype, &[2, 3])).attr("num", 3i64);
        cases.push(row.attr("axis", -1i64));
        let row = case("Split", format!("{dtype}")).arg(fixed(1i32)).arg(spread(dtype, &[2, 6]));
        cases.push(row.attr("num_split", 3i64));
        let row = case("SplitV", format!("{dtype}")).arg(spread(dtype, &[2, 6])).arg(ints(&[1, -1, 2]));
        cases.push(row.arg(fixed(-1i32)).attr("num_split", 3i64));
        cases.push(case("ReverseV2", format!("{dtype}")).arg(spread(dtype, &[2, 3, 2])).arg(ints(&[0, -1])));
        let row = case("Roll", format!("{dtype}")).arg(spread(dtype, &[3, 4]));
        cases.push(row.arg(ints(&[1, -2])).arg(ints(&[0, 1])));
        let row = case("Pad", format!("{dtype}")).arg(spread(dtype, &[2, 3]));
        cases.push(row.arg(Tensor::from([[1i32, 0], [2, 1]])));
        let row = case("PadV2", format!("{dtype}"))
            .arg(spread(dtype, &[2, 3]))
            .arg(Tensor::from([[0i32, 1], [0, 0]]));
        cases.push(row.arg(numbers(dtype, &[5.0], &[])));
        for mode in ["REFLECT", "SYMMETRIC"] {
            let row =
                case("MirrorPad", format!("{dtype} {mode}")).arg(spread(dtype, &[2, 3])).attr("mode", mode);
            cases.push(row.arg(Tensor::from([[1i32, 1], [2, 0]])));
        }
        let row = case("ReverseSequence", format!("{dtype}")).arg(spread(dtype, &[3, 4]));
        cases.push(row.arg(ints(&[0, 2, 4])).attr("seq_dim", 1i64).attr("batch_dim", 0i64));
        let row =
            case("DynamicPartition", format!("{dtype}")).arg(spread(dtype, &[4, 2])).arg(ints(&[2, 0, 2, 0]));
        cases.push(row.attr("num_partitions", 3i64));
        let row = case("DynamicStitch", format!("{dtype}")).arg(vec![ints(&[3, 0]), ints(&[1, 3])]);
        cases.push(row.arg(vec![spread(dtype, &[2, 2]), spread(dtype, &[2, 2])]));
    }
    cases.push(
        case("ConcatV2", "axis beyond").arg(vec![spread(F, &[2]), spread(F, &[2])]).arg(Tensor::from(1i32)),
    );
    cases.push(
        case("ConcatV2", "that do not fit")
            .arg(vec![spread(F, &[2, 2]), spread(F, &[3, 3])])
            .arg(Tensor::from(0i32)),
    );
    cases.push(case("Concat", "").arg(Tensor::from(0i32)).arg(vec![spread(F, &[2]), spread(F, &[1])]));
    cases.push(case("ConcatOffset", "").arg(Tensor::from(1i32)).arg(vec![ints(&[2, 3]), ints(&[2, 5])]));
    let split = case("Split", "that does not go").arg(Tensor::from(0i32)).arg(spread(F, &[5]));
    cases.push(split.attr("num_split", 2i64));
    let split =
        case("SplitV", "of the wrong sum").arg(spread(F, &[5])).arg(ints(&[2, 2])).arg(Tensor::from(0i32));
    cases.push(split.attr("num_split", 2i64));
    for op_type in ["Pad", "MirrorPad"] {
        let row = case(op_type, "negative").arg(spread(F, &[3])).arg(Tensor::from([[-1i32, 0]]));
        cases.push(if op_type == "Pad" { row } else { row.attr("mode", "REFLECT") });
    }
    let row = case("MirrorPad", "too wide").arg(spread(F, &[3])).arg(Tensor::from([[3i32, 0]]));
    cases.push(row.attr("mode", "REFLECT"));
    let row = case("ReverseSequence", "too long").arg(spread(F, &[1, 2])).arg(ints(&[3]));
    cases.push(row.attr("seq_dim", 1i64));
    let row = case("DynamicPartition", "beyond the end").arg(spread(F, &[2])).arg(ints(&[0, 2]));
    cases.push(row.attr("num_partitions", 2i64));
}

fn slicing(cases: &mut Vec<Case>) {
    for dtype in everything() {
        let x = || spread(dtype, &[4, 5]);
        cases.push(case("Slice", format!("{dtype}")).arg(x()).arg(ints(&[1, 2])).arg(ints(&[2, -1])));
        let row = case("StridedSlice", format!("{dtype}")).arg(x());
        cases.push(row.arg(ints(&[3, 0])).arg(ints(&[0, 5])).arg(ints(&[-2, 3])));
        // Values of the part's shape, and others that are broadcast to it or are not.
        for value in [vec![2, 2], vec![2], vec![2, 1], vec![], vec![3], vec![1, 2, 2]] {
            let row = case("TensorStridedSliceUpdate", format!("{dtype} {value:?}")).arg(x());
            let row = row.arg(ints(&[3, 0])).arg(ints(&[0, 5])).arg(ints(&[-2, 3]));
            cases.push(row.arg(spread(dtype, &value)));
        }
        let row = case("GatherV2", format!("{dtype}")).arg(x()).arg(Tensor::from([[2i64, 0], [1, 1]]));
        cases.push(row.arg(fixed(1i32)));
        cases.push(case("GatherNd", format!("{dtype}")).arg(x()).arg(Tensor::from([[2i32, 0], [3, 4]])));
    }
    type Masks = (i64, i64, i64, i64, i64);
    let masks: [Masks; 9] = [
        (0, 0, 0, 0, 0),
        (1, 0, 0, 0, 0),
        (0, 2, 0, 0, 0),
        (3, 3, 0, 0, 0),
        (0, 0, 1, 0, 0),
        (0, 0, 2, 0, 0),
        (0, 0, 0, 1, 0),
        (0, 0, 0, 2, 1),
        (0, 0, 0, 0, 2),
    ];
    for (begin, end, ellipsis, new_axis, shrink) in masks {
        for strides in [[1i32, 1], [2, -1], [-1, 2]] {
            for (from, to) in [([0i32, 1], [3i32, 4]), ([-1, -2], [-4, 9]), ([2, 3], [1, -9])] {
                let note =
                    format!("{begin} {end} {ellipsis} {new_axis} {shrink} {strides:?} {from:?} {to:?}");
                let row = case("StridedSlice", note).arg(spread(F, &[4, 5, 2]));
                let row = row.arg(ints(&from)).arg(ints(&to)).arg(ints(&strides));
                let row = row.attr("begin_mask", begin).attr("end_mask", end).attr("ellipsis_mask", ellipsis);
                cases.push(row.attr("new_axis_mask", new_axis).attr("shrink_axis_mask", shrink));
            }
        }
    }
    let row = case("TensorScatterSub", "complex").arg(spread(DType::Complex64, &[4]));
    cases.push(row.arg(Tensor::from([[2i32], [2]])).arg(spread(DType::Complex64, &[2])));
    for (shrink, value) in [(1i64, vec![5usize]), (1, vec![]), (0, vec![5]), (1, vec![1, 5])] {
        let row =
            case("TensorStridedSliceUpdate", format!("a row, {shrink} {value:?}")).arg(spread(F, &[4, 5]));
        let row = row.arg(ints(&[-1])).arg(ints(&[4])).arg(ints(&[1])).arg(spread(F, &value));
        cases.push(row.attr("shrink_axis_mask", shrink));
    }
    let row = case("StridedSlice", "stride zero").arg(spread(F, &[4]));
    cases.push(row.arg(ints(&[0])).arg(ints(&[4])).arg(ints(&[0])));
    let row = case("StridedSliceGrad", "").arg(ints(&[4, 5])).arg(ints(&[3, 0])).arg(ints(&[0, 5]));
    cases.push(row.arg(ints(&[-2, 3])).arg(spread(F, &[2, 2])));
    for (begin, size) in
        [([0i32, 0], [4i32, 5]), ([4, 5], [0, 0]), ([0, 0], [-1, -1]), ([1, 1], [4, 1]), ([-1, 0], [1, 1])]
    {
        let row = case("Slice", format!("{begin:?} {size:?}")).arg(spread(F, &[4, 5]));
        cases.push(row.arg(ints(&begin)).arg(ints(&size)));
    }
}

fn gathering(cases: &mut Vec<Case>) {
    for (axis, batch) in [(0i32, 0i64), (1, 0), (2, 0), (-1, 0), (1, 1), (2, 1), (2, 2), (-1, -1)] {
        let indices = Tensor::from_vec((0..12).map(|i| i % 2).collect::<Vec<i32>>(), [2, 3, 2]).unwrap();
        let row = case("GatherV2", format!("axis {axis} batch {batch}")).arg(spread(F, &[2, 3, 4]));
        cases.push(row.arg(indices).arg(Tensor::from(axis)).attr("batch_dims", batch));
    }
    for index in [-1i32, 4] {
        let row = case("GatherV2", format!("index {index}")).arg(spread(F, &[4])).arg(ints(&[0, index]));
        cases.push(row.arg(Tensor::from(0i32)));
        cases.push(
            case("GatherNd", format!("index {index}")).arg(spread(F, &[4])).arg(Tensor::from([[index]])),
        );
        let row = case("ScatterNd", format!("index {index}")).arg(Tensor::from([[index]]));
        cases.push(row.arg(spread(F, &[1])).arg(ints(&[4])));
    }
    cases.push(case("Gather", "").arg(spread(F, &[4, 2])).arg(ints(&[3, 0])));
    let row = case("GatherV2", "no indices").arg(spread(F, &[4, 2])).arg(ints(&[]));
    cases.push(row.arg(Tensor::from(0i32)));
    cases.push(
        case("GatherNd", "rows")
            .arg(spread(F, &[3, 4, 2]))
            .arg(Tensor::from_vec(vec![2i32, 0, 1, 1], [2, 2, 1]).unwrap()),
    );
    let nothing = Tensor::from_vec(Vec::<i32>::new(), [2, 0]).unwrap();
    cases.push(case("GatherNd", "wholes").arg(spread(F, &[3, 2])).arg(nothing));
    for policy in ["DEFAULT", "ERROR", "IGNORE", "OTHER"] {
        let outside = || Tensor::from([[1i32], [4], [-1], [0], [1]]);
        for dtype in [F, DType::Int64, DType::Bool, DType::String] {
            let row = case("GatherNd", format!("{dtype} {policy}")).arg(spread(dtype, &[4, 2]));
            cases.push(row.arg(outside()).attr("bad_indices_policy", policy));
            let row = case("ScatterNd", format!("{dtype} {policy}")).arg(outside());
            let row = row.arg(spread(dtype, &[5, 2])).arg(ints(&[4, 2]));
            cases.push(row.attr("bad_indices_policy", policy));
        }
        for op_type in [
            "TensorScatterUpdate",
            "TensorScatterAdd",
            "TensorScatterSub",
            "TensorScatterMin",
            "TensorScatterMax",
            "ScatterNdNonAliasingAdd",
        ] {
            let row = case(op_type, policy).arg(spread(F, &[4, 2])).arg(outside());
            cases.push(row.arg(spread(F, &[5, 2])).attr("bad_indices_policy", policy));
        }
    }
    for dtype in everything() {
        let row = case("ScatterNd", format!("{dtype}")).arg(Tensor::from([[2i32], [0], [2]]));
        cases.push(row.arg(spread(dtype, &[3, 2])).arg(ints(&[4, 2])));
        let row = case("Fill", format!("{dtype} of a scalar")).arg(ints(&[]));
        cases.push(row.arg(numbers(dtype, &[3.0], &[])));
        let row = case("GatherV2", format!("{dtype} within batches")).arg(spread(dtype, &[2, 3, 2]));
        cases.push(row.arg(Tensor::from([[2i32, 0], [1, 1]])).arg(fixed(1i32)).attr("batch_dims", 1i64));
        let row = case("StridedSliceGrad", format!("{dtype}")).arg(ints(&[4])).arg(ints(&[1]));
        cases.push(row.arg(ints(&[3])).arg(ints(&[1])).arg(spread(dtype, &[2])));
        for op_type in ["SelectV2", "Select"] {
            let row = case(op_type, format!("{dtype}")).arg(Tensor::from([true, false, true]));
            cases.push(row.arg(spread(dtype, &[3])).arg(spread(dtype, &[3])));
        }
        for op_type in ["TensorScatterUpdate", "TensorScatterAdd"] {
            let row = case(op_type, format!("{dtype}")).arg(spread(dtype, &[4, 2]));
            let indices = Tensor::from([[2i32, 1], [0, 0]]);
            cases.push(row.arg(indices).arg(spread(dtype, &[2])));
        }
        for axis in [0i64, 1, -1] {
            let row = case("OneHot", format!("{dtype} {axis}")).arg(Tensor::from([[1i64, 5], [-1, 0]]));
            let number = |x: f64| numbers(dtype, &[x], &[]);
            cases.push(row.arg(Tensor::from(3i32)).arg(number(1.0)).arg(number(0.0)).attr("axis", axis));
        }
    }
}

fn blocks_and_diagonals(cases: &mut Vec<Case>) {
    for dtype in everything() {
        let x = || spread(dtype, &[2, 3, 4]);
        cases.push(case("MatrixDiag", format!("{dtype}")).arg(spread(dtype, &[2, 3])));
        cases.push(case("MatrixDiagPart", format!("{dtype}")).arg(x()));
        cases.push(case("MatrixSetDiag", format!("{dtype}")).arg(x()).arg(spread(dtype, &[2, 3])));
        for (low, high) in [(0i64, 0i64), (-1, 1), (1, -1), (2, 0)] {
            let row = case("MatrixBandPart", format!("{dtype} {low} {high}")).arg(x());
            cases.push(row.arg(Tensor::from(low)).arg(Tensor::from(high)));
        }
        let zero = || numbers(dtype, &[7.0], &[]);
        for align in ["RIGHT_LEFT", "LEFT_RIGHT", "LEFT_LEFT", "RIGHT_RIGHT"] {
            let k = ints(&[-1, 1]);
            let row = case("MatrixDiagPartV3", format!("{dtype} {align}")).arg(x()).arg(k.clone());
            cases.push(row.arg(zero()).attr("align", align));
            let row = case("MatrixDiagV3", format!("{dtype} {align}"))
                .arg(spread(dtype, &[2, 3, 3]))
                .arg(k.clone());
            let row = row.arg(Tensor::from(-1i32)).arg(Tensor::from(-1i32));
            cases.push(row.arg(zero()).attr("align", align));
            let row = case("MatrixSetDiagV3", format!("{dtype} {align}")).arg(x());
            cases.push(row.arg(spread(dtype, &[2, 3, 3])).arg(k).attr("align", align));
        }
        for op_type in ["SpaceToDepth", "DepthToSpace"] {
            let row = case(op_type, format!("{dtype}")).arg(spread(dtype, &[2, 4, 6, 4]));
            cases.push(row.attr("block_size", 2i64));
        }
        let row = case("SpaceToBatchND", format!("{dtype}")).arg(spread(dtype, &[1, 4, 3, 2]));
        cases.push(row.arg(fixed([2i32, 2])).arg(fixed([[0i32, 0], [1, 0]])));
        let row = case("BatchToSpaceND", format!("{dtype}")).arg(spread(dtype, &[4, 2, 2, 2]));
        cases.push(row.arg(fixed([2i32, 2])).arg(fixed([[0i32, 1], [1, 0]])));
    }
    for dtype in allowed("Diag", "T") {
        cases.push(case("Diag", format!("{dtype}")).arg(spread(dtype, &[2, 2])));
        cases.push(case("DiagPart", format!("{dtype}")).arg(spread(dtype, &[2, 3, 2, 3])));
    }
    for padding in ["SAME", "VALID"] {
        let list = |values: [i64; 4]| AttrValue::from(values);
        let row = case("ExtractImagePatches", padding).arg(spread(F, &[1, 5, 6, 2])).attr("padding", padding);
        let row = row.attr("ksizes", list([1, 2, 3, 1])).attr("strides", list([1, 2, 1, 1]));
        cases.push(row.attr("rates", list([1, 2, 1, 1])));
    }
    let row = case("SpaceToDepth", "that does not go").arg(spread(F, &[1, 3, 2, 1]));
    cases.push(row.attr("block_size", 2i64));
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    let mut cases = Vec::new();
    shaping(&mut cases);
    joining(&mut cases);
    slicing(&mut cases);
    gathering(&mut cases);
    blocks_and_diagonals(&mut cases);
    run(engines, report, cases, DIFFERENT);
}
