//! `FlatMapDataset` (D-43), and the datasets that functions make.
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `other_arguments`; attribute `f`, a function that returns a dataset for an
//! element. The elements of these datasets follow one another. The function is called when the elements of
//! the dataset before are used up, not earlier. An error of the function loses its element; an error of an
//! inner dataset is returned, and the next request continues in that dataset (D-10).
//!
//! Cardinality: unknown. Position: the inner dataset's, if one is open, see [`Inner`]; then the input's.
//!
//! # Inner datasets
//!
//! A dataset that a function makes has no name under which a restored run could find it. Its position
//! therefore holds the arguments of the function and the states of random operations before the call; a
//! restore calls the function again, and moves the new dataset's iterator to where the old one stood.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::kept::Kept;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["FlatMapDataset"], functions: &["f"], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let function = build.function("f", "other_arguments")?;
    Ok(Arc::new(FlatMap { input: build.input()?, function }))
}

/// The dataset.
struct FlatMap {
    /// The dataset whose elements are the arguments.
    input: Shared,
    /// The function that returns a dataset.
    function: Function,
}

impl Dataset for FlatMap {
    fn name(&self) -> &'static str {
        "FlatMap"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Flattened {
            input: self.input.iterate(run)?,
            function: self.function.clone(),
            inner: None,
        }))
    }
}

/// An iterator.
struct Flattened {
    /// The iterator over the arguments.
    input: Source,
    /// The function that returns a dataset.
    function: Function,
    /// The dataset that elements are taken from; `None` before the first one and between two.
    inner: Option<Inner>,
}

impl Iterate for Flattened {
    /// Returns the next element of the inner dataset, and opens the next one when it ends. Inner datasets run
    /// with [`Run::inner`], so nothing in them is rewritten.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            if let Some(inner) = &mut self.inner {
                if let Some(element) = inner.source.next(&run.inner())? {
                    return Ok(Some(element));
                }
                self.inner = None;
            }
            let Some(element) = self.input.next(run)? else { return Ok(None) };
            // Assigned only after both the call and its iterator have succeeded.
            self.inner = Some(Inner::make(&self.function, element, run)?);
            // Empty inner datasets would otherwise be passed without end.
            run.limits.check()?;
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.option(self.inner.as_ref(), |to, inner| inner.save(to))?;
        self.input.save(to)
    }

    /// Restores the inner dataset before the input: its function must see the states that its call saw.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.inner = from.option(|from| Inner::restored(&self.function, from, run))?;
        self.input.restore(from, run)
    }
}

/// An iterator over a dataset that a function made of an element.
pub(super) struct Inner {
    /// The arguments of the function.
    arguments: Element,
    /// The states of random operations from before the call, of which the dataset may be made.
    before: Vec<(String, Vec<u8>)>,
    /// The dataset, whose state (seeds, caches) is part of the position.
    dataset: Shared,
    /// The states of datasets of the session's iterator, shared with all inner datasets.
    kept: Kept,
    /// The iterator over the dataset.
    pub(super) source: Source,
}

impl Inner {
    /// Calls the function, and begins to iterate over the dataset that it returns.
    ///
    /// The dataset is new for each call: a shuffle in it has a new seed generator, hence the same order each
    /// time (D-19).
    pub(super) fn make(function: &Function, arguments: Element, run: &Run<'_>) -> Result<Inner> {
        // Taken before the call, because the call itself may draw random numbers.
        let before = run.instance.export();
        let dataset = function.dataset(run, arguments.clone())?.dataset;
        let source = dataset.iterate(&run.inner())?;
        Ok(Inner { arguments, before, dataset, kept: run.kept.clone(), source })
    }

    /// Writes the arguments, the states before the call, the position of the iterator, and the state of the
    /// dataset.
    ///
    /// # Errors
    ///
    /// `Unimplemented` if an argument is a dataset, such as a window: it has no bytes.
    pub(super) fn save(&self, to: &mut Writer) -> Result<()> {
        to.element(&self.arguments)?;
        save_states(&self.before, to)?;
        self.source.save(to)?;
        // Last, as in `restored`: restoring the iterator begins epochs, which draw from these seeds.
        self.kept.save(self.dataset.as_ref(), to)
    }

    /// Makes the dataset again, and goes to where the iterator stood.
    ///
    /// Overwrites the states of the iterator's operations; the caller restores those of the present moment
    /// afterwards.
    pub(super) fn restored(function: &Function, from: &mut Reader<'_>, run: &Run<'_>) -> Result<Inner> {
        let arguments = from.element()?;
        run.instance.import(restored_states(from)?);
        let mut inner = Inner::make(function, arguments, run)?;
        inner.source.restore(from, &run.inner())?;
        run.kept.restore(inner.dataset.as_ref(), from)?;
        Ok(inner)
    }
}

/// Writes the states of operations in functions: a list of names and bytes.
pub(super) fn save_states(states: &[(String, Vec<u8>)], to: &mut Writer) -> Result<()> {
    to.list(states.iter(), |to, (name, state)| {
        to.text(name.as_bytes());
        to.text(state);
        Ok(())
    })
}

/// Reads what [`save_states`] wrote.
pub(super) fn restored_states(from: &mut Reader<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    from.list(|from| {
        let name = String::from_utf8_lossy(from.bytes()?).into_owned();
        Ok((name, from.bytes()?.to_vec()))
    })
}
