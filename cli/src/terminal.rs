//! The width of the terminal.
//!
//! Plots and progress lines are as wide as the terminal. In a pipe there is none, and `COLUMNS` or the usual width
//! decides, so that the output of a script does not depend on the window in which it was started.

/// Returns the number of columns: those of the terminal, else of `COLUMNS`, else 80.
pub(crate) fn columns() -> usize {
    let stated = || std::env::var("COLUMNS").ok()?.parse().ok();
    // A width of 0 is what some terminals report when they do not know it.
    measured().or_else(stated).filter(|&columns| columns > 0).unwrap_or(80)
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
