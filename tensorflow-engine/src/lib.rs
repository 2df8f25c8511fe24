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

mod cluster;
mod engine;
mod ffi;
mod growth;
mod library;
mod messages;
mod session;
mod worker;

pub use cluster::{ClusterSpec, Server};
pub use engine::TensorFlowEngine;
pub use library::{LIBRARY_VARIABLE, Library};
pub use session::TensorFlowSession;
