//! Plots of characters for terminals: Braille patterns, each with two by four dots.
//!
//! Each character cell has eight dots, so a plot of 80 by 20 cells has a resolution of 160 by 80. Where curves of
//! different colors meet in a cell, the cell has the color of the last one, because a character has one color.

use super::axis::text;
use super::{COLORS, Plot, TerminalColors};
use std::fmt::Write as _;

/// The bits of the dots of a Braille pattern, by column and row from the top.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// The cells of a plot: the dots of each, and the curve that was drawn last there.
struct Canvas {
    /// The width in cells.
    columns: usize,
    /// The height in cells.
    rows: usize,
    /// The dots and the curve of each cell, row by row from the top.
    cells: Vec<(u8, usize)>,
}

impl Canvas {
    /// Sets a dot, counted from the upper left corner.
    fn dot(&mut self, x: usize, y: usize, curve: usize) {
        let (column, row) = (x / 2, y / 4);
        if column < self.columns && row < self.rows {
            let cell = &mut self.cells[row * self.columns + column];
            *cell = (cell.0 | DOTS[x % 2][y % 4], curve);
        }
    }

    /// Draws a line between two points, in dots.
    fn line(&mut self, from: (f64, f64), to: (f64, f64), curve: usize) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
        for step in 0..=steps as usize {
            let share = step as f64 / steps;
            let at = |from: f64, to: f64| (from + (to - from) * share).round() as usize;
            self.dot(at(from.0, to.0), at(from.1, to.1), curve);
        }
    }
}

impl Plot {
    /// Returns the plot as text of at most `columns` columns and about `rows` lines, with the names and last values of the curves below
    /// it. Values that are not finite leave gaps.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// # let writer = summary::EventWriter::open(folder)?;
    /// # for step in 0..10 {
    /// #     writer.add_summary(summary::Summary::scalar("loss", step as f32), step)?;
    /// # }
    /// # writer.close()?;
    /// use board::{Board, Plot, TerminalColors};
    /// let board = Board::open(&[folder])?;
    /// board.reload();
    /// let plot = Plot::of(&board, &["loss".to_owned()])?;
    /// assert!(plot.terminal(60, 12, TerminalColors::TrueColor).contains('\u{1b}'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn terminal(&self, columns: usize, rows: usize, colors: TerminalColors) -> String {
        let ticks = self.y().ticks((rows / 3).clamp(2, 8));
        let margin = ticks.iter().map(|(_, text)| text.len()).max().unwrap_or(0).min(columns / 2);
        let width = columns.saturating_sub(margin + 2).max(1);
        let legend = self.legend(columns, colors);
        // Below the plot stand the axis with its numbers, and the legend.
        let height = rows.saturating_sub(2 + legend.len()).max(1);
        let mut canvas = Canvas { columns: width, rows: height, cells: vec![(0, 0); width * height] };
        for (index, curve) in self.curves.iter().enumerate() {
            let (right, bottom) = ((width * 2 - 1) as f64, (height * 4 - 1) as f64);
            for piece in self.pieces(curve) {
                let place = |point: (f64, f64)| (point.0 * right, (1.0 - point.1) * bottom);
                let mut last = place(piece[0]);
                for point in piece {
                    let next = place(point);
                    canvas.line(last, next, index);
                    last = next;
                }
            }
        }
        let row_of = |value: f64| ((1.0 - self.y().share(value)) * (height - 1) as f64).round() as usize;
        let mut lines = Vec::new();
        for row in 0..height {
            let tick = ticks.iter().find(|(value, _)| row_of(*value) == row);
            let label = tick.map_or("", |(_, text)| text.get(..text.len().min(margin)).unwrap_or(""));
            let mut line = format!("{label:>margin$} {}", if tick.is_some() { '┤' } else { '│' });
            for (dots, curve) in &canvas.cells[row * width..(row + 1) * width] {
                match char::from_u32(0x2800 + u32::from(*dots)) {
                    Some(pattern) if *dots != 0 => push_colored(&mut line, pattern, *curve, colors),
                    _ => line.push(' '),
                }
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.extend(self.x_axis(margin, width));
        lines.extend(legend);
        lines.iter_mut().for_each(|line| {
            if colors == TerminalColors::None {
                *line = line.chars().take(columns).collect();
            }
        });
        lines.join("\n") + "\n"
    }

    /// Returns the line of the axis with its ticks, and the line of numbers below it. Numbers that would overlap the
    /// previous one are left out.
    fn x_axis(&self, margin: usize, width: usize) -> [String; 2] {
        let (mut axis, mut numbers) = (vec!['─'; width], vec![' '; width]);
        let mut free = 0;
        for (value, text) in self.x().ticks((width / 14).max(1)) {
            let column = (self.x().share(value) * (width - 1) as f64).round() as usize;
            let start = column.saturating_sub(text.len() / 2).min(width.saturating_sub(text.len()));
            // Numbers that touch cannot be read, so the later one is left out.
            if start < free || start + text.len() > width {
                continue;
            }
            axis[column] = '┬';
            text.chars().zip(&mut numbers[start..]).for_each(|(from, to)| *to = from);
            free = start + text.len() + 1;
        }
        let axis: String = axis.into_iter().collect();
        let numbers: String = numbers.into_iter().collect();
        [format!("{:margin$} └{axis}", ""), format!("{:margin$}  {numbers}", "").trim_end().to_owned()]
    }

    /// Returns the lines of the legend, with as many entries per line as fit.
    fn legend(&self, columns: usize, colors: TerminalColors) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut used = 0;
        for (index, curve) in self.curves.iter().enumerate() {
            let entry = format!("{} {}", curve.name, text(curve.last));
            let length = entry.chars().count() + 4;
            if used > 0 && used + length > columns {
                lines.push(String::new());
                used = 0;
            }
            used += length;
            if let Some(line) = lines.last_mut() {
                push_colored(line, '■', index, colors);
                let _ = write!(line, " {entry}  ");
            }
        }
        lines.iter().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// Appends a character in the color of a curve.
fn push_colored(line: &mut String, character: char, curve: usize, colors: TerminalColors) {
    if colors == TerminalColors::TrueColor {
        let (r, g, b) = COLORS[curve % COLORS.len()];
        // Writing into a string does not fail.
        let _ = write!(line, "\x1b[38;2;{r};{g};{b}m{character}\x1b[0m");
    } else {
        line.push(character);
    }
}
