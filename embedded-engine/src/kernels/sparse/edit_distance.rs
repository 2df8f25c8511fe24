//! The number of changes between sequences.
//!
//! The distance is Levenshtein's: insertions, deletions and replacements count 1 each. With `normalize` it is
//! divided by the length of the truth; for an empty truth it is 0 or infinity.
//!
//! # Semantics
//!
//! `EditDistance` takes two sparse tensors, the hypothesis (inputs 0 to 2: indices, values, shape) and the
//! truth (inputs 3 to 5), of one rank. Each group of values with equal coordinates before the last axis is a
//! sequence. The result is a dense `float32` tensor over those axes, as large as the larger of both in each.
//! Sequences that both tensors lack have distance 0.
//!
//! The values may have any dtype. Floats and complex numbers are compared as numbers: 0.0 equals -0.0, and NaN
//! differs from NaN. Ranks that differ or are less than 2, and indices out of range, are `InvalidArgument`.
//!
//! A pair of sequences takes time in proportion to the product of their lengths and memory for one row of the
//! table.

use super::Coordinates;
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::collections::BTreeMap;
use tensor::Shape;

/// Registers `EditDistance`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("EditDistance", |spec| {
        let normalize = spec.bool("normalize")?;
        let dtype = spec.input_dtype(1);
        if dtype.is_floating() {
            for_dtype!(float dtype, T => Ok(boxed(move |context| {
                edit_distance::<T>(context, normalize, |context, input| context.slice::<T>(input))
            })))
        } else if dtype.is_complex() {
            for_dtype!(complex dtype, T => Ok(boxed(move |context| {
                edit_distance::<T>(context, normalize, |context, input| context.slice::<T>(input))
            })))
        } else {
            // Equal elements have equal bits.
            for_dtype!(moved dtype, T => Ok(boxed(move |context| {
                edit_distance::<T>(context, normalize, |context, input| context.moved::<T>(input))
            })))
        }
    });
}

/// The sequences of a sparse tensor, by the coordinates before the last axis: the places of their values.
///
/// A sequence without values has no entry. The map is ordered, so that sequences are compared in a fixed
/// order.
type Sequences = BTreeMap<Vec<usize>, Vec<usize>>;

/// Groups the values of a tensor. Within a sequence they keep the order of the
/// input; the last coordinate is not looked at.
fn sequences(given: &Coordinates) -> Sequences {
    let mut sequences = Sequences::new();
    for (place, row) in given.rows.iter().enumerate() {
        sequences.entry(row[..row.len() - 1].to_vec()).or_default().push(place);
    }
    sequences
}

/// Delivers the distances. `normalize` divides each by the length of the truth; `read` returns the values of an
/// input.
fn edit_distance<T: PartialEq>(
    context: &mut KernelContext<'_>,
    normalize: bool,
    read: for<'a> fn(&'a KernelContext<'_>, usize) -> Result<&'a [T]>,
) -> Result<()> {
    let (guess, truth) = (Coordinates::of(context, 0, 1, 2)?, Coordinates::of(context, 3, 4, 5)?);
    if guess.dims.len() != truth.dims.len() || guess.dims.len() < 2 {
        let text = format!("the shapes {:?} and {:?} must have one rank, at least 2", guess.dims, truth.dims);
        return Err(Error::invalid_argument(text));
    }
    let outer = guess.dims.len() - 1;
    let dims: Vec<usize> = guess.dims.iter().zip(&truth.dims).take(outer).map(|(a, b)| *a.max(b)).collect();
    let (guesses, truths) = (sequences(&guess), sequences(&truth));
    context.produce::<f32>(0, Shape::from(dims.clone()), |context, output| {
        // Coordinates without a sequence on either side are not visited below.
        output.fill(0.0);
        let values = [read(context, 1)?, read(context, 4)?];
        let mut watch = context.watch();
        // A sequence that one side lacks is compared with an empty one.
        let only_truths = truths.keys().filter(|key| !guesses.contains_key(*key));
        for key in guesses.keys().chain(only_truths) {
            let of = |all: &Sequences| all.get(key).cloned().unwrap_or_default();
            let (guess, truth) = (of(&guesses), of(&truths));
            watch.tick(guess.len().saturating_mul(truth.len().max(1)))?;
            let distance = levenshtein(values, &guess, &truth) as f32;
            let place = crate::kernels::array::ravel(key.iter().copied(), &dims);
            output[place] = match normalize {
                true if truth.is_empty() => f32::INFINITY,
                true => distance / truth.len() as f32,
                false => distance,
            };
        }
        Ok(())
    })
}

/// Returns the least number of insertions, deletions and replacements that make one sequence the other.
///
/// `from` and `to` are places in the first and the second slice of `values`. After `i` steps, entry `j` of
/// the row is the distance between the first `i` values of one and the first `j` of the other.
fn levenshtein<T: PartialEq>(values: [&[T]; 2], from: &[usize], to: &[usize]) -> usize {
    // From an empty sequence, each value of the other is an insertion.
    let mut before: Vec<usize> = (0..=to.len()).collect();
    for (i, &a) in from.iter().enumerate() {
        let mut row = Vec::with_capacity(before.len());
        row.push(i + 1);
        for (j, &b) in to.iter().enumerate() {
            let replaced = before[j] + usize::from(values[0][a] != values[1][b]);
            row.push(replaced.min(before[j + 1] + 1).min(row[j] + 1));
        }
        before = row;
    }
    before.last().copied().unwrap_or(0)
}
