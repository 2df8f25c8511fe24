//! The files that a model needs.
//!
//! # Semantics
//!
//! A meta graph lists its assets in the field `asset_file_def`, which TensorFlow 2 writes, or in the collection
//! `saved_model_assets`, which TensorFlow 1 writes. Each entry names a file in the folder `assets` and the string
//! tensor that is fed its path before the init op runs.
//!
//! A name must be a relative path of plain components. Absolute paths, `..`, backslashes and control characters are
//! rejected before anything is opened; a symbolic link that leads out of the folder is rejected when the graph reads it.

use graph_def::proto::{AnyList, AssetFileDef, Collection, MetaGraphDef, TensorInfoEncoding};
use session_core::{Code, Error, Result};
use std::path::{Component, Path, PathBuf};
use tensor::text::escaped;

/// The collection in which TensorFlow 1 lists assets.
pub(crate) const COLLECTION: &str = "saved_model_assets";
/// The folder of the files, below that of the model.
pub(crate) const FOLDER: &str = "assets";

/// A file that a model needs, and the tensor of the graph that is fed its path.
///
/// ```
/// use saved_model::{SavedModelFolder, tags};
/// # let path = "tests/fixtures/table_asset/model";
/// let folder = SavedModelFolder::open(path)?;
/// for asset in folder.meta_graph([tags::SERVING])?.assets()? {
///     assert!(asset.path.starts_with(folder.path()), "{}", asset.path.display());
/// }
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asset {
    /// The name of the tensor.
    pub tensor: String,
    /// The path of the file.
    pub path: PathBuf,
    /// The name of the file within the folder `assets`.
    pub filename: String,
}

/// The assets of a meta graph: those of the field, or if it has none those of the collection.
pub(crate) fn assets_of(folder: &Path, message: &MetaGraphDef) -> Result<Vec<Asset>> {
    // Writers that fill both list the same files in each, so reading one is enough.
    let listed = match message.asset_file_def.as_slice() {
        [] => in_collection(message)?,
        listed => listed.to_vec(),
    };
    listed.iter().map(|def| asset(folder, def)).collect()
}

/// Returns the assets that the collection lists; none if the graph has no such collection.
fn in_collection(message: &MetaGraphDef) -> Result<Vec<AssetFileDef>> {
    let place = |error: Error| error.context(format!("the collection '{COLLECTION}' cannot be read"));
    let Some(kind) = message.collection_def.get(COLLECTION).and_then(|def| def.kind.as_ref()) else {
        return Ok(Vec::new());
    };
    let Collection::Any(bytes) = kind else {
        return Err(place(Error::new(Code::DataLoss, "its items do not state their types")));
    };
    let items = AnyList::from_bytes(bytes.clone()).map_err(place)?;
    let item = |any: graph_def::proto::Any| {
        // The part before the last slash is the authority of the type, which writers choose.
        if any.type_url.rsplit('/').next() != Some("tensorflow.AssetFileDef") {
            let text = format!("an item is of type '{}', not an AssetFileDef", any.type_url);
            return Err(place(Error::new(Code::DataLoss, text)));
        }
        AssetFileDef::from_bytes(any.value).map_err(place)
    };
    items.value.into_iter().map(item).collect()
}

/// Checks an entry and resolves its path.
fn asset(folder: &Path, def: &AssetFileDef) -> Result<Asset> {
    let filename = def.filename.as_str();
    // Only plain components: `..` or an absolute path would lead out of the folder when it is joined.
    let plain = Path::new(filename).components().all(|part| matches!(part, Component::Normal(_)));
    // A name with control characters would reach terminals and logs with every message about the file.
    let is_text = !filename.contains(|letter: char| letter.is_control() || letter == '\\');
    if filename.is_empty() || !is_text || !plain {
        let text = format!(
            "the asset '{}' of the SavedModel '{}' is not the name of a file within its folder '{FOLDER}'; it is not \
             opened",
            escaped(filename),
            folder.display()
        );
        return Err(Error::invalid_argument(text));
    }
    let encoding = def.tensor_info.as_ref().and_then(|info| info.encoding.as_ref());
    let Some(TensorInfoEncoding::Name(tensor)) = encoding else {
        let text = format!(
            "the asset '{filename}' of the SavedModel '{}' does not name the tensor that is fed its path",
            folder.display()
        );
        return Err(Error::new(Code::DataLoss, text));
    };
    Ok(Asset {
        tensor: tensor.clone(),
        path: folder.join(FOLDER).join(filename),
        filename: filename.to_owned(),
    })
}
