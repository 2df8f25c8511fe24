//! TensorFlow 1's `SingularMonitoredSession` and `MonitoredSession` in Rust.

pub use checkpoint;
#[cfg(feature = "embedded")]
pub use embedded_engine;
pub use graph_def;
pub use hooks;
pub use monitored;
pub use ops;
pub use queue_runner;
pub use scaffold;
pub use session_core;
pub use summary;
pub use tensor;
#[cfg(feature = "tensorflow")]
pub use tensorflow_engine;

/// What most programs use, in one import.
pub mod prelude {
    #[cfg(feature = "embedded")]
    pub use embedded_engine::EmbeddedEngine;
    #[cfg(feature = "progress")]
    pub use hooks::ProgressBarHook;
    #[cfg(feature = "signals")]
    pub use hooks::SignalHook;
    pub use hooks::{
        CheckpointSaverHook, FeedFnHook, FinalOpsHook, GlobalStepWaiterHook, LoggingTensorHook,
        NanTensorHook, ProfilerHook, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues,
        StepCounterHook, StopAtStepHook, SummarySaverHook,
    };
    pub use monitored::{MonitoredSession, MonitoredTrainingSession, SingularMonitoredSession, StepContext};
    pub use queue_runner::Coordinator;
    pub use scaffold::Scaffold;
    pub use session_core::{
        Code, DType, Engine, Error, Graph, Operation, Output, PartialShape, Result, RunMetadata, RunOptions,
        Session, SessionConfig, SessionExt as _, Shape, Tensor, Variable,
    };
    #[cfg(feature = "tensorflow")]
    pub use tensorflow_engine::TensorFlowEngine;
}
