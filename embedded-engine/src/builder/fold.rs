//! Constant folding: operations that are computed at compile time.
//!
//! An operation is folded if it is stateless, its inputs are constants, nothing orders it, and its result is
//! not known to be large. Folding runs the same kernel that a step would run, so the results are equal bit by
//! bit. The bytes of folded values count toward the limit of the plan cache.
//!
//! # Not folded
//!
//! - Operations with an effect, and those whose registration says that their result changes, such as the
//!   content of a file.
//! - Control flow, because its outputs may be dead, and operations with control inputs.
//! - Operations that call or keep functions; the caller checks that, since the functions are not compiled
//!   yet.
//! - Everything, if `SessionConfig::optimize` is off, except for handles: the scheduler needs to know which
//!   variable they name.

use super::{Builder, Shared};
use crate::ir::Value;
use crate::kernel::{Input, Kernel, KernelContext, scratch};
use crate::registry::{OpType, Role, has_effect};
use session_core::{Code, Error, Operation, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tensor::{DType, Tensor};

/// The number of elements above which a result is computed in each run rather than kept in the plan. A result
/// whose shape is unknown is folded whatever its size; the limit of the plan cache bounds what such plans
/// hold.
const FOLD_LIMIT: usize = 16 << 20;

impl Builder<'_> {
    /// Replaces an operation by constants if its outputs can be computed now. Returns true if it did.
    ///
    /// An error of the kernel is not returned: the node stays, and reports it if it ever runs. In a branch
    /// that is never taken, it does not.
    pub(super) fn folded(
        &mut self,
        operation: &Operation,
        op: Option<&OpType>,
        inputs: &[Value],
        control: &[usize],
        kernel: &dyn Kernel,
    ) -> bool {
        let Some(op) = op.filter(|op| op.control().is_none()) else { return false };
        let stateless = !has_effect(operation) && !op.changes;
        let small =
            operation.output_infos().iter().all(|info| info.shape.elements().is_none_or(|n| n <= FOLD_LIMIT));
        let is_handle = op.role == Role::Handle;
        if !(is_handle || (self.shared.optimize && stateless && small && control.is_empty())) {
            return false;
        }
        let constants: Option<Vec<Tensor>> = inputs.iter().map(|&input| self.constant(input)).collect();
        let Some(constants) = constants else { return false };
        // A node that fails here fails again when it runs, and is reported there.
        let Ok(values) = fold(kernel, constants, operation.num_outputs(), self.shared) else { return false };
        self.folded += values.iter().map(Tensor::byte_len).sum::<usize>();
        self.replace(operation, values);
        true
    }
}

/// Returns the result of a `Shape` whose input's shape is known without running anything.
///
/// `None` if a dimension is unknown, or if it does not fit the `int32` that the op returns: the kernel then
/// reports it.
pub(super) fn static_shape(operation: &Operation) -> Option<Tensor> {
    let shape = operation.input(0).shape().to_shape()?;
    match operation.output_infos()[0].dtype {
        DType::Int32 => {
            let dims: Option<Vec<i32>> = shape.iter().map(|&dim| i32::try_from(dim).ok()).collect();
            Some(Tensor::from(dims?))
        }
        _ => Some(Tensor::from(shape.iter().map(|&dim| dim as i64).collect::<Vec<_>>())),
    }
}

/// Runs a kernel on constants, and returns its `outputs` results. The inputs are never the last use: other
/// operations share the constants.
///
/// # Errors
/// The error of the kernel, a panic of it, and `Internal` if it did not deliver all outputs.
fn fold(
    kernel: &dyn Kernel,
    constants: Vec<Tensor>,
    outputs: usize,
    shared: &Shared<'_>,
) -> Result<Vec<Tensor>> {
    let inputs: Vec<Input> = (0..constants.len() as u32).map(|slot| Input { slot, last: false }).collect();
    let output_slots: Vec<u32> = (0..outputs).map(|i| (constants.len() + i) as u32).collect();
    let mut slots: Vec<Option<Tensor>> = constants.into_iter().map(Some).collect();
    slots.resize(inputs.len() + outputs, None);
    let mut context = KernelContext {
        slots: &mut slots,
        inputs: &inputs,
        outputs: &output_slots,
        environment: shared.environment,
        limits: shared.limits,
        instance: None,
        scratch: &mut scratch(),
    };
    run_caught(kernel, &mut context)?;
    let values: Option<Vec<Tensor>> = slots.drain(inputs.len()..).collect();
    values.ok_or_else(|| Error::new(Code::Internal, "a kernel did not deliver all its outputs"))
}

/// Runs a kernel and turns a panic, which is a broken invariant of ours, into an error. The frame and scratch
/// memory are not used afterwards.
fn run_caught(kernel: &dyn Kernel, context: &mut KernelContext<'_>) -> Result<()> {
    let ran = catch_unwind(AssertUnwindSafe(|| kernel.run(context)));
    ran.unwrap_or_else(|payload| Err(Error::from_panic("a kernel", &*payload)))
}
