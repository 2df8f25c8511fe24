//! Recurrent cells as single operations: products of a step, then all gates in one pass.
//!
//! One step of a layer is one or two products over the whole batch, followed by one pass over all gates.
//! Sequences loop over steps inside the kernel, which saves the dispatch of dozens of small operations per
//! step.

mod gru;
mod lstm;

use crate::kernel::{KernelContext, no_room};
use crate::registry::Registry;
use compute::matmul::{self, Epilogue, Product};
use compute::{Pool, Scratch};
use session_core::{Error, Result};
use tensor::{Shape, Tensor};

/// Registers the op types of both cells.
pub(crate) fn register(registry: &mut Registry) {
    lstm::register(registry);
    gru::register(registry);
}

/// Returns `InvalidArgument` unless an input has the expected shape. `what` is its name in the op's
/// definition.
fn check(what: &str, found: &Shape, expected: &[usize]) -> Result<()> {
    if found.dims() == expected {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("{what} must have the shape {expected:?}, not {found}")))
}

/// The means to compute products of `f32`, with errors of the engine.
struct Products<'a> {
    /// The threads that share each product.
    pool: &'a Pool,
    /// Working memory for packed operands, reused from product to product.
    scratch: &'a mut Scratch,
}

impl Products<'_> {
    /// Computes `c = a * b`; `product` has the sizes and which operands are transposed.
    ///
    /// # Errors
    /// `ResourceExhausted` if there is no room for packed operands.
    fn multiply(&mut self, product: &Product, a: &[f32], b: &[f32], c: &mut [f32]) -> Result<()> {
        matmul::matmul(self.pool, self.scratch, product, a, b, c).map_err(no_room)
    }

    /// Computes `c = a * b` and adds `bias`, one number per column, to each row.
    fn with_bias(
        &mut self,
        product: &Product,
        a: &[f32],
        b: &[f32],
        bias: &[f32],
        c: &mut [f32],
    ) -> Result<()> {
        let epilogue = Epilogue { bias: Some(bias), relu: false };
        matmul::matmul_fused(self.pool, self.scratch, product, a, b, epilogue, c).map_err(no_room)
    }
}

/// Returns `N` new tensors of one shape with arbitrary elements.
fn fresh<const N: usize>(context: &KernelContext<'_>, shape: &[usize]) -> Result<[Tensor; N]> {
    let made: Vec<Tensor> = (0..N).map(|_| context.allocate::<f32>(shape)).collect::<Result<_>>()?;
    Ok(made.try_into().expect("as many as were requested"))
}

/// Returns the elements of a tensor that was just made.
fn elements(tensor: &mut Tensor) -> &mut [f32] {
    tensor.as_mut_slice().expect("new memory has one owner")
}

/// Delivers tensors as the first outputs, in order.
fn deliver<const N: usize>(context: &mut KernelContext<'_>, outputs: [Tensor; N]) {
    outputs.into_iter().enumerate().for_each(|(place, output)| context.set(place, output));
}
