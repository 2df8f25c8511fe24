//! The gradient of the gradient of a batch normalization.

use crate::array::constants::scalar_like;
use crate::array::reshape;
use crate::gradients::{GradientOptions, gradients_with};
use crate::keep_dims;
use crate::math::{add, cast, mul, reduce_mean, reduce_sum, rsqrt, square, sub};
use session_core::{AttrValue, DType, Operation, Output, Result};

/// Builds the gradient from the formulas that the operation computes, which are differentiated in turn. The moments that
/// the operation received count as constants, as those of the batch follow from `x`.
pub(super) fn norm_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let formulas = Formulas::of(op);
    let (mut ys, mut grad_ys) = (Vec::new(), Vec::new());
    for (y, grad) in formulas.outputs(op).into_iter().zip(grads) {
        if let Some(grad) = grad {
            ys.push(y);
            grad_ys.push(Some(cast(grad, DType::Float32)));
        }
    }
    // The formulas are built on these inputs and differentiated only with respect to them: what lies
    // before is the caller's walk.
    let inputs = [op.input(0), op.input(1), op.input(2)];
    let options = GradientOptions::default().grad_ys(grad_ys).stop_gradients(inputs.to_vec());
    let mut found = gradients_with(&ys, &inputs, &options)?;
    found.resize(op.num_inputs(), None);
    Ok(found)
}

/// The common parts of the formulas.
struct Formulas {
    /// The axes over which a channel is normalized.
    axes: Vec<usize>,
    /// The shape of one number for each channel that broadcasts to the input's.
    sizes: Vec<i64>,
    epsilon: f64,
    is_training: bool,
}

impl Formulas {
    fn of(op: &Operation) -> Formulas {
        let format = op.attr("data_format").and_then(AttrValue::as_str).unwrap_or("NHWC");
        let rank = format.len();
        let channels = if format.starts_with("NC") { 1 } else { rank - 1 };
        let mut sizes = vec![1; rank];
        sizes[channels] = -1;
        Formulas {
            axes: (0..rank).filter(|&axis| axis != channels).collect(),
            sizes,
            epsilon: f64::from(op.attr("epsilon").and_then(AttrValue::as_float).unwrap_or(0.0001)),
            is_training: op.attr("is_training").and_then(AttrValue::as_bool).unwrap_or(true),
        }
    }

    /// Returns the gradients of input, scale and offset, in single precision.
    fn outputs(&self, op: &Operation) -> [Output; 3] {
        // In `float32`, as the operation computes for 16-bit inputs too.
        let [dy, x, scale] = [0, 1, 2].map(|input| cast(op.input(input), DType::Float32));
        let [scale, mean, variance] =
            [scale, op.input(3), op.input(4)].map(|vector| reshape(vector, self.sizes.as_slice()));
        let average = |x: &Output| reduce_mean(x, keep_dims(self.axes.as_slice()));
        let total = |x: &Output| reduce_sum(x, self.axes.as_slice());
        let mean = if self.is_training { average(&x) } else { mean };
        let centered = sub(&x, mean);
        let variance = if self.is_training { average(&square(&centered)) } else { variance };
        let inverse = rsqrt(add(&variance, scalar_like(&variance, self.epsilon)));
        let normalized = mul(&centered, &inverse);
        let product = mul(&dy, &normalized);
        // In training mean and variance depend on `x`, which subtracts the mean of `dy` and its component
        // along the normalized values.
        let rest = match self.is_training {
            true => sub(sub(&dy, average(&dy)), mul(&normalized, average(&product))),
            false => dy.clone(),
        };
        let of_x = mul(mul(scale, &inverse), rest);
        [of_x, total(&product), total(&dy)]
    }
}
