//! `monitored events list`: the tags of a run.
//!
//! # Counts
//!
//! A count is the number of values that a viewer shows. Points that a restart replaced are therefore not counted; the
//! rule is TensorBoard's, in `summary::Restarts`. The whole run is read, because a later file may replace points of
//! an earlier one.
//!
//! # Damage
//!
//! A damaged event is skipped, and a damaged record ends its file. Both are reported after the list, and the exit
//! code is then 1. A file that ends within an event is not damaged: its training may still be running.
//!
//! # Output
//!
//! A table with a line for each tag and kind: the number of values, and the first and the last step. A tag
//! with values of two kinds has two lines. The line below it counts files, tags, starts and checkpoints of
//! sessions, graphs, and runs with recorded metadata. With `--json` the same is one object, with the files,
//! the session logs one by one, and the offsets at which files end within an event.

use super::run::{Unreadable, each_event};
use crate::output::{Result, write_json};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use summary::{Event, EventData, Restarts, SessionStatus, TagKind, Value};
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A run's folder, or one event file.
    path: PathBuf,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// The content of a run, without the values.
#[derive(Debug, Default)]
struct Contents {
    /// The event files, in the order in which they were read.
    files: Vec<PathBuf>,
    /// The steps of the values of each tag and kind, in the order of the files.
    steps: BTreeMap<(String, TagKind), Vec<i64>>,
    /// The plug-in of each tag that names one, which only the first value of some does.
    plugins: BTreeMap<String, String>,
    /// The number of graphs.
    graphs: usize,
    /// The number of meta graphs.
    meta_graphs: usize,
    /// The tags of run metadata.
    run_metadata: Vec<String>,
    /// The session logs: status, step, and the path of a checkpoint.
    sessions: Vec<(&'static str, i64, String)>,
    /// Detects restarts, whose points replace earlier ones, by TensorBoard's rule.
    restarts: Restarts,
}

impl Contents {
    /// Adds an event.
    fn add(&mut self, file: &Path, event: Event) {
        if self.files.last().is_none_or(|last| last != file) {
            self.files.push(file.to_path_buf());
        }
        // The points that a restart replaced are removed when the restart is seen, as a viewer does.
        if let Some(void) = self.restarts.observe(&event) {
            for ((tag, _), steps) in &mut self.steps {
                if let Some(first) = void.first_step_of(tag) {
                    steps.retain(|&step| step < first);
                }
            }
        }
        let step = event.step;
        match event.data {
            Some(EventData::Summary(summary)) => {
                summary.values.into_iter().for_each(|value| self.add_value(value, step));
            }
            Some(EventData::Graph(_)) => self.graphs += 1,
            Some(EventData::MetaGraph(_)) => self.meta_graphs += 1,
            Some(EventData::RunMetadata { tag, .. }) => self.run_metadata.push(tag),
            Some(EventData::SessionLog(log)) => {
                let status = match log.status {
                    SessionStatus::Start => "start",
                    SessionStatus::Stop => "stop",
                    SessionStatus::Checkpoint => "checkpoint",
                    _ => "other",
                };
                self.sessions.push((status, step, log.checkpoint_path));
            }
            _ => {}
        }
    }

    /// Adds a value. Its kind may depend on the plug-in that the first value of the tag named.
    fn add_value(&mut self, value: Value, step: i64) {
        // Summaries of TensorFlow 2 name the plug-in in the first value only, so it is remembered.
        if !self.plugins.contains_key(&value.tag)
            && let Some(plugin) = value.shown_by()
        {
            self.plugins.insert(value.tag.clone(), plugin.to_owned());
        }
        let kind = TagKind::of(&value, self.plugins.get(&value.tag).map(String::as_str));
        self.steps.entry((value.tag, kind)).or_default().push(step);
    }
}

impl Arguments {
    /// Reads the whole run, and lists it. Damage is reported on the standard error and by the exit code.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let mut contents = Contents::default();
        let unreadable = each_event(&self.path, |file, event| contents.add(file, event))?;
        if self.json {
            write_json(out, &self.as_json(&contents, &unreadable), true)?;
        } else {
            print(&contents, out)?;
            // The list first: the report goes to another stream, and would otherwise appear in front of it.
            out.flush()?;
            unreadable.report();
        }
        Ok(unreadable.outcome())
    }

    /// Describes the run as a JSON object.
    fn as_json(&self, contents: &Contents, unreadable: &Unreadable) -> Json {
        let tags = contents.steps.iter().map(|((tag, kind), steps)| {
            json!({
                "tag": tag, "kind": kind.name(), "plugin": contents.plugins.get(tag), "count": steps.len(),
                "first_step": steps.first(), "last_step": steps.last(),
            })
        });
        let sessions = contents.sessions.iter().map(|(status, step, path)| {
            json!({"status": status, "step": step, "checkpoint": (!path.is_empty()).then_some(path)})
        });
        let unfinished =
            unreadable.unfinished.iter().map(|(file, offset)| json!({"file": file, "offset": offset}));
        json!({
            "path": self.path, "files": contents.files, "tags": tags.collect::<Vec<_>>(),
            "graphs": contents.graphs, "meta_graphs": contents.meta_graphs, "run_metadata": contents.run_metadata,
            "sessions": sessions.collect::<Vec<_>>(), "unfinished": unfinished.collect::<Vec<_>>(),
            "damage": unreadable.damage,
        })
    }
}

/// Prints a table of the tags, and a summary below it.
fn print(contents: &Contents, out: &mut dyn Write) -> io::Result<()> {
    let shown = |tag: &str| escaped(tag).to_string();
    let width = contents.steps.keys().map(|(tag, _)| shown(tag).chars().count()).max().unwrap_or(0).max(3);
    if !contents.steps.is_empty() {
        writeln!(
            out,
            "{:width$}  kind       {:>8}  {:>10}  {:>10}",
            "tag", "count", "first step", "last step"
        )?;
    }
    for ((tag, kind), steps) in &contents.steps {
        let ends = |step: Option<&i64>| step.map_or_else(|| "-".to_owned(), i64::to_string);
        let (first, last) = (ends(steps.first()), ends(steps.last()));
        let tag = shown(tag);
        writeln!(out, "{tag:width$}  {:9}  {:>8}  {first:>10}  {last:>10}", kind.name(), steps.len())?;
    }
    let count = |status| contents.sessions.iter().filter(|(known, ..)| *known == status).count();
    writeln!(
        out,
        "{} file(s), {} tag(s), {} start(s), {} checkpoint(s), {} graph(s), {} profiled run(s)",
        contents.files.len(),
        contents.steps.len(),
        count("start"),
        count("checkpoint"),
        contents.graphs,
        contents.run_metadata.len()
    )
}
