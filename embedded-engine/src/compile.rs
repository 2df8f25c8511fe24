//! The compiler's driver: from a graph and a set of fetches, targets, and feeds to a plan.
//!
//! `build` creates the intermediate form, passes optimize it, and `emit` turns it into a plan. A function is
//! compiled once for all its callers, after the functions that it calls. The order is found with an explicit
//! stack, because the nesting of functions in a file is not limited. A function that calls itself is an
//! error.
//!
//! Plans of functions are kept as weak references: the plans of steps own them, so a function is kept as long
//! as some step needs it.
//!
//! # Stages
//!
//! ```text
//! builder ──────────► fuse ──► chains ──► sweep ──► frames ──► schedule ──► emit
//! a graph to nodes    passes over nodes             an order                numbered slots
//! ```
//!
//! A function is compiled on demand, once per session. Callees come first, so a call can refer to a finished
//! plan; a function that calls itself, directly or through others, is an error that names it.
//! Missing kernels of all functions are collected before the first error is returned.
//!
//! # Why the stages are in this order
//!
//! - `fuse` before `chains`: both want the addition and the ReLU after a product, and the fused product saves
//!   more.
//! - `sweep` after both: they leave nodes without users, and the emitter makes a step of every live
//!   node.
//! - Functions after the intermediate form of their caller, and before its emission: only then is it known
//!   which calls remain, and emission asks whether a callee waits and whether it is pure.

use crate::builder::{Shared, build};
use crate::chains;
use crate::emit::{Bodies, emit};
use crate::fuse;
use crate::gradient;
use crate::ir::Ir;
use crate::kernels::facts;
use crate::missing::Missing;
use crate::plan::{Plan, PlanKey};
use crate::registry::{Role, draws, has_effect};
use rustc_hash::FxHashSet;
use session_core::{Code, Error, Function, Graph, OpId, Operation, Phase, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The maximum depth of nested function calls. Each level occupies stack space of a thread while it runs. A
/// loop or conditional counts as one level, as does a plain call.
const MAX_DEPTH: usize = 256;

/// The plans of functions that some plan of a session calls.
///
/// An entry whose plan no step owns any more is removed when the next plan is compiled.
#[derive(Default)]
pub(crate) struct Functions {
    /// Guards the table; functions are compiled and run outside.
    by_name: Mutex<rustc_hash::FxHashMap<String, Weak<Plan>>>,
}

impl Functions {
    /// Returns the plan of a function if some step or compilation still owns it.
    fn find(&self, name: &str) -> Option<Arc<Plan>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(name).and_then(Weak::upgrade)
    }

    /// Remembers the plans of functions for later compilations, without owning them.
    fn keep(&self, bodies: &Bodies) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.retain(|_, plan| plan.strong_count() > 0);
        by_name.extend(bodies.iter().map(|(name, plan)| (name.clone(), Arc::downgrade(plan))));
    }
}

/// Compiles a step and all functions that it needs and that no plan of the session has yet.
///
/// Nothing is locked meanwhile: two threads may compile the same step or function at the same time, and the
/// session keeps one of the results.
///
/// # Errors
/// Those of [`build`] and [`emit`]; `Unimplemented` with all operations without a kernel, in the step and in
/// functions; `Unimplemented` for a recursive function; `ResourceExhausted` for calls that are nested too
/// deeply; `Runtime` for an empty graph (S-52); `Internal` for a panic, after which the session goes on.
pub(crate) fn compile(
    graph: &Graph,
    key: &PlanKey,
    functions: &Functions,
    shared: &Shared<'_>,
) -> Result<Plan> {
    // A panic is a broken invariant of the compiler. Nothing of a failed compilation is kept, and locks that
    // it poisoned are used on.
    let compiled = catch_unwind(AssertUnwindSafe(|| plan(graph, key, functions, shared)));
    compiled
        .unwrap_or_else(|payload| Err(Error::from_panic("the compiler", &*payload).with_phase(Phase::Run)))
}

/// Does the work of [`compile`], and may panic.
fn plan(graph: &Graph, key: &PlanKey, functions: &Functions, shared: &Shared<'_>) -> Result<Plan> {
    graph.check()?;
    if graph.is_empty() {
        return Err(Error::runtime("the graph is empty: there is nothing to run"));
    }
    let mut compilation =
        Compilation { functions, shared, bodies: Bodies::default(), missing: Missing::default() };
    let ir = compilation.lower(graph, key, None)?;
    compilation.compile_functions(calls(&ir))?;
    // Only after the functions, so that one error lists what is missing anywhere.
    compilation.missing.check()?;
    let mut plan = emit(ir, &compilation.bodies)?;
    plan.folded += compilation.bodies.values().map(|body| body.folded).sum::<usize>();
    // Not before the check for missing kernels: the plans in `bodies` may have gaps until then.
    functions.keep(&compilation.bodies);
    Ok(plan)
}

/// One compilation: of a key, with the functions that it needs.
struct Compilation<'a> {
    /// The functions that the session compiled before.
    functions: &'a Functions,
    /// The session's resources and options, and the limits of the run that compiles.
    shared: &'a Shared<'a>,
    /// The plans of all functions that are needed, compiled now or before. It owns them until the step's plan
    /// does.
    bodies: Bodies,
    /// The operations without kernels, of the step and of all functions.
    missing: Missing,
}

/// A function whose callees are being compiled. The stack of these is the chain of calls from the step to the
/// function at work.
struct Opened {
    /// The name of the function.
    name: String,
    /// The operation that calls it, which errors name.
    caller: Operation,
    /// Its intermediate form, emitted once all callees have plans.
    ir: Ir,
    /// The functions that it calls and that have not been looked at, each with the operation that calls it.
    callees: Vec<(String, Operation)>,
}

impl Compilation<'_> {
    /// Returns the intermediate form of a step's own graph or of a function's body, after all passes.
    fn lower(&mut self, graph: &Graph, key: &PlanKey, function: Option<&str>) -> Result<Ir> {
        let mut ir = build(graph, key, function, self.shared, &mut self.missing)?;
        if self.shared.optimize {
            fuse::fuse(&mut ir, self.shared.environment);
            chains::join(&mut ir);
        }
        ir.sweep();
        Ok(ir)
    }

    /// Compiles these functions, and everything that they call, callees first.
    ///
    /// This is a depth-first search with its own stack: `called` and the lists in the stack are the calls
    /// still to visit.
    ///
    /// # Errors
    /// See [`compile`]. The operation that calls a function is named in errors of its body.
    fn compile_functions(&mut self, mut called: Vec<(String, Operation)>) -> Result<()> {
        let mut stack: Vec<Opened> = Vec::new();
        let mut open: FxHashSet<String> = FxHashSet::default();
        loop {
            let callees = stack.last_mut().map_or(&mut called, |top| &mut top.callees);
            if let Some((name, caller)) = callees.pop() {
                // Several functions may call one; the first of them has compiled it.
                if self.bodies.contains_key(&name) {
                    continue;
                }
                if let Some(known) = self.functions.find(&name) {
                    self.bodies.insert(name, known);
                    continue;
                }
                let place = |error: Error| caller.place(error).with_phase(Phase::Run);
                // A function that is still open is on the stack, so this call leads back to it.
                if !open.insert(name.clone()) {
                    let text = format!("function '{name}' calls itself, which this engine does not run");
                    return Err(place(Error::new(Code::Unimplemented, text)));
                }
                let ir = self.lower_function(&name).map_err(place)?;
                stack.push(Opened { callees: calls(&ir), name, caller, ir });
            } else if let Some(Opened { name, caller, ir, .. }) = stack.pop() {
                // All callees have plans now. An operation without a kernel becomes an empty step, and the
                // compilation fails later.
                let plan = emit(ir, &self.bodies)?;
                if plan.depth > MAX_DEPTH {
                    let text =
                        format!("function '{name}' begins a chain of more than {MAX_DEPTH} nested calls");
                    let error = Error::new(Code::ResourceExhausted, text);
                    return Err(caller.place(error).with_phase(Phase::Run));
                }
                open.remove(&name);
                self.bodies.insert(name, Arc::new(plan));
            } else {
                return Ok(());
            }
        }
    }

    /// Returns the intermediate form of a function's body, or of the gradient that a name stands for.
    ///
    /// # Errors
    /// `Key` if the library has no such function, the limits of the run, and errors of the body.
    fn lower_function(&mut self, name: &str) -> Result<Ir> {
        self.shared.limits.check()?;
        if let Some((graph, key)) = gradient::differentiated(self.shared.library, name)? {
            return self.lower(&graph, &key, Some(name));
        }
        let function = self.shared.library.function(name);
        let function = function.ok_or_else(|| Error::key(format!("the graph has no function '{name}'")))?;
        // All results are computed, also those that a caller ignores: the plan is shared by all callers.
        let key = PlanKey {
            fetches: function.outputs().iter().map(|(_, output)| output.endpoint()).collect(),
            targets: targets(&function),
            feeds: function.inputs().iter().map(|input| input.endpoint()).collect(),
        };
        self.lower(function.body(), &key, Some(name))
    }
}

/// Returns the functions that the nodes call or hold, each once, with the first operation that does.
fn calls(ir: &Ir) -> Vec<(String, Operation)> {
    let callees = ir.live().flat_map(|(_, node)| node.callees.iter().map(move |callees| (node, callees)));
    let names = callees.flat_map(|(node, callees)| callees.functions.iter().map(move |name| (node, name)));
    let mut seen = FxHashSet::default();
    let names = names.filter(|(_, name)| seen.insert(name.as_str()));
    names.map(|(node, name)| (name.clone(), node.operation().clone())).collect()
}

/// Returns the operations that every call of a function runs: the control outputs that it declares, or else
/// all with side effects.
///
/// Reading a variable, taking a handle and drawing a random number are no reasons to run an operation whose
/// result nothing needs.
fn targets(function: &Function) -> Vec<OpId> {
    let declared: Vec<OpId> = function.control_outputs().iter().map(Operation::id).collect();
    if !declared.is_empty() {
        return declared;
    }
    let changes_something = |operation: &&Operation| {
        let looks = facts(operation).is_some_and(|op| op.reads || op.role == Role::Handle);
        operation.def().is_some() && has_effect(operation) && !looks && !draws(operation)
    };
    function.body().operations().iter().filter(changes_something).map(Operation::id).collect()
}
