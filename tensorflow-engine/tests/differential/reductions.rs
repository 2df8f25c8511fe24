//! Operations that sum up, scan, count and rank.

use crate::cases::{Case, FLOATS, allowed, case, fixed, numbers, run, spread};
use crate::engines::{Engines, Report};
use session_core::{DType, Tensor};

/// Rows that differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("Sum float16 over many", "TensorFlow rounds every partial sum to 16 bits"),
    ("Mean float16 over many", "TensorFlow rounds every partial sum to 16 bits"),
    ("Mean complex64 over no elements", "TensorFlow gives 0, where it gives NaN for real numbers"),
    ("Mean complex128 over no elements", "TensorFlow gives 0, where it gives NaN for real numbers"),
];

const AXES: [&[i32]; 8] = [&[], &[0], &[1], &[-1], &[0, 2], &[1, 2], &[0, 1, 2], &[-1, 0]];

fn reduce(cases: &mut Vec<Case>) {
    for op_type in ["Sum", "Mean", "Prod", "Max", "Min", "EuclideanNorm"] {
        for dtype in allowed(op_type, "T") {
            for axes in AXES {
                let row = case(op_type, format!("{dtype} over {axes:?}")).slack(4.0);
                cases.push(
                    row.arg(spread(dtype, &[3, 4, 5])).arg(fixed(axes)).attr("keep_dims", axes.len() == 2),
                );
            }
            let row = case(op_type, format!("{dtype} over no elements"));
            cases.push(row.arg(numbers(dtype, &[], &[3, 0])).arg(fixed([1i32])));
            let row = case(op_type, format!("{dtype} of a scalar"));
            cases.push(row.arg(numbers(dtype, &[3.0], &[])).arg(fixed(Vec::<i32>::new())));
            let row = case(op_type, format!("{dtype} over many"));
            cases.push(row.arg(spread(dtype, &[2, 700])).arg(Tensor::from([1i64])).slack(8.0));
        }
        let row = case(op_type, "over an axis that is not there");
        cases.push(row.arg(spread(DType::Float32, &[2, 3])).arg(Tensor::from([2i32])));
        let row = case(op_type, "over an axis named twice");
        cases.push(row.arg(spread(DType::Float32, &[2, 3])).arg(Tensor::from([1i32, 1])));
    }
    for op_type in ["Max", "Min", "Sum", "Mean", "Prod"] {
        for dtype in FLOATS {
            let values = [1.0, f64::NAN, 2.0, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 5.0];
            let row = case(op_type, format!("{dtype} of special values"));
            cases.push(row.arg(numbers(dtype, &values, &[4, 2])).arg(Tensor::from([1i32])));
        }
    }
    for op_type in ["All", "Any"] {
        for axes in AXES {
            let values: Vec<f64> =
                (0..60).map(|i| f64::from(i % 7 > 0) * 2.0 - f64::from(i % 11 == 0)).collect();
            let row = case(op_type, format!("over {axes:?}"));
            cases.push(row.arg(numbers(DType::Bool, &values, &[3, 4, 5])).arg(fixed(axes)));
        }
        let row = case(op_type, "of nothing");
        cases.push(row.arg(numbers(DType::Bool, &[], &[0, 2])).arg(fixed([0i32])));
    }
    for op_type in ["ArgMax", "ArgMin"] {
        for dtype in allowed(op_type, "T") {
            for axis in [0i32, 1, -1] {
                let row = case(op_type, format!("{dtype} over {axis}")).attr("output_type", DType::Int32);
                cases.push(row.arg(spread(dtype, &[4, 3, 6])).arg(fixed(axis)));
            }
            let row = case(op_type, format!("{dtype} of equals"));
            cases.push(row.arg(numbers(dtype, &[1.0, 3.0, 3.0, 0.0, 0.0], &[5])).arg(fixed(0i32)));
        }
        for dtype in [DType::Float32, DType::Float64] {
            let row = case(op_type, format!("{dtype} with NaN"));
            cases.push(row.arg(numbers(dtype, &[1.0, f64::NAN, 3.0, 0.0], &[4])).arg(fixed(0i32)));
        }
        let row = case(op_type, "of nothing");
        cases.push(row.arg(numbers(DType::Float32, &[], &[2, 0])).arg(Tensor::from(1i32)));
    }
}

fn scan(cases: &mut Vec<Case>) {
    for op_type in ["Cumsum", "Cumprod", "CumulativeLogsumexp"] {
        for dtype in allowed(op_type, "T") {
            for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
                for axis in [0i32, -1] {
                    let row = case(op_type, format!("{dtype} {exclusive} {reverse} {axis}")).slack(16.0);
                    let row = row.attr("exclusive", exclusive).attr("reverse", reverse);
                    cases.push(row.arg(spread(dtype, &[3, 5])).arg(fixed(axis)));
                }
            }
            cases.push(
                case(op_type, format!("{dtype} empty")).arg(numbers(dtype, &[], &[0, 2])).arg(fixed(0i32)),
            );
        }
    }
}

fn segments(cases: &mut Vec<Case>) {
    let sorted = Tensor::from([0i32, 0, 1, 3, 3]);
    for op_type in ["SegmentSum", "SegmentMean", "SegmentProd", "SegmentMax", "SegmentMin"] {
        for dtype in allowed(op_type, "T") {
            let row = case(op_type, format!("{dtype}")).slack(4.0);
            cases.push(row.arg(spread(dtype, &[5, 2])).arg(sorted.clone()));
        }
        let f32s = |shape: &[usize]| spread(DType::Float32, shape);
        cases.push(case(op_type, "of nothing").arg(f32s(&[0, 2])).arg(Tensor::from(Vec::<i32>::new())));
        cases.push(case(op_type, "not sorted").arg(f32s(&[3])).arg(Tensor::from([1i32, 0, 2])));
        cases.push(case(op_type, "negative").arg(f32s(&[3])).arg(Tensor::from([-1i32, 0, 2])));
        cases.push(case(op_type, "of another length").arg(f32s(&[3])).arg(Tensor::from([0i32, 2])));
    }
    for op_type in ["UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin"] {
        for dtype in allowed(op_type, "T") {
            let ids = Tensor::from([[2i64, 0], [-1, 2], [5, 2]]);
            let row = case(op_type, format!("{dtype}")).slack(4.0);
            cases.push(row.arg(spread(dtype, &[3, 2, 4])).arg(ids).arg(Tensor::from(7i32)));
        }
        let row = case(op_type, "beyond the end").arg(spread(DType::Float32, &[2]));
        cases.push(row.arg(Tensor::from([0i32, 4])).arg(Tensor::from(3i32)));
        let row = case(op_type, "of no segments").arg(spread(DType::Float32, &[0]));
        cases.push(row.arg(Tensor::from(Vec::<i32>::new())).arg(Tensor::from(0i32)));
    }
    for op_type in ["SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"] {
        for dtype in [DType::Float32, DType::Float64] {
            let row = case(op_type, format!("{dtype}")).arg(spread(dtype, &[4, 3])).slack(4.0);
            cases.push(row.arg(Tensor::from([3i32, 0, 1, 1])).arg(Tensor::from([0i32, 0, 1, 3])));
        }
        let row = case(op_type, "beyond the end").arg(spread(DType::Float32, &[2, 2]));
        cases.push(row.arg(Tensor::from([0i32, 2])).arg(Tensor::from([0i32, 1])));
    }
}

fn ranking(cases: &mut Vec<Case>) {
    for dtype in allowed("TopKV2", "T") {
        for (k, sorted) in [(1i32, true), (3, true), (6, true), (0, true)] {
            let row = case("TopKV2", format!("{dtype} {k} {sorted}")).attr("sorted", sorted);
            cases.push(row.arg(spread(dtype, &[2, 6])).arg(Tensor::from(k)));
        }
        let row = case("TopKV2", format!("{dtype} of equals"));
        cases.push(row.arg(numbers(dtype, &[2.0, 2.0, 1.0, 2.0], &[4])).arg(Tensor::from(3i32)));
    }
    cases.push(
        case("TopKV2", "more than there are").arg(spread(DType::Float32, &[3])).arg(Tensor::from(4i32)),
    );
    let values = [
        [1.0, 5.0, 5.0, 0.0, 2.0],
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [0.0, f64::NAN, 1.0, 2.0, 3.0],
        [1.0, 2.0, 3.0, 4.0, 5.0],
    ];
    let row = case("InTopKV2", "").arg(numbers(DType::Float32, values.as_flattened(), &[4, 5]));
    cases.push(row.arg(Tensor::from([0i32, 4, 2, 9])).arg(Tensor::from(2i32)));
    for dtype in allowed("NthElement", "T") {
        for n in [0i32, 2, 4] {
            for reverse in [false, true] {
                let row = case("NthElement", format!("{dtype} {n} {reverse}")).attr("reverse", reverse);
                cases.push(row.arg(spread(dtype, &[3, 5])).arg(Tensor::from(n)));
            }
        }
    }
}

fn counting(cases: &mut Vec<Case>) {
    for dtype in allowed("Bincount", "T") {
        let row = case("Bincount", format!("{dtype} weighted")).arg(Tensor::from([[0i32, 2], [2, 9]]));
        cases.push(row.arg(Tensor::from(4i32)).arg(spread(dtype, &[2, 2])));
        let row = case("Bincount", format!("{dtype}")).arg(Tensor::from([0i32, 2, 2, 9]));
        cases.push(row.arg(Tensor::from(4i32)).arg(numbers(dtype, &[], &[0])));
    }
    let row = case("Bincount", "negative").arg(Tensor::from([0i32, -2])).arg(Tensor::from(4i32));
    cases.push(row.arg(numbers(DType::Int32, &[], &[0])));
    for dtype in allowed("HistogramFixedWidth", "T") {
        let row = case("HistogramFixedWidth", format!("{dtype}")).arg(spread(dtype, &[4, 5]));
        let range = numbers(dtype, &[-2.0, 3.0], &[2]);
        cases.push(row.arg(range).arg(Tensor::from(5i32)));
    }
    for dtype in allowed("Bucketize", "T") {
        let boundaries = session_core::AttrValue::List(
            [-1.0f32, 0.0, 2.5].into_iter().map(session_core::AttrValue::Float).collect(),
        );
        let row = case("Bucketize", format!("{dtype}")).attr("boundaries", boundaries);
        cases.push(row.arg(spread(dtype, &[4, 5])));
    }
    for dtype in allowed("Unique", "T").into_iter().chain([DType::String]) {
        let values = numbers(dtype, &[3.0, 1.0, 3.0, 0.0, 1.0, 3.0], &[6]);
        for op_type in ["Unique", "UniqueWithCounts"] {
            cases.push(case(op_type, format!("{dtype}")).arg(values.clone()).attr("out_idx", DType::Int64));
        }
        let rows = numbers(dtype, &[3.0, 1.0, 3.0, 0.0, 3.0, 1.0], &[3, 2]);
        cases.push(case("UniqueV2", format!("{dtype} rows")).arg(rows).arg(Tensor::from([0i32])));
        let row = case("ListDiff", format!("{dtype}")).arg(values.clone());
        cases.push(row.arg(numbers(dtype, &[1.0, 7.0], &[2])));
    }
    for dtype in allowed("Where", "T") {
        cases.push(case("Where", format!("{dtype}")).arg(numbers(
            dtype,
            &[0.0, 1.0, 2.0, 0.0, 0.0, 3.0],
            &[2, 3],
        )));
        cases.push(case("Where", format!("{dtype} empty")).arg(numbers(dtype, &[], &[2, 0])));
    }
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    let mut cases = Vec::new();
    reduce(&mut cases);
    scan(&mut cases);
    segments(&mut cases);
    ranking(&mut cases);
    counting(&mut cases);
    run(engines, report, cases, DIFFERENT);
}
