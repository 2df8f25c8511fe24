//! The beam search decoder of connectionist temporal classification.
//!
//! Each frame extends every sequence of the beam by every class; a sequence keeps separate probabilities for ending
//! in a blank and for ending in its last label. The `beam_width` most probable sequences stay. With `merge_repeated`
//! equal neighbors in the *output* are merged, which is TensorFlow's (unusual) meaning.

use super::ctc::{Frames, log_softmax};
use crate::kernel::{KernelContext, Watch};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::CastTo;
use session_core::{Error, Result};
use std::collections::HashMap;
use tensor::{Element, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("CTCBeamSearchDecoder", |spec| {
        let size = |name: &str| {
            let size = spec.int(name)?;
            usize::try_from(size)
                .ok()
                .filter(|&size| size > 0)
                .ok_or_else(|| Error::invalid_argument(format!("{name} must be positive, not {size}")))
        };
        let wanted = Wanted {
            width: size("beam_width")?,
            paths: size("top_paths")?,
            merge: spec.bool("merge_repeated")?,
        };
        if wanted.paths > wanted.width {
            let Wanted { width, paths, .. } = wanted;
            let text =
                format!("requested more paths than the beam width: top_paths is {paths}, beam_width {width}");
            return Err(Error::invalid_argument(text));
        }
        for_dtype!(@arms spec.input_dtype(0), T => Ok(boxed(move |context| decode::<T>(context, wanted))),
            Float32: f32, Float64: f64)
    });
}

/// The attributes of the decoder.
#[derive(Clone, Copy)]
struct Wanted {
    /// The number of label sequences that are kept after each frame.
    width: usize,
    /// The number of label sequences that are returned.
    paths: usize,
    /// True to merge repeated classes.
    merge: bool,
}

/// The logarithms of the probability of a label sequence, and of its parts that end with a blank or with a label.
#[derive(Clone, Copy)]
struct Chance {
    /// The logarithm of the sum of both others.
    total: f64,
    /// The logarithm of the probability of the paths that end with a blank.
    blank: f64,
    /// The logarithm of the probability of the paths that end with the label.
    label: f64,
}

impl Chance {
    /// The chance of an impossible prefix.
    const NONE: Chance = Chance { total: NEVER, blank: NEVER, label: NEVER };
}

/// The logarithm of 0.
const NEVER: f64 = f64::NEG_INFINITY;

/// A label sequence: another one and a label more.
struct Entry {
    /// The entry of the prefix without its last label; `None` for the empty one.
    parent: Option<usize>,
    /// The last label.
    label: usize,
    /// The probability before the frame.
    before: Chance,
    /// The probability after the frame; zero if the sequence is not in the beam.
    after: Chance,
}

/// The likeliest label sequences after some frames.
struct Beam {
    /// The maximum number of prefixes.
    width: usize,
    /// The prefixes so far.
    entries: Vec<Entry>,
    /// The entry of each extension of an entry by a label.
    children: HashMap<(usize, usize), usize>,
    /// The entries in the beam, the likeliest first.
    leaves: Vec<usize>,
}

impl Beam {
    /// Begins with the empty prefix.
    fn new(width: usize) -> Beam {
        let chance = Chance { total: 0.0, blank: 0.0, label: NEVER };
        // No class has the label of the empty sequence.
        let root = Entry { parent: None, label: usize::MAX, before: Chance::NONE, after: chance };
        Beam { width, entries: vec![root], children: HashMap::new(), leaves: vec![0] }
    }

    /// Keeps an entry if it is among the most likely ones.
    fn push(&mut self, entry: usize) {
        let total = self.entries[entry].after.total;
        let place = self.leaves.partition_point(|&other| self.entries[other].after.total >= total);
        self.leaves.insert(place, entry);
    }

    /// Returns true if a sequence of this probability belongs into the beam.
    fn takes(&self, total: f64) -> bool {
        let is_likelier = |&last: &usize| total > self.entries[last].after.total;
        total > NEVER && (self.leaves.len() < self.width || self.leaves.last().is_some_and(is_likelier))
    }

    /// Adds a frame: the logarithms of the probabilities of the classes, the last of which is the blank.
    fn step(&mut self, logs: &[f64], watch: &mut Watch<'_>) -> Result<()> {
        let Some((&of_blank, of_labels)) = logs.split_last() else { return Ok(()) };
        let branches = std::mem::take(&mut self.leaves);
        for &branch in &branches {
            self.entries[branch].before = self.entries[branch].after;
        }
        for &branch in &branches {
            let Entry { parent, label, before, after } = self.entries[branch];
            let mut of_label = after.label;
            if let Some(parent) = parent.map(|parent| &self.entries[parent]) {
                if parent.after.total > NEVER {
                    let repeats = label == parent.label;
                    of_label =
                        log_add(of_label, if repeats { parent.before.blank } else { parent.before.total });
                }
                of_label += of_labels[label];
            }
            let blank = before.total + of_blank;
            self.entries[branch].after = Chance { total: log_add(blank, of_label), blank, label: of_label };
            self.push(branch);
        }
        for branch in branches {
            if !self.takes(self.entries[branch].before.total) {
                continue;
            }
            watch.tick(of_labels.len())?;
            for (label, &log) in of_labels.iter().enumerate() {
                self.grow(branch, label, log)?;
            }
        }
        Ok(())
    }

    /// Adds a sequence with a label more to the beam, if it is likely enough and not there yet.
    fn grow(&mut self, branch: usize, label: usize, log: f64) -> Result<()> {
        let known = self.children.get(&(branch, label)).copied();
        if known.is_some_and(|child| self.entries[child].after.total > NEVER) {
            return Ok(());
        }
        let Entry { label: last, before, .. } = self.entries[branch];
        let total = log + if label == last { before.blank } else { before.total };
        if !self.takes(total) {
            return Ok(());
        }
        if self.leaves.len() == self.width
            && let Some(dropped) = self.leaves.pop()
        {
            self.entries[dropped].after = Chance::NONE;
        }
        let after = Chance { total, blank: NEVER, label: total };
        let child = match known {
            Some(child) => child,
            None => {
                let child = self.entries.len();
                memory::grow(&mut self.entries, 1)?;
                self.entries.push(Entry { parent: Some(branch), label, before: Chance::NONE, after });
                self.children.insert((branch, label), child);
                child
            }
        };
        self.entries[child].after = after;
        self.push(child);
        Ok(())
    }

    /// Returns the labels of a sequence.
    fn labels(&self, leaf: usize, merge: bool) -> Vec<usize> {
        let mut labels = Vec::new();
        let mut entry = &self.entries[leaf];
        while let Some(parent) = entry.parent {
            labels.push(entry.label);
            entry = &self.entries[parent];
        }
        labels.reverse();
        if merge {
            labels.dedup();
        }
        labels
    }
}

/// The sparse form of one of the label sequences of each example.
#[derive(Default)]
struct Decoded {
    /// The coordinates of the labels.
    indices: Vec<i64>,
    /// The labels.
    values: Vec<i64>,
    /// The length of the longest sequence.
    longest: usize,
}

/// Returns the logarithm of the sum of two numbers that are given by theirs. As in TensorFlow, the correction is of single
/// precision for both dtypes, which decides between sequences that are nearly as likely.
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == NEVER { high } else { high + f64::from(((low - high) as f32).exp().ln_1p()) }
}

/// Decodes all examples.
fn decode<T: Element + CastTo<f64>>(context: &mut KernelContext<'_>, wanted: Wanted) -> Result<()>
where
    f64: CastTo<T>,
{
    let frames = Frames::of(context, 1)?;
    let mut inputs = memory::filled(0f64, context.input(0).elements())?;
    compute::elementwise::cast(context.pool(), context.slice::<T>(0)?, &mut inputs);
    let mut chances = memory::filled(0f64, frames.batch.saturating_mul(wanted.paths))?;
    let mut decoded: Vec<Decoded> = (0..wanted.paths).map(|_| Decoded::default()).collect();
    let mut watch = context.watch();
    for example in 0..frames.batch {
        let mut beam = Beam::new(wanted.width);
        for step in 0..frames.lengths[example] {
            beam.step(&log_softmax(&inputs[frames.row(step, example)]), &mut watch)?;
        }
        if beam.leaves.len() < wanted.paths {
            let text = format!(
                "example {example} has {} label sequences, fewer than top_paths, {}",
                beam.leaves.len(),
                wanted.paths
            );
            return Err(Error::invalid_argument(text));
        }
        for (path, (&leaf, decoded)) in beam.leaves.iter().zip(&mut decoded).enumerate() {
            let labels = beam.labels(leaf, wanted.merge);
            decoded.longest = decoded.longest.max(labels.len());
            decoded.indices.extend((0..labels.len()).flat_map(|place| [example as i64, place as i64]));
            decoded.values.extend(labels.into_iter().map(|label| label as i64));
            chances[example * wanted.paths + path] = beam.entries[leaf].after.total;
        }
    }
    for (path, Decoded { indices, values, longest }) in decoded.into_iter().enumerate() {
        context.set(path, Tensor::from_vec(indices, [values.len(), 2])?);
        context.set(wanted.paths + path, Tensor::from(values));
        context.set(2 * wanted.paths + path, Tensor::from([frames.batch as i64, longest as i64]));
    }
    context.produce::<T>(3 * wanted.paths, [frames.batch, wanted.paths], |context, output| {
        compute::elementwise::cast(context.pool(), &chances, output);
        Ok(())
    })
}
