//! Input: files, readers, orders of examples.
//!
//! [`indices`] is where most programs begin: it says which examples a step takes, in a seeded order that a resumed run
//! continues exactly.

pub mod indices;

pub use indices::{IndexOptions, index_batch};
