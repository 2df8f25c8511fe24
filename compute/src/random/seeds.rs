//! The derivation of an operation's two seeds from the seeds of the graph and of the operation.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The graph seed of an operation that has its own seed in a graph that has none.
pub const DEFAULT_GRAPH_SEED: i64 = 87_654_321;

/// Seeds are reduced by this modulus, 2³¹ - 1.
const MODULUS: i64 = i32::MAX as i64;

/// Returns the attributes `(seed, seed2)` of an operation, from the graph's seed and the operation's own.
///
/// | graph | operation | result |
/// | --- | --- | --- |
/// | none | none | (0, 0), which means: seed from entropy |
/// | given | none | (graph, `last_op_id`) |
/// | none | given | ([`DEFAULT_GRAPH_SEED`], operation) |
/// | given | given | (graph, operation) |
///
/// Given seeds are reduced to their non-negative remainder by 2³¹ - 1, and if both end up 0, the
/// second becomes 2³¹ - 1: (0, 0) is kept for "no seed".
///
/// `last_op_id` tells operations without a seed of their own apart. TensorFlow 1 takes the id of the
/// operation that the graph added last, that is, how many operations there are (the constants that
/// the same call has added come first). TensorFlow 2's `compat.v1` counts, from 0 and in each graph,
/// only the calls that needed this default.
///
/// ```
/// use compute::random::op_seeds;
///
/// assert_eq!(op_seeds(Some(42), None, 3), (42, 3));
/// assert_eq!(op_seeds(None, Some(-1), 3), (87654321, 2147483646));
/// assert_eq!(op_seeds(Some(0), Some(0), 3), (0, 2147483647));
/// assert_eq!(op_seeds(None, None, 3), (0, 0));
/// ```
#[must_use]
pub fn op_seeds(graph_seed: Option<i64>, op_seed: Option<i64>, last_op_id: i64) -> (i64, i64) {
    let (seed, seed2) = match (graph_seed, op_seed) {
        (None, None) => return (0, 0),
        (Some(graph), None) => (graph, last_op_id),
        (None, Some(op)) => (DEFAULT_GRAPH_SEED, op),
        (Some(graph), Some(op)) => (graph, op),
    };
    // TensorFlow does this in Python, whose remainders are never negative.
    match (seed.rem_euclid(MODULUS), seed2.rem_euclid(MODULUS)) {
        (0, 0) => (0, MODULUS),
        seeds => seeds,
    }
}

/// Returns two seeds from the entropy of the operating system, which are never both zero. They replace the attributes (0, 0).
#[must_use]
pub fn seeds_from_entropy() -> (i64, i64) {
    loop {
        // The standard library's hasher keys are random; so are hashes under them.
        let [seed, seed2] = [0, 1].map(|i: u64| {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(i);
            hasher.finish() as i64
        });
        if (seed, seed2) != (0, 0) {
            return (seed, seed2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_differs_from_call_to_call() {
        assert_ne!(seeds_from_entropy(), seeds_from_entropy());
    }
}
