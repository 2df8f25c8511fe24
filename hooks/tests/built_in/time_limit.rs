//! TimeLimitHook.

use crate::support::{HandClock, Program};
use hooks::TimeLimitHook;
use std::time::Duration;

#[test]
fn stops_after_the_time_limit() {
    let (program, clock) = (Program::new(), HandClock::new());
    clock.advance(5000);
    let mut driver = program.start(TimeLimitHook::new(Duration::from_millis(1500)).clock(clock.clone()));
    assert!(driver.created.is_none());
    clock.advance(1499);
    driver.run().unwrap();
    assert!(driver.stop.is_none());
    clock.advance(1);
    driver.run().unwrap();
    assert_eq!(driver.stop.take().unwrap().text(), "the time limit of 1.5 s was reached");
    driver.create(&[]).unwrap(); // a recovery
    assert!(driver.created.is_some());
}
