//! The program `monitored events`, run as a user runs it.
#![allow(clippy::unwrap_used)] // a test may

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Command;
use summary::{EventWriter, SessionLog, Summary, Value, event_files};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../summary/tests/fixtures/events").join(name)
}

/// Runs the program; returns exit code, output and errors.
fn run(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
    let output = command.arg("events").args(arguments.iter().map(|a| a.as_ref())).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn list(path: &Path) -> (i32, Json) {
    let (code, out, errors) = run(&[&"list", &path, &"--json"]);
    assert_eq!(errors, "", "with --json everything is in the object");
    (code, serde_json::from_str(&out).unwrap())
}

fn row<'a>(listed: &'a Json, tag: &str) -> &'a Json {
    let tags = listed["tags"].as_array().unwrap();
    tags.iter().find(|row| row["tag"] == tag).unwrap_or_else(|| panic!("no {tag} in {listed}"))
}

/// A run that was killed at step 20 and continued from 15.
fn restarted(folder: &Path) {
    let writer = EventWriter::open(folder).unwrap();
    for (first, last) in [(1, 20), (15, 25)] {
        writer.add_session_log(SessionLog::start(), first).unwrap();
        for step in first..last {
            let summary = Summary::scalar("loss", first as f32).with(Value::text("note", "a *note*"));
            writer.add_summary(summary, step).unwrap();
        }
        writer.close().unwrap();
        writer.reopen().unwrap();
    }
    writer.close().unwrap();
}

/// The one event file of a fixture, copied with its bytes changed.
fn changed(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let file = event_files(fixture("scalars")).unwrap().remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    change(&mut bytes);
    let copy = folder.join(file.file_name().unwrap());
    std::fs::write(&copy, bytes).unwrap();
    copy
}

#[test]
fn list_agrees_with_tensorflow() {
    for name in ["scalars", "histograms", "images", "tensors_v2", "two_files", "tiny", "graph_and_logs"] {
        let expected = std::fs::read_to_string(fixture(name).join("expected.json")).unwrap();
        let (code, listed) = list(&fixture(name));
        assert_eq!(code, 0, "{name}");
        let expected: Json = serde_json::from_str(&expected).unwrap();
        let mut seen = std::collections::BTreeMap::new();
        for kind in ["scalars", "histograms", "images", "audio", "tensors"] {
            for (tag, count) in expected["tensorboard_sees"][kind].as_object().unwrap() {
                seen.insert(tag.clone(), count.clone());
            }
        }
        let tags = listed["tags"].as_array().unwrap().iter();
        let listed =
            tags.map(|row| (row["tag"].as_str().unwrap().to_owned(), row["count"].clone())).collect();
        assert_eq!(seen, listed, "{name}");
    }
    let (_, histograms) = list(&fixture("histograms"));
    assert!(
        histograms["tags"].as_array().unwrap().iter().all(|row| row["kind"] == "histogram"),
        "{histograms}"
    );
    let (_, images) = list(&fixture("images"));
    assert!(images["tags"].as_array().unwrap().iter().any(|row| row["kind"] == "image"), "{images}");
    let (_, logs) = list(&fixture("graph_and_logs"));
    assert!(
        logs["graphs"].as_u64().unwrap() > 0 && !logs["sessions"].as_array().unwrap().is_empty(),
        "{logs}"
    );
    assert_eq!(list(&fixture("two_files")).1["files"].as_array().unwrap().len(), 2);
}

#[test]
fn points_that_a_restart_overwrote_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    restarted(folder.path());
    let (code, listed) = list(folder.path());
    assert_eq!(code, 0);
    let loss = row(&listed, "loss");
    assert_eq!((&loss["kind"], &loss["count"]), (&"scalar".into(), &24.into()));
    assert_eq!((&loss["first_step"], &loss["last_step"]), (&1.into(), &24.into()));
    assert_eq!(row(&listed, "note")["kind"], "text");

    let (code, out, _) = run(&[&"show", &folder.path(), &"loss", &"--json"]);
    assert_eq!(code, 0);
    let shown: Json = serde_json::from_str(&out).unwrap();
    let points = shown["points"].as_array().unwrap();
    let of_step = |step: usize| &points[step - 1];
    assert_eq!(points.len(), 24);
    assert_eq!((of_step(14)["step"].as_i64(), of_step(14)["value"].as_f64()), (Some(14), Some(1.0)));
    assert_eq!((of_step(15)["step"].as_i64(), of_step(15)["value"].as_f64()), (Some(15), Some(15.0)));
}

#[test]
fn the_text_form_is_aligned_for_people() {
    let folder = tempfile::tempdir().unwrap();
    restarted(folder.path());
    let (code, out, _) = run(&[&"list", &folder.path()]);
    assert_eq!(code, 0);
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["tag", "kind", "count", "first", "step", "last", "step"]);
    assert_eq!(lines[1], ["loss", "scalar", "24", "1", "24"]);
    assert_eq!(lines[2], ["note", "text", "24", "1", "24"]);
    assert!(out.lines().all(|line| line == line.trim_end()), "no spaces at ends: {out:?}");
    let (_, out, _) = run(&[&"show", &folder.path(), &"note"]);
    assert!(out.lines().next().unwrap().ends_with("a *note*"), "{out}");
}

#[test]
fn a_file_that_ends_within_an_event_is_not_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (_, whole) = list(&fixture("scalars"));
    let file = changed(folder.path(), |bytes| bytes.truncate(bytes.len() - 3));
    let (code, listed) = list(folder.path());
    assert_eq!(code, 0);
    assert_eq!(listed["unfinished"][0]["file"], file.to_str().unwrap());
    let count = |listed: &Json| -> u64 {
        listed["tags"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum()
    };
    assert!(count(&listed) < count(&whole) && count(&listed) > 0);
    let (code, _, errors) = run(&[&"list", &folder.path()]);
    assert!(code == 0 && errors.contains("ends within an event at offset"), "{errors}");
}

#[test]
fn damage_is_reported_with_file_and_offset_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = changed(folder.path(), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
    });
    let (code, listed) = list(folder.path());
    assert_eq!(code, 1);
    let damage = listed["damage"][0].as_str().unwrap();
    assert!(damage.contains(file.to_str().unwrap()), "{damage}");
    assert!(!listed["tags"].as_array().unwrap().is_empty(), "what comes before is there");
    let (code, out, errors) = run(&[&"list", &folder.path()]);
    assert!(code == 1 && errors.contains("damaged") && out.contains("tag(s)"), "{errors}");
    let tag = listed["tags"][0]["tag"].as_str().unwrap();
    assert_eq!(run(&[&"show", &folder.path(), &tag]).0, 1);
}

#[test]
fn missing_files_are_reported() {
    let (code, _, errors) = run(&[&"list", &"no/such/folder"]);
    assert!(code == 1 && errors.contains("no/such/folder"), "{errors}");
    let (code, out, errors) = run(&[&"show", &fixture("scalars"), &"nothing"]);
    assert!(code == 1 && out.is_empty() && errors.contains("no tag 'nothing'"), "{errors}");
    let empty = tempfile::tempdir().unwrap();
    let (code, listed) = list(empty.path());
    assert!(code == 0 && listed["files"].as_array().unwrap().is_empty());
}
