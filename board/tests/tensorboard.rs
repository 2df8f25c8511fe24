//! The same folders in TensorBoard: the same tags, points and pictures.
#![allow(clippy::print_stdout)] // a skipped test says so
#![allow(clippy::unwrap_used)] // a test may

#[path = "../../tests/support/python.rs"]
mod python;
mod support;

use base64::Engine as _;
use board::Board;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use summary::{EventWriter, SessionLog, Summary, Value, event_files};

/// Returns the content that TensorBoard's reader finds in each run below a folder; `None` without a Python that has it.
fn tensorboard(arguments: &[&str], folder: &Path) -> Option<Json> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/look.py");
    let output = Command::new(python::python()?).arg(script).args(arguments).arg(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("No module named 'tensorboard'") {
        println!("SKIPPED: TensorBoard is not installed");
        return None;
    }
    assert!(output.status.success(), "{errors}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn ask(board: &Board, path: &str, query: &[(&str, &str)]) -> Json {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let answer = board.answer(&format!("{path}?{query}"));
    assert_eq!(answer.status, 200, "{path} {query}: {}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| base64::engine::general_purpose::STANDARD.encode(&answer.body).into())
}

/// Tags of a kind that a run has.
fn tags(board: &Board, kind: &str, run: &str) -> BTreeSet<String> {
    let tags = ask(board, "/api/tags", &[]);
    let of_kind = tags[kind].as_object().into_iter().flatten();
    of_kind.filter(|(_, about)| !about["runs"][run].is_null()).map(|(tag, _)| tag.clone()).collect()
}

fn keys(object: &Json) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

fn agrees(seen: &Json, folder: &Path) {
    let board = Board::open(&[folder]).unwrap();
    board.reload();
    assert!(!seen.as_object().unwrap().is_empty());
    for (run, seen) in seen.as_object().unwrap() {
        assert_eq!(tags(&board, "scalar", run), keys(&seen["scalars"]), "{run}");
        assert_eq!(tags(&board, "image", run), keys(&seen["images"]), "{run}");
        assert_eq!(tags(&board, "text", run), keys(&seen["texts"]), "{run}");
        for kind in ["histogram", "audio"] {
            let expected = seen["kinds"][kind].as_array().unwrap().iter();
            let expected: BTreeSet<String> = expected.map(|tag| tag.as_str().unwrap().to_owned()).collect();
            assert_eq!(tags(&board, kind, run), expected, "{run} {kind}");
        }
        for (tag, points) in seen["scalars"].as_object().unwrap() {
            let shown = ask(&board, "/api/scalars", &[("tag", tag), ("run", run), ("points", "100000")]);
            let curve = &shown[run];
            let steps = curve["steps"].as_array().unwrap().iter();
            let points: Vec<(i64, f64)> = points
                .as_array()
                .unwrap()
                .iter()
                .map(|point| (point[0].as_i64().unwrap(), number(&point[1])))
                .collect();
            let shown: Vec<(i64, f64)> = steps
                .zip(curve["values"].as_array().unwrap())
                .map(|(step, value)| (step.as_i64().unwrap(), number(value)))
                .collect();
            assert_eq!(format!("{shown:?}"), format!("{points:?}"), "{run} {tag}");
        }
        for (tag, pictures) in seen["images"].as_object().unwrap() {
            let about = [("tag", tag.as_str()), ("run", run), ("kind", "image"), ("count", "1000")];
            let samples = ask(&board, "/api/samples", &about);
            let mut shown = Vec::new();
            for sample in samples["samples"].as_array().unwrap() {
                let at = sample["at"].as_str().unwrap();
                for index in 0..sample["items"].as_array().unwrap().len() {
                    let index = index.to_string();
                    let about = [("tag", tag.as_str()), ("run", run), ("at", at), ("index", &*index)];
                    shown.push(ask(&board, "/api/image", &about));
                }
            }
            assert_eq!(&Json::Array(shown), pictures, "{run} {tag}");
        }
        for (tag, texts) in seen["texts"].as_object().unwrap() {
            let shown = ask(&board, "/api/text", &[("tag", tag), ("run", run), ("count", "1000")]);
            let cells =
                shown["texts"].as_array().unwrap().iter().map(|text| text["content"]["cells"][0].clone());
            assert_eq!(&Json::Array(cells.collect()), texts, "{run} {tag}");
        }
    }
}

/// A number, or one of those that JSON lacks, as either program writes them.
fn number(value: &Json) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().map_or(f64::NAN, |text| text.parse().unwrap()))
}

#[test]
fn files_of_tensorflow_and_torch_are_shown_as_in_tensorboard() {
    let folder = tempfile::tempdir().unwrap();
    let Some(seen) = tensorboard(&["write"], folder.path()) else { return };
    assert!(seen["v2"]["images"]["pictures"].as_array().unwrap().len() == 2 && !seen["v1"].is_null());
    assert_eq!(keys(&seen["torch"]["scalars"]).len(), 3, "and files as of torch");
    agrees(&seen, folder.path());
    let board = Board::open(&[folder.path()]).unwrap();
    board.reload();
    let hparams = &ask(&board, "/api/hparams", &[])["rows"][0];
    assert_eq!(hparams["run"], "torch/1600000000.5");
    assert_eq!(hparams["hparams"], json!({"lr": 0.125, "optimizer": "adam"}));
    assert_eq!(hparams["metrics"], json!({"hparam/accuracy": 0.75}));
    let node = [("run", "torch"), ("name", "Net/Conv2d[conv1]/input.1")];
    let node = ask(&board, "/api/node", &node);
    assert_eq!((&node["op"], &node["outputs"]), (&json!("aten::_convolution"), &json!([["", "[1,8]"]])));
    assert_eq!(node["inputs"].as_array().unwrap().len(), 2);
}

#[test]
fn restarted_split_and_damaged_files_are_shown_as_in_tensorboard() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(&folder.path().join("all"));
    let restarted = folder.path().join("restarted");
    for (first, last) in [(1, 20), (15, 25), (5, 8)] {
        let writer = EventWriter::open(&restarted).unwrap();
        writer.add_session_log(SessionLog::start(), first).unwrap();
        for step in first..last {
            let summary = Summary::scalar("loss", first as f32)
                .with(Value::image("picture", support::image(step as u8)));
            writer.add_summary(summary, step).unwrap();
        }
        writer.close().unwrap();
    }
    for (name, change) in [("truncated", 0), ("damaged", 1)] {
        let run = folder.path().join(name);
        support::numbers(&run, "loss", support::curve(50, 3));
        let file = event_files(&run).unwrap().remove(0);
        let mut bytes = std::fs::read(&file).unwrap();
        let length = bytes.len();
        if change == 0 {
            bytes.truncate(length - 7)
        } else {
            bytes[length / 2] ^= 0x10
        }
        std::fs::write(&file, bytes).unwrap();
    }
    let Some(seen) = tensorboard(&[], folder.path()) else { return };
    agrees(&seen, folder.path());
}

#[test]
fn values_that_contradict_their_metadata_are_shown_as_in_tensorboard() {
    let folder = tempfile::tempdir().unwrap();
    let Some(seen) = tensorboard(&["kinds"], folder.path()) else { return };
    let board = Board::open(&[folder.path()]).unwrap();
    board.reload();
    let shown_as = [
        ("scalar", "scalars"),
        ("histogram", "histograms"),
        ("image", "images"),
        ("audio", "audio"),
        ("text", "text"),
    ];
    for (tag, plugin) in seen.as_object().unwrap() {
        let kinds = shown_as.iter().filter(|(kind, _)| tags(&board, kind, "kinds").contains(tag));
        let plugins: Vec<&str> = kinds.map(|(_, plugin)| *plugin).collect();
        assert_eq!(plugins, plugin.as_str().into_iter().collect::<Vec<_>>(), "{tag}");
        let tensors = tags(&board, "tensor", "kinds").contains(tag);
        assert_eq!(tensors, plugin.is_null(), "what no other view shows is shown as a tensor: {tag}");
    }
}
