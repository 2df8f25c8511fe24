//! Axes and sizes in another order of axes, as layout optimizers leave them in graphs.
//!
//! # Semantics
//!
//! A format is a permutation of four or five letters: `N` for the batch, `C` for the channels, `H`, `W` and `D` for the
//! axes of space.
//!
//! - `DataFormatDimMap` maps numbers of axes: for each axis of `src_format` it returns the place of that axis in
//!   `dst_format`. Negative numbers count from the end, and numbers that are too large count around.
//! - `DataFormatVecPermute` reorders a vector, or the rows of a matrix, with one entry for each axis. With two entries
//!   less, they belong to the axes of space alone.
//!
//! # Errors
//!
//! Formats of other lengths or of different letters, and vectors of another length.

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
