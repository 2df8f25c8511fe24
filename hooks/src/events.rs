//! Where hooks write their events.

use session_core::Result;
use std::path::PathBuf;
use std::sync::Arc;
use summary::{EventWriter, EventWriterCache};

/// Where events go: into a directory, through the writer that all hooks of that directory share (S-374), to a given
/// writer, or nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) enum EventTarget {
    #[default]
    None,
    Directory(PathBuf),
    Writer(Arc<EventWriter>),
    /// A rehearsal: events are made, and dropped.
    Discard,
}

impl EventTarget {
    /// Lets events go nowhere, if they went anywhere.
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
            EventTarget::Discard => Ok(Some(Arc::new(EventWriter::builder().discard()?))),
        }
    }
}

/// Writes out what a hook has written, at its end.
pub(crate) fn flush(writer: Option<&EventWriter>) -> Result<()> {
    writer.map_or(Ok(()), |writer| Ok(writer.flush()?))
}

/// Before a checkpoint: what was written before it will not be written again by a run that resumes from it.
pub(crate) fn flush_before_checkpoint(writer: Option<&EventWriter>) {
    if let Err(error) = flush(writer) {
        log::error!("could not flush events before a checkpoint: {}", error.chain());
    }
}
