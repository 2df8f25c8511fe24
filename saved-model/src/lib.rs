//! TensorFlow's SavedModels and frozen graphs, loaded and run without TensorFlow.
//!
//! ```
//! use saved_model::SavedModel;
//!
//! # let folder = "tests/fixtures/dense/model";
//! let model = SavedModel::load(folder, ["serve"])?;
//! let signature = model.signature("serving_default")?;
//! let answer = signature.run([("x", [[5.1f32, 3.5, 1.4, 0.2]])])?;
//! println!("{}", answer.tensor("probabilities")?);
//! # assert_eq!(answer.tensor("probabilities")?.shape().to_string(), "[1,3]");
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! # Where to look
//!
//! | to | use |
//! | --- | --- |
//! | call a model | [`SavedModel`], [`Signature`] |
//! | continue training a model | [`SavedModel::scaffold`] |
//! | inspect a model without loading it | [`SavedModelFolder`] |
//! | run a graph that contains its values (`.pb`) | [`FrozenGraph`] |
//! | load the variables of an inference graph from a checkpoint | [`load_variables`] |
//! | export the checkpoints of a training | [`CheckpointExport`] |
//! | write a model | [`SavedModelBuilder`], [`simple_save`] |
//! | freeze a graph, or reduce it for inference | [`graph_util`] |
//!
//! # The folder of a model
//!
//! ```text
//! export/1541117730/
//!   saved_model.pb                        the graphs, signatures, and names of assets (or saved_model.pbtxt)
//!   variables/variables.index             the checkpoint with the values of the variables
//!   variables/variables.data-00000-of-00001
//!   assets/vocab.txt                      files that the graphs read, such as vocabularies
//!   fingerprint.pb                        TensorFlow 2's checksum, which is not read
//! ```
//!
//! A file holds one or several *meta graphs* over the same variables. Each has a set of *tags*, such as `serve`, by which it is loaded, and
//! *signatures*, which name the tensors to feed and to fetch.
//!
//! # Access to files
//!
//! A model can read the files in its own folder and nothing else. Asset names that lead out of the folder are rejected before anything is
//! opened, and operations such as `ReadFile` fail with `PermissionDenied` elsewhere. [`LoadOptions::allow_files`] allows further folders.
//!
//! # Errors
//!
//! | code | meaning |
//! | --- | --- |
//! | `NotFound` | the folder, its `saved_model.pb`, or a file of its checkpoint does not exist |
//! | `DataLoss` | a file is damaged or is not of this format |
//! | `InvalidArgument` | tags, signatures, inputs, or outputs that the model does not have; the message lists or suggests existing names |
//! | `Unimplemented` | the engine lacks an op of the graph; the message lists all of them, with their nodes |
//! | `PermissionDenied` | the model would read a file outside of its folder |
//!
//! Errors of loading name the folder of the model, and errors of a call name its signature.
//!
//! # Limits
//!
//! The crate has no engine of its own: with the feature `embedded` (on by default), the embedded engine is the default. The objects of
//! TensorFlow 2 are not rebuilt; such models are called through their signatures.

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
pub use session_core::{DType, Shape, Tensor};
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
