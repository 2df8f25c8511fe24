//! The points of curves, thinned to what a chart can show.
//!
//! A chart is about a thousand pixels wide, so more points cannot be seen. The limit applies to each curve, and a
//! second one to the whole answer: with a thousand runs, each gets fewer points. After a zoom the page asks for the
//! visible range, and gets it in full resolution as far as the points are in memory.

use super::{Answer, Query};
use crate::Error;
use crate::board::Board;
use crate::series::{Axis, Numbers, View};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

/// The default number of points of a curve.
const USUAL_POINTS: usize = 1000;
/// The maximum number of points of all curves of an answer.
const MOST_POINTS: usize = 200_000;

/// The curves of an answer by run. They are serialized without an intermediate JSON value, because there may be
/// hundreds of thousands of points.
struct Curves(Vec<(String, View)>);

/// One curve, as parallel arrays of steps, times and values.
struct Curve<'a>(&'a View);

impl Serialize for Curves {
    /// Writes an object with a curve for each run.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (run, view) in &self.0 {
            map.serialize_entry(run, &Curve(view))?;
        }
        map.end()
    }
}

impl Serialize for Curve<'_> {
    /// Writes `steps`, `walls` and `values` of equal length, then `total` and `sampled`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let points = self.0.points.iter();
        let steps: Vec<i64> = points.clone().map(|point| point.step).collect();
        let mut curve = serializer.serialize_struct("Curve", 5)?;
        curve.serialize_field("steps", &steps)?;
        curve.serialize_field("walls", &Numbers(points.clone().map(|point| point.wall)))?;
        curve.serialize_field("values", &Numbers(points.map(|point| point.value)))?;
        curve.serialize_field("total", &self.0.total)?;
        curve.serialize_field("sampled", &self.0.sampled)?;
        curve.end()
    }
}

impl Board {
    /// Answers `/api/scalars`: the points of one tag of all runs, or of one `run`. There are at most `points` of
    /// each, between `from` and `to` on the `axis` (`step` or `wall`).
    pub(super) fn scalars(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let (tag, only) = (query.need("tag")?, query.get("run"));
        let axis = match query.get("axis") {
            None | Some("step") => Axis::Step,
            Some("wall") => Axis::Wall,
            Some(other) => {
                return Err(Error::Request(format!("there is no axis '{other}'; use step or wall")));
            }
        };
        let range = query.number("from")?.zip(query.number("to")?);
        let runs = self.all();
        let runs = runs.iter().filter(|shown| only.is_none_or(|only| only == shown.found.name));
        // The number of curves is needed first: it divides the limit of the answer.
        let runs: Vec<_> = runs.filter(|shown| shown.run().series(tag).is_some()).collect();
        if runs.is_empty() {
            // An unknown tag and one without numbers look the same to the page, which lists only tags with
            // numbers.
            return Err(Error::NotFound(format!("there are no numbers with the tag '{tag}'")));
        }
        let limit = query.number("points")?.unwrap_or(USUAL_POINTS).min(MOST_POINTS / runs.len());
        let mut curves = Vec::with_capacity(runs.len());
        for shown in runs {
            // One run at a time: readers continue meanwhile.
            if let Some(series) = shown.run().series(tag) {
                curves.push((shown.found.name.clone(), series.view(axis, range, limit)));
            }
        }
        Answer::json(&Curves(curves))
    }
}
