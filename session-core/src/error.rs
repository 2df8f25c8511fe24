//! The error type of graphs, sessions, and everything that drives them.

use crate::origin::made;
use crate::{Code, Origin};
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use tensor::TensorError;
use tensor::text::escaped;

/// The result type of this crate and of the crates above it.
///
/// ```
/// fn steps(text: &str) -> session_core::Result<u64> {
///     text.parse().map_err(session_core::Error::other)
/// }
/// assert_eq!(steps("300").unwrap(), 300);
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of failure that an [`Error`] reports, in addition to its code (S-1, S-2).
///
/// TensorFlow distinguishes status errors, which a running graph reports, from misuse errors, which the
/// caller's own code causes. Here both share one type; a misuse error has the code that fits it best.
///
/// ```
/// use session_core::{Code, Error, ErrorKind};
/// let error = Error::value("the batch size is 0");
/// assert_eq!((error.kind(), error.code()), (ErrorKind::Value, Code::InvalidArgument));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Reported by a running graph, an engine, a file, or a peer.
    Status,
    /// Misuse: an invalid value. Code `InvalidArgument`.
    Value,
    /// Misuse: an argument of the wrong kind or dtype. Code `InvalidArgument`.
    Type,
    /// Misuse: an operation in the wrong state, such as on a finalized graph or a closed session. Code
    /// `FailedPrecondition`.
    Runtime,
    /// Misuse: an unknown name. Code `NotFound`.
    Key,
    /// A request to end the training loop (S-171). Code `OutOfRange`.
    StopIteration,
    /// The loss became NaN or infinite. Code `Internal`.
    NanLoss,
    /// The user's code or this library panicked. Code `Internal`.
    Panic,
}

/// The activity during which an error occurred.
///
/// ```
/// use session_core::{Code, Error, Phase};
/// let error = Error::new(Code::DataLoss, "the file is damaged").with_phase(Phase::Restore);
/// assert_eq!(error.to_string(), "DataLoss: the file is damaged (while restoring)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Construction of the graph.
    Build,
    /// Initialization of the model.
    Init,
    /// Restoring of a checkpoint.
    Restore,
    /// Execution of a step.
    Run,
    /// Saving of a checkpoint.
    Save,
    /// Closing of the session.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Build => "while building the graph",
            Phase::Init => "while initializing",
            Phase::Restore => "while restoring",
            Phase::Run => "while running",
            Phase::Save => "while saving",
            Phase::Close => "while closing",
        })
    }
}

/// A failure: a canonical code, a message, the place in the graph and in the program, and the cause.
///
/// Clones are cheap, so that one failure can be reported to every thread that waits for it.
///
/// `Display` shows all of it, causes included; [`message`](Error::message) is what this error itself adds.
/// System errors, checkpoint errors, and event file errors convert with `?`, and so do boxed errors. A boxed
/// `Error` is unwrapped unchanged.
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
    origin: Option<Origin>,
    phase: Option<Phase>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    fn of(kind: ErrorKind, code: Code, message: impl Into<String>) -> Error {
        let message = message.into();
        // One allocation holds everything, so that a `Result` is as small as a pointer on the path without
        // errors.
        let (node, location, origin, phase, source) = (None, None, None, None, None);
        Error(Arc::new(Inner { kind, code, message, node, location, origin, phase, source }))
    }

    /// Creates a status error (S-1).
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let error = Error::new(Code::Unavailable, "the parameter server is restarting");
    /// assert!(error.is_recoverable());
    /// ```
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Status, code, message)
    }

    /// Creates a status error with code `InvalidArgument`.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// assert_eq!(Error::invalid_argument("axis 2 is out of range").code(), Code::InvalidArgument);
    /// ```
    #[must_use]
    pub fn invalid_argument(message: impl Into<String>) -> Error {
        Error::new(Code::InvalidArgument, message)
    }

    /// Creates a misuse error: an invalid value.
    ///
    /// ```
    /// use session_core::{Error, ErrorKind};
    /// assert_eq!(Error::value("negative step count").kind(), ErrorKind::Value);
    /// ```
    #[must_use]
    pub fn value(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Value, Code::InvalidArgument, message)
    }

    /// Creates a misuse error: an argument of the wrong kind.
    ///
    /// ```
    /// use session_core::{Error, ErrorKind};
    /// assert_eq!(Error::type_mismatch("expected a list").kind(), ErrorKind::Type);
    /// ```
    #[must_use]
    pub fn type_mismatch(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Type, Code::InvalidArgument, message)
    }

    /// Creates a misuse error: the wrong state.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// assert_eq!(Error::runtime("the graph is finalized").code(), Code::FailedPrecondition);
    /// ```
    #[must_use]
    pub fn runtime(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Runtime, Code::FailedPrecondition, message)
    }

    /// Creates a misuse error: an unknown name.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// assert_eq!(Error::key("no operation 'loss'").code(), Code::NotFound);
    /// ```
    #[must_use]
    pub fn key(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::Key, Code::NotFound, message)
    }

    /// Creates a request to end the training loop (S-4, S-171).
    ///
    /// ```
    /// use session_core::Error;
    /// assert!(Error::stop_iteration("no more batches").is_end_of_input());
    /// ```
    #[must_use]
    pub fn stop_iteration(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::StopIteration, Code::OutOfRange, message)
    }

    /// Creates the error for a loss that became NaN or infinite.
    ///
    /// ```
    /// use session_core::{Error, ErrorKind};
    /// assert_eq!(Error::nan_loss("the loss is NaN").kind(), ErrorKind::NanLoss);
    /// ```
    #[must_use]
    pub fn nan_loss(message: impl Into<String>) -> Error {
        Error::of(ErrorKind::NanLoss, Code::Internal, message)
    }

    /// Creates the error for a caught panic from its payload.
    ///
    /// ```
    /// use session_core::Error;
    /// let payload = std::panic::catch_unwind(|| panic!("out of luck")).unwrap_err();
    /// assert_eq!(Error::from_panic("the hook", &*payload).message(), "the hook panicked: out of luck");
    /// ```
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
        // Copies the content if the error has clones: an error that was reported elsewhere does not change
        // afterwards.
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Converts any other error, for `map_err`. In hooks and threads, `?` converts boxed errors and I/O
    /// errors directly. An [`Error`] keeps its code. The code of an I/O error follows its kind, but never
    /// means a recoverable failure or the end of the input. All others are `Unknown`.
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
        // Already one of this type, but boxed: wrapping it would hide its code and kind.
        let error = match error.into().downcast::<Error>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        // Only I/O errors have codes of their own. Others may look like any failure, and a wrong code could
        // start a recovery.
        let code = error.downcast_ref().map_or(Code::Unknown, code_of_io);
        Error::new(code, error.to_string()).edit(|inner| inner.source = Some(Arc::from(error)))
    }

    /// Adds the name and op type of the failed node, unless an inner layer already did.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let error = Error::new(Code::Internal, "failed").with_node("loss", "Mean");
    /// assert_eq!(error.to_string(), "Internal: failed (node 'loss' of type Mean)");
    /// ```
    #[must_use]
    pub fn with_node(self, name: impl Into<String>, op_type: impl Into<String>) -> Error {
        // The innermost node is the one that failed; outer layers only passed the error on.
        self.edit(|inner| {
            inner.node.get_or_insert_with(|| (name.into(), op_type.into()));
        })
    }

    /// Adds the source location at which the node was created, unless it is known.
    #[must_use]
    pub fn with_location(self, location: &'static Location<'static>) -> Error {
        self.edit(|inner| {
            inner.location.get_or_insert(location);
        })
    }

    /// Adds the origin of the node at that location, such as a node of a file, unless it is known.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Error {
        self.edit(|inner| {
            inner.origin.get_or_insert(origin);
        })
    }

    /// Adds the activity during which the error occurred, unless it is known.
    ///
    /// ```
    /// use session_core::{Code, Error, Phase};
    /// let error = Error::new(Code::Internal, "failed").with_phase(Phase::Save);
    /// assert_eq!(error.phase(), Some(Phase::Save));
    /// ```
    #[must_use]
    pub fn with_phase(self, phase: Phase) -> Error {
        self.edit(|inner| {
            inner.phase.get_or_insert(phase);
        })
    }

    /// Sets the cause.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let disk = std::io::Error::other("the disk is full");
    /// let error = Error::new(Code::ResourceExhausted, "the save failed").with_source(disk);
    /// assert_eq!(error.to_string(), "ResourceExhausted: the save failed: the disk is full");
    /// ```
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Error {
        self.edit(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Returns the nearest cause of type `E`: the typed error of a lower library, with its fields.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let error = Error::new(Code::Internal, "failed").with_source(std::io::Error::other("disk"));
    /// assert!(error.cause::<std::io::Error>().is_some());
    /// assert!(error.cause::<std::fmt::Error>().is_none());
    /// ```
    #[must_use]
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        let mut causes = std::iter::successors(self.source(), |&cause| cause.source());
        causes.find_map(|cause| cause.downcast_ref())
    }

    /// Wraps the error in one of the same kind and code that adds context.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let error = Error::new(Code::Aborted, "lost").context("saving");
    /// assert_eq!((error.code(), error.message()), (Code::Aborted, "saving"));
    /// ```
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Error {
        let outer = Error::of(self.kind(), self.code(), message);
        // Read before the error becomes the cause: the outer error must report the same phase.
        let phase = self.phase();
        let outer = outer.with_source(self);
        match phase {
            Some(phase) => outer.with_phase(phase),
            None => outer,
        }
    }

    /// Returns the canonical code.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// assert_eq!(Error::key("no such node").code(), Code::NotFound);
    /// ```
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the kind: a status error, or which misuse.
    ///
    /// ```
    /// use session_core::{Error, ErrorKind};
    /// assert_eq!(Error::runtime("closed").kind(), ErrorKind::Runtime);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message, without code and place.
    ///
    /// ```
    /// assert_eq!(session_core::Error::key("no such node").message(), "no such node");
    /// ```
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the name of the failed node.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let error = Error::new(Code::Internal, "failed").with_node("loss", "Mean");
    /// assert_eq!((error.node(), error.op_type()), (Some("loss"), Some("Mean")));
    /// ```
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_ref().map(|(name, _)| name.as_str())
    }

    /// Returns the op type of the failed node.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// assert_eq!(Error::new(Code::Internal, "x").with_node("a", "Mean").op_type(), Some("Mean"));
    /// ```
    #[must_use]
    pub fn op_type(&self) -> Option<&str> {
        self.0.node.as_ref().map(|(_, op_type)| op_type.as_str())
    }

    /// Returns the source location at which the failed node was created.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.location
    }

    /// Returns the origin of the failed node, unless the program itself created it. See
    /// [`Operation::origin`](crate::Operation::origin).
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }

    /// Returns the activity during which the error occurred.
    ///
    /// ```
    /// use session_core::{Code, Error, Phase};
    /// assert_eq!(Error::new(Code::Internal, "x").with_phase(Phase::Run).phase(), Some(Phase::Run));
    /// ```
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Returns true if a new session, restored from the last checkpoint, may succeed (S-3): for the status
    /// errors `Aborted` and `Unavailable`.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// assert!(Error::new(Code::Aborted, "a peer restarted").is_recoverable());
    /// assert!(!Error::new(Code::Internal, "a bug").is_recoverable());
    /// ```
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        // Misuse errors have codes too, but repeating the run would repeat the misuse.
        self.kind() == ErrorKind::Status && matches!(self.code(), Code::Aborted | Code::Unavailable)
    }

    /// Returns true if the loop or its input has ended (S-4): for the status error `OutOfRange` and for a
    /// request to stop the iteration.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// assert!(Error::new(Code::OutOfRange, "the queue is closed").is_end_of_input());
    /// ```
    #[must_use]
    pub fn is_end_of_input(&self) -> bool {
        match self.kind() {
            // A misuse error with the code `OutOfRange` must not end a loop as if it were complete.
            ErrorKind::Status => self.code() == Code::OutOfRange,
            kind => kind == ErrorKind::StopIteration,
        }
    }

    /// Returns true if both errors report the same failure: clones of one error that was not edited in
    /// between.
    ///
    /// ```
    /// use session_core::Error;
    /// let error = Error::value("bad");
    /// assert!(error.is_same(&error.clone()));
    /// assert!(!error.is_same(&Error::value("bad")));
    /// ```
    #[must_use]
    pub fn is_same(&self, other: &Error) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the text of this error and all its causes, as [`Display`](fmt::Display) writes it.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let error = Error::new(Code::Aborted, "lost").context("saving");
    /// assert_eq!(error.chain(), error.to_string());
    /// ```
    #[must_use]
    pub fn chain(&self) -> String {
        self.to_string()
    }

    /// Returns the text of this error, without its causes.
    fn own_text(&self) -> String {
        let inner = &*self.0;
        let mut text = format!("{}: {}", inner.code, inner.message);
        let mut parts: Vec<String> = Vec::new();
        if let Some((name, op_type)) = &inner.node {
            parts.push(format!("node '{name}' of type {op_type}"));
        }
        parts.extend(made(inner.location, inner.origin.as_ref()));
        if let Some(phase) = inner.phase {
            parts.push(phase.to_string());
        }
        if !parts.is_empty() {
            text.push_str(&format!(" ({})", parts.join(", ")));
        }
        text
    }
}

/// Writes this error and all its causes, outermost first, joined by `: `. A cause that adds nothing is
/// omitted.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.own_text();
        for cause in std::iter::successors(self.source(), |&cause| cause.source()) {
            // An error of this type includes its own causes, which follow later in the chain.
            let said = match cause.downcast_ref::<Error>() {
                Some(own) => own.own_text(),
                None => cause.to_string(),
            };
            // Many libraries repeat the text of the cause in their own.
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
        }
        // The text may contain names from files, and a terminal may display it.
        write!(f, "{}", escaped(text))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `main` prints this when it returns an error: the whole chain, in words.
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    /// Returns the cause, for programs that match on its type. The text of this error includes it.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<TensorError> for Error {
    fn from(error: TensorError) -> Error {
        // The limit of memory is a state of the session rather than a misuse: the same call may succeed
        // later.
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

/// Returns the code of an operating system error. None of them means that a peer of the session is gone or
/// that the input has ended.
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
        // Connection errors as well: they belong to files and sockets of the program, not to a peer of the
        // session.
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
    fn a_cause_in_the_same_words_is_not_repeated() {
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
