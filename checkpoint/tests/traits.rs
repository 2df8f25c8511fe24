//! Public types can go where programs need them.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use checkpoint::bundle::{BundleOptions, BundleReader, BundleWriter, SealedBundle};
use checkpoint::storage::{LocalStorage, ReadFile, Storage, WriteFile, WriteHint};
use checkpoint::{
    CheckpointReader, CheckpointsIterator, Clock, Error, RestoreReport, RestoreTarget, SaveSource, Saver,
    WatchOptions,
};
use tensor::Tensor;

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

#[test]
fn direct_files_are_complete_without_durability() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("m");
    let mut hint = WriteHint::len(20_000);
    hint.direct = true;
    let options = BundleOptions::new().hint(hint).durable(false);
    let mut writer = BundleWriter::create_with(&prefix, options).unwrap();
    let values = Tensor::from((0..5_000).collect::<Vec<i32>>());
    writer.add("values", &values).unwrap();
    writer.finish().unwrap();
    assert_eq!(BundleReader::open(&prefix).unwrap().read("values").unwrap(), values);
    assert_eq!(prefix.with_extension("data-00000-of-00001").metadata().unwrap().len(), 20_000);
}

#[test]
fn formatting_options_calls_no_function_of_the_user() {
    let options = WatchOptions::default().stop_when(|| panic!("called"));
    assert!(format!("{options:?}").contains("Stop"));
}
