//! Counts of the elements of dense, sparse and ragged tensors.
//!
//! # Semantics
//!
//! All take non-negative integers, `weights` that are empty or as many as the integers, and `binary_output`
//! (default false), with which a count is 1 for any positive number and weights are ignored.
//!
//! - `SparseBincount` takes `indices`, `values`, `dense_shape`, `size` and `weights` and returns
//!   `[rows, size]`, or `[size]` for a vector.
//! - `RaggedBincount` takes `splits`, `values`, `size` and `weights` and returns `[rows, size]`.
//! - `DenseCountSparseOutput` takes `values` and `weights` and returns a sparse tensor.
//! - `SparseCountSparseOutput` takes `indices`, `values`, `dense_shape` and `weights` and returns a sparse
//!   tensor.
//! - `RaggedCountSparseOutput` takes `splits`, `values` and `weights` and returns a sparse tensor.
//!
//! The first two ignore values of `size` and above. The sparse results list the values that occur, by row and
//! then by value: `[[1, 1], [0, 1]]` gives indices `[[0, 1], [1, 0], [1, 1]]` and values `[2, 1, 1]`. Values
//! of `maxlength` and above are left out if that attribute is not negative (default -1). The second size of
//! the result is `maxlength`, or the largest value plus one, but at least `minlength`.
//!
//! Splits must begin with 0, not decrease, and end with the number of values. Violations, indices outside of
//! the shape, dense values of a rank above 2 and negative values are `InvalidArgument`. Only `SparseBincount`
//! of more than one axis ignores negative values, as in TensorFlow.
//!
//! Weights of a bin are added in the order of the values, in one thread.
//!
//! ```text
//! SparseBincount           values [1, 1] in rows 0 and 2 of 3, size 2   -> [[0, 1], [0, 0], [0, 1]]
//! RaggedBincount           [[1, 1], [], [0]], size 2                    -> [[0, 2], [0, 0], [1, 0]]
//! DenseCountSparseOutput   [3, 3, 1], minlength 6                       -> [1]: 1, [3]: 2 of shape [6]
//! ```

use super::counting::{count, one, size};
use super::elementwise::boxed;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::registry::Registry;
use compute::elementwise;
use session_core::{Error, Result};
use std::collections::BTreeMap;
use tensor::{Element, Shape, Tensor, memory};

/// Registers the op types. The three forms of values are read by [`Given`]; the rest is common to them.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("SparseBincount", |spec| {
        let binary = spec.bool("binary_output")?;
        for_dtype!(number spec.dtype("T")?, T => Ok(boxed(move |context| {
            let size = size(context, 3)?;
            let given = Given::sparse(context, 4)?;
            // TensorFlow counts a vector like `Bincount`, and only there looks for negative values.
            if given.rows.is_none() && given.values.iter().any(|&value| value < 0) {
                return Err(Error::invalid_argument("Input arr must be non-negative!"));
            }
            bins::<T>(context, &given, size, 4, binary)
        })))
    });
    registry.add("RaggedBincount", |spec| {
        let binary = spec.bool("binary_output")?;
        for_dtype!(number spec.dtype("T")?, T => Ok(boxed(move |context| {
            let size = size(context, 2)?;
            let given = Given::ragged(context)?;
            if given.values.iter().any(|&value| value < 0) {
                return Err(Error::invalid_argument("Input must be non-negative"));
            }
            bins::<T>(context, &given, size, 3, binary)
        })))
    });
    registry.add("DenseCountSparseOutput", |spec| counter(spec, 1, Given::dense));
    registry.add("SparseCountSparseOutput", |spec| counter(spec, 3, |context| Given::sparse(context, 3)));
    registry.add("RaggedCountSparseOutput", |spec| counter(spec, 2, Given::ragged));
}

/// The values of a tensor by row. `places` and `values` have one entry for each value, in the order of the
/// input.
struct Given {
    /// The number of rows. `None` for a vector, all of whose values are counted together.
    rows: Option<usize>,
    /// The row of each value. The row of each value; 0 for a vector.
    places: Vec<usize>,
    /// The values, not checked yet for negative ones.
    values: Vec<i64>,
}

impl Given {
    /// Reads a vector or a matrix from input 0, whose weights in input 1 must have its shape.
    fn dense(context: &KernelContext<'_>) -> Result<Given> {
        let shape = context.input(0).shape();
        let (rows, columns) = match *shape.dims() {
            [columns] => (None, columns),
            [rows, columns] => (Some(rows), columns),
            _ => {
                let text = format!("Input must be a 1 or 2-dimensional tensor. Got: {shape}");
                return Err(Error::invalid_argument(text));
            }
        };
        let weights = context.input(1).shape();
        if weights.elements() > 0 && weights != shape {
            let text = format!(
                "Weights and data must have the same shape. Weight shape: {weights}; data shape: {shape}"
            );
            return Err(Error::invalid_argument(text));
        }
        let values = context.ints(0)?;
        let places = memory::collected((0..values.len()).map(|at| at / columns.max(1)))?;
        Ok(Given { rows, places, values })
    }

    /// Reads a sparse tensor: indices, values and shape are the first three inputs, `weights` is the input
    /// with the weights. The first index is the row; the others do not matter. Fails for indices outside of
    /// the shape.
    fn sparse(context: &KernelContext<'_>, weights: usize) -> Result<Given> {
        let (indices, dims) = (context.slice::<i64>(0)?, context.slice::<i64>(2)?);
        let values = context.ints(1)?;
        let &[count, rank] = context.input(0).shape().dims() else {
            let text =
                format!("Input indices must be a 2-dimensional tensor. Got: {}", context.input(0).shape());
            return Err(Error::invalid_argument(text));
        };
        if count != values.len() || rank != dims.len() || rank == 0 {
            let text = format!(
                "Number of values must match first dimension of indices. Got {} values, indices shape: {}, and a shape of {} \
                 dimensions",
                values.len(),
                context.input(0).shape(),
                dims.len()
            );
            return Err(Error::invalid_argument(text));
        }
        check_weights(context, weights, values.len())?;
        let mut places = memory::reserve(count)?;
        for (number, index) in indices.chunks_exact(rank).enumerate() {
            if let Some(axis) = (0..rank).find(|&axis| !(0..dims[axis]).contains(&index[axis])) {
                let text = format!(
                    "Invalid index value at {number}: dimension {axis} has value {} which is not in [0, {})",
                    index[axis], dims[axis]
                );
                return Err(Error::invalid_argument(text));
            }
            places.push(if rank == 1 { 0 } else { index[0] as usize });
        }
        let rows = if rank == 1 { None } else { Some(usize::try_from(dims[0]).unwrap_or(0)) };
        Ok(Given { rows, places, values })
    }

    /// Reads a ragged tensor: the splits of the rows and the values are the first two inputs. Splits
    /// `[0, 2, 2, 3]` are three rows of 2, 0 and 1 values.
    fn ragged(context: &KernelContext<'_>) -> Result<Given> {
        let (splits, values) = (context.slice::<i64>(0)?, context.ints(1)?);
        let [first, .., last] = *splits else {
            return Err(Error::invalid_argument("Must provide at least 2 elements for the splits argument"));
        };
        if first != 0 {
            return Err(Error::invalid_argument(format!("Splits must start with 0, not with {first}")));
        }
        if usize::try_from(last) != Ok(values.len()) {
            let text =
                format!("Splits must end with the number of values, got {last} instead of {}", values.len());
            return Err(Error::invalid_argument(text));
        }
        if !splits.is_sorted() {
            return Err(Error::invalid_argument(format!("Splits must not decrease: {splits:?}")));
        }
        let lengths = splits.windows(2).enumerate().map(|(row, ends)| (row, (ends[1] - ends[0]) as usize));
        let mut places = memory::reserve(values.len())?;
        lengths.for_each(|(row, length)| places.extend(std::iter::repeat_n(row, length)));
        Ok(Given { rows: Some(splits.len() - 1), places, values })
    }
}

/// Checks that an input of weights is empty or a vector with one for each value.
fn check_weights(context: &KernelContext<'_>, input: usize, values: usize) -> Result<()> {
    let weights = context.input(input).shape();
    if weights.elements() == 0 || weights.dims() == [values] {
        return Ok(());
    }
    let text = format!(
        "Weights and values must have the same shape. Weight shape: {weights}; values shape: [{values}]"
    );
    Err(Error::invalid_argument(text))
}

/// Delivers the sums of the weights (1 without any) of the values below the size. Binary output only records
/// whether there are any. `weights` is the input with them. The result is output 0.
///
/// Values may be negative only for `SparseBincount` of several axes, and are skipped like those from `size`
/// on.
///
/// `given` holds rows and values, `size` is the number of bins of a row, and `binary` the attribute
/// `binary_output`.
fn bins<T>(
    context: &mut KernelContext<'_>,
    given: &Given,
    size: usize,
    weights: usize,
    binary: bool,
) -> Result<()>
where
    T: Element + elementwise::Element + std::ops::AddAssign,
    f64: elementwise::CastTo<T>,
{
    check_weights(context, weights, given.values.len())?;
    let shape = match given.rows {
        Some(rows) => Shape::from([rows, size]),
        None => Shape::from([size]),
    };
    let one = one::<T>(context);
    context.produce::<T>(0, shape, |context, output| {
        output.fill(T::default());
        let weights = context.slice::<T>(weights)?;
        for (at, (&row, &value)) in given.places.iter().zip(&given.values).enumerate() {
            let Some(bin) = usize::try_from(value).ok().filter(|&bin| bin < size) else { continue };
            count(&mut output[row * size + bin], weights.get(at), one, binary);
        }
        Ok(())
    })
}

/// Returns a kernel that delivers counts as a sparse tensor. `weights` is the input with them, and `given`
/// reads the values. A negative limit, the default, is none.
///
/// `minlength` and `maxlength` are read here. The dtype of the counts, `output_type`, is that of the weights.
fn counter(
    spec: &NodeSpec<'_>,
    weights: usize,
    given: fn(&KernelContext<'_>) -> Result<Given>,
) -> Result<Box<dyn Kernel>> {
    let binary = spec.bool("binary_output")?;
    // The default, -1, is no limit.
    let limit = |name: &str| Ok::<_, Error>(spec.int(name).ok().filter(|&limit| limit >= 0));
    let (least, most) = (limit("minlength")?, limit("maxlength")?);
    for_dtype!(@arms spec.dtype("output_type")?, T => Ok(boxed(move |context: &mut KernelContext<'_>| {
        let given = given(context)?;
        check_counted(context, weights, &given)?;
        counts::<T>(context, &given, weights, binary, (least, most))
    })), Int32: i32, Int64: i64, Float32: f32, Float64: f64)
}

/// Checks what all sparse counters require: no negative value, and weights for all values.
fn check_counted(context: &KernelContext<'_>, weights: usize, given: &Given) -> Result<()> {
    if given.values.iter().any(|&value| value < 0) {
        return Err(Error::invalid_argument("Input values must all be non-negative"));
    }
    // The weights of a matrix have its shape, which was checked.
    if context.input(weights).shape().rank() == 1 {
        check_weights(context, weights, given.values.len())?;
    }
    Ok(())
}

/// Delivers indices, counts and shape of the sparse result as outputs 0 to 2. A sorted map brings them into
/// the order of the indices, at a cost of `n log n` for `n` values. `least` and `most` are `minlength` and
/// `maxlength`.
///
/// `given` holds rows and values, `weights` is the input with them, and `binary` the attribute
/// `binary_output`.
fn counts<T>(
    context: &mut KernelContext<'_>,
    given: &Given,
    weights: usize,
    binary: bool,
    (least, most): (Option<i64>, Option<i64>),
) -> Result<()>
where
    T: Element + elementwise::Element + std::ops::AddAssign,
    f64: elementwise::CastTo<T>,
{
    let one = one::<T>(context);
    let mut counts: Vec<T> = Vec::new();
    let mut places: BTreeMap<(usize, i64), usize> = BTreeMap::new();
    let mut end = 0;
    let weights = context.slice::<T>(weights)?;
    for (at, (&row, &value)) in given.places.iter().zip(&given.values).enumerate() {
        if most.is_some_and(|most| value >= most) {
            continue;
        }
        end = end.max(value);
        let place = *places.entry((row, value)).or_insert(counts.len());
        if place == counts.len() {
            counts.push(T::default());
        }
        count(&mut counts[place], weights.get(at), one, binary);
    }
    // A vector without elements counts as one with a 0.
    let width = most.unwrap_or_else(|| end.saturating_add(1).max(least.unwrap_or(0)));
    let rank = 1 + usize::from(given.rows.is_some());
    let mut indices = memory::reserve(counts.len().saturating_mul(rank))?;
    let mut values: Vec<T> = memory::reserve(counts.len())?;
    for ((row, value), place) in places {
        if given.rows.is_some() {
            indices.push(row as i64);
        }
        indices.push(value);
        values.push(counts[place]);
    }
    let shape: Vec<i64> = given.rows.map(|rows| rows as i64).into_iter().chain([width]).collect();
    let count = values.len();
    context.set(0, Tensor::from_vec(indices, [count, rank])?);
    context.set(1, Tensor::from_vec(values, [count])?);
    context.set(2, Tensor::from_vec(shape, [rank])?);
    Ok(())
}
