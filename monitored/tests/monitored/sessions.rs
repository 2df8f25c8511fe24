//! Monitored sessions (S-137 to S-176); the order of calls is in `traces`.

use crate::support::{Counting, counting};
use ::hooks::{CheckpointSaverHook, ClosureHook, StopAtStepHook};
use monitored::{MonitoredSession, RecoveryPolicy, SingularMonitoredSession};
use ops::variables::{VariableExt as _, local_variable, variable};
use queue_runner::{Coordinator, StopSource};
use scaffold::{ChiefSessionCreator, CreatedSession, Scaffold, SessionCreator, Waiter};
use session_core::{
    CancellationToken, Code, Engine, Error, ErrorKind, Graph, Result, RunMetadata, RunOptions,
    SessionExt as _, Tensor,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time that passes only when a thread waits.
#[derive(Debug, Default)]
struct Hand(Mutex<Vec<Duration>>);

impl Waiter for Hand {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().iter().sum()
    }
    fn wait(&self, time: Duration, cancellation: &CancellationToken) -> Result<()> {
        cancellation.check()?;
        self.0.lock().unwrap().push(time);
        Ok(())
    }
}

fn lost() -> Error {
    Error::new(Code::Unavailable, "the peer is gone")
}

fn data_loss() -> Error {
    Error::new(Code::DataLoss, "a record is torn")
}

/// A hook that fails in these runs, counted from 1 over all sessions.
fn failing_in(runs: &'static [usize], error: fn() -> Error) -> ClosureHook {
    let mut run = 0;
    ClosureHook::new("fails").before_run(move |_| {
        run += 1;
        if runs.contains(&run) { Err(error()) } else { Ok(None) }
    })
}

/// Keeps the coordinator of the session of the moment.
#[derive(Clone, Default)]
struct Coordinators(Arc<Mutex<Vec<Coordinator>>>);

impl Coordinators {
    fn hook(&self) -> ClosureHook {
        let kept = self.0.clone();
        ClosureHook::new("coordinators").after_create_session(move |_, coordinator| {
            kept.lock().unwrap().push(coordinator.clone());
            Ok(())
        })
    }

    fn last(&self) -> Coordinator {
        self.0.lock().unwrap().last().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn at_once() -> RecoveryPolicy {
    RecoveryPolicy::new().pause(Duration::ZERO, Duration::ZERO)
}

// ---- layers and arguments -------------------------------------------------------------------------------

#[test]
fn s_137_only_the_recovering_variant_recovers() {
    let Counting { graph, train_op, .. } = counting();
    let singular = SingularMonitoredSession::builder(&graph).hook(failing_in(&[1], lost));
    let failed = singular.scoped(|session| session.run(&train_op, ()));
    assert_eq!(failed.unwrap_err().code(), Code::Unavailable);
    let recovering = MonitoredSession::builder(&graph).hook(failing_in(&[1], lost));
    let finished = recovering.scoped(|session| session.run(&train_op, ())).unwrap();
    assert_eq!(finished.recoveries.len(), 1);
}

#[test]
fn s_138_s_139_defaults_are_as_documented_and_the_raw_session_runs() {
    let Counting { graph, train_op, .. } = counting();
    let text = format!("{:?}", SingularMonitoredSession::builder(&graph));
    for default in ["hooks: []", "scaffold: None", "checkpoint_dir: None", "stop_grace_period: 120s"] {
        assert!(text.contains(default), "{default} is not in {text}");
    }
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    session.run(&train_op, ()).unwrap();
    assert!(session.raw_session().is_some());
    session.close().unwrap();
    assert!(session.raw_session().is_none());
}

#[test]
fn s_139_contradicting_arguments_are_errors() {
    let graph = Graph::new();
    let builder =
        SingularMonitoredSession::builder(&graph).checkpoint_dir("a").checkpoint_filename_with_path("b");
    let error = builder.build().unwrap_err();
    assert!(error.message().contains("Can not provide both checkpoint_dir and"), "{error}");
    let creator = || ChiefSessionCreator::new(Arc::new(embedded_engine::EmbeddedEngine::new()), &graph);
    let error =
        MonitoredSession::builder(&graph).session_creator(creator()).master("there").build().unwrap_err();
    assert!(error.message().contains("master and session_creator cannot both be given"), "{error}");
    let error = MonitoredSession::builder(&Graph::new()).session_creator(creator()).build().unwrap_err();
    assert!(error.message().contains("another graph"), "{error}");
}

#[test]
fn s_140_both_kinds_have_the_same_methods() {
    let Counting { graph, train_op, step, .. } = counting();
    macro_rules! exercise {
        ($session:expr) => {
            let mut session = $session;
            assert!(session.graph().is_same(&graph) && !session.should_stop() && !session.is_closed());
            session.run(&train_op, ()).unwrap();
            session.run_step_fn(|context| context.run_with_hooks(&train_op, ())).unwrap();
            assert_eq!(session.run_without_hooks(&step, ()).unwrap(), Tensor::from(2i64));
            assert!(session.scaffold().is_some() && session.restored().is_none());
            session.close().unwrap();
            assert!(session.should_stop() && session.is_closed());
        };
    }
    exercise!(SingularMonitoredSession::builder(&graph).build().unwrap());
    exercise!(MonitoredSession::builder(&graph).build().unwrap());
}

// ---- construction ---------------------------------------------------------------------------------------

/// A creator that fails some times before it lets a chief create.
struct Flaky {
    chief: ChiefSessionCreator,
    failures: Vec<Error>,
}

impl Flaky {
    fn new(graph: &Graph, failures: Vec<Error>) -> Flaky {
        let engine: Arc<dyn Engine> = Arc::new(embedded_engine::EmbeddedEngine::new());
        Flaky { chief: ChiefSessionCreator::new(engine, graph), failures }
    }
}

impl SessionCreator for Flaky {
    fn graph(&self) -> &Graph {
        self.chief.graph()
    }
    fn create_session(&mut self, cancellation: &CancellationToken) -> Result<CreatedSession> {
        match self.failures.pop() {
            Some(error) => Err(error),
            None => self.chief.create_session(cancellation),
        }
    }
}

#[test]
fn s_141_queue_runners_start_before_after_create_session() {
    let graph = Graph::new();
    let queued = variable(&graph.named("queued"), 0i64);
    let enqueue = queued.assign_add(1i64);
    let nothing = ops::control_flow::no_op(&graph);
    let runner = queue_runner::QueueRunner::new("queue", vec![enqueue], &nothing, &nothing).unwrap();
    runner.add_to_graph().unwrap();
    let coordinators = Coordinators::default();
    let hook = ClosureHook::new("looks").after_create_session(|_, coordinator| {
        assert!(!coordinator.registered().is_empty(), "the threads are there");
        Ok(())
    });
    let builder = SingularMonitoredSession::builder(&graph).hook(hook).hook(coordinators.hook());
    let mut session = builder.build().unwrap();
    session.close().unwrap();
    assert!(coordinators.last().is_joined() && coordinators.last().should_stop());
}

#[test]
fn s_142_no_error_of_a_thread_is_a_clean_stop() {
    let Counting { graph, train_op, .. } = counting();
    let coordinators = Coordinators::default();
    let mut session = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    coordinators.last().report_error(Error::new(Code::OutOfRange, "the file ended")).unwrap();
    assert!(coordinators.last().has_error());
    assert_eq!(session.run(&train_op, ()).unwrap_err().code(), Code::OutOfRange);
    assert_eq!(session.close().unwrap_err().code(), Code::OutOfRange);
}

#[test]
fn s_143_s_148_a_recovery_repeats_the_creation() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, step, train_op, .. } = counting();
    let local = local_variable(&graph.named("seen"), 0i64);
    let count_local = local.assign_add(1i64);
    let calls: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let (begin, created) = (calls.clone(), calls.clone());
    let hook = ClosureHook::new("calls")
        .begin(move |_| {
            begin.lock().unwrap().push("begin");
            Ok(())
        })
        .after_create_session(move |_, coordinator| {
            assert!(!coordinator.should_stop());
            created.lock().unwrap().push("after_create_session");
            Ok(())
        });
    let mut session = MonitoredSession::builder(&graph)
        .checkpoint_dir(folder.path())
        .hook(hook)
        .hook(CheckpointSaverHook::every_steps(folder.path(), 2))
        .hook(failing_in(&[4], lost))
        .build()
        .unwrap();
    for _ in 0..3 {
        session.run((&train_op, &count_local), ()).unwrap();
    }
    session.run((&train_op, &count_local), ()).unwrap();
    // Saved at 2, lost at 3, and the fourth run is made again from there.
    assert_eq!(session.run_without_hooks(&step, ()).unwrap(), Tensor::from(3i64));
    assert_eq!(session.run_without_hooks(&local, ()).unwrap(), Tensor::from(1i64), "initialized again");
    let recovery = &session.recoveries()[0];
    assert_eq!(
        (recovery.step_before, recovery.step_after, recovery.lost_steps()),
        (Some(3), Some(2), Some(1))
    );
    assert!(recovery.checkpoint.as_ref().unwrap().ends_with("model.ckpt-2"));
    assert_eq!(recovery.cause.code(), Code::Unavailable);
    session.close().unwrap();
    assert_eq!(*calls.lock().unwrap(), ["begin", "after_create_session", "after_create_session"]);
}

#[test]
fn q_16_a_recovery_without_checkpoints_reports_the_lost_steps() {
    let Counting { graph, train_op, .. } = counting();
    let mut session = MonitoredSession::builder(&graph).hook(failing_in(&[3], lost)).build().unwrap();
    (0..3).for_each(|_| session.run(&train_op, ()).unwrap());
    let recovery = &session.recoveries()[0];
    assert_eq!((recovery.checkpoint.as_ref(), recovery.lost_steps()), (None, Some(2)));
    assert!(recovery.to_string().contains("without a checkpoint; 2 step(s) lost"), "{recovery}");
}

#[test]
fn s_144_q_14_creation_is_retried_with_pauses_and_a_limit() {
    let Counting { graph, train_op, .. } = counting();
    let hand = Arc::new(Hand::default());
    let policy = RecoveryPolicy::new().waiter(hand.clone());
    let creator = Flaky::new(&graph, vec![lost(), lost(), lost()]);
    let mut session =
        MonitoredSession::builder(&graph).session_creator(creator).recovery(policy.clone()).build().unwrap();
    session.run(&train_op, ()).unwrap();
    session.close().unwrap();
    assert_eq!(*hand.0.lock().unwrap(), [1, 2].map(Duration::from_secs), "the first attempt is at once");
    let creator = Flaky::new(&graph, (0..9).map(|_| lost()).collect());
    let builder = MonitoredSession::builder(&graph).session_creator(creator).recovery(policy.max_attempts(4));
    let error = builder.build().unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("gave up after 4 attempt(s)"), "{error}");
    let creator = Flaky::new(&graph, vec![data_loss()]);
    let error = MonitoredSession::builder(&graph).session_creator(creator).build().unwrap_err();
    assert_eq!(error.code(), Code::DataLoss, "other errors are not tried again");
}

#[test]
fn s_145_the_singular_variant_does_not_retry() {
    let graph = counting().graph;
    let hook = ClosureHook::new("fails").after_create_session(|_, _| Err(lost()));
    let error = SingularMonitoredSession::builder(&graph).hook(hook).build().unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
}

// ---- run ------------------------------------------------------------------------------------------------

#[test]
fn s_146_arguments_and_results_are_those_of_a_raw_session() {
    let Counting { graph, loss, step, .. } = counting();
    let x = ops::array::placeholder(
        &graph.named("x"),
        session_core::DType::Float32,
        session_core::PartialShape::scalar(),
    );
    let doubled = &x * 2f64;
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    let ([a, b], c) = session.run(([&loss, &doubled], &step), [(&x, 4f32)]).unwrap();
    assert_eq!((a, b, c), (Tensor::from(0.5f32), Tensor::from(8f32), Tensor::from(0i64)));
    let mut metadata = RunMetadata::default();
    let options = RunOptions::with_full_trace();
    session.run_with(&doubled, [("x:0", 1f32)], &options, Some(&mut metadata)).unwrap();
    assert!(!metadata.step_stats.is_empty());
    assert!(session.run("nothing:0", ()).is_err());
}

#[test]
fn s_147_the_caller_sees_only_the_final_result() {
    let Counting { graph, step, train_op, .. } = counting();
    let read = step.read(&graph.control_dependencies([&train_op]));
    let builder = MonitoredSession::builder(&graph).recovery(at_once());
    let mut session = builder.hook(failing_in(&[1, 2, 3], lost)).build().unwrap();
    assert_eq!(session.run(&read, ()).unwrap(), Tensor::from(1i64));
    assert_eq!(session.recoveries().len(), 3);
    assert_eq!(session.recoveries().iter().map(|recovery| recovery.attempts).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn s_147_q_14_a_recovery_gives_up_after_some_attempts() {
    let Counting { graph, train_op, .. } = counting();
    let builder = MonitoredSession::builder(&graph).recovery(at_once().max_attempts(2));
    let mut session = builder.hook(failing_in(&[1, 2, 3, 4, 5], lost)).build().unwrap();
    let error = session.run(&train_op, ()).unwrap_err();
    assert!(error.code() == Code::Unavailable && error.message().contains("gave up after 2"), "{error}");
}

#[test]
fn s_149_a_background_preemption_replaces_another_error() {
    let Counting { graph, train_op, .. } = counting();
    let coordinators = Coordinators::default();
    let kept = coordinators.clone();
    let mut first = true;
    let fails = ClosureHook::new("fails").after_run(move |_, _| {
        if std::mem::replace(&mut first, false) {
            kept.last().report_error(lost())?;
            return Err(Error::new(Code::OutOfRange, "the queue is closed"));
        }
        Ok(())
    });
    let builder = MonitoredSession::builder(&graph).hook(coordinators.hook()).hook(fails);
    let mut session = builder.build().unwrap();
    session.run(&train_op, ()).unwrap();
    assert_eq!(session.recoveries()[0].cause.message(), "the peer is gone");
    assert_eq!(coordinators.count(), 2);
}

#[test]
fn s_150_q_3_a_background_error_ends_the_next_run() {
    let Counting { graph, train_op, step, .. } = counting();
    let coordinators = Coordinators::default();
    let mut session = MonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    session.run(&train_op, ()).unwrap();
    coordinators.last().report_error(data_loss()).unwrap();
    let error = session.run(&train_op, ()).unwrap_err();
    assert_eq!(error.code(), Code::DataLoss, "where TensorFlow runs on");
    assert_eq!(session.run_without_hooks(&step, ()).unwrap(), Tensor::from(1i64), "nothing was executed");
}

#[test]
fn s_151_a_stop_of_the_coordinator_does_not_block_run() {
    let Counting { graph, train_op, .. } = counting();
    let coordinators = Coordinators::default();
    let mut session = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    coordinators.last().request_stop_because("the data are read");
    assert!(session.should_stop());
    session.run(&train_op, ()).unwrap();
    assert_eq!(session.stop_reason().unwrap().to_string(), "coordinator: the data are read");
}

#[test]
fn s_152_q_19_a_different_background_error_ends_a_recovery() {
    let Counting { graph, train_op, .. } = counting();
    let coordinators = Coordinators::default();
    let kept = coordinators.clone();
    let mut first = true;
    let fails = ClosureHook::new("fails").after_run(move |_, _| {
        if std::mem::replace(&mut first, false) {
            kept.last().report_error(data_loss())?;
            return Err(lost());
        }
        Ok(())
    });
    let builder = MonitoredSession::builder(&graph).hook(coordinators.hook()).hook(fails);
    let mut session = builder.build().unwrap();
    assert_eq!(session.run(&train_op, ()).unwrap_err().code(), Code::DataLoss);
    session.run(&train_op, ()).expect("the next run makes a new session");
    assert_eq!(coordinators.count(), 2);
}

#[test]
fn s_153_an_error_of_the_main_thread_is_not_reported_to_the_coordinator() {
    let Counting { graph, train_op, .. } = counting();
    let coordinators = Coordinators::default();
    let builder = SingularMonitoredSession::builder(&graph).hook(coordinators.hook());
    let mut session = builder.hook(failing_in(&[1], data_loss)).build().unwrap();
    assert!(session.run(&train_op, ()).is_err());
    assert!(!coordinators.last().should_stop() && !coordinators.last().has_error());
    session.run(&train_op, ()).expect("the session can be used on");
}

#[test]
fn s_124_a_recovery_clears_the_stop() {
    let Counting { graph, train_op, .. } = counting();
    let mut runs = 0;
    let hook = ClosureHook::new("stops once").after_run(move |context, _| {
        runs += 1;
        if runs == 1 {
            context.request_stop("enough");
        }
        Ok(())
    });
    let coordinators = Coordinators::default();
    let mut session = MonitoredSession::builder(&graph).hook(hook).hook(coordinators.hook()).build().unwrap();
    session.run(&train_op, ()).unwrap();
    assert!(session.should_stop());
    // Its flag is of the session that is lost now.
    coordinators.last().report_error(lost()).unwrap();
    session.run(&train_op, ()).unwrap();
    assert!(!session.should_stop() && session.recoveries().len() == 1);
}

// ---- should_stop ----------------------------------------------------------------------------------------

#[test]
fn s_154_each_stop_has_a_reason() {
    let Counting { graph, train_op, .. } = counting();
    let mut session =
        SingularMonitoredSession::builder(&graph).hook(StopAtStepHook::last_step(1)).build().unwrap();
    assert!(!session.should_stop() && session.stop_reason().is_none());
    session.run(&train_op, ()).unwrap();
    assert!(session.should_stop(), "a hook");
    assert_eq!(session.stop_reason().unwrap().source(), &StopSource::Hook("StopAtStepHook".to_owned()));
    session.close().unwrap();
    assert!(session.should_stop(), "closed");
    assert_eq!(session.stop_reason().unwrap().text(), "step 1 was reached", "the reason stays");

    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    session.stop_handle().request_stop("the phone rang");
    assert!(session.should_stop(), "from outside");
    assert_eq!(session.stop_reason().unwrap().to_string(), "outside: the phone rang");
    session.close().unwrap();
}

#[test]
fn s_155_s_156_q_5_should_stop_never_fails() {
    let Counting { graph, train_op, .. } = counting();
    let coordinators = Coordinators::default();
    let mut singular = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    coordinators.last().report_error(lost()).unwrap();
    assert!(singular.should_stop(), "where TensorFlow raises");
    assert_eq!(singular.close().unwrap_err().code(), Code::Unavailable);

    let mut recovering = MonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    coordinators.last().report_error(lost()).unwrap();
    assert!(!recovering.should_stop(), "the next run recovers");
    recovering.run(&train_op, ()).unwrap();
    assert_eq!(recovering.recoveries().len(), 1);
    coordinators.last().report_error(data_loss()).unwrap();
    assert!(recovering.should_stop());
    assert_eq!(recovering.stop_reason().unwrap().source(), &StopSource::Failure);
    assert!(recovering.close().is_err());
}

// ---- close ----------------------------------------------------------------------------------------------

#[test]
fn s_157_close_ends_hooks_then_threads_then_the_session() {
    let graph = counting().graph;
    let coordinators = Coordinators::default();
    let kept = coordinators.clone();
    let hook = ClosureHook::new("looks").end(move |session| {
        assert!(!session.is_closed() && !kept.last().should_stop(), "threads still run");
        Ok(())
    });
    let builder = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).hook(hook);
    let mut session = builder.build().unwrap();
    let raw = session.raw_session().unwrap().clone();
    session.close().unwrap();
    assert!(raw.is_closed() && coordinators.last().is_joined());
    assert!(!graph.is_finalized());
}

#[test]
fn s_158_stragglers_are_tolerated() {
    let graph = counting().graph;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(Some(released));
    let hook = ClosureHook::new("deaf").after_create_session(move |_, coordinator| {
        let released = released.lock().unwrap().take().unwrap();
        coordinator.spawn("deaf".to_owned(), move |_| {
            let _ = released.recv(); // does not look at the stop
            Ok(())
        })?;
        Ok(())
    });
    let builder =
        SingularMonitoredSession::builder(&graph).hook(hook).stop_grace_period(Duration::from_millis(20));
    let mut session = builder.build().unwrap();
    session.close().expect("logged, no error");
    drop(release);
}

#[test]
fn s_159_a_background_preemption_at_close_is_logged_only() {
    let graph = counting().graph;
    let coordinators = Coordinators::default();
    let mut recovering = MonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    coordinators.last().report_error(lost()).unwrap();
    recovering.close().expect("logged and swallowed");
    let mut singular = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    coordinators.last().report_error(lost()).unwrap();
    assert_eq!(singular.close().unwrap_err().code(), Code::Unavailable);
}

#[test]
fn s_160_the_background_error_is_returned_and_end_is_not_called() {
    let graph = counting().graph;
    let coordinators = Coordinators::default();
    let ends = Arc::new(AtomicUsize::new(0));
    let counted = ends.clone();
    let hook = ClosureHook::new("ends").end(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Err(Error::value("end failed"))
    });
    let builder = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).hook(hook);
    let mut session = builder.build().unwrap();
    coordinators.last().report_error(data_loss()).unwrap();
    assert_eq!(session.close().unwrap_err().code(), Code::DataLoss);
    // S-167, Q-2: the final operations do not run on a broken state.
    assert_eq!(ends.load(Ordering::Relaxed), 0);
}

#[test]
fn s_161_q_6_closing_again_does_nothing() {
    let graph = counting().graph;
    let ends = Arc::new(AtomicUsize::new(0));
    let counted = ends.clone();
    let hook = ClosureHook::new("ends").end(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let finished = SingularMonitoredSession::builder(&graph).hook(hook).scoped(|session| {
        session.close()?;
        session.close()
    });
    finished.unwrap();
    assert_eq!(ends.load(Ordering::Relaxed), 1);
}

#[test]
fn s_162_q_7_a_closed_session_rejects_runs() {
    let Counting { graph, train_op, .. } = counting();
    let mut session = MonitoredSession::builder(&graph).build().unwrap();
    session.close().unwrap();
    for error in [
        session.run(&train_op, ()).unwrap_err(),
        session.run_step_fn(|_| Ok(())).unwrap_err(),
        session.run_without_hooks(&train_op, ()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Runtime);
        assert!(error.message().contains("the monitored session was closed"), "{error}");
    }
    assert!(session.should_stop());
}

#[test]
fn s_163_q_8_its_own_graph_is_unfrozen_unless_it_was_frozen_before() {
    let (first, second) = (counting().graph, counting().graph);
    second.finalize().unwrap_or(());
    SingularMonitoredSession::builder(&first).scoped(|_| Ok(())).unwrap();
    assert!(!first.is_finalized() && second.is_finalized());
    let graph = counting().graph;
    Scaffold::builder().finalize(&graph).unwrap();
    SingularMonitoredSession::builder(&graph).scoped(|_| Ok(())).unwrap();
    assert!(graph.is_finalized(), "as it was found");
}

// ---- the scoped form ------------------------------------------------------------------------------------

#[test]
fn s_164_q_9_only_some_errors_end_a_block_cleanly() {
    let graph = counting().graph;
    let outcome = |error: Error| {
        let ends = Arc::new(AtomicUsize::new(0));
        let counted = ends.clone();
        let hook = ClosureHook::new("ends").end(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let finished = SingularMonitoredSession::builder(&graph).hook(hook).scoped(|_| Err::<(), _>(error));
        (finished.is_ok(), ends.load(Ordering::Relaxed))
    };
    assert_eq!(outcome(Error::new(Code::OutOfRange, "end")), (true, 1));
    assert_eq!(outcome(Error::stop_iteration("end")), (true, 1));
    assert_eq!(outcome(Error::new(Code::OutOfRange, "end").context("reading")), (true, 1), "wrapped, too");
    assert_eq!(outcome(Error::value("wrong")), (false, 0));
    assert_eq!(outcome(Error::new(Code::Cancelled, "not by us")), (false, 0));
}

#[test]
fn s_165_q_1_the_result_states_the_reason_of_the_stop() {
    let graph = counting().graph;
    let finished = SingularMonitoredSession::builder(&graph)
        .scoped(|_| Err::<(), _>(Error::new(Code::OutOfRange, "index 7 is out of range")))
        .unwrap();
    assert!(finished.value.is_none());
    let reason = finished.reason.unwrap();
    assert_eq!(reason.source(), &StopSource::EndOfInput);
    assert!(reason.text().contains("index 7"), "an unrelated error differs from the end: {reason}");
}

#[test]
fn s_166_q_4_an_error_of_closing_does_not_hide_the_blocks() {
    let graph = counting().graph;
    let coordinators = Coordinators::default();
    let kept = coordinators.clone();
    let failed = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).scoped(|_| {
        kept.last().report_error(data_loss())?;
        Err::<(), _>(Error::key("no such word"))
    });
    assert_eq!(failed.unwrap_err().message(), "no such word");
}

#[test]
fn s_167_q_2_a_failing_input_is_not_the_end_of_the_input() {
    let graph = counting().graph;
    let coordinators = Coordinators::default();
    let kept = coordinators.clone();
    let ends = Arc::new(AtomicUsize::new(0));
    let counted = ends.clone();
    let hook = ClosureHook::new("ends").end(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let failed =
        SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).hook(hook).scoped(|_| {
            kept.last().report_error(data_loss())?;
            Err::<(), _>(Error::new(Code::OutOfRange, "the queue is closed"))
        });
    assert_eq!(failed.unwrap_err().code(), Code::DataLoss, "the cause");
    assert_eq!(ends.load(Ordering::Relaxed), 0);
}

#[test]
fn s_168_a_block_yields_the_session_itself() {
    let Counting { graph, step, .. } = counting();
    let finished =
        SingularMonitoredSession::builder(&graph).scoped(|session: &mut SingularMonitoredSession| {
            assert!(session.graph().is_same(&graph));
            session.run(&step, ())
        });
    assert_eq!(finished.unwrap().value, Some(Tensor::from(0i64)));
}

// ---- step functions -------------------------------------------------------------------------------------

#[test]
fn s_169_s_170_a_step_function_gets_a_context() {
    let Counting { graph, train_op, step, .. } = counting();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let hook = ClosureHook::new("counts").after_run(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let mut session = SingularMonitoredSession::builder(&graph).hook(hook).build().unwrap();
    let result = session
        .run_step_fn(|context| {
            context.session().run(&train_op, ())?;
            context.run_with_hooks(&train_op, ())?;
            assert!(!context.should_stop() && context.stop_reason().is_none());
            context.session().run(&step, ())
        })
        .unwrap();
    assert_eq!(result, Tensor::from(2i64), "its value is the result");
    assert_eq!(runs.load(Ordering::Relaxed), 1, "hooks are called for run_with_hooks only");
}

#[test]
fn s_171_a_step_function_can_request_a_stop() {
    let Counting { graph, train_op, .. } = counting();
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    let error = session.run_step_fn(|context| context.request_stop::<()>()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StopIteration);
    assert!(error.message().contains("has requested the iterations to stop"), "{error}");
    assert!(!session.should_stop(), "without a block it just leaves");
    session.run(&train_op, ()).unwrap();
    session.close().unwrap();
    let finished = SingularMonitoredSession::builder(&graph)
        .scoped(|session| session.run_step_fn(|context| context.request_stop::<()>()))
        .unwrap();
    assert_eq!(finished.reason.unwrap().source(), &StopSource::StepFn);
}

#[test]
fn s_172_raw_runs_work_after_a_stop() {
    let Counting { graph, train_op, step, .. } = counting();
    let mut session =
        SingularMonitoredSession::builder(&graph).hook(StopAtStepHook::last_step(1)).build().unwrap();
    session.run(&train_op, ()).unwrap();
    session.run_step_fn(|context| context.session().run(&step, ())).unwrap();
    let error = session.run_step_fn(|context| context.run_with_hooks(&train_op, ())).unwrap_err();
    assert!(error.message().contains("Run called even after should_stop"), "{error}");
}

#[test]
fn s_173_s_174_q_18_a_step_function_is_called_again_with_the_new_session() {
    let Counting { graph, train_op, step, .. } = counting();
    let mut session = MonitoredSession::builder(&graph).hook(failing_in(&[1], lost)).build().unwrap();
    let mut calls = 0;
    let value = session
        .run_step_fn(|context| {
            calls += 1;
            context.session().run(&step, ())?;
            context.run_with_hooks(&train_op, ())?;
            context.session().run(&step, ())
        })
        .unwrap();
    assert_eq!((calls, value), (2, Tensor::from(1i64)));
    assert_eq!(session.recoveries().len(), 1);
}

#[test]
fn s_175_errors_of_raw_runs_are_returned_unchanged() {
    let Counting { graph, train_op, .. } = counting();
    let coordinators = Coordinators::default();
    let mut session = SingularMonitoredSession::builder(&graph).hook(coordinators.hook()).build().unwrap();
    coordinators.last().report_error(lost()).unwrap();
    let raw = session.run_step_fn(|_| Err::<(), _>(Error::new(Code::Internal, "mine"))).unwrap_err();
    assert_eq!(raw.code(), Code::Internal);
    let hooked = session.run_step_fn(|context| context.run_with_hooks(&train_op, ())).unwrap_err();
    assert_eq!(hooked.code(), Code::Unavailable);
}

#[test]
fn s_176_a_step_function_may_do_nothing() {
    let Counting { graph, step, .. } = counting();
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    assert_eq!(session.run_step_fn(|_| Ok(5)).unwrap(), 5);
    assert_eq!(session.run_without_hooks(&step, ()).unwrap(), Tensor::from(0i64));
}

#[test]
fn s_379_the_step_is_a_plain_integer() {
    let Counting { graph, train_op, step, .. } = counting();
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    session.run(&train_op, ()).unwrap();
    let raw = session.raw_session().unwrap();
    assert_eq!(ops::global_step::evaluate(&**raw, &step).unwrap(), 1i64);
}
