//! Constants, placeholders, and what moves elements without computing: shapes, slices, joins, gathers.
//!
//! Functions take outputs or variables and build one operation of TensorFlow's type, or a few in a scope, in
//! the scope of their first argument. Errors are recorded in the graph; see [`session_core::Output`].

pub(crate) mod blocks;
pub(crate) mod constants;
pub(crate) mod diagonal;
pub(crate) mod gathering;
pub(crate) mod identity;
pub(crate) mod inplace;
pub(crate) mod joining;
pub(crate) mod padding;
pub(crate) mod partition;
pub(crate) mod repeating;
pub(crate) mod searching;
pub(crate) mod shaping;
pub(crate) mod slicing;

pub use blocks::*;
pub use constants::*;
pub use diagonal::*;
pub use gathering::*;
pub use identity::*;
pub use joining::*;
pub use padding::*;
pub use partition::*;
pub use repeating::*;
pub use searching::*;
pub use shaping::*;
pub use slicing::*;

use session_core::{AsOutput, Graph};

/// Returns the graph handle of the first of several arguments.
#[track_caller]
pub(crate) fn graph_of<O: AsOutput>(arguments: &[O]) -> Graph {
    match arguments.first() {
        Some(first) => first.as_output().graph(),
        None => panic!("an empty list of tensors: there is no graph to build in"),
    }
}
