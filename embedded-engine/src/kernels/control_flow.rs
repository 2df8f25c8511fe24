//! What orders or checks other operations.

use crate::kernel::{KernelContext, Registry};
use crate::kernels::math::boxed;
use session_core::{Error, Result};

pub(crate) fn register(registry: &mut Registry) {
    // How much is shown follows from how tensors are printed, not from the attribute `summarize`.
    registry.add("Assert", |_| Ok(boxed(assert_true)));
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
