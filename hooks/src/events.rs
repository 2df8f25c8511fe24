//! The event files of hooks.

use session_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use summary::{EventError, EventWriter, EventWriterCache, SessionLog};

/// The destination of events: a directory, through the writer that all hooks of that directory share (S-374), a given
/// writer, or nothing.
#[derive(Clone, Debug, Default)]
pub(crate) enum EventTarget {
    #[default]
    None,
    Directory(PathBuf),
    Writer(Arc<EventWriter>),
    /// A dry run: events are created and dropped.
    Discard,
}

impl EventTarget {
    /// Drops all further events, if there was a destination.
    pub(crate) fn discard(&mut self) {
        if matches!(self, EventTarget::Directory(_) | EventTarget::Writer(_)) {
            *self = EventTarget::Discard;
        }
    }

    pub(crate) fn open(&self) -> Result<Option<Arc<EventWriter>>> {
        match self {
            EventTarget::None => Ok(None),
            EventTarget::Directory(directory) => Ok(Some(EventWriterCache::shared().get(directory)?)),
            EventTarget::Writer(writer) => Ok(Some(writer.clone())),
            // A writer that discards, rather than none: the hooks still build their events, so a dry run
            // finds errors in them.
            EventTarget::Discard => Ok(Some(Arc::new(EventWriter::builder().discard()?))),
        }
    }
}

/// Flushes the events of a hook, at its end.
pub(crate) fn flush(writer: Option<&EventWriter>) -> Result<()> {
    writer.map_or(Ok(()), |writer| Ok(writer.flush()?))
}

/// Flushes before a checkpoint: a run that resumes from the checkpoint does not write earlier events again. If the event
/// file cannot be written, another one is started.
pub(crate) fn flush_before_checkpoint(writer: Option<&EventWriter>) {
    let Some(writer) = writer else { return };
    // Logged instead of returned: this runs while a checkpoint is written, which is worth more than a few
    // events.
    if succeeds_or_logs(
        writer.flush(),
        "flush the event file before a checkpoint, so a resumed run may miss events",
    ) {
        return;
    }
    // A writer stays failed after its first error. The cause may be gone by now, such as a full disk, and later
    // events are then not lost.
    succeeds_or_logs(writer.reopen(), "start another event file");
}

/// Adds the event of a complete checkpoint, and flushes.
pub(crate) fn announce_checkpoint(writer: &EventWriter, prefix: &Path, step: i64) {
    // Paths that are not Unicode are written with replacement characters: the event is for display, and
    // nothing restores from it.
    let event = SessionLog::checkpoint(prefix.to_string_lossy());
    // Logged instead of returned: the checkpoint is complete, whether or not the event file says so.
    let added = writer.add_session_log(event, step).and_then(|()| writer.flush());
    succeeds_or_logs(added, "write the event of a checkpoint");
}

/// Logs the error of an action on an event file. Returns true if the action succeeded.
pub(crate) fn succeeds_or_logs(outcome: std::result::Result<(), EventError>, action: &str) -> bool {
    match outcome.map_err(Error::from) {
        Ok(()) => true,
        Err(error) => {
            log::error!("could not {action}: {}", error.chain());
            false
        }
    }
}
