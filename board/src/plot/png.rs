//! Plots as PNG files.
//!
//! The image is drawn in software: text with a bitmap font, lines with their exact coverage of each pixel. Nothing
//! depends on fonts of the system, so the same plot is the same file everywhere.

use super::axis::text;
use super::{COLORS, Plot};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// The color of text.
const INK: (u8, u8, u8) = (0x44, 0x4c, 0x5a);
/// The color of the lines at ticks.
const GRID: (u8, u8, u8) = (0xe3, 0xe6, 0xec);
/// The height of a line of the legend, in pixels.
const LINE: f64 = 20.0;
/// Half the width of curves, in pixels.
const HALF: f64 = 1.1;

/// The image, as rows of red, green and blue bytes.
struct Canvas {
    /// The number of pixels in a row.
    width: usize,
    /// The number of rows.
    height: usize,
    /// Three bytes for each pixel, row by row from the top.
    pixels: Vec<u8>,
}

impl Canvas {
    /// Covers a share of a pixel with a color.
    fn blend(&mut self, x: i64, y: i64, (r, g, b): (u8, u8, u8), share: f64) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.width || y >= self.height {
            return;
        }
        let start = (y * self.width + x) * 3;
        for (below, above) in self.pixels[start..start + 3].iter_mut().zip([r, g, b]) {
            *below = (f64::from(*below) * (1.0 - share) + f64::from(above) * share).round() as u8;
        }
    }

    /// Draws a text whose upper left corner is at a point.
    fn text(&mut self, x: f64, y: f64, text: &str) {
        let (mut x, y) = (x.round() as i64, y.round() as i64);
        for character in text.chars() {
            let glyph = |character| get_raster(character, FontWeight::Regular, RasterHeight::Size16);
            // The font has no other characters.
            let Some(glyph) = glyph(character).or_else(|| glyph('?')) else { continue };
            for (row, line) in glyph.rows().enumerate() {
                for (column, &share) in line.iter().enumerate() {
                    self.blend(x + column as i64, y + row as i64, INK, f64::from(share) / 255.0);
                }
            }
            x += glyph.width() as i64;
        }
    }

    /// A smooth line through points. Each pixel is covered as much as by the nearest part of the line, so that joints are
    /// not darker than the rest.
    fn curve(&mut self, points: &[(f64, f64)], color: (u8, u8, u8)) {
        let mut covered: std::collections::HashMap<(i64, i64), f64> = std::collections::HashMap::new();
        let single = [points[0], points[0]];
        // A single point is drawn as a line of length 0, which is a dot.
        let pairs = if points.len() == 1 { &single[..] } else { points };
        for pair in pairs.windows(2) {
            let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
            let (dx, dy) = (x2 - x1, y2 - y1);
            let length = dx.hypot(dy);
            // Walks along the line, so that a long steep one does not visit a whole rectangle.
            let steps = length.ceil().max(1.0) as usize;
            for step in 0..=steps {
                let share = step as f64 / steps as f64;
                let (cx, cy) = ((x1 + dx * share).round() as i64, (y1 + dy * share).round() as i64);
                for (px, py) in (-2..=2).flat_map(|dx| (-2..=2).map(move |dy| (cx + dx, cy + dy))) {
                    let (ox, oy) = (px as f64 - x1, py as f64 - y1);
                    let along = if length > 0.0 {
                        ((ox * dx + oy * dy) / (length * length)).clamp(0.0, 1.0)
                    } else {
                        0.0
                    };
                    let distance = (ox - along * dx).hypot(oy - along * dy);
                    let share = (HALF + 0.5 - distance).clamp(0.0, 1.0);
                    let most = covered.entry((px, py)).or_default();
                    // The largest share of all segments, and not their sum, which would be darker at joints.
                    *most = most.max(share);
                }
            }
        }
        covered.into_iter().for_each(|((x, y), share)| self.blend(x, y, color, share));
    }
}

impl Plot {
    /// Returns a PNG file of this size in pixels.
    ///
    /// The smallest image is 80 × 60 pixels, the largest 16,384 × 16,384.
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
    /// let file = Plot::of(&board, &["loss".to_owned()])?.png(640, 400);
    /// assert!(file.starts_with(b"\x89PNG"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn png(&self, width: u32, height: u32) -> Vec<u8> {
        let (width, height) = (width.clamp(80, 16_384) as usize, height.clamp(60, 16_384) as usize);
        let mut canvas = Canvas { width, height, pixels: vec![0xff; width * height * 3] };
        let character = get_raster_width(FontWeight::Regular, RasterHeight::Size16) as f64;
        let (x_scale, y_scale) = (self.x(), self.y());
        let y_ticks = y_scale.ticks(height / 60);
        let widest = y_ticks.iter().map(|(_, text)| text.len()).max().unwrap_or(0) as f64;
        let legend = LINE * self.curves.len() as f64;
        let (left, top) = (widest * character + 16.0, 12.0);
        let (right, bottom) =
            ((width as f64 - 16.0).max(left + 1.0), (height as f64 - 30.0 - legend).max(30.0));
        let x = |share: f64| left + share * (right - left);
        let y = |share: f64| bottom - share * (bottom - top);
        for (value, text) in &y_ticks {
            let at = y(y_scale.share(*value));
            (left as i64..right as i64).for_each(|x| canvas.blend(x, at as i64, GRID, 1.0));
            canvas.text(left - 8.0 - text.len() as f64 * character, at - 8.0, text);
        }
        for (value, text) in x_scale.ticks(width / 120) {
            let at = x(x_scale.share(value));
            (top as i64..bottom as i64).for_each(|y| canvas.blend(at as i64, y, GRID, 1.0));
            canvas.text(at - text.len() as f64 * character / 2.0, bottom + 6.0, &text);
        }
        for (index, curve) in self.curves.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            for piece in self.pieces(curve) {
                let points: Vec<_> = piece.into_iter().map(|point| (x(point.0), y(point.1))).collect();
                canvas.curve(&points, color);
            }
            let base = height as f64 - legend + LINE * index as f64;
            let square = (0..10).flat_map(|dx| (0..10).map(move |dy| (dx, dy)));
            square.for_each(|(dx, dy)| canvas.blend(left as i64 + dx, base as i64 + 3 + dy, color, 1.0));
            canvas.text(left + 16.0, base, &format!("{} {}", curve.name, text(curve.last)));
        }
        encoded(&canvas)
    }
}

/// Compresses the image as a PNG file.
fn encoded(canvas: &Canvas) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, canvas.width as u32, canvas.height as u32);
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_depth(::png::BitDepth::Eight);
    // Encoding into memory the declared number of pixels does not fail.
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&canvas.pixels));
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}
