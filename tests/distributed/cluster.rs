//! Processes of a cluster, as the tests see them.

use monitored_session::tensorflow_engine::{ClusterSpec, Library};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Beyond this a process counts as hanging, and the test fails. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(150);

/// Whether TensorFlow is on this machine; says so if it is not.
pub(crate) fn available() -> bool {
    match Library::find() {
        Ok(_) => true,
        Err(error) => {
            crate::skipped::skipped(error);
            false
        }
    }
}

/// Where the search for free ports begins and ends: below those that systems give to outgoing connections, one of which could
/// take the port of a process while it is being started again.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A cluster of one parameter server and so many workers at free ports of this machine.
pub(crate) fn cluster(workers: usize) -> ClusterSpec {
    cluster_of(1, workers)
}

/// A cluster of so many parameter servers and workers at free ports of this machine.
pub(crate) fn cluster_of(ps: usize, workers: usize) -> ClusterSpec {
    // No two clusters of this process begin at one port, and those of other test processes hardly.
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let (span, begin) =
        (u32::from(PORTS.end - PORTS.start), std::process::id().wrapping_mul(97).wrapping_add(made * 16));
    let ports = (0..span).map(|offset| PORTS.start + ((begin % span + offset) % span) as u16);
    // All are held at once, so that none is given twice.
    let free = ports.filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let held: Vec<TcpListener> = free.take(ps + workers).collect();
    let addresses: Vec<String> =
        held.iter().map(|listener| format!("127.0.0.1:{}", listener.local_addr().unwrap().port())).collect();
    ClusterSpec::new().job("ps", addresses[..ps].to_vec()).job("worker", addresses[ps..].to_vec())
}

/// A process in a role. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    name: String,
}

impl Process {
    /// Starts a role for a task of a cluster; `folder` is where checkpoints are.
    pub(crate) fn start(
        role: &str,
        cluster: &ClusterSpec,
        job: &str,
        index: usize,
        folder: &Path,
    ) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process", "--nocapture", "--quiet"]);
        command.env("DISTRIBUTED_ROLE", role).env("DISTRIBUTED_CLUSTER", cluster.to_string());
        command.env("DISTRIBUTED_JOB", job).env("DISTRIBUTED_INDEX", index.to_string());
        command.env("DISTRIBUTED_FOLDER", folder).env("TF_CPP_MIN_LOG_LEVEL", "2");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // What the test harness prints has no mark.
                if let Some(line) = line.split_once("@@").map(|(_, line)| line.to_owned())
                    && sender.send(line).is_err()
                {
                    return;
                }
            }
        });
        let name = format!("{role} {job}/{index}");
        let process = Process { child, input, lines, name };
        assert_eq!(process.line(), "ready", "{}", process.name);
        process
    }

    /// The next line that the process says.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{} says nothing: {error}", self.name))
    }

    /// Tells the process something.
    pub(crate) fn tell(&mut self, what: &str) {
        writeln!(self.input, "{what}").unwrap();
        self.input.flush().unwrap();
    }

    /// Tells the process something and gives what it answers.
    pub(crate) fn ask(&mut self, what: &str) -> String {
        self.tell(what);
        self.line()
    }

    /// SIGKILL, and the end of the process.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
