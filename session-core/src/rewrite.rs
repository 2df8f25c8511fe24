//! Operations that are given another form in place.

use crate::operation::{INVALID, Node};
use crate::{Attrs, Error, GraphMember, OpDef, Operation, Output, OutputInfo, Result};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// Another form of an operation, of the same name and in the same place of its graph.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// The definition of its type.
    pub def: &'static OpDef,
    /// All its inputs.
    pub inputs: Vec<Output>,
    /// All its attributes.
    pub attrs: Attrs,
    /// All its outputs: those that it has, of the same dtypes, then further ones.
    pub outputs: Vec<OutputInfo>,
}

impl Operation {
    /// Replaces this operation by another form, which may have further inputs and outputs: how gradients make a loop keep what
    /// they need of its rounds. Its users continue to use it. Returns the operation as it is now; handles made before continue
    /// showing it as it was.
    ///
    /// A session that has run the operation already continues running it as it was.
    ///
    /// # Errors
    /// A runtime error on a finalized graph; a value error for an input of another graph, or for outputs that do not begin
    /// with those that there are.
    pub fn rewrite(&self, change: Rewrite) -> Result<Operation> {
        let graph = self.own_graph();
        if self.node.id == INVALID {
            // Returns the error of the operation that could not be created.
            self.check_belongs_to(&graph)?;
        }
        change.inputs.check_belongs_to(&graph).map_err(|error| self.place(error))?;
        // Users refer to outputs by their index, so the existing ones keep their places and dtypes.
        let kept = self.node.outputs.iter().zip(&change.outputs).filter(|(old, new)| old.dtype == new.dtype);
        if kept.count() != self.node.outputs.len() {
            let text = "a rewritten operation has all outputs that it had, of the same dtypes";
            return Err(self.place(Error::value(text)));
        }
        let node = Arc::new(Node {
            id: self.node.id,
            name: self.node.name.clone(),
            op_type: Cow::Borrowed(change.def.name()),
            def: Some(change.def),
            attrs: change.attrs,
            inputs: OnceLock::from(change.inputs.iter().map(Output::endpoint).collect::<Vec<_>>()),
            control_inputs: self.node.control_inputs.clone(),
            device: self.node.device.clone(),
            // The closure stays bound, since it belongs to the operation and not to its form.
            host: self.node.host.clone(),
            outputs: change.outputs,
            location: self.node.location,
            origin: self.node.origin.clone(),
            invalid: None,
        });
        graph.replace(node.clone()).map_err(|error| self.place(error))?;
        Ok(Operation { shared: self.shared.clone(), context: self.context.clone(), node })
    }
}
