//! The state of runs in a few numbers.
//!
//! `monitored watch` shows them. They come from the same events as the page, so a training needs no extra hook: the
//! step and the loss are the newest numbers, the speed and the wait for input come from `StepCounterHook` or the
//! session story, and checkpoints from session logs.

use crate::Board;
use crate::run::Run;
use serde_json::Value as Json;
use summary::SessionStatus;

/// The state of a run.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The run's name.
    pub run: String,
    /// The step of its newest numbers.
    pub step: Option<i64>,
    /// The tag whose value is shown.
    pub tag: Option<String>,
    /// The last number of that tag.
    pub value: Option<f64>,
    /// The steps per second: as its step counter wrote them, else over its last numbers.
    pub rate: Option<f64>,
    /// The share of their time that its steps waited for input, from 0 to 1.
    pub input_wait: Option<f64>,
    /// The step of its last checkpoint, and the time of it, in seconds since 1970.
    pub checkpoint: Option<(i64, f64)>,
    /// The reason for its end or failure.
    pub state: Option<String>,
    /// The last note on a file that cannot be read.
    pub note: Option<String>,
}

impl Board {
    /// Returns the state of each run with events. The value is that of `tag`; without one, of the first tag with `loss` in its
    /// name, else of the first one.
    ///
    /// ```
    /// # use summary::{EventWriter, Summary};
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// # let writer = EventWriter::open(folder)?;
    /// # writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// # writer.close()?;
    /// let board = board::Board::open(&[folder])?;
    /// board.reload();
    /// let status = &board.status(None)[0];
    /// assert_eq!((status.step, status.tag.as_deref(), status.value), (Some(10), Some("loss"), Some(0.5)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn status(&self, tag: Option<&str>) -> Vec<Status> {
        let runs = self.all();
        let runs = runs.iter().filter(|shown| shown.found.has_events);
        runs.map(|shown| of_run(&shown.run(), &shown.found.name, tag)).collect()
    }
}

/// Derives the state of a run from its numbers and its story, in the order of the entries: a start or a recovery
/// after a failure clears the failure.
fn of_run(run: &Run, name: &str, tag: Option<&str>) -> Status {
    let numbers = || run.tags.keys().filter(|tag| run.series(tag).is_some());
    let is_rate = |tag: &str| tag.ends_with("/sec");
    let loss = numbers().find(|tag| tag.to_ascii_lowercase().contains("loss"));
    // The speed is a number as well, but no loss.
    let usual = || loss.or_else(|| numbers().find(|tag| !is_rate(tag))).cloned();
    let tag = tag.map(str::to_owned).or_else(usual);
    let point = tag.as_ref().and_then(|tag| run.series(tag)?.last().copied());
    let rate = numbers().find(|tag| is_rate(tag)).and_then(|tag| run.series(tag)?.last());
    let mut status = Status {
        run: name.to_owned(),
        step: run.last_step,
        value: point.map(|point| point.value),
        rate: rate.map(|point| point.value).filter(|rate| rate.is_finite()),
        tag,
        note: run.notes.last().cloned(),
        ..Status::default()
    };
    for entry in &run.story {
        status.step = status.step.max(Some(entry.step));
        if entry.log.status == SessionStatus::Checkpoint {
            status.checkpoint = Some((entry.step, entry.wall));
        }
        let Ok(message) = serde_json::from_str::<Json>(&entry.log.message) else { continue };
        let text = |key: &str| message[key].as_str().unwrap_or("").to_owned();
        match message["story"].as_str() {
            Some("started") => status.state = None,
            Some("failed") => status.state = Some(format!("failed: {}", text("error"))),
            Some("recovered") => status.state = None,
            Some("ended") => status.state = Some(format!("ended: {} {}", text("source"), text("reason"))),
            Some("pace") => {
                status.input_wait = message["input_wait"].as_f64();
                let rate =
                    message["runs"].as_f64().zip(message["seconds"].as_f64()).map(|(runs, time)| runs / time);
                // The pace of the story is newer than the step counter, if both are written.
                status.rate = rate.filter(|rate| rate.is_finite()).or(status.rate);
            }
            _ => {}
        }
    }
    status
}
