//! Sums, means, extremes, over any axes; positions of extremes; running sums and products.
//!
//! # Semantics
//!
//! - `Sum`, `Mean`, `Prod`, `Max`, `Min`, `All`, `Any` and `EuclideanNorm` take `input` and
//!   `reduction_indices` and return the axes that are left; with `keep_dims` (default false) reduced axes
//!   stay as 1.
//! - `L2Loss` takes a float `t` and returns a scalar, half the sum of the squares.
//! - `ArgMax` and `ArgMin` take `input` and the scalar `dimension` and return all axes but that one, as
//!   `output_type` (default `int64`).
//! - `Cumsum` and `Cumprod` take `x` and the scalar `axis`, with `exclusive` and `reverse` (default false),
//!   and return the shape of `x`.
//!
//! - Axes count from the end if negative. The list of a reduction may be empty, which forwards the input
//!   (`EuclideanNorm` returns the absolute values), but an axis that occurs twice, like one out of range, is
//!   `InvalidArgument`.
//! - A reduction over no elements returns the neutral element: 0 for a sum, 1 for a product, NaN for a mean
//!   of floats and 0 for one of integers, the limits of the dtype for extremes (infinities for floats).
//! - NaN makes sums, products and extremes NaN. Integers wrap; means of integers are rounded toward 0.
//! - `ArgMax` and `ArgMin` return the first of equal elements and pass over NaN. An empty axis is an error,
//!   unless the result is empty, too.
//! - With `exclusive` a running sum leaves the element itself out: `[1, 2, 3]` gives `[0, 1, 3]`. With
//!   `reverse` it runs from the end.
//!
//! Sums add in a fixed order of groups that depends on the shape only, so their bits depend neither on
//! threads nor on the run; 16-bit floats are added in `float32`. Running sums follow the axis in one chain.
//! All run in parallel.
//!
//! # Examples
//!
//! ```text
//! Sum    [[1, 2], [3, 4]]  axes [0]                -> [4, 6]
//! Sum    [[1, 2], [3, 4]]  axes [-1], keep_dims    -> [[3], [7]]
//! Mean   [-3, -4] (int32)  axes [0]                -> -3
//! ArgMax [[1, 5, 5]]       dimension 1             -> [1]
//! Cumsum [1, 2, 3]         reverse, exclusive      -> [5, 3, 0]
//! ```
//!
//! # Adding a reduction
//!
//! `ReduceOp` in `compute` lists them with their formulas; `register` adds each under its name.

use super::elementwise::boxed;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::registry::Registry;
use compute::elementwise::{self, Element as _};
use compute::reduce::{
    self, ArgShape, CumulativeShape, IndexOut, Ranked, ReduceError, ReduceKernel, ReduceOp, ReducePlan, Scan,
};
use session_core::{Code, Error, Result};
use tensor::{DType, Element, Shape};

/// Registers the op types. `L2Loss` is a reduction in `compute`, but its op has no axes.
pub(crate) fn register(registry: &mut Registry) {
    for op in ReduceOp::ALL.iter().filter(|&&op| op != ReduceOp::L2Loss) {
        registry.add(op.name(), make_reduce);
    }
    registry.add("L2Loss", |spec| {
        for_dtype!(float spec.input_dtype(0), T => Ok(boxed(|context| {
            let elements = context.input(0).elements();
            let plan = plan(&[elements], &[0])?;
            context.produce::<T>(0, Shape::scalar(), |context, output| {
                let kernel = T::reduce(ReduceOp::L2Loss).ok_or_else(|| Error::invalid_argument("no L2 loss"))?;
                kernel.run(context.pool(), &plan, context.slice(0)?, output);
                Ok(())
            })
        })))
    });
    registry.add("ArgMax", |spec| make_arg(spec, true));
    registry.add("ArgMin", |spec| make_arg(spec, false));
    registry.add("Cumsum", |spec| make_cumulative(spec, true));
    registry.add("Cumprod", |spec| make_cumulative(spec, false));
}

/// Returns the plan for a reduction of `shape` over `axes`, which are distinct and in range.
fn plan(shape: &[usize], axes: &[usize]) -> Result<ReducePlan> {
    ReducePlan::new(shape, axes).map_err(|error| {
        let code = match error {
            ReduceError::RankTooHigh { .. } => Code::Unimplemented,
            _ => Code::InvalidArgument,
        };
        Error::new(code, error.to_string())
    })
}

/// Returns an axis counted from either end. For a rank of 3, -1 is 2. Fails for an axis that a tensor of this
/// rank does not have.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_front).ok().filter(|&axis| axis < rank).ok_or_else(|| {
        Error::invalid_argument(format!("axis {axis} is outside [{}, {rank})", -(rank as i64)))
    })
}

/// Returns the kernel of a reduction. Dtypes without it, like `Max` of complex numbers, are `Unimplemented`.
fn make_reduce(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    // Some op types of the list lack the attribute.
    let keep_dims = spec.bool("keep_dims").unwrap_or(false);
    let dtype = spec.input_dtype(0);
    let unsupported = || Error::new(Code::Unimplemented, format!("no such reduction of {dtype}"));
    let op = ReduceOp::from_name(spec.operation.op_type()).ok_or_else(unsupported)?;
    // A norm of one element is its magnitude; every other reduction of one element is the element.
    let keeps = op != ReduceOp::EuclideanNorm;
    for_dtype!(all dtype, T => {
        let kernel = T::reduce(op).ok_or_else(unsupported)?;
        Ok(boxed(move |context| run_reduce::<T>(context, &kernel, keep_dims, keeps)))
    })
}

/// Delivers the reduction of input 0 over the axes in input 1.
///
/// `kernel` is the loop for the dtype; `keep_dims` keeps reduced axes as 1; `keeps` states that the reduction
/// of one element is that element, so a reduction over no axis is its input.
fn run_reduce<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    kernel: &ReduceKernel<T>,
    keep_dims: bool,
    keeps: bool,
) -> Result<()> {
    // A reduction over no axis forwards its input, which costs no pass over memory.
    let Some((plan, output)) = reduction(context, keep_dims, keeps)? else {
        let value = context.take(0);
        context.set(0, value);
        return Ok(());
    };
    context.produce::<T>(0, output, |context, output| {
        kernel.run(context.pool(), &plan, context.slice(0)?, output);
        Ok(())
    })
}

/// Returns the plan to reduce input 0 over the axes in input 1, and the shape of the result. `None` stands
/// for the input itself: the list of axes is empty and `keeps` is true, as for all reductions that return a
/// single element unchanged.
fn reduction(
    context: &KernelContext<'_>,
    keep_dims: bool,
    keeps: bool,
) -> Result<Option<(ReducePlan, Shape)>> {
    let shape = context.input(0).shape();
    let axes = context.ints(1)?.into_iter().map(|at| axis(at, shape.rank())).collect::<Result<Vec<_>>>()?;
    // An error as in TensorFlow, although the set of axes would be clear.
    if let Some(twice) = (1..axes.len()).find(|&i| axes[..i].contains(&axes[i])) {
        let text = format!("Invalid reduction arguments: Axes contains duplicate dimension: {}", axes[twice]);
        return Err(Error::invalid_argument(text));
    }
    let plan = plan(shape, &axes)?;
    if axes.is_empty() && keeps {
        return Ok(None);
    }
    // A reduced axis stays as 1 or disappears; the others keep their size.
    let kept = |(i, &dim): (usize, &usize)| match axes.contains(&i) {
        true => keep_dims.then_some(1),
        false => Some(dim),
    };
    let output: Shape = shape.iter().enumerate().filter_map(kept).collect();
    Ok(Some((plan, output)))
}

/// Returns the product of the sizes before an axis, its size, and the product of those after it:
/// `[2, 3, 4, 5]` around axis 1 is `[2, 3, 20]`. Element `(o, i, n)` is at `(o * along + i) * inner + n`.
fn around(shape: &Shape, axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// Returns the kernel of `ArgMax`, or `ArgMin` if `largest` is false, for real dtypes.
fn make_arg(spec: &NodeSpec<'_>, largest: bool) -> Result<Box<dyn Kernel>> {
    let out = spec.dtype("output_type").unwrap_or(DType::Int64);
    if spec.input_dtype(0) == DType::Bool {
        // The bytes of truth values are 0 and 1, in that order.
        return for_dtype!(@arms out, I => Ok(boxed(move |context| {
            run_arg::<u8, I>(context, largest, |context| context.moved(0))
        })), Int16: i16, UInt16: u16, Int32: i32, Int64: i64);
    }
    for_dtype!(real spec.input_dtype(0), T => {
        for_dtype!(@arms out, I => Ok(boxed(move |context| run_arg::<T, I>(context, largest, |context| context.slice(0)))),
            Int16: i16, UInt16: u16, Int32: i32, Int64: i64)
    })
}

/// Delivers the positions along the axis in input 1, as `I`. A position that `I` cannot hold wraps. `input`
/// returns the elements of input 0.
fn run_arg<T: Element + Ranked, I: Element + IndexOut>(
    context: &mut KernelContext<'_>,
    largest: bool,
    input: for<'c> fn(&'c KernelContext<'_>) -> Result<&'c [T]>,
) -> Result<()> {
    let (sizes, output) = arg_shapes(context)?;
    context.produce::<I>(0, output, |context, output| {
        let input = input(context)?;
        let found = if largest {
            reduce::arg_max(context.pool(), sizes, input, output)
        } else {
            reduce::arg_min(context.pool(), sizes, input, output)
        };
        found.map_err(|_| empty_axis(context))
    })
}

/// Returns the sizes around the axis in input 1, and the shape of the result.
fn arg_shapes(context: &KernelContext<'_>) -> Result<(ArgShape, Shape)> {
    let shape = context.input(0).shape();
    let at = axis(context.int(1)?, shape.rank())?;
    let [outer, along, inner] = around(shape, at);
    let output: Shape = shape.iter().enumerate().filter(|&(i, _)| i != at).map(|(_, &dim)| dim).collect();
    Ok((ArgShape { outer, axis: along, inner }, output))
}

fn empty_axis(context: &KernelContext<'_>) -> Error {
    let shape = context.input(0).shape();
    match context.int(1).and_then(|at| axis(at, shape.rank())) {
        Ok(at) => Error::invalid_argument(format!("Reduction axis {at} is empty in shape {shape}")),
        Err(error) => error,
    }
}

/// Returns the kernel of `Cumsum`, or `Cumprod` if `sum` is false.
fn make_cumulative(spec: &NodeSpec<'_>, sum: bool) -> Result<Box<dyn Kernel>> {
    let (exclusive, reverse) = (spec.bool("exclusive")?, spec.bool("reverse")?);
    for_dtype!(number spec.input_dtype(0), T => {
        Ok(boxed(move |context| run_cumulative::<T>(context, sum, exclusive, reverse)))
    })
}

/// Delivers running sums or products along the axis in input 1.
///
/// `sum` selects sums or products; `exclusive` leaves out the element itself; `reverse` begins at the end.
fn run_cumulative<T: Element + Scan>(
    context: &mut KernelContext<'_>,
    sum: bool,
    exclusive: bool,
    reverse: bool,
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let at = axis(context.int(1)?, shape.rank())?;
    let [outer, along, inner] = around(&shape, at);
    context.produce::<T>(0, shape, |context, output| {
        let sizes = CumulativeShape { outer, axis: along, inner, exclusive, reverse };
        let input = context.slice::<T>(0)?;
        if sum {
            reduce::cumulative_sum(context.pool(), sizes, input, output);
        } else {
            reduce::cumulative_product(context.pool(), sizes, input, output);
        }
        Ok(())
    })
}
