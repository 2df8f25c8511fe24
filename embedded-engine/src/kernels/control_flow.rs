//! What orders or checks other operations.

use crate::kernel::{KernelContext, Registry};
use crate::kernels::math::boxed;
use session_core::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn register(registry: &mut Registry) {
    // How much is shown follows from how tensors are printed, not from the attribute `summarize`.
    registry.add("Assert", |_| Ok(boxed(assert_true)));
    registry.add("Print", |spec| {
        let message = spec.str("message")?.to_owned();
        let first = u64::try_from(spec.int("first_n")?).ok();
        let printed = AtomicU64::new(0);
        Ok(boxed(move |context| {
            // Counted only where there is a limit; a negative one is none.
            if first.is_none_or(|first| printed.fetch_add(1, Ordering::Relaxed) < first) {
                let shown: Vec<String> =
                    (1..context.num_inputs()).map(|i| format!("[{}]", context.input(i))).collect();
                log::info!("{message}{}", shown.concat());
            }
            let value = context.take(0);
            context.set(0, value);
            Ok(())
        }))
    });
    registry.add("PrintV2", |_| {
        Ok(boxed(|context| {
            for text in context.input(0).as_strings()? {
                log::info!("{}", String::from_utf8_lossy(text));
            }
            Ok(())
        }))
    });
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
