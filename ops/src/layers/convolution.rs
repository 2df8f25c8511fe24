//! Convolutional layers over sequences, images and volumes.

use super::{LayerOptions, known_size};
use crate::Ints;
use crate::array::{Index, constant, shape, stack, strided_slice};
use crate::composite::Composite;
use crate::math::{add, mul};
use crate::nn::{self, ConvOptions, Padding};
use session_core::{AsOutput, Error, Output};

/// Returns the number of channels of the input, and that of the kernel: a part of them where there are groups.
fn channels_of<const N: usize>(
    scope: &Composite,
    inputs: &Output,
    convolution: &ConvOptions<N>,
    filters: usize,
) -> (usize, usize) {
    let channels = known_size(scope, inputs, convolution.order().channels_from_end(N + 2));
    let groups = convolution.group_count();
    // Each group has channels and filters of its own.
    if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
        let text = format!(
            "{channels} channels and {filters} filters cannot be divided into {groups} groups of equal size"
        );
        scope.graph().add_error(Error::value(text));
        // The rest is built as if there were one group; the error is reported when the graph is finished.
        return (channels, channels);
    }
    (channels, channels / groups)
}

/// Convolves sequences `[batch, steps, channels]` with a kernel of `kernel_size` steps for each of `filters` channels out, then
/// adds a bias and applies the activation.
///
/// ```
/// use ops::layers::{LayerOptions, conv1d};
/// use ops::nn::{ConvOptions, Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None, Some(8), Some(3)]);
/// let causal = ConvOptions::default().padding(Padding::Valid);
/// let y = conv1d(&x, 16, 3, causal, &LayerOptions::default());
/// assert_eq!(y.shape().to_string(), "[?,6,16]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn conv1d(
    inputs: impl AsOutput,
    filters: usize,
    kernel_size: usize,
    convolution: ConvOptions<1>,
    options: &LayerOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "conv1d");
    let (_, channels) = channels_of(&scope, inputs, &convolution, filters);
    let kernel = options.kernel(&scope, &[kernel_size, channels, filters], inputs);
    let result = nn::conv1d(scope.enter(inputs), &kernel, convolution);
    // The addition of the bias accepts the axes of sequences in either order, as it does those of images.
    options.finish(&scope, result, filters, convolution.order())
}

/// Convolves images `[batch, rows, columns, channels]` with a kernel of `kernel_size` rows and columns for each of `filters`
/// channels out, then adds a bias and applies the activation.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::layers::{LayerOptions, conv2d};
/// use ops::nn::{ConvOptions, relu};
/// let images = ops::array::placeholder(&graph, DType::Float32, [None, Some(28), Some(28), Some(1)]);
/// let options = LayerOptions::default().activation(|x| relu(x));
/// let y = conv2d(&images, 32, [3, 3], ConvOptions::default().strides([2, 2]), &options); // conv2d/kernel, conv2d/bias
/// assert_eq!(y.shape().to_string(), "[?,14,14,32]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn conv2d(
    inputs: impl AsOutput,
    filters: usize,
    kernel_size: [usize; 2],
    convolution: ConvOptions,
    options: &LayerOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "conv2d");
    let (_, channels) = channels_of(&scope, inputs, &convolution, filters);
    let [rows, columns] = kernel_size;
    let kernel = options.kernel(&scope, &[rows, columns, channels, filters], inputs);
    let result = nn::conv2d_with(scope.enter(inputs), &kernel, convolution);
    options.finish(&scope, result, filters, convolution.order())
}

/// Convolves volumes `[batch, planes, rows, columns, channels]` with a kernel of `kernel_size` planes, rows, and columns. The result
/// has `filters` channels. Adds a bias and applies the activation.
///
/// ```
/// use ops::layers::{LayerOptions, conv3d};
/// use ops::nn::{ConvOptions, Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let volumes = ops::array::placeholder(&graph, DType::Float32, [None, Some(8), Some(16), Some(16), Some(1)]);
/// let convolution = ConvOptions::default().padding(Padding::Same);
/// let y = conv3d(&volumes, 4, [3, 3, 3], convolution, &LayerOptions::default());
/// assert_eq!(y.shape().to_string(), "[?,8,16,16,4]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn conv3d(
    inputs: impl AsOutput,
    filters: usize,
    kernel_size: [usize; 3],
    convolution: ConvOptions<3>,
    options: &LayerOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "conv3d");
    let (_, channels) = channels_of(&scope, inputs, &convolution, filters);
    let [planes, rows, columns] = kernel_size;
    let kernel = options.kernel(&scope, &[planes, rows, columns, channels, filters], inputs);
    let result = nn::conv3d_with(scope.enter(inputs), &kernel, convolution);
    options.finish(&scope, result, filters, convolution.order())
}

/// Returns the shape of a transposed convolution's result, computed as far as it is not known.
fn transposed_shape<const N: usize>(
    scope: &Composite,
    inputs: &Output,
    kernel_size: [usize; N],
    convolution: &ConvOptions<N>,
    filters: usize,
) -> Ints {
    let graph = scope.graph();
    // Sizes are 32-bit numbers, as `shape` gives them.
    let number = |value: usize| constant(graph, i32::try_from(value).unwrap_or(i32::MAX));
    let first = usize::try_from(convolution.order().first_spatial()).unwrap_or(1);
    let known = |axis: usize| inputs.shape().dim(axis);
    let size = |i: usize| known(first + i).map(|size| convolution.transposed_size(i, size, kernel_size[i]));
    let sizes: Option<Vec<usize>> = (0..N).map(size).collect();
    // A shape known in full is one constant; otherwise only its unknown sizes are computed in each run.
    if let (Some(batch), Some(sizes)) = (known(0), &sizes) {
        let mut all = vec![batch];
        all.extend(sizes);
        // Channels come after the spatial axes or before them, depending on the order of the axes.
        all.insert(if first == 1 { N + 1 } else { 1 }, filters);
        return all.into();
    }
    let computed = shape(inputs);
    let at = |axis: usize| strided_slice(&computed, &[Index::At(axis as i64)]);
    let mut all = vec![known(0).map_or_else(|| at(0), number)];
    for (i, &window) in kernel_size.iter().enumerate() {
        // Both formulas are linear: a number of steps, and what the last window sticks out.
        let (none, one) =
            (convolution.transposed_size(i, 0, window), convolution.transposed_size(i, 1, window));
        all.push(match size(i) {
            Some(size) => number(size),
            None => add(mul(at(first + i), number(one - none)), number(none)),
        });
    }
    all.insert(if first == 1 { N + 1 } else { 1 }, number(filters));
    stack(&all, 0).into()
}

/// Turns a convolution around, which makes images larger: a kernel of `kernel_size` rows and columns for each of `filters` channels
/// out, a bias, the activation. With [`Padding::Same`] the result is `strides` times as large.
///
/// ```
/// use ops::layers::{LayerOptions, conv2d_transpose};
/// use ops::nn::ConvOptions;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None, Some(8), Some(8), Some(16)]);
/// let y = conv2d_transpose(&x, 3, [5, 5], ConvOptions::default().strides([2, 2]), &LayerOptions::default());
/// assert_eq!(y.shape().to_string(), "[?,16,16,3]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn conv2d_transpose(
    inputs: impl AsOutput,
    filters: usize,
    kernel_size: [usize; 2],
    convolution: ConvOptions,
    options: &LayerOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "conv2d_transpose");
    let channels = transposed_channels(&scope, inputs, &convolution);
    let [rows, columns] = kernel_size;
    // Filters before channels: the kernel is that of the convolution whose gradient this is.
    let kernel = options.kernel(&scope, &[rows, columns, filters, channels], inputs);
    let inputs = scope.enter(inputs);
    let sizes = transposed_shape(&scope, &inputs, kernel_size, &convolution, filters);
    let result = nn::conv2d_transpose(&inputs, &kernel, sizes, convolution);
    options.finish(&scope, result, filters, convolution.order())
}

/// Works as [`conv2d_transpose`] for volumes.
#[must_use]
#[track_caller]
pub fn conv3d_transpose(
    inputs: impl AsOutput,
    filters: usize,
    kernel_size: [usize; 3],
    convolution: ConvOptions<3>,
    options: &LayerOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "conv3d_transpose");
    let channels = transposed_channels(&scope, inputs, &convolution);
    let [planes, rows, columns] = kernel_size;
    let kernel = options.kernel(&scope, &[planes, rows, columns, filters, channels], inputs);
    let inputs = scope.enter(inputs);
    let sizes = transposed_shape(&scope, &inputs, kernel_size, &convolution, filters);
    let result = nn::conv3d_transpose(&inputs, &kernel, sizes, convolution);
    options.finish(&scope, result, filters, convolution.order())
}

fn transposed_channels<const N: usize>(
    scope: &Composite,
    inputs: &Output,
    convolution: &ConvOptions<N>,
) -> usize {
    if convolution.group_count() != 1 {
        let text = "a transposed convolution has no groups".to_owned();
        scope.graph().add_error(Error::value(text));
    }
    if convolution.is_explicit() {
        let text =
            "a transposed convolution takes Padding::Same or Padding::Valid: its size follows from them";
        scope.graph().add_error(Error::value(text));
    }
    known_size(scope, inputs, convolution.order().channels_from_end(N + 2))
}

/// Convolves each channel of images with `depth_multiplier` kernels of its own, the variable `depthwise_kernel`. The result has
/// `channels.saturating_mul(depth_multiplier)` channels. Adds a bias and applies the activation.
///
/// ```
/// use ops::layers::{LayerOptions, depthwise_conv2d};
/// use ops::nn::{ConvOptions, Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let images = ops::array::placeholder(&graph, DType::Float32, [None, Some(28), Some(28), Some(3)]);
/// let convolution = ConvOptions::default().padding(Padding::Same);
/// let y = depthwise_conv2d(&images, [3, 3], 2, convolution, &LayerOptions::default());
/// assert_eq!(y.shape().to_string(), "[?,28,28,6]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn depthwise_conv2d(
    inputs: impl AsOutput,
    kernel_size: [usize; 2],
    depth_multiplier: usize,
    convolution: ConvOptions,
    options: &LayerOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "depthwise_conv2d");
    let (channels, result) = depthwise(&scope, inputs, kernel_size, depth_multiplier, convolution, options);
    options.finish(&scope, result, channels.saturating_mul(depth_multiplier), convolution.order())
}

/// Convolves each channel of images with `depth_multiplier` kernels of its own, mixes the channels at each place to `filters` others,
/// then adds a bias and applies the activation. The variables are `depthwise_kernel`, `pointwise_kernel` and `bias`; the initializer
/// and the regularizer of the kernel are those of both.
///
/// ```
/// use ops::layers::{LayerOptions, separable_conv2d};
/// use ops::nn::ConvOptions;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None, Some(8), Some(8), Some(16)]);
/// let y = separable_conv2d(&x, 32, [3, 3], 1, ConvOptions::default(), &LayerOptions::default());
/// assert_eq!(y.shape().to_string(), "[?,8,8,32]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn separable_conv2d(
    inputs: impl AsOutput,
    filters: usize,
    kernel_size: [usize; 2],
    depth_multiplier: usize,
    convolution: ConvOptions,
    options: &LayerOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "separable_conv2d");
    let (channels, depthwise) =
        depthwise(&scope, inputs, kernel_size, depth_multiplier, convolution, options);
    let shape = [1, 1, channels.saturating_mul(depth_multiplier), filters];
    let pointwise = options.kernel_named(&scope, "pointwise_kernel", &shape, inputs);
    // A window of one element needs no padding.
    let mix = ConvOptions::default().padding(Padding::Valid).data_format(convolution.order());
    let result = nn::conv2d_with(&depthwise, &pointwise, mix);
    options.finish(&scope, result, filters, convolution.order())
}

/// Returns the number of channels of the input, and the convolution of each.
fn depthwise(
    scope: &Composite,
    inputs: &Output,
    [rows, columns]: [usize; 2],
    depth_multiplier: usize,
    convolution: ConvOptions,
    options: &LayerOptions,
) -> (usize, Output) {
    let channels = known_size(scope, inputs, convolution.order().channels_from_end(4));
    // Each channel has `depth_multiplier` filters and is not mixed with others.
    let shape = [rows, columns, channels, depth_multiplier];
    let kernel = options.kernel_named(scope, "depthwise_kernel", &shape, inputs);
    (channels, nn::depthwise_conv2d(scope.enter(inputs), &kernel, convolution))
}
