//! Layers of neural networks: biases, convolutions, pooling, softmax and its losses.
//!
//! Kernels are written for channels last (NHWC), the layout in which a convolution is a product of contiguous
//! rows. Biases take the channels first as well. Convolutions, pooling and batch normalization of such
//! layouts are `Unimplemented`; on CPUs, TensorFlow has the former two only with oneDNN, the latter always.
//!
//! Gradients are registered in the file of the operation that they belong to. Attributes such as strides and
//! paddings are checked when the kernel is made; sizes of windows against those of images when it runs.

mod batch_norm;
mod beams;
mod bias;
mod candidate;
#[cfg(feature = "images")]
mod colors;
mod convolution;
#[cfg(feature = "ctc")]
mod ctc;
#[cfg(feature = "ctc")]
mod ctc_beams;
mod data_format;
mod depthwise;
mod first_releases;
#[cfg(feature = "images")]
mod fractional_pool;
mod groups;
mod images;
mod isotonic;
#[cfg(feature = "images")]
mod morphology;
mod normalization;
mod padded_convolution;
mod pool_places;
mod ranking;
mod softmax;
#[cfg(feature = "volumes")]
mod volumes;
mod window;

use crate::registry::Registry;

pub(crate) use bias::channels_first;
pub(crate) use images::{
    Scaler, bilinear, gradient_dims, image_dims, new_size, new_size_or_none, resized_dims,
};
pub(crate) use window::Window;

/// Registers the op types of all files of this folder. `window` has none.
pub(crate) fn register(registry: &mut Registry) {
    batch_norm::register(registry);
    beams::register(registry);
    bias::register(registry);
    candidate::register(registry);
    convolution::register(registry);
    data_format::register(registry);
    depthwise::register(registry);
    first_releases::register(registry);
    images::register(registry);
    isotonic::register(registry);
    normalization::register(registry);
    padded_convolution::register(registry);
    pool_places::register(registry);
    ranking::register(registry);
    softmax::register(registry);
    #[cfg(feature = "ctc")]
    registry.of_feature("ctc", [ctc::register, ctc_beams::register]);
    #[cfg(feature = "images")]
    registry.of_feature("images", [colors::register, fractional_pool::register, morphology::register]);
    #[cfg(feature = "volumes")]
    registry.of_feature("volumes", [volumes::register]);
}
