//! Axes and sizes in another order of axes.
//!
//! # Semantics
//!
//! `src_format` (default `NHWC`) and `dst_format` (default `NCHW`) are orders of the same four or five
//! distinct letters; anything else is `InvalidArgument` when the plan is compiled. `DataFormatDimMap` maps
//! numbers of axes, negative ones counted from the end, to where they are in the other order:
//! `[0, 1, 2, 3, -1]` becomes `[0, 2, 3, 1, 1]`. `DataFormatVecPermute` reorders a vector with a number for
//! each axis, `[1, 2, 3, 4]` to `[1, 4, 2, 3]`, or a matrix with a row for each. It may also hold the axes of
//! space only, without `N` and `C`. Both take `int32` and `int64`.

use crate::kernel::NodeSpec;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::Tensor;

/// Registers both op types. The positions of the first are computed when the plan is compiled.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("DataFormatDimMap", |spec| {
        let Formats { from, to } = Formats::of(spec)?;
        let places: Vec<i64> = from.iter().map(|axis| place(axis, &to) as i64).collect();
        for_dtype!(index spec.input_dtype(0), T => Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let axes = context.ints(0)?;
            context.produce::<T>(0, shape, |_, output| {
                for (out, axis) in output.iter_mut().zip(axes) {
                    // Negative axes count from the end.
                    // Numbers beyond the last axis wrap around instead of being an error, as in TensorFlow.
                    *out = places[axis.rem_euclid(places.len() as i64) as usize] as T;
                }
                Ok(())
            })
        })))
    });
    registry.add("DataFormatVecPermute", |spec| {
        let formats = Formats::of(spec)?;
        for_dtype!(index spec.input_dtype(0), T => Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let sources = formats.sources(shape.dims())?;
            let values = context.slice::<T>(0)?;
            let width = values.len() / sources.len();
            let rows = sources.into_iter().flat_map(|row| &values[row * width..][..width]).copied();
            let permuted = Tensor::from_vec(rows.collect::<Vec<T>>(), shape)?;
            context.set(0, permuted);
            Ok(())
        })))
    });
}

/// Two orders of the same axes, a letter for each. Both have the same letters, each once.
struct Formats {
    /// The letters of `src_format`.
    from: Vec<u8>,
    /// The letters of `dst_format`.
    to: Vec<u8>,
}

/// Returns the position of an axis in a format that contains it. 0 for an axis that is missing, which
/// [`Formats::of`] excludes.
fn place(axis: &u8, format: &[u8]) -> usize {
    format.iter().position(|other| other == axis).unwrap_or_default()
}

impl Formats {
    /// Reads the attributes. Fails unless each is a permutation of the other.
    fn of(spec: &NodeSpec<'_>) -> Result<Formats> {
        let (from, to) = (spec.str("src_format")?, spec.str("dst_format")?);
        if !matches!(from.len(), 4 | 5) {
            let text = format!("Source format must be of length 4 or 5, received src_format = {from}");
            return Err(Error::invalid_argument(text));
        }
        let sorted = |format: &str| {
            let mut letters = format.as_bytes().to_vec();
            letters.sort_unstable();
            letters
        };
        let (letters, mut distinct) = (sorted(from), sorted(from));
        distinct.dedup();
        if letters != sorted(to) || letters != distinct {
            let text =
                format!("Destination and source format must determine a permutation, got {from} and {to}");
            return Err(Error::invalid_argument(text));
        }
        Ok(Formats { from: from.into(), to: to.into() })
    }

    /// Returns for each row of the result the row that it is: of a row for each axis, or for each axis of
    /// space. `dims` is the shape of the input, whose first size must be the number of axes or of axes of
    /// space.
    ///
    /// For `NHWC` to `NCHW` these are `[0, 3, 1, 2]`, and `[0, 1]` for the axes of space alone.
    fn sources(&self, dims: &[usize]) -> Result<Vec<usize>> {
        let (all, spatial) = (self.from.len(), self.from.len() - 2);
        let rows = match *dims {
            [rows] | [rows, _] => rows,
            _ => {
                let text = format!("input must be a vector or 2D tensor, but got shape {dims:?}");
                return Err(Error::invalid_argument(text));
            }
        };
        if rows != all && rows != spatial {
            let text = format!("input must have {spatial} or {all} rows, but got shape {dims:?}");
            return Err(Error::invalid_argument(text));
        }
        let kept = |format: &[u8]| -> Vec<u8> {
            let is_kept = |axis: &&u8| rows == all || !matches!(axis, b'N' | b'C');
            format.iter().filter(is_kept).copied().collect()
        };
        let (from, to) = (kept(&self.from), kept(&self.to));
        if from.len() != rows {
            let text = "formats without N and C have no axes of space";
            return Err(Error::invalid_argument(text));
        }
        Ok(to.iter().map(|axis| place(axis, &from)).collect())
    }
}
