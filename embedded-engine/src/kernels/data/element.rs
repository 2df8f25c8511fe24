//! Elements: their components, stacked and split.

use crate::kernel::Environment;
use crate::kernels::Moved;
use crate::kernels::variant_batch::{self, Variants};
use session_core::{Error, PartialShape, Result};
use tensor::{BufferPool, DType, Shape, Tensor, memory};

/// The components of an element in their order.
pub(super) type Element = Vec<Tensor>;

/// The row of a component, without the dimension of rows.
pub(super) fn row(component: &Tensor, number: usize) -> Result<Tensor> {
    if let Some(variants) = Variants::of(component) {
        return variants.row(number);
    }
    let inner = component.shape().dims().get(1..).map(Shape::new).unwrap_or_default();
    Ok(component.rows(number, number + 1)?.reshaped(inner)?)
}

/// Returns the number of rows of a component.
pub(super) fn rows(component: &Tensor) -> Option<usize> {
    match Variants::of(component) {
        Some(variants) => variants.rows(),
        None => component.shape().dims().first().copied(),
    }
}

/// Elements of equal shapes under a new first dimension (D-13).
pub(super) fn stack(elements: &[Element], environment: &Environment) -> Result<Element> {
    let components = elements.first().map_or(0, Vec::len);
    (0..components)
        .map(|component| {
            let parts: Vec<&Tensor> = elements.iter().filter_map(|element| element.get(component)).collect();
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

/// Tensors of one dtype and shape under a new first dimension.
fn stacked(parts: &[&Tensor], buffers: &BufferPool) -> Result<Tensor> {
    let (dtype, inner) = (parts[0].dtype(), parts[0].shape());
    if parts.iter().any(|part| part.dtype() != dtype) {
        return Err(Error::invalid_argument("elements of different types cannot be put into one batch"));
    }
    if dtype == DType::Variant {
        return variant_batch::stack(parts);
    }
    let shape: Shape = [parts.len()].into_iter().chain(inner.iter().copied()).collect();
    let size = inner.elements();
    for_dtype!(moved dtype, T => <T as Filled>::filled(buffers, dtype, shape, |target| {
        for (part, target) in parts.iter().zip(target.chunks_exact_mut(size.max(1))) {
            target.clone_from_slice(<T as Moved>::elements(part)?);
        }
        Ok(())
    }))
}

/// New tensors of elements that are only moved.
pub(super) trait Filled: Moved {
    fn filled(
        buffers: &BufferPool,
        dtype: DType,
        shape: Shape,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<Tensor>;
}

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

/// Checks types and shapes against what is expected (D-21).
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

/// TensorFlow's name for a dtype in its messages.
pub(in crate::kernels) fn name(dtype: DType) -> &'static str {
    match dtype {
        DType::Float16 => "half",
        DType::Float32 => "float",
        DType::Float64 => "double",
        other => other.name(),
    }
}

/// Checks an element against what is expected of it (D-22).
pub(super) fn check(types: &[DType], shapes: &[PartialShape], element: &[Tensor]) -> Result<()> {
    let fits = |(tensor, (dtype, shape)): (&Tensor, (&DType, &PartialShape))| {
        let has_shape = dtype.is_plain() || *dtype == DType::String;
        tensor.dtype() == *dtype && (!has_shape || shape.is_compatible_with(tensor.shape().dims()))
    };
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
