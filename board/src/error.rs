//! Errors of the board.

use std::path::PathBuf;
use tensor::text::escaped;

/// An error of the board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such folder, run, tag, value, checkpoint or tensor, or it can no longer be read.
    #[error("{}", escaped(_0))]
    NotFound(String),
    /// A request that makes no sense.
    #[error("{}", escaped(_0))]
    Request(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {}", escaped(address))]
    Listen {
        /// The address.
        address: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", escaped(path.display()))]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}
