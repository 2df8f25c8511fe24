//! Datasets, their iterators, and what they are made of.
//!
//! They have definitions, so that imported graphs run, and so that the crate `dataset` has something to build from.

pub(crate) mod batches;
pub(crate) mod functions;
pub(crate) mod iterators;
pub(crate) mod order;
pub(crate) mod readers;
pub(crate) mod shapes;
pub(crate) mod sources;
pub(crate) mod sparse;
pub(crate) mod values;
pub(crate) mod wrappers;
