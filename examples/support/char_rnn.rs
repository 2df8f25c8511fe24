//! The model of the example `char_rnn`: two LSTM cells that predict the next character.
//!
//! The text is cut into as many streams as a batch has rows, and each step reads the next characters of all of them. The state of the
//! cells is kept in variables, so that a step continues where the one before ended although gradients go no further back than
//! [`Sizes::steps`]: truncated back-propagation. A checkpoint has these variables like all others, so a resumed training is exact.

use super::text::Encoded;
use monitored_session::ops::control_flow::{Structure, TensorArray, group, while_loop};
use monitored_session::ops::initializers::{random_uniform, zeros};
use monitored_session::ops::layers::{LayerOptions, dense, embedding_lookup};
use monitored_session::ops::optimizers::{AdamOptimizer, Optimizer};
use monitored_session::ops::rnn::{
    BasicLstmCell, LstmStateTuple, MultiRnnCell, RnnCell, RnnOptions, dynamic_rnn_from,
};
use monitored_session::ops::variables::{VariableBuilder, VariableExt, get_variable};
use monitored_session::ops::{Ints, OutputExt, array, global_step, losses, math, random, summary};
use monitored_session::prelude::*;

/// The size of the model and of its batches.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) streams: usize,
    pub(crate) steps: usize,
    pub(crate) embedding: usize,
    pub(crate) units: usize,
}

pub(crate) struct Model {
    pub(crate) loss: Output,
    pub(crate) train_op: Operation,
    /// A vector of numbers with which a sample begins, at least one.
    pub(crate) prompt: Output,
    /// The numbers that the model writes after it.
    pub(crate) sample: Output,
}

/// The embedding and the cells, which training and sampling share.
struct Parts {
    table: Variable,
    cell: MultiRnnCell<BasicLstmCell>,
    classes: usize,
}

impl Parts {
    /// Returns the scores of the next character for numbers `[batch, steps]`, and the state after them.
    fn logits(
        &self,
        scope: &Graph,
        ids: &Output,
        state: Vec<LstmStateTuple>,
    ) -> (Output, Vec<LstmStateTuple>) {
        let scope = scope.variable_scope("model", Reuse::Auto);
        let inputs = embedding_lookup(&self.table, ids.within(&scope));
        let (outputs, state) = dynamic_rnn_from(&self.cell, &inputs, state, &RnnOptions::default());
        (dense(outputs.named("logits"), self.classes, &LayerOptions::default()), state)
    }
}

/// Builds model, training and sampling of `sample_length` characters.
pub(crate) fn model(graph: &Graph, text: &Encoded, sizes: Sizes, sample_length: usize) -> Model {
    let Sizes { streams, steps, embedding, units } = sizes;
    let classes = text.characters.len();
    let step = global_step::get_or_create_global_step(graph);

    // Streams of equal length, one behind the other in the text; a window has one character more, the last to be predicted.
    let length = text.ids.len() / streams;
    let windows = length.saturating_sub(1) / steps;
    let rows =
        Tensor::from_vec(text.ids[..streams * length].to_vec(), [streams, length]).expect("whole rows");
    let rows = array::constant(&graph.named("text"), rows);
    let number = |value: usize| array::constant(graph, value as i64);
    let window = math::floor_mod(&step, number(windows));
    let begin = math::cast(&window * &number(steps), DType::Int32);
    let none = array::constant(graph, 0i32);
    let whole = array::slice(rows, array::stack(&[none, begin], 0), [streams, steps + 1]);
    let inputs = array::slice(&whole, [0, 0], [streams, steps]);
    let labels = array::slice(&whole, [0, 1], [streams, steps]);

    let scope = graph.variable_scope("model", Reuse::Auto);
    let table =
        get_variable(&scope, "embedding", [classes, embedding], DType::Float32, &random_uniform(-0.1, 0.1));
    let cell = MultiRnnCell::new([BasicLstmCell::new(units), BasicLstmCell::new(units)]);
    let parts = Parts { table, cell, classes };

    // The state of the streams: variables that are saved, but not trained. The first window of a pass begins with zeros.
    let zero = parts.cell.zero_state(graph, Ints::from(streams), DType::Float32);
    let kept: Vec<Variable> = (0..zero.outputs().len())
        .map(|part| {
            let builder = VariableBuilder::new(&graph.scope("state")).exact_name(format!("part_{part}"));
            builder.initializer([streams, units], DType::Float32, &zeros()).trainable(false).build()
        })
        .collect();
    let goes_on = math::cast(math::not_equal(&window, number(0)), DType::Float32);
    let before = kept.iter().map(|part| part * &goes_on).collect();
    let (logits, after) = parts.logits(graph, &inputs, zero.with_outputs(before));

    let loss = losses::sparse_softmax_cross_entropy(&labels, &logits);
    summary::scalar("loss", loss.within(graph));
    let update = AdamOptimizer::new(2e-3).global_clipnorm(5.0).minimize(&loss, Some(&step));
    let behind = graph.control_dependencies([&update]);
    let carried: Vec<Operation> =
        kept.iter().zip(after.outputs()).map(|(part, value)| part.assign(value.within(&behind))).collect();
    let train_op = group(&graph.named("train"), carried.iter().chain([&update]));

    let (prompt, sample) = sampling(graph, &parts, sample_length);
    Model { loss, train_op, prompt, sample }
}

/// Builds a loop that draws one character after the other.
fn sampling(graph: &Graph, parts: &Parts, length: usize) -> (Output, Output) {
    let prompt = array::placeholder(&graph.named("prompt"), DType::Int32, [None]);
    let zero = parts.cell.zero_state(graph, Ints::from(1usize), DType::Float32);
    let draw = |graph: &Graph, logits: &Output| {
        let logits = array::reshape(logits.within(graph), [-1, parts.classes as i64]);
        let last = array::strided_slice(logits, &[array::Index::from(-1..)]);
        // A little bolder than the model is: unlikely characters are rarer still.
        let id = random::multinomial(last * 1.4, 1, Some(1));
        array::reshape(math::cast(id, DType::Int32), [1, 1])
    };
    let (logits, state) = parts.logits(&graph.scope("prompted"), &array::expand_dims(&prompt, 0), zero);
    let first = draw(graph, &logits);
    let written = TensorArray::new(graph, DType::Int32, length, [1, 1]);
    let start = (array::constant(graph, 0i32), first, state, written);
    let (_, _, _, written) = while_loop(
        graph,
        |body, (place, ..)| place.less(array::constant(body, length as i32)),
        |body, (place, id, state, written)| {
            let (logits, next) = parts.logits(body, &id, state);
            let written = written.write(&place, &id);
            (&place + 1, draw(body, &logits), next, written)
        },
        start,
    );
    (prompt, array::reshape(written.stack(), [-1]))
}
