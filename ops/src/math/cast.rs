//! Conversion between dtypes.

use crate::array::identity::same_tensor;
use crate::library::op_defs;
use crate::shapes::unchanged;
use session_core::{AsOutput, OpDef, Operation, Output, Result};
use tensor::DType;

op_defs! {
    CAST: OpDef::new("Cast", "x: SrcT -> y: DstT")
        .attrs("SrcT: type, DstT: type, Truncate: bool = false")
        .shape(unchanged)
        .gradient(cast_gradient);
}

fn cast_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let smooth = |dtype: DType| dtype.is_floating() || dtype.is_complex();
    let (from, to) = (op.input(0).dtype(), op.output(0).dtype());
    let grad = grads[0].as_ref().filter(|_| smooth(from) && smooth(to));
    Ok(vec![grad.map(|grad| cast(grad, from))])
}

/// Returns the elements as another dtype: fractions are cut off, `bool` is 0 or 1. A tensor that has the dtype already is
/// returned as it is.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::cast(&x, DType::Int32).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn cast(x: impl AsOutput, dtype: DType) -> Output {
    let x = x.as_output();
    if x.dtype() == dtype {
        return same_tensor(x);
    }
    x.graph().op(&CAST).input(x).attr("DstT", dtype).finish_output()
}
