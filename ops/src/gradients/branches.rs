//! Gradients through conditionals and calls: an operation of the same kind over the gradients of the branches.
//!
//! The backward operation needs values of the forward branch, such as the input of a square. Therefore the forward operation is rewritten in
//! place to return them as further outputs. A branch that does not compute a value returns a substitute of the same dtype and shape: the
//! backward branch that would read it does not run, because the same selector chooses both.

use super::calls;
use super::functional::{Work, flows, function, function_of, gradient_info};
use crate::array::constants::{constant, scalar_tensor};
use crate::control_flow::functional::{
    CASE, IF, PARTITIONED_CALL, STATEFUL_PARTITIONED_CALL, STATELESS_CASE, STATELESS_IF,
};
use crate::control_flow::tensor_list::{EMPTY_TENSOR_LIST, element_shape_tensor};
use crate::functions::custom::RECOMPUTES;
use crate::functions::{named, numbered_name};
use session_core::{
    AttrValue, DType, Error, Function, Graph, OpBuilder, OpDef, Operation, Output, OutputInfo, PartialShape,
    Result, Rewrite,
};
use std::sync::Arc;

/// The way in which an operation chooses among functions.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    If,
    Case,
    Call,
}

impl Kind {
    fn of(operation: &Operation) -> Kind {
        match operation.op_type() {
            "If" | "StatelessIf" => Kind::If,
            "Case" | "StatelessCase" => Kind::Case,
            _ => Kind::Call,
        }
    }

    /// Returns the number of inputs that choose the function.
    fn selectors(self) -> usize {
        // Calls have no selector; the other kinds have one, the predicate or the branch
        // index, as their first input.
        usize::from(self != Kind::Call)
    }

    fn functions(self, operation: &Operation) -> Result<Vec<Arc<Function>>> {
        let of = |attr: &str| function_of(operation, operation.attr(attr));
        match self {
            Kind::If => Ok(vec![of("then_branch")?, of("else_branch")?]),
            Kind::Call => Ok(vec![of("f")?]),
            Kind::Case => {
                let branches = operation.attr("branches").and_then(AttrValue::as_list);
                let branches = branches.ok_or_else(|| Error::value("'branches' is not a list"))?;
                branches.iter().map(|branch| function_of(operation, Some(branch))).collect()
            }
        }
    }

    /// The attributes that name the functions.
    fn attrs(self, names: &[String]) -> Vec<(String, AttrValue)> {
        let attr = |name: &str, function: &String| (name.to_owned(), named(function));
        match (self, names) {
            (Kind::If, [first, second]) => vec![attr("then_branch", first), attr("else_branch", second)],
            (Kind::Call, [only]) => vec![attr("f", only)],
            _ => {
                vec![("branches".to_owned(), AttrValue::List(names.iter().map(|name| named(name)).collect()))]
            }
        }
    }

    /// Returns the definition of this kind. The stateful form is needed as soon as one function is stateful:
    /// the stateless one may be folded or shared.
    fn def(self, stateful: bool) -> &'static OpDef {
        match (self, stateful) {
            (Kind::If, true) => &IF,
            (Kind::If, false) => &STATELESS_IF,
            (Kind::Case, true) => &CASE,
            (Kind::Case, false) => &STATELESS_CASE,
            (Kind::Call, true) => &STATEFUL_PARTITIONED_CALL,
            (Kind::Call, false) => &PARTITIONED_CALL,
        }
    }

    /// The names of what a function and its gradient become.
    fn names(self, graph: &Graph, name: &str) -> (String, String) {
        match self {
            // TensorFlow's names, by which its tools recognize the two halves of a call.
            Kind::Call => (
                numbered_name(graph, &format!("__forward_{name}")),
                numbered_name(graph, &format!("__backward_{name}")),
            ),
            _ => (
                numbered_name(graph, &format!("{name}_rewritten")),
                numbered_name(graph, &format!("{name}_grad")),
            ),
        }
    }
}

/// A branch with its gradient.
struct Differentiated {
    name: String,
    work: Work,
    /// The gradients of results that came in.
    given: Vec<Output>,
    /// The gradients of arguments.
    found: Vec<Option<Output>>,
}

/// Builds the gradients of a conditional or a call, and rewrites the operation so that it also returns the values that they need.
pub(crate) fn gradient(operation: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let kind = Kind::of(operation);
    let functions = kind.functions(operation)?;
    // A function that names its gradient, as those of `Defun` do, is not differentiated through its body.
    if kind == Kind::Call && functions[0].gradient().is_some() {
        return calls::gradient(operation, grads);
    }
    // The selector has no gradient, so inputs and arguments are counted without it.
    let inputs: Vec<Output> = operation.inputs().into_iter().skip(kind.selectors()).collect();
    let infos = operation.output_infos();
    let with_grads: Vec<usize> = (0..infos.len())
        .filter(|&r| flows(infos[r].dtype) && grads.get(r).is_some_and(Option::is_some))
        .collect();
    let outer = operation.graph();
    let mut branches = Vec::new();
    for function in &functions {
        branches.push(differentiated(function, &outer, &inputs, &with_grads)?);
    }
    // An input receives a gradient if one branch has one for it; the other branches return zeros, since all
    // branches must return the same number of values.
    let wanted: Vec<usize> = (0..inputs.len())
        .filter(|&j| branches.iter().any(|b| b.found.get(j).is_some_and(Option::is_some)))
        .collect();
    let mut gradients = vec![None; operation.num_inputs()];
    if wanted.is_empty() {
        return Ok(gradients);
    }
    let infos: Vec<OutputInfo> = wanted
        .iter()
        .filter_map(|&j| {
            let found = branches.iter().find_map(|branch| branch.found[j].clone())?;
            Some(gradient_info(&inputs[j], &found))
        })
        .collect();
    let back = Backward::of(operation, kind, &inputs, branches, (&wanted, &infos))?;
    let found = back.build(operation, kind, &with_grads, grads, &inputs, infos)?;
    for (&j, gradient) in wanted.iter().zip(found.outputs()) {
        gradients[kind.selectors() + j] = Some(gradient);
    }
    Ok(gradients)
}

/// Builds the gradients of one branch in a copy of its body. `with_grads` are the numbers of the results
/// whose gradients arrive; each becomes an argument `grad_ys` of the copy.
fn differentiated(
    function: &Function,
    outer: &Graph,
    inputs: &[Output],
    with_grads: &[usize],
) -> Result<Differentiated> {
    let work = Work::of(function, outer, inputs)?;
    let results: Vec<Output> = with_grads.iter().map(|&r| work.results[r].clone()).collect();
    let given: Vec<Output> =
        results.iter().map(|result| work.added("grad_ys", result.dtype(), result.shape().clone())).collect();
    let found = work.differentiate(&results, given.clone());
    let found = found.map_err(|error| error.context(format!("function '{}'", function.name())))?;
    Ok(Differentiated { name: function.name().to_owned(), work, given, found })
}

/// The functions and inputs of the operation that computes the gradients.
struct Backward {
    functions: Vec<String>,
    stateful: bool,
    /// Inputs of the operation that the gradients need.
    inputs: Vec<usize>,
    /// Outputs of the operation, as it is by now, that they need.
    outputs: Vec<usize>,
}

impl Backward {
    /// Makes the functions of the gradients, and makes the operation give what they need.
    fn of(
        operation: &Operation,
        kind: Kind,
        inputs: &[Output],
        branches: Vec<Differentiated>,
        (wanted, infos): (&[usize], &[OutputInfo]),
    ) -> Result<Backward> {
        let library = operation.graph();
        let (mut given_inputs, mut given_outputs): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        // The additional outputs of each branch, and everything that its gradient returns and needs.
        let mut extras: Vec<Vec<Output>> = Vec::new();
        let mut prepared = Vec::new();
        let first_extra = operation.num_outputs();
        let again = operation.attr(RECOMPUTES).and_then(AttrValue::as_bool) == Some(true);
        for branch in &branches {
            let results: Vec<Output> = wanted
                .iter()
                .zip(infos)
                .map(|(&j, info)| match branch.found.get(j).cloned().flatten() {
                    Some(found) => found,
                    None => branch.work.zeros(&branch.work.arguments[j], info.dtype, None),
                })
                .collect();
            let mut sources = Vec::new();
            let mut own = Vec::new();
            let needs =
                if again { branch.work.needed_arguments(&results) } else { branch.work.needs(&results) };
            for need in needs {
                // A value that is already an input or a result of the operation needs no further output.
                let place = |outputs: &[Output]| outputs.iter().position(|o| o.endpoint() == need.endpoint());
                let source = if let Some(j) = place(&branch.work.arguments) {
                    push_once(&mut given_inputs, j);
                    Source::Input(j)
                } else if let Some(r) = place(&branch.work.results) {
                    push_once(&mut given_outputs, r);
                    Source::Output(r)
                } else {
                    // The added outputs of all branches follow each other, so every branch has a number of
                    // its own for each of its values.
                    let number = first_extra + extras.iter().map(Vec::len).sum::<usize>() + own.len();
                    own.push(need.clone());
                    given_outputs.push(number);
                    Source::Output(number)
                };
                sources.push((source, need));
            }
            extras.push(own);
            prepared.push((results, sources));
        }
        let mut forward = Vec::new();
        let mut names = Vec::new();
        let mut stateful = false;
        // Without added outputs the forward operation and its functions stay as they are, and so
        // does whatever else uses them.
        let rewritten = extras.iter().any(|extras| !extras.is_empty());
        for (number, (branch, (results, sources))) in branches.iter().zip(&prepared).enumerate() {
            let (forward_name, backward_name) = kind.names(&library, &branch.name);
            if rewritten {
                let function = widened(branch, number, &extras, &forward_name)?;
                forward.push(function.name().to_owned());
                library.add_function(function)?;
            }
            // All backward functions take the same arguments: the union of what the
            // branches need, in one order.
            let order: Vec<Source> = given_inputs
                .iter()
                .map(|&j| Source::Input(j))
                .chain(given_outputs.iter().map(|&r| Source::Output(r)))
                .collect();
            // By number of the output, so `Source::Output` indexes it.
            let likes: Vec<Output> =
                branch.work.results.iter().chain(extras.iter().flatten()).cloned().collect();
            let backward = narrowed(branch, sources, &order, results, (inputs, &likes), &backward_name)?;
            // One stateful branch makes the whole operation stateful.
            stateful |= backward.is_stateful();
            names.push(backward.name().to_owned());
            library.add_function(backward)?;
        }
        if rewritten {
            rewrite(operation, kind, &forward, &extras)?;
        }
        Ok(Backward { functions: names, stateful, inputs: given_inputs, outputs: given_outputs })
    }

    /// Builds the operation of the gradients.
    fn build(
        &self,
        operation: &Operation,
        kind: Kind,
        with_grads: &[usize],
        grads: &[Option<Output>],
        inputs: &[Output],
        infos: Vec<OutputInfo>,
    ) -> Result<Operation> {
        let graph = operation.graph();
        // `operation` is the state before the rewrite and does not know the added outputs.
        let now = graph.operation_by_id(operation.id()).unwrap_or_else(|| operation.clone());
        let mut arguments: Vec<Output> = with_grads.iter().filter_map(|&r| grads[r].clone()).collect();
        arguments.extend(self.inputs.iter().map(|&j| inputs[j].clone()));
        arguments.extend(self.outputs.iter().map(|&r| now.output(r)));
        let dtypes: Vec<DType> = infos.iter().map(|info| info.dtype).collect();
        let mut builder: OpBuilder = graph.op(kind.def(self.stateful));
        if kind != Kind::Call {
            // As TensorFlow's own graphs say it: its runtime may lower the operation to `Switch` and `Merge`.
            builder = builder.input(operation.input(0)).attr("_lower_using_switch_merge", true);
            let shapes = infos.iter().map(|info| AttrValue::Shape(info.shape.clone()));
            builder = builder.attr("output_shapes", AttrValue::List(shapes.collect()));
        }
        builder = builder.input_list(&arguments).attr("Tout", dtypes).attrs(kind.attrs(&self.functions));
        builder = infos.into_iter().fold(builder, |builder, info| builder.described_output(info));
        builder.try_finish()
    }
}

/// The origin of a value that the gradient of a branch needs.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Input(usize),
    Output(usize),
}

/// Adds an item to a list unless it is there: several branches may need the same input or result; the added
/// outputs are distinct by construction and need no such check.
fn push_once(list: &mut Vec<usize>, item: usize) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Returns the branch that also returns the values that the gradients of all branches need: its own, or substitutes of the same
/// dtype and shape.
fn widened(branch: &Differentiated, number: usize, extras: &[Vec<Output>], name: &str) -> Result<Function> {
    let mut forward = branch.work.forward(&extras[number])?;
    for (other, extras) in extras.iter().enumerate() {
        for extra in extras {
            let result = match other == number {
                true => forward.part.find(extra)?,
                false => stand_in(&forward.part.graph, extra.dtype()),
            };
            forward.results.push(result);
        }
    }
    forward.into_function(name)
}

/// Returns some value of a dtype. Nothing reads it.
fn stand_in(graph: &Graph, dtype: DType) -> Output {
    let graph = graph.named("unused");
    // Zeros of variant dtype do not exist; an empty list is the cheapest variant.
    if dtype == DType::Variant {
        let list = graph.op(&EMPTY_TENSOR_LIST).constant(element_shape_tensor(&PartialShape::unknown()));
        return list.constant(-1i32).attr("element_dtype", DType::Float32).finish_output();
    }
    constant(&graph, scalar_tensor(dtype, 0.0))
}

/// Returns the backward function of a branch. Its arguments are the gradients of results, then the values in
/// `order`, which is the same for all branches; a value that this branch does not need is an unused argument.
/// Its results are the gradients of the wanted inputs.
fn narrowed(
    branch: &Differentiated,
    sources: &[(Source, Output)],
    order: &[Source],
    results: &[Output],
    (inputs, outputs): (&[Output], &[Output]),
    name: &str,
) -> Result<Function> {
    let cut: Vec<Output> =
        branch.given.iter().cloned().chain(sources.iter().map(|(_, o)| o.clone())).collect();
    let mut part = branch.work.backward(&cut, results)?;
    let own = std::mem::take(&mut part.arguments);
    let results = results.iter().map(|result| part.find(result)).collect::<Result<Vec<Output>>>()?;
    let (given, taken) = own.split_at(branch.given.len());
    part.arguments = given.to_vec();
    for &source in order {
        let known = sources.iter().position(|(known, _)| *known == source);
        match (known, source) {
            (Some(known), _) => part.arguments.push(taken[known].clone()),
            // Something that only another branch needs.
            (None, Source::Input(j)) => drop(part.add_argument("unused", &inputs[j])),
            (None, Source::Output(r)) => drop(part.add_argument("unused", &outputs[r])),
        }
    }
    function(name, &part, results)
}

/// Makes the operation run the widened branches and return all their outputs.
fn rewrite(
    operation: &Operation,
    kind: Kind,
    functions: &[String],
    extras: &[Vec<Output>],
) -> Result<Operation> {
    let mut attrs = operation.attrs().clone();
    let mut infos = operation.output_infos().to_vec();
    for extra in extras.iter().flatten() {
        // Of several branches only one gives it.
        let shape = if functions.len() == 1 { extra.shape().clone() } else { PartialShape::unknown() };
        infos.push(OutputInfo { dtype: extra.dtype(), shape, is_ref: false });
    }
    let dtypes: Vec<DType> = infos.iter().map(|info| info.dtype).collect();
    attrs.insert("Tout".to_owned(), AttrValue::from(dtypes));
    if kind != Kind::Call {
        let shapes = infos.iter().map(|info| AttrValue::Shape(info.shape.clone())).collect();
        attrs.insert("output_shapes".to_owned(), AttrValue::List(shapes));
    }
    attrs.extend(kind.attrs(functions));
    // A stateless operation stays stateless: values of the body are returned,
    // nothing is added that has state.
    let def = operation.def().unwrap_or(kind.def(true));
    operation.rewrite(Rewrite { def, inputs: operation.inputs(), attrs, outputs: infos })
}
