//! The words of protobuf's text format, in which state files and `.pbtxt` graphs are written.
//!
//! The names of fields and their contents are up to the reader or writer of a message.
//!
//! ```
//! use checkpoint::text_format::{Lexer, quoted};
//!
//! let mut lexer = Lexer::new("paths: ['a', \"b\"] # a comment");
//! assert_eq!(lexer.name()?, "paths");
//! lexer.expect(':')?;
//! let mut paths = Vec::new();
//! lexer.values(|lexer| lexer.string().map(|path| paths.push(path)))?;
//! assert!(lexer.at_end());
//! assert_eq!(paths, [b"a", b"b"]);
//! assert_eq!(quoted("a \"b\""), r#""a \"b\"""#);
//! # Ok::<(), String>(())
//! ```

use std::fmt::Write;

/// Reads a text word by word. Blanks and comments before a word are passed over.
///
/// ```
/// use checkpoint::text_format::Lexer;
/// let mut lexer = Lexer::new("step: 12 # so far");
/// assert_eq!(lexer.name()?, "step");
/// lexer.expect(':')?;
/// assert_eq!(lexer.integer()?, 12);
/// assert!(lexer.at_end());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Errors state the position in the text and what was expected there.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    /// Creates a lexer at the beginning of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, rest: text }
    }

    /// Returns the unread rest of the text.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// Returns true if nothing but blanks and comments is left.
    pub fn at_end(&mut self) -> bool {
        self.skip_space();
        self.rest.is_empty()
    }

    /// Returns the error for what comes next, with its position.
    ///
    /// ```
    /// use checkpoint::text_format::Lexer;
    /// let error = Lexer::new("step").error("a number was expected");
    /// assert_eq!(error, "line 1, column 1: a number was expected at \"step\"");
    /// ```
    #[must_use]
    pub fn error(&self, what: &str) -> String {
        let read = &self.text[..self.text.len() - self.rest.len()];
        let line = read.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = read.rsplit('\n').next().unwrap_or(read).chars().count() + 1;
        let here: String = self.rest.chars().take(20).collect();
        format!("line {line}, column {column}: {what} at {here:?}")
    }

    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    /// Takes a character, if it comes next.
    ///
    /// ```
    /// use checkpoint::text_format::Lexer;
    /// let mut lexer = Lexer::new("{}");
    /// assert!(lexer.eat('{') && !lexer.eat('{'));
    /// ```
    pub fn eat(&mut self, character: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a character.
    ///
    /// # Errors
    /// If another comes next.
    pub fn expect(&mut self, character: char) -> Result<(), String> {
        if self.eat(character) { Ok(()) } else { Err(self.error(&format!("'{character}' was expected"))) }
    }

    /// Takes an optional separator between two fields: a comma or a semicolon.
    pub fn separator(&mut self) {
        if !self.eat(',') {
            self.eat(';');
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !accept(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Returns the name of a field or of a value.
    ///
    /// ```
    /// assert_eq!(checkpoint::text_format::Lexer::new(" step: 1").name()?, "step");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If none comes next.
    pub fn name(&mut self) -> Result<&'a str, String> {
        self.skip_space();
        let at = self.clone();
        match self.take_while(|c| c.is_ascii_alphanumeric() || c == '_') {
            "" => Err(at.error("a name was expected")),
            name => Ok(name),
        }
    }

    /// Everything up to a character, which is taken, too.
    ///
    /// ```
    /// assert_eq!(checkpoint::text_format::Lexer::new("a.b] c").until(']')?, "a.b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it does not come.
    pub fn until(&mut self, character: char) -> Result<&'a str, String> {
        let missing = || self.error(&format!("'{character}' is missing"));
        let (taken, rest) = self.rest.split_once(character).ok_or_else(missing)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Returns a number without its sign, or another bare word, and whether a minus stood before it.
    ///
    /// # Errors
    /// If neither comes next.
    pub fn word(&mut self) -> Result<(bool, &'a str), String> {
        let negative = self.eat('-');
        self.skip_space();
        let at = self.clone();
        match self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')) {
            "" => Err(at.error("a value was expected")),
            word => Ok((negative, word)),
        }
    }

    /// Returns an integer: decimal, octal after `0`, hexadecimal after `0x`.
    ///
    /// ```
    /// assert_eq!(checkpoint::text_format::Lexer::new("-0x10").integer()?, -16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If none comes next, or one that 64 bits, with the sign, do not hold.
    pub fn integer(&mut self) -> Result<i128, String> {
        let at = self.clone();
        let (negative, word) = self.word()?;
        let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if word.len() > 1 && word.starts_with('0') => (&word[1..], 8),
            None => (word, 10),
        };
        let plain = digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
        match u64::from_str_radix(digits, radix) {
            Ok(number) if plain => Ok(if negative { -i128::from(number) } else { number.into() }),
            _ => Err(at.error("an integer was expected")),
        }
    }

    /// Returns a number that need not be whole; `inf` and `nan` are some.
    ///
    /// ```
    /// assert_eq!(checkpoint::text_format::Lexer::new("1.5e3").float()?, 1500.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If none comes next.
    pub fn float(&mut self) -> Result<f64, String> {
        self.number()
    }

    /// Works as [`float`](Lexer::float), rounded once to single precision.
    ///
    /// # Errors
    /// As [`float`](Lexer::float).
    pub fn single(&mut self) -> Result<f32, String> {
        self.number()
    }

    fn number<T: std::str::FromStr + std::ops::Neg<Output = T>>(&mut self) -> Result<T, String> {
        let at = self.clone();
        let (negative, word) = self.word()?;
        let lower = word.to_ascii_lowercase();
        let digits = match lower.as_str() {
            "inf" | "infinity" | "nan" => lower.as_str(),
            // C++ programs may write a suffix.
            _ => lower.strip_suffix('f').unwrap_or(&lower),
        };
        let value: T = digits.parse().map_err(|_| at.error("a number was expected"))?;
        Ok(if negative { -value } else { value })
    }

    /// One value, or several in brackets, each read by a function.
    ///
    /// ```
    /// use checkpoint::text_format::Lexer;
    /// let mut numbers = Vec::new();
    /// Lexer::new("[1, 2]").values(|lexer| lexer.integer().map(|number| numbers.push(number)))?;
    /// assert_eq!(numbers, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Of the function; if the brackets do not close.
    pub fn values(
        &mut self,
        mut value: impl FnMut(&mut Lexer<'a>) -> Result<(), String>,
    ) -> Result<(), String> {
        if !self.eat('[') {
            return value(self);
        }
        if self.eat(']') {
            return Ok(());
        }
        loop {
            value(self)?;
            if self.eat(']') {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    /// Returns the bytes of one or more adjacent strings, joined.
    ///
    /// ```
    /// assert_eq!(checkpoint::text_format::Lexer::new("'a' \"b\"").string()?, b"ab");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If no string comes next, or one does not end or has an unknown escape.
    pub fn string(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.skip_space();
        if !self.rest.starts_with(['"', '\'']) {
            return Err(self.error("a string was expected"));
        }
        while let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let at = self.clone();
            self.rest = &self.rest[1..];
            self.quoted(quote, &mut bytes).map_err(|what| at.error(&what))?;
            self.skip_space();
        }
        Ok(bytes)
    }

    fn quoted(&mut self, quote: char, bytes: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let plain = self.take_while(|c| c != quote && c != '\\' && c != '\n');
            bytes.extend_from_slice(plain.as_bytes());
            let mut rest = self.rest.chars();
            match rest.next() {
                Some(c) if c == quote => {
                    self.rest = rest.as_str();
                    return Ok(());
                }
                Some('\\') => {
                    self.rest = rest.as_str();
                    self.escape(bytes)?;
                }
                _ => return Err("a string does not end".to_owned()),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let mut rest = self.rest.chars();
        let kind = rest.next().ok_or("a string does not end")?;
        let simple = match kind {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' | '\'' | '"' | '?' => kind as u8,
            '0'..='7' => return self.byte(8, 3, bytes),
            'x' | 'X' | 'u' | 'U' => {
                self.rest = rest.as_str();
                return match kind {
                    'u' => self.character(4, bytes),
                    'U' => self.character(8, bytes),
                    _ => self.byte(16, 2, bytes),
                };
            }
            other => return Err(format!("a string has the unknown escape \\{other}")),
        };
        bytes.push(simple);
        self.rest = rest.as_str();
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize) -> &'a str {
        let len = self.rest.chars().take(most).take_while(|c| c.is_digit(radix)).count();
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        digits
    }

    /// Parses a byte in up to `most` digits, and appends it.
    fn byte(&mut self, radix: u32, most: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
        let digits = self.digits(radix, most);
        let byte = u8::from_str_radix(digits, radix);
        bytes.push(byte.map_err(|_| format!("a string has the bad escape {digits:?}"))?);
        Ok(())
    }

    /// Parses a character by its number, and appends it.
    fn character(&mut self, digits: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
        let digits = self.digits(16, digits);
        let number = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
        let character = number.ok_or_else(|| format!("a string has the bad escape {digits:?}"))?;
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

/// Returns a text as a string in quotes; only characters that are not allowed there are escaped.
///
/// ```
/// assert_eq!(checkpoint::text_format::quoted("say \"hi\""), "\"say \\\"hi\\\"\"");
/// ```
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        push_escaped(character, &mut out);
    }
    out.push('"');
    out
}

/// Bytes as a string in quotes; all that is not ASCII is escaped.
///
/// ```
/// assert_eq!(checkpoint::text_format::quoted_bytes(b"a\xff"), "\"a\\377\"");
/// ```
#[must_use]
pub fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &byte in bytes {
        if byte.is_ascii() {
            push_escaped(char::from(byte), &mut out);
        } else {
            push_octal(byte.into(), &mut out);
        }
    }
    out.push('"');
    out
}

fn push_escaped(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\'' => out.push_str("\\'"),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        control if control.is_ascii_control() => push_octal(control.into(), out),
        other => out.push(other),
    }
}

fn push_octal(byte: u32, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\\{byte:03o}");
}

/// Returns a number with as many digits as are needed to read it back.
#[must_use]
pub fn float(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") }
}

/// Works as [`float`], in single precision.
#[must_use]
pub fn single(value: f32) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_unescaped() {
        let bytes = Lexer::new(r#" 'a"' "\x41\101\n\?" '\u00e9\U0001F600' "#).string().unwrap();
        assert_eq!(bytes, "a\"AA\n?é😀".as_bytes());
        for wrong in ["a", "'a", r"'\q'", r"'\400'", r"'\x'", r"'\ud800'", "'a\nb'"] {
            assert!(Lexer::new(wrong).string().is_err(), "{wrong}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Lexer::new(&quoted_bytes(&all)).string().unwrap(), all);
        assert_eq!(quoted_bytes("é\u{1}".as_bytes()), r#""\303\251\001""#);
        assert_eq!(quoted("é\u{1}"), r#""é\001""#);
    }

    #[test]
    fn numbers_are_parsed_as_in_protobuf() {
        let integer = |text| Lexer::new(text).integer().ok();
        assert_eq!(integer("0x1F"), Some(31));
        assert_eq!(integer("017"), Some(15));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("- 9223372036854775808"), Some(i64::MIN.into()));
        assert_eq!(integer("18446744073709551615"), Some(u64::MAX.into()));
        for wrong in ["", "18446744073709551616", "1.0", "+1", "0x", "08", "--1", "1-", "0x+1"] {
            assert_eq!(integer(wrong), None, "{wrong}");
        }
        let float = |text| Lexer::new(text).float().ok();
        assert_eq!(float("1e-3f"), Some(0.001));
        assert_eq!(float("-Infinity"), Some(f64::NEG_INFINITY));
        assert!(float("NaN").unwrap().is_nan());
        assert_eq!(float("0x1"), None);
        assert_eq!(Lexer::new("16777217").single().ok(), Some(16777216.0));
    }

    #[test]
    fn errors_name_their_place() {
        let mut lexer = Lexer::new("a: 1\n  # é\n é");
        assert_eq!(lexer.name().unwrap(), "a");
        lexer.expect(':').unwrap();
        assert_eq!(lexer.integer().unwrap(), 1);
        assert_eq!(lexer.name().unwrap_err(), "line 3, column 2: a name was expected at \"é\"");
    }
}
