//! Datasets and their iterators.
//!
//! A dataset is a description, made when its operation runs, of which a session may make any number of
//! iterators. An iterator yields elements in TensorFlow's order and can save its position
//! ([`Iterate::save`]), so that a resumed run continues with the very next element.
//!
//! # Adding a dataset
//!
//! 1. A file with the state of the dataset, which implements the trait `Dataset`, and that of its iterator,
//!    which implements `Iterate`.
//! 2. A list `OPS` with the op types, how each is built from its inputs and attributes, and the attributes
//!    that name functions. Add it to the function `ops`.
//! 3. `save` and `restore` of the position, so that a resumed iterator returns the next element.
//!
//! Dataset ops are registered as *changing*, because a dataset is an object and not a value to fold, and as
//! *describing*, because making one opens nothing and draws nothing: their outputs may be built again at any
//! time.

mod ahead;
mod assertions;
mod batch;
mod build;
mod cache;
mod cardinality;
mod choose;
mod concatenate;
mod dataset;
mod element;
mod filter;
mod flat_map;
mod function;
mod generator;
mod group_by_reducer;
mod group_by_window;
mod growing;
mod ignore_errors;
mod interleave;
mod iterator;
mod iterator_ops;
mod kept;
mod legacy_interleave;
mod map;
mod map_and_batch;
mod padded_batch;
mod parse_example;
mod position;
mod prefetch;
mod random;
mod range;
mod read_ahead;
mod readers;
mod rebatch;
mod reduce;
mod repeat;
mod ring;
mod sampling;
mod scan;
mod seeds;
mod shard;
mod shuffle;
mod skip;
mod sparse;
mod take;
mod take_while;
mod tensors;
mod unbatch;
mod unique;
mod window;
mod wrappers;
mod zip;

use crate::registry::Registry;
use build::Op;

pub(in crate::kernels) use element::name;
pub(crate) use iterator_ops::iterator_stats;

/// Registers the datasets of all files, and the operations on datasets and iterators that are no datasets
/// themselves.
pub(crate) fn register(registry: &mut Registry) {
    for op in ops() {
        for &op_type in op.types {
            registry.add(op_type, build::make).holds(op.functions).changes().describes();
        }
    }
    for op_type in readers::OPS.iter().chain(cache::OPS).flat_map(|op| op.types) {
        registry.of([*op_type]).accesses_files();
    }
    iterator_ops::register(registry);
    reduce::register(registry);
    seeds::register(registry);
    cache::register(registry);
    cardinality::register(registry);
    sparse::register(registry);
    wrappers::register(registry);
}

/// Returns the op types that make datasets, with the way to build each.
fn ops() -> impl Iterator<Item = &'static Op> {
    [
        assertions::OPS,
        batch::OPS,
        cache::OPS,
        choose::OPS,
        concatenate::OPS,
        filter::OPS,
        flat_map::OPS,
        generator::OPS,
        group_by_reducer::OPS,
        group_by_window::OPS,
        ignore_errors::OPS,
        interleave::OPS,
        legacy_interleave::OPS,
        map::OPS,
        map_and_batch::OPS,
        padded_batch::OPS,
        parse_example::OPS,
        prefetch::OPS,
        random::OPS,
        range::OPS,
        readers::OPS,
        rebatch::OPS,
        repeat::OPS,
        sampling::OPS,
        scan::OPS,
        shard::OPS,
        shuffle::OPS,
        skip::OPS,
        sparse::OPS,
        take::OPS,
        take_while::OPS,
        tensors::OPS,
        unbatch::OPS,
        unique::OPS,
        window::OPS,
        wrappers::OPS,
        zip::OPS,
    ]
    .into_iter()
    .flatten()
}
