//! Clusters of real processes on loopback: training with a parameter server and workers that are killed and restarted, and
//! each row of the table of failures in the crate page of `tensorflow-engine`.
//!
//! The processes run this test binary with a role in their environment.
#![cfg(all(feature = "tensorflow", feature = "embedded"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod cluster;
mod failures;
mod roles;
mod training;

/// The entry point of a started process; without a role it does nothing.
#[test]
fn process() {
    roles::run();
}
