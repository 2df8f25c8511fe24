//! `monitored watch`: a live screen in a terminal, or one line for each change in a pipe.
//!
//! # Screen and pipe
//!
//! In a terminal the lines are drawn over the previous ones. In a pipe a line is printed when the state of a run has
//! changed, so an idle training writes nothing. The command then learns of the end of its reader only by polling the
//! pipe, see `listener`.
//!
//! # Pace
//!
//! Updates start at multiples of the interval after the first one. After an update that takes longer than the
//! interval, the next one starts without a pause.

use crate::listener::wait_while_read;
use crate::output::{Outcome, Result};
use crate::terminal;
use board::{Board, Status};
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder with runs at any depth.
    path: PathBuf,
    /// The tag to show as the loss. Default: the first tag whose name contains `loss`, or the first tag.
    #[arg(long)]
    tag: Option<String>,
    /// The time between two updates, in seconds.
    #[arg(long, default_value_t = 1.0)]
    every: f64,
    /// Stop after this many updates. Default: run until interrupted.
    #[arg(long, value_name = "N")]
    updates: Option<u64>,
}

impl Arguments {
    /// Prints or draws the state of the runs at intervals, until Ctrl-C, the requested number of updates, or the end
    /// of the output's reader.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let board = Board::open(&[&self.path])?;
        // Faster updates than 20 per second cost time that nobody sees.
        let pause = Duration::try_from_secs_f64(self.every.max(0.05)).unwrap_or(Duration::from_secs(1));
        let live = io::stdout().is_terminal();
        let (mut count, mut drawn, mut last) = (0, 0, Vec::new());
        let begun = Instant::now();
        loop {
            board.reload();
            let status = board.status(self.tag.as_deref());
            if live {
                drawn = self.draw(&board, &status, drawn, out)?;
            } else {
                // If the output is not a terminal, a line for each change.
                // Compared with the last update, so an idle run is silent.
                for status in status.iter().filter(|status| !last.contains(*status)) {
                    writeln!(out, "{}", line(status))?;
                }
                // Once, so that an empty folder is not taken for a hang.
                if status.is_empty() && count == 0 {
                    writeln!(out, "no events yet in {}", escaped(self.path.display()))?;
                }
            }
            out.flush()?;
            last = status;
            count += 1;
            if self.updates.is_some_and(|wanted| count >= wanted) {
                return Ok(Outcome::Good);
            }
            // A steady pace, however long an update takes.
            let next = pause.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
            if !wait_while_read(next.saturating_sub(begun.elapsed()).min(pause)) {
                return Ok(Outcome::Good);
            }
        }
    }

    /// Draws over the previous output, and returns the number of lines.
    fn draw(&self, board: &Board, status: &[Status], drawn: usize, out: &mut dyn Write) -> io::Result<usize> {
        let columns = terminal::columns();
        let mut lines = vec![format!("{}  (Ctrl-C stops)", escaped(self.path.display()))];
        for status in status {
            lines.extend(wrapped(&line(status), columns));
        }
        if status.is_empty() {
            lines.push("no events yet".to_owned());
        }
        // The curve of the loss, if there is one.
        if let Some(tag) = status.iter().find_map(|status| status.tag.clone())
            && let Ok(plot) = board::Plot::of(board, &[tag])
        {
            let plot = plot.terminal(columns.saturating_sub(1), 14, terminal::colors());
            lines.extend(plot.lines().map(str::to_owned));
        }
        // Moves up to the first line of the previous output, which is then overwritten line by line without a
        // flicker.
        if drawn > 0 {
            write!(out, "\x1b[{drawn}A")?;
        }
        // A longer line would wrap, and the next update would start in the wrong place.
        for line in &lines {
            // A line with colors is as wide as the requested plot.
            let plain: String =
                if line.contains('\x1b') { line.clone() } else { line.chars().take(columns).collect() };
            writeln!(out, "\r\x1b[K{plain}")?;
        }
        // Clears what a longer previous output left below.
        write!(out, "\x1b[J")?;
        Ok(lines.len())
    }
}

/// Describes a run in one line.
fn line(status: &Status) -> String {
    let mut parts = vec![status.run.clone()];
    let mut part = |name: &str, value: Option<String>| {
        parts.extend(value.map(|value| format!("{name} {value}")));
    };
    part("step", status.step.map(|step| step.to_string()));
    part(status.tag.as_deref().unwrap_or("loss"), status.value.map(|value| format!("{value:.5}")));
    part("steps/s", status.rate.map(|rate| format!("{rate:.1}")));
    part("input wait", status.input_wait.map(|share| format!("{:.0} %", share * 100.0)));
    part("checkpoint", status.checkpoint.map(|(step, wall)| format!("{step} ({} ago)", ago(wall))));
    parts.extend(status.state.clone());
    parts.extend(status.note.clone());
    let text = parts.join("  ");
    escaped(text).to_string()
}

/// Wraps a line between its parts if it is longer than the terminal is wide.
fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // Parts are separated by two spaces, which no part contains.
    for part in line.split("  ") {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 2 + part.chars().count() <= columns => {
                last.push_str("  ");
                last.push_str(part);
            }
            Some(_) => lines.push(format!("    {part}")),
            None => lines.push(part.to_owned()),
        }
    }
    lines
}

/// Formats the time since a moment, given in seconds since 1970.
fn ago(wall: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    // A clock that was set back gives a time in the future, which is shown as now.
    match (now - wall).max(0.0) {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.0} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_lines_are_wrapped_between_their_parts() {
        let line = "run  step 10  loss 0.5  checkpoint 10 (3 s ago)";
        assert_eq!(wrapped(line, 80), [line]);
        assert_eq!(wrapped(line, 30), ["run  step 10  loss 0.5", "    checkpoint 10 (3 s ago)"]);
        assert_eq!(wrapped("a", 1), ["a"]);
    }
}
