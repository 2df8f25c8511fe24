//! Operations that call closures of the program.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{AttrValue, Code, Error, HostContext, HostFunction, OutputInfo, Result};
use tensor::Tensor;

pub(crate) fn register(registry: &mut Registry) {
    registry.add_all(["PyFunc", "PyFuncStateless", "EagerPyFunc"], |spec| {
        let function = HostCall::new(spec)?;
        Ok(boxed(move |context| function.run(context)))
    });
}

/// One operation's call of its closure.
struct HostCall {
    function: HostFunction,
    node: String,
    token: String,
    declared: Vec<OutputInfo>,
}

impl HostCall {
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

    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let inputs: Vec<Tensor> = (0..context.num_inputs()).map(|input| context.take(input)).collect();
        let limits = context.limits;
        let host = HostContext::new(&self.node).ended_by(limits.session, limits.run, limits.deadline);
        let values = self.function.call_declared(&self.token, &self.declared, &inputs, &host)?;
        values.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
        Ok(())
    }
}
