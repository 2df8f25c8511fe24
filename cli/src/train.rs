//! `monitored train`: trains a meta graph with the hooks of a monitored training session.
//!
//! The command is a program like the examples, made of the same parts: a scaffold from the meta graph, the hooks of
//! `MonitoredTrainingSession`, and a loop. It adds the search for operations by name, feeds from files, and
//! output for people or programs.
//!
//! # Order
//!
//! 1. The file is read, seeds and devices are changed in the message, and the graph is imported.
//! 2. A `Plan` finds all operations, reads the feeds, and asks the engine for missing kernels. An error up to here
//!    leaves no trace on disk, apart from the folder.
//! 3. The session restores the newest checkpoint or initializes the model, and the loop runs the steps.
//! 4. The session is closed, which saves the last checkpoint, and the reason of the end is printed.
//!
//! # Differences from a program
//!
//! The file has no Python code, so some pieces have to be found: the training operation in the collection `train_op`,
//! the initializers of iterators, and the global step. A graph without a global step gets a counter, which
//! checkpoints do not contain.

pub(crate) mod arrays;
mod counter;
mod engines;
pub(crate) mod feeds;
mod report;
mod seeds;
mod task;

use crate::model::folder::folder_of;
use crate::model::graph_file::import;
use crate::output::{Failure, Outcome, Result, chain};
use counter::{CounterStart, counter};
pub(crate) use engines::EngineName;
use feeds::{FeedArgument, Feeder};
use monitored_session::checkpoint::storage::{LocalStorage, check_future_folder};
use monitored_session::embedded_engine::missing_kernels_for;
use monitored_session::graph_def::{MetaGraph, read_graph_file};
use monitored_session::hooks::{CheckpointSaverHook, SignalHook};
use monitored_session::monitored::{MonitoredTrainingSession, TrainingSessionBuilder};
use monitored_session::ops::control_flow::group;
use monitored_session::ops::global_step::global_step;
use monitored_session::ops::variables::VariableExt;
use monitored_session::saved_model::{find_operation, find_tensor};
use monitored_session::scaffold::{ScaffoldBuilder, default_local_init_op};
use monitored_session::session_core::keys::{LOCAL_INIT_OP, SUMMARY_OP, TABLE_INITIALIZERS, TRAIN_OP};
use monitored_session::session_core::{Error, FileAccess, Graph, Operation, Output, Variable};
use report::{Reporter, Saves, StepWatch};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use task::Task;
use tensor::text::escaped;

/// Run the training operation of a meta graph in a monitored session: initialize the model or continue from the newest
/// checkpoint of the directory, start the queue runners, save checkpoints, and stop at the end of the steps or the input, or
/// on Ctrl-C.
///
/// The exit code is 0 at the end of the steps or the input, 128 + the signal's number after an interruption, and 1 after an
/// error.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The meta graph (`.meta`, or `.pbtxt` for text), as TensorFlow's savers write it.
    #[arg(long, value_name = "FILE")]
    meta: PathBuf,
    /// The folder of checkpoints and summaries; training continues from its newest checkpoint. Created if missing. Optional for a worker.
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: Option<PathBuf>,
    /// The number of steps to run.
    #[arg(long, value_name = "N")]
    steps: u64,
    /// The operation that trains. Default: the one in the collection `train_op`.
    #[arg(long, value_name = "NAME")]
    train_op: Option<String>,
    /// A tensor to print after each step, with or without `:0`. Repeatable.
    #[arg(long = "fetch", value_name = "NAME")]
    fetches: Vec<String>,
    /// A value to feed: `NAME=FILE.npy`, `NAME=FILE.npz:ARRAY`, or `FILE.npz` for all its arrays. Repeatable.
    #[arg(long = "feed", value_name = "NAME=FILE")]
    feeds: Vec<FeedArgument>,
    /// The number of rows of the feeds that each step takes; the first row follows the last. Default: all rows.
    #[arg(long, value_name = "N", requires = "feeds", value_parser = clap::value_parser!(u64).range(1..))]
    batch: Option<u64>,
    /// The engine that runs the graph.
    #[arg(long, value_enum, default_value = "embedded")]
    engine: EngineName,
    /// The engine's target, such as `grpc://host:port`. Default: this process.
    #[arg(long, value_name = "TARGET", default_value = "")]
    master: String,
    /// Seeds the random operations that have no seed of their own.
    #[arg(long, value_name = "S")]
    seed: Option<i64>,
    /// Save a checkpoint every N steps; also at the beginning and the end. Default: every 600 seconds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    save_steps: Option<u64>,
    /// Print only every N steps.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Print JSON, one object per line.
    #[arg(long)]
    json_lines: bool,
    /// A folder whose files the graph's operations may read and write. Repeatable. They may read the files in
    /// the folder of the meta graph, and use those in the checkpoint directory, without it.
    #[arg(long = "allow-files", value_name = "DIR")]
    allow_files: Vec<PathBuf>,
    /// The role in a cluster.
    #[command(flatten)]
    task: Task,
}

/// The base name of checkpoints, TensorFlow's default.
const BASENAME: &str = "model.ckpt";

impl Arguments {
    /// Checks everything that can be checked without a session, then trains. A wrong name or file therefore fails
    /// before a folder is created or locked.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let mut message = read_graph_file(&self.meta)?;
        // Seeds and devices are changed in the message: after the import the graph's operations are fixed.
        if let (Some(seed), Some(graph)) = (self.seed, &mut message.graph_def) {
            seeds::give_seeds(graph, seed);
        }
        if let (true, Some(graph)) = (self.task.clear_devices, &mut message.graph_def) {
            task::clear_devices(graph);
        }
        let meta = import(&Graph::new(), &message, &self.meta)?;
        if let Some(folder) = self.folder()? {
            // An error about the folder before anything is compiled.
            check_future_folder(&LocalStorage, folder, |_| false).map_err(Error::from)?;
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::from(error).context(format!("cannot create the folder '{}'", folder.display()))
            })?;
        }
        begin_iterators(&meta.graph)?;
        let plan = Plan::new(&self, &meta)?;
        let mut reporter = Reporter { out, json_lines: self.json_lines };
        self.train(&meta, plan, &mut reporter)
    }

    /// Returns the folder of checkpoints, which a chief needs.
    fn folder(&self) -> std::result::Result<Option<&Path>, Error> {
        match &self.checkpoint_dir {
            None if self.task.is_chief => {
                Err(Error::value("--checkpoint-dir is missing; only a worker (--is-chief false) needs none"))
            }
            folder => Ok(folder.as_deref().filter(|_| self.task.is_chief)),
        }
    }

    /// Returns the files that the graph's operations may access.
    fn file_access(&self) -> FileAccess {
        let access = FileAccess::nothing().allow_read(folder_of(&self.meta));
        self.checkpoint_dir
            // A training reads and writes its own folder, so its graph may as well.
            .iter()
            .chain(&self.allow_files)
            .fold(access, |access, folder| access.allow_write(folder))
    }

    /// Builds the session, without the operations to run.
    fn session(
        &self,
        meta: &MetaGraph,
        plan: &Plan,
        saves: &Saves,
    ) -> std::result::Result<TrainingSessionBuilder, Error> {
        let mut builder = MonitoredTrainingSession::builder(&meta.graph)
            .engine(self.engine.engine(&self.task)?)
            .master(&self.master)
            .config(self.task.config().file_access(self.file_access()))
            .is_chief(self.task.is_chief)
            .max_wait(self.task.max_wait())
            .recovery_wait(task::RECOVERY_WAIT)
            .scaffold(plan.scaffold.clone())
            // The command adds its own saver below, which knows the base name and reports what it saves.
            .save_checkpoint_secs(None)
            // Before all other hooks, which read the step in their `after_create_session`.
            .chief_only_hook(plan.counts.then(|| CounterStart::new(&plan.step)));
        if let Some(folder) = self.folder()? {
            let saver = match self.save_steps {
                Some(steps) => CheckpointSaverHook::every_steps(folder, steps),
                None => CheckpointSaverHook::every_secs(folder, Duration::from_secs(600)),
            };
            let saver = saver.basename(BASENAME).listener(saves.clone());
            builder = builder.checkpoint_dir(folder).chief_only_hook(saver);
        }
        // A missing kernel for a summary must not prevent the training.
        if !plan.summaries {
            builder = builder.save_summaries_steps(None);
        }
        Ok(builder)
    }

    /// Runs the steps. An error of the output ends the loop without hiding the training: the session is closed first, with its last
    /// checkpoint, and then the error is returned.
    fn train(&self, meta: &MetaGraph, plan: Plan, reporter: &mut Reporter<'_>) -> Result {
        let saves = Saves::into(self.checkpoint_dir.clone().unwrap_or_default().join(BASENAME));
        let watch = StepWatch::new(&plan.step);
        let signals = SignalHook::new();
        let receipt = signals.receipt();
        let builder = self.session(meta, &plan, &saves)?.hook(watch.clone()).hook(signals);
        let (mut runs, mut recoveries) = (0, 0);
        let mut printing: std::io::Result<()> = Ok(());
        let finished = builder.scoped(|session| {
            if let Some(restored) = session.restored() {
                let mut rejected = restored.rejected.iter();
                printing = rejected
                    .try_for_each(|(prefix, reason)| reporter.rejected(prefix, &chain(reason)))
                    .and_then(|()| reporter.restored(&restored.prefix, watch.step()));
            }
            while runs < self.steps && !session.should_stop() && printing.is_ok() {
                // Before the step, so that a checkpoint is reported when it was written and not a step later.
                printing = reporter.saved(&saves);
                // The rows follow from the global step, so a resumed training continues with the next batch.
                let position = u64::try_from(watch.step()).unwrap_or(runs);
                let feeds = plan.feeder.step(position)?;
                let (values, _) = session.run((&plan.fetches, &plan.targets), feeds)?;
                runs += 1;
                if printing.is_ok() {
                    let mut new = session.recoveries().iter().skip(recoveries);
                    printing = new.try_for_each(|recovery| reporter.recovered(recovery));
                }
                recoveries = session.recoveries().len();
                // The last step is always printed.
                if printing.is_ok() && (runs % self.every == 0 || runs == self.steps) {
                    printing = reporter.step(watch.step(), &plan.names, &values);
                }
            }
            Ok(session.should_stop())
        });
        // The output is gone, but the session was closed and its last checkpoint saved.
        printing?;
        let finished = finished.map_err(|error| explained(error, &meta.graph))?;
        reporter.saved(&saves)?;
        let why = match (finished.value, receipt.signal()) {
            (_, Some(_)) => "it was interrupted",
            (Some(_), None) if runs == self.steps => "all steps were run",
            (None, None) => "the input has ended",
            (Some(_), None) => "a stop was requested",
        };
        reporter.ended(why, watch.step(), runs)?;
        Ok(Outcome::after(&receipt))
    }
}

/// Lets the session initialize the iterators that the graph's own program would initialize.
pub(crate) fn begin_iterators(graph: &Graph) -> std::result::Result<(), Error> {
    let operations = graph.operations();
    for initializer in crate::iterators::initializers(graph, &operations) {
        graph.add_to_collection(&TABLE_INITIALIZERS, initializer)?;
    }
    Ok(())
}

/// Adds a hint to a training session's error, where one helps.
fn explained(error: Error, graph: &Graph) -> Failure {
    if !feeds::is_unfed(&error) {
        return error.into();
    }
    let placeholders = graph.operations().into_iter().filter(|op| op.op_type() == "Placeholder");
    let names: Vec<String> = placeholders.map(|op| op.name().to_owned()).collect();
    error
        .context(format!("feed the placeholders with --feed NAME=FILE; the graph has {}", names.join(", ")))
        .into()
}

/// The operations to run, found in the graph before anything runs.
struct Plan {
    /// The training operation, and the step counter if the graph has no global step.
    targets: Vec<Operation>,
    /// The tensors of `--fetch`.
    fetches: Vec<Output>,
    /// Their names, as the user wrote them.
    names: Vec<String>,
    /// The feeds of each step.
    feeder: Feeder,
    /// The global step, or the counter that replaces it.
    step: Variable,
    /// True for a graph without a global step, whose runs are counted instead.
    counts: bool,
    /// The scaffold of the meta graph, which also initializes the counter.
    scaffold: ScaffoldBuilder,
    /// False if the embedded engine lacks operations of the summaries: the training runs without them.
    summaries: bool,
}

impl Plan {
    /// Finds all operations, and reports what the engine lacks, before a session is created and a folder is locked.
    fn new(arguments: &Arguments, meta: &MetaGraph) -> std::result::Result<Plan, Error> {
        let graph = &meta.graph;
        let train_op = train_op(graph, arguments.train_op.as_deref())?;
        let fetches: std::result::Result<Vec<Output>, Error> =
            arguments.fetches.iter().map(|name| find_tensor(graph, name)).collect();
        let fetches = fetches?;
        let feeder = Feeder::new(graph, &arguments.feeds, arguments.batch)?;
        let mut targets = vec![train_op];
        let mut scaffold = ScaffoldBuilder::from_meta_graph(meta);
        let own = global_step(graph)?;
        let counts = own.is_none();
        let step = match own {
            Some(step) => step,
            None => {
                let step = counter(graph);
                targets.push(step.assign_add(1i64).clone());
                // The counter is initialized with the local variables, because savers must not know it.
                let before = graph.collection(&LOCAL_INIT_OP).pop();
                let before = before.unwrap_or_else(|| default_local_init_op(graph));
                scaffold = scaffold.local_init_op(&group(graph, [&before, step.initializer()]));
                step
            }
        };
        let needed = targets.iter().chain(fetches.iter().map(Output::operation));
        if arguments.engine == EngineName::Embedded {
            // Before the session: a missing kernel would otherwise be found after the initialization of a
            // large model.
            missing_kernels_for(needed, &feeder.outputs()).check()?;
        }
        let summary = graph.collection(&SUMMARY_OP).pop();
        let summaries = arguments.engine != EngineName::Embedded
            || summary.is_none_or(|summary| {
                missing_kernels_for([summary.operation()], &feeder.outputs()).is_empty()
            });
        if !summaries {
            note("no summaries are written: the embedded engine lacks operations that they need");
        }
        let names = arguments.fetches.clone();
        Ok(Plan { targets, fetches, names, feeder, step, counts, scaffold, summaries })
    }
}

/// Finds the operation that trains.
fn train_op(graph: &Graph, name: Option<&str>) -> std::result::Result<Operation, Error> {
    if let Some(name) = name {
        return find_operation(graph, name);
    }
    let mut listed = graph.collection(&TRAIN_OP);
    let Some(last) = listed.pop() else {
        return Err(Error::value(
            "the file has no collection 'train_op': pass the name of the training operation with --train-op",
        ));
    };
    // TensorFlow's optimizers add their own operations to the collection; an operation that a program adds later is the whole step.
    if listed.iter().any(|other| *other != last) {
        let names: Vec<&str> = listed.iter().map(Operation::name).collect();
        note(&format!(
            "running the last training operation of the file, '{}'; --train-op selects another one: {}",
            last.name(),
            names.join(", ")
        ));
    }
    Ok(last)
}

/// Prints a note that is not a result.
fn note(text: &str) {
    // If this fails, there is no other place to report it.
    let _ = writeln!(std::io::stderr(), "monitored: note: {}", escaped(text));
}
