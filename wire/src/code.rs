//! The canonical status codes.

use std::fmt;

/// Why an operation failed, in the canonical vocabulary (S-1). The numbers are TensorFlow's and gRPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// The operation was cancelled, usually by closing a session or queue.
    Cancelled = 1,
    /// No other code fits.
    Unknown = 2,
    /// An argument is wrong whatever the state of the system.
    InvalidArgument = 3,
    /// The time allowed has passed.
    DeadlineExceeded = 4,
    /// Something named does not exist.
    NotFound = 5,
    /// Something to be made exists.
    AlreadyExists = 6,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// Memory, disk or a quota is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that the operation needs, such as an uninitialised variable.
    FailedPrecondition = 9,
    /// A conflict or a restarted peer; trying again from the last checkpoint may work.
    Aborted = 10,
    /// Past the end, such as the end of the input.
    OutOfRange = 11,
    /// Not supported here.
    Unimplemented = 12,
    /// An invariant is broken.
    Internal = 13,
    /// A peer cannot be reached; trying again may work.
    Unavailable = 14,
    /// Data is damaged beyond repair.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

impl Code {
    /// All codes in the order of their numbers.
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

    /// The canonical number.
    #[must_use]
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The code of a number; unknown numbers are [`Code::Unknown`], 0 (no error) is `None`.
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
