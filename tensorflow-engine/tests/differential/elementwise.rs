//! Operations on elements: every dtype, special values, broadcasting, empty tensors.

use crate::cases::{ALL, Case, FLOATS, allowed, case, fixed, numbers, run, spread};
use crate::engines::{Engines, Report};
use session_core::{DType, Tensor};

const F: DType = DType::Float32;

const INFINITE: f64 = f64::INFINITY;

/// Values at which functions tend to be wrong.
const SPECIAL: [f64; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.7,
    -3.2,
    1e-3,
    -1e-3,
    10.0,
    -10.0,
    60.0,
    -60.0,
    100.0,
    -100.0,
    1.5,
    2.5,
    INFINITE,
    -INFINITE,
    f64::NAN,
    1e-30,
];

/// Integers, including the limits of every dtype.
const WHOLE: [f64; 16] =
    [0.0, 1.0, 2.0, 3.0, -1.0, -2.0, -7.0, 5.0, 100.0, -100.0, 127.0, -128.0, 1e3, 3e4, 1e19, -1e19];

const UNARY: [&str; 43] = [
    "Neg",
    "Abs",
    "Sign",
    "Square",
    "Sqrt",
    "Rsqrt",
    "Reciprocal",
    "Inv",
    "Exp",
    "Expm1",
    "Log",
    "Log1p",
    "Sin",
    "Cos",
    "Tan",
    "Asin",
    "Acos",
    "Atan",
    "Sinh",
    "Cosh",
    "Tanh",
    "Asinh",
    "Acosh",
    "Atanh",
    "Sigmoid",
    "Erf",
    "Erfc",
    "Lgamma",
    "Floor",
    "Ceil",
    "Round",
    "Rint",
    "IsNan",
    "IsInf",
    "IsFinite",
    "Relu",
    "Relu6",
    "Elu",
    "Selu",
    "Softplus",
    "Softsign",
    "Invert",
    "PopulationCount",
];

const BINARY: [&str; 32] = [
    "Add",
    "AddV2",
    "Sub",
    "Mul",
    "Div",
    "RealDiv",
    "FloorDiv",
    "TruncateDiv",
    "DivNoNan",
    "MulNoNan",
    "FloorMod",
    "Mod",
    "TruncateMod",
    "Maximum",
    "Minimum",
    "Pow",
    "SquaredDifference",
    "Xdivy",
    "Xlogy",
    "Xlog1py",
    "Atan2",
    "Equal",
    "NotEqual",
    "Less",
    "LessEqual",
    "Greater",
    "GreaterEqual",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "LeftShift",
    "RightShift",
];

/// Gradients of functions, from the output (or input) and the gradient.
const GRADIENTS: [&str; 12] = [
    "SigmoidGrad",
    "TanhGrad",
    "SqrtGrad",
    "RsqrtGrad",
    "ReciprocalGrad",
    "InvGrad",
    "ReluGrad",
    "Relu6Grad",
    "EluGrad",
    "SeluGrad",
    "SoftplusGrad",
    "SoftsignGrad",
];

/// Rows with known differences, and the reasons.
const DIFFERENT: &[(&str, &str)] = &[
    ("Round int32", "TensorFlow's kernel gives zeros; its Python never calls it for integers"),
    ("Round int64", "TensorFlow's kernel gives zeros; its Python never calls it for integers"),
    ("Erf float64 special values", "TensorFlow's vectorised function is NaN at infinity"),
    ("TruncateDiv int8 by zero", TRUNCATED_BY_ZERO),
    ("TruncateDiv int32 by zero", TRUNCATED_BY_ZERO),
    ("TruncateDiv int64 by zero", TRUNCATED_BY_ZERO),
    ("TruncateDiv uint8 by zero", TRUNCATED_BY_ZERO),
    ("TruncateMod int32 by zero", TRUNCATED_BY_ZERO),
    ("TruncateMod int64 by zero", TRUNCATED_BY_ZERO),
];

const TRUNCATED_BY_ZERO: &str = "TensorFlow reports a division by zero as an internal error";

fn is_whole(dtype: DType) -> bool {
    !dtype.is_floating() && !dtype.is_complex()
}

/// Special values of a dtype. Those of complex numbers are finite: what a function of an infinite complex number is,
/// the platform's C++ library decides.
fn special(dtype: DType) -> Vec<f64> {
    match dtype {
        dtype if dtype.is_complex() => {
            SPECIAL.iter().copied().filter(|x| x.is_finite() && x.abs() <= 10.0 && x.abs() > 1e-6).collect()
        }
        dtype if is_whole(dtype) => WHOLE.to_vec(),
        _ => SPECIAL.to_vec(),
    }
}

fn unary(cases: &mut Vec<Case>) {
    for op_type in UNARY {
        for dtype in allowed(op_type, "T") {
            let values = special(dtype);
            let note = |what: &str| format!("{dtype} {what}");
            let all = numbers(dtype, &values, &[values.len()]);
            cases.push(case(op_type, note("special values")).arg(all).slack(2.0));
            cases.push(case(op_type, note("many")).arg(spread(dtype, &[3, 37])).slack(2.0));
            cases.push(case(op_type, note("empty")).arg(numbers(dtype, &[], &[2, 0])));
            cases.push(case(op_type, note("folded")).arg(fixed(numbers(dtype, &[1.0], &[]))).slack(2.0));
        }
    }
}

/// All pairs of two lists of values.
fn pairs(left: &[f64], right: &[f64]) -> (Vec<f64>, Vec<f64>) {
    left.iter().flat_map(|&a| right.iter().map(move |&b| (a, b))).unzip()
}

fn pair_values(op_type: &str, dtype: DType) -> (Vec<f64>, Vec<f64>) {
    let values = special(dtype);
    let divides = ["Div", "FloorDiv", "TruncateDiv", "FloorMod", "Mod", "TruncateMod"].contains(&op_type);
    if is_whole(dtype) && op_type == "Pow" {
        return pairs(&[0.0, 1.0, 2.0, 3.0, -1.0, -2.0], &[0.0, 1.0, 2.0, 3.0, 5.0]);
    }
    if is_whole(dtype) && op_type.ends_with("Shift") {
        return pairs(&[0.0, 1.0, 5.0, -7.0, 100.0], &[0.0, 1.0, 3.0, 7.0]);
    }
    if is_whole(dtype) && divides {
        let divisors = [1.0, 2.0, 3.0, -2.0, -7.0, 5.0, 100.0];
        let divisors = divisors.map(|x: f64| if dtype.name().starts_with('u') { x.abs() } else { x });
        return pairs(&values, &divisors);
    }
    if dtype.is_complex() && op_type == "Pow" {
        return pairs(&[1.0, -0.5, 2.0], &[0.5, 1.5, -1.0]);
    }
    pairs(&values, &values)
}

fn binary(cases: &mut Vec<Case>) {
    const SHAPES: [(&[usize], &[usize]); 9] = [
        (&[3, 4], &[4]),
        (&[4], &[3, 4]),
        (&[3, 1], &[1, 4]),
        (&[2, 3, 4], &[3, 1]),
        (&[], &[2, 2]),
        (&[2, 1, 3, 1], &[5, 1, 4]),
        (&[0, 3], &[1, 3]),
        (&[1], &[0]),
        (&[7, 33], &[7, 33]),
    ];
    for op_type in BINARY {
        for dtype in allowed(op_type, "T") {
            let (left, right) = pair_values(op_type, dtype);
            let count = left.len();
            let row = case(op_type, format!("{dtype} special values"));
            let row = row.arg(numbers(dtype, &left, &[count])).arg(numbers(dtype, &right, &[count]));
            cases.push(row.slack(4.0));
            for (a, b) in SHAPES {
                let row = case(op_type, format!("{dtype} {a:?} with {b:?}")).slack(4.0);
                let positive = |shape: &[usize]| {
                    let count = shape.iter().product::<usize>();
                    let values: Vec<f64> = (0..count).map(|i| 1.0 + (i * 7 % 5) as f64).collect();
                    numbers(dtype, &values, shape)
                };
                cases.push(row.arg(spread(dtype, a)).arg(positive(b)));
            }
        }
    }
    for op_type in ["LogicalAnd", "LogicalOr"] {
        let (a, b) = (Tensor::from([[true], [false]]), Tensor::from([true, false, true]));
        cases.push(case(op_type, "broadcast").arg(a).arg(b));
    }
    cases.push(case("LogicalNot", "").arg(Tensor::from([true, false])));
    for dtype in [DType::Float32, DType::Int32, DType::Float64] {
        for shapes in [([2, 3], [2, 4]), ([2, 3], [3, 3])] {
            let row = case("AddV2", format!("{dtype} shapes that do not fit {shapes:?}"));
            cases.push(row.arg(spread(dtype, &shapes.0)).arg(spread(dtype, &shapes.1)));
        }
        let row = case("ApproximateEqual", format!("{dtype}")).attr("tolerance", 0.5f32);
        let (a, b) = (numbers(dtype, &[1.0, 2.0, 3.0], &[3]), numbers(dtype, &[1.4, 2.5, 9.0], &[3]));
        cases.push(row.arg(a).arg(b));
    }
    for dtype in [DType::Int8, DType::Int32, DType::Int64, DType::UInt8] {
        for op_type in ["Div", "FloorDiv", "TruncateDiv", "FloorMod", "TruncateMod"] {
            if !allowed(op_type, "T").contains(&dtype) {
                continue;
            }
            let row = case(op_type, format!("{dtype} by zero"));
            cases.push(row.arg(numbers(dtype, &[1.0, 2.0], &[2])).arg(numbers(dtype, &[1.0, 0.0], &[2])));
        }
    }
    let row = case("Pow", "int32 negative exponent");
    cases.push(row.arg(Tensor::from([2i32, 3])).arg(Tensor::from([1i32, -1])));
}

fn gradients(cases: &mut Vec<Case>) {
    for op_type in GRADIENTS {
        for dtype in allowed(op_type, "T") {
            let values: Vec<f64> = [0.1, 0.9, -0.4, 2.0, 6.0, 0.0, 3.3, -2.0].to_vec();
            let row = case(op_type, format!("{dtype}")).slack(4.0);
            cases.push(row.arg(numbers(dtype, &values, &[2, 4])).arg(spread(dtype, &[2, 4])));
        }
    }
    for op_type in ["LeakyRelu"] {
        for dtype in FLOATS {
            let row = case(op_type, format!("{dtype}")).attr("alpha", 0.1f32);
            cases.push(row.arg(numbers(dtype, &SPECIAL, &[24])));
        }
    }
}

fn choices(cases: &mut Vec<Case>) {
    let condition = Tensor::from([true, false, true]);
    for dtype in ALL.into_iter().chain([DType::String]) {
        let (a, b) = (spread(dtype, &[3]), spread(dtype, &[3]));
        let row = case("Select", format!("{dtype}")).arg(condition.clone());
        cases.push(row.arg(a.clone()).arg(b.clone()));
        let row = case("Select", format!("{dtype} of rows")).arg(condition.clone());
        cases.push(row.arg(spread(dtype, &[3, 2])).arg(spread(dtype, &[3, 2])));
        let row = case("SelectV2", format!("{dtype} broadcast")).arg(condition.clone());
        cases.push(row.arg(spread(dtype, &[2, 1])).arg(spread(dtype, &[])));
    }
    for dtype in allowed("ClipByValue", "T").into_iter().filter(|dtype| !dtype.is_complex()) {
        let row = case("ClipByValue", format!("{dtype}")).arg(spread(dtype, &[2, 5]));
        cases.push(row.arg(numbers(dtype, &[1.0], &[])).arg(numbers(dtype, &[3.0], &[])));
    }
    for dtype in allowed("AddN", "T") {
        let row = case("AddN", format!("{dtype}"));
        cases.push(row.arg(vec![spread(dtype, &[2, 3]), spread(dtype, &[2, 3]), spread(dtype, &[2, 3])]));
    }
}

fn casts(cases: &mut Vec<Case>) {
    for from in ALL {
        for to in ALL {
            let small = [0.0, 1.0, 2.0, 100.0, 3.0];
            let values: Vec<f64> = match from {
                from if !is_whole(from) && !is_whole(to) => {
                    vec![0.0, -1.5, 3.1, 1e5, INFINITE, f64::NAN, 1e-8]
                }
                // The conversion of a float outside the range of an integer is not defined.
                from if !is_whole(from) && to != DType::Bool => vec![0.0, 0.9, 1.5, 2.5, 99.99],
                from if is_whole(from) => WHOLE.to_vec(),
                _ => small.to_vec(),
            };
            let row = case("Cast", format!("{from} to {to}")).attr("DstT", to);
            cases.push(row.arg(numbers(from, &values, &[values.len()])));
        }
    }
}

/// Comparisons of shapes that do not broadcast, and of strings; casts that cut digits off; quotients of few digits.
fn edges(cases: &mut Vec<Case>) {
    let shapes: [[&[usize]; 2]; 9] = [
        [&[1, 1], &[3]],
        [&[], &[1, 1]],
        [&[1], &[1, 1]],
        [&[2, 1], &[3]],
        [&[3], &[0, 1]],
        [&[2], &[3]],
        [&[2, 2], &[2, 2]],
        [&[0], &[]],
        [&[0], &[2]],
    ];
    for dtype in [F, DType::String] {
        for [a, b] in shapes {
            for op_type in ["Equal", "NotEqual"] {
                for is_error in [true, false] {
                    let row = case(op_type, format!("{dtype} {a:?} {b:?} {is_error}"));
                    let row = row.arg(spread(dtype, a)).arg(spread(dtype, b));
                    cases.push(row.attr("incompatible_shape_error", is_error));
                }
            }
        }
    }
    let values = [2.7, -1.7, 0.1, 1e-3, -3e4, f64::NAN, f64::INFINITY, 0.0];
    for (from, to) in [
        (DType::Float32, DType::BFloat16),
        (DType::Float32, DType::Float16),
        (DType::Float64, DType::Float32),
        (DType::Float64, DType::BFloat16),
        (DType::Float16, DType::BFloat16),
        (DType::BFloat16, DType::Float16),
        (DType::Complex128, DType::Complex64),
        (DType::Complex128, DType::Float32),
        (DType::Float32, DType::Int32),
    ] {
        // What an integer of a number without one is, is open.
        let values = if to == DType::Int32 { &values[..5] } else { &values };
        let row = case("Cast", format!("{from} to {to} truncated")).attr("DstT", to).attr("Truncate", true);
        cases.push(row.arg(numbers(from, values, &[values.len()])));
    }
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in 0..400 {
        x.push(f64::from(i % 40) * 7.3 - 100.0);
        y.push(f64::from(i / 40) * 0.9 - 3.7);
    }
    for dtype in [DType::Float16, DType::BFloat16] {
        for op_type in ["FloorDiv", "FloorMod"] {
            let row = case(op_type, format!("{dtype} of many")).arg(numbers(dtype, &x, &[400]));
            cases.push(row.arg(numbers(dtype, &y, &[400])));
        }
    }
}

/// Gradients and losses where several elements are the largest, or labels need more time than there is.
fn networks(cases: &mut Vec<Case>) {
    let list = |values: &[i64]| session_core::AttrValue::from(values.to_vec());
    for (size, stride) in [(2i64, 1i64), (2, 2), (3, 1)] {
        let volume = numbers(F, &[0.0, 0.0, 1.0, 1.0, 1.0, 0.0], &[1, 1, 1, 6, 1]);
        let out = ((6 - size) / stride + 1) as usize;
        let maxima: Vec<f64> = (0..out)
            .map(|at| {
                let window = at * stride as usize..at * stride as usize + size as usize;
                window.map(|i| f64::from(u8::from((2..5).contains(&i)))).fold(0.0, f64::max)
            })
            .collect();
        let gradient: Vec<f64> = (0..out).map(|at| 10f64.powi(at as i32)).collect();
        let row = case("MaxPool3DGrad", format!("{size} {stride}")).arg(volume);
        let row =
            row.arg(numbers(F, &maxima, &[1, 1, 1, out, 1])).arg(numbers(F, &gradient, &[1, 1, 1, out, 1]));
        let row = row.attr("ksize", list(&[1, 1, 1, size, 1])).attr("strides", list(&[1, 1, 1, stride, 1]));
        cases.push(row.attr("padding", "VALID"));
    }
    for labels in [vec![0i32, 0, 0, 0], vec![0, 0, 1, 1, 0], vec![0, 1, 0, 1, 0, 1, 0], vec![0, 1, 1]] {
        for ignores in [true, false] {
            let indices: Vec<i64> = (0..labels.len() as i64).flat_map(|i| [0, i]).collect();
            let row = case("CTCLoss", format!("{labels:?} {ignores}")).arg(spread(F, &[6, 1, 3]));
            let row = row.arg(Tensor::from_vec(indices, [labels.len(), 2]).unwrap());
            let row = row.arg(Tensor::from(labels.clone())).arg(Tensor::from([6i32]));
            cases.push(row.attr("ignore_longer_outputs_than_inputs", ignores));
        }
    }
    for op_type in ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"] {
        let row =
            case(op_type, "corners and centers").arg(spread(F, &[1, 4, 5, 1])).arg(Tensor::from([2i32, 3]));
        cases.push(row.attr("align_corners", true).attr("half_pixel_centers", true));
    }
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    let mut cases = Vec::new();
    edges(&mut cases);
    networks(&mut cases);
    unary(&mut cases);
    binary(&mut cases);
    gradients(&mut cases);
    choices(&mut cases);
    casts(&mut cases);
    run(engines, report, cases, DIFFERENT);
}
