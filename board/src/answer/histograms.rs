//! Histograms over steps.
//!
//! The histograms of a tag are read from the event files and brought into common bins, so that the page can draw them
//! as one surface.

use super::{Answer, Query};
use crate::Error;
use crate::board::Board;
use crate::histogram::Buckets;
use crate::series::number;
use serde_json::json;
use summary::TagKind;

/// The default number of histograms in an answer.
const USUAL: usize = 40;
/// The maximum number of histograms in an answer.
const MOST: usize = 200;
/// The number of bins of each histogram.
const BINS: usize = 60;

impl Board {
    /// Answers `/api/histograms`: histograms of one tag of a run, `count` of them evenly spread over the steps. All
    /// have the same bins, which reach from the smallest to the largest value of all.
    pub(super) fn histograms(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let count = query.number("count")?.unwrap_or(USUAL).min(MOST);
        let (places, total) = self.places(query, TagKind::Histogram, count)?;
        let mut shown = Vec::with_capacity(places.len());
        for place in &places {
            if let Some(buckets) = Buckets::of(&self.value_at(query, place)?) {
                shown.push((place, buckets));
            }
        }
        // A histogram without values has no ends that could count.
        let ends = shown.iter().map(|(_, buckets)| buckets).filter(|buckets| buckets.count > 0.0);
        let from = ends.clone().map(|buckets| buckets.min).filter(|end| end.is_finite());
        let to = ends.map(|buckets| buckets.max).filter(|end| end.is_finite());
        let (from, to) = (from.fold(f64::INFINITY, f64::min), to.fold(f64::NEG_INFINITY, f64::max));
        // Without a finite end, as when there are no histograms, the axis is empty.
        let (from, to) = if from <= to { (from, to) } else { (0.0, 0.0) };
        let rows = shown.iter().map(|(place, buckets)| {
            json!({
                "step": place.step, "wall": place.wall, "counts": buckets.rebinned(from, to, BINS),
                "min": number(buckets.min), "max": number(buckets.max), "count": number(buckets.count),
                "mean": buckets.mean.map(number),
            })
        });
        let rows: Vec<_> = rows.collect();
        Answer::json(&json!({"from": from, "to": to, "total": total, "histograms": rows}))
    }
}
