//! Errors of summaries and event files.

use crate::record::{Place, RecordError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tensor::text::escaped;
use tensor::{DType, Shape, TensorError};

/// Bytes that are not the protocol message they should be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(transparent)]
pub struct DecodeError(pub(crate) prost::DecodeError);

/// An error of a value that cannot be summarized, or of a summary that cannot be understood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SummaryError {
    /// A histogram was asked of NaN or infinity.
    #[error("element {position} of the histogram's values is {value}")]
    NotFinite {
        /// The value.
        position: usize,
        /// The value.
        value: f64,
    },
    /// The elements' type cannot be summarised so.
    #[error("{dtype} elements make no {what}")]
    DType {
        /// `histogram`, `image`, `audio` or `tensor value`.
        what: &'static str,
        /// The dtype of the values.
        dtype: DType,
    },
    /// The tensor's shape cannot be summarised so.
    #[error("a tensor of shape {shape} makes no {what}: {rule}")]
    Shape {
        /// `image` or `audio`.
        what: &'static str,
        /// The shape of the tensor.
        shape: Shape,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A sample rate that is not a positive number of 32 bits.
    #[error("sample rate {rate}")]
    SampleRate {
        /// The rate in samples a second.
        rate: f32,
    },
    /// A picture could not be compressed.
    #[error("could not encode the image: {reason}")]
    Image {
        /// The encoder's reason.
        reason: String,
    },
    /// Two of the summaries to merge have a value of the same tag.
    #[error("duplicate tag {tag:?} in the summaries to merge")]
    DuplicateTag {
        /// The tag.
        tag: String,
    },
    /// A stored tensor's dtype is unknown.
    #[error("unknown dtype number {number}")]
    UnknownDType {
        /// The number of the dtype.
        number: i32,
    },
    /// A stored tensor's shape is not fully known, negative, or larger than its values can be filled up to.
    #[error("a stored tensor's shape: {reason}")]
    StoredShape {
        /// The reason.
        reason: String,
    },
    /// A stored tensor has other elements than its shape and dtype need.
    #[error("a stored tensor's elements: {0}")]
    Tensor(#[from] TensorError),
    /// The bytes are not a summary or not a tensor.
    #[error("malformed message: {0}")]
    Decode(#[from] DecodeError),
}

/// An error of writing or reading events.
///
/// It can be cloned, since every caller of a writer hears of the failure of its thread.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A record is damaged or could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A whole record is not an event.
    #[error("malformed event at {place}: {source}")]
    Decode {
        /// The record.
        place: Place,
        /// The reason.
        source: DecodeError,
    },
    /// Bytes given as a message are none.
    #[error("malformed {what}: the bytes are not a serialized {message}: {source}")]
    Malformed {
        /// `summary`, `graph`, `meta graph` or `run metadata`.
        what: &'static str,
        /// The protocol message that they should be, such as `GraphDef`.
        message: &'static str,
        /// The reason.
        source: DecodeError,
    },
    /// A directory or file could not be made, listed or opened.
    #[error("could not {action} {}: {source}", escaped(path.display()))]
    File {
        /// The bytes' kind.
        path: PathBuf,
        /// `create directory`, `list directory` or `create file`.
        action: &'static str,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// The folder has no event files, but folders below it have: it holds several runs.
    #[error("no event files in {}, but in {}: give one of these runs", escaped(path.display()), listed(runs))]
    OnlyRuns {
        /// The folder.
        path: PathBuf,
        /// The folders below it, in the order of their names.
        runs: Vec<PathBuf>,
    },
    /// The thread that writes could not be started.
    #[error("could not start the thread of an event writer: {0}")]
    Thread(#[source] Arc<io::Error>),
    /// The thread that writes panicked.
    #[error("the thread of an event writer panicked")]
    Panicked,
}

fn listed(runs: &[PathBuf]) -> String {
    const SHOWN: usize = 5;
    let mut shown: Vec<String> =
        runs.iter().take(SHOWN).map(|run| escaped(run.display()).to_string()).collect();
    if runs.len() > SHOWN {
        shown.push(format!("{} more", runs.len() - SHOWN));
    }
    shown.join(", ")
}

impl EventError {
    pub(crate) fn file(path: &std::path::Path, action: &'static str, source: io::Error) -> EventError {
        EventError::File { path: path.to_path_buf(), action, source: Arc::new(source) }
    }
}
