//! The builder of variables, and the functions for common cases.

use super::initialized_value::initialized;
use super::{Value, VariableExt};
use crate::arguments::location_of;
use crate::array::identity;
use crate::initializers::{Initializer, default_initializer};
use crate::state::{
    ASSIGN, VAR_HANDLE_OP, VARIABLE_V2, assign_variable_op, read_variable_op, var_is_initialized_op,
};
use session_core::keys::{LOCAL_VARIABLES, TRAINABLE_VARIABLES, VARIABLES};
use session_core::{
    CollectionKey, DType, Error, Graph, GraphMember as _, OpDef, Operation, Output, PartialShape, Reuse,
    Shape, SliceInfo, Variable, VariableParts,
};
use std::panic::Location;

/// Returns a trainable variable with this initial value, its dtype and its shape. The name is the handle's, `Variable` by default, made
/// unique.
///
/// ```
/// use ops::variables::variable;
/// let graph = session_core::Graph::new();
/// let w = variable(&graph.named("w"), [1.0f32, 2.0]);
/// let doubled = variable(&graph.named("doubled"), &w * 2f32); // begins with twice the initial value of w (S-26)
/// assert_eq!((doubled.name(), doubled.shape().to_string()), ("doubled", "[2]".to_owned()));
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn variable(graph: &Graph, initial_value: impl Into<Value>) -> Variable {
    VariableBuilder::new(graph).initial_value(initial_value).build()
}

/// Returns a variable of this process: in the collection `local_variables` only, neither trained nor saved (S-24).
///
/// ```
/// use ops::variables::{local_variable, local_variables};
/// let graph = session_core::Graph::new();
/// let seen = local_variable(&graph.named("seen"), 0i64);
/// assert_eq!(local_variables(&graph), [seen]);
/// ```
#[must_use]
#[track_caller]
pub fn local_variable(graph: &Graph, initial_value: impl Into<Value>) -> Variable {
    VariableBuilder::new(graph).initial_value(initial_value).local().build()
}

/// Returns a trainable variable of exactly this name within the handle's scope. A name that is taken is recorded as a build
/// error: a silent `w_1` would not find its value in a checkpoint.
///
/// In a [variable scope](Graph::variable_scope) the name is that of the scope, and its [`Reuse`] decides whether a variable
/// that exists is returned:
///
/// ```
/// use ops::initializers::zeros;
/// use ops::variables::get_variable;
/// use session_core::{DType, Graph, Reuse};
/// let graph = Graph::new();
/// let weights = |scope: &Graph| get_variable(scope, "w", [2], DType::Float32, &zeros());
/// let made = weights(&graph.variable_scope("model", Reuse::No));
/// let found = weights(&graph.variable_scope("model", Reuse::Yes));
/// assert_eq!((made.name(), found.name()), ("model/w", "model/w"));
/// graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn get_variable(
    graph: &Graph,
    name: &str,
    shape: impl Into<Shape>,
    dtype: DType,
    initializer: &dyn Initializer,
) -> Variable {
    VariableBuilder::new(graph).scoped_name(name).initializer(shape, dtype, initializer).build()
}

/// Builds a variable with settings that [`variable`] and [`get_variable`] leave at their defaults.
///
/// ```
/// use ops::{initializers::zeros, variables::VariableBuilder};
/// use session_core::{DType, Graph, keys};
/// let graph = Graph::new();
/// let moving_mean = VariableBuilder::new(&graph.named("moving_mean"))
///     .initializer([64], DType::Float32, &zeros())
///     .trainable(false)
///     .collection(&keys::MOVING_AVERAGE_VARIABLES)
///     .build();
/// assert_eq!(graph.collection(&keys::MOVING_AVERAGE_VARIABLES), [moving_mean]);
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use = "a variable exists only after `build`"]
pub struct VariableBuilder<'a> {
    /// The handle of the caller, whose scope and pending name the variable takes.
    graph: Graph,
    /// The origin of the initial value. The last setter wins.
    source: Source<'a>,
    exact_name: Option<String>,
    /// True if the name is one of the handle's variable scope, where it is in one.
    scoped: bool,
    trainable: bool,
    local: bool,
    validate_shape: bool,
    collections: Vec<CollectionKey<Variable>>,
    /// True if it is listed in the usual collections, too.
    listed: bool,
    slice: Option<SliceInfo>,
    colocated_with: Option<&'a Variable>,
    /// The operation on whose device the variable is, if it is not another variable.
    anchor: Option<Operation>,
    slot: bool,
    resource: bool,
    location: &'static Location<'static>,
}

/// The source of the initial value: none yet, a value, or an initializer for a shape and dtype
/// (`None` for the dtype's default).
enum Source<'a> {
    Missing,
    Value(Value),
    Initializer(Shape, DType, Option<&'a dyn Initializer>),
}

impl std::fmt::Debug for VariableBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.exact_name.as_deref().or(self.graph.pending_name());
        f.debug_struct("VariableBuilder").field("name", &name).finish_non_exhaustive()
    }
}

impl<'a> VariableBuilder<'a> {
    /// Starts a trainable global variable that is named by the handle. [`build`](VariableBuilder::build) creates it.
    #[track_caller]
    pub fn new(graph: &Graph) -> VariableBuilder<'a> {
        VariableBuilder {
            graph: graph.clone(),
            source: Source::Missing,
            exact_name: None,
            scoped: false,
            trainable: true,
            local: false,
            validate_shape: true,
            collections: Vec::new(),
            listed: true,
            slice: None,
            colocated_with: None,
            anchor: None,
            slot: false,
            resource: true,
            location: graph.location(),
        }
    }

    /// Sets the initial value, which determines the dtype and shape.
    ///
    /// ```
    /// use ops::variables::VariableBuilder;
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let w = VariableBuilder::new(&graph.named("w")).initial_value([1.0f32, 2.0]).build();
    /// assert_eq!(w.shape().to_string(), "[2]");
    /// ```
    pub fn initial_value(mut self, value: impl Into<Value>) -> Self {
        self.source = Source::Value(value.into());
        self
    }

    /// Sets the shape, the dtype, and the initializer that computes the initial value.
    pub fn initializer(
        mut self,
        shape: impl Into<Shape>,
        dtype: DType,
        initializer: &'a dyn Initializer,
    ) -> Self {
        self.source = Source::Initializer(shape.into(), dtype, Some(initializer));
        self
    }

    /// Sets the shape and dtype and uses the default initializer of the dtype. See [`default_initializer`].
    ///
    /// ```
    /// use ops::variables::VariableBuilder;
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let w = VariableBuilder::new(&graph.named("w")).shape([64, 10], DType::Float32).build();
    /// assert_eq!(w.shape().to_string(), "[64,10]"); // begins with Glorot's uniform numbers
    /// ```
    pub fn shape(mut self, shape: impl Into<Shape>, dtype: DType) -> Self {
        self.source = Source::Initializer(shape.into(), dtype, None);
        self
    }

    /// Sets the name within the scope of the handle. A name that is taken is a build error. Default: the name of the handle, made unique.
    pub fn exact_name(mut self, name: impl Into<String>) -> Self {
        self.exact_name = Some(name.into());
        self
    }

    /// Sets the name within the [variable scope](Graph::variable_scope) of the handle. The reuse mode of the scope decides whether a
    /// variable of this name is created or found. Without a variable scope it works as [`exact_name`](VariableBuilder::exact_name).
    ///
    /// ```
    /// use ops::variables::VariableBuilder;
    /// use session_core::{DType, Graph, Reuse};
    /// let graph = Graph::new();
    /// let w = |graph: &Graph| {
    ///     VariableBuilder::new(graph).scoped_name("w").initializer([3], DType::Float32, &ops::initializers::zeros()).build()
    /// };
    /// let first = w(&graph.variable_scope("model", Reuse::Auto));
    /// let second = w(&graph.variable_scope("model", Reuse::Auto));
    /// assert_eq!((first.name(), second.name()), ("model/w", "model/w"));
    /// # graph.finalize().unwrap();
    /// ```
    pub fn scoped_name(mut self, name: impl Into<String>) -> Self {
        self.scoped = true;
        self.exact_name(name)
    }

    /// Sets whether optimizers train the variable. Default: true.
    ///
    /// ```
    /// use ops::variables::VariableBuilder;
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let w = VariableBuilder::new(&graph.named("w")).initial_value(1.0f32).trainable(false).build();
    /// assert!(ops::variables::trainable_variables(&graph).is_empty());
    /// # let _ = w;
    /// ```
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    /// Makes it a variable of this process: in the collection `local_variables` only, neither trained nor saved (S-24).
    ///
    /// ```
    /// use ops::variables::VariableBuilder;
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let w = VariableBuilder::new(&graph.named("w")).initial_value(0i64).local().build();
    /// assert_eq!(ops::variables::local_variables(&graph), [w]);
    /// ```
    pub fn local(mut self) -> Self {
        self.local = true;
        self.trainable = false;
        self
    }

    /// Adds the variable to one more collection.
    pub fn collection(mut self, key: &CollectionKey<Variable>) -> Self {
        self.collections.push(key.clone());
        self
    }

    /// Adds the variable to no collections except those of [`collection`](VariableBuilder::collection). It is
    /// then neither initialized with the others, nor saved, nor trained unless requested explicitly.
    ///
    /// ```
    /// use ops::variables::VariableBuilder;
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let w = VariableBuilder::new(&graph.named("w")).initial_value(1.0f32).unlisted().build();
    /// assert!(ops::variables::global_variables(&graph).is_empty());
    /// # let _ = w;
    /// ```
    pub fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    /// Sets whether the shape of the initial value must be fully known. If so, an unknown shape is a build error; otherwise the variable
    /// accepts values of any shape. Default: true.
    pub fn validate_shape(mut self, validate: bool) -> Self {
        self.validate_shape = validate;
        self
    }

    /// Sets whether the variable is a resource, which is the default. Otherwise it is a reference variable (`VariableV2`), the kind
    /// that TensorFlow 1 makes by default: a reader sees its value at the moment of the read.
    ///
    /// ```
    /// use ops::variables::VariableBuilder;
    /// # let graph = session_core::Graph::new();
    /// let w = VariableBuilder::new(&graph.named("w")).initial_value(1.0f32).use_resource(false).build();
    /// assert_eq!((w.handle().operation().op_type(), w.initializer().name()), ("VariableV2", "w/Assign"));
    /// # graph.finalize().unwrap();
    /// ```
    pub fn use_resource(mut self, resource: bool) -> Self {
        self.resource = resource;
        self
    }

    /// Marks the variable as one slice of a partitioned variable. Checkpoints store the slices as one tensor.
    pub fn slice(mut self, slice: SliceInfo) -> Self {
        self.slice = Some(slice);
        self
    }

    /// Places the variable on the device of another variable. If that one has no device yet, TensorFlow's attribute `_class` records the
    /// colocation for a later placement.
    pub fn colocate_with(mut self, variable: &'a Variable) -> Self {
        self.colocated_with = Some(variable);
        self
    }

    /// Places the variable on the device of an operation.
    pub(crate) fn colocate_with_operation(mut self, operation: &Operation) -> Self {
        self.anchor = Some(operation.clone());
        self
    }

    /// Makes it a slot of another variable: of its kind, on its device, and if that is a part of a partitioned variable, the same part
    /// of a partitioned slot. The slice of `w/part_0/Adam` is a part of `w/Adam`, as TensorFlow saves it.
    pub(crate) fn slot_of(mut self, variable: &'a Variable) -> Self {
        self.slot = true;
        self.use_resource(variable.is_resource()).colocate_with(variable)
    }

    /// Sets the place in the program that errors name.
    pub(crate) fn located_at(mut self, location: &'static Location<'static>) -> Self {
        self.location = location;
        self
    }

    /// Creates the variable. Errors are recorded in the graph.
    ///
    /// The operations of the variable itself ignore the control inputs of the handle, because all steps share them.
    #[must_use]
    pub fn build(self) -> Variable {
        self.find_or_make().0
    }

    /// Returns the variable, and true if it was made.
    pub(crate) fn find_or_make(mut self) -> (Variable, bool) {
        // A function's body has no variables of its own: they exist as long as the session.
        let made = |builder: Self| match builder.shared() {
            Some(variable) => (variable, false),
            None => (builder.make(), true),
        };
        if !self.graph.is_function_body() {
            return made(self);
        }
        self.graph = self.graph.outermost();
        Graph::build_outside(|| made(self))
    }

    /// Builds the operations of the variable: initial value, handle, initializer and read, and
    /// lists it in its collections.
    fn make(self) -> Variable {
        if let Some(Err(error)) = self.colocated_with.map(|variable| variable.check_belongs_to(&self.graph)) {
            self.record_error(self.graph.scope_name(), error);
        }
        // A variable exists for the session, so it must not wait for what the caller waits for.
        let place = self.graph.without_control_dependencies().located_at(self.location);
        let place = self.colocated_with.map_or(place.clone(), |variable| variable.colocated(&place));
        let scope = self.open_scope(&place);
        let initial_value = self.make_initial_value(&scope);
        let (dtype, shape) = (initial_value.dtype(), self.shape_of(&initial_value));
        let handle = self.make_handle(&scope, dtype, &shape);
        let (initializer, snapshot) = if self.resource {
            // Unused here, but part of TensorFlow's graphs: Python asks it for uninitialized variables.
            let _ = var_is_initialized_op(handle.within(&child(&scope, "IsInitialized")));
            let initializer = assign_variable_op(handle.within(&scope.named("Assign")), &initial_value);
            (initializer, read_variable_op(handle.within(&child(&scope, "Read")), dtype))
        } else {
            let assign = scope.named("Assign").op(&ASSIGN).input(&handle).input(&initial_value);
            let assign = assign.attr("validate_shape", self.validate_shape).finish();
            // A reference variable is read by an `Identity`, under TensorFlow's name `read`.
            (assign, identity(handle.within(&scope.named("read"))))
        };

        // Operations that are built on the variable belong to the scope in which it was requested, not into its own scope, and is located where
        // it is built.
        let around = self.graph.without_control_dependencies();
        let around = around.scope(around.scope_name());
        let variable = Variable::new(VariableParts {
            handle: handle.within(&around),
            initializer,
            initial_value,
            snapshot: snapshot.within(&around),
            trainable: self.trainable,
            slice: self.slice_of(&handle),
        });
        self.collect(&variable);
        variable
    }

    /// Returns the definition of the handle: resource variables are the default, references for older graphs.
    fn definition(&self) -> &'static OpDef {
        if self.resource { &VAR_HANDLE_OP } else { &VARIABLE_V2 }
    }

    /// Builds the handle, in the scope of the variable and colocated with another
    /// variable or operation if asked.
    fn make_handle(&self, scope: &Graph, dtype: DType, shape: &PartialShape) -> Output {
        let graph = scope.named_as_scope();
        let builder = graph.op(self.definition()).attr("dtype", dtype).attr("shape", shape.clone());
        // A reference variable has its own name in the session.
        let name = scope.scope_name().trim_end_matches('/');
        let builder = if self.resource { builder.attr("shared_name", name) } else { builder };
        let primary = self.colocated_with.map(|variable| variable.handle().operation());
        match primary.or(self.anchor.as_ref()) {
            None => builder.finish_output(),
            Some(operation) => builder.attr("_class", location_of(operation)).finish_output(),
        }
    }

    /// Returns the part of a whole that the variable is: its own, or for a slot the same part of the whole
    /// variable's slot. The slot `w/part_0/Adam` of `w/part_0` is a part of `w/Adam`.
    fn slice_of(&self, handle: &Output) -> Option<SliceInfo> {
        let primary = self.colocated_with.filter(|_| self.slot && self.slice.is_none());
        let Some(whole) = primary.and_then(Variable::slice) else { return self.slice.clone() };
        let name = handle.operation().name();
        let part = primary.map_or("", |primary| primary.handle().operation().name());
        let suffix = name.strip_prefix(part).unwrap_or(name);
        Some(SliceInfo { full_name: format!("{}{suffix}", whole.full_name), ..whole.clone() })
    }

    /// Returns the variable's own scope, whose name it bears.
    fn open_scope(&self, place: &Graph) -> Graph {
        let Some(name) = &self.exact_name else { return place.composite("Variable") };
        let full = self.full_name(name);
        if place.operation(&full).is_err() {
            return place.scope(&format!("{full}/"));
        }
        let text = format!(
            "variable '{full}' cannot be created: the name is taken; a variable is shared within \
             graph.variable_scope(.., Reuse::Auto)"
        );
        let error = Error::value(text);
        place.add_error(error.with_location(self.location).with_phase(session_core::Phase::Build));
        place.scope(name)
    }

    /// Returns the full name: in the variable scope for scoped names, else in the name scope.
    fn full_name(&self, name: &str) -> String {
        let scoped = if self.scoped { self.graph.variable_name(name) } else { None };
        scoped.unwrap_or_else(|| format!("{}{name}", self.graph.scope_name()))
    }

    /// Returns the variable of this name, if it is to be shared.
    fn shared(&self) -> Option<Variable> {
        let reuse = if self.scoped { self.graph.reuse() } else { Reuse::No };
        // Only named variables are shared; a number would decide by the order of building.
        let name = self.exact_name.as_ref().filter(|_| reuse != Reuse::No)?;
        let full = self.full_name(name);
        // Variables are found by their collections, so unlisted ones are never shared. A name that is not taken needs no search.
        let found = self.graph.operation(&full).ok().and_then(|taken| {
            let keys = [VARIABLES, LOCAL_VARIABLES];
            let mut known = keys.iter().flat_map(|key| self.graph.collection(key));
            known.find(|variable| *variable.handle().operation() == taken)
        });
        match &found {
            Some(variable) => self.check_shared(variable, &full),
            None if reuse == Reuse::Yes => {
                let text = format!(
                    "variable '{full}' does not exist, so it cannot be reused; Reuse::Auto creates missing variables"
                );
                self.record_error(&full, Error::value(text));
            }
            None => {}
        }
        // What is built on the variable belongs to this caller's scope, not to that of the first one.
        let around = self.graph.without_control_dependencies();
        found.map(|variable| variable.within(&around.scope(around.scope_name())))
    }

    /// Records an error if a shared variable has another dtype or shape than this request.
    fn check_shared(&self, variable: &Variable, full: &str) {
        let Source::Initializer(shape, dtype, _) = &self.source else { return };
        let (found, of) = (variable.shape(), variable.dtype());
        if of != *dtype || !found.is_compatible_with(shape.dims()) {
            let text = format!(
                "variable '{full}' cannot be shared: it has {of} of shape {found}, but {dtype} of shape {shape} is requested"
            );
            self.record_error(full, Error::value(text));
        }
    }

    /// Builds the initial value in the scope `Initializer`. An error is recorded, and some value is returned
    /// so that building can continue.
    fn make_initial_value(&self, scope: &Graph) -> Output {
        let inner = child(scope, "Initializer");
        match &self.source {
            Source::Value(value @ Value::Tensor(_)) => value.to_output(&inner.named("initial_value")),
            // A value that reads other variables must not depend on the order of their initialization.
            Source::Value(Value::Output(output)) => initialized(output, &inner, self.local),
            Source::Initializer(shape, dtype, Some(initializer)) => {
                let value = initializer.initial_value(&inner, shape, *dtype);
                self.check_made(&value, shape, *dtype);
                value
            }
            Source::Initializer(shape, dtype, None) => match default_initializer(*dtype) {
                Some(initializer) => initializer.initial_value(&inner, shape, *dtype),
                None => self.no_value(&inner, &format!("there is no default initializer for {dtype}")),
            },
            Source::Missing => {
                self.no_value(&inner, "the variable has neither initial value nor initializer")
            }
        }
    }

    /// Records why there is no initial value, and returns one that nobody uses.
    fn no_value(&self, inner: &Graph, problem: &str) -> Output {
        self.record_error(inner.scope_name(), Error::value(problem));
        Value::from(0.0f32).to_output(inner)
    }

    /// Records an error of the variable, at the place of the caller.
    fn record_error(&self, name: &str, error: Error) {
        let error = error.with_node(name.trim_end_matches("/Initializer/"), self.definition().name());
        self.graph.add_error(error.with_location(self.location).with_phase(session_core::Phase::Build));
    }

    /// Checks the result of an initializer, which may be user code: it must have the requested dtype and
    /// shape.
    fn check_made(&self, value: &Output, shape: &Shape, dtype: DType) {
        if value.operation().error().is_some() {
            return;
        }
        if value.dtype() != dtype || !value.shape().is_compatible_with(shape.dims()) {
            let (found, of) = (value.shape(), value.dtype());
            let text = format!("the initializer gave {of} of shape {found}, not {dtype} of shape {shape}");
            self.record_error(value.operation().name(), Error::value(text));
        }
    }

    /// Returns the static shape: that of the initializer, unknown without `validate_shape`, else that of
    /// the value, which must be known.
    fn shape_of(&self, initial_value: &Output) -> PartialShape {
        if let Source::Initializer(shape, ..) = &self.source {
            return PartialShape::from(shape);
        }
        if !self.validate_shape {
            return PartialShape::unknown();
        }
        let shape = initial_value.shape().clone();
        if !shape.is_fully_known() && initial_value.operation().error().is_none() {
            let text = format!("the shape {shape} of the initial value is not fully known");
            self.record_error(initial_value.operation().name(), Error::value(text));
        }
        shape
    }

    /// Lists the variable: trainable ones in two collections, local ones instead of global ones,
    /// and in those the caller named.
    fn collect(&self, variable: &Variable) {
        // An invalid variable in a collection would make every saver and initializer fail too.
        if variable.initializer().error().is_some() {
            return;
        }
        let home = if self.local { LOCAL_VARIABLES } else { VARIABLES };
        let trained = self.trainable.then_some(TRAINABLE_VARIABLES);
        let usual = [home].into_iter().chain(trained).filter(|_| self.listed);
        let keys: Vec<_> = usual.chain(self.collections.iter().cloned()).collect();
        if let Err(error) = self.graph.add_to_collections(&keys, variable.clone()) {
            self.graph.add_error(error);
        }
    }
}

/// Returns the scope of this very name within another.
fn child(scope: &Graph, name: &str) -> Graph {
    scope.scope(&format!("{}{name}/", scope.scope_name()))
}
