//! Random numbers: equal seeds give TensorFlow's numbers.

use crate::kernel::{Kernel, KernelContext, NodeSpec, Registry};
use crate::kernels::math::boxed;
use crate::resources::OpState;
use compute::random::{self, Generator};
use session_core::{Error, Result};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use tensor::{Bits, Element, Shape};

pub(crate) fn register(registry: &mut Registry) {
    registry.add(
        "RandomUniform",
        |spec| for_dtype!(float spec.dtype("dtype")?, T => filled::<T>(spec, random::fill_uniform::<T>)),
    );
    registry.add(
        "RandomStandardNormal",
        |spec| for_dtype!(float spec.dtype("dtype")?, T => filled::<T>(spec, random::fill_normal::<T>)),
    );
    registry.add("TruncatedNormal", |spec| {
        for_dtype!(float spec.dtype("dtype")?, T => filled::<T>(spec, random::fill_truncated_normal::<T>))
    });
    registry.add("RandomUniformInt", |spec| {
        for_dtype!(index spec.input_dtype(1), T => {
            let state = state(spec)?;
            Ok(boxed(move |context| {
                let shape = shape(context, 0)?;
                let (low, high) = (context.input(1).value::<T>()?, context.input(2).value::<T>()?);
                context.produce::<T>(0, shape, |context, output| {
                    let mut generator = state.lock();
                    random::fill_uniform_int(&mut generator, low, high, output, context.pool())
                        .map_err(|_| Error::invalid_argument(format!("Need minval < maxval, got {low} >= {high}")))
                })
            }))
        })
    });
    registry.add("RandomShuffle", |spec| {
        let state = state(spec)?;
        for_dtype!(bits spec.input_dtype(0), T => {
            let state = state.clone();
            Ok(boxed(move |context| shuffle::<T>(context, &state)))
        })
    });
}

/// The state of one random operation; it goes into checkpoints, so that a resumed run draws the numbers that an
/// uninterrupted one would have drawn.
///
/// The lock guards the generator, which a step advances by what it draws.
struct RandomState(Mutex<Generator>);

impl RandomState {
    fn lock(&self) -> std::sync::MutexGuard<'_, Generator> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpState for RandomState {
    fn export(&self) -> Vec<u8> {
        self.lock().to_bytes().to_vec()
    }

    fn import(&self, bytes: &[u8]) -> Result<()> {
        let bytes = bytes.try_into().map_err(|_| {
            let text = format!(
                "the state of a random operation has {} bytes, not {}",
                bytes.len(),
                Generator::BYTES
            );
            Error::new(session_core::Code::DataLoss, text)
        })?;
        *self.lock() = Generator::from_bytes(bytes);
        Ok(())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

fn state(spec: &NodeSpec<'_>) -> Result<Arc<RandomState>> {
    let seeds = match (spec.int("seed")?, spec.int("seed2")?) {
        (0, 0) => random::seeds_from_entropy(),
        seeds => seeds,
    };
    spec.resources.state(spec.operation, || RandomState(Mutex::new(Generator::new(seeds.0, seeds.1))))
}

/// The shape in an input.
pub(crate) fn shape(context: &KernelContext<'_>, input: usize) -> Result<Shape> {
    let sizes = context.ints(input)?;
    sizes
        .iter()
        .map(|&size| {
            usize::try_from(size).map_err(|_| Error::invalid_argument(format!("negative dimension {size}")))
        })
        .collect()
}

type Fill<T> = fn(&mut Generator, &mut [T], &compute::Pool);

fn filled<T: Element>(spec: &NodeSpec<'_>, fill: Fill<T>) -> Result<Box<dyn Kernel>> {
    let state = state(spec)?;
    Ok(boxed(move |context| {
        let shape = shape(context, 0)?;
        context.produce::<T>(0, shape, |context, output| {
            fill(&mut state.lock(), output, context.pool());
            Ok(())
        })
    }))
}

/// Permutes the rows.
fn shuffle<T: Bits>(context: &mut KernelContext<'_>, state: &RandomState) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let Some(&rows) = shape.first() else {
        let value = context.take(0);
        context.set(0, value);
        return Ok(());
    };
    let mut order: Vec<usize> = (0..rows).collect();
    random::shuffle(&mut state.lock(), &mut order);
    let width = if rows == 0 { 0 } else { shape.elements() / rows };
    context.produce_bits::<T>(0, dtype, shape, |context, output| {
        let input = context.bits::<T>(0)?;
        for (to, &from) in output.chunks_exact_mut(width.max(1)).zip(&order) {
            to.copy_from_slice(&input[from * width..][..width]);
        }
        Ok(())
    })
}
