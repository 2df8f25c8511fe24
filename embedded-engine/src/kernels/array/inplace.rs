//! Rows of tensors, changed.
//!
//! # Semantics
//!
//! - `InplaceUpdate` overwrites, `InplaceAdd` and `InplaceSub` change the rows `i` (input 1, an `int32`
//!   vector) of `x` (input 0) by the rows of `v` (input 2), and return `x` changed. `v` has one row for each
//!   index, and its rows have the shape of those of `x`.
//! - An index is taken modulo the number of rows, as in TensorFlow: of three rows, -1 and 5 both name the
//!   last.
//! - Equal indices are applied in order: the last update counts, and sums accumulate.
//! - Despite the names, memory is changed in place only if nothing else holds `x`; otherwise it is copied
//!   first. TensorFlow overwrites the input in any case, so graphs that depend on that alias read the old
//!   value here.
//! - A vector of indices of another rank and rows that do not fit are `InvalidArgument`, and so is any index
//!   into a tensor without rows.

use super::index::outside;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved as _;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::{BinaryOp, Element as _, layout};
use session_core::{Code, Error, Result};
use tensor::{Tensor, memory};

/// Registers the op types. `InplaceUpdate` works for all dtypes, the other two for numbers.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("InplaceUpdate", |_| Ok(boxed(update)));
    registry.add("InplaceAdd", |spec| merge(spec, BinaryOp::Add));
    registry.add("InplaceSub", |spec| merge(spec, BinaryOp::Sub));
}

/// Returns the tensor, the rows to change, and the number of elements of a row.
///
/// Takes input 0 out of the frame, so callers can change it without a copy at its last use. The rows are
/// reduced to the range of existing rows; negative indices count from the end. Fails if the inputs do not fit
/// together.
fn rows(context: &mut KernelContext<'_>) -> Result<(Tensor, Vec<i64>, usize)> {
    let x = context.take(0);
    let (indices, values) = (context.input(1).shape(), context.input(2).shape());
    let &[count] = indices.dims() else {
        return Err(Error::invalid_argument(format!("i must be a vector. {indices}")));
    };
    let fits = match (x.shape().split_first(), values.split_first()) {
        (Some((_, row)), Some((&rows, value))) => row == value && rows == count,
        _ => false,
    };
    if !fits {
        let text = format!("x and v shape doesn't match: {} and {values} for {count} rows", x.shape());
        return Err(Error::invalid_argument(text));
    }
    let size = x.shape()[0];
    if size == 0 && count > 0 {
        // The remainder by 0 rows is undefined.
        return Err(Error::invalid_argument("a tensor without rows has none to change"));
    }
    let rows = context.ints(1)?.into_iter().map(|row| row.rem_euclid(size.max(1) as i64));
    let rows = memory::collected(rows)?;
    let width = x.shape()[1..].iter().product();
    Ok((x, rows, width))
}

/// Delivers the tensor with rows overwritten.
fn update(context: &mut KernelContext<'_>) -> Result<()> {
    let (mut x, rows, width) = rows(context)?;
    for_dtype!(moved x.dtype(), T => {
        let values = T::elements(context.input(2))?;
        T::changed(context, &mut x, |data| {
            layout::scatter_update(width, data, &rows, values).map_err(outside)
        })
    })?;
    context.set(0, x);
    Ok(())
}

/// Returns the kernel that combines rows with updates by `op`, or `Unimplemented` if the dtype has no such
/// operation. Integers wrap on overflow.
fn merge(spec: &NodeSpec<'_>, op: BinaryOp) -> Result<Box<dyn Kernel>> {
    let dtype = spec.input_dtype(0);
    let unsupported =
        || Error::new(Code::Unimplemented, format!("no rows of {dtype} are added or subtracted"));
    for_dtype!(number dtype, T => {
        // Found when the plan is compiled, so that a dtype without the operation is reported before the first
        // step.
        let kernel = T::binary(op).ok_or_else(unsupported)?;
        Ok(boxed(move |context| {
            let (mut x, rows, width) = rows(context)?;
            let values = context.slice::<T>(2)?;
            let data = x.make_mut::<T>(context.buffers())?;
            layout::scatter(context.pool(), kernel, width, data, &rows, values).map_err(outside)?;
            context.set(0, x);
            Ok(())
        }))
    })
}
