//! Gradients through loops: a backward loop over the iterations of the forward loop, last one first.
//!
//! An iteration of the backward loop needs values of the same forward iteration. The forward loop is rewritten in place to append them to
//! tensor lists, one element for each iteration; the backward loop takes one element from the end of each list. Values that are the same in
//! all iterations are passed without a list. The backward loop runs as often as the forward loop did: a counter of the loop is used if it has
//! one, and added otherwise.

use super::functional::{Forward, Work, flows, function, function_of, gradient_info, zeros_for};
use super::reach::Reach;
use crate::array::constants::{constant, placeholder};
use crate::control_flow::functional::{STATELESS_WHILE, WHILE};
use crate::control_flow::tensor_list::{
    EMPTY_TENSOR_LIST, TENSOR_LIST_POP_BACK, TENSOR_LIST_PUSH_BACK, element_shape_tensor,
};
use crate::functions::{named, numbered_name};
use crate::math::compare::less;
use crate::math::sum::add_n;
use session_core::{
    AttrValue, DType, Function, Graph, Operation, Output, OutputInfo, PartialShape, Result, Rewrite,
};
use tensor::Tensor;

/// Builds the gradients of a loop, and rewrites the loop so that it keeps the values that they need.
pub(crate) fn gradient(operation: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let body = function_of(operation, operation.attr("body"))?;
    let cond = function_of(operation, operation.attr("cond"))?;
    let outer = operation.graph();
    let work = Work::of(&body, &outer, &operation.inputs())?;
    let Some(variables) = Variables::of(&work, grads) else { return Ok(vec![None; operation.num_inputs()]) };
    let (round, variables) = Round::of(work, variables, body.name())?;
    let counter = Counter::of(operation, &round.work);
    let lists = keep(operation, &cond, &body, &round, counter)?;
    let back = Back { operation, round: &round, variables: &variables, lists: &lists };
    back.build(grads, body.name())
}

/// The loop variables that gradients go through.
struct Variables {
    /// Numbers and lists, whose gradients go from round to round.
    carried: Vec<usize>,
    /// Handles of variables, whose gradients add up over the rounds.
    handles: Vec<usize>,
}

impl Variables {
    /// Returns the variables on which the results with gradients depend; `None` if there are none.
    fn of(work: &Work, grads: &[Option<Output>]) -> Option<Variables> {
        let count = work.arguments.len();
        let flow = |j: &usize| flows(work.results[*j].dtype());
        let mut carried: Vec<usize> =
            (0..count).filter(flow).filter(|&j| grads.get(j).is_some_and(Option::is_some)).collect();
        if carried.is_empty() {
            return None;
        }
        // To a fixed point: a variable that influences one with a gradient receives a gradient
        // itself, in the iteration before.
        loop {
            let results: Vec<Output> = carried.iter().map(|&j| work.results[j].clone()).collect();
            let reached = Reach::depends(&work.graph, &results, &work.arguments);
            let more: Vec<usize> =
                (0..count).filter(flow).filter(|&j| reached[j] && !carried.contains(&j)).collect();
            if more.is_empty() {
                let handle = |j: &usize| work.arguments[*j].dtype() == DType::Resource && reached[*j];
                return Some(Variables { carried, handles: (0..count).filter(handle).collect() });
            }
            carried.extend(more);
            // In the order of the loop's inputs, so that the backward loop does not
            // depend on the order of discovery.
            carried.sort_unstable();
        }
    }

    fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.carried.iter().chain(&self.handles).copied()
    }
}

/// One round with its gradient.
struct Round {
    work: Work,
    /// The arguments of the gradient: for each variable its incoming gradient.
    given: Vec<Output>,
    /// The gradients that it passes to the iteration before.
    results: Vec<Output>,
    /// The values that it needs and that are the same in all iterations, by the number of the loop's input.
    same: Vec<usize>,
    /// The values of its own iteration that it needs.
    kept: Vec<Output>,
    name: String,
}

impl Round {
    fn of(work: Work, mut variables: Variables, name: &str) -> Result<(Round, Variables)> {
        let mut given = Vec::new();
        for &j in &variables.carried {
            // The gradient of what the round gave.
            let (argument, result) = (&work.arguments[j], &work.results[j]);
            // The first backward iteration receives a gradient of the result's shape, and
            // later ones one of the argument's.
            given.push(work.added("grad_ys", result.dtype(), result.shape().relax(argument.shape())));
        }
        let of: Vec<Output> = variables.carried.iter().map(|&j| work.results[j].clone()).collect();
        let found = work.differentiate(&of, given.clone());
        let found = found.map_err(|error| error.context(format!("function '{name}'")))?;
        let mut results = Vec::new();
        for (&j, given) in variables.carried.iter().zip(&given) {
            let argument = &work.arguments[j];
            // A variable that the body overwrites passes nothing to the iteration before, but the
            // backward loop needs a value.
            let zeros = || match argument.dtype() {
                DType::Variant => work.zeros(argument, DType::Variant, Some(given)),
                // Of the argument's shape, from which that of the result may differ.
                dtype => work.zeros_of_shape(argument, dtype),
            };
            results.push(found[j].clone().unwrap_or_else(zeros));
        }
        // Handles of other resources than variables have no gradients.
        variables.handles.retain(|&j| found[j].is_some());
        for &j in &variables.handles {
            let Some(found) = found[j].clone() else { continue };
            let info = gradient_info(&work.arguments[j], &found);
            let so_far = work.added("grad_ys", info.dtype, info.shape);
            // A variable read in every iteration: the sum over the iterations is
            // carried, starting from zeros.
            results.push(add_n(&[so_far.within(&found.graph()), found]));
            given.push(so_far);
        }
        let (mut same, mut kept) = (Vec::new(), Vec::new());
        for need in work.needs(&results) {
            let argument = work.arguments.iter().position(|argument| argument.endpoint() == need.endpoint());
            match argument {
                // The body returns the argument itself, so it has the same value in every
                // iteration and needs no list.
                Some(j) if work.results[j].endpoint() == need.endpoint() => same.push(j),
                _ => kept.push(need),
            }
        }
        Ok((Round { work, given, results, same, kept, name: name.to_owned() }, variables))
    }
}

/// The way in which the iterations of a loop are counted.
#[derive(Clone, Copy, PartialEq)]
enum Counter {
    /// The loop is recognized by its first variable.
    First,
    /// Not recognized yet.
    None,
}

impl Counter {
    /// Returns `First` if the first variable begins with 0 and grows by 1 in each iteration.
    fn of(operation: &Operation, work: &Work) -> Counter {
        // Loops of TensorFlow 2 have such a counter as their first variable, and loops with
        // `maximum_iterations` in TensorFlow 1 as well.
        let is = |output: &Output, number: i32| {
            output.constant_value().is_some_and(|value| *value == Tensor::from(number))
        };
        let counts = || {
            let (first, next) = (work.arguments.first()?, work.results.first()?.operation());
            let adds = matches!(next.op_type(), "Add" | "AddV2") && next.num_inputs() == 2;
            (adds && next.input(0).endpoint() == first.endpoint() && is(&next.input(1), 1)).then_some(())
        };
        let starts = operation.num_inputs() > 0 && is(&operation.input(0), 0);
        if starts && counts().is_some() { Counter::First } else { Counter::None }
    }
}

/// The results of a loop beyond its variables.
struct Kept {
    /// The number of iterations.
    total: Output,
    lists: Vec<Output>,
}

/// Rewrites the loop to keep the values that the gradient needs of each iteration, and to count the iterations.
fn keep(
    operation: &Operation,
    cond: &Function,
    body: &Function,
    round: &Round,
    counter: Counter,
) -> Result<Kept> {
    let graph = operation.graph();
    // Nothing to record: the forward loop stays as it is, and its counter tells how often it ran.
    if counter == Counter::First && round.kept.is_empty() {
        let now = graph.operation_by_id(operation.id()).unwrap_or_else(|| operation.clone());
        return Ok(Kept { total: now.output(0), lists: Vec::new() });
    }
    let scope = graph.root().scope(&format!("{}/", operation.name()));
    let mut inputs = operation.inputs();
    let first_list = inputs.len();
    let mut forward = round.work.forward(&round.kept)?;
    for need in &round.kept {
        let builder = scope.named("accumulator").op(&EMPTY_TENSOR_LIST);
        let builder = builder.constant(element_shape_tensor(need.shape())).constant(-1i32);
        let list = builder.attr("element_dtype", need.dtype()).finish_output();
        let argument = forward.part.add_argument("accumulator", &list);
        let value = forward.part.find(need)?;
        let push = argument.graph().op(&TENSOR_LIST_PUSH_BACK).input(&argument).input(value);
        // The list is a further loop variable: an empty one enters, and the last one, with an
        // element per iteration, leaves.
        forward.results.push(push.finish_output());
        inputs.push(list);
    }
    if counter == Counter::None {
        let zero = constant(&scope.named("counter"), 0i32);
        let argument = forward.part.add_argument("counter", &zero);
        forward.results.push(&argument + 1);
        inputs.push(zero);
    }
    let more = inputs[first_list..].to_vec();
    let body = forward.into_function(&numbered_name(&graph, &format!("{}_rewritten", body.name())))?;
    let cond = with_arguments(cond, &graph, &more)?;
    let mut attrs = operation.attrs().clone();
    let mut infos = operation.output_infos().to_vec();
    infos.extend(more.iter().map(|value| OutputInfo {
        dtype: value.dtype(),
        shape: PartialShape::scalar(),
        is_ref: false,
    }));
    let dtypes: Vec<DType> = infos.iter().map(|info| info.dtype).collect();
    let shapes = infos.iter().map(|info| AttrValue::Shape(info.shape.clone())).collect();
    attrs.insert("T".to_owned(), AttrValue::from(dtypes));
    attrs.insert("output_shapes".to_owned(), AttrValue::List(shapes));
    attrs.insert("cond".to_owned(), named(cond.name()));
    attrs.insert("body".to_owned(), named(body.name()));
    let def = if cond.is_stateful() || body.is_stateful() { &WHILE } else { &STATELESS_WHILE };
    graph.add_function(cond)?;
    graph.add_function(body)?;
    let now = operation.rewrite(Rewrite { def, inputs, attrs, outputs: infos })?;
    // The added counter is the last variable, after the lists.
    let total = if counter == Counter::First { 0 } else { now.num_outputs() - 1 };
    let lists = (0..round.kept.len()).map(|number| now.output(first_list + number));
    Ok(Kept { total: now.output(total), lists: lists.collect() })
}

/// Returns the condition with further arguments that it ignores: condition and body take the same arguments.
fn with_arguments(cond: &Function, outer: &Graph, more: &[Output]) -> Result<Function> {
    let work = Work::of(cond, outer, &[])?;
    let Forward { mut part, results, control } = work.forward(&[])?;
    for value in more {
        part.add_argument("unused", value);
    }
    let forward = Forward { part, results, control };
    forward.into_function(&numbered_name(outer, &format!("{}_rewritten", cond.name())))
}

/// The loop back.
struct Back<'a> {
    operation: &'a Operation,
    round: &'a Round,
    variables: &'a Variables,
    lists: &'a Kept,
}

impl Back<'_> {
    fn build(&self, grads: &[Option<Output>], name: &str) -> Result<Vec<Option<Output>>> {
        let graph = self.operation.graph();
        let now = graph.operation_by_id(self.operation.id()).unwrap_or_else(|| self.operation.clone());
        let base = self.operation.name().rsplit('/').next().unwrap_or_default().to_owned();
        // Never tested, but part of the layout of TensorFlow's loops: counter, maximum, then the variables.
        let maximum = constant(&graph.named("maximum_iterations"), -1i32);
        let mut inputs =
            vec![constant(&graph.named("loop_counter"), 0i32), maximum, self.lists.total.clone()];
        for &j in &self.variables.carried {
            let output = now.output(j);
            let zeros = || zeros_for(&graph, &output, output.dtype(), None);
            inputs.push(grads.get(j).cloned().flatten().unwrap_or_else(zeros));
        }
        // After the carried ones, `given` has one entry for each handle.
        for (&j, given) in
            self.variables.handles.iter().zip(&self.round.given[self.variables.carried.len()..])
        {
            inputs.push(zeros_for(&graph, &now.input(j), given.dtype(), None));
        }
        inputs.extend(self.lists.lists.iter().cloned());
        inputs.extend(self.round.same.iter().map(|&j| now.input(j)));
        let infos: Vec<OutputInfo> = inputs
            .iter()
            .enumerate()
            .map(|(place, input)| OutputInfo {
                dtype: input.dtype(),
                shape: self.shape_in_all_rounds(place, input),
                is_ref: false,
            })
            .collect();
        let body = self.body(&infos, &numbered_name(&graph, &format!("{name}_grad")))?;
        let cond = condition(&graph, &infos, &numbered_name(&graph, &format!("{name}_grad_cond")))?;
        let def = if body.is_stateful() { &WHILE } else { &STATELESS_WHILE };
        let builder = graph.named(&format!("{base}_grad")).op(def).input_list(&inputs);
        let builder = builder.attr("cond", named(cond.name())).attr("body", named(body.name()));
        let shapes = infos.into_iter().map(|info| AttrValue::Shape(info.shape)).collect();
        let builder = builder.attr("output_shapes", AttrValue::List(shapes));
        // 10 is TensorFlow's default for loops.
        let parallel = self.operation.attr("parallel_iterations").and_then(AttrValue::as_int).unwrap_or(10);
        let builder = builder.attr("parallel_iterations", parallel).attr("_lower_using_switch_merge", true);
        let builder = builder.attr("_num_original_outputs", inputs.len());
        graph.add_function(cond)?;
        graph.add_function(body)?;
        let back = builder.try_finish()?;
        let mut gradients = vec![None; self.operation.num_inputs()];
        for (number, j) in self.variables.all().enumerate() {
            gradients[j] = Some(back.output(3 + number));
        }
        Ok(gradients)
    }

    /// Returns the shape that a variable of the backward loop has in all iterations.
    fn shape_in_all_rounds(&self, place: usize, input: &Output) -> PartialShape {
        let number = place.checked_sub(3).filter(|&number| number < self.round.given.len());
        match number {
            Some(number) => {
                let given = self.round.given[number].shape();
                input.shape().relax(&given.relax(self.round.results[number].shape()))
            }
            None => input.shape().clone(),
        }
    }

    /// One round back.
    fn body(&self, infos: &[OutputInfo], name: &str) -> Result<Function> {
        let round = self.round;
        let same: Vec<Output> = round.same.iter().map(|&j| round.work.arguments[j].clone()).collect();
        let cut: Vec<Output> = round.given.iter().chain(&same).cloned().collect();
        // `backward_with` asks for the values in the order of `kept`, so `lists`
        // and `popped` have it as well.
        let (mut lists, mut popped) = (Vec::new(), Vec::new());
        let mut part = round.work.backward_with(&cut, &round.kept, &round.results, |graph, need| {
            let list = placeholder(&graph.named("accumulator"), DType::Variant, PartialShape::scalar());
            let builder = graph.op(&TENSOR_LIST_POP_BACK).input(&list);
            let builder = builder.constant(element_shape_tensor(need.shape()));
            let pop = builder.attr("element_dtype", need.dtype()).finish();
            lists.push(list);
            popped.push(pop.output(0));
            pop.output(1)
        })?;
        let own = std::mem::take(&mut part.arguments);
        let (given, same) = own.split_at(round.given.len());
        let graph = part.graph.clone();
        let numbers: Vec<Output> = ["loop_counter", "maximum_iterations", "total"]
            .iter()
            .zip(infos)
            .map(|(name, info)| placeholder(&graph.named(name), info.dtype, info.shape.clone()))
            .collect();
        // The order of results is that of the inputs in `build`: numbers, gradients,
        // lists, values that stay the same.
        let mut results = vec![&numbers[0] + 1, numbers[1].clone(), numbers[2].clone()];
        for result in &round.results {
            results.push(part.find(result)?);
        }
        results.extend(popped);
        results.extend(same.iter().cloned());
        part.arguments = numbers;
        part.arguments.extend(given.iter().cloned());
        part.arguments.extend(lists);
        part.arguments.extend(same.iter().cloned());
        function(name, &part, results).map_err(|error| error.context(format!("function '{}'", round.name)))
    }
}

/// Returns the condition of the backward loop: true while iterations are left.
fn condition(outer: &Graph, infos: &[OutputInfo], name: &str) -> Result<Function> {
    let graph = Graph::new().copied_as_body(outer);
    let arguments: Vec<Output> =
        infos.iter().map(|info| placeholder(&graph.named("args"), info.dtype, info.shape.clone())).collect();
    let goes_on = less(&arguments[0], &arguments[2]);
    Function::new(name, &graph, arguments, [("goes_on".to_owned(), goes_on)])
}
