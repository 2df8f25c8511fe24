//! Beam search: several sequences for each example, of which each step keeps the best.

use super::RnnCell;
use super::decoder::{Decoder, DecoderStep, OutputLayer, known_depth};
use super::helper::check_start_tokens;
use crate::array::constants::scalar_like;
use crate::array::{
    Index, constant, expand_dims, fill, gather, gather_batches, one_hot_with, range, reshape, scalar_tensor,
    shape, stack, strided_slice, tile, transpose,
};
use crate::control_flow::Structure;
use crate::layers::embedding_lookup;
use crate::math::{
    add, cast, equal, floor_div, floor_mod, logical_not, logical_or, mul, pow, real_div, reduce_max, select,
};
use crate::nn::{gather_tree, log_softmax, top_k};
use session_core::{AsOutput, DType, Error, Graph, Output, PartialShape, Variable};

/// Repeats each example `multiplier` times, one behind the other: what a beam search needs of states and memories. Parts without
/// axes stay as they are.
///
/// ```
/// use ops::array::constant;
/// let graph = session_core::Graph::new();
/// let state = constant(&graph, [[1f32, 2.0], [3.0, 4.0]]);
/// assert_eq!(ops::rnn::tile_batch(state, 3).shape().to_string(), "[6,2]");
/// ```
#[must_use]
#[track_caller]
pub fn tile_batch<S: Structure>(state: S, multiplier: usize) -> S {
    if let (0, Some(part)) = (multiplier, state.outputs().first()) {
        part.graph().add_error(Error::value("the multiplier of tile_batch is 0, which leaves no examples"));
    }
    let tiled = |part: &Output| -> Output {
        // Scalars such as the number of steps belong to no example.
        let Some(rank) = part.shape().rank().filter(|&rank| rank > 0) else { return part.clone() };
        let count = i64::try_from(multiplier).unwrap_or(i64::MAX);
        let multiples: Vec<i64> = (0..=rank).map(|axis| if axis == 1 { count } else { 1 }).collect();
        // A new axis after the batch is repeated and then merged, so copies of one example follow each other.
        let repeated = tile(expand_dims(part, 1), multiples);
        let sizes = part.shape().sizes().unwrap_or_default();
        let merged = match part.shape().dim(0) {
            Some(batch) => i64::try_from(batch.saturating_mul(multiplier)).unwrap_or(i64::MAX),
            None => -1,
        };
        if sizes[1..].iter().all(|&size| size >= 0) {
            return reshape(repeated, [&[merged], &sizes[1..]].concat());
        }
        // `reshape` infers only one size, the batch; the others are computed.
        let rest = strided_slice(shape(part), &[Index::from(1..)]);
        reshape(repeated, crate::array::concat(&[constant(&part.graph(), [-1i32]), rest], 0))
    };
    state.with_outputs(state.outputs().iter().map(tiled).collect())
}

/// The state of a [`BeamSearchDecoder`].
#[derive(Clone, Debug, PartialEq)]
pub struct BeamSearchDecoderState<S> {
    /// The state of the cell, `[batch * beams, ...]`.
    pub cell_state: S,
    /// The logarithm of the probability of each sequence, `[batch, beams]`.
    pub log_probs: Output,
    /// The sequences that have ended, `[batch, beams]`.
    pub finished: Output,
    /// The number of words of each sequence, `[batch, beams]`, `int64`.
    pub lengths: Output,
}

impl<S: Structure> Structure for BeamSearchDecoderState<S> {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        self.cell_state.append_to(outputs);
        outputs.extend([self.log_probs.clone(), self.finished.clone(), self.lengths.clone()]);
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        BeamSearchDecoderState {
            cell_state: self.cell_state.with_next_outputs(outputs),
            log_probs: self.log_probs.with_next_outputs(outputs),
            finished: self.finished.with_next_outputs(outputs),
            lengths: self.lengths.with_next_outputs(outputs),
        }
    }
}

/// The results of a [`BeamSearchDecoder`].
#[derive(Clone, Debug)]
pub struct FinalBeamSearchDecoderOutput<S> {
    /// The sequences, the best one first: `[batch, steps, beams]`, `int32`.
    pub predicted_ids: Output,
    /// The scores of each step: `[batch, steps, beams]`.
    pub scores: Output,
    /// The state after the last step.
    pub state: BeamSearchDecoderState<S>,
}

/// A decoder that keeps the `beam_width` best sequences of each example.
///
/// A sequence has the sum of the logarithms of its words' probabilities, divided by `((5 + length) / 6)^length_penalty_weight`. One
/// that has ended stays as it is and competes with the others. Memories of attention and the initial state are repeated for each
/// sequence by [`tile_batch`].
///
/// ```
/// use ops::array::constant;
/// use ops::initializers::glorot_uniform;
/// use ops::rnn::{BeamSearchDecoder, DecodeOptions, GruCell, RnnCell, dynamic_decode, tile_batch};
/// use ops::variables::get_variable;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let embedding = get_variable(&graph, "embedding", [20, 8], DType::Float32, &glorot_uniform());
/// let cell = GruCell::new(16);
/// let state = tile_batch(cell.zero_state(&graph, 2.into(), DType::Float32), 3);
/// let decoder = BeamSearchDecoder::new(cell, &embedding, constant(&graph, [1i32, 1]), 2, state, 3).output_layer(20);
/// let found = dynamic_decode(&graph, &decoder, &DecodeOptions::default().maximum_iterations(10));
/// assert_eq!(found.predicted_ids.shape().to_string(), "[2,?,3]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct BeamSearchDecoder<C: RnnCell> {
    cell: C,
    embedding: Variable,
    start_tokens: Output,
    end_token: i32,
    initial_state: C::State,
    beam_width: usize,
    length_penalty_weight: f64,
    layer: OutputLayer,
}

impl<C: RnnCell> BeamSearchDecoder<C> {
    /// Creates a decoder whose cell reads rows of the embedding. `start_tokens` is an integer vector with the first word of each example,
    /// `end_token` the word that ends a sequence, and `initial_state` the state of all `batch * beam_width` sequences, as [`tile_batch`] returns
    /// it.
    #[must_use]
    #[track_caller]
    pub fn new(
        cell: C,
        embedding: &Variable,
        start_tokens: impl AsOutput,
        end_token: i32,
        initial_state: C::State,
        beam_width: usize,
    ) -> BeamSearchDecoder<C> {
        check_start_tokens(start_tokens.as_output());
        if beam_width == 0 {
            let text = "beam_width is 0, but a beam search keeps at least one sequence";
            start_tokens.as_output().graph().add_error(Error::value(text));
        }
        BeamSearchDecoder {
            cell,
            embedding: embedding.clone(),
            start_tokens: start_tokens.as_output().clone(),
            end_token,
            initial_state,
            beam_width,
            length_penalty_weight: 0.0,
            layer: OutputLayer::default(),
        }
    }

    /// Sets the number of words that an output layer scores. Default: no layer, the outputs of the cell are the scores.
    #[must_use]
    pub fn output_layer(mut self, units: usize) -> BeamSearchDecoder<C> {
        self.layer = OutputLayer::of(units);
        self
    }

    /// Sets the preference for long sequences, the exponent in the formula [above](BeamSearchDecoder). Default: 0, no preference.
    #[must_use]
    pub fn length_penalty_weight(mut self, weight: f64) -> BeamSearchDecoder<C> {
        self.length_penalty_weight = weight;
        self
    }

    /// The number of words that a step scores: that of the output layer, or the cell's output size.
    fn words(&self) -> usize {
        self.layer.size(self.cell.output_size())
    }

    /// Returns the number of examples.
    fn batch(&self, graph: &Graph) -> Output {
        match self.start_tokens.shape().dim(0) {
            Some(batch) => constant(graph, i32::try_from(batch).unwrap_or(i32::MAX)),
            None => strided_slice(shape(self.start_tokens.within(graph)), &[Index::At(0)]),
        }
    }

    /// Returns `value`, a scalar, for each sequence of each example: `[batch, beams]`.
    fn spread(&self, graph: &Graph, value: Output) -> Output {
        match self.start_tokens.shape().dim(0) {
            Some(batch) => fill([batch, self.beam_width], value.within(graph)),
            None => {
                let beams = constant(graph, i32::try_from(self.beam_width).unwrap_or(i32::MAX));
                fill(stack(&[self.batch(graph), beams], 0), value.within(graph))
            }
        }
    }

    /// Returns `total / ((5 + lengths) / 6)^weight`, the formula of Wu and others (2016), and
    /// `total` itself for a weight of 0.
    fn scores(&self, total: &Output, lengths: &Output) -> Output {
        if self.length_penalty_weight == 0.0 {
            return total.clone();
        }
        let lengths = cast(lengths, total.dtype());
        let like = |value: f64| scalar_like(total, value);
        let penalty = pow(real_div(add(lengths, like(5.0)), like(6.0)), like(self.length_penalty_weight));
        real_div(total, penalty)
    }

    /// Returns the cell state of the sequences that continue: row `batch * beam_width + beams` of each part.
    fn chosen(&self, graph: &Graph, state: &C::State, beams: &Output) -> C::State {
        let zero = constant(graph, 0i32);
        let width = constant(graph, i32::try_from(self.beam_width).unwrap_or(i32::MAX));
        let begins = mul(range(zero, self.batch(graph), constant(graph, 1i32)), width);
        let rows = reshape(add(expand_dims(begins, 1), beams), [-1]);
        // Scalars, such as the time of an attention, are the same for all sequences.
        let parts = state.outputs().into_iter().map(|part| match part.shape().rank() {
            Some(0) => part.within(graph),
            _ => gather(part.within(graph), &rows),
        });
        state.with_outputs(parts.collect())
    }
}

impl<C: RnnCell> Decoder for BeamSearchDecoder<C> {
    type State = BeamSearchDecoderState<C::State>;
    type Results = FinalBeamSearchDecoderOutput<C::State>;

    fn build(&self, graph: &Graph) {
        let depth = known_depth(graph, self.embedding.shape().dim(1));
        self.cell.build(graph, depth, self.embedding.dtype());
        self.layer.build(graph, self.cell.output_size(), self.embedding.dtype());
    }

    fn outputs(&self) -> Vec<(DType, PartialShape)> {
        let shape = PartialShape::from([self.start_tokens.shape().dim(0), Some(self.beam_width)]);
        let dtypes = [self.embedding.dtype(), DType::Int32, DType::Int32];
        dtypes.into_iter().map(|dtype| (dtype, shape.clone())).collect()
    }

    fn initialize(&self, graph: &Graph) -> (Output, Output, Self::State) {
        let dtype = self.embedding.dtype();
        let start = tile_batch(self.start_tokens.within(graph), self.beam_width);
        let inputs = embedding_lookup(&self.embedding, start);
        // All sequences begin alike, so only the first one counts.
        let first = self.spread(graph, constant(graph, 0i32));
        let first = strided_slice(first, &[Index::from(..), Index::At(0)]);
        // Minus infinity keeps the copies out of the first choice, or the beams would
        // hold one sequence several times.
        let (alive, dead) = (scalar_tensor(dtype, 0.0), scalar_tensor(dtype, f64::NEG_INFINITY));
        let log_probs = one_hot_with(first, self.beam_width, alive, dead, -1);
        let finished = self.spread(graph, constant(graph, false));
        let lengths = self.spread(graph, constant(graph, 0i64));
        let state = BeamSearchDecoderState {
            cell_state: self.initial_state.clone(),
            log_probs,
            finished: finished.clone(),
            lengths,
        };
        (finished, inputs, state)
    }

    fn step(
        &self,
        graph: &Graph,
        _time: &Output,
        inputs: &Output,
        state: &Self::State,
    ) -> DecoderStep<Self::State> {
        let (width, words) = (self.beam_width as i64, self.words() as i64);
        let BeamSearchDecoderState { cell_state, log_probs, finished, lengths } = state;
        let (log_probs, finished, lengths) =
            (log_probs.within(graph), finished.within(graph), lengths.within(graph));
        let (output, next_cell_state) = self.cell.call(graph, inputs, cell_state);
        let logits = reshape(self.layer.apply(graph, &output), [-1, width, words]);

        // A sequence that has ended continues with the end token alone, which costs nothing.
        let dtype = logits.dtype();
        // The lowest finite number, as in TensorFlow, so that no sum becomes infinite by it.
        let (free, never) = (scalar_tensor(dtype, 0.0), scalar_tensor(dtype, lowest(dtype)));
        let end = constant(graph, self.end_token);
        let only_end = one_hot_with(&end, self.words(), free, never, -1);
        let step = select(expand_dims(&finished, 2), only_end, log_softmax(&logits));
        let total = add(expand_dims(&log_probs, 2), step);

        // The end token does not count for the length penalty, as in TensorFlow.
        let grows = one_hot_with(&end, self.words(), 0i64, 1i64, -1);
        let alive = cast(logical_not(&finished), DType::Int64);
        let long = add(expand_dims(&lengths, 2), mul(grows, expand_dims(&alive, 2)));
        // The best of all continuations of an example: beams and words compete along one axis.
        let flat = |x: &Output| reshape(x, [-1, width * words]);
        let (scores, places) = top_k(flat(&self.scores(&total, &long)), self.beam_width as i64);
        let count = constant(graph, i32::try_from(words).unwrap_or(i32::MAX));
        // A place is `beam * words + word`.
        let (beams, ids) = (floor_div(&places, &count), floor_mod(&places, &count));

        let of_beam = |x: &Output| gather_batches(x, &beams, 1, 1);
        let was_finished = of_beam(&finished);
        let next = BeamSearchDecoderState {
            cell_state: self.chosen(graph, &next_cell_state, &beams),
            log_probs: gather_batches(flat(&total), &places, 1, 1),
            // Unlike in the penalty, the end token is part of the sequence here: `gather_tree` needs it.
            lengths: add(of_beam(&lengths), cast(logical_not(&was_finished), DType::Int64)),
            finished: logical_or(was_finished, equal(&ids, &end)),
        };
        let next_inputs = embedding_lookup(&self.embedding, reshape(&ids, [-1]));
        let finished = next.finished.clone();
        DecoderStep { outputs: vec![scores, ids, beams], state: next, next_inputs, finished }
    }

    fn tracks_own_finished(&self) -> bool {
        true
    }

    fn finalize(
        &self,
        outputs: Vec<Output>,
        state: Self::State,
        _lengths: Output,
    ) -> FinalBeamSearchDecoderOutput<C::State> {
        let [scores, ids, parents] = [0, 1, 2].map(|index: usize| outputs[index].clone());
        // The words of a step lie in the order of that step; following the parents from the end puts
        // each sequence in one column.
        let longest = cast(reduce_max(&state.lengths, 1), DType::Int32);
        let sequences = gather_tree(&ids, parents, longest, constant(&ids.graph(), self.end_token));
        FinalBeamSearchDecoderOutput {
            predicted_ids: transpose(sequences, [1, 0, 2]),
            scores: transpose(scores, [1, 0, 2]),
            state,
        }
    }
}

/// Returns the lowest finite number of a floating dtype.
fn lowest(dtype: DType) -> f64 {
    // 65504 is (2 - 2^-10) * 2^15, and 3.3895e38 is (2 - 2^-7) * 2^127.
    match dtype {
        DType::Float16 => -65504.0,
        DType::BFloat16 => -3.389_531_389_251_535_5e38,
        DType::Float64 => f64::MIN,
        _ => f64::from(f32::MIN),
    }
}
