//! Operations on every element of one or several arrays, and on the order of elements.
//!
//! # Kernels
//!
//! The kernel of an operation is looked up once, by type and operation, and then used for any number of
//! slices. Each is a separate loop, compiled for several instruction sets.
//!
//! | lookup | operations | kernel |
//! | --- | --- | --- |
//! | [`Element::unary`] | [`UnaryOp`]: `Neg`, `Exp`, `Relu`, ... | [`UnaryKernel`]: `run`, `run_in_place` |
//! | [`Element::binary`] | [`BinaryOp`]: `Add`, `FloorMod`, `ReluGrad`, ... | [`BinaryKernel`]: `run`, `run_in_place_left`, `run_in_place_right` |
//! | [`Element::compare`] | [`CompareOp`]: `Less`, ... | [`BinaryKernel`] to `bool` |
//! | [`Element::test`] | [`TestOp`]: `IsNan`, ... | [`UnaryKernel`] to `bool` |
//! | [`Element::reduce`] | [`ReduceOp`]: `Sum`, ... | [`ReduceKernel`], see [`reduce`](crate::reduce) |
//! | [`complex_part`] | [`ComplexPart`]: `Real`, `ComplexAbs`, ... | [`UnaryKernel`] from complex to real |
//!
//! Each operation has `from_name`, which knows TensorFlow's names. [`UnaryKernel::new`] and
//! [`BinaryKernel::new`] make kernels of other functions.
//!
//! # Functions
//!
//! | function | does |
//! | --- | --- |
//! | [`Broadcast::new`] | lines up operands of different shapes |
//! | [`select`] | chooses between two operands |
//! | [`cast`], [`cast_values`] | turn numbers into another type |
//! | [`bias_add`], [`bias_add_relu`], [`bias_add_channels`] | add a bias in place; its gradient is [`bias_add_grad`](crate::reduce::bias_add_grad) |
//! | [`add_n`], [`fill`] | add up many arrays; set all elements |
//! | [`complex`] | makes complex numbers of their parts |
//! | [`layout`] | transpose, concat, split, slice, pad, tile, gather, scatter, one-hot |
//! | [`Program`] | several operations in one pass over memory |
//!
//! # Differences from TensorFlow
//!
//! Formulas, and their results at the edges (NaN, infinities, signed zeros, overflow), are
//! TensorFlow's, with these exceptions:
//! - Subnormal numbers are kept; TensorFlow's threads treat them as 0.
//! - The types of 16 bits are computed in `f32` and rounded once; TensorFlow rounds after each step of a
//!   formula.
//! - Out-of-range casts from floating point to integers return the nearest limit, see [`CastTo`].
//!
//! # Threads
//!
//! Functions that take a [`Pool`](crate::Pool) divide their work when there is enough for each thread to be
//! worth waking. The result does not depend on their number.

mod bias;
mod binary;
mod binary_kernel;
mod broadcast;
mod cast;
mod compare;
mod complex_functions;
mod complex_inverses;
mod complex_part;
pub(crate) mod element;
mod fill;
pub mod layout;
mod narrow;
mod program;
mod select;
mod unary;
mod unary_kernel;
mod values;
pub(crate) mod work;

pub use bias::{ChannelLayout, bias_add, bias_add_channels, bias_add_relu};
pub use binary::BinaryOp;
pub use binary_kernel::{ArithmeticError, BinaryFn, BinaryKernel};
pub use broadcast::{Broadcast, BroadcastError, MAX_RANK};
pub use cast::{CastTo, cast, cast_values};
pub use compare::{CompareOp, test::TestOp};
pub use complex_part::{ComplexPart, complex, complex_part};
pub use element::{Element, Loops};
pub use fill::{add_n, fill};
pub use narrow::Narrow;
pub use program::{InputKind, Instruction, Operand, Program, ProgramError};
pub use select::select;
pub use unary::UnaryOp;
pub(crate) use unary::named_ops;
pub use unary_kernel::{UnaryFn, UnaryKernel};
pub use values::{Values, ValuesMut};

#[allow(unused_imports)] // for the links above
use crate::reduce::{ReduceKernel, ReduceOp};

/// A value for each dimension. Plans are made in every step, so the usual ranks must not allocate; higher ones only have
/// to work.
pub(crate) type PerDim<T> = smallvec::SmallVec<[T; MAX_RANK]>;

#[cfg(test)]
pub(crate) mod tests;
