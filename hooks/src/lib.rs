//! SessionRunHook and the built-in hooks.

mod args;
mod context;
mod hook;
mod save_point;

pub use args::{SessionRunArgs, SessionRunValues};
pub use context::{OriginalArgs, SessionRunContext};
pub use hook::SessionRunHook;
pub use save_point::{HookState, Moment, SavePoint};
