//! The values of integer tensors as far as they follow from the graph: shapes, axes and sizes that a program
//! computes from other shapes.

use session_core::{AttrValue, Operation, Output, PartialShape};
use tensor::{DType, Tensor};

/// Elements row-major, each as far as it is known.
type Partial = Vec<Option<i64>>;

/// Longer tensors are not shapes, and longer chains of operations are not a usual way to compute one.
const MAX_ELEMENTS: usize = 64;
const MAX_DEPTH: usize = 16;

/// Returns the integers an output will hold, row-major, where each may be unknown; `None` when not even their number
/// is known.
pub(crate) fn partial_ints(output: &Output) -> Option<Vec<Option<i64>>> {
    if !output.dtype().is_integer() {
        return None;
    }
    evaluate(output, MAX_DEPTH)
}

/// Returns the integers an output will hold, when all follow from the graph.
pub(crate) fn ints(output: &Output) -> Option<Vec<i64>> {
    // The limit of elements does not hold here: a constant needs no search.
    if let Some(value) = output.constant_value() {
        return tensor_ints(value); // of any length
    }
    partial_ints(output)?.into_iter().collect()
}

/// Returns the one integer an output will hold, when it follows from the graph.
pub(crate) fn int(output: &Output) -> Option<i64> {
    ints(output).filter(|values| values.len() == 1).map(|values| values[0])
}

/// Returns the elements of an integer tensor.
fn tensor_ints(tensor: &Tensor) -> Option<Vec<i64>> {
    match tensor.dtype() {
        DType::Int32 => Some(tensor.as_slice::<i32>().ok()?.iter().map(|&i| i.into()).collect()),
        DType::Int64 => tensor.to_vec::<i64>().ok(),
        DType::Int8 => Some(tensor.as_slice::<i8>().ok()?.iter().map(|&i| i.into()).collect()),
        DType::Int16 => Some(tensor.as_slice::<i16>().ok()?.iter().map(|&i| i.into()).collect()),
        DType::UInt8 => Some(tensor.as_slice::<u8>().ok()?.iter().map(|&i| i.into()).collect()),
        DType::UInt16 => Some(tensor.as_slice::<u16>().ok()?.iter().map(|&i| i.into()).collect()),
        DType::UInt32 => Some(tensor.as_slice::<u32>().ok()?.iter().map(|&i| i.into()).collect()),
        _ => None,
    }
}

/// Returns the elements as far as they follow from at most `depth` operations before. `None` if not even
/// their number is known, or if there are more than [`MAX_ELEMENTS`].
fn evaluate(output: &Output, depth: usize) -> Option<Partial> {
    let op = output.operation();
    let found = if depth == 0 || op.error().is_some() { None } else { by_type(op, output, depth - 1) };
    let count = output.shape().elements();
    // Shape functions index the list by what the shape says of its length. In a graph that contradicts itself, which fails when
    // it runs, the elements might be more or fewer, so they count only where the shape confirms them.
    let found = found.filter(|values| count == Some(values.len()));
    // What the dtype cannot hold wraps around or fails when the graph runs.
    let found = found.map(|values| {
        let held = |value: &i64| fits(output.dtype(), *value);
        values.into_iter().map(|value| value.filter(held)).collect()
    });
    // At least their number may be known.
    found
        .or_else(|| Some(vec![None; count.filter(|&count| count <= MAX_ELEMENTS)?]))
        .filter(|v| v.len() <= MAX_ELEMENTS)
}

/// Returns true if an integer dtype holds a number.
fn fits(dtype: DType, value: i64) -> bool {
    match dtype {
        DType::Int8 => i8::try_from(value).is_ok(),
        DType::Int16 => i16::try_from(value).is_ok(),
        DType::Int32 => i32::try_from(value).is_ok(),
        DType::UInt8 => u8::try_from(value).is_ok(),
        DType::UInt16 => u16::try_from(value).is_ok(),
        DType::UInt32 => u32::try_from(value).is_ok(),
        DType::UInt64 => u64::try_from(value).is_ok(),
        _ => true,
    }
}

/// Evaluates one operation. What is not listed here is unknown, which is always a right answer.
fn by_type(op: &Operation, output: &Output, depth: usize) -> Option<Partial> {
    let first = || evaluate(&op.input(0), depth);
    match op.op_type() {
        "Const" => Some(tensor_ints(output.constant_value()?)?.into_iter().map(Some).collect()),
        // These change neither the elements nor their order.
        "Identity" | "Snapshot" | "StopGradient" | "PreventGradient" | "EnsureShape" | "Reshape"
        | "ExpandDims" | "Squeeze" => first(),
        // A cast from a floating number could round; one between integers is
        // exact for sizes, which are small.
        "Cast" if op.input(0).dtype().is_integer() => first(),
        "Shape" | "ShapeN" => {
            let sizes = op.input(output.index()).shape().sizes()?.to_vec();
            Some(sizes.into_iter().map(|size| (size >= 0).then_some(size)).collect())
        }
        "Rank" => Some(vec![Some(op.input(0).shape().rank()?.try_into().ok()?)]),
        "Size" => Some(vec![op.input(0).shape().elements().and_then(|count| count.try_into().ok())]),
        // Along axis 0 the elements of scalars, or of vectors of equal length, simply follow each other.
        "Pack" if op.attr("axis").and_then(AttrValue::as_int) == Some(0) => join(&op.inputs(), depth),
        "ConcatV2" => {
            let (_, values) =
                op.inputs().split_last().map(|(axis, values)| (axis.clone(), values.to_vec()))?;
            // Matrices would interleave their elements along any axis but the first.
            if output.shape().rank() == Some(1) { join(&values, depth) } else { None }
        }
        "StridedSlice" => strided_slice(op, depth),
        "Slice" => slice(op, depth),
        "Gather" | "GatherV2" if op.input(0).shape().rank() == Some(1) => gather(op, depth),
        "Range" => range(op),
        // Only a full reduction: it has one element, and no axes have to be understood.
        "Prod" | "Sum" | "Max" | "Min" if output.shape().rank() == Some(0) => {
            let values: Option<Vec<i64>> = first()?.into_iter().collect();
            Some(vec![values.and_then(|values| reduce(op.op_type(), &values))])
        }
        "AddV2" | "Add" | "Sub" | "Mul" | "FloorDiv" | "FloorMod" | "Maximum" | "Minimum" => {
            let (a, b) = (first()?, evaluate(&op.input(1), depth)?);
            pairs_in_order(op, &a, &b).then(|| elementwise(op.op_type(), &a, &b))?
        }
        _ => None,
    }
}

/// Concatenates the elements of all parts.
fn join(parts: &[Output], depth: usize) -> Option<Partial> {
    let mut all = Partial::new();
    for part in parts {
        all.extend(evaluate(part, depth)?);
    }
    Some(all)
}

/// `vector[begin:end:stride]`, `vector[index]`.
fn strided_slice(op: &Operation, depth: usize) -> Option<Partial> {
    let mask = |name: &str| op.attr(name).and_then(AttrValue::as_int).unwrap_or(0);
    if op.input(0).shape().rank() != Some(1) || mask("ellipsis_mask") != 0 || mask("new_axis_mask") != 0 {
        return None;
    }
    let values = evaluate(&op.input(0), depth)?;
    let (begin, end, stride) = (int(&op.input(1))?, int(&op.input(2))?, int(&op.input(3))?);
    let count = i64::try_from(values.len()).ok()?;
    let place = |index: i64| if index < 0 { index + count } else { index };
    // A single index: `end` and `stride` are not read.
    if mask("shrink_axis_mask") & 1 != 0 {
        return Some(vec![*values.get(usize::try_from(place(begin)).ok()?)?]);
    }
    if stride != 1 {
        return None;
    }
    let start = if mask("begin_mask") & 1 != 0 { 0 } else { place(begin).clamp(0, count) };
    let stop = if mask("end_mask") & 1 != 0 { count } else { place(end).clamp(start, count) };
    Some(values[usize::try_from(start).ok()?..usize::try_from(stop).ok()?].to_vec())
}

/// `vector[begin:begin + size]`; a negative size stands for the rest.
fn slice(op: &Operation, depth: usize) -> Option<Partial> {
    if op.input(0).shape().rank() != Some(1) {
        return None;
    }
    let values = evaluate(&op.input(0), depth)?;
    let (begin, size) = (usize::try_from(int(&op.input(1))?).ok()?, int(&op.input(2))?);
    let rest = values.get(begin..)?;
    let size = if size < 0 { rest.len() } else { usize::try_from(size).ok()? };
    Some(rest.get(..size)?.to_vec())
}

/// `vector[indices]`. A negative or too large index is an error when the graph runs, and unknown here.
fn gather(op: &Operation, depth: usize) -> Option<Partial> {
    let values = evaluate(&op.input(0), depth)?;
    let indices = ints(&op.input(1))?;
    indices.into_iter().map(|index| values.get(usize::try_from(index).ok()?).copied()).collect()
}

/// `start, start + delta, ..` below `limit`, for a positive `delta`.
fn range(op: &Operation) -> Option<Partial> {
    let (start, limit, delta) = (int(&op.input(0))?, int(&op.input(1))?, int(&op.input(2))?);
    let step = usize::try_from(delta).ok().filter(|&step| step > 0)?;
    // One more than the limit, which `evaluate` then rejects: a range of millions is never built.
    Some((start..limit).step_by(step).take(MAX_ELEMENTS + 1).map(Some).collect())
}

/// Returns `None` on overflow, and for the extreme of nothing.
fn reduce(op_type: &str, values: &[i64]) -> Option<i64> {
    match op_type {
        "Prod" => values.iter().try_fold(1i64, |product, &value| product.checked_mul(value)),
        "Sum" => values.iter().try_fold(0i64, |sum, &value| sum.checked_add(value)),
        "Max" => values.iter().copied().max(),
        _ => values.iter().copied().min(),
    }
}

/// Returns true if broadcasting pairs the elements of both inputs in the order in which they are listed: with shapes that are
/// equal, with vectors, and with a single element. A column and a row would pair each element with each.
fn pairs_in_order(op: &Operation, a: &Partial, b: &Partial) -> bool {
    let (x, y) = (op.input(0), op.input(1));
    let (x, y) = (x.shape(), y.shape());
    let is_vector = |shape: &PartialShape| shape.rank().is_some_and(|rank| rank <= 1);
    a.len() == 1 || b.len() == 1 || (x == y && x.is_fully_known()) || (is_vector(x) && is_vector(y))
}

/// Combines elements of two lists of equal length, or of one with a single element.
/// Overflow makes an element unknown.
fn elementwise(op_type: &str, a: &Partial, b: &Partial) -> Option<Partial> {
    if a.len() != b.len() && a.len() != 1 && b.len() != 1 {
        return None;
    }
    let at = |values: &Partial, index: usize| if values.len() == 1 { values[0] } else { values[index] };
    let combine = |a: i64, b: i64| match op_type {
        "AddV2" | "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        // For a positive divisor the Euclidean quotient is the floor; sizes have no other.
        "FloorDiv" if b > 0 => Some(a.div_euclid(b)),
        "FloorMod" if b > 0 => Some(a.rem_euclid(b)),
        "Maximum" => Some(a.max(b)),
        "Minimum" => Some(a.min(b)),
        _ => None,
    };
    // An empty side makes the result empty.
    let count = if a.is_empty() || b.is_empty() { 0 } else { a.len().max(b.len()) };
    Some((0..count).map(|i| combine(at(a, i)?, at(b, i)?)).collect())
}
