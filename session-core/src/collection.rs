//! Graph collections: ordered lists under well-known keys.

use crate::{Operation, Output, Variable};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The key of a collection with items of type `T`. Keys are compared by name.
///
/// ```
/// use session_core::{CollectionKey, Graph};
/// const NOTES: CollectionKey<String> = CollectionKey::new("notes");
/// let graph = Graph::new();
/// graph.add_to_collection(&NOTES, "read me".to_owned())?;
/// assert_eq!(graph.collection(&NOTES), ["read me"]);
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct CollectionKey<T> {
    name: Cow<'static, str>,
    // A function pointer rather than `T`, so that keys are `Send` and `Sync` whatever their items are.
    items: PhantomData<fn() -> T>,
}

impl<T> CollectionKey<T> {
    /// Creates a key from a static name.
    ///
    /// ```
    /// use session_core::CollectionKey;
    /// const NOTES: CollectionKey<String> = CollectionKey::new("notes");
    /// assert_eq!(NOTES.name(), "notes");
    /// ```
    #[must_use]
    pub const fn new(name: &'static str) -> CollectionKey<T> {
        CollectionKey { name: Cow::Borrowed(name), items: PhantomData }
    }

    /// Creates a key from a name that is computed at run time.
    ///
    /// ```
    /// use session_core::CollectionKey;
    /// let key = CollectionKey::<String>::from_name(format!("notes_{}", 1));
    /// assert_eq!(key.name(), "notes_1");
    /// ```
    #[must_use]
    pub fn from_name(name: impl Into<String>) -> CollectionKey<T> {
        CollectionKey { name: Cow::Owned(name.into()), items: PhantomData }
    }

    /// Returns the name of the key.
    ///
    /// ```
    /// assert_eq!(session_core::keys::GLOBAL_STEP.name(), "global_step");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T> Clone for CollectionKey<T> {
    fn clone(&self) -> Self {
        CollectionKey { name: self.name.clone(), items: PhantomData }
    }
}

impl<T> fmt::Debug for CollectionKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectionKey({})", self.name)
    }
}

/// An item with a name, by which collections can be filtered (S-21).
///
/// ```
/// use session_core::{Graph, Named};
/// let operation = Graph::new().undefined_op("NoOp").name("init").finish();
/// assert_eq!(Named::name(&operation), "init");
/// ```
pub trait Named {
    /// Returns the name in the graph.
    fn name(&self) -> String;
}

impl Named for Operation {
    fn name(&self) -> String {
        Operation::name(self).to_owned()
    }
}

impl Named for Output {
    fn name(&self) -> String {
        Output::name(self)
    }
}

impl Named for Variable {
    fn name(&self) -> String {
        Variable::name(self).to_owned()
    }
}

/// One item, whose type the key knows.
pub(crate) type Item = Arc<dyn Any + Send + Sync>;

/// The well-known keys of graph elements (S-23). Other crates declare the keys of their own types, such as
/// savers and queue runners.
pub mod keys {
    use super::{CollectionKey, Operation, Output, Variable};
    use crate::SavedTable;

    /// Variables that are saved in checkpoints and shared between processes.
    pub const VARIABLES: CollectionKey<Variable> = CollectionKey::new("variables");
    /// Variables of this process, which are initialized at each start and never saved.
    pub const LOCAL_VARIABLES: CollectionKey<Variable> = CollectionKey::new("local_variables");
    /// Variables that hold the state of metrics.
    pub const METRIC_VARIABLES: CollectionKey<Variable> = CollectionKey::new("metric_variables");
    /// Variables of the model itself.
    pub const MODEL_VARIABLES: CollectionKey<Variable> = CollectionKey::new("model_variables");
    /// Variables that optimizers train.
    pub const TRAINABLE_VARIABLES: CollectionKey<Variable> = CollectionKey::new("trainable_variables");
    /// Variables with a moving average.
    pub const MOVING_AVERAGE_VARIABLES: CollectionKey<Variable> =
        CollectionKey::new("moving_average_variables");
    /// Tables and similar objects that are saved along with the variables.
    pub const SAVEABLE_OBJECTS: CollectionKey<SavedTable> = CollectionKey::new("saveable_objects");
    /// Serialized summaries (string scalars).
    pub const SUMMARIES: CollectionKey<Output> = CollectionKey::new("summaries");
    /// Initializers of tables, which run with the local init op.
    pub const TABLE_INITIALIZERS: CollectionKey<Operation> = CollectionKey::new("table_initializer");
    /// The op that initializes the model.
    pub const INIT_OP: CollectionKey<Operation> = CollectionKey::new("init_op");
    /// The op that initializes process-local state.
    pub const LOCAL_INIT_OP: CollectionKey<Operation> = CollectionKey::new("local_init_op");
    /// The names of uninitialized variables. The model is ready if the list is empty.
    pub const READY_OP: CollectionKey<Output> = CollectionKey::new("ready_op");
    /// The names of variables that are not ready for the local init op.
    pub const READY_FOR_LOCAL_INIT_OP: CollectionKey<Output> = CollectionKey::new("ready_for_local_init_op");
    /// All summaries, merged into one string.
    pub const SUMMARY_OP: CollectionKey<Output> = CollectionKey::new("summary_op");
    /// The global step.
    pub const GLOBAL_STEP: CollectionKey<Variable> = CollectionKey::new("global_step");
    /// The read of the global step that hooks share.
    pub const GLOBAL_STEP_READ: CollectionKey<Output> = CollectionKey::new("global_step_read_op_cache");
    /// The step counter of an evaluation.
    pub const EVAL_STEP: CollectionKey<Variable> = CollectionKey::new("eval_step");
    /// The op that a training step runs.
    pub const TRAIN_OP: CollectionKey<Operation> = CollectionKey::new("train_op");
    /// Updates that belong to a training step, such as those of batch normalization.
    pub const UPDATE_OPS: CollectionKey<Operation> = CollectionKey::new("update_ops");
    /// Losses.
    pub const LOSSES: CollectionKey<Output> = CollectionKey::new("losses");
    /// Regularization losses.
    pub const REGULARIZATION_LOSSES: CollectionKey<Output> = CollectionKey::new("regularization_losses");
    /// Operations that a restored model runs before its checkpoint is read.
    pub const SAVED_MODEL_INITIALIZERS: CollectionKey<Operation> =
        CollectionKey::new("saved_model_initializers");
}
