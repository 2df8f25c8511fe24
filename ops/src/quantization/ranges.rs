//! Conversions between numbers and the integers that represent them.
//!
//! `MIN_COMBINED` maps the range linearly onto all integers of the dtype. `MIN_FIRST` also does, but rounds
//! the lower end to a step, so that 0 is exact. `SCALED` is symmetric and maps 0 to 0.

use crate::library::op_defs;
use crate::shapes::unchanged;
use session_core::{OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    QUANTIZE_V2: OpDef::new(
            "QuantizeV2",
            "input: float, min_range: float, max_range: float -> output: T, output_min: float, output_max: float",
        )
        .attrs(concat!(
            "T: {qint8, quint8, qint32, qint16, quint16}, mode: {\"MIN_COMBINED\", \"MIN_FIRST\", \"SCALED\"} = \"MIN_COMBINED\", ",
            "round_mode: {\"HALF_AWAY_FROM_ZERO\", \"HALF_TO_EVEN\"} = \"HALF_AWAY_FROM_ZERO\", ",
            "narrow_range: bool = false, axis: int = -1, ensure_minimum_range: float = 0.01"
        ))
        .shape(quantized);
    DEQUANTIZE: OpDef::new("Dequantize", "input: T, min_range: float, max_range: float -> output: dtype")
        .attrs(concat!(
            "T: {qint8, quint8, qint32, qint16, quint16}, mode: {\"MIN_COMBINED\", \"MIN_FIRST\", \"SCALED\"} = \"MIN_COMBINED\", ",
            "narrow_range: bool = false, axis: int = -1, dtype: {bfloat16, float} = float"
        ))
        .shape(unchanged);
    REQUANTIZE: OpDef::new(
            "Requantize",
            "input: Tinput, input_min: float, input_max: float, requested_output_min: float, requested_output_max: float -> \
             output: out_type, output_min: float, output_max: float",
        )
        .attrs("Tinput: {qint8, quint8, qint32, qint16, quint16}, out_type: {qint8, quint8, qint32, qint16, quint16}")
        .shape(with_range);
    REQUANTIZATION_RANGE: OpDef::new(
            "RequantizationRange",
            "input: Tinput, input_min: float, input_max: float -> output_min: float, output_max: float",
        )
        .attrs("Tinput: {qint8, quint8, qint32, qint16, quint16}")
        .shape(crate::shapes::scalar);
    QUANTIZE_DOWN_AND_SHRINK_RANGE: OpDef::new(
            "QuantizeDownAndShrinkRange",
            "input: Tinput, input_min: float, input_max: float -> output: out_type, output_min: float, output_max: float",
        )
        .attrs("Tinput: {qint8, quint8, qint32, qint16, quint16}, out_type: {qint8, quint8, qint32, qint16, quint16}")
        .shape(with_range);
}

/// A range for each slice along an axis is a vector.
fn quantized(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, least, most) = (context.input(0), context.input(1), context.input(2));
    context.set(0, input);
    context.set(1, least);
    context.set(2, most);
    Ok(())
}

/// The first output is like the first input; then comes the range.
pub(super) fn with_range(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input(0);
    context.set(0, input);
    range(context);
    Ok(())
}

/// The last two outputs are numbers.
pub(super) fn range(context: &mut ShapeContext<'_>) {
    context.set(1, PartialShape::scalar());
    context.set(2, PartialShape::scalar());
}
