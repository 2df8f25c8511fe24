//! A hook tested through the facade alone, without an engine.
#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used)] // a test may

use monitored_session::prelude::*;
use monitored_session::session_core::mock::{MockEngine, MockSession};
use std::sync::Arc;

#[test]
fn a_loop_is_tested_on_a_scripted_session() {
    let graph = Graph::new();
    let train_op = graph.undefined_op("NoOp").name("train").finish();
    let session = MockSession::new(&graph);
    session.otherwise(|run| Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]));
    let engine = MockEngine::new();
    engine.supply(Ok(session.clone()));
    let mut runs = 0;
    let stops = ClosureHook::new("stops").after_run(move |context, _| {
        runs += 1;
        if runs == 3 {
            context.request_stop("that is enough");
        }
        Ok(())
    });
    SingularMonitoredSession::builder(&graph)
        .engine(Arc::new(engine))
        .hook(stops)
        .scoped(|session| {
            while !session.should_stop() {
                session.run(&train_op, ())?;
            }
            Ok(())
        })
        .unwrap();
    let shared: Arc<dyn Session> = Arc::new(session.clone());
    assert!(format!("{shared:?}").contains("is_closed: true"), "{shared:?}");
    assert_eq!(session.runs().iter().filter(|run| run.targets == ["train"]).count(), 3);
}
