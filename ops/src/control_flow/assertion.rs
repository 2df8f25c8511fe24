//! Checks and messages while the graph runs.

use super::grouping::with_dependencies;
use crate::array::constants::{constant, pass_first};
use crate::composite::Composite;
use crate::library::op_defs;
use crate::math::compare::{equal, greater_equal, less};
use crate::math::reduce::reduce_all;
use crate::shapes;
use session_core::{AsOutput, OpDef, Operation, Output, Result, ShapeContext};
use tensor::Tensor;

op_defs! {
    ASSERT: OpDef::new("Assert", "condition: bool, data: T ->")
        .attrs("T: list(type) >= 1, summarize: int32 = 3")
        .stateful()
        .shape(assert_shape)
        .not_differentiable();
    PRINT: OpDef::new("Print", "input: T, data: U -> output: T")
        .attrs("T: type, U: list(type) >= 0, message: string = \"\", first_n: int = -1, summarize: int32 = 3")
        .stateful()
        .shape(shapes::unchanged)
        .gradient(pass_first);
    PRINT_V2: OpDef::new("PrintV2", "input: string ->")
        .attrs("output_stream: string = \"stderr\", end: string = \"\n\"")
        .stateful()
        .not_differentiable();
    ABORT: OpDef::new("Abort", "->")
        .attrs("error_msg: string = \"\", exit_without_error: bool = false")
        .not_differentiable();
}

/// Checks that the condition is a scalar: several truth values must be reduced first.
fn assert_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 0)
}

/// Returns an operation that fails with `InvalidArgument` if the scalar `condition` is false. The message shows up to `summarize`
/// elements of each of `data`.
///
/// ```
/// use ops::array::placeholder;
/// use ops::control_flow::{assert_true, checked};
/// use ops::math::{greater, reduce_all};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [None]);
/// let positive = assert_true(reduce_all(greater(&x, ops::array::zeros_like(&x)), ..), &[x.clone()], 3);
/// let x = checked(&x, &positive); // whatever uses this x runs after the check
/// assert_eq!(x.operation().control_inputs(), [positive]);
/// ```
#[must_use]
#[track_caller]
pub fn assert_true(condition: impl AsOutput, data: &[Output], summarize: i64) -> Operation {
    let builder = condition.as_output().graph().op(&ASSERT).input(condition).input_list(data);
    builder.attr("summarize", summarize).finish()
}

/// Returns an operation that fails unless `compare` is true for all elements of `x` and `y`. The message has
/// `message`, such as `x < y`, and the first 3 elements of both, TensorFlow's default.
#[track_caller]
fn assert_all(
    name: &str,
    message: &str,
    (x, y): (&Output, &Output),
    compare: impl FnOnce(&Output, &Output) -> Output,
) -> Operation {
    let scope = Composite::new(&x.graph(), name);
    let (x, y) = (scope.enter(x), scope.enter(y));
    let text = |text: String| constant(scope.graph(), Tensor::from(text));
    let data = [
        text(format!("the condition {message} does not hold: x is {}", x.name())),
        x.clone(),
        text(format!("y is {}", y.name())),
        y.clone(),
    ];
    let holds = reduce_all(compare(&x, &y), ..);
    assert_true(&holds, &data, 3)
}

/// Returns an operation that fails unless all elements of `x` equal those of `y`, with broadcasting.
///
/// ```
/// use ops::{array::placeholder, control_flow::assert_equal};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let (x, y) = (placeholder(&graph, DType::Int32, [None]), placeholder(&graph, DType::Int32, [None]));
/// assert_eq!(assert_equal(&x, &y).op_type(), "Assert");
/// ```
#[must_use]
#[track_caller]
pub fn assert_equal(x: impl AsOutput, y: impl AsOutput) -> Operation {
    assert_all("assert_equal", "x == y", (x.as_output(), y.as_output()), |x, y| equal(x, y))
}

/// Returns an operation that fails with `InvalidArgument` unless each element of `x` is less than that of `y`, with broadcasting. The
/// message has the values of both.
///
/// ```
/// use ops::array::{constant, placeholder};
/// use ops::control_flow::{assert_less, checked};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let labels = placeholder(&graph, DType::Int32, [None]);
/// let check = assert_less(&labels, constant(&graph, 10));
/// let labels = checked(&labels, &check); // computed only if all labels are less than 10
/// assert_eq!(labels.shape().to_string(), "[?]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn assert_less(x: impl AsOutput, y: impl AsOutput) -> Operation {
    assert_all("assert_less", "x < y", (x.as_output(), y.as_output()), |x, y| less(x, y))
}

/// Returns an operation that fails with `InvalidArgument` unless each element of `x` is at least that of `y`, with broadcasting. The
/// message has the values of both.
#[must_use]
#[track_caller]
pub fn assert_greater_equal(x: impl AsOutput, y: impl AsOutput) -> Operation {
    assert_all("assert_greater_equal", "x >= y", (x.as_output(), y.as_output()), |x, y| greater_equal(x, y))
}

/// Returns the same tensor; running it writes a message and up to `summarize` elements of each of `data` to
/// standard error.
///
/// ```
/// use ops::{array::constant, control_flow::print};
/// let graph = session_core::Graph::new();
/// let loss = constant(&graph, 0.5f32);
/// // Each run that needs the result of `print` writes "loss: 0.5".
/// let loss = print(&loss, &[loss.clone()], "loss: ", 3);
/// assert_eq!(loss.operation().op_type(), "Print");
/// ```
#[must_use]
#[track_caller]
pub fn print(input: impl AsOutput, data: &[Output], message: &str, summarize: i64) -> Output {
    let builder = input.as_output().graph().op(&PRINT).input(input).input_list(data);
    builder.attr("message", message).attr("summarize", summarize).finish_output()
}

/// Returns the same tensor, which is computed only after the check has passed. Without it, or another dependency, nothing runs the
/// check. See [`assert_true`].
#[must_use]
#[track_caller]
pub fn checked(output: impl AsOutput, check: &Operation) -> Output {
    with_dependencies([check], output)
}
