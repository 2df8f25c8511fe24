//! Convolutions over sequences, images and volumes.

use super::conv::{CONV_2D, CONV_2D_BACKPROP_INPUT, CONV_3D, CONV_3D_BACKPROP_INPUT, DEPTHWISE_CONV_2D};
use super::window::{DataFormat, Padding};
use crate::arguments::Ints;
use crate::array::{expand_dims, squeeze};
use crate::composite::Composite;
use session_core::{AsOutput, Error, OpBuilder, Output};

/// Options of a convolution: how its windows move over sequences (`N` = 1), images (2) or volumes (3).
///
/// ```
/// use ops::nn::{ConvOptions, Padding};
/// let options = ConvOptions::default().strides([2, 2]).padding(Padding::Valid);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions<const N: usize = 2> {
    strides: [usize; N],
    padding: Padding,
    data_format: DataFormat,
    dilations: [usize; N],
    groups: usize,
}

impl<const N: usize> Default for ConvOptions<N> {
    fn default() -> ConvOptions<N> {
        let (padding, data_format) = (Padding::Same, DataFormat::Nhwc);
        ConvOptions { strides: [1; N], padding, data_format, dilations: [1; N], groups: 1 }
    }
}

impl<const N: usize> ConvOptions<N> {
    /// Sets the strides between windows, one for each axis of space. Default: 1.
    ///
    /// ```
    /// use ops::nn::ConvOptions;
    /// let options = ConvOptions::default().strides([2, 2]);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn strides(mut self, strides: [usize; N]) -> Self {
        self.strides = strides;
        self
    }

    /// Sets the padding beyond the border. Default: [`Padding::Same`]. Explicit padding is possible for images only.
    ///
    /// ```
    /// use ops::nn::{ConvOptions, Padding};
    /// let options = ConvOptions::<2>::default().padding(Padding::Explicit([[1, 1], [2, 2]]));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Sets the order of the axes. Default: [`DataFormat::Nhwc`], channels last.
    ///
    /// ```
    /// use ops::nn::{ConvOptions, DataFormat};
    /// let options = ConvOptions::<2>::default().data_format(DataFormat::Nchw);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// Sets the strides between elements of a window, one for each axis of space. Default: 1.
    ///
    /// ```
    /// use ops::nn::ConvOptions;
    /// let options = ConvOptions::default().dilations([2, 2]);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn dilations(mut self, dilations: [usize; N]) -> Self {
        self.dilations = dilations;
        self
    }

    /// Sets the number of groups into which the kernel of a layer divides the channels. Each group is convolved separately. Default: 1.
    /// Functions that take a filter derive the number from the channels of the filter.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    pub(crate) fn group_count(&self) -> usize {
        self.groups
    }

    pub(crate) fn is_explicit(&self) -> bool {
        matches!(self.padding, Padding::Explicit(_))
    }

    pub(crate) fn order(&self) -> DataFormat {
        self.data_format
    }

    /// Returns the size along an axis of space of what a transposed convolution gives for an input of this size.
    pub(crate) fn transposed_size(&self, axis: usize, input: usize, window: usize) -> usize {
        let steps = input.saturating_mul(self.strides[axis]);
        match self.padding {
            Padding::Valid => {
                steps.saturating_add(self.window(axis, window).saturating_sub(self.strides[axis]))
            }
            _ => steps,
        }
    }

    /// Returns the extent of a window with its elements apart.
    fn window(&self, axis: usize, size: usize) -> usize {
        size.saturating_sub(1).saturating_mul(self.dilations[axis]).saturating_add(1)
    }

    /// Sets the attributes that convolutions over any number of axes have.
    fn attrs_of(self, builder: OpBuilder) -> OpBuilder {
        builder
            .attr("strides", self.data_format.spatial(self.strides))
            .attr("padding", self.padding.attrs(self.data_format).0)
            .attr("data_format", self.data_format.name_for(N))
            .attr("dilations", self.data_format.spatial(self.dilations))
    }
}

impl ConvOptions<2> {
    fn image_attrs(self, builder: OpBuilder) -> OpBuilder {
        let (_, explicit) = self.padding.attrs(self.data_format);
        self.attrs_of(builder).attr("explicit_paddings", explicit)
    }
}

/// Records that padding is explicit where the operation takes none.
fn check_padding<const N: usize>(input: &Output, options: &ConvOptions<N>) {
    if let Padding::Explicit(_) = options.padding {
        let name = input.name();
        let text =
            format!("a convolution of '{name}' over {N} axes takes no explicit padding: pad the input");
        input.graph().add_error(Error::value(text));
    }
}

/// Returns the convolution of sequences `[batch, steps, channels]` with a filter `[steps, channels, channels out]`.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 3]);
/// let w = array::zeros(&graph, DType::Float32, [3, 3, 16]);
/// let y = nn::conv1d(&x, &w, nn::ConvOptions::default().strides([2]));
/// assert_eq!(y.shape().to_string(), "[1,4,16]");
/// ```
#[must_use]
#[track_caller]
pub fn conv1d(input: impl AsOutput, filter: impl AsOutput, options: ConvOptions<1>) -> Output {
    let input = input.as_output();
    check_padding(input, &options);
    let scope = Composite::new(&input.graph(), "conv1d");
    let axis = options.data_format.first_spatial();
    let images = expand_dims(scope.enter(input), axis);
    let filter = expand_dims(scope.enter(filter), 0);
    let as_images = ConvOptions {
        strides: [1, options.strides[0]],
        padding: options.padding,
        data_format: options.data_format,
        dilations: [1, options.dilations[0]],
        groups: options.groups,
    };
    let result = conv2d_with(scope.enter_last(images), filter, as_images);
    scope.leave(squeeze(scope.enter(result), axis))
}

/// Returns the convolution of images `[batch, rows, columns, channels]` with a filter `[rows, columns, channels, channels out]`.
///
/// With a filter of fewer channels, which divide those of the images, the channels are convolved in groups.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// let w = array::zeros(&graph, DType::Float32, [3, 3, 3, 16]);
/// assert_eq!(nn::conv2d(&x, &w, [1, 1], nn::Padding::Same).shape().to_string(), "[1,8,8,16]");
/// ```
#[must_use]
#[track_caller]
pub fn conv2d(input: impl AsOutput, filter: impl AsOutput, strides: [usize; 2], padding: Padding) -> Output {
    conv2d_with(input, filter, ConvOptions::default().strides(strides).padding(padding))
}

/// Works as [`conv2d`], with dilations and another order of axes.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 3, 8, 8]);
/// let w = array::zeros(&graph, DType::Float32, [3, 3, 3, 16]);
/// let options = nn::ConvOptions::default().data_format(nn::DataFormat::Nchw).strides([2, 2]);
/// assert_eq!(nn::conv2d_with(&x, &w, options).shape().to_string(), "[1,16,4,4]");
/// ```
#[must_use]
#[track_caller]
pub fn conv2d_with(input: impl AsOutput, filter: impl AsOutput, options: ConvOptions) -> Output {
    let builder = input.as_output().graph().op(&CONV_2D).input(input).input(filter);
    options.image_attrs(builder).finish_output()
}

/// Returns the transposed convolution ("deconvolution"), which enlarges images: the gradient of a convolution as a separate layer.
/// `filter` is `[rows, columns, channels out, channels]`, `output_shape` the shape of the result.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 4, 4, 16]);
/// let w = array::zeros(&graph, DType::Float32, [3, 3, 3, 16]);
/// let options = nn::ConvOptions::default().strides([2, 2]);
/// assert_eq!(nn::conv2d_transpose(&x, &w, [1, 8, 8, 3], options).shape().to_string(), "[1,8,8,3]");
/// ```
#[must_use]
#[track_caller]
pub fn conv2d_transpose(
    value: impl AsOutput,
    filter: impl AsOutput,
    output_shape: impl Into<Ints>,
    options: ConvOptions,
) -> Output {
    let graph = value.as_output().graph();
    let builder =
        output_shape.into().input_of(graph.op(&CONV_2D_BACKPROP_INPUT).default_name("conv2d_transpose"));
    options.image_attrs(builder.input(filter).input(value)).finish_output()
}

/// Returns the convolution of each channel with its own filters: `filter` is `[rows, columns, channels, multiplier]`, the
/// result has `channels * multiplier` channels.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// let w = array::zeros(&graph, DType::Float32, [3, 3, 3, 2]);
/// assert_eq!(nn::depthwise_conv2d(&x, &w, nn::ConvOptions::default()).shape().to_string(), "[1,8,8,6]");
/// ```
#[must_use]
#[track_caller]
pub fn depthwise_conv2d(input: impl AsOutput, filter: impl AsOutput, options: ConvOptions) -> Output {
    let builder = input.as_output().graph().op(&DEPTHWISE_CONV_2D).default_name("depthwise");
    options.image_attrs(builder.input(input).input(filter)).finish_output()
}

/// Returns a depthwise convolution, followed by one that mixes the channels at each position. `pointwise_filter` is
/// `[1, 1, channels * multiplier, channels out]`.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// let depthwise = array::zeros(&graph, DType::Float32, [3, 3, 3, 2]);
/// let pointwise = array::zeros(&graph, DType::Float32, [1, 1, 6, 16]);
/// let y = nn::separable_conv2d(&x, &depthwise, &pointwise, nn::ConvOptions::default());
/// assert_eq!(y.shape().to_string(), "[1,8,8,16]");
/// ```
#[must_use]
#[track_caller]
pub fn separable_conv2d(
    input: impl AsOutput,
    depthwise_filter: impl AsOutput,
    pointwise_filter: impl AsOutput,
    options: ConvOptions,
) -> Output {
    let scope = Composite::new(&input.as_output().graph(), "separable_conv2d");
    let depthwise = depthwise_conv2d(scope.enter(input), depthwise_filter, options);
    let mix = ConvOptions::default().padding(Padding::Valid).data_format(options.data_format);
    scope.leave(conv2d_with(scope.enter_last(depthwise), pointwise_filter, mix))
}

/// Returns the convolution of volumes `[batch, planes, rows, columns, channels]` with a filter
/// `[planes, rows, columns, channels, channels out]`. Explicit padding is not possible.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 4, 8, 8, 3]);
/// let w = array::zeros(&graph, DType::Float32, [3, 3, 3, 3, 16]);
/// assert_eq!(nn::conv3d(&x, &w, [1, 1, 1], nn::Padding::Valid).shape().to_string(), "[1,2,6,6,16]");
/// ```
#[must_use]
#[track_caller]
pub fn conv3d(input: impl AsOutput, filter: impl AsOutput, strides: [usize; 3], padding: Padding) -> Output {
    conv3d_with(input, filter, ConvOptions::default().strides(strides).padding(padding))
}

/// Works as [`conv3d`], with dilations and an order of axes.
///
/// ```
/// use ops::array::placeholder;
/// use ops::nn::{ConvOptions, Padding, conv3d_with};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let volumes = placeholder(&graph, DType::Float32, [None, Some(8), Some(16), Some(16), Some(1)]);
/// let filter = placeholder(&graph, DType::Float32, [3, 3, 3, 1, 4]);
/// let y = conv3d_with(&volumes, &filter, ConvOptions::default().strides([1, 2, 2]).padding(Padding::Same));
/// assert_eq!(y.shape().to_string(), "[?,8,8,8,4]");
/// ```
#[must_use]
#[track_caller]
pub fn conv3d_with(input: impl AsOutput, filter: impl AsOutput, options: ConvOptions<3>) -> Output {
    let input = input.as_output();
    check_padding(input, &options);
    let builder = input.graph().op(&CONV_3D).input(input).input(filter);
    options.attrs_of(builder).finish_output()
}

/// Works as [`conv2d_transpose`] for volumes: `filter` is `[planes, rows, columns, channels out, channels]`.
#[must_use]
#[track_caller]
pub fn conv3d_transpose(
    value: impl AsOutput,
    filter: impl AsOutput,
    output_shape: impl Into<Ints>,
    options: ConvOptions<3>,
) -> Output {
    let value = value.as_output();
    check_padding(value, &options);
    let builder = value.graph().op(&CONV_3D_BACKPROP_INPUT).default_name("conv3d_transpose");
    let builder = output_shape.into().input_of(builder);
    options.attrs_of(builder.input(filter).input(value)).finish_output()
}
