//! TensorFlow's graphs, operations, and outputs.
//!
//! Operations and outputs are plain addresses. They are valid as long as their graph, which the session keeps alive.

use super::Native;
use super::api::{TfGraph, TfImportOptions, TfOperation, TfOutput};
use super::buffer::Buffer;
use super::status::Status;
use session_core::{Error, Result};
use std::ffi::{CString, c_int};

/// A graph in TensorFlow.
///
/// Operations can be added to it while sessions run it: TensorFlow extends a session at its next run by what
/// is new.
pub(crate) struct NativeGraph {
    api: Native,
    pointer: *mut TfGraph,
}

// SAFETY: TensorFlow guards a graph with its own lock.
unsafe impl Send for NativeGraph {}
// SAFETY: as above.
unsafe impl Sync for NativeGraph {}

/// An operation of a graph in TensorFlow. Valid as long as the graph.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct NativeOperation(pub(super) *mut TfOperation);

// SAFETY: an address that only TensorFlow follows.
unsafe impl Send for NativeOperation {}
// SAFETY: as above.
unsafe impl Sync for NativeOperation {}

/// An output of such an operation.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct NativeOutput(pub(super) TfOutput);

// SAFETY: an address that only TensorFlow follows, and a number.
unsafe impl Send for NativeOutput {}
// SAFETY: as above.
unsafe impl Sync for NativeOutput {}

impl NativeOperation {
    /// Returns one of the outputs of the operation. An index beyond them is found by TensorFlow.
    pub(crate) fn output(self, index: u32) -> NativeOutput {
        NativeOutput(TfOutput { operation: self.0, index: index as c_int })
    }
}

/// The connections of imported nodes to existing operations of the graph.
pub(crate) struct ImportOptions {
    api: Native,
    /// The options, never null.
    pointer: *mut TfImportOptions,
}

impl ImportOptions {
    /// Creates options without any mapping.
    pub(crate) fn new(api: Native) -> ImportOptions {
        // SAFETY: makes new options, owned here.
        ImportOptions { api, pointer: unsafe { (api.TF_NewImportGraphDefOptions)() } }
    }

    /// Connects the input of this name in imported nodes to an output.
    ///
    /// The index of the input in the message is that of the output, because the copy has the outputs of its
    /// original.
    pub(crate) fn map_input(&mut self, name: &str, output: NativeOutput) -> Result<()> {
        let name = c_string(name)?;
        // SAFETY: the name is copied; the output is of the graph that is imported into.
        unsafe {
            (self.api.TF_ImportGraphDefOptionsAddInputMapping)(
                self.pointer,
                name.as_ptr(),
                output.0.index,
                output.0,
            );
        }
        Ok(())
    }

    /// Connects the control input of this name in imported nodes to an operation.
    pub(crate) fn map_control_input(&mut self, name: &str, operation: NativeOperation) -> Result<()> {
        let name = c_string(name)?;
        // SAFETY: as above.
        unsafe {
            (self.api.TF_ImportGraphDefOptionsRemapControlDependency)(
                self.pointer,
                name.as_ptr(),
                operation.0,
            );
        }
        Ok(())
    }
}

impl Drop for ImportOptions {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { (self.api.TF_DeleteImportGraphDefOptions)(self.pointer) }
    }
}

/// Copies a text for C. A zero byte in it is an error, because it would end the text.
pub(super) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::value(format!("'{}' holds a zero byte", text.escape_debug())))
}

impl NativeGraph {
    /// Creates an empty graph.
    pub(crate) fn new(api: Native) -> NativeGraph {
        // SAFETY: makes a new graph, owned here.
        NativeGraph { api, pointer: unsafe { (api.TF_NewGraph)() } }
    }

    /// Returns the functions of the library.
    pub(crate) fn api(&self) -> Native {
        self.api
    }

    /// Returns the address, which is valid as long as the graph.
    pub(super) fn as_ptr(&self) -> *mut TfGraph {
        self.pointer
    }

    /// Returns the graph versions of this TensorFlow: a serialized `VersionDef`.
    pub(crate) fn versions(&self) -> Result<Vec<u8>> {
        let (mut buffer, mut status) = (Buffer::empty(self.api), Status::new(self.api));
        // SAFETY: all pointers are live.
        unsafe { (self.api.TF_GraphVersions)(self.pointer, buffer.as_mut_ptr(), status.as_ptr()) };
        status.check()?;
        Ok(buffer.bytes().to_vec())
    }

    /// Adds the nodes and functions of a serialized `GraphDef`.
    ///
    /// Names that a mapping of the options covers are inputs from outside; every other input must be a node
    /// of the message.
    ///
    /// # Errors
    /// `InvalidArgument` and the like for a message that TensorFlow refuses. The graph is then unchanged.
    pub(crate) fn import(&self, graph_def: &[u8], options: &ImportOptions) -> Result<()> {
        let (buffer, mut status) = (Buffer::copy_of(self.api, graph_def), Status::new(self.api));
        // SAFETY: all pointers are live.
        unsafe {
            (self.api.TF_GraphImportGraphDef)(
                self.pointer,
                buffer.as_ptr(),
                options.pointer,
                status.as_ptr(),
            );
        }
        status.check()
    }

    /// Returns the operation with this name.
    /// `None` if there is none.
    pub(crate) fn operation(&self, name: &str) -> Result<Option<NativeOperation>> {
        let name = c_string(name)?;
        // SAFETY: the name is only read during the call.
        let pointer = unsafe { (self.api.TF_GraphOperationByName)(self.pointer, name.as_ptr()) };
        Ok((!pointer.is_null()).then_some(NativeOperation(pointer)))
    }

    /// Adds operations that compute the gradients of the sum of all `ys` with respect to each of `xs`, by the rules of TensorFlow's C++
    /// library. Returns `None` for inputs without a gradient.
    pub(crate) fn add_gradients(
        &self,
        ys: &[NativeOutput],
        xs: &[NativeOutput],
    ) -> Result<Vec<Option<NativeOutput>>> {
        let raw = |outputs: &[NativeOutput]| outputs.iter().map(|output| output.0).collect::<Vec<_>>();
        let (mut ys, mut xs) = (raw(ys), raw(xs));
        let mut gradients = vec![TfOutput { operation: std::ptr::null_mut(), index: 0 }; xs.len()];
        let mut status = Status::new(self.api);
        // SAFETY: the arrays are as long as their counts; without initial gradients ones are taken.
        unsafe {
            (self.api.TF_AddGradients)(
                self.pointer,
                ys.as_mut_ptr(),
                ys.len() as c_int,
                xs.as_mut_ptr(),
                xs.len() as c_int,
                std::ptr::null_mut(),
                status.as_ptr(),
                gradients.as_mut_ptr(),
            );
        }
        status.check()?;
        let found = |output: TfOutput| (!output.operation.is_null()).then_some(NativeOutput(output));
        Ok(gradients.into_iter().map(found).collect())
    }
}

impl Drop for NativeGraph {
    fn drop(&mut self) {
        // SAFETY: owned; sessions hold their graph, so that none is left.
        unsafe { (self.api.TF_DeleteGraph)(self.pointer) }
    }
}
