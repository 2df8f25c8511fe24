//! Regular expressions, in RE2's syntax.
//!
//! Matching takes time that is linear in the text, for any pattern. `RegexReplace` inserts groups by `\0` to
//! `\9` in the rewrite, and replaces all matches or the first one.
//!
//! # Semantics
//!
//! - `RegexFullMatch` returns for each string whether the pattern matches all of it. `RegexReplace` replaces
//!   matches, all of them or with `replace_global` false the first.
//! - The `Static` forms have pattern and rewrite as attributes and compile them once; the others have them as
//!   scalar inputs and compile them in each run.
//! - Strings are bytes; the pattern is UTF-8, and its classes match characters. After an empty match the next one
//!   is looked for behind the next character, or behind the next byte if that begins none.
//! - In a rewrite, `\\` is a backslash. One that names a group which the pattern does not have leaves the strings
//!   as they are. So does any other character after a backslash if `replace_global` is false; otherwise what is
//!   before it is inserted, as in TensorFlow.
//!
//! Invalid patterns are `InvalidArgument`, for attributes when the plan is compiled. The library is the
//! `regex` crate, to whose syntax `re2.rs` translates.

use super::re2::translated;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use regex::bytes::Regex;
use session_core::{Error, Result};
use tensor::{Tensor, memory};

/// Registers the four op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("StaticRegexFullMatch", |spec| {
        let pattern = whole(spec.str("pattern")?)?;
        Ok(boxed(move |context| matches(context, &pattern)))
    });
    registry.add("RegexFullMatch", |_| {
        Ok(boxed(|context| {
            let pattern = whole(&pattern(context, 1)?)?;
            matches(context, &pattern)
        }))
    });
    registry.add("StaticRegexReplace", |spec| {
        let (pattern, all) = (compiled(spec.str("pattern")?)?, replaces_all(spec)?);
        let rewrite = Rewrite::of(spec.str("rewrite")?.as_bytes());
        Ok(boxed(move |context| replace(context, &pattern, &rewrite, all)))
    });
    registry.add("RegexReplace", |spec| {
        let all = replaces_all(spec)?;
        Ok(boxed(move |context| {
            let expression = compiled(&pattern(context, 1)?)?;
            let [rewrite] = context.input(2).as_strings()? else { return Err(not_a_scalar(2)) };
            let rewrite = Rewrite::of(rewrite);
            replace(context, &expression, &rewrite, all)
        }))
    });
}

/// Returns the attribute `replace_global`.
fn replaces_all(spec: &NodeSpec<'_>) -> Result<bool> {
    spec.bool("replace_global")
}

/// Returns the one string of an input as text, which must be UTF-8.
fn pattern(context: &KernelContext<'_>, input: usize) -> Result<String> {
    match context.input(input).as_strings()? {
        [text] => String::from_utf8(text.to_vec())
            .map_err(|_| Error::invalid_argument(format!("input {input} is not UTF-8"))),
        _ => Err(not_a_scalar(input)),
    }
}

/// Returns the error for an input of several strings.
fn not_a_scalar(input: usize) -> Error {
    Error::invalid_argument(format!("input {input} must be a scalar"))
}

/// Returns a compiled pattern of RE2. The message of an error has the pattern.
fn compiled(pattern: &str) -> Result<Regex> {
    library(&in_library(pattern)?, pattern)
}

/// Returns the pattern for a whole text.
///
/// The pattern is compiled alone first: `a)(?:b` is valid only inside a group.
fn whole(pattern: &str) -> Result<Regex> {
    let own = in_library(pattern)?;
    library(&own, pattern)?;
    library(&format!("\\A(?:{own})\\z"), pattern)
}

/// Returns a pattern of RE2 in the syntax of the library.
fn in_library(pattern: &str) -> Result<String> {
    translated(pattern)
        .map_err(|reason| Error::invalid_argument(format!("Invalid pattern: {pattern}, error: {reason}")))
}

/// Compiles a translated pattern. `pattern` is the one before, for messages.
fn library(translated: &str, pattern: &str) -> Result<Regex> {
    Regex::new(translated)
        .map_err(|error| Error::invalid_argument(format!("Invalid pattern: {pattern}")).with_source(error))
}

/// The text that replaces a match.
struct Rewrite {
    /// The parts, up to a backslash that is followed by neither a digit nor a backslash.
    parts: Vec<Part>,
    /// The largest number of a group, also of one after such a backslash.
    most: usize,
    /// False if there is such a backslash.
    is_valid: bool,
}

/// A part of a rewrite.
enum Part {
    /// Bytes that are inserted as they are.
    Text(Vec<u8>),
    /// The text of a group; group 0 is the whole match.
    Group(usize),
}

impl Rewrite {
    /// Reads a rewrite, which may be any bytes.
    fn of(text: &[u8]) -> Rewrite {
        let (mut parts, mut literal, mut most, mut is_valid) = (Vec::new(), Vec::new(), 0, true);
        let mut bytes = text.iter();
        while let Some(&byte) = bytes.next() {
            let escaped = if byte == b'\\' { Some(bytes.next()) } else { None };
            match escaped {
                None if is_valid => literal.push(byte),
                Some(Some(b'\\')) if is_valid => literal.push(b'\\'),
                Some(Some(digit @ b'0'..=b'9')) => {
                    let group = usize::from(digit - b'0');
                    most = most.max(group);
                    if is_valid {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                        parts.push(Part::Group(group));
                    }
                }
                None | Some(Some(b'\\')) => {}
                Some(_) => is_valid = false,
            }
        }
        parts.push(Part::Text(literal));
        Rewrite { parts, most, is_valid }
    }
}

/// Delivers a `bool` for each string.
fn matches(context: &mut KernelContext<'_>, pattern: &Regex) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let found = memory::collected(context.input(0).as_strings()?.iter().map(|text| pattern.is_match(text)))?;
    context.set(0, Tensor::from_vec(found, shape)?);
    Ok(())
}

/// Delivers the strings with matches replaced. A string without a match is shared, not copied. Empty matches
/// count, but not at the end of a match: `x*` replaced by `-` makes `abc` `-a-b-c-`, and `axb` `-a-b-`.
fn replace(context: &mut KernelContext<'_>, pattern: &Regex, rewrite: &Rewrite, all: bool) -> Result<()> {
    let is_unchanged = rewrite.most >= pattern.captures_len() || !all && !rewrite.is_valid;
    let mut found = pattern.capture_locations();
    super::map(context, |text| {
        // `copied` is the end of what is in the output, `last` that of the last match.
        let (mut out, mut copied, mut last, mut is_changed) = (Vec::new(), 0, None, false);
        while copied <= text.len() && !is_unchanged && (all || !is_changed) {
            let Some(whole) = pattern.captures_read_at(&mut found, text, copied) else { break };
            let mut end = whole.end();
            if whole.is_empty() && last == Some(whole.start()) {
                end += step(&text[whole.end()..]);
                if let Some(skipped) = text.get(copied..end) {
                    memory::grow(&mut out, skipped.len())?;
                    out.extend_from_slice(skipped);
                }
            } else {
                memory::grow(&mut out, whole.start() - copied)?;
                out.extend_from_slice(&text[copied..whole.start()]);
                for part in &rewrite.parts {
                    let inserted = match part {
                        Part::Text(literal) => literal.as_slice(),
                        Part::Group(group) => found.get(*group).map_or(&[][..], |(from, to)| &text[from..to]),
                    };
                    memory::grow(&mut out, inserted.len())?;
                    out.extend_from_slice(inserted);
                }
                (last, is_changed) = (Some(end), true);
            }
            copied = end;
        }
        if !is_changed {
            return Ok(text.clone());
        }
        let rest = text.get(copied..).unwrap_or_default();
        memory::grow(&mut out, rest.len())?;
        out.extend_from_slice(rest);
        Ok(out.into())
    })
}

/// Returns the length of the first character of a text; 1 for a byte that begins none, and for an empty text.
fn step(text: &[u8]) -> usize {
    // Characters have up to four bytes.
    let first = text[..text.len().min(4)].utf8_chunks().next();
    first.and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}
