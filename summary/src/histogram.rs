//! Histograms with TensorFlow's buckets.

use crate::SummaryError;
use crate::proto;
use std::sync::LazyLock;
use tensor::{DType, Tensor, bf16, f16};

/// The distribution of values over buckets. Bucket `i` counts values from `limits[i - 1]` on (included) to `limits[i]`
/// (excluded).
///
/// ```
/// use summary::Histogram;
/// let histogram = Histogram::of([1.0, 1.0, -2.0])?;
/// assert_eq!((histogram.min, histogram.max, histogram.num, histogram.sum), (-2.0, 1.0, 3.0, 0.0));
/// assert_eq!(histogram.counts.iter().sum::<f64>(), 3.0);
/// # Ok::<(), summary::SummaryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The smallest value; `f64::MAX` without values.
    pub min: f64,
    /// The largest value; `-f64::MAX` without values.
    pub max: f64,
    /// The number of values.
    pub num: f64,
    /// The sum of the values.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
    /// The upper ends of the buckets, increasing.
    pub limits: Vec<f64>,
    /// The number of values in each bucket.
    pub counts: Vec<f64>,
}

/// The limits above zero but for the last: 1e-12, each 1.1 times the one before, up to 1e20.
static POSITIVE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    // Each limit from the one before, in doubles, as TensorFlow computes them: powers of 1.1 would differ in
    // their last bits.
    let limits = std::iter::successors(Some(1e-12), |limit| Some(limit * 1.1));
    limits.take_while(|&limit| limit < 1e20).collect()
});

/// Finds buckets by a look-up and a comparison: searching costs several wrongly guessed branches a value.
struct Finder {
    /// The positive limits, and infinity.
    limits: Vec<f64>,
    /// For each cell of doubles that share exponent and first mantissa bits, from [`FIRST_CELL`] on, how
    /// many limits lie below its end. A cell spans less than a step of 1.1, so at most the last of these
    /// lies inside.
    cells: Vec<u16>,
}

/// Four bits of mantissa: cells grow by a sixteenth at most.
const CELL_SHIFT: u32 = 48;
/// The cell of 1e-12, which holds the first limit.
const FIRST_CELL: u64 = cell(1e-12);

const fn cell(size: f64) -> u64 {
    size.to_bits() >> CELL_SHIFT
}

static FINDER: LazyLock<Finder> = LazyLock::new(|| {
    let end = |cell: u64| f64::from_bits((cell + 1) << CELL_SHIFT);
    // The cell before the first one stands for everything smaller, the last for everything larger.
    let inside = (FIRST_CELL..=cell(1e20)).map(|cell| POSITIVE.partition_point(|&limit| limit < end(cell)));
    Finder {
        limits: POSITIVE.iter().copied().chain([f64::INFINITY]).collect(),
        cells: [0].into_iter().chain(inside).map(|count| count as u16).collect(),
    }
});

impl Finder {
    /// Returns the number of positive limits `<= size`.
    #[inline]
    fn at_most(&self, size: f64) -> usize {
        let index = (cell(size) + 1).saturating_sub(FIRST_CELL) as usize;
        let below_end = usize::from(self.cells[index.min(self.cells.len() - 1)]);
        below_end - usize::from(below_end > 0 && self.limits[below_end - 1] > size)
    }
}

/// The counts of all buckets but the lowest, below the lowest double, which holds nothing.
struct Counts {
    /// The counts in the order of the buckets.
    counts: Vec<f64>,
    /// The first bucket above zero.
    zero: usize,
}

impl Histogram {
    /// Computes the histogram of these values.
    ///
    /// ```
    /// use summary::Histogram;
    /// let histogram = Histogram::of([1.0, 2.0, 3.0])?;
    /// assert_eq!((histogram.num, histogram.min, histogram.max, histogram.sum), (3.0, 1.0, 3.0, 6.0));
    /// assert!(Histogram::of([f64::NAN]).is_err());
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    ///
    /// # Errors
    /// [`SummaryError::NotFinite`] for NaN and infinities.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Result<Histogram, SummaryError> {
        let finder = &*FINDER;
        let mut counts = Counts::new();
        let mut histogram = Histogram {
            min: f64::MAX,
            max: -f64::MAX,
            num: 0.0,
            sum: 0.0,
            sum_squares: 0.0,
            limits: Vec::new(),
            counts: Vec::new(),
        };
        for (position, value) in values.into_iter().enumerate() {
            // TensorFlow's op fails here, too. A histogram has no bucket for them.
            if !value.is_finite() {
                return Err(SummaryError::NotFinite { position, value });
            }
            counts.add(finder, value);
            histogram.min = histogram.min.min(value);
            histogram.max = histogram.max.max(value);
            histogram.num += 1.0;
            // In the order of the input and in doubles, so that the sums have TensorFlow's bits.
            histogram.sum += value;
            histogram.sum_squares += value * value;
        }
        counts.collapse_into(&mut histogram);
        Ok(histogram)
    }

    /// Computes the histogram of a tensor's elements.
    ///
    /// ```
    /// use summary::Histogram;
    /// use tensor::Tensor;
    /// assert_eq!(Histogram::of_tensor(&Tensor::from([1i64, 2]))?.sum, 3.0);
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    ///
    /// # Errors
    /// [`SummaryError::NotFinite`]; [`SummaryError::DType`] for elements that are not real numbers, and
    /// for the quantized, four- and eight-bit ones but `int8` and `uint8`. Bools count as 0 and 1.
    pub fn of_tensor(tensor: &Tensor) -> Result<Histogram, SummaryError> {
        macro_rules! by_dtype {
            ($($dtype:ident: $type:ty => $to:expr),* $(,)?) => {
                match tensor.dtype() {
                    $(DType::$dtype => Histogram::of(tensor.as_slice::<$type>()?.iter().map($to)),)*
                    dtype => Err(SummaryError::DType { what: "histogram", dtype }),
                }
            };
        }
        by_dtype! {
            Float64: f64 => |&v| v, Float32: f32 => |&v| f64::from(v),
            Float16: f16 => |&v| f64::from(v), BFloat16: bf16 => |&v| f64::from(v),
            Int8: i8 => |&v| f64::from(v), Int16: i16 => |&v| f64::from(v),
            Int32: i32 => |&v| f64::from(v), Int64: i64 => |&v| v as f64,
            UInt8: u8 => |&v| f64::from(v), UInt16: u16 => |&v| f64::from(v),
            UInt32: u32 => |&v| f64::from(v), UInt64: u64 => |&v| v as f64,
            Bool: bool => |&v| f64::from(u8::from(v)),
        }
    }
}

impl Counts {
    fn new() -> Counts {
        let zero = POSITIVE.len() + 1;
        Counts { counts: vec![0.0; 2 * zero], zero }
    }

    #[inline]
    fn add(&mut self, finder: &Finder, value: f64) {
        let size = value.abs();
        let at = finder.at_most(size);
        // A limit equal to the size is not above the negative value: the bucket is the next one up.
        let is_limit = at > 0 && finder.limits[at - 1] == size;
        let negative = self.zero - 1 - at + usize::from(is_limit);
        self.counts[if value < 0.0 { negative } else { self.zero + at }] += 1.0;
    }

    /// Writes the buckets from the lowest to the highest, each run of empty ones as one.
    fn collapse_into(&self, histogram: &mut Histogram) {
        let limits = &**POSITIVE;
        let below = limits.iter().rev().map(|limit| -limit).chain([0.0]);
        let above = limits.iter().copied().chain([f64::MAX]);
        let buckets = below.chain(above).zip(self.counts.iter().copied());
        let mut last_is_empty = false;
        for (limit, count) in std::iter::once((-f64::MAX, 0.0)).chain(buckets) {
            // A run of empty buckets becomes one, with the limit of the last, as in TensorFlow.
            if count == 0.0 && last_is_empty {
                histogram.limits.pop();
                histogram.counts.pop();
            }
            histogram.limits.push(limit);
            histogram.counts.push(count);
            last_is_empty = count == 0.0;
        }
    }
}

impl From<proto::Histogram> for Histogram {
    fn from(message: proto::Histogram) -> Histogram {
        Histogram {
            min: message.min.unwrap_or_default(),
            max: message.max.unwrap_or_default(),
            num: message.num.unwrap_or_default(),
            sum: message.sum.unwrap_or_default(),
            sum_squares: message.sum_squares.unwrap_or_default(),
            limits: message.bucket_limit,
            counts: message.bucket,
        }
    }
}

impl From<Histogram> for proto::Histogram {
    fn from(histogram: Histogram) -> proto::Histogram {
        // By bits, because -0.0 is written, as protobuf does.
        let unless_zero = |number: f64| Some(number).filter(|number| number.to_bits() != 0);
        proto::Histogram {
            min: unless_zero(histogram.min),
            max: unless_zero(histogram.max),
            num: unless_zero(histogram.num),
            sum: unless_zero(histogram.sum),
            sum_squares: unless_zero(histogram.sum_squares),
            bucket_limit: histogram.limits,
            bucket: histogram.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Finds the bucket of a value by the definition, out of all limits as the format describes them.
    fn by_definition(value: f64) -> f64 {
        let positive = POSITIVE.iter().copied();
        let mut all: Vec<f64> = [-f64::MAX].into_iter().chain(positive.clone().rev().map(|l| -l)).collect();
        all.push(0.0);
        all.extend(positive.chain([f64::MAX]));
        assert_eq!(all.len(), 1551);
        assert!(all.is_sorted());
        all.into_iter().find(|&limit| limit > value).unwrap_or(f64::MAX)
    }

    fn bucket(value: f64) -> f64 {
        let histogram = Histogram::of([value]).unwrap();
        let at = histogram.counts.iter().position(|&count| count == 1.0).unwrap();
        histogram.limits[at]
    }

    #[test]
    fn there_are_774_positive_limits() {
        assert_eq!(POSITIVE.len(), 774);
        assert!(POSITIVE[773] > 9.9e19 && POSITIVE[773] < 1e20);
        assert!(FINDER.cells.len() < 2000);
        let steps = FINDER.cells.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.max() == Some(1), "at most one limit lies in a cell");
    }

    #[test]
    fn limits_and_their_neighbors_map_to_the_defined_results() {
        let sizes = POSITIVE.iter().flat_map(|&limit| [limit.next_down(), limit, limit.next_up()]);
        for size in sizes.chain([0.0, 1e-300, 5e-324, 1e20, 1e300, f64::MAX]) {
            for value in [size, -size] {
                let (ours, theirs) = (bucket(value), by_definition(value));
                assert!(ours == theirs, "{value:e}: {ours:e} and not {theirs:e}");
            }
        }
    }

    #[test]
    fn no_values_make_one_empty_bucket() {
        let empty = Histogram::of([]).unwrap();
        assert_eq!((empty.min, empty.max, empty.num), (f64::MAX, -f64::MAX, 0.0));
        assert_eq!((&empty.limits[..], &empty.counts[..]), (&[f64::MAX][..], &[0.0][..]));
    }

    #[test]
    fn nan_values_are_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = Histogram::of([1.0, value]).unwrap_err();
            assert!(matches!(error, SummaryError::NotFinite { position: 1, .. }));
        }
    }

    #[test]
    fn tensors_of_every_real_type_are_accepted() {
        let expected = Histogram::of([0.0, 1.0]).unwrap();
        for tensor in [
            Tensor::from([0.0f64, 1.0]),
            Tensor::from([0.0f32, 1.0]),
            Tensor::from([f16::ZERO, f16::ONE]),
            Tensor::from([bf16::ZERO, bf16::ONE]),
            Tensor::from([0i8, 1]),
            Tensor::from([0i16, 1]),
            Tensor::from([0i32, 1]),
            Tensor::from([0i64, 1]),
            Tensor::from([0u8, 1]),
            Tensor::from([0u16, 1]),
            Tensor::from([0u32, 1]),
            Tensor::from([0u64, 1]),
            Tensor::from([[false], [true]]),
        ] {
            assert_eq!(Histogram::of_tensor(&tensor).unwrap(), expected, "{}", tensor.dtype());
        }
        let error = Histogram::of_tensor(&Tensor::from("text")).unwrap_err();
        assert!(matches!(error, SummaryError::DType { dtype: DType::String, .. }));
    }

    proptest! {
        #[test]
        fn every_double_maps_to_the_defined_result(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(bucket(value), by_definition(value));
        }

        #[test]
        fn nothing_is_lost(values in proptest::collection::vec(-1e21..1e21f64, 0..50)) {
            let histogram = Histogram::of(values.iter().copied()).unwrap();
            prop_assert_eq!(histogram.counts.iter().sum::<f64>(), values.len() as f64);
            prop_assert_eq!(histogram.num, values.len() as f64);
            prop_assert!(histogram.limits.is_sorted());
            prop_assert!(histogram.counts.windows(2).all(|pair| pair != [0.0, 0.0]));
        }
    }
}
