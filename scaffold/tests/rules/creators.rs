//! Session creators (S-110 to S-114).

use crate::support::{Hand, Scripted, embedded, missing, seconds};
use checkpoint::{GraphSaver, SaverOptions};
use ops::variables::{VariableExt as _, variable};
use scaffold::{ChiefSessionCreator, SessionCreator, WorkerSessionCreator};
use session_core::{CancellationToken, Code, Graph, SessionExt as _, Tensor};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn s_110_s_111_a_chief_creates_sessions_repeatedly() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), 1f32);
    let engine = Scripted::ready();
    let mut chief = ChiefSessionCreator::new(engine.clone(), &graph);
    assert!(SessionCreator::scaffold(&chief).is_none(), "finalized by the first creation");
    for session in 0..2 {
        let created = chief.create_session(&CancellationToken::new()).unwrap();
        assert!(!created.session.is_closed() && created.restored.is_none());
        let init = SessionCreator::scaffold(&chief).unwrap().init_op().name();
        assert_eq!(engine.ran(session)[0], init, "initialized each time");
        assert_eq!(engine.ran(session).len(), 4);
    }
    assert!(graph.is_finalized());
}

#[test]
fn s_111_defaults_of_a_chief_are_as_documented() {
    let text = format!("{:?}", ChiefSessionCreator::new(Scripted::ready(), &Graph::new()));
    assert!(text.contains("source: None") && text.contains("master: \"\""), "{text}");
}

#[test]
fn s_112_a_worker_waits_and_initializes_only_local_state() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), 1f32);
    let hand = Arc::new(Hand::default());
    let engine = Scripted::new(|session, number| {
        session.otherwise(move |run| {
            Ok(vec![missing(if number == 0 { &["weights"] } else { &[] }); run.fetches.len()])
        });
    });
    let worker = WorkerSessionCreator::new(engine.clone(), &graph);
    assert!(format!("{worker:?}").contains("max_wait: Some(1800s)"), "{worker:?}");
    let mut worker = worker.waiter(hand.clone());
    let created = worker.create_session(&CancellationToken::new()).unwrap();
    assert!(created.restored.is_none());
    assert_eq!(engine.count(), 2);
    let scaffold = SessionCreator::scaffold(&worker).unwrap();
    assert!((0..2).all(|session| !engine.ran(session).contains(&scaffold.init_op().name().to_owned())));
    assert!(engine.ran(1).contains(&scaffold.local_init_op().name().to_owned()));
    assert_eq!(seconds(&hand), [30], "S-113");
}

#[test]
fn s_113_q_22_the_pause_can_be_changed() {
    let graph = Graph::new();
    let hand = Arc::new(Hand::default());
    let engine =
        Scripted::new(|session, _| session.otherwise(|run| Ok(vec![missing(&["w"]); run.fetches.len()])));
    let mut worker = WorkerSessionCreator::new(engine, &graph)
        .recovery_wait(Duration::from_secs(2))
        .max_wait(Some(Duration::from_secs(5)))
        .waiter(hand.clone());
    let error = worker.create_session(&CancellationToken::new()).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(seconds(&hand), [2, 2, 1]);
}

#[test]
fn s_114_each_creation_restores_the_newest_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let weights = variable(&graph.named("weights"), 1f32);
    let add = weights.assign_add(1f32);
    let mut chief = ChiefSessionCreator::new(embedded(), &graph).checkpoint_dir(folder.path());
    let saver = GraphSaver::new(SaverOptions::new());
    for step in 0..3 {
        let created = chief.create_session(&CancellationToken::new()).unwrap();
        assert_eq!(created.session.run(&weights, ()).unwrap(), Tensor::from(1f32 + step as f32));
        created.session.run(&add, ()).unwrap();
        let path = folder.path().join("model.ckpt");
        saver.save(&*created.session, path, Some(step)).unwrap();
        created.session.close().unwrap();
    }
}
