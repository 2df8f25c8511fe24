//! Random generators whose state is a variable: the two halves of the counter, then the key.
//!
//! The variable is a vector of three `int64`. An operation reads the counter, advances it by the blocks that
//! it reserves, and writes it back, all under the lock of the variable, so two operations never draw the same
//! numbers.
//!
//! # Semantics
//!
//! - `StatefulUniform`, `StatefulStandardNormalV2`, `StatefulTruncatedNormal`, `StatefulUniformFullInt` and
//!   `StatefulUniformInt` have the inputs `resource`, `algorithm` and `shape`, and the last one also the
//!   limits. They draw the numbers that a generator with that state gives, and advance the state.
//! - `RngSkip` advances the state by `delta` elements, 256 blocks each. `RngReadAndSkip` also returns the
//!   state before.
//!
//! An uninitialized variable is `FailedPrecondition`. A state of another dtype or of fewer than three numbers
//! is `InvalidArgument`, an algorithm other than Philox `Unimplemented`. Further elements of the state are
//! not touched. Operations on the same generator exclude each other for the time that they draw.

use super::keyed::{BLOCKS, fill_full};
use super::{Fill, between, check_philox, shape};
use crate::kernel::{Kernel, KernelContext};
use crate::kernels::math::boxed;
use crate::kernels::state::shared_variable;
use crate::registry::Registry;
use compute::random::{self, Generator};
use session_core::{Error, Result};
use tensor::{DType, Element, Tensor};

/// Registers the op types. Their definitions are stateful, so they are ordered and not folded.
pub(super) fn register(registry: &mut Registry) {
    registry.add("RngReadAndSkip", |_| {
        Ok(boxed(|context| {
            check_philox(context.int(1)?)?;
            let delta = context.input(2).value::<u64>()?;
            // The result is the state before the step, which the caller then draws from.
            let words = with_state(context, |_, generator| {
                let before = words(generator);
                generator.skip(delta.wrapping_mul(BLOCKS));
                Ok(before)
            })?;
            context.set(0, Tensor::from(words.to_vec()));
            Ok(())
        }))
    });
    registry.add("RngSkip", |_| {
        Ok(boxed(|context| {
            check_philox(context.int(1)?)?;
            let delta = context.int(2)?.cast_unsigned();
            with_state(context, |_, generator| {
                generator.skip(delta.wrapping_mul(BLOCKS));
                Ok(())
            })
        }))
    });
    registry.add(
        "StatefulUniform",
        |spec| for_dtype!(float spec.dtype("dtype")?, T => Ok(filled::<T>(random::fill_uniform::<T>))),
    );
    registry.add(
        "StatefulStandardNormalV2",
        |spec| for_dtype!(float spec.dtype("dtype")?, T => Ok(filled::<T>(random::fill_normal::<T>))),
    );
    registry.add(
        "StatefulTruncatedNormal",
        |spec| for_dtype!(float spec.dtype("dtype")?, T => Ok(filled::<T>(random::fill_truncated_normal::<T>))),
    );
    registry.add("StatefulUniformFullInt", |spec| {
        for_dtype!(@arms spec.dtype("dtype")?, T => Ok(filled::<T>(fill_full::<T>)), Int32: i32, Int64: i64, UInt32: u32, UInt64: u64)
    });
    registry.add("StatefulUniformInt", |spec| {
        for_dtype!(index spec.dtype("dtype")?, T => Ok(drawn::<T>(|context, generator, output| {
            let (low, high) = (context.input(3).value::<T>()?, context.input(4).value::<T>()?);
            between(generator, low, high, output, context)
        })))
    });
}

/// Returns the state as the variable holds it.
///
/// The generator has the key first, the variable has it last.
fn words(generator: &Generator) -> [i64; 3] {
    let [key, low, high] = generator.to_words();
    [low, high, key].map(u64::cast_signed)
}

/// Calls a function with the generator of input 0 and stores its new state. Meanwhile nothing else draws from
/// it.
///
/// The state is stored only if `work` succeeds. `work` must not use the variable itself, whose lock is held.
///
/// # Errors
/// `FailedPrecondition` if the variable is not initialized, `InvalidArgument` if its value is not a state,
/// and the errors of `work`.
fn with_state<R>(
    context: &mut KernelContext<'_>,
    work: impl FnOnce(&mut KernelContext<'_>, &mut Generator) -> Result<R>,
) -> Result<R> {
    let variable = shared_variable(context, 0)?;
    let mut guard = variable.lock();
    let value = guard.as_mut().ok_or_else(|| variable.uninitialized())?;
    let state = match (value.dtype(), value.shape().dims()) {
        (DType::Int64, &[count]) if count >= 3 => value.as_slice::<i64>()?,
        _ => {
            let text = format!(
                "the state of a Philox generator is a vector of 3 or more int64, not '{}' of {} {}",
                variable.name(),
                value.dtype(),
                value.shape()
            );
            return Err(Error::invalid_argument(text));
        }
    };
    let [low, high, key] = [state[0], state[1], state[2]].map(i64::cast_unsigned);
    let mut generator = Generator::from_words([key, low, high]);
    let result = work(context, &mut generator)?;
    // In place unless a read of the same step still holds the value.
    let buffers = context.buffers();
    value.make_mut::<i64>(buffers)?[..3].copy_from_slice(&words(&generator));
    Ok(result)
}

/// Returns a kernel that checks the algorithm in input 1 and draws a tensor of the shape in input 2. `draw`
/// fills it.
fn drawn<T: Element>(
    draw: impl Fn(&KernelContext<'_>, &mut Generator, &mut [T]) -> Result<()> + Send + Sync + 'static,
) -> Box<dyn Kernel> {
    boxed(move |context| {
        check_philox(context.int(1)?)?;
        let shape = shape(context, 2)?;
        with_state(context, |context, generator| {
            context.produce::<T>(0, shape, |context, output| draw(context, generator, output))
        })
    })
}

/// Returns the kernel of a distribution without parameters.
fn filled<T: Element>(fill: Fill<T>) -> Box<dyn Kernel> {
    drawn(move |context, generator, output| {
        fill(generator, output, context.pool());
        Ok(())
    })
}
