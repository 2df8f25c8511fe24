//! The kernels: one file for each op family, named like the file in `ops` that defines the ops.
//!
//! Each file has a `register` function, which adds its op types to the registry. A kernel that works on
//! elements calls the crate `compute`; what is written here is the part that needs tensors: shapes, dtypes,
//! broadcasting, in-place writes, and errors that name sizes.
//!
//! The conformance suite of `ops` runs every kernel on samples that TensorFlow computed, for all dtypes that
//! the definition allows.
//!
//! # Where things are
//!
//! | file | contains |
//! | --- | --- |
//! | `array/arrange.rs` | the general way to move rows of tensors |
//! | `chunks.rs` | parts of slices for several threads |
//! | `elements.rs` | tensors as lists of elements: stacking, joining, splitting |
//! | `features.rs` | op types that features of this crate bring |
//! | `moved.rs` | kernels that are compiled by the width of an element |
//! | `widened.rs` | 16-bit floats in kernels for `f32` |
//! | `variant_batch.rs`, `variants.rs` | tensors of variants, and sums of what is inside |
//! | `branches.rs` | the choice of a branch |
//!
//! A family is a file with a folder of the same name. The file registers the folder's files; a file of the
//! folder registers its own op types.

mod array;
mod branches;
mod chunks;
mod control_flow;
mod data;
mod data_flow;
mod elements;
mod features;
#[cfg(feature = "images")]
mod image;
mod io;
mod math;
mod moved;
mod nn;
mod optional;
mod parsing;
#[cfg(feature = "quantization")]
mod quantization;
mod ragged;
mod random;
mod rnn;
mod script;
mod sets;
#[cfg(feature = "fft")]
mod signal;
mod sparse;
mod stack;
mod state;
mod strings;
mod summary;
mod tables;
mod tensor_array;
mod tensor_list;
mod training;
mod variant_batch;
mod variants;
mod widened;

use crate::registry::{OpType, Registry};
use session_core::Operation;
use std::sync::OnceLock;

pub(crate) use branches::{branch, is_true};
pub(crate) use data::iterator_stats;
pub(crate) use data_flow::queue_stats;
pub(crate) use data_flow::replayed;
pub(crate) use math::{Chain, MAX_INPUTS, Member, Source};
pub(crate) use moved::Moved;
pub(crate) use state::{read_reference, referenced, variable_sizes};

/// Returns the op types that this engine runs. The table is built at the first call and is the same for all
/// sessions of the process.
pub(crate) fn registry() -> &'static Registry {
    // Once per process and not per session: the table never changes.
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut registry = Registry::default();
        register(&mut registry);
        registry
    })
}

/// Returns the facts of an operation's op type, or `None` if this engine has no kernel for it. The op type
/// may then still be the name of a function.
pub(crate) fn facts(operation: &Operation) -> Option<&'static OpType> {
    registry().find(operation.op_type())
}

/// Registers all families. Their order does not matter: an op type is registered by one of them only.
fn register(registry: &mut Registry) {
    array::register(registry);
    control_flow::register(registry);
    data::register(registry);
    data_flow::register(registry);
    #[cfg(feature = "images")]
    registry.of_feature("images", [image::register]);
    io::register(registry);
    math::register(registry);
    nn::register(registry);
    optional::register(registry);
    parsing::register(registry);
    #[cfg(feature = "quantization")]
    registry.of_feature("quantization", [quantization::register]);
    ragged::register(registry);
    random::register(registry);
    rnn::register(registry);
    script::register(registry);
    sets::register(registry);
    #[cfg(feature = "fft")]
    registry.of_feature("fft", [signal::register]);
    sparse::register(registry);
    stack::register(registry);
    state::register(registry);
    strings::register(registry);
    summary::register(registry);
    tables::register(registry);
    tensor_array::register(registry);
    tensor_list::register(registry);
    training::register(registry);
    // With all features nothing is left out, and what features bring is only what was registered for them above.
    if !cfg!(feature = "all-ops") {
        features::leave_out(registry);
    }
}
