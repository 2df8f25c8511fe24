//! The graph: named operations, collections, seeds.

use crate::builder::OpBuilder;
use crate::collection::{CollectionKey, Item, Named};
use crate::member;
use crate::names::{self, Names};
use crate::operation::{Node, OpId};
use crate::variable_scope::VariableScope;
use crate::{Endpoint, Error, Function, GraphMember, OpDef, Operation, Output, Phase, Result};
use rustc_hash::{FxHashMap, FxHashSet};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

/// A graph under construction or in use: a cheap handle that also carries the name scope, device and control
/// inputs for the operations that are made through it.
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
    /// Keeps the collections; see [`Owner`].
    owner: Option<Arc<Owner>>,
}

/// What all handles of one graph share.
pub(crate) struct Shared {
    /// Guards the graph's content. Nothing is called under it but methods of the state.
    state: RwLock<State>,
    owner: RwLock<Weak<Owner>>,
    /// Whether anything may not be fed or fetched: nearly no graph has such, and every run asks.
    restricted: AtomicBool,
}

/// What a handle carries for the operations made through it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Empty, or ending with `/`.
    pub(crate) scope: String,
    /// The name of the next operation, in the place of its type's.
    pub(crate) name: Option<String>,
    pub(crate) device: String,
    /// The attribute `container` of stateful operations that have none of their own; empty for the default one.
    pub(crate) container: String,
    pub(crate) control_inputs: Vec<OpId>,
    /// Where variables are named and shared, if the handle is in a scope for them.
    pub(crate) variables: Option<Arc<VariableScope>>,
    /// The place in the program that errors name, in the place of each operation's own.
    pub(crate) location: Option<&'static Location<'static>>,
}

/// Items of collections hold operations, and operations their graph. When the last handle goes, the
/// collections are emptied, so that this circle does not keep the graph for ever.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
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
    /// How many random operations took a seed by position.
    op_seeds: i64,
    finalized: bool,
    /// Mistakes made while building, in order.
    errors: Vec<Error>,
    unfeedable: FxHashSet<Endpoint>,
    unfetchable: FxHashSet<OpId>,
    /// The function library, by name.
    functions: BTreeMap<String, Arc<Function>>,
}

impl Shared {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
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
    /// An empty graph.
    #[must_use]
    pub fn new() -> Graph {
        let shared = Arc::new(Shared {
            state: RwLock::default(),
            owner: RwLock::default(),
            restricted: AtomicBool::new(false),
        });
        Graph::of(shared, Arc::default())
    }

    pub(crate) fn of(shared: Arc<Shared>, context: Arc<Context>) -> Graph {
        let known = shared.owner.read().unwrap_or_else(PoisonError::into_inner).upgrade();
        let owner = known.unwrap_or_else(|| {
            let owner = Arc::new(Owner(shared.clone()));
            *shared.owner.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&owner);
            owner
        });
        Graph { shared, context, owner: Some(owner) }
    }

    pub(crate) fn with_context(&self, change: impl FnOnce(&mut Context)) -> Graph {
        let mut context = (*self.context).clone();
        change(&mut context);
        Graph { shared: self.shared.clone(), context: Arc::new(context), owner: self.owner.clone() }
    }

    /// Returns a graph of its own with the same operations, numbers and functions, without collections. It can be built on
    /// although this one is finalized.
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
        let state = self.shared.read();
        let copy = State {
            nodes: state.nodes.clone(),
            by_name: state.by_name.clone(),
            names: state.names.clone(),
            collections: BTreeMap::new(),
            seed: state.seed,
            op_seeds: state.op_seeds,
            finalized: false,
            errors: state.errors.clone(),
            unfeedable: state.unfeedable.clone(),
            unfetchable: state.unfetchable.clone(),
            functions: state.functions.clone(),
        };
        drop(state);
        let restricted = self.shared.restricted.load(Ordering::Relaxed);
        let shared = Shared {
            state: RwLock::new(copy),
            owner: RwLock::default(),
            restricted: AtomicBool::new(restricted),
        };
        Graph::of(Arc::new(shared), Arc::default())
    }

    /// Whether both are handles of one graph.
    #[must_use]
    pub fn is_same(&self, other: &Graph) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    // ---- scopes -------------------------------------------------------------------------------------

    /// A handle that puts `name/` in front of the names of operations. The scope is made unique (`name_1/`); a
    /// name that ends with `/` means that very scope, counted from the graph's top (S-7).
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

    /// A handle that names the one operation that is made through it, or the scope of a function that makes
    /// several, where the type's name would stand otherwise. What is built on that operation is not affected.
    ///
    /// ```ignore
    /// let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(64)]);
    /// ```
    #[must_use]
    pub fn named(&self, name: &str) -> Graph {
        self.with_context(|context| context.name = Some(name.to_owned()))
    }

    /// The scope for a function that makes several operations: of the name given by [`named`](Graph::named),
    /// or of this default.
    #[must_use]
    pub fn composite(&self, default: &str) -> Graph {
        self.scope(self.context.name.as_deref().unwrap_or(default))
    }

    /// A handle that gives the next operation the very name of the current scope, without the final `/`: how the
    /// last operation of a composite function bears the function's name (S-7). At the top it changes nothing.
    #[must_use]
    pub fn named_as_scope(&self) -> Graph {
        let scope = self.context.scope.clone();
        self.with_context(|context| context.name = (!scope.is_empty()).then_some(scope))
    }

    /// The name given by [`named`](Graph::named).
    #[must_use]
    pub fn pending_name(&self) -> Option<&str> {
        self.context.name.as_deref()
    }

    /// The current scope: empty, or ending with `/`.
    #[must_use]
    pub fn scope_name(&self) -> &str {
        &self.context.scope
    }

    /// A handle that asks for a device, such as `/device:CPU:0` or `/job:ps/task:0`.
    #[must_use]
    pub fn device(&self, device: &str) -> Graph {
        self.with_context(|context| context.device = device.to_owned())
    }

    /// A handle whose variables, queues, tables and other resources live in the session's container of this name. In an
    /// inner scope an empty name means the default container again. Operations whose own attribute `container` is set keep
    /// it.
    ///
    /// Resources are shared by container and name, so those of two containers never meet.
    #[must_use]
    pub fn container(&self, name: &str) -> Graph {
        self.with_context(|context| context.container = name.to_owned())
    }

    /// A handle whose operations run after all of these. One of another graph is recorded as a build error.
    #[must_use]
    #[track_caller]
    pub fn control_dependencies<'a>(&self, operations: impl IntoIterator<Item = &'a Operation>) -> Graph {
        let mut ids = self.context.control_inputs.clone();
        for operation in operations {
            match operation.check_in(self) {
                Ok(()) if !ids.contains(&operation.id()) => ids.push(operation.id()),
                Ok(()) => {}
                // The error was recorded when that operation was made.
                Err(_) if operation.error().is_some() => {}
                Err(error) => self.add_error(error),
            }
        }
        self.with_context(|context| context.control_inputs = ids)
    }

    /// A handle whose operations count as made at this place in the program: for functions that make operations
    /// on behalf of their caller. The place of an outer such function is kept.
    #[must_use]
    pub fn located_at(&self, location: &'static Location<'static>) -> Graph {
        self.with_context(|context| {
            context.location.get_or_insert(location);
        })
    }

    /// Returns the place in the program that errors of operations made through this handle name: that given to
    /// [`located_at`](Graph::located_at), or the caller's.
    #[must_use]
    #[track_caller]
    pub fn location(&self) -> &'static Location<'static> {
        self.context.location.unwrap_or(Location::caller())
    }

    /// A handle without scope, device and control inputs.
    #[must_use]
    pub fn root(&self) -> Graph {
        self.with_context(|context| *context = Context::default())
    }

    /// A handle without control inputs, its scope kept: for what is shared between steps, such as variables.
    #[must_use]
    pub fn without_control_dependencies(&self) -> Graph {
        self.with_context(|context| context.control_inputs.clear())
    }

    /// A name that nobody has yet, in the current scope, and takes it (S-6, S-11).
    #[must_use]
    pub fn unique_name(&self, name: &str) -> String {
        let full = format!("{}{name}", self.context.scope);
        self.shared.write().names.unique(&full)
    }

    // ---- operations ---------------------------------------------------------------------------------

    /// Begins an operation of a defined type.
    #[track_caller]
    pub fn op(&self, def: &'static OpDef) -> OpBuilder {
        OpBuilder::new(self, def)
    }

    /// Begins an operation of a type that no library here defines; its outputs must be described.
    #[track_caller]
    pub fn undefined_op(&self, op_type: impl Into<String>) -> OpBuilder {
        OpBuilder::undefined(self, op_type.into())
    }

    /// Adds a node and gives its id; the name is made unique in the current scope, unless it ends with `/`. Fails
    /// on a frozen graph.
    pub(crate) fn insert(
        &self,
        name: &str,
        absolute: bool,
        make: impl FnOnce(OpId, String) -> Node,
    ) -> Result<Operation> {
        if !names::is_legal(name) {
            return Err(Error::value(format!("'{name}' is not a valid operation name")));
        }
        let mut state = self.shared.write();
        if state.finalized {
            return Err(finalized());
        }
        let name = match name.strip_suffix('/') {
            // That very name (S-7), taken by the scope of the same name.
            Some(exact) if state.by_name.contains_key(exact) => {
                return Err(Error::value(format!("there is an operation '{exact}' already")));
            }
            Some(exact) => {
                state.names.take(exact);
                exact.to_owned()
            }
            None if absolute => state.names.unique(name),
            None => state.names.unique(&format!("{}{name}", self.context.scope)),
        };
        let id = OpId::try_from(state.nodes.len()).map_err(|_| Error::runtime("the graph is full"))?;
        let node = Arc::new(make(id, name.clone()));
        state.nodes.push(node.clone());
        state.by_name.insert(name, id);
        drop(state);
        // Name and control inputs were for what is made through this handle, not for what is built on the result.
        let inherits = self.context.name.is_none() && self.context.control_inputs.is_empty();
        let context = if inherits {
            self.context.clone()
        } else {
            let plain = |context: &mut Context| {
                context.name = None;
                context.control_inputs.clear();
            };
            self.with_context(plain).context
        };
        Ok(Operation { shared: self.shared.clone(), context, node })
    }

    /// Keeps a mistake made while building, unless the graph is frozen: then only using what was not made
    /// fails, and what the graph holds goes on running (S-13).
    pub(crate) fn record(&self, error: &Error) {
        let mut state = self.shared.write();
        if !state.finalized {
            state.errors.push(error.clone());
        }
    }

    /// Records an error that a constructor found, to be returned by [`finalize`](Graph::finalize) and by
    /// whatever would run the graph. Unless it has a place, it gets that of the call which this handle
    /// [belongs to](Graph::located_at), or else of the caller.
    #[track_caller]
    pub fn add_error(&self, error: Error) {
        self.record(&error.with_location(self.location()).with_phase(Phase::Build));
    }

    /// How many operations there are. Grows with each; engines compare it to find what is new.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.read().nodes.len()
    }

    /// Whether there is no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The operation of an id.
    #[must_use]
    pub fn operation_by_id(&self, id: OpId) -> Option<Operation> {
        let node = self.shared.read().nodes.get(id as usize)?.clone();
        Some(Operation { shared: self.shared.clone(), context: self.context.clone(), node })
    }

    /// All operations in the order they were made, from this id on.
    #[must_use]
    pub fn operations_from(&self, first: OpId) -> Vec<Operation> {
        let state = self.shared.read();
        let nodes = state.nodes.get(first as usize..).unwrap_or_default();
        let make = |node: &Arc<Node>| Operation {
            shared: self.shared.clone(),
            context: self.context.clone(),
            node: node.clone(),
        };
        nodes.iter().map(make).collect()
    }

    /// All operations in the order they were made.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.operations_from(0)
    }

    /// The operation of a name (S-10).
    ///
    /// # Errors
    /// A value error for the name of a tensor (with `:index`), a key error for a name that nothing has.
    pub fn operation(&self, name: &str) -> Result<Operation> {
        if name.contains(':') {
            let text = format!("'{name}' is the name of a tensor, not of an operation");
            return Err(Error::value(text));
        }
        let id = self.shared.read().by_name.get(name).copied();
        id.and_then(|id| self.operation_by_id(id))
            .ok_or_else(|| Error::key(format!("the graph has no operation '{name}'")))
    }

    /// The output of a name `operation:index` (S-10).
    ///
    /// # Errors
    /// A value error for a name without index or with a malformed one, a key error for an operation that does
    /// not exist or has fewer outputs.
    pub fn output(&self, name: &str) -> Result<Output> {
        let malformed =
            || Error::value(format!("'{name}' is no tensor name: it must have the form <operation>:<index>"));
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

    /// The first mistake made while building, if there is one.
    ///
    /// # Errors
    /// That mistake, with the place in the program where it was made.
    pub fn check(&self) -> Result<()> {
        self.shared.read().errors.first().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Freezes the graph (S-12, S-13). Doing it again does nothing.
    ///
    /// # Errors
    /// The first mistake made while building; the graph is then not frozen.
    pub fn finalize(&self) -> Result<()> {
        self.check()?;
        self.shared.write().finalized = true;
        Ok(())
    }

    /// Whether it is frozen.
    #[must_use]
    pub fn is_finalized(&self) -> bool {
        self.shared.read().finalized
    }

    /// Lets it be changed again; what a monitored session does at close to a graph that it froze (S-15, S-163).
    pub fn unfinalize(&self) {
        self.shared.write().finalized = false;
    }

    /// Marks an output as one that may not be fed (S-16). One of another graph is recorded as a build error.
    #[track_caller]
    pub fn prevent_feeding(&self, output: &Output) {
        if let Err(error) = output.check_in(self) {
            return self.add_error(error);
        }
        self.shared.write().unfeedable.insert(output.endpoint());
        self.shared.restricted.store(true, Ordering::Release);
    }

    /// Marks an operation as one that may not be fetched (S-16). One of another graph is recorded as a build error.
    #[track_caller]
    pub fn prevent_fetching(&self, operation: &Operation) {
        if let Err(error) = operation.check_in(self) {
            return self.add_error(error);
        }
        self.shared.write().unfetchable.insert(operation.id());
        self.shared.restricted.store(true, Ordering::Release);
    }

    /// Returns true if an output belongs to this graph and may be fed.
    #[must_use]
    pub fn is_feedable(&self, output: &Output) -> bool {
        output.is_in(self)
            && (!self.is_restricted() || !self.shared.read().unfeedable.contains(&output.endpoint()))
    }

    /// Returns true if an operation belongs to this graph and may be fetched.
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

    /// Adds a function to the graph's library.
    ///
    /// # Errors
    /// A value error when there is another of its name, or when a control output is not of its body; a runtime error on a
    /// finalized graph (S-12).
    pub fn add_function(&self, function: Function) -> Result<()> {
        function.control_outputs().check_in(function.body())?;
        let mut state = self.shared.write();
        if state.finalized {
            return Err(finalized());
        }
        if state.functions.contains_key(function.name()) {
            return Err(Error::value(format!("there is a function '{}' already", function.name())));
        }
        state.functions.insert(function.name().to_owned(), Arc::new(function));
        Ok(())
    }

    /// The function of a name in the graph's library.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Arc<Function>> {
        self.shared.read().functions.get(name).cloned()
    }

    /// The graph's function library, sorted by name.
    #[must_use]
    pub fn functions(&self) -> Vec<Arc<Function>> {
        self.shared.read().functions.values().cloned().collect()
    }

    // ---- seeds --------------------------------------------------------------------------------------

    /// Sets the graph's seed: random operations made from now on, without a seed of their own, derive theirs
    /// from it and from how many were made before them.
    pub fn set_random_seed(&self, seed: i64) {
        self.shared.write().seed = Some(seed);
    }

    /// The graph's seed.
    #[must_use]
    pub fn random_seed(&self) -> Option<i64> {
        self.shared.read().seed
    }

    /// The next number for a random operation without a seed of its own: 0, 1, 2 ... over the life of the graph.
    #[must_use]
    pub fn next_op_seed(&self) -> i64 {
        let mut state = self.shared.write();
        let seed = state.op_seeds;
        state.op_seeds += 1;
        seed
    }

    // ---- collections --------------------------------------------------------------------------------

    /// Appends an item to a collection (S-17).
    ///
    /// # Errors
    /// A runtime error on a finalized graph (S-12); a value error for an operation, output or variable of another graph.
    pub fn add_to_collection<T: Any + Send + Sync>(&self, key: &CollectionKey<T>, item: T) -> Result<()> {
        self.add_to_collections([key], item)
    }

    /// Appends one item to several collections, once for each distinct key (S-18).
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
        let mut done: Vec<&str> = Vec::new();
        for key in keys {
            if !done.contains(&key.name()) {
                done.push(key.name());
                state.collections.entry(key.name().to_owned()).or_default().push(item.clone());
            }
        }
        Ok(())
    }

    /// A copy of a collection's items; empty for an absent key (S-19). Items of another type under the same
    /// name are left out.
    #[must_use]
    pub fn collection<T: Any + Clone + Send + Sync>(&self, key: &CollectionKey<T>) -> Vec<T> {
        let items = self.shared.read().collections.get(key.name()).cloned().unwrap_or_default();
        items.iter().filter_map(|item| item.downcast_ref::<T>().cloned()).collect()
    }

    /// The items whose name begins with `scope` (S-21; a plain prefix here, no pattern).
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
    /// # Errors
    /// On a finalized graph (S-12).
    pub fn clear_collection<T>(&self, key: &CollectionKey<T>) -> Result<()> {
        let removed = {
            let mut state = self.shared.write();
            if state.finalized {
                return Err(finalized());
            }
            state.collections.remove(key.name())
        };
        // Dropped outside the lock: items may hold the last reference to anything.
        drop(removed);
        Ok(())
    }

    /// The names of all collections with items, sorted.
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
    fn s_7_an_operation_can_bear_the_name_of_its_scope() {
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
        assert!(error.message().contains("there is an operation 'softmax_1' already"), "{error}");
    }
}
