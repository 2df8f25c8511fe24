//! The numbers of one tag of one run, in bounded memory.
//!
//! All points are kept until the memory of all runs reaches its limit. The longest series are then thinned to the extremes of groups of
//! neighbors, so that no peak disappears.
//!
//! # Limits
//!
//! When the values of all runs exceed a limit, [`Board`](crate::Board) halves the largest series of the largest run
//! until they are below it. A halved series keeps two points of each group, and groups double with each halving; a
//! series of `n` points that was halved `k` times has about `n / 2^k` points. The time of a halving is linear in the
//! kept points, so that of all halvings of a series is linear in its points.
//!
//! # Restarts
//!
//! A resumed run repeats steps after its checkpoint. The points of the interrupted run from the first repeated step
//! on are dropped, which keeps steps in increasing order. Several writers may still interleave theirs, so a request
//! for a range sorts the points first.

use serde::ser::{Serialize, SerializeSeq, Serializer};

/// A number at a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// The training step.
    pub(crate) step: i64,
    /// The time of the event, in seconds since 1970.
    pub(crate) wall: f64,
    /// The number. NaN and infinities are kept, because they are what a reader looks for.
    pub(crate) value: f64,
}

/// Points in the order of the files. All of them are kept until memory runs short; then [`halve`](Series::halve) keeps the
/// extremes of groups, so that no peak is lost.
#[derive(Debug)]
pub(crate) struct Series {
    /// The kept points of full groups, in the order of the files.
    points: Vec<Point>,
    /// The kept points of the group that is not full yet.
    open: Vec<Point>,
    /// The number of points of that group, kept or not.
    gathered: usize,
    /// The number of points of which two are kept; 2 keeps all.
    group: usize,
    /// The number of points that were read and not purged, as far as it is known after points were dropped.
    total: u64,
}

impl Default for Series {
    /// Returns an empty series, which keeps all points until it is halved for the first time.
    fn default() -> Series {
        Series { points: Vec::new(), open: Vec::new(), gathered: 0, group: 2, total: 0 }
    }
}

/// The points of a series that are to be shown.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct View {
    /// The points: in the order of the axis for a range, otherwise in the order of the files.
    pub(crate) points: Vec<Point>,
    /// The number of points of the whole series in the files.
    pub(crate) total: u64,
    /// True if some points of the range are left out.
    pub(crate) sampled: bool,
}

/// The quantity on the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// The training step.
    Step,
    /// The time, in seconds since 1970. Two restarted runs overlap on the axis of steps, but not on this one.
    Wall,
}

impl Axis {
    /// Returns the coordinate of a point.
    fn of(self, point: &Point) -> f64 {
        match self {
            Axis::Step => point.step as f64,
            Axis::Wall => point.wall,
        }
    }
}

impl Series {
    /// Adds a point. After [`halve`](Series::halve), points collect in an open group first, of which two are kept.
    pub(crate) fn push(&mut self, point: Point) {
        self.total += 1;
        if self.group == 2 {
            if self.points.len() == self.points.capacity() {
                // An eighth more at a time: doubling would take twice the memory of what is kept.
                self.points.reserve_exact((self.points.len() / 8).max(64));
            }
            self.points.push(point);
            return;
        }
        self.open.push(point);
        self.gathered += 1;
        if self.gathered >= self.group {
            extremes(&self.open, &mut self.points);
            self.open.clear();
            self.gathered = 0;
        }
    }

    /// Returns the number of points in memory.
    pub(crate) fn kept(&self) -> usize {
        self.points.len() + self.open.len()
    }

    /// Keeps half of the points.
    ///
    /// Later points are reduced by the same factor, so old and new parts of a curve have the same resolution. Two
    /// points of every four are kept: the extremes of each group, so a single peak survives any number of halvings.
    ///
    /// The open group is reduced as well, since it can be most of the series. Its extremes remain, so they are found
    /// when the group is full.
    pub(crate) fn halve(&mut self) {
        self.group = self.group.saturating_mul(2);
        let mut kept = Vec::with_capacity(self.points.len() / 2 + 2);
        if let Some((first, rest)) = self.points.split_first() {
            // Curves keep their beginning.
            kept.push(*first);
            rest.chunks(4).for_each(|group| extremes(group, &mut kept));
        }
        self.points = kept;
        let mut kept = Vec::with_capacity(self.open.len() / 2 + 2);
        if let Some((last, rest)) = self.open.split_last() {
            rest.chunks(4).for_each(|group| extremes(group, &mut kept));
            // Curves end at the last point that was read.
            kept.push(*last);
        }
        self.open = kept;
    }

    /// Drops the points of this step and later ones.
    ///
    /// After halvings the number of dropped points is an estimate: each kept point represents half a group.
    pub(crate) fn drop_from(&mut self, first: i64) {
        let (points, open, gathered) = (self.points.len(), self.open.len(), self.gathered);
        self.points.retain(|point| point.step < first);
        self.open.retain(|point| point.step < first);
        // Each kept point of the open group represents an equal part of the gathered ones.
        self.gathered = match open {
            0 => 0,
            open => (gathered as u128 * self.open.len() as u128 / open as u128) as usize,
        };
        let dropped = (points - self.points.len()).saturating_mul(self.group / 2);
        let dropped = dropped.saturating_add(gathered - self.gathered);
        self.total = self.total.saturating_sub(dropped as u64).max(self.kept() as u64);
    }

    /// Returns the number of points in the files, without those that restarts replaced.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Iterates over all kept points, including those of the open group.
    fn iter(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().chain(&self.open)
    }

    /// Returns the last point that was read.
    pub(crate) fn last(&self) -> Option<&Point> {
        self.open.last().or_else(|| self.points.last())
    }

    /// Returns the first kept point.
    pub(crate) fn first(&self) -> Option<&Point> {
        self.points.first().or_else(|| self.open.first())
    }

    /// Returns at most about `limit` points of a range: all points, or the extremes of groups of equal size. The points next
    /// to the range belong to it, so that lines extend to the edges.
    pub(crate) fn view(&self, axis: Axis, range: Option<(f64, f64)>, limit: usize) -> View {
        let inside: Vec<Point> = match range {
            None => self.iter().copied().collect(),
            Some((from, to)) => {
                let mut points: Vec<Point> = self.iter().copied().collect();
                points.sort_by(|a, b| axis.of(a).total_cmp(&axis.of(b)));
                let first = points.partition_point(|point| axis.of(point) < from).saturating_sub(1);
                let end = (points.partition_point(|point| axis.of(point) <= to) + 1).min(points.len());
                points.drain(..first.min(end));
                points.truncate(end - first.min(end));
                points
            }
        };
        let sampled = self.group > 2 || inside.len() > limit;
        View { points: sample(inside, limit), total: self.total, sampled }
    }
}

/// Keeps the extremes of groups of neighbors where there are more points than wanted; the first and the last point always.
fn sample(points: Vec<Point>, limit: usize) -> Vec<Point> {
    let limit = limit.max(8);
    if points.len() <= limit {
        return points;
    }
    let (inner, groups) = (&points[1..points.len() - 1], (limit - 2) / 2);
    let mut kept = Vec::with_capacity(limit + 2);
    kept.push(points[0]);
    for group in 0..groups {
        let (from, to) = (group * inner.len() / groups, (group + 1) * inner.len() / groups);
        extremes(&inner[from..to], &mut kept);
    }
    kept.extend(points.last());
    kept
}

/// Adds the smallest and the largest of a group in their order; where some are not finite, also the first of these, in
/// place of the smallest.
fn extremes(group: &[Point], kept: &mut Vec<Point>) {
    if group.len() <= 2 {
        kept.extend_from_slice(group);
        return;
    }
    let (mut least, mut most, mut odd) = (None, None, None);
    for (index, point) in group.iter().enumerate() {
        if !point.value.is_finite() {
            odd.get_or_insert(index);
            continue;
        }
        if least.is_none_or(|least: usize| point.value < group[least].value) {
            least = Some(index);
        }
        if most.is_none_or(|most: usize| point.value > group[most].value) {
            most = Some(index);
        }
    }
    // Of a constant group the first and the last.
    let most = most.or(odd).unwrap_or(0);
    let other = odd.or(least).unwrap_or(0);
    let other = if other == most { group.len() - 1 } else { other };
    let (first, second) = (other.min(most), other.max(most));
    kept.push(group[first]);
    if second != first {
        kept.push(group[second]);
    }
}

/// Numbers as JSON, which has no NaN and no infinities: these are the strings `NaN`, `Infinity` and `-Infinity`.
pub(crate) struct Numbers<I>(pub(crate) I);

impl<I: Iterator<Item = f64> + Clone> Serialize for Numbers<I> {
    /// Writes a list without knowing its length, because the numbers are computed while they are written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for number in self.0.clone() {
            if number.is_finite() {
                list.serialize_element(&number)?;
            } else {
                list.serialize_element(not_finite(number))?;
            }
        }
        list.end()
    }
}

/// A number as a JSON value, as [`Numbers`] writes it.
pub(crate) fn number(value: f64) -> serde_json::Value {
    if value.is_finite() { value.into() } else { not_finite(value).into() }
}

/// Returns the text of a number that JSON cannot represent. The page's script reads it with `Number(text)`.
fn not_finite(value: f64) -> &'static str {
    match value {
        _ if value.is_nan() => "NaN",
        _ if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = f64>) -> Series {
        let mut series = Series::default();
        for (step, value) in values.into_iter().enumerate() {
            series.push(Point { step: step as i64, wall: step as f64 / 10.0, value });
        }
        series
    }

    fn steps(view: &View) -> Vec<i64> {
        view.points.iter().map(|point| point.step).collect()
    }

    #[test]
    fn few_points_are_shown_as_they_are() {
        let view = series([3.0, f64::NAN, 1.0]).view(Axis::Step, None, 100);
        assert_eq!((steps(&view), view.total, view.sampled), (vec![0, 1, 2], 3, false));
    }

    #[test]
    fn peaks_ends_and_non_finite_values_of_many_points_are_shown() {
        let mut values = vec![1.0; 10_000];
        values[1234] = 50.0;
        values[7000] = -3.0;
        values[9000] = f64::INFINITY;
        let view = series(values).view(Axis::Step, None, 100);
        assert!(view.sampled && view.total == 10_000 && view.points.len() <= 102, "{}", view.points.len());
        let shown = steps(&view);
        for step in [0, 1234, 7000, 9000, 9999] {
            assert!(shown.contains(&step), "{step} is not in {shown:?}");
        }
        assert!(shown.is_sorted());
    }

    #[test]
    fn a_range_has_its_neighbors() {
        let series = series((0..1000).map(f64::from));
        let view = series.view(Axis::Step, Some((10.0, 12.5)), 100);
        assert_eq!(steps(&view), [9, 10, 11, 12, 13]);
        let view = series.view(Axis::Wall, Some((1.0, 1.2)), 100);
        assert_eq!(steps(&view), [9, 10, 11, 12, 13]);
        assert_eq!(steps(&series.view(Axis::Step, Some((5000.0, 6000.0)), 100)), [999]);
        assert_eq!(steps(&series.view(Axis::Step, Some((-9.0, -1.0)), 100)), [0]);
    }

    #[test]
    fn halving_keeps_the_peaks_and_counts_all() {
        let mut values = vec![0.0; 4096];
        values[1000] = 9.0;
        let mut series = series(values);
        for _ in 0..4 {
            series.halve();
        }
        for step in 4096..4101 {
            series.push(Point { step, wall: 0.0, value: step as f64 });
        }
        assert!(series.kept() < 300, "{}", series.kept());
        let view = series.view(Axis::Step, None, 1000);
        assert!(view.sampled && view.total == 4101);
        let shown = steps(&view);
        assert!(shown.contains(&1000) && shown.last() == Some(&4100), "{shown:?}");
        series.drop_from(2048);
        assert!(steps(&series.view(Axis::Step, None, 1000)).iter().all(|&step| step < 2048));
        assert!((1900..2200).contains(&series.total()), "{}", series.total());
    }

    #[test]
    fn halving_reduces_the_open_group_too() {
        let mut series = series((0..8).map(f64::from));
        // The group grows beyond all points to come, so these stay in the open one.
        for _ in 0..200 {
            series.halve();
        }
        for step in 8..1008 {
            let value = if step == 300 { 9.0 } else { 0.0 };
            series.push(Point { step, wall: 0.0, value });
        }
        assert!(series.kept() > 1000);
        for _ in 0..4 {
            series.halve();
        }
        assert!(series.kept() < 100, "{}", series.kept());
        let view = series.view(Axis::Step, None, 1000);
        let shown = steps(&view);
        assert!(shown.contains(&300) && shown.last() == Some(&1007), "{shown:?}");
        assert_eq!(view.total, 1008);
        series.drop_from(508);
        assert!((450..600).contains(&series.total()), "{}", series.total());
        series.drop_from(8);
        assert!((2..=8).contains(&series.total()), "{}", series.total());
    }

    #[test]
    fn a_group_is_full_after_as_many_points_as_before_it_was_halved() {
        let mut series = series((0..64).map(f64::from));
        for _ in 0..3 {
            series.halve();
        }
        let push = |series: &mut Series, steps: std::ops::Range<i64>| {
            steps.for_each(|step| series.push(Point { step, wall: 0.0, value: 0.0 }));
        };
        push(&mut series, 64..74);
        series.halve();
        assert_eq!((series.group, series.gathered, series.open.len()), (32, 10, 6));
        push(&mut series, 74..95);
        assert!(!series.open.is_empty());
        push(&mut series, 95..96);
        assert!(series.open.is_empty() && series.total() == 96);
    }

    #[test]
    fn non_finite_numbers_are_strings_in_json() {
        let values = [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let text = serde_json::to_string(&Numbers(values.into_iter())).unwrap();
        assert_eq!(text, r#"[1.5,"NaN","Infinity","-Infinity"]"#);
    }
}
