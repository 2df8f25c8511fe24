//! Simulated quantization: rounding as if numbers were stored in few bits, with gradients.

use crate::library::op_defs;
use crate::nn::images::copied_attrs;
use crate::shapes::{self, must_be_scalar, unchanged};
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

const ARGS: &str = "min: float = -6.0, max: float = 6.0, num_bits: int = 8, narrow_range: bool = false";
const BITS: &str = "num_bits: int = 8, narrow_range: bool = false";
const V2: &str = "signed_input: bool = true, num_bits: int = 8, range_given: bool = false, T: floattype, \
                  round_mode: {\"HALF_TO_EVEN\", \"HALF_UP\"} = \"HALF_TO_EVEN\", narrow_range: bool = false, axis: int = -1";

op_defs! {
    FAKE_QUANT_ARGS: OpDef::new("FakeQuantWithMinMaxArgs", "inputs: float -> outputs: float")
        .attrs(ARGS).shape(unchanged).gradient(args_gradient);
    FAKE_QUANT_ARGS_GRADIENT: OpDef::new(
            "FakeQuantWithMinMaxArgsGradient",
            "gradients: float, inputs: float -> backprops: float",
        )
        .attrs(ARGS).shape(shapes::same).not_differentiable();
    FAKE_QUANT_VARS: OpDef::new("FakeQuantWithMinMaxVars", "inputs: float, min: float, max: float -> outputs: float")
        .attrs(BITS).shape(with_scalars).gradient(|op, grads| vars_gradient(op, grads, &FAKE_QUANT_VARS_GRADIENT));
    FAKE_QUANT_VARS_GRADIENT: OpDef::new(
            "FakeQuantWithMinMaxVarsGradient",
            "gradients: float, inputs: float, min: float, max: float -> \
             backprops_wrt_input: float, backprop_wrt_min: float, backprop_wrt_max: float",
        )
        .attrs(BITS).shape(three_gradients).not_differentiable();
    FAKE_QUANT_PER_CHANNEL: OpDef::new(
            "FakeQuantWithMinMaxVarsPerChannel",
            "inputs: float, min: float, max: float -> outputs: float",
        )
        .attrs(BITS).shape(unchanged).gradient(|op, grads| vars_gradient(op, grads, &FAKE_QUANT_PER_CHANNEL_GRADIENT));
    FAKE_QUANT_PER_CHANNEL_GRADIENT: OpDef::new(
            "FakeQuantWithMinMaxVarsPerChannelGradient",
            "gradients: float, inputs: float, min: float, max: float -> \
             backprops_wrt_input: float, backprop_wrt_min: float, backprop_wrt_max: float",
        )
        .attrs(BITS).shape(channel_gradients).not_differentiable();
    QUANTIZE_AND_DEQUANTIZE: OpDef::new("QuantizeAndDequantize", "input: T -> output: T")
        .attrs(
            "signed_input: bool = true, num_bits: int = 8, range_given: bool = false, input_min: float = 0.0, \
             input_max: float = 0.0, T: floattype",
        )
        .shape(unchanged).gradient(straight_through);
    QUANTIZE_AND_DEQUANTIZE_V2: OpDef::new("QuantizeAndDequantizeV2", "input: T, input_min: T, input_max: T -> output: T")
        .attrs(V2).shape(unchanged).gradient(straight_through);
    QUANTIZE_AND_DEQUANTIZE_V3: OpDef::new(
            "QuantizeAndDequantizeV3",
            "input: T, input_min: T, input_max: T, num_bits: int32 -> output: T",
        )
        .attrs("signed_input: bool = true, range_given: bool = true, T: floattype, narrow_range: bool = false, axis: int = -1")
        .shape(unchanged).gradient(straight_through);
    QUANTIZE_AND_DEQUANTIZE_V4: OpDef::new("QuantizeAndDequantizeV4", "input: T, input_min: T, input_max: T -> output: T")
        .attrs(V2).shape(unchanged).gradient(v4_gradient);
    QUANTIZE_AND_DEQUANTIZE_V4_GRAD: OpDef::new(
            "QuantizeAndDequantizeV4Grad",
            "gradients: T, input: T, input_min: T, input_max: T -> \
             input_backprop: T, input_min_backprop: T, input_max_backprop: T",
        )
        .attrs("T: floattype, axis: int = -1").shape(v4_gradients)
        .gradient(straight_through);
}

/// Keeps the shape of the numbers, and checks that the ends of the range are scalars.
fn with_scalars(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 1)?;
    must_be_scalar(context, 2)?;
    unchanged(context)
}

/// Infers the gradients of the numbers and of both ends of the range.
fn three_gradients(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 2)?;
    must_be_scalar(context, 3)?;
    let inputs = shapes::merge(&context.input(0), &context.input(1))?;
    context.set(0, inputs);
    context.set(1, PartialShape::scalar());
    context.set(2, PartialShape::scalar());
    Ok(())
}

/// Works as [`three_gradients`], with a range for each channel, the last axis.
fn channel_gradients(context: &mut ShapeContext<'_>) -> Result<()> {
    let inputs = shapes::merge(&context.input(0), &context.input(1))?;
    let channels = match inputs.rank() {
        Some(rank) if rank > 0 => PartialShape::from([inputs.dim(rank - 1)]),
        _ => PartialShape::of_rank(1),
    };
    let channels = shapes::merge(&channels, &context.input_of_rank(2, 1)?)?;
    let channels = shapes::merge(&channels, &context.input_of_rank(3, 1)?)?;
    context.set(0, inputs);
    context.set(1, channels.clone());
    context.set(2, channels);
    Ok(())
}

/// Infers gradients of the shapes of the inputs, whatever the axis is.
fn v4_gradients(context: &mut ShapeContext<'_>) -> Result<()> {
    let (inputs, least, most) = (context.input(0), context.input(2), context.input(3));
    context.set(0, inputs);
    context.set(1, least);
    context.set(2, most);
    Ok(())
}

/// Returns the gradient: that of the result within the range, and 0 outside.
fn args_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&FAKE_QUANT_ARGS_GRADIENT).input(grad).input(op.input(0));
        copied_attrs(builder, op, &["min", "max", "num_bits", "narrow_range"]).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(gradient)])
}

/// Returns the gradients of numbers and range: what is clipped to an end of the range belongs to that end.
fn vars_gradient(
    op: &Operation,
    grads: &[Option<Output>],
    def: &'static OpDef,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let builder = grad.graph().op(def).input(grad).input(op.input(0)).input(op.input(1)).input(op.input(2));
    let gradients = copied_attrs(builder, op, &["num_bits", "narrow_range"]).finish();
    Ok(gradients.outputs().into_iter().map(Some).collect())
}

/// Rounding counts as if it were not there.
fn straight_through(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Rounding counts as the identity, so the numbers receive the gradient as it is,
    // and the range receives none.
    let others = vec![None; op.num_inputs() - 1];
    Ok(std::iter::once(grads[0].clone()).chain(others).collect())
}

/// Returns the gradients of numbers and range; unlike the earlier versions it is 0 outside of the range.
fn v4_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let builder = grad.graph().op(&QUANTIZE_AND_DEQUANTIZE_V4_GRAD).input(grad);
    let builder = builder.input(op.input(0)).input(op.input(1)).input(op.input(2));
    let gradients = copied_attrs(builder, op, &["axis"]).finish();
    Ok(gradients.outputs().into_iter().map(Some).collect())
}

/// Rounds numbers as if they were stored in `num_bits` bits that stand for `min` to `max`, which is moved so that 0 is
/// exact. Gradients pass within the range.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, quantization::fake_quant_with_min_max_args};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [None, Some(3)]);
/// assert_eq!(fake_quant_with_min_max_args(&x, -6.0, 6.0, 8).shape(), x.shape());
/// ```
#[must_use]
#[track_caller]
pub fn fake_quant_with_min_max_args(inputs: impl AsOutput, min: f32, max: f32, num_bits: i64) -> Output {
    let builder = inputs.as_output().graph().op(&FAKE_QUANT_ARGS).input(inputs);
    builder.attr("min", min).attr("max", max).attr("num_bits", num_bits).finish_output()
}

/// Works as [`fake_quant_with_min_max_args`], with a range that the graph computes or trains: `min` and `max` are scalars.
#[must_use]
#[track_caller]
pub fn fake_quant_with_min_max_vars(
    inputs: impl AsOutput,
    min: impl AsOutput,
    max: impl AsOutput,
    num_bits: i64,
) -> Output {
    let builder = inputs.as_output().graph().op(&FAKE_QUANT_VARS).input(inputs).input(min).input(max);
    builder.attr("num_bits", num_bits).finish_output()
}

/// Works as [`fake_quant_with_min_max_vars`], with a range for each channel: `min` and `max` are vectors of the size of the last axis.
#[must_use]
#[track_caller]
pub fn fake_quant_with_min_max_vars_per_channel(
    inputs: impl AsOutput,
    min: impl AsOutput,
    max: impl AsOutput,
    num_bits: i64,
) -> Output {
    let builder = inputs.as_output().graph().op(&FAKE_QUANT_PER_CHANNEL).input(inputs).input(min).input(max);
    builder.attr("num_bits", num_bits).finish_output()
}
