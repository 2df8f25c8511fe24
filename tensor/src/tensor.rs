//! The tensor itself.

use crate::buffer::{self, Buffer, BufferPool};
use crate::{Bits, DType, Element, Shape, TensorError, memory};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

type Result<T> = std::result::Result<T, TensorError>;

/// An immutable multi-dimensional array on the host: a dtype, a shape and shared elements in row-major
/// order. Cloning copies a reference, never elements.
///
/// A sole owner may write through [`as_mut_slice`](Tensor::as_mut_slice); everybody else writes by
/// making a new tensor. So a clone is a snapshot: nothing changes under it.
///
/// ```
/// use tensor::Tensor;
/// let a = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
/// assert_eq!(a.shape().dims(), [2, 2]);
/// assert_eq!(a.as_slice::<f32>()?[3], 4.0);
/// assert_eq!(a.rows(1, 2)?.as_slice::<f32>()?, [3.0, 4.0]);
/// # Ok::<(), tensor::TensorError>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    storage: Storage,
}

#[derive(Clone)]
enum Storage {
    /// The elements of a plain dtype from `offset` on; as many as the shape says, aligned for the dtype.
    Plain { buffer: Arc<Buffer>, offset: usize },
    /// One byte string per element, from `offset` on.
    Strings { strings: Arc<Vec<Bytes>>, offset: usize },
    /// The one element of a resource or variant scalar.
    Handle(Arc<dyn Any + Send + Sync>),
}

/// A byte length for this many elements, when it is possible in memory.
pub(crate) fn byte_len(dtype: DType, shape: &Shape) -> Result<usize> {
    shape
        .checked_elements()
        .and_then(|elements| elements.checked_mul(dtype.size()))
        .filter(|&len| len <= isize::MAX as usize / 2)
        .ok_or_else(|| TensorError::TooLarge { shape: shape.clone(), dtype })
}

impl Tensor {
    /// A tensor over the elements of a vector, which are not copied.
    ///
    /// # Errors
    /// [`TensorError::Elements`] when the shape holds another number of elements.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        check_count(&shape, values.len())?;
        Ok(Tensor::plain(T::DTYPE, shape, Buffer::from_vec(values)))
    }

    /// A tensor over a copy of these elements.
    ///
    /// # Errors
    /// As [`from_vec`](Tensor::from_vec).
    pub fn from_slice<T: Element>(values: &[T], shape: impl Into<Shape>) -> Result<Tensor> {
        Tensor::from_vec(values.to_vec(), shape)
    }

    /// A scalar.
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor::plain(T::DTYPE, Shape::scalar(), Buffer::of(value))
    }

    /// A tensor in which every element is `value`, for shapes that the program chooses; [`try_full`](Tensor::try_full) is
    /// for those that come from data.
    ///
    /// # Panics
    /// When the shape does not fit into memory.
    #[must_use]
    pub fn full<T: Element>(value: T, shape: impl Into<Shape>) -> Tensor {
        match Tensor::try_full(value, shape) {
            Ok(tensor) => tensor,
            Err(error) => panic!("{error}"),
        }
    }

    /// A tensor in which every element is `value`.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] and [`TensorError::NoMemory`].
    pub fn try_full<T: Element>(value: T, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        byte_len(T::DTYPE, &shape)?;
        let values =
            memory::filled(value, shape.elements()).map_err(|error| error.of_tensor(&shape, T::DTYPE))?;
        Ok(Tensor::plain(T::DTYPE, shape, Buffer::from_vec(values)))
    }

    /// A tensor of zeros: 0, `false`, or empty strings.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] and [`TensorError::NoMemory`], or [`TensorError::NotPlain`] for resources and variants.
    pub fn zeros(dtype: DType, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if dtype == DType::String {
            return Tensor::full_string(Bytes::new(), shape);
        }
        check_plain(dtype)?;
        let len = byte_len(dtype, &shape)?;
        let buffer = Buffer::zeroed(len).map_err(|error| error.of_tensor(&shape, dtype))?;
        Ok(Tensor::plain(dtype, shape, buffer))
    }

    /// A tensor in which every element is this byte string, of which there is one copy.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] and [`TensorError::NoMemory`].
    pub fn full_string(value: impl Into<Bytes>, shape: impl Into<Shape>) -> Result<Tensor> {
        let (shape, dtype) = (shape.into(), DType::String);
        let Some(count) = shape.checked_elements() else {
            return Err(TensorError::TooLarge { shape, dtype });
        };
        let strings = memory::filled(value.into(), count).map_err(|error| error.of_tensor(&shape, dtype))?;
        Ok(Tensor { dtype, shape, storage: Storage::Strings { strings: Arc::new(strings), offset: 0 } })
    }

    /// A tensor of byte strings.
    ///
    /// # Errors
    /// [`TensorError::Elements`] when the shape holds another number of elements.
    pub fn from_strings<S: Into<Bytes>>(
        strings: impl IntoIterator<Item = S>,
        shape: impl Into<Shape>,
    ) -> Result<Tensor> {
        let shape = shape.into();
        let strings: Vec<Bytes> = strings.into_iter().map(Into::into).collect();
        check_count(&shape, strings.len())?;
        let storage = Storage::Strings { strings: Arc::new(strings), offset: 0 };
        Ok(Tensor { dtype: DType::String, shape, storage })
    }

    /// A scalar byte string.
    #[must_use]
    pub fn string(value: impl Into<Bytes>) -> Tensor {
        let storage = Storage::Strings { strings: Arc::new(vec![value.into()]), offset: 0 };
        Tensor { dtype: DType::String, shape: Shape::scalar(), storage }
    }

    /// A tensor over plain bytes in the machine's byte order, row-major. They are not copied unless
    /// they are not aligned for the dtype; they may be a `Vec<u8>`, `Bytes`, a mapped file.
    ///
    /// # Errors
    /// [`TensorError::NotPlain`], [`TensorError::Elements`] (counted in whole elements) and
    /// [`TensorError::Bool`] for bytes of a bool tensor over 1; [`TensorError::OutOfMemory`].
    pub fn from_bytes<O>(dtype: DType, shape: impl Into<Shape>, bytes: O) -> Result<Tensor>
    where
        O: AsRef<[u8]> + Send + Sync + 'static,
    {
        let shape = shape.into();
        check_plain(dtype)?;
        let expected = byte_len(dtype, &shape)?;
        // The buffer's bytes are checked, not the owner's: nothing binds `as_ref` to answer twice the same.
        let buffer = Buffer::foreign(bytes);
        let found = buffer.bytes();
        if found.len() != expected {
            let found = found.len() / dtype.size();
            return Err(TensorError::Elements { expected: shape.elements(), shape, found });
        }
        if dtype == DType::Bool
            && let Some((position, &value)) = found.iter().enumerate().find(|(_, byte)| **byte > 1)
        {
            return Err(TensorError::Bool { position, value });
        }
        let aligned = (found.as_ptr() as usize).is_multiple_of(dtype.size().min(8));
        let buffer = if aligned { buffer } else { copy_of(found)? };
        Ok(Tensor::plain(dtype, shape, buffer))
    }

    /// A tensor whose memory comes from a pool and goes back to it. **The elements are arbitrary**,
    /// whatever the last user of the memory left (bools are `false`); write all of them.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] and [`TensorError::NoMemory`].
    #[inline]
    pub fn from_pool<T: Element>(pool: &BufferPool, shape: impl Into<Shape>) -> Result<Tensor> {
        Tensor::from_pool_dtype(pool, T::DTYPE, shape.into())
    }

    /// As [`from_pool`](Tensor::from_pool) for a dtype that is known at run time.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`], [`TensorError::NoMemory`], and [`TensorError::NotPlain`] for strings and handles.
    pub fn from_pool_dtype(pool: &BufferPool, dtype: DType, shape: Shape) -> Result<Tensor> {
        check_plain(dtype)?;
        let len = byte_len(dtype, &shape)?;
        let mut buffer = pool.buffer(len).map_err(|error| error.of_tensor(&shape, dtype))?;
        if dtype == DType::Bool {
            buffer.bytes_mut().expect("a pool's memory is writable").fill(0);
        }
        Ok(Tensor::plain(dtype, shape, buffer))
    }

    /// A scalar of dtype [`DType::Resource`] or [`DType::Variant`] that holds any shared value.
    ///
    /// # Panics
    /// When the dtype is another one.
    #[must_use]
    pub fn from_handle<H: Any + Send + Sync>(dtype: DType, handle: Arc<H>) -> Tensor {
        assert!(matches!(dtype, DType::Resource | DType::Variant), "{dtype} is no handle");
        Tensor { dtype, shape: Shape::scalar(), storage: Storage::Handle(handle) }
    }

    /// A vector of strings.
    fn strings(strings: Vec<Bytes>) -> Tensor {
        let shape = Shape::from([strings.len()]);
        let storage = Storage::Strings { strings: Arc::new(strings), offset: 0 };
        Tensor { dtype: DType::String, shape, storage }
    }

    pub(crate) fn plain(dtype: DType, shape: Shape, buffer: Buffer) -> Tensor {
        Tensor { dtype, shape, storage: Storage::Plain { buffer: Arc::new(buffer), offset: 0 } }
    }

    /// The type of the elements.
    #[must_use]
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes along each dimension.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of elements.
    #[must_use]
    #[inline]
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }

    /// Bytes of all elements; for strings the sum of their lengths, for a handle 0.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.storage {
            Storage::Strings { .. } => self.strings_here().iter().map(Bytes::len).sum(),
            _ => self.elements() * self.dtype.size(),
        }
    }

    /// The elements as a slice, row-major.
    ///
    /// # Errors
    /// [`TensorError::DType`] when they are not `T`.
    #[inline]
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        match self.plain_bytes(self.dtype == T::DTYPE, size_of::<T>()) {
            Some(bytes) => Ok(buffer::elements(bytes)),
            None => Err(TensorError::DType { expected: T::DTYPE, found: self.dtype }),
        }
    }

    /// The bytes of the elements, if they are plain and fit.
    fn plain_bytes(&self, fits: bool, size: usize) -> Option<&[u8]> {
        match &self.storage {
            Storage::Plain { buffer, offset } if fits => {
                Some(&buffer.bytes()[*offset..*offset + self.elements() * size])
            }
            _ => None,
        }
    }

    /// As [`plain_bytes`](Tensor::plain_bytes) for writing, if nobody else shows them.
    fn plain_bytes_mut(&mut self, fits: bool, size: usize) -> Option<&mut [u8]> {
        if !fits {
            return None;
        }
        let len = self.elements() * size;
        let Storage::Plain { buffer, offset } = &mut self.storage else { return None };
        Some(&mut Arc::get_mut(buffer)?.bytes_mut()?[*offset..*offset + len])
    }

    /// The elements for writing, when this tensor is the only one that shows their memory and the
    /// memory may be written; otherwise `None`, also when the elements are not `T`.
    #[inline]
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        let bytes = self.plain_bytes_mut(self.dtype == T::DTYPE, size_of::<T>())?;
        Some(buffer::elements_mut(bytes))
    }

    /// The elements of a plain tensor as bits of their size.
    ///
    /// # Errors
    /// [`TensorError::DType`] when the elements have another size than `T`, or no plain bytes.
    #[inline]
    pub fn as_bits<T: Bits>(&self) -> Result<&[T]> {
        match self.plain_bytes(self.dtype.size() == size_of::<T>(), size_of::<T>()) {
            Some(bytes) => Ok(buffer::elements(bytes)),
            None => Err(TensorError::DType { expected: T::DTYPE, found: self.dtype }),
        }
    }

    /// Lets `write` write the elements as bits of their size, where [`as_mut_slice`](Tensor::as_mut_slice) would give
    /// them; otherwise, or when they have another size than `T`, gives `None`. Bools that are not 0 afterwards become
    /// `true`.
    #[inline]
    pub fn write_bits<T: Bits, R>(&mut self, write: impl FnOnce(&mut [T]) -> R) -> Option<R> {
        let fits = self.dtype.size() == size_of::<T>();
        let result = write(buffer::elements_mut(self.plain_bytes_mut(fits, size_of::<T>())?));
        if self.dtype == DType::Bool {
            let bytes = self.plain_bytes_mut(true, 1)?;
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Some(result)
    }

    /// Whether [`as_mut_slice`](Tensor::as_mut_slice) of the right type would give the elements.
    #[must_use]
    #[inline]
    pub fn is_writable(&mut self) -> bool {
        let Storage::Plain { buffer, .. } = &mut self.storage else { return false };
        Arc::get_mut(buffer).is_some_and(|buffer| buffer.bytes_mut().is_some())
    }

    /// The elements for writing; they are copied first, into memory of the pool, when another tensor
    /// shows them too (copy on write).
    ///
    /// # Errors
    /// [`TensorError::DType`] when they are not `T`, and [`TensorError::NoMemory`].
    pub fn make_mut<T: Element>(&mut self, pool: &BufferPool) -> Result<&mut [T]> {
        if self.dtype != T::DTYPE {
            return Err(TensorError::DType { expected: T::DTYPE, found: self.dtype });
        }
        if !self.is_writable() {
            *self = self.copied(pool)?;
        }
        Ok(self.as_mut_slice().expect("a new copy has one owner"))
    }

    /// A copy of a plain tensor in memory of the pool that nothing else shows; strings and handles are
    /// shared.
    ///
    /// # Errors
    /// [`TensorError::NoMemory`].
    pub fn copied(&self, pool: &BufferPool) -> Result<Tensor> {
        let Ok(source) = self.as_bytes() else { return Ok(self.clone()) };
        let mut buffer =
            pool.buffer(source.len()).map_err(|error| error.of_tensor(&self.shape, self.dtype))?;
        buffer.bytes_mut().expect("a pool's memory is writable").copy_from_slice(source);
        Ok(Tensor::plain(self.dtype, self.shape.clone(), buffer))
    }

    /// The bytes of a plain tensor, row-major, in the machine's byte order.
    ///
    /// # Errors
    /// [`TensorError::NotPlain`] for strings and handles.
    pub fn as_bytes(&self) -> Result<&[u8]> {
        match &self.storage {
            Storage::Plain { buffer, offset } => {
                let len = self.elements() * self.dtype.size();
                Ok(&buffer.bytes()[*offset..*offset + len])
            }
            _ => Err(TensorError::NotPlain { dtype: self.dtype }),
        }
    }

    /// The elements of a string tensor, row-major.
    ///
    /// # Errors
    /// [`TensorError::DType`] when it holds something else.
    pub fn as_strings(&self) -> Result<&[Bytes]> {
        match &self.storage {
            Storage::Strings { .. } => Ok(self.strings_here()),
            _ => Err(TensorError::DType { expected: DType::String, found: self.dtype }),
        }
    }

    fn strings_here(&self) -> &[Bytes] {
        match &self.storage {
            Storage::Strings { strings, offset } => &strings[*offset..*offset + self.elements()],
            _ => &[],
        }
    }

    /// The value of a handle, when it is an `H`.
    #[must_use]
    #[inline]
    pub fn as_handle<H: Any + Send + Sync>(&self) -> Option<&H> {
        match &self.storage {
            Storage::Handle(handle) => handle.downcast_ref(),
            _ => None,
        }
    }

    /// The shared value of a handle, when it is an `H`.
    #[must_use]
    pub fn to_handle<H: Any + Send + Sync>(&self) -> Option<Arc<H>> {
        match &self.storage {
            Storage::Handle(handle) => Arc::clone(handle).downcast().ok(),
            _ => None,
        }
    }

    /// The one element of a tensor that has exactly one, whatever its rank.
    ///
    /// # Errors
    /// [`TensorError::NotSingle`] and [`TensorError::DType`].
    #[inline]
    pub fn value<T: Element>(&self) -> Result<T> {
        match self.as_slice()? {
            [value] => Ok(*value),
            _ => Err(TensorError::NotSingle { shape: self.shape.clone() }),
        }
    }

    /// A copy of the elements.
    ///
    /// # Errors
    /// [`TensorError::DType`] when they are not `T`, and [`TensorError::OutOfMemory`].
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        memory::collected(self.as_slice()?.iter().copied())
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`TensorError::Elements`] when that holds another number of elements.
    pub fn reshaped(mut self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        check_count(&shape, self.elements())?;
        self.shape = shape;
        Ok(self)
    }

    /// The entries `start..end` along the first dimension, sharing the elements.
    ///
    /// # Errors
    /// [`TensorError::Rows`] for a scalar or a range outside.
    pub fn rows(&self, start: usize, end: usize) -> Result<Tensor> {
        let Some(&rows) = self.shape.first().filter(|&&rows| start <= end && end <= rows) else {
            return Err(TensorError::Rows { start, end, shape: self.shape.clone() });
        };
        let row = self.elements().checked_div(rows).unwrap_or(0);
        let mut shape = self.shape.to_vec();
        shape[0] = end - start;
        let mut part = self.clone();
        part.shape = shape.into();
        match &mut part.storage {
            Storage::Plain { offset, .. } => *offset += start * row * self.dtype.size(),
            Storage::Strings { offset, .. } => *offset += start * row,
            Storage::Handle(_) => {}
        }
        Ok(part)
    }

    /// Whether two tensors show the same memory at the same place (not whether they are equal).
    #[must_use]
    pub fn is_same(&self, other: &Tensor) -> bool {
        match (&self.storage, &other.storage) {
            (Storage::Plain { buffer: a, offset: i }, Storage::Plain { buffer: b, offset: j }) => {
                Arc::ptr_eq(a, b) && i == j
            }
            (Storage::Strings { strings: a, offset: i }, Storage::Strings { strings: b, offset: j }) => {
                Arc::ptr_eq(a, b) && i == j
            }
            (Storage::Handle(a), Storage::Handle(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

fn check_count(shape: &Shape, found: usize) -> Result<()> {
    match shape.checked_elements() {
        Some(expected) if expected == found => Ok(()),
        _ => Err(TensorError::Elements { expected: shape.elements(), shape: shape.clone(), found }),
    }
}

pub(crate) fn check_plain(dtype: DType) -> Result<()> {
    if dtype.is_plain() { Ok(()) } else { Err(TensorError::NotPlain { dtype }) }
}

pub(crate) fn copy_of(bytes: &[u8]) -> Result<Buffer> {
    let mut copy = Buffer::zeroed(bytes.len())?;
    copy.bytes_mut().expect("new memory is writable").copy_from_slice(bytes);
    Ok(copy)
}

/// Equal dtype, shape and elements. Floats compare as numbers (NaN differs from itself); handles are
/// equal when they are the same one.
impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        if self.dtype != other.dtype || self.shape != other.shape {
            return false;
        }
        macro_rules! compare {
            ($($dtype:ident: $type:ty),*) => {
                match self.dtype {
                    $(DType::$dtype => self.as_slice::<$type>() == other.as_slice::<$type>(),)*
                    DType::String => self.strings_here() == other.strings_here(),
                    DType::Resource | DType::Variant => self.is_same(other),
                    _ => self.as_bytes() == other.as_bytes(),
                }
            };
        }
        compare!(
            Float32: f32, Float64: f64, Float16: half::f16, BFloat16: half::bf16,
            Complex64: num_complex::Complex<f32>, Complex128: num_complex::Complex<f64>
        )
    }
}

impl<T: Element> From<T> for Tensor {
    fn from(value: T) -> Tensor {
        Tensor::scalar(value)
    }
}

impl<T: Element> From<Vec<T>> for Tensor {
    fn from(values: Vec<T>) -> Tensor {
        let shape = Shape::from([values.len()]);
        Tensor::plain(T::DTYPE, shape, Buffer::from_vec(values))
    }
}

impl<T: Element> From<&[T]> for Tensor {
    fn from(values: &[T]) -> Tensor {
        Tensor::from(values.to_vec())
    }
}

impl<T: Element, const N: usize> From<[T; N]> for Tensor {
    fn from(values: [T; N]) -> Tensor {
        Tensor::from(values.to_vec())
    }
}

impl<T: Element, const N: usize, const M: usize> From<[[T; N]; M]> for Tensor {
    fn from(values: [[T; N]; M]) -> Tensor {
        let buffer = Buffer::from_vec(values.as_flattened().to_vec());
        Tensor::plain(T::DTYPE, Shape::from([M, N]), buffer)
    }
}

impl From<&str> for Tensor {
    fn from(value: &str) -> Tensor {
        Tensor::string(Bytes::copy_from_slice(value.as_bytes()))
    }
}

impl From<String> for Tensor {
    fn from(value: String) -> Tensor {
        Tensor::string(value)
    }
}

/// A vector of strings; so are the following.
impl From<&[&str]> for Tensor {
    fn from(values: &[&str]) -> Tensor {
        Tensor::strings(values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect())
    }
}

impl<const N: usize> From<[&str; N]> for Tensor {
    fn from(values: [&str; N]) -> Tensor {
        Tensor::from(&values[..])
    }
}

impl From<Vec<&str>> for Tensor {
    fn from(values: Vec<&str>) -> Tensor {
        Tensor::from(&values[..])
    }
}

impl From<Vec<String>> for Tensor {
    fn from(values: Vec<String>) -> Tensor {
        Tensor::strings(values.into_iter().map(Bytes::from).collect())
    }
}

impl From<&[String]> for Tensor {
    fn from(values: &[String]) -> Tensor {
        Tensor::from(values.to_vec())
    }
}

impl From<&Tensor> for Tensor {
    fn from(tensor: &Tensor) -> Tensor {
        tensor.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_a_snapshot() {
        let pool = BufferPool::new();
        let mut a = Tensor::from([1i64, 2, 3]);
        let snapshot = a.clone();
        assert!(a.as_mut_slice::<i64>().is_none(), "shared elements are not writable");
        a.make_mut::<i64>(&pool).unwrap()[0] = 9;
        assert_eq!(snapshot.as_slice::<i64>().unwrap(), [1, 2, 3]);
        assert_eq!(a.as_slice::<i64>().unwrap(), [9, 2, 3]);
        assert!(a.is_writable());
    }

    #[test]
    fn bits_are_moved_and_bools_stay_bools() {
        let mut flags = Tensor::from([false, true]);
        assert_eq!(flags.as_bits::<u8>().unwrap(), [0, 1]);
        flags.write_bits::<u8, _>(|bits| bits.copy_from_slice(&[7, 0])).unwrap();
        assert_eq!(flags.as_slice::<bool>().unwrap(), [true, false]);
        assert_eq!(Tensor::from(1.0f32).as_bits::<u32>().unwrap(), [0x3f80_0000]);
        assert!(Tensor::from(1.0f32).as_bits::<u64>().is_err());
        assert!(Tensor::from("text").as_bits::<u8>().is_err());
    }

    #[test]
    fn rows_share_memory() {
        let a = Tensor::from([[1u8, 2], [3, 4], [5, 6]]);
        let b = a.rows(1, 3).unwrap();
        assert_eq!(b.shape(), &[2, 2]);
        assert_eq!(b.as_slice::<u8>().unwrap(), [3, 4, 5, 6]);
        assert!(a.rows(0, 1).unwrap().is_same(&a));
        assert!(matches!(a.rows(2, 4), Err(TensorError::Rows { .. })));
        let strings = Tensor::from_strings(["a", "b", "c"], [3]).unwrap();
        assert_eq!(strings.rows(2, 3).unwrap().as_strings().unwrap(), [Bytes::from("c")]);
    }

    #[test]
    fn bytes_are_checked() {
        assert!(matches!(
            Tensor::from_bytes(DType::Bool, [2], vec![1, 2]),
            Err(TensorError::Bool { position: 1, value: 2 })
        ));
        assert!(matches!(
            Tensor::from_bytes(DType::Int32, [2], vec![0; 7]),
            Err(TensorError::Elements { .. })
        ));
        assert!(matches!(Tensor::from_bytes(DType::String, [0], vec![]), Err(TensorError::NotPlain { .. })));
        let unaligned = Bytes::from(vec![0, 1, 0, 0, 0, 2, 0, 0, 0]).slice(1..);
        let a = Tensor::from_bytes(DType::Int32, [2], unaligned).unwrap();
        assert_eq!(a.as_slice::<i32>().unwrap(), [1, 2]);
    }
}
