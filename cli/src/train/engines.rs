//! The engines that `--engine` selects.
//!
//! The feature `tensorflow` only adds the code that loads TensorFlow's library at run time. A program without it
//! reports which build is needed, and one with it where the library was searched for.

use super::task::Task;
use monitored_session::embedded_engine::EmbeddedEngine;
use monitored_session::session_core::{Engine, Error, Result};
use std::sync::Arc;

/// The engine that runs the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineName {
    /// The pure-Rust engine.
    Embedded,
    /// TensorFlow's own runtime, which must be installed.
    Tensorflow,
}

impl EngineName {
    /// Returns the engine for a task, with the placement of the cluster if there is one.
    pub(crate) fn engine(self, task: &Task) -> Result<Arc<dyn Engine>> {
        // Checked first: options for a cluster need another engine, and would be ignored by this one.
        task.check(self)?;
        match self {
            EngineName::Embedded => Ok(Arc::new(EmbeddedEngine::new())),
            EngineName::Tensorflow => tensorflow(task),
        }
    }
}

impl EngineName {
    /// The engine in this process alone.
    pub(crate) fn local(self) -> Result<Arc<dyn Engine>> {
        match self {
            EngineName::Embedded => Ok(Arc::new(EmbeddedEngine::new())),
            EngineName::Tensorflow => local_tensorflow(),
        }
    }
}

/// Loads TensorFlow's library, for a run in this process.
#[cfg(feature = "tensorflow")]
fn local_tensorflow() -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(tensorflow_engine()?))
}

/// Returns the error of a program that was built without the feature.
#[cfg(not(feature = "tensorflow"))]
fn local_tensorflow() -> Result<Arc<dyn Engine>> {
    Err(Error::runtime(
        "this program was built without the feature 'tensorflow': build it with the feature, or use --engine embedded",
    ))
}

/// Finds TensorFlow's library.
#[cfg(feature = "tensorflow")]
fn tensorflow_engine() -> Result<monitored_session::tensorflow_engine::TensorFlowEngine> {
    monitored_session::tensorflow_engine::TensorFlowEngine::new()
        .map_err(|error: Error| error.context("the engine 'tensorflow' is not available"))
}

/// Loads TensorFlow's library, and places variables if there is a cluster.
#[cfg(feature = "tensorflow")]
fn tensorflow(task: &Task) -> Result<Arc<dyn Engine>> {
    use monitored_session::tensorflow_engine::{ClusterSpec, ReplicaDeviceSetter};
    let engine = tensorflow_engine()?;
    let Some((cluster, device)) = task.placement() else { return Ok(Arc::new(engine)) };
    let setter = ReplicaDeviceSetter::new(&cluster.parse::<ClusterSpec>()?).worker_device(device);
    Ok(Arc::new(engine.device_setter(setter)))
}

/// Returns the error of a program that was built without the feature.
#[cfg(not(feature = "tensorflow"))]
fn tensorflow(_: &Task) -> Result<Arc<dyn Engine>> {
    local_tensorflow()
}
