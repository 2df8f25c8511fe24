//! Constant folding: operations that are computed at compile time.
//!
//! An operation is folded if it is stateless, its inputs are constants, and its result is not much larger than they are. Folding runs the
//! same kernel that a step would run, so the results are equal bit by bit. The bytes of folded values count toward the limit of the plan
//! cache.

use super::{Builder, Shared};
use crate::ir::Value;
use crate::kernel::{Input, Kernel, KernelContext, scratch};
use crate::kernels::facts;
use crate::registry::{Role, has_effect};
use session_core::{Code, Error, Operation, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tensor::{DType, Tensor};

/// Results with more elements are computed in each run rather than kept in the plan.
const FOLD_LIMIT: usize = 16 << 20;

impl Builder<'_> {
    /// Replaces an operation by constants if its outputs can be computed now. Returns true if it did.
    pub(super) fn folded(
        &mut self,
        operation: &Operation,
        inputs: &[Value],
        control: &[usize],
        kernel: &dyn Kernel,
    ) -> bool {
        let Some(op) = facts(operation).filter(|op| op.control().is_none()) else { return false };
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

/// Runs a kernel on constants.
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

/// Runs a kernel, a panic of which (a broken invariant of ours) counts as an error.
fn run_caught(kernel: &dyn Kernel, context: &mut KernelContext<'_>) -> Result<()> {
    let ran = catch_unwind(AssertUnwindSafe(|| kernel.run(context)));
    ran.unwrap_or_else(|payload| Err(Error::from_panic("a kernel", &*payload)))
}
