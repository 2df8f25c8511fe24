//! Lookup tables.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use session_core::OpDef;

const TEXT_FILE: &str =
    "key_index: int, value_index: int, vocab_size: int = -1, delimiter: string = \"\t\", offset: int = 0";

op_defs! {
    HASH_TABLE_V2: OpDef::new("HashTableV2", "-> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type"#).stateful().not_differentiable();
    MUTABLE_HASH_TABLE_V2: OpDef::new("MutableHashTableV2", "-> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type"#).stateful().not_differentiable();
    MUTABLE_DENSE_HASH_TABLE_V2: OpDef::new("MutableDenseHashTableV2", "empty_key: key_dtype, deleted_key: key_dtype -> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type, value_shape: shape = [], initial_num_buckets: int = 131072, max_load_factor: float = 0.800000011920929"#).stateful().not_differentiable();
    MUTABLE_HASH_TABLE_OF_TENSORS_V2: OpDef::new("MutableHashTableOfTensorsV2", "-> table_handle: resource")
        .attrs(r#"container: string = "", shared_name: string = "", use_node_name_sharing: bool = false, key_dtype: type, value_dtype: type, value_shape: shape = []"#).stateful().not_differentiable();
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
    LOOKUP_TABLE_INSERT: OpDef::new("LookupTableInsert", "table_handle: Ref(string), keys: Tin, values: Tout ->")
        .attrs("Tin: type, Tout: type").not_differentiable();
    LOOKUP_TABLE_EXPORT: OpDef::new("LookupTableExport", "table_handle: Ref(string) -> keys: Tkeys, values: Tvalues")
        .attrs("Tkeys: type, Tvalues: type").not_differentiable();
    LOOKUP_TABLE_IMPORT: OpDef::new("LookupTableImport", "table_handle: Ref(string), keys: Tin, values: Tout ->")
        .attrs("Tin: type, Tout: type").not_differentiable();
}
