//! The processes of a cluster.

use monitored_session::tensorflow_engine::{ClusterSpec, Library};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The time after which a process counts as hanging, and the test fails. No successful test waits for it.
const PATIENCE: Duration = Duration::from_secs(150);

/// Returns true if TensorFlow is installed; otherwise reports that the test is skipped.
pub(crate) fn available() -> bool {
    match Library::find() {
        Ok(_) => true,
        Err(error) => {
            crate::python::skipped(error);
            false
        }
    }
}

/// The range of the search for free ports: below the ports that systems assign to outgoing connections, one of which could take
/// the port of a process while it restarts.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Returns a cluster of one parameter server and `workers` workers at free ports of this machine.
pub(crate) fn cluster(workers: usize) -> ClusterSpec {
    cluster_of(1, workers)
}

/// Returns a cluster of several parameter servers and workers at free ports of this machine.
pub(crate) fn cluster_of(ps: usize, workers: usize) -> ClusterSpec {
    // Each cluster of this process starts at another port; those of other test processes rarely collide.
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let (span, begin) =
        (u32::from(PORTS.end - PORTS.start), std::process::id().wrapping_mul(97).wrapping_add(made * 16));
    let ports = (0..span).map(|offset| PORTS.start + ((begin % span + offset) % span) as u16);
    // All ports are held at the same time, so that each is used once.
    let free = ports.filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let held: Vec<TcpListener> = free.take(ps + workers).collect();
    let addresses: Vec<String> =
        held.iter().map(|listener| format!("127.0.0.1:{}", listener.local_addr().unwrap().port())).collect();
    ClusterSpec::new().job("ps", addresses[..ps].to_vec()).job("worker", addresses[ps..].to_vec())
}

/// A process with a role. Killed on drop.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    name: String,
}

impl Process {
    /// Starts a role for a task of a cluster; `folder` is the folder of checkpoints.
    pub(crate) fn start(
        role: &str,
        cluster: &ClusterSpec,
        job: &str,
        index: usize,
        folder: &Path,
    ) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "distributed::process", "--nocapture", "--quiet"]);
        command.env("DISTRIBUTED_ROLE", role).env("DISTRIBUTED_FOLDER", folder);
        Process::of(command, cluster, job, index, format!("{role} {job}/{index}"))
    }

    /// Starts a task of a cluster in Python: a server, and for a worker the synchronous training of the role `replica`.
    pub(crate) fn start_python(python: &Path, cluster: &ClusterSpec, job: &str, index: usize) -> Process {
        let mut command = Command::new(python);
        command.args(["-c", include_str!("replica.py")]);
        Process::of(command, cluster, job, index, format!("Python's {job}/{index}"))
    }

    fn of(mut command: Command, cluster: &ClusterSpec, job: &str, index: usize, name: String) -> Process {
        command.env("DISTRIBUTED_CLUSTER", cluster.to_string()).env("TF_CPP_MIN_LOG_LEVEL", "2");
        command.env("DISTRIBUTED_JOB", job).env("DISTRIBUTED_INDEX", index.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The output of the test harness has no mark.
                if let Some(line) = line.split_once("@@").map(|(_, line)| line.to_owned())
                    && sender.send(line).is_err()
                {
                    return;
                }
            }
        });
        let process = Process { child, input, lines, name };
        assert_eq!(process.line(), "ready", "{}", process.name);
        process
    }

    /// Returns the next line of the process.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{} printed nothing: {error}", self.name))
    }

    /// Sends a line to the process.
    pub(crate) fn tell(&mut self, what: &str) {
        writeln!(self.input, "{what}").unwrap();
        self.input.flush().unwrap();
    }

    /// Sends a line to the process and returns its answer.
    pub(crate) fn ask(&mut self, what: &str) -> String {
        self.tell(what);
        self.line()
    }

    /// Kills the process with SIGKILL and waits for its end.
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
