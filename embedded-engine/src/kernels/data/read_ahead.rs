//! The inputs of an interleave, opened and read ahead of their turns.
//!
//! The order of the elements does not depend on how far any input was read. A position refers to the elements that were taken:
//! after it the same elements are read again.

use super::ahead::Given;
use super::build::Build;
use super::dataset::{Run, Shared, Source, for_each, restore_open, save_open};
use super::flat_map::Inner;
use super::function::Function;
use super::position::{Reader, Writer, unsavable};
use session_core::Result;
use std::collections::VecDeque;
use tensor::{DType, Tensor};

/// The extent to which inputs are read ahead.
#[derive(Clone, Copy)]
pub(super) struct ReadAhead {
    /// The number of inputs that are read at the same time. With one, none is read before its turn.
    threads: usize,
    /// The number of inputs that are opened before there is a place for them.
    inputs: usize,
    /// The number of elements that are read of each input.
    elements: usize,
    /// No further element of an input is read when those that wait are as large.
    bytes: usize,
}

/// The elements that are read of each input where the graph leaves the number to the runtime, and their size. A burst of small records
/// pays for waking the threads; a few large elements fill the memory that a pipeline should take.
const AUTO: (usize, usize) = (128, 256 << 10);

impl ReadAhead {
    /// No reading ahead: every input is read in its turn.
    pub(super) const NONE: ReadAhead = ReadAhead { threads: 1, inputs: 0, elements: 1, bytes: 0 };

    /// Returns the extent that an operation requests: inputs that are read at the same time, elements of each, inputs without a place; none
    /// leaves the number to the runtime. Inputs whose elements depend on the order of the calls are read in their turns.
    pub(super) fn of(
        build: &Build<'_, '_>,
        function: &Function,
        threads: usize,
        elements: Option<usize>,
        inputs: Option<usize>,
    ) -> Result<ReadAhead> {
        let has_datasets = build.handle("input_dataset")?.types.contains(&DType::Variant);
        let threads = threads.min(build.context.pool().threads());
        if threads <= 1 || has_datasets || !function.makes_independent_datasets() {
            return Ok(ReadAhead::NONE);
        }
        let (elements, bytes) = elements.map_or(AUTO, |elements| (elements, usize::MAX));
        Ok(ReadAhead { threads, inputs: inputs.unwrap_or(1), elements, bytes })
    }
}

/// The inputs that have no place yet.
pub(super) struct Inputs {
    /// `None` after its end.
    input: Option<Source>,
    function: Function,
    /// The inputs that were opened ahead, or an error in place of one.
    opened: VecDeque<Result<Opened>>,
    ahead: ReadAhead,
}

impl Inputs {
    pub(super) fn new(
        dataset: &Shared,
        function: &Function,
        ahead: ReadAhead,
        run: &Run<'_>,
    ) -> Result<Inputs> {
        let (input, function) = (Some(dataset.iterate(run)?), function.clone());
        Ok(Inputs { input, function, opened: VecDeque::new(), ahead })
    }

    /// Returns the next input, or none at the end.
    pub(super) fn next(&mut self, run: &Run<'_>) -> Result<Option<Opened>> {
        match self.opened.pop_front() {
            Some(opened) => opened.map(Some),
            None => self.open(run),
        }
    }

    fn open(&mut self, run: &Run<'_>) -> Result<Option<Opened>> {
        let Some(input) = &mut self.input else { return Ok(None) };
        match input.next(run)? {
            Some(element) => Inner::make(&self.function, element, run).map(|inner| Some(Opened::new(inner))),
            None => {
                self.input = None;
                Ok(None)
            }
        }
    }

    /// Returns true if there are no more inputs.
    pub(super) fn is_over(&self) -> bool {
        self.input.is_none() && self.opened.is_empty()
    }

    /// Returns true if inputs are read before their turns.
    pub(super) fn reads_ahead(&self) -> bool {
        self.ahead.threads > 1
    }

    /// Reads the inputs in the places, and those that come next into `empty` places, all at the same time.
    pub(super) fn read<'o>(
        &'o mut self,
        places: impl Iterator<Item = &'o mut Opened>,
        empty: usize,
        run: &Run<'_>,
    ) {
        // Nothing is opened after an error that was not returned yet.
        let wanted = self.ahead.inputs.saturating_add(empty);
        while self.opened.len() < wanted && !matches!(self.opened.back(), Some(Err(_))) {
            match self.open(run).transpose() {
                Some(opened) => self.opened.push_back(opened),
                None => break,
            }
        }
        let all = places.chain(self.opened.iter_mut().filter_map(|opened| opened.as_mut().ok()));
        let mut due: Vec<_> = all.filter(|opened| opened.is_due(&self.ahead)).collect();
        for_each(run, self.ahead.threads, &mut due, |opened| opened.read(&self.ahead, run));
    }

    pub(super) fn save(&self, to: &mut Writer) -> Result<()> {
        to.list(self.opened.iter(), |to, opened| match opened {
            Ok(opened) => opened.save(to),
            Err(_) => Err(unsavable("failed input")),
        })?;
        save_open(self.input.as_ref(), to)
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.opened = from.list(|from| self.restored(from, run).map(Ok))?.into();
        restore_open(&mut self.input, from, run)
    }

    /// Opens an input again where it was saved.
    pub(super) fn restored(&self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<Opened> {
        let mut inner = Inner::restored(&self.function, from, run)?;
        for _ in 0..from.number()? {
            run.limits.check()?;
            // An element that failed then fails again; its error was already reported.
            let _ = inner.source.next(&run.inner());
        }
        Ok(Opened::new(inner))
    }
}

/// An input, and what was read of it ahead of its turn.
pub(super) struct Opened {
    inner: Inner,
    read: VecDeque<Given>,
    /// The number of elements, ends and errors that were read.
    count: u64,
    /// The position before the element of a number, for the oldest element that was not taken, and for later ones.
    marks: VecDeque<(u64, Result<Writer>)>,
}

impl Opened {
    fn new(inner: Inner) -> Opened {
        Opened { inner, read: VecDeque::new(), count: 0, marks: VecDeque::new() }
    }

    /// Returns true if the next element was not read yet.
    pub(super) fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Returns true if there is room for elements worth a burst. Nothing is read after an end or an error that was not taken.
    fn is_due(&self, ahead: &ReadAhead) -> bool {
        let goes_on = self.read.back().is_none_or(|last| matches!(last, Ok(Some(_))));
        goes_on && self.read.len() <= ahead.elements / 2
    }

    fn read(&mut self, ahead: &ReadAhead, run: &Run<'_>) {
        let mut before = Writer::default();
        let before = self.inner.save(&mut before).map(|()| before);
        self.marks.push_back((self.count, before));
        let mut bytes = self.read.iter().map(size).sum::<usize>();
        while self.read.len() < ahead.elements && bytes < ahead.bytes {
            let given = self.inner.source.next(&run.inner());
            bytes += size(&given);
            let is_last = !matches!(given, Ok(Some(_)));
            self.read.push_back(given);
            self.count += 1;
            if is_last {
                return;
            }
        }
    }

    pub(super) fn next(&mut self, run: &Run<'_>) -> Given {
        let Some(given) = self.read.pop_front() else { return self.inner.source.next(&run.inner()) };
        let taken = self.taken();
        while self.read.is_empty() && !self.marks.is_empty()
            || self.marks.get(1).is_some_and(|(number, _)| *number <= taken)
        {
            self.marks.pop_front();
        }
        given
    }

    fn taken(&self) -> u64 {
        self.count - self.read.len() as u64
    }

    pub(super) fn save(&self, to: &mut Writer) -> Result<()> {
        match self.marks.front() {
            Some((number, before)) => {
                to.append(before.as_ref().map_err(Clone::clone)?);
                to.number(self.taken() - number);
            }
            None => {
                self.inner.save(to)?;
                to.number(0);
            }
        }
        Ok(())
    }
}

fn size(given: &Given) -> usize {
    let element = given.as_ref().ok().and_then(Option::as_ref);
    element.map_or(0, |element| element.iter().map(Tensor::byte_len).sum())
}
