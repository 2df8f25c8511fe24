//! Summaries. That tags are TensorFlow's is checked in `oracle.rs`.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::array::constant;
use ops::summary::*;
use session_core::{CollectionKey, DType, Graph, Output, keys};

#[test]
fn s_29_all_summaries_are_merged_or_there_are_none() {
    let graph = Graph::new();
    assert_eq!(merge_all(&graph), None);
    let value = constant(&graph.named("value"), 1.0f32);
    let (a, b) = (scalar("a", &value), histogram("b", &value));
    let merged = merge_all(&graph).unwrap();
    graph.check().unwrap();
    assert_eq!((merged.dtype(), merged.shape().rank()), (DType::String, Some(0)));
    assert_eq!(merged.operation().inputs(), [a, b]);
    assert_eq!(merged.name(), "Merge/MergeSummary:0");
}

#[test]
fn collections_can_be_chosen() {
    const OTHER: CollectionKey<Output> = CollectionKey::new("other");
    let graph = Graph::new();
    let value = constant(&graph.named("value"), 1.0f32);
    let summary = scalar_with("a", &value, &SummaryOptions::default().collections([&OTHER]));
    assert_eq!(graph.collection(&OTHER), [summary]);
    assert!(graph.collection(&keys::SUMMARIES).is_empty());
    assert!(merge_all_of(&graph, &OTHER).is_some());
}
