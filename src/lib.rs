//! TensorFlow 1's `SingularMonitoredSession` and `MonitoredSession` in Rust: build a graph, and let a session drive its
//! training. The session initializes or restores the model, calls hooks around every run, saves, recovers, and shuts down
//! in order.
//!
//! ```
//! # #[cfg(feature = "embedded")] {
//! use monitored_session::ops::{array, math, optimizers::*, variables};
//! use monitored_session::prelude::*;
//!
//! let graph = Graph::new();
//! let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
//! let y = array::placeholder(&graph.named("y"), DType::Float32, [None]);
//! let w = variables::variable(&graph.named("w"), 0.0f32);
//! let b = variables::variable(&graph.named("b"), 0.0f32);
//! let loss = math::reduce_mean(math::square(&x * &w + &b - &y), ..);
//! let train_op = GradientDescentOptimizer::new(0.1).minimize(&loss, None);
//!
//! let mut session = SingularMonitoredSession::builder(&graph).hook(NanTensorHook::new(&loss)).build()?;
//! for _ in 0..300 {
//!     session.run(&train_op, [(&x, vec![0.0f32, 1.0, 2.0]), (&y, vec![1.0, 3.0, 5.0])])?;
//! }
//! let (w, b) = session.run((&w, &b), [(&x, vec![0.0f32]), (&y, vec![1.0])])?;
//! assert!((w.value::<f32>()? - 2.0).abs() < 0.01 && (b.value::<f32>()? - 1.0).abs() < 0.01);
//! session.close()?;
//! # }
//! # Ok::<(), monitored_session::session_core::Error>(())
//! ```
//!
//! This crate re-exports the others. Continue with [`monitored`], which describes the sessions and their life cycle.
//! If you know TensorFlow 1, start with the page
//! `from_tensorflow`.
//!
//! | crate | purpose |
//! | --- | --- |
//! | [`monitored`] | the sessions |
//! | [`hooks`] | callbacks around runs: saving, logging, stopping, ... |
//! | [`scaffold`] | initialization, restoring, readiness |
//! | [`dataset`] | datasets and their iterators: records, shuffling, batches |
//! | [`queue_runner`] | the coordinator and input threads |
//! | [`checkpoint`], [`summary`] | checkpoints, event files and records |
//! | [`graph_def`] | graph files |
//! | [`saved_model`] | SavedModels and frozen graphs, called through their signatures |
//! | [`ops`], [`session_core`] | operations, gradients and optimizers; the graph |
//! | [`tensor`] | values |
//! | `embedded_engine` | the engine in pure Rust (feature `embedded`, on by default) |
//! | `tensorflow_engine` | TensorFlow's own runtime as an engine (feature `tensorflow`) |
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use checkpoint;
pub use dataset;
#[cfg(feature = "embedded")]
pub use embedded_engine;
pub use graph_def;
pub use hooks;
pub use monitored;
pub use ops;
pub use queue_runner;
pub use saved_model;
pub use scaffold;
pub use session_core;
pub use summary;
pub use tensor;
#[cfg(feature = "tensorflow")]
pub use tensorflow_engine;

#[cfg(all(any(doc, doctest), feature = "embedded"))]
#[doc = include_str!("../docs/from-tensorflow.md")]
pub mod from_tensorflow {}

/// Compiles and runs the programs of the guide.
#[cfg(all(doctest, feature = "embedded"))]
mod guide {
    #[doc = include_str!("../docs/first-training.md")]
    mod first_training {}
    #[doc = include_str!("../docs/your-own-loop.md")]
    mod your_own_loop {}
    #[doc = include_str!("../docs/hooks.md")]
    mod hooks {}
    #[doc = include_str!("../docs/recurrence.md")]
    mod recurrence {}
    #[doc = include_str!("../docs/input.md")]
    mod input {}
    #[doc = include_str!("../docs/resuming.md")]
    mod resuming {}
    #[doc = include_str!("../docs/evaluation.md")]
    mod evaluation {}
    #[doc = include_str!("../docs/distributed.md")]
    mod distributed {}
    #[doc = include_str!("../docs/saved-models.md")]
    mod saved_models {}
    #[doc = include_str!("../docs/from-training-to-use.md")]
    mod from_training_to_use {}
    #[doc = include_str!("../README.md")]
    mod readme {}
}

/// The names that most programs use, in one import.
pub mod prelude {
    pub use checkpoint::{Better, GraphSaver, RestoreOptions, SaverOptions};
    #[cfg(feature = "embedded")]
    pub use embedded_engine::EmbeddedEngine;
    #[cfg(feature = "progress")]
    pub use hooks::ProgressBarHook;
    #[cfg(feature = "prometheus")]
    pub use hooks::PrometheusHook;
    #[cfg(feature = "signals")]
    pub use hooks::SignalHook;
    pub use hooks::{
        BestCheckpointHook, CheckpointSaverHook, CheckpointSaverListener, ClosureHook, EarlyStoppingHook,
        EvaluatorHook, FeedFnHook, FinalOpsHook, GlobalStepWaiterHook, InputSummaryHook, LoggingTensorHook,
        Metric, MetricsFileHook, NanTensorHook, ProfilerHook, SessionRunArgs, SessionRunContext,
        SessionRunHook, SessionRunValues, SessionStoryHook, StallWatchdogHook, StepCounterHook,
        StopAfterNEvalsHook, StopAtStepHook, SummaryAtEndHook, SummarySaverHook, SyncReplicas as _,
        SyncReplicasHook, TimeLimitHook,
    };
    pub use monitored::{
        BestExporter, EvalSpec, Evaluation, FinalExporter, HostTraining, LatestExporter, MonitoredSession,
        MonitoredTrainingSession, RecoveryPolicy, SingularMonitoredSession, StepContext, TrainSpec,
        train_and_evaluate,
    };
    pub use ops::variables::VariableExt as _;
    pub use queue_runner::Coordinator;
    pub use saved_model::{CheckpointExport, FrozenGraph, SavedModel};
    pub use scaffold::Scaffold;
    pub use session_core::{
        Code, DType, Engine, Error, Graph, Operation, Output, PartialShape, Result, Reuse, RunMetadata,
        RunOptions, Session, SessionConfig, SessionExt as _, Shape, Tensor, Variable,
    };
    #[cfg(feature = "tensorflow")]
    pub use tensorflow_engine::TensorFlowEngine;
}
