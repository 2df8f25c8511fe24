//! Samples of recurrent cells that are single operations, all of single precision.

use super::math::rows;
use super::{Inputs, Sample};
use session_core::{OpBuilder, Output};

const BATCH: usize = 2;
const DEPTH: usize = 3;
const UNITS: usize = 2;

/// Adds the inputs of an LSTM: `x`, memory, output, weights, those of the memory, bias.
fn lstm_inputs(i: &mut Inputs<'_>, mut builder: OpBuilder, x: &[usize], peephole: bool) -> OpBuilder {
    let state = [BATCH, UNITS];
    for shape in [x, &state, &state, &[DEPTH + UNITS, 4 * UNITS]] {
        builder = builder.input(i.singles(shape));
    }
    for _ in 0..3 {
        let weights = if peephole { i.singles(&[UNITS]) } else { i.constant([0.0f32; UNITS]) };
        builder = builder.input(weights);
    }
    builder.input(i.singles(&[4 * UNITS])).attr("use_peephole", peephole).attr("cell_clip", 0.0f32)
}

fn lstm_cell(i: &mut Inputs<'_>, peephole: bool) -> Vec<Output> {
    let builder = i.op("LSTMBlockCell").attr("forget_bias", 0.5f32);
    let step = lstm_inputs(i, builder, &[BATCH, DEPTH], peephole).finish();
    // Only memory and output have gradients.
    vec![step.output(1), step.output(6)]
}

fn sequence(i: &mut Inputs<'_>, op_type: &str, longest: i64, peephole: bool) -> Vec<Output> {
    let builder = i.op(op_type).constant(longest);
    let steps = lstm_inputs(i, builder, &[3, BATCH, DEPTH], peephole).finish();
    vec![steps.output(1), steps.output(6)]
}

fn gru_cell(i: &mut Inputs<'_>) -> Vec<Output> {
    let rows = DEPTH + UNITS;
    let shapes: [&[usize]; 6] =
        [&[BATCH, DEPTH], &[BATCH, UNITS], &[rows, 2 * UNITS], &[rows, UNITS], &[2 * UNITS], &[UNITS]];
    let builder = shapes.iter().fold(i.op("GRUBlockCell"), |builder, shape| builder.input(i.singles(shape)));
    vec![builder.finish().output(3)]
}

/// A gradient op by itself, of the forward op's inputs and outputs and of gradients that arrive at it.
fn backward(i: &mut Inputs<'_>, forward: &str, def: &str, kept: usize, grads: &[&[usize]]) -> Vec<Output> {
    let outputs = match forward {
        "GRUBlockCell" => gru_cell(i),
        "LSTMBlockCell" => lstm_cell(i, true),
        _ => sequence(i, forward, 2, true),
    };
    let op = outputs[0].operation().clone();
    let builder = op.inputs().iter().fold(i.op(def), OpBuilder::input);
    let builder = (0..kept).fold(builder, |builder, output| builder.input(op.output(output)));
    let builder = grads.iter().fold(builder, |builder, shape| {
        let grad = i.singles(shape);
        builder.input(grad)
    });
    let builder =
        if op.attr("use_peephole").is_some() { builder.attr("use_peephole", true) } else { builder };
    // Inputs that are differentiated are those of the forward op; here they are only given.
    i.others.append(&mut i.inputs);
    builder.finish().outputs()
}

const CELLS: &[Sample] = rows! {
    "LSTMBlockCell" => |i| lstm_cell(i, false);
    "LSTMBlockCell with peepholes" => |i| lstm_cell(i, true);
    "LSTMBlockCellGrad" but not_numerical => |i| {
        backward(i, "LSTMBlockCell", "LSTMBlockCellGrad", 6, &[&[BATCH, UNITS], &[BATCH, UNITS]])
    };
    "BlockLSTM" => |i| sequence(i, "BlockLSTM", 3, false);
    "BlockLSTM of fewer steps, with peepholes" => |i| sequence(i, "BlockLSTM", 2, true);
    "BlockLSTMGrad" but not_numerical => |i| {
        backward(i, "BlockLSTM", "BlockLSTMGrad", 7, &[&[3, BATCH, UNITS], &[3, BATCH, UNITS]])
    };
    "BlockLSTMV2" => |i| sequence(i, "BlockLSTMV2", 3, false);
    "BlockLSTMV2 of one step, with peepholes" => |i| sequence(i, "BlockLSTMV2", 1, true);
    "BlockLSTMGradV2" but not_numerical => |i| {
        backward(i, "BlockLSTMV2", "BlockLSTMGradV2", 7, &[&[3, BATCH, UNITS], &[3, BATCH, UNITS]])
    };
    "GRUBlockCell" => |i| gru_cell(i);
    "GRUBlockCellGrad" but not_numerical => |i| {
        backward(i, "GRUBlockCell", "GRUBlockCellGrad", 3, &[&[BATCH, UNITS]])
    };
};

pub(super) static SAMPLES: &[&[Sample]] = &[CELLS];
