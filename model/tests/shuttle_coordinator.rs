//! Coordinators and their threads under many random interleavings.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, unused_imports)] // the sources are those of another crate, of which this uses a part
#![allow(missing_docs, missing_debug_implementations)]

#[path = "../../queue-runner/src/coordinator.rs"]
mod coordinator;
#[path = "../../queue-runner/src/stop.rs"]
mod stop;
#[path = "../../queue-runner/src/thread.rs"]
mod thread;

mod sync {
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
    pub use shuttle::thread::{self, JoinHandle};

    pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No thread is registered here that was started elsewhere.
    pub fn is_finished<T>(_: &JoinHandle<T>) -> bool {
        false
    }

    pub fn spawn_scoped<'scope>(
        scope: &'scope thread::Scope<'scope, '_>,
        _: String,
        body: impl FnOnce() + Send + 'scope,
    ) -> std::io::Result<()> {
        drop(scope.spawn(body));
        Ok(())
    }
}

use coordinator::{Coordinator, JoinOptions};
use session_core::{Code, Error};
use shuttle::sync::{Arc, Mutex};
use stop::{StopHandle, StopReason, StopSource};
use thread::ManagedThread;

/// The number of interleavings of each program that are tried.
fn iterations() -> usize {
    std::env::var("MODEL_ITERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

fn check(program: fn()) {
    shuttle::check_random(program, iterations());
    shuttle::check_pct(program, iterations(), 3);
}

fn lost(text: &str) -> Error {
    Error::new(Code::DataLoss, text)
}

/// Threads that wait for the stop.
fn waiters(coordinator: &Coordinator, count: usize) {
    for index in 0..count {
        coordinator
            .spawn(format!("waiter {index}"), |coordinator| {
                coordinator.wait_for_stop(None);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn a_stop_races_a_join() {
    check(|| {
        let coordinator = Coordinator::new();
        waiters(&coordinator, 3);
        let other = coordinator.clone();
        let stopper = shuttle::thread::spawn(move || other.request_stop());
        coordinator.join(&[]).unwrap();
        stopper.join().unwrap();
        assert!(coordinator.is_joined() && coordinator.should_stop());
    });
}

#[test]
fn a_join_races_threads_that_end_by_themselves() {
    check(|| {
        let coordinator = Coordinator::new();
        let count = Arc::new(Mutex::new(0));
        let threads: Vec<ManagedThread> = (0..3)
            .map(|index| {
                let count = count.clone();
                let body = move |_: &Coordinator| {
                    *count.lock().unwrap() += 1;
                    Ok(())
                };
                coordinator.spawn(format!("short {index}"), body).unwrap()
            })
            .collect();
        coordinator.join(&threads).unwrap();
        assert_eq!(*count.lock().unwrap(), 3);
        assert!(!coordinator.should_stop());
    });
}

#[test]
fn an_error_races_a_stop() {
    check(|| {
        let coordinator = Coordinator::new();
        waiters(&coordinator, 2);
        for name in ["first", "second"] {
            coordinator.spawn(name, move |_| Err(lost(name))).unwrap();
        }
        let other = coordinator.clone();
        let stopper = shuttle::thread::spawn(move || other.request_stop());
        let joined = coordinator.join(&[]);
        stopper.join().unwrap();
        // Exactly one was first: the plain stop, or one error, which join returns; the others are listed.
        let late = coordinator.late_errors().len();
        match joined {
            Ok(()) => assert_eq!(late, 2),
            Err(error) => {
                assert!(["first", "second"].contains(&error.message()));
                assert_eq!(late, 1);
                assert_eq!(coordinator.stop_reason().unwrap().source(), &StopSource::Failure);
            }
        }
    });
}

#[test]
fn a_panic_races_a_stop() {
    check(|| {
        let coordinator = Coordinator::new();
        waiters(&coordinator, 2);
        let thread = ManagedThread::new("failing", || Err(lost("gone")));
        coordinator.register(&thread);
        let starter = {
            let thread = thread.clone();
            shuttle::thread::spawn(move || thread.start().unwrap())
        };
        assert_eq!(coordinator.join(&[]).unwrap_err().message(), "gone");
        starter.join().unwrap();
        assert!(thread.join().is_err());
    });
}

#[test]
fn a_token_is_cancelled_by_any_stop_request() {
    check(|| {
        let coordinator = Coordinator::new();
        let stoppers: Vec<_> = (0..3)
            .map(|_| {
                let coordinator = coordinator.clone();
                shuttle::thread::spawn(move || {
                    coordinator.request_stop();
                })
            })
            .collect();
        let token = coordinator.stop_token();
        stoppers.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(token.is_cancelled());
    });
}

#[test]
fn scoped_threads_have_ended_afterwards() {
    check(|| {
        let coordinator = Coordinator::new();
        let count = Mutex::new(0);
        let outcome = coordinator.scope(|scope| {
            for name in ["a", "b"] {
                let count = &count;
                scope.spawn(name, move |coordinator| {
                    coordinator.wait_for_stop(None);
                    *count.lock().unwrap() += 1;
                    Ok(())
                })?;
            }
            scope.spawn("failing", |_| Err(lost("gone")))?;
            Ok(())
        });
        assert_eq!(outcome.unwrap_err().message(), "gone");
        assert_eq!(*count.lock().unwrap(), 2);
    });
}
