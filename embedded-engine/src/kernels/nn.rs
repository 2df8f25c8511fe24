//! Layers of neural networks: biases, convolutions, pooling, softmax and its losses.

mod bias;
mod convolution;
mod softmax;

use crate::kernel::Registry;

pub(crate) use convolution::conv2d_fused;

pub(crate) fn register(registry: &mut Registry) {
    bias::register(registry);
    convolution::register(registry);
    softmax::register(registry);
}
