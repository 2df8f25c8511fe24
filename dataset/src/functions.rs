//! Datasets that run functions of the graph, which closures build.

use crate::Dataset;
use crate::elements::Spec;
use crate::op::{define_dataset, invalid, with_function};
use crate::order::{Remainder, batch_shape, number};
use ops::functions::{FunctionWithCaptures, define};
use session_core::{DType, Graph, Output, Result, Tensor};

impl Dataset {
    /// Transforms each element by a function that a closure builds: it gets the components and returns those of the result.
    ///
    /// Values of the outer graph that the closure uses are captured when the iterator is initialized; variables are read again
    /// for each element. Random operations of the function continue from element to element, and restart from their seeds when
    /// the iterator is initialized again.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let squares = Dataset::range(&graph, 0, 5, 1).map(|_, element| vec![&element[0] * &element[0]]);
    /// assert_eq!(squares.variant().operation().op_type(), "MapDataset");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn map(&self, build: impl FnOnce(&Graph, &[Output]) -> Vec<Output>) -> Dataset {
        let function = define(&self.graph(), "Dataset_map", &self.spec.arguments(), build);
        self.mapped("MapDataset", function, |builder| builder)
    }

    /// Works as [`map`](Dataset::map), with several calls of the function at the same time on the threads of the session. The order of
    /// the elements is the same.
    ///
    /// The embedded engine makes calls for all elements of a [`batch`](Dataset::batch) after it, and for those that a
    /// [`prefetch`](Dataset::prefetch) makes in advance. A function with random operations, or one that changes something, is called
    /// for one element after another, as its results depend on the order.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let squares = Dataset::range(&graph, 0, 5, 1).parallel_map(2, |_, element| vec![&element[0] * &element[0]]);
    /// assert_eq!(squares.variant().operation().op_type(), "ParallelMapDatasetV2");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn parallel_map(
        &self,
        num_parallel_calls: u64,
        build: impl FnOnce(&Graph, &[Output]) -> Vec<Output>,
    ) -> Dataset {
        let function = define(&self.graph(), "Dataset_map", &self.spec.arguments(), build);
        let calls = number(num_parallel_calls);
        self.mapped("ParallelMapDatasetV2", function, |builder| builder.constant(calls))
    }

    /// Works as [`map`](Dataset::map) and [`batch`](Dataset::batch) after it, in one operation. Where the function fails for an
    /// element, its whole batch is left out.
    ///
    /// ```
    /// use dataset::{Dataset, Remainder};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let numbers = Dataset::range(&graph, 0, 100, 1);
    /// let squares = numbers.map_and_batch(32, Remainder::Drop, 2, |_, element| vec![&element[0] * &element[0]]);
    /// assert_eq!(squares.components()[0].shape.to_string(), "[32]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn map_and_batch(
        &self,
        batch_size: u64,
        remainder: Remainder,
        num_parallel_calls: u64,
        build: impl FnOnce(&Graph, &[Output]) -> Vec<Output>,
    ) -> Dataset {
        let function = define(&self.graph(), "Dataset_map_and_batch", &self.spec.arguments(), build);
        let arguments =
            [number(batch_size), number(num_parallel_calls), Tensor::scalar(remainder.is_dropped())];
        let rows = batch_shape(batch_size, remainder);
        self.mapped_to(
            "MapAndBatchDataset",
            function,
            |builder| arguments.into_iter().fold(builder, session_core::OpBuilder::constant),
            |spec| spec.with_shapes(|_, shape| rows.concat(shape)),
        )
    }

    #[track_caller]
    pub(crate) fn mapped(
        &self,
        op_type: &str,
        function: Result<FunctionWithCaptures>,
        more: impl FnOnce(session_core::OpBuilder) -> session_core::OpBuilder,
    ) -> Dataset {
        self.mapped_to(op_type, function, more, |spec| spec)
    }

    /// Works as [`mapped`](Dataset::mapped), for elements that are made of the function's results.
    #[track_caller]
    fn mapped_to(
        &self,
        op_type: &str,
        function: Result<FunctionWithCaptures>,
        more: impl FnOnce(session_core::OpBuilder) -> session_core::OpBuilder,
        elements: impl FnOnce(Spec) -> Spec,
    ) -> Dataset {
        match function {
            Ok(function) => {
                let spec = elements(Spec(function.results().to_vec()));
                let builder = more(with_function(self.op(op_type), "f", &function));
                // TensorFlow's own programs set it, unlike the default of the operation.
                Dataset::described(builder.attr("preserve_cardinality", true), spec)
            }
            Err(error) => invalid(&self.graph(), op_type, self.spec.clone(), error),
        }
    }

    /// Keeps the elements for which the function that a closure builds returns true.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let odd = numbers.filter(|graph, x| ops::math::equal(&x[0] % 2i64, ops::array::constant(graph, 1i64))); // 1, 3, 5, 7, 9
    /// # let _ = odd;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn filter(&self, build: impl FnOnce(&Graph, &[Output]) -> Output) -> Dataset {
        self.kept("FilterDataset", build)
    }

    /// Returns the elements before the first one for which the function that a closure builds returns false.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let few = numbers.take_while(|graph, x| ops::math::less(&x[0], ops::array::constant(graph, 3i64))); // 0, 1, 2
    /// # let _ = few;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn take_while(&self, build: impl FnOnce(&Graph, &[Output]) -> Output) -> Dataset {
        self.kept("TakeWhileDataset", build)
    }

    #[track_caller]
    fn kept(&self, op_type: &str, build: impl FnOnce(&Graph, &[Output]) -> Output) -> Dataset {
        let function =
            define(&self.graph(), "Dataset_predicate", &self.spec.arguments(), |graph, element| {
                vec![build(graph, element)]
            });
        match function {
            Ok(function) => self.same(with_function(self.op(op_type), "predicate", &function)),
            Err(error) => invalid(&self.graph(), op_type, self.spec.clone(), error),
        }
    }

    /// Returns the elements of the datasets that a closure builds from each element, one dataset after another.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let repeated = numbers.flat_map(|graph, x| Dataset::from_tensors(graph, [&x[0]]).repeat(3)); // 0, 0, 0, 1, 1, 1 ...
    /// # let _ = repeated;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn flat_map(&self, build: impl FnOnce(&Graph, &[Output]) -> Dataset) -> Dataset {
        self.inner("FlatMapDataset", build, |builder| builder)
    }

    /// Works as [`flat_map`](Dataset::flat_map), with `cycle_length` datasets that take turns, each yielding `block_length` elements.
    ///
    /// ```
    /// use dataset::{Compression, Dataset};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let files = Dataset::list_files(&graph, "train-*.tfrecord.gz").shuffle(16, Some(1));
    /// let records = files.interleave(4, 1, |_, name| Dataset::tf_record_of(&name[0], Compression::Gzip));
    /// assert_eq!(records.components().len(), 1);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn interleave(
        &self,
        cycle_length: u64,
        block_length: u64,
        build: impl FnOnce(&Graph, &[Output]) -> Dataset,
    ) -> Dataset {
        let [cycle, block] = [cycle_length, block_length].map(number);
        self.inner("InterleaveDataset", build, |builder| builder.constant(cycle).constant(block))
    }

    /// Works as [`interleave`](Dataset::interleave), with all `cycle_length` datasets opened at the beginning. One that has ended is
    /// replaced at once, and the replacement waits for the next turn of its place, so the order differs from `interleave`'s.
    /// The embedded engine reads ahead of the turns, several datasets at the same time, where their elements do not depend on the
    /// order of the reads: random operations and host functions in the closure are called in their turns.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let tens = Dataset::range(&graph, 0, 3, 1)
    ///     .parallel_interleave(2, 1, |_, number| Dataset::from_tensors(&number[0].graph(), number).repeat(10));
    /// assert_eq!(tens.variant().operation().op_type(), "LegacyParallelInterleaveDatasetV2");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn parallel_interleave(
        &self,
        cycle_length: u64,
        block_length: u64,
        build: impl FnOnce(&Graph, &[Output]) -> Dataset,
    ) -> Dataset {
        let [cycle, block] = [cycle_length, block_length].map(number);
        // TensorFlow's sizes of the buffers, which the order does not depend on.
        let [outputs, inputs] = [block_length, cycle_length].map(|length| number(length.saturating_mul(2)));
        self.inner("LegacyParallelInterleaveDatasetV2", build, |builder| {
            let builder = builder.constant(cycle).constant(block).constant(outputs).constant(inputs);
            builder.attr("deterministic", "true")
        })
    }

    #[track_caller]
    fn inner(
        &self,
        op_type: &str,
        build: impl FnOnce(&Graph, &[Output]) -> Dataset,
        more: impl FnOnce(session_core::OpBuilder) -> session_core::OpBuilder,
    ) -> Dataset {
        let (function, spec) =
            define_dataset(&self.graph(), "Dataset_flat_map", &self.spec.arguments(), build);
        // Only after an error, where any components will do.
        let spec = spec.unwrap_or_else(|| self.spec.clone());
        match function {
            Ok(function) => Dataset::described(more(with_function(self.op(op_type), "f", &function)), spec),
            Err(error) => invalid(&self.graph(), op_type, spec, error),
        }
    }

    /// Passes a state from element to element: the function that a closure builds gets the state and the element, and returns the next
    /// state and the components of the result.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use ops::array::constant;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let sums = Dataset::range(&graph, 1, 5, 1).scan(&[constant(&graph, 0i64)], |_, state, element| {
    ///     let sum = &state[0] + &element[0];
    ///     (vec![sum.clone()], vec![sum])
    /// }); // 1, 3, 6, 10
    /// assert_eq!(sums.components().len(), 1);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn scan(
        &self,
        initial_state: &[Output],
        build: impl FnOnce(&Graph, &[Output], &[Output]) -> (Vec<Output>, Vec<Output>),
    ) -> Dataset {
        let count = initial_state.len();
        let mut arguments: Vec<(DType, session_core::PartialShape)> =
            initial_state.iter().map(|state| (state.dtype(), state.shape().clone())).collect();
        arguments.extend(self.spec.arguments());
        let function = define(&self.graph(), "Dataset_scan", &arguments, |graph, arguments| {
            let (state, element) = arguments.split_at(count);
            // The function returns the next state first.
            let (mut next, outputs) = build(graph, state, element);
            next.extend(outputs);
            next
        });
        match function {
            Ok(function) => {
                let spec = Spec(function.results().get(count..).unwrap_or_default().to_vec());
                let builder = self.op("ScanDataset").input_list(initial_state);
                let builder = with_function(builder, "f", &function);
                Dataset::described(builder.attr("preserve_cardinality", true), spec)
            }
            Err(error) => invalid(&self.graph(), "ScanDataset", self.spec.clone(), error),
        }
    }
}
