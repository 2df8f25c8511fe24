//! SingularMonitoredSession and MonitoredSession.

mod builder;
mod coordinated;
mod dry_run;
mod hook_set;
mod hooked;
mod merge;
mod methods;
mod monitor;
mod recovery;
mod session;
mod singular;
mod step_context;
mod timings;
mod training;

pub use builder::{Built, Finished, SessionBuilder};
pub use recovery::{Recovery, RecoveryPolicy};
pub use session::MonitoredSession;
pub use singular::SingularMonitoredSession;
pub use step_context::StepContext;
pub use timings::HookTiming;
pub use training::{MonitoredTrainingSession, TrainingSessionBuilder};
