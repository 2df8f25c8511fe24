//! Gated recurrent units.
//!
//! # Formulas
//!
//! `r, u = sigmoid([x, h] w_ru + b_ru)`, `c = tanh([x, r * h] w_c + b_c)`, `h' = u * h + (1 - u) * c`. All
//! intermediate values are outputs, because the gradient operation needs them.
//!
//! # Semantics
//!
//! `GRUBlockCell` has the inputs `x` `[batch, depth]`, `h_prev` `[batch, units]`, `w_ru`
//! `[depth + units, 2 units]`, `w_c` `[depth + units, units]`, `b_ru` and `b_c`, and returns `r`, `u`, `c`,
//! `h`. Shapes that do not fit are `InvalidArgument`. The definition allows `float32` only.
//!
//! `GRUBlockCellGrad` adds `r`, `u`, `c` and the gradient `g` of `h`. With `k = r * h`, the gradients of the
//! sums before the activations are
//!
//! ```text
//! d_c = g (1 - u) (1 - c^2)      d_u = g (h - c) u (1 - u)      d_k = d_c w_c_h^T      d_r = d_k h r (1 - r)
//! d_x = d_c w_c_x^T + [d_r, d_u] w_ru_x^T                       d_h = g u + d_k r + [d_r, d_u] w_ru_h^T
//! ```
//!
//! where `w_x` are the rows of a weight for `x` and `w_h` those for the state. It returns `d_x`, `d_h`, `d_c`
//! and `[d_r, d_u]`; the gradient function in `ops` computes the gradients of the weights and biases from the
//! last two.
//!
//! The weights are split at row `depth` and multiplied separately, so `x` and the state are never joined. The
//! products use the thread pool.

use super::{Products, check, deliver, elements, fresh};
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::kernels::widened::single;
use crate::registry::Registry;
use compute::matmul::Product;
use compute::recurrent::{gru_gates, gru_gates_gradient, gru_output, gru_output_gradient};
use session_core::{Error, Result};

/// Registers the cell and its gradient.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("GRUBlockCell", |spec| single(spec, boxed(step)));
    registry.add("GRUBlockCellGrad", |spec| single(spec, boxed(gradient)));
}

/// The sizes of a step.
#[derive(Clone, Copy)]
struct Sizes {
    /// The number of examples.
    batch: usize,
    /// The size of an input.
    depth: usize,
    /// The number of units.
    units: usize,
}

impl Sizes {
    /// Reads the sizes off the inputs, and checks that they fit together.
    fn of(context: &KernelContext<'_>) -> Result<Sizes> {
        let (&[batch, depth], &[_, units]) =
            (context.input(0).shape().dims(), context.input(1).shape().dims())
        else {
            let (x, state) = (context.input(0).shape(), context.input(1).shape());
            return Err(Error::invalid_argument(format!(
                "x and h_prev must be matrices, not of shapes {x} and {state}"
            )));
        };
        check("h_prev", context.input(1).shape(), &[batch, units])?;
        // The sizes come from shapes, which may be absurd as long as a dimension is 0.
        let both = units.checked_mul(2).ok_or_else(|| Error::invalid_argument("too many units"))?;
        let rows = depth.saturating_add(units);
        check("w_ru", context.input(2).shape(), &[rows, both])?;
        check("w_c", context.input(3).shape(), &[rows, units])?;
        check("b_ru", context.input(4).shape(), &[both])?;
        check("b_c", context.input(5).shape(), &[units])?;
        Ok(Sizes { batch, depth, units })
    }
}

/// Delivers the gates, the candidate and the new state.
fn step(context: &mut KernelContext<'_>) -> Result<()> {
    let Sizes { batch, depth, units } = Sizes::of(context)?;
    let mut outputs = fresh::<5>(context, &[batch, units])?;
    let mut sums = context.allocate::<f32>([batch, 2 * units])?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let mut products = Products { pool, scratch };
    let (x, state) = (inputs.slice::<f32>(0)?, inputs.slice::<f32>(1)?);
    let (gates_x, gates_h) = inputs.slice::<f32>(2)?.split_at(depth * 2 * units);
    let (candidate_x, candidate_h) = inputs.slice::<f32>(3)?.split_at(depth * units);
    let [reset, update, candidate, output, kept] = outputs.each_mut().map(elements);
    let sums = elements(&mut sums);
    products.with_bias(&Product::new(batch, depth, 2 * units), x, gates_x, inputs.slice(4)?, sums)?;
    products.multiply(&Product::new(batch, units, 2 * units).accumulate(), state, gates_h, sums)?;
    gru_gates(pool, units, sums, state, [reset, update, kept]);
    products.with_bias(&Product::new(batch, depth, units), x, candidate_x, inputs.slice(5)?, candidate)?;
    products.multiply(&Product::new(batch, units, units).accumulate(), kept, candidate_h, candidate)?;
    gru_output(pool, update, state, candidate, output);
    // The state times the reset gate is needed only for the product above.
    let [reset, update, candidate, output, _] = outputs;
    deliver(context, [reset, update, candidate, output]);
    Ok(())
}

/// Delivers the gradients of the input, the state, and the sums of candidate and gates.
fn gradient(context: &mut KernelContext<'_>) -> Result<()> {
    let Sizes { batch, depth, units } = Sizes::of(context)?;
    for input in 6..10 {
        check(&format!("input {input}"), context.input(input).shape(), &[batch, units])?;
    }
    let mut of_x = context.allocate::<f32>([batch, depth])?;
    let mut of_state = context.allocate::<f32>([batch, units])?;
    let mut of_candidate = context.allocate::<f32>([batch, units])?;
    let mut of_gates = context.allocate::<f32>([batch, 2 * units])?;
    let mut of_kept = context.allocate::<f32>([batch, units])?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let mut products = Products { pool, scratch };
    let [x_grad, state_grad, candidate_grad, gates_grad, kept_grad] =
        [&mut of_x, &mut of_state, &mut of_candidate, &mut of_gates, &mut of_kept].map(elements);
    let [state, reset, update, candidate, grad] =
        [inputs.slice(1)?, inputs.slice(6)?, inputs.slice(7)?, inputs.slice(8)?, inputs.slice::<f32>(9)?];
    let (gates_x, gates_h) = inputs.slice::<f32>(2)?.split_at(depth * 2 * units);
    let (candidate_x, candidate_h) = inputs.slice::<f32>(3)?.split_at(depth * units);
    gru_output_gradient(pool, units, [update, candidate, state, grad], candidate_grad, gates_grad);
    let back = |from: usize, to: usize| Product::new(batch, from, to).transpose_b();
    // First those through the candidate; the reset gate's gradient needs the result.
    products.multiply(&back(units, units), candidate_grad, candidate_h, kept_grad)?;
    products.multiply(&back(units, depth), candidate_grad, candidate_x, x_grad)?;
    gru_gates_gradient(pool, units, [reset, update, state, kept_grad, grad], gates_grad, state_grad);
    products.multiply(&back(2 * units, depth).accumulate(), gates_grad, gates_x, x_grad)?;
    products.multiply(&back(2 * units, units).accumulate(), gates_grad, gates_h, state_grad)?;
    deliver(context, [of_x, of_state, of_candidate, of_gates]);
    Ok(())
}
