//! Showing how far the training is.

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

/// Shows how far the training is: a bar on a terminal, a line now and then elsewhere. On standard error.
///
/// ```text
/// [======>---------] step 1690/4000 42%  ETA 0:02  812 steps/s  loss 0.2512
/// ```
///
/// The end is that of the graph's [`StopAtStepHook`](crate::StopAtStepHook), if there is one, or what
/// [`total`](ProgressBarHook::total) says; without an end there is no bar, and no ETA. The bar is drawn ten times a
/// second; where standard error is no terminal, or a dumb one, there is a line every ten seconds, and one each at the
/// first run and at the end. Colors are used on terminals only, and not if the environment has `NO_COLOR`. On a narrow
/// terminal the bar becomes shorter and then makes way, next the ETA; speed and tensors stay as long as they fit.
///
/// While a bar is shown, other output should go through its [`printer`](ProgressBarHook::printer), which writes above
/// it: hooks that print, and the [logger](LinePrinter).
///
/// The tensors shown are fetched with the runs after which something is drawn, and with the one that reaches the end. If the
/// training ends elsewhere, the last line says of which step they are.
///
/// # Errors
///
/// `begin`: a runtime error without a global step; as [`TensorRef::resolve`]. That nothing can be drawn is no error.
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
    /// When something was drawn last.
    drawn: Option<Duration>,
    /// Whether something is drawn after this run.
    due: bool,
    /// Whether this run is expected to be the last one, whose values will be drawn at the end.
    last: bool,
    /// The step before the coming run, as far as known: a run is taken to make one.
    step: i64,
}

struct Found {
    step: GlobalStep,
    graph: Graph,
    outputs: Vec<Output>,
    display: Display,
    /// Between two drawings.
    interval: Duration,
    end: Option<i64>,
    /// The texts of the tensors when they were last fetched, and the step of that.
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
    /// A bar.
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

    /// The global step at which the training ends. Default: that of the graph's `StopAtStepHook`.
    #[must_use]
    pub fn total(mut self, steps: i64) -> ProgressBarHook {
        self.total = Some(steps);
        self
    }

    /// Shows a tensor, by itself or by name, after the others. Default: none.
    #[must_use]
    pub fn tensor(mut self, tag: impl Into<String>, tensor: impl Into<TensorRef>) -> ProgressBarHook {
        self.tensors.push((tag.into(), tensor.into()));
        self
    }

    /// How long a bar stays as it is. Default: 100 ms.
    #[must_use]
    pub fn redraw_every(mut self, time: Duration) -> ProgressBarHook {
        self.redraw_every = time;
        self
    }

    /// How long there is no further line, where there is no bar. Default: 10 s.
    #[must_use]
    pub fn line_every(mut self, time: Duration) -> ProgressBarHook {
        self.line_every = time;
        self
    }

    /// Whether there are lines even on a terminal. Default: `false`.
    #[must_use]
    pub fn plain(mut self, plain: bool) -> ProgressBarHook {
        self.plain = plain;
        self
    }

    /// Gives lines to a function, in the place of standard error.
    #[must_use]
    pub fn sink(mut self, sink: impl FnMut(&str) + Send + 'static) -> ProgressBarHook {
        self.sink = Some(Box::new(sink));
        self
    }

    /// Measures time with this clock. Default: the system's monotonic one.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> ProgressBarHook {
        self.clock = clock;
        self
    }

    /// Writes lines to standard error, above the bar while it is shown.
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
        self.look_for_end();
        let mut values = self.values.clone();
        if let Some(of) = self.values_of.filter(|&of| of != step && !values.is_empty()) {
            values += &format!(" (of step {of})");
        }
        self.shown = Some(step);
        self.display.show(&Line { step, end: self.end, rate: pace.rate(), values });
    }

    fn look_for_end(&mut self) {
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

/// A value in few characters.
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
        // The first run, which is compiled, says nothing of the pace: that counts from its end.
        self.step = begun(&self.found, NAME)?.step.now(session)?;
        if let Some(found) = &mut self.found {
            found.look_for_end();
        }
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let Some(found) = &self.found else { return Ok(None) };
        let past = |last: Duration| self.clock.now().saturating_sub(last) >= found.interval;
        self.due = self.drawn.is_none_or(past);
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
        self.found = None;
        Ok(())
    }

    fn on_error(&mut self, _: &Error) {
        // What is printed next begins on a line of its own; a recovered session draws on.
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
