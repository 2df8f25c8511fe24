//! `GroupByWindowDataset` (D-64).
//!
//! # Semantics
//!
//! Inputs: `input_dataset` and the captured values of each function. Attributes, all functions:
//!
//! - `key_func(element)` returns the key, one integer;
//! - `window_size_func(key)` returns the size of the key's groups, called once for each key; a size below 1
//!   is `InvalidArgument` with that element, and the function is called again for the next one;
//! - `reduce_func(key, dataset)` returns a dataset for a full group.
//!
//! Elements are collected by key. A full group becomes a dataset, which `reduce_func` turns into the one
//! whose elements are returned, before the next element of the input is read. At the end of the input the
//! groups that are not full follow in the ascending order of their keys. An error of a function loses the
//! element, or the group, that it was called for.
//!
//! Memory: all groups that are not full. Cardinality: infinite if the input's is, else unknown. Position: the
//! elements of all groups, the sizes, the group that is returned at present with its iterator and the states
//! of random operations before its call of `reduce_func`, and the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Handle, Iterate, Run, Shared, Source, Ties, restore_open, save_open};
use super::element::Element;
use super::flat_map::{restored_states, save_states};
use super::function::Function;
use super::kept::Kept;
use super::map::preserved;
use super::position::{Reader, Writer};
use super::tensors::Rows;
use session_core::{Error, PartialShape, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use tensor::{DType, Tensor};

/// The op types. Bucketing by sequence length consists of them (D-64).
pub(super) const OPS: &[Op] = &[Op {
    types: &["GroupByWindowDataset", "ExperimentalGroupByWindowDataset"],
    functions: &["key_func", "reduce_func", "window_size_func"],
    make,
}];

/// Makes the dataset; the groups have the declared dtypes and shapes of the input.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let input = build.handle("input_dataset")?;
    let functions = Functions {
        key: build.function("key_func", "key_func_other_arguments")?,
        reduce: build.function("reduce_func", "reduce_func_other_arguments")?,
        window_size: build.function("window_size_func", "window_size_func_other_arguments")?,
        types: input.types,
        shapes: input.shapes,
    };
    Ok(Arc::new(GroupByWindow { input: input.dataset, functions: Arc::new(functions) }))
}

/// The functions, and the elements that they receive.
struct Functions {
    /// Returns the key of an element.
    key: Function,
    /// Returns a dataset for a key and the dataset of a full group.
    reduce: Function,
    /// Returns the size of the groups of a key.
    window_size: Function,
    /// The dtypes of the components of an element.
    types: Vec<DType>,
    /// The static shapes of the components.
    shapes: Vec<PartialShape>,
}

/// The dataset.
struct GroupByWindow {
    /// The dataset whose elements are grouped.
    input: Shared,
    /// The functions.
    functions: Arc<Functions>,
}

impl Dataset for GroupByWindow {
    fn name(&self) -> &'static str {
        "GroupByWindow"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        preserved(self.input.cardinality(), false)
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Groups {
            input: Some(self.input.iterate(run)?),
            functions: self.functions.clone(),
            groups: BTreeMap::new(),
            sizes: BTreeMap::new(),
            current: None,
        }))
    }
}

/// The dataset that was made from a group. The elements are kept, because a restored position makes the
/// dataset again from them.
struct Current {
    /// The states of random operations from before the call, of which the dataset may be made.
    before: Vec<(String, Vec<u8>)>,
    /// The key of the group.
    key: i64,
    /// The elements of the group.
    elements: Arc<[Element]>,
    /// The dataset that `reduce_func` returned.
    dataset: Shared,
    /// The state of the dataset's iterators, such as seeds.
    kept: Kept,
    /// The iterator over the dataset.
    source: Source,
}

/// An iterator.
struct Groups {
    /// `None` after its end.
    input: Option<Source>,
    /// The functions.
    functions: Arc<Functions>,
    /// Elements by their key: the groups that are not full. A full group is removed, so none of them is
    /// empty.
    groups: BTreeMap<i64, Vec<Element>>,
    /// The sizes of groups by their key: the function is called once for each key.
    sizes: BTreeMap<i64, u64>,
    /// The group whose elements are returned at present.
    current: Option<Current>,
}

impl Groups {
    /// Puts an element into its group. Returns the key if the group is full now.
    fn sort(&mut self, element: Element, run: &Run<'_>) -> Result<Option<i64>> {
        let key = self.functions.key.integer(run, element.clone())?;
        let size = match self.sizes.get(&key) {
            Some(&size) => size,
            None => {
                let size = self.functions.window_size.integer(run, vec![Tensor::scalar(key)])?;
                // A size of 0 would let the group grow to the end of the input.
                let positive = u64::try_from(size).ok().filter(|&size| size > 0);
                let wrong = || format!("Window size must be greater than zero, but got {size}.");
                let size = positive.ok_or_else(|| Error::invalid_argument(wrong()))?;
                self.sizes.insert(key, size);
                size
            }
        };
        let group = self.groups.entry(key).or_default();
        group.push(element);
        Ok((group.len() as u64 >= size).then_some(key))
    }

    /// Calls `reduce_func` for a group.
    fn reduce(&self, key: i64, elements: Arc<[Element]>, run: &Run<'_>) -> Result<Current> {
        let Functions { types, shapes, .. } = self.functions.as_ref();
        let group = Rows { name: "Window", elements: elements.clone() };
        let (dataset, types, shapes) = (Arc::new(group), types.clone(), shapes.clone());
        // The group holds values only; the ties of the functions are known from themselves and their captured
        // inputs.
        let group = Handle { dataset, types, shapes, ties: Ties::default() };
        // Taken before the call, because the call itself may draw random numbers.
        let before = run.instance.export();
        let dataset =
            self.functions.reduce.dataset(run, vec![Tensor::scalar(key), group.into_tensor()])?.dataset;
        let source = dataset.iterate(&run.inner())?;
        Ok(Current { before, key, elements, dataset, kept: run.kept.clone(), source })
    }
}

impl Iterate for Groups {
    /// Returns the elements of the present group, then reads the input until another group is full; after the
    /// end of the input the groups that are left follow.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            run.limits.check()?;
            if let Some(current) = &mut self.current {
                if let Some(element) = current.source.next(&run.inner())? {
                    return Ok(Some(element));
                }
                self.current = None;
            }
            let full = match &mut self.input {
                Some(input) => match input.next(run)? {
                    Some(element) => self.sort(element, run)?,
                    None => {
                        self.input = None;
                        continue;
                    }
                },
                // One group at a time: the elements of each are returned before the next one is reduced.
                None => match self.groups.keys().next() {
                    Some(&key) => Some(key),
                    None => return Ok(None),
                },
            };
            if let Some(key) = full {
                let elements = self.groups.remove(&key).unwrap_or_default();
                self.current = Some(self.reduce(key, elements.into(), run)?);
            }
        }
    }

    /// Writes four parts: the groups by key, the sizes by key, the group that is returned (states before the
    /// call, key, elements, position, state of the dataset) if there is one, and the input.
    fn save(&self, to: &mut Writer) -> Result<()> {
        to.list(self.groups.iter(), |to, (&key, elements)| {
            to.integer(key);
            to.list(elements.iter(), |to, element| to.element(element))
        })?;
        to.list(self.sizes.iter(), |to, (&key, &size)| {
            to.integer(key);
            to.number(size);
            Ok(())
        })?;
        to.option(self.current.as_ref(), |to, current| {
            save_states(&current.before, to)?;
            to.integer(current.key);
            to.list(current.elements.iter(), |to, element| to.element(element))?;
            current.source.save(to)?;
            current.kept.save(current.dataset.as_ref(), to)
        })?;
        save_open(self.input.as_ref(), to)
    }

    /// Reads the four parts. `reduce_func` is called again for the group that was returned.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let groups = from.list(|from| Ok((from.integer()?, from.list(Reader::element)?)))?;
        let sizes = from.list(|from| Ok((from.integer()?, from.number()?)))?;
        self.groups.clear();
        self.groups.extend(groups);
        self.sizes.clear();
        self.sizes.extend(sizes);
        self.current = from.option(|from| {
            // Those of the present moment are restored after this call.
            run.instance.import(restored_states(from)?);
            let key = from.integer()?;
            let elements = from.list(Reader::element)?;
            let mut current = self.reduce(key, elements.into(), run)?;
            current.source.restore(from, &run.inner())?;
            run.kept.restore(current.dataset.as_ref(), from)?;
            Ok(current)
        })?;
        restore_open(&mut self.input, from, run)
    }
}
