//! The operations on iterators (D-20 to D-29).

use super::ahead::Channel;
use super::build::Node;
use super::dataset::Handle;
use super::element::{self, Element};
use super::iterator::{IteratorResource, Polled, Position};
use crate::kernel::{Body, Kernel, KernelContext, NodeSpec, Wait, gives};
use crate::kernels::math::boxed;
use crate::kernels::optional::Optional;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use crate::resources::Resources;
use prost::Message;
use session_core::{AttrValue, Code, Error, PartialShape, QueueStats, Result};
use std::sync::{Arc, OnceLock};
use tensor::{DType, Tensor};

/// Keeps the names of iterators apart from those of other resources.
const KIND: &str = "iterator";

const DEVICE: &str = "/job:localhost/replica:0/task:0/device:CPU:0";

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
    registry.add("MakeIterator", |spec| {
        let name = spec.operation.name().to_owned();
        Ok(boxed(move |context| {
            let iterator = iterator(context, 1)?;
            iterator.resource.make(Handle::of(context.input(0))?, &name, &context.caller())
        }))
    });
    registry
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

/// The position of an iterator, as a value of the graph.
struct Stand {
    dataset: Handle,
    position: Vec<u8>,
}

/// The state behind the handle of an iterator.
struct Session {
    resource: Arc<IteratorResource>,
    /// Makes the dataset of one that makes itself.
    factory: OnceLock<Arc<dyn Body>>,
}

impl Session {
    fn new(resource: IteratorResource) -> Session {
        Session { resource: Arc::new(resource), factory: OnceLock::new() }
    }

    fn into_tensor(self) -> Tensor {
        Tensor::from_handle(DType::Resource, Arc::new(self))
    }

    fn next(&self, context: &KernelContext<'_>) -> Result<Option<Element>> {
        self.resource.next(self.factory.get(), &context.caller())
    }

    fn poll(&self, context: &KernelContext<'_>) -> Result<Polled> {
        self.resource.poll(self.factory.get(), &context.caller())
    }
}

/// The kernel of `IteratorGetNext`, which takes the next element of an iterator.
#[derive(Clone)]
struct GetNext {
    node: Arc<Node>,
    deliver: Deliver,
}

/// Delivers an element, or an end, as outputs.
type Deliver = fn(&GetNext, &mut KernelContext<'_>, Option<Element>) -> Result<()>;

impl GetNext {
    fn make(spec: &NodeSpec<'_>, deliver: Deliver) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(GetNext { node: Arc::new(Node::of(spec.operation)?), deliver }))
    }

    fn components(&self, context: &mut KernelContext<'_>, element: Option<Element>) -> Result<()> {
        let element = element.ok_or_else(|| Error::new(Code::OutOfRange, "End of sequence"))?;
        element::check(&self.node.types, &self.node.shapes, &element)?;
        element.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
        Ok(())
    }

    fn optional(&self, context: &mut KernelContext<'_>, element: Option<Element>) -> Result<()> {
        if let Some(element) = &element {
            element::check(&self.node.types, &self.node.shapes, element)?;
        }
        context.set(0, Tensor::from_handle(DType::Variant, Arc::new(Optional(element))));
        Ok(())
    }
}

impl Kernel for GetNext {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let element = iterator(context, 0)?.next(context)?;
        (self.deliver)(self, context, element)
    }

    fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> {
        let iterator = iterator(context, 0)?;
        match iterator.poll(context)? {
            Polled::Element(element) => (self.deliver)(self, context, element).map(|()| None),
            Polled::Later(channel) => Ok(Some(Box::new(Waiting { take: self.clone(), iterator, channel }))),
        }
    }
}

/// A step that waits for an element. Nothing is taken before it is there.
struct Waiting {
    take: GetNext,
    iterator: Arc<Session>,
    channel: Arc<Channel>,
}

impl Wait for Waiting {
    fn is_done(&self) -> bool {
        self.channel.is_ready()
    }

    fn finish(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        // Another step may have taken what was there; then this one waits here for the element after it.
        let element = self.iterator.next(context)?;
        (self.take.deliver)(&self.take, context, element)
    }

    fn describe(&self) -> String {
        let (made, capacity) = self.channel.fill();
        format!(
            "next element of iterator '{}' ({made} of {capacity} made ahead)",
            self.iterator.resource.name
        )
    }
}

/// Returns the iterators of a session that make elements ahead of the steps, as they are at this moment.
pub(crate) fn iterator_stats(resources: &Resources) -> Vec<QueueStats> {
    let iterators = resources.of_kind(KIND);
    let iterators = iterators.iter().filter_map(|handle| handle.as_handle::<Session>());
    iterators.filter_map(|iterator| iterator.resource.stats()).collect()
}

fn iterator(context: &KernelContext<'_>, input: usize) -> Result<Arc<Session>> {
    context.shared_handle(input, "an iterator")
}

/// The iterator of an operation's name, kept by the session.
fn shared(spec: &NodeSpec<'_>) -> Result<(Tensor, Arc<Session>)> {
    let Node { types, shapes, .. } = Node::of(spec.operation)?;
    let (container, name) = (spec.str("container").unwrap_or_default(), resource_name(spec));
    let make = || Session::new(IteratorResource::new(container, &name, types.clone(), shapes.clone()));
    let tensor = spec.resources.handle(KIND, container, &name, make);
    let session = tensor.to_handle::<Session>();
    let session = session.ok_or_else(|| Error::invalid_argument(format!("'{name}' is not an iterator")))?;
    element::check_types(&session.resource.types, &session.resource.shapes, &types, &shapes)?;
    spec.state(|| Position(session.resource.clone()))?;
    Ok((tensor, session))
}

/// An iterator that makes its dataset itself when it is first used (D-25).
struct OneShotMaker {
    tensor: Tensor,
    one_shot: Arc<Session>,
}

impl Kernel for OneShotMaker {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        context.set(0, self.tensor.clone());
        Ok(())
    }

    fn run_with(&self, context: &mut KernelContext<'_>, functions: &[Arc<dyn Body>]) -> Result<()> {
        if let Some(factory) = functions.first() {
            self.one_shot.factory.get_or_init(|| factory.clone());
        }
        self.run(context)
    }
}

/// TensorFlow's `ResourceHandleProto`.
#[derive(Clone, PartialEq, Message)]
struct ResourceHandle {
    #[prost(string, tag = "1")]
    device: String,
    #[prost(string, tag = "2")]
    container: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(uint64, tag = "4")]
    hash_code: u64,
    #[prost(string, tag = "5")]
    maybe_type_name: String,
}

/// The iterator of this session that a string names (D-24).
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
    let Some((session, tensor)) = found.filter(|(session, _)| session.resource.id == handle.hash_code) else {
        let text = format!(
            "Container localhost does not exist. (Could not find resource: iterator '{}' is of another session)",
            handle.name
        );
        return Err(Error::new(Code::NotFound, text));
    };
    if !types.is_empty() {
        element::check_types(types, shapes, &session.resource.types, &session.resource.shapes)?;
    }
    Ok(tensor)
}
