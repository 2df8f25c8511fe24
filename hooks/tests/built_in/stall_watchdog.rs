//! StallWatchdogHook.

use crate::support::Program;
use hooks::{SessionRunHook, StallWatchdogHook};
use queue_runner::StopHandle;
use session_core::Error;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn a_stall_is_reported_and_interrupted() {
    let program = Program::new();
    let (said, says) = mpsc::channel();
    let hook = StallWatchdogHook::new(Duration::from_millis(8)).interrupt(true);
    let mut driver = program.start(hook.message(move |text| said.send(text.to_owned()).unwrap()));
    assert_eq!(says.recv().unwrap(), "no run has begun or ended for 0.008 s");
    driver.hooks[0].on_error(&Error::value("interrupted"));
    let stop = StopHandle::new();
    driver.hooks[0].attach(&stop);
    driver.create(&[]).unwrap(); // a recovery starts the watch again
    while !stop.is_interrupted() {
        std::thread::yield_now();
    }
    says.recv().unwrap();
    driver.end().unwrap();
}

#[test]
fn a_limit_of_zero_is_refused() {
    let error = StallWatchdogHook::new(Duration::ZERO).begin(&Program::new().graph).unwrap_err();
    assert_eq!(error.code(), session_core::Code::InvalidArgument);
    assert!(error.message().contains("is zero"), "{error}");
    StallWatchdogHook::new(Duration::from_nanos(1)).begin(&Program::new().graph).unwrap();
}

#[test]
fn the_thread_ends_with_the_session_or_the_hook() {
    let program = Program::new();
    let hook = || StallWatchdogHook::new(Duration::from_secs(3600));
    let mut driver = program.start(hook());
    driver.runs(3);
    driver.end().unwrap();
    drop(program.start(hook()));
    let mut unused = hook();
    unused.end(&program.session).unwrap();
}
