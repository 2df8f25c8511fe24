//! A step counter for graphs without a global step.
//!
//! Graphs of programs without a monitored session often have no global step. Checkpoints and output still need a
//! number, so runs are counted.
//!
//! The counter is a local variable, so savers do not store it: a checkpoint then has exactly the variables of the
//! graph, and other programs can restore it. After a restore, the counter continues from the number in the
//! checkpoint's name.

use monitored_session::hooks::{Milestone, SessionRunHook};
use monitored_session::ops::array::constant;
use monitored_session::ops::variables::VariableBuilder;
use monitored_session::queue_runner::Coordinator;
use monitored_session::session_core::keys::GLOBAL_STEP;
use monitored_session::session_core::{Graph, Origin, Result, Session, SessionExt, Variable};
use std::path::Path;

/// Adds a counter of runs to a graph without a global step. It is not saved in checkpoints, which other programs may read; each
/// session starts with the number of the checkpoint that it was restored from.
pub(crate) fn counter(graph: &Graph) -> Variable {
    // The origin names the command in errors, instead of a line of its source.
    let graph = &graph.originating(Origin::library("'monitored train', which counts the steps"));
    let start = constant(&graph.scope("monitored_train"), 0i64);
    let builder = VariableBuilder::new(&graph.scope("")).exact_name("monitored_train/step").trainable(false);
    builder.local().collection(&GLOBAL_STEP).initial_value(start).build()
}

/// Sets the counter after a restore. Must precede all hooks that use the step.
pub(crate) struct CounterStart {
    /// The local variable that counts the runs.
    counter: Variable,
    /// The number of the restored checkpoint, if the session knows it already.
    restored: Option<i64>,
}

impl CounterStart {
    /// Creates the hook for a counter.
    pub(crate) fn new(counter: &Variable) -> CounterStart {
        CounterStart { counter: counter.clone(), restored: None }
    }
}

impl SessionRunHook for CounterStart {
    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        if let Milestone::Restored(report) = milestone {
            self.restored = number_of(&report.prefix);
        }
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        let Some(number) = self.restored.take() else { return Ok(()) };
        session.run(self.counter.initializer(), [(self.counter.initial_value(), number)])
    }
}

/// Returns the number at the end of a checkpoint's name.
fn number_of(prefix: &Path) -> Option<i64> {
    // A checkpoint of another program may have no number; the counter then starts at 0.
    prefix.file_name()?.to_str()?.rsplit_once('-')?.1.parse().ok()
}
