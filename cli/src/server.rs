//! A process that serves a task of a cluster.

use crate::output::{Outcome, Result};
use monitored_session::session_core::SessionConfig;
use monitored_session::tensorflow_engine::{ClusterSpec, Library, Server};
use std::io::Write;
use std::path::PathBuf;

/// Serve a task of a cluster with TensorFlow's runtime, until the process is ended.
///
/// Prints the target of sessions, such as `grpc://localhost:2222`, once it serves.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The tasks of the cluster: job=host:port, separated by commas, a job with several tasks named several times.
    #[arg(long, value_name = "TASKS")]
    cluster: ClusterSpec,
    /// The job that this process serves.
    #[arg(long)]
    job: String,
    /// Which of the job's tasks it is.
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// TensorFlow's library, or the folder that holds it. Default: it is looked for.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let library = match &self.library {
            Some(path) => Library::load(path)?,
            None => Library::find()?,
        };
        let config = SessionConfig::default();
        let server = Server::start(&library, &self.cluster, &self.job, self.index, &config)?;
        writeln!(out, "{}", server.target())?;
        out.flush()?;
        server.join()?;
        Ok(Outcome::Good)
    }
}
