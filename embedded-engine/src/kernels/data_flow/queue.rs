//! A queue of a session: what is declared of it, and what it holds.
//!
//! # Semantics
//!
//! | op type, also with `V2` | order in which elements leave | batches |
//! | --- | --- | --- |
//! | `FIFOQueue` | that of their insertion (S-247) | shapes must be known |
//! | `PaddingFIFOQueue` | that of their insertion | smaller elements are padded (S-249) |
//! | `RandomShuffleQueue` | random, from at least `min_after_dequeue` + 1 elements while it is open (S-248) | as `FIFOQueue` |
//! | `PriorityQueue` | ascending priority, equal ones as inserted | as `FIFOQueue`; the priority is component 0 (S-250) |
//!
//! Attributes: `component_types`; `shapes`, one for each component, or none to allow any shape and no
//! batches; `capacity`, negative for no limit; `container` and `shared_name`; for a shuffling queue also
//! `min_after_dequeue`, `seed`, `seed2`. Two operations of one `shared_name` must agree in all of them
//! (S-229).
//!
//! Shapes and dtypes of elements are checked when they are put in, so that nothing in a queue can fail later,
//! except for batches of shapes that are not known. Equal seeds give equal orders for equal sequences of
//! insertions and requests. With the attribute `_replayable` a shuffling queue draws from a fixed number of
//! elements instead, and the order does not depend on how full it is.
//!
//! The kinds share the lines of waiting operations (`bounded.rs`) and differ in their stores (`store.rs`).
//! The content of a queue is not part of checkpoints; see `consumed.rs` for how a resumed run continues.

use super::PRIORITY;
use super::bounded::{Bounded, Source};
use super::component::Component;
use super::store::{Draw, Store, Window};
use crate::kernel::NodeSpec;
use compute::random::{Generator, Words, seeds_from_entropy};
use session_core::{AttrValue, Error, PartialShape, QueueStats, Result};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tensor::{BufferPool, DType, Tensor};

/// One element: its components in the order of the declaration, the priority first where there is one.
pub(super) type Element = SmallVec<[Component; 1]>;

/// The kinds of queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// First in, first out.
    Fifo,
    /// First in, first out; elements of a batch are padded to one shape, so shapes may have unknown sizes of
    /// a known rank.
    PaddingFifo,
    /// Elements are drawn at random, from all that are held or from a window of the oldest.
    RandomShuffle,
    /// The element with the smallest number comes first. The number is the first component, an `int64`
    /// scalar.
    Priority,
}

impl Kind {
    /// Returns TensorFlow's name for the kind, for messages.
    fn name(self) -> &'static str {
        match self {
            Kind::Fifo => "FIFOQueue",
            Kind::PaddingFifo => "PaddingFIFOQueue",
            Kind::RandomShuffle => "RandomShuffleQueue",
            Kind::Priority => "PriorityQueue",
        }
    }
}

/// The declaration of a queue. Queues of one shared name must agree in all of it (S-229).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QueueSpec {
    /// The kind of the queue.
    kind: Kind,
    /// The dtypes of the components, the priority's included.
    dtypes: Vec<DType>,
    /// The static shapes of the components, the priority's included; `None` when any shapes are allowed.
    shapes: Option<Vec<PartialShape>>,
    /// The maximum number of elements; a negative one is unlimited, and 0 blocks each enqueue (S-223).
    capacity: i64,
    /// The number of elements that remain after a dequeue, so that the draw is from enough of them.
    min_after_dequeue: i64,
    /// The seeds of the random draw, of the graph and of the operation; `(0, 0)` for random ones.
    seeds: (i64, i64),
    /// True if the order of a shuffling queue does not depend on the number of elements in it, so that a
    /// resumed run can repeat it. Set by an attribute of this project's input pipelines.
    replayable: bool,
}

impl QueueSpec {
    /// Reads the attributes of a queue. A priority queue's dtypes and shapes get the priority in front
    /// (S-250).
    pub(super) fn of(spec: &NodeSpec<'_>, kind: Kind) -> Result<QueueSpec> {
        let mut dtypes = spec.attr("component_types")?.as_types().unwrap_or_default();
        let shapes = spec.attr("shapes").ok().and_then(AttrValue::as_shapes).unwrap_or_default();
        // An empty list of shapes allows any, unless there are no components.
        let mut shapes = (!shapes.is_empty() || dtypes.is_empty()).then_some(shapes);
        if kind == Kind::Priority {
            dtypes.insert(0, PRIORITY);
            if let Some(shapes) = &mut shapes {
                shapes.insert(0, PartialShape::scalar());
            }
        }
        let (min_after_dequeue, seeds) = match kind {
            Kind::RandomShuffle => (spec.int("min_after_dequeue")?, (spec.int("seed")?, spec.int("seed2")?)),
            _ => (0, (0, 0)),
        };
        let replayable = spec.operation.attr("_replayable").and_then(AttrValue::as_bool) == Some(true);
        let capacity = spec.int("capacity")?;
        Ok(QueueSpec { kind, dtypes, shapes, capacity, min_after_dequeue, seeds, replayable })
    }

    /// Checks the numbers and lists of the declaration (S-222, S-224). An error is returned when the queue is
    /// first used.
    pub(super) fn check(&self) -> Result<()> {
        let QueueSpec { capacity, min_after_dequeue: min, .. } = *self;
        if min < 0 {
            return Err(Error::invalid_argument(format!("min_after_dequeue {min} must be >= 0")));
        }
        // An unbounded queue has room for any reserve.
        if self.kind == Kind::RandomShuffle && capacity >= 0 && min >= capacity {
            return Err(Error::invalid_argument(format!(
                "min_after_dequeue {min} must be < capacity {capacity}"
            )));
        }
        match &self.shapes {
            Some(shapes) if shapes.len() != self.dtypes.len() => {
                let text =
                    format!("{} shapes are declared for {} components", shapes.len(), self.dtypes.len());
                Err(Error::invalid_argument(text))
            }
            _ => Ok(()),
        }
    }

    /// Checks that elements can be stacked (S-237): all shapes are declared and known, or of known rank where
    /// the queue pads.
    pub(super) fn check_batches(&self) -> Result<()> {
        let known = |shape: &PartialShape| shape.is_fully_known() || self.pads() && shape.rank().is_some();
        match &self.shapes {
            Some(shapes) if shapes.iter().all(known) => Ok(()),
            _ => Err(Error::invalid_argument(format!(
                "{}'s DequeueMany and DequeueUpTo require the components to have specified shapes.",
                self.kind.name()
            ))),
        }
    }

    /// Refuses a batch that could never be taken: a priority queue hands out a batch when it holds all of it.
    /// Other queues fill a batch over time, beyond their capacity.
    pub(super) fn check_count(&self, count: usize) -> Result<()> {
        match usize::try_from(self.capacity) {
            Ok(capacity) if self.kind == Kind::Priority && count > capacity => {
                Err(Error::invalid_argument(format!(
                    "{count} elements are dequeued at once from a PriorityQueue, whose capacity is {capacity}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Returns true if the elements of a batch are padded.
    pub(super) fn pads(&self) -> bool {
        self.kind == Kind::PaddingFifo
    }

    /// Returns the dtypes of the components.
    pub(super) fn dtypes(&self) -> &[DType] {
        &self.dtypes
    }

    /// Returns the declared shape of a component, or `None` where any is allowed.
    pub(super) fn shape(&self, index: usize) -> Option<&PartialShape> {
        self.shapes.as_ref()?.get(index)
    }

    /// Checks the components of an element, or of a batch of elements (S-227, S-228, S-232): number, dtypes,
    /// shapes, and with `many` an equal first dimension.
    pub(super) fn check_element(&self, components: &[Tensor], many: bool) -> Result<()> {
        if components.len() != self.dtypes.len() {
            let text = format!("{} components for a queue of {}", components.len(), self.dtypes.len());
            return Err(Error::invalid_argument(text));
        }
        let mut size = None;
        for (index, component) in components.iter().enumerate() {
            if component.dtype() != self.dtypes[index] {
                let (expected, found) = (self.dtypes[index], component.dtype());
                let text = format!("Type mismatch in component {index}. Expected {expected}, got {found}");
                return Err(Error::invalid_argument(text));
            }
            let dims = match (many, component.shape().split_first()) {
                (false, _) => component.shape().dims(),
                (true, Some((&batch, dims))) => {
                    if *size.get_or_insert(batch) != batch {
                        let text = "All input tensors must have the same size in the 0th dimension";
                        return Err(Error::invalid_argument(format!(
                            "{text}: component {index} has {batch}"
                        )));
                    }
                    dims
                }
                (true, None) => {
                    let text = format!("component {index} is a scalar and has no slices to enqueue");
                    return Err(Error::invalid_argument(text));
                }
            };
            self.check_shape(index, dims)?;
        }
        Ok(())
    }

    /// Checks the shape of a component, without the dimension of a batch. Without declared shapes any is
    /// valid, except for a priority.
    #[inline]
    fn check_shape(&self, index: usize, dims: &[usize]) -> Result<()> {
        let scalar = PartialShape::scalar();
        let priority = self.kind == Kind::Priority && index == 0;
        let Some(expected) = self.shape(index).or(priority.then_some(&scalar)) else { return Ok(()) };
        if expected.is_compatible_with(dims) {
            return Ok(());
        }
        let found = PartialShape::from(dims);
        let text = format!("Shape mismatch in component {index}. Expected {expected}, got {found}");
        Err(Error::invalid_argument(text))
    }
}

/// A queue, found by its name for the life of a session.
pub(super) struct Queue {
    /// The name, for messages.
    name: String,
    /// The properties of the queue.
    pub(super) spec: QueueSpec,
    /// The elements, with the lines of waiting operations.
    pub(super) elements: Arc<Bounded<Element>>,
}

impl Queue {
    /// Makes an empty queue of the kind. The specification was checked.
    pub(super) fn new(name: &str, spec: QueueSpec) -> Queue {
        let store = match spec.kind {
            Kind::Fifo | Kind::PaddingFifo => Store::Fifo(VecDeque::new()),
            Kind::RandomShuffle if spec.replayable => {
                // A draw is made when one element more than the reserve is there, so it is from this many in
                // every run.
                let held = usize::try_from(spec.min_after_dequeue).unwrap_or(0).saturating_add(1);
                Store::Window(Window::new(held, Box::new(RandomDraw::new(spec.seeds))))
            }
            Kind::RandomShuffle => Store::Shuffle(Vec::new(), Box::new(RandomDraw::new(spec.seeds))),
            Kind::Priority => Store::Priority(BTreeMap::new(), priority),
        };
        let capacity = usize::try_from(spec.capacity).ok(); // S-223
        let reserve = usize::try_from(spec.min_after_dequeue).unwrap_or(0);
        Queue { name: name.to_owned(), spec, elements: Arc::new(Bounded::new(store, capacity, reserve)) }
    }

    /// Returns the kind and name: `FIFOQueue 'name'`.
    pub(super) fn title(&self) -> String {
        format!("{} '{}'", self.spec.kind.name(), self.name)
    }

    /// Returns its title and how full it is, for messages about waits:
    /// `FIFOQueue 'name' (size 0, capacity 10)`.
    pub(super) fn status(&self) -> String {
        let size = self.elements.size();
        match self.spec.capacity {
            capacity if capacity < 0 => format!("{} (size {size})", self.title()),
            capacity => format!("{} (size {size}, capacity {capacity})", self.title()),
        }
    }

    /// Returns the counts that a program can query, all of one moment.
    pub(super) fn stats(&self) -> QueueStats {
        let (size, closed, [pending_enqueues, pending_dequeues]) = self.elements.status();
        let capacity = usize::try_from(self.spec.capacity).ok();
        QueueStats { name: self.name.clone(), size, capacity, closed, pending_enqueues, pending_dequeues }
    }

    /// Checks that another operation of the same name declares the same queue (S-229). Unset seeds agree with
    /// any.
    pub(super) fn agrees_with(&self, wanted: &QueueSpec) -> Result<()> {
        let (known, name) = (&self.spec, &self.name);
        let differs = |what: &str, known: String, wanted: String| {
            let text = format!("Shared queue '{name}' has {what} {known} but requested {what} was {wanted}");
            Err(Error::invalid_argument(text))
        };
        if known.kind != wanted.kind {
            return differs("kind", known.kind.name().to_owned(), wanted.kind.name().to_owned());
        }
        if known.capacity != wanted.capacity {
            return differs("capacity", known.capacity.to_string(), wanted.capacity.to_string());
        }
        if known.dtypes != wanted.dtypes {
            return differs("component types", list(&known.dtypes), list(&wanted.dtypes));
        }
        if known.shapes != wanted.shapes {
            let shapes = |spec: &QueueSpec| list(spec.shapes.as_deref().unwrap_or_default());
            return differs("component shapes", shapes(known), shapes(wanted));
        }
        if known.min_after_dequeue != wanted.min_after_dequeue {
            let min = |spec: &QueueSpec| spec.min_after_dequeue.to_string();
            return differs("min_after_dequeue", min(known), min(wanted));
        }
        // An operation without seeds asks for no order in particular.
        if wanted.seeds != (0, 0) && known.seeds != wanted.seeds {
            let seeds = |spec: &QueueSpec| format!("({}, {})", spec.seeds.0, spec.seeds.1);
            return differs("random seeds", seeds(known), seeds(wanted));
        }
        Ok(())
    }

    /// Returns the slices of a batch, one after another. They are made as there is room for them, and share
    /// the batch's memory where the order is kept.
    pub(super) fn slices(
        &self,
        batch: SmallVec<[Tensor; 1]>,
        count: usize,
        buffers: &BufferPool,
    ) -> Source<Element> {
        // In these the rows of a batch leave together, so it does not stay for the sake of one row.
        let in_order = matches!(self.spec.kind, Kind::Fifo | Kind::PaddingFifo);
        let buffers = buffers.clone();
        Source::Many(Box::new((0..count).map(move |row| {
            batch.iter().map(|component| Component::row(component, row, in_order, &buffers)).collect()
        })))
    }
}

/// Formats items in brackets, as TensorFlow's messages do.
fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(","))
}

/// Returns the first component; its dtype and shape were checked when it was put in.
fn priority(element: &Element) -> i64 {
    let bits = element.first().and_then(|component| component.bits::<u64>().ok()?.first().copied());
    bits.unwrap_or(0).cast_signed()
}

/// Draws places as TensorFlow does from these seeds: one word of Philox 4x32-10 for each draw, modulo the
/// bound.
struct RandomDraw(Words);

impl RandomDraw {
    /// Makes the random numbers from the seeds.
    fn new(seeds: (i64, i64)) -> RandomDraw {
        let (seed, seed2) = if seeds == (0, 0) { seeds_from_entropy() } else { seeds };
        RandomDraw(Words::new(Generator::new(seed, seed2)))
    }
}

impl Draw for RandomDraw {
    /// Returns the next word modulo `bound`, as TensorFlow does.
    fn below(&mut self, bound: u32) -> u32 {
        self.0.below(bound)
    }
}
