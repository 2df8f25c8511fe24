//! The parameters of runs, with their last numbers.

use super::Answer;
use crate::Error;
use crate::board::Board;
use crate::run::Run;
use crate::series::number;
use serde_json::{Map, Value as Json, json};
use summary::{HParam, TagKind};

/// How many numbers of a run are offered as columns.
const MAX_METRICS: usize = 200;

impl Board {
    /// Of each run that has parameters: these, and the last number of each of its tags. TensorBoard's writers put the
    /// parameters of a trial into a folder of their own or below it, so a run's parent may hold its parameters.
    pub(super) fn hparams(&self) -> Result<Answer, Error> {
        let mut rows = Vec::new();
        for shown in self.all() {
            let name = &shown.found.name;
            let place = {
                let run = shown.run();
                let places = run.places("_hparams_/session_start_info", TagKind::HParams);
                places.and_then(|places| places.last().copied()).map(|place| (place, last_numbers(&run)))
            };
            let Some((place, mut metrics)) = place else { continue };
            let query = super::Query(vec![("run".into(), name.as_str().into())]);
            let Ok(value) = self.value_at(&query, &place) else { continue };
            let content = value.metadata.and_then(|metadata| metadata.plugin).map(|plugin| plugin.content);
            let Some(parameters) = content.and_then(|content| HParam::of_plugin_content(&content)) else {
                continue;
            };
            // A trial's numbers may be in the folders below it.
            for below in self.all() {
                if let Some(inner) = below.found.name.strip_prefix(&format!("{name}/")) {
                    for (tag, value) in last_numbers(&below.run()) {
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

fn last_numbers(run: &Run) -> Map<String, Json> {
    let scalars =
        run.tags.iter().filter_map(|(name, tag)| Some((name.clone(), number(tag.series()?.last()?.value))));
    scalars.take(MAX_METRICS).collect()
}

fn as_json(value: HParam) -> Json {
    match value {
        HParam::Number(value) => number(value),
        HParam::Text(text) => text.into(),
        HParam::Flag(flag) => flag.into(),
    }
}
