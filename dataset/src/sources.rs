//! Datasets of tensors, ranges and files.

use crate::Dataset;
use crate::elements::Spec;
use crate::op::op;
use crate::order::seeds;
use ops::io::Compression;
use session_core::{AsOutput, DType, Graph, Output, PartialShape, Tensor};

/// Names of files: one, several, or an output that holds them.
fn names(graph: &Graph, names: &[&str]) -> Output {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let count = names.len();
    // A vector of its own length is always valid.
    let tensor = Tensor::from_strings(names, [count]).unwrap_or_else(|_| Tensor::string(""));
    ops::array::constant(graph, tensor)
}

/// TensorFlow's name of a compression.
fn compression_name(compression: Compression) -> Tensor {
    Tensor::string(match compression {
        Compression::None => "",
        Compression::Gzip => "GZIP",
        Compression::Zlib => "ZLIB",
    })
}

/// Returns the buffer size that lets the engine choose.
fn auto() -> Tensor {
    Tensor::scalar(-1i64)
}

/// The size that readers without a choice of their own take for 0.
fn default_size() -> Tensor {
    Tensor::scalar(0i64)
}

impl Dataset {
    /// Creates a dataset of one element with these components.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let one = Dataset::from_tensors(&graph, [ops::array::constant(&graph, [1.0f32, 2.0])]);
    /// assert_eq!(one.components()[0].shape.to_string(), "[2]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn from_tensors<O: AsOutput>(graph: &Graph, components: impl IntoIterator<Item = O>) -> Dataset {
        let components: Vec<Output> = components.into_iter().map(|one| one.as_output().clone()).collect();
        let spec = Spec::of(&components);
        // The dtypes follow from the inputs; only the shapes are an attribute.
        let builder = op(graph, "TensorDataset").input_list(&components).attr("output_shapes", spec.shapes());
        Dataset { variant: builder.finish_output(), spec }
    }

    /// Creates a dataset of the rows of these components, which all have the same number of rows.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use ops::array::constant;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let (x, y) = (constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]), constant(&graph, vec![0i64, 1]));
    /// let examples = Dataset::from_tensor_slices(&graph, [x, y]);
    /// assert_eq!(examples.components()[0].shape.to_string(), "[2]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn from_tensor_slices<O: AsOutput>(
        graph: &Graph,
        components: impl IntoIterator<Item = O>,
    ) -> Dataset {
        let components: Vec<Output> = components.into_iter().map(|one| one.as_output().clone()).collect();
        let spec = Spec::of(&components).with_shapes(|_, shape| match shape.rank() {
            Some(rank) => shape.range(1.min(rank), rank),
            None => PartialShape::unknown(),
        });
        let builder = op(graph, "TensorSliceDataset").input_list(&components);
        let variant = builder.attr("output_shapes", spec.shapes()).finish_output();
        Dataset { variant, spec }
    }

    /// Creates a dataset of the `int64` numbers from `start` up to, but not including, `stop`, in steps of `step`.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let even = Dataset::range(&graph, 0, 10, 2); // 0, 2, 4, 6, 8
    /// assert_eq!(even.components()[0].dtype, DType::Int64);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn range(graph: &Graph, start: i64, stop: i64, step: i64) -> Dataset {
        let builder =
            op(graph, "RangeDataset").constant(Tensor::scalar(start)).constant(Tensor::scalar(stop));
        let builder = builder.constant(Tensor::scalar(step));
        Dataset::described(builder, Spec::one(DType::Int64, PartialShape::scalar()))
    }

    /// Creates an endless dataset of random `int64` numbers from 0 to 2^32 - 1. With equal seeds they are TensorFlow's.
    #[must_use]
    #[track_caller]
    pub fn random(graph: &Graph, seed: Option<i64>) -> Dataset {
        let [first, second] = seeds(graph, seed);
        let builder = op(graph, "RandomDataset").constant(first).constant(second);
        Dataset::described(builder, Spec::one(DType::Int64, PartialShape::scalar()))
    }

    /// Creates a dataset of the records of TFRecord files, one file after another.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let records = Dataset::tf_record(&graph, &["train-0.tfrecord", "train-1.tfrecord"], Compression::None);
    /// assert_eq!(records.components()[0].dtype, DType::String);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn tf_record(graph: &Graph, files: &[&str], compression: Compression) -> Dataset {
        Dataset::tf_record_of(&names(graph, files), compression)
    }

    /// Creates a dataset of the records of the files that an output names, for the closure of [`interleave`](Dataset::interleave).
    #[must_use]
    #[track_caller]
    pub fn tf_record_of(files: &Output, compression: Compression) -> Dataset {
        let builder = op(&files.graph(), "TFRecordDataset").input(files);
        let builder = builder.constant(compression_name(compression)).constant(auto());
        Dataset::of_text(builder.finish_output())
    }

    /// Creates a dataset of the lines of text files, without their line ends.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let lines = Dataset::text_line(&graph, &["words.txt"], Compression::None);
    /// assert_eq!(lines.components()[0].dtype, DType::String);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn text_line(graph: &Graph, files: &[&str], compression: Compression) -> Dataset {
        let builder = op(graph, "TextLineDataset").input(names(graph, files));
        let builder = builder.constant(compression_name(compression)).constant(default_size());
        Dataset::of_text(builder.finish_output())
    }

    /// Creates a dataset of records of `record_bytes` bytes each, between a header and a footer, which are skipped.
    ///
    /// ```
    /// use dataset::{Compression, Dataset};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// // Images of 28 by 28 bytes, after a header of 16 bytes.
    /// let images = Dataset::fixed_length_record(&graph, &["images.idx"], 28 * 28, 16, 0, Compression::None);
    /// assert_eq!(images.components().len(), 1);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn fixed_length_record(
        graph: &Graph,
        files: &[&str],
        record_bytes: i64,
        header_bytes: i64,
        footer_bytes: i64,
        compression: Compression,
    ) -> Dataset {
        let builder = op(graph, "FixedLengthRecordDatasetV2").input(names(graph, files));
        let builder = builder.constant(Tensor::scalar(header_bytes)).constant(Tensor::scalar(record_bytes));
        let builder = builder.constant(Tensor::scalar(footer_bytes)).constant(default_size());
        Dataset::of_text(builder.constant(compression_name(compression)).finish_output())
    }

    /// Creates a dataset of the fields of CSV files. `defaults` determines the dtype of each column and the value of an empty field; with
    /// an empty tensor as its default, a column requires a value.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// use session_core::Tensor;
    /// let rows = Dataset::csv(&graph, &["train.csv"], &[Tensor::from([0.0f32]), Tensor::from([0i64])]);
    /// assert_eq!(rows.components().len(), 2);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn csv(graph: &Graph, files: &[&str], defaults: &[Tensor]) -> Dataset {
        Dataset::of_csv(graph, files, defaults, false)
    }

    /// Works as [`csv`](Dataset::csv), for files whose first line names the columns and is skipped: TensorFlow's `header=True`.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::{DType, Graph, Tensor};
    ///
    /// let graph = Graph::new();
    /// // The second column requires a value, and the first one is 0 where it has none.
    /// let defaults = [Tensor::from([0.0f32]), Tensor::from(Vec::<i64>::new())];
    /// let rows = Dataset::csv_with_header(&graph, &["train.csv"], &defaults);
    /// assert_eq!(rows.components()[1].dtype, DType::Int64);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn csv_with_header(graph: &Graph, files: &[&str], defaults: &[Tensor]) -> Dataset {
        Dataset::of_csv(graph, files, defaults, true)
    }

    #[track_caller]
    fn of_csv(graph: &Graph, files: &[&str], defaults: &[Tensor], header: bool) -> Dataset {
        // An empty list means all columns.
        let columns = || Tensor::from(Vec::<i64>::new());
        let defaults: Vec<Output> =
            defaults.iter().map(|value| ops::array::constant(graph, value.clone())).collect();
        // A field is a scalar; the default is a vector of one value or none.
        let spec = Spec::of(&defaults).with_shapes(|_, _| PartialShape::scalar());
        // After the files: compression, buffer size, header, delimiter, quotes, text of a missing value.
        let builder = op(graph, "CSVDatasetV2").input(names(graph, files)).constant(Tensor::string(""));
        let builder = builder.constant(Tensor::scalar(1i64 << 20)).constant(Tensor::scalar(header));
        let builder = builder.constant(Tensor::string(",")).constant(Tensor::scalar(true));
        let builder = builder.constant(Tensor::string("")).constant(columns());
        Dataset::described(builder.input_list(&defaults).constant(columns()), spec)
    }

    /// Creates a dataset of the names of the files that match a pattern, sorted. [`shuffle`](Dataset::shuffle) mixes them.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::{DType, Graph};
    ///
    /// let graph = Graph::new();
    /// let files = Dataset::list_files(&graph, "train-*.tfrecord").shuffle(16, Some(7));
    /// assert_eq!(files.components()[0].dtype, DType::String);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn list_files(graph: &Graph, pattern: &str) -> Dataset {
        let builder = op(graph, "MatchingFilesDataset").input(names(graph, &[pattern]));
        Dataset::of_text(builder.finish_output())
    }

    /// Creates a dataset from an output that represents one, such as a component of a [window](Dataset::window). `components` describes its
    /// elements.
    #[must_use]
    pub fn from_variant(variant: &Output, components: Vec<session_core::OutputInfo>) -> Dataset {
        Dataset { variant: variant.clone(), spec: Spec(components) }
    }

    fn of_text(variant: Output) -> Dataset {
        Dataset { variant, spec: Spec::one(DType::String, PartialShape::scalar()) }
    }
}
