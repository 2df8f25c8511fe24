//! The placement of variables and operations on the tasks of a cluster.

use crate::ClusterSpec;
use session_core::{AttrValue, DType, OpId, Operation, Output};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// Places operations without a device on the tasks of a cluster (`tf.train.replica_device_setter`): variables and tables on the
/// parameter servers in turn, in the order of their creation; operations that use a variable on the variable's task; a slot,
/// such as an optimizer's, on the task of its variable; other operations that are colocated by the attribute `_class` on the
/// task of that operation; everything else on a worker. Processes that build the same graph therefore agree on the place of its
/// variables.
///
/// An operation created under [`Graph::device`](session_core::Graph::device) keeps its device. In TensorFlow the setter works
/// while the graph is built; here it belongs to the engine, and is applied when a session takes the graph.
///
/// ```
/// use tensorflow_engine::{ClusterSpec, ReplicaDeviceSetter};
/// let cluster: ClusterSpec = "ps=a:2222,ps=b:2222,worker=c:2222,worker=d:2222".parse()?;
/// let setter = ReplicaDeviceSetter::new(&cluster).worker_device("/job:worker/task:1");
/// assert_eq!(setter.ps_tasks(), 2);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReplicaDeviceSetter {
    /// The number of parameter servers; 0 places everything on a worker.
    ps_tasks: usize,
    /// The job of the parameter servers, to which a task is appended.
    ps_device: String,
    /// The device of everything else.
    worker_device: String,
    /// The op types that are distributed over the parameter servers.
    ps_ops: BTreeSet<String>,
}

/// The op types that are placed on parameter servers.
const PS_OPS: [&str; 9] = [
    "Variable",
    "VariableV2",
    "AutoReloadVariable",
    "MutableHashTable",
    "MutableHashTableV2",
    "MutableHashTableOfTensors",
    "MutableHashTableOfTensorsV2",
    "MutableDenseHashTable",
    "MutableDenseHashTableV2",
];

impl ReplicaDeviceSetter {
    /// Creates a setter with as many parameter servers as the cluster's job `ps` has tasks, and the devices `/job:ps` and
    /// `/job:worker`.
    ///
    /// ```
    /// use tensorflow_engine::{ClusterSpec, ReplicaDeviceSetter};
    /// let cluster = ClusterSpec::new().job("ps", ["host0:2222", "host1:2222"]).job("worker", ["host2:2222"]);
    /// assert_eq!(ReplicaDeviceSetter::new(&cluster).ps_tasks(), 2);
    /// ```
    #[must_use]
    pub fn new(cluster: &ClusterSpec) -> ReplicaDeviceSetter {
        let variables = PS_OPS.iter().chain(&["VarHandleOp"]);
        ReplicaDeviceSetter {
            ps_tasks: cluster.num_tasks("ps"),
            ps_device: "/job:ps".to_owned(),
            worker_device: "/job:worker".to_owned(),
            ps_ops: variables.map(|&op_type| op_type.to_owned()).collect(),
        }
    }

    /// Sets the device of everything that is not on a parameter server. Default: `/job:worker`, which leaves the task open.
    ///
    /// ```
    /// use tensorflow_engine::{ClusterSpec, ReplicaDeviceSetter};
    /// let cluster = ClusterSpec::new().job("ps", ["host0:2222"]).job("worker", ["host1:2222", "host2:2222"]);
    /// let setter = ReplicaDeviceSetter::new(&cluster).worker_device("/job:worker/task:1");
    /// # let _ = setter;
    /// ```
    #[must_use]
    pub fn worker_device(mut self, device: impl Into<String>) -> ReplicaDeviceSetter {
        self.worker_device = device.into();
        self
    }

    /// Sets the job of the parameter servers. Default: `/job:ps`.
    ///
    /// ```
    /// use tensorflow_engine::{ClusterSpec, ReplicaDeviceSetter};
    /// let cluster = ClusterSpec::new().job("ps", ["host0:2222"]).job("worker", ["host1:2222"]);
    /// let setter = ReplicaDeviceSetter::new(&cluster).ps_device("/job:ps/cpu:0");
    /// # let _ = setter;
    /// ```
    #[must_use]
    pub fn ps_device(mut self, device: impl Into<String>) -> ReplicaDeviceSetter {
        self.ps_device = device.into();
        self
    }

    /// Sets the op types that are placed on parameter servers. Default: variables and mutable tables.
    #[must_use]
    pub fn ps_ops<S: Into<String>>(mut self, op_types: impl IntoIterator<Item = S>) -> ReplicaDeviceSetter {
        self.ps_ops = op_types.into_iter().map(Into::into).collect();
        self
    }

    /// Returns the number of parameter servers. Without any, everything is placed on a worker.
    #[must_use]
    pub fn ps_tasks(&self) -> usize {
        self.ps_tasks
    }
}

/// The state of a setter for one graph: the assigned tasks, in the order of the operations.
pub(crate) struct Placement {
    /// The rules.
    setter: ReplicaDeviceSetter,
    /// The number of operations that were placed on parameter servers so far, which determines the next task.
    next_task: usize,
    /// The assigned devices.
    devices: HashMap<OpId, String>,
}

impl Placement {
    /// Creates the state for a graph of which nothing is placed yet.
    pub(crate) fn new(setter: ReplicaDeviceSetter) -> Placement {
        Placement { setter, next_task: 0, devices: HashMap::new() }
    }

    /// Returns the device of the next operation, in order; for an earlier operation, the assigned device.
    pub(crate) fn device(&mut self, operation: &Operation) -> String {
        if let Some(known) = self.devices.get(&operation.id()) {
            return known.clone();
        }
        let device = self.choose(operation);
        self.devices.insert(operation.id(), device.clone());
        device
    }

    /// Chooses a device, in this order: the operation's own, that of its colocation, that of a variable that it uses, a parameter server in
    /// turn for variables and their like, the worker for everything else.
    fn choose(&mut self, operation: &Operation) -> String {
        if !operation.device().is_empty() {
            return operation.device().to_owned();
        }
        if let Some(device) = self.colocated(operation) {
            return device;
        }
        // References and handles can only be used where the variable is.
        let stateful = |input: &&Output| input.is_ref() || input.dtype() == DType::Resource;
        let inputs = operation.inputs();
        if let Some(device) =
            inputs.iter().find(stateful).and_then(|input| self.devices.get(&input.operation().id()))
        {
            return device.clone();
        }
        if self.setter.ps_tasks == 0 || !self.setter.ps_ops.contains(operation.op_type()) {
            return self.setter.worker_device.clone();
        }
        let task = self.next_task % self.setter.ps_tasks;
        self.next_task += 1;
        format!("{}/task:{task}", self.setter.ps_device)
    }
}

impl Placement {
    /// Returns the device of the operation that this one is colocated with. An operation that is created later has no device yet
    /// and does not count, unless it requests one.
    fn colocated(&mut self, operation: &Operation) -> Option<String> {
        let places = operation.attr("_class").and_then(AttrValue::as_list)?.iter();
        for name in places.filter_map(|place| place.as_str()?.strip_prefix("loc:@")) {
            let Ok(other) = operation.graph().operation(name) else { continue };
            if other.id() < operation.id() {
                return Some(self.device(&other));
            }
            if other.id() != operation.id() && !other.device().is_empty() {
                return Some(other.device().to_owned());
            }
        }
        None
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement").field("setter", &self.setter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::global_step::get_or_create_global_step;
    use ops::initializers::zeros;
    use ops::math::{reduce_sum, square};
    use ops::optimizers::{AdamOptimizer, MomentumOptimizer, Optimizer};
    use ops::variables::{VariableBuilder, VariableExt, get_variable, variable};
    use session_core::{Graph, SliceInfo, Variable};

    #[test]
    fn variables_are_distributed_and_keep_their_operations() {
        let graph = Graph::new();
        let (a, b) = (variable(&graph.named("a"), 1.0f32), variable(&graph.named("b"), 2.0f32));
        let c = variable(&graph.device("/job:worker/task:0").named("c"), 3.0f32);
        let sum = &a + &b;
        let update = b.assign(&sum);
        let cluster: ClusterSpec = "ps=h:1,ps=h:2,worker=h:3".parse().unwrap();
        let setter = ReplicaDeviceSetter::new(&cluster).worker_device("/job:worker/task:7");
        let mut placement = Placement::new(setter);
        let devices: HashMap<String, String> =
            graph.operations().iter().map(|op| (op.name().to_owned(), placement.device(op))).collect();
        let of = |operation: &Operation| devices[operation.name()].as_str();
        assert_eq!(of(a.handle().operation()), "/job:ps/task:0");
        assert_eq!(of(a.initializer()), "/job:ps/task:0");
        assert_eq!(of(b.handle().operation()), "/job:ps/task:1");
        assert_eq!(of(sum.operation()), "/job:worker/task:7");
        assert_eq!(of(c.handle().operation()), "/job:worker/task:0");
        let assign = graph
            .operations()
            .into_iter()
            .find(|op| op.op_type() == "AssignVariableOp" && op.id() > sum.operation().id());
        assert_eq!(of(&assign.unwrap()), "/job:ps/task:1");
        drop(update);
    }

    /// Returns the tasks that the setter assigns to a graph's variables, by name.
    fn tasks(graph: &Graph) -> HashMap<String, String> {
        let cluster: ClusterSpec = "ps=h:1,ps=h:2,worker=h:3".parse().unwrap();
        let mut placement = Placement::new(ReplicaDeviceSetter::new(&cluster));
        let place = |op: &Operation| (op.name().to_owned(), placement.device(op));
        graph.operations().iter().map(place).collect()
    }

    /// Creates a variable of four rows in two parts.
    fn parts(graph: &Graph, name: &str) -> Vec<Variable> {
        let part = |first: usize| {
            let slice = SliceInfo {
                full_name: name.to_owned(),
                full_shape: vec![4, 3],
                offset: vec![first, 0],
                shape: vec![2, 3],
            };
            let named = graph.named(&format!("{name}/part_{}", first / 2));
            VariableBuilder::new(&named).initializer([2, 3], DType::Float32, &zeros()).slice(slice).build()
        };
        vec![part(0), part(2)]
    }

    /// The tasks are the same as those of `tf.train.replica_device_setter` for these variables.
    #[test]
    fn slots_are_placed_with_their_variables() {
        for partitioned in [false, true] {
            let graph = Graph::new();
            let step = get_or_create_global_step(&graph);
            let mut all = match partitioned {
                true => parts(&graph, "w"),
                false => vec![get_variable(&graph, "w", [4, 3], DType::Float32, &zeros())],
            };
            all.push(get_variable(&graph, "b", [3], DType::Float32, &zeros()));
            let sums: Vec<Output> = all.iter().map(|v| reduce_sum(square(v), ..)).collect();
            let loss = ops::math::add_n(&sums);
            let adam = AdamOptimizer::new(0.1);
            let _ = adam.minimize(&loss, Some(&step));
            let momentum = MomentumOptimizer::new(0.1, 0.9);
            let _ = momentum.minimize(&loss, Some(&step));
            graph.check().unwrap();

            let tasks = tasks(&graph);
            let task = |name: &str| tasks[name].as_str();
            assert_eq!(task("global_step"), "/job:ps/task:0");
            let expected: &[(&str, &str)] = match partitioned {
                true => {
                    &[("w/part_0", "/job:ps/task:1"), ("w/part_1", "/job:ps/task:0"), ("b", "/job:ps/task:1")]
                }
                false => &[("w", "/job:ps/task:1"), ("b", "/job:ps/task:0")],
            };
            for (name, device) in expected {
                for slot in ["", "/Adam", "/Adam_1", "/Momentum", "/Adam/Assign", "/Adam/Read/ReadVariableOp"]
                {
                    assert_eq!(task(&format!("{name}{slot}")), *device, "{name}{slot}");
                }
            }
            for power in ["beta1_power", "beta2_power"] {
                assert_eq!(task(power), task("b"), "with the first variable by name");
            }
            // All handles of an update are on one task.
            for update in graph.operations().iter().filter(|op| op.op_type().starts_with("ResourceApply")) {
                let handles = update.inputs().into_iter().filter(|input| input.dtype() == DType::Resource);
                for handle in handles {
                    assert_eq!(task(handle.operation().name()), task(update.name()), "{}", update.name());
                }
            }
        }
    }
}
