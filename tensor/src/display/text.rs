//! Formatting of elements that are not numbers.

use std::fmt::Write;

/// Formats a bool as `True` or `False`, five columns wide within brackets.
pub(super) fn of_bool(value: bool, scalar: bool) -> String {
    match (value, scalar) {
        (true, true) => "True".to_owned(),
        (true, false) => " True".to_owned(),
        (false, _) => "False".to_owned(),
    }
}

/// Formats a byte string as Python does, such as `b'a\x00'`.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    // Python's choice: double quotes only where they save an escape.
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut word = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\\' => word.push_str("\\\\"),
            b'\t' => word.push_str("\\t"),
            b'\n' => word.push_str("\\n"),
            b'\r' => word.push_str("\\r"),
            _ if char::from(byte) == quote => {
                word.push('\\');
                word.push(quote);
            }
            0x20..0x7f => word.push(char::from(byte)),
            _ => write!(word, "\\x{byte:02x}").expect("writing to a string does not fail"),
        }
    }
    word.push(quote);
    word
}
