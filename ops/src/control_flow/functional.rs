//! Operations that call functions of the graph's library.
//!
//! Functions are attributes of dtype `func`; the inputs of an operation are the arguments of its functions,
//! in order. A stateless variant may only call functions without side effects, which lets an engine fold or
//! share it. `For` has no constructor: it occurs in imported graphs.
//!
//! | operations | inputs | result |
//! | --- | --- | --- |
//! | `If`, `StatelessIf` | predicate, arguments | that of `then_branch` if the predicate is not zero, else of `else_branch` |
//! | `Case`, `StatelessCase` | index, arguments | that of the branch with this index, of the last one for any other index |
//! | `While`, `StatelessWhile` | loop variables | the loop variables for which `cond` is false first |
//! | `For` | start, limit, delta, loop variables | the loop variables after the last index |
//! | `PartitionedCall`, `StatefulPartitionedCall` | arguments | that of `f` |
//! | `SymbolicGradient` | arguments, gradients of results | one gradient for each argument |

use crate::library::op_defs;
use crate::shapes;
use session_core::{OpDef, Result, ShapeContext};

const CONDITIONAL: &str = "Tcond: type, Tin: list(type) >= 0, Tout: list(type) >= 0, then_branch: func, else_branch: func, \
                           output_shapes: list(shape) = []";
const LOOP: &str = "T: list(type) >= 0, cond: func, body: func, output_shapes: list(shape) = [], \
                    parallel_iterations: int32 = 10";
const CHOICE: &str =
    "Tin: list(type) >= 0, Tout: list(type) >= 0, branches: list(func) >= 1, output_shapes: list(shape) = []";
const CALL: &str = "Tin: list(type) >= 0, Tout: list(type) >= 0, f: func, config: string = \"\", config_proto: string = \"\", \
                    executor_type: string = \"\"";

op_defs! {
    IF: OpDef::new("If", "cond: Tcond, input: Tin -> output: Tout")
        .attrs(CONDITIONAL)
        .stateful()
        .shape(output_shapes)
        .gradient(crate::gradients::branches::gradient);
    STATELESS_IF: OpDef::new("StatelessIf", "cond: Tcond, input: Tin -> output: Tout")
        .attrs(CONDITIONAL)
        .shape(output_shapes)
        .gradient(crate::gradients::branches::gradient);
    WHILE: OpDef::new("While", "input: T -> output: T").attrs(LOOP).stateful().shape(output_shapes)
        .gradient(crate::gradients::loops::gradient);
    STATELESS_WHILE: OpDef::new("StatelessWhile", "input: T -> output: T").attrs(LOOP).shape(output_shapes)
        .gradient(crate::gradients::loops::gradient);
    CASE: OpDef::new("Case", "branch_index: int32, input: Tin -> output: Tout")
        .attrs(CHOICE)
        .stateful()
        .shape(output_shapes)
        .gradient(crate::gradients::branches::gradient);
    STATELESS_CASE: OpDef::new("StatelessCase", "branch_index: int32, input: Tin -> output: Tout")
        .attrs(CHOICE)
        .shape(output_shapes)
        .gradient(crate::gradients::branches::gradient);
    FOR: OpDef::new("For", "start: int32, limit: int32, delta: int32, input: T -> output: T")
        .attrs("T: list(type) >= 0, body: func");
    PARTITIONED_CALL: OpDef::new("PartitionedCall", "args: Tin -> output: Tout").attrs(CALL)
        .gradient(crate::gradients::branches::gradient);
    STATEFUL_PARTITIONED_CALL: OpDef::new("StatefulPartitionedCall", "args: Tin -> output: Tout")
        .attrs(CALL)
        .stateful()
        .gradient(crate::gradients::branches::gradient);
    SYMBOLIC_GRADIENT: OpDef::new("SymbolicGradient", "input: Tin -> output: Tout")
        .attrs("Tin: list(type) >= 1, Tout: list(type) >= 1, f: func")
        .shape(shapes::unchanged_all);
}

/// Sets the shapes of the outputs to those of the attribute, if it has any.
fn output_shapes(context: &mut ShapeContext<'_>) -> Result<()> {
    // A list of another length is TensorFlow's default, an empty one: the shapes
    // stay unknown, which is no error.
    let declared = context.attr("output_shapes").and_then(|shapes| shapes.as_shapes()).unwrap_or_default();
    if declared.len() == context.outputs() {
        declared.into_iter().enumerate().for_each(|(index, shape)| context.set(index, shape));
    }
    Ok(())
}
