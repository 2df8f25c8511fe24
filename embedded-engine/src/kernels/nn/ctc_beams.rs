//! The beam search decoder of connectionist temporal classification.
//!
//! Each frame extends every sequence of the beam by every class; a sequence keeps separate probabilities for
//! ending in a blank and for ending in its last label. The `beam_width` most probable sequences stay. With
//! `merge_repeated` equal neighbors in the *output* are merged, which is TensorFlow's (unusual) meaning.
//!
//! # Semantics
//!
//! `CTCBeamSearchDecoder` takes `inputs` `[time, batch, classes]`, logits of `float32` or `float64` with the
//! blank as the last class, and `sequence_length` `[batch]`. It returns `top_paths` sparse tensors: first all
//! indices `[n, 2]`, then all values `[n]`, then all shapes `[2]`, and finally `log_probability`
//! `[batch, top_paths]`, the most probable path first.
//!
//! More paths than the beam is wide, and an example with fewer sequences than `top_paths` (as one of length
//! 0, which has only the empty one), are `InvalidArgument`.
//!
//! # Algorithm
//!
//! A tree of label sequences, each an entry that knows its parent. In each frame all entries of the beam are
//! updated first, which may need the probability of the parent before and after the frame; then each of them
//! grows by every label, as long as the result is among the `beam_width` most probable. Costs
//! `time * beam_width * classes` steps for each example, one after the other in one thread. The order of the
//! steps decides between sequences of equal probability.
//!
//! ```text
//! one label and the blank with probabilities 0.6 and 0.4 in two frames, beam_width 2
//!
//! after frame 1    [0]: 0.6        []: 0.4
//! after frame 2    [0]: 0.84 = 0.6 0.6 + 0.6 0.4 + 0.4 0.6        []: 0.16
//! ```

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

/// The attributes of the decoder. All are positive, and `paths` is at most `width`.
#[derive(Clone, Copy)]
struct Wanted {
    /// The number of label sequences that are kept after each frame.
    width: usize,
    /// The number of label sequences that are returned.
    paths: usize,
    /// True to merge repeated classes.
    merge: bool,
}

/// The logarithms of the probability of a label sequence, and of its parts that end with a blank or with a
/// label.
///
/// A repeated label continues a path that ends with the label, but begins a second label after a blank; hence
/// the two parts.
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
///
/// Entries are never removed, as others refer to them by their index; an entry that leaves the beam has the
/// chance 0 after the frame.
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
    /// The maximum number of sequences in the beam.
    width: usize,
    /// All sequences that ever were in the beam. The first one is the empty sequence.
    entries: Vec<Entry>,
    /// The entry of each extension of an entry by a label. A sequence that comes back into the beam is found
    /// here and keeps its entry.
    children: HashMap<(usize, usize), usize>,
    /// The entries in the beam, the likeliest first; at most `width`.
    leaves: Vec<usize>,
}

impl Beam {
    /// Begins with the empty prefix. It is certain, as if a blank had come before the first frame.
    fn new(width: usize) -> Beam {
        let chance = Chance { total: 0.0, blank: 0.0, label: NEVER };
        // No class has the label of the empty sequence.
        let root = Entry { parent: None, label: usize::MAX, before: Chance::NONE, after: chance };
        Beam { width, entries: vec![root], children: HashMap::new(), leaves: vec![0] }
    }

    /// Inserts an entry into the beam by its probability, after those of equal probability. The caller has
    /// made room.
    fn push(&mut self, entry: usize) {
        let total = self.entries[entry].after.total;
        let place = self.leaves.partition_point(|&other| self.entries[other].after.total >= total);
        self.leaves.insert(place, entry);
    }

    /// Returns true if a sequence of this probability belongs into the beam. It does if there is room, or if
    /// it is likelier than the last one. Impossible sequences never do.
    fn takes(&self, total: f64) -> bool {
        let is_likelier = |&last: &usize| total > self.entries[last].after.total;
        total > NEVER && (self.leaves.len() < self.width || self.leaves.last().is_some_and(is_likelier))
    }

    /// Adds a frame: the logarithms of the probabilities of the classes, the last of which is the blank.
    /// Fails only if the run is ended or memory is refused.
    fn step(&mut self, logs: &[f64], watch: &mut Watch<'_>) -> Result<()> {
        let Some((&of_blank, of_labels)) = logs.split_last() else { return Ok(()) };
        // The beam is sorted again, by the probabilities after the frame.
        let branches = std::mem::take(&mut self.leaves);
        for &branch in &branches {
            // In a loop of its own, since children read what their parents had before the frame.
            self.entries[branch].before = self.entries[branch].after;
        }
        for &branch in &branches {
            let Entry { parent, label, before, after } = self.entries[branch];
            // `after` is that of the frame before here, until it is overwritten below: the path that already
            // ends with the label and repeats it.
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
            // No extension is likelier than what it extends, so the labels need not be tried.
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

    /// Adds the sequence of an entry and one more label to the beam, if it is likely enough and not in it.
    /// `log` is the logarithm of the probability of the label in this frame. The last sequence of a full beam
    /// makes room. `branch` is the entry that is extended, `label` a class other than the blank.
    fn grow(&mut self, branch: usize, label: usize, log: f64) -> Result<()> {
        let known = self.children.get(&(branch, label)).copied();
        if known.is_some_and(|child| self.entries[child].after.total > NEVER) {
            return Ok(());
        }
        let Entry { label: last, before, .. } = self.entries[branch];
        // After the same label, only paths that end with a blank make it a second one.
        let total = log + if label == last { before.blank } else { before.total };
        if !self.takes(total) {
            return Ok(());
        }
        if self.leaves.len() == self.width
            && let Some(dropped) = self.leaves.pop()
        {
            // Out of the beam, so it may be pushed again later.
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

    /// Returns the labels of a sequence. From the first to the last, with equal neighbors merged if `merge`.
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

/// The sparse form of one of the label sequences of each example. There is one for each path, filled example
/// by example.
#[derive(Default)]
struct Decoded {
    /// The example and the position of each label, two numbers for each.
    indices: Vec<i64>,
    /// The labels, in the order of the indices.
    values: Vec<i64>,
    /// The length of the longest sequence.
    longest: usize,
}

/// Returns the logarithm of the sum of two numbers that are given by theirs. As in TensorFlow, the correction
/// is of single precision for both dtypes, which decides between sequences that are nearly as likely.
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == NEVER { high } else { high + f64::from(((low - high) as f32).exp().ln_1p()) }
}

/// Delivers the paths of all examples, 3 outputs for each, and then their probabilities.
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
