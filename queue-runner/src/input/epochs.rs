//! The number of times an input is gone through.

use super::producers::of_scope;
use ops::array::{constant, identity};
use ops::state::resource_count_up_to;
use ops::variables::local_variable;
use session_core::{AsOutput, Error, Output};
use tensor::Tensor;

/// Returns the same tensor, limited to a number of evaluations, after which it fails with `OutOfRange`
/// (S-251). Without a limit, the tensor is returned unchanged.
///
/// The counter is a local variable named `epochs`. The local initializer, which a monitored session runs,
/// resets it (S-252, S-253).
///
/// ```
/// use ops::array::constant;
/// use queue_runner::input::limit_epochs;
/// use session_core::Graph;
/// let graph = Graph::new();
/// let twice = limit_epochs(constant(&graph, [1.0f32, 2.0]), Some(2));
/// assert_eq!(twice.shape().to_string(), "[2]");
/// graph.finalize()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// In the graph, for a limit of 0.
#[must_use]
#[track_caller]
pub fn limit_epochs(tensor: impl AsOutput, num_epochs: Option<u64>) -> Output {
    let tensor = tensor.as_output();
    let Some(limit) = num_epochs else { return tensor.clone() };
    let graph = tensor.graph();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let scope = graph.composite("limit_epochs").located_at(std::panic::Location::caller());
    if limit == 0 {
        let error = Error::value("num_epochs must be > 0 not 0");
        scope.add_error(of_scope(&scope, error, "ResourceCountUpTo"));
    }
    let zero = constant(&scope, Tensor::scalar(0i64));
    let epochs = local_variable(&scope.named("epochs"), &zero);
    // The counter runs before the tensor and fails after the limit, which ends the thread that evaluates it.
    let counter = resource_count_up_to(epochs.handle().within(&scope.named("CountUpTo")), limit);
    let inner = scope.control_dependencies([counter.operation()]).named_as_scope();
    identity(tensor.within(&inner)).within(&graph)
}
