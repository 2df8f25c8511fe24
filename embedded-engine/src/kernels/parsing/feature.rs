//! One feature of a batch of examples, collected example by example.
//!
//! A [`Column`] is filled by one `push` for each example and then converted by exactly one of `into_dense`,
//! `into_sparse` and `into_ragged`. Values of all examples lie in one vector, so that the conversion does not
//! copy them, except where rows are padded.
//!
//! Messages are TensorFlow's. They differ between one example and a batch.

use session_core::{Error, Result};
use summary::example::{ExampleError, FeatureKind, FeatureRef};
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// The form in which a feature is parsed.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A fixed number of values in each example, or the default where the feature is missing. `elements` is
    /// the product of `shape`. `default` is `None` if the feature is required, and otherwise has `shape`.
    Fixed { elements: usize, shape: Shape, default: Option<Tensor> },
    /// Any number of blocks of a fixed number of values, padded with the default. A row is padded to the
    /// longest of the batch, with the single element of `padding`. `block` is at least 1.
    Sequence { block: usize, padding: Tensor },
    /// Any number of values, as sparse and ragged features have. An example without the feature has an empty
    /// row.
    Rows,
}

/// The values of one feature so far.
///
/// It borrows its key from the inputs or attributes.
pub(super) struct Column<'a> {
    /// The key of the feature.
    key: &'a [u8],
    /// The dtype of its values.
    dtype: DType,
    /// The form of the output.
    form: Form,
    /// The values so far, all examples one after the other.
    values: Values,
    /// The end of each example's values. Not stored if all have the same number. Ascending; example `i` has
    /// the values from `ends[i - 1]`, or 0, to `ends[i]`.
    ends: Vec<usize>,
}

/// The values of features of one kind, of which the message `Feature` has three.
pub(super) enum Values {
    /// Values of `float32`.
    Floats(Vec<f32>),
    /// Values of `int64`.
    Ints(Vec<i64>),
    /// Values of strings.
    Strings(Vec<Bytes>),
}

/// Returns TensorFlow's name for the dtype of a kind of feature.
fn dtype_name(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Floats => "float",
        FeatureKind::Ints => "int64",
        FeatureKind::Bytes => "string",
    }
}

impl Values {
    /// Makes an empty list with room for some values.
    ///
    /// Fails with `InvalidArgument` for a dtype other than the three, and if the memory limit does not allow
    /// `capacity` values.
    pub(super) fn new(dtype: DType, capacity: usize) -> Result<Values> {
        Ok(match dtype {
            DType::Float32 => Values::Floats(memory::reserve(capacity)?),
            DType::Int64 => Values::Ints(memory::reserve(capacity)?),
            DType::String => Values::Strings(memory::reserve(capacity)?),
            other => return Err(Error::invalid_argument(format!("a feature cannot be of {other}"))),
        })
    }

    /// Returns the number of values.
    pub(super) fn len(&self) -> usize {
        match self {
            Values::Floats(values) => values.len(),
            Values::Ints(values) => values.len(),
            Values::Strings(values) => values.len(),
        }
    }

    /// Returns TensorFlow's word for the list that holds the values.
    fn list(&self) -> &'static str {
        match self {
            Values::Floats(_) => "float_list",
            Values::Ints(_) => "int64_list",
            Values::Strings(_) => "bytes_list",
        }
    }

    /// Returns TensorFlow's word for one of the values.
    fn of(&self) -> &'static str {
        match self {
            Values::Floats(_) => "float",
            Values::Ints(_) => "int64",
            Values::Strings(_) => "bytes",
        }
    }

    /// Returns the kind of the values in messages.
    pub(super) fn kind(&self) -> FeatureKind {
        match self {
            Values::Floats(_) => FeatureKind::Floats,
            Values::Ints(_) => FeatureKind::Ints,
            Values::Strings(_) => FeatureKind::Bytes,
        }
    }

    /// Appends the values of a feature of the same kind, which is a part of `message`.
    ///
    /// The caller has compared the kinds. Strings become slices of `message`. Fails if the bytes of the
    /// feature are not valid.
    pub(super) fn read(&mut self, feature: &FeatureRef<'_>, message: &Bytes) -> Result<(), ExampleError> {
        match self {
            Values::Floats(values) => feature.floats(values),
            Values::Ints(values) => feature.ints(values),
            Values::Strings(values) => feature.for_each_bytes(|value| values.push(message.slice_ref(value))),
        }
    }

    /// Makes room for more values.
    fn grow(&mut self, more: usize) -> Result<()> {
        match self {
            Values::Floats(values) => memory::grow(values, more)?,
            Values::Ints(values) => memory::grow(values, more)?,
            Values::Strings(values) => memory::grow(values, more)?,
        }
        Ok(())
    }

    /// Appends the elements of a tensor of the same dtype.
    ///
    /// Used for defaults, whose dtype the definition ties to that of the feature.
    fn append(&mut self, tensor: &Tensor) -> Result<()> {
        self.grow(tensor.elements())?;
        match self {
            Values::Floats(values) => values.extend_from_slice(tensor.as_slice()?),
            Values::Ints(values) => values.extend_from_slice(tensor.as_slice()?),
            Values::Strings(values) => values.extend_from_slice(tensor.as_strings()?),
        }
        Ok(())
    }

    /// Makes a tensor of the values.
    ///
    /// `shape` must have as many elements as there are values; the vector becomes the tensor without a copy.
    pub(super) fn into_tensor(self, shape: impl Into<Shape>) -> Result<Tensor> {
        Ok(match self {
            Values::Floats(values) => Tensor::from_vec(values, shape)?,
            Values::Ints(values) => Tensor::from_vec(values, shape)?,
            Values::Strings(values) => Tensor::from_strings(values, shape)?,
        })
    }

    /// Returns the values in rows of one length.
    ///
    /// `ends` are the ends of the rows, none of which is longer than `row`; `padding` has one element. Values
    /// `[1, 2, 3]` with ends `[1, 3]` and `row` 2 are `[1, p, 2, 3]`.
    pub(super) fn padded(self, ends: &[usize], row: usize, padding: &Tensor) -> Result<Values> {
        fn fill<T: Clone>(values: &[T], ends: &[usize], row: usize, padding: &T) -> Result<Vec<T>> {
            let mut out = memory::reserve(ends.len().saturating_mul(row))?;
            let mut start = 0;
            for (index, &end) in ends.iter().enumerate() {
                out.extend_from_slice(&values[start..end]);
                out.resize((index + 1) * row, padding.clone());
                start = end;
            }
            Ok(out)
        }
        Ok(match self {
            Values::Floats(values) => Values::Floats(fill(&values, ends, row, &padding.value::<f32>()?)?),
            Values::Ints(values) => Values::Ints(fill(&values, ends, row, &padding.value::<i64>()?)?),
            Values::Strings(values) => {
                let padding = padding.as_strings()?.first().cloned().unwrap_or_default();
                Values::Strings(fill(&values, ends, row, &padding)?)
            }
        })
    }
}

/// The position and name of an example, for errors.
///
/// It is built once for each example and used only when something is wrong with it.
pub(super) struct Row<'a> {
    /// The number of the example.
    pub(super) index: usize,
    /// The name of the example, if names are given.
    pub(super) name: Option<&'a [u8]>,
    /// The bytes of the message.
    pub(super) message: &'a [u8],
    /// True if the example is not part of a batch.
    pub(super) is_alone: bool,
}

/// The number of bytes that an error shows of a message that cannot be parsed.
///
/// A damaged message may be of any size, the text of an error should not.
const SHOWN: usize = 256;

impl Row<'_> {
    /// Returns an error of one feature of this example.
    ///
    /// `what` is a sentence of its own. One example alone has neither name nor index in TensorFlow's message.
    pub(super) fn error(&self, key: &[u8], what: &str) -> Error {
        let name = self.name.map_or("<unknown>".into(), String::from_utf8_lossy);
        let key = String::from_utf8_lossy(key);
        if self.is_alone {
            return Error::invalid_argument(format!("Key: {key}.  {what}"));
        }
        Error::invalid_argument(format!("Name: {name}, Key: {key}, Index: {}.  {what}", self.index))
    }

    /// Returns the error for an example that cannot be read.
    ///
    /// The cause is its source.
    pub(super) fn unreadable(&self, error: ExampleError) -> Error {
        let name = self.name.map_or("<unknown>".into(), String::from_utf8_lossy);
        let value = String::from_utf8_lossy(&self.message[..self.message.len().min(SHOWN)]);
        let text =
            format!("Could not parse example input, value: '{value}' (Name: {name}, Index: {})", self.index);
        Error::invalid_argument(text).with_source(error)
    }
}

impl<'a> Column<'a> {
    /// Makes an empty column.
    ///
    /// Memory is reserved for columns of fixed rows only; other rows have unknown lengths.
    pub(super) fn new(key: &'a [u8], dtype: DType, form: Form, examples: usize) -> Result<Column<'a>> {
        // The others have as many values as their messages say.
        let each = if let Form::Fixed { elements, .. } = &form { *elements } else { 0 };
        let values = Values::new(dtype, examples.saturating_mul(each))?;
        Ok(Column { key, dtype, form, values, ends: Vec::new() })
    }

    /// Returns the key of the feature.
    pub(super) fn key(&self) -> &'a [u8] {
        self.key
    }

    /// Appends the values of the next example.
    ///
    /// `feature` is `None` if the example lacks it; `message` is the whole example, in which the feature
    /// lies.
    ///
    /// # Errors
    /// `InvalidArgument` if the kind of the values is another one, if their number does not fit the form, or
    /// if a required feature is missing. The column must not be used afterwards.
    pub(super) fn push(
        &mut self,
        feature: Option<FeatureRef<'_>>,
        message: &Bytes,
        row: &Row<'_>,
    ) -> Result<()> {
        let start = self.values.len();
        // A feature without a list has no kind and counts as missing.
        let present = feature.and_then(|feature| Some((feature, feature.kind()?)));
        match present {
            Some((feature, kind)) => {
                if kind != self.values.kind() {
                    let (found, expected) = (dtype_name(kind), dtype_name(self.values.kind()));
                    let text = match self.form {
                        Form::Rows => format!("Expected type: {expected}, Actual type: {found}"),
                        _ => format!("Data type: {found} but expected type: {expected}"),
                    };
                    let text = format!("Data types don't match. {text}");
                    return Err(row.error(self.key, &text));
                }
                self.values.read(&feature, message).map_err(|error| row.unreadable(error))?;
            }
            None => self.push_missing(row)?,
        }
        let count = self.values.len() - start;
        match &self.form {
            Form::Fixed { elements, shape, .. } if count != *elements => {
                let text = if row.is_alone {
                    format!(
                        "Can't parse serialized Example: Some {} slice was not parsed.",
                        self.values.list()
                    )
                } else {
                    let kind = self.values.of();
                    format!(
                        "Number of {kind} values != expected.  Values size: {count} but output shape: {shape}"
                    )
                };
                Err(row.error(self.key, &text))
            }
            Form::Sequence { block, .. } if !count.is_multiple_of(*block) => {
                let text = format!("{count} values are not a multiple of the {block} values of a block");
                Err(row.error(self.key, &text))
            }
            Form::Fixed { .. } => Ok(()),
            _ => {
                self.ends.push(self.values.len());
                Ok(())
            }
        }
    }

    /// Adds the default of an example without the feature.
    ///
    /// Appends nothing for forms with rows of any length. Fails if the feature is required.
    fn push_missing(&mut self, row: &Row<'_>) -> Result<()> {
        match &self.form {
            Form::Fixed { default: Some(default), .. } => self.values.append(default),
            Form::Fixed { default: None, .. } => {
                let text = format!(
                    "Feature: {} (data type: {}) is required but could not be found.",
                    String::from_utf8_lossy(self.key),
                    self.dtype
                );
                Err(row.error(self.key, &text))
            }
            _ => Ok(()),
        }
    }

    /// Returns a dense tensor; `batch` is its shape before that of the feature.
    ///
    /// `feature` is the shape of one example's values, for a padded feature without its first dimension.
    pub(super) fn into_dense(self, batch: &[usize], feature: &[usize]) -> Result<Tensor> {
        match self.form {
            Form::Sequence { block, padding } => {
                let row = row_lengths(&self.ends).max().unwrap_or(0);
                let shape: Shape =
                    batch.iter().copied().chain([row / block]).chain(feature.iter().copied()).collect();
                self.values.padded(&self.ends, row, &padding)?.into_tensor(shape)
            }
            _ => self.values.into_tensor(batch.iter().chain(feature).copied().collect::<Shape>()),
        }
    }

    /// Returns indices, values and shape of a sparse tensor.
    ///
    /// Indices are `[row, place in the row]`, in row-major order, and the shape is `[rows, longest row]`;
    /// without a batch the row is left out of both.
    pub(super) fn into_sparse(self, has_batch: bool) -> Result<[Tensor; 3]> {
        let (rows, count) = (self.ends.len(), self.values.len());
        let longest = row_lengths(&self.ends).max().unwrap_or(0) as i64;
        let mut indices = memory::reserve(count * 2)?;
        for (row, len) in row_lengths(&self.ends).enumerate() {
            // Without a batch there is one row, whose number is not a coordinate.
            for column in 0..len {
                if has_batch {
                    indices.push(row as i64);
                }
                indices.push(column as i64);
            }
        }
        let (rank, shape) = if has_batch { (2, vec![rows as i64, longest]) } else { (1, vec![longest]) };
        let indices = Tensor::from_vec(indices, [count, rank])?;
        Ok([indices, self.values.into_tensor([count])?, Tensor::from(shape)])
    }

    /// Returns the values and row splits of a ragged tensor. `splits` is the dtype of the splits, `int32` or
    /// `int64`.
    ///
    /// Without a batch there is one row, and the splits are empty. Fails if a split does not fit an `int32`.
    pub(super) fn into_ragged(self, splits: DType, has_batch: bool) -> Result<[Tensor; 2]> {
        let count = self.values.len();
        let ends = if has_batch { std::iter::once(0).chain(self.ends).collect() } else { Vec::new() };
        let splits = match splits {
            DType::Int32 => {
                let narrow = |&end: &usize| i32::try_from(end).ok();
                let ends: Option<Vec<i32>> = ends.iter().map(narrow).collect();
                Tensor::from(ends.ok_or_else(|| {
                    Error::invalid_argument("a ragged feature has too many values for row splits of int32")
                })?)
            }
            _ => Tensor::from(ends.iter().map(|&end| end as i64).collect::<Vec<_>>()),
        };
        Ok([self.values.into_tensor([count])?, splits])
    }
}

/// Returns the lengths of rows, given by their ends: `[2, 2, 5]` gives 2, 0, 3.
pub(super) fn row_lengths(ends: &[usize]) -> impl Iterator<Item = usize> {
    let mut start = 0;
    ends.iter().map(move |&end| end - std::mem::replace(&mut start, end))
}
