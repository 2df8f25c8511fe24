//! Axes and sizes in another order of axes, as layout optimizers leave them in graphs.

use crate::library::op_defs;
use crate::shapes::unchanged;
use session_core::OpDef;

const FORMATS: &str = "T: indextype = int32, src_format: string = \"NHWC\", dst_format: string = \"NCHW\"";

op_defs! {
    DATA_FORMAT_DIM_MAP: OpDef::new("DataFormatDimMap", "x: T -> y: T")
        .attrs(FORMATS).shape(unchanged).not_differentiable();
    DATA_FORMAT_VEC_PERMUTE: OpDef::new("DataFormatVecPermute", "x: T -> y: T")
        .attrs(FORMATS).shape(unchanged).not_differentiable();
}
