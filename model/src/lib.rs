//! Model-checked tests of the workspace's concurrency; there is nothing here but the tests.
//!
//! The parts that several threads use (the queue of the embedded engine, coordinators and their threads) name the
//! primitives of the standard library in one file each. The tests here compile the same sources with the primitives
//! of a model checker instead of that file: `loom` goes through all interleavings of small programs, `shuttle`
//! through many random ones of large programs. `cargo xtask model` runs them.
