//! How fast it goes.

use std::time::Duration;

/// After about this time the past is forgotten.
const MEMORY: f64 = 10.0;

/// Steps a second, recent ones counting more.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<(Duration, i64)>,
    rate: Option<f64>,
}

impl Pace {
    /// The step that was reached now. One before the last begins anew.
    pub(super) fn update(&mut self, now: Duration, step: i64) {
        let Some((then, from)) = self.last.replace((now, step)) else { return };
        let seconds = now.saturating_sub(then).as_secs_f64();
        if step < from {
            self.rate = None;
        } else if seconds > 0.0 {
            let recent = (step - from) as f64 / seconds;
            let weight = 1.0 - (-seconds / MEMORY).exp();
            self.rate = Some(self.rate.map_or(recent, |rate| rate + weight * (recent - rate)));
        }
    }

    /// Steps a second, once something was seen to move.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate.filter(|&rate| rate > 0.0)
    }
}

/// Steps a second with about three digits.
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
    fn the_recent_counts_more() {
        let mut pace = Pace::default();
        pace.update(seconds(0.0), 100);
        assert_eq!(pace.rate(), None);
        pace.update(seconds(10.0), 110);
        assert_eq!(pace.rate(), Some(1.0), "nothing but the first span is known");
        pace.update(seconds(20.0), 210);
        let rate = pace.rate().unwrap();
        assert!((6.0..7.0).contains(&rate), "{rate}");
        pace.update(seconds(21.0), 50);
        assert_eq!(pace.rate(), None, "a recovery went back");
        pace.update(seconds(21.0), 60);
        assert_eq!(pace.rate(), None, "no time passed");
    }

    #[test]
    fn for_people() {
        assert_eq!([8123.4, 81.23, 8.1234, 0.25].map(readable), ["8123", "81.2", "8.12", "0.25"]);
        let faces = [0.4, 59.5, 61.0, 3599.0, 3600.0, 360_000.0].map(|time| clock_face(seconds(time)));
        assert_eq!(faces, ["0:00", "1:00", "1:01", "59:59", "1:00:00", "100:00:00"]);
    }
}
