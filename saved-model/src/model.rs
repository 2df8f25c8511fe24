//! Loaded SavedModels.

use crate::folder::{SavedModelFolder, TaggedGraph};
use crate::options::LoadOptions;
use crate::restore::{self, Initialization};
use crate::signature::Signature;
use crate::value::suggestion;
use graph_def::proto::SignatureDef;
use graph_def::{ImportOptions, Imported, import_graph_def};
use session_core::{Code, Error, Graph, Result, Session};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A SavedModel in a session: its variables are restored, its tables initialized, and its signatures ready to be called.
///
/// ```no_run
/// use saved_model::SavedModel;
/// let model = SavedModel::load("export/1541117730", ["serve"])?;
/// let answer = model.signature("serving_default")?.run([("x", vec![1.0f32, 2.0])])?;
/// println!("{}", answer.tensor("y")?);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// Models of TensorFlow 1 and 2 are loaded in the same way: the meta graph with exactly the requested tags is imported, the variables are
/// restored by the operations that the model has for it, then its init op runs with the paths of its assets. In a model without an init op,
/// local variables and tables are initialized.
pub struct SavedModel {
    path: PathBuf,
    tags: Vec<String>,
    imported: Imported,
    session: Arc<dyn Session>,
    signatures: BTreeMap<String, SignatureDef>,
}

impl SavedModel {
    /// Loads the meta graph with these tags, usually `["serve"]` ([`tags::SERVING`](crate::tags::SERVING)).
    ///
    /// ```
    /// use saved_model::{SavedModel, tags};
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, [tags::SERVING])?;
    /// assert_eq!(model.signature_names().collect::<Vec<_>>(), ["serving_default"]);
    /// model.close()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`SavedModelFolder::open`] and [`SavedModelFolder::meta_graph`]; `DataLoss` and others for variables that are missing or
    /// damaged; a key error for an init op or asset that the graph does not have; errors of the import and of the init op.
    pub fn load(
        path: impl AsRef<Path>,
        tags: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<SavedModel> {
        SavedModel::load_with(path, tags, &LoadOptions::new())
    }

    /// Works as [`load`](SavedModel::load), with options.
    ///
    /// ```
    /// use saved_model::{LoadOptions, SavedModel};
    /// use session_core::SessionConfig;
    /// # let folder = "tests/fixtures/dense/model";
    /// let options = LoadOptions::new().config(SessionConfig::with_threads(1));
    /// let model = SavedModel::load_with(folder, ["serve"], &options)?;
    /// # model.close()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`load`](SavedModel::load).
    pub fn load_with(
        path: impl AsRef<Path>,
        tags: impl IntoIterator<Item = impl AsRef<str>>,
        options: &LoadOptions,
    ) -> Result<SavedModel> {
        let folder = SavedModelFolder::open(path)?;
        SavedModel::of(folder.meta_graph(tags)?, options)
    }

    /// Loads a meta graph of an [open folder](SavedModelFolder).
    ///
    /// ```
    /// use saved_model::{LoadOptions, SavedModel, SavedModelFolder};
    /// # let path = "tests/fixtures/several_tags/model";
    /// let folder = SavedModelFolder::open(path)?;
    /// let model = SavedModel::of(folder.default_meta_graph()?, &LoadOptions::new())?;
    /// assert_eq!(model.tags(), ["serve"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`load`](SavedModel::load).
    pub fn of(meta_graph: TaggedGraph<'_>, options: &LoadOptions) -> Result<SavedModel> {
        let path = meta_graph.folder().path();
        let at_path =
            |error: Error| error.context(format!("cannot load the SavedModel '{}'", path.display()));
        SavedModel::try_of(meta_graph, options).map_err(at_path)
    }

    fn try_of(meta_graph: TaggedGraph<'_>, options: &LoadOptions) -> Result<SavedModel> {
        let message = meta_graph.message();
        let graph_def = message.graph_def.as_ref();
        let graph_def =
            graph_def.ok_or_else(|| Error::new(Code::DataLoss, "the meta graph holds no graph"))?;
        let mut import =
            ImportOptions::new().file(meta_graph.folder().path()).clear_devices(options.clears_devices());
        if let Some(list) = message.meta_info_def.as_ref().and_then(|info| info.stripped_op_list.as_ref()) {
            import = import.op_list(list.clone());
        }
        let graph = Graph::new();
        let imported = import_graph_def(&graph, graph_def, &import)?;
        // Before the session: a missing init op or asset is found without restoring large variables.
        let initialization = Initialization::of(meta_graph, &imported)?;
        let path = meta_graph.folder().path();
        let session = options.session(&graph, path)?;
        // Variables before the init op, which may read them.
        restore::variables(&meta_graph, &imported, &*session, &options.file_access(path))?;
        initialization.run(&*session)?;
        // These name operations for loaders and cannot be called.
        let hidden = [restore::INIT_SIGNATURE, restore::TRAIN_SIGNATURE];
        let signatures = message.signature_def.iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
        Ok(SavedModel {
            path: path.to_path_buf(),
            tags: meta_graph.tags().to_vec(),
            session,
            signatures: signatures.map(|(name, def)| (name.clone(), def.clone())).collect(),
            imported,
        })
    }

    /// Returns the path of the model's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the tags of the meta graph.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Returns the session, which can run every operation of the graph.
    #[must_use]
    pub fn session(&self) -> &Arc<dyn Session> {
        &self.session
    }

    /// Returns the graph. Operations keep the names of the file.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        self.session.graph()
    }

    /// Returns the names of the signatures, sorted.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// # let folder = "tests/fixtures/several_tags/model";
    /// let model = SavedModel::load(folder, ["serve", "double"])?;
    /// assert_eq!(model.signature_names().collect::<Vec<_>>(), ["serving_default", "sum"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn signature_names(&self) -> impl Iterator<Item = &str> {
        self.signatures.keys().map(String::as_str)
    }

    /// Returns the signature with this name.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let signature = model.signature("serving_default")?;
    /// assert_eq!(signature.inputs()[0].name(), "x");
    /// assert_eq!(signature.inputs()[0].shape().to_string(), "[?,4]");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for an unknown name, which suggests the most similar one, and for a signature that refers to tensors that the graph does not
    /// have.
    pub fn signature(&self, name: &str) -> Result<Signature> {
        let place = |error: Error| error.context(format!("in the SavedModel '{}'", self.path.display()));
        let def = self.signatures.get(name).ok_or_else(|| {
            let text = format!("the SavedModel '{}' has no signature '{name}'", self.path.display());
            Error::key(text + &suggestion(name, || self.signature_names()))
        })?;
        Signature::new(&self.session, &self.imported, name, def).map_err(place)
    }

    /// Closes the session, which all signatures share. Later calls of a signature fail.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let signature = model.signature("serving_default")?;
    /// model.close()?;
    /// assert!(signature.run([("x", [[5.1f32, 3.5, 1.4, 0.2]])]).is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Session::close`].
    pub fn close(&self) -> Result<()> {
        self.session.close()
    }
}

impl fmt::Debug for SavedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedModel")
            .field("path", &self.path)
            .field("tags", &self.tags)
            .field("signatures", &self.signatures.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
