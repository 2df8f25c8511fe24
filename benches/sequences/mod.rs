//! The models over sequences of W4: an LSTM, in a loop and unrolled, and a transformer.

use crate::support::{glorot, labels, uniform};
use monitored_session::ops::initializers::elements;
use monitored_session::ops::layers::{
    AttentionOptions, LayerOptions, NormOptions, dense, embedding_lookup, layer_norm, multi_head_attention,
};
use monitored_session::ops::rnn::{BasicLstmCell, RnnOptions, dynamic_rnn, static_rnn};
use monitored_session::ops::variables::get_variable;
use monitored_session::ops::{array, losses, nn};
use monitored_session::prelude::*;

/// The number of different words.
const WORDS: usize = 1000;

/// Makes a variable that has these values at first.
fn given(scope: &Graph, name: &str, shape: &[usize], values: Vec<f32>) -> Variable {
    get_variable(scope, name, shape, DType::Float32, &elements(values))
}

/// Returns the loss for words `[batch, steps]` and the words after them.
pub(crate) fn loss(graph: &Graph, workload: &str, x: &Output, y: &Output) -> Output {
    let scope = graph.variable_scope("", Reuse::Auto);
    let logits = match workload {
        "transformer" => transformer(&scope, x),
        _ => lstm(&scope, workload == "lstm_static", x),
    };
    losses::sparse_softmax_cross_entropy(y, logits)
}

/// An embedding of 128 numbers, an LSTM of 256 units, scores of all words at each step. The values are those of the other systems.
fn lstm(scope: &Graph, unrolled: bool, x: &Output) -> Output {
    const DEPTH: usize = 128;
    const UNITS: usize = 256;
    let table = given(scope, "embedding", &[WORDS, DEPTH], glorot(30, WORDS * DEPTH, WORDS, DEPTH));
    let rows = DEPTH + UNITS;
    let kernel = glorot(31, rows * 4 * UNITS, rows, 4 * UNITS);
    // The others have the gates in the order i, f, j, o.
    let gate = |row: usize, gate: usize| {
        let begin = (row * 4 + gate) * UNITS;
        &kernel[begin..begin + UNITS]
    };
    let kernel: Vec<f32> =
        (0..rows).flat_map(|row| [0, 2, 1, 3].map(|number| gate(row, number)).concat()).collect();
    // The cell finds its variables.
    let of_cell = scope.variable_scope("rnn", Reuse::Auto).variable_scope("basic_lstm_cell", Reuse::Auto);
    given(&of_cell, "kernel", &[rows, 4 * UNITS], kernel);
    let cell = BasicLstmCell::new(UNITS).forget_bias(0.0);
    let inputs = embedding_lookup(&table, x.within(scope));
    let outputs = if unrolled {
        let (outputs, _) = static_rnn(&cell, &array::unstack(&inputs, 1), &RnnOptions::default());
        array::stack(&outputs, 1)
    } else {
        dynamic_rnn(&cell, &inputs, &RnnOptions::default()).0
    };
    let options =
        LayerOptions::default().kernel_initializer(elements(glorot(32, UNITS * WORDS, UNITS, WORDS)));
    dense(outputs.named("logits"), WORDS, &options)
}

/// Two layers of width 256 with four heads, and scores of all words at each place.
fn transformer(scope: &Graph, x: &Output) -> Output {
    const WIDTH: usize = 256;
    const HEADS: usize = 4;
    let positions = x.shape().dim(1).unwrap_or_default();
    let small = |stream: u64, rows: usize| -> Vec<f32> {
        uniform(stream, rows * WIDTH).into_iter().map(|u| (u * 2.0 - 1.0) * 0.04).collect()
    };
    let table = given(scope, "embedding", &[WORDS, WIDTH], small(40, WORDS));
    let places = given(scope, "positions", &[positions, WIDTH], small(41, positions));
    let mut stream = 42;
    let mut kernel = |inputs: usize, outputs: usize| {
        let values = glorot(stream, inputs * outputs, inputs, outputs);
        stream += 1;
        LayerOptions::default().kernel_initializer(elements(values))
    };
    let norm = NormOptions::default().begin_norm_axis(-1).epsilon(1e-5);
    let mut x = &embedding_lookup(&table, x.within(scope)) + &places;
    for layer in 0..2 {
        let scope = scope.variable_scope(&format!("layer_{layer}"), Reuse::Auto);
        let normed = layer_norm(x.within(&scope), &norm);
        // All four projections of a layer begin with the same values.
        let attention = AttentionOptions::default().use_causal_mask(true).layer(kernel(WIDTH, WIDTH));
        x = &x + &multi_head_attention(&normed, &normed, HEADS, WIDTH / HEADS, &attention);
        let normed = layer_norm(x.within(&scope), &norm);
        let wide = kernel(WIDTH, 4 * WIDTH).activation(|x| nn::relu(x));
        let hidden = dense(normed.named("wide"), 4 * WIDTH, &wide);
        x = &x + &dense(hidden.named("narrow"), WIDTH, &kernel(4 * WIDTH, WIDTH));
    }
    let normed = layer_norm(x.within(scope), &norm);
    dense(normed.named("logits"), WORDS, &kernel(WIDTH, WORDS))
}

/// Creates the batches once: words `[batch, steps]`, and the words after them.
pub(crate) fn batches([batch, steps]: [usize; 2]) -> Vec<(Tensor, Tensor)> {
    const BATCHES: usize = 64;
    let words = labels(3, BATCHES * batch * (steps + 1), WORDS as u64);
    let part = |rows: &[i32], skip: usize| {
        let shifted = rows.chunks(steps + 1).flat_map(|row| row[skip..skip + steps].to_vec()).collect();
        Tensor::from_vec(shifted, [batch, steps]).expect("whole rows")
    };
    words.chunks(batch * (steps + 1)).map(|rows| (part(rows, 0), part(rows, 1))).collect()
}
