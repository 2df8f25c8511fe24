//! Operations that run functions of the graph's library: calls, conditionals, loops.
//!
//! A function's body is compiled to a plan of its own when the plan of its caller is made. Variables come in as handles.

use crate::compile::{Compilation, compile_part};
use crate::execute::Limits;
use crate::kernel::{Environment, Kernel, KernelContext};
use crate::kernels::facts;
use crate::late::Waited;
use crate::plan::{Plan, PlanKey};
use crate::registry::{Call, Role, draws, has_effect};
use session_core::{AttrValue, Code, Error, Function, OpId, Operation, Phase, Result};
use tensor::{DType, Tensor};

/// The kernel of an operation that runs functions.
pub(crate) fn make_caller(
    operation: &Operation,
    call: Call,
    compilation: &mut Compilation<'_>,
) -> Result<Box<dyn Kernel>> {
    let body = |compilation: &mut Compilation<'_>, attr: &str| -> Result<Plan> {
        match operation.attr(attr) {
            Some(AttrValue::Func(name, _)) => compile_function(name, compilation),
            _ => Err(Error::value(format!("attribute '{attr}' does not name a function"))),
        }
    };
    Ok(match call {
        Call::Function => Box::new(Called(body(compilation, "f")?)),
        Call::If => Box::new(Choice {
            // The condition counts: 0 for the second branch, anything else for the first.
            by_truth: true,
            branches: vec![body(compilation, "then_branch")?, body(compilation, "else_branch")?],
        }),
        Call::Case => Box::new(Choice { by_truth: false, branches: branches(operation, compilation)? }),
        Call::While => {
            Box::new(While { condition: body(compilation, "cond")?, body: body(compilation, "body")? })
        }
        Call::For => Box::new(For(body(compilation, "body")?)),
    })
}

/// The kernel of an operation whose op type is the name of a function.
pub(crate) fn make_function(name: &str, compilation: &mut Compilation<'_>) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(Called(compile_function(name, compilation)?)))
}

fn branches(operation: &Operation, compilation: &mut Compilation<'_>) -> Result<Vec<Plan>> {
    let Some(AttrValue::List(branches)) = operation.attr("branches") else {
        return Err(Error::value("attribute 'branches' is not a list of functions"));
    };
    let one = |branch: &AttrValue| match branch {
        AttrValue::Func(name, _) => compile_function(name, compilation),
        _ => Err(Error::value("attribute 'branches' is not a list of functions")),
    };
    branches.iter().map(one).collect()
}

fn compile_function(name: &str, compilation: &mut Compilation<'_>) -> Result<Plan> {
    let function = compilation.library.function(name);
    let function = function.ok_or_else(|| Error::key(format!("the graph has no function '{name}'")))?;
    if compilation.calls.iter().any(|caller| caller == name) {
        let text = format!("function '{name}' calls itself, which this engine does not run");
        return Err(Error::new(Code::Unimplemented, text));
    }
    compilation.calls.push(name.to_owned());
    let key = PlanKey {
        fetches: function.outputs().iter().map(|(_, output)| output.endpoint()).collect(),
        targets: targets(&function),
        feeds: function.inputs().iter().map(|input| input.endpoint()).collect(),
    };
    let plan = compile_part(function.body(), &key, compilation);
    compilation.calls.pop();
    plan
}

/// What a call runs whether an output needs it or not: what the function says, or else whatever has an effect.
fn targets(function: &Function) -> Vec<OpId> {
    let told: Vec<OpId> = function.control_outputs().iter().map(Operation::id).collect();
    if !told.is_empty() {
        return told;
    }
    let changes_something = |operation: &&Operation| {
        let looks = facts(operation).is_some_and(|op| op.reads || op.role == Role::Handle);
        operation.def().is_some() && has_effect(operation) && !looks && !draws(operation)
    };
    function.body().operations().iter().filter(changes_something).map(Operation::id).collect()
}

impl Plan {
    /// Runs the plan of a function on arguments, which it may write in place where nobody else has them.
    fn call(
        &self,
        environment: &Environment,
        arguments: Vec<Tensor>,
        limits: &Limits<'_>,
    ) -> Result<Vec<Tensor>> {
        if arguments.len() != self.feeds.len() {
            let text = format!("{} arguments for a function of {}", arguments.len(), self.feeds.len());
            return Err(Error::invalid_argument(text));
        }
        let mut frame = self.frame();
        for (slot, value) in self.feeds.iter().zip(arguments) {
            if let Some(slot) = slot {
                frame.slots[*slot as usize] = Some(value);
            }
        }
        let mut waited = Waited::default();
        self.run_steps(&mut frame, environment, limits, &mut waited, None)
            .map_err(|error| error.with_phase(Phase::Run))?;
        self.results(frame, &waited)
    }
}

fn arguments(context: &mut KernelContext<'_>, first: usize) -> Vec<Tensor> {
    (first..context.num_inputs()).map(|input| context.take(input)).collect()
}

fn deliver(context: &mut KernelContext<'_>, results: Vec<Tensor>) -> Result<()> {
    if results.len() != context.outputs.len() {
        let text =
            format!("a function gives {} results in the place of {}", results.len(), context.outputs.len());
        return Err(Error::invalid_argument(text));
    }
    results.into_iter().enumerate().for_each(|(output, result)| context.set(output, result));
    Ok(())
}

struct Called(Plan);

impl Kernel for Called {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let arguments = arguments(context, 0);
        let results = self.0.call(context.environment, arguments, context.limits)?;
        deliver(context, results)
    }
}

/// One of several functions, by the first input.
struct Choice {
    by_truth: bool,
    branches: Vec<Plan>,
}

impl Kernel for Choice {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let last = self.branches.len().saturating_sub(1);
        let index = if self.by_truth {
            usize::from(!is_true(context.input(0))?)
        } else {
            // An index beyond the branches means the last one.
            usize::try_from(context.int(0)?).map_or(last, |index| index.min(last))
        };
        let branch =
            self.branches.get(index).ok_or_else(|| Error::invalid_argument("there are no branches"))?;
        let arguments = arguments(context, 1);
        let results = branch.call(context.environment, arguments, context.limits)?;
        deliver(context, results)
    }
}

struct While {
    condition: Plan,
    body: Plan,
}

impl Kernel for While {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let mut values = arguments(context, 0);
        loop {
            context.limits.check()?;
            let goes_on = self.condition.call(context.environment, values.clone(), context.limits)?;
            let goes_on =
                goes_on.first().ok_or_else(|| Error::invalid_argument("a condition without result"))?;
            if !is_true(goes_on)? {
                return deliver(context, values);
            }
            values = self.body.call(context.environment, values, context.limits)?;
        }
    }
}

/// A function called with each number of a range and what it gave the last time.
struct For(Plan);

impl Kernel for For {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let [start, limit, delta] = [context.int(0)?, context.int(1)?, context.int(2)?];
        let fits = delta > 0 && start <= limit || delta < 0 && start >= limit || start == limit;
        if !fits {
            let text = format!("a range from {start} to {limit} in steps of {delta} has no end");
            return Err(Error::invalid_argument(text));
        }
        let mut values = arguments(context, 3);
        let mut index = start;
        while if delta > 0 { index < limit } else { index > limit } {
            context.limits.check()?;
            let number =
                i32::try_from(index).map_err(|_| Error::invalid_argument("a number that is no int32"))?;
            values.insert(0, Tensor::from(number));
            values = self.0.call(context.environment, values, context.limits)?;
            index += delta;
        }
        deliver(context, values)
    }
}

/// A scalar is true unless it is 0, false or an empty string; anything else is true if it has elements.
fn is_true(value: &Tensor) -> Result<bool> {
    if value.shape().rank() > 0 {
        return Ok(value.elements() > 0);
    }
    match value.dtype() {
        DType::Bool => Ok(value.value::<bool>()?),
        DType::String => Ok(value.as_strings()?.first().is_some_and(|text| !text.is_empty())),
        dtype => for_dtype!(real dtype, T => Ok(value.value::<T>()? != T::default())),
    }
}
