//! How a call ended.

use super::Native;
use super::api::TfStatus;
use session_core::{Code, Error, Result};
use std::ffi::CStr;

/// A status that calls write to.
pub(crate) struct Status {
    api: Native,
    pointer: *mut TfStatus,
}

impl Status {
    pub(crate) fn new(api: Native) -> Status {
        // SAFETY: makes a new status, owned here.
        Status { api, pointer: unsafe { (api.TF_NewStatus)() } }
    }

    pub(crate) fn as_ptr(&mut self) -> *mut TfStatus {
        self.pointer
    }

    /// What the last call reported, with TensorFlow's text.
    pub(crate) fn check(&self) -> Result<()> {
        // SAFETY: the pointer is this status; the text is copied before anything else can write it.
        let (code, message) = unsafe {
            let code = (self.api.TF_GetCode)(self.pointer);
            let Some(code) = Code::from_number(code) else { return Ok(()) };
            (code, CStr::from_ptr((self.api.TF_Message)(self.pointer)).to_string_lossy().into_owned())
        };
        Err(Error::new(code, message))
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { (self.api.TF_DeleteStatus)(self.pointer) }
    }
}
