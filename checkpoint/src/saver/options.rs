//! The options of savers and of single saves.

use super::retention::{Better, Retention};
use crate::clock::{Clock, SystemClock};
use crate::state::STATE_FILE;
use crate::storage::{LocalStorage, Storage};
use std::sync::Arc;
use std::time::Duration;
use tensor::Bytes;

/// Options of a [`Saver`](crate::Saver).
///
/// ```
/// use checkpoint::{Better, SaverOptions};
/// let options = SaverOptions::new().max_to_keep(3).keep_best(1, Better::Lower).create_directory(true);
/// assert_eq!(options.kept(), Some(3));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SaverOptions {
    pub(crate) retention: Retention,
    pub(crate) pad_step_number: bool,
    pub(crate) relative_paths: bool,
    pub(crate) state_file: String,
    pub(crate) shards: u32,
    pub(crate) allow_empty: bool,
    pub(crate) adopt: bool,
    pub(crate) delete_adopted: bool,
    pub(crate) create_directory: bool,
    pub(crate) durable: bool,
    pub(crate) direct: bool,
    pub(crate) lock: bool,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for SaverOptions {
    fn default() -> Self {
        SaverOptions {
            retention: Retention::default(),
            pad_step_number: false,
            relative_paths: true,
            state_file: STATE_FILE.to_owned(),
            shards: 1,
            allow_empty: false,
            adopt: true,
            delete_adopted: false,
            create_directory: false,
            durable: true,
            direct: true,
            lock: true,
            storage: LocalStorage::shared(),
            clock: SystemClock::shared(),
        }
    }
}

impl SaverOptions {
    /// Returns the defaults, which each setter states.
    pub fn new() -> SaverOptions {
        SaverOptions::default()
    }

    /// Sets the number of newest checkpoints that are kept; 0 keeps all. As many older ones as necessary are
    /// deleted after a save (unlike S-293). Default: 5.
    ///
    /// ```
    /// use checkpoint::SaverOptions;
    /// assert_eq!(SaverOptions::new().max_to_keep(0).kept(), None);
    /// ```
    pub fn max_to_keep(mut self, count: usize) -> Self {
        self.retention.max_to_keep = (count > 0).then_some(count);
        self
    }

    /// Also keeps one checkpoint per this time forever: one that would be deleted is preserved if it was saved at least
    /// this long after the last preserved one. It is then no longer listed (S-322, without the bursts of S-295). A time
    /// of zero preserves none. Default: none.
    ///
    /// ```
    /// use checkpoint::SaverOptions;
    /// use std::time::Duration;
    /// let hour = Duration::from_secs(3600);
    /// assert_eq!(SaverOptions::new().keep_checkpoint_every(hour).kept_every(), Some(hour));
    /// ```
    pub fn keep_checkpoint_every(mut self, time: Duration) -> Self {
        self.retention.keep_every = (!time.is_zero()).then_some(time);
        self
    }

    /// [`keep_checkpoint_every`](SaverOptions::keep_checkpoint_every) in hours. Not positive or not
    /// finite means none.
    ///
    /// ```
    /// use checkpoint::SaverOptions;
    /// let options = SaverOptions::new().keep_checkpoint_every_n_hours(0.5);
    /// assert_eq!(options.kept_every().unwrap().as_secs(), 1800);
    /// ```
    pub fn keep_checkpoint_every_n_hours(self, hours: f64) -> Self {
        let time = Duration::try_from_secs_f64(hours * 3600.0).unwrap_or_default();
        self.keep_checkpoint_every(time)
    }

    /// Also keeps the best `count` checkpoints by the metric given at each save
    /// ([`SaveOptions::metric`]). Of equals the newer one is better; a checkpoint without a metric, or
    /// with NaN, is never best. 0 keeps none for its metric. Default: none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{Better, SaveOptions, Saver, SaverOptions};
    /// let saver = Saver::new(SaverOptions::new().max_to_keep(1).keep_best(1, Better::Lower));
    /// let mut best = None;
    /// for (step, loss) in [(1, 0.2), (2, 0.9), (3, 0.8)] {
    ///     let prefix = saver.save_with(&model, &path, Some(step), SaveOptions::new().metric(loss))?;
    ///     best.get_or_insert(prefix);
    /// }
    /// assert!(checkpoint::checkpoint_exists(best.unwrap()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_best(mut self, count: usize, better: Better) -> Self {
        self.retention.best = (count > 0).then_some((count, better));
        self
    }

    /// Sets whether steps in prefixes have at least 8 digits. Default: `false`.
    ///
    /// ```
    /// use checkpoint::{Saver, SaverOptions};
    /// let prefix = Saver::new(SaverOptions::new().pad_step_number(true)).prefix("m", Some(7))?;
    /// assert_eq!(prefix.to_str(), Some("m-00000007"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pad_step_number(mut self, pad: bool) -> Self {
        self.pad_step_number = pad;
        self
    }

    /// Sets whether the state file names checkpoints relative to its folder, as it always does when the folder
    /// is given as a relative path. Default: `true` (TensorFlow: only with relative folders).
    pub fn save_relative_paths(mut self, relative: bool) -> Self {
        self.relative_paths = relative;
        self
    }

    /// Sets the name of the state file, without folder. Default: `checkpoint`.
    ///
    /// ```
    /// use checkpoint::SaverOptions;
    /// assert_eq!(SaverOptions::new().state_file("best").state_file_name(), "best");
    /// ```
    pub fn state_file(mut self, name: impl Into<String>) -> Self {
        self.state_file = name.into();
        self
    }

    /// Sets the number of data files over which the tensors are spread, evenly by size. Default: 1.
    ///
    /// ```
    /// use checkpoint::SaverOptions;
    /// assert_eq!(SaverOptions::new().shards(4).shard_count(), 4);
    /// ```
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards.max(1);
        self
    }

    /// Sets whether a source without any tensor may be saved; the checkpoint is then empty. Default:
    /// `false`.
    pub fn allow_empty(mut self, allow: bool) -> Self {
        self.allow_empty = allow;
        self
    }

    /// Sets whether the saver takes over the checkpoints that a folder's state file lists when it first
    /// saves there, so that limits outlive a restart (unlike S-298). Those that lie in another folder are
    /// left alone. Default: `true`.
    pub fn adopt_existing(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Sets whether checkpoints that were taken over and that no saver of this crate wrote into the folder, such
    /// as TensorFlow's, are deleted when the limits do not want them. Otherwise they only leave the list.
    /// Files of an earlier run are recognized by the folder's journal and the checksum of the index, also in a
    /// copy of the folder; then the copy is deleted, never the original. Default: `false`.
    pub fn delete_adopted(mut self, delete: bool) -> Self {
        self.delete_adopted = delete;
        self
    }

    /// Sets whether a missing folder is made. Default: `false` (S-288).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{Saver, SaverOptions};
    /// let saver = Saver::new(SaverOptions::new().create_directory(true));
    /// assert!(saver.save(&model, folder.path().join("new/model.ckpt"), None).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_directory(mut self, create: bool) -> Self {
        self.create_directory = create;
        self
    }

    /// Sets whether files and folder are synced at each step of a save. Without it a crash of the program
    /// is survived all the same, a crash of the machine may not be. Default: `true`.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets whether large files go past the page cache where the system allows it, which makes them durable
    /// sooner. Default: `true`.
    pub fn direct_io(mut self, direct: bool) -> Self {
        self.direct = direct;
        self
    }

    /// Sets whether a lock file keeps other processes from saving into the same folder, and makes savers of this
    /// process wait for each other. Without it, it is unknown whether an unfinished file is still being
    /// written, so what a killed save leaves stays. Default: `true`.
    ///
    /// ```
    /// use checkpoint::SaverOptions;
    /// assert!(SaverOptions::new().locks() && !SaverOptions::new().lock(false).locks());
    /// ```
    pub fn lock(mut self, lock: bool) -> Self {
        self.lock = lock;
        self
    }

    /// Sets the storage to which files are written. Default: [`LocalStorage`].
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Sets the clock that a save takes its time from. Default: the system's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the number of newest checkpoints that are kept; `None` for all.
    ///
    /// ```
    /// assert_eq!(checkpoint::SaverOptions::new().kept(), Some(5));
    /// ```
    #[must_use]
    pub fn kept(&self) -> Option<usize> {
        self.retention.max_to_keep
    }

    /// Returns the interval at which a checkpoint is kept forever.
    ///
    /// ```
    /// assert_eq!(checkpoint::SaverOptions::new().kept_every(), None);
    /// ```
    #[must_use]
    pub fn kept_every(&self) -> Option<Duration> {
        self.retention.keep_every
    }

    /// Returns the name of the state file.
    ///
    /// ```
    /// assert_eq!(checkpoint::SaverOptions::new().state_file_name(), "checkpoint");
    /// ```
    #[must_use]
    pub fn state_file_name(&self) -> &str {
        &self.state_file
    }

    /// Returns true if other savers are kept out of the folder.
    ///
    /// ```
    /// assert!(checkpoint::SaverOptions::new().locks());
    /// ```
    #[must_use]
    pub fn locks(&self) -> bool {
        self.lock
    }

    /// Returns the number of data files over which the tensors are spread.
    ///
    /// ```
    /// assert_eq!(checkpoint::SaverOptions::new().shard_count(), 1);
    /// ```
    #[must_use]
    pub fn shard_count(&self) -> u32 {
        self.shards
    }
}

/// Options of one save, and data to store alongside the tensors.
///
/// ```
/// use checkpoint::SaveOptions;
/// let options = SaveOptions::new().metric(0.25).pinned(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SaveOptions {
    pub(crate) session_state: Option<Bytes>,
    pub(crate) meta_graph: Option<Bytes>,
    pub(crate) meta_graph_suffix: String,
    pub(crate) metric: Option<f64>,
    pub(crate) pinned: bool,
    pub(crate) write_state: bool,
}

impl Default for SaveOptions {
    fn default() -> Self {
        SaveOptions {
            session_state: None,
            meta_graph: None,
            meta_graph_suffix: "meta".to_owned(),
            metric: None,
            pinned: false,
            write_state: true,
        }
    }
}

impl SaveOptions {
    /// Returns options that save nothing but the tensors.
    pub fn new() -> SaveOptions {
        SaveOptions::default()
    }

    /// Sets the bytes of the file `<prefix>.session`, which is written and replaced together with the
    /// checkpoint. See [`sidecar`](crate::sidecar).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{SaveOptions, Saver, sidecar};
    /// let options = SaveOptions::new().session_state(sidecar::encode(&12u64)?);
    /// let prefix = Saver::default().save_with(&model, &path, None, options)?;
    /// assert_eq!(sidecar::load::<u64>(&prefix)?, Some(12));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn session_state(mut self, bytes: impl Into<Bytes>) -> Self {
        self.session_state = Some(bytes.into());
        self
    }

    /// Sets a serialized meta graph for the file `<prefix>.meta`. It is in place before the checkpoint
    /// exists (unlike S-285).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{SaveOptions, Saver};
    /// let options = SaveOptions::new().meta_graph(b"serialized".to_vec());
    /// let prefix = Saver::default().save_with(&model, &path, None, options)?;
    /// assert!(checkpoint::meta_graph_path(&prefix, "meta").exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn meta_graph(mut self, bytes: impl Into<Bytes>) -> Self {
        self.meta_graph = Some(bytes.into());
        self
    }

    /// Sets the suffix of the meta graph's file. Default: `meta`.
    pub fn meta_graph_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.meta_graph_suffix = suffix.into();
        self
    }

    /// Sets the metric of the saved state, for [`SaverOptions::keep_best`].
    pub fn metric(mut self, metric: f64) -> Self {
        self.metric = Some(metric);
        self
    }

    /// Sets whether this checkpoint is kept regardless of the limits. Default: `false`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{SaveOptions, Saver, SaverOptions};
    /// let saver = Saver::new(SaverOptions::new().max_to_keep(1));
    /// let first = saver.save_with(&model, &path, Some(1), SaveOptions::new().pinned(true))?;
    /// saver.save(&model, &path, Some(2))?;
    /// assert!(checkpoint::checkpoint_exists(&first));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pinned(mut self, pinned: bool) -> Self {
        self.pinned = pinned;
        self
    }

    /// Sets whether the checkpoint is listed in the state file and counts for the limits; otherwise nothing
    /// else is changed or deleted (S-289). Default: `true`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// use checkpoint::{SaveOptions, Saver};
    /// Saver::default().save_with(&model, &path, None, SaveOptions::new().write_state(false))?;
    /// assert_eq!(checkpoint::latest_checkpoint(folder.path())?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_state(mut self, write: bool) -> Self {
        self.write_state = write;
        self
    }
}
