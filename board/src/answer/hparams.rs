//! The hyperparameters of runs, with their last metrics.
//!
//! TensorBoard's format stores the parameters of a trial as metadata of the tag `_hparams_/session_start_info`.
//! Writers attach metadata to the first value of a tag only, and a resumed run may write it again; so the values are
//! examined from the newest on, up to a limit. The metrics are not taken from the format's own list, which many
//! writers leave out: each scalar of the run or of a folder below it is a column.

use super::Answer;
use crate::Error;
use crate::board::Board;
use crate::run::Run;
use crate::series::number;
use serde_json::{Map, Value as Json, json};
use summary::{HParam, TagKind};

/// The maximum number of tags of a run that are offered as columns.
const MAX_METRICS: usize = 200;
/// The maximum number of values that are read to find the parameters of a run.
const MAX_LOOKS: usize = 20;

impl Board {
    /// Returns the parameters of each run that has some, and the last number of each of its tags. TensorBoard's writers put the
    /// parameters of a trial into a folder of their own or below it, so a run's parent may hold its parameters.
    pub(super) fn hparams(&self) -> Result<Answer, Error> {
        let mut rows = Vec::new();
        for shown in self.all() {
            let name = &shown.found.name;
            let found = {
                let run = shown.run();
                let places = run.places("_hparams_/session_start_info", TagKind::HParams);
                places.map(|places| (places.iter().rev().copied().collect::<Vec<_>>(), last_numbers(&run)))
            };
            let Some((places, mut metrics)) = found else { continue };
            let query = super::Query(vec![("run".into(), name.as_str().into())]);
            // The newest that has them: writers leave the metadata out of all but a tag's first value.
            let parameters = places.iter().take(MAX_LOOKS).find_map(|place| {
                let plugin = self.value_at(&query, place).ok()?.metadata?.plugin?;
                HParam::of_plugin_content(&plugin.content)
            });
            let Some(parameters) = parameters else { continue };
            // A trial's numbers may be in the folders below it.
            for below in self.all() {
                if let Some(inner) = below.found.name.strip_prefix(&format!("{name}/")) {
                    for (tag, value) in last_numbers(&below.run()) {
                        // The run's own number wins; names with a folder cannot hide it.
                        metrics.entry(format!("{inner}: {tag}")).or_insert(value);
                    }
                }
            }
            let parameters: Map<String, Json> =
                parameters.into_iter().map(|(key, value)| (key, as_json(value))).collect();
            rows.push(json!({"run": name, "hparams": parameters, "metrics": metrics}));
        }
        Answer::json(&json!({"rows": rows}))
    }
}

/// Returns the last number of each tag of a run.
fn last_numbers(run: &Run) -> Map<String, Json> {
    let scalars =
        run.tags.iter().filter_map(|(name, tag)| Some((name.clone(), number(tag.series()?.last()?.value))));
    scalars.take(MAX_METRICS).collect()
}

/// Converts a parameter to JSON, with its type, so that the page can sort numbers as such.
fn as_json(value: HParam) -> Json {
    match value {
        HParam::Number(value) => number(value),
        HParam::Text(text) => text.into(),
        HParam::Flag(flag) => flag.into(),
    }
}
