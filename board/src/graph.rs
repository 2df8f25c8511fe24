//! Graphs by scopes: what a scope holds, laid out for a picture.
//!
//! The steps are: [`model`] reads a GraphDef and infers dtypes and shapes; [`scope`] selects the content of one scope
//! and bundles edges; [`layout`] assigns coordinates; `svg` or the page draws them.

pub(crate) mod layout;
pub(crate) mod model;
pub(crate) mod scope;
mod svg;

use crate::Error;
use graph_def::proto::GraphDef;

/// Draws what a scope of a graph holds, the empty one for the graph as a whole, as an SVG file.
///
/// ```
/// use graph_def::to_graph_def;
/// use session_core::Graph;
/// let graph = Graph::new();
/// let a = ops::array::constant(&graph.named("a"), 2.0f32);
/// let _b = ops::math::square(a.named("layer/b"));
/// let svg = board::graph_svg(&to_graph_def(&graph)?, "")?;
/// assert!(svg.starts_with("<svg") && svg.contains(">layer<"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::NotFound`] for a scope that the graph does not have.
pub fn graph_svg(graph: &GraphDef, scope: &str) -> Result<String, Error> {
    let model = model::Model::of(graph);
    let view = scope::view(&model, scope, None)?;
    Ok(svg::draw(&layout::lay_out(view)))
}
