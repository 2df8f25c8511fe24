//! Neural networks: convolutions, pooling, activations, normalization, cross entropies, embeddings.
//!
//! Functions take outputs or variables and build one operation of TensorFlow's type, or a few in a scope, in
//! the scope of their first argument. Errors are recorded in the graph; see [`session_core::Output`].

pub(crate) mod activation;
pub(crate) mod batch_norm;
mod batch_norm_gradient;
pub(crate) mod beams;
pub(crate) mod bias;
pub(crate) mod candidate;
pub(crate) mod colors;
pub(crate) mod conv;
pub(crate) mod convolution;
pub(crate) mod cross_entropy;
pub(crate) mod ctc;
pub(crate) mod data_format;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod embedding_sparse;
pub(crate) mod first_releases;
pub(crate) mod fractional_pool;
pub(crate) mod images;
pub(crate) mod isotonic;
pub(crate) mod morphology;
pub(crate) mod normalization;
pub(crate) mod padded_convolution;
pub(crate) mod pool;
pub(crate) mod ranking;
pub(crate) mod sampled;
pub(crate) mod window;

pub use activation::*;
pub use batch_norm::*;
pub use beams::*;
pub use bias::*;
pub use candidate::*;
pub use colors::*;
pub use convolution::*;
pub use cross_entropy::*;
pub use ctc::*;
pub use dropout::*;
pub use embedding::*;
pub use embedding_sparse::*;
pub use fractional_pool::*;
pub use images::*;
pub use isotonic::*;
pub use morphology::*;
pub use normalization::*;
pub use pool::*;
pub use ranking::*;
pub use sampled::*;
pub use window::{DataFormat, Padding};
