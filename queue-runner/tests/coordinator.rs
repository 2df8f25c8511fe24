//! The rules of the coordinator, S-187 to S-202.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // helpers of tests

use queue_runner::{Coordinator, JoinOptions, ManagedThread, StopSource, report_activity};
use session_core::{Code, Error, ErrorKind};
use std::sync::mpsc;
use std::time::Duration;

fn lost() -> Error {
    Error::new(Code::DataLoss, "lost")
}

fn ended() -> Error {
    Error::new(Code::OutOfRange, "ended")
}

/// Never waits for a thread that does not end.
fn no_grace() -> JoinOptions {
    JoinOptions::default().stop_grace_period(Duration::ZERO)
}

/// A thread that ends when the sender is dropped or used.
fn held(name: &str) -> (ManagedThread, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel();
    let thread = ManagedThread::new(name, move || {
        let _either_way = held.recv();
        Ok(())
    });
    thread.start().unwrap();
    (thread, release)
}

#[test]
fn s_187_clean_stop_types_are_a_list_that_replaces_the_default() {
    let by_default = Coordinator::new();
    by_default.report_error(ended()).unwrap();
    by_default.join(&[]).unwrap();

    let nothing_is_clean = Coordinator::with_clean_stop(&[]);
    nothing_is_clean.report_error(ended()).unwrap();
    assert_eq!(nothing_is_clean.join(&[]).unwrap_err().code(), Code::OutOfRange);

    let replaced = Coordinator::with_clean_stop(&[Code::Cancelled]);
    replaced.report_error(ended()).unwrap();
    assert!(replaced.join(&[]).is_err());

    // StopIteration has the code of OutOfRange but is not of its type.
    let other_kind = Coordinator::new();
    other_kind.report_error(Error::stop_iteration("enough")).unwrap();
    assert_eq!(other_kind.join(&[]).unwrap_err().kind(), ErrorKind::StopIteration);
}

#[test]
fn s_189_the_first_request_wins() {
    let coordinator = Coordinator::new();
    assert!(!coordinator.should_stop());
    coordinator.report_error(lost()).unwrap();
    coordinator.report_error(Error::new(Code::Internal, "second")).unwrap();
    assert!(coordinator.should_stop() && coordinator.has_error());
    assert_eq!(coordinator.join(&[]).unwrap_err().code(), Code::DataLoss);
}

#[test]
fn s_189_q_51_an_error_after_a_plain_stop_is_not_kept_but_not_lost() {
    let coordinator = Coordinator::new();
    coordinator.request_stop();
    coordinator.report_error(lost()).unwrap();
    assert!(!coordinator.has_error());
    coordinator.join(&[]).unwrap();
    assert_eq!(coordinator.late_errors().len(), 1);
    assert_eq!(coordinator.late_errors()[0].code(), Code::DataLoss);
}

#[test]
fn s_190_a_clean_error_stops_without_being_kept() {
    let coordinator = Coordinator::new();
    coordinator.report_error(ended()).unwrap();
    assert!(coordinator.should_stop());
    assert!(coordinator.error().is_none());
    assert_eq!(coordinator.stop_reason().unwrap().source(), &StopSource::EndOfInput);
}

#[test]
fn s_191_after_join_an_error_goes_to_its_reporter() {
    let coordinator = Coordinator::new();
    coordinator.request_stop();
    coordinator.join(&[]).unwrap();
    assert_eq!(coordinator.report_error(lost()).unwrap_err().code(), Code::DataLoss);
    coordinator.report_error(ended()).unwrap();
    coordinator.request_stop();
}

#[test]
fn s_193_q_52_an_error_need_not_be_in_flight_when_it_is_reported() {
    let kept = lost();
    let coordinator = Coordinator::new();
    coordinator.report_error(kept).unwrap();
    assert!(coordinator.should_stop());
}

#[test]
fn s_194_a_stop_ends_waits_and_its_error_is_raised_again() {
    let coordinator = Coordinator::new();
    assert!(!coordinator.wait_for_stop(Some(Duration::ZERO)));
    coordinator.raise_requested_exception().unwrap();
    coordinator.report_error(lost()).unwrap();
    assert!(coordinator.wait_for_stop(None));
    for _ in 0..2 {
        assert_eq!(coordinator.raise_requested_exception().unwrap_err().code(), Code::DataLoss);
    }
}

#[test]
fn s_194_a_stop_wakes_waiting_threads() {
    let coordinator = Coordinator::new();
    let waiter = {
        let coordinator = coordinator.clone();
        std::thread::spawn(move || coordinator.wait_for_stop(None))
    };
    coordinator.request_stop_because("enough");
    assert!(waiter.join().unwrap());
    assert_eq!(coordinator.stop_reason().unwrap().text(), "enough");
}

#[test]
fn s_195_clear_stop_forgets_all_but_the_threads() {
    let coordinator = Coordinator::new();
    coordinator.report_error(lost()).unwrap();
    assert!(coordinator.join(&[]).is_err());
    assert!(coordinator.is_joined());
    let (thread, release) = held("kept");
    coordinator.register(&thread);
    coordinator.clear_stop();
    assert!(!coordinator.should_stop() && !coordinator.has_error() && !coordinator.is_joined());
    assert_eq!(coordinator.registered().len(), 1);
    drop(release);
    coordinator.join(&[]).unwrap();
}

#[test]
fn s_196_stop_on_exception_reports_and_swallows() {
    let coordinator = Coordinator::new();
    assert_eq!(coordinator.stop_on_exception(|| Ok(3)), Some(3));
    assert!(!coordinator.should_stop());
    assert_eq!(coordinator.stop_on_exception(|| Err::<(), _>(lost())), None);
    assert_eq!(coordinator.error().unwrap().code(), Code::DataLoss);

    let panicking = Coordinator::new();
    assert_eq!(panicking.stop_on_exception(|| -> session_core::Result<()> { panic!("oh") }), None);
    let error = panicking.error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert!(error.message().ends_with("panicked: oh"), "{error}");
}

#[test]
fn s_196_a_guard_reports_only_panics() {
    let coordinator = Coordinator::new();
    drop(coordinator.stop_on_panic());
    assert!(!coordinator.should_stop());
    let guarded = coordinator.clone();
    let thread = std::thread::spawn(move || {
        let _guard = guarded.stop_on_panic();
        panic!("oh");
    });
    assert!(thread.join().is_err());
    assert_eq!(coordinator.error().unwrap().kind(), ErrorKind::Panic);
}

#[test]
fn s_197_join_waits_for_given_and_registered_threads_and_forgets_them() {
    let coordinator = Coordinator::new();
    let (registered, release_registered) = held("registered");
    let (given, release_given) = held("given");
    coordinator.register(&registered);
    drop((release_registered, release_given));
    coordinator.join(&[given.clone(), registered.clone()]).unwrap();
    assert!(!given.is_alive() && !registered.is_alive());
    assert!(coordinator.registered().is_empty());
}

#[test]
fn s_198_stragglers_are_an_error_that_names_them() {
    let coordinator = Coordinator::new();
    let (one, release_one) = held("one");
    let (two, release_two) = held("two");
    coordinator.register(&one);
    coordinator.register(&two);
    coordinator.request_stop();
    let error = coordinator.join_with(&[], &no_grace()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert_eq!(error.message(), "Coordinator stopped with threads still running: one two");
    assert!(coordinator.is_joined());
    drop((release_one, release_two));
}

#[test]
fn s_198_stragglers_can_be_ignored() {
    let coordinator = Coordinator::new();
    let (thread, release) = held("late");
    coordinator.register(&thread);
    coordinator.request_stop();
    coordinator.join_with(&[], &no_grace().ignore_live_threads(true)).unwrap();
    drop(release);
}

#[test]
fn s_199_the_kept_error_comes_before_stragglers_and_each_time() {
    let coordinator = Coordinator::new();
    let (thread, release) = held("late");
    coordinator.register(&thread);
    coordinator.report_error(lost()).unwrap();
    for _ in 0..2 {
        assert_eq!(coordinator.join_with(&[], &no_grace()).unwrap_err().code(), Code::DataLoss);
    }
    drop(release);
}

#[test]
fn s_200_threads_that_end_normally_do_not_request_a_stop() {
    let coordinator = Coordinator::new();
    coordinator.spawn("short", |_| Ok(())).unwrap();
    coordinator.join(&[]).unwrap();
    assert!(!coordinator.should_stop());
}

#[test]
fn s_201_no_grace_period_checks_once() {
    let coordinator = Coordinator::new();
    let (thread, release) = held("late");
    coordinator.request_stop();
    assert!(coordinator.join_with(std::slice::from_ref(&thread), &no_grace()).is_err());
    drop(release);
    thread.join().unwrap();
    coordinator.join_with(&[thread], &no_grace()).unwrap();
}

#[test]
fn s_202_a_thread_registered_after_join_began_is_not_waited_for() {
    let coordinator = Coordinator::new();
    let (late, release) = held("late");
    let registering = late.clone();
    coordinator
        .spawn("registering", move |coordinator| {
            // By now the join may or may not have taken its list; after the request it must have.
            coordinator.request_stop();
            while !coordinator.registered().is_empty() {
                std::thread::yield_now();
            }
            coordinator.register(&registering);
            Ok(())
        })
        .unwrap();
    coordinator.join(&[]).unwrap();
    assert!(late.is_alive());
    drop(release);
}

#[test]
fn q_53_the_wait_for_a_stop_can_be_limited() {
    let coordinator = Coordinator::new();
    coordinator
        .spawn("until stopped", |coordinator| {
            coordinator.wait_for_stop(None);
            Ok(())
        })
        .unwrap();
    coordinator.join_with(&[], &JoinOptions::default().limit(Duration::ZERO)).unwrap();
    assert_eq!(coordinator.stop_reason().unwrap().text(), "the time limit of join was reached");
}

#[test]
fn a_panic_in_a_thread_is_the_error_of_the_coordinator() {
    let coordinator = Coordinator::new();
    coordinator
        .spawn("waiting", |coordinator| {
            coordinator.wait_for_stop(None);
            Ok(())
        })
        .unwrap();
    coordinator.spawn("panicking", |_| panic!("the roof is on fire")).unwrap();
    let error = coordinator.join(&[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert_eq!(error.message(), "thread 'panicking' panicked: the roof is on fire");
}

#[test]
fn a_panic_in_an_unregistered_thread_is_reported_by_join() {
    let coordinator = Coordinator::new();
    let thread = ManagedThread::new("given", || panic!("oh"));
    thread.start().unwrap();
    assert_eq!(coordinator.join(&[thread]).unwrap_err().kind(), ErrorKind::Panic);
}

#[test]
fn threads_of_the_standard_library_can_be_registered() {
    let coordinator = Coordinator::new();
    coordinator.register_handle(std::thread::spawn(|| {}));
    coordinator.join(&[]).unwrap();

    let panicking = std::thread::Builder::new().name("foreign".into()).spawn(|| panic!("oh")).unwrap();
    coordinator.clear_stop();
    coordinator.register_handle(panicking);
    assert_eq!(coordinator.join(&[]).unwrap_err().message(), "thread 'foreign' panicked: oh");
}

#[test]
fn a_thread_may_join_the_others() {
    let coordinator = Coordinator::new();
    let (answer, answered) = mpsc::channel();
    coordinator
        .spawn("joining", move |coordinator| {
            answer.send(coordinator.join(&[]).is_ok()).unwrap();
            Ok(())
        })
        .unwrap();
    assert!(answered.recv().unwrap());
}

#[test]
fn a_thread_is_started_once_and_returns_its_outcome_each_time() {
    let thread = ManagedThread::new("failing", || Err(Error::new(Code::DataLoss, "lost")));
    assert!(thread.join_timeout(Duration::ZERO), "a thread that was not started counts as ended");
    thread.start().unwrap();
    assert_eq!(thread.start().unwrap_err().message(), "thread 'failing' was started before");
    assert_eq!(thread.join().unwrap_err().code(), Code::DataLoss);
    assert_eq!(thread.join().unwrap_err().code(), Code::DataLoss);
}

#[test]
fn handles_can_be_sent_between_threads() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    shared::<Coordinator>();
    shared::<ManagedThread>();
    shared::<queue_runner::StopHandle>();
    shared::<queue_runner::QueueRunner>();
}

#[test]
fn s_188_a_coordinator_states_stop_error_and_join() {
    let coordinator = Coordinator::new();
    let (thread, release) = held("worker");
    coordinator.register(&thread);
    let look = || (coordinator.should_stop(), coordinator.has_error(), coordinator.is_joined());
    assert_eq!((look(), coordinator.registered().len()), ((false, false, false), 1));
    coordinator.report_error(lost()).unwrap();
    release.send(()).unwrap();
    assert!(coordinator.join(&[]).is_err());
    assert_eq!((look(), coordinator.registered().len()), ((true, true, true), 0));
}

#[test]
fn s_198_stragglers_report_their_activity() {
    let coordinator = Coordinator::new();
    let (release, held_back) = mpsc::channel::<()>();
    let (ready, is_ready) = mpsc::channel();
    let reader = coordinator
        .spawn("reader", move |_| {
            let _outer = report_activity("reading");
            let inner = report_activity("waiting for the disk");
            ready.send(()).unwrap();
            let _either_way = held_back.recv();
            drop(inner);
            ready.send(()).unwrap();
            let _either_way = held_back.recv();
            Ok(())
        })
        .unwrap();
    let (silent, release_silent) = held("silent");
    coordinator.register(&silent);
    is_ready.recv().unwrap();
    coordinator.request_stop();
    let error = coordinator.join_with(&[], &no_grace()).unwrap_err();
    let text = "Coordinator stopped with threads still running: reader silent (reader: waiting for the disk)";
    assert_eq!(error.message(), text);
    release.send(()).unwrap();
    is_ready.recv().unwrap();
    assert_eq!(reader.activity().as_deref(), Some("reading"));
    drop((release, release_silent));
    reader.join().unwrap();
    assert!(reader.activity().is_none() && silent.activity().is_none());
}

#[test]
fn scoped_threads_borrow_and_have_ended_afterwards() {
    let coordinator = Coordinator::new();
    let mut words = vec!["a".to_owned(), "b".to_owned()];
    let threads = coordinator
        .scope(|scope| {
            let mut threads = Vec::new();
            for word in &mut words {
                threads.push(scope.spawn("writer", move |_| {
                    word.push('!');
                    Ok(())
                })?);
            }
            Ok(threads)
        })
        .unwrap();
    assert_eq!(words, ["a!", "b!"]);
    assert!(threads.iter().all(|thread| !thread.is_alive()));
    assert!(!coordinator.should_stop(), "S-200");
}

#[test]
fn an_error_in_a_scoped_thread_stops_the_others_and_is_returned() {
    let coordinator = Coordinator::new();
    let error = coordinator
        .scope(|scope| {
            scope.spawn("waiting", |coordinator| {
                coordinator.wait_for_stop(None);
                Ok(())
            })?;
            scope.spawn("failing", |_| panic!("oh"))?;
            Ok(())
        })
        .unwrap_err();
    assert!(error.message().contains("thread 'failing' panicked: oh"), "{error}");
}

#[test]
fn an_error_or_panic_of_the_scopes_block_stops_its_threads() {
    for panics in [false, true] {
        let coordinator = Coordinator::new();
        let error = coordinator
            .scope(|scope| -> session_core::Result<()> {
                scope.spawn("waiting", |coordinator| {
                    coordinator.wait_for_stop(None);
                    Ok(())
                })?;
                if panics { panic!("oh") } else { Err(lost()) }
            })
            .unwrap_err();
        let expected = if panics { "panicked: oh" } else { "lost" };
        assert!(error.message().ends_with(expected), "{error}");
        assert!(coordinator.should_stop());
    }
}
