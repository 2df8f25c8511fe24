//! The bytes of files: plain ones from any offset, compressed ones from the beginning.
//!
//! Compressed bytes that fail end early instead of returning the error: what is whole before is not lost,
//! whatever the reader buffers. The error waits in a [`Failure`], and the format reports it when it has used
//! up the bytes.

use super::inflate;
use crate::kernels::data::dataset::Run;
use crate::kernels::data::position::{Reader, Writer};
use crate::kernels::io::{Compression, path, read_up_to};
use session_core::{Code, Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::Bytes;

/// The number of leading bytes that distinguish a file from another one. Reading all of it would cost a pass
/// over the file for each restore.
const LOOK: usize = 4096;

/// A thread inflates compressed files of at least this number of bytes: it costs no more than a hundredth of
/// what it does.
const LARGE: u64 = 512 << 10;

/// The fingerprint of a file at the time it was opened. A position contains it, so that a file of the same
/// name with other content is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    /// The length in bytes, compressed if the file is.
    length: u64,
    /// A hash of its first [`LOOK`] bytes, compressed if the file is.
    start: u64,
}

impl Print {
    /// Returns the length in bytes, which is the compressed length of a compressed file.
    pub(super) fn length(self) -> u64 {
        self.length
    }

    /// Writes length and hash.
    pub(super) fn save(self, to: &mut Writer) {
        to.number(self.length);
        to.number(self.start);
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(super) fn restored(from: &mut Reader<'_>) -> Result<Print> {
        Ok(Print { length: from.number()?, start: from.number()? })
    }

    /// Refuses a file that is another one than when the position was saved: `FailedPrecondition`. A change
    /// after the first bytes that keeps the length is not noticed.
    pub(super) fn check(self, saved: Print, name: &[u8]) -> Result<()> {
        if self == saved {
            return Ok(());
        }
        let name = String::from_utf8_lossy(name);
        let text = if self.length == saved.length {
            format!("'{name}' has other contents than when the checkpoint was written")
        } else {
            format!(
                "'{name}' has {} bytes, and had {} when the checkpoint was written",
                self.length, saved.length
            )
        };
        Err(Error::new(
            Code::FailedPrecondition,
            format!("{text}: the input cannot continue at its saved position"),
        ))
    }
}

/// Returns the compression with TensorFlow's name, or `InvalidArgument`.
pub(super) fn compression(name: &str) -> Result<Compression> {
    Compression::of(name).map_err(|_| {
        Error::invalid_argument(format!(
            "Unsupported compression_type. '{name}' is none of '', 'GZIP' and 'ZLIB'"
        ))
    })
}

/// A file that was opened.
pub(super) struct Opened {
    /// The bytes from the requested offset on, decompressed.
    pub(super) bytes: Box<dyn Read + Send>,
    /// The fingerprint of the file.
    pub(super) print: Print,
    /// The error that ended the bytes early.
    pub(super) failure: Failure,
}

/// Opens a file at an offset, which counts only where it is not compressed.
///
/// # Errors
///
/// The error of the session's policy for files; `NotFound`, `PermissionDenied`, `FailedPrecondition` for a
/// folder (D-81). A file that does not begin as its compression does is opened without bytes, and its
/// [`Failure`] has the error.
pub(super) fn open(name: &Bytes, compression: Compression, offset: u64, run: &Run<'_>) -> Result<Opened> {
    run.environment.files.check_read(&path(name))?;
    let shown = String::from_utf8_lossy(name).into_owned();
    let said = |error: io::Error| failed(&shown, &error);
    let mut file = File::open(path(name)).map_err(said)?;
    // Of the open file, so that it is not another one of the same name.
    let data = file.metadata().map_err(said)?;
    if data.is_dir() {
        return Err(Error::new(Code::FailedPrecondition, format!("{shown}; Is a directory")));
    }
    let mut start = Vec::new();
    read_up_to(&mut file, LOOK as u64, &mut start).map_err(said)?;
    let print = Print { length: data.len(), start: hash(&start) };
    let failure = Failure::default();
    // A compressed file without any bytes is one without records.
    let plain = compression == Compression::None || start.is_empty();
    if plain {
        file.seek(SeekFrom::Start(offset)).map_err(said)?;
        return Ok(Opened { bytes: Box::new(file), print, failure });
    }
    // Checked here for TensorFlow's message, which does not depend on the decoder.
    if !compression.fits(&start) {
        failure.set(io::Error::new(
            io::ErrorKind::InvalidData,
            "inflate() failed with error -3: incorrect header check",
        ));
        return Ok(Opened { bytes: Box::new(io::empty()), print, failure });
    }
    // The fingerprint has read the first bytes.
    file.seek(SeekFrom::Start(0)).map_err(said)?;
    let mut bytes: Box<dyn Read + Send> =
        Box::new(UntilFailure { bytes: compression.reader(file), failure: failure.clone() });
    if data.len() >= LARGE && run.environment.pool.threads() > 1 {
        bytes = inflate::in_background(&shown, bytes, failure.clone(), run);
    }
    Ok(Opened { bytes, print, failure })
}

/// Returns the 64-bit FNV-1a hash, which must stay: positions contain it.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Converts an operating system error on a file, in TensorFlow's words (D-81).
fn failed(name: &str, error: &io::Error) -> Error {
    let (code, what) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (Code::NotFound, "No such file or directory".to_owned())
        }
        io::ErrorKind::PermissionDenied => (Code::PermissionDenied, "Permission denied".to_owned()),
        io::ErrorKind::IsADirectory => (Code::FailedPrecondition, "Is a directory".to_owned()),
        _ => (Code::Unknown, error.to_string()),
    };
    Error::new(code, format!("{name}; {what}"))
}

/// The error that ended the bytes of a file before their end, shared by those who read the bytes.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<io::Error>>>);

impl Failure {
    /// Notes the error; a later one replaces it.
    pub(super) fn set(&self, error: io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Returns true if compressed bytes ended before their end: the file was cut.
    pub(super) fn is_cut(&self) -> bool {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    }

    /// Returns the error, if there was one, for bytes that have come to their end. It stays, so every later
    /// call returns it again.
    pub(super) fn check(&self, name: &[u8]) -> Result<()> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = guard.as_ref() else { return Ok(()) };
        let name = String::from_utf8_lossy(name);
        let (code, what) = match error.kind() {
            io::ErrorKind::UnexpectedEof => (Code::DataLoss, "inflate() failed with EOF reached".to_owned()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => (Code::DataLoss, error.to_string()),
            _ => (Code::Unknown, error.to_string()),
        };
        Err(Error::new(code, format!("{what} (file '{name}')")))
    }
}

/// Bytes up to where they fail, so that what is whole before is not lost.
struct UntilFailure<R> {
    /// The bytes, whose errors are noted.
    bytes: R,
    /// Receives the error.
    failure: Failure,
}

impl<R: Read> Read for UntilFailure<R> {
    /// Reads bytes; an error is noted and looks like the end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(into) {
            // Interrupted reads are repeated by the caller.
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failure.set(error);
                Ok(0)
            }
            other => other,
        }
    }
}
