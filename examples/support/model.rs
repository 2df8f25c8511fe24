//! The model of the examples `digits`, `evaluator`, `inference` and `records`.

use super::PIXELS;
use monitored_session::ops::layers::{self, LayerOptions};
use monitored_session::ops::{array, global_step, math, nn, optimizers::*, summary};
use monitored_session::prelude::*;
use monitored_session::session_core::keys;

pub(crate) struct Model {
    pub(crate) images: Output,
    pub(crate) labels: Output,
    pub(crate) loss: Output,
    pub(crate) accuracy: Output,
    pub(crate) train_op: Operation,
}

/// The model of images and labels that are fed.
pub(crate) fn model(graph: &Graph) -> Model {
    let images = array::placeholder(&graph.named("images"), DType::Float32, [None, Some(PIXELS)]);
    let labels = array::placeholder(&graph.named("labels"), DType::Int32, [None]);
    model_of(graph, images, labels)
}

/// 64-128-64-10 with ReLU.
pub(crate) fn logits(images: &Output) -> Output {
    let relu = LayerOptions::default().activation(|x| nn::relu(x));
    let h = layers::dense(images.named("hidden1"), 128, &relu);
    let h = layers::dense(h.named("hidden2"), 64, &relu);
    layers::dense(h.named("logits"), 10, &LayerOptions::default())
}

/// The model trained by Adam.
pub(crate) fn model_of(graph: &Graph, images: Output, labels: Output) -> Model {
    let logits = logits(&images);
    let losses = nn::sparse_softmax_cross_entropy_with_logits(&labels, &logits);
    let loss = math::reduce_mean(losses.named("loss"), ..);
    let correct = math::equal(math::cast(math::argmax(&logits, 1), DType::Int32), &labels);
    let correct = math::cast(correct, DType::Float32);
    let accuracy = math::reduce_mean(correct.named("accuracy"), ..);
    summary::scalar("loss", &loss);
    summary::scalar("accuracy", &accuracy);

    let step = global_step::get_or_create_global_step(graph);
    let train_op = AdamOptimizer::new(1e-3).minimize(&loss, Some(&step));
    let parameters = graph.scope("parameters");
    for variable in graph.collection(&keys::TRAINABLE_VARIABLES) {
        summary::histogram(variable.name(), variable.read(&parameters));
    }
    Model { images, labels, loss, accuracy, train_op }
}
