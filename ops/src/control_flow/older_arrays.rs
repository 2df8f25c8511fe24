//! The arrays of tensors of TensorFlow's first releases. They differ from today's in what a handle is: first a reference to two strings,
//! then a vector of two strings.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use super::tensor_array::{
    Generation, concat_gradient, gather_gradient, read_gradient, scatter_gradient, split_gradient,
    write_gradient,
};
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    TENSOR_ARRAY: OpDef::new("TensorArray", "size: int32 -> handle: Ref(string)")
        .attrs(r#"dtype: type, dynamic_size: bool = false, clear_after_read: bool = true, tensor_array_name: string = "", element_shape: shape = unknown"#).stateful().not_differentiable();
    TENSOR_ARRAY_GRAD: OpDef::new("TensorArrayGrad", "handle: string, flow_in: float -> grad_handle: Ref(string)")
        .attrs("source: string").stateful().not_differentiable();
    TENSOR_ARRAY_WRITE: OpDef::new("TensorArrayWrite", "handle: Ref(string), index: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").gradient(write_gradient);
    TENSOR_ARRAY_READ: OpDef::new("TensorArrayRead", "handle: Ref(string), index: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type").gradient(read_gradient);
    TENSOR_ARRAY_GATHER: OpDef::new("TensorArrayGather", "handle: Ref(string), indices: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type, element_shape: shape = unknown").gradient(gather_gradient);
    TENSOR_ARRAY_SCATTER: OpDef::new("TensorArrayScatter", "handle: Ref(string), indices: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").gradient(scatter_gradient);
    TENSOR_ARRAY_CONCAT: OpDef::new("TensorArrayConcat", "handle: Ref(string), flow_in: float -> value: dtype, lengths: int64")
        .attrs("dtype: type, element_shape_except0: shape = unknown").gradient(concat_gradient);
    TENSOR_ARRAY_SPLIT: OpDef::new("TensorArraySplit", "handle: Ref(string), value: T, lengths: int64, flow_in: float -> flow_out: float")
        .attrs("T: type").gradient(split_gradient);
    TENSOR_ARRAY_SIZE: OpDef::new("TensorArraySize", "handle: Ref(string), flow_in: float -> size: int32")
        .not_differentiable();
    TENSOR_ARRAY_CLOSE: OpDef::new("TensorArrayClose", "handle: Ref(string) ->")
        .not_differentiable();
    TENSOR_ARRAY_PACK: OpDef::new("TensorArrayPack", "handle: Ref(string), flow_in: float -> value: dtype")
        .attrs("dtype: type, element_shape: shape = unknown");
    TENSOR_ARRAY_UNPACK: OpDef::new("TensorArrayUnpack", "handle: Ref(string), value: T, flow_in: float -> flow_out: float")
        .attrs("T: type");
    TENSOR_ARRAY_V2: OpDef::new("TensorArrayV2", "size: int32 -> handle: string")
        .attrs(r#"dtype: type, element_shape: shape = unknown, dynamic_size: bool = false, clear_after_read: bool = true, tensor_array_name: string = """#).stateful().not_differentiable();
    TENSOR_ARRAY_GRAD_V2: OpDef::new("TensorArrayGradV2", "handle: string, flow_in: float -> grad_handle: string")
        .attrs("source: string").stateful().not_differentiable();
    TENSOR_ARRAY_WRITE_V2: OpDef::new("TensorArrayWriteV2", "handle: string, index: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").gradient(write_gradient);
    TENSOR_ARRAY_READ_V2: OpDef::new("TensorArrayReadV2", "handle: string, index: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type").gradient(read_gradient);
    TENSOR_ARRAY_GATHER_V2: OpDef::new("TensorArrayGatherV2", "handle: string, indices: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type, element_shape: shape = unknown").gradient(gather_gradient);
    TENSOR_ARRAY_SCATTER_V2: OpDef::new("TensorArrayScatterV2", "handle: string, indices: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").gradient(scatter_gradient);
    TENSOR_ARRAY_CONCAT_V2: OpDef::new("TensorArrayConcatV2", "handle: string, flow_in: float -> value: dtype, lengths: int64")
        .attrs("dtype: type, element_shape_except0: shape = unknown").gradient(concat_gradient);
    TENSOR_ARRAY_SPLIT_V2: OpDef::new("TensorArraySplitV2", "handle: string, value: T, lengths: int64, flow_in: float -> flow_out: float")
        .attrs("T: type").gradient(split_gradient);
    TENSOR_ARRAY_SIZE_V2: OpDef::new("TensorArraySizeV2", "handle: string, flow_in: float -> size: int32")
        .not_differentiable();
    TENSOR_ARRAY_CLOSE_V2: OpDef::new("TensorArrayCloseV2", "handle: string ->")
        .not_differentiable();
}

pub(super) static FIRST: Generation = Generation {
    grad: &TENSOR_ARRAY_GRAD,
    write: &TENSOR_ARRAY_WRITE,
    read: &TENSOR_ARRAY_READ,
    gather: &TENSOR_ARRAY_GATHER,
    scatter: &TENSOR_ARRAY_SCATTER,
    concat: &TENSOR_ARRAY_CONCAT,
    split: &TENSOR_ARRAY_SPLIT,
};

pub(super) static SECOND: Generation = Generation {
    grad: &TENSOR_ARRAY_GRAD_V2,
    write: &TENSOR_ARRAY_WRITE_V2,
    read: &TENSOR_ARRAY_READ_V2,
    gather: &TENSOR_ARRAY_GATHER_V2,
    scatter: &TENSOR_ARRAY_SCATTER_V2,
    concat: &TENSOR_ARRAY_CONCAT_V2,
    split: &TENSOR_ARRAY_SPLIT_V2,
};
