//! Coordinator, queues and queue runners.

mod coordinator;
mod stop;
pub mod sync;
mod thread;

pub use coordinator::{Coordinator, JoinOptions, PanicGuard};
pub use stop::{StopHandle, StopReason, StopSource};
pub use thread::ManagedThread;
