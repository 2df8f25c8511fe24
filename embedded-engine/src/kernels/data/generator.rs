//! `GeneratorDataset`: three functions that begin, return the next element, and end.
//!
//! # Semantics
//!
//! Inputs: `init_func_other_args`, `next_func_other_args`, `finalize_func_other_args`, lists of captured
//! values; attributes `init_func`, `next_func`, `finalize_func`. The first request calls `init_func` without
//! arguments; its results are the state. Each request calls `next_func` with the state and returns its
//! results as the element. When `next_func` fails with `OutOfRange` the sequence ends, and `finalize_func` is
//! called with the state; an error of it is returned instead of the end. Other errors are those of one
//! element; a failed `init_func` is called again by the next request.
//!
//! TensorFlow calls `finalize_func` also when an iterator is dropped before its end. Here it is called at the
//! end only.
//!
//! Cardinality: unknown. Position: none can be written, because only the functions know it; a restored
//! iterator is replayed from its beginning.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::position::{Reader, Writer, unsavable};
use session_core::{Code, Result};
use std::sync::Arc;

/// The op type. Clients write it inside a `FlatMapDataset` for `from_generator` (D-3).
pub(super) const OPS: &[Op] =
    &[Op { types: &["GeneratorDataset"], functions: &["init_func", "next_func", "finalize_func"], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let functions = Functions {
        init: build.function("init_func", "init_func_other_args")?,
        next: build.function("next_func", "next_func_other_args")?,
        finalize: build.function("finalize_func", "finalize_func_other_args")?,
    };
    Ok(Arc::new(Generator(Arc::new(functions))))
}

/// The functions with what they captured.
struct Functions {
    /// Returns the state.
    init: Function,
    /// Returns the next element for the state.
    next: Function,
    /// Releases what belongs to the state.
    finalize: Function,
}

/// The dataset.
struct Generator(Arc<Functions>);

impl Dataset for Generator {
    fn name(&self) -> &'static str {
        "Generator"
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Generating { functions: self.0.clone(), state: None, number: 0, is_over: false }))
    }
}

/// An iterator.
struct Generating {
    /// The functions.
    functions: Arc<Functions>,
    /// The results of `init_func`; `None` before the first request and after the end.
    state: Option<Element>,
    /// The number of the next element, for messages.
    number: u64,
    /// True after the end, when no function is called any more.
    is_over: bool,
}

impl Iterate for Generating {
    /// Calls `next_func`, before the first element also `init_func`, and at the end `finalize_func`.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if self.is_over {
            return Ok(None);
        }
        // A state is cloned for each call: the values are references to what `init_func` returned.
        let state = match &self.state {
            Some(state) => state.clone(),
            None => self.state.insert(self.functions.init.call(run, Element::new())?).clone(),
        };
        let number = self.number;
        self.number += 1;
        match self.functions.next.call_for(run, state, number) {
            Err(error) if error.code() == Code::OutOfRange => {
                // Set before the call, so that a failing `finalize_func` is not called twice.
                self.is_over = true;
                let state = self.state.take().unwrap_or_default();
                self.functions.finalize.call(run, state)?;
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Saves nothing, because only the closure knows its position. A restored generator runs again from its beginning.
    fn save(&self, _: &mut Writer) -> Result<()> {
        Err(unsavable("generator"))
    }

    /// Fails as [`save`](Iterate::save) does; no position of a generator exists.
    fn restore(&mut self, _: &mut Reader<'_>, _: &Run<'_>) -> Result<()> {
        Err(unsavable("generator"))
    }
}
