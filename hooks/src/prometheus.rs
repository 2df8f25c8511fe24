//! Numbers for Prometheus.

mod endpoint;

use crate::own_file::check_own_file;
use crate::step::{GlobalStep, begun};
use crate::tensor_ref::resolve_all;
use crate::{
    Clock, MonotonicClock, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef,
};
use checkpoint::storage::replace_file;
use endpoint::Endpoint;
use queue_runner::Coordinator;
use session_core::{Code, Error, Graph, Output, Result, Session};
use std::fmt::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "PrometheusHook";

/// Exports the global step, the steps per second and the values of tensors to Prometheus: on an HTTP endpoint, or in a text
/// file for the textfile collector of the node exporter.
///
/// ```text
/// # TYPE monitored_session_global_step gauge
/// monitored_session_global_step 1690
/// # TYPE monitored_session_steps_per_second gauge
/// monitored_session_steps_per_second 812.4
/// # TYPE monitored_session_tensor gauge
/// monitored_session_tensor{tag="loss"} 0.2512
/// ```
///
/// The numbers are those of the first run, then of one run every 15 seconds (or as set by
/// [`every`](PrometheusHook::every)), and of the end. A file is replaced atomically. The endpoint answers any `GET` until
/// the hook is dropped, also between runs.
///
/// # Errors
///
/// The endpoint: if its address is not available. `begin`: a runtime error if the graph has no global step; the errors of
/// [`TensorRef::resolve`]. Runs: if the file cannot be written; a value error for a tensor that is not a single number.
///
/// ```
/// use hooks::PrometheusHook;
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
/// let hook = PrometheusHook::file(directory.join("train.prom")).tensor("loss", "loss:0");
/// let hook = PrometheusHook::listen("127.0.0.1:0")?.tensor("loss", "loss:0");
/// println!("see http://{}/metrics", hook.address().unwrap());
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct PrometheusHook {
    target: Target,
    every: Duration,
    tensors: Vec<(String, TensorRef)>,
    clock: Arc<dyn Clock>,
    dry: bool,
    found: Option<Found>,
    /// The time and the step of the last numbers.
    last: Option<(Duration, i64)>,
    due: bool,
    /// The last lines of the tensors.
    values: String,
}

enum Target {
    File(PathBuf),
    Endpoint(Endpoint),
}

struct Found {
    step: GlobalStep,
    outputs: Vec<Output>,
}

impl PrometheusHook {
    /// Writes a text file.
    ///
    /// ```
    /// use hooks::PrometheusHook;
    /// let hook = PrometheusHook::file("/var/lib/node_exporter/training.prom").tensor("loss", "loss:0");
    /// ```
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> PrometheusHook {
        PrometheusHook::of(Target::File(path.as_ref().to_path_buf()))
    }

    /// Listens on an address, with its own thread. Port 0 takes any free port.
    ///
    /// # Errors
    /// If the address is not available.
    pub fn listen(address: impl ToSocketAddrs) -> Result<PrometheusHook> {
        let endpoint = Endpoint::open(address).map_err(|error| {
            Error::new(Code::Unavailable, "could not listen for Prometheus").with_source(error)
        })?;
        Ok(PrometheusHook::of(Target::Endpoint(endpoint)))
    }

    fn of(target: Target) -> PrometheusHook {
        PrometheusHook {
            target,
            every: Duration::from_secs(15),
            tensors: Vec::new(),
            clock: MonotonicClock::shared(),
            dry: false,
            found: None,
            last: None,
            due: false,
            values: String::new(),
        }
    }

    /// Adds a tensor with a single number, under this tag. Default: none.
    #[must_use]
    pub fn tensor(mut self, tag: impl Into<String>, tensor: impl Into<TensorRef>) -> PrometheusHook {
        self.tensors.push((tag.into(), tensor.into()));
        self
    }

    /// Sets the time between two samples. Default: 15 s.
    ///
    /// ```
    /// use hooks::PrometheusHook;
    /// use std::time::Duration;
    /// let hook = PrometheusHook::file("training.prom").every(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn every(mut self, time: Duration) -> PrometheusHook {
        self.every = time;
        self
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> PrometheusHook {
        self.clock = clock;
        self
    }

    /// Returns the address of the endpoint, if there is one.
    ///
    /// ```
    /// use hooks::PrometheusHook;
    /// let hook = PrometheusHook::listen("127.0.0.1:0")?;
    /// assert_ne!(hook.address().map(|address| address.port()), Some(0));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.target {
            Target::File(_) => None,
            Target::Endpoint(endpoint) => Some(endpoint.address()),
        }
    }

    #[cold]
    fn publish(&mut self, session: &dyn Session) -> Result<()> {
        let step = begun(&self.found, NAME)?.step.now(session)?;
        let now = self.clock.now();
        let rate = self.last.and_then(|(then, from)| {
            // A step that went back, after a recovery, has no speed; Prometheus shows a gap.
            let seconds = now.saturating_sub(then).as_secs_f64();
            (seconds > 0.0 && step >= from).then(|| (step - from) as f64 / seconds)
        });
        self.last = Some((now, step));
        let mut page = gauge("global_step", "The global step.");
        // Writing to a string cannot fail.
        let _ = writeln!(page, "monitored_session_global_step {step}");
        if let Some(rate) = rate {
            page += &gauge("steps_per_second", "Steps per second since the previous sample.");
            let _ = writeln!(page, "monitored_session_steps_per_second {rate}");
        }
        if !self.values.is_empty() {
            page += &gauge("tensor", "The value of a tensor.");
            page += &self.values;
        }
        match &self.target {
            Target::Endpoint(endpoint) => endpoint.set(page),
            // A dry run still answers on its port, which leaves nothing behind.
            Target::File(_) if self.dry => {}
            // The collector may read at any time; it must never see half a page.
            Target::File(path) => replace_file(path, page.as_bytes())?,
        }
        Ok(())
    }
}

fn gauge(name: &str, help: &str) -> String {
    format!("# HELP monitored_session_{name} {help}\n# TYPE monitored_session_{name} gauge\n")
}

/// Formats a number as Prometheus expects it.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

fn escaped(tag: &str) -> String {
    // The format knows exactly these three escapes in label values.
    tag.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl SessionRunHook for PrometheusHook {
    fn dry_run(&mut self) {
        self.dry = true;
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let step = GlobalStep::of(graph, NAME)?;
        if let Target::File(path) = &self.target
            && !self.dry
        {
            check_own_file(path)?;
        }
        self.found = Some(Found { step, outputs: resolve_all(&self.tensors, graph)? });
        Ok(())
    }

    fn after_create_session(&mut self, _: &dyn Session, _: &Coordinator) -> Result<()> {
        // The time of a recovery would count as time of steps.
        self.last = None;
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let Some(found) = &self.found else { return Ok(None) };
        self.due = self.last.is_none_or(|(then, _)| self.clock.now().saturating_sub(then) >= self.every);
        Ok(self.due.then(|| SessionRunArgs::new().fetch_all(&found.outputs)))
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        if !self.due {
            return Ok(());
        }
        self.values.clear();
        for ((tag, _), value) in self.tensors.iter().zip(values.iter()) {
            let value = number(crate::metric::number(value)?);
            let _ = writeln!(self.values, "monitored_session_tensor{{tag=\"{}\"}} {value}", escaped(tag));
        }
        self.publish(context.session())
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        self.publish(session)
    }
}

impl fmt::Debug for PrometheusHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(NAME)
            .field("address", &self.address())
            .field("every", &self.every)
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}
