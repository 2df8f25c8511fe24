//! The objects of the program that are saved with the model.

use checkpoint::{GraphSaver, SAVED_OBJECTS, SavedObject};
use session_core::{Error, Graph, Result, SavedTable, Variable, keys};
use std::collections::HashSet;

/// Adds objects to the graph's collection, but for those that are in it.
pub(crate) fn add(graph: &Graph, objects: &[SavedObject]) -> Result<()> {
    let mut known = graph.collection(&SAVED_OBJECTS);
    for object in objects {
        if !known.iter().any(|known| known.is_same(object)) {
            graph.add_to_collection(&SAVED_OBJECTS, object.clone())?;
            known.push(object.clone());
        }
    }
    check_names(graph, &known)
}

/// Checks that each tensor has its own name, which a save would only find out later.
fn check_names(graph: &Graph, objects: &[SavedObject]) -> Result<()> {
    let mut names = HashSet::new();
    if let Some(object) = objects.iter().find(|object| !names.insert(object.name().to_owned())) {
        return Err(Error::value(format!("there are two saved objects '{}'", object.name())));
    }
    // Most graphs have no objects, and need no table of the names.
    if objects.is_empty() {
        return Ok(());
    }
    let variables = graph.collection(&keys::VARIABLES);
    let tables = graph.collection(&keys::SAVEABLE_OBJECTS);
    let mut taken: HashSet<String> =
        variables.iter().map(|variable: &Variable| variable.key().to_owned()).collect();
    taken.extend(tables.iter().flat_map(SavedTable::tensor_names));
    for object in objects {
        if let Some(name) = object.tensor_names().into_iter().find(|name| !taken.insert(name.clone())) {
            let text = format!(
                "saved object '{}' has a tensor '{name}', and so does a variable or another object: choose another name \
                 for the object",
                object.name()
            );
            return Err(Error::value(text));
        }
    }
    Ok(())
}

/// The objects that sessions of a graph begin with.
pub(crate) struct Beginning {
    objects: Vec<SavedObject>,
    /// True if an earlier session may have changed them.
    again: bool,
}

impl Beginning {
    /// Remembers what the objects of the graph and of its saver are, if this is the first session.
    pub(crate) fn of(graph: &Graph, saver: Option<&GraphSaver>) -> Result<Beginning> {
        let mut objects = graph.collection(&SAVED_OBJECTS);
        for object in saver.iter().flat_map(|saver| saver.objects(graph)) {
            if !objects.iter().any(|known| known.is_same(&object)) {
                objects.push(object);
            }
        }
        let mut again = false;
        for object in &objects {
            // Not `any`, which would stop before all objects have remembered.
            again |= !object.remember_initial()?;
        }
        Ok(Beginning { objects, again })
    }

    /// Sets the objects to what the first session began with, where nothing is restored: all, or what a checkpoint lacks.
    pub(crate) fn reset(&self, only: Option<&HashSet<&str>>) -> Result<()> {
        let objects = self.objects.iter().filter(|_| self.again);
        Ok(objects.into_iter().try_for_each(|object| object.reset(only))?)
    }
}
