//! One-hot encoding.

use super::gather::Index;

/// Writes `indices`, of shape `[prefix, suffix]`, as `[prefix, depth, suffix]`: `on` where the middle index is the given one, `off`
/// elsewhere. An index outside of `0..depth` yields `off` everywhere.
///
/// If the new dimension is the last, `suffix` is 1.
///
/// ```
/// use compute::elementwise::layout::one_hot;
/// let mut output = [0.0; 6];
/// one_hot(3, 1, &[2i64, -1], &1.0, &0.0, &mut output);
/// assert_eq!(output, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
/// ```
///
/// # Panics
/// Panics if `suffix` does not divide the number of indices, or if the output is not `depth` times as long.
pub fn one_hot<T: Clone, I: Index>(
    depth: usize,
    suffix: usize,
    indices: &[I],
    on: &T,
    off: &T,
    output: &mut [T],
) {
    assert_eq!(output.len(), indices.len() * depth, "output");
    // One pass that writes `off` everywhere is faster than one comparison for each element.
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
