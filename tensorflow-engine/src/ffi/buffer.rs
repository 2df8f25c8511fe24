//! Buffers of bytes that are passed to TensorFlow and received from it.

use super::Native;
use super::api::TfBuffer;

/// A buffer of TensorFlow's, such as a serialized message.
pub(crate) struct Buffer {
    /// The library that owns the buffer.
    api: Native,
    /// The buffer, never null.
    pointer: *mut TfBuffer,
}

// SAFETY: owned memory without an owner's thread.
unsafe impl Send for Buffer {}
// SAFETY: only read through `&self`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Creates an empty buffer to write to.
    pub(crate) fn empty(api: Native) -> Buffer {
        // SAFETY: makes a new buffer, owned here.
        Buffer { api, pointer: unsafe { (api.TF_NewBuffer)() } }
    }

    /// Creates a buffer with a copy of these bytes.
    pub(crate) fn copy_of(api: Native, bytes: &[u8]) -> Buffer {
        // SAFETY: the bytes are copied during the call.
        let pointer = unsafe { (api.TF_NewBufferFromString)(bytes.as_ptr().cast(), bytes.len()) };
        Buffer { api, pointer }
    }

    /// # Safety
    /// The pointer is a buffer that nothing else deletes.
    pub(super) unsafe fn from_raw(api: Native, pointer: *mut TfBuffer) -> Buffer {
        Buffer { api, pointer }
    }

    /// Returns the address to read from.
    pub(crate) fn as_ptr(&self) -> *const TfBuffer {
        self.pointer
    }

    /// Returns the address for a call that writes to the buffer.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut TfBuffer {
        self.pointer
    }

    /// Returns the content.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer is ours and exists as long as the result; data and length belong together, and an empty
        // buffer has no data.
        unsafe {
            let TfBuffer { data, length, .. } = *self.pointer;
            if data.is_null() { &[] } else { std::slice::from_raw_parts(data.cast(), length) }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { (self.api.TF_DeleteBuffer)(self.pointer) }
    }
}
