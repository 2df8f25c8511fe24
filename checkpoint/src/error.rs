//! The error type.

use std::io;
use std::path::{Path, PathBuf};
use tensor::text::escaped;
use tensor::{DType, Shape, TensorError};
use wire::Code;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error that a caller's own code reports through this crate.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a checkpoint cannot be read, written, or used.
///
/// ```
/// let error = checkpoint::load_variable("no/such/checkpoint", "w").unwrap_err();
/// assert!(matches!(error, checkpoint::Error::NotFound { .. }), "{error}");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused a file operation. `source` has the reason (disk full, no permission, ...).
    #[error("cannot {operation} {}: {source}", escaped(path.display()))]
    Io {
        /// The attempted operation, such as `write` or `rename`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no checkpoint with this prefix, in this folder, or in this file.
    #[error("no checkpoint at {}", escaped(path.display()))]
    NotFound {
        /// The prefix, folder or file requested.
        path: PathBuf,
    },
    /// The checkpoint has no tensor of these names.
    #[error("not found in checkpoint {}: {}", escaped(path.display()), listed(names))]
    TensorMissing {
        /// The checkpoint.
        path: PathBuf,
        /// Every name that is missing.
        names: Vec<String>,
    },
    /// A strict restore met tensors that the target does not have.
    #[error("unexpected in checkpoint {}: {}", escaped(path.display()), listed(names))]
    TensorUnexpected {
        /// The checkpoint.
        path: PathBuf,
        /// Every name that the target does not have.
        names: Vec<String>,
    },
    /// A stored tensor has another dtype than the variable it is for.
    #[error("tensor {name:?} is stored as {found}, the variable is {expected}")]
    DTypeMismatch {
        /// The tensor's name in the checkpoint.
        name: String,
        /// The variable's dtype.
        expected: DType,
        /// The stored dtype.
        found: DType,
    },
    /// A stored tensor has another shape than the variable it is for.
    #[error("tensor {name:?} is stored with shape {found}, the variable has {expected}")]
    ShapeMismatch {
        /// The tensor's name in the checkpoint.
        name: String,
        /// The variable's shape.
        expected: Shape,
        /// The stored shape.
        found: Shape,
    },
    /// Bytes on disk are not what they must be: a checksum, a length or the structure is wrong.
    #[error("{} is damaged{}: {}", escaped(path.display()), in_tensor(tensor.as_deref()), escaped(what))]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// The tensor that cannot be read, if the damage is confined to one.
        tensor: Option<String>,
        /// The defect.
        what: String,
    },
    /// A file is of a newer or foreign kind that this crate does not read.
    #[error("{} cannot be read by this program: {}", escaped(path.display()), escaped(what))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The unsupported feature.
        what: String,
    },
    /// A tensor's dtype cannot be stored in this format.
    #[error("tensor {name:?} of dtype {dtype} cannot be stored as {format}")]
    UnsupportedDType {
        /// The tensor's name.
        name: String,
        /// The dtype of the tensor.
        dtype: DType,
        /// The format's name.
        format: &'static str,
    },
    /// A request that makes no sense, such as two tensors of one name.
    #[error("{}", escaped(_0))]
    Invalid(String),
    /// The folder into which a checkpoint should be written does not exist (S-288).
    #[error("parent directory of {} doesn't exist, can't save", escaped(path.display()))]
    ParentMissing {
        /// The prefix that was to be written.
        path: PathBuf,
    },
    /// The path at which a file or folder is needed belongs to something else.
    #[error("{} is {found}, but {needed}: move it away, or choose another folder", escaped(path.display()))]
    Obstructed {
        /// The path.
        path: PathBuf,
        /// The kind of the file or folder with this path.
        found: &'static str,
        /// The need for the path.
        needed: &'static str,
    },
    /// Another process, or another training of this one, saves into the same folder.
    #[error("{} is in use by {}; two trainings cannot save into one folder", escaped(directory.display()), escaped(holder))]
    Locked {
        /// The folder.
        directory: PathBuf,
        /// The owner of the folder and the time since when it owns it.
        holder: String,
    },
    /// The checkpoint was saved again while it was being read.
    #[error("checkpoint {} was replaced while it was being read: open it again", escaped(path.display()))]
    Replaced {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A time limit passed.
    #[error("no new checkpoint in {} within the time limit", escaped(directory.display()))]
    TimedOut {
        /// The folder that was watched.
        directory: PathBuf,
    },
    /// Every checkpoint that could have been restored was rejected.
    #[error("no intact checkpoint in {}: {}", escaped(directory.display()), reasons(rejected))]
    NoneIntact {
        /// The folder.
        directory: PathBuf,
        /// Each candidate, newest first, with the reason against it.
        rejected: Vec<(PathBuf, Error)>,
    },
    /// The source of a save or the target of a restore reported its own error.
    #[error("cannot {operation} the variables: {source}")]
    Variables {
        /// `read` or `assign`.
        operation: &'static str,
        /// A status code, when that error had one.
        code: Code,
        /// The error of the source or target.
        source: BoxError,
    },
    /// A restore failed because graph and checkpoint do not match (S-300).
    #[error("restoring from checkpoint {} failed, most likely a mismatch between the current variables and the file: {source}{help}", escaped(path.display()))]
    RestoreMismatch {
        /// The checkpoint.
        path: PathBuf,
        /// Advice, as the end of a sentence: similar names, and options that allow the mismatch.
        help: String,
        /// The mismatch.
        #[source]
        source: Box<Error>,
    },
    /// An earlier background save failed, and its error has not been reported yet.
    #[error("background save of {} failed: {source}", escaped(path.display()))]
    Background {
        /// The prefix it was to write.
        path: PathBuf,
        /// The cause of the failure.
        #[source]
        source: Box<Error>,
    },
    /// A session state could not be turned into bytes, or back.
    #[error("cannot {operation} the session state: {source}")]
    State {
        /// `encode` or `decode`.
        operation: &'static str,
        /// The codec's reason.
        source: BoxError,
    },
}

/// Lets `?` convert the error in the implementation of a [`SaveSource`](crate::SaveSource) or
/// [`RestoreTarget`](crate::RestoreTarget) that reads tensors.
impl From<TensorError> for Error {
    fn from(error: TensorError) -> Error {
        let code = if error.is_out_of_memory() { Code::ResourceExhausted } else { Code::InvalidArgument };
        Error::Variables { operation: "use", code, source: Box::new(error) }
    }
}

impl Error {
    /// Returns the canonical status code that stands for this error.
    ///
    /// ```
    /// let missing = checkpoint::Error::NotFound { path: "model.ckpt".into() };
    /// assert_eq!(missing.code(), checkpoint::Code::NotFound);
    /// assert_eq!(missing.code().number(), 5);
    /// ```
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::Io { source, .. } => io_code(source),
            Error::NotFound { .. } | Error::TensorMissing { .. } | Error::ParentMissing { .. } => {
                Code::NotFound
            }
            Error::DTypeMismatch { .. }
            | Error::ShapeMismatch { .. }
            | Error::TensorUnexpected { .. }
            | Error::Unsupported { .. }
            | Error::Invalid(_) => Code::InvalidArgument,
            Error::UnsupportedDType { .. } => Code::Unimplemented,
            Error::Corrupt { .. } | Error::NoneIntact { .. } => Code::DataLoss,
            Error::Locked { .. } | Error::Obstructed { .. } | Error::Replaced { .. } => {
                Code::FailedPrecondition
            }
            Error::TimedOut { .. } => Code::DeadlineExceeded,
            Error::Variables { code, .. } => *code,
            Error::RestoreMismatch { source, .. } | Error::Background { source, .. } => source.code(),
            Error::State { .. } => Code::Internal,
        }
    }

    /// Returns true if the bytes on disk are to blame, so that an older checkpoint may still be good: content that
    /// is proved bad, files that are missing or cut short. Neither mismatches between variables and
    /// checkpoint are damage, nor what the system refuses (a file that may not be read, a device that
    /// fails, too many open files, no memory): the checkpoint may be good then.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// std::fs::write(checkpoint::index_path(&prefix), "damaged")?;
    /// let error = checkpoint::bundle::BundleReader::open(&prefix).unwrap_err();
    /// assert!(error.is_damage());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Corrupt { .. } | Error::NotFound { .. } | Error::Unsupported { .. } => true,
            Error::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::InvalidData
            ),
            Error::RestoreMismatch { source, .. } | Error::Background { source, .. } => source.is_damage(),
            _ => false,
        }
    }

    pub(crate) fn corrupt(path: impl Into<PathBuf>, what: impl Into<String>) -> Error {
        Error::Corrupt { path: path.into(), tensor: None, what: what.into() }
    }

    pub(crate) fn corrupt_tensor(
        path: impl Into<PathBuf>,
        name: impl Into<String>,
        what: impl Into<String>,
    ) -> Error {
        Error::Corrupt { path: path.into(), tensor: Some(name.into()), what: what.into() }
    }

    /// Returns a function for `map_err` after a file operation.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { operation, path, source }
    }
}

fn io_code(error: &io::Error) -> Code {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Code::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::PermissionDenied,
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::OutOfMemory => Code::ResourceExhausted,
        io::ErrorKind::AlreadyExists => Code::AlreadyExists,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Code::DataLoss,
        io::ErrorKind::Unsupported => Code::Unimplemented,
        io::ErrorKind::IsADirectory => Code::FailedPrecondition,
        _ if cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => Code::ResourceExhausted,
        _ => Code::Unknown,
    }
}

/// Too many open files in the system, and in the process: the same numbers on all Unix systems, and of no
/// kind that the standard library has a name for.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Returns the reasons for the first few rejections and the number of the others.
fn reasons(rejected: &[(PathBuf, Error)]) -> String {
    const SHOWN: usize = 3;
    let reason = |(prefix, error): &(PathBuf, Error)| {
        let name = prefix.file_name().unwrap_or_default().to_string_lossy();
        format!("{} is rejected: {error}", escaped(name))
    };
    let mut text = rejected.iter().take(SHOWN).map(reason).collect::<Vec<_>>().join("; ");
    if rejected.len() > SHOWN {
        text.push_str(&format!("; and {} more", rejected.len() - SHOWN));
    }
    text
}

/// Returns a few names in full and the number of the others: a model may have thousands.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn in_tensor(tensor: Option<&str>) -> String {
    tensor.map(|name| format!(" in tensor {name:?}")).unwrap_or_default()
}
