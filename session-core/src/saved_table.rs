//! Lookup tables as savers know them.

use crate::{Graph, Operation, Output};

/// A lookup table whose content is saved with the variables: the operations that give and take all of it.
///
/// In checkpoints it is two tensors, `<name>-keys` and `<name>-values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTable {
    name: String,
    export: Operation,
    import: Operation,
}

impl SavedTable {
    /// A table under a name. `export` gives its keys and its values; `import` takes the table, keys and values, the latter
    /// two of which can be fed. `None` for operations that have not two outputs and three inputs, and for those of two
    /// graphs.
    #[must_use]
    pub fn new(name: impl Into<String>, export: &Operation, import: &Operation) -> Option<SavedTable> {
        let one_graph = export.graph_id() == import.graph_id();
        let fits = one_graph && export.num_outputs() == 2 && import.num_inputs() == 3;
        fits.then(|| SavedTable { name: name.into(), export: export.clone(), import: import.clone() })
    }

    /// The name in checkpoints, without what follows it there.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its tensors in checkpoints: of the keys and of the values.
    #[must_use]
    pub fn tensor_names(&self) -> [String; 2] {
        ["keys", "values"].map(|part| format!("{}-{part}", self.name))
    }

    /// The graph that it belongs to.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.export.output(0).graph()
    }

    /// Its handle.
    #[must_use]
    pub fn handle(&self) -> Output {
        self.import.input(0)
    }

    /// All keys and all values, as they are when they are fetched in one run.
    #[must_use]
    pub fn content(&self) -> [Output; 2] {
        [self.export.output(0), self.export.output(1)]
    }

    /// What replaces the content when it is run, by what is fed in the place of [`taken`](SavedTable::taken).
    #[must_use]
    pub fn import(&self) -> &Operation {
        &self.import
    }

    /// The tensors to feed to the import: keys and values.
    #[must_use]
    pub fn taken(&self) -> [Output; 2] {
        [self.import.input(1), self.import.input(2)]
    }
}
