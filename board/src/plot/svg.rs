//! Plots as SVG files.
//!
//! The file follows the reader's preference for a light or dark theme by itself. Names of runs and tags are escaped.

use super::axis::text;
use super::{COLORS, Plot};
use crate::svg::{self, escaped};
use std::fmt::Write as _;

/// The styles of a plot, with a variant for dark themes.
const STYLE: &str = "\
text{font:12px ui-sans-serif,system-ui,sans-serif;fill:#444c5a}.grid{stroke:#e3e6ec}#back{fill:#fff}\
polyline{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\
@media(prefers-color-scheme:dark){text{fill:#b4bac6}.grid{stroke:#2c3240}#back{fill:#171a21}}";

impl Plot {
    /// Returns an SVG file of this size in pixels.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// # let writer = summary::EventWriter::open(folder)?;
    /// # writer.add_summary(summary::Summary::scalar("loss", 0.5), 1)?;
    /// # writer.close()?;
    /// use board::{Board, Plot};
    /// let board = Board::open(&[folder])?;
    /// board.reload();
    /// let svg = Plot::of(&board, &["loss".to_owned()])?.log_scale(true).svg(640, 400);
    /// assert!(svg.contains("loss 0.5"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn svg(&self, width: u32, height: u32) -> String {
        let (width, height) = (f64::from(width.max(80)), f64::from(height.max(60)));
        let legend = 20.0 * self.curves.len().div_ceil(self.per_line(width)) as f64;
        let (left, top, right, bottom) = (58.0, 12.0, width - 16.0, (height - 26.0 - legend).max(30.0));
        let x = |share: f64| left + share * (right - left);
        let y = |share: f64| bottom - share * (bottom - top);
        let names: Vec<&str> = self.curves.iter().map(|curve| &*curve.name).collect();
        let mut svg = svg::begin([width, height], &names.join(", "), STYLE);
        // Writing into a string does not fail.
        for (value, text) in self.y().ticks((height / 60.0) as usize) {
            let at = y(self.y().share(value));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left - 8.0,
                at + 4.0
            );
        }
        for (value, text) in self.x().ticks((width / 110.0) as usize) {
            let (at, below) = (x(self.x().share(value)), bottom + 18.0);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
                 <text x=\"{at:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{text}</text>"
            );
        }
        for (index, curve) in self.curves.iter().enumerate() {
            let (r, g, b) = COLORS[index % COLORS.len()];
            for piece in self.pieces(curve) {
                let _ = write!(svg, "<polyline stroke=\"rgb({r},{g},{b})\" points=\"");
                for (share_x, share_y) in &piece {
                    let _ = write!(svg, "{:.1},{:.1} ", x(*share_x), y(*share_y));
                }
                // A single point would not show as a line.
                if let [(share_x, share_y)] = piece[..] {
                    let _ = write!(svg, "{:.1},{:.1}", x(share_x) + 0.1, y(share_y));
                }
                svg.push_str("\"/>");
            }
            let (line, place) = (index / self.per_line(width), index % self.per_line(width));
            let (at, base) = (left + 220.0 * place as f64, height - legend + 12.0 + 20.0 * line as f64);
            let name: String = curve.name.chars().take(24).collect();
            let _ = write!(
                svg,
                "<rect x=\"{at:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"rgb({r},{g},{b})\"/>\
                 <text x=\"{:.1}\" y=\"{base:.1}\">{} {}</text>",
                base - 9.0,
                at + 16.0,
                escaped(&name),
                text(curve.last)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The number of entries of the legend in a line.
    fn per_line(&self, width: f64) -> usize {
        (((width - 74.0) / 220.0) as usize).max(1)
    }
}
