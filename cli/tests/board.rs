//! `monitored board --html`, `monitored watch`, `monitored events plot` and `monitored graph show --svg`.
#![cfg(feature = "board")]
#![allow(clippy::unwrap_used)] // a test may

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use summary::{EventWriter, SessionLog, Summary};
use support::{fixture, run_in};

/// A run whose loss falls from 1 to 0.1, with the end of its story.
fn write_run(folder: &Path) {
    let writer = EventWriter::open(folder).unwrap();
    for step in 1..=10 {
        writer.add_summary(Summary::scalar("loss", 1.1 - step as f32 / 10.0), step).unwrap();
    }
    let ended = r#"{"story":"ended","source":"end of input","reason":""}"#;
    writer.add_session_log(SessionLog::checkpoint("model.ckpt-10"), 10).unwrap();
    writer.add_session_log(SessionLog { message: ended.to_owned(), ..SessionLog::default() }, 10).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_page_is_written_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    write_run(&folder.path().join("runs/a"));
    let answer = run_in(folder.path(), &[&"board", &"runs", &"--html", &"page.html"]);
    assert!(answer.code == 0 && answer.out.starts_with("page.html: "), "{answer:?}");
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(
        page.starts_with("<!doctype html>") && page.contains(r#""values":[1.0,0.9"#),
        "the data are in it"
    );
    assert!(page.len() < 1_000_000);
    let answer = run_in(folder.path(), &[&"board", &"nowhere", &"--html", &"x.html"]);
    assert!(answer.code == 1 && answer.errors.contains("nowhere"), "{answer:?}");
    let answer = run_in(folder.path(), &[&"board", &"runs", &"--html", &"no/such/folder/page.html"]);
    assert!(answer.code == 1 && answer.errors.contains("no/such/folder/page.html"), "{answer:?}");
}

#[test]
fn plots_are_drawn_as_text_svg_and_png() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path());
    let answer =
        run_in(folder.path(), &[&"events", &"plot", &".", &"loss", &"--width", &"50", &"--height", &"12"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let lines: Vec<&str> = answer.out.lines().collect();
    assert!(lines.len() == 12 && lines.iter().all(|line| line.chars().count() <= 50), "{}", answer.out);
    assert!(answer.out.contains("loss 0.1") && !answer.out.contains('\u{1b}'), "no colors in a pipe");
    let answer =
        run_in(folder.path(), &[&"events", &"plot", &".", &"loss", &"--svg", &"a.svg", &"--png", &"a.png"]);
    assert!(answer.code == 0 && answer.out.is_empty(), "{answer:?}");
    assert!(std::fs::read_to_string(folder.path().join("a.svg")).unwrap().contains("<polyline"));
    assert!(std::fs::read(folder.path().join("a.png")).unwrap().starts_with(b"\x89PNG"));
    let answer = run_in(folder.path(), &[&"events", &"plot", &".", &"lost"]);
    assert!(
        answer.code == 1 && answer.errors.contains("'lost'") && answer.errors.contains("loss"),
        "{answer:?}"
    );
}

#[test]
fn watching_without_a_terminal_prints_a_line_for_each_change() {
    let folder = tempfile::tempdir().unwrap();
    write_run(&folder.path().join("a"));
    let answer = run_in(folder.path(), &[&"watch", &".", &"--updates", &"3", &"--every", &"0.05"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let lines: Vec<&str> = answer.out.lines().collect();
    assert_eq!(lines.len(), 1, "nothing changed: {}", answer.out);
    for part in ["a  step 10", "loss 0.10000", "checkpoint 10 (", "ended: end of input"] {
        assert!(lines[0].contains(part), "{part} is not in {}", lines[0]);
    }
    let empty = tempfile::tempdir().unwrap();
    let answer = run_in(empty.path(), &[&"watch", &".", &"--updates", &"2", &"--every", &"0.05"]);
    assert_eq!(answer.out, "no events yet in .\n");
}

#[test]
fn watching_ends_with_the_reader_of_its_pipe() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path());
    // The next update is due in an hour, and nothing changes: only the end of the reader can end the wait.
    let mut watch = Command::new(env!("CARGO_BIN_EXE_monitored"))
        .args(["watch", ".", "--every", "3600"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(watch.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.contains("step 10"), "{line}");
    drop(reader);
    assert!(watch.wait().unwrap().success());
}

#[test]
fn graphs_are_drawn_as_svg() {
    let folder = tempfile::tempdir().unwrap();
    let file = fixture("mlp_ref/model.meta");
    let answer = run_in(folder.path(), &[&"graph", &"show", &file, &"--svg", &"graph.svg"]);
    assert!(answer.code == 0 && answer.out.is_empty(), "{answer:?}");
    let svg = std::fs::read_to_string(folder.path().join("graph.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("class=\"scope\"") && svg.contains("<path"), "{svg}");
    let answer =
        run_in(folder.path(), &[&"graph", &"show", &file, &"--svg", &"x.svg", &"--scope", &"nowhere"]);
    assert!(answer.code == 1 && answer.errors.contains("no scope 'nowhere'"), "{answer:?}");
}
