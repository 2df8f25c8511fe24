//! Recurrent cells as single operations: products of a step, then all gates in one pass.

mod gru;
mod lstm;

use crate::kernel::{KernelContext, no_room};
use crate::registry::Registry;
use compute::matmul::{self, Epilogue, Product};
use compute::{Pool, Scratch};
use session_core::{Error, Result};
use tensor::{Shape, Tensor};

pub(crate) fn register(registry: &mut Registry) {
    lstm::register(registry);
    gru::register(registry);
}

/// Checks the shape of an input.
fn check(what: &str, found: &Shape, expected: &[usize]) -> Result<()> {
    if found.dims() == expected {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("{what} must have the shape {expected:?}, not {found}")))
}

/// The means to compute products, whose errors are those of working memory.
struct Products<'a> {
    pool: &'a Pool,
    scratch: &'a mut Scratch,
}

impl Products<'_> {
    fn multiply(&mut self, product: &Product, a: &[f32], b: &[f32], c: &mut [f32]) -> Result<()> {
        matmul::matmul(self.pool, self.scratch, product, a, b, c).map_err(no_room)
    }

    /// Computes the product and adds a bias to each row.
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

/// Returns new tensors of one shape.
fn fresh<const N: usize>(context: &KernelContext<'_>, shape: &[usize]) -> Result<[Tensor; N]> {
    let made: Vec<Tensor> = (0..N).map(|_| context.allocate::<f32>(shape)).collect::<Result<_>>()?;
    Ok(made.try_into().expect("as many as were requested"))
}

fn elements(tensor: &mut Tensor) -> &mut [f32] {
    tensor.as_mut_slice().expect("new memory has one owner")
}

/// Delivers the first outputs.
fn deliver<const N: usize>(context: &mut KernelContext<'_>, outputs: [Tensor; N]) {
    outputs.into_iter().enumerate().for_each(|(place, output)| context.set(place, output));
}
