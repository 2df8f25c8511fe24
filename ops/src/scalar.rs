//! Numbers that may also come from the graph: learning rates, decay factors, standard deviations.

use crate::array::constants::number;
use crate::math::cast;
use session_core::{AsOutput, DType, Graph, Output, Variable};

/// A number, or an output that yields one at each step.
///
/// ```
/// use ops::global_step::get_or_create_global_step;
/// use ops::learning_rate::{Decay, exponential_decay};
/// use ops::optimizers::GradientDescentOptimizer;
/// let graph = session_core::Graph::new();
/// let step = get_or_create_global_step(&graph);
/// let fixed = GradientDescentOptimizer::new(0.1);
/// let decaying = GradientDescentOptimizer::new(exponential_decay(0.1, &step, 1000, 0.96, Decay::Smooth));
/// # let _ = (fixed, decaying);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Always this number.
    Number(f64),
    /// The value of this output, which must be a scalar.
    Output(Output),
}

impl Scalar {
    /// Returns the number as an output of this dtype: a constant that is named by the handle, or the output itself, cast if necessary. A
    /// number that the dtype cannot represent is a build error.
    #[must_use]
    #[track_caller]
    pub fn to_output(&self, graph: &Graph, dtype: DType) -> Output {
        match self {
            Scalar::Number(value) => number(graph, dtype, *value),
            Scalar::Output(output) if output.dtype() == dtype => output.clone(),
            Scalar::Output(output) => cast(output.within(graph), dtype),
        }
    }
}

impl From<f64> for Scalar {
    fn from(number: f64) -> Scalar {
        Scalar::Number(number)
    }
}

impl From<f32> for Scalar {
    fn from(number: f32) -> Scalar {
        Scalar::Number(number.into())
    }
}

impl From<i32> for Scalar {
    fn from(number: i32) -> Scalar {
        Scalar::Number(number.into())
    }
}

impl From<Output> for Scalar {
    fn from(output: Output) -> Scalar {
        Scalar::Output(output)
    }
}

impl From<&Output> for Scalar {
    fn from(output: &Output) -> Scalar {
        Scalar::Output(output.clone())
    }
}

impl From<&Variable> for Scalar {
    fn from(variable: &Variable) -> Scalar {
        Scalar::Output(variable.as_output().clone())
    }
}
