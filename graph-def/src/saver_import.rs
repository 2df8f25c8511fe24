//! Import of savers: the values that their operations save, and the names of these values in checkpoints.
//!
//! A saver in a file is a set of operations. The import finds the `SaveV2` from which the tensor that the saver fetches depends, reads the names from its
//! constant inputs, and follows its other inputs to the variables that they read. Values that are neither variables nor tables are reported in
//! [`MetaGraph::not_saved`](crate::MetaGraph::not_saved).

use crate::Result;
use crate::import::Imported;
use crate::proto::SaverDef;
use checkpoint::{GraphSaver, SaverOptions};
use session_core::{Endpoint, Graph, Operation, Output, SavedTable, Variable, keys};
use std::collections::{HashMap, HashSet};
use tensor::text::escaped;

/// A saver of a file.
pub(crate) struct ImportedSaver {
    /// The saver's definition, with the names that its operations have in the graph.
    pub(crate) def: SaverDef,
    /// The saver; `None` if it saves no variables.
    pub(crate) saver: Option<GraphSaver>,
    /// The names of saved values that are not variables.
    pub(crate) not_saved: Vec<String>,
}

/// Creates a saver from a `SaverDef`: finds the variables that its operations save, and the names in checkpoints.
pub(crate) fn import_saver(
    graph: &Graph,
    imported: &Imported,
    def: &SaverDef,
    variables: &[Variable],
) -> Result<ImportedSaver> {
    let save = imported.output(&def.save_tensor_name)?;
    let restore = imported.operation(operation_name(&def.restore_op_name))?;
    let items = items_saved_by(save.operation());
    let tables = tables(&items, restore);
    let of_tables: HashSet<String> = tables.iter().flat_map(SavedTable::tensor_names).collect();
    let (saved, mut not_saved) = split(&items, variables);
    not_saved.retain(|name| !of_tables.contains(name));
    let located = SaverDef {
        filename_tensor_name: imported.output(&def.filename_tensor_name)?.name(),
        save_tensor_name: save.name(),
        restore_op_name: restore.name().to_owned(),
        ..def.clone()
    };
    if !not_saved.is_empty() {
        log::warn!(
            "the saver '{}' saves values that are neither variables nor tables; they are skipped: {not_saved:?}",
            escaped(&located.save_tensor_name)
        );
    }
    let options = options(def);
    // A saver of everything is imported as such, so that it also saves variables that the program adds
    // afterward.
    let saver = if is_all(graph, &saved) {
        let listed = graph.collection(&keys::SAVEABLE_OBJECTS);
        for table in tables.into_iter().filter(|table| !listed.contains(table)) {
            graph.add_to_collection(&keys::SAVEABLE_OBJECTS, table)?;
        }
        Some(GraphSaver::new(options))
    } else if saved.is_empty() && tables.is_empty() {
        None
    } else {
        Some(GraphSaver::of_parts(saved, tables, options)?)
    };
    Ok(ImportedSaver { def: located, saver, not_saved })
}

/// Returns the name of the operation in the name of a tensor.
fn operation_name(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(operation, _)| operation)
}

/// Returns the retention that a `SaverDef` states.
fn options(def: &SaverDef) -> SaverOptions {
    let options = SaverOptions::new().max_to_keep(usize::try_from(def.max_to_keep).unwrap_or(0));
    let hours = f64::from(def.keep_checkpoint_every_n_hours);
    if hours.is_finite() && hours > 0.0 { options.keep_checkpoint_every_n_hours(hours) } else { options }
}

/// Returns true if these are all global variables under their own names, so that later variables belong to the saver too.
fn is_all(graph: &Graph, saved: &[Variable]) -> bool {
    let all = graph.collection(&keys::VARIABLES);
    let saved: HashMap<Endpoint, &str> =
        saved.iter().map(|variable| (variable.handle().endpoint(), variable.name())).collect();
    all.len() == saved.len()
        && all.iter().all(|variable| saved.get(&variable.handle().endpoint()) == Some(&variable.name()))
}

/// Returns the names and values that the operations before this one save.
pub(crate) fn items_saved_by(save: &Operation) -> Vec<(String, Output)> {
    // A sharded saver has one save per device, all of them before the fetched tensor.
    let saves = nearest(save, &["SaveV2", "Save", "SaveSlices"]);
    saves.iter().flat_map(items_of).collect()
}

/// Returns the nearest operations of these types before this one.
fn nearest(last: &Operation, op_types: &[&str]) -> Vec<Operation> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([last.id()]);
    let mut waiting = vec![last.clone()];
    while let Some(operation) = waiting.pop() {
        if op_types.contains(&operation.op_type()) {
            found.push(operation);
            continue;
        }
        let before = operation.inputs().into_iter().map(|input| input.operation().clone());
        for next in before.chain(operation.control_inputs()) {
            if seen.insert(next.id()) {
                waiting.push(next);
            }
        }
    }
    found
}

/// The tables that are saved as keys and values. Dense tables are saved as their buckets in memory, which only TensorFlow's own
/// hash function can use.
const TABLES: [&str; 4] =
    ["MutableHashTableV2", "MutableHashTable", "MutableHashTableOfTensorsV2", "MutableHashTableOfTensors"];

/// Returns the lookup tables among the items: those whose keys and values are saved, and which the operation restores.
fn tables(items: &[(String, Output)], restore: &Operation) -> Vec<SavedTable> {
    let imports = nearest(restore, &["LookupTableImportV2", "LookupTableImport"]);
    let by_name: HashMap<&str, &Output> = items.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let table = |(name, keys): &(String, Output)| {
        let name = name.strip_suffix("-keys")?;
        let export = keys.operation();
        let is_export = matches!(export.op_type(), "LookupTableExportV2" | "LookupTableExport");
        let values = by_name.get(format!("{name}-values").as_str())?;
        if !is_export || keys.index() != 0 || values.operation() != export || values.index() != 1 {
            return None;
        }
        let handle = export.inputs().into_iter().next()?;
        if !TABLES.contains(&handle.operation().op_type()) {
            return None;
        }
        // A table that is saved but not restored would come back empty, so it is none of the saver's.
        let import = imports.iter().find(|import| import.inputs().first() == Some(&handle))?;
        SavedTable::new(name, export, import)
    };
    items.iter().filter_map(table).collect()
}

/// Returns the names and tensors of a save operation.
fn items_of(save: &Operation) -> Vec<(String, Output)> {
    let inputs = save.inputs();
    // The first inputs are the file's name, the tensors' names and, except for `Save`, their slices.
    let first = if save.op_type() == "Save" { 2 } else { 3 };
    // Names that are computed in the graph are unknown here. The saver then has no items, and all values are
    // reported as not saved.
    let names = inputs.get(1).and_then(Output::constant_value).and_then(|names| names.as_strings().ok());
    let names = names.unwrap_or_default().iter().map(|name| String::from_utf8_lossy(name).into_owned());
    names.zip(inputs.iter().skip(first).cloned()).collect()
}

/// Splits the items into variables, each with its name in checkpoints, and the names of everything else.
fn split(items: &[(String, Output)], variables: &[Variable]) -> (Vec<Variable>, Vec<String>) {
    let by_handle: HashMap<Endpoint, &Variable> =
        variables.iter().map(|variable| (variable.handle().endpoint(), variable)).collect();
    let (mut saved, mut others) = (Vec::new(), Vec::new());
    for (name, value) in items {
        match variable_behind(value, &by_handle) {
            // A part of a partitioned variable is saved under the name of the whole variable.
            Some(variable) if variable.slice().is_some_and(|slice| slice.full_name == *name) => {
                saved.push(variable.clone());
            }
            Some(variable) if variable.slice().is_none() => saved.push(variable.clone().saved_as(name)),
            _ => others.push(name.clone()),
        }
    }
    (saved, others)
}

/// Returns the variable that a value was read from.
fn variable_behind<'a>(value: &Output, by_handle: &HashMap<Endpoint, &'a Variable>) -> Option<&'a Variable> {
    let mut value = value.clone();
    loop {
        if let Some(variable) = by_handle.get(&value.endpoint()) {
            return Some(variable);
        }
        let operation = value.operation();
        // Only operations that pass a value on unchanged: behind any other, restoring the variable would not
        // restore the value.
        if !matches!(operation.op_type(), "Identity" | "ReadVariableOp") || operation.num_inputs() == 0 {
            return None;
        }
        value = operation.input(0);
    }
}
