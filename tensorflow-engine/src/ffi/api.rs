//! The functions of TensorFlow's C API that this crate uses, looked up once when the library is loaded.
//!
//! A library that lacks one of them is refused with its name, instead of failing at the first call.

use libloading::Library;
use std::ffi::{c_char, c_int, c_void};

/// Declares an opaque C type.
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
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct TfOutput {
    pub(crate) operation: *mut TfOperation,
    pub(crate) index: c_int,
}

/// Bytes that are passed in or out.
#[repr(C)]
pub(crate) struct TfBuffer {
    pub(crate) data: *const c_void,
    pub(crate) length: usize,
    pub(crate) free: Option<unsafe extern "C" fn(*mut c_void, usize)>,
}

/// One element of a string tensor. Its layout is private to TensorFlow, whose functions alone access it.
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
    pub(crate) data: *const c_char,
    pub(crate) len: usize,
}

/// Creates the state of a kernel.
pub(crate) type CreateKernel = unsafe extern "C" fn(*mut TfKernelConstruction) -> *mut c_void;
/// Runs a kernel.
pub(crate) type ComputeKernel = unsafe extern "C" fn(*mut c_void, *mut TfKernelContext);
/// Deletes the state of a kernel.
pub(crate) type DeleteKernel = unsafe extern "C" fn(*mut c_void);

pub(crate) type Deallocator = unsafe extern "C" fn(*mut c_void, usize, *mut c_void);

/// Declares the table of functions and the code that fills it.
macro_rules! api {
    ($(fn $name:ident($($arg:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, by their names in C.
        #[allow(non_snake_case)]
        pub(crate) struct Api {
            $(pub(crate) $name: unsafe extern "C" fn($($arg),*) $(-> $result)?,)*
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
    fn TF_Version() -> *const c_char;

    fn TF_NewStatus() -> *mut TfStatus;
    fn TF_DeleteStatus(*mut TfStatus);
    fn TF_GetCode(*const TfStatus) -> c_int;
    fn TF_Message(*const TfStatus) -> *const c_char;

    fn TF_NewBuffer() -> *mut TfBuffer;
    fn TF_NewBufferFromString(*const c_void, usize) -> *mut TfBuffer;
    fn TF_DeleteBuffer(*mut TfBuffer);

    fn TF_NewTensor(c_int, *const i64, c_int, *mut c_void, usize, Deallocator, *mut c_void) -> *mut TfTensor;
    fn TF_AllocateTensor(c_int, *const i64, c_int, usize) -> *mut TfTensor;
    fn TF_DeleteTensor(*mut TfTensor);
    fn TF_TensorType(*const TfTensor) -> c_int;
    fn TF_NumDims(*const TfTensor) -> c_int;
    fn TF_Dim(*const TfTensor, c_int) -> i64;
    fn TF_TensorByteSize(*const TfTensor) -> usize;
    fn TF_TensorData(*const TfTensor) -> *mut c_void;

    fn TF_StringInit(*mut TfString);
    fn TF_StringCopy(*mut TfString, *const c_char, usize);
    fn TF_StringDealloc(*mut TfString);
    fn TF_StringGetDataPointer(*const TfString) -> *const c_char;
    fn TF_StringGetSize(*const TfString) -> usize;

    fn TF_NewGraph() -> *mut TfGraph;
    fn TF_DeleteGraph(*mut TfGraph);
    fn TF_GraphVersions(*mut TfGraph, *mut TfBuffer, *mut TfStatus);
    fn TF_GraphOperationByName(*mut TfGraph, *const c_char) -> *mut TfOperation;
    fn TF_GraphImportGraphDef(*mut TfGraph, *const TfBuffer, *const TfImportOptions, *mut TfStatus);
    fn TF_NewImportGraphDefOptions() -> *mut TfImportOptions;
    fn TF_DeleteImportGraphDefOptions(*mut TfImportOptions);
    fn TF_ImportGraphDefOptionsAddInputMapping(*mut TfImportOptions, *const c_char, c_int, TfOutput);
    fn TF_ImportGraphDefOptionsRemapControlDependency(*mut TfImportOptions, *const c_char, *mut TfOperation);
    fn TF_AddGradients(
        *mut TfGraph, *mut TfOutput, c_int, *mut TfOutput, c_int, *mut TfOutput, *mut TfStatus, *mut TfOutput
    );

    fn TF_NewSessionOptions() -> *mut TfSessionOptions;
    fn TF_DeleteSessionOptions(*mut TfSessionOptions);
    fn TF_SetTarget(*mut TfSessionOptions, *const c_char);
    fn TF_SetConfig(*mut TfSessionOptions, *const c_void, usize, *mut TfStatus);
    fn TF_NewSession(*mut TfGraph, *const TfSessionOptions, *mut TfStatus) -> *mut TfSession;
    fn TF_CloseSession(*mut TfSession, *mut TfStatus);
    fn TF_DeleteSession(*mut TfSession, *mut TfStatus);
    fn TF_SessionRun(
        *mut TfSession, *const TfBuffer,
        *const TfOutput, *const *mut TfTensor, c_int,
        *const TfOutput, *mut *mut TfTensor, c_int,
        *const *mut TfOperation, c_int,
        *mut TfBuffer, *mut TfStatus
    );

    fn TF_SetStatus(*mut TfStatus, c_int, *const c_char);
    fn TF_GetRegisteredKernelsForOp(*const c_char, *mut TfStatus) -> *mut TfBuffer;
    fn TF_NewKernelBuilder(
        *const c_char, *const c_char, CreateKernel, ComputeKernel, DeleteKernel
    ) -> *mut TfKernelBuilder;
    fn TF_RegisterKernelBuilder(*const c_char, *mut TfKernelBuilder, *mut TfStatus);
    fn TF_OpKernelConstruction_GetName(*mut TfKernelConstruction) -> TfStringView;
    fn TF_OpKernelConstruction_GetAttrSize(
        *mut TfKernelConstruction, *const c_char, *mut i32, *mut i32, *mut TfStatus
    );
    fn TF_OpKernelConstruction_GetAttrString(
        *mut TfKernelConstruction, *const c_char, *mut c_char, usize, *mut TfStatus
    );
    fn TF_OpKernelConstruction_Failure(*mut TfKernelConstruction, *mut TfStatus);
    fn TF_NumInputs(*mut TfKernelContext) -> c_int;
    fn TF_GetInput(*mut TfKernelContext, c_int, *mut *mut TfTensor, *mut TfStatus);
    fn TF_SetOutput(*mut TfKernelContext, c_int, *const TfTensor, *mut TfStatus);
    fn TF_OpKernelContext_Failure(*mut TfKernelContext, *mut TfStatus);

    fn TF_NewServer(*const c_void, usize, *mut TfStatus) -> *mut TfServer;
    fn TF_ServerStart(*mut TfServer, *mut TfStatus);
    fn TF_ServerJoin(*mut TfServer, *mut TfStatus);
    fn TF_ServerTarget(*mut TfServer) -> *const c_char;
}
