//! Logging of values.

use crate::sink::LineSink;
use crate::tensor_ref::resolve_all;
use crate::{
    Clock, SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef,
};
use session_core::{Error, Graph, Output, Result, Session, SessionExt, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tensor::text::escaped;

/// Logs the values of tensors every `n` runs or seconds, at level info (S-335 to S-339).
///
/// The hook counts its own runs from 0 and logs the first one; it ignores the global step. Values are fetched together with
/// the run. The text is `loss = 0.25, accuracy = 0.5`, followed from the second time on by the time since the last text, as
/// in ` (0.123 sec)`.
///
/// ```
/// use hooks::LoggingTensorHook;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let loss = graph.undefined_op("Loss").described_output(info).finish_output();
/// let hook = LoggingTensorHook::every_n_iter(100).tensor("loss", &loss).at_end(true);
/// ```
///
/// # Errors
///
/// `begin`: a value error for an interval of 0 runs, for a tensor of another graph, and for the name of an operation that
/// does not have exactly one output; a key error for an unknown name (S-336). `end`, with
/// [`at_end`](LoggingTensorHook::at_end): the errors of a run, such as a placeholder without a feed.
pub struct LoggingTensorHook {
    tensors: Vec<(String, TensorRef)>,
    interval: Interval,
    timer: SecondOrStepTimer,
    at_end: bool,
    formatter: Option<Formatter>,
    sink: Option<LineSink>,
    /// The outputs in the order of `tensors`.
    outputs: Vec<Output>,
    iteration: i64,
    /// True if the values of this run are logged.
    due: bool,
}

type Formatter = Box<dyn FnMut(&[(&str, &Tensor)]) -> String + Send>;

/// Kept separately from the timer, because an interval of 0 runs is an error that `begin` reports.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interval {
    Runs(u64),
    Time,
    EndOnly,
}

impl LoggingTensorHook {
    /// Logs the first of every `runs` runs.
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// let hook = LoggingTensorHook::every_n_iter(100).tensor("loss", "loss:0");
    /// ```
    #[must_use]
    pub fn every_n_iter(runs: u64) -> LoggingTensorHook {
        LoggingTensorHook::of(Interval::Runs(runs), SecondOrStepTimer::every_steps(runs))
    }

    /// Logs the first run, and then the first run after each interval of this time.
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// use std::time::Duration;
    /// let hook = LoggingTensorHook::every_n_secs(Duration::from_secs(10)).tensor("loss", "loss:0");
    /// ```
    #[must_use]
    pub fn every_n_secs(time: Duration) -> LoggingTensorHook {
        LoggingTensorHook::of(Interval::Time, SecondOrStepTimer::every_secs(time))
    }

    /// Logs only at the end (S-339).
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// let hook = LoggingTensorHook::only_at_end().tensor("accuracy", "accuracy:0");
    /// ```
    #[must_use]
    pub fn only_at_end() -> LoggingTensorHook {
        LoggingTensorHook::of(Interval::EndOnly, SecondOrStepTimer::never()).at_end(true)
    }

    /// Creates a hook with exactly one of the two intervals, for programs that receive them as options. A hook without an interval
    /// is [`only_at_end`](LoggingTensorHook::only_at_end).
    ///
    /// # Errors
    /// A value error if both or none are given, or if the interval is 0 runs (S-335).
    pub fn new(every_n_iter: Option<u64>, every_n_secs: Option<Duration>) -> Result<LoggingTensorHook> {
        let hook = match (every_n_iter, every_n_secs) {
            (Some(runs), None) => LoggingTensorHook::every_n_iter(runs),
            (None, Some(time)) => LoggingTensorHook::every_n_secs(time),
            _ => return Err(Error::value("exactly one of every_n_iter and every_n_secs must be provided")),
        };
        hook.check()?;
        Ok(hook)
    }

    fn of(interval: Interval, timer: SecondOrStepTimer) -> LoggingTensorHook {
        LoggingTensorHook {
            tensors: Vec::new(),
            interval,
            timer,
            at_end: false,
            formatter: None,
            sink: None,
            outputs: Vec::new(),
            iteration: 0,
            due: false,
        }
    }

    /// Adds a tensor, given directly or by name, under a tag.
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// let hook = LoggingTensorHook::every_n_iter(10).tensor("loss", "loss:0").tensor("accuracy", "accuracy:0");
    /// ```
    #[must_use]
    pub fn tensor(mut self, tag: impl Into<String>, tensor: impl Into<TensorRef>) -> LoggingTensorHook {
        self.tensors.push((tag.into(), tensor.into()));
        self
    }

    /// Adds tensors whose tags are their names, in the given order.
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// let hook = LoggingTensorHook::every_n_iter(100).named(["loss:0", "accuracy:0"]);
    /// ```
    #[must_use]
    pub fn named<T: Into<TensorRef>>(mut self, tensors: impl IntoIterator<Item = T>) -> LoggingTensorHook {
        self.tensors.extend(tensors.into_iter().map(|tensor| {
            let tensor = tensor.into();
            (tensor.name(), tensor)
        }));
        self
    }

    /// Adds the tensors of a map, in the order of their tags (S-337).
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// use std::collections::HashMap;
    /// let tensors = HashMap::from([("loss", "loss:0"), ("accuracy", "accuracy:0")]);
    /// let hook = LoggingTensorHook::every_n_iter(100).tensors(tensors);
    /// ```
    #[must_use]
    pub fn tensors<S: Into<String>, T: Into<TensorRef>>(
        mut self,
        tensors: HashMap<S, T>,
    ) -> LoggingTensorHook {
        // Sorted: the order of a `HashMap` differs from run to run, and so would the columns of the log.
        let sorted: BTreeMap<String, TensorRef> =
            tensors.into_iter().map(|(tag, tensor)| (tag.into(), tensor.into())).collect();
        self.tensors.extend(sorted);
        self
    }

    /// Sets whether `end` fetches the tensors once more, without feeds, and logs them. Default: `false`.
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// let hook = LoggingTensorHook::every_n_iter(10).tensor("loss", "loss:0").at_end(true);
    /// ```
    #[must_use]
    pub fn at_end(mut self, at_end: bool) -> LoggingTensorHook {
        self.at_end = at_end;
        self
    }

    /// Sets the function that formats the tags and values (S-338). Default: the text described above.
    #[must_use]
    pub fn formatter(
        mut self,
        formatter: impl FnMut(&[(&str, &Tensor)]) -> String + Send + 'static,
    ) -> LoggingTensorHook {
        self.formatter = Some(Box::new(formatter));
        self
    }

    /// Sends texts to a function. Default: to the log, at level info.
    ///
    /// ```
    /// use hooks::LoggingTensorHook;
    /// let hook = LoggingTensorHook::every_n_iter(10).tensor("loss", "loss:0").sink(|text| println!("{text}"));
    /// ```
    #[must_use]
    pub fn sink(mut self, sink: impl FnMut(&str) + Send + 'static) -> LoggingTensorHook {
        self.sink = Some(Box::new(sink));
        self
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> LoggingTensorHook {
        self.timer = self.timer.clock(clock);
        self
    }

    fn check(&self) -> Result<()> {
        match self.interval {
            Interval::Runs(0) => Err(Error::value("invalid every_n_iter=0")),
            _ => Ok(()),
        }
    }

    fn log<'v>(&mut self, values: impl Iterator<Item = &'v Tensor>) {
        let elapsed = self.timer.update(self.iteration);
        let tags = self.tensors.iter().map(|(tag, _)| tag.as_str());
        let values: Vec<(&str, &Tensor)> = tags.zip(values).collect();
        let text = match &mut self.formatter {
            Some(formatter) => formatter(&values),
            None => {
                let items: Vec<String> =
                    values.iter().map(|(tag, value)| format!("{} = {value}", escaped(tag))).collect();
                let time = elapsed
                    .map_or_else(String::new, |elapsed| format!(" ({:.3} sec)", elapsed.time.as_secs_f64()));
                items.join(", ") + &time
            }
        };
        match &mut self.sink {
            Some(sink) => sink(&text),
            None => log::info!("{text}"),
        }
    }
}

impl SessionRunHook for LoggingTensorHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.check()?;
        self.outputs = resolve_all(&self.tensors, graph)?;
        self.timer.reset();
        self.iteration = 0;
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        // Decided once per run and kept: after the run, an interval of time might have become due,
        // without values to log.
        self.due = self.timer.should_trigger(self.iteration);
        if !self.due {
            return Ok(None);
        }
        Ok(Some(SessionRunArgs::new().fetch_all(&self.outputs)))
    }

    #[inline]
    fn after_run(&mut self, _: &mut SessionRunContext<'_>, values: &SessionRunValues<'_>) -> Result<()> {
        if self.due {
            self.log(values.iter());
        }
        // After the run, so that a run that failed and is repeated has the same number.
        self.iteration += 1;
        Ok(())
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        if self.at_end {
            let values = session.run(&self.outputs, ())?;
            self.log(values.iter());
        }
        Ok(())
    }
}

impl fmt::Debug for LoggingTensorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggingTensorHook")
            .field("tensors", &self.tensors)
            .field("interval", &self.interval)
            .field("at_end", &self.at_end)
            .finish_non_exhaustive()
    }
}
