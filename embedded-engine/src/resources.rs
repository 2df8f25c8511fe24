//! The state of a session between steps: variables, other resources such as queues, and the state of stateful operations.
//!
//! Resources are found by kind, container, and name; operations hold handles to them. The state of an operation, such as the position of
//! a random stream, is found by the name of the operation, and checkpoints store it with the variables (`export_state`). A state that is
//! restored before its operation exists waits until the operation is created.

use rustc_hash::FxHashMap;
use session_core::{Code, Error, Result};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{DType, Tensor};

/// The value of one variable: a tensor that snapshots share, or `None` while uninitialized.
///
/// The lock guards the value. A kernel that updates variables holds the locks of all of them while it computes, taken
/// in the order of their addresses, and calls nothing that takes another one.
#[derive(Debug)]
pub(crate) struct Variable {
    /// The name of the variable, for errors.
    name: String,
    /// The value; `None` before the first assignment. The lock is held while a kernel updates the value in place.
    value: Mutex<Option<Tensor>>,
}

impl Variable {
    /// Creates a variable without a value.
    pub(crate) fn new(name: &str) -> Variable {
        Variable { name: name.to_owned(), value: Mutex::new(None) }
    }

    /// Returns the name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Locks the value. Kernels that lock several variables do so in the order of their addresses.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Tensor>> {
        // A kernel that panics inside an update has at worst left numbers half updated, and its step fails.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the value, shared.
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
pub(crate) trait OpState: Any + Send + Sync {
    /// Returns the state as bytes for a checkpoint.
    fn export(&self) -> Vec<u8>;
    /// Restores the state from the bytes of a checkpoint.
    fn import(&self, bytes: &[u8]) -> Result<()>;
    /// Converts the state for downcasting.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// States of operations in functions that belong to the caller of the functions rather than to the session: each iterator over a
/// dataset has its own.
#[derive(Default)]
pub(crate) struct Instance {
    /// Guards the table, not the states.
    states: Mutex<BTreeMap<String, Arc<dyn OpState>>>,
    /// Restored, for operations that have not run yet.
    restored: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Instance {
    /// Returns the state of the operation with a name. At its first use the state is created, from restored bytes if there are any.
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

    /// Returns all states, sorted by name.
    pub(crate) fn export(&self) -> Vec<(String, Vec<u8>)> {
        let states = self.states();
        let live = states.iter().map(|(name, state)| (name.clone(), state.export()));
        let restored = self.restored();
        let mut all: Vec<_> =
            live.chain(restored.iter().map(|(name, bytes)| (name.clone(), bytes.clone()))).collect();
        all.sort();
        all
    }

    /// Restores these states. Operations without one restart from their seeds.
    pub(crate) fn import(&self, exported: Vec<(String, Vec<u8>)>) {
        let mut states = self.states();
        states.clear();
        *self.restored() = exported.into_iter().collect();
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn OpState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restored(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that one session keeps.
#[derive(Default)]
pub(crate) struct Resources {
    /// Guards the table, not the values.
    by_name: Mutex<BTreeMap<String, Tensor>>,
    /// Guards the table, not the states.
    states: Mutex<States>,
}

/// The states of operations.
#[derive(Default)]
struct States {
    /// The states by the name of their operation.
    by_name: FxHashMap<String, Arc<dyn OpState>>,
    /// Restored, for operations that have not been made yet.
    restored: FxHashMap<String, Vec<u8>>,
}

impl Resources {
    /// Returns the handle of a shared resource, made at the first use of its name. `kind` keeps the names of different kinds
    /// apart.
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

    /// Returns the handle of a shared resource, if it exists.
    pub(crate) fn find(&self, kind: &str, container: &str, name: &str) -> Option<Tensor> {
        let table = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(&format!("{kind}\0{container}\0{name}")).cloned()
    }

    /// Returns the handles of one kind, by container and name.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Tensor> {
        let first = format!("{kind}\0");
        let table = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let all = table.range(first.clone()..).take_while(|(key, _)| key.starts_with(&first));
        all.map(|(_, handle)| handle.clone()).collect()
    }

    /// Returns the state of the operation of a name, made at its first use, from restored bytes if there are any.
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

    fn states(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all states, sorted by name; those that were restored and not requested since are passed on as they came.
    pub(crate) fn export_states(&self) -> Vec<(String, Vec<u8>)> {
        let states = self.states();
        let live = states.by_name.iter().map(|(name, state)| (name.clone(), state.export()));
        let mut all: Vec<_> =
            live.chain(states.restored.iter().map(|(name, bytes)| (name.clone(), bytes.clone()))).collect();
        all.sort();
        all
    }

    /// Restores states: at once for operations that exist, and otherwise when the operation is created.
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
    pub(crate) fn clear(&self) {
        // Dropped after both locks are released: the drop of a resource may run code of the program.
        let table = std::mem::take(&mut *self.by_name.lock().unwrap_or_else(PoisonError::into_inner));
        let states = std::mem::take(&mut *self.states());
        drop((table, states));
    }
}
