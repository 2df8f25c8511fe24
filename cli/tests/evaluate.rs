//! The program `monitored evaluate`, run as a user runs it.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use monitored_session::hooks::{CheckpointSaverHook, StopAtStepHook};
use monitored_session::ops::{array, global_step, math, metrics, variables};
use monitored_session::prelude::*;
use monitored_session::summary::{EventData, read_events};
use serde_json::json;
use std::ffi::OsStr;
use std::path::Path;
use support::{Answer, run_in};

/// Trains `w`, which is the step, to step 3 in `run`, and writes `eval.meta` with the mean of `w x` over batches, and `x.npy`
/// with the numbers from 0 to 5.
fn trained(folder: &Path) {
    let graph = Graph::new();
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
    let w = variables::variable(&graph.named("w"), 0f32);
    let step = global_step::get_or_create_global_step(&graph);
    let train = [w.assign_add(1f32), step.assign_add(1i64)];
    let product = math::mul(x.named("product"), &w);
    let _once = math::reduce_mean(product.named("once"), ..);
    let mean = metrics::mean(product.named("metric"));
    let _value = array::identity(mean.value.named("value"));
    let _update = array::identity(mean.update_op.named("update"));
    let run = folder.join("run");
    std::fs::create_dir(&run).unwrap();
    SingularMonitoredSession::builder(&graph)
        .hook(CheckpointSaverHook::every_steps(&run, 1000))
        .hook(StopAtStepHook::last_step(3))
        .scoped(|session| {
            while !session.should_stop() {
                session.run(&train, ())?;
            }
            Ok(())
        })
        .unwrap();
    std::fs::copy(run.join("model.ckpt-3.meta"), folder.join("eval.meta")).unwrap();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..6u8).flat_map(|number| f32::from(number).to_le_bytes()));
    std::fs::write(folder.join("x.npy"), bytes).unwrap();
}

fn evaluate(folder: &Path, more: &[&str]) -> Answer {
    let mut arguments: Vec<&dyn AsRef<OsStr>> =
        vec![&"evaluate", &"--meta", &"eval.meta", &"--checkpoint-dir", &"run", &"--feed", &"x=x.npy"];
    arguments.extend(more.iter().map(|text| text as &dyn AsRef<OsStr>));
    run_in(folder, &arguments)
}

#[test]
fn the_newest_checkpoint_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    let answer = evaluate(folder.path(), &["--fetch", "once"]);
    assert_eq!((answer.code, answer.out.as_str()), (0, "run/model.ckpt-3  once 7.5\n"), "{}", answer.errors);
    let metric = ["--eval-op", "update", "--fetch", "value:0", "--json"];
    for (more, value) in [(&[][..], 7.5), (&["--batch", "2"], 7.5), (&["--batch", "2", "--steps", "2"], 4.5)]
    {
        let answer = evaluate(folder.path(), &[&metric, more].concat());
        assert_eq!(answer.code, 0, "{}", answer.errors);
        let line = json!({"checkpoint": "run/model.ckpt-3", "step": 3, "fetches": {"value:0": value}});
        assert_eq!(answer.lines(), [line]);
    }
}

#[test]
fn summaries_are_written_at_the_step_of_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    let fetches = ["--fetch", "once:0", "--fetch", "product", "--summary-dir", "run/eval"];
    assert_eq!(evaluate(folder.path(), &fetches).code, 0);
    let events = read_events(folder.path().join("run/eval")).unwrap().map(|event| event.unwrap());
    let summaries: Vec<(String, i64, String)> = events
        .filter_map(|event| match event.data? {
            EventData::Summary(summary) => Some((event.step, summary)),
            _ => None,
        })
        .flat_map(|(step, summary)| {
            summary.values.into_iter().map(move |value| (value.tag, step, format!("{:?}", value.data)))
        })
        .collect();
    // Only the fetch of a single number is a metric.
    assert_eq!(summaries.len(), 1, "{summaries:?}");
    assert_eq!((summaries[0].0.as_str(), summaries[0].1), ("once", 3));
    assert!(summaries[0].2.contains("7.5"), "{summaries:?}");
}

#[test]
fn wrong_arguments_are_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    let uneven = evaluate(folder.path(), &["--eval-op", "update", "--fetch", "value", "--batch", "4"]);
    assert!(uneven.errors.contains("batches of 4 rows do not divide the 6 rows"), "{}", uneven.errors);
    let unknown = evaluate(folder.path(), &["--fetch", "onc"]);
    assert!(unknown.errors.contains("there is no tensor 'onc'; is 'once' meant?"), "{}", unknown.errors);
    let operation = evaluate(folder.path(), &["--fetch", "once", "--eval-op", "updat"]);
    assert!(
        operation.errors.contains("there is no operation 'updat'; is 'update' meant?"),
        "{}",
        operation.errors
    );
    std::fs::remove_dir_all(folder.path().join("run")).unwrap();
    let missing = evaluate(folder.path(), &["--fetch", "once"]);
    assert!(missing.errors.contains("there is no checkpoint in 'run'"), "{}", missing.errors);
    assert_eq!([uneven.code, unknown.code, missing.code], [1, 1, 1]);
}

#[cfg(unix)]
#[test]
fn a_follower_ends_with_its_time_out_or_a_signal() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    let answer = evaluate(folder.path(), &["--fetch", "once", "--follow", "--timeout", "0"]);
    assert_eq!((answer.code, answer.out.lines().count()), (0, 1), "{}", answer.errors);
    let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
    command.current_dir(folder.path()).args(["evaluate", "--meta", "eval.meta", "--checkpoint-dir", "run"]);
    command.args(["--feed", "x=x.npy", "--fetch", "once", "--follow"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    // The line is printed before the wait for the next checkpoint begins.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("run/model.ckpt-3"));
    Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
