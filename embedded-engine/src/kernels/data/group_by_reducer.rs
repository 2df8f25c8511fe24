//! `GroupByReducerDataset` (D-64).
//!
//! # Semantics
//!
//! Inputs: `input_dataset` and the captured values of each function. Attributes, all functions:
//!
//! - `key_func(element)` returns the key, one integer;
//! - `init_func(key)` returns the first state of a key;
//! - `reduce_func(state, element)` returns the next state;
//! - `finalize_func(state)` returns the element of the key.
//!
//! The first request reads the whole input. Then there is one element for each key, in ascending order of the
//! keys. An error of the input or of a function ends the request and loses the element that it happened at;
//! the next request reads on. A key exists from its call of `init_func` on, also if `reduce_func` then fails
//! for its first element. Memory: one state for each key.
//!
//! Cardinality: unknown. Position: the keys with their states, then the input's, which costs no replay of
//! what was read.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source, restore_open, save_open};
use super::element::Element;
use super::function::Function;
use super::position::{Reader, Writer};
use session_core::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use tensor::Tensor;

/// The op types. Clients of today still write the `Experimental` one (D-3).
pub(super) const OPS: &[Op] = &[Op {
    types: &["GroupByReducerDataset", "ExperimentalGroupByReducerDataset"],
    functions: &["key_func", "init_func", "reduce_func", "finalize_func"],
    make,
}];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let functions = Functions {
        key: build.function("key_func", "key_func_other_arguments")?,
        init: build.function("init_func", "init_func_other_arguments")?,
        reduce: build.function("reduce_func", "reduce_func_other_arguments")?,
        finalize: build.function("finalize_func", "finalize_func_other_arguments")?,
    };
    Ok(Arc::new(GroupByReducer { input: build.input()?, functions: Arc::new(functions) }))
}

/// The functions with what they captured.
struct Functions {
    /// Returns the key of an element.
    key: Function,
    /// Returns the first state for a key.
    init: Function,
    /// Returns the next state for a state and an element.
    reduce: Function,
    /// Returns the result for a state.
    finalize: Function,
}

/// The dataset.
struct GroupByReducer {
    /// The dataset whose elements are reduced.
    input: Shared,
    /// The functions.
    functions: Arc<Functions>,
}

impl Dataset for GroupByReducer {
    fn name(&self) -> &'static str {
        "GroupByReducer"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let input = Some(self.input.iterate(run)?);
        Ok(Box::new(Groups { input, functions: self.functions.clone(), states: BTreeMap::new() }))
    }
}

/// An iterator.
struct Groups {
    /// The iterator over the input; `None` after its end, when results are returned.
    input: Option<Source>,
    /// The functions.
    functions: Arc<Functions>,
    /// The states of the groups that were not returned yet, by key. The map's order is that of the results.
    states: BTreeMap<i64, Element>,
}

impl Groups {
    /// Adds an element to its group. After an error the states are as before, but a new key has the one of
    /// `init_func`.
    fn reduce(&mut self, element: Element, run: &Run<'_>) -> Result<()> {
        let key = self.functions.key.integer(run, element.clone())?;
        let state = match self.states.get(&key) {
            Some(state) => state.clone(),
            None => {
                let state = self.functions.init.call(run, vec![Tensor::scalar(key)])?;
                // Before `reduce_func` is called: the key has a result although its first element fails.
                self.states.entry(key).or_insert(state).clone()
            }
        };
        let mut arguments = state;
        arguments.extend(element);
        let state = self.functions.reduce.call(run, arguments)?;
        self.states.insert(key, state);
        Ok(())
    }
}

impl Iterate for Groups {
    /// Reads the whole input at the first request, then returns the results by key. A group is removed before
    /// `finalize_func` is called, so that an error does not return forever.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(input) = &mut self.input {
            // The whole input is read within one request.
            run.limits.check()?;
            match input.next(run)? {
                Some(element) => self.reduce(element, run)?,
                None => self.input = None,
            }
        }
        let Some((_, state)) = self.states.pop_first() else { return Ok(None) };
        self.functions.finalize.call(run, state).map(Some)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.list(self.states.iter(), |to, (&key, state)| {
            to.integer(key);
            to.element(state)
        })?;
        save_open(self.input.as_ref(), to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let states = from.list(|from| Ok((from.integer()?, from.element()?)))?;
        self.states.clear();
        self.states.extend(states);
        restore_open(&mut self.input, from, run)
    }
}
