//! Rehearsals.

use crate::support::{Counting, counting, files};
use hooks::{
    BestCheckpointHook, CheckpointSaverHook, CheckpointSaverListener, MetricsFileHook, ProfilerHook,
    SessionRunContext, SessionRunHook, SessionRunValues, StepCounterHook, SummarySaverHook,
};
use monitored::{MonitoredTrainingSession, SingularMonitoredSession};
use session_core::{Result, Session};
use std::sync::{Arc, Mutex};

type Calls = Arc<Mutex<Vec<&'static str>>>;

struct Recording(Calls);

impl SessionRunHook for Recording {
    fn dry_run(&mut self) {
        self.0.lock().unwrap().push("dry_run");
    }
    fn after_run(&mut self, _: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.0.lock().unwrap().push("after_run");
        Ok(())
    }
    fn end(&mut self, _: &dyn Session) -> Result<()> {
        self.0.lock().unwrap().push("end");
        Ok(())
    }
}

impl CheckpointSaverListener for Recording {
    fn before_save(&mut self, _: &dyn Session, _: i64) -> Result<()> {
        self.0.lock().unwrap().push("before_save");
        Ok(())
    }
    fn after_save(&mut self, _: &dyn Session, _: i64) -> Result<bool> {
        self.0.lock().unwrap().push("after_save");
        Ok(false)
    }
}

#[test]
fn a_dry_run_calls_every_hook_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let Counting { graph, train_op, loss, .. } = counting();
    let calls = Calls::default();
    let listeners = Calls::default();
    let mut session = SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(at("checkpoints"))
        .hook(Recording(calls.clone()))
        .hook(CheckpointSaverHook::every_steps(at("checkpoints"), 1).listener(Recording(listeners.clone())))
        .hook(SummarySaverHook::every_steps(1).output_dir(at("events")))
        .hook(StepCounterHook::every_n_steps(1).output_dir(at("events")))
        .hook(MetricsFileHook::csv(at("metrics.csv"), 1).tensor("loss", &loss))
        .hook(MetricsFileHook::json_lines(at("metrics.jsonl"), 1).tensor("loss", &loss))
        .hook(BestCheckpointHook::new(at("best"), &loss, checkpoint::Better::Lower))
        .hook(ProfilerHook::every_steps(at("profile"), 1))
        .dry_run(3)
        .build()
        .unwrap();
    let mut runs = 0;
    while !session.should_stop() {
        session.run(&train_op, ()).unwrap();
        runs += 1;
    }
    assert_eq!(session.stop_reason().unwrap().to_string(), "hook 'dry run': the dry run of 3 run(s) is over");
    session.close().unwrap();
    assert_eq!(runs, 3);
    assert_eq!(*calls.lock().unwrap(), ["dry_run", "after_run", "after_run", "after_run", "end"]);
    let pair = ["before_save", "after_save"];
    assert_eq!(*listeners.lock().unwrap(), [pair; 4].concat(), "at steps 0, 1, 2 and 3");
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn a_dry_run_restores_but_saves_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, step, .. } = counting();
    let build = || {
        let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir(folder.path());
        builder.save_checkpoint_steps(1)
    };
    build().scoped(|session| session.run(&train_op, ())).unwrap();
    let before = files(folder.path());
    let finished = build()
        .dry_run(2)
        .scoped(|session| {
            while !session.should_stop() {
                session.run(&train_op, ())?;
            }
            session.run_without_hooks(&step, ())
        })
        .unwrap();
    assert_eq!(finished.value.unwrap().value::<i64>().unwrap(), 3, "from step 1, two more");
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_dry_run_of_no_steps_stops_before_the_first() {
    let Counting { graph, train_op, .. } = counting();
    let mut session = SingularMonitoredSession::builder(&graph).dry_run(0).build().unwrap();
    assert!(session.should_stop());
    assert!(session.run(&train_op, ()).is_err());
    session.close().unwrap();
}
