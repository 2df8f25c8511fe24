//! Long short-term memory.

use super::cells::{gates, linear};
use super::variables::{Variables, Wanted};
use super::{Activation, RnnCell, left, step_scope, zeros_of};
use crate::Ints;
use crate::array::concat;
use crate::control_flow::Structure;
use crate::initializers::{ones, zeros};
use crate::keep_dims;
use crate::math::{clip_by_value, matmul, rsqrt, sigmoid, square, tanh};
use crate::nn::{bias_add, dropout};
use session_core::{DType, Graph, Output};

/// The state of an LSTM: the cell state `c` and the output `h`. TensorFlow's `LSTMStateTuple`.
///
/// ```
/// use ops::{array::placeholder, rnn::{BasicLstmCell, LstmStateTuple, RnnOptions, dynamic_rnn_from}};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = placeholder(&graph, DType::Float32, [4, 10, 3]);
/// let [c, h] = ["c", "h"].map(|name| placeholder(&graph.named(name), DType::Float32, [4, 16]));
/// let start = LstmStateTuple { c, h };
/// let (_outputs, last) = dynamic_rnn_from(&BasicLstmCell::new(16), &inputs, start, &RnnOptions::new());
/// assert_eq!(last.c.shape().to_string(), "[4,16]");
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LstmStateTuple {
    /// The memory.
    pub c: Output,
    /// The output.
    pub h: Output,
}

impl Structure for LstmStateTuple {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        outputs.extend([self.c.clone(), self.h.clone()]);
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        let c = self.c.with_next_outputs(outputs);
        LstmStateTuple { c, h: self.h.with_next_outputs(outputs) }
    }
}

/// An LSTM without extras, under the name `basic_lstm_cell`: `i, j, f, o = W [x, h] + b`,
/// `c' = σ(f + forget_bias) c + σ(i) tanh(j)`, `h' = σ(o) tanh(c')`.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// # let x = ops::array::placeholder(&graph, DType::Float32, [Some(8), Some(20), Some(16)]);
/// use ops::rnn::{BasicLstmCell, RnnOptions, dynamic_rnn};
/// let (outputs, state) = dynamic_rnn(&BasicLstmCell::new(32), &x, &RnnOptions::new());
/// assert_eq!((outputs.shape().to_string(), state.h.shape().to_string()), ("[8,20,32]".into(), "[8,32]".into()));
/// ```
#[derive(Debug)]
pub struct BasicLstmCell {
    units: usize,
    forget_bias: f64,
    activation: Activation,
    name: String,
    variables: Variables,
}

impl BasicLstmCell {
    /// Creates a cell with this number of units.
    #[must_use]
    pub fn new(units: usize) -> BasicLstmCell {
        let (name, variables) = ("basic_lstm_cell".to_owned(), Variables::default());
        BasicLstmCell { units, forget_bias: 1.0, activation: |x| tanh(x), name, variables }
    }

    /// Sets the number that is added to the forget gate. Checkpoints do not store it. Default: 1.
    ///
    /// ```
    /// use ops::rnn::BasicLstmCell;
    /// let cell = BasicLstmCell::new(32).forget_bias(0.0);
    /// # let _ = cell;
    /// ```
    #[must_use]
    pub fn forget_bias(mut self, forget_bias: f64) -> BasicLstmCell {
        self.forget_bias = forget_bias;
        self
    }

    /// Sets the function that is applied to the cell state and to the candidate. Default: tanh.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> BasicLstmCell {
        self.activation = activation;
        self
    }

    /// Sets the name of the scope of the cell's variables.
    #[must_use]
    pub fn name(mut self, name: &str) -> BasicLstmCell {
        name.clone_into(&mut self.name);
        self
    }
}

impl RnnCell for BasicLstmCell {
    type State = LstmStateTuple;

    fn output_size(&self) -> usize {
        self.units
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> LstmStateTuple {
        let scope = graph.scope("BasicLSTMCellZeroState");
        let zeros = || zeros_of(&scope, batch_size.clone(), self.units, dtype);
        LstmStateTuple { c: zeros(), h: zeros() }
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        let zeros = zeros();
        let kernel = Wanted::new("kernel", [input_size + self.units, 4 * self.units]);
        let bias = Wanted::new("bias", [4 * self.units]).beginning_with(&zeros);
        self.variables.build(graph, &self.name, dtype, &[kernel, bias]);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &LstmStateTuple) -> (Output, LstmStateTuple) {
        let scope = step_scope(graph, &self.name);
        let [kernel, bias] = ["kernel", "bias"].map(|name| self.variables.get(&scope, name));
        let [i, j, f, o] = gates(linear(&[inputs.within(&scope), state.h.within(&scope)], &kernel, &bias));
        let kept = &state.c.within(&scope) * &sigmoid(&f + self.forget_bias);
        let c = &kept + &(&sigmoid(i) * &(self.activation)(&j));
        let h = &(self.activation)(&c) * &sigmoid(o);
        left(graph, (h.clone(), LstmStateTuple { c, h }))
    }
}

/// An LSTM with peepholes, clipping and projection as options, under the name `lstm_cell`.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// # let x = ops::array::placeholder(&graph, DType::Float32, [Some(8), Some(20), Some(16)]);
/// use ops::rnn::{LstmCell, RnnOptions, dynamic_rnn};
/// let cell = LstmCell::new(32).use_peepholes(true).num_proj(16);
/// let (outputs, state) = dynamic_rnn(&cell, &x, &RnnOptions::new());
/// assert_eq!((outputs.shape().to_string(), state.c.shape().to_string()), ("[8,20,16]".into(), "[8,32]".into()));
/// ```
#[derive(Debug)]
pub struct LstmCell {
    units: usize,
    use_peepholes: bool,
    cell_clip: Option<f64>,
    num_proj: Option<usize>,
    proj_clip: Option<f64>,
    forget_bias: f64,
    activation: Activation,
    name: String,
    variables: Variables,
}

impl LstmCell {
    /// Creates a cell with this number of units.
    #[must_use]
    pub fn new(units: usize) -> LstmCell {
        LstmCell {
            units,
            use_peepholes: false,
            cell_clip: None,
            num_proj: None,
            proj_clip: None,
            forget_bias: 1.0,
            activation: |x| tanh(x),
            name: "lstm_cell".to_owned(),
            variables: Variables::default(),
        }
    }

    /// Sets whether the gates also see the memory. Default: false.
    ///
    /// ```
    /// use ops::rnn::LstmCell;
    /// let cell = LstmCell::new(32).use_peepholes(true);
    /// # let _ = cell;
    /// ```
    #[must_use]
    pub fn use_peepholes(mut self, use_peepholes: bool) -> LstmCell {
        self.use_peepholes = use_peepholes;
        self
    }

    /// Clips the memory to this distance from 0 before it is used. Default: no clipping.
    ///
    /// ```
    /// use ops::rnn::LstmCell;
    /// let cell = LstmCell::new(32).cell_clip(3.0);
    /// # let _ = cell;
    /// ```
    #[must_use]
    pub fn cell_clip(mut self, cell_clip: f64) -> LstmCell {
        self.cell_clip = Some(cell_clip);
        self
    }

    /// Projects the output to this many numbers. Default: no projection.
    ///
    /// ```
    /// use ops::rnn::LstmCell;
    /// let cell = LstmCell::new(32).num_proj(16);
    /// # let _ = cell;
    /// ```
    #[must_use]
    pub fn num_proj(mut self, num_proj: usize) -> LstmCell {
        self.num_proj = Some(num_proj);
        self
    }

    /// Clips the projected output to this distance from 0. Default: no clipping.
    ///
    /// ```
    /// use ops::rnn::LstmCell;
    /// let cell = LstmCell::new(32).num_proj(16).proj_clip(3.0);
    /// # let _ = cell;
    /// ```
    #[must_use]
    pub fn proj_clip(mut self, proj_clip: f64) -> LstmCell {
        self.proj_clip = Some(proj_clip);
        self
    }

    /// Sets the number that is added to the forget gate. Checkpoints do not store it. Default: 1.
    #[must_use]
    pub fn forget_bias(mut self, forget_bias: f64) -> LstmCell {
        self.forget_bias = forget_bias;
        self
    }

    /// Sets the function that is applied to the cell state and to the candidate. Default: tanh.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> LstmCell {
        self.activation = activation;
        self
    }

    /// Sets the name of the scope of the cell's variables.
    #[must_use]
    pub fn name(mut self, name: &str) -> LstmCell {
        name.clone_into(&mut self.name);
        self
    }
}

/// Limits `x` to `[-limit, limit]`; the gradient is zero beyond. Without a limit `x` is returned as it is.
fn clipped(x: Output, limit: Option<f64>) -> Output {
    let Some(limit) = limit else { return x };
    let number = |value: f64| crate::array::constants::number(&x.graph(), x.dtype(), value);
    let (low, high) = (number(-limit), number(limit));
    clip_by_value(x, low, high)
}

impl RnnCell for LstmCell {
    type State = LstmStateTuple;

    fn output_size(&self) -> usize {
        self.num_proj.unwrap_or(self.units)
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> LstmStateTuple {
        let scope = graph.scope("LSTMCellZeroState");
        let c = zeros_of(&scope, batch_size.clone(), self.units, dtype);
        LstmStateTuple { c, h: zeros_of(&scope, batch_size, self.output_size(), dtype) }
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        let zeros = zeros();
        let mut wanted = vec![
            Wanted::new("kernel", [input_size + self.output_size(), 4 * self.units]),
            Wanted::new("bias", [4 * self.units]).beginning_with(&zeros),
        ];
        if self.use_peepholes {
            wanted.extend(["w_f_diag", "w_i_diag", "w_o_diag"].map(|name| Wanted::new(name, [self.units])));
        }
        if let Some(size) = self.num_proj {
            wanted.push(Wanted::new("projection/kernel", [self.units, size]));
        }
        self.variables.build(graph, &self.name, dtype, &wanted);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &LstmStateTuple) -> (Output, LstmStateTuple) {
        let scope = step_scope(graph, &self.name);
        let get = |name: &str| self.variables.get(&scope, name);
        let sum = linear(&[inputs.within(&scope), state.h.within(&scope)], &get("kernel"), &get("bias"));
        let [i, j, f, o] = gates(sum);
        let before = state.c.within(&scope);
        // Peepholes are diagonal: each unit sees only its own memory.
        let seen = |gate: Output, name: &str, memory: &Output| match self.use_peepholes {
            true => &gate + &(&get(name) * memory),
            false => gate,
        };
        let forget = sigmoid(seen(&f + self.forget_bias, "w_f_diag", &before));
        let input = sigmoid(seen(i, "w_i_diag", &before));
        let c = &(&forget * &before) + &(&input * &(self.activation)(&j));
        // Clipped before the output gate reads it, so gate, output and next step see the same value.
        let c = clipped(c, self.cell_clip);
        // The output gate sees the new memory, the other gates see the old one.
        let output = sigmoid(seen(o, "w_o_diag", &c));
        let mut h = &output * &(self.activation)(&c);
        if self.num_proj.is_some() {
            h = clipped(matmul(&h, get("projection/kernel")), self.proj_clip);
        }
        left(graph, (h.clone(), LstmStateTuple { c, h }))
    }
}

/// An LSTM whose gates and cell state are normalized over the units, with dropout on the candidate. Its default name is
/// `layer_norm_basic_lstm_cell`.
///
/// ```
/// use ops::{array::placeholder, rnn::{LayerNormBasicLstmCell, RnnOptions, dynamic_rnn}};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = placeholder(&graph, DType::Float32, [4, 10, 3]);
/// let cell = LayerNormBasicLstmCell::new(16).dropout_keep_prob(0.9, Some(1));
/// let (outputs, _state) = dynamic_rnn(&cell, &inputs, &RnnOptions::new());
/// assert_eq!(outputs.shape().to_string(), "[4,10,16]");
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct LayerNormBasicLstmCell {
    units: usize,
    forget_bias: f64,
    layer_norm: bool,
    dropout_keep_prob: f64,
    seed: Option<i64>,
    name: String,
    variables: Variables,
}

impl LayerNormBasicLstmCell {
    /// Creates a cell with this number of units.
    #[must_use]
    pub fn new(units: usize) -> LayerNormBasicLstmCell {
        LayerNormBasicLstmCell {
            units,
            forget_bias: 1.0,
            layer_norm: true,
            dropout_keep_prob: 1.0,
            seed: None,
            name: "layer_norm_basic_lstm_cell".to_owned(),
            variables: Variables::default(),
        }
    }

    /// Sets the number that is added to the forget gate. Checkpoints do not store it. Default: 1.
    #[must_use]
    pub fn forget_bias(mut self, forget_bias: f64) -> LayerNormBasicLstmCell {
        self.forget_bias = forget_bias;
        self
    }

    /// Sets whether the gates and the cell state are normalized; otherwise they have a bias. Default: true.
    #[must_use]
    pub fn layer_norm(mut self, layer_norm: bool) -> LayerNormBasicLstmCell {
        self.layer_norm = layer_norm;
        self
    }

    /// Sets the share of the candidate that is kept, and the operation-level seed of the dropout. Default: 1, no dropout.
    #[must_use]
    pub fn dropout_keep_prob(mut self, keep_prob: f64, seed: Option<i64>) -> LayerNormBasicLstmCell {
        self.dropout_keep_prob = keep_prob;
        self.seed = seed;
        self
    }

    /// Returns `gamma * (x - mean) / sqrt(variance + 1e-12) + beta` over the units, or `x`
    /// itself without normalization.
    fn norm(&self, scope: &Graph, x: Output, name: &str) -> Output {
        if !self.layer_norm {
            return x;
        }
        let mean = crate::math::reduce_mean(&x, keep_dims(-1));
        let centered = &x - &mean;
        // Of the centered values: the mean of squares minus the square of the mean would cancel.
        let variance = crate::math::reduce_mean(square(&centered), keep_dims(-1));
        // 1e-12 is the epsilon of `tf.contrib.layers.layer_norm`.
        let scaled = &centered * &rsqrt(&variance + 1e-12);
        let [gamma, beta] =
            ["gamma", "beta"].map(|part| self.variables.get(scope, &format!("{name}/{part}")));
        &(&scaled * &gamma) + &beta
    }
}

/// The parts that are normalized, by the names of their scopes: the four gates in the order of the
/// kernel, then the cell state.
const NORMED: [&str; 5] = ["input", "transform", "forget", "output", "state"];

impl RnnCell for LayerNormBasicLstmCell {
    type State = LstmStateTuple;

    fn output_size(&self) -> usize {
        self.units
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> LstmStateTuple {
        let scope = graph.scope("LayerNormBasicLSTMCellZeroState");
        let zeros = || zeros_of(&scope, batch_size.clone(), self.units, dtype);
        LstmStateTuple { c: zeros(), h: zeros() }
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        let (ones, zeros) = (ones(), zeros());
        let names: Vec<[String; 2]> =
            NORMED.iter().map(|name| [format!("{name}/gamma"), format!("{name}/beta")]).collect();
        let mut wanted = vec![Wanted::new("kernel", [input_size + self.units, 4 * self.units])];
        // `beta` takes the place of the bias, so there is only one of them.
        if self.layer_norm {
            for [gamma, beta] in &names {
                wanted.push(Wanted::new(gamma, [self.units]).beginning_with(&ones));
                wanted.push(Wanted::new(beta, [self.units]).beginning_with(&zeros));
            }
        } else {
            wanted.push(Wanted::new("bias", [4 * self.units]).beginning_with(&zeros));
        }
        self.variables.build(graph, &self.name, dtype, &wanted);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &LstmStateTuple) -> (Output, LstmStateTuple) {
        let scope = step_scope(graph, &self.name);
        let joined = concat(&[inputs.within(&scope), state.h.within(&scope)], 1);
        let mut sum = matmul(joined, self.variables.get(&scope, "kernel"));
        if !self.layer_norm {
            sum = bias_add(sum, self.variables.get(&scope, "bias"));
        }
        let [i, j, f, o] = gates(sum);
        let [i, j, f, o] = [(i, "input"), (j, "transform"), (f, "forget"), (o, "output")]
            .map(|(gate, name)| self.norm(&scope, gate, name));
        let candidate = dropout(tanh(j), 1.0 - self.dropout_keep_prob, self.seed);
        let kept = &state.c.within(&scope) * &sigmoid(&f + self.forget_bias);
        // The normalized value is the state: the next step reads it too, as in `tf.contrib.rnn`.
        let c = self.norm(&scope, &kept + &(&sigmoid(i) * &candidate), "state");
        let h = &tanh(&c) * &sigmoid(o);
        left(graph, (h.clone(), LstmStateTuple { c, h }))
    }
}
