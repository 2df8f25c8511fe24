//! What event files hold.

use crate::{DecodeError, Summary, Value, proto};
use bytes::Bytes;
use prost::Message;

/// The version of the format that is written: the text of every file's first event.
pub const FILE_VERSION: &str = "brain.Event:2";

/// Something that happened at a time and, mostly, at a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step of training; 0 where there is none.
    pub step: i64,
    /// What happened; `None` for kinds this crate does not know.
    pub data: Option<EventData>,
    /// The program that wrote the file; at first events only.
    pub source_writer: Option<String>,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventData {
    /// The first event of a file: [`FILE_VERSION`].
    FileVersion(String),
    /// A serialised `GraphDef`. The last one of a run counts.
    Graph(Bytes),
    /// Values.
    Summary(Summary),
    /// A serialised `LogMessage`; obsolete.
    LogMessage(Bytes),
    /// A session began, ended or saved.
    SessionLog(SessionLog),
    /// What a run of the session recorded of itself.
    RunMetadata {
        /// Unique in a run.
        tag: String,
        /// A serialised `RunMetadata`.
        metadata: Bytes,
    },
    /// A serialised `MetaGraphDef`.
    MetaGraph(Bytes),
}

/// A session began, ended or saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionLog {
    /// What it did.
    pub status: SessionStatus,
    /// The prefix of the checkpoint that was saved.
    pub checkpoint_path: String,
    /// Anything else.
    pub message: String,
}

/// What a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// Nothing that is said.
    #[default]
    Unspecified,
    /// It began at the event's step. Points of that step and later ones, of a session before, are dropped
    /// by readers.
    Start,
    /// It ended.
    Stop,
    /// It saved.
    Checkpoint,
    /// A number this crate does not know.
    Other(i32),
}

impl SessionLog {
    /// A session begins, with the event's step as the first one.
    #[must_use]
    pub fn start() -> SessionLog {
        SessionLog { status: SessionStatus::Start, ..SessionLog::default() }
    }

    /// A session ends.
    #[must_use]
    pub fn stop() -> SessionLog {
        SessionLog { status: SessionStatus::Stop, ..SessionLog::default() }
    }

    /// A checkpoint of this prefix was saved.
    #[must_use]
    pub fn checkpoint(path: impl Into<String>) -> SessionLog {
        SessionLog {
            status: SessionStatus::Checkpoint,
            checkpoint_path: path.into(),
            ..SessionLog::default()
        }
    }
}

impl Event {
    /// An event at a time, in seconds since 1970, and a step.
    #[must_use]
    pub fn new(wall_time: f64, step: i64, data: EventData) -> Event {
        Event { wall_time, step, data: Some(data), source_writer: None }
    }

    /// The serialised message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        proto::Event::from(self.clone()).encode_to_vec().into()
    }

    /// Reads a serialised message. Graphs, pictures and the like share the memory of the bytes.
    ///
    /// # Errors
    /// When the bytes are no event. Fields of unknown numbers are skipped.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Event, DecodeError> {
        Ok(proto::Event::decode(bytes.into()).map_err(DecodeError)?.into())
    }

    /// The values, if it is a summary.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match &self.data {
            Some(EventData::Summary(summary)) => &summary.values,
            _ => &[],
        }
    }

    /// Whether a session began, so that later steps of an earlier one are void.
    #[must_use]
    pub fn is_session_start(&self) -> bool {
        matches!(&self.data, Some(EventData::SessionLog(log)) if log.status == SessionStatus::Start)
    }
}

impl From<Summary> for EventData {
    fn from(summary: Summary) -> EventData {
        EventData::Summary(summary)
    }
}

impl From<SessionLog> for EventData {
    fn from(log: SessionLog) -> EventData {
        EventData::SessionLog(log)
    }
}

impl From<proto::Event> for Event {
    fn from(message: proto::Event) -> Event {
        let data = message.what.map(|what| match what {
            proto::What::FileVersion(version) => EventData::FileVersion(version),
            proto::What::GraphDef(bytes) => EventData::Graph(bytes),
            proto::What::Summary(summary) => EventData::Summary(summary.into()),
            proto::What::LogMessage(bytes) => EventData::LogMessage(bytes),
            proto::What::SessionLog(log) => EventData::SessionLog(log.into()),
            proto::What::TaggedRunMetadata(tagged) => {
                EventData::RunMetadata { tag: tagged.tag, metadata: tagged.run_metadata }
            }
            proto::What::MetaGraphDef(bytes) => EventData::MetaGraph(bytes),
        });
        Event {
            wall_time: message.wall_time,
            step: message.step,
            data,
            source_writer: message.source_metadata.map(|source| source.writer),
        }
    }
}

impl From<Event> for proto::Event {
    fn from(event: Event) -> proto::Event {
        let what = event.data.map(|data| match data {
            EventData::FileVersion(version) => proto::What::FileVersion(version),
            EventData::Graph(bytes) => proto::What::GraphDef(bytes),
            EventData::Summary(summary) => proto::What::Summary(summary.into()),
            EventData::LogMessage(bytes) => proto::What::LogMessage(bytes),
            EventData::SessionLog(log) => proto::What::SessionLog(log.into()),
            EventData::RunMetadata { tag, metadata } => {
                proto::What::TaggedRunMetadata(proto::TaggedRunMetadata { tag, run_metadata: metadata })
            }
            EventData::MetaGraph(bytes) => proto::What::MetaGraphDef(bytes),
        });
        proto::Event {
            wall_time: event.wall_time,
            step: event.step,
            what,
            source_metadata: event.source_writer.map(|writer| proto::SourceMetadata { writer }),
        }
    }
}

impl From<proto::SessionLog> for SessionLog {
    fn from(message: proto::SessionLog) -> SessionLog {
        let status = match message.status {
            0 => SessionStatus::Unspecified,
            1 => SessionStatus::Start,
            2 => SessionStatus::Stop,
            3 => SessionStatus::Checkpoint,
            other => SessionStatus::Other(other),
        };
        SessionLog { status, checkpoint_path: message.checkpoint_path, message: message.msg }
    }
}

impl From<SessionLog> for proto::SessionLog {
    fn from(log: SessionLog) -> proto::SessionLog {
        let status = match log.status {
            SessionStatus::Unspecified => 0,
            SessionStatus::Start => 1,
            SessionStatus::Stop => 2,
            SessionStatus::Checkpoint => 3,
            SessionStatus::Other(other) => other,
        };
        proto::SessionLog { status, checkpoint_path: log.checkpoint_path, msg: log.message }
    }
}
