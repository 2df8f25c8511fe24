//! A training that can be killed at any moment and resumes exactly. `cargo xtask torture` kills it.
//!
//! ```text
//! cargo run --example torture -- --dir D [--steps N] [--seed S] [--input I]      trains in D, or resumes there
//! cargo run --example torture -- --compare D --with E                            compares the results of two trainings
//! ```
//!
//! The input is one of `hook` (a hook feeds batches, and its position is its state), `slices` (`slice_batch`: the step
//! itself creates its batch), `records` (file names in one queue, records in another, shuffled, filled by threads), `host`
//! (no graph: a loop over plain arrays), and three datasets whose elements a thread makes ahead of the steps: `interleaved` (gzip
//! records of several files that take turns, shuffled), `rows` (shuffled by their numbers) and `generator` (a Rust iterator).
//!
//! Dropout, a shuffled input, Adam, early stopping, a metrics file and summaries: the resumed training equals an uninterrupted
//! one, bit for bit, only if the state of all of them is restored.
#![allow(clippy::print_stdout)] // the output is meant to be read

mod support;

use monitored_session::checkpoint::{self, Better, RestoreOptions, SessionState};
use monitored_session::dataset::{Compression as RecordCompression, Dataset, Remainder};
use monitored_session::hooks::{EarlyStoppingHook, MetricsFileHook};
use monitored_session::ops::io::{Compression, Reader};
use monitored_session::ops::layers::{self, LayerOptions};
use monitored_session::ops::parsing::{FeatureSpec, parse_single_example};
use monitored_session::ops::{array, global_step, math, nn, optimizers::*, random, summary};
use monitored_session::prelude::*;
use monitored_session::queue_runner::input::{
    BatchOptions, IndexOptions, ProducerOptions, shuffle_batch, slice_batch, string_input_producer,
};
use monitored_session::session_core::OutputInfo;
use monitored_session::summary::{EventAccumulator, TagKind};
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use support::perceptron::Perceptron;
use support::{Digits, PIXELS, digits, permutation, write_gzip_records, write_records};

const BATCH: usize = 32;

type Outcome<T> = std::result::Result<T, Box<dyn StdError>>;

/// Feeds batches of rows in an order that the seed determines for each epoch. The position in that order is the hook's state.
struct Batches {
    data: Arc<Digits>,
    images: Output,
    labels: Output,
    seed: u64,
    /// The number of batches since the start of the training.
    made: u64,
    /// The epoch of `order`.
    epoch: Option<u64>,
    order: Vec<usize>,
}

impl Batches {
    fn next(&mut self) -> Result<(Tensor, Tensor)> {
        let per_epoch = (self.data.rows() / BATCH) as u64;
        let epoch = self.made / per_epoch;
        if self.epoch != Some(epoch) {
            self.order = permutation(self.data.rows(), self.seed.wrapping_add(epoch));
            self.epoch = Some(epoch);
        }
        let first = (self.made % per_epoch) as usize * BATCH;
        self.data.batch(&self.order[first..first + BATCH])
    }
}

impl SessionRunHook for Batches {
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let (images, labels) = self.next()?;
        Ok(Some(SessionRunArgs::new().feed(&self.images, images).feed(&self.labels, labels)))
    }

    fn after_run(&mut self, _: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.made += 1;
        Ok(())
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        Some(self.made.to_le_bytes().to_vec())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let bytes = state.try_into().map_err(|_| Error::value("the state of the batches has 8 bytes"))?;
        self.made = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// Returns the source of batches: images, labels, and the hook that feeds them if there is one.
fn input(graph: &Graph, kind: &str, dir: &Path, seed: u64) -> Outcome<(Output, Output, Option<Batches>)> {
    let data = digits()?.0;
    match kind {
        "hook" => {
            let images = array::placeholder(&graph.named("images"), DType::Float32, [None, Some(PIXELS)]);
            let labels = array::placeholder(&graph.named("labels"), DType::Int32, [None]);
            let (fed_images, fed_labels) = (images.clone(), labels.clone());
            let data = Arc::new(data);
            let batches = Batches {
                data,
                images: fed_images,
                labels: fed_labels,
                seed,
                made: 0,
                epoch: None,
                order: Vec::new(),
            };
            Ok((images, labels, Some(batches)))
        }
        "slices" => {
            let (images, labels) = data.all()?;
            let rows = [array::constant(graph, images), array::constant(graph, labels)];
            let mut batch = slice_batch(graph, &rows, BATCH, &IndexOptions::default().seed(seed as i64));
            let labels = batch.pop().ok_or("a batch without labels")?;
            Ok((batch.pop().ok_or("a batch without images")?, labels, None))
        }
        "records" => {
            let folder = dir.join("input");
            std::fs::create_dir_all(&folder)?;
            let files = write_records(&folder, &data)?;
            let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            let names = string_input_producer(graph, names, &ProducerOptions::default());
            let (_, record) = Reader::tf_record(graph, Compression::None).read(&names);
            let features = [
                ("image", FeatureSpec::fixed([PIXELS], DType::Float32)),
                ("label", FeatureSpec::fixed([], DType::Int64)),
            ];
            let example = parse_single_example(&record, &features);
            let element = [example.dense("image"), example.dense("label")];
            let batch = shuffle_batch(
                graph,
                element,
                BATCH,
                400,
                &BatchOptions::default().exact_resume().capacity(800),
            );
            Ok((batch[0].clone(), math::cast(&batch[1], DType::Int32), None))
        }
        "interleaved" | "rows" | "generator" => {
            let mut batch = dataset(graph, kind, dir, data)?.make_initializable_iterator().get_next();
            let labels = batch.pop().ok_or("a batch without labels")?;
            Ok((batch.pop().ok_or("a batch without images")?, labels, None))
        }
        other => Err(format!(
            "no input {other}; there are hook, slices, records, host, interleaved, rows and generator"
        )
        .into()),
    }
}

/// Batches with noise of random operations, made ahead of the steps.
fn dataset(graph: &Graph, kind: &str, dir: &Path, data: Digits) -> Outcome<Dataset> {
    let info = |dtype, shape: &[usize]| OutputInfo { dtype, shape: PartialShape::from(shape), is_ref: false };
    let components = [info(DType::Float32, &[PIXELS]), info(DType::Int32, &[])];
    let examples = match kind {
        "interleaved" => {
            // Positions name the files, so compared trainings read the same ones.
            let folder = dir.parent().unwrap_or(dir).join("shards");
            std::fs::create_dir_all(&folder)?;
            write_gzip_records(&folder, &data)?;
            let files = folder.join("digits-*.tfrecord.gz").display().to_string();
            let features = [
                ("image", FeatureSpec::fixed([PIXELS], DType::Float32)),
                ("label", FeatureSpec::fixed([], DType::Int64)),
            ];
            Dataset::list_files(graph, &files)
                .shuffle(10, None)
                .interleave(3, 5, |_, file| Dataset::tf_record_of(&file[0], RecordCompression::Gzip))
                .shuffle(300, None)
                .repeat(None)
                .map(|_, record| {
                    let example = parse_single_example(&record[0], &features);
                    vec![example.dense("image"), math::cast(example.dense("label"), DType::Int32)]
                })
        }
        "rows" => {
            let rows = data.rows();
            let row = move |index: u64| example(&data, index as usize);
            Dataset::from_rows(graph, rows as u64, components, row).shuffle(rows as u64, None).repeat(None)
        }
        _ => {
            let data = Arc::new(data);
            let rows = move || {
                let data = data.clone();
                permutation(data.rows(), 3).into_iter().map(move |index| example(&data, index))
            };
            Dataset::from_generator(graph, components, rows).shuffle(100, None).repeat(None)
        }
    };
    let noisy = examples.map(|graph, example| {
        let noise = random::random_uniform(graph, [PIXELS as i64], 0.0f32, 0.1f32, DType::Float32, None);
        vec![&example[0] + noise, example[1].clone()]
    });
    Ok(noisy.batch(BATCH as u64, Remainder::Drop).prefetch(3))
}

/// One example as tensors.
fn example(data: &Digits, index: usize) -> Result<Vec<Tensor>> {
    let (images, labels) = data.batch(&[index])?;
    Ok(vec![images.reshaped([PIXELS])?, labels.reshaped([])?])
}

/// The loop of the example `host_loop`, with the hooks of the others.
fn train_arrays(dir: &Path, steps: i64, seed: u64) -> Outcome<()> {
    let data = digits()?.0;
    let model = Arc::new(Mutex::new(Perceptron::new(seed)));
    let held = model.clone();
    let finished = HostTraining::new()
        .saved_object("perceptron", &model)
        .metrics(["loss"])
        .seed(seed)
        .checkpoint_dir(dir)
        .save_checkpoint_steps(7)
        .save_summaries_steps(3)
        .configure(|session| {
            session.log_step_count_steps(10).restore_options(RestoreOptions::new().fallback(false))
        })
        .hook(MetricsFileHook::json_lines(dir.join("metrics.jsonl"), 1).tensor("loss", "loss"))
        .hook(EarlyStoppingHook::new("loss", Better::Lower).check_every(5).patience(12).min_delta(0.01))
        .hook(StopAtStepHook::last_step(steps))
        .run(move |step| {
            let mut model = held.lock().unwrap_or_else(PoisonError::into_inner);
            Ok([("loss", model.train(&data, &step.batch(data.rows(), BATCH), step))])
        })?;
    let reason = finished.reason.map_or_else(String::new, |reason| reason.to_string());
    println!("ended at step {}: {reason}", finished.value.unwrap_or_default());
    Ok(())
}

fn train(dir: &Path, steps: i64, seed: u64, kind: &str) -> Outcome<()> {
    if kind == "host" {
        return train_arrays(dir, steps, seed);
    }
    let graph = Graph::new();
    graph.set_random_seed(seed as i64);
    let relu = LayerOptions::default().activation(|x| nn::relu(x));
    let (images, labels, batches) = input(&graph, kind, dir, seed)?;
    let hidden = layers::dense(images.named("hidden"), 48, &relu);
    let dropped = layers::dropout(&hidden, 0.4, layers::Training::On, None);
    let logits = layers::dense(dropped.named("logits"), 10, &LayerOptions::default());
    let losses = nn::sparse_softmax_cross_entropy_with_logits(&labels, &logits);
    let loss = math::reduce_mean(losses.named("loss"), ..);
    summary::scalar("loss", &loss);
    summary::histogram("hidden", &hidden);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = AdamOptimizer::new(2e-3).minimize(&loss, Some(&step));

    let early = EarlyStoppingHook::new(&loss, Better::Lower).check_every(5).patience(12).min_delta(0.01);
    let metrics = MetricsFileHook::json_lines(dir.join("metrics.jsonl"), 1).tensor("loss", &loss);
    let mut builder = MonitoredTrainingSession::builder(&graph)
        .checkpoint_dir(dir)
        .save_checkpoint_steps(7)
        .save_summaries_steps(3)
        .log_step_count_steps(10)
        // The newest checkpoint must always be intact.
        .restore_options(RestoreOptions::new().fallback(false))
        .hook(metrics)
        .hook(early)
        .hook(StopAtStepHook::last_step(steps));
    if let Some(batches) = batches {
        builder = builder.hook(batches);
    }
    let finished = builder.scoped(|session| {
        while !session.should_stop() {
            session.run(&train_op, ())?;
        }
        Ok(session.run_without_hooks(&step, ())?.value::<i64>()?)
    })?;
    let reason = finished.reason.map_or_else(String::new, |reason| reason.to_string());
    println!("ended at step {}: {reason}", finished.value.unwrap_or_default());
    Ok(())
}

// ---- comparing ------------------------------------------------------------------------------------------

fn compare(one: &Path, other: &Path) -> Outcome<()> {
    checkpoints(one, other)?;
    let read = |dir: &Path| std::fs::read_to_string(dir.join("metrics.jsonl"));
    let (first, second) = (read(one)?, read(other)?);
    if let Some((line, (a, b))) = first.lines().zip(second.lines()).enumerate().find(|(_, (a, b))| a != b) {
        return Err(format!("metrics differ in line {}: {a} and {b}", line + 1).into());
    }
    if first.lines().count() != second.lines().count() {
        return Err("one metrics file is longer than the other".into());
    }
    let points = events(one, other)?;
    println!("the same: {} rows of metrics, {points} points of summaries", first.lines().count());
    Ok(())
}

/// Compares the variables, and the state of the session and of all hooks.
fn checkpoints(one: &Path, other: &Path) -> Outcome<()> {
    let newest = |dir: &Path| -> Outcome<PathBuf> {
        checkpoint::latest_checkpoint(dir)?
            .ok_or_else(|| format!("no checkpoint in {}", dir.display()).into())
    };
    let (first, second) = (newest(one)?, newest(other)?);
    if first.file_name() != second.file_name() {
        return Err(format!("{} and {}", first.display(), second.display()).into());
    }
    let (mine, theirs) = (checkpoint::read_all(&first)?, checkpoint::read_all(&second)?);
    if !mine.keys().eq(theirs.keys()) {
        return Err("the checkpoints have different variables".into());
    }
    for (name, tensor) in &mine {
        // Compares bytes, so that equal numbers with different bits differ, and NaN equals itself.
        if tensor.to_le_bytes()? != theirs[name].to_le_bytes()? {
            return Err(format!("variable {name} differs").into());
        }
    }
    let state = |prefix: &Path| -> Outcome<SessionState> {
        checkpoint::sidecar::load(prefix)?.ok_or_else(|| "no session state".into())
    };
    let (mine, theirs) = (state(&first)?, state(&second)?);
    if mine != theirs {
        return Err(format!("the states differ: {mine:?} and {theirs:?}").into());
    }
    Ok(())
}

/// Returns the content of the event files, except for what depends on the speed of threads: times, and the fill of queues.
fn events(one: &Path, other: &Path) -> Outcome<usize> {
    let (first, second) = (EventAccumulator::open(one)?, EventAccumulator::open(other)?);
    let tags = |run: &EventAccumulator| -> Vec<(String, TagKind, usize, Option<(i64, i64)>)> {
        let tags = run.tags().filter(|tag| tag.tag != "global_step/sec" && !tag.tag.contains("fraction_"));
        tags.map(|tag| (tag.tag.to_owned(), tag.kind, tag.count, tag.steps)).collect()
    };
    let (mine, theirs) = (tags(&first), tags(&second));
    if mine != theirs {
        return Err(format!("the tags differ: {mine:?} and {theirs:?}").into());
    }
    for (tag, ..) in &mine {
        let points = |run: &EventAccumulator| -> Vec<(i64, u64)> {
            run.scalars(tag).iter().map(|point| (point.step, point.value.to_bits())).collect()
        };
        let (mine, theirs) = (points(&first), points(&second));
        if mine != theirs {
            return Err(format!("the points of {tag} differ: {mine:?} and {theirs:?}").into());
        }
    }
    Ok(mine.iter().map(|(_, _, count, _)| count).sum())
}

fn main() -> Outcome<()> {
    let (mut dir, mut compared, mut with) = (None, None, None);
    let (mut steps, mut seed, mut input) = (400, 1, "hook".to_owned());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--dir" => dir = Some(PathBuf::from(value)),
            "--compare" => compared = Some(PathBuf::from(value)),
            "--with" => with = Some(PathBuf::from(value)),
            "--steps" => steps = value.parse()?,
            "--seed" => seed = value.parse()?,
            "--input" => input = value,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    match (dir, compared, with) {
        (Some(dir), None, None) => train(&dir, steps, seed, &input),
        (None, Some(one), Some(other)) => compare(&one, &other),
        _ => Err("pass --dir, or --compare and --with".into()),
    }
}
