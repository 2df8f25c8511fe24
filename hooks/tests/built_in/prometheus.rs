//! PrometheusHook.

use crate::support::{HandClock, Program};
use hooks::{PrometheusHook, SessionRunHook as _};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_file_that_is_replaced_when_due_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("train.prom");
    let (program, clock) = (Program::new(), HandClock::new());
    program.set(&program.loss, 0.25f32);
    let hook = PrometheusHook::file(&path).tensor("a \"loss\"", "loss").every(Duration::from_secs(10));
    let mut driver = program.start(hook.clock(clock.clone()));
    driver.run().unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        ["monitored_session_global_step 1", "monitored_session_tensor{tag=\"a \\\"loss\\\"\"} 0.25"]
    );
    assert!(page.contains("# TYPE monitored_session_global_step gauge\n"));
    clock.advance(9_999);
    program.set(&program.loss, f32::NAN);
    driver.run().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page, "not due");
    clock.advance(1);
    driver.run().unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.contains("monitored_session_steps_per_second 0.2\n") && page.contains("} NaN\n"), "{page}");
    driver.run().unwrap();
    driver.end().unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("global_step 4\n"));
    assert_eq!(program.fetched(&program.loss), 2, "fetched only when due");
    let mut bad = PrometheusHook::file(directory.path().join("no/folder/x"));
    let error = bad.begin(&program.graph).unwrap_err().to_string();
    assert!(error.contains("cannot find") && error.contains("no/folder"), "{error}");
}

fn get(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_endpoint_answers_while_the_hook_exists() {
    let program = Program::new().at(41);
    program.set(&program.loss, f32::INFINITY);
    let hook = PrometheusHook::listen("127.0.0.1:0").unwrap().tensor("loss", &program.loss);
    let address = hook.address().unwrap();
    let mut driver = program.start(hook);
    assert!(get(address, "GET /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"), "nothing yet");
    driver.run().unwrap();
    let answer = get(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", page.len())), "{answer}");
    assert!(page.contains("global_step 42\n") && page.contains("{tag=\"loss\"} +Inf\n"), "{page}");
    assert!(get(address, "POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    drop(driver);
    assert!(TcpStream::connect(address).is_err(), "it went with its hook");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = PrometheusHook::listen(taken.local_addr().unwrap()).unwrap_err();
    assert!(error.message().contains("could not listen"), "{error}");
}

#[test]
fn a_request_of_any_usual_length_is_answered() {
    let program = Program::new();
    let hook = PrometheusHook::listen("127.0.0.1:0").unwrap();
    let address = hook.address().unwrap();
    let mut driver = program.start(hook);
    driver.run().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    for _ in 0..20 {
        client.write_all(format!("Cookie: {}\r\n", "x".repeat(1000)).as_bytes()).unwrap();
    }
    client.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("global_step"), "{answer}");
}

#[test]
fn a_dry_run_writes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new();
    let mut hook = PrometheusHook::file(directory.path().join("x.prom"));
    hook.dry_run();
    program.start(hook).run().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
