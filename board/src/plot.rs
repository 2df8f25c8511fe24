//! Curves for terminals and as files.
//!
//! A [`Plot`] holds curves and their scale; the files below `plot` draw it. All three drawings place points by the
//! same shares of width and height ([`axis`]), so they show the same picture.

mod axis;
mod png;
mod svg;
mod terminal;

use crate::series::Axis;
use crate::{Board, Error};
use axis::Scale;

/// The maximum number of points of a curve. More are reduced to the extremes of groups.
const POINTS: usize = 4000;
/// The maximum number of curves of one plot. More are indistinguishable.
const MAX_CURVES: usize = 24;

/// Curves over steps, to be drawn for a terminal, as SVG or as PNG.
///
/// ```
/// use board::{Board, Plot, TerminalColors};
/// use summary::{EventWriter, Summary};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let writer = EventWriter::open(folder)?;
/// for step in 0..100 {
///     writer.add_summary(Summary::scalar("loss", 1.0 / (step + 1) as f32), step)?;
/// }
/// writer.close()?;
///
/// let board = Board::open(&[folder])?;
/// board.reload();
/// let plot = Plot::of(&board, &["loss".to_owned()])?;
/// let text = plot.terminal(60, 12, TerminalColors::None);
/// assert!(text.contains("loss") && text.lines().all(|line| line.chars().count() <= 60));
/// assert!(plot.svg(640, 400).starts_with("<svg"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plot {
    /// The curves, in the order of tags and then of runs.
    curves: Vec<Curve>,
    /// True if values are drawn on a logarithmic scale.
    log: bool,
}

/// The colors of a plot in a terminal.
///
/// ```
/// use board::TerminalColors;
/// let piped = TerminalColors::default();
/// assert_eq!(piped, TerminalColors::None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TerminalColors {
    /// No escape sequences: curves differ only by the legend. For files, pipes, and when `NO_COLOR` is set.
    #[default]
    None,
    /// ANSI escape sequences with 24-bit colors.
    TrueColor,
}

/// One curve.
#[derive(Clone, Debug)]
struct Curve {
    /// The entry in the legend: the tag, after the name of the run if there are several.
    name: String,
    /// Step and value; values may be not finite, which leaves a gap.
    points: Vec<(f64, f64)>,
    /// The last value.
    last: f64,
}

impl Plot {
    /// Takes the points of these tags of all runs of a board.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use board::{Board, Plot};
    /// let board = Board::open(&[folder.path()])?;
    /// let error = Plot::of(&board, &["loss".to_owned()]).unwrap_err();
    /// assert!(error.to_string().contains("'loss'"), "{error}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] for a tag that no run has, naming those that there are; [`Error::Request`] for too many curves.
    pub fn of(board: &Board, tags: &[String]) -> Result<Plot, Error> {
        let runs = board.all();
        let mut curves = Vec::new();
        for tag in tags {
            let before = curves.len();
            for shown in &runs {
                let run = shown.run();
                let Some(series) = run.series(tag) else { continue };
                let view = series.view(Axis::Step, None, POINTS);
                let name = if runs.len() > 1 { format!("{}: {tag}", shown.found.name) } else { tag.clone() };
                let mut points: Vec<(f64, f64)> =
                    view.points.iter().map(|point| (point.step as f64, point.value)).collect();
                let last = points.last().map_or(f64::NAN, |point| point.1);
                // Interleaved writers leave steps out of order, which would draw lines backwards.
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                curves.push(Curve { name: printable(&name), points, last });
            }
            if curves.len() == before {
                return Err(Error::NotFound(missing(board, tag)));
            }
        }
        if curves.len() > MAX_CURVES {
            let count = curves.len();
            let text = format!(
                "{count} curves are too many for one plot; pass the folder of a single run, or fewer tags"
            );
            return Err(Error::Request(text));
        }
        Ok(Plot { curves, log: false })
    }

    /// Sets whether values are drawn on a logarithmic scale, on which only positive ones have a place. Default: `false`.
    #[must_use]
    pub fn log_scale(mut self, log: bool) -> Plot {
        self.log = log;
        self
    }

    /// Returns the horizontal axis, which just contains the steps of all drawn points.
    fn x(&self) -> Scale {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        Scale::linear(points.filter(|point| self.is_drawn(point.1)).map(|point| point.0), false)
    }

    /// Returns the vertical axis, with some room above and below the values.
    fn y(&self) -> Scale {
        let values = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
        let values = values.filter(|&value| self.is_drawn(value));
        if self.log { Scale::logarithmic(values) } else { Scale::linear(values, true) }
    }

    /// Returns true if a value has a place on the axis. NaN, infinities, and on a logarithmic scale values up to 0
    /// have none.
    fn is_drawn(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }

    /// The pieces of a curve between gaps, in shares of the width and height, counted from the lower left corner.
    fn pieces(&self, curve: &Curve) -> Vec<Vec<(f64, f64)>> {
        let (x, y) = (self.x(), self.y());
        let pieces = curve.points.split(|point| !self.is_drawn(point.1));
        let share = |point: &(f64, f64)| (x.share(point.0), y.share(point.1));
        pieces.filter(|piece| !piece.is_empty()).map(|piece| piece.iter().map(share).collect()).collect()
    }
}

/// A name as one line of at most 200 characters without control characters, which would move a terminal's cursor.
fn printable(name: &str) -> String {
    name.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Returns the error text for a tag that no run has. It lists the existing tags.
fn missing(board: &Board, tag: &str) -> String {
    let mut known: Vec<String> = Vec::new();
    for shown in board.all() {
        let run = shown.run();
        known.extend(run.tags.keys().filter(|tag| run.series(tag).is_some()).cloned());
    }
    known.sort();
    known.dedup();
    let more = if known.len() > 20 { format!(" and {} more", known.len() - 20) } else { String::new() };
    known.truncate(20);
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let known = printable(&known);
    format!("there are no numbers with the tag '{}'; tags with numbers: {known}{more}", printable(tag))
}

/// The colors of curves, which are distinct on light and on dark ground, also by most people with a color blindness.
const COLORS: [(u8, u8, u8); 8] = [
    (0x3b, 0x76, 0xe0),
    (0xe0, 0x7b, 0x2a),
    (0x2a, 0x9d, 0x74),
    (0xd1, 0x4b, 0x8f),
    (0x8a, 0x6b, 0xd8),
    (0xb5, 0x93, 0x1c),
    (0x2c, 0xa3, 0xb8),
    (0xc7, 0x4a, 0x4a),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: &[f64]) -> Plot {
        let points: Vec<(f64, f64)> =
            values.iter().enumerate().map(|(step, &value)| (step as f64, value)).collect();
        let last = values.last().copied().unwrap_or(f64::NAN);
        Plot { curves: vec![Curve { name: "loss".to_owned(), points, last }], log: false }
    }

    #[test]
    fn a_terminal_shows_the_shape() {
        let text = plot(&[0.0, 1.0, 2.0, 3.0]).terminal(40, 10, TerminalColors::None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 10, "{text}");
        let is_dotted = |line: &str| line.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        let place = |line: &str| line.chars().position(|c| ('\u{2801}'..='\u{28ff}').contains(&c)).unwrap();
        let dotted: Vec<&str> = lines.iter().copied().filter(|line| is_dotted(line)).collect();
        assert!(dotted.len() > 4 && place(dotted[0]) > place(dotted[dotted.len() - 1]), "it rises:\n{text}");
        assert!(text.contains("loss 3"), "the last value is shown:\n{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{text}");
    }

    #[test]
    fn plots_with_non_finite_values_are_drawn_without_them() {
        for values in [&[][..], &[5.0], &[f64::NAN, f64::INFINITY], &[1e308, -1e308], &[2.0, f64::NAN, 2.0]] {
            for log in [false, true] {
                let plot = plot(values).log_scale(log);
                assert!(!plot.terminal(20, 5, TerminalColors::TrueColor).is_empty());
                assert!(!plot.terminal(1, 1, TerminalColors::None).is_empty());
                let svg = plot.svg(100, 50);
                assert!(
                    !svg.contains("\"NaN") && !svg.contains(",NaN") && !svg.contains("NaN,"),
                    "{values:?}: {svg}"
                );
                assert!(!plot.png(120, 80).is_empty());
            }
        }
        assert!(plot(&[1.0, f64::NAN, 2.0, 3.0]).svg(300, 200).matches("<polyline").count() == 2, "a gap");
    }

    #[test]
    fn svg_shows_names_as_text() {
        let mut plot = plot(&[1.0, 2.0]);
        plot.curves[0].name = "<script>".to_owned();
        let svg = plot.svg(300, 200);
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"));
    }

    #[test]
    fn a_png_has_the_curve_in_its_color() {
        let bytes = plot(&[0.0, 4.0, 1.0]).png(320, 200);
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (320, 200));
        let (r, g, b) = COLORS[0];
        assert!(pixels.chunks(3).filter(|pixel| *pixel == [r, g, b]).count() > 100);
    }
}
