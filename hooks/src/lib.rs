//! Hooks of monitored sessions: the trait [`SessionRunHook`], and built-in hooks for the needs of a training.
//!
//! A hook adds fetches, feeds and operations to the user's own run and sees their results. It depends neither on the engine nor
//! the loop. This program writes a hook, and drives it by hand over a scripted session, as a test would:
//!
//! ```
//! use hooks::{OriginalArgs, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
//! use session_core::mock::MockSession;
//! use session_core::{DType, Graph, Output, OutputInfo, PartialShape, Result};
//! use session_core::{RunMetadata, RunOptions, Session, Step, Tensor};
//!
//! /// Keeps the lowest loss.
//! struct Lowest { loss: Output, value: f32 }
//!
//! impl SessionRunHook for Lowest {
//!     fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
//!         Ok(Some(SessionRunArgs::new().fetch(&self.loss)))
//!     }
//!     fn after_run(&mut self, context: &mut SessionRunContext<'_>, values: &SessionRunValues<'_>) -> Result<()> {
//!         self.value = self.value.min(values[0].value()?);
//!         if self.value < 0.1 {
//!             context.request_stop("the loss is low enough");
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result<()> {
//!     let graph = Graph::new();
//!     let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
//!     let loss = graph.undefined_op("Loss").described_output(info).finish_output();
//!     let session = MockSession::new(&graph);
//!     let mut hook = Lowest { loss, value: f32::INFINITY };
//!     let mut steps = 0;
//!     for loss in [0.5f32, 0.7, 0.05, 0.01] {
//!         session.expect(move |_| Ok(vec![Tensor::from(loss)]));
//!         let (options, mut metadata) = (RunOptions::default(), RunMetadata::default());
//!         let mut context = SessionRunContext::new(&session, OriginalArgs::default());
//!         let args = hook.before_run(&mut context)?.unwrap_or_default();
//!         let step = Step { fetches: args.fetches(), targets: &[], feeds: &[], options: &options };
//!         let fetched = session.execute(&step, Some(&mut metadata))?;
//!         hook.after_run(&mut context, &SessionRunValues::all(&fetched, &options, &metadata))?;
//!         steps += 1;
//!         if context.stop_requested() {
//!             break;
//!         }
//!     }
//!     assert_eq!((steps, hook.value), (3, 0.05));
//!     Ok(())
//! }
//! ```
//!
//! # The built-in hooks
//!
//! | Hook | Purpose | State in the checkpoint |
//! | --- | --- | --- |
//! | [`CheckpointSaverHook`] | saves checkpoints, with [listeners](CheckpointSaverListener) | |
//! | [`StopAtStepHook`] | stops at a step | |
//! | [`LoggingTensorHook`] | logs values | |
//! | [`StepCounterHook`] | logs and writes steps per second | |
//! | [`SummarySaverHook`] | writes summaries | the step of its last write |
//! | [`NanTensorHook`] | fails or stops when the loss is NaN or infinite | |
//! | [`GlobalStepWaiterHook`] | delays late workers | |
//! | [`FinalOpsHook`] | runs operations once at the end | |
//! | [`FeedFnHook`] | feeds from a function | |
//! | [`SyncReplicasHook`] | prepares a replica of a synchronous training | |
//! | [`ClosureHook`] | consists of closures | |
//! | [`ProfilerHook`] | records runs for Chrome's and Perfetto's viewers | |
//! | `ProgressBarHook` | shows the progress | |
//! | `SignalHook` | saves and stops on Ctrl-C and `SIGTERM` | |
//! | [`EarlyStoppingHook`] | stops when a metric no longer improves | the best value, the remaining patience |
//! | [`BestCheckpointHook`] | keeps the best checkpoint | the best value |
//! | [`EvaluatorHook`] | evaluates every `n` steps | the step of its last evaluation |
//! | [`StopAfterNEvalsHook`] | stops an evaluation after `n` runs | |
//! | [`SummaryAtEndHook`] | writes the summaries of an evaluation at its end | |
//! | [`MetricsFileHook`] | writes CSV or JSON lines | the step of its last write |
//! | `PrometheusHook` | exports numbers to Prometheus, by HTTP or in a file | |
//! | [`TimeLimitHook`] | stops after a time | |
//! | [`StallWatchdogHook`] | reports a training that makes no progress | |
//! | [`InputSummaryHook`] | writes how full queues and iterators are | |
//! | [`SessionStoryHook`] | records the session's story for `monitored board` | |
//!
//! The hooks up to [`SyncReplicasHook`], and [`ProfilerHook`], are TensorFlow's and follow its rules; each intended difference is
//! documented at its hook. On steps on which nothing is due, a hook takes tens of nanoseconds and allocates nothing.
//!
//! # Features
//!
//! | Feature | Default | Purpose |
//! | --- | --- | --- |
//! | `progress` | yes | `ProgressBarHook` |
//! | `prometheus` | no | `PrometheusHook` |
//! | `signals` | yes | `SignalHook`, on Unix (crate `signal-hook`) |
//!
//! # Limits
//!
//! This crate creates no sessions and runs no loop. The crate `monitored` builds sessions with hooks.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod args;
mod context;
mod hook;
mod milestone;
mod save_point;

mod best_checkpoint;
mod cadence;
mod checkpoint_listener;
mod checkpoint_saver;
mod chrome_trace;
mod clock;
mod closure;
mod early_stopping;
mod evaluator;
mod events;
mod feed_fn;
mod final_ops;
mod global_step_waiter;
mod graph_files;
mod input_summary;
mod logging_tensor;
mod metric;
mod metrics_file;
mod nan_origin;
mod nan_tensor;
mod number;
mod own_file;
mod profiler;
#[cfg(feature = "progress")]
mod progress_bar;
#[cfg(feature = "prometheus")]
mod prometheus;
mod session_story;
#[cfg(all(unix, feature = "signals"))]
mod signal;
mod sink;
mod stall_watchdog;
mod step;
mod step_counter;
mod stop_after_n_evals;
mod stop_at_step;
mod summary_at_end;
mod summary_saver;
mod sync_replicas;
mod tensor_ref;
mod time_limit;
mod timer;
mod training_folder;
mod watched;

pub use args::{SessionRunArgs, SessionRunValues};
pub use best_checkpoint::BestCheckpointHook;
pub use checkpoint_listener::CheckpointSaverListener;
pub use checkpoint_saver::CheckpointSaverHook;
pub use chrome_trace::{TraceOptions, chrome_trace};
pub use clock::{Clock, MonotonicClock};
pub use closure::ClosureHook;
pub use context::{OriginalArgs, SessionRunContext};
pub use early_stopping::EarlyStoppingHook;
pub use evaluator::EvaluatorHook;
pub use feed_fn::FeedFnHook;
pub use final_ops::{FinalOpsHook, FinalValues};
pub use global_step_waiter::GlobalStepWaiterHook;
pub use hook::SessionRunHook;
pub use input_summary::InputSummaryHook;
pub use logging_tensor::LoggingTensorHook;
pub use metric::Metric;
pub use metrics_file::MetricsFileHook;
pub use milestone::{HookTiming, Milestone};
pub use nan_tensor::NanTensorHook;
pub use profiler::ProfilerHook;
#[cfg(feature = "progress")]
pub use progress_bar::{LinePrinter, ProgressBarHook};
#[cfg(feature = "prometheus")]
pub use prometheus::PrometheusHook;
pub use save_point::{HookState, Moment, SavePoint};
pub use session_story::SessionStoryHook;
#[cfg(all(unix, feature = "signals"))]
pub use signal::{SignalHook, SignalReceipt};
pub use stall_watchdog::StallWatchdogHook;
pub use step_counter::StepCounterHook;
pub use stop_after_n_evals::StopAfterNEvalsHook;
pub use stop_at_step::StopAtStepHook;
pub use summary_at_end::SummaryAtEndHook;
pub use summary_saver::SummarySaverHook;
pub use sync_replicas::{SyncReplicas, SyncReplicasHook};
pub use tensor_ref::TensorRef;
pub use time_limit::TimeLimitHook;
pub use timer::{Elapsed, SecondOrStepTimer};

/// Compiles the program of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
