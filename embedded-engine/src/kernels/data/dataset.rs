//! The traits of datasets and their iterators.

use super::element::Element;
use super::map::Map;
use super::position::{Reader, Writer};
use crate::kernel::{Body, Caller, Environment};
use crate::limits::Limits;
use crate::resources::Instance;
use session_core::{Error, PartialShape, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// The number of elements of a dataset that has no end.
pub(super) const INFINITE: i64 = -1;

/// The number of elements of a dataset of which nobody knows.
pub(super) const UNKNOWN: i64 = -2;

/// A shared dataset.
pub(super) type Shared = Arc<dyn Dataset>;

/// An iterator in the making or at work.
pub(super) type Source = Box<dyn Iterate>;

/// A description of elements.
pub(super) trait Dataset: Send + Sync {
    /// TensorFlow's name for its kind of iterator: `Map`.
    fn name(&self) -> &'static str;

    /// The datasets that it takes elements from.
    fn inputs(&self) -> Vec<&Shared> {
        Vec::new()
    }

    /// Returns the number of elements, [`INFINITE`], or [`UNKNOWN`] (D-70).
    fn cardinality(&self) -> i64 {
        UNKNOWN
    }

    /// Makes an iterator that stands before the first element.
    fn iterate(&self, run: &Run<'_>) -> Result<Source>;

    /// Returns the number of elements that can be accessed by index, if any can. Each is the same whenever it
    /// is accessed.
    fn rows(&self) -> Option<u64> {
        None
    }

    /// The element of a number below [`rows`](Dataset::rows).
    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let _ = run;
        Err(Error::invalid_argument(format!("{} has no element number {number}", self.name())))
    }

    /// Writes what iterators leave behind in the dataset itself, for those to come.
    fn save(&self, to: &mut Writer) -> Result<()> {
        let _ = to;
        Ok(())
    }

    /// Takes back what [`save`](Dataset::save) wrote.
    fn restore(&self, from: &mut Reader<'_>) -> Result<()> {
        let _ = from;
        Ok(())
    }

    /// Itself, if it maps elements one by one.
    fn as_map(&self) -> Option<&Map> {
        None
    }
}

/// Gives the elements of a dataset.
pub(super) trait Iterate: Send {
    /// The next element, or nothing at the end. After an error the next call goes on behind what failed (D-10).
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>>;

    /// Passes by some elements; how many there were.
    fn skip(&mut self, run: &Run<'_>, count: u64) -> Result<u64> {
        for passed in 0..count {
            if self.next(run)?.is_none() {
                return Ok(passed);
            }
        }
        Ok(count)
    }

    /// Writes where it stands.
    fn save(&self, to: &mut Writer) -> Result<()>;

    /// Goes to where another iterator over an equal dataset stood. Called before the first element.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()>;
}

/// The step that requests an element, as an iterator sees it.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) environment: &'a Environment,
    pub(super) limits: &'a Limits<'a>,
    /// The states of the operations in its functions (D-18).
    pub(super) instance: &'a Instance,
    /// True if datasets are rewritten as TensorFlow does at the outermost level (D-15).
    pub(super) rewrites: bool,
}

impl Run<'_> {
    /// Runs a function.
    pub(super) fn call(&self, body: &dyn Body, arguments: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let Run { environment, limits, instance, .. } = *self;
        body.call(&Caller { environment, limits, instance: Some(instance) }, arguments)
    }

    /// The same for datasets that functions make.
    pub(super) fn inner(&self) -> Run<'_> {
        Run { rewrites: false, ..*self }
    }
}

/// A dataset as a value of the graph, with what its operation says of its elements.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) dataset: Shared,
    pub(super) types: Vec<DType>,
    pub(super) shapes: Vec<PartialShape>,
}

impl Handle {
    pub(super) fn of(tensor: &Tensor) -> Result<&Handle> {
        tensor.as_handle().ok_or_else(|| {
            let text = format!("a {} of shape {} is not a dataset", tensor.dtype(), tensor.shape());
            Error::invalid_argument(text)
        })
    }

    pub(super) fn into_tensor(self) -> Tensor {
        Tensor::from_handle(DType::Variant, Arc::new(self))
    }
}

/// Writes what a dataset and its inputs keep.
pub(super) fn save_kept(dataset: &dyn Dataset, to: &mut Writer) -> Result<()> {
    dataset.save(to)?;
    dataset.inputs().into_iter().try_for_each(|input| save_kept(input.as_ref(), to))
}

/// Takes back what [`save_kept`] wrote.
pub(super) fn restore_kept(dataset: &dyn Dataset, from: &mut Reader<'_>) -> Result<()> {
    dataset.restore(from)?;
    dataset.inputs().into_iter().try_for_each(|input| restore_kept(input.as_ref(), from))
}

/// Writes an iterator, none behind its end.
pub(super) fn save_open(input: Option<&Source>, to: &mut Writer) -> Result<()> {
    to.option(input, |to, input| input.save(to))
}

/// Takes back what [`save_open`] wrote, into an iterator that was just made.
pub(super) fn restore_open(input: &mut Option<Source>, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
    let made = input.take();
    *input = from.option(|from| {
        let mut made = made.ok_or_else(super::position::damaged)?;
        made.restore(from, run)?;
        Ok(made)
    })?;
    Ok(())
}

/// The pipeline as text, sources first: `Range > Map > Batch`.
pub(super) fn chain(dataset: &dyn Dataset) -> String {
    let inputs: Vec<String> = dataset.inputs().into_iter().map(|input| chain(input.as_ref())).collect();
    match inputs.as_slice() {
        [] => dataset.name().to_owned(),
        [one] => format!("{one} > {}", dataset.name()),
        several => format!("({}) > {}", several.join(", "), dataset.name()),
    }
}
