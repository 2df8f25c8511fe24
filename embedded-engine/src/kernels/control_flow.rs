//! Kernels that order, check, select, and repeat other operations.
//!
//! A value is dead when the branch that would compute it is not taken: its slot stays empty. An operation with a dead
//! input does not run, and its outputs are dead too; a `Merge` passes on whichever of its inputs is not. Each loop
//! is a frame, which values enter and leave by `Enter` and `Exit`, and `NextIteration` hands them from one round to the
//! next.

mod printing;

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::{Call, Control, Registry, Role, Shares};
use session_core::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use tensor::Tensor;
use tensor::text::escaped;

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
            let first = u64::try_from(spec.int("first_n")?).ok();
            let printed = AtomicU64::new(0);
            Ok(boxed(move |context| {
                // Counted only where there is a limit; a negative one is none.
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

/// Returns a printed text without anything that a terminal obeys, except for its line ends.
fn escaped_lines(text: &str) -> String {
    text.split('\n').map(|line| escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// Fails with the data given when the condition does not hold.
fn assert_true(context: &mut KernelContext<'_>) -> Result<()> {
    if context.input(0).value::<bool>()? {
        return Ok(());
    }
    let shown = |i: usize| context.input(i).to_string();
    let data: Vec<String> = (1..context.num_inputs()).map(shown).collect();
    Err(Error::invalid_argument(format!("assertion failed: {}", data.join(" "))))
}

fn switch(context: &mut KernelContext<'_>) -> Result<()> {
    let taken = usize::from(context.input(1).value::<bool>()?);
    let value = context.take(0);
    context.set(taken, value);
    Ok(())
}

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

fn pass_on(context: &mut KernelContext<'_>) -> Result<()> {
    let value = context.take(0);
    context.set(0, value);
    Ok(())
}
