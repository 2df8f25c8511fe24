//! Waiting for checkpoints that another program writes.

use crate::clock::{Clock, SystemClock};
use crate::prefix;
use crate::state::latest_checkpoint_with;
use crate::storage::{LocalStorage, Storage};
use crate::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Options for watching a folder.
///
/// ```
/// use checkpoint::WatchOptions;
/// use std::time::Duration;
/// let options = WatchOptions::new().poll(Duration::from_secs(5)).timeout(Duration::from_secs(600));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct WatchOptions {
    poll: Duration,
    timeout: Option<Duration>,
    min_interval: Duration,
    state_file: Option<String>,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    stop: Option<Stop>,
}

/// Decides when to stop waiting. Its `Debug` form does not call the function, which belongs to the user.
#[derive(Clone)]
struct Stop(Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}

/// The longest sleep between two checks for a stop.
const STOP_POLL: Duration = Duration::from_millis(20);

impl Default for WatchOptions {
    fn default() -> Self {
        WatchOptions {
            poll: Duration::from_secs(1),
            timeout: None,
            min_interval: Duration::ZERO,
            state_file: None,
            storage: LocalStorage::shared(),
            clock: SystemClock::shared(),
            stop: None,
        }
    }
}

impl WatchOptions {
    /// Returns the defaults, which each setter states.
    pub fn new() -> WatchOptions {
        WatchOptions::default()
    }

    /// Sets the time between two checks of the folder. Default: 1 s.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Sets the time to wait for one new checkpoint. Default: no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the least time between two checkpoints of an iterator. Default: none.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.min_interval = interval;
        self
    }

    /// Sets the name of the state file. Default: `checkpoint`.
    pub fn state_file(mut self, name: impl Into<String>) -> Self {
        self.state_file = Some(name.into());
        self
    }

    /// Reads through another storage. Default: [`LocalStorage`].
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Takes time from another clock. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Ends the waiting soon after this function returns true: with `None`, as after a time-out, and for an iterator also without
    /// asking its time-out function. Default: nothing ends it early.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use checkpoint::{WatchOptions, wait_for_new_checkpoint};
    /// let stopped = WatchOptions::new().stop_when(|| true);
    /// assert_eq!(wait_for_new_checkpoint(folder.path(), None, &stopped)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop_when(mut self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stop = Some(Stop(Arc::new(stop)));
        self
    }

    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| (stop.0)())
    }

    /// Sleeps, in short naps if something can end it.
    fn sleep(&self, time: Duration) {
        if self.stop.is_none() {
            return self.clock.sleep(time);
        }
        let mut rest = time;
        while !rest.is_zero() && !self.is_stopped() {
            let nap = rest.min(STOP_POLL);
            self.clock.sleep(nap);
            rest -= nap;
        }
    }

    fn latest(&self, directory: &Path) -> Result<Option<PathBuf>> {
        latest_checkpoint_with(self.storage.as_ref(), directory, self.state_file.as_deref())
    }
}

/// Waits until the newest checkpoint of a folder is another one than `last`, and returns it (S-315).
/// `None` when another sleep would pass the time limit, and when a stop was requested.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// use checkpoint::{WatchOptions, wait_for_new_checkpoint};
/// let found = wait_for_new_checkpoint(folder.path(), None, &WatchOptions::new())?;
/// assert_eq!(found, Some(prefix));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`latest_checkpoint`](crate::latest_checkpoint).
pub fn wait_for_new_checkpoint(
    directory: impl AsRef<Path>,
    last: Option<&Path>,
    options: &WatchOptions,
) -> Result<Option<PathBuf>> {
    let directory = directory.as_ref();
    let start = options.clock.now();
    while !options.is_stopped() {
        let storage = options.storage.as_ref();
        let is_last =
            |found: &PathBuf| last.is_some_and(|last| prefix::same_checkpoint(storage, last, found));
        if let Some(found) = options.latest(directory)?.filter(|found| !is_last(found)) {
            return Ok(Some(found));
        }
        // TensorFlow gives up before a sleep that would pass the limit instead of sleeping for the rest.
        let after_sleep = elapsed(options, start).saturating_add(options.poll);
        if options.timeout.is_some_and(|timeout| after_sleep > timeout) {
            return Ok(None);
        }
        options.sleep(options.poll);
    }
    Ok(None)
}

fn elapsed(options: &WatchOptions, since: SystemTime) -> Duration {
    options.clock.now().duration_since(since).unwrap_or_default()
}

/// Each newest checkpoint of a folder as it appears (S-316); those that come and are overtaken between
/// two looks are missed.
///
/// Without a time-out function the iterator ends at the first time-out. With one, set by
/// [`on_timeout`](CheckpointsIterator::on_timeout), it asks that after each time-out and after each
/// checkpoint: `true` ends it.
///
/// ```
/// # use std::{collections::BTreeMap, time::Duration};
/// # let folder = tempfile::tempdir()?;
/// # let model = BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32]))]);
/// # checkpoint::Saver::default().save(&model, folder.path().join("m"), Some(7))?;
/// use checkpoint::{WatchOptions, checkpoints_iterator};
/// for prefix in checkpoints_iterator(folder.path(), WatchOptions::new().timeout(Duration::ZERO)) {
///     println!("evaluating {}", prefix?.display());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn checkpoints_iterator(directory: impl Into<PathBuf>, options: WatchOptions) -> CheckpointsIterator {
    CheckpointsIterator {
        directory: directory.into(),
        options,
        last: None,
        yielded: None,
        on_timeout: None,
        ended: false,
    }
}

/// See [`checkpoints_iterator`].
#[must_use = "iterators do nothing unless consumed"]
pub struct CheckpointsIterator {
    directory: PathBuf,
    options: WatchOptions,
    last: Option<PathBuf>,
    /// The time at which the last checkpoint was returned, if the function has not been called since.
    yielded: Option<SystemTime>,
    on_timeout: Option<Box<dyn FnMut() -> bool + Send>>,
    ended: bool,
}

impl fmt::Debug for CheckpointsIterator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointsIterator")
            .field("directory", &self.directory)
            .field("last", &self.last)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl CheckpointsIterator {
    /// Sets the function that decides whether to end.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use checkpoint::{WatchOptions, checkpoints_iterator};
    /// use std::time::Duration;
    /// let options = WatchOptions::new().timeout(Duration::ZERO);
    /// let found = checkpoints_iterator(folder.path(), options).on_timeout(|| true);
    /// assert_eq!(found.count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_timeout(mut self, function: impl FnMut() -> bool + Send + 'static) -> Self {
        self.on_timeout = Some(Box::new(function));
        self
    }

    /// Waits between two checkpoints: calls the function that may end the iteration, and keeps the minimum interval.
    fn pause(&mut self) {
        let Some(yielded) = self.yielded.take() else { return };
        // TensorFlow asks the function after each checkpoint, too.
        self.ended = self.on_timeout.as_mut().is_some_and(|function| function());
        let rest = self.options.min_interval.saturating_sub(elapsed(&self.options, yielded));
        if !self.ended && !rest.is_zero() {
            self.options.sleep(rest);
        }
    }
}

impl Iterator for CheckpointsIterator {
    type Item = Result<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pause();
        while !self.ended {
            match wait_for_new_checkpoint(&self.directory, self.last.as_deref(), &self.options) {
                Ok(Some(found)) => {
                    self.last = Some(found.clone());
                    self.yielded = Some(self.options.clock.now());
                    return Some(Ok(found));
                }
                Ok(None) => {
                    self.ended = self.options.is_stopped()
                        || self.on_timeout.as_mut().is_none_or(|function| function());
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// Waits as [`wait_for_new_checkpoint`] does, and takes a time-out or a stop for an error.
///
/// # Errors
/// [`Error::TimedOut`], and as [`latest_checkpoint`](crate::latest_checkpoint).
pub fn require_new_checkpoint(
    directory: impl AsRef<Path>,
    last: Option<&Path>,
    options: &WatchOptions,
) -> Result<PathBuf> {
    let directory = directory.as_ref();
    wait_for_new_checkpoint(directory, last, options)?
        .ok_or_else(|| Error::TimedOut { directory: directory.to_path_buf() })
}
