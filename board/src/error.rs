//! Errors of the board.
//!
//! A defect of a *file* is not an error here: damage, limits and unreadable folders become notes of the
//! run, and the rest of the board stays usable. Errors are for arguments of the caller and for requests.

use std::path::PathBuf;
use tensor::text::escaped;

/// An error of the board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder, run, tag, value, checkpoint or tensor does not exist, or can no longer be read.
    ///
    /// The page shows the text as it is, so it names what was requested. In an answer it has the HTTP status 404.
    #[error("{}", escaped(_0))]
    NotFound(String),
    /// A request is malformed: a missing parameter, a number that cannot be parsed, or a combination that cannot be
    /// shown.
    ///
    /// In an answer it has the HTTP status 400.
    #[error("{}", escaped(_0))]
    Request(String),
    /// The server cannot listen on its address, for example because another program uses the port.
    #[error("cannot listen on {}", escaped(address))]
    Listen {
        /// The address.
        address: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The page cannot be written to a file.
    #[error("cannot write {}", escaped(path.display()))]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}
