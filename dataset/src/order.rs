//! The selection, the order and the batches of elements.

use crate::Dataset;
use crate::elements::Spec;
use crate::op::{invalid, op};
use session_core::{AsOutput, Error, Graph, OpBuilder, Output, PartialShape, Tensor};

/// The graph seed that an operation with its own seed takes where the graph has none.
const DEFAULT_GRAPH_SEED: i64 = 87_654_321;

/// The two seeds of an operation (D-36).
pub(crate) fn seeds(graph: &Graph, seed: Option<i64>) -> [Tensor; 2] {
    // TensorFlow keeps seeds below this prime.
    const PRIME: i64 = (1 << 31) - 1;
    let (first, second) = match (graph.random_seed(), seed) {
        (Some(graph), Some(seed)) => (graph, seed),
        (None, Some(seed)) => (DEFAULT_GRAPH_SEED, seed),
        (Some(of_graph), None) => (of_graph, graph.next_op_seed()),
        // Two zeros mean other random numbers in each run.
        (None, None) => return [0i64, 0].map(Tensor::scalar),
    };
    match (first.rem_euclid(PRIME), second.rem_euclid(PRIME)) {
        // Zeros that come from given seeds do not.
        (0, 0) => [0, PRIME].map(Tensor::scalar),
        (first, second) => [first, second].map(Tensor::scalar),
    }
}

pub(crate) fn number(value: u64) -> Tensor {
    Tensor::scalar(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A number of epochs; without one they repeat forever.
fn epochs(count: Option<u64>) -> Tensor {
    count.map_or_else(|| Tensor::scalar(-1i64), number)
}

/// The elements at the end of the input that do not fill a batch or window: TensorFlow's `drop_remainder`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remainder {
    /// The remaining rows form a smaller batch, so the number of rows is not known: TensorFlow's default.
    #[default]
    Keep,
    /// The remaining rows are dropped, so all batches have the same number of rows: TensorFlow's `drop_remainder=True`.
    Drop,
}

impl Remainder {
    /// Returns the value of TensorFlow's `drop_remainder`.
    pub(crate) fn is_dropped(self) -> bool {
        self == Remainder::Drop
    }
}

impl Dataset {
    /// Returns batches of `size` elements, their components stacked.
    ///
    /// ```
    /// use dataset::{Dataset, Remainder};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let numbers = Dataset::range(&graph, 0, 10, 1);
    /// // Four, four and two numbers, or only the two batches of four.
    /// assert_eq!(numbers.batch(4, Remainder::Keep).components()[0].shape.to_string(), "[?]");
    /// assert_eq!(numbers.batch(4, Remainder::Drop).components()[0].shape.to_string(), "[4]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn batch(&self, size: u64, remainder: Remainder) -> Dataset {
        let rows = batch_shape(size, remainder);
        let spec = self.spec.with_shapes(|_, shape| rows.concat(shape));
        let dropped = Tensor::scalar(remainder.is_dropped());
        let builder = self.op("BatchDatasetV2").constant(number(size)).constant(dropped);
        Dataset::described(builder, spec)
    }

    /// Returns batches of elements that are padded to these shapes, one for each component. An unknown size is that of the
    /// largest element of the batch. Numbers are padded with 0, strings with empty ones.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let vectors = numbers.map(|_, x| vec![ops::array::fill(ops::array::expand_dims(&x[0], 0), &x[0])]);
    /// let batches = vectors.padded_batch(4, &[PartialShape::from([None])], Remainder::Keep);
    /// assert_eq!(batches.components()[0].shape.to_string(), "[?,?]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn padded_batch(&self, size: u64, shapes: &[PartialShape], remainder: Remainder) -> Dataset {
        let builder = self.op("PaddedBatchDatasetV2").constant(number(size));
        self.padded(builder, &batch_shape(size, remainder), shapes, remainder)
    }

    /// Padded batches of an operation that has their size, and so these rows.
    #[track_caller]
    pub(crate) fn padded(
        &self,
        builder: OpBuilder,
        rows: &PartialShape,
        shapes: &[PartialShape],
        remainder: Remainder,
    ) -> Dataset {
        let graph = self.graph();
        let sizes = |sizes: &[i64]| ops::array::constant(&graph, Tensor::from(sizes.to_vec()));
        self.padded_by(builder, rows, shapes, remainder, sizes)
    }

    /// Works as [`padded`](Dataset::padded), with unknown sizes that are one less than a boundary.
    #[track_caller]
    pub(crate) fn padded_to(
        &self,
        builder: OpBuilder,
        rows: &PartialShape,
        shapes: &[PartialShape],
        remainder: Remainder,
        boundary: &Output,
    ) -> Dataset {
        let graph = boundary.graph();
        self.padded_by(builder, rows, shapes, remainder, |sizes| {
            // An unknown size is -1, to which the boundary is added.
            let unknown: Vec<i64> = sizes.iter().map(|&size| i64::from(size < 0)).collect();
            let [sizes, unknown] =
                [sizes.to_vec(), unknown].map(|values| ops::array::constant(&graph, Tensor::from(values)));
            sizes + unknown * boundary
        })
    }

    /// Padded batches whose sizes are made of those that are known, with -1 for the others.
    #[track_caller]
    fn padded_by(
        &self,
        builder: OpBuilder,
        rows: &PartialShape,
        shapes: &[PartialShape],
        remainder: Remainder,
        sizes: impl Fn(&[i64]) -> Output,
    ) -> Dataset {
        let graph = self.graph();
        let known = |place: usize| shapes.get(place).cloned().unwrap_or_default();
        let spec = self.spec.with_shapes(|place, _| rows.concat(&known(place)));
        let sizes: Vec<Output> =
            shapes.iter().map(|shape| sizes(shape.sizes().unwrap_or_default())).collect();
        let zeros = self.spec.dtypes().into_iter().map(|dtype| {
            let zero = Tensor::zeros(dtype, [0usize; 0]).unwrap_or_else(|_| Tensor::scalar(0i64));
            ops::array::constant(&graph, zero)
        });
        let zeros: Vec<Output> = zeros.collect();
        let builder =
            builder.input_list(&sizes).input_list(&zeros).constant(Tensor::scalar(remainder.is_dropped()));
        let variant = builder.attr("output_shapes", spec.shapes()).finish_output();
        Dataset { variant, spec }
    }

    /// Returns the rows of each element as elements.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let rows = numbers.batch(5, Remainder::Drop).unbatch();
    /// assert_eq!(rows.components()[0].shape.to_string(), "[]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn unbatch(&self) -> Dataset {
        let spec = self.spec.with_shapes(|_, shape| match shape.rank() {
            // A scalar has no rows, and fails when it is unbatched; the shape must not fail before.
            Some(rank) => shape.range(1.min(rank), rank),
            None => PartialShape::unknown(),
        });
        Dataset::described(self.op("UnbatchDataset"), spec)
    }

    /// Returns the elements in random order: each is drawn from a buffer of `buffer_size` elements. Each epoch has another order. With equal
    /// seeds the order is TensorFlow's; without a seed, and without one of the graph, each run has another order.
    ///
    /// Over [rows](Dataset::from_rows), slices and ranges the buffer holds numbers, not elements, so it may be as large as the
    /// input.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let mixed = numbers.shuffle(10, Some(7)).repeat(None);
    /// # let _ = mixed;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn shuffle(&self, buffer_size: u64, seed: Option<i64>) -> Dataset {
        self.shuffled(buffer_size, seed, true)
    }

    /// Works as [`shuffle`](Dataset::shuffle), with the same order in each epoch: TensorFlow's `reshuffle_each_iteration=False`.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let numbers = Dataset::range(&graph, 0, 100, 1).shuffle_once(100, Some(7));
    /// let (test, train) = (numbers.take(20), numbers.skip(20)); // the same split in each epoch
    /// # let _ = (test, train);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn shuffle_once(&self, buffer_size: u64, seed: Option<i64>) -> Dataset {
        self.shuffled(buffer_size, seed, false)
    }

    #[track_caller]
    fn shuffled(&self, buffer_size: u64, seed: Option<i64>, reshuffle: bool) -> Dataset {
        let [first, second] = seeds(&self.graph(), seed);
        let builder =
            self.op("ShuffleDataset").constant(number(buffer_size)).constant(first).constant(second);
        self.same(builder.attr("reshuffle_each_iteration", reshuffle))
    }

    /// Works as [`shuffle`](Dataset::shuffle) and [`repeat`](Dataset::repeat) after it, with the same elements in the same order, in
    /// one operation: while an epoch ends, the buffer takes elements of the next one.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let epochs = Dataset::range(&graph, 0, 100, 1).shuffle_and_repeat(10, 3, Some(1));
    /// assert_eq!(epochs.variant().operation().op_type(), "ShuffleAndRepeatDataset");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn shuffle_and_repeat(
        &self,
        buffer_size: u64,
        count: impl Into<Option<u64>>,
        seed: Option<i64>,
    ) -> Dataset {
        let [first, second] = seeds(&self.graph(), seed);
        let builder = self.op("ShuffleAndRepeatDataset").constant(number(buffer_size));
        self.same(builder.constant(first).constant(second).constant(epochs(count.into())))
    }

    /// Returns the elements `count` times, or endlessly for `None`.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let twice = numbers.repeat(2);
    /// let endless = numbers.repeat(None);
    /// # let _ = (twice, endless);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn repeat(&self, count: impl Into<Option<u64>>) -> Dataset {
        self.same(self.op("RepeatDataset").constant(epochs(count.into())))
    }

    /// Returns the first `count` elements.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let three = numbers.take(3); // 0, 1, 2
    /// # let _ = three;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn take(&self, count: u64) -> Dataset {
        self.same(self.op("TakeDataset").constant(number(count)))
    }

    /// Returns the elements without the first `count`.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let rest = numbers.skip(7); // 7, 8, 9
    /// # let _ = rest;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn skip(&self, count: u64) -> Dataset {
        self.same(self.op("SkipDataset").constant(number(count)))
    }

    /// Returns every `num_shards`-th element, beginning with the element of number `index`.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let mine = numbers.shard(4, 1); // 1, 5, 9: the share of the second of four workers
    /// # let _ = mine;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn shard(&self, num_shards: u64, index: u64) -> Dataset {
        self.same(self.op("ShardDataset").constant(number(num_shards)).constant(number(index)))
    }

    /// Produces up to `buffer_size` elements in advance, in a thread of the session that begins with the first step that takes an
    /// element. The position of the iterator is the one that steps have reached: elements that are made and not taken are made
    /// again after a restore. Only steps that find no element wait for this thread, and they show the wait as `input_wait` in
    /// [`RunMetadata`](session_core::RunMetadata).
    ///
    /// The thread makes the elements of the whole pipeline, so a prefetch belongs at its end. One further inside lets the engine
    /// make one element in advance. A pipeline that reads variables or queues is not run in advance, because its elements depend
    /// on what the steps do.
    ///
    /// ```
    /// use dataset::{Dataset, Remainder};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let numbers = Dataset::range(&graph, 0, 1000, 1);
    /// let batches = numbers.shuffle(1000, Some(7)).repeat(None).batch(32, Remainder::Drop).prefetch(2);
    /// assert_eq!(batches.variant().operation().op_type(), "PrefetchDataset");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn prefetch(&self, buffer_size: u64) -> Dataset {
        self.same(self.op("PrefetchDataset").constant(number(buffer_size)))
    }

    /// Keeps the elements of the first epoch in memory for the following ones. An epoch that is cut short leaves nothing behind, so a
    /// dataset without end is never read from its cache: [`repeat`](Dataset::repeat) it after the cache, not before.
    ///
    /// ```
    /// use dataset::{Compression, Dataset};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// // The file is read once; each epoch has an order of its own.
    /// let words = Dataset::text_line(&graph, &["words.txt"], Compression::None).cache().shuffle(1000, Some(7)).repeat(3);
    /// # let _ = words;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn cache(&self) -> Dataset {
        self.cache_in("")
    }

    /// Keeps the elements of the first epoch in files with this prefix, which other programs can use too.
    #[must_use]
    #[track_caller]
    pub fn cache_in(&self, prefix: &str) -> Dataset {
        self.same(self.op("CacheDataset").constant(Tensor::string(prefix.to_owned())))
    }

    /// Returns the elements of this dataset, then those of another one.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let both = numbers.concatenate(&Dataset::range(&graph, 100, 103, 1));
    /// # let _ = both;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn concatenate(&self, other: &Dataset) -> Dataset {
        let (first, second) = (self.spec.dtypes(), other.spec.dtypes());
        if first != second {
            let text = format!("datasets of elements {first:?} and {second:?} cannot be concatenated");
            return invalid(&self.graph(), "ConcatenateDataset", self.spec.clone(), Error::value(text));
        }
        Dataset::described(self.op("ConcatenateDataset").input(other), self.spec.relaxed(&other.spec))
    }

    /// Returns elements with the components of all these datasets, as many as the shortest has.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let pairs = Dataset::zip(&[&numbers, &numbers.skip(1)]); // (0, 1), (1, 2) ...
    /// assert_eq!(pairs.components().len(), 2);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn zip(datasets: &[&Dataset]) -> Dataset {
        // Without datasets there is no graph to record the error in.
        let graph = datasets.first().map_or_else(Graph::new, |dataset| dataset.graph());
        let infos = datasets.iter().flat_map(|dataset| dataset.spec.0.clone()).collect();
        let variants: Vec<Output> = datasets.iter().map(|dataset| dataset.as_output().clone()).collect();
        Dataset::described(op(&graph, "ZipDataset").input_list(&variants), Spec(infos))
    }

    /// Prepends the number of each element, counted from `start`, to its components.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let numbered = numbers.shuffle(10, None).enumerate(0);
    /// assert_eq!(numbered.components().len(), 2);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn enumerate(&self, start: i64) -> Dataset {
        Dataset::zip(&[&Dataset::range(&self.graph(), start, i64::MAX, 1), self])
    }

    /// Returns each distinct element once. Elements have one component, which is `int32`, `int64` or string.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let remainders = Dataset::range(&graph, 0, 10, 1).map(|_, x| vec![&x[0] % 3i64]).unique(); // 0, 1, 2
    /// assert_eq!(remainders.variant().operation().op_type(), "UniqueDataset");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn unique(&self) -> Dataset {
        self.same(self.op("UniqueDataset"))
    }

    /// Skips elements that fail.
    #[must_use]
    #[track_caller]
    pub fn ignore_errors(&self) -> Dataset {
        self.same(self.op("IgnoreErrorsDataset"))
    }
}

/// The dimension of rows in front of a batch.
pub(crate) fn batch_shape(size: u64, remainder: Remainder) -> PartialShape {
    let rows = if remainder.is_dropped() { i64::try_from(size).unwrap_or(-1) } else { -1 };
    PartialShape::from_sizes([rows])
}
