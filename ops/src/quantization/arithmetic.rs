//! Sums, products and normalization of integers that stand for numbers, as converters left them in graphs.
//!
//! # Semantics
//!
//! Each tensor of integers comes with the two numbers that its least and its largest integer stand for; each result
//! comes with such a range of its own.
//!
//! - `QuantizedAdd` and `QuantizedMul` take `quint8` and return `qint32`, with broadcasting. The range of a sum is
//!   2^14 times the larger of both ranges and symmetric around 0, so that many sums can be added without overflow.
//!   The step of a product is the product of the steps of both factors.
//! - `QuantizedBatchNormWithGlobalNormalization` normalizes `[batch, rows, columns, channels]` with the moments, scale
//!   and offset of each channel. It computes in fixed point: the range is 2^20 in both directions.
//! - `QuantizedInstanceNorm` normalizes each channel of each image by its own moments. The range of the result is
//!   given by attributes, or it is that of the normalized numbers, at least `min_separation` wide.
//! - `QuantizedResizeBilinear` interpolates between integers and keeps the range. `size` is `[rows, columns]`, `int32`.
//!
//! # Errors
//!
//! A range whose ends are equal or exchanged, moments that are not one number for each channel, and images that are
//! not 4-dimensional. The engine has kernels for the dtypes for which TensorFlow has them.

use super::ranges::{range, with_range};
use crate::library::op_defs;
use crate::nn::images::resize_shape;
use crate::shapes::{broadcast_shapes, must_be_scalar};
use session_core::{OpDef, Result, ShapeContext};

const PAIR: &str = "x: T1, y: T2, min_x: float, max_x: float, min_y: float, max_y: float -> \
                    z: Toutput, min_z: float, max_z: float";
const PAIR_TYPES: &str = "T1: {qint8, quint8, qint32, qint16, quint16}, T2: {qint8, quint8, qint32, qint16, quint16}, \
                          Toutput: {qint8, quint8, qint32, qint16, quint16} = qint32";

op_defs! {
    QUANTIZED_ADD: OpDef::new("QuantizedAdd", PAIR).attrs(PAIR_TYPES).shape(pair);
    QUANTIZED_MUL: OpDef::new("QuantizedMul", PAIR).attrs(PAIR_TYPES).shape(pair);
    QUANTIZED_BATCH_NORM: OpDef::new(
            "QuantizedBatchNormWithGlobalNormalization",
            "t: Tinput, t_min: float, t_max: float, m: Tinput, m_min: float, m_max: float, v: Tinput, v_min: float, v_max: float, \
             beta: Tinput, beta_min: float, beta_max: float, gamma: Tinput, gamma_min: float, gamma_max: float -> \
             result: out_type, result_min: float, result_max: float",
        )
        .attrs(
            "Tinput: {qint8, quint8, qint32, qint16, quint16}, out_type: {qint8, quint8, qint32, qint16, quint16}, \
             variance_epsilon: float, scale_after_normalization: bool",
        )
        .shape(normalized);
    QUANTIZED_INSTANCE_NORM: OpDef::new(
            "QuantizedInstanceNorm",
            "x: T, x_min: float, x_max: float -> y: T, y_min: float, y_max: float",
        )
        .attrs(
            "T: {qint8, quint8, qint32, qint16, quint16}, output_range_given: bool = false, given_y_min: float = 0.0, \
             given_y_max: float = 0.0, variance_epsilon: float = 1e-05, min_separation: float = 0.001",
        )
        .shape(normalized);
    QUANTIZED_RESIZE_BILINEAR: OpDef::new(
            "QuantizedResizeBilinear",
            "images: T, size: int32, min: float, max: float -> resized_images: T, out_min: float, out_max: float",
        )
        .attrs("T: {quint8, qint32, float}, align_corners: bool = false, half_pixel_centers: bool = false")
        .shape(resized);
}

fn pair(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = broadcast_shapes(&context.input(0), &context.input(1))?;
    context.set(0, shape);
    range(context);
    Ok(())
}

fn normalized(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 4)?;
    with_range(context)
}

fn resized(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 2)?;
    must_be_scalar(context, 3)?;
    resize_shape(context)?;
    range(context);
    Ok(())
}
