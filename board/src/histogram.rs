//! Histograms of TensorFlow 1, TensorFlow 2, and torch, converted to common bins.
//!
//! Writers disagree on the form. TensorFlow 1 and torch write bucket limits and counts, in which the outermost
//! buckets reach to infinity. TensorFlow 2 writes a tensor of rows. Both are reduced to [`Buckets`], which the
//! answers distribute over common bins, so that the histograms of a tag at all steps share one axis.
//!
//! # Common bins
//!
//! `rebinned` treats the values of a bucket as spread evenly over its width: a bin `[start, end]` receives
//! `count (min(right, end) - max(left, start)) / (right - left)` of a bucket `[left, right]` that it
//! overlaps. So the counts of all bins add up to the count of the buckets between the two ends. A bucket
//! within one bin, or one without width, goes to that bin as a whole.

use crate::stored;
use summary::{Value, ValueData};
use tensor::Tensor;

/// A histogram as its buckets: left and right end, and the count.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Buckets {
    /// Left end, right end, and count of each bucket that is not empty, in ascending order.
    pub(crate) buckets: Vec<(f64, f64, f64)>,
    /// The smallest value.
    pub(crate) min: f64,
    /// The largest value.
    pub(crate) max: f64,
    /// The number of values. It is a float because files store it as one, and weighted histograms have fractions.
    pub(crate) count: f64,
    /// The mean, if the histogram states it.
    pub(crate) mean: Option<f64>,
}

impl Buckets {
    /// Returns the buckets of a summary's value: a histogram of TensorFlow 1, or the tensor of rows `left, right,
    /// count` that TensorFlow 2 writes. Returns `None` for values of other kinds and for malformed tensors.
    pub(crate) fn of(value: &Value) -> Option<Buckets> {
        match &value.data {
            Some(ValueData::Histogram(histogram)) => {
                let count = histogram.num;
                let mean = (count > 0.0).then(|| histogram.sum / count);
                // The first and the last bucket reach to infinity; the values do not.
                // Not `clamp`, which panics if a file states a minimum that is NaN or above the maximum.
                let inside = |limit: f64| limit.max(histogram.min).min(histogram.max);
                let mut left = f64::NEG_INFINITY;
                let mut buckets = Vec::new();
                for (&limit, &count) in histogram.limits.iter().zip(&histogram.counts) {
                    if count > 0.0 {
                        buckets.push((inside(left), inside(limit), count));
                    }
                    left = limit;
                }
                Some(Buckets { buckets, min: histogram.min, max: histogram.max, count, mean })
            }
            Some(ValueData::Tensor(stored)) => Buckets::of_rows(&stored::decode(stored).ok()?),
            _ => None,
        }
    }

    /// Reads TensorFlow 2's tensor of shape `[buckets, 3]`.
    fn of_rows(tensor: &Tensor) -> Option<Buckets> {
        if tensor.shape().rank() != 2 || tensor.shape().dims()[1] != 3 {
            // A file may claim this plug-in for a tensor of any shape.
            return None;
        }
        let numbers: Vec<f64> = tensor.iter_f64()?.collect();
        let rows = numbers.chunks_exact(3).map(|row| (row[0], row[1], row[2]));
        let buckets: Vec<_> = rows.filter(|(_, _, count)| *count > 0.0).collect();
        let min = buckets.iter().map(|row| row.0).fold(f64::INFINITY, f64::min);
        let max = buckets.iter().map(|row| row.1).fold(f64::NEG_INFINITY, f64::max);
        let count = buckets.iter().map(|row| row.2).sum();
        Some(Buckets { buckets, min, max, count, mean: None })
    }

    /// Returns the distribution of finite numbers in `bins` bins of equal width between their minimum and maximum.
    /// Without a finite number all fields are 0.
    pub(crate) fn of_numbers(values: impl Iterator<Item = f64> + Clone, bins: usize) -> Buckets {
        let finite = values.filter(|value| value.is_finite());
        let (mut min, mut max, mut sum, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0u64);
        for value in finite.clone() {
            (min, max) = (min.min(value), max.max(value));
            sum += value;
            count += 1;
        }
        if count == 0 {
            return Buckets::default();
        }
        let width = (max - min) / bins as f64;
        let mut counts = vec![0.0; bins];
        for value in finite {
            let bin = if width > 0.0 { ((value - min) / width) as usize } else { 0 };
            // The maximum itself falls behind the last bin.
            counts[bin.min(bins - 1)] += 1.0;
        }
        let ends = |bin: usize| min + width * bin as f64;
        let buckets = counts.into_iter().enumerate().map(|(bin, count)| (ends(bin), ends(bin + 1), count));
        Buckets { buckets: buckets.collect(), min, max, count: count as f64, mean: Some(sum / count as f64) }
    }

    /// Returns the counts in `bins` bins of equal width between two ends. The count of a bucket is spread evenly over
    /// its width; buckets with an end that is not finite are left out.
    pub(crate) fn rebinned(&self, from: f64, to: f64, bins: usize) -> Vec<f64> {
        let mut counts = vec![0.0; bins];
        let width = (to - from) / bins as f64;
        let bin =
            |value: f64| if width > 0.0 { (((value - from) / width) as usize).min(bins - 1) } else { 0 };
        for &(left, right, count) in &self.buckets {
            if !(left.is_finite() && right.is_finite() && count.is_finite()) {
                continue;
            }
            let (first, last) = (bin(left), bin(right));
            if first == last || right <= left {
                counts[first] += count;
                continue;
            }
            for (index, into) in counts.iter_mut().enumerate().take(last + 1).skip(first) {
                let (start, end) = (from + width * index as f64, from + width * (index + 1) as f64);
                let shared = (right.min(end) - left.max(start)).max(0.0);
                *into += count * shared / (right - left);
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use summary::{Histogram, StoredTensor, SummaryMetadata};

    #[test]
    fn histograms_of_both_styles_are_read() {
        let values = (0..1000).map(|index| f64::from(index) / 100.0);
        let histogram = Histogram::of(values).unwrap();
        let one = Buckets::of(&Value::histogram("h", histogram)).unwrap();
        assert_eq!((one.min, one.max, one.count), (0.0, 9.99, 1000.0));
        let counts = one.rebinned(0.0, 9.99, 10);
        assert!((counts.iter().sum::<f64>() - 1000.0).abs() < 1e-6, "none is lost: {counts:?}");
        assert!(counts.iter().all(|count| (80.0..120.0).contains(count)), "evenly spread: {counts:?}");

        let rows = Tensor::from_vec(vec![0.0f64, 1.0, 4.0, 1.0, 3.0, 2.0], [2usize, 3]).unwrap();
        let data = Some(ValueData::Tensor(StoredTensor::new(&rows).unwrap()));
        let metadata = Some(SummaryMetadata::plugin("histograms"));
        let two = Buckets::of(&Value { tag: "h".into(), data, metadata, ..Value::default() }).unwrap();
        assert_eq!((two.min, two.max, two.count), (0.0, 3.0, 6.0));
        assert_eq!(two.rebinned(0.0, 3.0, 3), [4.0, 1.0, 1.0]);
    }

    #[test]
    fn malformed_histograms_are_handled() {
        for (min, max) in [(f64::NAN, f64::NAN), (2.0, 1.0)] {
            let mut histogram = Histogram::of([1.0, 2.0]).unwrap();
            (histogram.min, histogram.max) = (min, max);
            assert!(!Buckets::of(&Value::histogram("h", histogram)).unwrap().buckets.is_empty());
        }
        let one = Buckets::of(&Value::histogram("h", Histogram::of([2.0, 2.0]).unwrap())).unwrap();
        assert_eq!(one.rebinned(2.0, 2.0, 4), [2.0, 0.0, 0.0, 0.0]);
        let none = Buckets::of(&Value::histogram("h", Histogram::of([]).unwrap())).unwrap();
        assert!(none.buckets.is_empty());
        let text = Value::text("t", "no histogram");
        assert_eq!(Buckets::of(&text), None);
        assert_eq!(Buckets::of_numbers([f64::NAN].into_iter(), 4), Buckets::default());
        let constant = Buckets::of_numbers([1.0, 1.0].into_iter(), 4);
        assert_eq!((constant.count, constant.mean), (2.0, Some(1.0)));
    }
}
