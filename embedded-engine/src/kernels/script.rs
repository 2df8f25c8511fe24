//! Operations that call closures of the program.
//!
//! # Semantics
//!
//! `PyFunc`, `PyFuncStateless` and `EagerPyFunc` pass all inputs to the closure that is bound to the
//! operation and deliver what it returns. Number, dtypes and shapes of the results are compared with the
//! declared ones. An operation without a closure counts as missing a kernel, with its token as the reason; so
//! graphs of Python programs load, and report what to bind.
//!
//! The closure runs on the thread of the step, without any lock of the engine. It sees the limits of the run
//! in its `HostContext`; a panic in it becomes an error. Whether a call may be folded or left out follows
//! from the op type: only `PyFuncStateless` is stateless.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{AttrValue, Code, Error, HostContext, HostFunction, OutputInfo, Result};
use tensor::Tensor;

/// Registers the three op types, whose kernels are the same.
pub(crate) fn register(registry: &mut Registry) {
    let closures = registry.add_all(["PyFunc", "PyFuncStateless", "EagerPyFunc"], |spec| {
        let function = HostCall::new(spec)?;
        Ok(boxed(move |context| function.run(context)))
    });
    // A closure may return any error, that of the end of its input included.
    closures.ends().calls_program();
}

/// One operation's call of its closure, with what errors say about it.
struct HostCall {
    /// The closure. It belongs to the operation, and other operations may share it.
    function: HostFunction,
    /// The name of the operation, with the function that contains it.
    node: String,
    /// The attribute `token`, which names the closure in the graph.
    token: String,
    /// The dtypes and shapes that the results must have.
    declared: Vec<OutputInfo>,
}

impl HostCall {
    /// Returns the call of an operation.
    ///
    /// # Errors
    /// `Unimplemented` for an operation that no closure is bound to.
    fn new(spec: &NodeSpec<'_>) -> Result<HostCall> {
        let operation = spec.operation;
        let token = operation.attr("token").and_then(AttrValue::as_str).unwrap_or_default().to_owned();
        let function = operation.host_function().cloned().ok_or_else(|| {
            let text = format!(
                "no closure is bound to its token '{token}': bind one with ImportOptions::bind_py_func when the graph is \
                 imported"
            );
            Error::new(Code::Unimplemented, text)
        })?;
        let node = match spec.function {
            Some(function) => format!("{function}/{}", operation.name()),
            None => operation.name().to_owned(),
        };
        Ok(HostCall { function, node, token, declared: operation.output_infos().to_vec() })
    }

    /// Calls the closure with all inputs. Tensors are shared handles, so what the closure keeps stays valid
    /// and is never written to.
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let inputs: Vec<Tensor> = (0..context.num_inputs()).map(|input| context.take(input)).collect();
        // Passed on, because only the closure itself can end a long call early.
        let limits = context.limits;
        let host = HostContext::new(&self.node).ended_by(limits.session, limits.run, limits.deadline);
        let values = self.function.call_declared(&self.token, &self.declared, &inputs, &host)?;
        values.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
        Ok(())
    }
}
