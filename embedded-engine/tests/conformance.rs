//! The suite that every engine must pass.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::EmbeddedEngine;

ops::conformance_tests!(EmbeddedEngine::new());
