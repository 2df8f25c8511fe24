//! The drawing of a scope as an SVG file.
//!
//! The file has no script and no external reference, so it can be embedded into a page or a README. Names from the
//! graph are escaped. Labels are cut to the width that the layout estimated, and the full name is the title of the
//! box, which viewers show as a tooltip.

use super::layout::{Picture, subtitle};
use super::scope::ItemKind;
use crate::svg::{self, escaped};
use std::fmt::Write as _;

/// Follows the reader's preference for light or dark, so that the file looks right on either ground.
const STYLE: &str = "\
text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2430;text-anchor:middle}\
.s{font-size:10.5px;fill:#5b6472}.op{fill:#fff;stroke:#b6bdc9}.scope{fill:#e8eefc;stroke:#6b8ae0}\
.source,.sink{fill:none;stroke:#9aa3b2;stroke-dasharray:4 3}path{fill:none;stroke:#9aa3b2}\
.control{stroke-dasharray:3 4}#back{fill:#fff}\
@media(prefers-color-scheme:dark){text{fill:#e6e9ef}.s{fill:#9aa3b2}.op{fill:#242936;stroke:#4a5265}\
.scope{fill:#25304d;stroke:#6b8ae0}path,.source,.sink{stroke:#6d7585}#back{fill:#171a21}}";

/// Draws edges first, so that boxes cover their ends. The width of an edge grows with the logarithm of the number of
/// its tensors.
pub(super) fn draw(picture: &Picture) -> String {
    let title = if picture.view.scope.is_empty() { "The graph" } else { &picture.view.scope };
    let mut svg = svg::begin([picture.width.ceil(), picture.height.ceil()], title, STYLE);
    // Writing into a string does not fail.
    for (edge, points) in picture.view.edges.iter().zip(&picture.lines) {
        let class = if edge.control { " class=\"control\"" } else { "" };
        // An edge of a thousand tensors must not cover the picture.
        let thickness = 1.0 + (edge.count.max(1) as f64).ln();
        let _ = write!(svg, "<path{class} stroke-width=\"{thickness:.1}\" d=\"{}\">", curve(points));
        let _ = write!(svg, "<title>{}</title></path>", escaped(&edge.labels.join("; ")));
    }
    for (item, place) in picture.view.boxes.iter().zip(&picture.places) {
        let (kind, radius) =
            (item.kind.name(), if item.kind == ItemKind::Scope { 6.0 } else { place.height / 2.0 });
        let (x, y, width, height) = (place.x, place.y, place.width, place.height);
        let _ = write!(
            svg,
            "<g><title>{}</title><rect class=\"{kind}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"{radius}\"/>",
            escaped(&item.name)
        );
        let (center, second) = (x + width / 2.0, subtitle(item));
        let first_line = y + if second.is_empty() { 26.0 } else { 19.0 };
        let fitting = |text: &str, character: f64| shortened(text, ((width - 14.0) / character) as usize);
        let _ = write!(
            svg,
            "<text x=\"{center:.1}\" y=\"{first_line:.1}\">{}</text>",
            escaped(&fitting(&item.label, 7.2))
        );
        if !second.is_empty() {
            let (line, text) = (y + 34.0, escaped(&fitting(&second, 5.8)));
            let _ = write!(svg, "<text class=\"s\" x=\"{center:.1}\" y=\"{line:.1}\">{text}</text>");
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns the path of a curve that leaves and enters boxes upright.
///
/// Between two points it is a cubic Bezier curve whose control points lie at half the height, above and below each other.
fn curve(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = match index.checked_sub(1).map(|before| points[before]) {
            None => write!(path, "M{x:.1} {y:.1}"),
            Some((from, last)) => {
                let half = (last + y) / 2.0;
                write!(path, "C{from:.1} {half:.1} {x:.1} {half:.1} {x:.1} {y:.1}")
            }
        };
    }
    path
}

/// Cuts a text to a number of characters, with an ellipsis if something is missing.
fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}
