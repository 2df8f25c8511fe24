//! Strings and the numbers of their characters. Strings are UTF-8; numbers are also written as UTF-16 and
//! UTF-32.
//!
//! Invalid bytes are replaced, skipped, or an error, by the attribute `errors`. Control characters are
//! replaced on request.
//!
//! # Semantics
//!
//! - `UnicodeDecode` returns row splits and the numbers of the characters as `int32`,
//!   `UnicodeDecodeWithOffsets` also the place of the first byte of each as `int64`. Strings of any shape are
//!   flattened.
//! - `UnicodeEncode` takes numbers and row splits, and returns a string for each row.
//! - `UnicodeTranscode` reads and writes again, in the same shape.
//!
//! `input_encoding` is UTF-8, or ASCII, of which every byte from 0x80 on is invalid by itself; others are
//! `Unimplemented`. `output_encoding` is `UTF-8`, `UTF-16-BE` or `UTF-32-BE`, without a byte order mark. With `errors` `strict`, invalid input
//! is `InvalidArgument`, also a control character in a transcoding with `replace_control_characters`; decoding
//! replaces that one. `replace` puts `replacement_char` in its place, one for each invalid sequence;
//! `ignore` leaves it out.
//!
//! ```text
//! UnicodeDecodeWithOffsets of "a\xff\xc3\xa9"   ->   97, 65533, 233 at 0, 1, 2
//! ```

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use tensor::{Bytes, DType, Tensor, memory};

/// Registers the four op types.
pub(super) fn register(registry: &mut Registry) {
    for op_type in ["UnicodeDecode", "UnicodeDecodeWithOffsets"] {
        registry.add(op_type, |spec| {
            let (reader, splits) = (Reader::of(spec)?, spec.dtype("Tsplits")?);
            let offsets = spec.operation.op_type() == "UnicodeDecodeWithOffsets";
            Ok(boxed(move |context| decode(context, &reader, splits, offsets)))
        });
    }
    registry.add("UnicodeEncode", |spec| {
        let (errors, form) = (Errors::of(spec)?, Form::of(spec)?);
        Ok(boxed(move |context| encode(context, errors, form)))
    });
    registry.add("UnicodeTranscode", |spec| {
        let (reader, form) = (Reader::of(spec)?, Form::of(spec)?);
        Ok(boxed(move |context| {
            super::map(context, |text| {
                let mut written = Vec::new();
                for (character, _) in reader.characters(text)? {
                    form.write(character, &mut written);
                }
                Ok(written.into())
            })
        }))
    });
}

/// The treatment of bytes and numbers that are not characters.
#[derive(Clone, Copy)]
enum Errors {
    /// They are an error.
    Strict,
    /// They are replaced by this character.
    Replace(char),
    /// They are left out.
    Ignore,
}

impl Errors {
    /// Reads the attributes `errors` and `replacement_char`.
    fn of(spec: &NodeSpec<'_>) -> Result<Errors> {
        Ok(match spec.str("errors")? {
            "strict" => Errors::Strict,
            "ignore" => Errors::Ignore,
            _ => Errors::replaced(spec)?,
        })
    }

    /// Reads the attribute `replacement_char`, which must be a character, not a surrogate or a number beyond
    /// U+10FFFF.
    fn replaced(spec: &NodeSpec<'_>) -> Result<Errors> {
        let number = spec.int("replacement_char")?;
        let character = u32::try_from(number).ok().and_then(char::from_u32);
        let text = || format!("replacement_char {number} is not a valid unicode codepoint");
        Ok(Errors::Replace(character.ok_or_else(|| Error::invalid_argument(text()))?))
    }

    /// Returns the character that replaces an invalid one, if there is one.
    ///
    /// `None` leaves it out. Fails for `Strict`.
    fn instead(self) -> Result<Option<char>> {
        match self {
            Errors::Strict => Err(Error::invalid_argument("Invalid formatting on input string")),
            Errors::Replace(character) => Ok(Some(character)),
            Errors::Ignore => Ok(None),
        }
    }
}

/// The way to read strings.
#[derive(Clone, Copy)]
struct Reader {
    /// True if only bytes below 0x80 are characters.
    is_ascii: bool,
    /// The treatment of invalid bytes.
    errors: Errors,
    /// The treatment of characters up to U+001F; `None` if they are like others.
    control: Option<Errors>,
}

impl Reader {
    /// Fails with `Unimplemented` for encodings other than UTF-8 and ASCII.
    fn of(spec: &NodeSpec<'_>) -> Result<Reader> {
        let encoding = spec.str("input_encoding")?;
        let is_ascii = match encoding.to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" => false,
            "US-ASCII" | "ASCII" => true,
            _ => {
                let text = format!("strings in the encoding '{encoding}' are not read, only UTF-8 and ASCII");
                return Err(Error::new(Code::Unimplemented, text));
            }
        };
        let errors = Errors::of(spec)?;
        let is_transcoded = spec.operation.op_type() == "UnicodeTranscode";
        let control = match (spec.bool("replace_control_characters")?, errors) {
            (false, _) => None,
            // Only a transcoding refuses them then, as in TensorFlow.
            (true, Errors::Strict) if !is_transcoded => Some(Errors::replaced(spec)?),
            (true, errors) => Some(errors),
        };
        Ok(Reader { is_ascii, errors, control })
    }

    /// Returns what is read for a valid character, if anything.
    fn valid(&self, character: char) -> Result<Option<char>> {
        match self.control {
            Some(control) if character <= '\u{1f}' => control.instead(),
            _ => Ok(Some(character)),
        }
    }

    /// Returns the characters of a string, each with the place of its first byte.
    ///
    /// Fails if the string is not valid and errors are strict. Memory is reserved for one character per byte,
    /// the most there can be.
    ///
    /// Of UTF-8 each maximal invalid part of a sequence counts as one invalid character.
    fn characters(&self, text: &[u8]) -> Result<Vec<(char, usize)>> {
        let mut characters = memory::reserve(text.len())?;
        if self.is_ascii {
            for (place, &byte) in text.iter().enumerate() {
                let read =
                    if byte.is_ascii() { self.valid(char::from(byte))? } else { self.errors.instead()? };
                characters.extend(read.map(|character| (character, place)));
            }
            return Ok(characters);
        }
        let mut at = 0;
        for chunk in text.utf8_chunks() {
            for (place, character) in chunk.valid().char_indices() {
                let read = self.valid(character)?;
                characters.extend(read.map(|character| (character, at + place)));
            }
            at += chunk.valid().len();
            // An incomplete sequence counts as one invalid character, however many bytes it has.
            if !chunk.invalid().is_empty() {
                characters.extend(self.errors.instead()?.map(|character| (character, at)));
                at += chunk.invalid().len();
            }
        }
        Ok(characters)
    }
}

/// Delivers the splits, the numbers, and with `offsets` the places of all strings together.
fn decode(context: &mut KernelContext<'_>, reader: &Reader, splits: DType, offsets: bool) -> Result<()> {
    let (mut numbers, mut starts, mut made) = (Vec::new(), Vec::new(), vec![0]);
    for text in context.input(0).as_strings()? {
        let characters = reader.characters(text)?;
        memory::grow(&mut numbers, characters.len())?;
        memory::grow(&mut starts, characters.len())?;
        for (character, start) in characters {
            // Characters end at U+10FFFF, so the sign is never set.
            numbers.push(u32::from(character).cast_signed());
            starts.push(start as i64);
        }
        made.push(numbers.len());
    }
    let count = numbers.len();
    context.set(0, crate::kernels::ragged::indices(made, splits)?);
    context.set(1, Tensor::from_vec(numbers, [count])?);
    if offsets {
        context.set(2, Tensor::from_vec(starts, [count])?);
    }
    Ok(())
}

/// The form in which characters are written.
#[derive(Clone, Copy)]
enum Form {
    /// One to four bytes.
    Utf8,
    /// One or two units of two bytes, the upper byte first.
    Utf16,
    /// Four bytes, the upper one first.
    Utf32,
}

impl Form {
    /// Reads the attribute `output_encoding`.
    fn of(spec: &NodeSpec<'_>) -> Result<Form> {
        Ok(match spec.str("output_encoding")? {
            "UTF-16-BE" => Form::Utf16,
            "UTF-32-BE" => Form::Utf32,
            _ => Form::Utf8,
        })
    }

    /// Appends a character.
    fn write(self, character: char, to: &mut Vec<u8>) {
        match self {
            Form::Utf8 => to.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
            Form::Utf16 => {
                to.extend(character.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
            }
            Form::Utf32 => to.extend(u32::from(character).to_be_bytes()),
        }
    }
}

/// Delivers a string for each row of numbers. Numbers that are not characters are treated as `errors` states.
fn encode(context: &mut KernelContext<'_>, errors: Errors, form: Form) -> Result<()> {
    let numbers = context.ints(0)?;
    let splits = crate::kernels::ragged::splits(context, 1)?;
    if splits.last() != Some(&numbers.len()) {
        let text = format!("the splits must end with the number of values, {}", numbers.len());
        return Err(Error::invalid_argument(text));
    }
    let mut texts = memory::reserve(splits.len() - 1)?;
    for pair in splits.windows(2) {
        let mut text = Vec::new();
        for &number in &numbers[pair[0]..pair[1]] {
            let character = u32::try_from(number).ok().and_then(char::from_u32);
            let character = match character {
                Some(character) => Some(character),
                None => errors.instead().map_err(|_| {
                    Error::invalid_argument(format!("{number} is not a valid unicode codepoint"))
                })?,
            };
            if let Some(character) = character {
                form.write(character, &mut text);
            }
        }
        texts.push(Bytes::from(text));
    }
    let count = texts.len();
    context.set(0, Tensor::from_strings(texts, [count])?);
    Ok(())
}
