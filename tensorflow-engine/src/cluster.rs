//! Clusters and their servers.

use crate::Library;
use crate::ffi::NativeServer;
use crate::messages::{ClusterDef, ConfigProto, JobDef, ServerDef};
use prost::Message;
use session_core::{Error, Result, SessionConfig};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The jobs of a cluster, each with the addresses of its tasks (`tf.train.ClusterSpec`).
///
/// ```
/// use tensorflow_engine::ClusterSpec;
/// let cluster: ClusterSpec = "ps=host1:2222,worker=host2:2222,worker=host3:2222".parse()?;
/// assert_eq!(cluster.num_tasks("worker"), 2);
/// assert_eq!(cluster.address("worker", 1), Some("host3:2222"));
/// assert_eq!(cluster.to_string(), "ps=host1:2222,worker=host2:2222,worker=host3:2222");
/// assert!("worker=nowhere".parse::<ClusterSpec>().is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSpec {
    /// The address of each task, by job and index. Indices need not be contiguous.
    jobs: BTreeMap<String, BTreeMap<usize, String>>,
}

impl ClusterSpec {
    /// Creates a cluster without jobs.
    #[must_use]
    pub fn new() -> ClusterSpec {
        ClusterSpec::default()
    }

    /// Adds a job whose tasks 0, 1, 2 and so on have these addresses, `host:port`. Replaces a job of the same name.
    ///
    /// ```
    /// use tensorflow_engine::ClusterSpec;
    /// let cluster = ClusterSpec::new().job("ps", ["host0:2222"]).job("worker", ["host1:2222", "host2:2222"]);
    /// assert_eq!(cluster.num_tasks("worker"), 2);
    /// ```
    #[must_use]
    pub fn job<A: Into<String>>(
        mut self,
        name: impl Into<String>,
        addresses: impl IntoIterator<Item = A>,
    ) -> ClusterSpec {
        let tasks = addresses.into_iter().map(Into::into).enumerate().collect();
        self.jobs.insert(name.into(), tasks);
        self
    }

    /// Adds one task of a job, for jobs of which only some tasks are known.
    ///
    /// ```
    /// use tensorflow_engine::ClusterSpec;
    /// // A worker needs the addresses of the tasks that it talks to, not those of other workers.
    /// let cluster = ClusterSpec::new().job("ps", ["host0:2222"]).task("worker", 5, "host5:2222");
    /// assert_eq!(cluster.address("worker", 5), Some("host5:2222"));
    /// ```
    #[must_use]
    pub fn task(mut self, job: impl Into<String>, index: usize, address: impl Into<String>) -> ClusterSpec {
        self.jobs.entry(job.into()).or_default().insert(index, address.into());
        self
    }

    /// Iterates over the names of the jobs, sorted.
    ///
    /// ```
    /// use tensorflow_engine::ClusterSpec;
    /// let cluster = ClusterSpec::new().job("worker", ["host1:2222"]).job("ps", ["host0:2222"]);
    /// assert_eq!(cluster.jobs().count(), 2);
    /// ```
    pub fn jobs(&self) -> impl Iterator<Item = &str> {
        self.jobs.keys().map(String::as_str)
    }

    /// Returns the number of known tasks of a job; 0 for an unknown job.
    #[must_use]
    pub fn num_tasks(&self, job: &str) -> usize {
        self.jobs.get(job).map_or(0, BTreeMap::len)
    }

    /// Returns the address of a task.
    #[must_use]
    pub fn address(&self, job: &str, index: usize) -> Option<&str> {
        self.jobs.get(job)?.get(&index).map(String::as_str)
    }

    /// Iterates over all tasks with their job, index and address.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        self.jobs.iter().flat_map(|(job, tasks)| {
            tasks.iter().map(move |(&index, address)| (job.as_str(), index, address.as_str()))
        })
    }

    /// Converts the cluster to TensorFlow's message.
    fn to_proto(&self) -> ClusterDef {
        let job = |(name, tasks): (&String, &BTreeMap<usize, String>)| JobDef {
            name: name.clone(),
            tasks: tasks
                .iter()
                .map(|(&index, address)| (i32::try_from(index).unwrap_or(i32::MAX), address.clone()))
                .collect(),
        };
        ClusterDef { job: self.jobs.iter().map(job).collect() }
    }
}

/// Parses `job=host:port` pairs, separated by commas; a job with several tasks is named several times.
impl FromStr for ClusterSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<ClusterSpec> {
        let mut cluster = ClusterSpec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((job, address)) = pair.split_once('=') else {
                return Err(Error::value(format!(
                    "'{pair}' is not a task of a cluster: it must have the form job=host:port"
                )));
            };
            let port =
                address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
            if job.is_empty() || port.is_none_or(|(host, _)| host.is_empty()) {
                return Err(Error::value(format!(
                    "'{pair}' is not a task of a cluster: it must have the form job=host:port"
                )));
            }
            let index = cluster.num_tasks(job);
            cluster = cluster.task(job, index, address);
        }
        if cluster.jobs.is_empty() {
            return Err(Error::value("a cluster needs at least one task, such as worker=host:2222"));
        }
        Ok(cluster)
    }
}

impl fmt::Display for ClusterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks =
            self.jobs.iter().flat_map(|(job, tasks)| tasks.values().map(move |address| (job, address)));
        for (i, (job, address)) in tasks.enumerate() {
            write!(f, "{}{job}={address}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A task of a cluster, served by this process (`tf.train.Server`).
///
/// TensorFlow cannot stop a server that was started: it runs as long as the process, even if this value is dropped. Run each
/// server in a separate process, such as `monitored server`.
///
/// TensorFlow's servers listen on all network interfaces, whatever host the cluster has for the task, and have no
/// authentication: anyone who can reach the port can run any graph in this process. Use them only in trusted networks.
///
/// ```no_run
/// use tensorflow_engine::{ClusterSpec, Server, TensorFlowEngine};
/// use session_core::SessionConfig;
///
/// # fn main() -> session_core::Result<()> {
/// let engine = TensorFlowEngine::new()?;
/// let cluster = ClusterSpec::new().job("worker", ["localhost:2222"]);
/// let server = Server::start(engine.library(), &cluster, "worker", 0, &SessionConfig::default())?;
/// println!("sessions can use the target {}", server.target());
/// server.join()
/// # }
/// ```
pub struct Server {
    /// The started server.
    native: NativeServer,
    /// The target of sessions that use the server.
    target: String,
}

impl Server {
    /// Starts the server of one task of a cluster.
    ///
    /// # Errors
    /// A key error for a task that is not in the cluster; `Unknown` if its port is in use.
    pub fn start(
        library: &Library,
        cluster: &ClusterSpec,
        job: &str,
        index: usize,
        config: &SessionConfig,
    ) -> Result<Server> {
        let Some(address) = cluster.address(job, index) else {
            return Err(Error::key(format!("the cluster '{cluster}' has no task {index} of job '{job}'")));
        };
        let server_def = ServerDef {
            cluster: Some(cluster.to_proto()),
            job_name: job.to_owned(),
            task_index: i32::try_from(index).unwrap_or(i32::MAX),
            default_session_config: Some(ConfigProto::new(config)),
            protocol: "grpc".to_owned(),
        };
        let failed = |error: Error| {
            error.context(format!("the server of {job}/{index} at {address} could not be started"))
        };
        let native = NativeServer::new(library.api(), &server_def.encode_to_vec()).map_err(failed)?;
        native.start().map_err(failed)?;
        let target = native.target();
        crate::creation::serves(&target, cluster);
        Ok(Server { native, target })
    }

    /// Returns the target of sessions with this server as their master, such as `grpc://localhost:2222`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// Returns the errors of the server.
    pub fn join(&self) -> Result<()> {
        self.native.join()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("target", &self.target).finish_non_exhaustive()
    }
}
