//! Shapes, layouts, pieces of tensors.

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
pub(crate) use coordinates::{Rows, check_updates, rows, updated};
pub(crate) use index::outside;
pub(crate) use join::joined;
pub(crate) use mirror::{edge, mirror_pad};
pub(crate) use shape::{reshape, shape_tensor};

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
