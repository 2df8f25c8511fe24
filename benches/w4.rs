//! W4: training throughput. `w4 WORKLOAD [MODE]`, with WORKLOAD one of `softmax`, `mlp`, `cnn`, `cnn_sgd`, `lstm` (in a loop),
//! `lstm_static` (unrolled), `transformer`, and MODE `singular` (a monitored session without hooks, the default) or `raw`. `THREADS` sets the threads, `ROUNDS` the rounds.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod sequences;
mod support;

use monitored_session::ops::optimizers::{AdamOptimizer, GradientDescentOptimizer, Optimizer};
use monitored_session::ops::{array, global_step, math, nn};
use monitored_session::prelude::*;
use std::time::Instant;
use support::networks::{self, parameter};
use support::{EXAMPLES, emit, labels, page_faults, rounds, status_mb, threads, uniform};

/// The numbers of steps before the clock starts, and per round.
struct Sizes {
    batch: usize,
    warm: usize,
    steps: usize,
}

fn sizes(workload: &str) -> Sizes {
    match workload {
        "mlp" => Sizes { batch: 128, warm: 50, steps: 200 },
        "softmax" => Sizes { batch: 100, warm: 200, steps: 2000 },
        "lstm" | "lstm_static" => Sizes { batch: 32, warm: 5, steps: 15 },
        "transformer" => Sizes { batch: 16, warm: 5, steps: 5 },
        _ => Sizes { batch: 64, warm: 5, steps: 15 },
    }
}

struct Model {
    x: Output,
    y: Output,
    loss: Output,
    train_op: Operation,
}

fn logits(graph: &Graph, workload: &str, x: &Output, batch: usize) -> Output {
    match workload {
        "softmax" => {
            let w = parameter(graph, 0, vec![0.0; 7840], &[784, 10]);
            let b = parameter(graph, 1, vec![0.0; 10], &[10]);
            nn::bias_add(math::matmul(x, &w), &b)
        }
        "mlp" => networks::mlp(graph, x),
        _ => networks::cnn(graph, x, batch as i64),
    }
}

/// Returns the number of words in a row of the models over sequences.
fn words(workload: &str) -> Option<usize> {
    match workload {
        "lstm" | "lstm_static" => Some(32),
        "transformer" => Some(64),
        _ => None,
    }
}

fn model(graph: &Graph, workload: &str, batch: usize) -> Model {
    let (x, y, loss) = match words(workload) {
        Some(words) => {
            let [x, y] = [(); 2].map(|()| array::placeholder(graph, DType::Int32, [batch, words]));
            let loss = sequences::loss(graph, workload, &x, &y);
            (x, y, loss)
        }
        None => {
            let x = array::placeholder(graph, DType::Float32, [batch, 784]);
            let y = array::placeholder(graph, DType::Int32, [batch]);
            let logits = logits(graph, workload, &x, batch);
            let losses = nn::sparse_softmax_cross_entropy_with_logits(&y, &logits);
            (x, y, math::reduce_mean(losses, ..))
        }
    };
    let step = global_step::get_or_create_global_step(graph);
    let train_op = match workload {
        "mlp" | "cnn" | "lstm" | "lstm_static" | "transformer" => {
            AdamOptimizer::new(1e-3).minimize(&loss, Some(&step))
        }
        _ => GradientDescentOptimizer::new(1e-2).minimize(&loss, Some(&step)),
    };
    Model { x, y, loss, train_op }
}

/// Returns the multiplications and additions of the products and convolutions of a step, in units of 10^9: forward, for the
/// weights, and for the inputs, save those of the first layer of a network that takes images.
fn gflop_per_step(workload: &str, batch: usize) -> f64 {
    let rows = batch * words(workload).unwrap_or(1);
    let (first, others) = match workload {
        "softmax" => (784 * 10, 0),
        "mlp" => (784 * 512, 512 * 256 + 256 * 10),
        "lstm" | "lstm_static" => (0, (128 + 256) * 4 * 256 + 256 * 1000),
        // For each of two layers: four projections, scores and sums over 64 positions, two dense layers.
        "transformer" => (0, 2 * (4 * 256 * 256 + 2 * 64 * 256 + 2 * 256 * 1024) + 256 * 1000),
        // Without what falls on the padding: 5x5 filters meet 134 pixels on each side of 28, and 64 of 14.
        _ => (134 * 134 * 32, 64 * 64 * 32 * 64 + 3136 * 1024 + 1024 * 10),
    };
    (2 * rows * (2 * first + 3 * others)) as f64 * 1e-9
}

/// Creates the batches once: rows of the data set, shared instead of copied.
fn batches(batch: usize) -> Vec<(Tensor, Tensor)> {
    let images = Tensor::from_vec(uniform(1, EXAMPLES * 784), [EXAMPLES, 784]).expect("whole rows");
    let classes = Tensor::from(labels(2, EXAMPLES, 10));
    let part =
        |tensor: &Tensor, i: usize| tensor.rows(i * batch, (i + 1) * batch).expect("rows of the data set");
    (0..EXAMPLES / batch).map(|i| (part(&images, i), part(&classes, i))).collect()
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let workload = args.next().unwrap_or_else(|| "mlp".to_owned());
    let mode = args.next().unwrap_or_else(|| "singular".to_owned());
    let sizes = sizes(&workload);
    let graph = Graph::new();
    let model = model(&graph, &workload, sizes.batch);
    let config = SessionConfig::with_threads(threads());
    let data = match words(&workload) {
        Some(words) => sequences::batches([sizes.batch, words]),
        None => batches(sizes.batch),
    };
    let mut session = SingularMonitoredSession::builder(&graph).config(config).build()?;
    let mut step = |i: usize| -> Result<f32> {
        let (images, classes) = data[i % data.len()].clone();
        let feeds = [(&model.x, images), (&model.y, classes)];
        let (loss, ()) = match mode.as_str() {
            "raw" => session
                .raw_session()
                .ok_or_else(monitored_session::session_core::closed)?
                .run((&model.loss, &model.train_op), feeds)?,
            _ => session.run((&model.loss, &model.train_op), feeds)?,
        };
        Ok(loss.value()?)
    };
    let first: Vec<f32> = (0..sizes.warm).map(&mut step).collect::<Result<_>>()?;
    let mut i = sizes.warm;
    let loss_after_warm = step(i)?;
    let faults = page_faults();
    let mut runs = Vec::new();
    for _ in 0..rounds(5) {
        let start = Instant::now();
        for _ in 0..sizes.steps {
            i += 1;
            std::hint::black_box(step(i)?);
        }
        runs.push(sizes.steps as f64 / start.elapsed().as_secs_f64());
    }
    let faults = (page_faults() - faults) as f64 / (runs.len() * sizes.steps) as f64;
    let extra = format!(
        "\"gflop_per_step\": {:.4}, \"losses\": {{\"0\": {:.6}, \"1\": {:.6}, \"2\": {:.6}, \"4\": {:.6}}}, \"loss_after_warm\": {loss_after_warm}, \
         \"rss_mb\": {:.1}, \"page_faults_per_step\": {faults:.3}",
        gflop_per_step(&workload, sizes.batch),
        first[0],
        first[1],
        first[2],
        first[4],
        status_mb("VmRSS:")
    );
    let threads = if threads() == 0 { "default".to_owned() } else { threads().to_string() };
    emit(&format!("w4/ours_{mode}/{workload}/{threads}t"), "steps_per_s", "1/s", &runs, &extra);
    Ok(())
}
