//! TensorFlow checkpoints: read, write, save, restore, retain.
//!
//! For any program that has tensors and wants to keep them: a custom training loop, a tool that looks
//! into a model, a session. The files are TensorFlow's V2 format, which TensorFlow reads and writes too;
//! [`safetensors`] files can be read and written as well.
//!
//! ```
//! use checkpoint::{RestoreOptions, SaveOptions, Saver, SaverOptions, Tensor, sidecar};
//! use std::collections::BTreeMap;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let directory = folder.path();
//! let mut model = BTreeMap::from([("weights".to_string(), Tensor::from([0.0f32; 4]))]);
//! let saver = Saver::new(SaverOptions::new().max_to_keep(3));
//!
//! // Continue where an earlier run was stopped, if there was one.
//! let found = saver.restore_latest(&mut model, directory, &RestoreOptions::new())?;
//! let state = found.and_then(|report| report.session_state);
//! let first: u64 = state.map(|state| sidecar::decode(&state)).transpose()?.unwrap_or(0);
//!
//! for step in first..first + 10 {
//!     model.insert("weights".to_string(), Tensor::from([step as f32; 4])); // "training"
//!     if step % 5 == 4 {
//!         let options = SaveOptions::new().session_state(sidecar::encode(&(step + 1))?);
//!         saver.save_in_background(&model, directory.join("model.ckpt"), Some(step as i64), options)?;
//!     }
//! }
//! saver.close()?; // waits for the last save, and reports its error
//! # assert!(checkpoint::latest_checkpoint(directory)?.unwrap().ends_with("model.ckpt-9"));
//! # Ok(())
//! # }
//! ```
//!
//! - [`Saver`] saves and restores whatever implements [`SaveSource`] and [`RestoreTarget`], atomically and
//!   durably, in the background if wanted, and keeps the number of checkpoints that its options set.
//! - [`CheckpointReader`] lists and reads any checkpoint lazily; [`bundle`] has reader and writer of the V2
//!   format alone, with partitioned tensors and shards.
//! - [`latest_checkpoint`], [`checkpoints_iterator`] and their like find checkpoints and wait for them.
//! - [`sidecar`] stores other state than tensors: random state, positions in the input.
//! - [`Tensor`], [`DType`], [`Shape`], [`Bytes`] and [`TensorError`] are those of the crate `tensor`. They are exported here, so that a
//!   program which only reads and writes checkpoints depends on one crate:
//!
//! ```
//! use checkpoint::{CheckpointReader, DType, Tensor, bundle::BundleWriter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let prefix = folder.path().join("model.ckpt");
//! let mut writer = BundleWriter::create(&prefix)?;
//! writer.add("w", &Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?)?;
//! writer.finish()?;
//!
//! let w: Tensor = CheckpointReader::open(&prefix)?.read("w")?;
//! assert_eq!((w.dtype(), w.shape().dims()), (DType::Float32, &[2, 2][..]));
//! assert_eq!(w.as_slice::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! It is independent of graphs (except in the feature `session`) and computes nothing. Tensors of
//! dtype resource and variant are not read. A [`Saver`] restores from files of every format, and writes V2 files only.
//!
//! # Where it differs from TensorFlow on purpose
//!
//! | here | TensorFlow |
//! |---|---|
//! | restoring assigns all or nothing, and checks every shape | not atomic, checks some shapes |
//! | a damaged newest checkpoint is rejected, reported, and the next older one used | an error, or wrong data |
//! | saving a prefix again replaces it at once | data are overwritten before the index |
//! | files and folder are synced before each step of a save | no sync |
//! | a new saver finds the older files of its folder | limits are forgotten at a restart |
//! | as many old checkpoints as necessary are deleted | one per save |
//! | without a limit the state file lists all | only the newest |
//! | the state file names checkpoints relative to itself | depends on how the folder was given |
//! | one process at a time may save into a folder, and one training ([`FolderClaim`]) | last writer wins |
//! | only what savers wrote into a folder is deleted, and only there | whatever is listed, wherever it is |
//! | a moved folder's listed checkpoints are found by their names | an error |
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `mmap` | yes | reading by memory map, huge pages, direct writing on Linux |
//! | `sidecar` | yes | session states of any serde type |
//! | `safetensors` | yes | safetensors files |
//! | `snappy` | | compressed index blocks, which other programs may write |
//! | `session` | | saving and restoring the variables of a session |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod assignment;
pub mod bundle;
mod clock;
mod commit;
mod error;
#[cfg(feature = "session")]
mod file_policy;
mod folder;
mod foreign;
#[cfg(all(feature = "session", feature = "sidecar"))]
mod graph_saver;
mod info;
mod journal;
mod listing;
mod object_graph;
mod parallel;
mod prefix;
mod reader;
#[cfg(feature = "safetensors")]
pub mod safetensors;
#[cfg(feature = "session")]
mod saved_object;
#[cfg(all(feature = "session", feature = "sidecar"))]
mod saved_states;
mod saver;
#[cfg(feature = "session")]
mod session;
pub mod sidecar;
mod state;
pub mod storage;
pub mod text_format;
pub mod v1;
mod watch;

pub use assignment::{Assignment, init_from_checkpoint};
pub use clock::{Clock, SystemClock};
pub use error::{BoxError, Error, Result};
pub use folder::{FolderClaim, is_same_folder};
#[cfg(all(feature = "session", feature = "sidecar"))]
pub use graph_saver::{GraphSaver, Restored, SAVERS, SessionState};
pub use info::{Problem, TensorInfo, UnknownTensor};
pub use listing::checkpoints_in;
pub use prefix::{data_path, index_path, meta_graph_path, same_checkpoint, sidecar_path};
pub use reader::{CheckpointReader, list_variables, load_variable};
#[cfg(feature = "session")]
pub use saved_object::{SAVED_OBJECTS, SavedObject};
pub use saver::{
    Better, PlannedVariable, RestoreOptions, RestorePlan, RestoreReport, RestoreTarget, SaveOptions,
    SaveSource, Saver, SaverOptions, Slice, Snapshot, VariableSpec, read_all,
};
#[cfg(feature = "session")]
pub use session::SessionVariables;
pub use sidecar::{read_session_state, read_session_state_with};
pub use state::{
    CheckpointState, Note, STATE_FILE, checkpoint_exists, checkpoint_exists_with, checkpoint_mtimes,
    get_checkpoint_state, get_checkpoint_state_with, latest_checkpoint, latest_checkpoint_with,
    remove_checkpoint, remove_checkpoint_with, update_checkpoint_state,
};
pub use tensor::{Bytes, DType, Shape, Tensor, TensorError};
pub use watch::{
    CheckpointsIterator, WatchOptions, checkpoints_iterator, require_new_checkpoint, wait_for_new_checkpoint,
};
pub use wire::Code;

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
