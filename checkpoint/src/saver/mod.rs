//! Saving and restoring a set of variables.

mod background;
mod options;
mod place;
mod plan;
mod restore;
mod retention;
mod save;
mod similar;
mod source;

pub use options::{SaveOptions, SaverOptions};
pub use plan::{PlannedVariable, RestorePlan};
pub use restore::{RestoreOptions, RestoreReport};
pub use retention::Better;
pub use source::{RestoreTarget, SaveSource, Slice, Snapshot, VariableSpec};

use crate::bundle::ReadOptions;
use crate::clock::seconds;
use crate::reader::unless_replaced;
use crate::storage::Storage;
use crate::{CheckpointReader, Error, Result, state};
use background::Job;
use save::{Request, Shared};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::text::escaped;

/// Saves the variables of a program into checkpoints, keeps as many of them as wanted, and restores.
///
/// It saves anything that implements [`SaveSource`]: a map of tensors, a struct of a program,
/// a live session. A save is *atomic and durable*: until the last moment the earlier checkpoints are
/// untouched, after it the new one is whole, on disk, and the newest. The order is: data files, session
/// state and meta graph; then the index, which makes the checkpoint exist; then the state file; then
/// checkpoints that are no longer wanted are deleted. Each file is synced before it gets its name, and
/// the folder after it.
///
/// A saver keeps three more files in the folder of its checkpoints: the state file, `checkpoint.lock`, and
/// `checkpoint.journal`, which records the files that savers wrote. It removes nothing else: no file of
/// another program, no checkpoint that it merely found there (unless [configured
/// to](SaverOptions::delete_adopted)), none that a restore rejected, and nothing in another folder.
///
/// All methods take `&self`; saves of one saver wait for each other, and so do those of all savers of a
/// process into one folder.
///
/// ```
/// use checkpoint::{Saver, SaverOptions};
/// use std::collections::BTreeMap;
/// use tensor::Tensor;
///
/// # let folder = tempfile::tempdir()?;
/// let mut model = BTreeMap::from([("w".to_string(), Tensor::from([1.0f32, 2.0]))]);
/// let saver = Saver::new(SaverOptions::new().max_to_keep(3));
/// let path = folder.path().join("model.ckpt");
/// let prefix = saver.save(&model, &path, Some(100))?;
/// assert!(prefix.ends_with("model.ckpt-100"));
///
/// model.insert("w".to_string(), Tensor::from([0.0f32, 0.0]));
/// saver.restore(&mut model, &prefix)?;
/// assert_eq!(model["w"], Tensor::from([1.0f32, 2.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Saver {
    shared: Arc<Shared>,
    /// The save that runs in the background, if any.
    job: Mutex<Option<Job>>,
}

impl Default for Saver {
    fn default() -> Self {
        Saver::new(SaverOptions::default())
    }
}

impl Saver {
    /// Creates a saver. It touches no file before the first save.
    ///
    /// ```
    /// use checkpoint::{Saver, SaverOptions};
    /// let saver = Saver::new(SaverOptions::new().max_to_keep(10));
    /// assert_eq!(saver.options().kept(), Some(10));
    /// ```
    #[must_use]
    pub fn new(options: SaverOptions) -> Saver {
        Saver { shared: Arc::new(Shared::new(options)), job: Mutex::new(None) }
    }

    /// Returns the options it was made with.
    ///
    /// ```
    /// use checkpoint::{Saver, SaverOptions};
    /// assert_eq!(Saver::new(SaverOptions::new().max_to_keep(2)).options().kept(), Some(2));
    /// ```
    pub fn options(&self) -> &SaverOptions {
        &self.shared.options
    }

    /// Saves all tensors of the source and returns the checkpoint's prefix: `path`, or with a step
    /// `path-step` (S-283).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// let saver = checkpoint::Saver::default();
    /// let prefix = saver.save(&model, &path, Some(7))?;
    /// assert!(prefix.ends_with("model.ckpt-7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a source without tensors, two tensors of one name, a path that is not
    /// UTF-8, collides with the state file or ends with a separator; [`Error::ParentMissing`] without the folder;
    /// [`Error::Locked`] when another process saves there; [`Error::Variables`] when the source fails;
    /// [`Error::Background`] when an earlier background save failed (nothing is saved then);
    /// [`Error::Io`], such as a full disk. After any error all earlier checkpoints are intact.
    pub fn save(
        &self,
        source: &dyn SaveSource,
        path: impl AsRef<Path>,
        step: Option<i64>,
    ) -> Result<PathBuf> {
        self.save_with(source, path, step, SaveOptions::new())
    }

    /// Works as [`save`](Saver::save), with more to be saved or other wishes.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{SaveOptions, Saver};
    /// let options = SaveOptions::new().session_state(b"position 12".to_vec());
    /// let prefix = Saver::default().save_with(&model, &path, Some(7), options)?;
    /// assert_eq!(checkpoint::sidecar::read_session_state(&prefix)?.unwrap(), "position 12");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`save`](Saver::save).
    pub fn save_with(
        &self,
        source: &dyn SaveSource,
        path: impl AsRef<Path>,
        step: Option<i64>,
        options: SaveOptions,
    ) -> Result<PathBuf> {
        let mut job = self.job();
        background::finish(&mut job)?;
        let request = Request::new(&self.shared.options, source, path.as_ref(), step, options)?;
        self.shared.save(request)
    }

    /// Checks, without saving, that nothing is in the way of saves with this path: that the saver may write into the folder, and
    /// that no folder or pipe has the name of a file that it will write. Call it before the work whose result is to be saved.
    ///
    /// ```
    /// use checkpoint::Saver;
    /// let folder = tempfile::tempdir()?;
    /// let saver = Saver::default();
    /// saver.check(folder.path().join("model.ckpt"))?;
    /// std::fs::create_dir(folder.path().join("checkpoint"))?;
    /// let error = saver.check(folder.path().join("model.ckpt")).unwrap_err();
    /// assert!(error.to_string().contains("checkpoint is a folder, but a file is to be written there"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Obstructed`]; [`Error::Invalid`] as for [`save`](Saver::save); [`Error::ParentMissing`] for a folder that is missing and
    /// that the saver does not create; [`Error::Io`] for one that it may not write to.
    pub fn check(&self, path: impl AsRef<Path>) -> Result<()> {
        self.shared.check(path.as_ref())
    }

    /// Saves in the background. The state at the time of the call is saved, because tensors are
    /// immutable and shared; the caller waits for that snapshot only. It is copied at once, in the background, so that the
    /// caller's next updates find their tensors unshared: a save takes as much memory as what it saves until it is done.
    /// Returns the prefix that the checkpoint will have.
    ///
    /// One save is under way at a time: if an earlier one still runs, this waits for it. An error of it
    /// is returned by the next call of any save method, [`wait`](Saver::wait) or
    /// [`close`](Saver::close).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{SaveOptions, Saver};
    /// let saver = Saver::default();
    /// let prefix = saver.save_in_background(&model, &path, Some(7), SaveOptions::new())?;
    /// // The training continues here.
    /// saver.wait()?;
    /// assert!(checkpoint::checkpoint_exists(&prefix));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`save`](Saver::save), as far as it can be known at once; [`Error::Background`] when the
    /// earlier one failed (nothing is begun then).
    pub fn save_in_background(
        &self,
        source: &dyn SaveSource,
        path: impl AsRef<Path>,
        step: Option<i64>,
        options: SaveOptions,
    ) -> Result<PathBuf> {
        let mut job = self.job();
        background::finish(&mut job)?;
        let request = Request::new(&self.shared.options, source, path.as_ref(), step, options)?;
        let prefix = request.prefix().to_path_buf();
        *job = Some(Job::start(Arc::clone(&self.shared), request)?);
        Ok(prefix)
    }

    /// Returns true if a background save is under way.
    ///
    /// ```
    /// assert!(!checkpoint::Saver::default().is_saving());
    /// ```
    #[must_use]
    pub fn is_saving(&self) -> bool {
        self.job().as_ref().is_some_and(Job::is_running)
    }

    /// Waits for the background save, if there is one.
    ///
    /// ```
    /// checkpoint::Saver::default().wait()?; // nothing to wait for
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Background`] when it failed.
    pub fn wait(&self) -> Result<()> {
        background::finish(&mut self.job())
    }

    /// Waits for the background save and releases the lock on the folder. Dropping a saver does the
    /// same, but can only log an error.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{SaveOptions, Saver};
    /// let saver = Saver::default();
    /// saver.save_in_background(&model, &path, Some(7), SaveOptions::new())?;
    /// saver.close()?; // reports an error of the last save
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`wait`](Saver::wait).
    pub fn close(self) -> Result<()> {
        self.wait()
    }

    /// Returns the prefix that a save would have: `path`, or with a step `path-step`.
    ///
    /// ```
    /// let prefix = checkpoint::Saver::default().prefix("run/model.ckpt", Some(7))?;
    /// assert_eq!(prefix.to_str(), Some("run/model.ckpt-7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] as for [`save`](Saver::save).
    pub fn prefix(&self, path: impl AsRef<Path>, step: Option<i64>) -> Result<PathBuf> {
        save::prefix_of(&self.shared.options, path.as_ref(), step)
    }

    /// Prefixes of the checkpoints that this saver manages, oldest first (S-297); those of several folders
    /// one folder after the other.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// let saver = checkpoint::Saver::default();
    /// for step in [1, 2] {
    ///     saver.save(&model, &path, Some(step))?;
    /// }
    /// assert_eq!(saver.last_checkpoints().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn last_checkpoints(&self) -> Vec<PathBuf> {
        self.shared.places().prefixes()
    }

    /// Takes over checkpoints, oldest first, with the times of their files (S-298). Those that are not
    /// there are skipped. Checkpoints that were managed before are forgotten. The limits delete these checkpoints like those of the
    /// saver itself, even if another program wrote them.
    ///
    /// A saver does this by itself with the checkpoints that a folder's state file lists, when it first
    /// saves into the folder.
    pub fn recover_last_checkpoints<P: AsRef<Path>>(&self, prefixes: &[P]) {
        let options = &self.shared.options;
        let now = seconds(options.clock.now());
        let times = state::checkpoint_mtimes(options.storage.as_ref(), prefixes);
        let found = prefixes
            .iter()
            .zip(times)
            .filter_map(|(prefix, time)| Some((prefix.as_ref().to_path_buf(), seconds(time?).min(now))));
        self.shared.places().give(options.storage.as_ref(), found.collect());
    }

    /// Keeps a checkpoint regardless of the limits. The state file remembers it. Returns false if the saver does not manage it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{Saver, SaverOptions};
    /// let saver = Saver::new(SaverOptions::new().max_to_keep(1));
    /// let first = saver.save(&model, &path, Some(1))?;
    /// saver.pin(&first)?;
    /// saver.save(&model, &path, Some(2))?;
    /// assert!(checkpoint::checkpoint_exists(&first));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] when the state file cannot be written.
    pub fn pin(&self, prefix: impl AsRef<Path>) -> Result<bool> {
        self.shared.pin(prefix.as_ref(), true)
    }

    /// Reverts [`pin`](Saver::pin): the limits apply to the checkpoint again. Returns false if the saver does not manage it.
    ///
    /// # Errors
    /// [`Error::Io`] when the state file cannot be written.
    pub fn unpin(&self, prefix: impl AsRef<Path>) -> Result<bool> {
        self.shared.pin(prefix.as_ref(), false)
    }

    /// Applies the limits to a folder without saving: takes over what its state file lists, deletes what
    /// exceeds them, even if another program wrote it, and returns the prefixes deleted. Where a state file lists nothing,
    /// all numbered checkpoints that lie there count as listed, in the order of their steps, and the limits
    /// hold for each name before the number; else those that it does not list stay.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{Saver, SaverOptions};
    /// let saver = Saver::default();
    /// for step in [1, 2, 3] {
    ///     saver.save(&model, &path, Some(step))?;
    /// }
    /// saver.close()?;
    /// let deleted = Saver::new(SaverOptions::new().max_to_keep(1)).prune(folder.path())?;
    /// assert_eq!(deleted.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no folder or no checkpoint in it; [`Error::Locked`] when another
    /// process saves there; [`Error::Background`]; [`Error::Io`].
    pub fn prune(&self, directory: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        self.wait()?;
        self.shared.prune(directory.as_ref())
    }

    /// Restores variables from the checkpoint with this prefix, strictly: every variable must be there
    /// with its dtype and shape; other tensors in the file are ignored. Nothing is assigned before
    /// everything was read and checked (unlike S-301).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// let saver = checkpoint::Saver::default();
    /// let prefix = saver.save(&model, &path, None)?;
    /// model.insert("w".to_string(), tensor::Tensor::from([0.0f32, 0.0]));
    /// saver.restore(&mut model, &prefix)?;
    /// assert_eq!(model["w"], tensor::Tensor::from([1.0f32, 2.0]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::RestoreMismatch`] when variables and checkpoint do not match;
    /// [`Error::Corrupt`], naming file and tensor; [`Error::Variables`] when assigning fails;
    /// [`Error::Io`].
    pub fn restore(&self, target: &mut dyn RestoreTarget, prefix: impl AsRef<Path>) -> Result<RestoreReport> {
        self.restore_with(target, prefix, &RestoreOptions::new())
    }

    /// Works as [`restore`](Saver::restore), with other rules.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{RestoreOptions, Saver};
    /// let saver = Saver::default();
    /// let prefix = saver.save(&model, &path, None)?;
    /// model.insert("new".to_string(), tensor::Tensor::scalar(0.5f32));
    /// let report = saver.restore_with(&mut model, &prefix, &RestoreOptions::new().allow_missing(true))?;
    /// assert_eq!(report.missing, ["new"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`restore`](Saver::restore); [`Error::Background`] when a background save failed.
    pub fn restore_with(
        &self,
        target: &mut dyn RestoreTarget,
        prefix: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<RestoreReport> {
        self.wait()?;
        restore::restore(&self.shared.options.storage, target, prefix.as_ref(), options)
    }

    /// Plans a [`restore_with`](Saver::restore_with): the tensor for each variable, what is missing,
    /// what is not wanted. Reads the index only.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{RestoreOptions, Saver};
    /// let saver = Saver::default();
    /// let prefix = saver.save(&model, &path, None)?;
    /// let plan = saver.restore_plan(&model, &prefix, &RestoreOptions::new())?;
    /// assert_eq!(plan.variables[0].stored_as, "w");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`restore`](Saver::restore), where variables and checkpoint do not match.
    pub fn restore_plan(
        &self,
        target: &dyn RestoreTarget,
        prefix: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<RestorePlan> {
        restore::planned(&self.shared.options.storage, target, prefix.as_ref(), options)
    }

    /// Restores from the newest checkpoint of a folder that is intact: the one its state file names;
    /// if that is damaged or gone, the next older one, and at last those that lie there unlisted, the
    /// highest step first (unless the options forbid falling back). The report lists which were rejected,
    /// and why; this saver never deletes those. `None` when the folder has no checkpoint at all.
    ///
    /// A checkpoint that is intact but does not match the variables is an error, not a reason to fall
    /// back; unless it is unlisted and has none of the variables (counters aside), so that it belongs to
    /// something else. Nor is it a reason that the system refuses to read a file.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{RestoreOptions, Saver};
    /// let saver = Saver::default();
    /// assert!(saver.restore_latest(&mut model, folder.path(), &RestoreOptions::new())?.is_none());
    /// saver.save(&model, &path, Some(7))?;
    /// let report = saver.restore_latest(&mut model, folder.path(), &RestoreOptions::new())?.unwrap();
    /// assert!(report.prefix.ends_with("model.ckpt-7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`restore`](Saver::restore); [`Error::NoneIntact`] when all candidates are damaged;
    /// [`Error::Io`].
    pub fn restore_latest(
        &self,
        target: &mut dyn RestoreTarget,
        directory: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<Option<RestoreReport>> {
        self.wait()?;
        let Shared { options: saver, .. } = &*self.shared;
        let found = restore::latest(&saver.storage, &saver.state_file, target, directory.as_ref(), options);
        let rejected = match &found {
            Ok(Some(report)) => report.rejected.as_slice(),
            Err(Error::NoneIntact { rejected, .. }) => rejected,
            _ => &[],
        };
        self.shared.places().reject(saver.storage.as_ref(), rejected.iter().map(|(prefix, _)| prefix));
        found
    }

    /// Returns true if a folder has anything that [`restore_latest`](Saver::restore_latest) would try, be it
    /// damaged.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// let saver = checkpoint::Saver::default();
    /// assert!(!saver.has_checkpoint(folder.path())?);
    /// saver.save(&model, &path, None)?;
    /// assert!(saver.has_checkpoint(folder.path())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be looked into.
    pub fn has_checkpoint(&self, directory: impl AsRef<Path>) -> Result<bool> {
        let SaverOptions { storage, state_file, .. } = &self.shared.options;
        Ok(!restore::candidates(storage.as_ref(), state_file, directory.as_ref(), true)?.is_empty())
    }

    /// Returns the storage in use.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.shared.options.storage
    }

    /// Guards the background job. Held while a save runs: saves wait for each other.
    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        if let Err(error) = self.wait() {
            let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            log::error!("{error}: {}", escaped(reason));
        }
    }
}

/// Reads every tensor of a checkpoint of any format into a map.
///
/// # Errors
/// As [`CheckpointReader::open`] and [`read_all`](CheckpointReader::read_all).
pub fn read_all(prefix: impl AsRef<Path>) -> Result<std::collections::BTreeMap<String, tensor::Tensor>> {
    let tensors =
        unless_replaced(|| CheckpointReader::open_prefix(prefix.as_ref(), ReadOptions::new())?.read_all())?;
    Ok(tensors.into_iter().collect())
}
