//! The state of a session between steps: variables, other resources such as queues, and the state of stateful
//! operations.
//!
//! Resources are found by kind, container, and name; operations hold handles to them. The state of an
//! operation, such as the position of a random stream, is found by the name of the operation, and checkpoints
//! store it with the variables (`export_state`). A state that is restored before its operation exists waits
//! until the operation is created.
//!
//! # Locks
//!
//! | lock | guards | held while |
//! | --- | --- | --- |
//! | `Variable::value` | one value | a kernel reads or updates the variable |
//! | `Resources::by_name` | the table of handles | a handle is looked up or created |
//! | `Resources::states`, `Instance::states` | the table of states | a state is looked up, created or imported |
//!
//! Kernels look their handles and states up when they are made, so a steady step takes no lock of a table.

use rustc_hash::FxHashMap;
use session_core::{Code, Error, Result};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{DType, Tensor};

/// The value of one variable: a tensor that snapshots share, or `None` while uninitialized.
///
/// The lock guards the value. A kernel that updates variables holds the locks of all of them while it
/// computes, taken in the order of their addresses, and calls nothing that takes another one.
#[derive(Debug)]
pub(crate) struct Variable {
    /// The name of the variable, for errors and for reports of memory use.
    name: String,
    /// The value; `None` before the first assignment. The lock is held while a kernel updates the value in
    /// place.
    value: Mutex<Option<Tensor>>,
}

impl Variable {
    /// Creates a variable without a value. The name is only text here; `Resources` holds the key.
    pub(crate) fn new(name: &str) -> Variable {
        Variable { name: name.to_owned(), value: Mutex::new(None) }
    }

    /// Returns the name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Locks the value. Kernels that lock several variables do so in the order of their addresses.
    ///
    /// Holding one lock while taking another in a different order would deadlock two concurrent steps. The
    /// guard must not be held while a function, a callback, or a wait of any kind runs.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Tensor>> {
        // A kernel that panics inside an update has at worst left numbers half updated, and its step fails.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the value. The elements are shared, so the next update copies them if the returned tensor
    /// still exists.
    ///
    /// # Errors
    /// `FailedPrecondition` before the first assignment (S-28).
    pub(crate) fn read(&self) -> Result<Tensor> {
        self.lock().clone().ok_or_else(|| self.uninitialized())
    }

    /// Returns the error of a read before the first assignment (S-28).
    pub(crate) fn uninitialized(&self) -> Error {
        let text = format!("Attempting to use uninitialized value {}", self.name);
        Error::new(Code::FailedPrecondition, text)
    }
}

/// The state of one stateful operation that a resumed run needs.
///
/// Examples are the position of a random stream and the position of an index batch. Implementations guard
/// their content themselves: a state may be used by concurrent steps while a checkpoint exports it.
pub(crate) trait OpState: Any + Send + Sync {
    /// Returns the state as bytes for a checkpoint. The format belongs to the implementation and must stay
    /// readable by later versions.
    fn export(&self) -> Vec<u8>;
    /// Replaces the state by one that [`export`](OpState::export) returned.
    ///
    /// # Errors
    /// An error for bytes that are not of this kind of state.
    fn import(&self, bytes: &[u8]) -> Result<()>;
    /// Converts the state for downcasting.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// States of operations in functions that belong to the caller of the functions rather than to the session:
/// each iterator over a dataset has its own.
#[derive(Default)]
pub(crate) struct Instance {
    /// Guards the table, not the states. Sorted, so that an export is deterministic.
    states: Mutex<BTreeMap<String, Arc<dyn OpState>>>,
    /// The bytes of restored states whose operations have not run yet. An entry leaves the table when its
    /// operation asks for its state.
    restored: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Instance {
    /// Returns the state of the operation with a name. At its first use the state is created, from restored
    /// bytes if there are any.
    ///
    /// # Errors
    /// `InvalidArgument` if the name has a state of another type, and whatever the import of restored bytes
    /// returns. Such bytes are dropped: the next use starts from the seed.
    pub(crate) fn state<S: OpState>(&self, name: &str, make: impl FnOnce() -> S) -> Result<Arc<S>> {
        let mut states = self.states();
        if let Some(state) = states.get(name) {
            let state = state.clone().as_any().downcast();
            return state
                .map_err(|_| Error::invalid_argument(format!("'{name}' has a state of another kind")));
        }
        let state = Arc::new(make());
        if let Some(bytes) = self.restored().remove(name) {
            state.import(&bytes)?;
        }
        states.insert(name.to_owned(), state.clone());
        Ok(state)
    }

    /// Returns all states, sorted by name. Restored bytes that no operation has asked for yet are returned
    /// unchanged, so that a second save loses nothing.
    pub(crate) fn export(&self) -> Vec<(String, Vec<u8>)> {
        let states = self.states();
        let live = states.iter().map(|(name, state)| (name.clone(), state.export()));
        let restored = self.restored();
        let mut all: Vec<_> =
            live.chain(restored.iter().map(|(name, bytes)| (name.clone(), bytes.clone()))).collect();
        all.sort();
        all
    }

    /// Replaces all states by these. Operations that are not among them restart from their seeds.
    pub(crate) fn import(&self, exported: Vec<(String, Vec<u8>)>) {
        let mut states = self.states();
        // Kernels of a running iteration may still hold the old states; they keep counting in values that
        // nothing exports any more.
        states.clear();
        let mut restored = self.restored();
        restored.clear();
        restored.extend(exported);
    }

    /// Locks the table of live states. Always taken before the table of restored ones.
    fn states(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn OpState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the table of restored bytes.
    fn restored(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that one session keeps.
#[derive(Default)]
pub(crate) struct Resources {
    /// The handle of each resource by `kind NUL container NUL name`. Guards the table, not the values.
    by_name: Mutex<FxHashMap<String, Tensor>>,
    /// The states of operations. Guards the table, not the states.
    states: Mutex<States>,
}

/// The states of operations.
#[derive(Default)]
struct States {
    /// The live states by the name of their operation; operations in functions have `function:operation`.
    by_name: FxHashMap<String, Arc<dyn OpState>>,
    /// The bytes of restored states whose operations have not been created yet.
    restored: FxHashMap<String, Vec<u8>>,
}

impl Resources {
    /// Returns the handle of a shared resource, made at the first use of its name. `kind` keeps the names of
    /// different kinds apart.
    ///
    /// `make` runs under the lock of the table and must neither look up resources nor run code of the
    /// program. Two operations with the same kind, container and name share one resource, as in TensorFlow.
    pub(crate) fn handle<H: Any + Send + Sync>(
        &self,
        kind: &str,
        container: &str,
        name: &str,
        make: impl FnOnce() -> H,
    ) -> Tensor {
        // No name contains a NUL, so kinds and containers cannot be confused.
        let key = format!("{kind}\0{container}\0{name}");
        let mut table = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        table.entry(key).or_insert_with(|| Tensor::from_handle(DType::Resource, Arc::new(make()))).clone()
    }

    /// Returns the handle of a shared resource, or `None` if no operation has created it.
    pub(crate) fn find(&self, kind: &str, container: &str, name: &str) -> Option<Tensor> {
        let table = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(&format!("{kind}\0{container}\0{name}")).cloned()
    }

    /// Returns the handles of all resources of one kind, sorted by container and name.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Tensor> {
        // The NUL keeps one kind from matching another that begins with it.
        let first = format!("{kind}\0");
        let table = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(&String, &Tensor)> =
            table.iter().filter(|(key, _)| key.starts_with(&first)).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter().map(|(_, handle)| handle.clone()).collect()
    }

    /// Returns the state of the operation with a name. It is created at its first use, from restored bytes if
    /// there are any.
    ///
    /// # Errors
    /// `InvalidArgument` if the name has a state of another type, and whatever the import of restored bytes
    /// returns. Such bytes are dropped: the next use starts from the seed.
    pub(crate) fn state<S: OpState>(&self, name: &str, make: impl FnOnce() -> S) -> Result<Arc<S>> {
        let mut states = self.states();
        if let Some(state) = states.by_name.get(name) {
            let state = state.clone().as_any().downcast();
            let kind = || Error::invalid_argument(format!("'{name}' has a state of another kind"));
            return state.map_err(|_| kind());
        }
        let state = Arc::new(make());
        if let Some(bytes) = states.restored.remove(name) {
            state.import(&bytes)?;
        }
        states.by_name.insert(name.to_owned(), state.clone());
        Ok(state)
    }

    /// Locks the table of states.
    fn states(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all states, sorted by name. Those that were restored and not requested since are returned
    /// unchanged.
    pub(crate) fn export_states(&self) -> Vec<(String, Vec<u8>)> {
        let (live, mut all) = {
            let states = self.states();
            let live: Vec<_> =
                states.by_name.iter().map(|(name, state)| (name.clone(), state.clone())).collect();
            let restored = states.restored.iter().map(|(name, bytes)| (name.clone(), bytes.clone()));
            (live, restored.collect::<Vec<_>>())
        };
        // Without the lock: the state of an iterator waits for the step that works with it, which may look up a
        // state itself.
        all.extend(live.into_iter().map(|(name, state)| (name, state.export())));
        all.sort();
        all
    }

    /// Restores states: at once for operations that exist, and otherwise when the operation is created.
    ///
    /// States of operations that are not in `exported` keep their values.
    ///
    /// # Errors
    /// The error of the first state that rejects its bytes; states before it have been restored.
    pub(crate) fn import_states(&self, exported: &[(String, Vec<u8>)]) -> Result<()> {
        let mut states = self.states();
        for (name, bytes) in exported {
            match states.by_name.get(name) {
                Some(state) => state.import(bytes)?,
                None => {
                    states.restored.insert(name.clone(), bytes.clone());
                }
            }
        }
        Ok(())
    }

    /// Drops all resources and states.
    ///
    /// Runs that are still active keep what their plans hold. What they create afterwards lands in the empty
    /// tables and goes with the session.
    pub(crate) fn clear(&self) {
        // Dropped after both locks are released: the drop of a resource may run code of the program.
        let table = std::mem::take(&mut *self.by_name.lock().unwrap_or_else(PoisonError::into_inner));
        let states = std::mem::take(&mut *self.states());
        drop((table, states));
    }
}
