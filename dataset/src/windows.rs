//! Datasets of neighboring elements, and of elements of a kind.

use crate::Dataset;
use crate::elements::{Spec, info};
use crate::op::{define_dataset, invalid, with_function};
use crate::order::{Remainder, number};
use ops::control_flow::assert_true;
use ops::functions::define;
use ops::{array, math};
use session_core::{DType, Error, Graph, Output, PartialShape, Tensor};

/// Options of [`Dataset::bucket_by_sequence_length`].
///
/// ```
/// use dataset::{BucketOptions, Remainder};
/// let options = BucketOptions::default().remainder(Remainder::Drop).pad_to_bucket_boundary(true);
/// assert_ne!(options, BucketOptions::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketOptions {
    remainder: Remainder,
    pad_to_bucket_boundary: bool,
}

impl BucketOptions {
    /// Keeps or drops the batches that are not full at the end of the input. They are kept by default.
    #[must_use]
    pub fn remainder(mut self, remainder: Remainder) -> BucketOptions {
        self.remainder = remainder;
        self
    }

    /// Pads unknown sizes to the largest that the bucket takes, one below its boundary, so that all batches of a bucket have one
    /// shape. Elements that are at least as long as the last boundary fail. By default sizes are those of the largest element of
    /// the batch.
    #[must_use]
    pub fn pad_to_bucket_boundary(mut self, pad: bool) -> BucketOptions {
        self.pad_to_bucket_boundary = pad;
        self
    }
}

impl Dataset {
    /// Returns windows of `size` elements, each window a dataset. A window begins `shift` elements after the one before, and
    /// takes every `stride`-th element. The last ones may be shorter; [`Remainder::Drop`] leaves them out.
    ///
    /// A window has a dataset for each component, which [`from_variant`](Dataset::from_variant) makes of its output:
    ///
    /// ```
    /// use dataset::{Dataset, Remainder};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let components = numbers.components().to_vec();
    /// let triples = numbers
    ///     .window(3, 1, 1, Remainder::Drop)
    ///     .flat_map(|_, window| Dataset::from_variant(&window[0], components).batch(3, Remainder::Drop));
    /// assert_eq!(triples.components()[0].shape.to_string(), "[3]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn window(&self, size: u64, shift: u64, stride: u64, remainder: Remainder) -> Dataset {
        let variant = || info(DType::Variant, PartialShape::scalar());
        let spec = Spec(self.spec.0.iter().map(|_| variant()).collect());
        let builder = [size, shift, stride]
            .into_iter()
            .fold(self.op("WindowDataset"), |builder, value| builder.constant(number(value)));
        Dataset::described(builder.constant(Tensor::scalar(remainder.is_dropped())), spec)
    }

    /// Returns the elements of datasets that a closure makes of elements with the same key.
    ///
    /// - `key_func` builds the key of an element, an `int64` scalar.
    /// - `window_size_func` builds the number of elements of a group by its key, also an `int64` scalar. It is asked once for each key.
    /// - `reduce_func` gets the key and the elements of a group as soon as the group is full. At the end of the input it gets
    ///   the groups that are left, in the order of their keys.
    ///
    /// ```
    /// use dataset::{Dataset, Remainder};
    /// use ops::array::constant;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let by_parity = Dataset::range(&graph, 0, 10, 1).group_by_window(
    ///     |graph, element| &element[0] % constant(graph, 2i64),
    ///     |_, _, group| group.batch(4, Remainder::Keep),
    ///     |graph, _| constant(graph, 4i64),
    /// );
    /// assert_eq!(by_parity.components()[0].shape.to_string(), "[?]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn group_by_window(
        &self,
        key_func: impl FnOnce(&Graph, &[Output]) -> Output,
        reduce_func: impl FnOnce(&Graph, &Output, &Dataset) -> Dataset,
        window_size_func: impl FnOnce(&Graph, &Output) -> Output,
    ) -> Dataset {
        const OP: &str = "GroupByWindowDataset";
        let graph = self.graph();
        let key = (DType::Int64, PartialShape::scalar());
        let key_func =
            define(&graph, "Dataset_key", &self.spec.arguments(), |body, x| vec![key_func(body, x)]);
        let group = [key.clone(), (DType::Variant, PartialShape::scalar())];
        let (reduce_func, spec) = define_dataset(&graph, "Dataset_reduce", &group, |body, arguments| {
            let group = Dataset { variant: arguments[1].clone(), spec: self.spec.clone() };
            reduce_func(body, &arguments[0], &group)
        });
        let window_size_func =
            define(&graph, "Dataset_window_size", &[key], |body, key| vec![window_size_func(body, &key[0])]);
        let spec = spec.unwrap_or_else(|| self.spec.clone());
        match (key_func, reduce_func, window_size_func) {
            (Ok(key), Ok(reduce), Ok(window_size)) => {
                let builder = with_function(self.op(OP), "key_func", &key);
                let builder = with_function(builder, "reduce_func", &reduce);
                Dataset::described(with_function(builder, "window_size_func", &window_size), spec)
            }
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => invalid(&graph, OP, spec, error),
        }
    }

    /// Returns [padded](Dataset::padded_batch) batches of elements of about the same length, so that little is padded.
    ///
    /// `bucket_boundaries` ascend: the first bucket takes elements that are shorter than the first boundary, the last one takes
    /// those that are at least as long as the last boundary. `bucket_batch_sizes` has a size for each bucket, one more than there
    /// are boundaries.
    ///
    /// ```
    /// use dataset::{BucketOptions, Dataset};
    /// use ops::array;
    /// use session_core::{Graph, PartialShape};
    ///
    /// let graph = Graph::new();
    /// let words = Dataset::range(&graph, 0, 100, 1)
    ///     .map(|_, number| vec![array::fill(array::expand_dims(&number[0] % 7i64, 0), &number[0])]);
    /// let length = |_: &Graph, element: &[session_core::Output]| array::size(&element[0]);
    /// let batches = words.bucket_by_sequence_length(length, &[3, 5], &[32, 16, 8], BucketOptions::default());
    /// assert_eq!(batches.components()[0].shape, PartialShape::from_sizes([-1, -1]));
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn bucket_by_sequence_length(
        &self,
        element_length_func: impl FnOnce(&Graph, &[Output]) -> Output,
        bucket_boundaries: &[i64],
        bucket_batch_sizes: &[u64],
        options: BucketOptions,
    ) -> Dataset {
        let fail = |text: String| {
            invalid(&self.graph(), "GroupByWindowDataset", self.spec.clone(), Error::value(text))
        };
        let (boundaries, sizes) = (bucket_boundaries.len(), bucket_batch_sizes.len());
        if sizes != boundaries + 1 {
            return fail(format!(
                "{boundaries} boundaries of buckets make {} buckets, but there are {sizes} batch sizes",
                boundaries + 1
            ));
        }
        if !bucket_boundaries.is_sorted_by(|one, next| one < next) {
            return fail(format!("boundaries of buckets ascend, but these are {bucket_boundaries:?}"));
        }
        let boundaries = Tensor::from(bucket_boundaries.to_vec());
        let sizes: Vec<i64> =
            bucket_batch_sizes.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
        let sizes = Tensor::from(sizes);
        let size_of =
            |graph: &Graph, bucket: &Output| array::gather(array::constant(graph, sizes.clone()), bucket);
        let shapes = self.spec.shapes();
        self.group_by_window(
            |graph, element| {
                // The bucket is the number of boundaries that the length has reached.
                let length = math::cast(element_length_func(graph, element), DType::Int64);
                let reached = math::greater_equal(length, array::constant(graph, boundaries.clone()));
                math::reduce_sum(math::cast(reached, DType::Int64), ..)
            },
            |graph, bucket, group| {
                let builder = group.op("PaddedBatchDatasetV2").input(size_of(graph, bucket));
                // The number of rows depends on the bucket.
                let rows = PartialShape::from_sizes([-1]);
                if !options.pad_to_bucket_boundary {
                    return group.padded(builder, &rows, &shapes, options.remainder);
                }
                // The last bucket has no boundary.
                let last = array::constant(graph, number(boundaries.elements() as u64));
                let text = "elements of batches that are padded to the boundary of their bucket are shorter than the last boundary";
                let text = array::constant(graph, Tensor::string(text));
                let checked = assert_true(math::less(bucket, last), &[text], 3);
                // In the scope of the check, which nothing else would wait for.
                let after = graph.control_dependencies([&checked]);
                let boundary = array::gather(array::constant(&after, boundaries.clone()), bucket);
                group.padded_to(builder, &rows, &shapes, options.remainder, &boundary)
            },
            size_of,
        )
    }
}
