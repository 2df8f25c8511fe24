//! Definitions of datasets and iterators.
//!
//! They have definitions but no constructors here: imported graphs use them, and the crate `dataset` builds on them. A dataset is a
//! `variant` tensor that describes how to make elements; an iterator is a resource of the session that makes them. Attributes
//! `output_types` and `output_shapes` of each op state the components of an element.

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
