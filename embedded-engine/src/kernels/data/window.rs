//! `WindowDataset`, `SlidingWindowDataset` (D-63).
//!
//! # Semantics
//!
//! - `WindowDataset`: inputs `input_dataset`, `size`, `shift`, `stride` (each greater than zero),
//!   `drop_remainder`. Window `k` holds the inputs `k * shift + j * stride` for `j < size`. It is returned as
//!   one dataset for each component of the elements.
//! - `SlidingWindowDataset`: inputs `window_size`, `window_shift`, `window_stride`; attribute
//!   `drop_remainder` (true). The windows are tensors: their elements are stacked.
//!
//! ```text
//! range(5), size 3, shift 1:              0 1 2 | 1 2 3 | 2 3 4 | 3 4 | 4
//! the same with drop_remainder:           0 1 2 | 1 2 3 | 2 3 4
//! range(7), size 2, shift 3, stride 2:    0 2 | 3 5 | 6
//! ```
//!
//! Elements that overlapping windows share are read once and kept. An element that fails makes the windows
//! that contain it fail; `SlidingWindowDataset` returns its error and leaves it out. Elements that a shift
//! skips may fail unnoticed.
//!
//! Cardinality: known if the input's is. Position: the elements held, then whether the input is open and its
//! position. It cannot be written while a failed element is held, or after a run ended within a shift.

use super::build::{Build, Op};
use super::dataset::{Dataset, Handle, Iterate, Run, Shared, Source, Ties, restore_open, save_open};
use super::element::{self, Element};
use super::position::{Reader, Writer, unsavable};
use super::tensors::Rows;
use session_core::{AttrValue, PartialShape, Result};
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[
    Op { types: &["WindowDataset"], functions: &[], make },
    Op {
        types: &["SlidingWindowDataset", "ExperimentalSlidingWindowDataset"],
        functions: &[],
        make: sliding,
    },
];

/// Makes the dataset of windows as datasets.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let rules = Rules {
        size: build.positive("size", |_| "Window size must be greater than zero.")?,
        shift: build.positive("shift", |_| "Window shift must be greater than zero.")?,
        stride: build.positive("stride", |_| "Window stride must be greater than zero.")?,
        drop_remainder: build.bool_or("drop_remainder", false)?,
        stacks: false,
    };
    Ok(Arc::new(Window { input: build.input()?, rules }))
}

/// Makes the dataset of windows as tensors.
fn sliding(build: &Build<'_, '_>) -> Result<Shared> {
    let rules = Rules {
        size: build.positive("window_size", |_| "Window size must be greater than zero.")?,
        shift: build.positive("window_shift", |_| "Window shift must be greater than zero.")?,
        stride: build.positive("window_stride", |_| "window_stride must be greater than zero.")?,
        drop_remainder: build.attr("drop_remainder").and_then(AttrValue::as_bool).unwrap_or(true),
        stacks: true,
    };
    Ok(Arc::new(Window { input: build.input()?, rules }))
}

/// The form of the windows.
#[derive(Clone, Copy)]
struct Rules {
    /// The number of elements of a full window.
    size: usize,
    /// The distance of the first elements of two consecutive windows.
    shift: usize,
    /// The distance of two consecutive elements of a window.
    stride: usize,
    /// True if windows that the end of the input cuts short are left out.
    drop_remainder: bool,
    /// True if windows are tensors, false if they are datasets.
    stacks: bool,
}

/// The dataset.
struct Window {
    /// The dataset whose elements form windows.
    input: Shared,
    /// The form of the windows.
    rules: Rules,
}

impl Dataset for Window {
    fn name(&self) -> &'static str {
        if self.rules.stacks { "SlidingWindow" } else { "Window" }
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    /// Returns the number of windows of `n` elements: `ceil(n / shift)`, or without remainders
    /// `(n - span) / shift + 1` if there are at least `span`, and 0 otherwise.
    fn cardinality(&self) -> i64 {
        let Ok(all) = u64::try_from(self.input.cardinality()) else { return self.input.cardinality() };
        let (shift, span) = (self.rules.shift as u64, self.rules.span() as u64);
        let windows = if self.rules.drop_remainder {
            all.checked_sub(span).map_or(0, |rest| rest / shift + 1)
        } else {
            all.div_ceil(shift)
        };
        windows.cast_signed()
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let input = Some(self.input.iterate(run)?);
        Ok(Box::new(Windows { input, rules: self.rules, held: VecDeque::new(), window: None, missing: 0 }))
    }
}

impl Rules {
    /// Returns the number of elements of the input from the first to the last one of a window.
    fn span(&self) -> usize {
        (self.size - 1).saturating_mul(self.stride).saturating_add(1)
    }
}

/// An iterator.
struct Windows {
    /// The iterator over the input; `None` after its end.
    input: Option<Source>,
    /// The form of the windows.
    rules: Rules,
    /// The elements from the first one of the next window on. An element that failed is kept as its error: a window that contains it fails, and
    /// the others do not.
    held: VecDeque<Result<Element>>,
    /// The window that was chosen, until the shift to the next one is complete. `None` between two requests,
    /// unless the end of a run has interrupted the shift.
    window: Option<Result<Vec<Element>>>,
    /// The elements of the input that the shift still drops.
    missing: usize,
}

impl Windows {
    /// Takes an element of the input, failed or not; `None` at the end, when the iterator is dropped.
    ///
    /// # Errors
    ///
    /// The end of the run, which is not the error of an element.
    fn take(&mut self, run: &Run<'_>) -> Result<Option<Result<Element>>> {
        run.limits.check()?;
        let Some(input) = &mut self.input else { return Ok(None) };
        let taken = input.next(run).transpose();
        match &taken {
            Some(Err(_)) => run.limits.check()?,
            Some(Ok(_)) => {}
            None => self.input = None,
        }
        Ok(taken)
    }

    /// Chooses every `stride`-th element of the window, and begins the shift to the next one. A shift beyond the
    /// elements that are held drops elements of the input, failed ones too.
    fn choose(&mut self) {
        let Rules { size, shift, stride, .. } = self.rules;
        let chosen = self.held.iter().take(self.rules.span()).step_by(stride).take(size);
        self.window = Some(chosen.cloned().collect());
        self.missing = shift.saturating_sub(self.held.len());
        // Overlapping windows keep the elements after the shift.
        self.held.drain(..shift.min(self.held.len()));
    }
}

impl Iterate for Windows {
    /// Reads up to the last element of the window, chooses every `stride`-th one, and moves on by `shift`.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if self.window.is_none() {
            let span = self.rules.span();
            while self.held.len() < span {
                match self.take(run)? {
                    // A failed element is not part of a window of tensors.
                    Some(Err(error)) if self.rules.stacks => return Err(error),
                    Some(taken) => self.held.push_back(taken),
                    None => break,
                }
            }
            if self.held.is_empty() || self.held.len() < span && self.rules.drop_remainder {
                return Ok(None);
            }
            self.choose();
        }
        // Before the window's error is returned, so that the next request has the next window.
        while self.missing > 0 && self.take(run)?.is_some() {
            self.missing -= 1;
        }
        let window = self.window.take().unwrap_or_else(|| Ok(Vec::new()))?;
        if self.rules.stacks {
            return element::stack(&window, run.environment).map(Some);
        }
        let components = window.first().map_or(0, Vec::len);
        let dataset = |component: usize| {
            let values: Vec<Element> =
                window.iter().map(|element| vec![element[component].clone()]).collect();
            let types = vec![window[0][component].dtype()];
            let rows = Rows { name: "Window", elements: values.into() };
            let (dataset, shapes) = (Arc::new(rows), vec![PartialShape::unknown()]);
            Handle { dataset, types, shapes, ties: Ties::default() }.into_tensor()
        };
        Ok(Some((0..components).map(dataset).collect()))
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        if self.window.is_some() {
            return Err(unsavable("window whose shift was interrupted"));
        }
        to.list(self.held.iter(), |to, held| match held {
            Ok(element) => to.element(element),
            Err(_) => Err(unsavable("failed element")),
        })?;
        save_open(self.input.as_ref(), to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.held = from.list(|from| from.element().map(Ok))?.into();
        restore_open(&mut self.input, from, run)
    }
}
