//! Attention of a recurrent cell over a memory, such as the outputs of an encoder.
//!
//! A mechanism computes, for each step, weights over the positions of the memory from the output of the cell. The attention is the weighted
//! sum of the memory; the wrapper feeds it back to the cell with the next inputs.

use super::variables::{Variables, Wanted};
use super::{RnnCell, left, step_scope, zeros_of};
use crate::Ints;
use crate::array::constants::scalar_like;
use crate::array::slicing::{Index, strided_slice};
use crate::array::{concat, constant, expand_dims, range, shape, squeeze};
use crate::control_flow::{Structure, TensorArray};
use crate::initializers::{self, zeros};
use crate::layers::{LayerOptions, dense};
use crate::math::{
    MatMulOptions, add, cast, less, matmul, matmul_with, mul, reduce_sum, rsqrt, select, square, tanh,
};
use crate::nn::softmax;
use session_core::{AsOutput, DType, Error, Graph, Output, PartialShape};

/// Computes the weights with which a cell attends to the positions of a memory.
pub trait AttentionMechanism {
    /// Returns the memory `[batch, positions, depth]`, with zeros after the end of each example.
    fn values(&self) -> &Output;

    /// Creates the variables for queries of this size unless they exist.
    fn build(&self, graph: &Graph, query_size: usize);

    /// Returns the weights `[batch, positions]` for queries `[batch, query_size]`. The weights of an example add up to 1.
    fn alignments(&self, graph: &Graph, query: &Output) -> Output;
}

/// The memory `[batch, places, depth]` and its keys `[batch, places, units]`, which every
/// step compares with its query.
#[derive(Debug)]
struct Memory {
    values: Output,
    keys: Output,
    /// True at the places that an example has.
    mask: Option<Output>,
    units: usize,
}

impl Memory {
    /// Prepares a memory `[batch, places, depth]`; places past the lengths are ignored.
    #[track_caller]
    fn new(memory: &Output, lengths: Option<&Output>, units: usize) -> Memory {
        let graph = memory.graph();
        if memory.shape().rank() != Some(3) {
            let (name, shape) = (memory.name(), memory.shape());
            let text = format!(
                "the memory '{name}' of an attention is [batch, places, depth], not of shape {shape}"
            );
            graph.add_error(Error::value(text));
        }
        let expected = PartialShape::from([memory.shape().dim(0)]);
        if let Some(lengths) = lengths.filter(|lengths| lengths.shape().merge(&expected).is_none()) {
            let (name, shape) = (lengths.name(), lengths.shape());
            let text = format!(
                "the lengths '{name}' of a memory have shape {shape}, not {expected}, one for each example"
            );
            graph.add_error(Error::value(text));
        }
        // `[batch, places]`: places are numbered once and compared with each length.
        let mask = lengths.map(|lengths| {
            let places = match memory.shape().dim(1) {
                Some(places) => constant(&graph, i32::try_from(places).unwrap_or(i32::MAX)),
                None => strided_slice(shape(memory), &[Index::At(1)]),
            };
            let numbers = range(constant(&graph, 0i32), places, constant(&graph, 1i32));
            less(numbers, expand_dims(cast(lengths.within(&graph), DType::Int32), 1))
        });
        // Zeros instead of padding: keys of padding would otherwise depend on
        // what the encoder computed there.
        let values = match &mask {
            Some(mask) => mul(memory, expand_dims(cast(mask, memory.dtype()), 2)),
            None => memory.clone(),
        };
        // No bias, as in TensorFlow, whose checkpoints have only `memory_layer/kernel`.
        let keys = dense(values.named("memory_layer"), units, &LayerOptions::default().use_bias(false));
        Memory { values, keys, mask, units }
    }

    /// Returns `softmax(scores)` for scores `[batch, places]`, where places past the end of
    /// an example have the share 0.
    fn shares(&self, graph: &Graph, scores: Output) -> Output {
        let Some(mask) = &self.mask else { return softmax(scores) };
        // exp(-inf) is exactly 0, so padding has no share at all, whatever its keys are.
        let lowest = scalar_like(&scores, f64::NEG_INFINITY);
        softmax(select(mask.within(graph), scores, lowest))
    }
}

/// Additive attention (Bahdanau and others, 2014): the score of a position is `v · tanh(key + W query)`.
///
/// Its variables are `memory_layer/kernel`, in the scope of the memory, and in the scope of the cell
/// `bahdanau_attention/query_layer/kernel` and `bahdanau_attention/attention_v`; with [`normalize`](BahdanauAttention::normalize)
/// also `attention_g` and `attention_b`.
///
/// ```
/// use ops::array::placeholder;
/// use ops::rnn::{AttentionWrapper, BahdanauAttention, GruCell, RnnCell};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let memory = placeholder(&graph, DType::Float32, [2, 7, 16]);
/// let lengths = placeholder(&graph, DType::Int32, [2]);
/// let attention = BahdanauAttention::new(16, &memory, Some(&lengths)).normalize(true);
/// let cell = AttentionWrapper::new(GruCell::new(8), attention).attention_layer_size(8);
/// assert_eq!(cell.output_size(), 8);
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct BahdanauAttention {
    memory: Memory,
    normalize: bool,
    variables: Variables,
}

impl BahdanauAttention {
    /// Creates the mechanism with keys of `units` numbers over a memory `[batch, positions, depth]`. `lengths` states the number of positions
    /// of each example; `None` stands for all.
    #[must_use]
    #[track_caller]
    pub fn new(units: usize, memory: impl AsOutput, lengths: Option<&Output>) -> BahdanauAttention {
        let memory = Memory::new(memory.as_output(), lengths, units);
        BahdanauAttention { memory, normalize: false, variables: Variables::default() }
    }

    /// Sets whether `v` is scaled to the norm `attention_g` and the sum has a bias. Default: false.
    #[must_use]
    pub fn normalize(mut self, normalize: bool) -> BahdanauAttention {
        self.normalize = normalize;
        self
    }
}

impl AttentionMechanism for BahdanauAttention {
    fn values(&self) -> &Output {
        &self.memory.values
    }

    fn build(&self, graph: &Graph, query_size: usize) {
        let units = self.memory.units;
        // `sqrt(1 / units)` is TensorFlow's initial `attention_g`.
        let (gain, zeros) = (initializers::constant((1.0 / units as f64).sqrt()), zeros());
        let mut wanted =
            vec![Wanted::new("query_layer/kernel", [query_size, units]), Wanted::new("attention_v", [units])];
        if self.normalize {
            wanted.push(Wanted::new("attention_g", []).beginning_with(&gain));
            wanted.push(Wanted::new("attention_b", [units]).beginning_with(&zeros));
        }
        self.variables.build(graph, "bahdanau_attention", self.memory.keys.dtype(), &wanted);
    }

    fn alignments(&self, graph: &Graph, query: &Output) -> Output {
        let scope = graph.scope("bahdanau_attention");
        let get = |name: &str| self.variables.get(&scope, name);
        // One row per example; the new axis broadcasts it over the places.
        let projected = matmul(query.within(&scope), get("query_layer/kernel"));
        let mut sum = add(self.memory.keys.within(&scope), expand_dims(projected, 1));
        let mut v = get("attention_v");
        // Weight normalization: direction and length of `v` are trained separately.
        if self.normalize {
            let norm = rsqrt(reduce_sum(square(&v), ..));
            v = mul(mul(get("attention_g"), &v), norm);
            sum = add(sum, get("attention_b"));
        }
        self.memory.shares(&scope, reduce_sum(mul(tanh(sum), v), 2))
    }
}

/// Multiplicative attention (Luong and others, 2015): the score of a position is `key · query`, so `units` must be the output size of the
/// cell.
///
/// Its variables are `memory_layer/kernel`, in the scope of the memory, and with [`scale`](LuongAttention::scale)
/// `luong_attention/attention_g` in the scope of the cell.
///
/// ```
/// use ops::array::placeholder;
/// use ops::rnn::{AttentionWrapper, GruCell, LuongAttention, RnnCell};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let memory = placeholder(&graph, DType::Float32, [2, 7, 16]);
/// let cell = AttentionWrapper::new(GruCell::new(8), LuongAttention::new(8, &memory, None).scale(true));
/// assert_eq!(cell.output_size(), 16); // the attention: a weighted sum of the memory
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct LuongAttention {
    memory: Memory,
    scale: bool,
    variables: Variables,
}

impl LuongAttention {
    /// Creates the mechanism with keys of `units` numbers over a memory `[batch, positions, depth]`. `lengths` states the number of positions
    /// of each example; `None` stands for all.
    #[must_use]
    #[track_caller]
    pub fn new(units: usize, memory: impl AsOutput, lengths: Option<&Output>) -> LuongAttention {
        let memory = Memory::new(memory.as_output(), lengths, units);
        LuongAttention { memory, scale: false, variables: Variables::default() }
    }

    /// Sets whether scores are multiplied by a variable, which begins with 1. Default: false.
    #[must_use]
    pub fn scale(mut self, scale: bool) -> LuongAttention {
        self.scale = scale;
        self
    }
}

impl AttentionMechanism for LuongAttention {
    fn values(&self) -> &Output {
        &self.memory.values
    }

    fn build(&self, graph: &Graph, query_size: usize) {
        // There is no query layer whose kernel could change the size.
        if query_size != self.memory.units {
            let units = self.memory.units;
            let text = format!(
                "LuongAttention compares keys of {units} numbers with queries of {query_size}: choose as many units as the \
                 cell has"
            );
            graph.add_error(Error::value(text));
        }
        if self.scale {
            let one = initializers::ones();
            let wanted = [Wanted::new("attention_g", []).beginning_with(&one)];
            self.variables.build(graph, "luong_attention", self.memory.keys.dtype(), &wanted);
        }
    }

    fn alignments(&self, graph: &Graph, query: &Output) -> Output {
        let scope = graph.scope("luong_attention");
        // One product per example: `[1, units] x [units, places]`.
        let transposed = MatMulOptions::default().transpose_b(true);
        let query = expand_dims(query.within(&scope), 1);
        let mut scores = squeeze(matmul_with(query, self.memory.keys.within(&scope), transposed), 1);
        if self.scale {
            scores = mul(self.variables.get(&scope, "attention_g"), scores);
        }
        self.memory.shares(&scope, scores)
    }
}

/// The state of an [`AttentionWrapper`].
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionWrapperState<S> {
    /// The state of the cell inside.
    pub cell_state: S,
    /// The attention of the last step, `[batch, attention size]`.
    pub attention: Output,
    /// The number of steps so far, an `int32` scalar.
    pub time: Output,
    /// The share of each place of the memory in the last step, `[batch, places]`.
    pub alignments: Output,
    /// The alignments of all steps so far, if the wrapper [keeps](AttentionWrapper::alignment_history) them:
    /// [`stack`](TensorArray::stack) returns them as `[steps, batch, places]`.
    pub alignment_history: Option<TensorArray>,
}

impl<S: Structure> Structure for AttentionWrapperState<S> {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        self.cell_state.append_to(outputs);
        outputs.extend([self.attention.clone(), self.time.clone(), self.alignments.clone()]);
        self.alignment_history.append_to(outputs);
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        AttentionWrapperState {
            cell_state: self.cell_state.with_next_outputs(outputs),
            attention: self.attention.with_next_outputs(outputs),
            time: self.time.with_next_outputs(outputs),
            alignments: self.alignments.with_next_outputs(outputs),
            alignment_history: self.alignment_history.with_next_outputs(outputs),
        }
    }
}

impl<S> AttentionWrapperState<S> {
    /// Returns this state with another state of the cell, such as the last state of an encoder.
    #[must_use]
    pub fn with_cell_state(self, cell_state: S) -> AttentionWrapperState<S> {
        AttentionWrapperState { cell_state, ..self }
    }
}

/// A cell that attends to a memory, under the name `attention_wrapper`: its inputs are joined with what the last step attended to,
/// and its outputs with the memory that they attend to.
///
/// ```
/// use ops::array::placeholder;
/// use ops::rnn::{AttentionWrapper, BahdanauAttention, GruCell, RnnOptions, dynamic_rnn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let memory = placeholder(&graph.named("memory"), DType::Float32, [Some(8), None, Some(6)]);
/// let inputs = placeholder(&graph.named("inputs"), DType::Float32, [Some(8), None, Some(3)]);
/// let cell = AttentionWrapper::new(GruCell::new(16), BahdanauAttention::new(10, &memory, None)).attention_layer_size(5);
/// let (outputs, state) = dynamic_rnn(&cell, &inputs, &RnnOptions::default());
/// assert_eq!(outputs.shape().to_string(), "[8,?,5]");
/// assert_eq!(state.alignments.shape().to_string(), "[8,?]");
/// assert!(graph.operation("rnn/attention_wrapper/bahdanau_attention/attention_v").is_ok());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AttentionWrapper<C, M> {
    cell: C,
    mechanism: M,
    attention_layer_size: Option<usize>,
    output_attention: bool,
    alignment_history: bool,
    variables: Variables,
}

impl<C: RnnCell, M: AttentionMechanism> AttentionWrapper<C, M> {
    /// Wraps a cell, which then attends to the memory of this mechanism.
    #[must_use]
    pub fn new(cell: C, mechanism: M) -> AttentionWrapper<C, M> {
        AttentionWrapper {
            cell,
            mechanism,
            attention_layer_size: None,
            output_attention: true,
            alignment_history: false,
            variables: Variables::default(),
        }
    }

    /// Sets the size of the layer that combines the output of the cell with the attended memory. Default: no layer, the attention is the attended
    /// memory alone.
    #[must_use]
    pub fn attention_layer_size(mut self, size: usize) -> Self {
        self.attention_layer_size = Some(size);
        self
    }

    /// Sets whether the output of a step is the attention; otherwise it is the output of the cell. Default: true.
    #[must_use]
    pub fn output_attention(mut self, output_attention: bool) -> Self {
        self.output_attention = output_attention;
        self
    }

    /// Sets whether the state keeps the alignments of all steps. Default: false.
    ///
    /// ```
    /// use ops::array::placeholder;
    /// use ops::rnn::{AttentionWrapper, BahdanauAttention, GruCell, RnnOptions, dynamic_rnn};
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let memory = placeholder(&graph.named("memory"), DType::Float32, [Some(8), Some(9), Some(6)]);
    /// let inputs = placeholder(&graph.named("inputs"), DType::Float32, [Some(8), Some(4), Some(3)]);
    /// let cell = AttentionWrapper::new(GruCell::new(16), BahdanauAttention::new(10, &memory, None)).alignment_history(true);
    /// let (_, state) = dynamic_rnn(&cell, &inputs, &RnnOptions::default());
    /// let history = state.alignment_history.expect("it is kept").stack(); // [steps, batch, places]
    /// assert_eq!(history.shape().to_string(), "[?,8,9]");
    /// # graph.finalize()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn alignment_history(mut self, alignment_history: bool) -> Self {
        self.alignment_history = alignment_history;
        self
    }

    /// Returns the size of a memory's entries; 1 for an unknown one, which the memory's layer has reported.
    fn depth(&self) -> usize {
        self.mechanism.values().shape().dim(2).unwrap_or(1)
    }

    fn attention_size(&self) -> usize {
        self.attention_layer_size.unwrap_or_else(|| self.depth())
    }
}

impl<C: RnnCell, M: AttentionMechanism> RnnCell for AttentionWrapper<C, M> {
    type State = AttentionWrapperState<C::State>;

    fn output_size(&self) -> usize {
        if self.output_attention { self.attention_size() } else { self.cell.output_size() }
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Self::State {
        let scope = graph.scope("AttentionWrapperZeroState");
        let values = self.mechanism.values();
        // The number of places may be known only when the graph runs, and then the batch is
        // read from the memory as well.
        let alignments = match values.shape().dim(1) {
            Some(places) => zeros_of(&scope, batch_size.clone(), places, dtype),
            None => {
                let sizes = strided_slice(shape(values.within(&scope)), &[Index::from(..2)]);
                crate::array::zeros(&scope, dtype, sizes)
            }
        };
        // Grows by one entry per step: nobody knows the number of steps here.
        let history = || TensorArray::new(&scope, dtype, 0usize, alignments.shape().clone()).dynamic_size();
        AttentionWrapperState {
            attention: zeros_of(&scope, batch_size.clone(), self.attention_size(), dtype),
            time: constant(&scope, 0i32),
            alignment_history: self.alignment_history.then(history),
            alignments,
            cell_state: self.cell.zero_state(&scope, batch_size, dtype),
        }
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        let scope = graph.variable_scope("attention_wrapper", graph.reuse());
        // The cell reads `[inputs, attention]`, which decides the number of rows of its kernel.
        self.cell.build(&scope, input_size + self.attention_size(), dtype);
        self.mechanism.build(&scope, self.cell.output_size());
        if let Some(size) = self.attention_layer_size {
            let kernel = Wanted::new("kernel", [self.cell.output_size() + self.depth(), size]);
            self.variables.build(&scope, "attention_layer", dtype, &[kernel]);
        }
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Self::State) -> (Output, Self::State) {
        let scope = step_scope(graph, "attention_wrapper");
        // The attention of the step before, zeros at the first one: input feeding.
        let joined = concat(&[inputs.within(&scope), state.attention.within(&scope)], 1);
        let (output, cell_state) = self.cell.call(&scope, &joined, &state.cell_state);
        let output = output.within(&scope);
        let alignments = self.mechanism.alignments(&scope, &output).within(&scope);
        let values = self.mechanism.values().within(&scope);
        // The mean of the memory with the shares as weights, `[batch, depth]`.
        let context = squeeze(matmul(expand_dims(&alignments, 1), values), 1);
        let attention = match self.attention_layer_size {
            Some(_) => {
                let layer = scope.scope("attention_layer");
                let both = concat(&[output.within(&layer), context.within(&layer)], 1);
                matmul(both, self.variables.get(&layer, "kernel"))
            }
            None => context,
        };
        let result = if self.output_attention { attention.clone() } else { output };
        let before = state.time.within(&scope);
        let written = |history: &TensorArray| {
            history.with_handle(history.handle().within(&scope)).write(&before, &alignments)
        };
        let alignment_history = state.alignment_history.as_ref().map(written);
        let next =
            AttentionWrapperState { cell_state, attention, time: &before + 1, alignments, alignment_history };
        left(graph, (result, next))
    }
}
