//! Products, biases and activations of integers that stand for numbers.
//!
//! A quantized tensor has three parts: integers, and the numbers that the smallest and the largest integer
//! represent. Products of 8-bit integers are added up in 32 bits, and the range of the result follows from
//! those of the operands. Zero points are subtracted before the multiplication.
//!
//! # Semantics
//!
//! - `QuantizedMatMul` and `QuantizedConv2D` multiply 8-bit integers and return `qint32`, together with the
//!   range in which a sum of products has the right value: the product of both steps, times the integers of
//!   `qint32`.
//! - `QuantizedBiasAdd` adds a bias of one integer for each channel, in a range wide enough for `2^17` times
//!   the larger magnitude of both.
//! - `QuantizedRelu` and `QuantizedRelu6` clamp at the integers that stand for 0 and 6. The range does not
//!   change.
//! - `QuantizedReshape` forwards the range. `QuantizedConcat` converts all parts to a common range, which
//!   includes 0.
//!
//! The ranges of inputs are scalars, in pairs after the data. Inputs whose shapes do not fit are
//! `InvalidArgument`; output dtypes other than `qint32` are `Unimplemented`.

use super::ranges::{Integers, Range};
use crate::dispatch::unsupported;
use crate::kernel::{Kernel, KernelContext, NodeSpec, no_room};
use crate::kernels::array::joined;
use crate::kernels::math::boxed;
use crate::kernels::nn::Window;
use crate::registry::Registry;
use compute::conv;
use compute::matmul::Epilogue;
use session_core::{Error, Result};
use tensor::{DType, Shape, Tensor, memory};

/// Registers the op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("QuantizedMatMul", |spec| {
        let kinds = product_kinds(spec, "T1", "T2", "Toutput")?;
        let transposed = [spec.bool("transpose_a")?, spec.bool("transpose_b")?];
        Ok(boxed(move |context| product(context, kinds, transposed)))
    });
    registry.add("QuantizedConv2D", |spec| {
        let kinds = product_kinds(spec, "Tinput", "Tfilter", "out_type")?;
        let window = Window::of_convolution(spec)?;
        Ok(boxed(move |context| convolve(context, kinds, &window)))
    });
    registry.add("QuantizedBiasAdd", |spec| {
        let kind = |name: &str| Integers::of(spec.dtype(name)?);
        let kinds = [kind("T1")?, kind("T2")?, kind("out_type")?];
        Ok(boxed(move |context| add_bias(context, kinds)))
    });
    registry.add("QuantizedRelu", |spec| activation(spec, None));
    registry.add("QuantizedRelu6", |spec| activation(spec, Some(6.0)));
    registry.add("QuantizedReshape", |_| {
        Ok(boxed(|context| {
            let range = Range::of_inputs(context, 2)?;
            crate::kernels::array::reshape(context)?;
            range.deliver(context);
            Ok(())
        }))
    });
    registry.add("QuantizedConcat", |spec| {
        let kind = Integers::of(spec.dtype("T")?)?;
        Ok(boxed(move |context| concat(context, kind)))
    });
}

/// Returns the dtypes of two factors, whose product is of 32 bits.
///
/// The arguments are the names of the attributes with the dtypes. Fails with `Unimplemented` unless the
/// product is `qint32`.
fn product_kinds(spec: &NodeSpec<'_>, a: &str, b: &str, output: &str) -> Result<[Integers; 2]> {
    match spec.dtype(output)? {
        DType::QInt32 => Ok([Integers::of(spec.dtype(a)?)?, Integers::of(spec.dtype(b)?)?]),
        other => Err(unsupported(other)),
    }
}

/// Returns the numbers of a factor in steps from 0, exactly: doubles hold the products of any that are summed
/// here.
///
/// `range` is that of the input. An 8-bit factor is within -255 to 255, so sums of up to `2^37` products are
/// exact.
///
/// The zero point is the integer that stands for 0; it need not be within the dtype if the range does not
/// contain 0.
fn factor(context: &KernelContext<'_>, input: usize, kind: Integers, range: Range) -> Result<Vec<f64>> {
    let zero = kind.quantized(range, 0.0);
    let values = kind.read(context.input(input))?;
    Ok(memory::collected(values.into_iter().map(|value| (value - zero) as f64))?)
}

/// Delivers sums of products in steps of both factors.
///
/// Sets the integers as output 0 and their range as outputs 1 and 2. Sums outside of 32 bits are clamped.
///
/// With steps `s_a` and `s_b` of the factors, an integer `q` of the result stands for `q s_a s_b`, so the
/// range is `s_a s_b` times the ends of `qint32`. Two `quint8` factors from 0 to 1 have the range from
/// -33025.5 to 33025.5.
fn deliver(
    context: &mut KernelContext<'_>,
    shape: Shape,
    sums: &[f64],
    kinds: [Integers; 2],
    ranges: [Range; 2],
) -> Result<()> {
    let kind = Integers::of(DType::QInt32)?;
    let output = kind.write(shape, sums.iter().map(|&sum| sum as i64))?;
    context.set(0, output);
    let step = kinds[0].step(ranges[0]) * kinds[1].step(ranges[1]);
    Range { least: step * kind.low as f32, most: step * kind.high as f32 }.deliver(context);
    Ok(())
}

/// Delivers the product of two matrices, either of which may be transposed. The ranges are the inputs 2 to 5.
///
/// Input 0 is `[rows, inner]`, or `[inner, rows]` if `of_a` is true; input 1 is `[inner, columns]`, or the
/// transpose if `of_b` is true. Fails with `InvalidArgument` for other ranks and for inner dimensions that
/// differ.
fn product(context: &mut KernelContext<'_>, kinds: [Integers; 2], [of_a, of_b]: [bool; 2]) -> Result<()> {
    let ranges = [Range::of_inputs(context, 2)?, Range::of_inputs(context, 4)?];
    let (&[a_rows, a_columns], &[b_rows, b_columns]) =
        (context.input(0).shape().dims(), context.input(1).shape().dims())
    else {
        return Err(Error::invalid_argument("the factors of a product must be 2-dimensional"));
    };
    let (rows, inner) = if of_a { (a_columns, a_rows) } else { (a_rows, a_columns) };
    let (other, columns) = if of_b { (b_columns, b_rows) } else { (b_rows, b_columns) };
    if inner != other {
        let text = format!(
            "Matrix size-incompatible: {} and {}",
            context.input(0).shape(),
            context.input(1).shape()
        );
        return Err(Error::invalid_argument(text));
    }
    let (a, b) = (factor(context, 0, kinds[0], ranges[0])?, factor(context, 1, kinds[1], ranges[1])?);
    let mut sums = memory::filled(0f64, rows.saturating_mul(columns))?;
    let mut watch = context.watch();
    for (row, sums) in sums.chunks_exact_mut(columns.max(1)).enumerate() {
        watch.tick(inner.saturating_mul(columns))?;
        for k in 0..inner {
            // A plain loop over rows, the inner dimension and columns: contiguous in the result, and fast
            // enough for the rare use.
            let left = if of_a { a[k * rows + row] } else { a[row * inner + k] };
            for (column, sum) in sums.iter_mut().enumerate() {
                *sum += left * if of_b { b[column * inner + k] } else { b[k * columns + column] };
            }
        }
    }
    deliver(context, Shape::from([rows, columns]), &sums, kinds, ranges)
}

/// Delivers a convolution of images in NHWC with a filter `[height, width, in, out]`, through the convolution
/// of doubles.
///
/// Padding adds zeros, which are zeros here too, because zero points are subtracted first.
fn convolve(context: &mut KernelContext<'_>, kinds: [Integers; 2], window: &Window) -> Result<()> {
    let ranges = [Range::of_inputs(context, 2)?, Range::of_inputs(context, 4)?];
    let (shape, groups) = window.convolution(context.input(0).shape(), context.input(1).shape())?;
    if groups != 1 {
        return Err(Error::invalid_argument(
            "input and filter of a quantized convolution must have the same depth",
        ));
    }
    let (input, filter) =
        (factor(context, 0, kinds[0], ranges[0])?, factor(context, 1, kinds[1], ranges[1])?);
    let mut sums = memory::filled(0f64, shape.output_len())?;
    let pool = context.pool();
    let (_, scratch) = context.split();
    conv::forward(pool, scratch, &shape, &input, &filter, Epilogue { bias: None, relu: false }, &mut sums)
        .map_err(no_room)?;
    deliver(context, Shape::from([shape.batch, shape.out_h, shape.out_w, shape.out_c]), &sums, kinds, ranges)
}

/// Delivers input 0 with the vector in input 1 added along the last axis. Both are converted to the output's
/// range first and added as integers.
///
/// The result has the range from `-2^17 r` to `2^17 r`, with `r` the larger magnitude of both ranges. Fails
/// with `InvalidArgument` unless the bias is a vector of as many integers as the last axis has.
fn add_bias(context: &mut KernelContext<'_>, [input, bias, output]: [Integers; 3]) -> Result<()> {
    let (of_input, of_bias) = (Range::of_inputs(context, 2)?, Range::of_inputs(context, 4)?);
    let shape = context.input(0).shape().clone();
    let channels = shape.last().copied();
    if channels.is_none() || context.input(1).shape().dims() != [channels.unwrap_or_default()] {
        let text = format!("a bias of shape {} does not fit {shape}", context.input(1).shape());
        return Err(Error::invalid_argument(text));
    }
    // A range in which both fit with much to spare, as sums of more of them are wanted.
    let most =
        [of_input.most, -of_input.least, of_bias.most, -of_bias.least].into_iter().fold(f32::MIN, f32::max);
    let most = most * (1 << 17) as f32;
    let range = Range { least: -most, most };
    let moved = |kind: Integers, from: Range, value: i64| {
        output.quantized(range, kind.number(from, value)).clamp(output.low, output.high)
    };
    let bias =
        bias.read(context.input(1))?.into_iter().map(|value| moved(bias, of_bias, value)).collect::<Vec<_>>();
    let values = input.read(context.input(0))?;
    let sums = values
        .into_iter()
        .enumerate()
        .map(|(at, value)| moved(input, of_input, value) + bias[at % bias.len()]);
    let sums = output.write(shape, sums)?;
    context.set(0, sums);
    range.deliver(context);
    Ok(())
}

/// Returns the kernel that cuts off what is below 0, and above a number.
///
/// `most` is the upper bound as a number, or `None`. Input and output may have different dtypes; the integers
/// are then clamped to the output's.
fn activation(spec: &NodeSpec<'_>, most: Option<f32>) -> Result<Box<dyn Kernel>> {
    let (from, to) = (Integers::of(spec.dtype("Tinput")?)?, Integers::of(spec.dtype("out_type")?)?);
    Ok(boxed(move |context| {
        let range = Range::of_inputs(context, 1)?;
        // Clamped to the dtype, since 0 or 6 may lie outside the range.
        let bound = |x: f32| from.quantized(range, x).clamp(from.low, from.high);
        let (low, high) = (bound(0.0), most.map_or(from.high, bound));
        let values = from.read(context.input(0))?;
        let output =
            to.write(context.input(0).shape().clone(), values.into_iter().map(|x| x.max(low).min(high)))?;
        context.set(0, output);
        range.deliver(context);
        Ok(())
    }))
}

/// Joins tensors in the range that all of theirs lie in.
///
/// The inputs are the axis, the parts, their minima and their maxima. Integers of a part that has the common
/// range already are not changed.
fn concat(context: &mut KernelContext<'_>, kind: Integers) -> Result<()> {
    let count = (context.num_inputs() - 1) / 3;
    let ranges = (0..count)
        .map(|part| {
            let (&[least], &[most]) =
                (context.slice::<f32>(1 + count + part)?, context.slice::<f32>(1 + 2 * count + part)?)
            else {
                return Err(Error::invalid_argument("the ends of a range must each be one number"));
            };
            Ok(Range { least, most })
        })
        .collect::<Result<Vec<Range>>>()?;
    // From 0, so that the common range contains it.
    let least = ranges.iter().map(|range| range.least).fold(0.0, f32::min);
    let most = ranges.iter().map(|range| range.most).fold(f32::MIN, f32::max);
    let range = Range { least, most };
    let (axis, joined) = joined(context, 1, count, 0)?;
    let mut parts = Vec::with_capacity(count);
    for (part, &given) in ranges.iter().enumerate() {
        let shape = context.input(1 + part).shape();
        let values = kind.read(context.input(1 + part))?;
        let moved = |value: i64| {
            if given == range { value } else { kind.quantized(range, kind.number(given, value)) }
        };
        let row: usize = shape[axis..].iter().product();
        parts.push((row, values.into_iter().map(moved).collect::<Vec<i64>>()));
    }
    // Without elements there is no row to take from any part.
    let outer: usize = if joined.elements() == 0 { 0 } else { joined[..axis].iter().product() };
    let values = (0..outer).flat_map(|at| {
        parts.iter().flat_map(move |(row, values)| values[at * row..][..*row].iter().copied())
    });
    let output: Tensor = kind.write(joined, values)?;
    context.set(0, output);
    range.deliver(context);
    Ok(())
}
