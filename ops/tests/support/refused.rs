//! Assertions about builds that fail.
#![allow(dead_code)] // each test file uses its part

use session_core::{Error, Graph};
use std::panic::Location;

/// Asserts that building fails in the caller's file, with these words.
#[track_caller]
pub(crate) fn refused(words: &[&str], build: impl FnOnce(&Graph)) {
    let graph = Graph::new();
    build(&graph);
    check(&graph.check().expect_err("nothing was refused"), words);
}

/// Asserts that an error has these words, and a place in the caller's file.
#[track_caller]
pub(crate) fn check(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no '{word}' in: {text}");
    }
    let place = error.location().unwrap_or_else(|| panic!("no place: {text}"));
    assert_eq!(place.file(), Location::caller().file(), "{text}");
}
