//! Writers are shared between threads, and so is everything else.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use std::fmt::Debug;
use summary::record::{RecordError, RecordReader, RecordWriter};
use summary::{
    Clock, Event, EventAccumulator, EventError, EventReader, EventWriter, EventWriterBuilder,
    EventWriterCache, Histogram, RunEvents, Summary, SummaryError, Value,
};

fn shared<T: Send + Sync + Debug + 'static>() {}
fn value<T: Send + Sync + Unpin + Clone + Debug + PartialEq + 'static>() {}
fn error<T: std::error::Error + Clone + Send + Sync + 'static>() {}

#[test]
fn everything_goes_between_threads() {
    shared::<EventWriter>();
    shared::<EventWriterBuilder>();
    shared::<EventWriterCache>();
    shared::<EventReader>();
    shared::<EventAccumulator>();
    shared::<RunEvents>();
    shared::<RecordReader<std::fs::File>>();
    shared::<RecordWriter<std::fs::File>>();
    value::<Event>();
    value::<Summary>();
    value::<Value>();
    value::<Histogram>();
    error::<EventError>();
    error::<RecordError>();
    error::<SummaryError>();
}

#[test]
fn clocks_are_objects() {
    let clock: Box<dyn Clock> = Box::new(|| std::time::Duration::from_secs(1));
    assert_eq!(clock.now().as_secs(), 1);
}
