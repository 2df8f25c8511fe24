//! Reductions over any set of dimensions, and cumulative sums and products.
//!
//! | item | TensorFlow's operation |
//! | --- | --- |
//! | [`ReduceOp`], [`ReduceKernel`] | `Sum`, `Mean`, `Prod`, `Max`, `Min`, `All`, `Any`, `EuclideanNorm`; `L2Loss` |
//! | [`arg_max`], [`arg_min`] | `ArgMax`, `ArgMin` |
//! | [`cumulative_sum`], [`cumulative_product`] | `Cumsum`, `Cumprod` |
//! | [`bias_add_grad`] | `BiasAddGrad` |
//!
//! The kernel of an operation is found with [`Element::reduce`] and used with a [`ReducePlan`], which is
//! made once for a shape.
//!
//! Sums are added in many short chains that are then added up, so errors grow much more slowly than
//! with one chain; sums of `f16` and `bf16` are kept in `f32`. The order depends on the shape only:
//! results have the same bits on any number of threads.
//!
//! ```
//! use compute::{Pool, elementwise::Element, reduce::{ReduceOp, ReducePlan}};
//! let plan = ReducePlan::new(&[2, 3], &[0])?;
//! let sum = f32::reduce(ReduceOp::Sum).expect("floats have it");
//! let mut sums = [0.0; 3];
//! sum.run(&Pool::single(), &plan, &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0], &mut sums);
//! assert_eq!(sums, [11.0, 22.0, 33.0]);
//! # Ok::<(), compute::reduce::ReduceError>(())
//! ```

mod arg;
mod bias;
mod cumulative;
mod fold;
mod kernel;
mod op;
mod plan;

pub use arg::{ArgError, ArgShape, IndexOut, Ranked, arg_max, arg_min};
pub use bias::bias_add_grad;
pub use cumulative::{CumulativeShape, Scan, cumulative_product, cumulative_sum};
pub(crate) use fold::{execute, fold_slice};
pub use kernel::{Fold, ReduceKernel};
pub use op::ReduceOp;
pub(crate) use op::{Max as MaxFold, Sum as SumFold};
pub(crate) use op::{complex, integer, narrow, real, truth};
pub use plan::{ReduceError, ReducePlan};

#[allow(unused_imports)] // for the links above
use crate::elementwise::Element;

#[cfg(test)]
mod tests;
