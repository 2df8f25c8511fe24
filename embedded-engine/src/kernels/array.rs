//! Shapes, layouts, pieces of tensors.
//!
//! A file contains the op types that share an implementation, not those that TensorFlow documents together.
//! Nearly all of them move elements without interpreting them, in one of three ways:
//!
//! - through a loop of `compute::elementwise::layout`, where the pattern is regular and worth its own loop
//!   (slices, transposes, joins, gathers);
//! - through `arrange`, which asks a closure for the source of each row of the result, where the pattern is
//!   irregular or rare;
//! - not at all, where the result is the input under another shape.

mod arrange;
mod blocks;
mod coordinates;
mod diagonal;
mod handles;
mod index;
mod inplace;
mod join;
mod layout;
mod made;
mod mirror;
mod order;
mod partition;
mod searching;
mod shape;
mod slice;

use crate::registry::Registry;

pub(crate) use arrange::{arrange, ravel, unravel};
pub(crate) use coordinates::{BadIndices, Rows, check_updates, rows, updated};
pub(crate) use index::outside;
pub(crate) use join::joined;
pub(crate) use mirror::{edge, mirror_pad};
pub(crate) use shape::{reshape, shape_tensor, spread};

/// Registers the op types of all files of this folder.
///
/// `arrange` and `handles` have no op types of their own.
pub(crate) fn register(registry: &mut Registry) {
    blocks::register(registry);
    coordinates::register(registry);
    diagonal::register(registry);
    index::register(registry);
    inplace::register(registry);
    join::register(registry);
    layout::register(registry);
    made::register(registry);
    mirror::register(registry);
    order::register(registry);
    partition::register(registry);
    searching::register(registry);
    shape::register(registry);
    slice::register(registry);
}
