//! TensorFlow's sessions: creation, runs, and closing.
//!
//! `TF_SessionRun` may be called by many threads at once, also while another thread closes the session. Only deleting
//! the session needs exclusive access, which the reference count provides: each run holds the session.

use super::Native;
use super::api::{TfOperation, TfOutput, TfSession, TfTensor};
use super::buffer::Buffer;
use super::graph::{NativeGraph, NativeOperation, NativeOutput, c_string};
use super::status::Status;
use super::tensor::NativeTensor;
use session_core::Result;
use smallvec::SmallVec;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A session in TensorFlow, with its graph.
pub(crate) struct NativeSession {
    api: Native,
    /// The session; live until this value is dropped.
    pointer: *mut TfSession,
    /// Closing a session without a reachable master takes as long as its time limit, so it is done once.
    closed: AtomicBool,
    /// The graph of the session, which must outlive it.
    _graph: Arc<NativeGraph>,
}

// SAFETY: TensorFlow's sessions may be used by any thread.
unsafe impl Send for NativeSession {}
// SAFETY: and by many at once.
unsafe impl Sync for NativeSession {}

/// One run: its feeds, fetches and targets. The arrays of inputs and values have equal lengths.
#[derive(Default)]
pub(crate) struct Run {
    /// The fed outputs.
    pub(crate) inputs: SmallVec<[NativeOutput; 4]>,
    /// The values of the fed outputs, in the same order.
    pub(crate) values: SmallVec<[NativeTensor; 4]>,
    /// The fetched outputs.
    pub(crate) outputs: SmallVec<[NativeOutput; 4]>,
    /// The operations to run without fetching anything.
    pub(crate) targets: SmallVec<[NativeOperation; 4]>,
    /// A serialized `RunOptions`; if absent, TensorFlow's defaults.
    pub(crate) options: Option<Buffer>,
}

impl NativeSession {
    /// Creates a session on a graph, with a serialized `ConfigProto`.
    /// An empty target is a session in this process.
    ///
    /// # Errors
    /// Those of TensorFlow for a target or a configuration that it refuses. A server that cannot be reached
    /// is found by the first run.
    pub(crate) fn new(graph: Arc<NativeGraph>, target: &str, config: &[u8]) -> Result<NativeSession> {
        let api = graph.api();
        let target = c_string(target)?;
        let mut status = Status::new(api);
        // SAFETY: the options are deleted on every way out; target and config are copied.
        let pointer = unsafe {
            let options = (api.TF_NewSessionOptions)();
            (api.TF_SetTarget)(options, target.as_ptr());
            (api.TF_SetConfig)(options, config.as_ptr().cast(), config.len(), status.as_ptr());
            let pointer = match status.check() {
                Ok(()) => (api.TF_NewSession)(graph.as_ptr(), options, status.as_ptr()),
                Err(_) => std::ptr::null_mut(),
            };
            (api.TF_DeleteSessionOptions)(options);
            pointer
        };
        status.check()?;
        Ok(NativeSession { api, pointer, closed: AtomicBool::new(false), _graph: graph })
    }

    /// Runs one step. Writes its record to `metadata`.
    ///
    /// The calling thread is blocked until the run ends. Fetched tensors are owned by the result, in the
    /// order of `outputs`.
    ///
    /// # Errors
    /// The status of the run, with TensorFlow's text. No tensor is returned then, whatever was computed.
    pub(crate) fn run(
        &self,
        run: &Run,
        metadata: Option<&mut Buffer>,
    ) -> Result<SmallVec<[NativeTensor; 4]>> {
        assert_eq!(run.inputs.len(), run.values.len(), "one value for each input");
        let values: SmallVec<[*mut TfTensor; 4]> = run.values.iter().map(NativeTensor::as_ptr).collect();
        let mut found: SmallVec<[*mut TfTensor; 4]> =
            SmallVec::from_elem(std::ptr::null_mut(), run.outputs.len());
        let mut status = Status::new(self.api);
        // SAFETY: the arrays are as long as their counts; `NativeOutput` and `NativeOperation` are laid out as what
        // they hold; the graph of the outputs is this session's.
        unsafe {
            (self.api.TF_SessionRun)(
                self.pointer,
                run.options.as_ref().map_or(std::ptr::null(), Buffer::as_ptr),
                run.inputs.as_ptr().cast::<TfOutput>(),
                values.as_ptr(),
                run.inputs.len() as c_int,
                run.outputs.as_ptr().cast::<TfOutput>(),
                found.as_mut_ptr(),
                run.outputs.len() as c_int,
                run.targets.as_ptr().cast::<*mut TfOperation>(),
                run.targets.len() as c_int,
                metadata.map_or(std::ptr::null_mut(), Buffer::as_mut_ptr),
                status.as_ptr(),
            );
        }
        status.check()?;
        // SAFETY: a run that succeeds gives a tensor for each output, which is the caller's to delete.
        Ok(found.into_iter().map(|pointer| unsafe { NativeTensor::from_raw(self.api, pointer) }).collect())
    }

    /// Cancels running operations, and rejects further runs.
    ///
    /// Runs that are under way fail with `Cancelled`. Calling it again does nothing.
    pub(crate) fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let mut status = Status::new(self.api);
        // SAFETY: the session is live; closing is allowed while others run it.
        unsafe { (self.api.TF_CloseSession)(self.pointer, status.as_ptr()) };
        status.check()
    }
}

impl Drop for NativeSession {
    fn drop(&mut self) {
        // There is no caller to return errors to.
        let _ = self.close();
        let mut status = Status::new(self.api);
        // SAFETY: owned, and not running: a run holds a reference.
        unsafe { (self.api.TF_DeleteSession)(self.pointer, status.as_ptr()) }
    }
}

/// A prepared run, as a C program would execute it: the baseline for measuring the engine's overhead.
#[cfg(test)]
pub(crate) struct BareRun<'s> {
    session: &'s NativeSession,
    inputs: Vec<TfOutput>,
    outputs: Vec<TfOutput>,
    targets: Vec<*mut TfOperation>,
    status: Status,
}

#[cfg(test)]
impl NativeSession {
    pub(crate) fn bare(
        &self,
        inputs: &[NativeOutput],
        outputs: &[NativeOutput],
        target: Option<NativeOperation>,
    ) -> BareRun<'_> {
        let raw = |outputs: &[NativeOutput]| outputs.iter().map(|output| output.0).collect();
        BareRun {
            session: self,
            inputs: raw(inputs),
            outputs: raw(outputs),
            targets: target.iter().map(|operation| operation.0).collect(),
            status: Status::new(self.api),
        }
    }
}

#[cfg(test)]
impl BareRun<'_> {
    pub(crate) fn run(&mut self, values: &[NativeTensor]) {
        let api = self.session.api;
        let values: SmallVec<[*mut TfTensor; 4]> = values.iter().map(NativeTensor::as_ptr).collect();
        let mut found: [*mut TfTensor; 4] = [std::ptr::null_mut(); 4];
        assert!(values.len() == self.inputs.len() && self.outputs.len() <= found.len());
        // SAFETY: as in `NativeSession::run`; what was fetched is deleted at once.
        unsafe {
            (api.TF_SessionRun)(
                self.session.pointer,
                std::ptr::null(),
                self.inputs.as_ptr(),
                values.as_ptr(),
                self.inputs.len() as c_int,
                self.outputs.as_ptr(),
                found.as_mut_ptr(),
                self.outputs.len() as c_int,
                self.targets.as_ptr(),
                self.targets.len() as c_int,
                std::ptr::null_mut(),
                self.status.as_ptr(),
            );
            found[..self.outputs.len()].iter().for_each(|&pointer| (api.TF_DeleteTensor)(pointer));
        }
    }
}
