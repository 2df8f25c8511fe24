//! Samples of arithmetic, reductions and products.

use super::{Inputs, Known, Sample, shaped};
use crate::keep_dims;
use crate::math::*;
use session_core::{DType, Output};
use tensor::Complex;

/// Rows of the table: the name, then how the graph is made from the inputs.
macro_rules! rows {
    ($($name:literal $(needs $needs:ident)? $(but $flag:ident)? => |$i:ident| $build:expr;)*) => {
        &[$(Sample::new($name, |$i: &mut Inputs<'_>| Vec::from($build))
            $(.needing(Known::$needs))? $(.$flag())?),*]
    };
}
pub(super) use rows;

/// Two-argument functions, each with equal and with broadcast shapes.
macro_rules! pairs {
    ($($equal:literal, $broadcast:literal => $function:ident, ($low:literal, $high:literal);)*) => {
        &[$(
            Sample::new($equal, |i| {
                let (x, y) = (i.between($low, $high, &[2, 3]), i.between($low, $high, &[2, 3]));
                vec![$function(x, y)]
            }),
            Sample::new($broadcast, |i| {
                let (x, y) = (i.between($low, $high, &[2, 1, 3]), i.between($low, $high, &[4, 1]));
                vec![$function(x, y)]
            }),
        )*]
    };
}

/// One-argument functions with the limits of their arguments.
macro_rules! functions {
    ($($name:literal => $function:ident, ($low:literal, $high:literal);)*) => {
        &[$(Sample::new($name, |i| vec![$function(i.between($low, $high, &[2, 3]))])),*]
    };
}

const PAIRS: &[Sample] = pairs! {
    "AddV2", "AddV2 broadcast" => add, (-1.0, 1.0);
    "Sub", "Sub broadcast" => sub, (-1.0, 1.0);
    "Mul", "Mul broadcast" => mul, (-1.0, 1.0);
    "RealDiv", "RealDiv broadcast" => real_div, (0.5, 2.0);
    "FloorDiv", "FloorDiv broadcast" => floor_div, (0.5, 2.0);
    "TruncateDiv", "TruncateDiv broadcast" => truncate_as_integers, (1.0, 9.0);
    "FloorMod", "FloorMod broadcast" => floor_mod, (0.5, 2.0);
    "TruncateMod", "TruncateMod broadcast" => truncate_mod, (0.5, 2.0);
    "Pow", "Pow broadcast" => pow, (0.5, 2.0);
    "Maximum", "Maximum broadcast" => maximum, (-1.0, 1.0);
    "Minimum", "Minimum broadcast" => minimum, (-1.0, 1.0);
    "SquaredDifference", "SquaredDifference broadcast" => squared_difference, (-1.0, 1.0);
    "DivNoNan", "DivNoNan broadcast" => div_no_nan, (0.5, 2.0);
    "MulNoNan", "MulNoNan broadcast" => mul_no_nan, (0.5, 2.0);
    "Xdivy", "Xdivy broadcast" => xdivy, (0.5, 2.0);
    "Xlogy", "Xlogy broadcast" => xlogy, (0.5, 2.0);
    "Xlog1py", "Xlog1py broadcast" => xlog1py, (0.5, 2.0);
    "Atan2", "Atan2 broadcast" => atan2, (0.5, 2.0);
    "Equal", "Equal broadcast" => equal, (-1.0, 1.0);
    "NotEqual", "NotEqual broadcast" => not_equal, (-1.0, 1.0);
    "Less", "Less broadcast" => less, (-1.0, 1.0);
    "LessEqual", "LessEqual broadcast" => less_equal, (-1.0, 1.0);
    "Greater", "Greater broadcast" => greater, (-1.0, 1.0);
    "GreaterEqual", "GreaterEqual broadcast" => greater_equal, (-1.0, 1.0);
};

/// There is no division of this kind of floating numbers.
fn truncate_as_integers(x: Output, y: Output) -> Output {
    truncate_div(cast(x, DType::Int32), cast(y, DType::Int32))
}

const FUNCTIONS: &[Sample] = functions! {
    "Neg" => neg, (-1.0, 1.0);
    "Abs" => abs, (0.1, 1.0);
    "Abs negative" => abs, (-1.0, -0.1);
    "Sign" => sign, (0.1, 1.0);
    "Square" => square, (-1.0, 1.0);
    "Sqrt" => sqrt, (0.5, 2.0);
    "Rsqrt" => rsqrt, (0.5, 2.0);
    "Reciprocal" => reciprocal, (0.5, 2.0);
    "Exp" => exp, (-1.0, 1.0);
    "Expm1" => expm1, (-1.0, 1.0);
    "Log" => log, (0.5, 2.0);
    "Log1p" => log1p, (-0.5, 1.0);
    "Sin" => sin, (-2.0, 2.0);
    "Cos" => cos, (-2.0, 2.0);
    "Tan" => tan, (-1.0, 1.0);
    "Asin" => asin, (-0.9, 0.9);
    "Acos" => acos, (-0.9, 0.9);
    "Atan" => atan, (-2.0, 2.0);
    "Sinh" => sinh, (-2.0, 2.0);
    "Cosh" => cosh, (-2.0, 2.0);
    "Tanh" => tanh, (-2.0, 2.0);
    "Asinh" => asinh, (-2.0, 2.0);
    "Acosh" => acosh, (1.5, 3.0);
    "Atanh" => atanh, (-0.8, 0.8);
    "Sigmoid" => sigmoid, (-2.0, 2.0);
    "Erf" => erf, (-2.0, 2.0);
    "Erfc" => erfc, (-2.0, 2.0);
    "Erfinv" => erfinv, (-0.8, 0.8);
    "Ndtri" => ndtri, (0.2, 0.8);
    "Lgamma" => lgamma, (0.5, 3.0);
    "Digamma" => digamma, (0.5, 3.0);
    "BesselI0" => bessel_i0, (0.1, 2.0);
    "BesselI1" => bessel_i1, (0.1, 2.0);
    "BesselI0e" => bessel_i0e, (0.1, 2.0);
    "BesselI1e" => bessel_i1e, (0.1, 2.0);
    "BesselJ0" => bessel_j0, (-3.0, 9.0);
    "BesselJ1" => bessel_j1, (-3.0, 9.0);
    "BesselK0" => bessel_k0, (0.1, 3.0);
    "BesselK1" => bessel_k1, (0.1, 3.0);
    "BesselK0e" => bessel_k0e, (0.1, 3.0);
    "BesselK1e" => bessel_k1e, (0.1, 3.0);
    "BesselY0" => bessel_y0, (0.1, 9.0);
    "BesselY1" => bessel_y1, (0.5, 9.0);
    "Dawsn" => dawsn, (-3.0, 3.0);
    "Expint" => expint, (0.1, 3.0);
    "FresnelCos" => fresnel_cos, (-3.0, 3.0);
    "FresnelSin" => fresnel_sin, (-3.0, 3.0);
    "Spence" => spence, (0.1, 5.0);
    "Floor" => floor, (-2.0, 2.0);
    "Ceil" => ceil, (-2.0, 2.0);
    "Round" => round, (-2.0, 2.0);
    "Rint" => rint, (-2.0, 2.0);
    "IsNan" => is_nan, (-2.0, 2.0);
    "IsInf" => is_inf, (-2.0, 2.0);
    "IsFinite" => is_finite, (-2.0, 2.0);
};

/// Returns the result of an operation on a placeholder pair.
fn pair_op(i: &mut Inputs<'_>, op_type: &str, low: f64, high: f64) -> Vec<Output> {
    let (x, y) = (i.between(low, high, &[2, 3]), i.between(low, high, &[2, 3]));
    vec![i.op(op_type).input(x).input(y).finish_output()]
}

fn reduction(i: &mut Inputs<'_>, op_type: &str, axes: &[i32], keep_dims: bool) -> Vec<Output> {
    let x = i.between(0.5, 2.0, &[2, 3, 4]);
    let builder = i.op(op_type).input(x).constant(axes.to_vec());
    vec![builder.attr("keep_dims", keep_dims).finish_output()]
}

const REDUCTIONS: &[Sample] = rows! {
    "Sum all" => |i| reduction(i, "Sum", &[0, 1, 2], false);
    "Sum last" => |i| reduction(i, "Sum", &[-1], false);
    "Sum middle kept" => |i| reduction(i, "Sum", &[1], true);
    "Sum first" => |i| reduction(i, "Sum", &[0], false);
    "Sum nothing" => |i| reduction(i, "Sum", &[], false);
    "Sum by method" => |i| [reduce_sum(i.doubles(&[2, 3]), ..)];
    "Sum computed axes" => |i| {
        let (x, axes) = (i.doubles(&[2, 3, 4]), i.other([-2i32, 0]));
        [reduce_sum(x, axes)]
    };
    "Mean all" => |i| reduction(i, "Mean", &[0, 1, 2], false);
    "Mean outer" => |i| reduction(i, "Mean", &[0, 2], false);
    "Mean last kept" => |i| reduction(i, "Mean", &[2], true);
    "Mean computed axes" => |i| {
        let (x, axes) = (i.doubles(&[2, 3, 4]), i.other([1i32]));
        [reduce_mean(x, axes)]
    };
    "Prod all" needs Ranks => |i| reduction(i, "Prod", &[0, 1, 2], false);
    "Prod middle" needs Ranks => |i| reduction(i, "Prod", &[1], false);
    "Prod outer kept" needs Ranks => |i| reduction(i, "Prod", &[2, 0], true);
    "Prod with zeros" needs Ranks => |i| {
        let x = i.given(shaped(vec![0.0, 2.0, 3.0, 0.0, 0.0, 5.0f64], &[2, 3]));
        [reduce_prod(x, 1)]
    };
    "Max all" => |i| reduction(i, "Max", &[0, 1, 2], false);
    "Max last" => |i| reduction(i, "Max", &[2], false);
    "Max first kept" => |i| reduction(i, "Max", &[0], true);
    "Min outer" => |i| reduction(i, "Min", &[0, 2], false);
    "EuclideanNorm middle" => |i| reduction(i, "EuclideanNorm", &[1], false);
    "EuclideanNorm all kept" => |i| reduction(i, "EuclideanNorm", &[0, 1, 2], true);
    "All" => |i| { let x = i.doubles(&[2, 3]); [reduce_all(greater(&x, i.constant(0.0f64)), 1)] };
    "Any" => |i| { let x = i.doubles(&[2, 3]); [reduce_any(greater(&x, i.constant(0.0f64)), keep_dims(0))] };
    "ArgMax" => |i| { let x = i.doubles(&[2, 3, 4]); [argmax(&x, 1), argmax(&x, -1)] };
    "ArgMin" => |i| [argmin(i.doubles(&[2, 3, 4]), 0)];
    "Log of a sum of exponentials" => |i| { let x = i.doubles(&[2, 3]); [reduce_logsumexp(&x, 1), reduce_logsumexp(&x, keep_dims(0))] };
    "Square of a difference, averaged" => |i| { let x = i.doubles(&[2, 3]); [reduce_variance(&x, 0), reduce_std(&x, keep_dims(1))] };
    "NotEqual counted" => |i| [count_nonzero(i.doubles(&[2, 3]), 1)];
};

const SCANS: &[Sample] = rows! {
    "Cumsum" => |i| [cumsum(i.doubles(&[2, 4]), 1)];
    "Cumsum exclusive, reversed" => |i| [cumsum_with(i.doubles(&[3, 2]), 0, CumulativeOptions::default().exclusive(true).reverse(true))];
    "Cumprod" => |i| [cumprod(i.doubles(&[2, 4]), -1)];
    "Cumprod exclusive" => |i| [cumprod_with(i.doubles(&[2, 4]), 1, CumulativeOptions::default().exclusive(true))];
    "Cumprod reversed" => |i| [cumprod_with(i.doubles(&[2, 4]), 1, CumulativeOptions::default().reverse(true))];
    "CumulativeLogsumexp" => |i| [cumulative_logsumexp(i.doubles(&[2, 4]), 1, CumulativeOptions::default())];
    "CumulativeLogsumexp reversed" => |i| [cumulative_logsumexp(i.doubles(&[2, 4]), 1, CumulativeOptions::default().reverse(true))];
};

fn factors(
    i: &mut Inputs<'_>,
    a: &[usize],
    b: &[usize],
    transpose_a: bool,
    transpose_b: bool,
) -> Vec<Output> {
    let (a, b) = (i.doubles(a), i.doubles(b));
    vec![matmul_with(a, b, MatMulOptions::default().transpose_a(transpose_a).transpose_b(transpose_b))]
}

/// Returns the op itself, whatever the ranks let a constructor choose.
fn batches(i: &mut Inputs<'_>, op_type: &str, a: &[usize], b: &[usize], adj: (bool, bool)) -> Vec<Output> {
    let (a, b) = (i.doubles(a), i.doubles(b));
    vec![i.op(op_type).input(a).input(b).attr("adj_x", adj.0).attr("adj_y", adj.1).finish_output()]
}

/// Gradients that are operations of their own: their values only.
const VALUES: &[Sample] = rows! {
    "SparseSegmentSumGradV2" => |i| sparse_segment_gradient(i, "SparseSegmentSumGradV2");
    "SparseSegmentMeanGradV2" => |i| sparse_segment_gradient(i, "SparseSegmentMeanGradV2");
    "SparseSegmentSqrtNGradV2" => |i| sparse_segment_gradient(i, "SparseSegmentSqrtNGradV2");
};

/// Three rows of gradient go to rows 0, 1 and 3; row 1 is used twice.
fn sparse_segment_gradient(i: &mut Inputs<'_>, op_type: &str) -> Vec<Output> {
    let gradient = i.other(shaped(vec![1.0f64, 2.0, 3.0, 4.0], &[2, 2]));
    let (indices, segments) = (i.other([3i32, 1, 0, 1]), i.other([0i32, 0, 1, 1]));
    let rows = i.constant(5i32);
    i.op(op_type).input(gradient).input(indices).input(segments).input(rows).finish().outputs()
}

const PRODUCTS: &[Sample] = rows! {
    "MatMul" => |i| factors(i, &[2, 3], &[3, 4], false, false);
    "MatMul first transposed" => |i| factors(i, &[3, 2], &[3, 4], true, false);
    "MatMul second transposed" => |i| factors(i, &[2, 3], &[4, 3], false, true);
    "MatMul both transposed" => |i| factors(i, &[3, 2], &[4, 3], true, true);
    "SparseMatMul" => |i| {
        let (a, b) = (i.singles(&[2, 3]), i.singles(&[3, 4]));
        [i.op("SparseMatMul").input(a).input(b).attr("a_is_sparse", true).finish_output()]
    };
    "SparseMatMul turned" => |i| {
        let (a, b) = (i.singles(&[3, 2]), i.singles(&[4, 3]));
        [i.op("SparseMatMul").input(a).input(b).attr("transpose_a", true).attr("transpose_b", true).finish_output()]
    };
    "BatchMatMul" => |i| batches(i, "BatchMatMul", &[2, 3, 4], &[2, 4, 2], (false, false));
    "BatchMatMul adjoint" => |i| batches(i, "BatchMatMul", &[2, 4, 3], &[2, 2, 4], (true, true));
    "BatchMatMulV2" => |i| batches(i, "BatchMatMulV2", &[2, 3, 4], &[2, 4, 2], (false, false));
    "BatchMatMulV2 broadcast" => |i| batches(i, "BatchMatMulV2", &[2, 1, 3, 4], &[5, 4, 2], (false, false));
    "BatchMatMulV2 one matrix" => |i| batches(i, "BatchMatMulV2", &[2, 3, 4], &[2, 4], (false, true));
    "BatchMatMulV3" but not_numerical => |i| {
        let (x, y) = (i.other(shaped(vec![1i32, 2], &[1, 2])), i.other(shaped(vec![3i32, 4], &[2, 1])));
        [i.op("BatchMatMulV3").input(x).input(y).attr("Tout", DType::Int32).finish_output()]
    };
    "BatchMatMulV3 of doubles" => |i| {
        let (x, y) = (i.doubles(&[2, 1, 3, 4]), i.doubles(&[3, 2, 4]));
        [i.op("BatchMatMulV3").input(x).input(y).attr("Tout", DType::Float64).attr("adj_y", true).finish_output()]
    };
    "BatchMatMulV2 adjoint first" => |i| batches(i, "BatchMatMulV2", &[2, 4, 3], &[1, 4, 2], (true, false));
};

fn einsum_of(i: &mut Inputs<'_>, equation: &str, shapes: &[&[usize]]) -> Vec<Output> {
    let operands: Vec<Output> = shapes.iter().map(|shape| i.doubles(shape)).collect();
    vec![einsum(equation, &operands)]
}

const EINSUMS: &[Sample] = rows! {
    "Einsum" => |i| einsum_of(i, "ij,jk->ik", &[&[2, 3], &[3, 4]]);
    "Einsum of attention" => |i| einsum_of(i, "BTNH,BFNH->BNFT", &[&[2, 3, 2, 4], &[2, 5, 2, 4]]);
    "Einsum of one, summed" => |i| einsum_of(i, "abc->ca", &[&[2, 3, 4]]);
    "Einsum with an axis of one operand" => |i| einsum_of(i, "abx,bc->ac", &[&[2, 3, 4], &[3, 5]]);
    "Einsum broadcast" => |i| einsum_of(i, "...ij,...jk->...ik", &[&[2, 1, 2, 3], &[4, 3, 2]]);
    "Einsum with an ellipsis of one" => |i| einsum_of(i, "...i,ij->...j", &[&[2, 3, 4], &[4, 2]]);
    "Einsum with an ellipsis and an axis of one operand" => |i| einsum_of(i, "...i,xij->...j", &[&[2, 3], &[5, 3, 2]]);
    "Einsum with an ellipsis of the result" => |i| einsum_of(i, "j,k->...jk", &[&[3], &[4]]);
    "Einsum of one with an ellipsis of the result" => |i| einsum_of(i, "jk->...kj", &[&[3, 2]]);
    "Einsum of a diagonal" => |i| einsum_of(i, "iij,jk->ik", &[&[3, 3, 2], &[2, 4]]);
    "Einsum of a trace" => |i| einsum_of(i, "ii->", &[&[3, 3]]);
    "Einsum to a diagonal" => |i| einsum_of(i, "i,j->jii", &[&[3], &[2]]);
    "Einsum with a last ellipsis" => |i| einsum_of(i, "ij...,jk->k...i", &[&[2, 3, 4], &[3, 5]]);
    "Einsum with an ellipsis in a diagonal" => |i| einsum_of(i, "i...i,j...->...i", &[&[2, 3, 2], &[4, 1]]);
    "Einsum to a scalar" => |i| einsum_of(i, "i,i->", &[&[4], &[4]]);
};

const SEGMENTS: &[Sample] = rows! {
    "SegmentSum" => |i| { let x = i.doubles(&[4, 2]); [segment_sum(x, i.other([0i32, 0, 1, 2]))] };
    "SegmentMean" => |i| { let x = i.doubles(&[4, 2]); [segment_mean(x, i.other([0i64, 0, 0, 1]))] };
    "SegmentMax" => |i| { let x = i.doubles(&[4, 2]); [segment_max(x, i.other([0i32, 0, 1, 1]))] };
    "SegmentMin" => |i| { let x = i.doubles(&[4, 2]); [segment_min(x, i.other([0i32, 0, 1, 1]))] };
    "SegmentProd" => |i| { let x = i.doubles(&[4, 2]); [segment_prod(x, i.other([0i32, 0, 1, 1]))] };
    "SegmentProd with zeros" => |i| {
        let x = i.given(shaped(vec![0.0, 2.0, 3.0, 0.0, 0.0f64], &[5]));
        [segment_prod(x, i.other([0i32, 0, 1, 1, 1]))]
    };
    "UnsortedSegmentSum" => |i| { let x = i.doubles(&[4, 2]); [unsorted_segment_sum(x, i.other([2i32, 0, -1, 2]), 3)] };
    "UnsortedSegmentSum of entries" => |i| {
        let x = i.doubles(&[2, 2, 3]);
        let ids = i.other(shaped(vec![1i32, 0, 1, -1], &[2, 2]));
        [unsorted_segment_sum(x, ids, 4)]
    };
    "UnsortedSegmentMax" => |i| { let x = i.doubles(&[4, 2]); [unsorted_segment_max(x, i.other([1i32, 0, 1, -1]), 2)] };
    "UnsortedSegmentMin" => |i| { let x = i.doubles(&[4, 2]); [unsorted_segment_min(x, i.other([1i32, 0, 1, -1]), 2)] };
    "UnsortedSegmentProd" => |i| { let x = i.doubles(&[4, 2]); [unsorted_segment_prod(x, i.other([1i32, 0, 1, -1]), 2)] };
    "SparseSegmentSum" => |i| {
        let x = i.doubles(&[3, 2]);
        let (indices, ids) = (i.other([2i32, 0, 2]), i.other([0i32, 0, 1]));
        [sparse_segment_sum(x, indices, ids)]
    };
    "SparseSegmentMean" => |i| {
        let x = i.doubles(&[3, 2]);
        let (indices, ids) = (i.other([2i32, 0, 2]), i.other([0i32, 0, 1]));
        [sparse_segment_mean(x, indices, ids)]
    };
    "SparseSegmentSumWithNumSegments" => |i| {
        let (x, indices, ids) = (i.doubles(&[3, 2]), i.other([2i32, 0, 2]), i.other([0i32, 0, 2]));
        [sparse_segment_sum_with_num_segments(x, indices, ids, 4)]
    };
    "SparseSegmentMeanWithNumSegments" => |i| {
        let (x, indices, ids) = (i.doubles(&[3, 2]), i.other([2i32, 0, 2]), i.other([0i32, 0, 2]));
        [sparse_segment_mean_with_num_segments(x, indices, ids, 4)]
    };
    "SparseSegmentSqrtNWithNumSegments" => |i| {
        let (x, indices, ids) = (i.doubles(&[3, 2]), i.other([2i32, 0, 2]), i.other([0i32, 0, 2]));
        [sparse_segment_sqrt_n_with_num_segments(x, indices, ids, 4)]
    };
    "SparseSegmentSumGrad" but not_numerical => |i| sparse_segment_grad(i, "SparseSegmentSumGrad");
    "SparseSegmentMeanGrad" but not_numerical => |i| sparse_segment_grad(i, "SparseSegmentMeanGrad");
    "SparseSegmentSqrtNGrad" but not_numerical => |i| sparse_segment_grad(i, "SparseSegmentSqrtNGrad");
    "SparseSegmentSqrtN" => |i| {
        let x = i.doubles(&[3, 2]);
        let (indices, ids) = (i.other([2i32, 0, 2]), i.other([0i32, 0, 1]));
        [sparse_segment_sqrt_n(x, indices, ids)]
    };
};

/// Returns the gradient op of one of the sparse segment operations.
fn sparse_segment_grad(i: &mut Inputs<'_>, op_type: &str) -> Vec<Output> {
    let grad = i.other(shaped(vec![1.0f64, 2.0, 3.0, 4.0], &[2, 2]));
    let (indices, ids) = (i.other([2i32, 0, 2]), i.other([0i32, 0, 1]));
    vec![i.op(op_type).input(grad).input(indices).input(ids).constant(4i32).finish_output()]
}

/// Returns a complex tensor from two real inputs, so that real differences can be taken.
fn complexes(i: &mut Inputs<'_>, shape: &[usize]) -> Output {
    let (re, im) = (i.between(0.2, 1.0, shape), i.between(0.2, 1.0, shape));
    complex(re, im)
}

/// Returns both parts of a complex result.
fn parts(z: Output) -> Vec<Output> {
    vec![real(&z), imag(&z)]
}

const COMPLEX: &[Sample] = rows! {
    "Complex broadcast" => |i| { let (re, im) = (i.doubles(&[2, 3]), i.doubles(&[3])); parts(complex(re, im)) };
    "Real" => |i| [real(complexes(i, &[3]))];
    "Imag" => |i| [imag(complexes(i, &[3]))];
    "Conj" => |i| parts(conj(complexes(i, &[3])));
    "Angle" => |i| [angle(complexes(i, &[3]))];
    "ComplexAbs" => |i| [abs(complexes(i, &[3]))];
    "Mul complex" => |i| { let (a, b) = (complexes(i, &[2, 3]), complexes(i, &[3])); parts(mul(a, b)) };
    "RealDiv complex" => |i| { let (a, b) = (complexes(i, &[3]), complexes(i, &[3])); parts(real_div(a, b)) };
    "Square complex" => |i| parts(square(complexes(i, &[3])));
    "Sqrt complex" => |i| parts(sqrt(complexes(i, &[3])));
    "Rsqrt complex" => |i| parts(rsqrt(complexes(i, &[3])));
    "Exp complex" => |i| parts(exp(complexes(i, &[3])));
    "Log complex" => |i| parts(log(complexes(i, &[3])));
    "Tanh complex" => |i| parts(tanh(complexes(i, &[3])));
    "Sigmoid complex" => |i| parts(sigmoid(complexes(i, &[3])));
    "Reciprocal complex" => |i| parts(reciprocal(complexes(i, &[3])));
    "Pow complex" => |i| { let (a, b) = (complexes(i, &[3]), complexes(i, &[3])); parts(pow(a, b)) };
    "MatMul complex" => |i| {
        let (a, b) = (complexes(i, &[2, 3]), complexes(i, &[2, 3]));
        parts(matmul_with(a, b, MatMulOptions::default().transpose_b(true)))
    };
    "BatchMatMulV2 complex" needs Ranks => |i| {
        let (a, b) = (complexes(i, &[2, 2, 3]), complexes(i, &[2, 2, 3]));
        parts(matmul_with(a, b, MatMulOptions::default().transpose_a(true)))
    };
    "Cast complex" => |i| { let x = i.doubles(&[3]); parts(cast(x, DType::Complex128)) };
    "Mul by a complex constant" => |i| {
        let z = complexes(i, &[2]);
        let factor = i.constant([Complex::new(1.0f64, 2.0), Complex::new(-0.5, 0.25)]);
        parts(mul(z, factor))
    };
};

const REST: &[Sample] = rows! {
    "Add" => |i| pair_op(i, "Add", -1.0, 1.0);
    "Div" => |i| pair_op(i, "Div", 0.5, 2.0);
    "Mod" => |i| pair_op(i, "Mod", 0.5, 2.0);
    "Inv" => |i| { let x = i.between(0.5, 2.0, &[3]); [i.op("Inv").input(x).finish_output()] };
    "NextAfter" but not_numerical => |i| pair_op(i, "NextAfter", 0.5, 2.0);
    "Pow of a constant" => |i| { let x = i.between(0.5, 2.0, &[3]); let three = i.constant(3.0f64); [pow(x, three)] };
    "Mul of itself" => |i| { let x = i.doubles(&[2, 3]); [mul(&x, &x)] };
    "Mul scalar" => |i| { let (x, y) = (i.doubles(&[2, 3]), i.doubles(&[])); [mul(x, y)] };
    "TanhGrad" => |i| pair_op(i, "TanhGrad", 0.2, 0.9);
    "SigmoidGrad" => |i| pair_op(i, "SigmoidGrad", 0.2, 0.9);
    "SqrtGrad" => |i| pair_op(i, "SqrtGrad", 0.5, 2.0);
    "RsqrtGrad" => |i| pair_op(i, "RsqrtGrad", 0.5, 2.0);
    "ReciprocalGrad" => |i| pair_op(i, "ReciprocalGrad", 0.5, 2.0);
    "InvGrad" => |i| pair_op(i, "InvGrad", 0.5, 2.0);
    "Polygamma" => |i| { let x = i.between(0.5, 3.0, &[3]); let order = i.constant(2.0f64); [polygamma(order, x)] };
    "Cast to single and back" but not_numerical => |i| { let x = i.doubles(&[3]); [cast(cast(x, DType::Float32), DType::Float64)] };
    "Cast to integers" => |i| [cast(i.between(-9.0, 9.0, &[4]), DType::Int32)];
    "Select scalar" => |i| {
        let (t, e) = (i.doubles(&[2, 3]), i.doubles(&[2, 3]));
        let condition = i.other(true);
        [select_rows(condition, t, e)]
    };
    "Select rows" => |i| {
        let (t, e) = (i.doubles(&[2, 3]), i.doubles(&[2, 3]));
        let condition = i.other([true, false]);
        [select_rows(condition, t, e)]
    };
    "SelectV2" => |i| {
        let (t, e) = (i.doubles(&[2, 3]), i.doubles(&[3]));
        let condition = i.other(shaped(vec![true, false], &[2, 1]));
        [select(condition, t, e)]
    };
    "SelectV2 scalars" => |i| {
        let (t, e) = (i.doubles(&[]), i.doubles(&[]));
        let condition = i.other([true, false, true]);
        [select(condition, t, e)]
    };
    "ClipByValue" => |i| {
        let x = i.doubles(&[2, 3]);
        let (low, high) = (i.given(-0.3f64), i.given(0.4f64));
        [i.op("ClipByValue").input(x).input(low).input(high).finish_output()]
    };
    "Minimum and Maximum, clipping" => |i| {
        let x = i.doubles(&[2, 3]);
        let (low, high) = (i.constant(-0.3f64), i.constant(0.4f64));
        [clip_by_value(x, low, high)]
    };
    "AddN" => |i| { let x = [i.doubles(&[2, 3]), i.doubles(&[2, 3]), i.doubles(&[2, 3])]; [add_n(&x)] };
    "AccumulateNV2" needs Shapes => |i| { let x = [i.doubles(&[2, 3]), i.doubles(&[2, 3])]; [accumulate_n(&x)] };
    "ApproximateEqual" => |i| { let (x, y) = (i.doubles(&[3]), i.doubles(&[3])); [approximate_equal(x, y, 0.5)] };
    "LogicalAnd" => |i| { let (x, y) = (i.other([true, false]), i.other([true])); [logical_and(x, y)] };
    "LogicalOr" => |i| { let (x, y) = (i.other([true, false]), i.other([false])); [logical_or(x, y)] };
    "LogicalNot" => |i| [logical_not(i.other([true, false]))];
    "BitwiseAnd" => |i| { let (x, y) = (i.other([12i32, -7]), i.other([10i32])); [bitwise_and(x, y)] };
    "BitwiseOr" => |i| { let (x, y) = (i.other([12i32, -7]), i.other([10i32])); [bitwise_or(x, y)] };
    "BitwiseXor" => |i| { let (x, y) = (i.other([12i32, -7]), i.other([10i32])); [bitwise_xor(x, y)] };
    "LeftShift" => |i| { let (x, y) = (i.other([12i32, -7]), i.other([3i32])); [left_shift(x, y)] };
    "RightShift" => |i| { let (x, y) = (i.other([12i32, -7]), i.other([1i32])); [right_shift(x, y)] };
    "Invert" => |i| [invert(i.other([12u8, 7]))];
    "PopulationCount" => |i| [population_count(i.other([12i64, -7]))];
    "Bincount" => |i| [bincount(i.other([1i32, 3, 1, 0]))];
    "Bincount weighted" => |i| {
        let numbers = i.other([1i32, 3, 1, 0]);
        let weights = i.other([0.5f64, 1.0, 2.0, 4.0]);
        [weighted_bincount(numbers, 5, weights)]
    };
    "HistogramFixedWidth" => |i| {
        let (x, range) = (i.other([0.5f64, 1.0, 2.0, 4.0]), i.constant([0.0f64, 5.0]));
        [histogram_fixed_width(x, range, 5)]
    };
    "Bucketize" => |i| [bucketize(i.other([0.5f64, 1.0, 2.0, 4.0]), &[1.0, 3.0])];
    "Cross" => |i| { let (a, b) = (i.doubles(&[2, 3]), i.doubles(&[2, 3])); [cross(a, b)] };
    "Igamma" => |i| { let (a, x) = (i.between(0.5, 2.0, &[3]), i.between(0.5, 2.0, &[3])); [igamma(a, x)] };
    "Igammac broadcast" => |i| { let (a, x) = (i.between(0.5, 2.0, &[3]), i.between(0.5, 2.0, &[2, 1])); [igammac(a, x)] };
    "IgammaGradA" => |i| { let (a, x) = (i.other([0.5f64, 1.5]), i.other([1.0f64, 2.0])); [i.op("IgammaGradA").input(a).input(x).finish_output()] };
    "RandomGammaGrad" but not_numerical => |i| {
        let (a, x) = (i.other([0.3f64, 1.5, 7.0, 40.0]), i.other([0.2f64, 2.0, 5.0, 38.0]));
        [i.op("RandomGammaGrad").input(a).input(x).finish_output()]
    };
    "Zeta" => |i| { let q = i.between(0.5, 2.0, &[3]); let x = i.constant(2.5f64); [zeta(x, q)] };
    "Betainc" => |i| {
        let x = i.between(0.2, 0.8, &[3]);
        let (a, b) = (i.constant([0.5f64, 1.5, 2.5]), i.constant([2.0f64, 1.0, 0.5]));
        [betainc(a, b, x)]
    };
};

pub(super) static SAMPLES: &[&[Sample]] =
    &[PAIRS, FUNCTIONS, REDUCTIONS, SCANS, PRODUCTS, EINSUMS, SEGMENTS, COMPLEX, VALUES, REST];
