//! Models and hooks that tests share.

#[path = "../../../tests/support/python.rs"]
mod python;

use ops::global_step::get_or_create_global_step;
use ops::variables::VariableExt as _;
pub(crate) use python::{python, skipped};
use session_core::{Graph, Operation, Output, Variable};
use std::path::Path;
use summary::{EventData, SessionStatus};

/// A model that counts its steps.
pub(crate) struct Counting {
    pub(crate) graph: Graph,
    pub(crate) step: Variable,
    pub(crate) train_op: Operation,
    pub(crate) loss: Output,
}

/// A graph whose train op adds one to the global step; with a scalar summary of a constant.
pub(crate) fn counting() -> Counting {
    let graph = Graph::new();
    let step = get_or_create_global_step(&graph);
    let train_op = step.assign_add(1i64);
    let loss = ops::array::constant(&graph.named("the_loss"), 0.5f32);
    ops::summary::scalar("loss", &loss);
    Counting { graph, step, train_op, loss }
}

/// Names of the files of a folder, sorted.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All events of a folder, each in a word with its step.
pub(crate) fn events(directory: &Path) -> Vec<String> {
    let mut words = Vec::new();
    for event in summary::read_events(directory).unwrap() {
        let event = event.unwrap();
        let kind = match event.data.as_ref().unwrap() {
            EventData::FileVersion(_) => "version".to_owned(),
            EventData::Summary(summary) => {
                summary.values.first().map_or("empty", |value| &value.tag).to_owned()
            }
            EventData::SessionLog(log) => match log.status {
                SessionStatus::Start => "START".to_owned(),
                SessionStatus::Checkpoint => "CHECKPOINT".to_owned(),
                other => format!("{other:?}"),
            },
            EventData::Graph(_) => "graph".to_owned(),
            EventData::MetaGraph(_) => "meta graph".to_owned(),
            other => format!("{other:?}"),
        };
        words.push(format!("{kind} {}", event.step));
    }
    words
}

/// Keeps the warnings of each thread, since tests run in parallel.
struct Warnings;

thread_local! {
    static WARNED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            WARNED.with_borrow_mut(|lines| lines.push(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Returns the warnings of this thread since the last call; the first call begins to listen.
pub(crate) fn warnings() -> Vec<String> {
    if log::set_logger(&Warnings).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    WARNED.take()
}
