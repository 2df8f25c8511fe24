//! SessionStoryHook.

use crate::support::{HandClock, Program};
use hooks::{HookTiming, Milestone, SessionRunHook, SessionStoryHook};
use queue_runner::{StopReason, StopSource};
use serde_json::{Value as Json, json};
use session_core::{Code, Error};
use std::path::Path;
use std::time::Duration;
use summary::{EventData, SessionStatus};

/// The entries of a folder's event files, each with its step.
fn story(directory: &Path) -> Vec<(i64, Json)> {
    let events = summary::read_events(directory).unwrap().map(|event| event.unwrap());
    let entry = |event: summary::Event| match event.data {
        Some(EventData::SessionLog(log)) if log.status == SessionStatus::Unspecified => {
            Some((event.step, serde_json::from_str(&log.message).unwrap()))
        }
        _ => None,
    };
    events.filter_map(entry).collect()
}

#[test]
fn the_pace_is_written_at_intervals_that_double() {
    let (program, folder, clock) = (Program::new().at(4), tempfile::tempdir().unwrap(), HandClock::new());
    let mut driver = program.start(SessionStoryHook::new(&folder).clock(clock.clone()));
    driver.metadata.elapsed = Duration::from_millis(100);
    driver.metadata.input_wait = Duration::from_millis(25);
    for _ in 0..13 {
        clock.advance(250); // between runs
        driver.run().unwrap();
    }
    drop(driver);
    let reported = story(folder.path());
    assert_eq!(reported[0], (4, json!({"story": "started", "step": 4})));
    let pace: Vec<(i64, u64, f64)> = reported[1..]
        .iter()
        .map(|(step, entry)| (*step, entry["runs"].as_u64().unwrap(), entry["seconds"].as_f64().unwrap()))
        .collect();
    assert_eq!(pace, [(8, 4, 1.0), (16, 8, 2.0)], "after 1 s, then after 2 s more");
    assert_eq!(reported[2].1["between_runs"], 2.0);
    assert_eq!(reported[2].1["in_runs"], 0.0);
    assert_eq!(reported[2].1["input_wait"], 0.25);
}

#[test]
fn milestones_of_the_session_are_written() {
    let (program, folder, clock) = (Program::new(), tempfile::tempdir().unwrap(), HandClock::new());
    let mut hook = SessionStoryHook::new(&folder).clock(clock);
    let stop = queue_runner::StopHandle::new();
    hook.attach(&stop);
    hook.begin(&program.graph).unwrap();
    let coordinator = queue_runner::Coordinator::new();
    hook.after_create_session(&program.session, &coordinator).unwrap();
    let cause = Error::new(Code::Unavailable, "the server is gone");
    hook.on_error(&cause);
    let mut report = checkpoint::RestoreReport::default();
    report.prefix = "run/model.ckpt-7".into();
    report.restored = vec!["w".to_owned(), "b".to_owned()];
    report.rejected.push(("run/model.ckpt-9".into(), checkpoint::Error::Invalid("it is damaged".to_owned())));
    hook.on_milestone(&Milestone::Restored(&report));
    program.set_step(7);
    hook.after_create_session(&program.session, &coordinator).unwrap();
    hook.on_milestone(&Milestone::Recovered {
        cause: &cause,
        attempts: 2,
        checkpoint: Some(&report.prefix),
        step_before: Some(9),
        step_after: Some(7),
    });
    let reason = StopReason::new(StopSource::Hook("StopAtStepHook".to_owned()), "step 10 was reached");
    let timings = [HookTiming::new("SummarySaverHook", Duration::from_millis(2), 0.25)];
    hook.on_milestone(&Milestone::Ending { reason: &reason, timings: &timings });
    hook.end(&program.session).unwrap();

    let reported = story(folder.path());
    let failed = json!({"story": "failed", "error": "Unavailable: the server is gone"});
    let restored = json!({
        "story": "restored", "checkpoint": "run/model.ckpt-7", "variables": 2,
        "rejected": [{"checkpoint": "run/model.ckpt-9", "error": "it is damaged"}],
    });
    let recovered = json!({
        "story": "recovered", "cause": "Unavailable: the server is gone", "attempts": 2,
        "checkpoint": "run/model.ckpt-7", "step_before": 9, "step_after": 7,
    });
    let timings = json!([{"hook": "SummarySaverHook", "seconds": 0.002, "share": 0.25}]);
    let ended = json!({"story": "ended", "source": "hook 'StopAtStepHook'", "reason": "step 10 was reached"});
    let expected = [
        (0, json!({"story": "started", "step": 0})),
        (0, failed),
        (7, json!({"story": "started", "step": 7})),
        (7, restored),
        (7, recovered),
        (7, json!({"story": "hooks", "timings": timings})),
        (7, ended),
    ];
    assert_eq!(reported, expected);
}

#[test]
fn a_graph_without_a_global_step_has_a_story_too() {
    let (folder, graph) = (tempfile::tempdir().unwrap(), session_core::Graph::new());
    let mut hook = SessionStoryHook::new(&folder);
    hook.begin(&graph).unwrap();
    let session = session_core::mock::MockSession::new(&graph);
    hook.after_create_session(&session, &queue_runner::Coordinator::new()).unwrap();
    drop(hook);
    assert_eq!(story(folder.path()), [(0, json!({"story": "started", "step": 0}))]);
}

#[test]
fn a_dry_run_leaves_no_story() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut hook = SessionStoryHook::new(folder.path().join("run"));
    hook.dry_run();
    program.start(hook).runs(3);
    assert!(!folder.path().join("run").exists());
}
