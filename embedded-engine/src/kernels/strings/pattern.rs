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
//! - Strings are bytes; the pattern is UTF-8, and its classes match characters. A backslash in the rewrite
//!   that no digit follows makes the next character literal.
//!
//! Invalid patterns are `InvalidArgument`, for attributes when the plan is compiled. The library is the
//! `regex` crate. Its syntax is close to RE2's but has a few more forms, which are accepted here.

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
        let rewrite = rewrite(spec.str("rewrite")?);
        Ok(boxed(move |context| replace(context, &pattern, &rewrite, all)))
    });
    registry.add("RegexReplace", |spec| {
        let all = replaces_all(spec)?;
        Ok(boxed(move |context| {
            let expression = compiled(&pattern(context, 1)?)?;
            let rewrite = rewrite(&pattern(context, 2)?);
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
        _ => Err(Error::invalid_argument(format!("input {input} must be a scalar"))),
    }
}

/// Returns a compiled pattern. The message of an error has the pattern, its source the place.
fn compiled(pattern: &str) -> Result<Regex> {
    Regex::new(pattern)
        .map_err(|error| Error::invalid_argument(format!("Invalid pattern: {pattern}")).with_source(error))
}

/// Returns the pattern for a whole text.
///
/// The pattern is compiled alone first: `a)(?:b` is valid only inside a group. In a pattern with `(?x)` that ends
/// with a comment, the group ends on the next line, which is not part of the comment.
fn whole(pattern: &str) -> Result<Regex> {
    compiled(pattern)?;
    compiled(&format!("^(?:{pattern})$")).or_else(|_| compiled(&format!("^(?:{pattern}\n)$")))
}

/// Translates a rewrite of RE2 for the library: `\1` names a group there, `${1}` here.
///
/// A dollar sign is doubled, as it would begin a name. A backslash at the end stays.
fn rewrite(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match characters.next() {
                Some(digit @ '0'..='9') => out.push_str(&format!("${{{digit}}}")),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// Delivers a `bool` for each string.
fn matches(context: &mut KernelContext<'_>, pattern: &Regex) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let found = memory::collected(context.input(0).as_strings()?.iter().map(|text| pattern.is_match(text)))?;
    context.set(0, Tensor::from_vec(found, shape)?);
    Ok(())
}

/// Delivers the strings with matches replaced. A string without a match is shared, not copied. Empty matches
/// count: `x*` replaced by `-` makes `abc` `-a-b-c-`.
fn replace(context: &mut KernelContext<'_>, pattern: &Regex, rewrite: &str, all: bool) -> Result<()> {
    super::map(context, |text| {
        let (mut out, mut end) = (Vec::new(), 0);
        let limit = if all { usize::MAX } else { 1 };
        for found in pattern.captures_iter(text).take(limit) {
            let whole = found.get_match();
            // A group stands for no more than the match.
            let most = rewrite.len().saturating_mul(1 + whole.len());
            memory::grow(&mut out, (whole.start() - end).saturating_add(most))?;
            out.extend_from_slice(&text[end..whole.start()]);
            found.expand(rewrite.as_bytes(), &mut out);
            end = whole.end();
        }
        // No match, or an empty one at the start that was replaced by nothing.
        if end == 0 && out.is_empty() {
            return Ok(text.clone());
        }
        memory::grow(&mut out, text.len() - end)?;
        out.extend_from_slice(&text[end..]);
        Ok(out.into())
    })
}
