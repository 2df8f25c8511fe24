//! Restarted sessions, and the points that they write again.

use crate::{Event, EventData};
use std::collections::HashSet;

/// Finds the points of a run that a restarted session writes again, event by event.
///
/// A session that was killed has written points beyond its last checkpoint. The session that resumes from there writes
/// these steps again, so the earlier points are void:
///
/// - In files of version 2, a [`SessionLog::start`](crate::SessionLog::start) voids all points of its step and later ones if
///   a session began before it, or if points of later steps were read before it. A first start at or after all points
///   is the beginning of the run and voids nothing.
/// - In older files, and in those without a version, a summary of an earlier step than the last summary's voids the points
///   of its own tags.
///
/// These are the rules of TensorBoard's event accumulator with two exceptions, in which its data server agrees with this type:
/// the accumulator drops points of the step of a first start, and it forgets the last step of an older file when the next
/// file begins, so curves that were written twice stay folded.
///
/// ```
/// use summary::{Event, EventData, Restarts, SessionLog, Summary};
///
/// let mut restarts = Restarts::new();
/// let point = |step| Event::new(0.0, step, Summary::scalar("loss", 0.5).into());
/// let start = |step| Event::new(0.0, step, SessionLog::start().into());
/// let version = Event::new(0.0, 0, EventData::FileVersion("brain.Event:2".to_owned()));
/// for event in [version, point(0), start(0), point(1), point(2)] {
///     assert!(restarts.observe(&event).is_none());
/// }
/// let restart = start(2);
/// let void = restarts.observe(&restart).unwrap();
/// assert_eq!(void.first_step_of("loss"), Some(2));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    /// The version of the last file that named one.
    version: Option<f64>,
    has_begun: bool,
    /// The latest step of all summaries.
    latest_step: Option<i64>,
    /// The step of the last summary that voided nothing.
    last_step: Option<i64>,
}

/// The points that an event makes void: those of its step and later ones, of all tags or of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct VoidPoints<'a> {
    first_step: i64,
    /// `None` for all tags.
    tags: Option<HashSet<&'a str>>,
}

impl Restarts {
    /// Begins before the first event of a run.
    #[must_use]
    pub fn new() -> Restarts {
        Restarts::default()
    }

    /// Observes the next event, and returns the points before it that it makes void.
    ///
    /// ```
    /// use summary::{Event, Restarts, Summary};
    /// let mut restarts = Restarts::new();
    /// let point = |step| Event::new(0.0, step, Summary::scalar("loss", 0.5).into());
    /// assert!(restarts.observe(&point(5)).is_none());
    /// // No file version was read, so a step that goes back is a restart.
    /// assert_eq!(restarts.observe(&point(3)).unwrap().first_step(), 3);
    /// ```
    pub fn observe<'a>(&mut self, event: &'a Event) -> Option<VoidPoints<'a>> {
        match &event.data {
            Some(EventData::FileVersion(text)) => {
                self.version = version(text);
                None
            }
            Some(EventData::Summary(summary)) => {
                self.observe_summary(event.step, summary.values.iter().map(|value| &*value.tag))
            }
            _ if event.is_session_start() => self.observe_start(event.step),
            _ => None,
        }
    }

    /// Observes a summary of this step with values of these tags, as [`observe`](Restarts::observe) does of one in an
    /// event.
    ///
    /// ```
    /// use summary::Restarts;
    /// let mut restarts = Restarts::new();
    /// assert!(restarts.observe_summary(5, ["loss"]).is_none());
    /// let void = restarts.observe_summary(3, ["loss"]).unwrap();
    /// assert_eq!((void.first_step_of("loss"), void.first_step_of("accuracy")), (Some(3), None));
    /// ```
    pub fn observe_summary<'a>(
        &mut self,
        step: i64,
        tags: impl IntoIterator<Item = &'a str>,
    ) -> Option<VoidPoints<'a>> {
        self.latest_step = self.latest_step.max(Some(step));
        // Old files have no record of a restart. TensorBoard takes a step that goes backward for one, for the
        // tags of this event.
        if !self.has_starts() && self.last_step.is_some_and(|last| step < last) {
            return Some(VoidPoints { first_step: step, tags: Some(tags.into_iter().collect()) });
        }
        self.last_step = Some(step);
        None
    }

    fn observe_start(&mut self, step: i64) -> Option<VoidPoints<'static>> {
        if !self.has_starts() {
            return None;
        }
        // The first start of a run voids nothing, unless it continues files of an earlier process.
        let restarts = std::mem::replace(&mut self.has_begun, true) || self.latest_step > Some(step);
        restarts.then_some(VoidPoints { first_step: step, tags: None })
    }

    /// Returns true if the files mark the starts of sessions, as those of version 2 do.
    fn has_starts(&self) -> bool {
        self.version.is_some_and(|version| version >= 2.0)
    }
}

impl<'a> VoidPoints<'a> {
    /// Returns the first void step.
    #[must_use]
    pub fn first_step(&self) -> i64 {
        self.first_step
    }

    /// Returns the tags with void points; `None` stands for all tags.
    #[must_use]
    pub fn tags(&self) -> Option<&HashSet<&'a str>> {
        self.tags.as_ref()
    }

    /// Returns the first void step of a tag; `None` for a tag without void points.
    #[must_use]
    pub fn first_step_of(&self, tag: &str) -> Option<i64> {
        self.tags.as_ref().is_none_or(|tags| tags.contains(tag)).then_some(self.first_step)
    }
}

/// Returns the number of a file version such as `brain.Event:2`.
fn version(text: &str) -> Option<f64> {
    text.strip_prefix("brain.Event:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in a test a panic is the report

    use super::*;
    use crate::{SessionLog, Summary};

    fn version(number: u32) -> Event {
        Event::new(0.0, 0, EventData::FileVersion(format!("brain.Event:{number}")))
    }

    fn point(step: i64) -> Event {
        Event::new(0.0, step, Summary::scalar("a", 1.0).into())
    }

    fn start(step: i64) -> Event {
        Event::new(0.0, step, SessionLog::start().into())
    }

    /// Returns the first void step after each event that voids any.
    fn void(events: &[Event]) -> Vec<i64> {
        let mut restarts = Restarts::new();
        events.iter().filter_map(|event| restarts.observe(event)).map(|void| void.first_step()).collect()
    }

    #[test]
    fn the_first_start_at_or_after_all_points_voids_nothing() {
        assert_eq!(void(&[version(2), start(0), point(0)]), []);
        assert_eq!(void(&[version(2), point(0), start(0)]), []);
        assert_eq!(void(&[version(2), point(0), point(5), start(5)]), []);
        assert_eq!(void(&[version(2), point(5), start(7)]), []);
    }

    #[test]
    fn the_first_start_before_points_is_a_restart() {
        assert_eq!(void(&[version(2), point(0), point(5), start(4)]), [4]);
        // The step of the latest point counts, not that of the last one.
        assert_eq!(void(&[version(2), point(5), point(1), start(4)]), [4]);
    }

    #[test]
    fn every_later_start_is_a_restart() {
        assert_eq!(void(&[version(2), start(0), point(0), start(0), point(0), start(9)]), [0, 9]);
        assert_eq!(void(&[version(2), start(3), version(2), start(3)]), [3]);
    }

    #[test]
    fn only_files_of_version_2_have_starts() {
        assert_eq!(void(&[point(5), start(1)]), []);
        assert_eq!(void(&[version(1), point(5), start(1), start(1)]), []);
        assert_eq!(void(&[version(3), point(5), start(1)]), [1]);
    }

    #[test]
    fn a_step_that_goes_back_voids_the_tags_of_its_event_in_older_files() {
        let mut restarts = Restarts::new();
        let graph = Event::new(0.0, 0, EventData::Graph(Default::default()));
        for event in [version(1), point(5), version(1), graph] {
            assert_eq!(restarts.observe(&event), None);
        }
        let back = point(3);
        let void = restarts.observe(&back).unwrap();
        assert_eq!((void.first_step_of("a"), void.first_step_of("b")), (Some(3), None));
        assert_eq!(restarts.clone().observe(&point(4)).unwrap().first_step(), 4);
        assert_eq!(restarts.observe(&point(5)), None);
    }
}
