//! Layers on integers that stand for numbers, each with the range of its result.
//!
//! A tensor of integers comes with `min` and `max`, the numbers that its lowest and highest integer
//! represent. Products and convolutions return 32-bit sums, whose range follows from those of the factors;
//! every result has its own range as two further scalar outputs.

use super::ranges::{range, with_range};
use crate::library::op_defs;
use crate::nn::window::{Windows, list_attr};
use crate::shapes::{self, bool_attr, shape_from};
use session_core::{OpDef, PartialShape, Result, ShapeContext};

const ACTIVATION: &str = "Tinput: {qint8, quint8, qint32, qint16, quint16}, \
                          out_type: {qint8, quint8, qint32, qint16, quint16} = quint8";
const POOLING: &str = "T: {qint8, quint8, qint32, qint16, quint16}, ksize: list(int), strides: list(int), \
                       padding: {\"SAME\", \"VALID\"}";

op_defs! {
    QUANTIZED_MAT_MUL: OpDef::new(
            "QuantizedMatMul",
            "a: T1, b: T2, min_a: float, max_a: float, min_b: float, max_b: float -> \
             out: Toutput, min_out: float, max_out: float",
        )
        .attrs(
            "T1: {qint8, quint8, qint32, qint16, quint16}, T2: {qint8, quint8, qint32, qint16, quint16}, \
             Toutput: {qint8, quint8, qint32, qint16, quint16} = qint32, transpose_a: bool = false, \
             transpose_b: bool = false, Tactivation: {qint8, quint8, qint32, qint16, quint16} = quint8",
        )
        .shape(product);
    QUANTIZED_CONV_2D: OpDef::new(
            "QuantizedConv2D",
            "input: Tinput, filter: Tfilter, min_input: float, max_input: float, min_filter: float, max_filter: float -> \
             output: out_type, min_output: float, max_output: float",
        )
        .attrs(
            "Tinput: {qint8, quint8, qint32, qint16, quint16}, Tfilter: {qint8, quint8, qint32, qint16, quint16}, \
             out_type: {qint8, quint8, qint32, qint16, quint16} = qint32, strides: list(int), \
             padding: {\"SAME\", \"VALID\"}, dilations: list(int) = [1, 1, 1, 1]",
        )
        .shape(convolution);
    QUANTIZED_BIAS_ADD: OpDef::new(
            "QuantizedBiasAdd",
            "input: T1, bias: T2, min_input: float, max_input: float, min_bias: float, max_bias: float -> \
             output: out_type, min_out: float, max_out: float",
        )
        .attrs(
            "T1: {qint8, quint8, qint32, qint16, quint16}, T2: {qint8, quint8, qint32, qint16, quint16}, \
             out_type: {qint8, quint8, qint32, qint16, quint16}",
        )
        .shape(with_range);
    QUANTIZED_RELU: OpDef::new(
            "QuantizedRelu",
            "features: Tinput, min_features: float, max_features: float -> \
             activations: out_type, min_activations: float, max_activations: float",
        )
        .attrs(ACTIVATION).shape(with_range);
    QUANTIZED_RELU6: OpDef::new(
            "QuantizedRelu6",
            "features: Tinput, min_features: float, max_features: float -> \
             activations: out_type, min_activations: float, max_activations: float",
        )
        .attrs(ACTIVATION).shape(with_range);
    QUANTIZED_MAX_POOL: OpDef::new(
            "QuantizedMaxPool",
            "input: T, min_input: float, max_input: float -> output: T, min_output: float, max_output: float",
        )
        .attrs(POOLING).shape(pooling);
    QUANTIZED_AVG_POOL: OpDef::new(
            "QuantizedAvgPool",
            "input: T, min_input: float, max_input: float -> output: T, min_output: float, max_output: float",
        )
        .attrs(POOLING).shape(pooling);
    QUANTIZED_CONCAT: OpDef::new(
            "QuantizedConcat",
            "concat_dim: int32, values: N * T, input_mins: N * float, input_maxes: N * float -> \
             output: T, output_min: float, output_max: float",
        )
        .attrs("N: int >= 2, T: type").shape(joined);
    QUANTIZED_RESHAPE: OpDef::new(
            "QuantizedReshape",
            "tensor: T, shape: Tshape, input_min: float, input_max: float -> \
             output: T, output_min: float, output_max: float",
        )
        .attrs("T: type, Tshape: {int32, int64} = int32").shape(reshaped);
}

/// Infers `[rows, columns]` of a product.
fn product(context: &mut ShapeContext<'_>) -> Result<()> {
    let (a, b) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 2)?);
    let (of_a, of_b) =
        (usize::from(bool_attr(context, "transpose_a")), usize::from(bool_attr(context, "transpose_b")));
    shapes::merge_dims("inner", a.dim(1 - of_a), b.dim(of_b))?;
    context.set(0, PartialShape::from([a.dim(of_a), b.dim(1 - of_b)]));
    range(context);
    Ok(())
}

/// Returns the sizes of windows over images.
fn windowed(
    context: &ShapeContext<'_>,
    input: &PartialShape,
    window: [Option<usize>; 2],
) -> Result<[Option<usize>; 2]> {
    let windows = Windows::of(context, 4)?;
    Ok([windows.count(input, 1, window[0])?, windows.count(input, 2, window[1])?])
}

/// Infers `[batch, rows, columns, filters]`. There is only the format `NHWC`.
fn convolution(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, filter) = (context.input_of_rank(0, 4)?, context.input_of_rank(1, 4)?);
    shapes::merge_dims("channels", input.dim(3), filter.dim(2))?;
    let [height, width] = windowed(context, &input, [filter.dim(0), filter.dim(1)])?;
    context.set(0, PartialShape::from([input.dim(0), height, width, filter.dim(3)]));
    range(context);
    Ok(())
}

/// Infers the number of windows along rows and columns.
fn pooling(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input_of_rank(0, 4)?;
    let size = list_attr(context, "ksize", 4)?;
    let [height, width] = windowed(context, &input, [Some(size[1]), Some(size[2])])?;
    context.set(0, PartialShape::from([input.dim(0), height, width, input.dim(3)]));
    range(context);
    Ok(())
}

/// Sets the shape of joined tensors: sizes add up along the axis; the other sizes are equal.
fn joined(context: &mut ShapeContext<'_>) -> Result<()> {
    // The axis, then tensors, lower and upper ends, equally many of each.
    let count = (context.inputs().len() - 1) / 3;
    let parts: Vec<PartialShape> = (1..=count).map(|part| context.input(part)).collect();
    let known = parts.iter().find_map(PartialShape::rank).zip(shapes::int(context, 0));
    if let Some((rank, axis)) = known {
        let axis = shapes::axis_index(axis, rank)?;
        let mut dims = vec![None; rank];
        for (at, dim) in dims.iter_mut().enumerate() {
            let sizes = parts.iter().map(|part| if part.rank().is_some() { part.dim(at) } else { None });
            *dim = match at == axis {
                true => sizes.into_iter().try_fold(Some(0), shapes::plus)?,
                false => sizes.flatten().next(),
            };
        }
        context.set(0, PartialShape::from(dims));
    }
    range(context);
    Ok(())
}

/// Infers the shape from the value of the second input.
fn reshaped(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_from(&context.inputs()[1])?;
    context.set(0, shape);
    range(context);
    Ok(())
}
