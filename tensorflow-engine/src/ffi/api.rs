//! The functions of TensorFlow's C API that this crate uses, looked up once when the library is loaded.
//!
//! A library that lacks one of them is refused with its name, instead of failing at the first call.
//!
//! # Ownership
//!
//! `New` functions return objects that the caller deletes with the matching `Delete` function. Arguments are borrowed
//! for the call unless the declaration below states otherwise. A function with a status sets it to success or to an
//! error; its other results are valid only after a success.

use libloading::Library;
use std::ffi::{c_char, c_int, c_void};

/// Declares an opaque C type.
/// A value of such a type cannot be created here, and a pointer to it can only be passed back to TensorFlow.
macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub(crate) struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque! {
    TfStatus TfTensor TfGraph TfOperation TfSession TfSessionOptions TfImportOptions TfServer
    TfKernelBuilder TfKernelConstruction TfKernelContext
}

/// One output of an operation, as the C API represents it.
/// Copied by value into calls, so its fields must have the order and types of `TF_Output` in `c_api.h`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct TfOutput {
    /// The operation, owned by its graph.
    pub(crate) operation: *mut TfOperation,
    /// The index of the output.
    pub(crate) index: c_int,
}

/// Bytes that are passed in or out.
#[repr(C)]
pub(crate) struct TfBuffer {
    /// The bytes; null if there are none.
    pub(crate) data: *const c_void,
    /// The number of bytes.
    pub(crate) length: usize,
    /// The function with which `TF_DeleteBuffer` frees the bytes; absent for bytes that the buffer does not
    /// own.
    pub(crate) free: Option<unsafe extern "C" fn(*mut c_void, usize)>,
}

/// One element of a string tensor. Its layout is private to TensorFlow, whose functions alone access it.
///
/// 24 bytes with the alignment of a pointer, as `TF_TString` has. A short string is stored within them, a
/// long one elsewhere. What `TF_StringCopy` writes does not depend on its own address, so such a string may
/// be moved like any value.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct TfString {
    _private: [u8; 24],
}

impl TfString {
    /// Memory for a string that `TF_StringInit` has not initialized yet.
    pub(crate) const BLANK: TfString = TfString { _private: [0; 24] };
}

/// Characters that TensorFlow owns.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct TfStringView {
    /// The first character. The text need not end with a zero.
    pub(crate) data: *const c_char,
    /// The number of bytes.
    pub(crate) len: usize,
}

/// Creates the state of a kernel.
/// TensorFlow passes the result on to the other two functions. A failure is reported through the
/// construction, with null as the result.
pub(crate) type CreateKernel = unsafe extern "C" fn(*mut TfKernelConstruction) -> *mut c_void;
/// Runs a kernel.
/// Several runs, and so several threads, may be in it at once with the same state.
pub(crate) type ComputeKernel = unsafe extern "C" fn(*mut c_void, *mut TfKernelContext);
/// Deletes the state of a kernel.
pub(crate) type DeleteKernel = unsafe extern "C" fn(*mut c_void);

/// Frees the memory of a tensor: its address, its length, and the argument that was given to `TF_NewTensor`.
///
/// It is called from any thread of TensorFlow, so what it frees must be `Send`.
pub(crate) type Deallocator = unsafe extern "C" fn(*mut c_void, usize, *mut c_void);

/// Declares the table of functions and the code that fills it.
///
/// Each line becomes a field of the table, of the declared type. The type is believed: a declaration that
/// differs from the header in a number of arguments or in a width is undefined behavior at the first call,
/// which no test of the loader notices.
macro_rules! api {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, by their names in C.
        #[allow(non_snake_case)]
        pub(crate) struct Api {
            $($(#[$doc])* pub(crate) $name: unsafe extern "C" fn($($arg),*) $(-> $result)?,)*
        }

        impl Api {
            /// Looks up all functions, and returns an error for the first missing one.
            pub(crate) fn resolve(library: &Library) -> Result<Api, libloading::Error> {
                Ok(Api {
                    // SAFETY: names and types are those of `c_api.h`, which TensorFlow keeps stable.
                    $($name: unsafe { *library.get(concat!(stringify!($name), "\0").as_bytes())? },)*
                })
            }
        }
    };
}

api! {
    /// Returns the version as a constant string.
    fn TF_Version() -> *const c_char;

    /// Creates a status, which is a success at first.
    fn TF_NewStatus() -> *mut TfStatus;
    /// Deletes a status and its message.
    fn TF_DeleteStatus(*mut TfStatus);
    /// Returns the code; 0 for a success.
    fn TF_GetCode(*const TfStatus) -> c_int;
    /// Returns the message, which is valid until the status is set or deleted.
    fn TF_Message(*const TfStatus) -> *const c_char;

    /// Creates an empty buffer, into which a call writes a serialized message.
    fn TF_NewBuffer() -> *mut TfBuffer;
    /// Creates a buffer with a copy of bytes.
    fn TF_NewBufferFromString(*const c_void, usize) -> *mut TfBuffer;
    /// Deletes a buffer, and its bytes by their own function.
    fn TF_DeleteBuffer(*mut TfBuffer);

    /// Wraps memory as a tensor. The deallocator is called once, possibly in another thread and long after the tensor
    /// was deleted, because TensorFlow shares the memory with kernels.
    fn TF_NewTensor(c_int, *const i64, c_int, *mut c_void, usize, Deallocator, *mut c_void) -> *mut TfTensor;
    /// Creates a tensor with memory of TensorFlow, which is not initialized. Returns null if there is not enough
    /// memory.
    fn TF_AllocateTensor(c_int, *const i64, c_int, usize) -> *mut TfTensor;
    /// Deletes a handle to a tensor. The memory remains as long as any handle exists.
    fn TF_DeleteTensor(*mut TfTensor);
    /// Returns the number of the dtype.
    fn TF_TensorType(*const TfTensor) -> c_int;
    /// Returns the rank.
    fn TF_NumDims(*const TfTensor) -> c_int;
    /// Returns the size of one dimension.
    fn TF_Dim(*const TfTensor, c_int) -> i64;
    /// Returns the number of bytes of the elements.
    fn TF_TensorByteSize(*const TfTensor) -> usize;
    /// Returns the address of the elements, valid as long as the handle.
    fn TF_TensorData(*const TfTensor) -> *mut c_void;

    /// Initializes memory as an empty string.
    fn TF_StringInit(*mut TfString);
    /// Sets a string to a copy of bytes.
    fn TF_StringCopy(*mut TfString, *const c_char, usize);
    /// Frees the bytes of a string.
    fn TF_StringDealloc(*mut TfString);
    /// Returns the address of the bytes of a string.
    fn TF_StringGetDataPointer(*const TfString) -> *const c_char;
    /// Returns the number of bytes of a string.
    fn TF_StringGetSize(*const TfString) -> usize;

    /// Creates an empty graph.
    fn TF_NewGraph() -> *mut TfGraph;
    /// Deletes a graph. A graph with sessions is deleted when the last of them is.
    fn TF_DeleteGraph(*mut TfGraph);
    /// Writes the versions of graphs that this TensorFlow creates: a `VersionDef`.
    fn TF_GraphVersions(*mut TfGraph, *mut TfBuffer, *mut TfStatus);
    /// Finds an operation by its name; null if there is none. The result is valid as long as the graph.
    fn TF_GraphOperationByName(*mut TfGraph, *const c_char) -> *mut TfOperation;
    /// Adds the nodes and functions of a serialized `GraphDef`, or nothing if it fails.
    fn TF_GraphImportGraphDef(*mut TfGraph, *const TfBuffer, *const TfImportOptions, *mut TfStatus);
    /// Creates the options of an import.
    fn TF_NewImportGraphDefOptions() -> *mut TfImportOptions;
    /// Deletes the options of an import.
    fn TF_DeleteImportGraphDefOptions(*mut TfImportOptions);
    /// Maps an input of imported nodes, by name and index, to an existing output.
    fn TF_ImportGraphDefOptionsAddInputMapping(*mut TfImportOptions, *const c_char, c_int, TfOutput);
    /// Maps a control input of imported nodes to an existing operation.
    fn TF_ImportGraphDefOptionsRemapControlDependency(*mut TfImportOptions, *const c_char, *mut TfOperation);
    /// Adds the operations of gradients: outputs `y`, inputs `x`, and initial gradients, each an array with its
    /// length; the results are written to the last argument.
    fn TF_AddGradients(
        *mut TfGraph, *mut TfOutput, c_int, *mut TfOutput, c_int, *mut TfOutput, *mut TfStatus, *mut TfOutput
    );

    /// Creates the options of a session.
    fn TF_NewSessionOptions() -> *mut TfSessionOptions;
    /// Deletes the options of a session.
    fn TF_DeleteSessionOptions(*mut TfSessionOptions);
    /// Sets the target, such as `grpc://host:port`; the text is copied.
    fn TF_SetTarget(*mut TfSessionOptions, *const c_char);
    /// Sets the configuration, a serialized `ConfigProto`.
    fn TF_SetConfig(*mut TfSessionOptions, *const c_void, usize, *mut TfStatus);
    /// Creates a session on a graph. It does not contact a server yet; the first run does.
    fn TF_NewSession(*mut TfGraph, *const TfSessionOptions, *mut TfStatus) -> *mut TfSession;
    /// Cancels all runs of a session, and rejects further ones.
    fn TF_CloseSession(*mut TfSession, *mut TfStatus);
    /// Deletes a session, which must not run anything.
    fn TF_DeleteSession(*mut TfSession, *mut TfStatus);
    /// Runs a step. The arguments are: session, options, feeds with their values and number, fetches with room for
    /// their values and number, targets with their number, run metadata, and the status. The caller owns the fetched
    /// tensors.
    fn TF_SessionRun(
        *mut TfSession, *const TfBuffer,
        *const TfOutput, *const *mut TfTensor, c_int,
        *const TfOutput, *mut *mut TfTensor, c_int,
        *const *mut TfOperation, c_int,
        *mut TfBuffer, *mut TfStatus
    );

    /// Sets a status to an error.
    fn TF_SetStatus(*mut TfStatus, c_int, *const c_char);
    /// Returns the kernels of an op type: a buffer with a serialized `KernelList`.
    fn TF_GetRegisteredKernelsForOp(*const c_char, *mut TfStatus) -> *mut TfBuffer;
    /// Creates a builder for a kernel of an op type on a type of devices.
    fn TF_NewKernelBuilder(
        *const c_char, *const c_char, CreateKernel, ComputeKernel, DeleteKernel
    ) -> *mut TfKernelBuilder;
    /// Registers a kernel, and takes over the builder. A kernel can never be unregistered.
    fn TF_RegisterKernelBuilder(*const c_char, *mut TfKernelBuilder, *mut TfStatus);
    /// Returns the name of the node that a kernel is created for.
    fn TF_OpKernelConstruction_GetName(*mut TfKernelConstruction) -> TfStringView;
    /// Returns the number of items of a list attribute, and the length of a string attribute.
    fn TF_OpKernelConstruction_GetAttrSize(
        *mut TfKernelConstruction, *const c_char, *mut i32, *mut i32, *mut TfStatus
    );
    /// Copies a string attribute into a buffer of a given length.
    fn TF_OpKernelConstruction_GetAttrString(
        *mut TfKernelConstruction, *const c_char, *mut c_char, usize, *mut TfStatus
    );
    /// Makes the creation of a kernel fail.
    fn TF_OpKernelConstruction_Failure(*mut TfKernelConstruction, *mut TfStatus);
    /// Returns the number of inputs of a running kernel.
    fn TF_NumInputs(*mut TfKernelContext) -> c_int;
    /// Returns a new handle to an input of a running kernel.
    fn TF_GetInput(*mut TfKernelContext, c_int, *mut *mut TfTensor, *mut TfStatus);
    /// Sets an output of a running kernel. TensorFlow takes a reference of its own to the tensor.
    fn TF_SetOutput(*mut TfKernelContext, c_int, *const TfTensor, *mut TfStatus);
    /// Makes the run of a kernel fail.
    fn TF_OpKernelContext_Failure(*mut TfKernelContext, *mut TfStatus);

    /// Creates a server from a serialized `ServerDef`.
    fn TF_NewServer(*const c_void, usize, *mut TfStatus) -> *mut TfServer;
    /// Starts a server. It cannot be stopped again.
    fn TF_ServerStart(*mut TfServer, *mut TfStatus);
    /// Waits until a server ends.
    fn TF_ServerJoin(*mut TfServer, *mut TfStatus);
    /// Returns the target of a server, valid as long as the server.
    fn TF_ServerTarget(*mut TfServer) -> *const c_char;
}
