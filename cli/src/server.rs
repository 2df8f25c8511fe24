//! `monitored server`: a process that serves a task of a cluster.
//!
//! The server is TensorFlow's own, started through its C API. It cannot be stopped before the process ends, so the
//! command runs until a signal ends it. A warning is printed if the cluster names a local address, which suggests
//! that only local programs should reach the port: TensorFlow listens on all interfaces nevertheless.

use crate::output::{Outcome, Result};
use monitored_session::session_core::SessionConfig;
use monitored_session::tensorflow_engine::{ClusterSpec, Library, Server};
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use tensor::text::escaped;

/// Serve a task of a cluster with TensorFlow's runtime, until the process is ended.
///
/// Prints the target of sessions, such as `grpc://localhost:2222`, once it is ready.
///
/// The server listens on all network interfaces, whatever host the cluster has for the task, and requires no password: anyone
/// who can reach its port can run any graph in this process, and read and write its files. Use it only in trusted networks, or
/// behind a firewall.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The tasks of the cluster: job=host:port, separated by commas; name a job with several tasks several times.
    #[arg(long, value_name = "TASKS")]
    cluster: ClusterSpec,
    /// The job that this process serves.
    #[arg(long)]
    job: String,
    /// The index of the task among the job's tasks.
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// TensorFlow's library, or the folder that contains it. Default: search for it.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
}

/// Returns the host of an address if it is local to this machine.
fn loopback(address: &str) -> Option<&str> {
    let (host, _) = address.rsplit_once(':')?;
    // Addresses of IPv6 are in brackets.
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    (host == "localhost" || number.is_ok_and(|number| number.is_loopback())).then_some(host)
}

impl Arguments {
    /// Starts the server, prints its target, and blocks until the process is ended.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let library = match &self.library {
            Some(path) => Library::load(path)?,
            None => Library::find()?,
        };
        // The user who writes `localhost` expects a private port, which TensorFlow does not give.
        if let Some(host) = self.cluster.address(&self.job, self.index).and_then(loopback) {
            // If this fails, there is no other place to report it.
            let _ = writeln!(
                std::io::stderr(),
                "monitored: note: the server listens on all network interfaces, not on {} alone, and requires no \
                password: anyone who can reach its port can run any graph here",
                escaped(host)
            );
        }
        let config = SessionConfig::default();
        let server = Server::start(&library, &self.cluster, &self.job, self.index, &config)?;
        writeln!(out, "{}", server.target())?;
        // Scripts wait for this line.
        out.flush()?;
        server.join()?;
        Ok(Outcome::Good)
    }
}
