//! Barriers: elements whose components arrive one by one under a key.

use crate::composite::unnamed;
use crate::library::op_defs;
use crate::shapes::{must_be_scalar, old_handle, scalar};
use session_core::{
    AsOutput, AttrValue, DType, Graph, OpBuilder, OpDef, Operation, Output, PartialShape, Result,
    ShapeContext,
};

op_defs! {
    BARRIER: OpDef::new("Barrier", "-> handle: Ref(string)")
        .attrs("component_types: list(type) >= 1, shapes: list(shape) >= 0 = [], capacity: int32 = -1, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(old_handle).not_differentiable();
    BARRIER_INSERT_MANY: OpDef::new("BarrierInsertMany", "handle: Ref(string), keys: string, values: T ->")
        .attrs("T: type, component_index: int32").not_differentiable();
    BARRIER_TAKE_MANY: OpDef::new("BarrierTakeMany", "handle: Ref(string), num_elements: int32 -> indices: int64, keys: string, values: component_types")
        .attrs("component_types: list(type) >= 1, allow_small_batch: bool = false, wait_for_incomplete: bool = false, timeout_ms: int = -1")
        .shape(taken).not_differentiable();
    BARRIER_CLOSE: OpDef::new("BarrierClose", "handle: Ref(string) ->")
        .attrs("cancel_pending_enqueues: bool = false").not_differentiable();
    BARRIER_READY_SIZE: OpDef::new("BarrierReadySize", "handle: Ref(string) -> size: int32").shape(scalar).not_differentiable();
    BARRIER_INCOMPLETE_SIZE: OpDef::new("BarrierIncompleteSize", "handle: Ref(string) -> size: int32")
        .shape(scalar).not_differentiable();
}

fn taken(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 1)?;
    let shapes =
        context.inputs()[0].operation().attr("shapes").and_then(AttrValue::as_shapes).unwrap_or_default();
    context.set(0, PartialShape::of_rank(1));
    context.set(1, PartialShape::of_rank(1));
    if shapes.len() + 2 == context.outputs() {
        for (place, shape) in shapes.iter().enumerate() {
            context.set(place + 2, PartialShape::from([None]).concat(shape));
        }
    }
    Ok(())
}

/// A collection of elements whose components arrive one by one, from different parts of a program. Components with the same key belong
/// to the same element, which can be taken when all of its components have arrived. TensorFlow's `Barrier`.
///
/// The key of a taken element may be used again. Closing works as for [queues](super::Queue::close): elements that have begun may still
/// be completed, new ones are `Cancelled`, and taking fails with `OutOfRange` as soon as there cannot be enough elements any more.
///
/// ```
/// use ops::array::{constant, placeholder};
/// use ops::data_flow::Barrier;
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let keys = placeholder(&graph.named("keys"), DType::String, [None]);
/// let values = placeholder(&graph.named("values"), DType::Float32, [None, Some(4)]);
/// let barrier = Barrier::new(&graph, [(DType::Float32, [4].into()), (DType::Int32, PartialShape::scalar())]);
/// let insert = barrier.insert_many(0, &keys, &values);
/// let (indices, keys, values) = barrier.take_many(constant(&graph, 8i32));
/// assert_eq!(values[0].shape().to_string(), "[?,4]");
/// # let _ = (insert, indices, keys);
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    handle: Output,
    dtypes: Vec<DType>,
}

impl Barrier {
    /// Creates a barrier for elements of these components. The shapes must be fully known.
    #[must_use]
    #[track_caller]
    pub fn new(graph: &Graph, components: impl IntoIterator<Item = (DType, PartialShape)>) -> Barrier {
        Barrier::shared(graph, components, "")
    }

    /// Works as [`new`](Barrier::new), with a name that is shared: operations with the same shared name, in all graphs and sessions of a
    /// cluster, refer to the same barrier.
    #[must_use]
    #[track_caller]
    pub fn shared(
        graph: &Graph,
        components: impl IntoIterator<Item = (DType, PartialShape)>,
        shared_name: &str,
    ) -> Barrier {
        let (dtypes, shapes): (Vec<DType>, Vec<PartialShape>) = components.into_iter().unzip();
        let builder = graph.without_control_dependencies().op(&BARRIER).default_name("barrier");
        let builder = builder.attr("component_types", dtypes.clone()).attr("shapes", shapes);
        let handle = builder.attr("shared_name", shared_name).finish_output();
        Barrier { handle: handle.within(&unnamed(graph)), dtypes }
    }

    #[track_caller]
    fn op(&self, def: &'static OpDef) -> OpBuilder {
        self.handle.graph().op(def).input(&self.handle)
    }

    /// Inserts one component of the elements with these keys: `values[i]` for `keys[i]`. `keys` is a vector of strings. A key that already has
    /// the component is an `InvalidArgument` error when the operation runs.
    #[track_caller]
    pub fn insert_many(&self, component: usize, keys: impl AsOutput, values: impl AsOutput) -> Operation {
        self.op(&BARRIER_INSERT_MANY).input(keys).input(values).attr("component_index", component).finish()
    }

    /// Waits for a number of complete elements (an `int32`) and takes them, the oldest first. Returns the insertion indices, the keys, and
    /// each component, stacked. A closed barrier with fewer elements is an `OutOfRange` error; [`take_up_to`](Barrier::take_up_to) takes the
    /// remaining elements.
    #[must_use]
    #[track_caller]
    pub fn take_many(&self, num_elements: impl AsOutput) -> (Output, Output, Vec<Output>) {
        self.take(num_elements.as_output(), false)
    }

    /// Works as [`take_many`](Barrier::take_many), but takes fewer elements from a closed barrier that has no more: TensorFlow's
    /// `allow_small_batch=True`.
    #[must_use]
    #[track_caller]
    pub fn take_up_to(&self, num_elements: impl AsOutput) -> (Output, Output, Vec<Output>) {
        self.take(num_elements.as_output(), true)
    }

    #[track_caller]
    fn take(&self, num_elements: &Output, allow_small_batch: bool) -> (Output, Output, Vec<Output>) {
        let builder = self.op(&BARRIER_TAKE_MANY).input(num_elements);
        let builder = builder.attr("component_types", self.dtypes.clone());
        let operation = builder.attr("allow_small_batch", allow_small_batch).finish();
        let values = (0..self.dtypes.len()).map(|component| operation.output(component + 2)).collect();
        (operation.output(0), operation.output(1), values)
    }

    /// Closes the barrier: no new element can begin, but incomplete ones can still be completed.
    #[track_caller]
    pub fn close(&self) -> Operation {
        self.op(&BARRIER_CLOSE).attr("cancel_pending_enqueues", false).finish()
    }

    /// Closes the barrier and drops incomplete elements: TensorFlow's `cancel_pending_enqueues=True`.
    #[track_caller]
    pub fn close_and_cancel_pending_enqueues(&self) -> Operation {
        self.op(&BARRIER_CLOSE).attr("cancel_pending_enqueues", true).finish()
    }

    /// Returns the number of complete elements, a scalar `int32`.
    #[must_use]
    #[track_caller]
    pub fn ready_size(&self) -> Output {
        self.op(&BARRIER_READY_SIZE).finish_output()
    }

    /// Returns the number of incomplete elements, a scalar `int32`.
    #[must_use]
    #[track_caller]
    pub fn incomplete_size(&self) -> Output {
        self.op(&BARRIER_INCOMPLETE_SIZE).finish_output()
    }
}
