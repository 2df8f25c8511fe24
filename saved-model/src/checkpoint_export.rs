//! SavedModels of checkpoints.

use crate::builder::{MetaGraphOptions, SavedModelBuilder};
use crate::options::default_engine;
use crate::tags;
use crate::variables::load_variables;
use checkpoint::{GraphSaver, RestoreOptions};
use session_core::{Engine, Error, Graph, Phase, Result, Session, SessionConfig};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Makes SavedModels of checkpoints: a graph for serving, into which the variables of each checkpoint are loaded.
///
/// The exporters of the crate `monitored` call it for the checkpoints of a training. The serving graph is a second one of the
/// model, with placeholders for input and without what only a training needs.
///
/// ```
/// use checkpoint::{GraphSaver, SaverOptions};
/// use embedded_engine::EmbeddedEngine;
/// use ops::array::placeholder;
/// use ops::variables::{global_variables_initializer, variable};
/// use saved_model::{CheckpointExport, MetaGraphOptions, SavedModel, predict_signature_def};
/// use session_core::{DType, Engine, Graph, SessionConfig, SessionExt, Tensor};
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// // A training, of which only the checkpoint matters here.
/// let graph = Graph::new();
/// let _w = variable(&graph.named("w"), 3.0f32);
/// let init = global_variables_initializer(&graph);
/// let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
/// session.run(&init, ())?;
/// let prefix = GraphSaver::new(SaverOptions::new()).save(&*session, folder.join("model.ckpt"), Some(7))?;
///
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let y = &x * &variable(&graph.named("w"), 0.0f32);
/// let signature = predict_signature_def([("x", &x)], [("y", &y)])?;
/// let export = CheckpointExport::new(&graph, MetaGraphOptions::new().signature("serving_default", signature));
/// export.export(&prefix, folder.join("export"))?;
///
/// let model = SavedModel::load(folder.join("export"), ["serve"])?;
/// let answer = model.signature("serving_default")?.run([("x", vec![1.0f32, 2.0])])?;
/// assert_eq!(answer.tensor("y")?, &Tensor::from([3.0f32, 6.0]));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct CheckpointExport {
    /// The graph to export.
    graph: Graph,
    /// The tags of the meta graph.
    tags: Vec<String>,
    /// The options of the meta graph.
    options: MetaGraphOptions,
    /// The engine that restores the variables; `None` for the default.
    engine: Option<Arc<dyn Engine>>,
    /// The configuration of the session.
    config: SessionConfig,
    /// The saver of the variables.
    saver: Option<GraphSaver>,
    /// The options of the restore.
    restore: RestoreOptions,
}

impl CheckpointExport {
    /// Creates an export of this graph with these signatures and assets.
    #[must_use]
    pub fn new(graph: &Graph, options: MetaGraphOptions) -> CheckpointExport {
        CheckpointExport {
            graph: graph.clone(),
            tags: vec![tags::SERVING.to_owned()],
            options,
            engine: None,
            config: SessionConfig::default(),
            saver: None,
            restore: RestoreOptions::new(),
        }
    }

    /// Sets the tags of the meta graph. Default: `serve`.
    ///
    /// ```
    /// use saved_model::{CheckpointExport, MetaGraphOptions, tags};
    /// # let graph = session_core::Graph::new();
    /// let export = CheckpointExport::new(&graph, MetaGraphOptions::new()).tags([tags::SERVING, tags::GPU]);
    /// # let _ = export;
    /// ```
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> CheckpointExport {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the engine of the session that loads the variables. Default: the embedded engine, with the feature `embedded`.
    #[must_use]
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> CheckpointExport {
        self.engine = Some(engine);
        self
    }

    /// Sets the configuration of that session. Default: [`SessionConfig::default`].
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> CheckpointExport {
        self.config = config;
        self
    }

    /// Sets the saver that restores the variables from the checkpoint. One of
    /// [`variables_to_restore`](ops::optimizers::ExponentialMovingAverage::variables_to_restore) swaps moving averages in: the
    /// SavedModel then has the averages as the variables' values. Default: all variables under their own names.
    ///
    /// ```
    /// use checkpoint::{GraphSaver, SaverOptions};
    /// use ops::optimizers::ExponentialMovingAverage;
    /// use saved_model::{CheckpointExport, MetaGraphOptions};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 0.0f32);
    /// let averages = ExponentialMovingAverage::new(0.999f32).variables_to_restore(&[w.clone()], &[]);
    /// let averages = averages.into_iter().map(|(name, variable)| variable.saved_as(name)).collect();
    /// let saver = GraphSaver::of(averages, SaverOptions::new())?;
    /// let export = CheckpointExport::new(&graph, MetaGraphOptions::new()).saver(&saver);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn saver(mut self, saver: &GraphSaver) -> CheckpointExport {
        self.saver = Some(saver.clone());
        self
    }

    /// Sets the options of the restore, such as other names in the checkpoint. A variable that the checkpoint lacks is an error in any case,
    /// because an exported model has no other source of values. Default: [`RestoreOptions::new`].
    ///
    /// ```
    /// use checkpoint::RestoreOptions;
    /// use saved_model::{CheckpointExport, MetaGraphOptions};
    /// # let graph = session_core::Graph::new();
    /// // The variable `w` of the graph is `encoder/w` in the checkpoints.
    /// let options = RestoreOptions::new().rename("w", "encoder/w");
    /// let export = CheckpointExport::new(&graph, MetaGraphOptions::new()).restore_options(options);
    /// # let _ = export;
    /// ```
    #[must_use]
    pub fn restore_options(mut self, options: RestoreOptions) -> CheckpointExport {
        self.restore = options;
        self
    }

    /// Writes a SavedModel with the variables of the checkpoint with this prefix into a folder that does not exist or is empty.
    ///
    /// # Errors
    /// As [`load_variables`] and [`SavedModelBuilder`]; a value error without an engine.
    pub fn export(&self, checkpoint: impl AsRef<Path>, folder: impl AsRef<Path>) -> Result<()> {
        let (checkpoint, folder) = (checkpoint.as_ref(), folder.as_ref());
        self.try_export(checkpoint, folder).map_err(|error| {
            let text = format!(
                "the checkpoint '{}' cannot be exported to '{}'",
                checkpoint.display(),
                folder.display()
            );
            error.context(text).with_phase(Phase::Save)
        })
    }

    /// Restores a checkpoint, and exports the session.
    fn try_export(&self, checkpoint: &Path, folder: &Path) -> Result<()> {
        let engine = default_engine(self.engine.as_ref())?;
        let session = engine.new_session(&self.graph, "", &self.config)?;
        let saved = self.save(&*session, checkpoint, folder);
        // The error of the export is the one to report.
        saved.and(session.close())
    }

    /// Writes the model.
    fn save(&self, session: &dyn Session, checkpoint: &Path, folder: &Path) -> Result<()> {
        let report = load_variables(session, self.saver.as_ref(), checkpoint, &self.restore)?;
        if let Some(missing) = report.missing.first() {
            let text = format!(
                "the checkpoint has no value for {} variables, such as '{missing}'",
                report.missing.len()
            );
            return Err(Error::value(text));
        }
        // After the restore, so that a checkpoint that cannot be read leaves no folder behind.
        let mut builder = SavedModelBuilder::new(folder)?;
        builder.add_meta_graph_and_variables(session, &self.tags, &self.options)?;
        builder.save()?;
        Ok(())
    }
}

impl fmt::Debug for CheckpointExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointExport")
            .field("graph", &self.graph)
            .field("tags", &self.tags)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
