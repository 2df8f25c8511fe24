//! The folder of a SavedModel: its message and the paths of its files.

use crate::assets::{Asset, assets_of};
use bytes::Bytes;
use graph_def::proto::{MetaGraphDef, SavedModel as Message};
use session_core::{Code, Error, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tensor::FileKind;

/// The file of the message in binary form.
pub(crate) const BINARY: &str = "saved_model.pb";
/// The file of the message in text form.
pub(crate) const TEXT: &str = "saved_model.pbtxt";
/// The prefix of the checkpoint with the variables, below the folder.
pub(crate) const VARIABLES: &str = "variables/variables";

/// The folder of a SavedModel that is read but not loaded: its tags, signatures, and assets, without creating a graph.
///
/// ```
/// use saved_model::SavedModelFolder;
/// # let path = "tests/fixtures/several_tags/model";
/// let folder = SavedModelFolder::open(path)?;
/// for meta_graph in folder.meta_graphs() {
///     println!("{:?}: {:?}", meta_graph.tags(), meta_graph.message().signature_def.keys());
/// }
/// # assert_eq!(folder.meta_graphs().count(), 3);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SavedModelFolder {
    /// The path of the folder.
    path: PathBuf,
    /// The message of the model.
    message: Message,
}

impl SavedModelFolder {
    /// Reads `saved_model.pb`, or else `saved_model.pbtxt`, of a folder.
    ///
    /// ```
    /// use saved_model::SavedModelFolder;
    /// # let path = "tests/fixtures/dense/model";
    /// let folder = SavedModelFolder::open(path)?;
    /// assert_eq!(folder.meta_graphs().count(), 1);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `NotFound` for a folder without either, `DataLoss` for a file that is not a SavedModel, and errors of the operating system.
    pub fn open(path: impl AsRef<Path>) -> Result<SavedModelFolder> {
        let path = path.as_ref().to_path_buf();
        let (binary, text) = (path.join(BINARY), path.join(TEXT));
        // The binary form first, if both exist, as TensorFlow does.
        let message = if binary.exists() {
            read(&binary, |bytes| Message::from_bytes(Bytes::from(bytes)))?
        } else if text.exists() {
            read(&text, |bytes| {
                let text = std::str::from_utf8(&bytes).map_err(|error| {
                    Error::new(Code::DataLoss, "the text is not UTF-8").with_source(error)
                })?;
                Message::from_text(text)
            })?
        } else {
            return Err(missing(&path));
        };
        Ok(SavedModelFolder { path, message })
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the message of the file, unchanged.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Returns the prefix of the checkpoint with the variables, `variables/variables` in the folder. A model without variables has none.
    #[must_use]
    pub fn variables(&self) -> PathBuf {
        self.path.join(VARIABLES)
    }

    /// Returns all meta graphs.
    pub fn meta_graphs(&self) -> impl Iterator<Item = TaggedGraph<'_>> {
        self.message.meta_graphs.iter().map(|message| TaggedGraph { folder: self, message })
    }

    /// Returns the meta graph with exactly these tags, in any order. The first one is returned if there are several.
    ///
    /// ```
    /// use saved_model::SavedModelFolder;
    /// # let path = "tests/fixtures/several_tags/model";
    /// let folder = SavedModelFolder::open(path)?;
    /// assert_eq!(folder.meta_graph(["serve"])?.tags(), ["serve"]);
    /// let error = folder.meta_graph(["serving"]).unwrap_err(); // lists the existing tag sets
    /// assert!(error.to_string().contains("serve"), "{error}");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error that lists the existing tag sets if no meta graph has exactly these tags.
    pub fn meta_graph(&self, tags: impl IntoIterator<Item = impl AsRef<str>>) -> Result<TaggedGraph<'_>> {
        // Sets, because the order of tags has no meaning.
        let asked: BTreeSet<String> = tags.into_iter().map(|tag| tag.as_ref().to_owned()).collect();
        let of = |message: &MetaGraphDef| tags_of(message).iter().cloned().collect::<BTreeSet<String>>();
        let found = self.message.meta_graphs.iter().find(|message| of(message) == asked);
        found.map(|message| TaggedGraph { folder: self, message }).ok_or_else(|| {
            let (asked, all) = (listed(&asked), self.available());
            Error::key(format!(
                "the SavedModel '{}' has no meta graph with the tags {asked}; it has {all}",
                self.path.display()
            ))
        })
    }

    /// Returns the meta graph to use if the caller names none: the only one, or else the one with the single tag `serve`.
    ///
    /// ```
    /// use saved_model::SavedModelFolder;
    /// # let path = "tests/fixtures/several_tags/model";
    /// let folder = SavedModelFolder::open(path)?;
    /// assert_eq!(folder.default_meta_graph()?.tags(), ["serve"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A value error if several meta graphs remain, and for a model without meta graphs.
    pub fn default_meta_graph(&self) -> Result<TaggedGraph<'_>> {
        if let [message] = self.message.meta_graphs.as_slice() {
            return Ok(TaggedGraph { folder: self, message });
        }
        self.meta_graph([crate::tags::SERVING]).map_err(|_| {
            let path = self.path.display();
            Error::value(match self.message.meta_graphs.is_empty() {
                true => format!("the SavedModel '{path}' holds no meta graph"),
                false => format!(
                    "name the tags of the meta graph; the SavedModel '{path}' has {}",
                    self.available()
                ),
            })
        })
    }

    /// The tags of all meta graphs, as messages list them.
    fn available(&self) -> String {
        let mut text = String::new();
        for message in &self.message.meta_graphs {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{}", listed(&tags_of(message).iter().cloned().collect()));
        }
        if text.is_empty() { "no meta graph".to_owned() } else { text }
    }
}

/// A meta graph of a SavedModel, with its tags. See [`SavedModelFolder::meta_graph`].
///
/// ```
/// use saved_model::SavedModelFolder;
/// # let path = "tests/fixtures/dense/model";
/// let folder = SavedModelFolder::open(path)?;
/// let meta_graph = folder.meta_graph(["serve"])?;
/// let signature = &meta_graph.message().signature_def["serving_default"];
/// assert_eq!(signature.method_name, "tensorflow/serving/predict");
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TaggedGraph<'f> {
    /// The folder.
    folder: &'f SavedModelFolder,
    /// The meta graph.
    message: &'f MetaGraphDef,
}

impl<'f> TaggedGraph<'f> {
    /// Returns the folder that the meta graph belongs to.
    #[must_use]
    pub fn folder(&self) -> &'f SavedModelFolder {
        self.folder
    }

    /// Returns the message of the meta graph.
    #[must_use]
    pub fn message(&self) -> &'f MetaGraphDef {
        self.message
    }

    /// Returns the tags in the order of the file.
    #[must_use]
    pub fn tags(&self) -> &'f [String] {
        tags_of(self.message)
    }

    /// Returns the files that the model needs, each with the tensor that is fed its path.
    ///
    /// ```
    /// use saved_model::SavedModelFolder;
    /// # let path = "tests/fixtures/table_asset/model";
    /// let folder = SavedModelFolder::open(path)?;
    /// for asset in folder.meta_graph(["serve"])?.assets()? {
    ///     println!("{} is read from {}", asset.tensor, asset.path.display());
    /// }
    /// # assert_eq!(folder.meta_graph(["serve"])?.assets()?.len(), 2);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `DataLoss` for a collection of assets with other content, `InvalidArgument` for a file name that leads out of the folder.
    pub fn assets(&self) -> Result<Vec<Asset>> {
        assets_of(&self.folder.path, self.message)
    }
}

/// Returns the tags of a meta graph.
fn tags_of(message: &MetaGraphDef) -> &[String] {
    message.meta_info_def.as_ref().map(|info| info.tags.as_slice()).unwrap_or_default()
}

/// Formats a set of tags for messages.
fn listed(tags: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = tags.iter().map(|tag| format!("'{tag}'")).collect();
    format!("{{{}}}", quoted.join(", "))
}

/// Reads and parses a file.
fn read(path: &Path, parse: impl FnOnce(Vec<u8>) -> Result<Message>) -> Result<Message> {
    let at_path =
        |error: Error| error.context(format!("cannot parse the SavedModel file '{}'", path.display()));
    let metadata = std::fs::metadata(path)?;
    // A pipe or a device would block the read, or never end.
    if !metadata.is_file() {
        let text = format!("'{}' is not a regular file", path.display());
        return Err(Error::new(Code::FailedPrecondition, text));
    }
    let bytes = std::fs::read(path)
        .map_err(|error| Error::other(error).context(format!("cannot read '{}'", path.display())))?;
    let kind = FileKind::of(path, &bytes[..bytes.len().min(FileKind::START)]);
    // Only kinds that are certain: a valid message may begin like a file of another kind by chance.
    if let Some(kind) = kind.filter(|kind| kind.is_certain() && *kind != FileKind::SavedModel) {
        return Err(at_path(Error::new(Code::DataLoss, format!("it is {kind}"))));
    }
    parse(bytes).map_err(at_path)
}

/// The error for a folder without a model.
fn missing(path: &Path) -> Error {
    let shown = path.display();
    // TensorFlow's text, which programs may match; the hint follows it.
    let text = format!("SavedModel file does not exist at: {shown}/{{{TEXT}|{BINARY}}}");
    let hint = match path {
        _ if !path.exists() => "; there is no such folder".to_owned(),
        _ if path.is_file() => "; it is a file, and a SavedModel is a folder".to_owned(),
        _ if path.join("saved_model.cpb").exists() => {
            "; the split form saved_model.cpb is not read: save the model again without it".to_owned()
        }
        _ => versions(path)
            .map(|version| format!("; it holds versions: open '{}'", version.display()))
            .unwrap_or_default(),
    };
    Error::new(Code::NotFound, format!("{text}{hint}"))
}

/// The newest of a folder's numbered versions.
fn versions(path: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(path).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let numbered = entries.filter_map(|entry| {
        let number: u64 = entry.file_name()?.to_str()?.parse().ok()?;
        // Only folders that hold a model: others may have numbers as names, too.
        (entry.join(BINARY).exists() || entry.join(TEXT).exists()).then_some((number, entry))
    });
    numbered.max().map(|(_, entry)| entry)
}
