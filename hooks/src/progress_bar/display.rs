//! Bars and lines.
//!
//! The crate `indicatif` does not take this over: its templates cut a line at its end, while here the bar is dropped before
//! the speed and the tensors do (`line`), so that it would be given finished lines; and a bar of its that is dropped before
//! it is finished draws itself again, below whatever was printed since. The code here, one line that is cleared and
//! written again, is shorter than the code that would keep `indicatif` from drawing.

use super::line::Line;
use crate::sink::LineSink;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The display of the progress.
pub(super) enum Display {
    Bar(Bar),
    Lines(LineSink),
}

impl Display {
    /// A bar if standard error is a terminal that can move its cursor.
    pub(super) fn of_stderr(printer: &LinePrinter) -> Display {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if dumb || !io::stderr().is_terminal() {
            return Display::stderr_lines();
        }
        // See no-color.org: any value counts, unless it is empty.
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Display::Bar(Bar { printer: printer.clone(), width: terminal_width, color })
    }

    pub(super) fn stderr_lines() -> Display {
        Display::Lines(Box::new(|line| {
            // A closed standard error must not end a training.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }))
    }

    pub(super) fn is_bar(&self) -> bool {
        matches!(self, Display::Bar(_))
    }

    pub(super) fn show(&mut self, line: &Line) {
        match self {
            Display::Lines(sink) => sink(&line.text()),
            // The last column stays free, because some terminals start a new line after it.
            Display::Bar(bar) => {
                let text = line.with_bar((bar.width)().saturating_sub(1), bar.color);
                bar.printer.screen().draw(text);
            }
        }
    }

    /// Keeps the shown text; further output starts on a new line.
    pub(super) fn leave(&mut self) {
        if let Display::Bar(bar) = self {
            bar.printer.screen().leave();
        }
    }
}

/// A bar in the last line of a terminal.
pub(super) struct Bar {
    printer: LinePrinter,
    width: fn() -> usize,
    color: bool,
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.printer.screen().leave();
    }
}

/// Returns the line width of the terminal of standard error.
fn terminal_width() -> usize {
    #[cfg(unix)]
    let found = rustix::termios::tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let found = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    found.filter(|&columns| columns > 0).unwrap_or(80)
}

/// The last line of a terminal, and the output above it.
struct Screen {
    out: Box<dyn Write + Send>,
    /// The text in the last line, where the cursor is.
    shown: Option<String>,
    /// The start of a line whose end has not been printed yet.
    begun: Vec<u8>,
}

/// Moves to the start of the line and clears it.
const CLEAR: &[u8] = b"\r\x1b[K";

impl Screen {
    fn draw(&mut self, text: String) {
        self.write(&[CLEAR, text.as_bytes()]);
        self.shown = Some(text);
    }

    fn print(&mut self, line: &[u8]) {
        match self.shown.take() {
            Some(shown) => {
                // Cleared, printed above, and drawn again in one write, so the bar does not flicker.
                self.write(&[CLEAR, line, b"\n", shown.as_bytes()]);
                self.shown = Some(shown);
            }
            None => self.write(&[line, b"\n"]),
        }
    }

    fn leave(&mut self) {
        if self.shown.take().is_some() {
            self.write(&[b"\n"]);
        }
    }

    /// Writes everything in one call, so that the output of another process does not mix with it.
    fn write(&mut self, parts: &[&[u8]]) {
        // A closed standard error must not end a training.
        let _ = self.out.write_all(&parts.concat()).and_then(|()| self.out.flush());
    }
}

/// Writes lines to standard error, above the bar of a [`ProgressBarHook`](crate::ProgressBarHook) while it is shown. Clones
/// print to the same place.
///
/// It also implements [`Write`] for loggers, because other output to the terminal breaks the bar.
///
/// ```no_run
/// # mod env_logger {
/// #     pub struct Builder;
/// #     pub enum Target { Pipe(Box<dyn std::io::Write + Send>) }
/// #     impl Builder {
/// #         pub fn from_default_env() -> Builder { Builder }
/// #         pub fn target(self, _: Target) -> Builder { self }
/// #         pub fn init(self) {}
/// #     }
/// # }
/// let progress = hooks::ProgressBarHook::new();
/// let target = env_logger::Target::Pipe(Box::new(progress.printer()));
/// env_logger::Builder::from_default_env().target(target).init();
/// ```
#[derive(Clone)]
pub struct LinePrinter(Arc<Mutex<Screen>>);

impl Default for LinePrinter {
    fn default() -> LinePrinter {
        LinePrinter::to(io::stderr())
    }
}

impl LinePrinter {
    fn to(out: impl Write + Send + 'static) -> LinePrinter {
        let screen = Screen { out: Box::new(out), shown: None, begun: Vec::new() };
        LinePrinter(Arc::new(Mutex::new(screen)))
    }

    /// Guards the terminal's last line. Only the terminal is written to while it is held.
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line.
    pub fn print(&self, line: &str) {
        self.screen().print(line.as_bytes());
    }

    /// Returns a function that writes lines, for hooks that take one.
    ///
    /// ```
    /// use hooks::{LoggingTensorHook, ProgressBarHook};
    /// let bar = ProgressBarHook::new();
    /// let logging = LoggingTensorHook::every_n_iter(100).tensor("loss", "loss:0").sink(bar.printer().sink());
    /// ```
    pub fn sink(&self) -> impl FnMut(&str) + Send + 'static {
        let printer = self.clone();
        move |line: &str| printer.print(line)
    }
}

/// Writes whole lines: an incomplete line waits for its end, or for a flush.
impl Write for LinePrinter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut screen = self.screen();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            // A logger may write a line in several pieces. A piece that is printed at once would be
            // overwritten by the next drawing.
            screen.begun.extend_from_slice(line);
            if screen.begun.pop_if(|last| *last == b'\n').is_some() {
                let line = std::mem::take(&mut screen.begun);
                screen.print(&line);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut screen = self.screen();
        if !screen.begun.is_empty() {
            let line = std::mem::take(&mut screen.begun);
            screen.print(&line);
        }
        Ok(())
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

    /// A terminal that understands the control sequences of a bar.
    #[derive(Clone, Default)]
    struct Terminal(Arc<Mutex<Vec<u8>>>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Terminal {
        /// Returns the visible lines; the cursor is in the last one.
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let visible = |line: &str| line.rsplit("\r\u{1b}[K").next().unwrap_or_default().to_owned();
            text.split('\n').map(visible).collect()
        }
    }

    fn bar() -> (Display, LinePrinter, Terminal) {
        let terminal = Terminal::default();
        let printer = LinePrinter::to(terminal.clone());
        let bar = Bar { printer: printer.clone(), width: || 40, color: false };
        (Display::Bar(bar), printer, terminal)
    }

    fn line(step: i64) -> Line {
        Line { step, end: Some(4), ..Line::default() }
    }

    #[test]
    fn a_bar_is_redrawn_and_stays_once() {
        let (mut display, printer, terminal) = bar();
        display.show(&line(1));
        display.show(&line(2));
        assert_eq!(terminal.lines(), ["[========>-------] step 2/4 50%"]);
        display.leave();
        printer.print("the session is done");
        let end = ["[========>-------] step 2/4 50%", "the session is done", ""];
        assert_eq!(terminal.lines(), end);
        display.leave();
        drop(display);
        drop(printer);
        assert_eq!(terminal.lines(), end, "not drawn again");
    }

    #[test]
    fn dropping_a_display_leaves_its_last_lines() {
        let (mut display, _printer, terminal) = bar();
        display.show(&line(4));
        drop(display);
        assert_eq!(terminal.lines(), ["[================] step 4/4 100%", ""]);
    }

    #[test]
    fn printed_and_logged_lines_appear_above_the_bar() {
        let (mut display, mut printer, terminal) = bar();
        printer.print("before");
        display.show(&line(1));
        printer.print("loss = 0.5");
        write!(printer, "INFO saved\nINFO sto").unwrap();
        writeln!(printer, "pped").unwrap();
        display.show(&line(2));
        let above = ["before", "loss = 0.5", "INFO saved", "INFO stopped"];
        assert_eq!(terminal.lines(), [&above[..], &["[========>-------] step 2/4 50%"]].concat());
        write!(printer, "no end").unwrap();
        printer.flush().unwrap();
        printer.flush().unwrap();
        let lines = terminal.lines();
        assert_eq!(lines[4..], ["no end", "[========>-------] step 2/4 50%"]);
    }
}
