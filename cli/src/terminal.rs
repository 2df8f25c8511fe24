//! The width of the terminal, and whether it shows colors.
//!
//! Plots and progress lines are as wide as the terminal. In a pipe there is none, and `COLUMNS` or the usual width
//! decides, so that the output of a script does not depend on the window in which it was started.

use board::TerminalColors;
use std::io::IsTerminal as _;

/// Returns the number of columns: those of the terminal, else of `COLUMNS`, else 80.
pub(crate) fn columns() -> usize {
    let stated = || std::env::var("COLUMNS").ok()?.parse().ok();
    // A width of 0 is what some terminals report when they do not know it.
    measured().or_else(stated).filter(|&columns| columns > 0).unwrap_or(80)
}

/// Returns the colors of the output: none if it is not a terminal or if the variable `NO_COLOR` is set. See no-color.org:
/// any value counts, unless it is empty.
pub(crate) fn colors() -> TerminalColors {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match wanted && std::io::stdout().is_terminal() {
        true => TerminalColors::TrueColor,
        false => TerminalColors::None,
    }
}

/// Returns the width of the terminal; `None` if the output is not one.
#[cfg(unix)]
fn measured() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col))
}

/// Returns `None`: other systems are not asked.
#[cfg(not(unix))]
fn measured() -> Option<usize> {
    None
}
