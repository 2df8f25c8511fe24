//! Reading and writing of graph files.

use crate::proto::{GraphDef, MetaGraphDef};
use crate::{Error, Result, text};
use bytes::Bytes;
use checkpoint::storage::replace_file;
use session_core::Code;
use std::path::Path;
use tensor::FileKind;

/// The extension of files in text form.
const TEXT: &str = "pbtxt";

/// Reads a `.meta` file without importing it, in binary or text form.
///
/// ```
/// use graph_def::{export_meta_graph, read_meta_graph, write_meta_graph};
/// use session_core::Graph;
/// # let folder = tempfile::tempdir().unwrap();
/// # let file = folder.path().join("model.meta");
/// let graph = Graph::new();
/// write_meta_graph(&file, &export_meta_graph(&graph, None)?)?;
/// assert!(read_meta_graph(&file)?.graph_def.is_some());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// The error of a file that cannot be read (`NotFound` and the like); `DataLoss` for other content.
pub fn read_meta_graph(path: impl AsRef<Path>) -> Result<MetaGraphDef> {
    let path = path.as_ref();
    read(path, "no MetaGraphDef", MetaGraphDef::from_bytes, MetaGraphDef::from_text)
}

/// Reads a file that holds a meta graph or a plain graph (`.pb`), in binary or text form (`.pbtxt`). A plain graph is returned
/// as a meta graph with nothing else.
///
/// ```
/// use graph_def::{read_graph_file, to_graph_def, write_graph};
/// use session_core::Graph;
/// # let folder = tempfile::tempdir().unwrap();
/// # let file = folder.path().join("graph.pb");
/// let graph = Graph::new();
/// let _two = ops::array::constant(&graph.named("two"), 2.0f32);
/// write_graph(&file, &to_graph_def(&graph)?)?;
/// let message = read_graph_file(&file)?; // a plain graph, as a meta graph
/// assert!(message.graph_def.is_some() && message.meta_info_def.is_none());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// The error of a file that cannot be read (`NotFound` and the like); `DataLoss` for other content, with line and column for
/// text.
pub fn read_graph_file(path: impl AsRef<Path>) -> Result<MetaGraphDef> {
    let neither = "neither a MetaGraphDef nor a GraphDef";
    read(path.as_ref(), neither, binary, text::meta_graph_or_graph)
}

/// Reads a file in binary form or, if that fails, in text form. `otherwise` describes a file that is neither.
fn read(
    path: &Path,
    otherwise: &str,
    binary: impl FnOnce(Bytes) -> Result<MetaGraphDef>,
    text: impl FnOnce(&str) -> Result<MetaGraphDef>,
) -> Result<MetaGraphDef> {
    let bytes = Bytes::from(read_file(path)?);
    let at_path = |error: Error| error.context(format!("'{}' holds {otherwise}", path.display()));
    // Binary first, as TensorFlow reads graph files: a text does not decode to a graph whose nodes have
    // names.
    let error = match binary(bytes.clone()) {
        Ok(message) => return Ok(message),
        Err(error) => error,
    };
    // Known only after both forms could have been meant: an unpacked archive or a web page deserves its own
    // message.
    let kind = FileKind::of(path, &bytes[..bytes.len().min(FileKind::START)]);
    if let Some(kind) = kind.filter(|kind| kind.is_certain()) {
        return Err(at_path(Error::new(Code::DataLoss, format!("it is {kind}"))));
    }
    // Editors on Windows start a text with a byte order mark.
    let content = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match std::str::from_utf8(content) {
        Ok(content) if is_text(path, content) => text(content).map_err(at_path),
        Err(wrong) if is_mostly_text(path, content) => Err(at_path(not_utf8(content, wrong.valid_up_to()))),
        _ => Err(at_path(match (kind, ends_early(&bytes)) {
            (Some(kind), _) if kind != FileKind::MetaGraph => {
                Error::new(Code::DataLoss, format!("it is {kind}"))
            }
            (_, Some(error)) => error,
            _ => error,
        })),
    }
}

/// Returns true if the file is meant to be text, even if some bytes are not UTF-8.
fn is_mostly_text(path: &Path, content: &[u8]) -> bool {
    path.extension().is_some_and(|ending| ending == TEXT)
        || !content.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t'))
}

/// Returns the error for a text file with bytes that are not UTF-8, with their offset.
fn not_utf8(content: &[u8], at: usize) -> Error {
    let before = &content[..at];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.rsplit(|&byte| byte == b'\n').next().map_or(0, <[u8]>::len) + 1;
    let byte = content.get(at).copied().unwrap_or_default();
    let text = format!(
        "the text is not UTF-8: byte 0x{byte:02x} at line {line}, column {column}; if it is in Latin-1, convert it, as with \
         'iconv -f latin1 -t utf-8'"
    );
    Error::new(Code::DataLoss, text)
}

/// Returns an error if a message ends inside a field.
fn ends_early(bytes: &[u8]) -> Option<Error> {
    let cut = |expected: u64| {
        let text = format!(
            "the file ends inside a field: it has {} bytes of at least {expected}; it was truncated, so copy or \
            write it again",
            bytes.len()
        );
        Error::new(Code::DataLoss, text)
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = |rest: &[u8]| (bytes.len() - rest.len()) as u64;
        let (key, value) = varint(rest)?;
        let start = end(value);
        let size = match key & 7 {
            0 => varint(value).map(|(_, behind)| (value.len() - behind.len()) as u64),
            1 => Some(8),
            2 => {
                varint(value).map(|(size, behind)| ((value.len() - behind.len()) as u64).saturating_add(size))
            }
            5 => Some(4),
            _ => return None, // not a message
        };
        // A varint without an end needs more bytes than there are.
        let size = size.unwrap_or(value.len() as u64 + 1);
        match usize::try_from(size).ok().and_then(|size| value.get(size..)) {
            Some(behind) => rest = behind,
            // In a file that is no message at all, the first key is a random number, and so is the length
            // that it seems to announce.
            None if key >> 3 <= MOST_FIELDS => return Some(cut(start.saturating_add(size))),
            None => return None,
        }
    }
    None
}

/// The highest number of a field in a graph's messages.
const MOST_FIELDS: u64 = 7;

/// Reads a varint off the front of some bytes.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// Returns true if the file is meant to be text.
fn is_text(path: &Path, content: &str) -> bool {
    path.extension().is_some_and(|ending| ending == TEXT)
        || !content.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// Parses a binary message, which may be a meta graph or a plain graph.
fn binary(bytes: Bytes) -> Result<MetaGraphDef> {
    // Each message may decode as the other; only a graph has nodes with names and types.
    let is_graph = |graph: &GraphDef| {
        !graph.node.is_empty() && graph.node.iter().all(|node| !node.name.is_empty() && !node.op.is_empty())
    };
    if let Ok(meta) = MetaGraphDef::from_bytes(bytes.clone())
        && meta.graph_def.as_ref().is_some_and(is_graph)
    {
        return Ok(meta);
    }
    match GraphDef::from_bytes(bytes) {
        Ok(graph) if is_graph(&graph) => {
            Ok(MetaGraphDef { graph_def: Some(graph), ..MetaGraphDef::default() })
        }
        _ => Err(Error::new(Code::DataLoss, "it has no nodes with names and types")),
    }
}

/// Reads the content of a file.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        // Asked after the error: systems report a folder in different ways.
        if path.is_dir() {
            return is_folder(path);
        }
        let code = Error::from(std::io::Error::from(error.kind())).code();
        Error::new(code, format!("cannot read '{}'", path.display())).with_source(error)
    })
}

/// Returns the error for a folder where a file is requested.
fn is_folder(path: &Path) -> Error {
    let is_saved_model = ["saved_model.pb", "saved_model.pbtxt"].iter().any(|name| path.join(name).exists());
    let help = match is_saved_model {
        true => {
            "the folder of a SavedModel, as 'monitored run' and SavedModel::load take it; here a meta graph is expected"
        }
        false => "a folder: name the file in it that holds the graph, such as a .meta, .pb or .pbtxt file",
    };
    Error::invalid_argument(format!("'{}' is {help}", path.display()))
}

/// Writes a meta graph to a file, in text form if its name ends with `.pbtxt`. An existing file is replaced atomically, and missing folders
/// are created.
///
/// ```
/// use graph_def::{export_meta_graph, read_meta_graph, write_meta_graph};
/// use session_core::Graph;
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let graph = Graph::new();
/// let _w = ops::variables::variable(&graph.named("w"), 1.0f32);
/// let message = export_meta_graph(&graph, None)?;
/// write_meta_graph(folder.join("model.meta"), &message)?;
/// write_meta_graph(folder.join("model.pbtxt"), &message)?; // the same in text form
/// assert_eq!(read_meta_graph(folder.join("model.pbtxt"))?, message);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// `PermissionDenied` and others if the file cannot be written; the errors of [`MetaGraphDef::to_text`].
pub fn write_meta_graph(path: impl AsRef<Path>, message: &MetaGraphDef) -> Result<()> {
    write(path.as_ref(), || message.to_bytes(), || message.to_text())
}

/// Writes a graph to a file, as [`write_meta_graph`] does for meta graphs.
///
/// ```
/// use graph_def::{read_graph_file, to_graph_def, write_graph};
/// use session_core::Graph;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("graph.pbtxt");
/// let graph = Graph::new();
/// let _two = ops::array::constant(&graph.named("two"), 2.0f32);
/// write_graph(&path, &to_graph_def(&graph)?)?;
/// assert!(std::fs::read_to_string(&path).unwrap().starts_with("node {\n  name: \"two\"\n  op: \"Const\"\n"));
/// assert_eq!(read_graph_file(&path)?.graph_def, Some(to_graph_def(&graph)?));
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// Returns the errors of [`write_meta_graph`].
pub fn write_graph(path: impl AsRef<Path>, message: &GraphDef) -> Result<()> {
    write(path.as_ref(), || message.to_bytes(), || message.to_text())
}

/// Writes a file, in text form if its name ends with `.pbtxt`. Missing folders are created.
fn write(path: &Path, binary: impl FnOnce() -> Bytes, text: impl FnOnce() -> Result<String>) -> Result<()> {
    let content = match path.extension() {
        Some(ending) if ending == TEXT => Bytes::from(text()?),
        _ => binary(),
    };
    if let Some(folder) = path.parent() {
        let failed =
            |source| checkpoint::Error::Io { operation: "create", path: folder.to_path_buf(), source };
        // As TensorFlow's `write_graph` does.
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(replace_file(path, &content)?)
}
