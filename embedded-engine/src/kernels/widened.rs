//! 16-bit floats in kernels that compute in single precision: the input is widened, the result is rounded
//! once.
//!
//! TensorFlow computes these operations in `f32` as well, so that intermediate results do not overflow or
//! lose bits. Only inputs and outputs of 16 bits are converted; indices, shapes and masks pass through.
//!
//! # Cost
//!
//! Each tensor is converted once, over the pool, into memory from the session. The inner kernel owns the
//! converted inputs and may write in place.

use crate::dispatch::unsupported;
use crate::kernel::{Input, Kernel, KernelContext, NodeSpec, UNUSED};
use compute::elementwise::{self, CastTo};
use session_core::Result;
use tensor::{DType, Element, Tensor, bf16, f16};

/// A kernel for `float32` whose inputs of 16 bits are widened before, and whose results are rounded once
/// after.
struct Widened {
    /// The kernel for `float32`.
    kernel: Box<dyn Kernel>,
    /// The dtypes of the operation's outputs, to which results are rounded.
    outputs: Vec<DType>,
}

/// Returns the kernel of an operation on 16-bit floats, made of the one that runs it on `float32`. That
/// kernel must neither wait nor hold functions.
pub(crate) fn widened(spec: &NodeSpec<'_>, kernel: Box<dyn Kernel>) -> Box<dyn Kernel> {
    let outputs = spec.operation.output_infos().iter().map(|info| info.dtype).collect();
    Box::new(Widened { kernel, outputs })
}

/// Returns the kernel of an operation that is computed in `float32` alone: as it is, or for 16-bit floats
/// around it.
///
/// # Errors
/// `Unimplemented` for another dtype of input 0.
pub(crate) fn single(spec: &NodeSpec<'_>, kernel: Box<dyn Kernel>) -> Result<Box<dyn Kernel>> {
    match spec.input_dtype(0) {
        DType::Float32 => Ok(kernel),
        DType::Float16 | DType::BFloat16 => Ok(widened(spec, kernel)),
        other => Err(unsupported(other)),
    }
}

impl Kernel for Widened {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let count = context.num_inputs();
        let mut slots = Vec::with_capacity(count + self.outputs.len());
        for index in 0..count {
            // Taken, so that a converted input can be dropped at once and one of another dtype be written in
            // place.
            let value = context.take(index);
            slots.push(Some(match value.dtype() {
                DType::Float16 => cast::<f16, f32>(context, &value)?,
                DType::BFloat16 => cast::<bf16, f32>(context, &value)?,
                _ => value,
            }));
        }
        let inputs: Vec<Input> = (0..count as u32).map(|slot| Input { slot, last: true }).collect();
        // An output that nothing reads is also unused inside, so that the kernel can skip it.
        let used = |(index, &slot): (usize, &u32)| match slot {
            UNUSED => UNUSED,
            _ => (count + index) as u32,
        };
        let outputs: Vec<u32> = context.outputs.iter().enumerate().map(used).collect();
        slots.resize(count + outputs.len(), None);
        self.kernel.run(&mut KernelContext {
            slots: &mut slots,
            inputs: &inputs,
            outputs: &outputs,
            environment: context.environment,
            limits: context.limits,
            instance: context.instance,
            scratch: context.scratch,
        })?;
        for (index, value) in slots.into_iter().skip(count).enumerate() {
            let Some(value) = value else { continue };
            let value = match self.outputs[index] {
                DType::Float16 => cast::<f32, f16>(context, &value)?,
                DType::BFloat16 => cast::<f32, bf16>(context, &value)?,
                _ => value,
            };
            context.set(index, value);
        }
        Ok(())
    }
}

/// Returns a tensor with the elements converted to another type; to 16 bits they are rounded to nearest, ties
/// to even.
fn cast<A, B>(context: &KernelContext<'_>, value: &Tensor) -> Result<Tensor>
where
    A: Element + CastTo<B>,
    B: Element + elementwise::Element,
{
    let mut result = context.allocate::<B>(value.shape().clone())?;
    let output = result.as_mut_slice().expect("new memory has one owner");
    elementwise::cast(context.pool(), value.as_slice::<A>()?, output);
    Ok(result)
}
