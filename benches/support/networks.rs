//! The networks of the workloads, with the initial values that every system gets.

use super::glorot;
use monitored_session::ops::{array, math, nn, variables};
use monitored_session::prelude::*;

/// Creates variable `i` with these initial values.
pub(crate) fn parameter(graph: &Graph, i: usize, values: Vec<f32>, shape: &[usize]) -> Variable {
    let tensor = Tensor::from_vec(values, shape).expect("as many values as the shape has");
    variables::variable(&graph.named(&format!("p{i}")), tensor)
}

pub(crate) fn dense(
    graph: &Graph,
    x: &Output,
    i: usize,
    stream: u64,
    [inputs, outputs]: [usize; 2],
) -> Output {
    let w = parameter(graph, i, glorot(stream, inputs * outputs, inputs, outputs), &[inputs, outputs]);
    let b = parameter(graph, i + 1, vec![0.0; outputs], &[outputs]);
    nn::bias_add(math::matmul(x, &w), &b)
}

pub(crate) fn convolution(
    graph: &Graph,
    x: &Output,
    i: usize,
    stream: u64,
    [inputs, outputs]: [usize; 2],
) -> Output {
    let values = glorot(stream, 25 * inputs * outputs, 25 * inputs, 25 * outputs);
    let w = parameter(graph, i, values, &[5, 5, inputs, outputs]);
    let b = parameter(graph, i + 1, vec![0.0; outputs], &[outputs]);
    let h = nn::relu(nn::bias_add(nn::conv2d(x, &w, [1, 1], nn::Padding::Same), &b));
    nn::max_pool(&h, [2, 2], [2, 2], nn::Padding::Same)
}

/// Returns the logits of two hidden layers.
pub(crate) fn mlp(graph: &Graph, x: &Output) -> Output {
    let h = nn::relu(dense(graph, x, 0, 10, [784, 512]));
    let h = nn::relu(dense(graph, &h, 2, 11, [512, 256]));
    dense(graph, &h, 4, 12, [256, 10])
}

/// Returns the logits of two convolutions and a hidden layer, for a batch of this size, or of any size if -1.
pub(crate) fn cnn(graph: &Graph, x: &Output, batch: i64) -> Output {
    let h = array::reshape(x, [batch, 28, 28, 1]);
    let h = convolution(graph, &h, 0, 20, [1, 32]);
    let h = convolution(graph, &h, 2, 21, [32, 64]);
    let h = array::reshape(&h, [batch, 3136]);
    let h = nn::relu(dense(graph, &h, 4, 22, [3136, 1024]));
    dense(graph, &h, 6, 23, [1024, 10])
}
