//! Copies of parts of a graph, as bodies of functions.

use crate::array::constants::PLACEHOLDER;
use crate::state::handle_attrs;
use session_core::{Endpoint, Error, Graph, OpId, Operation, Output, Result};
use std::collections::{HashMap, HashSet};

/// A part of a graph, copied.
pub(super) struct Part {
    /// The copy.
    pub(super) graph: Graph,
    /// The arguments that stand for what was cut off, in the order requested.
    pub(super) arguments: Vec<Output>,
    /// The copies of operations, by the ids of the originals.
    operations: HashMap<OpId, Operation>,
    /// The values that stand for outputs of the source: arguments, or what `make` computed instead.
    cut: HashMap<Endpoint, Output>,
}

impl Part {
    /// Copies what leads from `cut` to `outputs` and `operations` into the body of a function that is called in `outer`. What
    /// is cut is an argument of the copy.
    pub(super) fn of(
        source: &Graph,
        outer: &Graph,
        cut: &[Output],
        outputs: &[Output],
        operations: &[Operation],
    ) -> Result<Part> {
        Part::with(
            source,
            outer,
            cut,
            (&[], |_: &Graph, output: &Output| output.clone()),
            outputs,
            operations,
        )
    }

    /// Works as [`of`](Part::of), with outputs instead of which the copy has values that it computes itself.
    pub(super) fn with(
        source: &Graph,
        outer: &Graph,
        cut: &[Output],
        (made, mut make): (&[Output], impl FnMut(&Graph, &Output) -> Output),
        outputs: &[Output],
        operations: &[Operation],
    ) -> Result<Part> {
        let graph = Graph::new().copied_as_body(outer);
        let mut part = Part { graph, arguments: Vec::new(), operations: HashMap::new(), cut: HashMap::new() };
        // The arguments come first, in the order of `cut`, because callers pass their values by position.
        for output in cut {
            let argument = part.argument(source, output);
            part.cut.insert(output.endpoint(), argument.clone());
            part.arguments.push(argument);
        }
        // Names of the source are kept for what is copied.
        let scope = part.graph.scope("made_of_the_gradient");
        for output in made {
            part.cut.insert(output.endpoint(), make(&scope, output));
        }
        // A root that is cut is an argument or a made value; its operation must not be copied as well.
        let outputs = outputs.iter().filter(|output| !part.cut.contains_key(&output.endpoint()));
        let roots: Vec<OpId> = outputs
            .map(|output| output.operation().id())
            .chain(operations.iter().map(Operation::id))
            .collect();
        for id in part.needed(source, &roots)? {
            part.copy(source, id)?;
        }
        Ok(part)
    }

    /// An argument that stands for an output of the source.
    fn argument(&self, source: &Graph, output: &Output) -> Output {
        let name = output.operation().name().replace('/', "_");
        let taken = |name: &str| {
            let other = source.operation(name).is_ok_and(|known| known != *output.operation());
            other || self.graph.operation(name).is_ok()
        };
        let mut free = name.clone();
        let mut number = 0;
        while taken(&free) {
            number += 1;
            free = format!("{name}_{number}");
        }
        // A name that ends with a slash is taken as it is.
        let builder = self.graph.op(&PLACEHOLDER).name(format!("{free}/")).attrs(handle_attrs(output));
        let builder = builder.attr("dtype", output.dtype()).attr("shape", output.shape().clone());
        builder.finish_output()
    }

    /// A further argument, of this name or one like it.
    pub(super) fn add_argument(&mut self, name: &str, like: &Output) -> Output {
        let builder = self.graph.op(&PLACEHOLDER).name(name).attrs(handle_attrs(like));
        let builder = builder.attr("dtype", like.dtype()).attr("shape", like.shape().clone());
        let argument = builder.finish_output();
        self.arguments.push(argument.clone());
        argument
    }

    /// The operations that these need, each after its inputs.
    ///
    /// The search is iterative, because models may be deeper than the thread's stack. An operation that is
    /// open already is skipped, so a cycle ends the search instead of running forever.
    fn needed(&self, source: &Graph, roots: &[OpId]) -> Result<Vec<OpId>> {
        let (mut order, mut done, mut open) = (Vec::new(), HashSet::new(), HashSet::new());
        let mut stack: Vec<(OpId, bool)> = roots.iter().rev().map(|&id| (id, false)).collect();
        while let Some((id, inputs_done)) = stack.pop() {
            if inputs_done {
                if done.insert(id) {
                    order.push(id);
                }
                continue;
            }
            if done.contains(&id) || !open.insert(id) {
                continue;
            }
            stack.push((id, true));
            let operation = find(source, id)?;
            let inputs = operation.input_endpoints().iter().filter(|input| !self.cut.contains_key(input));
            let control = operation.control_input_ids().iter().copied().filter(|id| !self.is_cut(*id));
            let before = inputs.map(|input| input.op).chain(control);
            let before: Vec<OpId> = before.filter(|id| !done.contains(id)).collect();
            stack.extend(before.into_iter().rev().map(|id| (id, false)));
        }
        Ok(order)
    }

    /// Returns true if outputs of an operation are cut off, so that nothing here waits for it.
    fn is_cut(&self, id: OpId) -> bool {
        self.cut.keys().any(|endpoint| endpoint.op == id)
    }

    /// Copies one operation, whose inputs have been copied, under its own name. Attributes, device, location,
    /// static shapes and host function are those of the original.
    ///
    /// # Errors
    /// A runtime error if an input is neither cut nor copied; whatever the copy's definition finds.
    fn copy(&mut self, source: &Graph, id: OpId) -> Result<()> {
        let operation = find(source, id)?;
        let builder = match operation.def() {
            Some(def) => self.graph.op(def),
            None => self.graph.undefined_op(operation.op_type()),
        };
        let builder = builder.name(format!("{}/", operation.name())).attrs(operation.attrs().clone());
        // Inputs are set afterwards: the shapes are taken from the original instead of being inferred again
        // from arguments that may know less.
        let builder = builder.device(operation.device()).location(operation.location()).open_inputs();
        let builder = match operation.host_function() {
            Some(function) => builder.host_function(function),
            None => builder,
        };
        let infos = operation.output_infos().iter();
        let builder = infos.fold(builder, |builder, info| builder.described_output(info.clone()));
        // Control inputs that were cut off are dropped: what the arguments stand for is complete
        // before the function is called.
        let before = operation.control_input_ids().iter().filter_map(|id| self.operations.get(id));
        let builder = before.fold(builder, |builder, before| builder.control_input(before));
        let copy = builder.try_finish()?;
        let inputs = operation.inputs();
        let inputs = inputs.iter().map(|input| self.find(input)).collect::<Result<Vec<Output>>>()?;
        copy.set_inputs(&inputs)?;
        self.operations.insert(id, copy);
        Ok(())
    }

    /// Returns the copy of an output of the source.
    pub(super) fn find(&self, output: &Output) -> Result<Output> {
        if let Some(argument) = self.cut.get(&output.endpoint()) {
            return Ok(argument.clone());
        }
        let copy = self.operations.get(&output.operation().id());
        let copy = copy.map(|operation| operation.output(output.index()));
        copy.ok_or_else(|| Error::runtime(format!("'{}' is not part of the copy", output.name())))
    }

    /// Returns the copies of operations of the source.
    pub(super) fn find_operations(&self, operations: &[Operation]) -> Vec<Operation> {
        operations.iter().filter_map(|operation| self.operations.get(&operation.id()).cloned()).collect()
    }
}

fn find(source: &Graph, id: OpId) -> Result<Operation> {
    source.operation_by_id(id).ok_or_else(|| Error::runtime("a function lacks an operation"))
}
