//! Public types can go where programs need them.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use checkpoint::bundle::{BundleReader, BundleWriter, SealedBundle};
use checkpoint::storage::{LocalStorage, ReadFile, Storage, WriteFile};
use checkpoint::{
    CheckpointReader, CheckpointsIterator, Clock, Error, RestoreReport, RestoreTarget, SaveSource, Saver,
};

fn send<T: Send>() {}
fn sync<T: Sync>() {}

#[test]
fn handles_can_cross_threads() {
    send::<Saver>();
    sync::<Saver>();
    send::<BundleReader>();
    sync::<BundleReader>();
    sync::<CheckpointReader>();
    send::<BundleWriter>();
    send::<SealedBundle>();
    send::<CheckpointsIterator>();
    send::<RestoreReport>();
    send::<Error>();
    sync::<Error>();
    sync::<LocalStorage>();
}

#[test]
fn traits_are_object_safe() {
    fn objects(
        _: &dyn Storage,
        _: Option<&dyn ReadFile>,
        _: Option<&dyn WriteFile>,
        _: Option<&dyn Clock>,
        _: Option<&dyn SaveSource>,
        _: Option<&mut dyn RestoreTarget>,
    ) {
    }
    objects(&LocalStorage, None, None, None, None, None);
}
