//! Summaries and event files that TensorBoard reads.
//!
//! A [`Summary`] holds tagged [`Value`]s of one step: numbers, histograms, images, audio clips, texts,
//! tensors. An [`EventWriter`] writes them, with graphs and the beginnings and ends of sessions, into a
//! file of a run's directory, from its own thread. [`read_events`] and [`EventAccumulator`] read
//! such directories, [`record`] the framing that TFRecord files of any content share.
//!
//! ```
//! use summary::{EventAccumulator, EventWriter, Histogram, SessionLog, Summary, Value};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let directory = tempfile::tempdir()?;
//!
//!     // A training loop: cheap calls, the writing happens elsewhere.
//!     let writer = EventWriter::open(&directory)?;
//!     writer.add_session_log(SessionLog::start(), 0)?;
//!     let mut weights = vec![1.0, -0.5, 0.25];
//!     for step in 0..50 {
//!         weights.iter_mut().for_each(|weight| *weight *= 0.9);
//!         let loss = weights.iter().map(|weight| weight * weight).sum::<f64>();
//!         let summary = Summary::scalar("train/loss", loss as f32)
//!             .with(Value::histogram("weights", Histogram::of(weights.iter().copied())?));
//!         writer.add_summary(summary, step)?;
//!     }
//!     writer.close()?;
//!
//!     // The tags and points that TensorBoard would show.
//!     let run = EventAccumulator::open(&directory)?;
//!     let tags: Vec<_> = run.tags().map(|tag| (tag.tag, tag.count)).collect();
//!     assert_eq!(tags, [("train/loss", 50), ("weights", 50)]);
//!     assert!(run.scalars("train/loss")[49].value < 1e-4);
//!     Ok(())
//! }
//! ```
//!
//! # Behavior
//!
//! Values are written in TensorFlow 1's style, byte for byte what its summary ops make, histogram
//! buckets and 16-bit audio included; images pixel for pixel. Files are those of its `FileWriter`,
//! with differences on purpose:
//!
//! - two writers never share a file: a name that is taken gets the process's number and a count, before the suffix;
//! - bytes that are not a graph, meta graph or run metadata are refused; viewers would skip them silently;
//! - an event is on disk within the flush interval even if no further one is added;
//! - closing syncs the file;
//! - a tag of run metadata that was used before is numbered instead of refused;
//! - the cache goes by the directory, not by the text of its path, and drops writers that nothing uses
//!   them.
//!
//! The bytes on disk are described in [`mod@format`].
//!
//! # Features
//!
//! | feature | default | brings |
//! | --- | --- | --- |
//! | `session` | no | errors of this crate as errors of `session-core`, through `?` |
//!
//! # Limits
//!
//! It is independent of graphs and sessions (except for the feature `session`): graphs, meta graphs and run metadata are serialized bytes. It
//! does not read compressed record files. It keeps no samples: everything is read or written. A file
//! that is deleted under a writer stays deleted.

mod accumulator;
mod audio;
mod error;
mod event;
mod histogram;
mod hparams;
mod image;
mod kind;
mod numbers;
mod proto;
mod reader;
mod restart;
#[cfg(feature = "session")]
mod session;
mod stored_tensor;
mod summary;
mod tag;
mod value;
mod writer;

pub mod example;
pub mod record;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

pub use accumulator::{EventAccumulator, ScalarPoint, SessionEvent, TagInfo};
pub use audio::Audio;
pub use error::{DecodeError, EventError, SummaryError};
pub use event::{Event, EventData, FILE_VERSION, SessionLog, SessionStatus};
pub use histogram::Histogram;
pub use hparams::HParam;
pub use image::Image;
pub use kind::TagKind;
pub use numbers::{Number, NumberEvent};
pub use reader::{EventReader, EventRef, RunEvents, event_files, read_events, run_files};
pub use restart::{Restarts, VoidPoints};
pub use stored_tensor::StoredTensor;
pub use summary::Summary;
pub use tag::clean_tag;
pub use value::{PluginData, SummaryMetadata, Value, ValueData};
pub use writer::{Clock, EventWriter, EventWriterBuilder, EventWriterCache, SystemClock};

/// The program of the front page compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
