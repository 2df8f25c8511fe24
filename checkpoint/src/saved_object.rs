//! State of the program that is saved and restored with the variables of a graph.

use crate::session::failed;
use crate::{Error, RestoreTarget, Result, SaveSource, Snapshot, VariableSpec};
use session_core::{CollectionKey, Named};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tensor::Tensor;

/// The objects of the program that are saved with a graph's variables. The collection is TensorFlow's `saveable_objects`, which
/// holds lookup tables, too.
pub const SAVED_OBJECTS: CollectionKey<SavedObject> = CollectionKey::new("saveable_objects");

/// An object of the program, shared with its loop by a lock, whose tensors are saved and restored with the variables of a
/// graph: weights of another library, arrays, counters. Cheap to clone; clones are one object.
///
/// Every type that implements [`SaveSource`] and [`RestoreTarget`] can be one. Its tensors lie in checkpoints as `<name>/<tensor>`, or
/// under their own names if the object's is empty: tools see ordinary tensors. They are read under the lock at the moment of a
/// save, and set before the first step, in every recovery, and by partial restores under the same rules as variables. Where
/// there is no checkpoint to recover from, the object is set to what it was before the first step.
///
/// ```
/// use checkpoint::{GraphSaver, RestoreOptions, SAVED_OBJECTS, SavedObject, SaverOptions, load_variable};
/// use session_core::{Graph, Session, mock::MockSession};
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
/// use tensor::Tensor;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model");
///
/// let weights = BTreeMap::from([("w".to_string(), Tensor::from([1.0f32, 2.0]))]);
/// let weights = Arc::new(Mutex::new(weights));
/// let graph = Graph::new();
/// graph.add_to_collection(&SAVED_OBJECTS, SavedObject::new("model", &weights))?;
/// # let session = MockSession::new(&graph);
///
/// let saver = GraphSaver::new(SaverOptions::new());
/// let prefix = saver.save(&session, &path, Some(7))?;
/// assert_eq!(load_variable(&prefix, "model/w")?, Tensor::from([1.0f32, 2.0]));
///
/// weights.lock().unwrap().insert("w".to_string(), Tensor::from([0.0f32, 0.0]));
/// saver.restore(&session, &prefix, &RestoreOptions::new())?;
/// assert_eq!(weights.lock().unwrap()["w"], Tensor::from([1.0f32, 2.0]));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SavedObject {
    name: String,
    object: Arc<dyn Object>,
    /// The state before the first step.
    initial: Arc<OnceLock<Taken>>,
}

/// The state of an object, read at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    pub(crate) state: Option<Vec<u8>>,
}

/// An object behind its lock.
trait Object: Send + Sync {
    fn take(&self) -> Result<Taken>;
    fn variables(&self) -> Vec<VariableSpec>;
    fn assign(&self, values: Vec<(String, Tensor)>, state: Option<&[u8]>) -> Result<()>;
    #[cfg(feature = "sidecar")]
    fn has_state(&self) -> bool;
}

type Encode<T> = dyn Fn(&T) -> Result<Vec<u8>> + Send + Sync;
type Adopt<T> = dyn Fn(&mut T, &[u8]) -> Result<()> + Send + Sync;

struct Locked<T> {
    value: Arc<Mutex<T>>,
    /// The functions that read and set private state.
    state: Option<(Box<Encode<T>>, Box<Adopt<T>>)>,
}

impl SavedObject {
    /// An object under a name, shared with all holders of the lock.
    #[must_use]
    pub fn new<T>(name: impl Into<String>, object: &Arc<Mutex<T>>) -> SavedObject
    where
        T: SaveSource + RestoreTarget + Send + 'static,
    {
        SavedObject::of(name.into(), Locked { value: object.clone(), state: None })
    }

    /// Adds an object with private state in addition to its tensors: any serde type, read and set by these
    /// functions, and stored in the session state of the checkpoint. Use it for small data that other
    /// programs do not need, such as positions and random state.
    ///
    /// ```
    /// # use checkpoint::SavedObject;
    /// # use std::{collections::BTreeMap, sync::{Arc, Mutex}};
    /// # use tensor::Tensor;
    /// # use checkpoint::{RestoreTarget, Result, SaveSource, VariableSpec};
    /// struct Trainer { weights: BTreeMap<String, Tensor>, epoch: u64 }
    /// # impl SaveSource for Trainer { fn tensors(&self) -> Result<Vec<(String, Tensor)>> { self.weights.tensors() } }
    /// # impl RestoreTarget for Trainer {
    /// #     fn variables(&self) -> Vec<VariableSpec> { self.weights.variables() }
    /// #     fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> { self.weights.assign(values) }
    /// # }
    /// let trainer = Arc::new(Mutex::new(Trainer { weights: BTreeMap::new(), epoch: 0 }));
    /// let saved = SavedObject::with_state("trainer", &trainer, |trainer| trainer.epoch, |trainer, epoch| trainer.epoch = epoch);
    /// assert_eq!(saved.name(), "trainer");
    /// ```
    #[cfg(feature = "sidecar")]
    #[must_use]
    pub fn with_state<T, S>(
        name: impl Into<String>,
        object: &Arc<Mutex<T>>,
        get: impl Fn(&T) -> S + Send + Sync + 'static,
        set: impl Fn(&mut T, S) + Send + Sync + 'static,
    ) -> SavedObject
    where
        T: SaveSource + RestoreTarget + Send + 'static,
        S: serde::Serialize + serde::de::DeserializeOwned,
    {
        let encode = move |object: &T| crate::sidecar::encode(&get(object));
        let adopt = move |object: &mut T, bytes: &[u8]| {
            set(object, crate::sidecar::decode(bytes)?);
            Ok(())
        };
        let state: Option<(Box<Encode<T>>, Box<Adopt<T>>)> = Some((Box::new(encode), Box::new(adopt)));
        SavedObject::of(name.into(), Locked { value: object.clone(), state })
    }

    fn of(name: String, object: impl Object + 'static) -> SavedObject {
        SavedObject { name, object: Arc::new(object), initial: Arc::default() }
    }

    /// Returns its name, which begins those of its tensors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the names of its tensors in checkpoints.
    #[must_use]
    pub fn tensor_names(&self) -> Vec<String> {
        self.variables().into_iter().map(|variable| variable.key).collect()
    }

    /// Returns true if both are clones of one object.
    #[must_use]
    pub fn is_same(&self, other: &SavedObject) -> bool {
        Arc::ptr_eq(&self.object, &other.object)
    }

    /// Remembers what the object is now as what it is before the first step. Returns false if that was done before.
    ///
    /// # Errors
    /// When the object cannot be read.
    pub fn remember_initial(&self) -> Result<bool> {
        if self.initial.get().is_some() {
            return Ok(false);
        }
        let taken = self.take()?;
        Ok(self.initial.set(taken).is_ok())
    }

    /// Sets the object to what was remembered as its initial content: all of it, or only tensors of these names in checkpoints.
    ///
    /// # Errors
    /// When the object cannot be set.
    pub fn reset(&self, only: Option<&HashSet<&str>>) -> Result<()> {
        let Some(initial) = self.initial.get() else { return Ok(()) };
        let mut values = initial.snapshot.tensors.clone();
        values.retain(|(name, _)| only.is_none_or(|only| only.contains(name.as_str())));
        let state = initial.state.as_deref().filter(|_| only.is_none());
        if values.is_empty() && state.is_none() {
            return Ok(());
        }
        self.assign(values, state)
    }

    /// Sets the private state to what was remembered as the initial one.
    #[cfg(feature = "sidecar")]
    pub(crate) fn reset_state(&self) -> Result<()> {
        match self.initial.get().and_then(|initial| initial.state.as_deref()) {
            Some(state) => self.assign(Vec::new(), Some(state)),
            None => Ok(()),
        }
    }

    #[cfg(feature = "sidecar")]
    pub(crate) fn has_state(&self) -> bool {
        self.object.has_state()
    }

    fn full(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}/{name}", self.name) }
    }

    fn own<'n>(&self, full: &'n str) -> &'n str {
        if self.name.is_empty() { full } else { full.get(self.name.len() + 1..).unwrap_or(full) }
    }

    /// Reads tensors and private state in one moment.
    pub(crate) fn take(&self) -> Result<Taken> {
        let mut taken = self.object.take().map_err(|error| self.failed("read", error))?;
        for (name, _) in &mut taken.snapshot.tensors {
            *name = self.full(name);
        }
        for (slice, _) in &mut taken.snapshot.slices {
            slice.name = self.full(&slice.name);
        }
        Ok(taken)
    }

    pub(crate) fn variables(&self) -> Vec<VariableSpec> {
        let mut variables = self.object.variables();
        for variable in &mut variables {
            variable.name = self.full(&variable.name);
            variable.key = self.full(&variable.key);
        }
        variables
    }

    /// Sets tensors, by their full names, and private state.
    pub(crate) fn assign(&self, mut values: Vec<(String, Tensor)>, state: Option<&[u8]>) -> Result<()> {
        for (name, _) in &mut values {
            *name = self.own(name).to_owned();
        }
        self.object.assign(values, state).map_err(|error| self.failed("assign", error))
    }

    fn failed(&self, operation: &'static str, error: Error) -> Error {
        failed(operation, session_core::Error::from(error).context(format!("saved object '{}'", self.name)))
    }
}

impl Named for SavedObject {
    fn name(&self) -> String {
        self.name.clone()
    }
}

impl fmt::Debug for SavedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavedObject({})", self.name)
    }
}

impl<T> Locked<T> {
    fn lock(&self) -> Result<MutexGuard<'_, T>> {
        self.value.lock().map_err(|_| {
            Error::Invalid(
                "a thread panicked while it held the object, which may be changed in part: restore it"
                    .to_owned(),
            )
        })
    }
}

impl<T: SaveSource + RestoreTarget + Send> Object for Locked<T> {
    fn take(&self) -> Result<Taken> {
        let object = self.lock()?;
        // Under the same lock as the tensors, so that both are of one moment.
        let state = self.state.as_ref().map(|(encode, _)| encode(&object)).transpose()?;
        Ok(Taken { snapshot: object.snapshot()?, state })
    }

    fn variables(&self) -> Vec<VariableSpec> {
        // Its parts do not depend on how far a thread that panicked has come.
        self.value.lock().unwrap_or_else(PoisonError::into_inner).variables()
    }

    fn assign(&self, values: Vec<(String, Tensor)>, state: Option<&[u8]>) -> Result<()> {
        // A poisoned object is exactly what a restore repairs, so it is written to all the same.
        let mut object = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        if !values.is_empty() {
            object.assign(values)?;
        }
        if let (Some((_, adopt)), Some(state)) = (&self.state, state) {
            adopt(&mut object, state)?;
        }
        drop(object);
        // Only after everything was set: an object that was restored in part stays unusable for saves.
        self.value.clear_poison();
        Ok(())
    }

    #[cfg(feature = "sidecar")]
    fn has_state(&self) -> bool {
        self.state.is_some()
    }
}
