//! Sessions on a server of this process whose cluster is not complete.

use crate::support;
use ops::array::constant;
use session_core::{Code, Engine, Graph, SessionConfig, SessionExt, Tensor};
use std::net::TcpListener;
use std::time::Duration;
use tensorflow_engine::{ClusterSpec, Server};

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_missing_task_is_named_within_the_time_limit() {
    let Some(engine) = support::engine() else { return };
    let (worker, ps) = (free_address(), free_address());
    let cluster = ClusterSpec::new().job("worker", [worker]).job("ps", [ps.clone()]);
    let server = Server::start(engine.library(), &cluster, "worker", 0, &SessionConfig::default()).unwrap();
    let graph = Graph::new();
    let x = constant(&graph.named("x"), 2.0f32);
    let bounded = engine.clone().remote_timeout(Some(Duration::from_secs(1)));
    let session = bounded.new_session(&graph, server.target(), &SessionConfig::default()).unwrap();
    let error = session.run(&x, ()).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains(&format!("ps/0 at {ps}")), "{error}");
    drop(session);
    // A session that needs no remote task is not affected.
    let local = engine.new_session(&graph, "", &SessionConfig::default()).unwrap();
    assert_eq!(local.run(&x, ()).unwrap(), Tensor::from(2.0f32));
}
