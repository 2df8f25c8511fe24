//! The canonical status codes.

use std::fmt;

/// Classifies why an operation failed, in the canonical vocabulary (S-1). The numbers are TensorFlow's and
/// gRPC's.
///
/// ```
/// use wire::Code;
/// assert_eq!(Code::OutOfRange.number(), 11);
/// assert_eq!(Code::from_number(11), Some(Code::OutOfRange));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// The operation was cancelled, usually because its session or queue was closed.
    Cancelled = 1,
    /// No other code fits.
    Unknown = 2,
    /// An argument is invalid regardless of the state of the system.
    InvalidArgument = 3,
    /// The deadline passed before the operation completed.
    DeadlineExceeded = 4,
    /// The requested file, resource, or name does not exist.
    NotFound = 5,
    /// The object to create already exists.
    AlreadyExists = 6,
    /// The caller lacks permission for the operation.
    PermissionDenied = 7,
    /// Memory, disk space, or a quota is exhausted.
    ResourceExhausted = 8,
    /// The system is not in the state that the operation requires, such as an uninitialized variable.
    FailedPrecondition = 9,
    /// A conflict occurred or a peer restarted. A retry from the last checkpoint may succeed.
    Aborted = 10,
    /// The operation went past the end of a valid range, such as the end of the input.
    OutOfRange = 11,
    /// The operation is not implemented or not supported.
    Unimplemented = 12,
    /// An internal invariant is broken.
    Internal = 13,
    /// A peer cannot be reached. A retry may succeed.
    Unavailable = 14,
    /// Data is lost or damaged beyond repair.
    DataLoss = 15,
    /// The caller has no valid credentials.
    Unauthenticated = 16,
}

impl Code {
    /// All codes, ordered by number.
    pub const ALL: [Code; 16] = [
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];

    /// Returns the canonical number.
    #[must_use]
    pub fn number(self) -> i32 {
        self as i32
    }

    /// Returns the code of a number: [`Code::Unknown`] for unknown numbers, and `None` for 0, which means
    /// success.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Code> {
        match usize::try_from(number) {
            Ok(0) => None,
            Ok(n) => Some(Code::ALL.get(n - 1).copied().unwrap_or(Code::Unknown)),
            Err(_) => Some(Code::Unknown),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_5_conversions_are_total() {
        for (i, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code.number() as usize, i + 1);
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
        assert_eq!(Code::from_number(0), None);
        assert_eq!(Code::from_number(99), Some(Code::Unknown));
        assert_eq!(Code::from_number(-3), Some(Code::Unknown));
    }
}
