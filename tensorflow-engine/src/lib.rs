//! TensorFlow's own runtime as an engine: sessions and servers through its C API, loaded at run time.
//!
//! Building this crate needs no part of TensorFlow. At run time a program finds the library of any TensorFlow 2 on the machine
//! ([`Library::find`]), such as the one in the wheel `tensorflow-cpu`, which `cargo xtask tensorflow` installs. Python is not
//! used.
//!
//! ```
//! use ops::array::placeholder;
//! use session_core::{DType, Engine, Graph, Result, SessionConfig, SessionExt, Tensor};
//! use tensorflow_engine::TensorFlowEngine;
//!
//! fn main() -> Result<()> {
//!     let engine = match TensorFlowEngine::new() {
//!         Ok(engine) => engine,
//!         Err(error) => return Ok(println!("{error}")), // states where it looked, and how to install the library
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
//! # Differences from the embedded engine
//!
//! - A cancellation token cannot stop a single run; see [`TensorFlowSession`].
//! - The state of random operations is not part of a checkpoint.
//! - Host functions run in sessions of this process only, since a server cannot call its clients' closures. They see the end of
//!   the session, but not the cancellation of a single run.
//! - A growing graph is copied in parts (S-56). A TensorFlow 1 loop must be complete when it is copied: a `Merge` whose
//!   `NextIteration` is created after a run cannot be copied.
//!
//! # For contributors
//!
//! ```text
//! Session::execute ──► growth: copy new operations ──► worker: another thread, if the run can be cancelled ──► ffi: TF_SessionRun
//!                           │                                                                                    │
//!                      host: tokens of closures                                                        host: kernels call closures
//! ```
//!
//! - `ffi` is the only module with unsafe code. Its types own TensorFlow's objects and free them once; every other module is safe Rust.
//! - `growth` keeps TensorFlow's copy of the graph up to date, because a graph may grow between runs.
//! - `creation` limits the time of a first run on a server, which TensorFlow itself does not.
//! - `worker` executes runs that may be abandoned, because TensorFlow's C API cannot cancel a single run.
//! - `host` registers the kernels of `py_func`, which TensorFlow's library lacks.

//!
//! # Clusters
//!
//! [`Server::start`] serves a task of a [`ClusterSpec`] in this process; `monitored server` does so in a separate process.
//! Sessions use a server by the target `grpc://host:port`, through [`Engine::new_session`](session_core::Engine::new_session)
//! or `master` of the monitored sessions. A [`ReplicaDeviceSetter`] given to the engine places variables on parameter servers.
//! `device_filters` of the configuration keep a session from waiting for tasks that it does not need: give each worker
//! `/job:ps` and its own task.
//!
//! The table shows the errors that a client sees after failures. "Recoverable" is the result of
//! [`Error::is_recoverable`](session_core::Error::is_recoverable); after a recoverable error a monitored session opens a new
//! session and restores the newest checkpoint (a chief) or waits for the model (a worker). Each row is tested with real
//! processes in the workspace's `tests/distributed.rs`.
//!
//! | event | error of the session | effect on a monitored session |
//! |---|---|---|
//! | a parameter server dies | `Unavailable` or `Aborted`, recoverable | a new session once it is back |
//! | it comes back, without its variables | `FailedPrecondition` in a new session | the chief restores the newest checkpoint: at most the steps since then are lost |
//! | another worker dies | nothing, with device filters | continues; the successor waits for the model and continues |
//! | the chief's process dies | ends with it | the successor restores the newest checkpoint |
//! | a remote master dies | `Unavailable` after the time limit ([`TensorFlowEngine::remote_timeout`]), recoverable | a new session once it is back |
//! | the master comes back | `Aborted` in the old session, recoverable | a new session: a worker finds the variables of the parameter servers; a chief restores its newest checkpoint over them, or initializes them without one, as in TensorFlow, so that the steps since then are lost |
//! | there is no server at the target | `Unavailable` after the time limit, recoverable | tries again, as often as the recovery policy allows |
//! | a run exceeds the limit in its own options | `DeadlineExceeded`, not recoverable | the caller receives the error |
//! | a server's port is used by another program | `Unknown` from [`Server::start`] | no session starts |
//! | the cluster does not have the task | a key error from [`Server::start`] | no session starts |

mod cluster;
mod creation;
mod engine;
mod ffi;
mod growth;
mod host;
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

/// Compiles the program of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
