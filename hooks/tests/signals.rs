//! SignalHook. The tests send signals to their process, so they have a binary of their own; a child plays the processes that
//! a signal ends.
#![allow(clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read
#![cfg(all(unix, feature = "signals"))]
#![allow(clippy::unwrap_used)] // a test may

use hooks::{SessionRunHook, SignalHook};
use queue_runner::StopHandle;
use session_core::Graph;
use signal_hook::consts::{SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::low_level::raise;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

/// The environment variable that selects the role of a child process.
const ROLE: &str = "SIGNAL_TEST_ROLE";

fn attached(hook: SignalHook) -> (SignalHook, StopHandle) {
    let (mut hook, stop) = (hook, StopHandle::new());
    hook.attach(&stop);
    hook.begin(&Graph::new()).unwrap();
    (hook, stop)
}

/// Waits until another thread has acted.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

fn child(role: &str) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "roles_of_children", "--ignored", "--nocapture"]).env(ROLE, role);
    command.output().unwrap().status
}

#[test]
fn the_first_signal_requests_a_stop() {
    let (said, says) = mpsc::channel();
    let hook = SignalHook::new().signals([SIGUSR1]).patience(Duration::MAX);
    let (hook, stop) = attached(hook.message(move |line| said.send(line.to_owned()).unwrap()));
    let receipt = hook.receipt();
    assert_eq!((receipt.signal(), receipt.exit_code()), (None, None));
    raise(SIGUSR1).unwrap();
    until(|| stop.is_stop_requested());
    assert_eq!(stop.reason().unwrap().text(), "SIGUSR1 was received");
    let text = says.recv().unwrap();
    assert!(text.starts_with("SIGUSR1 was received: stopping after this step"), "{text}");
    drop(hook);
    assert!(!stop.is_interrupted(), "it has patience");
    assert_eq!((receipt.signal(), receipt.exit_code()), (Some(SIGUSR1), Some(128 + SIGUSR1)));
}

#[test]
fn a_blocked_step_is_cancelled_after_the_patience() {
    let hook = SignalHook::new().signals([SIGUSR2]).patience(Duration::ZERO).message(|_| {});
    let (_hook, stop) = attached(hook);
    raise(SIGUSR2).unwrap();
    until(|| stop.is_interrupted());
    assert!(stop.cancellation().is_cancelled());
}

#[test]
fn signals_that_cannot_be_handled_are_errors() {
    let mut hook = SignalHook::new().signals([SIGTERM, SIGKILL]);
    hook.attach(&StopHandle::new());
    let error = hook.begin(&Graph::new()).unwrap_err();
    assert_eq!(error.message(), format!("signal {SIGKILL} cannot be handled"));
    hook.begin(&Graph::new()).unwrap();
}

#[test]
fn the_second_signal_ends_the_process_at_once() {
    assert_eq!(child("second").code(), Some(128 + SIGTERM));
}

#[test]
fn dropping_the_hook_restores_the_default_handling() {
    assert_eq!(child("dropped").signal(), Some(SIGTERM));
    assert_eq!(child("one of two").code(), Some(0));
}

#[test]
#[ignore = "played by children of the other tests"]
fn roles_of_children() {
    let hook = || SignalHook::new().patience(Duration::MAX).message(|_| {});
    match std::env::var(ROLE).as_deref() {
        Ok("second") => {
            let (_hook, stop) = attached(hook());
            raise(SIGTERM).unwrap();
            until(|| stop.is_stop_requested());
            raise(SIGTERM).unwrap();
            unreachable!("the process has ended");
        }
        Ok("dropped") => {
            drop(attached(hook()));
            drop(attached(hook())); // and again
            raise(SIGTERM).unwrap();
            unreachable!("the process has ended");
        }
        Ok("one of two") => {
            let (first, _) = attached(hook());
            let (second, stop) = attached(hook());
            drop(first);
            raise(SIGTERM).unwrap();
            until(|| stop.is_stop_requested());
            drop(second);
        }
        _ => {}
    }
}
