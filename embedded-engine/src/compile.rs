//! From a graph and a set of fetches and feeds to a plan.

use crate::execute::Limits;
use crate::flow::{Flow, hands_on, joins};
use crate::frames;
use crate::functions::{make_caller, make_function};
use crate::fuse;
use crate::kernel::{Environment, Input, Kernel, KernelContext, NodeSpec, UNUSED};
use crate::kernels::facts;
use crate::late;
use crate::missing::Missing;
use crate::plan::{Plan, PlanKey, PlanStep};
use crate::references::References;
use crate::registry::{Role, has_effect};
use crate::schedule;
use compute::Scratch;
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{CancellationToken, Code, Endpoint, Error, Graph, OpId, Operation, Output, Phase, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tensor::{DType, Tensor};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// An output of a node.
    Node(usize, u32),
    /// A feed.
    Feed(u32),
    /// A constant.
    Constant(u32),
}

/// One operation of a plan in the making.
pub(crate) struct IrNode {
    /// The operations it stands for, several once fused; the first names it in messages.
    pub(crate) operations: Vec<Operation>,
    pub(crate) inputs: Vec<Value>,
    /// Nodes that must have run before, beside those of the inputs.
    pub(crate) control: Vec<usize>,
    pub(crate) outputs: usize,
    /// Absent for operations that do nothing but order others.
    pub(crate) kernel: Option<Box<dyn Kernel>>,
    /// Whether it must run although nobody needs its outputs.
    pub(crate) has_effect: bool,
    /// What it does to the flow of control.
    pub(crate) flow: Option<Flow>,
    /// Whether it only looks at the variables of its handles.
    pub(crate) reads: bool,
    /// Whether it may have to wait for another thread.
    pub(crate) waits: bool,
    pub(crate) removed: bool,
}

impl IrNode {
    pub(crate) fn operation(&self) -> &Operation {
        &self.operations[0]
    }
}

/// A plan in the making.
pub(crate) struct Ir {
    /// In an order in which inputs come before their users.
    pub(crate) nodes: Vec<IrNode>,
    pub(crate) constants: Vec<Tensor>,
    pub(crate) fetches: Vec<Value>,
    pub(crate) targets: Vec<usize>,
}

impl Ir {
    /// How often each value is used, fetches included.
    pub(crate) fn uses(&self) -> FxHashMap<Value, usize> {
        let mut uses = FxHashMap::default();
        let live = self.nodes.iter().filter(|node| !node.removed);
        for value in live.flat_map(|node| &node.inputs).chain(&self.fetches) {
            *uses.entry(*value).or_insert(0) += 1;
        }
        uses
    }

    /// Removes nodes that nothing needs and that have no effect.
    pub(crate) fn sweep(&mut self) {
        let mut needed = vec![false; self.nodes.len()];
        let mut pending: Vec<usize> = self.targets.clone();
        pending.extend(self.fetches.iter().filter_map(|value| producer(*value)));
        pending.extend((0..self.nodes.len()).filter(|&i| self.nodes[i].has_effect && !self.nodes[i].removed));
        while let Some(index) = pending.pop() {
            if !std::mem::replace(&mut needed[index], true) {
                let node = &self.nodes[index];
                pending.extend(node.inputs.iter().filter_map(|value| producer(*value)));
                pending.extend(&node.control);
            }
        }
        for (node, needed) in self.nodes.iter_mut().zip(needed) {
            node.removed |= !needed;
        }
    }
}

/// The node that a value comes from.
pub(crate) fn producer(value: Value) -> Option<usize> {
    if let Value::Node(index, _) = value { Some(index) } else { None }
}

/// Compiles a step.
pub(crate) fn compile(
    graph: &Graph,
    key: &PlanKey,
    environment: &Environment,
    optimize: bool,
) -> Result<Plan> {
    graph.check()?;
    if graph.is_empty() {
        return Err(Error::runtime("the graph is empty: there is nothing to run"));
    }
    let mut compilation =
        Compilation { library: graph, environment, optimize, calls: Vec::new(), missing: Missing::default() };
    let plan = compile_part(graph, key, &mut compilation)?;
    compilation.missing.check()?;
    Ok(plan)
}

/// What the parts of a step share while it is compiled: its graph, and the functions that are called.
pub(crate) struct Compilation<'a> {
    /// The graph that holds the functions.
    pub(crate) library: &'a Graph,
    pub(crate) environment: &'a Environment,
    pub(crate) optimize: bool,
    /// The functions inside of each other that are being compiled.
    pub(crate) calls: Vec<String>,
    pub(crate) missing: Missing,
}

/// Compiles a step's own graph, or the body of a function. Where kernels are missing, the plan is of no use.
pub(crate) fn compile_part(graph: &Graph, key: &PlanKey, compilation: &mut Compilation<'_>) -> Result<Plan> {
    graph.check()?;
    let (environment, optimize) = (compilation.environment, compilation.optimize);
    let mut builder = Builder::new(graph, key, compilation)?;
    builder.collect()?;
    let mut ir = builder.finish()?;
    let fed = builder.fed;
    if optimize {
        fuse::fuse(&mut ir, environment);
    }
    ir.sweep();
    if frames::has_flow(&ir) {
        return frames::emit(ir, fed);
    }
    let order = schedule::schedule(&ir)?;
    Ok(emit(ir, &order, fed))
}

/// Builds the intermediate form.
pub(crate) struct Builder<'a, 'c> {
    pub(crate) graph: &'a Graph,
    key: &'a PlanKey,
    compilation: &'a mut Compilation<'c>,
    environment: &'c Environment,
    optimize: bool,
    fed: Vec<Output>,
    feed_index: FxHashMap<Endpoint, u32>,
    /// The operations needed, in the order of their ids.
    operations: BTreeMap<OpId, Operation>,
    nodes: Vec<IrNode>,
    constants: Vec<Tensor>,
    /// The nodes of operations that have one.
    node_of: FxHashMap<OpId, usize>,
    /// What stands for outputs that no node computes.
    replaced: FxHashMap<Endpoint, Value>,
    pub(crate) references: References,
    /// The nodes that run only when a branch is taken, or in the rounds of a loop.
    conditional: Vec<bool>,
    /// Operations that others wait for without needing a value, where some may not run.
    waited_for: FxHashSet<OpId>,
    /// Inputs that come round in a loop: node, input, output.
    coming_round: Vec<(usize, usize, Endpoint)>,
}

/// Results with more elements are computed in each run rather than kept in the plan.
const FOLD_LIMIT: usize = 16 << 20;

impl<'a, 'c> Builder<'a, 'c> {
    fn new(
        graph: &'a Graph,
        key: &'a PlanKey,
        compilation: &'a mut Compilation<'c>,
    ) -> Result<Builder<'a, 'c>> {
        let find = |endpoint: &Endpoint| -> Result<Output> {
            let operation = graph.operation_by_id(endpoint.op);
            operation
                .filter(|operation| (endpoint.index as usize) < operation.num_outputs())
                .map(|operation| operation.output(endpoint.index as usize))
                .ok_or_else(|| Error::value("a feed is not an output of this graph"))
        };
        Ok(Builder {
            graph,
            key,
            environment: compilation.environment,
            optimize: compilation.optimize,
            compilation,
            fed: key.feeds.iter().map(find).collect::<Result<_>>()?,
            feed_index: key.feeds.iter().enumerate().map(|(i, &endpoint)| (endpoint, i as u32)).collect(),
            operations: BTreeMap::new(),
            nodes: Vec::new(),
            constants: Vec::new(),
            node_of: FxHashMap::default(),
            replaced: FxHashMap::default(),
            references: References::default(),
            conditional: Vec::new(),
            waited_for: FxHashSet::default(),
            coming_round: Vec::new(),
        })
    }

    /// Finds the operations that fetches and targets need, cutting the graph at feeds (S-48).
    fn collect(&mut self) -> Result<()> {
        let fetched = self.key.fetches.iter().filter(|fetch| !self.feed_index.contains_key(fetch));
        let mut pending: Vec<OpId> =
            fetched.map(|fetch| fetch.op).chain(self.key.targets.iter().copied()).collect();
        while let Some(id) = pending.pop() {
            if self.operations.contains_key(&id) {
                continue;
            }
            let operation = self.graph.operation_by_id(id);
            let operation =
                operation.ok_or_else(|| Error::value("a fetch is not an operation of this graph"))?;
            let inputs = operation.input_endpoints().iter();
            pending.extend(inputs.filter(|input| !self.feed_index.contains_key(input)).map(|input| input.op));
            pending.extend(operation.control_input_ids());
            self.operations.insert(id, operation);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Ir> {
        if self.operations.values().any(|operation| Flow::of(operation).is_some()) {
            let waited_for = self.operations.values().flat_map(|operation| operation.control_input_ids());
            self.waited_for = waited_for.copied().collect();
        }
        for operation in self.inputs_first()? {
            self.add(operation)?;
        }
        for (node, input, endpoint) in std::mem::take(&mut self.coming_round) {
            self.nodes[node].inputs[input] = self.value(endpoint)?;
        }
        let fetches = self.key.fetches.iter().map(|&fetch| self.fetched(fetch)).collect::<Result<_>>()?;
        let targets = self.key.targets.iter().filter_map(|id| self.node_of.get(id).copied()).collect();
        Ok(Ir {
            nodes: std::mem::take(&mut self.nodes),
            constants: std::mem::take(&mut self.constants),
            fetches,
            targets,
        })
    }

    /// The operations in the order of the graph, but each behind its inputs, loops cut open where they go round.
    fn inputs_first(&mut self) -> Result<Vec<Operation>> {
        let operations = std::mem::take(&mut self.operations);
        let mut waits: FxHashMap<OpId, usize> = FxHashMap::default();
        let mut users: FxHashMap<OpId, Vec<OpId>> = FxHashMap::default();
        for operation in operations.values() {
            let joins = joins(operation);
            let inputs = operation.input_endpoints().iter().filter(|input| !self.is_fed(**input));
            let inputs = inputs.map(|input| input.op);
            let inputs = inputs.filter(|op| !(joins && hands_on(&operations[op])));
            for before in inputs.chain(operation.control_input_ids().iter().copied()) {
                *waits.entry(operation.id()).or_insert(0) += 1;
                users.entry(before).or_default().push(operation.id());
            }
        }
        let mut ready: BTreeSet<OpId> =
            operations.keys().copied().filter(|id| !waits.contains_key(id)).collect();
        let mut order = Vec::with_capacity(operations.len());
        while let Some(id) = ready.pop_first() {
            order.push(operations[&id].clone());
            for user in users.remove(&id).unwrap_or_default() {
                let left = waits.entry(user).or_insert(1);
                *left -= 1;
                if *left == 0 {
                    ready.insert(user);
                }
            }
        }
        if order.len() < operations.len() {
            return Err(Error::new(Code::Unimplemented, "the graph has a loop without 'NextIteration'"));
        }
        Ok(order)
    }

    /// Whether an output is a value that is given from outside.
    pub(crate) fn is_fed(&self, endpoint: Endpoint) -> bool {
        self.feed_index.contains_key(&endpoint)
    }

    /// What stands for an output.
    pub(crate) fn value(&self, endpoint: Endpoint) -> Result<Value> {
        if let Some(&feed) = self.feed_index.get(&endpoint) {
            return Ok(Value::Feed(feed));
        }
        if let Some(&value) = self.replaced.get(&endpoint) {
            return Ok(value);
        }
        let node = self.node_of.get(&endpoint.op).copied();
        node.map(|node| Value::Node(node, endpoint.index)).ok_or_else(|| {
            Error::new(Code::Unimplemented, "the graph has a loop, which this engine cannot run")
        })
    }

    fn add(&mut self, operation: Operation) -> Result<()> {
        self.try_add(&operation).map_err(|error| operation.place(error).with_phase(Phase::Run))
    }

    fn try_add(&mut self, operation: &Operation) -> Result<()> {
        if self.is_read_of_variable(operation)? {
            return Ok(());
        }
        let (inputs, control) = self.inputs(operation)?;
        let role = facts(operation).map(|op| op.role);
        match role {
            Some(Role::Placeholder) => return Err(unfed(operation)),
            Some(Role::Constant) if control.is_empty() => {
                let value = operation.attr("value").and_then(|value| value.as_tensor()).cloned();
                let value = value.ok_or_else(|| Error::value("a constant without value"))?;
                return self.replace(operation, vec![value]);
            }
            _ if self.is_passed_on(operation, role, &control, &inputs) => {
                for (index, value) in inputs.into_iter().enumerate() {
                    self.replaced.insert(Endpoint { op: operation.id(), index: index as u32 }, value);
                }
                return Ok(());
            }
            // What is not computed has no shape.
            Some(Role::Shape)
                if self.optimize && control.is_empty() && !self.is_conditional(&inputs, &[]) =>
            {
                if let Some(shape) = static_shape(operation) {
                    return self.replace(operation, vec![shape]);
                }
            }
            Some(Role::Order | Role::Trigger) => {
                self.push(operation, inputs, control, None);
                return Ok(());
            }
            _ => {}
        }
        self.add_with_kernel(operation, inputs, control)
    }

    /// Whether an operation only gives another name to its inputs.
    fn is_passed_on(
        &self,
        operation: &Operation,
        role: Option<Role>,
        control: &[usize],
        inputs: &[Value],
    ) -> bool {
        // What never changes enters a loop as it is.
        let constant = matches!(Flow::of(operation), Some(Flow::Enter { is_constant: true, .. }))
            && inputs.iter().all(|input| matches!(input, Value::Constant(_)));
        // Where some operations do not run, those that others wait for must tell whether they did.
        let passes = role == Some(Role::PassOn)
            && !(self.waited_for.contains(&operation.id()) && self.is_conditional(inputs, control));
        control.is_empty() && (constant || passes)
    }

    /// Whether what is made from these may not run in each step, or several times.
    fn is_conditional(&self, inputs: &[Value], control: &[usize]) -> bool {
        let inputs = inputs.iter().filter_map(|&input| producer(input));
        inputs.chain(control.iter().copied()).any(|node| self.conditional.get(node) != Some(&false))
    }

    fn add_with_kernel(
        &mut self,
        operation: &Operation,
        inputs: Vec<Value>,
        control: Vec<usize>,
    ) -> Result<()> {
        let op = facts(operation);
        if let Some(Role::Call(call)) = op.map(|op| op.role) {
            let kernel = make_caller(operation, call, self.compilation)?;
            self.push_update(operation, inputs, control, kernel);
            return Ok(());
        }
        let Some((op, make)) = op.and_then(|op| Some((op, op.make?))) else {
            if self.compilation.library.function(operation.op_type()).is_some() {
                let kernel = make_function(operation.op_type(), self.compilation)?;
                self.push_update(operation, inputs, control, kernel);
                return Ok(());
            }
            self.compilation.missing.add(operation, self.compilation.calls.last().map(String::as_str));
            // Stands in until the list of what is missing is complete.
            self.push(operation, inputs, control, None);
            return Ok(());
        };
        let constants: Vec<Option<Tensor>> = inputs.iter().map(|&input| self.constant(input)).collect();
        let function = self.compilation.calls.last().map(String::as_str);
        let spec = NodeSpec { operation, function, resources: &self.environment.resources };
        let kernel = make(&spec)?;
        if op.control().is_some() {
            self.push(operation, inputs, control, Some(kernel));
            return Ok(());
        }
        let stateless = !has_effect(operation) && !op.changes;
        let small =
            operation.output_infos().iter().all(|info| info.shape.elements().is_none_or(|n| n <= FOLD_LIMIT));
        let is_handle = op.role == Role::Handle;
        let foldable = is_handle || (self.optimize && stateless && small && control.is_empty());
        if foldable && constants.iter().all(Option::is_some) {
            let constants = constants.into_iter().flatten().collect();
            // What fails here fails again when it runs, and is reported there.
            if let Ok(values) = fold(kernel.as_ref(), constants, operation.num_outputs(), self.environment) {
                return self.replace(operation, values);
            }
        }
        self.push_update(operation, inputs, control, kernel);
        Ok(())
    }

    pub(crate) fn push(
        &mut self,
        operation: &Operation,
        inputs: Vec<Value>,
        control: Vec<usize>,
        kernel: Option<Box<dyn Kernel>>,
    ) {
        self.node_of.insert(operation.id(), self.nodes.len());
        let op = facts(operation);
        self.push_extra(IrNode {
            operations: vec![operation.clone()],
            inputs,
            control,
            outputs: operation.num_outputs(),
            flow: Flow::of(operation),
            kernel,
            has_effect: has_effect(operation),
            reads: op.is_some_and(|op| op.reads),
            waits: op.is_some_and(|op| op.waits),
            removed: false,
        });
    }

    /// Adds a node that no operation of the graph stands for alone, and gives its first output.
    pub(crate) fn push_extra(&mut self, node: IrNode) -> Value {
        self.conditional.push(node.flow.is_some() || self.is_conditional(&node.inputs, &node.control));
        self.nodes.push(node);
        Value::Node(self.nodes.len() - 1, 0)
    }

    /// Notes an input that comes round in a loop, to be given when all operations have been added; what stands for it
    /// until then.
    pub(crate) fn comes_round(&mut self, input: usize, endpoint: Endpoint) -> Value {
        self.coming_round.push((self.nodes.len(), input, endpoint));
        Value::Node(usize::MAX, 0)
    }

    /// Lets a value stand for an output.
    pub(crate) fn stand_for(&mut self, endpoint: Endpoint, value: Value) {
        self.replaced.insert(endpoint, value);
    }

    /// The node of an operation that has one.
    pub(crate) fn node_of(&self, operation: OpId) -> Option<usize> {
        self.node_of.get(&operation).copied()
    }

    /// Puts constants in the place of an operation's outputs.
    fn replace(&mut self, operation: &Operation, values: Vec<Tensor>) -> Result<()> {
        for (index, value) in values.into_iter().enumerate() {
            let constant = Value::Constant(self.constants.len() as u32);
            self.constants.push(value);
            self.replaced.insert(Endpoint { op: operation.id(), index: index as u32 }, constant);
        }
        Ok(())
    }

    fn constant(&self, value: Value) -> Option<Tensor> {
        if let Value::Constant(index) = value { Some(self.constants[index as usize].clone()) } else { None }
    }

    /// The nodes that an operation must wait for beside those of its inputs.
    pub(crate) fn control(&self, operation: &Operation) -> Vec<usize> {
        let mut nodes = Vec::new();
        for &id in operation.control_input_ids() {
            if let Some(&node) = self.node_of.get(&id) {
                nodes.push(node);
            } else {
                // What only passes a value on stands for where that comes from; constants are always there.
                let first = Endpoint { op: id, index: 0 };
                nodes.extend(self.replaced.get(&first).and_then(|&value| producer(value)));
                nodes.extend(self.references.after(first));
            }
        }
        nodes
    }
}

/// S-49.
fn unfed(operation: &Operation) -> Error {
    let info = &operation.output_infos()[0];
    let text = format!(
        "You must feed a value for placeholder tensor '{}' with dtype {} and shape {}",
        operation.name(),
        info.dtype,
        info.shape
    );
    Error::invalid_argument(text)
}

/// The result of a `Shape` whose input's shape is known without running anything.
fn static_shape(operation: &Operation) -> Option<Tensor> {
    let shape = operation.input(0).shape().to_shape()?;
    match operation.output_infos()[0].dtype {
        DType::Int32 => {
            let dims: Option<Vec<i32>> = shape.iter().map(|&dim| i32::try_from(dim).ok()).collect();
            Some(Tensor::from(dims?))
        }
        _ => Some(Tensor::from(shape.iter().map(|&dim| dim as i64).collect::<Vec<_>>())),
    }
}

/// Runs a kernel on constants.
fn fold(
    kernel: &dyn Kernel,
    constants: Vec<Tensor>,
    outputs: usize,
    environment: &Environment,
) -> Result<Vec<Tensor>> {
    let inputs: Vec<Input> = (0..constants.len() as u32).map(|slot| Input { slot, last: false }).collect();
    let output_slots: Vec<u32> = (0..outputs).map(|i| (constants.len() + i) as u32).collect();
    let mut slots: Vec<Option<Tensor>> = constants.into_iter().map(Some).collect();
    slots.resize(inputs.len() + outputs, None);
    let never = CancellationToken::new();
    let mut context = KernelContext {
        slots: &mut slots,
        inputs: &inputs,
        outputs: &output_slots,
        environment,
        limits: &Limits::of_session(&never),
        scratch: &mut Scratch::default(),
    };
    run_caught(kernel, &mut context)?;
    let values: Option<Vec<Tensor>> = slots.drain(inputs.len()..).collect();
    values.ok_or_else(|| Error::new(Code::Internal, "a kernel did not deliver all its outputs"))
}

/// Runs a kernel, a panic of which (a broken invariant of ours) counts as an error.
fn run_caught(kernel: &dyn Kernel, context: &mut KernelContext<'_>) -> Result<()> {
    let ran = catch_unwind(AssertUnwindSafe(|| kernel.run(context)));
    ran.unwrap_or_else(|payload| Err(Error::from_panic("a kernel", &*payload)))
}

/// Numbers the values and notes when each was used for the last time.
fn emit(mut ir: Ir, order: &[usize], fed: Vec<Output>) -> Plan {
    let predecessors = late::predecessors(&ir, order);
    let mut slots = Slots::default();
    let fetches: Vec<u32> = ir.fetches.iter().map(|&value| slots.of(value)).collect();
    let kept: FxHashSet<u32> = fetches.iter().copied().collect();
    let needed: FxHashSet<Value> = ir.uses().into_keys().collect();
    let mut steps = Vec::with_capacity(order.len());
    for &index in order {
        let node = &mut ir.nodes[index];
        let Some(kernel) = node.kernel.take() else { continue };
        let waits = node.waits;
        let inputs = node.inputs.iter().map(|&value| Input { slot: slots.of(value), last: false }).collect();
        let output = |i: usize| Value::Node(index, i as u32);
        let outputs = (0..node.outputs)
            .map(|i| if needed.contains(&output(i)) { slots.of(output(i)) } else { UNUSED })
            .collect();
        let operations = std::mem::take(&mut node.operations);
        steps.push(PlanStep { kernel, waits, inputs, outputs, release: Vec::new(), operations });
    }
    let is_constant = slots.constant_slots();
    let parts = steps.iter_mut().map(|step| (&mut step.inputs, &mut step.release)).collect();
    mark_last_uses(parts, |slot| kept.contains(&slot) || is_constant.contains(&slot));
    let constants = slots.constants(&ir.constants);
    let feeds = (0..fed.len()).map(|i| slots.known(Value::Feed(i as u32))).collect();
    let fetches = last_fetches(fetches, &is_constant);
    let mut plan = Plan::new(steps, constants, feeds, fed, fetches, slots.count());
    plan.predecessors = predecessors;
    plan
}

/// A value may be moved out of the frame by the last fetch of it, unless it is a constant.
pub(crate) fn last_fetches(slots: Vec<u32>, constants: &FxHashSet<u32>) -> Vec<Input> {
    let last = |i: usize| !slots[i + 1..].contains(&slots[i]) && !constants.contains(&slots[i]);
    // Quadratic only in repeated aliases; distinct outputs end the search at once in practice for short lists.
    if slots.len() > 64 {
        let mut seen = FxHashSet::default();
        let mut inputs: Vec<Input> = slots
            .iter()
            .rev()
            .map(|&slot| Input { slot, last: seen.insert(slot) && !constants.contains(&slot) })
            .collect();
        inputs.reverse();
        return inputs;
    }
    (0..slots.len()).map(|i| Input { slot: slots[i], last: last(i) }).collect()
}

/// Notes where the slots of the steps' inputs, which come with what each step empties, are used for the last time.
pub(crate) fn mark_last_uses(steps: Vec<(&mut Vec<Input>, &mut Vec<u32>)>, keep: impl Fn(u32) -> bool) {
    let mut later: FxHashSet<u32> = FxHashSet::default();
    for (inputs, release) in steps.into_iter().rev() {
        for input in inputs.iter() {
            if !keep(input.slot) && later.insert(input.slot) {
                release.push(input.slot);
            }
        }
        for i in 0..inputs.len() {
            let slot = inputs[i].slot;
            let uses = inputs.iter().filter(|input| input.slot == slot).count();
            inputs[i].last = uses == 1 && release.contains(&slot);
        }
    }
}

/// Slot numbers by value.
#[derive(Default)]
pub(crate) struct Slots {
    by_value: FxHashMap<Value, u32>,
}

impl Slots {
    pub(crate) fn of(&mut self, value: Value) -> u32 {
        let next = self.by_value.len() as u32;
        *self.by_value.entry(value).or_insert(next)
    }

    pub(crate) fn known(&self, value: Value) -> Option<u32> {
        self.by_value.get(&value).copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.by_value.len()
    }

    pub(crate) fn constant_slots(&self) -> FxHashSet<u32> {
        let constants = self.by_value.iter().filter(|(value, _)| matches!(value, Value::Constant(_)));
        constants.map(|(_, &slot)| slot).collect()
    }

    pub(crate) fn constants(&self, values: &[Tensor]) -> Vec<(u32, Tensor)> {
        let entry = |(value, &slot): (&Value, &u32)| match value {
            Value::Constant(index) => Some((slot, values[*index as usize].clone())),
            _ => None,
        };
        self.by_value.iter().filter_map(entry).collect()
    }
}
