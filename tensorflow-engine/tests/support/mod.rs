//! The engine for tests, or a message that they are skipped.

#[path = "../../../tests/support/skipped.rs"]
mod skipped;

use tensorflow_engine::TensorFlowEngine;

/// The engine; `None` without TensorFlow on this machine, which the tests report.
pub(crate) fn engine() -> Option<TensorFlowEngine> {
    match TensorFlowEngine::new() {
        Ok(engine) => Some(engine),
        Err(error) => {
            skipped::skipped(error);
            None
        }
    }
}
