//! The inputs of an interleave, opened and read ahead of their turns.
//!
//! The order of the elements does not depend on how far any input was read. A position refers to the elements
//! that were taken: after it the same elements are read again.
//!
//! # Algorithm
//!
//! When the next element of an interleave was not read yet, all inputs with room are read in one burst, each
//! by one thread ([`for_each`]), up to a number of elements or bytes. Then elements are taken in turn without
//! any thread. An input is due again when half of its elements were taken, so a burst is worth waking the
//! threads.
//!
//! # Positions
//!
//! Of an input with elements read ahead, the position at the start of the burst is noted (a *mark*), and how
//! many elements were taken since. A restore opens the input at the mark and drops as many: no element that
//! waits is part of a position.

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
    /// The number of inputs that are opened before there is a place for them, besides those for empty places.
    inputs: usize,
    /// The number of elements that are read of each input; at least 1.
    elements: usize,
    /// No further element of an input is read when those that wait have as many bytes.
    bytes: usize,
}

/// The elements that are read of each input where the graph leaves the number to the runtime, and their
/// bytes. A burst of small records pays for waking the threads; a few large elements fill the memory that a
/// pipeline should take.
const AUTO: (usize, usize) = (128, 256 << 10);

impl ReadAhead {
    /// No reading ahead: every input is read in its turn, on the thread that takes the element.
    pub(super) const NONE: ReadAhead = ReadAhead { threads: 1, inputs: 0, elements: 1, bytes: 0 };

    /// Returns the extent that an operation requests: inputs that are read at the same time, elements of
    /// each, inputs without a place; `None` leaves the number to the runtime.
    ///
    /// Inputs whose elements depend on the order of the calls are read in their turns: those of functions
    /// that are not pure or have captured datasets, and those whose arguments hold datasets, which may share
    /// seeds.
    pub(super) fn of(
        build: &Build<'_, '_>,
        function: &Function,
        threads: usize,
        elements: Option<usize>,
        inputs: Option<usize>,
    ) -> Result<ReadAhead> {
        let has_datasets = build.handle("input_dataset")?.types.contains(&DType::Variant);
        // More threads than the session has would only wait for each other.
        let threads = threads.min(build.context.pool().threads());
        if threads <= 1 || has_datasets || !function.makes_independent_datasets() {
            return Ok(ReadAhead::NONE);
        }
        let (elements, bytes) = elements.map_or(AUTO, |elements| (elements, usize::MAX));
        Ok(ReadAhead { threads, inputs: inputs.unwrap_or(1), elements, bytes })
    }
}

/// The inputs that have no place yet: the datasets of further elements of the input.
pub(super) struct Inputs {
    /// The iterator over the arguments of the function; `None` after its end.
    input: Option<Source>,
    /// Makes a dataset of an element of the input.
    function: Function,
    /// The inputs that were opened ahead, or an error in place of one; at most one error, at the back.
    opened: VecDeque<Result<Opened>>,
    /// The extent of reading ahead.
    ahead: ReadAhead,
}

impl Inputs {
    /// Begins with the first element of `dataset`; no input is opened.
    pub(super) fn new(
        dataset: &Shared,
        function: &Function,
        ahead: ReadAhead,
        run: &Run<'_>,
    ) -> Result<Inputs> {
        let (input, function) = (Some(dataset.iterate(run)?), function.clone());
        Ok(Inputs { input, function, opened: VecDeque::new(), ahead })
    }

    /// Returns the next input, or `None` at the end. The call after an error returns the input after the
    /// failed one.
    pub(super) fn next(&mut self, run: &Run<'_>) -> Result<Option<Opened>> {
        match self.opened.pop_front() {
            Some(opened) => opened.map(Some),
            None => self.open(run),
        }
    }

    /// Opens the input of the next element. A failed function has used up its element (D-10).
    fn open(&mut self, run: &Run<'_>) -> Result<Option<Opened>> {
        let Some(input) = &mut self.input else { return Ok(None) };
        match input.next(run)? {
            Some(element) => Inner::make(&self.function, element, run).map(|inner| Some(Opened::new(inner))),
            None => {
                // Dropped, and so remembered: an ended iterator is not asked again.
                self.input = None;
                Ok(None)
            }
        }
    }

    /// Returns true if there are no more inputs, neither opened nor to be opened.
    pub(super) fn is_over(&self) -> bool {
        self.input.is_none() && self.opened.is_empty()
    }

    /// Returns true if inputs are read before their turns.
    pub(super) fn reads_ahead(&self) -> bool {
        self.ahead.threads > 1
    }

    /// Reads the inputs in the places, and those that come next into `empty` places, all at the same time.
    ///
    /// Errors are kept with their input and returned in its turn.
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
        // Each item belongs to one thread, and no thread touches what the order depends on: places, turns,
        // counts.
        let mut due: Vec<_> = all.filter(|opened| opened.is_due(&self.ahead)).collect();
        for_each(run, self.ahead.threads, &mut due, |opened| opened.read(&self.ahead, run));
    }

    /// Writes the inputs that were opened, then the position of the iterator that opens further ones.
    ///
    /// # Errors
    ///
    /// `Unimplemented` while the error of an input waits for its turn: an error has no bytes.
    pub(super) fn save(&self, to: &mut Writer) -> Result<()> {
        to.list(self.opened.iter(), |to, opened| match opened {
            Ok(opened) => opened.save(to),
            Err(_) => Err(unsavable("failed input")),
        })?;
        save_open(self.input.as_ref(), to)
    }

    /// Restores what [`save`](Self::save) wrote. Inputs of places are restored by the interleave, before
    /// this.
    pub(super) fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.opened = from.list(|from| self.restored(from, run).map(Ok))?.into();
        restore_open(&mut self.input, from, run)
    }

    /// Opens an input again where it was saved, by [`Opened::save`]: at its mark, then past the elements that
    /// were taken.
    pub(super) fn restored(&self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<Opened> {
        let mut inner = Inner::restored(&self.function, from, run)?;
        for _ in 0..from.number()? {
            // At most the elements of one burst.
            run.limits.check()?;
            // An element that failed then fails again; its error was already reported.
            if inner.source.next(&run.inner()).is_err() {
                run.limits.check()?;
            }
        }
        Ok(Opened::new(inner))
    }
}

/// An input, and what was read of it ahead of its turn.
///
/// ```text
///             mark 8           mark 12        count
///    ─────────┼────────────────┼───────────────┤
///         taken (10) ▲ ── read, not taken ─────┘
/// ```
pub(super) struct Opened {
    /// The iterator over the input, which is `read.len()` elements ahead of what was taken.
    inner: Inner,
    /// The elements that were read and not taken, oldest first. An end or error is the last one.
    read: VecDeque<Given>,
    /// The number of elements, ends and errors that were read in bursts. Without reading ahead it stays 0.
    count: u64,
    /// The position before the element of a number, for the oldest element that was not taken, and for later ones.
    marks: VecDeque<(u64, Result<Writer>)>,
}

impl Opened {
    /// Begins with an input of which nothing was read.
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
        // Half of a burst: with less room a burst would cost more for waking threads than it saves.
        goes_on && self.read.len() <= ahead.elements / 2
    }

    /// Reads elements until there are enough, or an end or an error comes. Runs on any thread, for one input
    /// at a time.
    fn read(&mut self, ahead: &ReadAhead, run: &Run<'_>) {
        let mut before = Writer::default();
        // A position that cannot be written is kept as its error, which only a checkpoint meets.
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

    /// Returns the next element, read before or now, and forgets marks that no position needs any more.
    pub(super) fn next(&mut self, run: &Run<'_>) -> Given {
        let Some(given) = self.read.pop_front() else { return self.inner.source.next(&run.inner()) };
        // The oldest mark stays until the next one is reached: positions in between refer to it.
        let taken = self.taken();
        while self.read.is_empty() && !self.marks.is_empty()
            || self.marks.get(1).is_some_and(|(number, _)| *number <= taken)
        {
            self.marks.pop_front();
        }
        given
    }

    /// Returns the number of elements that were taken of those read in bursts.
    fn taken(&self) -> u64 {
        self.count - self.read.len() as u64
    }

    /// Writes the mark before the next element, and the number of elements taken since.
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

/// Returns the bytes of an element, 0 of an end or an error.
fn size(given: &Given) -> usize {
    let element = given.as_ref().ok().and_then(Option::as_ref);
    element.map_or(0, |element| element.iter().map(Tensor::byte_len).sum())
}
