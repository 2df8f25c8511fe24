//! Sessions of TensorFlow's runtime.
//!
//! A run passes feeds and fetched tensors without copies where memory permits. Errors of TensorFlow name an operation in their text; it is found
//! in the graph, so that the error also names the line of the program that created it.

use crate::creation::Creation;
use crate::engine::is_remote;
use crate::ffi::{Buffer, Native, NativeSession, NativeTensor, Run};
use crate::growth::{Mirror, locate};
use crate::messages::{self, ConfigProto, RunOptionsProto};
use crate::worker::Workers;
use crate::{Library, ReplicaDeviceSetter};
use prost::Message;
use session_core::{
    Callable, Code, Error, Graph, Output, PreparedStep, Result, RunMetadata, RunOptions, Session,
    SessionConfig, Step, StepSignature, check_value, closed, closed_callable,
};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};
use tensor::Tensor;

/// One session of TensorFlow's runtime on a graph. The graph is copied to TensorFlow as it grows.
///
/// It differs from the embedded engine in these points, because of the limits of TensorFlow's C API:
///
/// - **Cancellation**: a single run cannot be cancelled. A run whose options have a token executes on another thread. When the
///   token is cancelled, the caller receives `Cancelled` immediately, but the run itself continues until it ends or the session
///   is closed, and may still change variables. A time limit and closing the session do cancel running operations.
/// - **State of random operations** is not exported: a resumed run draws different numbers.
#[must_use]
pub struct TensorFlowSession {
    /// The graph in which errors find their operations.
    graph: Graph,
    inner: Arc<Inner>,
}

/// The state that a session and its callables share.
struct Inner {
    api: Native,
    /// TensorFlow's copy of the graph.
    mirror: Mirror,
    /// TensorFlow's session. Runs in other threads hold it.
    native: Arc<NativeSession>,
    /// The threads for runs that may be abandoned.
    workers: Workers,
    /// True after the session was closed, so that cancelled runs are reported as such.
    closed: AtomicBool,
    /// The server that runs it; `None` for this process.
    master: Option<Creation>,
}

impl TensorFlowSession {
    /// Creates a session on a graph. Nothing is copied before the first run.
    pub(crate) fn new(
        library: &Library,
        graph: &Graph,
        target: &str,
        config: &SessionConfig,
        device_setter: Option<ReplicaDeviceSetter>,
    ) -> Result<TensorFlowSession> {
        let api = library.api();
        let mirror = Mirror::new(api, device_setter, is_remote(target));
        let master = is_remote(target).then(|| target.to_owned());
        let target = master.as_deref().unwrap_or("");
        let native =
            NativeSession::new(mirror.native().clone(), target, &ConfigProto::new(config).encode_to_vec())?;
        let inner = Inner {
            api,
            mirror,
            native: Arc::new(native),
            workers: Workers::new(),
            closed: AtomicBool::new(false),
            master: master.map(|master| Creation::new(&master, messages::limit(config.operation_timeout))),
        };
        Ok(TensorFlowSession { graph: graph.clone(), inner: Arc::new(inner) })
    }

    /// Returns the gradients of the sum of all `ys` with respect to each of `xs` by the rules of TensorFlow's C++ library, for these
    /// feeds; `None` where no `y` depends on an `x`. For comparisons with other rules.
    ///
    /// # Errors
    /// `Unimplemented` for operations whose gradient that library lacks (it has fewer than Python's); the errors of the run.
    pub fn native_gradients(
        &self,
        ys: &[Output],
        xs: &[Output],
        feeds: &[(Output, Tensor)],
    ) -> Result<Vec<Option<Tensor>>> {
        let inner = &self.inner;
        let copies = inner.mirror.copies(&self.graph)?;
        let native = |outputs: &[Output]| {
            outputs.iter().map(|output| copies.output(output.endpoint())).collect::<Result<Vec<_>>>()
        };
        let found = inner.mirror.native().add_gradients(&native(ys)?, &native(xs)?)?;
        let mut run = Run { outputs: found.iter().copied().flatten().collect(), ..Run::default() };
        for (output, value) in feeds {
            run.inputs.push(copies.output(output.endpoint())?);
            run.values.push(NativeTensor::new(inner.api, value)?);
        }
        drop(copies);
        let mut values = inner.run(&self.graph, run, &RunOptions::default(), None)?.into_iter();
        Ok(found.iter().map(|gradient| gradient.and_then(|_| values.next())).collect())
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Executes a run that is complete except for its options.
    /// A run with a token or with a limit that TensorFlow does not enforce is executed on another thread; all
    /// others on the calling one, which saves two changes of threads.
    ///
    /// # Errors
    /// The error of the run with the operation that it names; `Cancelled` or `Unavailable` for a run that was
    /// abandoned.
    fn run(
        &self,
        graph: &Graph,
        mut run: Run,
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        if run.outputs.is_empty() && run.targets.is_empty() {
            return Ok(Vec::new());
        }
        let proto = RunOptionsProto::new(options);
        run.options = proto.map(|proto| Buffer::copy_of(self.api, &proto.encode_to_vec()));
        let traced =
            metadata.is_some() && (messages::traces(options.trace_level) || options.output_partition_graphs);
        let mut recorded = traced.then(|| Buffer::empty(self.api));
        let (started, clock) = (SystemTime::now(), Instant::now());
        let limit = self.master.as_ref().and_then(Creation::limit);
        let result = match &options.cancellation {
            None if limit.is_none() => self.native.run(&run, recorded.as_mut()),
            token => {
                let native = self.native.clone();
                let job = move || {
                    let result = native.run(&run, recorded.as_mut());
                    (result, recorded)
                };
                let ran = self.workers.run(token.as_ref(), limit, job);
                let (result, buffer) = ran.map_err(|error| match &self.master {
                    Some(master) if error.code() == Code::DeadlineExceeded => {
                        master.abandon();
                        master.unanswered(error)
                    }
                    _ => error,
                })?;
                recorded = buffer;
                result
            }
        };
        if let Some(metadata) = metadata {
            metadata.started = Some(started);
            metadata.elapsed = clock.elapsed();
            messages::record(recorded.as_ref().map_or(&[], Buffer::bytes), metadata);
        }
        let values = result.map_err(|error| self.failed(graph, error, options))?;
        if let Some(master) = &self.master {
            master.answered();
        }
        let copied = self.mirror.shared().has_references();
        values.into_iter().map(|value| value.into_tensor(copied)).collect()
    }

    /// Adds the operation that it names to an error of a run.
    fn failed(&self, graph: &Graph, error: Error, options: &RunOptions) -> Error {
        if self.is_closed() && error.code() == Code::Cancelled {
            return error.context("the session was closed during the run"); // S-55
        }
        if let Some(cause) = self.mirror.shared().cause_of(&error) {
            return cause;
        }
        let own_limit = messages::limit(options.timeout).is_some();
        match &self.master {
            Some(master) if error.code() == Code::DeadlineExceeded && !own_limit => master.unanswered(error),
            _ => uninitialized(graph, locate(graph, error)),
        }
    }
}

/// Converts the error for a variable without a value, which TensorFlow reports as `FailedPrecondition` for reads and as `NotFound`
/// for updates; here it is always the former (S-28).
fn uninitialized(graph: &Graph, error: Error) -> Error {
    let takes_variable = |name: &str| {
        graph.operation(name).is_ok_and(|operation| {
            operation.inputs().iter().any(|input| input.operation().op_type() == "VarHandleOp")
        })
    };
    if error.code() != Code::NotFound || !error.node().is_some_and(takes_variable) {
        return error;
    }
    let text = format!("a variable has no value: {}", error.message());
    let placed = error.node().and_then(|name| graph.operation(name).ok());
    let error = Error::new(Code::FailedPrecondition, text).with_source(error);
    match placed {
        Some(operation) => operation.place(error),
        None => error,
    }
}

/// The sources of one run's fetched values: the run or, for a fetched output that is itself fed, the feeds (S-47), which
/// TensorFlow rejects.
#[derive(Default)]
struct Fetched {
    /// For each fetch, its feed, if it has one.
    fed: SmallVec<[Option<usize>; 4]>,
    /// True if any fetch has a feed. Without one, values pass through unchanged.
    any: bool,
}

impl Fetched {
    /// Adds a fetch, and returns true if the run must provide it.
    fn push(&mut self, fed: Option<usize>) -> bool {
        self.any |= fed.is_some();
        self.fed.push(fed);
        fed.is_none()
    }

    /// Returns all values in order, from those of the run and the feeds.
    fn collect(self, values: Vec<Tensor>, feed: impl Fn(usize) -> Tensor) -> Vec<Tensor> {
        if !self.any {
            return values;
        }
        let mut values = values.into_iter();
        self.fed.into_iter().filter_map(|fed| fed.map(&feed).or_else(|| values.next())).collect()
    }
}

impl Session for TensorFlowSession {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn execute(&self, step: &Step<'_>, metadata: Option<&mut RunMetadata>) -> Result<Vec<Tensor>> {
        if self.is_closed() {
            return Err(closed());
        }
        if self.graph.is_empty() {
            return Err(Error::runtime("the graph is empty: there is nothing to run")); // S-52
        }
        if step.fetches.is_empty() && step.targets.is_empty() {
            return Ok(Vec::new()); // S-32
        }
        let mut run = Run::default();
        let mut fetched = Fetched::default();
        let copies = self.inner.mirror.copies(&self.graph)?;
        for &fetch in step.fetches {
            let fed = step.feeds.iter().position(|(endpoint, _)| *endpoint == fetch);
            if fetched.push(fed) {
                run.outputs.push(copies.output(fetch)?);
            }
        }
        for &target in step.targets {
            run.targets.push(copies.operation(target)?);
        }
        for (endpoint, value) in step.feeds {
            run.inputs.push(copies.output(*endpoint)?);
            run.values.push(NativeTensor::new(self.inner.api, value)?);
        }
        drop(copies);
        let values = self.inner.run(&self.graph, run, step.options, metadata)?;
        Ok(fetched.collect(values, |fed| step.feeds[fed].1.clone()))
    }

    fn prepare(&self, signature: &StepSignature) -> Result<Callable> {
        if self.is_closed() {
            return Err(closed());
        }
        let copies = self.inner.mirror.copies(&self.graph)?;
        let output = |&endpoint| copies.output(endpoint);
        let feed = |endpoint: &session_core::Endpoint| {
            let operation = self.graph.operation_by_id(endpoint.op);
            let operation = operation.filter(|operation| (endpoint.index as usize) < operation.num_outputs());
            let operation =
                operation.ok_or_else(|| Error::key("a feed of a callable is not in the graph"))?;
            Ok((operation.output(endpoint.index as usize), copies.output(*endpoint)?))
        };
        let fed = |fetch| signature.feeds.iter().position(|feed| feed == fetch);
        Ok(Callable::new(PreparedRun {
            inner: self.inner.clone(),
            graph: self.graph.clone(),
            fed: signature.fetches.iter().map(fed).collect(),
            outputs: signature.fetches.iter().map(output).collect::<Result<_>>()?,
            targets: signature.targets.iter().map(|&id| copies.operation(id)).collect::<Result<_>>()?,
            feeds: signature.feeds.iter().map(feed).collect::<Result<_>>()?,
        }))
    }

    fn close(&self) -> Result<()> {
        if self.inner.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        if self.inner.master.as_ref().is_some_and(Creation::is_abandoned) {
            // TensorFlow would wait for the abandoned run, which never ends.
            return Ok(());
        }
        self.inner.mirror.shared().close();
        self.inner.native.close()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

impl Drop for TensorFlowSession {
    fn drop(&mut self) {
        // Callables and abandoned runs keep the rest alive; both end with the session.
        let _ = self.close();
    }
}

impl fmt::Debug for TensorFlowSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TensorFlowSession")
            .field("graph", &self.graph)
            .field("master", &self.inner.master.as_ref().map(Creation::target))
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A step whose operations were looked up.
struct PreparedRun {
    inner: Arc<Inner>,
    graph: Graph,
    /// For each output, the feed that replaces it, if any.
    fed: SmallVec<[Option<usize>; 4]>,
    /// The fetched outputs in TensorFlow's copy, including those that a feed replaces.
    outputs: SmallVec<[crate::ffi::NativeOutput; 4]>,
    /// The operations to run for their effect.
    targets: SmallVec<[crate::ffi::NativeOperation; 4]>,
    /// The fed outputs, here and in TensorFlow's copy, in the order of the signature.
    feeds: Vec<(Output, crate::ffi::NativeOutput)>,
}

impl PreparedStep for PreparedRun {
    fn call(
        &self,
        feeds: &[Tensor],
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        if self.inner.is_closed() {
            return Err(closed_callable());
        }
        let mut run = Run { targets: self.targets.clone(), ..Run::default() };
        let mut fetched = Fetched::default();
        for (&output, fed) in self.outputs.iter().zip(&self.fed) {
            if fetched.push(fed.filter(|&fed| fed < feeds.len())) {
                run.outputs.push(output);
            }
        }
        for ((output, native), value) in self.feeds.iter().zip(feeds) {
            check_value(output, value)?;
            run.inputs.push(*native);
            run.values.push(NativeTensor::new(self.inner.api, value)?);
        }
        let values = self.inner.run(&self.graph, run, options, metadata)?;
        Ok(fetched.collect(values, |fed| feeds[fed].clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorFlowEngine;
    use ops::array::placeholder;
    use ops::control_flow::no_op;
    use session_core::{CancellationToken, SessionExt};
    use std::time::Duration;

    /// Returns the shortest time of a call, over many rounds.
    fn least(mut call: impl FnMut()) -> Duration {
        const ROUNDS: usize = 200;
        const CALLS: u32 = 200;
        let round = |_| {
            let clock = Instant::now();
            (0..CALLS).for_each(|_| call());
            clock.elapsed() / CALLS
        };
        (0..ROUNDS).map(round).min().unwrap_or_default()
    }

    /// Prints the overhead of the engine over `TF_SessionRun`; run it with `--release -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures and prints only"]
    fn the_overhead_is_printed() {
        let engine = TensorFlowEngine::new().unwrap();
        let graph = Graph::new();
        let nothing = no_op(&graph);
        let x = placeholder(&graph.named("x"), tensor::DType::Float32, session_core::PartialShape::scalar());
        let y = ops::array::identity(&x);
        let session = engine.open(&graph, "", &SessionConfig::with_threads(1)).unwrap();
        let one = Tensor::from(1.0f32);
        session.run((&nothing, &y), [(&x, one.clone())]).unwrap();

        let copies = session.inner.mirror.copies(&graph).unwrap();
        let target = copies.operation(nothing.id()).unwrap();
        let ends = [x.endpoint(), y.endpoint()].map(|endpoint| copies.output(endpoint).unwrap());
        drop(copies);
        let native = session.inner.native.clone();
        let fed = NativeTensor::new(session.inner.api, &one).unwrap();
        let options = RunOptions::default().cancellation(CancellationToken::new());
        let callables =
            [session.make_callable(&nothing, &[]).unwrap(), session.make_callable(&y, &[&x]).unwrap()];
        let mut bare = native.bare(&[], &[], Some(target));
        let bare_step = least(|| bare.run(&[]));
        println!("a step that does nothing: bare {bare_step:?}");
        println!("  callable {:?}", least(|| drop(callables[0].call(&[]).unwrap())));
        println!("  run {:?}", least(|| session.run(&nothing, ()).unwrap()));
        println!(
            "  run with a token {:?}",
            least(|| session.run_with(&nothing, (), &options, None).unwrap())
        );
        let mut bare = native.bare(&ends[..1], &ends[1..], None);
        println!("feed and fetch of a scalar: bare {:?}", least(|| bare.run(std::slice::from_ref(&fed))));
        println!("  callable {:?}", least(|| drop(callables[1].call(std::slice::from_ref(&one)).unwrap())));
        println!("  run {:?}", least(|| drop(session.run(&y, [(&x, one.clone())]).unwrap())));
    }
}
