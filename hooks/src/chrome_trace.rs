//! Traces of runs for the viewers of Chrome and Perfetto.

use serde_json::{Value, json};
use session_core::{Graph, OpStats, RunMetadata};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Options of [`chrome_trace`].
///
/// ```
/// use hooks::TraceOptions;
/// let options = TraceOptions::default().memory(true);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TraceOptions {
    dataflow: bool,
    memory: bool,
}

impl Default for TraceOptions {
    fn default() -> TraceOptions {
        TraceOptions { dataflow: true, memory: false }
    }
}

impl TraceOptions {
    /// Sets whether arrows lead from each operation to those that use its outputs. Default: true.
    ///
    /// ```
    /// use hooks::TraceOptions;
    /// let options = TraceOptions::default().dataflow(false);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn dataflow(mut self, dataflow: bool) -> TraceOptions {
        self.dataflow = dataflow;
        self
    }

    /// Sets whether the trace shows the number of bytes that outputs hold over time. Default: false.
    ///
    /// ```
    /// use hooks::TraceOptions;
    /// let options = TraceOptions::default().memory(true);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn memory(mut self, memory: bool) -> TraceOptions {
        self.memory = memory;
        self
    }
}

/// Returns the operations of a traced run in the JSON format of `chrome://tracing` and Perfetto: one process for each
/// device, one row for each thread, times in microseconds since the start of the run.
///
/// Operations that an engine fused appear as one. The graph tells which operation uses which outputs.
///
/// ```
/// use hooks::{TraceOptions, chrome_trace};
/// use session_core::{Graph, OpStats, RunMetadata};
/// use std::time::Duration;
/// let stats = OpStats {
///     node: "loss".into(), op_type: "Mean".into(), device: "/cpu:0".into(),
///     elapsed: Duration::from_micros(7), ..OpStats::default()
/// };
/// let metadata = RunMetadata { step_stats: vec![stats], ..RunMetadata::default() };
/// let trace = chrome_trace(&metadata, &Graph::new(), TraceOptions::default());
/// assert!(trace.contains(r#""name":"Mean""#) && trace.contains(r#""dur":7.0"#));
/// ```
#[must_use]
pub fn chrome_trace(metadata: &RunMetadata, graph: &Graph, options: TraceOptions) -> String {
    let trace = Trace::of(&metadata.step_stats, graph);
    let mut events = trace.processes();
    events.extend(trace.stats.iter().map(|stats| trace.operation(stats)));
    if options.dataflow {
        events.extend(trace.flows());
    }
    if options.memory {
        events.extend(trace.memory());
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ns" }).to_string()
}

struct Trace<'a> {
    stats: &'a [OpStats],
    /// The devices, numbered in the order of their names.
    devices: BTreeMap<&'a str, usize>,
    /// For each item of `stats`, the indices of the operations whose outputs it uses.
    inputs: Vec<Vec<usize>>,
}

fn micros(time: Duration) -> f64 {
    // The format's unit is the microsecond; fractions keep the nanoseconds of short kernels.
    time.as_nanos() as f64 / 1e3
}

fn end(stats: &OpStats) -> Duration {
    stats.start + stats.elapsed
}

impl<'a> Trace<'a> {
    fn of(stats: &'a [OpStats], graph: &Graph) -> Trace<'a> {
        // Sorted, so that the same devices get the same numbers in every trace of a training.
        let names: std::collections::BTreeSet<&str> =
            stats.iter().map(|stats| stats.device.as_str()).collect();
        let devices = names.into_iter().enumerate().map(|(number, name)| (name, number)).collect();
        Trace { stats, devices, inputs: inputs(stats, graph) }
    }

    fn pid(&self, stats: &OpStats) -> usize {
        // Every device of `stats` is in the table, so the default is never taken.
        self.devices.get(stats.device.as_str()).copied().unwrap_or(0)
    }

    fn processes(&self) -> Vec<Value> {
        let process = |(name, pid): (&&str, &usize)| json!({ "name": "process_name", "ph": "M", "pid": pid, "args": { "name": name } });
        self.devices.iter().map(process).collect()
    }

    fn operation(&self, stats: &OpStats) -> Value {
        json!({
            "name": stats.op_type,
            "cat": "Op",
            "ph": "X",
            "pid": self.pid(stats),
            "tid": stats.thread,
            "ts": micros(stats.start),
            "dur": micros(stats.elapsed),
            "args": { "name": stats.node, "op": stats.op_type, "output_bytes": stats.output_bytes },
        })
    }

    fn flows(&self) -> Vec<Value> {
        let edges = self.inputs.iter().enumerate();
        let edges = edges.flat_map(|(user, inputs)| inputs.iter().map(move |&input| (input, user)));
        edges.enumerate().flat_map(|(id, (input, user))| self.flow(id, input, user)).collect()
    }

    fn flow(&self, id: usize, input: usize, user: usize) -> [Value; 2] {
        let (input, user) = (&self.stats[input], &self.stats[user]);
        let side = |phase: &str, stats: &OpStats, time: Duration| {
            json!({
                // `"bp": "e"` binds the end of the arrow to the slice that contains its time. Without it
                // viewers attach the arrow to the next slice, which is a later operation.
                "name": input.node, "cat": "DataFlow", "ph": phase, "id": id, "bp": "e",
                "pid": self.pid(stats), "tid": stats.thread, "ts": micros(time),
            })
        };
        [side("s", input, end(input)), side("f", user, user.start)]
    }

    /// Counts an output as held from the end of its operation to the end of the last operation that uses it.
    fn memory(&self) -> Vec<Value> {
        // An output that nothing in the trace uses is released at once.
        let mut released: Vec<Duration> = self.stats.iter().map(end).collect();
        for (user, inputs) in self.inputs.iter().enumerate() {
            for &input in inputs {
                released[input] = released[input].max(end(&self.stats[user]));
            }
        }
        let mut changes: Vec<(Duration, usize, i64)> = Vec::new();
        for (stats, released) in self.stats.iter().zip(released) {
            let bytes = i64::try_from(stats.output_bytes).unwrap_or(i64::MAX);
            changes.push((end(stats), self.pid(stats), bytes));
            changes.push((released, self.pid(stats), -bytes));
        }
        // At one moment, growth comes before shrinkage: an output that is used and replaced at the same
        // time counts together with its successor, as in memory.
        changes.sort_by_key(|&(time, pid, bytes)| (time, pid, -bytes));
        let mut held: HashMap<usize, i64> = HashMap::new();
        let counter = |(time, pid, bytes): (Duration, usize, i64)| {
            let now = held.entry(pid).or_default();
            *now += bytes;
            json!({ "name": "Memory", "ph": "C", "pid": pid, "ts": micros(time), "args": { "bytes": *now } })
        };
        changes.into_iter().map(counter).collect()
    }
}

/// Returns for each operation the indices of those whose outputs it uses, as far as both are in the trace.
fn inputs(stats: &[OpStats], graph: &Graph) -> Vec<Vec<usize>> {
    // A fused operation is named after its parts, joined by `+`.
    let nodes = |stats: &'_ OpStats| stats.node.split('+').map(str::to_owned).collect::<Vec<_>>();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (place, stats) in stats.iter().enumerate() {
        places.extend(nodes(stats).into_iter().map(|node| (node, place)));
    }
    let of_node =
        // An operation that the trace names but the graph does not, such as one inside a function, has no
        // arrows.
        |node: &String| graph.operation(node).map(|operation| operation.inputs()).unwrap_or_default();
    let of = |(place, stats): (usize, &OpStats)| {
        let names = nodes(stats);
        let outputs = names.iter().flat_map(of_node);
        let mut found: Vec<usize> =
            outputs.filter_map(|output| places.get(output.operation().name()).copied()).collect();
        // Parts of one fused operation use each other; an arrow from a slice to itself shows nothing.
        found.retain(|&input| input != place);
        found.sort_unstable();
        found.dedup();
        found
    };
    stats.iter().enumerate().map(of).collect()
}
