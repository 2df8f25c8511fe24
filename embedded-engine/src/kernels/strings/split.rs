//! Strings split and cut.
//!
//! `StringSplit` treats each character of its delimiter as a delimiter of its own, and drops empty strings
//! with `skip_empty`. V2 splits at the whole separator, or at runs of whitespace if it is empty. `Substr`
//! broadcasts positions and lengths; a position beyond the end is an error, and a length is cut at the end.
//!
//! # Semantics
//!
//! - `StringSplit` and `StringSplitV2` take a vector of strings and a delimiter, and return the parts as a
//!   sparse tensor: indices `[row, part]`, values, and the shape `[rows, most parts]`.
//! - An empty delimiter of `StringSplit` splits into single bytes. An empty string has no parts.
//! - `maxsplit` of V2 limits the number of splits, not of parts; a negative number is no limit. With a
//!   separator an empty string has one, empty, part.
//! - `Substr` takes strings, positions and lengths, which broadcast together. A negative position counts from
//!   the end. The end itself is a valid position. With `unit` `UTF8_CHAR` both count characters. A negative
//!   length gives an empty string for characters, and for bytes everything up to the end.
//!
//! ```text
//! StringSplitV2 of "a  b c" by "", maxsplit 1   ->   "a", "b c"
//! Substr of "hello" at -3, length 2             ->   "ll"
//! ```
//!
//! Parts are slices of the strings and share their memory. Inputs of another rank and positions out of range
//! are `InvalidArgument`.

use super::{is_space, is_utf8, trimmed_start};
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Bytes, Shape, Tensor, memory};

/// Registers the three op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("StringSplit", |spec| {
        let skip_empty = spec.bool("skip_empty")?;
        Ok(boxed(move |context| {
            let delimiters = single(context, 1)?;
            split(context, |text| at_any(text, &delimiters, skip_empty))
        }))
    });
    registry.add("StringSplitV2", |spec| {
        let limit = usize::try_from(spec.int("maxsplit")?).unwrap_or(usize::MAX);
        Ok(boxed(move |context| {
            let separator = single(context, 1)?;
            split(context, |text| match separator.is_empty() {
                true => at_white_space(text, limit),
                false => at_separator(text, &separator, limit),
            })
        }))
    });
    registry.add("Substr", |spec| {
        let characters = is_utf8(spec.str("unit")?);
        Ok(boxed(move |context| substr(context, characters)))
    });
}

/// Returns the delimiter or separator in an input, which must be a scalar.
fn single(context: &KernelContext<'_>, input: usize) -> Result<Bytes> {
    match context.input(input).as_strings()? {
        [text] if context.input(input).shape().rank() == 0 => Ok(text.clone()),
        _ => {
            let text = format!("delimiter must be a scalar, got shape {}", context.input(input).shape());
            Err(Error::invalid_argument(text))
        }
    }
}

/// Delivers the parts of each string of input 0, which `parts` finds, as one row of a sparse tensor.
///
/// Fails with `InvalidArgument` unless input 0 is a vector. The shape of the sparse tensor is
/// `[rows, most parts of a row]`.
fn split(context: &mut KernelContext<'_>, parts: impl Fn(&Bytes) -> Result<Vec<Bytes>>) -> Result<()> {
    let input = context.input(0);
    if input.shape().rank() != 1 {
        let text = format!("input must be a vector, got shape {}", input.shape());
        return Err(Error::invalid_argument(text));
    }
    let (mut indices, mut values, mut longest) = (Vec::new(), Vec::new(), 0);
    let rows = input.elements();
    for (row, text) in input.as_strings()?.iter().enumerate() {
        let parts = parts(text)?;
        longest = longest.max(parts.len());
        memory::grow(&mut indices, 2 * parts.len())?;
        memory::grow(&mut values, parts.len())?;
        indices.extend((0..parts.len()).flat_map(|column| [row as i64, column as i64]));
        values.extend(parts);
    }
    let count = values.len();
    context.set(0, Tensor::from_vec(indices, [count, 2])?);
    context.set(1, Tensor::from_strings(values, [count])?);
    context.set(2, Tensor::from(vec![rows as i64, longest as i64]));
    Ok(())
}

/// Returns the parts between bytes out of `delimiters`. `skip_empty` leaves out parts without bytes; without
/// it, two neighboring delimiters have one between them.
fn at_any(text: &Bytes, delimiters: &[u8], skip_empty: bool) -> Result<Vec<Bytes>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if delimiters.is_empty() {
        return Ok(memory::collected((0..text.len()).map(|place| text.slice(place..place + 1)))?);
    }
    let parts = text.split(|byte| delimiters.contains(byte)).filter(|part| !(skip_empty && part.is_empty()));
    memory::try_collected(parts.map(|part| Ok(text.slice_ref(part))))
}

/// Returns the parts between occurrences of a separator that is not empty, of which at most `limit` are split
/// at.
fn at_separator(text: &Bytes, separator: &[u8], limit: usize) -> Result<Vec<Bytes>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    while parts.len() < limit {
        let Some(found) = text[start..].windows(separator.len()).position(|window| window == separator)
        else {
            break;
        };
        // Room for this part and for the rest.
        memory::grow(&mut parts, 2)?;
        parts.push(text.slice(start..start + found));
        start += found + separator.len();
    }
    parts.push(text.slice(start..));
    Ok(parts)
}

/// Returns the parts between runs of white space. White space at both ends is dropped, except after the
/// last split if `limit` ends the search.
fn at_white_space(text: &Bytes, limit: usize) -> Result<Vec<Bytes>> {
    if limit == 0 {
        return Ok(vec![text.clone()]);
    }
    let (mut parts, mut rest) = (Vec::new(), trimmed_start(text));
    while !rest.is_empty() {
        let end = rest.iter().position(is_space).unwrap_or(rest.len());
        memory::grow(&mut parts, 2)?;
        parts.push(text.slice_ref(&rest[..end]));
        rest = trimmed_start(&rest[end..]);
        if parts.len() == limit {
            // After the last split comes the rest, though it may be empty.
            parts.push(text.slice_ref(rest));
            break;
        }
    }
    Ok(parts)
}

/// Delivers a part of each string.
///
/// Inputs 1 and 2, positions and lengths, must have the same shape, which broadcasts with that of the
/// strings.
fn substr(context: &mut KernelContext<'_>, characters: bool) -> Result<()> {
    let (texts, places, lengths) = (context.input(0), context.ints(1)?, context.ints(2)?);
    let places_shape = context.input(1).shape();
    if context.input(2).shape() != places_shape {
        return Err(Error::invalid_argument("pos and len must have the same shape"));
    }
    let shape = broadcast(texts.shape(), places_shape)?;
    let strings = texts.as_strings()?;
    let (from, of) = (places_in(texts.shape(), &shape)?, places_in(places_shape, &shape)?);
    let cut =
        from.into_iter().zip(of).map(|(text, at)| part(&strings[text], places[at], lengths[at], characters));
    let cut: Vec<Bytes> = memory::try_collected(cut)?;
    context.set(0, Tensor::from_strings(cut, shape)?);
    Ok(())
}

/// Returns the shape that both shapes broadcast to, aligned at their last dimensions.
fn broadcast(a: &Shape, b: &Shape) -> Result<Shape> {
    let rank = a.rank().max(b.rank());
    let dim =
        |shape: &Shape, back: usize| if back < shape.rank() { shape[shape.rank() - 1 - back] } else { 1 };
    let dims = (0..rank).rev().map(|back| match (dim(a, back), dim(b, back)) {
        (1, other) | (other, 1) => Ok(other),
        (a, b) if a == b => Ok(a),
        _ => Err(Error::invalid_argument(format!("Incompatible shapes: {a} vs. {b}"))),
    });
    dims.collect()
}

/// Returns for each element of a shape the corresponding element of a shape that is broadcast to it.
///
/// For `narrow` `[2, 1]` and `shape` `[2, 3]` these are `[0, 0, 0, 1, 1, 1]`. Shapes of lower rank are
/// repeated along the missing axes.
fn places_in(narrow: &Shape, shape: &Shape) -> Result<Vec<usize>> {
    let mut places = vec![0];
    for (index, &size) in shape.iter().enumerate() {
        let own = (index + narrow.rank()).checked_sub(shape.rank()).map_or(1, |own| narrow[own]);
        let mut longer = memory::reserve(places.len().saturating_mul(size))?;
        for place in places {
            longer.extend((0..size).map(|at| place * own + if own == 1 { 0 } else { at }));
        }
        places = longer;
    }
    Ok(places)
}

/// Returns the part of a string from `place` on, of `len` bytes or `characters`. A negative length is none
/// for characters, and no limit for bytes. Fails if the position is outside of the string.
fn part(text: &Bytes, place: i64, len: i64, characters: bool) -> Result<Bytes> {
    // The first byte of each character and the end of the text; bytes that continue a character are skipped,
    // whether or not the text is valid.
    let starts: Option<Vec<usize>> = characters
        .then(|| (0..text.len()).filter(|&at| text[at] & 0xc0 != 0x80).chain([text.len()]).collect());
    let whole = starts.as_ref().map_or(text.len(), |starts| starts.len() - 1);
    let outside = || {
        let text = format!("pos {place} out of range for string b'{}'", text.escape_ascii());
        Error::invalid_argument(text)
    };
    let start = if place < 0 { place + whole as i64 } else { place };
    let start = usize::try_from(start).ok().filter(|&start| start <= whole).ok_or_else(outside)?;
    let negative = if characters { 0 } else { usize::MAX };
    let end = start.saturating_add(usize::try_from(len).unwrap_or(negative)).min(whole);
    let at = |place: usize| starts.as_ref().map_or(place, |starts| starts[place]);
    Ok(text.slice(at(start)..at(end)))
}
