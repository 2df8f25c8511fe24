//! The model of the example `transformer`, which predicts the next character from all before it in a window.

use super::text::Encoded;
use monitored_session::ops::initializers::random_normal;
use monitored_session::ops::io::{IndexOptions, index_batch};
use monitored_session::ops::layers::{
    AttentionOptions, LayerOptions, NormOptions, Training, dense, dropout, embedding_lookup, layer_norm,
    multi_head_attention,
};
use monitored_session::ops::learning_rate::{AfterDecay, polynomial_decay};
use monitored_session::ops::optimizers::{AdamWOptimizer, Optimizer};
use monitored_session::ops::variables::get_variable;
use monitored_session::ops::{array, global_step, losses, math, nn, summary};
use monitored_session::prelude::*;

/// The size of the model and of its batches.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) positions: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
}

pub(crate) struct Model {
    pub(crate) loss: Output,
    pub(crate) train_op: Operation,
    /// A window of numbers, one row.
    pub(crate) window: Output,
    /// The scores of the character after each of them.
    pub(crate) scores: Output,
}

/// Returns the scores of the next character at each place of windows `[batch, positions]`.
fn logits(scope: &Graph, ids: &Output, classes: usize, sizes: Sizes, training: Training) -> Output {
    let Sizes { positions, width, heads, layers, .. } = sizes;
    let small = || random_normal(0.0, 0.02);
    let table = |name: &str, rows: usize| get_variable(scope, name, [rows, width], DType::Float32, &small());
    let places = table("positions", positions);
    let mut x = &embedding_lookup(&table("embedding", classes), ids.within(scope)) + &places;
    let each_place = NormOptions::default().begin_norm_axis(-1).epsilon(1e-5);
    let attention = AttentionOptions::default().use_causal_mask(true);
    for layer in 0..layers {
        let scope = scope.variable_scope(&format!("layer_{layer}"), Reuse::Auto);
        let normed = layer_norm(x.within(&scope), &each_place);
        let found = multi_head_attention(&normed, &normed, heads, width / heads, &attention);
        x = &x + &dropout(found, 0.1, training.clone(), None);
        let normed = layer_norm(x.within(&scope), &each_place);
        let hidden =
            dense(normed.named("wide"), 4 * width, &LayerOptions::default().activation(|x| nn::relu(x)));
        let found = dense(hidden.named("narrow"), width, &LayerOptions::default());
        x = &x + &dropout(found, 0.1, training.clone(), None);
    }
    let normed = layer_norm(x.within(scope), &each_place);
    dense(normed.named("logits"), classes, &LayerOptions::default())
}

/// Builds model and training. Windows begin anywhere in the text, in an order that a checkpoint knows the position in.
pub(crate) fn model(graph: &Graph, text: &Encoded, sizes: Sizes, steps: i64) -> Model {
    let classes = text.characters.len();
    let step = global_step::get_or_create_global_step(graph);
    let all = array::constant(&graph.named("text"), text.ids.clone());
    let begins = text.ids.len() - sizes.positions;
    let begin = index_batch(&graph.named("order"), begins, sizes.batch, &IndexOptions::default());
    let places =
        Tensor::from_vec((0..=sizes.positions as i64).collect::<Vec<i64>>(), [1, sizes.positions + 1]);
    let places = array::constant(graph, places.expect("one row"));
    let window = array::gather(all, math::add(array::expand_dims(begin, 1), places));
    let inputs = array::slice(&window, [0, 0], [sizes.batch, sizes.positions]);
    let labels = array::slice(&window, [0, 1], [sizes.batch, sizes.positions]);

    let trained = logits(&graph.variable_scope("model", Reuse::Auto), &inputs, classes, sizes, Training::On);
    let loss = losses::sparse_softmax_cross_entropy(&labels, &trained);
    summary::scalar("loss", loss.within(graph));
    let rate = polynomial_decay(2e-3, &step, steps as f64, 1e-4, 1.0, AfterDecay::Hold);
    let train_op = AdamWOptimizer::new(1e-4, &rate).global_clipnorm(1.0).minimize(&loss, Some(&step));

    // The same variables without dropout, for a window of any kind.
    let window = array::placeholder(&graph.named("window"), DType::Int32, [1, sizes.positions]);
    let scores = logits(&graph.variable_scope("model", Reuse::Auto), &window, classes, sizes, Training::Off);
    Model { loss, train_op, window, scores }
}
