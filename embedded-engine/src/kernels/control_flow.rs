//! Kernels that order, check, select, and repeat other operations.
//!
//! A value is dead when the branch that would compute it is not taken: its slot stays empty. An operation
//! with a dead input does not run, and its outputs are dead too; a `Merge` passes on whichever of its inputs
//! is not. Each loop is a frame, which values enter and leave by `Enter` and `Exit`, and `NextIteration`
//! hands them from one round to the next.
//!
//! # Semantics
//!
//! | op | inputs | outputs |
//! | --- | --- | --- |
//! | `Switch` | value, condition (`bool` scalar) | the value as output 0 or 1; the other one is dead |
//! | `Merge` | values of which one is alive | the value, and the number of its input (`int32`) |
//! | `Enter`, `Exit`, `NextIteration` | value | the value, in another frame or iteration |
//! | `PartitionedCall`, `If`, `Case`, `While`, `For` | arguments | results of functions (`calls.rs`) |
//! | `NoOp`, `ControlTrigger` | | nothing; they order others |
//! | `Assert` | condition, data | nothing; `InvalidArgument` with the data if the condition is false |
//! | `Print` | value, data | the value; the data goes to the log |
//!
//! The forms with `Ref` and `Stateful` or `Stateless` are the same. If several inputs of a `Merge` are alive,
//! which a valid graph excludes, the first one counts.

mod printing;

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::{Call, Control, Registry, Role, Shares};
use session_core::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use tensor::Tensor;
use tensor::text::escaped;

/// Registers the op types, with the role that each has for the compiler. Kernels of control flow only move
/// values; guards decide what runs.
pub(crate) fn register(registry: &mut Registry) {
    registry.add_compiled(["Placeholder", "PlaceholderV2"], Role::Placeholder);
    registry.add_compiled(["NoOp"], Role::Order);
    registry.add_compiled(["ControlTrigger"], Role::Trigger);
    let control = |registry: &mut Registry, op_types, control, make| {
        registry.add_both(op_types, make).role(Role::Control(control)).shares(Shares::Inputs);
    };
    control(registry, ["Switch", "RefSwitch"], Control::Switch, |_| Ok(boxed(switch)));
    control(registry, ["Merge", "RefMerge"], Control::Merge, |_| Ok(boxed(merge)));
    control(registry, ["Enter", "RefEnter"], Control::Enter, |_| Ok(boxed(pass_on)));
    control(registry, ["Exit", "RefExit"], Control::Exit, |_| Ok(boxed(pass_on)));
    control(registry, ["NextIteration", "RefNextIteration"], Control::NextIteration, |_| Ok(boxed(pass_on)));
    let calls = ["PartitionedCall", "StatefulPartitionedCall"];
    registry.add_compiled(calls, Role::Call(Call::Function));
    registry.add_compiled(["If", "StatelessIf"], Role::Call(Call::If));
    registry.add_compiled(["Case", "StatelessCase"], Role::Call(Call::Case));
    registry.add_compiled(["While", "StatelessWhile"], Role::Call(Call::While));
    registry.add_compiled(["For"], Role::Call(Call::For));
    registry.add_compiled(["SymbolicGradient"], Role::Call(Call::Gradient));
    // How much is shown follows from how tensors are printed, not from the attribute `summarize`.
    registry.add("Assert", |_| Ok(boxed(assert_true)));
    registry
        .add("Print", |spec| {
            let message = spec.str("message")?.to_owned();
            // A negative limit does not convert: there is none.
            let first = u64::try_from(spec.int("first_n")?).ok();
            let printed = AtomicU64::new(0);
            Ok(boxed(move |context| {
                // Counted only where there is a limit; a negative one is none.
                // Counted in the kernel, so per plan and not per session: a new set of fetches prints again.
                if first.is_none_or(|first| printed.fetch_add(1, Ordering::Relaxed) < first) {
                    let shown: Vec<String> =
                        (1..context.num_inputs()).map(|i| format!("[{}]", context.input(i))).collect();
                    log::info!("{}", escaped_lines(&format!("{message}{}", shown.concat())));
                }
                let value = context.take(0);
                context.set(0, value);
                Ok(())
            }))
        })
        .shares(Shares::Inputs);
    printing::register(registry);
}

/// Returns a text without control characters, except for its line ends: the texts of a graph must not command
/// the terminal.
fn escaped_lines(text: &str) -> String {
    text.split('\n').map(|line| escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// Fails with the data (inputs 1 and on) if the condition is false.
fn assert_true(context: &mut KernelContext<'_>) -> Result<()> {
    if context.input(0).value::<bool>()? {
        return Ok(());
    }
    let shown = |i: usize| context.input(i).to_string();
    let data: Vec<String> = (1..context.num_inputs()).map(shown).collect();
    Err(Error::invalid_argument(format!("assertion failed: {}", data.join(" "))))
}

/// Delivers input 0 as the output that the condition selects. The other output stays empty, which makes it
/// dead.
fn switch(context: &mut KernelContext<'_>) -> Result<()> {
    let taken = usize::from(context.input(1).value::<bool>()?);
    let value = context.take(0);
    context.set(taken, value);
    Ok(())
}

/// Delivers the input that is alive. At the head of a loop that is the initial value first, and then the
/// loop-carried one, whose slots are emptied by turns.
fn merge(context: &mut KernelContext<'_>) -> Result<()> {
    let there = context.inputs.iter().position(|input| context.slots[input.slot as usize].is_some());
    let index = there.ok_or_else(|| Error::runtime("a merge without an input"))?;
    let value = context.take(index);
    context.set(0, value);
    if context.outputs.len() > 1 {
        context.set(1, Tensor::from(i32::try_from(index).unwrap_or(i32::MAX)));
    }
    Ok(())
}

/// Delivers input 0 as output 0, without a copy.
fn pass_on(context: &mut KernelContext<'_>) -> Result<()> {
    let value = context.take(0);
    context.set(0, value);
    Ok(())
}
