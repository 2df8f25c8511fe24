//! The pieces of a scaffold before it is settled.

use crate::Scaffold;
use checkpoint::{GraphSaver, SavedObject};
use session_core::{Operation, Output, Result, Session, Tensor};
use std::fmt;
use std::sync::Arc;

/// A user's function that initializes a model (S-73).
pub(crate) type InitFn = Arc<dyn Fn(&Scaffold, &dyn Session) -> Result<()> + Send + Sync>;

/// The pieces of a scaffold, as given or as settled (S-70, S-71).
///
/// ```
/// use scaffold::Scaffold;
/// let builder = Scaffold::builder();
/// assert!(builder.pieces().saver().is_none() && !builder.pieces().has_init_fn());
/// ```
#[derive(Clone, Default)]
pub struct Pieces {
    pub(crate) init_op: Option<Operation>,
    pub(crate) init_feed: Vec<(Output, Tensor)>,
    pub(crate) init_fn: Option<InitFn>,
    pub(crate) ready_op: Option<Output>,
    pub(crate) ready_for_local_init_op: Option<Output>,
    pub(crate) local_init_op: Option<Operation>,
    pub(crate) local_init_feed: Vec<(Output, Tensor)>,
    pub(crate) summary_op: Option<Output>,
    pub(crate) saver: Option<GraphSaver>,
    pub(crate) saved_objects: Vec<SavedObject>,
}

impl Pieces {
    /// Returns the operation that initializes the model.
    #[must_use]
    pub fn init_op(&self) -> Option<&Operation> {
        self.init_op.as_ref()
    }

    /// Returns the feeds of the init op.
    #[must_use]
    pub fn init_feed(&self) -> &[(Output, Tensor)] {
        &self.init_feed
    }

    /// Returns true if there is an init function.
    #[must_use]
    pub fn has_init_fn(&self) -> bool {
        self.init_fn.is_some()
    }

    /// Returns the output that lists the names of the variables that are not ready.
    #[must_use]
    pub fn ready_op(&self) -> Option<&Output> {
        self.ready_op.as_ref()
    }

    /// Returns the output that lists the names of the variables that the local init op needs.
    #[must_use]
    pub fn ready_for_local_init_op(&self) -> Option<&Output> {
        self.ready_for_local_init_op.as_ref()
    }

    /// Returns the operation that initializes process-local state.
    #[must_use]
    pub fn local_init_op(&self) -> Option<&Operation> {
        self.local_init_op.as_ref()
    }

    /// Returns the feeds of the local init op.
    #[must_use]
    pub fn local_init_feed(&self) -> &[(Output, Tensor)] {
        &self.local_init_feed
    }

    /// Returns the output that evaluates all summaries.
    #[must_use]
    pub fn summary_op(&self) -> Option<&Output> {
        self.summary_op.as_ref()
    }

    /// Returns the saver that saves and restores the model.
    #[must_use]
    pub fn saver(&self) -> Option<&GraphSaver> {
        self.saver.as_ref()
    }

    /// Returns the objects of the program that are saved with the model.
    #[must_use]
    pub fn saved_objects(&self) -> &[SavedObject] {
        &self.saved_objects
    }

    /// Copies missing pieces from another scaffold (S-74).
    pub(crate) fn fill_from(&mut self, other: &Pieces) {
        fn fill<T: Clone>(place: &mut Option<T>, other: &Option<T>) {
            if place.is_none() {
                place.clone_from(other);
            }
        }
        fill(&mut self.init_op, &other.init_op);
        fill(&mut self.init_fn, &other.init_fn);
        fill(&mut self.ready_op, &other.ready_op);
        fill(&mut self.ready_for_local_init_op, &other.ready_for_local_init_op);
        fill(&mut self.local_init_op, &other.local_init_op);
        fill(&mut self.summary_op, &other.summary_op);
        fill(&mut self.saver, &other.saver);
        for object in &other.saved_objects {
            if !self.saved_objects.iter().any(|known| known.is_same(object)) {
                self.saved_objects.push(object.clone());
            }
        }
        // Feeds belong together, so all are taken or none.
        if self.init_feed.is_empty() {
            self.init_feed.clone_from(&other.init_feed);
        }
        if self.local_init_feed.is_empty() {
            self.local_init_feed.clone_from(&other.local_init_feed);
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("init_op", &self.init_op)
            .field("init_fn", &self.has_init_fn())
            .field("ready_op", &self.ready_op)
            .field("ready_for_local_init_op", &self.ready_for_local_init_op)
            .field("local_init_op", &self.local_init_op)
            .field("summary_op", &self.summary_op)
            .field("saver", &self.saver.is_some())
            .finish_non_exhaustive()
    }
}
