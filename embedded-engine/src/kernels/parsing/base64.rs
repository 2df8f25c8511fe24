//! Bytes as web-safe base64 text.
//!
//! The alphabet is the one for URLs, with `-` and `_`. Padding is written with the attribute `pad` and
//! optional when reading. Other characters are an error.
//!
//! ```text
//! EncodeBase64 of "ab"     ->   "YWI", with pad "YWI="
//! DecodeBase64 of "YWI"    ->   "ab"
//! ```
//!
//! Both op types take and return strings of one shape. Line breaks and blanks are other characters, too. Bits
//! of the last digit that do not belong to a byte are ignored, as TensorFlow does: "YWJ" is "ab".

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Bytes, Tensor, memory};

/// Registers the two op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("DecodeBase64", |_| Ok(boxed(|context| map(context, decoded))));
    registry.add("EncodeBase64", |spec| {
        let pad = spec.bool("pad")?;
        Ok(boxed(move |context| map(context, |bytes| encoded(bytes, pad))))
    });
}

/// The digits in the order of their values, RFC 4648 section 5.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Replaces each string.
///
/// The first error ends the operation; nothing is delivered then.
fn map(context: &mut KernelContext<'_>, change: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let input = context.input(0).clone();
    let strings = input.as_strings()?.iter().map(|text| Ok::<_, Error>(Bytes::from(change(text)?)));
    let strings = memory::try_collected(strings)?;
    context.set(0, Tensor::from_strings(strings, input.shape().clone())?);
    Ok(())
}

/// Returns the digits of some bytes. Each 3 bytes are 4 digits. A last part of 1 or 2 bytes is 2 or 3 digits,
/// and with `pad` as many `=` as complete the 4.
fn encoded(bytes: &[u8], pad: bool) -> Result<Vec<u8>> {
    let mut text = memory::reserve(bytes.len().div_ceil(3) * 4)?;
    for part in bytes.chunks(3) {
        let bits =
            part.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - part.len()));
        for digit in 0..4 {
            // One digit more than there are bytes holds the rest of their bits.
            match digit <= part.len() {
                true => text.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]),
                false if pad => text.push(b'='),
                false => {}
            }
        }
    }
    Ok(text)
}

/// Returns the bytes of a text. Fails for characters outside the alphabet, for a length that no bytes have,
/// and for padding that does not complete the last 4 digits.
fn decoded(text: &[u8]) -> Result<Vec<u8>> {
    let wrong =
        |what: &str| Error::invalid_argument(format!("a text of {} bytes is not base64: {what}", text.len()));
    // Padding belongs to texts whose length it makes a multiple of four.
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return Err(wrong("its padding is wrong"));
    }
    let digits = &text[..text.len() - padding];
    if digits.len() % 4 == 1 {
        return Err(wrong("a single digit is left at its end"));
    }
    let mut bytes = memory::reserve(digits.len() / 4 * 3 + 3)?;
    for part in digits.chunks(4) {
        let mut bits = 0u32;
        for &byte in part {
            let digit = DIGITS.iter().position(|&digit| digit == byte);
            bits = bits << 6
                | digit.ok_or_else(|| wrong("only letters, digits, '-' and '_' are in one"))? as u32;
        }
        // The digits are shifted to the upper end of 24 bits, of which `part.len() - 1` whole bytes are kept.
        let all = (bits << (6 * (4 - part.len()))).to_be_bytes();
        bytes.extend_from_slice(&all[1..part.len()]);
    }
    Ok(bytes)
}
