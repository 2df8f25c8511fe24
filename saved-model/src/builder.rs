//! Writing SavedModels.

use crate::assets;
use crate::folder::{BINARY, TEXT, VARIABLES};
use crate::restore::{INIT_SIGNATURE, TRAIN_SIGNATURE};
use crate::signature_def::predict_signature_def;
use crate::tags;
use checkpoint::bundle::BundleWriter;
use checkpoint::storage::replace_file;
use checkpoint::{GraphSaver, SaveSource, SaverOptions, SessionVariables};
use graph_def::proto::{
    AnyList, AssetFileDef, Collection, CollectionDef, MetaGraphDef, NodeList, SavedModel as Message,
    SignatureDef,
};
use graph_def::{ExportOptions, export_meta_graph_with};
use session_core::{
    Code, CollectionKey, DType, Error, Graph, GraphMember, Operation, Output, Phase, Result, Session,
    Variable,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tensor::Bytes;

/// The longest message that readers take.
pub(crate) const LARGEST_MESSAGE: usize = i32::MAX as usize;

/// The collection of the tensors that hold paths of files which a model needs.
pub const ASSET_FILEPATHS: CollectionKey<Output> = CollectionKey::new("asset_filepaths");

/// The parts of a meta graph of a SavedModel other than its graph.
///
/// ```
/// use ops::array::placeholder;
/// use saved_model::{MetaGraphOptions, predict_signature_def};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let y = &x + &x;
/// let options = MetaGraphOptions::new()
///     .signature("serving_default", predict_signature_def([("x", &x)], [("y", &y)])?)
///     .strip_default_attrs(true);
/// # let _ = options;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MetaGraphOptions {
    /// The signatures by name.
    signatures: BTreeMap<String, SignatureDef>,
    /// The outputs that name files of assets.
    assets: Vec<Output>,
    /// The operation that a loader runs after the restore.
    init_op: Option<Operation>,
    /// The saver of the variables.
    saver: Option<GraphSaver>,
    /// Pairs of variables, of which the second provides the value of the first.
    weights: Vec<(Variable, Variable)>,
    /// True to leave out attributes that have their defaults.
    strip_default_attrs: bool,
    /// True to leave out the devices of operations.
    clear_devices: bool,
}

impl MetaGraphOptions {
    /// Returns the default options: no signatures, no assets, no init op, and a saver of all global variables.
    #[must_use]
    pub fn new() -> MetaGraphOptions {
        MetaGraphOptions::default()
    }

    /// Adds a signature. A call without a name uses the one called `serving_default`.
    ///
    /// ```
    /// use ops::array::placeholder;
    /// use saved_model::{MetaGraphOptions, predict_signature_def};
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
    /// let y = &x.named("y") * 2f32;
    /// let options = MetaGraphOptions::new().signature("serving_default", predict_signature_def([("x", &x)], [("y", &y)])?);
    /// # let _ = options;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn signature(mut self, name: impl Into<String>, signature: SignatureDef) -> MetaGraphOptions {
        self.signatures.insert(name.into(), signature);
        self
    }

    /// Adds an asset, given by the string constant of the graph that holds its path. The file is copied into the model. Default: none.
    ///
    /// ```
    /// use ops::array::constant;
    /// use saved_model::MetaGraphOptions;
    /// use session_core::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let path = constant(&graph.named("vocabulary"), Tensor::string("words.txt"));
    /// let options = MetaGraphOptions::new().asset(&path);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn asset(mut self, path: &Output) -> MetaGraphOptions {
        self.assets.push(path.clone());
        self
    }

    /// Sets the operation that runs after the variables are restored whenever the model is loaded, such as the initializer of its tables.
    /// Default: none.
    ///
    /// ```
    /// use ops::variables::tables_initializer;
    /// use saved_model::MetaGraphOptions;
    /// let graph = session_core::Graph::new();
    /// // ... the model, with its lookup tables ...
    /// let options = MetaGraphOptions::new().init_op(&tables_initializer(&graph));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn init_op(mut self, operation: &Operation) -> MetaGraphOptions {
        self.init_op = Some(operation.clone());
        self
    }

    /// Sets the saver, which determines the variables that are stored, and their names. Default: all global variables and tables, under their
    /// own names.
    ///
    /// ```
    /// use checkpoint::{GraphSaver, SaverOptions};
    /// use ops::variables::variable;
    /// use saved_model::MetaGraphOptions;
    /// let graph = session_core::Graph::new();
    /// let w = variable(&graph.named("w"), 1.0f32);
    /// let saver = GraphSaver::of(vec![w.saved_as("weights")], SaverOptions::new())?;
    /// let options = MetaGraphOptions::new().saver(&saver);
    /// # let _ = options;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn saver(mut self, saver: &GraphSaver) -> MetaGraphOptions {
        self.saver = Some(saver.clone());
        self
    }

    /// Sets variables of the model to the values of others, such as their moving averages. Default: none.
    ///
    /// ```
    /// use ops::optimizers::ExponentialMovingAverage;
    /// use saved_model::MetaGraphOptions;
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 1.0f32);
    /// let average = ExponentialMovingAverage::new(0.99);
    /// average.apply(&graph, std::slice::from_ref(&w)); // behind the training step
    /// let options = MetaGraphOptions::new().weights(average.averages(&[w]));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn weights(mut self, weights: impl IntoIterator<Item = (Variable, Variable)>) -> MetaGraphOptions {
        self.weights = weights.into_iter().collect();
        self
    }

    /// Sets whether attributes with default values are left out, so that older readers accept the graph. Default: false.
    #[must_use]
    pub fn strip_default_attrs(mut self, strip: bool) -> MetaGraphOptions {
        self.strip_default_attrs = strip;
        self
    }

    /// Sets whether operations are written without their devices. Default: false.
    #[must_use]
    pub fn clear_devices(mut self, clear: bool) -> MetaGraphOptions {
        self.clear_devices = clear;
        self
    }

    /// Returns the saver of a graph: the given one, or one of all variables.
    fn saver_of(&self, graph: &Graph) -> Option<GraphSaver> {
        let saver = self.saver.clone().unwrap_or_else(|| GraphSaver::new(SaverOptions::new()));
        // A model without variables needs no saver and no checkpoint, and readers expect none.
        let is_empty = saver.variables(graph).is_empty() && saver.tables(graph).is_empty();
        (!is_empty).then_some(saver)
    }
}

/// Writes a SavedModel: one or several meta graphs over one set of variables.
///
/// ```
/// use embedded_engine::EmbeddedEngine;
/// use ops::array::placeholder;
/// use ops::variables::{global_variables_initializer, variable};
/// use saved_model::{MetaGraphOptions, SavedModel, SavedModelBuilder, predict_signature_def, tags};
/// use session_core::{DType, Engine, Graph, SessionConfig, SessionExt, Tensor};
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path().join("export");
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let w = variable(&graph.named("w"), 3.0f32);
/// let y = &x * &w;
/// let init = global_variables_initializer(&graph);
/// let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
/// session.run(&init, ())?;
///
/// let signature = predict_signature_def([("x", &x)], [("y", &y)])?;
/// let options = MetaGraphOptions::new().signature("serving_default", signature);
/// let mut builder = SavedModelBuilder::new(&folder)?;
/// builder.add_meta_graph_and_variables(&*session, [tags::SERVING], &options)?;
/// builder.save()?;
///
/// let model = SavedModel::load(&folder, [tags::SERVING])?;
/// let answer = model.signature("serving_default")?.run([("x", vec![1.0f32, 2.0])])?;
/// assert_eq!(answer.tensor("y")?, &Tensor::from([3.0f32, 6.0]));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SavedModelBuilder {
    /// The folder of the model.
    folder: PathBuf,
    /// The message so far.
    message: Message,
    /// True once the variables were written.
    has_variables: bool,
    /// The files in the folder of assets, with where they came from.
    copied: BTreeMap<String, PathBuf>,
}

impl SavedModelBuilder {
    /// Creates the folder of a SavedModel. Readers do not take it for a model until [`save`](SavedModelBuilder::save) has written
    /// `saved_model.pb`.
    ///
    /// ```
    /// use saved_model::SavedModelBuilder;
    /// use session_core::Code;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let folder = folder.path().join("export");
    /// let builder = SavedModelBuilder::new(&folder)?;
    /// assert!(folder.is_dir());
    /// # let _ = builder;
    /// let error = SavedModelBuilder::new(".").unwrap_err(); // this folder has files
    /// assert_eq!(error.code(), Code::AlreadyExists);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `AlreadyExists` if the folder is not empty; errors of the operating system.
    pub fn new(folder: impl AsRef<Path>) -> Result<SavedModelBuilder> {
        let folder = folder.as_ref().to_path_buf();
        let failed = |error: std::io::Error| {
            Error::from(error).context(format!("cannot create '{}'", folder.display()))
        };
        // Before anything is written: files of another model in the folder would be taken for parts of this
        // one.
        if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let text = format!(
                "'{}' exists and is not empty: export the model into a new folder, or remove this one",
                folder.display()
            );
            return Err(Error::new(Code::AlreadyExists, text));
        }
        fs::create_dir_all(&folder).map_err(failed)?;
        let message = Message { saved_model_schema_version: 1, meta_graphs: Vec::new() };
        Ok(SavedModelBuilder { folder, message, has_variables: false, copied: BTreeMap::new() })
    }

    /// Adds the first meta graph, the graph of a session, and writes the values of its variables and the assets.
    ///
    /// # Errors
    /// A runtime error if it was called before; a key error for a signature with a reserved name; a value error for an asset that is not a
    /// constant with the path of a file, and for items of another graph; `FailedPrecondition` for an uninitialized variable; errors of the
    /// operating system.
    pub fn add_meta_graph_and_variables(
        &mut self,
        session: &dyn Session,
        tags: impl IntoIterator<Item = impl Into<String>>,
        options: &MetaGraphOptions,
    ) -> Result<()> {
        if self.has_variables {
            let text = "Graph state including variables and assets has already been saved. Please invoke `add_meta_graph()` instead.";
            return Err(Error::runtime(text));
        }
        let graph = session.graph();
        // First the message, whose checks leave nothing on disk; the variables are written once it is known
        // to be valid.
        let meta_graph = self.meta_graph(graph, tags, options)?;
        let in_phase = |error: Error| error.with_phase(Phase::Save);
        fs::create_dir_all(self.folder.join(VARIABLES).parent().unwrap_or(&self.folder))?;
        if let Some(saver) = options.saver_of(graph) {
            self.write_variables(session, &saver, &options.weights).map_err(in_phase)?;
        }
        self.has_variables = true;
        self.message.meta_graphs.push(meta_graph);
        Ok(())
    }

    /// Adds another meta graph over the same variables, such as the training graph next to the inference graph.
    ///
    /// ```
    /// use embedded_engine::EmbeddedEngine;
    /// use ops::variables::{global_variables_initializer, variable};
    /// use saved_model::{MetaGraphOptions, SavedModelBuilder, SavedModelFolder, tags};
    /// use session_core::{Engine, Graph, SessionConfig, SessionExt};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let folder = folder.path().join("export");
    /// let graph = Graph::new();
    /// let _w = variable(&graph.named("w"), 3.0f32);
    /// let init = global_variables_initializer(&graph);
    /// let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
    /// session.run(&init, ())?;
    ///
    /// let mut builder = SavedModelBuilder::new(&folder)?;
    /// builder.add_meta_graph_and_variables(&*session, [tags::SERVING], &MetaGraphOptions::new())?;
    /// builder.add_meta_graph(&graph, [tags::TRAINING], &MetaGraphOptions::new())?;
    /// builder.save()?;
    /// assert_eq!(SavedModelFolder::open(&folder)?.meta_graphs().count(), 2);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A runtime error before [`add_meta_graph_and_variables`](SavedModelBuilder::add_meta_graph_and_variables); otherwise its errors.
    pub fn add_meta_graph(
        &mut self,
        graph: &Graph,
        tags: impl IntoIterator<Item = impl Into<String>>,
        options: &MetaGraphOptions,
    ) -> Result<()> {
        if !self.has_variables {
            let text = "Graph state including variables and assets has not been saved yet. Please invoke `add_meta_graph_and_variables()` first.";
            return Err(Error::runtime(text));
        }
        let meta_graph = self.meta_graph(graph, tags, options)?;
        self.message.meta_graphs.push(meta_graph);
        Ok(())
    }

    /// Writes `saved_model.pb` and returns its path. The file appears complete or not at all.
    ///
    /// # Errors
    /// `InvalidArgument` for graphs of 2 GiB or more, which protobuf cannot read; errors of the operating system.
    pub fn save(self) -> Result<PathBuf> {
        let bytes = self.message.to_bytes();
        self.write(BINARY, &bytes)
    }

    /// Writes `saved_model.pbtxt`, the text form, and returns its path.
    ///
    /// # Errors
    /// As [`save`](SavedModelBuilder::save).
    pub fn save_as_text(self) -> Result<PathBuf> {
        let text = self.message.to_text()?;
        self.write(TEXT, text.as_bytes())
    }

    /// Writes a file into the folder of the model.
    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        // Before the file is replaced: protobuf's readers reject larger messages, so such a file could never
        // be loaded.
        if content.len() > LARGEST_MESSAGE {
            let text = format!(
                "the graphs of the model take {} bytes, and readers take up to {LARGEST_MESSAGE}: keep large constants in variables",
                content.len()
            );
            return Err(Error::invalid_argument(text));
        }
        let path = self.folder.join(name);
        // Replaced atomically: this file is what makes the folder a model.
        replace_file(&path, content)?;
        Ok(path)
    }

    /// Makes the message of a meta graph.
    fn meta_graph(
        &mut self,
        graph: &Graph,
        tags: impl IntoIterator<Item = impl Into<String>>,
        options: &MetaGraphOptions,
    ) -> Result<MetaGraphDef> {
        // Loaders look for the init op and the train op under these names.
        for reserved in [INIT_SIGNATURE, TRAIN_SIGNATURE] {
            if options.signatures.contains_key(reserved) {
                return Err(Error::key(format!("SignatureDef key \"{reserved}\" is reserved.")));
            }
        }
        options.assets.as_slice().check_belongs_to(graph)?;
        if let Some(operation) = &options.init_op {
            operation.check_belongs_to(graph)?;
        }
        let export = ExportOptions::new()
            .output_shapes(true)
            .strip_default_attrs(options.strip_default_attrs)
            .clear_devices(options.clear_devices);
        let saver = options.saver_of(graph);
        let mut meta_graph = export_meta_graph_with(graph, saver.as_ref(), &export)?;
        let info = meta_graph.meta_info_def.get_or_insert_default();
        info.tags = tags.into_iter().map(Into::into).collect();
        meta_graph.signature_def = options.signatures.clone();
        check_signatures(graph, &meta_graph.signature_def)?;
        // The objects are those of the program that wrote an imported graph; this model does not have them.
        meta_graph.object_graph_def = Bytes::new();
        // A saver without variables would make loaders look for a checkpoint.
        if saver.is_none() {
            meta_graph.saver_def = None;
        }
        // An imported graph may bring the init op of its own model.
        for collection in crate::restore::INIT_COLLECTIONS {
            meta_graph.collection_def.remove(collection);
        }
        if let Some(operation) = &options.init_op {
            let names = NodeList { value: vec![operation.name().to_owned()] };
            let collection = CollectionDef { kind: Some(Collection::Nodes(names)) };
            meta_graph.collection_def.insert(crate::restore::INIT_COLLECTIONS[0].to_owned(), collection);
        }
        self.add_assets(&options.assets, &mut meta_graph)?;
        Ok(meta_graph)
    }

    /// Copies the assets, and names them in the meta graph: in the collection, where loaders of TensorFlow 1 look, and in the
    /// field, where those of TensorFlow 2 do.
    fn add_assets(&mut self, assets: &[Output], meta_graph: &mut MetaGraphDef) -> Result<()> {
        meta_graph.asset_file_def =
            assets.iter().map(|asset| self.add_asset(asset)).collect::<Result<_>>()?;
        meta_graph.collection_def.remove(assets::COLLECTION);
        if !assets.is_empty() {
            let list =
                AnyList { value: meta_graph.asset_file_def.iter().map(AssetFileDef::to_any).collect() };
            let collection = CollectionDef { kind: Some(Collection::Any(list.to_bytes())) };
            meta_graph.collection_def.insert(assets::COLLECTION.to_owned(), collection);
        }
        Ok(())
    }

    /// Adds the file of an asset to the folder.
    fn add_asset(&mut self, asset: &Output) -> Result<AssetFileDef> {
        // A constant, because the path must be known now; a loader feeds the tensor another one.
        let path = asset.constant_value().filter(|value| value.dtype() == DType::String);
        let path = path.and_then(|value| value.as_strings().ok()?.first().cloned()).ok_or_else(|| {
            let text =
                format!("Asset path tensor '{}' must be of type constant, and a string.", asset.name());
            asset.operation().place(Error::value(text))
        })?;
        // From bytes, since paths on Unix need not be UTF-8.
        let path = PathBuf::from(OsStr::from_bytes(&path));
        let name = path.file_name().and_then(OsStr::to_str).ok_or_else(|| {
            Error::value(format!(
                "the asset '{}' is not the path of a file with a name in UTF-8",
                path.display()
            ))
        })?;
        let filename = self.copy(&path, name).map_err(|error| {
            error.context(format!("the asset '{}' cannot be copied", path.display())).with_phase(Phase::Save)
        })?;
        Ok(AssetFileDef { tensor_info: Some(crate::build_tensor_info(asset)?), filename })
    }

    /// Copies a file under its name, or where another one has that, under the first free `name_1`, `name_2`, ...
    fn copy(&mut self, path: &Path, name: &str) -> Result<String> {
        // A file that is not there leaves nothing behind.
        fs::metadata(path)?;
        let folder = self.folder.join(assets::FOLDER);
        fs::create_dir_all(&folder)?;
        let mut filename = name.to_owned();
        for number in 1.. {
            // Two assets may have one file name: equal content is shared, other content gets a number.
            match self.copied.get(&filename) {
                None => break,
                Some(other) if other == path || fs::read(other)? == fs::read(path)? => return Ok(filename),
                Some(_) => filename = format!("{name}_{number}"),
            }
        }
        fs::copy(path, folder.join(&filename))?;
        self.copied.insert(filename.clone(), path.to_path_buf());
        Ok(filename)
    }

    /// Writes the variables of a session.
    fn write_variables(
        &self,
        session: &dyn Session,
        saver: &GraphSaver,
        weights: &[(Variable, Variable)],
    ) -> Result<()> {
        let graph = session.graph();
        let mut variables = saver.variables(graph);
        for (variable, value) in weights {
            [variable, value].as_slice().check_belongs_to(graph)?;
            // The value is that of the other variable, stored under the key of the first.
            for saved in variables.iter_mut().filter(|saved| saved.handle() == variable.handle()) {
                *saved = value.clone().saved_as(saved.key());
            }
        }
        let live = SessionVariables::new(session, variables).with_tables(saver.tables(graph));
        // One snapshot, so that all variables belong to the same step.
        let snapshot = live.snapshot()?;
        let mut writer = BundleWriter::create(self.folder.join(VARIABLES))?;
        for (name, tensor) in &snapshot.tensors {
            writer.add(name, tensor)?;
        }
        for (slice, tensor) in &snapshot.slices {
            writer.add_slice(&slice.name, &slice.full_shape, &slice.part, tensor)?;
        }
        Ok(writer.finish()?)
    }
}

/// Checks that signatures name tensors of the graph.
fn check_signatures(graph: &Graph, signatures: &BTreeMap<String, SignatureDef>) -> Result<()> {
    use graph_def::proto::TensorInfoEncoding::{Composite, CooSparse, Name};
    fn names(info: &graph_def::proto::TensorInfo) -> Vec<&str> {
        match &info.encoding {
            None => Vec::new(),
            Some(Name(name)) => vec![name],
            Some(CooSparse(sparse)) => {
                vec![&sparse.values_tensor_name, &sparse.indices_tensor_name, &sparse.dense_shape_tensor_name]
            }
            Some(Composite(composite)) => composite.components.iter().flat_map(names).collect(),
        }
    }
    for (name, signature) in signatures {
        for (key, info) in signature.inputs.iter().chain(&signature.outputs) {
            let place =
                |error: Error| error.context(format!("'{key}' of the signature '{name}' cannot be written"));
            let names = names(info);
            // An entry without a name is the default of the message, and no reader could use it.
            if names.is_empty() {
                return Err(place(Error::value("it names no tensor")));
            }
            for tensor in names {
                crate::find_tensor(graph, tensor).map_err(place)?;
            }
        }
    }
    Ok(())
}

/// Writes a SavedModel with the one signature `serving_default` of the kind `predict`, for the tag `serve`, and returns the path
/// of its `saved_model.pb`. Assets are those of the collection [`ASSET_FILEPATHS`]; devices are left out.
///
/// ```no_run
/// # fn export(session: &dyn session_core::Session, x: &session_core::Output, y: &session_core::Output) -> session_core::Result<()> {
/// saved_model::simple_save(session, "export/1", [("x", x)], [("y", y)], None)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`predict_signature_def`] and [`SavedModelBuilder`].
pub fn simple_save<'o>(
    session: &dyn Session,
    folder: impl AsRef<Path>,
    inputs: impl IntoIterator<Item = (impl Into<String>, &'o Output)>,
    outputs: impl IntoIterator<Item = (impl Into<String>, &'o Output)>,
    init_op: Option<&Operation>,
) -> Result<PathBuf> {
    let signature = predict_signature_def(inputs, outputs)?;
    let mut options = MetaGraphOptions::new().signature("serving_default", signature).clear_devices(true);
    for asset in session.graph().collection(&ASSET_FILEPATHS) {
        options = options.asset(&asset);
    }
    if let Some(operation) = init_op {
        options = options.init_op(operation);
    }
    let mut builder = SavedModelBuilder::new(folder)?;
    builder.add_meta_graph_and_variables(session, [tags::SERVING], &options)?;
    builder.save()
}
