//! SessionRunHook and the built-in hooks.

mod args;
mod context;
mod hook;
mod save_point;

mod checkpoint_listener;
mod checkpoint_saver;
mod chrome_trace;
mod clock;
mod events;
mod feed_fn;
mod final_ops;
mod global_step_waiter;
mod logging_tensor;
mod nan_tensor;
mod number;
mod profiler;
#[cfg(feature = "progress")]
mod progress_bar;
mod run_metadata_proto;
#[cfg(all(unix, feature = "signals"))]
mod signal;
mod sink;
mod step;
mod step_counter;
mod stop_at_step;
mod summary_saver;
mod tensor_ref;
mod timer;

pub use args::{SessionRunArgs, SessionRunValues};
pub use checkpoint_listener::CheckpointSaverListener;
pub use checkpoint_saver::CheckpointSaverHook;
pub use chrome_trace::{TraceOptions, chrome_trace};
pub use clock::{Clock, MonotonicClock};
pub use context::{OriginalArgs, SessionRunContext};
pub use feed_fn::FeedFnHook;
pub use final_ops::{FinalOpsHook, FinalValues};
pub use global_step_waiter::GlobalStepWaiterHook;
pub use hook::SessionRunHook;
pub use logging_tensor::LoggingTensorHook;
pub use nan_tensor::NanTensorHook;
pub use profiler::ProfilerHook;
#[cfg(feature = "progress")]
pub use progress_bar::{LinePrinter, ProgressBarHook};
pub use save_point::{HookState, Moment, SavePoint};
#[cfg(all(unix, feature = "signals"))]
pub use signal::{SignalHook, SignalReceipt};
pub use step_counter::StepCounterHook;
pub use stop_at_step::StopAtStepHook;
pub use summary_saver::SummarySaverHook;
pub use tensor_ref::TensorRef;
pub use timer::{Elapsed, SecondOrStepTimer};
