//! The errors that a client sees: the rows of the published table.

use super::cluster::{Process, available, cluster};
use monitored_session::ops::variables;
use monitored_session::prelude::*;
use monitored_session::tensorflow_engine::{ClusterSpec, Library, ReplicaDeviceSetter, Server};
use std::sync::Arc;
use std::time::Duration;

/// A counter on the parameter server, with the worker as master.
struct Client {
    session: Arc<dyn Session>,
    init: Operation,
    increment: Operation,
}

fn client(cluster: &ClusterSpec, timeout: Duration) -> Client {
    let graph = Graph::new();
    let v = variables::variable(&graph.named("count"), 0i64);
    let increment = variables::VariableExt::assign_add(&v, 1);
    let init = variables::global_variables_initializer(&graph);
    let setter = ReplicaDeviceSetter::new(cluster).worker_device("/job:worker/task:0");
    let engine = TensorFlowEngine::new().unwrap().device_setter(setter).remote_timeout(Some(timeout));
    let target = format!("grpc://{}", cluster.address("worker", 0).unwrap());
    let session = engine.new_session(&graph, &target, &SessionConfig::default()).unwrap();
    Client { session, init, increment }
}

/// Runs until a run fails, and returns the error.
fn failure(client: &Client) -> Error {
    (0..1000).find_map(|_| client.session.run(&client.increment, ()).err()).expect("it fails")
}

struct Running {
    cluster: ClusterSpec,
    folder: tempfile::TempDir,
    ps: Option<Process>,
    worker: Option<Process>,
}

impl Running {
    fn new() -> Running {
        let mut running =
            Running { cluster: cluster(1), folder: tempfile::tempdir().unwrap(), ps: None, worker: None };
        running.ps = Some(running.start("ps"));
        running.worker = Some(running.start("worker"));
        running
    }

    fn start(&self, job: &str) -> Process {
        Process::start("server", &self.cluster, job, 0, self.folder.path())
    }
}

const LONG: Duration = Duration::from_secs(30);

/// Rows 1 and 2: the parameter server dies, and restarts without its variables.
#[test]
fn a_lost_parameter_server_is_recoverable_and_restarts_empty() {
    if !available() {
        return;
    }
    let mut running = Running::new();
    let old = client(&running.cluster, LONG);
    old.session.run(&old.init, ()).unwrap();
    old.session.run(&old.increment, ()).unwrap();
    running.ps.take().unwrap().kill();
    let error = failure(&old);
    assert!(error.is_recoverable(), "{error}");
    running.ps = Some(running.start("ps"));
    let new = client(&running.cluster, LONG);
    // The first calls may still find the old connection.
    let error = (0..1000)
        .find_map(|_| new.session.run(&new.increment, ()).err().filter(|error| !error.is_recoverable()));
    let error = error.expect("it answers");
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    new.session.run(&new.init, ()).unwrap();
    new.session.run(&new.increment, ()).unwrap();
}

/// Rows 3 and 4: the master dies, and the time limit ends the call. After its restart the old sessions are gone, and a new one
/// finds the variables.
#[test]
fn a_lost_master_is_recoverable_and_forgets_its_sessions() {
    if !available() {
        return;
    }
    let mut running = Running::new();
    let old = client(&running.cluster, Duration::from_secs(2));
    old.session.run(&old.init, ()).unwrap();
    old.session.run(&old.increment, ()).unwrap();
    running.worker.take().unwrap().kill();
    let error = failure(&old);
    assert!(error.is_recoverable(), "{error}");
    running.worker = Some(running.start("worker"));
    let error = failure(&old);
    assert!(error.is_recoverable(), "{error}");
    let new = client(&running.cluster, LONG);
    new.session.run(&new.increment, ()).unwrap();
}

/// Row 5: there is no server at the target.
#[test]
fn a_missing_server_is_recoverable() {
    if !available() {
        return;
    }
    let nobody = client(&cluster(1), Duration::from_secs(1));
    let error = nobody.session.run(&nobody.init, ()).unwrap_err();
    assert!(error.is_recoverable(), "{error}");
}

/// Row 6: a limit in the options of a run is a deadline.
#[test]
fn a_limit_of_a_run_is_not_recoverable() {
    if !available() {
        return;
    }
    let mut running = Running::new();
    let client = client(&running.cluster, Duration::from_secs(3));
    client.session.run(&client.init, ()).unwrap();
    running.worker.take().unwrap().kill();
    let options = RunOptions::with_timeout(Duration::from_millis(500));
    let error = (0..1000)
        .find_map(|_| {
            client
                .session
                .run_with(&client.increment, (), &options, None)
                .err()
                .filter(|e| e.code() != Code::Unavailable)
        })
        .expect("it fails");
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(!error.is_recoverable());
}

/// Rows 7 and 8: servers that cannot start.
#[test]
fn invalid_servers_are_rejected() {
    if !available() {
        return;
    }
    let library = Library::find().unwrap();
    let cluster = cluster(1);
    let config = SessionConfig::default();
    let error = Server::start(&library, &cluster, "worker", 3, &config).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    // TensorFlow's servers share ports among themselves, but not with others.
    let held = std::net::TcpListener::bind(cluster.address("worker", 0).unwrap()).unwrap();
    let error = Server::start(&library, &cluster, "worker", 0, &config).unwrap_err();
    assert_eq!(error.code(), Code::Unknown, "{error}");
    drop(held);
}
