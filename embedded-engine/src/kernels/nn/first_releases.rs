//! Operations of TensorFlow's first releases, which old graphs contain.
//!
//! # Semantics
//!
//! `BatchNormWithGlobalNormalization` takes images `t` `[n, h, w, c]` of floats and `m`, `v`, `beta`, `gamma`
//! `[c]`, and returns `(t - m) / sqrt(v + variance_epsilon)`, times `gamma` if `scale_after_normalization`,
//! plus `beta`. `gamma` must have its shape even if it is not used. Wrong shapes are `InvalidArgument`.
//! Parallel over pixels.
//!
//! `TopK` is `TopKV2` with the attribute `k` and `int32` indices; see `ranking.rs`.

use super::ranking::top_k;
use crate::kernel::KernelContext;
use crate::kernels::chunks::for_chunks;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{DType, Element};

/// Registers the op types.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("BatchNormWithGlobalNormalization", |spec| {
        let (epsilon, scaled) = (spec.float("variance_epsilon")?, spec.bool("scale_after_normalization")?);
        for_dtype!(widened spec, spec.input_dtype(0), T => {
            Ok(boxed(move |context| batch_norm::<T>(context, T::of(epsilon.into()), scaled)))
        })
    });
    registry.add("TopK", |spec| {
        let k = spec.int("k")?;
        crate::dispatch::check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| top_k(context, k, DType::Int32)))
    });
}

/// Delivers images normalized by given moments. The factor of each channel is computed once, so a pixel costs
/// no root and no division.
fn batch_norm<T: Element + Real>(context: &mut KernelContext<'_>, epsilon: T, scaled: bool) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let channels = match shape.dims() {
        &[_, _, _, channels] => channels,
        _ => return Err(Error::invalid_argument(format!("input must be 4-dimensional, got shape {shape}"))),
    };
    if let Some(input) = (1..5).find(|&input| context.input(input).shape().dims() != [channels]) {
        let text = format!("input {input} of shape {} does not fit {shape}", context.input(input).shape());
        return Err(Error::invalid_argument(text));
    }
    context.produce::<T>(0, shape, |context, output| {
        let input = context.slice::<T>(0)?;
        let (mean, variance) = (context.slice::<T>(1)?, context.slice::<T>(2)?);
        let (beta, gamma) = (context.slice::<T>(3)?, context.slice::<T>(4)?);
        let factor = |channel: usize| {
            let factor = T::of(1.0) / (variance[channel] + epsilon).sqrt();
            if scaled { factor * gamma[channel] } else { factor }
        };
        let factors: Vec<T> = (0..channels).map(factor).collect();
        let part = channels.max(1) * 1024;
        for_chunks(context.pool(), output, part, |at, output| {
            let input = &input[at * part..][..output.len()];
            for (place, (out, &x)) in output.iter_mut().zip(input).enumerate() {
                let channel = place % channels;
                *out = (x - mean[channel]) * factors[channel] + beta[channel];
            }
        });
        Ok(())
    })
}
