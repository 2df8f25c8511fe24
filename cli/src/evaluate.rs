//! `monitored evaluate`: evaluates one checkpoint, or each new one as it appears.
//!
//! The work is done by `monitored::Evaluation`, in a session that is separate from the training's. This module maps
//! options to it.
//!
//! Local variables, which streaming metrics use, are initialized again for each checkpoint. The session reads the
//! training's folder and writes nothing into it, so it may run at any time next to the training.
//!
//! With feeds and without `--steps`, the number of runs follows from the number of rows, so that each row counts
//! once. If the batches do not divide the rows, the command asks for another size, since a mean over a partial batch
//! would weight its rows differently.

use crate::model::folder::folder_of;
use crate::model::graph_file::import;
use crate::model::json;
use crate::output::{Outcome, Result, write_json};
use crate::train::EngineName;
use crate::train::feeds::{FeedArgument, Feeder};
use monitored_session::checkpoint::{WatchOptions, latest_checkpoint};
use monitored_session::graph_def::read_graph_file;
use monitored_session::hooks::{SessionRunHook, SignalHook, StopAfterNEvalsHook};
use monitored_session::monitored::{Evaluated, Evaluation};
use monitored_session::queue_runner::StopHandle;
use monitored_session::saved_model::{find_operation, find_tensor};
use monitored_session::scaffold::ScaffoldBuilder;
use monitored_session::session_core::{DType, Error, FileAccess, Graph, Output, SessionConfig, Tensor};

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tensor::text::escaped;

/// Evaluate the checkpoints of a training in a separate session: restore the variables, initialize the local ones, run the
/// operations of `--eval-op` batch by batch, and print the tensors of `--fetch`.
///
/// Without `--eval-op` the tensors are computed once, from all rows of the feeds. With `--follow`, a checkpoint that is damaged
/// or deleted meanwhile is skipped. The exit code is 128 + the signal's number after an interruption.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The meta graph (`.meta`, or `.pbtxt` for text), as TensorFlow's savers write it.
    #[arg(long, value_name = "FILE")]
    meta: PathBuf,
    /// The folder of the training's checkpoints.
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: PathBuf,
    /// Evaluate each new checkpoint as it appears, until a signal or the time-out. Default: the newest one only.
    #[arg(long)]
    follow: bool,
    /// With `--follow`: end after this time without a new checkpoint. Default: never.
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    timeout: Option<u64>,
    /// With `--follow`: the least time between two evaluations.
    #[arg(long, value_name = "SECONDS", default_value = "0", requires = "follow")]
    interval: u64,
    /// An operation to run for each batch, such as the update of a metric. Repeatable.
    #[arg(long = "eval-op", value_name = "NAME")]
    eval_ops: Vec<String>,
    /// The number of runs of the operations. Default: until the end of the input, or until each row was fed.
    #[arg(long, value_name = "N", requires = "eval_ops", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// A tensor to print after the last batch, with or without `:0`. Repeatable.
    #[arg(long = "fetch", value_name = "NAME", required = true)]
    fetches: Vec<String>,
    /// A value to feed: `NAME=FILE.npy`, `NAME=FILE.npz:ARRAY`, or `FILE.npz` for all its arrays. Repeatable.
    #[arg(long = "feed", value_name = "NAME=FILE")]
    feeds: Vec<FeedArgument>,
    /// The number of rows of the feeds that each run of the operations takes; it must divide the number of rows unless
    /// `--steps` is given. Default: all rows.
    #[arg(long, value_name = "N", requires = "eval_ops", value_parser = clap::value_parser!(u64).range(1..))]
    batch: Option<u64>,
    /// Write event files into this folder: the graph's summaries, and the tensors of `--fetch` that are single numbers, at the step
    /// of the checkpoint. The page of `monitored board` and TensorBoard show them as a run. The graph needs a global step.
    #[arg(long, value_name = "DIR")]
    summary_dir: Option<PathBuf>,
    /// The engine that runs the graph.
    #[arg(long, value_enum, default_value = "embedded")]
    engine: EngineName,
    /// Print JSON, one object per line for each checkpoint.
    #[arg(long)]
    json: bool,
    /// A folder whose files the graph's operations may read and write. Repeatable. They may read the files in
    /// the folder of the meta graph and in the checkpoint directory without it.
    #[arg(long = "allow-files", value_name = "DIR")]
    allow_files: Vec<PathBuf>,
}

impl Arguments {
    /// Evaluates the newest checkpoint, or with `--follow` each one as it appears. A signal ends the wait for the
    /// next checkpoint, as well as a running evaluation.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let stop = StopHandle::new();
        // Attached for the whole time, also while no session exists.
        // Without patience: an evaluation changes nothing, so a step may be cancelled at once.
        let mut signals = SignalHook::new().patience(Duration::ZERO);
        let receipt = signals.receipt();
        // The hook is driven by hand, because the command waits most of the time, and no session exists then.
        signals.attach(&stop);
        let graph = Graph::new();
        signals.begin(&graph)?;
        // One handle for the wait and for all sessions.
        let mut evaluation = self.evaluation(&graph)?.stop_handle(&stop);
        if self.follow {
            let watch = WatchOptions::new().min_interval(Duration::from_secs(self.interval));
            let watch = match self.timeout {
                Some(seconds) => watch.timeout(Duration::from_secs(seconds)),
                None => watch,
            };
            for evaluated in evaluation.evaluate_repeatedly(&self.checkpoint_dir, watch) {
                self.print(out, &evaluated?)?;
            }
        } else {
            // Only with `--follow` a missing checkpoint is not an error: it may still appear.
            let newest = latest_checkpoint(&self.checkpoint_dir)?.ok_or_else(|| {
                let folder = escaped(self.checkpoint_dir.display()).to_string();
                Error::value(format!("there is no checkpoint in '{folder}'; --follow waits for one"))
            })?;
            if let Some(evaluated) = evaluation.evaluate_once(newest)? {
                self.print(out, &evaluated)?;
            }
        }
        Ok(Outcome::after(&receipt))
    }

    /// Prepares the evaluation: imports the graph, finds the operations, and reads the feeds. All errors of the
    /// arguments occur here, before any checkpoint is waited for.
    fn evaluation(&self, graph: &Graph) -> std::result::Result<Evaluation<Vec<Output>>, Error> {
        let message = read_graph_file(&self.meta)?;
        let meta = import(graph, &message, &self.meta)?;
        // In the graph's own program, Python initializes iterators; an imported graph does not say so.
        crate::train::begin_iterators(graph)?;
        let found = |name: &String| find_tensor(graph, name);
        let fetches = self.fetches.iter().map(found).collect::<std::result::Result<Vec<_>, _>>()?;
        let feeder = Feeder::new(graph, &self.feeds, self.batch)?;
        // A graph file may come from elsewhere, so its operations reach only what belongs to the model.
        let access = FileAccess::nothing().allow_read(folder_of(&self.meta)).allow_read(&self.checkpoint_dir);
        let access = self.allow_files.iter().fold(access, |access, folder| access.allow_write(folder));
        let mut evaluation = Evaluation::new(graph)
            .engine(self.engine.local()?)
            .config(SessionConfig::default().file_access(access))
            .scaffold(ScaffoldBuilder::from_meta_graph(&meta))
            .final_ops(fetches.clone());
        for (output, value) in feeder.all() {
            evaluation = evaluation.final_feed(output, value.clone());
        }
        if let Some(folder) = &self.summary_dir {
            evaluation = evaluation.summary_dir(folder);
            for (name, output) in self.fetches.iter().zip(&fetches) {
                // Only single numbers make curves. Others would end the evaluation with an error of the
                // summary.
                if output.shape().rank() == Some(0) && is_number(output.dtype()) {
                    evaluation = evaluation.summary_scalar(name.strip_suffix(":0").unwrap_or(name), output);
                }
            }
        }
        if self.eval_ops.is_empty() {
            return Ok(evaluation);
        }
        let operations = self.eval_ops.iter().map(|name| find_operation(graph, name));
        let operations = operations.collect::<std::result::Result<Vec<_>, _>>()?;
        let takes_input = crate::iterators::take_input(&operations);
        let runs = match self.steps {
            Some(steps) => Some(steps),
            // Without feeds and without an input that ends, every run would give the same result: one is
            // enough.
            None => feeder.runs()?.or((!takes_input).then_some(1)),
        };
        let evaluation = evaluation.eval_ops(operations).feed_fn(move |run| feeder.step(run).map(Some));
        let hook = move || runs.map(|runs| StopAfterNEvalsHook::new(runs).log_progress(false));
        Ok(evaluation.hook(hook))
    }

    /// Prints the values of one checkpoint.
    fn print(&self, out: &mut dyn Write, evaluated: &Evaluated<Vec<Tensor>>) -> std::io::Result<()> {
        let pairs = self.fetches.iter().zip(&evaluated.values);
        if self.json {
            let fetches = json::from_tensors(pairs).map_err(std::io::Error::other)?;
            let checkpoint = evaluated.checkpoint.to_string_lossy();
            let line =
                serde_json::json!({"checkpoint": checkpoint, "step": evaluated.step, "fetches": fetches});
            write_json(out, &line, false)?;
        } else {
            write!(out, "{}", escaped(evaluated.checkpoint.display()))?;
            for (name, value) in pairs {
                write!(out, "  {} {}", escaped(name), escaped(value))?;
            }
            writeln!(out)?;
        }
        // Readers of the lines get them as they occur.
        out.flush()
    }
}

/// Returns true if a value of this dtype is a number.
fn is_number(dtype: DType) -> bool {
    dtype.is_floating() || dtype.is_integer()
}
