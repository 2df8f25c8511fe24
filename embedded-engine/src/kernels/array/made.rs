//! Tensors made from a few numbers; copies, and other views of the same bytes; checks of values.
//!
//! # Semantics
//!
//! - `LinSpace` computes `start + i * ((stop - start) / (num - 1))` in its dtype; the first element is
//!   `start` itself, the last one `stop`. `num` is at least 1; `start` alone is returned for 1.
//! - `Empty` takes the shape as an input. It returns zeros here, also without the attribute `init`: memory of
//!   other tensors must not become visible. `DeepCopy` returns a copy that shares nothing with its input.
//! - `Bitcast` reinterprets the bytes. If the new dtype is smaller, an axis is added; if it is larger, the
//!   last axis must have as many elements as fit into one and disappears.
//! - `CheckNumerics` fails with `InvalidArgument` if an element is NaN or infinite; the message of the
//!   attribute comes first. V2 distinguishes the two infinities.
//! - `GuaranteeConst` and a passed check return their input itself, without a copy.
//! - `ParallelConcat` joins tensors of one row each; its attribute `shape` is not read. TensorFlow writes the
//!   rows in parallel as they arrive, which has no equivalent here: the kernel runs once all inputs are
//!   present.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::random::shape as shape_input;
use crate::registry::{Registry, Shares};
use compute::elementwise::CastTo;
use session_core::{Error, Result};
use std::ops::{Add, Div, Mul, Sub};
use tensor::{DType, Element, Shape, Tensor, memory};

/// Registers the op types. Those that return their input's memory declare it, because that is visible if the
/// memory belongs to a variable.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("LinSpace", |spec| for_dtype!(float spec.input_dtype(0), T => Ok(boxed(lin_space::<T>))));
    registry.add("Empty", |spec| {
        let dtype = spec.dtype("dtype")?;
        Ok(boxed(move |context| {
            // Zeros even without `init`: the old content of memory must not become visible.
            let empty = Tensor::zeros(dtype, shape_input(context, 0)?)?;
            context.set(0, empty);
            Ok(())
        }))
    });
    registry.add("DeepCopy", |_| {
        Ok(boxed(|context| {
            let copy = context.input(0).copied(context.buffers())?;
            context.set(0, copy);
            Ok(())
        }))
    });
    registry
        .add("GuaranteeConst", |_| {
            Ok(boxed(|context| {
                let value = context.take(0);
                context.set(0, value);
                Ok(())
            }))
        })
        .shares(Shares::Inputs);
    registry
        .add("Bitcast", |spec| {
            let to = spec.dtype("type")?;
            Ok(boxed(move |context| bitcast(context, to)))
        })
        .shares(Shares::View);
    registry.add("CheckNumerics", |spec| make_check(spec, false)).shares(Shares::Inputs);
    registry.add("CheckNumericsV2", |spec| make_check(spec, true)).shares(Shares::Inputs);
    registry.add("ParallelConcat", |_| Ok(boxed(parallel_concat)));
}

/// Delivers `num` (input 2) evenly spaced numbers from `start` (input 0) to `stop` (input 1), both included:
/// `0, 1, 4` gives `[0, 1/3, 2/3, 1]`.
fn lin_space<T>(context: &mut KernelContext<'_>) -> Result<()>
where
    f64: CastTo<T>,
    T: Element + Add<Output = T> + Sub<Output = T> + Mul<Output = T> + Div<Output = T>,
{
    let (start, stop) = (context.input(0).value::<T>()?, context.input(1).value::<T>()?);
    let count = context.int(2)?;
    let count = usize::try_from(count)
        .ok()
        .filter(|&count| count > 0)
        .ok_or_else(|| Error::invalid_argument(format!("Requires num > 0: {count}")))?;
    context.produce::<T>(0, [count], |_, output| {
        let number = |integer: usize| CastTo::<T>::cast(integer as f64);
        output[0] = start;
        if count > 1 {
            let step = (stop - start) / number(count - 1);
            // Without the first number, which an infinite step would make NaN.
            let between = output.iter_mut().enumerate().skip(1);
            between.for_each(|(i, value)| *value = start + step * number(i));
            // The product need not round to `stop`.
            output[count - 1] = stop;
        }
        Ok(())
    })
}

/// Delivers the bytes of input 0 as elements of another dtype, in little-endian order within an element, as
/// on the machines that TensorFlow runs on.
///
/// `float32` of shape `[2]` as `int8` has the shape `[2, 4]`; `int8` of shape `[2, 4]` as `float32` has
/// `[2]`. Fails for strings and handles, which have no bytes, and for a last axis that does not make whole
/// elements.
fn bitcast(context: &mut KernelContext<'_>, to: DType) -> Result<()> {
    let input = context.input(0).clone();
    let (from, shape) = (input.dtype(), input.shape().clone());
    let (old, new) = (from.size(), to.size());
    let cannot = || Error::invalid_argument(format!("cannot bitcast {shape} of {from} to {to}"));
    let dims: Shape = if old == 0 || new == 0 {
        return Err(cannot());
    } else if old >= new {
        let parts = (old != new).then_some(old / new);
        shape.iter().copied().chain(parts).collect()
    } else {
        match shape.split_last() {
            Some((&last, rest)) if last == new / old => rest.into(),
            _ => return Err(cannot()),
        }
    };
    // A copy: a buffer of one dtype need not have the alignment of another.
    let bytes = memory::collected(input.to_le_bytes()?.iter().copied())?;
    let cast = Tensor::from_le_bytes(to, dims, bytes)?;
    context.set(0, cast);
    Ok(())
}

/// The kinds of non-finite numbers that occur in a tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// True if an element is NaN.
    nan: bool,
    /// True if an element is positive infinity.
    positive: bool,
    /// True if an element is negative infinity.
    negative: bool,
}

impl Found {
    /// Searches by the exponents alone, which is as fast as memory for every format.
    ///
    /// Reads every element, on the calling thread, and does not stop at the first find: the message lists all
    /// kinds. The dtypes are the four of floating point.
    fn look(tensor: &Tensor) -> Result<Found> {
        let mut found = Found::default();
        macro_rules! look {
            ($type:ty, $zero:expr) => {
                for &x in tensor.as_slice::<$type>()? {
                    if !x.is_finite() {
                        found.nan |= x.is_nan();
                        found.positive |= x > $zero;
                        found.negative |= x < $zero;
                    }
                }
            };
        }
        match tensor.dtype() {
            DType::Float64 => look!(f64, 0.0),
            DType::Float16 => look!(tensor::f16, tensor::f16::ZERO),
            DType::BFloat16 => look!(tensor::bf16, tensor::bf16::ZERO),
            // The definition allows floating-point dtypes only; this arm is `float32`.
            _ => look!(f32, 0.0),
        }
        Ok(found)
    }

    /// Returns the message of the error, or `None` if all numbers are finite.
    ///
    /// `signed` distinguishes the two infinities (V2). The kinds are in TensorFlow's order: negative,
    /// positive, NaN.
    fn text(self, signed: bool) -> Option<String> {
        let infinite: &[(bool, &str)] = if signed {
            &[(self.negative, "-Inf"), (self.positive, "+Inf")]
        } else {
            &[(self.negative || self.positive, "Inf")]
        };
        let named: Vec<&str> = infinite
            .iter()
            .chain(&[(self.nan, "NaN")])
            .filter(|(there, _)| *there)
            .map(|&(_, name)| name)
            .collect();
        (!named.is_empty()).then(|| format!("Tensor had {} values", named.join(" and ")))
    }
}

/// Returns the kernel that passes its input on, or fails with the attribute `message` and the kinds that
/// [`Found`] saw.
fn make_check(spec: &NodeSpec<'_>, signed: bool) -> Result<Box<dyn crate::kernel::Kernel>> {
    let message = spec.str("message")?.to_owned();
    Ok(boxed(move |context| {
        let value = context.take(0);
        if let Some(text) = Found::look(&value)?.text(signed) {
            return Err(Error::invalid_argument(format!("{message} : {text}")));
        }
        context.set(0, value);
        Ok(())
    }))
}

/// Delivers the inputs joined along the first axis.
fn parallel_concat(context: &mut KernelContext<'_>) -> Result<()> {
    let parts: Vec<Tensor> = (0..context.num_inputs()).map(|i| context.input(i).clone()).collect();
    let joined = Tensor::concat_rows(&parts)?;
    context.set(0, joined);
    Ok(())
}
