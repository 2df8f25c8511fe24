//! GlobalStepWaiterHook.

use crate::support::{Program, logged};
use hooks::{Clock, GlobalStepWaiterHook};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// During a sleep, other workers advance the step.
struct Others {
    world: Arc<Mutex<crate::support::World>>,
    advance: i64,
    naps: Mutex<Vec<Duration>>,
}

impl Others {
    fn of(program: &Program, advance: i64) -> Arc<Others> {
        Arc::new(Others { world: program.world.clone(), advance, naps: Mutex::default() })
    }
}

impl Clock for Others {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, time: Duration) {
        self.naps.lock().unwrap().push(time);
        self.world.lock().unwrap().step += self.advance;
    }
}

#[test]
fn s_361_polls_each_half_second_before_the_first_run_and_never_again() {
    let program = Program::new();
    let others = Others::of(&program, 40);
    let mut driver = program.start(GlobalStepWaiterHook::new(100).clock(others.clone()));
    logged();
    driver.run().unwrap();
    assert_eq!(*others.naps.lock().unwrap(), [Duration::from_millis(500); 3]);
    let expected = [
        "INFO Waiting for global step 100 before starting training.",
        "INFO Done waiting for global step 100.",
    ];
    assert_eq!(logged(), expected);
    program.set_step(0);
    driver.create(&[]).unwrap(); // a recovery
    driver.run().unwrap();
    assert_eq!(others.naps.lock().unwrap().len(), 3);
}

#[test]
fn s_361_reports_again_after_a_large_advance() {
    let program = Program::new();
    let others = Others::of(&program, 600);
    logged();
    program.start(GlobalStepWaiterHook::new(3000).clock(others)).run().unwrap();
    let waiting = logged().iter().filter(|line| line.contains("Waiting")).count();
    assert_eq!(waiting, 3, "at 0, 1200 and 2400");
}

#[test]
fn s_361_nothing_to_wait_for() {
    for until in [0, -1] {
        let program = Program::new();
        let others = Others::of(&program, 0);
        program.start(GlobalStepWaiterHook::new(until).clock(others.clone())).run().unwrap();
        assert!(others.naps.lock().unwrap().is_empty());
    }
}

#[test]
fn a_stop_request_ends_the_wait() {
    struct Stopping(queue_runner::StopHandle);
    impl Clock for Stopping {
        fn now(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, _: Duration) {
            self.0.request_stop("enough");
        }
    }
    let program = Program::new();
    let stop = queue_runner::StopHandle::new();
    let hook = GlobalStepWaiterHook::new(10).clock(Arc::new(Stopping(stop.clone())));
    let mut driver = program.start(hook);
    driver.hooks[0].attach(&stop);
    driver.run().unwrap();
}
