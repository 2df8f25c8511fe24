//! The text form of the state file: a protobuf message in text format.

use super::{CheckpointState, Note};
use crate::text_format::{Lexer, float, quoted};
use std::fmt::Write;

/// The start of a comment line with a note.
const NOTE: &str = "# monitored:";

pub(super) fn write(state: &CheckpointState) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "model_checkpoint_path: {}", quoted(&state.model_checkpoint_path));
    for path in &state.all_model_checkpoint_paths {
        let _ = writeln!(out, "all_model_checkpoint_paths: {}", quoted(path));
    }
    for time in &state.all_model_checkpoint_timestamps {
        let _ = writeln!(out, "all_model_checkpoint_timestamps: {}", float(*time));
    }
    if let Some(time) = state.last_preserved_timestamp {
        let _ = writeln!(out, "last_preserved_timestamp: {}", float(time));
    }
    for note in &state.notes {
        let _ = write!(out, "{NOTE} {}", quoted(&note.path));
        if let Some(metric) = note.metric {
            let _ = write!(out, " metric {}", float(metric));
        }
        let pinned = if note.pinned { " pinned" } else { "" };
        let doomed = if note.doomed { " doomed" } else { "" };
        let _ = writeln!(out, "{pinned}{doomed}");
    }
    out
}

pub(super) fn parse(text: &str) -> Result<CheckpointState, String> {
    // Notes are comments to the format and are therefore read in a pass of their own, before the lexer skips
    // them.
    let mut state = CheckpointState { notes: text.lines().filter_map(note).collect(), ..Default::default() };
    let mut lexer = Lexer::new(text);
    while !lexer.at_end() {
        let name = lexer.name()?;
        lexer.expect(':')?;
        match name {
            "model_checkpoint_path" => state.model_checkpoint_path = path(&mut lexer)?,
            "all_model_checkpoint_paths" => {
                lexer.values(|lexer| path(lexer).map(|path| state.all_model_checkpoint_paths.push(path)))?;
            }
            "all_model_checkpoint_timestamps" => {
                lexer.values(|lexer| {
                    lexer.float().map(|time| state.all_model_checkpoint_timestamps.push(time))
                })?;
            }
            "last_preserved_timestamp" => state.last_preserved_timestamp = Some(lexer.float()?),
            // TensorFlow treats a file with an unknown field as if it were absent, and callers do the same
            // with this error.
            unknown => return Err(format!("unknown field {unknown:?}")),
        }
        lexer.separator();
    }
    Ok(state)
}

/// Returns a note from a comment line. Any other comment, also a malformed note, is just a comment.
fn note(line: &str) -> Option<Note> {
    let mut lexer = Lexer::new(line.trim_start().strip_prefix(NOTE)?);
    let path = path(&mut lexer).ok()?;
    let mut note = Note { path, metric: None, pinned: false, doomed: false };
    let mut words = lexer.rest().split_whitespace();
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

fn path(lexer: &mut Lexer<'_>) -> Result<String, String> {
    String::from_utf8(lexer.string()?).map_err(|_| "a string is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_same_bytes_as_tensorflow() {
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
    fn refuses_malformed_text() {
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
