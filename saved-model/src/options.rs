//! Options of loading a model.

use session_core::{Engine, FileAccess, Graph, Result, Session, SessionConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Options of loading a model: the engine that runs it, and the files that it may reach.
///
/// ```no_run
/// use saved_model::{LoadOptions, SavedModel};
/// use session_core::SessionConfig;
/// let options = LoadOptions::new().config(SessionConfig::with_threads(1)).allow_files("/var/lookup");
/// let model = SavedModel::load_with("model", ["serve"], &options)?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    engine: Option<Arc<dyn Engine>>,
    target: String,
    config: SessionConfig,
    allowed: Vec<PathBuf>,
    clear_devices: bool,
}

impl LoadOptions {
    /// Returns the default options: the embedded engine, and access to no files except those in the model's folder.
    #[must_use]
    pub fn new() -> LoadOptions {
        LoadOptions::default()
    }

    /// Sets the engine that runs the model. Default: the embedded engine, with the feature `embedded`.
    ///
    /// ```
    /// use embedded_engine::EmbeddedEngine;
    /// use saved_model::{LoadOptions, SavedModel};
    /// use std::sync::Arc;
    /// # let folder = "tests/fixtures/dense/model";
    /// let options = LoadOptions::new().engine(Arc::new(EmbeddedEngine::new()));
    /// let model = SavedModel::load_with(folder, ["serve"], &options)?;
    /// # model.close()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> LoadOptions {
        self.engine = Some(engine);
        self
    }

    /// Sets the target of the engine, such as `grpc://host:port`. Default: this process.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> LoadOptions {
        self.target = target.into();
        self
    }

    /// Sets the configuration of the session. If its [`file_access`](SessionConfig::file_access) allows everything, it is restricted: the model
    /// may only read the files in its own folder, and those that [`allow_files`](LoadOptions::allow_files) adds. Default:
    /// [`SessionConfig::default`].
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> LoadOptions {
        self.config = config;
        self
    }

    /// Allows the model to read and write files in a folder. It may be called several times. Default: reading in the folder of the model.
    ///
    /// ```
    /// use saved_model::LoadOptions;
    /// let options = LoadOptions::new().allow_files("/var/lookup").allow_files("/tmp/results");
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn allow_files(mut self, folder: impl Into<PathBuf>) -> LoadOptions {
        self.allowed.push(folder.into());
        self
    }

    /// Sets whether the devices of operations are ignored. Default: false.
    #[must_use]
    pub fn clear_devices(mut self, clear: bool) -> LoadOptions {
        self.clear_devices = clear;
        self
    }

    pub(crate) fn clears_devices(&self) -> bool {
        self.clear_devices
    }

    /// The files that a model of this folder may reach.
    pub(crate) fn file_access(&self, folder: &Path) -> FileAccess {
        let own = &self.config.file_access;
        // A program that restricted the files itself keeps its rule, in addition to the folder of the model.
        let access = if own.is_everything() { FileAccess::nothing() } else { own.clone() };
        self.allowed.iter().fold(access.allow_read(folder), |access, folder| access.allow_write(folder))
    }

    /// A session on a graph of this folder.
    pub(crate) fn session(&self, graph: &Graph, folder: &Path) -> Result<Arc<dyn Session>> {
        let engine = default_engine(self.engine.as_ref())?;
        let config = self.config.clone().file_access(self.file_access(folder));
        engine.new_session(graph, &self.target, &config)
    }
}

/// Returns the engine that was given, or else the embedded one.
pub(crate) fn default_engine(given: Option<&Arc<dyn Engine>>) -> Result<Arc<dyn Engine>> {
    if let Some(engine) = given {
        return Ok(engine.clone());
    }
    #[cfg(feature = "embedded")]
    return Ok(Arc::new(embedded_engine::EmbeddedEngine::new()));
    #[cfg(not(feature = "embedded"))]
    return Err(session_core::Error::value(
        "no engine was given, and the feature `embedded`, which brings the default one, is off",
    ));
}

impl fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions")
            .field("engine", &self.engine.as_ref().map(|engine| engine.name()))
            .field("target", &self.target)
            .field("config", &self.config)
            .field("allowed", &self.allowed)
            .field("clear_devices", &self.clear_devices)
            .finish()
    }
}
