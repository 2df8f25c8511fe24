//! The selection of one of an operation's functions: `If`, `Case`.
//!
//! # Semantics
//!
//! `If` takes a condition of any shape: a scalar is false if it is 0, `false` or the empty string, and
//! another tensor is false if it has no elements. The condition of a `While` follows the same rule. `Case`
//! takes the number of a branch; one that is negative or too large means the last branch.

use crate::kernel::KernelContext;
use crate::registry::Call;
use session_core::Result;
use tensor::{DType, Element, Tensor};

/// Returns the index of the function that an `If` or a `Case` with this many functions calls, according to
/// input 0.
///
/// The result is less than `branches`, or 0 if there are none.
///
/// # Errors
/// `Unimplemented` for a condition whose dtype has no truth value, such as a complex number.
pub(crate) fn branch(call: Call, branches: usize, context: &KernelContext<'_>) -> Result<usize> {
    let last = branches.saturating_sub(1);
    match call {
        // The condition counts: 0 for the second branch, anything else for the first.
        Call::If => Ok(usize::from(!is_true(context.input(0))?)),
        // An index beyond the branches means the last one.
        Call::Case => Ok(usize::try_from(context.int(0)?).map_or(last, |index| index.min(last))),
        Call::Function | Call::While | Call::For | Call::Gradient => Ok(0),
    }
}

/// Returns true for a scalar other than 0, false and the empty string, and for another tensor with elements.
///
/// NaN is true, because it differs from 0.
pub(crate) fn is_true(value: &Tensor) -> Result<bool> {
    fn differs<T: Element + Default + PartialEq>(value: &Tensor) -> Result<bool> {
        Ok(value.value::<T>()? != T::default())
    }
    if value.shape().rank() > 0 {
        return Ok(value.elements() > 0);
    }
    match value.dtype() {
        DType::Bool => Ok(value.value::<bool>()?),
        DType::String => Ok(value.as_strings()?.first().is_some_and(|text| !text.is_empty())),
        dtype => for_dtype!(real dtype, T => differs::<T>(value)),
    }
}
