//! Variables as the graph knows them.

use crate::{DType, Graph, Operation, Output, PartialShape};

/// A variable: the operations that stand for it in the graph. Its value lives in a session.
///
/// Used as an operand or fetched, it is its value: the [`snapshot`](Variable::snapshot).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    name: String,
    parts: VariableParts,
}

/// The graph elements of a variable, named as in TensorFlow's `VariableDef`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableParts {
    /// The resource handle, or the reference of a reference variable.
    pub handle: Output,
    /// Assigns the initial value.
    pub initializer: Operation,
    /// The initial value, which can be fed: running the initialiser then sets the variable to any value.
    pub initial_value: Output,
    /// A read of the value.
    pub snapshot: Output,
    /// Whether optimizers train it.
    pub trainable: bool,
    /// Which part of a partitioned variable it is.
    pub slice: Option<SliceInfo>,
}

/// The place of a part in a partitioned variable. All lists have one item per dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SliceInfo {
    /// The name under which the whole is saved.
    pub full_name: String,
    /// The shape of the whole.
    pub full_shape: Vec<usize>,
    /// Where the part begins.
    pub offset: Vec<usize>,
    /// The shape of the part.
    pub shape: Vec<usize>,
}

impl SliceInfo {
    /// Returns the place as checkpoints and the operations that save write it: `5 3 0,3:0,3`, the shape of the whole, and
    /// for each dimension where the part begins and how long it is.
    #[must_use]
    pub fn spec(&self) -> String {
        let sizes = self.full_shape.iter().map(|size| format!("{size} ")).collect::<String>();
        let extents = self.offset.iter().zip(&self.shape);
        let extents: Vec<String> = extents.map(|(start, length)| format!("{start},{length}")).collect();
        format!("{sizes}{}", extents.join(":"))
    }
}

impl Variable {
    /// A variable of these parts. Its name, under which it is saved, is that of the handle's operation.
    #[must_use]
    pub fn new(parts: VariableParts) -> Variable {
        Variable { name: parts.handle.operation().name().to_owned(), parts }
    }

    /// The name, without `:0`; the key in checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same variable under another key in checkpoints: for savers whose names are not the graph's. A part of a
    /// partitioned variable becomes the same part of a variable that is saved under this key.
    #[must_use]
    pub fn saved_as(mut self, key: impl Into<String>) -> Variable {
        match &mut self.parts.slice {
            Some(slice) => slice.full_name = key.into(),
            None => self.name = key.into(),
        }
        self
    }

    /// The key under which it is saved: its name, or that of the whole for a part of a partitioned variable.
    #[must_use]
    pub fn key(&self) -> &str {
        self.parts.slice.as_ref().map_or(&self.name, |slice| &slice.full_name)
    }

    /// The same variable, carrying another handle's scope, device and control inputs: what is built on it goes there.
    #[must_use]
    pub fn within(&self, graph: &Graph) -> Variable {
        let mut variable = self.clone();
        variable.parts.handle = variable.parts.handle.within(graph);
        variable.parts.snapshot = variable.parts.snapshot.within(graph);
        variable
    }

    /// The graph it belongs to.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.parts.handle.graph()
    }

    /// The resource handle, or the reference of a reference variable.
    #[must_use]
    pub fn handle(&self) -> &Output {
        &self.parts.handle
    }

    /// The operation that assigns the initial value.
    #[must_use]
    pub fn initializer(&self) -> &Operation {
        &self.parts.initializer
    }

    /// The initial value. Feeding it and running the initialiser sets the variable.
    #[must_use]
    pub fn initial_value(&self) -> &Output {
        &self.parts.initial_value
    }

    /// A read of the value.
    #[must_use]
    pub fn snapshot(&self) -> &Output {
        &self.parts.snapshot
    }

    /// Whether optimizers train it.
    #[must_use]
    pub fn is_trainable(&self) -> bool {
        self.parts.trainable
    }

    /// Whether it is a resource variable; otherwise it is a reference variable.
    #[must_use]
    pub fn is_resource(&self) -> bool {
        self.parts.handle.dtype() == DType::Resource
    }

    /// Its place in a partitioned variable, if it is a part.
    #[must_use]
    pub fn slice(&self) -> Option<&SliceInfo> {
        self.parts.slice.as_ref()
    }

    /// The dtype of its value.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.parts.snapshot.dtype()
    }

    /// What is known of its value's shape.
    #[must_use]
    pub fn shape(&self) -> &PartialShape {
        self.parts.snapshot.shape()
    }
}
