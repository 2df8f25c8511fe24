//! The first pass of the compiler: from a graph and a set of fetches, targets, and feeds to the intermediate
//! form.
//!
//! In this order it
//!
//! 1. collects the operations that the fetches and targets need, up to the feeds (S-48);
//! 2. determines which outputs are references to variables (see `references.rs`);
//! 3. adds the operations one after the other, each after its inputs. An operation becomes a node, or it
//!    disappears: a constant, a shape that is known, and a stateless operation on constants are replaced by
//!    their value, and an operation that only forwards its input is replaced by the input;
//! 4. connects the inputs that loops feed back, which did not exist when the operation was added.
//!
//! In graphs with conditionals or loops, fewer operations are removed. A value that is computed in a branch
//! may be dead, so an operation on it must not be replaced by a constant, and an operation that others wait
//! for must be able to tell whether it ran.
//!
//! Operations without a kernel are collected rather than reported one by one; the build continues with nodes
//! that cannot run, so that the error lists all of them.
//!
//! # Order of the work
//!
//! Operations are visited depth first from the fetches and targets, without recursion, so that graphs of any
//! depth fit the stack. A node is created when all of its inputs have nodes. Operations that only forward
//! their inputs (`Identity` and its like) and have no control inputs get no node: their outputs are the
//! values of their inputs, and who waits for them waits for those.
//!
//! Everything that a later pass needs to know about an operation is recorded in its node here: its kernel,
//! its role, its variables, and the functions that it calls. Later passes do not look at the graph again,
//! except for attributes.

mod fold;
mod reads;

use crate::devices::Devices;
use crate::flow::{Flow, hands_on, joins};
use crate::gradient;
use crate::ir::{Callees, Ir, IrNode, Value, producer};
use crate::kernel::{Environment, NodeSpec};
use crate::kernels::facts;
use crate::limits::Limits;
use crate::missing::Missing;
use crate::plan::PlanKey;
use crate::references::{references, taken};
use crate::registry::{Call, OpType, Role};
use fold::static_shape;
use reads::Operands;
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{AttrValue, Code, Endpoint, Error, Graph, OpId, Operation, Output, Phase, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tensor::Tensor;

/// The state that one compilation shares among the step's own graph and the functions that it calls.
pub(crate) struct Shared<'a> {
    /// The graph whose library holds the functions, also while the body of one of them is compiled.
    pub(crate) library: &'a Graph,
    /// The thread pool, buffers and resources of the session. Makers of kernels look up resources in it, and
    /// folding runs kernels with it.
    pub(crate) environment: &'a Environment,
    /// The limits of the run that compiles. A folded operation must respect them, too.
    pub(crate) limits: &'a Limits<'a>,
    /// The devices of the session, against which requested ones are checked.
    pub(crate) devices: &'a Devices,
    /// False to fold and fuse nothing, for debugging.
    pub(crate) optimize: bool,
}

/// Builds the intermediate form of a step's own graph, or of the body of a function. If kernels are missing,
/// the caller must not use it.
///
/// `graph` is the session's graph or the body of the function of that name; `key` has its fetches, targets
/// and feeds. Operations without a kernel go to `missing`; the result is complete in form all the same, so
/// that callees can be found and their missing kernels listed as well.
///
/// # Errors
/// Build errors of the graph, a placeholder without a feed (S-49), a device that does not exist, a kernel's
/// error about attributes, `Unimplemented` for a cycle without `NextIteration`, and the limits of the run.
/// Errors name the operation.
pub(crate) fn build(
    graph: &Graph,
    key: &PlanKey,
    function: Option<&str>,
    shared: &Shared<'_>,
    missing: &mut Missing,
) -> Result<Ir> {
    graph.check()?;
    let mut builder = Builder::new(graph, key, function, shared, missing)?;
    builder.collect()?;
    builder.finish()
}

/// The state of one translation of a graph to nodes.
///
/// Every output that something uses is exactly one of: fed (`feed_index`), mapped to another value
/// (`replaced`), or computed by the node of its operation (`node_of`). `value` asks in this order.
struct Builder<'a> {
    /// The graph that is translated: the session's own, or the body of a function.
    graph: &'a Graph,
    /// The fetches, targets and feeds.
    key: &'a PlanKey,
    /// The name of the function whose body it is; `None` for the session's own graph.
    function: Option<&'a str>,
    /// The parts that all graphs of the compilation share.
    shared: &'a Shared<'a>,
    /// Collects operations without kernels over all graphs of the compilation.
    missing: &'a mut Missing,
    /// The fed outputs, in the order of the key.
    fed: Vec<Output>,
    /// The position of each fed output in the key.
    feed_index: FxHashMap<Endpoint, u32>,
    /// The operations needed, with the facts of their op types, in the order of their ids, which is the order
    /// in which they were created. Empty once they are being added.
    operations: Vec<(Operation, Option<&'static OpType>)>,
    /// The nodes so far, in topological order.
    nodes: Vec<IrNode>,
    /// The values of constants, folded ones among them. [`Value::Constant`] counts in this list.
    constants: Vec<Tensor>,
    /// The bytes of those that were computed, handles included.
    folded: usize,
    /// The nodes of operations that have one. Operations that were forwarded, folded or replaced have none.
    node_of: FxHashMap<OpId, usize>,
    /// For operations that only forward, the nodes that compute their inputs: whoever waits for the operation
    /// waits for these.
    passed_on: FxHashMap<OpId, Vec<usize>>,
    /// The values of outputs that no node of their operation computes: constants, forwarded inputs, and
    /// references.
    replaced: FxHashMap<Endpoint, Value>,
    /// The outputs that are references to variables, or may be. Empty in graphs of resource variables, for
    /// which the work with references is skipped.
    references: FxHashSet<Endpoint>,
    /// The node that a reference must be read after: the update that returned it.
    after: FxHashMap<Endpoint, usize>,
    /// The reads of references that exist, by the reference and the nodes that the read waits for. Users with
    /// the same key share a read.
    reads: FxHashMap<(Value, Vec<usize>), Value>,
    /// Outputs that are another form of a reference, such as a `Reshape`, with the operation that makes them,
    /// and the number of such operations between them and the reference.
    views: FxHashMap<Endpoint, (Operation, u32)>,
    /// For each node, true if it runs only when a branch is taken, or in the iterations of a loop, or depends
    /// on such a node.
    conditional: Vec<bool>,
    /// For each node, true if a reference may have another value after it than before, because it or a node
    /// before it updates, waits, or calls.
    changing: Vec<bool>,
    /// The operations that are control inputs of others. Only filled in graphs where some operations may not
    /// run.
    waited_for: FxHashSet<OpId>,
    /// The inputs that a loop feeds back: the operation, the number of the input, and the output that arrives
    /// there. They are connected last.
    coming_round: Vec<(OpId, usize, Endpoint)>,
}

/// The number of operations added between two checks for a timeout or cancellation. Adding an operation may
/// fold it, which takes time; 256 of them without a check are still short.
const UNWATCHED: usize = 256;

impl<'a> Builder<'a> {
    /// Prepares the translation of a graph for one key.
    ///
    /// # Errors
    /// `Value` if a feed is not an output of the graph.
    fn new(
        graph: &'a Graph,
        key: &'a PlanKey,
        function: Option<&'a str>,
        shared: &'a Shared<'a>,
        missing: &'a mut Missing,
    ) -> Result<Builder<'a>> {
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
            function,
            shared,
            missing,
            fed: key.feeds.iter().map(find).collect::<Result<_>>()?,
            feed_index: key.feeds.iter().enumerate().map(|(i, &endpoint)| (endpoint, i as u32)).collect(),
            operations: Vec::new(),
            nodes: Vec::new(),
            constants: Vec::new(),
            folded: 0,
            node_of: FxHashMap::default(),
            passed_on: FxHashMap::default(),
            replaced: FxHashMap::default(),
            references: FxHashSet::default(),
            after: FxHashMap::default(),
            reads: FxHashMap::default(),
            views: FxHashMap::default(),
            conditional: Vec::new(),
            changing: Vec::new(),
            waited_for: FxHashSet::default(),
            coming_round: Vec::new(),
        })
    }

    /// Finds the operations that fetches and targets need, cutting the graph at feeds (S-48).
    ///
    /// Control inputs count like inputs. An operation all of whose needed outputs are fed is not collected,
    /// so its effects are skipped; a target is collected even if its outputs are fed.
    ///
    /// # Errors
    /// `Value` if a fetch or target is not an operation of this graph.
    fn collect(&mut self) -> Result<()> {
        let fetched = self.key.fetches.iter().filter(|fetch| !self.feed_index.contains_key(fetch));
        let mut pending: Vec<OpId> =
            fetched.map(|fetch| fetch.op).chain(self.key.targets.iter().copied()).collect();
        let mut found: FxHashSet<OpId> = FxHashSet::default();
        found.reserve(pending.len());
        while let Some(id) = pending.pop() {
            if !found.insert(id) {
                continue;
            }
            let operation = self.graph.operation_by_id(id);
            let operation =
                operation.ok_or_else(|| Error::value("a fetch is not an operation of this graph"))?;
            // A stack and not recursion: graphs that are unrolled over time are tens of thousands of
            // operations deep.
            pending.extend(self.sources(&operation));
            pending.extend(operation.control_input_ids());
            let op = facts(&operation);
            self.operations.push((operation, op));
        }
        self.operations.sort_by_cached_key(|(operation, _)| operation.id());
        Ok(())
    }

    /// Adds all operations, connects loops, resolves fetches and targets, and returns the intermediate form.
    fn finish(mut self) -> Result<Ir> {
        if self.operations.iter().any(|(operation, op)| Flow::of(operation, *op).is_some()) {
            let waited_for = self.operations.iter().flat_map(|(operation, _)| operation.control_input_ids());
            self.waited_for = waited_for.copied().collect();
        }
        let feeds = &self.feed_index;
        let operations = self.operations.iter().map(|(operation, _)| operation);
        self.references =
            references(operations, self.shared.library, |endpoint| feeds.contains_key(&endpoint));
        let operations = self.inputs_first()?;
        self.node_of.reserve(operations.len());
        self.nodes.reserve(operations.len());
        for (number, (operation, op)) in operations.into_iter().enumerate() {
            if number % UNWATCHED == 0 {
                self.shared.limits.check()?;
            }
            // A panic names the operation, such as one in the maker of its kernel. The builder is not used
            // afterwards.
            let added = catch_unwind(AssertUnwindSafe(|| self.add(&operation, op)));
            let added = added.unwrap_or_else(|payload| Err(Error::from_panic("the compiler", &*payload)));
            added.map_err(|error| operation.place(error).with_phase(Phase::Run))?;
        }
        // Only now do the nodes at the end of the loops exist.
        for (operation, input, endpoint) in std::mem::take(&mut self.coming_round) {
            if let Some(&node) = self.node_of.get(&operation) {
                self.nodes[node].inputs[input] = self.value(endpoint)?;
            }
        }
        let fetches: Vec<Value> =
            self.key.fetches.iter().map(|&fetch| self.fetched(fetch)).collect::<Result<_>>()?;
        let values = self.key.fetches.iter().zip(&fetches);
        let values = values.filter(|(fetch, _)| !self.references.contains(fetch));
        // A reference has a constant handle, which is not the value that was fetched.
        let known = values.filter_map(|(fetch, &value)| {
            Some((self.graph.operation_by_id(fetch.op)?, self.constant(value)?))
        });
        let targets = self.key.targets.iter().filter_map(|id| self.node_of.get(id));
        // The producer of a reference runs, though the reference is known without it.
        let passed = self.key.fetches.iter().filter_map(|fetch| self.after.get(fetch));
        Ok(Ir {
            known: known.collect(),
            late: self.late_fetches(),
            targets: targets.chain(passed).copied().collect(),
            folded: self.folded,
            nodes: self.nodes,
            constants: self.constants,
            fetches,
            fed: self.fed,
        })
    }

    /// Returns the operations in the order in which they were created, but each after its inputs. Imported
    /// graphs may list them in any order.
    ///
    /// The edge from a `NextIteration` to a `Merge` does not count, which cuts each loop open at its end. The
    /// smallest id that waits for nothing is next, so a graph that is in order already stays in order.
    ///
    /// # Errors
    /// `Unimplemented` for a cycle that has no such edge.
    fn inputs_first(&mut self) -> Result<Vec<(Operation, Option<&'static OpType>)>> {
        let operations = std::mem::take(&mut self.operations);
        // Of most graphs it need not be computed.
        let is_in_order = |(operation, _): &(Operation, _)| {
            let mut befores = self.sources(operation).chain(operation.control_input_ids().iter().copied());
            befores.all(|before| before < operation.id())
        };
        if operations.iter().all(is_in_order) {
            return Ok(operations);
        }
        let mut operations: BTreeMap<OpId, _> =
            operations.into_iter().map(|entry| (entry.0.id(), entry)).collect();
        let mut waits: FxHashMap<OpId, usize> = FxHashMap::default();
        let mut users: FxHashMap<OpId, Vec<OpId>> = FxHashMap::default();
        for (operation, _) in operations.values() {
            let joins = joins(operation);
            let inputs = self.sources(operation).filter(|op| !(joins && hands_on(&operations[op].0)));
            for before in inputs.chain(operation.control_input_ids().iter().copied()) {
                *waits.entry(operation.id()).or_insert(0) += 1;
                users.entry(before).or_default().push(operation.id());
            }
        }
        // Sorted by id, which makes the order, and with it every plan, the same in every process.
        let mut ready: BTreeSet<OpId> = BTreeSet::new();
        ready.extend(operations.keys().copied().filter(|id| !waits.contains_key(id)));
        let mut order = Vec::with_capacity(operations.len());
        while let Some(id) = ready.pop_first() {
            order.extend(operations.remove(&id));
            for user in users.remove(&id).unwrap_or_default() {
                let left = waits.entry(user).or_insert(1);
                *left -= 1;
                if *left == 0 {
                    ready.insert(user);
                }
            }
        }
        if !operations.is_empty() {
            return Err(Error::new(Code::Unimplemented, "the graph has a loop without 'NextIteration'"));
        }
        Ok(order)
    }

    /// Returns the operations whose outputs an operation takes, without those of fed outputs.
    fn sources(&self, operation: &Operation) -> impl Iterator<Item = OpId> {
        operation.input_endpoints().iter().filter(|input| !self.is_fed(**input)).map(|input| input.op)
    }

    /// Returns true if an output is a value that is given from outside.
    fn is_fed(&self, endpoint: Endpoint) -> bool {
        self.feed_index.contains_key(&endpoint)
    }

    /// Returns the value that represents an output.
    ///
    /// # Errors
    /// `Unimplemented` if nothing has the output yet, which only a cycle can cause.
    fn value(&self, endpoint: Endpoint) -> Result<Value> {
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

    /// Adds the node of an operation whose inputs have nodes.
    ///
    /// # Errors
    /// Errors of the kernel's constructor, such as an attribute that it does not accept. A missing kernel is
    /// recorded instead.
    ///
    /// The cases, in the order in which they are tried: an unfed placeholder is an error; a constant becomes
    /// a value; an operation that only forwards is replaced by its inputs; a shape that is known becomes a
    /// value; a call of functions becomes a node without a kernel; a kernel is made and, if possible, run at
    /// once; otherwise the operation becomes a node. Control inputs prevent the replacement by a value, since
    /// a node that waits for nothing could be used before them.
    fn add(&mut self, operation: &Operation, op: Option<&'static OpType>) -> Result<()> {
        self.shared.devices.place(operation)?;
        let operands = self.operands(operation, op)?;
        match op.map(|op| op.role) {
            Some(Role::Placeholder) => return Err(unfed(operation)),
            Some(Role::Constant) if operands.control.is_empty() => {
                let value = operation.attr("value").and_then(AttrValue::as_tensor).cloned();
                let value = value.ok_or_else(|| Error::value("a constant without value"))?;
                self.replace(operation, vec![value]);
                return Ok(());
            }
            _ if self.is_passed_on(operation, op, &operands) => {
                self.pass_on(operation, operands);
                return Ok(());
            }
            // An output that is not computed has no shape.
            Some(Role::Shape)
                if self.shared.optimize
                    && operands.control.is_empty()
                    && !self.is_conditional(&operands.values, &[]) =>
            {
                if let Some(shape) = static_shape(operation) {
                    self.replace(operation, vec![shape]);
                    return Ok(());
                }
            }
            _ => {}
        }
        // From here on the operation gets a node, or is folded.
        let (inputs, control) = operands.all();
        let callees = self.callees(operation, op)?;
        if callees.as_ref().is_some_and(|callees| callees.call.is_some()) {
            self.push(operation, IrNode { callees, ..IrNode::of(operation, op, inputs, control, None) });
            return Ok(());
        }
        match op {
            Some(OpType { make: Some(make), .. }) => {
                let spec = NodeSpec {
                    operation,
                    function: self.function,
                    resources: &self.shared.environment.resources,
                };
                // The node's kernel and not a second one is used for folding, so folded and computed results
                // come from the same code.
                let kernel = match make(&spec) {
                    Ok(kernel) => Some(kernel),
                    Err(error) if error.code() == Code::Unimplemented => {
                        self.missing.add(operation, self.function, Some(&error));
                        None
                    }
                    Err(error) => return Err(error),
                };
                let folds = callees.is_none();
                let folded = kernel
                    .as_deref()
                    .is_some_and(|made| folds && self.folded(operation, op, &inputs, &control, made));
                if !folded {
                    // Without a kernel it is used as a placeholder until the list of missing kernels is
                    // complete.
                    self.push(
                        operation,
                        IrNode { callees, ..IrNode::of(operation, op, inputs, control, kernel) },
                    );
                }
            }
            Some(_) => self.push(operation, IrNode::of(operation, op, inputs, control, None)),
            None => {
                self.missing.add(operation, self.function, None);
                self.push(operation, IrNode::of(operation, op, inputs, control, None));
            }
        }
        Ok(())
    }

    /// Returns true if an operation may be replaced by its inputs: it has no control inputs, and nothing
    /// needs to know whether it ran.
    fn is_passed_on(&self, operation: &Operation, op: Option<&OpType>, operands: &Operands) -> bool {
        let Operands { values, control, .. } = operands;
        // A value that never changes enters a loop as it is. A reference does change.
        let is_reference = self.references.contains(&Endpoint { op: operation.id(), index: 0 });
        let constant = !is_reference
            && matches!(Flow::of(operation, op), Some(Flow::Enter { is_constant: true, .. }))
            && values.iter().all(|input| matches!(input, Value::Constant(_)));
        // Where some operations do not run, those that others wait for must tell whether they did.
        let passes = op.is_some_and(|op| op.role == Role::PassOn)
            && !(self.waited_for.contains(&operation.id()) && self.is_conditional(values, control));
        control.is_empty() && (constant || passes)
    }

    /// Maps the outputs of an operation without a node to its inputs. References and views stay what they are
    /// under the new name.
    fn pass_on(&mut self, operation: &Operation, operands: Operands) {
        let mut nodes = operands.after;
        nodes.extend(operands.values.iter().filter_map(|&value| producer(value)));
        self.passed_on.insert(operation.id(), nodes);
        for (index, (value, input)) in
            operands.values.into_iter().zip(operation.input_endpoints()).enumerate()
        {
            let result = Endpoint { op: operation.id(), index: index as u32 };
            self.replaced.insert(result, value);
            if self.references.contains(&result) {
                self.after.extend(self.after.get(input).copied().map(|after| (result, after)));
            }
            if let Some(view) = self.views.get(input).cloned() {
                self.views.insert(result, view);
            }
        }
    }

    /// Returns true if what is made from these may not run in each step, or several times.
    ///
    /// A node that does not exist yet is the end of a loop, and counts as conditional.
    fn is_conditional(&self, inputs: &[Value], control: &[usize]) -> bool {
        let inputs = inputs.iter().filter_map(|&input| producer(input));
        inputs.chain(control.iter().copied()).any(|node| self.conditional.get(node) != Some(&false))
    }

    /// Returns the functions that an operation runs or that its kernel keeps; `None` if there are none. An op
    /// type that is the name of a function is a call of it, as in graphs of TensorFlow 1.
    ///
    /// # Errors
    /// `Value` if an attribute that should name a function does not.
    fn callees(&self, operation: &Operation, op: Option<&OpType>) -> Result<Option<Callees>> {
        let name = |value: Option<&AttrValue>, attr: &str| match value {
            Some(AttrValue::Func(name, _)) => Ok(name.clone()),
            _ => Err(Error::value(format!("attribute '{attr}' does not name a function"))),
        };
        let named = |attr: &str| name(operation.attr(attr), attr);
        let call = match op.map(|op| op.role) {
            Some(Role::Call(call)) => call,
            None if self.shared.library.function(operation.op_type()).is_some() => {
                let functions = vec![operation.op_type().to_owned()];
                return Ok(Some(Callees { call: Some(Call::Function), functions }));
            }
            _ => {
                let held = op.map_or(&[][..], |op| op.holds);
                let functions = held.iter().map(|attr| named(attr)).collect::<Result<Vec<_>>>()?;
                return Ok((!functions.is_empty()).then_some(Callees { call: None, functions }));
            }
        };
        let functions = match call {
            Call::Function => vec![named("f")?],
            Call::Gradient => vec![gradient::callee(self.shared.library, &named("f")?)],
            Call::If => vec![named("then_branch")?, named("else_branch")?],
            Call::While => vec![named("cond")?, named("body")?],
            Call::For => vec![named("body")?],
            Call::Case => {
                let branches = operation.attr("branches").and_then(AttrValue::as_list);
                let branches = branches
                    .ok_or_else(|| Error::value("attribute 'branches' is not a list of functions"))?;
                branches.iter().map(|branch| name(Some(branch), "branches")).collect::<Result<_>>()?
            }
        };
        Ok(Some(Callees { call: Some(call), functions }))
    }

    /// Adds the node of an operation. An output or argument that is a reference represents the variable that
    /// it refers to.
    ///
    /// Control flow operations and forwarding ones keep their nodes as the source of their outputs: at run
    /// time the handle itself passes through them, or does not if it is dead.
    fn push(&mut self, operation: &Operation, node: IrNode) {
        let index = self.nodes.len();
        self.node_of.insert(operation.id(), index);
        let taken = taken(operation);
        // Another thread may update a variable while the operation waits, and a function may update it in its
        // body.
        let changes = node.waits || node.callees.is_some() || taken.is_some() && !node.reads;
        let is_node = node.flow.is_some() || node.op.is_some_and(|op| op.role == Role::PassOn);
        self.push_node(node, changes);
        if !self.references.is_empty() && !is_node {
            self.pass_references(operation, index, taken.as_deref());
        }
    }

    /// Adds a node, and returns its first output. `changes` says that references may have another value after
    /// the node; it is inherited from the nodes that it waits for, so that one look at a node is enough.
    fn push_node(&mut self, node: IrNode, changes: bool) -> Value {
        let index = self.nodes.len();
        self.conditional.push(node.flow.is_some() || self.is_conditional(&node.inputs, &node.control));
        let mut before =
            node.inputs.iter().filter_map(|&value| producer(value)).chain(node.control.iter().copied());
        let changing = changes || before.any(|before| self.is_changing(before));
        self.changing.push(changing);
        self.nodes.push(node);
        Value::Node(index, 0)
    }

    /// Returns true if a reference may have another value after a node than at the beginning of the step.
    fn is_changing(&self, node: usize) -> bool {
        self.changing.get(node).copied().unwrap_or(false)
    }

    /// Maps the outputs of an operation to new constants, one for each value.
    fn replace(&mut self, operation: &Operation, values: Vec<Tensor>) {
        for (index, value) in values.into_iter().enumerate() {
            let constant = Value::Constant(self.constants.len() as u32);
            self.constants.push(value);
            self.replaced.insert(Endpoint { op: operation.id(), index: index as u32 }, constant);
        }
    }

    /// Returns the value of a constant; `None` for other values.
    fn constant(&self, value: Value) -> Option<Tensor> {
        if let Value::Constant(index) = value { Some(self.constants[index as usize].clone()) } else { None }
    }

    /// Returns the nodes that an operation must wait for in addition to those of its inputs. Constants are
    /// always ready, so they are left out.
    ///
    /// An operation that was forwarded is represented by the nodes that compute its inputs. The list may
    /// contain a node twice.
    fn control(&self, operation: &Operation) -> Vec<usize> {
        let mut nodes = Vec::new();
        for id in operation.control_input_ids() {
            match self.node_of.get(id) {
                Some(&node) => nodes.push(node),
                None => nodes.extend(self.passed_on.get(id).into_iter().flatten()),
            }
        }
        nodes
    }
}

/// Returns the error for a placeholder that is needed and not fed (S-49).
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
