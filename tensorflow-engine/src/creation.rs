//! The creation of a session on a server, which waits for every task of the cluster.
//!
//! TensorFlow makes a session on a server in the first run, and its master then waits until all tasks have answered. A
//! master of this very process does so for ever, whatever time limit is set: so such a run is bounded here.

use crate::ClusterSpec;
use session_core::{Code, Error};
use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The clusters of the servers of this process, by the servers' targets. Guards the list alone.
static SERVED: Mutex<Vec<(String, ClusterSpec)>> = Mutex::new(Vec::new());

/// Remembers the cluster of a server of this process.
pub(crate) fn serves(target: &str, cluster: &ClusterSpec) {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner).push((target.to_owned(), cluster.clone()));
}

fn served(target: &str) -> Option<ClusterSpec> {
    let served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    served.iter().rev().find(|(known, _)| known == target).map(|(_, cluster)| cluster.clone())
}

/// A session's way to its master.
pub(crate) struct Creation {
    target: String,
    /// Of a server of this process.
    cluster: Option<ClusterSpec>,
    limit: Option<Duration>,
    /// A run was answered: all tasks were there.
    done: AtomicBool,
    /// A run was given up that still waits.
    abandoned: AtomicBool,
}

/// A task is there if its port answers within this time.
const PATIENCE: Duration = Duration::from_secs(2);

impl Creation {
    pub(crate) fn new(target: &str, limit: Option<Duration>) -> Creation {
        let cluster = served(target);
        let (done, abandoned) = (AtomicBool::new(false), AtomicBool::new(false));
        Creation { target: target.to_owned(), cluster, limit, done, abandoned }
    }

    /// The master's.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// How long a run may take that TensorFlow itself does not bound.
    pub(crate) fn limit(&self) -> Option<Duration> {
        let unbounded = self.cluster.is_some() && !self.done.load(Ordering::Relaxed);
        // Later than TensorFlow's own limit, where that is kept.
        self.limit.filter(|_| unbounded).map(|limit| limit + Duration::from_secs(1))
    }

    /// A run was answered.
    pub(crate) fn answered(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// A run was given up.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether a run still waits that nobody waits for.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// The error for a master that did not answer in time: what of its cluster is missing, as far as that can be seen
    /// from here.
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
        let text = format!("the master {target} did not answer in time; {why}");
        log::warn!("{text}");
        Error::new(Code::Unavailable, text).with_source(error)
    }
}

/// A task that does not answer.
struct Missing {
    job: String,
    index: usize,
    address: String,
    reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { job, index, address, reason } = self;
        write!(f, "{job}/{index} at {address} ({reason})")
    }
}

/// The tasks whose ports do not answer, all asked at once.
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
            // A thread that could not tell says nothing against the task.
            let reason = answer.join().ok()?.err()?;
            Some(Missing { job: job.to_owned(), index, address: address.to_owned(), reason })
        });
        missing.collect()
    })
}

/// Whether a port answers, or why not.
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
    fn the_tasks_that_are_missing_are_named() {
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
