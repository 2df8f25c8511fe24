//! Stacks of tensors, in which a loop leaves what its gradient needs.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{DType, Tensor};

/// One stack, which exists as long as the step that made it.
///
/// The lock guards the values; nothing is computed under it.
struct Stack {
    values: Mutex<Vec<Tensor>>,
    limit: Option<usize>,
}

impl Stack {
    fn lock(&self) -> MutexGuard<'_, Vec<Tensor>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn register(registry: &mut Registry) {
    // The first version has no limit as an input.
    registry.add_both(["StackV2", "Stack"], |_| {
        Ok(boxed(|context| {
            let limit = if context.num_inputs() > 0 { usize::try_from(context.int(0)?).ok() } else { None };
            let stack = Stack { values: Mutex::default(), limit };
            context.set(0, Tensor::from_handle(DType::Resource, Arc::new(stack)));
            Ok(())
        }))
    });
    registry.add_both(["StackPushV2", "StackPush"], |_| Ok(boxed(push)));
    registry.add_both(["StackPopV2", "StackPop"], |_| Ok(boxed(pop)));
    registry.add_both(["StackCloseV2", "StackClose"], |_| {
        Ok(boxed(|context| {
            let values = std::mem::take(&mut *stack(context)?.lock());
            drop(values);
            Ok(())
        }))
    });
}

fn stack<'c>(context: &'c KernelContext<'_>) -> Result<&'c Stack> {
    context.handle(0, "a stack")
}

fn push(context: &mut KernelContext<'_>) -> Result<()> {
    let value = context.take(1);
    {
        let stack = stack(context)?;
        let mut values = stack.lock();
        if stack.limit.is_some_and(|limit| values.len() >= limit) {
            let text = format!("Stack overflowed its max_size ({})", values.len());
            return Err(Error::invalid_argument(text));
        }
        values.push(value.clone());
    }
    context.set(0, value);
    Ok(())
}

fn pop(context: &mut KernelContext<'_>) -> Result<()> {
    let value = stack(context)?.lock().pop();
    let value =
        value.ok_or_else(|| Error::new(Code::InvalidArgument, "Stack is empty when calling Pop()"))?;
    context.set(0, value);
    Ok(())
}
