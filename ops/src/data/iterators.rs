//! Iterators: resources of a session that make the elements of a dataset.

use super::shapes::{components, scalars};
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    ANONYMOUS_ITERATOR: OpDef::new("AnonymousIterator", "-> handle: resource")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    ANONYMOUS_ITERATOR_V2: OpDef::new("AnonymousIteratorV2", "-> handle: resource, deleter: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    ANONYMOUS_ITERATOR_V3: OpDef::new("AnonymousIteratorV3", "-> handle: resource")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    DELETE_ITERATOR: OpDef::new("DeleteIterator", "handle: resource, deleter: variant ->")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    DESERIALIZE_ITERATOR: OpDef::new("DeserializeIterator", "resource_handle: resource, serialized: variant ->")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_ITERATOR_GET_DEVICE: OpDef::new("ExperimentalIteratorGetDevice", "resource: resource -> device: string")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    ITERATOR: OpDef::new("Iterator", "-> handle: resource")
        .attrs("shared_name: string, container: string, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    ITERATOR_FROM_STRING_HANDLE: OpDef::new("IteratorFromStringHandle", "string_handle: string -> resource_handle: resource")
        .attrs("output_types: list(type) >= 0 = [], output_shapes: list(shape) >= 0 = []")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    ITERATOR_FROM_STRING_HANDLE_V2: OpDef::new("IteratorFromStringHandleV2", "string_handle: string -> resource_handle: resource")
        .attrs("output_types: list(type) >= 0 = [], output_shapes: list(shape) >= 0 = []")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    ITERATOR_GET_DEVICE: OpDef::new("IteratorGetDevice", "resource: resource -> device: string")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    ITERATOR_GET_NEXT: OpDef::new("IteratorGetNext", "iterator: resource -> components: output_types")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(components).not_differentiable();
    ITERATOR_GET_NEXT_AS_OPTIONAL: OpDef::new("IteratorGetNextAsOptional", "iterator: resource -> optional: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    ITERATOR_GET_NEXT_SYNC: OpDef::new("IteratorGetNextSync", "iterator: resource -> components: output_types")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(components).not_differentiable();
    ITERATOR_TO_STRING_HANDLE: OpDef::new("IteratorToStringHandle", "resource_handle: resource -> string_handle: string")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    ITERATOR_V2: OpDef::new("IteratorV2", "-> handle: resource")
        .attrs("shared_name: string, container: string, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    MAKE_ITERATOR: OpDef::new("MakeIterator", "dataset: variant, iterator: resource ->")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    ONE_SHOT_ITERATOR: OpDef::new("OneShotIterator", "-> handle: resource")
        .attrs("dataset_factory: func, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    SERIALIZE_ITERATOR: OpDef::new("SerializeIterator", "resource_handle: resource -> serialized: variant")
        .attrs("external_state_policy: int = 0")
        .stateful().shape(scalars::<0b1>).not_differentiable();
}
