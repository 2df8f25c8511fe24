//! Lists of tensors as values, which functional loops carry along.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    EMPTY_TENSOR_LIST: OpDef::new("EmptyTensorList", "element_shape: shape_type, max_num_elements: int32 -> handle: variant")
        .attrs("element_dtype: type, shape_type: indextype");
    TENSOR_LIST_RESERVE: OpDef::new("TensorListReserve", "element_shape: shape_type, num_elements: int32 -> handle: variant")
        .attrs("element_dtype: type, shape_type: indextype");
    TENSOR_LIST_SET_ITEM: OpDef::new("TensorListSetItem", "input_handle: variant, index: int32, item: element_dtype -> output_handle: variant")
        .attrs("element_dtype: type, resize_if_index_out_of_bounds: bool = false");
    TENSOR_LIST_GET_ITEM: OpDef::new("TensorListGetItem", "input_handle: variant, index: int32, element_shape: Tshape -> item: element_dtype")
        .attrs("element_dtype: type, Tshape: indextype = int32");
    TENSOR_LIST_STACK: OpDef::new("TensorListStack", "input_handle: variant, element_shape: int32 -> tensor: element_dtype")
        .attrs("element_dtype: type, num_elements: int32 = -1");
    TENSOR_LIST_FROM_TENSOR: OpDef::new("TensorListFromTensor", "tensor: element_dtype, element_shape: shape_type -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype");
    TENSOR_LIST_PUSH_BACK: OpDef::new("TensorListPushBack", "input_handle: variant, tensor: element_dtype -> output_handle: variant")
        .attrs("element_dtype: type");
    TENSOR_LIST_POP_BACK: OpDef::new("TensorListPopBack", "input_handle: variant, element_shape: int32 -> output_handle: variant, tensor: element_dtype")
        .attrs("element_dtype: type");
    TENSOR_LIST_LENGTH: OpDef::new("TensorListLength", "input_handle: variant -> length: int32");
    TENSOR_LIST_ELEMENT_SHAPE: OpDef::new("TensorListElementShape", "input_handle: variant -> element_shape: shape_type")
        .attrs("shape_type: indextype");
    TENSOR_LIST_GATHER: OpDef::new("TensorListGather", "input_handle: variant, indices: int32, element_shape: int32 -> values: element_dtype")
        .attrs("element_dtype: type");
    TENSOR_LIST_SCATTER: OpDef::new("TensorListScatter", "tensor: element_dtype, indices: int32, element_shape: shape_type -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype");
    TENSOR_LIST_SCATTER_V2: OpDef::new("TensorListScatterV2", "tensor: element_dtype, indices: int32, element_shape: shape_type, num_elements: int32 -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype");
    TENSOR_LIST_SCATTER_INTO_EXISTING_LIST: OpDef::new("TensorListScatterIntoExistingList", "input_handle: variant, tensor: element_dtype, indices: int32 -> output_handle: variant")
        .attrs("element_dtype: type");
    TENSOR_LIST_CONCAT: OpDef::new("TensorListConcat", "input_handle: variant -> tensor: element_dtype, lengths: int64")
        .attrs("element_dtype: type, element_shape: shape = unknown");
    TENSOR_LIST_CONCAT_V2: OpDef::new("TensorListConcatV2", "input_handle: variant, element_shape: shape_type, leading_dims: int64 -> tensor: element_dtype, lengths: int64")
        .attrs("element_dtype: type, shape_type: indextype");
    TENSOR_LIST_SPLIT: OpDef::new("TensorListSplit", "tensor: element_dtype, element_shape: shape_type, lengths: int64 -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype");
    TENSOR_LIST_RESIZE: OpDef::new("TensorListResize", "input_handle: variant, size: int32 -> output_handle: variant");
    TENSOR_LIST_CONCAT_LISTS: OpDef::new("TensorListConcatLists", "input_a: variant, input_b: variant -> output: variant")
        .attrs("element_dtype: type");
}
