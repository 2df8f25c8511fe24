//! Training, evaluation and export in one process.

use crate::support::{Counting, counting, files};
use checkpoint::{Better, GraphSaver, SaverOptions};
use hooks::{Clock, ClosureHook};
use monitored::{
    BestExporter, Candidate, EvalSpec, Evaluation, Exporter, FinalExporter, LatestExporter,
    MonitoredTrainingSession, TrainSpec, TrainedAndEvaluated, TrainingSessionBuilder, train_and_evaluate,
};
use ops::global_step::get_or_create_global_step;
use ops::math;
use ops::optimizers::ExponentialMovingAverage;
use ops::variables::{VariableExt as _, variable};
use queue_runner::StopHandle;
use scaffold::Scaffold;
use session_core::{Code, DType, Error, Graph, Output, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A clock that the training advances.
#[derive(Default)]
struct Hand(Mutex<Duration>);

impl Hand {
    fn advance(&self) {
        *self.0.lock().unwrap() += Duration::from_secs(1);
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// Lists what it is offered: the step, and true for the final export.
#[derive(Clone, Default)]
struct Offers(Arc<Mutex<Vec<(i64, bool)>>>);

impl Exporter for Offers {
    fn name(&self) -> &str {
        "offers"
    }

    fn export(&mut self, _: &Path, candidate: &Candidate<'_>) -> Result<Option<PathBuf>> {
        assert_eq!(candidate.metrics["step"], candidate.step as f64);
        assert!(candidate.checkpoint.ends_with(format!("model.ckpt-{}", candidate.step)));
        self.0.lock().unwrap().push((candidate.step, candidate.is_the_final_export));
        Ok(None)
    }
}

/// A training that counts its steps and saves every two of them.
fn session(directory: &Path) -> (TrainingSessionBuilder, session_core::Operation) {
    let Counting { graph, train_op, .. } = counting();
    let builder =
        MonitoredTrainingSession::builder(&graph).checkpoint_dir(directory).save_checkpoint_steps(2);
    (builder, train_op)
}

/// The step, and its distance from 4.
fn evaluation() -> Evaluation<BTreeMap<&'static str, Output>> {
    let graph = Graph::new();
    let step = get_or_create_global_step(&graph);
    let distance = math::abs(math::cast(&step, DType::Float32) - 4f32);
    Evaluation::new(&graph)
        .final_ops(BTreeMap::from([("step", step.snapshot().clone()), ("distance", distance)]))
}

/// Writes the name of the checkpoint.
fn write(checkpoint: &Path, folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    Ok(fs::write(folder.join("source"), checkpoint.file_name().unwrap().to_str().unwrap())?)
}

/// Returns what the exports of a name are made of, the oldest first.
fn exported(directory: &Path, name: &str) -> Vec<String> {
    let folder = directory.join("export").join(name);
    let mut numbers: Vec<u64> = files(&folder).iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
        .iter()
        .map(|number| fs::read_to_string(folder.join(number.to_string()).join("source")).unwrap())
        .collect()
}

fn run(directory: &Path, last_step: i64, eval: EvalSpec) -> Result<TrainedAndEvaluated> {
    let (session, train_op) = session(directory);
    train_and_evaluate(TrainSpec::new(session, train_op).max_steps(last_step), eval)
}

fn all_exporters() -> EvalSpec {
    EvalSpec::new(evaluation())
        .throttle(Duration::ZERO)
        .exporter(LatestExporter::new("latest", write).exports_to_keep(2))
        .exporter(BestExporter::new("best", "distance", Better::Lower, write))
        .exporter(FinalExporter::new("final", write))
}

#[test]
fn evaluations_are_throttled_and_the_last_checkpoint_is_always_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let (hand, offers) = (Arc::new(Hand::default()), Offers::default());
    let (session, train_op) = session(folder.path());
    let ticks = hand.clone();
    let train = TrainSpec::new(session, train_op)
        .feed_fn(move |_| {
            ticks.advance();
            Ok(Some(Vec::new()))
        })
        .max_steps(10);
    let eval =
        EvalSpec::new(evaluation()).throttle(Duration::from_secs(5)).clock(hand).exporter(offers.clone());
    let done = train_and_evaluate(train, eval).unwrap();
    assert_eq!(*offers.0.lock().unwrap(), [(2, false), (8, false), (10, true)]);
    assert_eq!(done.evaluated.unwrap().values["step"], 10.0);
    assert_eq!(done.reason.unwrap().to_string(), "hook 'StopAtStepHook': step 10 was reached");
    assert!(done.exports.is_empty() && done.recoveries.is_empty());
}

#[test]
fn the_last_checkpoint_is_offered_again_as_the_final_one_without_another_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let offers = Offers::default();
    let eval = EvalSpec::new(evaluation()).throttle(Duration::ZERO).exporter(offers.clone());
    run(folder.path(), 4, eval).unwrap();
    assert_eq!(*offers.0.lock().unwrap(), [(2, false), (4, false), (4, true)]);
}

#[test]
fn exporters_continue_after_an_earlier_training() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let done = run(directory, 6, all_exporters()).unwrap();
    assert_eq!(exported(directory, "latest"), ["model.ckpt-4", "model.ckpt-6"]);
    assert_eq!(exported(directory, "best"), ["model.ckpt-2", "model.ckpt-4"]);
    assert_eq!(exported(directory, "final"), ["model.ckpt-6"]);
    assert_eq!(done.exports.len(), 3 + 2 + 1);

    // Files of an interrupted export are removed by the next one, and nothing else that has such a name.
    let [unfinished, foreign] = ["temp-17", "temp-18"].map(|name| directory.join("export/latest").join(name));
    fs::create_dir(&unfinished).unwrap();
    fs::create_dir(&foreign).unwrap();
    let journal = directory.join("export/latest/exports.journal");
    let listed = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, listed + "writing 17\n").unwrap();
    fs::write(directory.join("export/latest/notes.txt"), "mine").unwrap();
    let done = run(directory, 8, all_exporters()).unwrap();
    assert_eq!(done.evaluated.unwrap().values["distance"], 4.0);
    assert_eq!(exported(directory, "latest"), ["model.ckpt-6", "model.ckpt-8"]);
    assert_eq!(exported(directory, "best"), ["model.ckpt-2", "model.ckpt-4"], "none is better");
    assert_eq!(exported(directory, "final"), ["model.ckpt-6", "model.ckpt-8"]);
    assert!(!unfinished.exists() && foreign.exists() && directory.join("export/latest/notes.txt").exists());

    // A complete training is evaluated, but not exported once more.
    let done = run(directory, 8, all_exporters()).unwrap();
    assert_eq!((done.evaluated.unwrap().step, done.exports), (Some(8), Vec::new()));
}

#[test]
fn a_stop_from_outside_exports_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (stop, offers) = (StopHandle::new(), Offers::default());
    let (session, train_op) = session(folder.path());
    let outside = stop.clone();
    let train = TrainSpec::new(session.stop_handle(&stop), train_op)
        .feed_fn(move |run| {
            if run == 4 {
                outside.request_stop("the machine shuts down");
            }
            Ok(Some(Vec::new()))
        })
        .max_steps(10);
    let eval = EvalSpec::new(evaluation()).throttle(Duration::ZERO).exporter(offers.clone());
    let done = train_and_evaluate(train, eval).unwrap();
    assert_eq!(done.reason.unwrap().to_string(), "outside: the machine shuts down");
    assert_eq!(*offers.0.lock().unwrap(), [(2, false), (4, false)]);
    assert!(folder.path().join("model.ckpt-5.index").exists(), "the training was saved");
    // The training continues from there.
    let eval = EvalSpec::new(evaluation()).throttle(Duration::ZERO).exporter(offers.clone());
    run(folder.path(), 7, eval).unwrap();
    assert_eq!(offers.0.lock().unwrap()[2..], [(7, false), (7, true)]);
}

#[test]
fn the_end_of_the_input_is_final_unless_steps_are_missing() {
    for (max_steps, is_final) in [(None, true), (Some(100), false)] {
        let folder = tempfile::tempdir().unwrap();
        let offers = Offers::default();
        let (session, train_op) = session(folder.path());
        let train = TrainSpec::new(session, train_op).feed_fn(|run| Ok((run < 3).then(Vec::new)));
        let train = match max_steps {
            Some(steps) => train.max_steps(steps),
            None => train,
        };
        let eval = EvalSpec::new(evaluation()).exporter(offers.clone());
        train_and_evaluate(train, eval).unwrap();
        assert_eq!(*offers.0.lock().unwrap(), [(2, false), (3, is_final)]);
    }
}

#[test]
fn moving_averages_are_swapped_in_for_the_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let w = variable(&graph.named("w"), 0f32);
    let step = get_or_create_global_step(&graph);
    let count = graph.control_dependencies(&[w.assign_add(8f32), step.assign_add(1i64)]);
    let train_op = ExponentialMovingAverage::new(0.5f32).apply(&count, &[w]);
    let session =
        MonitoredTrainingSession::builder(&graph).checkpoint_dir(folder.path()).save_checkpoint_steps(1);

    let graph = Graph::new();
    let w = variable(&graph.named("w"), 0f32);
    let step = get_or_create_global_step(&graph);
    let averages = ExponentialMovingAverage::new(0.5f32)
        .variables_to_restore(std::slice::from_ref(&w), &[w.clone(), step]);
    let averages = averages.into_iter().map(|(name, variable)| variable.saved_as(name)).collect();
    let saver = GraphSaver::of(averages, SaverOptions::new()).unwrap();
    let evaluation = Evaluation::new(&graph)
        .scaffold(Scaffold::builder().saver(&saver))
        .final_ops(BTreeMap::from([("w", w)]));
    let train = TrainSpec::new(session, train_op).max_steps(2);
    let done = train_and_evaluate(train, EvalSpec::new(evaluation)).unwrap();
    // w is 8 and 16, its average 4 and 10.
    assert_eq!(done.evaluated.unwrap().values, BTreeMap::from([("w".to_owned(), 10.0)]));
}

#[test]
fn a_saver_with_another_state_file_and_names_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let run = |last| {
        let offers = Offers::default();
        let Counting { graph, train_op, .. } = counting();
        let saver = GraphSaver::new(SaverOptions::new().state_file("state"));
        let session = MonitoredTrainingSession::builder(&graph)
            .checkpoint_dir(folder.path())
            .save_checkpoint_steps(2)
            .scaffold(Scaffold::builder().saver(&saver));
        let eval = EvalSpec::new(evaluation()).throttle(Duration::ZERO).exporter(offers.clone());
        let done = train_and_evaluate(TrainSpec::new(session, train_op).max_steps(last), eval).unwrap();
        (done.evaluated.unwrap().step, offers.0.lock().unwrap().clone())
    };
    assert_eq!(run(3), (Some(3), vec![(2, false), (3, false), (3, true)]));
    assert_eq!(run(3), (Some(3), vec![(3, true)]), "restored, and not written again");
    assert!(!folder.path().join("checkpoint").exists());
}

#[test]
fn a_dry_run_evaluates_and_exports_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (session, train_op) = session(folder.path());
    let train = TrainSpec::new(session.dry_run(3), train_op).max_steps(10);
    let done = train_and_evaluate(train, all_exporters()).unwrap();
    assert!(done.evaluated.is_none() && done.exports.is_empty());
    assert!(files(folder.path()).is_empty());
}

#[test]
fn impossible_settings_are_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, .. } = counting();
    let none = || MonitoredTrainingSession::builder(&graph);
    let trained = |session: TrainingSessionBuilder, eval| {
        let never = ClosureHook::new("never").before_run(|_| panic!("it is trained"));
        train_and_evaluate(TrainSpec::new(session.hook(never), train_op.clone()), eval).unwrap_err()
    };
    let error = trained(none(), all_exporters());
    assert!(error.to_string().contains("has no checkpoint_dir"), "{error}");
    let error = trained(none().checkpoint_dir(folder.path()).is_chief(false), all_exporters());
    assert!(error.to_string().contains("only the chief"), "{error}");
    let never = none().checkpoint_dir(folder.path()).save_checkpoint_secs(None);
    let error = trained(never, all_exporters());
    assert!(error.to_string().contains("none are saved"), "{error}");
    let twice = all_exporters().exporter(LatestExporter::new("best", write));
    let error = trained(none().checkpoint_dir(folder.path()), twice);
    assert!(error.to_string().contains("two exporters are named 'best'"), "{error}");
    let outside = all_exporters().exporter(LatestExporter::new("../out", write));
    let error = trained(none().checkpoint_dir(folder.path()), outside);
    assert!(error.to_string().contains("'../out'"), "{error}");
    fs::create_dir_all(folder.path().join("export/best")).unwrap();
    fs::write(folder.path().join("export/best/exports.journal"), "junk").unwrap();
    let error = trained(none().checkpoint_dir(folder.path()), all_exporters());
    assert_eq!(error.code(), Code::DataLoss, "{error}");
    assert!(error.to_string().contains("exports.journal"), "{error}");
}

#[test]
fn obstacles_to_exports_and_summaries_are_found_before_training() {
    let refused = |obstruct: &dyn Fn(&Path), spec: &dyn Fn(&Path) -> EvalSpec, words: &str| {
        let folder = tempfile::tempdir().unwrap();
        obstruct(folder.path());
        let (session, train_op) = session(&folder.path().join("run"));
        let never = ClosureHook::new("never").before_run(|_| panic!("it is trained"));
        let train = TrainSpec::new(session.hook(never), train_op);
        let error = train_and_evaluate(train, spec(folder.path())).unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let file = |path: &'static str| {
        move |folder: &Path| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    };
    let plain = |_: &Path| all_exporters();
    refused(&file("run/export"), &plain, "run/export is a file, but a folder is needed");
    refused(&file("run/export/final"), &plain, "the exporter 'final' cannot write into");
    let journal = |folder: &Path| fs::create_dir_all(folder.join("run/export/best/exports.journal")).unwrap();
    refused(&journal, &plain, "exports.journal is a folder, but a file is to be written there");
    let elsewhere = |folder: &Path| all_exporters().export_dir(folder.join("models"));
    refused(&file("models"), &elsewhere, "models is a file, but a folder is needed");
    #[cfg(unix)]
    {
        let link = |folder: &Path| std::os::unix::fs::symlink("nowhere", folder.join("models")).unwrap();
        refused(&link, &elsewhere, "models is a link that leads nowhere, but a folder is needed");
    }
    let summaries = |folder: &Path| EvalSpec::new(evaluation().summary_dir(folder.join("eval/first")));
    refused(&file("eval"), &summaries, "eval is a file, but a folder is needed");
}

#[test]
fn errors_of_exporters_end_the_training_and_leave_no_export() {
    let folder = tempfile::tempdir().unwrap();
    let spec =
        EvalSpec::new(evaluation()).exporter(BestExporter::new("best", "distnace", Better::Lower, write));
    let error = run(folder.path(), 4, spec).unwrap_err();
    assert!(
        error.to_string().contains("no such metric; is 'distance' meant? (of 'distance', 'step')"),
        "{error}"
    );
    let partial = |checkpoint: &Path, folder: &Path| {
        write(checkpoint, folder)?;
        Err(Error::value("the disk is full"))
    };
    let spec = EvalSpec::new(evaluation()).exporter(LatestExporter::new("latest", partial));
    let error = run(folder.path(), 4, spec).unwrap_err();
    let chain = error.chain();
    assert!(chain.contains("the disk is full") && chain.contains("'latest'"), "{chain}");
    assert_eq!(files(&folder.path().join("export/latest")), ["exports.journal"]);
}
