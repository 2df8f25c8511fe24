//! Arrays of tensors that a step writes and reads by index, and the arrays of their gradients.
//!
//! Unlike a tensor list, an array is a shared object that its operations change. Their order follows from the
//! *flow*, a number without meaning that each write passes on. The array of gradients is found by the array
//! and the name of the `gradients` call (`source`): all reads of the forward pass write their gradients into
//! the same one, which adds them up.
//!
//! # Semantics
//!
//! | op | inputs | result |
//! | --- | --- | --- |
//! | `TensorArrayV3` | size | handle and flow; attributes below |
//! | `TensorArrayWriteV3` | handle, index, value, flow | flow |
//! | `TensorArrayReadV3` | handle, index, flow | the element |
//! | `TensorArrayGatherV3` | handle, indices, flow | the elements, stacked |
//! | `TensorArrayScatterV3` | handle, indices, value, flow | flow; row n of the value is written to the n-th of the indices |
//! | `TensorArrayConcatV3` | handle, flow | all elements, joined along their first axes, and their lengths (`int64`) |
//! | `TensorArraySplitV3` | handle, value, lengths, flow | flow; piece n is written to index n, and the array has as many elements as there are pieces |
//! | `TensorArraySizeV3` | handle, flow | the size, `int32` |
//! | `TensorArrayCloseV3` | handle | nothing; the elements are dropped |
//! | `TensorArrayGradV3`, `TensorArrayGradWithShape` | handle, flow, (sizes) | the array of gradients and a flow |
//!
//! Attributes: `dynamic_size` (false) lets a write beyond the end make the array longer; `clear_after_read`
//! (true) drops an element when it is read; `identical_element_shapes` (false) makes the first write
//! determine the shape of all. The versions without `V3` are the same; `Pack` and `Unpack` are a gather and a
//! scatter of everything.
//!
//! Errors are `InvalidArgument` with the name of the array: an index outside of it, a second write or a write
//! after a read, a second read of a cleared element, a dtype or shape that does not fit (also those that a
//! read declares), and an unwritten element of unknown shape. An element that was never written reads as
//! zeros if its shape is known, from the array or from what a gather declares.
//!
//! Dtypes are any, strings and variants included; gradients must be numbers or variants that can be added.
//! Everything runs on one thread, and writes add up in the order in which they run.
//!
//! # Examples
//!
//! ```text
//! TensorArrayV3         size 2, of float32
//! TensorArrayScatterV3  indices [1, 0], [[1, 2], [3, 4]]     -> element 0 is [3, 4], element 1 is [1, 2]
//! TensorArrayGatherV3   indices [0, 1]                       -> [[3, 4], [1, 2]]
//! TensorArrayConcatV3                                        -> [3, 4, 1, 2], lengths [2, 2]
//! TensorArraySplitV3    a new one, [1, 2, 3], lengths [1, 2] -> element 0 is [1], element 1 is [2, 3]
//! ```

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::elements::{joined, split, stacked, sum, unstacked};
use crate::kernels::math::boxed;
use crate::kernels::variant_batch::shape_of;
use crate::registry::Registry;
use session_core::{AttrValue, Error, PartialShape, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{DType, Shape, Tensor, memory};

/// One array, which exists as long as the step that made it.
///
/// The lock guards the elements and the table of gradients; sums are computed under it, and nothing else is
/// locked. Handles and arrays of gradients share it.
struct TensorArray {
    /// The name, for messages.
    name: String,
    /// The dtype of the elements.
    dtype: DType,
    /// True if a read drops the element, which is then read once only.
    clear_after_read: bool,
    /// True if all elements have one shape, which the first write determines.
    identical: bool,
    /// True for gradients: an element that is written several times is the sum of the values. Other arrays
    /// refuse a second write.
    ///
    /// Set for arrays of gradients only.
    adds: bool,
    /// The guarded part.
    inner: Mutex<Inner>,
}

/// The guarded part of an array.
struct Inner {
    /// The elements.
    elements: Vec<Element>,
    /// True if a write beyond the end makes the array longer. An array stops growing when its gradients are
    /// first requested.
    grows: bool,
    /// The static shape that each element must fit. With identical shapes, the first write narrows it.
    shape: PartialShape,
    /// The gradient arrays by the `source` of the operation that requests them.
    gradients: BTreeMap<String, Arc<TensorArray>>,
}

/// One element.
#[derive(Clone, Default)]
struct Element {
    /// The value; `None` if it was not written yet or was dropped by a read.
    value: Option<Tensor>,
    /// The shape, known after a write. An element of a gradient has the shape of the forward element from the
    /// beginning, so that it reads as zeros if nothing is written.
    shape: Option<Shape>,
    /// True after a write, also once the value was dropped. Other arrays than those of gradients refuse
    /// another write then.
    written: bool,
    /// True after a read. No write is accepted then: it would come too late for the reader.
    read: bool,
}

/// Registers the op types, of which three generations share their kernels. The older ones have a string as
/// the handle in their definitions, which makes no difference here.
pub(crate) fn register(registry: &mut Registry) {
    registry.add_all(["TensorArrayV3", "TensorArrayV2", "TensorArray"], |spec| {
        let settings = Settings::of(spec)?;
        Ok(boxed(move |context| {
            let array = settings.array(size(context.int(0)?)?)?;
            give(context, Arc::new(array));
            Ok(())
        }))
    });
    registry.add_all(["TensorArrayGradV3", "TensorArrayGradV2", "TensorArrayGrad"], |spec| {
        make_gradient(spec, false)
    });
    registry.add("TensorArrayGradWithShape", |spec| make_gradient(spec, true));
    registry.add_all(["TensorArrayWriteV3", "TensorArrayWriteV2", "TensorArrayWrite"], |_| {
        Ok(boxed(|context| {
            let (index, value) = (context.int(1)?, context.take(2));
            array(context)?.write(context, index, value)?;
            pass_flow(context, 3);
            Ok(())
        }))
    });
    registry.add_all(["TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead"], |spec| {
        let dtype = spec.dtype("dtype")?;
        Ok(boxed(move |context| {
            let value = array_of(context, dtype)?.read(context.int(1)?, None)?;
            context.set(0, value);
            Ok(())
        }))
    });
    registry.add_all(["TensorArrayGatherV3", "TensorArrayGatherV2", "TensorArrayGather"], |spec| {
        let (dtype, shape) = (spec.dtype("dtype")?, shape_attr(spec, "element_shape")?);
        Ok(boxed(move |context| {
            let array = array_of(context, dtype)?;
            gather(context, &array, &context.ints(1)?, &shape)
        }))
    });
    registry.add_all(["TensorArrayScatterV3", "TensorArrayScatterV2", "TensorArrayScatter"], |_| {
        Ok(boxed(scatter))
    });
    registry.add_all(["TensorArrayConcatV3", "TensorArrayConcatV2", "TensorArrayConcat"], |spec| {
        let (dtype, shape) = (spec.dtype("dtype")?, shape_attr(spec, "element_shape_except0")?);
        Ok(boxed(move |context| concat(context, dtype, &shape)))
    });
    registry.add("TensorArrayPack", |spec| {
        let (dtype, shape) = (spec.dtype("dtype")?, shape_attr(spec, "element_shape")?);
        Ok(boxed(move |context| {
            let array = array_of(context, dtype)?;
            // The size is only known when the operation runs.
            let all: Vec<i64> = (0..array.lock().elements.len() as i64).collect();
            gather(context, &array, &all, &shape)
        }))
    });
    registry.add("TensorArrayUnpack", |_| {
        Ok(boxed(|context| {
            let rows = unstacked(context.input(1))?;
            let array = array(context)?;
            // All room at once, so that a failed allocation leaves no element written.
            array.fit(rows.len())?;
            for (index, row) in rows.into_iter().enumerate() {
                array.write(context, index as i64, row)?;
            }
            pass_flow(context, 2);
            Ok(())
        }))
    });
    registry.add_all(["TensorArraySplitV3", "TensorArraySplitV2", "TensorArraySplit"], |_| {
        Ok(boxed(|context| {
            let pieces = split(context.input(1), &context.ints(2)?)?;
            let array = array(context)?;
            array.fit(pieces.len())?;
            let size = array.lock().elements.len();
            if size != pieces.len() {
                let text = format!("{} lengths for an array of size {size}", pieces.len());
                return Err(array.error(&text));
            }
            for (index, piece) in pieces.into_iter().enumerate() {
                array.write(context, index as i64, piece)?;
            }
            pass_flow(context, 3);
            Ok(())
        }))
    });
    registry.add_all(["TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize"], |_| {
        Ok(boxed(|context| {
            let size = array(context)?.lock().elements.len();
            context.set_count(size);
            Ok(())
        }))
    });
    registry.add_all(["TensorArrayCloseV3", "TensorArrayCloseV2", "TensorArrayClose"], |_| {
        Ok(boxed(|context| {
            let array = array(context)?;
            let elements = std::mem::take(&mut array.lock().elements);
            drop(elements);
            Ok(())
        }))
    });
}

/// The attributes of an array's operation, from which each run of it makes a new array.
struct Settings {
    /// The name, for messages.
    name: String,
    /// The dtype of the elements.
    dtype: DType,
    /// The static shape of the elements.
    shape: PartialShape,
    /// True if a write beyond the end makes the array longer.
    grows: bool,
    /// True if a read drops the element.
    clear_after_read: bool,
    /// True if all elements have one shape.
    identical: bool,
}

impl Settings {
    /// Reads the attributes. Those that the first releases did not have take their defaults.
    fn of(spec: &NodeSpec<'_>) -> Result<Settings> {
        let name = spec.str("tensor_array_name").unwrap_or_default();
        let name = if name.is_empty() { spec.operation.name() } else { name };
        Ok(Settings {
            name: name.to_owned(),
            dtype: spec.dtype("dtype")?,
            shape: shape_attr(spec, "element_shape")?,
            grows: spec.bool("dynamic_size").unwrap_or(false),
            clear_after_read: spec.bool("clear_after_read").unwrap_or(true),
            identical: spec.bool("identical_element_shapes").unwrap_or(false),
        })
    }

    /// Makes an array of `size` unwritten elements.
    fn array(&self, size: usize) -> Result<TensorArray> {
        let inner = Inner {
            elements: memory::filled(Element::default(), size)?,
            grows: self.grows,
            shape: self.shape.clone(),
            gradients: BTreeMap::new(),
        };
        Ok(TensorArray {
            name: self.name.clone(),
            dtype: self.dtype,
            clear_after_read: self.clear_after_read,
            identical: self.identical,
            adds: false,
            inner: Mutex::new(inner),
        })
    }
}

/// Returns an attribute that is a shape; an absent one is an unknown shape.
fn shape_attr(spec: &NodeSpec<'_>, name: &str) -> Result<PartialShape> {
    match spec.operation.attr(name) {
        Some(AttrValue::Shape(shape)) => Ok(shape.clone()),
        None => Ok(PartialShape::unknown()),
        Some(_) => Err(Error::value(format!("attribute '{name}' is not a shape"))),
    }
}

/// Converts a size, which must be from 0 to the largest `int32`.
fn size(size: i64) -> Result<usize> {
    let small = usize::try_from(size).ok().filter(|&size| size <= i32::MAX as usize);
    small.ok_or_else(|| Error::invalid_argument(format!("Size should be >= 0, got {size}")))
}

/// Sets the outputs of an operation that creates an array: its handle, and the flow, which is 0. The
/// operations of TensorFlow's first releases have no flow there.
fn give(context: &mut KernelContext<'_>, array: Arc<TensorArray>) {
    context.set(0, Tensor::from_handle(DType::Resource, array));
    if context.num_outputs() > 1 {
        context.set(1, Tensor::from(0f32));
    }
}

/// Returns the flow, input `input`, as output 0. Its value means nothing: the edge makes what follows wait
/// for the change.
fn pass_flow(context: &mut KernelContext<'_>, input: usize) {
    let flow = context.take(input);
    context.set(0, flow);
}

/// Returns the array of input 0.
fn array(context: &KernelContext<'_>) -> Result<Arc<TensorArray>> {
    context.shared_handle(0, "a TensorArray")
}

/// Returns the array of input 0, whose elements must have the dtype that the operation declares.
fn array_of(context: &KernelContext<'_>, dtype: DType) -> Result<Arc<TensorArray>> {
    let array = array(context)?;
    if array.dtype != dtype {
        return Err(array.error(&format!("a read of {dtype} from an array of {}", array.dtype)));
    }
    Ok(array)
}

/// Makes the kernel that returns the array of gradients, and creates it at the first request of a `source`.
/// With `with_shape`, input 2 has sizes that gradients have in front of those of the elements.
fn make_gradient(spec: &NodeSpec<'_>, with_shape: bool) -> Result<Box<dyn crate::kernel::Kernel>> {
    let source = spec.str("source")?.to_owned();
    Ok(boxed(move |context| {
        let of = array(context)?;
        let before = if with_shape { context.ints(2)? } else { Vec::new() };
        let before: Vec<usize> = before.into_iter().map(size).collect::<Result<_>>()?;
        // The lock ends before the output is set.
        let gradient = {
            let mut inner = of.lock();
            // The array of gradients is created with the size of now, so the array must not grow any more.
            inner.grows = false;
            // Under the lock: two reads that request the array at the same time must get the same one.
            match inner.gradients.get(&source).cloned() {
                Some(made) => made,
                None => {
                    let made = Arc::new(of.gradient(&inner, &source, &before)?);
                    inner.gradients.insert(source.clone(), made.clone());
                    made
                }
            }
        };
        give(context, gradient);
        Ok(())
    }))
}

impl TensorArray {
    /// Locks the elements and gradients.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the array of gradients, of the same size, with the shapes of the elements written so far.
    /// `inner` is the locked part of `self`.
    fn gradient(&self, inner: &Inner, source: &str, before: &[usize]) -> Result<TensorArray> {
        let longer = |shape: &Shape| -> Shape { before.iter().chain(shape.iter()).copied().collect() };
        let element =
            |element: &Element| Element { shape: element.shape.as_ref().map(longer), ..Element::default() };
        let shape = PartialShape::from(before).concat(&inner.shape);
        let gradients = Inner {
            elements: memory::collected(inner.elements.iter().map(element))?,
            grows: false,
            shape,
            gradients: BTreeMap::new(),
        };
        Ok(TensorArray {
            name: format!("{}@{source}", self.name),
            dtype: self.dtype,
            clear_after_read: true,
            identical: self.identical,
            adds: true,
            inner: Mutex::new(gradients),
        })
    }

    /// Returns an `InvalidArgument` error that names the array.
    fn error(&self, text: &str) -> Error {
        Error::invalid_argument(format!("TensorArray {}: {text}", self.name))
    }

    /// Makes an array that grows at least `count` long; another one stays as it is, and a write beyond its
    /// end fails.
    fn fit(&self, count: usize) -> Result<()> {
        let mut inner = self.lock();
        if inner.grows && inner.elements.len() < count {
            memory::resize(&mut inner.elements, count, Element::default())?;
        }
        Ok(())
    }

    /// Writes an element, or adds to one of a gradient.
    ///
    /// # Errors
    /// See the module. Nothing is written then, except that a failed sum leaves the element without a value.
    fn write(&self, context: &KernelContext<'_>, index: i64, value: Tensor) -> Result<()> {
        if value.dtype() != self.dtype {
            return Err(self.error(&format!("a value of {} in an array of {}", value.dtype(), self.dtype)));
        }
        let mut inner = self.lock();
        let inner = &mut *inner;
        let size = inner.elements.len();
        let place = usize::try_from(index).ok().filter(|&place| place < size || inner.grows);
        let place = place.ok_or_else(|| {
            let text =
                format!("Tried to write to index {index} but array is not resizeable and size is: {size}");
            self.error(&text)
        })?;
        if !inner.shape.is_compatible_with(value.shape()) {
            let text = format!("a value of shape {} where {} is expected", value.shape(), inner.shape);
            return Err(self.error(&text));
        }
        if place >= size {
            if place > i32::MAX as usize {
                return Err(self.error(&format!("Tried to write to index {index}")));
            }
            // Elements in between are unwritten and read as zeros if their shape becomes known.
            memory::resize(&mut inner.elements, place + 1, Element::default())?;
        }
        let element = &mut inner.elements[place];
        if element.read {
            return Err(self.error(&format!(
                "Could not write to TensorArray index {index} because it has already been read"
            )));
        }
        if element.written && !self.adds {
            return Err(self.error(&format!(
                "Could not write to TensorArray index {index} because it has already been written to"
            )));
        }
        // Also for a sum, whose summands have one shape.
        element.shape = Some(value.shape().clone());
        if self.identical {
            inner.shape = PartialShape::from(value.shape());
        }
        element.value = Some(match element.value.take() {
            Some(before) => sum(context, before, &value)?,
            None => value,
        });
        element.written = true;
        Ok(())
    }

    /// Reads an element. One of a gradient that was not written is zeros.
    ///
    /// An element that was read is marked, and dropped if the array clears elements after reads. `declared` is
    /// the shape that an operation expects of elements; it counts for those that were never written.
    fn read(&self, index: i64, declared: Option<&PartialShape>) -> Result<Tensor> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let size = inner.elements.len();
        let place = usize::try_from(index).ok().filter(|&place| place < size);
        let place = place.ok_or_else(|| {
            self.error(&format!("Tried to read from index {index} but array size is: {size}"))
        })?;
        let element = &mut inner.elements[place];
        if element.read && self.clear_after_read {
            return Err(self.error(&format!(
                "Could not read index {index} twice because it was cleared after a previous read (perhaps try setting \
                 clear_after_read = false?)"
            )));
        }
        let value = match &element.value {
            Some(value) => value.clone(),
            // An element that was never written reads as zeros if its shape is known.
            None => {
                let declared = || declared.and_then(|declared| inner.shape.merge(declared)?.to_shape());
                let shape = element.shape.clone().or_else(|| inner.shape.to_shape()).or_else(declared);
                let shape = shape.ok_or_else(|| {
                    self.error(&format!(
                        "Could not read from index {index}: it was not written and its shape is unknown"
                    ))
                })?;
                Tensor::zeros(self.dtype, shape)?
            }
        };
        // Kept also if the value stays: gradients must not change once something has seen them.
        element.read = true;
        if self.clear_after_read {
            element.value = None;
        }
        Ok(value)
    }

    /// Returns an error if an element, or what is left of its shape, does not fit what an operation declares.
    fn check_declared(&self, index: usize, shape: &[usize], declared: &PartialShape) -> Result<()> {
        if declared.is_compatible_with(shape) {
            return Ok(());
        }
        let shape = Shape::new(shape);
        Err(self.error(&format!("{declared} is declared, which does not match {shape} at index {index}")))
    }
}

/// Stacks the elements of some indices in their order. Each counts as read; an index that occurs twice fails
/// if reads clear the element.
fn gather(
    context: &mut KernelContext<'_>,
    array: &TensorArray,
    indices: &[i64],
    declared: &PartialShape,
) -> Result<()> {
    let own = array.lock().shape.clone();
    let expected = own.merge(declared);
    let expected = expected
        .ok_or_else(|| array.error(&format!("{declared} is declared for elements of shape {own}")))?;
    let elements =
        memory::try_collected(indices.iter().map(|&index| array.read(index, Some(&expected)).map(Some)))?;
    for (index, element) in elements.iter().flatten().enumerate() {
        array.check_declared(index, shape_of(element), &expected)?;
    }
    let shape = match elements.first() {
        Some(Some(first)) => first.shape().clone(),
        _ => expected
            .to_shape()
            .ok_or_else(|| array.error("it has no elements, and the shape of elements is not fully known"))?,
    };
    let value = stacked(context, array.dtype, &elements, &shape)?;
    context.set(0, value);
    Ok(())
}

/// Writes row n of input 2 to index n of input 1. Rows are views of the tensor and are not copied.
fn scatter(context: &mut KernelContext<'_>) -> Result<()> {
    let (indices, rows) = (context.ints(1)?, unstacked(context.input(2))?);
    if indices.len() != rows.len() {
        let text = format!("{} indices for {} values", indices.len(), rows.len());
        return Err(Error::invalid_argument(text));
    }
    let array = array(context)?;
    for (index, row) in indices.into_iter().zip(rows) {
        array.write(context, index, row)?;
    }
    pass_flow(context, 3);
    Ok(())
}

/// Joins all elements along their first axes, whose sizes may differ, and returns the sizes as output 1.
///
/// # Errors
/// `InvalidArgument` for a scalar element, elements that differ beyond the first axis or from the declared
/// shape, and an empty array of unknown shape.
fn concat(context: &mut KernelContext<'_>, dtype: DType, declared: &PartialShape) -> Result<()> {
    let array = array_of(context, dtype)?;
    let count = array.lock().elements.len();
    let parts = memory::try_collected((0..count).map(|index| array.read(index as i64, None)))?;
    for (index, part) in parts.iter().enumerate() {
        if let Some(row) = part.shape().get(1..) {
            array.check_declared(index, row, declared)?;
        }
    }
    let rest: Shape = match parts.first() {
        Some(first) => first.shape().iter().skip(1).copied().collect(),
        None => {
            let rest = declared.to_shape().or_else(|| {
                let shape = array.lock().shape.clone();
                shape.rank().and_then(|rank| shape.range(1.min(rank), rank).to_shape())
            });
            rest.ok_or_else(|| array.error("it has no elements, and their shape is not known"))?
        }
    };
    let value = joined(context, array.dtype, &parts, &rest)?;
    let lengths = memory::collected(parts.iter().map(|part| part.shape()[0] as i64))?;
    context.set(0, value);
    context.set(1, Tensor::from(lengths));
    Ok(())
}
