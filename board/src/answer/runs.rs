//! The runs and their tags.
//!
//! Both answers hold no values, so they stay small for long trainings. The lock of a run is held while its part is
//! collected and not across runs, so the thread that adds events waits for one run at most. The parts of an answer
//! may therefore come from slightly different moments; the version, taken first, makes the page ask again.

use super::Answer;
use crate::Error;
use crate::board::Board;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use summary::TagKind;

impl Board {
    /// Answers `/api/state`: the runs, and a number that changes with every change of the board. The page polls this
    /// answer, and requests others only if the number has changed.
    pub(super) fn state(&self) -> Result<Answer, Error> {
        // First: a change while the answer is made raises it, and the page asks again.
        let version = self.version();
        let runs = self.all().into_iter().map(|shown| {
            let run = shown.run();
            json!({
                "name": shown.found.name, "events": shown.found.has_events, "checkpoints": shown.found.has_checkpoints,
                "first_wall": run.first_wall, "last_wall": run.last_wall, "last_step": run.last_step,
                "graph": run.graph.is_some() || run.meta_graph.is_some(),
                "metadata": run.run_metadata.keys().collect::<Vec<_>>(),
                "story": run.story.len(), "notes": run.notes,
            })
        });
        Answer::json(&json!({
            "title": self.title(), "version": version, "loaded": self.is_loaded(), "notes": self.notes(),
            "runs": runs.collect::<Vec<_>>(),
        }))
    }

    /// Answers `/api/tags`: the tags by kind, each with its metadata and the runs that have it. For each run there
    /// are the number of values, and the first and the last step.
    pub(super) fn tags(&self) -> Result<Answer, Error> {
        let mut kinds: BTreeMap<&str, BTreeMap<String, Json>> = BTreeMap::new();
        for shown in self.all() {
            let run = shown.run();
            for (name, tag) in &run.tags {
                // Hyperparameters have a view of their own.
                for (kind, data) in tag.kinds().filter(|(kind, _)| *kind != TagKind::HParams) {
                    let tags = kinds.entry(kind.name()).or_default();
                    let meta = tag.meta.as_ref();
                    let entry = tags.entry(name.clone()).or_insert_with(|| {
                        let text = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
                        json!({
                            "runs": {}, "name": text(meta.map(|meta| &meta.name)),
                            "description": text(meta.map(|meta| &meta.description)),
                            "plugin": text(tag.plugin.as_ref()),
                        })
                    });
                    let (first, last) = data.steps().unzip();
                    entry["runs"][&shown.found.name] = json!([data.total(), first, last]);
                }
            }
        }
        Answer::json(&kinds)
    }
}
