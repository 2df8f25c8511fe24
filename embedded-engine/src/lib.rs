//! An engine in pure Rust: it compiles TensorFlow graphs to plans and runs them on the CPU.
//!
//! ```
//! use embedded_engine::EmbeddedEngine;
//! use ops::{array::placeholder, variables::variable};
//! use session_core::{DType, Engine, Graph, SessionConfig, SessionExt};
//!
//! let graph = Graph::new();
//! let x = placeholder(&graph.named("x"), DType::Float32, [None]);
//! let w = variable(&graph.named("w"), 2.0f32);
//! let y = &x * &w;
//! let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(2))?;
//! session.run(w.initializer(), ())?;
//! assert_eq!(session.run(&y, [(&x, [1.0f32, 3.0])])?.as_slice::<f32>()?, [2.0, 6.0]);
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! Programs use it through the traits `Engine` and `Session` of the crate `session-core`; monitored sessions
//! use it by default.
//!
//! # Plans
//!
//! The first run with a set of fetches and feeds compiles a **plan**; later runs with the same set only
//! execute it. The compiler
//!
//! 1. collects the operations that the fetches need, up to the feeds;
//! 2. folds stateless operations on constants, and removes operations that only forward their input;
//! 3. fuses products and convolutions with the bias and activation after them, and elementwise operations
//!    into chains that pass through memory once;
//! 4. orders the operations so that reads of a variable come before its updates where the graph leaves that
//!    open: the updates can then work in place;
//! 5. numbers the values, and marks the last use of each.
//!
//! A session keeps the plans that it uses; the ones that have not been used for longest are dropped.
//! Functions are compiled once, however often they are called. `SessionConfig::optimize(false)` turns folding
//! and fusion off.
//!
//! # Memory
//!
//! Values are dropped at their last use, and their buffers return to a pool of the session, so a steady step
//! allocates no large buffers. A kernel that holds the last reference to an input writes its result in place.
//! Variables are copy-on-write: an update copies a variable only if something else holds its value, such as a
//! fetch or a checkpoint that is being written. An allocation that fails is `ResourceExhausted` with the
//! operation and the size; `SessionConfig::memory_limit` sets a limit below the machine's.
//!
//! # Threads
//!
//! The thread that calls `run` executes the plan. Kernels divide large work over a pool of
//! `SessionConfig::intra_op_parallelism_threads` threads, in which the calling thread takes part. Results do
//! not depend on the number of threads. Several threads may run one session at once.
//!
//! An operation that waits for another thread, such as a dequeue, does not hold the step: everything that
//! does not depend on it continues. The thread sleeps only when nothing else can run. A time limit or a
//! cancellation ends the wait without an effect.
//!
//! # Features
//!
//! | feature | default | purpose |
//! | --- | --- | --- |
//! | `all-ops` | no | all of the following |
//! | `ctc` | no | connectionist temporal classification |
//! | `fft` | no | Fourier transforms and audio |
//! | `images` | no | files of images, their parts, sizes and colors, boxes, dilation, fractional pooling |
//! | `linalg` | no | linear systems, decompositions and functions of matrices |
//! | `quantization` | no | numbers of few bits |
//! | `regex` | no | regular expressions |
//! | `staging` | no | staging areas and barriers |
//! | `volumes` | no | convolutions and pooling of volumes |
//!
//! Few programs need these op types, and all would wait for their compilation. Without its feature an
//! operation is listed as missing, with the feature's name; [`feature_of`] returns it, too.
//!
//! # Limits
//!
//! Devices are CPUs. Before a step runs, operations without a kernel are listed, all at once, with the
//! reason; [`missing_kernels`] lists them for a whole graph. [`op_types`] has all op types with the dtypes
//! that they take.
//!
//! # For contributors
//!
//! | to | read |
//! | --- | --- |
//! | add a kernel | `kernels.rs`: one file for each op family, registered in its `register` function; the traits are in `kernel.rs` |
//! | tell the compiler about an op type | `registry.rs`: facts are declared where the kernel is registered, and nowhere else |
//! | add an optimization | `fuse.rs` and `chains.rs`: passes over the intermediate form in `ir.rs` |
//! | understand a step | `plan.rs` (its form), `execute.rs` (without waits), `suspend.rs` (with waits) |
//! | add a dataset | `kernels/data.rs`: the traits of datasets and iterators |
//!
//! The rules that hold everywhere: a kernel reports bad input as an error and never panics; memory that input
//! determines is requested by the functions that may fail (`tensor::memory`); no lock is held while code of
//! the program runs; and results depend neither on the number of threads nor on timing.

// Some helpers are there for families that a feature brings.
#![cfg_attr(not(feature = "all-ops"), allow(dead_code, unused_imports, unused_macro_rules))]

#[macro_use]
mod dispatch;

mod background;
mod builder;
mod calls;
mod chains;
mod compile;
mod devices;
mod emit;
mod engine;
mod execute;
mod flow;
mod frames;
mod fuse;
mod gradient;
mod ir;
mod kernel;
mod kernels;
mod limits;
mod missing;
pub mod op_types;
mod plan;
mod plans;
mod references;
mod registry;
mod resources;
mod run;
mod schedule;
mod session;
mod suspend;
mod waiting;

pub use engine::EmbeddedEngine;
pub use missing::{
    Missing, MissingKernel, accesses_files, feature_of, missing_kernels, missing_kernels_for, supports,
};

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
