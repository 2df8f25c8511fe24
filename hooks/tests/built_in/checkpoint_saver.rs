//! CheckpointSaverHook.

use crate::support::{HandClock, Lines, Program, logged};
use checkpoint::{GraphSaver, RestoreReport, SAVERS, SaverOptions, SessionState, sidecar};
use hooks::{
    CheckpointSaverHook, CheckpointSaverListener, Milestone, Moment, SavePoint, SecondOrStepTimer,
    SessionRunHook,
};
use session_core::{Error, ErrorKind, Graph, Result, Session};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::{EventData, SessionStatus};

/// Returns the steps of the checkpoints, in the order of saving.
fn saved(directory: &Path) -> Vec<i64> {
    let state = checkpoint::get_checkpoint_state(directory, None).unwrap().unwrap();
    let step = |path: &String| path.rsplit_once('-').unwrap().1.parse().unwrap();
    state.all_model_checkpoint_paths.iter().map(step).collect()
}

/// Returns the steps and paths of the checkpoints that the event files name.
fn announced(directory: &Path) -> Vec<(i64, String)> {
    let events = summary::read_events(directory).unwrap().map(|event| event.unwrap());
    let checkpoint = |event: summary::Event| match event.data {
        Some(EventData::SessionLog(log)) if log.status == SessionStatus::Checkpoint => {
            Some((event.step, log.checkpoint_path))
        }
        _ => None,
    };
    events.filter_map(checkpoint).collect()
}

fn state(directory: &Path, step: i64) -> SessionState {
    sidecar::load(directory.join(format!("model.ckpt-{step}"))).unwrap().unwrap()
}

#[test]
fn s_341_a_global_step_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut hook = CheckpointSaverHook::every_steps(&folder, 1);
    let error = hook.begin(&Graph::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert_eq!(error.message(), "global step should be created to use CheckpointSaverHook");
}

#[test]
fn s_342_s_344_s_349_saves_at_creation_by_steps_and_at_the_end() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 2));
    assert_eq!(saved(folder.path()), [0]);
    driver.runs(5);
    assert_eq!(saved(folder.path()), [0, 2, 4]);
    driver.end().unwrap();
    assert_eq!(saved(folder.path()), [0, 2, 4, 5]);
    assert_eq!(state(folder.path(), 5).step, Some(5));
    let text = std::fs::read_to_string(folder.path().join("graph.pbtxt")).unwrap();
    assert!(text.starts_with("node {\n  name: "), "{text}");
}

#[test]
fn s_344_the_last_step_is_saved_once() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let lines = Lines::default();
    let mut driver =
        program.start(CheckpointSaverHook::every_steps(&folder, 2).listener(Recorder::new("a", &lines)));
    driver.runs(4);
    driver.end().unwrap();
    assert_eq!(saved(folder.path()), [0, 2, 4]);
    assert_eq!(lines.take().iter().filter(|line| *line == "a.before 4").count(), 1);
}

#[test]
fn s_345_nothing_is_saved_without_a_clean_end() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 4));
    driver.runs(3);
    drop(driver);
    assert_eq!(saved(folder.path()), [0]);
}

#[test]
fn s_343_time_triggers_a_save_only_if_the_step_has_changed() {
    let (folder, program, clock) = (tempfile::tempdir().unwrap(), Program::new(), HandClock::new());
    let hook = CheckpointSaverHook::every_secs(&folder, Duration::from_secs(600)).clock(clock.clone());
    let mut driver = program.start(hook);
    driver.runs(3);
    assert_eq!(saved(folder.path()), [0]);
    let read = ops::global_step::global_step_read(&program.graph).unwrap().unwrap();
    assert_eq!(program.fetched(&read), 0, "the step is of no interest until the time has come");
    clock.advance(600_000);
    driver.run().unwrap();
    assert_eq!(saved(folder.path()), [0, 4]);
    clock.advance(600_000);
    driver.run_target(None).unwrap();
    assert_eq!(saved(folder.path()), [0, 4], "the step is the same");
    driver.run().unwrap();
    assert_eq!(saved(folder.path()), [0, 4, 5]);
}

#[test]
fn q_41_time_and_steps_can_trigger_a_save() {
    let (folder, program, clock) = (tempfile::tempdir().unwrap(), Program::new(), HandClock::new());
    let timer = SecondOrStepTimer::every_steps_or_secs(3, Duration::from_secs(60));
    let mut driver = program.start(CheckpointSaverHook::with_timer(&folder, timer).clock(clock.clone()));
    driver.runs(4);
    assert_eq!(saved(folder.path()), [0, 3]);
    clock.advance(60_000);
    driver.run().unwrap();
    assert_eq!(saved(folder.path()), [0, 3, 5]);
}

#[test]
fn s_351_runs_that_advance_by_several_steps() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 100));
    driver.run().unwrap();
    let jump = program.graph.undefined_op("Train").name("jump").finish();
    for _ in 0..3 {
        driver.run_target(Some(&jump)).unwrap(); // 51, 101, 151
    }
    assert_eq!(saved(folder.path()), [0, 101]);
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    program.world.lock().unwrap().advance = 60;
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 50).steps_per_run(60));
    driver.run().unwrap();
    assert_eq!(saved(folder.path()), [0, 60], "known beforehand, it is not noticed late");
}

#[test]
fn s_345_the_step_is_not_read_again_when_nothing_is_due() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 1000));
    let before = program.fetched(program.step.snapshot());
    driver.runs(100);
    let read = program.fetched(program.step.snapshot()) - before;
    assert_eq!(read, 1, "once, after the first run, to learn by how much a run advances it");
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 1000).steps_per_run(1));
    let before = program.fetched(program.step.snapshot());
    driver.runs(100);
    assert_eq!(program.fetched(program.step.snapshot()), before, "that was given");
}

#[test]
fn s_351_the_first_run_shows_the_advance() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    program.world.lock().unwrap().advance = 10;
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 10));
    driver.run_target(None).unwrap();
    driver.runs(3);
    assert_eq!(saved(folder.path()), [0, 10, 20, 30], "also after a run that does not train");
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new().at(7));
    program.world.lock().unwrap().advance = 3;
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 6));
    driver.runs(4);
    assert_eq!(saved(folder.path()), [7, 13, 19]);
}

#[test]
fn q_36_a_checkpoint_that_was_just_restored_is_not_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let first = Program::new();
    let mut driver = first.start(CheckpointSaverHook::every_steps(&folder, 10));
    driver.runs(10);
    drop(driver);
    let resume = |hook: CheckpointSaverHook, restored: Option<&Path>| {
        let (program, lines) = (Program::new().at(10), Lines::default());
        let mut driver = program.drive(vec![Box::new(hook.listener(Recorder::new("a", &lines)))]);
        driver.begin().unwrap();
        let mut report = RestoreReport::default();
        if let Some(prefix) = restored {
            report.prefix = prefix.to_path_buf();
            driver.hooks[0].on_milestone(&Milestone::Restored(&report));
        }
        driver.create(&[]).unwrap();
        let created = lines.take().contains(&"a.after 10".to_owned());
        driver.end().unwrap();
        (created, lines.take())
    };
    let hook = || CheckpointSaverHook::every_steps(&folder, 10);
    let prefix = folder.path().join("model.ckpt-10");
    let (created, end) = resume(hook(), Some(&prefix));
    assert!(!created);
    assert_eq!(end, ["a.end 10"], "it is the checkpoint of the last step");
    let spelled = folder.path().join(".").join("model.ckpt-10");
    assert!(!resume(hook(), Some(&spelled)).0, "the same, spelled another way");
    assert!(resume(hook().save_after_restore(true), Some(&prefix)).0, "S-342");
    assert!(resume(hook(), None).0, "not restored from it");
    assert!(resume(hook().basename("other"), Some(&prefix)).0, "another name");
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(resume(CheckpointSaverHook::every_steps(&elsewhere, 10), Some(&prefix)).0, "it is not there");
}

#[test]
fn a_second_training_in_the_folder_is_refused_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Program::new(), Program::new());
    let hook = || CheckpointSaverHook::every_steps(&folder, 10);
    let begin = |program: &Program, hooks: Vec<Box<dyn SessionRunHook>>| {
        let mut driver = program.drive(hooks);
        driver.begin()
    };
    let mut driver = first.start(hook());
    let files = || std::fs::read_dir(&folder).unwrap().count();
    let before = files();
    for program in [&first, &second] {
        let error = begin(program, vec![Box::new(hook())]).unwrap_err();
        assert_eq!(error.code(), session_core::Code::FailedPrecondition);
        assert!(error.message().contains("in use by another training of this process since 20"), "{error}");
    }
    assert_eq!(files(), before, "and nothing was written");
    let best = hooks::BestCheckpointHook::new(&folder, "loss:0", checkpoint::Better::Lower);
    assert!(begin(&second, vec![Box::new(best)]).is_err(), "whichever hook saves");
    driver.end().unwrap();
    begin(&second, vec![Box::new(hook())]).unwrap();
    // Its hooks were dropped; the hooks of one session share the folder.
    let mut driver = second.drive(vec![Box::new(hook()), Box::new(hook().basename("other"))]);
    driver.begin().unwrap();
    drop(driver);
    // A dry run leaves nothing behind, so it may run at the same time.
    let _training = first.start(hook());
    let mut dry_run = hook();
    dry_run.dry_run();
    dry_run.begin(&second.graph).unwrap();
}

#[test]
fn a_process_that_uses_the_folder_is_named_before_training_starts() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let lock = folder.path().join("checkpoint.lock");
    std::fs::write(&lock, "process 4711 on host since 2026-11-29 13:40:10 UTC\n").unwrap();
    // An open file of our own behaves as another process's would.
    let other = std::fs::File::open(&lock).unwrap();
    other.lock().unwrap();
    let error = CheckpointSaverHook::every_steps(&folder, 1).begin(&program.graph).unwrap_err();
    let words = "in use by process 4711 on host since 2026-11-29 13:40:10 UTC";
    assert!(error.message().contains(words), "{error}");
}

#[test]
fn s_342_a_recovery_without_a_restore_saves_again() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let lines = Lines::default();
    let hook = CheckpointSaverHook::every_steps(&folder, 10).listener(Recorder::new("a", &lines));
    let mut driver = program.start(hook);
    driver.runs(3);
    program.set_step(0);
    driver.create(&[]).unwrap();
    assert_eq!(lines.take().iter().filter(|line| *line == "a.after 0").count(), 2);
}

/// Records its calls.
struct Recorder {
    name: &'static str,
    lines: Lines,
    stop_at: Option<i64>,
    fail_at: Option<i64>,
}

impl Recorder {
    fn new(name: &'static str, lines: &Lines) -> Recorder {
        Recorder { name, lines: lines.clone(), stop_at: None, fail_at: None }
    }

    fn say(&self, what: &str) {
        self.lines.push(format!("{}.{what}", self.name));
    }
}

impl CheckpointSaverListener for Recorder {
    fn begin(&mut self) -> Result<()> {
        self.say("begin");
        Ok(())
    }

    fn before_save(&mut self, _: &dyn Session, step: i64) -> Result<()> {
        self.say(&format!("before {step}"));
        if self.fail_at == Some(step) {
            return Err(Error::value("not now"));
        }
        Ok(())
    }

    fn after_save(&mut self, _: &dyn Session, step: i64) -> Result<bool> {
        self.say(&format!("after {step}"));
        Ok(self.stop_at == Some(step))
    }

    fn end(&mut self, _: &dyn Session, step: i64) -> Result<()> {
        self.say(&format!("end {step}"));
        Ok(())
    }
}

#[test]
fn s_347_listeners_are_called_in_order() {
    let (folder, program, lines) = (tempfile::tempdir().unwrap(), Program::new(), Lines::default());
    let hook = CheckpointSaverHook::every_steps(&folder, 2)
        .listener(Recorder::new("a", &lines))
        .listener(Recorder::new("b", &lines));
    let mut driver = program.start(hook);
    driver.runs(3);
    driver.end().unwrap();
    let mut expected = vec!["a.begin".to_owned(), "b.begin".to_owned()];
    for step in [0, 2, 3] {
        for what in ["before", "after"] {
            expected.extend(["a", "b"].map(|name| format!("{name}.{what} {step}")));
        }
    }
    expected.extend(["a.end 3".to_owned(), "b.end 3".to_owned()]);
    assert_eq!(lines.take(), expected);
}

#[test]
fn s_346_all_listeners_are_called_even_if_one_requests_a_stop() {
    let (folder, program, lines) = (tempfile::tempdir().unwrap(), Program::new(), Lines::default());
    let hook = CheckpointSaverHook::every_steps(&folder, 2)
        .listener(Recorder { stop_at: Some(2), ..Recorder::new("a", &lines) })
        .listener(Recorder::new("b", &lines));
    let mut driver = program.start(hook);
    assert_eq!(driver.runs(10), 2);
    let reason = driver.stop.take().unwrap().to_string();
    assert_eq!(reason, "hook 'CheckpointSaverHook': a checkpoint listener requested it at step 2");
    assert!(lines.take().contains(&"b.after 2".to_owned()));
}

#[test]
fn q_36_a_stop_at_the_first_save_takes_effect() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let lines = Lines::default();
    let listener = Recorder { stop_at: Some(0), ..Recorder::new("a", &lines) };
    let driver = program.start(CheckpointSaverHook::every_steps(&folder, 2).listener(listener));
    assert!(driver.created.is_some());
}

#[test]
fn s_346_a_listener_that_fails_aborts_the_save() {
    let (folder, program, lines) = (tempfile::tempdir().unwrap(), Program::new(), Lines::default());
    let listener = Recorder { fail_at: Some(2), ..Recorder::new("a", &lines) };
    let hook =
        CheckpointSaverHook::every_steps(&folder, 2).listener(listener).listener(Recorder::new("b", &lines));
    let mut driver = program.start(hook);
    driver.run().unwrap();
    lines.take();
    assert_eq!(driver.run().unwrap_err().message(), "not now");
    assert_eq!(lines.take(), ["a.before 2"]);
    assert_eq!(saved(folder.path()), [0]);
}

#[test]
fn s_346_s_350_q_37_the_event_names_the_checkpoint_and_is_on_disk() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 2));
    driver.runs(2);
    // The hook still exists, and nothing was closed.
    let logged = announced(folder.path());
    let path = |step: i64| folder.path().join(format!("model.ckpt-{step}")).to_string_lossy().into_owned();
    assert_eq!(logged, [(0, path(0)), (2, path(2))]);
}

#[test]
fn s_348_the_saver_is_chosen_in_order() {
    let program = Program::new();
    let run = |hook: CheckpointSaverHook| program.start(hook).runs(6);
    let kept = |count| GraphSaver::new(SaverOptions::new().max_to_keep(count));

    let folder = tempfile::tempdir().unwrap();
    run(CheckpointSaverHook::every_steps(&folder, 1).saver(kept(1)));
    assert_eq!(saved(folder.path()).len(), 1, "the one given");

    let folder = tempfile::tempdir().unwrap();
    run(CheckpointSaverHook::every_steps(folder.path().join("new"), 1));
    assert_eq!(saved(&folder.path().join("new")).len(), 5, "a new one, which makes the directory");

    program.graph.add_to_collection(&SAVERS, kept(2)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    run(CheckpointSaverHook::every_steps(&folder, 1));
    assert_eq!(saved(folder.path()).len(), 2, "that of the graph");

    program.graph.add_to_collection(&SAVERS, kept(3)).unwrap();
    let mut driver = program.drive(vec![Box::new(CheckpointSaverHook::every_steps(&folder, 1))]);
    driver.begin().unwrap();
    let error = driver.create(&[]).unwrap_err();
    assert!(error.message().contains("More than one item in collection"), "{error}");
}

/// Counts runs, and keeps the count in the checkpoint.
#[derive(Default)]
struct Counter(u8);

impl SessionRunHook for Counter {
    fn after_run(
        &mut self,
        _: &mut hooks::SessionRunContext<'_>,
        _: &hooks::SessionRunValues<'_>,
    ) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        Some(vec![self.0])
    }
}

#[test]
fn states_of_hooks_belong_to_the_same_step_wherever_they_are_in_the_list() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    struct Named(&'static str, Counter);
    impl SessionRunHook for Named {
        fn name(&self) -> std::borrow::Cow<'_, str> {
            self.0.into()
        }
        fn after_run(
            &mut self,
            context: &mut hooks::SessionRunContext<'_>,
            values: &hooks::SessionRunValues<'_>,
        ) -> Result<()> {
            self.1.after_run(context, values)
        }
        fn save_state(&self) -> Option<Vec<u8>> {
            self.1.save_state()
        }
    }
    let mut driver = program.drive(vec![
        Box::new(Named("first", Counter::default())),
        Box::new(CheckpointSaverHook::every_steps(&folder, 3)),
        Box::new(Named("last", Counter::default())),
    ]);
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    driver.runs(4);
    let state = state(folder.path(), 3);
    assert_eq!(state.hook("first"), Some(&[3u8][..]));
    assert_eq!(state.hook("last"), Some(&[3u8][..]));
}

#[test]
fn background_saves_notify_listeners_of_complete_checkpoints() {
    struct Complete(std::path::PathBuf, Lines);
    impl CheckpointSaverListener for Complete {
        fn after_save(&mut self, _: &dyn Session, step: i64) -> Result<bool> {
            assert!(checkpoint::checkpoint_exists(self.0.join(format!("model.ckpt-{step}"))));
            self.1.push(step.to_string());
            Ok(false)
        }
    }
    let (folder, program, lines) = (tempfile::tempdir().unwrap(), Program::new(), Lines::default());
    let hook = CheckpointSaverHook::every_steps(&folder, 2)
        .background(true)
        .listener(Complete(folder.path().into(), lines.clone()));
    let mut driver = program.start(hook);
    driver.runs(5);
    driver.end().unwrap();
    assert_eq!(lines.take(), ["0", "2", "4", "5"]);
    assert_eq!(saved(folder.path()), [0, 2, 4, 5]);
}

#[test]
fn background_failures_are_reported_by_a_later_save_point() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 1).background(true));
    // A folder instead of the next index file.
    std::fs::create_dir(folder.path().join("model.ckpt-1.index")).unwrap();
    std::fs::write(folder.path().join("model.ckpt-1.index/x"), "x").unwrap();
    let failed = (0..2).find_map(|_| driver.run().err()).or_else(|| driver.end().err()).unwrap();
    assert_eq!(failed.phase(), Some(session_core::Phase::Save), "{failed}");
}

#[test]
fn a_background_save_that_failed_is_not_announced() {
    let (folder, program, lines) = (tempfile::tempdir().unwrap(), Program::new(), Lines::default());
    let hook = CheckpointSaverHook::every_steps(&folder, 1).background(true);
    let mut driver = program.start(hook.listener(Recorder::new("a", &lines)));
    std::fs::create_dir(folder.path().join("model.ckpt-1.index")).unwrap();
    std::fs::write(folder.path().join("model.ckpt-1.index/x"), "x").unwrap();
    driver.run().unwrap();
    // Waits for the save of step 1 before it would save step 2.
    assert_eq!(driver.run().unwrap_err().phase(), Some(session_core::Phase::Save));
    driver.end().unwrap();
    let lines = lines.take();
    let after: Vec<_> = lines.iter().filter(|line| line.starts_with("a.after")).collect();
    assert_eq!(after, ["a.after 0", "a.after 2"]);
    assert_eq!(announced(folder.path()).iter().map(|(step, _)| *step).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(saved(folder.path()), [0, 2]);
}

#[test]
fn a_background_save_whose_error_another_hook_got_is_not_announced() {
    let (folder, program, lines) = (tempfile::tempdir().unwrap(), Program::new(), Lines::default());
    let saver = GraphSaver::new(SaverOptions::new());
    let hook = |lines| {
        let hook = CheckpointSaverHook::every_steps(&folder, 1).saver(saver.clone()).background(true);
        hook.listener(Recorder::new("a", lines))
    };
    let (first, second) = (hook(&lines), hook(&Lines::default()).basename("other"));
    let mut driver = program.drive(vec![Box::new(first), Box::new(second)]);
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    std::fs::create_dir(folder.path().join("model.ckpt-1.index")).unwrap();
    std::fs::write(folder.path().join("model.ckpt-1.index/x"), "x").unwrap();
    // The second hook waits for the save of the first.
    driver.run().unwrap_err();
    driver.end().unwrap();
    assert!(!lines.take().contains(&"a.after 1".to_owned()));
}

#[test]
fn a_save_that_fails_leaves_the_earlier_checkpoints() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 1));
    std::fs::create_dir(folder.path().join("model.ckpt-1.index")).unwrap();
    std::fs::write(folder.path().join("model.ckpt-1.index/x"), "x").unwrap();
    let error = driver.run().unwrap_err();
    assert_eq!(error.phase(), Some(session_core::Phase::Save));
    assert_eq!(saved(folder.path()), [0]);
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let left = files.filter(|name| name.to_str().unwrap().starts_with("model.ckpt-1."));
    assert_eq!(left.collect::<Vec<_>>(), ["model.ckpt-1.index"], "nothing of the save is left");
}

#[test]
fn q_11_saves_on_an_error_if_configured() {
    let ends = |save: bool, error: Error| {
        let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
        let hook = CheckpointSaverHook::every_steps(&folder, 100).save_on_error(save);
        let mut driver = program.start(hook);
        driver.runs(3);
        driver.hooks[0].on_error(&error);
        driver.save_points(Moment::Failed).unwrap();
        saved(folder.path())
    };
    let lost = || Error::new(session_core::Code::Internal, "lost");
    assert_eq!(ends(true, lost()), [0, 3]);
    assert_eq!(ends(false, lost()), [0], "S-345");
    assert_eq!(ends(true, Error::nan_loss("NaN loss")), [0], "the model is broken");
}

#[test]
fn q_11_a_failed_save_on_an_error_is_logged() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut driver = program.start(CheckpointSaverHook::every_steps(&folder, 100).save_on_error(true));
    driver.runs(3);
    logged();
    session_core::Session::close(&program.session).unwrap();
    driver.save_points(Moment::Failed).unwrap();
    assert!(logged().iter().any(|line| line.starts_with("ERROR could not save after an error")));
}

#[test]
fn use_before_begin_is_an_error() {
    let (folder, program) = (tempfile::tempdir().unwrap(), Program::new());
    let mut hook = CheckpointSaverHook::every_steps(&folder, 1);
    let mut point = SavePoint::new(&program.session, Moment::Created, "hook", &Vec::new);
    let error = hook.at_save_point(&mut point).unwrap_err();
    assert!(error.message().contains("before its begin was called"), "{error}");
}

#[test]
fn hooks_are_send() {
    fn check<T: Send>() {}
    check::<CheckpointSaverHook>();
    check::<Arc<dyn hooks::Clock>>();
}
