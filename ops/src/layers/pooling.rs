//! Pooling over windows, and over whole sequences, images, and volumes.
//!
//! A window of `pool_size` moves by `strides`. With [`Padding::Valid`] it stays inside the input; with [`Padding::Same`] the result has
//! `ceil(size / stride)` elements, and elements outside of the input count neither for the maximum nor for the mean.

use crate::array::{expand_dims, squeeze};
use crate::composite::Composite;
use crate::math::{reduce_max, reduce_mean};
use crate::nn::{self, DataFormat, Padding};
use session_core::{AsOutput, Error, Output};

/// Pools sequences as images of one row.
#[track_caller]
fn pooled1d(name: &str, inputs: &Output, padding: Padding, pool: impl FnOnce(&Output) -> Output) -> Output {
    let scope = Composite::new(&inputs.graph(), name);
    if let Padding::Explicit(_) = padding {
        let text =
            format!("pooling of '{}' over sequences takes no explicit padding: pad the input", inputs.name());
        scope.graph().add_error(Error::value(text));
    }
    let images = expand_dims(scope.enter(inputs), 2);
    scope.leave(squeeze(pool(&images), 2))
}

/// Returns the largest element of each window of sequences `[batch, steps, channels]`.
///
/// ```
/// use ops::{layers, nn::Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::zeros(&graph, DType::Float32, [2, 8, 3]);
/// assert_eq!(layers::max_pooling1d(&x, 2, 2, Padding::Valid).shape().to_string(), "[2,4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn max_pooling1d(inputs: impl AsOutput, pool_size: usize, strides: usize, padding: Padding) -> Output {
    let pool = |images: &Output| nn::max_pool(images, [pool_size, 1], [strides, 1], padding);
    pooled1d("max_pooling1d", inputs.as_output(), padding, pool)
}

/// Returns the mean of each window of sequences `[batch, steps, channels]`.
///
/// ```
/// use ops::{layers::average_pooling1d, nn::Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph, DType::Float32, [None, Some(10), Some(4)]);
/// assert_eq!(average_pooling1d(&x, 2, 2, Padding::Valid).shape().to_string(), "[?,5,4]");
/// ```
#[must_use]
#[track_caller]
pub fn average_pooling1d(
    inputs: impl AsOutput,
    pool_size: usize,
    strides: usize,
    padding: Padding,
) -> Output {
    let pool = |images: &Output| nn::avg_pool(images, [pool_size, 1], [strides, 1], padding);
    pooled1d("average_pooling1d", inputs.as_output(), padding, pool)
}

/// Returns the largest element of each window of images.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::{layers::max_pooling2d, nn::Padding};
/// let images = ops::array::zeros(&graph, DType::Float32, [1, 28, 28, 32]);
/// assert_eq!(max_pooling2d(&images, [2, 2], [2, 2], Padding::Valid).shape().to_string(), "[1,14,14,32]");
/// ```
#[must_use]
#[track_caller]
pub fn max_pooling2d(
    inputs: impl AsOutput,
    pool_size: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
) -> Output {
    let scope = Composite::new(&inputs.as_output().graph(), "max_pooling2d");
    scope.leave(nn::max_pool(scope.enter(inputs), pool_size, strides, padding))
}

/// Returns the mean of each window of images.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::{layers::average_pooling2d, nn::Padding};
/// let images = ops::array::zeros(&graph, DType::Float32, [1, 28, 28, 32]);
/// assert_eq!(average_pooling2d(&images, [7, 7], [7, 7], Padding::Valid).shape().to_string(), "[1,4,4,32]");
/// ```
#[must_use]
#[track_caller]
pub fn average_pooling2d(
    inputs: impl AsOutput,
    pool_size: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
) -> Output {
    let scope = Composite::new(&inputs.as_output().graph(), "average_pooling2d");
    scope.leave(nn::avg_pool(scope.enter(inputs), pool_size, strides, padding))
}

/// Returns the largest element of each window of volumes `[batch, planes, rows, columns, channels]`.
///
/// ```
/// use ops::{layers::max_pooling3d, nn::Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph, DType::Float32, [None, Some(8), Some(8), Some(8), Some(2)]);
/// assert_eq!(max_pooling3d(&x, [2, 2, 2], [2, 2, 2], Padding::Valid).shape().to_string(), "[?,4,4,4,2]");
/// ```
#[must_use]
#[track_caller]
pub fn max_pooling3d(
    inputs: impl AsOutput,
    pool_size: [usize; 3],
    strides: [usize; 3],
    padding: Padding,
) -> Output {
    let scope = Composite::new(&inputs.as_output().graph(), "max_pooling3d");
    scope.leave(nn::max_pool3d(scope.enter(inputs), pool_size, strides, padding))
}

/// Returns the mean of each window of volumes `[batch, planes, rows, columns, channels]`.
///
/// ```
/// use ops::{layers::average_pooling3d, nn::Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph, DType::Float32, [None, Some(9), Some(9), Some(9), Some(2)]);
/// assert_eq!(average_pooling3d(&x, [2, 2, 2], [2, 2, 2], Padding::Same).shape().to_string(), "[?,5,5,5,2]");
/// ```
#[must_use]
#[track_caller]
pub fn average_pooling3d(
    inputs: impl AsOutput,
    pool_size: [usize; 3],
    strides: [usize; 3],
    padding: Padding,
) -> Output {
    let scope = Composite::new(&inputs.as_output().graph(), "average_pooling3d");
    scope.leave(nn::avg_pool3d(scope.enter(inputs), pool_size, strides, padding))
}

/// Returns the axes of space of a batch, whose rank must be known and at least 3.
fn spatial_axes(scope: &Composite, inputs: &Output, format: DataFormat) -> Vec<i64> {
    let rank = inputs.shape().rank().unwrap_or(0) as i64;
    if rank < 3 {
        let (name, shape) = (inputs.name(), inputs.shape());
        let text =
            format!("global pooling of '{name}' of shape {shape}: it has no axes of space that are known");
        scope.graph().add_error(Error::value(text));
        return Vec::new();
    }
    let first = format.first_spatial();
    (first..first + rank - 2).collect()
}

/// Returns the mean over all of each sequence, image or volume: `[batch, channels]`.
///
/// ```
/// use ops::{layers, nn::DataFormat};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::zeros(&graph, DType::Float32, [2, 8, 8, 3]);
/// assert_eq!(layers::global_average_pooling(&x, DataFormat::Nhwc).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn global_average_pooling(inputs: impl AsOutput, format: DataFormat) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::new(&inputs.graph(), "global_average_pooling");
    let axes = spatial_axes(&scope, inputs, format);
    scope.leave(reduce_mean(scope.enter(inputs), axes))
}

/// Returns the largest element of each channel of a sequence, image, or volume: `[batch, channels]`.
///
/// ```
/// use ops::{layers::global_max_pooling, nn::DataFormat};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let images = ops::array::placeholder(&graph, DType::Float32, [None, Some(7), Some(7), Some(64)]);
/// assert_eq!(global_max_pooling(&images, DataFormat::Nhwc).shape().to_string(), "[?,64]");
/// ```
#[must_use]
#[track_caller]
pub fn global_max_pooling(inputs: impl AsOutput, format: DataFormat) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::new(&inputs.graph(), "global_max_pooling");
    let axes = spatial_axes(&scope, inputs, format);
    scope.leave(reduce_max(scope.enter(inputs), axes))
}
