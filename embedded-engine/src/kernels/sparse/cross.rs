//! Combinations of the features of examples.
//!
//! Each combination of one value per feature is joined to a string, or hashed to a bucket. The hash is
//! FarmHash's fingerprint of each part, combined in order, so buckets equal TensorFlow's and models can be
//! exchanged.
//!
//! # Semantics
//!
//! - `SparseCross` takes sparse inputs (all indices, then all values, then all shapes) and dense ones, each
//!   of rank 2, and returns one sparse tensor of rank 2. `SparseCrossV2` and `SparseCrossHashed` add scalars
//!   at the end: the separator, or the number of buckets, `strong_hash` and the salt.
//! - Row `e` of the result has one value for each combination of a value from row `e` of every input; the
//!   last input changes fastest. An example in which one input is empty has no combinations.
//! - Values are strings or `int64`. Joined as text, integers are decimal; the separator of the first version
//!   is `_X_`.
//! - 0 buckets stand for `i64::MAX` of them.
//!
//! ```text
//! dense [[a, b]] and [[c]], not hashed   ->   [0, 0]: a_X_c, [0, 1]: b_X_c
//! ```
//!
//! Ranks other than 2, batches of different sizes, indices out of range and too many combinations are
//! `InvalidArgument`. Examples are crossed one after the other; the cost is that of the result.

use super::Coordinates;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::strings::{fingerprint64, sip_hash};
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use tensor::{Bytes, DType, Tensor, memory};

/// Registers the three op types. For the newer two, buckets and separators are inputs and are read in each
/// run.
pub(super) fn register(registry: &mut Registry) {
    registry.add("SparseCross", |spec| {
        let rules = Rules::of(spec)?;
        Ok(boxed(move |context| cross(context, &rules)))
    });
    registry.add("SparseCrossV2", |spec| {
        let (sparse, dense) = inputs(spec, 1)?;
        Ok(boxed(move |context| {
            let separator = single(context, 3 * sparse + dense)?.as_strings()?[0].clone();
            cross(context, &Rules { sparse, dense, kind: Kind::Texts(separator) })
        }))
    });
    registry.add("SparseCrossHashed", |spec| {
        let (sparse, dense) = inputs(spec, 3)?;
        Ok(boxed(move |context| {
            let first = 3 * sparse + dense;
            let buckets = single(context, first)?.value::<i64>()?;
            let buckets = u64::try_from(buckets).map_err(|_| {
                Error::invalid_argument(format!("num_buckets must not be negative ({buckets})"))
            })?;
            let strong = single(context, first + 1)?.value::<bool>()?;
            let &[key, other] = context.slice::<i64>(first + 2)? else {
                return Err(Error::invalid_argument("salt must have 2 elements"));
            };
            // The salt has no effect without `strong_hash`, as in TensorFlow.
            let keys = strong.then_some([key.cast_unsigned(), other.cast_unsigned()]);
            cross(context, &Rules { sparse, dense, kind: Kind::Hashes { buckets, keys } })
        }))
    });
}

/// Returns the numbers of sparse and of dense inputs, which `others` further inputs follow. /// /// The
/// attribute `N` is the number of sparse inputs, of three tensors each. Fails if the operation has fewer
/// inputs than that.
fn inputs(spec: &NodeSpec<'_>, others: usize) -> Result<(usize, usize)> {
    let sparse = usize::try_from(spec.int("N")?).map_err(|_| Error::value("N must not be negative"))?;
    let listed = sparse.checked_mul(3).and_then(|listed| listed.checked_add(others));
    let dense = listed.and_then(|listed| spec.operation.num_inputs().checked_sub(listed));
    let dense = dense.ok_or_else(|| Error::value(format!("there are no {sparse} sparse inputs")))?;
    Ok((sparse, dense))
}

/// Returns an input that must be one value.
fn single<'c>(context: &'c KernelContext<'_>, input: usize) -> Result<&'c Tensor> {
    let tensor = context.input(input);
    if tensor.elements() == 1 {
        return Ok(tensor);
    }
    Err(Error::invalid_argument(format!("input {input} must be one value, got shape {}", tensor.shape())))
}

/// The inputs that an op type crosses, and the form of its results.
struct Rules {
    /// The number of sparse inputs.
    sparse: usize,
    /// The number of dense inputs, which follow the sparse ones.
    dense: usize,
    /// The form of the results.
    kind: Kind,
}

/// The form of a combination.
enum Kind {
    /// The texts of the features with a separator between them.
    Texts(Bytes),
    /// The number of a bucket, by a hash that begins with `key`. 0 buckets give the hash itself.
    Keyed { key: u64, buckets: u64 },
    /// As `Keyed`, by a hash that begins with the first feature. Features are hashed with `keys`, or without
    /// them by their fingerprints.
    Hashes { buckets: u64, keys: Option<[u64; 2]> },
}

impl Rules {
    /// Reads the attributes of `SparseCross`. Fails if the dtype of the output does not belong to the form.
    fn of(spec: &NodeSpec<'_>) -> Result<Rules> {
        let (sparse, dense) = inputs(spec, 0)?;
        let buckets = u64::try_from(spec.int("num_buckets")?)
            .map_err(|_| Error::value("num_buckets must not be negative"))?;
        let (expected, kind) = match spec.bool("hashed_output")? {
            true => (DType::Int64, Kind::Keyed { key: spec.int("hash_key")?.cast_unsigned(), buckets }),
            false => (DType::String, Kind::Texts(Bytes::from_static(b"_X_"))),
        };
        let out = spec.dtype("out_type")?;
        if out != expected {
            return Err(Error::invalid_argument(format!("out_type must be {expected}, not {out}")));
        }
        Ok(Rules { sparse, dense, kind })
    }
}

/// The features of each example in one input.
///
/// Both variants have a row for each example, with the values in the order of the input.
enum Column {
    /// Integers, widened to `int64`.
    Numbers(Vec<Vec<i64>>),
    /// Strings, which share their bytes with the input.
    Texts(Vec<Vec<Bytes>>),
}

impl Column {
    /// Returns the number of values that an example has.
    fn len(&self, example: usize) -> usize {
        match self {
            Column::Numbers(rows) => rows[example].len(),
            Column::Texts(rows) => rows[example].len(),
        }
    }

    /// Returns a feature as a number, that of a text its fingerprint.
    ///
    /// Used by the first version, which takes integers as they are.
    fn number(&self, example: usize, place: usize) -> u64 {
        match self {
            Column::Numbers(rows) => rows[example][place].cast_unsigned(),
            Column::Texts(rows) => fingerprint64(&rows[example][place]),
        }
    }

    /// Returns the hash of a feature. A number of a dense input is its own; of one of a sparse input,
    /// TensorFlow takes the lower half.
    ///
    /// `is_sparse` is true for a sparse input. Dense integers with a strong hash are `Unimplemented`.
    ///
    /// A sparse integer is hashed by its lower 4 bytes, a string by all of its bytes. `keys` selects the
    /// strong hash.
    fn hash(&self, example: usize, place: usize, keys: Option<[u64; 2]>, is_sparse: bool) -> Result<u64> {
        // The cast truncates, as the original does.
        let half = |number: i64| (number as i32).to_le_bytes();
        Ok(match (self, keys) {
            (Column::Texts(rows), None) => fingerprint64(&rows[example][place]),
            (Column::Texts(rows), Some(keys)) => sip_hash(&rows[example][place], keys),
            (Column::Numbers(rows), None) if is_sparse => fingerprint64(&half(rows[example][place])),
            (Column::Numbers(rows), Some(keys)) if is_sparse => sip_hash(&half(rows[example][place]), keys),
            (Column::Numbers(rows), None) => rows[example][place].cast_unsigned(),
            (Column::Numbers(_), Some(_)) => {
                let text = "numbers of dense inputs have no strong hash: give them as strings, or set strong_hash to false";
                return Err(Error::new(Code::Unimplemented, text));
            }
        })
    }

    /// Returns a feature as text.
    fn text(&self, example: usize, place: usize) -> Bytes {
        match self {
            Column::Numbers(rows) => rows[example][place].to_string().into_bytes().into(),
            Column::Texts(rows) => rows[example][place].clone(),
        }
    }
}

/// Sorts the values of an input by example.
///
/// `examples` has the number of the example of each value; all are below `batch`.
fn column(context: &KernelContext<'_>, input: usize, examples: &[usize], batch: usize) -> Result<Column> {
    let value = context.input(input);
    if value.dtype() == DType::String {
        let mut rows = memory::filled(Vec::new(), batch)?;
        value.as_strings()?.iter().zip(examples).for_each(|(text, &row)| rows[row].push(text.clone()));
        return Ok(Column::Texts(rows));
    }
    let mut rows = memory::filled(Vec::new(), batch)?;
    context.ints(input)?.into_iter().zip(examples).for_each(|(number, &row)| rows[row].push(number));
    Ok(Column::Numbers(rows))
}

/// Delivers indices, values and shape of the crossed tensor. The shape is the batch and the most combinations
/// of an example.
///
/// The features of each input are sorted by example first. Then the combinations of an example are counted in
/// a mixed base, whose digits are the places of the features in their inputs and whose bases are the numbers
/// of features.
fn cross(context: &mut KernelContext<'_>, rules: &Rules) -> Result<()> {
    let count = rules.sparse;
    let sparse: Vec<Coordinates> =
        (0..count).map(|i| Coordinates::of(context, i, count + i, 2 * count + i)).collect::<Result<_>>()?;
    let dense: Vec<usize> = (3 * count..3 * count + rules.dense).collect();
    let mut sizes: Vec<usize> = Vec::new();
    for given in &sparse {
        let &[batch, _] = given.dims.as_slice() else {
            return Err(Error::invalid_argument("each sparse tensor must have rank 2"));
        };
        sizes.push(batch);
    }
    for &input in &dense {
        let &[batch, _] = context.input(input).shape().dims() else {
            return Err(Error::invalid_argument("each dense input must have rank 2"));
        };
        sizes.push(batch);
    }
    let batch = *sizes.first().ok_or_else(|| Error::invalid_argument("there is nothing to combine"))?;
    if sizes.iter().any(|&size| size != batch) {
        return Err(Error::invalid_argument(format!("the inputs have different batch sizes: {sizes:?}")));
    }
    let mut columns = Vec::new();
    for (i, given) in sparse.iter().enumerate() {
        let examples: Vec<usize> = given.rows.iter().map(|row| row[0]).collect();
        columns.push(column(context, count + i, &examples, batch)?);
    }
    for input in dense {
        let width = context.input(input).shape().dims()[1];
        let examples = memory::collected((0..batch * width).map(|place| place / width.max(1)))?;
        columns.push(column(context, input, &examples, batch)?);
    }

    let (mut indices, mut numbers, mut texts, mut longest) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for example in 0..batch {
        let lengths: Vec<usize> = columns.iter().map(|column| column.len(example)).collect();
        // Counted before anything is made: the product of many lengths may be huge.
        let combinations = lengths.iter().try_fold(1usize, |all, &length| all.checked_mul(length));
        let combinations =
            combinations.ok_or_else(|| Error::invalid_argument("there are too many combinations"))?;
        longest = longest.max(combinations);
        memory::grow(&mut indices, combinations.saturating_mul(2))?;
        let mut places = vec![0; lengths.len()];
        for combination in 0..combinations {
            // The last input changes fastest.
            crate::kernels::array::unravel(combination, &lengths, &mut places);
            indices.extend([example as i64, combination as i64]);
            let features = columns.iter().zip(&places);
            match &rules.kind {
                Kind::Keyed { key, buckets } => {
                    let hash = features
                        .fold(*key, |hash, (column, &place)| joined(hash, column.number(example, place)));
                    numbers.push(bucket(hash, *buckets));
                }
                Kind::Hashes { buckets, keys } => {
                    let hashes = features.enumerate().map(|(input, (column, &place))| {
                        column.hash(example, place, *keys, input < rules.sparse)
                    });
                    let hashes = hashes.collect::<Result<Vec<u64>>>()?;
                    let hash = hashes.into_iter().reduce(joined);
                    numbers.push(bucket(hash.unwrap_or_default(), *buckets));
                }
                Kind::Texts(separator) => {
                    let features: Vec<Bytes> =
                        features.map(|(column, &place)| column.text(example, place)).collect();
                    texts.push(Bytes::from(features.join(&separator[..])));
                }
            }
        }
    }
    let rows = indices.len() / 2;
    context.set(0, Tensor::from_vec(indices, [rows, 2])?);
    context.set(
        1,
        match rules.kind {
            Kind::Texts(_) => Tensor::from_strings(texts, [rows])?,
            _ => Tensor::from_vec(numbers, [rows])?,
        },
    );
    context.set(2, Tensor::from(vec![batch as i64, longest as i64]));
    Ok(())
}

/// Returns the bucket of a hash; for 0 buckets the hash itself, without its sign.
///
/// The result is never negative.
fn bucket(hash: u64, buckets: u64) -> i64 {
    let buckets = if buckets > 0 { buckets } else { i64::MAX.cast_unsigned() };
    (hash % buckets).cast_signed()
}

/// Returns the fingerprint of two fingerprints, as TensorFlow's `FingerprintCat64`. Its values never change.
fn joined(first: u64, second: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    let mixed = |value: u64| value ^ (value >> 47);
    let mut result = first ^ FACTOR;
    result ^= mixed(second.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    result = result.wrapping_mul(FACTOR);
    mixed(mixed(result).wrapping_mul(FACTOR))
}
