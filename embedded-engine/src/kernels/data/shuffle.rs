//! `ShuffleDataset`, `ShuffleAndRepeatDataset` (D-30 to D-37).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `buffer_size` (greater than zero, or -2 for the whole input), `seed` and `seed2`,
//! in `V2` and `V3` a `seed_generator`, of `ShuffleAndRepeatDataset` also `count` (greater than zero, or -1).
//! Attribute `reshuffle_each_iteration` (true). The order is TensorFlow's, bit by bit, for the same seeds;
//! `(0, 0)` are random seeds. Errors of the input come while the buffer is filled, before the elements that
//! it holds.
//!
//! # Algorithm
//!
//! The buffer is a ring in which consecutive epochs occupy consecutive *slices*. An element is drawn from the
//! oldest slice that is not empty: its place is refilled with the first element of the slice, which then
//! begins one place later. So a draw moves one element, the order is TensorFlow's, and elements of two epochs
//! are never mixed, although the next epoch is read before the previous one is used up.
//!
//! ```text
//!  ring    [ . . c b | d e f . ]     slices: epoch 1 = 2..4, epoch 2 = 4..7
//!  draw    start + word mod (end - start) = 3:   b, and c moves to place 3
//! ```
//!
//! Of an input with random access the ring holds indices, and an element is read when it is drawn: a large
//! buffer costs 8 bytes an element, and so does its position in a checkpoint.
//!
//! # Example
//!
//! `range(10)` with a buffer of 4 and the seeds 87654321 and 1 is 0 4 5 1 2 7 9 8 6 3 in the first epoch, and
//! 2 1 3 4 6 8 7 9 5 0 in the second one (D-37).
//!
//! # Position
//!
//! The random numbers, the number of epochs read, whether any element was read, the slices with their
//! elements or indices, and the input's position. The seeds of later epochs are a state of the dataset. The
//! content of the buffer is written from a [`View`] when a checkpoint requests it.

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::{self, Element};
use super::kept::Kept;
use super::position::{Reader, Writer, damaged};
use super::ring::{Ring, View};
use super::seeds::{SeedGenerator, words};
use compute::random::{Generator, Words};
use session_core::{AttrValue, Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;

/// The op types. `V2` and `V3` take a seed generator; those of functions of TensorFlow 2 pass an empty one
/// (D-3).
pub(super) const OPS: &[Op] = &[
    Op { types: &["ShuffleDataset", "ShuffleDatasetV2", "ShuffleDatasetV3"], functions: &[], make: shuffle },
    Op {
        types: &["ShuffleAndRepeatDataset", "ShuffleAndRepeatDatasetV2"],
        functions: &[],
        make: shuffle_and_repeat,
    },
];

/// Makes the dataset of one epoch.
fn shuffle(build: &Build<'_, '_>) -> Result<Shared> {
    make(build, "Shuffle", Some(1))
}

/// Makes the dataset of several epochs.
fn shuffle_and_repeat(build: &Build<'_, '_>) -> Result<Shared> {
    let count = build.int("count")?;
    if count < -1 || count == 0 {
        return Err(Error::invalid_argument("count must be greater than zero or equal to -1."));
    }
    make(build, "ShuffleAndRepeat", u64::try_from(count).ok())
}

/// Makes a dataset. `count` is the number of epochs; `None` repeats the input forever.
fn make(build: &Build<'_, '_>, name: &'static str, count: Option<u64>) -> Result<Shared> {
    let size = build.int("buffer_size")?;
    let capacity = match size {
        // The whole input.
        UNKNOWN => u64::MAX,
        size if size > 0 => size.cast_unsigned(),
        _ => {
            let text = "buffer_size must be greater than zero or UNKNOWN_CARDINALITY";
            return Err(Error::invalid_argument(text));
        }
    };
    let reshuffle = build.attr("reshuffle_each_iteration").and_then(AttrValue::as_bool).unwrap_or(true);
    let (input, seeds) = (build.input()?, SeedGenerator::of(build, reshuffle)?);
    Ok(Arc::new(Shuffle { name, input, capacity, count, seeds }))
}

/// The dataset.
struct Shuffle {
    /// The name of the dataset in messages and positions.
    name: &'static str,
    /// The dataset whose elements are shuffled.
    input: Shared,
    /// The maximum number of elements in the buffer.
    capacity: u64,
    /// The number of epochs, or `None` for no limit.
    count: Option<u64>,
    /// The seeds of the epochs.
    seeds: Arc<SeedGenerator>,
}

impl Shuffle {
    /// Makes an iterator over a number of epochs. Draws the seeds of the first one.
    fn shuffled(&self, run: &Run<'_>, count: Option<u64>) -> Source {
        let seeds = self.seeds.of_iterator(run.kept);
        let draws = draws(&seeds);
        let buffer = match self.input.rows() {
            Some(rows) => Buffer::Numbers(Ring::new(self.capacity), rows),
            None => Buffer::Elements(Ring::new(self.capacity)),
        };
        Box::new(Shuffled {
            dataset: self.input.clone(),
            capacity: self.capacity,
            count,
            seeds,
            draws,
            buffer,
            slices: VecDeque::from([Slice::default()]),
            held: 0,
            epoch: 0,
            input: Input::Next,
            given: false,
        })
    }
}

impl Dataset for Shuffle {
    fn name(&self) -> &'static str {
        self.name
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        match (self.input.cardinality(), self.count) {
            (0, _) => 0,
            (_, None) => INFINITE,
            (all, Some(_)) if all < 0 => all,
            (all, Some(count)) => all.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(self.shuffled(run, self.count))
    }

    /// Repeats by reading on into the next epoch, as `ShuffleAndRepeatDataset` does. The order is that of
    /// shuffle and repeat (D-34).
    fn iterate_repeated(&self, run: &Run<'_>, count: Option<u64>) -> Option<Result<Source>> {
        // Without a limit the buffer would hold several epochs.
        (self.count == Some(1) && self.capacity != u64::MAX).then(|| Ok(self.shuffled(run, count)))
    }

    /// Writes the seeds of later epochs, which are drawn by iterators that do not exist yet.
    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        self.seeds.of_iterator(kept).save(to);
        Ok(())
    }

    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        self.seeds.of_iterator(kept).restore(from)
    }
}

/// Returns the random numbers of the next epoch, from new seeds (D-32).
fn draws(seeds: &SeedGenerator) -> Words {
    let (seed, seed2) = seeds.next();
    Words::new(Generator::new(seed, seed2))
}

/// The number of slices beyond which nothing more is read while there is an element to draw (D-34): an input of few elements would
/// otherwise fill the buffer with many epochs.
const SLICES: usize = 3;

/// The places of one epoch's elements in the buffer. Places are counted on and on; the ring wraps them
/// around.
#[derive(Clone, Copy, Default)]
struct Slice {
    /// The place of the first element.
    start: u64,
    /// The place after the last one.
    end: u64,
}

/// An iterator.
struct Shuffled {
    /// The dataset whose elements are shuffled.
    dataset: Shared,
    /// The maximum number of elements in the buffer.
    capacity: u64,
    /// The number of epochs; `None` for no limit.
    count: Option<u64>,
    /// The seeds of further epochs.
    seeds: Arc<SeedGenerator>,
    /// The random numbers of the epoch that is drawn from.
    draws: Words,
    /// The buffered elements.
    buffer: Buffer,
    /// The slices of the epochs in the buffer, oldest first.
    slices: VecDeque<Slice>,
    /// The number of elements in the buffer.
    held: u64,
    /// The number of epochs that were read to their end.
    epoch: u64,
    /// The source of further elements.
    input: Input,
    /// True if any epoch has returned an element.
    given: bool,
}

/// The source of elements.
enum Input {
    /// An epoch is to begin.
    Next,
    /// The iterator over an epoch.
    Elements(Source),
    /// Returns the next element by its number, from a dataset with random access.
    Number(u64),
    /// All epochs were read.
    Over,
}

/// The buffered elements, or their indices if they can be accessed by index.
enum Buffer {
    /// The elements themselves.
    Elements(Ring<Element>),
    /// The numbers of the elements, and the number of elements of the dataset.
    Numbers(Ring<u64>, u64),
}

impl Shuffled {
    /// Reads elements until the buffer is full, the input is over, or enough epochs have begun. An error
    /// leaves what was read, and the next request goes on.
    fn fill(&mut self, run: &Run<'_>) -> Result<()> {
        while self.held < self.capacity {
            if self.held > 0 && self.slices.len() > SLICES {
                return Ok(());
            }
            match &mut self.input {
                Input::Over => return Ok(()),
                Input::Next => {
                    // Each epoch has a new iterator, whose seeds further inside are new too.
                    self.input = match &self.buffer {
                        Buffer::Numbers(..) => Input::Number(0),
                        Buffer::Elements(_) => Input::Elements(self.dataset.iterate(run)?),
                    };
                }
                Input::Number(next) => {
                    let Buffer::Numbers(ring, rows) = &mut self.buffer else { return Err(damaged()) };
                    let slice = self.slices.back_mut().ok_or_else(damaged)?;
                    // As many as there is room for.
                    let count = (*rows - *next).min(self.capacity - self.held);
                    for number in *next..*next + count {
                        ring.put(slice.end, number)?;
                        slice.end += 1;
                    }
                    *next += count;
                    self.held += count;
                    self.given |= count > 0;
                    // With a full buffer the end is noticed with the next request, as it is with an iterator.
                    if *next == *rows && self.held < self.capacity {
                        self.end_epoch();
                    }
                    run.limits.check()?;
                }
                Input::Elements(input) => match input.next(run)? {
                    Some(element) => {
                        let Buffer::Elements(ring) = &mut self.buffer else { return Err(damaged()) };
                        let slice = self.slices.back_mut().ok_or_else(damaged)?;
                        ring.put(slice.end, element)?;
                        slice.end += 1;
                        self.held += 1;
                        self.given = true;
                        run.check_at(self.held)?;
                    }
                    None => self.end_epoch(),
                },
            }
        }
        Ok(())
    }

    /// Draws the place of the next element; also returns that of the first one of its slice. Removes it from
    /// the slice: the caller takes it from the ring.
    fn choose(&mut self, run: &Run<'_>) -> Result<Option<(u64, u64)>> {
        self.fill(run)?;
        if self.held == 0 {
            return Ok(None);
        }
        while self.slices.front().is_some_and(|slice| slice.start == slice.end) {
            self.slices.pop_front();
            // New seeds for each epoch, when its first element is drawn and not when it is read (D-34).
            self.draws = draws(&self.seeds);
        }
        let slice = self.slices.front_mut().ok_or_else(damaged)?;
        // TensorFlow's modulo, with its slight bias: D-33 is about the very elements.
        let chosen = slice.start + u64::from(self.draws.next_word()) % (slice.end - slice.start);
        let start = slice.start;
        slice.start += 1;
        self.held -= 1;
        Ok(Some((chosen, start)))
    }

    /// Draws the numbers of up to `size` elements, and copies these rows of the components.
    fn gathered(&mut self, run: &Run<'_>, size: u64) -> Result<(Element, u64)> {
        let mut numbers: Vec<i64> = Vec::new();
        while (numbers.len() as u64) < size {
            run.check_at(numbers.len() as u64)?;
            // An end within the batch leaves it shorter, and the next request finds nothing.
            let Some((chosen, start)) = self.choose(run)? else { break };
            let Buffer::Numbers(ring, _) = &mut self.buffer else { return Err(damaged()) };
            numbers.push(ring.take(chosen, start)?.cast_signed());
        }
        let components = self.dataset.components().unwrap_or_default().iter();
        let batch = components.map(|component| element::gather(component, &numbers, run.environment));
        Ok((batch.collect::<Result<_>>()?, numbers.len() as u64))
    }

    /// Begins the slice of the next epoch, unless this was the last one.
    fn end_epoch(&mut self) {
        self.epoch += 1;
        let is_last = match self.count {
            Some(count) => self.epoch >= count,
            // Without a limit, an empty input would otherwise be read forever.
            None => !self.given,
        };
        if is_last {
            self.input = Input::Over;
            return;
        }
        self.input = Input::Next;
        let end = self.slices.back().map_or(0, |slice| slice.end);
        // The new slice begins where the last one ends, so places never overlap.
        self.slices.push_back(Slice { start: end, end });
    }
}

/// Writes the content of the buffer, epoch by epoch: the number of slices, then of each the number of
/// elements and the elements. It is read from a view: the position is written when a checkpoint requests it,
/// and steps may have drawn elements meanwhile.
fn save_slices<T: Clone>(
    to: &mut Writer,
    slices: &VecDeque<Slice>,
    view: &View<T>,
    write: impl Fn(&mut Writer, &T) -> Result<()>,
) -> Result<()> {
    let values = view.values(slices.iter().flat_map(|slice| slice.start..slice.end))?;
    let mut values = values.iter();
    to.list(slices.iter(), |to, slice| {
        let count = slice.end - slice.start;
        to.number(count);
        (0..count).try_for_each(|_| write(to, values.next().ok_or_else(damaged)?))
    })
}

impl Iterate for Shuffled {
    /// Draws a place and returns what is there. An error of an element with random access is found now, when
    /// it has left the buffer.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let Some((chosen, start)) = self.choose(run)? else { return Ok(None) };
        match &mut self.buffer {
            Buffer::Elements(ring) => ring.take(chosen, start).map(Some),
            Buffer::Numbers(ring, _) => {
                let number = ring.take(chosen, start)?;
                self.dataset.row(run, number).map(Some)
            }
        }
    }

    /// Draws numbers as [`next`](Iterate::next) does, then copies all rows together. Only over tensors, of
    /// which no row fails: a batch is drawn as a whole.
    fn next_batch(&mut self, run: &Run<'_>, size: u64) -> Option<Result<(Element, u64)>> {
        self.dataset.components()?;
        Some(self.gathered(run, size))
    }

    /// Skips elements by drawing them: of an input with random access none is read.
    fn skip(&mut self, run: &Run<'_>, count: u64) -> Result<u64> {
        for passed in 0..count {
            run.check_at(passed)?;
            let Some((chosen, start)) = self.choose(run)? else { return Ok(passed) };
            match &mut self.buffer {
                Buffer::Elements(ring) => drop(ring.take(chosen, start)?),
                Buffer::Numbers(ring, _) => drop(ring.take(chosen, start)?),
            }
        }
        Ok(count)
    }

    /// Writes the random numbers, the epoch, the flag, the slices, then the source:
    ///
    /// | number | source | then |
    /// | --- | --- | --- |
    /// | 0 | an epoch is to begin | |
    /// | 1 | over | |
    /// | 2 | by index | the index of the next element |
    /// | 3 | an iterator | its position |
    fn save(&self, to: &mut Writer) -> Result<()> {
        to.raw(&self.draws.to_bytes());
        to.number(self.epoch);
        to.flag(self.given);
        let slices = self.slices.clone();
        match &self.buffer {
            Buffer::Elements(ring) => {
                let view = ring.view();
                to.later(move |to| save_slices(to, &slices, &view, |to, element| to.element(element)));
            }
            Buffer::Numbers(ring, _) => {
                let view = ring.view();
                to.later(move |to| {
                    save_slices(to, &slices, &view, |to, &number| {
                        to.number(number);
                        Ok(())
                    })
                });
            }
        }
        match &self.input {
            Input::Next => to.number(0),
            Input::Over => to.number(1),
            Input::Number(next) => {
                to.number(2);
                to.number(*next);
            }
            Input::Elements(input) => {
                to.number(3);
                input.save(to)?;
            }
        }
        Ok(())
    }

    /// Fills the ring from place 0 on, whatever the places were: the order depends on the places relative to
    /// their slice only.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.draws = words(from)?;
        (self.epoch, self.given) = (from.number()?, from.flag()?);
        self.slices.clear();
        let (mut end, mut slices) = (0, from.number()?);
        while slices > 0 {
            slices -= 1;
            let (start, count) = (end, from.number()?);
            for _ in 0..count {
                match &mut self.buffer {
                    Buffer::Elements(ring) => ring.put(end, from.element()?)?,
                    Buffer::Numbers(ring, rows) => {
                        let number = from.number()?;
                        if number >= *rows {
                            return Err(damaged());
                        }
                        ring.put(end, number)?;
                    }
                }
                end += 1;
            }
            self.slices.push_back(Slice { start, end });
        }
        self.held = end;
        // There is always a slice for the elements that are read next.
        if self.held > self.capacity || self.slices.is_empty() {
            return Err(damaged());
        }
        self.input = match (from.number()?, &self.buffer) {
            (0, _) => Input::Next,
            (1, _) => Input::Over,
            (2, Buffer::Numbers(_, rows)) => match from.number()? {
                next if next <= *rows => Input::Number(next),
                // The input had more elements when the position was written.
                _ => return Err(damaged()),
            },
            (3, Buffer::Elements(_)) => {
                let mut input = self.dataset.iterate(run)?;
                input.restore(from, run)?;
                Input::Elements(input)
            }
            _ => return Err(damaged()),
        };
        Ok(())
    }
}
