//! Combinations of the features of examples.
//!
//! Each combination of one value per feature is joined to a string, or hashed to a bucket. The hash is FarmHash's
//! fingerprint of each part, combined in order, so buckets equal TensorFlow's and models can be exchanged.

use super::Coordinates;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::strings::fingerprint64;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Bytes, DType, Tensor, memory};

pub(super) fn register(registry: &mut Registry) {
    registry.add("SparseCross", |spec| {
        let rules = Rules::of(spec)?;
        Ok(boxed(move |context| cross(context, &rules)))
    });
}

struct Rules {
    /// The number of sparse inputs.
    sparse: usize,
    dense: usize,
    /// The key and the number of buckets; `None` for combinations as text.
    hashed: Option<(u64, u64)>,
}

impl Rules {
    fn of(spec: &NodeSpec<'_>) -> Result<Rules> {
        let sparse = usize::try_from(spec.int("N")?).map_err(|_| Error::value("N must not be negative"))?;
        let buckets = u64::try_from(spec.int("num_buckets")?)
            .map_err(|_| Error::value("num_buckets must not be negative"))?;
        let hashed = spec.bool("hashed_output")?.then_some((spec.int("hash_key")?.cast_unsigned(), buckets));
        let (expected, out) = match hashed {
            Some(_) => (DType::Int64, spec.dtype("out_type")?),
            None => (DType::String, spec.dtype("out_type")?),
        };
        if out != expected {
            return Err(Error::invalid_argument(format!("out_type must be {expected}, not {out}")));
        }
        let listed = sparse.checked_mul(3).and_then(|listed| spec.operation.num_inputs().checked_sub(listed));
        let dense = listed.ok_or_else(|| Error::value(format!("there are no {sparse} sparse inputs")))?;
        Ok(Rules { sparse, dense, hashed })
    }
}

/// The features of each example in one input.
enum Column {
    Numbers(Vec<Vec<i64>>),
    Texts(Vec<Vec<Bytes>>),
}

impl Column {
    fn len(&self, example: usize) -> usize {
        match self {
            Column::Numbers(rows) => rows[example].len(),
            Column::Texts(rows) => rows[example].len(),
        }
    }

    /// Returns a feature as a number, that of a text its fingerprint.
    fn number(&self, example: usize, place: usize) -> u64 {
        match self {
            Column::Numbers(rows) => rows[example][place].cast_unsigned(),
            Column::Texts(rows) => fingerprint64(&rows[example][place]),
        }
    }

    fn text(&self, example: usize, place: usize) -> Bytes {
        match self {
            Column::Numbers(rows) => rows[example][place].to_string().into_bytes().into(),
            Column::Texts(rows) => rows[example][place].clone(),
        }
    }
}

/// Sorts the values of an input by example.
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
            match rules.hashed {
                Some((key, buckets)) => {
                    let hash = features
                        .fold(key, |hash, (column, &place)| joined(hash, column.number(example, place)));
                    let hash = if buckets > 0 { hash % buckets } else { hash % i64::MAX.cast_unsigned() };
                    numbers.push(hash.cast_signed());
                }
                None => {
                    let features: Vec<Bytes> =
                        features.map(|(column, &place)| column.text(example, place)).collect();
                    texts.push(Bytes::from(features.join(&b"_X_"[..])));
                }
            }
        }
    }
    let rows = indices.len() / 2;
    context.set(0, Tensor::from_vec(indices, [rows, 2])?);
    context.set(
        1,
        match rules.hashed {
            Some(_) => Tensor::from_vec(numbers, [rows])?,
            None => Tensor::from_strings(texts, [rows])?,
        },
    );
    context.set(2, Tensor::from(vec![batch as i64, longest as i64]));
    Ok(())
}

/// One fingerprint of two, whose values never change.
fn joined(first: u64, second: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    let mixed = |value: u64| value ^ (value >> 47);
    let mut result = first ^ FACTOR;
    result ^= mixed(second.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    result = result.wrapping_mul(FACTOR);
    mixed(mixed(result).wrapping_mul(FACTOR))
}
