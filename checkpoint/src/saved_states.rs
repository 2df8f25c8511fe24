//! The saved objects of a graph's saver: tensors and private states, read at one moment.

use crate::saved_object::Taken;
use crate::{Result, SavedObject, Snapshot};
use std::collections::HashSet;
use tensor::text::escaped;

/// Begins the key of an object's private state among the states of a session. No operation's name has a colon.
const STATE_KEY: &str = "saved_object:";

/// The objects of a graph as they were in the moment of a save.
#[derive(Debug, Default)]
pub(crate) struct TakenObjects {
    pub(crate) snapshots: Vec<Snapshot>,
    /// Private states, by their keys among those of the session.
    pub(crate) states: Vec<(String, Vec<u8>)>,
}

/// Reads all objects.
pub(crate) fn take_all(objects: &[SavedObject]) -> Result<TakenObjects> {
    let mut all = TakenObjects::default();
    for object in objects {
        let Taken { snapshot, state } = object.take()?;
        all.snapshots.push(snapshot);
        all.states.extend(state.map(|state| (format!("{STATE_KEY}{}", object.name()), state)));
    }
    Ok(all)
}

/// Takes the private states of objects out of those of a session, and gives each to its object if that had a part in the
/// restore: one of its tensors, or none of its own.
pub(crate) fn adopt_states(
    objects: &[SavedObject],
    states: &mut Vec<(String, Vec<u8>)>,
    restored: &[String],
) -> Result<()> {
    let kept: Vec<(String, Vec<u8>)> = states.extract_if(.., |(key, _)| key.starts_with(STATE_KEY)).collect();
    let restored: HashSet<&str> = restored.iter().map(String::as_str).collect();
    for object in objects.iter().filter(|object| object.has_state()) {
        let names = object.variables();
        if !names.is_empty() && !names.iter().any(|variable| restored.contains(variable.name.as_str())) {
            continue;
        }
        match kept.iter().find(|(key, _)| key.strip_prefix(STATE_KEY) == Some(object.name())) {
            Some((_, state)) => object.assign(Vec::new(), Some(state))?,
            None => {
                log::warn!(
                    "the checkpoint has no private state of saved object '{}', which restarts: it was saved by another \
                     program, or converted",
                    escaped(object.name())
                );
                object.reset_state()?;
            }
        }
    }
    Ok(())
}
