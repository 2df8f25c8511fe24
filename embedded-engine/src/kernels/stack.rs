//! Stacks of tensors, in which a loop leaves what its gradient needs.
//!
//! # Semantics
//!
//! `StackV2` takes the largest size (negative: none) and returns a new stack; `StackPushV2` appends its value
//! and also returns it; `StackPopV2` removes the last value and returns it; `StackCloseV2` drops all values.
//! Elements have any shape, and the dtype of the stack. A push onto a full stack, a pop from an empty one, and
//! another dtype are `InvalidArgument`. The order of pushes and pops is that of the graph's control edges. Versions without
//! `V2` are the same, and the oldest has no limit. Memory is never swapped out: the attribute `swap_memory`
//! has no effect.

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
    /// The values, the last one on top.
    values: Mutex<Vec<Tensor>>,
    /// The dtype of all values.
    dtype: DType,
    /// The number of values beyond which a push fails; `None` for no limit.
    limit: Option<usize>,
}

impl Stack {
    /// Locks the values. Tensors are shared handles, so what happens under the lock is short.
    fn lock(&self) -> MutexGuard<'_, Vec<Tensor>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an error for a value of another dtype than the stack's.
    fn check(&self, dtype: DType) -> Result<()> {
        if dtype != self.dtype {
            let text = format!("a value of {dtype} on a stack of {}", self.dtype);
            return Err(Error::invalid_argument(text));
        }
        Ok(())
    }
}

/// Registers the op types of both versions.
pub(crate) fn register(registry: &mut Registry) {
    // The first version has no limit as an input.
    registry.add_both(["StackV2", "Stack"], |spec| {
        let dtype = spec.dtype("elem_type")?;
        Ok(boxed(move |context| {
            let limit = if context.num_inputs() > 0 { usize::try_from(context.int(0)?).ok() } else { None };
            let stack = Stack { values: Mutex::default(), dtype, limit };
            context.set(0, Tensor::from_handle(DType::Resource, Arc::new(stack)));
            Ok(())
        }))
    });
    registry.add_both(["StackPushV2", "StackPush"], |_| Ok(boxed(push)));
    registry.add_both(["StackPopV2", "StackPop"], |spec| {
        let dtype = spec.dtype("elem_type")?;
        Ok(boxed(move |context| pop(context, dtype)))
    });
    registry.add_both(["StackCloseV2", "StackClose"], |_| {
        Ok(boxed(|context| {
            let values = std::mem::take(&mut *stack(context)?.lock());
            // The lock is released before: freeing many tensors takes time.
            drop(values);
            Ok(())
        }))
    });
}

/// Returns the stack of input 0.
fn stack<'c>(context: &'c KernelContext<'_>) -> Result<&'c Stack> {
    context.handle(0, "a stack")
}

/// Appends input 1, which is also the output, so that the operations that use the value wait for the push.
fn push(context: &mut KernelContext<'_>) -> Result<()> {
    let value = context.take(1);
    {
        let stack = stack(context)?;
        stack.check(value.dtype())?;
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

/// Removes and returns the last value.
///
/// `dtype` is the one that the operation declares for its output.
fn pop(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let stack = stack(context)?;
    stack.check(dtype)?;
    let value = stack.lock().pop();
    let value =
        value.ok_or_else(|| Error::new(Code::InvalidArgument, "Stack is empty when calling Pop()"))?;
    context.set(0, value);
    Ok(())
}
