//! The number of changes between sequences.
//!
//! The distance is Levenshtein's: insertions, deletions and replacements count 1 each. With `normalize` it is divided
//! by the length of the truth; for an empty truth it is 0 or infinity.

use super::Coordinates;
use crate::kernel::KernelContext;
use crate::kernels::Moved;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::collections::BTreeMap;
use tensor::Shape;

pub(super) fn register(registry: &mut Registry) {
    registry.add("EditDistance", |spec| {
        let normalize = spec.bool("normalize")?;
        for_dtype!(moved spec.input_dtype(1), T => Ok(boxed(move |context| edit_distance::<T>(context, normalize))))
    });
}

/// The sequences of a sparse tensor, by the coordinates before the last axis: the places of their values.
type Sequences = BTreeMap<Vec<usize>, Vec<usize>>;

fn sequences(given: &Coordinates) -> Sequences {
    let mut sequences = Sequences::new();
    for (place, row) in given.rows.iter().enumerate() {
        sequences.entry(row[..row.len() - 1].to_vec()).or_default().push(place);
    }
    sequences
}

fn edit_distance<T: Moved + PartialEq>(context: &mut KernelContext<'_>, normalize: bool) -> Result<()> {
    let (guess, truth) = (Coordinates::of(context, 0, 1, 2)?, Coordinates::of(context, 3, 4, 5)?);
    if guess.dims.len() != truth.dims.len() || guess.dims.is_empty() {
        let text = format!("the shapes {:?} and {:?} must have one rank, at least 1", guess.dims, truth.dims);
        return Err(Error::invalid_argument(text));
    }
    let outer = guess.dims.len() - 1;
    let dims: Vec<usize> = guess.dims.iter().zip(&truth.dims).take(outer).map(|(a, b)| *a.max(b)).collect();
    let (guesses, truths) = (sequences(&guess), sequences(&truth));
    context.produce::<f32>(0, Shape::from(dims.clone()), |context, output| {
        output.fill(0.0);
        let values = [context.moved::<T>(1)?, context.moved::<T>(4)?];
        let mut watch = context.watch();
        let keys: std::collections::BTreeSet<&Vec<usize>> = guesses.keys().chain(truths.keys()).collect();
        for key in keys {
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

/// The least number of insertions, deletions and replacements that make one sequence of places the other.
fn levenshtein<T: PartialEq>(values: [&[T]; 2], from: &[usize], to: &[usize]) -> usize {
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
