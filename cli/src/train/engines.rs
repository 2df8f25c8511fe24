//! The engines to choose from.

use monitored_session::embedded_engine::EmbeddedEngine;
use monitored_session::session_core::{Engine, Error, Result};
use std::sync::Arc;

/// What runs the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineName {
    /// The pure-Rust engine.
    Embedded,
    /// TensorFlow's own runtime, which must be installed.
    Tensorflow,
}

impl EngineName {
    pub(crate) fn engine(self) -> Result<Arc<dyn Engine>> {
        match self {
            EngineName::Embedded => Ok(Arc::new(EmbeddedEngine::new())),
            EngineName::Tensorflow => tensorflow(),
        }
    }
}

#[cfg(feature = "tensorflow")]
fn tensorflow() -> Result<Arc<dyn Engine>> {
    let engine = monitored_session::tensorflow_engine::TensorFlowEngine::new()
        .map_err(|error: Error| error.context("the engine 'tensorflow' is not to be had"))?;
    Ok(Arc::new(engine))
}

#[cfg(not(feature = "tensorflow"))]
fn tensorflow() -> Result<Arc<dyn Engine>> {
    Err(Error::runtime("this program was built without the feature 'tensorflow'"))
}
