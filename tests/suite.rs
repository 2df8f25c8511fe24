//! The tests of the facade in one program, which is linked once.

mod distributed;
mod full_disk;
mod input;
mod input_oracle;
mod input_resume;
mod language_models;
mod mock;
mod op_features;
mod optimizers;
mod partitioned;
#[cfg(feature = "embedded")]
#[path = "support/parts.rs"]
mod parts;
#[cfg(feature = "embedded")]
#[path = "support/python.rs"]
mod python;
mod queue_runners;
mod shutdown;
mod signals;
mod sync_replicas;
mod tensorflow_engine;
mod training_golden;
