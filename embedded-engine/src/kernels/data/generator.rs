//! `GeneratorDataset`: three functions that begin, return the next element, and end.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::position::{Reader, Writer, unsavable};
use session_core::{Code, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] =
    &[Op { types: &["GeneratorDataset"], functions: &["init_func", "next_func", "finalize_func"], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let functions = Functions {
        init: build.function("init_func", "init_func_other_args")?,
        next: build.function("next_func", "next_func_other_args")?,
        finalize: build.function("finalize_func", "finalize_func_other_args")?,
    };
    Ok(Arc::new(Generator(Arc::new(functions))))
}

struct Functions {
    init: Function,
    next: Function,
    finalize: Function,
}

struct Generator(Arc<Functions>);

impl Dataset for Generator {
    fn name(&self) -> &'static str {
        "Generator"
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Generating { functions: self.0.clone(), state: None, number: 0, is_over: false }))
    }
}

struct Generating {
    functions: Arc<Functions>,
    /// The initial state.
    state: Option<Element>,
    /// The number of the next element.
    number: u64,
    is_over: bool,
}

impl Iterate for Generating {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if self.is_over {
            return Ok(None);
        }
        let state = match &self.state {
            Some(state) => state.clone(),
            None => self.state.insert(self.functions.init.call(run, Element::new())?).clone(),
        };
        let number = self.number;
        self.number += 1;
        match self.functions.next.call_for(run, state, number) {
            Err(error) if error.code() == Code::OutOfRange => {
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

    fn restore(&mut self, _: &mut Reader<'_>, _: &Run<'_>) -> Result<()> {
        Err(unsavable("generator"))
    }
}
