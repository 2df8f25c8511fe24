//! Restoring variables, all or none.

use super::plan::{PlannedVariable, RestorePlan};
use super::similar;
use super::source::{RestoreTarget, VariableSpec};
use crate::bundle::ReadOptions;
use crate::listing::found_in;
use crate::reader::{ATTEMPTS, unless_replaced};
use crate::storage::Storage;
use crate::{CheckpointReader, Error, Result, object_graph, sidecar, state};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::text::escaped;
use tensor::{Bytes, DType, Tensor};

type Filter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Options for restoring variables.
///
/// ```
/// use checkpoint::RestoreOptions;
/// let options = RestoreOptions::new().allow_missing(true).rename("encoder/w", "w");
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use]
pub struct RestoreOptions {
    missing: bool,
    unexpected: bool,
    reshape: bool,
    names: BTreeMap<String, String>,
    only: Option<Filter>,
    verify: bool,
    map: bool,
    threads: usize,
    fallback: bool,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        RestoreOptions {
            missing: false,
            unexpected: true,
            reshape: false,
            names: BTreeMap::new(),
            only: None,
            verify: true,
            map: false,
            threads: 0,
            fallback: true,
        }
    }
}

impl fmt::Debug for RestoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOptions")
            .field("missing", &self.missing)
            .field("unexpected", &self.unexpected)
            .field("reshape", &self.reshape)
            .field("names", &self.names)
            .field("only", &self.only.is_some())
            .field("verify", &self.verify)
            .field("map", &self.map)
            .field("threads", &self.threads)
            .field("fallback", &self.fallback)
            .finish()
    }
}

impl RestoreOptions {
    /// Returns the defaults, which each setter states.
    pub fn new() -> RestoreOptions {
        RestoreOptions::default()
    }

    /// Sets whether variables that the checkpoint lacks keep their values. Default: `false`, an error.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{RestoreOptions, Saver};
    /// let prefix = Saver::default().save(&model, &path, None)?;
    /// model.insert("b".to_string(), tensor::Tensor::scalar(0.0f32));
    /// assert!(Saver::default().restore(&mut model, &prefix).is_err());
    /// let options = RestoreOptions::new().allow_missing(true);
    /// assert!(Saver::default().restore_with(&mut model, &prefix, &options).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.missing = allow;
        self
    }

    /// Sets whether tensors that no variable wants are ignored. Default: `true` (S-303).
    pub fn allow_unexpected(mut self, allow: bool) -> Self {
        self.unexpected = allow;
        self
    }

    /// Sets whether a tensor of another shape with as many elements is accepted (S-279). Default: `false`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{RestoreOptions, Saver};
    /// let prefix = Saver::default().save(&model, &path, None)?;
    /// model.insert("w".to_string(), tensor::Tensor::from([[0.0f32], [0.0]]));
    /// Saver::default().restore_with(&mut model, &prefix, &RestoreOptions::new().reshape(true))?;
    /// assert_eq!(model["w"], tensor::Tensor::from([[1.0f32], [2.0]]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reshape(mut self, reshape: bool) -> Self {
        self.reshape = reshape;
        self
    }

    /// Restores a variable from a tensor of another name. Maps the keys of variables
    /// ([`VariableSpec::key`]) to names in the checkpoint.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{RestoreOptions, Saver};
    /// use std::collections::BTreeMap;
    /// let prefix = Saver::default().save(&model, &path, None)?;
    /// let mut other = BTreeMap::from([("encoder/w".to_string(), tensor::Tensor::from([0.0f32, 0.0]))]);
    /// Saver::default().restore_with(&mut other, &prefix, &RestoreOptions::new().rename("encoder/w", "w"))?;
    /// assert_eq!(other["encoder/w"], model["w"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rename(mut self, key: impl Into<String>, stored: impl Into<String>) -> Self {
        self.names.insert(key.into(), stored.into());
        self
    }

    /// Restores only variables whose name passes. Tensors of the others do not count as unexpected.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{RestoreOptions, Saver};
    /// let prefix = Saver::default().save(&model, &path, None)?;
    /// let options = RestoreOptions::new().only(|name| name.starts_with("encoder/"));
    /// let report = Saver::default().restore_with(&mut model, &prefix, &options)?;
    /// assert!(report.restored.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn only(mut self, filter: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.only = Some(Arc::new(filter));
        self
    }

    /// Sets whether checksums are compared. Default: `true`.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Sets whether tensors may show the mapped file, see [`ReadOptions::map`]. Default: `false`.
    pub fn map(mut self, map: bool) -> Self {
        self.map = map;
        self
    }

    /// Sets the number of threads that read, see [`ReadOptions::threads`]. Default: 0, up to four.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets whether [`restore_latest`](crate::Saver::restore_latest) continues to older checkpoints when the
    /// newest is damaged. Default: `true`.
    pub fn fallback(mut self, fallback: bool) -> Self {
        self.fallback = fallback;
        self
    }

    fn reading(&self, storage: &Arc<dyn Storage>) -> ReadOptions {
        let options = ReadOptions::new().storage(Arc::clone(storage));
        options.verify(self.verify).map(self.map).threads(self.threads)
    }
}

/// The result of a restore.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// let saver = checkpoint::Saver::default();
/// let prefix = saver.save(&model, &path, None)?;
/// let report = saver.restore(&mut model, &prefix)?;
/// assert_eq!(report.restored, ["w"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The checkpoint that was restored.
    pub prefix: PathBuf,
    /// Names of the variables that were set.
    pub restored: Vec<String>,
    /// Names of the variables that the checkpoint lacks; they keep their values.
    pub missing: Vec<String>,
    /// Names of tensors in the checkpoint that no variable wanted.
    pub unexpected: Vec<String>,
    /// Names of the variables whose tensors were stored with another shape.
    pub reshaped: Vec<String>,
    /// The session state saved with the checkpoint.
    pub session_state: Option<Bytes>,
    /// Checkpoints that were tried before and rejected, newest first, each with the reason.
    pub rejected: Vec<(PathBuf, Error)>,
}

/// Restores from one checkpoint.
pub(super) fn restore(
    storage: &Arc<dyn Storage>,
    target: &mut dyn RestoreTarget,
    prefix: &Path,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let (report, values) = read(storage, target, prefix, options)?;
    log::info!("restoring parameters from {}", escaped(prefix.display()));
    target.assign(values)?;
    Ok(report)
}

/// Plans a restore.
pub(super) fn planned(
    storage: &Arc<dyn Storage>,
    target: &dyn RestoreTarget,
    prefix: &Path,
    options: &RestoreOptions,
) -> Result<RestorePlan> {
    let reader = CheckpointReader::open_prefix(prefix, options.reading(storage))?;
    let variables = target.variables();
    let plan = plan(&reader, &variables, options).map_err(|error| mismatch(prefix, error))?;
    let rows = plan.whole.iter().chain(&plan.parts).map(|(variable, key)| {
        let info = reader.info(key)?;
        let shape = variable.shape.clone().unwrap_or_else(|| info.shape.clone());
        let differs = variable.slice.is_none() && shape != info.shape;
        let stored_shape = differs.then_some(info.shape);
        let (name, stored_as) = (variable.name.clone(), key.clone());
        Ok(PlannedVariable { name, stored_as, dtype: info.dtype, shape, stored_shape })
    });
    let variables = rows.collect::<Result<_>>()?;
    let RestoreReport { missing, unexpected, .. } = plan.report;
    Ok(RestorePlan { prefix: prefix.to_path_buf(), variables, missing, unexpected })
}

/// Restores from the newest intact checkpoint of a folder.
pub(super) fn latest(
    storage: &Arc<dyn Storage>,
    state_file: &str,
    target: &mut dyn RestoreTarget,
    directory: &Path,
    options: &RestoreOptions,
) -> Result<Option<RestoreReport>> {
    let list = || candidates(storage.as_ref(), state_file, directory, options.fallback);
    let mut to_try = list()?;
    let mut attempt = 1;
    loop {
        let rejected = match first_intact(storage, target, &to_try, options)? {
            Found::Restored(report) => return Ok(Some(report)),
            Found::None(rejected) => rejected,
        };
        let now = list()?;
        // A saver at work deletes old checkpoints: perhaps there are newer ones by now.
        if now != to_try && attempt < ATTEMPTS {
            to_try = now;
            attempt += 1;
        } else if rejected.is_empty() {
            return Ok(None);
        } else {
            return Err(Error::NoneIntact { directory: directory.to_path_buf(), rejected });
        }
    }
}

enum Found {
    Restored(RestoreReport),
    /// No checkpoint; those that are damaged are listed.
    None(Vec<(PathBuf, Error)>),
}

fn first_intact(
    storage: &Arc<dyn Storage>,
    target: &mut dyn RestoreTarget,
    candidates: &[Candidate],
    options: &RestoreOptions,
) -> Result<Found> {
    let mut rejected = Vec::new();
    for Candidate { prefix, listed } in candidates {
        match read(storage, target, prefix, options) {
            Ok((mut report, values)) => {
                log::info!("restoring parameters from {}", escaped(prefix.display()));
                target.assign(values)?;
                report.rejected = rejected;
                return Ok(Found::Restored(report));
            }
            Err(error) if options.fallback && error.is_damage() => {
                log::warn!("checkpoint {} is rejected: {error}", escaped(prefix.display()));
                rejected.push((prefix.clone(), error));
            }
            Err(error @ Error::RestoreMismatch { .. })
                if !listed && !is_related(storage, target, prefix, options) =>
            {
                log::warn!("{} is passed over, it is of another model: {error}", escaped(prefix.display()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Found::None(rejected))
}

/// Returns true if a checkpoint has any of the variables as they are wanted. Counters such as the global step do
/// not count: every model has them.
fn is_related(
    storage: &Arc<dyn Storage>,
    target: &dyn RestoreTarget,
    prefix: &Path,
    options: &RestoreOptions,
) -> bool {
    // In doubt it is related, and the caller gets the error instead of a silent step to an older checkpoint.
    let Ok(reader) = CheckpointReader::open_prefix(prefix, options.reading(storage)) else { return true };
    target.variables().iter().any(|variable| {
        let key = options.names.get(&variable.key).unwrap_or(&variable.key);
        let is_counter = matches!(variable.dtype, DType::Int32 | DType::Int64)
            && variable.shape.as_ref().is_some_and(|shape| shape.rank() == 0);
        !is_counter && reader.has_tensor(key) && check(&reader, variable, key, options.reshape).is_ok()
    })
}

/// A checkpoint that may be restored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    prefix: PathBuf,
    /// True if the state file names it.
    listed: bool,
}

/// Prefixes to try, best first: those of the state file from new to old, then others that lie there, the
/// highest step first.
pub(super) fn candidates(
    storage: &dyn Storage,
    state_file: &str,
    directory: &Path,
    fallback: bool,
) -> Result<Vec<Candidate>> {
    let state = state::get_checkpoint_state_with(storage, directory, Some(state_file))?;
    let listed = state.map(|state| {
        let newest = std::iter::once(state.model_checkpoint_path);
        // The newest one is usually the last of the list, too; the copy is dropped below.
        newest.chain(state.all_model_checkpoint_paths.into_iter().rev()).map(PathBuf::from)
    });
    let listed = listed.into_iter().flatten().map(|prefix| Candidate { prefix, listed: true });
    let mut found: Vec<Candidate> = listed.collect();
    if !fallback {
        found.truncate(1);
        return Ok(found);
    }
    let others = found_in(storage, directory)?.into_iter().rev();
    found.extend(others.map(|found| Candidate { prefix: found.prefix, listed: false }));
    let mut seen = HashSet::new();
    found.retain(|candidate| seen.insert(candidate.prefix.clone()));
    Ok(found)
}

/// Reads and checks everything that the target wants, all of it from one and the same save.
fn read(
    storage: &Arc<dyn Storage>,
    target: &dyn RestoreTarget,
    prefix: &Path,
    options: &RestoreOptions,
) -> Result<(RestoreReport, Vec<(String, Tensor)>)> {
    unless_replaced(|| read_once(storage, target, prefix, options))
}

fn read_once(
    storage: &Arc<dyn Storage>,
    target: &dyn RestoreTarget,
    prefix: &Path,
    options: &RestoreOptions,
) -> Result<(RestoreReport, Vec<(String, Tensor)>)> {
    let reader = CheckpointReader::open_prefix(prefix, options.reading(storage))?;
    let variables = target.variables();
    let plan = plan(&reader, &variables, options).map_err(|error| mismatch(prefix, error))?;
    let mut report = plan.report;
    report.prefix = prefix.to_path_buf();
    let keys: Vec<&str> = plan.whole.iter().map(|(_, key)| key.as_ref()).collect();
    let mut values = Vec::with_capacity(keys.len() + plan.parts.len());
    for ((variable, _), tensor) in plan.whole.iter().zip(reader.read_many(&keys)?) {
        let tensor = shaped(variable, tensor, &mut report).map_err(|error| mismatch(prefix, error))?;
        values.push((variable.name.clone(), tensor));
    }
    for (variable, key) in plan.parts {
        if let Some((_, part)) = &variable.slice {
            let tensor = reader.read_slice(&key, part)?;
            let tensor = shaped(variable, tensor, &mut report).map_err(|error| mismatch(prefix, error))?;
            values.push((variable.name.clone(), tensor));
        }
    }
    report.restored = values.iter().map(|(name, _)| name.clone()).collect();
    // Read last, so that a save which replaced the files in between is noticed here as well.
    report.session_state = match sidecar::of_reader(storage.as_ref(), &reader) {
        // That of the save that was opened may have made way for that of a later one.
        Ok(None) if reader.is_replaced() => return Err(Error::Replaced { path: prefix.to_path_buf() }),
        Err(error) if error.is_damage() && reader.is_replaced() => {
            return Err(Error::Replaced { path: prefix.to_path_buf() });
        }
        other => other?,
    };
    Ok((report, values))
}

fn mismatch(prefix: &Path, error: Error) -> Error {
    match error {
        Error::TensorMissing { .. }
        | Error::TensorUnexpected { .. }
        | Error::DTypeMismatch { .. }
        | Error::ShapeMismatch { .. } => {
            let help = help(&error).to_owned();
            Error::RestoreMismatch { path: prefix.to_path_buf(), help, source: Box::new(error) }
        }
        other => other,
    }
}

/// Returns the options that let a restore pass over this.
fn help(error: &Error) -> &'static str {
    match error {
        Error::TensorUnexpected { .. } => "; allow_unexpected(true) leaves them in the file",
        Error::ShapeMismatch { expected, found, .. } if expected.elements() == found.elements() => {
            "; reshape(true) takes as many elements in another shape"
        }
        Error::ShapeMismatch { .. } | Error::DTypeMismatch { .. } => {
            "; only(..) leaves the variable out, rename(..) takes another tensor for it"
        }
        _ => "",
    }
}

/// The variables to read, with the names under which they are stored.
struct Plan<'v> {
    whole: Vec<(&'v VariableSpec, String)>,
    parts: Vec<(&'v VariableSpec, String)>,
    report: RestoreReport,
}

fn plan<'v>(
    reader: &CheckpointReader,
    variables: &'v [VariableSpec],
    options: &RestoreOptions,
) -> Result<Plan<'v>> {
    let mut plan = Plan { whole: Vec::new(), parts: Vec::new(), report: RestoreReport::default() };
    let mut wanted = HashSet::new();
    let mut object_names: Option<HashMap<String, String>> = None;
    for variable in variables {
        let mut key = options.names.get(&variable.key).unwrap_or(&variable.key).clone();
        if !reader.has_tensor(&key) {
            // A file of TensorFlow 2 has other keys and a map from the usual names to them (S-303).
            let names = match &object_names {
                Some(names) => names,
                None => object_names.insert(object_graph::names(reader)?),
            };
            if let Some(name) = names.get(&key) {
                key.clone_from(name);
            }
        }
        let found = reader.has_tensor(&key);
        // Before the filter: a variable that is left out on purpose still claims its tensor, which is then
        // not unexpected.
        wanted.insert(key.clone());
        if options.only.as_ref().is_some_and(|only| !only(&variable.name)) {
            continue;
        }
        if !found {
            plan.report.missing.push(variable.name.clone());
            continue;
        }
        check(reader, variable, &key, options.reshape)?;
        if variable.slice.is_some() {
            plan.parts.push((variable, key))
        } else {
            plan.whole.push((variable, key))
        }
    }
    if !plan.report.missing.is_empty() && !options.missing {
        let names = plan.report.missing;
        let stored: Vec<String> = reader.variables().into_iter().map(|info| info.name).collect();
        let help = similar::help(&names, &stored);
        let path = reader.path().to_path_buf();
        let source = Box::new(Error::TensorMissing { path: path.clone(), names });
        return Err(Error::RestoreMismatch { path, help, source });
    }
    let unexpected =
        reader.variables().into_iter().map(|info| info.name).filter(|name| !wanted.contains(name));
    plan.report.unexpected = unexpected.collect();
    if !plan.report.unexpected.is_empty() && !options.unexpected {
        let names = plan.report.unexpected;
        return Err(Error::TensorUnexpected { path: reader.path().to_path_buf(), names });
    }
    Ok(plan)
}

/// Dtype and shape, before a byte is read.
fn check(reader: &CheckpointReader, variable: &VariableSpec, key: &str, reshape: bool) -> Result<()> {
    let info = reader.info(key)?;
    if info.dtype != variable.dtype {
        let (name, expected, found) = (key.to_owned(), variable.dtype, info.dtype);
        return Err(Error::DTypeMismatch { name, expected, found });
    }
    let expected = match (&variable.slice, &variable.shape) {
        (Some((full, _)), _) => full,
        (None, Some(shape)) => shape,
        (None, None) => return Ok(()),
    };
    let fits = *expected == info.shape
        || (reshape && variable.slice.is_none() && expected.elements() == info.shape.elements());
    if fits {
        return Ok(());
    }
    Err(Error::ShapeMismatch { name: key.to_owned(), expected: expected.clone(), found: info.shape })
}

fn shaped(variable: &VariableSpec, tensor: Tensor, report: &mut RestoreReport) -> Result<Tensor> {
    let Some(shape) = variable.shape.as_ref().filter(|shape| *shape != tensor.shape()) else {
        return Ok(tensor);
    };
    let found = tensor.shape().clone();
    report.reshaped.push(variable.name.clone());
    tensor.reshaped(shape).map_err(|_| Error::ShapeMismatch {
        name: variable.key.clone(),
        expected: shape.clone(),
        found,
    })
}
