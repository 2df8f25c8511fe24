//! References to variables in a plan: where an operation wants the value of a variable, a read is put in between.
//!
//! A reference stands for the variable itself, wherever it comes from: what an `Assign` gives is the same handle as what
//! it was given. So updates in a row all work on one handle that is known when the plan is made, and only their order
//! is kept: a read through the result of an update waits for that update, and each read for the control inputs of the
//! operation that wants the value.
//!
//! An `Identity` of a reference, such as the `read` that every variable of TensorFlow 1 has, stands for the reference too:
//! there it shares the variable's memory, and what uses it behind an update sees what that wrote. Moving averages that are
//! taken behind a training step rely on it.

use crate::compile::{Builder, IrNode, Value};
use crate::flow::{hands_on, joins};
use crate::kernel::{Kernel, KernelContext};
use crate::kernels::{PassingOn, facts, read_variable};
use crate::registry::{Role, Shares};
use rustc_hash::FxHashMap;
use session_core::{ArgType, Endpoint, Operation, Output, Result};

/// What is known of references while a plan is made.
#[derive(Default)]
pub(crate) struct References {
    /// The update that a reference must be read after.
    after: FxHashMap<Endpoint, usize>,
    /// Outputs that are values for the graph, and stand for the reference that they were read from.
    read_from: FxHashMap<Endpoint, Endpoint>,
    /// Reads that wait for nothing but that update, to be shared.
    reads: FxHashMap<Endpoint, Value>,
}

impl References {
    /// The update that a reference must be read after.
    pub(crate) fn after(&self, endpoint: Endpoint) -> Option<usize> {
        self.after.get(&endpoint).copied()
    }
}

impl Builder<'_, '_> {
    /// An operation's inputs, references read where it wants values, and what else it must wait for.
    pub(crate) fn inputs(&mut self, operation: &Operation) -> Result<(Vec<Value>, Vec<usize>)> {
        let endpoints = operation.input_endpoints();
        let mut control = self.control(operation);
        let own = control.len();
        let mut inputs = Vec::with_capacity(endpoints.len());
        for (index, &endpoint) in endpoints.iter().enumerate() {
            let source = operation.input(index);
            if joins(operation) && hands_on(source.operation()) {
                inputs.push(self.comes_round(index, endpoint));
                continue;
            }
            let value = self.value(endpoint)?;
            if !self.is_reference(&source) {
                inputs.push(value);
            } else if takes_reference(operation, index) {
                control.extend(self.references.after(endpoint));
                inputs.push(value);
            } else {
                inputs.push(self.read(source.operation(), endpoint, value, &control[..own]));
            }
        }
        Ok((inputs, control))
    }

    /// The value of a fetch.
    pub(crate) fn fetched(&mut self, endpoint: Endpoint) -> Result<Value> {
        let value = self.value(endpoint)?;
        let source = self.graph.operation_by_id(endpoint.op);
        match source.map(|source| source.output(endpoint.index as usize)) {
            Some(source) if self.is_reference(&source) => {
                Ok(self.read(source.operation(), endpoint, value, &[]))
            }
            _ => Ok(value),
        }
    }

    /// Whether what stands for an output is a reference.
    fn is_reference(&self, output: &Output) -> bool {
        let endpoint = output.endpoint();
        (output.is_ref() || self.references.read_from.contains_key(&endpoint)) && !self.is_fed(endpoint)
    }

    /// Lets an `Identity` of a variable that is known now stand for the variable; tells whether it is one.
    pub(crate) fn is_read_of_variable(&mut self, operation: &Operation) -> Result<bool> {
        let passes =
            facts(operation).is_some_and(|op| op.role == Role::PassOn && op.shares == Shares::Inputs);
        if !passes || operation.num_outputs() != 1 || !operation.control_input_ids().is_empty() {
            return Ok(false);
        }
        let (result, source) = (Endpoint { op: operation.id(), index: 0 }, operation.input(0));
        if !self.is_reference(&source) {
            return Ok(false);
        }
        let endpoint = source.endpoint();
        let value = self.value(endpoint)?;
        if !matches!(value, Value::Constant(_)) {
            return Ok(false);
        }
        let first = self.references.read_from.get(&endpoint).copied().unwrap_or(endpoint);
        self.references.read_from.insert(result, first);
        let after = self.references.after(endpoint);
        self.references.after.extend(after.map(|after| (result, after)));
        self.stand_for(result, value);
        Ok(true)
    }

    /// A read of a reference.
    fn read(&mut self, source: &Operation, endpoint: Endpoint, reference: Value, control: &[usize]) -> Value {
        let endpoint = self.references.read_from.get(&endpoint).copied().unwrap_or(endpoint);
        if let Some(&known) = self.references.reads.get(&endpoint).filter(|_| control.is_empty()) {
            return known;
        }
        let after = self.references.after(endpoint);
        let value = self.push_extra(IrNode {
            operations: vec![source.clone()],
            inputs: vec![reference],
            control: control.iter().copied().chain(after).collect(),
            outputs: 1,
            flow: None,
            kernel: Some(Box::new(|context: &mut KernelContext<'_>| read_variable(context))),
            has_effect: false,
            reads: true,
            waits: false,
            removed: false,
        });
        if control.is_empty() {
            self.references.reads.insert(endpoint, value);
        }
        value
    }

    /// Adds an operation; where its result is the reference that it was given, that is passed on.
    pub(crate) fn push_update(
        &mut self,
        operation: &Operation,
        inputs: Vec<Value>,
        control: Vec<usize>,
        kernel: Box<dyn Kernel>,
    ) {
        let result = Endpoint { op: operation.id(), index: 0 };
        let passes_on = takes_reference(operation, 0)
            && operation.output_infos().first().is_some_and(|output| output.is_ref);
        let reference = inputs.first().copied();
        match reference {
            Some(Value::Constant(_)) if passes_on => {
                self.push(operation, inputs, control, Some(kernel));
                let node = self.node_of(operation.id());
                self.references.after.extend(node.map(|node| (result, node)));
                self.stand_for(result, reference.expect("matched above"));
            }
            Some(_) if passes_on && facts(operation).is_none_or(|op| op.shares != Shares::Inputs) => {
                self.push(operation, inputs, control, Some(Box::new(PassingOn(kernel))));
            }
            _ => self.push(operation, inputs, control, Some(kernel)),
        }
    }
}

/// Whether an operation takes this input, counted through all lists, as a reference.
fn takes_reference(operation: &Operation, index: usize) -> bool {
    let Some(def) = operation.def() else { return false };
    let mut end = 0;
    for input in &def.signature().inputs {
        end += match &input.arg_type {
            ArgType::Repeated(count, _) => {
                let count = operation.attr(count).and_then(|count| count.as_int());
                count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
            }
            ArgType::List(types) => {
                operation.attr(types).and_then(|types| types.as_types()).map_or(0, |types| types.len())
            }
            ArgType::Fixed(_) | ArgType::Attr(_) => 1,
        };
        if index < end {
            return input.is_ref;
        }
    }
    false
}
