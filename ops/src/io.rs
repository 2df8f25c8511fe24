//! Input: files, readers, orders of examples.
//!
//! [`index_batch`] is where most programs begin: it selects the examples of a step, in a seeded order that a resumed run
//! continues exactly.

pub(crate) mod files;
pub(crate) mod indices;
pub(crate) mod readers;
pub(crate) mod saving;

pub use files::{matching_files, read_file, write_file};
pub use indices::{IndexOptions, index_batch};
pub use readers::{Compression, Reader};
pub use saving::restore_v2;
