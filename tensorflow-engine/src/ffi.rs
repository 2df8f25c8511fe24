//! The only module with unsafe code: owning types for TensorFlow's C API.
//!
//! Invariants: every pointer comes from the same library, whose code stays loaded until the process ends; whatever a type
//! here deletes on drop, it alone owns; a session's graph outlives the session; a session is not deleted while it runs,
//! because its runs hold it.
#![allow(unsafe_code)] // a C API can be called in no other way

mod api;
mod buffer;
mod graph;
mod kernel;
mod server;
mod session;
mod status;
mod tensor;

use api::Api;
pub(crate) use buffer::Buffer;
pub(crate) use graph::{ImportOptions, NativeGraph, NativeOperation, NativeOutput};
pub(crate) use kernel::{HostKernel, register_kernels};
pub(crate) use server::NativeServer;
pub(crate) use session::{NativeSession, Run};
pub(crate) use tensor::NativeTensor;

use libloading::Library;
use std::ffi::CStr;
use std::path::Path;

/// The C API of a loaded library.
pub(crate) type Native = &'static Api;

/// Loads a library and looks up its functions. It stays loaded until the process ends, because TensorFlow starts threads and
/// registers objects that cannot be removed.
pub(crate) fn load(path: &Path) -> Result<Native, libloading::Error> {
    // SAFETY: loading runs TensorFlow's initializers, which only require that the library stays loaded.
    let library = unsafe { Library::new(path)? };
    let api = Api::resolve(&library);
    std::mem::forget(library);
    Ok(Box::leak(Box::new(api?)))
}

/// Returns TensorFlow's version, such as `2.21.0`.
pub(crate) fn version(api: Native) -> String {
    // SAFETY: the result is a constant of the library, ended by zero.
    unsafe { CStr::from_ptr((api.TF_Version)()) }.to_string_lossy().into_owned()
}
