//! The pure-Rust engine: a graph is pruned, folded, fused and scheduled once per set of fetches and feeds, and then
//! run from the compiled plan.

#[macro_use]
mod kernels;

mod compile;
mod engine;
mod execute;
mod flow;
mod frames;
mod functions;
mod fuse;
mod kernel;
mod late;
mod missing;
mod plan;
mod program;
mod references;
mod registry;
mod resources;
mod schedule;
mod session;
mod suspended;
mod waiting;

pub use engine::EmbeddedEngine;
pub use missing::{Missing, missing_kernels, missing_kernels_for, supports};
