//! Layer-wise learning rates.

use crate::array::constants::scalar_like;
use crate::math::{greater, logical_and, real_div, reduce_sum, select, sqrt, square};
use session_core::{Output, Variable};

/// Returns the Euclidean norm of a tensor.
pub(super) fn norm(tensor: &Output) -> Output {
    sqrt(reduce_sum(square(tensor), ..))
}

/// Returns `numerator / denominator` where both norms are positive, and one elsewhere.
pub(super) fn ratio(numerator: &Output, denominator: &Output, norms: [&Output; 2]) -> Output {
    // A variable that begins with zeros, or a gradient of zeros, has no ratio; 1
    // lets it take an ordinary step.
    let (zero, one) = (scalar_like(numerator, 0.0), scalar_like(numerator, 1.0));
    let [positive, other] = norms.map(|norm| greater(norm, &zero));
    select(logical_and(positive, other), real_div(numerator, denominator), one)
}

/// Returns true if the name of the variable contains one of these parts.
pub(super) fn is_named(variable: &Variable, parts: &[String]) -> bool {
    parts.iter().any(|part| variable.name().contains(part.as_str()))
}

/// Returns the parts as a list that an optimizer keeps.
pub(super) fn owned(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}
