//! Closures of the program that TensorFlow's runtime calls.
//!
//! TensorFlow's library knows the op types `PyFunc`, `PyFuncStateless` and `EagerPyFunc`, but their kernels are part of Python's bindings.
//! This crate registers kernels of its own. A kernel finds its closure by the attribute `token`: the copy of a graph has tokens that
//! are unique in the process, so that equal tokens of two graphs stay distinct.
//!
//! # The life of a closure
//!
//! When an operation that calls a closure is copied, the closure is entered into a table of the process under a new
//! token, and the copy carries the token. The kernel that TensorFlow creates for the copy looks the token up. When
//! the session ends, its closures are removed from the table, so nothing that they hold outlives it.

use crate::ffi::{HostKernel, Native, register_kernels};
use graph_def::proto::{AttrValue, FunctionDefLibrary, NodeDef, Value};
use graph_def::py_funcs;
use session_core::{
    AttrValue as Attr, CancellationToken, Code, Error, Graph, HostContext, HostFunction, Operation, Result,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::Tensor;

/// The closures of all sessions, by their unique tokens. Only the map is accessed while it is held.
static CLOSURES: Mutex<Option<HashMap<String, Arc<dyn HostKernel>>>> = Mutex::new(None);

/// The state that the closures of one session share with it.
#[derive(Default)]
pub(crate) struct Shared {
    /// Cancelled when the session is closed.
    closed: CancellationToken,
    /// True if an operation outputs references to variables, which TensorFlow overwrites while others hold them.
    has_references: AtomicBool,
    /// The last error of a closure, whole: TensorFlow passes on only its code and text.
    failure: Mutex<Option<Error>>,
}

impl Shared {
    /// Records that later runs may change values that others hold.
    pub(crate) fn found_references(&self) {
        self.has_references.store(true, Ordering::Relaxed);
    }

    /// Returns true if later runs may change values that others hold.
    pub(crate) fn has_references(&self) -> bool {
        self.has_references.load(Ordering::Relaxed)
    }

    /// Wakes the closures that wait.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Returns the error of the closure that caused an error of a run, with its place.
    /// The error is taken out: a later failure of the same code and text must not be blamed on this closure.
    /// `None` if the run failed for another reason, or if another run took the error first.
    pub(crate) fn cause_of(&self, error: &Error) -> Option<Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (failure.code() == error.code() && error.message().contains(failure.message())).then_some(failure)
    }
}

/// The closure of one operation.
struct Closure {
    /// The closure with its declaration.
    function: HostFunction,
    /// The operation that calls it, which errors name.
    operation: Operation,
    /// The token in the original graph, which errors name.
    token: String,
    /// The state of the session that the closure belongs to.
    shared: Arc<Shared>,
}

impl HostKernel for Closure {
    fn copies_inputs(&self) -> bool {
        // A tensor that shares a variable's memory would change under a closure that keeps it.
        self.shared.has_references()
    }

    fn compute(&self, node: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let context = HostContext::new(node).ended_by(&self.shared.closed, None, None);
        let declared = self.operation.output_infos();
        let called = self.function.call_declared(&self.token, declared, inputs, &context);
        called.map_err(|error| {
            let error = self.operation.place(error);
            *self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            error
        })
    }
}

/// The closures of one session. TensorFlow finds them while this value exists.
pub(crate) struct Closures {
    api: Native,
    shared: Arc<Shared>,
    /// The tokens to remove when the session ends.
    tokens: Vec<String>,
}

impl Closures {
    /// Creates an empty set of closures.
    pub(crate) fn new(api: Native, shared: Arc<Shared>) -> Closures {
        Closures { api, shared, tokens: Vec::new() }
    }

    /// Binds the nodes of a message that call closures to those of their operations.
    ///
    /// # Errors
    /// `Unimplemented` for an operation without a closure; `FailedPrecondition` if TensorFlow cannot call closures of this program.
    pub(crate) fn bind(&mut self, added: &[Operation], nodes: &mut [NodeDef]) -> Result<()> {
        for (operation, node) in added.iter().zip(nodes) {
            self.bind_node(operation, node).map_err(|error| operation.place(error))?;
        }
        Ok(())
    }

    /// Binds the closures in the bodies of functions in the same way.
    ///
    /// # Errors
    /// As [`bind`](Closures::bind).
    pub(crate) fn bind_functions(&mut self, graph: &Graph, library: &mut FunctionDefLibrary) -> Result<()> {
        for message in &mut library.function {
            let name = message.signature.as_ref().map_or("", |signature| &signature.name);
            let Some(function) = graph.function(name) else { continue };
            for node in message.node_def.iter_mut().filter(|node| calls_closure(&node.op)) {
                let operation = function.body().operation(&node.name)?;
                self.bind_node(&operation, node).map_err(|error| operation.place(error))?;
            }
        }
        Ok(())
    }

    /// Registers the closure of an operation under a token that is unique in the process, and writes the token into its node.
    fn bind_node(&mut self, operation: &Operation, node: &mut NodeDef) -> Result<()> {
        if !calls_closure(&node.op) {
            return Ok(());
        }
        let token = token(operation);
        let function = operation.host_function().cloned().ok_or_else(|| unbound(&token))?;
        register_kernels(self.api, find)?;
        let closure = Closure { function, operation: operation.clone(), token, shared: self.shared.clone() };
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let value = AttrValue { value: Some(Value::String(unique.clone().into())) };
        node.attr.insert("token".to_owned(), value);
        with_closures(|closures| closures.insert(unique.clone(), Arc::new(closure)));
        self.tokens.push(unique);
        Ok(())
    }
}

impl Drop for Closures {
    fn drop(&mut self) {
        // Dropped outside of the lock: a closure may hold anything.
        let removed: Vec<_> =
            with_closures(|closures| self.tokens.iter().filter_map(|token| closures.remove(token)).collect());
        drop(removed);
    }
}

/// Calls a function with the table of all closures in this process.
fn with_closures<T>(change: impl FnOnce(&mut HashMap<String, Arc<dyn HostKernel>>) -> T) -> T {
    change(CLOSURES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Returns the closure of a token, for a kernel that TensorFlow has created.
fn find(token: &str) -> Result<Arc<dyn HostKernel>> {
    let found = with_closures(|closures| closures.get(token).cloned());
    found.ok_or_else(|| Error::new(Code::FailedPrecondition, "the session of this closure has ended"))
}

/// Returns true for the op types that call closures.
fn calls_closure(op_type: &str) -> bool {
    matches!(op_type, "PyFunc" | "PyFuncStateless" | "EagerPyFunc")
}

/// Returns the token that the graph has, under which `py_func` registered the closure in Python. Errors name it.
fn token(operation: &Operation) -> String {
    operation.attr("token").and_then(Attr::as_str).unwrap_or_default().to_owned()
}

/// Returns the error for an operation of an imported graph that no closure was bound to.
fn unbound(token: &str) -> Error {
    let text = format!(
        "no closure is bound to its token '{token}': bind one with ImportOptions::bind_py_func when the graph is imported"
    );
    Error::new(Code::Unimplemented, text)
}

/// Checks, when a session is created, that TensorFlow can call all closures of a graph: those of this process are out of reach for
/// a server.
///
/// # Errors
/// `Unimplemented`, with the names of operations that call closures on a server; the same for one without a closure.
pub(crate) fn check_closures(graph: &Graph, remote: bool) -> Result<()> {
    if remote {
        return refuse(py_funcs(graph));
    }
    let functions = graph.functions();
    let bodies = functions.iter().flat_map(|function| function.body().operations());
    for operation in graph.operations().into_iter().chain(bodies) {
        if calls_closure(operation.op_type()) && operation.host_function().is_none() {
            return Err(operation.place(unbound(&token(&operation))));
        }
    }
    Ok(())
}

/// Rejects operations that call closures, by name.
fn refuse(mut names: Vec<String>) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let count = names.len();
    names.truncate(3);
    let more = if count > 3 { ", ..." } else { "" };
    let text = format!(
        "a server of TensorFlow cannot call closures of this program, as the graph does in {}{more}: run it in a session \
         without a target, or on the embedded engine",
        names.join(", ")
    );
    Err(Error::new(Code::Unimplemented, text))
}
