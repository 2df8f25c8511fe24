//! `monitored events plot`: curves in the terminal, or as SVG and PNG files.
//!
//! The curves are those of the board: thinned to the width, with gaps at NaN. Without a file they are drawn with
//! characters; colors are used only in a terminal.
//!
//! Both file formats can be written in one call. They show the same curves, and their sizes do not depend on the
//! terminal.

use crate::output::{Outcome, Result};
use crate::terminal;
use board::{Board, Error, Plot};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder with runs, at any depth, or one event file.
    path: PathBuf,
    /// The tags, as `monitored events list` prints them.
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<String>,
    /// Draw values on a logarithmic scale.
    #[arg(long)]
    log: bool,
    /// Write an SVG file instead of drawing in the terminal.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write a PNG file instead of drawing in the terminal.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// The width: in columns in the terminal (default: its own, else 80), in pixels in files (default: 960).
    #[arg(long)]
    width: Option<u32>,
    /// The height: in lines in the terminal (default: 20), in pixels in files (default: 540).
    #[arg(long)]
    height: Option<u32>,
}

impl Arguments {
    /// Draws the curves. Colors are used only on a terminal, and not if `NO_COLOR` is set.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let board = Board::open(&[&self.path])?;
        board.reload();
        let plot = Plot::of(&board, &self.tags)?.log_scale(self.log);
        let (width, height) = (self.width.unwrap_or(960), self.height.unwrap_or(540));
        // Both files are independent, so both may be written in one call.
        if let Some(path) = &self.svg {
            write(path, plot.svg(width, height).as_bytes())?;
        }
        if let Some(path) = &self.png {
            write(path, &plot.png(width, height))?;
        }
        if self.svg.is_none() && self.png.is_none() {
            // Limits keep a mistyped size from filling the memory, and a plot recognizable.
            let columns = self.width.map_or_else(terminal::columns, |width| width as usize).clamp(20, 1000);
            let rows = self.height.map_or(20, |height| height as usize).clamp(5, 1000);
            out.write_all(plot.terminal(columns, rows, terminal::colors()).as_bytes())?;
        }
        Ok(Outcome::Good)
    }
}

/// Writes a file; the error names it.
fn write(path: &Path, bytes: &[u8]) -> std::result::Result<(), Error> {
    std::fs::write(path, bytes).map_err(|source| Error::Write { path: path.to_path_buf(), source })
}
