//! Biases.
//!
//! # Semantics
//!
//! `BiasAdd` takes `value` of rank 2 or more and a `bias` `[channels]`, both of any dtype of numbers, and
//! adds the bias along the channels: the last axis for `NHWC` (default of `data_format`), the second one for
//! `NCHW`. `BiasAddV1` has the last axis only. `BiasAddGrad` takes the gradient of the result and returns its
//! sum over all other axes. Rank 0 or 1 and a bias of another size are `InvalidArgument`.
//!
//! The sum is written over `value` if nothing else holds it. Both run in parallel, and the order of the
//! gradient's sum depends on the shape only, so bits do not depend on the number of threads. After a product
//! or convolution the compiler fuses the addition (`fuse.rs`).
//!
//! ```text
//! BiasAdd      [[1, 2], [3, 4]]  [10, 20]          -> [[11, 22], [13, 24]]
//! BiasAddGrad  [[1, 2], [3, 4]]                    -> [4, 6]
//! ```

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::{Fusion, Registry};
use compute::elementwise::{self, ChannelLayout};
use session_core::{Error, Result};
use tensor::{Element, Shape};

/// Registers the op types. The addition is what a product or convolution before it absorbs.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("BiasAdd", |spec| {
        let channels_first = channels_first(spec);
        for_dtype!(number spec.input_dtype(0), T => Ok(boxed(move |context| bias_add::<T>(context, channels_first))))
    }).fuses(Fusion::Bias);
    registry.add("BiasAddV1", |spec| {
        for_dtype!(number spec.input_dtype(0), T => Ok(boxed(|context| bias_add::<T>(context, false))))
    }).fuses(Fusion::Bias);
    registry.add("BiasAddGrad", |spec| {
        let channels_first = channels_first(spec);
        for_dtype!(number spec.input_dtype(0), T => Ok(boxed(move |context| bias_grad::<T>(context, channels_first))))
    });
}

/// Returns true if channels are the second dimension (`NCHW`) rather than the last.
pub(crate) fn channels_first(spec: &NodeSpec<'_>) -> bool {
    spec.str("data_format").is_ok_and(|format| format == "NCHW")
}

/// Returns how many elements lie before, along and after the channels: `[8, 3, 5, 5]` has a batch of 8, 3
/// channels and 25 positions if channels are first, and a batch of 120, 5 channels and one position
/// otherwise.
fn layout(shape: &Shape, channels_first: bool) -> Result<ChannelLayout> {
    let rank = shape.rank();
    if rank < 2 {
        return Err(Error::invalid_argument(format!("Input tensor must be at least 2D: {shape}")));
    }
    Ok(if channels_first {
        ChannelLayout { batch: shape[0], channels: shape[1], positions: shape[2..].iter().product() }
    } else {
        ChannelLayout { batch: shape[..rank - 1].iter().product(), channels: shape[rank - 1], positions: 1 }
    })
}

/// Delivers the sum of input 0 and the bias.
fn bias_add<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    channels_first: bool,
) -> Result<()> {
    let mut data = context.take(0);
    let layout = layout(data.shape(), channels_first)?;
    let bias = context.input(1);
    if bias.shape().dims() != [layout.channels] {
        let text = format!("a bias of shape {} does not fit the input {}", bias.shape(), data.shape());
        return Err(Error::invalid_argument(text));
    }
    // Copies the elements only if another tensor shares them.
    let values = data.make_mut::<T>(context.buffers())?;
    elementwise::bias_add_channels(context.pool(), layout, values, bias.as_slice()?);
    context.set(0, data);
    Ok(())
}

/// Delivers the sum of input 0 over everything but the channels, `[channels]`.
fn bias_grad<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    channels_first: bool,
) -> Result<()> {
    let layout = layout(context.input(0).shape(), channels_first)?;
    context.produce::<T>(0, [layout.channels], |context, output| {
        compute::reduce::bias_add_grad(context.pool(), layout, context.slice(0)?, output);
        Ok(())
    })
}
