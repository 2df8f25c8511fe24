//! Recognition of files that are not of the expected kind.

use std::fmt;
use std::path::Path;

/// A kind of file that turns up where a checkpoint, a graph, or a file of records is expected. `Display`
/// explains what the file is and what to do about it, in words that follow the name of the file and 'it is'.
///
/// ```
/// use tensor::FileKind;
/// let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4\n";
/// assert_eq!(FileKind::of("model.meta", pointer), Some(FileKind::LfsPointer));
/// assert!(FileKind::LfsPointer.to_string().contains("git lfs pull"));
/// assert_eq!(FileKind::of("graph.pb", b"\x0a\x05"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// No content.
    Empty,
    /// The pointer that Git LFS keeps instead of a large file.
    LfsPointer,
    /// A web page.
    Html,
    /// gzip-compressed data.
    Gzip,
    /// zlib-compressed data.
    Zlib,
    /// bzip2-compressed data.
    Bzip2,
    /// xz-compressed data.
    Xz,
    /// Zstandard-compressed data.
    Zstd,
    /// A zip archive, such as a Keras model or a PyTorch checkpoint.
    Zip,
    /// A tar archive.
    Tar,
    /// An ONNX model.
    Onnx,
    /// An HDF5 file, such as a Keras model.
    Hdf5,
    /// A TensorFlow Lite model.
    TfLite,
    /// The graph of a SavedModel.
    SavedModel,
    /// Values pickled by Python, such as a PyTorch checkpoint.
    Pickle,
    /// A model in the format of llama.cpp.
    Gguf,
    /// A NumPy array.
    NumPy,
    /// A safetensors file.
    Safetensors,
    /// A TensorBoard event file.
    Events,
    /// The index of a checkpoint.
    CheckpointIndex,
    /// The data of a checkpoint.
    CheckpointData,
    /// The meta graph of a checkpoint.
    MetaGraph,
    /// Text in UTF-16.
    Utf16,
    /// A picture in PNG, JPEG or GIF.
    Image,
    /// A document in PDF.
    Pdf,
}

impl FileKind {
    /// The number of bytes at the start of a file that are examined.
    pub const START: usize = 512;

    /// Recognizes a file by its first bytes ([`START`](FileKind::START), or all if there are fewer), or else
    /// by its name. Returns `None` if the file may be of any kind.
    #[must_use]
    pub fn of(path: impl AsRef<Path>, start: &[u8]) -> Option<FileKind> {
        FileKind::by_content(start).or_else(|| FileKind::by_name(path.as_ref(), start))
    }

    fn by_content(start: &[u8]) -> Option<FileKind> {
        if start.is_empty() {
            return Some(FileKind::Empty);
        }
        // Pickle's protocols 4 and 5 begin with a frame (0x95), so one byte more can be compared.
        const MARKS: [(&[u8], FileKind); 19] = [
            (b"version https://git-lfs", FileKind::LfsPointer),
            (b"\x1f\x8b", FileKind::Gzip),
            (b"\xfd7zXZ\0", FileKind::Xz),
            (b"\x28\xb5\x2f\xfd", FileKind::Zstd),
            (b"PK\x03\x04", FileKind::Zip),
            (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
            (b"GGUF", FileKind::Gguf),
            (b"\x93NUMPY", FileKind::NumPy),
            (b"\x80\x02", FileKind::Pickle),
            (b"\x80\x03", FileKind::Pickle),
            (b"\x80\x04\x95", FileKind::Pickle),
            (b"\x80\x05\x95", FileKind::Pickle),
            (b"\xff\xfe", FileKind::Utf16),
            (b"\xfe\xff", FileKind::Utf16),
            (b"\x89PNG\r\n\x1a\n", FileKind::Image),
            (b"\xff\xd8\xff", FileKind::Image),
            (b"GIF8", FileKind::Image),
            (b"%PDF-", FileKind::Pdf),
            (b"saved_model_schema_version:", FileKind::SavedModel),
        ];
        if let Some((_, kind)) = MARKS.iter().find(|(mark, _)| start.starts_with(mark)) {
            return Some(*kind);
        }
        let at = |place: usize, mark: &[u8]| start.get(place..).is_some_and(|rest| rest.starts_with(mark));
        match start {
            _ if at(4, b"TFL3") => Some(FileKind::TfLite),
            _ if at(257, b"ustar") => Some(FileKind::Tar),
            // The length of a JSON header.
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => Some(FileKind::Safetensors),
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(FileKind::Zlib),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(FileKind::Bzip2),
            // A version, then a message whose first field is a message, too: the tags or the graph of a meta
            // graph.
            [0x08, 0x01, 0x12, rest @ ..] if matches!(behind_length(rest), [0x0a | 0x12, ..]) => {
                Some(FileKind::SavedModel)
            }
            // A version, then the name of the producer or the graph.
            [0x08, 1..=32, 0x12, length @ 1..=64, name @ ..] if is_word(name, *length) => {
                Some(FileKind::Onnx)
            }
            [0x08, 1..=32, 0x3a, ..] => Some(FileKind::Onnx),
            _ if is_html(start) => Some(FileKind::Html),
            _ => None,
        }
    }

    fn by_name(path: &Path, start: &[u8]) -> Option<FileKind> {
        let name = path.file_name()?.to_str()?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending {
            "safetensors" => Some(FileKind::Safetensors),
            "index" => Some(FileKind::CheckpointIndex),
            "meta" => Some(FileKind::MetaGraph),
            "onnx" => Some(FileKind::Onnx),
            "tflite" => Some(FileKind::TfLite),
            "h5" | "hdf5" => Some(FileKind::Hdf5),
            _ if name == "saved_model.pb" || name == "saved_model.pbtxt" => Some(FileKind::SavedModel),
            _ if name.contains("tfevents") && start.len() > 12 => Some(FileKind::Events),
            _ if name.contains(".data-") && name.contains("-of-") => Some(FileKind::CheckpointData),
            _ => None,
        }
    }

    /// Returns true if the content identifies the kind, rather than the name alone.
    #[must_use]
    pub fn is_certain(self) -> bool {
        !matches!(
            self,
            FileKind::Events | FileKind::CheckpointIndex | FileKind::CheckpointData | FileKind::MetaGraph
        )
    }
}

/// Returns the bytes that follow a varint.
fn behind_length(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).map_or(bytes.len(), |last| last + 1);
    &bytes[length..]
}

fn is_word(text: &[u8], length: u8) -> bool {
    text.get(..length.into()).is_some_and(|word| word.iter().all(|byte| (0x20..0x7f).contains(byte)))
}

fn is_html(start: &[u8]) -> bool {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    ["<!doctype html", "<html", "<head", "<?xml"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|text| text.eq_ignore_ascii_case(tag.as_bytes())))
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Empty => "empty: the copy or download did not finish, or the disk was full",
            FileKind::LfsPointer => "a Git LFS pointer, not the file itself: fetch the file with 'git lfs pull'",
            FileKind::Html => {
                "a web page (HTML), such as a download that failed or asks for a login: download the file itself"
            }
            FileKind::Gzip => {
                "compressed with gzip: decompress it first, as with 'gunzip', or name the compression (GZIP) to what \
                 reads records"
            }
            FileKind::Zlib => {
                "compressed with zlib: decompress it first, or name the compression (ZLIB) to what reads records"
            }
            FileKind::Bzip2 => "compressed with bzip2: decompress it first, as with 'bunzip2'",
            FileKind::Xz => "compressed with xz: decompress it first, as with 'unxz'",
            FileKind::Zstd => "compressed with Zstandard: decompress it first, as with 'unzstd'",
            FileKind::Zip => {
                "a zip archive, such as a .keras model or a PyTorch checkpoint: unpack it, or export the model as a \
                 TensorFlow checkpoint or as safetensors"
            }
            FileKind::Tar => "a tar archive: unpack it first, as with 'tar -xf'",
            FileKind::Onnx => {
                "an ONNX model, which is a different format: export the model from TensorFlow as a meta graph (.meta) or \
                 a GraphDef (.pb)"
            }
            FileKind::Hdf5 => {
                "an HDF5 file, as Keras writes (.h5): load it in Keras and save a TensorFlow checkpoint, or \
                 safetensors"
            }
            FileKind::TfLite => {
                "a TensorFlow Lite model, which cannot be trained further: use the meta graph (.meta) or GraphDef \
                 (.pb) that it was made from"
            }
            FileKind::SavedModel => {
                "the graph of a SavedModel: name its folder, as 'monitored run' and SavedModel::load take it; its \
                 variables are the checkpoint 'variables/variables' in that folder"
            }
            FileKind::Pickle => {
                "pickled by Python, as PyTorch's checkpoints are: save it as safetensors in PyTorch"
            }
            FileKind::Gguf => {
                "a GGUF model of llama.cpp, which is a different format: use the TensorFlow checkpoint or safetensors file \
                 that it was made from"
            }
            FileKind::NumPy => "a NumPy array (.npy), which has no names: give it where single values are fed",
            FileKind::Safetensors => {
                "a safetensors file, which holds tensors and no graph: use it where a checkpoint is asked for, with \
                 the ending .safetensors"
            }
            FileKind::Events => {
                "an event file of TensorBoard: look into it with 'monitored events', and give a graph or a \
                 checkpoint here"
            }
            FileKind::CheckpointIndex => {
                "the index of a checkpoint: where a checkpoint is asked for give its prefix, without .index; its \
                 graph is in the file that ends with .meta"
            }
            FileKind::CheckpointData => {
                "a data file of a checkpoint: where a checkpoint is asked for give its prefix, without .data-...; its \
                 graph is in the file that ends with .meta"
            }
            FileKind::MetaGraph => {
                "the meta graph of a checkpoint: where a checkpoint is asked for give its prefix, without .meta"
            }
            FileKind::Image => "a picture (PNG, JPEG or GIF), which holds neither a graph nor tensors",
            FileKind::Pdf => "a document (PDF), which holds neither a graph nor tensors",
            FileKind::Utf16 => "text in UTF-16: convert it to UTF-8, as with 'iconv -f utf-16 -t utf-8'",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognized_by_their_first_bytes() {
        let mut tar = vec![0; 300];
        tar[257..262].copy_from_slice(b"ustar");
        let rows: [(&[u8], FileKind); 23] = [
            (b"", FileKind::Empty),
            (b"version https://git-lfs.github.com/spec/v1\noid", FileKind::LfsPointer),
            (b"\n <!DOCTYPE HTML><html>", FileKind::Html),
            (b"\x1f\x8b\x08\x00", FileKind::Gzip),
            (b"\x78\x9c\x4b\x04", FileKind::Zlib),
            (b"PK\x03\x04\x14\x00", FileKind::Zip),
            (&tar, FileKind::Tar),
            (b"\x08\x07\x12\x07pytorch\x1a\x03", FileKind::Onnx),
            (b"\x89HDF\r\n\x1a\n\x00", FileKind::Hdf5),
            (b"\x1c\0\0\0TFL3\x14\0", FileKind::TfLite),
            (b"\x08\x01\x12\x96\x02\x0a\x40\x22", FileKind::SavedModel),
            (b"\x80\x02}q\x00", FileKind::Pickle),
            (b"\x93NUMPY\x01\x00", FileKind::NumPy),
            (b"\x40\0\0\0\0\0\0\0{\"w\"", FileKind::Safetensors),
            (b"\xff\xfen\0o\0", FileKind::Utf16),
            (b"BZh91AY&SY", FileKind::Bzip2),
            (b"\xfd7zXZ\0\0\x04", FileKind::Xz),
            (b"\x28\xb5\x2f\xfd\x04", FileKind::Zstd),
            (b"GGUF\x03\0\0\0", FileKind::Gguf),
            (b"\x89PNG\r\n\x1a\n\0\0", FileKind::Image),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", FileKind::Image),
            (b"GIF89a", FileKind::Image),
            (b"%PDF-1.7", FileKind::Pdf),
        ];
        for (start, kind) in rows {
            assert_eq!(FileKind::of("file", start), Some(kind), "{start:?}");
            assert!(kind.is_certain());
        }
    }

    #[test]
    fn files_of_this_project_are_not_mistaken_for_others() {
        for start in [
            &b"\x0a\xa9\x07\x12\x82"[..],
            b"node { name: \"c\" }",
            b"\0\0\x06\x08\x01\x1a\x02",
            b"\x12\x04\x08\x01",
            b"BZhang { }",
        ] {
            assert_eq!(FileKind::of("graph.pb", start), None, "{start:?}");
        }
        assert_eq!(FileKind::of("m.data-00000-of-00001", b"\0\0\x20A"), Some(FileKind::CheckpointData));
        assert_eq!(FileKind::of("m.ckpt-5.index", b"\0\0\x06"), Some(FileKind::CheckpointIndex));
    }
}
