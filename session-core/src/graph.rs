//! The graph: named operations, collections, and seeds.

use crate::builder::OpBuilder;
use crate::collection::{CollectionKey, Item, Named};
use crate::function_body::Nesting;
use crate::member;
use crate::names::{self, Names};
use crate::operation::{Node, OpId};
use crate::variable_scope::VariableScope;
use crate::{Endpoint, Error, Function, GraphMember, OpDef, Operation, Origin, Output, Phase, Result};
use rustc_hash::{FxHashMap, FxHashSet};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

/// A graph under construction or in use. It is a cheap handle, which also carries the name scope, device, and
/// control inputs for the operations created through it.
///
/// ```
/// use session_core::Graph;
/// let graph = Graph::new();
/// let layer = graph.scope("layer");
/// assert_eq!(layer.scope_name(), "layer/");
/// assert_eq!(graph.scope("layer").scope_name(), "layer_1/"); // made unique
/// graph.finalize()?;
/// assert!(graph.is_finalized());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Graph {
    pub(crate) shared: Arc<Shared>,
    pub(crate) context: Arc<Context>,
    /// Keeps the collections alive. See [`Owner`].
    owner: Option<Arc<Owner>>,
}

/// The state that all handles of one graph share.
pub(crate) struct Shared {
    /// The content of the graph. Only methods of the state are called while the lock is held.
    state: RwLock<State>,
    owner: RwLock<Weak<Owner>>,
    /// True if some output must not be fed or some operation not fetched. Hardly any graph has one, and every
    /// run checks.
    restricted: AtomicBool,
    /// For the body of a function, its place in the graphs around it.
    pub(crate) nesting: Option<Nesting>,
}

/// The settings of a handle for the operations created through it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// The name scope: empty, or ending with `/`.
    pub(crate) scope: String,
    /// The name of the next operation, instead of its op type.
    pub(crate) name: Option<String>,
    pub(crate) device: String,
    /// The `container` attribute of stateful operations that have none of their own. Empty for the default
    /// container.
    pub(crate) container: String,
    pub(crate) control_inputs: Vec<OpId>,
    /// The scope in which variables are named and shared, if there is one.
    pub(crate) variables: Option<Arc<VariableScope>>,
    /// The source location that errors report, instead of that of each operation.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The origin of operations that have none of their own.
    pub(crate) origin: Option<Origin>,
}

/// Breaks a reference cycle: items of collections hold operations, and operations hold their graph. When the
/// last handle is dropped, the collections are emptied, so that the cycle does not leak the graph.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        // Taken out under the lock and dropped after it: an item may hold the last handle of another graph,
        // or of this one's parts.
        let collections = std::mem::take(&mut self.0.write().collections);
        drop(collections);
    }
}

#[derive(Default)]
pub(crate) struct State {
    nodes: Vec<Arc<Node>>,
    by_name: FxHashMap<String, OpId>,
    names: Names,
    collections: BTreeMap<String, Vec<Item>>,
    seed: Option<i64>,
    /// The number of random operations that took a seed by position.
    op_seeds: i64,
    finalized: bool,
    /// Errors recorded during construction, in order.
    errors: Vec<Error>,
    unfeedable: FxHashSet<Endpoint>,
    unfetchable: FxHashSet<OpId>,
    /// The function library, by name.
    functions: BTreeMap<String, Arc<Function>>,
}

impl Shared {
    pub(crate) fn with_nesting(nesting: Option<Nesting>) -> Shared {
        let restricted = AtomicBool::new(false);
        Shared { state: RwLock::default(), owner: RwLock::default(), restricted, nesting }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        // A panic while the lock is held cannot leave the graph inconsistent: callbacks run outside of it,
        // except for `make` in `insert`, which only fills in fields.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a build error, unless the graph is finalized. In that case only the failed operation is
    /// unusable, and the existing graph keeps running (S-13).
    pub(crate) fn record(&self, error: &Error) {
        let mut state = self.write();
        if !state.finalized {
            state.errors.push(error.clone());
        }
    }

    /// Records an error of this graph in an unrelated graph.
    pub(crate) fn record_elsewhere(self: &Arc<Self>, error: &Error, other: &Arc<Shared>) {
        // Bodies of one model are checked through the outermost graph, so the error is recorded there.
        let other = other.outermost();
        if !Arc::ptr_eq(&other, &self.outermost()) {
            other.record(error);
        }
    }

    pub(crate) fn operation(self: &Arc<Self>, context: &Arc<Context>, id: OpId) -> Operation {
        let node = self.read().nodes[id as usize].clone();
        Operation { shared: self.clone(), context: context.clone(), node }
    }
}

fn finalized() -> Error {
    Error::runtime("Graph is finalized and cannot be modified")
}

impl Graph {
    /// Creates an empty graph.
    ///
    /// ```
    /// let graph = session_core::Graph::new();
    /// assert!(graph.is_empty() && !graph.is_finalized());
    /// ```
    #[must_use]
    pub fn new() -> Graph {
        Graph::of(Arc::new(Shared::with_nesting(None)), Arc::default())
    }

    pub(crate) fn of(shared: Arc<Shared>, context: Arc<Context>) -> Graph {
        // At most one owner per graph is alive; each handle shares it.
        let known = shared.owner.read().unwrap_or_else(PoisonError::into_inner).upgrade();
        let owner = known.unwrap_or_else(|| {
            let mut place = shared.owner.write().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have made one meanwhile.
            place.upgrade().unwrap_or_else(|| {
                let owner = Arc::new(Owner(shared.clone()));
                *place = Arc::downgrade(&owner);
                owner
            })
        });
        Graph { shared, context, owner: Some(owner) }
    }

    /// Another handle of the graph, or of the body inside it that this thread is building.
    pub(crate) fn with_context(&self, change: impl FnOnce(&mut Context)) -> Graph {
        self.current().with_own_context(change)
    }

    pub(crate) fn with_own_context(&self, change: impl FnOnce(&mut Context)) -> Graph {
        let mut context = (*self.context).clone();
        change(&mut context);
        Graph { shared: self.shared.clone(), context: Arc::new(context), owner: self.owner.clone() }
    }

    /// Returns an independent graph with the same operations, ids, and functions, but without collections. It
    /// can be extended even if this graph is finalized.
    ///
    /// ```
    /// # use session_core::{Graph, OutputInfo, PartialShape, DType};
    /// let graph = Graph::new();
    /// let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// graph.undefined_op("Const").name("c").described_output(info).finish();
    /// let copy = graph.copied();
    /// graph.finalize()?;
    /// assert_eq!(copy.operation("c")?.id(), graph.operation("c")?.id());
    /// assert!(!copy.is_same(&graph) && !copy.is_finalized());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn copied(&self) -> Graph {
        self.copied_with(None)
    }

    pub(crate) fn copied_with(&self, nesting: Option<Nesting>) -> Graph {
        let state = self.shared.read();
        // Nodes are immutable and shared between the copies; a rewrite replaces a node instead of changing
        // it.
        let copy = State {
            nodes: state.nodes.clone(),
            by_name: state.by_name.clone(),
            names: state.names.clone(),
            // Items refer to the original graph, so they would be foreign in the copy.
            collections: BTreeMap::new(),
            seed: state.seed,
            op_seeds: state.op_seeds,
            finalized: false,
            errors: state.errors.clone(),
            unfeedable: state.unfeedable.clone(),
            unfetchable: state.unfetchable.clone(),
            functions: state.functions.clone(),
        };
        let restricted = self.shared.restricted.load(Ordering::Relaxed);
        drop(state);
        let shared = Shared {
            state: RwLock::new(copy),
            owner: RwLock::default(),
            restricted: AtomicBool::new(restricted),
            nesting,
        };
        Graph::of(Arc::new(shared), Arc::default())
    }

    /// Returns true if both are handles of the same graph.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert!(graph.is_same(&graph.scope("layer")));
    /// assert!(!graph.is_same(&Graph::new()));
    /// ```
    #[must_use]
    pub fn is_same(&self, other: &Graph) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    // ---- scopes -------------------------------------------------------------------------------------

    /// Returns a handle that prefixes the names of operations with `name/`. The scope is made unique
    /// (`name_1/`). A name that ends with `/` reuses exactly that scope, relative to the root of the graph
    /// (S-7).
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let layer = graph.scope("layer");
    /// assert_eq!(layer.undefined_op("NoOp").name("init").finish().name(), "layer/init");
    /// assert_eq!(graph.scope("layer/").scope_name(), "layer/"); // reopened
    /// ```
    #[must_use]
    pub fn scope(&self, name: &str) -> Graph {
        let scope = if name.is_empty() || name.ends_with('/') {
            name.to_owned()
        } else {
            format!("{}/", self.unique_name(name))
        };
        self.with_context(|context| {
            context.scope = scope;
            context.name = None;
        })
    }

    /// Returns a handle that names the one operation created through it, or the scope of a function that
    /// creates several. The name replaces the op type; what is built on that operation is not affected.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let init = graph.named("init").undefined_op("NoOp").finish();
    /// assert_eq!(init.name(), "init");
    /// ```
    #[must_use]
    pub fn named(&self, name: &str) -> Graph {
        self.with_context(|context| context.name = Some(name.to_owned()))
    }

    /// Returns the scope for a function that creates several operations: named by [`named`](Graph::named), or
    /// else by this default.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert_eq!(graph.composite("dense").scope_name(), "dense/");
    /// assert_eq!(graph.named("hidden").composite("dense").scope_name(), "hidden/");
    /// ```
    #[must_use]
    pub fn composite(&self, default: &str) -> Graph {
        self.scope(self.context.name.as_deref().unwrap_or(default))
    }

    /// Returns a handle that gives the next operation the name of the current scope, without the final `/`.
    /// This is how the last operation of a composite function gets the name of the function (S-7). At the
    /// root it has no effect.
    ///
    /// ```
    /// use session_core::Graph;
    /// let scope = Graph::new().scope("loss");
    /// assert_eq!(scope.named_as_scope().undefined_op("NoOp").finish().name(), "loss");
    /// ```
    #[must_use]
    pub fn named_as_scope(&self) -> Graph {
        self.with_context(|context| {
            // The scope ends with `/`, so it is taken as exactly this name.
            let scope = context.scope.clone();
            context.name = (!scope.is_empty()).then_some(scope);
        })
    }

    /// Returns the name set by [`named`](Graph::named).
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().named("x").pending_name(), Some("x"));
    /// ```
    #[must_use]
    pub fn pending_name(&self) -> Option<&str> {
        self.context.name.as_deref()
    }

    /// Returns the current scope: empty, or ending with `/`.
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().scope("a").scope("b").scope_name(), "a/b/");
    /// ```
    #[must_use]
    pub fn scope_name(&self) -> &str {
        &self.context.scope
    }

    /// Returns a handle that requests a device, such as `/device:CPU:0` or `/job:ps/task:0`.
    ///
    /// ```
    /// use session_core::Graph;
    /// let op = Graph::new().device("/job:ps/task:0").undefined_op("NoOp").finish();
    /// assert_eq!(op.device(), "/job:ps/task:0");
    /// ```
    #[must_use]
    pub fn device(&self, device: &str) -> Graph {
        self.with_context(|context| context.device = device.to_owned())
    }

    /// Returns a handle whose variables, queues, tables, and other resources belong to the named container of
    /// the session. In an inner scope, an empty name selects the default container again. Operations with
    /// their own `container` attribute keep it.
    ///
    /// Resources are shared by container and name, so two containers never share a resource.
    ///
    /// ```
    /// use session_core::{Graph, OpDef};
    /// static VAR: OpDef = OpDef::new("Var", "-> handle: resource").attrs("container: string = \"\"").stateful();
    /// let op = Graph::new().container("shared").op(&VAR).finish();
    /// assert_eq!(op.attr("container").unwrap().as_str(), Some("shared"));
    /// ```
    #[must_use]
    pub fn container(&self, name: &str) -> Graph {
        self.with_context(|context| context.container = name.to_owned())
    }

    /// Returns a handle whose operations run after all of these. An operation of another graph is recorded as
    /// a build error of both graphs.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let update = graph.undefined_op("NoOp").name("update").finish();
    /// let after = graph.control_dependencies([&update]).undefined_op("NoOp").finish();
    /// assert_eq!(after.control_inputs(), [update]);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn control_dependencies<'a>(&self, operations: impl IntoIterator<Item = &'a Operation>) -> Graph {
        let graph = self.current();
        // Nested calls accumulate, as nested `with` blocks do in TensorFlow.
        let mut ids = graph.context.control_inputs.clone();
        for operation in operations {
            match operation.check_belongs_to(&graph) {
                Ok(()) if !ids.contains(&operation.id()) => ids.push(operation.id()),
                Ok(()) => {}
                // The error was recorded when that operation was created.
                Err(_) if operation.error().is_some() => {}
                Err(_) if graph.captures_control(operation) => {}
                Err(error) => graph.add_error_of_both(&operation.graph(), error),
            }
        }
        graph.with_own_context(|context| context.control_inputs = ids)
    }

    /// Returns a handle whose operations report this source location. Functions that create operations on
    /// behalf of their caller use it. The location of an outer such function takes precedence.
    #[must_use]
    pub fn located_at(&self, location: &'static Location<'static>) -> Graph {
        self.with_context(|context| {
            context.location.get_or_insert(location);
        })
    }

    /// Returns a handle whose operations have this origin unless they state their own. Parts of this library use it for
    /// operations that they create by themselves; see [`Operation::origin`]. An origin set earlier is kept.
    #[must_use]
    pub fn originating(&self, origin: Origin) -> Graph {
        self.with_context(|context| {
            context.origin.get_or_insert(origin);
        })
    }

    /// Returns the source location that errors of operations created through this handle report: that given
    /// to [`located_at`](Graph::located_at), or the caller's.
    #[must_use]
    #[track_caller]
    pub fn location(&self) -> &'static Location<'static> {
        self.context.location.unwrap_or(Location::caller())
    }

    /// Returns a handle without scope, device, and control inputs.
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().scope("layer").root().scope_name(), "");
    /// ```
    #[must_use]
    pub fn root(&self) -> Graph {
        self.with_context(|context| *context = Context::default())
    }

    /// Returns a handle without control inputs that keeps its scope. Use it for what steps share, such as
    /// variables.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let first = graph.undefined_op("NoOp").finish();
    /// let after = graph.control_dependencies([&first]);
    /// let free = after.without_control_dependencies().undefined_op("NoOp").finish();
    /// assert!(free.control_inputs().is_empty());
    /// ```
    #[must_use]
    pub fn without_control_dependencies(&self) -> Graph {
        self.with_context(|context| context.control_inputs.clear())
    }

    /// Reserves and returns a name that is unique in the current scope (S-6, S-11).
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert_eq!(graph.unique_name("a"), "a");
    /// assert_eq!(graph.unique_name("a"), "a_1");
    /// ```
    #[must_use]
    pub fn unique_name(&self, name: &str) -> String {
        let graph = self.current();
        let full = format!("{}{name}", graph.context.scope);
        // Reserved at once, so that a second call in another thread gets another name.
        graph.shared.write().names.unique(&full)
    }

    // ---- operations ---------------------------------------------------------------------------------

    /// Starts an operation of a defined type.
    ///
    /// ```
    /// use session_core::{Graph, OpDef};
    /// static NO_OP: OpDef = OpDef::new("NoOp", "->").stateful();
    /// assert_eq!(Graph::new().op(&NO_OP).finish().name(), "NoOp");
    /// ```
    #[track_caller]
    pub fn op(&self, def: &'static OpDef) -> OpBuilder {
        OpBuilder::new(self, def)
    }

    /// Starts an operation of a type that no library here defines. Its outputs must be described.
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().undefined_op("MyOp").finish().op_type(), "MyOp");
    /// ```
    #[track_caller]
    pub fn undefined_op(&self, op_type: impl Into<String>) -> OpBuilder {
        OpBuilder::undefined(self, op_type.into())
    }

    /// Adds a node and returns its id. The name is made unique in the current scope unless it ends with `/`.
    /// Fails on a finalized graph.
    pub(crate) fn insert(
        &self,
        name: &str,
        absolute: bool,
        make: impl FnOnce(OpId, String) -> Node,
    ) -> Result<Operation> {
        // Before the lock: the check needs nothing of the graph.
        if !names::is_legal(name) {
            return Err(Error::value(format!(
                "'{name}' is not a valid operation name: it must start with a letter, digit, or '.', and continue with letters, digits, or any of _ . - > / and \\"
            )));
        }
        let mut state = self.shared.write();
        // Under the same lock as the insertion, so that no operation slips in after `finalize`.
        if state.finalized {
            return Err(finalized());
        }
        let name = match name.strip_suffix('/') {
            // Exactly this name (S-7), reserved by the scope of the same name.
            Some(exact) if state.by_name.contains_key(exact) => {
                return Err(Error::value(format!("an operation named '{exact}' already exists")));
            }
            Some(exact) => {
                state.names.take(exact);
                exact.to_owned()
            }
            None if absolute => state.names.unique(name),
            None => state.names.unique(&format!("{}{name}", self.context.scope)),
        };
        // Ids are positions, and engines store them in 32 bits.
        let id = OpId::try_from(state.nodes.len())
            .map_err(|_| Error::runtime("the graph has the maximum number of operations"))?;
        let node = Arc::new(make(id, name.clone()));
        state.nodes.push(node.clone());
        state.by_name.insert(name, id);
        drop(state);
        // The name and control inputs apply to what is created through this handle, not to what is built on
        // the result.
        let inherits = self.context.name.is_none() && self.context.control_inputs.is_empty();
        let context = if inherits {
            self.context.clone()
        } else {
            let plain = |context: &mut Context| {
                context.name = None;
                context.control_inputs.clear();
            };
            self.with_own_context(plain).context
        };
        Ok(Operation { shared: self.shared.clone(), context, node })
    }

    /// Replaces the node of the same number.
    pub(crate) fn replace(&self, node: Arc<Node>) -> Result<()> {
        let mut state = self.shared.write();
        if state.finalized {
            return Err(finalized());
        }
        let place = node.id as usize;
        // Only the node is replaced. The name stays the same, so `by_name` needs no change.
        match state.nodes.get_mut(place) {
            Some(known) => *known = node,
            None => return Err(Error::runtime("the graph has no such operation")),
        }
        Ok(())
    }

    /// Records an error of a constructor, to be returned by [`finalize`](Graph::finalize) and by whatever
    /// would run the graph. An error without a location gets that of the call that this handle [belongs
    /// to](Graph::located_at), or else of the caller.
    ///
    /// ```
    /// use session_core::{Error, Graph};
    /// let graph = Graph::new();
    /// graph.add_error(Error::value("the batch size is 0"));
    /// assert!(graph.finalize().is_err());
    /// ```
    #[track_caller]
    pub fn add_error(&self, error: Error) {
        self.shared.record(&self.placed(error));
    }

    /// Works as [`add_error`](Graph::add_error), for elements of two graphs that are used together: both graphs record the error,
    /// because either may be the one that the caller builds.
    ///
    /// ```
    /// use session_core::{Graph, GraphMember};
    /// let (graph, other) = (Graph::new(), Graph::new());
    /// let update = other.undefined_op("NoOp").name("update").finish();
    /// if let Err(error) = update.check_belongs_to(&graph) {
    ///     graph.add_error_of_both(&other, error);
    /// }
    /// assert!(graph.check().is_err() && other.check().is_err());
    /// ```
    #[track_caller]
    pub fn add_error_of_both(&self, other: &Graph, error: Error) {
        // Placed once, so that both graphs record the same error.
        let error = self.placed(error);
        self.shared.record(&error);
        self.shared.record_elsewhere(&error, &other.shared);
    }

    /// Returns the error of a constructor that is called through this handle.
    #[track_caller]
    fn placed(&self, error: Error) -> Error {
        let error = match &self.context.origin {
            Some(origin) => error.with_origin(origin.clone()),
            None => error,
        };
        error.with_location(self.location()).with_phase(Phase::Build)
    }

    /// Returns the number of operations. It only grows; engines compare it to detect new operations.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.undefined_op("NoOp").finish();
    /// assert_eq!(graph.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.read().nodes.len()
    }

    /// Returns true if the graph has no operations.
    ///
    /// ```
    /// assert!(session_core::Graph::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the operation with an id.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let op = graph.undefined_op("NoOp").finish();
    /// assert_eq!(graph.operation_by_id(op.id()), Some(op));
    /// ```
    #[must_use]
    pub fn operation_by_id(&self, id: OpId) -> Option<Operation> {
        let node = self.shared.read().nodes.get(id as usize)?.clone();
        Some(Operation { shared: self.shared.clone(), context: self.context.clone(), node })
    }

    /// Returns all operations from this id on, in the order of their creation.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.undefined_op("NoOp").finish();
    /// let seen = graph.len() as u32;
    /// let new = graph.undefined_op("NoOp").finish();
    /// assert_eq!(graph.operations_from(seen), [new]);
    /// ```
    #[must_use]
    pub fn operations_from(&self, first: OpId) -> Vec<Operation> {
        let state = self.shared.read();
        // An id beyond the end is an empty answer: engines ask for what is new.
        let nodes = state.nodes.get(first as usize..).unwrap_or_default();
        let make = |node: &Arc<Node>| Operation {
            shared: self.shared.clone(),
            context: self.context.clone(),
            node: node.clone(),
        };
        nodes.iter().map(make).collect()
    }

    /// Returns all operations in the order of their creation.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.undefined_op("NoOp").name("a").finish();
    /// graph.undefined_op("NoOp").name("b").finish();
    /// let names: Vec<String> = graph.operations().iter().map(|op| op.name().to_owned()).collect();
    /// assert_eq!(names, ["a", "b"]);
    /// ```
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.operations_from(0)
    }

    /// Returns the operation with a name (S-10).
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.undefined_op("NoOp").name("init").finish();
    /// assert_eq!(graph.operation("init")?.op_type(), "NoOp");
    /// assert!(graph.operation("missing").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails with a value error for the name of a tensor (with `:index`), and with a key error for an unknown
    /// name.
    pub fn operation(&self, name: &str) -> Result<Operation> {
        if name.contains(':') {
            let text = format!("'{name}' is the name of a tensor, not of an operation");
            return Err(Error::value(text));
        }
        // The lock is released before `operation_by_id` takes it again.
        let id = self.shared.read().by_name.get(name).copied();
        id.and_then(|id| self.operation_by_id(id))
            .ok_or_else(|| Error::key(format!("the graph has no operation '{name}'")))
    }

    /// Returns the output with a name of the form `operation:index` (S-10).
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(graph.output("x:0")?, x);
    /// assert!(graph.output("x").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails with a value error for a name without a valid index, and with a key error for an operation that
    /// does not exist or has fewer outputs.
    pub fn output(&self, name: &str) -> Result<Output> {
        let malformed = || {
            Error::value(format!("'{name}' is not a tensor name: it must have the form <operation>:<index>"))
        };
        let (op, index) = name.rsplit_once(':').ok_or_else(malformed)?;
        let index: usize = index.parse().map_err(|_| malformed())?;
        let operation = self.operation(op)?;
        if index >= operation.num_outputs() {
            let count = operation.num_outputs();
            return Err(Error::key(format!("'{name}' does not exist: '{op}' has {count} outputs")));
        }
        Ok(operation.output(index))
    }

    // ---- state --------------------------------------------------------------------------------------

    /// Returns the first error recorded during construction, if there is one.
    ///
    /// ```
    /// use session_core::{Error, Graph};
    /// let graph = Graph::new();
    /// assert!(graph.check().is_ok());
    /// graph.add_error(Error::value("bad"));
    /// assert!(graph.check().is_err());
    /// ```
    ///
    /// # Errors
    /// Returns that error, with the source location of the failed operation.
    pub fn check(&self) -> Result<()> {
        self.shared.read().errors.first().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Finalizes the graph, after which it cannot be modified (S-12, S-13). Further calls do nothing.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.finalize()?;
    /// assert!(graph.undefined_op("NoOp").try_finish().is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first error recorded during construction. The graph is then not finalized.
    pub fn finalize(&self) -> Result<()> {
        // A graph with an error stays open, so that a program can repair it.
        self.check()?;
        self.shared.write().finalized = true;
        Ok(())
    }

    /// Returns true if the graph is finalized.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.finalize()?;
    /// assert!(graph.is_finalized());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_finalized(&self) -> bool {
        self.shared.read().finalized
    }

    /// Makes the graph modifiable again. A monitored session does this on close if it finalized the graph
    /// (S-15, S-163).
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.finalize()?;
    /// graph.unfinalize();
    /// assert!(graph.undefined_op("NoOp").try_finish().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn unfinalize(&self) {
        self.shared.write().finalized = false;
    }

    /// Forbids feeding an output (S-16). An output of another graph is recorded as a build error.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// graph.prevent_feeding(&x);
    /// assert!(!graph.is_feedable(&x));
    /// ```
    #[track_caller]
    pub fn prevent_feeding(&self, output: &Output) {
        if let Err(error) = output.check_belongs_to(self) {
            return self.add_error_of_both(&output.graph(), error);
        }
        let mut state = self.shared.write();
        state.unfeedable.insert(output.endpoint());
        // After the set has the element: whoever sees the flag must find it. Under the lock, so that a copy has both.
        self.shared.restricted.store(true, Ordering::Release);
    }

    /// Forbids fetching an operation (S-16). An operation of another graph is recorded as a build error.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let op = graph.undefined_op("NoOp").finish();
    /// graph.prevent_fetching(&op);
    /// assert!(!graph.is_fetchable(&op));
    /// ```
    #[track_caller]
    pub fn prevent_fetching(&self, operation: &Operation) {
        if let Err(error) = operation.check_belongs_to(self) {
            return self.add_error_of_both(&operation.graph(), error);
        }
        let mut state = self.shared.write();
        state.unfetchable.insert(operation.id());
        self.shared.restricted.store(true, Ordering::Release);
    }

    /// Returns true if an output belongs to this graph and may be fed.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert!(graph.is_feedable(&x) && !Graph::new().is_feedable(&x));
    /// ```
    #[must_use]
    pub fn is_feedable(&self, output: &Output) -> bool {
        output.is_in(self)
            // The flag spares almost every graph the lock, which every run would take for each feed.
            && (!self.is_restricted() || !self.shared.read().unfeedable.contains(&output.endpoint()))
    }

    /// Returns true if an operation belongs to this graph and may be fetched.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert!(graph.is_fetchable(&graph.undefined_op("NoOp").finish()));
    /// ```
    #[must_use]
    pub fn is_fetchable(&self, operation: &Operation) -> bool {
        operation.graph_id() == self.id()
            && (!self.is_restricted() || !self.shared.read().unfetchable.contains(&operation.id()))
    }

    #[inline]
    fn is_restricted(&self) -> bool {
        self.shared.restricted.load(Ordering::Acquire)
    }

    // ---- functions ----------------------------------------------------------------------------------

    /// Adds a function to the graph's library, or from within a function's body to that of the graph around all bodies.
    ///
    /// # Errors
    /// Fails with a value error if a function of the same name exists or a control output does not belong to
    /// the body, and with a runtime error on a finalized graph (S-12).
    pub fn add_function(&self, function: Function) -> Result<()> {
        function.control_outputs().check_belongs_to(function.body())?;
        // Functions are found by name from every body, so all of them are in one library.
        let library = self.outermost_shared();
        let mut state = library.write();
        if state.finalized {
            return Err(finalized());
        }
        // TensorFlow accepts an equal function again. Here bodies are not compared, so a second function of
        // the name is an error.
        if state.functions.contains_key(function.name()) {
            return Err(Error::value(format!("a function named '{}' already exists", function.name())));
        }
        state.functions.insert(function.name().to_owned(), Arc::new(function));
        Ok(())
    }

    /// Returns the function with a name in the library of the graph.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Arc<Function>> {
        self.outermost_shared().read().functions.get(name).cloned()
    }

    /// Returns the functions of the graph, sorted by name.
    #[must_use]
    pub fn functions(&self) -> Vec<Arc<Function>> {
        self.outermost_shared().read().functions.values().cloned().collect()
    }

    // ---- seeds --------------------------------------------------------------------------------------

    /// Sets the graph-level seed. Random operations created afterward without a seed of their own derive it
    /// from this seed and from their position among them.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// graph.set_random_seed(7);
    /// assert_eq!(graph.random_seed(), Some(7));
    /// ```
    pub fn set_random_seed(&self, seed: i64) {
        self.shared.write().seed = Some(seed);
    }

    /// Returns the graph-level seed.
    ///
    /// ```
    /// assert_eq!(session_core::Graph::new().random_seed(), None);
    /// ```
    #[must_use]
    pub fn random_seed(&self) -> Option<i64> {
        self.outermost_shared().read().seed
    }

    /// Returns the next position for a random operation without its own seed: 0, 1, 2, and so on.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert_eq!((graph.next_op_seed(), graph.next_op_seed()), (0, 1));
    /// ```
    #[must_use]
    pub fn next_op_seed(&self) -> i64 {
        // Counted in the outermost graph, so that two bodies do not draw the same numbers.
        let library = self.outermost_shared();
        let mut state = library.write();
        let seed = state.op_seeds;
        state.op_seeds += 1;
        seed
    }

    // ---- collections --------------------------------------------------------------------------------

    /// Appends an item to a collection (S-17).
    ///
    /// ```
    /// use session_core::{CollectionKey, Graph};
    /// const NOTES: CollectionKey<String> = CollectionKey::new("notes");
    /// let graph = Graph::new();
    /// graph.add_to_collection(&NOTES, "first".to_owned())?;
    /// assert_eq!(graph.collection(&NOTES), ["first"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails with a runtime error on a finalized graph (S-12), and with a value error for an operation,
    /// output, or variable of another graph.
    pub fn add_to_collection<T: Any + Send + Sync>(&self, key: &CollectionKey<T>, item: T) -> Result<()> {
        self.add_to_collections([key], item)
    }

    /// Appends an item to several collections, once for each distinct key (S-18).
    ///
    /// ```
    /// use session_core::{CollectionKey, Graph};
    /// const A: CollectionKey<u32> = CollectionKey::new("a");
    /// const B: CollectionKey<u32> = CollectionKey::new("b");
    /// let graph = Graph::new();
    /// graph.add_to_collections([&A, &B], 7)?;
    /// assert_eq!((graph.collection(&A), graph.collection(&B)), (vec![7], vec![7]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_to_collection`](Graph::add_to_collection).
    pub fn add_to_collections<'k, T: Any + Send + Sync>(
        &self,
        keys: impl IntoIterator<Item = &'k CollectionKey<T>>,
        item: T,
    ) -> Result<()> {
        let item: Item = Arc::new(item);
        member::check_item(&*item, self)?;
        let mut state = self.shared.write();
        if state.finalized {
            return Err(finalized());
        }
        // By name, which is what identifies a key.
        let mut done: Vec<&str> = Vec::new();
        for key in keys {
            if !done.contains(&key.name()) {
                done.push(key.name());
                state.collections.entry(key.name().to_owned()).or_default().push(item.clone());
            }
        }
        Ok(())
    }

    /// Returns a copy of the items of a collection. The result is empty for an absent key (S-19) and omits
    /// items of another type under the same name.
    ///
    /// ```
    /// use session_core::{CollectionKey, Graph};
    /// const NOTES: CollectionKey<String> = CollectionKey::new("notes");
    /// assert!(Graph::new().collection(&NOTES).is_empty());
    /// ```
    #[must_use]
    pub fn collection<T: Any + Clone + Send + Sync>(&self, key: &CollectionKey<T>) -> Vec<T> {
        let items = self.shared.read().collections.get(key.name()).cloned().unwrap_or_default();
        // A key of another type under the same name sees only its own items.
        items.iter().filter_map(|item| item.downcast_ref::<T>().cloned()).collect()
    }

    /// Returns the items whose name starts with `scope` (S-21; here a plain prefix rather than a pattern).
    #[must_use]
    pub fn collection_in_scope<T: Named + Any + Clone + Send + Sync>(
        &self,
        key: &CollectionKey<T>,
        scope: &str,
    ) -> Vec<T> {
        let mut items = self.collection(key);
        items.retain(|item| item.name().starts_with(scope));
        items
    }

    /// Removes a collection and its key (S-22).
    ///
    /// ```
    /// use session_core::{CollectionKey, Graph};
    /// const NOTES: CollectionKey<u32> = CollectionKey::new("notes");
    /// let graph = Graph::new();
    /// graph.add_to_collection(&NOTES, 7)?;
    /// graph.clear_collection(&NOTES)?;
    /// assert!(graph.collection_names().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails on a finalized graph (S-12).
    pub fn clear_collection<T>(&self, key: &CollectionKey<T>) -> Result<()> {
        let removed = {
            let mut state = self.shared.write();
            if state.finalized {
                return Err(finalized());
            }
            state.collections.remove(key.name())
        };
        // Dropped outside the lock: an item may hold the last reference to anything.
        drop(removed);
        Ok(())
    }

    /// Returns the names of all nonempty collections, sorted.
    ///
    /// ```
    /// use session_core::{CollectionKey, Graph};
    /// let graph = Graph::new();
    /// graph.add_to_collection(&CollectionKey::<u32>::new("notes"), 7)?;
    /// assert_eq!(graph.collection_names(), ["notes"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn collection_names(&self) -> Vec<String> {
        self.shared.read().collections.keys().cloned().collect()
    }
}

impl Default for Graph {
    fn default() -> Graph {
        Graph::new()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.read();
        f.debug_struct("Graph")
            .field("operations", &state.nodes.len())
            .field("finalized", &state.finalized)
            .field("scope", &self.context.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_7_an_operation_can_have_the_name_of_its_scope() {
        let graph = Graph::new();
        let scope = graph.scope("softmax");
        let inner = scope.undefined_op("Sub").finish();
        let last = scope.named_as_scope().undefined_op("Div").finish();
        assert_eq!((inner.name(), last.name()), ("softmax/Sub", "softmax"));
        assert_eq!(last.graph().scope_name(), "softmax/");

        let again = graph.scope("softmax").named_as_scope();
        assert_eq!(again.undefined_op("Div").finish().name(), "softmax_1");
        assert_eq!(graph.undefined_op("softmax").finish().name(), "softmax_2");
        assert_eq!(graph.named_as_scope().undefined_op("Top").finish().name(), "Top");

        let error = again.undefined_op("Div").try_finish().unwrap_err();
        assert!(error.message().contains("an operation named 'softmax_1' already exists"), "{error}");
    }
}
