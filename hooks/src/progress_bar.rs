//! The progress of a training, on the terminal.

mod display;
mod line;
mod pace;

use crate::number::significant;
use crate::sink::LineSink;
use crate::step::{GlobalStep, begun};
use crate::tensor_ref::resolve_all;
use crate::{
    Clock, MonotonicClock, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef,
    stop_at_step,
};
use display::Display;
use line::Line;
use pace::Pace;
use queue_runner::Coordinator;
use session_core::{Error, Graph, Output, Result, Session, Tensor};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use display::LinePrinter;

const NAME: &str = "ProgressBarHook";

/// Shows the progress of a training on standard error: as a bar on a terminal, as occasional lines elsewhere.
///
/// ```text
/// [======>---------] step 1690/4000 42%  ETA 0:02  812 steps/s  loss 0.2512
/// ```
///
/// The training ends at the step of the graph's [`StopAtStepHook`](crate::StopAtStepHook), if there is one, or at the step
/// given to [`total`](ProgressBarHook::total). Without a known end there is no bar and no ETA. The bar is redrawn ten times
/// a second. If standard error is not a terminal, or a dumb one, a line is written every ten seconds, at the first run and
/// at the end. Colors are used only on terminals, and only if `NO_COLOR` is not set. On a narrow terminal the bar shrinks
/// and then disappears, followed by the ETA; speed and tensors remain as long as they fit.
///
/// While a bar is shown, other output should go through its [`printer`](ProgressBarHook::printer), which writes above the bar:
/// use it for hooks that print, and as the destination of the [logger](LinePrinter).
///
/// The tensors are fetched with the runs after which something is drawn, and with the run that reaches the end. If the
/// training ends at another step, the last line states the step to which the values belong.
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of [`TensorRef::resolve`]. A failure to draw is not an
/// error.
///
/// ```
/// use hooks::{LoggingTensorHook, ProgressBarHook};
/// let progress = ProgressBarHook::new().tensor("loss", "loss:0");
/// let logging = LoggingTensorHook::every_n_iter(100).tensor("loss", "loss:0").sink(progress.printer().sink());
/// ```
pub struct ProgressBarHook {
    total: Option<i64>,
    tensors: Vec<(String, TensorRef)>,
    redraw_every: Duration,
    line_every: Duration,
    plain: bool,
    sink: Option<LineSink>,
    printer: LinePrinter,
    clock: Arc<dyn Clock>,
    found: Option<Found>,
    pace: Pace,
    /// The time of the last drawing.
    drawn: Option<Duration>,
    /// True if something is drawn after this run.
    due: bool,
    /// True if this run is expected to be the last one, whose values are drawn at the end.
    last: bool,
    /// The step before the next run, as far as known: a run counts as one step.
    step: i64,
}

struct Found {
    step: GlobalStep,
    graph: Graph,
    outputs: Vec<Output>,
    display: Display,
    /// The time between two drawings.
    interval: Duration,
    end: Option<i64>,
    /// The texts of the tensors when they were last fetched, and their step.
    values: String,
    values_of: Option<i64>,
    /// The step that is shown.
    shown: Option<i64>,
}

impl Default for ProgressBarHook {
    fn default() -> ProgressBarHook {
        ProgressBarHook::new()
    }
}

impl ProgressBarHook {
    /// Creates a hook with a bar.
    ///
    /// ```
    /// use hooks::ProgressBarHook;
    /// let hook = ProgressBarHook::new().tensor("loss", "loss:0");
    /// ```
    #[must_use]
    pub fn new() -> ProgressBarHook {
        ProgressBarHook {
            total: None,
            tensors: Vec::new(),
            redraw_every: Duration::from_millis(100),
            line_every: Duration::from_secs(10),
            plain: false,
            sink: None,
            printer: LinePrinter::default(),
            clock: MonotonicClock::shared(),
            found: None,
            pace: Pace::default(),
            drawn: None,
            due: false,
            last: false,
            step: 0,
        }
    }

    /// Sets the global step at which the training ends. Default: the step of the graph's `StopAtStepHook`.
    ///
    /// ```
    /// use hooks::ProgressBarHook;
    /// let hook = ProgressBarHook::new().total(10_000);
    /// ```
    #[must_use]
    pub fn total(mut self, steps: i64) -> ProgressBarHook {
        self.total = Some(steps);
        self
    }

    /// Shows a tensor, given directly or by name, after those already added. Default: none.
    ///
    /// ```
    /// use hooks::ProgressBarHook;
    /// let hook = ProgressBarHook::new().tensor("loss", "loss:0").tensor("accuracy", "accuracy:0");
    /// ```
    #[must_use]
    pub fn tensor(mut self, tag: impl Into<String>, tensor: impl Into<TensorRef>) -> ProgressBarHook {
        self.tensors.push((tag.into(), tensor.into()));
        self
    }

    /// Sets the time between two drawings of the bar. Default: 100 ms.
    #[must_use]
    pub fn redraw_every(mut self, time: Duration) -> ProgressBarHook {
        self.redraw_every = time;
        self
    }

    /// Sets the time between two lines, where there is no bar. Default: 10 s.
    #[must_use]
    pub fn line_every(mut self, time: Duration) -> ProgressBarHook {
        self.line_every = time;
        self
    }

    /// Sets whether lines are written even on a terminal. Default: `false`.
    ///
    /// ```
    /// use hooks::ProgressBarHook;
    /// let hook = ProgressBarHook::new().plain(true);
    /// ```
    #[must_use]
    pub fn plain(mut self, plain: bool) -> ProgressBarHook {
        self.plain = plain;
        self
    }

    /// Passes lines to a function instead of standard error.
    ///
    /// ```
    /// use hooks::ProgressBarHook;
    /// let hook = ProgressBarHook::new().plain(true).sink(|line| println!("{line}"));
    /// ```
    #[must_use]
    pub fn sink(mut self, sink: impl FnMut(&str) + Send + 'static) -> ProgressBarHook {
        self.sink = Some(Box::new(sink));
        self
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> ProgressBarHook {
        self.clock = clock;
        self
    }

    /// Returns a printer that writes lines to standard error, above the bar while it is shown.
    ///
    /// ```
    /// use hooks::ProgressBarHook;
    /// let bar = ProgressBarHook::new();
    /// bar.printer().print("the training starts");
    /// ```
    #[must_use]
    pub fn printer(&self) -> LinePrinter {
        self.printer.clone()
    }

    fn display(&mut self) -> (Display, Duration) {
        let display = match self.sink.take() {
            Some(sink) => Display::Lines(sink),
            None if self.plain => Display::stderr_lines(),
            None => Display::of_stderr(&self.printer),
        };
        let interval = if display.is_bar() { self.redraw_every } else { self.line_every };
        (display, interval)
    }

    fn draw(&mut self, session: &dyn Session) -> Result<()> {
        let now = self.clock.now();
        let Some(found) = &mut self.found else { return Ok(()) };
        let step = found.step.now(session)?;
        self.pace.update(now, step);
        self.drawn = Some(now);
        self.step = step;
        if self.due {
            found.values_of = Some(step);
        }
        found.draw(step, &self.pace);
        Ok(())
    }
}

impl Found {
    fn draw(&mut self, step: i64, pace: &Pace) {
        self.find_end();
        let mut values = self.values.clone();
        // The values may be older than the step: the end of the training was not expected, so nothing was
        // fetched with its run.
        if let Some(of) = self.values_of.filter(|&of| of != step && !values.is_empty()) {
            values += &format!(" (of step {of})");
        }
        self.shown = Some(step);
        self.display.show(&Line { step, end: self.end, rate: pace.rate(), values });
    }

    fn find_end(&mut self) {
        if self.end.is_none() {
            self.end = stop_at_step::target_of(&self.graph);
        }
    }

    fn take_values(&mut self, tags: &[(String, TensorRef)], values: &SessionRunValues<'_>) {
        let shown =
            tags.iter().zip(values.iter()).map(|((tag, _), value)| format!("  {tag} {}", short(value)));
        self.values = shown.collect();
    }
}

/// Formats a value in few characters.
fn short(value: &Tensor) -> String {
    match value.as_scalar_f64() {
        Ok(number) => significant(number, 4),
        Err(_) => value.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

impl SessionRunHook for ProgressBarHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let step = GlobalStep::of(graph, NAME)?;
        let outputs = resolve_all(&self.tensors, graph)?;
        let (display, interval) = self.display();
        let (graph, end) = (graph.clone(), self.total);
        let (values, values_of, shown) = (String::new(), None, None);
        self.found = Some(Found { step, graph, outputs, display, interval, end, values, values_of, shown });
        Ok(())
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        self.pace = Pace::default();
        self.drawn = None;
        // The first run includes the compilation, so the pace is measured from its end.
        self.step = begun(&self.found, NAME)?.step.now(session)?;
        if let Some(found) = &mut self.found {
            found.find_end();
        }
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let Some(found) = &self.found else { return Ok(None) };
        let past = |last: Duration| self.clock.now().saturating_sub(last) >= found.interval;
        self.due = self.drawn.is_none_or(past);
        // The values of the last run are only available if they are fetched with it, so the end must be
        // foreseen.
        self.last = found.end == Some(self.step + 1);
        if !self.due && !self.last {
            return Ok(None);
        }
        Ok(Some(SessionRunArgs::new().fetch_all(&found.outputs)))
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        self.step += 1;
        if !self.due && !self.last {
            return Ok(());
        }
        if let Some(found) = &mut self.found {
            found.take_values(&self.tensors, values);
            found.values_of = Some(self.step);
        }
        if self.due { self.draw(context.session()) } else { Ok(()) }
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        self.due = false;
        let now = begun(&self.found, NAME)?.step.now(session)?;
        if self.found.as_ref().is_some_and(|found| found.shown != Some(now)) {
            self.draw(session)?;
        }
        // Drops the display, which leaves the bar on the screen and moves the cursor to a new line.
        self.found = None;
        Ok(())
    }

    fn on_error(&mut self, _: &Error) {
        // Further output starts on a new line; a recovered session keeps drawing.
        if let Some(found) = &mut self.found {
            found.display.leave();
        }
    }
}

impl fmt::Debug for ProgressBarHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(NAME)
            .field("total", &self.total)
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short() {
        assert_eq!(short(&Tensor::from(0.123456f32)), "0.1235");
        assert_eq!(short(&Tensor::from(f32::NAN)), "nan");
        assert_eq!(short(&Tensor::from(12i64)), "12");
        assert_eq!(short(&Tensor::from([[1.0f32, 2.0], [3.0, 4.0]])), "[[1. 2.] [3. 4.]]");
    }
}
