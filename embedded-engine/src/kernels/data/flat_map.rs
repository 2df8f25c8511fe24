//! `FlatMapDataset` (D-43), and the datasets that functions make.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::kept::Kept;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["FlatMapDataset"], functions: &["f"], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let function = build.function("f", "other_arguments")?;
    Ok(Arc::new(FlatMap { input: build.input()?, function }))
}

struct FlatMap {
    input: Shared,
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

struct Flattened {
    input: Source,
    function: Function,
    inner: Option<Inner>,
}

impl Iterate for Flattened {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            if let Some(inner) = &mut self.inner {
                if let Some(element) = inner.source.next(&run.inner())? {
                    return Ok(Some(element));
                }
                self.inner = None;
            }
            let Some(element) = self.input.next(run)? else { return Ok(None) };
            self.inner = Some(Inner::make(&self.function, element, run)?);
            run.limits.check()?;
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.option(self.inner.as_ref(), |to, inner| inner.save(to))?;
        self.input.save(to)
    }

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
    dataset: Shared,
    kept: Kept,
    pub(super) source: Source,
}

impl Inner {
    pub(super) fn make(function: &Function, arguments: Element, run: &Run<'_>) -> Result<Inner> {
        let before = run.instance.export();
        let dataset = function.dataset(run, arguments.clone())?.dataset;
        let source = dataset.iterate(&run.inner())?;
        Ok(Inner { arguments, before, dataset, kept: run.kept.clone(), source })
    }

    pub(super) fn save(&self, to: &mut Writer) -> Result<()> {
        to.element(&self.arguments)?;
        save_states(&self.before, to)?;
        self.source.save(to)?;
        self.kept.save(self.dataset.as_ref(), to)
    }

    /// Makes the dataset again, and goes to where the iterator stood.
    pub(super) fn restored(function: &Function, from: &mut Reader<'_>, run: &Run<'_>) -> Result<Inner> {
        let arguments = from.element()?;
        run.instance.import(restored_states(from)?);
        let mut inner = Inner::make(function, arguments, run)?;
        inner.source.restore(from, &run.inner())?;
        run.kept.restore(inner.dataset.as_ref(), from)?;
        Ok(inner)
    }
}

/// Writes the states of operations in functions.
pub(super) fn save_states(states: &[(String, Vec<u8>)], to: &mut Writer) -> Result<()> {
    to.list(states.iter(), |to, (name, state)| {
        to.text(name.as_bytes());
        to.text(state);
        Ok(())
    })
}

pub(super) fn restored_states(from: &mut Reader<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    from.list(|from| {
        let name = String::from_utf8_lossy(from.bytes()?).into_owned();
        Ok((name, from.bytes()?.to_vec()))
    })
}
