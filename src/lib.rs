//! TensorFlow 1's `SingularMonitoredSession` and `MonitoredSession` in Rust.

pub use checkpoint;
#[cfg(feature = "embedded")]
pub use embedded_engine;
pub use hooks;
pub use ops;
pub use queue_runner;
pub use scaffold;
pub use session_core;
pub use summary;
pub use tensor;

/// What most programs use, in one import.
pub mod prelude {
    #[cfg(feature = "embedded")]
    pub use embedded_engine::EmbeddedEngine;
    pub use session_core::{
        DType, Engine, Error, Graph, Operation, Output, Result, RunOptions, Session, SessionConfig, SessionExt as _, Shape,
        Tensor, Variable,
    };
}
