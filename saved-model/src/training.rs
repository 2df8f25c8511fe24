//! Training that continues from a SavedModel.

use crate::folder::SavedModelFolder;
use crate::model::SavedModel;
use crate::restore::{Initialization, saver};
use graph_def::{ImportOptions, import_meta_graph_def};
use ops::control_flow::group;
use scaffold::{Scaffold, ScaffoldBuilder, default_local_init_op};
use session_core::{Error, Graph, Phase, Result, SessionExt, Tensor};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl SavedModel {
    /// Imports a meta graph for training, and settles its scaffold, as
    /// [`Scaffold::from_meta_graph`](scaffold::Scaffold::from_meta_graph) does for a `.meta` file. A session without a
    /// checkpoint begins with the variables of the SavedModel; variables that it does not hold begin with their initial values.
    ///
    /// ```no_run
    /// use saved_model::{SavedModel, tags};
    /// let scaffold = SavedModel::scaffold("model", [tags::TRAINING])?;
    /// let graph = scaffold.graph(); // for a monitored session: `.scaffold(scaffold)`
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`SavedModel::load`], and those of the collections' import.
    pub fn scaffold(
        path: impl AsRef<Path>,
        tags: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Scaffold> {
        let folder = SavedModelFolder::open(path)?;
        let meta_graph = folder.meta_graph(tags)?;
        let place = |error: Error| {
            error.context(format!("cannot train the SavedModel '{}'", folder.path().display()))
        };
        let meta = import_meta_graph_def(
            &Graph::new(),
            meta_graph.message(),
            &ImportOptions::new().file(folder.path()),
        )
        .map_err(place)?;
        let mut builder = ScaffoldBuilder::from_meta_graph(&meta);
        // Through the init function, which runs in sessions without a checkpoint only.
        if let Some((filename, restore)) = saver(&meta_graph, &meta.imported).map_err(place)? {
            let prefix = Tensor::string(folder.variables().as_os_str().as_bytes().to_vec());
            builder = builder.init_fn(move |_, session| {
                let run = session.run(&restore, [(&filename, prefix.clone())]);
                run.map_err(|error| error.context("the variables of the SavedModel cannot be restored"))
                    .map_err(|error| error.with_phase(Phase::Init))
            });
        }
        let initialization = Initialization::of(meta_graph, &meta.imported).map_err(place)?;
        if initialization.is_named {
            // The model's init op does not know what the program adds to the graph.
            let local = default_local_init_op(&meta.graph);
            let all = initialization.operations.iter().chain([&local]);
            builder = builder.local_init_op(&group(&meta.graph, all));
        }
        for (tensor, path) in initialization.feeds {
            builder = builder.local_init_feed(&tensor, path);
        }
        let scaffold = builder.finalize(&meta.graph).map_err(place)?;
        // The program adds its training to the graph, so it must be open.
        meta.graph.unfinalize();
        Ok(scaffold)
    }
}
