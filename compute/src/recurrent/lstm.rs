//! Long short-term memory.

use crate::Pool;
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::math::Real;

/// The order of the four gates in a row of their sums. TensorFlow's block operations use both orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateOrder {
    /// Input, candidate, forget, output.
    Icfo,
    /// Input, forget, candidate, output.
    Ifco,
}

impl GateOrder {
    /// Returns the places of input, candidate, forget and output.
    #[inline(always)]
    fn places(self) -> [usize; 4] {
        match self {
            GateOrder::Icfo => [0, 1, 2, 3],
            GateOrder::Ifco => [0, 2, 1, 3],
        }
    }
}

/// The properties of an LSTM cell.
///
/// With the sums of the gates `i`, `c`, `f`, `o`, the cell state `s` before the step and, with peepholes,
/// their weights `p`:
///
/// ```text
/// s' = clip(sigmoid(i + p_i s) * tanh(c) + sigmoid(f + forget_bias + p_f s) * s)
/// h  = sigmoid(o + p_o s') * tanh(s')
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lstm {
    /// The number of units.
    pub units: usize,
    /// The order of the gates.
    pub order: GateOrder,
    /// The number that is added to the sum of the forget gate.
    pub forget_bias: f32,
    /// The limit of the cell state's magnitude; none if it is 0 or less.
    pub cell_clip: f32,
    /// True if the gates read the cell state.
    pub use_peephole: bool,
}

/// About how long one unit of one row takes, in picoseconds.
const UNIT: usize = 3_000;

impl Lstm {
    /// Returns the peephole weights of the input, forget and output gates, each as long as a row. For a cell without
    /// peepholes these are parts of `other`, which the loops do not use.
    ///
    /// # Panics
    /// Panics if the cell has peepholes and a slice of weights is not as long as a row.
    fn peepholes<'a>(&self, weights: [&'a [f32]; 3], other: &'a [f32]) -> [&'a [f32]; 3] {
        if self.use_peephole {
            weights
                .iter()
                .for_each(|weights| assert_eq!(weights.len(), self.units, "a weight for each unit"));
            weights
        } else {
            // Any numbers will do, since they are not used: the loop only needs slices of this length.
            [other.get(..self.units).unwrap_or_default(); 3]
        }
    }

    /// Returns the number of examples, which must be whole.
    fn rows(&self, elements: usize) -> usize {
        elements.checked_div(self.units).unwrap_or(0)
    }
}

/// Computes a step from the sums of the gates, including their biases, and the cell state before the step. The outputs are those of
/// `LSTMBlockCell`, in its order: input gate, cell state, forget gate, output gate, candidate, tanh of the cell state, output.
///
/// `peepholes` are the weights of the cell state for the input, forget, and output gates.
///
/// ```
/// use compute::Pool;
/// use compute::recurrent::{GateOrder, Lstm, lstm};
/// let cell = Lstm { units: 1, order: GateOrder::Icfo, forget_bias: 0.0, cell_clip: 0.0, use_peephole: false };
/// let mut outputs = [[0f32]; 7];
/// let [i, cs, f, o, ci, co, h] = outputs.each_mut().map(|output| output.as_mut_slice());
/// // Gates that are wide open: the cell state is kept, and the candidate is added.
/// lstm(&Pool::single(), &cell, &[50.0, 50.0, 50.0, 50.0], &[0.5], [&[]; 3], [i, cs, f, o, ci, co, h]);
/// assert_eq!(outputs[1], [1.5]);
/// ```
///
/// # Panics
/// Panics if the lengths of the slices contradict each other.
pub fn lstm(
    pool: &Pool,
    cell: &Lstm,
    sums: &[f32],
    memory: &[f32],
    peepholes: [&[f32]; 3],
    outputs: [&mut [f32]; 7],
) {
    let (units, rows) = (cell.units, cell.rows(memory.len()));
    assert_eq!(sums.len(), 4 * memory.len(), "sums of four gates");
    let peepholes = cell.peepholes(peepholes, memory);
    let outputs = outputs.map(|output| (output, units));
    split_outputs(pool, rows, 1, units_per_part(UNIT * units), outputs, |range, outputs| {
        let sums = &sums[4 * units * range.start..4 * units * range.end];
        forward(*cell, sums, &memory[units * range.start..units * range.end], peepholes, outputs);
    });
}

dispatch! {
    /// Computes some rows: gates, cell state and output. `memory` is the cell state before the step.
    fn forward(cell: Lstm, sums: &[f32], memory: &[f32], peepholes: [&[f32]; 3], outputs: [&mut [f32]; 7]) {
        let units = cell.units;
        let [i, cs, f, o, ci, co, h] = outputs;
        let [place_i, place_c, place_f, place_o] = cell.order.places();
        let [w_i, w_f, w_o] = peepholes.map(|weights| &weights[..units]);
        for row in 0..memory.len().checked_div(units).unwrap_or(0) {
            let sums = &sums[4 * row * units..][..4 * units];
            let part = |place: usize| &sums[place * units..][..units];
            let (sum_i, sum_c, sum_f, sum_o) = (part(place_i), part(place_c), part(place_f), part(place_o));
            let own = row * units..(row + 1) * units;
            let before = &memory[own.clone()];
            let (i, cs, f) = (&mut i[own.clone()], &mut cs[own.clone()], &mut f[own.clone()]);
            let (o, ci, co, h) = (&mut o[own.clone()], &mut ci[own.clone()], &mut co[own.clone()], &mut h[own]);
            for k in 0..units {
                let (mut at_i, mut at_f, mut at_o) = (sum_i[k], sum_f[k] + cell.forget_bias, sum_o[k]);
                if cell.use_peephole {
                    at_i += before[k] * w_i[k];
                    at_f += before[k] * w_f[k];
                }
                let (input, forget, candidate) = (Real::sigmoid(at_i), Real::sigmoid(at_f), Real::tanh(sum_c[k]));
                let mut memory = input * candidate + forget * before[k];
                if cell.cell_clip > 0.0 {
                    // NaN remains NaN.
                    memory = if memory > cell.cell_clip { cell.cell_clip } else { memory };
                    memory = if memory < -cell.cell_clip { -cell.cell_clip } else { memory };
                }
                if cell.use_peephole {
                    // The output gate sees the new cell state, after clipping; the other gates saw the old
                    // one.
                    at_o += memory * w_o[k];
                }
                let (seen, output) = (Real::tanh(memory), Real::sigmoid(at_o));
                (i[k], cs[k], f[k], o[k]) = (input, memory, forget, output);
                (ci[k], co[k], h[k]) = (candidate, seen, output * seen);
            }
        }
    }
}

/// The results of a step, and the cell state before it.
#[derive(Clone, Copy, Debug)]
pub struct LstmStep<'a> {
    /// The cell state before the step.
    pub memory: &'a [f32],
    /// The outputs of [`lstm`], in their order, without the last one.
    pub outputs: [&'a [f32]; 6],
}

/// Computes the gradients of the sums of the gates and of the cell state before the step, from the gradients of the cell state and the output
/// after it. As in TensorFlow, the gradient ignores clipping.
///
/// # Panics
/// Panics if the lengths of the slices contradict each other.
pub fn lstm_gradient(
    pool: &Pool,
    cell: &Lstm,
    step: LstmStep<'_>,
    [memory_grad, output_grad]: [&[f32]; 2],
    peepholes: [&[f32]; 3],
    sums: &mut [f32],
    before_grad: &mut [f32],
) {
    let (units, rows) = (cell.units, cell.rows(step.memory.len()));
    let peepholes = cell.peepholes(peepholes, step.memory);
    let outputs = [(sums, 4 * units), (before_grad, units)];
    split_outputs(pool, rows, 1, units_per_part(UNIT * units), outputs, |range, [sums, before_grad]| {
        let own = units * range.start..units * range.end;
        let part = |array: &'_ [f32]| -> std::ops::Range<usize> {
            assert_eq!(array.len(), units * rows, "a number for each unit of each row");
            own.clone()
        };
        let kept = step.outputs.map(|array| &array[part(array)]);
        let grads = [&memory_grad[part(memory_grad)], &output_grad[part(output_grad)]];
        backward(*cell, &step.memory[own.clone()], kept, grads, peepholes, sums, before_grad);
    });
}

dispatch! {
    /// Computes the gradients of some rows. `kept` are the outputs of the step, without the last one.
    fn backward(
        cell: Lstm,
        before: &[f32],
        kept: [&[f32]; 6],
        grads: [&[f32]; 2],
        peepholes: [&[f32]; 3],
        sums: &mut [f32],
        before_grad: &mut [f32]
    ) {
        let units = cell.units;
        let [place_i, place_c, place_f, place_o] = cell.order.places();
        let [w_i, w_f, w_o] = peepholes.map(|weights| &weights[..units]);
        for row in 0..before.len().checked_div(units).unwrap_or(0) {
            let own = row * units..(row + 1) * units;
            let before = &before[own.clone()];
            let [i, _, f, o, ci, co] = kept.map(|array| &array[own.clone()]);
            let [memory_grad, output_grad] = grads.map(|array| &array[own.clone()]);
            let (before_grad, sums) = (&mut before_grad[own], &mut sums[4 * row * units..][..4 * units]);
            for k in 0..units {
                let of_output = o[k] * (1.0 - o[k]) * output_grad[k] * co[k];
                let mut of_memory = (1.0 - co[k] * co[k]) * output_grad[k] * o[k] + memory_grad[k];
                if cell.use_peephole {
                    of_memory += of_output * w_o[k];
                }
                let of_input = i[k] * (1.0 - i[k]) * of_memory * ci[k];
                let of_forget = f[k] * (1.0 - f[k]) * of_memory * before[k];
                let of_candidate = (1.0 - ci[k] * ci[k]) * of_memory * i[k];
                sums[place_i * units + k] = of_input;
                sums[place_c * units + k] = of_candidate;
                sums[place_f * units + k] = of_forget;
                sums[place_o * units + k] = of_output;
                before_grad[k] = of_memory * f[k];
                if cell.use_peephole {
                    before_grad[k] += of_input * w_i[k] + of_forget * w_f[k];
                }
            }
        }
    }
}
