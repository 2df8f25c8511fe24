//! The tensor type.

use crate::buffer::{self, Buffer, BufferPool};
use crate::{Bits, DType, Element, Shape, TensorError, memory};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

type Result<T> = std::result::Result<T, TensorError>;

/// An immutable multidimensional array in host memory: a dtype, a shape, and shared elements in row-major
/// order. Cloning copies a reference, never the elements.
///
/// A sole owner may write through [`as_mut_slice`](Tensor::as_mut_slice); everyone else creates a new tensor.
/// A clone is therefore a snapshot: it never changes.
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
    /// The elements of a plain dtype, starting at `offset`: as many as the shape holds, aligned for the
    /// dtype.
    Plain { buffer: Arc<Buffer>, offset: usize },
    /// One byte string per element, starting at `offset`.
    Strings { strings: Arc<Vec<Bytes>>, offset: usize },
    /// The only element of a resource or variant scalar.
    Handle(Arc<dyn Any + Send + Sync>),
}

/// Returns the byte length of this many elements, if it is possible in memory.
pub(crate) fn byte_len(dtype: DType, shape: &Shape) -> Result<usize> {
    shape
        .checked_elements()
        .and_then(|elements| elements.checked_mul(dtype.size()))
        .filter(|&len| len <= isize::MAX as usize / 2)
        .ok_or_else(|| TensorError::TooLarge { shape: shape.clone(), dtype })
}

impl Tensor {
    /// Creates a tensor over the elements of a vector, without copying them.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let tensor = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(tensor.to_string(), "[[1. 2.]\n [3. 4.]]");
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Elements`] if the shape holds a different number of elements; [`TensorError::TooLarge`].
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        check_count(T::DTYPE, &shape, values.len())?;
        Ok(Tensor::plain(T::DTYPE, shape, Buffer::from_vec(values)))
    }

    /// Creates a tensor over a copy of the elements.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from_slice(&[1, 2], [2])?, Tensor::from([1, 2]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_vec`](Tensor::from_vec).
    pub fn from_slice<T: Element>(values: &[T], shape: impl Into<Shape>) -> Result<Tensor> {
        Tensor::from_vec(values.to_vec(), shape)
    }

    /// Creates a scalar.
    ///
    /// ```
    /// use tensor::{DType, Tensor};
    /// assert_eq!(Tensor::scalar(0.5f32).dtype(), DType::Float32);
    /// ```
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor::plain(T::DTYPE, Shape::scalar(), Buffer::of(value))
    }

    /// Creates a tensor in which every element is `value`, for shapes that the program chooses. Use
    /// [`try_full`](Tensor::try_full) for shapes that come from data.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::full(7, [2]), Tensor::from([7, 7]));
    /// ```
    ///
    /// # Panics
    /// Panics if the shape does not fit into memory.
    #[must_use]
    pub fn full<T: Element>(value: T, shape: impl Into<Shape>) -> Tensor {
        match Tensor::try_full(value, shape) {
            Ok(tensor) => tensor,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates a tensor in which every element is `value`.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert!(Tensor::try_full(0.0f32, [2, 3]).is_ok());
    /// assert!(Tensor::try_full(0.0f32, [1 << 40, 1 << 20]).is_err());
    /// ```
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

    /// Creates a tensor of zeros: 0, `false`, or empty strings.
    ///
    /// ```
    /// use tensor::{DType, Tensor};
    /// assert_eq!(Tensor::zeros(DType::Int32, [2])?, Tensor::from([0, 0]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] and [`TensorError::NoMemory`]; [`TensorError::NotPlain`] for resources and
    /// variants.
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

    /// Creates a tensor in which every element is this byte string, which is stored only once.
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

    /// Creates a tensor of byte strings.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let words = Tensor::from_strings(["a", "b"].map(String::from), [2, 1])?;
    /// assert_eq!(words.shape().dims(), [2, 1]);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Elements`] if the shape holds a different number of elements; [`TensorError::TooLarge`].
    pub fn from_strings<S: Into<Bytes>>(
        strings: impl IntoIterator<Item = S>,
        shape: impl Into<Shape>,
    ) -> Result<Tensor> {
        let shape = shape.into();
        let strings: Vec<Bytes> = strings.into_iter().map(Into::into).collect();
        check_count(DType::String, &shape, strings.len())?;
        let storage = Storage::Strings { strings: Arc::new(strings), offset: 0 };
        Ok(Tensor { dtype: DType::String, shape, storage })
    }

    /// Creates a scalar byte string.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::string(vec![0xff]).as_strings()?[0], [0xff].as_slice());
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    #[must_use]
    pub fn string(value: impl Into<Bytes>) -> Tensor {
        let storage = Storage::Strings { strings: Arc::new(vec![value.into()]), offset: 0 };
        Tensor { dtype: DType::String, shape: Shape::scalar(), storage }
    }

    /// Creates a tensor over plain bytes in the byte order of the machine, row-major. The bytes may be a
    /// `Vec<u8>`, `Bytes`, or a mapped file. They are copied only if they are misaligned for the dtype.
    ///
    /// ```
    /// use tensor::{DType, Tensor};
    /// let bytes = 7i32.to_ne_bytes().to_vec();
    /// assert_eq!(Tensor::from_bytes(DType::Int32, [1], bytes)?, Tensor::from([7]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::NotPlain`]; [`TensorError::Elements`], counted in whole elements; [`TensorError::Bool`]
    /// for bytes over 1 in a bool tensor; [`TensorError::OutOfMemory`].
    pub fn from_bytes<O>(dtype: DType, shape: impl Into<Shape>, bytes: O) -> Result<Tensor>
    where
        O: AsRef<[u8]> + Send + Sync + 'static,
    {
        let shape = shape.into();
        check_plain(dtype)?;
        let expected = byte_len(dtype, &shape)?;
        // The buffer's bytes are checked, not the owner's: `as_ref` may return different bytes each time.
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

    /// Creates a tensor whose memory comes from a pool and returns to it. **The elements are arbitrary**:
    /// whatever the previous user of the memory left (bools are `false`). Write all of them.
    ///
    /// ```
    /// use tensor::{BufferPool, Tensor};
    /// let mut tensor = Tensor::from_pool::<f32>(&BufferPool::new(), [3])?;
    /// tensor.as_mut_slice::<f32>().unwrap().fill(1.0);
    /// assert_eq!(tensor, Tensor::from([1.0f32; 3]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] and [`TensorError::NoMemory`].
    #[inline]
    pub fn from_pool<T: Element>(pool: &BufferPool, shape: impl Into<Shape>) -> Result<Tensor> {
        Tensor::from_pool_dtype(pool, T::DTYPE, shape.into())
    }

    /// Creates a tensor as [`from_pool`](Tensor::from_pool) does, for a dtype known at run time.
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

    /// Creates a scalar of dtype [`DType::Resource`] or [`DType::Variant`] that holds any shared value.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tensor::{DType, Tensor};
    /// let handle = Tensor::from_handle(DType::Resource, Arc::new(7u32));
    /// assert_eq!(handle.as_handle::<u32>(), Some(&7));
    /// ```
    ///
    /// # Panics
    /// Panics if the dtype is a different one.
    #[must_use]
    pub fn from_handle<H: Any + Send + Sync>(dtype: DType, handle: Arc<H>) -> Tensor {
        assert!(matches!(dtype, DType::Resource | DType::Variant), "{dtype} is not a handle");
        Tensor { dtype, shape: Shape::scalar(), storage: Storage::Handle(handle) }
    }

    /// Creates a vector of strings.
    fn strings(strings: Vec<Bytes>) -> Tensor {
        let shape = Shape::from([strings.len()]);
        let storage = Storage::Strings { strings: Arc::new(strings), offset: 0 };
        Tensor { dtype: DType::String, shape, storage }
    }

    pub(crate) fn plain(dtype: DType, shape: Shape, buffer: Buffer) -> Tensor {
        Tensor { dtype, shape, storage: Storage::Plain { buffer: Arc::new(buffer), offset: 0 } }
    }

    /// Returns the dtype of the elements.
    #[must_use]
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the size along each dimension.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the number of elements.
    #[must_use]
    #[inline]
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }

    /// Returns the size of all elements in bytes: for strings the sum of their lengths, for a handle 0.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from([1.0f32, 2.0]).byte_len(), 8);
    /// assert_eq!(Tensor::from(["a", "bcd"]).byte_len(), 4);
    /// ```
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.storage {
            Storage::Strings { .. } => self.strings_here().iter().map(Bytes::len).sum(),
            _ => self.elements() * self.dtype.size(),
        }
    }

    /// Returns the elements as a slice in row-major order.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let tensor = Tensor::from([1.0f32, 2.0]);
    /// assert_eq!(tensor.as_slice::<f32>()?, [1.0, 2.0]);
    /// assert!(tensor.as_slice::<f64>().is_err());
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::DType`] if the elements are not `T`.
    #[inline]
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        match self.plain_bytes(self.dtype == T::DTYPE, size_of::<T>()) {
            Some(bytes) => Ok(buffer::elements(bytes)),
            None => Err(TensorError::DType { expected: T::DTYPE, found: self.dtype }),
        }
    }

    /// Returns the bytes of the elements, if they are plain and match.
    fn plain_bytes(&self, fits: bool, size: usize) -> Option<&[u8]> {
        match &self.storage {
            Storage::Plain { buffer, offset } if fits => {
                Some(&buffer.bytes()[*offset..*offset + self.elements() * size])
            }
            _ => None,
        }
    }

    /// Returns the bytes as [`plain_bytes`](Tensor::plain_bytes) does, for writing, if nothing else shares
    /// them.
    fn plain_bytes_mut(&mut self, fits: bool, size: usize) -> Option<&mut [u8]> {
        if !fits {
            return None;
        }
        let len = self.elements() * size;
        let Storage::Plain { buffer, offset } = &mut self.storage else { return None };
        Some(&mut Arc::get_mut(buffer)?.bytes_mut()?[*offset..*offset + len])
    }

    /// Returns the elements for writing. Returns `None` if another tensor shares the memory, if the memory
    /// must not be written, or if the elements are not `T`.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let mut a = Tensor::from([1, 2]);
    /// a.as_mut_slice::<i32>().unwrap()[0] = 9;
    /// let b = a.clone();
    /// assert!(a.as_mut_slice::<i32>().is_none()); // `b` shares the elements
    /// assert_eq!(b, Tensor::from([9, 2]));
    /// ```
    #[inline]
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        let bytes = self.plain_bytes_mut(self.dtype == T::DTYPE, size_of::<T>())?;
        Some(buffer::elements_mut(bytes))
    }

    /// Returns the elements of a plain tensor as bits of their size.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from([1.0f32]).as_bits::<u32>()?, [0x3f80_0000]);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::DType`] if the elements are not plain bytes or differ from `T` in size.
    #[inline]
    pub fn as_bits<T: Bits>(&self) -> Result<&[T]> {
        match self.plain_bytes(self.dtype.size() == size_of::<T>(), size_of::<T>()) {
            Some(bytes) => Ok(buffer::elements(bytes)),
            None => Err(TensorError::DType { expected: T::DTYPE, found: self.dtype }),
        }
    }

    /// Calls `write` with the elements as bits of their size, under the conditions of
    /// [`as_mut_slice`](Tensor::as_mut_slice). Returns `None` if they are not met or if the elements differ
    /// from `T` in size. Bools that are nonzero afterward become `true`.
    #[inline]
    pub fn write_bits<T: Bits, R>(&mut self, write: impl FnOnce(&mut [T]) -> R) -> Option<R> {
        let result = write(buffer::elements_mut(self.bits_mut(size_of::<T>())?));
        if size_of::<T>() == 1 {
            self.normalize_bools();
        }
        Some(result)
    }

    /// Returns the bytes for writing if elements have this size. Compiled once, for [`write_bits`](Tensor::write_bits) has many instances.
    #[inline(never)]
    fn bits_mut(&mut self, size: usize) -> Option<&mut [u8]> {
        self.plain_bytes_mut(self.dtype.size() == size, size)
    }

    /// Makes bools that are neither 0 nor 1 `true`.
    #[inline(never)]
    fn normalize_bools(&mut self) {
        if self.dtype == DType::Bool
            && let Some(bytes) = self.plain_bytes_mut(true, 1)
        {
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
    }

    /// Returns true if [`as_mut_slice`](Tensor::as_mut_slice) with the right type would return the elements.
    #[must_use]
    #[inline]
    pub fn is_writable(&mut self) -> bool {
        let Storage::Plain { buffer, .. } = &mut self.storage else { return false };
        Arc::get_mut(buffer).is_some_and(|buffer| buffer.bytes_mut().is_some())
    }

    /// Returns the elements for writing. If another tensor shares them, they are first copied into memory of
    /// the pool (copy-on-write).
    ///
    /// ```
    /// use tensor::{BufferPool, Tensor};
    /// let mut a = Tensor::from([1, 2]);
    /// let snapshot = a.clone();
    /// a.make_mut::<i32>(&BufferPool::new())?[0] = 9;
    /// assert_eq!((a, snapshot), (Tensor::from([9, 2]), Tensor::from([1, 2])));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::DType`] if the elements are not `T`; [`TensorError::NoMemory`].
    pub fn make_mut<T: Element>(&mut self, pool: &BufferPool) -> Result<&mut [T]> {
        if self.dtype != T::DTYPE {
            return Err(TensorError::DType { expected: T::DTYPE, found: self.dtype });
        }
        if !self.is_writable() {
            *self = self.copied(pool)?;
        }
        Ok(self.as_mut_slice().expect("a new copy has one owner"))
    }

    /// Copies a plain tensor into memory of the pool that nothing else shares. Strings and handles stay
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

    /// Returns the bytes of a plain tensor, row-major, in the byte order of the machine.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from([7u8, 9]).as_bytes()?, [7, 9]);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
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

    /// Returns the elements of a string tensor in row-major order.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from(["a", "b"]).as_strings()?[1], "b");
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::DType`] if the tensor does not hold strings.
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

    /// Returns the value of a handle, if it is an `H`.
    #[must_use]
    #[inline]
    pub fn as_handle<H: Any + Send + Sync>(&self) -> Option<&H> {
        match &self.storage {
            Storage::Handle(handle) => handle.downcast_ref(),
            _ => None,
        }
    }

    /// Returns the shared value of a handle, if it is an `H`.
    #[must_use]
    pub fn to_handle<H: Any + Send + Sync>(&self) -> Option<Arc<H>> {
        match &self.storage {
            Storage::Handle(handle) => Arc::clone(handle).downcast().ok(),
            _ => None,
        }
    }

    /// Returns the only element of a tensor, whatever its rank.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from([[0.5f32]]).value::<f32>()?, 0.5);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
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

    /// Copies the elements into a vector.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from([[1, 2], [3, 4]]).to_vec::<i32>()?, [1, 2, 3, 4]);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::DType`] if the elements are not `T`; [`TensorError::OutOfMemory`].
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        memory::collected(self.as_slice()?.iter().copied())
    }

    /// Returns the same elements with another shape.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from([1, 2, 3, 4]).reshaped([2, 2])?, Tensor::from([[1, 2], [3, 4]]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Elements`] if the shape holds a different number of elements; [`TensorError::TooLarge`].
    pub fn reshaped(mut self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        check_count(self.dtype, &shape, self.elements())?;
        self.shape = shape;
        Ok(self)
    }

    /// Returns the entries `start..end` along the first dimension, which share the elements.
    ///
    /// ```
    /// use tensor::Tensor;
    /// assert_eq!(Tensor::from([1, 2, 3, 4]).rows(1, 3)?, Tensor::from([2, 3]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Rows`] for a scalar or a range out of bounds.
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

    /// Returns true if two tensors share the same memory at the same place. Equal tensors may not.
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

fn check_count(dtype: DType, shape: &Shape, found: usize) -> Result<()> {
    match shape.checked_elements() {
        Some(expected) if expected == found => Ok(()),
        None if shape.contains(&0) => Err(TensorError::TooLarge { shape: shape.clone(), dtype }),
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

/// Compares dtype, shape, and elements. Floats compare as numbers, so NaN differs from itself. Handles are
/// equal if they are the same handle.
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

/// Creates a vector of strings, as the following conversions do.
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
