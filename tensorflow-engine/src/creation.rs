//! The creation of a session on a server, which waits for every task of the cluster.
//!
//! TensorFlow creates a session on a server in its first run, and the master then waits until all tasks have answered. A master in
//! this process waits forever, whatever time limit is set, so this module limits such a run.

use crate::ClusterSpec;
use session_core::{Code, Error};
use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tensor::text::escaped;

/// The clusters of the servers in this process, by target. Only the list is accessed while it is held.
static SERVED: Mutex<Vec<(String, ClusterSpec)>> = Mutex::new(Vec::new());

/// Records the cluster of a server in this process.
pub(crate) fn serves(target: &str, cluster: &ClusterSpec) {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner).push((target.to_owned(), cluster.clone()));
}

/// Returns the cluster of a server in this process; the newest one if a target was used twice.
fn served(target: &str) -> Option<ClusterSpec> {
    let served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    served.iter().rev().find(|(known, _)| known == target).map(|(_, cluster)| cluster.clone())
}

/// The connection of a session to its master.
pub(crate) struct Creation {
    /// The target of the master.
    target: String,
    /// The cluster, if the master is a server in this process.
    cluster: Option<ClusterSpec>,
    /// The time limit of calls from the configuration of the session; `None` for no limit.
    limit: Option<Duration>,
    /// True once a run was answered, which means that all tasks were reachable.
    done: AtomicBool,
    /// True if a run was abandoned that still waits.
    abandoned: AtomicBool,
}

/// The time within which the port of a reachable task answers.
const PATIENCE: Duration = Duration::from_secs(2);

impl Creation {
    /// Describes the connection to a target. Nothing is contacted yet.
    pub(crate) fn new(target: &str, limit: Option<Duration>) -> Creation {
        let cluster = served(target);
        let (done, abandoned) = (AtomicBool::new(false), AtomicBool::new(false));
        Creation { target: target.to_owned(), cluster, limit, done, abandoned }
    }

    /// Returns the master's target.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Returns the time limit for a run that TensorFlow itself does not limit.
    /// There is one until a run was answered, for a master in this process; TensorFlow enforces all other
    /// limits itself.
    pub(crate) fn limit(&self) -> Option<Duration> {
        let unbounded = self.cluster.is_some() && !self.done.load(Ordering::Relaxed);
        // Later than TensorFlow's own limit, where TensorFlow enforces it.
        self.limit.filter(|_| unbounded).map(|limit| limit + Duration::from_secs(1))
    }

    /// Records that a run was answered.
    pub(crate) fn answered(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Records that a run was abandoned.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Returns true if an abandoned run still waits.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Returns the error for a master that did not answer in time, with the unreachable tasks of its cluster as far as they can be
    /// determined from here.
    pub(crate) fn unanswered(&self, error: Error) -> Error {
        let target = &self.target;
        let why = match &self.cluster {
            Some(cluster) => match missing(cluster).as_slice() {
                [] => "all tasks of its cluster can be reached; one of them may be hung".to_owned(),
                missing => {
                    let listed: Vec<String> = missing.iter().map(ToString::to_string).collect();
                    format!("of its cluster cannot be reached: {}", listed.join(", "))
                }
            },
            None => match reach(target.trim_start_matches("grpc://")) {
                Ok(()) => "its port can be reached: it may wait for another task of the cluster".to_owned(),
                Err(reason) => format!("its port cannot be reached: {reason}"),
            },
        };
        let text = format!("the master {target} did not answer within the time limit; {why}");
        log::warn!("{}", escaped(&text));
        Error::new(Code::Unavailable, text).with_source(error)
    }
}

/// A task that does not answer.
struct Missing {
    /// The job of the task.
    job: String,
    /// The index in the job.
    index: usize,
    /// The address from the cluster.
    address: String,
    /// The error of the system for the address.
    reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { job, index, address, reason } = self;
        write!(f, "{job}/{index} at {address} ({reason})")
    }
}

/// Returns the tasks whose ports do not answer. All are tried at the same time.
fn missing(cluster: &ClusterSpec) -> Vec<Missing> {
    let tasks = || cluster.tasks();
    std::thread::scope(|scope| {
        let asked: Vec<_> = tasks()
            .map(|(job, index, address)| {
                let answer = scope.spawn(move || reach(address));
                (job, index, address, answer)
            })
            .collect();
        let missing = asked.into_iter().filter_map(|(job, index, address, answer)| {
            // If the check itself failed, the task is assumed to be reachable.
            let reason = answer.join().ok()?.err()?;
            Some(Missing { job: job.to_owned(), index, address: address.to_owned(), reason })
        });
        missing.collect()
    })
}

/// Fails with the reason if no port of an address answers.
/// A connection proves only that something listens there. Each address of a host is tried for [`PATIENCE`].
fn reach(address: &str) -> Result<(), String> {
    let addresses =
        address.to_socket_addrs().map_err(|error| format!("its host cannot be resolved: {error}"))?;
    let mut reason = "its host has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn missing_tasks_are_named() {
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let (here_at, gone_at) =
            (here.local_addr().unwrap().to_string(), gone.local_addr().unwrap().to_string());
        drop(gone);
        let cluster = ClusterSpec::new().job("worker", [here_at.clone()]).job("ps", [gone_at.clone()]);
        let cluster = cluster.task("ps", 1, "no-such-host.invalid:1");
        serves("grpc://a-test", &cluster);
        let creation = Creation::new("grpc://a-test", Some(Duration::from_secs(5)));
        assert_eq!(creation.limit(), Some(Duration::from_secs(6)));
        let error = creation.unanswered(Error::new(Code::DeadlineExceeded, "late"));
        assert_eq!(error.code(), Code::Unavailable);
        let text = error.message();
        assert!(text.contains(&format!("ps/0 at {gone_at}")) && text.contains("ps/1"), "{text}");
        assert!(!text.contains(&here_at), "{text}");
        creation.answered();
        assert_eq!(creation.limit(), None, "TensorFlow bounds the runs of a session that is made");
        let other = Creation::new(&format!("grpc://{here_at}"), Some(Duration::from_secs(5)));
        assert_eq!(other.limit(), None);
        let error = other.unanswered(Error::new(Code::DeadlineExceeded, "late"));
        assert!(error.message().contains("can be reached"), "{error}");
    }
}
