//! Bars and lines.

use crate::sink::LineSink;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Where progress is shown.
pub(super) enum Display {
    Bar { bar: ProgressBar, color: bool, end: Option<i64> },
    Lines(LineSink),
}

impl Display {
    /// A bar if standard error is a terminal that can move its cursor.
    pub(super) fn of_stderr() -> Display {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if dumb || !io::stderr().is_terminal() {
            return Display::stderr_lines();
        }
        // See no-color.org: whatever it says, unless it is empty.
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Display::bar(ProgressDrawTarget::stderr(), color)
    }

    fn bar(target: ProgressDrawTarget, color: bool) -> Display {
        let bar = ProgressBar::with_draw_target(None, target).with_finish(ProgressFinish::Abandon);
        bar.set_style(style(false, color));
        Display::Bar { bar, color, end: None }
    }

    pub(super) fn stderr_lines() -> Display {
        Display::Lines(Box::new(print))
    }

    pub(super) fn is_bar(&self) -> bool {
        matches!(self, Display::Bar { .. })
    }

    pub(super) fn show(&mut self, step: i64, to: Option<i64>, text: &str) {
        match self {
            Display::Lines(sink) => sink(text),
            Display::Bar { bar, color, end } => {
                if *end != to {
                    *end = to;
                    to.into_iter().for_each(|to| bar.set_length(unsigned(to)));
                    bar.set_style(style(to.is_some(), *color));
                }
                bar.set_position(unsigned(step));
                bar.set_message(text.to_owned());
                // The hook has its own rate of drawing.
                bar.force_draw();
            }
        }
    }

    /// Leaves what is shown, and what is shown next begins on a line of its own.
    pub(super) fn pause(&mut self) {
        if let Display::Bar { bar, .. } = self {
            bar.abandon();
        }
    }
}

fn unsigned(step: i64) -> u64 {
    u64::try_from(step).unwrap_or(0)
}

/// The text is cut to what the terminal leaves beside the bar.
fn style(has_end: bool, color: bool) -> ProgressStyle {
    let template = match (has_end, color) {
        (true, true) => "[{bar:16.cyan}] {wide_msg}",
        (true, false) => "[{bar:16}] {wide_msg}",
        (false, _) => "{wide_msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=>-")
}

fn print(line: &str) {
    // A closed standard error is no reason to end a training.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes lines to standard error, above the bar of a [`ProgressBarHook`](crate::ProgressBarHook) while it is shown.
/// Clones print to the same place.
#[derive(Clone, Default)]
pub struct LinePrinter(Arc<Mutex<Option<ProgressBar>>>);

impl LinePrinter {
    /// Writes a line.
    pub fn print(&self, line: &str) {
        let bar = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar {
            Some(bar) if !bar.is_finished() => bar.println(line),
            _ => print(line),
        }
    }

    /// The same as a function, for hooks that take one.
    pub fn sink(&self) -> impl FnMut(&str) + Send + 'static {
        let printer = self.clone();
        move |line: &str| printer.print(line)
    }

    pub(super) fn follow(&self, display: &Display) {
        let bar = match display {
            Display::Bar { bar, .. } => Some(bar.clone()),
            Display::Lines(_) => None,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }
}

impl fmt::Debug for LinePrinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinePrinter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;

    fn on(screen: &InMemoryTerm) -> Display {
        Display::bar(ProgressDrawTarget::term_like(Box::new(screen.clone())), false)
    }

    #[test]
    fn a_bar_with_an_end_and_a_text_without() {
        let screen = InMemoryTerm::new(5, 80);
        let mut display = on(&screen);
        display.show(0, None, "step 0");
        assert_eq!(screen.contents(), "step 0");
        display.show(2, Some(4), "step 2/4 50%");
        assert_eq!(screen.contents(), "[========>-------] step 2/4 50%");
        display.show(4, Some(4), "step 4/4 100%");
        assert_eq!(screen.contents(), "[================] step 4/4 100%");
        display.show(9, Some(4), "step 9/4 100%");
        assert_eq!(screen.contents(), "[================] step 9/4 100%", "beyond the end");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_text() {
        let screen = InMemoryTerm::new(5, 32);
        let mut display = on(&screen);
        display.show(2, Some(4), "step 2/4 50%  ETA 0:03  812 steps/s");
        assert_eq!(screen.contents(), "[========>-------] step 2/4 50%");
    }

    #[test]
    fn lines_are_printed_above_the_bar() {
        let screen = InMemoryTerm::new(5, 60);
        let mut display = on(&screen);
        let printer = LinePrinter::default();
        printer.follow(&display);
        display.show(1, Some(4), "step 1/4");
        printer.print("loss = 0.5");
        display.show(2, Some(4), "step 2/4");
        assert_eq!(screen.contents(), "loss = 0.5\n[========>-------] step 2/4");
        display.pause();
        drop(display);
        assert!(screen.contents().ends_with("step 2/4"), "what was shown stays");
    }
}
