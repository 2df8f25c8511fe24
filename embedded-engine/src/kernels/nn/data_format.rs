//! Axes and sizes in another order of axes.

use crate::kernel::NodeSpec;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::Tensor;

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

/// Two orders of the same axes, a letter for each.
struct Formats {
    from: Vec<u8>,
    to: Vec<u8>,
}

fn place(axis: &u8, format: &[u8]) -> usize {
    format.iter().position(|other| other == axis).unwrap_or_default()
}

impl Formats {
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

    /// Returns for each row of the result the row that it is: of a row for each axis, or for each axis of space.
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
