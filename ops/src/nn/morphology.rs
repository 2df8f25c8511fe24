//! Morphology of grayscale images: dilation and erosion.

use super::window::{DataFormat, Padding, Windows, list_attr};
use crate::array::reverse;
use crate::library::op_defs;
use crate::math::neg;
use crate::nn::images::copied_attrs;
use crate::shapes::{self, str_attr};
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

const ATTRS: &str =
    "T: realnumbertype, strides: list(int32) >= 4, rates: list(int32) >= 4, padding: {\"SAME\", \"VALID\"}";

op_defs! {
    DILATION_2D: OpDef::new("Dilation2D", "input: T, filter: T -> output: T")
        .attrs(ATTRS)
        .shape(dilated_shape)
        .gradient(dilation_gradient);
    DILATION_2D_BACKPROP_INPUT: OpDef::new(
        "Dilation2DBackpropInput",
        "input: T, filter: T, out_backprop: T -> in_backprop: T",
    )
    .attrs(ATTRS)
    .shape(of_input);
    DILATION_2D_BACKPROP_FILTER: OpDef::new(
        "Dilation2DBackpropFilter",
        "input: T, filter: T, out_backprop: T -> filter_backprop: T",
    )
    .attrs(ATTRS)
    .shape(of_filter);
}

fn dilated_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, filter) = (context.input_of_rank(0, 4)?, context.input_of_rank(1, 3)?);
    let depth = shapes::merge_dims("channels of images and filter", input.dim(3), filter.dim(2))?;
    let windows = Windows::new(spatial(context, "strides")?, str_attr(context, "padding"));
    let windows = windows.dilated(spatial(context, "rates")?);
    let size = |axis: usize| windows.count(&input, axis, filter.dim(axis - 1));
    // Axes of images and filters differ by one: a filter has no axis of examples.
    let (rows, columns) = (size(1)?, size(2)?);
    context.set(0, PartialShape::from([input.dim(0), rows, columns, depth]));
    Ok(())
}

/// Returns an attribute with a number for each axis, which moves over rows and columns only.
fn spatial(context: &ShapeContext<'_>, name: &str) -> Result<Vec<usize>> {
    let values = list_attr(context, name, 4)?;
    if values[0] != 1 || values[3] != 1 {
        return Err(Error::value(format!(
            "attribute '{name}' must be 1 for examples and channels: {values:?}"
        )));
    }
    Ok(values)
}

fn of_input(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input_of_rank(0, 4)?;
    context.set(0, input);
    Ok(())
}

fn of_filter(context: &mut ShapeContext<'_>) -> Result<()> {
    let filter = context.input_of_rank(1, 3)?;
    context.set(0, filter);
    Ok(())
}

fn dilation_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    // One operation for each input; both find the places of the maxima again.
    let of = |def: &'static OpDef| {
        let builder = grad.graph().op(def).input(op.input(0)).input(op.input(1)).input(grad);
        Some(copied_attrs(builder, op, &["strides", "rates", "padding"]).finish_output())
    };
    Ok(vec![of(&DILATION_2D_BACKPROP_INPUT), of(&DILATION_2D_BACKPROP_FILTER)])
}

/// The movement of a filter over images.
///
/// ```
/// use ops::nn::{DilationOptions, Padding};
/// let options = DilationOptions::default().strides([2, 2]).padding(Padding::Valid);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct DilationOptions {
    strides: [usize; 2],
    rates: [usize; 2],
    padding: Padding,
}

impl Default for DilationOptions {
    fn default() -> Self {
        DilationOptions { strides: [1, 1], rates: [1, 1], padding: Padding::Same }
    }
}

impl DilationOptions {
    /// Sets the distances of windows, for rows and columns. Default: 1.
    pub fn strides(mut self, strides: [usize; 2]) -> Self {
        self.strides = strides;
        self
    }

    /// Sets the distances of the elements of a window, for rows and columns. Default: 1.
    pub fn rates(mut self, rates: [usize; 2]) -> Self {
        self.rates = rates;
        self
    }

    /// Sets the padding, which cannot be explicit. Default: [`Padding::Same`].
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }
}

/// Returns the grayscale dilation of images `[batch, rows, columns, channels]`: for each window the largest sum of an element and the
/// element of the filter `[rows, columns, channels]` above it. Places outside of the image do not count.
///
/// ```
/// use ops::{array::zeros, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let images = zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// let filter = zeros(&graph, DType::Float32, [3, 3, 3]);
/// let y = nn::dilation2d(&images, &filter, nn::DilationOptions::default().strides([2, 2]));
/// assert_eq!(y.shape().to_string(), "[1,4,4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn dilation2d(input: impl AsOutput, filter: impl AsOutput, options: DilationOptions) -> Output {
    let format = DataFormat::Nhwc;
    let builder = input.as_output().graph().op(&DILATION_2D).input(input).input(filter);
    let builder = builder.attr("strides", format.spatial(options.strides));
    let builder = builder.attr("rates", format.spatial(options.rates));
    builder.attr("padding", options.padding.attrs(format).0).finish_output()
}

/// Returns the grayscale erosion of images: for each window the smallest difference of an element and the element of the mirrored
/// filter above it. It is the negated dilation of the negated images by the mirrored filter.
///
/// ```
/// use ops::{array::zeros, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let images = zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// let filter = zeros(&graph, DType::Float32, [3, 3, 3]);
/// let y = nn::erosion2d(&images, &filter, nn::DilationOptions::default());
/// assert_eq!(y.shape().to_string(), "[1,8,8,3]");
/// ```
#[must_use]
#[track_caller]
pub fn erosion2d(value: impl AsOutput, kernel: impl AsOutput, options: DilationOptions) -> Output {
    let scope = crate::composite::Composite::new(&value.as_output().graph(), "erosion2d");
    // Erosion is the minimum of the differences, which is the negated maximum of negated values plus the
    // kernel; the kernel is mirrored, as dilation reads it from the other end.
    let mirrored = reverse(scope.enter(kernel), [0, 1]);
    let dilated = dilation2d(neg(scope.enter(value)), mirrored, options);
    scope.leave(neg(scope.enter_last(dilated)))
}
