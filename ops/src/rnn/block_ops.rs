//! Cells as single operations, and an LSTM over a whole sequence as one.
//!
//! # Semantics
//!
//! Gates are the parts of `[x, h_prev] * w + b`, of `units` columns each. `σ` is the logistic function, and
//! all products of vectors are by element; peepholes (`wci`, `wcf`, `wco`) count only with `use_peephole`.
//!
//! | operation | order of the gates | step |
//! | --- | --- | --- |
//! | `LSTMBlockCell`, `BlockLSTM` | `i, ci, f, o` | `cs = σ(f + forget_bias) cs_prev + σ(i) tanh(ci)`; `h = σ(o) tanh(cs)` |
//! | `BlockLSTMV2` | `i, f, ci, o` | the same without `forget_bias` |
//! | `GRUBlockCell` | `r, u` in `w_ru`; `c` in `w_c` | `h = u h_prev + (1 - u) c` with `c = tanh([x, r h_prev] * w_c + b_c)` |
//!
//! A positive `cell_clip` limits `cs` before it is used, and gradients ignore the limit. `BlockLSTM`
//! processes `seq_len_max` steps of `[time, batch, depth]` and returns zeros for the others. The outputs `i,
//! f, o, ci, co` are values after their functions, which the gradient operations read.

use crate::array::{concat, slice, zeros_like};
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::math::{MatMulOptions, matmul_with, mul};
use crate::nn::bias::BIAS_ADD_GRAD;
use crate::shapes;
use session_core::{OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    LSTM_BLOCK_CELL: OpDef::new(
        "LSTMBlockCell",
        "x: T, cs_prev: T, h_prev: T, w: T, wci: T, wcf: T, wco: T, b: T \
         -> i: T, cs: T, f: T, o: T, ci: T, co: T, h: T",
    )
    .attrs("forget_bias: float = 1.0, cell_clip: float = 3.0, use_peephole: bool = false, T: {half, float}")
    .shape(cell_shape)
    .gradient(lstm_cell_gradient);
    LSTM_BLOCK_CELL_GRAD: OpDef::new(
        "LSTMBlockCellGrad",
        "x: T, cs_prev: T, h_prev: T, w: T, wci: T, wcf: T, wco: T, b: T, i: T, cs: T, f: T, o: T, ci: T, co: T, \
         cs_grad: T, h_grad: T -> cs_prev_grad: T, dicfo: T, wci_grad: T, wcf_grad: T, wco_grad: T",
    )
    .attrs("use_peephole: bool, T: {half, float}")
    .shape(cell_grad_shape);
    BLOCK_LSTM: OpDef::new(
        "BlockLSTM",
        "seq_len_max: int64, x: T, cs_prev: T, h_prev: T, w: T, wci: T, wcf: T, wco: T, b: T \
         -> i: T, cs: T, f: T, o: T, ci: T, co: T, h: T",
    )
    .attrs("forget_bias: float = 1.0, cell_clip: float = 3.0, use_peephole: bool = false, T: {half, float}")
    .shape(sequence_shape)
    .gradient(block_lstm_gradient);
    BLOCK_LSTM_V2: OpDef::new(
        "BlockLSTMV2",
        "seq_len_max: int64, x: T, cs_prev: T, h_prev: T, w: T, wci: T, wcf: T, wco: T, b: T \
         -> i: T, cs: T, f: T, o: T, ci: T, co: T, h: T",
    )
    .attrs("cell_clip: float = 0.0, use_peephole: bool = false, T: {half, float}")
    .shape(sequence_shape)
    .gradient(block_lstm_v2_gradient);
    BLOCK_LSTM_GRAD: OpDef::new("BlockLSTMGrad", BLOCK_GRAD)
        .attrs("use_peephole: bool, T: {half, float}")
        .shape(sequence_grad_shape);
    BLOCK_LSTM_GRAD_V2: OpDef::new("BlockLSTMGradV2", BLOCK_GRAD)
        .attrs("use_peephole: bool, T: {half, float}")
        .shape(sequence_grad_shape);
    GRU_BLOCK_CELL: OpDef::new(
        "GRUBlockCell",
        "x: T, h_prev: T, w_ru: T, w_c: T, b_ru: T, b_c: T -> r: T, u: T, c: T, h: T",
    )
    .attrs("T: {float}")
    .shape(cell_shape)
    .gradient(gru_cell_gradient);
    GRU_BLOCK_CELL_GRAD: OpDef::new(
        "GRUBlockCellGrad",
        "x: T, h_prev: T, w_ru: T, w_c: T, b_ru: T, b_c: T, r: T, u: T, c: T, d_h: T \
         -> d_x: T, d_h_prev: T, d_c_bar: T, d_r_bar_u_bar: T",
    )
    .attrs("T: {float}")
    .shape(gru_cell_grad_shape);
}

const BLOCK_GRAD: &str = "seq_len_max: int64, x: T, cs_prev: T, h_prev: T, w: T, wci: T, wcf: T, wco: T, b: T, i: T, \
                          cs: T, f: T, o: T, ci: T, co: T, h: T, cs_grad: T, h_grad: T -> x_grad: T, cs_prev_grad: T, \
                          h_prev_grad: T, w_grad: T, wci_grad: T, wcf_grad: T, wco_grad: T, b_grad: T";

/// Returns batch and units of a step, from its inputs and its state.
fn step_sizes(context: &ShapeContext<'_>) -> Result<(Option<usize>, Option<usize>)> {
    let (x, state) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 2)?);
    let batch = shapes::merge_dims("the batch of inputs and of the state", x.dim(0), state.dim(0))?;
    Ok((batch, state.dim(1)))
}

/// Multiplies a size, if it is known and the product fits.
fn times(size: Option<usize>, count: usize) -> Option<usize> {
    size.and_then(|size| size.checked_mul(count))
}

/// All outputs of a step are `[batch, units]`.
fn cell_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (batch, units) = step_sizes(context)?;
    (0..context.outputs()).for_each(|output| context.set(output, PartialShape::from([batch, units])));
    Ok(())
}

/// The gradients are those of the cell state `[batch, units]`, of all gates together `[batch, 4 *
/// units]`, and of the three peepholes.
fn cell_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (batch, units) = step_sizes(context)?;
    context.set(0, PartialShape::from([batch, units]));
    context.set(1, PartialShape::from([batch, times(units, 4)]));
    (2..5).for_each(|output| context.set(output, PartialShape::from([units])));
    Ok(())
}

/// All outputs are `[time, batch, units]`. The bias tells the units, because the
/// state may have an unknown shape.
fn sequence_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (x, bias) = (context.input_of_rank(1, 3)?, context.input_of_rank(8, 1)?);
    let units = match bias.dim(0) {
        Some(size) if size % 4 != 0 => {
            let text = format!("a bias of {size} numbers is not one of four gates");
            return Err(session_core::Error::value(text));
        }
        size => size.map(|size| size / 4),
    };
    let shape = PartialShape::from([x.dim(0), x.dim(1), units]);
    (0..context.outputs()).for_each(|output| context.set(output, shape.clone()));
    Ok(())
}

/// Each gradient has the shape of its input.
fn sequence_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    for (output, rank) in [3, 2, 2, 2, 1, 1, 1, 1].into_iter().enumerate() {
        let shape = context.input_of_rank(output + 1, rank)?;
        context.set(output, shape);
    }
    Ok(())
}

/// The gradients are those of `x`, of the state, of the candidate's sum `[batch, units]`, and of both
/// gates' sums `[batch, 2 * units]`.
fn gru_cell_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (batch, units) = step_sizes(context)?;
    let x = context.input_of_rank(0, 2)?;
    context.set(0, x);
    context.set(1, PartialShape::from([batch, units]));
    context.set(2, PartialShape::from([batch, units]));
    context.set(3, PartialShape::from([batch, times(units, 2)]));
    Ok(())
}

// ---- gradients -------------------------------------------------------------------------------------------

/// Returns the gradient of a kernel: `concat(multiplied)^T * grad`, where `multiplied` are the parts that the
/// operation multiplied with it.
fn of_kernel(multiplied: &[Output], grad: &Output) -> Output {
    matmul_with(concat(multiplied, 1), grad, MatMulOptions::default().transpose_a(true))
}

/// Starts a gradient operation: the inputs of the operation, then its first `outputs` outputs.
fn given(def: &'static OpDef, op: &Operation, outputs: usize, like: &Output) -> OpBuilder {
    let builder = op.inputs().iter().fold(like.graph().op(def), OpBuilder::input);
    (0..outputs).fold(builder, |builder, output| builder.input(op.output(output)))
}

/// Returns the gradients of the memory and of the output of an LSTM, if there are any; as TensorFlow's, its rule has none of the
/// gates.
fn of_state(op: &Operation, grads: &[Option<Output>]) -> Option<[Output; 2]> {
    let (memory, output) = (&grads[1], &grads[6]);
    let any = memory.as_ref().or(output.as_ref())?;
    let zeros = |index: usize| zeros_like(op.output(index).within(&any.graph()));
    Some([memory.clone().unwrap_or_else(|| zeros(1)), output.clone().unwrap_or_else(|| zeros(6))])
}

/// Copies the attribute, which the gradient operations have without a default.
fn with_peephole(builder: OpBuilder, op: &Operation) -> OpBuilder {
    match op.attr("use_peephole") {
        Some(value) => builder.attr("use_peephole", value.clone()),
        None => builder,
    }
}

/// Returns the sum over the batch: the bias is added to each row.
fn of_bias(grad: &Output) -> Output {
    grad.graph().op(&BIAS_ADD_GRAD).input(grad).finish_output()
}

/// Returns the parts of a gradient of inputs and state that are joined.
fn parted(joined: &Output, x: &Output, state: &Output) -> [Output; 2] {
    // With known sizes the parts are constants, which the engine folds; otherwise they follow
    // from the shapes at run time.
    match (x.shape().dim(1), state.shape().dim(1)) {
        (Some(depth), Some(units)) => {
            let number = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
            [
                slice(joined, [0, 0], [-1, number(depth)]),
                slice(joined, [0, number(depth)], [-1, number(units)]),
            ]
        }
        _ => {
            let depth = slice(crate::array::shape(x), [1], [1]);
            let zero = zeros_like(&depth);
            let begin = concat(&[zero.clone(), depth], 0);
            [slice(joined, [0, 0], shape_of(x)), slice(joined, begin, shape_of(state))]
        }
    }
}

/// Returns the gradients of `LSTMBlockCell`. The gradient operation has that of all gates' sums, `d`, from
/// which those of the inputs follow: `[x, h_prev]` receives `d * w^T`, `w` receives `[x, h_prev]^T * d`, and
/// `b` the sum of `d` over the batch.
fn lstm_cell_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some([memory, output]) = of_state(op, grads) else { return Ok(vec![None; 8]) };
    // Six outputs: `h`, the seventh, is no input of the gradient operation.
    let builder = given(&LSTM_BLOCK_CELL_GRAD, op, 6, &memory).input(&memory).input(output);
    let found = with_peephole(builder, op).finish();
    let (x, state, kernel, gates) = (op.input(0), op.input(2), op.input(3), found.output(1));
    let joined = matmul_with(&gates, kernel, MatMulOptions::default().transpose_b(true));
    let [of_x, of_h] = parted(&joined, &x, &state);
    let of_kernel = of_kernel(&[x, state], &gates);
    let peepholes = (2..5).map(|output| found.output(output));
    let all = [of_x, found.output(0), of_h, of_kernel].into_iter().chain(peepholes).chain([of_bias(&gates)]);
    Ok(all.map(Some).collect())
}

/// Returns the gradients of an LSTM over a sequence, all of which one operation
/// computes. `seq_len_max` has none.
fn sequence_gradient(
    def: &'static OpDef,
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let Some([memory, output]) = of_state(op, grads) else { return Ok(vec![None; 9]) };
    let builder = given(def, op, 7, &memory).input(&memory).input(output);
    let found = with_peephole(builder, op).finish().outputs();
    Ok([None].into_iter().chain(found.into_iter().map(Some)).collect())
}

fn block_lstm_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    sequence_gradient(&BLOCK_LSTM_GRAD, op, grads)
}

fn block_lstm_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    sequence_gradient(&BLOCK_LSTM_GRAD_V2, op, grads)
}

/// Returns the gradients of `GRUBlockCell`, from those of the sums of candidate and gates, as for the LSTM.
/// Only that of `h` is read: the other outputs are intermediate values.
fn gru_cell_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[3] else { return Ok(vec![None; 6]) };
    let found = given(&GRU_BLOCK_CELL_GRAD, op, 3, grad).input(grad).finish();
    let (x, state, candidate, gates) = (op.input(0), op.input(1), found.output(2), found.output(3));
    // The candidate's kernel was multiplied with `[x, r * h_prev]`, not with the state itself.
    let kept = mul(&state, op.output(0));
    let of_gates = of_kernel(&[x.clone(), state], &gates);
    let of_candidate = of_kernel(&[x, kept], &candidate);
    let all =
        [found.output(0), found.output(1), of_gates, of_candidate, of_bias(&gates), of_bias(&candidate)];
    Ok(all.map(Some).to_vec())
}
