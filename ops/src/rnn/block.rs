//! Cells that are single operations. They have the variables of [`LstmCell`](super::LstmCell) and [`GruCell`](super::GruCell), so each can
//! load checkpoints of the other.

use super::block_ops::{BLOCK_LSTM, GRU_BLOCK_CELL, LSTM_BLOCK_CELL};
use super::cells::build_gru;
use super::lstm::LstmStateTuple;
use super::variables::{Variables, Wanted};
use super::{RnnCell, left, step_scope, zeros_of};
use crate::Ints;
use crate::array::{
    Index, concat, constant, expand_dims, gather_nd, range, shape, stack, strided_slice, zeros,
};
use crate::initializers::zeros as zero_values;
use crate::math::{cast, less, mul, reduce_max};
use session_core::{AsOutput, DType, Error, Graph, OpBuilder, Output};

/// The common part of LSTMs that are single operations.
#[derive(Debug)]
struct Form {
    units: usize,
    forget_bias: f32,
    cell_clip: Option<f32>,
    use_peephole: bool,
    name: String,
    variables: Variables,
}

impl Form {
    fn new(units: usize, name: &str) -> Form {
        let (name, variables) = (name.to_owned(), Variables::default());
        Form { units, forget_bias: 1.0, cell_clip: None, use_peephole: false, name, variables }
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        let zeros = zero_values();
        // The variables and shapes of `LstmCell`, so each loads checkpoints of the other.
        let mut wanted = vec![
            Wanted::new("kernel", [input_size + self.units, 4 * self.units]),
            Wanted::new("bias", [4 * self.units]).beginning_with(&zeros),
        ];
        if self.use_peephole {
            wanted.extend(["w_i_diag", "w_f_diag", "w_o_diag"].map(|name| Wanted::new(name, [self.units])));
        }
        self.variables.build(graph, &self.name, dtype, &wanted);
    }

    fn zero_state(&self, scope: &Graph, batch_size: &Ints, dtype: DType) -> LstmStateTuple {
        let zeros = || zeros_of(scope, batch_size.clone(), self.units, dtype);
        LstmStateTuple { c: zeros(), h: zeros() }
    }

    /// Adds inputs, state and variables to an operation, in the order `x, cs_prev, h_prev, w, wci, wcf,
    /// wco, b`, and the attributes.
    fn input_of(&self, builder: OpBuilder, scope: &Graph, x: &Output, state: &LstmStateTuple) -> OpBuilder {
        let get = |name: &str| self.variables.get(scope, name);
        let builder = [x, &state.c, &state.h]
            .into_iter()
            .fold(builder, |builder, input| builder.input(input.within(scope)));
        let builder = builder.input(get("kernel"));
        let builder = match self.use_peephole {
            true => builder.input(get("w_i_diag")).input(get("w_f_diag")).input(get("w_o_diag")),
            // The operation has inputs for the peepholes in any case and ignores them without `use_peephole`.
            false => {
                let none = zeros(scope, x.dtype(), [self.units]);
                builder.input(&none).input(&none).input(&none)
            }
        };
        builder
            .input(get("bias"))
            .attr("forget_bias", self.forget_bias)
            .attr("cell_clip", self.cell_clip.unwrap_or(-1.0))
            .attr("use_peephole", self.use_peephole)
    }
}

/// The options of LSTMs of single operations.
macro_rules! lstm_options {
    ($cell:ident) => {
        /// Sets the number that is added to the forget gate. Checkpoints do not store it. Default: 1.
        #[must_use]
        pub fn forget_bias(mut self, forget_bias: f32) -> $cell {
            self.form.forget_bias = forget_bias;
            self
        }

        /// Limits the cell state to this magnitude before it is used. The gradient ignores the limit. Default: no limit.
        #[must_use]
        pub fn cell_clip(mut self, cell_clip: f32) -> $cell {
            self.form.cell_clip = Some(cell_clip);
            self
        }

        /// Sets whether the gates read the cell state. Default: false.
        #[must_use]
        pub fn use_peephole(mut self, use_peephole: bool) -> $cell {
            self.form.use_peephole = use_peephole;
            self
        }

        /// Sets the name of the scope of the cell's variables.
        #[must_use]
        pub fn name(mut self, name: &str) -> $cell {
            name.clone_into(&mut self.form.name);
            self
        }
    };
}

/// An [`LstmCell`](super::LstmCell) of `float32` numbers that is one operation, under the name `lstm_cell`.
///
/// ```
/// use ops::array::placeholder;
/// use ops::rnn::{LstmBlockCell, RnnOptions, dynamic_rnn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = placeholder(&graph, DType::Float32, [Some(8), Some(5), Some(3)]);
/// let (outputs, _) = dynamic_rnn(&LstmBlockCell::new(16).use_peephole(true), &inputs, &RnnOptions::new());
/// assert_eq!(outputs.shape().to_string(), "[8,5,16]");
/// assert!(graph.operation("rnn/lstm_cell/w_i_diag").is_ok());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LstmBlockCell {
    form: Form,
}

impl LstmBlockCell {
    /// Creates a cell with this number of units.
    ///
    /// ```
    /// use ops::{array::placeholder, rnn::{LstmBlockCell, RnnOptions, dynamic_rnn}};
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let inputs = placeholder(&graph, DType::Float32, [4, 10, 3]); // batch, time, depth
    /// let (outputs, _state) = dynamic_rnn(&LstmBlockCell::new(16), &inputs, &RnnOptions::new());
    /// assert_eq!(outputs.shape().to_string(), "[4,10,16]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(units: usize) -> LstmBlockCell {
        LstmBlockCell { form: Form::new(units, "lstm_cell") }
    }

    lstm_options!(LstmBlockCell);
}

impl RnnCell for LstmBlockCell {
    type State = LstmStateTuple;

    fn output_size(&self) -> usize {
        self.form.units
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> LstmStateTuple {
        self.form.zero_state(&graph.scope("LSTMBlockCellZeroState"), &batch_size, dtype)
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        self.form.build(graph, input_size, dtype);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &LstmStateTuple) -> (Output, LstmStateTuple) {
        let scope = step_scope(graph, &self.form.name);
        // Output 6 is `h`, output 1 the cell state; the others are kept for the gradient.
        let step = self.form.input_of(scope.op(&LSTM_BLOCK_CELL), &scope, inputs, state).finish();
        let h = step.output(6);
        left(graph, (h.clone(), LstmStateTuple { c: step.output(1), h }))
    }
}

/// A [`GruCell`](super::GruCell) of `float32` numbers that is one operation, under the name `gru_cell`.
///
/// ```
/// use ops::array::placeholder;
/// use ops::rnn::{GruBlockCellV2, RnnOptions, dynamic_rnn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = placeholder(&graph, DType::Float32, [Some(8), Some(5), Some(3)]);
/// let (outputs, _) = dynamic_rnn(&GruBlockCellV2::new(16), &inputs, &RnnOptions::new());
/// assert_eq!(outputs.shape().to_string(), "[8,5,16]");
/// assert!(graph.operation("rnn/gru_cell/candidate/kernel").is_ok());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct GruBlockCellV2 {
    units: usize,
    name: String,
    variables: Variables,
}

impl GruBlockCellV2 {
    /// Creates a cell with this number of units.
    #[must_use]
    pub fn new(units: usize) -> GruBlockCellV2 {
        GruBlockCellV2 { units, name: "gru_cell".to_owned(), variables: Variables::default() }
    }

    /// Sets the name of the scope of the cell's variables.
    #[must_use]
    pub fn name(mut self, name: &str) -> GruBlockCellV2 {
        name.clone_into(&mut self.name);
        self
    }
}

impl RnnCell for GruBlockCellV2 {
    type State = Output;

    fn output_size(&self) -> usize {
        self.units
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Output {
        zeros_of(&graph.scope("GRUBlockCellV2ZeroState"), batch_size, self.units, dtype)
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        build_gru(&self.variables, graph, &self.name, dtype, input_size, self.units);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Output) -> (Output, Output) {
        let scope = step_scope(graph, &self.name);
        let builder = scope.op(&GRU_BLOCK_CELL).input(inputs.within(&scope)).input(state.within(&scope));
        // The inputs `w_ru, w_c, b_ru, b_c`: kernels before biases.
        let names = ["gates/kernel", "candidate/kernel", "gates/bias", "candidate/bias"];
        let get = |name: &&str| self.variables.get(&scope, name);
        let new = names.iter().map(get).fold(builder, OpBuilder::input).finish().output(3);
        left(graph, (new.clone(), new))
    }
}

/// An LSTM of `float32` numbers over whole sequences that is one operation, under the name `lstm_fused_cell`.
///
/// ```
/// use ops::array::placeholder;
/// use ops::rnn::LstmBlockFusedCell;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = placeholder(&graph, DType::Float32, [Some(5), Some(8), Some(3)]); // time, batch, depth
/// let cell = LstmBlockFusedCell::new(16);
/// let (outputs, state) = cell.call(&graph, &inputs, None, None);
/// assert_eq!(outputs.shape().to_string(), "[5,8,16]");
/// assert_eq!(state.h.shape().to_string(), "[8,16]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LstmBlockFusedCell {
    form: Form,
}

impl LstmBlockFusedCell {
    /// Creates a cell with this number of units.
    ///
    /// ```
    /// use ops::{array::placeholder, rnn::LstmBlockFusedCell};
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let inputs = placeholder(&graph, DType::Float32, [10, 4, 3]); // time, batch, depth
    /// let (outputs, state) = LstmBlockFusedCell::new(16).call(&graph, &inputs, None, None);
    /// assert_eq!((outputs.shape().to_string(), state.h.shape().to_string()), ("[10,4,16]".into(), "[4,16]".into()));
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(units: usize) -> LstmBlockFusedCell {
        LstmBlockFusedCell { form: Form::new(units, "lstm_fused_cell") }
    }

    lstm_options!(LstmBlockFusedCell);

    /// Applies the cell to inputs `[time, batch, depth]`. Returns the outputs of all steps and the state after the last one.
    ///
    /// Without an initial state it begins with zeros. After the end of a sequence the outputs are zero and the state does not change.
    #[must_use]
    pub fn call(
        &self,
        graph: &Graph,
        inputs: impl AsOutput,
        initial_state: Option<&LstmStateTuple>,
        sequence_length: Option<&Output>,
    ) -> (Output, LstmStateTuple) {
        let inputs = inputs.as_output();
        let depth = inputs.shape().dim(2).unwrap_or_else(|| {
            let text = format!("the depth of '{}' of shape {} must be known", inputs.name(), inputs.shape());
            graph.add_error(Error::value(text));
            1
        });
        self.form.build(graph, depth, inputs.dtype());
        let scope = graph.scope(&self.form.name);
        let inputs = inputs.within(&scope);
        let size_of = |axis: i64| strided_slice(shape(&inputs), &[Index::At(axis)]);
        let initial = initial_state.cloned().unwrap_or_else(|| {
            let batch = match inputs.shape().dim(1) {
                Some(batch) => Ints::from(batch),
                None => Ints::from(size_of(1)),
            };
            self.form.zero_state(&scope.scope("LSTMBlockFusedCellZeroState"), &batch, inputs.dtype())
        });
        let initial = LstmStateTuple { c: initial.c.within(&scope), h: initial.h.within(&scope) };
        let lengths = sequence_length.map(|lengths| cast(lengths.within(&scope), DType::Int32));
        // The operation stops after this step and fills the rest with zeros.
        let longest = match &lengths {
            Some(lengths) => reduce_max(lengths, ..),
            None => size_of(0),
        };
        let builder = scope.op(&BLOCK_LSTM).input(cast(longest, DType::Int64));
        let steps = self.form.input_of(builder, &scope, &inputs, &initial).finish();
        let all = LstmStateTuple { c: steps.output(1), h: steps.output(6) };
        match lengths {
            None => {
                let last = |steps: &Output| strided_slice(steps, &[Index::At(-1)]);
                let state = LstmStateTuple { c: last(&all.c), h: last(&all.h) };
                (all.h, state)
            }
            Some(lengths) => {
                let (zero, one) = (constant(&scope, 0i32), constant(&scope, 1i32));
                let steps = expand_dims(range(&zero, size_of(0), &one), 1);
                // The operation knows only the longest length: outputs after the end of a
                // shorter sequence are cleared here.
                let within = cast(less(steps, expand_dims(&lengths, 0)), inputs.dtype());
                let outputs = mul(all.h, expand_dims(within, -1));
                // The state before the first step comes first, so the state after a sequence is at its length, even if that is 0.
                let places = stack(&[lengths, range(&zero, size_of(1), &one)], 1);
                let behind = |first: &Output, steps: &Output| {
                    gather_nd(concat(&[expand_dims(first, 0), steps.clone()], 0), &places)
                };
                // The cell state is read before the end of its own sequence, so it needs no mask.
                let state = LstmStateTuple { c: behind(&initial.c, &all.c), h: behind(&initial.h, &outputs) };
                (outputs, state)
            }
        }
    }
}
