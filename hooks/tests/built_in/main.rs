//! The built-in hooks, driven as a monitored session drives them, around a scripted session.
#![allow(clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read
#![allow(clippy::unwrap_used)] // a test may

mod support;

mod best_checkpoint;
mod checkpoint_saver;
mod early_stopping;
mod evaluator;
mod feed_fn;
mod final_ops;
mod global_step_waiter;
mod input_summary;
mod logging_tensor;
mod metrics_file;
mod nan_tensor;
mod obstacles;
mod profiler;
#[cfg(feature = "progress")]
mod progress_bar;
#[cfg(feature = "prometheus")]
mod prometheus;
mod session_story;
mod stall_watchdog;
mod step_counter;
mod stop_at_step;
mod summary_saver;
mod tensor_ref;
mod time_limit;
