//! Ragged tensors filled up to dense ones.
//!
//! Rows are padded with `default_value`, or truncated to the requested shape. The partition types state how
//! each ragged axis is described: by row splits, by the row of each value, or, for the first axis, by the
//! number of rows.
//!
//! # Semantics
//!
//! `RaggedTensorToTensor` has the inputs `shape`, `values`, `default_value` and one partition for each name
//! in `row_partition_types`. The result has one axis more than there are ragged axes, followed by the axes of
//! a value.
//!
//! - `shape` is a vector with a size for each axis, -1 for as large as needed; or the scalar -1, for all.
//! - The default is broadcast to a value. The first partition is `FIRST_DIM_SIZE` (followed by row ids) or
//!   `ROW_SPLITS`; the others are splits or row ids.
//! - Partitions that contradict each other, row ids that fall, and shapes of another rank are
//!   `InvalidArgument`.
//!
//! ```text
//! values [1, 2, 3], splits [0, 1, 3], default 9
//! shape -1   ->   [[1, 9], [2, 3]]     shape [3, 1]   ->   [[1], [2], [9]]
//! ```

use super::{row_of, splits};
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::array::arrange;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{AttrValue, Error, Result};
use tensor::{Shape, Tensor, memory};

/// Registers `RaggedTensorToTensor`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("RaggedTensorToTensor", |spec| {
        let partitions = partitions(spec)?;
        Ok(boxed(move |context| to_tensor(context, &partitions)))
    });
}

/// The form in which the rows of an axis are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Partition {
    /// The number of rows of the outermost axis, a scalar.
    FirstDimSize,
    /// The row of each value, in ascending order.
    ValueRowIds,
    /// The first value of each row, and the end of the last: one more than there are rows.
    RowSplits,
}

/// Returns the attribute `row_partition_types`. Fails unless there is one for each input and their order
/// describes rows.
///
/// An op with one ragged axis has either `ROW_SPLITS`, or `FIRST_DIM_SIZE` and `VALUE_ROWIDS`: row ids alone
/// would not tell how many empty rows follow the last value.
fn partitions(spec: &NodeSpec<'_>) -> Result<Vec<Partition>> {
    let wrong = || Error::value("attribute 'row_partition_types' is not a list of strings");
    let names = spec.attr("row_partition_types")?.as_list().ok_or_else(wrong)?;
    let partition = |name: &AttrValue| match name {
        AttrValue::String(name) => match name.as_ref() {
            b"FIRST_DIM_SIZE" => Ok(Partition::FirstDimSize),
            b"VALUE_ROWIDS" => Ok(Partition::ValueRowIds),
            b"ROW_SPLITS" => Ok(Partition::RowSplits),
            other => {
                let other = String::from_utf8_lossy(other);
                Err(Error::invalid_argument(format!("Unsupported partition type: {other}")))
            }
        },
        _ => Err(wrong()),
    };
    let found: Vec<Partition> = names.iter().map(partition).collect::<Result<_>>()?;
    if found.len() != spec.operation.num_inputs() - 3 {
        return Err(Error::value("attribute 'row_partition_types' must have one name for each partition"));
    }
    let rest = found.iter().skip(1).any(|&partition| partition == Partition::FirstDimSize);
    if rest || found.first() == Some(&Partition::ValueRowIds) || found == [Partition::FirstDimSize] {
        return Err(Error::invalid_argument("the partitions do not describe the rows of a ragged tensor"));
    }
    Ok(found)
}

/// Returns the lengths of the rows of an axis, of which there are `rows`.
///
/// Fails if the splits or the row ids in `input` do not fit that number.
fn lengths(
    context: &KernelContext<'_>,
    input: usize,
    partition: Partition,
    rows: usize,
) -> Result<Vec<usize>> {
    if partition == Partition::RowSplits {
        let splits = splits(context, input)?;
        if splits.len() != rows + 1 {
            return Err(Error::invalid_argument(format!("{} splits for {rows} rows", splits.len())));
        }
        return Ok(memory::collected(splits.windows(2).map(|pair| pair[1] - pair[0]))?);
    }
    let ids = context.ints(input)?;
    if !ids.is_sorted() {
        return Err(Error::invalid_argument("the numbers of the values' rows must not fall"));
    }
    let mut lengths = memory::filled(0usize, rows)?;
    for id in ids {
        let length = usize::try_from(id).ok().and_then(|row| lengths.get_mut(row));
        *length.ok_or_else(|| {
            Error::invalid_argument(format!("a value belongs to row {id}, and there are {rows} rows"))
        })? += 1;
    }
    Ok(lengths)
}

/// Delivers the dense tensor.
///
/// Each axis turns the places of its rows into the places of the rows of the next axis, so that after the
/// last one every value has its place in the result, or none if it was cut off. The result is then filled row
/// by row from the values or the default.
///
/// An example with two ragged axes: splits `[0, 2, 3]` and `[0, 1, 1, 4]` describe two rows of 2 and 1 inner
/// rows of 1, 0 and 3 values, and the natural shape is `[2, 2, 3]`.
///
/// ```text
/// rows of axis 0         places 0, 1
/// rows of axis 1         places 0, 1, 2      (row 1 of axis 0 begins at 1 * 2)
/// values                 places 0, 6, 7, 8   (row 2 of axis 1 begins at 2 * 3)
/// ```
fn to_tensor(context: &mut KernelContext<'_>, partitions: &[Partition]) -> Result<()> {
    let values = context.input(1);
    if values.shape().rank() == 0 {
        return Err(Error::invalid_argument("the values of a ragged tensor must not be a scalar"));
    }
    let (width, inner) = row_of(values);
    // The number of rows of the outermost axis.
    let first = match partitions[0] {
        Partition::FirstDimSize => usize::try_from(context.int(3)?)
            .map_err(|_| Error::invalid_argument("the number of rows must not be negative"))?,
        _ => splits(context, 3)?.len() - 1,
    };
    // The number of rows is not a partition of values.
    let skipped = usize::from(partitions[0] == Partition::FirstDimSize);
    let mut rows = first;
    let mut all = Vec::new();
    for (place, &partition) in partitions.iter().enumerate().skip(skipped) {
        let lengths = lengths(context, 3 + place, partition, rows)?;
        rows = lengths.iter().sum();
        all.push(lengths);
    }
    let count = values.shape().dims()[0];
    // Values after those of the last row are allowed and ignored.
    if rows > count {
        return Err(Error::invalid_argument(format!(
            "the rows have {rows} values, and only {count} are given"
        )));
    }
    let longest = all.iter().map(|lengths| lengths.iter().max().copied().unwrap_or(0));
    let natural: Vec<usize> = [first].into_iter().chain(longest).chain(inner.iter().copied()).collect();
    let dims = wanted(context, &natural, all.len() + 1)?;

    // The place of each row in the result, `None` where that ends before it.
    let mut places: Vec<Option<usize>> =
        memory::collected((0..first).map(|row| (row < dims[0]).then_some(row)))?;
    for (lengths, &size) in all.iter().zip(&dims[1..]) {
        let mut next = memory::reserve(lengths.iter().sum())?;
        for (place, &length) in places.iter().zip(lengths) {
            // A value is cut off if its row was, or if its column is outside the requested size.
            next.extend((0..length).map(|column| Some((*place)? * size + column).filter(|_| column < size)));
        }
        places = next;
    }
    let total = dims[..=all.len()].iter().try_fold(1usize, |total, &size| total.checked_mul(size));
    let total = total.ok_or_else(|| Error::invalid_argument("the result has too many elements"))?;
    let mut sources = memory::filled(None, total)?;
    for (row, place) in places.into_iter().enumerate() {
        if let Some(place) = place {
            sources[place] = Some(row);
        }
    }
    let filler = filler(context, &inner)?;
    // Row 0 of the second source is the default.
    let sources_of = |row: usize| Some(sources[row].map_or((1, 0), |row| (0, row)));
    let result = arrange(context, &[context.input(1), &filler], Shape::from(dims), width, &sources_of, None)?;
    context.set(0, result);
    Ok(())
}

/// Returns the sizes of the result: those requested, or the least that hold everything.
///
/// `natural` are the latter; the first `ragged` axes may be requested larger or smaller, the axes of a value
/// may not.
fn wanted(context: &KernelContext<'_>, natural: &[usize], ragged: usize) -> Result<Vec<usize>> {
    let asked = context.ints(0)?;
    if context.input(0).shape().rank() == 0 {
        return match asked.as_slice() {
            [-1] => Ok(natural.to_vec()),
            _ => Err(Error::invalid_argument(
                "the only valid scalar shape tensor is the fully unknown shape specified as -1",
            )),
        };
    }
    if asked.len() != natural.len() {
        let text = format!(
            "a shape of rank {} is requested, but the tensor has rank {}",
            asked.len(),
            natural.len()
        );
        return Err(Error::invalid_argument(text));
    }
    let size = |(axis, (&asked, &natural)): (usize, (&i64, &usize))| match usize::try_from(asked) {
        Ok(size) if axis < ragged || size == natural => Ok(size),
        Ok(size) => {
            Err(Error::invalid_argument(format!("axis {axis} of the values has size {natural}, not {size}")))
        }
        Err(_) => Ok(natural),
    };
    asked.iter().zip(natural).enumerate().map(size).collect()
}

/// Returns a row of default values, of the sizes of a row of the values.
///
/// The default is aligned with the last axes and repeated along those of size 1. Fails if it does not
/// broadcast.
fn filler(context: &KernelContext<'_>, inner: &[usize]) -> Result<Tensor> {
    let given = context.input(2);
    let dims = given.shape().dims().to_vec();
    let offset = inner.len().checked_sub(dims.len()).filter(|&offset| {
        dims.iter().zip(&inner[offset..]).all(|(&size, &wanted)| size == 1 || size == wanted)
    });
    let offset = offset.ok_or_else(|| {
        Error::invalid_argument(format!(
            "default_value of shape {} does not fit rows of shape {inner:?}",
            given.shape()
        ))
    })?;
    let place = |element: usize| {
        let mut coordinates = vec![0; inner.len()];
        crate::kernels::array::unravel(element, inner, &mut coordinates);
        let own = coordinates[offset..].iter().zip(&dims).map(|(&at, &size)| if size == 1 { 0 } else { at });
        Some((0, crate::kernels::array::ravel(own, &dims)))
    };
    arrange(context, &[given], Shape::from(inner.to_vec()), 1, &place, None)
}
