//! The saver of a graph: its variables in a session, with all else that a resumed run needs.

use crate::saved_states::{TakenObjects, adopt_states, take_all};
use crate::{
    RestoreOptions, RestorePlan, RestoreReport, SAVED_OBJECTS, SaveOptions, SavedObject, Saver, SaverOptions,
    SessionVariables, sidecar,
};
use serde::{Deserialize, Serialize};
use session_core::{
    CollectionKey, Endpoint, Error, Graph, GraphMember, Phase, Result, SavedTable, Session, Variable, keys,
};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The savers of a graph; the default one of a scaffold is its single item (S-23, S-83).
pub const SAVERS: CollectionKey<GraphSaver> = CollectionKey::new("savers");

/// Saves the variables of a graph as they are in a session, together with the state of the session itself (such as
/// its random operations) and of the hooks, and restores all of it. A handle: clones share one [`Saver`].
///
/// Scaffolds hold one, hooks are given one.
#[derive(Clone, Debug)]
pub struct GraphSaver {
    saver: Arc<Saver>,
    /// `None` for all global variables and tables that the graph has at the time of a save or restore.
    chosen: Option<Arc<Chosen>>,
}

#[derive(Debug)]
struct Chosen {
    variables: Vec<Variable>,
    tables: Vec<SavedTable>,
    objects: Vec<SavedObject>,
}

/// The state that a checkpoint stores alongside the tensors: that of the session, of hooks, and of other
/// participants.
///
/// Written with the checkpoint's [session state](crate::sidecar).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// The global step at which it was saved, if the program has one.
    pub step: Option<i64>,
    /// The result of [`Session::export_state`].
    pub session: Vec<(String, Vec<u8>)>,
    /// The states of hooks, by the names under which they ran.
    pub hooks: Vec<(String, Vec<u8>)>,
}

impl SessionState {
    /// Returns the state that a hook saved.
    #[must_use]
    pub fn hook(&self, name: &str) -> Option<&[u8]> {
        self.hooks.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.as_slice())
    }
}

/// The result of a restore, and the state that was stored alongside the variables.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Restored {
    /// The checkpoint, the restored variables, the missing ones, and the checkpoints rejected before.
    pub report: RestoreReport,
    /// The state stored alongside the variables. Empty for a checkpoint of another program. The session has
    /// already imported its own part.
    pub state: SessionState,
}

impl GraphSaver {
    /// Creates a saver of all global variables, lookup tables ([`SAVEABLE_OBJECTS`](keys::SAVEABLE_OBJECTS)) and objects of the program
    /// ([`SAVED_OBJECTS`]) that the graph has whenever it saves or restores (S-274); having none is not an error
    /// (S-83, S-290). TensorFlow's default saver never learns of variables that are made later (S-86).
    #[must_use]
    pub fn new(options: SaverOptions) -> GraphSaver {
        GraphSaver { saver: Arc::new(Saver::new(options.allow_empty(true))), chosen: None }
    }

    /// Creates a saver of these variables.
    ///
    /// # Errors
    /// A value error for no variables, two of one key (S-276), one under two keys, and variables of several graphs.
    pub fn of(variables: Vec<Variable>, options: SaverOptions) -> Result<GraphSaver> {
        GraphSaver::of_parts(variables, Vec::new(), options)
    }

    /// Returns a saver of these variables and lookup tables. Those that go under other keys than their names are given as
    /// [`saved_as`](Variable::saved_as); parts of a partitioned variable too, all under the key of the whole.
    ///
    /// # Errors
    /// A value error if there is nothing to save, if two elements have one key or one element has two, and if elements
    /// belong to several graphs.
    pub fn of_parts(
        variables: Vec<Variable>,
        tables: Vec<SavedTable>,
        options: SaverOptions,
    ) -> Result<GraphSaver> {
        if variables.is_empty() && tables.is_empty() {
            return Err(Error::value("No variables to save"));
        }
        check_keys(&variables, &tables)?;
        let chosen = Some(Arc::new(Chosen { variables, tables, objects: Vec::new() }));
        Ok(GraphSaver { saver: Arc::new(Saver::new(options)), chosen })
    }

    /// Adds objects of the program to a saver of chosen variables. A saver of all variables has all objects of the graph
    /// already.
    #[must_use]
    pub fn with_objects(self, objects: impl IntoIterator<Item = SavedObject>) -> GraphSaver {
        let Some(chosen) = &self.chosen else { return self };
        let Chosen { variables, tables, objects: known } = &**chosen;
        let objects = known.iter().cloned().chain(objects).collect();
        let chosen = Chosen { variables: variables.clone(), tables: tables.clone(), objects };
        GraphSaver { saver: self.saver, chosen: Some(Arc::new(chosen)) }
    }

    /// Creates a saver of the same variables and tables with other options, and with a list of checkpoints of its own.
    #[must_use]
    pub fn with_options(&self, options: SaverOptions) -> GraphSaver {
        match &self.chosen {
            // Not through `chosen`: a saver of all variables must stay one of those that are made later, and
            // may have none.
            None => GraphSaver::new(options),
            chosen => GraphSaver { saver: Arc::new(Saver::new(options)), chosen: chosen.clone() },
        }
    }

    /// Returns the saver of files: limits, list of checkpoints, background work.
    #[must_use]
    pub fn saver(&self) -> &Saver {
        &self.saver
    }

    /// Returns the variables that it saves from a session of this graph.
    #[must_use]
    pub fn variables(&self, graph: &Graph) -> Vec<Variable> {
        match &self.chosen {
            Some(chosen) => chosen.variables.clone(),
            None => graph.collection(&keys::VARIABLES),
        }
    }

    /// Returns the lookup tables that it saves from a session of this graph.
    #[must_use]
    pub fn tables(&self, graph: &Graph) -> Vec<SavedTable> {
        match &self.chosen {
            Some(chosen) => chosen.tables.clone(),
            None => graph.collection(&keys::SAVEABLE_OBJECTS),
        }
    }

    /// Returns the objects of the program that it saves with a session of this graph.
    #[must_use]
    pub fn objects(&self, graph: &Graph) -> Vec<SavedObject> {
        match &self.chosen {
            Some(chosen) => chosen.objects.clone(),
            None => graph.collection(&SAVED_OBJECTS),
        }
    }

    fn live<'s>(&self, session: &'s dyn Session, phase: Phase) -> Result<SessionVariables<'s>> {
        let graph = session.graph();
        let live = SessionVariables::new(session, self.variables(graph)).with_tables(self.tables(graph));
        let live = live.with_objects(self.objects(graph));
        live.check().map_err(|error| error.with_phase(phase))?;
        Ok(live)
    }

    /// Saves, and returns the prefix written: `path`, or with a step `path-step`. Hooks save through
    /// [`save_with`](GraphSaver::save_with), which also keeps their states.
    ///
    /// # Errors
    /// As [`Saver::save`], with the phase and the cause; of the session when it cannot be read.
    pub fn save(&self, session: &dyn Session, path: impl AsRef<Path>, step: Option<i64>) -> Result<PathBuf> {
        self.save_with(session, path, step, Vec::new(), SaveOptions::new())
    }

    /// Saves with the states of hooks, by name. The options bring a meta graph, a metric and the like; their session
    /// state is replaced.
    ///
    /// # Errors
    /// As [`save`](GraphSaver::save).
    pub fn save_with(
        &self,
        session: &dyn Session,
        path: impl AsRef<Path>,
        step: Option<i64>,
        hooks: Vec<(String, Vec<u8>)>,
        options: SaveOptions,
    ) -> Result<PathBuf> {
        let (live, options) = self.taken(session, step, hooks, options)?;
        self.saver.save_with(&live, path, step, options).map_err(in_phase(Phase::Save))
    }

    /// Works as [`save_with`](GraphSaver::save_with), writing in the background: the state at the time of the call is saved.
    ///
    /// # Errors
    /// As [`Saver::save_in_background`].
    pub fn save_in_background(
        &self,
        session: &dyn Session,
        path: impl AsRef<Path>,
        step: Option<i64>,
        hooks: Vec<(String, Vec<u8>)>,
        options: SaveOptions,
    ) -> Result<PathBuf> {
        let (live, options) = self.taken(session, step, hooks, options)?;
        self.saver.save_in_background(&live, path, step, options).map_err(in_phase(Phase::Save))
    }

    /// Returns the sources of a save: the current objects of the program, and the states of all participants.
    fn taken<'s>(
        &self,
        session: &'s dyn Session,
        step: Option<i64>,
        hooks: Vec<(String, Vec<u8>)>,
        options: SaveOptions,
    ) -> Result<(SessionVariables<'s>, SaveOptions)> {
        let objects = self.objects(session.graph());
        if !objects.is_empty() {
            // The copies of an earlier save are given back before there are new ones.
            self.wait()?;
        }
        let TakenObjects { snapshots, states } = take_all(&objects).map_err(in_phase(Phase::Save))?;
        let options = with_state(session, step, hooks, states, options)?;
        Ok((self.live(session, Phase::Save)?.taken(snapshots), options))
    }

    /// Waits for the save in the background.
    ///
    /// # Errors
    /// When it failed.
    pub fn wait(&self) -> Result<()> {
        self.saver.wait().map_err(in_phase(Phase::Save))
    }

    /// Restores the variables and the state of the session from the checkpoint with this prefix (S-299). The
    /// variables need not be initialized.
    ///
    /// # Errors
    /// As [`Saver::restore_with`], with the phase and the cause; errors of the session when a value cannot be set.
    pub fn restore(
        &self,
        session: &dyn Session,
        prefix: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<Restored> {
        let mut live = self.live(session, Phase::Restore)?;
        let report = self.saver.restore_with(&mut live, prefix, options).map_err(in_phase(Phase::Restore))?;
        taken_over(session, live.objects(), report)
    }

    /// Plans a [`restore`](GraphSaver::restore) without performing it, for display. See [`RestorePlan`].
    ///
    /// # Errors
    /// As [`Saver::restore_plan`], with the phase and the cause.
    pub fn restore_plan(
        &self,
        session: &dyn Session,
        prefix: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<RestorePlan> {
        let live = self.live(session, Phase::Restore)?;
        self.saver.restore_plan(&live, prefix, options).map_err(in_phase(Phase::Restore))
    }

    /// Restores from the newest intact checkpoint of a folder; `None` when it has none (see [`Saver::restore_latest`]).
    ///
    /// # Errors
    /// As [`Saver::restore_latest`], with the phase and the cause; errors of the session when a value cannot be set.
    pub fn restore_latest(
        &self,
        session: &dyn Session,
        directory: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<Option<Restored>> {
        let mut live = self.live(session, Phase::Restore)?;
        let report =
            self.saver.restore_latest(&mut live, directory, options).map_err(in_phase(Phase::Restore))?;
        report.map(|report| taken_over(session, live.objects(), report)).transpose()
    }
}

/// A saver belongs to the graph of its variables; a saver of all variables belongs to every graph.
impl GraphMember for GraphSaver {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        let Some(chosen) = &self.chosen else { return Ok(()) };
        chosen.variables.as_slice().check_belongs_to(graph)?;
        chosen.tables.as_slice().check_belongs_to(graph)
    }
}

/// Checks that what is saved is of one graph, each under its own key and each under one key (S-276).
fn check_keys(variables: &[Variable], tables: &[SavedTable]) -> Result<()> {
    let graph = variables.first().map(Variable::graph).or_else(|| tables.first().map(SavedTable::graph));
    if let Some(graph) = graph {
        variables.check_belongs_to(&graph)?;
        tables.check_belongs_to(&graph)?;
    }
    let mut keys: HashMap<Endpoint, &str> = HashMap::new();
    let mut whole: HashSet<&str> = HashSet::new();
    let mut parts: HashMap<&str, (&[usize], HashSet<&[usize]>)> = HashMap::new();
    for variable in variables {
        let key = variable.key();
        if key.is_empty() {
            let name = variable.handle().operation().name();
            return Err(Error::value(format!(
                "the variable '{name}' would be saved without a name: give one to saved_as"
            )));
        }
        if let Some(other) = keys.insert(variable.handle().endpoint(), key) {
            let name = variable.handle().operation().name();
            return Err(Error::value(match other == key {
                true => format!("at least two variables have the same name: {key}"),
                false => {
                    format!("the variable '{name}' would be saved under two names: '{other}' and '{key}'")
                }
            }));
        }
        let clashes = match variable.slice() {
            None => !whole.insert(key) || parts.contains_key(key),
            Some(slice) => {
                let (shape, offsets) = parts.entry(key).or_insert((&slice.full_shape, HashSet::new()));
                whole.contains(key) || *shape != slice.full_shape || !offsets.insert(&slice.offset)
            }
        };
        if clashes {
            return Err(Error::value(format!("at least two variables have the same name: {key}")));
        }
    }
    for name in tables.iter().flat_map(SavedTable::tensor_names) {
        // Quadratic in the number of tables, of which a graph has few.
        let mut others = tables.iter().flat_map(SavedTable::tensor_names).filter(|other| *other == name);
        if others.nth(1).is_some() || whole.contains(name.as_str()) || parts.contains_key(name.as_str()) {
            return Err(Error::value(format!("at least two variables have the same name: {name}")));
        }
    }
    Ok(())
}

fn with_state(
    session: &dyn Session,
    step: Option<i64>,
    hooks: Vec<(String, Vec<u8>)>,
    objects: Vec<(String, Vec<u8>)>,
    options: SaveOptions,
) -> Result<SaveOptions> {
    // Private states of objects travel among those of the session, under keys that no operation can have. The
    // layout of the session state is thus the same with and without objects.
    let mut session = session.export_state().map_err(|error| error.with_phase(Phase::Save))?;
    session.extend(objects);
    let state = SessionState { step, session, hooks };
    Ok(options.session_state(sidecar::encode(&state).map_err(in_phase(Phase::Save))?))
}

fn taken_over(session: &dyn Session, objects: &[SavedObject], report: RestoreReport) -> Result<Restored> {
    let mut state = match &report.session_state {
        Some(bytes) => sidecar::decode::<SessionState>(bytes).map_err(in_phase(Phase::Restore))?,
        None => SessionState::default(),
    };
    // Before the import, because this takes the states of objects out of the list: they are none of the
    // session's.
    adopt_states(objects, &mut state.session, &report.restored).map_err(in_phase(Phase::Restore))?;
    session.import_state(&state.session).map_err(|error| error.with_phase(Phase::Restore))?;
    Ok(Restored { report, state })
}

fn in_phase(phase: Phase) -> impl Fn(crate::Error) -> Error {
    move |error| Error::from(error).with_phase(phase)
}
