//! Random numbers: equal seeds give TensorFlow's numbers.
//!
//! An operation draws from a Philox stream that its two seeds select; its position is part of the session's
//! state, so a resumed run continues the stream. The division of work over threads does not change the
//! numbers, because each block of numbers is computed from its position alone.
//!
//! # Which numbers are drawn
//!
//! For seeds `(seed, seed2)` the key of the Philox generator is `seed` and its counter begins at
//! `seed2 * 2^64`. An execution with `n` outputs reserves 256 blocks for each of them in distributions that
//! reject, and otherwise as many as it needs, exactly as TensorFlow's CPU kernels do. If both seeds are 0,
//! they are drawn from the entropy of the system when the plan that contains the operation is compiled.
//!
//! # Semantics
//!
//! | op | inputs | output |
//! | --- | --- | --- |
//! | `RandomUniform`, `RandomStandardNormal`, `TruncatedNormal` | shape | `float16`, `bfloat16`, `float32` or `float64` |
//! | `RandomUniformInt` | shape, low, high | `int32` or `int64`, at least low and less than high |
//! | `Multinomial` | logits `[rows, classes]`, number | classes `[rows, number]`, `int32` or `int64` |
//! | `RandomGamma`, `RandomPoissonV2` | shape, parameters | shape of the input, then that of the parameters |
//! | `RandomShuffle` | value | the rows of the value in another order; any dtype |
//! | `Stateless...` | the same, and a seed of two integers | the same numbers for the same seed, always |
//! | `Stateless...V2` | the same, and key, counter and algorithm | the same for Philox; others are `Unimplemented` |
//!
//! Errors are `InvalidArgument`: a negative size, `low >= high`, logits that are not a matrix, a negative
//! number of samples, no classes, a seed that has not two elements. An empty output draws nothing in
//! `Multinomial`, `RandomGamma` and `RandomPoissonV2`. Logits and rates are computed in `float64`, whatever
//! their dtype.
//!
//! # State
//!
//! An operation of the graph has its state in the session, and one in a dataset's function has it in the
//! iterator (`Instance`). Checkpoints have 24 bytes for each: key and counter. Stateless operations have
//! none.

mod keyed;
mod resource;

use crate::dispatch::check_real;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use crate::resources::OpState;
use compute::random::{self, Generator};
use session_core::{Error, Result};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use tensor::{DType, Element, Shape, Tensor, memory};

/// Registers the op types of this file and of the folder. The state of an operation is looked up when its
/// kernel is made, so that a restored position is taken over before the first run.
pub(crate) fn register(registry: &mut Registry) {
    keyed::register(registry);
    resource::register(registry);
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
                    let state = state.of(context)?;
                    between(&mut state.lock(), low, high, output, context)
                })
            }))
        })
    });
    registry.add("Multinomial", |spec| {
        let out = spec.dtype("output_dtype").unwrap_or(DType::Int64);
        let state = state(spec)?;
        check_real(spec.input_dtype(0))?;
        for_dtype!(index out, C => {
            let state = state.clone();
            Ok(boxed(move |context| {
                let state = state.of(context)?;
                multinomial::<C>(context, &mut state.lock())
            }))
        })
    });
    registry.add("StatelessMultinomial", |spec| {
        let out = spec.dtype("output_dtype").unwrap_or(DType::Int64);
        check_real(spec.input_dtype(0))?;
        for_dtype!(index out, C => Ok(boxed(move |context| {
            let mut generator = stateless(context, 2)?;
            multinomial::<C>(context, &mut generator)
        })))
    });
    registry.add("RandomGamma", |spec| {
        for_dtype!(float spec.input_dtype(1), T => {
            let state = state(spec)?;
            Ok(boxed(move |context| {
                let dims = sampled(context)?;
                context.produce::<T>(0, dims, |context, output| {
                    let alphas = context.slice::<T>(1)?;
                    if !output.is_empty() {
                        random::fill_gamma(&mut state.of(context)?.lock(), alphas, output, context.pool());
                    }
                    Ok(())
                })
            }))
        })
    });
    registry.add("RandomPoissonV2", |spec| {
        for_dtype!(@arms spec.dtype("dtype")?, T => {
            let state = state(spec)?;
            Ok(boxed(move |context| {
                let (state, shape) = (state.of(context)?, sampled(context)?);
                poisson::<T>(context, &mut state.lock(), shape, 1)
            }))
        }, Float16: tensor::f16, Float32: f32, Float64: f64, Int32: i32, Int64: i64)
    });
    registry.add("StatelessRandomUniform", |spec| {
        for_dtype!(float spec.dtype("dtype")?, T => Ok(stateless_filled::<T>(random::fill_uniform::<T>)))
    });
    registry.add("StatelessRandomNormal", |spec| {
        for_dtype!(float spec.dtype("dtype")?, T => Ok(stateless_filled::<T>(random::fill_normal::<T>)))
    });
    registry.add("StatelessTruncatedNormal", |spec| {
        for_dtype!(float spec.dtype("dtype")?, T => Ok(stateless_filled::<T>(random::fill_truncated_normal::<T>)))
    });
    registry.add("StatelessRandomUniformInt", |spec| {
        for_dtype!(index spec.input_dtype(2), T => Ok(boxed(|context| {
            let (shape, mut generator) = (shape(context, 0)?, stateless(context, 1)?);
            let (low, high) = (context.input(2).value::<T>()?, context.input(3).value::<T>()?);
            context.produce::<T>(0, shape, |context, output| {
                between(&mut generator, low, high, output, context)
            })
        })))
    });
    registry.add("StatelessRandomGetKeyCounter", |_| Ok(boxed(key_and_counter)));
    registry.add(
        "StatelessRandomUniformV2",
        |spec| for_dtype!(float spec.dtype("dtype")?, T => Ok(keyed_filled::<T>(random::fill_uniform::<T>))),
    );
    registry.add(
        "StatelessRandomNormalV2",
        |spec| for_dtype!(float spec.dtype("dtype")?, T => Ok(keyed_filled::<T>(random::fill_normal::<T>))),
    );
    registry.add("StatelessTruncatedNormalV2", |spec| {
        for_dtype!(float spec.dtype("dtype")?, T => Ok(keyed_filled::<T>(random::fill_truncated_normal::<T>)))
    });
    registry.add("StatelessRandomUniformIntV2", |spec| {
        for_dtype!(index spec.input_dtype(4), T => Ok(boxed(|context| {
            let (shape, mut generator) = (shape(context, 0)?, keyed(context)?);
            let (low, high) = (context.input(4).value::<T>()?, context.input(5).value::<T>()?);
            context.produce::<T>(0, shape, |context, output| between(&mut generator, low, high, output, context))
        })))
    });
    registry.add("RandomShuffle", |spec| {
        let state = state(spec)?;
        for_dtype!(moved spec.input_dtype(0), T => {
            let state = state.clone();
            Ok(boxed(move |context| {
                let state = state.of(context)?;
                shuffle::<T>(context, &mut state.lock())
            }))
        })
    });
}

/// The state of one random operation; it goes into checkpoints, so that a resumed run draws the numbers that
/// an uninterrupted one would have drawn.
///
/// The lock guards the generator, which a step advances by what it draws.
///
/// Concurrent steps draw one after the other: each gets its own numbers, in an order that depends on timing.
pub(crate) struct RandomState(Mutex<Generator>);

impl RandomState {
    /// Locks the generator. A panic elsewhere has at worst skipped numbers.
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Generator> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpState for RandomState {
    /// Returns key and counter as bytes.
    fn export(&self) -> Vec<u8> {
        self.lock().to_bytes().to_vec()
    }

    /// Replaces the generator.
    ///
    /// # Errors
    /// `DataLoss` for a wrong number of bytes.
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

/// A random operation, and where its state is.
#[derive(Clone)]
pub(crate) struct RandomOp {
    /// The key of the state in an [`Instance`](crate::resources::Instance): the function, a colon, and the
    /// name of the operation.
    name: String,
    /// The attributes `seed` and `seed2`; two zeros mean that none were given.
    seeds: (i64, i64),
    /// The state for runs of the session's own. Created also if only iterators use the operation, which costs
    /// a few bytes.
    session: Arc<RandomState>,
}

impl RandomOp {
    /// Returns the state for this run: that of the iterator on whose behalf the kernel runs, or that of the
    /// session.
    ///
    /// # Errors
    /// `DataLoss` if a restored state is damaged.
    pub(crate) fn of(&self, context: &KernelContext<'_>) -> Result<Arc<RandomState>> {
        // The iterator is only known when the operation runs, so its state is looked up by name each time.
        match context.instance {
            Some(instance) => instance.state(&self.name, || begin(self.seeds)),
            None => Ok(self.session.clone()),
        }
    }
}

/// Returns the state of an operation that has not run. Two zeros stand for seeds that were not given.
fn begin(seeds: (i64, i64)) -> RandomState {
    let (seed, seed2) = if seeds == (0, 0) { random::seeds_from_entropy() } else { seeds };
    RandomState(Mutex::new(Generator::new(seed, seed2)))
}

/// Returns the random operation with the seeds of its attributes.
pub(crate) fn state(spec: &NodeSpec<'_>) -> Result<RandomOp> {
    seeded(spec, (spec.int("seed")?, spec.int("seed2")?))
}

/// Returns the random operation with these seeds. Creates the session's state if there is none.
fn seeded(spec: &NodeSpec<'_>, seeds: (i64, i64)) -> Result<RandomOp> {
    let name = format!("{}:{}", spec.function.unwrap_or_default(), spec.operation.name());
    Ok(RandomOp { name, seeds, session: spec.state(|| begin(seeds))? })
}

/// Returns the random operation of an op type without seeds: its stream begins anywhere.
pub(crate) fn unseeded(spec: &NodeSpec<'_>) -> Result<RandomOp> {
    seeded(spec, (0, 0))
}

/// Returns the shape that an input lists.
///
/// # Errors
/// `InvalidArgument` for a negative size.
pub(crate) fn shape(context: &KernelContext<'_>, input: usize) -> Result<Shape> {
    let sizes = context.ints(input)?;
    sizes
        .iter()
        .map(|&size| {
            usize::try_from(size).map_err(|_| Error::invalid_argument(format!("negative dimension {size}")))
        })
        .collect()
}

/// Fills the output with integers from `low` up to, but not including, `high`.
///
/// The bias of the remainder is TensorFlow's.
///
/// # Errors
/// `InvalidArgument` unless `low < high`.
fn between<T: Element + random::Integer + std::fmt::Display>(
    generator: &mut Generator,
    low: T,
    high: T,
    output: &mut [T],
    context: &KernelContext<'_>,
) -> Result<()> {
    random::fill_uniform_int(generator, low, high, output, context.pool())
        .map_err(|_| Error::invalid_argument(format!("Need minval < maxval, got {low} >= {high}")))
}

/// Fills a slice with numbers of one distribution and advances the generator. The pool divides the work.
type Fill<T> = fn(&mut Generator, &mut [T], &compute::Pool);

/// Returns the kernel of a distribution without parameters, whose shape is input 0.
fn filled<T: Element>(spec: &NodeSpec<'_>, fill: Fill<T>) -> Result<Box<dyn Kernel>> {
    let state = state(spec)?;
    Ok(boxed(move |context| {
        let shape = shape(context, 0)?;
        context.produce::<T>(0, shape, |context, output| {
            fill(&mut state.of(context)?.lock(), output, context.pool());
            Ok(())
        })
    }))
}

/// Permutes the rows of input 0 by the Fisher-Yates shuffle, in TensorFlow's variant. With at most one row
/// nothing is drawn.
fn shuffle<T: Moved>(context: &mut KernelContext<'_>, generator: &mut Generator) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let rows = shape.first().copied().unwrap_or(1);
    // Any number of rows without elements has one order only.
    if rows <= 1 || shape.elements() <= 1 {
        let value = context.take(0);
        context.set(0, value);
        return Ok(());
    }
    // Indices are shuffled and rows copied once, rather than swapped again and again.
    let mut order = memory::collected(0..rows)?;
    random::shuffle(generator, &mut order);
    let width = shape.elements().checked_div(rows).unwrap_or(0);
    context.produce_moved::<T>(0, dtype, shape, |context, output| {
        let input = context.moved::<T>(0)?;
        for (to, &from) in output.chunks_exact_mut(width.max(1)).zip(&order) {
            to.clone_from_slice(&input[from * width..][..width]);
        }
        Ok(())
    })
}

/// Returns the generator for a seed input of two integers. Their bits are scrambled by Philox itself, so that
/// neighboring seeds have unrelated streams.
fn stateless(context: &KernelContext<'_>, input: usize) -> Result<Generator> {
    match context.ints(input)?.as_slice() {
        &[first, second] => Ok(Generator::stateless([first, second])),
        other => {
            Err(Error::invalid_argument(format!("seed must have shape [2], not {} numbers", other.len())))
        }
    }
}

/// Returns the key and the counter of the generator for a seed, as the V2 operations take them.
fn key_and_counter(context: &mut KernelContext<'_>) -> Result<()> {
    let [key, low, high] = stateless(context, 0)?.to_words();
    context.set(0, Tensor::from(vec![key]));
    context.set(1, Tensor::from(vec![low, high]));
    Ok(())
}

/// Returns the kernel of a distribution whose shape is input 0 and whose seed is input 1.
fn stateless_filled<T: Element>(fill: Fill<T>) -> Box<dyn Kernel> {
    boxed(move |context| {
        let (shape, mut generator) = (shape(context, 0)?, stateless(context, 1)?);
        context.produce::<T>(0, shape, |context, output| {
            fill(&mut generator, output, context.pool());
            Ok(())
        })
    })
}

/// Returns `Unimplemented` for an algorithm other than Philox (1) or the choice of the device (3), which is
/// Philox on CPUs.
fn check_philox(algorithm: i64) -> Result<()> {
    match algorithm {
        1 | 3 => Ok(()),
        other => {
            let text = format!("random numbers of algorithm {other}, which is not Philox");
            Err(Error::new(session_core::Code::Unimplemented, text))
        }
    }
}

/// Returns the generator of inputs 1 to 3: key, counter and algorithm.
///
/// # Errors
/// `InvalidArgument` for a key of other than 1 or a counter of other than 2 numbers, and `Unimplemented` for
/// another algorithm.
fn keyed(context: &KernelContext<'_>) -> Result<Generator> {
    let (key, counter, algorithm) = (context.slice::<u64>(1)?, context.slice::<u64>(2)?, context.int(3)?);
    match (key, counter) {
        (&[key], &[low, high]) => {
            check_philox(algorithm)?;
            Ok(Generator::from_words([key, low, high]))
        }
        _ => {
            let text =
                format!("a key of 1 and a counter of 2 numbers, not {} and {}", key.len(), counter.len());
            Err(Error::invalid_argument(text))
        }
    }
}

/// Returns the kernel of a distribution whose shape is input 0 and whose generator inputs 1 to 3 state.
fn keyed_filled<T: Element>(fill: Fill<T>) -> Box<dyn Kernel> {
    boxed(move |context| {
        let (shape, mut generator) = (shape(context, 0)?, keyed(context)?);
        context.produce::<T>(0, shape, |context, output| {
            fill(&mut generator, output, context.pool());
            Ok(())
        })
    })
}

/// Returns the shape in input 0 followed by that of the parameters in input 1: each parameter has as many
/// samples.
fn sampled(context: &KernelContext<'_>) -> Result<Shape> {
    Ok(shape(context, 0)?.iter().chain(context.input(1).shape().iter()).copied().collect())
}

/// Draws Poisson numbers for the rates in input `rates`. The last axes of `shape` are those of the rates.
fn poisson<T: Element + random::Count>(
    context: &mut KernelContext<'_>,
    generator: &mut Generator,
    shape: Shape,
    rates: usize,
) -> Result<()> {
    let rates = context.doubles(rates)?;
    context.produce::<T>(0, shape, |context, output| {
        if !output.is_empty() {
            random::fill_poisson(generator, &rates, output, context.pool());
        }
        Ok(())
    })
}

/// Draws classes for each row of unnormalized log-probabilities. Rows need no normalization: only differences
/// of logits count.
///
/// # Errors
/// `InvalidArgument` for logits that are not a matrix, a number of samples that is negative or not a scalar,
/// and no classes, even if there are no rows or samples.
fn multinomial<C: Element + random::Class>(
    context: &mut KernelContext<'_>,
    generator: &mut Generator,
) -> Result<()> {
    let &[rows, classes] = context.input(0).shape().dims() else {
        let text = format!("logits should be a matrix, got shape {}", context.input(0).shape());
        return Err(Error::invalid_argument(text));
    };
    if context.input(1).shape().rank() != 0 {
        let text = format!("num_samples should be a scalar, got shape {}", context.input(1).shape());
        return Err(Error::invalid_argument(text));
    }
    let samples = context.int(1)?;
    let samples = usize::try_from(samples)
        .map_err(|_| Error::invalid_argument(format!("num_samples should be nonnegative, got {samples}")))?;
    if classes == 0 {
        return Err(Error::invalid_argument("num_classes should be positive, got 0"));
    }
    // Sums of probabilities are compared with uniform doubles, as in TensorFlow, so narrower sums would pick
    // other classes.
    let logits = context.doubles(0)?;
    context.produce::<C>(0, [rows, samples], |context, output| {
        if !output.is_empty() {
            random::fill_multinomial(generator, &logits, rows, output, context.pool());
        }
        Ok(())
    })
}
