//! Symbolic gradients: graph in, graph out.

use session_core::{Output, Result};

/// To be written.
pub fn gradients(_ys: &[Output], _xs: &[Output]) -> Result<Vec<Option<Output>>> {
    Ok(Vec::new())
}

/// To be written.
pub fn gradients_with(ys: &[Output], xs: &[Output]) -> Result<Vec<Option<Output>>> {
    gradients(ys, xs)
}
