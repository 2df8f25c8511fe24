//! Random numbers of a seed, or of a key and a counter, in the inputs.
//!
//! Stateless operations have no stream: equal inputs draw equal numbers in every run. The first forms
//! scramble two seeds into key and counter; the V2 forms take key, counter and algorithm as inputs. Only
//! Philox is available, as on TensorFlow's CPU.
//!
//! # Semantics
//!
//! - `StatelessRandomUniformFullInt` and its V2 form draw integers of all bits, for `int32`, `int64`,
//!   `uint32` and `uint64`. The other distributions of these two forms are registered in `random.rs`.
//! - `StatelessShuffle` permutes the rows of its first input.
//! - `StatelessRandomGamma*` and `StatelessRandomPoisson` take the parameters of the distribution as a tensor
//!   whose shape is a suffix of that of the result, and draw for each in turn.
//! - `StatelessRandomGetAlg` returns the number of the algorithm that is the default;
//!   `StatelessRandomGetKeyCounterAlg` also scrambles a seed of two integers.
//!
//! The V2 forms have the inputs `shape`, `key` (one `uint64`), `counter` (two) and `alg`. An algorithm other
//! than Philox (1) and the default (3) is `Unimplemented`; a key, counter or seed of another length and a
//! negative size are `InvalidArgument`.

use super::{key_and_counter, keyed, keyed_filled, poisson, shape, shuffle, stateless, stateless_filled};
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::random::{self, Generator, Words};
use session_core::{Error, Result};
use tensor::{Element, Shape, Tensor};

/// The number of the algorithm Philox.
///
/// TensorFlow's enumeration is 1 for Philox, 2 for `ThreeFry` and 3 for the choice of the device.
const PHILOX: i32 = 1;

/// Registers the op types. Dtypes are attributes, so each kernel is of one type.
pub(super) fn register(registry: &mut Registry) {
    registry.add("StatelessRandomUniformFullInt", |spec| {
        for_dtype!(@arms spec.dtype("dtype")?, T => Ok(stateless_filled::<T>(fill_full::<T>)),
            Int32: i32, Int64: i64, UInt32: u32, UInt64: u64)
    });
    registry.add("StatelessRandomUniformFullIntV2", |spec| {
        for_dtype!(@arms spec.dtype("dtype")?, T => Ok(keyed_filled::<T>(fill_full::<T>)),
            Int32: i32, Int64: i64, UInt32: u32, UInt64: u64)
    });
    registry.add("StatelessShuffle", |spec| {
        for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(|context| {
            let mut generator = keyed(context)?;
            shuffle::<T>(context, &mut generator)
        })))
    });
    registry.add("StatelessRandomGammaV2", |spec| {
        for_dtype!(float spec.input_dtype(2), T => Ok(boxed(|context| {
            let generator = stateless(context, 1)?;
            gamma::<T>(context, generator, 2)
        })))
    });
    registry.add("StatelessRandomGammaV3", |spec| {
        for_dtype!(float spec.input_dtype(4), T => Ok(boxed(|context| {
            let generator = keyed(context)?;
            gamma::<T>(context, generator, 4)
        })))
    });
    registry.add("StatelessRandomPoisson", |spec| {
        for_dtype!(@arms spec.dtype("dtype")?, T => Ok(boxed(|context| {
            let (mut generator, shape) = (stateless(context, 1)?, shape_of_parameters(context, 2)?);
            poisson::<T>(context, &mut generator, shape, 2)
        })), Float16: tensor::f16, Float32: f32, Float64: f64, Int32: i32, Int64: i64)
    });
    registry.add("StatelessRandomGetAlg", |_| {
        Ok(boxed(|context| {
            context.set(0, Tensor::from(PHILOX));
            Ok(())
        }))
    });
    registry.add("StatelessRandomGetKeyCounterAlg", |_| {
        Ok(boxed(|context| {
            key_and_counter(context)?;
            // Outputs 0 and 1 are the key and the counter.
            context.set(2, Tensor::from(PHILOX));
            Ok(())
        }))
    });
}

/// An integer of all its bits.
///
/// Every bit pattern is equally likely.
pub(super) trait Whole: Element {
    /// Draws one integer: one word for 32 bits, two for 64.
    fn next(words: &mut Words) -> Self;
}

macro_rules! whole {
    ($($type:ty: $next:path),*) => {$(
        impl Whole for $type {
            fn next(words: &mut Words) -> $type {
                $next(words) as $type
            }
        }
    )*};
}

/// Draws 64 bits, of which the first word is the lower half, as in TensorFlow.
fn long(words: &mut Words) -> u64 {
    let low = words.next_word();
    u64::from(low) | u64::from(words.next_word()) << 32
}

whole!(i32: Words::next_word, u32: Words::next_word, i64: long, u64: long);

/// The number of blocks that an element is given of a generator, however few it needs.
///
/// TensorFlow reserves as many for distributions that may reject numbers, and advances states by as many for
/// each element. The value determines which numbers later operations draw.
pub(super) const BLOCKS: u64 = 256;

/// Fills the output with integers of all their bits.
///
/// The numbers follow each other without gaps, on the calling thread; the unused rest of what is reserved is
/// skipped.
pub(super) fn fill_full<T: Whole>(generator: &mut Generator, output: &mut [T], _: &compute::Pool) {
    let mut words = Words::new(generator.reserve(BLOCKS.wrapping_mul(output.len() as u64)));
    output.fill_with(|| T::next(&mut words));
}

/// Returns the shape in input 0, whose end must be the shape of the parameters.
///
/// `input` is the number of the input with the parameters. Fails with `InvalidArgument` if the end is another
/// one.
fn shape_of_parameters(context: &KernelContext<'_>, input: usize) -> Result<Shape> {
    let (shape, parameters) = (shape(context, 0)?, context.input(input).shape());
    if shape.ends_with(parameters) {
        return Ok(shape);
    }
    let text =
        format!("Shape passed in must end with broadcasted shape: {shape} does not end with {parameters}");
    Err(Error::invalid_argument(text))
}

/// Delivers samples of the gamma distribution with rate 1, whose shapes are in input `alphas`.
///
/// Each element has its own blocks of the stream, so the numbers do not depend on the threads.
fn gamma<T: Element + random::Real>(
    context: &mut KernelContext<'_>,
    mut generator: Generator,
    alphas: usize,
) -> Result<()> {
    let shape = shape_of_parameters(context, alphas)?;
    context.produce::<T>(0, shape, |context, output| {
        let alphas = context.slice::<T>(alphas)?;
        // Without samples there may be no parameters to divide by.
        if !output.is_empty() {
            random::fill_gamma(&mut generator, alphas, output, context.pool());
        }
        Ok(())
    })
}
