//! Connectionist temporal classification (Graves et al., 2006): the loss with its gradient, and the greedy
//! decoder.
//!
//! # Semantics
//!
//! - `CTCLoss` and `CTCLossV2` take `inputs` `[time, batch, classes]`, `labels_indices` `[n, 2]`,
//!   `labels_values` `[n]` and `sequence_length` `[batch]`, and return `loss` `[batch]` and `gradient` of the
//!   shape of `inputs`.
//! - `CTCGreedyDecoder` takes `inputs` and `sequence_length` and returns sparse classes (indices, values,
//!   shape) and `log_probability` `[batch, 1]`.
//!
//! `inputs` are logits, `float32` or `float64`. The blank is the last class, in V2 the first; the decoder has
//! the attribute `blank_index` (default -1, counted from the end). The loss is minus the logarithm of the
//! probability of a label sequence, summed over all alignments. Attributes of the loss, all false by default
//! except `ctc_merge_repeated`:
//!
//! - `preprocess_collapse_repeated` merges repeated labels first;
//! - `ctc_merge_repeated` merges repeated classes of an alignment, so equal labels need a blank between them;
//! - `ignore_longer_outputs_than_inputs` gives examples with too many labels a loss of 0 and no gradient,
//!   instead of an error.
//!
//! Inputs without elements, a label that is the blank or no class, a length outside of the time steps, and an
//! example with too few time steps are `InvalidArgument`. For `CTCLoss` so is an example without labels. For
//! `CTCLossV2` it has the loss of the path of blanks, and an example of length 0 a loss of 0. Time steps
//! after the length of an example have no gradient.
//!
//! The decoder takes the most likely class of each step, merges repeats if `merge_repeated`, and leaves
//! blanks out. Its `log_probability` is the sum of the largest logits, negated, without a normalization, as
//! in TensorFlow. Of equal logits the first counts, and a class 0 of NaN is the most likely.
//!
//! # Algorithm
//!
//! Forward and backward recursions over `2 labels + 1` places in logarithms and double precision, one example
//! after the other in one thread; `time * labels` steps, each with up to three exponentials. The gradient,
//! `softmax - posterior`, is an output of the same operation, so a training step runs the recursions once.
//!
//! ```text
//! two classes, one label [0], the blank is 1, two time steps of equal probabilities
//!
//! alignments    0 0   0 blank   blank 0        3 of 4, so the loss is -ln 0.75 = 0.288
//! places        blank 0 blank                  start at place 0 or 1, end at place 1 or 2
//! ```

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::CastTo;
use session_core::{Error, Result};
use tensor::{Element, Tensor, memory};

/// Registers both versions of the loss, which differ in the class of the blank, and the decoder.
pub(crate) fn register(registry: &mut Registry) {
    for op_type in ["CTCLoss", "CTCLossV2"] {
        registry.add(op_type, |spec| {
            let rules = Rules::of(spec)?;
            for_dtype!(@arms spec.input_dtype(0), T => Ok(boxed(move |context| losses::<T>(context, rules))),
                Float32: f32, Float64: f64)
        });
    }
    registry.add("CTCGreedyDecoder", |spec| {
        let (merge, blank) = (spec.bool("merge_repeated")?, spec.int("blank_index")?);
        for_dtype!(@arms spec.input_dtype(0), T => Ok(boxed(move |context| decode::<T>(context, merge, blank))),
            Float32: f32, Float64: f64)
    });
}

/// The rules by which paths yield labels. The first three are attributes, the last one follows from the op
/// type.
#[derive(Clone, Copy)]
struct Rules {
    /// True to merge repeated labels before the loss is computed.
    collapse_labels: bool,
    /// True to merge repeated classes of a path.
    merge_repeated: bool,
    /// True to skip examples with more labels than time steps, instead of failing.
    ignore_longer: bool,
    /// True if the blank is the first class, otherwise it is the last.
    blank_first: bool,
}

impl Rules {
    /// Reads the attributes. They are read once, when the plan is compiled.
    fn of(spec: &NodeSpec<'_>) -> Result<Rules> {
        Ok(Rules {
            collapse_labels: spec.bool("preprocess_collapse_repeated")?,
            merge_repeated: spec.bool("ctc_merge_repeated")?,
            ignore_longer: spec.bool("ignore_longer_outputs_than_inputs")?,
            blank_first: spec.operation.op_type() == "CTCLossV2",
        })
    }
}

/// The sizes of the inputs, `[time, batch, classes]`, and the length of each sequence.
pub(super) struct Frames {
    /// The number of time steps.
    pub(super) time: usize,
    /// The number of examples.
    pub(super) batch: usize,
    /// The number of classes, the blank included.
    pub(super) classes: usize,
    /// The number of time steps of each example.
    pub(super) lengths: Vec<usize>,
}

impl Frames {
    /// Reads the sizes of the inputs, none of which may be 0. `lengths` is the number of the input with the
    /// lengths. Fails unless there is one from 0 to `time` for each example.
    pub(super) fn of(context: &KernelContext<'_>, lengths: usize) -> Result<Frames> {
        let &[time, batch, classes] = context.input(0).shape().dims() else {
            let text = format!("inputs must have 3 axes: {}", context.input(0).shape());
            return Err(Error::invalid_argument(text));
        };
        if context.input(0).elements() == 0 {
            let text = format!("inputs must not be empty, got shape {}", context.input(0).shape());
            return Err(Error::invalid_argument(text));
        }
        let length = |length: i64| {
            usize::try_from(length).ok().filter(|&length| length <= time).ok_or_else(|| {
                Error::invalid_argument(format!("sequence_length must be from 0 to {time}, not {length}"))
            })
        };
        let lengths: Vec<usize> = context.ints(lengths)?.into_iter().map(length).collect::<Result<_>>()?;
        if lengths.len() != batch {
            let text = format!("{} lengths were given for a batch of {batch}", lengths.len());
            return Err(Error::invalid_argument(text));
        }
        Ok(Frames { time, batch, classes, lengths })
    }

    /// Returns the place of the scores of one time step of one example. Its `classes` scores are contiguous.
    pub(super) fn row(&self, time: usize, example: usize) -> std::ops::Range<usize> {
        let start = (time * self.batch + example) * self.classes;
        start..start + self.classes
    }
}

/// Delivers the loss of each example and the gradient with respect to all logits. The sums are made in double
/// precision and rounded once.
fn losses<T: Element + CastTo<f64>>(context: &mut KernelContext<'_>, rules: Rules) -> Result<()>
where
    f64: CastTo<T>,
{
    let frames = Frames::of(context, 3)?;
    let blank = if rules.blank_first { 0 } else { frames.classes - 1 };
    // All labels are checked before the first recursion runs.
    let labels = labels(context, &frames, blank)?;
    if let Some(example) = labels.iter().position(|labels| !rules.blank_first && labels.is_empty()) {
        return Err(Error::invalid_argument(format!("example {example} has no labels")));
    }
    let mut inputs = memory::filled(0f64, context.input(0).elements())?;
    compute::elementwise::cast(context.pool(), context.slice::<T>(0)?, &mut inputs);
    let (mut found, mut gradient) =
        (memory::filled(0f64, frames.batch)?, memory::filled(0f64, inputs.len())?);
    for (example, labels) in labels.into_iter().enumerate() {
        let labels = if rules.collapse_labels { without_repeats(labels) } else { labels };
        let time = frames.lengths[example];
        // Equal neighbors need a blank between them, which takes a time step of its own. The first release of the
        // op counts labels alone, as TensorFlow does: without an alignment its loss is infinite.
        let apart = |pair: &&[usize]| rules.blank_first && rules.merge_repeated && pair[0] == pair[1];
        let repeats = labels.windows(2).filter(apart).count();
        if labels.len() + repeats > time {
            // Examples without time steps may be padding of the batch.
            if rules.ignore_longer || rules.blank_first && time == 0 {
                continue;
            }
            let text = format!(
                "example {example}: not enough time for its labels (required: {}, available: {time})",
                labels.len() + repeats
            );
            return Err(Error::invalid_argument(text));
        }
        // One row for each step of this example only; batches have steps beyond its length.
        let logs: Vec<Vec<f64>> =
            (0..time).map(|step| log_softmax(&inputs[frames.row(step, example)])).collect();
        let path = Path::new(&labels, blank, rules.merge_repeated);
        found[example] = path.loss(&logs, |step, class, value| {
            gradient[frames.row(step, example)][class] = value;
        });
    }
    let shape = context.input(0).shape().clone();
    context.produce::<T>(0, [frames.batch], |context, output| {
        compute::elementwise::cast(context.pool(), &found, output);
        Ok(())
    })?;
    context.produce::<T>(1, shape, |context, output| {
        compute::elementwise::cast(context.pool(), &gradient, output);
        Ok(())
    })
}

/// Returns the labels of each example, out of their sparse form in inputs 1 and 2, in the order of the
/// entries: positions within an example are not looked at. Fails for a label of an example that does not
/// exist, and for one that is no class or the blank.
fn labels(context: &KernelContext<'_>, frames: &Frames, blank: usize) -> Result<Vec<Vec<usize>>> {
    let (indices, values) = (context.slice::<i64>(1)?, context.slice::<i32>(2)?);
    if indices.len() != 2 * values.len() {
        let text =
            format!("{} labels need as many pairs of indices: {}", values.len(), context.input(1).shape());
        return Err(Error::invalid_argument(text));
    }
    let mut labels = memory::filled(Vec::new(), frames.batch)?;
    for (index, &value) in indices.chunks_exact(2).zip(values) {
        let row = usize::try_from(index[0]).ok().and_then(|row| labels.get_mut(row)).ok_or_else(|| {
            Error::invalid_argument(format!("a label is of example {}, of {}", index[0], frames.batch))
        })?;
        let class = usize::try_from(value)
            .ok()
            .filter(|&class| class < frames.classes && class != blank)
            .ok_or_else(|| {
                let text = format!(
                    "label {value} is not one of {} classes, or is the blank, {blank}",
                    frames.classes
                );
                Error::invalid_argument(text)
            })?;
        row.push(class);
    }
    Ok(labels)
}

/// Returns the labels with equal neighbors merged: `[1, 1, 2, 1]` becomes `[1, 2, 1]`.
fn without_repeats(mut labels: Vec<usize>) -> Vec<usize> {
    labels.dedup();
    labels
}

/// Returns the logarithms of the probabilities. The largest logit is subtracted first, so no exponential
/// overflows.
pub(super) fn log_softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|value| (value - max).exp()).sum();
    row.iter().map(|value| value - max - sum.ln()).collect()
}

/// Returns the logarithm of the sum of two numbers that are given by theirs. Minus infinity stands for 0.
fn log_add(a: f64, b: f64) -> f64 {
    // The larger one is factored out, so the exponential is at most 1.
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// The labels with a blank before, between and after them.
///
/// Labels `[a, b]` have the places `[blank, a, blank, b, blank]`; an alignment moves through them from left
/// to right, one or two at a time.
struct Path {
    /// The class of each place: labels at odd places, blanks at even ones.
    classes: Vec<usize>,
    /// The number of the blank.
    blank: usize,
    /// True to merge repeated classes.
    merge_repeated: bool,
}

impl Path {
    /// Inserts the blanks. Two labels make five places; no labels make one.
    ///
    /// `labels` are classes other than `blank`; `merge_repeated` is the attribute `ctc_merge_repeated`.
    fn new(labels: &[usize], blank: usize, merge_repeated: bool) -> Path {
        let mut classes = vec![blank; 2 * labels.len() + 1];
        classes.iter_mut().skip(1).step_by(2).zip(labels).for_each(|(class, &label)| *class = label);
        Path { classes, blank, merge_repeated }
    }

    /// Returns true if a frame may repeat the class of the one before. Without `merge_repeated` a repeated
    /// label is a second label.
    fn stays(&self, place: usize) -> bool {
        self.merge_repeated || self.classes[place] == self.blank
    }

    /// Returns true if the blank before a place may be left out. A step over it would merge equal labels, so
    /// they keep the blank between them.
    fn skips(&self, place: usize) -> bool {
        let class = self.classes[place];
        place > 1 && class != self.blank && !(self.merge_repeated && class == self.classes[place - 2])
    }

    /// Returns, for each frame and place, the logarithm of the probability of all beginnings of alignments
    /// that are at the place after that frame, the frame included. They start at the first blank or the first
    /// label.
    fn forward(&self, logs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut alphas: Vec<Vec<f64>> = Vec::with_capacity(logs.len());
        for (step, row) in logs.iter().enumerate() {
            let reach = |place: usize| match alphas.last() {
                None => {
                    if place < 2 {
                        0.0
                    } else {
                        f64::NEG_INFINITY
                    }
                }
                Some(before) => {
                    let stay = if self.stays(place) { before[place] } else { f64::NEG_INFINITY };
                    let next = if place > 0 { log_add(stay, before[place - 1]) } else { stay };
                    if self.skips(place) { log_add(next, before[place - 2]) } else { next }
                }
            };
            debug_assert!(step == alphas.len());
            let alpha =
                (0..self.classes.len()).map(|place| reach(place) + row[self.classes[place]]).collect();
            alphas.push(alpha);
        }
        alphas
    }

    /// Returns, for each frame and place, the logarithm of the probability of reaching the end from there,
    /// that frame not included. Alignments end at the last label or the last blank.
    fn backward(&self, logs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let count = self.classes.len();
        let last: Vec<f64> =
            (0..count).map(|place| if place + 2 >= count { 0.0 } else { f64::NEG_INFINITY }).collect();
        let mut betas = vec![last];
        for row in logs.iter().skip(1).rev() {
            let after = &betas[betas.len() - 1];
            let from = |place: usize| after[place] + row[self.classes[place]];
            let reach = |place: usize| {
                let stay = if self.stays(place) { from(place) } else { f64::NEG_INFINITY };
                let next = if place + 1 < count { log_add(stay, from(place + 1)) } else { stay };
                // The rule is that of the place that is reached.
                let skip = place + 2 < count && self.skips(place + 2);
                if skip { log_add(next, from(place + 2)) } else { next }
            };
            let beta = (0..count).map(reach).collect();
            betas.push(beta);
        }
        betas.reverse();
        betas
    }

    /// Returns the loss; its gradient for the unnormalized input of each frame and class goes to `gradient`.
    /// `logs[step][class]` are logarithms of probabilities, `gradient(step, class, value)` is called once for
    /// each. If no alignment is possible, the loss is infinite and the gradient that of the softmax alone.
    fn loss(&self, logs: &[Vec<f64>], mut gradient: impl FnMut(usize, usize, f64)) -> f64 {
        let Some(first) = logs.first() else { return 0.0 };
        let (alphas, betas) = (self.forward(logs), self.backward(logs));
        // Forward times backward at any frame is the probability of the labels; the first frame serves.
        let total = alphas[0].iter().zip(&betas[0]).map(|(a, b)| a + b).fold(f64::NEG_INFINITY, log_add);
        let mut shares = vec![f64::NEG_INFINITY; first.len()];
        for (step, row) in logs.iter().enumerate() {
            shares.fill(f64::NEG_INFINITY);
            for (place, &class) in self.classes.iter().enumerate() {
                shares[class] = log_add(shares[class], alphas[step][place] + betas[step][place]);
            }
            for (class, (log, share)) in row.iter().zip(&shares).enumerate() {
                let posterior = if total == f64::NEG_INFINITY { 0.0 } else { (share - total).exp() };
                gradient(step, class, log.exp() - posterior);
            }
        }
        -total
    }
}

/// Delivers the most likely class of each frame in sparse form, with repeats merged if requested and without
/// blanks, and the negated sums of their logits.
fn decode<T: Element + PartialOrd + CastTo<f64>>(
    context: &mut KernelContext<'_>,
    merge: bool,
    blank: i64,
) -> Result<()>
where
    f64: CastTo<T>,
{
    let frames = Frames::of(context, 1)?;
    let blank = if blank < 0 { blank + frames.classes as i64 } else { blank };
    let mut inputs = memory::filled(0f64, context.input(0).elements())?;
    compute::elementwise::cast(context.pool(), context.slice::<T>(0)?, &mut inputs);
    let (mut indices, mut values, mut sums) = (Vec::new(), Vec::new(), memory::filled(0f64, frames.batch)?);
    let mut longest = 0;
    for example in 0..frames.batch {
        let (mut before, mut count) = (None, 0);
        for step in 0..frames.lengths[example].min(frames.time) {
            let (class, value) = largest(&inputs[frames.row(step, example)]);
            sums[example] -= value;
            if class != blank && !(merge && before == Some(class)) {
                indices.extend([example as i64, count]);
                values.push(class);
                count += 1;
            }
            // A blank between two equal classes keeps both, as it is the class before the second.
            before = Some(class);
        }
        longest = longest.max(count);
    }
    context.set(0, Tensor::from_vec(indices, [values.len(), 2])?);
    context.set(1, Tensor::from(values));
    context.set(2, Tensor::from([frames.batch as i64, longest]));
    context.produce::<T>(3, [frames.batch, 1], |context, output| {
        compute::elementwise::cast(context.pool(), &sums, output);
        Ok(())
    })
}

/// Returns the first of the largest elements, and its value. A row that begins with NaN has the class 0 and
/// NaN.
fn largest(row: &[f64]) -> (i64, f64) {
    row.iter().enumerate().fold(
        (0, row[0]),
        |best, (class, &value)| {
            if value > best.1 { (class as i64, value) } else { best }
        },
    )
}
