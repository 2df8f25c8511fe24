//! The files of event writers and their names.

use super::builder::Options;
use crate::EventError;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The output of a writer's thread.
pub(super) trait Output: Write + Send {
    /// Makes what was written, and flushed, survive a power failure.
    fn sync(&mut self) -> io::Result<()>;
}

impl Output for BufWriter<File> {
    fn sync(&mut self) -> io::Result<()> {
        self.get_ref().sync_data()
    }
}

impl Output for io::Sink {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Files of one name and second that are tried before giving up.
const MAX_SAME_NAME: u32 = 100_000;

pub(super) fn create_directory(directory: &Path) -> Result<(), EventError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| EventError::file(directory, "create directory", source))
}

/// Makes a file that was not there before.
pub(super) fn create(directory: &Path, options: &Options) -> Result<(BufWriter<File>, PathBuf), EventError> {
    let seconds = options.clock.now().as_secs();
    // A separator in the name would lead into another folder.
    let host = options.host.clone().unwrap_or_else(host_name).replace(['/', '\\'], "_");
    let name = format!("events.out.tfevents.{seconds:010}.{host}");
    let suffix = &options.suffix;
    // The name that is tried next must sort after the one before, so that readers keep the order: so does a longer one,
    // and before a suffix a character after those with which suffixes begin.
    let separator = if suffix.is_empty() { '.' } else { '~' };
    let mut path = directory.join(format!("{name}{suffix}"));
    for count in 0..MAX_SAME_NAME {
        // Two writers of one second and host must not share a file: their records would mix.
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((BufWriter::with_capacity(1 << 16, file), path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let process = std::process::id();
                path = directory.join(format!("{name}{separator}{process}.{count:03}{suffix}"));
            }
            Err(error) => return Err(EventError::file(&path, "create file", error)),
        }
    }
    Err(EventError::file(&path, "create file", io::ErrorKind::AlreadyExists.into()))
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".to_owned())
}
