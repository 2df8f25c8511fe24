//! `ParseExampleDataset` (D-87).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, whose elements are one string tensor of serialized `Example` messages, usually a
//! batch; `dense_defaults`; `num_parallel_calls`, which is not read. The attributes name the features, as of
//! `ParseExample`; one parser is made from them when the operation runs.
//!
//! Each element becomes one of the features: dense ones as tensors, sparse ones as one variant each, ragged
//! ones as variants. Components are in the ascending order of the features' keys, whatever their kinds. A
//! message that cannot be parsed fails the whole element (`InvalidArgument`), and the next request continues
//! after it.
//!
//! Cardinality and position: the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use super::sparse::{self, Sparse};
use crate::kernel::{Caller, integers};
use crate::kernels::parsing::{Parsed, Parser};
use crate::kernels::ragged::Ragged;
use session_core::{Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op {
    types: &["ParseExampleDataset", "ParseExampleDatasetV2", "ExperimentalParseExampleDataset"],
    functions: &[],
    make,
}];

/// Makes the dataset, with the parser of the operation's attributes.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let (parser, defaults) = (Parser::new(&build.spec())?, build.tensors("dense_defaults"));
    Ok(Arc::new(ParseExample { input: build.input()?, parser: Arc::new(parser), defaults }))
}

/// The dataset.
struct ParseExample {
    /// The dataset of serialized messages.
    input: Shared,
    /// The parser.
    parser: Arc<Parser>,
    /// The values of dense features that a message lacks.
    defaults: Element,
}

impl Dataset for ParseExample {
    fn name(&self) -> &'static str {
        "ParseExample"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        self.input.cardinality()
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let (parser, defaults) = (self.parser.clone(), self.defaults.clone());
        Ok(Box::new(Parsing { input: self.input.iterate(run)?, parser, defaults }))
    }
}

/// An iterator.
struct Parsing {
    /// The iterator over the input.
    input: Source,
    /// The parser.
    parser: Arc<Parser>,
    /// The values of dense features that a message lacks.
    defaults: Element,
}

impl Iterate for Parsing {
    /// Parses the next element. One that has other components than a single one is `InvalidArgument`, and
    /// lost.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let Some(element) = self.input.next(run)? else { return Ok(None) };
        let [examples] = element.as_slice() else {
            let text = format!("examples are elements of one component, not {}", element.len());
            return Err(Error::invalid_argument(text));
        };
        let caller =
            Caller { environment: run.environment, limits: run.limits, instance: Some(run.instance) };
        let features = self.parser.parse(&caller, examples.clone(), &self.defaults)?;
        let component = |feature| match feature {
            Parsed::Dense(values) => Ok(values),
            Parsed::Sparse([indices, values, shape]) => {
                Ok(sparse::single(Sparse { indices, values, shape: integers(&shape)? }))
            }
            Parsed::Ragged([values, splits]) => Ok(Ragged::new(values, splits).into_tensor()),
        };
        features.into_iter().map(component).collect::<Result<_>>().map(Some)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.input.restore(from, run)
    }
}
