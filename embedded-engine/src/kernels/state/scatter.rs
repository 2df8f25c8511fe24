//! Rows of variables, written by index; counters.
//!
//! # Semantics
//!
//! | op types | indices name | equal indices |
//! | --- | --- | --- |
//! | `ScatterUpdate` | rows of the first axis | the last update counts |
//! | `ScatterAdd`, `Sub`, `Mul`, `Div`, `Min`, `Max` | rows of the first axis | applied in order |
//! | `ScatterNdUpdate` | slices by coordinates | the last update counts |
//! | `ScatterNdAdd`, `Sub`, `Min`, `Max` | slices by coordinates | applied in order |
//!
//! Each exists with the prefix `Resource` for handles and without it for references. Input 0 is the variable,
//! input 1 the indices, input 2 the updates: one for each index, or, for rows of the first axis, also one
//! scalar for all.
//!
//! - An index out of range (unless `bad_indices_policy` of coordinates is `IGNORE`), updates of another shape, a scalar variable and updates of another dtype are
//!   `InvalidArgument`. Nothing is written then.
//! - An uninitialized variable is `FailedPrecondition`.
//! - Integers wrap. `Min` and `Max` keep the element if it or the update is NaN.
//! - `Div` refuses updates of 0: of integers in both forms, and of any dtype for handles, as TensorFlow does.
//! - `CountUpTo` returns the value before it adds 1. At `limit` it fails with `OutOfRange` and leaves the
//!   variable alone. A limit that is not a number of the dtype is refused when the plan is compiled.
//!
//! The lock of the variable is held throughout, so other steps see all updates of an operation or none. The
//! value is changed in place unless something else, such as a read of the same step, holds it; then it is
//! copied first. Updates of a row are applied in the order of the indices for any number of threads.
//!
//! # Examples
//!
//! ```text
//! v = [[1, 2], [3, 4]]
//!
//! ScatterAdd       rows [1, 1], [[1, 1], [2, 2]]    -> [[1, 2], [6, 7]]
//! ScatterUpdate    rows [0, 0], [[5, 5], [6, 6]]    -> [[6, 6], [3, 4]]
//! ScatterMul       row 0, scalar 10                 -> [[10, 20], [3, 4]]
//! ScatterNdSub     [[0, 1], [1, 0]], [1, 1]         -> [[1, 1], [2, 4]]
//! ```

use super::shared_variable;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved as _;
use crate::kernels::array::{BadIndices, Rows, check_updates, outside, rows, updated};
use crate::kernels::math::{Greater, Lesser, boxed};
use crate::registry::Registry;
use compute::elementwise::{self, BinaryKernel, BinaryOp, Element as _, layout};
use session_core::{Code, Error, Result};
use tensor::{DType, Element, Shape, Tensor, memory};

/// Registers each op type in both forms, which differ only in how a graph refers to the variable.
pub(crate) fn register(registry: &mut Registry) {
    registry.add_both(["ResourceScatterUpdate", "ScatterUpdate"], |_| Ok(boxed(update_rows)));
    for op_type in [
        ["ResourceScatterAdd", "ScatterAdd"],
        ["ResourceScatterSub", "ScatterSub"],
        ["ResourceScatterMul", "ScatterMul"],
        ["ResourceScatterDiv", "ScatterDiv"],
        ["ResourceScatterMin", "ScatterMin"],
        ["ResourceScatterMax", "ScatterMax"],
        ["ResourceScatterNdAdd", "ScatterNdAdd"],
        ["ResourceScatterNdSub", "ScatterNdSub"],
        ["ResourceScatterNdMin", "ScatterNdMin"],
        ["ResourceScatterNdMax", "ScatterNdMax"],
    ] {
        registry.add_both(op_type, make_merge);
    }
    registry.add_both(["ResourceScatterNdUpdate", "ScatterNdUpdate"], |spec| {
        let bad = BadIndices::of(spec)?;
        Ok(boxed(move |context| update_slices(context, bad)))
    });
    registry.add_both(["ResourceCountUpTo", "CountUpTo"], |spec| {
        let limit = spec.int("limit")?;
        if spec.dtype("T")? == DType::Int32 && i32::try_from(limit).is_err() {
            return Err(Error::invalid_argument(format!("the limit {limit} is out of range for int32")));
        }
        Ok(boxed(move |context| count_up_to(context, limit)))
    });
}

/// Returns the kernel of an op type that combines rows with updates. The operation follows from the name.
/// Dtypes without it are `Unimplemented`.
fn make_merge(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let name = spec.operation.op_type();
    // The names of the two families and of both kinds of variables differ in their prefixes only.
    let op = match name.trim_start_matches("Resource").trim_start_matches("Scatter") {
        "Add" | "NdAdd" => BinaryOp::Add,
        "Sub" | "NdSub" => BinaryOp::Sub,
        "Mul" => BinaryOp::Mul,
        "Div" => BinaryOp::Div,
        "Min" | "NdMin" => BinaryOp::Minimum,
        _ => BinaryOp::Maximum,
    };
    let dtype = spec.input_dtype(2);
    let unsupported =
        || Error::new(Code::Unimplemented, format!("the embedded engine has no {name} for {dtype}"));
    let by_coordinates = if name.contains("Nd") { Some(BadIndices::of(spec)?) } else { None };
    if dtype.is_floating() && matches!(op, BinaryOp::Minimum | BinaryOp::Maximum) {
        // The operations of `compute` return NaN where one of the operands is NaN.
        return for_dtype!(float dtype, T => {
            let least = op == BinaryOp::Minimum;
            let kernel =
                if least { BinaryKernel::<T>::new::<Lesser>() } else { BinaryKernel::<T>::new::<Greater>() };
            Ok(boxed(move |context| merge::<T>(context, kernel, by_coordinates, false)))
        });
    }
    let refuses_zero = op == BinaryOp::Div && (dtype.is_integer() || name.starts_with("Resource"));
    for_dtype!(number dtype, T => {
        let kernel = T::binary(op).ok_or_else(unsupported)?;
        Ok(boxed(move |context| merge::<T>(context, kernel, by_coordinates, refuses_zero)))
    })
}

/// Returns the rows of the first axis that input 1 names. A single value may stand for the updates of all of
/// them.
///
/// `target` is the shape of the variable. Fails if an index is out of range or if updates that are not a
/// scalar do not fit.
fn first_axis(context: &KernelContext<'_>, target: &Shape) -> Result<Rows> {
    let Some((&size, row)) = target.split_first() else {
        return Err(Error::invalid_argument("a scalar variable has no rows to update"));
    };
    let mut named = memory::reserve(context.input(1).elements())?;
    for (i, index) in context.ints(1)?.into_iter().enumerate() {
        let index_in_range = usize::try_from(index).ok().filter(|&index| index < size);
        named.push(index_in_range.ok_or_else(|| {
            Error::invalid_argument(format!("indices[{i}] = {index} is not in [0, {size})"))
        })?);
    }
    let shape: Shape = context.input(1).shape().iter().chain(row).copied().collect();
    let updates = context.input(2).shape();
    if updates.rank() != 0 {
        check_updates(&shape, updates)?;
    }
    Ok(Rows::of_first_axis(named, size, row, shape))
}

/// Overwrites rows; the last update of a row stays.
///
/// Delivers nothing for the resource form. In the reference form the output is the variable itself, which the
/// compiler connects.
fn update_rows(context: &mut KernelContext<'_>) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    let named = first_axis(context, value.shape())?;
    let updates = context.input(2);
    check_dtype(value.dtype(), updates.dtype())?;
    // All have been checked, so that nothing fails once the first row has been written.
    let indices = named.numbers()?;
    let scalar = updates.shape().rank() == 0;
    for_dtype!(moved value.dtype(), T => {
        let updates = T::elements(updates)?;
        T::changed(context, value, |data| {
            if scalar {
                for &row in &named.rows {
                    data[row * named.width..][..named.width].iter_mut().for_each(|to| to.clone_from(&updates[0]));
                }
                return Ok(());
            }
            layout::scatter_update(named.width, data, &indices, updates).map_err(outside)
        })
    })
}

/// Fails unless the updates have the dtype of the variable. A handle does not carry the dtype of its
/// variable, so the graph could not check it.
fn check_dtype(variable: DType, updates: DType) -> Result<()> {
    if variable == updates {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("a variable of {variable} cannot take updates of {updates}")))
}

/// Overwrites slices at coordinates. The new value is built in one pass and replaces the old one.
fn update_slices(context: &mut KernelContext<'_>, bad: BadIndices) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    check_dtype(value.dtype(), context.input(2).dtype())?;
    *value = updated(context, value, 1, 2, bad)?;
    Ok(())
}

/// Merges updates into rows of a variable.
///
/// `kernel` combines an element with its update, in this order. `by_coordinates` is the form of the
/// indices: what becomes of a coordinate out of range, or `None` for rows of the first axis. With
/// `refuses_zero`, an update of 0 is `InvalidArgument`.
fn merge<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    kernel: BinaryKernel<T>,
    by_coordinates: Option<BadIndices>,
    refuses_zero: bool,
) -> Result<()> {
    with_rows(context, by_coordinates, &|value, named, given| {
        let updates = given.as_slice::<T>()?;
        if refuses_zero && updates.contains(&T::default()) {
            return Err(Error::invalid_argument("updates must not contain 0"));
        }
        let repeated;
        let updates = if given.shape().rank() == 0 && named.shape.rank() > 0 {
            // One update for all rows is written out, since the loop wants a row for each index.
            repeated = memory::filled(updates[0], named.shape.elements())?;
            &repeated
        } else {
            updates
        };
        let data = value.make_mut::<T>(context.buffers())?;
        layout::scatter(context.pool(), kernel, named.width, data, &named.numbers()?, updates)
            .map_err(outside)
    })
}

/// Calls `work` with a variable's value, the rows of it that input 1 names and their updates.
///
/// Holds the lock while `work` runs. `work` is not called if the indices or updates do not fit.
fn with_rows(
    context: &KernelContext<'_>,
    by_coordinates: Option<BadIndices>,
    work: &dyn Fn(&mut Tensor, &Rows, &Tensor) -> Result<()>,
) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    match by_coordinates {
        Some(bad) => {
            let named = rows(context.input(1), value.shape(), bad)?;
            let updates = named.updates(context, 2)?;
            work(value, &named, &updates)
        }
        None => work(value, &first_axis(context, value.shape())?, context.input(2)),
    }
}

/// Returns the value and adds 1 to it, until it reaches the limit.
///
/// The variable is a scalar `int32` or `int64`; the output has its dtype.
fn count_up_to(context: &mut KernelContext<'_>, limit: i64) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let before = {
        let mut value = variable.lock();
        let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
        // Shares the memory: the next value is a new tensor, not a change of this one.
        let before = value.clone();
        let count = if value.dtype() == DType::Int32 {
            value.value::<i32>()?.into()
        } else {
            value.value::<i64>()?
        };
        if count >= limit {
            return Err(Error::new(Code::OutOfRange, format!("Reached limit of {limit}")));
        }
        let next = count + 1; // less than or equal to the limit, so it cannot overflow
        *value = match i32::try_from(next) {
            Ok(next) if value.dtype() == DType::Int32 => Tensor::from(next),
            _ => Tensor::from(next),
        };
        before
    };
    context.set(0, before);
    Ok(())
}
