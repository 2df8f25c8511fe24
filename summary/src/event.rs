//! The content of event files.

use crate::{DecodeError, Summary, Value, proto};
use bytes::Bytes;
use prost::Message;

/// The version of the format that is written: the text of every file's first event.
pub const FILE_VERSION: &str = "brain.Event:2";

/// A record of an event file: its content, its time and, mostly, its step.
///
/// ```
/// use summary::{Event, Summary};
/// let event = Event::new(12.5, 3, Summary::scalar("loss", 0.25).into());
/// assert_eq!(Event::decode(event.encode())?, event);
/// # Ok::<(), summary::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step of training; 0 where there is none.
    pub step: i64,
    /// The content; `None` for kinds that this crate does not know.
    pub data: Option<EventData>,
    /// The program that wrote the file; at first events only.
    pub source_writer: Option<String>,
}

/// The content of an event.
///
/// ```
/// use summary::{EventData, Summary};
/// let data = EventData::from(Summary::scalar("loss", 0.5));
/// assert!(matches!(data, EventData::Summary(_)));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventData {
    /// The first event of a file: [`FILE_VERSION`].
    FileVersion(String),
    /// A serialized `GraphDef`. The last one of a run counts.
    Graph(Bytes),
    /// Values.
    Summary(Summary),
    /// A serialized `LogMessage`; obsolete.
    LogMessage(Bytes),
    /// A session began, ended or saved.
    SessionLog(SessionLog),
    /// Statistics that one run of the session recorded.
    RunMetadata {
        /// Unique in a run.
        tag: String,
        /// A serialized `RunMetadata`.
        metadata: Bytes,
    },
    /// A serialized `MetaGraphDef`.
    MetaGraph(Bytes),
}

/// A session began, ended or saved.
///
/// ```
/// use summary::{SessionLog, SessionStatus};
/// let log = SessionLog { message: "out of memory".to_owned(), ..SessionLog::stop() };
/// assert_eq!(log.status, SessionStatus::Stop);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionLog {
    /// The kind of the log.
    pub status: SessionStatus,
    /// The prefix of the checkpoint that was saved.
    pub checkpoint_path: String,
    /// Anything else.
    pub message: String,
}

/// The kind of a session's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// No kind is given.
    #[default]
    Unspecified,
    /// The session began at the event's step. Readers drop the points of that step and later ones that an earlier session
    /// wrote.
    Start,
    /// The session ended.
    Stop,
    /// The session saved a checkpoint.
    Checkpoint,
    /// A number this crate does not know.
    Other(i32),
}

impl SessionLog {
    /// Makes the log of a session's beginning, with the event's step as the first one.
    ///
    /// ```
    /// use summary::{SessionLog, SessionStatus};
    /// assert_eq!(SessionLog::start().status, SessionStatus::Start);
    /// ```
    #[must_use]
    pub fn start() -> SessionLog {
        SessionLog { status: SessionStatus::Start, ..SessionLog::default() }
    }

    /// Makes the log of a session's end.
    #[must_use]
    pub fn stop() -> SessionLog {
        SessionLog { status: SessionStatus::Stop, ..SessionLog::default() }
    }

    /// Makes the log of a saved checkpoint of this prefix.
    ///
    /// ```
    /// use summary::SessionLog;
    /// assert_eq!(SessionLog::checkpoint("model.ckpt-10").checkpoint_path, "model.ckpt-10");
    /// ```
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
    /// Makes an event at a time, in seconds since 1970, and a step.
    #[must_use]
    pub fn new(wall_time: f64, step: i64, data: EventData) -> Event {
        Event { wall_time, step, data: Some(data), source_writer: None }
    }

    /// Serializes the event.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        proto::Event::from(self.clone()).encode_to_vec().into()
    }

    /// Reads a serialized event. Graphs, images and the like share the memory of the bytes.
    ///
    /// ```
    /// use summary::Event;
    /// assert!(Event::decode(&b"no event"[..]).is_err());
    /// ```
    ///
    /// # Errors
    /// When the bytes are not an event. Fields of unknown numbers are skipped.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Event, DecodeError> {
        Ok(proto::Event::decode(bytes.into()).map_err(DecodeError)?.into())
    }

    /// Returns the values of a summary; none for any other event.
    ///
    /// ```
    /// use summary::{Event, SessionLog, Summary};
    /// let event = Event::new(0.0, 3, Summary::scalar("loss", 0.5).into());
    /// assert_eq!(event.values()[0].tag, "loss");
    /// assert!(Event::new(0.0, 3, SessionLog::start().into()).values().is_empty());
    /// ```
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match &self.data {
            Some(EventData::Summary(summary)) => &summary.values,
            _ => &[],
        }
    }

    /// Returns true if the event is the beginning of a session; see [`Restarts`](crate::Restarts).
    ///
    /// ```
    /// use summary::{Event, SessionLog};
    /// assert!(Event::new(0.0, 3, SessionLog::start().into()).is_session_start());
    /// assert!(!Event::new(0.0, 3, SessionLog::stop().into()).is_session_start());
    /// ```
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
