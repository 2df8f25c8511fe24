//! The speed of a training.

use std::time::Duration;

/// The time after which old measurements no longer count, approximately.
const MEMORY: f64 = 10.0;

/// Steps per second, with more weight on recent steps: steps and seconds decay at the same rate, so from the start the
/// result is the mean of the measurements, however short they are.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<(Duration, i64)>,
    steps: f64,
    seconds: f64,
}

impl Pace {
    /// Records the step that was reached now. A smaller step than the last one starts again.
    pub(super) fn update(&mut self, now: Duration, step: i64) {
        let Some((then, from)) = self.last.replace((now, step)) else { return };
        let seconds = now.saturating_sub(then).as_secs_f64();
        // A recovery continued from an earlier step. The time until then is no measure of the speed.
        if step < from {
            (self.steps, self.seconds) = (0.0, 0.0);
            return;
        }
        let kept = (-seconds / MEMORY).exp();
        self.steps = self.steps * kept + (step - from) as f64;
        self.seconds = self.seconds * kept + seconds;
    }

    /// Returns the steps per second, once the step was seen to advance.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.steps > 0.0 && self.seconds > 0.0).then(|| self.steps / self.seconds)
    }
}

/// Formats steps per second with about three digits.
pub(super) fn readable(rate: f64) -> String {
    let decimals = if rate >= 100.0 {
        0
    } else if rate >= 10.0 {
        1
    } else {
        2
    };
    format!("{rate:.decimals$}")
}

/// `m:ss` or `h:mm:ss`.
pub(super) fn clock_face(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn recent_steps_have_more_weight() {
        let mut pace = Pace::default();
        pace.update(seconds(0.0), 100);
        assert_eq!(pace.rate(), None);
        pace.update(seconds(10.0), 110);
        assert_eq!(pace.rate(), Some(1.0), "nothing but the first span is known");
        pace.update(seconds(20.0), 210);
        let rate = pace.rate().unwrap();
        assert!((7.0..8.0).contains(&rate), "{rate}");
        pace.update(seconds(21.0), 50);
        assert_eq!(pace.rate(), None, "a recovery went back");
        pace.update(seconds(21.0), 60);
        assert_eq!(pace.rate(), None, "no time passed");
    }

    #[test]
    fn many_short_spans_equal_one_long_span() {
        let mut pace = Pace::default();
        // One slow step, such as the first, and then 8000 a second.
        pace.update(seconds(0.0), 0);
        pace.update(seconds(0.1), 1);
        for tenth in 1..=20 {
            pace.update(seconds(0.1 + 0.1 * f64::from(tenth)), 1 + i64::from(tenth) * 800);
        }
        let rate = pace.rate().unwrap();
        assert!((7500.0..8000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn rates_and_times_are_short() {
        assert_eq!([8123.4, 81.23, 8.1234, 0.25].map(readable), ["8123", "81.2", "8.12", "0.25"]);
        let faces = [0.4, 59.5, 61.0, 3599.0, 3600.0, 360_000.0].map(|time| clock_face(seconds(time)));
        assert_eq!(faces, ["0:00", "1:00", "1:01", "59:59", "1:00:00", "100:00:00"]);
    }
}
