//! The op library: definitions, shapes, constructors, gradients, optimizers.
//!
//! The functions of this crate build operations of TensorFlow's types in a [`Graph`](session_core::Graph). An engine runs them.
//!
//! ```
//! use ops::array::placeholder;
//! use ops::global_step::get_or_create_global_step;
//! use ops::nn::{bias_add, relu, sparse_softmax_cross_entropy_with_logits};
//! use ops::optimizers::{GradientDescentOptimizer, Optimizer};
//! use ops::variables::variable;
//! use ops::{OutputExt, array, initializers, random};
//! use session_core::{DType, Graph};
//!
//! fn main() -> session_core::Result<()> {
//!     let graph = Graph::new();
//!     let images = placeholder(&graph.named("images"), DType::Float32, [None, Some(64)]);
//!     let labels = placeholder(&graph.named("labels"), DType::Int32, [None]);
//!
//!     // A layer in a scope of its own: operations go into the scope of their first argument.
//!     let layer = graph.scope("hidden");
//!     let start = random::truncated_normal(&layer, [64, 32], 0.0, 0.1, DType::Float32, Some(1));
//!     let weights = variable(&layer.named("weights"), start);
//!     let bias = variable(&layer.named("bias"), array::zeros(&layer, DType::Float32, [32]));
//!     let hidden = relu(bias_add(images.within(&layer).matmul(&weights), &bias));
//!     assert_eq!(hidden.name(), "hidden/Relu:0");
//!     assert_eq!(hidden.shape().to_string(), "[?,32]");
//!
//!     // A loss, its gradients and a training step.
//!     let losses = sparse_softmax_cross_entropy_with_logits(&labels, &hidden);
//!     let loss = losses.named("loss").reduce_mean(..);
//!     let step = get_or_create_global_step(&graph);
//!     let train = GradientDescentOptimizer::new(0.1).minimize(&loss, Some(&step));
//!
//!     // Build errors are reported here, with their source location.
//!     graph.finalize()?;
//!     assert!(train.error().is_none());
//!     Ok(())
//! }
//! ```
//!
//! # Conventions
//!
//! - Constructors have TensorFlow's Python names and take outputs or variables. Those without an input take a graph handle. Shapes,
//!   axes, and sizes are [`Ints`] and [`Axes`]: numbers, or outputs that compute them.
//! - Operations go into the scope, and on the device, of the first argument; `x.within(&graph.scope("layer"))` selects another scope.
//!   Operations are named after their type; `x.named("logits")` names the next operation that is built on `x`.
//! - Constructors do not return `Result`. The graph records build errors with the caller's file and line.
//!   [`Graph::finalize`](session_core::Graph::finalize) and every run return them.
//! - Shapes are inferred as far as TensorFlow infers them.
//!
//! # Where to look
//!
//! | Module | Contents |
//! | --- | --- |
//! | [`mod@array`] | constants, placeholders, shapes, joins, slices, gathers |
//! | [`math`] | arithmetic, reductions, matrix products, comparisons, segments |
//! | [`nn`] | convolutions, pooling, activations, normalization, cross entropies, embeddings, dropout |
//! | [`image`] | image files, resizing, cropping, boxes |
//! | [`io`] | input: orders of examples, files, readers |
//! | [`parsing`], [`strings`] | examples, CSV, raw bytes; text |
//! | [`signal`] | Fourier transforms, audio |
//! | [`quantization`] | numbers of few bits |
//! | [`sets`] | differences, intersections, unions |
//! | [`control_flow`] | conditionals, loops, groups, dependencies, assertions |
//! | [`functions`] | functions of the graph from closures |
//! | [`data_flow`] | queues, barriers, accumulators, staging areas |
//! | [`script`] | operations that call closures of the program |
//! | [`variables`], [`initializers`], [`random`] | state and its initial values |
//! | [`gradients`](fn@gradients) | symbolic gradients |
//! | [`rnn`] | recurrent cells and networks, attention, decoders |
//! | [`losses`], [`regularizers`], [`optimizers`], [`learning_rate`], [`global_step`] | training |
//! | [`layers`], [`metrics`], [`summary`] | whole layers; evaluation; curves |
//! | [`library`](fn@library) | all definitions, for importers and engines |
//!
//! # Features
//!
//! | Feature | Default | Contents |
//! | --- | --- | --- |
//! | `conformance` | no | tables of samples that engines run in their tests |
//! | `ndarray` | no | host functions over `ndarray` views |
//!
//! # Limits
//!
//! This crate computes nothing: kernels belong to engines.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arguments;
mod composite;
mod composite_values;
mod library;
mod output_ext;
mod scalar;
mod shapes;
mod static_value;

pub mod array;
mod gradients;
pub mod math;
pub mod nn;

pub mod control_flow;
pub(crate) mod data;
pub mod data_flow;
pub mod functions;
pub mod image;
pub mod io;
pub mod parsing;
pub mod quantization;
mod ragged;
pub mod random;
pub mod script;
pub mod sets;
pub mod signal;
pub mod sparse;
pub mod state;
pub mod strings;
pub mod summary;
pub mod tables;
pub mod training;

pub mod global_step;
pub mod initializers;
pub mod layers;
pub mod learning_rate;
pub mod losses;
pub mod metrics;
pub mod optimizers;
pub mod regularizers;
pub mod rnn;
pub mod variables;

#[cfg(feature = "conformance")]
pub mod samples;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use arguments::{Axes, Ints, ReductionAxes, keep_dims};
pub use composite_values::{IndexedSlicesValue, SparseTensorValue};
pub use gradients::{
    Differentiable, GradientOptions, IndexedSlices, UnconnectedGradients, gradients, gradients_with,
};
pub use library::{EXTENSIONS, LIBRARY, library};
pub use output_ext::OutputExt;
pub use scalar::Scalar;

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
