//! The operands of operations: where a value is wanted and a reference arrives, a read of the variable is
//! inserted.
//!
//! A read is shared by all users that wait for the same nodes. It comes after everything that its user waits
//! for, so the user sees the updates that the graph orders before it, as in TensorFlow, where a reference is
//! the memory of the variable.
//!
//! # Three kinds of inputs
//!
//! | the operation | gets | ordered after |
//! | --- | --- | --- |
//! | takes the reference (`Assign`), or forwards it | the handle | the update that returned the reference (`Operands::after`) |
//! | wants the value, and the input is a reference | a read | that update, and every changing node that the operation waits for |
//! | wants the value, and the input is a view of a reference | the view, computed again on a read | the same |
//!
//! A view is only computed again if something may have changed the variable; otherwise the first one is
//! shared.
//!
//! # Branches
//!
//! An `If` or `Case` may forward a reference in one branch and compute a result in another. A node after it
//! chooses between the reference and the result at run time, by the same condition.

use super::Builder;
use crate::flow::{Flow, hands_on, joins};
use crate::ir::{InputValues, IrNode, Operations, Value, producer};
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::{branch, facts, read_reference};
use crate::references::{passed_by_branches, passes, taken};
use crate::registry::{Call, OpType, Role, Shares};
use session_core::{Endpoint, Operation, Result};
use smallvec::smallvec;

/// The inputs of an operation, and everything else that it must wait for.
pub(super) struct Operands {
    /// The values of the inputs, with reads instead of references where values are wanted. An input from
    /// the end of a loop is `Node(usize::MAX, 0)` until the loop is closed.
    pub(super) values: InputValues,
    /// The nodes that it waits for by its control inputs.
    pub(super) control: Vec<usize>,
    /// The nodes that it waits for because references that it takes must be read, or updated, after them.
    pub(super) after: Vec<usize>,
}

impl Operands {
    /// Returns the values, and all further nodes to wait for.
    pub(super) fn all(mut self) -> (InputValues, Vec<usize>) {
        self.control.append(&mut self.after);
        (self.values, self.control)
    }
}

/// The maximum number of nested forms of a reference that are followed.
///
/// A chain of reshapes of a reference that is longer is computed once, before later updates. The limit bounds
/// the nodes that are added for each reader.
const VIEWS: u32 = 16;

impl Builder<'_> {
    /// Maps each output of an operation that forwards an input reference to that reference, to be read after
    /// its node.
    ///
    /// `index` is the node of the operation, and `taken` says which inputs it takes as references. An op that
    /// takes and returns a reference, such as `AssignAdd`, returns its first input; its result is the same
    /// handle, to be read after the update.
    pub(super) fn pass_references(&mut self, operation: &Operation, index: usize, taken: Option<&[bool]>) {
        let first = operation.input_endpoints().first().copied();
        let mut passed = passes(operation, self.shared.library);
        let gives = operation.output_infos().first().is_some_and(|output| output.is_ref);
        if gives && taken.is_some_and(|taken| taken.first() == Some(&true)) {
            passed = first.map(|first| (first, 0)).into_iter().collect();
        }
        if let Some(Role::Call(call @ (Call::If | Call::Case))) = facts(operation).map(|op| op.role) {
            for (output, inputs) in passed_by_branches(call, operation, self.shared.library) {
                self.pass_by_branch(operation, index, call, output, &inputs);
            }
            return;
        }
        for (input, output) in passed {
            let result = Endpoint { op: operation.id(), index: output };
            if self.references.contains(&result)
                && self.references.contains(&input)
                && let Ok(value) = self.value(input)
            {
                self.replaced.insert(result, value);
                self.after.insert(result, index);
            }
        }
        // A view of a view is recorded with its depth; the reference itself has depth 0.
        if let Some(first) = first
            && facts(operation).is_some_and(|op| op.shares == Shares::View)
        {
            let inside = self.views.get(&first).map(|(_, inside)| *inside);
            let inside = inside.or_else(|| self.references.contains(&first).then_some(0));
            if let Some(inside) = inside.filter(|&inside| inside < VIEWS) {
                let result = Endpoint { op: operation.id(), index: 0 };
                self.views.insert(result, (operation.clone(), inside + 1));
            }
        }
    }

    /// Maps an output of an `If` or `Case` to the reference that the branch taken forwards, if it does.
    ///
    /// `inputs` has for each branch the endpoint that it forwards. The node that is added has the condition,
    /// the call's own result and the references as inputs, and outputs one of the latter. Nothing is added if
    /// no forwarded input is a reference.
    fn pass_by_branch(
        &mut self,
        operation: &Operation,
        index: usize,
        call: Call,
        output: u32,
        inputs: &[Option<Endpoint>],
    ) {
        let branches = inputs.len();
        // After the condition and the result, the references, and for each branch which of them it returns.
        let Some(&condition) = operation.input_endpoints().first() else { return };
        let Ok(condition) = self.value(condition) else { return };
        let mut values: InputValues = smallvec![condition, Value::Node(index, output)];
        let mut places = vec![1; branches];
        for (place, input) in places.iter_mut().zip(inputs) {
            let reference = input.filter(|input| self.references.contains(input));
            if let Some(Ok(value)) = reference.map(|input| self.value(input)) {
                *place = values.len();
                values.push(value);
            }
        }
        if values.len() == 2 {
            return;
        }
        let kernel: Box<dyn Kernel> = Box::new(move |context: &mut KernelContext<'_>| {
            let value = context.input(places[branch(call, branches, context)?]).clone();
            context.set(0, value);
            Ok(())
        });
        let node = IrNode::added(smallvec![operation.clone()], values, vec![index], 1, Some(kernel));
        let given = self.push_node(node, false);
        let result = Endpoint { op: operation.id(), index: output };
        self.replaced.insert(result, given);
        self.after.insert(result, index);
    }

    /// Returns an operation's inputs, references read where it wants values, and what else it must wait for.
    ///
    /// The values are complete except for the ends of loops. Nodes for reads and views are added here, before
    /// the node of the operation.
    ///
    /// # Errors
    /// `Unimplemented` if an input comes from a cycle, and errors of kernels that are made for views.
    pub(super) fn operands(&mut self, operation: &Operation, op: Option<&OpType>) -> Result<Operands> {
        let endpoints = operation.input_endpoints();
        let mut operands = Operands {
            values: InputValues::with_capacity(endpoints.len()),
            control: self.control(operation),
            after: Vec::new(),
        };
        let joins = joins(operation);
        let mut wanted = Vec::new();
        let passes = op.is_some_and(|op| op.role == Role::PassOn || op.control().is_some());
        // Resource variables need none of this: their reads are operations of the graph.
        let taken = if self.references.is_empty() { None } else { taken(operation) };
        for (index, &endpoint) in endpoints.iter().enumerate() {
            if joins && hands_on(operation.input(index).operation()) {
                self.coming_round.push((operation.id(), index, endpoint));
                operands.values.push(Value::Node(usize::MAX, 0));
                continue;
            }
            let mut value = self.value(endpoint)?;
            if self.references.contains(&endpoint) {
                let is_taken = taken.as_ref().is_some_and(|taken| taken.get(index) == Some(&true));
                if is_taken || passes && self.passes_reference(operation, index) {
                    let after = self.after.get(&endpoint).copied();
                    match after {
                        // A merge of branches must not wait for one of them.
                        Some(after) if joins => value = self.hand_over(operation, value, after),
                        _ => operands.after.extend(after),
                    }
                } else {
                    wanted.push(index);
                }
            } else if self.views.contains_key(&endpoint) {
                wanted.push(index);
            }
            operands.values.push(value);
        }
        if !wanted.is_empty() {
            self.read_wanted(operation, &mut operands, &wanted)?;
        }
        Ok(operands)
    }

    /// Returns true if an input that is a reference is passed on as one.
    ///
    /// The second input of a `Switch` is its condition, whose value is needed even if it is a reference.
    fn passes_reference(&self, operation: &Operation, index: usize) -> bool {
        let flow = Flow::of(operation, facts(operation));
        let output = if flow.is_some() { 0 } else { index as u32 };
        self.references.contains(&Endpoint { op: operation.id(), index: output })
            && (index == 0 || flow != Some(Flow::Switch))
    }

    /// Returns the reference as the output of a new node that runs after `after`. The handle is the same;
    /// only the order is added, and if `after` does not run, the output is dead like it.
    fn hand_over(&mut self, operation: &Operation, reference: Value, after: usize) -> Value {
        let kernel: Box<dyn Kernel> = Box::new(|context: &mut KernelContext<'_>| {
            let value = context.take(0);
            context.set(0, value);
            Ok(())
        });
        let operations = smallvec![operation.clone()];
        self.push_node(IrNode::added(operations, smallvec![reference], vec![after], 1, Some(kernel)), false)
    }

    /// Reads the inputs of an operation that it wants as values, after whatever it waits for that may change
    /// them.
    ///
    /// `wanted` has the positions of these inputs, ascending. Nodes that cannot change a variable are not
    /// waited for, so most reads of a step wait for nothing and are shared.
    fn read_wanted(
        &mut self,
        operation: &Operation,
        operands: &mut Operands,
        wanted: &[usize],
    ) -> Result<()> {
        let endpoints = operation.input_endpoints();
        let mut next = wanted.iter().copied().peekable();
        let mut before = operands.control.clone();
        for (index, &value) in operands.values.iter().enumerate() {
            if next.next_if_eq(&index).is_none() {
                before.extend(producer(value));
            }
        }
        before.extend(wanted.iter().filter_map(|&index| self.after.get(&endpoints[index]).copied()));
        before.retain(|&node| self.is_changing(node));
        before.sort_unstable();
        before.dedup();
        if before.len() > 1 && wanted.len() > 1 {
            // One node stands for all of them.
            let node = IrNode::added(smallvec![operation.clone()], InputValues::new(), before, 0, None);
            self.push_node(node, false);
            before = vec![self.nodes.len() - 1];
        }
        for &index in wanted {
            operands.values[index] = self.read(endpoints[index], &before)?;
        }
        Ok(())
    }

    /// Returns the value of a reference, or of another form of one, after these nodes.
    ///
    /// An endpoint that is neither a reference nor a view has its value already. The key of a shared read
    /// contains the nodes in the order in which they were given, which `read_wanted` has sorted.
    fn read(&mut self, endpoint: Endpoint, before: &[usize]) -> Result<Value> {
        let value = self.value(endpoint)?;
        if let Some((view, _)) = self.views.get(&endpoint).cloned() {
            return if before.is_empty() { Ok(value) } else { self.view(&view, before) };
        }
        if !self.references.contains(&endpoint) {
            return Ok(value);
        }
        let mut before = before.to_vec();
        before.extend(self.after.get(&endpoint).copied().filter(|after| !before.contains(after)));
        let key = (value, before);
        if let Some(&known) = self.reads.get(&key) {
            return Ok(known);
        }
        let source: Operations = self.graph.operation_by_id(endpoint.op).into_iter().collect();
        let kernel: Box<dyn Kernel> = Box::new(|context: &mut KernelContext<'_>| read_reference(context));
        let node = IrNode::added(source, smallvec![value], key.1.clone(), 1, Some(kernel));
        let read = self.push_node(IrNode { reads: true, ..node }, false);
        self.reads.insert(key, read);
        Ok(read)
    }

    /// Returns another form of a reference, computed from reads after these nodes.
    ///
    /// # Errors
    /// The error of the maker of the view's kernel.
    fn view(&mut self, operation: &Operation, before: &[usize]) -> Result<Value> {
        let inputs = operation.input_endpoints().iter().map(|&input| self.read(input, before));
        let inputs = inputs.collect::<Result<InputValues>>()?;
        let resources = &self.shared.environment.resources;
        let spec = NodeSpec { operation, function: self.function, resources };
        let kernel = facts(operation).and_then(|op| op.make).map(|make| make(&spec)).transpose()?;
        // The reads wait for the nodes, so the view need not.
        Ok(self.push_node(IrNode::joined(smallvec![operation.clone()], inputs, Vec::new(), 1, kernel), false))
    }

    /// Returns the value of a fetch. A reference is fetched as it is and read when the step is over: in
    /// TensorFlow, what is fetched of a reference shares the variable's memory, and shows whatever the step
    /// writes there.
    pub(super) fn fetched(&mut self, endpoint: Endpoint) -> Result<Value> {
        if self.references.contains(&endpoint) { self.value(endpoint) } else { self.read(endpoint, &[]) }
    }

    /// Returns the positions of the fetches that are references, with the operations that errors of their
    /// reads name.
    pub(super) fn late_fetches(&self) -> Vec<(usize, Operation)> {
        let late = self.key.fetches.iter().enumerate().filter(|(_, fetch)| self.references.contains(fetch));
        late.filter_map(|(index, fetch)| Some((index, self.graph.operation_by_id(fetch.op)?))).collect()
    }
}
