//! Simple and gated recurrent cells.

use super::variables::{Variables, Wanted};
use super::{Activation, RnnCell, left, step_scope, zeros_of};
use crate::Ints;
use crate::array::{concat, split};
use crate::initializers::{Initializer, ones, zeros};
use crate::math::{matmul, sigmoid, tanh};
use crate::nn::bias_add;
use session_core::{DType, Graph, Output};

/// `h' = tanh(W [x, h] + b)`, under the name `basic_rnn_cell`.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// # let x = ops::array::placeholder(&graph, DType::Float32, [Some(8), Some(20), Some(16)]);
/// use ops::rnn::{BasicRnnCell, RnnOptions, dynamic_rnn};
/// // x is [batch, time, depth].
/// let (outputs, state) = dynamic_rnn(&BasicRnnCell::new(32), &x, &RnnOptions::new());
/// assert_eq!((outputs.shape().to_string(), state.shape().to_string()), ("[8,20,32]".into(), "[8,32]".into()));
/// ```
#[derive(Debug)]
pub struct BasicRnnCell {
    units: usize,
    activation: Activation,
    name: String,
    variables: Variables,
}

impl BasicRnnCell {
    /// Creates a cell with this number of units.
    #[must_use]
    pub fn new(units: usize) -> BasicRnnCell {
        let (name, variables) = ("basic_rnn_cell".to_owned(), Variables::default());
        BasicRnnCell { units, activation: |x| tanh(x), name, variables }
    }

    /// Sets the function that is applied to the sum. Default: tanh.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> BasicRnnCell {
        self.activation = activation;
        self
    }

    /// Sets the name of the scope of the cell's variables.
    #[must_use]
    pub fn name(mut self, name: &str) -> BasicRnnCell {
        name.clone_into(&mut self.name);
        self
    }
}

/// Splits `[batch, N * units]` into the parts of `N` gates. If the sum is an invalid output,
/// each part carries the error.
pub(super) fn gates<const N: usize>(sum: Output) -> [Output; N] {
    let parts = split(sum, N, 1);
    std::array::from_fn(|part| parts.get(part).unwrap_or(&parts[0]).clone())
}

/// Returns `concat(parts) * kernel + bias`. One product instead of one per part, as
/// TensorFlow's kernels are stored.
pub(super) fn linear(parts: &[Output], kernel: &Output, bias: &Output) -> Output {
    bias_add(matmul(concat(parts, 1), kernel), bias)
}

impl RnnCell for BasicRnnCell {
    type State = Output;

    fn output_size(&self) -> usize {
        self.units
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Output {
        zeros_of(&graph.scope("BasicRNNCellZeroState"), batch_size, self.units, dtype)
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        let zeros = zeros();
        let kernel = Wanted::new("kernel", [input_size + self.units, self.units]);
        let bias = Wanted::new("bias", [self.units]).beginning_with(&zeros);
        self.variables.build(graph, &self.name, dtype, &[kernel, bias]);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Output) -> (Output, Output) {
        let scope = step_scope(graph, &self.name);
        let [kernel, bias] = ["kernel", "bias"].map(|name| self.variables.get(&scope, name));
        let sum = linear(&[inputs.within(&scope), state.within(&scope)], &kernel, &bias);
        let output = (self.activation)(&sum);
        left(graph, (output.clone(), output))
    }
}

/// The gated recurrent unit, under the name `gru_cell`: `r, u = σ(W [x, h] + b)`, `c = tanh(W' [x, r h] + b')`,
/// `h' = u h + (1 - u) c`. The bias of the gates begins with ones.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// # let x = ops::array::placeholder(&graph, DType::Float32, [Some(8), Some(20), Some(16)]);
/// use ops::rnn::{GruCell, RnnOptions, dynamic_rnn};
/// let (outputs, _) = dynamic_rnn(&GruCell::new(32), &x, &RnnOptions::new());
/// assert_eq!(outputs.shape().to_string(), "[8,20,32]");
/// ```
#[derive(Debug)]
pub struct GruCell {
    units: usize,
    activation: Activation,
    name: String,
    variables: Variables,
}

impl GruCell {
    /// Creates a cell with this number of units.
    #[must_use]
    pub fn new(units: usize) -> GruCell {
        let (name, variables) = ("gru_cell".to_owned(), Variables::default());
        GruCell { units, activation: |x| tanh(x), name, variables }
    }

    /// Sets the function that is applied to the candidate. Default: tanh.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> GruCell {
        self.activation = activation;
        self
    }

    /// Sets the name of the scope of the cell's variables.
    #[must_use]
    pub fn name(mut self, name: &str) -> GruCell {
        name.clone_into(&mut self.name);
        self
    }
}

/// Makes the variables of a gated recurrent unit, whatever operations compute it.
pub(super) fn build_gru(
    variables: &Variables,
    graph: &Graph,
    name: &str,
    dtype: DType,
    input_size: usize,
    units: usize,
) {
    let depth = input_size + units;
    // Gates that begin open keep the state over many steps before anything is trained.
    let (ones, zeros) = (ones(), zeros());
    let wanted = [
        Wanted::new("gates/kernel", [depth, 2 * units]),
        Wanted::new("gates/bias", [2 * units]).beginning_with(&ones as &dyn Initializer),
        Wanted::new("candidate/kernel", [depth, units]),
        Wanted::new("candidate/bias", [units]).beginning_with(&zeros),
    ];
    variables.build(graph, name, dtype, &wanted);
}

impl RnnCell for GruCell {
    type State = Output;

    fn output_size(&self) -> usize {
        self.units
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Output {
        zeros_of(&graph.scope("GRUCellZeroState"), batch_size, self.units, dtype)
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        build_gru(&self.variables, graph, &self.name, dtype, input_size, self.units);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Output) -> (Output, Output) {
        let scope = step_scope(graph, &self.name);
        let get = |name: &str| self.variables.get(&scope, name);
        let (x, h) = (inputs.within(&scope), state.within(&scope));
        let sum = linear(&[x.clone(), h.clone()], &get("gates/kernel"), &get("gates/bias"));
        let [reset, update] = gates(sigmoid(sum));
        // The reset gate is applied to the state before the product, which
        // distinguishes this form from cuDNN's.
        let candidate = linear(&[x, &reset * &h], &get("candidate/kernel"), &get("candidate/bias"));
        let candidate = (self.activation)(&candidate);
        let new = &(&update * &h) + &(&(1.0 - &update) * &candidate);
        left(graph, (new.clone(), new))
    }
}
