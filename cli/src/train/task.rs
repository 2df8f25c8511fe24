//! The role of a process in a cluster.
//!
//! # Devices
//!
//! With `--cluster`, variables go to the parameter servers in turn, and all other operations to the worker. By
//! default the session sees only the parameter servers and its own worker: a session that sees all workers waits for
//! each of them, and fails with any of them.

use super::engines::EngineName;
use monitored_session::graph_def::proto::GraphDef;
use monitored_session::session_core::{Error, Result, SessionConfig};
use std::time::Duration;

/// The role of the process in distributed training.
#[derive(Debug, clap::Args)]
pub(crate) struct Task {
    /// `true` for the chief, which initializes, restores and saves the model; `false` for a worker, which waits for the chief.
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    pub(crate) is_chief: bool,
    /// The tasks of the cluster, in the form of `monitored server`: places variables on the tasks of job `ps`, and everything else on
    /// this worker, unless the graph has a device (`replica_device_setter`). Requires `--engine tensorflow`.
    #[arg(long, value_name = "TASKS")]
    cluster: Option<String>,
    /// The index of this process among the tasks of the job `worker`.
    #[arg(long, value_name = "N", default_value = "0", requires = "cluster")]
    task_index: usize,
    /// A device that the session may use, such as `/job:ps`. Repeatable. Default with `--cluster`: the parameter servers and this worker,
    /// so that the failure of another worker has no effect; otherwise all devices. Requires `--engine tensorflow`.
    #[arg(long = "device-filter", value_name = "DEVICE")]
    device_filters: Vec<String>,
    /// Ignore the devices that the graph's operations request.
    #[arg(long)]
    pub(crate) clear_devices: bool,
    /// The time that a worker (`--is-chief false`) waits for the chief, in seconds. Default: 7200.
    #[arg(long, value_name = "SECONDS")]
    max_wait: Option<u64>,
}

/// The time between two attempts of a worker while it waits. Shorter than TensorFlow's 30 s, because a chief needs only a moment.
pub(crate) const RECOVERY_WAIT: Duration = Duration::from_secs(1);

impl Task {
    /// Checks that the engine and the role have a use for the options.
    pub(crate) fn check(&self, engine: EngineName) -> Result<()> {
        // Ignored options would give a training that looks distributed and is not.
        let of_clusters = [
            (self.cluster.is_some(), "--cluster"),
            (!self.device_filters.is_empty(), "--device-filter"),
            (!self.is_chief, "--is-chief false"),
        ];
        if let Some((_, option)) = of_clusters.iter().find(|(given, _)| *given)
            && engine == EngineName::Embedded
        {
            let text = format!("{option} needs --engine tensorflow: the embedded engine runs in one process");
            return Err(Error::value(text));
        }
        if self.is_chief && self.max_wait.is_some() {
            return Err(Error::value(
                "--max-wait is the time of a worker (--is-chief false); a chief does not wait",
            ));
        }
        Ok(())
    }

    /// Returns the time that a worker waits for the chief.
    pub(crate) fn max_wait(&self) -> Duration {
        Duration::from_secs(self.max_wait.unwrap_or(7200))
    }

    /// Returns the configuration of the session: by default with device filters, so that a worker does not depend on
    /// other workers.
    pub(crate) fn config(&self) -> SessionConfig {
        let device_filters = match &self.cluster {
            // A session that sees another worker waits for it, and fails with it.
            Some(_) if self.device_filters.is_empty() => vec!["/job:ps".to_owned(), self.device()],
            _ => self.device_filters.clone(),
        };
        SessionConfig::default().device_filters(device_filters)
    }

    /// Returns the tasks of the cluster and the device of this task, if there is a cluster.
    #[cfg(feature = "tensorflow")]
    pub(crate) fn placement(&self) -> Option<(&str, String)> {
        self.cluster.as_deref().map(|cluster| (cluster, self.device()))
    }

    /// Returns the name of this worker's device.
    fn device(&self) -> String {
        format!("/job:worker/task:{}", self.task_index)
    }
}

/// Removes the devices from a graph and its functions.
pub(crate) fn clear_devices(graph: &mut GraphDef) {
    graph.node.iter_mut().for_each(|node| node.device.clear());
    let functions = graph.library.iter_mut().flat_map(|library| &mut library.function);
    functions.flat_map(|function| &mut function.node_def).for_each(|node| node.device.clear());
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitored_session::graph_def::proto::{FunctionDef, FunctionDefLibrary, NodeDef};

    #[test]
    fn devices_are_cleared_everywhere() {
        let node = || NodeDef { name: "a".into(), device: "/job:ps/task:0".into(), ..NodeDef::default() };
        let function = FunctionDef { node_def: vec![node()], ..FunctionDef::default() };
        let library = FunctionDefLibrary { function: vec![function], ..FunctionDefLibrary::default() };
        let mut graph = GraphDef { node: vec![node()], library: Some(library), ..GraphDef::default() };
        clear_devices(&mut graph);
        let library = graph.library.unwrap();
        assert!(graph.node.iter().chain(&library.function[0].node_def).all(|node| node.device.is_empty()));
    }

    #[test]
    fn a_worker_sees_the_parameter_servers_and_itself() {
        let task = |cluster: Option<&str>, filters: &[&str]| Task {
            is_chief: true,
            cluster: cluster.map(str::to_owned),
            task_index: 2,
            device_filters: filters.iter().map(|&filter| filter.to_owned()).collect(),
            clear_devices: false,
            max_wait: None,
        };
        assert_eq!(task(Some("ps=a:1"), &[]).config().device_filters, ["/job:ps", "/job:worker/task:2"]);
        assert_eq!(task(Some("ps=a:1"), &["/job:x"]).config().device_filters, ["/job:x"]);
        assert!(task(None, &[]).config().device_filters.is_empty());
        task(None, &[]).check(EngineName::Embedded).unwrap();
        task(Some("ps=a:1"), &["/job:x"]).check(EngineName::Tensorflow).unwrap();
        let worker = Task { is_chief: false, max_wait: Some(5), ..task(None, &[]) };
        worker.check(EngineName::Tensorflow).unwrap();
        let refused = [
            (task(Some("ps=a:1"), &[]), "--cluster needs"),
            (task(None, &["/job:x"]), "--device-filter needs"),
            (worker, "--is-chief false needs"),
            (Task { max_wait: Some(5), ..task(None, &[]) }, "--max-wait is"),
        ];
        for (task, text) in refused {
            let error = task.check(EngineName::Embedded).unwrap_err();
            assert!(error.message().contains(text), "{error}");
        }
    }
}
