//! The engine for tests, or a message that they are skipped.

use tensorflow_engine::TensorFlowEngine;

/// The engine; without TensorFlow on this machine `None`, and the tests say so.
pub(crate) fn engine() -> Option<TensorFlowEngine> {
    match TensorFlowEngine::new() {
        Ok(engine) => Some(engine),
        Err(error) => {
            println!("SKIPPED: {error}");
            None
        }
    }
}
