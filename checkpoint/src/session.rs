//! The variables of a live session, to be saved and restored.

use crate::bundle::TensorSlice;
use crate::{Error, RestoreTarget, Result, SaveSource, SavedObject, Slice, Snapshot, VariableSpec};
use session_core::{
    Endpoint, GraphMember, OpId, Output, RunOptions, SavedTable, Session, SliceInfo, Step, Variable,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tensor::{Shape, Tensor};

/// Variables with the session that holds their values.
///
/// Saving is one run that reads all of them, so what is saved is the state between two steps. Restoring is
/// one run of all their initializers with the stored values fed in place of the initial ones (one more for
/// variables that share their initial value with others); they need not have been initialized before.
#[derive(Clone)]
pub struct SessionVariables<'s> {
    session: &'s dyn Session,
    variables: Vec<Variable>,
    tables: Vec<SavedTable>,
    objects: Vec<SavedObject>,
    /// The snapshots of the objects at the start of a save. The lock ensures that they are handed out once.
    taken: Arc<Mutex<Option<Vec<Snapshot>>>>,
}

impl std::fmt::Debug for SessionVariables<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.variables.iter().map(Variable::name);
        f.debug_struct("SessionVariables")
            .field("variables", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl<'s> SessionVariables<'s> {
    /// Creates the source and target of some variables of a session, usually all of the collection `variables` (S-274).
    pub fn new(
        session: &'s dyn Session,
        variables: impl IntoIterator<Item = Variable>,
    ) -> SessionVariables<'s> {
        let variables = variables.into_iter().collect();
        SessionVariables {
            session,
            variables,
            tables: Vec::new(),
            objects: Vec::new(),
            taken: Arc::default(),
        }
    }

    /// Adds lookup tables, each as two tensors: its keys and its values.
    #[must_use]
    pub fn with_tables(mut self, tables: impl IntoIterator<Item = SavedTable>) -> SessionVariables<'s> {
        self.tables.extend(tables);
        self
    }

    /// Adds objects of the program.
    #[must_use]
    pub fn with_objects(mut self, objects: impl IntoIterator<Item = SavedObject>) -> SessionVariables<'s> {
        self.objects.extend(objects);
        self
    }

    /// Sets the content that the objects had at the moment of the save.
    #[cfg(feature = "sidecar")]
    pub(crate) fn taken(mut self, snapshots: Vec<Snapshot>) -> SessionVariables<'s> {
        self.taken = Arc::new(Mutex::new(Some(snapshots)));
        self
    }

    #[cfg(feature = "sidecar")]
    pub(crate) fn objects(&self) -> &[SavedObject] {
        &self.objects
    }

    /// Returns the variables.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Checks that all of it belongs to the session's graph. Endpoints are numbers within a graph: those of another one
    /// would read and write other variables.
    pub(crate) fn check(&self) -> Result<(), session_core::Error> {
        let graph = self.session.graph();
        self.variables.as_slice().check_belongs_to(graph)?;
        self.tables.as_slice().check_belongs_to(graph)
    }

    fn step(
        &self,
        fetches: &[Endpoint],
        targets: &[OpId],
        feeds: &[(Endpoint, Tensor)],
    ) -> Result<Vec<Tensor>, session_core::Error> {
        if self.session.is_closed() {
            return Err(session_core::closed());
        }
        // Endpoints are passed as they are: a model may have 200,000 of them, each of them distinct.
        let options = RunOptions::default();
        self.session.execute(&Step { fetches, targets, feeds, options: &options }, None)
    }
}

impl SaveSource for SessionVariables<'_> {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.snapshot()?.tensors)
    }

    fn slices(&self) -> Result<Vec<(Slice, Tensor)>> {
        Ok(self.snapshot()?.slices)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = self.of_session()?;
        // Handed out once, so that the save is their only owner.
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let of_objects = match taken {
            Some(taken) => taken,
            None => self.objects.iter().map(|object| Ok(object.take()?.snapshot)).collect::<Result<_>>()?,
        };
        for Snapshot { tensors, slices } in of_objects {
            snapshot.tensors.extend(tensors);
            snapshot.slices.extend(slices);
        }
        Ok(snapshot)
    }
}

impl SessionVariables<'_> {
    /// Reads the session's part of a snapshot in one run.
    fn of_session(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        let fetches = self.variables.iter().map(|variable| variable.snapshot().endpoint());
        let content = self.tables.iter().flat_map(SavedTable::exported).map(|output| output.endpoint());
        let fetches: Vec<Endpoint> = fetches.chain(content).collect();
        if fetches.is_empty() {
            return Ok(snapshot);
        }
        self.check().map_err(|error| failed("read", error))?;
        let values = self.step(&fetches, &[], &[]).map_err(|error| failed("read", error))?;
        let mut values = values.into_iter();
        for (variable, value) in self.variables.iter().zip(values.by_ref()) {
            match variable.slice() {
                None => snapshot.tensors.push((variable.name().to_owned(), value)),
                Some(info) => {
                    let full_shape = Shape::from(info.full_shape.clone());
                    let slice = Slice { name: info.full_name.clone(), full_shape, part: part(info) };
                    snapshot.slices.push((slice, value));
                }
            }
        }
        snapshot.tensors.extend(self.tables.iter().flat_map(SavedTable::tensor_names).zip(values));
        Ok(snapshot)
    }
}

/// Parts are given with explicit extents, as TensorFlow's partitioned variables are (formats: the key of
/// a slice depends on it).
fn part(info: &SliceInfo) -> TensorSlice {
    let extents = info.offset.iter().zip(&info.shape);
    TensorSlice::new(extents.map(|(&start, &length)| (start as u64, Some(length as u64))))
}

/// A variable of a graph, under its name in checkpoints.
impl From<&Variable> for VariableSpec {
    fn from(variable: &Variable) -> VariableSpec {
        let spec = VariableSpec::new(variable.name(), variable.dtype(), variable.shape().to_shape());
        match variable.slice() {
            Some(info) => spec.part_of(&info.full_name, info.full_shape.clone().into(), part(info)),
            None => spec,
        }
    }
}

impl RestoreTarget for SessionVariables<'_> {
    fn variables(&self) -> Vec<VariableSpec> {
        let part = |(name, output): (String, Output)| VariableSpec::new(name, output.dtype(), None);
        let tables =
            self.tables.iter().flat_map(|table| table.tensor_names().into_iter().zip(table.exported()));
        let objects = self.objects.iter().flat_map(SavedObject::variables);
        self.variables.iter().map(VariableSpec::from).chain(tables.map(part)).chain(objects).collect()
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> {
        self.check().map_err(|error| failed("assign", error))?;
        let variables: HashMap<&str, &Variable> =
            self.variables.iter().map(|variable| (variable.name(), variable)).collect();
        // Variables that begin with one and the same tensor cannot be fed different values in one run.
        let mut seen: HashMap<Endpoint, usize> = HashMap::new();
        let mut runs: Vec<(Vec<OpId>, Vec<(Endpoint, Tensor)>)> = Vec::new();
        let mut tables = TableContents::new(&self.tables);
        let mut objects = ObjectContents::new(&self.objects);
        for (name, value) in values {
            let Some(variable) = variables.get(name.as_str()) else {
                let Some(value) = tables.take(&name, value) else { continue };
                let Some((name, _)) = objects.take(name, value) else { continue };
                return Err(Error::Invalid(format!("the session has no variable {name:?}")));
            };
            // A shape of which only some sizes are known could not be compared before.
            if !variable.shape().is_compatible_with(value.shape().dims()) {
                let (expected, found) = (variable.shape(), value.shape());
                return Err(Error::Invalid(format!(
                    "variable {name:?} of shape {expected} is stored as {found}"
                )));
            }
            let initial = variable.initial_value().endpoint();
            let before = seen.entry(initial).or_insert(0);
            if *before == runs.len() {
                runs.push(Default::default());
            }
            let (targets, feeds) = &mut runs[*before];
            targets.push(variable.initializer().id());
            feeds.push((initial, value));
            *before += 1;
        }
        runs.extend(tables.imports()?);
        // Objects come last, because a session can refuse a value and they cannot be set back.
        for (targets, feeds) in &runs {
            self.step(&[], targets, feeds).map_err(|error| failed("assign", error))?;
        }
        objects.assign()
    }
}

/// The contents of objects, as far as they have been read.
struct ObjectContents<'o> {
    /// For each tensor, the object that it belongs to.
    owners: HashMap<String, usize>,
    objects: &'o [SavedObject],
    read: Vec<Vec<(String, Tensor)>>,
}

impl<'o> ObjectContents<'o> {
    fn new(objects: &'o [SavedObject]) -> ObjectContents<'o> {
        let names = objects.iter().enumerate();
        let names = names
            .flat_map(|(index, object)| object.variables().into_iter().map(move |part| (part.name, index)));
        ObjectContents { owners: names.collect(), objects, read: vec![Vec::new(); objects.len()] }
    }

    /// Takes a tensor, or returns it if it belongs to none of the objects.
    fn take(&mut self, name: String, value: Tensor) -> Option<(String, Tensor)> {
        match self.owners.get(&name) {
            Some(&index) => {
                self.read[index].push((name, value));
                None
            }
            None => Some((name, value)),
        }
    }

    fn assign(self) -> Result<()> {
        let read = self.objects.iter().zip(self.read).filter(|(_, values)| !values.is_empty());
        read.into_iter().try_for_each(|(object, values)| object.assign(values, None))
    }
}

/// The contents of tables, as far as they have been read.
struct TableContents<'t> {
    /// For each name of a part, the table and which of the two it is.
    parts: HashMap<String, (usize, usize)>,
    tables: &'t [SavedTable],
    read: Vec<[Option<Tensor>; 2]>,
}

impl<'t> TableContents<'t> {
    fn new(tables: &'t [SavedTable]) -> TableContents<'t> {
        let names = tables.iter().map(SavedTable::tensor_names).enumerate();
        let parts = names.flat_map(|(table, [keys, values])| [(keys, (table, 0)), (values, (table, 1))]);
        TableContents { parts: parts.collect(), tables, read: vec![[None, None]; tables.len()] }
    }

    /// Takes a part of a table, or returns the value if the name is not that of a part.
    fn take(&mut self, name: &str, value: Tensor) -> Option<Tensor> {
        let Some(&(table, part)) = self.parts.get(name) else { return Some(value) };
        self.read[table][part] = Some(value);
        None
    }

    /// Returns a run for each table that was read, because two of them may be fed through one operation.
    fn imports(self) -> Result<Vec<(Vec<OpId>, Vec<(Endpoint, Tensor)>)>> {
        let mut runs = Vec::new();
        for (table, read) in self.tables.iter().zip(self.read) {
            match read {
                [Some(keys), Some(values)] => {
                    let taken = table.imported().map(|output| output.endpoint());
                    runs.push((vec![table.import().id()], taken.into_iter().zip([keys, values]).collect()));
                }
                [None, None] => {}
                _ => {
                    let text = format!("of table {:?} only one of keys and values is restored", table.name());
                    return Err(Error::Invalid(text));
                }
            }
        }
        Ok(runs)
    }
}

pub(crate) fn failed(operation: &'static str, error: session_core::Error) -> Error {
    Error::Variables { operation, code: error.code(), source: Box::new(error) }
}

/// Lets `?` convert the error in the implementation of a [`SaveSource`] or [`RestoreTarget`] that runs a session.
impl From<session_core::Error> for Error {
    fn from(error: session_core::Error) -> Error {
        failed("use", error)
    }
}

/// An error of a session that passed through a saver is returned unchanged, with the saver's action as its context, so
/// it is still known whether it is recoverable.
impl From<Error> for session_core::Error {
    fn from(error: Error) -> session_core::Error {
        let message = error.to_string();
        if let Error::Variables { source, .. } = error {
            return match source.downcast::<session_core::Error>() {
                Ok(inner) => inner.context(message),
                Err(other) => session_core::Error::other(other).context(message),
            };
        }
        session_core::Error::new(error.code(), message).with_source(error)
    }
}
