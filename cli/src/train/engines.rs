//! The engines to choose from.

use super::task::Task;
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
    pub(crate) fn engine(self, task: &Task) -> Result<Arc<dyn Engine>> {
        task.check(self)?;
        match self {
            EngineName::Embedded => Ok(Arc::new(EmbeddedEngine::new())),
            EngineName::Tensorflow => tensorflow(task),
        }
    }
}

#[cfg(feature = "tensorflow")]
fn tensorflow(task: &Task) -> Result<Arc<dyn Engine>> {
    use monitored_session::tensorflow_engine::{ClusterSpec, ReplicaDeviceSetter, TensorFlowEngine};
    let engine = TensorFlowEngine::new()
        .map_err(|error: Error| error.context("the engine 'tensorflow' is not to be had"))?;
    let Some((cluster, device)) = task.placement() else { return Ok(Arc::new(engine)) };
    let setter = ReplicaDeviceSetter::new(&cluster.parse::<ClusterSpec>()?).worker_device(device);
    Ok(Arc::new(engine.device_setter(setter)))
}

#[cfg(not(feature = "tensorflow"))]
fn tensorflow(_: &Task) -> Result<Arc<dyn Engine>> {
    Err(Error::runtime("this program was built without the feature 'tensorflow'"))
}
