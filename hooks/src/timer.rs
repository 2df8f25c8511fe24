//! Timers for recurring work.

use crate::{Clock, MonotonicClock};
use session_core::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// Decides when work is due that recurs every `n` steps or seconds (S-325 to S-329).
///
/// Work is due for the first step that is asked about, never twice for one step, and then each time the interval has passed
/// since [`update`](SecondOrStepTimer::update). Time is monotonic, unlike in TensorFlow (Q-39).
///
/// ```
/// use hooks::SecondOrStepTimer;
/// let mut timer = SecondOrStepTimer::every_steps(3);
/// let due: Vec<i64> = (1..=8)
///     .filter(|&step| {
///         let due = timer.should_trigger(step);
///         if due {
///             timer.update(step);
///         }
///         due
///     })
///     .collect();
/// assert_eq!(due, [1, 4, 7]);
/// ```
#[derive(Clone, Debug)]
pub struct SecondOrStepTimer {
    interval: Interval,
    clock: Arc<dyn Clock>,
    last: Option<Mark>,
}

/// Due when one of the two has passed; never due if there is neither.
#[derive(Clone, Copy, Debug)]
struct Interval {
    time: Option<Duration>,
    steps: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    step: i64,
    time: Duration,
}

/// The time and steps between two updates of a timer.
///
/// ```
/// use hooks::Elapsed;
/// use std::time::Duration;
/// let elapsed = Elapsed { time: Duration::from_secs(2), steps: 100 };
/// assert_eq!(elapsed.steps_per_sec(), 50.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// The time.
    pub time: Duration,
    /// The steps; negative after a restore of an earlier step.
    pub steps: i64,
}

impl Elapsed {
    /// Returns the steps per second; infinite if no time has passed (S-353).
    #[must_use]
    pub fn steps_per_sec(&self) -> f64 {
        if self.time.is_zero() { f64::INFINITY } else { self.steps as f64 / self.time.as_secs_f64() }
    }
}

impl SecondOrStepTimer {
    /// Creates a timer with exactly one of the two intervals.
    ///
    /// # Errors
    /// A value error for both or none (S-325). Zero counts as given.
    ///
    /// ```
    /// use hooks::SecondOrStepTimer;
    /// assert!(SecondOrStepTimer::new(Some(10), None).is_ok());
    /// assert!(SecondOrStepTimer::new(None, None).is_err());
    /// ```
    pub fn new(every_steps: Option<u64>, every_secs: Option<Duration>) -> Result<SecondOrStepTimer> {
        match (every_secs, every_steps) {
            (None, None) => Err(Error::value("either every_secs or every_steps must be provided")),
            (Some(_), Some(_)) => Err(Error::value("can not provide both every_secs and every_steps")),
            (time, steps) => Ok(SecondOrStepTimer::of(time, steps)),
        }
    }

    /// Creates a timer that is due every `steps` steps. With 0 it is due whenever the step is larger (S-327).
    #[must_use]
    pub fn every_steps(steps: u64) -> SecondOrStepTimer {
        SecondOrStepTimer::of(None, Some(steps))
    }

    /// Creates a timer that is due each time this much time has passed and the step has changed. With zero it is due whenever
    /// the step has changed (S-327).
    #[must_use]
    pub fn every_secs(time: Duration) -> SecondOrStepTimer {
        SecondOrStepTimer::of(Some(time), None)
    }

    /// Creates a timer that is due when one of the two intervals has passed. Beyond TensorFlow (Q-41).
    ///
    /// ```
    /// use hooks::SecondOrStepTimer;
    /// use std::time::Duration;
    /// let timer = SecondOrStepTimer::every_steps_or_secs(1000, Duration::from_secs(600));
    /// assert!(timer.should_trigger(0));
    /// ```
    #[must_use]
    pub fn every_steps_or_secs(steps: u64, time: Duration) -> SecondOrStepTimer {
        SecondOrStepTimer::of(Some(time), Some(steps))
    }

    /// Creates a timer that is never due (S-329).
    ///
    /// ```
    /// use hooks::SecondOrStepTimer;
    /// assert!(!SecondOrStepTimer::never().should_trigger(0));
    /// ```
    #[must_use]
    pub fn never() -> SecondOrStepTimer {
        SecondOrStepTimer::of(None, None)
    }

    fn of(time: Option<Duration>, steps: Option<u64>) -> SecondOrStepTimer {
        // An interval that does not fit is longer than any training.
        let steps = steps.map(|steps| i64::try_from(steps).unwrap_or(i64::MAX));
        SecondOrStepTimer { interval: Interval { time, steps }, clock: MonotonicClock::shared(), last: None }
    }

    /// Measures time with this clock. Default: [`MonotonicClock`].
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> SecondOrStepTimer {
        self.clock = clock;
        self
    }

    /// Returns true if work is due at this step (S-326). Changes nothing. The clock is read only if the answer depends on time.
    #[must_use]
    #[inline]
    pub fn should_trigger(&self, step: i64) -> bool {
        let Interval { time, steps } = self.interval;
        if time.is_none() && steps.is_none() {
            return false;
        }
        let Some(last) = self.last else { return true };
        // Checked even if the interval is zero: the same step is never due twice.
        if step == last.step {
            return false;
        }
        steps.is_some_and(|steps| step >= last.step.saturating_add(steps))
            || time.is_some_and(|time| self.has_passed(last, time))
    }

    /// Returns true if work may be due after a run that advances the step by up to `steps` from `step`. If only time decides, the
    /// step is irrelevant.
    #[inline]
    pub(crate) fn may_trigger(&self, step: i64, steps: i64) -> bool {
        // Without a last update the work is due for the first step that is asked about.
        let Some(last) = self.last else { return self.should_trigger(step) };
        let ahead = step.saturating_add(steps);
        self.interval.steps.is_some_and(|steps| ahead >= last.step.saturating_add(steps)) || self.is_time()
    }

    /// Returns true if the time of the interval, if it has one, has passed.
    #[inline]
    pub(crate) fn is_time(&self) -> bool {
        match (self.interval.time, self.last) {
            (Some(time), Some(last)) => self.has_passed(last, time),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    #[inline]
    fn has_passed(&self, last: Mark, time: Duration) -> bool {
        self.clock.now().saturating_sub(last.time) >= time
    }

    /// Returns true if the interval depends on steps.
    #[inline]
    pub(crate) fn counts_steps(&self) -> bool {
        self.interval.steps.is_some()
    }

    /// Records that the work was done at this step, now. Returns the time and steps since the last update; `None` at the first
    /// one (S-328). A timer that is never due records nothing.
    ///
    /// ```
    /// use hooks::SecondOrStepTimer;
    /// let mut timer = SecondOrStepTimer::every_steps(10);
    /// assert!(timer.update(0).is_none());
    /// assert_eq!(timer.update(10).map(|elapsed| elapsed.steps), Some(10));
    /// ```
    pub fn update(&mut self, step: i64) -> Option<Elapsed> {
        // TensorFlow's timer that never triggers has no state either, so `last_triggered_step` stays
        // `None`.
        if self.interval.time.is_none() && self.interval.steps.is_none() {
            return None;
        }
        let mark = Mark { step, time: self.clock.now() };
        let last = self.last.replace(mark)?;
        let steps = step.saturating_sub(last.step);
        Some(Elapsed { time: mark.time.saturating_sub(last.time), steps })
    }

    /// Returns the step of the last [`update`](SecondOrStepTimer::update).
    #[must_use]
    pub fn last_triggered_step(&self) -> Option<i64> {
        self.last.map(|last| last.step)
    }

    /// Discards the last update.
    ///
    /// ```
    /// use hooks::SecondOrStepTimer;
    /// let mut timer = SecondOrStepTimer::every_steps(10);
    /// timer.update(0);
    /// timer.reset();
    /// assert_eq!(timer.last_triggered_step(), None);
    /// ```
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Hand(Mutex<Duration>);

    impl Hand {
        fn advance(&self, millis: u64) {
            *self.0.lock().unwrap() += Duration::from_millis(millis);
        }
    }

    impl Clock for Hand {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn s_325_exactly_one_interval_must_be_given() {
        let none = SecondOrStepTimer::new(None, None).unwrap_err();
        assert!(none.message().contains("either every_secs or every_steps"));
        let both = SecondOrStepTimer::new(Some(0), Some(Duration::ZERO)).unwrap_err();
        assert!(both.message().contains("can not provide both"), "zero counts as given");
        assert!(SecondOrStepTimer::new(Some(0), None).is_ok());
    }

    #[test]
    fn s_326_should_trigger_is_due_once_per_step() {
        let hand = Arc::new(Hand::default());
        let mut timer = SecondOrStepTimer::every_secs(Duration::from_secs(2)).clock(hand.clone());
        assert!(timer.should_trigger(5), "never triggered before");
        timer.update(5);
        hand.advance(2000);
        assert!(!timer.should_trigger(5), "same step");
        assert!(timer.should_trigger(6));
        timer.update(6);
        hand.advance(1999);
        assert!(!timer.should_trigger(7));
        hand.advance(1);
        assert!(timer.should_trigger(7), "now >= last + seconds");
    }

    #[test]
    fn s_327_zero_intervals_and_steps_that_go_backwards_are_allowed() {
        let mut seconds = SecondOrStepTimer::every_secs(Duration::ZERO);
        seconds.update(5);
        assert_eq!([4, 5, 6].map(|step| seconds.should_trigger(step)), [true, false, true]);
        let mut steps = SecondOrStepTimer::every_steps(0);
        steps.update(5);
        assert_eq!([4, 5, 6].map(|step| steps.should_trigger(step)), [false, false, true]);
        let mut three = SecondOrStepTimer::every_steps(3);
        three.update(5);
        assert_eq!([1, 7, 8].map(|step| three.should_trigger(step)), [false, false, true]);
    }

    #[test]
    fn s_328_update_returns_the_elapsed_time_and_steps() {
        let hand = Arc::new(Hand::default());
        let mut timer = SecondOrStepTimer::every_steps(10).clock(hand.clone());
        assert_eq!(timer.last_triggered_step(), None);
        assert!(timer.should_trigger(1) && timer.should_trigger(1), "asking changes nothing");
        assert_eq!(timer.update(100), None);
        hand.advance(500);
        let elapsed = timer.update(150).unwrap();
        assert_eq!(elapsed, Elapsed { time: Duration::from_millis(500), steps: 50 });
        assert_eq!(elapsed.steps_per_sec(), 100.0);
        let back = timer.update(120).unwrap();
        assert_eq!((back.steps, back.time), (-30, Duration::ZERO), "negative after a restore");
        assert_eq!(timer.last_triggered_step(), Some(120));
        timer.reset();
        assert_eq!(timer.last_triggered_step(), None);
        assert!(timer.should_trigger(120));
    }

    #[test]
    fn s_329_never_is_due() {
        let mut timer = SecondOrStepTimer::never();
        assert!(!timer.should_trigger(0));
        assert_eq!(timer.update(0), None);
        assert_eq!(timer.last_triggered_step(), None);
    }

    #[test]
    fn q_41_time_or_steps_can_trigger() {
        let hand = Arc::new(Hand::default());
        let mut timer =
            SecondOrStepTimer::every_steps_or_secs(10, Duration::from_secs(1)).clock(hand.clone());
        timer.update(0);
        assert!(!timer.should_trigger(9));
        assert!(timer.should_trigger(10));
        hand.advance(1000);
        assert!(timer.should_trigger(1));
    }

    #[test]
    fn s_351_a_run_may_reach_the_interval() {
        let mut timer = SecondOrStepTimer::every_steps(100);
        assert!(timer.may_trigger(0, 1));
        timer.update(0);
        assert!(!timer.may_trigger(98, 1));
        assert!(timer.may_trigger(99, 1));
        assert!(timer.may_trigger(50, 50));
    }
}
