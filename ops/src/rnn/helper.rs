//! Helpers of decoders: what a step reads, and the word that it writes.

use super::unrolled::check_sequences;
use crate::array::{Index, constant, fill, shape, squeeze, strided_slice, transpose, zeros};
use crate::control_flow::TensorArray;
use crate::gradients::broadcasting::shape_of;
use crate::layers::embedding_lookup;
use crate::math::{
    argmax, cast, equal, greater_equal, less, maximum, minimum, real_div, select, select_rows, sub,
};
use crate::random::{multinomial, random_uniform_unit};
use crate::scalar::Scalar;
use session_core::{AsOutput, DType, Error, Graph, Output, PartialShape, Variable};
use std::fmt;

/// The source of the inputs of a [`BasicDecoder`](super::BasicDecoder).
///
/// ```
/// use ops::array::placeholder;
/// use ops::rnn::{BasicDecoder, DecodeOptions, GruCell, Helper, RnnCell, dynamic_decode};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = placeholder(&graph, DType::Float32, [2, 7, 8]); // batch, time, depth
/// let lengths = placeholder(&graph, DType::Int32, [2]);
/// let cell = GruCell::new(16);
/// let state = cell.zero_state(&graph, 2.into(), DType::Float32);
/// let decoder = BasicDecoder::new(cell, Helper::training(&inputs, &lengths), state).output_layer(20);
/// let found = dynamic_decode(&graph, &decoder, &DecodeOptions::default());
/// assert_eq!(found.rnn_output.shape().to_string(), "[2,?,20]");
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct Helper {
    source: Source,
    softmax_temperature: Option<f64>,
    seed: Option<i64>,
    scheduling_seed: Option<i64>,
}

/// The source of the inputs of steps.
///
/// - `Given`: `inputs` as they are, and as an array of steps; `mixed` for scheduled sampling.
/// - `Written`: the embedding of the word that the step before wrote, the most likely
///   one or one drawn `at_random`.
/// - `Custom`: the closures of [`Helper::inference`].
#[derive(Debug)]
enum Source {
    Given { inputs: Output, steps: TensorArray, lengths: Output, mixed: Option<Mixed> },
    Written { embedding: Variable, start_tokens: Output, end_token: i32, at_random: bool },
    Custom(Custom),
}

/// The inputs that a training reads, with a probability, instead of the given ones.
#[derive(Debug)]
struct Mixed {
    probability: Scalar,
    /// The embedding of the words that the decoder draws; without one it reads its outputs.
    embedding: Option<Variable>,
}

/// Builds a part of a step from the outputs or the sample of that step.
type Part = Box<dyn Fn(&Graph, &Output) -> Output>;

struct Custom {
    start_inputs: Output,
    sample: (DType, PartialShape),
    sample_fn: Part,
    end_fn: Part,
    next_inputs_fn: Option<Part>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, sample) = (&self.start_inputs, &self.sample);
        f.debug_struct("Custom").field("start_inputs", start).field("sample", sample).finish_non_exhaustive()
    }
}

/// Records an error for the first words of sequences that are not an integer vector.
#[track_caller]
pub(super) fn check_start_tokens(tokens: &Output) {
    let (name, dtype, shape) = (tokens.name(), tokens.dtype(), tokens.shape());
    if !dtype.is_integer() || shape.rank().is_some_and(|rank| rank != 1) {
        let text = format!("start_tokens is an integer vector, not '{name}' of {dtype} {shape}");
        tokens.graph().add_error(Error::value(text));
    }
}

impl Helper {
    fn of(source: Source) -> Helper {
        Helper { source, softmax_temperature: None, seed: None, scheduling_seed: None }
    }

    /// Reads the given inputs `[batch, steps, depth]`, up to the length of each sequence, an integer vector: TensorFlow's `TrainingHelper`.
    #[must_use]
    #[track_caller]
    pub fn training(inputs: impl AsOutput, sequence_length: impl AsOutput) -> Helper {
        Helper::given_and(inputs.as_output(), sequence_length.as_output(), None)
    }

    /// Reads given inputs as [`training`](Helper::training), but with this probability, for each sequence and step, a word that is
    /// drawn from the distribution that the step before wrote: TensorFlow's `ScheduledEmbeddingTrainingHelper`. Where the given
    /// input is read, the sample is -1.
    ///
    /// ```
    /// # use ops::{array::{constant, placeholder}, initializers::zeros, rnn::Helper, variables::get_variable};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let x = placeholder(&graph, DType::Float32, [Some(8), Some(20), Some(16)]);
    /// let lengths = placeholder(&graph, DType::Int32, [8]);
    /// let embedding = get_variable(&graph, "embedding", [100, 16], DType::Float32, &zeros());
    /// let helper = Helper::scheduled_embedding_training(&x, &lengths, &embedding, 0.25).seed(1).scheduling_seed(2);
    /// # let _ = helper;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn scheduled_embedding_training(
        inputs: impl AsOutput,
        sequence_length: impl AsOutput,
        embedding: &Variable,
        sampling_probability: impl Into<Scalar>,
    ) -> Helper {
        let mixed = Mixed { embedding: Some(embedding.clone()), probability: sampling_probability.into() };
        Helper::given_and(inputs.as_output(), sequence_length.as_output(), Some(mixed))
    }

    /// Reads given inputs as [`training`](Helper::training), but with this probability, for each sequence and step, the output of
    /// the step before, which has as many numbers as an input: TensorFlow's `ScheduledOutputTrainingHelper`. The sample is 1 where an
    /// output is read, otherwise 0.
    #[must_use]
    #[track_caller]
    pub fn scheduled_output_training(
        inputs: impl AsOutput,
        sequence_length: impl AsOutput,
        sampling_probability: impl Into<Scalar>,
    ) -> Helper {
        let mixed = Mixed { embedding: None, probability: sampling_probability.into() };
        Helper::given_and(inputs.as_output(), sequence_length.as_output(), Some(mixed))
    }

    #[track_caller]
    fn given_and(inputs: &Output, lengths: &Output, mixed: Option<Mixed>) -> Helper {
        let graph = inputs.graph();
        check_sequences(&graph, inputs, false);
        let expected = PartialShape::from([inputs.shape().dim(0)]);
        if lengths.shape().merge(&expected).is_none() {
            let shape = lengths.shape();
            let text = format!("sequence_length has shape {shape}, not {expected}, one for each sequence");
            graph.add_error(Error::value(text));
        }
        // Time first: a step reads one entry of the array.
        let steps = TensorArray::unstacked(transpose(inputs, [1, 0, 2]));
        let lengths = cast(lengths, DType::Int32);
        Helper::of(Source::Given { inputs: inputs.clone(), steps, lengths, mixed })
    }

    /// Reads the most likely word of the previous step, whose row in the embedding is the input; in the first step `start_tokens`, an integer
    /// vector. A sequence ends with `end_token`. TensorFlow's `GreedyEmbeddingHelper`.
    #[must_use]
    #[track_caller]
    pub fn greedy(embedding: &Variable, start_tokens: impl AsOutput, end_token: i32) -> Helper {
        Helper::written(embedding, start_tokens.as_output(), end_token, false)
    }

    /// Reads words as [`greedy`](Helper::greedy), but draws each from the distribution that the step before wrote: TensorFlow's
    /// `SampleEmbeddingHelper`.
    ///
    /// ```
    /// # use ops::{array::constant, initializers::zeros, rnn::Helper, variables::get_variable};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let embedding = get_variable(&graph, "embedding", [100, 16], DType::Float32, &zeros());
    /// let helper = Helper::sample(&embedding, constant(&graph, [1i32, 1]), 2).softmax_temperature(0.5).seed(7);
    /// # let _ = helper;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn sample(embedding: &Variable, start_tokens: impl AsOutput, end_token: i32) -> Helper {
        Helper::written(embedding, start_tokens.as_output(), end_token, true)
    }

    #[track_caller]
    fn written(embedding: &Variable, start_tokens: &Output, end_token: i32, at_random: bool) -> Helper {
        check_start_tokens(start_tokens);
        let (embedding, start_tokens) = (embedding.clone(), start_tokens.clone());
        Helper::of(Source::Written { embedding, start_tokens, end_token, at_random })
    }

    /// Reads what closures build: `sample_fn` a sample of this dtype and shape from the outputs of a step, `[batch, numbers]`, and
    /// `end_fn` a truth value for each sequence from the sample. The sample is the input of the next step, unless
    /// [`next_inputs_fn`](Helper::next_inputs_fn) is set. TensorFlow's `InferenceHelper`.
    ///
    /// ```
    /// # use ops::{array::zeros, math::{greater, reduce_max}, rnn::Helper};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// let start = zeros(&graph, DType::Float32, [8, 16]);
    /// let sample = (DType::Float32, PartialShape::from([8, 16]));
    /// let helper = Helper::inference(&start, sample, |_, outputs| outputs.clone(), |graph, sample| {
    ///     greater(reduce_max(sample, 1), ops::array::constant(graph, 0.9f32))
    /// });
    /// # let _ = helper;
    /// ```
    #[must_use]
    pub fn inference(
        start_inputs: impl AsOutput,
        sample: (DType, PartialShape),
        sample_fn: impl Fn(&Graph, &Output) -> Output + 'static,
        end_fn: impl Fn(&Graph, &Output) -> Output + 'static,
    ) -> Helper {
        Helper::of(Source::Custom(Custom {
            start_inputs: start_inputs.as_output().clone(),
            sample,
            sample_fn: Box::new(sample_fn),
            end_fn: Box::new(end_fn),
            next_inputs_fn: None,
        }))
    }

    /// Sets the closure that builds the inputs of the next step from the sample, for [`inference`](Helper::inference) only. Default:
    /// the sample itself.
    #[must_use]
    pub fn next_inputs_fn(mut self, build: impl Fn(&Graph, &Output) -> Output + 'static) -> Helper {
        if let Source::Custom(custom) = &mut self.source {
            custom.next_inputs_fn = Some(Box::new(build));
        }
        self
    }

    /// Sets the number by which scores are divided before words are drawn: below 1 makes likely words likelier. Default: 1.
    #[must_use]
    pub fn softmax_temperature(mut self, temperature: f64) -> Helper {
        self.softmax_temperature = Some(temperature);
        self
    }

    /// Sets the seed with which words are drawn. Default: none.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Helper {
        self.seed = Some(seed);
        self
    }

    /// Sets the seed with which a scheduled training chooses between given and written inputs. Default: none.
    #[must_use]
    pub fn scheduling_seed(mut self, seed: i64) -> Helper {
        self.scheduling_seed = Some(seed);
        self
    }

    /// The number of sequences, if it is known.
    pub(super) fn batch(&self) -> Option<usize> {
        match &self.source {
            Source::Given { inputs, .. } => inputs.shape().dim(0),
            Source::Written { start_tokens, .. } => start_tokens.shape().dim(0),
            Source::Custom(custom) => custom.start_inputs.shape().dim(0),
        }
    }

    /// The dtype of the inputs, in which the cell computes.
    pub(super) fn dtype(&self) -> DType {
        match &self.source {
            Source::Given { inputs, .. } => inputs.dtype(),
            Source::Written { embedding, .. } => embedding.dtype(),
            Source::Custom(custom) => custom.start_inputs.dtype(),
        }
    }

    /// The size of a step's inputs, which the variables of the cell need.
    pub(super) fn depth(&self) -> Option<usize> {
        match &self.source {
            Source::Given { inputs, .. } => inputs.shape().dim(2),
            Source::Written { embedding, .. } => embedding.shape().dim(1),
            Source::Custom(custom) => custom.start_inputs.shape().dim(1),
        }
    }

    /// Returns dtype and shape of the sample of a step.
    pub(super) fn sample_info(&self) -> (DType, PartialShape) {
        match &self.source {
            Source::Custom(custom) => custom.sample.clone(),
            _ => (DType::Int32, PartialShape::from([self.batch()])),
        }
    }

    /// Returns which sequences are finished before the first step, and its inputs.
    pub(super) fn first(&self, graph: &Graph) -> (Output, Output) {
        match &self.source {
            Source::Given { lengths, .. } => {
                let time = constant(graph, 0i32);
                // A sequence of length 0 is finished before the first step.
                (equal(lengths.within(graph), &time), self.given(graph, &time))
            }
            Source::Written { embedding, start_tokens, .. } => {
                let start = start_tokens.within(graph);
                let sizes = shape_of(&start);
                (zeros(graph, DType::Bool, sizes), embedding_lookup(embedding, start))
            }
            Source::Custom(custom) => {
                let start = custom.start_inputs.within(graph);
                let batch = strided_slice(shape(&start), &[Index::from(..1)]);
                (zeros(graph, DType::Bool, batch), start)
            }
        }
    }

    /// Returns the sample of a step with these outputs: a word for each sequence by default.
    pub(super) fn sampled(&self, graph: &Graph, outputs: &Output) -> Output {
        match &self.source {
            Source::Given { mixed: None, .. } | Source::Written { at_random: false, .. } => {
                cast(argmax(outputs, 1), DType::Int32)
            }
            Source::Written { at_random: true, .. } => self.drawn(outputs),
            Source::Given { mixed: Some(Mixed { probability, embedding: Some(_) }), .. } => {
                let words = self.drawn(outputs);
                // -1 is no word: `next` recognizes the sequences that read the given input by it.
                let given = fill(shape(&words), constant(graph, -1i32));
                select(self.chosen(graph, outputs, probability), words, given)
            }
            Source::Given { mixed: Some(Mixed { probability, embedding: None }), .. } => {
                cast(self.chosen(graph, outputs, probability), DType::Int32)
            }
            Source::Custom(custom) => (custom.sample_fn)(graph, outputs),
        }
    }

    /// Draws a word for each sequence.
    fn drawn(&self, scores: &Output) -> Output {
        // A temperature below 1 sharpens the distribution, since the scores are logits.
        let scores = match self.softmax_temperature {
            Some(temperature) => real_div(scores, crate::array::constants::scalar_like(scores, temperature)),
            None => scores.clone(),
        };
        cast(squeeze(multinomial(scores, 1, self.seed), 1), DType::Int32)
    }

    /// Returns a bool for each sequence, true with this probability, independently at each step.
    fn chosen(&self, graph: &Graph, outputs: &Output, probability: &Scalar) -> Output {
        let batch = strided_slice(shape(outputs.within(graph)), &[Index::from(..1)]);
        let noise = random_uniform_unit(graph, batch, DType::Float32, self.scheduling_seed);
        less(noise, probability.to_output(graph, DType::Float32))
    }

    /// Returns which sequences are finished after a step with these outputs and this sample, and the inputs of the next one.
    pub(super) fn next(
        &self,
        graph: &Graph,
        time: &Output,
        outputs: &Output,
        sample: &Output,
    ) -> (Output, Output) {
        match &self.source {
            Source::Given { lengths, mixed, .. } => {
                let next = &time.within(graph) + 1;
                // Finished after a step means that the next one, `time + 1`, is past the end.
                let finished = greater_equal(&next, lengths.within(graph));
                let given = self.given(graph, &next);
                let inputs = match mixed {
                    None => given,
                    Some(Mixed { embedding: Some(embedding), .. }) => {
                        let zero = constant(graph, 0i32);
                        let is_written = greater_equal(sample, &zero);
                        // -1 would be no row of the embedding; the row that is read instead is not selected.
                        select_rows(&is_written, embedding_lookup(embedding, maximum(sample, zero)), given)
                    }
                    Some(Mixed { embedding: None, .. }) => {
                        select_rows(cast(sample, DType::Bool), outputs.within(graph), given)
                    }
                };
                (finished, inputs)
            }
            Source::Written { embedding, end_token, .. } => {
                (equal(sample, constant(graph, *end_token)), embedding_lookup(embedding, sample))
            }
            Source::Custom(custom) => {
                let next = match &custom.next_inputs_fn {
                    Some(build) => build(graph, sample),
                    None => sample.clone(),
                };
                ((custom.end_fn)(graph, sample), next)
            }
        }
    }

    /// Returns the given inputs of a step; those of the last one behind the end.
    fn given(&self, graph: &Graph, time: &Output) -> Output {
        let Source::Given { inputs, steps, .. } = &self.source else { return time.clone() };
        let count = match inputs.shape().dim(1) {
            Some(count) => constant(graph, i32::try_from(count).unwrap_or(i32::MAX)),
            None => strided_slice(shape(inputs.within(graph)), &[Index::At(1)]),
        };
        // The loop asks for the inputs of one more step than there are; nothing uses them.
        let last = sub(count, constant(graph, 1i32));
        let steps = steps.with_handle(steps.handle().within(graph));
        steps.read(minimum(time.within(graph), last)).within(graph)
    }
}
