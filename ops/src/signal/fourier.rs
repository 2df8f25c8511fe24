//! Fourier transforms along the last one, two or three axes.

use crate::array::padding::PAD;
use crate::array::{
    Index, concat, constant, fill, rank, scalar_tensor, shape, slice, stack, strided_slice, zeros_like,
};
use crate::library::op_defs;
use crate::math::{cast, complex, floor_mod, maximum, real, real_div, reduce_prod, sub};
use crate::shapes;
use crate::static_value;
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};
use tensor::{DType, Tensor};

const COMPLEX: &str = "Tcomplex: {complex64, complex128} = complex64";
const BOTH: &str = "Treal: {float, double} = float, Tcomplex: {complex64, complex128} = complex64";

const fn transform(name: &'static str) -> OpDef {
    OpDef::new(name, "input: Tcomplex -> output: Tcomplex").attrs(COMPLEX)
}

const fn batch(name: &'static str) -> OpDef {
    OpDef::new(name, "input: complex64 -> output: complex64")
}

const fn from_real(name: &'static str) -> OpDef {
    OpDef::new(name, "input: Treal, fft_length: int32 -> output: Tcomplex").attrs(BOTH)
}

const fn to_real(name: &'static str) -> OpDef {
    OpDef::new(name, "input: Tcomplex, fft_length: int32 -> output: Treal").attrs(BOTH)
}

op_defs! {
    FFT: transform("FFT").shape(|context| same(context, 1)).gradient(|_, grads| forward(grads, 1, &IFFT));
    IFFT: transform("IFFT").shape(|context| same(context, 1)).gradient(|_, grads| inverse(grads, 1, &FFT));
    FFT_2D: transform("FFT2D").shape(|context| same(context, 2)).gradient(|_, grads| forward(grads, 2, &IFFT_2D));
    IFFT_2D: transform("IFFT2D").shape(|context| same(context, 2)).gradient(|_, grads| inverse(grads, 2, &FFT_2D));
    FFT_3D: transform("FFT3D").shape(|context| same(context, 3)).gradient(|_, grads| forward(grads, 3, &IFFT_3D));
    IFFT_3D: transform("IFFT3D").shape(|context| same(context, 3)).gradient(|_, grads| inverse(grads, 3, &FFT_3D));
    RFFT: from_real("RFFT").shape(|context| sized(context, 1, true)).gradient(|op, grads| of_reals(op, grads, 1, &IFFT));
    IRFFT: to_real("IRFFT").shape(|context| sized(context, 1, false)).gradient(|op, grads| to_reals(op, grads, 1, &RFFT));
    RFFT_2D: from_real("RFFT2D").shape(|context| sized(context, 2, true)).gradient(|op, grads| of_reals(op, grads, 2, &IFFT_2D));
    IRFFT_2D: to_real("IRFFT2D").shape(|context| sized(context, 2, false)).gradient(|op, grads| to_reals(op, grads, 2, &RFFT_2D));
    RFFT_3D: from_real("RFFT3D").shape(|context| sized(context, 3, true));
    IRFFT_3D: to_real("IRFFT3D").shape(|context| sized(context, 3, false));
    BATCH_FFT: batch("BatchFFT").shape(|context| same(context, 1));
    BATCH_FFT_2D: batch("BatchFFT2D").shape(|context| same(context, 2));
    BATCH_FFT_3D: batch("BatchFFT3D").shape(|context| same(context, 3));
    BATCH_IFFT: batch("BatchIFFT").shape(|context| same(context, 1));
    BATCH_IFFT_2D: batch("BatchIFFT2D").shape(|context| same(context, 2));
    BATCH_IFFT_3D: batch("BatchIFFT3D").shape(|context| same(context, 3));
}

fn same(context: &mut ShapeContext<'_>, axes: usize) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, axes)?;
    context.set(0, input);
    Ok(())
}

/// The last axes have the lengths of input 1; for real numbers, half of the last frequencies determine the rest.
fn sized(context: &mut ShapeContext<'_>, axes: usize, halved: bool) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, axes)?;
    let lengths = context.input_of_rank(1, 1)?;
    shapes::merge_dims("lengths", lengths.dim(0), Some(axes))?;
    let Some(rank) = input.rank() else { return Ok(()) };
    let lengths = shapes::ints(context, 1);
    let length = |axis: usize| {
        let length = usize::try_from(*lengths.as_ref()?.get(axis)?).ok()?;
        // Of real numbers, the negative frequencies repeat the others and are left out.
        Some(if halved && axis + 1 == axes && length > 0 { length / 2 + 1 } else { length })
    };
    let last: Vec<Option<usize>> = (0..axes).map(length).collect();
    context.set(0, input.range(0, rank - axes).concat(&PartialShape::from(last)));
    Ok(())
}

/// Returns the lengths of the last axes.
fn last_sizes(x: &Output, axes: usize) -> Output {
    strided_slice(shape(x), &[Index::from(-(axes as i64)..)])
}

/// Returns the product of lengths, in the dtype of gradients.
fn product(lengths: &Output, dtype: DType) -> Output {
    cast(reduce_prod(lengths, ..), dtype)
}

#[track_caller]
fn apply(def: &'static OpDef, x: &Output) -> Output {
    x.graph().op(def).input(x).finish_output()
}

fn forward(grads: &[Option<Output>], axes: usize, back: &'static OpDef) -> Result<Vec<Option<Output>>> {
    // The inverse transform divides by the number of elements, which the transpose
    // of the forward one does not.
    let gradient = |grad: &Output| apply(back, grad) * product(&last_sizes(grad, axes), grad.dtype());
    Ok(vec![grads[0].as_ref().map(gradient)])
}

fn inverse(grads: &[Option<Output>], axes: usize, back: &'static OpDef) -> Result<Vec<Option<Output>>> {
    let gradient =
        |grad: &Output| real_div(apply(back, grad), product(&last_sizes(grad, axes), grad.dtype()));
    Ok(vec![grads[0].as_ref().map(gradient)])
}

/// Builds the gradient of a transform of real numbers. The frequencies that it leaves out have no gradient, and neither have the numbers that
/// it does not look at.
fn of_reals(
    op: &Operation,
    grads: &[Option<Output>],
    axes: usize,
    back: &'static OpDef,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, lengths) = (op.input(0), op.input(1));
    // The frequencies left out have no gradient; with zeros for them, a complex transform goes back.
    let last = strided_slice(&lengths, &[Index::from(-1..)]);
    let whole = padded(grad, &lacking(&last, &last_sizes(grad, 1)), 1);
    let spread = real(apply(back, &whole) * product(&lengths, grad.dtype()));
    // Input cut off by a shorter transform gets zeros; zeros that a longer one added are cut off.
    let spread = padded(&spread, &lacking(&last_sizes(&x, axes), &lengths), axes);
    Ok(vec![Some(slice(&spread, zeros_like(shape(&x)), shape(&x))), None])
}

/// Returns what sizes lack to be as large as others, as a constant where both are known.
fn lacking(wanted: &Output, given: &Output) -> Output {
    match (static_value::ints(wanted), static_value::ints(given)) {
        (Some(wanted), Some(known)) => {
            let lacking = wanted.iter().zip(known).map(|(wanted, known)| (wanted - known).max(0) as i32);
            constant(&given.graph(), lacking.collect::<Vec<i32>>())
        }
        _ => {
            let lacking = sub(wanted, given);
            maximum(&lacking, zeros_like(&lacking))
        }
    }
}

/// Appends `behind[i]` zeros to each of the last axes.
fn padded(x: &Output, behind: &Output, axes: usize) -> Output {
    let graph = x.graph();
    let paddings = match (x.shape().rank(), static_value::ints(behind)) {
        (Some(rank), Some(behind)) => {
            let others = std::iter::repeat_n(0, 2 * rank.saturating_sub(axes));
            let paddings: Vec<i32> = others.chain(behind.iter().flat_map(|&size| [0, size as i32])).collect();
            let rows = paddings.len() / 2;
            constant(&graph, Tensor::from_vec(paddings, [rows, 2]).unwrap_or_else(|_| Tensor::scalar(0i32)))
        }
        _ => {
            let others = stack(&[sub(rank(x), constant(&graph, axes as i32))], 0);
            let behind = concat(&[fill(others, constant(&graph, 0i32)), behind.clone()], 0);
            stack(&[zeros_like(&behind), behind], 1)
        }
    };
    graph.op(&PAD).input(x).input(paddings).finish_output()
}

/// Builds the gradient of a transform to real numbers. Frequencies that represent two count twice.
fn to_reals(
    op: &Operation,
    grads: &[Option<Output>],
    axes: usize,
    back: &'static OpDef,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, lengths, graph) = (op.input(0), op.input(1), grad.graph());
    let number = |value: f64| constant(&graph, scalar_tensor(grad.dtype(), value));
    let odd = floor_mod(strided_slice(&lengths, &[Index::from(-1..)]), constant(&graph, 2i32));
    // Each frequency stands for its negative as well, except the first one and, for even lengths, the last.
    let twice = fill(sub(last_sizes(&x, 1), constant(&graph, 2i32)) + &odd, number(2.0));
    let once = fill(sub(constant(&graph, 1i32), &odd), number(1.0));
    let mask = concat(&[fill([1i32], number(1.0)), twice, once], 0);
    let share = real_div(mask, product(&last_sizes(grad, axes), grad.dtype()));
    let builder = graph.op(back).input(grad).input(&lengths).attr("Tcomplex", x.dtype());
    Ok(vec![Some(builder.finish_output() * complex(&share, zeros_like(&share))), None])
}

/// Returns the Fourier transform along the last axis of complex numbers.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, signal::fft};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Complex64, [None, Some(16)]);
/// assert_eq!(fft(&x).shape(), x.shape());
/// ```
#[must_use]
#[track_caller]
pub fn fft(input: impl AsOutput) -> Output {
    apply(&FFT, input.as_output())
}

/// Returns the inverse Fourier transform along the last axis of complex numbers: the inverse of [`fft`].
#[must_use]
#[track_caller]
pub fn ifft(input: impl AsOutput) -> Output {
    apply(&IFFT, input.as_output())
}

/// Returns the Fourier transform along the last two axes of complex numbers. The shape stays the same.
///
/// ```
/// use ops::{array::placeholder, signal::{fft2d, ifft2d}};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Complex64, [4, 8, 8]);
/// assert_eq!(ifft2d(fft2d(&x)).shape().to_string(), "[4,8,8]");
/// ```
#[must_use]
#[track_caller]
pub fn fft2d(input: impl AsOutput) -> Output {
    apply(&FFT_2D, input.as_output())
}

/// Returns the inverse Fourier transform along the last two axes of complex numbers: the inverse of [`fft2d`].
#[must_use]
#[track_caller]
pub fn ifft2d(input: impl AsOutput) -> Output {
    apply(&IFFT_2D, input.as_output())
}

/// Returns the Fourier transform of `length` real numbers along the last axis: the `length / 2 + 1` frequencies from 0 up.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, signal::rfft};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [None, Some(16)]);
/// assert_eq!(rfft(&x, 16).shape().to_string(), "[?,9]");
/// ```
#[must_use]
#[track_caller]
pub fn rfft(input: impl AsOutput, length: i32) -> Output {
    let input = input.as_output();
    let builder = input.graph().op(&RFFT).input(input).constant([length]);
    let wide = input.dtype() == DType::Float64;
    builder.attr("Tcomplex", if wide { DType::Complex128 } else { DType::Complex64 }).finish_output()
}

/// Returns the inverse of [`rfft`]: `length` real numbers along the last axis. For an even length the input has `length / 2 + 1` complex
/// numbers.
///
/// ```
/// use ops::{array::placeholder, signal::{irfft, rfft}};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [16]);
/// assert_eq!(irfft(rfft(&x, 16), 16).shape().to_string(), "[16]");
/// ```
#[must_use]
#[track_caller]
pub fn irfft(input: impl AsOutput, length: i32) -> Output {
    let input = input.as_output();
    let builder = input.graph().op(&IRFFT).input(input).constant([length]);
    let wide = input.dtype() == DType::Complex128;
    builder.attr("Treal", if wide { DType::Float64 } else { DType::Float32 }).finish_output()
}
