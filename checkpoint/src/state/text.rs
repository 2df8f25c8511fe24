//! The text form of the state file: a protobuf message in text format.

use super::{CheckpointState, Note};
use std::fmt::Write;

/// How a comment line with a note begins.
const NOTE: &str = "# monitored:";

pub(super) fn write(state: &CheckpointState) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "model_checkpoint_path: {}", quoted(&state.model_checkpoint_path));
    for path in &state.all_model_checkpoint_paths {
        let _ = writeln!(out, "all_model_checkpoint_paths: {}", quoted(path));
    }
    for time in &state.all_model_checkpoint_timestamps {
        let _ = writeln!(out, "all_model_checkpoint_timestamps: {}", number(*time));
    }
    if let Some(time) = state.last_preserved_timestamp {
        let _ = writeln!(out, "last_preserved_timestamp: {}", number(time));
    }
    for note in &state.notes {
        let _ = write!(out, "{NOTE} {}", quoted(&note.path));
        if let Some(metric) = note.metric {
            let _ = write!(out, " metric {}", number(metric));
        }
        let pinned = if note.pinned { " pinned" } else { "" };
        let doomed = if note.doomed { " doomed" } else { "" };
        let _ = writeln!(out, "{pinned}{doomed}");
    }
    out
}

fn number(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_ascii_control() => {
                let _ = write!(out, "\\{:03o}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

pub(super) fn parse(text: &str) -> Result<CheckpointState, String> {
    let mut state = CheckpointState { notes: text.lines().filter_map(note).collect(), ..Default::default() };
    let mut parser = Parser { rest: text };
    while let Some(name) = parser.field_name()? {
        parser.colon()?;
        match name {
            "model_checkpoint_path" => state.model_checkpoint_path = parser.string()?,
            "all_model_checkpoint_paths" => {
                parser.values(&mut state.all_model_checkpoint_paths, Parser::string)?;
            }
            "all_model_checkpoint_timestamps" => {
                parser.values(&mut state.all_model_checkpoint_timestamps, Parser::number)?;
            }
            "last_preserved_timestamp" => state.last_preserved_timestamp = Some(parser.number()?),
            unknown => return Err(format!("unknown field {unknown:?}")),
        }
        parser.separator();
    }
    Ok(state)
}

/// A note from a comment line. Any other comment, also a malformed note, is just a comment.
fn note(line: &str) -> Option<Note> {
    let mut parser = Parser { rest: line.trim_start().strip_prefix(NOTE)? };
    let path = parser.string().ok()?;
    let mut note = Note { path, metric: None, pinned: false, doomed: false };
    let mut words = parser.rest.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "metric" => note.metric = Some(words.next()?.parse().ok()?),
            "pinned" => note.pinned = true,
            "doomed" => note.doomed = true,
            _ => return None,
        }
    }
    Some(note)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    fn eat(&mut self, character: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !accept(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// The next field's name; `None` at the end.
    fn field_name(&mut self) -> Result<Option<&'a str>, String> {
        self.skip_space();
        if self.rest.is_empty() {
            return Ok(None);
        }
        match self.take_while(|c| c.is_ascii_alphanumeric() || c == '_') {
            "" => Err(format!("a field name was expected at {:?}", self.here())),
            name => Ok(Some(name)),
        }
    }

    fn here(&self) -> String {
        self.rest.chars().take(20).collect()
    }

    fn colon(&mut self) -> Result<(), String> {
        if self.eat(':') { Ok(()) } else { Err(format!("a colon was expected at {:?}", self.here())) }
    }

    fn separator(&mut self) {
        if !self.eat(',') {
            self.eat(';');
        }
    }

    /// One value, or a list of them in brackets.
    fn values<T>(
        &mut self,
        into: &mut Vec<T>,
        value: impl Fn(&mut Self) -> Result<T, String>,
    ) -> Result<(), String> {
        if !self.eat('[') {
            into.push(value(self)?);
            return Ok(());
        }
        if self.eat(']') {
            return Ok(());
        }
        loop {
            into.push(value(self)?);
            if self.eat(']') {
                return Ok(());
            }
            if !self.eat(',') {
                return Err(format!("a comma was expected at {:?}", self.here()));
            }
        }
    }

    fn number(&mut self) -> Result<f64, String> {
        self.skip_space();
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'));
        let lower = word.to_ascii_lowercase();
        let digits = match lower.trim_start_matches('-') {
            "inf" | "infinity" | "nan" => lower.as_str(),
            // C++ programs may write a suffix.
            _ => lower.strip_suffix('f').unwrap_or(&lower),
        };
        digits.parse().map_err(|_| format!("{word:?} is no number"))
    }

    /// One or more adjacent strings, joined.
    fn string(&mut self) -> Result<String, String> {
        let mut bytes = Vec::new();
        self.skip_space();
        if !self.rest.starts_with(['"', '\'']) {
            return Err(format!("a string was expected at {:?}", self.here()));
        }
        while let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            self.rest = &self.rest[1..];
            self.quoted(quote, &mut bytes)?;
            self.skip_space();
        }
        String::from_utf8(bytes).map_err(|_| "a string is not UTF-8".to_owned())
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
            'x' | 'X' => {
                self.rest = rest.as_str();
                return self.digits(16, 2, bytes);
            }
            '0'..='7' => return self.digits(8, 3, bytes),
            other => return Err(format!("unknown escape \\{other}")),
        };
        bytes.push(simple);
        self.rest = rest.as_str();
        Ok(())
    }

    /// A byte in up to `max` digits.
    fn digits(&mut self, radix: u32, max: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
        let len = self.rest.chars().take(max).take_while(|c| c.is_digit(radix)).count();
        let (digits, rest) = self.rest.split_at(len);
        let byte = u8::from_str_radix(digits, radix).map_err(|_| format!("bad escape {digits:?}"))?;
        bytes.push(byte);
        self.rest = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_tensorflow_writes() {
        let state = CheckpointState {
            model_checkpoint_path: "mödel \"q\" 'a'.ckpt-2".into(),
            all_model_checkpoint_paths: vec!["a\\b".into()],
            all_model_checkpoint_timestamps: vec![1795293269.5195405, 2.0],
            last_preserved_timestamp: Some(1795293268.5096831),
            notes: vec![],
        };
        let text = "model_checkpoint_path: \"mödel \\\"q\\\" \\'a\\'.ckpt-2\"\n\
            all_model_checkpoint_paths: \"a\\\\b\"\n\
            all_model_checkpoint_timestamps: 1795293269.5195405\n\
            all_model_checkpoint_timestamps: 2.0\n\
            last_preserved_timestamp: 1795293268.5096831\n";
        assert_eq!(state.to_text(), text);
        assert_eq!(CheckpointState::parse(text), Ok(state));
    }

    #[test]
    fn accepts_the_whole_text_format() {
        let text = "# a comment\r\nmodel_checkpoint_path:'a' \"b\\x41\\101\\n\";\n\
            all_model_checkpoint_paths: [ \"x\" , 'y' ], all_model_checkpoint_paths:\"z\"\n\
            all_model_checkpoint_timestamps: [1e3, -2.5, 3f, inf] last_preserved_timestamp: nan # end";
        let state = CheckpointState::parse(text).unwrap();
        assert_eq!(state.model_checkpoint_path, "abAA\n");
        assert_eq!(state.all_model_checkpoint_paths, ["x", "y", "z"]);
        assert_eq!(state.all_model_checkpoint_timestamps, [1000.0, -2.5, 3.0, f64::INFINITY]);
        assert!(state.last_preserved_timestamp.unwrap().is_nan());
        let twice = "model_checkpoint_path: \"a\" model_checkpoint_path: \"b\"";
        assert_eq!(CheckpointState::parse(twice).unwrap().model_checkpoint_path, "b", "the last one counts");
    }

    #[test]
    fn refuses_what_does_not_parse() {
        for text in [
            "unknown: 1",
            "model_checkpoint_path \"a\"",
            "model_checkpoint_path: a",
            "model_checkpoint_path: \"a",
            "model_checkpoint_path: \"a\\q\"",
            "model_checkpoint_path: \"\\377\"",
            "all_model_checkpoint_paths: [\"a\" \"b\"",
            "last_preserved_timestamp: soon",
            "{}",
        ] {
            assert!(CheckpointState::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn notes_hide_in_comments() {
        let state = CheckpointState {
            model_checkpoint_path: "m-2".into(),
            all_model_checkpoint_paths: vec!["m-1".into(), "m-2".into()],
            notes: vec![
                Note { path: "m-1".into(), metric: Some(-0.5), pinned: true, doomed: false },
                Note { path: "m-2 \"x\"".into(), metric: None, pinned: false, doomed: true },
            ],
            ..Default::default()
        };
        let text = state.to_text();
        assert!(text.contains("\n# monitored: \"m-1\" metric -0.5 pinned\n"));
        assert_eq!(CheckpointState::parse(&text), Ok(state));
    }
}
