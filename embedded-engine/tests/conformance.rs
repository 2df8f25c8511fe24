//! The suite that every engine must pass.

use embedded_engine::EmbeddedEngine;

ops::conformance_tests!(EmbeddedEngine::new());
