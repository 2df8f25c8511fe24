//! Recurrent networks: a cell applied to the steps of sequences, in a loop or unrolled.

use super::{RnnCell, carried, left};
use crate::Ints;
use crate::array::slicing::{Index, strided_slice};
use crate::array::{constant, reverse, reverse_sequence, shape, transpose, zeros_like};
use crate::control_flow::{TensorArray, WhileOptions, while_loop_with};
use crate::math::cast::cast;
use crate::math::compare::less;
use crate::math::{maximum, minimum, reduce_max, select_rows};
use session_core::{AsOutput, DType, Error, Graph, Output, PartialShape, Reuse};

/// Options of [`dynamic_rnn`] and [`static_rnn`].
///
/// ```
/// use ops::{array::constant, rnn::RnnOptions};
/// let graph = session_core::Graph::new();
/// let options = RnnOptions::new().sequence_length(constant(&graph, [5, 3, 8])).scope("encoder");
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct RnnOptions {
    sequence_length: Option<Output>,
    time_major: bool,
    scope: String,
}

impl Default for RnnOptions {
    fn default() -> RnnOptions {
        RnnOptions::new()
    }
}

impl RnnOptions {
    /// Returns the default options: all steps of each sequence, inputs `[batch, time, depth]`, the variable scope `rnn`.
    #[must_use]
    pub fn new() -> RnnOptions {
        RnnOptions { sequence_length: None, time_major: false, scope: "rnn".to_owned() }
    }

    /// Sets the length of each sequence, an integer vector. After the end of a sequence the outputs are zero and the state does not change.
    /// Default: all steps.
    #[must_use]
    pub fn sequence_length(mut self, sequence_length: impl AsOutput) -> RnnOptions {
        self.sequence_length = Some(sequence_length.as_output().clone());
        self
    }

    /// Sets whether inputs and outputs are `[time, batch, depth]`. Default: `false`.
    ///
    /// ```
    /// use ops::rnn::RnnOptions;
    /// let options = RnnOptions::new().time_major(true);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn time_major(mut self, time_major: bool) -> RnnOptions {
        self.time_major = time_major;
        self
    }

    /// Sets the name of the variable scope. Default: `rnn`.
    ///
    /// ```
    /// use ops::rnn::RnnOptions;
    /// let options = RnnOptions::new().scope("encoder");
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn scope(mut self, scope: &str) -> RnnOptions {
        scope.clone_into(&mut self.scope);
        self
    }

    /// Returns the lengths for use in a scope, as `int32`: one integer for each of the sequences of a batch. Others are recorded as a
    /// build error.
    fn lengths(&self, scope: &Graph, batch: Option<usize>) -> Option<Output> {
        let lengths = self.sequence_length.as_ref()?;
        let expected = PartialShape::from([batch]);
        if !lengths.dtype().is_integer() || lengths.shape().merge(&expected).is_none() {
            let (name, dtype, shape) = (lengths.name(), lengths.dtype(), lengths.shape());
            scope.add_error(Error::value(format!(
                "sequence_length must have one integer for each sequence, shape {expected}, but '{name}' is {dtype} of shape {shape}"
            )));
            return None;
        }
        Some(cast(lengths.within(scope), DType::Int32))
    }
}

/// Applies a cell to sequences in a loop, from the zero state: returns the outputs of all steps and the last state.
///
/// Inputs are `[batch, time, depth]`; the depth must be known.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// # let x = ops::array::placeholder(&graph, DType::Float32, [Some(8), Some(20), Some(16)]);
/// use ops::rnn::{BasicLstmCell, MultiRnnCell, RnnOptions, dynamic_rnn};
/// let stack = MultiRnnCell::new([BasicLstmCell::new(64), BasicLstmCell::new(32)]);
/// let (outputs, states) = dynamic_rnn(&stack, &x, &RnnOptions::new());
/// assert_eq!((outputs.shape().to_string(), states.len()), ("[8,20,32]".into(), 2));
/// ```
#[track_caller]
pub fn dynamic_rnn<C: RnnCell>(cell: &C, inputs: impl AsOutput, options: &RnnOptions) -> (Output, C::State) {
    let inputs = inputs.as_output();
    let graph = inputs.graph();
    let scope = graph.located_at(graph.location()).variable_scope(&options.scope, graph.reuse());
    let axis = usize::from(options.time_major);
    let batch = match inputs.shape().dim(axis) {
        Some(batch) => Ints::from(batch),
        None => {
            let sizes = shape(inputs.within(&scope));
            Ints::from(strided_slice(sizes, &[Index::from(i64::try_from(axis).unwrap_or(0))]))
        }
    };
    let initial = cell.zero_state(&scope, batch, inputs.dtype());
    left(&graph, unrolled_in_loop(cell, &scope, inputs, initial, options))
}

/// Works as [`dynamic_rnn`], from this initial state. A long sequence is processed in parts if each part begins with the last state of the
/// part before.
#[track_caller]
pub fn dynamic_rnn_from<C: RnnCell>(
    cell: &C,
    inputs: impl AsOutput,
    initial_state: C::State,
    options: &RnnOptions,
) -> (Output, C::State) {
    let inputs = inputs.as_output();
    let graph = inputs.graph();
    let scope = graph.located_at(graph.location()).variable_scope(&options.scope, graph.reuse());
    left(&graph, unrolled_in_loop(cell, &scope, inputs, initial_state, options))
}

/// Returns the size of a step's inputs, the rows of the kernels. An unknown size is a build error, and 1 is
/// returned so that building can continue.
fn depth_of(scope: &Graph, inputs: &Output, axis: usize) -> usize {
    inputs.shape().dim(axis).unwrap_or_else(|| {
        let text = format!("the depth of '{}' of shape {} must be known", inputs.name(), inputs.shape());
        scope.add_error(Error::value(text));
        1
    })
}

/// Adds an error to a graph if a tensor cannot hold sequences of vectors.
#[track_caller]
pub(super) fn check_sequences(graph: &Graph, inputs: &Output, time_major: bool) {
    if inputs.shape().rank().is_some_and(|rank| rank != 3) {
        let (name, shape) = (inputs.name(), inputs.shape());
        let axes = if time_major { "[steps, batch, depth]" } else { "[batch, steps, depth]" };
        graph.add_error(Error::value(format!("'{name}' of shape {shape} is not {axes}, as sequences are")));
    }
}

/// Builds the loop over the steps of `inputs`, of which `initial` is the first state. The outputs are
/// collected in an array and stacked.
fn unrolled_in_loop<C: RnnCell>(
    cell: &C,
    scope: &Graph,
    inputs: &Output,
    initial: C::State,
    options: &RnnOptions,
) -> (Output, C::State) {
    // The loop reads and writes steps, so time is the first axis inside whatever the caller's order is.
    let swap = |x: &Output| match options.time_major {
        true => x.clone(),
        false => transpose(x, [1, 0, 2]),
    };
    check_sequences(scope, inputs, options.time_major);
    let inputs = swap(&inputs.within(scope));
    cell.build(scope, depth_of(scope, &inputs, 2), inputs.dtype());
    let steps = match inputs.shape().dim(0) {
        Some(steps) => constant(&scope.named("time_steps"), i32::try_from(steps).unwrap_or(i32::MAX)),
        None => strided_slice(shape(&inputs), &[Index::from(0)]),
    };
    let lengths = options.lengths(scope, inputs.shape().dim(1));
    // Steps after the longest sequence compute nothing. TensorFlow runs at least one step, which
    // matters if all lengths are 0.
    let bound = match &lengths {
        Some(lengths) => {
            let longest = reduce_max(lengths, ..);
            minimum(&steps, maximum(longest, constant(scope, 1i32)))
        }
        None => steps.clone(),
    };
    let parts = TensorArray::unstacked(&inputs);
    let element = inputs.shape().range(1, 2).concat(&[cell.output_size()].into());
    // As long as the inputs: entries that no step writes are zeros, which is what outputs after the end are.
    let outputs = TensorArray::new(scope, inputs.dtype(), &steps, element);
    let loop_vars = (constant(&scope.named("time"), 0i32), outputs, initial);
    let loop_options = WhileOptions::new().maximum_iterations(&steps).parallel_iterations(32);
    let (_, outputs, state) = while_loop_with(
        scope,
        |_, (time, _, _)| less(time, &bound),
        |body, (time, outputs, state)| {
            let body = &body.located_at(scope.location());
            let input = parts.read(time.within(body));
            let (output, next) = cell.call(body, &input, &state);
            let (output, next) = match &lengths {
                Some(lengths) => {
                    // Both sides are computed and one is selected: a conditional per step
                    // would cost more than it saves.
                    let running = less(time.within(body), lengths);
                    let zeros = zeros_like(&output);
                    (
                        select_rows(&running, &output, zeros),
                        carried(next, &state, |next, before| select_rows(&running, next, before)),
                    )
                }
                None => (output, next),
            };
            (&time + 1, outputs.write(&time, output), next)
        },
        loop_vars,
        &loop_options,
    );
    // The loop forgets the length of its arrays, but it is that of the inputs.
    let known = inputs.shape().dim(0);
    let stacked = TensorArray::of_handle(
        outputs.handle().within(scope),
        outputs.dtype(),
        outputs.element_shape().clone(),
        known,
    );
    (swap(&stacked.stack()), state)
}

/// Applies a cell to sequences step by step without a loop, from the zero state: returns the outputs of all steps and the last state.
/// Each of `inputs` is `[batch, depth]`.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::rnn::{GruCell, RnnOptions, static_rnn};
/// let steps: Vec<_> = (0..3).map(|_| ops::array::zeros(&graph, DType::Float32, [8, 16])).collect();
/// let (outputs, state) = static_rnn(&GruCell::new(32), &steps, &RnnOptions::new());
/// assert_eq!((outputs.len(), state.shape().to_string()), (3, "[8,32]".into()));
/// ```
///
/// # Panics
/// Without any input: there is no graph to build in.
#[track_caller]
pub fn static_rnn<C: RnnCell>(cell: &C, inputs: &[Output], options: &RnnOptions) -> (Vec<Output>, C::State) {
    let (scope, batch) = static_scope(inputs, options);
    let initial = cell.zero_state(&scope, batch, inputs[0].dtype());
    left(&inputs[0].graph(), unrolled(cell, &scope, inputs, initial, options))
}

/// Works as [`static_rnn`], from this initial state.
///
/// # Panics
/// Panics without any input, because there is no graph to build in.
#[track_caller]
pub fn static_rnn_from<C: RnnCell>(
    cell: &C,
    inputs: &[Output],
    initial_state: C::State,
    options: &RnnOptions,
) -> (Vec<Output>, C::State) {
    let (scope, _) = static_scope(inputs, options);
    left(&inputs[0].graph(), unrolled(cell, &scope, inputs, initial_state, options))
}

/// Returns the variable scope of an unrolled network, and the number of sequences.
#[track_caller]
fn static_scope(inputs: &[Output], options: &RnnOptions) -> (Graph, Ints) {
    let first = inputs.first().expect("static_rnn needs at least one input");
    let graph = first.graph();
    let scope = graph.located_at(graph.location()).variable_scope(&options.scope, graph.reuse());
    let batch = match first.shape().dim(0) {
        Some(batch) => Ints::from(batch),
        None => Ints::from(strided_slice(shape(first.within(&scope)), &[Index::from(0)])),
    };
    (scope, batch)
}

/// Builds the steps one after the other. As in the loop, a sequence past its end has zeros as
/// outputs and keeps its state.
fn unrolled<C: RnnCell>(
    cell: &C,
    scope: &Graph,
    inputs: &[Output],
    initial: C::State,
    options: &RnnOptions,
) -> (Vec<Output>, C::State) {
    cell.build(scope, depth_of(scope, &inputs[0], 1), inputs[0].dtype());
    let lengths = options.lengths(scope, inputs[0].shape().dim(0));
    let (mut outputs, mut state) = (Vec::new(), initial);
    for (time, input) in inputs.iter().enumerate() {
        let (mut output, mut next) = cell.call(scope, &input.within(scope), &state);
        if let Some(lengths) = &lengths {
            let time = constant(scope, i32::try_from(time).unwrap_or(i32::MAX));
            let running = less(time, lengths);
            output = select_rows(&running, &output, zeros_like(&output));
            next = carried(next, &state, |next, before| select_rows(&running, next, before));
        }
        outputs.push(output);
        state = next;
    }
    (outputs, state)
}

/// Applies one cell to sequences from their beginning and another one from their end: returns the outputs of both and the last states
/// of both. Outputs are in the order of the inputs and not concatenated.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// # let x = ops::array::placeholder(&graph, DType::Float32, [Some(8), Some(20), Some(16)]);
/// use ops::rnn::{GruCell, RnnOptions, bidirectional_dynamic_rnn};
/// let (forward, backward) = (GruCell::new(32), GruCell::new(32));
/// let (outputs, _) = bidirectional_dynamic_rnn(&forward, &backward, &x, &RnnOptions::new());
/// let both = ops::array::concat(&[&outputs.0, &outputs.1], 2);
/// assert_eq!(both.shape().to_string(), "[8,20,64]");
/// ```
#[track_caller]
pub fn bidirectional_dynamic_rnn<F: RnnCell, B: RnnCell>(
    cell_fw: &F,
    cell_bw: &B,
    inputs: impl AsOutput,
    options: &RnnOptions,
) -> ((Output, Output), (F::State, B::State)) {
    let inputs = inputs.as_output();
    let graph = inputs.graph();
    // The default name of the two directions is another one than that of a single network.
    let name = if options.scope == "rnn" { "bidirectional_rnn" } else { &options.scope };
    let scope = graph.located_at(graph.location()).variable_scope(name, Reuse::No);
    let (time, batch) = if options.time_major { (0, 1) } else { (1, 0) };
    // Only the part within each length is reversed; padding stays at the end, where the lengths expect it.
    let backwards = |x: &Output| match &options.sequence_length {
        Some(lengths) => reverse_sequence(x.within(&scope), lengths.within(&scope), time, batch),
        None => reverse(x.within(&scope), [time]),
    };
    let forward = options.clone().scope("fw");
    let (output_fw, state_fw) = dynamic_rnn(cell_fw, inputs.within(&scope), &forward);
    let backward = options.clone().scope("bw");
    let (output_bw, state_bw) = dynamic_rnn(cell_bw, backwards(inputs).within(&scope), &backward);
    // The second reversal puts the outputs back in the order of the inputs.
    left(&graph, ((output_fw, backwards(&output_bw)), (state_fw, state_bw)))
}
