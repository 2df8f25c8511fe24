//! Decoders: sequences that a cell writes step by step.
//!
//! [`dynamic_decode`] runs a loop. In each iteration a [`Decoder`] computes one step, and the loop ends when all sequences are finished. A
//! [`BasicDecoder`] takes the inputs of each step from a [`Helper`]: given ones in training, its own output in inference.

use super::helper::Helper;
use super::variables::{Variables, Wanted};
use super::{RnnCell, carried, step_scope};
use crate::array::{constant, transpose, zeros_like};
use crate::composite::unnamed;
use crate::control_flow::{Structure, TensorArray, WhileOptions, while_loop_with};
use crate::initializers;
use crate::math::{cast, logical_not, logical_or, matmul, reduce_all, select, select_rows};
use crate::nn::bias_add;
use session_core::{DType, Error, Graph, Output, PartialShape};

/// Computes the steps of [`dynamic_decode`].
pub trait Decoder {
    /// The values that one step passes to the next.
    type State: Structure + Clone;
    /// The results of the decoding.
    type Results;

    /// Creates the variables unless they exist.
    fn build(&self, graph: &Graph);

    /// Returns the dtype and shape of each output of a step.
    fn outputs(&self) -> Vec<(DType, PartialShape)>;

    /// Returns the sequences that are finished before the first step (bools), the inputs of the first step, and the initial state.
    fn initialize(&self, graph: &Graph) -> (Output, Output, Self::State);

    /// Computes a step: its outputs, the state after it, the inputs of the next step, and the sequences that are finished now.
    fn step(
        &self,
        graph: &Graph,
        time: &Output,
        inputs: &Output,
        state: &Self::State,
    ) -> DecoderStep<Self::State>;

    /// Returns true if the decoder itself decides which sequences are finished, because sequences exchange their positions as in a beam search.
    /// Otherwise a sequence that is finished once stays finished. Default: false.
    fn tracks_own_finished(&self) -> bool {
        false
    }

    /// Returns the results, given the outputs of all steps `[steps, batch, ...]`, the last state, and the number of steps of each sequence.
    fn finalize(&self, outputs: Vec<Output>, state: Self::State, lengths: Output) -> Self::Results;
}

/// The results of one step of a [`Decoder`].
#[derive(Clone, Debug)]
pub struct DecoderStep<S> {
    /// The outputs of the step.
    pub outputs: Vec<Output>,
    /// The state after the step.
    pub state: S,
    /// The inputs of the next step.
    pub next_inputs: Output,
    /// The sequences that are finished.
    pub finished: Output,
}

/// Options of [`dynamic_decode`].
///
/// ```
/// use ops::rnn::DecodeOptions;
/// let options = DecodeOptions::default().maximum_iterations(20).impute_finished(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    maximum_iterations: Option<usize>,
    impute_finished: bool,
    scope: String,
}

impl Default for DecodeOptions {
    fn default() -> DecodeOptions {
        DecodeOptions { maximum_iterations: None, impute_finished: false, scope: "decoder".to_owned() }
    }
}

impl DecodeOptions {
    /// Sets the largest number of steps. Default: no limit, the loop ends when all sequences are finished.
    #[must_use]
    pub fn maximum_iterations(mut self, steps: usize) -> DecodeOptions {
        self.maximum_iterations = Some(steps);
        self
    }

    /// Sets whether finished sequences have outputs of zero and keep their state. Default: false.
    #[must_use]
    pub fn impute_finished(mut self, impute_finished: bool) -> DecodeOptions {
        self.impute_finished = impute_finished;
        self
    }

    /// Sets the name of the variable scope. Default: `decoder`.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> DecodeOptions {
        scope.clone_into(&mut self.scope);
        self
    }
}

/// Runs the steps of a decoder in a loop, until all sequences are finished or there have been as many steps as the options allow.
///
/// ```
/// use ops::array::constant;
/// use ops::initializers::glorot_uniform;
/// use ops::rnn::{BasicDecoder, DecodeOptions, GruCell, Helper, RnnCell, dynamic_decode};
/// use ops::variables::get_variable;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let embedding = get_variable(&graph, "embedding", [20, 8], DType::Float32, &glorot_uniform());
/// let start = constant(&graph, [1i32, 1]);
/// let cell = GruCell::new(16);
/// let state = cell.zero_state(&graph, 2.into(), DType::Float32);
/// let decoder = BasicDecoder::new(cell, Helper::greedy(&embedding, &start, 2), state).output_layer(20);
/// let found = dynamic_decode(&graph, &decoder, &DecodeOptions::default().maximum_iterations(10));
/// assert_eq!(found.sample_id.shape().to_string(), "[2,?]");
/// assert!(graph.operation("decoder/dense/kernel").is_ok());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[track_caller]
pub fn dynamic_decode<D: Decoder>(graph: &Graph, decoder: &D, options: &DecodeOptions) -> D::Results {
    let scope = graph.located_at(graph.location()).variable_scope(&options.scope, graph.reuse());
    decoder.build(&scope);
    let (finished, inputs, state) = decoder.initialize(&scope);
    let arrays: Vec<TensorArray> = decoder
        .outputs()
        .into_iter()
        .map(|(dtype, element)| TensorArray::new(&scope, dtype, 0usize, element).dynamic_size())
        .collect();
    // From a bool vector: its shape may be known only at run time.
    let lengths = cast(zeros_like(cast(&finished, DType::Int32)), DType::Int32);
    let time = constant(&scope.named("time"), 0i32);
    // 32 is the number of parallel iterations in TensorFlow's `dynamic_decode`.
    let mut loop_options = WhileOptions::new().parallel_iterations(32);
    if let Some(steps) = options.maximum_iterations {
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        loop_options = loop_options.maximum_iterations(constant(&scope.named("maximum_iterations"), steps));
    }
    let impute = options.impute_finished;
    let (_, arrays, state, _, _, lengths) = while_loop_with(
        &scope,
        |body, (_, _, _, _, finished, _)| logical_not(reduce_all(finished.within(body), ..)),
        |body, (time, arrays, state, inputs, finished, lengths)| {
            let body = &body.located_at(scope.location());
            let step = decoder.step(body, &time, &inputs, &state);
            let next_finished = match decoder.tracks_own_finished() {
                true => step.finished.within(body),
                false => logical_or(&finished, step.finished.within(body)),
            };
            // A sequence counts a step if it was not finished before it, so the step that
            // writes the end token counts.
            let next_time = &time + 1;
            let counted = &zeros_like(&lengths) + &next_time;
            let lengths = select(&finished, &lengths, counted);
            // Imputed: what a sequence computes after its end must influence neither
            // the results nor the gradients.
            let (outputs, next_state) = match impute {
                true => {
                    let outputs = step
                        .outputs
                        .iter()
                        .map(|output| select_rows(&finished, zeros_like(output.within(body)), output));
                    (
                        outputs.collect(),
                        carried(step.state, &state, |next, before| select_rows(&finished, before, next)),
                    )
                }
                false => (step.outputs, step.state),
            };
            let arrays = arrays
                .iter()
                .zip(outputs)
                .map(|(array, output): (&TensorArray, Output)| array.write(&time, output));
            (
                next_time,
                arrays.collect::<Vec<TensorArray>>(),
                next_state,
                step.next_inputs,
                next_finished,
                lengths,
            )
        },
        (time, arrays, state, inputs, finished, lengths),
        &loop_options,
    );
    // Operations that are built on the results belong to the scope in which the decoder was called.
    let outside = unnamed(graph);
    let stack =
        |array: &TensorArray| array.with_handle(array.handle().within(&scope)).stack().within(&outside);
    let stacked = arrays.iter().map(stack).collect();
    let state = state.with_outputs(state.outputs().iter().map(|part| part.within(&outside)).collect());
    decoder.finalize(stacked, state, lengths.within(&outside))
}

/// A layer that turns the output of a cell into the scores of words: `dense/kernel` and `dense/bias` in the decoder's scope.
#[derive(Debug, Default)]
pub(super) struct OutputLayer {
    units: Option<usize>,
    variables: Variables,
}

impl OutputLayer {
    pub(super) fn of(units: usize) -> OutputLayer {
        OutputLayer { units: Some(units), variables: Variables::default() }
    }

    /// Returns the number of scores for an output of a cell of this size.
    pub(super) fn size(&self, cell: usize) -> usize {
        self.units.unwrap_or(cell)
    }

    /// Creates kernel and bias for outputs of a cell of size `cell`, if there is a layer.
    pub(super) fn build(&self, graph: &Graph, cell: usize, dtype: DType) {
        let Some(units) = self.units else { return };
        let zeros = initializers::zeros();
        let wanted =
            [Wanted::new("kernel", [cell, units]), Wanted::new("bias", [units]).beginning_with(&zeros)];
        self.variables.build(graph, "dense", dtype, &wanted);
    }

    /// Returns `output * kernel + bias`, `[batch, words]`; without a layer the output itself.
    pub(super) fn apply(&self, graph: &Graph, output: &Output) -> Output {
        if self.units.is_none() {
            return output.within(graph);
        }
        let scope = step_scope(graph, "dense");
        let product = matmul(output.within(&scope), self.variables.get(&scope, "kernel"));
        bias_add(product, self.variables.get(&scope, "bias")).within(graph)
    }
}

/// The results of a [`BasicDecoder`].
#[derive(Clone, Debug)]
pub struct BasicDecoderOutput<S> {
    /// The outputs of the cell, or the scores of the output layer: `[batch, steps, numbers]`.
    pub rnn_output: Output,
    /// The samples of the helper, such as the place of the largest number of each: `[batch, steps]`, `int32`.
    pub sample_id: Output,
    /// The state after the last step.
    pub state: S,
    /// The number of steps of each sequence, `int32`.
    pub sequence_lengths: Output,
}

/// A decoder that writes one sequence for each example, with the inputs from a [`Helper`].
#[derive(Debug)]
pub struct BasicDecoder<C: RnnCell> {
    cell: C,
    helper: Helper,
    initial_state: C::State,
    layer: OutputLayer,
}

impl<C: RnnCell> BasicDecoder<C> {
    /// Creates a decoder for a cell that begins with this state.
    #[must_use]
    pub fn new(cell: C, helper: Helper, initial_state: C::State) -> BasicDecoder<C> {
        BasicDecoder { cell, helper, initial_state, layer: OutputLayer::default() }
    }

    /// Sets the number of words that an output layer scores. Default: no layer, the outputs of the cell are the scores.
    #[must_use]
    pub fn output_layer(mut self, units: usize) -> BasicDecoder<C> {
        self.layer = OutputLayer::of(units);
        self
    }
}

impl<C: RnnCell> Decoder for BasicDecoder<C> {
    type State = C::State;
    type Results = BasicDecoderOutput<C::State>;

    fn build(&self, graph: &Graph) {
        let depth = known_depth(graph, self.helper.depth());
        self.cell.build(graph, depth, self.helper.dtype());
        self.layer.build(graph, self.cell.output_size(), self.helper.dtype());
    }

    fn outputs(&self) -> Vec<(DType, PartialShape)> {
        let (batch, size) = (self.helper.batch(), self.layer.size(self.cell.output_size()));
        vec![(self.helper.dtype(), PartialShape::from([batch, Some(size)])), self.helper.sample_info()]
    }

    fn initialize(&self, graph: &Graph) -> (Output, Output, C::State) {
        let (finished, inputs) = self.helper.first(graph);
        (finished, inputs, self.initial_state.clone())
    }

    fn step(&self, graph: &Graph, time: &Output, inputs: &Output, state: &C::State) -> DecoderStep<C::State> {
        let (output, state) = self.cell.call(graph, inputs, state);
        let scores = self.layer.apply(graph, &output);
        let sample = self.helper.sampled(graph, &scores);
        let (finished, next_inputs) = self.helper.next(graph, time, &scores, &sample);
        DecoderStep { outputs: vec![scores, sample], state, next_inputs, finished }
    }

    fn finalize(
        &self,
        outputs: Vec<Output>,
        state: C::State,
        lengths: Output,
    ) -> BasicDecoderOutput<C::State> {
        BasicDecoderOutput {
            rnn_output: transpose(&outputs[0], [1, 0, 2]),
            sample_id: batch_first(&outputs[1]),
            state,
            sequence_lengths: lengths,
        }
    }
}

/// Returns outputs with the batch before the steps.
fn batch_first(x: &Output) -> Output {
    // A sample has two axes, those of a closure may have more; the further ones keep their order.
    let rank = x.shape().rank().unwrap_or(2);
    let order: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
    transpose(x, order)
}

/// Returns the number of numbers of a decoder's inputs; without it there are no variables.
pub(super) fn known_depth(graph: &Graph, depth: Option<usize>) -> usize {
    depth.unwrap_or_else(|| {
        graph.add_error(Error::value("a decoder needs to know how many numbers its inputs have"));
        1
    })
}
