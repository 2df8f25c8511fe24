//! Work that must not be lost, or not in silence: savers, folders, sessions that are dropped, input that is lost.

use crate::support::{Counting, counting, files, warnings};
use ::hooks::{BestCheckpointHook, CheckpointSaverHook, ClosureHook, StopAtStepHook};
use checkpoint::{Better, GraphSaver, SaverOptions, checkpoints_in, is_same_folder, latest_checkpoint};
use monitored::{MonitoredSession, MonitoredTrainingSession, RecoveryPolicy, SingularMonitoredSession};
use ops::variables::{VariableExt as _, variable};
use queue_runner::Coordinator;
use scaffold::Scaffold;
use session_core::{Code, Error, SessionExt as _, Tensor};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

// ---- savers ---------------------------------------------------------------------------------------------

#[test]
fn a_saver_given_to_the_scaffold_saves_and_restores() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, step, train_op, .. } = counting();
    let scratch = variable(&graph.named("scratch"), 1.0f32);
    let grow = scratch.assign_add(1.0f32);
    let scaffold = || {
        let options = SaverOptions::new().max_to_keep(2);
        let saver = GraphSaver::of(vec![step.clone()], options).unwrap();
        Scaffold::builder().saver(&saver)
    };
    let train = |steps: u64| {
        MonitoredTrainingSession::builder(&graph)
            .checkpoint_dir(folder.path())
            .save_checkpoint_steps(1)
            .scaffold(scaffold())
            .scoped(|session| {
                (0..steps).try_for_each(|_| session.run((&train_op, &grow), ()).map(drop))?;
                session.run_without_hooks(&step, ())
            })
    };
    assert_eq!(train(4).unwrap().value, Some(Tensor::from(4i64)));
    assert_eq!(checkpoints_in(folder.path()).unwrap().len(), 2, "its limit");
    let reader =
        checkpoint::CheckpointReader::open(latest_checkpoint(folder.path()).unwrap().unwrap()).unwrap();
    assert!(reader.has_tensor("global_step") && !reader.has_tensor("scratch"), "its variables");
    // Variables that it does not restore are not initialized either, as in TensorFlow.
    let error = train(1).unwrap_err();
    assert!(error.chain().contains("scratch"), "{}", error.chain());
}

#[test]
fn a_saver_of_other_names_and_another_state_file_continues_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, step, train_op, .. } = counting();
    let weights = variable(&graph.named("weights"), 1.0f32);
    let grow = weights.assign_add(1.0f32);
    let train = |steps: u64| {
        let variables = vec![step.clone(), weights.clone().saved_as("model/w")];
        let options = SaverOptions::new().max_to_keep(2).state_file("state").pad_step_number(true);
        let saver = GraphSaver::of(variables, options).unwrap();
        MonitoredTrainingSession::builder(&graph)
            .checkpoint_dir(folder.path())
            .save_checkpoint_steps(1)
            .scaffold(Scaffold::builder().saver(&saver))
            .scoped(|session| {
                (0..steps).try_for_each(|_| session.run((&train_op, &grow), ()).map(drop))?;
                session.run_without_hooks((&step, &weights), ())
            })
            .unwrap()
            .value
    };
    assert_eq!(train(3), Some((Tensor::from(3i64), Tensor::from(4f32))));
    assert_eq!(train(2), Some((Tensor::from(5i64), Tensor::from(6f32))), "it restores what it saved");
    let names: Vec<String> =
        files(folder.path()).into_iter().filter(|name| name.ends_with(".index")).collect();
    assert_eq!(names, ["model.ckpt-00000004.index", "model.ckpt-00000005.index"], "its limit and its names");
    assert!(files(folder.path()).contains(&"state".to_owned()));
    assert!(!files(folder.path()).contains(&"checkpoint".to_owned()));
    let reader = checkpoint::CheckpointReader::open(folder.path().join("model.ckpt-00000005")).unwrap();
    assert!(reader.has_tensor("model/w") && !reader.has_tensor("weights"));
}

#[test]
fn best_checkpoints_contain_what_the_scaffold_saves() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, step, train_op, loss, .. } = counting();
    let _scratch = variable(&graph.named("scratch"), 1.0f32);
    let saver = GraphSaver::of(vec![step], SaverOptions::new()).unwrap();
    let best = BestCheckpointHook::new(folder.path(), &loss, Better::Lower);
    SingularMonitoredSession::builder(&graph)
        .scaffold(Scaffold::builder().saver(&saver))
        .hook(best)
        .scoped(|session| session.run(&train_op, ()))
        .unwrap();
    let reader = checkpoint::CheckpointReader::open(folder.path().join("best.ckpt-1")).unwrap();
    assert!(reader.has_tensor("global_step") && !reader.has_tensor("scratch"));
}

#[test]
fn a_checkpoint_of_another_program_is_not_written_again_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, step, train_op, .. } = counting();
    // As another program leaves it: without session state.
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    session.run(&train_op, ()).unwrap();
    let saver = GraphSaver::of(vec![step], SaverOptions::new()).unwrap();
    saver.save(&**session.raw_session().unwrap(), folder.path().join("model.ckpt"), Some(1)).unwrap();
    session.close().unwrap();
    std::fs::remove_file(folder.path().join("model.ckpt-1.session")).unwrap();
    let bytes = || std::fs::read(folder.path().join("model.ckpt-1.index")).unwrap();
    let written = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().modified().unwrap();
    let (before, at) = (bytes(), written("model.ckpt-1.index"));

    let spelled = folder.path().join("..").join(folder.path().file_name().unwrap());
    let mut session = SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(spelled)
        .hook(CheckpointSaverHook::every_steps(folder.path(), 10))
        .build()
        .unwrap();
    assert_eq!((bytes(), written("model.ckpt-1.index")), (before, at));
    assert!(!files(folder.path()).contains(&"model.ckpt-1.session".to_owned()));
    session.run(&train_op, ()).unwrap();
    session.close().unwrap();
    assert!(latest_checkpoint(folder.path()).unwrap().unwrap().ends_with("model.ckpt-2"));
}

// ---- warnings -------------------------------------------------------------------------------------------

/// The warnings of a session on a counting model, which makes some steps and is closed.
fn warned(
    steps: u64,
    with: impl FnOnce(
        monitored::SessionBuilder<SingularMonitoredSession>,
    ) -> monitored::SessionBuilder<SingularMonitoredSession>,
) -> Vec<String> {
    let Counting { graph, train_op, .. } = counting();
    warnings();
    let mut session = with(SingularMonitoredSession::builder(&graph)).build().unwrap();
    (0..steps).for_each(|_| session.run(&train_op, ()).unwrap());
    session.close().unwrap();
    warnings()
}

#[test]
fn a_saver_hook_without_checkpoint_dir_causes_one_warning() {
    let folder = tempfile::tempdir().unwrap();
    let saver = || CheckpointSaverHook::every_steps(folder.path(), 10);
    let lines = warned(3, |builder| builder.hook(saver()));
    assert_eq!(lines.len(), 1, "{lines:?}");
    let helps = format!(".checkpoint_dir(\"{}\")", folder.path().display());
    assert!(lines[0].contains("starts from the initial values") && lines[0].contains(&helps), "{lines:?}");

    let other = tempfile::tempdir().unwrap();
    let lines = warned(3, |builder| builder.hook(saver()).checkpoint_dir(other.path()));
    assert!(lines.len() == 1 && lines[0].contains("continues from"), "{lines:?}");
    let spelled = folder.path().join(".");
    assert!(is_same_folder(&spelled, folder.path()));
    assert!(warned(3, |builder| builder.hook(saver()).checkpoint_dir(&spelled)).is_empty());
    let fresh = other.path().join("fresh");
    let hook = CheckpointSaverHook::every_steps(&fresh, 10);
    assert!(warned(3, |builder| builder.hook(hook).checkpoint_dir(&fresh)).is_empty(), "made by the hook");
    assert!(warned(2, |builder| builder.hook(saver()).dry_run(2)).is_empty(), "it saves nothing");
}

#[test]
fn a_checkpoint_dir_without_saver_warns_after_training() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &Path| path.to_path_buf();
    let lines = warned(3, |builder| builder.checkpoint_dir(at(folder.path())));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("nothing saves to it") && lines[0].contains("CheckpointSaverHook"),
        "{lines:?}"
    );
    assert!(warned(0, |builder| builder.checkpoint_dir(at(folder.path()))).is_empty(), "nothing was trained");

    // An evaluation trains nothing.
    let Counting { graph, loss, .. } = counting();
    warnings();
    let evaluation = SingularMonitoredSession::builder(&graph).checkpoint_dir(folder.path());
    evaluation.scoped(|session| session.run(&loss, ())).unwrap();
    assert!(warnings().is_empty());
}

#[test]
fn dropping_a_session_without_close_causes_a_warning() {
    let Counting { graph, train_op, .. } = counting();
    warnings();
    drop(SingularMonitoredSession::builder(&graph).build().unwrap());
    let lines = warnings();
    assert!(lines.len() == 1 && lines[0].contains("dropped without close()"), "{lines:?}");
    assert!(lines[0].contains("scoped()"), "{lines:?}");
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    session.run(&train_op, ()).unwrap();
    session.close().unwrap();
    drop(session);
    assert!(warnings().is_empty(), "it was closed");
    // On the way out after an error nobody closes, and everybody knows.
    let hook = ClosureHook::new("fails").before_run(|_| Err(Error::value("no")));
    let mut session = SingularMonitoredSession::builder(&graph).hook(hook).build().unwrap();
    session.run(&train_op, ()).unwrap_err();
    drop(session);
    assert!(warnings().is_empty());
}

// ---- lost input -----------------------------------------------------------------------------------------

/// Keeps the coordinator of the session of the moment.
#[derive(Clone, Default)]
struct Background(Arc<Mutex<Option<Coordinator>>>);

impl Background {
    fn hook(&self) -> ClosureHook {
        let kept = self.0.clone();
        ClosureHook::new("background").after_create_session(move |_, coordinator| {
            *kept.lock().unwrap() = Some(coordinator.clone());
            Ok(())
        })
    }

    /// A thread of the input is lost with its peer.
    fn is_lost(&self) {
        let lost = Error::new(Code::Unavailable, "the reader is gone");
        self.0.lock().unwrap().as_ref().unwrap().report_error(lost).unwrap();
    }
}

fn closed_queue() -> Error {
    Error::new(Code::OutOfRange, "the queue is closed and has insufficient elements")
}

#[test]
fn s_155_s_175_a_step_function_of_raw_runs_recovers_from_a_lost_input() {
    let Counting { graph, train_op, .. } = counting();
    let background = Background::default();
    let builder = || {
        let policy = RecoveryPolicy::new().pause(Duration::ZERO, Duration::ZERO);
        MonitoredSession::builder(&graph).recovery(policy).hook(background.hook())
    };
    // Before the step function: the next call recovers.
    let mut session = builder().build().unwrap();
    background.is_lost();
    session.run_step_fn(|context| context.session().run(&train_op, ())).unwrap();
    assert_eq!(session.recoveries().len(), 1);
    session.close().unwrap();

    // During it: what looks like the end of the input has another cause.
    let (mut calls, lost) = (0, background.clone());
    let finished = builder()
        .scoped(|session| {
            session.run_step_fn(|context| {
                calls += 1;
                if calls == 1 {
                    lost.is_lost();
                    return Err(closed_queue());
                }
                context.session().run(&train_op, ())
            })?;
            Ok(session.recoveries().len())
        })
        .unwrap();
    assert_eq!((calls, finished.value), (2, Some(1)));

    // A step function that requests a stop gets it.
    let lost = background.clone();
    let mut session = builder().build().unwrap();
    let error = session.run_step_fn(|context| {
        lost.is_lost();
        context.request_stop::<()>()
    });
    assert_eq!(error.unwrap_err().kind(), session_core::ErrorKind::StopIteration);
}

#[test]
fn s_155_a_run_without_hooks_recovers_from_a_lost_input() {
    let Counting { graph, step, train_op, .. } = counting();
    let background = Background::default();
    let mut session = MonitoredSession::builder(&graph)
        .hook(background.hook())
        .hook(StopAtStepHook::last_step(2))
        .build()
        .unwrap();
    session.run(&train_op, ()).unwrap();
    background.is_lost();
    assert_eq!(session.run_without_hooks(&step, ()).unwrap(), Tensor::from(0i64), "a new session");
    assert_eq!(session.recoveries().len(), 1);
    // Once the loop is to stop, what was trained is not thrown away for an evaluation.
    (0..2).for_each(|_| session.run(&train_op, ()).unwrap());
    background.is_lost();
    assert_eq!(session.run_without_hooks(&step, ()).unwrap(), Tensor::from(2i64));
    assert!(session.should_stop());
    session.close().unwrap();
}

#[test]
fn s_175_without_recovery_the_lost_input_is_the_error() {
    let Counting { graph, .. } = counting();
    let background = Background::default();
    let builder = SingularMonitoredSession::builder(&graph).hook(background.hook());
    let lost = background.clone();
    let error = builder.scoped(|session| {
        session.run_step_fn(|_| {
            lost.is_lost();
            Err::<(), _>(closed_queue())
        })
    });
    assert_eq!(error.unwrap_err().code(), Code::Unavailable);
}

#[test]
fn attempts_are_counted_from_the_last_step_function_that_succeeded() {
    let Counting { graph, train_op, .. } = counting();
    let background = Background::default();
    let policy = RecoveryPolicy::new().pause(Duration::ZERO, Duration::ZERO).max_attempts(1);
    let mut session =
        MonitoredSession::builder(&graph).recovery(policy).hook(background.hook()).build().unwrap();
    for _ in 0..3 {
        background.is_lost();
        session.run_step_fn(|context| context.session().run(&train_op, ())).unwrap();
    }
    assert_eq!(session.recoveries().len(), 3);
    session.close().unwrap();
}

// ---- recoveries -----------------------------------------------------------------------------------------

#[test]
fn the_step_before_a_recovery_is_known_without_the_lost_session() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, .. } = counting();
    let mut run = 0;
    let lost = ClosureHook::new("lost").before_run(move |context| {
        run += 1;
        if run < 6 {
            return Ok(None);
        }
        run = i32::MIN;
        context.session().close()?; // the server is gone
        Err(Error::new(Code::Unavailable, "the master is gone"))
    });
    let mut session = MonitoredSession::builder(&graph)
        .checkpoint_dir(folder.path())
        .hook(CheckpointSaverHook::every_steps(folder.path(), 3))
        .hook(lost)
        .build()
        .unwrap();
    (0..6).for_each(|_| session.run(&train_op, ()).unwrap());
    let recovery = &session.recoveries()[0];
    assert_eq!((recovery.step_before, recovery.step_after), (Some(5), Some(3)));
    assert_eq!(recovery.lost_steps(), Some(2));
    session.close().unwrap();
}

// ---- folders after an end that failed -------------------------------------------------------------------

/// Fails in `end`, or at the save point before it.
struct FailsAtEnd {
    in_save_point: bool,
}

impl ::hooks::SessionRunHook for FailsAtEnd {
    fn at_save_point(&mut self, point: &mut ::hooks::SavePoint<'_>) -> session_core::Result<()> {
        match point.moment() {
            ::hooks::Moment::End if self.in_save_point => Err(Error::value("the last save point failed")),
            _ => Ok(()),
        }
    }

    fn end(&mut self, _: &dyn session_core::Session) -> session_core::Result<()> {
        Err(Error::value("the end failed"))
    }
}

#[test]
fn a_failed_end_releases_the_folders_of_later_hooks() {
    let Counting { graph, train_op, loss, .. } = counting();
    for in_save_point in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let best = folder.path().join("best");
        let session = || {
            SingularMonitoredSession::builder(&graph)
                .hook(FailsAtEnd { in_save_point })
                .hook(CheckpointSaverHook::every_steps(folder.path(), 10))
                .hook(BestCheckpointHook::new(&best, &loss, Better::Lower))
                .build()
                .unwrap()
        };
        let mut first = session();
        first.run(&train_op, ()).unwrap();
        assert!(first.close().unwrap_err().message().contains("failed in"));
        let saved = folder.path().join("model.ckpt-1.index").exists();
        assert_eq!(
            saved, !in_save_point,
            "as in TensorFlow, where hooks after the one that failed have no end"
        );
        // The first session still exists.
        let mut second = session();
        second.close().unwrap_err();
        drop(first);
    }
}

#[test]
fn a_last_save_that_failed_releases_the_folder() {
    let Counting { graph, train_op, .. } = counting();
    let folder = tempfile::tempdir().unwrap();
    let session = || {
        let hook = CheckpointSaverHook::every_steps(folder.path(), 10);
        SingularMonitoredSession::builder(&graph).hook(hook).build().unwrap()
    };
    let mut first = session();
    first.run(&train_op, ()).unwrap();
    let obstacle = folder.path().join("model.ckpt-1.index");
    std::fs::create_dir(&obstacle).unwrap();
    first.close().unwrap_err();
    std::fs::remove_dir(&obstacle).unwrap();
    session().close().unwrap();
    drop(first);
}

#[test]
fn a_failed_end_saves_the_last_step_where_errors_are_to_be_saved() {
    let Counting { graph, train_op, .. } = counting();
    let folder = tempfile::tempdir().unwrap();
    let mut session = SingularMonitoredSession::builder(&graph)
        .hook(FailsAtEnd { in_save_point: true })
        .hook(CheckpointSaverHook::every_steps(folder.path(), 10).save_on_error(true))
        .build()
        .unwrap();
    session.run(&train_op, ()).unwrap();
    session.close().unwrap_err();
    assert!(latest_checkpoint(folder.path()).unwrap().unwrap().ends_with("model.ckpt-1"));
}

#[test]
fn a_recovery_that_failed_releases_the_folder() {
    let Counting { graph, train_op, .. } = counting();
    let folder = tempfile::tempdir().unwrap();
    let session = || {
        let lost =
            ClosureHook::new("lost").before_run(|_| Err(Error::new(Code::Unavailable, "a peer is gone")));
        MonitoredSession::builder(&graph)
            .recovery(RecoveryPolicy::new().max_attempts(0))
            .hook(CheckpointSaverHook::every_steps(folder.path(), 10))
            .hook(lost)
            .build()
            .unwrap()
    };
    let mut first = session();
    first.run(&train_op, ()).unwrap_err();
    first.close().unwrap();
    let second = session();
    drop((first, second));
}
