//! Graphs that TensorFlow 1 programs exported return the values that TensorFlow computed (`graphs/make_graphs.py` and
//! `graphs/make_programs.py`).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use crate::graphs;
use crate::graphs::{difference, tensor};
use embedded_engine::EmbeddedEngine;
use serde_json::Value;
use session_core::{Engine, Graph, Operation, Output, Result, Session, SessionConfig, SessionExt, Tensor};
use std::sync::Arc;

struct Recorded {
    graph: Graph,
    session: Arc<dyn Session>,
    steps: Value,
    /// Where it saves; what is fed as the name of a checkpoint lies in there.
    folder: tempfile::TempDir,
}

impl Recorded {
    fn load(name: &str, optimize: bool) -> Result<Recorded> {
        let recorded = graphs::recorded(name);
        let graph = graphs::import(name)?;
        let mut config = SessionConfig::with_threads(1);
        config.optimize = optimize;
        let session = EmbeddedEngine::new().new_session(&graph, "", &config)?;
        session.run(&graph.operation(recorded["init"].as_str().unwrap())?, ())?;
        let folder = tempfile::tempdir().unwrap();
        Ok(Recorded { graph, session, steps: recorded["steps"].clone(), folder })
    }

    fn fed(&self, value: &Value) -> Tensor {
        match value["values"][0].as_str() {
            Some(name) if name.ends_with(".ckpt") => {
                Tensor::string(self.folder.path().join(name).to_str().unwrap().to_owned())
            }
            _ => tensor(value),
        }
    }

    fn run(&self, step: &Value) -> Result<Option<String>> {
        let named = |name: &str| -> Result<Output> { self.graph.output(name) };
        let list = |key: &str| step[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let feeds = step["feeds"].as_object().unwrap().iter();
        let feeds: Vec<(Output, Tensor)> =
            feeds.map(|(name, value)| Ok((named(name)?, self.fed(value)))).collect::<Result<_>>()?;
        let fetches: Vec<Output> = list("fetches").map(named).collect::<Result<_>>()?;
        let targets: Vec<Operation> =
            list("targets").map(|name| self.graph.operation(name)).collect::<Result<_>>()?;
        let ran = self.session.run((&fetches, &targets), feeds);
        if let Some(code) = step["error"].as_i64() {
            let found = ran.err().map(|error| error.code() as i64);
            return Ok((found != Some(code)).then(|| format!("ended with {found:?} instead of code {code}")));
        }
        let (values, _) = ran?;
        let expected = step["values"].as_array().unwrap();
        let differences =
            values.iter().zip(expected).zip(list("fetches")).filter_map(|((found, value), name)| {
                difference(found, &tensor(value)).map(|text| format!("{name}: {text}"))
            });
        let text = differences.collect::<Vec<_>>().join("; ");
        Ok((!text.is_empty()).then_some(text))
    }
}

fn check(name: &str, optimize: bool) -> Result<Option<String>> {
    let recorded = Recorded::load(name, optimize)?;
    for (index, step) in recorded.steps.as_array().unwrap().iter().enumerate() {
        if let Some(text) = recorded.run(step)? {
            return Ok(Some(format!("step {index}: {text}")));
        }
    }
    Ok(None)
}

#[test]
fn exported_graphs_give_tensorflows_values() {
    let names = graphs::names();
    let mut wrong = Vec::new();
    for name in &names {
        for optimize in [true, false] {
            match check(name, optimize) {
                Ok(None) => {}
                Ok(Some(text)) => wrong.push(format!("{name} (optimize {optimize}): {text}")),
                Err(error) => wrong.push(format!("{name} (optimize {optimize}): {error}")),
            }
        }
    }
    println!("{} graphs", names.len());
    assert!(!names.is_empty() && wrong.is_empty(), "{}", wrong.join("\n"));
}
