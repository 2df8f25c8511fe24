//! `monitored server`.
#![cfg(feature = "tensorflow")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

#[path = "../../tests/support/skipped.rs"]
mod skipped;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

fn monitored(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
    command.arg("server").args(arguments);
    command
}

#[test]
fn invalid_clusters_are_reported() {
    let output = monitored(&["--cluster", "ps=nowhere", "--job", "ps"]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("'ps=nowhere' is not a task of a cluster"), "{text}");

    let missing = ["--cluster", "ps=localhost:1", "--job", "ps", "--library", "/no/such/library.so"];
    let output = monitored(&missing).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("/no/such/library.so"), "{text}");
}

#[test]
fn a_task_is_served_until_the_process_is_ended() {
    if let Err(error) = monitored_session::tensorflow_engine::Library::find() {
        skipped::skipped(error);
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cluster = format!("worker=127.0.0.1:{port}");
    let mut command = monitored(&["--cluster", &cluster, "--job", "worker"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut note = String::new();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    while !note.contains("monitored: note") {
        note.clear();
        assert!(errors.read_line(&mut note).unwrap() > 0, "the note was not printed");
    }
    assert!(note.contains("all network interfaces, not on 127.0.0.1 alone"), "{note}");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), format!("grpc://127.0.0.1:{port}"));
    assert!(child.try_wait().unwrap().is_none(), "it continues to serve");
    let other = monitored(&["--cluster", &cluster, "--job", "ps"]).output().unwrap();
    let text = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && text.contains("no task 0 of job 'ps'"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}
