//! The time that hooks take.

use hooks::HookTiming;
use std::time::{Duration, Instant};
use tensor::text::escaped;

/// Among fast runs, only one in this number is measured, because reading clocks costs time.
const EVERY: u64 = 64;
/// Runs that take longer are slow, and each one is measured.
const SLOW_RUN: Duration = Duration::from_millis(1);
/// A hook is slow if it takes this fraction of its runs, and more than the time above in each.
const SLOW_SHARE: f64 = 0.3;
const SLOW_TIME: Duration = Duration::from_millis(1);
/// The number of measured runs before a hook is judged.
const ENOUGH: u64 = 20;

/// Times of hooks, summed over the measured runs; the first run, which compiles everything, is counted separately.
#[derive(Debug)]
pub(crate) struct Timings {
    runs: u64,
    looked_at: u64,
    whole: Duration,
    hooks: Vec<Hook>,
    run_was_slow: bool,
    /// The start of the run that is measured, and its last lap.
    begun: Option<(Instant, Instant)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hook {
    time: Duration,
    noticed: bool,
}

impl Timings {
    pub(crate) fn new(hooks: usize) -> Timings {
        Timings {
            runs: 0,
            looked_at: 0,
            whole: Duration::ZERO,
            hooks: vec![Hook::default(); hooks],
            run_was_slow: false,
            begun: None,
        }
    }

    /// Starts a run.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.runs += 1;
        // The second run and every 64th after it: the first one compiles the plan, which says nothing about
        // hooks.
        let measures = (self.run_was_slow || self.runs % EVERY == 2) && !self.hooks.is_empty();
        self.begun = None;
        if measures {
            let now = Instant::now();
            self.begun = Some((now, now));
        }
    }

    /// The time since the last lap belongs to no hook.
    #[inline]
    pub(crate) fn skip(&mut self) {
        if let Some((_, last)) = &mut self.begun {
            *last = Instant::now();
        }
    }

    /// The time since the last lap belongs to this hook.
    #[inline]
    pub(crate) fn lap(&mut self, hook: usize) {
        if let Some((_, last)) = &mut self.begun {
            let now = Instant::now();
            self.hooks[hook].time += now - *last;
            *last = now;
        }
    }

    /// Ends a run; logs once per hook that it is slow.
    #[inline]
    pub(crate) fn end(&mut self, names: &[String]) {
        if let Some((begun, last)) = self.begun.take() {
            self.ended(last - begun, names);
        }
    }

    #[cold]
    fn ended(&mut self, whole: Duration, names: &[String]) {
        self.run_was_slow = whole >= SLOW_RUN;
        self.looked_at += 1;
        self.whole += whole;
        // The first measurements are dominated by caches and page faults.
        if self.looked_at < ENOUGH {
            return;
        }
        for (hook, name) in names.iter().enumerate() {
            let (per_run, share) = self.of(hook);
            if !self.hooks[hook].noticed && per_run >= SLOW_TIME && share >= SLOW_SHARE {
                self.hooks[hook].noticed = true;
                let percent = share * 100.0;
                log::warn!(
                    "hook '{}' is slow: it takes {per_run:.1?} of each run, {percent:.0} % of its time",
                    escaped(name)
                );
            }
        }
    }

    fn of(&self, hook: usize) -> (Duration, f64) {
        let runs = u32::try_from(self.looked_at.max(1)).unwrap_or(u32::MAX);
        let (time, whole) = (self.hooks[hook].time, self.whole.as_secs_f64());
        (time / runs, if whole > 0.0 { time.as_secs_f64() / whole } else { 0.0 })
    }

    /// Returns the timings of all hooks; empty before the first measurement.
    pub(crate) fn reported(&self, names: &[String]) -> Vec<HookTiming> {
        if self.looked_at == 0 {
            return Vec::new();
        }
        let reported = names.iter().enumerate().map(|(hook, name)| {
            let (per_run, share) = self.of(hook);
            HookTiming::new(name, per_run, share)
        });
        reported.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_runs_are_sampled_and_slow_runs_all_measured() {
        let mut timings = Timings::new(1);
        let looked = |timings: &mut Timings, whole: Duration| {
            timings.begin();
            let measures = timings.begun.take().is_some();
            if measures {
                timings.ended(whole, &["h".to_owned()]);
            }
            measures
        };
        let fast: Vec<bool> = (0..130).map(|_| looked(&mut timings, Duration::from_micros(1))).collect();
        let at: Vec<usize> = (0..130).filter(|&run| fast[run]).collect();
        assert_eq!(at, [1, 65, 129], "not the first, which is compiled");
        (0..63).for_each(|_| assert!(!looked(&mut timings, Duration::ZERO)));
        assert!(looked(&mut timings, Duration::from_millis(2)));
        assert!((0..10).all(|_| looked(&mut timings, Duration::from_millis(2))));
    }

    #[test]
    fn a_slow_hook_is_logged_once() {
        let names = ["slow".to_owned(), "fast".to_owned()];
        let mut timings = Timings::new(2);
        for _ in 0..30 {
            timings.hooks[0].time += Duration::from_millis(4);
            timings.hooks[1].time += Duration::from_micros(4);
            timings.ended(Duration::from_millis(10), &names);
        }
        assert_eq!([timings.hooks[0].noticed, timings.hooks[1].noticed], [true, false]);
        let reported = timings.reported(&names);
        assert_eq!((reported[0].hook.as_str(), reported[0].per_run), ("slow", Duration::from_millis(4)));
        assert!((reported[0].share - 0.4).abs() < 1e-9);
        assert!(Timings::new(1).reported(&names[..1]).is_empty());
    }
}
