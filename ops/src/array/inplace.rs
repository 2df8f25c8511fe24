//! Rows of tensors, changed. In TensorFlow these operations may write into their input; here no other reader sees the change.
//!
//! # Semantics
//!
//! `x` is a tensor of at least one dimension, `i` a vector of row numbers, and `v` has a row for each of them.
//! `InplaceUpdate` replaces the rows of `x`, `InplaceAdd` adds to them, and `InplaceSub` subtracts from them. A row that
//! is named several times is changed several times, in the order of `i`. Negative numbers count from the end, and
//! numbers that are too large count around.
//!
//! The engine writes into the memory of `x` if nothing else holds it.
//!
//! # Errors
//!
//! Shapes that do not fit, and sums of truth values or strings.

use crate::library::op_defs;
use crate::shapes;
use session_core::{OpDef, Result, ShapeContext};

op_defs! {
    INPLACE_UPDATE: inplace_def("InplaceUpdate");
    INPLACE_ADD: inplace_def("InplaceAdd");
    INPLACE_SUB: inplace_def("InplaceSub");
}

const fn inplace_def(name: &'static str) -> OpDef {
    OpDef::new(name, "x: T, i: int32, v: T -> y: T").attrs("T: type").shape(rows_fit).not_differentiable()
}

/// The rows and the tensor differ in their first axis alone.
fn rows_fit(context: &mut ShapeContext<'_>) -> Result<()> {
    let (x, indices) = (shapes::at_least_rank(context, 0, 1)?, context.input_of_rank(1, 1)?);
    let rows = x.with_dim(0, indices.dim(0));
    if x.rank().is_some() {
        shapes::merge(&rows, &context.input(2))?;
    }
    context.set(0, x);
    Ok(())
}
