//! Gated recurrent units.

use crate::Pool;
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::math::Real;

/// About how long one unit of one row takes, in picoseconds.
const UNIT: usize = 1_500;

/// Computes the reset and the update gate from their sums, which are next to each other in each row, and the state times the reset gate.
///
/// ```
/// use compute::{Pool, recurrent::gru_gates};
/// let (mut reset, mut update, mut kept) = ([0f32], [0f32], [0f32]);
/// gru_gates(&Pool::single(), 1, &[0.0, 50.0], &[4.0], [&mut reset, &mut update, &mut kept]);
/// assert_eq!((reset, update, kept), ([0.5], [1.0], [2.0]));
/// ```
///
/// # Panics
/// Panics if the lengths of the slices contradict each other.
pub fn gru_gates(pool: &Pool, units: usize, sums: &[f32], state: &[f32], outputs: [&mut [f32]; 3]) {
    assert_eq!(sums.len(), 2 * state.len(), "sums of two gates");
    let rows = state.len().checked_div(units).unwrap_or(0);
    let outputs = outputs.map(|output| (output, units));
    split_outputs(pool, rows, 1, units_per_part(UNIT * units), outputs, |range, outputs| {
        let sums = &sums[2 * units * range.start..2 * units * range.end];
        gates(units, sums, &state[units * range.start..units * range.end], outputs);
    });
}

dispatch! {
    /// Computes the gates of some rows, and the state times the reset gate, from which the candidate is computed.
    fn gates(units: usize, sums: &[f32], state: &[f32], outputs: [&mut [f32]; 3]) {
        let [reset, update, kept] = outputs;
        for row in 0..state.len().checked_div(units).unwrap_or(0) {
            // Slices of one length, so that the loop below needs no checks and is vectorized.
            let (sum_r, sum_u) = sums[2 * row * units..][..2 * units].split_at(units);
            let own = row * units..(row + 1) * units;
            let (state, reset) = (&state[own.clone()], &mut reset[own.clone()]);
            let (update, kept) = (&mut update[own.clone()], &mut kept[own]);
            for k in 0..units {
                reset[k] = Real::sigmoid(sum_r[k]);
                update[k] = Real::sigmoid(sum_u[k]);
                kept[k] = state[k] * reset[k];
            }
        }
    }
}

/// Computes the candidate from its sum, in place, and the new state: `update * state + (1 - update) * candidate`.
///
/// ```
/// use compute::{Pool, recurrent::gru_output};
/// let (mut candidate, mut output) = ([0f32], [0f32]);
/// gru_output(&Pool::single(), &[0.25], &[4.0], &mut candidate, &mut output);
/// assert_eq!(output, [1.0]); // the candidate is tanh(0)
/// ```
///
/// # Panics
/// Panics if the lengths of the slices contradict each other.
pub fn gru_output(pool: &Pool, update: &[f32], state: &[f32], candidate: &mut [f32], output: &mut [f32]) {
    let outputs = [(candidate, 1), (output, 1)];
    split_outputs(pool, state.len(), 16, units_per_part(UNIT), outputs, |range, [candidate, output]| {
        blend(&update[range.clone()], &state[range], candidate, output);
    });
}

dispatch! {
    /// Computes the candidates and the new states of some elements; rows do not matter here.
    fn blend(update: &[f32], state: &[f32], candidate: &mut [f32], output: &mut [f32]) {
        let n = output.len();
        let (update, state, candidate) = (&update[..n], &state[..n], &mut candidate[..n]);
        for k in 0..n {
            candidate[k] = Real::tanh(candidate[k]);
            // As in `GRUBlockCell`, the update gate keeps the old state. Other descriptions exchange the gate
            // and its complement.
            output[k] = update[k] * state[k] + (1.0 - update[k]) * candidate[k];
        }
    }
}

/// Computes the gradient of the candidate's sum, and that of the update gate's sum in the second half of each row of `sums`, from the gradient
/// of the new state.
///
/// # Panics
/// Panics if the lengths of the slices contradict each other.
pub fn gru_output_gradient(
    pool: &Pool,
    units: usize,
    [update, candidate, state, grad]: [&[f32]; 4],
    candidate_sum: &mut [f32],
    sums: &mut [f32],
) {
    let rows = state.len().checked_div(units).unwrap_or(0);
    let outputs = [(candidate_sum, units), (sums, 2 * units)];
    split_outputs(pool, rows, 1, units_per_part(UNIT * units), outputs, |range, [candidate_sum, sums]| {
        let own = units * range.start..units * range.end;
        let inputs = [update, candidate, state, grad].map(|array| &array[own.clone()]);
        output_gradient(units, inputs, candidate_sum, sums);
    });
}

dispatch! {
    /// Computes the gradients of the candidate's sum and of the update gate's sum, for some rows.
    fn output_gradient(units: usize, inputs: [&[f32]; 4], candidate_sum: &mut [f32], sums: &mut [f32]) {
        for row in 0..candidate_sum.len().checked_div(units).unwrap_or(0) {
            let own = row * units..(row + 1) * units;
            let [update, candidate, state, grad] = inputs.map(|array| &array[own.clone()]);
            let candidate_sum = &mut candidate_sum[own];
            let of_update = &mut sums[(2 * row + 1) * units..][..units];
            for k in 0..units {
                candidate_sum[k] = grad[k] * (1.0 - update[k]) * (1.0 - candidate[k] * candidate[k]);
                of_update[k] = grad[k] * (state[k] - candidate[k]) * (update[k] * (1.0 - update[k]));
            }
        }
    }
}

/// Computes the gradient of the reset gate's sum in the first half of each row of `sums`, and the part of the state's gradient that does not
/// pass through sums of gates, from the gradient of the state times the reset gate.
///
/// # Panics
/// Panics if the lengths of the slices contradict each other.
pub fn gru_gates_gradient(
    pool: &Pool,
    units: usize,
    [reset, update, state, kept_grad, grad]: [&[f32]; 5],
    sums: &mut [f32],
    state_grad: &mut [f32],
) {
    let rows = state.len().checked_div(units).unwrap_or(0);
    let outputs = [(sums, 2 * units), (state_grad, units)];
    split_outputs(pool, rows, 1, units_per_part(UNIT * units), outputs, |range, [sums, state_grad]| {
        let own = units * range.start..units * range.end;
        let inputs = [reset, update, state, kept_grad, grad].map(|array| &array[own.clone()]);
        gates_gradient(units, inputs, sums, state_grad);
    });
}

dispatch! {
    /// Computes the gradients of the reset gate's sum and of the previous state, for some rows.
    fn gates_gradient(units: usize, inputs: [&[f32]; 5], sums: &mut [f32], state_grad: &mut [f32]) {
        for row in 0..state_grad.len().checked_div(units).unwrap_or(0) {
            let own = row * units..(row + 1) * units;
            let [reset, update, state, kept_grad, grad] = inputs.map(|array| &array[own.clone()]);
            let (state_grad, of_reset) = (&mut state_grad[own], &mut sums[2 * row * units..][..units]);
            for k in 0..units {
                of_reset[k] = kept_grad[k] * state[k] * (reset[k] * (1.0 - reset[k]));
                state_grad[k] = kept_grad[k] * reset[k] + grad[k] * update[k];
            }
        }
    }
}
