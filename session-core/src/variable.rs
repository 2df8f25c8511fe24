//! Variables.

use crate::{DType, Error, Graph, GraphMember, Operation, Output, PartialShape};
use std::sync::{Arc, OnceLock};

/// A variable: the operations that represent it in the graph. Its value belongs to a session.
///
/// As an operand or a fetch, it stands for its value: the [`snapshot`](Variable::snapshot).
///
/// ```
/// use session_core::Graph;
/// let graph = Graph::new();
/// # use session_core::{DType, OutputInfo, PartialShape};
/// # let graph = session_core::Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
/// # let handle = part("w");
/// # let parts = session_core::VariableParts {
/// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
/// #     trainable: true, slice: None, handle,
/// # };
/// # let w = session_core::Variable::new(parts);
/// assert_eq!(w.name(), "w");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Shared, because savers and collections hand out lists of all variables.
    inner: Arc<Inner>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    name: String,
    parts: VariableParts,
    /// The initializer that replaced the first one, shared by all clones and by the variants under another key or scope.
    replaced: Arc<Replaced>,
}

/// A chain of initializers, each of which replaced the one before it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Replaced(OnceLock<Replacement>);

#[derive(Debug, PartialEq, Eq)]
struct Replacement {
    initializer: Operation,
    initial_value: Output,
    next: Box<Replaced>,
}

impl Replaced {
    /// Returns the end of the chain and the last replacement.
    fn last(&self) -> (&Replaced, Option<&Replacement>) {
        let (mut end, mut last) = (self, None);
        while let Some(replacement) = end.0.get() {
            (end, last) = (&replacement.next, Some(replacement));
        }
        (end, last)
    }
}

/// The graph elements of a variable, named as in TensorFlow's `VariableDef`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableParts {
    /// The resource handle, or the reference of a reference variable.
    pub handle: Output,
    /// The operation that assigns the initial value.
    pub initializer: Operation,
    /// The initial value, which can be fed: running the initializer then sets the variable to any value.
    pub initial_value: Output,
    /// A read of the value.
    pub snapshot: Output,
    /// True if optimizers train the variable.
    pub trainable: bool,
    /// The slice that this is of a partitioned variable.
    pub slice: Option<SliceInfo>,
}

/// The position of a slice in a partitioned variable. Each list has one item per dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SliceInfo {
    /// The name under which the whole variable is saved.
    pub full_name: String,
    /// The shape of the whole variable.
    pub full_shape: Vec<usize>,
    /// The start of the slice.
    pub offset: Vec<usize>,
    /// The shape of the slice.
    pub shape: Vec<usize>,
}

impl SliceInfo {
    /// Returns the position in the notation of checkpoints and save operations, such as `5 3 0,3:0,3`: the
    /// shape of the whole, then the start and length of the slice in each dimension.
    ///
    /// ```
    /// use session_core::SliceInfo;
    /// let slice = SliceInfo {
    ///     full_name: "table".to_owned(),
    ///     full_shape: vec![5, 3],
    ///     offset: vec![0, 0],
    ///     shape: vec![3, 3],
    /// };
    /// assert_eq!(slice.spec(), "5 3 0,3:0,3");
    /// ```
    #[must_use]
    pub fn spec(&self) -> String {
        let sizes = self.full_shape.iter().map(|size| format!("{size} ")).collect::<String>();
        let extents = self.offset.iter().zip(&self.shape);
        let extents: Vec<String> = extents.map(|(start, length)| format!("{start},{length}")).collect();
        format!("{sizes}{}", extents.join(":"))
    }
}

impl Variable {
    /// Creates a variable from its parts. Its name, under which it is saved, is that of the handle's
    /// operation.
    #[must_use]
    pub fn new(parts: VariableParts) -> Variable {
        // Taken now: `saved_as` changes the name of the copy while the operation keeps its own.
        let name = parts.handle.operation().name().to_owned();
        Variable { inner: Arc::new(Inner { name, parts, replaced: Arc::default() }) }
    }

    /// Returns the name, without `:0`: the key in checkpoints.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert_eq!(w.name(), "w");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Returns the variable with another key in checkpoints, for savers whose names differ from those of the
    /// graph. A slice of a partitioned variable becomes the same slice of a variable saved under this key.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert_eq!(w.saved_as("encoder/w").key(), "encoder/w");
    /// ```
    #[must_use]
    pub fn saved_as(mut self, key: impl Into<String>) -> Variable {
        // All slices of a partitioned variable share one key, so the whole is renamed.
        let inner = Arc::make_mut(&mut self.inner);
        match &mut inner.parts.slice {
            Some(slice) => slice.full_name = key.into(),
            None => inner.name = key.into(),
        }
        self
    }

    /// Returns the key under which the variable is saved: its name, or that of the whole for a slice of a
    /// partitioned variable.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert_eq!(w.key(), "w");
    /// ```
    #[must_use]
    pub fn key(&self) -> &str {
        self.inner.parts.slice.as_ref().map_or(&self.inner.name, |slice| &slice.full_name)
    }

    /// Returns the variable with the scope, device, and control inputs of another handle, which operations
    /// built on it then use.
    #[must_use]
    pub fn within(&self, graph: &Graph) -> Variable {
        let mut variable = self.clone();
        let parts = &mut Arc::make_mut(&mut variable.inner).parts;
        // Initializer and initial value stay outside: they are shared by all sessions and depend on no scope.
        parts.handle = parts.handle.within(graph);
        parts.snapshot = parts.snapshot.within(graph);
        variable
    }

    /// Returns the graph that the variable belongs to.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.inner.parts.handle.graph()
    }

    /// Returns the resource handle, or the reference of a reference variable.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert_eq!(w.handle().name(), "w:0");
    /// ```
    #[must_use]
    pub fn handle(&self) -> &Output {
        &self.inner.parts.handle
    }

    /// Returns the operation that assigns the initial value.
    #[must_use]
    pub fn initializer(&self) -> &Operation {
        self.inner.replaced.last().1.map_or(&self.inner.parts.initializer, |last| &last.initializer)
    }

    /// Replaces the initializer and the initial value of this variable and of all its clones, such as those in the graph's
    /// collections: so the values of a checkpoint become initial values.
    ///
    /// Elements of another graph are recorded as a build error of both graphs; the variable then has no initializer.
    #[track_caller]
    pub fn replace_initializer(&self, initializer: &Operation, initial_value: &Output) {
        let graph = self.graph();
        let operations = [initializer, initial_value.operation()];
        let foreign = operations.into_iter().find_map(|of| Some((of, of.check_belongs_to(&graph).err()?)));
        let (initializer, initial_value) = match foreign {
            None => (initializer.clone(), initial_value.clone()),
            Some((operation, error)) => {
                let error =
                    Error::value(format!("the initializer of '{}': {}", self.inner.name, error.message()));
                if operation.error().is_none() {
                    graph.add_error_of_both(&operation.graph(), error.clone());
                }
                // The variable keeps an initializer that carries the error, because a missing one would be
                // reported as uninitialized much later.
                let invalid = graph.invalid_output(operation.name(), self.dtype(), error);
                (invalid.operation().clone(), invalid)
            }
        };
        let mut replacement = Replacement { initializer, initial_value, next: Box::default() };
        // Another thread may have replaced it in between; the later one counts.
        while let Err(again) = self.inner.replaced.last().0.0.set(replacement) {
            replacement = again;
        }
    }

    /// Returns the initial value. Feeding it and running the initializer sets the variable.
    #[must_use]
    pub fn initial_value(&self) -> &Output {
        self.inner.replaced.last().1.map_or(&self.inner.parts.initial_value, |last| &last.initial_value)
    }

    /// Returns a read of the value.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert_eq!(w.snapshot().name(), "read:0");
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> &Output {
        &self.inner.parts.snapshot
    }

    /// Returns true if optimizers train the variable.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert!(w.is_trainable());
    /// ```
    #[must_use]
    pub fn is_trainable(&self) -> bool {
        self.inner.parts.trainable
    }

    /// Returns true for a resource variable, and false for a reference variable.
    #[must_use]
    pub fn is_resource(&self) -> bool {
        self.inner.parts.handle.dtype() == DType::Resource
    }

    /// Returns the position in a partitioned variable, if this is a slice of one.
    #[must_use]
    pub fn slice(&self) -> Option<&SliceInfo> {
        self.inner.parts.slice.as_ref()
    }

    /// Returns the dtype of the value.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert_eq!(w.dtype(), DType::Float32);
    /// ```
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.inner.parts.snapshot.dtype()
    }

    /// Returns the known shape of the value.
    ///
    /// ```
    /// # use session_core::{DType, OutputInfo, PartialShape};
    /// # let graph = session_core::Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let part = |name: &str| graph.undefined_op("Part").name(name).described_output(info.clone()).finish_output();
    /// # let handle = part("w");
    /// # let parts = session_core::VariableParts {
    /// #     initializer: handle.operation().clone(), initial_value: part("initial"), snapshot: part("read"),
    /// #     trainable: true, slice: None, handle,
    /// # };
    /// # let w = session_core::Variable::new(parts);
    /// assert_eq!(w.shape().rank(), Some(0));
    /// ```
    #[must_use]
    pub fn shape(&self) -> &PartialShape {
        self.inner.parts.snapshot.shape()
    }
}
