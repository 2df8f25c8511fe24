//! The conditionals and loops of TensorFlow 1, made functional so that gradients pass through them.
//!
//! The operations of a loop between `Switch` and `NextIteration`, and those of a conditional between `Switch` and `Merge`, become bodies of
//! functions. Operations after them keep their inputs: `Exit` and `Merge` are rewritten to forward the outputs of the functional operation.
//! Loops and conditionals inside of a body are made functional when the gradient of the body is built.

use super::extract::Part;
use super::functional::function;
use crate::array::identity::{IDENTITY, IDENTITY_N};
use crate::control_flow::functional::{IF, STATELESS_IF, STATELESS_WHILE, WHILE};
use crate::functions::trace::has_effect;
use crate::functions::{named, numbered_name};
use crate::math::cast::cast;
use session_core::{
    AttrValue, Attrs, Code, DType, Endpoint, Error, Function, Graph, OpId, Operation, Output, OutputInfo,
    Result, Rewrite,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Makes functional the loops and conditionals that end with one of these operations.
pub(super) fn make_functional(graph: &Graph, between: impl Fn(&Graph) -> Vec<OpId>) -> Result<()> {
    // Operations inside of a body are not visible from outside, so each pass leaves fewer.
    loop {
        // Searched again after each rewrite, which changes the paths. Loops come first: conditionals inside
        // of a loop move into its body with it.
        let operations: Vec<Operation> =
            between(graph).into_iter().filter_map(|id| graph.operation_by_id(id)).collect();
        if let Some(exit) = operations.iter().find(|operation| kind(operation) == "Exit") {
            make_loop(graph, exit).map_err(|error| exit.place(error))?;
        } else if let Some(merge) = operations.iter().rev().find(|operation| kind(operation) == "Merge") {
            make_conditional(graph, merge).map_err(|error| merge.place(error))?;
        } else {
            return Ok(());
        }
    }
}

/// Returns the op type of an operation; that of a reference counts as that of a value.
fn kind(operation: &Operation) -> &str {
    // `RefSwitch`, `RefEnter` and the like differ only in that they forward a reference.
    operation.op_type().strip_prefix("Ref").unwrap_or(operation.op_type())
}

/// Returns outputs as values, not references.
fn as_values(outputs: &[OutputInfo]) -> Vec<OutputInfo> {
    outputs.iter().map(|output| OutputInfo { is_ref: false, ..output.clone() }).collect()
}

/// Returns the error for control flow that was written by hand: TensorFlow's own constructors
/// always build the complete pattern.
fn unusual(text: &str) -> Error {
    Error::new(Code::Unimplemented, format!("no gradient goes through control flow of this form: {text}"))
}

/// Fails: the gradient function of `Switch`, `Merge`, and the like. Complete loops and conditionals are made functional before
/// anything is differentiated, so it is called only for parts of unknown form.
pub(crate) fn outside_of_control_flow(
    operation: &Operation,
    _: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let text = format!("a {} whose loop or conditional does not lead to the result", operation.op_type());
    Err(operation.place(unusual(&text)))
}

/// One variable of a loop.
struct Variable {
    enter: Operation,
    merge: Operation,
    switch: Operation,
    next: Operation,
}

/// The operations that use outputs of each.
fn users(graph: &Graph) -> HashMap<OpId, Vec<Operation>> {
    let mut users: HashMap<OpId, Vec<Operation>> = HashMap::new();
    for operation in graph.operations() {
        for input in operation.input_endpoints() {
            users.entry(input.op).or_default().push(operation.clone());
        }
    }
    users
}

/// Returns the name of the frame that an `Enter` opens. All variables and constants of one loop share it.
fn frame_of(enter: &Operation) -> Option<&str> {
    enter.attr("frame_name")?.as_str()
}

// ---- loops -----------------------------------------------------------------------------------------------

/// Returns an input of a part of a loop. In an unusual graph, another operation with fewer inputs may stand there.
fn input_of(part: &Operation, index: usize) -> Result<Output> {
    match part.num_inputs() {
        count if index < count => Ok(part.input(index)),
        count => {
            Err(unusual(&format!("'{}' ({}) with {count} inputs in a loop", part.name(), part.op_type())))
        }
    }
}

/// Replaces the loop that `exit` leaves by a `While` named `<frame>_functional`, and makes each `Exit` of
/// the loop forward its output.
///
/// The arguments of condition and body are the loop variables, in the order in which their `Enter` operations
/// were built, then the outer tensors that enter as constants, which the body returns unchanged.
fn make_loop(graph: &Graph, exit: &Operation) -> Result<()> {
    // The pattern of one variable: `Enter -> Merge -> Switch -> Exit`, with `NextIteration` as
    // the second input of `Merge`.
    let switch = input_of(exit, 0)?;
    let merge = input_of(switch.operation(), 0)?;
    let enter = input_of(merge.operation(), 0)?.operation().clone();
    let frame = frame_of(&enter).ok_or_else(|| unusual("an Exit without Enter"))?.to_owned();
    let users = users(graph);
    let used_by = |operation: &Operation, op_type: &str| -> Vec<Operation> {
        let users = users.get(&operation.id()).map_or(&[] as &[Operation], Vec::as_slice);
        users.iter().filter(|user| kind(user) == op_type).cloned().collect()
    };
    let (mut variables, mut constants) = (Vec::new(), Vec::new());
    for enter in graph.operations() {
        if kind(&enter) != "Enter" || frame_of(&enter) != Some(&frame) {
            continue;
        }
        // A variable's `Enter` feeds a `Merge`; an `Enter` without one is a tensor of the outer graph that
        // stays the same in all iterations.
        let Some(merge) = used_by(&enter, "Merge").pop() else {
            constants.push(enter);
            continue;
        };
        let switch = used_by(&merge, "Switch").pop().ok_or_else(|| unusual("a Merge without Switch"))?;
        let next = input_of(&merge, 1)?.operation().clone();
        variables.push(Variable { enter, merge, switch, next });
    }
    let first = variables.first().ok_or_else(|| unusual("a loop without variables"))?;
    let condition = input_of(&first.switch, 1)?.operation().clone();
    if condition.op_type() != "LoopCond" {
        return Err(unusual("a loop without LoopCond"));
    }
    let around: Vec<Output> = constants.iter().map(|enter| enter.output(0)).collect();
    let with_constants = |outputs: Vec<Output>| -> Vec<Output> { [outputs, around.clone()].concat() };
    // The condition sees values before `Switch`, the body those on the true side of it; both are cut there.
    let merged = with_constants(variables.iter().map(|variable| variable.merge.output(0)).collect());
    let cond = Part::of(graph, graph, &merged, &[condition.input(0)], &[])?;
    let goes_on = cond.find(&condition.input(0))?;
    let inside = with_constants(variables.iter().map(|variable| variable.switch.output(1)).collect());
    let nexts: Vec<Output> =
        variables.iter().map(|variable| input_of(&variable.next, 0)).collect::<Result<_>>()?;
    let effects = effects(graph, &variables, &constants, &users);
    let body = Part::of(graph, graph, &inside, &nexts, &effects)?;
    let control = body.find_operations(&effects);
    let results = nexts.iter().map(|next| body.find(next)).collect::<Result<Vec<Output>>>()?;
    let results = [results, body.arguments[variables.len()..].to_vec()].concat();
    let prefix = frame.replace('/', "_");
    let cond = function(&numbered_name(graph, &format!("{prefix}_cond")), &cond, vec![goes_on])?;
    let body = function(&numbered_name(graph, &format!("{prefix}_body")), &body, results)?;
    let body = body.with_control_outputs(control);
    let stateful = cond.is_stateful() || body.is_stateful();
    let initial = variables.iter().map(|variable| &variable.enter).chain(&constants);
    let initial: Vec<Output> = initial.map(|enter| enter.input(0)).collect();
    let shapes = merged.iter().zip(&initial).enumerate().map(|(i, (merged, initial))| {
        // The shape of `Merge` holds in all iterations; that of the initial value only in the first.
        let shape = if i < variables.len() { merged.shape() } else { initial.shape() };
        AttrValue::Shape(shape.clone())
    });
    // Whoever differentiates built no loop here: an error names the place of the loop itself.
    let scope = graph.root().located_at(exit.location());
    let builder =
        scope.op(if stateful { &WHILE } else { &STATELESS_WHILE }).name(format!("{frame}_functional"));
    let builder =
        builder.input_list(&initial).attr("cond", named(cond.name())).attr("body", named(body.name()));
    let builder = builder.attr("output_shapes", AttrValue::List(shapes.collect()));
    let builder = builder.attr("_lower_using_switch_merge", true);
    let builder = builder.attr("_num_original_outputs", initial.len());
    graph.add_function(cond)?;
    graph.add_function(body)?;
    let made = builder.try_finish()?;
    for (number, variable) in variables.iter().enumerate() {
        for exit in used_by(&variable.switch, "Exit") {
            pass_on(&exit, made.output(number))?;
        }
    }
    Ok(())
}

/// Returns the operations with a side effect in an iteration, which therefore run in each iteration whether they lead to a variable or
/// not. The stacks that an earlier gradient of the graph fills are among them, also those of values that are the same in each iteration.
fn effects(
    graph: &Graph,
    variables: &[Variable],
    constants: &[Operation],
    users: &HashMap<OpId, Vec<Operation>>,
) -> Vec<Operation> {
    let mut found = Vec::new();
    let mut seen: HashSet<OpId> = HashSet::new();
    let mut open: Vec<Operation> =
        constants.iter().filter_map(|enter| users.get(&enter.id())).flatten().cloned().collect();
    let inside = |switch: &Operation| -> Vec<Operation> {
        let users = users.get(&switch.id()).into_iter().flatten();
        users.filter(|user| kind(user) != "Exit").cloned().collect()
    };
    for variable in variables {
        open.extend(inside(&variable.switch));
    }
    while let Some(operation) = open.pop() {
        // What leaves this iteration, or enters a loop inside, belongs to other ones.
        let leaves = matches!(kind(&operation), "NextIteration" | "Exit" | "Enter" | "LoopCond");
        if leaves || !seen.insert(operation.id()) {
            continue;
        }
        // An operation on an array continues along the array's flow.
        if has_effect(&operation) && !operation.op_type().starts_with("TensorArray") {
            found.push(operation.clone());
        }
        open.extend(users.get(&operation.id()).into_iter().flatten().cloned());
    }
    // The condition has a function of its own; what it does must not run a second time in the body.
    if !found.is_empty() {
        let condition = condition(graph, variables, users);
        found.retain(|operation| !condition.contains(&operation.id()));
    }
    found
}

/// Returns the operations that depend on the variables of a loop before the condition is known. What is behind an `Enter` belongs to
/// a loop inside.
fn condition(graph: &Graph, variables: &[Variable], users: &HashMap<OpId, Vec<Operation>>) -> HashSet<OpId> {
    let mut controlled: HashMap<OpId, Vec<Operation>> = HashMap::new();
    for operation in graph.operations() {
        for input in operation.control_inputs() {
            controlled.entry(input.id()).or_default().push(operation.clone());
        }
    }
    let switches: HashSet<OpId> = variables.iter().map(|variable| variable.switch.id()).collect();
    let mut open: Vec<OpId> = variables.iter().map(|variable| variable.merge.id()).collect();
    let mut found: HashSet<OpId> = open.iter().copied().collect();
    while let Some(id) = open.pop() {
        let next = users.get(&id).into_iter().chain(controlled.get(&id)).flatten();
        for user in next.filter(|user| kind(user) != "Enter" && !switches.contains(&user.id())) {
            if found.insert(user.id()) {
                open.push(user.id());
            }
        }
    }
    found
}

/// Makes an operation forward this output instead of computing its own.
fn pass_on(operation: &Operation, output: Output) -> Result<()> {
    // Rewriting in place means that nobody who uses the operation has to be changed.
    let mut attrs = Attrs::new();
    attrs.insert("T".to_owned(), AttrValue::Type(output.dtype()));
    let outputs = as_values(operation.output_infos());
    operation.rewrite(Rewrite { def: &IDENTITY, inputs: vec![output], attrs, outputs }).map(drop)
}

// ---- conditionals ----------------------------------------------------------------------------------------

/// The predicate behind names for it.
fn predicate_of(switch: &Operation) -> Endpoint {
    let mut pred = switch.input(1);
    while pred.operation().op_type() == "Identity" {
        pred = pred.operation().input(0);
    }
    pred.endpoint()
}

/// The switches behind an output, with which of their sides it depends on. Switches of one predicate end the way where
/// `until` says so.
fn switches(graph: &Graph, from: &Output, until: Option<Endpoint>) -> BTreeMap<OpId, HashSet<u32>> {
    let mut found: BTreeMap<OpId, HashSet<u32>> = BTreeMap::new();
    let mut seen: HashSet<OpId> = HashSet::new();
    let mut open: Vec<Endpoint> = vec![from.endpoint()];
    while let Some(Endpoint { op, index }) = open.pop() {
        let Some(operation) = graph.operation_by_id(op) else { continue };
        if kind(&operation) == "Switch" {
            found.entry(op).or_default().insert(index);
            // The search ends at switches of the conditional itself: what is before
            // them is computed outside of it.
            if until == Some(operation.input(1).endpoint()) || until == Some(predicate_of(&operation)) {
                continue;
            }
        }
        if seen.insert(op) {
            open.extend(operation.input_endpoints());
            let before = operation.control_inputs();
            // A constant of a branch has no data input; only its control input
            // shows to which side it belongs.
            open.extend(before.iter().map(|operation| Endpoint { op: operation.id(), index: 0 }));
        }
    }
    found
}

/// Replaces the conditional that ends with `merge`, with all its other results, by an `If` named
/// `<scope>_functional`, and makes each `Merge` forward its output.
fn make_conditional(graph: &Graph, merge: &Operation) -> Result<()> {
    if merge.num_inputs() != 2 {
        return Err(unusual("a Merge of more than two values"));
    }
    let sides = [merge.input(0), merge.input(1)];
    let predicate = predicate(graph, &sides)?;
    let canonical = find(graph, predicate.op)?.output(predicate.index as usize);
    let canonical = canonical_endpoint(&canonical);
    // All results of the conditional: their merges have the same predicate.
    let merges: Vec<Operation> = graph
        .operations()
        .into_iter()
        .filter(|other| kind(other) == "Merge" && other.num_inputs() == 2)
        .filter(|other| other.id() == merge.id() || shares(graph, other, predicate))
        .collect();
    let mut functions: Vec<Function> = Vec::new();
    let mut cuts: Vec<Vec<Output>> = Vec::new();
    // Side 0 is the false branch: `Merge` has the false value first, as `Switch` has the false output first.
    for side in 0..2 {
        let mut cut: Vec<Output> = Vec::new();
        for merge in &merges {
            let switches = switches(graph, &merge.input(side), Some(canonical));
            for (&id, ports) in &switches {
                let switch = find(graph, id)?;
                let mine = switch.input(1).endpoint() == predicate || predicate_of(&switch) == canonical;
                for &port in ports.iter().filter(|_| mine) {
                    let output = switch.output(port as usize);
                    if !cut.iter().any(|known| known.endpoint() == output.endpoint()) {
                        cut.push(output);
                    }
                }
            }
        }
        cuts.push(cut);
    }
    // Both branches take what either of them takes.
    let mut inputs: Vec<Operation> = Vec::new();
    for switch in cuts.iter().flatten().map(Output::operation) {
        if !inputs.contains(switch) {
            inputs.push(switch.clone());
        }
    }
    let base = merge.name().rsplit_once('/').map_or(merge.name(), |(scope, _)| scope);
    for (side, cut) in cuts.iter().enumerate() {
        let results: Vec<Output> = merges.iter().map(|merge| merge.input(side)).collect();
        let mut part = Part::of(graph, graph, cut, &results, &[])?;
        let own = std::mem::take(&mut part.arguments);
        for switch in &inputs {
            match cut.iter().position(|cut| cut.operation() == switch) {
                Some(known) => part.arguments.push(own[known].clone()),
                None => drop(part.add_argument("unused", &switch.input(0))),
            }
        }
        let results = results.iter().map(|result| part.find(result)).collect::<Result<Vec<Output>>>()?;
        let name = format!("{}_{}", base.replace('/', "_"), if side == 0 { "false" } else { "true" });
        functions.push(function(&numbered_name(graph, &name), &part, results)?);
        graph.add_function(functions[side].clone())?;
    }
    let stateful = functions.iter().any(Function::is_stateful);
    let scope = graph.root().located_at(merge.location());
    let pred = find(graph, predicate.op)?.output(predicate.index as usize).within(&scope);
    let dtypes: Vec<DType> = merges.iter().map(|merge| merge.output_infos()[0].dtype).collect();
    let shapes = merges.iter().map(|merge| AttrValue::Shape(merge.output_infos()[0].shape.clone())).collect();
    let builder = scope.op(if stateful { &IF } else { &STATELESS_IF }).name(format!("{base}_functional"));
    let inputs: Vec<Output> = inputs.iter().map(|switch| switch.input(0)).collect();
    let builder = builder.input(&pred).input_list(&inputs).attr("Tout", dtypes);
    let builder = builder.attr("output_shapes", AttrValue::List(shapes));
    let builder = builder.attr("then_branch", named(functions[1].name()));
    let builder =
        builder.attr("else_branch", named(functions[0].name())).attr("_lower_using_switch_merge", true);
    let made = builder.try_finish()?;
    // The second output of a `Merge` is the index of the input that arrived, which
    // is the predicate as a number.
    let index = cast(&pred, DType::Int32);
    for (number, merge) in merges.iter().enumerate() {
        let mut attrs = Attrs::new();
        attrs.insert("T".to_owned(), AttrValue::from(vec![made.output(number).dtype(), DType::Int32]));
        let inputs = vec![made.output(number), index.clone()];
        let outputs = as_values(merge.output_infos());
        merge.rewrite(Rewrite { def: &IDENTITY_N, inputs, attrs, outputs })?;
    }
    Ok(())
}

fn find(graph: &Graph, id: OpId) -> Result<Operation> {
    graph.operation_by_id(id).ok_or_else(|| Error::runtime("the graph lacks an operation"))
}

/// Returns the predicate behind chains of `Identity`: each conditional has its own `pred_id`, and nested
/// ones may share the predicate.
fn canonical_endpoint(pred: &Output) -> Endpoint {
    let mut pred = pred.clone();
    while pred.operation().op_type() == "Identity" {
        pred = pred.operation().input(0);
    }
    pred.endpoint()
}

/// The predicate of the switches of which each side sees only its own outputs: those of conditionals inside, and of ones
/// before, are seen with both outputs.
fn predicate(graph: &Graph, sides: &[Output; 2]) -> Result<Endpoint> {
    let mut seen: BTreeMap<(OpId, u32), [HashSet<u32>; 2]> = BTreeMap::new();
    for (number, side) in sides.iter().enumerate() {
        for (id, ports) in switches(graph, side, None) {
            let pred = find(graph, id)?.input(1).endpoint();
            let entry = seen.entry((pred.op, pred.index)).or_default();
            entry[number].extend(ports);
        }
    }
    let fits = |ports: &[HashSet<u32>; 2]| {
        let own = |side: usize| ports[side].iter().all(|&port| port as usize == side);
        own(0) && own(1)
    };
    // The nearest one: what is around has the same side on both.
    let found = seen.into_iter().rev().find(|(_, ports)| fits(ports));
    let ((op, index), _) =
        found.ok_or_else(|| unusual("no predicate tells the branches of a Merge apart"))?;
    Ok(Endpoint { op, index })
}

/// Returns true if a merge is another result of the conditional with this predicate.
fn shares(graph: &Graph, merge: &Operation, wanted: Endpoint) -> bool {
    predicate(graph, &[merge.input(0), merge.input(1)]).is_ok_and(|found| found == wanted)
}
