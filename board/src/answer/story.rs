//! The session story: starts, restores, recoveries, and stops.
//!
//! `SessionStoryHook` writes each entry as a session log whose message is a JSON object with the field `story`, which
//! names the kind of the entry. TensorFlow's sessions write session logs without such messages. Their status becomes
//! the kind, so the page shows runs of both in one form.

use super::{Answer, Query};
use crate::Error;
use crate::board::Board;
use crate::run::Entry;
use serde_json::{Value as Json, json};
use summary::SessionStatus;

impl Board {
    /// Answers `/api/story`: the entries of a `run`'s story in the order of the files.
    pub(super) fn story(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let shown = self.named(query.need("run")?)?;
        let run = shown.run();
        let entries: Vec<Json> = run.story.iter().map(entry).collect();
        Answer::json(&json!({"entries": entries, "first_wall": run.first_wall, "last_wall": run.last_wall}))
    }
}

/// Returns an entry as `SessionStoryHook` wrote it, or by the status of a session log.
fn entry(entry: &Entry) -> Json {
    let said = match serde_json::from_str::<Json>(&entry.log.message) {
        Ok(said @ Json::Object(_)) if said["story"].is_string() => said,
        _ => {
            let story = match entry.log.status {
                SessionStatus::Start => "start",
                SessionStatus::Stop => "stop",
                SessionStatus::Checkpoint => "checkpoint",
                _ => "log",
            };
            json!({"story": story, "checkpoint": entry.log.checkpoint_path, "message": entry.log.message})
        }
    };
    json!({"step": entry.step, "wall": entry.wall, "said": said})
}
