//! `ParseSequenceExample`, `ParseSequenceExampleV2`, `ParseSingleSequenceExample`.
//!
//! Context features are parsed like those of an example. Each feature list adds an axis for its frames,
//! padded to the longest in the batch; the lengths are outputs. A missing list is an error unless the
//! attributes allow it.
//!
//! # Semantics
//!
//! A sequence example has a context, which is parsed like an example, and lists of features, one feature for
//! each step. The shape of a list's output is `[batch, steps, values...]`; its three forms follow those of
//! features:
//!
//! | form | outputs |
//! | --- | --- |
//! | sparse | coordinates of rank 3 (2 without a batch), values, shape |
//! | dense | values padded with zeros to the most steps in the batch; the number of steps of each example |
//! | ragged | values, outer splits (examples into steps), inner splits (steps into values) |
//!
//! - Every step of a dense list must have exactly the values of its shape. A step whose feature has no list
//!   is empty.
//! - The context's outputs come first, in the order of `ParseExample`, then those of the lists by component.
//! - `ParseSingleSequenceExample` has no output of lengths and no ragged features.
//! - A key may occur in one form only, separately for context and lists. Violations, and bytes that cannot be
//!   parsed, are `InvalidArgument`.
//!
//! The message is scanned twice, once for each part. TensorFlow's names of the attributes differ between the
//! versions; the values are equal.
//!
//! The three op types receive their parameters in different places:
//!
//! | op type | keys | optional dense lists | defaults of the context begin at input |
//! | --- | --- | --- | --- |
//! | `ParseSequenceExample` | attributes `context_*_keys`, `feature_list_*_keys` | attribute, by key | 2 |
//! | `ParseSequenceExampleV2` | inputs 2 to 7, a vector for each form | input 8, a `bool` for each list | 9 |
//! | `ParseSingleSequenceExample` | one scalar input for each key | input 1, by key | after the keys |
//!
//! The attributes `Ncontext_*` and `Nfeature_list_*` repeat the number of dtypes. A graph in which they
//! differ is refused when the plan is compiled, because outputs are counted by one and filled by the other.

use super::example::{Keys, Types, list_of_keys};
use super::feature::{Row, Values, row_lengths};
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::ragged::indices;
use crate::registry::Registry;
use session_core::{AttrValue, Error, Result};
use std::collections::HashSet;
use summary::example::{FeatureListRef, scan_lists};
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Registers the three op types, which differ in where keys and the set of optional lists come from:
/// attributes, vectors as inputs, one input for each.
pub(super) fn register(registry: &mut Registry) {
    registry.add("ParseSequenceExample", |spec| {
        let (types, context_keys) = (SequenceTypes::new(spec)?, Keys::of(spec, "context_")?);
        let list_keys = Keys::of(spec, "feature_list_")?;
        // Version 1 lists the keys of optional lists; version 2 has a `bool` for each.
        let absent = list_of_keys(spec, "feature_list_dense_missing_assumed_empty")?;
        let may_lack: Vec<bool> = list_keys.dense.iter().map(|key| absent.contains(key)).collect();
        Ok(boxed(move |context| {
            let names = context.input(1).clone();
            let request = Request {
                names,
                context: &context_keys,
                lists: &list_keys,
                may_lack: &may_lack,
                defaults: 2,
            };
            types.parse(context, &request)
        }))
    });
    registry.add("ParseSequenceExampleV2", |spec| {
        let types = SequenceTypes::new(spec)?;
        Ok(boxed(move |context| {
            types.context.check_inputs(context, 9)?;
            let keys = |input: usize| Ok::<_, Error>(context.input(input).as_strings()?.to_vec());
            let context_keys = Keys { sparse: keys(2)?, dense: keys(3)?, ragged: keys(4)? };
            let list_keys = Keys { sparse: keys(5)?, dense: keys(6)?, ragged: keys(7)? };
            let may_lack = context.slice::<bool>(8)?.to_vec();
            let names = context.input(1).clone();
            let request = Request {
                names,
                context: &context_keys,
                lists: &list_keys,
                may_lack: &may_lack,
                defaults: 9,
            };
            types.parse(context, &request)
        }))
    });
    registry.add("ParseSingleSequenceExample", parse_single);
}

/// Returns the kernel of `ParseSingleSequenceExample`.
///
/// Inputs are the message, the keys of optional lists, the keys of the four groups (context sparse and dense,
/// lists sparse and dense), the defaults of the dense context features, and the name of the example for
/// messages.
fn parse_single(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let types = SequenceTypes::new(spec)?;
    check_count(spec, "Ncontext_dense", types.context.dense.len())?;
    Ok(boxed(move |context| {
        let mut next = 2;
        let mut keys = |count: usize| -> Result<Vec<Bytes>> {
            let key =
                |input: usize| Ok(context.input(input).as_strings()?.first().cloned().unwrap_or_default());
            next += count;
            (next - count..next).map(key).collect()
        };
        let (of_context, of_lists) = (&types.context, &types.lists);
        let counts =
            [of_context.sparse.len(), of_context.dense.len(), of_lists.sparse.len(), of_lists.dense.len()];
        let defaults = 2 + counts.iter().sum::<usize>();
        // A damaged graph may have other numbers than its attributes state.
        let found = context.num_inputs();
        if found != defaults + counts[1] + 1 {
            return Err(Error::invalid_argument(format!(
                "{found} inputs do not fit the types of the features"
            )));
        }
        let context_keys = Keys { sparse: keys(counts[0])?, dense: keys(counts[1])?, ragged: Vec::new() };
        let list_keys = Keys { sparse: keys(counts[2])?, dense: keys(counts[3])?, ragged: Vec::new() };
        let absent = context.input(1).as_strings()?;
        let may_lack: Vec<bool> = list_keys.dense.iter().map(|key| absent.contains(key)).collect();
        // One example has one name, or none.
        let names = context.input(found - 1).as_strings()?.first().filter(|name| !name.is_empty());
        let names = Tensor::from_strings(names.cloned(), [names.iter().len()])?;
        let request =
            Request { names, context: &context_keys, lists: &list_keys, may_lack: &may_lack, defaults };
        types.parse(context, &request)
    }))
}

/// The dtypes and shapes of all features: those of the context, and those of the lists.
///
/// Dtypes and shapes are attributes in all versions.
struct SequenceTypes {
    /// Features outside the lists.
    context: Types,
    /// The lists of features. The shapes are those of one step.
    lists: Types,
}

/// The features that are read, by their keys.
///
/// Assembled in each run, because keys may be inputs.
struct Request<'a> {
    /// A name for each example, or none.
    names: Tensor,
    /// Keys of features outside the lists.
    context: &'a Keys,
    /// Keys of the lists.
    lists: &'a Keys,
    /// True for each dense list that an example may lack.
    may_lack: &'a [bool],
    /// The first input of default values. It is followed by one input for each dense feature of the context.
    defaults: usize,
}

impl SequenceTypes {
    /// Reads the attributes. Fails with `InvalidArgument` if their numbers contradict each other.
    fn new(spec: &NodeSpec<'_>) -> Result<SequenceTypes> {
        let attr = |name: &str| spec.operation.attr(name);
        let types = |name: &str| attr(name).and_then(AttrValue::as_types).unwrap_or_default();
        let shapes = |name: &str| attr(name).and_then(AttrValue::as_shapes).unwrap_or_default();
        let of = |features: &str, dense: &str| Types {
            sparse: types(&format!("{features}_sparse_types")),
            dense: types(dense),
            shapes: shapes(&format!("{features}_dense_shapes")),
            ragged: types(&format!("{features}_ragged_value_types")),
            splits: types(&format!("{features}_ragged_split_types")),
        };
        let types = SequenceTypes {
            context: of("context", "Tcontext_dense"),
            lists: of("feature_list", "feature_list_dense_types"),
        };
        types.context.check("features")?;
        types.lists.check("lists of features")?;
        check_count(spec, "Ncontext_sparse", types.context.sparse.len())?;
        check_count(spec, "Nfeature_list_sparse", types.lists.sparse.len())?;
        check_count(spec, "Nfeature_list_dense", types.lists.dense.len())?;
        Ok(types)
    }

    /// Delivers the context, then the lists.
    fn parse(&self, context: &mut KernelContext<'_>, request: &Request<'_>) -> Result<()> {
        // Before the data, so that this error does not depend on the messages.
        check_distinct("Context feature", request.context)?;
        check_distinct("Feature list", request.lists)?;
        self.context.parse(context, request.context, &request.names, request.defaults)?;
        let serialized = context.input(0).clone();
        let batch = serialized.shape().dims();
        let mut lists = self.lists(request)?;
        read(&mut lists, serialized.as_strings()?, request.names.as_strings()?, batch.is_empty())?;
        self.deliver(context, lists, batch)
    }

    /// Returns the lists in the order of the outputs: sparse, dense, ragged.
    fn lists<'k>(&self, request: &Request<'k>) -> Result<Vec<List<'k>>> {
        let Keys { sparse, dense, ragged } = request.lists;
        let counts = [
            (sparse.len(), self.lists.sparse.len(), "sparse"),
            (dense.len(), self.lists.dense.len(), "dense"),
            (ragged.len(), self.lists.ragged.len(), "ragged"),
            (request.may_lack.len(), self.lists.dense.len(), "dense"),
        ];
        if let Some((keys, types, what)) = counts.into_iter().find(|(keys, types, _)| keys != types) {
            return Err(Error::invalid_argument(format!("{keys} keys for {types} {what} lists of features")));
        }
        let mut lists = Vec::with_capacity(sparse.len() + dense.len() + ragged.len());
        for (key, &dtype) in sparse.iter().zip(&self.lists.sparse) {
            lists.push(List::new(key, dtype, None)?);
        }
        for (index, key) in dense.iter().enumerate() {
            let shape = self.lists.shapes[index].to_shape().ok_or_else(|| {
                let key = String::from_utf8_lossy(key);
                Error::invalid_argument(format!("the steps of dense list '{key}' have no known shape"))
            })?;
            let mut list = List::new(key, self.lists.dense[index], Some(shape))?;
            list.may_lack = request.may_lack[index];
            lists.push(list);
        }
        for (key, &dtype) in ragged.iter().zip(&self.lists.ragged) {
            lists.push(List::new(key, dtype, None)?);
        }
        Ok(lists)
    }

    /// Sets the outputs that follow those of the context. `batch` is the shape of the input.
    fn deliver(&self, context: &mut KernelContext<'_>, lists: Vec<List<'_>>, batch: &[usize]) -> Result<()> {
        let Types { sparse, dense, ragged, .. } = &self.context;
        let first = 3 * sparse.len() + dense.len() + 2 * ragged.len();
        let Types { sparse, dense, ragged, splits, .. } = &self.lists;
        let (sparse, dense, ragged) = (sparse.len(), dense.len(), ragged.len());
        let first_dense = first + 3 * sparse;
        // One example alone has no output of lengths in the oldest spelling.
        let has_lengths = context.num_outputs() > first_dense + dense;
        let first_ragged = first_dense + 2 * dense;
        for (index, list) in lists.into_iter().enumerate() {
            if index < sparse {
                for (part, tensor) in list.into_sparse(!batch.is_empty())?.into_iter().enumerate() {
                    context.set(first + part * sparse + index, tensor);
                }
            } else if let Some(index) = index.checked_sub(sparse).filter(|index| *index < dense) {
                let [values, lengths] = list.into_dense(batch)?;
                context.set(first_dense + index, values);
                if has_lengths {
                    context.set(first_dense + dense + index, lengths);
                }
            } else {
                let index = index - sparse - dense;
                let parts = list.into_ragged(splits[index], !batch.is_empty())?;
                for (part, tensor) in parts.into_iter().enumerate() {
                    context.set(first_ragged + part * ragged + index, tensor);
                }
            }
        }
        Ok(())
    }
}

/// Refuses a number of keys and outputs, which is an attribute of its own, that is not the number of dtypes.
fn check_count(spec: &NodeSpec<'_>, name: &str, dtypes: usize) -> Result<()> {
    let count = spec.int(name)?;
    if usize::try_from(count) == Ok(dtypes) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("attribute '{name}' is {count}, but there are {dtypes} dtypes")))
}

/// Refuses a key that is wanted in two forms.
fn check_distinct(what: &str, Keys { sparse, dense, ragged }: &Keys) -> Result<()> {
    let all = sparse.iter().chain(dense).chain(ragged);
    let mut seen = HashSet::new();
    match all.into_iter().find(|key| !seen.insert(*key)) {
        Some(key) => {
            let text = format!("{what} {} cannot have two forms", String::from_utf8_lossy(key));
            Err(Error::invalid_argument(text))
        }
        None => Ok(()),
    }
}

/// Reads the lists of all examples.
///
/// Appends a row to every list for each message; `is_alone` is true for a scalar input. A key that occurs
/// twice counts as its last occurrence.
fn read(lists: &mut [List<'_>], messages: &[Bytes], names: &[Bytes], is_alone: bool) -> Result<()> {
    let mut found: Vec<Option<FeatureListRef<'_>>> = vec![None; lists.len()];
    for (index, message) in messages.iter().enumerate() {
        let name = names.get(index).map(|name| &name[..]);
        let row = Row { index, name, message, is_alone };
        found.fill(None);
        let scanned = scan_lists(message, |key, list| {
            let wanted = lists.iter().zip(&mut found).filter(|(known, _)| known.key == key);
            wanted.for_each(|(_, place)| *place = Some(list));
        });
        scanned.map_err(|error| row.unreadable(error))?;
        for (list, found) in lists.iter_mut().zip(&found) {
            list.push(*found, message, &row)?;
        }
    }
    Ok(())
}

/// The steps of one list of features so far.
///
/// Values of all examples lie in one vector, with two levels of ends: those of steps and those of examples.
///
/// With two examples of two steps and one step, which have 1, 2 and 1 values, `ends` is `[1, 3, 4]` and
/// `steps` is `[2, 3]`.
struct List<'k> {
    /// The key of the list.
    key: &'k [u8],
    /// The dtype of its values.
    dtype: DType,
    /// The shape of each step of a dense list.
    step: Option<Shape>,
    /// True if an example may lack the list, which is always so for sparse and ragged lists.
    may_lack: bool,
    /// Values of all steps of all examples.
    values: Values,
    /// The end of each step's values.
    ends: Vec<usize>,
    /// The end of each example's steps.
    steps: Vec<usize>,
}

impl<'k> List<'k> {
    /// Returns an empty list; `step` is `None` unless it is dense.
    fn new(key: &'k [u8], dtype: DType, step: Option<Shape>) -> Result<List<'k>> {
        let values = Values::new(dtype, 0)?;
        Ok(List { key, dtype, step, may_lack: true, values, ends: Vec::new(), steps: Vec::new() })
    }

    /// Appends the steps of the next example.
    ///
    /// `list` is `None` if the example lacks it, which gives no steps. Fails if it must not be missing, and
    /// if a step has values of another kind or, in a dense list, of another number.
    fn push(&mut self, list: Option<FeatureListRef<'_>>, message: &Bytes, row: &Row<'_>) -> Result<()> {
        if list.is_none() && !self.may_lack {
            let key = String::from_utf8_lossy(self.key);
            let text = format!(
                "Feature list '{key}' is required but could not be found. Did you mean to include it in \
                 feature_list_dense_missing_assumed_empty or feature_list_dense_defaults?"
            );
            return Err(row.error(self.key, &text));
        }
        for feature in list.iter().flat_map(FeatureListRef::features) {
            let feature = feature.map_err(|error| row.unreadable(error))?;
            let start = self.values.len();
            match feature.kind() {
                Some(kind) if kind != self.values.kind() => {
                    let text = format!("the feature of a step is of another kind than {}", self.dtype);
                    return Err(row.error(self.key, &text));
                }
                Some(_) => self.values.read(&feature, message).map_err(|error| row.unreadable(error))?,
                None => {}
            }
            let count = self.values.len() - start;
            if let Some(shape) = self.step.as_ref().filter(|shape| shape.elements() != count) {
                let text = format!("Values size: {count} but output shape: {shape}");
                return Err(row.error(self.key, &text));
            }
            self.ends.push(self.values.len());
        }
        self.steps.push(self.ends.len());
        Ok(())
    }

    /// Returns the longest of a list of lengths, given by their ends, or 0 without any.
    fn longest(ends: &[usize]) -> usize {
        row_lengths(ends).max().unwrap_or(0)
    }

    /// Returns coordinates, values and shape.
    ///
    /// A coordinate is `[example, step, place in the step]`; without a batch the example is left out. The
    /// shape has the largest extents.
    fn into_sparse(self, has_batch: bool) -> Result<[Tensor; 3]> {
        let rank = if has_batch { 3 } else { 2 };
        let mut coordinates: Vec<i64> = memory::reserve(self.values.len().saturating_mul(rank))?;
        let mut of_steps = row_lengths(&self.ends);
        for (example, steps) in row_lengths(&self.steps).enumerate() {
            for (step, count) in of_steps.by_ref().take(steps).enumerate() {
                for at in 0..count {
                    let place = [example as i64, step as i64, at as i64];
                    // The last `rank` of the three.
                    coordinates.extend_from_slice(&place[3 - rank..]);
                }
            }
        }
        let sizes = [self.steps.len(), List::longest(&self.steps), List::longest(&self.ends)];
        let shape: Vec<i64> = sizes[3 - rank..].iter().map(|&size| size as i64).collect();
        let count = self.values.len();
        let coordinates = Tensor::from_vec(coordinates, [count, rank])?;
        Ok([coordinates, self.values.into_tensor([count])?, Tensor::from(shape)])
    }

    /// Returns the values, padded to the example with the most steps, and the number of steps of each
    /// example.
    fn into_dense(self, batch: &[usize]) -> Result<[Tensor; 2]> {
        let step = self.step.unwrap_or_default();
        let longest = List::longest(&self.steps);
        let counts = Tensor::from(row_lengths(&self.steps).map(|count| count as i64).collect::<Vec<_>>());
        let counts = counts.reshaped(Shape::new(batch))?;
        // The end of an example's values is that of its last step.
        let ends: Vec<usize> =
            self.steps.iter().map(|&steps| steps.checked_sub(1).map_or(0, |last| self.ends[last])).collect();
        let shape: Shape = batch.iter().copied().chain([longest]).chain(step.iter().copied()).collect();
        let padding = Tensor::zeros(self.dtype, [1])?;
        let row = longest.saturating_mul(step.elements());
        Ok([self.values.padded(&ends, row, &padding)?.into_tensor(shape)?, counts])
    }

    /// Returns the values, the splits of examples into steps, and those of steps into values.
    ///
    /// Without a batch there is one example, and the outer splits are empty. Fails if a split does not fit
    /// the dtype `splits`.
    fn into_ragged(self, splits: DType, has_batch: bool) -> Result<[Tensor; 3]> {
        let from_zero = |ends: Vec<usize>| std::iter::once(0).chain(ends).collect::<Vec<usize>>();
        let count = self.values.len();
        let outer = if has_batch { from_zero(self.steps) } else { Vec::new() };
        let inner = indices(from_zero(self.ends), splits)?;
        Ok([self.values.into_tensor([count])?, indices(outer, splits)?, inner])
    }
}
