//! A save that runs while its caller continues.

use super::save::{Request, Shared};
use crate::{Error, Result};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A save that is running, or that has ended and whose result was not taken yet.
#[derive(Debug)]
pub(super) struct Job {
    prefix: PathBuf,
    thread: JoinHandle<Result<PathBuf>>,
}

impl Job {
    pub(super) fn start(shared: Arc<Shared>, mut request: Request) -> Result<Job> {
        let prefix = request.prefix().to_path_buf();
        let thread = thread::Builder::new()
            .name("checkpoint-save".to_owned())
            .spawn(move || {
                // In the thread, so that the caller does not wait for the copies.
                request.detach();
                shared.save(request)
            })
            .map_err(Error::io("start a thread to save", &prefix))?;
        Ok(Job { prefix, thread })
    }

    pub(super) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// Waits for the job, if there is one, and reports its error once.
pub(super) fn finish(job: &mut Option<Job>) -> Result<()> {
    // Taken before the result is known, so that an error is reported once and does not block all later saves.
    let Some(Job { prefix, thread }) = job.take() else { return Ok(()) };
    let result = thread.join().unwrap_or_else(|_| {
        Err(Error::io("finish saving", &prefix)(io::Error::other("the saving thread panicked")))
    });
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Background { path: prefix, source: Box::new(error) }),
    }
}
