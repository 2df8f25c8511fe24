//! Elements: their components, stacked and split.
//!
//! Components are tensors of any dtype. Sparse and ragged tensors, datasets and optionals are variants;
//! several variants in one component are a `Variants` value, which has a shape of its own, so the functions
//! here ask `variant_batch` for shapes of components instead of the tensor.

use crate::kernel::Environment;
use crate::kernels::Moved;
use crate::kernels::array::outside;
use crate::kernels::variant_batch::{self, Variants};
use compute::Pool;
use compute::elementwise::layout::{self, GatherShape};
use session_core::{Error, PartialShape, Result};
use tensor::{BufferPool, DType, Shape, Tensor, memory};

/// The components of an element in their order. Nesting exists only in the client, so this list is flat
/// (D-8).
pub(super) type Element = Vec<Tensor>;

/// Returns a row of a component, without the dimension of rows: of shape `[8, 2]`, a row has shape `[2]`.
///
/// Plain tensors share the memory of the component. `number` must be below [`rows`]; otherwise the error of
/// the tensor is returned.
pub(super) fn row(component: &Tensor, number: usize) -> Result<Tensor> {
    if let Some(variants) = Variants::of(component) {
        return variants.row(number);
    }
    let inner = component.shape().dims().get(1..).map(Shape::new).unwrap_or_default();
    Ok(component.rows(number, number + 1)?.reshaped(inner)?)
}

/// Returns the size of the first dimension of a component, or `None` for a scalar.
pub(super) fn rows(component: &Tensor) -> Option<usize> {
    match Variants::of(component) {
        Some(variants) => variants.rows(),
        None => component.shape().dims().first().copied(),
    }
}

/// Stacks elements of equal shapes under a new first dimension, component by component: two elements
/// `([3], [])` become one of shapes `([2, 3], [2])`.
///
/// Copies each component once, into memory of the session's pool. An empty list gives an element without
/// components.
///
/// # Errors
///
/// `InvalidArgument` with TensorFlow's message if two shapes of one component differ (D-13), or two dtypes.
pub(super) fn stack(elements: &[Element], environment: &Environment) -> Result<Element> {
    let components = elements.first().map_or(0, Vec::len);
    (0..components)
        .map(|component| {
            let parts: Vec<&Tensor> = elements.iter().filter_map(|element| element.get(component)).collect();
            // Shapes are compared before any memory is taken for the batch.
            let first = variant_batch::shape_of(parts[0]);
            if let Some(place) = parts.iter().position(|part| variant_batch::shape_of(part) != first) {
                let text = format!(
                    "Cannot batch tensors with different shapes in component {component}. First element had shape {first} and \
                     element {place} had shape {}.",
                    variant_batch::shape_of(parts[place])
                );
                return Err(Error::invalid_argument(text));
            }
            stacked(&parts, &environment.buffers)
        })
        .collect()
}

/// Stacks tensors of one dtype and shape under a new first dimension. `parts` has at least one tensor, and
/// the shapes are known to be equal.
fn stacked(parts: &[&Tensor], buffers: &BufferPool) -> Result<Tensor> {
    let (dtype, inner) = (parts[0].dtype(), parts[0].shape());
    if parts.iter().any(|part| part.dtype() != dtype) {
        return Err(Error::invalid_argument("elements of different types cannot be put into one batch"));
    }
    if dtype == DType::Variant {
        return variant_batch::stack(parts);
    }
    let shape: Shape = [parts.len()].into_iter().chain(inner.iter().copied()).collect();
    // Chunks of size 0 panic; a part without elements then copies nothing.
    let size = inner.elements();
    for_dtype!(moved dtype, T => <T as Filled>::filled(buffers, dtype, shape, |target| {
        for (part, target) in parts.iter().zip(target.chunks_exact_mut(size.max(1))) {
            target.clone_from_slice(<T as Moved>::elements(part)?);
        }
        Ok(())
    }))
}

/// Copies rows of a component in the order of their numbers, under a new first dimension: what [`stack`] makes of
/// [`row`]s. The component is a plain tensor or has strings.
///
/// # Errors
///
/// `InvalidArgument` for a number that is not below [`rows`].
pub(super) fn gather(component: &Tensor, numbers: &[i64], environment: &Environment) -> Result<Tensor> {
    let Some((&rows, inner)) = component.shape().split_first() else {
        return Err(Error::invalid_argument("a scalar has no rows"));
    };
    let shape: Shape = [numbers.len()].into_iter().chain(inner.iter().copied()).collect();
    let sizes = GatherShape { batch: 1, outer: 1, axis: rows, inner: inner.iter().product() };
    let dtype = component.dtype();
    for_dtype!(moved dtype, T => <T as Filled>::filled(&environment.buffers, dtype, shape, |target| {
        // On this thread: the others belong to the steps that use earlier batches.
        layout::gather(&Pool::single(), sizes, <T as Moved>::elements(component)?, numbers, target)
            .map_err(outside)
    }))
}

/// Creates tensors of elements that are only moved, whatever they mean: all dtypes of one size share the
/// code.
pub(super) trait Filled: Moved {
    /// Creates a tensor that `write` fills completely. `write` receives one slice of `shape.elements()`
    /// elements, with default strings or arbitrary numbers in it. An error of `write` drops the tensor.
    fn filled(
        buffers: &BufferPool,
        dtype: DType,
        shape: Shape,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<Tensor>;
}

/// Implements [`Filled`] for plain dtypes, with memory from the session's pool.
macro_rules! bits {
    ($($type:ty),*) => {$(
        impl Filled for $type {
            fn filled(
                buffers: &BufferPool,
                dtype: DType,
                shape: Shape,
                write: impl FnOnce(&mut [Self]) -> Result<()>,
            ) -> Result<Tensor> {
                let mut tensor = Tensor::from_pool_dtype(buffers, dtype, shape)?;
                tensor.write_bits(write).expect("new memory has one owner, its elements the right size")?;
                Ok(tensor)
            }
        }
    )*};
}

bits!(u8, u16, u32, u64, tensor::Complex<f64>);

impl Filled for tensor::Bytes {
    /// Creates a tensor of strings, which are empty before `write`. Strings do not come from the pool.
    fn filled(
        _: &BufferPool,
        _: DType,
        shape: Shape,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<Tensor> {
        let mut strings = memory::filled(tensor::Bytes::new(), shape.elements())?;
        write(&mut strings)?;
        Ok(Tensor::from_strings(strings, shape)?)
    }
}

/// Checks types and shapes against what is expected (D-21): the number of components, then dtypes, then
/// shapes, which must be compatible. Unknown dimensions on either side are compatible with every size.
///
/// # Errors
///
/// `InvalidArgument` with TensorFlow's message for the first component that differs.
pub(super) fn check_types(
    types: &[DType],
    shapes: &[PartialShape],
    found_types: &[DType],
    found_shapes: &[PartialShape],
) -> Result<()> {
    if types.len() != found_types.len() {
        let text = format!(
            "Number of components does not match: expected {} types but got {}.",
            types.len(),
            found_types.len()
        );
        return Err(Error::invalid_argument(text));
    }
    if let Some(place) = types.iter().zip(found_types).position(|(expected, found)| expected != found) {
        let text = format!(
            "Data type mismatch at component {place}: expected {} but got {}.",
            name(types[place]),
            name(found_types[place])
        );
        return Err(Error::invalid_argument(text));
    }
    let differs = |(expected, found): (&PartialShape, &PartialShape)| expected.merge(found).is_none();
    if let Some(place) = shapes.iter().zip(found_shapes).position(differs) {
        let text = format!(
            "Incompatible shapes at component {place}: expected {} but got {}.",
            shapes[place], found_shapes[place]
        );
        return Err(Error::invalid_argument(text));
    }
    Ok(())
}

/// Returns TensorFlow's name for a dtype in its messages, which has C's names for floating-point numbers.
pub(in crate::kernels) fn name(dtype: DType) -> &'static str {
    match dtype {
        DType::Float16 => "half",
        DType::Float32 => "float",
        DType::Float64 => "double",
        other => other.name(),
    }
}

/// Checks an element against the dtypes and shapes that an operation declares (D-22). The element has left
/// the iterator by then, so an error loses it.
///
/// Shapes of variants are not compared: one variant component may stand for several values.
pub(super) fn check(types: &[DType], shapes: &[PartialShape], element: &[Tensor]) -> Result<()> {
    let fits = |(tensor, (dtype, shape)): (&Tensor, (&DType, &PartialShape))| {
        let has_shape = dtype.is_plain() || *dtype == DType::String;
        tensor.dtype() == *dtype && (!has_shape || shape.is_compatible_with(tensor.shape().dims()))
    };
    // The common case allocates nothing; the error is formed from types and shapes afterwards.
    let pairs = types.iter().zip(shapes);
    if types.len() == element.len() && element.iter().zip(pairs).all(fits) {
        return Ok(());
    }
    let found_types: Vec<DType> = element.iter().map(Tensor::dtype).collect();
    let shape = |(tensor, expected): (&Tensor, &PartialShape)| match tensor.dtype() {
        // To the graph a list of variants has a shape, which the value does not keep.
        DType::Variant | DType::Resource => expected.clone(),
        _ => tensor.shape().iter().map(|&size| Some(size)).collect(),
    };
    let found_shapes: Vec<PartialShape> = element.iter().zip(shapes).map(shape).collect();
    check_types(types, shapes, &found_types, &found_shapes)
}
