//! `UniqueDataset` (D-65).

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use rustc_hash::FxHashSet;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::DType;

pub(super) const OPS: &[Op] =
    &[Op { types: &["UniqueDataset", "ExperimentalUniqueDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let [DType::Int32 | DType::Int64 | DType::String] = build.node.types[..] else {
        let text =
            format!("unique elements have one component, int32, int64 or string, not {:?}", build.node.types);
        return Err(Error::invalid_argument(text));
    };
    Ok(Arc::new(Unique { input: build.input()? }))
}

struct Unique {
    input: Shared,
}

impl Dataset for Unique {
    fn name(&self) -> &'static str {
        "Unique"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Distinct { input: self.input.iterate(run)?, seen: FxHashSet::default() }))
    }
}

struct Distinct {
    input: Source,
    seen: FxHashSet<Vec<u8>>,
}

impl Iterate for Distinct {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(element) = self.input.next(run)? {
            // Written as for a position, with dtype and shape.
            let mut key = Writer::default();
            key.element(&element)?;
            if self.seen.insert(key.into_bytes()) {
                return Ok(Some(element));
            }
            run.limits.check()?;
        }
        Ok(None)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.list(self.seen.iter(), |to, key| {
            to.bytes(key);
            Ok(())
        })?;
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.seen = from.list(|from| Ok(from.bytes()?.to_vec()))?.into_iter().collect();
        self.input.restore(from, run)
    }
}
