//! Lookup tables as savers see them.

use crate::{Graph, Operation, Output};

/// A lookup table whose content is saved along with the variables: the operations that export and import it.
///
/// In checkpoints it consists of two tensors, `<name>-keys` and `<name>-values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTable {
    name: String,
    export: Operation,
    import: Operation,
}

impl SavedTable {
    /// Creates a table with a name. `export` produces the keys and values; `import` takes the table, the
    /// keys, and the values, the latter two of which can be fed. Returns `None` if the operations do not have
    /// two outputs and three inputs, or belong to different graphs.
    #[must_use]
    pub fn new(name: impl Into<String>, export: &Operation, import: &Operation) -> Option<SavedTable> {
        let one_graph = export.graph_id() == import.graph_id();
        let fits = one_graph && export.num_outputs() == 2 && import.num_inputs() == 3;
        fits.then(|| SavedTable { name: name.into(), export: export.clone(), import: import.clone() })
    }

    /// Returns the name in checkpoints, without the suffixes of the two tensors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the names of the two tensors in checkpoints: the keys and the values.
    #[must_use]
    pub fn tensor_names(&self) -> [String; 2] {
        ["keys", "values"].map(|part| format!("{}-{part}", self.name))
    }

    /// Returns the graph that the table belongs to.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.export.output(0).graph()
    }

    /// Returns the handle of the table.
    #[must_use]
    pub fn handle(&self) -> Output {
        self.import.input(0)
    }

    /// Returns the outputs for all keys and all values, which are consistent if fetched in one run.
    #[must_use]
    pub fn exported(&self) -> [Output; 2] {
        [self.export.output(0), self.export.output(1)]
    }

    /// Returns the operation that replaces the content by the values fed for [`imported`](SavedTable::imported).
    #[must_use]
    pub fn import(&self) -> &Operation {
        &self.import
    }

    /// Returns the outputs to feed for the import: keys and values.
    #[must_use]
    pub fn imported(&self) -> [Output; 2] {
        [self.import.input(1), self.import.input(2)]
    }
}
