//! The one error type of graphs, sessions and everything that drives them.

use crate::Code;
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use tensor::TensorError;
use tensor::text::escaped;

/// The result of whatever can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an [`Error`] is, beside its code (S-1, S-2).
///
/// TensorFlow tells status errors, which a running graph reports, from misuse errors, which the caller's
/// own code earns. Here both are one type; a misuse has the code that fits it best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Reported by a running graph, an engine, a file or a peer.
    Status,
    /// Misuse: a bad value. Code `InvalidArgument`.
    Value,
    /// Misuse: the wrong kind or dtype of argument. Code `InvalidArgument`.
    Type,
    /// Misuse: the wrong state, such as a finalized graph or a closed session. Code `FailedPrecondition`.
    Runtime,
    /// Misuse: an unknown name. Code `NotFound`.
    Key,
    /// A request to end the loop (S-171). Code `OutOfRange`.
    StopIteration,
    /// The loss became NaN or infinite. Code `Internal`.
    NanLoss,
    /// Code of the user or of this library panicked. Code `Internal`.
    Panic,
}

/// What was going on when an error happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Building the graph.
    Build,
    /// Initialising the model.
    Init,
    /// Restoring a checkpoint.
    Restore,
    /// Running a step.
    Run,
    /// Saving a checkpoint.
    Save,
    /// Closing the session.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Build => "while building the graph",
            Phase::Init => "while initialising",
            Phase::Restore => "while restoring",
            Phase::Run => "while running",
            Phase::Save => "while saving",
            Phase::Close => "while closing",
        })
    }
}

/// A failure: a canonical code, what went wrong, where in the graph and in the program, and the cause.
///
/// Cheap to clone, so that one failure can be reported to every thread that waits for it.
///
/// Its text, `{error}`, says all of it, causes included; [`message`](Error::message) is what this error itself adds. Errors of
/// the system, of checkpoints and of event files turn into it with `?`, and so do boxed errors, of which one that holds an
/// `Error` comes out as it went in.
///
/// ```
/// use session_core::{Code, Error};
/// let error = Error::new(Code::OutOfRange, "queue 'input' is closed").with_node("input_dequeue", "QueueDequeueV2");
/// assert!(error.is_end_of_input());
/// assert_eq!(error.to_string(), "OutOfRange: queue 'input' is closed (node 'input_dequeue' of type QueueDequeueV2)");
///
/// fn read() -> session_core::Result<String> {
///     Ok(std::fs::read_to_string("no such file")?)
/// }
/// assert_eq!(read().unwrap_err().code(), Code::NotFound);
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    code: Code,
    message: String,
    node: Option<(String, String)>,
    location: Option<&'static Location<'static>>,
    origin: Option<Arc<str>>,
    phase: Option<Phase>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    fn of(kind: ErrorKind, code: Code, message: impl Into<String>) -> Error {
        let message = message.into();
        let (node, location, origin, phase, source) = (None, None, None, None, None);
        Error(Arc::new(Inner { kind, code, message, node, location, origin, phase, source }))
    }

    /// A status error (S-1).
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Status, code, message)
    }

    /// A status error with code `InvalidArgument`.
    #[must_use]
    pub fn invalid_argument(message: impl Into<String>) -> Error {
        Error::new(Code::InvalidArgument, message)
    }

    /// Misuse: a bad value.
    #[must_use]
    pub fn value(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Value, Code::InvalidArgument, message)
    }

    /// Misuse: a wrong kind of argument.
    #[must_use]
    pub fn type_mismatch(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Type, Code::InvalidArgument, message)
    }

    /// Misuse: a wrong state.
    #[must_use]
    pub fn runtime(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Runtime, Code::FailedPrecondition, message)
    }

    /// Misuse: an unknown name.
    #[must_use]
    pub fn key(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Key, Code::NotFound, message)
    }

    /// The request to end the loop (S-4, S-171).
    #[must_use]
    pub fn stop_iteration(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::StopIteration, Code::OutOfRange, message)
    }

    /// The loss became NaN or infinite.
    #[must_use]
    pub fn nan_loss(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::NanLoss, Code::Internal, message)
    }

    /// An error for a panic that was caught, from its payload.
    #[must_use]
    pub fn from_panic(place: &str, payload: &(dyn std::any::Any + Send)) -> Error {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Error::of(ErrorKind::Panic, Code::Internal, format!("{place} panicked: {text}"))
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Error {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// An error made of any other, for `map_err`: in hooks and threads, where `?` converts boxed and I/O errors by
    /// itself. An [`Error`] among them stays what it is, with its code; that of an I/O error follows its kind, but is never
    /// one to recover from or the end of the input; others are `Unknown`.
    ///
    /// ```
    /// use session_core::{Code, Error, Result};
    /// fn port(text: &str) -> Result<u16> {
    ///     text.parse().map_err(Error::other)
    /// }
    /// fn read(path: &str) -> Result<String> {
    ///     Ok(std::fs::read_to_string(path)?)
    /// }
    /// assert_eq!(port("x").unwrap_err().to_string(), "Unknown: invalid digit found in string");
    /// assert_eq!(read("/nowhere").unwrap_err().code(), Code::NotFound);
    /// ```
    #[must_use]
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        let error = match error.into().downcast::<Error>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        let code = error.downcast_ref().map_or(Code::Unknown, code_of_io);
        Error::new(code, error.to_string()).edit(|inner| inner.source = Some(Arc::from(error)))
    }

    /// Names the node and op type that failed, unless an inner layer named one already.
    #[must_use]
    pub fn with_node(self, name: impl Into<String>, op_type: impl Into<String>) -> Error {
        self.edit(|inner| {
            inner.node.get_or_insert_with(|| (name.into(), op_type.into()));
        })
    }

    /// Says where in the program the node was made, unless known already.
    #[must_use]
    pub fn with_location(self, location: &'static Location<'static>) -> Error {
        self.edit(|inner| {
            inner.location.get_or_insert(location);
        })
    }

    /// Says what the node was made from at that place, such as a node of a file, unless known already.
    #[must_use]
    pub fn with_origin(self, origin: Arc<str>) -> Error {
        self.edit(|inner| {
            inner.origin.get_or_insert(origin);
        })
    }

    /// Says what was going on, unless known already.
    #[must_use]
    pub fn with_phase(self, phase: Phase) -> Error {
        self.edit(|inner| {
            inner.phase.get_or_insert(phase);
        })
    }

    /// Gives the cause.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Error {
        self.edit(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Returns the nearest of the causes that is an `E`: the typed error of a library below, with its fields.
    #[must_use]
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        let mut causes = std::iter::successors(self.source(), |&cause| cause.source());
        causes.find_map(|cause| cause.downcast_ref())
    }

    /// An error of the same kind and code that says more, with this one as its cause.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Error {
        let outer = Error::of(self.kind(), self.code(), message);
        let phase = self.phase();
        let outer = outer.with_source(self);
        match phase {
            Some(phase) => outer.with_phase(phase),
            None => outer,
        }
    }

    /// The canonical code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Status or which misuse.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, without code and place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The node that failed.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_ref().map(|(name, _)| name.as_str())
    }

    /// The type of the op that failed.
    #[must_use]
    pub fn op_type(&self) -> Option<&str> {
        self.0.node.as_ref().map(|(_, op_type)| op_type.as_str())
    }

    /// Where in the program the failing node was made.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.location
    }

    /// What the failing node was made from, if that is not the program itself; see [`Operation::origin`](crate::Operation::origin).
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.0.origin.as_deref()
    }

    /// What was going on.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Whether a new session, restored from the last checkpoint, may succeed (S-3): status errors
    /// `Aborted` and `Unavailable`.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.kind() == ErrorKind::Status && matches!(self.code(), Code::Aborted | Code::Unavailable)
    }

    /// Whether it says that the loop or its input is over (S-4): status error `OutOfRange`, or a request
    /// to stop the iteration.
    #[must_use]
    pub fn is_end_of_input(&self) -> bool {
        match self.kind() {
            ErrorKind::Status => self.code() == Code::OutOfRange,
            kind => kind == ErrorKind::StopIteration,
        }
    }

    /// Whether both are one failure: clones of one error that was not edited in between.
    #[must_use]
    pub fn is_same(&self, other: &Error) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the text of this error and all its causes, as [`Display`](fmt::Display) writes it.
    #[must_use]
    pub fn chain(&self) -> String {
        self.to_string()
    }

    /// What this error says itself, without its causes.
    fn own_text(&self) -> String {
        let inner = &*self.0;
        let mut text = format!("{}: {}", inner.code, inner.message);
        let mut parts: Vec<String> = Vec::new();
        if let Some((name, op_type)) = &inner.node {
            parts.push(format!("node '{name}' of type {op_type}"));
        }
        if let Some(location) = inner.location {
            let origin = inner.origin.as_ref().map_or_else(String::new, |origin| format!(" from {origin}"));
            parts.push(format!("made at {}:{}{origin}", location.file(), location.line()));
        }
        if let Some(phase) = inner.phase {
            parts.push(phase.to_string());
        }
        if !parts.is_empty() {
            text.push_str(&format!(" ({})", parts.join(", ")));
        }
        text
    }
}

/// This error and all its causes, outermost first, joined by `: `. A cause is left out when it says nothing new.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.own_text();
        for cause in std::iter::successors(self.source(), |&cause| cause.source()) {
            // One of ours says its causes too; they have their turn.
            let said = match cause.downcast_ref::<Error>() {
                Some(own) => own.own_text(),
                None => cause.to_string(),
            };
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
        }
        // Names and texts of files are in it, and a terminal may show it.
        write!(f, "{}", escaped(text))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `main` prints when it returns an error: the whole chain, in words.
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    /// The cause, for programs that look for its type. The text of this error includes it.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<TensorError> for Error {
    fn from(error: TensorError) -> Error {
        if error.is_out_of_memory() {
            return Error::new(Code::ResourceExhausted, error.to_string());
        }
        Error::value(error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::other(error)
    }
}

impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Error {
        Error::other(error)
    }
}

/// The code of an error of the operating system. None means that a peer of the session is gone, or its input at its end.
fn code_of_io(error: &std::io::Error) -> Code {
    use std::io::ErrorKind as Of;
    match error.kind() {
        Of::NotFound | Of::NotADirectory => Code::NotFound,
        Of::PermissionDenied | Of::ReadOnlyFilesystem => Code::PermissionDenied,
        Of::StorageFull | Of::QuotaExceeded | Of::FileTooLarge | Of::OutOfMemory => Code::ResourceExhausted,
        Of::AlreadyExists => Code::AlreadyExists,
        Of::UnexpectedEof | Of::InvalidData => Code::DataLoss,
        Of::InvalidInput => Code::InvalidArgument,
        Of::TimedOut => Code::DeadlineExceeded,
        Of::Unsupported => Code::Unimplemented,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_errors_become_errors_of_sessions() {
        fn in_a_hook(error: Box<dyn StdError + Send + Sync>) -> Result<()> {
            Err(error)?
        }
        let lost = Error::new(Code::Aborted, "lost").with_node("a", "A");
        let inner = in_a_hook(lost.clone().into()).unwrap_err();
        assert!(inner.is_same(&lost), "one of a session stays itself");
        assert_eq!(in_a_hook("no luck".into()).unwrap_err().chain(), "Unknown: no luck");
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = in_a_hook(refused.into()).unwrap_err();
        assert!(
            !error.is_recoverable() && error.cause::<std::io::Error>().is_some(),
            "no peer of the session"
        );
        let torn = Error::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        assert!(!torn.is_end_of_input() && torn.code() == Code::DataLoss);
        let wrapped = std::io::Error::other("outer text");
        assert_eq!(Error::from(wrapped).message(), "outer text");
    }

    #[test]
    fn a_cause_in_the_same_words_is_not_said_twice() {
        let below = || Error::new(Code::Unknown, "disk").with_source(std::io::Error::other("on fire"));
        let above = Error::new(Code::DataLoss, "Unknown: disk").with_source(below());
        assert_eq!(above.chain(), "DataLoss: Unknown: disk: on fire");
        assert!(above.cause::<Error>().is_some_and(|cause| cause.is_same(&cause.clone())));
        assert!(above.cause::<std::io::Error>().is_some());
        assert!(above.cause::<TensorError>().is_none());
        let other = Error::new(Code::DataLoss, "no restore").with_source(below());
        assert_eq!(other.chain(), "DataLoss: no restore: Unknown: disk: on fire");
    }

    #[test]
    fn s_3_two_status_codes_are_recoverable() {
        for code in Code::ALL {
            let expected = matches!(code, Code::Aborted | Code::Unavailable);
            assert_eq!(Error::new(code, "x").is_recoverable(), expected, "{code}");
        }
    }

    #[test]
    fn s_4_two_signals_are_end_of_input() {
        for code in Code::ALL {
            assert_eq!(Error::new(code, "x").is_end_of_input(), code == Code::OutOfRange, "{code}");
        }
        assert!(Error::stop_iteration("done").is_end_of_input());
        assert!(!Error::value("x").is_end_of_input());
    }

    #[test]
    fn inner_places_win_and_causes_stay_reachable() {
        let error =
            Error::new(Code::Aborted, "lost").with_node("a", "A").with_node("b", "B").context("saving");
        assert_eq!(error.node(), None);
        assert!(error.is_recoverable());
        assert_eq!(error.to_string(), "Aborted: saving: Aborted: lost (node 'a' of type A)");
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
