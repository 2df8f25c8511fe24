//! The elements of a queue, and the order in which they leave it.
//!
//! A store knows no capacity and no waiting. Each element has the number of its insertion, by which an
//! abandoned operation is undone.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// An element with the number that it got when it was put in. Numbers grow.
pub(crate) type Numbered<E> = (u64, E);

/// Draws the places of a shuffling queue.
pub(crate) trait Draw: Send {
    /// Returns a number below `bound`.
    fn below(&mut self, bound: u32) -> u32;
}

/// A store that draws from its oldest elements. The result does not depend on how many more there are,
/// provided there are enough of them or no more will come.
///
/// A shuffling queue of TensorFlow draws from all elements that it holds, and that depends on how far its
/// threads have come. A window of `min_after_dequeue + 1` elements gives one order for given seeds, which a
/// resumed run can repeat.
pub(crate) struct Window<E> {
    /// The elements from which the next one is drawn, in the order that drawing has left. Filled from `rest`
    /// when one is requested.
    oldest: Vec<Numbered<E>>,
    /// Younger elements, oldest first.
    rest: VecDeque<Numbered<E>>,
    /// The number of elements from which a random one is drawn.
    size: usize,
    /// The random numbers.
    draw: Box<dyn Draw>,
}

impl<E> Window<E> {
    /// Makes an empty window of this size, at least 1.
    pub(crate) fn new(size: usize, draw: Box<dyn Draw>) -> Window<E> {
        Window { oldest: Vec::new(), rest: VecDeque::new(), size, draw }
    }

    /// Draws an element: fills the window from the rest, then removes one at random, whose place the last one
    /// takes.
    fn pop(&mut self) -> Option<Numbered<E>> {
        // Filled late: while the queue is open, the same elements are drawn from however far the threads have
        // come.
        let missing = self.size.saturating_sub(self.oldest.len()).min(self.rest.len());
        self.oldest.extend(self.rest.drain(..missing));
        let bound = u32::try_from(self.oldest.len()).unwrap_or(u32::MAX);
        (bound > 0).then(|| self.oldest.swap_remove(self.draw.below(bound) as usize))
    }
}

/// The elements of a queue.
pub(crate) enum Store<E> {
    /// Elements in the order of their insertion (S-247).
    Fifo(VecDeque<Numbered<E>>),
    /// Any of them next, evenly (S-248). The last element takes the place of the drawn one, as in TensorFlow.
    Shuffle(Vec<Numbered<E>>, Box<dyn Draw>),
    /// Any of the oldest next, evenly.
    Window(Window<E>),
    /// The smallest priority next, and among equals the first that was put in; TensorFlow promises no order
    /// among equals (S-250). The function returns the priority of an element.
    Priority(BTreeMap<(i64, u64), E>, fn(&E) -> i64),
}

impl<E> Store<E> {
    /// Returns the number of elements.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Store::Fifo(elements) => elements.len(),
            Store::Shuffle(elements, _) => elements.len(),
            Store::Window(window) => window.oldest.len() + window.rest.len(),
            Store::Priority(elements, _) => elements.len(),
        }
    }

    /// Inserts an element, whose number is larger than those before.
    #[inline]
    pub(crate) fn push(&mut self, number: u64, element: E) {
        match self {
            Store::Fifo(elements) => elements.push_back((number, element)),
            Store::Shuffle(elements, _) => elements.push((number, element)),
            Store::Window(window) => window.rest.push_back((number, element)),
            Store::Priority(elements, priority) => {
                let priority = priority(&element);
                elements.insert((priority, number), element);
            }
        }
    }

    /// Removes and returns the next element; a shuffling store draws a random number for it.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Numbered<E>> {
        match self {
            Store::Fifo(elements) => elements.pop_front(),
            Store::Shuffle(elements, draw) => {
                let bound = u32::try_from(elements.len()).unwrap_or(u32::MAX);
                (bound > 0).then(|| elements.swap_remove(draw.below(bound) as usize))
            }
            Store::Window(window) => window.pop(),
            Store::Priority(elements, _) => {
                elements.pop_first().map(|((_, number), element)| (number, element))
            }
        }
    }

    /// Returns true if the elements of one batch must be taken at one moment: taken as they come, they would not be those of
    /// the smallest priorities (S-237, S-250).
    #[inline]
    pub(crate) fn takes_whole_batches(&self) -> bool {
        matches!(self, Store::Priority(..))
    }

    /// Reinserts elements that were popped, at their former places. The draws of a shuffling store are not
    /// taken back.
    pub(crate) fn put_back(&mut self, taken: impl DoubleEndedIterator<Item = Numbered<E>>) {
        match self {
            // The last one first, so that the first one ends up in front.
            Store::Fifo(elements) => taken.rev().for_each(|element| elements.push_front(element)),
            Store::Window(window) => window.oldest.extend(taken),
            _ => taken.for_each(|(number, element)| self.push(number, element)),
        }
    }

    /// Removes the elements with these numbers, as far as they are still in the store. Costs a walk over all
    /// elements.
    pub(crate) fn remove(&mut self, numbers: &Range<u64>) {
        match self {
            Store::Fifo(elements) => elements.retain(|(number, _)| !numbers.contains(number)),
            Store::Shuffle(elements, _) => elements.retain(|(number, _)| !numbers.contains(number)),
            Store::Window(window) => {
                window.oldest.retain(|(number, _)| !numbers.contains(number));
                window.rest.retain(|(number, _)| !numbers.contains(number));
            }
            Store::Priority(elements, _) => elements.retain(|(_, number), _| !numbers.contains(number)),
        }
    }
}
