//! The choice of boxes that do not overlap better ones.
//!
//! # Semantics
//!
//! Boxes are considered from the highest score on. A box is selected if its overlap (intersection over union) with no
//! selected box exceeds `iou_threshold`. Corners may be given in any order. Later versions add a lowest score (V3),
//! padding to the maximum number (V4), and soft suppression (V5), which reduces scores by a Gaussian of the overlap
//! instead of removing boxes. `CombinedNonMaxSuppression` works on each class separately and merges the results of a
//! batch.

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::widened::widened;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use tensor::{DType, Tensor, memory};

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
    /// The width of soft suppression. If above 0, an overlap reduces the score of a box instead of removing it.
    sigma: f32,
}

impl Thresholds {
    fn new(overlap: f32) -> Result<Thresholds> {
        if (0.0..=1.0).contains(&overlap) {
            return Ok(Thresholds { overlap, score: f32::MIN, sigma: 0.0 });
        }
        Err(Error::invalid_argument(format!("iou_threshold must be in [0, 1], got {overlap}")))
    }

    fn score(self, score: f32) -> Thresholds {
        Thresholds { score, ..self }
    }
}

fn number(context: &KernelContext<'_>, input: usize) -> Result<f32> {
    Ok(context.input(input).value::<f32>()?)
}

fn count(context: &KernelContext<'_>, input: usize) -> Result<usize> {
    let count = context.int(input)?;
    usize::try_from(count)
        .map_err(|_| Error::invalid_argument(format!("max_output_size must be non-negative, got {count}")))
}

/// A box that may be chosen.
#[derive(Clone, Copy, PartialEq)]
struct Candidate {
    score: f32,
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

/// Selects up to `most` boxes, the best first, and returns the index and score of each.
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
            } else if overlap > thresholds.overlap {
                continue 'candidates;
            }
            if candidate.score <= thresholds.score {
                continue 'candidates;
            }
        }
        candidate.compared = chosen.len();
        if candidate.score == before {
            chosen.push((candidate.index, candidate.score));
        } else {
            candidates.push(candidate);
        }
    }
    Ok(chosen)
}

/// Intersection over union of two boxes, whose corners may be any two opposite ones.
fn overlap(a: &[f32], b: &[f32]) -> f32 {
    let ordered = |b: &[f32]| [b[0].min(b[2]), b[1].min(b[3]), b[0].max(b[2]), b[1].max(b[3])];
    let area = |b: [f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let (a, b) = (ordered(a), ordered(b));
    if area(a) <= 0.0 || area(b) <= 0.0 {
        return 0.0;
    }
    let height = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let width = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    height * width / (area(a) + area(b) - height * width)
}

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

fn indices(context: &mut KernelContext<'_>, found: &[(usize, f32)]) -> Result<()> {
    let indices = memory::collected(found.iter().map(|&(index, _)| index as i32))?;
    context.set(0, Tensor::from(indices));
    Ok(())
}

/// Returns the kernel that also counts, and may fill up to the largest number.
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

/// The best boxes over all classes of each image.
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
    let total = if pad { each.saturating_mul(classes).min(total) } else { total };
    let rows = batch.saturating_mul(total);
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
