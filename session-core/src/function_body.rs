//! Bodies of functions while they are built: whose they are, and what they capture of the graphs around them.

use crate::graph::{Context, Shared};
use crate::{
    AttrValue, DType, Endpoint, Error, Graph, GraphMember, OpDef, Operation, Output, OutputInfo, Result,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The place of a body in the graphs around it.
pub(crate) struct Nesting {
    /// The graph in which the function is called. It holds the function, and so the body: the other way is weak.
    outer: Weak<Shared>,
    /// Guards what was captured; nothing once the body is complete.
    captures: Mutex<Option<Open>>,
}

/// The captures of a body under construction.
#[derive(Default)]
struct Open {
    /// Outputs of the graphs around, with the operations of the body that stand for them.
    outputs: Vec<(Output, Operation)>,
    by_endpoint: HashMap<Endpoint, Output>,
    control: Vec<Operation>,
}

/// The outputs and operations of the surrounding graph that a body needs.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// Outputs of the graph around, each with the argument of the body that stands for it.
    pub outputs: Vec<(Output, Output)>,
    /// Operations of the graph around that must have run before any call.
    pub control_inputs: Vec<Operation>,
}

/// Captures an output of one op type in the body of a function by other means than an argument: returns its
/// replacement there, or `None` if it becomes an argument after all.
pub type CaptureFn = fn(&Graph, &Output) -> Result<Option<Output>>;

/// The attributes with the dtype and shape of the resource that a handle among the arguments refers to.
pub const HANDLE_DTYPE: &str = "_handle_dtype";
/// See [`HANDLE_DTYPE`].
pub const HANDLE_SHAPE: &str = "_handle_shape";

/// Returns the attributes of an argument that describe what its handle refers to, copied from the operation
/// that creates the handle. None for other outputs.
#[must_use]
pub fn handle_data(handle: &Output) -> Vec<(String, AttrValue)> {
    if handle.dtype() != DType::Resource {
        return Vec::new();
    }
    let operation = handle.operation();
    // A handle that is itself an argument passes its description on, so that functions can be nested.
    let is_argument = operation.attr(HANDLE_DTYPE).is_some();
    let names = if is_argument { [HANDLE_DTYPE, HANDLE_SHAPE] } else { ["dtype", "shape"] };
    let [Some(dtype), Some(shape)] = names.map(|name| operation.attr(name)) else { return Vec::new() };
    vec![(HANDLE_DTYPE.to_owned(), dtype.clone()), (HANDLE_SHAPE.to_owned(), shape.clone())]
}

thread_local! {
    /// The bodies that are being built on this thread, innermost last; none where one lies outside of all.
    static BUILDING: RefCell<Vec<Option<Graph>>> = const { RefCell::new(Vec::new()) };
}

/// Removes the innermost body when building ends, also when it panics.
struct Entered;

impl Entered {
    fn new(body: Option<Graph>) -> Entered {
        BUILDING.with(|building| building.borrow_mut().push(body));
        Entered
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // The entry is dropped after the borrow of the cell ends: dropping the last handle of a graph may
        // drop collections, whose items may build something.
        let last = BUILDING.with(|building| building.borrow_mut().pop());
        drop(last);
    }
}

impl Nesting {
    fn within(outer: &Graph, open: bool) -> Nesting {
        // Weak, because the outer graph owns the function and thereby its body; a strong reference would leak
        // both.
        Nesting { outer: Arc::downgrade(&outer.shared), captures: Mutex::new(open.then(Open::default)) }
    }
}

impl Shared {
    /// Returns the graph around all bodies.
    pub(crate) fn outermost(self: &Arc<Self>) -> Arc<Shared> {
        let mut shared = self.clone();
        while let Some(outer) = shared.nesting.as_ref().and_then(|nesting| nesting.outer.upgrade()) {
            shared = outer;
        }
        shared
    }
}

impl Graph {
    /// Makes the body of a function to be called in this graph: a separate graph, which may use outputs of
    /// this one. Each of them becomes an argument, found by [`complete_body`](Graph::complete_body).
    ///
    /// Functions that are added to a body are those of the outermost graph, seeds come from there, and names of variables
    /// follow this handle's variable scope.
    ///
    /// ```
    /// use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// let x = graph.undefined_op("X").described_output(info.clone()).finish_output();
    /// let body = graph.function_body();
    /// body.undefined_op("Square").input(&x).described_output(info).finish();
    /// let captures = body.complete_body();
    /// assert_eq!(captures.outputs[0].0, x);
    /// assert!(captures.outputs[0].1.is_in(&body));
    /// ```
    #[must_use]
    pub fn function_body(&self) -> Graph {
        let shared = Shared::with_nesting(Some(Nesting::within(self, true)));
        let context = Context {
            // Variables and their container follow the caller, as if the body were inlined. Scope, device and
            // control inputs belong to the call instead.
            variables: self.context.variables.clone(),
            container: self.context.container.clone(),
            ..Context::default()
        };
        Graph::of(Arc::new(shared), Arc::new(context))
    }

    /// Returns a [copy](Graph::copied) of this graph as the body of a function that is called in `outer`. It captures nothing.
    #[must_use]
    pub fn copied_as_body(&self, outer: &Graph) -> Graph {
        self.copied_with(Some(Nesting::within(outer, false)))
    }

    /// Returns true for the body of a function that is called in another graph.
    #[must_use]
    pub fn is_function_body(&self) -> bool {
        self.shared.nesting.is_some()
    }

    /// Builds what a function's body holds: until `build` returns, whatever this thread would build in a graph around the
    /// body is built in the body.
    pub fn build_body<R>(&self, build: impl FnOnce(&Graph) -> R) -> R {
        let _entered = Entered::new(Some(self.clone()));
        build(self)
    }

    /// Builds what belongs to no body, such as variables, even while one is being built: until `build` returns, operations
    /// are created in the graph that their handle belongs to.
    pub fn build_outside<R>(build: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(None);
        build()
    }

    /// Returns the graph around all bodies, with this handle's scope: the one that holds functions and variables. Control
    /// inputs are left behind.
    #[must_use]
    pub fn outermost(&self) -> Graph {
        if self.shared.nesting.is_none() {
            return self.clone();
        }
        let mut context = (*self.context).clone();
        // A control input of this graph need not exist in the outer one, and what steps share must not wait
        // for a step.
        context.control_inputs.clear();
        Graph::of(self.outermost_shared(), Arc::new(context))
    }

    pub(crate) fn outermost_shared(&self) -> Arc<Shared> {
        self.shared.outermost()
    }

    /// Ends a body: from now on it captures nothing.
    #[must_use]
    pub fn complete_body(&self) -> Captures {
        let open = self
            .shared
            .nesting
            .as_ref()
            .and_then(|nesting| nesting.captures.lock().unwrap_or_else(PoisonError::into_inner).take());
        let open = open.unwrap_or_default();
        let outputs = open.outputs.into_iter().map(|(outer, inner)| (outer, inner.output(0)));
        Captures { outputs: outputs.collect(), control_inputs: open.control }
    }

    /// Returns the representative of an output in this graph: itself, or where this is a body that is being built, an argument for
    /// an output of a graph around it.
    ///
    /// # Errors
    /// A value error for an output of an unrelated graph, or of one around a body that is complete; the error of an
    /// operation that could not be made.
    pub fn captured(&self, output: &Output) -> Result<Output> {
        if output.is_in(self) {
            return Ok(output.clone());
        }
        // Explains why an output is foreign, from the check that everything else uses.
        let foreign = || match output.check_belongs_to(self) {
            Err(error) => error,
            Ok(()) => Error::value(format!("'{}' cannot be captured", output.name())),
        };
        if output.operation().error().is_some() {
            return Err(foreign());
        }
        let nesting = self.shared.nesting.as_ref().ok_or_else(foreign)?;
        let outer = nesting.outer.upgrade().ok_or_else(foreign)?;
        let body = self.root_of_body();
        // A tensor from further outside is captured by each body on the way.
        let around = Graph::of(outer, Arc::default());
        // Checked before anything is captured: a failure in the middle would leave useless arguments in the
        // bodies on the way.
        if !output.is_in(&around) && !around.is_inside(&output.operation.shared) {
            return Err(foreign());
        }
        let captured = around.captured(output)?;
        // In a closure, so that the lock is released before anything is built: building takes the locks of
        // graphs.
        let known = || -> Result<Option<Output>> {
            let captures = nesting.captures.lock().unwrap_or_else(PoisonError::into_inner);
            let open = captures.as_ref().ok_or_else(|| {
                Error::value(format!(
                    "'{}' cannot be captured: the body of the function is complete",
                    output.name()
                ))
            })?;
            Ok(open.by_endpoint.get(&captured.endpoint()).cloned())
        };
        if let Some(known) = known()? {
            return Ok(known.within(self));
        }
        let special = captured.operation().def().and_then(OpDef::capture_rule);
        if let Some(capture) = special
            // The rule may decide that this output is an argument after all, such as a constant that is too
            // large to be copied.
            && let Some(inner) = Graph::build_outside(|| capture(&body, &captured))?
        {
            return Ok(inner.within(self));
        }
        // A body inside of this one may be what is being built.
        let argument = Graph::build_outside(|| body.argument_for(&captured))?;
        let mut captures = nesting.captures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = captures.as_mut() {
            open.by_endpoint.insert(captured.endpoint(), argument.clone());
            open.outputs.push((captured, argument.operation().clone()));
        }
        drop(captures);
        Ok(argument.within(self))
    }

    /// Makes the argument that stands for an output of the graph around.
    fn argument_for(&self, output: &Output) -> Result<Output> {
        let (dtype, shape) = (output.dtype(), output.shape().clone());
        let library = output.operation().def().and_then(OpDef::op_library);
        let builder = match library.and_then(|library| library.find("Placeholder")) {
            Some(def) => self.op(def),
            None => {
                let info = OutputInfo { dtype, shape: shape.clone(), is_ref: false };
                self.undefined_op("Placeholder").described_output(info)
            }
        };
        let builder = builder.attrs(handle_data(output));
        // Arguments of functions have lower-case names in TensorFlow, and slashes would open scopes in the
        // body.
        let name = output.operation().name().replace('/', "_").to_lowercase();
        Ok(builder.name(name).attr("dtype", dtype).attr("shape", shape).try_finish()?.output(0))
    }

    /// The body without scope and control inputs, for arguments.
    fn root_of_body(&self) -> Graph {
        self.with_own_context(|context| {
            *context = Context { location: context.location, ..Context::default() };
        })
    }

    /// Returns true if this is a body inside the graph, at any depth.
    fn is_inside(&self, graph: &Arc<Shared>) -> bool {
        // A body inside of a body belongs to all graphs around it.
        let mut nesting = self.shared.nesting.as_ref().and_then(|nesting| nesting.outer.upgrade());
        while let Some(outer) = nesting {
            if Arc::ptr_eq(&outer, graph) {
                return true;
            }
            nesting = outer.nesting.as_ref().and_then(|nesting| nesting.outer.upgrade());
        }
        false
    }

    /// The handle itself, or where this thread is building a body inside the handle's graph, one of that body, with what
    /// names the next operation.
    pub(crate) fn current(&self) -> Graph {
        BUILDING.with(|building| {
            let building = building.borrow();
            let Some(Some(body)) = building.last() else { return self.clone() };
            // A body of an unrelated graph does not concern this handle.
            if Arc::ptr_eq(&body.shared, &self.shared) || !body.is_inside(&self.shared) {
                return self.clone();
            }
            body.with_own_context(|context| {
                context.name.clone_from(&self.context.name);
                // The location of an outer function that builds the body takes precedence, as everywhere.
                if let Some(location) = self.context.location {
                    context.location.get_or_insert(location);
                }
            })
        })
    }

    /// Returns true if operations of this graph may be control inputs of the body's operations, which then
    /// become control inputs of its calls.
    pub(crate) fn captures_control(&self, operation: &Operation) -> bool {
        let Some(nesting) = &self.shared.nesting else { return false };
        if operation.error().is_some() || !self.is_inside(&operation.shared) {
            return false;
        }
        let mut captures = nesting.captures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = captures.as_mut() else { return false };
        if !open.control.contains(operation) {
            open.control.push(operation.clone());
        }
        true
    }
}
