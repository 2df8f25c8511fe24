//! Session managers (S-88 to S-99, S-105 to S-109).

use crate::support::{Hand, Scripted, error_text, missing, op, output, seconds};
use scaffold::{Preparation, Readiness, Restoring, SessionManager, SessionManagerBuilder};
use session_core::{
    CancellationToken, Code, DType, Error, Graph, Operation, Output, RunOptions, Session, SessionConfig,
    Tensor,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Model {
    graph: Graph,
    init: Operation,
    local: Operation,
    ready: Output,
    ready_for_local: Output,
}

fn model() -> Model {
    let graph = Graph::new();
    Model {
        init: op(&graph, "init"),
        local: op(&graph, "local"),
        ready: output(&graph, "ready", DType::String),
        ready_for_local: output(&graph, "ready_for_local", DType::String),
        graph,
    }
}

impl Model {
    fn manager(&self, engine: &Arc<Scripted>) -> SessionManagerBuilder {
        SessionManager::builder(engine.clone(), &self.graph)
            .local_init_op(&self.local)
            .ready_op(&self.ready)
            .ready_for_local_init_op(&self.ready_for_local)
    }

    fn preparation(&self) -> Preparation {
        Preparation::default().init_op(self.init.clone())
    }
}

/// Returns an engine whose sessions give this for `ready:0`, and an empty list of names for everything else.
fn engine(ready: impl Fn() -> session_core::Result<Tensor> + Send + Sync + Clone + 'static) -> Arc<Scripted> {
    Scripted::new(move |session, _| {
        let ready = ready.clone();
        session.otherwise(move |run| {
            run.fetches
                .iter()
                .map(|name| if name == "ready:0" { ready() } else { Ok(missing(&[])) })
                .collect()
        });
    })
}

fn prepared(
    ready: impl Fn() -> session_core::Result<Tensor> + Send + Sync + Clone + 'static,
) -> Result<(), Error> {
    let model = model();
    model.manager(&engine(ready)).build().unwrap().prepare_session(&model.preparation()).map(drop)
}

#[test]
fn s_88_ready_for_local_init_needs_local_init() {
    let Model { graph, ready_for_local, .. } = model();
    let builder =
        SessionManager::builder(Scripted::ready(), &graph).ready_for_local_init_op(&ready_for_local);
    let error = builder.build().unwrap_err();
    assert!(error.message().contains("you must also pass a local_init_op"), "{error}");
    let text = format!("{:?}", SessionManager::builder(Scripted::ready(), &graph));
    assert!(text.contains("recovery_wait: 30s") && text.contains("local_init_op: None"), "{text}");
}

#[test]
fn s_89_an_empty_list_of_names_means_ready() {
    assert!(prepared(|| Ok(missing(&[]))).is_ok(), "of size 0");
    assert!(prepared(|| Ok(Tensor::from(vec![1i32, 2]))).is_ok(), "of 32-bit integers");
    let model = model();
    let manager = SessionManager::builder(engine(|| Ok(missing(&["w"]))), &model.graph).build().unwrap();
    assert!(manager.prepare_session(&model.preparation()).is_ok(), "no ready op");
    let error = prepared(|| Ok(missing(&["w", "b"]))).unwrap_err();
    assert!(error.message().contains("Variables not initialized: w, b"), "{error}");
    assert_eq!(Readiness::Ready.reason(), None);
}

#[test]
fn s_90_an_uninitialized_value_means_not_ready() {
    let fails = |text: &'static str| move || Err(Error::new(Code::FailedPrecondition, text));
    let error = prepared(fails("Attempting to use uninitialized value w")).unwrap_err();
    assert!(error.message().contains("did not make model ready"), "{error}");
    assert!(error.message().contains("uninitialized value w"), "{error}");
    let error = prepared(fails("the table is gone")).unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, "the table is gone"));
    let error = prepared(|| Err(Error::new(Code::Internal, "broken"))).unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Internal, "broken"));
}

#[test]
fn s_91_q_30_a_value_of_another_kind_is_a_clean_error() {
    for value in [Tensor::from("w"), Tensor::from(vec![1i64]), Tensor::from(vec![0.5f32])] {
        let error = prepared(move || Ok(value.clone())).unwrap_err();
        assert!(
            error.message().contains("the ready op 'ready:0' must return a vector of strings"),
            "{error}"
        );
    }
}

#[test]
fn s_92_local_init_waits_for_its_own_readiness() {
    let model = model();
    let engine = Scripted::new(|session, _| {
        session.otherwise(|run| {
            run.fetches
                .iter()
                .map(|name| Ok(missing(if name == "ready_for_local:0" { &["w"] } else { &[] })))
                .collect()
        });
    });
    let error = model.manager(&engine).build().unwrap().prepare_session(&model.preparation()).unwrap_err();
    assert!(error.message().contains("did not make model ready for local_init."), "{error}");
    assert_eq!(engine.ran(0), ["init", "ready_for_local:0"], "the local init op is not run");
    // Without a local init op nothing is tried.
    let manager = SessionManager::builder(engine.clone(), &model.graph).build().unwrap();
    manager.prepare_session(&model.preparation()).unwrap();
    assert_eq!(engine.ran(1), ["init"]);
}

#[test]
fn s_92_local_init_has_its_feeds_and_options() {
    let model = model();
    let fed = output(&model.graph, "fed", DType::Int64);
    let engine = Scripted::ready();
    let manager = model
        .manager(&engine)
        .local_init_feed([(fed, Tensor::from(5i64))])
        .local_init_run_options(RunOptions::with_timeout(Duration::from_secs(9)));
    manager.build().unwrap().prepare_session(&model.preparation()).unwrap();
    let runs = engine.session(0).runs();
    let local = runs.iter().find(|run| run.targets == ["local"]).unwrap();
    assert_eq!(local.feeds, [("fed:0".to_owned(), Tensor::from(5i64))]);
    assert_eq!(local.options.timeout, Some(Duration::from_secs(9)));
}

#[test]
fn s_94_a_fresh_start_initializes_in_order() {
    let model = model();
    let engine = Scripted::ready();
    let called: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (kept, sessions) = (called.clone(), engine.clone());
    let init_fn: scaffold::BoundInitFn = Arc::new(move |_: &dyn Session| {
        kept.lock().unwrap().push(sessions.ran(0).len());
        Ok(())
    });
    let fed = output(&model.graph, "fed", DType::Float32);
    let preparation = model.preparation().init_fn(init_fn).init_feed([(fed, Tensor::from(1f32))]);
    let created = model.manager(&engine).build().unwrap().prepare_session(&preparation).unwrap();
    assert!(created.restored.is_none());
    assert_eq!(engine.ran(0), ["init", "ready_for_local:0", "local", "ready:0"]);
    assert_eq!(*called.lock().unwrap(), [1], "the init function comes after the init op");
    assert_eq!(engine.session(0).runs()[0].feeds.len(), 1, "the init op is fed");
}

#[test]
fn s_96_nothing_to_initialize_with_is_an_error() {
    let graph = Graph::new();
    let engine = Scripted::ready();
    let manager = SessionManager::builder(engine, &graph).build().unwrap();
    let error = manager.prepare_session(&Preparation::default()).unwrap_err();
    assert!(error.message().contains("Model is not initialized and no init_op"), "{error}");
    let init_fn: scaffold::BoundInitFn = Arc::new(|_: &dyn Session| Ok(()));
    let preparation = Preparation::default().init_fn(init_fn);
    assert!(manager.prepare_session(&preparation).is_ok(), "an init function is enough");
}

#[test]
fn s_97_errors_name_the_init_operations() {
    let model = model();
    let engine = engine(|| Ok(missing(&["w"])));
    let second = op(&model.graph, "second");
    let preparation = model.preparation().init_op(second);
    let error = model.manager(&engine).build().unwrap().prepare_session(&preparation).unwrap_err();
    let text = error.message();
    for part in ["did not make model ready.", "init op: init second", "init fn: none", "local init op: local"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn s_98_s_99_failures_are_returned_and_the_session_is_closed() {
    for culprit in ["init", "local"] {
        let model = model();
        let engine = Scripted::new(move |session, _| {
            session.otherwise(move |run| match run.targets.first() {
                Some(target) if target == culprit => {
                    Err(Error::new(Code::DataLoss, format!("{culprit} is broken")))
                }
                _ => Ok(vec![missing(&[]); run.fetches.len()]),
            });
        });
        let error =
            model.manager(&engine).build().unwrap().prepare_session(&model.preparation()).unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::DataLoss, &*format!("{culprit} is broken")));
        assert!(engine.session(0).is_closed(), "where TensorFlow leaks it (Q-20)");
    }
    let model = model();
    let init_fn: scaffold::BoundInitFn = Arc::new(|_: &dyn Session| Err(Error::value("no data")));
    let preparation = model.preparation().init_fn(init_fn);
    let engine = Scripted::ready();
    let error = model.manager(&engine).build().unwrap().prepare_session(&preparation).unwrap_err();
    assert_eq!(error.message(), "no data");
    assert!(engine.session(0).is_closed());
}

#[test]
fn s_105_recover_never_initializes_and_always_tries_local_init() {
    let model = model();
    let engine = Scripted::ready();
    let manager = model.manager(&engine).build().unwrap();
    let (created, ready) = manager
        .recover_session("", &SessionConfig::default(), &Restoring::default(), &CancellationToken::new())
        .unwrap();
    assert!(!ready, "nothing was restored");
    assert_eq!(engine.ran(0), ["ready_for_local:0", "local"], "no init op, no ready check");
    assert!(!created.session.is_closed());
}

fn waiting(
    recovery_wait: u64,
    max_wait: Option<u64>,
    ready_at: usize,
) -> (Result<(), Error>, Arc<Scripted>, Arc<Hand>) {
    let model = model();
    let hand = Arc::new(Hand::default());
    let engine = Scripted::new(move |session, number| {
        session.otherwise(move |run| {
            let answer =
                |name: &String| missing(if name == "ready:0" && number < ready_at { &["w"] } else { &[] });
            Ok(run.fetches.iter().map(answer).collect())
        });
    });
    let builder =
        model.manager(&engine).recovery_wait(Duration::from_secs(recovery_wait)).waiter(hand.clone());
    let max_wait = max_wait.map(Duration::from_secs);
    let token = CancellationToken::new();
    let outcome = builder.build().unwrap().wait_for_session("", &SessionConfig::default(), max_wait, &token);
    (outcome.map(drop), engine, hand)
}

#[test]
fn s_106_a_worker_opens_sessions_until_one_is_ready() {
    let (outcome, engine, hand) = waiting(30, None, 2);
    outcome.unwrap();
    assert_eq!(engine.count(), 3, "a new session each time");
    assert!(engine.session(0).is_closed() && engine.session(1).is_closed() && !engine.session(2).is_closed());
    assert_eq!(engine.ran(0), ["ready_for_local:0", "local", "ready:0"], "never the init op");
    assert_eq!(seconds(&hand), [30, 30]);
    let (outcome, ..) = waiting(30, Some(100), usize::MAX);
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(error.message().contains("Session was not ready after waiting 100"), "{error}");
}

#[test]
fn s_107_q_22_a_short_limit_still_waits() {
    let (outcome, engine, hand) = waiting(30, Some(3), usize::MAX);
    assert_eq!(outcome.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(engine.count(), 2, "where TensorFlow tries once and does not wait");
    assert_eq!(seconds(&hand), [3]);
}

#[test]
fn s_108_q_22_no_pause_between_attempts_does_not_remove_the_limit() {
    let (outcome, _, hand) = waiting(0, Some(1), usize::MAX);
    assert_eq!(outcome.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(hand.waits.lock().unwrap().iter().sum::<Duration>(), Duration::from_secs(1));
}

#[test]
fn s_109_other_errors_end_the_wait_at_once() {
    let model = model();
    let engine = engine(|| Err(Error::new(Code::PermissionDenied, "not yours")));
    let hand = Arc::new(Hand::default());
    let manager = model.manager(&engine).waiter(hand.clone()).build().unwrap();
    let token = CancellationToken::new();
    let Err(error) = manager.wait_for_session("", &SessionConfig::default(), None, &token) else {
        panic!("it is not ready");
    };
    assert_eq!(error.code(), Code::PermissionDenied, "{}", error_text(&error));
    assert!(engine.session(0).is_closed() && seconds(&hand).is_empty());
}

#[test]
fn a_cancellation_ends_every_wait() {
    let model = model();
    let manager = model.manager(&engine(|| Ok(missing(&["w"])))).build().unwrap();
    let token = CancellationToken::new();
    token.cancel();
    let Err(error) = manager.wait_for_session("", &SessionConfig::default(), None, &token) else {
        panic!("it was cancelled");
    };
    assert_eq!(error.code(), Code::Cancelled);
    let preparation = model.preparation().cancellation(token);
    assert_eq!(manager.prepare_session(&preparation).unwrap_err().code(), Code::Cancelled);
}
