//! Kernels of this program in TensorFlow's runtime: they call closures of the program.
//!
//! TensorFlow calls three functions for a kernel: one when a session first runs the node, one in each run, and one
//! when the session is deleted. They are `extern "C"` functions here, which convert between C and [`HostKernel`]. No
//! panic may unwind into C++, so each of them catches panics and reports them as errors.

use super::Native;
use super::api::{TfKernelConstruction, TfKernelContext};
use super::buffer::Buffer;
use super::status::Status;
use super::tensor::NativeTensor;
use session_core::{Code, Error, Result};
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::Tensor;

/// The implementation of an operation that calls a closure of the program.
pub(crate) trait HostKernel: Send + Sync {
    /// Returns true if inputs must be copied, because TensorFlow may write to their memory while a closure keeps them.
    fn copies_inputs(&self) -> bool;

    /// Computes the outputs. `node` is the name of the operation.
    fn compute(&self, node: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>>;
}

/// Finds the kernel of an operation by its token.
pub(crate) type FindKernel = fn(token: &str) -> Result<Arc<dyn HostKernel>>;

/// The op types whose kernels TensorFlow has in Python's bindings only.
const OP_TYPES: [&CStr; 3] = [c"PyFunc", c"PyFuncStateless", c"EagerPyFunc"];

/// The longest token of this program.
const TOKEN: usize = 32;

/// The library in which the kernels are registered: the callbacks get nothing by which they could tell two libraries apart.
static REGISTERED: Mutex<Option<(Native, FindKernel)>> = Mutex::new(None);

/// The state of one kernel in TensorFlow.
struct Kernel {
    api: Native,
    /// The name of the operation, for errors.
    node: String,
    /// The implementation.
    host: Arc<dyn HostKernel>,
}

/// Registers kernels for the operations that call closures of the program, once in a process.
///
/// # Errors
/// `FailedPrecondition` if the library has such kernels already, or if they are registered in another library of this process.
///
/// A registration cannot be undone and holds for all sessions of the process. It is therefore made when the
/// first closure is bound, and not when the library is loaded: a program without closures leaves the library
/// as it is.
pub(crate) fn register_kernels(api: Native, find: FindKernel) -> Result<()> {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, _)) = *registered {
        return match std::ptr::eq(known, api) {
            true => Ok(()),
            false => Err(taken("this process calls closures from another library of TensorFlow")),
        };
    }
    for op_type in OP_TYPES {
        let mut status = Status::new(api);
        // SAFETY: the name ends with a zero; the result is a buffer of ours.
        let known = unsafe {
            let list = (api.TF_GetRegisteredKernelsForOp)(op_type.as_ptr(), status.as_ptr());
            status.check()?;
            Buffer::from_raw(api, list)
        };
        if !known.bytes().is_empty() {
            let op_type = op_type.to_string_lossy();
            return Err(taken(&format!("the library already has a kernel for {op_type}, as Python's has")));
        }
    }
    for op_type in OP_TYPES {
        let mut status = Status::new(api);
        // SAFETY: the callbacks have the types that the header declares, and live as long as the process; the registration takes
        // over the builder.
        unsafe {
            let builder =
                (api.TF_NewKernelBuilder)(op_type.as_ptr(), c"CPU".as_ptr(), create, compute, delete);
            (api.TF_RegisterKernelBuilder)(op_type.as_ptr(), builder, status.as_ptr());
        }
        status.check()?;
    }
    *registered = Some((api, find));
    Ok(())
}

/// Returns the error for kernels that cannot be registered.
fn taken(why: &str) -> Error {
    Error::new(
        Code::FailedPrecondition,
        format!("closures of the program cannot be called by TensorFlow: {why}"),
    )
}

/// Creates a kernel, for TensorFlow. Reports a failure to TensorFlow and returns null.
///
/// # Safety
/// Called by TensorFlow with the construction of an operation of one of [`OP_TYPES`].
unsafe extern "C" fn create(construction: *mut TfKernelConstruction) -> *mut c_void {
    let registered = *REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((api, find)) = registered else { return std::ptr::null_mut() };
    // SAFETY: by the contract.
    let made = unprotected(|| unsafe { Kernel::new(api, find, construction) });
    match made {
        Ok(kernel) => Box::into_raw(Box::new(kernel)).cast(),
        Err(error) => {
            let mut status = Status::new(api);
            status.set(&error);
            // SAFETY: the construction is TensorFlow's, and the status ours.
            unsafe { (api.TF_OpKernelConstruction_Failure)(construction, status.as_ptr()) }
            std::ptr::null_mut()
        }
    }
}

/// Runs a kernel, for TensorFlow.
///
/// # Safety
/// Called by TensorFlow with a result of [`create`] and the context of a run. Threads may call it at the same time.
unsafe extern "C" fn compute(kernel: *mut c_void, context: *mut TfKernelContext) {
    // SAFETY: by the contract; a kernel that failed to be created is never run.
    let Some(kernel) = (unsafe { kernel.cast::<Kernel>().as_ref() }) else { return };
    // SAFETY: by the contract.
    let computed = unprotected(|| unsafe { kernel.compute(context) });
    if let Err(error) = computed {
        let mut status = Status::new(kernel.api);
        status.set(&error);
        // SAFETY: the context is TensorFlow's, and the status ours.
        unsafe { (kernel.api.TF_OpKernelContext_Failure)(context, status.as_ptr()) }
    }
}

/// Deletes a kernel, for TensorFlow.
///
/// # Safety
/// Called by TensorFlow, once with each result of [`create`].
unsafe extern "C" fn delete(kernel: *mut c_void) {
    if !kernel.is_null() {
        // SAFETY: a box of `create`, by the contract.
        drop(unsafe { Box::from_raw(kernel.cast::<Kernel>()) });
    }
}

/// Calls a function, and turns a panic, which must not reach C++, into an error.
/// State of the program that a closure changed before its panic stays changed.
fn unprotected<T>(function: impl FnOnce() -> Result<T>) -> Result<T> {
    let called = catch_unwind(AssertUnwindSafe(function));
    called.unwrap_or_else(|payload| Err(Error::from_panic("a kernel of this program", &*payload)))
}

impl Kernel {
    /// Reads the token and the name of the node from a construction, and finds the closure.
    ///
    /// # Errors
    /// Those of TensorFlow for a node without a token, and of `find` for a token whose session has ended.
    ///
    /// # Safety
    /// The construction is one that TensorFlow passed, and still valid.
    unsafe fn new(api: Native, find: FindKernel, construction: *mut TfKernelConstruction) -> Result<Kernel> {
        let mut status = Status::new(api);
        let (mut list, mut size) = (0, 0);
        let mut token = [0u8; TOKEN];
        // SAFETY: by the contract; the buffer has the length that is passed, and the name is copied.
        let node = unsafe {
            let name = c"token".as_ptr();
            (api.TF_OpKernelConstruction_GetAttrSize)(
                construction,
                name,
                &mut list,
                &mut size,
                status.as_ptr(),
            );
            status.check()?;
            let start = token.as_mut_ptr().cast();
            (api.TF_OpKernelConstruction_GetAttrString)(construction, name, start, TOKEN, status.as_ptr());
            status.check()?;
            let view = (api.TF_OpKernelConstruction_GetName)(construction);
            let bytes = match view.len {
                0 => &[],
                len => std::slice::from_raw_parts(view.data.cast::<u8>(), len),
            };
            String::from_utf8_lossy(bytes).into_owned()
        };
        let token = usize::try_from(size).ok().and_then(|size| token.get(..size)).unwrap_or_default();
        let host = find(&String::from_utf8_lossy(token))?;
        Ok(Kernel { api, node, host })
    }

    /// Converts the inputs, calls the closure, and sets the outputs.
    ///
    /// # Errors
    /// The error of the closure; that of a tensor which cannot be converted in either direction.
    ///
    /// # Safety
    /// The context is one that TensorFlow passed, and still valid.
    unsafe fn compute(&self, context: *mut TfKernelContext) -> Result<()> {
        let api = self.api;
        let mut status = Status::new(api);
        // SAFETY: by the contract.
        let count = unsafe { (api.TF_NumInputs)(context) };
        let mut inputs = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for index in 0..count {
            let mut input = std::ptr::null_mut();
            // SAFETY: the index is below the number of inputs; the new handle is ours.
            let input = unsafe {
                (api.TF_GetInput)(context, index, &mut input, status.as_ptr());
                status.check()?;
                NativeTensor::from_raw(api, input)
            };
            inputs.push(input.into_tensor(self.host.copies_inputs())?);
        }
        let outputs = self.host.compute(&self.node, &inputs)?;
        for (index, output) in outputs.iter().enumerate() {
            let output = NativeTensor::new(api, output)?;
            // SAFETY: the host function returns as many outputs as the operation has; TensorFlow takes a reference for itself.
            unsafe { (api.TF_SetOutput)(context, index as c_int, output.as_ptr(), status.as_ptr()) }
            status.check()?;
        }
        Ok(())
    }
}
