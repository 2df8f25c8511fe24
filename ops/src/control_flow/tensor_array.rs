//! Arrays of tensors, which loops write and read by index.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    TENSOR_ARRAY_V3: OpDef::new("TensorArrayV3", "size: int32 -> handle: resource, flow: float")
        .attrs(r#"dtype: type, element_shape: shape = unknown, dynamic_size: bool = false, clear_after_read: bool = true, identical_element_shapes: bool = false, tensor_array_name: string = """#).stateful();
    TENSOR_ARRAY_GRAD_V3: OpDef::new("TensorArrayGradV3", "handle: resource, flow_in: float -> grad_handle: resource, flow_out: float")
        .attrs("source: string").stateful();
    TENSOR_ARRAY_GRAD_WITH_SHAPE: OpDef::new("TensorArrayGradWithShape", "handle: resource, flow_in: float, shape_to_prepend: int32 -> grad_handle: resource, flow_out: float")
        .attrs("source: string").stateful();
    TENSOR_ARRAY_WRITE_V3: OpDef::new("TensorArrayWriteV3", "handle: resource, index: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").stateful();
    TENSOR_ARRAY_READ_V3: OpDef::new("TensorArrayReadV3", "handle: resource, index: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type").stateful();
    TENSOR_ARRAY_GATHER_V3: OpDef::new("TensorArrayGatherV3", "handle: resource, indices: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type, element_shape: shape = unknown").stateful();
    TENSOR_ARRAY_SCATTER_V3: OpDef::new("TensorArrayScatterV3", "handle: resource, indices: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").stateful();
    TENSOR_ARRAY_CONCAT_V3: OpDef::new("TensorArrayConcatV3", "handle: resource, flow_in: float -> value: dtype, lengths: int64")
        .attrs("dtype: type, element_shape_except0: shape = unknown").stateful();
    TENSOR_ARRAY_SPLIT_V3: OpDef::new("TensorArraySplitV3", "handle: resource, value: T, lengths: int64, flow_in: float -> flow_out: float")
        .attrs("T: type").stateful();
    TENSOR_ARRAY_SIZE_V3: OpDef::new("TensorArraySizeV3", "handle: resource, flow_in: float -> size: int32").stateful();
    TENSOR_ARRAY_CLOSE_V3: OpDef::new("TensorArrayCloseV3", "handle: resource ->").stateful();
}
