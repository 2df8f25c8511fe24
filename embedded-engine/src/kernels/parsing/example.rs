//! `ParseExample`, `ParseExampleV2`, `ParseSingleExample`.
//!
//! # Semantics
//!
//! A dense feature has the same number of values in each example, or, with an unknown first dimension, any
//! number, padded with its default to the longest. A missing dense feature has its default; without one it is
//! an error that names the feature and the example. Sparse and ragged features may be missing. A feature that
//! occurs twice counts as its last occurrence. Examples are parsed one after the other, without intermediate
//! messages: values are read from the bytes where they lie.
//!
//! | op type | serialized | keys | defaults begin at input |
//! | --- | --- | --- | --- |
//! | `ParseExampleV2` | a scalar or a vector | inputs 2 to 4: sparse, dense, ragged | 5 |
//! | `ParseExample` | a vector | one input for each, sparse before dense, from 2 | after the keys |
//! | `ParseSingleExample` | a scalar | attributes | 1 |
//!
//! Input 1 of the first two has a name for each example or none; names occur in messages only. Features have
//! the dtype `float32`, `int64` or string, and the kind that a message has must be that of the attribute.
//!
//! Outputs are grouped by component, not by feature: all indices of sparse features, their values, their
//! shapes, the dense tensors, the values of ragged features, their row splits. A batch adds a first dimension
//! to all of them; a scalar input gives sparse tensors of rank 1 and no row splits.
//!
//! - A feature that has no list at all, as protocol buffers write an unset `oneof`, counts as missing. One
//!   with an empty list is present.
//! - Bytes that are not an example are `InvalidArgument`, and so is a dense feature with another number of
//!   values than its shape.
//! - Keys that no feature asks for are skipped without looking at their values.
//!
//! Strings of the result are slices of the serialized examples and keep these in memory; numbers are copied.

use super::feature::{Column, Form, Row};
use crate::kernel::{Caller, Input, Kernel, KernelContext, NodeSpec, scratch};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{AttrValue, Error, PartialShape, Result};
use summary::example::{FeatureRef, scan};
use tensor::{Bytes, DType, Tensor};

/// Registers the three op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("ParseExampleV2", |spec| {
        let types = Types::new(spec)?;
        Ok(boxed(move |context| {
            let keys = |context: &KernelContext<'_>, input: usize| -> Result<Vec<Bytes>> {
                Ok(context.input(input).as_strings()?.to_vec())
            };
            // Before the inputs are read by number.
            types.check_inputs(context, 5)?;
            let (sparse, dense, ragged) = (keys(context, 2)?, keys(context, 3)?, keys(context, 4)?);
            let names = context.input(1).clone();
            types.parse(context, &Keys { sparse, dense, ragged }, &names, 5)
        }))
    });
    registry.add("ParseExample", |spec| {
        let types = Types::new(spec)?;
        Ok(boxed(move |context| {
            let keys = |first: usize, count: usize| {
                let key = |index: usize| {
                    Ok(context.input(index).as_strings()?.first().cloned().unwrap_or_default())
                };
                (first..first + count).map(key).collect::<Result<Vec<Bytes>>>()
            };
            let (sparse, dense) = (types.sparse.len(), types.dense.len());
            types.check_inputs(context, 2 + sparse + dense)?;
            let keys = Keys { sparse: keys(2, sparse)?, dense: keys(2 + sparse, dense)?, ragged: Vec::new() };
            let names = context.input(1).clone();
            types.parse(context, &keys, &names, 2 + sparse + dense)
        }))
    });
    registry.add("ParseSingleExample", parse_single);
}

/// Makes the kernel that parses one example.
///
/// The keys are attributes of this op type, so they are read once.
fn parse_single(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let types = Types::new(spec)?;
    let keys = Keys::of(spec, "")?;
    let names = Tensor::zeros(DType::String, [0])?;
    Ok(boxed(move |context| {
        types.check_inputs(context, 1)?;
        types.parse(context, &keys, &names, 1)
    }))
}

/// The dtypes and shapes of all features.
///
/// Sequence examples have two of them. The vectors of a kind have one length (`check`).
pub(super) struct Types {
    /// The dtypes of the sparse features.
    pub(super) sparse: Vec<DType>,
    /// The dtypes of the dense features.
    pub(super) dense: Vec<DType>,
    /// The shapes of the dense features. A first dimension that is unknown makes a padded feature.
    pub(super) shapes: Vec<PartialShape>,
    /// The dtypes of the ragged features.
    pub(super) ragged: Vec<DType>,
    /// The dtypes of the row splits of the ragged features.
    pub(super) splits: Vec<DType>,
}

/// The names of all features.
///
/// The order within a kind is that of the dtypes. Keys are bytes and need not be UTF-8.
pub(super) struct Keys {
    /// The keys of the sparse features.
    pub(super) sparse: Vec<Bytes>,
    /// The keys of the dense features.
    pub(super) dense: Vec<Bytes>,
    /// The keys of the ragged features.
    pub(super) ragged: Vec<Bytes>,
}

/// Returns the keys that an attribute lists.
///
/// Fails if the attribute is missing or not a list of strings.
pub(super) fn list_of_keys(spec: &NodeSpec<'_>, name: &str) -> Result<Vec<Bytes>> {
    let list = spec.attr(name)?.as_list().unwrap_or_default();
    let text = |value: &AttrValue| match value {
        AttrValue::String(text) => Ok(text.clone()),
        _ => Err(Error::value(format!("attribute '{name}' is not a list of strings"))),
    };
    list.iter().map(text).collect()
}

impl Keys {
    /// Returns those that attributes list; `prefix` begins the names of the attributes. Only the newest
    /// spellings have ragged ones.
    ///
    /// `prefix` is empty for examples, and `context_` or `feature_list_` for sequence examples.
    pub(super) fn of(spec: &NodeSpec<'_>, prefix: &str) -> Result<Keys> {
        let list = |name: &str| list_of_keys(spec, &format!("{prefix}{name}"));
        let has_ragged = spec.operation.attr(&format!("{prefix}ragged_keys")).is_some();
        let ragged = if has_ragged { list("ragged_keys")? } else { Vec::new() };
        Ok(Keys { sparse: list("sparse_keys")?, dense: list("dense_keys")?, ragged })
    }
}

impl Types {
    /// Reads the attributes.
    ///
    /// Fails if shapes and dtypes differ in number. Older op types lack the attributes of ragged features,
    /// which are empty then.
    fn new(spec: &NodeSpec<'_>) -> Result<Types> {
        let list = |name: &str| spec.operation.attr(name).and_then(AttrValue::as_types).unwrap_or_default();
        let types = Types {
            sparse: list("sparse_types"),
            dense: list("Tdense"),
            shapes: spec.attr("dense_shapes")?.as_shapes().unwrap_or_default(),
            ragged: list("ragged_value_types"),
            splits: list("ragged_split_types"),
        };
        types.check("features")?;
        Ok(types)
    }

    /// Checks that all lists of a kind have the same length.
    ///
    /// `what` names them in the message.
    pub(super) fn check(&self, what: &str) -> Result<()> {
        if self.shapes.len() != self.dense.len() || self.splits.len() != self.ragged.len() {
            return Err(Error::invalid_argument(format!("as many shapes and splits as {what} are needed")));
        }
        Ok(())
    }

    /// Checks that there is a default for each dense feature, so that no key is missing before them.
    ///
    /// `defaults` is the number of the first default. The number of inputs follows from list attributes of
    /// the graph, which may contradict each other in a damaged file.
    pub(super) fn check_inputs(&self, context: &KernelContext<'_>, defaults: usize) -> Result<()> {
        let (found, wanted) = (context.num_inputs(), defaults + self.dense.len());
        if found != wanted {
            let text = format!("{found} inputs, but the types of the features need {wanted}");
            return Err(Error::invalid_argument(text));
        }
        Ok(())
    }

    /// Parses the input, whose number was checked. The default values begin at input `defaults`.
    ///
    /// `keys` must match the types in number, which is checked here; `names` is a vector of strings, empty or
    /// as long as the input. Sequence examples use it for their context.
    ///
    /// Outputs are delivered from output 0 on, only after all examples were read. Fails with
    /// `InvalidArgument` for a wrong rank or number of names, for a default that does not fit, and for an
    /// example that does not.
    pub(super) fn parse(
        &self,
        context: &mut KernelContext<'_>,
        keys: &Keys,
        names: &Tensor,
        defaults: usize,
    ) -> Result<()> {
        let serialized = context.input(0).clone();
        let batch = serialized.shape().dims().to_vec();
        if batch.len() > 1 {
            let text = format!("serialized must be a scalar or a vector, got shape {}", serialized.shape());
            return Err(Error::invalid_argument(text));
        }
        let messages = serialized.as_strings()?;
        let names = names.as_strings()?;
        if !names.is_empty() && names.len() != messages.len() {
            let text = format!("{} names for {} examples", names.len(), messages.len());
            return Err(Error::invalid_argument(text));
        }
        let mut columns = self.columns(context, keys, messages.len(), defaults)?;
        fill(&mut columns, messages, names, batch.is_empty())?;
        self.deliver(context, columns, &batch)
    }

    /// Returns the features in the order of the outputs: sparse, dense, ragged.
    ///
    /// Each is empty, with memory reserved for `examples` rows where their size is known.
    fn columns<'k>(
        &self,
        context: &KernelContext<'_>,
        keys: &'k Keys,
        examples: usize,
        defaults: usize,
    ) -> Result<Vec<Column<'k>>> {
        let counts = [
            (keys.sparse.len(), self.sparse.len(), "sparse"),
            (keys.dense.len(), self.dense.len(), "dense"),
            (keys.ragged.len(), self.ragged.len(), "ragged"),
        ];
        if let Some((keys, types, what)) = counts.into_iter().find(|(keys, types, _)| keys != types) {
            return Err(Error::invalid_argument(format!("{keys} keys for {types} {what} features")));
        }
        let rows = |keys: &'k [Bytes], types: &[DType]| {
            let column = |(key, &dtype): (&'k Bytes, &DType)| Column::new(key, dtype, Form::Rows, examples);
            keys.iter().zip(types).map(column).collect::<Result<Vec<_>>>()
        };
        let mut columns = rows(&keys.sparse, &self.sparse)?;
        for (index, key) in keys.dense.iter().enumerate() {
            let form = self.form(index, key, context.input(defaults + index))?;
            columns.push(Column::new(key, self.dense[index], form, examples)?);
        }
        columns.extend(rows(&keys.ragged, &self.ragged)?);
        Ok(columns)
    }

    /// Returns the form of a dense feature, with its default.
    ///
    /// `index` is that of the dense feature. A feature of known shape needs a default of that shape, or an
    /// empty one if it is required. A feature with unknown first dimension needs one value for padding; an
    /// empty default stands for zero or the empty string.
    fn form(&self, index: usize, key: &[u8], default: &Tensor) -> Result<Form> {
        let shape = &self.shapes[index];
        let wrong = |what: &str| {
            let text = format!("dense feature '{}' {what}", String::from_utf8_lossy(key));
            Error::invalid_argument(text)
        };
        if let Some(elements) = shape.elements() {
            let default = match default.elements() {
                // For a shape without elements the empty default is the value itself, not its absence.
                0 if elements > 0 => None,
                _ if shape.is_compatible_with(default.shape().dims()) => Some(default.clone()),
                _ => return Err(wrong(&format!("has shape {shape}, its default {}", default.shape()))),
            };
            let shape = shape.to_shape().unwrap_or_default();
            return Ok(Form::Fixed { elements, shape, default });
        }
        let rank = shape.rank().ok_or_else(|| wrong("is of unknown rank"))?;
        let block = shape.range(1, rank).elements();
        let block = block.filter(|&block| block > 0).ok_or_else(|| wrong("has no known block"))?;
        let padding = match default.elements() {
            1 => default.clone(),
            0 => Tensor::zeros(default.dtype(), [1])?,
            count => return Err(wrong(&format!("is padded with one value, not {count}"))),
        };
        Ok(Form::Sequence { block, padding })
    }

    /// Sets the outputs.
    ///
    /// The position of an output follows from its kind, its component and its number, as the module
    /// documentation lists them.
    fn deliver(
        &self,
        context: &mut KernelContext<'_>,
        columns: Vec<Column<'_>>,
        batch: &[usize],
    ) -> Result<()> {
        let (sparse, dense, ragged) = (self.sparse.len(), self.dense.len(), self.ragged.len());
        let has_batch = !batch.is_empty();
        for (index, column) in columns.into_iter().enumerate() {
            if index < sparse {
                for (part, tensor) in column.into_sparse(has_batch)?.into_iter().enumerate() {
                    context.set(part * sparse + index, tensor);
                }
            } else if index < sparse + dense {
                let shape = &self.shapes[index - sparse];
                let known = shape.to_shape();
                let block = || shape.range(1, shape.rank().unwrap_or(1)).to_shape();
                let feature = known.or_else(block).unwrap_or_else(tensor::Shape::scalar);
                context.set(2 * sparse + index, column.into_dense(batch, &feature)?);
            } else {
                let place = index - sparse - dense;
                let [values, splits] = column.into_ragged(self.splits[place], has_batch)?;
                context.set(3 * sparse + dense + place, values);
                context.set(3 * sparse + dense + ragged + place, splits);
            }
        }
        Ok(())
    }
}

/// Reads all examples.
///
/// Each message is scanned once. The last occurrence of a key counts, as protocol buffers have it for maps.
/// The columns get one row for each message, in order.
fn fill(columns: &mut [Column<'_>], messages: &[Bytes], names: &[Bytes], is_alone: bool) -> Result<()> {
    let mut found: Vec<Option<FeatureRef<'_>>> = vec![None; columns.len()];
    for (index, message) in messages.iter().enumerate() {
        let name = names.get(index).map(|name| &name[..]);
        let row = Row { index, name, message, is_alone };
        // Collected first and pushed afterwards, since a later occurrence may replace an earlier one.
        found.fill(None);
        // Examples of one file usually have their features in the same order, so the search starts after the
        // last one found.
        let mut next = 0;
        let scanned = scan(message, |key, feature| {
            let count = columns.len();
            for step in 0..count {
                let at = if next + step < count { next + step } else { next + step - count };
                if columns[at].key() == key {
                    found[at] = Some(feature);
                    next = if at + 1 < count { at + 1 } else { 0 };
                    break;
                }
            }
        });
        scanned.map_err(|error| row.unreadable(error))?;
        for (column, feature) in columns.iter_mut().zip(&found) {
            column.push(*feature, message, &row)?;
        }
    }
    Ok(())
}

/// A parser of examples for datasets, which take whole batches of them.
///
/// `ParseExampleDataset` has the attributes of `ParseSingleExample` and the outputs of `ParseExampleV2`, in
/// another order.
pub(in crate::kernels) struct Parser {
    /// The types of the features.
    types: Types,
    /// The keys of the features.
    keys: Keys,
}

/// A feature of a batch, in the form of the ops' outputs.
pub(in crate::kernels) enum Parsed {
    /// A tensor of the dense shape.
    Dense(Tensor),
    /// Coordinates, values, shape.
    Sparse([Tensor; 3]),
    /// Values and row splits.
    Ragged([Tensor; 2]),
}

impl Parser {
    /// Reads the attributes.
    ///
    /// Fails if attributes are missing or contradict each other.
    pub(in crate::kernels) fn new(spec: &NodeSpec<'_>) -> Result<Parser> {
        Ok(Parser { types: Types::new(spec)?, keys: Keys::of(spec, "")? })
    }

    /// Returns the features of a batch, a vector of serialized examples, in the ascending order of their
    /// keys. `defaults` has one tensor for each dense feature.
    ///
    /// It runs the same code as the op types in a frame of its own, whose slots are the inputs, followed by
    /// the outputs.
    pub(in crate::kernels) fn parse(
        &self,
        caller: &Caller<'_>,
        examples: Tensor,
        defaults: &[Tensor],
    ) -> Result<Vec<Parsed>> {
        let (sparse, dense) = (self.types.sparse.len(), self.types.dense.len());
        let ragged = self.types.ragged.len();
        let count = 1 + defaults.len();
        let outputs = 3 * sparse + dense + 2 * ragged;
        let outputs: Vec<u32> = (count..count + outputs).map(|slot| slot as u32).collect();
        let inputs: Vec<Input> = (0..count as u32).map(|slot| Input { slot, last: false }).collect();
        let mut slots: Vec<Option<Tensor>> =
            std::iter::once(examples).chain(defaults.iter().cloned()).map(Some).collect();
        slots.resize(count + outputs.len(), None);
        let mut context = KernelContext {
            slots: &mut slots,
            inputs: &inputs,
            outputs: &outputs,
            environment: caller.environment,
            limits: caller.limits,
            instance: caller.instance,
            scratch: &mut scratch(),
        };
        let names = Tensor::zeros(DType::String, [0])?;
        self.types.check_inputs(&context, 1)?;
        self.types.parse(&mut context, &self.keys, &names, 1)?;
        let mut given = |output: usize| {
            let missing = || Error::invalid_argument("a feature was not read");
            slots[count + output].take().ok_or_else(missing)
        };
        let mut features: Vec<(&Bytes, Parsed)> = Vec::with_capacity(sparse + dense + ragged);
        for (place, key) in self.keys.sparse.iter().enumerate() {
            let parts = [given(place)?, given(sparse + place)?, given(2 * sparse + place)?];
            features.push((key, Parsed::Sparse(parts)));
        }
        for (place, key) in self.keys.dense.iter().enumerate() {
            features.push((key, Parsed::Dense(given(3 * sparse + place)?)));
        }
        let first = 3 * sparse + dense;
        for (place, key) in self.keys.ragged.iter().enumerate() {
            let parts = [given(first + place)?, given(first + ragged + place)?];
            features.push((key, Parsed::Ragged(parts)));
        }
        // A dictionary of features is flattened in the order of its keys.
        features.sort_by_key(|(key, _)| *key);
        Ok(features.into_iter().map(|(_, feature)| feature).collect())
    }
}
