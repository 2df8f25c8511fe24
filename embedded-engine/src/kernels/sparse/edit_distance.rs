//! The number of changes between sequences.

use super::Coordinates;
use crate::kernel::KernelContext;
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

/// The sequences of a sparse tensor, by the coordinates before the last axis.
fn sequences<T: Clone>(given: &Coordinates, values: &[T]) -> BTreeMap<Vec<usize>, Vec<T>> {
    let mut sequences: BTreeMap<Vec<usize>, Vec<T>> = BTreeMap::new();
    for (row, value) in given.rows.iter().zip(values) {
        sequences.entry(row[..row.len() - 1].to_vec()).or_default().push(value.clone());
    }
    sequences
}

fn edit_distance<T>(context: &mut KernelContext<'_>, normalize: bool) -> Result<()>
where
    T: crate::kernels::Moved + Clone + PartialEq,
{
    let (guess, truth) = (Coordinates::of(context, 0, 1, 2)?, Coordinates::of(context, 3, 4, 5)?);
    if guess.dims.len() != truth.dims.len() || guess.dims.is_empty() {
        let text = format!("the shapes {:?} and {:?} must have one rank, at least 1", guess.dims, truth.dims);
        return Err(Error::invalid_argument(text));
    }
    let outer = guess.dims.len() - 1;
    let dims: Vec<usize> = guess.dims.iter().zip(&truth.dims).take(outer).map(|(a, b)| *a.max(b)).collect();
    let guesses = sequences(&guess, T::elements(context.input(1))?);
    let truths = sequences(&truth, T::elements(context.input(4))?);
    context.produce::<f32>(0, Shape::from(dims.clone()), |context, output| {
        output.fill(0.0);
        let mut watch = context.watch();
        let keys: std::collections::BTreeSet<&Vec<usize>> = guesses.keys().chain(truths.keys()).collect();
        for key in keys {
            let of = |all: &BTreeMap<Vec<usize>, Vec<T>>| all.get(key).cloned().unwrap_or_default();
            let (guess, truth) = (of(&guesses), of(&truths));
            watch.tick(guess.len().saturating_mul(truth.len().max(1)))?;
            let distance = levenshtein(&guess, &truth) as f32;
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

/// The least number of insertions, deletions and replacements that make one sequence the other.
fn levenshtein<T: PartialEq>(from: &[T], to: &[T]) -> usize {
    let mut before: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = Vec::with_capacity(before.len());
        row.push(i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = before[j] + usize::from(a != b);
            row.push(replaced.min(before[j + 1] + 1).min(row[j] + 1));
        }
        before = row;
    }
    before.last().copied().unwrap_or(0)
}
