//! Conversion of tensors to and from TensorFlow.
//!
//! Tensors above a certain size are passed without a copy in both directions. A fed tensor's memory belongs to our tensor, which
//! TensorFlow keeps alive through a deallocator and never writes to, because it writes in place only to memory that it owns. A
//! fetched tensor's memory belongs to TensorFlow's tensor, which our tensor keeps alive.

use super::Native;
use super::api::{TfString, TfTensor};
use session_core::{Code, Error, Result};
use std::ffi::{c_int, c_void};
use tensor::{Bytes, DType, Shape, Tensor};

/// Below this size in bytes, a copy is cheaper than sharing.
const SHARED_FROM: usize = 1024;
/// The alignment that TensorFlow's kernels require; `TF_NewTensor` copies other tensors anyway.
const ALIGNMENT: usize = 64;

/// A tensor of TensorFlow's.
pub(crate) struct NativeTensor {
    api: Native,
    /// A handle that this value owns. The elements behind it are counted by TensorFlow and may have other
    /// handles.
    pointer: *mut TfTensor,
}

// SAFETY: a handle of a counted, immutable value without an owner's thread.
unsafe impl Send for NativeTensor {}
// SAFETY: only read through `&self`.
unsafe impl Sync for NativeTensor {}

impl Drop for NativeTensor {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { (self.api.TF_DeleteTensor)(self.pointer) }
    }
}

/// The memory of a fetched tensor, as an owner of bytes.
struct Fetched(NativeTensor);

impl AsRef<[u8]> for Fetched {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Returns the error for a tensor for which TensorFlow has no memory.
fn too_large(shape: &Shape) -> Error {
    Error::value(format!("a tensor of shape {shape} is too large for TensorFlow"))
}

/// Returns the sizes as the C API takes them.
fn sizes(shape: &Shape) -> Result<Vec<i64>> {
    shape.dims().iter().map(|&size| i64::try_from(size).map_err(|_| too_large(shape))).collect()
}

impl NativeTensor {
    /// # Safety
    /// The pointer is a tensor that nothing else deletes.
    pub(super) unsafe fn from_raw(api: Native, pointer: *mut TfTensor) -> NativeTensor {
        NativeTensor { api, pointer }
    }

    /// Returns the address, which is valid as long as this value.
    pub(crate) fn as_ptr(&self) -> *mut TfTensor {
        self.pointer
    }

    /// Converts our tensor for TensorFlow.
    ///
    /// # Errors
    /// A value error for a handle of another engine, and for a size beyond 63 bits; `ResourceExhausted` if
    /// TensorFlow has no memory.
    pub(crate) fn new(api: Native, value: &Tensor) -> Result<NativeTensor> {
        match value.dtype() {
            DType::String => NativeTensor::of_strings(api, value),
            DType::Resource | DType::Variant => match value.to_handle::<NativeTensor>() {
                Some(handle) => handle.same(),
                None => Err(Error::value("a handle of another engine means nothing to TensorFlow")),
            },
            _ => NativeTensor::of_plain(api, value),
        }
    }

    /// Creates a tensor of plain elements. From [`SHARED_FROM`] bytes on, and if it is aligned, TensorFlow shares the memory,
    /// which a reference count keeps alive until TensorFlow frees its tensor. Otherwise the elements are copied.
    fn of_plain(api: Native, value: &Tensor) -> Result<NativeTensor> {
        let bytes = value.as_bytes()?;
        let sizes = sizes(value.shape())?;
        let dtype = value.dtype().number();
        if bytes.len() >= SHARED_FROM && (bytes.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
            let owner = Box::into_raw(Box::new(value.clone()));
            // SAFETY: the bytes stay in place and unchanged while `owner` exists, which `release` ends; TensorFlow does
            // not write to memory that it does not own.
            let pointer = unsafe {
                let start = bytes.as_ptr().cast_mut().cast();
                (api.TF_NewTensor)(
                    dtype,
                    sizes.as_ptr(),
                    sizes.len() as c_int,
                    start,
                    bytes.len(),
                    release,
                    owner.cast(),
                )
            };
            return NativeTensor::checked(api, pointer, value.shape());
        }
        // SAFETY: the new tensor has room for these bytes, and is not shared yet.
        let pointer = unsafe {
            let pointer = (api.TF_AllocateTensor)(dtype, sizes.as_ptr(), sizes.len() as c_int, bytes.len());
            if !pointer.is_null() && !bytes.is_empty() {
                let start = (api.TF_TensorData)(pointer).cast::<u8>();
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            }
            pointer
        };
        NativeTensor::checked(api, pointer, value.shape())
    }

    /// Creates a tensor of strings, which TensorFlow copies, because their layout is its own.
    fn of_strings(api: Native, value: &Tensor) -> Result<NativeTensor> {
        let sizes = sizes(value.shape())?;
        let mut elements: Box<[TfString]> = value
            .as_strings()?
            .iter()
            .map(|string| {
                let mut element = TfString::BLANK;
                // SAFETY: initialized, then given a copy of the bytes. A string does not point into itself, so that it
                // may move.
                unsafe {
                    (api.TF_StringInit)(&raw mut element);
                    (api.TF_StringCopy)(&raw mut element, string.as_ptr().cast(), string.len());
                }
                element
            })
            .collect();
        let (start, len) = (elements.as_mut_ptr(), size_of_val(&*elements));
        let owner = Box::into_raw(Box::new(Strings { api, elements }));
        // SAFETY: the elements stay in place while `owner` exists, which `release_strings` ends.
        let pointer = unsafe {
            (api.TF_NewTensor)(
                DType::String.number(),
                sizes.as_ptr(),
                sizes.len() as c_int,
                start.cast(),
                len,
                release_strings,
                owner.cast(),
            )
        };
        NativeTensor::checked(api, pointer, value.shape())
    }

    /// Takes over a new tensor; a null pointer is a lack of memory.
    fn checked(api: Native, pointer: *mut TfTensor, shape: &Shape) -> Result<NativeTensor> {
        if pointer.is_null() {
            return Err(Error::new(
                Code::ResourceExhausted,
                format!("no memory for a tensor of shape {shape}"),
            ));
        }
        Ok(NativeTensor { api, pointer })
    }

    /// Returns another handle with a scalar handle's serialized content.
    /// Feeding a handle hands it over, and the tensor of the program must stay usable for the next run.
    fn same(&self) -> Result<NativeTensor> {
        let bytes = self.bytes();
        // SAFETY: the dtype of a tensor that exists; a scalar has no dimensions to point to.
        let pointer = unsafe {
            let dtype = (self.api.TF_TensorType)(self.pointer);
            (self.api.TF_AllocateTensor)(dtype, std::ptr::null(), 0, bytes.len())
        };
        let copy = NativeTensor::checked(self.api, pointer, &Shape::default())?;
        // SAFETY: a handle is a scalar whose content is plain bytes; the copy has room for them.
        unsafe {
            let start = (self.api.TF_TensorData)(copy.pointer).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        }
        Ok(copy)
    }

    /// Returns the elements as bytes.
    fn bytes(&self) -> &[u8] {
        // SAFETY: data and length of one tensor, which exists as long as the result. An empty tensor may have no data.
        unsafe {
            let start = (self.api.TF_TensorData)(self.pointer);
            let len = (self.api.TF_TensorByteSize)(self.pointer);
            if start.is_null() || len == 0 { &[] } else { std::slice::from_raw_parts(start.cast(), len) }
        }
    }

    /// Returns the shape.
    fn shape(&self) -> Shape {
        // SAFETY: the indices are below the rank.
        unsafe {
            let rank = (self.api.TF_NumDims)(self.pointer);
            (0..rank)
                .map(|index| usize::try_from((self.api.TF_Dim)(self.pointer, index)).unwrap_or(0))
                .collect()
        }
    }

    /// Converts TensorFlow's tensor for us. With `copied` the elements are copied, because TensorFlow may write to them later.
    ///
    /// Strings are always copied, because their layout is TensorFlow's. A resource stays a handle, which can
    /// be fed to the session that it came from.
    ///
    /// # Errors
    /// `Unimplemented` for variants and for a dtype that is unknown here.
    pub(crate) fn into_tensor(self, copied: bool) -> Result<Tensor> {
        // SAFETY: the pointer is a tensor.
        let number = unsafe { (self.api.TF_TensorType)(self.pointer) };
        let Some(dtype) = DType::from_number(number) else {
            return Err(Error::new(
                Code::Unimplemented,
                format!("TensorFlow returned a tensor of dtype {number}"),
            ));
        };
        let shape = self.shape();
        match dtype {
            DType::String => self.to_strings(shape),
            DType::Resource => Ok(Tensor::from_handle(dtype, std::sync::Arc::new(self))),
            DType::Variant => Err(Error::new(Code::Unimplemented, "a variant cannot be fetched")),
            _ if copied => Ok(Tensor::from_bytes(dtype, shape, self.bytes().to_vec())?),
            _ => Ok(Tensor::from_bytes(dtype, shape, Fetched(self))?),
        }
    }

    /// Copies the strings of a tensor.
    fn to_strings(&self, shape: Shape) -> Result<Tensor> {
        let count = shape.elements();
        // SAFETY: a string tensor holds as many strings as its shape has elements.
        let start = unsafe { (self.api.TF_TensorData)(self.pointer) }.cast::<TfString>();
        let string = |index: usize| {
            // SAFETY: below the count; pointer and size are those of one string, whose bytes are copied.
            unsafe {
                let element = start.add(index);
                let len = (self.api.TF_StringGetSize)(element);
                if len == 0 {
                    return Bytes::new();
                }
                let bytes = (self.api.TF_StringGetDataPointer)(element).cast::<u8>();
                Bytes::copy_from_slice(std::slice::from_raw_parts(bytes, len))
            }
        };
        Ok(Tensor::from_strings((0..count).map(string), shape)?)
    }
}

/// The elements of a fed string tensor.
struct Strings {
    api: Native,
    elements: Box<[TfString]>,
}

impl Drop for Strings {
    fn drop(&mut self) {
        for element in &mut self.elements {
            // SAFETY: every element was initialized, and none is used after this.
            unsafe { (self.api.TF_StringDealloc)(element) }
        }
    }
}

/// # Safety
/// `owner` is the leaked box that the tensor was made with; called once.
unsafe extern "C" fn release(_: *mut c_void, _: usize, owner: *mut c_void) {
    // SAFETY: by the contract.
    drop(unsafe { Box::from_raw(owner.cast::<Tensor>()) });
}

/// # Safety
/// As [`release`].
unsafe extern "C" fn release_strings(_: *mut c_void, _: usize, owner: *mut c_void) {
    // SAFETY: by the contract.
    drop(unsafe { Box::from_raw(owner.cast::<Strings>()) });
}
