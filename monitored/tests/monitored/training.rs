//! `MonitoredTrainingSession` (S-177 to S-186).

use crate::support::{Counting, counting, events, files};
use monitored::{MonitoredTrainingSession, TrainingSessionBuilder};
use session_core::{Code, Graph, SessionExt as _, Tensor};
use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A hook that is nothing but a name.
struct Named(&'static str);

impl hooks::SessionRunHook for Named {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }
}

/// The names of the hooks of the session that a builder builds on a counting model.
fn hooks_of(with: impl FnOnce(TrainingSessionBuilder) -> TrainingSessionBuilder) -> Vec<String> {
    let session = with(MonitoredTrainingSession::builder(&counting().graph)).build().unwrap();
    let text = format!("{session:?}");
    let list = text.split("hooks: [").nth(1).unwrap().split(']').next().unwrap();
    list.split(", ").filter(|name| !name.is_empty()).map(|name| name.trim_matches('"').to_owned()).collect()
}

/// As [`hooks_of`], in a folder for checkpoints and without the session's story: TensorFlow's hooks and the given ones.
fn of_folder(with: impl FnOnce(TrainingSessionBuilder) -> TrainingSessionBuilder) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    hooks_of(|builder| with(builder.checkpoint_dir(folder.path()).save_session_story(false)))
}

fn error_of(with: impl FnOnce(TrainingSessionBuilder) -> TrainingSessionBuilder) -> String {
    with(MonitoredTrainingSession::builder(&counting().graph)).build().unwrap_err().message().to_owned()
}

#[test]
fn s_177_defaults_are_as_documented() {
    let text = format!("{:?}", MonitoredTrainingSession::builder(&Graph::new()));
    for default in [
        "is_chief: true",
        "chief_only_hooks: 0",
        "save_checkpoint: Interval { usual: None, other: None }",
        "save_summaries: Interval { usual: None, other: None }",
        "log_step_count_steps: Some(100)",
        "max_wait: Some(7200s)",
        "recovery_wait: None",
        "stop_grace_period: 120s",
        "summary_dir: None",
        "save_graph_def: true",
        "checkpoint_dir: None",
    ] {
        assert!(text.contains(default), "{default} is not in {text}");
    }
}

#[test]
fn s_178_checkpoints_are_written_every_600_s_and_summaries_every_100_steps_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, .. } = counting();
    let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir(folder.path());
    builder.scoped(|session| (0..101).try_for_each(|_| session.run(&train_op, ()))).unwrap();
    let seen = events(folder.path());
    let summaries: Vec<&str> =
        seen.iter().map(String::as_str).filter(|word| word.starts_with("loss")).collect();
    assert_eq!(summaries, ["loss 1", "loss 101"]);
    let saves: Vec<&str> =
        seen.iter().map(String::as_str).filter(|word| word.starts_with("CHECKPOINT")).collect();
    assert_eq!(saves, ["CHECKPOINT 0", "CHECKPOINT 101"], "600 s have not passed");
}

#[test]
fn s_178_one_of_a_pair_replaces_the_other() {
    let both = ["StepCounterHook", "SummarySaverHook", "CheckpointSaverHook"];
    assert_eq!(of_folder(|builder| builder), both);
    assert_eq!(of_folder(|builder| builder.save_checkpoint_steps(3)), both);
    assert_eq!(of_folder(|builder| builder.save_summaries_secs(Duration::from_secs(1))), both);
    assert_eq!(of_folder(|builder| builder.save_checkpoint_secs(None).save_checkpoint_steps(3)), both);
}

#[test]
fn s_179_none_or_zero_for_one_of_a_pair_disables_it() {
    let without_checkpoints = ["StepCounterHook", "SummarySaverHook"];
    assert_eq!(of_folder(|builder| builder.save_checkpoint_secs(None)), without_checkpoints);
    assert_eq!(of_folder(|builder| builder.save_checkpoint_secs(Duration::ZERO)), without_checkpoints);
    assert_eq!(of_folder(|builder| builder.save_checkpoint_steps(None)), without_checkpoints);
    assert_eq!(of_folder(|builder| builder.save_checkpoint_steps(0)), without_checkpoints);
    let without_summaries = ["StepCounterHook", "CheckpointSaverHook"];
    assert_eq!(of_folder(|builder| builder.save_summaries_steps(None)), without_summaries);
    assert_eq!(of_folder(|builder| builder.save_summaries_steps(0)), without_summaries);
    assert_eq!(of_folder(|builder| builder.save_summaries_secs(None)), without_summaries);
    assert_eq!(of_folder(|builder| builder.save_summaries_secs(Duration::ZERO)), without_summaries);
    let without_counter = ["SummarySaverHook", "CheckpointSaverHook"];
    assert_eq!(of_folder(|builder| builder.log_step_count_steps(None)), without_counter);
    assert_eq!(of_folder(|builder| builder.log_step_count_steps(0)), without_counter);
}

#[test]
fn s_180_both_of_a_pair_are_rejected_even_if_one_is_zero() {
    let text = error_of(|builder| builder.save_checkpoint_secs(Duration::ZERO).save_checkpoint_steps(3));
    assert!(text.contains("Can not provide both save_checkpoint_secs"), "{text}");
    let text =
        error_of(|builder| builder.save_summaries_steps(0).save_summaries_secs(Duration::from_secs(1)));
    assert!(text.contains("Can not provide both save_summaries_secs"), "{text}");
}

#[test]
fn s_181_a_chiefs_hooks_are_in_order() {
    let names = of_folder(|builder| builder.hook(Named("mine")).chief_only_hook(Named("the chief's")));
    assert_eq!(names, ["the chief's", "StepCounterHook", "SummarySaverHook", "CheckpointSaverHook", "mine"]);
    // Beyond TensorFlow, and by default.
    let folder = tempfile::tempdir().unwrap();
    let names = hooks_of(|builder| builder.checkpoint_dir(folder.path()).hook(Named("mine")));
    let usual = ["StepCounterHook", "SummarySaverHook", "CheckpointSaverHook", "SessionStoryHook", "mine"];
    assert_eq!(names, usual);
}

#[test]
fn s_182_directories_decide_which_hooks_are_added() {
    assert!(hooks_of(|builder| builder).is_empty(), "no directory, no hooks");
    let folder = tempfile::tempdir().unwrap();
    let names = hooks_of(|builder| builder.summary_dir(folder.path()));
    assert_eq!(names, ["StepCounterHook", "SummarySaverHook", "SessionStoryHook"], "without checkpoints");
    let (checkpoints, summaries) = (folder.path().join("checkpoints"), folder.path().join("summaries"));
    let Counting { graph, train_op, .. } = counting();
    MonitoredTrainingSession::builder(&graph)
        .checkpoint_dir(&checkpoints)
        .summary_dir(&summaries)
        .scoped(|session| session.run(&train_op, ()))
        .unwrap();
    assert!(files(&checkpoints).contains(&"checkpoint".to_owned()));
    assert!(events(&summaries).contains(&"loss 1".to_owned()));
    assert!(!events(&checkpoints).contains(&"loss 1".to_owned()));
}

#[test]
fn s_183_a_worker_has_its_own_hooks_only_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, step, .. } = counting();
    let begun = Arc::new(Mutex::new(Vec::new()));
    struct Begun(&'static str, Arc<Mutex<Vec<&'static str>>>);
    impl hooks::SessionRunHook for Begun {
        fn begin(&mut self, _: &Graph) -> session_core::Result<()> {
            self.1.lock().unwrap().push(self.0);
            Ok(())
        }
    }
    // Nothing initializes the variables of the worker's own session, so it waits until its time is over.
    let error = MonitoredTrainingSession::builder(&graph)
        .is_chief(false)
        .checkpoint_dir(folder.path())
        .chief_only_hook(Begun("the chief's", begun.clone()))
        .hook(Begun("everybody's", begun.clone()))
        .max_wait(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(error.message().contains("global_step"), "names the missing variable: {error}");
    assert_eq!(*begun.lock().unwrap(), ["everybody's"]);
    assert!(files(folder.path()).is_empty());

    // A model that is ready without an init op is ready for a worker.
    let mut session = MonitoredTrainingSession::builder(&Graph::new()).is_chief(false).build().unwrap();
    assert!(session.restored().is_none());
    session.close().unwrap();
    drop(step);
}

#[test]
fn a_worker_that_starts_early_retries_after_the_configured_wait() {
    use session_core::mock::{MockEngine, MockSession};
    let graph = counting().graph;
    let engine = MockEngine::new();
    for missing in [vec!["global_step".to_owned()], vec![]] {
        let session = MockSession::new(&graph);
        session.otherwise(move |run| Ok(vec![Tensor::from(missing.clone()); run.fetches.len()]));
        engine.supply(Ok(session));
    }
    let builder = MonitoredTrainingSession::builder(&graph).engine(Arc::new(engine)).is_chief(false);
    let mut session = builder.recovery_wait(Duration::ZERO).max_wait(None).build().unwrap();
    session.close().unwrap();
}

#[test]
fn s_184_a_directory_needs_a_global_step() {
    let folder = tempfile::tempdir().unwrap();
    let builder = MonitoredTrainingSession::builder(&Graph::new()).checkpoint_dir(folder.path());
    let error = builder.build().unwrap_err();
    let text = error.chain().to_string();
    assert!(text.contains("global step should be created to use StepCounterHook"), "{text}");
}

#[test]
fn s_185_s_186_six_steps_write_these_events_and_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, .. } = counting();
    MonitoredTrainingSession::builder(&graph)
        .checkpoint_dir(folder.path())
        .save_checkpoint_steps(3)
        .save_summaries_steps(2)
        .log_step_count_steps(2)
        .scoped(|session| (0..6).try_for_each(|_| session.run(&train_op, ())))
        .unwrap();
    // Beyond S-185 the step counter writes where its session starts, too; the graph is there once.
    let expected = "version 0, START 1, graph 0, CHECKPOINT 0, START 1, loss 1, global_step/sec 3, loss 3, CHECKPOINT 3, \
                    global_step/sec 5, loss 5, CHECKPOINT 6";
    // So does the session's story, in session logs without status.
    let beyond = |word: &String| word.contains("graph") || word.starts_with("Unspecified");
    let seen: Vec<String> = events(folder.path()).into_iter().filter(|word| !beyond(word)).collect();
    assert_eq!(seen.join(", "), expected.replace("graph 0, ", ""));
    let indices: Vec<String> =
        files(folder.path()).into_iter().filter(|name| name.ends_with(".index")).collect();
    assert_eq!(indices, ["model.ckpt-0.index", "model.ckpt-3.index", "model.ckpt-6.index"]);
}

#[test]
fn s_186_the_last_step_is_saved_once_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, step, .. } = counting();
    let build = || {
        let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir(folder.path());
        builder.save_checkpoint_steps(2)
    };
    build().scoped(|session| (0..3).try_for_each(|_| session.run(&train_op, ()))).unwrap();
    let saves = |events: Vec<String>| -> Vec<String> {
        events.into_iter().filter(|word| word.starts_with("CHECKPOINT")).collect()
    };
    assert_eq!(saves(events(folder.path())), ["CHECKPOINT 0", "CHECKPOINT 2", "CHECKPOINT 3"]);
    // The next session continues from there.
    let finished = build().scoped(|session| session.run(&step, ())).unwrap();
    assert_eq!(finished.value, Some(Tensor::from(3i64)));
    assert_eq!(saves(events(folder.path())).len(), 3, "what was restored is not written again (Q-36)");
}

#[test]
fn q_11_progress_can_be_saved_when_an_error_ends_the_session() {
    for (save, expected) in [(false, vec!["CHECKPOINT 0"]), (true, vec!["CHECKPOINT 0", "CHECKPOINT 2"])] {
        let folder = tempfile::tempdir().unwrap();
        let Counting { graph, train_op, .. } = counting();
        let hook = hooks::CheckpointSaverHook::every_steps(folder.path(), 100).save_on_error(save);
        let builder = MonitoredTrainingSession::builder(&graph).hook(hook);
        let failed = builder.scoped(|session| -> session_core::Result<()> {
            session.run(&train_op, ())?;
            session.run(&train_op, ())?;
            Err(session_core::Error::value("the loop is wrong"))
        });
        assert_eq!(failed.unwrap_err().message(), "the loop is wrong");
        let saves: Vec<String> =
            events(folder.path()).into_iter().filter(|word| word.starts_with("CHECKPOINT")).collect();
        assert_eq!(saves, expected, "S-345, with the option off");
    }
}

#[test]
fn q_28_the_helpers_session_runs_without_hooks() {
    let Counting { graph, step, .. } = counting();
    let mut session = MonitoredTrainingSession::builder(&graph).build().unwrap();
    assert_eq!(session.run_without_hooks(&step, ()).unwrap().value::<i64>().unwrap(), 0);
    let raw = session.run_step_fn(|context| context.session().run(&step, ())).unwrap();
    assert_eq!(raw.value::<i64>().unwrap(), 0);
    session.close().unwrap();
}
