//! Scaffolds, session managers and session creators, which bring a graph into a runnable state.
//!
//! ```
//! use ops::variables::variable;
//! use scaffold::{ChiefSessionCreator, Scaffold, SessionCreator};
//! use session_core::{CancellationToken, Graph, mock::{MockEngine, MockSession}};
//! use std::sync::Arc;
//! use tensor::Tensor;
//!
//! let graph = Graph::new();
//! let _weights = variable(&graph.named("weights"), vec![1.0f32, 2.0]);
//!
//! // An engine would stand here; this one answers every readiness check with "nothing is missing".
//! let engine = Arc::new(MockEngine::new());
//! let session = MockSession::new(&graph);
//! session.otherwise(|run| Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]));
//! engine.supply(Ok(session.clone()));
//!
//! let scaffold = Scaffold::builder().init_fn(|_, session| {
//!     assert!(session.graph().is_finalized());
//!     Ok(())
//! });
//! let mut creator = ChiefSessionCreator::new(engine, &graph).scaffold(scaffold);
//! let created = creator.create_session(&CancellationToken::new())?;
//! assert!(created.restored.is_none());
//! assert_eq!(session.runs()[0].targets, ["group_deps"]); // the init op
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! # Limits
//!
//! This crate has no hooks and runs no training loop (the crate `monitored` does), and it contains no engine.

mod builder;
mod creator;
mod defaults;
mod init_from_checkpoint;
mod manager;
mod meta_graph;
mod objects;
mod pieces;
mod preparation;
mod ready;
mod run;
mod scaffold;
mod waiter;

pub use builder::{AsPieces, ScaffoldBuilder};
pub use creator::{ChiefSessionCreator, SessionCreator, WorkerSessionCreator};
pub use defaults::default_local_init_op;
pub use init_from_checkpoint::init_from_checkpoint;
pub use manager::{SessionManager, SessionManagerBuilder};
pub use pieces::Pieces;
pub use preparation::{BoundInitFn, CheckpointSource, CreatedSession, Preparation, Restoring};
pub use ready::Readiness;
pub use scaffold::Scaffold;
pub use waiter::{SystemWaiter, Waiter};

/// Compiles the program of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
