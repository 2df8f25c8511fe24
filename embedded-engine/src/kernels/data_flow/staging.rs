//! Areas in which one part of a step, or of a program, leaves values for another: `StagingArea`.
//!
//! # Semantics
//!
//! Each op has the attributes `dtypes` of an element, `capacity` and `memory_limit` (0 for no limit),
//! `container` and `shared_name`, which name the area.
//!
//! - `Stage`: input `values`, a list. Appends an element; waits while the area is full. An element larger
//!   than the whole limit is `ResourceExhausted`.
//! - `Unstage`: removes and outputs the first element; waits for one. `StagePeek`: input `index`; outputs
//!   that element and leaves it in the area; waits until there is one at that place.
//! - `StageSize`: the number of elements. `StageClear`: drops all of them.
//!
//! An element whose dtypes are not those of the operation that takes it is `InvalidArgument`, and lost.
//!
//! An area is a queue of whole elements without closing and without shapes. Elements are numbered, so that a
//! step that fails after it has put one in can remove exactly that one, although other steps may have changed
//! the area since. Nothing is part of checkpoints.

use super::monitor::{Job, Monitor, begin, begins, give, taken};
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use session_core::{AttrValue, Code, Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use tensor::{DType, Tensor};

/// Registers the op types.
pub(super) fn register(registry: &mut Registry) {
    registry
        .add("Stage", |spec| {
            let area = Area::of(spec)?;
            Ok(begins(move |context| {
                let values = taken(context, 0);
                let bytes = area.limits.check(&values)?;
                begin(&area.items, Put { area: area.clone(), values, bytes, number: None }, context)
            }))
        })
        .waits();
    registry
        .add("Unstage", |spec| {
            let (area, dtypes) = (Area::of(spec)?, dtypes(spec)?);
            Ok(begins(move |context| {
                begin(&area.items, Get { area: area.clone(), dtypes: dtypes.clone(), item: None }, context)
            }))
        })
        .waits();
    registry
        .add("StagePeek", |spec| {
            let (area, dtypes) = (Area::of(spec)?, dtypes(spec)?);
            Ok(begins(move |context| {
                let index = context.int(0)?;
                let index = usize::try_from(index).map_err(|_| {
                    Error::invalid_argument(format!("index {index} of {} must be >= 0", area.title()))
                })?;
                let job = Peek { area: area.clone(), dtypes: dtypes.clone(), index, values: Vec::new() };
                begin(&area.items, job, context)
            }))
        })
        .waits();
    registry.add("StageSize", |spec| {
        let area = Area::of(spec)?;
        Ok(boxed(move |context| {
            let size = area.items.with(|items| items.list.len());
            context.set_count(size);
            Ok(())
        }))
    });
    registry
        .add("StageClear", |spec| {
            let area = Area::of(spec)?;
            Ok(boxed(move |_| {
                // Tensors are freed after the lock was released.
                let dropped = area.items.with(|items| {
                    items.bytes = 0;
                    std::mem::take(&mut items.list)
                });
                drop(dropped);
                Ok(())
            }))
        })
        .wakes();
}

/// Returns the attribute `dtypes`, which is checked against each element that is taken: the area itself has no dtypes.
pub(super) fn dtypes(spec: &NodeSpec<'_>) -> Result<Vec<DType>> {
    let dtypes = spec.attr("dtypes")?;
    dtypes.as_types().ok_or_else(|| Error::value("attribute 'dtypes' is not a list of dtypes"))
}

/// The capacity of a staging area. 0 stands for unlimited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The maximum number of elements.
    pub(super) capacity: usize,
    /// The maximum number of bytes.
    pub(super) bytes: usize,
}

impl Bounds {
    /// Reads the attributes `capacity` and `memory_limit`.
    pub(super) fn of(spec: &NodeSpec<'_>) -> Result<Bounds> {
        let size = |name: &str| {
            let size = spec.attr(name)?.as_int().unwrap_or(-1);
            usize::try_from(size).map_err(|_| Error::invalid_argument(format!("{name} {size} must be >= 0")))
        };
        Ok(Bounds { capacity: size("capacity")?, bytes: size("memory_limit")? })
    }

    /// Returns the size in bytes of values that can fit at all, or `ResourceExhausted`. Strings count with
    /// their contents.
    pub(super) fn check(self, values: &[Tensor]) -> Result<usize> {
        let bytes = values.iter().map(Tensor::byte_len).sum();
        if self.bytes > 0 && bytes > self.bytes {
            let text = format!(
                "Attempted to insert tensors with combined size of '{bytes}' bytes into Staging Area with a memory \
                 limit of '{}'.",
                self.bytes
            );
            return Err(Error::new(Code::ResourceExhausted, text));
        }
        Ok(bytes)
    }

    /// Returns true if an element of `bytes` bytes fits with `count` elements of `held` bytes.
    pub(super) fn has_room(self, count: usize, held: usize, bytes: usize) -> bool {
        (self.capacity == 0 || count < self.capacity) && (self.bytes == 0 || held + bytes <= self.bytes)
    }
}

/// A staging area of a session, found by its name.
struct Area {
    /// The name, for messages.
    name: String,
    /// The capacity.
    limits: Bounds,
    /// The elements, behind a lock with waiting jobs.
    items: Arc<Monitor<Items>>,
}

/// One element: its number, its size in bytes, its components.
type Item = (u64, usize, Vec<Tensor>);

/// The content of an area: its elements in order, their bytes together, and the number of the next one.
#[derive(Default)]
struct Items {
    /// The elements, oldest first.
    list: VecDeque<Item>,
    /// The bytes of all elements.
    bytes: usize,
    /// The number of the next element.
    next: u64,
}

impl Area {
    /// Finds the area of an operation, or makes it. The first operation's limits count.
    fn of(spec: &NodeSpec<'_>) -> Result<Arc<Area>> {
        let (name, limits) = (resource_name(spec), Bounds::of(spec)?);
        let container = spec.attr("container").ok().and_then(AttrValue::as_str).unwrap_or_default();
        let make = || Area { name: name.to_owned(), limits, items: Arc::new(Monitor::new(Items::default())) };
        let handle = spec.resources.handle("staging area", container, name, make);
        handle.to_handle().ok_or_else(|| Error::invalid_argument(format!("'{name}' is not a staging area")))
    }

    /// Returns the name of the area for messages.
    fn title(&self) -> String {
        format!("staging area '{}'", self.name)
    }
}

/// Waits for room, then appends an element.
struct Put {
    /// The area.
    area: Arc<Area>,
    /// The components of the element.
    values: Vec<Tensor>,
    /// The bytes of the element.
    bytes: usize,
    /// The number of the element once it is in the area.
    number: Option<u64>,
}

impl Job<Items> for Put {
    /// Appends the element and numbers it, or waits for room.
    fn attempt(&mut self, items: &mut Items) -> Option<Result<()>> {
        if !self.area.limits.has_room(items.list.len(), items.bytes, self.bytes) {
            return None;
        }
        // Undoing finds the element by this number, whatever was taken in front of it.
        self.number = Some(items.next);
        items.bytes += self.bytes;
        items.list.push_back((items.next, self.bytes, std::mem::take(&mut self.values)));
        items.next += 1;
        Some(Ok(()))
    }

    /// Removes the element, unless another step has taken it.
    fn undo(&mut self, items: &mut Items) {
        let place = items.list.iter().position(|(number, ..)| Some(*number) == self.number);
        if let Some((_, bytes, _)) = place.and_then(|place| items.list.remove(place)) {
            items.bytes -= bytes;
        }
    }

    fn deliver(&mut self, _context: &mut KernelContext<'_>) -> Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        format!("put into {}, which is full", self.area.title())
    }
}

/// Waits for an element, then removes the first one. Undone, the element returns to the front.
struct Get {
    /// The area.
    area: Arc<Area>,
    /// The dtypes that the operation declares.
    dtypes: Vec<DType>,
    /// The element that was taken, to be put back if the step fails.
    item: Option<Item>,
}

impl Job<Items> for Get {
    /// Removes the oldest element, or waits for one.
    fn attempt(&mut self, items: &mut Items) -> Option<Result<()>> {
        let item = items.list.pop_front()?;
        items.bytes -= item.1;
        self.item = Some(item);
        Some(Ok(()))
    }

    /// Puts the element back in front, before those that were younger.
    fn undo(&mut self, items: &mut Items) {
        if let Some(item) = self.item.take() {
            items.bytes += item.1;
            items.list.push_front(item);
        }
    }

    fn deliver(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        let (_, _, mut values) = self.item.take().unwrap_or_default();
        give(context, 0, &mut values, &self.dtypes, &self.area.title())
    }

    fn describe(&self) -> String {
        format!("get from {}, which is empty", self.area.title())
    }
}

/// Waits for the element at an index, and copies it: there is nothing to undo.
struct Peek {
    /// The area.
    area: Arc<Area>,
    /// The dtypes that the operation declares.
    dtypes: Vec<DType>,
    /// The place of the element, counted from the oldest.
    index: usize,
    /// The values of the element.
    values: Vec<Tensor>,
}

impl Job<Items> for Peek {
    /// Notes the components of the element, which share their memory with it.
    fn attempt(&mut self, items: &mut Items) -> Option<Result<()>> {
        self.values.clone_from(&items.list.get(self.index)?.2);
        Some(Ok(()))
    }

    fn undo(&mut self, _items: &mut Items) {}

    fn deliver(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        give(context, 0, &mut self.values, &self.dtypes, &self.area.title())
    }

    fn describe(&self) -> String {
        format!("peek at element {} of {}", self.index, self.area.title())
    }
}
