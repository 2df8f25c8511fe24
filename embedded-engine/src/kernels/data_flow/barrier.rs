//! Barriers: elements whose components come one by one under a key, taken when they are complete.
//!
//! # Semantics
//!
//! - `Barrier`: attributes `component_types`, `shapes` (fully known, one for each component), `capacity`
//!   (-1), `container`, `shared_name`. Outputs the handle.
//! - `BarrierInsertMany`: inputs handle, `keys` (strings), `values`, whose first dimension is that of the
//!   keys; attribute `component_index`. Inserts one component of all keys, or none: a key that has the
//!   component already, a key that occurs twice, and a closed barrier are errors before anything changes.
//! - `BarrierTakeMany`: inputs handle, `num_elements`; attributes `allow_small_batch`, `wait_for_incomplete`.
//!   Waits for as many complete elements, then outputs `indices` (the numbers of the insertions that brought
//!   the keys), `keys`, and each component stacked.
//! - `BarrierClose`: attribute `cancel_pending_enqueues`. New keys are refused; with cancel, incomplete
//!   elements are dropped and components refused, too.
//! - `BarrierReadySize`, `BarrierIncompleteSize`: the numbers of elements.
//!
//! From a closed barrier a take of more elements than will ever be there is `OutOfRange`. With
//! `allow_small_batch` it takes what is ready instead, and with `wait_for_incomplete` it waits for the
//! incomplete ones first.
//!
//! # Order
//!
//! An element moves from `incomplete` to `ready` with its last component. Complete elements are taken in the
//! order of the insertions that brought their keys, and only those of one insertion in the order of their
//! completion. A take that a run abandons puts its elements back at their places. The content is not part of
//! checkpoints.
//!
//! # Example
//!
//! ```text
//!  insert(component 0, keys [x, y])      incomplete: x y, of insertion 0
//!  insert(component 0, keys [z])         incomplete: x y z, of which z is of insertion 1
//!  insert(component 1, keys [z, y])      ready: y z, ordered by insertion and not by completion
//!  take(2)                               y z
//! ```

use super::monitor::{Job, Monitor, begin, begins};
use crate::kernel::{Kernel, KernelContext, NodeSpec, gives};
use crate::kernels::array::arrange;
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use session_core::{AttrValue, Code, Error, PartialShape, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use tensor::{Bytes, DType, Tensor};

/// Registers the op types. Only a take may wait.
pub(super) fn register(registry: &mut Registry) {
    registry.add_handle("Barrier", make);
    registry
        .add("BarrierInsertMany", |spec| {
            let component = spec.int("component_index")?;
            Ok(boxed(move |context| {
                let barrier = barrier(context)?;
                let (keys, values) = (context.input(1).as_strings()?, context.input(2));
                let component = barrier.check(component, keys.len(), values)?;
                // The rows share the memory of the batch, and are cut before the lock is taken.
                let rows: Vec<Tensor> =
                    (0..keys.len()).map(|row| values.rows(row, row + 1)).collect::<Result<_, _>>()?;
                barrier.state.with(|state| barrier.insert(state, component, keys, rows))
            }))
        })
        .wakes();
    registry
        .add("BarrierTakeMany", |spec| {
            let (small, waits) = (spec.bool("allow_small_batch")?, spec.bool("wait_for_incomplete")?);
            Ok(begins(move |context| {
                let barrier = barrier(context)?;
                let count = context.int(1)?;
                let count = usize::try_from(count).map_err(|_| {
                    barrier.wrong(format!("num_elements must not be negative, but was {count}"))
                })?;
                let state = barrier.state.clone();
                begin(&state, Take { barrier, count, small, waits, taken: Vec::new() }, context)
            }))
        })
        .waits();
    registry
        .add("BarrierClose", |spec| {
            let cancel = spec.bool("cancel_pending_enqueues")?;
            Ok(boxed(move |context| {
                barrier(context)?.state.with(|state| {
                    state.closed = true;
                    if cancel {
                        state.cancelled = true;
                        state.incomplete.clear();
                    }
                });
                Ok(())
            }))
        })
        .wakes();
    registry.add("BarrierReadySize", |_| size(|state| state.ready.len()));
    registry.add("BarrierIncompleteSize", |_| size(|state| state.incomplete.len()));
}

/// Makes the kernel that counts elements.
fn size(size: fn(&State) -> usize) -> Result<Box<dyn Kernel>> {
    Ok(boxed(move |context| {
        let size = barrier(context)?.state.with(|state| size(state));
        context.set_count(size);
        Ok(())
    }))
}

/// A barrier of a session, found by its name. Its shapes are those of components without the leading axis of
/// the batch.
struct Barrier {
    /// The name, for messages.
    name: String,
    /// The dtypes of the components.
    dtypes: Vec<DType>,
    /// The static shapes of the components.
    shapes: Vec<PartialShape>,
    /// The elements, behind a lock with waiting jobs.
    state: Arc<Monitor<State>>,
}

/// The elements of a barrier.
struct State {
    /// Complete elements by the number of the insertion of their key, then in the order of completion.
    ready: BTreeMap<(i64, u64), Element>,
    /// Incomplete elements by key.
    incomplete: BTreeMap<Bytes, Incomplete>,
    /// True if no new keys are accepted.
    closed: bool,
    /// True if no components are accepted either.
    cancelled: bool,
    /// The number of the next insertion that brings a key. TensorFlow counts from the smallest integer, and a take returns the number.
    next: i64,
    /// The number of elements that were completed so far, which orders those of one insertion.
    completed: u64,
}

/// A complete element.
struct Element {
    /// The key.
    key: Bytes,
    /// One row of each component.
    components: Vec<Tensor>,
}

/// An element that lacks some components.
struct Incomplete {
    /// The number of the insertion that brought the key.
    number: i64,
    /// The components so far.
    components: Vec<Option<Tensor>>,
}

/// Makes the kernel that creates a barrier, or finds the one of its shared name.
///
/// # Errors
///
/// `InvalidArgument` for shapes that are not fully known, a capacity other than -1, and a barrier of other
/// components.
fn make(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let name = resource_name(spec);
    let container = spec.str("container").unwrap_or_default();
    let dtypes = spec.attr("component_types")?.as_types().unwrap_or_default();
    let shapes = spec.attr("shapes").ok().and_then(AttrValue::as_shapes).unwrap_or_default();
    if shapes.len() != dtypes.len() || !shapes.iter().all(PartialShape::is_fully_known) {
        return Err(Error::invalid_argument(format!(
            "all component shapes of barrier '{name}' must be specified"
        )));
    }
    let capacity = spec.int("capacity")?;
    if capacity != -1 {
        let text = format!("barrier '{name}' must have capacity -1, not {capacity}");
        return Err(Error::invalid_argument(text));
    }
    let state = || State {
        ready: BTreeMap::new(),
        incomplete: BTreeMap::new(),
        closed: false,
        cancelled: false,
        next: i64::MIN,
        completed: 0,
    };
    let make = || Barrier {
        name: name.to_owned(),
        dtypes: dtypes.clone(),
        shapes: shapes.clone(),
        state: Arc::new(Monitor::new(state())),
    };
    let handle = spec.resources.handle("barrier", container, name, make);
    // The capacity is always -1, so types and shapes are all that can differ.
    let agrees = |known: &Barrier| known.dtypes == dtypes && known.shapes == shapes;
    if !handle.as_handle::<Barrier>().is_some_and(agrees) {
        let text = format!("shared barrier '{name}' exists with other components");
        return Err(Error::invalid_argument(text));
    }
    Ok(gives(handle))
}

/// Returns the barrier of input 0.
fn barrier(context: &KernelContext<'_>) -> Result<Arc<Barrier>> {
    context.shared_handle(0, "a barrier")
}

impl Barrier {
    /// Makes an error that names the barrier.
    fn wrong(&self, text: String) -> Error {
        Error::invalid_argument(format!("{text} (in barrier '{}')", self.name))
    }

    /// Returns the index of the component if the values are valid for this many keys.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, in this order: an index outside the components, another dtype, another number of
    /// rows than keys, rows of another shape.
    fn check(&self, component: i64, keys: usize, values: &Tensor) -> Result<usize> {
        let count = self.dtypes.len();
        let place = usize::try_from(component).ok().filter(|&place| place < count);
        let place = place.ok_or_else(|| {
            self.wrong(format!("The component ID is out of range {component} > num_components (= {count})"))
        })?;
        if values.dtype() != self.dtypes[place] {
            let text = format!(
                "Type mismatch in component {place}. Expected {}, got {}",
                self.dtypes[place],
                values.dtype()
            );
            return Err(self.wrong(text));
        }
        match values.shape().split_first() {
            Some((&rows, dims)) if rows == keys && self.shapes[place].is_compatible_with(dims) => Ok(place),
            Some((&rows, dims)) if rows == keys => {
                let found = PartialShape::from(dims);
                let text = format!(
                    "Shape mismatch in component {place}. Expected {}, got {found}",
                    self.shapes[place]
                );
                Err(self.wrong(text))
            }
            _ => Err(self.wrong(format!("values of shape {} for {keys} keys", values.shape()))),
        }
    }

    /// Inserts a component for all keys, or fails and inserts none: all keys are checked before the first one
    /// changes.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a key that has the component already, or that occurs twice; `Cancelled` after a
    /// close.
    fn insert(&self, state: &mut State, component: usize, keys: &[Bytes], rows: Vec<Tensor>) -> Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        for key in keys {
            let shown = key.escape_ascii();
            let known = state.incomplete.get(key);
            if !seen.insert(key) || known.is_some_and(|known| known.components[component].is_some()) {
                let text = format!("Key {shown} already has a value for component {component}");
                return Err(self.wrong(text));
            }
            if state.cancelled || state.closed && known.is_none() {
                let text = format!(
                    "Barrier '{}' is closed, but there was an attempt to insert a value for key {shown}",
                    self.name
                );
                return Err(Error::new(Code::Cancelled, text));
            }
        }
        // All new keys of one insertion have one number; without a new key none is used up.
        let number = state.next;
        for (key, row) in keys.iter().zip(rows) {
            let mut element = state.incomplete.remove(key).unwrap_or_else(|| {
                state.next = number.wrapping_add(1);
                Incomplete { number, components: vec![None; self.dtypes.len()] }
            });
            element.components[component] = Some(row);
            if element.components.iter().all(Option::is_some) {
                let components = element.components.into_iter().flatten().collect();
                let place = (element.number, state.completed);
                state.completed += 1;
                state.ready.insert(place, Element { key: key.clone(), components });
            } else {
                state.incomplete.insert(key.clone(), element);
            }
        }
        Ok(())
    }
}

/// A job that takes complete elements, once there are enough.
struct Take {
    /// The barrier.
    barrier: Arc<Barrier>,
    /// The number of elements.
    count: usize,
    /// True if fewer elements are enough after the barrier was closed.
    small: bool,
    /// True if a closed barrier still waits for the missing components of its elements.
    waits: bool,
    /// The elements that were taken, to be put back if the step fails.
    taken: Vec<((i64, u64), Element)>,
}

impl Job<State> for Take {
    /// Takes the elements if there are enough, fails if there never will be, and otherwise waits.
    fn attempt(&mut self, state: &mut State) -> Option<Result<()>> {
        let (ready, total) = (state.ready.len(), state.ready.len() + state.incomplete.len());
        if ready < self.count {
            if !state.closed {
                return None;
            }
            // Without small batches all of the requested elements must at least exist in part.
            let enough = if self.small { ready > 0 || self.waits && total > 0 } else { total >= self.count };
            if !enough {
                let text = format!(
                    "Barrier '{}' is closed and has insufficient elements (requested {}, total size {total})",
                    self.barrier.name, self.count
                );
                return Some(Err(Error::new(Code::OutOfRange, text)));
            }
            if !self.small || self.waits && total > ready {
                return None;
            }
        }
        self.taken = (0..self.count).map_while(|_| state.ready.pop_first()).collect();
        Some(Ok(()))
    }

    /// Puts the elements back; their places order them among those that became complete meanwhile.
    fn undo(&mut self, state: &mut State) {
        state.ready.extend(self.taken.drain(..));
    }

    /// Outputs the numbers, the keys, and the components, each stacked into one tensor.
    fn deliver(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        let numbers: Vec<i64> = self.taken.iter().map(|((number, _), _)| *number).collect();
        let keys: Vec<Bytes> = self.taken.iter().map(|(_, element)| element.key.clone()).collect();
        let count = keys.len();
        for (place, shape) in self.barrier.shapes.iter().enumerate() {
            let rows: Vec<&Tensor> =
                self.taken.iter().map(|(_, element)| &element.components[place]).collect();
            let row = shape.to_shape().unwrap_or_default();
            let width = row.elements();
            let whole: tensor::Shape = std::iter::once(count).chain(row.iter().copied()).collect();
            // Without elements there is no row from which a shape could be taken.
            let stacked = match rows.is_empty() {
                true => Tensor::zeros(self.barrier.dtypes[place], whole)?,
                false => arrange(context, &rows, whole, width, &|row| Some((row, 0)), None)?,
            };
            context.set(2 + place, stacked);
        }
        context.set(0, Tensor::from(numbers));
        context.set(1, Tensor::from_strings(keys, [count])?);
        Ok(())
    }

    fn describe(&self) -> String {
        let (ready, incomplete) =
            self.barrier.state.with(|state| (state.ready.len(), state.incomplete.len()));
        format!(
            "take of {} elements from barrier '{}' ({ready} ready, {incomplete} incomplete)",
            self.count, self.barrier.name
        )
    }
}
