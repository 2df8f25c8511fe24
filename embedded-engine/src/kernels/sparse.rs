//! Sparse tensors: coordinates, one row for each value, in the order of rows; values; the dense shape.
//!
//! # Semantics
//!
//! Most operations require coordinates in row-major order without duplicates, as TensorFlow's do, which is
//! not checked here. `SparseReorder` establishes the order. Values that become 0 stay stored. A coordinate
//! outside of the dense shape is an `InvalidArgument` error that names it.
//!
//! # Operations
//!
//! A sparse tensor is three inputs: indices `[n, rank]` (`int64`), values `[n]`, and the dense shape `[rank]`
//! (`int64`).
//!
//! | op | further inputs | result |
//! | --- | --- | --- |
//! | `SparseTensorDenseMatMul` | dense matrix | a dense matrix; `adjoint_a` and `adjoint_b` transpose |
//! | `SparseReorder` | | indices and values in row-major order; equal coordinates keep their order |
//! | `SparseReshape` | indices, shape, new shape | new indices and the new shape; one -1 is inferred |
//! | `SparseFillEmptyRows` | default | the tensor with the default in column 0 of each empty row, a mask, and where each value went |
//! | `SparseConcat`, `SparseSplit` | | joined along `concat_dim`, or `num_split` parts |
//! | `SparseSlice` | start, size | the values inside, shifted; sizes beyond the end are cut |
//! | `SparseAdd` | another one, threshold | the sums, those below the threshold left out; `SparseAddGrad` and `SparseSliceGrad` map gradients back |
//! | `SparseSparseMaximum`, `SparseSparseMinimum` | another one | the union of coordinates; a missing value is 0, and NaN on either side gives NaN |
//! | `SparseReduceSum` | axes | a dense tensor; no axes reduce nothing |
//! | `SparseSoftmax` | | values; the softmax of the stored values of each row along the last axis |
//! | `SparseTensorDenseAdd` | dense | a dense tensor |
//! | `SparseDenseCwiseAdd`, `...Mul`, `...Div` | dense | values only; the dense tensor is broadcast, the sparse one is not |
//!
//! Sums are for all numbers, products with dense tensors and extremes for real ones, and what only moves
//! values for all dtypes. `SparseAdd` is for `float32`, `float64`, signed integers and complex numbers;
//! `SparseTensorDenseMatMul` for floats, `int32` and complex numbers, whose adjoints are conjugated;
//! `SparseSoftmax` for floats but `bfloat16`. Integers wrap. NaN spreads as the arithmetic has it. A division
//! by a dense 0 is `InvalidArgument`.
//!
//! # Cost
//!
//! Everything runs on one thread. Coordinates are read into one small list per value, which is simple and
//! slow: these operations handle features of examples, not large matrices. What needs an order sorts, or uses
//! an ordered map: n log n.
//!
//! # Examples
//!
//! ```text
//! a = {[0, 1]: 2, [2, 0]: 3} of shape [3, 2], b = {[0, 1]: -2, [1, 1]: 5}
//!
//! SparseAdd             a, b, threshold 1            -> {[1, 1]: 5, [2, 0]: 3}
//! SparseSparseMaximum   a, b                         -> {[0, 1]: 2, [1, 1]: 5, [2, 0]: 3}
//! SparseReduceSum       a, axis 1                    -> [2, 0, 3]
//! SparseReshape         a, to [2, -1]                -> indices [[0, 1], [1, 1]], shape [2, 3]
//! SparseTensorDenseMatMul  a, [[1, 2], [3, 4]]       -> [[6, 8], [0, 0], [3, 6]]
//! ```

mod cross;
mod edit_distance;
mod number;

use crate::dispatch::check_number;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::array::arrange;
use crate::kernels::math::{axis, boxed};
use crate::registry::Registry;
use number::{Number, Summand};
use session_core::{Error, Result};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Add, Div, Sub};
use tensor::{Complex, DType, Element, Shape, Tensor, f16, memory};

/// Registers the op types of this file and of the folder. Dtypes are checked here, so that those without a
/// kernel are listed before the first step.
pub(crate) fn register(registry: &mut Registry) {
    cross::register(registry);
    edit_distance::register(registry);
    registry.add("SparseTensorDenseMatMul", |spec| {
        let adjoint = [spec.bool("adjoint_a")?, spec.bool("adjoint_b")?];
        for_dtype!(@arms spec.input_dtype(1), T => Ok(boxed(move |context| matmul::<T>(context, adjoint))),
            Float32: f32, Float64: f64, Float16: f16, BFloat16: tensor::bf16, Int32: i32,
            Complex64: Complex<f32>, Complex128: Complex<f64>)
    });
    registry.add("SparseReorder", |_| Ok(boxed(reorder)));
    registry.add("SparseReshape", |_| Ok(boxed(reshape)));
    registry.add("SparseFillEmptyRows", |_| Ok(boxed(fill_empty_rows)));
    registry.add_both(
        ["SparseFillEmptyRowsGrad", "RaggedFillEmptyRowsGrad"],
        |spec| for_dtype!(number spec.input_dtype(1), T => Ok(boxed(fill_empty_rows_gradient::<T>))),
    );
    registry.add("SparseConcat", |spec| {
        let axis = spec.int("concat_dim")?;
        let count = spec.operation.num_inputs() / 3;
        Ok(boxed(move |context| concat(context, axis, count)))
    });
    registry.add("SparseSplit", |spec| {
        let parts = spec.int("num_split")?;
        let parts = usize::try_from(parts)
            .ok()
            .filter(|&parts| parts > 0)
            .ok_or_else(|| Error::invalid_argument(format!("num_split must be positive, not {parts}")))?;
        Ok(boxed(move |context| split(context, parts)))
    });
    registry.add("SparseSparseMaximum", |spec| {
        for_dtype!(real spec.input_dtype(1), T => {
            Ok(boxed(|context| extreme::<T>(context, |a, b| if is_nan(a) || a >= b { a } else { b })))
        })
    });
    registry.add("SparseSparseMinimum", |spec| {
        for_dtype!(real spec.input_dtype(1), T => {
            Ok(boxed(|context| extreme::<T>(context, |a, b| if is_nan(a) || a <= b { a } else { b })))
        })
    });
    registry.add("SparseSlice", |_| Ok(boxed(slice)));
    registry.add("SparseAdd", |spec| {
        for_dtype!(@arms spec.input_dtype(1), T => Ok(boxed(add::<T>)),
            Float32: f32, Float64: f64, Int8: i8, Int16: i16, Int32: i32, Int64: i64,
            Complex64: Complex<f32>, Complex128: Complex<f64>)
    });
    registry.add("SparseAddGrad", |spec| check_number(spec.input_dtype(0)).map(|()| boxed(add_gradient)));
    registry.add("SparseSliceGrad", |spec| check_number(spec.input_dtype(0)).map(|()| boxed(slice_gradient)));
    registry.add("SparseReduceSum", |spec| {
        let keep = spec.bool("keep_dims")?;
        for_dtype!(number spec.input_dtype(1), T => Ok(boxed(move |context| reduce_sum::<T>(context, keep))))
    });
    registry.add("SparseSoftmax", |spec| match spec.input_dtype(1) {
        DType::Float16 => Ok(boxed(|context| softmax::<f16>(context, |x| f16::from_f32(exp(x.to_f32()))))),
        dtype => for_dtype!(wide dtype, T => Ok(boxed(|context| softmax::<T>(context, exp)))),
    });
    registry.add(
        "SparseTensorDenseAdd",
        |spec| for_dtype!(number spec.input_dtype(1), T => Ok(boxed(dense_add::<T>))),
    );
    for op_type in ["SparseDenseCwiseAdd", "SparseDenseCwiseMul", "SparseDenseCwiseDiv"] {
        registry.add(op_type, make_with_dense);
    }
}

/// Returns true for NaN, which has no order with itself.
fn is_nan<T: PartialOrd>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

/// Returns e to this power.
fn exp<T: compute::math::Real>(x: T) -> T {
    x.exp()
}

/// The coordinates of one sparse tensor, checked against its shape. Their order and duplicates are not
/// checked.
struct Coordinates {
    /// The coordinates of each value, as many as there are axes.
    rows: Vec<Vec<usize>>,
    /// The dense shape.
    dims: Vec<usize>,
}

impl Coordinates {
    /// Reads coordinates and shape from two inputs, and checks that there is a row of coordinates for each
    /// value.
    ///
    /// The arguments are the numbers of the inputs.
    ///
    /// # Errors
    /// `InvalidArgument` for a negative size, indices of another shape, and the first coordinates outside of
    /// the shape.
    fn of(context: &KernelContext<'_>, indices: usize, values: usize, shape: usize) -> Result<Coordinates> {
        let dims = sizes(context, shape)?;
        let given = context.input(indices).shape();
        let count = context.input(values).shape().elements();
        if given[..] != [count, dims.len()] {
            let text =
                format!("indices of shape {given} for {count} values of a tensor of rank {}", dims.len());
            return Err(Error::invalid_argument(text));
        }
        let flat = context.ints(indices)?;
        let mut rows = memory::reserve(count)?;
        // A tensor of rank 0 has one value at most and no coordinates; `chunks` needs a length of at least 1.
        for (i, row) in flat.chunks(dims.len().max(1)).enumerate().take(count) {
            let inside =
                |(&index, &size): (&i64, &usize)| usize::try_from(index).ok().filter(|&index| index < size);
            let place: Option<Vec<usize>> = row.iter().zip(&dims).map(inside).collect();
            rows.push(place.ok_or_else(|| {
                Error::invalid_argument(format!("indices[{i}] = {row:?} is out of bounds of shape {dims:?}"))
            })?);
        }
        Ok(Coordinates { rows, dims })
    }

    /// Returns the place of each row in the dense tensor.
    ///
    /// The places count elements in row-major order: coordinates `[1, 2]` of shape `[2, 3]` give 5.
    fn places(&self) -> Result<Vec<usize>> {
        let place =
            |row: &Vec<usize>| row.iter().zip(&self.dims).fold(0, |place, (&i, &size)| place * size + i);
        Ok(memory::collected(self.rows.iter().map(place))?)
    }
}

/// Returns an input that is a dense shape, or a list of starts or sizes.
///
/// # Errors
/// `InvalidArgument` for a negative number.
fn sizes(context: &KernelContext<'_>, input: usize) -> Result<Vec<usize>> {
    let sizes: Option<Vec<usize>> =
        context.ints(input)?.into_iter().map(|size| usize::try_from(size).ok()).collect();
    sizes.ok_or_else(|| Error::invalid_argument("a shape must not have negative sizes"))
}

/// Returns coordinates as a tensor of shape `[rows, rank]`.
fn coordinates(rows: &[Vec<usize>], rank: usize) -> Result<Tensor> {
    let mut flat = memory::reserve(rows.len().saturating_mul(rank))?;
    flat.extend(rows.iter().flatten().map(|&index| index as i64));
    Ok(Tensor::from_vec(flat, [rows.len(), rank])?)
}

/// Returns a dense shape as a tensor of `int64`.
fn shape_tensor(dims: &[usize]) -> Tensor {
    Tensor::from(dims.iter().map(|&size| size as i64).collect::<Vec<i64>>())
}

/// Returns the values of input `values` with these numbers, in this order.
fn picked(context: &KernelContext<'_>, values: usize, order: &[usize]) -> Result<Tensor> {
    arrange(
        context,
        &[context.input(values)],
        Shape::from([order.len()]),
        1,
        &|row| Some((0, order[row])),
        None,
    )
}

/// Multiplies a sparse matrix by a dense one, value by value in their stored order: each adds
/// `value * b[k, :]` to row `r` of the result, for `(r, k)` its coordinates. The cost is that of the stored
/// values times the columns of the result.
///
/// # Errors
/// `InvalidArgument` for operands that are not matrices, and for inner sizes that differ.
fn matmul<T: Number>(context: &mut KernelContext<'_>, [adjoint_a, adjoint_b]: [bool; 2]) -> Result<()> {
    let a = Coordinates::of(context, 0, 1, 2)?;
    let (&[rows, columns], &[b0, b1]) = (a.dims.as_slice(), context.input(3).shape().dims()) else {
        return Err(Error::invalid_argument("both operands must be matrices"));
    };
    let (rows, inner) = if adjoint_a { (columns, rows) } else { (rows, columns) };
    let (depth, width) = if adjoint_b { (b1, b0) } else { (b0, b1) };
    if inner != depth {
        let text =
            format!("Cannot multiply A and B because inner dimension does not match: {inner} vs. {depth}");
        return Err(Error::invalid_argument(text));
    }
    context.produce::<T>(0, [rows, width], |context, output| {
        output.fill(T::default());
        let (values, b) = (context.slice::<T>(1)?, context.slice::<T>(3)?);
        let mut watch = context.watch();
        for (row, &value) in a.rows.iter().zip(values) {
            watch.tick(width)?;
            let (r, k, value) =
                if adjoint_a { (row[1], row[0], value.conjugate()) } else { (row[0], row[1], value) };
            for (j, out) in output[r * width..][..width].iter_mut().enumerate() {
                let other = if adjoint_b { b[j * b1 + k].conjugate() } else { b[k * width + j] };
                *out = out.plus(value.times(other));
            }
        }
        Ok(())
    })
}

/// Sorts the elements by their coordinates. Equal coordinates stay, in their order.
fn reorder(context: &mut KernelContext<'_>) -> Result<()> {
    let given = Coordinates::of(context, 0, 1, 2)?;
    let mut order = memory::collected(0..given.rows.len())?;
    order.sort_by(|&a, &b| given.rows[a].cmp(&given.rows[b]));
    let values = picked(context, 1, &order)?;
    let rows = memory::collected(order.iter().map(|&i| given.rows[i].clone()))?;
    context.set(0, coordinates(&rows, given.dims.len())?);
    context.set(1, values);
    Ok(())
}

/// Changes the dense shape, and the coordinates with it: each keeps its place in row-major order. The values
/// are not an input.
///
/// # Errors
/// `InvalidArgument` for coordinates that are not rows of one number per axis, for a new shape of another
/// number of elements, for several -1, for -1 next to a size of 0, and for a shape of too many elements.
fn reshape(context: &mut KernelContext<'_>) -> Result<()> {
    let dims = sizes(context, 1)?;
    let &[count, width] = context.input(0).shape().dims() else {
        return Err(Error::invalid_argument("Input must be a matrix."));
    };
    if width != dims.len() {
        let text = format!("coordinates of {width} numbers for a tensor of shape {dims:?}");
        return Err(Error::invalid_argument(text));
    }
    let too_large = || Error::invalid_argument(format!("a sparse tensor of shape {dims:?} is too large"));
    let total = Shape::new(&dims).checked_elements().ok_or_else(too_large)?;
    let asked = context.ints(2)?;
    let known = asked.iter().filter_map(|&size| usize::try_from(size).ok()).collect::<Shape>().elements();
    // A size of 0 next to -1 leaves the latter open.
    let rest = total.checked_div(known);
    let size = |&size: &i64| if size == -1 { rest } else { usize::try_from(size).ok() };
    let new: Option<Vec<usize>> = asked.iter().map(size).collect();
    let new = new.filter(|new| {
        Shape::new(new).elements() == total && asked.iter().filter(|&&size| size == -1).count() <= 1
    });
    let new = new.ok_or_else(|| {
        Error::invalid_argument(format!("a sparse tensor of shape {dims:?} cannot be reshaped to {asked:?}"))
    })?;
    // The number of elements of one step along each new axis.
    let mut strides = vec![1i64; new.len()];
    for axis in (1..new.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(new[axis].max(1) as i64);
    }
    let given = context.ints(0)?;
    let mut flat = memory::reserve(count.saturating_mul(new.len()))?;
    for number in 0..count {
        // Coordinates outside of the shape are not refused here, as in TensorFlow; wrapping keeps them from
        // being a panic.
        let row = &given[number * width..][..width];
        let mut place = row
            .iter()
            .zip(&dims)
            .fold(0i64, |place, (&i, &size)| place.wrapping_mul(size as i64).wrapping_add(i));
        for stride in &strides {
            flat.push(place / stride);
            place %= stride;
        }
    }
    let coordinates = Tensor::from_vec(flat, [count, new.len()])?;
    context.set(0, coordinates);
    context.set(1, shape_tensor(&new));
    Ok(())
}

/// Adds a value in column 0 to each row without one, where a row is one index of the first axis. Output 3 has
/// the new number of each given value.
///
/// Rows `[0, 2]` of 4 with values `[a, b]` and the default `d` become `[a, d, b, d]`, with `[0, 2]` as the
/// map.
fn fill_empty_rows(context: &mut KernelContext<'_>) -> Result<()> {
    let given = Coordinates::of(context, 0, 1, 2)?;
    let Some(&count) = given.dims.first() else {
        return Err(Error::invalid_argument("a scalar has no rows"));
    };
    let mut by_row: Vec<Vec<usize>> = memory::filled(Vec::new(), count)?;
    given.rows.iter().enumerate().for_each(|(i, row)| by_row[row[0]].push(i));
    let mut reverse = memory::filled(0i64, given.rows.len())?;
    let most = given.rows.len().saturating_add(count);
    let (mut rows, mut places) = (memory::reserve(most)?, memory::reserve(most)?);
    for (row, values) in by_row.iter().enumerate() {
        for &i in values {
            reverse[i] = rows.len() as i64;
            rows.push(given.rows[i].clone());
            places.push((0, i));
        }
        if values.is_empty() {
            let mut first = vec![0; given.dims.len()];
            first[0] = row;
            rows.push(first);
            places.push((1, 0));
        }
    }
    let default = context.input(3).clone().reshaped([1])?;
    let sources = [context.input(1), &default];
    let values = arrange(context, &sources, Shape::from([rows.len()]), 1, &|row| Some(places[row]), None)?;
    let empty = memory::collected(by_row.iter().map(Vec::is_empty))?;
    context.set(0, coordinates(&rows, given.dims.len())?);
    context.set(1, values);
    context.set(2, Tensor::from(empty));
    context.set(3, Tensor::from(reverse));
    Ok(())
}

/// Computes the gradients of the values and of the default from the map (input 0) and the gradient of the
/// result (input 1): a value has that at its new place, and the default the sum of all other places.
fn fill_empty_rows_gradient<T: Number>(context: &mut KernelContext<'_>) -> Result<()> {
    let reverse = context.ints(0)?;
    let gradient = context.slice::<T>(1)?;
    let mut used = memory::filled(false, gradient.len())?;
    let mut values = memory::reserve(reverse.len())?;
    for index in reverse {
        let index = usize::try_from(index).ok().filter(|&index| index < gradient.len());
        let index =
            index.ok_or_else(|| Error::invalid_argument("the map of rows points outside of the gradient"))?;
        used[index] = true;
        values.push(gradient[index]);
    }
    // Places that no value maps to were filled with the default.
    let rest = gradient.iter().zip(used).filter(|(_, used)| !used);
    let default = rest.fold(T::default(), |sum, (&value, _)| sum.plus(value));
    context.set(0, Tensor::from(values));
    context.set(1, Tensor::scalar(default));
    Ok(())
}

/// Joins sparse tensors along an axis, whose sizes add up. The inputs are all indices, then all values, then
/// all shapes. The result is in row-major order if the parts are.
///
/// # Errors
/// `InvalidArgument` for shapes that differ in another axis, and for an axis that does not exist.
fn concat(context: &mut KernelContext<'_>, along: i64, count: usize) -> Result<()> {
    let parts: Vec<Coordinates> =
        (0..count).map(|i| Coordinates::of(context, i, count + i, 2 * count + i)).collect::<Result<_>>()?;
    let mut dims = parts.first().map(|part| part.dims.clone()).unwrap_or_default();
    let along = axis(along, dims.len())?;
    let mut all = Vec::new();
    let mut start = 0;
    for (i, part) in parts.iter().enumerate() {
        let differs = |axis: usize| axis != along && part.dims.get(axis) != dims.get(axis);
        if part.dims.len() != dims.len() || (0..dims.len()).any(differs) {
            let text = format!("shapes {:?} and {dims:?} cannot be joined along axis {along}", part.dims);
            return Err(Error::invalid_argument(text));
        }
        for (j, row) in part.rows.iter().enumerate() {
            let mut row = row.clone();
            row[along] = row[along].saturating_add(start);
            all.push((row, (i, j)));
        }
        start = start.saturating_add(part.dims[along]);
    }
    if let Some(size) = dims.get_mut(along) {
        *size = start;
    }
    // By coordinates, and then by part, so equal coordinates within a part keep their order.
    all.sort();
    let sources: Vec<&Tensor> = (0..count).map(|i| context.input(count + i)).collect();
    let values = arrange(context, &sources, Shape::from([all.len()]), 1, &|row| Some(all[row].1), None)?;
    let rows: Vec<Vec<usize>> = all.into_iter().map(|(row, _)| row).collect();
    context.set(0, coordinates(&rows, dims.len())?);
    context.set(1, values);
    context.set(2, shape_tensor(&dims));
    Ok(())
}

/// Returns the part of a sparse tensor from `start` (input 3) with `size` (input 4). A start beyond the end
/// gives an empty part.
fn slice(context: &mut KernelContext<'_>) -> Result<()> {
    let given = Coordinates::of(context, 0, 1, 2)?;
    let (start, size) = (sizes(context, 3)?, sizes(context, 4)?);
    if start.len() != given.dims.len() || size.len() != given.dims.len() {
        return Err(Error::invalid_argument("start and size must have one number for each axis"));
    }
    let axes = 0..given.dims.len();
    let dims: Vec<usize> =
        axes.clone().map(|axis| size[axis].min(given.dims[axis].saturating_sub(start[axis]))).collect();
    let (mut rows, mut order) = (Vec::new(), Vec::new());
    for (i, row) in given.rows.iter().enumerate() {
        let shifted: Option<Vec<usize>> = axes
            .clone()
            .map(|axis| row[axis].checked_sub(start[axis]).filter(|&at| at < dims[axis]))
            .collect();
        if let Some(shifted) = shifted {
            rows.push(shifted);
            order.push(i);
        }
    }
    let values = picked(context, 1, &order)?;
    context.set(0, coordinates(&rows, dims.len())?);
    context.set(1, values);
    context.set(2, shape_tensor(&dims));
    Ok(())
}

/// Returns the parts along an axis (input 0). If the size is no multiple of their number, the first ones are
/// larger by one: 5 in 3 parts is 2, 2, 1.
fn split(context: &mut KernelContext<'_>, parts: usize) -> Result<()> {
    let given = Coordinates::of(context, 1, 2, 3)?;
    let along = axis(context.int(0)?, given.dims.len())?;
    let size = given.dims[along];
    if parts > size {
        let text = format!("num_split must be between 1 and the size of axis {along}, {size}, not {parts}");
        return Err(Error::invalid_argument(text));
    }
    let (width, larger) = (size / parts, size % parts);
    let begin = |part: usize| part * width + part.min(larger);
    for part in 0..parts {
        let range = begin(part)..begin(part + 1);
        let (mut rows, mut order) = (Vec::new(), Vec::new());
        // One pass for each part: there are few parts, and the order within each stays.
        for (i, row) in given.rows.iter().enumerate().filter(|(_, row)| range.contains(&row[along])) {
            let mut row = row.clone();
            row[along] -= range.start;
            rows.push(row);
            order.push(i);
        }
        let mut dims = given.dims.clone();
        dims[along] = range.len();
        let values = picked(context, 2, &order)?;
        context.set(part, coordinates(&rows, dims.len())?);
        context.set(parts + part, values);
        context.set(2 * parts + part, shape_tensor(&dims));
    }
    Ok(())
}

/// Returns the different rows of two operands in order, and the number that each row of either has among them.
fn merged(a: &[Vec<usize>], b: &[Vec<usize>]) -> (Vec<Vec<usize>>, [Vec<usize>; 2]) {
    let mut numbers: BTreeMap<&Vec<usize>, usize> = BTreeMap::new();
    a.iter().chain(b).for_each(|row| _ = numbers.insert(row, 0));
    for (number, of_row) in numbers.values_mut().enumerate() {
        *of_row = number;
    }
    let of = |rows: &[Vec<usize>]| rows.iter().map(|row| numbers[row]).collect();
    let places = [of(a), of(b)];
    (numbers.into_keys().cloned().collect(), places)
}

/// Returns a function of the elements of two sparse tensors, at all coordinates where either has a value; the
/// missing one is 0. The result is sorted. Of duplicates the last one counts.
fn extreme<T: Element>(context: &mut KernelContext<'_>, function: fn(T, T) -> T) -> Result<()> {
    let (a, b) = (Coordinates::of(context, 0, 1, 2)?, Coordinates::of(context, 3, 4, 5)?);
    if a.dims != b.dims {
        let text = format!("operands' shapes do not match: {:?} and {:?}", a.dims, b.dims);
        return Err(Error::invalid_argument(text));
    }
    let (rows, [in_a, in_b]) = merged(&a.rows, &b.rows);
    let (mut values, mut others) = (vec![T::default(); rows.len()], vec![T::default(); rows.len()]);
    in_a.iter().zip(context.slice::<T>(1)?).for_each(|(&at, &value)| values[at] = value);
    in_b.iter().zip(context.slice::<T>(4)?).for_each(|(&at, &value)| others[at] = value);
    values.iter_mut().zip(&others).for_each(|(value, &other)| *value = function(*value, other));
    context.set(0, coordinates(&rows, a.dims.len())?);
    context.set(1, Tensor::from(values));
    Ok(())
}

/// Adds two sparse tensors. Sums of two values are left out unless their absolute value is at least the
/// threshold (input 6), so NaN is, too. Values that only one summand has are kept, whatever they are.
///
/// Both lists are read in their order: the result is sorted if they are, and duplicates are added pair by
/// pair.
fn add<T: Summand>(context: &mut KernelContext<'_>) -> Result<()> {
    let (a, b) = (Coordinates::of(context, 0, 1, 2)?, Coordinates::of(context, 3, 4, 5)?);
    if a.dims != b.dims {
        let text = format!("operands' shapes do not match: {:?} and {:?}", a.dims, b.dims);
        return Err(Error::invalid_argument(text));
    }
    let threshold = context.input(6).value::<T::Threshold>()?;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    {
        let (first, second) = (context.slice::<T>(1)?, context.slice::<T>(4)?);
        let pairs = paired(&a.rows, &b.rows)?;
        memory::grow(&mut rows, pairs.len())?;
        memory::grow(&mut values, pairs.len())?;
        for pair in pairs {
            let (row, value) = match pair {
                (Some(i), Some(j)) => match first[i].plus(second[j]) {
                    sum if sum.reaches(threshold) => (&a.rows[i], sum),
                    _ => continue,
                },
                (Some(i), None) => (&a.rows[i], first[i]),
                (None, Some(j)) => (&b.rows[j], second[j]),
                (None, None) => continue,
            };
            rows.push(row.clone());
            values.push(value);
        }
    }
    context.set(0, coordinates(&rows, a.dims.len())?);
    context.set(1, Tensor::from(values));
    context.set(2, shape_tensor(&a.dims));
    Ok(())
}

/// The numbers of two values at one place, of which at least one is there.
type Pair = (Option<usize>, Option<usize>);

/// Returns the rows of two lists in order, each pair of equal rows once. Both lists are read in their order.
fn paired(a: &[Vec<usize>], b: &[Vec<usize>]) -> Result<Vec<Pair>> {
    let mut pairs = memory::reserve(a.len().saturating_add(b.len()))?;
    let (mut i, mut j) = (0, 0);
    loop {
        let order = match (a.get(i), b.get(j)) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(pairs),
        };
        pairs.push((order.is_le().then_some(i), order.is_ge().then_some(j)));
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
}

/// Returns the rows of an input that holds coordinates.
///
/// For gradients, which look rows up by their numbers and need no shape.
///
/// # Errors
/// `InvalidArgument` for a tensor that is not a matrix.
fn rows_of(context: &KernelContext<'_>, input: usize) -> Result<(Vec<i64>, usize)> {
    match context.input(input).shape().dims() {
        &[count, rank] if rank > 0 || count == 0 => Ok((context.ints(input)?, rank)),
        other => {
            Err(Error::invalid_argument(format!("indices must be rows of numbers, not of shape {other:?}")))
        }
    }
}

/// Returns the value of each row among others, whose values are input 0, and zero for rows that are not among
/// them.
///
/// `rows` and `known` are flat lists of coordinates, `rank` numbers each.
fn looked_up(context: &KernelContext<'_>, rows: &[i64], known: &[i64], rank: usize) -> Result<Tensor> {
    let known: HashMap<&[i64], usize> = known.chunks(rank.max(1)).zip(0..).collect();
    let places: Vec<Option<usize>> = rows.chunks(rank.max(1)).map(|row| known.get(row).copied()).collect();
    let place = |row: usize| Some((0, places[row]?));
    arrange(context, &[context.input(0)], Shape::from([places.len()]), 1, &place, None)
}

/// Computes the gradients of the values of both summands: those of the sums that they are part of, and 0 for
/// sums below the threshold, which have no gradient. Inputs: the gradient, the indices of both summands, and
/// those of the sums.
fn add_gradient(context: &mut KernelContext<'_>) -> Result<()> {
    let (sums, rank) = rows_of(context, 3)?;
    check_gradient(context, sums.len(), rank)?;
    let mut found = Vec::with_capacity(2);
    for input in [1, 2] {
        // Ranks are compared first: coordinates of another length would be found by accident.
        let (rows, own) = rows_of(context, input)?;
        if own != rank {
            return Err(Error::invalid_argument(format!(
                "indices of rank {own} do not fit sums of rank {rank}"
            )));
        }
        found.push(looked_up(context, &rows, &sums, rank)?);
    }
    for (output, grad) in found.into_iter().enumerate() {
        context.set(output, grad);
    }
    Ok(())
}

/// Checks that there is one gradient for each of the rows.
///
/// `numbers` is the length of the flat list of their coordinates.
fn check_gradient(context: &KernelContext<'_>, numbers: usize, rank: usize) -> Result<()> {
    let (count, given) = (numbers.checked_div(rank).unwrap_or(0), context.input(0).shape());
    if given[..] != [count] {
        let text = format!("a gradient of shape {given} does not fit {count} values");
        return Err(Error::invalid_argument(text));
    }
    Ok(())
}

/// Computes the gradient of the values that a slice was taken from: that of the value in the slice, and 0 for
/// values outside of it. Inputs: the gradient, the indices before the slice, its start, and the indices after
/// it.
fn slice_gradient(context: &mut KernelContext<'_>) -> Result<()> {
    let ((mut rows, rank), start) = (rows_of(context, 1)?, context.ints(2)?);
    let (cut, own) = rows_of(context, 3)?;
    if own != rank || start.len() != rank {
        let text =
            format!("a slice of rank {own} that begins at {start:?} does not fit indices of rank {rank}");
        return Err(Error::invalid_argument(text));
    }
    check_gradient(context, cut.len(), rank)?;
    // Shifted by the start, a row inside of the slice has the very coordinates of the result.
    for (at, start) in rows.iter_mut().zip(start.iter().cycle()) {
        *at = at.wrapping_sub(*start);
    }
    let found = looked_up(context, &rows, &cut, rank)?;
    context.set(0, found);
    Ok(())
}

/// Sums over the axes in input 3; without any, the result is the tensor in dense form. Axes may be negative.
/// Values are added in their stored order.
fn reduce_sum<T: Number>(context: &mut KernelContext<'_>, keep: bool) -> Result<()> {
    let given = Coordinates::of(context, 0, 1, 2)?;
    let rank = given.dims.len();
    let mut reduced = vec![false; rank];
    for along in context.ints(3)? {
        reduced[axis(along, rank)?] = true;
    }
    let kept: Vec<usize> = (0..rank).filter(|&axis| !reduced[axis]).collect();
    let out: Shape = match keep {
        true => (0..rank).map(|axis| if reduced[axis] { 1 } else { given.dims[axis] }).collect(),
        false => kept.iter().map(|&axis| given.dims[axis]).collect(),
    };
    context.produce::<T>(0, out, |context, output| {
        output.fill(T::default());
        for (row, &value) in given.rows.iter().zip(context.slice::<T>(1)?) {
            // Sizes of 1 in the result do not change the place.
            let place = kept.iter().fold(0, |place, &axis| place * given.dims[axis] + row[axis]);
            output[place] = output[place].plus(value);
        }
        Ok(())
    })
}

/// Computes the softmax of the stored values along the last axis, with this exponential function; absent values count as minus infinity. Any
/// order of the values is accepted.
///
/// # Errors
/// `InvalidArgument` for fewer than two axes.
fn softmax<T>(context: &mut KernelContext<'_>, exp: fn(T) -> T) -> Result<()>
where
    T: Element + PartialOrd + Add<Output = T> + Sub<Output = T> + Div<Output = T>,
{
    let given = Coordinates::of(context, 0, 1, 2)?;
    if given.dims.len() < 2 {
        let text = format!("a softmax needs a sparse tensor of rank 2 or more, not {}", given.dims.len());
        return Err(Error::invalid_argument(text));
    }
    let group = |row: &[usize]| row[..row.len() - 1].to_vec();
    let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    given.rows.iter().enumerate().for_each(|(i, row)| groups.entry(group(row)).or_default().push(i));
    context.produce::<T>(0, [given.rows.len()], |context, output| {
        let values = context.slice::<T>(1)?;
        for members in groups.values() {
            // Subtracted before `exp`, so that large values do not overflow; a NaN stays one through the sum.
            let largest =
                members.iter().fold(values[members[0]], |a, &i| if values[i] > a { values[i] } else { a });
            let sum = members.iter().fold(T::default(), |sum, &i| {
                output[i] = exp(values[i] - largest);
                sum + output[i]
            });
            members.iter().for_each(|&i| output[i] = output[i] / sum);
        }
        Ok(())
    })
}

/// Adds a sparse tensor to a dense one of the same shape, in place if nothing shares the dense one.
/// Duplicates add up.
fn dense_add<T: Number>(context: &mut KernelContext<'_>) -> Result<()> {
    let given = Coordinates::of(context, 0, 1, 2)?;
    let mut sum = context.take(3);
    if sum.shape()[..] != given.dims[..] {
        let text =
            format!("a sparse tensor of shape {:?} and a dense one of shape {}", given.dims, sum.shape());
        return Err(Error::invalid_argument(text));
    }
    let target = sum.make_mut::<T>(context.buffers())?;
    for (place, &value) in given.places()?.into_iter().zip(context.slice::<T>(1)?) {
        target[place] = target[place].plus(value);
    }
    context.set(0, sum);
    Ok(())
}

/// Makes the kernel of an operation of a sparse and a dense tensor.
///
/// The op type selects addition, multiplication or division; one function then serves all of them.
fn make_with_dense(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let op_type = spec.operation.op_type().to_owned();
    for_dtype!(real spec.input_dtype(1), T => {
        let function: fn(T, T) -> Option<T> = match op_type.as_str() {
            "SparseDenseCwiseAdd" => |a, b| Some(a.plus(b)),
            "SparseDenseCwiseMul" => |a, b| Some(a.times(b)),
            _ => Number::over,
        };
        Ok(boxed(move |context| with_dense::<T>(context, function)))
    })
}

/// Combines each stored value with the element of a dense tensor (input 3), which is broadcast to the sparse
/// one's shape. The output has the values only: absent ones stay absent.
///
/// # Errors
/// `InvalidArgument` for a dense tensor of higher rank, or of a size that is neither 1 nor that of the sparse
/// tensor, and for a pair without a result, which is a division by 0.
fn with_dense<T: Element>(context: &mut KernelContext<'_>, function: fn(T, T) -> Option<T>) -> Result<()> {
    let given = Coordinates::of(context, 0, 1, 2)?;
    let dense = context.input(3).shape().clone();
    let first = given.dims.len().checked_sub(dense.rank());
    let fits = |first: usize| dense.iter().zip(&given.dims[first..]).all(|(&d, &size)| d == 1 || d == size);
    let first = first.filter(|&first| fits(first)).ok_or_else(|| {
        Error::invalid_argument(format!(
            "a dense tensor of shape {dense} does not broadcast to {:?}",
            given.dims
        ))
    })?;
    context.produce::<T>(0, [given.rows.len()], |context, output| {
        let (values, others) = (context.slice::<T>(1)?, context.slice::<T>(3)?);
        for ((out, row), &value) in output.iter_mut().zip(&given.rows).zip(values) {
            let place = dense
                .iter()
                .zip(&row[first..])
                .fold(0, |place, (&size, &i)| place * size + if size == 1 { 0 } else { i });
            *out = function(value, others[place]).ok_or_else(|| {
                let text = format!("SparseDenseCwiseDiv cannot divide the value at {row:?} by a dense zero");
                Error::invalid_argument(text)
            })?;
        }
        Ok(())
    })
}
