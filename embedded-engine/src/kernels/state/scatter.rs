//! Rows of variables, written by index; counters.

use super::shared_variable;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved as _;
use crate::kernels::array::{Rows, check_updates, outside, rows, updated};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::{self, BinaryKernel, BinaryOp, Element as _, layout};
use session_core::{Code, Error, Result};
use tensor::{DType, Element, Shape, Tensor, memory};

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
    registry.add_both(["ResourceScatterNdUpdate", "ScatterNdUpdate"], |_| Ok(boxed(update_slices)));
    registry.add_both(["ResourceCountUpTo", "CountUpTo"], |spec| {
        let limit = spec.int("limit")?;
        Ok(boxed(move |context| count_up_to(context, limit)))
    });
}

fn make_merge(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let name = spec.operation.op_type();
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
    let by_coordinates = name.contains("Nd");
    for_dtype!(number dtype, T => {
        let kernel = T::binary(op).ok_or_else(unsupported)?;
        Ok(boxed(move |context| merge::<T>(context, kernel, by_coordinates)))
    })
}

/// Returns the rows of the first axis that input 1 names. A single value may stand for the updates of all of them.
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
    Ok(Rows { rows: named, dims: vec![size], width: row.iter().product(), shape })
}

/// Overwrites rows; the last update of a row stays.
fn update_rows(context: &mut KernelContext<'_>) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    let named = first_axis(context, value.shape())?;
    let updates = context.input(2);
    check_dtype(value.dtype(), updates.dtype())?;
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

fn check_dtype(variable: DType, updates: DType) -> Result<()> {
    if variable == updates {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("a variable of {variable} cannot take updates of {updates}")))
}

fn update_slices(context: &mut KernelContext<'_>) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    check_dtype(value.dtype(), context.input(2).dtype())?;
    *value = updated(context, value, 1, 2)?;
    Ok(())
}

/// Merges updates into rows of a variable.
fn merge<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    kernel: BinaryKernel<T>,
    by_coordinates: bool,
) -> Result<()> {
    with_rows(context, by_coordinates, &|value, named| {
        let updates = context.slice::<T>(2)?;
        let repeated;
        let updates = if context.input(2).shape().rank() == 0 && named.shape.rank() > 0 {
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

/// Calls `work` with a variable's value and the rows of it that input 1 names.
fn with_rows(
    context: &KernelContext<'_>,
    by_coordinates: bool,
    work: &dyn Fn(&mut Tensor, &Rows) -> Result<()>,
) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    let named = if by_coordinates {
        let named = rows(context.input(1), value.shape())?;
        check_updates(&named.shape, context.input(2).shape())?;
        named
    } else {
        first_axis(context, value.shape())?
    };
    work(value, &named)
}

/// Returns the value and adds 1 to it, until it reaches the limit.
fn count_up_to(context: &mut KernelContext<'_>, limit: i64) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let before = {
        let mut value = variable.lock();
        let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
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
