//! The pure-Rust engine: a graph is pruned, folded, fused and scheduled once per set of fetches and feeds, and then
//! run from the compiled plan.
//!
//! # Features
//!
//! | Feature | Default | What it brings |
//! | --- | --- | --- |
//! | `images` | no | operations on PNG, JPEG, GIF and BMP files |
//! | `fft` | no | Fourier transforms, and the audio operations on them |
//!
//! Without them these operations are listed as missing, with the feature that brings them.

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
pub use missing::{Lack, Missing, missing_kernels, missing_kernels_for, supports};

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
