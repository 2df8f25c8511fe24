//! Random numbers that equal TensorFlow's CPU kernels bit for bit, given equal seeds.
//!
//! An operation owns a [`Generator`], made from its attributes `seed` and `seed2` (see [`op_seeds`]).
//! Each execution fills an output and advances the generator, so that the next execution draws other
//! numbers; [`Generator::to_bytes`] is what a checkpoint needs for an exact resume. The functions with
//! a [`Pool`](crate::Pool) use its threads for large outputs; the numbers do not depend on how many
//! there are, nor on the instruction set.
//!
//! | operation | function |
//! | --- | --- |
//! | `RandomUniform` (also dropout) | [`fill_uniform`] |
//! | `RandomUniformInt` | [`fill_uniform_int`] |
//! | `RandomStandardNormal` | [`fill_normal`] |
//! | `TruncatedNormal` | [`fill_truncated_normal`] |
//! | `Multinomial` | [`fill_multinomial`] |
//! | `RandomShuffle` | [`shuffle`] |
//! | `RandomGamma` | [`fill_gamma`] |
//! | `RandomPoissonV2` | [`fill_poisson`] |
//! | picks of a `RandomShuffleQueue` | [`Words::below`] |
//! | `StatelessRandomUniform` and its kin | the same functions on [`Generator::stateless`] |
//!
//! ```
//! use compute::Pool;
//! use compute::random::{Generator, fill_normal, op_seeds};
//!
//! let (seed, seed2) = op_seeds(Some(42), Some(7), 0);
//! let mut generator = Generator::new(seed, seed2);
//! let (mut first, mut second) = ([0.0f32; 3], [0.0f32; 3]);
//! fill_normal(&mut generator, &mut first, &Pool::single());
//! let saved = generator.to_bytes();
//! fill_normal(&mut generator, &mut second, &Pool::single());
//! assert_ne!(first, second);
//!
//! let mut resumed = [0.0; 3];
//! fill_normal(&mut Generator::from_bytes(saved), &mut resumed, &Pool::single());
//! assert_eq!(resumed, second);
//! ```

mod generator;
mod seeds;
mod words;

mod gamma;
mod integer;
mod multinomial;
mod normal;
mod poisson;
mod shuffle;
mod truncated;
mod uniform;

mod bits;
mod draws;
mod fill;
mod float_math;
mod philox;
mod real;

pub use gamma::fill_gamma;
pub use generator::Generator;
pub use integer::{EmptyRange, Integer, fill_uniform_int};
pub use multinomial::{Class, fill_multinomial};
pub use normal::fill_normal;
pub use poisson::{Count, fill_poisson};
pub use real::Real;
pub use seeds::{DEFAULT_GRAPH_SEED, op_seeds, seeds_from_entropy};
pub use shuffle::shuffle;
pub use truncated::fill_truncated_normal;
pub use uniform::fill_uniform;
pub use words::Words;
