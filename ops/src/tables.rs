//! Lookup tables.
//!
//! A [`MutableHashTable`] grows while the program runs, and is saved and restored with the model. Other tables have op definitions, so that
//! imported graphs run, but no constructors.

use crate::array::{constant, placeholder};
use crate::global_step::record_error;
use crate::library::op_defs;
use crate::shapes::scalar;
use session_core::{
    AsOutput, DType, Error, Graph, OpDef, Operation, Output, PartialShape, SavedTable, Tensor, keys,
};
use std::panic::Location;

const TEXT_FILE: &str = "key_index: int >= -2, value_index: int >= -2, vocab_size: int >= -1 = -1, delimiter: string = \"\t\", offset: int = 0";

op_defs! {
    HASH_TABLE_V2: OpDef::new("HashTableV2", "-> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type"#).stateful().not_differentiable();
    MUTABLE_HASH_TABLE_V2: OpDef::new("MutableHashTableV2", "-> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type"#).stateful().not_differentiable();
    MUTABLE_DENSE_HASH_TABLE_V2: OpDef::new("MutableDenseHashTableV2", "empty_key: key_dtype, deleted_key: key_dtype -> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type, value_shape: shape = [], initial_num_buckets: int = 131072, max_load_factor: float = 0.800000011920929"#).stateful().not_differentiable();
    MUTABLE_HASH_TABLE_OF_TENSORS_V2: OpDef::new("MutableHashTableOfTensorsV2", "-> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type, value_shape: shape = []"#).stateful().not_differentiable();
    ANONYMOUS_HASH_TABLE: OpDef::new("AnonymousHashTable", "-> table_handle: resource")
        .attrs("key_dtype: type, value_dtype: type").stateful().shape(scalar).not_differentiable();
    ANONYMOUS_MUTABLE_HASH_TABLE: OpDef::new("AnonymousMutableHashTable", "-> table_handle: resource")
        .attrs("key_dtype: type, value_dtype: type").stateful().shape(scalar).not_differentiable();
    ANONYMOUS_MUTABLE_HASH_TABLE_OF_TENSORS: OpDef::new("AnonymousMutableHashTableOfTensors", "-> table_handle: resource")
        .attrs("key_dtype: type, value_dtype: type, value_shape: shape = []").stateful().shape(scalar).not_differentiable();
    ANONYMOUS_MUTABLE_DENSE_HASH_TABLE: OpDef::new("AnonymousMutableDenseHashTable", "empty_key: key_dtype, deleted_key: key_dtype -> table_handle: resource")
        .attrs("key_dtype: type, value_dtype: type, value_shape: shape = [], initial_num_buckets: int = 131072, max_load_factor: float = 0.800000011920929")
        .stateful().shape(scalar).not_differentiable();
    INITIALIZE_TABLE_V2: OpDef::new("InitializeTableV2", "table_handle: resource, keys: Tkey, values: Tval ->")
        .attrs("Tkey: type, Tval: type").stateful().not_differentiable();
    INITIALIZE_TABLE_FROM_TEXT_FILE_V2: OpDef::new("InitializeTableFromTextFileV2", "table_handle: resource, filename: string ->")
        .attrs(TEXT_FILE).stateful().not_differentiable();
    LOOKUP_TABLE_FIND_V2: OpDef::new("LookupTableFindV2", "table_handle: resource, keys: Tin, default_value: Tout -> values: Tout")
        .attrs("Tin: type, Tout: type").stateful().not_differentiable();
    LOOKUP_TABLE_INSERT_V2: OpDef::new("LookupTableInsertV2", "table_handle: resource, keys: Tin, values: Tout ->")
        .attrs("Tin: type, Tout: type").stateful().not_differentiable();
    LOOKUP_TABLE_REMOVE_V2: OpDef::new("LookupTableRemoveV2", "table_handle: resource, keys: Tin ->")
        .attrs("Tin: type").stateful().not_differentiable();
    LOOKUP_TABLE_SIZE_V2: OpDef::new("LookupTableSizeV2", "table_handle: resource -> size: int64").stateful().not_differentiable();
    LOOKUP_TABLE_EXPORT_V2: OpDef::new("LookupTableExportV2", "table_handle: resource -> keys: Tkeys, values: Tvalues")
        .attrs("Tkeys: type, Tvalues: type").stateful().not_differentiable();
    LOOKUP_TABLE_IMPORT_V2: OpDef::new("LookupTableImportV2", "table_handle: resource, keys: Tin, values: Tout ->")
        .attrs("Tin: type, Tout: type").stateful().not_differentiable();
    HASH_TABLE: OpDef::new("HashTable", "-> table_handle: Ref(string)")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type"#).stateful().not_differentiable();
    INITIALIZE_TABLE: OpDef::new("InitializeTable", "table_handle: Ref(string), keys: Tkey, values: Tval ->")
        .attrs("Tkey: type, Tval: type").not_differentiable();
    INITIALIZE_TABLE_FROM_TEXT_FILE: OpDef::new("InitializeTableFromTextFile", "table_handle: Ref(string), filename: string ->")
        .attrs(TEXT_FILE).not_differentiable();
    LOOKUP_TABLE_FIND: OpDef::new("LookupTableFind", "table_handle: Ref(string), keys: Tin, default_value: Tout -> values: Tout")
        .attrs("Tin: type, Tout: type").not_differentiable();
    LOOKUP_TABLE_SIZE: OpDef::new("LookupTableSize", "table_handle: Ref(string) -> size: int64").not_differentiable();
    MUTABLE_HASH_TABLE: OpDef::new("MutableHashTable", "-> table_handle: Ref(string)")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type"#).stateful().not_differentiable();
    MUTABLE_HASH_TABLE_OF_TENSORS: OpDef::new("MutableHashTableOfTensors", "-> table_handle: Ref(string)")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type, value_shape: shape = []"#).stateful().not_differentiable();
    LOOKUP_TABLE_INSERT: OpDef::new("LookupTableInsert", "table_handle: Ref(string), keys: Tin, values: Tout ->")
        .attrs("Tin: type, Tout: type").not_differentiable();
    LOOKUP_TABLE_EXPORT: OpDef::new("LookupTableExport", "table_handle: Ref(string) -> keys: Tkeys, values: Tvalues")
        .attrs("Tkeys: type, Tvalues: type").not_differentiable();
    LOOKUP_TABLE_IMPORT: OpDef::new("LookupTableImport", "table_handle: Ref(string), keys: Tin, values: Tout ->")
        .attrs("Tin: type, Tout: type").not_differentiable();
}

/// A table from keys to values, changed by operations, and saved with the variables: under its name, as `<name>-keys` and
/// `<name>-values` (S-274), which `MutableHashTable` of TensorFlow restores.
///
/// ```
/// use ops::tables::MutableHashTable;
/// use ops::array::constant;
/// use session_core::{DType, Graph};
///
/// let graph = Graph::new();
/// let counts = MutableHashTable::new(&graph.named("counts"), DType::String, -1i64);
/// let words = constant(&graph, vec!["a", "b"]);
/// let insert = counts.insert(&words, constant(&graph, vec![1i64, 2]));
/// let found = counts.find(&words);
/// assert_eq!((found.dtype(), counts.name()), (DType::Int64, "counts"));
/// # let _ = insert;
/// graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MutableHashTable {
    handle: Output,
    key_dtype: DType,
    default_value: Output,
    content: [Output; 2],
}

impl MutableHashTable {
    /// Creates an empty table. Keys that it does not contain have the default value, which also determines the dtype and shape of all values.
    ///
    /// # Errors
    /// Recorded in the graph: a key dtype that tables do not support.
    #[must_use]
    #[track_caller]
    pub fn new(graph: &Graph, key_dtype: DType, default_value: impl Into<Tensor>) -> MutableHashTable {
        let default_value = default_value.into();
        let (dtype, shape) = (default_value.dtype(), PartialShape::from(default_value.shape()));
        // TensorFlow has one operation for scalar values and another for values of a shape.
        let single = default_value.shape().rank() == 0;
        let def = if single { &MUTABLE_HASH_TABLE_V2 } else { &MUTABLE_HASH_TABLE_OF_TENSORS_V2 };
        let mut builder = graph.op(def).default_name("MutableHashTable");
        builder = builder.attr("key_dtype", key_dtype).attr("value_dtype", dtype);
        if !single {
            builder = builder.attr("value_shape", shape);
        }
        // The session finds the table by the name of its operation.
        let handle = builder.attr("use_node_name_sharing", true).finish_output();
        let scope = graph.scope(&format!("{}/", handle.operation().name()));
        let default_value = constant(&scope.named("default_value"), default_value);
        // Built with the table, since a finalized graph accepts no operations when a saver needs them.
        let export = scope.op(&LOOKUP_TABLE_EXPORT_V2).name("export").input(&handle);
        let export = export.attr("Tkeys", key_dtype).attr("Tvalues", dtype).finish();
        let keys = placeholder(&scope.named("import_keys"), key_dtype, PartialShape::unknown());
        let values = placeholder(&scope.named("import_values"), dtype, PartialShape::unknown());
        let import =
            scope.op(&LOOKUP_TABLE_IMPORT_V2).name("import").input(&handle).input(keys).input(values);
        let import = import.finish();
        if let Some(saved) = SavedTable::new(handle.operation().name(), &export, &import)
            && let Err(error) = graph.add_to_collection(&keys::SAVEABLE_OBJECTS, saved)
        {
            record_error(graph, error, Location::caller());
        }
        let content = [export.output(0), export.output(1)];
        MutableHashTable { handle, key_dtype, default_value, content }
    }

    /// Returns the name of the table, which is also its name in checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.operation().name()
    }

    /// Returns the handle of the table, an input of every operation on it.
    #[must_use]
    pub fn handle(&self) -> &Output {
        &self.handle
    }

    /// Returns the keys, and records an error for keys of another dtype.
    #[track_caller]
    fn keys(&self, keys: impl AsOutput) -> Output {
        let keys = keys.as_output().clone();
        if keys.dtype() != self.key_dtype && keys.operation().error().is_none() {
            let text =
                format!("keys of table '{}' are {}, not {}", self.name(), self.key_dtype, keys.dtype());
            record_error(&self.handle.graph(), Error::type_mismatch(text), Location::caller());
        }
        keys
    }

    /// Returns the values of these keys; the default value for those that the table does not hold.
    ///
    /// ```
    /// # use ops::{array::constant, tables::MutableHashTable};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let counts = MutableHashTable::new(&graph.named("counts"), DType::Int64, 0i64);
    /// let found = counts.find(constant(&graph, [3i64, 5])); // 0 for keys that were never inserted
    /// assert_eq!(found.dtype(), DType::Int64);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn find(&self, keys: impl AsOutput) -> Output {
        let keys = self.keys(keys);
        let builder = keys.graph().op(&LOOKUP_TABLE_FIND_V2).default_name("find");
        builder.input(&self.handle).input(&keys).input(&self.default_value).finish_output()
    }

    /// Inserts values under keys. Existing values are replaced.
    ///
    /// ```
    /// # use ops::{array::constant, tables::MutableHashTable};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let counts = MutableHashTable::new(&graph.named("counts"), DType::Int64, 0i64);
    /// let insert = counts.insert(constant(&graph, [3i64]), constant(&graph, [7i64]));
    /// # let _ = insert;
    /// ```
    #[track_caller]
    pub fn insert(&self, keys: impl AsOutput, values: impl AsOutput) -> Operation {
        let keys = self.keys(keys);
        let builder = keys.graph().op(&LOOKUP_TABLE_INSERT_V2).default_name("insert");
        builder.input(&self.handle).input(&keys).input(values).finish()
    }

    /// Removes keys. Keys that the table does not hold are ignored.
    ///
    /// ```
    /// # use ops::{array::constant, tables::MutableHashTable};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let counts = MutableHashTable::new(&graph.named("counts"), DType::Int64, 0i64);
    /// let remove = counts.remove(constant(&graph, [3i64]));
    /// # let _ = remove;
    /// ```
    #[track_caller]
    pub fn remove(&self, keys: impl AsOutput) -> Operation {
        let keys = self.keys(keys);
        let builder = keys.graph().op(&LOOKUP_TABLE_REMOVE_V2).default_name("remove");
        builder.input(&self.handle).input(&keys).finish()
    }

    /// Returns the number of keys.
    ///
    /// ```
    /// # use ops::{array::constant, tables::MutableHashTable};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let counts = MutableHashTable::new(&graph.named("counts"), DType::Int64, 0i64);
    /// assert_eq!(counts.size().dtype(), DType::Int64);
    /// # let _ = constant(&graph, 0);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn size(&self) -> Output {
        let graph = self.handle.graph();
        graph.op(&LOOKUP_TABLE_SIZE_V2).default_name("size").input(&self.handle).finish_output()
    }

    /// Returns all keys and all values. Their order is unspecified, but the same for both if they are fetched in one run.
    #[must_use]
    pub fn export(&self) -> &[Output; 2] {
        &self.content
    }
}
