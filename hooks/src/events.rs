//! The event files of hooks.

use session_core::Result;
use std::path::PathBuf;
use std::sync::Arc;
use summary::{EventWriter, EventWriterCache};

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

/// Flushes before a checkpoint: a run that resumes from the checkpoint does not write earlier events again.
pub(crate) fn flush_before_checkpoint(writer: Option<&EventWriter>) {
    // Logged instead of returned: this runs while a checkpoint is written, which is worth more than a few
    // events.
    if let Err(error) = flush(writer) {
        log::error!(
            "could not flush the event file before a checkpoint, so a resumed run may miss events: {}",
            error.chain()
        );
    }
}
