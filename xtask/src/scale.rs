//! The growth of costs with the size of a graph.

use crate::shell::{cargo, section};
use anyhow::Result;

/// Runs `benches/scale.rs`, which prints each case at three sizes with its exponent, and fails where one is too large.
pub(crate) fn scale() -> Result<()> {
    section("scale", cargo(&["bench", "--quiet", "--bench", "scale"]))
}
