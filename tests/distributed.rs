//! Clusters of real processes on loopback: training with a parameter server and workers that are killed and started
//! again, and each row of the table of failures in the crate page of `tensorflow-engine`.
//!
//! The processes are this test's own program, started again with a role in its environment.
#![cfg(all(feature = "tensorflow", feature = "embedded"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

#[path = "distributed/cluster.rs"]
mod cluster;
#[path = "distributed/failures.rs"]
mod failures;
#[path = "support/parts.rs"]
mod parts;
#[path = "distributed/roles.rs"]
mod roles;
#[path = "support/skipped.rs"]
mod skipped;
#[path = "distributed/training.rs"]
mod training;

/// What a started process does; in the tests' own process, nothing.
#[test]
fn process() {
    roles::run();
}
