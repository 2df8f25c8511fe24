//! TensorFlow's SavedModels and frozen graphs, loaded and run without TensorFlow.
//!
//! ```no_run
//! use saved_model::SavedModel;
//!
//! let model = SavedModel::load("export/1541117730", ["serve"])?;
//! let answer = model.signature("serving_default")?.run([("x", vec![1.0f32, 2.0])])?;
//! println!("{}", answer.tensor("y")?);
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! # Where to look
//!
//! | | |
//! | --- | --- |
//! | a model in a session, ready to be asked | [`SavedModel`], [`Signature`] |
//! | a model to go on training from | [`SavedModel::scaffold`] |
//! | what a folder holds, without loading it | [`SavedModelFolder`] |
//! | a graph that holds its own values (`.pb`) | [`FrozenGraph`] |
//! | variables of an inference graph from a checkpoint | [`load_variables`] |
//! | SavedModels of a training's checkpoints | [`CheckpointExport`] |
//! | writing a SavedModel | [`SavedModelBuilder`], [`simple_save`] |
//! | freezing a graph, cutting it down | [`graph_util`] |
//!
//! # Files
//!
//! A model reaches the files in its own folder and nothing else: names of assets that lead out of it are refused before
//! anything is opened, and operations such as `ReadFile` fail with `PermissionDenied` elsewhere.
//! [`LoadOptions::allow_files`] widens that.
//!
//! # What it does not do
//!
//! It brings no engine but, with the feature `embedded` (on by default), the embedded one as the default. TensorFlow 2's
//! objects are not rebuilt: their models are asked through their signatures.

mod assets;
mod builder;
mod checkpoint_export;
mod folder;
mod frozen;
mod model;
mod options;
mod restore;
mod signature;
mod signature_def;
mod training;
mod value;
mod variables;

pub mod graph_util;
pub mod tags;

pub use assets::Asset;
pub use builder::{ASSET_FILEPATHS, MetaGraphOptions, SavedModelBuilder, simple_save};
pub use checkpoint_export::CheckpointExport;
pub use folder::{SavedModelFolder, TaggedGraph};
pub use frozen::{FrozenGraph, find_operation, find_tensor, graph_inputs, graph_outputs, operation_name};
pub use model::SavedModel;
pub use options::LoadOptions;
pub use signature::{Layout, Signature, SignatureTensor, SignatureTensors};
pub use signature_def::{
    CLASSIFY_METHOD_NAME, PREDICT_METHOD_NAME, REGRESS_METHOD_NAME, build_tensor_info,
    classification_signature_def, predict_signature_def, regression_signature_def,
};
pub use value::{SignatureOutputs, SignatureValue};
pub use variables::load_variables;

/// Compiles the program of the README as a test.
#[cfg(all(doctest, feature = "embedded"))]
#[doc = include_str!("../README.md")]
struct Readme;
