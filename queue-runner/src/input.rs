//! Input pipelines: producers of file names and indices, batches, iterators of the program as a source.
//!
//! Everything here makes queues with runners in the collection [`QUEUE_RUNNERS`](crate::QUEUE_RUNNERS), so a monitored
//! session starts them. The end of the input arrives as `OutOfRange` at the step that takes the batches, which ends a
//! monitored loop.
//!
//! ```
//! use ops::io::{Compression, Reader};
//! use ops::parsing::{FeatureSpec, parse_single_example};
//! use queue_runner::input::{BatchOptions, ProducerOptions, shuffle_batch, string_input_producer};
//! use session_core::{DType, Graph};
//!
//! let graph = Graph::new();
//! let options = ProducerOptions::default().num_epochs(10).seed(1);
//! let files = string_input_producer(&graph, ["train-0.tfrecord", "train-1.tfrecord"], &options);
//! let (_, record) = Reader::tf_record(&graph, Compression::None).read(&files);
//! let example = parse_single_example(
//!     &record,
//!     &[
//!         ("image", FeatureSpec::fixed([64], DType::Float32)),
//!         ("label", FeatureSpec::fixed([], DType::Int64)),
//!     ],
//! );
//! let element = [example.dense("image"), example.dense("label")];
//! let batch = shuffle_batch(&graph, element, 32, 1000, &BatchOptions::default().seed(2).capacity(2000));
//! assert_eq!(batch[0].shape().to_string(), "[32,64]");
//! assert_eq!(files.name(), "input_producer");
//! graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! # Where a resumed run continues
//!
//! | input | after a restore |
//! |---|---|
//! | [`index_batch`], [`slice_batch`] | the examples that would have come next, at once |
//! | [`batch`] and its like with [`exact_resume`](BatchOptions::exact_resume) | the same, after the pipeline has run again through what was taken before |
//! | the same without | from the beginning of the input, as in TensorFlow (S-253) |
//!
//! [`exact_resume`](BatchOptions::exact_resume) explains how that works and what it requires of the pipeline.

mod batch;
mod batching;
mod elements;
mod epochs;
mod host;
mod producers;
mod replay;
mod sparse;

pub use batch::{Batch, BatchValue, BatchValues};
pub use batching::{
    BatchOptions, batch, batch_join, maybe_batch, maybe_batch_join, maybe_shuffle_batch,
    maybe_shuffle_batch_join, shuffle_batch, shuffle_batch_join,
};
pub use elements::{BatchTensor, BatchTensors};
pub use epochs::limit_epochs;
pub use host::{HostOptions, producer, producer_with};
pub use ops::io::{IndexOptions, index_batch};
pub use producers::{
    FileNames, ProducerOptions, input_producer, match_filenames_once, range_input_producer, slice_batch,
    slice_input_producer, string_input_producer,
};
