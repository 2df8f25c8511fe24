//! The operations of queues: definitions and shapes.

use crate::library::op_defs;
use crate::shapes::{self, int, must_be_scalar, old_handle, scalar};
use session_core::{AttrValue, DType, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

const FIFO: &str = "component_types: list(type) >= 1, shapes: list(shape) >= 0 = [], capacity: int32 = -1, \
                    container: string = \"\", shared_name: string = \"\"";
const SHUFFLE: &str = "component_types: list(type) >= 1, shapes: list(shape) >= 0 = [], capacity: int32 = -1, \
                       min_after_dequeue: int32 = 0, seed: int = 0, seed2: int = 0, container: string = \"\", \
                       shared_name: string = \"\"";
const PRIORITY: &str = "component_types: list(type) >= 0 = [], shapes: list(shape) >= 0, capacity: int32 = -1, \
                        container: string = \"\", shared_name: string = \"\"";
const ENQUEUE: &str = "Tcomponents: list(type) >= 1, timeout_ms: int = -1";
const DEQUEUE: &str = "component_types: list(type) >= 1, timeout_ms: int = -1";
const CLOSE: &str = "cancel_pending_enqueues: bool = false";

op_defs! {
    FIFO_QUEUE_V2: queue_def("FIFOQueueV2", FIFO);
    PADDING_FIFO_QUEUE_V2: queue_def("PaddingFIFOQueueV2", FIFO);
    RANDOM_SHUFFLE_QUEUE_V2: queue_def("RandomShuffleQueueV2", SHUFFLE);
    PRIORITY_QUEUE_V2: queue_def("PriorityQueueV2", PRIORITY);
    QUEUE_ENQUEUE_V2: OpDef::new("QueueEnqueueV2", "handle: resource, components: Tcomponents ->")
        .attrs(ENQUEUE).stateful().shape(enqueued_fits).not_differentiable();
    QUEUE_ENQUEUE_MANY_V2: OpDef::new("QueueEnqueueManyV2", "handle: resource, components: Tcomponents ->")
        .attrs(ENQUEUE).stateful().shape(enqueued_batch_fits).not_differentiable();
    QUEUE_DEQUEUE_V2: OpDef::new("QueueDequeueV2", "handle: resource -> components: component_types")
        .attrs(DEQUEUE).stateful().shape(dequeue_shapes).not_differentiable();
    QUEUE_DEQUEUE_MANY_V2: OpDef::new("QueueDequeueManyV2", "handle: resource, n: int32 -> components: component_types")
        .attrs(DEQUEUE).stateful().shape(dequeue_many_shapes).not_differentiable();
    QUEUE_DEQUEUE_UP_TO_V2: OpDef::new("QueueDequeueUpToV2", "handle: resource, n: int32 -> components: component_types")
        .attrs(DEQUEUE).stateful().shape(dequeue_up_to_shapes).not_differentiable();
    QUEUE_CLOSE_V2: OpDef::new("QueueCloseV2", "handle: resource ->").attrs(CLOSE).stateful().not_differentiable();
    QUEUE_SIZE_V2: OpDef::new("QueueSizeV2", "handle: resource -> size: int32").stateful().shape(scalar).not_differentiable();
    QUEUE_IS_CLOSED_V2: OpDef::new("QueueIsClosedV2", "handle: resource -> is_closed: bool")
        .stateful().shape(scalar).not_differentiable();

    FIFO_QUEUE: old_queue_def("FIFOQueue", FIFO);
    PADDING_FIFO_QUEUE: old_queue_def("PaddingFIFOQueue", FIFO);
    RANDOM_SHUFFLE_QUEUE: old_queue_def("RandomShuffleQueue", SHUFFLE);
    PRIORITY_QUEUE: old_queue_def("PriorityQueue", PRIORITY);
    QUEUE_ENQUEUE: OpDef::new("QueueEnqueue", "handle: Ref(string), components: Tcomponents ->")
        .attrs(ENQUEUE).shape(enqueued_fits).not_differentiable();
    QUEUE_ENQUEUE_MANY: OpDef::new("QueueEnqueueMany", "handle: Ref(string), components: Tcomponents ->")
        .attrs(ENQUEUE).shape(enqueued_batch_fits).not_differentiable();
    QUEUE_DEQUEUE: OpDef::new("QueueDequeue", "handle: Ref(string) -> components: component_types")
        .attrs(DEQUEUE).shape(dequeue_shapes).not_differentiable();
    QUEUE_DEQUEUE_MANY: OpDef::new("QueueDequeueMany", "handle: Ref(string), n: int32 -> components: component_types")
        .attrs(DEQUEUE).shape(dequeue_many_shapes).not_differentiable();
    QUEUE_DEQUEUE_UP_TO: OpDef::new("QueueDequeueUpTo", "handle: Ref(string), n: int32 -> components: component_types")
        .attrs(DEQUEUE).shape(dequeue_up_to_shapes).not_differentiable();
    QUEUE_CLOSE: OpDef::new("QueueClose", "handle: Ref(string) ->").attrs(CLOSE).not_differentiable();
    QUEUE_SIZE: OpDef::new("QueueSize", "handle: Ref(string) -> size: int32").shape(scalar).not_differentiable();
    QUEUE_IS_CLOSED: OpDef::new("QueueIsClosed", "handle: Ref(string) -> is_closed: bool")
        .shape(scalar).not_differentiable();
}

/// Defines a queue whose handle is a resource, a scalar.
const fn queue_def(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "-> handle: resource").attrs(attrs).stateful().shape(scalar).not_differentiable()
}

/// Returns the reference types of older graphs: a handle is a reference to two strings.
const fn old_queue_def(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "-> handle: Ref(string)").attrs(attrs).stateful().shape(old_handle).not_differentiable()
}

/// The declaration of a queue's elements.
pub(crate) struct Declared {
    pub(crate) dtypes: Vec<DType>,
    /// Absent when any shapes are allowed.
    pub(crate) shapes: Option<Vec<PartialShape>>,
}

impl Declared {
    /// Returns the declaration of a queue operation. The priority counts as a component.
    pub(crate) fn of(operation: &Operation) -> Option<Declared> {
        let priority = match operation.op_type() {
            "PriorityQueueV2" | "PriorityQueue" => true,
            "FIFOQueueV2"
            | "FIFOQueue"
            | "PaddingFIFOQueueV2"
            | "PaddingFIFOQueue"
            | "RandomShuffleQueueV2"
            | "RandomShuffleQueue" => false,
            _ => return None,
        };
        let mut dtypes = operation.attr("component_types")?.as_types()?;
        let mut shapes = operation.attr("shapes").and_then(AttrValue::as_shapes).unwrap_or_default();
        let any_shapes = shapes.is_empty() && !dtypes.is_empty();
        // The priority is the first component of every element, though the attributes do not list it.
        if priority {
            dtypes.insert(0, DType::Int64);
            shapes.insert(0, PartialShape::scalar());
        }
        Some(Declared { dtypes, shapes: (!any_shapes).then_some(shapes) })
    }

    /// Returns the declaration of the queue behind a handle, if the graph determines it.
    fn of_handle(handle: &Output) -> Option<Declared> {
        let operation = handle.operation();
        match operation.op_type() {
            // A handle that is passed into loops, branches and functions still leads to its queue.
            "Identity" | "Enter" | "Switch" | "RefIdentity" | "RefEnter" | "RefSwitch" => {
                Declared::of_handle(&operation.input(0))
            }
            // `from_list` packs the handles of several queues and selects one.
            "GatherV2" => match operation.input(0).operation() {
                list if list.op_type() == "Pack" => Declared::of_any(&list.inputs()),
                _ => None,
            },
            "RefSelect" => Declared::of_any(operation.inputs().get(1..)?),
            _ => Declared::of(operation),
        }
    }

    /// Returns the common declaration of several queues.
    fn of_any(handles: &[Output]) -> Option<Declared> {
        let all: Vec<Declared> = handles.iter().map(Declared::of_handle).collect::<Option<_>>()?;
        let dtypes = all.first()?.dtypes.clone();
        // Queues of different dtypes have no common elements, so nothing is known.
        if all.iter().any(|other| other.dtypes != dtypes) {
            return None;
        }
        let shapes = common_shapes(all.iter().map(|declared| declared.shapes.as_deref()));
        Some(Declared { dtypes, shapes })
    }
}

/// Returns the shapes that the components of several queues have in common, if all declare them.
pub(super) fn common_shapes<'s>(
    mut all: impl Iterator<Item = Option<&'s [PartialShape]>>,
) -> Option<Vec<PartialShape>> {
    let first = all.next()??.to_vec();
    all.try_fold(first, |common, shapes| {
        let shapes = shapes.filter(|shapes| shapes.len() == common.len())?;
        Some(common.iter().zip(shapes).map(|(a, b)| a.relax(b)).collect())
    })
}

/// Returns the declaration of the queue behind the first input, as far as it can be found.
fn declared(context: &ShapeContext<'_>) -> Option<Declared> {
    context.inputs().first().and_then(Declared::of_handle)
}

/// Checks the components against the queue's declaration; a queue that is not found is checked at run time.
fn enqueued_fits(context: &mut ShapeContext<'_>) -> Result<()> {
    let Some(declared) = declared(context) else { return Ok(()) };
    for (index, component) in context.inputs().iter().skip(1).enumerate() {
        check_component(&declared, index, component.dtype(), component.shape(), |shape| shape.clone())?;
    }
    Ok(())
}

/// Batches have one more dimension in front, of one size over all components (S-232).
fn enqueued_batch_fits(context: &mut ShapeContext<'_>) -> Result<()> {
    let declared = declared(context);
    let mut batch = None;
    for (index, component) in context.inputs().iter().skip(1).enumerate() {
        let shape = component.shape();
        if shape.rank() == Some(0) {
            let text = format!("component {index} of enqueue_many is a scalar: it has no batch dimension");
            return Err(Error::value(text));
        }
        batch = shapes::merge_dims("the batch sizes of all components", batch, shape.dim(0))?;
        if let Some(declared) = &declared {
            let with_batch = |shape: &PartialShape| PartialShape::from([None]).concat(shape);
            check_component(declared, index, component.dtype(), shape, with_batch)?;
        }
    }
    Ok(())
}

/// Checks the dtype and shape of a component (S-228). Their number is checked when the operation runs (S-227).
fn check_component(
    declared: &Declared,
    index: usize,
    dtype: DType,
    shape: &PartialShape,
    expect: impl Fn(&PartialShape) -> PartialShape,
) -> Result<()> {
    if let Some(&expected) = declared.dtypes.get(index).filter(|&&expected| expected != dtype) {
        return Err(Error::type_mismatch(format!(
            "component {index} has dtype {dtype}, the queue {expected}"
        )));
    }
    let expected = declared.shapes.as_ref().and_then(|shapes| shapes.get(index)).map(expect);
    match expected {
        Some(expected) if expected.merge(shape).is_none() => Err(Error::value(format!(
            "component {index} has shape {shape}, which does not fit the queue's {expected}"
        ))),
        _ => Ok(()),
    }
}

/// Infers the declared shapes of one element.
fn dequeue_shapes(context: &mut ShapeContext<'_>) -> Result<()> {
    set_shapes(context, |shape| shape.clone());
    Ok(())
}

/// Infers the declared shapes with `n` elements in front.
fn dequeue_many_shapes(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = count(context)?;
    set_shapes(context, |shape| PartialShape::from([count]).concat(shape));
    Ok(())
}

/// Infers the declared shapes with an open number of elements in front: a closed queue returns fewer.
fn dequeue_up_to_shapes(context: &mut ShapeContext<'_>) -> Result<()> {
    count(context)?;
    set_shapes(context, |shape| PartialShape::from([None]).concat(shape));
    Ok(())
}

/// Returns the number of elements that are requested, where the graph tells (S-237).
fn count(context: &ShapeContext<'_>) -> Result<Option<usize>> {
    must_be_scalar(context, 1)?;
    let Some(count) = int(context, 1) else { return Ok(None) };
    let count = usize::try_from(count);
    count.map(Some).map_err(|_| Error::value("the number of elements to dequeue must not be negative"))
}

/// Sets the outputs to what `of` makes of the declared shapes, if the queue declares any.
fn set_shapes(context: &mut ShapeContext<'_>, of: impl Fn(&PartialShape) -> PartialShape) {
    let Some(shapes) = declared(context).and_then(|declared| declared.shapes) else { return };
    if shapes.len() == context.outputs() {
        shapes.iter().enumerate().for_each(|(index, shape)| context.set(index, of(shape)));
    }
}
