//! The choice of boxes that do not overlap better ones.
//!
//! # Semantics
//!
//! - `NonMaxSuppression` takes `boxes` `[n, 4]`, `scores` `[n]` and `max_output_size` and returns indices
//!   `[m]` as `int32`; `iou_threshold` is an attribute.
//! - V2 has `iou_threshold` as an input.
//! - V3 adds the input `score_threshold`.
//! - V4 returns the number of valid indices, too.
//! - V5 adds the input `soft_nms_sigma` and returns indices, their scores, and the number.
//! - `NonMaxSuppressionWithOverlaps` takes `overlaps` `[n, n]` instead of boxes, `scores`, `max_output_size`
//!   and both thresholds, and returns indices `[m]`.
//! - `CombinedNonMaxSuppression` takes `boxes` `[batch, n, 1 or classes, 4]`, `scores` `[batch, n, classes]`,
//!   two maximum sizes and two thresholds, and returns boxes, scores, classes, and their number for each
//!   image.
//!
//! Boxes are considered from the highest score on; of equal scores the lower index comes first. A box is
//! selected if its overlap (intersection over union) with no selected box exceeds `iou_threshold`, and its
//! score is above `score_threshold`. Corners may be given in any order; a box without area overlaps nothing,
//! and one whose first corner has NaN overlaps every box with an area. Scores that are NaN are never selected.
//!
//! `pad_to_max_output_size` (V4, V5) fills the indices with zeros. Soft suppression multiplies scores by
//! `e^(-overlap^2 / (2 sigma))` for each selected box instead of removing boxes; a sigma of 0 is the hard
//! form.
//!
//! `CombinedNonMaxSuppression` works on each class separately, selects at most `max_output_size_per_class` of
//! each, and merges the best `max_total_size` of an image. Missing ones are zeros; with `pad_per_class` there
//! are at most as many as classes times their maximum. `clip_boxes` (default true) limits the coordinates to
//! \[0, 1\].
//!
//! Thresholds of overlap outside of \[0, 1\], negative sizes and shapes that do not fit are
//! `InvalidArgument`. `float16` is computed in `float32`.
//!
//! # Algorithm
//!
//! A heap of candidates, each compared with the selected boxes: `n log n` steps and at most `n m` overlaps,
//! in one thread. Each candidate remembers how many selected boxes it has been compared with, so that soft
//! suppression compares each pair once.
//!
//! ```text
//! boxes  0: [0, 0, 1, 1]   1: [0, 0, 1, 0.9]   2: [2, 2, 3, 3]      scores 0.9, 0.8, 0.7
//! overlap of 0 and 1: 0.9
//!
//! V3, iou_threshold 0.5                  [0, 2]          1 overlaps 0 too much
//! V5, the same, soft_nms_sigma 0.5       [0, 2, 1]       1 keeps 0.8 e^-0.81 = 0.356
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::{boxed, greater, lesser};
use crate::kernels::widened::widened;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use tensor::{DType, Tensor, memory};

/// Registers the op types. Later versions add inputs behind those of the earlier ones, so the numbers of the
/// inputs are common to all.
pub(super) fn register(registry: &mut Registry) {
    registry.add("NonMaxSuppression", |spec| {
        let overlap = spec.float("iou_threshold")?;
        Ok(boxed(move |context| {
            let found = of_boxes(context, Thresholds::new(overlap)?)?;
            indices(context, &found)
        }))
    });
    registry.add("NonMaxSuppressionV2", |spec| {
        halves(
            spec,
            boxed(|context| {
                let thresholds = Thresholds::new(number(context, 3)?)?;
                let found = of_boxes(context, thresholds)?;
                indices(context, &found)
            }),
        )
    });
    registry.add("NonMaxSuppressionV3", |spec| {
        halves(
            spec,
            boxed(|context| {
                let thresholds = Thresholds::new(number(context, 3)?)?.score(number(context, 4)?);
                let found = of_boxes(context, thresholds)?;
                indices(context, &found)
            }),
        )
    });
    registry.add("NonMaxSuppressionV4", |spec| padded(spec, false));
    registry.add("NonMaxSuppressionV5", |spec| padded(spec, true));
    registry.add("NonMaxSuppressionWithOverlaps", |_| Ok(boxed(of_overlaps)));
    registry.add("CombinedNonMaxSuppression", |spec| {
        let (pad, clip) = (spec.bool("pad_per_class")?, spec.bool("clip_boxes")?);
        Ok(boxed(move |context| combined(context, pad, clip)))
    });
}

/// Returns the kernel for boxes, scores or thresholds of 16 bits.
///
/// Both attributes are looked at, since boxes and thresholds have dtypes of their own in later versions.
fn halves(spec: &NodeSpec<'_>, kernel: Box<dyn Kernel>) -> Result<Box<dyn Kernel>> {
    let narrow =
        ["T", "T_threshold"].iter().any(|name| spec.dtype(name).is_ok_and(|dtype| dtype == DType::Float16));
    Ok(if narrow { widened(spec, kernel) } else { kernel })
}

/// The conditions under which a box is not chosen.
#[derive(Clone, Copy)]
struct Thresholds {
    /// The largest overlap with a box that was chosen before.
    overlap: f32,
    /// Scores must be above it.
    score: f32,
    /// The width of soft suppression. If above 0, an overlap reduces the score of a box instead of removing
    /// it.
    sigma: f32,
}

impl Thresholds {
    /// Returns the hard form without a lowest score. Fails for an overlap outside of \[0, 1\].
    fn new(overlap: f32) -> Result<Thresholds> {
        if (0.0..=1.0).contains(&overlap) {
            return Ok(Thresholds { overlap, score: f32::MIN, sigma: 0.0 });
        }
        Err(Error::invalid_argument(format!("iou_threshold must be in [0, 1], got {overlap}")))
    }

    /// Sets the lowest score.
    fn score(self, score: f32) -> Thresholds {
        Thresholds { score, ..self }
    }
}

/// Returns the scalar in an input.
fn number(context: &KernelContext<'_>, input: usize) -> Result<f32> {
    Ok(context.input(input).value::<f32>()?)
}

/// Returns the size in an input. Fails for a negative one.
fn count(context: &KernelContext<'_>, input: usize) -> Result<usize> {
    let count = context.int(input)?;
    usize::try_from(count)
        .map_err(|_| Error::invalid_argument(format!("max_output_size must be non-negative, got {count}")))
}

/// A box that may be chosen, with its score after the suppression so far.
#[derive(Clone, Copy, PartialEq)]
struct Candidate {
    /// The current score. It is never NaN, as NaN is above no threshold.
    score: f32,
    /// The number of the box.
    index: usize,
    /// The number of chosen boxes that it has been compared with.
    compared: usize,
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The better score comes first, then the lower index.
impl Ord for Candidate {
    fn cmp(&self, other: &Candidate) -> Ordering {
        let scores = self.score.partial_cmp(&other.score).unwrap_or(Ordering::Equal);
        scores.then(other.index.cmp(&self.index))
    }
}

/// Selects up to `most` boxes, the best first, and returns the index and score of each. `overlap(a, b)`
/// returns the overlap of two boxes. At most `most` boxes are returned, fewer if scores run out. Fails if the
/// run is ended.
///
/// `scores` has one for each box; `thresholds` states the hard or the soft form.
fn choose(
    context: &KernelContext<'_>,
    scores: &[f32],
    most: usize,
    thresholds: Thresholds,
    overlap: impl Fn(usize, usize) -> f32,
) -> Result<Vec<(usize, f32)>> {
    let kept = |(index, &score): (usize, &f32)| {
        (score > thresholds.score).then_some(Candidate { score, index, compared: 0 })
    };
    // A heap, as usually only some of the boxes are looked at before enough are chosen.
    let mut candidates: BinaryHeap<Candidate> = scores.iter().enumerate().filter_map(kept).collect();
    let mut chosen: Vec<(usize, f32)> = Vec::new();
    let (soft, mut watch) = (thresholds.sigma > 0.0, context.watch());
    'candidates: while chosen.len() < most.min(scores.len()) {
        let Some(mut candidate) = candidates.pop() else { break };
        let before = candidate.score;
        // Boxes that overlap have similar scores, so the last chosen ones come first.
        for &(other, _) in chosen[candidate.compared..].iter().rev() {
            watch.tick(1)?;
            let overlap = overlap(candidate.index, other);
            if soft {
                candidate.score *= (-0.5 / thresholds.sigma * overlap * overlap).exp();
            }
            // The overlap of a box with NaN is NaN, which is not within the threshold and gives no score
            // above the other.
            let (is_within, is_above) = (overlap <= thresholds.overlap, candidate.score > thresholds.score);
            if !is_above || !soft && !is_within {
                continue 'candidates;
            }
        }
        // Boxes chosen later are compared when the candidate comes up again.
        candidate.compared = chosen.len();
        // Nothing has reduced the score, so no other candidate is better; otherwise the box goes back to its
        // new place in the heap.
        if candidate.score == before {
            chosen.push((candidate.index, candidate.score));
        } else {
            candidates.push(candidate);
        }
    }
    Ok(chosen)
}

/// Returns intersection over union of two boxes `[y1, x1, y2, x2]`, whose corners may be any two opposite
/// ones. A box without area has none. `[0, 0, 1, 1]` and `[0, 0, 1, 0.9]` have an overlap of 0.9.
fn overlap(a: &[f32], b: &[f32]) -> f32 {
    // A second corner of NaN counts as the first one; a first corner of NaN makes the area NaN.
    let ordered =
        |b: &[f32]| [lesser(b[0], b[2]), lesser(b[1], b[3]), greater(b[0], b[2]), greater(b[1], b[3])];
    let area = |b: [f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let (a, b) = (ordered(a), ordered(b));
    let areas = [area(a), area(b)];
    // The union might be 0, and the quotient NaN.
    if areas.iter().any(|&area| area <= 0.0) {
        return 0.0;
    }
    let height = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let width = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    height * width / (areas[0] + areas[1] - height * width)
}

/// Selects among the boxes of input 0 by the scores of input 1, at most as many as input 2 says.
fn of_boxes(context: &KernelContext<'_>, thresholds: Thresholds) -> Result<Vec<(usize, f32)>> {
    let (shape, given) = (context.input(0).shape(), context.input(1).shape());
    match (shape.dims(), given.dims()) {
        (&[boxes, 4], &[scores]) if boxes == scores => {}
        _ => {
            let text = format!("boxes must have shape [n,4] and scores [n], not {shape} and {given}");
            return Err(Error::invalid_argument(text));
        }
    }
    let boxes = context.slice::<f32>(0)?;
    let overlap = |a: usize, b: usize| overlap(&boxes[4 * a..][..4], &boxes[4 * b..][..4]);
    choose(context, context.slice::<f32>(1)?, count(context, 2)?, thresholds, overlap)
}

/// Delivers the indices of the selected boxes as output 0.
fn indices(context: &mut KernelContext<'_>, found: &[(usize, f32)]) -> Result<()> {
    let indices = memory::collected(found.iter().map(|&(index, _)| index as i32))?;
    context.set(0, Tensor::from(indices));
    Ok(())
}

/// Returns the kernel that also counts, and may fill up to the largest number. Output 0 are the indices, the
/// last output their number before the padding; with `scored`, the form V5, output 1 are the scores.
fn padded(spec: &NodeSpec<'_>, scored: bool) -> Result<Box<dyn Kernel>> {
    let pad = spec.bool("pad_to_max_output_size")?;
    let kernel = move |context: &mut KernelContext<'_>| {
        let mut thresholds = Thresholds::new(number(context, 3)?)?.score(number(context, 4)?);
        if scored {
            thresholds.sigma = number(context, 5)?;
            if thresholds.sigma < 0.0 {
                let text = format!("soft_nms_sigma must be >= 0, got {}", thresholds.sigma);
                return Err(Error::invalid_argument(text));
            }
        }
        let mut found = of_boxes(context, thresholds)?;
        let valid = found.len();
        if pad {
            memory::resize(&mut found, count(context, 2)?, (0, 0.0))?;
        }
        indices(context, &found)?;
        if scored {
            let scores = memory::collected(found.iter().map(|&(_, score)| score))?;
            context.set(1, Tensor::from(scores));
        }
        context.set(1 + usize::from(scored), Tensor::scalar(valid as i32));
        Ok(())
    };
    halves(spec, boxed(kernel))
}

/// Selects by a matrix of overlaps of any kind, which need not be below 1, so the threshold is not checked.
fn of_overlaps(context: &mut KernelContext<'_>) -> Result<()> {
    let (shape, given) = (context.input(0).shape(), context.input(1).shape());
    let boxes = match (shape.dims(), given.dims()) {
        (&[rows, columns], &[scores]) if rows == columns && rows == scores => rows,
        _ => {
            let text = format!("overlaps must have shape [n,n] and scores [n], not {shape} and {given}");
            return Err(Error::invalid_argument(text));
        }
    };
    let thresholds = Thresholds { overlap: number(context, 3)?, score: number(context, 4)?, sigma: 0.0 };
    let overlaps = context.slice::<f32>(0)?;
    let overlap = |a: usize, b: usize| overlaps[a * boxes + b];
    let found = choose(context, context.slice::<f32>(1)?, count(context, 2)?, thresholds, overlap)?;
    indices(context, &found)
}

/// Delivers the best boxes over all classes of each image, their scores, classes and number.
///
/// Inputs are boxes, scores, the maximum for each class, that for an image, and both thresholds. Boxes of one
/// kind serve all classes.
fn combined(context: &mut KernelContext<'_>, pad: bool, clip: bool) -> Result<()> {
    let (shape, given) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    let (batch, boxes, kinds, classes) = match (shape.dims(), given.dims()) {
        (&[batch, boxes, kinds, 4], &[other, scored, classes])
            if batch == other && boxes == scored && (kinds == 1 || kinds == classes) =>
        {
            (batch, boxes, kinds, classes)
        }
        _ => {
            let text = format!(
                "boxes must have shape [batch,n,1 or classes,4] and scores [batch,n,classes], not {shape} and {given}"
            );
            return Err(Error::invalid_argument(text));
        }
    };
    let each = count(context, 2)?;
    let total = usize::try_from(context.int(3)?)
        .ok()
        .filter(|&total| total > 0)
        .ok_or_else(|| Error::invalid_argument("max_total_size must be > 0"))?;
    let thresholds = Thresholds::new(number(context, 4)?)?.score(number(context, 5)?);
    // Without `pad_per_class` the result has its full size even if there are fewer boxes.
    let total = if pad { each.saturating_mul(classes).min(total) } else { total };
    let rows = batch.saturating_mul(total);
    // The largest of the vectors below, which is checked before any of them is made.
    memory::check(rows.saturating_mul(16))?;
    let (mut best_boxes, mut best_scores) =
        (memory::filled(0f32, rows.saturating_mul(4))?, memory::filled(0f32, rows)?);
    let (mut best_classes, mut valid) = (memory::filled(0f32, rows)?, memory::filled(0i32, batch)?);
    let (corners, scores) = (context.slice::<f32>(0)?, context.slice::<f32>(1)?);
    for image in 0..batch {
        let corner = |index: usize, class: usize| {
            let kind = if kinds == 1 { 0 } else { class };
            &corners[((image * boxes + index) * kinds + kind) * 4..][..4]
        };
        let mut found = Vec::new();
        for class in 0..classes {
            let of_class = (0..boxes).map(|index| scores[(image * boxes + index) * classes + class]);
            let of_class = memory::collected(of_class)?;
            let overlap = |a: usize, b: usize| overlap(corner(a, class), corner(b, class));
            let chosen = choose(context, &of_class, each, thresholds, overlap)?;
            found.extend(chosen.into_iter().map(|(index, score)| (score, class, index)));
        }
        // Stable: of equal scores the lower class comes first, and within it the earlier choice.
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(total);
        valid[image] = found.len() as i32;
        for (at, (score, class, index)) in (image * total..).zip(found) {
            best_scores[at] = score;
            best_classes[at] = class as f32;
            for (to, &from) in best_boxes[4 * at..][..4].iter_mut().zip(corner(index, class)) {
                *to = if clip { from.clamp(0.0, 1.0) } else { from };
            }
        }
    }
    context.set(0, Tensor::from_vec(best_boxes, [batch, total, 4])?);
    context.set(1, Tensor::from_vec(best_scores, [batch, total])?);
    context.set(2, Tensor::from_vec(best_classes, [batch, total])?);
    context.set(3, Tensor::from(valid));
    Ok(())
}
