//! The operations on iterators (D-20 to D-29).
//!
//! # Semantics
//!
//! | op type | inputs | outputs and effect |
//! | --- | --- | --- |
//! | `Iterator`, `IteratorV2` | | the handle of the iterator of `shared_name` or the operation's name |
//! | `OneShotIterator` | | the same; makes its dataset with `dataset_factory` at the first request |
//! | `AnonymousIterator`, also `V2`, `V3` | | a new iterator in each run, with an empty deleter in `V2` |
//! | `MakeIterator` | dataset, iterator | begins at the first element of the dataset |
//! | `DeleteIterator` | iterator, deleter | ends the iterator |
//! | `IteratorGetNext`, `...Sync` | iterator | the components of the next element |
//! | `IteratorGetNextAsOptional` | iterator | an optional, without a value at the end (D-26) |
//! | `IteratorToStringHandle` | iterator | a serialized `ResourceHandleProto` |
//! | `IteratorFromStringHandle`, `V2` | string | the handle of the iterator that it names |
//! | `IteratorGetDevice` | iterator | the name of the CPU device |
//! | `SerializeIterator` | iterator | a variant with dataset and position, without warnings about stateful functions |
//! | `DeserializeIterator` | iterator, variant | moves the iterator to the position |
//!
//! At the end `IteratorGetNext` fails with `OutOfRange` "End of sequence", again in every later step (D-9). An
//! `OutOfRange` of an element itself, such as that of a closed queue in a filter, is `Internal`.
//! The element is checked against the attributes `output_types` and `output_shapes` of the get-next operation
//! after it was taken, so one that does not fit is lost (D-22).
//!
//! Two iterator operations with one `shared_name` must agree in dtypes and shapes. Positions of named
//! iterators are part of each checkpoint (see [`Position`]); those of anonymous ones are not.

use super::ahead::Channel;
use super::build::Node;
use super::dataset::Handle;
use super::element::{self, Element};
use super::iterator::{IteratorResource, Polled, Position};
use crate::kernel::{Ability, Begin, Body, Hold, Kernel, KernelContext, NodeSpec, Wait, gives};
use crate::kernels::math::boxed;
use crate::kernels::optional::Optional;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use crate::resources::Resources;
use prost::Message;
use session_core::{AttrValue, Code, Error, PartialShape, QueueStats, Result};
use std::sync::{Arc, OnceLock};
use tensor::{DType, Tensor};

/// The kind of resource: keeps the names of iterators apart from those of queues or tables.
const KIND: &str = "iterator";

/// The device that string handles name. TensorFlow compares it, so handles have its full form (D-24, D-27).
const DEVICE: &str = "/job:localhost/replica:0/task:0/device:CPU:0";

/// Registers the op types of the table above. Only get-next operations are registered as waiting: others take
/// the iterator for a moment at most.
pub(super) fn register(registry: &mut Registry) {
    for op_type in ["Iterator", "IteratorV2"] {
        registry.add_handle(op_type, |spec| Ok(gives(shared(spec)?.0)));
    }
    registry
        .add("OneShotIterator", |spec| {
            let (tensor, one_shot) = shared(spec)?;
            Ok(Box::new(OneShotMaker { tensor, one_shot }))
        })
        .holds(&["dataset_factory"]);
    for op_type in ["AnonymousIterator", "AnonymousIteratorV2", "AnonymousIteratorV3"] {
        registry.add(op_type, |spec| {
            let node = Node::of(spec.operation)?;
            Ok(boxed(move |context| {
                let iterator =
                    IteratorResource::new("", "anonymous", node.types.clone(), node.shapes.clone());
                context.set(0, Session::new(iterator).into_tensor());
                if context.outputs.len() > 1 {
                    context.set(1, Tensor::from_handle(DType::Variant, Arc::new(())));
                }
                Ok(())
            }))
        });
    }
    // The name becomes the origin of the iterator, to which saved positions are compared.
    registry.add("MakeIterator", |spec| {
        let name = spec.operation.name().to_owned();
        Ok(boxed(move |context| {
            let iterator = iterator(context, 1)?;
            iterator.resource.make(Handle::of(context.input(0))?, &name, &context.caller())
        }))
    });
    registry
        // The iterator may still be in use by another step; it is ended when that step gives it back.
        .add("DeleteIterator", |_| Ok(boxed(|context| iterator(context, 0)?.resource.clear(context.limits))));
    for op_type in ["IteratorGetNext", "IteratorGetNextSync"] {
        registry.add(op_type, |spec| GetNext::make(spec, GetNext::components)).waits();
    }
    registry.add("IteratorGetNextAsOptional", |spec| GetNext::make(spec, GetNext::optional)).waits();
    registry.add("IteratorToStringHandle", |_| {
        Ok(boxed(|context| {
            let iterator = iterator(context, 0)?;
            let IteratorResource { name, container, id, .. } = iterator.resource.as_ref();
            let handle = ResourceHandle {
                device: DEVICE.to_owned(),
                container: container.clone(),
                name: name.clone(),
                hash_code: *id,
                maybe_type_name: "Iterator".to_owned(),
            };
            context.set(0, Tensor::string(handle.encode_to_vec()));
            Ok(())
        }))
    });
    for op_type in ["IteratorFromStringHandle", "IteratorFromStringHandleV2"] {
        registry.add(op_type, |spec| {
            let list = |name: &str| spec.operation.attr(name).cloned().unwrap_or(AttrValue::List(Vec::new()));
            let types = list("output_types").as_types().unwrap_or_default();
            let shapes = list("output_shapes").as_shapes().unwrap_or_default();
            Ok(boxed(move |context| {
                let handle = from_string(context, &types, &shapes)?;
                context.set(0, handle);
                Ok(())
            }))
        });
    }
    for op_type in ["IteratorGetDevice", "ExperimentalIteratorGetDevice"] {
        registry.add(op_type, |_| {
            Ok(boxed(|context| {
                iterator(context, 0)?;
                context.set(0, Tensor::string(DEVICE));
                Ok(())
            }))
        });
    }
    registry.add("SerializeIterator", |_| {
        Ok(boxed(|context| {
            let (dataset, position) = iterator(context, 0)?.resource.position(context.limits)?;
            context.set(0, Tensor::from_handle(DType::Variant, Arc::new(Stand { dataset, position })));
            Ok(())
        }))
    });
    registry.add("DeserializeIterator", |_| {
        Ok(boxed(|context| {
            let stand = context.shared_handle::<Stand>(1, "the position of an iterator")?;
            let iterator = iterator(context, 0)?;
            iterator.resource.go_to(&stand.dataset, &stand.position, &context.caller())
        }))
    });
}

/// The position of an iterator, as a value of the graph. It exists in memory only.
struct Stand {
    /// The dataset of the iterator, for a target that has another one.
    dataset: Handle,
    /// The bytes of the position, in the layout of `iterator.rs`.
    position: Vec<u8>,
}

/// The state behind the handle of an iterator.
struct Session {
    /// The iterator, which a saved position refers to as well.
    resource: Arc<IteratorResource>,
    /// Makes the dataset of one that makes itself. Set by the first run of the `OneShotIterator`, before any
    /// request.
    factory: OnceLock<Arc<dyn Body>>,
}

impl Session {
    /// Makes the state of an iterator without a factory.
    fn new(resource: IteratorResource) -> Session {
        Session { resource: Arc::new(resource), factory: OnceLock::new() }
    }

    /// Returns the handle of an anonymous iterator, which ends with its last handle.
    fn into_tensor(self) -> Tensor {
        Tensor::from_handle(DType::Resource, Arc::new(self))
    }

    /// Returns the next element; blocks the thread until it is made.
    fn next(&self, context: &KernelContext<'_>) -> Result<Option<Element>> {
        self.resource.next(self.factory.get(), &context.caller())
    }

    /// Returns the next element if it is made, or the channel to wait for.
    fn poll(&self, context: &KernelContext<'_>) -> Result<Polled> {
        self.resource.poll(self.factory.get(), &context.caller())
    }
}

/// The kernel of the get-next operations, which take the next element of an iterator.
#[derive(Clone)]
struct GetNext {
    /// The declared dtypes and shapes.
    node: Arc<Node>,
    /// The form of the outputs: components, or one optional.
    deliver: Deliver,
}

/// Delivers an element, or an end, as outputs.
type Deliver = fn(&GetNext, &mut KernelContext<'_>, Option<Element>) -> Result<()>;

impl GetNext {
    /// Makes the kernel of one form.
    fn make(spec: &NodeSpec<'_>, deliver: Deliver) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(GetNext { node: Arc::new(Node::of(spec.operation)?), deliver }))
    }

    /// Sets the outputs to the components of the element. The end is `OutOfRange` "End of sequence".
    fn components(&self, context: &mut KernelContext<'_>, element: Option<Element>) -> Result<()> {
        let element = element.ok_or_else(|| Error::new(Code::OutOfRange, "End of sequence"))?;
        element::check(&self.node.types, &self.node.shapes, &element)?;
        element.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
        Ok(())
    }

    /// Sets the output to an optional, which has no value at the end.
    fn optional(&self, context: &mut KernelContext<'_>, element: Option<Element>) -> Result<()> {
        if let Some(element) = &element {
            element::check(&self.node.types, &self.node.shapes, element)?;
        }
        context.set(0, Tensor::from_handle(DType::Variant, Arc::new(Optional(element))));
        Ok(())
    }
}

impl Kernel for GetNext {
    /// Takes an element where nothing else can run meanwhile, as in a function of a dataset.
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let element = iterator(context, 0)?.next(context)?;
        (self.deliver)(self, context, element)
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Begins(self)
    }
}

impl Begin for GetNext {
    /// Takes an element that is made already, or returns a wait for it.
    fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> {
        let iterator = iterator(context, 0)?;
        match iterator.poll(context)? {
            Polled::Element(element) => (self.deliver)(self, context, element).map(|()| None),
            Polled::Later(channel) => Ok(Some(Box::new(Waiting { take: self.clone(), iterator, channel }))),
        }
    }
}

/// A step that waits for an element. Nothing is taken before it is there, so a step that ends early loses
/// none.
struct Waiting {
    /// The kernel, for the outputs.
    take: GetNext,
    /// The iterator.
    iterator: Arc<Session>,
    /// The channel of the thread that makes the element. An iterator that was initialized meanwhile has
    /// another one; this one is ready then, because its thread has ended.
    channel: Arc<Channel>,
}

impl Wait for Waiting {
    fn is_done(&self) -> bool {
        self.channel.is_ready()
    }

    /// Takes the element and sets the outputs. Blocks in the rare case that another step has taken it.
    fn finish(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        // Another step may have taken what was there; then this one waits here for the element after it.
        let element = self.iterator.next(context)?;
        (self.take.deliver)(&self.take, context, element)
    }

    fn describe(&self) -> String {
        let (name, (made, capacity)) = (&self.iterator.resource.name, self.channel.fill());
        if capacity == 0 {
            return format!("next element of iterator '{name}'");
        }
        format!("next element of iterator '{name}' ({made} of {capacity} made ahead)")
    }
}

/// Returns the iterators of a session that make elements ahead of the steps, as they are at this moment.
pub(crate) fn iterator_stats(resources: &Resources) -> Vec<QueueStats> {
    let iterators = resources.of_kind(KIND);
    let iterators = iterators.iter().filter_map(|handle| handle.as_handle::<Session>());
    iterators.filter_map(|iterator| iterator.resource.stats()).collect()
}

/// Returns the iterator of an input.
fn iterator(context: &KernelContext<'_>, input: usize) -> Result<Arc<Session>> {
    context.shared_handle(input, "an iterator")
}

/// Returns the iterator of an operation's name, kept by the session, and its handle. Registers its position
/// as a state of the operation, under the operation's name.
///
/// # Errors
///
/// `InvalidArgument` if another operation has created it with other dtypes or shapes.
fn shared(spec: &NodeSpec<'_>) -> Result<(Tensor, Arc<Session>)> {
    let Node { types, shapes, .. } = Node::of(spec.operation)?;
    let (container, name) = (spec.str("container").unwrap_or_default(), resource_name(spec));
    // Made once for the session, whichever of its operations runs first.
    let make = || Session::new(IteratorResource::new(container, name, types.clone(), shapes.clone()));
    let tensor = spec.resources.handle(KIND, container, name, make);
    let session = tensor.to_handle::<Session>();
    let session = session.ok_or_else(|| Error::invalid_argument(format!("'{name}' is not an iterator")))?;
    element::check_types(&session.resource.types, &session.resource.shapes, &types, &shapes)?;
    spec.state(|| Position(session.resource.clone()))?;
    Ok((tensor, session))
}

/// The kernel of an iterator that makes its dataset itself when it is first used (D-25).
struct OneShotMaker {
    /// The handle that it outputs.
    tensor: Tensor,
    /// The iterator, to which the factory is given.
    one_shot: Arc<Session>,
}

impl Kernel for OneShotMaker {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        context.set(0, self.tensor.clone());
        Ok(())
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Holds(self)
    }
}

impl Hold for OneShotMaker {
    /// Gives the iterator its factory and outputs the handle; the factory is called by the first request for
    /// an element.
    fn run_with(&self, context: &mut KernelContext<'_>, functions: &[Arc<dyn Body>]) -> Result<()> {
        if let Some(factory) = functions.first() {
            // Kernels of several plans share the iterator; the first factory counts, and all are the same
            // function.
            self.one_shot.factory.get_or_init(|| factory.clone());
        }
        self.run(context)
    }
}

/// TensorFlow's `ResourceHandleProto`: the content of string handles, with TensorFlow's field numbers.
#[derive(Clone, PartialEq, Message)]
struct ResourceHandle {
    /// The device, [`DEVICE`] in all handles of this crate.
    #[prost(string, tag = "1")]
    device: String,
    /// The container, empty by default.
    #[prost(string, tag = "2")]
    container: String,
    /// The name of the iterator in its container.
    #[prost(string, tag = "3")]
    name: String,
    /// The number of the iterator, which no other iterator of the process has.
    #[prost(uint64, tag = "4")]
    hash_code: u64,
    /// The kind of the resource; written as TensorFlow does, and not read.
    #[prost(string, tag = "5")]
    maybe_type_name: String,
}

/// Returns the handle of the iterator of this session that a string names (D-24).
///
/// # Errors
///
/// - `InvalidArgument` for bytes that are no `ResourceHandleProto`, another device, or attributes
///   `output_types` and `output_shapes` that do not fit; empty lists fit everything.
/// - `NotFound` for an iterator of another session, or one that never existed.
fn from_string(context: &KernelContext<'_>, types: &[DType], shapes: &[PartialShape]) -> Result<Tensor> {
    let text = context.input(0).as_strings()?.first().cloned().unwrap_or_default();
    let unparsable = |_| Error::invalid_argument("Could not parse string_handle as a valid ResourceHandle");
    let handle = ResourceHandle::decode(text).map_err(unparsable)?;
    if handle.device != DEVICE {
        let text = format!(
            "Attempted create an iterator on device \"{DEVICE}\" from handle defined on device \"{}\"",
            handle.device
        );
        return Err(Error::invalid_argument(text));
    }
    let found = context.environment.resources.find(KIND, &handle.container, &handle.name);
    let found = found.and_then(|tensor| Some((tensor.to_handle::<Session>()?, tensor)));
    // A handle of a session that has ended may have the same name; the number never is the same.
    let Some((session, tensor)) = found.filter(|(session, _)| session.resource.id == handle.hash_code) else {
        let text = format!(
            "Container localhost does not exist. (Could not find resource: iterator '{}' is of another session)",
            handle.name
        );
        return Err(Error::new(Code::NotFound, text));
    };
    // Empty attributes stand for any elements (D-1).
    if !types.is_empty() {
        element::check_types(types, shapes, &session.resource.types, &session.resource.shapes)?;
    }
    Ok(tensor)
}
