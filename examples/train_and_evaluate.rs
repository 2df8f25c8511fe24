//! Trains a classifier from a dataset, evaluates its checkpoints in the same process, and exports the best of them.
//!
//! ```text
//! cargo run --release --example train_and_evaluate -- --dir D [--steps N]
//! cargo run -p monitored-cli -- run D/export/best/* --input 'points=[[0.1, 0.2], [0.9, 0.9]]'
//! ```
//!
//! A run that is interrupted, even by SIGKILL, and started again with the same `--dir` continues with the very next batch, and
//! compares with the best export so far. Evaluation and exports use moving averages of the variables.
#![allow(clippy::print_stdout)] // the output is meant to be read

use monitored_session::checkpoint::{Better, GraphSaver, SaverOptions};
use monitored_session::dataset::{Dataset, Remainder};
use monitored_session::monitored::TrainedAndEvaluated;
use monitored_session::ops::layers::{self, LayerOptions};
use monitored_session::ops::{array, control_flow, global_step, math, nn, optimizers::*, summary};
use monitored_session::prelude::*;
use monitored_session::saved_model::{MetaGraphOptions, predict_signature_def};
use monitored_session::session_core::keys::TRAINABLE_VARIABLES;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Returns points of a square, and for each 1 if it is in a circle.
pub(crate) fn points(count: usize, seed: u64) -> Result<(Tensor, Tensor)> {
    let mut state = seed;
    let mut coordinate = || {
        // A linear congruential generator; the upper bits are the good ones.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let points: Vec<[f32; 2]> = (0..count).map(|_| [coordinate(), coordinate()]).collect();
    let labels: Vec<i32> = points.iter().map(|[x, y]| i32::from(x * x + y * y < 0.6)).collect();
    Ok((Tensor::from_vec(points.concat(), [count, 2])?, Tensor::from(labels)))
}

/// 2-16-16-2 with ReLU.
fn logits(points: &Output) -> Output {
    let relu = LayerOptions::default().activation(|x| nn::relu(x));
    let h = layers::dense(points.named("hidden1"), 16, &relu);
    let h = layers::dense(h.named("hidden2"), 16, &relu);
    layers::dense(h.named("logits"), 2, &LayerOptions::default())
}

fn loss(labels: &Output, logits: &Output) -> Output {
    let losses = nn::sparse_softmax_cross_entropy_with_logits(labels, logits);
    math::reduce_mean(losses.named("loss"), ..)
}

fn averages() -> ExponentialMovingAverage {
    ExponentialMovingAverage::new(0.9f32)
}

/// Returns a saver that restores the averages of the trained variables as the variables of a graph.
fn saver_of_averages(graph: &Graph) -> Result<GraphSaver> {
    let (trained, all) = (graph.collection(&TRAINABLE_VARIABLES), global_variables(graph));
    let names = averages().variables_to_restore(&trained, &all).into_iter();
    GraphSaver::of(names.map(|(name, variable)| variable.saved_as(name)).collect(), SaverOptions::new())
}

fn global_variables(graph: &Graph) -> Vec<Variable> {
    graph.collection(&monitored_session::session_core::keys::VARIABLES)
}

/// The training: batches of a shuffled dataset, Adam, and the averages.
fn training(dir: &Path, steps: i64, hook: impl SessionRunHook + 'static) -> Result<TrainSpec> {
    let graph = Graph::new();
    graph.set_random_seed(1);
    let (points, labels) = points(600, 1)?;
    let examples = [array::constant(&graph, points), array::constant(&graph, labels)];
    let batches = Dataset::from_tensor_slices(&graph, examples)
        .shuffle_and_repeat(600, None, None)
        .batch(32, Remainder::Drop);
    let batch = batches.make_initializable_iterator().get_next();
    let loss = loss(&batch[1], &logits(&batch[0]));
    let step = global_step::get_or_create_global_step(&graph);
    let update = AdamOptimizer::new(0.01).minimize(&loss, Some(&step));
    let average = averages().apply_to_trainable(&graph.control_dependencies([&update]));
    let train_op = control_flow::group(&graph.named("train"), [&average]);
    let session = MonitoredTrainingSession::builder(&graph)
        .checkpoint_dir(dir)
        .save_checkpoint_steps(20)
        .hook(NanTensorHook::new(&loss))
        .hook(hook);
    Ok(TrainSpec::new(session, train_op).max_steps(steps))
}

/// The evaluation: accuracy and loss on other points.
fn evaluation(dir: &Path) -> Result<Evaluation<BTreeMap<&'static str, Output>>> {
    let graph = Graph::new();
    let points_in = array::placeholder(&graph.named("points"), DType::Float32, [None, Some(2)]);
    let labels_in = array::placeholder(&graph.named("labels"), DType::Int32, [None]);
    let logits = logits(&points_in);
    let loss = loss(&labels_in, &logits);
    let correct = math::equal(math::cast(math::argmax(&logits, 1), DType::Int32), &labels_in);
    let accuracy = math::reduce_mean(math::cast(correct, DType::Float32), ..);
    global_step::get_or_create_global_step(&graph);
    summary::scalar("accuracy", &accuracy);
    let (points, labels) = points(400, 2)?;
    Ok(Evaluation::new(&graph)
        .scaffold(Scaffold::builder().saver(&saver_of_averages(&graph)?))
        .final_feed(&points_in, points)
        .final_feed(&labels_in, labels)
        .final_ops(BTreeMap::from([("accuracy", accuracy), ("loss", loss)]))
        .summary_dir(dir.join("eval")))
}

/// The model for serving: from points to probabilities.
fn serving() -> Result<CheckpointExport> {
    let graph = Graph::new();
    let points = array::placeholder(&graph.named("points"), DType::Float32, [None, Some(2)]);
    let probabilities = nn::softmax(logits(&points));
    let signature = predict_signature_def([("points", &points)], [("probabilities", &probabilities)])?;
    let options = MetaGraphOptions::new().signature("serving_default", signature);
    Ok(CheckpointExport::new(&graph, options).saver(&saver_of_averages(&graph)?))
}

/// Trains until this step, from wherever an earlier run in this folder ended.
pub(crate) fn train(
    dir: &Path,
    steps: i64,
    hook: impl SessionRunHook + 'static,
) -> Result<TrainedAndEvaluated> {
    let serving = serving()?;
    let best = serving.clone();
    let best = move |checkpoint: &Path, folder: &Path| best.export(checkpoint, folder);
    let last = move |checkpoint: &Path, folder: &Path| serving.export(checkpoint, folder);
    let eval = EvalSpec::new(evaluation(dir)?)
        .throttle(Duration::ZERO) // for a training of seconds; the default is ten minutes
        .exporter(BestExporter::new("best", "loss", Better::Lower, best).exports_to_keep(1))
        .exporter(FinalExporter::new("final", last));
    train_and_evaluate(training(dir, steps, hook)?, eval)
}

#[allow(dead_code)] // the test of the story calls `train`
fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (mut dir, mut steps) = (None, 500);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "-h" | "--help") {
            println!("options: --dir D (a folder to keep and to resume from), --steps N");
            return Ok(());
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--dir" => dir = Some(PathBuf::from(value)),
            "--steps" => steps = value.parse().map_err(|_| format!("--steps {value}: not a number"))?,
            other => return Err(format!("unknown option {other}; there are --dir D, --steps N").into()),
        }
    }
    // Without --dir everything goes into a folder that is removed at the end.
    let temporary = tempfile::tempdir()?;
    let dir = dir.unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    let progress = ProgressBarHook::new().total(steps);
    let done = train(&dir, steps, progress)?;
    if let Some(evaluated) = done.evaluated {
        println!("step {}: {:?}", evaluated.step.unwrap_or_default(), evaluated.values);
    }
    for export in done.exports {
        if export.exists() {
            println!("exported {}", export.display());
        }
    }
    Ok(())
}
