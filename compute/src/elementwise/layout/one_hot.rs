//! Indices as vectors with a single distinguished element.

use super::gather::Index;

/// Writes `indices`, of shape `[prefix, suffix]`, as `[prefix, depth, suffix]`: `on` where the middle
/// index is the given one, `off` elsewhere. An index outside `0..depth` gives no `on` at all.
///
/// With the new dimension last, `suffix` is 1.
///
/// # Panics
/// When `suffix` does not divide the indices, or the output is not `depth` times as long.
pub fn one_hot<T: Clone, I: Index>(
    depth: usize,
    suffix: usize,
    indices: &[I],
    on: &T,
    off: &T,
    output: &mut [T],
) {
    assert_eq!(output.len(), indices.len() * depth, "output");
    output.fill(off.clone());
    if output.is_empty() {
        return;
    }
    assert!(indices.len().is_multiple_of(suffix), "indices of rows of {suffix}");
    for (i, index) in indices.iter().enumerate() {
        if let Some(index) = usize::try_from(index.to_i64()).ok().filter(|&index| index < depth) {
            output[(i / suffix * depth + index) * suffix + i % suffix] = on.clone();
        }
    }
}
