//! The time of events.

use std::time::{Duration, SystemTime};

/// Tells event writers the time, for events, file names and the next flush.
pub trait Clock: Send + Sync {
    /// Returns the time since the beginning of 1970, UTC.
    fn now(&self) -> Duration;
}

/// The system's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        // A clock set before 1970 counts as 1970.
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

impl<F: Fn() -> Duration + Send + Sync> Clock for F {
    fn now(&self) -> Duration {
        self()
    }
}
