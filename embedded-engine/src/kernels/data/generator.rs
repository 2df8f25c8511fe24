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
//! An iterator that is dropped before its end calls `finalize_func`, too: when a `take` ends, with the next
//! initialization, at the end of the session. The call has states and limits of its own, a second at most;
//! its error is logged. It is left out in a thread that panics.
//!
//! Cardinality: unknown. Position: none can be written, because only the functions know it; a restored
//! iterator is replayed from its beginning.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::kept::Kept;
use super::position::{Reader, Writer, unsavable};
use crate::kernel::{Environment, WeakEnvironment};
use crate::limits::Limits;
use crate::resources::Instance;
use session_core::{CancellationToken, Code, Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

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
        let functions = self.0.clone();
        Ok(Box::new(Generating { functions, state: None, session: None, number: 0, is_over: false }))
    }
}

/// An iterator.
struct Generating {
    /// The functions.
    functions: Arc<Functions>,
    /// The results of `init_func`; `None` before the first request and after the end.
    state: Option<Element>,
    /// The session, for the call of `finalize_func` outside of a request; set with the state.
    session: Option<WeakEnvironment>,
    /// The number of the next element, for messages.
    number: u64,
    /// True after the end, when no function is called any more.
    is_over: bool,
}

/// The time that a call of `finalize_func` outside of a request may take. The end of the session, which may
/// have come, must not interrupt it, and a step must not wait for it forever.
const PATIENCE: Duration = Duration::from_secs(1);

impl Generating {
    /// Calls `finalize_func` outside of a request.
    fn finalize(&self, state: Element, environment: &Environment) -> Result<()> {
        let (session, deadline) = (CancellationToken::new(), Instant::now().checked_add(PATIENCE));
        let limits = &Limits { session: &session, run: None, deadline };
        let (instance, kept) = (&Instance::default(), &Kept::default());
        let run = Run { environment, limits, instance, kept, rewrites: false };
        self.functions.finalize.call(&run, state).map(drop)
    }
}

impl Drop for Generating {
    /// Calls `finalize_func` if the end was not reached: what belongs to the state, such as an open file, would
    /// stay otherwise.
    ///
    /// No lock of the engine is held: iterators are dropped while they are taken out of their resources, or with
    /// tables that were emptied before.
    fn drop(&mut self) {
        let Some(state) = self.state.take() else { return };
        let Some(environment) = self.session.as_ref().and_then(WeakEnvironment::upgrade) else { return };
        // A second panic would end the process.
        if thread::panicking() {
            return;
        }
        let called = catch_unwind(AssertUnwindSafe(|| self.finalize(state, &environment)));
        let called = called.unwrap_or_else(|panic| Err(Error::from_panic("a generator", &*panic)));
        if let Err(error) = called {
            let owner = &self.functions.finalize.owner;
            log::warn!("finalize_func of {owner} failed for an iterator that was left: {}", error.chain());
        }
    }
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
            None => {
                let state = self.functions.init.call(run, Element::new())?;
                self.session = Some(run.environment.downgrade());
                self.state.insert(state).clone()
            }
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
