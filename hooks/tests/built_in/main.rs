//! The built-in hooks, driven as a monitored session drives them, around a scripted session.

#![allow(clippy::unwrap_used)] // a test may

mod support;

mod checkpoint_saver;
mod feed_fn;
mod final_ops;
mod global_step_waiter;
mod logging_tensor;
mod nan_tensor;
mod profiler;
#[cfg(feature = "progress")]
mod progress_bar;
mod step_counter;
mod stop_at_step;
mod summary_saver;
mod tensor_ref;
