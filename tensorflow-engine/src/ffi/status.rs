//! The results of calls into TensorFlow, as errors with a code and a message.

use super::Native;
use super::api::TfStatus;
use session_core::{Code, Error, Result};
use std::ffi::{CStr, CString};

/// A status that calls write to.
pub(crate) struct Status {
    api: Native,
    /// The status, never null. Each call that takes it overwrites it.
    pointer: *mut TfStatus,
}

impl Status {
    /// Creates a status, which is a success until a call sets it.
    pub(crate) fn new(api: Native) -> Status {
        // SAFETY: makes a new status, owned here.
        Status { api, pointer: unsafe { (api.TF_NewStatus)() } }
    }

    /// Returns the address for a call that sets the status.
    pub(crate) fn as_ptr(&mut self) -> *mut TfStatus {
        self.pointer
    }

    /// Sets an error to report to TensorFlow.
    pub(crate) fn set(&mut self, error: &Error) {
        // The text ends at a zero, as everywhere in C.
        let text = CString::new(error.message().replace('\0', " ")).unwrap_or_default();
        // SAFETY: the pointer is this status; the text is copied.
        unsafe { (self.api.TF_SetStatus)(self.pointer, error.code().number(), text.as_ptr()) }
    }

    /// Fails with TensorFlow's message if the last call failed.
    pub(crate) fn check(&self) -> Result<()> {
        // SAFETY: the pointer is this status; the text is copied before anything else can write it.
        let (code, message) = unsafe {
            let code = (self.api.TF_GetCode)(self.pointer);
            let Some(code) = Code::from_number(code) else { return Ok(()) };
            (code, CStr::from_ptr((self.api.TF_Message)(self.pointer)).to_string_lossy().into_owned())
        };
        Err(Error::new(root_code(code, &message), in_one_line(&message)))
    }
}

/// Joins the lines of a message, because an error is one line.
fn in_one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.trim_matches('=').is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// Returns the most significant code of a run that failed in several places. TensorFlow reports the first failure and lists all of
/// them: a transfer that was cancelled because its peer is gone may precede the report about the peer, and only the latter shows
/// that a new session helps.
fn root_code(code: Code, message: &str) -> Code {
    if code != Code::Cancelled {
        return code;
    }
    let listed = |name: &str| message.lines().any(|line| line.trim_start().starts_with(name));
    match () {
        () if listed("ABORTED: ") => Code::Aborted,
        () if listed("UNAVAILABLE: ") => Code::Unavailable,
        () => code,
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { (self.api.TF_DeleteStatus)(self.pointer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_transfer_is_replaced_by_its_cause() {
        let text = "\n=====================\nCANCELLED: From /job:worker/replica:0/task:0:\nRecvFromRemoteAsync is \
                    cancelled.\nABORTED: From /job:ps/replica:0/task:0:\nSession handle is not found\n=====";
        assert_eq!(root_code(Code::Cancelled, text), Code::Aborted);
        assert_eq!(root_code(Code::Cancelled, "UNAVAILABLE: peer"), Code::Unavailable);
        assert_eq!(root_code(Code::Cancelled, "Step was cancelled by an explicit call"), Code::Cancelled);
        assert_eq!(root_code(Code::NotFound, text), Code::NotFound);
        assert!(
            in_one_line(text)
                .starts_with("CANCELLED: From /job:worker/replica:0/task:0:; RecvFromRemoteAsync")
        );
    }
}
