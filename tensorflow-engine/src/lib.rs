//! TensorFlow's own runtime as an engine: sessions and servers over its C API, loaded at run time.
//!
//! Nothing of TensorFlow is needed to build this crate. A program that uses it finds the library of any TensorFlow 2 on
//! the machine ([`Library::find`]), such as the one in the wheel `tensorflow-cpu`, which `cargo xtask tensorflow`
//! installs; Python is not run.
//!
//! ```
//! use ops::array::placeholder;
//! use session_core::{DType, Engine, Graph, Result, SessionConfig, SessionExt, Tensor};
//! use tensorflow_engine::TensorFlowEngine;
//!
//! fn main() -> Result<()> {
//!     let engine = match TensorFlowEngine::new() {
//!         Ok(engine) => engine,
//!         Err(error) => return Ok(println!("{error}")), // says where it looked, and how to get it
//!     };
//!     println!("TensorFlow {}", engine.library().version());
//!
//!     let graph = Graph::new();
//!     let x = placeholder(&graph.named("x"), DType::Float32, [None]);
//!     let y = &x * 2.0 + 1.0;
//!     let session = engine.new_session(&graph, "", &SessionConfig::default())?;
//!     let found = session.run(&y, [(&x, [1.0f32, 2.0])])?;
//!     assert_eq!(found, Tensor::from([3.0f32, 5.0]));
//!     session.close()
//! }
//! ```
//!
//! # What differs from the embedded engine
//!
//! - One run cannot be cancelled by its token alone; see [`TensorFlowSession`].
//! - The state of random operations is not part of a checkpoint.
//! - A graph that grows is copied in parts (S-56). A loop of the old control flow must come as a whole: a `Merge` whose
//!   `NextIteration` is made after a run cannot be taken over.

//!
//! # Clusters
//!
//! [`Server::start`] serves a task of a [`ClusterSpec`] in this process, as `monitored server` does in one of its own.
//! Sessions reach it by the target `grpc://host:port`, through [`Engine::new_session`](session_core::Engine::new_session)
//! or `master` of the monitored sessions. A [`ReplicaDeviceSetter`] given to the engine puts variables on parameter
//! servers. `device_filters` of the configuration keep a session from waiting for tasks that it does not need: give each
//! worker `/job:ps` and its own task.
//!
//! What a client sees when something fails. "Recoverable" is what
//! [`Error::is_recoverable`](session_core::Error::is_recoverable) says, upon which a monitored session opens a new session
//! and restores the newest checkpoint (a chief) or waits for the model (a worker). Every row is a test of the workspace's
//! `tests/distributed.rs`, with real processes.
//!
//! | what happens | what the session says | outcome in a monitored session |
//! |---|---|---|
//! | a parameter server dies | `Unavailable` or `Aborted`, recoverable | a new session once it is back |
//! | it comes back, without its variables | `FailedPrecondition` in a new session | the chief restores the newest checkpoint: at most the steps since then are lost |
//! | another worker dies | nothing, with device filters | goes on; the successor waits for the model and goes on |
//! | the chief's process dies | ends with it | the successor restores the newest checkpoint |
//! | a remote master dies | `Unavailable` after the time limit ([`TensorFlowEngine::remote_timeout`]), recoverable | a new session once it is back |
//! | the master comes back | `Aborted` in the old session, recoverable | a new session: a worker finds the variables of the parameter servers; a chief restores its newest checkpoint over them, or initializes them without one, as in TensorFlow, so that the steps since then are lost |
//! | nobody is at the target | `Unavailable` after the time limit, recoverable | tries again, as often as the recovery policy says |
//! | a run exceeds the limit in its own options | `DeadlineExceeded`, not recoverable | the error is the caller's |
//! | a server's port is held by another program | `Unknown` from [`Server::start`] | none begins |
//! | a task that the cluster does not have | a key error from [`Server::start`] | none begins |

mod cluster;
mod creation;
mod engine;
mod ffi;
mod growth;
mod library;
mod messages;
mod placement;
mod session;
mod worker;

pub use cluster::{ClusterSpec, Server};
pub use engine::TensorFlowEngine;
pub use library::{LIBRARY_VARIABLE, Library};
pub use placement::ReplicaDeviceSetter;
pub use session::TensorFlowSession;
