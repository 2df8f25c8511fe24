//! Areas in which values are left under keys, part by part: `MapStagingArea`.
//!
//! # Semantics
//!
//! Each op has the attributes `dtypes` of a whole element, `capacity` and `memory_limit` (0 for no limit),
//! `container` and `shared_name`, which name the area. The ops whose names begin with `Ordered` work in the
//! same way, on the same areas.
//!
//! - `MapStage`: inputs `key` (one `int64`), `indices` (ascending), `values`. Adds the parts with these
//!   indices to the element; the element is complete with its last part. Waits while the area is full. A part
//!   that is already there is `InvalidArgument`; a second element of a key whose complete element is still in
//!   the area is dropped once it is complete.
//! - `MapPeek`, `MapUnstage`: inputs `key`, `indices`. Wait until the element is complete, then output these
//!   parts; `MapUnstage` removes them, and the element with its last part.
//! - `MapUnstageNoKey`: input `indices`. The same for the complete element with the smallest key, whose key
//!   is the first output.
//! - `MapSize`, `MapIncompleteSize`: the numbers of complete and of incomplete elements. `MapClear`: drops
//!   all of them.
//!
//! Only complete elements count for `capacity`, and parts of all elements for `memory_limit`. Values are
//! neither copied nor part of checkpoints. A run that ends before its operation has delivered takes back what
//! the operation did.

use super::monitor::{Job, Monitor, begin, begins, give};
use super::staging::{Bounds, dtypes};
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use session_core::{AttrValue, Error, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use tensor::{DType, Tensor};

/// Registers the kernels. Without a requested key both kinds of areas return the smallest one, although the
/// unordered kind may return any.
pub(super) fn register(registry: &mut Registry) {
    for [put, peek, get, any] in [
        ["MapStage", "MapPeek", "MapUnstage", "MapUnstageNoKey"],
        ["OrderedMapStage", "OrderedMapPeek", "OrderedMapUnstage", "OrderedMapUnstageNoKey"],
    ] {
        registry
            .add(put, |spec| {
                let (area, count) = (Area::of(spec)?, dtypes(spec)?.len());
                Ok(begins(move |context| {
                    let key = context.int(0)?;
                    let parts = area.places(context, 1)?;
                    if let Some(index) = parts.iter().find(|&&index| index >= count) {
                        let text = format!("Index '{index}' for key '{key}' was out of bounds '{count}'.");
                        return Err(Error::invalid_argument(text));
                    }
                    let values: Vec<Tensor> =
                        (2..context.num_inputs()).map(|index| context.take(index)).collect();
                    if values.len() != parts.len() {
                        let text = format!("{} indices for {} values", parts.len(), values.len());
                        return Err(Error::invalid_argument(text));
                    }
                    let bytes = area.bounds.check(&values)?;
                    let parts = parts.into_iter().zip(values).collect();
                    let (area, dropped) = (area.clone(), Parts::new());
                    let items = area.items.clone();
                    begin(&items, Put { area, key, parts, bytes, count, number: 0, dropped }, context)
                }))
            })
            .waits();
        registry.add(peek, |spec| take(spec, Manner::Peek)).waits();
        registry.add(get, |spec| take(spec, Manner::Take)).waits();
        registry.add(any, |spec| take(spec, Manner::TakeAny)).waits();
    }
    for op_type in ["MapSize", "OrderedMapSize"] {
        registry.add(op_type, |spec| size(spec, |items| items.complete.len()));
    }
    for op_type in ["MapIncompleteSize", "OrderedMapIncompleteSize"] {
        registry.add(op_type, |spec| size(spec, |items| items.incomplete.len()));
    }
    for op_type in ["MapClear", "OrderedMapClear"] {
        registry
            .add(op_type, |spec| {
                let area = Area::of(spec)?;
                Ok(boxed(move |_| {
                    // Tensors are freed after the lock was released.
                    let dropped = area.items.with(std::mem::take);
                    drop(dropped);
                    Ok(())
                }))
            })
            .wakes();
    }
}

/// Makes the kernel that counts elements.
fn size(spec: &NodeSpec<'_>, size: fn(&Items) -> usize) -> Result<Box<dyn crate::kernel::Kernel>> {
    let area = Area::of(spec)?;
    Ok(boxed(move |context| {
        let size = area.items.with(|items| size(items));
        context.set_count(size);
        Ok(())
    }))
}

/// Makes the kernel that returns parts of an element, in one of three ways.
fn take(spec: &NodeSpec<'_>, manner: Manner) -> Result<Box<dyn crate::kernel::Kernel>> {
    let (area, dtypes) = (Area::of(spec)?, dtypes(spec)?);
    Ok(begins(move |context| {
        let (key, indices) = match manner {
            Manner::TakeAny => (None, 0),
            Manner::Peek | Manner::Take => (Some(context.int(0)?), 1),
        };
        let places = area.places(context, indices)?;
        let dtypes = dtypes.clone();
        let job = Get { area: area.clone(), dtypes, manner, key, places, taken: Vec::new() };
        begin(&area.items, job, context)
    }))
}

/// An area of a session, found by its name.
struct Area {
    /// The name, for messages.
    name: String,
    /// The capacity.
    bounds: Bounds,
    /// The elements, behind a lock with waiting jobs.
    items: Arc<Monitor<Items>>,
}

/// The parts of an element by their indices, of which some may be missing.
type Parts = BTreeMap<usize, Part>;

/// A part of an element.
struct Part {
    /// The number of the operation that put it in, by which the operation finds it to take it back.
    put: u64,
    /// The value.
    value: Tensor,
}

/// Returns the bytes of some parts.
fn bytes(parts: &Parts) -> usize {
    parts.values().map(|part| part.value.byte_len()).sum()
}

/// The elements of an area.
#[derive(Default)]
struct Items {
    /// The parts of complete elements that were not taken yet.
    complete: BTreeMap<i64, Parts>,
    /// The parts so far of elements that lack some.
    incomplete: BTreeMap<i64, Parts>,
    /// The bytes of all parts.
    bytes: usize,
    /// The number of the next operation that puts parts in.
    next: u64,
}

impl Area {
    /// Finds the area of an operation, or makes it. The first operation's limits count.
    fn of(spec: &NodeSpec<'_>) -> Result<Arc<Area>> {
        let (name, bounds) = (resource_name(spec), Bounds::of(spec)?);
        let container = spec.attr("container").ok().and_then(AttrValue::as_str).unwrap_or_default();
        let make = || Area { name: name.to_owned(), bounds, items: Arc::new(Monitor::new(Items::default())) };
        let handle = spec.resources.handle("map staging area", container, name, make);
        handle
            .to_handle()
            .ok_or_else(|| Error::invalid_argument(format!("'{name}' is not a map staging area")))
    }

    /// Returns the name of the area for messages.
    fn title(&self) -> String {
        format!("map staging area '{}'", self.name)
    }

    /// Returns the parts that an input names: indices in ascending order, none negative.
    fn places(&self, context: &KernelContext<'_>, input: usize) -> Result<Vec<usize>> {
        let indices = context.ints(input)?;
        if indices.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::invalid_argument(format!("indices {indices:?} are not in ascending order")));
        }
        let place = |&index: &i64| {
            let text = || format!("index {index} of {} must be >= 0", self.title());
            usize::try_from(index).map_err(|_| Error::invalid_argument(text()))
        };
        indices.iter().map(place).collect()
    }
}

/// The way in which an element is requested.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// The element of a key, which stays.
    Peek,
    /// The element of a key, or parts of it, which are removed.
    Take,
    /// The element with the smallest key, which is removed.
    TakeAny,
}

/// A job that adds parts of an element, once there is room.
struct Put {
    /// The area.
    area: Arc<Area>,
    /// The key of the element.
    key: i64,
    /// The parts that are added, by their indices.
    parts: BTreeMap<usize, Tensor>,
    /// The bytes of the parts.
    bytes: usize,
    /// The number of components of a complete element.
    count: usize,
    /// The number of the operation, once it has put the parts in.
    number: u64,
    /// The parts of earlier operations that were dropped because the key has a complete element.
    dropped: Parts,
}

/// A job that returns parts of an element, once it is complete.
struct Get {
    /// The area.
    area: Arc<Area>,
    /// The dtypes that the operation declares.
    dtypes: Vec<DType>,
    /// The way in which the element is requested.
    manner: Manner,
    /// The key; `None` for the smallest.
    key: Option<i64>,
    /// The requested parts.
    places: Vec<usize>,
    /// The parts that were taken, to be put back if the step fails.
    taken: Vec<Part>,
}

impl Job<Items> for Put {
    /// Adds the parts if there is room for them. An element moves from `incomplete` to `complete` with its
    /// last part.
    fn attempt(&mut self, items: &mut Items) -> Option<Result<()>> {
        if !self.area.bounds.has_room(items.complete.len(), items.bytes, self.bytes) {
            return None;
        }
        // Checked before anything changes: a refused put leaves the parts that others have put.
        let known = items.incomplete.get(&self.key);
        let twice = self.parts.keys().find(|&place| known.is_some_and(|known| known.contains_key(place)));
        if let Some(place) = twice {
            let (key, count) = (self.key, self.count);
            let text =
                format!("The tensor for index '{place}' for key '{key}' was already initialized '{count}'.");
            return Some(Err(Error::invalid_argument(text)));
        }
        let mut parts = items.incomplete.remove(&self.key).unwrap_or_default();
        self.number = items.next;
        items.next += 1;
        let added = std::mem::take(&mut self.parts).into_iter();
        parts.extend(added.map(|(place, value)| (place, Part { put: self.number, value })));
        if parts.len() < self.count {
            items.bytes += self.bytes;
            items.incomplete.insert(self.key, parts);
        } else if let Entry::Vacant(entry) = items.complete.entry(self.key) {
            items.bytes += self.bytes;
            entry.insert(parts);
        } else {
            // The existing entry stays, as in TensorFlow.
            // The parts of earlier operations had been counted, this operation's not yet.
            parts.retain(|_, part| part.put != self.number);
            items.bytes -= bytes(&parts);
            self.dropped = parts;
        }
        Some(Ok(()))
    }

    /// Removes the parts that this operation has put in, as far as they are still there. An element that was
    /// complete becomes incomplete, and parts that were dropped with this operation's are put back, unless
    /// another element of the key was begun meanwhile.
    fn undo(&mut self, items: &mut Items) {
        let mut rest = std::mem::take(&mut self.dropped);
        items.bytes += bytes(&rest);
        let is_own = |parts: &Parts| parts.values().any(|part| part.put == self.number);
        for table in [&mut items.incomplete, &mut items.complete] {
            if table.get(&self.key).is_some_and(is_own) {
                let mut parts = table.remove(&self.key).unwrap_or_default();
                let all = bytes(&parts);
                parts.retain(|_, part| part.put != self.number);
                items.bytes -= all - bytes(&parts);
                rest.append(&mut parts);
            }
        }
        if !rest.is_empty() && !items.incomplete.contains_key(&self.key) {
            items.incomplete.insert(self.key, rest);
        } else {
            items.bytes -= bytes(&rest);
        }
    }

    fn deliver(&mut self, _context: &mut KernelContext<'_>) -> Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        format!("put of key {} into {}, which is full", self.key, self.area.title())
    }
}

impl Job<Items> for Get {
    /// Returns the parts of a complete element, or waits for it.
    fn attempt(&mut self, items: &mut Items) -> Option<Result<()>> {
        let key = self.key.or_else(|| items.complete.keys().next().copied())?;
        let parts = items.complete.get_mut(&key)?;
        if let Some(place) = self.places.iter().find(|&place| !parts.contains_key(place)) {
            let text = format!("Tensor at index '{place}' for key '{key}' has already been removed.");
            return Some(Err(Error::invalid_argument(text)));
        }
        // An undone take without a key must know which element it took.
        self.key = Some(key);
        if self.manner == Manner::Peek {
            let parts = self.places.iter().filter_map(|place| parts.get(place));
            self.taken = parts.map(|part| Part { put: part.put, value: part.value.clone() }).collect();
            return Some(Ok(()));
        }
        self.taken = self.places.iter().filter_map(|place| parts.remove(place)).collect();
        items.bytes -= self.taken.iter().map(|part| part.value.byte_len()).sum::<usize>();
        if parts.is_empty() {
            items.complete.remove(&key);
        }
        Some(Ok(()))
    }

    /// Puts the parts back under their key, unless another element of the key has them meanwhile; a look has
    /// changed nothing.
    fn undo(&mut self, items: &mut Items) {
        if self.manner == Manner::Peek {
            return;
        }
        // The element may have lost its last part, and then is made again.
        let parts = items.complete.entry(self.key.unwrap_or_default()).or_default();
        for (&place, part) in self.places.iter().zip(self.taken.drain(..)) {
            let bytes = part.value.byte_len();
            if let Entry::Vacant(entry) = parts.entry(place) {
                entry.insert(part);
                items.bytes += bytes;
            }
        }
    }

    /// Outputs the parts in the order of their indices; an operation without a key outputs the key first.
    fn deliver(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        let mut first = 0;
        if let (Manner::TakeAny, Some(key)) = (self.manner, self.key) {
            context.set(0, Tensor::scalar(key));
            first = 1;
        }
        let mut values = self.taken.drain(..).map(|part| part.value).collect();
        give(context, first, &mut values, &self.dtypes, &self.area.title())
    }

    fn describe(&self) -> String {
        match self.key {
            Some(key) => format!("get of key {key} from {}", self.area.title()),
            None => format!("get from {}, which is empty", self.area.title()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An area without limits.
    fn area() -> Arc<Area> {
        let bounds = Bounds { capacity: 0, bytes: 0 };
        Arc::new(Area { name: "area".to_owned(), bounds, items: Arc::new(Monitor::new(Items::default())) })
    }

    /// A put of parts with these indices into elements of two parts.
    fn put(area: &Arc<Area>, key: i64, places: &[usize]) -> Put {
        let parts: BTreeMap<usize, Tensor> =
            places.iter().map(|&place| (place, Tensor::scalar(place as i64))).collect();
        let (area, bytes) = (area.clone(), 8 * parts.len());
        Put { area, key, parts, bytes, count: 2, number: 0, dropped: Parts::new() }
    }

    /// The parts of each element, complete and incomplete, and the bytes of all.
    fn content(items: &Items) -> [Vec<(i64, Vec<usize>)>; 2] {
        let held = items.complete.values().chain(items.incomplete.values());
        assert_eq!(items.bytes, held.map(bytes).sum::<usize>());
        let list = |table: &BTreeMap<i64, Parts>| {
            table.iter().map(|(&key, parts)| (key, parts.keys().copied().collect())).collect()
        };
        [list(&items.complete), list(&items.incomplete)]
    }

    #[test]
    fn an_undone_put_takes_back_its_own_parts_only() {
        let (area, mut items) = (area(), Items::default());
        let done = |items: &mut Items, places: &[usize]| {
            let mut put = put(&area, 5, places);
            put.attempt(items).unwrap().unwrap();
            put
        };
        done(&mut items, &[0, 1]);
        // The complete element stays, and the second one is dropped.
        let mut second = done(&mut items, &[0, 1]);
        assert_eq!(content(&items), [vec![(5, vec![0, 1])], vec![]]);
        second.undo(&mut items);
        assert_eq!(content(&items), [vec![(5, vec![0, 1])], vec![]]);
        // Parts of an earlier operation come back when the put that dropped them is undone.
        done(&mut items, &[1]);
        let mut last = done(&mut items, &[0]);
        assert_eq!(content(&items), [vec![(5, vec![0, 1])], vec![]]);
        last.undo(&mut items);
        assert_eq!(content(&items), [vec![(5, vec![0, 1])], vec![(5, vec![1])]]);
        // Unless the key has another element by then.
        let mut last = done(&mut items, &[0]);
        done(&mut items, &[0]);
        last.undo(&mut items);
        assert_eq!(content(&items), [vec![(5, vec![0, 1])], vec![(5, vec![0])]]);
    }

    #[test]
    fn an_undone_put_makes_its_element_incomplete() {
        let (area, mut items) = (area(), Items::default());
        put(&area, 5, &[1]).attempt(&mut items).unwrap().unwrap();
        let mut last = put(&area, 5, &[0]);
        last.attempt(&mut items).unwrap().unwrap();
        assert_eq!(content(&items), [vec![(5, vec![0, 1])], vec![]]);
        last.undo(&mut items);
        assert_eq!(content(&items), [vec![], vec![(5, vec![1])]]);
        // Another element of the key was begun while this one was complete.
        let mut whole = put(&area, 6, &[0, 1]);
        whole.attempt(&mut items).unwrap().unwrap();
        put(&area, 6, &[0]).attempt(&mut items).unwrap().unwrap();
        whole.undo(&mut items);
        assert_eq!(content(&items), [vec![], vec![(5, vec![1]), (6, vec![0])]]);
    }
}
