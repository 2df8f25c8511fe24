//! Running a graph on both engines, and what came of it.

use crate::compare::difference;
use crate::support;
use embedded_engine::EmbeddedEngine;
use session_core::{
    Code, Engine, Error, Graph, Operation, Output, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use tensorflow_engine::{TensorFlowEngine, TensorFlowSession};

/// Both engines.
pub(crate) struct Engines {
    ours: EmbeddedEngine,
    theirs: TensorFlowEngine,
}

/// A session of each on one graph.
pub(crate) struct Pair {
    pub(crate) ours: Arc<dyn Session>,
    pub(crate) theirs: TensorFlowSession,
}

/// How the two differ.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The engines do not differ at all.
    Same,
    /// Our engine lacks something.
    Missing(String),
    /// TensorFlow has no kernel.
    Untold,
    /// So.
    Different(String),
}

impl Engines {
    /// The engines; without TensorFlow on this machine `None`.
    pub(crate) fn new() -> Option<Engines> {
        Some(Engines { ours: EmbeddedEngine::new(), theirs: support::engine()? })
    }

    /// A session of each. TensorFlow's optimizers are off: they are not what is compared, and they take most of the
    /// time.
    pub(crate) fn open(&self, graph: &Graph) -> Result<Pair> {
        let config = SessionConfig::with_threads(1);
        let plain = config.clone().optimize(false);
        Ok(Pair {
            ours: self.ours.new_session(graph, "", &config)?,
            theirs: self.theirs.open(graph, "", &plain)?,
        })
    }
}

/// Returns true if the embedded engine reports that it lacks something, rather than that the graph is wrong.
fn is_missing(error: &Error) -> bool {
    error.code() == Code::Unimplemented
}

/// Whether TensorFlow has no kernel for an operation of these dtypes, on this device.
fn has_no_kernel(error: &Error) -> bool {
    error.code() == Code::Unimplemented
        || ["No OpKernel was registered", "Could not find device for node", "registered kernels"]
            .iter()
            .any(|text| error.message().contains(text))
}

/// An error's code and first line.
fn short(error: &Error) -> String {
    format!("{}: {}", error.code(), error.message().lines().next().unwrap_or_default())
}

impl Pair {
    /// Runs both and compares each value; where both fail, the codes.
    pub(crate) fn compare(&self, outputs: &[Output], feeds: &[(Output, Tensor)], slack: f64) -> Outcome {
        let ours = self.ours.run(outputs, feeds.to_vec());
        let theirs = self.theirs.run(outputs, feeds.to_vec());
        match (ours, theirs) {
            (_, Err(error)) if has_no_kernel(&error) => Outcome::Untold,
            (Ok(ours), Ok(theirs)) => {
                let pairs = ours.iter().zip(&theirs).enumerate();
                let different =
                    pairs.filter_map(|(i, (a, b))| Some(format!("output {i}: {}", difference(a, b, slack)?)));
                let different: Vec<String> = different.collect();
                if different.is_empty() { Outcome::Same } else { Outcome::Different(different.join("; ")) }
            }
            (Err(error), _) if is_missing(&error) => Outcome::Missing(error.message().to_owned()),
            (Err(ours), Err(theirs)) if ours.code() == theirs.code() => Outcome::Same,
            (Err(ours), Err(theirs)) => {
                Outcome::Different(format!("fails with {ours}, TensorFlow with {}", short(&theirs)))
            }
            (Err(error), Ok(theirs)) => {
                Outcome::Different(format!("fails with {error}, TensorFlow gives {theirs:?}"))
            }
            (Ok(ours), Err(error)) => {
                Outcome::Different(format!("gives {ours:?}, TensorFlow fails with {}", short(&error)))
            }
        }
    }
}

/// The outcome of two runs of which at least one failed.
pub(crate) fn failures(ours: Result<()>, theirs: Result<()>) -> Outcome {
    match (ours, theirs) {
        (_, Err(error)) if has_no_kernel(&error) => Outcome::Untold,
        (Err(error), _) if is_missing(&error) => Outcome::Missing(error.message().to_owned()),
        (Err(ours), Err(theirs)) if ours.code() == theirs.code() => Outcome::Same,
        (Err(ours), Err(theirs)) => {
            Outcome::Different(format!("fails with {ours}, TensorFlow with {}", short(&theirs)))
        }
        (Err(ours), Ok(())) => Outcome::Different(format!("fails with {ours}, TensorFlow does not")),
        (Ok(()), Err(theirs)) => {
            Outcome::Different(format!("runs, TensorFlow fails with {}", short(&theirs)))
        }
        (Ok(()), Ok(())) => Outcome::Same,
    }
}

/// The op types that these outputs and operations need.
fn needed(outputs: &[Output], targets: &[&Operation]) -> BTreeSet<String> {
    let mut open: Vec<Operation> = outputs.iter().map(|output| output.operation().clone()).collect();
    open.extend(targets.iter().map(|&target| target.clone()));
    let (mut seen, mut types) = (HashSet::new(), BTreeSet::new());
    while let Some(operation) = open.pop() {
        if seen.insert(operation.id()) {
            types.insert(operation.op_type().to_owned());
            open.extend(operation.inputs().iter().map(|input| input.operation().clone()));
            open.extend(operation.control_inputs());
        }
    }
    types
}

/// The outcome of all comparisons.
#[derive(Default)]
pub(crate) struct Report {
    agreed: usize,
    /// Rows for which TensorFlow has no kernel.
    untold: usize,
    covered: BTreeSet<String>,
    missing: BTreeMap<String, Vec<String>>,
    different: Vec<String>,
    excused: BTreeSet<String>,
}

impl Report {
    /// Adds an outcome of a row, which `known` lists if it is expected to differ.
    pub(crate) fn add(&mut self, name: &str, outputs: &[Output], outcome: Outcome, known: Option<&str>) {
        self.add_with(name, outputs, &[], outcome, known);
    }

    /// As [`add`](Report::add), for a row that also ran operations for their effect.
    pub(crate) fn add_with(
        &mut self,
        name: &str,
        outputs: &[Output],
        targets: &[&Operation],
        outcome: Outcome,
        known: Option<&str>,
    ) {
        match (outcome, known) {
            (Outcome::Same, _) => {
                self.agreed += 1;
                self.covered.extend(needed(outputs, targets));
            }
            (Outcome::Untold, _) => self.untold += 1,
            (Outcome::Missing(what), _) => self.missing.entry(what).or_default().push(name.to_owned()),
            (Outcome::Different(_), Some(reason)) => {
                self.excused.insert(format!("{name}: {reason}"));
            }
            (Outcome::Different(how), None) => self.different.push(format!("{name}: {how}")),
        }
    }

    /// Adds a row that could not even be begun.
    pub(crate) fn fail(&mut self, name: &str, how: String) {
        self.different.push(format!("{name}: {how}"));
    }

    pub(crate) fn covered(&self) -> usize {
        self.covered.len()
    }

    pub(crate) fn is_good(&self) -> bool {
        self.different.is_empty()
    }

    pub(crate) fn problems(&self) -> String {
        format!("{} rows differ:\n{}", self.different.len(), self.different.join("\n"))
    }

    pub(crate) fn print(&self) {
        println!(
            "{} comparisons agree, {} rows are not for TensorFlow; {} op types covered",
            self.agreed,
            self.untold,
            self.covered()
        );
        for row in &self.excused {
            println!("known to differ: {row}");
        }
        for (what, rows) in &self.missing {
            println!("missing here: {what} (in {} rows: {} ...)", rows.len(), rows[0]);
        }
    }
}
