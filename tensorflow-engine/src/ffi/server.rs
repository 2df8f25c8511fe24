//! TensorFlow's servers, one for each task of a cluster.

use super::Native;
use super::api::TfServer;
use super::status::Status;
use session_core::Result;
use std::ffi::CStr;

/// A server in this process. It is never deleted, because TensorFlow cannot stop a started server, and ends the process if it is
/// requested to.
pub(crate) struct NativeServer {
    /// The library in which the server runs.
    api: Native,
    pointer: *mut TfServer,
}

// SAFETY: TensorFlow's servers may be used by any thread.
unsafe impl Send for NativeServer {}
// SAFETY: as above.
unsafe impl Sync for NativeServer {}

impl NativeServer {
    /// Creates a server from a serialized `ServerDef`.
    pub(crate) fn new(api: Native, server_def: &[u8]) -> Result<NativeServer> {
        let mut status = Status::new(api);
        // SAFETY: the bytes are read during the call.
        let pointer =
            unsafe { (api.TF_NewServer)(server_def.as_ptr().cast(), server_def.len(), status.as_ptr()) };
        status.check()?;
        Ok(NativeServer { api, pointer })
    }

    /// Starts serving.
    pub(crate) fn start(&self) -> Result<()> {
        let mut status = Status::new(self.api);
        // SAFETY: the server is live.
        unsafe { (self.api.TF_ServerStart)(self.pointer, status.as_ptr()) };
        status.check()
    }

    /// Waits until the server ends, which is when the process ends.
    pub(crate) fn join(&self) -> Result<()> {
        let mut status = Status::new(self.api);
        // SAFETY: the server is live.
        unsafe { (self.api.TF_ServerJoin)(self.pointer, status.as_ptr()) };
        status.check()
    }

    /// Returns the target of sessions with this server as their master.
    pub(crate) fn target(&self) -> String {
        // SAFETY: the text belongs to the server, which is live.
        unsafe { CStr::from_ptr((self.api.TF_ServerTarget)(self.pointer)) }.to_string_lossy().into_owned()
    }
}
