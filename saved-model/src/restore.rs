//! Bringing a loaded model to the state in which it was saved: variables, then the init op with the assets.
//!
//! # Semantics
//!
//! 1. The restore operation of the saver runs with the path of `variables/variables`.
//! 2. Variables of TensorFlow 2 that it leaves out are loaded by their names in the graph of objects.
//! 3. The init op runs, with the path of each asset fed. It is the one of the signature `__saved_model_init_op`, or of
//!    the collections `saved_model_main_op` and `legacy_init_op`. Without one, local variables and tables are initialized.
//!
//! The session checks the files that operations open. The second step reads outside of the graph and is checked here.

use crate::folder::TaggedGraph;
use crate::frozen::operation_name;
use crate::variables::load_by_object_names;
use graph_def::Imported;
use graph_def::proto::{Collection, MetaGraphDef, SaverDef, SignatureDef, TensorInfoEncoding, VariableDef};
use session_core::{
    Code, DType, Error, FileAccess, Operation, Output, Phase, Result, Session, SessionExt, Tensor, keys,
};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The signature that names the init op.
pub(crate) const INIT_SIGNATURE: &str = "__saved_model_init_op";
/// The signature that names the train op.
pub(crate) const TRAIN_SIGNATURE: &str = "__saved_model_train_op";
/// The collections that name the init op, in the order of their precedence.
pub(crate) const INIT_COLLECTIONS: [&str; 2] = ["saved_model_main_op", "legacy_init_op"];

/// Restores the variables by the saver's operations.
pub(crate) fn variables(
    meta_graph: &TaggedGraph<'_>,
    imported: &Imported,
    session: &dyn Session,
    access: &FileAccess,
) -> Result<()> {
    let Some((filename, restore)) = saver(meta_graph, imported)? else { return Ok(()) };
    let path = meta_graph.folder().variables();
    // What the graph reads, its session checks. What is read here, outside of the graph, must be as safe.
    let by_objects = || match meta_graph.message().object_graph_def.is_empty() {
        true => Ok(()),
        false => load_by_object_names(session, &restore, &path, access),
    };
    // By objects only afterwards: that step loads what the restore operation leaves out.
    let restored = session.run(&restore, [(&filename, path_tensor(&path))]).and_then(|()| by_objects());
    restored.map_err(|error| error.context("the variables cannot be restored").with_phase(Phase::Restore))
}

/// Returns the tensor that is fed the prefix of the variables, and the operation that restores them; `None` for a model that
/// keeps none.
pub(crate) fn saver(
    meta_graph: &TaggedGraph<'_>,
    imported: &Imported,
) -> Result<Option<(Output, Operation)>> {
    let message = meta_graph.message();
    let prefix = meta_graph.folder().variables();
    // The index alone tells, since a checkpoint has any number of data files.
    let exists = checkpoint::index_path(&prefix).exists();
    let Some(def) = message.saver_def.as_ref().filter(|def| !def.restore_op_name.is_empty()) else {
        let holds_variables = message.collection_def.contains_key(keys::VARIABLES.name());
        // The model would otherwise run with uninitialized variables.
        if exists && holds_variables {
            let text = format!(
                "'{}' holds variables, and the model names no saver to restore them",
                prefix.display()
            );
            return Err(Error::new(Code::FailedPrecondition, text));
        }
        return Ok(None);
    };
    if !exists {
        let text =
            format!("its variables are missing: there is no '{}'", checkpoint::index_path(&prefix).display());
        return Err(Error::new(Code::NotFound, text).with_phase(Phase::Restore));
    }
    let SaverDef { filename_tensor_name, restore_op_name, .. } = def;
    let place = |error: Error| error.context("the model's saver cannot be used");
    let filename = imported.output(filename_tensor_name).map_err(place)?;
    if filename.dtype() != DType::String {
        let text = format!("'{filename_tensor_name}', which is fed the file's name, is {}", filename.dtype());
        return Err(place(Error::type_mismatch(text)));
    }
    let restore = imported.operation(operation_name(restore_op_name)).map_err(place)?;
    Ok(Some((filename, restore.clone())))
}

/// The operations that run after the restore.
#[derive(Debug)]
pub(crate) struct Initialization {
    pub(crate) operations: Vec<Operation>,
    pub(crate) feeds: Vec<(Output, Tensor)>,
    /// True for an init op that the model names; else its local variables and tables are initialized.
    pub(crate) is_named: bool,
}

impl Initialization {
    pub(crate) fn of(meta_graph: TaggedGraph<'_>, imported: &Imported) -> Result<Initialization> {
        let message = meta_graph.message();
        let named = init_op(message)?;
        let is_named = named.is_some();
        let operations = match named {
            Some(name) => {
                let operation = imported.operation(operation_name(&name));
                vec![operation.map_err(|error| error.context("the model's init op is missing"))?.clone()]
            }
            None => local_initializers(message, imported),
        };
        let mut feeds = Vec::new();
        for asset in meta_graph.assets()? {
            let at_asset =
                |error: Error| error.context(format!("the asset '{}' cannot be used", asset.filename));
            let tensor = imported.output(&asset.tensor).map_err(at_asset)?;
            if tensor.dtype() != DType::String {
                let text = format!("its tensor '{}' is {}", asset.tensor, tensor.dtype());
                return Err(at_asset(Error::type_mismatch(text)));
            }
            feeds.push((tensor, path_tensor(&asset.path)));
        }
        Ok(Initialization { operations, feeds, is_named })
    }

    pub(crate) fn run(self, session: &dyn Session) -> Result<()> {
        if self.operations.is_empty() {
            return Ok(());
        }
        session
            .run(&self.operations, self.feeds)
            .map(|_| ())
            .map_err(|error| error.context("the model cannot be initialized").with_phase(Phase::Init))
    }
}

/// The name of the init op, from the first place that has one.
fn init_op(message: &MetaGraphDef) -> Result<Option<String>> {
    if let Some(SignatureDef { outputs, .. }) = message.signature_def.get(INIT_SIGNATURE) {
        let encoding = outputs.get(INIT_SIGNATURE).and_then(|info| info.encoding.as_ref());
        let Some(TensorInfoEncoding::Name(name)) = encoding else {
            let text = format!("the signature '{INIT_SIGNATURE}' names no operation");
            return Err(Error::new(Code::DataLoss, text));
        };
        return Ok(Some(name.clone()));
    }
    for collection in INIT_COLLECTIONS {
        let Some(kind) = message.collection_def.get(collection).and_then(|def| def.kind.as_ref()) else {
            continue;
        };
        let names = match kind {
            Collection::Nodes(list) => list.value.as_slice(),
            _ => &[],
        };
        // Exactly one, as TensorFlow's loader requires.
        let [name] = names else {
            let text =
                format!("the collection '{collection}' must name one init op, and it names {}", names.len());
            return Err(Error::runtime(text));
        };
        return Ok(Some(name.clone()));
    }
    Ok(None)
}

/// Returns the operations that initialize local variables and tables, as far as the collections name them.
fn local_initializers(message: &MetaGraphDef, imported: &Imported) -> Vec<Operation> {
    let kind = |name: &str| message.collection_def.get(name).and_then(|def| def.kind.as_ref());
    let mut names: Vec<String> = Vec::new();
    if let Some(Collection::Bytes(list)) = kind(keys::LOCAL_VARIABLES.name()) {
        // A definition that cannot be parsed names no initializer; its variable is reported when it is used.
        let defs = list.value.iter().filter_map(|bytes| VariableDef::from_bytes(bytes.clone()).ok());
        names.extend(defs.map(|def| def.initializer_name));
    }
    if let Some(Collection::Nodes(list)) = kind(keys::TABLE_INITIALIZERS.name()) {
        names.extend(list.value.iter().cloned());
    }
    let found = names.iter().filter_map(|name| imported.operation(operation_name(name)).ok());
    found.cloned().collect()
}

fn path_tensor(path: &Path) -> Tensor {
    // Paths on Unix are bytes.
    Tensor::string(path.as_os_str().as_bytes().to_vec())
}
