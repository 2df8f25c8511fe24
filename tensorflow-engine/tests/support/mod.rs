//! The engine for tests, or a message that they are skipped.

#[path = "../../../tests/support/skipped.rs"]
mod skipped;

use tensorflow_engine::TensorFlowEngine;

/// The engine; without TensorFlow on this machine `None`, and the tests say so.
pub(crate) fn engine() -> Option<TensorFlowEngine> {
    match TensorFlowEngine::new() {
        Ok(engine) => Some(engine),
        Err(error) => {
            skipped::skipped(error);
            None
        }
    }
}
