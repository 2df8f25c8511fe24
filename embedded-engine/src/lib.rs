//! The pure-Rust engine: plans, executor, kernels.
