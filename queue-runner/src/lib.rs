//! Threads alongside a training loop: a [`Coordinator`] that stops them together, and [`QueueRunner`]s that
//! fill queues.
//!
//! ```
//! use queue_runner::{Coordinator, JoinOptions};
//! use session_core::{Code, Error};
//! use std::time::Duration;
//!
//! let coordinator = Coordinator::new();
//! for worker in 0..3 {
//!     coordinator.spawn(format!("worker {worker}"), move |coordinator| {
//!         if worker == 1 {
//!             return Err(Error::new(Code::Unavailable, "the peer is gone"));
//!         }
//!         coordinator.wait_for_stop(None); // the other threads learn of the failure and end
//!         Ok(())
//!     })?;
//! }
//! let options = JoinOptions::default().stop_grace_period(Duration::from_secs(10));
//! let error = coordinator.join_with(&[], &options).unwrap_err();
//! assert_eq!(error.code(), Code::Unavailable);
//! assert_eq!(coordinator.stop_reason().unwrap().to_string(), "failure: the peer is gone");
//! # Ok::<(), Error>(())
//! ```
//!
//! # What it does not do
//!
//! It is independent of checkpoints, hooks and engines: a queue runner is given a session and operations of its graph.
//! Who wants only the coordinator can use it with threads of the standard library, see
//! [`Coordinator::register_handle`].
//!
//! # Where to look next
//!
//! The monitored sessions start the queue runners of a graph and join them at close; see the crate `monitored`.

mod coordinator;
pub mod input;
mod looper;
mod queue_runner;
mod stop;
pub mod sync;
mod thread;

pub use coordinator::{Coordinator, JoinOptions, PanicGuard, Scope};
pub use looper::{LooperBody, loop_until_stop, looper_thread};
pub use queue_runner::{
    QUEUE_RUNNERS, QueueRunner, start_queue_runners, start_queue_runners_in_scope, start_queue_runners_of,
};
pub use stop::{StopHandle, StopReason, StopSource};
pub use thread::{ActivityGuard, ManagedThread, ThreadOutcome, report_activity};

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
