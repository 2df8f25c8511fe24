//! Bars and lines.

use super::line::Line;
use crate::sink::LineSink;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where progress is shown.
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
        // See no-color.org: whatever it says, unless it is empty.
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Display::Bar(Bar { printer: printer.clone(), width: terminal_width, color })
    }

    pub(super) fn stderr_lines() -> Display {
        Display::Lines(Box::new(|line| {
            // A closed standard error is no reason to end a training.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }))
    }

    pub(super) fn is_bar(&self) -> bool {
        matches!(self, Display::Bar(_))
    }

    pub(super) fn show(&mut self, line: &Line) {
        match self {
            Display::Lines(sink) => sink(&line.text()),
            // The last column stays free: some terminals begin a new line with it.
            Display::Bar(bar) => {
                let text = line.with_bar((bar.width)().saturating_sub(1), bar.color);
                bar.printer.screen().draw(text);
            }
        }
    }

    /// Leaves what is shown as it is; what is printed next begins on a line of its own.
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

/// The width of lines on the terminal of standard error.
fn terminal_width() -> usize {
    #[cfg(unix)]
    let found = rustix::termios::tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let found = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    found.filter(|&columns| columns > 0).unwrap_or(80)
}

/// The last line of a terminal, and what is printed above it.
struct Screen {
    out: Box<dyn Write + Send>,
    /// The text shown in the last line, in which the cursor stands.
    shown: Option<String>,
    /// The beginning of a line to be printed, whose end is still to come.
    begun: Vec<u8>,
}

/// To the beginning of the line, which is cleared.
const CLEAR: &[u8] = b"\r\x1b[K";

impl Screen {
    fn draw(&mut self, text: String) {
        self.write(&[CLEAR, text.as_bytes()]);
        self.shown = Some(text);
    }

    fn print(&mut self, line: &[u8]) {
        match self.shown.take() {
            Some(shown) => {
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

    /// In one piece, so that another process that writes to the terminal does not come between.
    fn write(&mut self, parts: &[&[u8]]) {
        // A closed standard error is no reason to end a training.
        let _ = self.out.write_all(&parts.concat()).and_then(|()| self.out.flush());
    }
}

/// Writes lines to standard error, above the bar of a [`ProgressBarHook`](crate::ProgressBarHook) while it is shown.
/// Clones print to the same place.
///
/// It is a [`Write`], too, for loggers: what else writes to the terminal breaks the bar.
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

    /// Guards the terminal's last line. Nothing is called under it but the terminal.
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line.
    pub fn print(&self, line: &str) {
        self.screen().print(line.as_bytes());
    }

    /// The same as a function, for hooks that take one.
    pub fn sink(&self) -> impl FnMut(&str) + Send + 'static {
        let printer = self.clone();
        move |line: &str| printer.print(line)
    }
}

/// Writes whole lines: the beginning of one waits for its end, or for a flush.
impl Write for LinePrinter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut screen = self.screen();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
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

    /// A terminal that knows what a bar needs.
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
        /// The lines as they are seen; the cursor stands in the last one.
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
    fn a_bar_is_drawn_over_and_left_once() {
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
    fn a_display_that_is_dropped_leaves_what_it_shows() {
        let (mut display, _printer, terminal) = bar();
        display.show(&line(4));
        drop(display);
        assert_eq!(terminal.lines(), ["[================] step 4/4 100%", ""]);
    }

    #[test]
    fn lines_are_printed_above_the_bar_logged_ones_too() {
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
