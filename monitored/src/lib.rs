//! Sessions that drive a training: [`SingularMonitoredSession`]; [`MonitoredSession`], which survives the loss of a peer; and
//! [`MonitoredTrainingSession`], which adds the hooks that a training usually has.
//!
//! A monitored session initializes or restores the model, starts the graph's input threads, calls
//! [hooks](hooks::SessionRunHook) around every run, and ends everything in order, whatever failed.
//!
//! ```
//! # #[cfg(feature = "embedded")] {
//! use hooks::{CheckpointSaverHook, ClosureHook, StopAtStepHook};
//! use monitored::SingularMonitoredSession;
//! use ops::optimizers::{GradientDescentOptimizer, Optimizer};
//! use ops::{array, global_step, math, variables};
//! use session_core::{DType, Graph, PartialShape};
//! # let directory = tempfile::tempdir().unwrap();
//! # let directory = directory.path();
//!
//! // y = w x, of points on y = 3 x.
//! let graph = Graph::new();
//! let x = array::placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
//! let w = variables::variable(&graph.named("w"), 0f32);
//! let loss = math::square(math::sub(&math::mul(&x, &w), &math::mul(&x, &array::constant(&graph, 3f32))));
//! let step = global_step::get_or_create_global_step(&graph);
//! let train_op = GradientDescentOptimizer::new(0.1).minimize(&loss, Some(&step));
//!
//! let mut worst = 0f32;
//! let watch = ClosureHook::new("watch").fetch(&loss).after_run(move |_, values| {
//!     worst = worst.max(values[0].value()?);
//!     Ok(())
//! });
//! let train = || {
//!     SingularMonitoredSession::builder(&graph)
//!         .checkpoint_dir(directory) // resumes from the newest checkpoint, if there is one
//!         .hook(CheckpointSaverHook::every_steps(directory, 10))
//!         .hook(StopAtStepHook::last_step(40))
//! };
//! let finished = train().hook(watch).scoped(|session| {
//!     while !session.should_stop() {
//!         session.run(&train_op, [(&x, 1f32)])?;
//!     }
//!     Ok(session.run_without_hooks(&w, ())?.value::<f32>()?)
//! })?;
//! assert!((finished.value.unwrap() - 3.0).abs() < 0.01);
//! assert_eq!(finished.reason.unwrap().to_string(), "hook 'StopAtStepHook': step 40 was reached");
//!
//! // Another session finds the training done.
//! let mut session = train().build()?;
//! assert!(session.should_stop());
//! assert!(session.restored().unwrap().prefix.ends_with("model.ckpt-40"));
//! session.close()?;
//! # }
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! # Coming from TensorFlow 1
//!
//! | `tf.train` | here |
//! | --- | --- |
//! | `SingularMonitoredSession(hooks, scaffold, ...)` | [`SingularMonitoredSession::builder`] with `.hook`, `.scaffold`, ... and `.build()` |
//! | `MonitoredSession(session_creator, hooks)` | [`MonitoredSession::builder`], `.session_creator` |
//! | `MonitoredTrainingSession(...)` | [`MonitoredTrainingSession::builder`]: setters of the same names |
//! | `with ... as session:` | `.scoped(\|session\| ...)` |
//! | `session.run(fetches, feed_dict)` | `session.run(fetches, feeds)`: tuples, arrays, maps; `()` for none |
//! | `session.run_step_fn(f)` | `session.run_step_fn(\|context\| ...)` |
//! | `session.should_stop()` | the same; [`stop_reason`](MonitoredSession::stop_reason) returns the reason |
//! | `session.raw_session()` | [`raw_session`](SingularMonitoredSession::raw_session); for a run without hooks [`run_without_hooks`](SingularMonitoredSession::run_without_hooks) |
//! | `tf.contrib.training.evaluate_once(path, ...)` | [`Evaluation::new`] with setters, [`evaluate_once`](Evaluation::evaluate_once) |
//! | `tf.contrib.training.evaluate_repeatedly(dir, ...)` | [`evaluate_repeatedly`](Evaluation::evaluate_repeatedly), an iterator |
//! | `tf.estimator.train_and_evaluate(estimator, TrainSpec, EvalSpec)` | [`train_and_evaluate`] with [`TrainSpec`] and [`EvalSpec`] |
//! | `tf.estimator.BestExporter`, `LatestExporter`, `FinalExporter` | the same, with a function that writes a model |
//! | `Scaffold`, `ChiefSessionCreator`, `WorkerSessionCreator`, `SessionManager` | the same, in the crate `scaffold` |
//! | `SessionRunHook` and hooks | the same, in the crate `hooks` |
//! | `Coordinator`, `QueueRunner` | the same, in the crate `queue-runner` |
//! | `basic_session_run_hooks.StopAtStepHook(last_step=n)` | `StopAtStepHook::last_step(n)`: one constructor for each trigger |
//!
//! The order of all calls, also after failures, is in the project's `docs/traces.md`, next to TensorFlow's; `docs/rules.md`
//! lists every rule with its tests and the intended differences.
//!
//! # Beyond TensorFlow
//!
//! Recoveries are [bounded and reported](RecoveryPolicy); errors of background threads end the next run; every stop has a
//! reason; [`dry_run`](SessionBuilder::dry_run) tests a training in a few steps;
//! [`hook_timings`](MonitoredSession::hook_timings) reports the cost of each hook.
//!
//! # Limits
//!
//! This crate depends on no file formats and, without the feature `embedded`, on no engine.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod coordinated;
mod dry_run;
mod eval_spec;
mod evaluation;
mod evaluation_listener;
mod exporter;
mod exports;
mod hook_set;
mod hooked;
mod host_progress;
mod host_random;
mod host_step;
mod host_training;
mod merge;
mod monitor;
mod recovering;
mod recovery;
mod session;
mod singular;
mod step_context;
mod step_seen;
mod timings;
mod train_and_evaluate;
mod training;
mod unsaved;

pub use builder::{Built, Finished, SessionBuilder};
pub use eval_spec::EvalSpec;
pub use evaluation::{Evaluated, Evaluation, Evaluations};
pub use evaluation_listener::EvaluationListener;
pub use exporter::{BestExporter, Candidate, Exporter, FinalExporter, LatestExporter};
pub use hooks::HookTiming;
pub use host_random::StepRandom;
pub use host_step::{HostStep, Metrics};
pub use host_training::{HostSession, HostTraining};
pub use recovering::{MonitoredSession, Recovering};
pub use recovery::{Recovery, RecoveryPolicy};
pub use session::{Kind, Monitored};
pub use singular::{Singular, SingularMonitoredSession};
pub use step_context::StepContext;
pub use train_and_evaluate::{TrainSpec, TrainedAndEvaluated, train_and_evaluate};
pub use training::{MonitoredTrainingSession, TrainingSessionBuilder};

/// Compiles the program of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
