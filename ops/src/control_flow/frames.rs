//! The operations that conditionals and loops of TensorFlow 1 are made of.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::gradients::outside_of_control_flow;
use crate::library::op_defs;
use crate::shapes::{self, old_handle, unchanged};
use session_core::{Error, OpDef, PartialShape, Result, ShapeContext};

const ENTER_ATTRS: &str =
    "T: type, frame_name: string, is_constant: bool = false, parallel_iterations: int32 = 10";

op_defs! {
    SWITCH: OpDef::new("Switch", "data: T, pred: bool -> output_false: T, output_true: T")
        .attrs("T: type")
        .shape(switch_shape)
        .gradient(outside_of_control_flow);
    MERGE: OpDef::new("Merge", "inputs: N * T -> output: T, value_index: int32")
        .attrs("T: type, N: int >= 1")
        .shape(merge_shape)
        .gradient(outside_of_control_flow);
    ENTER: OpDef::new("Enter", "data: T -> output: T").attrs(ENTER_ATTRS).shape(enter_shape)
        .gradient(outside_of_control_flow);
    EXIT: OpDef::new("Exit", "data: T -> output: T").attrs("T: type").shape(unchanged)
        .gradient(outside_of_control_flow);
    NEXT_ITERATION: OpDef::new("NextIteration", "data: T -> output: T").attrs("T: type").shape(unchanged)
        .gradient(outside_of_control_flow);
    LOOP_COND: OpDef::new("LoopCond", "input: bool -> output: bool").shape(loop_cond_shape).not_differentiable();
    REF_SWITCH: OpDef::new("RefSwitch", "data: Ref(T), pred: bool -> output_false: Ref(T), output_true: Ref(T)")
        .attrs("T: type")
        .shape(switch_shape)
        .gradient(outside_of_control_flow);
    REF_MERGE: OpDef::new("RefMerge", "inputs: Ref(N * T) -> output: Ref(T), value_index: int32")
        .attrs("T: type, N: int >= 1")
        .shape(merge_shape)
        .gradient(outside_of_control_flow);
    REF_ENTER: OpDef::new("RefEnter", "data: Ref(T) -> output: Ref(T)").attrs(ENTER_ATTRS).shape(unchanged)
        .gradient(outside_of_control_flow);
    REF_EXIT: OpDef::new("RefExit", "data: Ref(T) -> output: Ref(T)").attrs("T: type").shape(unchanged)
        .gradient(outside_of_control_flow);
    REF_NEXT_ITERATION: OpDef::new("RefNextIteration", "data: Ref(T) -> output: Ref(T)")
        .attrs("T: type")
        .shape(unchanged)
        .gradient(outside_of_control_flow);
    REF_SELECT: OpDef::new("RefSelect", "index: int32, inputs: Ref(N * T) -> output: Ref(T)")
        .attrs("T: type, N: int >= 1")
        .shape(ref_select_shape);
    REF_IDENTITY: OpDef::new("RefIdentity", "input: Ref(T) -> output: Ref(T)")
        .attrs("T: type")
        .shape(unchanged)
        .gradient(crate::array::constants::pass_on);
    STACK_V2: OpDef::new("StackV2", "max_size: int32 -> handle: resource")
        .attrs("elem_type: type, stack_name: string = \"\"")
        .stateful()
        .shape(old_handle)
        .not_differentiable();
    STACK_PUSH_V2: OpDef::new("StackPushV2", "handle: resource, elem: T -> output: T")
        .attrs("T: type, swap_memory: bool = false")
        .stateful()
        .shape(stack_push_shape);
    STACK_POP_V2: OpDef::new("StackPopV2", "handle: resource -> elem: elem_type")
        .attrs("elem_type: type")
        .stateful();
    STACK_CLOSE_V2: OpDef::new("StackCloseV2", "handle: resource ->").stateful().not_differentiable();
    STACK: OpDef::new("Stack", "-> handle: Ref(string)")
        .attrs("elem_type: type, stack_name: string = \"\"")
        .stateful().shape(old_handle).not_differentiable();
    STACK_PUSH: OpDef::new("StackPush", "handle: Ref(string), elem: T -> output: T")
        .attrs("T: type, swap_memory: bool = false").shape(stack_push_shape).not_differentiable();
    STACK_POP: OpDef::new("StackPop", "handle: Ref(string) -> elem: elem_type")
        .attrs("elem_type: type").not_differentiable();
    STACK_CLOSE: OpDef::new("StackClose", "handle: Ref(string) ->").not_differentiable();
}

/// Both outputs have the shape of `data`; the predicate must be a scalar.
fn switch_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 1)?;
    let shape = context.input(0);
    context.set(0, shape.clone());
    context.set(1, shape);
    Ok(())
}

/// Infers what holds for all inputs, because any of them may arrive.
fn merge_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let mut inputs = context.inputs().iter().map(|input| input.shape().clone());
    let first = inputs.next().ok_or_else(|| Error::value("a merge needs at least one input"))?;
    context.set(0, inputs.fold(first, |known, shape| known.relax(&shape)));
    context.set(1, PartialShape::scalar());
    Ok(())
}

/// The output has the shape of the initial value. Only `Merge` loosens it, when the value of
/// the next iteration is known.
fn enter_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(0);
    context.set(0, shape);
    Ok(())
}

/// The condition must be a scalar, and so is the output.
fn loop_cond_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 0)?;
    context.set(0, PartialShape::scalar());
    Ok(())
}

/// Infers the shape as `Merge` does, over the inputs after the index: any of them may be selected.
fn ref_select_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 0)?;
    let mut inputs = context.inputs().iter().skip(1).map(|input| input.shape().clone());
    let first = inputs.next().ok_or_else(|| Error::value("a selection needs at least one input"))?;
    context.set(0, inputs.fold(first, |known, shape| known.relax(&shape)));
    Ok(())
}

/// The output is the pushed element itself. That of a pop has an unknown shape: the stack does not record it.
fn stack_push_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(1);
    context.set(0, shape);
    Ok(())
}
